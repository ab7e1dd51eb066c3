/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open.h: opening the images that a command line names. */
#ifndef XD_TOOL_OPEN_H
#define XD_TOOL_OPEN_H

#include <stdbool.h>

#include "common/error.h"
#include "image/image.h"
#include "tool/option.h"

/* Is `name` one of image-opts.h, in itself or since all are? */
bool tool_is_described(const struct tool_common *c, const char *name);
/*
 * co. The format of `path`: the one given, or else a guess, which is told on
 * stderr (unless `quiet`). `option` would have said it, NULL: -f. NULL: printed
 * why.
 */
const char *tool_format(struct loop *loop, const char *path, const char *given,
			const char *option, bool quiet);

/* co. Opens the image with the common options and `flags`; NULL: printed why.
 * With --image-opts `path` is options: image_path() tells what it led to. */
struct image *tool_open(struct loop *loop, const char *path,
			const struct tool_common *c, unsigned int flags);
/* co. The same for a verb that has its own words for the error: -errno with the
 * sentence. EXIT_FAILED: printed that the format cannot, or may not, be
 * guessed. */
int tool_open_image(struct loop *loop, const char *path,
		    const struct tool_common *c, unsigned int flags,
		    struct image **img, struct error *err);
/* co. A backing image that a person has described. *format: as given or NULL,
 * then what it is. NULL: printed why. */
const struct image_node *tool_describe(struct loop *loop, const char *name,
				       const char **format, bool quiet);
/* co. EXIT_OK or EXIT_FAILED, printed. */
int tool_close(struct image *img);

#endif
