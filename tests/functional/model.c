/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * model: an image and a plain array of bytes, treated alike at random.
 *
 *	model [-s SEED] [-n OPERATIONS] [-w WORKERS] [-l SNAPSHOT]
 *		[-e PASSPHRASE] IMAGE FORMAT MODEL
 *
 * MODEL is a raw file with what the image holds at first; at the end it is
 * written anew with what the image has to hold, for others to compare.
 *
 * The work goes in phases. In each the disk is dealt out in stripes of a random
 * width, down to a few sectors, so that workers share clusters but never a
 * byte; all of them have requests in flight. Every read is compared. Between
 * phases everything is read back, and the image closed and opened again with
 * other caches, cache modes and AIO engines.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/log.h"
#include "image/crypto/secret.h"
#include "image/graph/format.h"
#include "image/graph/open.h"
#include "image/image.h"
#include "image/info.h"
#include "image/node.h"
#include "io/coroutine.h"
#include "io/loop.h"

#define MAX_REQUEST ((uint64_t)512 * KiB)
#define MAX_IOV 5

struct model {
	/* given */
	const char *path, *format, *model_path;
	const char *snapshot;		/* only to be read; NULL: the disk */
	unsigned int workers, operations;
	bool change;			/* 0 operations only read */
	struct image_node node;		/* its passphrase, if any */

	struct loop *loop;
	struct image *img;
	uint8_t *bytes;			/* what the image has to hold */
	uint64_t size;
	uint64_t cluster;		/* bytes, 0: cannot be compressed */
	uint64_t random;

	/* the phase */
	uint64_t stripe;		/* bytes */
	unsigned int left;		/* operations */
	unsigned int running;		/* workers */
	struct co_queue done;
};

/* ---- chance ---- */

/* xorshift64*: the same everywhere for a seed */
static uint64_t draw(struct model *m)
{
	m->random ^= m->random >> 12;
	m->random ^= m->random << 25;
	m->random ^= m->random >> 27;
	return m->random * UINT64_C(2685821657736338717);
}

static uint64_t below(struct model *m, uint64_t n)
{
	return draw(m) % n;
}

/* Small numbers are likelier, all sizes occur. */
static uint64_t any_length(struct model *m, uint64_t most)
{
	uint64_t n = UINT64_C(1) << below(m, log2_floor(most) + 1);

	return min(1 + below(m, n), most);
}

/* ---- failing ---- */

__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1);
}

static void must(struct model *m, int ret, const char *what, uint64_t off,
		 uint64_t len)
{
	if (ret)
		die("%s of %" PRIu64 " bytes at %" PRIu64 ": %s", what, len,
		    off, strerror(-ret));
}

static void compare(struct model *m, const uint8_t *got, uint64_t off,
		    uint64_t len, const char *what)
{
	if (!memcmp(got, m->bytes + off, len))
		return;
	for (uint64_t i = 0; i < len; i++)
		if (got[i] != m->bytes[off + i])
			die("%s of %" PRIu64 " bytes at %" PRIu64 ": byte %"
			    PRIu64 " is %#x, should be %#x", what, len, off,
			    off + i, got[i], m->bytes[off + i]);
}

/* ---- requests ---- */

static uint8_t *buffer(struct model *m, uint64_t len)
{
	void *p;

	if (posix_memalign(&p, 4096, len + 512))
		die("out of memory");
	return p;
}

/* Cuts [p, p + len) into a few pieces. */
static struct iow cut(struct model *m, uint8_t *p, uint64_t len,
		      struct iovec iov[MAX_IOV])
{
	int n = 0;

	while (len) {
		uint64_t part = n == MAX_IOV - 1 || below(m, 2) ? len :
				any_length(m, len);

		iov[n++] = (struct iovec){ p, part };
		p += part;
		len -= part;
	}
	return iow_of(iov, n);
}

