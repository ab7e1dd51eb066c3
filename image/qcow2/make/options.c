/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.c: the options of a new qcow2 image: qemu-img's names, values
 * and limits, and what of them goes with what.
 */
#include "image/qcow2/make/options.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "common/size.h"
#include "image/graph/format.h"
#include "image/qcow2/core/header.h"
#include "image/qcow2/make/create.h"

#define DEFAULT_CLUSTER_SIZE (64 * KiB)
#define DEFAULT_REFCOUNT_ORDER 4

const struct image_create_help qcow2_create_help[] = {
	{ "backing_file", "<str>     - File name of the backing image" },
	{ "backing_fmt", "<str>      - Format of the backing image" },
	{ "cluster_size", "<size>    - Cluster size, 512 to 2M, a power of two "
	  "[64K]" },
	{ "compat", "<str>           - Version: v2 (0.10) or v3 (1.1) [v3]" },
	{ "compression_type", "<str> - Method for compressed clusters: zlib, "
	  "zstd [zlib]" },
	{ "extended_l2", "<bool>     - Cut clusters into 32 subclusters: on, "
	  "off [off]" },
	{ "data_file", "<str>        - File name of an external data file, which "
	  "is made, too" },
	{ "data_file_raw", "<bool>   - The data file must be a raw image at any "
	  "time: on, off [off]" },
	{ "encrypt.cipher-alg", "<str> - LUKS: aes-128, aes-256 "
	  "[aes-256]" },
	{ "encrypt.cipher-mode", "<str> - LUKS: ecb, cbc, xts [xts]" },
	{ "encrypt.format", "<str>   - Encrypt the data: luks, aes (legacy, "
	  "weak)" },
	{ "encrypt.hash-alg", "<str> - LUKS: hash of PBKDF2: sha1, sha256, "
	  "sha512, ... [sha256]" },
	{ "encrypt.iter-time", "<num> - LUKS: milliseconds a passphrase takes "
	  "[2000]" },
	{ "encrypt.ivgen-alg", "<str> - LUKS: plain, plain64, essiv [plain64]" },
	{ "encrypt.ivgen-hash-alg", "<str> - LUKS: hash of essiv [sha256]" },
	{ "encrypt.key-secret", "<str> - ID of the --object secret with the "
	  "passphrase" },
	{ "encryption", "<bool>      - The same as encrypt.format=aes [off]" },
	{ "extent_size_hint", "<size> - Accepted, and not passed on" },
	{ "lazy_refcounts", "<bool>  - Put refcount updates off: on, off "
	  "[off]" },
	{ "nocow", "<bool>           - No copy on write, on btrfs: on, off "
	  "[off]" },
	{ "preallocation", "<str>    - What to allocate: off, metadata, "
	  "falloc, full [off]" },
	{ "refcount_bits", "<num>    - Width of a refcount: 1, 2, 4, 8, 16, "
	  "32, 64 [16]" },
	{ "size", "<size>            - Virtual disk size" },
	{ NULL, NULL },
};

static int set_cluster_size(struct qcow2_settings *s, const char *value,
			    struct error *err)
{
	uint64_t bytes;

	if (size_parse(value, &bytes) || !is_pow2(bytes) ||
	    bytes < UINT64_C(1) << QCOW2_MIN_CLUSTER_BITS ||
	    bytes > UINT64_C(1) << QCOW2_MAX_CLUSTER_BITS)
		return error_set(err, EINVAL, "Cluster size must be a power of "
				 "two between 512 and 2048k, not '%s'", value);
	s->cluster_bits = log2_floor(bytes);
	return 0;
}

static int set_refcount_bits(struct qcow2_settings *s, const char *value,
			     struct error *err)
{
	uint64_t bits;

	if (number_parse(value, 64, &bits) || !is_pow2(bits))
		return error_set(err, EINVAL, "Refcount width must be a power "
				 "of two and may not exceed 64 bits, not '%s'",
				 value);
	s->refcount_order = log2_floor(bits);
	return 0;
}

static int set_compat(struct qcow2_settings *s, const char *value,
		      struct error *err)
{
	if (!strcmp(value, "0.10") || !strcmp(value, "v2"))
		s->version = 2;
	else if (!strcmp(value, "1.1") || !strcmp(value, "v3"))
		s->version = 3;
	else
		return error_set(err, EINVAL, "Parameter 'compat' does not "
				 "accept value '%s' (known: 0.10 or v2, 1.1 or "
				 "v3)", value);
	return 0;
}

