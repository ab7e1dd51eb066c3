/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backing.h: the format of a backing file for which none was given.
 *
 * It is recorded in the overlay and believed from then on, and a guest may have
 * written whatever would be recognised. So nothing recognised is recorded as
 * raw; something recognised is refused with the command that says so, unless
 * the overlay records that very format for the backing file it has. Where
 * guessing is forbidden all is refused.
 */
#ifndef XD_TOOL_BACKING_H
#define XD_TOOL_BACKING_H

#include <stdbool.h>

/* `name` is what `image` will record, `full` where that is; recorded: the
 * format of the backing file before, NULL: none. NULL: printed why. */
const char *tool_backing_format(const char *image, const char *name,
				const char *full, const char *recorded,
				bool quiet);

#endif
