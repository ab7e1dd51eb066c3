/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-node-opts.c: see image-node.h.
 *
 * One table of what is known and of which drivers. Options that cannot matter
 * here are judged and forgotten, so that command lines made for QEMU work.
 */
#include "tool/image-node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/bits.h"
#include "common/size.h"
#include "image/create-options.h"
#include "image/graph/format.h"

/* What kind of driver a node has; bits, to say where an option belongs. */
enum kind {
	OF_RAW = 1 << 0, OF_QCOW2 = 1 << 1, OF_OTHER = 1 << 2,	/* formats */
	OF_FILE = 1 << 3, OF_NBD = 1 << 4, OF_PROTOCOL = 1 << 5,
	OF_GUESS = OF_RAW | OF_QCOW2 | OF_OTHER,
	OF_ANY = OF_GUESS | OF_FILE | OF_NBD | OF_PROTOCOL,
};

/* ---- values ---- */

static int parse_on_off(const struct said *s, bool *value, struct error *err)
{
	*value = !strcmp(s->value, "on");
	if (!*value && strcmp(s->value, "off"))
		return error_set(err, EINVAL, "Parameter '%s' expects 'on' or "
				 "'off', not '%s'", s->key, s->value);
	return 0;
}

static int set_bytes(const struct said *s, uint64_t *bytes, struct error *err)
{
	if (!size_parse(s->value, bytes))
		return 0;
	return error_set(err, EINVAL, "Parameter '%s' expects a size, not '%s'",
			 s->key, s->value);
}

static int bad_value(const struct said *s, const char *known,
		     struct error *err)
{
	return error_set(err, EINVAL, "Parameter '%s' does not accept value "
			 "'%s' (known: %s)", s->key, s->value, known);
}

/* `known` has a space between its words. */
static int judge_choice(const struct said *s, const char *known,
			struct error *err)
{
	size_t n = strlen(s->value);
	const char *at = known;

	for (; n && (at = strstr(at, s->value)); at += n)
		if ((at == known || at[-1] == ' ') &&
		    (!at[n] || at[n] == ' '))
			return 0;
	return bad_value(s, known, err);
}

/* ---- options ---- */

static int set_nothing(struct described *d, struct node *n,
		       const struct said *s, struct error *err)
{
	return 0;
}

static int set_node_bool(struct described *d, struct node *n,
			 const struct said *s, struct error *err)
{
	bool ignored;

	return parse_on_off(s, &ignored, err);
}

static int set_node_number(struct described *d, struct node *n,
			   const struct said *s, struct error *err)
{
	uint64_t ignored;

	return set_bytes(s, &ignored, err);
}

static int set_detect_zeroes(struct described *d, struct node *n,
			     const struct said *s, struct error *err)
{
	return judge_choice(s, "off on unmap", err);
}

static int set_overlap_check(struct described *d, struct node *n,
			     const struct said *s, struct error *err)
{
	return judge_choice(s, "none constant cached all", err);
}

static int set_discard(struct described *d, struct node *n,
		       const struct said *s, struct error *err)
{
	bool unmap = !strcmp(s->value, "unmap") || !strcmp(s->value, "on");
	int ret = judge_choice(s, "ignore off unmap on", err);

	if (!ret && unmap && n->top)
		d->opts->flags |= IMAGE_UNMAP;
	else if (!ret && n->top)
		d->opts->flags &= ~(unsigned int)IMAGE_UNMAP;
	return ret;
}

static int set_read_only(struct described *d, struct node *n,
			 const struct said *s, struct error *err)
{
	bool on;
	int ret = parse_on_off(s, &on, err);

	/* "off" grants nothing that the verb did not ask for. */
	if (!ret && on && n->top)
		d->opts->flags &= ~(unsigned int)IMAGE_RDWR;
	return ret;
}

static int set_share(struct described *d, struct node *n, const struct said *s,
		     struct error *err)
{
	bool on;
	int ret = parse_on_off(s, &on, err);

	if (!ret && on && n->top)
		d->opts->flags |= IMAGE_SHARE;
	return ret;
}

static int set_locking(struct described *d, struct node *n,
		       const struct said *s, struct error *err)
{
	int ret = judge_choice(s, "auto on off", err);

	if (!ret && !strcmp(s->value, "off") && n->top)
		d->opts->flags |= IMAGE_SHARE;
	return ret;
}

