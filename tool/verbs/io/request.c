/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* request.c: see request.h. */
#include "tool/verbs/io/request.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "image/resize.h"
#include "image/snapshots.h"
#include "io/loop.h"

#define MAX_BUFFER (2 * GiB - 4096)
#define DEFAULT_PATTERN 0xcd
#define DEFAULT_READ 0xab

/* ---- answers ---- */

static void print_timing(const char *what, uint64_t off, uint64_t len,
			 bool machine, uint64_t ns)
{
	double seconds = (double)max(ns, UINT64_C(1)) / 1e9;
	char size[SIZE_TEXT_MAX], rate[SIZE_TEXT_MAX];

	io_exact_size((double)len / seconds, rate);
	if (machine) {
		printf("%" PRIu64 ",1,%.6f,%s/sec,%.4f ops/sec\n", len,
		       seconds, rate, 1 / seconds);
		return;
	}
	printf("%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n", what,
	       len, len, off);
	printf("%s, 1 ops; %05.2f sec (%s/sec and %.4f ops/sec)\n",
	       io_exact_size((double)len, size), seconds, rate, 1 / seconds);
}

static void dump_bytes(const uint8_t *buf, uint64_t off, uint64_t len)
{
	for (uint64_t i = 0; i < len; i += 16) {
		uint64_t n = min(len - i, UINT64_C(16));

		printf("%08" PRIx64 ":  ", off + i);
		for (uint64_t k = 0; k < n; k++)
			printf("%02x ", buf[i + k]);
		putchar(' ');
		for (uint64_t k = 0; k < n; k++)
			putchar(isprint(buf[i + k]) ? buf[i + k] : '.');
		putchar('\n');
	}
}

/* ---- read, write, discard: one request ---- */

enum request_kind { READ, WRITE, ZEROES, DISCARD };

struct io_request {
	struct io_shell *sh;
	enum request_kind kind;
	const char *name;		/* of the command */
	bool quiet, verbose, machine, flush, compressed, vmstate;
	unsigned int zero_flags;
	bool has_pattern;
	uint8_t pattern;
	uint64_t check_off, check_len;	/* what of it has the pattern */
	bool has_check_off, has_check_len;
	uint64_t off, len;
	uint8_t *buf;
	struct iovec iov[IO_MAX_ARGS];
	int niov;
};

static int fill_from_file(uint8_t *buf, uint64_t len, const char *path)
{
	cleanup_free uint8_t *bytes = NULL;
	FILE *f = fopen(path, "re");
	size_t n = 0;

	if (!f)
		return -errno;
	bytes = malloc(len);
	if (bytes)
		n = fread(bytes, 1, len, f);
	fclose(f);
	if (!n)
		return -EIO;
	for (uint64_t i = 0; i < len; i++)
		buf[i] = bytes[i % n];
	return 0;
}

static void verify_pattern(struct io_request *r)
{
	const uint8_t *p = r->buf + r->check_off;

	for (uint64_t i = 0; i < r->check_len; i++)
		if (p[i] != r->pattern) {
			io_fail(r->sh, "Pattern verification failed at offset "
				"%" PRIu64 ", %" PRIu64 " bytes",
			     r->off + r->check_off, r->check_len);
			return;
		}
}

static int send_request(struct io_request *r)
{
	struct image *img = r->sh->img;
	struct iow w = iow_of(r->iov, r->niov);
	int ret;

	if (r->vmstate)
		return r->kind == READ ?
			image_vmstate_preadv(img, r->off, r->len, w) :
			image_vmstate_pwritev(img, r->off, r->len, w);
	if (!range_within(r->off, r->len, image_size(img)))
		return -EIO;
	switch (r->kind) {
	case READ:
		return image_preadv(img, r->off, r->len, w);
	case WRITE:
		ret = r->compressed ?
			image_pwritev_compressed(img, r->off, r->len, w) :
			image_pwritev(img, r->off, r->len, w);
		break;
	case ZEROES:
		ret = image_pwrite_zeroes(img, r->off, r->len, r->zero_flags);
		break;
	case DISCARD:
		return image_pdiscard(img, r->off, r->len);
	default:
		return -EINVAL;
	}
	return !ret && r->flush ? image_flush(img) : ret;
}

