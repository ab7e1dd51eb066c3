/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blkfront.c: see blkfront.h.
 *
 * The order of things is that of Linux's xen-blkfront: read what the backend
 * offers in state 2, allocate, write the nodes in one transaction, go to 3,
 * wait for the backend's 4, read the disk's data, go to 4. Indirect is settled
 * last, as there, because blkfront reads it when the backend is connected.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/simxen/blkfront.h"

static const struct abi abi_64 = {
	.entry_size = 112, .id = 8, .sector = 16, .seg = 24,
	.indirect_handle = 24, .indirect_grefs = 28,
};
static const struct abi abi_32 = {
	.entry_size = 108, .id = 4, .sector = 12, .seg = 20,
	.indirect_handle = 20, .indirect_grefs = 24,
};

/* struct blkif_sring */
enum { REQ_PROD = 0, REQ_EVENT = 4, RSP_PROD = 8, RSP_EVENT = 12, SLOTS = 64 };
/* struct blkif_response: the same in both ABIs but for its tail */
enum { RSP_ID = 0, RSP_OP = 8, RSP_STATUS = 10 };

static uint32_t *ring_index(const struct queue *q, int which)
{
	return (uint32_t *)(q->ring + which);
}

static uint8_t *ring_slot(const struct queue *q, uint32_t index)
{
	return q->ring + SLOTS +
	       (size_t)(index & (q->size - 1)) * q->front->abi->entry_size;
}

/* ---- connecting -------------------------------------------------------- */

void front_open(struct front *f, uint32_t domid, const char *vdev,
		const struct front_options *opts)
{
	memset(f, 0, sizeof(*f));
	f->opts = *opts;
	f->abi = opts->protocol && strcmp(opts->protocol, "x86_64-abi") == 0 ?
		&abi_64 : &abi_32;
	store_open();
	machine_open(&f->machine, domid);
	vbd_find(&f->vbd, domid, vdev);
	f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (f->epoll_fd < 0)
		die("epoll: %s", strerror(errno));
}

void front_close(struct front *f)
{
	front_free_rings(f);
	close(f->epoll_fd);
	vbd_release(&f->vbd);
	machine_close(&f->machine);
}

void front_set_state(struct front *f, enum xenbus_state state)
{
	store_write(XBT_NULL, f->vbd.fe, "state", "%d", state);
}

char *front_backend_error(const struct front *f)
{
	char *text = store_read(XBT_NULL, "%s/error", f->vbd.be);

	if (!text)
		text = store_read(XBT_NULL, "%s/hotplug-error", f->vbd.be);
	if (!text)
		text = store_read(XBT_NULL, "/local/domain/0/error/%s/error",
				  strstr(f->vbd.be, "backend/"));
	return text ? text : strdup("");
}

void front_wait_backend(struct front *f, unsigned int mask)
{
	if (!store_wait_state(f->vbd.be, mask, CONNECT_TIMEOUT_MS))
		die("%s stays in state %d: %s", f->vbd.be,
		    store_state(f->vbd.be), front_backend_error(f));
}

/* A backend that refuses says so by closing. */
static void front_wait_connected(struct front *f)
{
	front_wait_backend(f, STATE_BIT(XenbusStateConnected) |
			      STATE_BIT(XenbusStateClosing) |
			      STATE_BIT(XenbusStateClosed));
	if (store_state(f->vbd.be) != XenbusStateConnected)
		die("%s refuses: %s", f->vbd.be, front_backend_error(f));
}

void front_probe(struct front *f)
{
	const char *be = f->vbd.be;
	unsigned int order, queues;

	order = store_number(0, "%s/max-ring-page-order", be);
	queues = store_number(1, "%s/multi-queue-max-queues", be);
	f->ring_order = f->opts.ring_order < order ? f->opts.ring_order : order;
	f->nr_queues = f->opts.queues < queues ? f->opts.queues : queues;
	if (f->nr_queues < 1)
		f->nr_queues = 1;
	f->persistent = f->opts.persistent &&
			store_number(0, "%s/feature-persistent", be);
}

static void queue_alloc(struct front *f, struct queue *q)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	uint32_t i;

	q->front = f;
	q->ring_ref = pages_alloc(&f->machine, 1u << f->ring_order,
				  GRANT_WRITABLE);
	q->ring = page_at(&f->machine, q->ring_ref);
	*ring_index(q, REQ_EVENT) = *ring_index(q, RSP_EVENT) = 1;
	q->size = 32u << f->ring_order;
	q->req_prod = q->rsp_cons = 0;
	q->port = port_open(&f->machine);
	if (epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, q->port->wait_fd, &ev) < 0)
		die("epoll: %s", strerror(errno));
	q->shadow = calloc(q->size, sizeof(*q->shadow));
	q->free = calloc(q->size, sizeof(*q->free));
	if (!q->shadow || !q->free)
		die("out of memory");
	for (i = 0; i < q->size; i++)
		q->free[i] = q->size - 1 - i;
	q->nr_free = q->size;
}

