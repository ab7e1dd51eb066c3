/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor.c: the daemon: xenstore's events in, steps of devices out.
 *
 *	wait -> note what has changed -> claim what is new -> step what is dirty
 *
 * No guest's data and no image is ever touched here: that is the workers'.
 */
#include "config.h"

#include "backend/supervisor/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "backend/supervisor/life.h"
#include "common/bits.h"
#include "common/clock.h"
#include "common/log.h"

#define EVENTS_PER_TURN 64
/* From SIGTERM on: until all workers have ended, the last part of it for those
 * that did not drain. What is killed then is given a moment to go. */
#define STOP_NS (60 * NS_PER_S)
#define STOP_LAST_NS (10 * NS_PER_S)
#define STOP_REAP_NS (2 * NS_PER_S)

#ifdef HAVE_LIBSYSTEMD
static void tell_systemd(const char *state)
{
	sd_notify(0, state);
}
#else
static void tell_systemd(const char *state)
{
}
#endif

/* ---- signals, time, turns ---- */

static void stop(struct supervisor *sv)
{
	struct device *dev;

	if (sv->host.stopping)
		return;
	log_info("stopping");
	tell_systemd("STOPPING=1");
	sv->host.stopping = true;
	sv->host.stop_ns = monotonic_ns() + STOP_NS;
	list_for_each(dev, &sv->devices, link)
		dev->dirty = true;
}

static void read_signals(struct supervisor *sv)
{
	struct signalfd_siginfo si;
	struct device *dev;

	while (read(sv->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo != SIGCHLD) {
			stop(sv);
			continue;
		}
		opening_reap(&sv->opener);
		list_for_each(dev, &sv->devices, link)
			link_reap(&dev->worker);
	}
}

static void xenstore_readable(struct supervisor *sv)
{
	int ret = watch_hear(&sv->watch);

	if (ret == 0)
		return;
	/* Those who are connected can go on; nothing else can. */
	log_error("xenstore has gone away: %s; connected disks are served on, "
		  "but nothing new", strerror(-ret));
	epoll_ctl(sv->host.epoll_fd, EPOLL_CTL_DEL, xs_fileno(sv->host.xs),
		  NULL);
}

static void wait_for_events(struct supervisor *sv, int timeout_ms)
{
	struct epoll_event events[EVENTS_PER_TURN];
	int n = epoll_wait(sv->host.epoll_fd, events, EVENTS_PER_TURN, timeout_ms);

	for (int i = 0; i < n; i++) {
		void *who = events[i].data.ptr;

		if (who == &sv->watch)
			xenstore_readable(sv);
		else if (who == &sv->signal_fd)
			read_signals(sv);
		else
			link_hear(who);
	}
}

static bool any_dirty(const struct supervisor *sv)
{
	const struct device *dev;

	list_for_each(dev, &sv->devices, link) {
		if (dev->dirty && dev->stage != DEVICE_FORGOTTEN)
			return true;
	}
	return false;
}

static int next_timeout(struct supervisor *sv)
{
	uint64_t now = monotonic_ns(), next = UINT64_MAX;
	struct device *dev;

	list_for_each(dev, &sv->devices, link)
		life_tick(dev, now, &next);
	log_settle(NULL, now, &next);
	if (any_dirty(sv) || (!sv->host.stopping && scan_wanted(&sv->scan)))
		return 0;
	if (next == UINT64_MAX)
		return -1;
	return (int)min((next - now) / 1000000 + 1, (uint64_t)INT_MAX);
}

static void sweep(struct supervisor *sv)
{
	struct device *dev, *tmp;

	list_for_each_safe(dev, tmp, &sv->devices, link) {
		if (dev->made_anew)
			scan_note(&sv->scan, dev->kind, dev->domid,
				  dev->devid);
		dev->made_anew = false;
		if (life_over(dev))
			device_free(dev);
	}
}

static void turn(struct supervisor *sv, int timeout_ms)
{
	struct device *dev;

	wait_for_events(sv, timeout_ms);
	if (!sv->host.stopping)
		scan_run(&sv->scan, &sv->host, &sv->devices);
	list_for_each(dev, &sv->devices, link) {
		if (dev->dirty)
			life_step(dev);
	}
	sweep(sv);
}

