/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.c: the protocol "file": regular files and block devices.
 *
 * It finds out what the file can do (O_DIRECT and its alignment, limits, holes)
 * and turns requests into system calls through the AIO engine. Write-through
 * and the zeroes for a file system that cannot make them are image.c's.
 *
 * After a failed flush nobody knows what is on the disk, and the kernel reports
 * the loss once only: from then on every flush of the file fails.
 *
 * A discard of a block device leaves to the device what is read afterwards.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/driver.h"
#include "image/host-file.h"
#include "image/lock.h"
#include "io/loop.h"

#define PROBE_ALIGN_MAX 4096u
#define ZERO_PIECE (1 * MiB)
#define RESERVE_MIN (256 * KiB)	/* of one write */

struct file_state {
	int fd;
	bool is_device;			/* a block device */
	struct aio *aio;
	struct aio_file file;
	bool no_zero_range, no_punch;	/* refused before */
	bool reserve;			/* space, before large writes */
	bool zeroes_fast;		/* devices: without writing them */
	uint64_t discard_unit;		/* devices: bytes; pages at least */
	int flush_error;		/* -errno of the first failed flush */

	/* Last answer of lseek(): data, for all we know. Stale it may be, but
	 * what once was data can always be taken for data. */
	uint64_t data_start, data_end;
};

/* ---- opening ---- */

static int find_size(struct image *img, const struct stat *st,
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

/* ---- O_DIRECT ---- */

static bool direct_read_works(int fd, uint32_t align)
{
	cleanup_free void *buf = NULL;

	if (posix_memalign(&buf, max(align, 4096u), align))
		return false;
	return pread(fd, buf, align, 0) >= 0;
}

#ifdef STATX_DIOALIGN
/* What the kernel says (Linux 6.1). false: it does not. */
static bool ask_alignment(struct image *img, int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) ||
	    !(stx.stx_mask & STATX_DIOALIGN) || !stx.stx_dio_offset_align)
		return false;
	img->request_align = stx.stx_dio_offset_align;
	img->mem_align = stx.stx_dio_mem_align;
	return true;
}
#else
static bool ask_alignment(struct image *img, int fd)
{
	return false;
}
#endif

static void find_alignment(struct image *img)
{
	struct file_state *s = img->state;
	int block = 0;

	if (ask_alignment(img, s->fd))
		return;
	if (s->is_device && !ioctl(s->fd, BLKSSZGET, &block) && block >= 512)
		img->request_align = (uint32_t)block;
	else if (img->size >= 512 && direct_read_works(s->fd, 512))
		img->request_align = 512;
	else
		img->request_align = PROBE_ALIGN_MAX;
	img->mem_align = img->request_align;
}

static bool try_direct(struct image *img)
{
	struct file_state *s = img->state;
	int flags = fcntl(s->fd, F_GETFL);

	if (fcntl(s->fd, F_SETFL, flags | O_DIRECT))
		return false;
	find_alignment(img);
	if (direct_read_works(s->fd, img->request_align))
		return true;
	fcntl(s->fd, F_SETFL, flags);
	img->request_align = img->mem_align = 1;
	return false;
}

static bool is_direct(enum image_cache cache)
{
	return cache == IMAGE_CACHE_NONE || cache == IMAGE_CACHE_DIRECTSYNC;
}

static int set_cache(struct image *img, enum image_cache wanted,
		     struct error *err)
{
	struct file_state *s = img->state;

