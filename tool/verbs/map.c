/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk map: where the bytes of an image are, in itself and its backing chain.
 *
 * Extents that go on as the one before are printed as one.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/bits.h"
#include "common/size.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/verbs/verbs.h"

struct map {
	struct tool_common common;
	uint64_t start, max_length;
	struct image_extent last;	/* not printed yet; length 0: none */
	uint64_t last_start;
	bool any;			/* something was printed */
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	TOOL_OUTPUT,
	{ OPT_START_OFFSET, "start-offset", "OFFSET", "begin there" },
	{ 's', NULL, "OFFSET", "the same" },
	{ OPT_MAX_LENGTH, "max-length", "LEN", "go no further than that" },
	{ 'l', NULL, "LEN", "the same" },
	TOOL_SNAPSHOT,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END,
};

static const char *yes(unsigned int flags, unsigned int flag)
{
	return flags & flag ? "true" : "false";
}

static int print_extent_json(struct map *m)
{
	const struct image_extent *e = &m->last;

	printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
	       ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s"
	       ", \"compressed\": %s",
	       m->any ? ",\n" : "[", m->last_start, e->length, e->depth,
	       yes(e->flags, IMAGE_EXTENT_ALLOCATED),
	       yes(e->flags, IMAGE_EXTENT_ZERO),
	       yes(e->flags, IMAGE_EXTENT_DATA),
	       yes(e->flags, IMAGE_EXTENT_COMPRESSED));
	if (e->flags & IMAGE_EXTENT_OFFSET)
		printf(", \"offset\": %" PRIu64, e->host_offset);
	putchar('}');
	return 0;
}

static void print_hex(uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%#" PRIx64, v);
	printf("%-16s", text);
}

static int print_extent(struct map *m)
{
	const struct image_extent *e = &m->last;

	if ((e->flags & IMAGE_EXTENT_DATA) && !(e->flags & IMAGE_EXTENT_OFFSET))
		return tool_error("File contains external, encrypted or "
				  "compressed clusters.");
	if ((e->flags & (IMAGE_EXTENT_DATA | IMAGE_EXTENT_ZERO)) !=
	    IMAGE_EXTENT_DATA)
		return 0;
	print_hex(m->last_start);
	print_hex(e->length);
	print_hex(e->host_offset);
	puts(e->file ? image_path(e->file) : "");
	return 0;
}

static int print_last(struct map *m)
{
	int ret;

	if (!m->last.length)
		return 0;
	ret = m->common.json ? print_extent_json(m) : print_extent(m);
	m->any = true;
	return ret;
}

static bool goes_on(const struct map *m, const struct image_extent *e)
{
	return m->last.length && m->last.flags == e->flags &&
	       m->last.depth == e->depth && m->last.file == e->file &&
	       (!(e->flags & IMAGE_EXTENT_OFFSET) ||
		m->last.host_offset + m->last.length == e->host_offset);
}

static int map_range(struct map *m, struct image *img, uint64_t off,
		     uint64_t end)
{
	struct image_extent e;
	int ret = 0;

	while (off < end && !ret) {
		ret = image_block_status_chain(img, off, end - off, &e);
		if (ret)
			return tool_error("Failed to read image metadata: %s",
					  strerror(-ret));
		if (goes_on(m, &e)) {
			m->last.length += e.length;
		} else {
			ret = print_last(m);
			m->last = e;
			m->last_start = off;
		}
		off += e.length;
	}
	return ret ? ret : print_last(m);
}

static int map_image(struct map *m, struct image *img)
{
	uint64_t size = image_size(img), start = min(m->start, size);
	uint64_t end = start + min(m->max_length, size - start);
	int ret;

	if (!m->common.json)
		printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to",
		       "File");
	ret = map_range(m, img, start, end);
	if (m->common.json && !ret)
		puts(m->any ? "]" : "[]");
	return ret;
}

static int map_option(struct map *m, int id, const char *arg)
{
	switch (id) {
	case 's':
	case OPT_START_OFFSET:
		return tool_parse_size("start offset", arg, 0, INT64_MAX,
				       &m->start);
	case 'l':
	case OPT_MAX_LENGTH:
		return tool_parse_size("max length", arg, 0, INT64_MAX,
				       &m->max_length);
	default:
		return tool_common_option(&m->common, id, arg);
	}
}

static int run_map(struct loop *loop, int argc, char **argv)
{
	struct map m = {
		.common.cache = IMAGE_CACHE_WRITEBACK,
		.max_length = UINT64_MAX,
	};
	struct image *img;
	int id, ret, closed;

	while ((id = tool_getopt(&verb_map, argc, argv)) != -1)
		if (map_option(&m, id, optarg))
			return EXIT_FAILED;
	if (argc - optind != 1)
		return tool_usage(&verb_map, "expecting one image file name");
	img = tool_open(loop, argv[optind], &m.common, 0);
	if (!img)
		return EXIT_FAILED;
	ret = map_image(&m, img);
	closed = tool_close(img);
	return ret ? EXIT_FAILED : closed;
}

const struct verb verb_map = {
	.name = "map",
	.summary = "tell where the bytes of an image are",
	.usage = "FILE",
	.more = "The human form lists what holds data; --output=json lists all "
		"extents.",
	.options = options,
	.run = run_map,
};
