/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cleanup.h: variables that let go of what they hold when they leave scope.
 *
 *	cleanup_free char *path = ...;	free()d
 *	cleanup_fd int fd = -1;		close()d unless negative
 */
#ifndef XD_COMMON_CLEANUP_H
#define XD_COMMON_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_fn(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd_fn(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Hands the value on and disarms the cleanup. */
static inline int steal_fd(int *fd)
{
	int f = *fd;

	*fd = -1;
	return f;
}

#define steal_ptr(p) ({ __typeof__(*(p)) steal_p_ = *(p); *(p) = NULL; steal_p_; })

#define cleanup_free __attribute__((cleanup(cleanup_free_fn)))
#define cleanup_fd __attribute__((cleanup(cleanup_fd_fn)))

#endif
