/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * machine.c: a domain without a hypervisor: memory, grants, event channels.
 *
 * A page and its grant have the same number, so "allocate" and "grant" differ
 * by flags only. Page numbers below SIMXEN_RESERVED_GREFS belong to the domain
 * builder, as in Xen.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/simxen/simxen.h"

void die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("simguest: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

char *machine_path(const char *fmt, ...)
{
	const char *dir = getenv("SIMXEN_DIR");
	char *name, *path;
	va_list ap;

	if (!dir)
		die("SIMXEN_DIR is not set: no simulated Xen is running");
	va_start(ap, fmt);
	if (vasprintf(&name, fmt, ap) < 0)
		die("out of memory");
	va_end(ap);
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		die("out of memory");
	free(name);
	return path;
}

/* ---- domains ----------------------------------------------------------- */

static void *map_whole(char *path, size_t create_size)
{
	int flags = create_size ? O_CREAT | O_EXCL : 0;
	int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
	struct stat st;
	void *p;

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	if (create_size && ftruncate(fd, create_size) < 0)
		die("%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0)
		die("%s: %s", path, strerror(errno));
	p = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	close(fd);
	free(path);
	return p;
}

static size_t grants_size(uint32_t nr)
{
	return sizeof(struct simxen_grants) + nr * sizeof(struct simxen_grant);
}

void machine_create(uint32_t domid, uint32_t pages)
{
	struct machine m = { .domid = domid };
	uint32_t ref;

	m.grants = map_whole(machine_path("grants.%u", domid),
			     grants_size(pages));
	m.mem = map_whole(machine_path("mem.%u", domid),
			  (size_t)pages * SIMXEN_PAGE);
	m.grants->nr = pages;
	m.grants->next_port = 1;
	for (ref = 0; ref < SIMXEN_RESERVED_GREFS; ref++)
		grant_set(&m, ref, GRANT_WRITABLE);
	__atomic_store_n(&m.grants->alive, 1, __ATOMIC_RELEASE);
	machine_close(&m);
}

bool machine_exists(uint32_t domid)
{
	char *path = machine_path("mem.%u", domid);
	bool exists = access(path, F_OK) == 0;

	free(path);
	return exists;
}

void machine_open(struct machine *m, uint32_t domid)
{
	if (!machine_exists(domid))
		die("domain %u does not exist", domid);
	m->domid = domid;
	m->grants = map_whole(machine_path("grants.%u", domid), 0);
	m->mem = map_whole(machine_path("mem.%u", domid), 0);
}

void machine_close(struct machine *m)
{
	uint32_t nr;

	if (!m->grants)
		return;
	nr = m->grants->nr;
	munmap(m->mem, (size_t)nr * SIMXEN_PAGE);
	munmap(m->grants, grants_size(nr));
	m->grants = NULL;
}

static void remove_file(char *path)
{
	unlink(path);
	free(path);
}

void machine_destroy(uint32_t domid)
{
	struct machine m;

	machine_open(&m, domid);
	__atomic_store_n(&m.grants->dying, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&m.grants->alive, 0, __ATOMIC_RELEASE);
	machine_close(&m);
	remove_file(machine_path("mem.%u", domid));
	remove_file(machine_path("grants.%u", domid));
}

void machine_raise_virq(void)
{
	char *path = machine_path("virq");
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || write(fd, "", 1) != 1)
		die("%s: %s", path, strerror(errno));
	close(fd);
	free(path);
}

/* ---- pages ------------------------------------------------------------- */

static bool take_lock(struct machine *m, uint32_t from)
{
	return __atomic_compare_exchange_n(&m->grants->lock, &from,
					   (uint32_t)getpid(), false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Guests are killed at any moment, also while they hold it. */
static void grants_lock(struct machine *m)
{
	uint32_t holder;

	while (!take_lock(m, 0)) {
		holder = __atomic_load_n(&m->grants->lock, __ATOMIC_RELAXED);
		if (holder && kill((pid_t)holder, 0) < 0 && errno == ESRCH &&
		    take_lock(m, holder))
			return;
		usleep(100);
	}
}

static void grants_unlock(struct machine *m)
{
	__atomic_store_n(&m->grants->lock, 0, __ATOMIC_RELEASE);
}

/* As in Linux, a page that the backend still maps is not free, whatever has
 * become of its grant. */
static bool is_free(const struct machine *m, uint32_t ref)
{
	return !m->grants->grant[ref].flags && !pages_mapped(m, ref, 1);
}

static uint32_t find_free(const struct machine *m, uint32_t n)
{
	uint32_t ref, run = 0;

	for (ref = SIMXEN_RESERVED_GREFS; ref < m->grants->nr; ref++) {
		run = is_free(m, ref) ? run + 1 : 0;
		if (run == n)
			return ref - n + 1;
	}
	die("domain %u has no %u free pages", m->domid, n);
}

uint32_t pages_alloc(struct machine *m, uint32_t n, enum grant_access access)
{
	uint32_t ref, i;

	grants_lock(m);
	ref = find_free(m, n);
	for (i = 0; i < n; i++)
		grant_set(m, ref + i, access);
	grants_unlock(m);
	memset(page_at(m, ref), 0, (size_t)n * SIMXEN_PAGE);
	return ref;
}

void pages_free(struct machine *m, uint32_t ref, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		__atomic_store_n(&m->grants->grant[ref + i].flags, 0,
				 __ATOMIC_RELEASE);
}

uint32_t pages_in_use(const struct machine *m)
{
	uint32_t ref, n = 0;

	for (ref = SIMXEN_RESERVED_GREFS; ref < m->grants->nr; ref++)
		n += m->grants->grant[ref].flags != 0;
	return n;
}

uint32_t pages_mapped(const struct machine *m, uint32_t ref, uint32_t n)
{
	uint32_t i, maps = 0;

	for (i = 0; i < n; i++)
		maps += __atomic_load_n(&m->grants->grant[ref + i].maps,
					__ATOMIC_ACQUIRE);
	return maps;
}

void grant_inject(struct machine *m, uint32_t ref, int status, uint32_t times)
{
	__atomic_fetch_or(&m->grants->grant[ref].flags,
			  (uint32_t)(-status & 0xff) << 8 | times << 16,
			  __ATOMIC_ACQ_REL);
}

/* ---- event channels ---------------------------------------------------- */

static int answering_epoll = -1;
static pthread_mutex_t answering_lock = PTHREAD_MUTEX_INITIALIZER;

/* In an epoll event's data: the port, with bit 0 set for its connection. */
#define IS_CONN 1u

static void watch_fd(int fd, const void *data)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP };

	ev.data.u64 = (uintptr_t)data;
	if (epoll_ctl(answering_epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll: %s", strerror(errno));
}

static void unbind_conn(struct port *p)
{
	close(p->conn_fd);
	__atomic_store_n(&p->conn_fd, -1, __ATOMIC_RELEASE);
}

static bool conn_is_dead(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || errno != EAGAIN;
}

static bool send_fds(int conn, int a, int b)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(2 * sizeof(int))];
	} control = { .buf = { 0 } };
	int fds[2] = { a, b };
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	return sendmsg(conn, &msg, MSG_NOSIGNAL) == 1;
}

