/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keyval.h: "name=value,name=value", as --object and --image-opts have it.
 *
 * ",," stands for a comma in a value. A first item without "=" is the value of
 * `implied`, if that is given; any other is "on".
 */
#ifndef XD_TOOL_KEYVAL_H
#define XD_TOOL_KEYVAL_H

#include <stddef.h>

struct keyval {
	const char *key, *value;
};

struct keyvals {
	char *text;		/* what the strings point into */
	size_t len;		/* of it, bytes */
	struct keyval *v;
	unsigned int nr;
};

/* 0 or -ENOMEM. Wiped and freed by keyval_free(), which may be called twice. */
int keyval_parse(struct keyvals *kv, const char *text, const char *implied);
void keyval_free(struct keyvals *kv);

#endif
