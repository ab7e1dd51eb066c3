/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frontend's directory: the input is a line a node, name=value; a value that
 * begins with "!" is an error, the errno being the byte behind it.
 *
 * What must hold: each node is read once and the result is whole and within
 * what was offered, or a sentence and nothing; and it is the same for the
 * worker that it is sent to.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/arguments.h"
#include "backend/supervisor/frontend.h"
#include "common/bits.h"

#define MAX_NODES 320		/* more than all there can be */
#define NODE_MAX 64

struct nodes {
	const char *text;
	size_t size;
	char read[MAX_NODES][NODE_MAX];
	unsigned int nr_read;
};

static void read_once(struct nodes *n, const char *node)
{
	for (unsigned int i = 0; i < n->nr_read; i++)
		MUST(strcmp(n->read[i], node));
	MUST(n->nr_read < MAX_NODES && strlen(node) < NODE_MAX);
	strcpy(n->read[n->nr_read++], node);
}

/* As store_read() has it. */
static int value_of(const char *value, size_t len, char *buf, size_t size)
{
	if (len > 1 && value[0] == '!' && value[1])
		return -(unsigned char)value[1];
	if (len >= size)
		return -E2BIG;
	if (memchr(value, 0, len))
		return -EINVAL;
	memcpy(buf, value, len);
	buf[len] = 0;
	return (int)len;
}

static int read_node(void *arg, const char *node, char *buf, size_t size)
{
	struct nodes *n = arg;
	const char *p = n->text, *end = p + n->size;
	size_t name = strlen(node);

	read_once(n, node);
	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((eol ? eol : end) - p);

		if (len > name && !memcmp(p, node, name) && p[name] == '=')
			return value_of(p + name + 1, len - name - 1, buf,
					size);
		p += len + 1;
	}
	return -ENOENT;
}

static void judge_rings(const struct rings *r, unsigned int max_queues)
{
	struct connect_arguments there, here = { .domid = 5, .rings = *r };
	json_t *packed = connect_arguments_pack(&here);

	MUST(r->nr_queues >= 1 && r->nr_queues <= max_queues);
	MUST(r->ring_order <= LIMIT_RING_ORDER);
	MUST(packed && !connect_arguments_unpack(packed, &there));
	MUST(there.domid == 5 && !memcmp(&there.rings, r, sizeof(*r)));
	json_decref(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nodes nodes;
	const struct frontend_source source = { read_node, &nodes };
	unsigned int max_queues = size ? data[0] % LIMIT_QUEUES + 1 : 1;
	struct error err = ERROR_INIT;
	struct rings rings, untouched;
	int ret;

	nodes.text = (const char *)data + !!size;
	nodes.size = size - !!size;
	nodes.nr_read = 0;
	memset(&rings, 0xee, sizeof(rings));
	memset(&untouched, 0xee, sizeof(untouched));
	ret = frontend_read(&source, max_queues, &rings, &err);
	MUST(ret <= 0);
	if (ret == 0)
		judge_rings(&rings, max_queues);
	else
		MUST(err.msg[0] && !memcmp(&rings, &untouched, sizeof(rings)));
	return 0;
}
