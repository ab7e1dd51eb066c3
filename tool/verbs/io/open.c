/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open.c: see open.h. */
#include "tool/verbs/io/open.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/graph/make.h"
#include "tool/keyval.h"
#include "tool/message.h"
#include "tool/open.h"

/* ---- opening and closing ---- */

static void close_image(struct io_shell *sh)
{
	io_wait_idle(sh);
	if (sh->img && tool_close(sh->img))
		sh->failed = true;
	sh->img = NULL;
}

static void free_target(struct io_target *t)
{
	free(t->path);
	free(t->format);
	free(t->opts);
}

/* In qemu-io's words: the reason alone when it was open before. */
static void print_not_opened(const struct io_target *t, bool again,
			     const char *why)
{
	if (again)
		tool_error("%s", why);
	else if (t->path)
		tool_error("can't open device %s: %s", t->path, why);
	else
		tool_error("can't open: %s", why);
}

/* NULL: printed why. */
static struct image *open_target(struct io_shell *sh,
				 const struct io_target *t, bool again)
{
	struct tool_common c = sh->common;
	struct error err = ERROR_INIT;
	struct image *img = NULL;
	int ret;

	c.format = t->format;
	c.cache = t->cache;
	c.image_opts = t->opts;
	c.beside = t->path;
	ret = tool_open_image(sh->loop, t->opts ? t->opts : t->path, &c,
			      t->flags, &img, &err);
	if (ret < 0)
		print_not_opened(t, again, error_text(&err, ret));
	return ret ? NULL : img;
}

/* Takes over the target; what was open is closed first. */
static void open_image(struct io_shell *sh, struct io_target *t, bool again)
{
	close_image(sh);
	free_target(&sh->target);
	sh->target = *t;
	sh->img = open_target(sh, t, again);
	if (!sh->img)
		sh->failed = true;
}

/* The options after `more` was added to them. 0 or -ENOMEM */
static int append_options(char **opts, const char *more)
{
	char *text;

	if (asprintf(&text, "%s%s%s", *opts ? *opts : "", *opts ? "," : "",
		     more) < 0)
		return -ENOMEM;
	free(*opts);
	*opts = text;
	return 0;
}

void io_close_last(struct io_shell *sh)
{
	close_image(sh);
	free_target(&sh->target);
}

/* An empty overlay whose name is gone as soon as it is open. */
static struct image *open_overlay(struct io_shell *sh, const char *path,
				  const char *base, const char *format)
{
	const struct image_create_option options[] = {
		{ "backing_file", base }, { "backing_fmt", format },
	};
	struct tool_common c = sh->common;
	struct error err = ERROR_INIT;
	int ret = image_create(sh->loop, path, "qcow2", UINT64_MAX, options,
			       ARRAY_SIZE(options), &err);

	if (ret) {
		tool_error("%s", error_text(&err, ret));
		return NULL;
	}
	c.format = "qcow2";
	return tool_open(sh->loop, path, &c, IMAGE_RDWR);
}

static struct image *open_temporary(struct io_shell *sh, const char *base)
{
	cleanup_free char *real = realpath(base, NULL);
	const char *dir = getenv("TMPDIR"), *format;
	cleanup_free char *path = NULL;
	struct image *img;
	int fd;

	if (!real || tool_is_described(&sh->common, base)) {
		tool_error("%s: -s needs the path of a file", base);
		return NULL;
	}
	format = tool_format(sh->loop, real, sh->common.format, NULL,
			     sh->common.quiet);
	if (!format)
		return NULL;
	if (asprintf(&path, "%s/xdisk-io-XXXXXX", dir ? dir : "/var/tmp") < 0)
		path = NULL;
	fd = path ? mkstemp(path) : -1;
	if (fd < 0) {
		tool_error("Could not create a temporary overlay '%s': %s",
			   path ? path : "", strerror(errno));
		return NULL;
	}
	close(fd);
	img = open_overlay(sh, path, real, format);
	unlink(path);
	return img;
}

/* The image of the command line. */
void io_open_first(struct io_shell *sh, const char *path)
{
	struct io_target t = {
		.format = sh->common.format ? strdup(sh->common.format) : NULL,
		.flags = sh->flags,
		.cache = sh->common.cache,
	};

	if (sh->temporary)
		sh->img = open_temporary(sh, path);
	else if (sh->common.image_opts)
		t.opts = strdup(path);
	else
		t.path = strdup(path);
	if (!sh->temporary) {
		open_image(sh, &t, false);
		return;
	}
	free_target(&t);
	sh->failed |= !sh->img;
}

/* ---- the options of open and reopen ---- */

bool io_parse_discard(struct io_shell *sh, const char *mode,
		      unsigned int *flags)
{
	if (!strcmp(mode, "unmap") || !strcmp(mode, "on")) {
		*flags |= IMAGE_UNMAP;
	} else if (!strcmp(mode, "ignore") || !strcmp(mode, "off")) {
		*flags &= ~(unsigned int)IMAGE_UNMAP;
	} else {
		io_error(sh, "Invalid discard option: %s", mode);
		return false;
	}
	return true;
}

/* false: printed why. */
static bool open_option(struct io_shell *sh, struct io_target *t, int id)
{
	switch (id) {
	case 'r':
		t->flags &= ~(unsigned int)IMAGE_RDWR;
		return true;
	case 'w':
		t->flags |= IMAGE_RDWR;
		return true;
	case 'U':
		t->flags |= IMAGE_SHARE;
		return true;
	case 'n':
		t->cache = IMAGE_CACHE_NONE;
		return true;
	case 'k':
		return !tool_common_option(&sh->common, OPT_AIO, "native");
	case 'd':
		return io_parse_discard(sh, optarg, &t->flags);
	case 'f':
		free(t->format);
		t->format = strdup(optarg);
		return t->format;
	case 'o':
		return !append_options(&t->opts, optarg);
	case 'c':
	case 't':
		if (!image_parse_cache(optarg, &t->cache))
			return true;
		io_error(sh, "Invalid cache option: %s", optarg);
		return false;
	default:
		io_fail(sh, "invalid option");
		return false;
	}
}

