/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backing.c: see backing.h. */
#include "tool/backing.h"

#include <stdio.h>
#include <string.h>

#include "tool/tool.h"

static void refuse(const char *image, const char *name, const char *format)
{
	tool_error("%s: Backing file specified without backing format\n'%s' "
		   "looks like %s, but a guest may have made it look so.",
		   image, name, format);
	tool_suggest("-F", format);
}

const char *tool_backing_format(const char *image, const char *name,
				const char *full, const char *recorded,
				bool quiet)
{
	struct error err = ERROR_INIT;
	const char *format;
	int ret = image_probe(full, &format, &err);
	bool raw;

	if (ret) {
		tool_error("%s: %s\nCould not open backing image.", image,
			   error_text(&err, ret));
		return NULL;
	}
	raw = !strcmp(format, "raw");
	if (tool_strict_format() ||
	    (!raw && (!recorded || strcmp(format, recorded)))) {
		refuse(image, name, format);
		return NULL;
	}
	if (!quiet && raw)
		fprintf(stderr, "xdisk: %s: recorded as raw, no other format "
			"was recognised in it\n", name);
	else if (!quiet)
		fprintf(stderr, "xdisk: %s: recorded as %s, as the backing "
			"file before it was\n", name, format);
	return format;
}
