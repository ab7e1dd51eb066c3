/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* option.c: see option.h. */
#include "tool/option.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tool/message.h"
#include "tool/object.h"
#include "tool/opener.h"
#include "tool/settings.h"

#define MAX_OPTIONS 32

/* getopt_long() wants them in its own way. */
struct getopt_tables {
	char letters[2 * MAX_OPTIONS + 3];
	struct option names[MAX_OPTIONS + 4];
	int nr_letters, nr_names;
};

static void add_options(struct getopt_tables *t, const struct tool_option *o)
{
	for (; o->id; o++) {
		if (o->id < OPT_OUTPUT) {
			t->letters[t->nr_letters++] = (char)o->id;
			if (o->arg)
				t->letters[t->nr_letters++] = ':';
		}
		if (o->name)
			t->names[t->nr_names++] = (struct option){
				o->name,
				o->arg ? required_argument : no_argument,
				NULL, o->id,
			};
	}
}

static void fill_tables(const struct verb *verb, struct getopt_tables *t)
{
	memset(t, 0, sizeof(*t));
	t->letters[t->nr_letters++] = ':';
	add_options(t, verb->options);
	add_options(t, tool_every_option);
	t->letters[t->nr_letters++] = 'h';
}

/* As much of the command line as getopt has seen: argv[0] is the verb. */
static struct {
	int argc;
	char **argv;
	bool strict_format;
	const char *image_dirs;
} command;

int tool_getopt(const struct verb *verb, int argc, char **argv)
{
	struct getopt_tables t;
	int id;

	command.argc = argc;
	command.argv = argv;
	fill_tables(verb, &t);
	opterr = 0;
	do {
		id = getopt_long(argc, argv, t.letters, t.names, NULL);
		if (id == OPT_OBJECT && tool_object(optarg))
			return '?';
		command.strict_format |= id == OPT_STRICT_FORMAT;
		if (id == OPT_IMAGE_DIRS)
			command.image_dirs = optarg;
	} while (id == OPT_OBJECT || id == OPT_STRICT_FORMAT ||
		 id == OPT_IMAGE_DIRS);
	if (id == -1 && tool_opener_settle(command.image_dirs))
		return '?';
	if (id == 'h' || id == OPT_HELP) {
		tool_help_verb(verb);
		exit(EXIT_OK);
	}
	if (id == ':')
		tool_usage(verb, "option '%s' needs an argument",
			   argv[optind - 1]);
	else if (id == '?' && optopt && optopt < OPT_OUTPUT)
		tool_usage(verb, "unknown option '-%c'", optopt);
	else if (id == '?')
		tool_usage(verb, "unknown option '%s'", argv[optind - 1]);
	return id == ':' ? '?' : id;
}

/* `ret` is what parsing it said: what is no number is shown, and a number that
 * no image could have is out of range. */
static int judge_number(const char *what, const char *text, int ret,
			uint64_t value, uint64_t min, uint64_t max)
{
	bool negative = text[0] == '-' && text[1] &&
			!text[1 + strspn(text + 1, "0123456789")];

	if (ret == -EINVAL && !negative)
		return tool_error("Invalid %s specified: '%s'.", what, text);
	if (ret || value < min || value > max)
		return tool_error("Invalid %s specified. Must be between %"
				  PRIu64 " and %" PRIu64 ".", what, min, max);
	return 0;
}

int tool_parse_number(const char *what, const char *text, uint64_t min,
		      uint64_t max, uint64_t *value)
{
	int ret = number_parse(text, max, value);

	return judge_number(what, text, ret, *value, min, max);
}

int tool_parse_size(const char *what, const char *text, uint64_t min,
		    uint64_t max, uint64_t *bytes)
{
	int ret = size_parse(text, bytes);

	return judge_number(what, text, ret, *bytes, min, max);
}

static int parse_output(struct tool_common *c, const char *arg)
{
	c->json = !strcmp(arg, "json");
	return c->json || !strcmp(arg, "human") ? EXIT_OK :
		tool_error("--output must be used with human or json as "
			   "argument.");
}

int tool_source_cache(enum image_cache *cache, const char *arg)
{
	return image_parse_cache(arg, cache) ?
		tool_error("Invalid source cache option: %s", arg) : EXIT_OK;
}

int tool_common_option(struct tool_common *c, int id, const char *arg)
{
	switch (id) {
	case 'f':
		c->format = arg;
		return EXIT_OK;
	case 'q':
		c->quiet = true;
		return EXIT_OK;
	case 'p':
		c->progress = true;
		return EXIT_OK;
	case 'U':
		c->share = true;
		return EXIT_OK;
	case OPT_IMAGE_OPTS:
		c->image_opts = true;
		return EXIT_OK;
	case OPT_SNAPSHOT:
		c->snapshot = arg;
		return EXIT_OK;
	case 't':
		return image_parse_cache(arg, &c->cache) ?
			tool_error("Invalid cache option: %s", arg) : EXIT_OK;
	case OPT_AIO:
		return aio_parse_kind(arg, &c->aio) ?
			tool_error("Invalid aio option: %s", arg) : EXIT_OK;
	case OPT_OUTPUT:
		return parse_output(c, arg);
	default:
		return EXIT_FAILED;	/* tool_getopt() has said why */
	}
}

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

void tool_suggest(const char *option, const char *value)
{
	fprintf(stderr, "If it is to be used as %s, say so:\n    xdisk %s %s %s",
		value, command.argv[0], option, value);
	for (int i = 1; i < command.argc; i++)
		print_word(command.argv[i]);
	fputc('\n', stderr);
}

bool tool_strict_format(void)
{
	struct tool_settings settings;
	struct error err = ERROR_INIT;
	int ret;

	if (command.strict_format)
		return true;
	ret = tool_settings_read(&settings, &err);
	if (ret)
		tool_error("%s", error_text(&err, ret));
	free(settings.image_dirs);
	return ret || settings.strict_format;
}
