/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * claim.c: how a device becomes ours.
 *
 * QEMU takes a qdisk whose state is 1, and so do we: whoever moves it to 2
 * first has it. libxl writes all disks of a guest before it starts QEMU; but
 * one that is attached to a running guest is a race, counted in round trips to
 * xenstored. So the claim is a transaction of five, the device named by the
 * event is tried without a look at the directory, all claims of a burst come
 * first, and everything else later.
 *
 * The node xdisk-owner says which daemon has claimed (its run directory): by
 * it a new daemon knows the devices of one that has died.
 */
#include "backend/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/frontend.h"
#include "backend/store.h"
#include "common/bits.h"
#include "common/log.h"

#define OUR_SCRIPT "block-xdisk"
#define OWNER_NODE "xdisk-owner"
#define MAX_INDIRECT 256	/* segments, what Linux's backend offers */

/* ---- whose is it? ---- */


static bool script_is_ours(struct xs_handle *xs, xs_transaction_t t,
			   const char *path)
{
	char script[STORE_PATH_MAX];
	const char *base;

	if (store_read(xs, t, path, "script", script, sizeof(script)) < 0)
		return false;
	base = strrchr(script, '/');
	return !strcmp(base ? base + 1 : script, OUR_SCRIPT);
}

/* One that is going offline has had its time, with us or before us. */
static bool is_our_orphan(struct xs_handle *xs, xs_transaction_t t,
			  const struct device *dev)
{
	char owner[STORE_PATH_MAX];
	uint64_t online;

	return store_read_uint(xs, t, dev->path, "online", 1, &online) == 0 &&
	       online && store_read(xs, t, dev->path, OWNER_NODE, owner,
			  sizeof(owner)) >= 0 &&
	       !strcmp(owner, dev->sv->options->run_dir);
}

static int read_params(struct xs_handle *xs, xs_transaction_t t,
		       struct device *dev)
{
	char text[STORE_VALUE_MAX];
	struct error err = ERROR_INIT;
	int ret = store_read(xs, t, dev->path, "params", text, sizeof(text));

	if (ret < 0)
		return ret;
	free(dev->params_text);		/* the transaction's second try */
	dev->params_text = strdup(text);
	if (!dev->params_text)
		return -ENOMEM;
	ret = xl_params_parse(dev->params_text, &dev->params, &err);
	if (ret < 0)
		log_error("%s: params: %s", dev->name, error_text(&err, ret));
	return ret;
}

/* Formats that we do not serve are left to QEMU, silently: it is the normal
 * way of those devices. */
static bool is_for_us(struct xs_handle *xs, xs_transaction_t t,
		      struct device *dev)
{
	if (dev->kind == KIND_VBD && !dev->sv->options->all_vbd &&
	    !script_is_ours(xs, t, dev->path))
		return false;
	return read_params(xs, t, dev) == 0 &&
	       (dev->params.format == XL_FORMAT_RAW ||
		dev->params.format == XL_FORMAT_QCOW2 ||
		dev->params.format == XL_FORMAT_EMPTY);
}

/* -ENODEV: not for us. */
static int claim(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct device *dev = arg;
	uint64_t state;

	if (store_read_uint(xs, t, dev->path, "state", XENBUS_NR_STATES - 1,
			    &state) < 0)
		return -ENODEV;
	dev->adopted = state != XENBUS_INITIALISING;
	if (dev->adopted)
		return is_our_orphan(xs, t, dev) ? read_params(xs, t, dev) :
						   -ENODEV;
	if (!is_for_us(xs, t, dev))
		return -ENODEV;
	return store_write(xs, t, dev->path, "state", "%d", XENBUS_INIT_WAIT);
}

/* The kernel's xen-blkback takes every vbd that it sees. */
static void complain_of_blkback(struct supervisor *sv,
				const struct device *dev)
{
	static struct log_limit limit;
	char sysfs[96], text[200];

	snprintf(sysfs, sizeof(sysfs),
		 "/sys/bus/xen-backend/drivers/vbd/vbd-%u-%u", dev->domid,
		 dev->devid);
	if (access(sysfs, F_OK) < 0 ||
	    !script_is_ours(sv->xs, XBT_NULL, dev->path))
		return;
	snprintf(text, sizeof(text), "the kernel's xen-blkback has taken this "
		 "device; it must not be loaded where %s is used", OUR_SCRIPT);
	log_limited(&limit, LOG_LEVEL_ERROR, "%s: %s", dev->name, text);
	store_write(sv->xs, XBT_NULL, dev->path, "hotplug-error", "%s", text);
}

/* ---- claim ---- */

static struct device *device_new(struct supervisor *sv, enum device_kind kind,
				 uint32_t domid, uint32_t devid)
{
	struct device *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return NULL;
	list_init(&dev->link);
	child_init(&dev->child);
	dev->sv = sv;
	dev->kind = kind;
	dev->domid = domid;
	dev->devid = devid;
	dev->dirty = true;
	snprintf(dev->name, sizeof(dev->name), "vbd %u/%u", domid, devid);
	snprintf(dev->path, sizeof(dev->path), "backend/%s/%u/%u",
		 device_kind_name(kind), domid, devid);
	return dev;
}

