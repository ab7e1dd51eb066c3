/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keys.c: makes LUKS headers, fills and empties key slots.
 *
 *	header | slot 0 | ... | slot 7 | payload
 *
 * each at a multiple of 4096 bytes. A slot is filled material first, then what
 * the header says of it, then its state alone; it is emptied the other way
 * round. Whatever is cut short, the header never calls a slot active that
 * holds something else: a state lies within one sector.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/size.h"
#include "image/driver.h"
#include "image/luks/keys.h"
#include "image/luks/split.h"
#include "io/loop.h"

#define SLOT_ALIGN UINT64_C(4096)	/* bytes */
#define MIN_ITERATIONS 1000u
#define DEFAULT_ITER_MS 2000u
#define MAX_ITER_MS 600000u
/* How often old key material is overwritten: once would do for any medium
 * that overwrites in place, and no number for those that do not. */
#define ERASE_PASSES 3

/* ---- options ---- */

void luks_options_init(struct luks_options *o)
{
	*o = (struct luks_options){
		.spec = { CRYPTO_AES_256, CRYPTO_XTS, CRYPTO_PLAIN64,
			  CRYPTO_SHA256 },
		.hash = CRYPTO_SHA256,
		.iter_ms = DEFAULT_ITER_MS,
	};
}

static int set_name(const char *const *names, const char *full,
		    const char *value, int *out, struct error *err)
{
	char known[128] = "";

	*out = crypto_find_name(names, value);
	if (*out >= 0)
		return 0;
	for (int i = 0; names[i]; i++) {
		strcat(known, i ? ", " : "");
		strcat(known, names[i]);
	}
	return error_set(err, EINVAL, "Parameter '%s' does not accept value '%s' "
			 "(known: %s)", full, value, known);
}

static int set_iter_time(struct luks_options *o, const char *full,
			 const char *value, struct error *err)
{
	uint64_t ms;

	if (number_parse(value, MAX_ITER_MS, &ms) || !ms)
		return error_set(err, EINVAL, "Parameter '%s' expects 1 to %u "
				 "milliseconds, not '%s'", full, MAX_ITER_MS,
				 value);
	o->iter_ms = ms;
	return 0;
}

int luks_set_option(struct luks_options *o, const char *name, const char *full,
		    const char *value, struct error *err)
{
	const char *const *names = NULL;
	int i = 0, ret;

	if (!strcmp(name, "iter-time"))
		return set_iter_time(o, full, value, err);
	if (!strcmp(name, "key-secret")) {
		o->key_secret = value;
		return 0;
	}
	names = !strcmp(name, "cipher-alg") ? crypto_cipher_names :
		!strcmp(name, "cipher-mode") ? crypto_mode_names :
		!strcmp(name, "ivgen-alg") ? crypto_ivgen_names :
		!strcmp(name, "ivgen-hash-alg") ? crypto_hash_names :
		!strcmp(name, "hash-alg") ? crypto_hash_names : NULL;
	if (!names)
		return 1;
	ret = set_name(names, full, value, &i, err);
	if (ret)
		return ret;
	if (names == crypto_cipher_names)
		o->spec.cipher = (enum crypto_cipher)i;
	else if (names == crypto_mode_names)
		o->spec.mode = (enum crypto_mode)i;
	else if (names == crypto_ivgen_names)
		o->spec.ivgen = (enum crypto_ivgen)i;
	else if (name[0] == 'i')
		o->spec.ivgen_hash = (enum crypto_hash)i;
	else
		o->hash = (enum crypto_hash)i;
	return 0;
}

int luks_judge_options(const struct luks_options *o, const char *param,
		       struct error *err)
{
	if (crypto_missing())
		return error_set(err, ENOTSUP, "%s", crypto_missing());
	if (!o->key_secret)
		return error_set(err, EINVAL, "Parameter '%s' is required for "
				 "cipher", param);
	if (!secret_find(o->key_secret, err))
		return -ENOENT;
	if (crypto_key_len(&o->spec) * LUKS_STRIPES % SECTOR_SIZE)
		return error_set(err, ENOTSUP, "key slots of %s end within a "
				 "sector, which other programs cannot read",
				 crypto_cipher_names[o->spec.cipher]);
	return crypto_judge_spec(&o->spec, err);
}

