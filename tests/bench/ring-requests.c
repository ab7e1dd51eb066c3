/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring-requests: requests through a ring, for their instructions to be counted.
 *
 *	ring-requests FORMAT read|write IMAGE COUNT
 *	ring-requests			says which compiler made it
 *
 * The worker's way of a request with an image below it, and a frontend in the
 * same process, on a hypervisor that is played. Everything is answered in place
 * and the next requests are there at each turn, so that nothing waits or polls
 * by the clock and the same run takes the same instructions.
 *
 * The frontend keeps DEPTH requests of one page each in flight, at offsets that
 * look random and are the same each time, over grants that stay mapped. Of each
 * request's instructions some 80 are its own. It fails where a request does, and
 * where requests have not gone the way that is meant.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/io/blkif.h>

#include "backend/worker/io.h"
#include "common/bits.h"
#include "common/log.h"
#include "common/size.h"
#include "image/graph/open.h"
#include "image/image.h"
#include "tests/unit/fake-xen.h"

#define DEPTH 32
#define PAGE 4096u
#define RING_GREF 0
#define DATA_GREF 1		/* of request 0; the next ones follow */
#define PORT 1

#define STORED UINT64_C(0x0707070707070707)	/* all that images hold before */
#define WRITTEN UINT64_C(0x7777777777777777)

struct bench {
	/* given */
	const char *format, *path;
	bool write;
	uint64_t count;

	struct loop *loop;
	struct image *image;
	struct io io;

	/* the frontend */
	struct blkif_front_ring ring;
	uint64_t blocks;		/* of the image */
	uint64_t random;
	uint64_t sent, answered;
	uint64_t last;			/* offset of the newest request */
};