static void do_read(struct model *m, uint64_t off, uint64_t len)
{
	uint8_t *mem = buffer(m, len), *p = mem + below(m, 2) * 8;
	struct iovec iov[MAX_IOV];

	memset(p, 0xee, len);
	must(m, image_preadv(m->img, off, len, cut(m, p, len, iov)), "read",
	     off, len);
	compare(m, p, off, len, "read");
	free(mem);
}

static void do_write(struct model *m, uint64_t off, uint64_t len)
{
	uint8_t *mem = buffer(m, len), *p = mem + below(m, 2) * 8;
	uint64_t seed = draw(m);
	struct iovec iov[MAX_IOV];

	for (uint64_t i = 0; i < len; i++)
		p[i] = (uint8_t)((seed >> (i & 31)) + i);
	if (!below(m, 8))
		memset(p, 0, len);
	must(m, image_pwritev(m->img, off, len, cut(m, p, len, iov)), "write",
	     off, len);
	memcpy(m->bytes + off, p, len);
	free(mem);
}

/* Compressed: the whole clusters of the range, if there are any. */
static void do_compressed(struct model *m, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;
	uint8_t *p;

	off = m->cluster ? align_up(off, m->cluster) : end;
	if (m->cluster && end != m->size)
		end = align_down(end, m->cluster);
	if (off >= end)
		return;
	len = end - off;
	p = buffer(m, len);
	/* From all the same to hardly any two alike. */
	for (uint64_t i = 0, bits = below(m, 9), b = 0; i < len; i++) {
		if (!(i % 8))
			b = draw(m);
		p[i] = (uint8_t)(b >> i % 8 * 8) >> (8 - bits);
	}
	must(m, image_pwrite_compressed(m->img, off, len, p),
	     "compressed write", off, len);
	memcpy(m->bytes + off, p, len);
	free(p);
}

static void do_zero(struct model *m, uint64_t off, uint64_t len)
{
	must(m, image_pwrite_zeroes(m->img, off, len,
				    below(m, 2) ? IMAGE_ZERO_UNMAP : 0),
	     "zero", off, len);
	memset(m->bytes + off, 0, len);
}

/* What is discarded is as it was or zero, byte by byte. */
static void do_discard(struct model *m, uint64_t off, uint64_t len)
{
	uint8_t *p = buffer(m, len);

	must(m, image_pdiscard(m->img, off, len), "discard", off, len);
	must(m, image_pread(m->img, off, len, p), "read", off, len);
	for (uint64_t i = 0; i < len; i++)
		if (!p[i])
			m->bytes[off + i] = 0;
	compare(m, p, off, len, "discard");
	free(p);
}

/* What is said to be zero has to be. */
static void do_status(struct model *m, uint64_t off, uint64_t len)
{
	struct image_extent e;

	must(m, image_block_status_chain(m->img, off, len, &e), "status", off,
	     len);
	if (!e.length || e.length > len)
		die("status of %" PRIu64 " bytes at %" PRIu64 ": extent of %"
		    PRIu64, len, off, e.length);
	if (!(e.flags & IMAGE_EXTENT_ZERO))
		return;
	for (uint64_t i = 0; i < e.length; i++)
		if (m->bytes[off + i])
			die("status of %" PRIu64 " bytes at %" PRIu64 ": byte %"
			    PRIu64 " is not zero", len, off, off + i);
}

/* ---- workers ---- */

struct worker {
	struct model *m;
	unsigned int nr;
};

/* A range within one of the worker's stripes; false: it has none. */
static bool pick(struct model *m, unsigned int nr, uint64_t *off,
		 uint64_t *len)
{
	uint64_t stripes = div_round_up(m->size, m->stripe), mine, start, room;

	if (stripes <= nr)
		return false;
	mine = (stripes - nr - 1) / m->workers + 1;
	start = (nr + below(m, mine) * m->workers) * m->stripe;
	room = min(m->stripe, m->size - start);
	*len = any_length(m, min(room, MAX_REQUEST));
	*off = start + below(m, room - *len + 1);
	if (below(m, 2)) {	/* whole sectors are what guests do */
		*off = align_down(*off, SECTOR_SIZE);
		*len = min(align_up(*len, SECTOR_SIZE), start + room - *off);
	}
	return *off >= start;
}

