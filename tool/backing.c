/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backing.c: see backing.h. */
#include "tool/backing.h"

#include <stdio.h>
#include <string.h>

#include "tool/tool.h"

static void print_word(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-+=:,./@%";

	if (*word && strspn(word, plain) == strlen(word)) {
		fprintf(stderr, " %s", word);
		return;
	}
	fputs(" '", stderr);
	for (; *word; word++)
		if (*word == '\'')
			fputs("'\\''", stderr);
		else
			fputc(*word, stderr);
	fputc('\'', stderr);
}

static void print_command(const struct tool_command *c, const char *format)
{
	fprintf(stderr, "If it is to be used as %s, say so:\n"
		"    xdisk %s -F %s", format, c->argv[0], format);
	for (int i = 1; i < c->argc; i++)
		print_word(c->argv[i]);
	fputc('\n', stderr);
}

const char *tool_backing_format(const char *image, const char *name,
				const char *full, const char *recorded,
				const struct tool_command *command, bool quiet)
{
	struct error err = ERROR_INIT;
	const char *format;
	int ret = image_probe(full, &format, &err);

	if (ret) {
		tool_error("%s: %s\nCould not open backing image.", image,
			   error_text(&err, ret));
		return NULL;
	}
	if (strcmp(format, "raw") && (!recorded || strcmp(format, recorded))) {
		tool_error("%s: Backing file specified without backing format"
			   "\n'%s' looks like %s, but a guest may have made "
			   "it look so.", image, name, format);
		print_command(command, format);
		return NULL;
	}
	if (!quiet && !strcmp(format, "raw"))
		fprintf(stderr, "xdisk: %s: recorded as raw, no other format "
			"was recognised in it\n", name);
	else if (!quiet)
		fprintf(stderr, "xdisk: %s: recorded as %s, as the backing "
			"file before it was\n", name, format);
	return format;
}
