/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor.c: the daemon: xenstore's events in, steps of devices out.
 *
 *	wait -> note what has changed -> claim what is new -> step what is dirty
 *
 * A watch event only marks a device (or a domain to be scanned); however many
 * there are, each turn looks once. So a guest that writes its nodes in a loop
 * costs a bounded amount of work and no memory. No guest's data and no image
 * is ever touched here: that is the workers'.
 */
#include "config.h"

#include "backend/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "backend/supervisor/device.h"
#include "backend/supervisor/domains.h"
#include "common/bits.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/size.h"

#define PID_FILE "xdiskd.pid"
#define RELEASE_TOKEN "release"
#define KIND_TOKEN "kind"
#define EVENTS_PER_TURN 64
#define STOP_NS (60 * 1000000000ull)

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

/* ---- scanning: which devices are there? ---- */

void supervisor_scan(struct supervisor *sv, enum device_kind kind,
		     uint32_t domid, uint32_t devid)
{
	struct scan *s = &sv->scan[kind];

	for (unsigned int i = 0; i < s->nr; i++) {
		if (s->place[i].domid == domid && s->place[i].devid == devid)
			return;
	}
	if (s->nr == SCAN_MAX)
		s->all = true;
	else
		s->place[s->nr++] = (struct scan_place){ domid, devid };
}

static struct device *find_device(struct supervisor *sv, enum device_kind kind,
				  uint32_t domid, uint32_t devid)
{
	struct device *dev;

	list_for_each(dev, &sv->devices, link) {
		if (dev->kind == kind && dev->domid == domid &&
		    dev->devid == devid && !dev->forgotten)
			return dev;
	}
	return NULL;
}

static void claim_one(struct supervisor *sv, enum device_kind kind,
		      uint32_t domid, uint32_t devid)
{
	struct device *dev;
	int ret;

	if (find_device(sv, kind, domid, devid))
		return;
	ret = device_claim(sv, kind, domid, devid, &dev);
	if (ret < 0)
		log_error("vbd %u/%u: cannot be claimed: %s", domid, devid,
			  strerror(-ret));
}

static void scan_domain(struct supervisor *sv, enum device_kind kind,
			uint32_t domid)
{
	char path[64];
	unsigned int n = 0;
	cleanup_free char **names = NULL;

	snprintf(path, sizeof(path), "backend/%s/%u", device_kind_name(kind),
		 domid);
	names = xs_directory(sv->xs, XBT_NULL, path, &n);
	for (unsigned int i = 0; names && i < n; i++) {
		uint64_t devid;

		if (decimal_parse(names[i], UINT32_MAX, &devid) == 0)
			claim_one(sv, kind, domid, (uint32_t)devid);
	}
}

static void scan_kind(struct supervisor *sv, enum device_kind kind)
{
	char path[64];
	unsigned int n = 0;
	cleanup_free char **names = NULL;

	snprintf(path, sizeof(path), "backend/%s", device_kind_name(kind));
	names = xs_directory(sv->xs, XBT_NULL, path, &n);
	for (unsigned int i = 0; names && i < n; i++) {
		uint64_t domid;

		if (decimal_parse(names[i], UINT32_MAX, &domid) == 0)
			scan_domain(sv, kind, (uint32_t)domid);
	}
}

static void scan_places(struct supervisor *sv, enum device_kind kind,
			const struct scan *s)
{
	for (unsigned int i = 0; i < s->nr; i++) {
		const struct scan_place *p = &s->place[i];

		if (p->devid == SCAN_ANY)
			scan_domain(sv, kind, p->domid);
		else
			claim_one(sv, kind, p->domid, p->devid);
	}
}

/* All claims of a burst come before anything that takes longer. */
static void scan(struct supervisor *sv)
{
	struct list *last = sv->devices.prev;
	struct device *dev;

	for (unsigned int k = 0; k < NR_KINDS && !sv->stopping; k++) {
		struct scan s = sv->scan[k];

		sv->scan[k].all = false;
		sv->scan[k].nr = 0;
		if (s.all)
			scan_kind(sv, (enum device_kind)k);
		else
			scan_places(sv, (enum device_kind)k, &s);
	}
	for (; last->next != &sv->devices; last = last->next) {
		dev = list_entry(last->next, struct device, link);
		device_prepare(dev);
	}
}

/* ---- xenstore's events ---- */

/* The nodes that others write and we look at. */
static bool node_matters(const char *node)
{
	static const char *const nodes[] = { "", "state", "online", "sectors" };

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		if (!strcmp(node, nodes[i]))
			return true;
	}
	return false;
}

