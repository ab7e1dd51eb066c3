/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.c: see lock.h.
 *
 * Own locks are taken before those of others are looked for: of two programs
 * that start at the same moment at least one sees the other. There is no
 * waiting and no retry here.
 */
#include "config.h"
#include "image/lock.h"

#include <errno.h>
#include <fcntl.h>

#include "common/bits.h"

#define HELD_BASE 100
#define FORBIDDEN_BASE 200

enum permission {
	CONSISTENT_READ = 1 << 0,
	WRITE = 1 << 1,
	WRITE_UNCHANGED = 1 << 2,
	RESIZE = 1 << 3,
	NR_PERMISSIONS = 4,
};

static int take_locks(int fd, int base, unsigned int permissions)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET,
			      .l_len = 1 };

	for (int i = 0; i < NR_PERMISSIONS; i++) {
		lock.l_start = base + i;
		if ((permissions & (1u << i)) &&
		    fcntl(fd, F_OFD_SETLK, &lock))
			return -errno;
	}
	return 0;
}

/* Does another open file hold any of these bytes? */
static int probe(int fd, int base, unsigned int permissions)
{
	for (int i = 0; i < NR_PERMISSIONS; i++) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
				      .l_start = base + i, .l_len = 1 };

		if (!(permissions & (1u << i)))
			continue;
		if (fcntl(fd, F_OFD_GETLK, &lock))
			return -errno;
		if (lock.l_type != F_UNLCK)
			return -EAGAIN;
	}
	return 0;
}

static unsigned int permissions_of(bool write)
{
	return CONSISTENT_READ | (write ? WRITE | RESIZE : 0);
}

static const unsigned int forbidden = WRITE | RESIZE;

static int refused(int ret, const char *path, bool write, struct error *err)
{
	if (ret == -EAGAIN || ret == -EACCES)
		return error_set(err, EAGAIN, "cannot get the %s lock on '%s': "
				 "another program has it open%s (is a QEMU or "
				 "another guest using this image?)",
				 write ? "write" : "read", path,
				 write ? "" : " for writing");
	if (ret)
		return error_set_errno(err, -ret, "cannot lock '%s'", path);
	return 0;
}

void image_unlock(int fd)
{
	struct flock lock = {
		.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = HELD_BASE,
		.l_len = FORBIDDEN_BASE - HELD_BASE + NR_PERMISSIONS,
	};

	fcntl(fd, F_OFD_SETLK, &lock);
}

int image_probe_locks(int fd, const char *path, bool write, struct error *err)
{
	int ret = probe(fd, FORBIDDEN_BASE, permissions_of(write));

	if (!ret)
		ret = probe(fd, HELD_BASE, forbidden);
	return refused(ret, path, write, err);
}

int image_lock(int fd, const char *path, bool write, struct error *err)
{
	int ret = take_locks(fd, HELD_BASE, permissions_of(write));

	if (!ret)
		ret = take_locks(fd, FORBIDDEN_BASE, forbidden);
	if (ret)
		return refused(ret, path, write, err);
	return image_probe_locks(fd, path, write, err);
}
