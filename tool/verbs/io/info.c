/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info.c: see info.h. */
#include "tool/verbs/io/info.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/bits.h"
#include "image/info.h"

void io_length(struct io_shell *sh, int argc, char **argv)
{
	char text[SIZE_TEXT_MAX];

	puts(io_exact_size((double)image_size(sh->img), text));
}

void io_info(struct io_shell *sh, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	char text[SIZE_TEXT_MAX];
	struct image_info info;
	int ret = image_get_info(sh->img, &info, &err);

	if (ret) {
		io_error(sh, "%s", error_text(&err, ret));
		return;
	}
	printf("format name: %s\n", image_format(sh->img));
	if (info.cluster_size)
		printf("cluster size: %s\n",
		       io_exact_size((double)info.cluster_size, text));
	if (info.kind == IMAGE_INFO_QCOW2)
		printf("vm state offset: %s\n",
		       io_exact_size((double)info.qcow2.vmstate_offset, text));
	image_info_free(&info);
}

/* Calls each(arg) for each run of clusters alike in this layer. */
static bool for_each_run(struct io_shell *sh, uint64_t off, uint64_t end,
			 void (*each)(void *arg, uint64_t off, uint64_t len,
				      bool allocated), void *arg)
{
	uint64_t start = off;
	bool last = false;

	while (off < end) {
		struct image_extent e;
		int ret = image_block_status(sh->img, off, end - off, &e);
		bool now = e.flags & IMAGE_EXTENT_ALLOCATED;

		if (ret) {
			io_fail(sh, "is_allocated failed: %s", strerror(-ret));
			return false;
		}
		if (off > start && now != last) {
			each(arg, start, off - start, last);
			start = off;
		}
		last = now;
		off += e.length;
	}
	if (off > start)
		each(arg, start, off - start, last);
	return true;
}

static void print_run(void *arg, uint64_t off, uint64_t len, bool allocated)
{
	char size[SIZE_TEXT_MAX], at[SIZE_TEXT_MAX];

	printf("%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64
	       ")\n", io_exact_size((double)len, size), len,
	       allocated ? "   " : "not", io_exact_size((double)off, at),
	       off);
}

static void sum_run(void *arg, uint64_t off, uint64_t len, bool allocated)
{
	*(uint64_t *)arg += allocated ? len : 0;
}

void io_map(struct io_shell *sh, int argc, char **argv)
{
	for_each_run(sh, 0, image_size(sh->img), print_run, NULL);
}

void io_alloc(struct io_shell *sh, int argc, char **argv)
{
	uint64_t off, len = SECTOR_SIZE, sum = 0;
	char at[SIZE_TEXT_MAX];

	if (!io_parse_size(sh, "offset", argv[1], &off) ||
	    (argc > 2 && !io_parse_size(sh, "length", argv[2], &len)))
		return;
	if (off > image_size(sh->img)) {
		io_fail(sh, "the range is beyond the end of the image");
		return;
	}
	len = min(len, image_size(sh->img) - off);
	if (for_each_run(sh, off, off + len, sum_run, &sum))
		printf("%" PRIu64 "/%" PRIu64 " bytes allocated at offset %s\n",
		       sum, len, io_exact_size((double)off, at));
}
