/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * encrypt.h: how a new qcow2 image shall be encrypted.
 *
 * Options: encryption=on (AES), encrypt.format=aes|luks, encrypt.key-secret and
 * encrypt.* of luks_set_option().
 */
#ifndef XD_IMAGE_QCOW2_ENCRYPT_H
#define XD_IMAGE_QCOW2_ENCRYPT_H

#include "image/luks/luks.h"

struct qcow2_encrypt {
	uint32_t method;	/* QCOW2_CRYPT_* */
	struct luks_options luks;
	bool legacy;		/* encryption=on */
	const char *format, *only_luks;	/* options given, NULL: none */
};

void qcow2_encrypt_init(struct qcow2_encrypt *e);
/* 1: not an option of these. -EINVAL with the sentence. */
int qcow2_encrypt_set(struct qcow2_encrypt *e,
		      const struct image_create_option *o, struct error *err);
/* All of them together; settles `method`. */
int qcow2_encrypt_judge(struct qcow2_encrypt *e, struct error *err);
/* Bytes of the LUKS area, 0: there is none. */
uint64_t qcow2_encrypt_len(const struct qcow2_encrypt *e);

#endif
