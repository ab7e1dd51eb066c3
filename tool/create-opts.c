/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create-opts.c: see create-opts.h. */
#include "tool/create-opts.h"

#include <stdio.h>
#include <string.h>

#include "image/graph/format.h"
#include "tool/message.h"

int create_opts_add(struct create_opts *o, const char *name, const char *value)
{
	if (o->nr == CREATE_OPTS_MAX)
		return tool_error("too many options");
	o->v[o->nr++] = (struct image_create_option){ name, value };
	return EXIT_OK;
}

int create_opts_parse(struct create_opts *o, const char *text)
{
	struct keyvals *kv = &o->texts[o->nr_texts];
	int ret = EXIT_OK;

	if (o->nr_texts == CREATE_OPTS_MAX || keyval_parse(kv, text, NULL))
		return tool_error("too many options");
	o->nr_texts++;
	for (unsigned int i = 0; i < kv->nr && !ret; i++) {
		const char *key = kv->v[i].key;

		if (!strcmp(key, "help") || !strcmp(key, "?"))
			o->help = true;
		else
			ret = create_opts_add(o, key, kv->v[i].value);
	}
	return ret;
}

const char *create_opts_value(const struct create_opts *o, const char *name)
{
	for (unsigned int i = o->nr; i--;)
		if (!strcmp(o->v[i].name, name))
			return o->v[i].value;
	return NULL;
}

void create_opts_remove(struct create_opts *o, const char *name)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < o->nr; i++)
		if (strcmp(o->v[i].name, name))
			o->v[n++] = o->v[i];
	o->nr = n;
}

void create_opts_free(struct create_opts *o)
{
	for (unsigned int i = 0; i < o->nr_texts; i++)
		keyval_free(&o->texts[i]);
	o->nr_texts = 0;
}

int create_opts_list(const char *format)
{
	const struct image_create_help *help = image_create_options(format);

	if (!help && image_format_known(format))
		return tool_error("Format driver '%s' does not support image "
				  "creation", format);
	if (!help)
		return tool_error("Unknown file format '%s'", format);
	printf("Supported %s options:\n", format);
	for (; help->name; help++)
		printf("  %s=%s\n", help->name, help->help);
	return EXIT_OK;
}
