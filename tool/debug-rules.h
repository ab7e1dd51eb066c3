/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * debug-rules.h: files of rules for blkdebug.
 *
 *	[inject-error]
 *	event = "l2_load"
 *	errno = "28"
 *
 *	[set-state]
 *	...
 */
#ifndef XD_TOOL_DEBUG_RULES_H
#define XD_TOOL_DEBUG_RULES_H

#include "common/error.h"

/* Calls add(arg, "inject-error.fileN.event", "l2_load") for each line, N the
 * number of its section. -errno, or what `add` returned; said. */
int debug_rules_read(const char *file,
		     int (*add)(void *arg, const char *key, const char *value),
		     void *arg, struct error *err);

#endif
