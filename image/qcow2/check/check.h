/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.h: qcow2 images checked and repaired.
 *
 * By the file below (img->file) only, never through the caches of an open image.
 */
#ifndef XD_IMAGE_QCOW2_CHECK_H
#define XD_IMAGE_QCOW2_CHECK_H

#include "image/driver.h"
#include "image/qcow2/core/header.h"

/*
 * co. Finds out how often each cluster is referenced, from every table that
 * the header `h` leads to, and compares that with the recorded refcounts and
 * flags. What is found goes to result->report and the counts; result's report,
 * progress, dry_run and data are the caller's, all else is overwritten.
 *
 * IMAGE_REPAIR_LEAKS lowers refcounts that are too high, and nothing at all
 * while any table entry is corrupt: what looks leaked may be what that entry
 * should have pointed to. IMAGE_REPAIR_ALL also raises refcounts, or writes a
 * new refcount structure in fresh space where the old one cannot be used, sets
 * COPIED flags right and drops entries that point nowhere; a dropped L2 entry
 * reads as zeroes (version 2: as unallocated). Snapshots without a usable record
 * or L1 table are given up, and all bitmaps if one is broken. With nothing
 * corrupt left the dirty and corrupt bits are cleared. Repair needs img->file
 * writable; a crash in its middle leaves the image no worse than it was.
 *
 * No other request may run meanwhile and nothing may wait to be written; after
 * a repair the header and all tables have to be read anew. 0 when the check
 * came to its end, whatever it found; -ENOMEM; -errno of a write.
 */
int qcow2_check(struct image *img, const struct qcow2_header *h,
		enum image_repair repair, struct image_check *result,
		struct error *err);

/* co. What has to be done before an image with the dirty bit is written to:
 * IMAGE_REPAIR_ALL, silently, if nothing but refcounts is wrong. -EIO when
 * corruptions remain. */
int qcow2_repair_dirty(struct image *img, const struct qcow2_header *h,
		       struct error *err);

#endif
