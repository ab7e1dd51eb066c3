/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-opts.c: see image-opts.h.
 *
 * The names are those of QEMU's block nodes, as far as they mean something
 * here; any other is refused by its name. Text and JSON are first made the same:
 * a list of names and values, which image-json.c does for JSON. The list is then
 * planted as a tree of nodes, names of files are put where they belong, and last
 * each node is judged by its driver.
 */
#include "tool/image-opts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/graph/format.h"
#include "image/graph/probe.h"
#include "image/graph/protocol.h"
#include "tool/debug-rules.h"
#include "tool/image-json.h"
#include "tool/image-node.h"
#include "tool/keyval.h"

/* Of the topmost image's file and so on: each one below takes its part of the
 * stack when it is opened and read. */
#define MAX_DEPTH 64

static const char *const child_names[] = {
	[FILE_BELOW] = "file.",
	[BACKING] = "backing.",
	[DATA_FILE] = "data-file.",
	[IMAGE] = "image.",
	[TEST] = "test.",
	[RAW] = "raw.",
};

struct kept {
	struct kept *next;
	char text[];
};

static struct described *all;

/* ---- lists and trees ---- */

/* What was said before wins. */
static int add_said(struct said **list, const char *key, const char *value)
{
	struct said *s;

	for (; *list; list = &(*list)->next)
		if (!strcmp((*list)->key, key))
			return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->key = strdup(key);
	s->value = strdup(value);
	s->name = s->key;
	*list = s;
	return s->key && s->value ? 0 : -ENOMEM;
}

/* Of text the last one wins, as with all options. */
static int add_text(struct described *d, const char *text)
{
	struct keyvals kv;
	int ret = keyval_parse(&kv, text, NULL);

	for (unsigned int i = kv.nr; !ret && i > 0; i--)
		ret = add_said(&d->said, kv.v[i - 1].key, kv.v[i - 1].value);
	keyval_free(&kv);
	return ret;
}

static int add_json(void *arg, const char *key, const char *value)
{
	struct described *d = arg;

	return add_said(&d->said, key, value);
}

static struct node *new_node(struct described *d)
{
	struct node *n = calloc(1, sizeof(*n));

	if (n) {
		n->next = d->nodes;
		d->nodes = n;
	}
	return n;
}

static int get_child(struct described *d, struct node *n, enum child which,
		     struct node **child, struct error *err)
{
	*child = n->child[which];
	if (!*child && n->depth == MAX_DEPTH)
		return error_set(err, EINVAL, "--image-opts go down %d images "
				 "at most", MAX_DEPTH);
	if (!*child)
		*child = n->child[which] = new_node(d);
	if (!*child)
		return -ENOMEM;
	(*child)->depth = n->depth + 1;
	if (which == FILE_BELOW || which == IMAGE)
		(*child)->top = n->top;
	return 0;
}

static int find_child(const char *name)
{
	for (int i = 0; i < NR_CHILDREN; i++)
		if (!strncmp(name, child_names[i], strlen(child_names[i])))
			return i;
	return -1;
}

/* Takes over `s`. */
static int plant(struct described *d, struct node *n, struct said *s,
		 struct error *err)
{
	int which, ret = 0;

	while (!ret && (which = find_child(s->name)) >= 0) {
		s->name += strlen(child_names[which]);
		ret = get_child(d, n, (enum child)which, &n, err);
	}
	if (!ret) {
		s->next = n->said;
		n->said = s;
		if (!strcmp(s->name, "driver"))
			n->n.driver = s->value;
		if (!strcmp(s->name, "filename"))
			n->filename = s->value;
	} else {
		s->next = d->said;	/* only to be freed */
		d->said = s;
	}
	return ret;
}

/* A copy that lives as long as the tree; NULL: no memory. */
static const char *keep_node_text(struct described *d, const char *text)
{
	struct kept *k = malloc(sizeof(*k) + strlen(text) + 1);

	if (!k)
		return NULL;
	strcpy(k->text, text);
	k->next = d->kept;
	d->kept = k;
	return k->text;
}

/* ---- names of files ---- */

static bool is_format(const struct node *n)
{
	return n->n.driver && image_format_known(n->n.driver);
}

static int place_name(struct described *d, struct node *n, const char *name,
		      bool format, struct error *err);

static int place_below(struct described *d, struct node *n, enum child which,
		       const char *name, struct error *err)
{
	struct node *child;
	int ret = get_child(d, n, which, &child, err);

	return ret ? ret : place_name(d, child, name, which == TEST, err);
}

/* The first part of "A:B"; *name becomes B. */
static char *cut_part(const char **name)
{
	const char *colon = strchr(*name, ':');
	char *part = colon ? strndup(*name, (size_t)(colon - *name)) : NULL;

	*name = colon ? colon + 1 : *name;
	return part;
}

