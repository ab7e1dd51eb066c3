/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* encrypt.c: see encrypt.h. */
#include "image/qcow2/make/encrypt.h"

#include <errno.h>
#include <string.h>

#include "image/qcow2/core/header.h"

#define PREFIX "encrypt."
#define KEY_SECRET "encrypt.key-secret"

void qcow2_encrypt_init(struct qcow2_encrypt *e)
{
	memset(e, 0, sizeof(*e));
	luks_options_init(&e->luks);
}

static int set_encryption(struct qcow2_encrypt *e, const char *value,
			  struct error *err)
{
	e->legacy = !strcmp(value, "on");
	if (!e->legacy && strcmp(value, "off"))
		return error_set(err, EINVAL, "Parameter 'encryption' expects "
				 "'on' or 'off', not '%s'", value);
	return 0;
}

int qcow2_encrypt_set(struct qcow2_encrypt *e,
		      const struct image_create_option *o, struct error *err)
{
	const char *name = o->name;
	int ret;

	if (!strcmp(name, "encryption"))
		return set_encryption(e, o->value, err);
	if (strncmp(name, PREFIX, strlen(PREFIX)))
		return 1;
	name += strlen(PREFIX);
	if (!strcmp(name, "format")) {
		e->format = o->value;
		return 0;
	}
	ret = luks_set_option(&e->luks, name, o->name, o->value, err);
	if (!ret && strcmp(name, "key-secret"))
		e->only_luks = o->name;
	return ret;
}

int qcow2_encrypt_judge(struct qcow2_encrypt *e, struct error *err)
{
	if (e->legacy && e->format)
		return error_set(err, EINVAL, "Options encryption and "
				 "encrypt.format are mutually exclusive");
	if (!e->legacy && !e->format)
		return !e->only_luks && !e->luks.key_secret ? 0 :
			error_set(err, EINVAL, "Parameter 'encrypt.format' is "
				  "missing (known: aes, luks)");
	if (e->legacy || !strcmp(e->format, "aes"))
		e->method = QCOW2_CRYPT_AES;
	else if (!strcmp(e->format, "luks"))
		e->method = QCOW2_CRYPT_LUKS;
	else
		return error_set(err, EINVAL, "Parameter 'encrypt.format' does "
				 "not accept value '%s' (known: aes, luks)",
				 e->format);
	if (e->method == QCOW2_CRYPT_AES && e->only_luks)
		return error_set(err, EINVAL, "Parameter '%s' is unexpected: "
				 "it is of encrypt.format=luks", e->only_luks);
	return luks_judge_options(&e->luks, KEY_SECRET, err);
}

uint64_t qcow2_encrypt_len(const struct qcow2_encrypt *e)
{
	return e->method == QCOW2_CRYPT_LUKS ? luks_area_len(&e->luks) : 0;
}
