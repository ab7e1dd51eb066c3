/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk: the tool for disk images.
 *
 * Verbs, options, output and exit statuses are qemu-img's where qemu-img has
 * them. Here: the list of verbs.
 */
#include <stddef.h>

#include "tool/frame.h"
#include "tool/verbs/verbs.h"

static const struct verb *const verbs[] = {
	&verb_amend,
	&verb_bench,
	&verb_bitmap,
	&verb_check,
	&verb_commit,
	&verb_compact,
	&verb_compare,
	&verb_convert,
	&verb_create,
	&verb_dd,
	&verb_info,
	&verb_io,
	&verb_map,
	&verb_measure,
	&verb_rebase,
	&verb_resize,
	&verb_serve,
	&verb_snapshot,
	&verb_verify,
	NULL,
};

int main(int argc, char **argv)
{
	return tool_main(verbs, argc, argv);
}