static const char *const kind_done[] = {
	[READ] = "read", [WRITE] = "wrote", [ZEROES] = "wrote",
	[DISCARD] = "discard",
};

static void free_request(struct io_request *r)
{
	free(r->buf);
	free(r);
}

/* Frees it. */
static void run_io_request(struct io_request *r)
{
	uint64_t start = monotonic_ns();
	int ret = send_request(r);

	if (ret) {
		io_fail(r->sh, "%s failed: %s", r->name, strerror(-ret));
	} else {
		if (r->kind == READ && r->has_pattern)
			verify_pattern(r);
		if (r->verbose)
			dump_bytes(r->buf, r->off, r->len);
		if (!r->quiet && !r->sh->common.quiet)
			print_timing(kind_done[r->kind], r->off, r->len,
				     r->machine, monotonic_ns() - start);
	}
	free_request(r);
}

static void run_aio(void *arg)
{
	struct io_request *r = arg;
	struct io_shell *sh = r->sh;

	sh->in_flight++;
	run_io_request(r);
	if (!--sh->in_flight)
		co_queue_wake_all(&sh->idle);
}

/* Buffers for a read or write: one piece of memory, an iovec per length. */
static int prepare_buffer(struct io_request *r, const uint64_t *lens, int n,
			  const char *file)
{
	uint8_t *p;

	if (r->len > MAX_BUFFER)
		return -EFBIG;
	if (posix_memalign((void **)&r->buf, 4096, max(r->len, UINT64_C(1))))
		return -ENOMEM;
	p = r->buf;
	for (int i = 0; i < n; i++) {
		r->iov[i] = (struct iovec){ p, lens[i] };
		p += lens[i];
	}
	r->niov = n;
	memset(r->buf, r->kind == READ ? DEFAULT_READ :
		       r->has_pattern ? r->pattern : DEFAULT_PATTERN, r->len);
	return file ? fill_from_file(r->buf, r->len, file) : 0;
}

static bool parse_pattern(struct io_request *r, const char *text)
{
	uint64_t v;

	if (number_parse(text, 0xff, &v)) {
		io_fail(r->sh, "%s is not a valid pattern byte", text);
		return false;
	}
	r->pattern = (uint8_t)v;
	r->has_pattern = true;
	return true;
}

static bool request_option(struct io_request *r, int id, const char **file)
{
	switch (id) {
	case 'b':
		r->vmstate = true;
		return true;
	case 'C':
		r->machine = true;
		return true;
	case 'c':
		r->compressed = true;
		return true;
	case 'f':
		r->flush = true;
		return true;
	case 'n':
		r->zero_flags |= IMAGE_ZERO_FAST;
		return true;
	case 'u':
		r->zero_flags |= IMAGE_ZERO_UNMAP;
		return true;
	case 'z':
		r->kind = ZEROES;
		return true;
	case 'q':
		r->quiet = true;
		return true;
	case 'v':
		r->verbose = true;
		return true;
	case 'p':
		return true;
	case 'P':
		return parse_pattern(r, optarg);
	case 's':
		if (r->kind != READ) {
			*file = optarg;
			return true;
		}
		r->has_check_off = true;
		return io_parse_size(r->sh, "pattern offset", optarg,
				  &r->check_off);
	case 'l':
		r->has_check_len = true;
		return io_parse_size(r->sh, "pattern length", optarg,
				  &r->check_len);
	default:
		io_fail(r->sh, "invalid option");
		return false;
	}
}

/* What of the read has to have the pattern; all by default. */
static bool settle_check(struct io_request *r)
{
	if (r->has_check_off && !r->has_check_len)
		r->check_len = r->check_off > r->len ? 0 :
						       r->len - r->check_off;
	else if (!r->has_check_len)
		r->check_len = r->len;
	if (range_within(r->check_off, r->check_len, r->len))
		return true;
	io_fail(r->sh, "pattern verification range exceeds end of read data");
	return false;
}

