/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.c: carries out in xenstore what xenbus.c has decided.
 *
 * Every change of state is a transaction that first looks whether the state is
 * still the one that the decision was made for: libxl may write 5 or 6, or
 * remove the directory, at any moment; a plain write would undo that, or make
 * the directory anew with nothing but our node in it.
 */
#include "backend/supervisor/device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/supervisor/store.h"
#include "common/bits.h"
#include "common/log.h"

/* More actions than any sequence has; then let the others have a turn. */
#define STEP_ACTIONS 8

/* Xen's io/blkif.h: bits of `info`. */
enum { VDISK_CDROM = 1, VDISK_REMOVABLE = 2, VDISK_READONLY = 4 };

void device_free(struct device *dev)
{
	list_del(&dev->link);
	free(dev->params_text);
	free(dev->frontend);
	free(dev);
}

/* ---- telling the administrator ---- */

struct report {
	struct device *dev;
	const char *text;	/* NULL: all is well */
};

static int write_report(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct report *r = arg;
	const char *path = r->dev->path;
	uint64_t state;
	int ret = store_read_uint(xs, t, path, "state", XENBUS_NR_STATES - 1,
				  &state);

	if (ret < 0)
		return ret;	/* nobody is left to be told */
	if (r->text) {
		ret = store_write(xs, t, path, "error", "%s", r->text);
		if (ret == 0)
			ret = store_write(xs, t, path, "hotplug-error", "%s",
					  r->text);
	} else if (r->dev->reported) {
		ret = store_remove(xs, t, path, "error");
		if (ret == 0)
			ret = store_remove(xs, t, path, "hotplug-error");
	}
	if (ret == 0)
		ret = store_write(xs, t, path, "hotplug-status",
				  r->text ? "error" : "connected");
	return ret;
}

static void report(struct device *dev, const char *fmt, va_list ap)
{
	struct error err;
	struct report r = { dev, err.msg };

	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	log_limited(&dev->log_limit, LOG_LEVEL_ERROR, "%s: %s", dev->name,
		    err.msg);
	if (dev->yielded)	/* its nodes are QEMU's */
		return;
	store_transact(dev->sv->xs, write_report, &r);
	dev->reported = true;
}

void device_report(struct device *dev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(dev, fmt, ap);
	va_end(ap);
}

void device_fail(struct device *dev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(dev, fmt, ap);
	va_end(ap);
	dev->failed = true;
	dev->dirty = true;
}

void device_report_good(struct device *dev)
{
	struct report r = { dev, NULL };

	if (store_transact(dev->sv->xs, write_report, &r) == 0)
		dev->reported = false;
}

/* ---- changes of state ---- */

struct change {
	struct device *dev;
	enum xenbus_state from, to;
};

static int write_state(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct change *c = arg;
	uint64_t now;
	int ret = store_read_uint(xs, t, c->dev->path, "state",
				  XENBUS_NR_STATES - 1, &now);

	if (ret < 0)
		return ret;
	if (now != c->from)
		return -ESTALE;
	return store_write(xs, t, c->dev->path, "state", "%d", c->to);
}

static unsigned int disk_info(const struct device *dev)
{
	return (dev->cdrom ? VDISK_CDROM : 0) |
	       (dev->removable ? VDISK_REMOVABLE : 0) |
	       (dev->readonly ? VDISK_READONLY : 0);
}

/*
 * Sectors are 512 bytes whatever sector-size says (blkif.h since Xen 4.20;
 * before, implementations differed for all other values): so it stays 512,
 * and the physical one tells the truth.
 */
static int publish(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct change *c = arg;
	const struct device *dev = c->dev;
	const struct device_limits *l = &dev->limits;
	const struct { const char *node; uint64_t value; } nodes[] = {
		{ "sectors", l->size / SECTOR_SIZE },
		{ "sector-size", SECTOR_SIZE },
		{ "physical-sector-size",
		  max(l->physical_block, (uint64_t)SECTOR_SIZE) },
		{ "info", disk_info(dev) },
		{ "feature-discard", l->discard },
		{ "discard-granularity",
		  max(l->discard_granularity, (uint64_t)SECTOR_SIZE) },
		{ "discard-alignment", 0 },
		{ "discard-secure", 0 },
	};
	int ret = write_state(xs, t, c);

	if (dev->published && !memcmp(l, &dev->published_limits, sizeof(*l)))
		return ret;	/* a reconnect: all stands there already */
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(nodes); i++)
		ret = store_write(xs, t, dev->path, nodes[i].node, "%llu",
				  (unsigned long long)nodes[i].value);
	return ret;
}

static void change_state(struct device *dev, enum xenbus_state from,
			 enum xenbus_state to)
{
	struct change c = { dev, from, to };
	bool connected = to == XENBUS_CONNECTED;
	int ret = store_transact(dev->sv->xs, connected ? publish : write_state,
				 &c);

	if (ret == 0)
		dev->shown = connected;
	if (ret == 0 && connected) {
		dev->published = true;
		dev->published_limits = dev->limits;
	}
	if (ret < 0 && ret != -ESTALE && ret != -ENOENT)
		log_error("%s: cannot write state %s: %s", dev->name,
			  xenbus_state_name(to), strerror(-ret));
}

/* ---- one step ---- */

