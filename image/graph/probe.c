/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* probe.c: see probe.h. */
#include "image/graph/probe.h"

#include <errno.h>
#include <unistd.h>

#include "common/bits.h"
#include "image/driver.h"
#include "image/graph/open.h"
#include "image/graph/protocol.h"
#include "opener/local.h"

static const char *guess_format(const char *name, const uint8_t *head,
				size_t len)
{
	const char *format = "raw";

	for (const struct image_driver *const *f = image_formats; *f; f++)
		if ((*f)->probe && (*f)->probe(name, head, len))
			format = (*f)->name;
	return format;
}

int image_probe(const char *file, const char **format, struct error *err)
{
	const struct opener_ask ask = { OPENER_IMAGE, .name = file };
	uint8_t head[IMAGE_PROBE_BYTES];
	struct opened opened;
	ssize_t n;
	int ret = opener_open(NULL, &ask, &opened, err);

	if (ret)
		return error_prefix(err, error_reason(err, ret),
				    "Could not open '%s'", file);
	n = pread(opened.fd, head, sizeof(head), 0);
	opened_clear(&opened);
	if (n < 0)
		return error_set_errno(err, errno, "Could not read '%s'", file);
	*format = guess_format(file, head, (size_t)n);
	return 0;
}

/* co. Takes over `file`. */
static int probe_opened(struct image *file, const char *name,
			const char **format, struct error *err)
{
	size_t len = (size_t)min((uint64_t)IMAGE_PROBE_BYTES, file->size);
	uint8_t head[IMAGE_PROBE_BYTES];
	int ret = image_pread(file, 0, len, head);

	image_close(file, NULL);
	if (ret)
		return error_set_errno(err, -ret, "Could not read '%s'", name);
	*format = guess_format(name, head, len);
	return 0;
}

int image_probe_name(struct loop *loop, const char *name, const char **format,
		     struct error *err)
{
	const struct image_options opts = { .flags = IMAGE_SHARE };
	const char *path = name;
	const struct image_driver *protocol = protocol_of(&path, err);
	struct image *file;
	int ret;

	if (!protocol)
		return -ENOTSUP;
	if (protocol->host_file)
		return image_probe(path, format, err);
	ret = image_open_file(loop, name, false, &opts, &file, err);
	return ret ? ret : probe_opened(file, name, format, err);
}

int image_probe_node(struct loop *loop, const struct image_node *node,
		     const char **format, struct error *err)
{
	const struct image_options opts = {
		.flags = IMAGE_SHARE | IMAGE_TESTING,
	};
	struct image *file;
	int ret;

	if (!node->file)
		return error_set(err, EINVAL, "no file is named");
	ret = image_open_described(loop, node->file, &opts, &file, err);
	return ret ? ret : probe_opened(file, image_node_path(node), format,
					err);
}
