/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preload-store.c: a xenstored that refuses, and how many watches it has.
 *
 * Its quotas hold for unprivileged domains only, and all that connect to it
 * here are domain 0. So what a driver domain would be refused is refused on
 * the way: the file `refused` of the run directory names nodes, by their last
 * part, and `watch` for all watches.
 */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <xenstore.h>

#include "tests/simxen/preload.h"

/* The last part of a path, or a word without one. */
static bool is_refused(const char *what)
{
	char path[128], words[1024], *word, *rest = words;
	const char *slash = strrchr(what, '/');
	ssize_t n;
	int fd;

	if (!preload_path(path, sizeof(path), "refused"))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, words, sizeof(words) - 1);
	close(fd);
	words[n > 0 ? n : 0] = 0;
	while ((word = strsep(&rest, " \n"))) {
		if (!strcmp(word, slash ? slash + 1 : what))
			return true;
	}
	return false;
}

/* The library's own function of this name. */
#define next(name, ...) \
	((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
	      const void *data, unsigned int len)
{
	if (!is_refused(path))
		return next(xs_write, h, t, path, data, len);
	errno = ENOSPC;
	return false;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	bool done = false;

	if (is_refused("watch"))
		errno = E2BIG;
	else
		done = next(xs_watch, h, path, token);
	count(watches, done);
	return done;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	bool done = next(xs_unwatch, h, path, token);

	count(watches, -(int)done);
	return done;
}
