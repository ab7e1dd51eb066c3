/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * luks.c: the format luks: a LUKS1 header, and an encrypted disk behind it.
 *
 * It is what cryptsetup makes of a partition, so the payload is as long as the
 * file allows. Sectors are numbered from the payload's start.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/driver.h"
#include "image/graph/create.h"
#include "image/graph/make.h"
#include "image/graph/open.h"
#include "image/host-file.h"
#include "image/luks/crypto-io.h"
#include "image/luks/amend.h"
#include "io/loop.h"

struct luks_image {
	struct luks l;
	struct crypto *crypto;		/* NULL: opened with IMAGE_NO_IO */
};

static bool luks_probe(const char *path, const uint8_t *head, size_t len)
{
	return len >= 8 && !memcmp(head, "LUKS\xba\xbe\0\x01", 8);
}

static struct luks_area area_of(const struct image *img)
{
	return (struct luks_area){ img->file, 0, img->file->size };
}

static int luks_image_open(struct image *img, const struct image_options *opts,
			   struct error *err)
{
	struct luks_image *s = img->state;
	struct luks_area area = area_of(img);
	int ret = luks_read(&area, &s->l, err);

	if (ret)
		return ret;
	if (s->l.payload_offset > img->file->size)
		return error_set(err, EINVAL, "LUKS header: the payload starts "
				 "at %" PRIu64 ", the file has %" PRIu64
				 " bytes", s->l.payload_offset,
				 img->file->size);
	img->size = align_down(img->file->size - s->l.payload_offset,
			       SECTOR_SIZE);
	img->request_align = CRYPTO_SECTOR;
	img->limits = img->file->limits;
	img->limits.discard = false;
	if (img->flags & IMAGE_NO_IO)
		return 0;
	return luks_open(&area, &s->l, opts->node ? opts->node->key_secret :
			 NULL, "key-secret", &s->crypto, err);
}

static int luks_image_close(struct image *img, struct error *err)
{
	struct luks_image *s = img->state;

	crypto_free(s->crypto);
	return 0;
}

static int luks_preadv(struct image *img, uint64_t off, uint64_t len,
		       struct iow w)
{
	struct luks_image *s = img->state;

	return crypto_preadv(s->crypto, img->file, s->l.payload_offset + off,
			     off / CRYPTO_SECTOR, len, w);
}

static int luks_pwritev(struct image *img, uint64_t off, uint64_t len,
			struct iow w)
{
	struct luks_image *s = img->state;

	return crypto_pwritev(s->crypto, img->file, s->l.payload_offset + off,
			      off / CRYPTO_SECTOR, len, w);
}

static int luks_truncate(struct image *img, uint64_t size, struct error *err)
{
	struct luks_image *s = img->state;
	uint64_t old = img->size, all;
	int ret;

	if (add_overflow(size, s->l.payload_offset, &all))
		return error_set(err, EFBIG, "a disk of %" PRIu64 " bytes is too "
				 "large", size);
	ret = image_truncate(img->file, all, err);
	if (ret)
		return ret;
	img->size = align_down(size, SECTOR_SIZE);
	/* What was never encrypted reads as noise. */
	if (img->size > old)
		ret = image_pwrite_zeroes(img, old, img->size - old, 0);
	return ret ? error_set_errno(err, -ret, "zeroing what %s has grown by",
				     img->path) : 0;
}

static int luks_get_info(struct image *img, struct image_info *info,
			 struct error *err)
{
	const struct luks_image *s = img->state;

	info->kind = IMAGE_INFO_LUKS;
	info->encrypted = true;
	luks_describe(&s->l, &info->encrypt);
	return 0;
}

/* ---- create ---- */

static const struct image_create_help luks_create_help[] = {
	{ "cipher-alg", "<str>       - aes-128, aes-256 [aes-256]" },
	{ "cipher-mode", "<str>      - ecb, cbc, xts [xts]" },
	{ "hash-alg", "<str>         - hash of PBKDF2: sha1, sha256, sha512, "
	  "... [sha256]" },
	{ "iter-time", "<num>        - milliseconds a passphrase takes [2000]" },
	{ "ivgen-alg", "<str>        - plain, plain64, essiv [plain64]" },
	{ "ivgen-hash-alg", "<str>   - hash of essiv [sha256]" },
	{ "key-secret", "<str>       - ID of the --object secret with the "
	  "passphrase" },
	{ "preallocation", "<str>    - off, falloc, full [off]" },
	{ "size", "<size>            - Virtual disk size" },
	{ NULL, NULL },
};

struct make {
	const struct luks_options *o;
	uint8_t *bytes;
	size_t len;
	struct error *err;
};

