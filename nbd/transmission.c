/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * transmission.c: requests and their replies.
 *
 * The client's coroutine reads one request after the other; each is carried out
 * by a coroutine of its own, so that they overtake each other as the image
 * allows. A request that cannot be right is answered EINVAL; only one whose
 * length makes the rest of the stream unreadable ends the connection.
 *
 * Source: proto.md, "Transmission phase", "Structured replies".
 */
#include <errno.h>
#include <stdlib.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "nbd/protocol.h"
#include "nbd/server.h"

#define MAX_IN_FLIGHT 128u
#define MAX_BYTES_IN_FLIGHT ((uint64_t)2 * NBD_MAX_PAYLOAD)
#define MAX_EXTENTS 1024

struct request {
	struct nbd_client *client;
	uint16_t flags, type;
	uint64_t cookie;
	uint64_t offset;
	uint32_t len;
	uint32_t bytes;			/* of memory that it takes */
	uint8_t *payload;		/* of writes */
};

unsigned int nbd_transmission_flags(const struct nbd_client *c)
{
	unsigned int flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH |
			     NBD_FLAG_SEND_FUA | NBD_FLAG_CAN_MULTI_CONN;

	if (c->structured)
		flags |= NBD_FLAG_SEND_DF;
	if (!image_writable(c->server->img))
		return flags | NBD_FLAG_READ_ONLY;
	return flags | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES |
	       NBD_FLAG_SEND_FAST_ZERO;
}

static uint32_t nbd_error(int ret)
{
	switch (-ret) {
	case 0: return 0;
	case EPERM:
	case EACCES:
	case EROFS: return NBD_EPERM;
	case ENOMEM: return NBD_ENOMEM;
	case EINVAL: return NBD_EINVAL;
	case ENOSPC:
	case EFBIG:
	case EDQUOT: return NBD_ENOSPC;
	case EOPNOTSUPP: return NBD_ENOTSUP;
	default: return NBD_EIO;
	}
}

/* ---- replies ---- */

static void send_all(struct nbd_client *c, struct iovec *iov, int niov)
{
	co_mutex_lock(&c->write_lock);
	if (!c->lost && stream_writev(&c->stream, iov, niov))
		c->lost = true;
	co_mutex_unlock(&c->write_lock);
}

static void send_simple(struct request *r, int ret, void *data, uint32_t len)
{
	uint8_t head[16];
	struct iovec iov[2] = { { head, sizeof(head) }, { data, len } };

	store_be32(head, NBD_SIMPLE_REPLY_MAGIC);
	store_be32(head + 4, nbd_error(ret));
	store_be64(head + 8, r->cookie);
	send_all(r->client, iov, len ? 2 : 1);
}

/* One chunk, which is all of the reply: `extra`, then `data`. */
static void send_chunk(struct request *r, enum nbd_reply_type type,
		       void *extra, uint32_t extra_len, void *data,
		       uint32_t len)
{
	uint8_t head[20];
	struct iovec iov[3] = {
		{ head, sizeof(head) }, { extra, extra_len }, { data, len },
	};

	store_be32(head, NBD_STRUCTURED_REPLY_MAGIC);
	store_be16(head + 4, NBD_REPLY_FLAG_DONE);
	store_be16(head + 6, (uint16_t)type);
	store_be64(head + 8, r->cookie);
	store_be32(head + 16, extra_len + len);
	send_all(r->client, iov, len ? 3 : extra_len ? 2 : 1);
}

static void send_error(struct request *r, int ret)
{
	uint8_t body[6] = { 0 };	/* u32 error, u16 length of a message */

	if (!r->client->structured) {
		send_simple(r, ret, NULL, 0);
		return;
	}
	store_be32(body, nbd_error(ret));
	send_chunk(r, NBD_REPLY_ERROR, body, sizeof(body), NULL, 0);
}

static void send_done(struct request *r, int ret)
{
	if (ret)
		send_error(r, ret);
	else
		send_simple(r, 0, NULL, 0);
}

/* ---- commands ---- */

static int judge(const struct request *r)
{
	struct image *img = r->client->server->img;
	bool writes = r->type == NBD_CMD_WRITE || r->type == NBD_CMD_TRIM ||
		      r->type == NBD_CMD_WRITE_ZEROES;

	if (writes && !image_writable(img))
		return -EPERM;
	if (r->type == NBD_CMD_FLUSH)
		return r->offset || r->len ? -EINVAL : 0;
	if (!r->len || !range_within(r->offset, r->len, image_size(img)))
		return writes && r->len ? -ENOSPC : -EINVAL;
	return 0;
}

static void do_read(struct request *r)
{
	struct image *img = r->client->server->img;
	cleanup_free void *buf = NULL;
	uint8_t offset[8];
	int ret = r->len > NBD_MAX_PAYLOAD ? -EINVAL : 0;

	if (!ret && posix_memalign(&buf, 4096, align_up(r->len, 4096u)))
		ret = -ENOMEM;
	if (!ret)
		ret = image_pread(img, r->offset, r->len, buf);
	if (ret) {
		send_error(r, ret);
	} else if (r->client->structured) {
		store_be64(offset, r->offset);
		send_chunk(r, NBD_REPLY_OFFSET_DATA, offset, sizeof(offset),
			   buf, r->len);
	} else {
		send_simple(r, 0, buf, r->len);
	}
}

static int do_write(struct request *r)
{
	return r->payload ? image_pwrite(r->client->server->img, r->offset,
					 r->len, r->payload) : -ENOMEM;
}