/* Something above the devices has changed, maybe vanished. */
static void mark_below(struct supervisor *sv, const char *path)
{
	struct device *dev;

	list_for_each(dev, &sv->devices, link) {
		if (xs_path_is_subpath(path, dev->path))
			dev->dirty = true;
	}
}

static void kind_event(struct supervisor *sv, enum device_kind kind,
		       const char *path)
{
	unsigned int domid, devid;
	struct device *dev;
	int n = 0;

	if (sscanf(path, "backend/%*[^/]/%u/%u%n", &domid, &devid, &n) == 2 &&
	    (!path[n] || path[n] == '/')) {
		dev = find_device(sv, kind, domid, devid);
		if (!dev)
			supervisor_scan(sv, kind, domid, devid);
		else if (node_matters(path[n] ? path + n + 1 : ""))
			dev->dirty = true;
		return;
	}
	mark_below(sv, path);
	if (sscanf(path, "backend/%*[^/]/%u", &domid) == 1)
		supervisor_scan(sv, kind, domid, SCAN_ANY);
	else
		sv->scan[kind].all = true;
}

static void release_event(struct supervisor *sv)
{
	struct device *dev;

	list_for_each(dev, &sv->devices, link) {
		if (dev->dead_domain || domains_alive(sv->domains, dev->domid))
			continue;
		log_debug("%s: the domain is dying", dev->name);
		dev->dead_domain = dev->dirty = true;
	}
}

static void frontend_event(struct supervisor *sv, const char *token)
{
	struct device *dev;

	list_for_each(dev, &sv->devices, link) {
		if (!dev->forgotten && !strcmp(dev->path, token))
			dev->dirty = true;
	}
}

static void watch_event(struct supervisor *sv, const char *path,
			const char *token)
{
	unsigned int kind;

	if (!strcmp(token, RELEASE_TOKEN))
		release_event(sv);
	else if (sscanf(token, KIND_TOKEN "%u", &kind) == 1 && kind < NR_KINDS)
		kind_event(sv, (enum device_kind)kind, path);
	else
		frontend_event(sv, token);
}

