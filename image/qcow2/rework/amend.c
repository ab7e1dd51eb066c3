/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * amend.c: changes options of an existing qcow2 image.
 *
 * The options are taken together and judged before anything is written: what
 * cannot be done is refused as a whole. Then, in this order: up to version 3,
 * encryption, refcount width, the header's own fields, size, down to version 2
 * at last (what stands in its way may have gone before).
 */
#include "image/qcow2/rework/amend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/size.h"
#include "image/graph/make.h"
#include "image/graph/overwrite.h"
#include "image/luks/amend.h"
#include "image/qcow2/begin.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/rewrite.h"
#include "image/qcow2/crypt.h"
#include "image/qcow2/snapshot-table.h"
#include "image/qcow2/snapshot.h"

#define V2_REFCOUNT_ORDER 4
#define V3_SNAPSHOT_EXTRA 16u

/* What is asked for. Strings are the caller's, NULL: not mentioned. */
struct amend {
	struct qcow2 *q;
	const struct image_create_option *options;
	unsigned int nr;
	const struct image_progress *progress;

	uint32_t version, refcount_order;
	bool lazy_refcounts, data_file_raw, encrypt, has_size;
	bool short_records;		/* in the snapshot table */
	uint64_t size;
	const char *backing_file, *backing_fmt, *data_file;
	struct luks_amend keys;
};

const struct image_create_help qcow2_amend_help[] = {
	{ "backing_file", "<str>     - File name of a base image" },
	{ "backing_fmt", "<str>      - Image format of the base image" },
	{ "compat", "<str>           - Compatibility level (v2 [0.10] or v3 "
	  "[1.1])" },
	{ "data_file", "<str>        - File name of an external data file" },
	{ "data_file_raw", "<bool (on/off)> - The external data file must stay "
	  "valid as a raw image" },
	{ "encrypt.iter-time", "<num> - Time to spend in PBKDF in "
	  "milliseconds" },
	{ "encrypt.keyslot", "<num>  - Select a single keyslot to modify "
	  "explicitly" },
	{ "encrypt.new-secret", "<str> - New secret to set in the matching "
	  "keyslots. Empty string to erase" },
	{ "encrypt.old-secret", "<str> - Select all keyslots that match this "
	  "password" },
	{ "encrypt.state", "<str>    - Select new state of affected keyslots "
	  "(active/inactive)" },
	{ "lazy_refcounts", "<bool (on/off)> - Postpone refcount updates" },
	{ "refcount_bits", "<num>    - Width of a reference count entry in "
	  "bits" },
	{ "size", "<size>            - Virtual disk size" },
	{ NULL, NULL },
};

/* ---- options ---- */

static int parse_amend_bool(const char *name, const char *value, bool *out,
			    struct error *err)
{
	*out = !strcmp(value, "on");
	if (*out || !strcmp(value, "off"))
		return 0;
	return error_set(err, EINVAL, "Parameter '%s' expects 'on' or 'off', "
			 "not '%s'", name, value);
}

static int amend_compat(struct amend *a, const char *value, struct error *err)
{
	if (!strcmp(value, "0.10") || !strcmp(value, "v2"))
		a->version = 2;
	else if (!strcmp(value, "1.1") || !strcmp(value, "v3"))
		a->version = 3;
	else
		return error_set(err, EINVAL, "Unknown compatibility level %s "
				 "(known: 0.10 or v2, 1.1 or v3)", value);
	return 0;
}

static int amend_lazy_refcounts(struct amend *a, const char *value,
				struct error *err)
{
	return parse_amend_bool("lazy_refcounts", value, &a->lazy_refcounts,
				err);
}

static int amend_refcount_bits(struct amend *a, const char *value,
			       struct error *err)
{
	uint64_t bits;

	if (number_parse(value, UINT64_MAX, &bits))
		return error_set(err, EINVAL, "Parameter 'refcount_bits' "
				 "expects a number, not '%s'", value);
	if (!is_pow2(bits) || bits > 64)
		return error_set(err, EINVAL, "Refcount width must be a power "
				 "of two and may not exceed 64 bits, not '%s'",
				 value);
	a->refcount_order = log2_floor(bits);
	return 0;
}

static int amend_size(struct amend *a, const char *value, struct error *err)
{
	if (size_parse(value, &a->size))
		return error_set(err, EINVAL, "Parameter 'size' expects a "
				 "size, not '%s'", value);
	a->has_size = true;
	a->size = align_up(a->size, SECTOR_SIZE);
	return 0;
}

