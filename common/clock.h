/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clock.h: the time by which everything is measured that must not jump. */
#ifndef XD_COMMON_CLOCK_H
#define XD_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* CLOCK_MONOTONIC; no system call where the kernel has a vDSO. */
static inline uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

#endif
