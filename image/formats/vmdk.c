/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmdk.c: VMware's disk images; see vmdk.h.
 *
 * Extents lie in files beside the descriptor: what leads to another folder is
 * refused, since an image must not make us read any file it likes. Images of
 * one sparse extent can be written to.
 */
#include "image/formats/vmdk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/formats/packed.h"
#include "image/graph/open.h"
#include "image/graph/parts.h"

#define WINDOW_BITS 15
#define MAX_GRAIN (UINT64_C(1) << 17)	/* sectors: 64 MiB */
#define MAX_GTES 4096u
#define CID_DIGITS 8

static bool vmdk_probe(const char *path, const uint8_t *head, size_t len)
{
	static const char text[] = "# Disk DescriptorFile";

	if (len >= VMDK_HEADER_BYTES && load_le32(head) == VMDK_MAGIC)
		return true;
	return len >= strlen(text) && !memcmp(head, text, strlen(text));
}

/* ---- extents ---- */

static int flat_lookup(struct mapped *m, uint64_t block,
		       struct mapped_block *b)
{
	struct vmdk_extent *e = container_of(m, struct vmdk_extent, m);

	b->flags = IMAGE_EXTENT_ALLOCATED;
	if (e->kind == VMDK_ZERO) {
		b->flags |= IMAGE_EXTENT_ZERO;
	} else {
		b->flags |= IMAGE_EXTENT_DATA | IMAGE_EXTENT_OFFSET;
		b->host_offset = e->file_offset;
	}
	return 0;
}

static const struct mapped_ops flat_ops = {
	.lookup = flat_lookup,
};

/* Where the entry of a grain is, by a directory; 0: it has no table. -EIO: the
 * file does not hold the table that begins at *at. */
static int find_gte(struct vmdk_extent *e, uint64_t gd, uint64_t grain,
		    uint64_t *at)
{
	uint8_t raw[4];
	int ret;

	ret = pages_read(&e->m.pages, gd + grain / e->gtes * 4, 4, raw);
	*at = (uint64_t)load_le32(raw) * SECTOR_SIZE;
	if (ret || !*at)
		return ret;
	if (!range_within(*at, e->gtes * 4, e->m.file->size))
		return -EIO;
	*at += grain % e->gtes * 4;
	return 0;
}

static int find_packed(struct vmdk_extent *e, struct mapped_block *b)
{
	uint8_t marker[VMDK_MARKER_BYTES];
	int ret;

	b->flags &= ~(unsigned int)IMAGE_EXTENT_OFFSET;
	b->flags |= IMAGE_EXTENT_COMPRESSED;
	if (b->host_offset >= e->m.file->size) {
		b->packed = 1;		/* of which nothing is there */
		return 0;
	}
	if (!e->markers) {
		b->packed = min(2 * e->m.block_size,
				e->m.file->size - b->host_offset);
		return 0;
	}
	/* Not by a page, which would not notice what is written there. */
	ret = image_pread(e->m.file, b->host_offset, sizeof(marker), marker);
	b->host_offset += VMDK_MARKER_BYTES;
	b->packed = load_le32(marker + 8);
	return ret || b->packed <= 2 * e->m.block_size ? ret : -EIO;
}

static int sparse_lookup(struct mapped *m, uint64_t grain,
			 struct mapped_block *b)
{
	struct vmdk_extent *e = container_of(m, struct vmdk_extent, m);
	uint64_t at;
	uint8_t raw[4];
	int ret = find_gte(e, e->gd, grain, &at);

	b->rest = e->gtes - grain % e->gtes;
	if (ret == -EIO)
		b->lost_table = at;
	if (ret)
		return ret;
	b->table = at ? at - grain % e->gtes * 4 : 0;
	if (at)
		ret = pages_read(&m->pages, at, 4, raw);
	if (ret || !at || !load_le32(raw))
		return ret;
	b->flags = IMAGE_EXTENT_ALLOCATED;
	if (e->zero_grain && load_le32(raw) == 1) {
		b->flags |= IMAGE_EXTENT_ZERO;
		return 0;
	}
	b->flags |= IMAGE_EXTENT_DATA | IMAGE_EXTENT_OFFSET;
	b->host_offset = (uint64_t)load_le32(raw) * SECTOR_SIZE;
	return e->compressed ? find_packed(e, b) : 0;
}

