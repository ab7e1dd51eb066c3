/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* message.c: see message.h. */
#include "tool/message.h"

#include <stdarg.h>
#include <stdio.h>

#include "tool/verb.h"

int tool_error(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("xdisk: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

int tool_usage(const struct verb *verb, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "xdisk %s: ", verb->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry 'xdisk help %s'\n", verb->name);
	return EXIT_FAILED;
}
