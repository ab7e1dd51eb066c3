/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * handshake.c: what server and client settle before data flows.
 *
 * Source: proto.md, "Fixed newstyle negotiation", "Option types".
 */
#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "nbd/protocol.h"
#include "nbd/server.h"

#define MAX_OPTION 65536u	/* bytes of an option's data */

struct option {
	uint32_t type;
	uint32_t len;
	uint8_t data[2 * NBD_MAX_STRING];
};

static int reply(struct nbd_client *c, const struct option *o, uint32_t type,
		 const void *data, uint32_t len)
{
	uint8_t head[20];
	struct iovec iov[2] = { { head, sizeof(head) }, { (void *)data, len } };

	store_be64(head, NBD_OPTION_REPLY_MAGIC);
	store_be32(head + 8, o->type);
	store_be32(head + 12, type);
	store_be32(head + 16, len);
	return stream_writev(&c->stream, iov, len ? 2 : 1);
}

static int reply_error(struct nbd_client *c, const struct option *o,
		       uint32_t type, const char *why)
{
	return reply(c, o, type, why, (uint32_t)strlen(why));
}

static bool is_our_name(const struct nbd_client *c, const uint8_t *name,
			uint32_t len)
{
	const char *ours = c->server->export_name;

	return len == strlen(ours) && !memcmp(name, ours, len);
}

static int list_export(struct nbd_client *c, const struct option *o)
{
	const char *name = c->server->export_name;
	uint32_t len = (uint32_t)strlen(name);
	uint8_t data[4 + NBD_MAX_STRING];
	int ret;

	if (o->len)
		return reply_error(c, o, NBD_REP_ERR_INVALID,
				   "LIST has no data");
	store_be32(data, len);
	memcpy(data + 4, name, len);
	ret = reply(c, o, NBD_REP_SERVER, data, 4 + len);
	return ret ? ret : reply(c, o, NBD_REP_ACK, NULL, 0);
}

/* ---- INFO and GO ---- */

static int send_export(struct nbd_client *c, const struct option *o)
{
	uint8_t data[12];

	store_be16(data, NBD_INFO_EXPORT);
	store_be64(data + 2, image_size(c->server->img));
	store_be16(data + 10, (uint16_t)nbd_transmission_flags(c));
	return reply(c, o, NBD_REP_INFO, data, sizeof(data));
}

static int send_block_size(struct nbd_client *c, const struct option *o)
{
	struct image_limits limits;
	uint8_t data[14];

	image_limits(c->server->img, &limits);
	store_be16(data, NBD_INFO_BLOCK_SIZE);
	store_be32(data + 2, 1);
	store_be32(data + 6, max(limits.physical_block, 4096u));
	store_be32(data + 10, NBD_MAX_PAYLOAD);
	return reply(c, o, NBD_REP_INFO, data, sizeof(data));
}

/* u32 length, name, u16 number, u16 info[]. 1: transmission begins. */
static int info_or_go(struct nbd_client *c, const struct option *o)
{
	uint32_t len = o->len >= 6 ? load_be32(o->data) : UINT32_MAX;
	int ret;

	if (len > NBD_MAX_STRING || o->len < 6 + len ||
	    o->len != 6 + len + 2u * load_be16(o->data + 4 + len))
		return reply_error(c, o, NBD_REP_ERR_INVALID,
				   "lengths do not fit each other");
	if (!is_our_name(c, o->data + 4, len))
		return reply_error(c, o, NBD_REP_ERR_UNKNOWN,
				   "there is no export of that name");
	ret = send_export(c, o);
	if (!ret)
		ret = send_block_size(c, o);
	if (!ret)
		ret = reply(c, o, NBD_REP_ACK, NULL, 0);
	return ret ? ret : o->type == NBD_OPT_GO;
}

static int export_name(struct nbd_client *c, const struct option *o)
{
	uint8_t data[10 + 124] = { 0 };
	int ret;

	if (!is_our_name(c, o->data, o->len))
		return -ENOENT;		/* there is no reply to say so */
	store_be64(data, image_size(c->server->img));
	store_be16(data + 8, (uint16_t)nbd_transmission_flags(c));
	ret = stream_write(&c->stream, data,
			   c->no_zeroes ? 10 : sizeof(data));
	return ret ? ret : 1;
}

/* ---- meta contexts ---- */

static bool asks_for_allocation(const struct option *o, const uint8_t *query,
				uint32_t len)
{
	static const char name[] = NBD_CONTEXT_ALLOCATION;

	if (o->type == NBD_OPT_LIST_META_CONTEXT && len == strlen("base:"))
		return !memcmp(query, name, len);
	return len == strlen(name) && !memcmp(query, name, len);
}