/* ---- slots in memory ---- */

static uint32_t count_iterations(enum crypto_hash hash, size_t len,
				 uint64_t ms)
{
	uint64_t n = crypto_pbkdf2_count(hash, len, ms);

	return (uint32_t)min(max(n, (uint64_t)MIN_ITERATIONS),
			     (uint64_t)LUKS_MAX_ITERATIONS);
}

struct fill {
	const struct luks *l;
	struct luks_slot *slot;		/* salt and iterations are filled in */
	const uint8_t *key;
	const struct secret *pass;
	uint64_t iter_ms;
	uint8_t *material;		/* luks_material_len(), out */
};

/* Takes iter_ms and more. */
static int fill_slot(const struct fill *f)
{
	const struct luks *l = f->l;
	struct crypto *c = NULL;
	int ret;

	f->slot->iterations = count_iterations(l->hash, l->key_len, f->iter_ms);
	f->slot->stripes = LUKS_STRIPES;
	ret = crypto_random(f->slot->salt, LUKS_SALT);
	if (!ret)
		ret = luks_split(l->hash, f->key, l->key_len, LUKS_STRIPES,
				 f->material);
	if (!ret)
		ret = luks_slot_cipher(l, f->slot, f->pass, &c);
	if (!ret)
		ret = crypto_encrypt(c, 0, f->material,
				     luks_material_len(l->key_len));
	crypto_free(c);
	return ret;
}

static int64_t run_fill(void *arg)
{
	return fill_slot(arg);
}

/* ---- a new header ---- */

static uint64_t slot_step(size_t key_len)
{
	return align_up(luks_material_len((uint32_t)key_len), SLOT_ALIGN);
}

uint64_t luks_area_len(const struct luks_options *o)
{
	return SLOT_ALIGN + LUKS_SLOTS * slot_step(crypto_key_len(&o->spec));
}

/* RFC 4122, version 4 */
static int make_uuid(char uuid[40])
{
	uint8_t b[16];
	int ret = crypto_random(b, sizeof(b)), n = 0;

	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	for (int i = 0; i < 16; i++)
		n += snprintf(uuid + n, 40u - (unsigned int)n, "%s%02x",
			      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			      b[i]);
	return ret;
}

static int fill_luks_header(const struct luks_options *o, struct luks *l,
			    const uint8_t *key)
{
	uint64_t step = slot_step(l->key_len);
	int ret;

	l->payload_offset = luks_area_len(o);
	l->digest_iterations = count_iterations(l->hash, LUKS_DIGEST,
						max(o->iter_ms / 8,
						    UINT64_C(1)));
	for (unsigned int i = 0; i < LUKS_SLOTS; i++) {
		l->slots[i].offset = SLOT_ALIGN + i * step;
		l->slots[i].stripes = LUKS_STRIPES;
	}
	ret = make_uuid(l->uuid);
	if (!ret)
		ret = crypto_random(l->digest_salt, LUKS_SALT);
	return ret ? ret : luks_digest(l, key, l->digest);
}

int luks_make(const struct luks_options *o, uint8_t **bytes, size_t *len,
	      struct error *err)
{
	struct luks l = {
		.spec = o->spec, .hash = o->hash,
		.key_len = (uint32_t)crypto_key_len(&o->spec),
	};
	cleanup_secret uint8_t *key = secret_alloc(l.key_len);
	cleanup_free uint8_t *out = NULL;
	struct fill f = { &l, &l.slots[0], key, NULL, o->iter_ms, NULL };
	int ret;

