/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-opts.c: see image-opts.h.
 *
 * The names are those of QEMU's block nodes, as far as they mean something
 * here; any other is refused by its name. "backing." before a name goes one
 * image down, and only what belongs to a single node may stand behind it.
 */
#include "tool/image-opts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/size.h"
#include "tool/keyval.h"

#define MAX_DEPTH 64

/* One --image-opts. */
struct described {
	struct described *next;
	struct keyvals kv;
	struct image_node nodes[MAX_DEPTH];	/* 0: the topmost image */
	const char *protocols[MAX_DEPTH];	/* file.driver */
	const char *data_protocols[MAX_DEPTH];	/* data-file.driver */
	bool direct, no_flush;
	uint64_t cache_size;			/* of both caches, 0: not said */
	bool has_cache_size, has_l2, has_refcount;
};

static struct described *all;

/* ---- values ---- */

static int parse_bool(const struct keyval *kv, bool *value, struct error *err)
{
	*value = !strcmp(kv->value, "on");
	if (!*value && strcmp(kv->value, "off"))
		return error_set(err, EINVAL, "Parameter '%s' expects 'on' or "
				 "'off', not '%s'", kv->key, kv->value);
	return 0;
}

static int set_flag(const struct keyval *kv, struct image_options *opts,
		    unsigned int flag, struct error *err)
{
	bool on;
	int ret = parse_bool(kv, &on, err);

	if (!ret)
		opts->flags = on ? opts->flags | flag : opts->flags & ~flag;
	return ret;
}

static int set_bytes(const struct keyval *kv, uint64_t *bytes,
		     struct error *err)
{
	if (!size_parse(kv->value, bytes))
		return 0;
	return error_set(err, EINVAL, "Parameter '%s' expects a size, not '%s'",
			 kv->key, kv->value);
}

static int bad_value(const struct keyval *kv, const char *known,
		     struct error *err)
{
	return error_set(err, EINVAL, "Parameter '%s' does not accept value "
			 "'%s' (known: %s)", kv->key, kv->value, known);
}

/* ---- of the whole: 1 when it was not one of these ---- */

static int set_discard(const struct keyval *kv, struct image_options *opts,
		       struct error *err)
{
	if (!strcmp(kv->value, "unmap") || !strcmp(kv->value, "on"))
		opts->flags |= IMAGE_UNMAP;
	else if (!strcmp(kv->value, "ignore") || !strcmp(kv->value, "off"))
		opts->flags &= ~(unsigned int)IMAGE_UNMAP;
	else
		return bad_value(kv, "ignore, off, unmap, on", err);
	return 0;
}

static int set_read_only(const struct keyval *kv, struct image_options *opts,
			 struct error *err)
{
	bool on;
	int ret = parse_bool(kv, &on, err);

	/* "off" grants nothing that the verb did not ask for. */
	if (!ret && on)
		opts->flags &= ~(unsigned int)IMAGE_RDWR;
	return ret;
}

/* Whether clusters are as large is seen when the image is opened. */
static int set_entry_size(const struct keyval *kv, uint64_t *bytes,
			  struct error *err)
{
	int ret = set_bytes(kv, bytes, err);

	/* 0 would be "not said". */
	if (!ret && !*bytes)
		*bytes = 1;
	return ret;
}

static int set_cache_size(struct described *d, const struct keyval *kv,
			  struct image_options *opts, struct error *err)
{
	if (!strcmp(kv->key, "l2-cache-size")) {
		d->has_l2 = true;
		return set_bytes(kv, &opts->l2_cache_size, err);
	}
	if (!strcmp(kv->key, "refcount-cache-size")) {
		d->has_refcount = true;
		return set_bytes(kv, &opts->refcount_cache_size, err);
	}
	if (!strcmp(kv->key, "cache-size")) {
		d->has_cache_size = true;
		return set_bytes(kv, &d->cache_size, err);
	}
	if (!strcmp(kv->key, "l2-cache-entry-size"))
		return set_entry_size(kv, &opts->l2_cache_entry_size, err);
	return 1;
}

static int set_whole(struct described *d, const struct keyval *kv,
		     struct image_options *opts, struct error *err)
{
	if (!strcmp(kv->key, "read-only"))
		return set_read_only(kv, opts, err);
	if (!strcmp(kv->key, "force-share"))
		return set_flag(kv, opts, IMAGE_SHARE, err);
	if (!strcmp(kv->key, "discard"))
		return set_discard(kv, opts, err);
	if (!strcmp(kv->key, "cache.direct"))
		return parse_bool(kv, &d->direct, err);
	if (!strcmp(kv->key, "cache.no-flush"))
		return parse_bool(kv, &d->no_flush, err);
	if (!strcmp(kv->key, "file.aio"))
		return aio_parse_kind(kv->value, &opts->aio) ?
			bad_value(kv, "threads, native, io_uring", err) : 0;
	return set_cache_size(d, kv, opts, err);
}