	img->cache = wanted;
	if (wanted == IMAGE_CACHE_AUTO) {
		img->cache = IMAGE_CACHE_WRITEBACK;
		if (!(img->flags & IMAGE_NO_IO) && !aio_in_memory(s->fd) &&
		    try_direct(img))
			img->cache = IMAGE_CACHE_NONE;
	} else if (is_direct(wanted) && !try_direct(img)) {
		return error_set(err, EINVAL, "cache=%s is not possible for "
				 "'%s': its file system has no O_DIRECT",
				 image_cache_name(wanted), img->path);
	}
	return 0;
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

static int set_aio(struct image *img, enum aio_kind kind, struct error *err)
{
	struct file_state *s = img->state;
	bool direct = is_direct(img->cache);
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

/* ---- limits ---- */

/* A number in the device's queue directory, or its disk's for a partition. */
static uint64_t queue_limit(const struct stat *st, const char *name)
{
	static const char *const where[] = { "queue", "../queue" };
	unsigned int maj = major(st->st_rdev), min_ = minor(st->st_rdev);
	char path[128];
	uint64_t value = 0;
	FILE *f;

	for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", maj,
			 min_, where[i], name);
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

static void device_limits(struct image *img, const struct stat *st)
{
	struct file_state *s = img->state;
	struct image_limits *l = &img->limits;
	unsigned int physical = 0;
	int logical = 0;

	if (!ioctl(s->fd, BLKSSZGET, &logical) && logical > 512)
		l->logical_block = (uint32_t)logical;
	if (!ioctl(s->fd, BLKPBSZGET, &physical))
		l->physical_block = physical;
	l->discard = queue_limit(st, "discard_max_bytes") > 0;
	l->discard_granularity =
		(uint32_t)queue_limit(st, "discard_granularity");
	s->zeroes_fast = queue_limit(st, "write_zeroes_max_bytes") > 0;
	s->discard_unit = 4096;
	if (l->discard_granularity > 4096 &&
	    !(l->discard_granularity & (l->discard_granularity - 1)))
		s->discard_unit = l->discard_granularity;
}

/* Beyond the end of file a hole changes nothing. */
static bool can_punch(struct image *img)
{
	struct file_state *s = img->state;

	return (img->flags & IMAGE_RDWR) &&
	       !fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)align_up(img->size, 4096), 4096);
}

static void file_limits(struct image *img, const struct stat *st)
{
	struct image_limits *l = &img->limits;

	l->physical_block = (uint32_t)min((uint64_t)st->st_blksize,
					  (uint64_t)4096);
	l->discard = can_punch(img);
	l->discard_granularity = l->physical_block;
}

static void find_limits(struct image *img, const struct stat *st)
{
	struct file_state *s = img->state;
	struct image_limits *l = &img->limits;

	l->logical_block = max(img->request_align, 512u);
	if (s->is_device)
		device_limits(img, st);
	else
		file_limits(img, st);
	if (!is_pow2(l->physical_block))
		l->physical_block = 512;
	l->physical_block = max(l->physical_block, l->logical_block);
	l->discard_granularity = max(l->discard_granularity, l->logical_block);
	s->no_punch = !l->discard && !s->is_device;
}

/* ---- open and close ---- */

