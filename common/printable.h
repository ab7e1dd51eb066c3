/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * printable.h: text that guests, images and frontends had a hand in, as it may
 * stand in a line of a log, in xenstore or on a terminal.
 */
#ifndef XD_COMMON_PRINTABLE_H
#define XD_COMMON_PRINTABLE_H

#include <stddef.h>

/* The longest that one byte of text becomes. */
#define PRINTABLE_EXPANSION 4

/*
 * Writes `text` with what is not one line of UTF-8 as C escapes (\n, \033,
 * \377), and ends it with 0; one that does not fit is cut between characters.
 * A backslash of the text stays as it is: paths have them, and nothing reads
 * the escapes back.
 */
void printable(const char *text, char *out, size_t size);

#endif
