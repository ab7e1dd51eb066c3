/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings.h: what xdisk.conf(5) says to the tool: its section [xdisk].
 */
#ifndef XD_TOOL_SETTINGS_H
#define XD_TOOL_SETTINGS_H

#include <stdbool.h>

#include "common/error.h"

struct tool_settings {
	bool strict_format;
	char *image_dirs;	/* malloc()ed; NULL: not said */
};

/* Reads the file (another one where $XDISK_CONFIG names it); no file is no
 * error. -EINVAL with file, line and reason. */
int tool_settings_read(struct tool_settings *settings, struct error *err);

#endif
