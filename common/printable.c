/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* printable.c: see printable.h. */
#include "common/printable.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

/* C0, DEL and, as two bytes, C1. */
static bool is_control(const unsigned char *s, size_t n)
{
	return (n == 1 && (*s < 0x20 || *s == 0x7f)) ||
	       (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

static size_t escape(unsigned char byte, char out[PRINTABLE_EXPANSION + 1])
{
	static const char letters[] = "abtnvfr";	/* 7 to 13 */

	if (byte >= 7 && byte <= 13)
		return (size_t)sprintf(out, "\\%c", letters[byte - 7]);
	return (size_t)sprintf(out, "\\%03o", byte);
}

void printable(const char *text, char *out, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0;

	while (*s) {
		char escaped[PRINTABLE_EXPANSION + 1];
		const char *piece = (const char *)s;
		size_t took = utf8_length(s), n = took;

		if (took == 0 || is_control(s, took)) {
			took = 1;
			n = escape(*s, escaped);
			piece = escaped;
		}
		if (at + n >= size)
			break;
		memcpy(out + at, piece, n);
		at += n;
		s += took;
	}
	out[at] = 0;
}
