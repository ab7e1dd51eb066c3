/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* opener.c: see opener.h. The command's own word opens any file, as ever. */
#include "tool/opener.h"

#include <stddef.h>

#include "opener/local.h"
#include "tool/message.h"
#include "tool/settings.h"

static struct policy policy = {
	.data_rule = DATA_ANY,
	.backing_writable = true,
	.where = "--image-dirs or section [xdisk] of xdisk.conf",
};
static struct local_opener opener;

int tool_opener_settle(const char *image_dirs)
{
	struct tool_settings settings = { .image_dirs = NULL };
	struct error err = ERROR_INIT;
	int ret = image_dirs ? policy_judge_dirs(image_dirs, &err) :
			       tool_settings_read(&settings, &err);

	if (ret)
		return tool_error("%s%s", image_dirs ? "--image-dirs: " : "",
				  error_text(&err, ret));
	policy.image_dirs = image_dirs ? image_dirs : settings.image_dirs;
	local_opener_init(&opener, &policy, false);
	return 0;
}

struct opener *tool_opener(void)
{
	return policy.image_dirs ? &opener.opener : NULL;
}
