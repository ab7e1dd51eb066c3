/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * commit.h: changed metadata gets to the file in a safe order.
 *
 * Everything happens in memory first: refcounts of new clusters go up at once,
 * data is written to the new cluster, then the L2 entry is changed in its cached
 * slice. What a change lets go of is put on `freed` with its refcount untouched.
 * A commit copies what is dirty at one instant, writes that in the order told in
 * commit.c, and only then lowers the refcounts of what was freed before that
 * instant, so that at any moment a crash leaves leaks at worst, and a cluster is
 * never handed out again while the file still points at it.
 */
#ifndef XD_IMAGE_QCOW2_COMMIT_H
#define XD_IMAGE_QCOW2_COMMIT_H

#include "image/qcow2/core/qcow2.h"

/* co. All that was changed and written before is on stable storage. */
int qcow2_commit(struct qcow2 *q);
/* co. Until nothing is left to write; with no requests in flight. */
int qcow2_commit_all(struct qcow2 *q);
/* co. Commits when the caches are full of changes. Between requests only. */
int qcow2_relieve(struct qcow2 *q);
/* co, commit_lock held. Dirty refcounts only, made durable. */
int qcow2_write_refcounts(struct qcow2 *q);

#endif
