/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * luks.c: the header, and the way from a passphrase to the master key.
 *
 *	passphrase --PBKDF2--> slot key --decrypts--> 4000 stripes
 *	    --merge--> master key --PBKDF2--> digest, as in the header?
 *
 * See keys.c for slots that change and headers that are made.
 */
#include "image/luks/luks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/driver.h"
#include "image/luks/keys.h"
#include "image/luks/split.h"
#include "io/loop.h"

#define MAGIC "LUKS\xba\xbe"
#define SLOT_ACTIVE 0x00ac71f3u
#define SLOT_INACTIVE 0x0000deadu
#define NAME_LEN 32u			/* bytes of a name in the header */

/* Byte offsets (specification, figure 2 and 3) */
enum {
	OFF_VERSION = 6, OFF_CIPHER = 8, OFF_MODE = 40, OFF_HASH = 72,
	OFF_PAYLOAD = 104, OFF_KEY_LEN = 108, OFF_DIGEST = 112,
	OFF_DIGEST_SALT = 132, OFF_DIGEST_ITERATIONS = 164, OFF_UUID = 168,
	OFF_SLOTS = 208, SLOT_LENGTH = 48,
	SLOT_ITERATIONS = 4, SLOT_SALT = 8, SLOT_OFFSET = 40, SLOT_STRIPES = 44,
};

/* ---- parsing ---- */

static int load_name(const uint8_t *buf, const char *what, char out[NAME_LEN],
		     struct error *err)
{
	memcpy(out, buf, NAME_LEN);
	if (!memchr(out, '\0', NAME_LEN))
		return error_set(err, EINVAL, "LUKS header: %s is not ended by "
				 "a NUL", what);
	return 0;
}

static int find_luks_name(const char *const *names, const char *name,
			  const char *what, struct error *err)
{
	int i = crypto_find_name(names, name);

	if (i < 0)
		error_set(err, ENOTSUP, "LUKS header: %s '%s' is not supported",
			  what, name);
	return i < 0 ? -ENOTSUP : i;
}

/* "xts-plain64", "cbc-essiv:sha256", "ecb" */
static int parse_mode(char *text, struct crypto_spec *spec, struct error *err)
{
	char *ivgen = strchr(text, '-'), *hash = NULL;
	int i;

	if (ivgen) {
		*ivgen++ = '\0';
		hash = strchr(ivgen, ':');
	}
	if (hash)
		*hash++ = '\0';
	i = find_luks_name(crypto_mode_names, text, "cipher mode", err);
	if (i < 0)
		return i;
	spec->mode = (enum crypto_mode)i;
	if (!ivgen && spec->mode != CRYPTO_ECB)
		return error_set(err, EINVAL, "LUKS header: unexpected cipher "
				 "mode string format '%s'", text);
	i = find_luks_name(crypto_ivgen_names, ivgen ? ivgen : "plain64",
			   "IV generator", err);
	if (i < 0)
		return i;
	spec->ivgen = (enum crypto_ivgen)i;
	if (spec->ivgen == CRYPTO_ESSIV && !hash)
		return error_set(err, EINVAL, "LUKS header: hash algorithm for "
				 "essiv is missing");
	i = hash ? find_luks_name(crypto_hash_names, hash, "IV hash", err) :
		   (int)CRYPTO_SHA256;
	spec->ivgen_hash = (enum crypto_hash)i;
	return min(i, 0);
}

static int parse_cipher(const uint8_t *buf, struct luks *l, struct error *err)
{
	char cipher[NAME_LEN], mode[NAME_LEN];
	int ret;

	ret = load_name(buf + OFF_CIPHER, "the cipher's name", cipher, err);
	if (!ret)
		ret = load_name(buf + OFF_MODE, "the cipher mode", mode, err);
	if (!ret)
		ret = parse_mode(mode, &l->spec, err);
	if (ret)
		return ret;
	if (strcmp(cipher, "aes"))
		return error_set(err, ENOTSUP, "LUKS header: cipher '%s' is not "
				 "supported", cipher);
	l->key_len = load_be32(buf + OFF_KEY_LEN);
	for (int i = 0; crypto_cipher_names[i]; i++) {
		l->spec.cipher = (enum crypto_cipher)i;
		if (crypto_key_len(&l->spec) == l->key_len)
			return crypto_judge_spec(&l->spec, err);
	}
	return error_set(err, EINVAL, "LUKS header: aes-%s has no key of %u "
			 "bytes", crypto_mode_names[l->spec.mode], l->key_len);
}