static int place_debug(struct described *d, struct node *n, const char *name,
		       struct error *err)
{
	cleanup_free char *config = NULL;
	int ret = 0;

	if (!strncmp(name, "blkdebug:", 9)) {
		name += 9;
		config = cut_part(&name);
		if (!config)
			return error_set(err, EINVAL, "blkdebug requires both "
					 "config file and image path");
		if (*config)
			ret = add_said(&n->said, "config", config);
	}
	return ret ? ret : place_below(d, n, IMAGE, name, err);
}

static int place_verify(struct described *d, struct node *n, const char *name,
			struct error *err)
{
	cleanup_free char *raw = NULL;
	const char *kept;
	int ret = 0;

	if (!strncmp(name, "blkverify:", 10)) {
		name += 10;
		raw = cut_part(&name);
		if (!raw)
			return error_set(err, EINVAL, "blkverify requires raw "
					 "copy and original image path");
		kept = keep_node_text(d, raw);
		ret = kept ? place_below(d, n, RAW, kept, err) : -ENOMEM;
	}
	return ret ? ret : place_below(d, n, TEST, name, err);
}

/* Gives the file's name to the node below `n` that it belongs to. `format`: a
 * node without a driver is a format, which will be guessed. */
static int place_name(struct described *d, struct node *n, const char *name,
		      bool format, struct error *err)
{
	if (is_format(n) || (!n->n.driver && format))
		return place_below(d, n, FILE_BELOW, name, err);
	if (!n->n.driver && !strncmp(name, "blkdebug:", 9))
		n->n.driver = "blkdebug";
	if (!n->n.driver && !strncmp(name, "blkverify:", 10))
		n->n.driver = "blkverify";
	if (is_driver(n, "blkdebug"))
		return place_debug(d, n, name, err);
	if (is_driver(n, "blkverify"))
		return place_verify(d, n, name, err);
	if (n->n.path)
		return error_set(err, EINVAL, "two files are named, '%s' and "
				 "'%s'", n->n.path, name);
	n->n.path = name;
	return 0;
}

/* Names that were options; a node above takes its own before those below. */
static int place_all(struct described *d, struct node *n, bool format,
		     struct error *err)
{
	int ret = 0;

	if (n->filename)
		ret = place_name(d, n, n->filename, format, err);
	for (int i = 0; !ret && i < NR_CHILDREN; i++)
		if (n->child[i] && i != DATA_FILE)
			ret = place_all(d, n->child[i],
					i == BACKING || i == TEST, err);
	return ret;
}

/* ---- nodes by their drivers ---- */

static const char *said_of(const struct node *n, const char *name)
{
	for (struct said *s = n->said; s; s = s->next)
		if (!strcmp(s->name, name))
			return s->value;
	return NULL;
}

static int add_rule(void *arg, const char *key, const char *value)
{
	struct node *n = arg;

	return add_said(&n->said, key, value);
}

static int read_rules_file(struct node *n, struct error *err)
{
	const char *config = said_of(n, "config");

	return config ? debug_rules_read(config, add_rule, n, err) : 0;
}

static int make_nbd_url(struct described *d, struct node *n,
			struct error *err)
{
	const char *host = said_of(n, "server.host") ?: said_of(n, "host");
	const char *port = said_of(n, "server.port") ?: said_of(n, "port");
	const char *path = said_of(n, "server.path") ?: said_of(n, "path");
	const char *export = said_of(n, "export") ?: "";
	cleanup_free char *url = NULL;