static bool all_parked(struct supervisor *sv)
{
	struct device *dev;

	list_for_each(dev, &sv->devices, link) {
		if (!life_parked(dev))
			return false;
	}
	return true;
}

static bool no_worker(struct supervisor *sv)
{
	struct device *dev;

	list_for_each(dev, &sv->devices, link) {
		if (link_lives(&dev->worker))
			return false;
	}
	return true;
}

static void turn_until(struct supervisor *sv, bool (*done)(struct supervisor *),
		       uint64_t deadline_ns)
{
	while (!done(sv) && monotonic_ns() < deadline_ns)
		turn(sv, min((unsigned int)next_timeout(sv), 1000u));
}

/* Drained and written down, or out of patience. */
static void drain_and_end(struct supervisor *sv)
{
	struct device *dev;

	turn_until(sv, all_parked, sv->host.stop_ns - STOP_LAST_NS);
	if (!all_parked(sv)) {
		log_error("some disks did not drain in time");
		sv->stop_failed = true;
	}
	list_for_each(dev, &sv->devices, link)
		link_close(&dev->worker);
	turn_until(sv, no_worker, sv->host.stop_ns + STOP_REAP_NS);
	if (!no_worker(sv)) {
		log_error("some workers cannot be killed");
		sv->stop_failed = true;
	}
}

void supervisor_run(struct supervisor *sv)
{
	tell_systemd("READY=1");
	while (!sv->host.stopping)
		turn(sv, next_timeout(sv));
	drain_and_end(sv);
}

/* ---- setting up ---- */

static int add_fd(struct supervisor *sv, int fd, void *who, struct error *err)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = who };

	if (epoll_ctl(sv->host.epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return error_set_errno(err, errno, "epoll_ctl");
	return 0;
}

/* Before any thread: libxenstore's inherits the mask. */
static int open_signals(struct supervisor *sv, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sv->host.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	sv->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sv->host.epoll_fd < 0 || sv->signal_fd < 0)
		return error_set_errno(err, errno, "epoll or signalfd");
	return add_fd(sv, sv->signal_fd, &sv->signal_fd, err);
}

static int open_xenstore(struct supervisor *sv, struct error *err)
{
	int ret;

	sv->host.xs = xs_open(0);
	if (!sv->host.xs)
		return error_set_errno(err, errno, "cannot open xenstore (is "
				       "this a Xen domain, and is xenstored "
				       "running?)");
	sv->watch.domains = domains_open();
	if (!sv->watch.domains)
		log_warn("no access to the hypervisor's list of domains: that "
			 "a guest has died will show in xenstore only");
	ret = watch_start(&sv->watch, err);
	return ret ?: add_fd(sv, xs_fileno(sv->host.xs), &sv->watch, err);
}

void supervisor_init(struct supervisor *sv, const struct conf *conf,
		     bool foreground)
{
	*sv = (struct supervisor){
		.host = { .conf = conf, .foreground = foreground,
			  .epoll_fd = -1 },
		.watch = { &sv->host, NULL, &sv->devices, &sv->scan },
		.signal_fd = -1,
	};
	list_init(&sv->devices);
}

int supervisor_open(struct supervisor *sv, struct error *err)
{
	int ret;

	sv->host.worker = child_find_program("xdisk-worker", err);
	opening_init(&sv->opener, child_find_program("xdisk-opener", err));
	if (!sv->host.worker || !sv->opener.program)
		return -ENOENT;
	sv->host.opener = &sv->opener;
	ret = open_signals(sv, err);
	return ret ?: open_xenstore(sv, err);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void supervisor_close(struct supervisor *sv)
{
	struct device *dev, *tmp;

	list_for_each_safe(dev, tmp, &sv->devices, link)
		device_free(dev);
	xs_close(sv->host.xs);
	domains_close(sv->watch.domains);
	free(sv->host.worker);
	opening_close(&sv->opener);
	close_fd(&sv->host.epoll_fd);
	close_fd(&sv->signal_fd);
}
