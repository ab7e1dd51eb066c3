/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings.c: see tool/settings.h. Other sections are the daemon's to judge. */
#include "tool/settings.h"

#include <errno.h>
#include <stdlib.h>

#include "backend/conf.h"

int tool_settings_read(struct tool_settings *settings, struct error *err)
{
	struct conf c;
	int ret = conf_init(&c, getenv("XDISK_CONFIG"));

	if (ret == 0)
		ret = conf_read(&c, "xdisk", err);
	settings->strict_format = c.strict_format;
	settings->image_dirs = c.tool_image_dirs;
	c.tool_image_dirs = NULL;
	conf_free(&c);
	return ret == -ENOENT ? 0 : ret;
}
