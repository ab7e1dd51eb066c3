/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshots.h: internal snapshots, which image_get_info() lists, and the state of
 * a virtual machine that they keep.
 */
#ifndef XD_IMAGE_SNAPSHOTS_H
#define XD_IMAGE_SNAPSHOTS_H

#include <stdint.h>

#include "common/error.h"
#include "io/iow.h"

struct image;

/*
 * All co, with nothing else in flight. After a failure the image is as it was,
 * unless writing itself failed: then it takes no more writes. -ENOTSUP: the
 * format, or this image, has no snapshots.
 */

/* A snapshot of the disk as it is, without a state of a virtual machine; it gets
 * the next free id. Names need not differ. -EINVAL: the name; -EFBIG: a limit of
 * the format (how many, refcounts). */
int image_snapshot_create(struct image *img, const char *name,
			  struct error *err);
/* Content and size of the disk are those of the snapshot with that id, else that
 * name. -ENOENT */
int image_snapshot_apply(struct image *img, const char *id_or_name,
			 struct error *err);
/* Gives up the first snapshot with that name, else that id, and its space.
 * -ENOENT */
int image_snapshot_delete(struct image *img, const char *name_or_id,
			  struct error *err);

/* co. The state of a virtual machine, which snapshots keep beside the disk; `off`
 * is in it. What was never written of it is zeroes. Nothing else may be in flight
 * while it is written. -ENOTSUP: the format, or this image, has none; -EFBIG */
int image_vmstate_preadv(struct image *img, uint64_t off, uint64_t len,
			 struct iow w);
int image_vmstate_pwritev(struct image *img, uint64_t off, uint64_t len,
			  struct iow w);

#endif
