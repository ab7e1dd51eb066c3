/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request.h: the commands of xdisk io that read and change the image's disk.
 *
 * A command is one request to the image, with a buffer of its own. What goes
 * beyond the end of the disk answers EIO, as qemu-io has it. aio_* commands
 * return while theirs is in flight.
 */
#ifndef XD_TOOL_VERBS_IO_REQUEST_H
#define XD_TOOL_VERBS_IO_REQUEST_H

#include "tool/verbs/io/io.h"

/* co; with an image open. */
io_command_fn io_read, io_readv, io_aio_read, io_write, io_writev, io_aio_write,
	io_discard, io_flush, io_aio_flush, io_truncate;

#endif