static void one_operation(struct model *m, unsigned int nr)
{
	uint64_t off, len;
	unsigned int what = (unsigned int)below(m, 100);

	if (!pick(m, nr, &off, &len))
		return;
	if (what < 30)
		do_write(m, off, len);
	else if (what < 35)
		do_compressed(m, off, len);
	else if (what < 70)
		do_read(m, off, len);
	else if (what < 82)
		do_zero(m, off, len);
	else if (what < 92)
		do_discard(m, off, len);
	else if (what < 98)
		do_status(m, off, len);
	else
		must(m, image_flush(m->img), "flush", 0, 0);
}

static void run_worker(void *arg)
{
	struct worker *w = arg;
	struct model *m = w->m;

	while (m->left) {
		m->left--;
		one_operation(m, w->nr);
	}
	free(w);
	if (!--m->running)
		co_queue_wake_all(&m->done);
}

static void run_workers(struct model *m)
{
	m->running = m->workers;
	for (unsigned int i = 0; i < m->workers; i++) {
		struct worker *w = malloc(sizeof(*w));

		if (!w)
			die("out of memory");
		*w = (struct worker){ m, i };
		if (co_start(run_worker, w))
			die("out of memory");
	}
	while (m->running)
		co_queue_wait(&m->done);
}

/* ---- phases ---- */

static void open_image(struct model *m)
{
	static const enum image_cache caches[] = {
		IMAGE_CACHE_WRITEBACK, IMAGE_CACHE_NONE, IMAGE_CACHE_UNSAFE,
		IMAGE_CACHE_AUTO, IMAGE_CACHE_WRITETHROUGH,
	};
	static const enum aio_kind kinds[] = {
		AIO_AUTO, AIO_IO_URING, AIO_THREADS,
	};
	struct image_options opts = {
		.flags = !m->change ? 0 :
			 IMAGE_RDWR | (below(m, 2) ? IMAGE_UNMAP : 0),
		.snapshot = m->snapshot,
		.node = &m->node,
		.cache = caches[below(m, ARRAY_SIZE(caches))],
		.aio = kinds[below(m, ARRAY_SIZE(kinds))],
	};
	struct error err = ERROR_INIT;
	int ret;

	/* write-through is a flush for each write: once in a while */
	if (opts.cache == IMAGE_CACHE_WRITETHROUGH && below(m, 4))
		opts.cache = IMAGE_CACHE_WRITEBACK;
	if (below(m, 2)) {
		opts.l2_cache_size = 16 * KiB;
		opts.refcount_cache_size = 8 * KiB;
	}
	ret = image_open(m->loop, m->path, m->format, &opts, &m->img, &err);
	if (ret == -ENOTSUP && opts.aio != AIO_AUTO) {
		opts.aio = AIO_AUTO;
		ret = image_open(m->loop, m->path, m->format, &opts, &m->img,
				 &err);
	}
	if (ret)
		die("%s", error_text(&err, ret));
	if (image_size(m->img) != m->size)
		die("the image has %" PRIu64 " bytes, the model %" PRIu64,
		    image_size(m->img), m->size);
}

static void find_cluster_size(struct model *m)
{
	struct image_info info;

	if (!image_get_info(m->img, &info, NULL) && !info.encrypted &&
	    (info.kind != IMAGE_INFO_QCOW2 || !info.qcow2.data_file) &&
	    (info.kind != IMAGE_INFO_VMDK || info.vmdk.extents[0].compressed) &&
	    image_can_compress(m->format))
		m->cluster = info.cluster_size;
	image_info_free(&info);
}

