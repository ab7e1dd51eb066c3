/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create-opts.h: options of an image that is to be made or amended.
 */
#ifndef XD_TOOL_CREATE_OPTS_H
#define XD_TOOL_CREATE_OPTS_H

#include <stdbool.h>

#include "image/graph/make.h"
#include "tool/keyval.h"

#define CREATE_OPTS_MAX 64

/* { 0 } to begin with. */
struct create_opts {
	struct image_create_option v[CREATE_OPTS_MAX];
	unsigned int nr;
	bool help;			/* -o help: they are to be listed */
	struct keyvals texts[CREATE_OPTS_MAX];	/* the strings' owners */
	unsigned int nr_texts;
};

/* The strings are the caller's. EXIT_OK or EXIT_FAILED, printed. */
int create_opts_add(struct create_opts *o, const char *name, const char *value);
/* "name=value,..." of -o. The same. */
int create_opts_parse(struct create_opts *o, const char *text);
/* The last that was given; NULL: none. */
const char *create_opts_value(const struct create_opts *o, const char *name);
/* All of that name. */
void create_opts_remove(struct create_opts *o, const char *name);
void create_opts_free(struct create_opts *o);

/* Prints all that there are for a format. EXIT_OK or EXIT_FAILED, printed. */
int create_opts_list(const char *format);

#endif
