/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connect.c: see connect.h. */
#include "backend/supervisor/connect.h"

#include <string.h>

#include "backend/supervisor/claim.h"
#include "backend/supervisor/frontend.h"
#include "backend/supervisor/store.h"
#include "common/bits.h"

static struct link_image image_of(const struct device *dev)
{
	return (struct link_image){
		.path = dev->params.path,
		.format = xl_disk_format_name(dev->params.format),
		.readonly = dev->readonly,
		.unmap = dev->discard,
		.direct_io_safe = dev->direct_io_safe,
	};
}

/* The image of a qdisk may still be open in the QEMU that boots the guest from
 * it. A hotplug script has nobody to wait for. */
void connect_probe(struct device *dev)
{
	const struct link_image image = image_of(dev);

	link_probe(&dev->worker, &image, dev->kind == KIND_VBD);
}

void connect_device(struct device *dev)
{
	const struct link_image image = image_of(dev);

	link_open(&dev->worker, &image);
}

static int frontend_node(void *arg, const char *node, char *buf, size_t size)
{
	struct device *dev = arg;

	return store_read(dev->host->xs, XBT_NULL, dev->frontend, node, buf,
			  size);
}

static void connect_rings(struct device *dev)
{
	const struct frontend_source source = { frontend_node, dev };
	struct link *l = &dev->worker;
	struct error err = ERROR_INIT;
	struct rings rings;
	int ret = frontend_read(&source, dev->host->conf->max_queues, &rings,
				&err);

	l->limits.discard &= dev->discard && !dev->readonly;
	if (ret == 0) {
		link_connect(l, l->limits.discard, &rings);
		return;
	}
	device_fail(dev, "%s", error_text(&err, ret));
	link_disconnect(l);
}

/* ---- what it answers ---- */

static void probed(struct device *dev, int errnum, const char *why)
{
	if (errnum)
		device_report(dev, "%s", why);
	else if (!dev->failed && dev->stage == DEVICE_OFFERED)
		device_report_good(dev);
}

static void opened(struct device *dev, int errnum, const char *why)
{
	if (errnum)
		device_fail(dev, "%s", why);
	else if (claim_yield_to_qemu(dev, XENBUS_UNKNOWN))
		link_disconnect(&dev->worker);
	else
		connect_rings(dev);
}

static void connected(struct device *dev, int errnum, const char *why)
{
	if (errnum)
		device_fail(dev, "%s", why);
	else
		device_report_good(dev);
}

static void disconnected(struct device *dev, int errnum, const char *why)
{
	if (errnum)
		device_report(dev, "closing the image: %s", why);
}

/* The first reason stands: what a worker says after it is a consequence, or a
 * flood. */
static void failed(struct device *dev, int errnum, const char *why)
{
	if (!dev->failed)
		device_fail(dev, "%s", why);
}

static void ended(struct device *dev, int errnum, const char *why)
{
	if (errnum)
		device_report(dev, "%s", why);
	if (errnum == EIO)
		dev->failed = true;
}

static void told(struct link *l, const struct link_news *news)
{
	static void (*const handlers[])(struct device *dev, int errnum,
					const char *why) = {
		[LINK_PROBED] = probed, [LINK_OPENED] = opened,
		[LINK_CONNECTED] = connected,
		[LINK_DISCONNECTED] = disconnected,
		[LINK_FAILED] = failed, [LINK_ENDED] = ended,
	};
	struct device *dev = container_of(l, struct device, worker);

	dev->dirty = true;
	handlers[news->event](dev, news->errnum, news->why);
}

void connect_init(struct device *dev)
{
	link_init(&dev->worker, dev->host, &dev->log, dev->domid, told);
}
