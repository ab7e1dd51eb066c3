/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk io: a small shell that reads and writes an image, for tests.
 *
 * Commands are qemu-io's: "write -P 5 0 64k", "read -P 5 0 64k", "aio_write
 * ...", "aio_flush", ... A command that fails, a pattern that does not match or
 * a line that makes no sense lets the rest run and makes the exit status 1.
 * Those that read and write are in tool/verbs/io/request.c.
 *
 * aio_* commands run on while the next ones are read; aio_flush, close and the
 * end of the shell wait for them.
 */
#include "tool/verbs/io/io.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/debug.h"
#include "image/info.h"
#include "image/make.h"
#include "image/resize.h"
#include "io/loop.h"
#include "tool/keyval.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/verbs/verbs.h"

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ 'c', "cmd", "COMMAND", "run it; may be given again" },
	{ 'r', "read-only", NULL, "open the image read-only" },
	{ 's', "temporary", NULL, "throw away what is written" },
	{ 'n', "nocache", NULL, "the same as -t none" },
	{ 'k', "native-aio", NULL, "the same as --aio native" },
	TOOL_CACHE,
	{ 'i', NULL, "ENGINE", "the same as --aio" },
	TOOL_AIO,
	{ 'd', "discard", "ignore|unmap", "whether discards reach the host [unmap]" },
	TOOL_SNAPSHOT,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END,
};

void io_fail(struct io_shell *sh, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	sh->failed = true;
}

/* As qemu-io prints what is not an answer of a command: on stderr. */
__attribute__((format(printf, 2, 3)))
static void io_error(struct io_shell *sh, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tool_error("%s", text);
	sh->failed = true;
}

/* ---- opening and closing ---- */


static void wait_idle(struct io_shell *sh)
{
	while (sh->in_flight)
		co_queue_wait(&sh->idle);
}

static void close_image(struct io_shell *sh)
{
	wait_idle(sh);
	if (sh->img && tool_close(sh->img))
		sh->failed = true;
	sh->img = NULL;
}

static void free_target(struct io_target *t)
{
	free(t->path);
	free(t->format);
	free(t->opts);
}

/* In qemu-io's words: the reason alone when it was open before. */
static void print_not_opened(const struct io_target *t, bool again,
			     const char *why)
{
	if (again)
		tool_error("%s", why);
	else if (t->path)
		tool_error("can't open device %s: %s", t->path, why);
	else
		tool_error("can't open: %s", why);
}

/* NULL: printed why. */
static struct image *open_target(struct io_shell *sh,
				 const struct io_target *t, bool again)
{
	struct tool_common c = sh->common;
	struct error err = ERROR_INIT;
	struct image *img = NULL;
	int ret;

	c.format = t->format;
	c.cache = t->cache;
	c.image_opts = t->opts;
	c.beside = t->path;
	ret = tool_open_image(sh->loop, t->opts ? t->opts : t->path, &c,
			      t->flags, &img, &err);
	if (ret < 0)
		print_not_opened(t, again, error_text(&err, ret));
	return ret ? NULL : img;
}

/* Takes over the target; what was open is closed first. */
static void open_image(struct io_shell *sh, struct io_target *t, bool again)
{
	close_image(sh);
	free_target(&sh->target);
	sh->target = *t;
	sh->img = open_target(sh, t, again);
	if (!sh->img)
		sh->failed = true;
}

/* The options after `more` was added to them. 0 or -ENOMEM */
static int add_options(char **opts, const char *more)
{
	char *text;

	if (asprintf(&text, "%s%s%s", *opts ? *opts : "", *opts ? "," : "",
		     more) < 0)
		return -ENOMEM;
	free(*opts);
	*opts = text;
	return 0;
}

/* An empty overlay whose name is gone as soon as it is open. */
static struct image *open_overlay(struct io_shell *sh, const char *path,
				  const char *base, const char *format)
{
	const struct image_create_option options[] = {
		{ "backing_file", base }, { "backing_fmt", format },
	};
	struct tool_common c = sh->common;
	struct error err = ERROR_INIT;
	int ret = image_create(sh->loop, path, "qcow2", UINT64_MAX, options,
			       ARRAY_SIZE(options), &err);

	if (ret) {
		tool_error("%s", error_text(&err, ret));
		return NULL;
	}
	c.format = "qcow2";
	return tool_open(sh->loop, path, &c, IMAGE_RDWR);
}

static struct image *open_temporary(struct io_shell *sh, const char *base)
{
	cleanup_free char *real = realpath(base, NULL);
	const char *dir = getenv("TMPDIR"), *format;
	cleanup_free char *path = NULL;
	struct image *img;
	int fd;

