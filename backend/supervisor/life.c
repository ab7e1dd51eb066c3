/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * life.c: see life.h.
 *
 * Every change of state is a transaction that first looks whether the state is
 * still the one that the decision was made for: libxl may write 5 or 6, or
 * remove the directory, at any moment; a plain write would undo that, or make
 * the directory anew with nothing but our node in it.
 */
#include "backend/supervisor/life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/supervisor/claim.h"
#include "backend/supervisor/connect.h"
#include "backend/supervisor/store.h"
#include "common/bits.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/size.h"

/* More actions than any sequence has; then let the others have a turn. */
#define STEP_ACTIONS 8

/* Xen's io/blkif.h: bits of `info`. */
enum { VDISK_CDROM = 1, VDISK_REMOVABLE = 2, VDISK_READONLY = 4 };

/* ---- the beginning ---- */

static bool node_is(struct device *dev, const char *node, const char *value)
{
	char text[16];

	return store_read(dev->host->xs, XBT_NULL, dev->path, node, text,
			  sizeof(text)) >= 0 && !strcmp(text, value);
}

/* The toolstack's nodes; the directory's owner is we, not the guest. */
static int read_settings(struct device *dev, struct error *err)
{
	struct xs_handle *xs = dev->host->xs;
	char text[STORE_PATH_MAX], home[48];
	uint64_t domid;
	int ret;

	ret = store_read(xs, XBT_NULL, dev->path, "frontend", text,
			 sizeof(text) - 64);	/* room for its nodes */
	if (ret < 0)
		return error_set(err, EINVAL, "no frontend node");
	snprintf(home, sizeof(home), "/local/domain/%u/", dev->domid);
	if (strncmp(text, home, strlen(home)))
		return error_set(err, EINVAL, "frontend is not below %s", home);
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
	dev->direct_io_safe = node_is(dev, "direct-io-safe", "1");
	return 0;
}

/* A predecessor has died, or was stopped, and left it like this. */
static void adopt(struct device *dev)
{
	uint64_t state = XENBUS_UNKNOWN, sectors;

	dev->published = store_read_uint(dev->host->xs, XBT_NULL, dev->path,
					 "sectors", UINT64_MAX, &sectors) == 0;
	store_read_uint(dev->host->xs, XBT_NULL, dev->path, "state",
			XENBUS_NR_STATES - 1, &state);
	if (state == XENBUS_CONNECTED)
		device_fail(dev, "the guest was connected to an xdiskd that "
			    "ended without closing; the disk must be "
			    "detached and attached again");
}

void life_begin(struct device *dev)
{
	bool adopted = dev->stage == DEVICE_OFFERED;
	struct error err = ERROR_INIT;
	int ret;

	connect_init(dev);
	if (dev->stage == DEVICE_SEEN)
		return;
	ret = read_settings(dev, &err);
	if (ret < 0) {
		device_fail(dev, "cannot be served: %s",
			    error_text(&err, ret));
		return;
	}
	log_write(&dev->log, LOG_LEVEL_INFO, "%s %s %s",
		  adopted ? "found again" : "claimed",
		  device_kind_name(dev->kind), dev->params_text);
	if (adopted) {
		adopt(dev);
		connect_probe(dev);
	}
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
 * and the physical one tells the truth. Frontends need size and info; what
 * they take the others' absence for stands in blkif.h, too. discard-alignment
 * and discard-secure are 0 as well.
 */
static int publish(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct change *c = arg;
	const struct device *dev = c->dev;
	const struct limits_answer *l = &dev->worker.limits;
	const struct { const char *node; uint64_t value, absent; } nodes[] = {
		{ "sectors", l->size / SECTOR_SIZE, UINT64_MAX },
		{ "sector-size", SECTOR_SIZE, UINT64_MAX },
		{ "physical-sector-size",
		  max(l->physical_block, (uint64_t)SECTOR_SIZE), SECTOR_SIZE },
		{ "info", disk_info(dev), UINT64_MAX },
		{ "feature-discard", l->discard, 0 },
		{ "discard-granularity", l->discard ?
		  max(l->discard_granularity, (uint64_t)SECTOR_SIZE) : 0, 0 },
	};
	int ret = write_state(xs, t, c);

	if (dev->published && !memcmp(l, &dev->published_limits, sizeof(*l)))
		return ret;	/* a reconnect: all stands there already */
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(nodes); i++)
		ret = store_write_uint(xs, t, dev->path, nodes[i].node,
				       nodes[i].value, nodes[i].absent);
	return ret;
}