/* The last grain may be as short as the disk. */
static int sparse_unpack(struct mapped *m, const struct mapped_block *b,
			 uint8_t *out, size_t len)
{
	return packed_inflate_some(m, b->host_offset, b->packed, out, len,
				   WINDOW_BITS);
}

static int sparse_place(struct mapped *m, uint64_t grain, uint64_t *n,
			uint64_t *host, bool *zero)
{
	struct vmdk_extent *e = container_of(m, struct vmdk_extent, m);
	uint64_t at;
	int ret = find_gte(e, e->gd, grain, &at);

	if (ret || !at)		/* all tables are there in such images */
		return ret ? ret : -EIO;
	*n = min(*n, e->gtes - grain % e->gtes);
	*host = align_up(max(m->file->size, m->data_start), m->block_size);
	*zero = m->file->zero_beyond_end;
	if ((*host + *n * m->block_size) / SECTOR_SIZE > UINT32_MAX)
		return -EFBIG;
	return *zero ? 0 : -ENOTSUP;	/* a device has no end to grow */
}

static int sparse_enter(struct mapped *m, uint64_t grain, uint64_t n,
			uint64_t host)
{
	struct vmdk_extent *e = container_of(m, struct vmdk_extent, m);
	const uint64_t directories[] = { e->rgd, e->gd };
	uint64_t at;
	uint8_t raw[4];
	int ret = 0;

	for (size_t d = 0; d < ARRAY_SIZE(directories); d++) {
		if (!directories[d])
			continue;
		ret = find_gte(e, directories[d], grain, &at);
		if (!ret && at >= e->overhead)	/* it may be a grain */
			ret = -EIO;
		for (uint64_t i = 0; !ret && at && i < n; i++) {
			store_le32(raw, (uint32_t)((host + i * m->block_size) /
						   SECTOR_SIZE));
			ret = pages_write(&m->pages, at + i * 4, 4, raw);
		}
		if (ret)
			break;
	}
	return ret;
}

static const struct mapped_ops sparse_ops = {
	.lookup = sparse_lookup,
	.unpack = sparse_unpack,
	.place = sparse_place,
	.enter = sparse_enter,
};

/* ---- opening sparse extents ---- */

/* The header that counts: at the end of the file, if the first one says so. */
static int read_vmdk_header(struct image *file, uint8_t *h, struct error *err)
{
	uint64_t footer = file->size - min(file->size, UINT64_C(1024));
	int ret = image_pread(file, 0, VMDK_HEADER_BYTES, h);

	if (!ret && load_le32(h) == VMDK_MAGIC &&
	    load_le64(h + VMDK_GD) == VMDK_AT_END)
		ret = image_pread(file, footer, VMDK_HEADER_BYTES, h);
	if (ret)
		return error_set_errno(err, -ret, "reading the header");
	if (load_le32(h) != VMDK_MAGIC)
		return error_set(err, EINVAL, "the vmdk extent '%s' has no "
				 "header, or no footer", file->path);
	if (!load_le32(h + VMDK_VERSION) || load_le32(h + VMDK_VERSION) > 3)
		return error_set(err, ENOTSUP, "Unsupported VMDK version %u",
				 load_le32(h + VMDK_VERSION));
	if (load_le16(h + VMDK_COMPRESSION) > 1)
		return error_set(err, ENOTSUP, "vmdk compression %u is not "
				 "known", load_le16(h + VMDK_COMPRESSION));
	return 0;
}

static int judge_geometry(const uint8_t *h, struct error *err)
{
	uint64_t grain = load_le64(h + VMDK_GRAIN);
	uint32_t gtes = load_le32(h + VMDK_GTES);

	if (!is_pow2(grain) || grain > MAX_GRAIN)
		return error_set(err, EINVAL, "Invalid granularity: %" PRIu64
				 " sectors, not a power of two up to %" PRIu64,
				 grain, MAX_GRAIN);
	if (!gtes || gtes > MAX_GTES)
		return error_set(err, EINVAL, "vmdk grain tables of %u entries "
				 "are not possible, only 1 to %u", gtes,
				 MAX_GTES);
	if (load_le64(h + VMDK_CAPACITY) > INT64_MAX / SECTOR_SIZE)
		return error_set(err, EFBIG, "a vmdk extent of %" PRIu64
				 " sectors is too large",
				 load_le64(h + VMDK_CAPACITY));
	return 0;
}