static void close_image(struct model *m)
{
	struct error err = ERROR_INIT;
	int ret = image_close(m->img, &err);

	if (ret)
		die("close: %s", error_text(&err, ret));
}

static void verify_all(struct model *m)
{
	uint8_t *p = buffer(m, MiB);

	for (uint64_t off = 0, n; off < m->size; off += n) {
		n = min(m->size - off, MiB);
		must(m, image_pread(m->img, off, n, p), "read", off, n);
		compare(m, p, off, n, "verify");
	}
	free(p);
}

static uint64_t any_stripe(struct model *m)
{
	switch (below(m, 4)) {
	case 0:
		return SECTOR_SIZE * (1 + below(m, 8));
	case 1:
		return SECTOR_SIZE * (1 + below(m, 256)) + below(m, 512);
	case 2:
		return 64 * KiB << below(m, 4);
	default:
		return m->size / m->workers + 1;
	}
}

static int run(void *arg)
{
	struct model *m = arg;
	unsigned int per_phase = 200 + m->operations / 8;

	co_queue_init(&m->done);
	open_image(m);
	find_cluster_size(m);
	verify_all(m);
	for (unsigned int n; m->operations; m->operations -= n) {
		n = min(m->operations, 1 + (unsigned int)below(m, per_phase));
		m->stripe = any_stripe(m);
		m->left = n;
		run_workers(m);
		if (!below(m, 3))
			verify_all(m);
		if (below(m, 2)) {
			close_image(m);
			open_image(m);
		}
	}
	verify_all(m);
	close_image(m);
	return 0;
}

/* ---- the model's file ---- */

static void load_model(struct model *m)
{
	FILE *f = fopen(m->model_path, "re");

	if (!f || fseek(f, 0, SEEK_END))
		die("%s: %s", m->model_path, strerror(errno));
	m->size = (uint64_t)ftell(f);
	rewind(f);
	m->bytes = malloc(m->size + 1);
	if (!m->bytes || fread(m->bytes, 1, m->size, f) != m->size)
		die("%s: cannot be read", m->model_path);
	fclose(f);
}

static void take_passphrase(struct model *m, const char *text)
{
	if (secret_add("passphrase", text, strlen(text), NULL))
		die("bad passphrase");
	m->node.key_secret = "passphrase";
}

static void save_model(struct model *m)
{
	FILE *f = fopen(m->model_path, "we");

	if (!f || fwrite(m->bytes, 1, m->size, f) != m->size || fclose(f))
		die("%s: cannot be written", m->model_path);
}

int main(int argc, char **argv)
{
	struct model m = { .workers = 16, .operations = 2000, .random = 1 };
	int c;

	log_init("model", LOG_LEVEL_WARN, true);
	while ((c = getopt(argc, argv, "s:n:w:l:e:")) != -1) {
		unsigned long v = strtoul(c == '?' ? "0" : optarg, NULL, 0);

		if (c == 'l')
			m.snapshot = optarg;
		else if (c == 'e')
			take_passphrase(&m, optarg);
		else if (c == 's')
			m.random = v * UINT64_C(0x9e3779b97f4a7c15) + 1;
		else if (c == 'n')
			m.operations = (unsigned int)v;
		else if (c == 'w' && v)
			m.workers = (unsigned int)v;
		else
			die("bad option");
	}
	if (argc - optind != 3)
		die("usage: model [-s SEED] [-n OPERATIONS] [-w WORKERS] "
		    "IMAGE FORMAT MODEL");
	m.path = argv[optind];
	m.format = argv[optind + 1];
	m.model_path = argv[optind + 2];
	m.change = m.operations > 0;
	load_model(&m);
	m.loop = loop_new();
	if (!m.loop)
		die("no loop: %s", strerror(errno));
	co_run(m.loop, run, &m);
	loop_free(m.loop);
	save_model(&m);
	secret_forget_all();
	free(m.bytes);
	return 0;
}
