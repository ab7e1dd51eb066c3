/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk io: a small shell that reads and writes an image, for tests.
 *
 * Commands are qemu-io's: "write -P 5 0 64k", "read -P 5 0 64k", "aio_write
 * ...", "aio_flush", ... A command that fails, a pattern that does not match or
 * a line that makes no sense lets the rest run and makes the exit status 1.
 *
 * aio_* commands run on while the next ones are read; aio_flush, close and the
 * end of the shell wait for them.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/size.h"
#include "image/coroutine.h"
#include "image/loop.h"
#include "tool/tool.h"

#define MAX_ARGS 32
#define MAX_BUFFER (2 * GiB - 4096)
#define DEFAULT_PATTERN 0xcd
#define DEFAULT_READ 0xab

struct shell {
	struct loop *loop;
	struct tool_common common;
	unsigned int flags;		/* enum image_open_flags */
	struct image *img;		/* NULL: none is open */
	char *path, *format;		/* of the last one that was */
	unsigned int in_flight;		/* aio_* commands */
	struct co_queue idle;		/* waits for in_flight == 0 */
	bool failed, quit;
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ 'c', "cmd", "COMMAND", "run it; may be given again" },
	{ 'r', "read-only", NULL, "open the image read-only" },
	{ 'n', "nocache", NULL, "the same as -t none" },
	TOOL_CACHE,
	{ 'i', NULL, "ENGINE", "the same as --aio" },
	TOOL_AIO,
	{ 'd', "discard", "ignore|unmap", "whether discards reach the host" },
	TOOL_SNAPSHOT,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END,
};

__attribute__((format(printf, 2, 3)))
static void fail(struct shell *sh, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	sh->failed = true;
}

/* ---- opening and closing ---- */

static void wait_idle(struct shell *sh)
{
	while (sh->in_flight)
		co_queue_wait(&sh->idle);
}

static void close_image(struct shell *sh)
{
	wait_idle(sh);
	if (sh->img && tool_close(sh->img))
		sh->failed = true;
	sh->img = NULL;
}

static void open_image(struct shell *sh, const char *path, const char *format,
		       unsigned int flags)
{
	char *new_path = strdup(path);
	char *new_format = format ? strdup(format) : NULL;

	close_image(sh);
	free(sh->path);
	free(sh->format);
	sh->path = new_path;
	sh->format = new_format;
	sh->common.format = new_format;
	sh->flags = flags;
	sh->img = tool_open(sh->loop, path, &sh->common, flags);
	if (!sh->img)
		sh->failed = true;
}

/* ---- reports ---- */

/* "4 KiB", "2.062 MiB" */
static const char *exact_size(double bytes, char buf[SIZE_TEXT_MAX])
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	unsigned int u = 0;
	char number[24], *zeroes;

	while (bytes >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		u++;
	}
	snprintf(number, sizeof(number), "%.3f", bytes);
	zeroes = strstr(number, ".000");
	if (zeroes)
		*zeroes = '\0';
	snprintf(buf, SIZE_TEXT_MAX, "%s %s", number, units[u]);
	return buf;
}

static void report(const char *what, uint64_t off, uint64_t len, bool machine,
		   uint64_t ns)
{
	double seconds = (double)max(ns, UINT64_C(1)) / 1e9;
	char size[SIZE_TEXT_MAX], rate[SIZE_TEXT_MAX];

	exact_size((double)len / seconds, rate);
	if (machine) {
		printf("%" PRIu64 ",1,%.6f,%s/sec,%.4f ops/sec\n", len,
		       seconds, rate, 1 / seconds);
		return;
	}
	printf("%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n", what,
	       len, len, off);
	printf("%s, 1 ops; %05.2f sec (%s/sec and %.4f ops/sec)\n",
	       exact_size((double)len, size), seconds, rate, 1 / seconds);
}

static void dump(const uint8_t *buf, uint64_t off, uint64_t len)
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

enum kind { READ, WRITE, ZEROES, DISCARD };

