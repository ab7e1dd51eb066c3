/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.c: see options.h.
 *
 * The command line is read twice: first for --config, then, over what the file
 * said, for all the rest. The names of cache modes and AIO engines are checked
 * here for a message with file and line; what they mean only workers know.
 */
#include "config.h"

#include "backend/supervisor/options.h"

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/limits.h"
#include "common/bits.h"
#include "common/size.h"

#define DEFAULT_QUEUES 4

static const char *const kind_names[NR_KINDS] = {
	[KIND_QDISK] = "qdisk",
	[KIND_VBD] = "vbd",
};

const char *device_kind_name(enum device_kind kind)
{
	return kind_names[kind];
}

/* ---- values ---- */

static int set_string(char **slot, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*slot);
	*slot = copy;
	return 0;
}

static int set_bool(bool *slot, const char *value, struct error *err)
{
	if (!strcmp(value, "yes") || !strcmp(value, "no")) {
		*slot = value[0] == 'y';
		return 0;
	}
	return error_set(err, EINVAL, "\"%s\" is neither yes nor no", value);
}

static int set_choice(char **slot, const char *value, const char *choices,
		      struct error *err)
{
	size_t len = strlen(value);

	for (const char *c = choices; *c; c += strcspn(c, " ")) {
		c += *c == ' ';
		if (len && !strncmp(c, value, len) &&
		    (c[len] == ' ' || !c[len]))
			return set_string(slot, value);
	}
	return error_set(err, EINVAL, "\"%s\" is none of: %s", value, choices);
}

static int set_cache(char **slot, const char *value, struct error *err)
{
	return set_choice(slot, value, "auto none writeback writethrough "
			  "directsync unsafe", err);
}

static int set_aio(char **slot, const char *value, struct error *err)
{
	return set_choice(slot, value, "auto io_uring libaio native threads",
			  err);
}

static int set_data_file(char **slot, const char *value, struct error *err)
{
	if (*value == '/' || !strcmp(value, "beside") || !strcmp(value, "none"))
		return set_string(slot, value);
	return error_set(err, EINVAL, "\"%s\" is neither beside nor none nor an "
			 "absolute path", value);
}

static int set_kinds(struct options *o, const char *value, struct error *err)
{
	bool kinds[NR_KINDS] = { false };

	while (*value) {
		size_t len = strcspn(value, ", ");
		unsigned int k;

		for (k = 0; k < NR_KINDS; k++) {
			if (len == strlen(kind_names[k]) &&
			    !strncmp(kind_names[k], value, len))
				break;
		}
		if (k == NR_KINDS)
			return error_set(err, EINVAL, "\"%.*s\" is no kind of "
					 "device: qdisk, vbd", (int)len, value);
		kinds[k] = true;
		value += len;
		value += strspn(value, ", ");
	}
	memcpy(o->kinds, kinds, sizeof(kinds));
	return 0;
}

static int set_log_level(struct options *o, const char *value,
			 struct error *err)
{
	if (log_parse_level(value, &o->log_level) == 0)
		return 0;
	return error_set(err, EINVAL, "\"%s\" is none of: error warn info "
			 "debug", value);
}

static int set_queues(struct options *o, const char *value, struct error *err)
{
	uint64_t n;

	if (decimal_parse(value, LIMIT_QUEUES, &n) < 0 || n == 0)
		return error_set(err, EINVAL, "\"%s\" is not a number from 1 "
				 "to %u", value, LIMIT_QUEUES);
	o->max_queues = (unsigned int)n;
	return 0;
}

/* ---- the file ---- */

static int daemon_key(struct options *o, const char *key, const char *value,
		      struct error *err)
{
	if (!strcmp(key, "kinds"))
		return set_kinds(o, value, err);
	if (!strcmp(key, "all-vbd"))
		return set_bool(&o->all_vbd, value, err);
	if (!strcmp(key, "log-level"))
		return set_log_level(o, value, err);
	if (!strcmp(key, "run-dir"))
		return set_string(&o->run_dir, value);
	if (!strcmp(key, "queues"))
		return set_queues(o, value, err);
	return error_set(err, EINVAL, "unknown key \"%s\" in [xdiskd]: kinds, "
			 "all-vbd, log-level, run-dir, queues", key);
}

static int image_key(struct image_settings *s, const char *section,
		     const char *key, const char *value, struct error *err)
{
	if (!strcmp(key, "path") && s->name)
		return set_string(&s->path, value);
	if (!strcmp(key, "cache"))
		return set_cache(&s->cache, value, err);
	if (!strcmp(key, "aio"))
		return set_aio(&s->aio, value, err);
	if (!strcmp(key, "secret-file"))
		return set_string(&s->secret_file, value);
	if (!strcmp(key, "legacy-aes"))
		return set_choice(&s->legacy_aes, value, "yes no", err);
	if (!strcmp(key, "data-file"))
		return set_data_file(&s->data_file, value, err);
	if (!strcmp(key, "l2-cache-size")) {
		if (size_parse(value, &s->l2_cache_size) == 0)
			return 0;
		return error_set(err, EINVAL, "\"%s\" is not a size", value);
	}
	return error_set(err, EINVAL, "unknown key \"%s\" in [%s]: %scache, "
			 "aio, data-file, l2-cache-size, legacy-aes, secret-file",
			 key, section, s->name ? "path, " : "");
}