void io_open(struct io_shell *sh, int argc, char **argv)
{
	struct io_target t = {
		.flags = IMAGE_RDWR | IMAGE_UNMAP,
		.cache = sh->common.cache,
	};
	bool good = true;
	int id;

	optind = 0;
	opterr = 0;
	while (good && (id = getopt(argc, argv, "d:knrUt:o:f:")) != -1)
		good = open_option(sh, &t, id);
	if (good && (argc - optind > 1 || (argc == optind && !t.opts))) {
		io_fail(sh, "open: expecting one file");
		good = false;
	}
	if (good && optind < argc)
		t.path = strdup(argv[optind]);
	if (good)
		open_image(sh, &t, false);
	else
		free_target(&t);
}

void io_close(struct io_shell *sh, int argc, char **argv)
{
	close_image(sh);
}

static int copy_target(struct io_target *t, const struct io_target *from,
		       const struct image *img)
{
	*t = *from;
	t->path = from->path ? strdup(from->path) : NULL;
	t->opts = from->opts ? strdup(from->opts) : NULL;
	/* What was guessed once is not guessed again, but remains a guess. */
	t->format = strdup(image_format(img));
	t->flags |= image_guessed(img) ? IMAGE_GUESSED : 0;
	return t->format && !t->path == !from->path &&
	       !t->opts == !from->opts ? 0 : -ENOMEM;
}

/* Was that option said when the image was opened? */
static bool was_said(const struct io_target *t, const struct keyval *kv)
{
	struct keyvals old = { 0 };
	bool found = false;

	if (!t->opts || keyval_parse(&old, t->opts, NULL))
		return false;
	for (unsigned int i = 0; i < old.nr; i++)
		found |= !strcmp(old.v[i].key, kv->key) &&
			 !strcmp(old.v[i].value, kv->value);
	keyval_free(&old);
	return found;
}

static bool is_driver_of(const struct image *img, const char *value)
{
	return img && !strcmp(image_format(img), value);
}

/* What the nodes are cannot change, only how they are open. */
static bool may_change(struct io_shell *sh, const struct keyval *kv)
{
	const char *dot = strrchr(kv->key, '.');
	const char *name = dot ? dot + 1 : kv->key;

	if ((strcmp(name, "driver") && strcmp(name, "node-name")) ||
	    was_said(&sh->target, kv) ||
	    (!strcmp(kv->key, "driver") && is_driver_of(sh->img, kv->value)) ||
	    (!strcmp(kv->key, "file.driver") &&
	     is_driver_of(image_file(sh->img), kv->value)) ||
	    (!strcmp(kv->key, "backing.driver") &&
	     is_driver_of(image_backing(sh->img), kv->value)))
		return true;
	io_error(sh, "Cannot change the option '%s'", name);
	return false;
}

/* A letter and an option may not say the same thing. */
static bool allow_option(struct io_shell *sh, const struct keyval *kv,
			 bool mode, bool cache)
{
	if (mode && !strcmp(kv->key, "read-only")) {
		io_error(sh, "Cannot set both -r/-w and 'read-only'");
		return false;
	}
	if (cache && !strncmp(kv->key, "cache.", 6)) {
		io_error(sh, "Cannot set both -c and the cache options");
		return false;
	}
	return may_change(sh, kv);
}

static bool allow_options(struct io_shell *sh, const char *opts, bool mode,
			  bool cache)
{
	struct keyvals kv = { 0 };
	bool good = !keyval_parse(&kv, opts, NULL);

	for (unsigned int i = 0; good && i < kv.nr; i++)
		good = allow_option(sh, &kv.v[i], mode, cache);
	keyval_free(&kv);
	return good;
}

/* Options are added to those with which the image was opened. */
static bool reopen_options(struct io_shell *sh, struct io_target *t, int argc,
			   char **argv)
{
	char *added, *before = steal_ptr(&t->opts);
	bool mode = false, cache = false, good = true;
	int id;

	optind = 0;
	opterr = 0;
	while (good && (id = getopt(argc, argv, "c:o:rw")) != -1) {
		mode |= id == 'r' || id == 'w';
		cache |= id == 'c';
		good = open_option(sh, t, id);
	}
	added = t->opts;
	t->opts = before;
	if (good && added)
		good = allow_options(sh, added, mode, cache) &&
		       !append_options(&t->opts, added);
	free(added);
	if (good && optind != argc) {
		io_fail(sh, "reopen: there is no file to be named");
		good = false;
	}
	return good;
}

/* When it cannot be opened in the new way it is opened in the old one. */
void io_reopen(struct io_shell *sh, int argc, char **argv)
{
	struct io_target t, old = { 0 };
	bool good;

	if (!sh->target.path && !sh->target.opts) {
		io_error(sh, "What is thrown away cannot be opened again");
		return;
	}
	good = !copy_target(&t, &sh->target, sh->img) &&
	       reopen_options(sh, &t, argc, argv);
	if (!good || copy_target(&old, &sh->target, sh->img)) {
		sh->failed = true;
		free_target(&t);
		free_target(&old);
		return;
	}
	open_image(sh, &t, true);
	if (!sh->img)
		open_image(sh, &old, true);
	else
		free_target(&old);
}
