/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json.c: see json.h. */
#include "tool/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/utf8.h"
#include "tool/message.h"

json_t *tool_json_text(const char *text)
{
	cleanup_free char *clean = malloc(strlen(text) * 3 + 1);
	char *out = clean;

	if (!clean)
		return NULL;
	while (*text) {
		size_t n = utf8_length((const unsigned char *)text);

		memcpy(out, n ? text : "\xef\xbf\xbd", n ? n : 3);
		out += n ? n : 3;
		text += n ? n : 1;
	}
	*out = '\0';
	return json_string(clean);
}

int tool_json_print(json_t *json)
{
	int ret = json ? json_dumpf(json, stdout, JSON_INDENT(4)) : -1;

	json_decref(json);
	if (ret)
		return tool_error("out of memory");
	putchar('\n');
	return EXIT_OK;
}
