/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf.c: see conf.h.
 *
 * The names of cache modes and AIO engines are checked here for a message with
 * file and line; what they mean only workers know.
 */
#include "config.h"

#include "backend/conf.h"

#include <errno.h>
#include <fnmatch.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/rings.h"
#include "common/bits.h"
#include "common/io-modes.h"
#include "common/size.h"
#include "opener/policy.h"

#define DEFAULT_QUEUES 4
#define MEMORY_LEAST (32 * MiB)

/* Beyond what distributions, systemd and directories give out. */
#define DEFAULT_UIDS 2147000000u
#define DOMAINS_MAX 0x7ff0u	/* Xen's DOMID_FIRST_RESERVED */

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

static int set_size(uint64_t *slot, const char *value, struct error *err)
{
	uint64_t bytes;

	if (size_parse(value, &bytes) < 0)
		return error_set(err, EINVAL, "\"%s\" is not a size", value);
	*slot = bytes;
	return 0;
}

/* Less than a request and an image may need is of no use. */
static int set_memory(uint64_t *slot, const char *value, struct error *err)
{
	uint64_t bytes;
	int ret = set_size(&bytes, value, err);

	if (ret)
		return ret;
	if (bytes < MEMORY_LEAST)
		return error_set(err, EINVAL, "\"%s\" is less than 32M", value);
	*slot = bytes;
	return 0;
}

static int set_choice(char **slot, const char *value, const char *choices,
		      struct error *err)
{
	size_t len = strlen(value);

	for (const char *c = choices; *c; c += strcspn(c, " ")) {
		c += *c == ' ';
		if (len && !strchr(value, ' ') && !strncmp(c, value, len) &&
		    (c[len] == ' ' || !c[len]))
			return set_string(slot, value);
	}
	return error_set(err, EINVAL, "\"%s\" is none of: %s", value, choices);
}

static int set_cache(char **slot, const char *value, struct error *err)
{
	return set_choice(slot, value, "auto " IMAGE_CACHE_MODES(" "), err);
}

static int set_aio(char **slot, const char *value, struct error *err)
{
	return set_choice(slot, value, AIO_ENGINES(" ", "libaio native"), err);
}

static int set_data_file(char **slot, const char *value, struct error *err)
{
	if (*value == '/' || !strcmp(value, "beside") || !strcmp(value, "none"))
		return set_string(slot, value);
	return error_set(err, EINVAL, "\"%s\" is neither beside nor none nor an "
			 "absolute path", value);
}

static int set_dirs(char **slot, const char *value, struct error *err)
{
	int ret = policy_judge_dirs(value, err);

	return ret ? ret : set_string(slot, value);
}

static int set_kinds(struct conf *c, const char *value, struct error *err)
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
	memcpy(c->kinds, kinds, sizeof(kinds));
	return 0;
}

static int set_log_level(struct conf *c, const char *value,
			 struct error *err)
{
	if (log_parse_level(value, &c->log_level) == 0)
		return 0;
	return error_set(err, EINVAL, "\"%s\" is none of: error warn info "
			 "debug", value);
}

static int set_queues(struct conf *c, const char *value, struct error *err)
{
	uint64_t n;

	if (decimal_parse(value, LIMIT_QUEUES, &n) < 0 || n == 0)
		return error_set(err, EINVAL, "\"%s\" is not a number from 1 "
				 "to %u", value, LIMIT_QUEUES);
	c->max_queues = (unsigned int)n;
	return 0;
}

static int set_sandbox(struct conf *c, const char *value, struct error *err)
{
	if (sandbox_parse(value, &c->sandbox) == 0)
		return 0;
	return error_set(err, EINVAL, "\"%s\" is none of: off log on", value);
}

/* Room for a uid of each domain there can be. */
static int set_uids(struct conf *c, const char *value, struct error *err)
{
	uint64_t n;

	if (decimal_parse(value, UINT32_MAX - 2 * DOMAINS_MAX, &n) < 0)
		return error_set(err, EINVAL, "\"%s\" is not a user's number, the "
				 "first of %u, nor 0", value, DOMAINS_MAX);
	c->worker_uids = (uid_t)n;
	return 0;
}

/* ---- keys ---- */

static int daemon_key(struct conf *c, const char *key, const char *value,
		      struct error *err)
{
	if (!strcmp(key, "kinds"))
		return set_kinds(c, value, err);
	if (!strcmp(key, "all-vbd"))
		return set_bool(&c->all_vbd, value, err);
	if (!strcmp(key, "log-level"))
		return set_log_level(c, value, err);
	if (!strcmp(key, "run-dir"))
		return set_string(&c->run_dir, value);
	if (!strcmp(key, "queues"))
		return set_queues(c, value, err);
	if (!strcmp(key, "sandbox"))
		return set_sandbox(c, value, err);
	if (!strcmp(key, "worker-uids"))
		return set_uids(c, value, err);
	return error_set(err, EINVAL, "unknown key \"%s\" in [xdiskd]: kinds, "
			 "all-vbd, log-level, run-dir, queues, sandbox, "
			 "worker-uids", key);
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
	if (!strcmp(key, "image-dirs"))
		return set_dirs(&s->image_dirs, value, err);
	if (!strcmp(key, "data-file"))
		return set_data_file(&s->data_file, value, err);
	if (!strcmp(key, "l2-cache-size"))
		return set_size(&s->l2_cache_size, value, err);
	if (!strcmp(key, "memory"))
		return set_memory(&s->memory, value, err);
	return error_set(err, EINVAL, "unknown key \"%s\" in [%s]: %scache, "
			 "aio, data-file, image-dirs, l2-cache-size, "
			 "legacy-aes, memory, secret-file",
			 key, section, s->name ? "path, " : "");
}