/* ---- of one node: 1 when it was not one of these ---- */

static int set_node(struct described *d, unsigned int depth, const char *key,
		    const char *value)
{
	struct image_node *n = &d->nodes[depth];
	const struct {
		const char *name, **field;
	} fields[] = {
		{ "driver", &n->format },
		{ "file.driver", &d->protocols[depth] },
		{ "file.filename", &n->path },
		{ "data-file.driver", &d->data_protocols[depth] },
		{ "data-file.filename", &n->data_file },
		{ "key-secret", &n->key_secret },
		{ "encrypt.key-secret", &n->key_secret },
		{ "encrypt.format", &n->encrypt_format },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (strcmp(key, fields[i].name))
			continue;
		*fields[i].field = value;
		return 0;
	}
	return 1;
}

static int set_option(struct described *d, const struct keyval *kv,
		      struct image_options *opts, struct error *err)
{
	const char *key = kv->key;
	unsigned int depth = 0;
	int ret;

	for (; !strncmp(key, "backing.", 8); key += 8)
		if (++depth == MAX_DEPTH)
			return error_set(err, EINVAL, "--image-opts go down %d "
					 "images at most", MAX_DEPTH);
	for (unsigned int i = 0; i < depth; i++)
		d->nodes[i].backing = &d->nodes[i + 1];
	ret = set_node(d, depth, key, kv->value);
	if (ret > 0 && !depth)
		ret = set_whole(d, kv, opts, err);
	if (ret <= 0)
		return ret;
	return error_set(err, EINVAL, "Unknown image option '%s' (known: "
			 "driver, file.driver, file.filename, "
			 "data-file.driver, data-file.filename, key-secret, "
			 "encrypt.format, encrypt.key-secret, the same behind "
			 "'backing.'; and read-only, force-share, discard, "
			 "cache.direct, cache.no-flush, cache-size, "
			 "l2-cache-size, l2-cache-entry-size, "
			 "refcount-cache-size, file.aio)", kv->key);
}

/* ---- */

static bool one_of(const char *word, const char *a, const char *b)
{
	return !word || !strcmp(word, a) || !strcmp(word, b);
}

static int judge_node(const struct described *d, unsigned int depth,
		      struct error *err)
{
	const struct image_node *n = &d->nodes[depth];

	if (!one_of(d->protocols[depth], "file", "host_device"))
		return error_set(err, ENOTSUP, "Unknown protocol '%s' (known: "
				 "file, host_device)", d->protocols[depth]);
	if (!one_of(d->data_protocols[depth], "file", "host_device"))
		return error_set(err, ENOTSUP, "Unknown protocol '%s' of a data "
				 "file (known: file, host_device)",
				 d->data_protocols[depth]);
	if (n->data_file && n->format && strcmp(n->format, "qcow2"))
		return error_set(err, EINVAL, "Block format '%s' does not "
				 "support the option 'data-file'", n->format);
	if (!one_of(n->encrypt_format, "aes", "luks"))
		return error_set(err, EINVAL, "Parameter 'encrypt.format' does "
				 "not accept value '%s' (known: aes, luks)",
				 n->encrypt_format);
	if (n->format && !strcmp(n->format, "raw") &&
	    (n->key_secret || n->encrypt_format))
		return error_set(err, EINVAL, "Block format 'raw' does not "
				 "support the option 'encrypt.%s'",
				 n->key_secret ? "key-secret" : "format");
	return 0;
}

static int judge(const struct described *d, struct error *err)
{
	int ret = 0;

	if (!d->nodes[0].path)
		return error_set(err, EINVAL, "--image-opts need "
				 "file.filename=PATH");
	for (unsigned int i = 0; !ret && i < MAX_DEPTH; i++)
		ret = judge_node(d, i, err);
	return ret;
}

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

int image_opts_parse(const char *text, struct image_options *opts,
		     const char **path, const char **format,
		     struct error *err)
{
	struct described *d = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return -ENOMEM;
	d->next = all;
	all = d;
	ret = keyval_parse(&d->kv, text, NULL);
	for (unsigned int i = 0; !ret && i < d->kv.nr; i++)
		ret = set_option(d, &d->kv.v[i], opts, err);
	if (!ret)
		ret = judge(d, err);
	if (!ret)
		ret = apply_cache_sizes(d, opts, err);
	if (ret)
		return ret;
	apply_cache(d, opts);
	opts->node = &d->nodes[0];
	*path = d->nodes[0].path;
	*format = d->nodes[0].format;
	return 0;
}

void image_opts_free_all(void)
{
	struct described *d;

	while ((d = all)) {
		all = d->next;
		keyval_free(&d->kv);
		free(d);
	}
}