	if (!real || tool_is_described(&sh->common, base)) {
		tool_error("%s: -s needs the path of a file", base);
		return NULL;
	}
	format = tool_format(sh->loop, real, sh->common.format, NULL,
			     sh->common.quiet);
	if (!format)
		return NULL;
	if (asprintf(&path, "%s/xdisk-io-XXXXXX", dir ? dir : "/var/tmp") < 0)
		path = NULL;
	fd = path ? mkstemp(path) : -1;
	if (fd < 0) {
		tool_error("Could not create a temporary overlay '%s': %s",
			   path ? path : "", strerror(errno));
		return NULL;
	}
	close(fd);
	img = open_overlay(sh, path, real, format);
	unlink(path);
	return img;
}

/* The image of the command line. */
static void open_first(struct io_shell *sh, const char *path)
{
	struct io_target t = {
		.format = sh->common.format ? strdup(sh->common.format) : NULL,
		.flags = sh->flags,
		.cache = sh->common.cache,
	};

	if (sh->temporary)
		sh->img = open_temporary(sh, path);
	else if (sh->common.image_opts)
		t.opts = strdup(path);
	else
		t.path = strdup(path);
	if (!sh->temporary) {
		open_image(sh, &t, false);
		return;
	}
	free_target(&t);
	sh->failed |= !sh->img;
}

/* ---- the other commands ---- */

static void do_flush(struct io_shell *sh, int argc, char **argv)
{
	int ret = image_flush(sh->img);

	if (ret)
		io_fail(sh, "flush failed: %s", strerror(-ret));
}

static void do_aio_flush(struct io_shell *sh, int argc, char **argv)
{
	wait_idle(sh);
}

static void do_truncate(struct io_shell *sh, int argc, char **argv)
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
	wait_idle(sh);
	ret = mode ? image_grow(sh->img, size, mode, NULL, &err) :
		     image_truncate(sh->img, size, &err);
	if (ret)
		io_error(sh, "%s", error_text(&err, ret));
}

static void do_length(struct io_shell *sh, int argc, char **argv)
{
	char text[SIZE_TEXT_MAX];

	puts(io_exact_size((double)image_size(sh->img), text));
}