void front_alloc_rings(struct front *f)
{
	unsigned int i;

	f->max_segs = DIRECT_SEGMENTS;
	f->indirect_pages = 0;
	for (i = 0; i < f->nr_queues; i++)
		queue_alloc(f, &f->queue[i]);
}

static void write_ring(struct queue *q, xs_transaction_t t, const char *dir)
{
	char name[32];
	unsigned int i;

	if (q->front->ring_order == 0) {
		store_write(t, dir, "ring-ref", "%u", q->ring_ref);
	} else {
		for (i = 0; i < 1u << q->front->ring_order; i++) {
			snprintf(name, sizeof(name), "ring-ref%u", i);
			store_write(t, dir, name, "%u", q->ring_ref + i);
		}
	}
	store_write(t, dir, "event-channel", "%u", q->port->number);
}

void front_write_rings(struct front *f, xs_transaction_t t)
{
	char dir[256];
	unsigned int i;

	if (f->ring_order > 0)
		store_write(t, f->vbd.fe, "ring-page-order", "%u",
			    f->ring_order);
	if (f->nr_queues == 1) {
		write_ring(&f->queue[0], t, f->vbd.fe);
	} else {
		store_write(t, f->vbd.fe, "multi-queue-num-queues", "%u",
			    f->nr_queues);
		for (i = 0; i < f->nr_queues; i++) {
			snprintf(dir, sizeof(dir), "%s/queue-%u", f->vbd.fe, i);
			write_ring(&f->queue[i], t, dir);
		}
	}
	if (f->opts.protocol)
		store_write(t, f->vbd.fe, "protocol", "%s", f->opts.protocol);
	store_write(t, f->vbd.fe, "feature-persistent", "%d",
		    f->opts.persistent);
}

