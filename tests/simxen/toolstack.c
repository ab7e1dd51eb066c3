/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * toolstack.c: xl and libxl, as far as a block backend sees them.
 *
 *	add	one transaction writes the frontend's, the backend's and libxl's
 *		own directory. For QEMU's kind that is all. Otherwise: backend in
 *		state 2 within 10 s, then "script add".
 *	remove	online=0 and state=5 in one transaction, backend in state 6
 *		within 10 s, "script remove", directories removed.
 *	destroy	the same by force for each disk: the frontend's directory goes
 *		first and a backend that does not answer is ignored. A disk of
 *		QEMU's kind gets two seconds and then state 6 from libxl.
 *
 * The backend is always domain 0.
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/sched.h>

#include "tests/simxen/simxen.h"
#include "tests/simxen/store.h"
#include "tests/simxen/toolstack.h"
#include "xlcfg/disk.h"

#define BACKEND_DOMID 0

static char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *format(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		die("out of memory");
	va_end(ap);
	return s;
}

static void vbd_name(struct vbd_paths *vbd, uint32_t domid, uint32_t devid,
		     char *be)
{
	vbd->domid = domid;
	vbd->devid = devid;
	vbd->be = be;
	vbd->fe = format("/local/domain/%u/device/vbd/%u", domid, devid);
	vbd->libxl = format("/libxl/%u/device/vbd/%u", domid, devid);
}

void vbd_find(struct vbd_paths *vbd, uint32_t domid, const char *vdev)
{
	struct error err = ERROR_INIT;
	uint32_t devid;
	char *be;

	if (xl_vdev_number(vdev, &devid, &err))
		die("%s", err.msg);
	be = store_read(XBT_NULL, "/libxl/%u/device/vbd/%u/backend", domid,
			devid);
	if (!be)
		die("domain %u has no disk %s", domid, vdev);
	vbd_name(vbd, domid, devid, be);
}

void vbd_release(struct vbd_paths *vbd)
{
	free(vbd->fe);
	free(vbd->be);
	free(vbd->libxl);
}

/* ---- hotplug scripts --------------------------------------------------- */

/* Which part of backend/KIND/D/N is KIND. */
static char *kind_of(const struct vbd_paths *vbd)
{
	const char *p = strstr(vbd->be, "/backend/") + strlen("/backend/");

	return format("%.*s", (int)strcspn(p, "/"), p);
}

static bool kind_is_qemu(const struct vbd_paths *vbd)
{
	return strstr(vbd->be, "/backend/qdisk/") != NULL;
}

static void exec_script(const struct vbd_paths *vbd, const char *script,
			const char *verb)
{
	setenv("script", script, 1);
	setenv("XENBUS_TYPE", kind_of(vbd), 1);
	setenv("XENBUS_PATH", strstr(vbd->be, "backend/"), 1);
	setenv("XENBUS_BASE_PATH", "backend", 1);
	alarm(HOTPLUG_TIMEOUT_S);
	execl(script, script, verb, NULL);
	fprintf(stderr, "simguest: %s: %s\n", script, strerror(errno));
	_exit(127);
}

/* False when the script failed; libxl shows hotplug-error then. */
static bool run_script(const struct vbd_paths *vbd, const char *verb)
{
	char *script = store_read(XBT_NULL, "%s/script", vbd->be);
	int status = 0;
	pid_t pid;

	if (!script || kind_is_qemu(vbd)) {
		free(script);
		return true;
	}
	pid = fork();
	if (pid == 0)
		exec_script(vbd, script, verb);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die("%s: %s", script, strerror(errno));
	free(script);
	return status == 0;
}

/* Takes the path away and every directory above it that is empty then. */
static void cleanup_path(xs_transaction_t t, const char *path)
{
	char *p = format("%s", path), *slash;
	unsigned int n;

	do {
		store_remove(t, "%s", p);
		slash = strrchr(p, '/');
		*slash = '\0';
		if (slash == p)
			break;
		free(store_list(t, &n, "%s", p));
	} while (n == 0);
	free(p);
}

/* ---- adding ------------------------------------------------------------ */

