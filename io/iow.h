/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * iow.h: a window on an I/O vector.
 *
 * Requests travel down the block graph as (offset, length, window): a window
 * says where in the owner's iovec array the bytes of a part begin, so that
 * splitting a request copies nothing. Only the lowest layer makes an iovec
 * array of its own. Windows are passed by value; they own nothing.
 */
#ifndef XD_IO_IOW_H
#define XD_IO_IOW_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct iow {
	const struct iovec *iov;
	int niov;
	size_t skip;		/* bytes of iov[0] before the window */
};

/* iov must hold at least the bytes of the request it is used with. */
static inline struct iow iow_of(const struct iovec *iov, int niov)
{
	return (struct iow){ iov, niov, 0 };
}

/* The window `n` bytes further on. */
static inline struct iow iow_advance(struct iow w, size_t n)
{
	w.skip += n;
	while (w.niov > 0 && w.skip >= w.iov->iov_len) {
		w.skip -= w.iov->iov_len;
		w.iov++;
		w.niov--;
	}
	return w;
}

/* All `len` bytes in one piece of memory? Then that piece, else NULL. */
static inline void *iow_linear(struct iow w, size_t len)
{
	if (w.niov > 0 && w.iov->iov_len - w.skip >= len)
		return (char *)w.iov->iov_base + w.skip;
	return NULL;
}

/* How many iovecs the next `len` bytes touch. */
int iow_count(struct iow w, size_t len);
/* Fills out[] (iow_count() entries) with exactly `len` bytes. */
void iow_fill(struct iow w, size_t len, struct iovec *out);

/* Fills at most `max` entries of out[] with the first bytes of the window.
 * *len: bytes wanted, then bytes covered. Returns how many entries. */
int iow_fill_some(struct iow w, size_t *len, struct iovec *out, int max);

void iow_to_buf(void *buf, struct iow w, size_t len);
void iow_from_buf(struct iow w, const void *buf, size_t len);
void iow_zero(struct iow w, size_t len);

#endif
