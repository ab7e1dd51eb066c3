/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.c: see log.h. */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/printable.h"

static const struct {
	const char *name;
	int syslog_priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARN] = { "warn", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

static struct {
	const char *ident;
	enum log_level level;
	bool to_stderr;
	char object[64];
} logger = { "xdisk", LOG_LEVEL_INFO, true, "" };

void log_init(const char *ident, enum log_level level, bool to_stderr)
{
	logger.ident = ident;
	logger.level = level;
	logger.to_stderr = to_stderr;
	if (!to_stderr)
		openlog(ident, LOG_PID, LOG_DAEMON);
}

int log_parse_level(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (!strcmp(name, levels[i].name)) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

void log_set_object(const char *name)
{
	snprintf(logger.object, sizeof(logger.object), "%s", name);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char text[1200], clean[sizeof(text) + 200], line[sizeof(clean) + 200];
	const char *sep = logger.object[0] ? ": " : "";
	va_list ap;
	int n;

	if (level > logger.level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printable(text, clean, sizeof(clean));
	if (!logger.to_stderr) {
		syslog(levels[level].syslog_priority, "%s%s%s", logger.object,
		       sep, clean);
		return;
	}
	n = snprintf(line, sizeof(line), "%s[%d]: %s: %s%s%s\n", logger.ident,
		     (int)getpid(), levels[level].name, logger.object, sep,
		     clean);
	if (write(STDERR_FILENO, line, min((size_t)n, sizeof(line) - 1)) < 0)
		return;	/* nowhere left to say it */
}

bool log_limit_pass(struct log_limit *l)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (!l->window_start ||
	    (uint64_t)now.tv_sec - l->window_start >= LOG_INTERVAL) {
		if (l->dropped)
			log_warn("%u similar messages were left out",
				 l->dropped);
		l->window_start = (uint64_t)now.tv_sec;
		l->in_window = l->dropped = 0;
	}
	if (l->in_window >= LOG_BURST) {
		l->dropped++;
		return false;
	}
	l->in_window++;
	return true;
}
