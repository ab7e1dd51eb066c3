/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz.h: what a fuzz target is, and how it says that something is wrong.
 */
#ifndef XD_TESTS_FUZZ_H
#define XD_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Returns 0; aborts where an input breaks a promise. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

#endif
