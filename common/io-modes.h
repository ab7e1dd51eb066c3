/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io-modes.h: cache modes and AIO engines, and their names.
 *
 * The engine (image/, io/) acts by them; the supervisor, which has no engine, and
 * the tool's help know them by the same names.
 */
#ifndef XD_COMMON_IO_MODES_H
#define XD_COMMON_IO_MODES_H

/* QEMU's meaning: cache mode        O_DIRECT  write-through  ignores flushes
 *   none                            yes       no             no
 *   writeback                       no        no             no
 *   writethrough                    no        yes            no
 *   directsync                      yes       yes            no
 *   unsafe                          no        no             yes
 * auto: none where the file system can O_DIRECT, else writeback. */
enum image_cache {
	IMAGE_CACHE_AUTO, IMAGE_CACHE_NONE, IMAGE_CACHE_WRITEBACK,
	IMAGE_CACHE_WRITETHROUGH, IMAGE_CACHE_DIRECTSYNC, IMAGE_CACHE_UNSAFE,
};
int image_parse_cache(const char *name, enum image_cache *cache);
const char *image_cache_name(enum image_cache cache);
/* Their names but for "auto", for help and lists: one string. */
#define IMAGE_CACHE_MODES(separator) \
	"none" separator "writeback" separator "writethrough" separator \
	"directsync" separator "unsafe"

enum aio_kind { AIO_AUTO, AIO_IO_URING, AIO_LIBAIO, AIO_THREADS };

/* "auto", "io_uring", "libaio" (also "native"), "threads"; -EINVAL. */
int aio_parse_kind(const char *name, enum aio_kind *kind);
const char *aio_kind_name(enum aio_kind kind);
/* `native` is how to write that "libaio" has two names. */
#define AIO_ENGINES(separator, native) \
	"auto" separator "io_uring" separator native separator "threads"

#endif
