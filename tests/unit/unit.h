/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unit.h: cmocka with the headers that it wants before it.
 */
#ifndef XD_TESTS_UNIT_H
#define XD_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define assert_str(a, b)                       \
	do {                                   \
		if (b)                         \
			assert_string_equal(a, b); \
		else                           \
			assert_null(a);        \
	} while (0)

#endif
