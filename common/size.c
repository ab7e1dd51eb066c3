/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* size.c: see size.h. */
#include "common/size.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"

static const char suffixes[] = "BKMGTPE";

static int suffix_shift(char c)
{
	const char *s = c ? strchr(suffixes, toupper((unsigned char)c)) : NULL;

	return s ? 10 * (int)(s - suffixes) : -1;
}

/* "digits.digits": the fraction of 1 << shift; exact to the last byte. */
static int parse_fraction(const char **text, int shift, uint64_t *bytes)
{
	uint64_t num = 0, den = 1;
	const char *p = *text;

	for (; isdigit((unsigned char)*p); p++) {
		if (den > UINT64_C(100000000000))
			continue;	/* digits that no longer matter */
		num = num * 10 + (uint64_t)(*p - '0');
		den *= 10;
	}
	if (p == *text)
		return -EINVAL;
	*text = p;
	*bytes = (uint64_t)((unsigned __int128)num * ((uint64_t)1 << shift) /
			    den);
	return 0;
}

int size_parse(const char *text, uint64_t *bytes)
{
	uint64_t whole = 0, frac = 0;
	const char *p = text, *point = NULL;
	int shift = 0;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
		return number_parse(text, INT64_MAX, bytes);
	for (; isdigit((unsigned char)*p); p++) {
		if (mul_overflow(whole, 10, &whole) ||
		    add_overflow(whole, (uint64_t)(*p - '0'), &whole))
			return -ERANGE;
	}
	if (*p == '.') {
		point = ++p;
		p += strspn(p, "0123456789");
	}
	if (*p) {
		shift = suffix_shift(*p);
		if (shift < 0 || p[1])
			return -EINVAL;
	}
	if (point && point < p && !shift && point + strspn(point, "0") == p)
		point = NULL;		/* "1024.0" */
	if (point && (!shift || parse_fraction(&point, shift, &frac)))
		return -EINVAL;
	if (mul_overflow(whole, (uint64_t)1 << shift, &whole) ||
	    add_overflow(whole, frac, bytes) || *bytes > INT64_MAX)
		return -ERANGE;
	return 0;
}

int number_parse(const char *text, uint64_t limit, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 0);
	if (*end)
		return -EINVAL;
	return errno == ERANGE || *value > limit ? -ERANGE : 0;
}

int decimal_parse(const char *text, uint64_t limit, uint64_t *value)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		if (mul_overflow(v, 10, &v) ||
		    add_overflow(v, (uint64_t)(*text - '0'), &v) || v > limit)
			return -ERANGE;
	}
	*value = v;
	return 0;
}

const char *size_format(uint64_t bytes, char buf[SIZE_TEXT_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	unsigned int u = 0;

	/* 999.5 would round to "1e+03". */
	while (v >= 999.5 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	snprintf(buf, SIZE_TEXT_MAX, "%.3g %s", v, units[u]);
	return buf;
}