static int set_direct(struct described *d, struct node *n,
		      const struct said *s, struct error *err)
{
	return parse_on_off(s, &d->direct, err);
}

static int set_no_flush(struct described *d, struct node *n,
			const struct said *s, struct error *err)
{
	return parse_on_off(s, &d->no_flush, err);
}

static int set_node_aio(struct described *d, struct node *n,
			const struct said *s, struct error *err)
{
	return aio_parse_kind(s->value, &d->opts->aio) ?
		bad_value(s, "threads, native, io_uring", err) : 0;
}

static int set_cache_size(struct described *d, struct node *n,
			  const struct said *s, struct error *err)
{
	d->has_cache_size = true;
	return set_bytes(s, &d->cache_size, err);
}

static int set_l2(struct described *d, struct node *n, const struct said *s,
		  struct error *err)
{
	d->has_l2 = true;
	return set_bytes(s, &d->opts->l2_cache_size, err);
}

static int set_refcount(struct described *d, struct node *n,
			const struct said *s, struct error *err)
{
	d->has_refcount = true;
	return set_bytes(s, &d->opts->refcount_cache_size, err);
}

/* Whether clusters are as large is seen when the image is opened. */
static int set_entry_size(struct described *d, struct node *n,
			  const struct said *s, struct error *err)
{
	int ret = set_bytes(s, &d->opts->l2_cache_entry_size, err);

	/* 0 would be "not said". */
	if (!ret && !d->opts->l2_cache_entry_size)
		d->opts->l2_cache_entry_size = 1;
	return ret;
}

static int set_key_secret(struct described *d, struct node *n,
			  const struct said *s, struct error *err)
{
	if (is_driver(n, "raw"))
		return error_set(err, EINVAL, "Block format 'raw' does not "
				 "support the option '%s'", s->key);
	n->n.key_secret = s->value;
	return 0;
}

static int set_encrypt_format(struct described *d, struct node *n,
			      const struct said *s, struct error *err)
{
	if (is_driver(n, "raw"))
		return set_key_secret(d, n, s, err);
	n->n.encrypt_format = s->value;
	return judge_choice(s, "aes luks", err);
}

/* JSON's null. */
static int set_backing(struct described *d, struct node *n,
		       const struct said *s, struct error *err)
{
	n->n.no_backing = true;
	return !*s->value ? 0 :
		error_set(err, ENOTSUP, "Parameter '%s': there is no node '%s' "
			  "to refer to, describe it by '%s.driver', "
			  "'%s.file.filename'", s->key, s->value, s->key,
			  s->key);
}

static const struct known {
	const char *name;
	unsigned int of;		/* enum kind */
	bool whole;			/* of what is no part of another */
	int (*set)(struct described *d, struct node *n, const struct said *s,
		   struct error *err);
} known[] = {
	{ "driver", OF_ANY, false, set_nothing },
	{ "filename", OF_ANY, false, set_nothing },
	{ "node-name", OF_ANY, false, set_nothing },
	{ "read-only", OF_ANY, false, set_read_only },
	{ "auto-read-only", OF_ANY, false, set_node_bool },
	{ "force-share", OF_ANY, false, set_share },
	{ "discard", OF_ANY, false, set_discard },
	{ "detect-zeroes", OF_ANY, false, set_detect_zeroes },
	{ "cache.direct", OF_ANY, true, set_direct },
	{ "cache.no-flush", OF_ANY, true, set_no_flush },
	{ "locking", OF_FILE, false, set_locking },
	{ "aio", OF_FILE, true, set_node_aio },
	{ "backing", OF_GUESS, false, set_backing },
	{ "key-secret", OF_GUESS, false, set_key_secret },
	{ "encrypt.key-secret", OF_GUESS, false, set_key_secret },
	{ "encrypt.format", OF_GUESS, false, set_encrypt_format },
	{ "cache-size", OF_QCOW2, true, set_cache_size },
	{ "l2-cache-size", OF_QCOW2, true, set_l2 },
	{ "l2-cache-entry-size", OF_QCOW2, true, set_entry_size },
	{ "refcount-cache-size", OF_QCOW2, true, set_refcount },
	{ "cache-clean-interval", OF_QCOW2, false, set_node_number },
	/* Ours has neither dirty images nor unchecked writes. */
	{ "lazy-refcounts", OF_QCOW2, false, set_node_bool },
	{ "overlap-check", OF_QCOW2, false, set_overlap_check },
	{ "overlap-check.template", OF_QCOW2, false, set_overlap_check },
	{ "overlap-check.main-header", OF_QCOW2, false, set_node_bool },
	{ "overlap-check.active-l1", OF_QCOW2, false, set_node_bool },
	{ "overlap-check.active-l2", OF_QCOW2, false, set_node_bool },
	{ "overlap-check.refcount-table", OF_QCOW2, false, set_node_bool },
	{ "overlap-check.refcount-block", OF_QCOW2, false, set_node_bool },
	{ "overlap-check.snapshot-table", OF_QCOW2, false, set_node_bool },
	{ "overlap-check.inactive-l1", OF_QCOW2, false, set_node_bool },
	{ "overlap-check.inactive-l2", OF_QCOW2, false, set_node_bool },
	{ "overlap-check.bitmap-directory", OF_QCOW2, false, set_node_bool },
	{ "pass-discard-request", OF_QCOW2, false, set_node_bool },
	{ "pass-discard-snapshot", OF_QCOW2, false, set_node_bool },
	{ "pass-discard-other", OF_QCOW2, false, set_node_bool },
	/* These make a URL. */
	{ "host", OF_NBD, false, set_nothing },
	{ "port", OF_NBD, false, set_nothing },
	{ "path", OF_NBD, false, set_nothing },
	{ "export", OF_NBD, false, set_nothing },
	{ "server.type", OF_NBD, false, set_nothing },
	{ "server.host", OF_NBD, false, set_nothing },
	{ "server.port", OF_NBD, false, set_nothing },
	{ "server.path", OF_NBD, false, set_nothing },
};

