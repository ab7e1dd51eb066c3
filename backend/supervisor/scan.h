/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scan.h: places in xenstore to be looked at for new devices, and the look.
 */
#ifndef XD_SUPERVISOR_SCAN_H
#define XD_SUPERVISOR_SCAN_H

#include "backend/supervisor/device.h"

#define SCAN_MAX 64			/* places, then `all` */
#define SCAN_ANY UINT32_MAX		/* all devices of the domain */

/* Does not grow with the number of events. */
struct scan {
	struct scan_kind {
		bool all;
		unsigned int nr;
		struct scan_place {
			uint32_t domid, devid;
		} place[SCAN_MAX];
	} kind[NR_KINDS];
};

void scan_note(struct scan *s, enum device_kind kind, uint32_t domid,
	       uint32_t devid);
void scan_note_all(struct scan *s, enum device_kind kind);
bool scan_wanted(const struct scan *s);

/* Looks at what was noted, and adds what is for us to devices: all claims of a
 * burst come before anything that takes longer. */
void scan_run(struct scan *s, const struct host *host, struct list *devices);

#endif