	if (n->n.path)
		return 0;
	if (!host && !path)
		return error_set(err, EINVAL, "one of path and host must be "
				 "specified");
	if (path ? asprintf(&url, "nbd+unix:///%s?socket=%s", export, path) < 0 :
		   asprintf(&url, "nbd://%s:%s/%s", host, port ?: "10809",
			    export) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	n->n.path = keep_node_text(d, url);
	return n->n.path ? 0 : -ENOMEM;
}

static int settle_nodes(struct described *d, struct node *n, bool recorded,
			struct error *err);

/* The child `which` of `n` becomes *to; it must be one that the driver has. */
static int settle_child(struct described *d, struct node *n, enum child which,
			const struct image_node **to, struct error *err)
{
	struct node *child = n->child[which];
	int ret;

	n->child[which] = NULL;
	if (!child)
		return 0;
	ret = settle_nodes(d, child, which == BACKING, err);
	if (!ret)
		*to = &child->n;
	return ret;
}

/* Children that are left belong to no such driver. */
static int judge_children(struct node *n, struct error *err)
{
	for (int i = 0; i < NR_CHILDREN; i++) {
		char name[16];

		if (!n->child[i])
			continue;
		snprintf(name, sizeof(name), "%s", child_names[i]);
		name[strlen(name) - 1] = '\0';
		return error_set(err, EINVAL, "Block driver '%s' does not "
				 "support the option '%s'",
				 n->n.driver ? n->n.driver : "file", name);
	}
	return 0;
}

static int settle_data_file(struct node *n, struct error *err)
{
	const struct node *data = n->child[DATA_FILE];
	const char *driver = data ? data->n.driver : NULL;

	n->child[DATA_FILE] = NULL;
	if (!data)
		return 0;
	if (n->n.driver && strcmp(n->n.driver, "qcow2"))
		return error_set(err, EINVAL, "Block format '%s' does not "
				 "support the option 'data-file'",
				 n->n.driver);
	if (driver && strcmp(driver, "file") && strcmp(driver, "host_device"))
		return error_set(err, ENOTSUP, "Unknown protocol '%s' of a data "
				 "file (known: file, host_device)", driver);
	for (struct said *s = data->said; s; s = s->next)
		if (strcmp(s->name, "driver") && strcmp(s->name, "filename") &&
		    strcmp(s->name, "node-name"))
			return error_set(err, EINVAL, "Unknown image option "
					 "'%s' (known: driver, filename, "
					 "node-name)", s->key);
	n->n.data_file = data->filename;
	return 0;
}

/* "backing.file.driver=file" alone says nothing of where it is. */
static bool is_only_kind(const struct node *n)
{
	return n && !n->n.path && (!n->n.driver || is_driver(n, "file") ||
				   is_driver(n, "host_device")) &&
	       !n->child[FILE_BELOW] && !n->child[IMAGE];
}

static int settle_node_format(struct described *d, struct node *n,
			      bool recorded, struct error *err)
{
	int ret = 0;

	if (recorded && is_only_kind(n->child[FILE_BELOW]))
		n->child[FILE_BELOW] = NULL;
	if (!recorded && !n->child[FILE_BELOW])
		return error_set(err, EINVAL, "A block device must be specified "
				 "for \"file\": --image-opts need "
				 "file.filename=PATH");
	ret = settle_child(d, n, FILE_BELOW, &n->n.file, err);
	if (!ret)
		ret = settle_child(d, n, BACKING, &n->n.backing, err);
	return ret ? ret : settle_data_file(n, err);
}

static int settle_test(struct described *d, struct node *n, struct error *err)
{
	struct node *test = n->child[TEST];
	int ret = settle_child(d, n, RAW, &n->n.file, err);

	if (!ret)
		ret = settle_child(d, n, TEST, &n->n.test, err);
	if (!ret && test && !test->n.driver)
		ret = image_probe_node(d->loop, &test->n, &test->n.driver, err);
	if (!ret && (!n->n.file || !n->n.test))
		ret = error_set(err, EINVAL, "blkverify needs two images, raw "
				"and test");
	return ret;
}

static int settle_protocol(struct described *d, struct node *n,
			   struct error *err)
{
	int ret = 0;

	if (is_driver(n, "blkdebug")) {
		ret = read_rules_file(n, err);
		if (!ret)
			ret = settle_child(d, n, IMAGE, &n->n.file, err);
		if (!ret && !n->n.file)
			ret = error_set(err, EINVAL, "A block device must be "
					"specified for \"image\"");
		return ret;
	}
	if (is_driver(n, "blkverify"))
		return settle_test(d, n, err);
	if (is_driver(n, "nbd"))
		return make_nbd_url(d, n, err);
	if (is_driver(n, "null-co") || is_driver(n, "null-aio"))
		n->n.path = "null-co://";
	if (!n->n.path)
		return error_set(err, EINVAL, "The '%s' block driver requires a "
				 "file name", n->n.driver ? n->n.driver : "file");
	return 0;
}

/* `recorded`: what is not said stands in the image above. */
static int settle_nodes(struct described *d, struct node *n, bool recorded,
			struct error *err)
{
	bool format = n->n.driver ? is_format(n) : !n->n.path;
	int ret;

