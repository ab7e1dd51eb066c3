/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backing.c: which backing file an overlay has; an overlay made empty.
 *
 * Emptying takes one L2 table after the other out of the L1 table and puts all
 * that it referred to on the list of what is to be freed. The commits do the
 * rest in their order: a crash leaves some tables in place, whole as they were,
 * and leaks at worst. Then the end of the file is given back: mostly
 * all of it, so that holes are only made between what snapshots keep.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "image/qcow2/begin.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/rewrite.h"
#include "image/qcow2/map.h"
#include "image/qcow2/rework/rework.h"

/* ---- another backing file ---- */

static int validate_backing_name(const struct qcow2 *q, const char *file,
				 const char *format, struct error *err)
{
	if (q->write_error)
		return error_set_errno(err, -q->write_error, "%s", q->img->path);
	if (!file)
		return 0;
	if (strlen(file) > QCOW2_MAX_BACKING_NAME)
		return error_set(err, EINVAL, "backing file name too long: %zu "
				 "bytes, at most %u", strlen(file),
				 QCOW2_MAX_BACKING_NAME);
	if (format && strlen(format) >= 16)
		return error_set(err, EINVAL, "backing format '%.100s' too "
				 "long: at most 15 bytes", format);
	if (q->h.autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW)
		return error_set(err, EINVAL, "%s has a raw external data "
				 "file and cannot have a backing file",
				 q->img->path);
	return 0;
}

/* co. All else that changed is in the file: only the names are new. */
static int write_names(struct qcow2 *q, char *file, char *format,
		       struct error *err)
{
	char *old_file = q->h.backing_file, *old_format = q->h.backing_format;
	int ret;

	q->h.backing_file = file;
	q->h.backing_format = format;
	ret = qcow2_rewrite_header(q, err);
	if (ret) {
		q->h.backing_file = old_file;
		q->h.backing_format = old_format;
		return ret;
	}
	free(old_file);
	free(old_format);
	return 0;
}

int qcow2_change_backing(struct image *img, const char *file,
			 const char *format, struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	char *new_file = file ? strdup(file) : NULL;
	char *new_format = file && format ? strdup(format) : NULL;
	int ret = validate_backing_name(q, file, format, err);

	if (!ret && ((file && !new_file) || (file && format && !new_format)))
		ret = error_set_errno(err, ENOMEM, "%s", img->path);
	if (!ret) {
		ret = qcow2_writable(q, 0, 0);
		if (!ret)
			ret = qcow2_commit_all(q);
		if (ret)
			error_set_errno(err, -ret, "%s", img->path);
	}
	if (!ret)
		ret = write_names(q, new_file, new_format, err);
	if (ret) {
		free(new_file);
		free(new_format);
	}
	return ret;
}

/* ---- an empty overlay ---- */

/* Nothing but data may be freed on an L2 entry's word. */
static int validate_freed_entry(struct qcow2 *q, uint64_t word)
{
	uint64_t first = word & QCOW2_L2_OFFSET, last = first;

	if (word & QCOW2_COMPRESSED) {
		struct qcow2_compressed c =
			qcow2_compressed_decode(q->cluster_bits, word);

		first = align_down(c.offset, q->cluster_size);
		last = c.offset + c.len - 1;
	} else if (!qcow2_entry_placed(&q->h, word)) {
		return 0;
	}
	if (!is_aligned(first, q->cluster_size) || last >= q->data_end)
		return qcow2_corrupt(q, "L2 entry %#" PRIx64 " points at no "
				     "cluster of the file", word);
	for (; first <= last; first += q->cluster_size) {
		enum qcow2_meta type = qcow2_meta_type(&q->meta, first >>
						       q->cluster_bits);

		if (type != QCOW2_META_NONE)
			return qcow2_corrupt(q, "L2 entry %#" PRIx64 " points "
					     "at %s", word,
					     qcow2_meta_name(type));
	}
	return 0;
}

/* co. Frees what a table points at, all of it or nothing. */
static int free_sound_entries(struct qcow2 *q, uint64_t table, uint8_t *buf)
{
	uint64_t nr = UINT64_C(1) << q->l2_bits;
	int ret = image_pread(q->file, table, q->cluster_size, buf);

	if (ret || (q->h.incompat & QCOW2_INCOMPAT_DATA_FILE))
		return ret;		/* the data is not in this file */
	for (uint64_t i = 0; !ret && i < nr; i++)
		ret = validate_freed_entry(
			q, qcow2_entry_load(&q->h, buf, i).word);
	for (uint64_t i = 0; !ret && i < nr; i++)
		qcow2_free_entry(q, qcow2_entry_load(&q->h, buf, i),
				 q->h.nb_snapshots);
	return ret;
}

/* co. Nothing of the table is waiting to be written. */
static int drop_l2(struct qcow2 *q, uint64_t i, uint8_t *buf)
{
	uint64_t table = q->l1.v[i] & QCOW2_L1_OFFSET;
	int ret;

	if (!table)
		return 0;
	ret = qcow2_writable(q, 0, 0);
	if (!ret)
		ret = free_sound_entries(q, table, buf);
	if (ret)
		return ret;
	qcow2_table_set(&q->l1, i, 0);
	return qcow2_free_l2(q, table, q->h.nb_snapshots);
}

int qcow2_make_empty(struct image *img, struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	uint8_t *buf = malloc(q->cluster_size);
	int ret = buf ? qcow2_writable(q, 0, 0) : -ENOMEM;

	if (!ret)
		ret = qcow2_commit_all(q);
	image_event(q->file, IMAGE_EVENT_EMPTY_IMAGE_PREPARE);
	for (uint32_t i = 0; !ret && i < q->l1.nr; i++)
		ret = drop_l2(q, i, buf);
	if (!ret)
		ret = qcow2_commit_all(q);
	if (!ret)
		ret = qcow2_trim(q);
	free(buf);
	return ret ? error_set_errno(err, -ret, "emptying %s", img->path) : 0;
}
