/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk io: a small shell that reads and writes an image, for tests.
 *
 * Commands are qemu-io's: "write -P 5 0 64k", "read -P 5 0 64k", "aio_write
 * ...", "aio_flush", ... A command that fails, a pattern that does not match or
 * a line that makes no sense lets the rest run and makes the exit status 1.
 * Here: the list of commands, and the lines that name them.
 *
 * aio_* commands run on while the next ones are read; aio_flush, close and the
 * end of the shell wait for them.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "io/loop.h"
#include "tool/message.h"
#include "tool/verbs/io/break.h"
#include "tool/verbs/io/info.h"
#include "tool/verbs/io/open.h"
#include "tool/verbs/io/request.h"
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

/* ---- commands of the shell itself ---- */

static void do_sleep(struct io_shell *sh, int argc, char **argv)
{
	uint64_t ms;

	if (number_parse(argv[1], 86400000, &ms))
		io_fail(sh, "%s is not a number of milliseconds", argv[1]);
	else
		co_sleep(sh->loop, ms * 1000000);
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

static io_command_fn do_help;

static const struct command {
	const char *name;
	int min_args, max_args;		/* besides the name */
	enum { NO_IMAGE, IMAGE, WRITABLE } needs;
	io_command_fn *run;
	const char *usage;
	const char *letter;		/* also does; NULL: none */
} commands[] = {
	{ "abort", 0, 0, NO_IMAGE, do_abort, "-- dump core" },
	{ "aio_flush", 0, 0, IMAGE, io_aio_flush,
	  "-- waits for all aio commands" },
	{ "aio_read", 2, IO_MAX_ARGS, IMAGE, io_aio_read,
	  "[-Cqv] [-P pattern] off len [len..]" },
	{ "aio_write", 2, IO_MAX_ARGS, WRITABLE, io_aio_write,
	  "[-Cfquz] [-P pattern] off len [len..]" },
	{ "alloc", 1, 2, IMAGE, io_alloc,
	  "off [len] -- how much is allocated in this layer", "a" },
	{ "break", 2, 2, IMAGE, io_break,
	  "event tag -- the next request that comes by waits there" },
	{ "close", 0, 0, IMAGE, io_close, "", "c" },
	{ "discard", 2, IO_MAX_ARGS, WRITABLE, io_discard, "[-Cq] off len", "d" },
	{ "flush", 0, 0, IMAGE, io_flush, "", "f" },
	{ "help", 0, 1, NO_IMAGE, do_help, "", "?" },
	{ "info", 0, 0, IMAGE, io_info, "-- about the image", "i" },
	{ "length", 0, 0, IMAGE, io_length, "-- of the disk", "l" },
	{ "map", 0, 0, IMAGE, io_map, "-- what is allocated in this layer" },
	{ "open", 1, IO_MAX_ARGS, NO_IMAGE, io_open,
	  "[-knrU] [-t cache] [-d discard] [-f format] [-o options] [file]", "o" },
	{ "quit", 0, 0, NO_IMAGE, do_quit, "", "q" },
	{ "read", 2, IO_MAX_ARGS, IMAGE, io_read,
	  "[-Cqv] [-P pattern [-s off] [-l len]] off len", "r" },
	{ "readv", 2, IO_MAX_ARGS, IMAGE, io_readv,
	  "[-Cqv] [-P pattern] off len [len..]" },
	{ "remove_break", 1, 1, IMAGE, io_remove_break, "tag" },
	{ "reopen", 0, IO_MAX_ARGS, IMAGE, io_reopen,
	  "[-r | -w] [-c cache] [-o options] -- close and open again" },
	{ "resume", 1, 1, IMAGE, io_resume,
	  "tag -- what waits at the breakpoint goes on" },
	{ "sigraise", 1, 1, NO_IMAGE, do_sigraise, "signal number" },
	{ "sleep", 1, 1, NO_IMAGE, do_sleep, "milliseconds" },
	{ "truncate", 1, 3, WRITABLE, io_truncate,
	  "[-m preallocation] size", "t" },
	{ "wait_break", 1, 1, IMAGE, io_wait_break,
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

/* ---- the verb ---- */

static int io_option(struct io_shell *sh, int id, const char *arg)
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
		return !io_parse_discard(sh, arg, &sh->flags);
	default:
		return tool_common_option(&sh->common, id, arg);
	}
}

static int shell(struct io_shell *sh, const char *path, char **lines, int n)
{
	if (path)
		io_open_first(sh, path);
	if (!path || sh->img) {
		if (n)
			run_commands(sh, lines, n);
		else
			run_stdin(sh);
	}
	io_close_last(sh);
	return sh->failed ? EXIT_FAILED : EXIT_OK;
}

static int run_io(struct loop *loop, int argc, char **argv)
{
	/* As in qemu-io, discards reach the file by default. */
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
		else if (io_option(&sh, id, optarg))
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
