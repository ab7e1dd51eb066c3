/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state.h: may an image still be written to?
 *
 *	writable <-> stopped -> lost -> corrupt
 *
 * A write that failed stops the image: what it was to change is in memory only.
 * The next commit that gets everything out ends that. Where nobody knows what is
 * on disk, or memory is ahead of it in what a commit does not write, the image is
 * lost until it is opened anew: every write and every commit fails. The step away
 * from writable is logged, with its reason.
 */
#ifndef XD_IMAGE_QCOW2_STATE_H
#define XD_IMAGE_QCOW2_STATE_H

#include "common/log.h"

struct qcow2;

/* Each is worse than the one before it. */
enum qcow2_state {
	QCOW2_WRITABLE,
	QCOW2_STOPPED,
	QCOW2_LOST,
	QCOW2_CORRUPT,			/* closing marks a version 3 image */
};

/* `what` failed with `error` (-errno), which is returned. */
int qcow2_stop(struct qcow2 *q, int error, const char *what);
/* For one that switches tables by writing the header, too: which of them it
 * leads to is unknown. */
int qcow2_lose(struct qcow2 *q, int error, const char *what);
/* co. All that was written to the image file, to its data file, is on stable
 * storage. A failure loses the image. */
int qcow2_barrier(struct qcow2 *q);
int qcow2_data_barrier(struct qcow2 *q);
/* A commit has got everything out. */
void qcow2_resume(struct qcow2 *q);
/* Logged once; -EIO. */
int qcow2_corrupt(struct qcow2 *q, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Logs once that something of the file is missing or broken. */
void qcow2_tell(struct qcow2 *q, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
