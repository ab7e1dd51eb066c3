/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* utf8.h: what is a character (RFC 3629, section 4). */
#ifndef XD_COMMON_UTF8_H
#define XD_COMMON_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed character at s, 0: none is there. s ends with 0. */
size_t utf8_length(const unsigned char *s);

#endif