/* Queries: u32 length and name, *nr of them. -EINVAL: they do not fit. */
static int scan_queries(const struct option *o, uint32_t at, uint32_t nr,
			bool *wanted)
{
	/* To list with no query is to ask for all there are. */
	*wanted = !nr && o->type == NBD_OPT_LIST_META_CONTEXT;
	for (; nr; nr--) {
		uint32_t len;

		if (o->len - at < 4)
			return -EINVAL;
		len = load_be32(o->data + at);
		at += 4;
		if (len > o->len - at)
			return -EINVAL;
		*wanted |= asks_for_allocation(o, o->data + at, len);
		at += len;
	}
	return at == o->len ? 0 : -EINVAL;
}

static int send_context(struct nbd_client *c, const struct option *o)
{
	uint8_t data[4 + sizeof(NBD_CONTEXT_ALLOCATION) - 1];

	store_be32(data, NBD_ALLOCATION_ID);
	memcpy(data + 4, NBD_CONTEXT_ALLOCATION, sizeof(data) - 4);
	return reply(c, o, NBD_REP_META_CONTEXT, data, sizeof(data));
}

/* u32 length, export's name, u32 number of queries, queries. */
static int meta_context(struct nbd_client *c, const struct option *o)
{
	uint32_t len = load_be32(o->data);
	bool wanted;
	int ret = 0;

	if (!c->structured || o->len < 8 || len > o->len - 8 ||
	    scan_queries(o, 8 + len, load_be32(o->data + 4 + len), &wanted))
		return reply_error(c, o, NBD_REP_ERR_INVALID,
				   c->structured
					   ? "lengths do not fit each other"
					   : "structured replies come first");
	if (!is_our_name(c, o->data + 4, len))
		return reply_error(c, o, NBD_REP_ERR_UNKNOWN,
				   "there is no export of that name");
	if (wanted)
		ret = send_context(c, o);
	if (o->type == NBD_OPT_SET_META_CONTEXT)
		c->allocation = wanted;
	return ret ? ret : reply(c, o, NBD_REP_ACK, NULL, 0);
}

/* ---- options ---- */

static int abort_handshake(struct nbd_client *c, const struct option *o)
{
	reply(c, o, NBD_REP_ACK, NULL, 0);
	return -ECONNRESET;
}

static int structured_reply(struct nbd_client *c, const struct option *o)
{
	if (o->len)
		return reply_error(c, o, NBD_REP_ERR_INVALID,
				   "STRUCTURED_REPLY has no data");
	c->structured = true;
	return reply(c, o, NBD_REP_ACK, NULL, 0);
}

/* 1: the handshake is over; 0: go on; -errno */
static int obey_option(struct nbd_client *c, const struct option *o)
{
	switch (o->type) {
	case NBD_OPT_EXPORT_NAME:
		return export_name(c, o);
	case NBD_OPT_ABORT:
		return abort_handshake(c, o);
	case NBD_OPT_LIST:
		return list_export(c, o);
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		return info_or_go(c, o);
	case NBD_OPT_STRUCTURED_REPLY:
		return structured_reply(c, o);
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		return meta_context(c, o);
	default:
		return reply_error(c, o, NBD_REP_ERR_UNSUP, "unknown option");
	}
}

static int next_option(struct nbd_client *c, struct option *o)
{
	uint8_t head[16];
	int ret = stream_read(&c->stream, head, sizeof(head));

	if (ret)
		return ret;
	o->type = load_be32(head + 8);
	o->len = load_be32(head + 12);
	if (load_be64(head) != NBD_OPTION_MAGIC || o->len > MAX_OPTION)
		return -EINVAL;
	if (o->len <= sizeof(o->data)) {
		ret = stream_read(&c->stream, o->data, o->len);
		return ret ? ret : obey_option(c, o);
	}
	ret = stream_skip(&c->stream, o->len);
	if (!ret)
		ret = o->type == NBD_OPT_EXPORT_NAME
			      ? -ENOENT
			      : reply_error(c, o, NBD_REP_ERR_TOO_BIG,
					    "too long");
	return ret;
}

static int greet(struct nbd_client *c)
{
	uint8_t ours[18], theirs[4];
	uint32_t flags;
	int ret;

	store_be64(ours, NBD_MAGIC);
	store_be64(ours + 8, NBD_OPTION_MAGIC);
	store_be16(ours + 16, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	ret = stream_write(&c->stream, ours, sizeof(ours));
	if (!ret)
		ret = stream_read(&c->stream, theirs, sizeof(theirs));
	if (ret)
		return ret;
	flags = load_be32(theirs);
	if (flags & ~(uint32_t)(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES))
		return -EINVAL;
	c->no_zeroes = flags & NBD_NO_ZEROES;
	return 0;
}

int nbd_handshake(struct nbd_client *c)
{
	struct option o;
	int ret = greet(c);

	while (ret == 0)
		ret = next_option(c, &o);
	return ret < 0 ? ret : 0;
}
