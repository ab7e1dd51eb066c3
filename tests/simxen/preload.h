/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preload.h: what the parts of libsimxen.so share.
 *
 * libsimxen.so is preloaded under a backend, QEMU or xenstored and answers the
 * calls of libxengnttab, libxenevtchn and libxenctrl out of the run directory
 * named by SIMXEN_DIR. Nothing here logs; errors are errno, as in the
 * libraries it stands in for.
 */
#ifndef XD_SIMXEN_PRELOAD_H
#define XD_SIMXEN_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/simxen/layout.h"

/* A foreign domain, as one process sees it: the table and all its memory. */
struct foreign {
	struct simxen_grants *grants;
	uint8_t *mem;
	int mem_fd;
};

/* "DIR/NAME" in buf; false when it does not fit. */
bool preload_path(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The domain, or NULL with errno ESRCH. Valid until preload_unlock(). Any
 * thread; many may hold the lock at once. */
struct foreign *preload_lock_domain(uint32_t domid);
void preload_unlock(void);

/* 0, or the GNTST_ status with which this access is refused. */
int preload_grant_status(struct foreign *f, uint32_t ref, bool write);

/* This process's counters: never NULL. */
struct simxen_stats *preload_stats(void);

#define count(field, n) \
	__atomic_fetch_add(&preload_stats()->field, (n), __ATOMIC_RELAXED)

/* What the trap into a hypervisor costs at the least. */
void preload_trap(void);

/* Removes this process's counters. */
void preload_remove_stats(void);

/* The two eventfds of a port (to wait for, to notify by) and the connection by
 * which the guest knows that it is bound. */
bool preload_bind(uint32_t domid, uint32_t port, int fds[3]);

/* From now on this process opens nothing by itself; ports are bound by another,
 * which is asked. */
int preload_restrict(uint32_t domid);
bool preload_restricted(void);
bool preload_ask_broker(uint32_t domid, uint32_t port, int fds[3]);

#endif
