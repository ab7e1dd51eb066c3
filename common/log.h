/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h: the daemon's log: stderr in the foreground, syslog otherwise.
 *
 * A line is one write, and one line whatever stands in a name that it quotes
 * (common/printable.h). It is about an object: a disk, whose name it begins
 * with, or else the process, which a worker names after its only disk.
 *
 * A guest or an image can cause the same line again and again. So a daemon
 * says LOG_LINES of a kind of each object in LOG_INTERVAL_NS, and then how
 * many more there were. The kind is the sentence, whatever stands in it: no
 * flood hides what else there is to say of a disk, nor anything of another.
 * Debugging has no limit, and no program that a person waits for has one.
 */
#ifndef XD_COMMON_LOG_H
#define XD_COMMON_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

enum log_level {
	LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG,
};

#define LOG_LINES 10
#define LOG_INTERVAL_NS (5 * NS_PER_S)

/* More sentences at a time share the limit of the last one. */
#define LOG_KINDS 24

struct log_kind {
	uint32_t sentence;		/* its hash */
	uint32_t level;
	uint64_t since_ns;		/* begin of its interval, 0: none */
	uint32_t lines, left_out;
	char last[120];			/* of those left out, cut */
};

/* Its owner's; log_object_init() makes it. */
struct log_object {
	char name[64];			/* longer ones are cut */
	struct log_kind kinds[LOG_KINDS];
};

/* ident: the program's name, a string that stays. */
void log_init(const char *ident, enum log_level level, bool to_stderr);
/* From now on lines are left out. */
void log_limit(void);

/* "error", "warn", "info", "debug"; -EINVAL for anything else. */
int log_parse_level(const char *name, enum log_level *level);
const char *log_level_name(enum log_level level);

void log_object_init(struct log_object *o, const char *name);
/* All of the process is about this one. */
void log_set_object(const char *name);

/* o: NULL, the process. */
void log_write(struct log_object *o, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void log_vwrite(struct log_object *o, enum log_level level, const char *fmt,
		va_list ap) __attribute__((format(printf, 3, 0)));

#define log_error(...) log_write(NULL, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(NULL, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(NULL, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(NULL, LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Says how many lines were left out in intervals that are over (UINT64_MAX: in
 * all), and lowers *next_ns to when another one will be. */
void log_settle(struct log_object *o, uint64_t now_ns, uint64_t *next_ns);

/* For a process that sleeps: told when a line of its own object is the first to
 * be left out, and when log_settle() will say so. */
void log_when_left_out(void (*call)(void *arg, uint64_t due_ns), void *arg);

/* For a process whose lines another one writes: what its own limit lets pass goes
 * there, as one line of UTF-8 each, and not to the log unless it returns false.
 * NULL: to the log again. */
void log_hand_over(bool (*say)(enum log_level level, uint32_t sentence,
			       const char *text));
/* The other one: what it was handed. */
void log_handed(struct log_object *o, enum log_level level, uint32_t sentence,
		const char *text);

#endif
