/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* break.h: the commands of xdisk io for breakpoints of blkdebug. */
#ifndef XD_TOOL_VERBS_IO_BREAK_H
#define XD_TOOL_VERBS_IO_BREAK_H

#include "tool/verbs/io/io.h"

/* co; with an image open. */
io_command_fn io_break, io_remove_break, io_resume, io_wait_break;

#endif
