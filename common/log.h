/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h: the daemon's log: stderr in the foreground, syslog otherwise.
 *
 * A line is one write, and one line whatever stands in a name that it quotes
 * (common/printable.h). An object name ("vbd 3/51712") set for the process is
 * put before every line: a worker serves one vbd and names it once. Nothing on
 * the way of a request logs; what a guest can cause again and again goes
 * through log_limited(). The tools write to stderr by themselves.
 */
#ifndef XD_COMMON_LOG_H
#define XD_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* ident: the program's name, a string that stays. */
void log_init(const char *ident, enum log_level level, bool to_stderr);

/* "error", "warn", "info", "debug"; -EINVAL for anything else. */
int log_parse_level(const char *name, enum log_level *level);
const char *log_level_name(enum log_level level);

/* "" takes the name away; longer ones are cut to 63 bytes. */
void log_set_object(const char *name);

void log_write(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A bucket of LOG_BURST lines, refilled each LOG_INTERVAL seconds. */
#define LOG_BURST 10
#define LOG_INTERVAL 10

struct log_limit {
	uint64_t window_start;	/* CLOCK_MONOTONIC seconds */
	unsigned int in_window;
	unsigned int dropped;
};

/* May a line be written now? Tells of dropped ones when a window opens. */
bool log_limit_pass(struct log_limit *l);

#define log_limited(l, level, ...)                       \
	do {                                             \
		if (log_limit_pass(l))                   \
			log_write(level, __VA_ARGS__);   \
	} while (0)

#endif
