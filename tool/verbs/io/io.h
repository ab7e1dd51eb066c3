/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io.h: what the parts of xdisk io share: tool/verbs/io.c is the shell and opens
 * images, request.c has the commands that read and write.
 *
 * All runs in coroutines of the tool's one loop.
 */
#ifndef XD_TOOL_IO_H
#define XD_TOOL_IO_H

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

/* Prints the line; the exit status will be 1. */
void io_fail(struct io_shell *sh, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Of the argument `what`; false: printed. */
bool io_parse_size(struct io_shell *sh, const char *what, const char *text,
		   uint64_t *value);
/* "4 KiB", "2.062 MiB" */
const char *io_exact_size(double bytes, char buf[SIZE_TEXT_MAX]);

/* co. The commands; with an image open. */
void io_read(struct io_shell *sh, int argc, char **argv);
void io_readv(struct io_shell *sh, int argc, char **argv);
void io_aio_read(struct io_shell *sh, int argc, char **argv);
void io_write(struct io_shell *sh, int argc, char **argv);
void io_writev(struct io_shell *sh, int argc, char **argv);
void io_aio_write(struct io_shell *sh, int argc, char **argv);
void io_discard(struct io_shell *sh, int argc, char **argv);

#endif
