/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * debug-rules.c: see debug-rules.h.
 *
 * Not by inih: it does not tell where one section ends and another of the same
 * name begins. The values are the protocol's to judge.
 */
#include "tool/debug-rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

struct reader {
	char section[32];		/* "" before the first */
	unsigned int nr;
};

static char *trim_blanks(char *s)
{
	char *end = s + strlen(s);

	while (end > s && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

static char *unquote(char *s)
{
	size_t n = strlen(s);

	if (n < 2 || *s != '"' || s[n - 1] != '"')
		return s;
	s[n - 1] = '\0';
	return s + 1;
}

static int begin_section(struct reader *r, char *line, struct error *err)
{
	size_t n = strlen(line);

	if (line[n - 1] == ']')
		line[n - 1] = '\0';
	line = trim_blanks(line + 1);
	if (strcmp(line, "inject-error") && strcmp(line, "set-state"))
		return error_set(err, EINVAL,
				 "there is no section [%s] (known: "
				 "inject-error, set-state)",
				 line);
	snprintf(r->section, sizeof(r->section), "%s", line);
	r->nr++;
	return 0;
}

static int read_rule(struct reader *r, char *line,
		     int (*add)(void *arg, const char *key, const char *value),
		     void *arg, struct error *err)
{
	char key[128], *value;

	line = trim_blanks(line);
	if (!*line || *line == '#')
		return 0;
	if (*line == '[')
		return begin_section(r, line, err);
	value = strchr(line, '=');
	if (!value || !*r->section)
		return error_set(err, EINVAL, "neither [section] nor "
				 "key = \"value\" in one");
	*value++ = '\0';
	if (snprintf(key, sizeof(key), "%s.file%u.%s", r->section, r->nr,
		     trim_blanks(line)) >= (int)sizeof(key))
		return error_set(err, EINVAL, "a key is too long");
	return add(arg, key, unquote(trim_blanks(value)));
}

int debug_rules_read(const char *file,
		     int (*add)(void *arg, const char *key, const char *value),
		     void *arg, struct error *err)
{
	cleanup_free char *line = NULL;
	struct reader r = { "" };
	unsigned int nr = 0;
	size_t size = 0;
	FILE *f = fopen(file, "re");
	int ret = 0;

	if (!f)
		return error_set_errno(err, errno, "Could not read blkdebug "
				       "config file '%s'", file);
	while (!ret && getline(&line, &size, f) >= 0) {
		nr++;
		ret = read_rule(&r, line, add, arg, err);
	}
	fclose(f);
	return error_prefix(ret ? err : NULL, ret, "%s: line %u", file, nr);
}
