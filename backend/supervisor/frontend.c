/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frontend.c: see frontend.h.
 *
 * With one queue its nodes stand at the top, with more in queue-N/. A ring of
 * one page is `ring-ref`; where `ring-page-order` is given the pages are
 * `ring-ref0`, `ring-ref1`...; some write order 0 and `ring-ref` all the same.
 * Whether the grants and ports exist is for the hypervisor to say.
 */
#include "backend/supervisor/frontend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/size.h"

#define NODE_MAX 48
#define NUMBER_MAX 24	/* longer than any uint64_t */

static int read_number(const struct frontend_source *s, const char *node,
		       uint64_t limit, uint64_t *value, struct error *err)
{
	char text[NUMBER_MAX];
	int ret = s->read(s->arg, node, text, sizeof(text));

	if (ret == -E2BIG)
		return error_set(err, EINVAL,
				 "frontend node %s is far too long for a "
				 "number", node);
	if (ret < 0)
		return error_set_errno(err, -ret, "frontend node %s", node);
	ret = decimal_parse(text, limit, value);
	if (ret < 0)
		return error_set(err, -ret,
				 "frontend node %s is not a number up to %llu",
				 node, (unsigned long long)limit);
	return 0;
}

/* The same for a node that need not be there. */
static int read_optional(const struct frontend_source *s, const char *node,
			 uint64_t limit, uint64_t absent, uint64_t *value,
			 struct error *err)
{
	int ret = read_number(s, node, limit, value, err);

	if (ret != -ENOENT)
		return ret;
	*value = absent;
	return 0;
}

/* x86_32 packs its structs; a frontend that says nothing is such an old one
 * (Linux's BLKIF_PROTOCOL_DEFAULT on x86). */
static int read_protocol(const struct frontend_source *s, struct rings *f,
			 struct error *err)
{
	char text[NUMBER_MAX];
	int ret = s->read(s->arg, "protocol", text, sizeof(text));

	if (ret == -ENOENT || (ret >= 0 && !strcmp(text, "x86_32-abi"))) {
		f->abi_x86_32 = true;
		return 0;
	}
	if (ret >= 0 && !strcmp(text, "x86_64-abi")) {
		f->abi_x86_32 = false;
		return 0;
	}
	if (ret < 0 && ret != -E2BIG && ret != -EINVAL)
		return error_set_errno(err, -ret, "frontend node protocol");
	return error_set(err, EINVAL, "frontend node protocol is neither "
			 "x86_64-abi nor x86_32-abi");
}

static int read_u32(const struct frontend_source *s, const char *prefix,
		    const char *node, uint32_t *out, struct error *err)
{
	char path[NODE_MAX];
	uint64_t value;
	int ret;

	snprintf(path, sizeof(path), "%s%s", prefix, node);
	ret = read_number(s, path, UINT32_MAX, &value, err);
	if (ret == 0)
		*out = (uint32_t)value;
	return ret;
}

static int read_refs(const struct frontend_source *s, const char *prefix,
		     bool has_order, unsigned int order, uint32_t *refs,
		     struct error *err)
{
	int ret;

	if (order == 0) {
		ret = read_u32(s, prefix, "ring-ref", &refs[0], err);
		if (ret != -ENOENT || !has_order)
			return ret;
	}
	for (unsigned int i = 0; i < 1u << order; i++) {
		char node[NODE_MAX];

		snprintf(node, sizeof(node), "ring-ref%u", i);
		ret = read_u32(s, prefix, node, &refs[i], err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int read_queues(const struct frontend_source *s, bool has_order,
		       struct rings *f, struct error *err)
{
	for (unsigned int i = 0; i < f->nr_queues; i++) {
		struct ring_queue *q = &f->queues[i];
		char prefix[NODE_MAX / 2] = "";
		int ret;

		if (f->nr_queues > 1)
			snprintf(prefix, sizeof(prefix), "queue-%u/", i);
		ret = read_refs(s, prefix, has_order, f->ring_order, q->refs,
				err);
		if (ret == 0)
			ret = read_u32(s, prefix, "event-channel", &q->port,
				       err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int frontend_read(const struct frontend_source *s, unsigned int max_queues,
		  struct rings *out, struct error *err)
{
	struct rings f = { 0 };
	uint64_t order, queues, persistent;
	bool has_order;
	int ret;

	ret = read_protocol(s, &f, err);
	if (ret < 0)
		return ret;
	ret = read_optional(s, "ring-page-order", LIMIT_RING_ORDER,
			    UINT64_MAX, &order, err);
	if (ret < 0)
		return ret;
	has_order = order != UINT64_MAX;
	f.ring_order = has_order ? (unsigned int)order : 0;

	ret = read_optional(s, "multi-queue-num-queues", max_queues, 1,
			    &queues, err);
	if (ret < 0)
		return ret;
	if (queues == 0)
		return error_set(err, EINVAL, "frontend node "
				 "multi-queue-num-queues is 0");
	f.nr_queues = (unsigned int)queues;

	ret = read_optional(s, "feature-persistent", UINT32_MAX, 0,
			    &persistent, err);
	if (ret < 0)
		return ret;
	f.persistent = persistent;

	ret = read_queues(s, has_order, &f, err);
	if (ret < 0)
		return ret;
	*out = f;
	return 0;
}