static int do_write_zeroes(struct request *r)
{
	unsigned int flags = 0;

	if (!(r->flags & NBD_CMD_FLAG_NO_HOLE))
		flags |= IMAGE_ZERO_UNMAP;
	if (r->flags & NBD_CMD_FLAG_FAST_ZERO)
		flags |= IMAGE_ZERO_FAST;
	return image_pwrite_zeroes(r->client->server->img, r->offset, r->len,
				   flags);
}

static uint32_t state_of(const struct image_extent *e)
{
	uint32_t state = 0;

	if (!(e->flags & IMAGE_EXTENT_DATA))
		state |= NBD_STATE_HOLE;
	if (e->flags & IMAGE_EXTENT_ZERO)
		state |= NBD_STATE_ZERO;
	return state;
}

/* Fills out[] with u32 length, u32 state; returns how many or -errno. */
static int collect_extents(struct request *r, uint8_t *out, int max)
{
	uint64_t off = r->offset, end = off + r->len;
	uint32_t state, last = UINT32_MAX;
	struct image_extent e;
	int nr = 0, ret;

	while (off < end) {
		ret = image_block_status_chain(r->client->server->img, off,
					       end - off, &e);
		if (ret)
			return ret;
		state = state_of(&e);
		if (state != last && nr == max)
			break;
		if (state != last) {
			store_be32(out + 8 * nr, 0);
			store_be32(out + 8 * nr++ + 4, state);
		}
		store_be32(out + 8 * (nr - 1),
			   load_be32(out + 8 * (nr - 1)) + (uint32_t)e.length);
		last = state;
		off += e.length;
	}
	return nr;
}

static void do_block_status(struct request *r)
{
	int max = r->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : MAX_EXTENTS;
	cleanup_free uint8_t *extents = malloc(8u * (unsigned int)max);
	uint8_t id[4];
	int nr = extents ? 0 : -ENOMEM;

	if (!r->client->allocation)
		nr = -EINVAL;
	if (!nr)
		nr = collect_extents(r, extents, max);
	if (nr < 0) {
		send_error(r, nr);
		return;
	}
	store_be32(id, NBD_ALLOCATION_ID);
	send_chunk(r, NBD_REPLY_BLOCK_STATUS, id, sizeof(id), extents,
		   8u * (uint32_t)nr);
}

static int carry_out(struct request *r)
{
	struct image *img = r->client->server->img;
	int ret;

	switch (r->type) {
	case NBD_CMD_WRITE:
		ret = do_write(r);
		break;
	case NBD_CMD_WRITE_ZEROES:
		ret = do_write_zeroes(r);
		break;
	case NBD_CMD_TRIM:
		ret = image_pdiscard(img, r->offset, r->len);
		break;
	case NBD_CMD_FLUSH:
		return image_flush(img);
	default:
		return -EINVAL;
	}
	return !ret && (r->flags & NBD_CMD_FLAG_FUA) ? image_flush(img) : ret;
}

static void carry_out_request(void *arg)
{
	struct request *r = arg;
	struct nbd_client *c = r->client;
	int ret = judge(r);

	if (ret)
		send_error(r, ret);
	else if (r->type == NBD_CMD_READ)
		do_read(r);
	else if (r->type == NBD_CMD_BLOCK_STATUS)
		do_block_status(r);
	else
		send_done(r, carry_out(r));
	c->in_flight--;
	c->bytes_in_flight -= r->bytes;
	free(r->payload);
	free(r);
	co_queue_wake_all(&c->room);
}

/* ---- reading them ---- */

static bool has_room(const struct nbd_client *c, uint32_t len)
{
	return !c->in_flight ||
	       (c->in_flight < MAX_IN_FLIGHT &&
		c->bytes_in_flight + len <= MAX_BYTES_IN_FLIGHT);
}

static int read_payload(struct request *r)
{
	struct nbd_client *c = r->client;

	if (r->type != NBD_CMD_WRITE)
		return 0;
	if (r->len > NBD_MAX_PAYLOAD)
		return -EINVAL;
	if (posix_memalign((void **)&r->payload, 4096,
			   align_up(r->len, 4096u) + 4096u)) {
		r->payload = NULL;
		return stream_skip(&c->stream, r->len);
	}
	return stream_read(&c->stream, r->payload, r->len);
}

static void request_free(struct request *r)
{
	free(r->payload);
	free(r);
}

static int start_request(struct request *r)
{
	struct nbd_client *c = r->client;
	int ret;

	if (r->type == NBD_CMD_READ || r->type == NBD_CMD_WRITE)
		r->bytes = min(r->len, NBD_MAX_PAYLOAD);
	while (!has_room(c, r->bytes))
		co_queue_wait(&c->room);
	ret = read_payload(r);
	if (ret)
		return ret;
	c->in_flight++;
	c->bytes_in_flight += r->bytes;
	ret = co_start(carry_out_request, r);
	if (ret) {
		c->in_flight--;
		c->bytes_in_flight -= r->bytes;
	}
	return ret;
}

/* 1: the client says good-bye. */
static int next_request(struct nbd_client *c)
{
	uint8_t head[28];
	struct request *r;
	int ret = stream_read(&c->stream, head, sizeof(head));

	if (ret)
		return ret;
	if (load_be32(head) != NBD_REQUEST_MAGIC)
		return -EINVAL;
	if (load_be16(head + 6) == NBD_CMD_DISC)
		return 1;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct request){
		.client = c,
		.flags = load_be16(head + 4),
		.type = load_be16(head + 6),
		.cookie = load_be64(head + 8),
		.offset = load_be64(head + 16),
		.len = load_be32(head + 24),
	};
	ret = start_request(r);
	if (ret)
		request_free(r);
	return ret;
}

void nbd_transmit(struct nbd_client *c)
{
	while (!c->lost && next_request(c) == 0)
		;
	while (c->in_flight)
		co_queue_wait(&c->room);
}
