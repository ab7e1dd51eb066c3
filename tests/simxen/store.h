/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.h: xenstore, as simguest uses it: one connection for the process,
 * paths and values as printf formats. A failure that is not asked about ends
 * the program. State numbers are those of xen/io/xenbus.h.
 */
#ifndef XD_SIMXEN_STORE_H
#define XD_SIMXEN_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <xenstore.h>
#include <xen/io/xenbus.h>

#define STATE_BIT(s) (1u << (s))
#define ANY_STATE (~0u)

void store_open(void);

/* do { t = store_begin(); ... } while (!store_commit(t)); */
xs_transaction_t store_begin(void);
bool store_commit(xs_transaction_t t);

/* A node's value, malloc()ed; NULL when it does not exist. */
char *store_read(xs_transaction_t t, const char *path_fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A decimal node; `missing` when it does not exist or is no number. */
uint64_t store_number(uint64_t missing, const char *path_fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Writes DIR/NAME. */
void store_write(xs_transaction_t t, const char *dir, const char *name,
		 const char *value_fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* A missing node is as good as a removed one. */
void store_remove(xs_transaction_t t, const char *path_fmt, ...)
	__attribute__((format(printf, 2, 3)));
bool store_exists(const char *path_fmt, ...)
	__attribute__((format(printf, 1, 2)));

/* The names below a path: one block to free(); NULL and 0 when it is missing. */
char **store_list(xs_transaction_t t, unsigned int *nr,
		  const char *path_fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A directory owned by one domain and readable by another. */
void store_mkdir(xs_transaction_t t, const char *path, unsigned int owner,
		 unsigned int reader);

/* Domain 0's store tells everybody that the domain came or went. */
void store_introduce(uint32_t domid, uint32_t gref, uint32_t port);
void store_release(uint32_t domid);

/* The state node in DIR: XenbusStateUnknown when it is missing. */
enum xenbus_state store_state(const char *dir);

/* Waits until DIR/state is one of the mask; false when the time is over. */
bool store_wait_state(const char *dir, unsigned int mask, int timeout_ms);
bool store_wait_gone(const char *path, int timeout_ms);

uint64_t now_ns(void);

#endif
