/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * packet.h: packets of a socket of type SOCK_SEQPACKET, with a descriptor beside
 * them or without (unix(7), SCM_RIGHTS). Any thread.
 */
#ifndef XD_COMMON_PACKET_H
#define XD_COMMON_PACKET_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* passed_fd stays the caller's; -1: none. flags: MSG_DONTWAIT or 0. -errno of
 * sendmsg(2). */
int packet_send(int fd, const struct iovec *iov, size_t niov, int passed_fd,
		int flags);

/* Waits for one; its length in bytes. *passed_fd is the caller's, O_CLOEXEC, -1:
 * there came none. -ECONNRESET: the other side is gone; -EPROTO: it was longer
 * than `size`, or brought more than one descriptor, which then are closed; -errno
 * of recvmsg(2). */
ssize_t packet_receive(int fd, void *buf, size_t size, int *passed_fd);

#endif
