/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot.c: reads the snapshot table, an entry at a time; shows one
 * snapshot in the place of the disk.
 *
 * Specification, "Snapshots". An entry has a fixed part of 40 bytes, extra
 * data (which may be shorter or longer than what is known), an id and a name,
 * padded to 8. No more than one entry is in memory, whatever the table claims.
 */
#include "image/qcow2/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"

#define FIXED_BYTES QCOW2_SNAPSHOT_FIXED
#define MAX_EXTRA 1024u
#define MAX_TABLE QCOW2_MAX_SNAPSHOT_TABLE

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
	sn->extra = e + FIXED_BYTES;
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

/* ---- one of them ---- */

struct search {
	struct qcow2_snapshot_pick pick;
	struct qcow2_snapshot *out;
};

void qcow2_snapshot_deinit(struct qcow2_snapshot *sn)
{
	free(sn->info.id);
	free(sn->info.name);
	sn->info.id = sn->info.name = NULL;
}

static int match_snapshot(void *arg, const struct qcow2_snapshot *sn,
			  struct error *err)
{
	struct search *s = arg;

	if ((s->pick.id && strcmp(s->pick.id, sn->info.id)) ||
	    (s->pick.name && strcmp(s->pick.name, sn->info.name)))
		return 0;
	*s->out = *sn;
	s->out->extra = NULL;
	s->out->info.id = strdup(sn->info.id);
	s->out->info.name = strdup(sn->info.name);
	if (s->out->info.id && s->out->info.name)
		return 1;
	qcow2_snapshot_deinit(s->out);
	return -ENOMEM;
}

int qcow2_pick_snapshot(struct image *file, const struct qcow2_header *h,
			struct qcow2_snapshot_pick pick,
			struct qcow2_snapshot *out, struct error *err)
{
	struct search s = { pick, out };

	*out = (struct qcow2_snapshot){ 0 };
	return qcow2_for_each_snapshot(file, h, match_snapshot, &s, NULL, err);
}

/* The value of "KEY=VALUE" in *text up to the next comma, which is cut off. */
static char *take_value(char *text, const char *key, char **next)
{
	char *end = strchr(text, ',');

	if (strncmp(text, key, strlen(key)))
		return NULL;
	*next = end ? end + 1 : text + strlen(text);
	if (end)
		*end = '\0';
	return text + strlen(key);
}

/* "snapshot.id=1,snapshot.name=a" in *text, which is cut up. */
static bool parse_pick(char *text, struct qcow2_snapshot_pick *pick)
{
	char *next = text, *value;

	*pick = (struct qcow2_snapshot_pick){ NULL, NULL };
	while (*next) {
		if ((value = take_value(next, "snapshot.id=", &next)))
			pick->id = value;
		else if ((value = take_value(next, "snapshot.name=", &next)))
			pick->name = value;
		else
			return false;
	}
	return pick->id || pick->name;
}

static int find_shown(struct qcow2 *q, const char *which,
		      struct qcow2_snapshot *sn, struct error *err)
{
	struct qcow2_snapshot_pick pick;
	cleanup_free char *text = strdup(which);
	int ret;

	if (!text)
		return -ENOMEM;
	if (parse_pick(text, &pick))
		return qcow2_pick_snapshot(q->file, &q->h, pick, sn, err);
	pick = (struct qcow2_snapshot_pick){ .id = which };
	ret = qcow2_pick_snapshot(q->file, &q->h, pick, sn, err);
	if (ret)
		return ret;
	pick = (struct qcow2_snapshot_pick){ .name = which };
	return qcow2_pick_snapshot(q->file, &q->h, pick, sn, err);
}

/* Is its L1 table one that can be used? */
int qcow2_judge_snapshot(const struct qcow2 *q, const struct qcow2_snapshot *sn,
			 struct error *err)
{
	if (sn->l1_size > QCOW2_MAX_L1_BYTES / 8 ||
	    !is_aligned(sn->l1_offset, q->cluster_size) ||
	    sn->info.disk_size > INT64_MAX ||
	    qcow2_l1_needed(&q->h, sn->info.disk_size) > sn->l1_size)
		return error_set(err, EINVAL, "corrupt image: snapshot '%.100s' "
				 "has %" PRIu64 " bytes and an L1 table of %u "
				 "entries at %#" PRIx64, sn->info.name,
				 sn->info.disk_size, sn->l1_size,
				 sn->l1_offset);
	return 0;
}

int qcow2_show_snapshot(struct qcow2 *q, const char *which, struct error *err)
{
	struct qcow2_snapshot sn;
	int ret;

	ret = find_shown(q, which, &sn, err);
	if (!ret)
		return error_set(err, ENOENT, "there is no snapshot '%s'",
				 which);
	if (ret > 0)
		ret = qcow2_judge_snapshot(q, &sn, err);
	if (!ret) {
		q->h.l1_table_offset = sn.l1_offset;
		q->h.l1_size = sn.l1_size;
		q->h.size = sn.info.disk_size;
		q->img->size = align_down(q->h.size, SECTOR_SIZE);
	}
	qcow2_snapshot_deinit(&sn);
	return ret;
}
