/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * message.h: exit statuses, and errors on stderr.
 *
 * What a function that returns int returns in tool/ and its verbs: EXIT_OK, or
 * an exit status above it when the reason is printed. One that takes a struct
 * error prints nothing and returns -errno, which its caller prints. Where both
 * can come the header says so; the sign tells them apart.
 */
#ifndef XD_TOOL_MESSAGE_H
#define XD_TOOL_MESSAGE_H

struct verb;

enum tool_exit {
	EXIT_OK = 0,
	EXIT_FAILED = 1,	/* it did not work, or was asked wrongly */
	/* of check */
	EXIT_CORRUPT = 2,
	EXIT_LEAKS = 3,
	EXIT_NO_CHECK = 63,	/* the format has nothing to check */
};

/* "xdisk: ..." on stderr; returns EXIT_FAILED. */
int tool_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same with where to find help behind it. */
int tool_usage(const struct verb *verb, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