static int change_state(struct device *dev, enum xenbus_state from,
			enum xenbus_state to)
{
	struct change c = { dev, from, to };
	bool connected = to == XENBUS_CONNECTED;
	int ret = store_transact(dev->host->xs, connected ? publish : write_state,
				 &c);

	if (ret == 0)
		dev->shown = connected;
	if (ret == 0 && connected) {
		dev->published = true;
		dev->published_limits = dev->worker.limits;
	}
	return ret;
}

/* ---- one step ---- */

/* -errno only when xenstore itself does not answer: libxenstore has no other
 * way to tell that its connection is lost. */
static int read_state(struct xs_handle *xs, const char *dir,
		      enum xenbus_state *state)
{
	uint64_t value;
	int ret = store_read_uint(xs, XBT_NULL, dir, "state",
				  XENBUS_NR_STATES - 1, &value);

	*state = ret == 0 ? (enum xenbus_state)value : XENBUS_UNKNOWN;
	if (ret != -EIO && ret != -EPIPE && ret != -EBADF)
		return 0;
	log_error("xenstore does not answer: %s", strerror(-ret));
	return ret;
}

struct view {
	enum xenbus_state be, fe;
	struct xenbus_facts facts;
};

static int read_view(struct device *dev, struct view *v)
{
	struct xs_handle *xs = dev->host->xs;
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
		claim_yield_to_qemu(dev, v->be);
	v->facts = (struct xenbus_facts){
		.link = dev->worker.state,
		.owned = dev->stage != DEVICE_SEEN,
		.online = online,
		.failed = dev->failed,
		.stopping = dev->host->stopping,
		.claimed = dev->stage == DEVICE_CLAIMED,
		.alone = monotonic_ns() >= dev->offer_ns,
		.deaf = dev->frontend && !dev->watched,
		.hurried = dev->worker.end_ns,
	};
	return 0;
}

static enum xenbus_action decide(const struct device *dev,
				 const struct view *v)
{
	if (dev->stage == DEVICE_FORGOTTEN)
		return XENBUS_NONE;
	/* One that is not ours any more: let go, and write nothing. */
	return xenbus_next(dev->stage == DEVICE_YIELDED ? XENBUS_UNKNOWN :
							  v->be,
			   v->fe, &v->facts);
}

/* Called again when it fails: what is done then is done already. */
static int watch_frontend(struct device *dev, bool on)
{
	struct xs_handle *xs = dev->host->xs;
	char path[STORE_PATH_MAX];

	if (dev->watched == on)
		return 0;
	snprintf(path, sizeof(path), "%s/state", dev->frontend);
	if (on ? !xs_watch(xs, path, dev->path) && errno != EEXIST :
		 !xs_unwatch(xs, path, dev->path) && errno != ENOENT)
		return -errno;
	dev->watched = on;
	return 0;
}

static int claim_and_begin(struct device *dev)
{
	int ret = claim_again(dev);

	if (ret == 0)
		life_begin(dev);
	else if (ret == -ENODEV)
		device_enter(dev, DEVICE_FORGOTTEN);
	return ret == -ENODEV ? 0 : ret;
}

static int offer(struct device *dev)
{
	int ret = claim_offer(dev);

	if (ret == 0)
		connect_probe(dev);
	return ret;
}

static int restart(struct device *dev, enum xenbus_state from)
{
	dev->failed = false;
	return change_state(dev, from, XENBUS_INIT_WAIT);
}

static int forget(struct device *dev)
{
	bool yielded = dev->stage == DEVICE_YIELDED;
	int ret = yielded ? claim_clear(dev) : 0;

	if (ret == 0)
		ret = watch_frontend(dev, false);
	if (ret < 0)
		return ret;
	log_write(&dev->log, LOG_LEVEL_INFO, "gone");
	link_close(&dev->worker);
	dev->made_anew = !yielded;
	device_enter(dev, DEVICE_FORGOTTEN);
	return 0;
}

