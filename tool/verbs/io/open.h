/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open.h: which image xdisk io works on: that of the command line, and the
 * commands open, reopen and close.
 */
#ifndef XD_TOOL_VERBS_IO_OPEN_H
#define XD_TOOL_VERBS_IO_OPEN_H

#include "tool/verbs/io/io.h"

/* Sets or clears IMAGE_UNMAP; false: printed why. */
bool io_parse_discard(struct io_shell *sh, const char *mode,
		      unsigned int *flags);
/* co. The image of the command line. sh->img NULL: printed why. */
void io_open_first(struct io_shell *sh, const char *path);
/* co. At the shell's end. */
void io_close_last(struct io_shell *sh);

/* co */
io_command_fn io_open, io_reopen, io_close;

#endif