static int judge_directory(struct vmdk_extent *e, const char *what,
			   uint64_t sector, uint64_t *bytes, struct error *err)
{
	if (mul_overflow(sector, SECTOR_SIZE, bytes))
		*bytes = UINT64_MAX;
	return mapped_judge_table(e->m.file, what, *bytes, e->nr_tables, 4,
				  err);
}

static int open_sparse(struct vmdk_extent *e, struct error *err)
{
	uint8_t h[VMDK_HEADER_BYTES];
	uint32_t flags;
	int ret = read_vmdk_header(e->m.file, h, err);

	if (!ret)
		ret = judge_geometry(h, err);
	if (ret)
		return ret;
	flags = load_le32(h + VMDK_FLAGS);
	e->m.ops = &sparse_ops;
	e->m.block_size = load_le64(h + VMDK_GRAIN) * SECTOR_SIZE;
	e->m.size = load_le64(h + VMDK_CAPACITY) * SECTOR_SIZE;
	e->gtes = load_le32(h + VMDK_GTES);
	e->nr_tables = div_round_up(div_round_up(e->m.size, e->m.block_size),
				    e->gtes);
	e->compressed = load_le16(h + VMDK_COMPRESSION);
	e->markers = flags & VMDK_F_MARKERS;
	e->zero_grain = flags & VMDK_F_ZERO_GRAIN;
	e->overhead = min(load_le64(h + VMDK_OVERHEAD), UINT64_C(1) << 40) *
		      SECTOR_SIZE;
	e->m.data_start = e->compressed ? VMDK_HEADER_BYTES : e->overhead;
	ret = judge_directory(e, "vmdk grain directory",
			      load_le64(h + VMDK_GD), &e->gd, err);
	if (!ret && (flags & VMDK_F_REDUNDANT))
		ret = judge_directory(e, "redundant vmdk grain directory",
				      load_le64(h + VMDK_RGD), &e->rgd, err);
	return ret;
}

static int open_flat(struct vmdk_extent *e, const struct vmdk_line *line,
		     struct error *err)
{
	e->m.ops = &flat_ops;
	e->m.size = line->sectors * SECTOR_SIZE;
	e->m.block_size = max(e->m.size, (uint64_t)SECTOR_SIZE);
	e->m.holes = true;
	e->file_offset = line->offset * SECTOR_SIZE;
	if (e->kind == VMDK_ZERO)
		return 0;
	return mapped_judge_table(e->m.file, "vmdk flat extent", e->file_offset,
				  line->sectors, SECTOR_SIZE, err);
}

/* ---- the list of extents ---- */

static struct vmdk_extent *new_extent(struct vmdk *v, struct image *img)
{
	struct vmdk_extent **more, *e = calloc(1, sizeof(*e));

	more = reallocarray(v->extents, v->nr_extents + 1, sizeof(*more));
	if (more)
		v->extents = more;
	if (!more || !e) {
		free(e);
		return NULL;
	}
	v->extents[v->nr_extents++] = e;
	mapped_init(&e->m, NULL, img, img->file);
	e->m.start = img->size;
	e->type = "";
	return e;
}

static int open_part(struct vmdk_extent *e, const struct vmdk_line *line,
		     struct error *err)
{
	uint64_t start = e->m.start;
	int ret = image_open_part(e->m.img, line->name, &e->part, err);

	if (ret)
		return ret;
	mapped_init(&e->m, NULL, e->m.img, e->part);
	e->m.start = start;
	return 0;
}

static int add_extent(struct vmdk *v, void *arg, const struct vmdk_line *line,
		      struct error *err)
{
	struct image *img = arg;
	struct vmdk_extent *e;
	int ret = 0;

	if (v->nr_extents >= VMDK_MAX_EXTENTS)
		return error_set(err, EFBIG, "the vmdk descriptor has more than "
				 "%u extents", VMDK_MAX_EXTENTS);
	if (line->sectors > (INT64_MAX - img->size) / SECTOR_SIZE ||
	    line->offset > INT64_MAX / SECTOR_SIZE)
		return error_set(err, EFBIG, "a vmdk extent of %" PRIu64
				 " sectors is too large", line->sectors);
	e = new_extent(v, img);
	if (!e)
		return -ENOMEM;
	e->kind = line->kind;
	e->type = line->type;
	if (e->kind != VMDK_ZERO)
		ret = open_part(e, line, err);
	if (!ret)
		ret = e->kind == VMDK_SPARSE ? open_sparse(e, err) :
					       open_flat(e, line, err);
	if (!ret && e->m.size < line->sectors * SECTOR_SIZE)
		ret = error_set(err, EINVAL, "the vmdk extent '%s' has %" PRIu64
				" bytes, the descriptor says %" PRIu64
				" sectors", line->name, e->m.size,
				line->sectors);
	e->m.size = line->sectors * SECTOR_SIZE;
	img->size += e->m.size;
	return ret;
}