static int tool_key(struct conf *c, const char *key, const char *value,
		    struct error *err)
{
	if (!strcmp(key, "strict-format"))
		return set_bool(&c->strict_format, value, err);
	if (!strcmp(key, "image-dirs"))
		return set_dirs(&c->tool_image_dirs, value, err);
	return error_set(err, EINVAL, "unknown key \"%s\" in [xdisk]: "
			 "image-dirs, strict-format", key);
}

static struct image_settings *image_section(struct conf *c,
					    const char *name)
{
	struct image_settings *s;

	list_for_each(s, &c->images, link) {
		if (!strcmp(s->name, name))
			return s;
	}
	s = calloc(1, sizeof(*s));
	if (!s || set_string(&s->name, name) < 0) {
		free(s);
		return NULL;
	}
	list_add_tail(&c->images, &s->link);
	return s;
}

int conf_set(struct conf *c, const char *section, const char *key,
	     const char *value, struct error *err)
{
	struct image_settings *s;

	if (!strcmp(section, "xdiskd"))
		return daemon_key(c, key, value, err);
	if (!strcmp(section, "xdisk"))
		return tool_key(c, key, value, err);
	if (!strcmp(section, "defaults"))
		return image_key(&c->defaults, section, key, value, err);
	if (!strncmp(section, "image ", 6)) {
		s = image_section(c, section + 6);
		return s ? image_key(s, section, key, value, err) : -ENOMEM;
	}
	return error_set(err, EINVAL, "unknown section [%s]: xdiskd, xdisk, "
			 "defaults, image NAME", section);
}

/* ---- the file ---- */

struct file_reader {
	struct conf *conf;
	const char *section;		/* NULL: all */
	struct error err;
};

/* inih's way: 1 is good, 0 is an error in this line. */
static int file_line(void *arg, const char *section, const char *key,
		     const char *value)
{
	struct file_reader *r = arg;
	struct error err = ERROR_INIT;
	int ret = 0;

	if (!r->section || !strcmp(section, r->section))
		ret = conf_set(r->conf, section, key, value, &err);
	if (ret < 0 && !r->err.msg[0])	/* the first one is the one told */
		error_set(&r->err, -ret, "%s", error_text(&err, ret));
	return ret == 0;
}

static int check_images(const struct conf *c, struct error *err)
{
	const struct image_settings *s;

	list_for_each(s, &c->images, link) {
		if (!s->path)
			return error_set(err, EINVAL, "section [image %s] "
					 "has no path", s->name);
	}
	return 0;
}

int conf_read(struct conf *c, const char *section, struct error *err)
{
	struct file_reader r = { c, section, ERROR_INIT };
	FILE *f = fopen(c->file, "re");
	int line;

	if (!f)
		return error_set_errno(err, errno, "%s", c->file);
	line = ini_parse_file(f, file_line, &r);
	fclose(f);
	if (line)
		return error_set(err, EINVAL, "%s: line %d: %s", c->file, line,
				 r.err.msg[0] ? r.err.msg :
				 "neither [section] nor key=value");
	return error_prefix(err, check_images(c, err), "%s", c->file);
}

/* ---- settings of an image ---- */

void conf_for_image(const struct conf *c, const char *path,
		    struct image_settings *out)
{
	const struct image_settings *s;

	*out = c->defaults;
	list_for_each(s, &c->images, link) {
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
		if (s->image_dirs)
			out->image_dirs = s->image_dirs;
		if (s->l2_cache_size)
			out->l2_cache_size = s->l2_cache_size;
		if (s->memory)
			out->memory = s->memory;
	}
}

static bool name_is_taken(const struct conf *c, const char *name)
{
	const struct image_settings *s;

	list_for_each(s, &c->images, link) {
		if (!strcmp(s->name, name))
			return true;
	}
	return false;
}

char *conf_section_for(const struct conf *c, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct image_settings s;
	char *text;
	int n;

	conf_for_image(c, path, &s);
	if (name_is_taken(c, name))	/* by a section for others */
		name = path;
	if (s.name)
		n = asprintf(&text, "section [image %s] of %s", s.name, c->file);
	else
		n = asprintf(&text, "a new section [image %s] of %s, with "
			     "\"path = %s\"", name, c->file, path);
	return n < 0 ? NULL : text;
}

/* ---- beginning and end ---- */

int conf_init(struct conf *c, const char *file)
{
	memset(c, 0, sizeof(*c));
	list_init(&c->images);
	list_init(&c->defaults.link);
	c->kinds[KIND_QDISK] = c->kinds[KIND_VBD] = true;
	c->log_level = LOG_LEVEL_INFO;
	c->max_queues = DEFAULT_QUEUES;
	c->sandbox = SANDBOX_ON;
	c->worker_uids = DEFAULT_UIDS;
	if (set_string(&c->file, file ? file : XD_SYSCONFDIR "/xdisk.conf") < 0)
		return -ENOMEM;
	return set_string(&c->run_dir, XD_RUNDIR);
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
	free(s->image_dirs);
}

void conf_free(struct conf *c)
{
	struct image_settings *s, *tmp;

	list_for_each_safe(s, tmp, &c->images, link) {
		list_del(&s->link);
		settings_clear(s);
		free(s);
	}
	settings_clear(&c->defaults);
	free(c->file);
	free(c->run_dir);
	free(c->tool_image_dirs);
}
