/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json.h: answers for programs. */
#ifndef XD_TOOL_JSON_H
#define XD_TOOL_JSON_H

#include <jansson.h>

/* A string with bytes that are no UTF-8 replaced by U+FFFD. */
json_t *tool_json_text(const char *text);
/* Prints in qemu-img's layout and lets go of it; EXIT_OK or EXIT_FAILED. */
int tool_json_print(json_t *json);

#endif
