/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* keys.h: between luks.c and keys.c. */
#ifndef XD_IMAGE_LUKS_KEYS_H
#define XD_IMAGE_LUKS_KEYS_H

#include "image/luks/luks.h"

/* Bytes of a slot's key material, up to the end of a sector. */
uint64_t luks_material_len(uint32_t key_len);
/* The digest of a master key, as the header would have it. */
int luks_digest(const struct luks *l, const uint8_t *key,
		uint8_t out[LUKS_DIGEST]);
/* co. -EPERM: it is not this slot's passphrase. key: l->key_len bytes. */
int luks_unlock_slot(const struct luks_area *a, const struct luks *l,
		     unsigned int slot, const struct secret *pass,
		     uint8_t *key);
/* The cipher of a slot's key material under a passphrase. Takes long. */
int luks_slot_cipher(const struct luks *l, const struct luks_slot *s,
		     const struct secret *pass, struct crypto **out);

#endif
