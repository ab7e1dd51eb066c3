/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.c: the protocol "file": regular files and block devices.
 *
 * It turns requests into system calls through the AIO engine. Write-through
 * and the zeroes for a file system that cannot make them are image.c's.
 *
 * After a failed flush nobody knows what is on the disk, and the kernel reports
 * the loss once only: from then on every flush of the file fails.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/driver.h"
#include "image/host-file.h"
#include "image/lock.h"
#include "image/protocols/file-limits.h"
#include "image/protocols/file-state.h"
#include "image/protocols/file-zero.h"
#include "io/loop.h"

#define ZERO_PIECE (1 * MiB)
#define RESERVE_MIN (256 * KiB)	/* of one write */

/* ---- opening ---- */

static int find_file_size(struct image *img, const struct stat *st,
			  struct error *err)
{
	struct file_state *s = img->state;
	int ret;

	s->is_device = S_ISBLK(st->st_mode);
	img->zero_beyond_end = !s->is_device;
	img->size = (uint64_t)st->st_size;
	if (!s->is_device)
		return 0;
	ret = host_device_size(s->fd, &img->size);
	return ret ? error_set_errno(err, -ret, "size of '%s'", img->path) : 0;
}

/*
 * ext4 delays the choice of blocks until it writes a page back, and meanwhile
 * keeps account of each block by itself: a third of the time that it takes to
 * copy a file. Of space that is reserved it has nothing to note.
 */
static bool reserving_pays_off(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type == EXT4_SUPER_MAGIC;
}

static int set_file_aio(struct image *img, enum aio_kind kind,
			struct error *err)
{
	struct file_state *s = img->state;
	bool direct = file_is_direct(img->cache);
	int ret;

	if (img->flags & IMAGE_NO_IO)
		kind = AIO_THREADS;	/* costs nothing until needed */
	ret = aio_new(img->loop, kind, direct, &s->aio, err);
	if (ret)
		return error_prefix(err, ret, "%s", img->path);
	aio_file_init(&s->file, s->aio, s->fd, direct);
	if (img->flags & IMAGE_READ_BESIDE)
		aio_read_beside(&s->file);
	if (!s->file.direct)
		img->request_align = img->mem_align = 1;
	s->reserve = (img->flags & IMAGE_WRITE_ONCE) && !s->is_device &&
		     !direct && reserving_pays_off(s->fd);
	return 0;
}

/* ---- open and close ---- */

static int file_close(struct image *img, struct error *err)
{
	struct file_state *s = img->state;

	aio_file_done(&s->file);
	aio_free(s->aio);
	s->aio = NULL;
	if (s->fd >= 0) {
		image_unlock(s->fd);
		close(s->fd);
	}
	s->fd = -1;
	return 0;
}

/*
 * What programs before us have left in the page cache must not meet our direct
 * writes there: the kernel then reports an error (EIO at the next flush).
 */
