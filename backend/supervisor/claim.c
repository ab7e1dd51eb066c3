/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * claim.c: how a device becomes ours, or does not.
 *
 *	1 --claim--> 7 --alone--> features and 2
 *	             |
 *	             `--QEMU shows itself--> left to it, without a node of ours
 *
 * QEMU takes a qdisk whose state is 1. libxl writes all disks of a guest before
 * it starts QEMU: whoever claims then has them. A disk that is attached to a
 * running guest is a race, counted in round trips to xenstored: so the device
 * named by the event is tried without a look at the directory, all claims of a
 * burst come first, and everything else later. A QEMU that has read 1 before
 * our claim goes on regardless, and is not seen before it has opened the image.
 * So where a QEMU runs, a claimed device is watched for a while before the
 * frontend sees anything of it: state 7 (Reconfiguring) means nothing to QEMU
 * nor to frontends, which wait for 2.
 *
 * The features stand in the transaction that shows 2, since frontends read some
 * of them as soon as they see it.
 *
 * The node xdisk-owner says which daemon has claimed (its run directory): by
 * it a new daemon knows the devices of one that has died.
 */
#include "backend/supervisor/claim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/rings.h"
#include "backend/supervisor/store.h"
#include "common/bits.h"
#include "common/clock.h"
#include "common/log.h"

#define OUR_SCRIPT "block-xdisk"
#define OWNER_NODE "xdisk-owner"

/* From QEMU's look at the state to its first node it opens the image: a few
 * milliseconds on an idle host. */
#define QEMU_SHOWS_NS NS_PER_S

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
	       !strcmp(owner, dev->host->conf->run_dir);
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
		log_write(&dev->log, LOG_LEVEL_ERROR, "params: %s",
			  error_text(&err, ret));
	return ret;
}

/* Formats that we do not serve are left to QEMU, silently: it is the normal
 * way of those devices. */
static bool is_for_us(struct xs_handle *xs, xs_transaction_t t,
		      struct device *dev)
{
	if (dev->kind == KIND_VBD && !dev->host->conf->all_vbd &&
	    !script_is_ours(xs, t, dev->path))
		return false;
	return read_params(xs, t, dev) == 0 &&
	       (dev->params.format == XL_FORMAT_RAW ||
		dev->params.format == XL_FORMAT_QCOW2 ||
		dev->params.format == XL_FORMAT_EMPTY);
}

/* Its nodes are made when it is started and removed when it ends. */
static bool qemu_runs(struct xs_handle *xs, xs_transaction_t t,
		      const struct device *dev)
{
	char path[STORE_PATH_MAX], text[STORE_VALUE_MAX];

	snprintf(path, sizeof(path), "device-model/%u", dev->domid);
	return store_read(xs, t, path, "", text, sizeof(text)) >= 0;
}

/*
 * Those for which no image is needed. Barriers are served, but not offered:
 * whoever knows flushes does not use them, and QEMU offers none either.
 */
struct feature {
	const char *node;
	unsigned int value, absent;
	bool of_qemu;		/* QEMU writes it, too, whatever the disk */
};
#define NR_FEATURES 6

static void list_features(const struct device *dev,
			  struct feature features[NR_FEATURES])
{
	const struct feature f[NR_FEATURES] = {
		{ "multi-queue-max-queues", dev->host->conf->max_queues, 1,
		  false },
		{ "max-ring-page-order", LIMIT_RING_ORDER, 0, true },
		{ "feature-flush-cache", 1, 0, true },
		/* guests that flush in no other way: Linux before 3.1 */
		{ "feature-barrier", 1, 0, false },
		{ "feature-persistent", 1, 0, false },
		{ "feature-max-indirect-segments", LIMIT_INDIRECT, 0, false },
	};

	memcpy(features, f, sizeof(f));
}

static int write_features(struct xs_handle *xs, xs_transaction_t t,
			  const struct device *dev)
{
	struct feature f[NR_FEATURES];
	int ret = 0;

	list_features(dev, f);
	for (size_t i = 0; ret == 0 && i < NR_FEATURES; i++)
		ret = store_write_uint(xs, t, dev->path, f[i].node,
				       f[i].value, f[i].absent);
	return ret;
}

static bool node_exists(struct xs_handle *xs, xs_transaction_t t,
			const struct device *dev, const char *node)
{
	char text[STORE_VALUE_MAX];

	return store_read(xs, t, dev->path, node, text, sizeof(text)) >= 0;
}

/* A predecessor may have offered less, or more. */
static int take_over(struct xs_handle *xs, xs_transaction_t t,
		     struct device *dev, uint64_t state)
{
	if (!is_our_orphan(xs, t, dev) || read_params(xs, t, dev) < 0)
		return -ENODEV;
	if (state == XENBUS_RECONFIGURING)
		return 0;
	dev->stage = DEVICE_OFFERED;
	return write_features(xs, t, dev);
}

/* -ENODEV: not for us. */
static int claim(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct device *dev = arg;
	uint64_t state;
	int ret;

	if (store_read_uint(xs, t, dev->path, "state", XENBUS_NR_STATES - 1,
			    &state) < 0)
		return -ENODEV;
	dev->stage = DEVICE_CLAIMED;
	if (dev->kind == KIND_QDISK && qemu_runs(xs, t, dev))
		dev->offer_ns = monotonic_ns() + QEMU_SHOWS_NS;
	if (state != XENBUS_INITIALISING)
		return take_over(xs, t, dev, state);
	if (!is_for_us(xs, t, dev))
		return -ENODEV;
	ret = store_write(xs, t, dev->path, OWNER_NODE, "%s",
			  dev->host->conf->run_dir);
	return ret ?: store_write(xs, t, dev->path, "state", "%d",
				  XENBUS_RECONFIGURING);
}

int claim_again(struct device *dev)
{
	int ret = store_transact(dev->host->xs, claim, dev);

	if (ret < 0)
		dev->stage = DEVICE_SEEN;
	return ret;
}

/* The kernel's xen-blkback takes every vbd that it sees. What stands there
 * already was said then. */
static void complain_of_blkback(struct device *dev)
{
	struct xs_handle *xs = dev->host->xs;
	char sysfs[96], text[200], said[sizeof(text)];

	snprintf(sysfs, sizeof(sysfs),
		 "/sys/bus/xen-backend/drivers/vbd/vbd-%u-%u", dev->domid,
		 dev->devid);
	if (access(sysfs, F_OK) < 0 || !script_is_ours(xs, XBT_NULL, dev->path))
		return;
	snprintf(text, sizeof(text), "the kernel's xen-blkback has taken this "
		 "device; it must not be loaded where %s is used", OUR_SCRIPT);
	if (store_read(xs, XBT_NULL, dev->path, "hotplug-error", said,
		       sizeof(said)) >= 0 && !strcmp(said, text))
		return;
	log_write(&dev->log, LOG_LEVEL_ERROR, "%s", text);
	store_write(xs, XBT_NULL, dev->path, "hotplug-error", "%s", text);
}

int claim_device(const struct host *host, enum device_kind kind,
		 uint32_t domid, uint32_t devid, struct device **out)
{
	struct device *dev = device_new(host, kind, domid, devid);
	int ret;

	*out = NULL;
	if (!dev)
		return -ENOMEM;
	ret = claim_again(dev);
	if (ret != -ENODEV) {
		device_wrote(dev, XENBUS_CLAIM, ret);
		*out = dev;
		return 0;
	}
	if (kind == KIND_VBD)
		complain_of_blkback(dev);
	device_free(dev);
	return 0;
}

/* ---- offer ---- */

/* While the device is claimed none of these is ours. */
static bool qemu_shows(struct xs_handle *xs, xs_transaction_t t,
		       const struct device *dev)
{
	return dev->kind == KIND_QDISK &&
	       (node_exists(xs, t, dev, "feature-flush-cache") ||
		node_exists(xs, t, dev, "max-ring-page-order") ||
		node_exists(xs, t, dev, "info") ||
		node_exists(xs, t, dev, "sectors"));
}

/* -ESTALE: somebody has changed the state, or QEMU shows itself. */
static int expect_claimed(struct xs_handle *xs, xs_transaction_t t,
			  const struct device *dev)
{
	uint64_t state;
	int ret = store_read_uint(xs, t, dev->path, "state",
				  XENBUS_NR_STATES - 1, &state);

	if (ret == 0 &&
	    (state != XENBUS_RECONFIGURING || qemu_shows(xs, t, dev)))
		ret = -ESTALE;
	return ret;
}

/*
 * A domain may own 1000 nodes, those in its backend directories among them
 * whoever wrote them. These of libxl's say no more than their absence does, or
 * nothing to anybody; libxl itself reads those below /libxl.
 */
static int drop_idle_nodes(struct xs_handle *xs, xs_transaction_t t,
		     const struct device *dev)
{
	static const struct { const char *node, *value; } idle[] = {
		{ "bootable", "1" }, { "specification", "xen" },
		{ "removable", "0" }, { "discard-enable", "1" },
	};
	char text[8];
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(idle); i++) {
		if (store_read(xs, t, dev->path, idle[i].node, text,
			       sizeof(text)) >= 0 &&
		    !strcmp(text, idle[i].value))
			ret = store_remove(xs, t, dev->path, idle[i].node);
	}
	return ret;
}

static int write_offer(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct device *dev = arg;
	int ret = expect_claimed(xs, t, dev);

	if (ret == 0)
		ret = drop_idle_nodes(xs, t, dev);
	if (ret == 0)
		ret = write_features(xs, t, dev);
	return ret ?: store_write(xs, t, dev->path, "state", "%d",
				  XENBUS_INIT_WAIT);
}

int claim_offer(struct device *dev)
{
	int ret = store_transact(dev->host->xs, write_offer, dev);

	if (ret == 0)
		device_enter(dev, DEVICE_OFFERED);
	return ret;
}

static int give_back(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct device *dev = arg;
	int ret = expect_claimed(xs, t, dev);

	if (ret == 0)
		ret = store_remove(xs, t, dev->path, OWNER_NODE);
	return ret ?: store_write(xs, t, dev->path, "state", "%d",
				  XENBUS_INITIALISING);
}

int claim_give_back(struct device *dev)
{
	return store_transact(dev->host->xs, give_back, dev);
}

/* ---- QEMU ---- */

/* QEMU does not lock images. It makes itself known by `sectors`, which we write
 * together with 4 only, and by writing 2 when its own device is complete. */
static bool is_qemus(struct device *dev, enum xenbus_state be)
{
	struct xs_handle *xs = dev->host->xs;

	if (dev->kind != KIND_QDISK)
		return false;
	if (dev->stage == DEVICE_CLAIMED)
		return be == XENBUS_INIT_WAIT || qemu_shows(xs, XBT_NULL, dev);
	if (dev->published)
		return dev->shown && be == XENBUS_INIT_WAIT;
	return node_exists(xs, XBT_NULL, dev, "sectors");
}

/* All that QEMU does not write itself. */
static int remove_our_nodes(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct device *dev = arg;
	struct feature f[NR_FEATURES];
	int ret = store_remove(xs, t, dev->path, OWNER_NODE);

	list_features(dev, f);
	for (size_t i = 0; ret == 0 && i < NR_FEATURES; i++) {
		if (!f[i].of_qemu)
			ret = store_remove(xs, t, dev->path, f[i].node);
	}
	return ret ?: store_remove(xs, t, dev->path, "physical-sector-size");
}

int claim_clear(struct device *dev)
{
	return store_transact(dev->host->xs, remove_our_nodes, dev);
}

/* The one who came later gives way: us. A frontend that we have served goes on
 * with what it has of us, and fails; for all others nothing has happened. */
bool claim_yield_to_qemu(struct device *dev, enum xenbus_state be)
{
	if ((dev->stage != DEVICE_CLAIMED && dev->stage != DEVICE_OFFERED) ||
	    !is_qemus(dev, be))
		return dev->stage == DEVICE_YIELDED;
	if (dev->shown)
		device_report(dev, "QEMU has taken the disk while it was served; "
			      "it is left to QEMU and must be detached and "
			      "attached again");
	else
		device_report_good(dev);
	dev->refused = XENBUS_NONE;
	device_enter(dev, DEVICE_YIELDED);
	log_write(&dev->log, LOG_LEVEL_WARN, "QEMU has taken the device at the "
		  "same moment; it is left to QEMU");
	return true;
}