static int file_close(struct image *img, struct error *err)
{
	struct file_state *s = img->state;

	aio_free(s->aio);
	s->aio = NULL;
	if (s->fd >= 0)
		close(s->fd);
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

static int file_open(struct image *img, const struct image_options *opts,
		     struct error *err)
{
	struct file_state *s = img->state;
	bool write = img->flags & IMAGE_RDWR;
	struct stat st;
	int ret;

	ret = host_file_open(img->path, write ? O_RDWR : O_RDONLY, &s->fd, &st,
			     err);
	if (!ret && (img->flags & IMAGE_PROBE_LOCKS))
		ret = image_probe_locks(s->fd, img->path, write, err);
	else if (!ret && !(img->flags & (IMAGE_SHARE | IMAGE_NO_IO)))
		ret = image_lock(s->fd, img->path, write, err);
	if (!ret && fstat(s->fd, &st))	/* as it is under the lock */
		ret = -errno;
	if (!ret)
		ret = find_size(img, &st, err);
	if (!ret)
		ret = set_cache(img, opts->cache, err);
	if (!ret)
		ret = set_aio(img, opts->aio, err);
	if (!ret && write && s->file.direct &&
	    !(img->flags & IMAGE_PROBE_LOCKS))
		ret = (int)loop_offload(img->loop, empty_page_cache, s);
	if (ret) {
		file_close(img, NULL);
		return ret;
	}
	find_limits(img, &st);
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
static void reserve(struct file_state *s, uint64_t off, uint64_t len)
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

	reserve(s, off, len);
	ret = aio_pwritev(&s->file, off, len, w);
	if (!ret && off + len > img->size)
		img->size = off + len;
	return ret;
}

struct copy_call {
	int from, to;
	uint64_t from_off, off, len;
};

static int64_t copy_in_host(void *arg)
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
	int ret = (int)loop_offload(img->loop, copy_in_host, &c);

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

/* fallocate(), with one error for all the ways to say "cannot". EINVAL is one:
 * a device wants its own alignment. *refused: do not ask again. */
static int try_fallocate(struct file_state *s, int mode, uint64_t off,
			 uint64_t len, bool *refused)
{
	int ret = -EOPNOTSUPP;

	if (!*refused)
		ret = aio_fallocate(&s->file, mode, off, len);
	if (ret == -EOPNOTSUPP || ret == -ENOSYS || ret == -ENODEV) {
		*refused = true;
		ret = -EOPNOTSUPP;
	}
	return ret == -EINVAL ? -EOPNOTSUPP : ret;
}

static int punch(struct file_state *s, uint64_t off, uint64_t len)
{
	return try_fallocate(s, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     off, len, &s->no_punch);
}

struct range_call {
	int fd;
	uint64_t range[2];		/* offset, length */
};

static int64_t write_back(void *arg)
{
	struct range_call *c = arg;

	return sync_file_range(c->fd, (off_t)c->range[0], (off_t)c->range[1],
			       SYNC_FILE_RANGE_WAIT_BEFORE |
			       SYNC_FILE_RANGE_WRITE |
			       SYNC_FILE_RANGE_WAIT_AFTER) ? -errno : 0;
}

/*
 * To try is to lose: what the kernel has cached of a device's range, unwritten
 * data included, is dropped before it finds that the device cannot, and part of a
 * page then reads as zeroes until it is dropped, too. So it is written before;
 * and where nothing would be written afterwards, only whole pages are tried.
 */
static int prepare_device(struct image *img, uint64_t off, uint64_t len,
			  unsigned int flags)
{
	struct file_state *s = img->state;
	struct range_call c = { s->fd, { off, len } };

	if ((flags & IMAGE_ZERO_FAST) &&
	    (!s->zeroes_fast || !is_aligned(off | len, s->discard_unit)))
		return -EOPNOTSUPP;
	return s->file.direct ? 0 :
				(int)loop_offload(img->loop, write_back, &c);
}

/* The first way that works: a hole; zeroes that the file system records; on a
 * regular file a hole filled with reserved space. The last two also grow it. A
 * device makes recorded zeroes by writing them where it has no better way. */
static int make_zeroes(struct image *img, uint64_t off, uint64_t len,
		       unsigned int flags)
{
	struct file_state *s = img->state;
	int mode = FALLOC_FL_ZERO_RANGE;
	int ret = s->is_device ? prepare_device(img, off, len, flags) : 0;

	if (ret)
		return ret;
	ret = -EOPNOTSUPP;
	if (s->is_device)
		mode |= FALLOC_FL_KEEP_SIZE;
	if ((flags & IMAGE_ZERO_UNMAP) && off + len <= img->size)
		ret = punch(s, off, len);
	if (ret == -EOPNOTSUPP && !(flags & IMAGE_ZERO_FAST && s->is_device))
		ret = try_fallocate(s, mode, off, len, &s->no_zero_range);
	if (ret == -EOPNOTSUPP && !s->is_device) {
		ret = punch(s, off, len);
		if (!ret)
			ret = aio_fallocate(&s->file, 0, off, len);
	}
	return ret;
}

static int file_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			      unsigned int flags)
{
	struct file_state *s = img->state;
	int ret = make_zeroes(img, off, len, flags);

	s->data_end = 0;
	if (!ret && off + len > img->size)
		img->size = off + len;
	return ret;
}

static int64_t discard_device(void *arg)
{
	struct range_call *c = arg;

	return ioctl(c->fd, BLKDISCARD, c->range) ? -errno : 0;
}

/*
 * Whole pages only, and with nothing of them unwritten: the kernel drops what it
 * has cached of the range, and part of a page would read as zeroes until it is
 * dropped, too, whatever the device makes of the discard.
 */
static int discard_on_device(struct image *img, uint64_t off, uint64_t len)
{
	struct file_state *s = img->state;
	uint64_t start = align_up(off, s->discard_unit);
	uint64_t end = align_down(off + len, s->discard_unit);
	struct range_call c = { s->fd, { start, end - start } };
	int ret = 0;

	if (start >= end)
		return 0;
	if (!s->file.direct)
		ret = aio_fdatasync(&s->file);
	return ret ? ret : (int)loop_offload(img->loop, discard_device, &c);
}

static int file_pdiscard(struct image *img, uint64_t off, uint64_t len)
{
	struct file_state *s = img->state;

	s->data_end = 0;
	if (!img->limits.discard)
		return -EOPNOTSUPP;
	return s->is_device ? discard_on_device(img, off, len) :
			      punch(s, off, len);
}

static int64_t truncate_file(void *arg)
{
	struct range_call *c = arg;

	return ftruncate(c->fd, (off_t)c->range[1]) ? -errno : 0;
}

static int file_truncate(struct image *img, uint64_t size, struct error *err)
{
	struct file_state *s = img->state;
	struct range_call c = { s->fd, { 0, size } };
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
