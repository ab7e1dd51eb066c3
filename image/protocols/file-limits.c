/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file-limits.c: see file-limits.h. */
#include "config.h"

#include "image/protocols/file-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/protocols/file-state.h"

#define PROBE_ALIGN_MAX 4096u

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

bool file_is_direct(enum image_cache cache)
{
	return cache == IMAGE_CACHE_NONE || cache == IMAGE_CACHE_DIRECTSYNC;
}

/* As whoever served it before: QEMU gives a file the host's page cache, unless it is
 * said that direct I/O is safe for it, and the kernel's backend gives a device
 * none. */
static bool wants_direct(const struct image *img)
{
	const struct file_state *s = img->state;

	return (s->is_device || (img->flags & IMAGE_DIRECT_IO_SAFE)) &&
	       !(img->flags & IMAGE_NO_IO) && !aio_in_memory(s->fd);
}

int file_set_cache(struct image *img, enum image_cache wanted,
		   struct error *err)
{
	img->cache = wanted;
	if (wanted == IMAGE_CACHE_AUTO) {
		img->cache = wants_direct(img) && try_direct(img) ?
			     IMAGE_CACHE_NONE : IMAGE_CACHE_WRITEBACK;
	} else if (file_is_direct(wanted) && !try_direct(img)) {
		return error_set(err, EINVAL, "cache=%s is not possible for "
				 "'%s': its file system has no O_DIRECT",
				 image_cache_name(wanted), img->path);
	}
	return 0;
}

/* ---- limits ---- */

static void device_limits(struct image *img)
{
	struct file_state *s = img->state;
	struct image_limits *l = &img->limits;
	unsigned int physical = 0;
	int logical = 0;

	if (!ioctl(s->fd, BLKSSZGET, &logical) && logical > 512)
		l->logical_block = (uint32_t)logical;
	if (!ioctl(s->fd, BLKPBSZGET, &physical))
		l->physical_block = physical;
	l->discard = s->device.discard_max > 0;
	l->discard_granularity = (uint32_t)s->device.discard_granularity;
	s->zeroes_fast = s->device.write_zeroes_max > 0;
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

static void regular_limits(struct image *img, const struct stat *st)
{
	struct image_limits *l = &img->limits;

	l->physical_block = (uint32_t)min((uint64_t)st->st_blksize,
					  (uint64_t)4096);
	l->discard = can_punch(img);
	l->discard_granularity = l->physical_block;
}

void file_find_limits(struct image *img, const struct stat *st)
{
	struct file_state *s = img->state;
	struct image_limits *l = &img->limits;

	l->logical_block = max(img->request_align, 512u);
	if (s->is_device)
		device_limits(img);
	else
		regular_limits(img, st);
	if (!is_pow2(l->physical_block))
		l->physical_block = 512;
	l->physical_block = max(l->physical_block, l->logical_block);
	l->discard_granularity = max(l->discard_granularity, l->logical_block);
	s->no_punch = !l->discard && !s->is_device;
}