static int amend_backing_file(struct amend *a, const char *value,
			      struct error *err)
{
	if (strlen(value) > QCOW2_MAX_BACKING_NAME)
		return error_set(err, EINVAL, "Backing file name too long: %zu "
				 "bytes, at most %u", strlen(value),
				 QCOW2_MAX_BACKING_NAME);
	a->backing_file = value;
	return 0;
}

static int amend_backing_fmt(struct amend *a, const char *value,
			     struct error *err)
{
	if (*value && !image_create_options(value))
		return error_set(err, EINVAL, "Unknown backing format '%s'",
				 value);
	a->backing_fmt = value;
	return 0;
}

static int amend_data_file(struct amend *a, const char *value,
			   struct error *err)
{
	if (!(a->q->h.incompat & QCOW2_INCOMPAT_DATA_FILE))
		return error_set(err, EINVAL, "data-file can only be set for "
				 "images that use an external data file");
	a->data_file = value;
	return 0;
}

static int amend_data_file_raw(struct amend *a, const char *value,
			       struct error *err)
{
	bool is_raw = a->data_file_raw;
	int ret = parse_amend_bool("data_file_raw", value, &a->data_file_raw,
				   err);

	if (!ret && a->data_file_raw && !is_raw)
		return error_set(err, EINVAL, "data-file-raw cannot be set on "
				 "existing images");
	return ret;
}

static const struct {
	const char *name;
	int (*set)(struct amend *a, const char *value, struct error *err);
} setters[] = {
	{ "backing_file", amend_backing_file },
	{ "backing_fmt", amend_backing_fmt },
	{ "compat", amend_compat },
	{ "data_file", amend_data_file },
	{ "data_file_raw", amend_data_file_raw },
	{ "lazy_refcounts", amend_lazy_refcounts },
	{ "refcount_bits", amend_refcount_bits },
	{ "size", amend_size },
};

static int refuse_option(const char *name, struct error *err)
{
	static const char *const of_create[] = {
		"cluster_size", "compression_type", "encryption",
		"extended_l2", "extent_size_hint", "nocow", "preallocation",
	};
	bool known = !strncmp(name, "encrypt.", strlen("encrypt."));

	for (size_t i = 0; i < ARRAY_SIZE(of_create); i++)
		known |= !strcmp(name, of_create[i]);
	return error_set(err, EINVAL, "Invalid parameter '%s'%s", name,
			 known ? "\nThis option is only supported for image "
				 "creation" : "");
}

static int take_amend_option(struct amend *a,
			     const struct image_create_option *o,
			     struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(setters); i++)
		if (!strcmp(o->name, setters[i].name))
			return setters[i].set(a, o->value, err);
	for (size_t i = 0; qcow2_amend_help[i].name; i++)
		if (!strcmp(o->name, qcow2_amend_help[i].name)) {
			a->encrypt = true;
			return 0;
		}
	return refuse_option(o->name, err);
}

/* ---- may it be done? ---- */

static int judge_snapshot_for_v2(void *arg, const struct qcow2_snapshot *sn,
				 struct error *err)
{
	struct amend *a = arg;

	/* Others read of a version 2 table only what version 2 had. */
	if (sn->info.vm_state_size > UINT32_MAX ||
	    sn->info.disk_size != (a->has_size ? a->size : a->q->img->size))
		return error_set(err, ENOTSUP, "Internal snapshots prevent "
				 "downgrade of image: '%.100s' has another disk "
				 "size or a large VM state", sn->info.name);
	return 0;
}

