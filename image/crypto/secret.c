/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* secret.c: see secret.h. */
#include "image/crypto/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"

/* ---- memory ---- */

#define HEAD 64			/* bytes before what is handed out: the length */

void *secret_alloc(size_t len)
{
	size_t all = align_up(len + HEAD, (size_t)4096);
	uint8_t *p = mmap(NULL, all, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* Both are wishes: RLIMIT_MEMLOCK may be small. */
	(void)!mlock(p, all);
	(void)!madvise(p, all, MADV_DONTDUMP);
	*(size_t *)p = all;
	return p + HEAD;
}

void secret_free(void *p)
{
	uint8_t *start;
	size_t all;

	if (!p)
		return;
	start = (uint8_t *)p - HEAD;
	all = *(size_t *)start;
	explicit_bzero(start, all);
	munmap(start, all);
}

/* ---- by name ---- */

static struct secret *secrets;
static size_t nr_secrets;

static struct secret *find_secret(const char *id)
{
	for (size_t i = 0; i < nr_secrets; i++)
		if (!strcmp(secrets[i].id, id))
			return &secrets[i];
	return NULL;
}

int secret_add(const char *id, const void *data, size_t len, struct error *err)
{
	cleanup_secret uint8_t *copy = NULL;
	cleanup_free char *name = NULL;
	struct secret *bigger;

	if (find_secret(id))
		return error_set(err, EEXIST, "attempt to add duplicate secret "
				 "'%s'", id);
	if (len > SECRET_MAX)
		return error_set(err, EINVAL, "secret '%s' is too long: at most "
				 "%u bytes", id, SECRET_MAX);
	copy = secret_alloc(len);
	name = strdup(id);
	bigger = realloc(secrets, (nr_secrets + 1) * sizeof(*secrets));
	if (bigger)
		secrets = bigger;
	if (!copy || !name || !bigger)
		return error_set_errno(err, ENOMEM, "secret '%s'", id);
	memcpy(copy, data, len);
	secrets[nr_secrets++] = (struct secret){
		steal_ptr(&name), steal_ptr(&copy), len,
	};
	return 0;
}

static int read_secret_file(int fd, uint8_t *buf, size_t size, size_t *len)
{
	ssize_t n;

	for (*len = 0; *len < size; *len += (size_t)n) {
		n = read(fd, buf + *len, size - *len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return n ? -errno : 0;
	}
	return 0;
}

uint8_t *secret_read_fd(int fd, const char *path, size_t *len,
			struct error *err)
{
	cleanup_secret uint8_t *buf = secret_alloc(SECRET_MAX + 1);
	int ret = buf ? read_secret_file(fd, buf, SECRET_MAX + 1, len) : -ENOMEM;
	if (ret) {
		error_set_errno(err, -ret, "Unable to read %s", path);
		return NULL;
	}
	return steal_ptr(&buf);
}

uint8_t *secret_read(const char *path, size_t *len, struct error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		return secret_read_fd(fd, path, len, err);
	error_set_errno(err, errno, "Unable to read %s: failed to open file "
			"'%s'", path, path);
	return NULL;
}

const struct secret *secret_find(const char *id, struct error *err)
{
	const struct secret *s = find_secret(id);

	if (!s)
		error_set(err, ENOENT, "No secret with id '%s'", id);
	return s;
}

void secret_forget_all(void)
{
	for (size_t i = 0; i < nr_secrets; i++) {
		secret_free(secrets[i].data);
		free(secrets[i].id);
	}
	free(secrets);
	secrets = NULL;
	nr_secrets = 0;
}