static __attribute__((noreturn, format(printf, 1, 2))) void
give_up(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

static void must_be(const char *what, uint64_t is, uint64_t wanted)
{
	if (is != wanted)
		give_up("%s: %" PRIu64 ", not %" PRIu64, what, is, wanted);
}

/* ---- the frontend ---- */

static uint64_t next_offset(struct bench *b)
{
	b->random = b->random * UINT64_C(6364136223846793005) + 1;
	return (b->random >> 33) % b->blocks * PAGE;
}

static uint64_t *page_of(uint64_t id)
{
	return fake_page((uint32_t)(DATA_GREF + id));
}

static void send_request(struct bench *b, uint64_t id)
{
	struct blkif_request *rq =
		RING_GET_REQUEST(&b->ring, b->ring.req_prod_pvt++);

	b->last = next_offset(b);
	b->sent++;
	if (!b->write)
		*page_of(id) = 0;
	rq->operation = b->write ? BLKIF_OP_WRITE : BLKIF_OP_READ;
	rq->nr_segments = 1;
	rq->id = id;
	rq->sector_number = b->last / 512;
	rq->seg[0].gref = (grant_ref_t)(DATA_GREF + id);
	rq->seg[0].first_sect = 0;
	rq->seg[0].last_sect = PAGE / 512 - 1;
}

static void judge_response(const struct bench *b,
			   const struct blkif_response *rsp)
{
	if (rsp->status != BLKIF_RSP_OKAY)
		give_up("%s: a request failed", b->path);
	if (!b->write && *page_of(rsp->id) != STORED)
		give_up("%s: read something else than it holds", b->path);
}

/* Sends the next request in the place of each that was answered. */
static void take_responses(struct bench *b)
{
	/* Pairs with ring_push(). */
	RING_IDX end = __atomic_load_n(&b->ring.sring->rsp_prod,
				       __ATOMIC_ACQUIRE);

	while (b->ring.rsp_cons != end) {
		struct blkif_response *rsp =
			RING_GET_RESPONSE(&b->ring, b->ring.rsp_cons++);
		uint64_t id = rsp->id;

		judge_response(b, rsp);
		b->answered++;
		if (b->sent < b->count)
			send_request(b, id);
	}
	b->ring.sring->rsp_event = end + 1;
}

static void run_requests(struct bench *b)
{
	for (uint64_t id = 0; id < DEPTH && b->sent < b->count; id++)
		send_request(b, id);
	while (b->answered < b->count) {
		/* Pairs with ring_waiting(). */
		__atomic_store_n(&b->ring.sring->req_prod,
				 b->ring.req_prod_pvt, __ATOMIC_RELEASE);
		io_turn(&b->io);
		take_responses(b);
	}
}

static void make_frontend(struct bench *b)
{
	struct blkif_sring *shared = fake_page(RING_GREF);

	fake_reset_first(DATA_GREF + DEPTH);
	XEN_FRONT_RING_INIT(&b->ring, shared, PAGE);
	b->blocks = image_size(b->image) / PAGE;
	if (!b->blocks)
		give_up("%s: smaller than a request", b->path);
	for (uint64_t id = 0; id < DEPTH; id++)
		memset(page_of(id), (int)(WRITTEN & 0xff), PAGE);
}

/* ---- the backend ---- */

static void rings_failed(struct io *io, const char *why)
{
	give_up("%s", why);
}

static int open_image(void *arg)
{
	struct bench *b = arg;
	struct image_options opts = {
		.flags = b->write ? IMAGE_RDWR : 0,
		.cache = IMAGE_CACHE_WRITEBACK,
	};
	struct error err = ERROR_INIT;
	int ret = image_open(b->loop, b->path, b->format, &opts, &b->image,
			     &err);

	if (ret < 0)
		give_up("%s: %s", b->path, error_text(&err, ret));
	return 0;
}

static void connect_rings(struct bench *b)
{
	struct blkif_config config = {
		.domid = FAKE_DOMID,
		.nr_queues = 1,
		.queue[0] = { .ring_ref = { RING_GREF }, .port = PORT },
		.max_indirect = BLKIF_MAX_INDIRECT,
		.persistent = true,
	};
	struct error err = ERROR_INIT;
	int ret;

	io_init(&b->io, b->loop);
	b->io.failed = rings_failed;
	ret = io_connect(&b->io, b->image, &config, &err);
	if (ret < 0)
		give_up("connecting: %s", error_text(&err, ret));
}

/* Another way, for one with each page copied by the hypervisor, costs
 * something else. */
static void judge_way(const struct bench *b)
{
	const struct blkif_stats *s = blkif_stats(b->io.vbd);

	must_be("requests that were served", b->write ? s->writes : s->reads,
		b->count);
	must_be("grants that were mapped", s->mapped,
		min(b->count, (uint64_t)DEPTH));
	must_be("grants that were copied", s->copied_segments, 0);
}

static int disconnect_and_close(void *arg)
{
	struct bench *b = arg;
	struct error err = ERROR_INIT;
	uint64_t word = 0;
	int ret;

	io_disconnect(&b->io);
	ret = image_pread(b->image, b->last, sizeof(word), &word);
	if (ret < 0)
		give_up("%s: %s", b->path, strerror(-ret));
	must_be("what the image holds", word, b->write ? WRITTEN : STORED);
	ret = image_close(b->image, &err);
	if (ret < 0)
		give_up("%s: %s", b->path, error_text(&err, ret));
	return 0;
}

/* ---- the program ---- */

#ifdef __clang__
#define COMPILER "clang-%d"
#define MAJOR __clang_major__
#else
#define COMPILER "gcc-%d"
#define MAJOR __GNUC__
#endif

static int say_compiler(void)
{
	printf(COMPILER " %s\n", MAJOR, __VERSION__);
	return EXIT_SUCCESS;
}

static int usage(void)
{
	fputs("usage: ring-requests FORMAT read|write IMAGE COUNT\n", stderr);
	return 2;
}

static bool parse(struct bench *b, int argc, char **argv)
{
	if (argc != 5)
		return false;
	b->format = argv[1];
	b->write = !strcmp(argv[2], "write");
	b->path = argv[3];
	return (b->write || !strcmp(argv[2], "read")) &&
	       !number_parse(argv[4], UINT32_MAX, &b->count) && b->count;
}

static void in_coroutine(struct bench *b, int (*fn)(void *arg))
{
	int ret = co_run(b->loop, fn, b);

	if (ret < 0)
		give_up("coroutine: %s", strerror(-ret));
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };

	if (argc == 1)
		return say_compiler();
	if (!parse(&b, argc, argv))
		return usage();
	log_init("ring-requests", LOG_LEVEL_ERROR, true);
	b.loop = loop_new();
	if (!b.loop)
		give_up("event loop: %s", strerror(errno));
	in_coroutine(&b, open_image);
	make_frontend(&b);
	connect_rings(&b);
	run_requests(&b);
	judge_way(&b);
	in_coroutine(&b, disconnect_and_close);
	loop_free(b.loop);
	return EXIT_SUCCESS;
}