static int set_bool_option(const char *name, const char *value, bool *out,
			   struct error *err)
{
	*out = !strcmp(value, "on");
	if (!*out && strcmp(value, "off"))
		return error_set(err, EINVAL, "Parameter '%s' expects 'on' or "
				 "'off', not '%s'", name, value);
	return 0;
}

static int set_lazy_refcounts(struct qcow2_settings *s, const char *value,
			      struct error *err)
{
	return set_bool_option("lazy_refcounts", value, &s->lazy_refcounts,
			       err);
}

static int set_nocow(struct qcow2_settings *s, const char *value,
		     struct error *err)
{
	return set_bool_option("nocow", value, &s->nocow, err);
}

static int set_extended_l2(struct qcow2_settings *s, const char *value,
			   struct error *err)
{
	return set_bool_option("extended_l2", value, &s->extended_l2, err);
}

static int set_compression_type(struct qcow2_settings *s, const char *value,
				struct error *err)
{
	if (!strcmp(value, "zlib"))
		s->compression_type = QCOW2_COMPRESSION_ZLIB;
	else if (!strcmp(value, "zstd"))
		s->compression_type = QCOW2_COMPRESSION_ZSTD;
	else
		return error_set(err, EINVAL, "Parameter 'compression_type' "
				 "does not accept value '%s' (known: zlib, "
				 "zstd)", value);
	return 0;
}

static int set_preallocation(struct qcow2_settings *s, const char *value,
			     struct error *err)
{
	if (!image_parse_preallocation(value, &s->preallocation))
		return 0;
	return error_set(err, EINVAL, "Parameter 'preallocation' does not "
			 "accept value '%s' (known: off, metadata, falloc, "
			 "full)", value);
}

/* A hint to some file systems, which is judged and otherwise not given. */
static int set_extent_size_hint(struct qcow2_settings *s, const char *value,
				struct error *err)
{
	uint64_t bytes;

	if (!size_parse(value, &bytes))
		return 0;
	return error_set(err, EINVAL, "Parameter 'extent_size_hint' expects a "
			 "size, not '%s'", value);
}

static int set_create_size(struct qcow2_settings *s, const char *value,
			   struct error *err)
{
	if (s->size != UINT64_MAX)
		return error_set(err, EINVAL, "The image size must be "
				 "specified only once");
	if (size_parse(value, &s->size))
		return error_set(err, EINVAL, "Invalid image size '%s'", value);
	return 0;
}

static int set_backing_file(struct qcow2_settings *s, const char *value,
			    struct error *err)
{
	size_t len = strlen(value);

	if (len > QCOW2_MAX_BACKING_NAME)
		return error_set(err, EINVAL, "Backing file name too long: %zu "
				 "bytes, at most %u", len,
				 QCOW2_MAX_BACKING_NAME);
	s->backing_file = len ? value : NULL;
	return 0;
}

static int set_backing_fmt(struct qcow2_settings *s, const char *value,
			   struct error *err)
{
	if (!image_backing_format(value))
		return error_set(err, EINVAL, "Unknown backing format '%s' "
				 "(known: %s)", value, image_format_names());
	s->backing_fmt = value;
	return 0;
}

static int set_data_file_option(struct qcow2_settings *s, const char *value,
				struct error *err)
{
	s->data_file = *value ? value : NULL;
	return 0;
}

static int set_data_file_raw(struct qcow2_settings *s, const char *value,
			     struct error *err)
{
	return set_bool_option("data_file_raw", value, &s->data_file_raw, err);
}

static const struct {
	const char *name;
	int (*set)(struct qcow2_settings *s, const char *value, struct error *err);
} setters[] = {
	{ "backing_file", set_backing_file },
	{ "backing_fmt", set_backing_fmt },
	{ "cluster_size", set_cluster_size },
	{ "compat", set_compat },
	{ "compression_type", set_compression_type },
	{ "data_file", set_data_file_option },
	{ "data_file_raw", set_data_file_raw },
	{ "extended_l2", set_extended_l2 },
	{ "extent_size_hint", set_extent_size_hint },
	{ "lazy_refcounts", set_lazy_refcounts },
	{ "nocow", set_nocow },
	{ "preallocation", set_preallocation },
	{ "refcount_bits", set_refcount_bits },
	{ "size", set_create_size },
};

