/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhd.c: the format vpc: disk images of Virtual PC and Hyper-V (VHD), fixed and
 * dynamic, and differencing ones, which are read.
 *
 *	fixed:		the disk's bytes, then a footer
 *	dynamic:	a copy of the footer, dynamic header, block allocation
 *			table (BAT), blocks, footer; a block is a bitmap of its
 *			sectors and then their data
 *	differencing:	a dynamic one, where sectors whose bit is 0 are the
 *			parent's
 *
 * Numbers are big-endian. (Source: Microsoft's "Virtual Hard Disk Image Format
 * Specification" 1.0.) If the footer at the end is missing or damaged, the copy at
 * the beginning is used, and the log says so; a fixed image has no copy: the guest
 * could have written one there. The bitmaps of dynamic images are not looked at:
 * a sector that they call unused was written as zeroes by everybody. A
 * differencing image is mapped sector by sector, with answers for as many as its
 * bitmap has alike.
 *
 * How large the disk is depends on who made it: some go by the geometry in the
 * footer, some by the size beside it. QEMU's list of names is used here.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/bits.h"
#include "common/log.h"
#include "image/graph/create.h"
#include "image/driver.h"
#include "image/formats/mapped.h"
#include "image/formats/vhd-footer.h"
#include "image/formats/vhd-parent.h"
#include "image/graph/open.h"

#define MAX_ENTRIES (UINT32_C(1) << 26)
#define MAX_BLOCK (256 * MiB)
#define DEFAULT_BLOCK (2 * MiB)
#define NOT_THERE 0xffffffffu
#define BITMAP_PIECE 64u		/* bytes looked at in one lookup */

struct vpc {
	struct mapped m;
	bool fixed;
	uint64_t bat_offset;		/* bytes */
	uint32_t entries;
	uint32_t block_size;		/* bytes; 0: fixed */
	uint64_t bitmap_bytes;
	char *parent;			/* as recorded; NULL: no name */
	uint8_t parent_uuid[VHD_UUID_BYTES];
	uint64_t end;			/* of the last block; when writing */
	bool moved;			/* the footer has to be written there */
	bool no_footer;			/* at the end, when it was opened */
	uint8_t footer[VHD_FOOTER_BYTES];
};

static bool vpc_probe(const char *path, const uint8_t *head, size_t len)
{
	return len >= VHD_FOOTER_BYTES && !memcmp(head, VHD_COOKIE, 8);
}

static int vpc_lookup(struct mapped *m, uint64_t block, struct mapped_block *b)
{
	const struct vpc *v = m->img->state;	/* m may be the check's own */
	uint8_t entry[4];
	int ret = 0;

	if (!v->fixed)
		ret = pages_read(&m->pages, v->bat_offset + block * 4, 4,
				 entry);
	if (ret)
		return ret;
	b->flags = IMAGE_EXTENT_ALLOCATED;
	if (!v->fixed && load_be32(entry) == NOT_THERE) {
		b->flags |= IMAGE_EXTENT_ZERO;
		return 0;
	}
	b->flags |= IMAGE_EXTENT_DATA | IMAGE_EXTENT_OFFSET;
	if (!v->fixed)
		b->host_offset = (uint64_t)load_be32(entry) * SECTOR_SIZE +
				 v->bitmap_bytes;
	return 0;
}

/* How many bits, from `bit` on, are as it is; of `bits` in all. */
static uint32_t count_alike(const uint8_t *map, uint32_t bit, uint32_t bits)
{
	bool set = map[bit / 8] & 0x80 >> bit % 8;
	uint32_t n = 1;

	for (bit++; bit < bits; bit++, n++)
		if (!!(map[bit / 8] & 0x80 >> bit % 8) != set)
			break;
	return n;
}

/* One sector of a block that is there. */
static int lookup_bit(struct vpc *v, uint64_t at, uint32_t sector,
		      struct mapped_block *b)
{
	uint32_t from = align_down(sector / 8, BITMAP_PIECE);
	uint8_t map[BITMAP_PIECE];
	uint32_t bit = sector - from * 8;
	int ret;

	if (!range_within(at, v->bitmap_bytes, v->m.file->size)) {
		b->lost_table = at;
		return -EIO;
	}
	ret = pages_read(&v->m.pages, at + from, sizeof(map), map);
	if (ret)
		return ret;
	b->rest = min(b->rest, (uint64_t)count_alike(map, bit,
						     BITMAP_PIECE * 8));
	if (!(map[bit / 8] & 0x80 >> bit % 8))
		return 0;
	b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
		   IMAGE_EXTENT_OFFSET;
	b->host_offset = at + v->bitmap_bytes + (uint64_t)sector * SECTOR_SIZE;
	return 0;
}

static int vpc_lookup_sector(struct mapped *m, uint64_t sector,
			     struct mapped_block *b)
{
	struct vpc *v = container_of(m, struct vpc, m);
	uint32_t per_block = v->block_size / SECTOR_SIZE;
	uint32_t in = sector % per_block;
	uint8_t entry[4];
	int ret;

	b->rest = per_block - in;
	ret = pages_read(&m->pages, v->bat_offset + sector / per_block * 4, 4,
			 entry);
	if (ret || load_be32(entry) == NOT_THERE)
		return ret;
	return lookup_bit(v, (uint64_t)load_be32(entry) * SECTOR_SIZE, in, b);
}

static const struct mapped_ops vpc_ops;
static const struct mapped_ops vpc_differencing_ops = {
	.lookup = vpc_lookup_sector,
};

/* ---- opening ---- */

static bool is_fixed(const uint8_t *f)
{
	return load_be32(f + VHD_TYPE) == VHD_TYPE_FIXED;
}

/* The footer at the end, or else the copy at the beginning. */
static int read_footer(struct vpc *v, struct error *err)
{
	struct image *file = v->m.file;
	int ret = 0;

	v->no_footer = file->size < VHD_FOOTER_BYTES;
	if (!v->no_footer)
		ret = image_pread(file, file->size - VHD_FOOTER_BYTES,
				  VHD_FOOTER_BYTES, v->footer);
	if (!ret && !v->no_footer && vhd_footer_good(v->footer))
		return 0;
	v->no_footer = true;
	if (!ret)
		ret = image_pread(file, 0, VHD_FOOTER_BYTES, v->footer);
	if (ret)
		return error_set_errno(err, -ret, "reading the footer");
	if (vhd_footer_good(v->footer) && !is_fixed(v->footer))
		return 0;
	return error_set(err, EINVAL, "not a VHD image, or one that was cut "
			 "short: no footer with a right checksum at the end "
			 "(the file has %" PRIu64 " bytes), no copy of it at "
			 "the beginning", file->size);
}

/* A check finds it out for itself. */
static void tell_no_footer(const struct vpc *v)
{
	if (v->no_footer && !(v->m.img->flags & IMAGE_REPAIR))
		log_warn("%s: the VHD footer is missing at the end of the file "
			 "of %" PRIu64 " bytes, or damaged: its copy at the "
			 "beginning is used (xdisk check -r all writes it)",
			 v->m.img->path, v->m.file->size);
}

static int judge_dynamic(const uint8_t *h, struct error *err)
{
	uint32_t block = load_be32(h + VHD_BLOCK_SIZE);

	if (memcmp(h, VHD_DYNAMIC_COOKIE, 8))
		return error_set(err, EINVAL, "the VHD image has no dynamic "
				 "header");
	if (vhd_checksum(h, VHD_DYNAMIC_BYTES, VHD_DYNAMIC_CHECKSUM) !=
	    load_be32(h + VHD_DYNAMIC_CHECKSUM))
		return error_set(err, EINVAL, "the checksum of the VHD dynamic "
				 "header is wrong");
	if (!is_pow2(block) || block < SECTOR_SIZE || block > MAX_BLOCK)
		return error_set(err, EINVAL, "Invalid block size %u: not a "
				 "power of two between 512 and %" PRIu64, block,
				 MAX_BLOCK);
	if (load_be32(h + VHD_ENTRIES) > MAX_ENTRIES)
		return error_set(err, EFBIG, "Max Table Entries too large (%u, "
				 "at most %u)", load_be32(h + VHD_ENTRIES),
				 MAX_ENTRIES);
	return 0;
}

static int open_dynamic(struct vpc *v, uint8_t *h, struct error *err)
{
	uint64_t at = load_be64(v->footer + VHD_DATA_OFFSET);
	int ret;

	ret = mapped_judge_table(v->m.file, "VHD dynamic header", at, 1,
				 VHD_DYNAMIC_BYTES, err);
	if (ret)
		return ret;
	ret = image_pread(v->m.file, at, VHD_DYNAMIC_BYTES, h);
	if (ret)
		return error_set_errno(err, -ret, "reading the header");
	ret = judge_dynamic(h, err);
	if (ret)
		return ret;
	v->m.block_size = v->block_size = load_be32(h + VHD_BLOCK_SIZE);
	v->entries = load_be32(h + VHD_ENTRIES);
	v->bat_offset = load_be64(h + VHD_TABLE_OFFSET);
	v->bitmap_bytes = align_up(v->m.block_size / SECTOR_SIZE / 8,
				   SECTOR_SIZE);
	if (v->bitmap_bytes < SECTOR_SIZE)	/* tiny blocks */
		v->bitmap_bytes = SECTOR_SIZE;
	if (div_round_up(v->m.size, v->m.block_size) > v->entries)
		return error_set(err, EINVAL, "Page table too small: %u entries "
				 "for a disk of %" PRIu64 " bytes", v->entries,
				 v->m.size);
	ret = mapped_judge_table(v->m.file, "VHD block allocation table",
				 v->bat_offset, v->entries, 4, err);
	v->m.data_start = max(at + VHD_DYNAMIC_BYTES,
			      v->bat_offset + v->entries * UINT64_C(4));
	return ret;
}

/* Where new blocks may go. */
static int find_vhd_end(struct vpc *v, struct error *err)
{
	uint64_t last;
	uint8_t entry[4];
	int ret;

	v->end = align_up(v->m.data_start, SECTOR_SIZE);
	for (uint32_t i = 0; i < v->entries; i++) {
		ret = pages_read(&v->m.pages, v->bat_offset + i * UINT64_C(4),
				 4, entry);
		if (ret)
			return error_set_errno(err, -ret, "reading the VHD "
					       "block allocation table");
		if (load_be32(entry) == NOT_THERE)
			continue;
		last = (uint64_t)load_be32(entry) * SECTOR_SIZE +
		       v->bitmap_bytes + v->block_size;
		v->end = max(v->end, last);
	}
	return 0;
}

/* Is what was opened the image that ours was made from? What somebody said in
 * its place need not be. */
static int vpc_judge_backing(struct image *img, struct error *err)
{
	const struct vpc *v = img->state, *p = img->backing->state;

	if (img->backing->driver != img->driver ||
	    !memcmp(p->footer + VHD_UUID, v->parent_uuid, VHD_UUID_BYTES))
		return 0;
	return error_set(err, EINVAL, "'%s' is not the parent of the VHD "
			 "image: its unique id is another one than recorded",
			 img->backing->path);
}

static int open_differencing(struct vpc *v, const uint8_t *h, struct error *err)
{
	struct image *img = v->m.img;
	int ret = vhd_parent_name(img->file, h, &v->parent, err);

	if (ret)
		return ret;
	if ((img->flags & IMAGE_RDWR) && !(img->flags & IMAGE_REPAIR))
		return error_set(err, EROFS, "differencing VHD images can only "
				 "be read");
	v->m.ops = &vpc_differencing_ops;
	v->m.block_size = SECTOR_SIZE;
	if (img->flags & IMAGE_NO_BACKING)
		return 0;
	if (!v->parent)
		return error_set(err, ENOTSUP, "the VHD image has a parent, "
				 "but does not say which");
	memcpy(v->parent_uuid, h + VHD_PARENT_UUID, VHD_UUID_BYTES);
	return image_name_backing(img, v->parent, "vpc");
}

static int open_blocks(struct vpc *v, uint32_t type, struct error *err)
{
	uint8_t h[VHD_DYNAMIC_BYTES];
	int ret = open_dynamic(v, h, err);

	if (ret)
		return ret;
	if (v->m.img->flags & IMAGE_RDWR)
		ret = find_vhd_end(v, err);
	if (!ret && type == VHD_TYPE_DIFFERENCING)
		ret = open_differencing(v, h, err);
	return ret;
}

static int open_kind(struct vpc *v, struct error *err)
{
	uint32_t type = load_be32(v->footer + VHD_TYPE);

	if (v->m.size > VHD_MAX_SECTORS * SECTOR_SIZE)
		return error_set(err, EFBIG, "a VHD disk of %" PRIu64 " bytes "
				 "is too large, at most %" PRIu64, v->m.size,
				 VHD_MAX_SECTORS * SECTOR_SIZE);
	v->fixed = is_fixed(v->footer);
	if (type == VHD_TYPE_DYNAMIC || type == VHD_TYPE_DIFFERENCING)
		return open_blocks(v, type, err);
	if (!v->fixed)
		return error_set(err, ENOTSUP, "VHD type %u is not supported, "
				 "only %u (fixed), %u (dynamic) and %u "
				 "(differencing)", type, VHD_TYPE_FIXED,
				 VHD_TYPE_DYNAMIC, VHD_TYPE_DIFFERENCING);
	if (v->m.size > v->m.file->size - VHD_FOOTER_BYTES)
		return error_set(err, EINVAL, "a fixed VHD disk of %" PRIu64
				 " bytes and its footer do not fit into the "
				 "file of %" PRIu64, v->m.size,
				 v->m.file->size);
	v->m.block_size = max(v->m.size, (uint64_t)SECTOR_SIZE);
	v->m.holes = true;
	return 0;
}

static int vpc_open(struct image *img, const struct image_options *opts,
		    struct error *err)
{
	struct vpc *v = img->state;
	int ret;

	mapped_init(&v->m, &vpc_ops, img, img->file);
	ret = read_footer(v, err);
	if (ret)
		return ret;
	v->m.size = img->size = vhd_disk_size(v->footer);
	mapped_limits(img);
	ret = open_kind(v, err);
	if (ret) {
		mapped_deinit(&v->m);
		free(v->parent);
		v->parent = NULL;
		return ret;
	}
	tell_no_footer(v);
	return 0;
}

/* ---- writing ---- */

/* The old footer is where the bitmap will be: beyond that nothing was. */
static int vpc_place(struct mapped *m, uint64_t block, uint64_t *n,
		     uint64_t *host, bool *zero)
{
	struct vpc *v = container_of(m, struct vpc, m);

	if (v->end / SECTOR_SIZE >= NOT_THERE)
		return -EFBIG;
	*n = 1;
	*host = v->end + v->bitmap_bytes;
	*zero = m->file->zero_beyond_end && *host >= m->file->size;
	return 0;
}

static int vpc_enter(struct mapped *m, uint64_t block, uint64_t n,
		     uint64_t host)
{
	struct vpc *v = container_of(m, struct vpc, m);
	uint64_t at = host - v->bitmap_bytes, done = 0, len;
	uint8_t ones[SECTOR_SIZE], entry[4];
	int ret = 0;

	memset(ones, 0xff, sizeof(ones));
	for (; !ret && done < v->bitmap_bytes; done += len) {
		len = min(v->bitmap_bytes - done, sizeof(ones));
		ret = image_pwrite(m->file, at + done, len, ones);
	}
	store_be32(entry, (uint32_t)(at / SECTOR_SIZE));
	if (!ret)
		ret = pages_write(&m->pages, v->bat_offset + block * 4, 4,
				  entry);
	if (ret)
		return ret;
	v->end = host + m->block_size;
	v->moved = true;
	return 0;
}

static const struct mapped_ops vpc_ops = {
	.lookup = vpc_lookup,
	.place = vpc_place,
	.enter = vpc_enter,
};

/* As the last bytes of the file, which O_DIRECT makes longer than that. A device
 * ends where it ends. */
static int put_footer(struct vpc *v, uint64_t at)
{
	struct image *file = v->m.file;
	int ret = image_pwrite(file, at, VHD_FOOTER_BYTES, v->footer);

	if (ret || !file->zero_beyond_end ||
	    file->size <= at + VHD_FOOTER_BYTES)
		return ret;
	return image_truncate(file, at + VHD_FOOTER_BYTES, NULL);
}

/* The one at the beginning serves until this is there. */
static int write_footer(struct vpc *v)
{
	int ret = 0;

	if (!v->moved)
		return 0;
	co_mutex_lock(&v->m.placing);
	if (v->moved)
		ret = put_footer(v, v->end);
	v->moved = v->moved && ret;
	co_mutex_unlock(&v->m.placing);
	return ret;
}

static int vpc_flush(struct image *img)
{
	struct vpc *v = img->state;
	int ret = write_footer(v);

	return ret ? ret : mapped_flush(&v->m);
}

static int vpc_close(struct image *img, struct error *err)
{
	struct vpc *v = img->state;
	int ret = write_footer(v), closed = mapped_close(img, ret ? NULL : err);

	free(v->parent);
	v->parent = NULL;
	if (!ret)
		return closed;
	return error_set_errno(err, -ret, "%s: the footer could not be written",
			       img->path);
}

/* ---- check ---- */

static int by_block_place(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Of blocks that begin where blocks can be. */
struct places {
	uint32_t *at;			/* sectors, sorted */
	uint32_t nr;
	uint64_t end;			/* of what the disk shows of them, bytes */
};

static int list_places(struct vpc *v, struct places *p)
{
	uint32_t blocks = (uint32_t)div_round_up(v->m.size, v->block_size);
	uint64_t shown, at;
	uint8_t entry[4];
	int ret = 0;

	p->at = malloc((size_t)blocks * sizeof(*p->at) + 1);
	if (!p->at)
		return -ENOMEM;
	for (uint32_t i = 0; i < blocks && !ret; i++) {
		ret = pages_read(&v->m.pages, v->bat_offset + i * UINT64_C(4),
				 4, entry);
		at = (uint64_t)load_be32(entry) * SECTOR_SIZE;
		if (ret || load_be32(entry) == NOT_THERE ||
		    at < v->m.data_start || at >= v->m.file->size)
			continue;
		shown = min((uint64_t)v->block_size,
			    v->m.size - (uint64_t)i * v->block_size);
		p->end = max(p->end, at + v->bitmap_bytes + shown);
		p->at[p->nr++] = load_be32(entry);
	}
	qsort(p->at, p->nr, sizeof(*p->at), by_block_place);
	return ret;
}

/* Each is a bitmap and the data; those that begin alike were found before. */
static int find_overlaps(struct vpc *v, struct image_check *r)
{
	uint64_t bytes = v->bitmap_bytes + v->block_size;
	uint64_t footer = v->m.file->size - VHD_FOOTER_BYTES;
	struct places p = { 0 };
	int ret = list_places(v, &p);

	for (uint32_t i = 1; i < p.nr && !ret; i++) {
		uint64_t a = p.at[i - 1] * SECTOR_SIZE;
		uint64_t b = p.at[i] * SECTOR_SIZE;

		if (a != b && b - a < bytes)
			mapped_corrupt(r, "ERROR: the blocks at %#" PRIx64
				       " and %#" PRIx64 " overlap", a, b);
	}
	if (!ret && !v->no_footer && p.end > footer &&
	    p.end <= v->m.file->size)
		mapped_corrupt(r, "ERROR: a block reaches to %#" PRIx64 ", over "
			       "the footer at %#" PRIx64, p.end, footer);
	free(p.at);
	return ret;
}

/* By whole blocks, whatever is mapped otherwise. */
static int check_blocks(struct vpc *v, struct image_check *r)
{
	struct mapped m;
	int ret;

	mapped_init(&m, &vpc_ops, v->m.img, v->m.file);
	m.block_size = v->block_size;
	m.size = v->m.size;
	m.data_start = v->m.data_start + v->bitmap_bytes;
	ret = mapped_check(&m, r);
	mapped_deinit(&m);
	return ret ? ret : find_overlaps(v, r);
}

static int mend_footer(struct vpc *v, struct image_check *r)
{
	uint64_t last = align_up(v->m.file->size, SECTOR_SIZE) -
			VHD_FOOTER_BYTES;
	int ret;

	r->corruptions_fixed++;
	if (r->dry_run)
		return 0;
	if (v->no_footer)
		ret = put_footer(v, max(v->end, last));
	else
		ret = image_pwrite(v->m.file, 0, VHD_FOOTER_BYTES, v->footer);
	return ret ? ret : image_flush(v->m.file);
}

/* The one that was used is good. A footer behind blocks that are cut off would
 * make zeroes of what they lack, so it is written only where nothing else is
 * wrong. */
static int check_footers(struct vpc *v, bool repair, struct image_check *r)
{
	bool sound = !r->corruptions;
	uint8_t copy[VHD_FOOTER_BYTES];
	int ret = image_pread(v->m.file, 0, sizeof(copy), copy);

	if (ret || (!v->no_footer && vhd_footer_good(copy)))
		return ret;
	if (v->no_footer)
		mapped_corrupt(r, "ERROR: the footer is missing at the end of "
			       "the file of %" PRIu64 " bytes, or damaged",
			       v->m.file->size);
	else
		mapped_corrupt(r, "ERROR: the copy of the footer at the "
			       "beginning is damaged");
	if (!repair)
		return 0;
	if (sound)
		return mend_footer(v, r);
	if (r->report)
		r->report(r->report_arg, "The footer is not written while "
			  "something else is wrong");
	return 0;
}

/* Of a fixed image all was judged when it was opened. */
static int vpc_check(struct image *img, enum image_repair repair,
		     struct image_check *r, struct error *err)
{
	struct vpc *v = img->state;
	int ret = 0;

	if (v->fixed)
		return 0;
	ret = find_vhd_end(v, err);
	if (ret)
		return ret;
	ret = check_blocks(v, r);
	mapped_no_numbers(r);
	return ret ? ret : check_footers(v, repair == IMAGE_REPAIR_ALL, r);
}

/* ---- info, create ---- */

static int vpc_get_info(struct image *img, struct image_info *info,
			struct error *err)
{
	const struct vpc *v = img->state;

	info->cluster_size = v->block_size;
	if (!v->parent)
		return 0;
	info->backing_file = strdup(v->parent);
	info->backing_format = strdup("vpc");
	return info->backing_file && info->backing_format ? 0 : -ENOMEM;
}

static const struct image_create_help vpc_create_help[] = {
	{ "force_size", "<bool (on/off)> - Force disk size calculation to use "
			"the actual size specified, rather than using the "
			"nearest CHS-based calculation" },
	{ "size", "<size>            - Virtual disk size" },
	{ "subformat", "<str>        - Type of virtual hard disk format. "
		       "Supported formats are {dynamic (default) | fixed} " },
	{ NULL, NULL },
};

/* Footer copy, dynamic header, an empty table, footer. */
static int write_dynamic(struct image *img, const uint8_t *footer,
			 uint64_t bat_bytes, uint32_t entries)
{
	uint8_t h[VHD_DYNAMIC_BYTES], ones[4096];
	uint64_t at = VHD_FOOTER_BYTES + VHD_DYNAMIC_BYTES;
	int ret;

	vhd_fill_dynamic(h, at, entries, DEFAULT_BLOCK);
	memset(ones, 0xff, sizeof(ones));
	ret = image_pwrite(img, VHD_FOOTER_BYTES, sizeof(h), h);
	for (uint64_t done = 0, n; done < bat_bytes && !ret; done += n) {
		n = min(bat_bytes - done, sizeof(ones));
		ret = image_pwrite(img, at + done, n, ones);
	}
	if (!ret)
		ret = image_pwrite(img, at + bat_bytes, VHD_FOOTER_BYTES,
				   footer);
	return ret ? ret : image_pwrite(img, 0, VHD_FOOTER_BYTES, footer);
}

static int create_dynamic(struct loop *loop, const char *path,
			  const uint8_t *footer, struct error *err)
{
	uint64_t size = vhd_disk_size(footer), bat_bytes, len;
	uint32_t entries = (uint32_t)div_round_up(size, DEFAULT_BLOCK);
	struct image *img;
	int ret;

	bat_bytes = align_up(entries * UINT64_C(4), SECTOR_SIZE);
	len = 2 * VHD_FOOTER_BYTES + VHD_DYNAMIC_BYTES + bat_bytes;
	ret = create_file(loop, path, len, len, &img, err);
	if (ret)
		return ret;
	ret = write_dynamic(img, footer, bat_bytes, entries);
	return create_done(img, ret, err);
}

static int create_fixed(struct loop *loop, const char *path,
			const uint8_t *footer, struct error *err)
{
	uint64_t size = vhd_disk_size(footer);
	struct image *img;
	int ret = create_file(loop, path, size + VHD_FOOTER_BYTES, size, &img,
			      err);

	if (ret)
		return ret;
	ret = image_pwrite(img, size, VHD_FOOTER_BYTES, footer);
	return create_done(img, ret, err);
}

static int vpc_create(struct loop *loop, const char *path, uint64_t size,
		      const struct image_create_option *options,
		      unsigned int nr, struct error *err)
{
	static const char *const kinds[] = { "dynamic", "fixed", NULL };
	struct create_args args = { vpc_create_help, options, nr };
	uint8_t footer[VHD_FOOTER_BYTES];
	unsigned int kind = 0;
	bool force = false;
	int ret;

	ret = create_judge(&args, err);
	if (!ret)
		ret = create_bool(&args, "force_size", &force, err);
	if (!ret)
		ret = create_choice(&args, "subformat", kinds, &kind, err);
	if (ret)
		return ret;
	if (size > VHD_MAX_SECTORS * SECTOR_SIZE)
		return error_set(err, EFBIG, "%" PRIu64 " bytes are too much "
				 "for a VHD image, at most %" PRIu64, size,
				 VHD_MAX_SECTORS * SECTOR_SIZE);
	ret = vhd_fill_footer(footer, align_up(size, SECTOR_SIZE), kind, force);
	if (ret)
		return error_set_errno(err, -ret, "%s", path);
	return kind ? create_fixed(loop, path, footer, err) :
		      create_dynamic(loop, path, footer, err);
}

const struct image_driver image_vpc_driver = {
	.name = "vpc",
	.state_size = sizeof(struct vpc),
	.probe = vpc_probe,
	.open = vpc_open,
	.judge_backing = vpc_judge_backing,
	.close = vpc_close,
	.preadv = mapped_preadv,
	.pwritev = mapped_pwritev,
	.pwrite_zeroes = mapped_pwrite_zeroes,
	.flush = vpc_flush,
	.block_status = mapped_block_status,
	.get_info = vpc_get_info,
	.check = vpc_check,
	.create = vpc_create,
	.create_help = vpc_create_help,
};
