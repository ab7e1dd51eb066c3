/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshots.h: lists of internal snapshots, as info and snapshot print them. */
#ifndef XD_TOOL_SNAPSHOTS_H
#define XD_TOOL_SNAPSHOTS_H

#include <jansson.h>

#include "image/info.h"

/* On stdout, in qemu-img's columns; nothing when there are none. */
void tool_print_snapshots(const struct image_info *i);
/* An array. NULL: no memory. */
json_t *tool_json_snapshots(const struct image_info *i);

#endif
