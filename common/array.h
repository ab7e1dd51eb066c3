/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* array.h: arrays that grow by one element at a time. */
#ifndef XD_COMMON_ARRAY_H
#define XD_COMMON_ARRAY_H

#include <errno.h>
#include <stdlib.h>

/* Makes room in the malloc()ed `v` (NULL: empty) for one element more than the
 * `nr` that are in it; `max` is how many it has room for. 0; -ENOMEM: all is as it
 * was. */
#define array_reserve(v, nr, max) \
	({ \
		__typeof__(max) max_ = (max); \
		__typeof__(v) v_ = (v); \
		if ((nr) == max_) { \
			max_ = max_ ? 2 * max_ : 16; \
			v_ = reallocarray(v_, max_, sizeof(*v_)); \
			if (v_) { \
				(v) = v_; \
				(max) = max_; \
			} \
		} \
		v_ ? 0 : -ENOMEM; \
	})

#endif
