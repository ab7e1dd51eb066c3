/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd-client.c: the protocol "nbd": an export of an NBD server, by libnbd.
 *
 *	nbd://HOST[:PORT][/EXPORT]	nbds://... with TLS
 *	nbd+unix:///[EXPORT]?socket=PATH
 *	nbd:HOST:PORT[:exportname=EXPORT]	as QEMU has them
 *	nbd:unix:PATH[:exportname=EXPORT]
 *
 * One connection; requests are in flight on it side by side. libnbd's state
 * machine is driven by the loop; its callbacks may not call it back, so they
 * only put requests on a list, and coroutines go on when it has returned.
 *
 * A connection that is lost stays lost: all requests fail from then on. When
 * the loop is cancelled it is kept as long as the server goes on to answer,
 * since closing the image may have things to write.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <libnbd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "io/coroutine.h"
#include "image/driver.h"
#include "io/loop.h"

/* The NBD protocol's default limit of a payload, section "Block size
 * constraints"; requests without one may be longer, but not by much. */
#define MAX_PAYLOAD ((uint64_t)32 * MiB)
#define MAX_RANGE ((uint64_t)1 * GiB)

/* Of a server that requests wait for, when the loop is cancelled. */
#define SILENCE_NS (3 * NS_PER_S)

struct nbd {
	struct nbd_handle *h;
	struct loop *loop;
	struct loop_fd watch;
	uint32_t events;		/* of watch */
	struct coroutine *connecting;	/* waits for the handshake */
	struct list done;		/* of nbd_request: answered */
	struct loop_call wake;		/* those of it, in the next turn */
	struct error lost;		/* why the connection was, if so */
	unsigned int waiting;		/* requests */
	struct loop_watcher watcher;
	struct loop_timer silence;	/* when cancelled: no longer */
};

struct nbd_request {
	struct list link;		/* in nbd.done */
	struct nbd *nbd;
	struct coroutine *co;
	int error;			/* errno, 0: none */
	struct image_extent *extent;	/* of block status */
};

/* ---- giving up ---- */

/* Requests then fail one by one, as if the server had ended the connection. */
static void end_connection(struct loop_timer *timer)
{
	struct nbd *n = container_of(timer, struct nbd, silence);
	int fd = nbd_aio_get_fd(n->h);

	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
}

/* From now on, if anybody waits. */
static void time_silence(struct nbd *n)
{
	loop_cancel_timer(&n->silence);
	if (n->waiting && loop_cancelled(n->loop))
		loop_set_timer(n->loop, &n->silence,
			       monotonic_ns() + SILENCE_NS);
}

/* A connection that is still being made holds nothing yet. */
static void nbd_cancelled(struct loop_watcher *watcher)
{
	struct nbd *n = container_of(watcher, struct nbd, watcher);
	struct coroutine *co = n->connecting;

	n->connecting = NULL;
	time_silence(n);
	if (co)
		co_wake(co);
}

/* ---- the loop drives libnbd ---- */

static void nbd_fd_ready(struct loop_fd *watch, uint32_t events);

static uint32_t wanted_events(struct nbd *n)
{
	unsigned int dir = nbd_aio_get_direction(n->h);

	return (dir & LIBNBD_AIO_DIRECTION_READ ? EPOLLIN : 0) |
	       (dir & LIBNBD_AIO_DIRECTION_WRITE ? EPOLLOUT : 0);
}

static void watch_socket(struct nbd *n)
{
	int fd = nbd_aio_get_fd(n->h);
	uint32_t events = fd < 0 ? 0 : wanted_events(n);

	if (n->watch.fd == fd && n->events == events)
		return;
	loop_del_fd(n->loop, &n->watch);
	n->events = events;
	if (fd >= 0)
		loop_add_fd(n->loop, &n->watch, fd, events, nbd_fd_ready);
}

/* Those woken may close the image: it is not looked at any more then. */
static void wake_answered(struct nbd *n)
{
	struct coroutine *co = n->connecting;
	struct nbd_request *r;
	struct list woken;

	n->connecting = NULL;
	list_init(&woken);
	list_splice_tail(&woken, &n->done);
	if (co)
		co_wake(co);
	while (!list_empty(&woken)) {
		r = list_first(&woken, struct nbd_request, link);
		list_del(&r->link);
		co_wake(r->co);
	}
}