static int judge_iterations(uint32_t n, const char *what, struct error *err)
{
	if (n && n <= LUKS_MAX_ITERATIONS)
		return 0;
	return error_set(err, EINVAL, "LUKS header: %s has %u iterations of "
			 "PBKDF2, must have 1 to %u", what, n,
			 LUKS_MAX_ITERATIONS);
}

static int parse_slot(const uint8_t *buf, unsigned int i, struct luks_slot *s,
		      struct error *err)
{
	uint32_t state = load_be32(buf);
	char name[24];

	snprintf(name, sizeof(name), "keyslot %u", i);
	if (state != SLOT_ACTIVE && state != SLOT_INACTIVE)
		return error_set(err, EINVAL, "LUKS header: %s state %#x is "
				 "neither active nor inactive", name, state);
	s->active = state == SLOT_ACTIVE;
	s->iterations = load_be32(buf + SLOT_ITERATIONS);
	memcpy(s->salt, buf + SLOT_SALT, LUKS_SALT);
	s->offset = (uint64_t)load_be32(buf + SLOT_OFFSET) * SECTOR_SIZE;
	s->stripes = load_be32(buf + SLOT_STRIPES);
	if (s->stripes != LUKS_STRIPES)
		return error_set(err, EINVAL, "LUKS header: %s is corrupted "
				 "(stripes %u, must be %u)", name, s->stripes,
				 LUKS_STRIPES);
	return s->active ? judge_iterations(s->iterations, name, err) : 0;
}

uint64_t luks_material_len(uint32_t key_len)
{
	return align_up((uint64_t)key_len * LUKS_STRIPES, SECTOR_SIZE);
}

/* Slots lie behind the header, before the payload, and not in one another. */
static int judge_slots(const struct luks *l, uint64_t length, struct error *err)
{
	uint64_t n = luks_material_len(l->key_len);
	uint64_t end = min(l->payload_offset, length);

	for (unsigned int i = 0; i < LUKS_SLOTS; i++) {
		uint64_t at = l->slots[i].offset;

		if (at < LUKS_HEADER_LENGTH || !range_within(at, n, end))
			return error_set(err, EINVAL, "LUKS header: keyslot %u "
					 "lies at %" PRIu64 " to %" PRIu64
					 ", must be behind the header (%u) and "
					 "end before %" PRIu64, i, at, at + n,
					 LUKS_HEADER_LENGTH, end);
		for (unsigned int k = 0; k < i; k++)
			if (at < l->slots[k].offset + n &&
			    l->slots[k].offset < at + n)
				return error_set(err, EINVAL, "LUKS header: "
						 "keyslots %u and %u overlap",
						 k, i);
	}
	return 0;
}

static int parse_slots(const uint8_t *buf, uint64_t length, struct luks *l,
		       struct error *err)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < LUKS_SLOTS; i++)
		ret = parse_slot(buf + OFF_SLOTS + (size_t)i * SLOT_LENGTH, i,
				 &l->slots[i], err);
	return ret ? ret : judge_slots(l, length, err);
}

static int parse_start(const uint8_t *buf, struct error *err)
{
	unsigned int version = (unsigned int)buf[OFF_VERSION] << 8 |
			       buf[OFF_VERSION + 1];

	if (memcmp(buf, MAGIC, 6))
		return error_set(err, EINVAL, "Volume is not in LUKS format");
	if (version != 1)
		return error_set(err, ENOTSUP, "LUKS version %u is not "
				 "supported, only 1 is", version);
	return 0;
}

int luks_parse(const uint8_t *buf, uint64_t length, struct luks *l,
	       struct error *err)
{
	char hash[NAME_LEN];
	int ret;

