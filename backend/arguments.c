/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* arguments.c: see arguments.h. Keys that are not said are not there. */
#include "backend/arguments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"

/* ---- names ---- */

/* NULL for NULL, which then is not said. */
static json_t *pack_name(const char *name)
{
	size_t len = name ? strlen(name) : 0, n = 0;
	cleanup_free char *text = name ? malloc(2 * len + 1) : NULL;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)name[i];

		if (c >= 0x80)
			text[n++] = (char)(0xc0 | c >> 6);
		text[n++] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
	}
	return json_stringn(text, n);
}

/* To *to, which is moved behind it; NULL for NULL. -EPROTO: a character that is
 * no byte. */
static int unpack_name(const char *text, char **to, const char **name)
{
	*name = NULL;
	if (!text)
		return 0;
	*name = *to;
	for (; *text; text++) {
		uint8_t c = (uint8_t)*text;

		if (c >= 0x80) {
			if ((c & 0xfe) != 0xc2)
				return -EPROTO;
			c = (uint8_t)(c << 6 | ((uint8_t)*++text & 0x3f));
		}
		*(*to)++ = (char)c;
	}
	*(*to)++ = 0;
	return 0;
}

/* ---- IMAGE ---- */

json_t *disk_arguments_pack(const struct disk_arguments *a)
{
	return json_pack("{s:o, s:s, s:o, s:b, s:b, s:b, s:s*, s:s*, s:I, s:I, "
			 "s:o*, s:b, s:o*, s:o*, s:b}",
			 "path", pack_name(a->path),
			 "format", a->format,
			 "section", pack_name(a->section),
			 "readonly", a->readonly,
			 "unmap", a->unmap,
			 "direct-io-safe", a->direct_io_safe,
			 "cache", a->cache,
			 "aio", a->aio,
			 "l2-cache-size", (json_int_t)a->l2_cache_size,
			 "memory", (json_int_t)a->memory,
			 "secret-file", pack_name(a->secret_file),
			 "legacy-aes", a->legacy_aes,
			 "data-file", pack_name(a->data_file),
			 "image-dirs", pack_name(a->image_dirs),
			 "locks", a->locks);
}

/* As they stand in the message. */
struct packed_names {
	const char *path, *section, *secret_file, *data_file, *image_dirs;
};

static size_t names_size(const struct packed_names *n)
{
	const char *const all[] = { n->path, n->section, n->secret_file,
				    n->data_file, n->image_dirs };
	size_t size = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		size += all[i] ? strlen(all[i]) + 1 : 0;
	return size;
}

static int unpack_names(const struct packed_names *n, struct disk_arguments *a)
{
	char *at = a->names = malloc(names_size(n));
	int ret = at ? unpack_name(n->path, &at, &a->path) : -ENOMEM;

	if (ret == 0)
		ret = unpack_name(n->section, &at, &a->section);
	if (ret == 0)
		ret = unpack_name(n->secret_file, &at, &a->secret_file);
	if (ret == 0)
		ret = unpack_name(n->data_file, &at, &a->data_file);
	if (ret == 0)
		ret = unpack_name(n->image_dirs, &at, &a->image_dirs);
	if (ret)
		disk_arguments_free(a);
	return ret;
}

int disk_arguments_unpack(json_t *o, struct disk_arguments *a)
{
	int readonly, unmap, direct_io_safe, legacy_aes, locks;
	struct packed_names n = { NULL };
	json_int_t l2_cache_size, memory;

	*a = (struct disk_arguments){ 0 };
	if (json_unpack(o, "{s:s, s:s, s:s, s:b, s:b, s:b, s?s, s?s, s:I, s:I, "
			"s?s, s:b, s?s, s?s, s:b}",
			"path", &n.path,
			"format", &a->format,
			"section", &n.section,
			"readonly", &readonly,
			"unmap", &unmap,
			"direct-io-safe", &direct_io_safe,
			"cache", &a->cache,
			"aio", &a->aio,
			"l2-cache-size", &l2_cache_size,
			"memory", &memory,
			"secret-file", &n.secret_file,
			"legacy-aes", &legacy_aes,
			"data-file", &n.data_file,
			"image-dirs", &n.image_dirs,
			"locks", &locks) < 0 || l2_cache_size < 0 || memory < 0)
		return -EPROTO;
	a->readonly = readonly;
	a->unmap = unmap;
	a->direct_io_safe = direct_io_safe;
	a->l2_cache_size = (uint64_t)l2_cache_size;
	a->memory = (uint64_t)memory;
	a->legacy_aes = legacy_aes;
	a->locks = locks;
	return unpack_names(&n, a);
}