struct request {
	struct shell *sh;
	enum kind kind;
	bool quiet, verbose, machine, flush, async, compressed;
	unsigned int zero_flags;
	bool has_pattern;
	uint8_t pattern;
	uint64_t check_off, check_len;	/* what of it has the pattern */
	bool has_check_off, has_check_len;
	uint64_t off, len;
	uint8_t *buf;
	struct iovec iov[MAX_ARGS];
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

static void verify(struct request *r)
{
	const uint8_t *p = r->buf + r->check_off;

	for (uint64_t i = 0; i < r->check_len; i++)
		if (p[i] != r->pattern) {
			fail(r->sh, "Pattern verification failed at offset %"
			     PRIu64 ", %" PRIu64 " bytes",
			     r->off + r->check_off, r->check_len);
			return;
		}
}

static int submit(struct request *r)
{
	struct image *img = r->sh->img;
	struct iow w = iow_of(r->iov, r->niov);
	int ret;

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

static const char *const kind_names[] = {
	[READ] = "read", [WRITE] = "write", [ZEROES] = "write",
	[DISCARD] = "discard",
};

static const char *const kind_done[] = {
	[READ] = "read", [WRITE] = "wrote", [ZEROES] = "wrote",
	[DISCARD] = "discard",
};

static void free_request(struct request *r)
{
	free(r->buf);
	free(r);
}

/* Frees it. */
static void run_request(struct request *r)
{
	uint64_t start = loop_now_ns();
	int ret = submit(r);

	if (ret) {
		fail(r->sh, "%s%s failed: %s", r->async ? "aio_" : "",
		     kind_names[r->kind], strerror(-ret));
	} else {
		if (r->kind == READ && r->has_pattern)
			verify(r);
		if (r->verbose)
			dump(r->buf, r->off, r->len);
		if (!r->quiet && !r->sh->common.quiet)
			report(kind_done[r->kind], r->off, r->len, r->machine,
			       loop_now_ns() - start);
	}
	free_request(r);
}

static void run_async(void *arg)
{
	struct request *r = arg;
	struct shell *sh = r->sh;

	sh->in_flight++;
	run_request(r);
	if (!--sh->in_flight)
		co_queue_wake_all(&sh->idle);
}

/* Buffers for a read or write: one piece of memory, an iovec per length. */
static int prepare_buffer(struct request *r, const uint64_t *lens, int n,
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

static bool parse_size(struct shell *sh, const char *what, const char *text,
		       uint64_t *value)
{
	if (!size_parse(text, value))
		return true;
	fail(sh, "non-numeric %s argument -- %s", what, text);
	return false;
}

static bool parse_pattern(struct request *r, const char *text)
{
	uint64_t v;

	if (number_parse(text, 0xff, &v)) {
		fail(r->sh, "%s is not a valid pattern byte", text);
		return false;
	}
	r->pattern = (uint8_t)v;
	r->has_pattern = true;
	return true;
}

static bool request_option(struct request *r, int id, const char **file)
{
	switch (id) {
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
		return parse_size(r->sh, "pattern offset", optarg,
				  &r->check_off);
	case 'l':
		r->has_check_len = true;
		return parse_size(r->sh, "pattern length", optarg,
				  &r->check_len);
	default:
		fail(r->sh, "invalid option");
		return false;
	}
}

/* What of the read has to have the pattern; all by default. */
static bool settle_check(struct request *r)
{
	if (r->has_check_off && !r->has_check_len)
		r->check_len = r->check_off > r->len ? 0 :
						       r->len - r->check_off;
	else if (!r->has_check_len)
		r->check_len = r->len;
	if (range_within(r->check_off, r->check_len, r->len))
		return true;
	fail(r->sh, "pattern verification range exceeds end of read data");
	return false;
}

static bool parse_request(struct request *r, int argc, char **argv,
			  const char *letters, int max_lens)
{
	uint64_t lens[MAX_ARGS];
	const char *file = NULL;
	int id, n = 0, ret = 0;

	optind = 0;
	opterr = 0;
	while ((id = getopt(argc, argv, letters)) != -1)
		if (!request_option(r, id, &file))
			return false;
	if (argc - optind < 2 || argc - optind > 1 + max_lens) {
		fail(r->sh, "%s: expecting an offset and a length", argv[0]);
		return false;
	}
	if (!parse_size(r->sh, "offset", argv[optind++], &r->off))
		return false;
	for (; optind < argc; optind++, n++) {
		if (!parse_size(r->sh, "length", argv[optind], &lens[n]))
			return false;
		r->len += lens[n];
	}
	if (!settle_check(r))
		return false;
	if (r->kind == READ || r->kind == WRITE)
		ret = prepare_buffer(r, lens, n, file);
	if (ret)
		fail(r->sh, "%s: %s", argv[0], strerror(-ret));
	return !ret;
}

static void request(struct shell *sh, int argc, char **argv, enum kind kind,
		    const char *letters, int max_lens, bool async)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r) {
		fail(sh, "out of memory");
		return;
	}
	r->sh = sh;
	r->kind = kind;
	r->async = async;
	if (!parse_request(r, argc, argv, letters, max_lens))
		free_request(r);
	else if (!async)
		run_request(r);
	else if (co_start(run_async, r))
		fail(sh, "out of memory");
}

static void do_read(struct shell *sh, int argc, char **argv)
{
	request(sh, argc, argv, READ, "Cl:pP:qs:v", 1, false);
}

static void do_readv(struct shell *sh, int argc, char **argv)
{
	request(sh, argc, argv, READ, "CP:qv", MAX_ARGS - 2, false);
}

static void do_aio_read(struct shell *sh, int argc, char **argv)
{
	request(sh, argc, argv, READ, "CP:qv", MAX_ARGS - 2, true);
}

static void do_write(struct shell *sh, int argc, char **argv)
{
	request(sh, argc, argv, WRITE, "CcfnpP:qs:uz", 1, false);
}

static void do_writev(struct shell *sh, int argc, char **argv)
{
	request(sh, argc, argv, WRITE, "CfP:q", MAX_ARGS - 2, false);
}

static void do_aio_write(struct shell *sh, int argc, char **argv)
{
	request(sh, argc, argv, WRITE, "CfP:quz", MAX_ARGS - 2, true);
}

static void do_discard(struct shell *sh, int argc, char **argv)
{
	request(sh, argc, argv, DISCARD, "Cq", 1, false);
}

/* ---- the other commands ---- */

static void do_flush(struct shell *sh, int argc, char **argv)
{
	int ret = image_flush(sh->img);

	if (ret)
		fail(sh, "flush failed: %s", strerror(-ret));
}

static void do_aio_flush(struct shell *sh, int argc, char **argv)
{
	wait_idle(sh);
}

static void do_truncate(struct shell *sh, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	uint64_t size;
	int ret;

	if (!parse_size(sh, "truncate", argv[1], &size))
		return;
	wait_idle(sh);
	ret = image_truncate(sh->img, size, &err);
	if (ret)
		fail(sh, "truncate failed: %s", error_text(&err, ret));
}

static void do_length(struct shell *sh, int argc, char **argv)
{
	char text[SIZE_TEXT_MAX];

	puts(exact_size((double)image_size(sh->img), text));
}

/* Calls each(arg) for each run of clusters alike in this layer. */
static bool for_each_run(struct shell *sh, uint64_t off, uint64_t end,
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
			fail(sh, "is_allocated failed: %s", strerror(-ret));
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
	       ")\n", exact_size((double)len, size), len,
	       allocated ? "   " : "not", exact_size((double)off, at),
	       off);
}

