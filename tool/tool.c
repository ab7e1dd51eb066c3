/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tool.c: see tool.h. */
#include "tool/tool.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/size.h"
#include "image/format.h"
#include "image/make.h"
#include "image/probe.h"
#include "image/protocol.h"
#include "tool/image-opts.h"
#include "tool/object.h"
#include "tool/settings.h"

#define MAX_OPTIONS 32

/* ---- messages ---- */

int tool_error(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("xdisk: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

int tool_usage(const struct verb *verb, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "xdisk %s: ", verb->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry 'xdisk help %s'\n", verb->name);
	return EXIT_FAILED;
}

/* ---- options ---- */

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
	} while (id == OPT_OBJECT || id == OPT_STRICT_FORMAT);
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

static int common_choice(struct tool_common *c, int id, const char *arg)
{
	if (id == 't') {
		if (!image_parse_cache(arg, &c->cache))
			return 0;
		tool_error("Invalid cache option: %s", arg);
	} else if (id == OPT_AIO) {
		if (!aio_parse_kind(arg, &c->aio))
			return 0;
		tool_error("Invalid aio option: %s", arg);
	} else {
		c->json = !strcmp(arg, "json");
		if (c->json || !strcmp(arg, "human"))
			return 0;
		tool_error("--output must be used with human or json as "
			   "argument.");
	}
	return -EINVAL;
}

int tool_source_cache(enum image_cache *cache, const char *arg)
{
	if (!image_parse_cache(arg, cache))
		return 0;
	tool_error("Invalid source cache option: %s", arg);
	return -EINVAL;
}

int tool_common_option(struct tool_common *c, int id, const char *arg)
{
	switch (id) {
	case 'f':
		c->format = arg;
		return 0;
	case 'q':
		c->quiet = true;
		return 0;
	case 'p':
		c->progress = true;
		return 0;
	case 'U':
		c->share = true;
		return 0;
	case OPT_IMAGE_OPTS:
		c->image_opts = true;
		return 0;
	case OPT_SNAPSHOT:
		c->snapshot = arg;
		return 0;
	case 't':
	case OPT_AIO:
	case OPT_OUTPUT:
		return common_choice(c, id, arg);
	default:
		return -EINVAL;		/* tool_getopt() has said why */
	}
}

/* ---- images ---- */

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
	return ret || settings.strict_format;
}

/* What was guessed, and by which option it is said for sure. */
static const char *judge_guess(const char *path, const char *format,
			       const char *option, bool quiet)
{
	if (tool_strict_format()) {
		tool_error("%s: no format given, and none may be guessed; it "
			   "looks like %s.", path, format);
		tool_suggest(option, format);
		return NULL;
	}
	if (!quiet)
		fprintf(stderr, "xdisk: %s: no format given, guessed %s (%s %s "
			"says so for sure)\n", path, format, option, format);
	return format;
}

const char *tool_format(struct loop *loop, const char *path, const char *given,
			const char *option, bool quiet)
{
	struct error err = ERROR_INIT;
	const char *format;
	int ret;

	if (given)
		return given;
	ret = image_probe_name(loop, path, &format, &err);
	if (!ret)
		return judge_guess(path, format, option ?: "-f", quiet);
	tool_error("%s", error_text(&err, ret));
	return NULL;
}

static struct image *open_failed(const struct tool_common *c, const char *name,
				 const char *why)
{
	if (c->device && !*c->device)
		tool_error("%s", why);
	else if (c->nameless)
		tool_error("can't open: %s", why);
	else if (c->device)
		tool_error("can't open device %s: %s", c->device, why);
	else
		tool_error("Could not open '%s': %s", name, why);
	return NULL;
}

bool tool_is_described(const struct tool_common *c, const char *name)
{
	return c->image_opts || image_opts_is_name(name);
}

/* Of what `opts` describe; NULL: printed why. */
static const char *described_format(struct loop *loop, const char *path,
				    const struct image_options *opts,
				    const struct tool_common *c)
{
	struct error err = ERROR_INIT;
	const char *format;
	int ret = image_probe_node(loop, opts->node, &format, &err);

	if (!ret)
		return judge_guess(path, format, c->format_option ?: "-f",
				   c->quiet || c->guess_told);
	open_failed(c, path, error_text(&err, ret));
	return NULL;
}

/* Takes apart what describes an image: "-f file" is "driver=file" as well. */
static int described(struct loop *loop, const struct tool_common *c,
		     struct image_options *opts, const char **path,
		     const char **format, struct error *err)
{
	cleanup_free char *driver = NULL;
	const char *name = *path;

	if (c->image_opts)
		return image_opts_parse(loop, name, c->beside, opts, path,
					format, err);
	if (c->format && !image_format_known(c->format) &&
	    image_protocol_known(c->format) &&
	    asprintf(&driver, "driver=%s", c->format) < 0) {
		driver = NULL;
		return -ENOMEM;
	}
	return driver || image_opts_is_name(name) ?
		image_opts_parse(loop, driver, name, opts, path, format, err) :
		0;
}

struct image *tool_open(struct loop *loop, const char *path,
			const struct tool_common *c, unsigned int flags)
{
	struct image_options opts = {
		.flags = flags | (c->share ? IMAGE_SHARE : 0),
		.cache = c->cache,
		.aio = c->aio,
		.snapshot = c->snapshot,
		.writable_backing = c->writable_backing,
	};
	const char *given = NULL, *format, *name = path;
	struct error err = ERROR_INIT;
	struct image *img;
	int ret = described(loop, c, &opts, &path, &given, &err);

	if (ret)
		return open_failed(c, name, error_text(&err, ret));
	given = given ? given : c->format;
	if (given)
		format = given;
	else if (opts.node)
		format = described_format(loop, path, &opts, c);
	else
		format = tool_format(loop, path, NULL, c->format_option,
				     c->quiet || c->guess_told);
	if (!format)
		return NULL;
	opts.flags |= given ? 0 : IMAGE_GUESSED;
	ret = image_open(loop, path, format, &opts, &img, &err);
	return ret ? open_failed(c, path, error_text(&err, ret)) : img;
}

const struct image_node *tool_describe(struct loop *loop, const char *name,
				       const char **format, bool quiet)
{
	const struct tool_common c = { .quiet = quiet, .format_option = "-F" };
	struct image_options opts = { 0 };
	struct error err = ERROR_INIT;
	const char *path, *said;
	int ret = image_opts_parse(loop, NULL, name, &opts, &path, &said, &err);

	if (ret) {
		open_failed(&c, name, error_text(&err, ret));
		return NULL;
	}
	if (said)
		*format = said;
	else if (!*format)
		*format = described_format(loop, path, &opts, &c);
	return *format ? opts.node : NULL;
}

int tool_list_create_options(const char *format)
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

int tool_close(struct image *img)
{
	struct error err = ERROR_INIT;
	int ret = image_close(img, &err);

	return ret ? tool_error("%s", error_text(&err, ret)) : EXIT_OK;
}

/* ---- JSON ---- */

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
