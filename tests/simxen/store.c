/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store.c: see store.h. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/simxen/simxen.h"
#include "tests/simxen/store.h"

static struct xs_handle *xs;

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

void store_open(void)
{
	if (!xs)
		xs = xs_open(0);
	if (!xs)
		die("no xenstore: %s", strerror(errno));
}

xs_transaction_t store_begin(void)
{
	xs_transaction_t t = xs_transaction_start(xs);

	if (t == XBT_NULL)
		die("xenstore transaction: %s", strerror(errno));
	return t;
}

bool store_commit(xs_transaction_t t)
{
	if (xs_transaction_end(xs, t, false))
		return true;
	if (errno != EAGAIN)
		die("xenstore transaction: %s", strerror(errno));
	return false;
}

#define FORMAT(var, fmt)                              \
	char *var;                                    \
	do {                                          \
		va_list ap_;                          \
		va_start(ap_, fmt);                   \
		if (vasprintf(&var, fmt, ap_) < 0)    \
			die("out of memory");         \
		va_end(ap_);                          \
	} while (0)

static char *read_node(xs_transaction_t t, const char *path)
{
	unsigned int len;

	return xs_read(xs, t, path, &len);
}

char *store_read(xs_transaction_t t, const char *path_fmt, ...)
{
	char *value;
	FORMAT(path, path_fmt);

	value = read_node(t, path);
	free(path);
	return value;
}

uint64_t store_number(uint64_t missing, const char *path_fmt, ...)
{
	uint64_t number = missing;
	char *value, *end;
	FORMAT(path, path_fmt);

	value = read_node(XBT_NULL, path);
	free(path);
	if (value && *value) {
		number = strtoull(value, &end, 10);
		if (*end)
			number = missing;
	}
	free(value);
	return number;
}

void store_write(xs_transaction_t t, const char *dir, const char *name,
		 const char *value_fmt, ...)
{
	char *path;
	FORMAT(value, value_fmt);

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		die("out of memory");
	if (!xs_write(xs, t, path, value, strlen(value)))
		die("write %s: %s", path, strerror(errno));
	free(path);
	free(value);
}

void store_remove(xs_transaction_t t, const char *path_fmt, ...)
{
	FORMAT(path, path_fmt);

	if (!xs_rm(xs, t, path) && errno != ENOENT)
		die("remove %s: %s", path, strerror(errno));
	free(path);
}

bool store_exists(const char *path_fmt, ...)
{
	char *value;
	FORMAT(path, path_fmt);

	value = read_node(XBT_NULL, path);
	free(path);
	free(value);
	return value != NULL;
}

char **store_list(xs_transaction_t t, unsigned int *nr,
		  const char *path_fmt, ...)
{
	char **names;
	FORMAT(path, path_fmt);

	*nr = 0;
	names = xs_directory(xs, t, path, nr);
	free(path);
	return names;
}

void store_mkdir(xs_transaction_t t, const char *path, unsigned int owner,
		 unsigned int reader)
{
	struct xs_permissions perms[] = {
		{ .id = owner, .perms = XS_PERM_NONE },
		{ .id = reader, .perms = XS_PERM_READ },
	};

	if (!xs_mkdir(xs, t, path) ||
	    !xs_set_permissions(xs, t, path, perms, 2))
		die("mkdir %s: %s", path, strerror(errno));
}

void store_introduce(uint32_t domid, uint32_t gref, uint32_t port)
{
	if (!xs_introduce_domain(xs, domid, gref, port))
		die("introduce domain %u: %s", domid, strerror(errno));
}

void store_release(uint32_t domid)
{
	if (!xs_release_domain(xs, domid))
		die("release domain %u: %s", domid, strerror(errno));
}

enum xenbus_state store_state(const char *dir)
{
	return store_number(XenbusStateUnknown, "%s/state", dir);
}

/* Sleeps until a watched node may have changed; false at the deadline. */
static bool wait_watch(uint64_t deadline)
{
	struct pollfd pfd = { .fd = xs_fileno(xs), .events = POLLIN };
	uint64_t now = now_ns();
	char **event;

	if (now >= deadline)
		return false;
	if (poll(&pfd, 1, (deadline - now) / 1000000 + 1) <= 0)
		return true;
	while ((event = xs_check_watch(xs)))
		free(event);
	return true;
}

static bool state_in(const char *dir, unsigned int mask)
{
	enum xenbus_state s = store_state(dir);

	return s < 32 && (mask & STATE_BIT(s));
}

static bool node_gone(const char *dir, unsigned int unused)
{
	return !store_exists("%s/state", dir);
}

static bool wait_until(const char *dir,
		       bool (*holds)(const char *, unsigned int),
		       unsigned int arg, int timeout_ms)
{
	uint64_t deadline = now_ns() + (uint64_t)timeout_ms * 1000000;
	bool ok;
	char *path;

	if (holds(dir, arg))
		return true;
	if (asprintf(&path, "%s/state", dir) < 0)
		die("out of memory");
	if (!xs_watch(xs, path, "wait"))
		die("watch %s: %s", path, strerror(errno));
	do
		ok = holds(dir, arg);
	while (!ok && wait_watch(deadline));
	xs_unwatch(xs, path, "wait");
	free(path);
	return ok;
}

bool store_wait_state(const char *dir, unsigned int mask, int timeout_ms)
{
	return wait_until(dir, state_in, mask, timeout_ms);
}

bool store_wait_gone(const char *path, int timeout_ms)
{
	return wait_until(path, node_gone, 0, timeout_ms);
}
