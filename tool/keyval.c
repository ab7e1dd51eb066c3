/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* keyval.c: see keyval.h. */
#include "tool/keyval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Cuts the next item off *text. */
static char *next_item(char **text)
{
	char *item = *text, *in = item, *out = item;

	while (*in && !(in[0] == ',' && in[1] != ',')) {
		if (*in == ',')
			in++;
		*out++ = *in++;
	}
	*text = *in ? in + 1 : NULL;
	*out = '\0';
	return item;
}

int keyval_parse(struct keyvals *kv, const char *text, const char *implied)
{
	char *left;

	*kv = (struct keyvals){ .text = strdup(text), .len = strlen(text) };
	kv->v = calloc(kv->len / 2 + 1, sizeof(*kv->v));
	if (!kv->text || !kv->v) {
		keyval_free(kv);
		return -ENOMEM;
	}
	left = kv->text;
	while (left) {
		char *item = next_item(&left), *value = strchr(item, '=');

		if (!*item)
			continue;
		if (value)
			*value++ = '\0';
		if (!value && !kv->nr && implied)
			kv->v[kv->nr++] = (struct keyval){ implied, item };
		else
			kv->v[kv->nr++] = (struct keyval){
				item, value ? value : "on",
			};
	}
	return 0;
}

void keyval_free(struct keyvals *kv)
{
	if (kv->text)
		explicit_bzero(kv->text, kv->len);
	free(kv->text);
	free(kv->v);
	*kv = (struct keyvals){ 0 };
}