void disk_arguments_free(struct disk_arguments *a)
{
	free(a->names);
	*a = (struct disk_arguments){ 0 };
}

/* ---- LIMITS ---- */

json_t *limits_answer_pack(const struct limits_answer *l)
{
	return json_pack("{s:I, s:I, s:I, s:b}",
			 "size", (json_int_t)l->size,
			 "physical-block", (json_int_t)l->physical_block,
			 "discard-granularity",
			 (json_int_t)l->discard_granularity,
			 "discard", l->discard);
}

int limits_answer_unpack(json_t *o, struct limits_answer *l)
{
	json_int_t size, physical, granularity;
	int discard;

	*l = (struct limits_answer){ 0 };
	if (json_unpack(o, "{s:I, s:I, s:I, s:b}",
			"size", &size,
			"physical-block", &physical,
			"discard-granularity", &granularity,
			"discard", &discard) < 0 ||
	    size < 0 || physical < 0 || granularity < 0)
		return -EPROTO;
	l->size = (uint64_t)size;
	l->physical_block = (uint64_t)physical;
	l->discard_granularity = (uint64_t)granularity;
	l->discard = discard;
	return 0;
}

/* ---- CONNECT ---- */

static const char *const abi_names[] = { "x86_64-abi", "x86_32-abi" };

static json_t *pack_queue(const struct rings *r, unsigned int queue)
{
	const struct ring_queue *q = &r->queues[queue];
	json_t *refs = json_array();

	for (unsigned int i = 0; i < 1u << r->ring_order; i++)
		json_array_append_new(refs, json_integer(q->refs[i]));
	return json_pack("{s:I, s:o}", "port", (json_int_t)q->port, "refs",
			 refs);
}

json_t *connect_arguments_pack(const struct connect_arguments *c)
{
	json_t *queues = json_array();

	for (unsigned int i = 0; i < c->rings.nr_queues; i++)
		json_array_append_new(queues, pack_queue(&c->rings, i));
	return json_pack("{s:I, s:b, s:s, s:b, s:I, s:o}",
			 "domid", (json_int_t)c->domid,
			 "discard", c->discard,
			 "protocol", abi_names[c->rings.abi_x86_32],
			 "persistent", c->rings.persistent,
			 "ring-order", (json_int_t)c->rings.ring_order,
			 "queues", queues);
}

static int unpack_number(json_t *o, uint32_t *number)
{
	json_int_t n = json_integer_value(o);

	if (!json_is_integer(o) || n < 0 || n > UINT32_MAX)
		return -EPROTO;
	*number = (uint32_t)n;
	return 0;
}

static int unpack_queue(json_t *o, unsigned int nr_refs, struct ring_queue *q)
{
	json_t *refs = json_object_get(o, "refs");
	int ret = unpack_number(json_object_get(o, "port"), &q->port);

	if (json_array_size(refs) != nr_refs)
		return -EPROTO;
	for (unsigned int i = 0; ret == 0 && i < nr_refs; i++)
		ret = unpack_number(json_array_get(refs, i), &q->refs[i]);
	return ret;
}

int connect_arguments_unpack(json_t *o, struct connect_arguments *c)
{
	struct rings *r = &c->rings;
	int persistent, discard, ret = 0;
	const char *protocol;
	json_int_t order;
	json_t *queues;

	*c = (struct connect_arguments){ 0 };
	if (json_unpack(o, "{s:b, s:s, s:b, s:I, s:o}",
			"discard", &discard,
			"protocol", &protocol,
			"persistent", &persistent,
			"ring-order", &order,
			"queues", &queues) < 0 ||
	    unpack_number(json_object_get(o, "domid"), &c->domid) < 0)
		return -EPROTO;
	if (order < 0 || order > LIMIT_RING_ORDER ||
	    json_array_size(queues) > LIMIT_QUEUES)
		return -EPROTO;
	c->discard = discard;
	r->abi_x86_32 = !strcmp(protocol, abi_names[1]);
	r->persistent = persistent;
	r->ring_order = (unsigned int)order;
	r->nr_queues = (unsigned int)json_array_size(queues);
	for (unsigned int i = 0; ret == 0 && i < r->nr_queues; i++)
		ret = unpack_queue(json_array_get(queues, i), 1u << order,
				   &r->queues[i]);
	return ret;
}