static void do_info(struct io_shell *sh, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	char text[SIZE_TEXT_MAX];
	struct image_info info;
	uint64_t unit;
	int ret = image_get_info(sh->img, &info, &err);

	if (ret) {
		io_error(sh, "%s", error_text(&err, ret));
		return;
	}
	printf("format name: %s\n", image_format(sh->img));
	if (info.cluster_size)
		printf("cluster size: %s\n",
		       io_exact_size((double)info.cluster_size, text));
	if (info.is_qcow2) {
		/* what one L2 table covers */
		unit = (uint64_t)info.cluster_size * info.cluster_size /
		       (info.extended_l2 ? 16 : 8);
		printf("vm state offset: %s\n", io_exact_size((double)
		       align_up(image_size(sh->img), unit), text));
	}
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

static void do_map(struct io_shell *sh, int argc, char **argv)
{
	for_each_run(sh, 0, image_size(sh->img), print_run, NULL);
}

static void do_alloc(struct io_shell *sh, int argc, char **argv)
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

static void do_sleep(struct io_shell *sh, int argc, char **argv)
{
	uint64_t ms;

	if (number_parse(argv[1], 86400000, &ms))
		io_fail(sh, "%s is not a number of milliseconds", argv[1]);
	else
		co_sleep(sh->loop, ms * 1000000);
}

/* ---- breakpoints of blkdebug ---- */

static void judge_break(struct io_shell *sh, const char *what, int ret)
{
	if (ret)
		io_fail(sh, "Could not %s: %s", what, strerror(-ret));
}

static void do_break(struct io_shell *sh, int argc, char **argv)
{
	judge_break(sh, "set a breakpoint",
		    image_break(sh->img, argv[1], argv[2]));
}

static void do_remove_break(struct io_shell *sh, int argc, char **argv)
{
	judge_break(sh, "remove a breakpoint",
		    image_resume(sh->img, argv[1], true));
}

static void do_resume(struct io_shell *sh, int argc, char **argv)
{
	judge_break(sh, "resume request",
		    image_resume(sh->img, argv[1], false));
}

static void do_wait_break(struct io_shell *sh, int argc, char **argv)
{
	while (!image_is_suspended(sh->img, argv[1]))
		co_sleep(sh->loop, 1000000);
}

/* ---- open and reopen ---- */

/* As qemu-io has it, discards reach the host unless they are not to. */
static int discard_option(struct io_shell *sh, const char *mode,
			  unsigned int *flags)
{
	if (!strcmp(mode, "unmap") || !strcmp(mode, "on")) {
		*flags |= IMAGE_UNMAP;
	} else if (!strcmp(mode, "ignore") || !strcmp(mode, "off")) {
		*flags &= ~(unsigned int)IMAGE_UNMAP;
	} else {
		io_error(sh, "Invalid discard option: %s", mode);
		return -EINVAL;
	}
	return 0;
}

/* false: printed why. */
static bool open_option(struct io_shell *sh, struct io_target *t, int id)
{
	switch (id) {
	case 'r':
		t->flags &= ~(unsigned int)IMAGE_RDWR;
		return true;
	case 'w':
		t->flags |= IMAGE_RDWR;
		return true;
	case 'U':
		t->flags |= IMAGE_SHARE;
		return true;
	case 'n':
		t->cache = IMAGE_CACHE_NONE;
		return true;
	case 'k':
		return !tool_common_option(&sh->common, OPT_AIO, "native");
	case 'd':
		return !discard_option(sh, optarg, &t->flags);
	case 'f':
		free(t->format);
		t->format = strdup(optarg);
		return t->format;
	case 'o':
		return !add_options(&t->opts, optarg);
	case 'c':
	case 't':
		if (!image_parse_cache(optarg, &t->cache))
			return true;
		io_error(sh, "Invalid cache option: %s", optarg);
		return false;
	default:
		io_fail(sh, "invalid option");
		return false;
	}
}

static bool open_options(struct io_shell *sh, struct io_target *t, int argc,
			 char **argv, const char *letters)
{
	int id;

	optind = 0;
	opterr = 0;
	while ((id = getopt(argc, argv, letters)) != -1)
		if (!open_option(sh, t, id))
			return false;
	return true;
}

static void do_open(struct io_shell *sh, int argc, char **argv)
{
	struct io_target t = {
		.flags = IMAGE_RDWR | IMAGE_UNMAP,
		.cache = sh->common.cache,
	};
	bool good = open_options(sh, &t, argc, argv, "d:knrUt:o:f:");

	if (good && (argc - optind > 1 || (argc == optind && !t.opts))) {
		io_fail(sh, "open: expecting one file");
		good = false;
	}
	if (good && optind < argc)
		t.path = strdup(argv[optind]);
	if (good)
		open_image(sh, &t, false);
	else
		free_target(&t);
}

static void do_close(struct io_shell *sh, int argc, char **argv)
{
	close_image(sh);
}

static int copy_target(struct io_target *t, const struct io_target *from,
		       const struct image *img)
{
	*t = *from;
	t->path = from->path ? strdup(from->path) : NULL;
	t->opts = from->opts ? strdup(from->opts) : NULL;
	/* What was guessed once is not guessed again, but remains a guess. */
	t->format = strdup(image_format(img));
	t->flags |= image_guessed(img) ? IMAGE_GUESSED : 0;
	return t->format && !t->path == !from->path &&
	       !t->opts == !from->opts ? 0 : -ENOMEM;
}

/* Was that option said when the image was opened? */
static bool was_said(const struct io_target *t, const struct keyval *kv)
{
	struct keyvals old = { 0 };
	bool found = false;

	if (!t->opts || keyval_parse(&old, t->opts, NULL))
		return false;
	for (unsigned int i = 0; i < old.nr; i++)
		found |= !strcmp(old.v[i].key, kv->key) &&
			 !strcmp(old.v[i].value, kv->value);
	keyval_free(&old);
	return found;
}

static bool is_driver_of(const struct image *img, const char *value)
{
	return img && !strcmp(image_format(img), value);
}

/* What the nodes are cannot change, only how they are open. */
static bool may_change(struct io_shell *sh, const struct keyval *kv)
{
	const char *dot = strrchr(kv->key, '.');
	const char *name = dot ? dot + 1 : kv->key;

	if ((strcmp(name, "driver") && strcmp(name, "node-name")) ||
	    was_said(&sh->target, kv) ||
	    (!strcmp(kv->key, "driver") && is_driver_of(sh->img, kv->value)) ||
	    (!strcmp(kv->key, "file.driver") &&
	     is_driver_of(image_file(sh->img), kv->value)) ||
	    (!strcmp(kv->key, "backing.driver") &&
	     is_driver_of(image_backing(sh->img), kv->value)))
		return true;
	io_error(sh, "Cannot change the option '%s'", name);
	return false;
}

/* What is said by a letter is not said by an option as well. */
static bool judge_reopen(struct io_shell *sh, const struct keyval *kv,
			 bool mode, bool cache)
{
	if (mode && !strcmp(kv->key, "read-only")) {
		io_error(sh, "Cannot set both -r/-w and 'read-only'");
		return false;
	}
	if (cache && !strncmp(kv->key, "cache.", 6)) {
		io_error(sh, "Cannot set both -c and the cache options");
		return false;
	}
	return may_change(sh, kv);
}

static bool judge_reopen_all(struct io_shell *sh, int argc, char **argv)
{
	bool mode = false, cache = false, good = true;

	for (int i = 1; i < argc; i++) {
		mode |= !strcmp(argv[i], "-r") || !strcmp(argv[i], "-w");
		cache |= !strcmp(argv[i], "-c");
	}
	for (int i = 1; good && i + 1 < argc; i++) {
		struct keyvals kv = { 0 };

		if (strcmp(argv[i], "-o"))
			continue;
		good = !keyval_parse(&kv, argv[i + 1], NULL);
		for (unsigned int k = 0; good && k < kv.nr; k++)
			good = judge_reopen(sh, &kv.v[k], mode, cache);
		keyval_free(&kv);
	}
	return good;
}

/* When it cannot be opened in the new way it is opened in the old one. */
static void do_reopen(struct io_shell *sh, int argc, char **argv)
{
	struct io_target t, old = { 0 };
	bool good;

	if (!sh->target.path && !sh->target.opts) {
		io_error(sh, "What is thrown away cannot be opened again");
		return;
	}
	good = !copy_target(&t, &sh->target, sh->img) &&
	       judge_reopen_all(sh, argc, argv) &&
	       open_options(sh, &t, argc, argv, "c:o:rw");
	if (good && optind != argc) {
		io_fail(sh, "reopen: there is no file to be named");
		good = false;
	}
	if (!good || copy_target(&old, &sh->target, sh->img)) {
		sh->failed = true;
		free_target(&t);
		free_target(&old);
		return;
	}
	open_image(sh, &t, true);
	if (!sh->img)
		open_image(sh, &old, true);
	else
		free_target(&old);
}

static void do_abort(struct io_shell *sh, int argc, char **argv)
{
	fflush(NULL);
	abort();
}

static void do_sigraise(struct io_shell *sh, int argc, char **argv)
{
	uint64_t sig;

	if (number_parse(argv[1], 64, &sig) || !sig) {
		io_fail(sh, "non-numeric signal number argument -- %s",
			argv[1]);
		return;
	}
	fflush(NULL);
	raise((int)sig);
}

static void do_quit(struct io_shell *sh, int argc, char **argv)
{
	sh->quit = true;
}

static void do_help(struct io_shell *sh, int argc, char **argv);

static const struct command {
	const char *name;
	int min_args, max_args;		/* besides the name */
	enum { NO_IMAGE, IMAGE, WRITABLE } needs;
	void (*run)(struct io_shell *sh, int argc, char **argv);
	const char *usage;
	const char *letter;		/* also does; NULL: none */
} commands[] = {
	{ "abort", 0, 0, NO_IMAGE, do_abort, "-- dump core" },
	{ "aio_flush", 0, 0, IMAGE, do_aio_flush,
	  "-- waits for all aio commands" },
	{ "aio_read", 2, IO_MAX_ARGS, IMAGE, io_aio_read,
	  "[-Cqv] [-P pattern] off len [len..]" },
	{ "aio_write", 2, IO_MAX_ARGS, WRITABLE, io_aio_write,
	  "[-Cfquz] [-P pattern] off len [len..]" },
	{ "alloc", 1, 2, IMAGE, do_alloc,
	  "off [len] -- how much is allocated in this layer", "a" },
	{ "break", 2, 2, IMAGE, do_break,
	  "event tag -- the next request that comes by waits there" },
	{ "close", 0, 0, IMAGE, do_close, "", "c" },
	{ "discard", 2, IO_MAX_ARGS, WRITABLE, io_discard, "[-Cq] off len", "d" },
	{ "flush", 0, 0, IMAGE, do_flush, "", "f" },
	{ "help", 0, 1, NO_IMAGE, do_help, "", "?" },
	{ "info", 0, 0, IMAGE, do_info, "-- about the image", "i" },
	{ "length", 0, 0, IMAGE, do_length, "-- of the disk", "l" },
	{ "map", 0, 0, IMAGE, do_map, "-- what is allocated in this layer" },
	{ "open", 1, IO_MAX_ARGS, NO_IMAGE, do_open,
	  "[-knrU] [-t cache] [-d discard] [-f format] [-o options] [file]", "o" },
	{ "quit", 0, 0, NO_IMAGE, do_quit, "", "q" },
	{ "read", 2, IO_MAX_ARGS, IMAGE, io_read,
	  "[-Cqv] [-P pattern [-s off] [-l len]] off len", "r" },
	{ "readv", 2, IO_MAX_ARGS, IMAGE, io_readv,
	  "[-Cqv] [-P pattern] off len [len..]" },
	{ "remove_break", 1, 1, IMAGE, do_remove_break, "tag" },
	{ "reopen", 0, IO_MAX_ARGS, IMAGE, do_reopen,
	  "[-r | -w] [-c cache] [-o options] -- close and open again" },
	{ "resume", 1, 1, IMAGE, do_resume,
	  "tag -- what waits at the breakpoint goes on" },
	{ "sigraise", 1, 1, NO_IMAGE, do_sigraise, "signal number" },
	{ "sleep", 1, 1, NO_IMAGE, do_sleep, "milliseconds" },
	{ "truncate", 1, 3, WRITABLE, do_truncate,
	  "[-m preallocation] size", "t" },
	{ "wait_break", 1, 1, IMAGE, do_wait_break,
	  "tag -- waits until a request has come there" },
	{ "write", 2, IO_MAX_ARGS, WRITABLE, io_write,
	  "[-Ccfnquz] [-P pattern | -s file] off len", "w" },
	{ "writev", 2, IO_MAX_ARGS, WRITABLE, io_writev,
	  "[-Cfq] [-P pattern] off len [len..]" },
};

static void do_help(struct io_shell *sh, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (argc < 2 || !strcmp(argv[1], commands[i].name))
			printf("%s %s\n", commands[i].name, commands[i].usage);
}

/* ---- lines ---- */

static void run_line(struct io_shell *sh, char *line)
{
	char *argv[IO_MAX_ARGS + 1], *save;
	int argc = 0;

	for (char *a = strtok_r(line, " \t\n", &save); a && argc < IO_MAX_ARGS;
	     a = strtok_r(NULL, " \t\n", &save))
		argv[argc++] = a;
	argv[argc] = NULL;
	if (!argc || *argv[0] == '#')
		return;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (strcmp(argv[0], c->name) &&
		    (!c->letter || strcmp(argv[0], c->letter)))
			continue;
		if (argc - 1 < c->min_args || argc - 1 > c->max_args)
			io_fail(sh, "bad arguments: %s %s", c->name, c->usage);
		else if (c->needs && !sh->img)
			io_fail(sh, "no file open, try 'help open'");
		else if (c->needs == WRITABLE && !image_writable(sh->img))
			io_error(sh, "Block node is read-only");
		else
			c->run(sh, argc, argv);
		return;
	}
	io_fail(sh, "command \"%s\" not found", argv[0]);
}