/* What an earlier driver wrote must not speak for this one. */
void front_remove_stale(struct front *f, xs_transaction_t t)
{
	static const char *const names[] = {
		"ring-ref", "ring-page-order", "event-channel",
		"multi-queue-num-queues", "protocol", "feature-persistent",
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		store_remove(t, "%s/%s", f->vbd.fe, names[i]);
	for (i = 0; i < MAX_QUEUES; i++)
		store_remove(t, "%s/queue-%u", f->vbd.fe, i);
	for (i = 0; i < 1u << MAX_RING_ORDER; i++)
		store_remove(t, "%s/ring-ref%u", f->vbd.fe, i);
}

static void settle_indirect(struct front *f)
{
	uint64_t offered = store_number(0, "%s/feature-max-indirect-segments",
					f->vbd.be);
	unsigned int wanted = f->opts.indirect, i;

	if (wanted > offered)
		wanted = offered;
	if (wanted <= DIRECT_SEGMENTS)
		return;
	if (wanted > MAX_INDIRECT_PAGES * SEGMENTS_PER_PAGE)
		wanted = MAX_INDIRECT_PAGES * SEGMENTS_PER_PAGE;
	f->max_segs = wanted;
	f->indirect_pages = (wanted + SEGMENTS_PER_PAGE - 1) /
			    SEGMENTS_PER_PAGE;
	for (i = 0; i < f->nr_queues; i++)
		f->queue[i].indirect_ref =
			pages_alloc(&f->machine,
				    f->queue[i].size * f->indirect_pages,
				    GRANT_READONLY);
}

static bool feature(const struct front *f, const char *name)
{
	return store_number(0, "%s/%s", f->vbd.be, name) != 0;
}

void front_read_info(struct front *f)
{
	const char *be = f->vbd.be;

	f->sectors = store_number(0, "%s/sectors", be);
	f->sector_size = store_number(0, "%s/sector-size", be);
	if (!f->sectors || !f->sector_size || !store_exists("%s/info", be))
		die("%s: no sectors, sector-size or info", be);
	f->physical_sector_size = store_number(f->sector_size,
					       "%s/physical-sector-size", be);
	f->info = store_number(0, "%s/info", be);
	f->has_flush = feature(f, "feature-flush-cache");
	f->has_barrier = feature(f, "feature-barrier");
	f->has_discard = feature(f, "feature-discard");
	f->discard_granularity = store_number(f->physical_sector_size,
					      "%s/discard-granularity", be);
	f->discard_alignment = store_number(0, "%s/discard-alignment", be);
	settle_indirect(f);
}

void front_connect(struct front *f)
{
	xs_transaction_t t;

	front_wait_backend(f, STATE_BIT(XenbusStateInitWait));
	front_probe(f);
	front_alloc_rings(f);
	do {
		t = store_begin();
		front_remove_stale(f, t);
		front_write_rings(f, t);
	} while (!store_commit(t));
	front_set_state(f, XenbusStateInitialised);
	front_wait_connected(f);
	front_read_info(f);
	front_set_state(f, XenbusStateConnected);
}

/* ---- disconnecting ----------------------------------------------------- */

/* In state 6 the backend has let go of everything; only the news of an
 * unbound port may take a moment to reach our thread. */
void front_check_released(struct front *f)
{
	uint32_t ring_pages = 1u << f->ring_order;
	unsigned int i, tries;

	for (i = 0; i < f->nr_queues; i++) {
		struct queue *q = &f->queue[i];

		if (!q->ring)
			continue;
		if (pages_mapped(&f->machine, q->ring_ref, ring_pages))
			die("%s: ring %u is still mapped", f->vbd.be, i);
		for (tries = 0; port_bound(q->port); tries++) {
			if (tries == 1000)
				die("%s: port %u is still bound", f->vbd.be,
				    q->port->number);
			usleep(1000);
		}
	}
}

void front_free_pages(struct front *f, uint32_t ref, uint32_t n)
{
	if (!f->persistent) {
		pages_free(&f->machine, ref, n);
		return;
	}
	f->kept = realloc(f->kept, (f->nr_kept + 1) * sizeof(*f->kept));
	if (!f->kept)
		die("out of memory");
	f->kept[f->nr_kept++] = (struct kept_pages){ ref, n };
}

void front_free_rings(struct front *f)
{
	unsigned int i;

	for (i = 0; i < f->nr_kept; i++)
		pages_free(&f->machine, f->kept[i].ref, f->kept[i].n);
	free(f->kept);
	f->kept = NULL;
	f->nr_kept = 0;
	for (i = 0; i < MAX_QUEUES; i++) {
		struct queue *q = &f->queue[i];

		if (!q->ring)
			continue;
		port_close(q->port);
		pages_free(&f->machine, q->ring_ref, 1u << f->ring_order);
		if (q->indirect_ref)
			pages_free(&f->machine, q->indirect_ref,
				   q->size * f->indirect_pages);
		free(q->shadow);
		free(q->free);
		memset(q, 0, sizeof(*q));
	}
}

void front_disconnect(struct front *f)
{
	front_set_state(f, XenbusStateClosing);
	front_wait_backend(f, STATE_BIT(XenbusStateClosing) |
			      STATE_BIT(XenbusStateClosed));
	front_set_state(f, XenbusStateClosed);
	front_wait_backend(f, STATE_BIT(XenbusStateClosed));
	front_check_released(f);
	front_free_rings(f);
}

void front_reset(struct front *f)
{
	enum xenbus_state left = store_state(f->vbd.fe);

	if (left == XenbusStateInitialising || left == XenbusStateUnknown)
		return;
	if (left != XenbusStateClosed) {
		front_set_state(f, XenbusStateClosing);
		front_wait_backend(f, STATE_BIT(XenbusStateClosing) |
				      STATE_BIT(XenbusStateClosed));
		front_set_state(f, XenbusStateClosed);
	}
	front_wait_backend(f, STATE_BIT(XenbusStateClosed));
	front_set_state(f, XenbusStateInitialising);
}

/* ---- requests ---------------------------------------------------------- */

/* An id whose upper half changes each time, so that a backend that echoes only
 * a part of it is found out. */
static uint64_t new_id(const struct queue *q, uint32_t n)
{
	return (uint64_t)(q->req_prod * 2654435761u + 1) << 32 | n;
}

uint8_t *queue_raw(struct queue *q, void *cookie)
{
	const struct abi *abi = q->front->abi;
	struct shadow *s;
	uint8_t *slot;
	uint32_t n;

	if (!q->nr_free)
		return NULL;
	n = q->free[--q->nr_free];
	s = &q->shadow[n];
	s->id = new_id(q, n);
	s->op = 0;
	s->busy = true;
	s->cookie = cookie;
	slot = ring_slot(q, q->req_prod++);
	memset(slot, 0, abi->seg);
	memcpy(slot + abi->id, &s->id, 8);
	return slot;
}

void queue_expect(struct queue *q, uint8_t op)
{
	q->shadow[q->free[q->nr_free]].op = op;
}

static void fill_indirect(struct queue *q, uint8_t *slot, uint32_t n,
			  enum blk_op op, const struct seg *segs,
			  unsigned int nr_segs)
{
	struct front *f = q->front;
	uint32_t ref = q->indirect_ref + n * f->indirect_pages;
	uint8_t *grefs = slot + f->abi->indirect_grefs;
	uint16_t nr = nr_segs;
	unsigned int i;

	slot[0] = BLK_INDIRECT;
	slot[1] = op;
	memcpy(slot + 2, &nr, 2);
	memset(slot + f->abi->indirect_handle, 0, 2);
	for (i = 0; i * SEGMENTS_PER_PAGE < nr_segs; i++, ref++)
		memcpy(grefs + 4 * i, &ref, 4);
	memcpy(page_at(&f->machine, q->indirect_ref + n * f->indirect_pages),
	       segs, nr_segs * sizeof(*segs));
}

bool queue_submit(struct queue *q, enum blk_op op, uint64_t sector,
		  const struct seg *segs, unsigned int nr_segs, void *cookie)
{
	const struct abi *abi = q->front->abi;
	uint8_t *slot = queue_raw(q, cookie);

	if (!slot)
		return false;
	queue_expect(q, op);
	memcpy(slot + abi->sector, &sector, 8);
	if (nr_segs > DIRECT_SEGMENTS) {
		fill_indirect(q, slot, q->free[q->nr_free], op, segs, nr_segs);
		return true;
	}
	slot[0] = op;
	slot[1] = nr_segs;
	memcpy(slot + abi->seg, segs, nr_segs * sizeof(*segs));
	return true;
}

bool queue_discard(struct queue *q, uint64_t sector, uint64_t nr_sectors,
		   void *cookie)
{
	const struct abi *abi = q->front->abi;
	uint8_t *slot = queue_raw(q, cookie);

	if (!slot)
		return false;
	queue_expect(q, BLK_DISCARD);
	slot[0] = BLK_DISCARD;
	memcpy(slot + abi->sector, &sector, 8);
	memcpy(slot + abi->seg, &nr_sectors, 8);
	return true;
}

/* RING_PUSH_REQUESTS_AND_CHECK_NOTIFY: the store of req_prod pairs with the
 * backend's load of it, the full barrier with the backend's one between
 * setting req_event and looking for more requests. */
void queue_push(struct queue *q)
{
	uint32_t *prod = ring_index(q, REQ_PROD);
	uint32_t old = *prod, event;

	if (old == q->req_prod)
		return;
	__atomic_store_n(prod, q->req_prod, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(ring_index(q, REQ_EVENT), __ATOMIC_RELAXED);
	if (q->req_prod - event < q->req_prod - old) {
		q->notified++;
		port_notify(q->port);
	}
}

static struct shadow *judge_response(struct queue *q, const uint8_t *rsp)
{
	struct shadow *s;
	uint64_t id;
	uint32_t n;

	memcpy(&id, rsp + RSP_ID, 8);
	n = id;
	if (n >= q->size || !q->shadow[n].busy || q->shadow[n].id != id)
		die("backend answered a request that was not made: id %#llx",
		    (unsigned long long)id);
	s = &q->shadow[n];
	if (rsp[RSP_OP] != s->op)
		die("backend answered operation %u with operation %u", s->op,
		    rsp[RSP_OP]);
	return s;
}

unsigned int queue_reap(struct queue *q, queue_done *done, void *ctx)
{
	/* pairs with the backend's barrier before it moves rsp_prod */
	uint32_t prod = __atomic_load_n(ring_index(q, RSP_PROD),
					__ATOMIC_ACQUIRE);
	uint32_t n = prod - q->rsp_cons;

	if (n > q->size - q->nr_free)
		die("backend produced %u answers to %u requests", n,
		    q->size - q->nr_free);
	while (q->rsp_cons != prod) {
		const uint8_t *rsp = ring_slot(q, q->rsp_cons);
		struct shadow *s = judge_response(q, rsp);
		int16_t status;

		memcpy(&status, rsp + RSP_STATUS, 2);
		s->busy = false;
		q->free[q->nr_free++] = s - q->shadow;
		q->rsp_cons++;
		done(ctx, s->cookie, status);
	}
	return n;
}

unsigned int queue_reap_blindly(struct queue *q)
{
	uint32_t prod = __atomic_load_n(ring_index(q, RSP_PROD),
					__ATOMIC_ACQUIRE);
	uint32_t n = prod - q->rsp_cons;

	if (n > q->size - q->nr_free)
		die("backend produced %u answers to %u requests", n,
		    q->size - q->nr_free);
	q->rsp_cons = prod;
	q->nr_free += n;	/* what was taken from the stack is still there */
	return n;
}

bool queue_final_check(struct queue *q)
{
	__atomic_store_n(ring_index(q, RSP_EVENT), q->rsp_cons + 1,
			 __ATOMIC_RELAXED);
	/* pairs with the backend's barrier between rsp_prod and rsp_event */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(ring_index(q, RSP_PROD), __ATOMIC_ACQUIRE) !=
	       q->rsp_cons;
}

uint32_t queue_in_flight(const struct queue *q)
{
	return q->size - q->nr_free;
}

bool front_wait(struct front *f, int timeout_ms)
{
	struct epoll_event ev[MAX_QUEUES];
	int n;

	do
		n = epoll_wait(f->epoll_fd, ev, MAX_QUEUES, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0;
}
