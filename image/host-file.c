/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host-file.c: see host-file.h. */
#include "image/host-file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/size.h"
#include "image/create-options.h"
#include "image/lock.h"
#include "io/loop.h"
#include "opener/host-file.h"

#define ZERO_PIECE (1 * MiB)

/* ---- opening ---- */

/* The file that is to be made anew, or made: nothing but a file or a device is
 * opened, O_NONBLOCK as another may come to its place meanwhile. For a folder
 * open(2) has its own error. */
static int open_to_create(const char *path, int *fd, struct stat *st,
			  struct error *err)
{
	int ret = 0;

	if (!stat(path, st) && !S_ISDIR(st->st_mode))
		ret = host_file_judge(path, st, err);
	if (ret)
		return ret;
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		   0644);
	if (*fd < 0)
		return error_set(err, errno, "%s", strerror(errno));
	if (fstat(*fd, st))
		return error_set_errno(err, errno, "fstat of '%s'", path);
	ret = host_file_judge(path, st, err);
	if (!ret)
		fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) & ~O_NONBLOCK);
	return ret;
}

int host_device_size(int fd, uint64_t *size)
{
	return ioctl(fd, BLKGETSIZE64, size) ? -errno : 0;
}

/* ---- create ---- */

enum preallocation { PREALLOC_OFF, PREALLOC_FALLOC, PREALLOC_FULL };

struct create {
	const char *path;
	uint64_t size;
	enum preallocation prealloc;
	bool nocow;
	struct error *err;
};

const struct image_create_help host_file_create_help[] = {
	{ "extent_size_hint", "<size>      - Accepted, and not passed on" },
	{ "nocow", "<bool (on/off)>      - No copy on write (on btrfs)" },
	{ "preallocation", "<str>        - off (default), falloc (space is "
			   "reserved) or full (zeroes are written)" },
	{ NULL, NULL },
};

static int parse_file_options(struct create *c,
			 const struct image_create_option *options,
			 unsigned int nr)
{
	static const char *const modes[] = { "off", "falloc", "full", NULL };
	struct create_args args = { host_file_create_help, options, nr };
	const char *hint = create_text(&args, "extent_size_hint");
	unsigned int mode = PREALLOC_OFF;
	uint64_t bytes;
	int ret = create_judge(&args, c->err);

	if (!ret && hint && size_parse(hint, &bytes))
		ret = error_set(c->err, EINVAL, "Parameter 'extent_size_hint' "
				"expects a size, not '%s'", hint);
	if (!ret)
		ret = create_bool(&args, "nocow", &c->nocow, c->err);
	if (!ret)
		ret = create_choice(&args, "preallocation", modes, &mode,
				    c->err);
	c->prealloc = (enum preallocation)mode;
	return ret;
}

static int write_zeroes_to(int fd, uint64_t size)
{
	cleanup_free void *zeroes = calloc(1, ZERO_PIECE);
	ssize_t n;

	if (!zeroes)
		return -ENOMEM;
	for (uint64_t off = 0; off < size; off += (uint64_t)n) {
		n = pwrite(fd, zeroes, min(ZERO_PIECE, size - off), (off_t)off);
		if (n <= 0)
			return n ? -errno : -EIO;
	}
	return fsync(fd) ? -errno : 0;
}

void host_file_set_nocow(int fd)
{
	int flags;

	if (!ioctl(fd, FS_IOC_GETFLAGS, &flags)) {
		flags |= FS_NOCOW_FL;
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

static int create_regular(const struct create *c, int fd)
{
	int ret = ftruncate(fd, 0) ? -errno : 0;

	if (!ret && c->nocow)
		host_file_set_nocow(fd);
	if (!ret && ftruncate(fd, (off_t)c->size))
		ret = -errno;
	if (!ret && c->prealloc == PREALLOC_FALLOC && c->size)
		ret = -posix_fallocate(fd, 0, (off_t)c->size);
	if (!ret && c->prealloc == PREALLOC_FULL)
		ret = write_zeroes_to(fd, c->size);
	if (!ret)
		return 0;
	return error_set_errno(c->err, -ret, "cannot give '%s' %" PRIu64
			       " bytes", c->path, c->size);
}

/* A device exists already; it only has to be large enough. */
static int create_on_device(const struct create *c, int fd)
{
	uint64_t size;
	int ret = host_device_size(fd, &size);

	if (ret)
		return error_set_errno(c->err, -ret, "size of '%s'", c->path);
	if (c->size > size)
		return error_set(c->err, ENOSPC, "'%s' has %" PRIu64 " bytes, "
				 "not %" PRIu64, c->path, size, c->size);
	if (c->prealloc == PREALLOC_FULL && write_zeroes_to(fd, c->size))
		return error_set(c->err, EIO, "cannot write to '%s'", c->path);
	return 0;
}

static int64_t create_work(void *arg)
{
	struct create *c = arg;
	cleanup_fd int fd = -1;
	struct stat st;
	int ret;

	ret = open_to_create(c->path, &fd, &st, c->err);
	if (!ret)
		ret = image_lock(fd, c->path, true, c->err);
	if (ret)
		return ret;
	return S_ISBLK(st.st_mode) ? create_on_device(c, fd) :
				     create_regular(c, fd);
}

int host_file_create(struct loop *loop, const char *path, uint64_t size,
		       const struct image_create_option *options,
		       unsigned int nr_options, struct error *err)
{
	struct create c = { .path = path, .size = size, .err = err };
	int ret = parse_file_options(&c, options, nr_options);

	if (ret)
		return ret;
	if (size > INT64_MAX)
		return error_set(err, EFBIG, "a file cannot have %" PRIu64
				 " bytes", size);
	return (int)loop_offload(loop, create_work, &c);
}