static void run_stdin(struct io_shell *sh)
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

static void run_commands(struct io_shell *sh, char *const *lines, int n)
{
	for (int i = 0; i < n && !sh->quit; i++) {
		cleanup_free char *line = strdup(lines[i]);

		if (line)
			run_line(sh, line);
		else
			io_fail(sh, "out of memory");
	}
}

/* ---- */

static int parse_option(struct io_shell *sh, int id, const char *arg)
{
	switch (id) {
	case 'r':
		sh->flags &= ~(unsigned int)IMAGE_RDWR;
		return 0;
	case 's':
		sh->temporary = true;
		return 0;
	case 'n':
		sh->common.cache = IMAGE_CACHE_NONE;
		return 0;
	case 'k':
		return tool_common_option(&sh->common, OPT_AIO, "native");
	case 'i':
		return tool_common_option(&sh->common, OPT_AIO, arg);
	case 'd':
		return discard_option(sh, arg, &sh->flags);
	default:
		return tool_common_option(&sh->common, id, arg);
	}
}

static int shell(struct io_shell *sh, const char *path, char **lines, int n)
{
	if (path)
		open_first(sh, path);
	if (!path || sh->img) {
		if (n)
			run_commands(sh, lines, n);
		else
			run_stdin(sh);
	}
	close_image(sh);
	free_target(&sh->target);
	return sh->failed ? EXIT_FAILED : EXIT_OK;
}

static int run_io(struct loop *loop, int argc, char **argv)
{
	/* As in qemu-io, what is discarded is. */
	struct io_shell sh = {
		.loop = loop, .flags = IMAGE_RDWR | IMAGE_UNMAP,
	};
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