static void write_backend(xs_transaction_t t, const struct toolstack *ts,
			  const struct vbd_paths *vbd,
			  const struct xl_disk *disk, const char *kind,
			  const char *params)
{
	bool rw = !disk->readonly;
	bool discard = disk->discard == XL_DISCARD_UNSET ?
		rw : disk->discard == XL_DISCARD_ON;
	const char *script = disk->script;

	store_write(t, vbd->be, "frontend", "%s", vbd->fe);
	store_write(t, vbd->be, "params", "%s", params);
	if (script && *script == '/')
		store_write(t, vbd->be, "script", "%s", script);
	else if (script || strcmp(kind, "vbd") == 0)
		store_write(t, vbd->be, "script", "%s/%s", ts->script_dir,
			    script ? script : "block");
	store_write(t, vbd->be, "frontend-id", "%u", vbd->domid);
	store_write(t, vbd->be, "online", "1");
	store_write(t, vbd->be, "removable", "%d", disk->cdrom);
	store_write(t, vbd->be, "bootable", "1");
	store_write(t, vbd->be, "state", "1");
	store_write(t, vbd->be, "dev", "%s", disk->vdev);
	store_write(t, vbd->be, "type", "%s",
		    strcmp(kind, "vbd") == 0 ? "phy" : kind);
	store_write(t, vbd->be, "mode", "%s", rw ? "w" : "r");
	store_write(t, vbd->be, "device-type", "%s",
		    disk->cdrom ? "cdrom" : "disk");
	if (disk->direct_io_safe)
		store_write(t, vbd->be, "direct-io-safe", "1");
	store_write(t, vbd->be, "discard-enable", "%d", discard);
	store_write(t, vbd->be, "specification", "xen");
}

static void write_frontend(xs_transaction_t t, const struct vbd_paths *vbd,
			   const struct xl_disk *disk)
{
	store_write(t, vbd->fe, "backend", "%s", vbd->be);
	store_write(t, vbd->fe, "backend-id", "%u", BACKEND_DOMID);
	store_write(t, vbd->fe, "state", "1");
	store_write(t, vbd->fe, "virtual-device", "%u", vbd->devid);
	store_write(t, vbd->fe, "device-type", "%s",
		    disk->cdrom ? "cdrom" : "disk");
	store_write(t, vbd->fe, "trusted", "%d", !disk->untrusted);
}

static void write_nodes(const struct toolstack *ts,
			const struct vbd_paths *vbd,
			const struct xl_disk *disk, const char *kind,
			const char *params)
{
	xs_transaction_t t;

	do {
		t = store_begin();
		store_remove(t, "%s", vbd->fe);
		store_remove(t, "%s", vbd->be);
		store_mkdir(t, vbd->fe, vbd->domid, BACKEND_DOMID);
		store_mkdir(t, vbd->be, BACKEND_DOMID, vbd->domid);
		write_frontend(t, vbd, disk);
		write_backend(t, ts, vbd, disk, kind, params);
		store_write(t, vbd->libxl, "frontend", "%s", vbd->fe);
		store_write(t, vbd->libxl, "backend", "%s", vbd->be);
		store_write(t, vbd->libxl, "params", "%s", params);
	} while (!store_commit(t));
}

static void wait_and_plug(const struct vbd_paths *vbd)
{
	char *why;

	if (!store_wait_state(vbd->be, STATE_BIT(XenbusStateInitWait),
			      INIT_TIMEOUT_MS))
		die("libxl: timeout: %s is in state %d, not 2", vbd->be,
		    store_state(vbd->be));
	if (run_script(vbd, "add"))
		return;
	why = store_read(XBT_NULL, "%s/hotplug-error", vbd->be);
	die("libxl: script failed for %s: %s", vbd->be,
	    why ? why : "no hotplug-error");
}

void toolstack_attach(const struct toolstack *ts, uint32_t domid,
		      const char *spec)
{
	struct error err = ERROR_INIT;
	struct vbd_paths vbd;
	struct xl_disk disk;
	const char *kind;
	char *params;
	uint32_t devid;

	if (xl_disk_parse(spec, &disk, &err) ||
	    xl_vdev_number(disk.vdev, &devid, &err) ||
	    xl_disk_backend_nodes(&disk, &kind, &params, &err))
		die("%s: %s", spec, err.msg);
	vbd_name(&vbd, domid, devid,
		 format("/local/domain/%u/backend/%s/%u/%u", BACKEND_DOMID,
			kind, domid, devid));
	write_nodes(ts, &vbd, &disk, kind, params);
	if (!kind_is_qemu(&vbd))
		wait_and_plug(&vbd);
	vbd_release(&vbd);
	xl_disk_free(&disk);
	free(params);
}

/* The builder's part: memory, the store's page and port, /local/domain/D. For
 * domain 0, which is there but may have disks as pygrub wants, memory only. */
static void build_domain(const struct toolstack *ts, uint32_t domid)
{
	char *home = format("/local/domain/%u", domid);
	struct machine m;
	struct port *port;

	machine_create(domid, ts->pages);
	if (domid == BACKEND_DOMID) {
		free(home);
		return;
	}
	machine_open(&m, domid);
	port = port_open(&m);
	store_mkdir(XBT_NULL, home, domid, domid);
	store_write(XBT_NULL, home, "domid", "%u", domid);
	store_write(XBT_NULL, home, "name", "guest%u", domid);
	store_introduce(domid, SIMXEN_STORE_GREF, port->number);
	port_close(port);
	machine_close(&m);
	free(home);
}

