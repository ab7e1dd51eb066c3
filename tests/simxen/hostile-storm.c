/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hostile-storm.c: see hostile-acts.h. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/simxen/hostile-acts.h"

#define STORM_NS 3000000000u

static bool storm_is_over(uint64_t begin)
{
	return now_ns() - begin > STORM_NS;
}

/* ---- of events --------------------------------------------------------- */

static void kick_all(struct front *f)
{
	unsigned int i;

	for (i = 0; i < f->nr_queues; i++)
		port_notify(f->queue[i].port);
}

void storm_of_kicks(struct front *f)
{
	uint64_t begin;

	front_connect(f);
	use(f);
	for (begin = now_ns(); !storm_is_over(begin);)
		kick_all(f);
	use(f);
	front_disconnect(f);
}

struct kicker {
	struct port *port;
	bool stop;
};

static void *kick(void *arg)
{
	struct kicker *k = arg;

	while (!__atomic_load_n(&k->stop, __ATOMIC_RELAXED))
		port_notify(k->port);
	return NULL;
}

/* The ports go while they fire. */
void storm_and_close(struct front *f)
{
	struct kicker k;
	pthread_t thread;
	int i;

	for (i = 0; i < 30; i++) {
		front_set_state(f, XenbusStateInitialising);
		front_connect(f);
		k = (struct kicker){ .port = f->queue[0].port };
		if (pthread_create(&thread, NULL, kick, &k))
			die("no thread");
		usleep(i * 500);
		front_set_state(f, XenbusStateClosing);
		front_wait_backend(f, STATE_BIT(XenbusStateClosing) |
				      STATE_BIT(XenbusStateClosed));
		front_set_state(f, XenbusStateClosed);
		front_wait_backend(f, STATE_BIT(XenbusStateClosed));
		__atomic_store_n(&k.stop, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		front_check_released(f);
		front_free_rings(f);
	}
	recover(f);
}

/* ---- of watch events --------------------------------------------------- */

/* Whatever of a frontend's directory may be watched or read by a backend. */
void storm_of_nodes(struct front *f)
{
	uint64_t begin;
	unsigned int i = 0;
	xs_transaction_t t;

	front_connect(f);
	use(f);
	for (begin = now_ns(); !storm_is_over(begin); i++) {
		store_write(XBT_NULL, f->vbd.fe, "state", "4");
		store_write(XBT_NULL, f->vbd.fe, "state/below", "%u", i);
		store_write(XBT_NULL, f->vbd.fe, "ring-ref", "%u", i);
		if (i % 64)
			continue;
		t = store_begin();
		store_write(t, f->vbd.fe, "state", "4");
		store_remove(t, "%s/state/below", f->vbd.fe);
		store_commit(t);
	}
	store_remove(XBT_NULL, "%s/state/below", f->vbd.fe);
	use(f);
	front_disconnect(f);
}

/* ---- of the backend's own ---------------------------------------------- */

static uint64_t events_of(const struct queue *q)
{
	uint64_t n;

	if (read(q->port->wait_fd, &n, sizeof(n)) == sizeof(n))
		return n;
	if (errno != EAGAIN)
		die("events: %s", strerror(errno));
	return 0;
}

static void ignore_answer(void *ctx, void *cookie, int status)
{
}

/* Requests one by one, looking for the answers instead of sleeping. */
static void read_without_events(struct front *f, uint32_t ref, unsigned int n)
{
	struct seg seg = { .gref = ref, .last = 7 };
	struct queue *q = &f->queue[0];
	uint64_t begin;

	while (n--) {
		queue_submit(q, BLK_READ, n * 8, &seg, 1, NULL);
		queue_push(q);
		for (begin = now_ns(); !queue_reap(q, ignore_answer, NULL);)
			if (storm_is_over(begin))
				die("no answer");
	}
}

/* The frontend says which answer it wants an event for: nothing else may cause
 * one, so a backend cannot keep a guest from its work. */
void events_as_asked(struct front *f)
{
	struct queue *q;
	uint32_t ref, *rsp_event;
	uint64_t n;

	front_connect(f);
	q = &f->queue[0];
	rsp_event = (uint32_t *)q->ring + 3;
	ref = pages_alloc(&f->machine, 1, GRANT_WRITABLE);

	__atomic_store_n(rsp_event, q->rsp_cons + 0x40000000, __ATOMIC_SEQ_CST);
	events_of(q);
	read_without_events(f, ref, 300);
	n = events_of(q);
	if (n)
		die("%llu events for 300 answers, and none was asked for",
		    (unsigned long long)n);
	__atomic_store_n(rsp_event, q->rsp_cons + 20, __ATOMIC_SEQ_CST);
	read_without_events(f, ref, 100);
	usleep(10000);
	n = events_of(q);
	if (n != 1)
		die("%llu events for 100 answers, and one was asked for",
		    (unsigned long long)n);
	front_free_pages(f, ref, 1);
	use(f);
	front_disconnect(f);
}