static int64_t empty_page_cache(void *arg)
{
	const struct file_state *s = arg;

	if (fdatasync(s->fd))
		return -errno;
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

/* What was opened for it is judged and within its rights: see opener.h. */
static int file_open(struct image *img, const struct image_options *opts,
		     struct error *err)
{
	struct file_state *s = img->state;
	bool write = img->flags & IMAGE_RDWR;
	struct stat st;
	int ret = 0;

	co_queue_init(&s->piece_places);
	s->fd = steal_fd(&img->opened->fd);
	s->device = img->opened->limits;
	if (img->flags & IMAGE_PROBE_LOCKS)
		ret = image_probe_locks(s->fd, img->path, write, err);
	else if (!(img->flags & (IMAGE_SHARE | IMAGE_NO_IO)))
		ret = image_lock(s->fd, img->path, write, err);
	if (!ret && fstat(s->fd, &st))	/* as it is under the lock */
		ret = -errno;
	if (!ret)
		ret = find_file_size(img, &st, err);
	if (!ret)
		ret = file_set_cache(img, opts->cache, err);
	if (!ret)
		ret = set_file_aio(img, opts->aio, err);
	if (!ret && write && s->file.direct &&
	    !(img->flags & IMAGE_PROBE_LOCKS))
		ret = (int)loop_offload(img->loop, empty_page_cache, s);
	if (ret) {
		file_close(img, NULL);
		return ret;
	}
	file_find_limits(img, &st);
	file_id_set(&img->id, &st);
	return 0;
}

/* ---- data ---- */

static int file_preadv(struct image *img, uint64_t off, uint64_t len,
		       struct iow w)
{
	struct file_state *s = img->state;

	return aio_preadv(&s->file, off, len, w);
}

/* Where that fails the write tells why. */
static void reserve_space(struct file_state *s, uint64_t off, uint64_t len)
{
	if (s->reserve && len >= RESERVE_MIN &&
	    fallocate(s->fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len))
		s->reserve = false;
}

static int file_pwritev(struct image *img, uint64_t off, uint64_t len,
			struct iow w)
{
	struct file_state *s = img->state;
	int ret;

	reserve_space(s, off, len);
	ret = aio_pwritev(&s->file, off, len, w);
	if (!ret && off + len > img->size)
		img->size = off + len;
	return ret;
}

struct copy_call {
	int from, to;
	uint64_t from_off, off, len;
};

static int64_t copy_file_range_work(void *arg)
{
	struct copy_call *c = arg;
	off_t from = (off_t)c->from_off, to = (off_t)c->off;

	while (c->len) {
		ssize_t n = copy_file_range(c->from, &from, c->to, &to, c->len,
					    0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EOPNOTSUPP;
		c->len -= (uint64_t)n;
	}
	return 0;
}

/* EXDEV, EINVAL and ENOSYS are ways of saying that it cannot be done here. */
static int file_copy_range(struct image *img, uint64_t off, struct image *from,
			   uint64_t from_off, uint64_t len)
{
	struct file_state *s = img->state, *o = from->state;
	struct copy_call c = { o->fd, s->fd, from_off, off, len };
	int ret = (int)loop_offload(img->loop, copy_file_range_work, &c);

	s->data_end = 0;
	if (!ret && off + len > img->size)
		img->size = off + len;
	return ret == -EXDEV || ret == -EINVAL || ret == -ENOSYS ?
		       -EOPNOTSUPP : ret;
}

static int file_flush(struct image *img)
{
	struct file_state *s = img->state;
	int ret;

	if (!s->flush_error) {
		ret = aio_fdatasync(&s->file);
		if (!s->flush_error)
			s->flush_error = ret;
	}
	return s->flush_error;
}

static int64_t truncate_file(void *arg)
{
	struct file_range_call *c = arg;

	return ftruncate(c->fd, (off_t)c->range[1]) ? -errno : 0;
}

static int file_truncate(struct image *img, uint64_t size, struct error *err)
{
	struct file_state *s = img->state;
	struct file_range_call c = { s->fd, { 0, size } };
	int ret;

	if (s->is_device)
		return size == img->size ? 0 :
			error_set(err, ENOTSUP, "'%s' is a block device, which "
				  "cannot be resized here", img->path);
	if (size > INT64_MAX)
		return error_set(err, EFBIG, "'%s' cannot become %" PRIu64
				 " bytes long", img->path, size);
	ret = (int)loop_offload(img->loop, truncate_file, &c);
	if (ret)
		return error_set_errno(err, -ret, "cannot resize '%s' to %"
				       PRIu64 " bytes", img->path, size);
	s->data_end = 0;
	img->size = size;
	return 0;
}

/* A device has its space already. */
static int file_preallocate(struct image *img, uint64_t off, uint64_t len,
			    enum image_preallocation mode, struct error *err)
{
	struct file_state *s = img->state;
	uint64_t size = min(len, ZERO_PIECE), end = off + len, n;
	cleanup_free void *zeroes = NULL;
	int ret = 0;

	s->data_end = 0;
	if (mode == IMAGE_PREALLOC_FALLOC && !s->is_device)
		ret = aio_fallocate(&s->file, 0, off, len);
	if (mode == IMAGE_PREALLOC_FULL) {
		if (posix_memalign(&zeroes, 4096, align_up(size, 4096)))
			return -ENOMEM;
		memset(zeroes, 0, size);
		for (uint64_t at = off; !ret && at < end; at += n) {
			n = min(end - at, size);
			ret = image_pwrite(img, at, n, zeroes);
		}
		if (!ret)
			ret = image_flush(img);
	}
	return ret ? error_set_errno(err, -ret, "cannot preallocate %" PRIu64
				     " bytes of '%s'", len, img->path) : 0;
}

/* ---- where the bytes are ---- */

/* [*start, *end): the data at or after `off`; false: there is none. */
static bool find_data(struct file_state *s, uint64_t off, uint64_t *start,
		      uint64_t *end)
{
	off_t data = lseek(s->fd, (off_t)off, SEEK_DATA), hole;

	if (data < 0 && errno == ENXIO)
		return false;
	hole = data < 0 ? -1 : lseek(s->fd, data, SEEK_HOLE);
	*start = data < 0 ? off : (uint64_t)data;
	*end = hole < 0 ? UINT64_MAX : (uint64_t)hole;
	return true;
}

static int file_block_status(struct image *img, uint64_t off, uint64_t len,
			     struct image_extent *out)
{
	struct file_state *s = img->state;
	bool data;

	if (s->is_device) {
		s->data_start = 0;
		s->data_end = UINT64_MAX;
	}
	data = off >= s->data_start && off < s->data_end;
	if (!data) {
		s->data_end = 0;
		if (find_data(s, off, &s->data_start, &s->data_end)) {
			data = s->data_start <= off;
			len = min(len, (data ? s->data_end : s->data_start) -
					       off);
		}
	} else {
		len = min(len, s->data_end - off);
	}
	*out = (struct image_extent){
		.length = len,
		.flags = (data ? IMAGE_EXTENT_DATA : IMAGE_EXTENT_ZERO) |
			 IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_OFFSET,
		.host_offset = off,
		.file = img,
	};
	return 0;
}

static int file_allocated_size(struct image *img, uint64_t *bytes)
{
	struct file_state *s = img->state;
	struct stat st;

	if (fstat(s->fd, &st))
		return -errno;
	*bytes = (uint64_t)st.st_blocks * 512;
	return 0;
}

const struct image_driver image_file_driver = {
	.name = "file",
	.state_size = sizeof(struct file_state),
	.host_file = true,
	.open = file_open,
	.close = file_close,
	.preadv = file_preadv,
	.pwritev = file_pwritev,
	.copy_range = file_copy_range,
	.pwrite_zeroes = file_pwrite_zeroes,
	.pdiscard = file_pdiscard,
	.flush = file_flush,
	.truncate = file_truncate,
	.preallocate = file_preallocate,
	.block_status = file_block_status,
	.allocated_size = file_allocated_size,
};