static void wake_later(struct loop_call *call)
{
	wake_answered(container_of(call, struct nbd, wake));
}

/* libnbd tells of each error only once. */
static int keep_error(struct nbd *n)
{
	int errnum = nbd_get_errno();
	const char *why = nbd_get_error();

	return error_set(&n->lost, errnum ? errnum : EIO, "%s",
			 why ? why : "no connection");
}

static void nbd_fd_ready(struct loop_fd *watch, uint32_t events)
{
	struct nbd *n = container_of(watch, struct nbd, watch);
	unsigned int dir = nbd_aio_get_direction(n->h);
	int ret = 0;

	if ((dir & LIBNBD_AIO_DIRECTION_READ) &&
	    (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		ret = nbd_aio_notify_read(n->h);
	else if ((dir & LIBNBD_AIO_DIRECTION_WRITE) &&
		 (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
		ret = nbd_aio_notify_write(n->h);
	if (ret)
		keep_error(n);
	watch_socket(n);
	time_silence(n);
	wake_answered(n);
}

/* ---- connecting ---- */

/* QEMU's older names; 1: it is none of these. */
static int connect_by_old_name(struct nbd *n, const char *path)
{
	static const char export_key[] = ":exportname=";
	cleanup_free char *name = NULL;
	char *export, *port;

	if (strncmp(path, "nbd:", 4) || !strncmp(path, "nbd://", 6))
		return 1;
	name = strdup(path + 4);
	if (!name)
		return -ENOMEM;
	export = strstr(name, export_key);
	if (export) {
		*export = '\0';
		nbd_set_export_name(n->h, export + strlen(export_key));
	}
	if (!strncmp(name, "unix:", 5))
		return nbd_aio_connect_unix(n->h, name + 5) ? keep_error(n) : 0;
	port = strrchr(name, ':');
	if (!port)
		return error_set(&n->lost, EINVAL, "a name like nbd:HOST:PORT "
				 "or nbd:unix:PATH is needed");
	*port++ = '\0';
	return nbd_aio_connect_tcp(n->h, name, port) ? keep_error(n) : 0;
}

static int handshake(struct nbd *n, const char *path)
{
	int ret = connect_by_old_name(n, path);

	if (ret == 1)
		ret = nbd_aio_connect_uri(n->h, path) ? keep_error(n) : 0;
	if (ret)
		return ret;
	while (nbd_aio_is_connecting(n->h) || nbd_aio_is_negotiating(n->h)) {
		if (loop_cancelled(n->loop))
			return error_set(&n->lost, ECANCELED, "given up");
		n->connecting = co_self();
		watch_socket(n);
		co_yield();
	}
	return nbd_aio_is_ready(n->h) ? 0 : -EIO;
}

static int take_properties(struct image *img, struct nbd *n)
{
	int64_t size = nbd_get_size(n->h);
	int64_t block = nbd_get_block_size(n->h, LIBNBD_SIZE_MINIMUM);
	int64_t preferred = nbd_get_block_size(n->h, LIBNBD_SIZE_PREFERRED);

	if (size < 0)
		return keep_error(n);
	if ((img->flags & IMAGE_RDWR) && nbd_is_read_only(n->h))
		return error_set(&n->lost, EACCES, "the export is read-only");
	img->size = (uint64_t)size;
	if (block > 1 && block <= 65536 && !(block & (block - 1)))
		img->request_align = (uint32_t)block;
	img->limits.logical_block = max(img->request_align, 512u);
	img->limits.physical_block = preferred > 512 && preferred <= 65536 ?
					     (uint32_t)preferred : 512;
	img->limits.discard = nbd_can_trim(n->h) > 0;
	img->limits.discard_granularity = img->limits.physical_block;
	return 0;
}

static int nbd_close_image(struct image *img, struct error *err)
{
	struct nbd *n = img->state;

	if (nbd_aio_is_ready(n->h))
		nbd_aio_disconnect(n->h, 0);
	loop_del_fd(n->loop, &n->watch);
	loop_del_watcher(&n->watcher);
	loop_cancel_timer(&n->silence);
	list_del(&n->wake.link);
	nbd_close(n->h);
	return 0;
}

static int nbd_open(struct image *img, const struct image_options *opts,
		    struct error *err)
{
	struct nbd *n = img->state;
	int ret;

	n->loop = img->loop;
	n->watch = (struct loop_fd)LOOP_FD_INIT;
	list_init(&n->done);
	list_init(&n->wake.link);
	n->wake.run = wake_later;
	n->watcher.cancelled = nbd_cancelled;
	list_init(&n->silence.link);
	n->silence.expire = end_connection;
	n->h = nbd_create();
	if (!n->h)
		return error_set_errno(err, ENOMEM, "%s", img->path);
	list_init(&n->watcher.link);
	loop_add_watcher(n->loop, &n->watcher);
	nbd_add_meta_context(n->h, LIBNBD_CONTEXT_BASE_ALLOCATION);
	ret = handshake(n, img->path);
	if (!ret)
		ret = take_properties(img, n);
	if (!ret)
		return 0;
	ret = error_set(err, -ret, "%s: %s", img->path,
			error_text(&n->lost, ret));
	nbd_close_image(img, NULL);
	return ret;
}

/* ---- requests ---- */

static int answered(void *arg, int *error)
{
	struct nbd_request *r = arg;

	r->error = *error;
	list_add_tail(&r->nbd->done, &r->link);
	return 1;	/* libnbd may forget the command */
}

#define WHEN_ANSWERED(r) \
	((nbd_completion_callback){ .callback = answered, .user_data = (r) })

static struct nbd_request request_of(struct image *img)
{
	return (struct nbd_request){ .nbd = img->state, .co = co_self() };
}

/* `cookie` is what nbd_aio_...() returned. */
static int wait_for(struct nbd_request *r, int64_t cookie)
{
	if (cookie < 0)
		return nbd_get_errno() ? -nbd_get_errno() : -EIO;
	watch_socket(r->nbd);
	if (r->nbd->waiting++ == 0)
		time_silence(r->nbd);
	/* Some may have been answered within the call, this one even. */
	if (!list_empty(&r->nbd->done))
		loop_defer(r->nbd->loop, &r->nbd->wake);
	co_yield();
	if (--r->nbd->waiting == 0)
		time_silence(r->nbd);
	return -r->error;
}

static int read_piece(struct image *img, uint64_t off, uint64_t len, void *buf)
{
	struct nbd_request r = request_of(img);

	return wait_for(&r, nbd_aio_pread(r.nbd->h, buf, len, off,
					  WHEN_ANSWERED(&r), 0));
}

static int nbd_preadv(struct image *img, uint64_t off, uint64_t len,
		      struct iow w)
{
	uint64_t have = off < img->size ? min(len, img->size - off) : 0;
	int ret = 0;

	iow_zero(iow_advance(w, have), len - have);
	for (uint64_t n; have && !ret; off += n, have -= n) {
		void *to;
		cleanup_free void *bounce = NULL;

		n = min(have, MAX_PAYLOAD);
		to = iow_linear(w, n);
		if (!to)
			to = bounce = malloc(n);
		if (!to)
			return -ENOMEM;
		ret = read_piece(img, off, n, to);
		if (!ret && bounce)
			iow_from_buf(w, bounce, n);
		w = iow_advance(w, n);
	}
	return ret;
}

static int write_nbd_piece(struct image *img, uint64_t off, uint64_t len,
			   const void *buf)
{
	struct nbd_request r = request_of(img);

	return wait_for(&r, nbd_aio_pwrite(r.nbd->h, buf, len, off,
					   WHEN_ANSWERED(&r), 0));
}

static int nbd_pwritev(struct image *img, uint64_t off, uint64_t len,
		       struct iow w)
{
	int ret = 0;

	if (!range_within(off, len, img->size))
		return -ENOSPC;
	for (uint64_t n; len && !ret; off += n, len -= n) {
		void *from;
		cleanup_free void *bounce = NULL;

		n = min(len, MAX_PAYLOAD);
		from = iow_linear(w, n);
		if (!from) {
			from = bounce = malloc(n);
			if (!from)
				return -ENOMEM;
			iow_to_buf(bounce, w, n);
		}
		ret = write_nbd_piece(img, off, n, from);
		w = iow_advance(w, n);
	}
	return ret;
}

static int nbd_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			     unsigned int flags)
{
	struct nbd *n = img->state;
	uint32_t how = flags & IMAGE_ZERO_UNMAP ? 0 : LIBNBD_CMD_FLAG_NO_HOLE;
	int ret = 0;

	if (!range_within(off, len, img->size))
		return -ENOSPC;
	if (nbd_can_zero(n->h) <= 0)
		return -EOPNOTSUPP;
	if (flags & IMAGE_ZERO_FAST) {
		if (nbd_can_fast_zero(n->h) <= 0)
			return -EOPNOTSUPP;
		how |= LIBNBD_CMD_FLAG_FAST_ZERO;
	}
	for (uint64_t part; len && !ret; off += part, len -= part) {
		struct nbd_request r = request_of(img);

		part = min(len, MAX_RANGE);
		ret = wait_for(&r, nbd_aio_zero(n->h, part, off,
						WHEN_ANSWERED(&r), how));
		if (!ret && len > part)
			ret = image_cancelled(img);
	}
	return ret == -ENOTSUP ? -EOPNOTSUPP : ret;
}

static int nbd_pdiscard(struct image *img, uint64_t off, uint64_t len)
{
	struct nbd *n = img->state;
	int ret = 0;

	if (nbd_can_trim(n->h) <= 0)
		return 0;
	for (uint64_t part; len && !ret; off += part, len -= part) {
		struct nbd_request r = request_of(img);

		part = min(len, MAX_RANGE);
		ret = image_cancelled(img);
		if (ret)
			break;
		ret = wait_for(&r, nbd_aio_trim(n->h, part, off,
						WHEN_ANSWERED(&r), 0));
	}
	return ret;
}

static int nbd_flush_image(struct image *img)
{
	struct nbd_request r = request_of(img);

	if (nbd_can_flush(r.nbd->h) <= 0)
		return 0;
	return wait_for(&r, nbd_aio_flush(r.nbd->h, WHEN_ANSWERED(&r), 0));
}

/* entries: pairs of length and flags; the first is what was asked for. */
static int first_extent(void *arg, const char *context, uint64_t offset,
			uint32_t *entries, size_t nr, int *error)
{
	struct nbd_request *r = arg;

	if (nr >= 2 && entries[0] &&
	    !strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION)) {
		r->extent->length = entries[0];
		if (entries[1] & LIBNBD_STATE_ZERO)
			r->extent->flags ^= IMAGE_EXTENT_DATA |
					    IMAGE_EXTENT_ZERO;
	}
	return 0;
}

static int nbd_block_status_of(struct image *img, uint64_t off, uint64_t len,
			       struct image_extent *out)
{
	struct nbd_request r = request_of(img);

	*out = (struct image_extent){
		.length = min(len, MAX_RANGE),
		.flags = IMAGE_EXTENT_DATA | IMAGE_EXTENT_ALLOCATED |
			 IMAGE_EXTENT_OFFSET,
		.host_offset = off,
		.file = img,
	};
	if (nbd_can_meta_context(r.nbd->h, LIBNBD_CONTEXT_BASE_ALLOCATION) <= 0)
		return 0;
	r.extent = out;
	return wait_for(&r, nbd_aio_block_status(r.nbd->h, out->length, off,
			(nbd_extent_callback){ .callback = first_extent,
					       .user_data = &r },
			WHEN_ANSWERED(&r), LIBNBD_CMD_FLAG_REQ_ONE));
}

extern const struct image_driver image_protocol;
const struct image_driver image_protocol = {
	.name = "nbd",
	.state_size = sizeof(struct nbd),
	.open = nbd_open,
	.close = nbd_close_image,
	.preadv = nbd_preadv,
	.pwritev = nbd_pwritev,
	.pwrite_zeroes = nbd_pwrite_zeroes,
	.pdiscard = nbd_pdiscard,
	.flush = nbd_flush_image,
	.block_status = nbd_block_status_of,
};