static int judge_downgrade(struct amend *a, struct error *err)
{
	const struct qcow2_header *h = &a->q->h;

	if (h->incompat & QCOW2_INCOMPAT_DATA_FILE)
		return error_set(err, ENOTSUP, "Cannot downgrade an image with "
				 "a data file");
	/* Its zero clusters would need data that is encrypted. */
	if (h->crypt_method && h->backing_file)
		return error_set(err, ENOTSUP, "Cannot downgrade an encrypted "
				 "image with a backing file");
	if (h->incompat)
		return error_set(err, ENOTSUP, "Cannot downgrade an image with "
				 "incompatible features 0x%" PRIx64 " set",
				 h->incompat);
	if (h->has_bitmaps && (h->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		return error_set(err, ENOTSUP, "Cannot downgrade an image with "
				 "dirty bitmaps: version 2 cannot keep them "
				 "(xdisk bitmap --remove)");
	if (a->refcount_order != V2_REFCOUNT_ORDER)
		return error_set(err, ENOTSUP, "compat=0.10 requires "
				 "refcount_bits=16");
	return qcow2_for_each_snapshot(a->q->file, h, judge_snapshot_for_v2, a,
				       NULL, err);
}

/* Version 3 wants records that say their disk size: older ones may not. */
static int look_at_record(void *arg, const struct qcow2_snapshot *sn,
			  struct error *err)
{
	struct amend *a = arg;

	(void)err;
	a->short_records |= sn->extra_size < V3_SNAPSHOT_EXTRA;
	return 0;
}

static int judge_versions(struct amend *a, struct error *err)
{
	const struct qcow2_header *h = &a->q->h;

	if (a->version < 3 && a->refcount_order != h->refcount_order &&
	    a->refcount_order != V2_REFCOUNT_ORDER)
		return error_set(err, EINVAL, "Refcount widths other than 16 "
				 "bits require compatibility level 1.1 or above "
				 "(use compat=1.1 or greater)");
	if (a->version < 3 && a->lazy_refcounts &&
	    !(h->compat & QCOW2_COMPAT_LAZY_REFCOUNTS))
		return error_set(err, EINVAL, "Lazy refcounts only supported "
				 "with compatibility level 1.1 and above (use "
				 "compat=1.1 or greater)");
	if (a->version < h->version)
		return judge_downgrade(a, err);
	if (a->version > h->version)
		return qcow2_for_each_snapshot(a->q->file, h, look_at_record, a,
					       NULL, err);
	return 0;
}

static int validate_encryption_change(const struct amend *a, struct error *err)
{
	if (!a->encrypt)
		return 0;
	if (a->q->h.crypt_method == QCOW2_CRYPT_NONE)
		return error_set(err, EINVAL, "Can't amend encryption options "
				 "- encryption not present");
	if (a->q->h.crypt_method != QCOW2_CRYPT_LUKS)
		return error_set(err, ENOTSUP, "Only LUKS encryption options "
				 "can be amended for qcow2 images");
	return luks_amend_judge(&a->keys, err);
}

static int validate_amendment(struct amend *a, struct error *err)
{
	const char *file = a->backing_file ? a->backing_file :
					     a->q->h.backing_file;
	int ret = validate_encryption_change(a, err);

	if (!ret && a->backing_fmt && *a->backing_fmt && !(file && *file))
		return error_set(err, EINVAL, "Backing format cannot be used "
				 "without backing file");
	if (!ret && (a->backing_file || a->data_file))
		ret = image_judge_names(a->q->img, file,
					a->backing_fmt ? a->backing_fmt :
					a->q->h.backing_format, a->data_file,
					err);
	return ret ? ret : judge_versions(a, err);
}

/* ---- doing it ---- */

/* Like strdup(), "" and NULL become nothing; *slot is replaced. */
static int replace_text(char **slot, const char *text)
{
	char *copy = text && *text ? strdup(text) : NULL;

	if (text && *text && !copy)
		return -ENOMEM;
	free(*slot);
	*slot = copy;
	return 0;
}

static int set_names(struct amend *a)
{
	struct qcow2_header *h = &a->q->h;
	int ret = 0;

	if (a->backing_file)
		ret = replace_text(&h->backing_file, a->backing_file);
	if (!ret && (a->backing_fmt || (a->backing_file && !*a->backing_file)))
		ret = replace_text(&h->backing_format, a->backing_fmt);
	if (!ret && a->data_file)
		ret = replace_text(&h->data_file, a->data_file);
	return ret;
}

/* co. A snapshot table with longer records beside the old one, which goes when
 * the header has changed. */
static int renew_snapshot_table(struct amend *a, uint64_t *old,
				uint64_t *old_bytes, struct error *err)
{
	struct qcow2 *q = a->q;
	struct qcow2_snapshot_table t;
	uint64_t offset, bytes;
	int ret = qcow2_snapshot_table_load(q, &t, err);

	*old = q->h.snapshots_offset;
	*old_bytes = t.bytes;
	if (!ret)
		ret = qcow2_snapshot_table_write(q, &t, &offset, &bytes, err);
	qcow2_snapshot_table_free(&t);
	if (!ret)
		ret = qcow2_commit_all(q);
	if (!ret)
		ret = qcow2_barrier(q);
	if (!ret)
		q->h.snapshots_offset = offset;
	return ret;
}

/* co. All that is only a field or a name. */
static int amend_header(struct amend *a, struct error *err)
{
	struct qcow2_header *h = &a->q->h;
	bool same = a->version <= h->version &&
		    a->lazy_refcounts ==
			    !!(h->compat & QCOW2_COMPAT_LAZY_REFCOUNTS) &&
		    a->data_file_raw ==
			    !!(h->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW) &&
		    !a->backing_file && !a->backing_fmt && !a->data_file;
	uint64_t old = 0, old_bytes = 0;	/* snapshot table */
	int ret;

	if (same)
		return 0;
	ret = set_names(a);
	if (!ret && a->short_records)
		ret = renew_snapshot_table(a, &old, &old_bytes, err);
	if (ret)
		return ret;
	if (a->version > h->version) {
		h->version = a->version;
		h->header_length = QCOW2_OUR_HEADER_LENGTH;
	}
	h->compat &= ~QCOW2_COMPAT_LAZY_REFCOUNTS;
	if (a->lazy_refcounts)
		h->compat |= QCOW2_COMPAT_LAZY_REFCOUNTS;
	h->autoclear &= ~QCOW2_AUTOCLEAR_DATA_FILE_RAW;
	if (a->data_file_raw)
		h->autoclear |= QCOW2_AUTOCLEAR_DATA_FILE_RAW;
	ret = qcow2_rewrite_header(a->q, err);
	if (!ret)
		qcow2_forget_clusters(a->q, old, old_bytes);
	return ret;
}

static void drop_feature_names(struct qcow2_header *h)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < h->nr_extensions; i++)
		if (h->extensions[i].type == QCOW2_EXT_FEATURE_NAMES)
			free(h->extensions[i].data);
		else
			h->extensions[n++] = h->extensions[i];
	h->nr_extensions = n;
}

