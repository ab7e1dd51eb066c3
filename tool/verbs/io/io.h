/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io.h: what the commands of xdisk io share: the image that is open, errors and
 * sizes in qemu-io's way.
 *
 * All runs in coroutines of the tool's one loop. Commands have the type of
 * io_command_fn: argv[0] is the command; what they have to say is printed.
 */
#ifndef XD_TOOL_VERBS_IO_IO_H
#define XD_TOOL_VERBS_IO_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/size.h"
#include "io/coroutine.h"
#include "tool/option.h"

#define IO_MAX_ARGS 32

/* How an image was opened; the strings are its own. */
struct io_target {
	char *path, *format;	/* NULL: not given */
	char *opts;		/* image options, NULL: none */
	unsigned int flags;	/* enum image_open_flags */
	enum image_cache cache;
};

struct io_shell {
	struct loop *loop;
	struct tool_common common;
	unsigned int flags;		/* of the command line, as io_target */
	bool temporary;			/* -s: writes are thrown away */
	struct image *img;		/* NULL: none is open */
	struct io_target target;	/* of the last one that was */
	unsigned int in_flight;		/* aio_* commands */
	struct co_queue idle;		/* waits for in_flight == 0 */
	bool failed, quit;
};

typedef void io_command_fn(struct io_shell *sh, int argc, char **argv);

/* Prints the line as a command's answer; the exit status will be 1. */
void io_fail(struct io_shell *sh, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same on stderr, where qemu-io prints errors that are not an answer. */
void io_error(struct io_shell *sh, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* co. Until no aio_* command is in flight. */
void io_wait_idle(struct io_shell *sh);
/* Of the argument `what`; false: printed. */
bool io_parse_size(struct io_shell *sh, const char *what, const char *text,
		   uint64_t *value);
/* "4 KiB", "2.062 MiB" */
const char *io_exact_size(double bytes, char buf[SIZE_TEXT_MAX]);

#endif