int device_claim(struct supervisor *sv, enum device_kind kind, uint32_t domid,
		 uint32_t devid, struct device **out)
{
	struct device *dev;
	int ret;

	*out = NULL;
	dev = device_new(sv, kind, domid, devid);
	if (!dev)
		return -ENOMEM;
	ret = store_transact(sv->xs, claim, dev);
	if (ret < 0) {
		if (ret == -ENODEV && kind == KIND_VBD)
			complain_of_blkback(sv, dev);
		device_free(dev);
		return ret == -ENODEV ? 0 : ret;
	}
	list_add_tail(&sv->devices, &dev->link);
	*out = dev;
	return 0;
}

/* ---- prepare ---- */

static bool node_is(struct device *dev, const char *node, const char *value)
{
	char text[16];

	return store_read(dev->sv->xs, XBT_NULL, dev->path, node, text,
			  sizeof(text)) >= 0 && !strcmp(text, value);
}

/* The toolstack's nodes; the directory's owner is we, not the guest. */
static int read_settings(struct device *dev, struct error *err)
{
	struct xs_handle *xs = dev->sv->xs;
	char text[STORE_PATH_MAX];
	uint64_t domid;
	int ret;

	ret = store_read(xs, XBT_NULL, dev->path, "frontend", text,
			 sizeof(text) - 64);	/* room for its nodes */
	if (ret < 0 || text[0] != '/')
		return error_set(err, EINVAL, "no frontend node");
	dev->frontend = strdup(text);
	if (!dev->frontend)
		return -ENOMEM;
	ret = store_read_uint(xs, XBT_NULL, dev->path, "frontend-id",
			      UINT32_MAX, &domid);
	if (ret < 0 || domid != dev->domid)
		return error_set(err, EINVAL, "frontend-id is not %u",
				 dev->domid);
	dev->cdrom = node_is(dev, "device-type", "cdrom");
	dev->removable = node_is(dev, "removable", "1");
	dev->readonly = dev->cdrom || !node_is(dev, "mode", "w");
	dev->discard = !node_is(dev, "discard-enable", "0");
	return 0;
}

/* What no image is needed for. Frontends read ring order and queues as soon
 * as they have seen 2, all else with 4. */
static int write_features(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct device *dev = arg;
	const struct options *o = dev->sv->options;
	const struct { const char *node; unsigned int value; } nodes[] = {
		{ "multi-queue-max-queues", o->max_queues },
		{ "max-ring-page-order", FRONTEND_MAX_ORDER },
		{ "feature-flush-cache", 1 },
		{ "feature-barrier", 1 },
		{ "feature-persistent", 1 },
		{ "feature-max-indirect-segments", MAX_INDIRECT },
	};
	uint64_t state;
	int ret;

	ret = store_read_uint(xs, t, dev->path, "state",
			      XENBUS_NR_STATES - 1, &state);
	if (ret == 0)
		ret = store_write(xs, t, dev->path, OWNER_NODE, "%s",
				  o->run_dir);
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(nodes); i++)
		ret = store_write(xs, t, dev->path, nodes[i].node, "%u",
				  nodes[i].value);
	return ret;
}

static void watch_frontend(struct device *dev)
{
	char path[STORE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/state", dev->frontend);
	if (!xs_watch(dev->sv->xs, path, dev->path))
		device_report(dev, "cannot watch %s: %s", path,
			      strerror(errno));
}

/* A predecessor has died, or was stopped, and left it like this. */
static void adopt(struct device *dev)
{
	uint64_t state = XENBUS_UNKNOWN, sectors;

	dev->published = store_read_uint(dev->sv->xs, XBT_NULL, dev->path,
					 "sectors", UINT64_MAX, &sectors) == 0;
	store_read_uint(dev->sv->xs, XBT_NULL, dev->path, "state",
			XENBUS_NR_STATES - 1, &state);
	if (state == XENBUS_CONNECTED)
		device_fail(dev, "the guest was connected to an xdiskd that "
			    "ended without closing; the disk must be "
			    "detached and attached again");
}

void device_prepare(struct device *dev)
{
	struct error err = ERROR_INIT;
	int ret;

	ret = store_transact(dev->sv->xs, write_features, dev);
	if (ret == 0)
		ret = read_settings(dev, &err);
	if (ret < 0) {
		device_fail(dev, "cannot be served: %s",
			    error_text(&err, ret));
		return;
	}
	log_info("%s: %s %s %s", dev->name,
		 dev->adopted ? "found again" : "claimed",
		 device_kind_name(dev->kind), dev->params_text);
	if (dev->adopted)
		adopt(dev);
	watch_frontend(dev);
	link_probe(dev);
}
