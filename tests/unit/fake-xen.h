/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake-xen.h: libxengnttab and libxenevtchn for a test, in one process.
 *
 * There is one foreign domain. Grant g is page g of an array, and can be told
 * to misbehave; all calls are counted. Event channels are ports that only
 * remember that they were notified, masked or fired.
 */
#ifndef XD_TESTS_FAKE_XEN_H
#define XD_TESTS_FAKE_XEN_H

#include <stdbool.h>
#include <stdint.h>

#define FAKE_DOMID 7
#define FAKE_GRANTS 4096
#define FAKE_PORTS 64	/* remote port p is bound as local port p + 100 */

struct fake_grant {
	int16_t status;		/* GNTST_*: what a copy says */
	unsigned int times;	/* how often; 0: always */
	bool readonly, unmappable;
	unsigned int mapped;
};

struct fake_xen {
	unsigned int copies, maps, unmaps, notifies[FAKE_PORTS], unmasks;
	unsigned int mapped;	/* pages right now */
	unsigned int bound, handles;
	bool copy_fails;	/* the system call itself */
	bool pending[FAKE_PORTS], masked[FAKE_PORTS];
	struct fake_grant grant[FAKE_GRANTS];
};

extern struct fake_xen fake;

void fake_reset(void);
void fake_reset_first(unsigned int n);	/* only so many grants: cheaper */
void *fake_page(uint32_t gref);
void fake_fire(uint32_t port);

#endif
