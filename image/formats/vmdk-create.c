/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmdk-create.c: a new monolithicSparse or streamOptimized image.
 *
 *	header, descriptor, redundant directory and its tables, directory and
 *	its tables, grains
 *
 * All tables are there from the start, as VMware wants it of this type.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/graph/create.h"
#include "image/formats/vmdk.h"

/* all in sectors */
#define GRAIN 128u
#define DESCRIPTOR_AT 1u
#define DESCRIPTOR 20u
#define GTES 512u
#define TABLE (GTES * 4 / SECTOR_SIZE)
#define MAX_CAPACITY (UINT64_C(1) << 32)

#define FLAGS (VMDK_F_NEWLINES | VMDK_F_REDUNDANT)
#define STREAM_FLAGS (VMDK_F_COMPRESSED | VMDK_F_MARKERS)

const struct image_create_help vmdk_create_help[] = {
	{ "adapter_type", "<str>     - Virtual adapter type, can be one of "
			  "ide (default), lsilogic, buslogic or legacyESX" },
	{ "compat6", "<bool (on/off)> - VMDK version 6 image" },
	{ "hwversion", "<str>        - VMDK hardware version" },
	{ "size", "<size>            - Virtual disk size" },
	{ "subformat", "<str>        - VMDK flat extent format, can be one of "
		       "{monolithicSparse (default) | streamOptimized} " },
	{ "zeroed_grain", "<bool (on/off)> - Grains may be zero without space" },
	{ NULL, NULL },
};

static const char *const adapters[] = {
	"ide", "lsilogic", "buslogic", "legacyESX", NULL,
};

enum { SPARSE, STREAM };
static const char *const subformats[] = {
	[SPARSE] = "monolithicSparse",
	[STREAM] = "streamOptimized",
	NULL,
};

struct settings {
	const char *name;		/* of the file, without folder */
	const char *hwversion;
	unsigned int adapter, subformat;
	bool zeroed_grain;
	uint64_t capacity, tables;	/* sectors; grain tables */
	uint64_t directory;		/* sectors of a directory */
	uint64_t rgd, gd, overhead;	/* sectors */
};

static int parse_settings(struct settings *s, const struct create_args *args,
			  struct error *err)
{
	const char *hw = create_text(args, "hwversion");
	bool compat6 = false;
	int ret = create_judge(args, err);

	if (!ret)
		ret = create_choice(args, "subformat", subformats,
				    &s->subformat, err);
	if (!ret)
		ret = create_choice(args, "adapter_type", adapters,
				    &s->adapter, err);
	if (!ret)
		ret = create_bool(args, "compat6", &compat6, err);
	if (!ret)
		ret = create_bool(args, "zeroed_grain", &s->zeroed_grain, err);
	if (ret)
		return ret;
	if (hw && !strcmp(hw, "undefined"))
		hw = NULL;
	if (hw && (!*hw || strspn(hw, "0123456789") != strlen(hw) ||
		   strlen(hw) > 4))
		return error_set(err, EINVAL, "hwversion '%s' is not a number",
				 hw);
	s->hwversion = hw ? hw : compat6 ? "6" : "4";
	return 0;
}

static int lay_out_vmdk(struct settings *s, const char *path, uint64_t size,
			struct error *err)
{
	const char *slash = strrchr(path, '/');

	s->name = slash ? slash + 1 : path;
	s->capacity = div_round_up(size, SECTOR_SIZE);
	if (s->capacity > MAX_CAPACITY)
		return error_set(err, EFBIG, "%" PRIu64 " bytes are too much "
				 "for a sparse vmdk image, at most %"
				 PRIu64, size, MAX_CAPACITY * SECTOR_SIZE);
	if (strpbrk(s->name, "\"\r\n") || strlen(s->name) > 255)
		return error_set(err, EINVAL, "the name '%s' cannot stand in a "
				 "vmdk descriptor", s->name);
	s->tables = div_round_up(div_round_up(s->capacity, GRAIN), GTES);
	s->directory = div_round_up(s->tables * 4, SECTOR_SIZE);
	s->rgd = DESCRIPTOR_AT + DESCRIPTOR;
	s->gd = s->rgd + s->directory + s->tables * TABLE;
	s->overhead = align_up(s->gd + s->directory + s->tables * TABLE, GRAIN);
	return 0;
}