static enum kind kind_of(const struct node *n)
{
	const char *driver = n->n.driver;

	if (!driver)
		return n->n.path ? OF_FILE : OF_GUESS;
	if (!strcmp(driver, "raw"))
		return OF_RAW;
	if (!strcmp(driver, "qcow2"))
		return OF_QCOW2;
	if (image_format_known(driver))
		return OF_OTHER;
	if (!strcmp(driver, "file") || !strncmp(driver, "host_", 5))
		return OF_FILE;
	return !strcmp(driver, "nbd") ? OF_NBD : OF_PROTOCOL;
}

static int unknown(const struct node *n, const struct said *s,
		   struct error *err)
{
	const char *const *own = n->n.driver ?
		image_node_options(n->n.driver) : NULL;
	char list[1000] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(known) && len < sizeof(list); i++)
		if ((known[i].of & kind_of(n)) && (n->top || !known[i].whole))
			len += (size_t)snprintf(list + len, sizeof(list) - len,
						", %s", known[i].name);
	for (; own && *own && len < sizeof(list); own++)
		len += (size_t)snprintf(list + len, sizeof(list) - len,
					", %s%s", *own,
					(*own)[strlen(*own) - 1] == '.' ?
						"..." : "");
	return error_set(err, EINVAL, "Unknown image option '%s' (known: %s)",
			 s->key, list + 2);
}

/* The driver's own, which it judges itself. */
static bool is_own(const struct node *n, const char *name)
{
	const char *const *own = n->n.driver ?
		image_node_options(n->n.driver) : NULL;

	for (; own && *own; own++) {
		size_t len = strlen(*own);

		if (!strcmp(*own, name) ||
		    ((*own)[len - 1] == '.' && !strncmp(*own, name, len)))
			return true;
	}
	return false;
}

static int apply_option(struct described *d, struct node *n,
			const struct said *s, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(s->name, known[i].name) &&
		    (known[i].of & kind_of(n)) && (n->top || !known[i].whole))
			return known[i].set(d, n, s, err);
	if (!is_own(n, s->name))
		return unknown(n, s, err);
	n->options[n->n.nr_options++] = (struct image_create_option){
		s->name, s->value,
	};
	return 0;
}

int node_apply_options(struct described *d, struct node *n, struct error *err)
{
	unsigned int nr = 0;
	int ret = 0;

	for (struct said *s = n->said; s; s = s->next)
		nr++;
	n->options = calloc(nr + 1, sizeof(*n->options));
	if (!n->options)
		return -ENOMEM;
	n->n.options = n->options;
	for (struct said *s = n->said; !ret && s; s = s->next)
		ret = apply_option(d, n, s, err);
	return ret;
}
