/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * simxen.h: the guest's side of the simulated hypervisor: make and destroy a
 * domain, allocate and grant its pages, open event channels.
 *
 * Everything lies in the run directory named by SIMXEN_DIR (layout.h) and
 * several processes may work on one domain. Whatever cannot go on ends the
 * program with a sentence: this is a test's frontend, not a library.
 */
#ifndef XD_SIMXEN_SIMXEN_H
#define XD_SIMXEN_SIMXEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/simxen/layout.h"

/* Frames that libxl grants at build time: the console's and the store's. */
#define SIMXEN_RESERVED_GREFS 8
#define SIMXEN_STORE_GREF 1

struct machine {
	uint32_t domid;
	struct simxen_grants *grants;
	uint8_t *mem;
};

enum grant_access { GRANT_NONE, GRANT_READONLY, GRANT_WRITABLE };

/* "error: ..." on stderr, and the program's end with status 1. */
void die(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

/* A path in the run directory; the caller frees it. */
char *machine_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Makes the domain with so many pages; they take no memory before use. */
void machine_create(uint32_t domid, uint32_t pages);
void machine_open(struct machine *m, uint32_t domid);
void machine_close(struct machine *m);
bool machine_exists(uint32_t domid);

/* Marks it dead and takes it away; what is mapped stays until it is unmapped. */
void machine_destroy(uint32_t domid);

/* Tells the store that some domain changed (VIRQ_DOM_EXC). */
void machine_raise_virq(void);

/* n pages side by side, zeroed and granted so; returns the first's reference. */
uint32_t pages_alloc(struct machine *m, uint32_t n, enum grant_access access);
void pages_free(struct machine *m, uint32_t ref, uint32_t n);
uint32_t pages_in_use(const struct machine *m);

/* How often the pages are mapped now, by whomever. */
uint32_t pages_mapped(const struct machine *m, uint32_t ref, uint32_t n);

/* The next `times` accesses fail with this GNTST_ status. */
void grant_inject(struct machine *m, uint32_t ref, int status, uint32_t times);

static inline void *page_at(const struct machine *m, uint32_t ref)
{
	return m->mem + (size_t)ref * SIMXEN_PAGE;
}

static inline void grant_set(struct machine *m, uint32_t ref,
			     enum grant_access access)
{
	static const uint32_t flags[] = {
		[GRANT_NONE] = SIMXEN_GRANT_USED,
		[GRANT_READONLY] = SIMXEN_GRANT_USED | SIMXEN_GRANT_VALID |
				   SIMXEN_GRANT_READONLY,
		[GRANT_WRITABLE] = SIMXEN_GRANT_USED | SIMXEN_GRANT_VALID,
	};

	__atomic_store_n(&m->grants->grant[ref].flags, flags[access],
			 __ATOMIC_RELEASE);
}

/*
 * An event channel that waits for one backend at a time. A thread of its own
 * answers whoever binds it, so a guest that is busy or stopped in a debugger
 * is the only one that can keep a backend waiting.
 */
struct port {
	uint32_t number;
	int wait_fd;		/* eventfd: the backend notified us */
	int notify_fd;
	int listen_fd, conn_fd;	/* the thread's; conn_fd is -1 when unbound */
	char *path;
};

struct port *port_open(struct machine *m);
void port_close(struct port *p);
void port_notify(struct port *p);

bool port_bound(const struct port *p);

#endif
