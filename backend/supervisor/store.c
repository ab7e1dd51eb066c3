/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store.c: see store.h. Knows nothing of devices and logs nothing. */
#include "backend/supervisor/store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/size.h"

/* Far more than honest neighbours cause; then something is wrong. */
#define TRANSACTION_TRIES 256

static int join(char path[STORE_PATH_MAX], const char *dir, const char *node)
{
	int n = snprintf(path, STORE_PATH_MAX, "%s%s%s", dir,
			 *node ? "/" : "", node);

	return n < STORE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

int store_read(struct xs_handle *xs, xs_transaction_t t, const char *dir,
	       const char *node, char *buf, size_t size)
{
	char path[STORE_PATH_MAX];
	cleanup_free char *value = NULL;
	unsigned int len;
	int ret;

	ret = join(path, dir, node);
	if (ret < 0)
		return ret;
	value = xs_read(xs, t, path, &len);
	if (!value)
		return -errno;
	if (len >= size)
		return -E2BIG;
	if (memchr(value, 0, len))
		return -EINVAL;
	memcpy(buf, value, len);
	buf[len] = 0;
	return (int)len;
}

int store_read_uint(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		    const char *node, uint64_t limit, uint64_t *value)
{
	char text[24];
	int ret = store_read(xs, t, dir, node, text, sizeof(text));

	return ret < 0 ? ret : decimal_parse(text, limit, value);
}

int store_write(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		const char *node, const char *fmt, ...)
{
	char path[STORE_PATH_MAX], value[STORE_VALUE_MAX];
	va_list ap;
	int ret, n;

	ret = join(path, dir, node);
	if (ret < 0)
		return ret;
	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(value))
		return -E2BIG;
	if (!xs_write(xs, t, path, value, (unsigned int)n))
		return -errno;
	return 0;
}

int store_write_uint(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		     const char *node, uint64_t value, uint64_t absent)
{
	if (value == absent)
		return store_remove(xs, t, dir, node);
	return store_write(xs, t, dir, node, "%llu", (unsigned long long)value);
}

int store_remove(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		 const char *node)
{
	char path[STORE_PATH_MAX];
	int ret = join(path, dir, node);

	if (ret < 0)
		return ret;
	if (!xs_rm(xs, t, path) && errno != ENOENT)
		return -errno;
	return 0;
}

int store_transact(struct xs_handle *xs,
		   int (*body)(struct xs_handle *xs, xs_transaction_t t,
			       void *arg),
		   void *arg)
{
	for (int i = 0; i < TRANSACTION_TRIES; i++) {
		xs_transaction_t t = xs_transaction_start(xs);
		int ret;

		if (t == XBT_NULL)
			return -errno;
		ret = body(xs, t, arg);
		if (ret < 0) {
			xs_transaction_end(xs, t, true);
			return ret;
		}
		if (xs_transaction_end(xs, t, false))
			return ret;
		if (errno != EAGAIN)
			return -errno;
	}
	return -EAGAIN;
}
