/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout.h: what lies in a run directory, shared by the hypervisor's stand-in
 * (libsimxen.so, in the backend's processes) and the guest's side of it.
 *
 *	mem.D		domain D's memory: page g is what grant reference g names
 *	grants.D	its grant table and life flags: struct simxen_grants
 *	evtchn.D.P	unix socket of D's unbound port P; whoever binds it gets
 *			one byte and two eventfds: to wait on, to notify with
 *	virq		fifo; a byte in it is VIRQ_DOM_EXC for the store
 *	xsd_port, xsd_kva	what /proc/xen holds for dom0's store
 *	stats.PID	what process PID holds: struct simxen_stats
 *
 * A domain exists as long as mem.D does and grants.D says that it is alive.
 */
#ifndef XD_SIMXEN_LAYOUT_H
#define XD_SIMXEN_LAYOUT_H

#include <stdint.h>

#define SIMXEN_PAGE 4096u
#define SIMXEN_MAX_DOMID 0x7ff0

/* One grant. `flags` also carries a fault to inject: the status (negated) in
 * bits 8..15, how often in bits 16..31, SIMXEN_FOREVER for always. */
#define SIMXEN_GRANT_USED     0x1u	/* the page is allocated */
#define SIMXEN_GRANT_VALID    0x2u	/* the backend may use it ... */
#define SIMXEN_GRANT_READONLY 0x4u	/* ... but not write to it */
#define SIMXEN_FOREVER 0xffffu

struct simxen_grant {
	uint32_t flags;
	int32_t maps;		/* mappings that exist now, in all processes */
};

struct simxen_grants {
	uint32_t nr;		/* pages in mem.D, grants in the table */
	uint32_t alive;		/* cleared when the domain is destroyed */
	uint32_t dying;
	uint32_t shutdown;
	uint32_t shutdown_reason;
	uint32_t next_port;
	uint32_t lock;		/* pid of the guest that allocates pages */
	uint32_t pad;
	struct simxen_grant grant[];
};

/* Gauges tell what is held now, counters only grow. */
struct simxen_stats {
	char name[16];
	int64_t gnttab_handles;		/* gauge */
	int64_t evtchn_handles;		/* gauge */
	int64_t mapped_pages;		/* gauge */
	int64_t bound_ports;		/* gauge */
	int64_t maps;
	int64_t unmaps;
	int64_t copy_calls;
	int64_t copy_segments;
	int64_t failed_segments;	/* copies and maps refused */
	int64_t notifies;
	int64_t wakeups;
	int64_t misuse;			/* calls the kernel would refuse */
	int64_t watches;		/* gauge, of the store */
};

#endif