/* -errno of xenstore. */
static int act(struct device *dev, const struct view *v,
	       enum xenbus_action action)
{
	switch (action) {
	case XENBUS_NONE:
		return 0;
	case XENBUS_CLAIM:
		return claim_and_begin(dev);
	case XENBUS_WATCH:
		return watch_frontend(dev, true);
	case XENBUS_OFFER:
		return offer(dev);
	case XENBUS_GIVE_BACK:
		return claim_give_back(dev);
	case XENBUS_CONNECT:
		connect_device(dev);
		return 0;
	case XENBUS_PUBLISH:
		return change_state(dev, v->be, XENBUS_CONNECTED);
	case XENBUS_CLOSE:
		return change_state(dev, v->be, XENBUS_CLOSING);
	case XENBUS_DISCONNECT:
		link_disconnect(&dev->worker);
		return 0;
	case XENBUS_HURRY:
		link_hurry(&dev->worker);
		return 0;
	case XENBUS_FINISH:
		return change_state(dev, v->be, XENBUS_CLOSED);
	case XENBUS_RESTART:
		return restart(dev, v->be);
	case XENBUS_FORGET:
		return forget(dev);
	}
	return 0;
}

/* True when there may be more to do. */
static bool do_next(struct device *dev, uint64_t now_ns)
{
	enum xenbus_link before = dev->worker.state;
	enum xenbus_action action;
	struct view v;

	if (dev->stage == DEVICE_FORGOTTEN)
		return false;
	if (read_view(dev, &v) < 0) {
		/* There is nobody to tell; the image is closed all the same. */
		if (dev->host->stopping && before != XENBUS_LINK_BUSY)
			link_disconnect(&dev->worker);
		return false;
	}
	device_tell(dev, now_ns);
	action = decide(dev, &v);
	if (action == XENBUS_NONE || !device_may(dev, action, now_ns))
		return false;
	log_write(&dev->log, LOG_LEVEL_DEBUG, "backend %s, frontend %s: %s",
		  xenbus_state_name(v.be), xenbus_state_name(v.fe),
		  xenbus_action_name(action));
	device_wrote(dev, action, act(dev, &v, action));
	/* A connect that changes nothing: it is not yet time to try again. */
	return action != XENBUS_CONNECT || dev->worker.state != before;
}

void life_step(struct device *dev)
{
	uint64_t now = monotonic_ns();
	int left = STEP_ACTIONS;

	dev->dirty = false;
	while (left && do_next(dev, now))
		left--;
	dev->dirty |= !left;
	device_settle(dev, now);
}

/* Once: then it is 0. */
static bool due(uint64_t *when_ns, uint64_t now_ns, uint64_t *next_ns)
{
	if (now_ns < *when_ns)
		*next_ns = min(*next_ns, *when_ns);
	if (!*when_ns || now_ns < *when_ns)
		return false;
	*when_ns = 0;
	return true;
}

void life_tick(struct device *dev, uint64_t now_ns, uint64_t *next_ns)
{
	dev->dirty |= due(&dev->offer_ns, now_ns, next_ns);
	dev->dirty |= due(&dev->retry_ns, now_ns, next_ns);
	if (link_tick(&dev->worker, now_ns, next_ns))
		dev->dirty = true;
	log_settle(&dev->log, now_ns, next_ns);
}

bool life_parked(struct device *dev)
{
	enum xenbus_action action;
	struct view v;

	if (dev->stage == DEVICE_FORGOTTEN)
		return true;
	if (dev->worker.state != XENBUS_LINK_DOWN || dev->dirty)
		return false;
	if (read_view(dev, &v) < 0)
		return true;
	action = decide(dev, &v);
	return action == XENBUS_NONE || action == dev->refused;
}

bool life_over(const struct device *dev)
{
	return dev->stage == DEVICE_FORGOTTEN &&
	       !link_lives(&dev->worker);
}