static void sum_run(void *arg, uint64_t off, uint64_t len, bool allocated)
{
	*(uint64_t *)arg += allocated ? len : 0;
}

static void do_map(struct shell *sh, int argc, char **argv)
{
	for_each_run(sh, 0, image_size(sh->img), print_run, NULL);
}

static void do_alloc(struct shell *sh, int argc, char **argv)
{
	uint64_t off, len = SECTOR_SIZE, sum = 0;
	char at[SIZE_TEXT_MAX];

	if (!parse_size(sh, "offset", argv[1], &off) ||
	    (argc > 2 && !parse_size(sh, "length", argv[2], &len)))
		return;
	if (!range_within(off, len, image_size(sh->img))) {
		fail(sh, "the range is beyond the end of the image");
		return;
	}
	if (for_each_run(sh, off, off + len, sum_run, &sum))
		printf("%" PRIu64 "/%" PRIu64 " bytes allocated at offset %s\n",
		       sum, len, exact_size((double)off, at));
}

static void do_sleep(struct shell *sh, int argc, char **argv)
{
	uint64_t ms;

	if (number_parse(argv[1], 86400000, &ms))
		fail(sh, "%s is not a number of milliseconds", argv[1]);
	else
		co_sleep(sh->loop, ms * 1000000);
}