/* ---- opening ---- */

static int read_descriptor(struct image *file, uint64_t off, uint64_t len,
			   char **text, struct error *err)
{
	int ret;

	if (!len || len > VMDK_MAX_DESCRIPTOR ||
	    !range_within(off, len, file->size))
		return error_set(err, EINVAL, "a vmdk descriptor of %" PRIu64
				 " bytes (at most %" PRIu64 ") at %#" PRIx64
				 " is not within the file of %" PRIu64, len,
				 VMDK_MAX_DESCRIPTOR, off, file->size);
	*text = calloc(1, len + 1);
	if (!*text)
		return -ENOMEM;
	ret = image_pread(file, off, len, *text);
	return ret ? error_set_errno(err, -ret, "reading the descriptor") : 0;
}

/* Where the digits of the line "CID=..." are in the file, whose descriptor is at
 * `off`. Some programs write no leading zeroes. */
static void find_cid(struct vmdk *v, const char *text, uint64_t off)
{
	const char *at = strstr(text, "\nCID=");
	size_t n;

	if (!at)
		return;
	at += strlen("\nCID=");
	n = strspn(at, "0123456789abcdefABCDEF");
	if (n && n <= CID_DIGITS) {
		v->cid_at = off + (uint64_t)(at - text);
		v->cid_digits = (int)n;
	}
}

/* Header, descriptor and the only extent are in one file. */
static int open_monolithic(struct image *img, const uint8_t *h,
			   struct error *err)
{
	struct vmdk *v = img->state;
	struct vmdk_extent *e = new_extent(v, img);
	cleanup_free char *text = NULL;
	uint64_t off = load_le64(h + VMDK_DESC), len = load_le64(h +
							VMDK_DESC_SIZE);
	int ret;

	if (!e)
		return -ENOMEM;
	if (off > INT64_MAX / SECTOR_SIZE || len > INT64_MAX / SECTOR_SIZE)
		off = len = INT64_MAX / SECTOR_SIZE;
	ret = read_descriptor(img->file, off * SECTOR_SIZE, len * SECTOR_SIZE,
			      &text, err);
	if (!ret) {
		find_cid(v, text, off * SECTOR_SIZE);
		ret = vmdk_parse(v, text, NULL, NULL, err);
	}
	e->kind = VMDK_SPARSE;
	if (!ret)
		ret = open_sparse(e, err);
	img->size = e->m.size;
	return ret;
}

static int open_by_descriptor(struct image *img, struct error *err)
{
	cleanup_free char *text = NULL;
	int ret;

	ret = read_descriptor(img->file, 0, img->file->size, &text, err);
	if (!ret && !strstr(text, "createType"))
		return error_set(err, EINVAL, "not a vmdk image: neither the "
				 "magic nor a descriptor");
	return ret ? ret : vmdk_parse(img->state, text, add_extent, img, err);
}

static int name_parent(struct image *img, struct error *err)
{
	const struct vmdk *v = img->state;

	if (v->parent_cid == VMDK_NO_PARENT ||
	    (img->flags & IMAGE_NO_BACKING))
		return 0;
	if (!v->parent || !*v->parent)
		return error_set(err, ENOTSUP, "the vmdk image has a parent, "
				 "but does not say which");
	return image_name_backing(img, v->parent, "vmdk");
}

static int vmdk_judge_backing(struct image *img, struct error *err)
{
	const struct vmdk *v = img->state, *p = img->backing->state;

	if (img->backing->driver != img->driver || p->cid == v->parent_cid)
		return 0;
	return error_set(err, EINVAL, "the vmdk parent '%s' was changed since: "
			 "its CID is %08x, not %08x", v->parent, p->cid,
			 v->parent_cid);
}

