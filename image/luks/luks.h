/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * luks.h: the LUKS1 header and its key slots, wherever they lie: at the start
 * of an image of the format luks, or in an area of clusters of a qcow2 image.
 *
 * Format facts: LUKS On-Disk Format Specification 1.2.3. A random master key
 * encrypts the disk; each of eight slots may hold it, split into 4000 stripes
 * and encrypted under a key that PBKDF2 makes from a passphrase. Limits that
 * are stricter than the specification's are QEMU's, or guard against headers
 * that ask for hours of work. Offsets are bytes from the area's start.
 */
#ifndef XD_IMAGE_LUKS_H
#define XD_IMAGE_LUKS_H

#include "image/create-options.h"
#include "image/crypto/crypto.h"
#include "image/crypto/secret.h"
#include "image/image.h"
#include "image/info.h"

#define LUKS_SLOTS 8u
#define LUKS_HEADER_LENGTH 592u		/* bytes */
#define LUKS_STRIPES 4000u
#define LUKS_DIGEST 20u			/* bytes */
#define LUKS_SALT 32u			/* bytes */
/* A minute of a slow machine; nobody waits longer for a disk on purpose. */
#define LUKS_MAX_ITERATIONS (UINT32_C(1) << 26)

struct luks_slot {
	bool active;
	uint32_t iterations;
	uint8_t salt[LUKS_SALT];
	uint64_t offset;		/* of the key material */
	uint32_t stripes;
};

struct luks {
	struct crypto_spec spec;
	enum crypto_hash hash;
	uint64_t payload_offset;
	uint32_t key_len;
	uint8_t digest[LUKS_DIGEST], digest_salt[LUKS_SALT];
	uint32_t digest_iterations;
	char uuid[40];
	struct luks_slot slots[LUKS_SLOTS];
};

/* The part of a file where header and key material lie. */
struct luks_area {
	struct image *file;
	uint64_t offset, length;	/* bytes */
};

/* Judges the LUKS_HEADER_LENGTH bytes in `buf` of an area of `length` bytes.
 * -EINVAL with the sentence; -ENOTSUP: a cipher, mode or hash by its name. */
int luks_parse(const uint8_t *buf, uint64_t length, struct luks *l,
	       struct error *err);
void luks_encode(const struct luks *l, uint8_t buf[LUKS_HEADER_LENGTH]);

/* co. Reads and judges. */
int luks_read(const struct luks_area *a, struct luks *l, struct error *err);

/* co. Tries the slots one after another; the work is done in a pool thread.
 * *key: l->key_len bytes of secret_alloc(); *slot (may be NULL): which one.
 * -EPERM: no slot opens with this passphrase. */
int luks_unlock(const struct luks_area *a, const struct luks *l,
		const struct secret *pass, uint8_t **key, unsigned int *slot,
		struct error *err);

/* co. Looks the passphrase up, unlocks, sets up the cipher. `id` NULL: -EINVAL
 * that names the option `param`. */
int luks_open(const struct luks_area *a, const struct luks *l, const char *id,
	      const char *param, struct crypto **out, struct error *err);

/* ---- keys; all co ---- */

/* Puts the master key under another passphrase into an inactive slot, or into
 * `slot` where that is not -1, and changes *l. iter_ms: how long it shall take
 * to try it. -ENOSPC: all slots are in use; -EEXIST: that one is. */
int luks_add_key(const struct luks_area *a, struct luks *l, const uint8_t *key,
		 const struct secret *pass, int slot, uint64_t iter_ms,
		 struct error *err);
/* Makes a slot useless: first in the header, then its key material too. */
int luks_erase_slot(const struct luks_area *a, struct luks *l,
		    unsigned int slot, struct error *err);

/* ---- making one ---- */

struct luks_options {
	struct crypto_spec spec;
	enum crypto_hash hash;
	uint64_t iter_ms;
	const char *key_secret;		/* an id, NULL: not given */
	bool has_ivgen_hash;
};

/* aes-256, xts, plain64, sha256, two seconds: QEMU's. */
void luks_options_init(struct luks_options *o);
/* One of cipher-alg, cipher-mode, ivgen-alg, ivgen-hash-alg, hash-alg,
 * iter-time, key-secret. 1: the name is none of them; `full` is what it is
 * called in sentences. */
int luks_set_option(struct luks_options *o, const char *name, const char *full,
		    const char *value, struct error *err);
/* What is wrong with them together, without doing the work. */
int luks_judge_options(const struct luks_options *o, const char *param,
		       struct error *err);

/* Header and first slot: *bytes is malloc()ed, *len long and to be written to the
 * start of the area. Takes seconds: call it in a pool thread. */
int luks_make(const struct luks_options *o, uint8_t **bytes, size_t *len,
	      struct error *err);
/* How long the area is that they need, bytes: the payload's offset. */
uint64_t luks_area_len(const struct luks_options *o);

/* ---- info ---- */

/* Fills in image_info.encrypt of an image. */
void luks_describe(const struct luks *l, struct image_info_encrypt *e);

#endif
