/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sequence.c: see sequence.h.
 *
 * linux	module load, unload, load: the plain way
 * ovmf		firmware that never is in state 3, leaves by 5, 6, 1 and
 *		removes its nodes; then Linux
 * mini-os	the same without state 3, nodes left behind; then Linux
 * windows	leaves until the backend is in 6, then wants state 2 exactly,
 *		three times over; then asks to be ejected
 * kexec	Linux that finds its predecessor's device still connected (4),
 *		or closed (6), and resets it first
 * early	rings are there before the backend reached state 2
 * skip-close	from 4 straight to 6, as a driver that was killed
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "tests/simxen/sequence.h"
#include "tests/simxen/workload.h"

#define STEP_MS 5000

static void expect_backend(struct front *f, unsigned int mask,
			   const char *when)
{
	if (!store_wait_state(f->vbd.be, mask, STEP_MS))
		die("%s: backend is in state %d", when,
		    store_state(f->vbd.be));
}

/* Data goes through and is right. */
static void use(struct front *f)
{
	struct workload w = WORKLOAD_DEFAULTS;
	struct workload_totals totals;

	w.ops = 100;
	w.qd = 8;
	workload_run(f, &w, &totals);
}

static void write_rings(struct front *f)
{
	xs_transaction_t t;

	do {
		t = store_begin();
		front_write_rings(f, t);
	} while (!store_commit(t));
}

/* Firmware: one queue, one page, never state 3. */
static void connect_by_4(struct front *f)
{
	struct front_options saved = f->opts;

	f->opts.queues = 1;
	f->opts.ring_order = 0;
	f->opts.indirect = 0;
	f->opts.persistent = false;
	expect_backend(f, STATE_BIT(XenbusStateInitWait), "before connecting");
	front_probe(f);
	front_alloc_rings(f);
	write_rings(f);
	front_set_state(f, XenbusStateConnected);
	expect_backend(f, STATE_BIT(XenbusStateConnected), "after 4");
	front_read_info(f);
	f->opts = saved;
}

/* Closing and Closed each seen for themselves, then a fresh start. */
static void reset(struct front *f)
{
	front_set_state(f, XenbusStateClosing);
	expect_backend(f, STATE_BIT(XenbusStateClosing), "after 5");
	front_set_state(f, XenbusStateClosed);
	expect_backend(f, STATE_BIT(XenbusStateClosed), "after 6");
	front_check_released(f);
	front_set_state(f, XenbusStateInitialising);
	expect_backend(f, STATE_BIT(XenbusStateInitWait), "after 1");
}

static void linux_driver(struct front *f)
{
	front_connect(f);
	use(f);
	front_disconnect(f);
	front_set_state(f, XenbusStateInitialising);
}

static void seq_linux(struct front *f)
{
	linux_driver(f);
	linux_driver(f);
}

static void remove_ring_nodes(struct front *f)
{
	store_remove(XBT_NULL, "%s/ring-ref", f->vbd.fe);
	store_remove(XBT_NULL, "%s/event-channel", f->vbd.fe);
	store_remove(XBT_NULL, "%s/protocol", f->vbd.fe);
}

static void seq_ovmf(struct front *f)
{
	connect_by_4(f);
	use(f);
	reset(f);
	remove_ring_nodes(f);
	front_free_rings(f);
	linux_driver(f);
}

static void seq_mini_os(struct front *f)
{
	connect_by_4(f);
	use(f);
	reset(f);
	front_free_rings(f);
	linux_driver(f);
}

static void windows_once(struct front *f)
{
	front_connect(f);
	use(f);
	front_set_state(f, XenbusStateClosing);
	expect_backend(f, STATE_BIT(XenbusStateClosing) |
			  STATE_BIT(XenbusStateClosed), "after 5");
	front_set_state(f, XenbusStateClosed);
	expect_backend(f, STATE_BIT(XenbusStateClosed), "after 6");
	front_check_released(f);
	front_free_rings(f);
	front_set_state(f, XenbusStateInitialising);
	expect_backend(f, STATE_BIT(XenbusStateInitWait), "after 1");
}

static void seq_windows(struct front *f)
{
	int i;

	for (i = 0; i < 3; i++)
		windows_once(f);
}

/* The old kernel is gone without a word; its pages are about to be reused. */
static void seq_kexec(struct front *f)
{
	front_connect(f);
	use(f);
	reset(f);
	front_free_rings(f);
	linux_driver(f);

	front_connect(f);
	use(f);
	front_disconnect(f);
	/* found in 6: Linux starts over with 5 just the same */
	front_set_state(f, XenbusStateClosing);
	front_set_state(f, XenbusStateClosed);
	expect_backend(f, STATE_BIT(XenbusStateClosed), "after 6");
	front_set_state(f, XenbusStateInitialising);
	linux_driver(f);
}

/* A frontend that waits for nothing: the backend may be in state 1 still. */
static void seq_early(struct front *f)
{
	front_probe(f);
	front_alloc_rings(f);
	write_rings(f);
	front_set_state(f, XenbusStateInitialised);
	expect_backend(f, STATE_BIT(XenbusStateConnected), "after 3");
	front_read_info(f);
	front_set_state(f, XenbusStateConnected);
	use(f);
	front_disconnect(f);
}

static void seq_skip_close(struct front *f)
{
	front_connect(f);
	use(f);
	front_set_state(f, XenbusStateClosed);
	expect_backend(f, STATE_BIT(XenbusStateClosed), "after 4 -> 6");
	front_check_released(f);
	front_free_rings(f);
	front_set_state(f, XenbusStateInitialising);
	linux_driver(f);
}

static const struct {
	const char *name;
	void (*run)(struct front *f);
} sequences[] = {
	{ "linux", seq_linux },		{ "ovmf", seq_ovmf },
	{ "mini-os", seq_mini_os },	{ "windows", seq_windows },
	{ "kexec", seq_kexec },		{ "early", seq_early },
	{ "skip-close", seq_skip_close },
};

#define NR_SEQUENCES (sizeof(sequences) / sizeof(sequences[0]))

void sequence_list(void)
{
	size_t i;

	for (i = 0; i < NR_SEQUENCES; i++)
		puts(sequences[i].name);
}

void sequence_run(struct front *f, const char *name)
{
	size_t i;

	for (i = 0; i < NR_SEQUENCES; i++) {
		if (strcmp(name, sequences[i].name) == 0) {
			sequences[i].run(f);
			return;
		}
	}
	die("no sequence is called '%s'", name);
}
