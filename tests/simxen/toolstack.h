/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * toolstack.h: what stock xl and libxl 4.17 do to xenstore and to hotplug
 * scripts for a disk, in the same order and with the same timeouts.
 *
 * Only what a block backend can notice is done: no console, no device model,
 * no memory beyond what grants need. A failure ends the program with the
 * sentence that xl would show.
 */
#ifndef XD_SIMXEN_TOOLSTACK_H
#define XD_SIMXEN_TOOLSTACK_H

#include <stdbool.h>
#include <stdint.h>

/* libxl_internal.h: LIBXL_INIT_TIMEOUT, LIBXL_DESTROY_TIMEOUT,
 * LIBXL_HOTPLUG_TIMEOUT, LIBXL_QEMU_BODGE_TIMEOUT */
#define INIT_TIMEOUT_MS 10000
#define DESTROY_TIMEOUT_MS 10000
#define HOTPLUG_TIMEOUT_S 40
#define QEMU_BODGE_MS 2000

struct toolstack {
	const char *script_dir;	/* where a script= without a slash lies */
	bool quick;		/* no two seconds of grace for QEMU */
	uint32_t pages;		/* the domain's memory */
};

/* A device that exists: its three directories. vbd_release() frees them. */
struct vbd_paths {
	uint32_t domid, devid;
	char *fe, *be, *libxl;
};

/* xl create: the domain, then every disk. */
void toolstack_create(const struct toolstack *ts, uint32_t domid,
		      char *const *specs, int nr_specs);

/* xl block-attach, block-detach [--force] */
void toolstack_attach(const struct toolstack *ts, uint32_t domid,
		      const char *spec);
void toolstack_detach(const struct toolstack *ts, uint32_t domid,
		      const char *vdev, bool force);

/* xl destroy */
void toolstack_destroy(const struct toolstack *ts, uint32_t domid);

/* The guest shut itself down: "poweroff", "reboot", "suspend", "crash", or
 * "resume", which takes it back. */
void toolstack_shutdown(uint32_t domid, const char *reason);

/* Ends the program when the domain has no such disk. */
void vbd_find(struct vbd_paths *vbd, uint32_t domid, const char *vdev);
void vbd_release(struct vbd_paths *vbd);

#endif