static bool parse_request(struct io_request *r, int argc, char **argv,
			  const char *letters, int max_lens)
{
	uint64_t lens[IO_MAX_ARGS];
	const char *file = NULL;
	int id, n = 0, ret = 0;

	optind = 0;
	opterr = 0;
	while ((id = getopt(argc, argv, letters)) != -1)
		if (!request_option(r, id, &file))
			return false;
	if (argc - optind < 2 || argc - optind > 1 + max_lens) {
		io_fail(r->sh, "%s: expecting an offset and a length", argv[0]);
		return false;
	}
	if (!io_parse_size(r->sh, "offset", argv[optind++], &r->off))
		return false;
	for (; optind < argc; optind++, n++) {
		if (!io_parse_size(r->sh, "length", argv[optind], &lens[n]))
			return false;
		r->len += lens[n];
	}
	if (r->vmstate && (r->kind == ZEROES || r->compressed)) {
		io_fail(r->sh, "-b and %s cannot be specified at the same time",
			r->compressed ? "-c" : "-z");
		return false;
	}
	if (!settle_check(r))
		return false;
	if (r->kind == READ || r->kind == WRITE)
		ret = prepare_buffer(r, lens, n, file);
	if (ret)
		io_fail(r->sh, "%s: %s", argv[0], strerror(-ret));
	return !ret;
}

static void start_io_request(struct io_shell *sh, int argc, char **argv,
			     enum request_kind kind, const char *name,
			     const char *letters, int max_lens)
{
	struct io_request *r = calloc(1, sizeof(*r));

	if (!r) {
		io_fail(sh, "out of memory");
		return;
	}
	r->sh = sh;
	r->kind = kind;
	r->name = name;
	if (!parse_request(r, argc, argv, letters, max_lens))
		free_request(r);
	else if (strncmp(name, "aio_", 4))
		run_io_request(r);
	else if (co_start(run_aio, r))
		io_fail(sh, "out of memory");
}

void io_read(struct io_shell *sh, int argc, char **argv)
{
	start_io_request(sh, argc, argv, READ, "read", "bCl:pP:qs:v", 1);
}

void io_readv(struct io_shell *sh, int argc, char **argv)
{
	start_io_request(sh, argc, argv, READ, "readv", "CP:qv",
			 IO_MAX_ARGS - 2);
}

void io_aio_read(struct io_shell *sh, int argc, char **argv)
{
	start_io_request(sh, argc, argv, READ, "aio_read", "CP:qv",
			 IO_MAX_ARGS - 2);
}

void io_write(struct io_shell *sh, int argc, char **argv)
{
	start_io_request(sh, argc, argv, WRITE, "write", "bCcfnpP:qs:uz", 1);
}

void io_writev(struct io_shell *sh, int argc, char **argv)
{
	start_io_request(sh, argc, argv, WRITE, "writev", "CfP:q",
			 IO_MAX_ARGS - 2);
}

void io_aio_write(struct io_shell *sh, int argc, char **argv)
{
	start_io_request(sh, argc, argv, WRITE, "aio_write", "CfP:quz",
			 IO_MAX_ARGS - 2);
}

void io_discard(struct io_shell *sh, int argc, char **argv)
{
	start_io_request(sh, argc, argv, DISCARD, "discard", "Cq", 1);
}

/* ---- all that was written ---- */

void io_flush(struct io_shell *sh, int argc, char **argv)
{
	int ret = image_flush(sh->img);

	if (ret)
		io_fail(sh, "flush failed: %s", strerror(-ret));
}

void io_aio_flush(struct io_shell *sh, int argc, char **argv)
{
	io_wait_idle(sh);
}

void io_truncate(struct io_shell *sh, int argc, char **argv)
{
	enum image_preallocation mode = IMAGE_PREALLOC_OFF;
	struct error err = ERROR_INIT;
	uint64_t size;
	int ret;

	if (argc == 4 && (strcmp(argv[1], "-m") ||
			  image_parse_preallocation(argv[2], &mode))) {
		io_error(sh, "Invalid parameter '%s'", argv[2]);
		return;
	}
	if (argc == 3) {
		io_fail(sh, "truncate: expecting one size");
		return;
	}
	if (!io_parse_size(sh, "truncate", argv[argc - 1], &size))
		return;
	io_wait_idle(sh);
	ret = mode ? image_grow(sh->img, size, mode, NULL, &err) :
		     image_truncate(sh->img, size, &err);
	if (ret)
		io_error(sh, "%s", error_text(&err, ret));
}
