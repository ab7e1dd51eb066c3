/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backing.h: backing images that are named on the command line.
 *
 * The format of a backing file for which none was given:
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

struct image_create_option;
struct loop;

/* `name` is what `image` will record, `full` where that is; recorded: the
 * format of the backing file before, NULL: none. NULL: printed why. */
const char *tool_backing_format(const char *image, const char *name,
				const char *full, const char *recorded,
				bool quiet);

/*
 * co. image_judge_create() of a backing image that is described, which
 * image_create() knows nothing of. It is opened if there is anything to be
 * overwritten; format NULL: it is guessed. EXIT_OK, or EXIT_FAILED: printed.
 */
int tool_judge_described(struct loop *loop, const char *name,
			 const char *format, const char *path,
			 const struct image_create_option *options,
			 unsigned int nr_options);

#endif