static void xenstore_readable(struct supervisor *sv)
{
	char **event;

	while ((event = xs_check_watch(sv->xs))) {
		watch_event(sv, event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
		free(event);
	}
	if (errno == EAGAIN || errno == EINTR)
		return;
	/* Those who are connected can go on; nothing else can. */
	log_error("xenstore has gone away: %s; connected disks are served on, "
		  "but nothing new", strerror(errno));
	epoll_ctl(sv->epoll_fd, EPOLL_CTL_DEL, xs_fileno(sv->xs), NULL);
}

/* ---- signals, time, turns ---- */

static void stop(struct supervisor *sv)
{
	struct device *dev;

	if (sv->stopping)
		return;
	log_info("stopping");
	tell_systemd("STOPPING=1");
	sv->stopping = true;
	list_for_each(dev, &sv->devices, link)
		dev->dirty = true;
}

static void signal_readable(struct supervisor *sv)
{
	struct signalfd_siginfo si;
	struct device *dev;

	while (read(sv->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo != SIGCHLD) {
			stop(sv);
			continue;
		}
		list_for_each(dev, &sv->devices, link)
			link_reap(dev);
	}
}

static void wait_for_events(struct supervisor *sv, int timeout_ms)
{
	struct epoll_event events[EVENTS_PER_TURN];
	int n = epoll_wait(sv->epoll_fd, events, EVENTS_PER_TURN, timeout_ms);

	for (int i = 0; i < n; i++) {
		void *who = events[i].data.ptr;

		if (who == &sv->xs)
			xenstore_readable(sv);
		else if (who == &sv->signal_fd)
			signal_readable(sv);
		else
			link_hear(who);
	}
}

static bool any_dirty(const struct supervisor *sv)
{
	const struct device *dev;

	list_for_each(dev, &sv->devices, link) {
		if (dev->dirty && !dev->forgotten)
			return true;
	}
	return false;
}

static int next_timeout(struct supervisor *sv)
{
	uint64_t now = monotonic_ns(), next = UINT64_MAX;
	struct device *dev;

	list_for_each(dev, &sv->devices, link)
		device_tick(dev, now, &next);
	for (unsigned int k = 0; k < NR_KINDS; k++) {
		if (!sv->stopping && (sv->scan[k].all || sv->scan[k].nr))
			return 0;
	}
	if (any_dirty(sv))
		return 0;
	if (next == UINT64_MAX)
		return -1;
	return (int)min((next - now) / 1000000 + 1, (uint64_t)INT_MAX);
}

static void sweep(struct supervisor *sv)
{
	struct device *dev, *tmp;

	list_for_each_safe(dev, tmp, &sv->devices, link) {
		if (device_gone(dev))
			device_free(dev);
	}
}

static void turn(struct supervisor *sv, int timeout_ms)
{
	struct device *dev;

	wait_for_events(sv, timeout_ms);
	scan(sv);
	list_for_each(dev, &sv->devices, link) {
		if (dev->dirty)
			device_step(dev);
	}
	sweep(sv);
}

static bool all_parked(struct supervisor *sv)
{
	struct device *dev;

	list_for_each(dev, &sv->devices, link) {
		if (!device_parked(dev))
			return false;
	}
	return true;
}

static bool any_worker(const struct supervisor *sv)
{
	const struct device *dev;

	list_for_each(dev, &sv->devices, link) {
		if (child_alive(&dev->child))
			return true;
	}
	return false;
}

/* Drained and written down, or out of patience. */
static void finish(struct supervisor *sv)
{
	uint64_t deadline = monotonic_ns() + STOP_NS;
	struct device *dev;

	while (!all_parked(sv) && monotonic_ns() < deadline)
		turn(sv, min((unsigned int)next_timeout(sv), 1000u));
	if (!all_parked(sv)) {
		log_error("some disks did not drain in time");
		sv->stop_failed = true;
	}
	list_for_each(dev, &sv->devices, link)
		link_close(dev);
	while (any_worker(sv))
		turn(sv, min((unsigned int)next_timeout(sv), 1000u));
}

static void run(struct supervisor *sv)
{
	while (!sv->stopping)
		turn(sv, next_timeout(sv));
	finish(sv);
}

/* ---- setting up ---- */

static int add_fd(struct supervisor *sv, int fd, void *who, struct error *err)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = who };

	if (epoll_ctl(sv->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
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
	sv->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	sv->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sv->epoll_fd < 0 || sv->signal_fd < 0)
		return error_set_errno(err, errno, "epoll or signalfd");
	return add_fd(sv, sv->signal_fd, &sv->signal_fd, err);
}

static int watch_kind(struct supervisor *sv, enum device_kind kind,
		      struct error *err)
{
	char path[64], token[32];

	snprintf(path, sizeof(path), "backend/%s", device_kind_name(kind));
	snprintf(token, sizeof(token), KIND_TOKEN "%u", (unsigned int)kind);
	if (!xs_watch(sv->xs, path, token))
		return error_set_errno(err, errno, "cannot watch %s", path);
	return 0;	/* the watch fires at once: all there is gets scanned */
}

static int open_xenstore(struct supervisor *sv, struct error *err)
{
	int ret;

	sv->xs = xs_open(0);
	if (!sv->xs)
		return error_set_errno(err, errno, "cannot open xenstore (is "
				       "this a Xen domain, and may we?)");
	sv->domains = domains_open();
	if (!sv->domains)
		log_warn("no access to the hypervisor's list of domains: that "
			 "a guest has died will show in xenstore only");
	if (!xs_watch(sv->xs, "@releaseDomain", RELEASE_TOKEN))
		return error_set_errno(err, errno, "cannot watch domains");
	for (unsigned int k = 0; k < NR_KINDS; k++) {
		if (!sv->options->kinds[k])
			continue;
		ret = watch_kind(sv, (enum device_kind)k, err);
		if (ret < 0)
			return ret;
	}
	return add_fd(sv, xs_fileno(sv->xs), &sv->xs, err);
}

static void warn_of_blkback(const struct options *o)
{
	if (o->kinds[KIND_VBD] &&
	    access("/sys/bus/xen-backend/drivers/vbd", F_OK) == 0)
		log_warn("the kernel's xen-blkback is loaded: it takes all "
			 "vbd devices before we can (qdisk is not affected)");
}

/* One daemon a run directory. */
static int lock_run_dir(struct supervisor *sv, const char *run_dir,
			struct error *err)
{
	char path[PATH_MAX];

