/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* device.c: see device.h. */
#include "backend/supervisor/device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/supervisor/store.h"
#include "common/bits.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/printable.h"

#define RETRY_FIRST_NS (20 * NS_PER_MS)
#define RETRY_LONGEST_NS (10 * NS_PER_S)

struct device *device_new(const struct host *host, enum device_kind kind,
			  uint32_t domid, uint32_t devid)
{
	struct device *dev = calloc(1, sizeof(*dev));
	char name[32];

	if (!dev)
		return NULL;
	list_init(&dev->link);
	dev->host = host;
	dev->kind = kind;
	dev->domid = domid;
	dev->devid = devid;
	dev->dirty = true;
	snprintf(name, sizeof(name), "vbd %u/%u", domid, devid);
	log_object_init(&dev->log, name);
	snprintf(dev->path, sizeof(dev->path), "backend/%s/%u/%u",
		 device_kind_name(kind), domid, devid);
	return dev;
}

void device_free(struct device *dev)
{
	uint64_t next;

	log_settle(&dev->log, UINT64_MAX, &next);
	list_del(&dev->link);
	free(dev->params_text);
	free(dev->frontend);
	free(dev);
}

struct device *device_find(struct list *devices, enum device_kind kind,
			   uint32_t domid, uint32_t devid)
{
	struct device *dev;

	list_for_each(dev, devices, link) {
		if (dev->kind == kind && dev->domid == domid &&
		    dev->devid == devid && dev->stage != DEVICE_FORGOTTEN)
			return dev;
	}
	return NULL;
}

void device_enter(struct device *dev, enum device_stage stage)
{
	static const char *const names[] = {
		[DEVICE_SEEN] = "seen",
		[DEVICE_CLAIMED] = "claimed", [DEVICE_OFFERED] = "offered",
		[DEVICE_YIELDED] = "left to QEMU", [DEVICE_FORGOTTEN] = "gone",
	};

	log_write(&dev->log, LOG_LEVEL_DEBUG, "%s", names[stage]);
	dev->stage = stage;
	dev->dirty = true;
}

/* ---- what xenstore refuses ---- */

static const char *refusal(struct error *err, const char *what, int errnum)
{
	error_set_errno(err, errnum, "xenstore refuses to %s the disk", what);
	return err->msg;
}

/* Once a turn, however much is refused in it. */
static void back_off(struct device *dev, const char *what, int ret)
{
	uint64_t now = monotonic_ns();
	struct error err;

	if (now < dev->retry_ns)
		return;
	if (!dev->retry_delay_ns)
		log_write(&dev->log, LOG_LEVEL_ERROR, "%s; trying again",
			  refusal(&err, what, -ret));
	dev->retry_delay_ns = dev->retry_delay_ns ?
			      min(dev->retry_delay_ns * 2, RETRY_LONGEST_NS) :
			      RETRY_FIRST_NS;
	dev->retry_ns = now + dev->retry_delay_ns;
}

bool device_may(const struct device *dev, enum xenbus_action action,
		uint64_t now_ns)
{
	return action != dev->refused || now_ns >= dev->retry_ns;
}

/* -ESTALE, -ENOENT: somebody was faster, and it is time to look again. */
void device_wrote(struct device *dev, enum xenbus_action action, int ret)
{
	bool refused = ret < 0 && ret != -ESTALE && ret != -ENOENT;

	if (refused) {
		dev->untold |= dev->refused != action ||
			       dev->refused_errnum != -ret;
		dev->refused = action;
		dev->refused_errnum = -ret;
		back_off(dev, xenbus_action_name(action), ret);
	} else if (dev->refused == action) {
		dev->refused = XENBUS_NONE;
		dev->untold = true;
	}
}

void device_settle(struct device *dev, uint64_t now_ns)
{
	if (now_ns < dev->retry_ns)
		return;
	dev->retry_ns = 0;
	if (!dev->retry_delay_ns || dev->refused != XENBUS_NONE || dev->untold)
		return;
	dev->retry_delay_ns = 0;
	log_write(&dev->log, LOG_LEVEL_INFO,
		  "xenstore takes everything again");
}

/* ---- telling the administrator ---- */

struct report {
	struct device *dev;
	const char *text;	/* NULL: no error */
};

/* libxl runs no script for a qdisk. Ours takes the node away. */
static int write_status(struct xs_handle *xs, xs_transaction_t t,
			const struct device *dev, const char *status)
{
	if (dev->kind != KIND_VBD)
		return 0;
	return store_write(xs, t, dev->path, "hotplug-status", "%s", status);
}

static int write_error(struct xs_handle *xs, xs_transaction_t t,
		       const struct report *r)
{
	const char *path = r->dev->path;
	int ret = store_write(xs, t, path, "error", "%s", r->text);

	if (ret == 0)
		ret = store_write(xs, t, path, "hotplug-error", "%s", r->text);
	return ret ?: write_status(xs, t, r->dev, "error");
}

static int remove_error(struct xs_handle *xs, xs_transaction_t t,
			const struct report *r)
{
	static const char *const nodes[] = {
		"error", "hotplug-error", "hotplug-status",
	};
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(nodes); i++)
		ret = store_remove(xs, t, r->dev->path, nodes[i]);
	return ret;
}

static int write_report(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	struct report *r = arg;
	const char *path = r->dev->path;
	uint64_t state;
	int ret = store_read_uint(xs, t, path, "state", XENBUS_NR_STATES - 1,
				  &state);

	if (ret < 0)
		return ret;	/* nobody is left to be told */
	if (r->text)
		return write_error(xs, t, r);
	if (r->dev->reported)
		ret = remove_error(xs, t, r);
	if (ret == 0 && r->dev->good)
		ret = write_status(xs, t, r->dev, "connected");
	return ret;
}

void device_tell(struct device *dev, uint64_t now_ns)
{
	struct report r = { dev, *dev->trouble.msg ? dev->trouble.msg : NULL };
	struct error err;
	int ret;

	if (!dev->untold || now_ns < dev->retry_ns || dev->stage == DEVICE_SEEN)
		return;
	if (dev->refused != XENBUS_NONE)
		r.text = refusal(&err, xenbus_action_name(dev->refused),
				 dev->refused_errnum);
	ret = store_transact(dev->host->xs, write_report, &r);
	if (ret < 0 && ret != -ENOENT) {
		back_off(dev, "report", ret);
		return;
	}
	dev->untold = false;
	dev->reported = r.text;
}

static void report(struct device *dev, const char *fmt, va_list ap)
{
	struct error err;
	va_list again;

	va_copy(again, ap);
	log_vwrite(&dev->log, LOG_LEVEL_ERROR, fmt, again);
	va_end(again);
	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	if (dev->stage > DEVICE_OFFERED)
		return;
	printable(err.msg, dev->trouble.msg, sizeof(dev->trouble.msg));
	dev->untold = dev->dirty = true;
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
	if (dev->stage > DEVICE_OFFERED)
		return;
	dev->untold |= !dev->good || *dev->trouble.msg;
	dev->trouble.msg[0] = 0;
	dev->good = dev->dirty = true;
}
