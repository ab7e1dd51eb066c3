/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preload-evtchn.c: libxenevtchn, as /dev/xen/evtchn would answer.
 *
 * A port is two eventfds that the guest's side hands over; the handle's fd is
 * an epoll fd over the ones to wait on. A port that was taken stays masked, and
 * wakes nobody however often it is notified, until it is unmasked; it is pending
 * once when it is bound (Xen does that because a notification may have been lost
 * before).
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <xenevtchn.h>

#include "tests/simxen/preload.h"

#define MAX_PORTS 4096
#define BIND_TIMEOUT 5	/* seconds */

struct xenevtchn_handle {
	int epoll_fd;
	bool restricted;	/* to one domain */
	uint32_t domid;
};

struct port {
	struct xenevtchn_handle *owner;	/* NULL: free */
	int wait_fd, notify_fd;
	int conn_fd;		/* closing it tells the guest: unbound */
};

static struct port ports[MAX_PORTS];
static pthread_mutex_t ports_lock = PTHREAD_MUTEX_INITIALIZER;

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger,
				 unsigned int flags)
{
	xenevtchn_handle *xce = calloc(1, sizeof(*xce));

	if (!xce)
		return NULL;
	xce->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (xce->epoll_fd < 0) {
		free(xce);
		return NULL;
	}
	count(evtchn_handles, 1);
	return xce;
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
				   unsigned int open_flags)
{
	errno = ENOTSUP;
	return NULL;
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
	xce->restricted = true;
	xce->domid = domid;
	return preload_restrict(domid);
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->epoll_fd;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Reports once, and then not before it is armed anew. */
static struct epoll_event one_event(int port)
{
	return (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT,
				     .data.u32 = port };
}

/* Port 0 is never given out, as in Xen. */
static int port_add(xenevtchn_handle *xce, int wait_fd, int notify_fd,
		    int conn_fd)
{
	struct epoll_event ev;
	int n;

	pthread_mutex_lock(&ports_lock);
	for (n = 1; n < MAX_PORTS && ports[n].owner; n++)
		;
	if (n < MAX_PORTS)
		ports[n] = (struct port){ .owner = xce, .wait_fd = wait_fd,
					  .notify_fd = notify_fd,
					  .conn_fd = conn_fd };
	pthread_mutex_unlock(&ports_lock);
	ev = one_event(n);
	if (n == MAX_PORTS ||
	    epoll_ctl(xce->epoll_fd, EPOLL_CTL_ADD, wait_fd, &ev) < 0) {
		if (n < MAX_PORTS)
			ports[n].owner = NULL;
		close_fd(wait_fd);
		close_fd(notify_fd);
		close_fd(conn_fd);
		errno = ENOSPC;
		return -1;
	}
	count(bound_ports, 1);
	return n;
}

static struct port *port_of(xenevtchn_handle *xce, evtchn_port_t n)
{
	if (n < MAX_PORTS && ports[n].owner == xce)
		return &ports[n];
	count(misuse, 1);
	errno = EINVAL;
	return NULL;
}

static void port_drop(struct port *p)
{
	close_fd(p->wait_fd);
	if (p->notify_fd != p->wait_fd)
		close_fd(p->notify_fd);
	close_fd(p->conn_fd);
	p->owner = NULL;
	count(bound_ports, -1);
}

int xenevtchn_close(xenevtchn_handle *xce)
{
	int i;

	if (!xce)
		return 0;
	for (i = 1; i < MAX_PORTS; i++) {
		if (ports[i].owner == xce)
			port_drop(&ports[i]);
	}
	close(xce->epoll_fd);
	free(xce);
	count(evtchn_handles, -1);
	return 0;
}

static int port_connect(uint32_t domid, evtchn_port_t port)
{
	struct timeval limit = { .tv_sec = BIND_TIMEOUT };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (!preload_path(sa.sun_path, sizeof(sa.sun_path), "evtchn.%u.%u",
			  domid, port))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The guest's answer: a byte, and the two eventfds beside it. */
static bool receive_fds(int conn, int fds[2])
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(2 * sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;

	/* With a receive timeout, io_uring's task work ends it with EINTR. */
	do
		n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(2 * sizeof(int)))
		return false;
	memcpy(fds, CMSG_DATA(c), 2 * sizeof(int));
	return true;
}

/* dom0's own store port: nobody is at the other end. */
static int bind_nobody(xenevtchn_handle *xce)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return fd < 0 ? -1 : port_add(xce, fd, fd, -1);
}

bool preload_bind(uint32_t domid, uint32_t port, int fds[3])
{
	int conn = port_connect(domid, port);

	if (conn < 0 || !receive_fds(conn, fds)) {
		close_fd(conn);
		return false;
	}
	fds[2] = conn;
	return true;
}

xenevtchn_port_or_error_t
xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
			   evtchn_port_t remote_port)
{
	uint64_t one = 1;
	int fds[3];
	bool bound;

	preload_trap();
	if (xce->restricted && domid != xce->domid) {
		errno = EPERM;
		return -1;
	}
	bound = preload_restricted() ?
			preload_ask_broker(domid, remote_port, fds) :
			preload_bind(domid, remote_port, fds);
	if (!bound && domid == 0 && remote_port == 1)
		return bind_nobody(xce);
	if (!bound) {
		errno = EINVAL;
		return -1;
	}
	if (write(fds[0], &one, sizeof(one)) < 0) {
		/* full: it is pending anyway */
	}
	return port_add(xce, fds[0], fds[1], fds[2]);
}

/* The store waits for VIRQ_DOM_EXC: a byte in the fifo is one. */
xenevtchn_port_or_error_t
xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
	char path[128];
	int fd;

	if (!preload_path(path, sizeof(path), "virq"))
		return -1;
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return bind_nobody(xce);
	return port_add(xce, fd, -1, -1);
}

xenevtchn_port_or_error_t
xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
	errno = ENOTSUP;
	return -1;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct port *p = port_of(xce, port);

	preload_trap();
	if (!p)
		return -1;
	epoll_ctl(xce->epoll_fd, EPOLL_CTL_DEL, p->wait_fd, NULL);
	port_drop(p);
	return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct port *p = port_of(xce, port);
	uint64_t one = 1;

	if (!p)
		return -1;
	count(notifies, 1);
	if (p->notify_fd >= 0 &&
	    write(p->notify_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		return -1;
	return 0;
}

static int next_event(xenevtchn_handle *xce, struct epoll_event *ev)
{
	int n = epoll_wait(xce->epoll_fd, ev, 1, 0);

	if (n)
		return n;
	if (fcntl(xce->epoll_fd, F_GETFL) & O_NONBLOCK) {
		errno = EAGAIN;
		return -1;
	}
	return epoll_wait(xce->epoll_fd, ev, 1, -1);
}

/* The kernel takes the event and masks the port in one call: here it is two. */
xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	struct epoll_event ev;
	char taken[64];
	struct port *p;

	while (next_event(xce, &ev) == 1) {
		p = &ports[ev.data.u32];
		if (p->owner != xce)
			continue;
		if (read(p->wait_fd, taken, sizeof(taken)) < 0) {
			/* pending all the same */
		}
		count(wakeups, 1);
		return ev.data.u32;
	}
	return -1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct port *p = port_of(xce, port);
	struct epoll_event ev = one_event(port);

	if (!p)
		return -1;
	return epoll_ctl(xce->epoll_fd, EPOLL_CTL_MOD, p->wait_fd, &ev);
}
