/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host-file.c: see host-file.h. */
#include "opener/host-file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/bits.h"

/* Linux 5.6; before it, and where it is filtered, as open(2) finds it. */
static int open_as_path(const char *path, bool foreign)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = foreign ? RESOLVE_NO_MAGICLINKS : 0,
	};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 && (errno == ENOSYS || errno == EPERM) ?
		       open(path, O_PATH | O_CLOEXEC) : fd;
}

int host_file_find(const char *path, bool foreign, int *fd, struct stat *st)
{
	*fd = open_as_path(path, foreign);
	return *fd < 0 || fstat(*fd, st) ? -errno : 0;
}

static const char *kind_of_file(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return "a directory";
	case S_IFCHR: return "a character device";
	case S_IFIFO: return "a FIFO";
	case S_IFSOCK: return "a socket";
	default: return "something else";
	}
}

int host_file_judge(const char *path, const struct stat *st, struct error *err)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	return error_set(err, EINVAL, "'%s' is %s, not a file or a block "
			 "device", path, kind_of_file(st->st_mode));
}

/* A name of procfs for a descriptor of ours. */
struct fd_name {
	char text[32];
};

static struct fd_name name_of_fd(int fd)
{
	struct fd_name name;

	snprintf(name.text, sizeof(name.text), "/proc/self/fd/%d", fd);
	return name;
}

int host_file_open_found(int found_fd, int flags, int *fd)
{
	*fd = open(name_of_fd(found_fd).text,
		   flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0)
		return -errno;
	fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) & ~O_NONBLOCK);
	return 0;
}

char *host_file_real_name(int found_fd)
{
	char real[PATH_MAX];
	ssize_t n = readlink(name_of_fd(found_fd).text, real, sizeof(real) - 1);

	if (n < 0)
		return NULL;
	real[n] = 0;
	return strdup(real);
}

/* A number in the device's queue directory, or its disk's for a partition. */
static uint64_t queue_limit(const struct stat *st, const char *name)
{
	static const char *const where[] = { "queue", "../queue" };
	char path[128];
	uint64_t value = 0;
	FILE *f;

	for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s",
			 major(st->st_rdev), minor(st->st_rdev), where[i], name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%" SCNu64, &value) != 1)
			value = 0;
		fclose(f);
		break;
	}
	return value;
}

void host_file_device_limits(const struct stat *st, struct device_limits *l)
{
	*l = (struct device_limits){ 0 };
	if (!S_ISBLK(st->st_mode))
		return;
	l->discard_max = queue_limit(st, "discard_max_bytes");
	l->discard_granularity = queue_limit(st, "discard_granularity");
	l->write_zeroes_max = queue_limit(st, "write_zeroes_max_bytes");
}
