/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* server.c: the socket and its clients; see server.h. */
#include "nbd/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define PATIENCE_NS UINT64_C(5000000000)

static void stop_listening(struct nbd_server *s)
{
	if (s->fd < 0)
		return;
	loop_del_fd(image_loop(s->img), &s->watch);
	close(s->fd);
	unlink(s->path);
	s->fd = -1;
}

static bool is_over(const struct nbd_server *s)
{
	return s->stopping && !s->nr_clients;
}

static void client_gone(struct nbd_server *s)
{
	struct coroutine *co = s->waiting;

	s->nr_clients--;
	if (!s->nr_clients && s->once)
		nbd_server_stop(s);
	if (!is_over(s) || !s->waiting)
		return;
	s->waiting = NULL;
	co_wake(co);
}

static void serve_client(void *arg)
{
	struct nbd_client *c = arg;
	struct nbd_server *s = c->server;

	if (nbd_handshake(c) == 0)
		nbd_transmit(c);
	list_del(&c->link);
	stream_close(&c->stream);
	free(c);
	client_gone(s);
}

static void add_client(struct nbd_server *s, int fd)
{
	struct nbd_client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	stream_init(&c->stream, image_loop(s->img), fd);
	co_mutex_init(&c->write_lock);
	co_queue_init(&c->room);
	list_add_tail(&s->clients, &c->link);
	s->nr_clients++;
	if (co_start(serve_client, c) == 0)
		return;
	list_del(&c->link);
	stream_close(&c->stream);
	free(c);
	s->nr_clients--;
}

static void knocked(struct loop_fd *watch, uint32_t events)
{
	struct nbd_server *s = container_of(watch, struct nbd_server, watch);
	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (s->nr_clients < s->max_clients)
		add_client(s, fd);
	else
		close(fd);
}

/* A socket that nobody listens on is what a killed server left behind. */
static void remove_stale(const struct sockaddr_un *sa)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (lstat(sa->sun_path, &st) || !S_ISSOCK(st.st_mode) || fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 &&
	    errno == ECONNREFUSED)
		unlink(sa->sun_path);
}

static int listen_on(struct nbd_server *s, struct error *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int ret = 0;

	if (strlen(s->path) >= sizeof(sa.sun_path))
		return error_set(err, ENAMETOOLONG, "the socket's name '%s' is "
				 "longer than %zu bytes", s->path,
				 sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, s->path);
	remove_stale(&sa);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return error_set_errno(err, errno, "socket");
	if (bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		ret = error_set_errno(err, errno, "cannot make the socket '%s'",
				      s->path);
	else if (listen(s->fd, 16) < 0)
		ret = error_set_errno(err, errno, "listen on '%s'", s->path);
	if (!ret)
		return 0;
	close(s->fd);
	s->fd = -1;
	return ret;
}

static void end_clients(struct nbd_server *s, int how)
{
	struct nbd_client *c;

	list_for_each(c, &s->clients, link)
		shutdown(c->stream.fd, how);
}

static void lose_patience(struct loop_timer *timer)
{
	end_clients(container_of(timer, struct nbd_server, patience),
		    SHUT_RDWR);
}

void nbd_server_stop(struct nbd_server *s)
{
	struct coroutine *co = s->waiting;

	if (s->stopping)
		return;
	s->stopping = true;
	stop_listening(s);
	end_clients(s, SHUT_RD);
	loop_set_timer(image_loop(s->img), &s->patience,
		       monotonic_ns() + PATIENCE_NS);
	if (!is_over(s) || !co)
		return;
	s->waiting = NULL;
	co_wake(co);
}

int nbd_server_start(struct nbd_server *s, struct error *err)
{
	int ret;

	s->watch = (struct loop_fd)LOOP_FD_INIT;
	list_init(&s->clients);
	list_init(&s->patience.link);
	s->patience.expire = lose_patience;
	ret = listen_on(s, err);
	if (!ret)
		ret = loop_add_fd(image_loop(s->img), &s->watch, s->fd, EPOLLIN,
				  knocked);
	return ret;
}

void nbd_server_wait(struct nbd_server *s)
{
	if (!is_over(s)) {
		s->waiting = co_self();
		co_yield();
	}
	loop_cancel_timer(&s->patience);
}