/* co */
static int downgrade(struct amend *a, struct error *err)
{
	struct qcow2_header *h = &a->q->h;
	int ret = qcow2_expand_zero_clusters(a->q, a->progress, err);

	if (ret)
		return error_prefix(err, ret, "Failed to turn zero into data "
				    "clusters");
	h->version = 2;
	h->header_length = QCOW2_V2_HEADER_LENGTH;
	h->compat = 0;
	h->autoclear = 0;
	drop_feature_names(h);
	return qcow2_rewrite_header(a->q, err);
}

/* co */
static int amend_keys(struct amend *a, struct error *err)
{
	struct luks_area area = qcow2_luks_area(a->q);

	return luks_amend(&area, &a->keys, err);
}

static int carry_out_amendment(struct amend *a, struct error *err)
{
	struct qcow2 *q = a->q;
	int ret;

	ret = qcow2_begin_write(q);
	if (!ret)
		ret = qcow2_commit_all(q);
	if (ret)
		return error_set_errno(err, -ret, "writing to %s",
				       q->img->path);
	if (a->version < q->h.version)
		a->lazy_refcounts = false;
	ret = amend_header(a, err);
	if (!ret && a->encrypt)
		ret = amend_keys(a, err);
	if (!ret && a->refcount_order != q->h.refcount_order)
		ret = qcow2_change_refcount_order(q, a->refcount_order,
						  a->progress, err);
	if (!ret && a->has_size && a->size != q->img->size)
		ret = image_truncate(q->img, a->size, err);
	if (!ret && a->version < q->h.version)
		ret = downgrade(a, err);
	return ret;
}

int qcow2_amend(struct image *img, const struct image_create_option *options,
		unsigned int nr, unsigned int flags,
		const struct image_progress *progress, struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	struct amend a = {
		.q = q,
		.options = options,
		.nr = nr,
		.progress = progress,
		.version = q->h.version,
		.refcount_order = q->h.refcount_order,
		.lazy_refcounts = q->h.compat & QCOW2_COMPAT_LAZY_REFCOUNTS,
		.data_file_raw = q->h.autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW,
	};
	const struct image_node *node = img->options.node;
	int ret = 0;

	a.keys = (struct luks_amend){
		options, nr, "encrypt.", node ? node->key_secret : NULL,
		flags & IMAGE_AMEND_FORCE,
	};
	for (unsigned int i = 0; i < nr && !ret; i++)
		ret = take_amend_option(&a, &options[i], err);
	if (!ret)
		ret = validate_amendment(&a, err);
	return ret ? ret : carry_out_amendment(&a, err);
}