/* The tool's section, read by tool/settings.c: judged all the same. */
static int tool_key(const char *key, const char *value, struct error *err)
{
	bool strict;

	if (!strcmp(key, "strict-format"))
		return set_bool(&strict, value, err);
	return error_set(err, EINVAL, "unknown key \"%s\" in [xdisk]: "
			 "strict-format", key);
}

static struct image_settings *image_section(struct options *o,
					    const char *name)
{
	struct image_settings *s;

	list_for_each(s, &o->images, link) {
		if (!strcmp(s->name, name))
			return s;
	}
	s = calloc(1, sizeof(*s));
	if (!s || set_string(&s->name, name) < 0) {
		free(s);
		return NULL;
	}
	list_add_tail(&o->images, &s->link);
	return s;
}

struct file_reader {
	struct options *o;
	struct error err;
};

/* inih's way: 1 is good, 0 is an error in this line. */
static int file_line(void *arg, const char *section, const char *key,
		     const char *value)
{
	struct file_reader *r = arg;
	struct image_settings *s;
	struct error err = ERROR_INIT;
	int ret;

	if (!strcmp(section, "xdiskd")) {
		ret = daemon_key(r->o, key, value, &err);
	} else if (!strcmp(section, "defaults")) {
		ret = image_key(&r->o->defaults, section, key, value, &err);
	} else if (!strncmp(section, "image ", 6)) {
		s = image_section(r->o, section + 6);
		ret = s ? image_key(s, section, key, value, &err) : -ENOMEM;
	} else if (!strcmp(section, "xdisk")) {
		ret = tool_key(key, value, &err);
	} else {
		ret = error_set(&err, EINVAL, "unknown section [%s]: xdiskd, "
				"xdisk, defaults, image NAME", section);
	}
	if (ret < 0 && !r->err.msg[0])	/* the first one is the one told */
		error_set(&r->err, -ret, "%s", error_text(&err, ret));
	return ret == 0;
}

static int check_images(const struct options *o, struct error *err)
{
	const struct image_settings *s;

	list_for_each(s, &o->images, link) {
		if (!s->path)
			return error_set(err, EINVAL, "section [image %s] "
					 "has no path", s->name);
	}
	return 0;
}

static int read_file(struct options *o, struct error *err)
{
	struct file_reader r = { .o = o, .err = ERROR_INIT };
	FILE *f = fopen(o->config_file, "re");
	int line;

	if (!f && errno == ENOENT && !o->config_given)
		return 0;
	if (!f)
		return error_set_errno(err, errno, "%s", o->config_file);
	line = ini_parse_file(f, file_line, &r);
	fclose(f);
	if (line)
		return error_set(err, EINVAL, "%s: line %d: %s",
				 o->config_file, line,
				 r.err.msg[0] ? r.err.msg :
				 "neither [section] nor key=value");
	return error_prefix(err, check_images(o, err), "%s", o->config_file);
}

/* ---- the command line ---- */

static const char usage[] =
	"usage: xdiskd [OPTION]...\n"
	"Serves the disks of Xen guests: claims them in xenstore and runs one\n"
	"xdisk-worker for each.\n\n"
	"  -f, --foreground      stay in the foreground, log to stderr\n"
	"  -c, --config FILE     read FILE (" XD_SYSCONFDIR "/xdisk.conf)\n"
	"      --run-dir DIR     pid file and sockets (" XD_RUNDIR ")\n"
	"      --kinds LIST      kinds of devices to serve (qdisk,vbd)\n"
	"      --cache MODE      auto, none, writeback, writethrough,\n"
	"                        directsync, unsafe (auto)\n"
	"      --aio ENGINE      auto, io_uring, libaio, threads (auto)\n"
	"      --log-level LEVEL error, warn, info, debug (info)\n"
	"      --check-config    only check the configuration\n"
	"  -V, --version\n"
	"  -h, --help\n\n"
	"Exit status: 0 stopped on request, 1 failure, 2 wrong usage.\n";

enum {
	OPT_RUN_DIR = 256, OPT_KINDS, OPT_CACHE, OPT_AIO, OPT_LOG_LEVEL,
	OPT_CHECK_CONFIG,
};

static const struct option long_options[] = {
	{ "foreground", no_argument, NULL, 'f' },
	{ "config", required_argument, NULL, 'c' },
	{ "run-dir", required_argument, NULL, OPT_RUN_DIR },
	{ "kinds", required_argument, NULL, OPT_KINDS },
	{ "cache", required_argument, NULL, OPT_CACHE },
	{ "aio", required_argument, NULL, OPT_AIO },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "check-config", no_argument, NULL, OPT_CHECK_CONFIG },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};
static const char short_options[] = "fc:Vh";

