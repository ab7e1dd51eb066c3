/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blkverify.c: a protocol over two images that must hold the same.
 *
 * For tests only. What is written goes to both, what is read is read from both
 * and compared. A difference is told on stderr and ends the program, since what
 * follows it would only hide where it began.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/driver.h"
#include "image/graph/open.h"

#define COMPARE_AT_ONCE ((uint64_t)1 << 20)

struct blkverify {
	struct image *raw;		/* what is believed */
	struct image *test;		/* what is tested */
};

__attribute__((noreturn, format(printf, 4, 5)))
static void differ(const char *what, uint64_t off, uint64_t len,
		   const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "blkverify: %s offset=%" PRIu64 " bytes=%" PRIu64 " ",
		what, off, len);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

static int require_same_result(const char *what, uint64_t off, uint64_t len,
			       int raw, int test)
{
	if (raw != test)
		differ(what, off, len, "return value mismatch %d != %d", raw,
		       test);
	return raw;
}

static int blkverify_open(struct image *img, const struct image_options *opts,
			  struct error *err)
{
	struct blkverify *v = img->state;
	int ret;

	if (!opts->node || !opts->node->file || !opts->node->test)
		return error_set(err, EINVAL, "blkverify needs two images, raw "
				 "and test");
	ret = image_open_child(img, opts->node->file, opts, &v->raw, err);
	if (ret)
		return ret;
	ret = image_open_child(img, opts->node->test, opts, &v->test, err);
	if (ret) {
		image_close(v->raw, NULL);
		return ret;
	}
	img->size = v->test->size;
	img->limits = v->test->limits;
	img->limits.discard = false;
	img->cache = v->test->cache;
	return 0;
}

static int blkverify_close(struct image *img, struct error *err)
{
	struct blkverify *v = img->state;
	int ret = image_close(v->raw, err);
	int r = image_close(v->test, ret ? NULL : err);

	return ret ? ret : r;
}

static int compare_answers(struct blkverify *v, uint64_t off, uint64_t len,
			   char *raw, char *test)
{
	int ret = image_pread(v->raw, off, len, raw);

	ret = require_same_result("read", off, len, ret,
				  image_pread(v->test, off, len, test));
	if (ret || !memcmp(raw, test, len))
		return ret;
	for (uint64_t i = 0; i < len; i++)
		if (raw[i] != test[i])
			differ("read", off, len, "contents mismatch at offset "
			       "%" PRIu64, off + i);
	return ret;
}

static int blkverify_preadv(struct image *img, uint64_t off, uint64_t len,
			    struct iow w)
{
	uint64_t most = min(len, COMPARE_AT_ONCE);
	cleanup_free char *raw = malloc(most), *test = malloc(most);
	int ret = raw && test ? 0 : -ENOMEM;

	for (uint64_t n; len && !ret; off += n, len -= n) {
		n = min(len, most);
		ret = compare_answers(img->state, off, n, raw, test);
		if (!ret)
			iow_from_buf(w, test, n);
		w = iow_advance(w, n);
	}
	return ret;
}

static int blkverify_pwritev(struct image *img, uint64_t off, uint64_t len,
			     struct iow w)
{
	struct blkverify *v = img->state;
	int ret = image_pwritev(v->raw, off, len, w);

	ret = require_same_result("write", off, len, ret,
				  image_pwritev(v->test, off, len, w));
	img->size = v->test->size;
	return ret;
}

static int blkverify_flush(struct image *img)
{
	struct blkverify *v = img->state;

	/* What is believed can be made anew. */
	return image_flush(v->test);
}

static int blkverify_allocated_size(struct image *img, uint64_t *bytes)
{
	struct blkverify *v = img->state;

	return image_allocated_size(v->test, bytes);
}

static int blkverify_block_status(struct image *img, uint64_t off, uint64_t len,
				  struct image_extent *out)
{
	*out = (struct image_extent){
		.length = len,
		.flags = IMAGE_EXTENT_DATA | IMAGE_EXTENT_ALLOCATED |
			 IMAGE_EXTENT_OFFSET,
		.host_offset = off,
		.file = img,
	};
	return 0;
}

static const struct image *blkverify_part(const struct image *img,
					  unsigned int n)
{
	const struct blkverify *v = img->state;

	return n == 0 ? v->raw : n == 1 ? v->test : NULL;
}

const struct image_driver image_blkverify_driver = {
	.name = "blkverify",
	.state_size = sizeof(struct blkverify),
	.testing = true,
	.open = blkverify_open,
	.close = blkverify_close,
	.preadv = blkverify_preadv,
	.pwritev = blkverify_pwritev,
	.flush = blkverify_flush,
	.block_status = blkverify_block_status,
	.allocated_size = blkverify_allocated_size,
	.part = blkverify_part,
};
