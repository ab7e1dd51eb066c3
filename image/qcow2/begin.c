/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* begin.c: what has to be done before an image that was opened is changed. */

/* Autoclear features that stay true while we write. */
#include "image/qcow2/begin.h"

#include "image/qcow2/bitmap.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/rewrite.h"

static uint64_t kept_autoclear(const struct qcow2 *q)
{
	uint64_t kept = q->bitmaps ? QCOW2_AUTOCLEAR_BITMAPS : 0;

	if (qcow2_external(&q->h))
		kept |= QCOW2_AUTOCLEAR_DATA_FILE_RAW;
	return q->h.autoclear & kept;
}

int qcow2_begin_write(struct qcow2 *q)
{
	int ret = 0;

	co_mutex_lock(&q->begin_lock);
	if (q->begun == QCOW2_UNTOUCHED && q->h.autoclear != kept_autoclear(q)) {
		q->h.autoclear = kept_autoclear(q);
		ret = qcow2_write_header(q);
		if (ret)
			qcow2_stop(q, ret, "clearing autoclear feature bits");
	}
	if (!ret)
		q->begun = max(q->begun, QCOW2_BEGUN_FILE);
	co_mutex_unlock(&q->begin_lock);
	return ret;
}

static int begin_data(struct qcow2 *q)
{
	int ret = qcow2_begin_write(q);

	co_mutex_lock(&q->begin_lock);
	if (!ret && q->begun < QCOW2_BEGUN_DATA)
		ret = qcow2_bitmaps_begin(q);
	if (!ret)
		q->begun = QCOW2_BEGUN_DATA;
	co_mutex_unlock(&q->begin_lock);
	return ret;
}

void qcow2_begin_data_again(struct qcow2 *q)
{
	q->begun = min(q->begun, QCOW2_BEGUN_FILE);
}

int qcow2_writable(struct qcow2 *q, uint64_t off, uint64_t len)
{
	int ret;

	if (unlikely(q->write_error))
		return q->write_error;
	if (unlikely(q->begun < QCOW2_BEGUN_DATA)) {
		ret = begin_data(q);
		if (ret)
			return ret;
	}
	if (unlikely(q->bitmaps) && len) {
		ret = qcow2_bitmaps_mark(q, off, len);
		if (ret)
			return ret;
	}
	return qcow2_relieve(q);
}