static int set_option(struct options *o, int opt, const char *value,
		      struct error *err)
{
	switch (opt) {
	case 'f':
		o->foreground = true;
		return 0;
	case 'c':
		return 0;	/* find_config() */
	case OPT_RUN_DIR:
		return set_string(&o->run_dir, value);
	case OPT_KINDS:
		return set_kinds(o, value, err);
	case OPT_CACHE:
		return set_cache(&o->defaults.cache, value, err);
	case OPT_AIO:
		return set_aio(&o->defaults.aio, value, err);
	case OPT_LOG_LEVEL:
		return set_log_level(o, value, err);
	case OPT_CHECK_CONFIG:
		o->check_config = true;
		return 0;
	}
	return -EINVAL;
}

/* First round: what must be known before the file is read. */
static enum options_result find_config(struct options *o, int argc,
				       char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, short_options, long_options,
				  NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(usage, stdout);
			return OPTIONS_DONE;
		case 'V':
			puts("xdiskd " PACKAGE_VERSION);
			return OPTIONS_DONE;
		case '?':
			fputs("Try xdiskd --help.\n", stderr);
			return OPTIONS_USAGE;
		case 'c':
			o->config_given = true;
			if (set_string(&o->config_file, optarg) < 0)
				return OPTIONS_BAD;
			break;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "xdiskd: what is \"%s\"? Try xdiskd --help.\n",
			argv[optind]);
		return OPTIONS_USAGE;
	}
	return OPTIONS_RUN;
}

static enum options_result command_line(struct options *o, int argc,
					char **argv)
{
	struct error err = ERROR_INIT;
	int opt, ret;

	optind = 1;
	while ((opt = getopt_long(argc, argv, short_options, long_options,
				  NULL)) != -1) {
		ret = set_option(o, opt, optarg, &err);
		if (ret < 0) {
			fprintf(stderr, "xdiskd: %s: %s\n", argv[optind - 1],
				error_text(&err, ret));
			return OPTIONS_USAGE;
		}
	}
	return OPTIONS_RUN;
}

static int set_defaults(struct options *o)
{
	memset(o, 0, sizeof(*o));
	list_init(&o->images);
	list_init(&o->defaults.link);
	o->kinds[KIND_QDISK] = o->kinds[KIND_VBD] = true;
	o->log_level = LOG_LEVEL_INFO;
	o->max_queues = DEFAULT_QUEUES;
	if (set_string(&o->config_file, XD_SYSCONFDIR "/xdisk.conf") < 0)
		return -ENOMEM;
	return set_string(&o->run_dir, XD_RUNDIR);
}

enum options_result options_parse(struct options *o, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	enum options_result result;
	int ret = set_defaults(o);

	if (ret == 0) {
		result = find_config(o, argc, argv);
		if (result != OPTIONS_RUN)
			return result;
		ret = read_file(o, &err);
	}
	if (ret < 0) {
		fprintf(stderr, "xdiskd: %s\n", error_text(&err, ret));
		return OPTIONS_BAD;
	}
	return command_line(o, argc, argv);
}

static void settings_clear(struct image_settings *s)
{
	free(s->name);
	free(s->path);
	free(s->cache);
	free(s->aio);
	free(s->secret_file);
	free(s->legacy_aes);
	free(s->data_file);
}

void options_free(struct options *o)
{
	struct image_settings *s, *tmp;

	list_for_each_safe(s, tmp, &o->images, link) {
		list_del(&s->link);
		settings_clear(s);
		free(s);
	}
	settings_clear(&o->defaults);
	free(o->config_file);
	free(o->run_dir);
}

void options_for_image(const struct options *o, const char *path,
		       struct image_settings *out)
{
	const struct image_settings *s;

	*out = o->defaults;
	list_for_each(s, &o->images, link) {
		if (fnmatch(s->path, path, FNM_PATHNAME))
			continue;
		out->name = s->name;
		if (s->cache)
			out->cache = s->cache;
		if (s->aio)
			out->aio = s->aio;
		if (s->secret_file)
			out->secret_file = s->secret_file;
		if (s->legacy_aes)
			out->legacy_aes = s->legacy_aes;
		if (s->data_file)
			out->data_file = s->data_file;
		if (s->l2_cache_size)
			out->l2_cache_size = s->l2_cache_size;
	}
}

static bool name_is_taken(const struct options *o, const char *name)
{
	const struct image_settings *s;

	list_for_each(s, &o->images, link) {
		if (!strcmp(s->name, name))
			return true;
	}
	return false;
}

char *options_section_for(const struct options *o, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct image_settings s;
	char *text;
	int n;

	options_for_image(o, path, &s);
	if (name_is_taken(o, name))	/* by a section for others */
		name = path;
	if (s.name)
		n = asprintf(&text, "section [image %s] of %s", s.name,
			     o->config_file);
	else
		n = asprintf(&text, "a new section [image %s] of %s, with "
			     "\"path = %s\"", name, o->config_file, path);
	return n < 0 ? NULL : text;
}
