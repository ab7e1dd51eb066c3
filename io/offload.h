/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * offload.h: the threads behind loop_offload(). Only loop.c uses this.
 */
#ifndef XD_IO_OFFLOAD_H
#define XD_IO_OFFLOAD_H

#include <stdint.h>

struct loop;
struct offload;

#define OFFLOAD_THREADS_MAX 256u

/* max_threads: what is above the maximum counts as that. NULL when there is no
 * memory or file descriptor for it. */
struct offload *offload_new(struct loop *loop, unsigned int max_threads);
/* Nobody may be waiting in it; joins its threads. NULL is allowed. */
void offload_free(struct offload *o);

/* co. Runs work(arg) in one of the threads; in this one if there is none. */
int64_t offload_run(struct offload *o, int64_t (*work)(void *arg), void *arg);

#endif