static int set_create_option(struct qcow2_settings *s,
			     const struct image_create_option *o,
			     struct error *err)
{
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(setters); i++)
		if (!strcmp(o->name, setters[i].name))
			return setters[i].set(s, o->value, err);
	ret = qcow2_encrypt_set(&s->encrypt, o, err);
	if (ret <= 0)
		return ret;
	return error_set(err, EINVAL, "Invalid parameter '%s' (known: "
			 "backing_file, backing_fmt, cluster_size, compat, "
			 "compression_type, data_file, data_file_raw, "
			 "encrypt.*, encryption, extended_l2, "
			 "extent_size_hint, lazy_refcounts, nocow, "
			 "preallocation, refcount_bits, size)", o->name);
}

static int validate_data_file(const struct qcow2_settings *s, struct error *err)
{
	if (s->data_file_raw && !s->data_file)
		return error_set(err, EINVAL, "data-file-raw requires "
				 "data-file");
	if (s->data_file_raw && s->backing_file)
		return error_set(err, EINVAL, "Backing file and data-file-raw "
				 "cannot be used at the same time");
	if (s->data_file_raw && s->encrypt.method)
		return error_set(err, EINVAL, "Encryption and data-file-raw "
				 "cannot be used at the same time");
	return 0;
}

static int judge_settings(const struct qcow2_settings *s, struct error *err)
{
	const char *needs_v3 = NULL;

	if (s->refcount_order != DEFAULT_REFCOUNT_ORDER)
		needs_v3 = "Different refcount widths than 16 bits require";
	if (s->lazy_refcounts)
		needs_v3 = "Lazy refcounts require";
	if (s->compression_type)
		needs_v3 = "Compression types other than zlib require";
	if (s->extended_l2)
		needs_v3 = "Extended L2 entries require";
	if (s->data_file)
		needs_v3 = "External data files require";
	if (s->encrypt.method && s->preallocation)
		needs_v3 = "Preallocated encrypted images require";
	if (needs_v3 && s->version < 3)
		return error_set(err, EINVAL, "%s compatibility level 1.1 or "
				 "above (use compat=v3)", needs_v3);
	if (s->extended_l2 && s->cluster_bits < QCOW2_MIN_EXTENDED_BITS)
		return error_set(err, EINVAL, "Extended L2 entries are only "
				 "supported with cluster sizes of at least %u "
				 "bytes", 1u << QCOW2_MIN_EXTENDED_BITS);
	if (s->backing_file && s->preallocation && !s->extended_l2)
		return error_set(err, EINVAL, "Backing file and preallocation "
				 "can only be used at the same time if "
				 "extended_l2 is enabled");
	if (s->backing_fmt && !s->backing_file)
		return error_set(err, EINVAL, "Backing format cannot be used "
				 "without backing file");
	if (s->backing_file && !s->backing_fmt)
		return error_set(err, EINVAL, "Backing file specified without "
				 "backing format");
	if (s->size == UINT64_MAX && !s->backing_file)
		return error_set(err, EINVAL, "Image creation needs a size "
				 "parameter");
	return validate_data_file(s, err);
}

int qcow2_parse_settings(struct qcow2_settings *s, uint64_t size,
			 const struct image_create_option *options,
			 unsigned int nr, struct error *err)
{
	int ret = 0;

	*s = (struct qcow2_settings){
		.size = size,
		.cluster_bits = log2_floor(DEFAULT_CLUSTER_SIZE),
		.refcount_order = DEFAULT_REFCOUNT_ORDER,
		.version = 3,
	};
	qcow2_encrypt_init(&s->encrypt);
	for (unsigned int i = 0; i < nr && !ret; i++)
		ret = set_create_option(s, &options[i], err);
	/* What is in the data file is allocated, as in QEMU. */
	if (s->data_file_raw && s->preallocation == IMAGE_PREALLOC_OFF)
		s->preallocation = IMAGE_PREALLOC_METADATA;
	if (!ret)
		ret = qcow2_encrypt_judge(&s->encrypt, err);
	return ret ? ret : judge_settings(s, err);
}

int qcow2_create_facts(uint64_t size, const struct image_create_option *options,
		       unsigned int nr, struct qcow2_create_facts *facts,
		       struct error *err)
{
	struct qcow2_settings s;
	int ret = qcow2_parse_settings(&s, size, options, nr, err);

	if (ret)
		return ret;
	*facts = (struct qcow2_create_facts){
		.cluster_size = UINT64_C(1) << s.cluster_bits,
		.refcount_order = s.refcount_order,
		.version = s.version,
		.extended_l2 = s.extended_l2,
		.has_backing = s.backing_file,
		.filled = s.preallocation >= IMAGE_PREALLOC_FALLOC,
		.encrypt_len = qcow2_encrypt_len(&s.encrypt),
	};
	return 0;
}
