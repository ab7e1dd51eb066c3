/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.h: xenstore in the supervisor's words.
 *
 * A path is a directory and a node's name; relative ones are below our own
 * domain's home, as xenstored has them. Everything read is copied into the
 * caller's buffer, bounded, and a value with a zero byte in it is refused.
 * Errors are -errno as xenstored gives them: -ENOENT, -EACCES, -EAGAIN (a
 * transaction to start over), -EQUOTA... plus -E2BIG and -EINVAL from here.
 */
#ifndef XD_BACKEND_STORE_H
#define XD_BACKEND_STORE_H

#include <stdint.h>
#include <stddef.h>

#include <xenstore.h>

#define STORE_PATH_MAX 256	/* more than any path libxl makes */
#define STORE_VALUE_MAX 4097	/* the protocol's payload and a zero */

/* Length of the value, or -errno. -E2BIG: it does not fit size. */
int store_read(struct xs_handle *xs, xs_transaction_t t, const char *dir,
	       const char *node, char *buf, size_t size);

/* Only digits, at most limit; -EINVAL, -ERANGE for anything else. */
int store_read_uint(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		    const char *node, uint64_t limit, uint64_t *value);

int store_write(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		const char *node, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* A number, and no node where readers take its absence for that. */
int store_write_uint(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		     const char *node, uint64_t value, uint64_t absent);

/* 0 also when it is not there. */
int store_remove(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		 const char *node);

/* Runs body in a transaction, again when somebody else was in between. What
 * body returns below zero gives the transaction up and is returned. */
int store_transact(struct xs_handle *xs,
		   int (*body)(struct xs_handle *xs, xs_transaction_t t,
			       void *arg),
		   void *arg);

#endif
