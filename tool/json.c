/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json.c: see json.h. */
#include "tool/json.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "tool/message.h"

/* Length of the well-formed UTF-8 sequence at s, 0: it is none. */
static size_t utf8_length(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 :
		   *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
	uint32_t code = n == 1 ? *s : *s & (0x7fu >> n);

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	return n;
}

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
