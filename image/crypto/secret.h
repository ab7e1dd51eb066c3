/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * secret.h: passphrases by name, and memory that keys may lie in.
 *
 * Options never carry a passphrase, they name one: "encrypt.key-secret=ID".
 * The program that got it (--object secret, a secret-file) files it here under
 * its id, for the process; what opens or makes an encrypted image looks it up.
 * From the loop's thread only.
 */
#ifndef XD_IMAGE_SECRET_H
#define XD_IMAGE_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Zeroed memory that is neither swapped out nor dumped, as far as the system
 * lets us; wiped by secret_free(). NULL: -ENOMEM. free(NULL) is allowed. */
void *secret_alloc(size_t len);
void secret_free(void *p);

static inline void secret_free_fn(void *p)
{
	secret_free(*(void **)p);
}
#define cleanup_secret __attribute__((cleanup(secret_free_fn)))

struct secret {
	char *id;
	uint8_t *data;		/* secret_alloc() */
	size_t len;		/* bytes */
};

/* Copies. -EEXIST: the id is taken; -EINVAL: longer than SECRET_MAX. */
#define SECRET_MAX 65536u
int secret_add(const char *id, const void *data, size_t len,
	       struct error *err);
/* The bytes of a file as they are, a newline at the end too, in memory to be
 * given to secret_free(). NULL: with the sentence. */
uint8_t *secret_read(const char *path, size_t *len, struct error *err);
/* The same of an open file; path: for sentences. */
uint8_t *secret_read_fd(int fd, const char *path, size_t *len,
			struct error *err);
/* NULL: none of that name, with the sentence. */
const struct secret *secret_find(const char *id, struct error *err);
/* Wipes all of them. */
void secret_forget_all(void);

#endif
