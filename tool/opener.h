/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* opener.h: what the images of this command may name, by --image-dirs. */
#ifndef XD_TOOL_OPENER_H
#define XD_TOOL_OPENER_H

struct opener;

/* Once, when the options are read: `image_dirs` is what they say, NULL: what
 * xdisk.conf does. EXIT_OK or EXIT_FAILED: printed. */
int tool_opener_settle(const char *image_dirs);

/* For struct image_options; NULL: images may name what this user may open. */
struct opener *tool_opener(void);

#endif