static int validate_vmdk_writing(const struct image *img, struct error *err)
{
	const struct vmdk *v = img->state;
	const struct vmdk_extent *e = v->nr_extents ? v->extents[0] : NULL;

	if (!(img->flags & IMAGE_RDWR) ||
	    (v->nr_extents == 1 && !e->part && e->kind == VMDK_SPARSE &&
	     e->compressed == e->markers && e->overhead > e->gd))
		return 0;
	return error_set(err, EROFS, "vmdk images of type %s can only be read",
			 v->create_type);
}

static int vmdk_close(struct image *img, struct error *err)
{
	struct vmdk *v = img->state;
	int ret = 0;

	for (unsigned int i = 0; i < v->nr_extents; i++) {
		struct vmdk_extent *e = v->extents[i];

		if (!ret && e->m.ops && (img->flags & IMAGE_RDWR))
			ret = mapped_flush(&e->m);
		mapped_deinit(&e->m);
		image_close(e->part, NULL);
		free(e);
	}
	free(v->extents);
	free(v->create_type);
	free(v->parent);
	*v = (struct vmdk){ 0 };
	return ret ? error_set_errno(err, -ret, "%s: the tables could not be "
				     "written", img->path) : 0;
}

static int vmdk_open(struct image *img, const struct image_options *opts,
		     struct error *err)
{
	uint8_t h[VMDK_HEADER_BYTES];
	int ret = image_pread(img->file, 0, sizeof(h), h);

	if (ret)
		return error_set_errno(err, -ret, "reading the header");
	if (load_le32(h) == VMDK_MAGIC)
		ret = open_monolithic(img, h, err);
	else
		ret = open_by_descriptor(img, err);
	if (!ret)
		ret = validate_vmdk_writing(img, err);
	if (!ret)
		ret = name_parent(img, err);
	mapped_limits(img);
	if (ret) {
		unsigned int flags = img->flags;

		img->flags &= ~(unsigned int)IMAGE_RDWR;	/* no flush */
		vmdk_close(img, NULL);
		img->flags = flags;
	}
	return ret;
}

/* ---- data ---- */

/* The extent with `off`, which is made relative; *len: not beyond its end. */
static struct vmdk_extent *find_extent(struct image *img, uint64_t *off,
				       uint64_t *len)
{
	struct vmdk *v = img->state;
	unsigned int low = 0, high = v->nr_extents;

	while (high - low > 1) {	/* the last one that begins before */
		unsigned int mid = low + (high - low) / 2;

		if (v->extents[mid]->m.start <= *off)
			low = mid;
		else
			high = mid;
	}
	*off -= v->extents[low]->m.start;
	*len = min(*len, v->extents[low]->m.size - *off);
	return v->extents[low];
}

static int vmdk_preadv(struct image *img, uint64_t off, uint64_t len,
		       struct iow w)
{
	int ret = 0;

	while (len && !ret) {
		uint64_t in = off, n = len;
		struct vmdk_extent *e = find_extent(img, &in, &n);

		ret = mapped_read(&e->m, in, n, w);
		off += n;
		len -= n;
		w = iow_advance(w, n);
	}
	return ret;
}

static int vmdk_block_status(struct image *img, uint64_t off, uint64_t len,
			     struct image_extent *out)
{
	struct vmdk_extent *e = find_extent(img, &off, &len);

	return mapped_status(&e->m, off, len, out);
}

/* Images that can be written have one extent. */
static struct mapped *only(struct image *img)
{
	struct vmdk *v = img->state;

	return &v->extents[0]->m;
}

/* So that images which have this one as their parent notice. */
static int change_cid(struct image *img)
{
	struct vmdk *v = img->state;
	char digits[CID_DIGITS + 1];
	uint32_t greatest;

	if (v->cid_changed || !v->cid_at)
		return 0;
	v->cid_changed = true;
	greatest = UINT32_MAX >> (32 - 4 * v->cid_digits);
	/* All ones is nobody's. */
	v->cid = v->cid >= greatest - 1 ? 1 : v->cid + 1;
	snprintf(digits, sizeof(digits), "%0*x", v->cid_digits, v->cid);
	return image_pwrite(img->file, v->cid_at, (uint64_t)v->cid_digits,
			    digits);
}

static int vmdk_pwritev(struct image *img, uint64_t off, uint64_t len,
			struct iow w)
{
	struct vmdk *v = img->state;
	int ret = change_cid(img);

