/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info.h: the commands of xdisk io that tell what an image is and has. */
#ifndef XD_TOOL_VERBS_IO_INFO_H
#define XD_TOOL_VERBS_IO_INFO_H

#include "tool/verbs/io/io.h"

/* co; with an image open. */
io_command_fn io_alloc, io_info, io_length, io_map;

#endif
