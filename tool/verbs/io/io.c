/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.c: see io.h. */
#include "tool/verbs/io/io.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/bits.h"
#include "tool/message.h"

void io_fail(struct io_shell *sh, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	sh->failed = true;
}

void io_error(struct io_shell *sh, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tool_error("%s", text);
	sh->failed = true;
}

void io_wait_idle(struct io_shell *sh)
{
	while (sh->in_flight)
		co_queue_wait(&sh->idle);
}

const char *io_exact_size(double bytes, char buf[SIZE_TEXT_MAX])
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	unsigned int u = 0;
	char number[24], *zeroes;

	while (bytes >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		u++;
	}
	snprintf(number, sizeof(number), "%.3f", bytes);
	zeroes = strstr(number, ".000");
	if (zeroes)
		*zeroes = '\0';
	snprintf(buf, SIZE_TEXT_MAX, "%s %s", number, units[u]);
	return buf;
}

bool io_parse_size(struct io_shell *sh, const char *what, const char *text,
		   uint64_t *value)
{
	if (!size_parse(text, value))
		return true;
	io_fail(sh, "non-numeric %s argument -- %s", what, text);
	return false;
}