	if (ret)
		return ret;
	if (v->extents[0]->compressed)
		return vmdk_stream_write(v->extents[0], off, len, w);
	return mapped_write(only(img), off, len, w);
}

static int vmdk_pwritev_compressed(struct image *img, uint64_t off,
				   uint64_t len, struct iow w)
{
	struct vmdk *v = img->state;

	return v->extents[0]->compressed ? vmdk_pwritev(img, off, len, w) :
					   -ENOTSUP;
}

static int vmdk_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			      unsigned int flags)
{
	int ret = change_cid(img);

	return ret ? ret : mapped_zero(only(img), off, len);
}

static int vmdk_flush(struct image *img)
{
	return mapped_flush(only(img));
}

/* ---- info and check ---- */

static int vmdk_allocated_size(struct image *img, uint64_t *bytes)
{
	struct vmdk *v = img->state;
	uint64_t more;
	int ret = image_allocated_size(img->file, bytes);

	for (unsigned int i = 0; i < v->nr_extents && !ret; i++) {
		if (!v->extents[i]->part)
			continue;
		ret = image_allocated_size(v->extents[i]->part, &more);
		*bytes += more;
	}
	return ret;
}

/* Of some extents the file is the image's own. */
static const struct image *vmdk_part(const struct image *img, unsigned int n)
{
	const struct vmdk *v = img->state;

	for (unsigned int i = 0; i < v->nr_extents; i++)
		if (v->extents[i]->part && !n--)
			return v->extents[i]->part;
	return NULL;
}

static int fill_extent(const struct vmdk_extent *e, struct image_info_extent *x)
{
	*x = (struct image_info_extent){
		.filename = strdup(e->m.file->path),
		.format = e->type,
		.virtual_size = e->m.size,
		.compressed = e->compressed,
		.file = e->part,
		.cluster_size = e->kind == VMDK_SPARSE ?
				(uint32_t)e->m.block_size : 0,
	};
	return x->filename ? 0 : -ENOMEM;
}

static int vmdk_get_info(struct image *img, struct image_info *info,
			 struct error *err)
{
	struct image_info_vmdk *out = &info->vmdk;
	const struct vmdk *v = img->state;
	int ret = 0;

	info->kind = IMAGE_INFO_VMDK;
	out->create_type = strdup(v->create_type);
	out->extents = calloc(v->nr_extents + 1, sizeof(*out->extents));
	if (!out->create_type || !out->extents)
		return -ENOMEM;
	out->cid = v->cid;
	out->parent_cid = v->parent_cid;
	for (unsigned int i = 0; i < v->nr_extents && !ret; i++)
		ret = fill_extent(v->extents[i],
				  &out->extents[out->nr_extents++]);
	if (!ret && v->nr_extents)
		info->cluster_size = out->extents[0].cluster_size;
	if (!ret && v->parent && *v->parent) {
		info->backing_file = strdup(v->parent);
		info->backing_format = strdup("vmdk");
		if (!info->backing_file || !info->backing_format)
			ret = -ENOMEM;
	}
	return ret;
}

static int vmdk_check(struct image *img, enum image_repair repair,
		      struct image_check *result, struct error *err)
{
	struct vmdk *v = img->state;
	int ret = mapped_judge_repair(img, repair, err);

	for (unsigned int i = 0; i < v->nr_extents && !ret; i++)
		if (v->extents[i]->kind == VMDK_SPARSE)
			ret = mapped_check(&v->extents[i]->m, result);
	mapped_no_numbers(result);
	return ret;
}

const struct image_driver image_vmdk_driver = {
	.name = "vmdk",
	.state_size = sizeof(struct vmdk),
	.probe = vmdk_probe,
	.open = vmdk_open,
	.judge_backing = vmdk_judge_backing,
	.close = vmdk_close,
	.preadv = vmdk_preadv,
	.pwritev = vmdk_pwritev,
	.pwritev_compressed = vmdk_pwritev_compressed,
	.pwrite_zeroes = vmdk_pwrite_zeroes,
	.flush = vmdk_flush,
	.block_status = vmdk_block_status,
	.allocated_size = vmdk_allocated_size,
	.part = vmdk_part,
	.get_info = vmdk_get_info,
	.check = vmdk_check,
	.create = vmdk_create,
	.create_help = vmdk_create_help,
};
