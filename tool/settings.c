/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings.c: see tool/settings.h. Other sections are the daemon's to judge. */
#include "tool/settings.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct tool_settings *settings;
	struct error err;
};

/* inih's way: 1 is good, 0 is an error in this line. */
static int read_line(void *arg, const char *section, const char *key,
		     const char *value)
{
	struct reader *r = arg;
	int ret = 0;

	if (strcmp(section, "xdisk"))
		return 1;
	if (strcmp(key, "strict-format"))
		ret = error_set(&r->err, EINVAL, "unknown key \"%s\" in "
				"[xdisk]: strict-format", key);
	else if (strcmp(value, "yes") && strcmp(value, "no"))
		ret = error_set(&r->err, EINVAL, "\"%s\" is neither yes nor "
				"no", value);
	else
		r->settings->strict_format = *value == 'y';
	return !ret;
}

int tool_settings_read(struct tool_settings *settings, struct error *err)
{
	const char *path = getenv("XDISK_CONFIG");
	struct reader r = { .settings = settings, .err = ERROR_INIT };
	FILE *f;
	int line;

	memset(settings, 0, sizeof(*settings));
	path = path ? path : XD_SYSCONFDIR "/xdisk.conf";
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 :
			error_set_errno(err, errno, "%s", path);
	line = ini_parse_file(f, read_line, &r);
	fclose(f);
	if (line)
		return error_set(err, EINVAL, "%s: line %d: %s", path, line,
				 r.err.msg[0] ? r.err.msg :
				 "neither [section] nor key=value");
	return 0;
}
