/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link.c: the supervisor's talk with a device's worker (protocol.h).
 *
 *	DOWN --open--> BUSY --connect--> BUSY --> UP --disconnect--> BUSY --> DOWN
 *	                |
 *	                `-- locked --> WAITING --open--> ...
 *
 * An image that a QEMU still holds for the guest's emulated disk is tried
 * again: the guest's kernel unplugs that disk just before its driver connects.
 */
#include "backend/supervisor/device.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>

#include "backend/supervisor/frontend.h"
#include "backend/supervisor/store.h"
#include "common/bits.h"
#include "common/log.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S (1000 * NS_PER_MS)
#define RETRY_FIRST_NS (20 * NS_PER_MS)
#define RETRY_LONGEST_NS (1 * NS_PER_S)
#define GIVE_UP_NS (30 * NS_PER_S)
#define KILL_NS (30 * NS_PER_S)

uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- the process ---- */

static int start_worker(struct device *dev, struct error *err)
{
	const struct options *o = dev->sv->options;
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = dev };
	int ret;

	if (child_alive(&dev->child))
		return 0;
	ret = child_spawn(&dev->child, dev->sv->worker, dev->name,
			  log_level_name(o->log_level), o->foreground, err);
	if (ret < 0)
		return ret;
	if (epoll_ctl(dev->sv->epoll_fd, EPOLL_CTL_ADD, dev->child.fd,
		      &ev) == 0)
		return 0;
	ret = error_set_errno(err, errno, "epoll_ctl");
	child_kill(&dev->child);
	return ret;
}

void link_close(struct device *dev)
{
	if (!child_alive(&dev->child) || dev->kill_ns)
		return;
	child_close(&dev->child);
	dev->kill_ns = monotonic_ns() + KILL_NS;
}

void link_reap(struct device *dev)
{
	bool unwanted = dev->kill_ns == 0;
	int status;

	if (!child_reap(&dev->child, &status))
		return;
	dev->kill_ns = 0;
	dev->dirty = true;
	if (!unwanted)
		return;
	if (WIFSIGNALED(status))
		device_report(dev, "the worker was killed by signal %d (%s)",
			      WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		device_report(dev, "the worker ended with status %d",
			      WEXITSTATUS(status));
	if (dev->state != XENBUS_LINK_DOWN)
		dev->failed = true;
	dev->state = XENBUS_LINK_DOWN;
}

/* ---- commands ---- */

static int command(struct device *dev, const char *name, json_t *arguments,
		   struct error *err)
{
	json_t *msg = json_pack("{s:s, s:o*}", "execute", name, "arguments",
				arguments);
	int ret = message_send(dev->child.fd, msg);

	if (ret < 0)
		return error_set_errno(err, -ret, "cannot tell the worker to "
				       "%s", name);
	return 0;
}

/* A worker that does not take a command is of no use. */
static void busy_with(struct device *dev, const char *name, json_t *arguments)
{
	struct error err = ERROR_INIT;
	int ret = command(dev, name, arguments, &err);

	dev->state = XENBUS_LINK_BUSY;
	if (ret == 0)
		return;
	device_fail(dev, "%s", error_text(&err, ret));
	child_kill(&dev->child);
}

static json_t *image_arguments(const struct device *dev)
{
	struct image_settings s;

	options_for_image(dev->sv->options, dev->params.path, &s);
	return json_pack("{s:s, s:s, s:b, s:b, s:s*, s:s*, s:s*, s:b, s:I}",
			 "path", dev->params.path,
			 "format", xl_disk_format_name(dev->params.format),
			 "readonly", dev->readonly,
			 "unmap", dev->discard,
			 "cache", s.cache,
			 "aio", s.aio,
			 "secret-file", s.secret_file,
			 "legacy-aes",
			 s.legacy_aes && !strcmp(s.legacy_aes, "yes"),
			 "l2-cache-size", (json_int_t)s.l2_cache_size);
}

/* The image of a qdisk may still be open in the QEMU that boots the guest from
 * it. A hotplug script has nobody to wait for. */
static json_t *probe_arguments(const struct device *dev)
{
	json_t *args = image_arguments(dev);

	json_object_set_new(args, "locks", json_boolean(dev->kind == KIND_VBD));
	return args;
}

void link_probe(struct device *dev)
{
	struct error err = ERROR_INIT;
	int ret = start_worker(dev, &err);

	if (ret == 0)
		ret = command(dev, "probe", probe_arguments(dev), &err);
	if (ret < 0)
		device_report(dev, "%s", error_text(&err, ret));
}

void link_connect(struct device *dev)
{
	struct error err = ERROR_INIT;
	int ret;

	if (dev->state == XENBUS_LINK_WAITING &&
	    monotonic_ns() < dev->retry_ns)
		return;
	ret = start_worker(dev, &err);
	if (ret < 0)
		device_fail(dev, "%s", error_text(&err, ret));
	else
		busy_with(dev, "open", image_arguments(dev));
}

void link_disconnect(struct device *dev)
{
	if (dev->state == XENBUS_LINK_UP)
		busy_with(dev, "disconnect", NULL);
	else if (dev->state == XENBUS_LINK_WAITING)
		dev->state = XENBUS_LINK_DOWN;
	dev->give_up_ns = 0;
}

/* ---- the frontend's nodes ---- */

static int frontend_node(void *arg, const char *node, char *buf, size_t size)
{
	struct device *dev = arg;

	return store_read(dev->sv->xs, XBT_NULL, dev->frontend, node, buf,
			  size);
}

static json_t *queue_arguments(const struct frontend *f, unsigned int queue)
{
	const struct frontend_queue *q = &f->queues[queue];
	json_t *refs = json_array();

	for (unsigned int i = 0; i < 1u << f->ring_order; i++)
		json_array_append_new(refs, json_integer(q->refs[i]));
	return json_pack("{s:I, s:o}", "port", (json_int_t)q->port, "refs",
			 refs);
}

static json_t *connect_arguments(const struct device *dev,
				 const struct frontend *f)
{
	json_t *queues = json_array();

	for (unsigned int i = 0; i < f->nr_queues; i++)
		json_array_append_new(queues, queue_arguments(f, i));
	return json_pack("{s:I, s:s, s:b, s:b, s:i, s:o}",
			 "domid", (json_int_t)dev->domid,
			 "protocol", f->abi_x86_32 ? "x86_32-abi" :
						     "x86_64-abi",
			 "persistent", f->persistent,
			 "discard", dev->limits.discard,
			 "ring-order", (int)f->ring_order,
			 "queues", queues);
}

static void connect_rings(struct device *dev)
{
	const struct frontend_source source = { frontend_node, dev };
	struct error err = ERROR_INIT;
	struct frontend f;
	int ret = frontend_read(&source, dev->sv->options->max_queues, &f,
				&err);

	if (ret == 0) {
		busy_with(dev, "connect", connect_arguments(dev, &f));
		return;
	}
	device_fail(dev, "%s", error_text(&err, ret));
	busy_with(dev, "disconnect", NULL);
}

/* ---- answers ---- */

static void take_limits(struct device *dev, json_t *reply)
{
	json_int_t size = 0, physical = 0, granularity = 0;
	int discard = 0;

	json_unpack(reply, "{s:I, s:I, s:I, s:b}", "size", &size,
		    "physical-block", &physical, "discard-granularity",
		    &granularity, "discard", &discard);
	dev->limits.size = (uint64_t)size;
	dev->limits.physical_block = (uint64_t)physical;
	dev->limits.discard_granularity = (uint64_t)granularity;
	dev->limits.discard = discard && dev->discard && !dev->readonly;
}

/* The image is locked: another try, later and later. */
static void wait_for_lock(struct device *dev, const char *why)
{
	uint64_t now = monotonic_ns();

	if (!dev->give_up_ns) {
		log_info("%s: waiting for the image: %s", dev->name, why);
		dev->give_up_ns = now + GIVE_UP_NS;
		dev->retry_delay_ns = RETRY_FIRST_NS;
	}
	if (now >= dev->give_up_ns) {
		dev->state = XENBUS_LINK_DOWN;
		dev->give_up_ns = 0;
		device_fail(dev, "still locked after %llu s: %s",
			    GIVE_UP_NS / NS_PER_S, why);
		return;
	}
	dev->state = XENBUS_LINK_WAITING;
	dev->retry_ns = now + dev->retry_delay_ns;
	dev->retry_delay_ns = min(dev->retry_delay_ns * 2,
				  (uint64_t)RETRY_LONGEST_NS);
}

static void probe_done(struct device *dev, int errnum, const char *why)
{
	if (errnum)
		device_report(dev, "%s", why);
	else if (!dev->failed && !dev->yielded)
		device_report_good(dev);
}

static void open_done(struct device *dev, int errnum, const char *why,
		      json_t *reply)
{
	if (errnum == EAGAIN) {
		wait_for_lock(dev, why);
		return;
	}
	dev->give_up_ns = 0;
	if (errnum) {
		dev->state = XENBUS_LINK_DOWN;
		device_fail(dev, "%s", why);
		return;
	}
	take_limits(dev, reply);
	if (device_yield_to_qemu(dev, XENBUS_UNKNOWN))
		busy_with(dev, "disconnect", NULL);
	else
		connect_rings(dev);
}

static void connect_done(struct device *dev, int errnum, const char *why)
{
	if (errnum) {
		device_fail(dev, "%s", why);
		busy_with(dev, "disconnect", NULL);
		return;
	}
	dev->state = XENBUS_LINK_UP;
	if (dev->reported)
		device_report_good(dev);
}

static void disconnect_done(struct device *dev, int errnum, const char *why)
{
	dev->state = XENBUS_LINK_DOWN;
	if (errnum)
		device_report(dev, "closing the image: %s", why);
}

static void answer(struct device *dev, const char *cmd, int errnum,
		   const char *why, json_t *reply)
{
	if (!strcmp(cmd, "probe"))
		probe_done(dev, errnum, why);
	else if (!strcmp(cmd, "open"))
		open_done(dev, errnum, why, reply);
	else if (!strcmp(cmd, "connect"))
		connect_done(dev, errnum, why);
	else if (!strcmp(cmd, "disconnect"))
		disconnect_done(dev, errnum, why);
	dev->dirty = true;
}

static void hear_one(struct device *dev, json_t *msg)
{
	const char *cmd = "", *why = "the worker gave no reason";
	json_t *reply = NULL;
	int errnum = 0;

	if (json_unpack(msg, "{s:s, s:o}", "command", &cmd, "return",
			&reply) == 0)
		answer(dev, cmd, 0, "", reply);
	else if (json_unpack(msg, "{s:s, s:{s:i, s:s}}", "command", &cmd,
			     "error", "errno", &errnum, "desc", &why) == 0)
		answer(dev, cmd, errnum ? errnum : EIO, why, NULL);
	else if (json_unpack(msg, "{s:s, s:s}", "event", &cmd, "desc",
			     &why) == 0)
		device_fail(dev, "%s", why);
	else
		device_fail(dev, "the worker sent nonsense");
}

void link_hear(struct device *dev)
{
	int ret;

	while (dev->child.fd >= 0) {
		json_t *msg;

		ret = message_receive(dev->child.fd, &msg);
		if (ret == -EAGAIN)
			return;
		if (ret < 0) {		/* it ends: link_reap() tells how */
			child_close(&dev->child);
			return;
		}
		hear_one(dev, msg);
		json_decref(msg);
	}
}

void link_tick(struct device *dev, uint64_t now_ns, uint64_t *next_ns)
{
	uint64_t when = dev->state == XENBUS_LINK_WAITING ? dev->retry_ns :
							    dev->kill_ns;

	if (!when)
		return;
	if (now_ns < when) {
		*next_ns = min(*next_ns, when);
		return;
	}
	if (dev->state == XENBUS_LINK_WAITING) {
		dev->dirty = true;
		return;
	}
	log_error("%s: the worker does not end; killing it", dev->name);
	child_kill(&dev->child);
	dev->kill_ns = UINT64_MAX;
}
