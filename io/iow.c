/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* iow.c: see iow.h. Nothing here allocates. */
#include "config.h"
#include "io/iow.h"

#include <string.h>

#include "common/bits.h"

/* The next piece of memory, of at most `len` > 0 bytes and at least one, and
 * the window behind it. */
static struct iovec next_piece(struct iow *w, size_t len)
{
	struct iovec piece;

	while (w->skip == w->iov->iov_len) {
		w->iov++;
		w->niov--;
		w->skip = 0;
	}
	piece.iov_base = (char *)w->iov->iov_base + w->skip;
	piece.iov_len = min(len, w->iov->iov_len - w->skip);
	w->skip += piece.iov_len;
	return piece;
}

int iow_fill_some(struct iow w, size_t *len, struct iovec *out, int max)
{
	size_t left = *len;
	int n = 0;

	while (left && n < max) {
		out[n] = next_piece(&w, left);
		left -= out[n++].iov_len;
	}
	*len -= left;
	return n;
}

int iow_count(struct iow w, size_t len)
{
	struct iovec piece;
	int n = 0;

	while (len) {
		piece = next_piece(&w, len);
		len -= piece.iov_len;
		n++;
	}
	return n;
}

void iow_fill(struct iow w, size_t len, struct iovec *out)
{
	iow_fill_some(w, &len, out, w.niov);
}

void iow_to_buf(void *buf, struct iow w, size_t len)
{
	char *to = buf;
	struct iovec piece;

	for (; len; len -= piece.iov_len, to += piece.iov_len) {
		piece = next_piece(&w, len);
		memcpy(to, piece.iov_base, piece.iov_len);
	}
}

void iow_from_buf(struct iow w, const void *buf, size_t len)
{
	const char *from = buf;
	struct iovec piece;

	for (; len; len -= piece.iov_len, from += piece.iov_len) {
		piece = next_piece(&w, len);
		memcpy(piece.iov_base, from, piece.iov_len);
	}
}

void iow_zero(struct iow w, size_t len)
{
	struct iovec piece;

	for (; len; len -= piece.iov_len) {
		piece = next_piece(&w, len);
		memset(piece.iov_base, 0, piece.iov_len);
	}
}