/* -errno only when xenstore itself does not answer: libxenstore has no other
 * way to tell that its connection is lost. */
static int read_state(struct xs_handle *xs, const char *dir,
		      enum xenbus_state *state)
{
	static struct log_limit limit;
	uint64_t value;
	int ret = store_read_uint(xs, XBT_NULL, dir, "state",
				  XENBUS_NR_STATES - 1, &value);

	*state = ret == 0 ? (enum xenbus_state)value : XENBUS_UNKNOWN;
	if (ret != -EIO && ret != -EPIPE && ret != -EBADF)
		return 0;
	log_limited(&limit, LOG_LEVEL_ERROR, "xenstore does not answer: %s",
		    strerror(-ret));
	return ret;
}

struct view {
	enum xenbus_state be, fe;
	struct xenbus_facts facts;
};

static int look(struct device *dev, struct view *v)
{
	struct xs_handle *xs = dev->sv->xs;
	uint64_t online = 0;
	int ret = read_state(xs, dev->path, &v->be);

	if (ret == 0 && dev->frontend && !dev->dead_domain)
		ret = read_state(xs, dev->frontend, &v->fe);
	else
		v->fe = XENBUS_UNKNOWN;
	if (ret < 0)
		return ret;
	store_read_uint(xs, XBT_NULL, dev->path, "online", 1, &online);
	if (v->be != XENBUS_UNKNOWN)
		device_yield_to_qemu(dev, v->be);
	v->facts = (struct xenbus_facts){
		.link = dev->state,
		.owned = true,
		.online = online,
		.failed = dev->failed,
		.stopping = dev->sv->stopping,
		.claimed = dev->claimed,
		.alone = monotonic_ns() >= dev->offer_ns,
	};
	return 0;
}

static enum xenbus_action decide(const struct device *dev,
				 const struct view *v)
{
	if (dev->forgotten)
		return XENBUS_NONE;
	/* One that is not ours any more: let go, and write nothing. */
	return xenbus_next(dev->yielded ? XENBUS_UNKNOWN : v->be, v->fe,
			   &v->facts);
}

static void forget(struct device *dev)
{
	char path[STORE_PATH_MAX];

	log_info("%s: gone", dev->name);
	if (dev->frontend) {
		snprintf(path, sizeof(path), "%s/state", dev->frontend);
		xs_unwatch(dev->sv->xs, path, dev->path);
	}
	link_close(dev);
	dev->forgotten = true;
	if (!dev->yielded)	/* it may have been made anew already */
		supervisor_scan(dev->sv, dev->kind, dev->domid, dev->devid);
}

static void act(struct device *dev, const struct view *v,
		enum xenbus_action action)
{
	switch (action) {
	case XENBUS_NONE:
	case XENBUS_CLAIM:	/* device_claim() has */
		return;
	case XENBUS_OFFER:
		device_offer(dev);
		return;
	case XENBUS_GIVE_BACK:
		device_give_back(dev);
		return;
	case XENBUS_CONNECT:
		link_connect(dev);
		return;
	case XENBUS_PUBLISH:
		change_state(dev, v->be, XENBUS_CONNECTED);
		return;
	case XENBUS_CLOSE:
		change_state(dev, v->be, XENBUS_CLOSING);
		return;
	case XENBUS_DISCONNECT:
		link_disconnect(dev);
		return;
	case XENBUS_FINISH:
		change_state(dev, v->be, XENBUS_CLOSED);
		return;
	case XENBUS_RESTART:
		dev->failed = false;
		change_state(dev, v->be, XENBUS_INIT_WAIT);
		return;
	case XENBUS_FORGET:
		forget(dev);
		return;
	}
}

void device_step(struct device *dev)
{
	struct view v;

	dev->dirty = false;
	for (int i = 0; i < STEP_ACTIONS; i++) {
		enum xenbus_action action;
		enum xenbus_link before = dev->state;

		if (dev->forgotten || dev->state == XENBUS_LINK_BUSY)
			return;
		if (look(dev, &v) < 0) {
			if (dev->sv->stopping)	/* with nobody to tell */
				link_disconnect(dev);
			return;
		}
		action = decide(dev, &v);
		if (action == XENBUS_NONE)
			return;
		log_debug("%s: backend %s, frontend %s: action %d", dev->name,
			  xenbus_state_name(v.be), xenbus_state_name(v.fe),
			  action);
		act(dev, &v, action);
		if (action == XENBUS_CONNECT && dev->state == before)
			return;		/* not yet time to try again */
	}
	dev->dirty = true;
}

void device_tick(struct device *dev, uint64_t now_ns, uint64_t *next_ns)
{
	if (dev->claimed && now_ns < dev->offer_ns)
		*next_ns = min(*next_ns, dev->offer_ns);
	else if (dev->claimed)
		dev->dirty = true;
	link_tick(dev, now_ns, next_ns);
}

bool device_parked(struct device *dev)
{
	struct view v;

	if (dev->forgotten)
		return true;
	if (dev->state != XENBUS_LINK_DOWN || dev->dirty)
		return false;
	return look(dev, &v) < 0 || decide(dev, &v) == XENBUS_NONE;
}

bool device_gone(const struct device *dev)
{
	return dev->forgotten && !child_alive(&dev->child);
}
