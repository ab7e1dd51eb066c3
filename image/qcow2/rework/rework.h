/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rework.h: all that has an image to itself.
 *
 * The image is open for writing, no request is in flight and none comes before
 * the function returns. Each one commits before it begins, gets everything ready
 * beside what is in use, and switches by one write of the header where something
 * is to change at once: a crash at any point leaves the old state or the new one,
 * or a part of the way between them where that is said, and leaks at worst. When
 * the switch fails the image is lost (state.h).
 *
 * Contracts of the verbs in driver.h and image.h.
 */
#ifndef XD_IMAGE_QCOW2_REWORK_H
#define XD_IMAGE_QCOW2_REWORK_H

#include "image/qcow2/core/qcow2.h"

/* ---- amend.c ---- */

int qcow2_amend(struct image *img, const struct image_create_option *options,
		unsigned int nr, unsigned int flags,
		const struct image_progress *progress, struct error *err);
extern const struct image_create_help qcow2_amend_help[];

/* ---- backing.c ---- */

int qcow2_change_backing(struct image *img, const char *file,
			 const char *format, struct error *err);
int qcow2_make_empty(struct image *img, struct error *err);

/* ---- compact.c ---- */

int qcow2_compact(struct image *img, struct image_compact *result,
		  struct error *err);

/* ---- resize.c ---- */

int qcow2_truncate(struct image *img, uint64_t size, struct error *err);
int qcow2_preallocate(struct image *img, uint64_t off, uint64_t len,
		      enum image_preallocation mode, struct error *err);

/* ---- snapshot-ops.c ---- */

int qcow2_snapshot_create(struct image *img, const char *name,
			  struct error *err);
int qcow2_snapshot_apply(struct image *img, const char *id_or_name,
			 struct error *err);
int qcow2_snapshot_delete(struct image *img, const char *name_or_id,
			  struct error *err);

/* ---- trim.c ---- */

/* co. Gives the end of the file back: drops refcount blocks that count nothing
 * but themselves, and cuts off what no cluster in use lies behind. */
int qcow2_trim(struct qcow2 *q);
/* Looking for free clusters starts over. */
void qcow2_restart_search(struct qcow2 *q);

#endif
