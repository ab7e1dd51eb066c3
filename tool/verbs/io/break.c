/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* break.c: see break.h. */
#include "tool/verbs/io/break.h"

#include <string.h>

#include "image/debug.h"

static void tell_break(struct io_shell *sh, const char *what, int ret)
{
	if (ret)
		io_fail(sh, "Could not %s: %s", what, strerror(-ret));
}

void io_break(struct io_shell *sh, int argc, char **argv)
{
	tell_break(sh, "set a breakpoint",
		   image_break(sh->img, argv[1], argv[2]));
}

void io_remove_break(struct io_shell *sh, int argc, char **argv)
{
	tell_break(sh, "remove a breakpoint",
		   image_resume(sh->img, argv[1], true));
}

void io_resume(struct io_shell *sh, int argc, char **argv)
{
	tell_break(sh, "resume request",
		   image_resume(sh->img, argv[1], false));
}

void io_wait_break(struct io_shell *sh, int argc, char **argv)
{
	while (!image_is_suspended(sh->img, argv[1]))
		co_sleep(sh->loop, 1000000);
}
