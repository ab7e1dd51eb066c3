/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file-zero.c: see file-zero.h. */
#include "config.h"

#include "image/protocols/file-zero.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "common/bits.h"
#include "image/protocols/file-state.h"
#include "io/loop.h"

/* A range that one system call changes: nobody can end it, and on a device it
 * may take as long as to write so much. */
#define PIECE (256 * MiB)
#define PIECES_AT_ONCE 8

/* ---- pieces ---- */

static void take_piece_place(struct file_state *s)
{
	while (s->pieces == PIECES_AT_ONCE)
		co_queue_wait(&s->piece_places);
	s->pieces++;
}

static void leave_piece_place(struct file_state *s)
{
	s->pieces--;
	co_queue_wake_one(&s->piece_places);
}

/* co. change() of one piece after the other; of all requests together some are
 * in the kernel's hands at a time. What fits into a piece is always done: it
 * may be an image's table that has to be written down. */
static int in_pieces(struct image *img, uint64_t off, uint64_t len,
		     unsigned int flags,
		     int (*change)(struct image *img, uint64_t off,
				   uint64_t len, unsigned int flags))
{
	struct file_state *s = img->state;
	int ret = 0;

	for (uint64_t at = off, n; !ret && at < off + len; at += n) {
		n = min(off + len - at, PIECE - (at & (PIECE - 1)));
		take_piece_place(s);
		if (at > off)
			ret = image_cancelled(img);
		if (!ret)
			ret = change(img, at, n, flags);
		leave_piece_place(s);
	}
	return ret;
}

/* ---- zeroes ---- */

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

static int64_t write_back(void *arg)
{
	struct file_range_call *c = arg;

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
	struct file_range_call c = { s->fd, { off, len } };

	if ((flags & IMAGE_ZERO_FAST) &&
	    (!s->zeroes_fast || !is_aligned(off | len, s->discard_unit)))
		return -EOPNOTSUPP;
	return s->file.direct ? 0 :
				(int)loop_offload(img->loop, write_back, &c);
}

/* The first way that works: a hole; zeroes that the file system records; on a
 * regular file a hole filled with reserved space. The last two also grow it. A
 * device makes recorded zeroes by writing them where it has no better way. */
static int zero_piece(struct image *img, uint64_t off, uint64_t len,
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
	if (!ret && off + len > img->size)
		img->size = off + len;
	return ret;
}

int file_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
		       unsigned int flags)
{
	struct file_state *s = img->state;
	int ret = in_pieces(img, off, len, flags, zero_piece);

	s->data_end = 0;
	return ret;
}

/* ---- discards ---- */

static int64_t discard_device(void *arg)
{
	struct file_range_call *c = arg;

	return ioctl(c->fd, BLKDISCARD, c->range) ? -errno : 0;
}

static int discard_piece(struct image *img, uint64_t off, uint64_t len,
			 unsigned int flags)
{
	struct file_state *s = img->state;
	struct file_range_call c = { s->fd, { off, len } };
	int ret = image_cancelled(img);

	if (ret)
		return ret;
	return s->is_device ?
		       (int)loop_offload(img->loop, discard_device, &c) :
		       punch(s, off, len);
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
	int ret = 0;

	if (start >= end)
		return 0;
	if (!s->file.direct)
		ret = aio_fdatasync(&s->file);
	return ret ? ret : in_pieces(img, start, end - start, 0, discard_piece);
}

int file_pdiscard(struct image *img, uint64_t off, uint64_t len)
{
	struct file_state *s = img->state;

	s->data_end = 0;
	if (!img->limits.discard)
		return -EOPNOTSUPP;
	return s->is_device ? discard_on_device(img, off, len) :
			      in_pieces(img, off, len, 0, discard_piece);
}