static int write_vmdk_header(struct image *img, const struct settings *s)
{
	uint8_t h[VMDK_HEADER_BYTES] = { 0 };
	uint32_t flags = FLAGS | (s->zeroed_grain ? VMDK_F_ZERO_GRAIN : 0);

	store_le32(h, VMDK_MAGIC);
	store_le32(h + VMDK_VERSION, s->subformat == STREAM ? 3 :
				     s->zeroed_grain ? 2 : 1);
	store_le32(h + VMDK_FLAGS,
		   s->subformat == STREAM ? flags | STREAM_FLAGS : flags);
	store_le16(h + VMDK_COMPRESSION, s->subformat == STREAM);
	store_le64(h + VMDK_CAPACITY, s->capacity);
	store_le64(h + VMDK_GRAIN, GRAIN);
	store_le64(h + VMDK_DESC, DESCRIPTOR_AT);
	store_le64(h + VMDK_DESC_SIZE, DESCRIPTOR);
	store_le32(h + VMDK_GTES, GTES);
	store_le64(h + VMDK_RGD, s->rgd);
	store_le64(h + VMDK_GD, s->gd);
	store_le64(h + VMDK_OVERHEAD, s->overhead);
	memcpy(h + VMDK_CHECK_BYTES, "\n \r\n", 4);
	return image_pwrite(img, 0, sizeof(h), h);
}

static int write_descriptor(struct image *img, const struct settings *s)
{
	char text[DESCRIPTOR * SECTOR_SIZE] = "";
	unsigned int heads = s->adapter ? 255 : 16;
	uint32_t cid;

	if (getrandom(&cid, sizeof(cid), 0) != sizeof(cid))
		return -EIO;
	if (cid == VMDK_NO_PARENT)
		cid = 1;
	snprintf(text, sizeof(text),
		 "# Disk DescriptorFile\nversion=1\nCID=%08x\n"
		 "parentCID=ffffffff\ncreateType=\"%s\"\n\n"
		 "# Extent description\nRW %" PRIu64 " SPARSE \"%s\"\n\n"
		 "# The Disk Data Base\n#DDB\n\n"
		 "ddb.virtualHWVersion = \"%s\"\n"
		 "ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
		 "ddb.geometry.heads = \"%u\"\n"
		 "ddb.geometry.sectors = \"63\"\n"
		 "ddb.adapterType = \"%s\"\n", cid,
		 subformats[s->subformat], s->capacity, s->name, s->hwversion,
		 s->capacity / (63 * heads), heads,
		 adapters[s->adapter]);
	return image_pwrite(img, DESCRIPTOR_AT * SECTOR_SIZE, sizeof(text),
			    text);
}

/* A directory of the tables behind it. */
static int write_directory(struct image *img, const struct settings *s,
			   uint64_t at)
{
	cleanup_free uint8_t *d = calloc(s->directory + 1, SECTOR_SIZE);

	if (!d)
		return -ENOMEM;
	for (uint64_t i = 0; i < s->tables; i++)
		store_le32(d + i * 4,
			   (uint32_t)(at + s->directory + i * TABLE));
	return image_pwrite(img, at * SECTOR_SIZE, s->directory * SECTOR_SIZE,
			    d);
}

int vmdk_create(struct loop *loop, const char *path, uint64_t size,
		const struct image_create_option *options, unsigned int nr,
		struct error *err)
{
	struct create_args args = { vmdk_create_help, options, nr };
	struct settings s = { 0 };
	struct image *img;
	uint64_t len;
	int ret;

	ret = parse_settings(&s, &args, err);
	if (!ret)
		ret = lay_out_vmdk(&s, path, size, err);
	if (ret)
		return ret;
	len = s.overhead * SECTOR_SIZE;
	ret = create_file(loop, path, len, len, &img, err);
	if (ret)
		return ret;
	ret = write_descriptor(img, &s);
	if (!ret)
		ret = write_directory(img, &s, s.rgd);
	if (!ret)
		ret = write_directory(img, &s, s.gd);
	if (!ret)
		ret = write_vmdk_header(img, &s);
	return create_done(img, ret, err);
}
