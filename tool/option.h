/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* option.h: the command line of a verb, and options that several verbs know. */
#ifndef XD_TOOL_OPTION_H
#define XD_TOOL_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "tool/verb.h"

/* Options that several verbs know; tool_common_option() takes them. */
#define TOOL_FORMAT { 'f', "format", "FMT", \
	"format of the image: raw, qcow2, ..." }
#define TOOL_QUIET { 'q', "quiet", NULL, "print nothing but errors" }
#define TOOL_PROGRESS { 'p', "progress", NULL, "show how far it has come" }
#define TOOL_SHARE { 'U', "force-share", NULL, \
	"look at an image that others may be writing to" }
#define TOOL_OUTPUT { OPT_OUTPUT, "output", "human|json", "how to print" }
#define TOOL_CACHE { 't', "cache", "MODE", \
	IMAGE_CACHE_MODES(", ") }
#define TOOL_AIO { OPT_AIO, "aio", "ENGINE", \
	AIO_ENGINES(", ", "native (libaio)") }
#define TOOL_IMAGE_OPTS { OPT_IMAGE_OPTS, "image-opts", NULL, \
	"FILE is options: driver=qcow2,file.filename=..." }
#define TOOL_SNAPSHOT { OPT_SNAPSHOT, "snapshot", "SNAPSHOT", \
	"not the disk but this internal snapshot of it" }

struct tool_common {
	const char *format;	/* NULL: not given */
	bool quiet, share, json, progress;
	bool image_opts;	/* names of images are options: image-opts.h */
	const char *beside;	/* with image_opts: a name besides, NULL: none */
	enum image_cache cache;
	enum aio_kind aio;
	const char *snapshot;	/* struct image_options.snapshot, NULL: none */
	unsigned int writable_backing;	/* as in struct image_options */
	const char *format_option;	/* where it is not -f */
	bool guess_told;	/* that the format is guessed was said */
};

/* The next option of argv, by its id; -1: no more; '?': it was wrong and the
 * reason is printed. --help is seen to here and ends the program; --object is
 * seen to here as well. */
int tool_getopt(const struct verb *verb, int argc, char **argv);

/* Takes one of the common options. EXIT_OK, or EXIT_FAILED: printed. */
int tool_common_option(struct tool_common *c, int id, const char *arg);
/* The cache mode of images that are only read (-T). The same. */
int tool_source_cache(enum image_cache *cache, const char *arg);

/* Is guessing a format forbidden, by --strict-format or xdisk.conf? */
bool tool_strict_format(void);
/* On stderr: the command line that was given, with that option in it. */
void tool_suggest(const char *option, const char *value);

/* ---- numbers ---- */

/* With qemu-img's sentences about `what`; EXIT_FAILED. A number has no suffix. */
int tool_parse_number(const char *what, const char *text, uint64_t min,
		      uint64_t max, uint64_t *value);
int tool_parse_size(const char *what, const char *text, uint64_t min,
		    uint64_t max, uint64_t *bytes);

#endif
