/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-snapshot.c: reads the snapshot table, an entry at a time.
 *
 * Specification, "Snapshots". An entry has a fixed part of 40 bytes, extra
 * data (which may be shorter or longer than what is known), an id and a name,
 * padded to 8. No more than one entry is in memory, whatever the table claims.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "image/qcow2.h"

#define FIXED_BYTES 40u
#define MAX_EXTRA 1024u
#define MAX_TABLE (64 * MiB)

static int read_entry(struct image *file, const struct qcow2_header *h,
		      uint64_t offset, uint8_t **entry, uint64_t *len,
		      unsigned int i, struct error *err)
{
	uint8_t fixed[FIXED_BYTES];
	uint32_t extra;
	int ret;

	ret = image_pread(file, offset, sizeof(fixed), fixed);
	if (ret)
		return error_set_errno(err, -ret, "reading snapshot %u", i);
	extra = load_be32(fixed + 36);
	if (extra > MAX_EXTRA)
		return error_set(err, EFBIG, "snapshot table entry %u has %u "
				 "bytes of extra data, at most %u", i, extra,
				 MAX_EXTRA);
	*len = FIXED_BYTES + extra + load_be16(fixed + 12) +
	       load_be16(fixed + 14);
	*entry = malloc(*len);
	if (!*entry)
		return -ENOMEM;
	ret = image_pread(file, offset, *len, *entry);
	if (ret)
		return error_set_errno(err, -ret, "reading snapshot %u", i);
	return 0;
}

static void decode_entry(const uint8_t *e, const struct qcow2_header *h,
			 struct qcow2_snapshot *sn)
{
	uint16_t id_len = load_be16(e + 12), name_len = load_be16(e + 14);
	uint32_t extra = load_be32(e + 36);
	const char *id = (const char *)e + FIXED_BYTES + extra;

	sn->l1_offset = load_be64(e);
	sn->l1_size = load_be32(e + 8);
	sn->extra_size = extra;
	sn->info = (struct image_info_snapshot){
		.id = strndup(id, id_len),
		.name = strndup(id + id_len, name_len),
		.date_sec = load_be32(e + 16),
		.date_nsec = load_be32(e + 20),
		.vm_clock_nsec = load_be64(e + 24),
		.vm_state_size = extra >= 8 ? load_be64(e + FIXED_BYTES) :
					      load_be32(e + 32),
		.disk_size = extra >= 16 ? load_be64(e + FIXED_BYTES + 8) :
					   h->size,
		.icount = extra >= 24 ?
			(int64_t)load_be64(e + FIXED_BYTES + 16) : -1,
	};
}

int qcow2_for_each_snapshot(struct image *file, const struct qcow2_header *h,
			    int (*each)(void *arg,
					const struct qcow2_snapshot *sn,
					struct error *err),
			    void *arg, uint64_t *bytes, struct error *err)
{
	uint64_t offset = h->snapshots_offset, len = 0;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < h->nb_snapshots; i++) {
		cleanup_free uint8_t *entry = NULL;
		struct qcow2_snapshot sn;

		if (offset - h->snapshots_offset > MAX_TABLE)
			return error_set(err, EFBIG, "snapshot table too large: "
					 "more than 64 MiB before entry %u", i);
		ret = read_entry(file, h, offset, &entry, &len, i, err);
		if (ret)
			return ret;
		decode_entry(entry, h, &sn);
		ret = sn.info.id && sn.info.name ? each(arg, &sn, err) : -ENOMEM;
		free(sn.info.id);
		free(sn.info.name);
		offset += align_up(len, 8);
	}
	if (bytes)
		*bytes = offset - h->snapshots_offset;
	return ret;
}
