/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * size.h: sizes as people type and read them.
 *
 * Suffixes b, k/K, M, G, T, P, E are powers of 1024, as qemu-img has them; a
 * fraction ("1.5G") is allowed with a suffix.
 */
#ifndef XD_COMMON_SIZE_H
#define XD_COMMON_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* -EINVAL: not a size; -ERANGE: more than INT64_MAX. Bare numbers are bytes. */
int size_parse(const char *text, uint64_t *bytes);

/* "0x10", "010" and "16" alike. -EINVAL, -ERANGE (above limit). */
int number_parse(const char *text, uint64_t limit, uint64_t *value);

/* Only decimal digits, as xenstore has them: no sign, no space, no 0x. */
int decimal_parse(const char *text, uint64_t limit, uint64_t *value);

/* "20 GiB", "193 KiB", "0 B": three significant digits, as qemu-img info. */
#define SIZE_TEXT_MAX 32
const char *size_format(uint64_t bytes, char buf[SIZE_TEXT_MAX]);

#endif