	if (n->n.driver && !format && !image_protocol_known(n->n.driver))
		return error_set(err, ENOTSUP, "Unknown driver '%s' (known: %s; "
				 "%s)", n->n.driver, image_format_names(),
				 image_protocol_names());
	ret = format ? settle_node_format(d, n, recorded, err) :
		       settle_protocol(d, n, err);
	if (!ret)
		ret = judge_children(n, err);
	return ret ? ret : node_apply_options(d, n, err);
}

/* A protocol where an image should be is raw bytes. */
static int wrap(struct described *d, struct node **n)
{
	struct node *raw;

	if (!*n || !(*n)->n.driver || is_format(*n))
		return 0;
	raw = new_node(d);
	if (!raw)
		return -ENOMEM;
	raw->n.driver = "raw";
	raw->n.called = (*n)->n.driver;
	raw->top = (*n)->top;
	raw->child[FILE_BELOW] = *n;
	*n = raw;
	return 0;
}

static int wrap_all(struct described *d, struct node **n)
{
	int ret = 0;

	for (int i = 0; *n && !ret && i < NR_CHILDREN; i++)
		ret = i == BACKING || !(*n)->child[i] ? 0 :
			wrap_all(d, &(*n)->child[i]);
	if (*n && !ret && (*n)->child[BACKING])
		ret = wrap_all(d, &(*n)->child[BACKING]) ?:
		      wrap(d, &(*n)->child[BACKING]);
	return ret;
}

/* ---- the whole ---- */

static void apply_cache(const struct described *d, struct image_options *opts)
{
	if (d->no_flush)
		opts->cache = IMAGE_CACHE_UNSAFE;
	else if (d->direct)
		opts->cache = opts->cache == IMAGE_CACHE_WRITETHROUGH ?
				      IMAGE_CACHE_DIRECTSYNC :
				      IMAGE_CACHE_NONE;
}

/* cache-size is what both caches have together. */
static int apply_cache_sizes(const struct described *d,
			     struct image_options *opts, struct error *err)
{
	if (!d->has_cache_size)
		return 0;
	if (d->has_l2 && d->has_refcount)
		return error_set(err, EINVAL, "cache-size, l2-cache-size and "
				 "refcount-cache-size may not be set at the "
				 "same time");
	if (opts->l2_cache_size > d->cache_size)
		return error_set(err, EINVAL, "l2-cache-size may not exceed "
				 "cache-size");
	if (opts->refcount_cache_size > d->cache_size)
		return error_set(err, EINVAL, "refcount-cache-size may not "
				 "exceed cache-size");
	/* The L2 cache is what makes an image fast. */
	if (d->has_l2)
		opts->refcount_cache_size = d->cache_size - opts->l2_cache_size;
	else
		opts->l2_cache_size = d->cache_size - opts->refcount_cache_size;
	return 0;
}

bool image_opts_is_name(const char *name)
{
	return !strncmp(name, "json:", 5) || !strncmp(name, "blkdebug:", 9) ||
	       !strncmp(name, "blkverify:", 10);
}

static int gather_options(struct described *d, const char *text,
			  const char *name, struct error *err)
{
	int ret = text ? add_text(d, text) : 0;

	if (!ret && name && !strncmp(name, "json:", 5))
		ret = image_json_parse(name + 5, add_json, d, err);
	return ret;
}

static int make_tree(struct described *d, const char *name, struct node **top,
		     struct error *err)
{
	int ret = 0;

	*top = new_node(d);
	if (!*top)
		return -ENOMEM;
	(*top)->top = true;
	while (!ret && d->said) {
		struct said *s = d->said;

		d->said = s->next;
		ret = plant(d, *top, s, err);
	}
	if (!ret)
		ret = place_all(d, *top, true, err);
	if (!ret && name && strncmp(name, "json:", 5)) {
		name = keep_node_text(d, name);
		ret = name ? place_name(d, *top, name, true, err) : -ENOMEM;
	}
	if (!ret)
		ret = wrap_all(d, top);
	if (!ret)
		ret = wrap(d, top);
	return ret ? ret : settle_nodes(d, *top, false, err);
}

int image_opts_parse(struct loop *loop, const char *text, const char *name,
		     struct image_options *opts, const char **path,
		     const char **format, struct error *err)
{
	struct described *d = calloc(1, sizeof(*d));
	struct node *top;
	int ret;

	if (!d)
		return -ENOMEM;
	d->next = all;
	all = d;
	d->loop = loop;
	d->opts = opts;
	ret = gather_options(d, text, name, err);
	if (!ret)
		ret = make_tree(d, name, &top, err);
	if (!ret)
		ret = apply_cache_sizes(d, opts, err);
	if (ret)
		return ret;
	apply_cache(d, opts);
	opts->flags |= IMAGE_TESTING;
	opts->node = &top->n;
	*path = image_node_path(&top->n);
	*format = top->n.driver;
	return 0;
}

static void free_said(struct said *s)
{
	struct said *next;

	for (; s; s = next) {
		next = s->next;
		free(s->key);
		free(s->value);
		free(s);
	}
}

static void free_described(struct described *d)
{
	struct kept *k;
	struct node *n;

	free_said(d->said);
	while ((n = d->nodes)) {
		d->nodes = n->next;
		free_said(n->said);
		free(n->options);
		free(n);
	}
	while ((k = d->kept)) {
		d->kept = k->next;
		free(k);
	}
	free(d);
}

void image_opts_free_all(void)
{
	struct described *d;

	while ((d = all)) {
		all = d->next;
		free_described(d);
	}
}