	f.pass = secret_find(o->key_secret, err);
	if (!f.pass)
		return -ENOENT;
	*len = SLOT_ALIGN + luks_material_len(l.key_len);
	out = calloc(1, *len);
	ret = key && out ? crypto_random(key, l.key_len) : -ENOMEM;
	if (!ret)
		ret = fill_luks_header(o, &l, key);
	if (!ret) {
		f.material = out + l.slots[0].offset;
		ret = fill_slot(&f);
	}
	if (ret)
		return error_set_errno(err, -ret, "making the LUKS header");
	l.slots[0].active = true;
	luks_encode(&l, out);
	*bytes = steal_ptr(&out);
	return 0;
}

/* ---- slots of an image ---- */

static int write_luks_header(const struct luks_area *a, const struct luks *l)
{
	uint8_t buf[LUKS_HEADER_LENGTH];
	int ret;

	luks_encode(l, buf);
	ret = image_pwrite(a->file, a->offset, sizeof(buf), buf);
	return ret ? ret : image_flush(a->file);
}

static int choose_slot(const struct luks *l, int slot, struct error *err)
{
	if (slot >= (int)LUKS_SLOTS)
		return error_set(err, EINVAL, "Invalid keyslot %d: there are "
				 "0 to %u", slot, LUKS_SLOTS - 1);
	if (slot >= 0 && l->slots[slot].active)
		return error_set(err, EEXIST, "Refusing to overwrite active "
				 "keyslot %d - please erase it first", slot);
	for (unsigned int i = 0; slot < 0 && i < LUKS_SLOTS; i++)
		if (!l->slots[i].active)
			slot = (int)i;
	if (slot < 0)
		return error_set(err, ENOSPC, "Can't add a keyslot - all "
				 "keyslots are in use");
	return slot;
}

int luks_add_key(const struct luks_area *a, struct luks *l, const uint8_t *key,
		 const struct secret *pass, int slot, uint64_t iter_ms,
		 struct error *err)
{
	uint64_t len = luks_material_len(l->key_len);
	cleanup_secret uint8_t *material = secret_alloc(len);
	struct luks changed = *l;
	struct fill f = { l, NULL, key, pass,
			  iter_ms ? iter_ms : DEFAULT_ITER_MS, material };
	int ret;

	slot = choose_slot(l, slot, err);
	if (slot < 0)
		return slot;
	f.slot = &changed.slots[slot];
	ret = material ? (int)loop_offload(a->file->loop, run_fill, &f) :
			 -ENOMEM;
	if (!ret)
		ret = image_pwrite(a->file, a->offset + f.slot->offset, len,
				   material);
	if (!ret)
		ret = image_flush(a->file);
	if (!ret)
		ret = write_luks_header(a, &changed);
	f.slot->active = true;
	if (!ret)
		ret = write_luks_header(a, &changed);
	if (ret)
		return error_set_errno(err, -ret, "filling keyslot %d", slot);
	*l = changed;
	return 0;
}

static int overwrite(const struct luks_area *a, uint64_t off, uint64_t len)
{
	cleanup_free uint8_t *noise = malloc(len);
	int ret = noise ? 0 : -ENOMEM;

	for (int i = 0; !ret && i < ERASE_PASSES; i++) {
		ret = crypto_random(noise, len);
		if (!ret)
			ret = image_pwrite(a->file, a->offset + off, len,
					   noise);
		if (!ret)
			ret = image_flush(a->file);
	}
	return ret;
}

int luks_erase_slot(const struct luks_area *a, struct luks *l,
		    unsigned int slot, struct error *err)
{
	struct luks_slot *s = &l->slots[slot];
	int ret;

	s->active = false;
	ret = write_luks_header(a, l);
	if (!ret)
		ret = overwrite(a, s->offset, luks_material_len(l->key_len));
	s->iterations = 0;
	memset(s->salt, 0, sizeof(s->salt));
	if (!ret)
		ret = write_luks_header(a, l);
	return ret ? error_set_errno(err, -ret, "erasing keyslot %u", slot) : 0;
}
