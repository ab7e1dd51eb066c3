/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preload-broker.c: the hypervisor, for a process that gives its rights up.
 *
 * A real device node keeps working in a sandbox; this library is files and
 * sockets. So when an event channel handle is restricted, which comes before the
 * sandbox, a child is made that stays outside: it binds ports when it is asked,
 * and removes the process's counters when that has ended. The domain's memory is
 * mapped before, and not again when the domain has gone.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/simxen/preload.h"

struct bind_call {
	uint32_t domid, port;
};

union fds_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(3 * sizeof(int))];
};

static int broker_fd = -1;

static void send_fds(int to, const int fds[3])
{
	union fds_control control = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (fds) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(3 * sizeof(int));
		memcpy(CMSG_DATA(c), fds, 3 * sizeof(int));
	}
	sendmsg(to, &msg, MSG_NOSIGNAL);
}

static void serve_binds(int fd)
{
	struct bind_call call;
	int fds[3];

	while (recv(fd, &call, sizeof(call), 0) == sizeof(call)) {
		bool bound = preload_bind(call.domid, call.port, fds);

		send_fds(fd, bound ? fds : NULL);
		for (int i = 0; bound && i < 3; i++)
			close(fds[i]);
	}
}

bool preload_restricted(void)
{
	return broker_fd >= 0;
}

int preload_restrict(uint32_t domid)
{
	struct foreign *f = preload_lock_domain(domid);
	int pair[2];
	pid_t pid;

	if (f)
		preload_unlock();
	preload_stats();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
		dup2(pair[1], 0);
		close_range(1, ~0u, 0);
		serve_binds(0);
		preload_remove_stats();
		_exit(0);
	}
	close(pair[1]);
	if (pid > 0)
		broker_fd = pair[0];
	else
		close(pair[0]);
	return pid > 0 ? 0 : -1;
}

bool preload_ask_broker(uint32_t domid, uint32_t port, int fds[3])
{
	const struct bind_call call = { domid, port };
	union fds_control control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;

	if (send(broker_fd, &call, sizeof(call), MSG_NOSIGNAL) < 0)
		return false;
	do
		n = recvmsg(broker_fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	c = n == 1 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_len != CMSG_LEN(3 * sizeof(int)))
		return false;
	memcpy(fds, CMSG_DATA(c), 3 * sizeof(int));
	return true;
}
