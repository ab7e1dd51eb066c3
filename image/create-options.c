/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create-options.c: see create-options.h. */
#include "image/create-options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int create_judge(const struct create_args *a, struct error *err)
{
	char known[256] = "";
	const struct image_create_help *h;

	for (h = a->known; h->name; h++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known),
			 "%s%s", *known ? ", " : "", h->name);
	for (unsigned int i = 0; i < a->nr; i++) {
		for (h = a->known; h->name; h++)
			if (!strcmp(h->name, a->options[i].name))
				break;
		if (!h->name)
			return error_set(err, EINVAL, "Invalid parameter '%s' "
					 "(known: %s)", a->options[i].name,
					 known);
	}
	return 0;
}

const char *create_text(const struct create_args *a, const char *name)
{
	for (unsigned int i = a->nr; i--;)
		if (!strcmp(a->options[i].name, name))
			return a->options[i].value;
	return NULL;
}

int create_bool(const struct create_args *a, const char *name, bool *value,
		struct error *err)
{
	static const char *const names[] = { "off", "on", NULL };
	unsigned int v = *value;
	int ret = create_choice(a, name, names, &v, err);

	*value = v;
	return ret;
}

int create_choice(const struct create_args *a, const char *name,
		  const char *const *names, unsigned int *value,
		  struct error *err)
{
	const char *text = create_text(a, name);
	char known[256] = "";

	if (!text)
		return 0;
	for (unsigned int i = 0; names[i]; i++) {
		if (!strcmp(names[i], text)) {
			*value = i;
			return 0;
		}
		snprintf(known + strlen(known), sizeof(known) - strlen(known),
			 "%s%s", i ? ", " : "", names[i]);
	}
	return error_set(err, EINVAL, "Parameter '%s' does not accept value "
			 "'%s' (known: %s)", name, text, known);
}