static void do_open(struct shell *sh, int argc, char **argv)
{
	unsigned int flags = IMAGE_RDWR | (sh->flags & IMAGE_UNMAP);
	const char *format = NULL;
	int id;

	optind = 0;
	opterr = 0;
	while ((id = getopt(argc, argv, "nrUt:o:f:")) != -1) {
		if (id == 'r')
			flags &= ~(unsigned int)IMAGE_RDWR;
		else if (id == 'f')
			format = optarg;
		else if (id == 'o' && !strncmp(optarg, "driver=", 7))
			format = optarg + 7;
		else if (id == 'U')
			sh->common.share = true;
		else if (id == 'n')
			sh->common.cache = IMAGE_CACHE_NONE;
		else if (id != 't' ||
			 image_parse_cache(optarg, &sh->common.cache)) {
			fail(sh, "open: invalid option");
			return;
		}
	}
	if (optind != argc - 1)
		fail(sh, "open: expecting one file");
	else
		open_image(sh, argv[optind], format, flags);
}

static void do_close(struct shell *sh, int argc, char **argv)
{
	close_image(sh);
}

static void do_reopen(struct shell *sh, int argc, char **argv)
{
	cleanup_free char *path = strdup(sh->path);
	cleanup_free char *format = strdup(image_format(sh->img));

	if (!path || !format)
		fail(sh, "out of memory");
	else
		open_image(sh, path, format, sh->flags);
}

static void do_quit(struct shell *sh, int argc, char **argv)
{
	sh->quit = true;
}

static void do_help(struct shell *sh, int argc, char **argv);

static const struct command {
	const char *name;
	int min_args, max_args;		/* besides the name */
	bool needs_image;
	void (*run)(struct shell *sh, int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "aio_flush", 0, 0, true, do_aio_flush,
	  "-- waits for all aio commands" },
	{ "aio_read", 2, MAX_ARGS, true, do_aio_read,
	  "[-Cqv] [-P pattern] off len [len..]" },
	{ "aio_write", 2, MAX_ARGS, true, do_aio_write,
	  "[-Cfquz] [-P pattern] off len [len..]" },
	{ "alloc", 1, 2, true, do_alloc,
	  "off [len] -- how much is allocated in this layer" },
	{ "close", 0, 0, true, do_close, "" },
	{ "discard", 2, MAX_ARGS, true, do_discard, "[-Cq] off len" },
	{ "flush", 0, 0, true, do_flush, "" },
	{ "help", 0, 1, false, do_help, "" },
	{ "length", 0, 0, true, do_length, "-- of the disk" },
	{ "map", 0, 0, true, do_map, "-- what is allocated in this layer" },
	{ "open", 1, MAX_ARGS, false, do_open,
	  "[-rnU] [-t cache] [-f format] file" },
	{ "quit", 0, 0, false, do_quit, "" },
	{ "read", 2, MAX_ARGS, true, do_read,
	  "[-Cqv] [-P pattern [-s off] [-l len]] off len" },
	{ "readv", 2, MAX_ARGS, true, do_readv,
	  "[-Cqv] [-P pattern] off len [len..]" },
	{ "reopen", 0, 0, true, do_reopen, "-- close and open again" },
	{ "sleep", 1, 1, false, do_sleep, "milliseconds" },
	{ "truncate", 1, 1, true, do_truncate, "size" },
	{ "write", 2, MAX_ARGS, true, do_write,
	  "[-Ccfnquz] [-P pattern | -s file] off len" },
	{ "writev", 2, MAX_ARGS, true, do_writev,
	  "[-Cfq] [-P pattern] off len [len..]" },
};

