/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * server.h: an NBD server for one image on a unix socket.
 *
 * Fixed newstyle handshake, structured replies, block status (base:allocation),
 * several clients at once; all of it in the loop of the image. Clients are
 * hostile: every field is judged, what they make us keep in memory is bounded.
 */
#ifndef XD_NBD_SERVER_H
#define XD_NBD_SERVER_H

#include <stdbool.h>

#include "common/error.h"
#include "common/list.h"
#include "image/image.h"
#include "nbd/stream.h"

struct nbd_server {
	/* set by the user */
	struct image *img;		/* its flags say whether it is writable */
	const char *path;		/* of the socket */
	const char *export_name;	/* "" is asked for by default */
	unsigned int max_clients;
	bool once;			/* stops when the last client leaves */

	/* the server's own */
	struct loop_fd watch;
	int fd;
	struct list clients;		/* of nbd_client */
	unsigned int nr_clients;
	bool stopping;
	struct loop_timer patience;	/* with clients, after the stop */
	struct coroutine *waiting;	/* for the end */
};

/* Makes the socket. -EADDRINUSE: somebody serves there. */
int nbd_server_start(struct nbd_server *s, struct error *err);
/* No more clients, and an end to those there are once they have what they
 * asked for; who does not take it within some seconds is cut off. From anywhere
 * in the loop's thread. */
void nbd_server_stop(struct nbd_server *s);
/* co. Until the last client has left (or the stop). Removes the socket. */
void nbd_server_wait(struct nbd_server *s);

/* ---- between server.c, handshake.c and transmission.c ---- */

/* Of the context base:allocation; a server chooses it. */
#define NBD_ALLOCATION_ID 1u

struct nbd_client {
	struct list link;		/* in nbd_server.clients */
	struct nbd_server *server;
	struct stream stream;
	bool structured, allocation;	/* negotiated */
	bool no_zeroes;
	bool lost;			/* it takes no replies any more */
	struct co_mutex write_lock;	/* of the stream */
	unsigned int in_flight;		/* requests */
	uint64_t bytes_in_flight;	/* of their payloads */
	struct co_queue room;
};

/* co. 0: to transmission; -errno: away with it. */
int nbd_handshake(struct nbd_client *c);
/* co. Until the client leaves and all it asked for is answered. */
void nbd_transmit(struct nbd_client *c);
unsigned int nbd_transmission_flags(const struct nbd_client *c);

#endif
