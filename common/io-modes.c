/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io-modes.c: see io-modes.h. */
#include "common/io-modes.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"

static const char *const cache_names[] = {
	[IMAGE_CACHE_AUTO] = "auto",
	[IMAGE_CACHE_NONE] = "none",
	[IMAGE_CACHE_WRITEBACK] = "writeback",
	[IMAGE_CACHE_WRITETHROUGH] = "writethrough",
	[IMAGE_CACHE_DIRECTSYNC] = "directsync",
	[IMAGE_CACHE_UNSAFE] = "unsafe",
};

int image_parse_cache(const char *name, enum image_cache *cache)
{
	for (size_t i = 0; i < ARRAY_SIZE(cache_names); i++) {
		if (!strcmp(name, cache_names[i])) {
			*cache = (enum image_cache)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *image_cache_name(enum image_cache cache)
{
	return cache_names[cache];
}

int aio_parse_kind(const char *name, enum aio_kind *kind)
{
	if (!strcmp(name, "native"))
		name = "libaio";
	for (*kind = AIO_AUTO; *kind <= AIO_THREADS; ++*kind) {
		if (!strcmp(name, aio_kind_name(*kind)))
			return 0;
	}
	return -EINVAL;
}

const char *aio_kind_name(enum aio_kind kind)
{
	static const char *const names[] = {
		[AIO_AUTO] = "auto",
		[AIO_IO_URING] = "io_uring",
		[AIO_LIBAIO] = "libaio",
		[AIO_THREADS] = "threads",
	};

	return names[kind];
}