void toolstack_create(const struct toolstack *ts, uint32_t domid,
		      char *const *specs, int nr_specs)
{
	int i;

	build_domain(ts, domid);
	for (i = 0; i < nr_specs; i++)
		toolstack_attach(ts, domid, specs[i]);
}

/* ---- removing ---------------------------------------------------------- */

/* False when the backend has no state any more. */
static bool ask_to_close(const struct vbd_paths *vbd, bool force)
{
	enum xenbus_state state;
	xs_transaction_t t;
	char *value;

	do {
		t = store_begin();
		if (force)
			cleanup_path(t, vbd->fe);
		value = store_read(t, "%s/state", vbd->be);
		state = value ? atoi(value) : XenbusStateUnknown;
		free(value);
		if (state && state != XenbusStateClosed) {
			store_write(t, vbd->be, "online", "0");
			store_write(t, vbd->be, "state", "%d",
				    XenbusStateClosing);
		}
	} while (!store_commit(t));
	return state != XenbusStateUnknown;
}

static void remove_nodes(const struct vbd_paths *vbd)
{
	xs_transaction_t t;

	do {
		t = store_begin();
		cleanup_path(t, vbd->fe);
		cleanup_path(t, vbd->be);
		cleanup_path(t, vbd->libxl);
	} while (!store_commit(t));
}

static void remove_disk(const struct vbd_paths *vbd, bool force)
{
	if (ask_to_close(vbd, force) &&
	    !store_wait_state(vbd->be, STATE_BIT(XenbusStateClosed) |
			      STATE_BIT(XenbusStateUnknown),
			      DESTROY_TIMEOUT_MS) && !force)
		die("libxl: timeout: %s is in state %d, not 6", vbd->be,
		    store_state(vbd->be));
	if (!run_script(vbd, "remove"))
		fprintf(stderr, "simguest: libxl: script remove failed\n");
	remove_nodes(vbd);
}

void toolstack_detach(const struct toolstack *ts, uint32_t domid,
		      const char *vdev, bool force)
{
	struct vbd_paths vbd;

	vbd_find(&vbd, domid, vdev);
	remove_disk(&vbd, force);
	vbd_release(&vbd);
}

static void remove_disk_of_dying(const struct toolstack *ts,
				 const struct vbd_paths *vbd)
{
	if (!kind_is_qemu(vbd)) {
		remove_disk(vbd, true);
		return;
	}
	usleep(ts->quick ? 1000 : QEMU_BODGE_MS * 1000);
	if (store_state(vbd->be) != XenbusStateUnknown)
		store_write(XBT_NULL, vbd->be, "state", "%d",
			    XenbusStateClosed);
	remove_nodes(vbd);
}

void toolstack_destroy(const struct toolstack *ts, uint32_t domid)
{
	struct vbd_paths vbd;
	char **devids;
	unsigned int n, i;
	char *be;

	devids = store_list(XBT_NULL, &n, "/libxl/%u/device/vbd", domid);
	for (i = 0; i < n; i++) {
		be = store_read(XBT_NULL, "/libxl/%u/device/vbd/%s/backend",
				domid, devids[i]);
		if (!be)
			continue;
		vbd_name(&vbd, domid, atoi(devids[i]), be);
		remove_disk_of_dying(ts, &vbd);
		vbd_release(&vbd);
	}
	free(devids);
	if (machine_exists(domid))
		machine_destroy(domid);
	if (domid == BACKEND_DOMID)
		return;
	store_release(domid);
	store_remove(XBT_NULL, "/local/domain/%u", domid);
	store_remove(XBT_NULL, "/libxl/%u", domid);
}

void toolstack_shutdown(uint32_t domid, const char *reason)
{
	static const struct {
		const char *name;
		uint32_t code;
	} reasons[] = {
		{ "poweroff", SHUTDOWN_poweroff },
		{ "reboot", SHUTDOWN_reboot },
		{ "suspend", SHUTDOWN_suspend },
		{ "crash", SHUTDOWN_crash },
	};
	struct machine m;
	size_t i;

	machine_open(&m, domid);
	m.grants->shutdown = 0;
	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strcmp(reason, reasons[i].name) != 0)
			continue;
		m.grants->shutdown_reason = reasons[i].code;
		m.grants->shutdown = 1;
	}
	if (!m.grants->shutdown && strcmp(reason, "resume") != 0)
		die("unknown reason '%s'", reason);
	machine_close(&m);
	machine_raise_virq();
}
