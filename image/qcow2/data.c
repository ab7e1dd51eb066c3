/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * data.c: the external data file.
 *
 * Specification: incompatible feature bit 2 and the header extension with the
 * name. The guest's data lies in a file of its own, each cluster at its guest
 * offset; the image holds metadata only, whose refcounts do not count data. All
 * allocated entries have the COPIED flag, since offset 0 says nothing there.
 * There are no compressed clusters and no internal snapshots.
 *
 * A raw data file (autoclear feature bit 1) holds at each moment what the guest
 * sees. Zeroes and discards are those of the data file then: the mapping stays
 * as it is.
 */
#include "image/qcow2/data.h"

#include <errno.h>
#include <string.h>

#include "image/graph/parts.h"
#include "image/qcow2/core/refcount.h"

/* A commit must be able to come between. */
#define PLACES_AT_ONCE UINT64_C(65536)

int qcow2_open_data_file(struct qcow2 *q, struct error *err)
{
	const struct qcow2_header *h = &q->h;
	int ret;

	if (!qcow2_external(h))
		return 0;
	if (h->backing_file && qcow2_raw_data(h))
		return error_set(err, EINVAL, "the image has a backing file and "
				 "a raw external data file, which cannot be");
	if (h->crypt_method != QCOW2_CRYPT_NONE && qcow2_raw_data(h))
		return error_set(err, EINVAL, "the image is encrypted and has a "
				 "raw external data file, which cannot be");
	if (h->nb_snapshots && (q->img->flags & IMAGE_RDWR))
		return error_set(err, EINVAL, "the image has snapshots and an "
				 "external data file: it can only be read");
	ret = image_open_data_file(q->img, h->data_file, err);
	if (ret)
		return ret;
	q->data = q->img->data;
	q->img->limits = q->data->limits;
	return 0;
}

int qcow2_alloc_data(struct qcow2 *q, uint64_t index, uint64_t max,
		     uint64_t *host, uint64_t *count, bool *fresh)
{
	if (!qcow2_external(&q->h))
		return qcow2_alloc_clusters(q, max, host, count, fresh);
	*host = index << q->cluster_bits;
	*count = min(max, PLACES_AT_ONCE);
	*fresh = qcow2_raw_data(&q->h);
	return 0;
}

void qcow2_free_data(struct qcow2 *q, uint64_t host, uint64_t count)
{
	if (!qcow2_external(&q->h))
		qcow2_free_clusters(q, host, count, false);
}

int qcow2_zero_data(struct qcow2 *q, uint64_t off, uint64_t len,
		    unsigned int flags)
{
	int ret = image_pwrite_zeroes(q->data, off, len, flags);

	return ret == -EOPNOTSUPP ? 0 : ret;
}

/* A device is as large as it is. */
int qcow2_resize_data(struct qcow2 *q, uint64_t size, struct error *err)
{
	struct image *data = q->img->data;

	if (!data)
		return 0;
	if (data->zero_beyond_end)
		return size == data->size ? 0 : image_truncate(data, size, err);
	if (size <= data->size)
		return 0;
	return error_set(err, ENOSPC, "the data file '%s' is a device of %llu "
			 "bytes", data->path, (unsigned long long)data->size);
}
