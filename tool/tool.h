/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tool.h: what the verbs of xdisk share. */
#ifndef XD_TOOL_TOOL_H
#define XD_TOOL_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "image/image.h"
#include "tool/verb.h"

struct loop;

/* ---- exit statuses ---- */

enum tool_exit {
	EXIT_OK = 0,
	EXIT_FAILED = 1,	/* it did not work, or was asked wrongly */
	/* of check */
	EXIT_CORRUPT = 2,
	EXIT_LEAKS = 3,
	EXIT_NO_CHECK = 63,	/* the format has nothing to check */
};

/* ---- options ---- */

/* Options that several verbs know; tool_common_option() takes them. */
#define TOOL_FORMAT { 'f', "format", "FMT", "format of the image: raw, qcow2, ..." }
#define TOOL_QUIET { 'q', "quiet", NULL, "print nothing but errors" }
#define TOOL_PROGRESS { 'p', "progress", NULL, "show how far it has come" }
#define TOOL_SHARE { 'U', "force-share", NULL, \
	"look at an image that others may be writing to" }
#define TOOL_OUTPUT { OPT_OUTPUT, "output", "human|json", "how to print" }
#define TOOL_CACHE { 't', "cache", "MODE", \
	"none, writeback, writethrough, directsync, unsafe" }
#define TOOL_AIO { OPT_AIO, "aio", "ENGINE", \
	"auto, io_uring, native (libaio), threads" }
#define TOOL_IMAGE_OPTS { OPT_IMAGE_OPTS, "image-opts", NULL, \
	"FILE is options: driver=qcow2,file.filename=..." }
#define TOOL_SNAPSHOT { OPT_SNAPSHOT, "snapshot", "SNAPSHOT", \
	"not the disk but this internal snapshot of it" }

struct tool_common {
	const char *format;	/* NULL: not given */
	bool quiet, share, json, progress;
	bool image_opts;	/* names of images are options: image-opts.h */
	const char *beside;	/* with image_opts: a name besides, NULL: none */
	bool nameless;		/* an error says qemu-io's "can't open" */
	enum image_cache cache;
	enum aio_kind aio;
	const char *snapshot;	/* struct image_options.snapshot, NULL: none */
	unsigned int writable_backing;	/* as in struct image_options */
	const char *format_option;	/* where it is not -f */
	const char *device;	/* an error says qemu-io's "can't open device",
				 * of "" the reason alone */
	bool guess_told;	/* that the format is guessed was said */
};

/* The next option of argv, by its id; -1: no more; '?': it was wrong and the
 * reason is printed. --help is seen to here and ends the program; --object is
 * seen to here as well. */
int tool_getopt(const struct verb *verb, int argc, char **argv);

/* Takes one of the common options. 0, or -EINVAL: printed. */
int tool_common_option(struct tool_common *c, int id, const char *arg);
/* The cache mode of images that are only read (-T). The same. */
int tool_source_cache(enum image_cache *cache, const char *arg);

/* ---- messages ---- */

/* "xdisk: ..." on stderr; returns EXIT_FAILED. */
int tool_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same with where to find help behind it. */
int tool_usage(const struct verb *verb, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- numbers on the command line ---- */

/* With qemu-img's sentences about `what`; EXIT_FAILED. A number has no suffix. */
int tool_parse_number(const char *what, const char *text, uint64_t min,
		      uint64_t max, uint64_t *value);
int tool_parse_size(const char *what, const char *text, uint64_t min,
		    uint64_t max, uint64_t *bytes);

/* ---- images ---- */

/* Is guessing a format forbidden, by --strict-format or xdisk.conf? */
bool tool_strict_format(void);
/* Is `name` one of image-opts.h, in itself or since all are? */
bool tool_is_described(const struct tool_common *c, const char *name);
/* On stderr: the command line that was given, with that option in it. */
void tool_suggest(const char *option, const char *value);

/*
 * co. The format of `path`: the one given, or else a guess, which is told on
 * stderr (unless `quiet`). `option` would have said it, NULL: -f. NULL: printed
 * why.
 */
const char *tool_format(struct loop *loop, const char *path, const char *given,
			const char *option, bool quiet);

/* co. Opens the image with the common options and `flags`; NULL: printed why.
 * With --image-opts `path` is options: image_path() tells what it led to. */
struct image *tool_open(struct loop *loop, const char *path,
			const struct tool_common *c, unsigned int flags);
/* co. A backing image that a person has described. *format: as given or NULL,
 * then what it is. NULL: printed why. */
const struct image_node *tool_describe(struct loop *loop, const char *name,
				       const char **format, bool quiet);
/* Prints what can be said with -o to make images of a format. */
int tool_list_create_options(const char *format);
/* co. EXIT_OK or EXIT_FAILED, printed. */
int tool_close(struct image *img);

/* ---- JSON ---- */

#include <jansson.h>

/* A string with bytes that are no UTF-8 replaced by U+FFFD. */
json_t *tool_json_text(const char *text);
/* Prints in qemu-img's layout and lets go of it; EXIT_OK or EXIT_FAILED. */
int tool_json_print(json_t *json);

#endif
