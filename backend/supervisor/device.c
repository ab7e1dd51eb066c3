/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* device.c: see device.h. */
#include "backend/supervisor/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/supervisor/store.h"
#include "common/printable.h"

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
		[DEVICE_CLAIMED] = "claimed", [DEVICE_OFFERED] = "offered",
		[DEVICE_YIELDED] = "left to QEMU", [DEVICE_FORGOTTEN] = "gone",
	};

	log_write(&dev->log, LOG_LEVEL_DEBUG, "%s", names[stage]);
	dev->stage = stage;
	dev->dirty = true;
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
	struct error err, clean;
	struct report r = { dev, clean.msg };
	va_list again;

	va_copy(again, ap);
	log_vwrite(&dev->log, LOG_LEVEL_ERROR, fmt, again);
	va_end(again);
	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	printable(err.msg, clean.msg, sizeof(clean.msg));
	if (dev->stage > DEVICE_OFFERED)
		return;
	store_transact(dev->host->xs, write_report, &r);
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

	if (store_transact(dev->host->xs, write_report, &r) == 0)
		dev->reported = false;
}