	memset(l, 0, sizeof(*l));
	ret = parse_start(buf, err);
	if (!ret)
		ret = load_name(buf + OFF_HASH, "the hash's name", hash, err);
	if (!ret)
		ret = parse_cipher(buf, l, err);
	if (ret)
		return ret;
	ret = find_luks_name(crypto_hash_names, hash, "hash", err);
	if (ret < 0)
		return ret;
	l->hash = (enum crypto_hash)ret;
	l->payload_offset = (uint64_t)load_be32(buf + OFF_PAYLOAD) * SECTOR_SIZE;
	memcpy(l->digest, buf + OFF_DIGEST, LUKS_DIGEST);
	memcpy(l->digest_salt, buf + OFF_DIGEST_SALT, LUKS_SALT);
	l->digest_iterations = load_be32(buf + OFF_DIGEST_ITERATIONS);
	memcpy(l->uuid, buf + OFF_UUID, sizeof(l->uuid));
	l->uuid[sizeof(l->uuid) - 1] = '\0';
	ret = judge_iterations(l->digest_iterations, "the master key", err);
	return ret ? ret : parse_slots(buf, length, l, err);
}

void luks_encode(const struct luks *l, uint8_t buf[LUKS_HEADER_LENGTH])
{
	bool essiv = l->spec.ivgen == CRYPTO_ESSIV;

	memset(buf, 0, LUKS_HEADER_LENGTH);
	memcpy(buf, MAGIC, 6);
	buf[OFF_VERSION + 1] = 1;
	strcpy((char *)buf + OFF_CIPHER, "aes");
	snprintf((char *)buf + OFF_MODE, NAME_LEN, "%s-%s%s%s",
		 crypto_mode_names[l->spec.mode],
		 crypto_ivgen_names[l->spec.ivgen], essiv ? ":" : "",
		 essiv ? crypto_hash_names[l->spec.ivgen_hash] : "");
	strcpy((char *)buf + OFF_HASH, crypto_hash_names[l->hash]);
	store_be32(buf + OFF_PAYLOAD,
		   (uint32_t)(l->payload_offset / SECTOR_SIZE));
	store_be32(buf + OFF_KEY_LEN, l->key_len);
	memcpy(buf + OFF_DIGEST, l->digest, LUKS_DIGEST);
	memcpy(buf + OFF_DIGEST_SALT, l->digest_salt, LUKS_SALT);
	store_be32(buf + OFF_DIGEST_ITERATIONS, l->digest_iterations);
	memcpy(buf + OFF_UUID, l->uuid, sizeof(l->uuid));
	for (unsigned int i = 0; i < LUKS_SLOTS; i++) {
		const struct luks_slot *s = &l->slots[i];
		uint8_t *p = buf + OFF_SLOTS + (size_t)i * SLOT_LENGTH;

		store_be32(p, s->active ? SLOT_ACTIVE : SLOT_INACTIVE);
		store_be32(p + SLOT_ITERATIONS, s->iterations);
		memcpy(p + SLOT_SALT, s->salt, LUKS_SALT);
		store_be32(p + SLOT_OFFSET, (uint32_t)(s->offset / SECTOR_SIZE));
		store_be32(p + SLOT_STRIPES, s->stripes);
	}
}

int luks_read(const struct luks_area *a, struct luks *l, struct error *err)
{
	uint8_t buf[LUKS_HEADER_LENGTH];
	int ret;

	if (a->length < sizeof(buf))
		return error_set(err, EINVAL, "LUKS header: there is room for %"
				 PRIu64 " bytes, it has %zu", a->length,
				 sizeof(buf));
	ret = image_pread(a->file, a->offset, sizeof(buf), buf);
	if (ret)
		return error_set_errno(err, -ret, "reading the LUKS header");
	return luks_parse(buf, a->length, l, err);
}

/* ---- from a passphrase to the master key ---- */

int luks_digest(const struct luks *l, const uint8_t *key,
		uint8_t out[LUKS_DIGEST])
{
	return crypto_pbkdf2(l->hash, key, l->key_len, l->digest_salt,
			     LUKS_SALT, l->digest_iterations, out, LUKS_DIGEST);
}

int luks_slot_cipher(const struct luks *l, const struct luks_slot *s,
		     const struct secret *pass, struct crypto **out)
{
	cleanup_secret uint8_t *key = secret_alloc(l->key_len);
	int ret;

	if (!key)
		return -ENOMEM;
	ret = crypto_pbkdf2(l->hash, pass->data, pass->len, s->salt, LUKS_SALT,
			    s->iterations, key, l->key_len);
	return ret ? ret : crypto_new(&l->spec, key, out, NULL);
}