/* One peer at a time: a bound port cannot be bound again. */
static void answer(struct port *p)
{
	int conn = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (conn < 0)
		return;
	if (p->conn_fd >= 0 && conn_is_dead(p->conn_fd))
		unbind_conn(p);
	if (p->conn_fd >= 0 || !send_fds(conn, p->notify_fd, p->wait_fd)) {
		close(conn);
		return;
	}
	watch_fd(conn, (char *)p + IS_CONN);
	__atomic_store_n(&p->conn_fd, conn, __ATOMIC_RELEASE);
}

/* A port may close between epoll's answer and our turn: ask once more, under
 * the lock that port_close() takes. */
static void *answering_thread(void *arg)
{
	struct epoll_event ev;

	for (;;) {
		if (epoll_wait(answering_epoll, &ev, 1, -1) < 0)
			continue;
		pthread_mutex_lock(&answering_lock);
		if (epoll_wait(answering_epoll, &ev, 1, 0) == 1) {
			struct port *p = (void *)(uintptr_t)
				(ev.data.u64 & ~(uint64_t)IS_CONN);

			if (!(ev.data.u64 & IS_CONN))
				answer(p);
			else if (p->conn_fd >= 0 && conn_is_dead(p->conn_fd))
				unbind_conn(p);
		}
		pthread_mutex_unlock(&answering_lock);
	}
	return NULL;
}

static void start_answering(void)
{
	pthread_t thread;

	if (answering_epoll >= 0)
		return;
	answering_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (answering_epoll < 0 ||
	    pthread_create(&thread, NULL, answering_thread, NULL))
		die("no thread for event channels");
	pthread_detach(thread);
}

static int listen_at(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(sa.sun_path))
		die("%s: too long a path for a socket", path);
	strcpy(sa.sun_path, path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, 8) < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

struct port *port_open(struct machine *m)
{
	struct port *p = calloc(1, sizeof(*p));

	if (!p)
		die("out of memory");
	start_answering();
	p->number = __atomic_fetch_add(&m->grants->next_port, 1,
				       __ATOMIC_RELAXED);
	p->wait_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	p->notify_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->wait_fd < 0 || p->notify_fd < 0)
		die("eventfd: %s", strerror(errno));
	p->conn_fd = -1;
	p->path = machine_path("evtchn.%u.%u", m->domid, p->number);
	p->listen_fd = listen_at(p->path);
	watch_fd(p->listen_fd, p);
	return p;
}

void port_close(struct port *p)
{
	if (!p)
		return;
	unlink(p->path);
	pthread_mutex_lock(&answering_lock);
	close(p->listen_fd);
	if (p->conn_fd >= 0)
		close(p->conn_fd);
	pthread_mutex_unlock(&answering_lock);
	close(p->wait_fd);
	close(p->notify_fd);
	free(p->path);
	free(p);
}

void port_notify(struct port *p)
{
	uint64_t one = 1;

	if (write(p->notify_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		die("notify: %s", strerror(errno));
}

bool port_bound(const struct port *p)
{
	return __atomic_load_n(&p->conn_fd, __ATOMIC_ACQUIRE) >= 0;
}
