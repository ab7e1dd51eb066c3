/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verb.h: a verb of the tool, and what is told from its record.
 *
 * A verb is one const record; dispatch, help and shell completion are made from
 * it. It runs in a coroutine of the tool's loop, so it may call any "co"
 * function. Results go to stdout, everything else to stderr.
 */
#ifndef XD_TOOL_VERB_H
#define XD_TOOL_VERB_H

struct loop;

struct tool_option {
	int id;			/* the short letter, or one of enum long_option */
	const char *name;	/* the long name, NULL: none */
	const char *arg;	/* the argument's name, NULL: takes none */
	const char *help;
};

#define TOOL_END { 0, NULL, NULL, NULL }

enum long_option {
	OPT_OUTPUT = 0x100, OPT_AIO, OPT_BACKING_CHAIN, OPT_START_OFFSET,
	OPT_MAX_LENGTH, OPT_HELP, OPT_IMAGE_OPTS, OPT_OBJECT, OPT_STRICT_FORMAT,
	OPT_COMPRESSION_LEVEL, OPT_IMAGE_DIRS, OPT_DATA, OPT_DRY_RUN,
	OPT_FORCE, OPT_ONCE,
	OPT_PREALLOCATION, OPT_SALVAGE,
	OPT_SHRINK, OPT_SNAPSHOT, OPT_ZEROES, OPT_TARGET_IMAGE_OPTS,
	OPT_TARGET_IS_ZERO,
	OPT_ADD, OPT_REMOVE, OPT_CLEAR, OPT_ENABLE, OPT_DISABLE,
	OPT_MERGE, OPT_BITMAPS, OPT_SKIP_BROKEN_BITMAPS,
	OPT_SIZE, OPT_RANDOM, OPT_PATTERN, OPT_FLUSH_INTERVAL, OPT_NO_DRAIN,
};

struct verb {
	const char *name;
	const char *summary;		/* half a line */
	const char *usage;		/* what stands behind the options */
	const char *more;		/* paragraphs for --help, or NULL */
	const struct tool_option *options;	/* ended by TOOL_END */
	/* co. argv[0] is the verb. Returns the exit status. */
	int (*run)(struct loop *loop, int argc, char **argv);
};

/* Options of every verb, which tool_getopt() sees to itself; TOOL_END last. */
extern const struct tool_option tool_every_option[];

/* Lists of verbs are ended by NULL. All prints on stdout. */
void tool_help_program(const struct verb *const *verbs);
void tool_help_verb(const struct verb *verb);
/* A script for bash. */
void tool_complete_bash(const struct verb *const *verbs);

#endif