struct unlock {
	const struct luks *l;
	const struct luks_slot *slot;
	const struct secret *pass;
	uint8_t *material;		/* luks_material_len(), changed */
	uint8_t *key;			/* out */
};

/* In a pool thread. -EPERM: it is not this slot's passphrase. */
static int64_t try_slot(void *arg)
{
	struct unlock *u = arg;
	uint8_t digest[LUKS_DIGEST];
	struct crypto *c = NULL;
	int ret;

	ret = luks_slot_cipher(u->l, u->slot, u->pass, &c);
	if (!ret)
		ret = crypto_decrypt(c, 0, u->material,
				     luks_material_len(u->l->key_len));
	crypto_free(c);
	if (!ret)
		ret = luks_merge(u->l->hash, u->material, u->l->key_len,
				 u->slot->stripes, u->key);
	if (!ret)
		ret = luks_digest(u->l, u->key, digest);
	if (!ret && !crypto_equal(digest, u->l->digest, LUKS_DIGEST))
		ret = -EPERM;
	explicit_bzero(digest, sizeof(digest));
	return ret;
}

int luks_unlock_slot(const struct luks_area *a, const struct luks *l,
		     unsigned int slot, const struct secret *pass, uint8_t *key)
{
	uint64_t len = luks_material_len(l->key_len);
	cleanup_secret uint8_t *material = secret_alloc(len);
	struct unlock u = { l, &l->slots[slot], pass, material, key };
	int ret;

	if (!material)
		return -ENOMEM;
	ret = image_pread(a->file, a->offset + u.slot->offset, len, material);
	return ret ? ret : (int)loop_offload(a->file->loop, try_slot, &u);
}

int luks_unlock(const struct luks_area *a, const struct luks *l,
		const struct secret *pass, uint8_t **key, unsigned int *slot,
		struct error *err)
{
	cleanup_secret uint8_t *out = secret_alloc(l->key_len);
	int ret = -EPERM;

	if (!out)
		return -ENOMEM;
	for (unsigned int i = 0; i < LUKS_SLOTS && ret == -EPERM; i++) {
		if (!l->slots[i].active)
			continue;
		ret = luks_unlock_slot(a, l, i, pass, out);
		if (!ret && slot)
			*slot = i;
	}
	if (ret == -EPERM)
		return error_set(err, EPERM, "Invalid password, cannot unlock "
				 "any keyslot");
	if (ret)
		return error_set_errno(err, -ret, "unlocking a LUKS keyslot");
	*key = steal_ptr(&out);
	return 0;
}

int luks_open(const struct luks_area *a, const struct luks *l, const char *id,
	      const char *param, struct crypto **out, struct error *err)
{
	cleanup_secret uint8_t *key = NULL;
	const struct secret *pass;
	int ret;

	if (crypto_missing())
		return error_set(err, ENOTSUP, "%s", crypto_missing());
	if (!id)
		return error_set(err, EINVAL, "Parameter '%s' is required for "
				 "cipher", param);
	pass = secret_find(id, err);
	if (!pass)
		return -ENOENT;
	ret = luks_unlock(a, l, pass, &key, NULL, err);
	return ret ? ret : crypto_new(&l->spec, key, out, err);
}

/* ---- info ---- */

void luks_describe(const struct luks *l, struct image_info_encrypt *e)
{
	e->format = "luks";
	e->cipher_alg = crypto_cipher_names[l->spec.cipher];
	e->cipher_mode = crypto_mode_names[l->spec.mode];
	e->ivgen_alg = crypto_ivgen_names[l->spec.ivgen];
	e->ivgen_hash_alg = l->spec.ivgen == CRYPTO_ESSIV ?
		crypto_hash_names[l->spec.ivgen_hash] : NULL;
	e->hash_alg = crypto_hash_names[l->hash];
	memcpy(e->uuid, l->uuid, sizeof(e->uuid));
	e->payload_offset = l->payload_offset;
	e->master_key_iters = l->digest_iterations;
	for (unsigned int i = 0; i < LUKS_SLOTS; i++) {
		e->slots[i].active = l->slots[i].active;
		e->slots[i].iters = l->slots[i].iterations;
		e->slots[i].stripes = l->slots[i].stripes;
		e->slots[i].key_offset = l->slots[i].offset;
	}
}