static int64_t run_make(void *arg)
{
	struct make *m = arg;

	return luks_make(m->o, &m->bytes, &m->len, m->err);
}

static int parse_create(const struct create_args *args, struct luks_options *o,
			struct error *err)
{
	int ret = create_judge(args, err);

	luks_options_init(o);
	for (unsigned int i = 0; !ret && i < args->nr; i++)
		ret = min(luks_set_option(o, args->options[i].name,
					  args->options[i].name,
					  args->options[i].value, err), 0);
	return ret ? ret : luks_judge_options(o, "key-secret", err);
}

/* co. The file with its space, the header at its start. */
static int make_file(struct loop *loop, const char *path, uint64_t len,
		     const struct create_args *args, const struct make *m,
		     struct error *err)
{
	struct image_create_option prealloc = {
		"preallocation", create_text(args, "preallocation"),
	};
	struct image_options opts = {
		.flags = IMAGE_RDWR,
		.cache = IMAGE_CACHE_WRITEBACK,
	};
	struct image *file;
	int ret;

	ret = host_file_create(loop, path, len, &prealloc,
			       prealloc.value ? 1 : 0, err);
	if (!ret)
		ret = image_open(loop, path, "raw", &opts, &file, err);
	if (ret)
		return ret;
	return create_done(file, image_pwrite(file, 0, m->len, m->bytes), err);
}

/* The file for a disk of `size` bytes. */
static int file_len(const struct luks_options *o, uint64_t size, uint64_t *len,
		    struct error *err)
{
	if (!add_overflow(align_up(min(size, (uint64_t)INT64_MAX), SECTOR_SIZE),
			  luks_area_len(o), len) && *len <= INT64_MAX)
		return 0;
	return error_set(err, EFBIG, "a disk of %" PRIu64 " bytes is too large",
			 size);
}

/* What reads as zeroes is encrypted like all the rest. */
static int luks_measure(uint64_t size,
			const struct image_create_option *options,
			unsigned int nr, struct image *from,
			struct image_measure *out, struct error *err)
{
	struct create_args args = { luks_create_help, options, nr };
	struct luks_options o;
	int ret = parse_create(&args, &o, err);

	(void)from;
	if (!ret)
		ret = file_len(&o, size, &out->required, err);
	out->fully_allocated = out->required;
	return ret;
}

static int luks_create(struct loop *loop, const char *path, uint64_t size,
		       const struct image_create_option *options,
		       unsigned int nr, struct error *err)
{
	struct create_args args = { luks_create_help, options, nr };
	struct luks_options o;
	struct make m = { .o = &o, .err = err };
	cleanup_free uint8_t *bytes = NULL;
	uint64_t len;
	int ret;

	ret = parse_create(&args, &o, err);
	if (!ret)
		ret = file_len(&o, size, &len, err);
	if (ret)
		return ret;
	ret = (int)loop_offload(loop, run_make, &m);
	bytes = m.bytes;
	return ret ? ret : make_file(loop, path, len, &args, &m, err);
}

/* ---- amend ---- */

static const struct image_create_help luks_amend_help[] = {
	{ "iter-time", "<num>        - milliseconds the new passphrase takes "
	  "[2000]" },
	{ "keyslot", "<num>          - the slot, 0 to 7" },
	{ "new-secret", "<str>       - ID of the secret to add" },
	{ "old-secret", "<str>       - ID of the secret to erase" },
	{ "state", "<str>            - active (add) or inactive (erase)" },
	{ NULL, NULL },
};

static int luks_image_amend(struct image *img,
			    const struct image_create_option *options,
			    unsigned int nr, unsigned int flags,
			    const struct image_progress *progress,
			    struct error *err)
{
	struct create_args args = { luks_amend_help, options, nr };
	struct luks_area area = area_of(img);
	struct luks_amend a = {
		options, nr, "",
		img->options.node ? img->options.node->key_secret : NULL,
		flags & IMAGE_AMEND_FORCE,
	};
	int ret = create_judge(&args, err);

	return ret ? ret : luks_amend(&area, &a, err);
}

const struct image_driver image_luks_driver = {
	.name = "luks",
	.state_size = sizeof(struct luks_image),
	.probe = luks_probe,
	.open = luks_image_open,
	.close = luks_image_close,
	.preadv = luks_preadv,
	.pwritev = luks_pwritev,
	.truncate = luks_truncate,
	.get_info = luks_get_info,
	.create = luks_create,
	.create_help = luks_create_help,
	.measure = luks_measure,
	.amend = luks_image_amend,
	.amend_help = luks_amend_help,
};