static void do_help(struct shell *sh, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (argc < 2 || !strcmp(argv[1], commands[i].name))
			printf("%s %s\n", commands[i].name, commands[i].usage);
}

/* ---- lines ---- */

static void run_line(struct shell *sh, char *line)
{
	char *argv[MAX_ARGS + 1], *save;
	int argc = 0;

	for (char *a = strtok_r(line, " \t\n", &save); a && argc < MAX_ARGS;
	     a = strtok_r(NULL, " \t\n", &save))
		argv[argc++] = a;
	argv[argc] = NULL;
	if (!argc || *argv[0] == '#')
		return;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (strcmp(argv[0], c->name) &&
		    !(*c->name == 'q' && !strcmp(argv[0], "q")))
			continue;
		if (argc - 1 < c->min_args || argc - 1 > c->max_args)
			fail(sh, "bad arguments: %s %s", c->name, c->usage);
		else if (c->needs_image && !sh->img)
			fail(sh, "no file open, try 'help open'");
		else
			c->run(sh, argc, argv);
		return;
	}
	fail(sh, "command \"%s\" not found", argv[0]);
}

static void run_stdin(struct shell *sh)
{
	bool prompt = isatty(STDIN_FILENO);
	char *line = NULL;
	size_t size = 0;

	while (!sh->quit) {
		if (prompt)
			printf("xdisk> ");
		fflush(stdout);
		if (getline(&line, &size, stdin) < 0)
			break;
		run_line(sh, line);
	}
	free(line);
}

static void run_commands(struct shell *sh, char *const *lines, int n)
{
	for (int i = 0; i < n && !sh->quit; i++) {
		cleanup_free char *line = strdup(lines[i]);

		if (line)
			run_line(sh, line);
		else
			fail(sh, "out of memory");
	}
}

/* ---- */

static int parse_option(struct shell *sh, int id, const char *arg)
{
	switch (id) {
	case 'r':
		sh->flags &= ~(unsigned int)IMAGE_RDWR;
		return 0;
	case 'n':
		sh->common.cache = IMAGE_CACHE_NONE;
		return 0;
	case 'i':
		return tool_common_option(&sh->common, OPT_AIO, arg);
	case 'd':
		if (!strcmp(arg, "unmap") || !strcmp(arg, "on"))
			sh->flags |= IMAGE_UNMAP;
		return 0;
	default:
		return tool_common_option(&sh->common, id, arg);
	}
}

static int shell(struct shell *sh, const char *path, char **lines, int n)
{
	if (path)
		open_image(sh, path, sh->common.format, sh->flags);
	if (!path || sh->img) {
		if (n)
			run_commands(sh, lines, n);
		else
			run_stdin(sh);
	}
	close_image(sh);
	free(sh->path);
	free(sh->format);
	return sh->failed ? EXIT_FAILED : EXIT_OK;
}

static int run_io(struct loop *loop, int argc, char **argv)
{
	struct shell sh = { .loop = loop, .flags = IMAGE_RDWR };
	cleanup_free char **lines = calloc((size_t)argc + 1, sizeof(*lines));
	int id, n = 0;

	if (!lines)
		return tool_error("out of memory");
	co_queue_init(&sh.idle);
	while ((id = tool_getopt(&verb_io, argc, argv)) != -1) {
		if (id == 'c')
			lines[n++] = optarg;
		else if (parse_option(&sh, id, optarg))
			return EXIT_FAILED;
	}
	if (argc - optind > 1)
		return tool_usage(&verb_io, "expecting at most one image file "
				  "name");
	return shell(&sh, optind < argc ? argv[optind] : NULL, lines, n);
}

const struct verb verb_io = {
	.name = "io",
	.summary = "read and write an image by commands, for tests",
	.usage = "[FILE]",
	.more = "Without -c commands are read from stdin; 'help' lists them. "
		"The exit status is 1\nwhen anything failed or did not match "
		"its pattern.",
	.options = options,
	.run = run_io,
};