	if (mkdir(run_dir, 0755) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "%s", run_dir);
	if (snprintf(path, sizeof(path), "%s/" PID_FILE, run_dir) >=
	    (int)sizeof(path))
		return error_set(err, ENAMETOOLONG, "%s: too long", run_dir);
	sv->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (sv->lock_fd < 0)
		return error_set_errno(err, errno, "%s", path);
	if (flock(sv->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, EBUSY, "another xdiskd is running in %s",
				 run_dir);
	return 0;
}

static int write_pid(const struct supervisor *sv, struct error *err)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(sv->lock_fd, 0) < 0 ||
	    pwrite(sv->lock_fd, text, (size_t)n, 0) != n)
		return error_set_errno(err, errno, "pid file");
	return 0;
}

/* Who gets a device of a running guest, QEMU or we, is a matter of who runs
 * first. There is never much to do. Workers go back to the usual priority. */
static void hurry(void)
{
	if (setpriority(PRIO_PROCESS, 0, -20) < 0)
		log_debug("no higher priority: %s", strerror(errno));
}

static int set_up(struct supervisor *sv, struct error *err)
{
	int ret;

	hurry();
	sv->worker = child_find_worker(err);
	if (!sv->worker)
		return -ENOENT;
	ret = open_signals(sv, err);
	if (ret == 0)
		ret = open_xenstore(sv, err);
	if (ret == 0)
		ret = write_pid(sv, err);
	return ret;
}

static void tear_down(struct supervisor *sv)
{
	struct device *dev, *tmp;

	list_for_each_safe(dev, tmp, &sv->devices, link)
		device_free(dev);
	xs_close(sv->xs);
	domains_close(sv->domains);
	free(sv->worker);
	for (int *fd = (int[]){ sv->epoll_fd, sv->signal_fd, sv->lock_fd, -2 };
	     *fd != -2; fd++) {
		if (*fd >= 0)
			close(*fd);
	}
}

/* The parent stays until the child serves or has failed, and exits so.
 * Returns the pipe's end that the child reports with, -1 in the foreground. */
static int daemonize(bool foreground)
{
	int pair[2];
	char ok = 0;
	pid_t pid;

	if (foreground)
		return -1;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid != 0) {
		close(pair[1]);
		_exit(pid > 0 && read(pair[0], &ok, 1) == 1 ? 0 : 1);
	}
	close(pair[0]);
	setsid();
	if (chdir("/") < 0)
		log_warn("chdir /: %s", strerror(errno));
	return pair[1];
}

/* From now on nobody reads what we would print. */
static void detach(int ready_fd)
{
	int null;

	if (ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(ready_fd, "", 1) != 1)
		log_warn("nobody waited for us to get ready");
	close(ready_fd);
}

static int serve(struct options *o)
{
	struct supervisor sv = {
		.options = o, .epoll_fd = -1, .signal_fd = -1, .lock_fd = -1,
	};
	struct error err = ERROR_INIT;
	int ready_fd = -1, ret;

	list_init(&sv.devices);
	log_init("xdiskd", o->log_level, true);
	ret = lock_run_dir(&sv, o->run_dir, &err);
	if (ret == 0) {
		ready_fd = daemonize(o->foreground);
		ret = set_up(&sv, &err);
	}
	if (ret < 0) {
		log_error("%s", error_text(&err, ret));
		tear_down(&sv);
		return EXIT_FAILURE;
	}
	log_init("xdiskd", o->log_level, o->foreground);
	warn_of_blkback(o);
	tell_systemd("READY=1");
	log_info("xdiskd " PACKAGE_VERSION " is ready");
	detach(ready_fd);
	run(&sv);
	log_info("stopped");
	tear_down(&sv);
	return sv.stop_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Relative names would change their meaning with chdir(2). */
static int absolute_run_dir(struct options *o)
{
	cleanup_free char *cwd = NULL;
	char *path;

	if (o->run_dir[0] == '/')
		return 0;
	cwd = getcwd(NULL, 0);
	if (!cwd || asprintf(&path, "%s/%s", cwd, o->run_dir) < 0)
		return -ENOMEM;
	free(o->run_dir);
	o->run_dir = path;
	return 0;
}

int main(int argc, char **argv)
{
	static const int exits[] = {
		[OPTIONS_DONE] = 0, [OPTIONS_USAGE] = 2, [OPTIONS_BAD] = 1,
	};
	struct options o;
	enum options_result result = options_parse(&o, argc, argv);
	int status;

	if (result != OPTIONS_RUN)
		status = exits[result];
	else if (o.check_config)
		status = EXIT_SUCCESS;
	else if (absolute_run_dir(&o) < 0)
		status = EXIT_FAILURE;
	else
		status = serve(&o);
	options_free(&o);
	return status;
}
