/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk info: what an image's header says.
 *
 * Only headers and the snapshot table are read. No backing or data file is
 * opened unless --backing-chain asks for it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/file-id.h"
#include "common/size.h"
#include "image/info.h"
#include "image/graph/path.h"
#include "image/graph/protocol.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/snapshots.h"
#include "tool/verbs/verbs.h"

struct info {
	struct loop *loop;
	struct tool_common common;
	bool chain;
	json_t *list;			/* of the chain, NULL: human */
	struct file_id seen[IMAGE_MAX_CHAIN];
	unsigned int nr_seen;
};

/* One node, header only: an image or what it stands on. */
struct facts {
	char name[24];			/* as a child; "": the image itself */
	char *path;
	const char *format;
	uint64_t size, allocated;	/* bytes */
	bool has_allocated;
	char *backing_path;		/* NULL: none or not a plain path */
	struct image_info i;
	unsigned int nr_children;
	struct facts *children;		/* but for backing images */
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	TOOL_OUTPUT,
	{ OPT_BACKING_CHAIN, "backing-chain", NULL,
	  "also of the images below" },
	TOOL_CACHE,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END,
};

static void free_facts(struct facts *f)
{
	image_info_free(&f->i);
	free(f->path);
	free(f->backing_path);
	for (unsigned int n = 0; n < f->nr_children; n++)
		free_facts(&f->children[n]);
	free(f->children);
	memset(f, 0, sizeof(*f));
}

/* ---- human ---- */

static const char *truth(bool b)
{
	return b ? "true" : "false";
}

/* qemu-img's order. */
static void print_luks(const struct image_info_encrypt *e, const char *indent)
{
	printf("%sivgen alg: %s\n", indent, e->ivgen_alg);
	printf("%sdetached header: false\n", indent);
	printf("%shash alg: %s\n", indent, e->hash_alg);
	printf("%scipher alg: %s\n", indent, e->cipher_alg);
	printf("%suuid: %s\n", indent, e->uuid);
	if (e->ivgen_hash_alg)
		printf("%sivgen hash alg: %s\n", indent, e->ivgen_hash_alg);
	if (strlen(indent) > 4)
		printf("%sformat: luks\n", indent);
	printf("%scipher mode: %s\n", indent, e->cipher_mode);
	printf("%sslots:\n", indent);
	for (size_t n = 0; n < ARRAY_SIZE(e->slots); n++) {
		printf("%s    [%zu]:\n", indent, n);
		printf("%s        active: %s\n", indent,
		       truth(e->slots[n].active));
		if (e->slots[n].active)
			printf("%s        iters: %u\n", indent,
			       e->slots[n].iters);
		printf("%s        key offset: %" PRIu64 "\n", indent,
		       e->slots[n].key_offset);
		if (e->slots[n].active)
			printf("%s        stripes: %u\n", indent,
			       e->slots[n].stripes);
	}
	printf("%spayload offset: %" PRIu64 "\n", indent, e->payload_offset);
	printf("%smaster key iters: %u\n", indent, e->master_key_iters);
}

static void print_encrypt(const struct image_info_encrypt *e)
{
	if (!e->format)
		return;
	puts("    encrypt:");
	if (e->cipher_alg)
		print_luks(e, "        ");
	else
		printf("        format: %s\n", e->format);
}

static void print_bitmaps(const struct image_info *i)
{
	if (i->nr_bitmaps)
		puts("    bitmaps:");
	for (unsigned int n = 0; n < i->nr_bitmaps; n++) {
		const struct image_info_bitmap *b = &i->bitmaps[n];
		unsigned int flag = 0;

		printf("        [%u]:\n            flags:\n", n);
		if (b->in_use)
			printf("                [%u]: in-use\n", flag++);
		if (b->enabled)
			printf("                [%u]: auto\n", flag);
		printf("            name: %s\n            granularity: %" PRIu64
		       "\n", b->name, b->granularity);
	}
}

static void print_vmdk(const struct image_info_vmdk *i)
{
	puts("Format specific information:");
	printf("    cid: %u\n    parent cid: %u\n    create type: %s\n",
	       i->cid, i->parent_cid, i->create_type);
	puts("    extents:");
	for (unsigned int n = 0; n < i->nr_extents; n++) {
		const struct image_info_extent *e = &i->extents[n];

		printf("        [%u]:\n", n);
		if (e->compressed)
			puts("            compressed: true");
		printf("            virtual size: %" PRIu64 "\n"
		       "            filename: %s\n", e->virtual_size,
		       e->filename);
		if (e->cluster_size)
			printf("            cluster size: %u\n",
			       e->cluster_size);
		printf("            format: %s\n", e->format);
	}
}

static void print_qcow2(const struct image_info *i)
{
	const struct image_info_qcow2 *q = &i->qcow2;

	puts("Format specific information:");
	printf("    compat: %s\n", q->version < 3 ? "0.10" : "1.1");
	printf("    compression type: %s\n", q->compression_type);
	if (q->version >= 3)
		printf("    lazy refcounts: %s\n", truth(q->lazy_refcounts));
	print_bitmaps(i);
	printf("    refcount bits: %u\n", q->refcount_bits);
	if (q->data_file)
		printf("    data file: %s\n", q->data_file);
	if (q->data_file)
		printf("    data file raw: %s\n", truth(q->data_file_raw));
	print_encrypt(&i->encrypt);
	if (q->version >= 3)
		printf("    corrupt: %s\n", truth(i->corrupt));
	if (q->version >= 3)
		printf("    extended l2: %s\n", truth(q->extended_l2));
}

static void print_backing(const struct facts *f)
{
	printf("backing file: %s", f->i.backing_file);
	if (!f->backing_path)
		printf(" (cannot determine actual path)");
	else if (strcmp(f->backing_path, f->i.backing_file))
		printf(" (actual path: %s)", f->backing_path);
	putchar('\n');
	if (f->i.backing_format)
		printf("backing file format: %s\n", f->i.backing_format);
}

static void print_specific(const struct image_info *i)
{
	switch (i->kind) {
	case IMAGE_INFO_COMMON:
		break;
	case IMAGE_INFO_LUKS:
		puts("Format specific information:");
		print_luks(&i->encrypt, "    ");
		break;
	case IMAGE_INFO_QCOW2:
		print_qcow2(i);
		break;
	case IMAGE_INFO_VMDK:
		print_vmdk(&i->vmdk);
		break;
	}
}

/* What stands on nothing is a file to qemu-img, and not an image. */
static void print_node(const struct facts *f, const char *indent)
{
	bool file = *f->name && !f->nr_children;
	char text[SIZE_TEXT_MAX];

	printf("%s%s: %s\n", indent, file ? "filename" : "image", f->path);
	printf("%s%s: %s\n", indent, file ? "protocol type" : "file format",
	       f->format);
	printf("%s%s: %s (%" PRIu64 " bytes)\n", indent,
	       file ? "file length" : "virtual size",
	       size_format(f->size, text), f->size);
	printf("%sdisk size: %s\n", indent, f->has_allocated ?
	       size_format(f->allocated, text) : "unavailable");
}

/* Below `parent`, a path of names. */
static void print_children(const struct facts *f, const char *parent,
			   const char *indent)
{
	for (unsigned int n = 0; n < f->nr_children; n++) {
		cleanup_free char *path = NULL, *deeper = NULL;

		if (asprintf(&path, "%s/%s", parent, f->children[n].name) < 0 ||
		    asprintf(&deeper, "%s    ", indent) < 0)
			return;
		printf("%sChild node '%s':\n", indent, path);
		print_node(&f->children[n], deeper);
		print_children(&f->children[n], path, deeper);
	}
}

static void print_facts(const struct facts *f)
{
	print_node(f, "");
	if (f->i.encrypted)
		puts("encrypted: yes");
	if (f->i.cluster_size)
		printf("cluster_size: %u\n", f->i.cluster_size);
	if (f->i.dirty)
		puts("cleanly shut down: no");
	if (f->i.backing_file)
		print_backing(f);
	tool_print_snapshots(&f->i);
	print_specific(&f->i);
	print_children(f, "", "");
}

/* ---- JSON ---- */

static void set_info_number(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

static void set_text(json_t *o, const char *key, const char *text)
{
	if (text)
		json_object_set_new(o, key, tool_json_text(text));
}

static json_t *json_slots(const struct image_info_encrypt *e)
{
	json_t *list = json_array();

	for (size_t n = 0; n < ARRAY_SIZE(e->slots); n++) {
		json_t *o = json_pack("{s:b}", "active", e->slots[n].active);

		if (e->slots[n].active)
			set_info_number(o, "iters", e->slots[n].iters);
		set_info_number(o, "key-offset", e->slots[n].key_offset);
		if (e->slots[n].active)
			set_info_number(o, "stripes", e->slots[n].stripes);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_bitmaps(const struct image_info *i)
{
	json_t *list = json_array();

	for (unsigned int n = 0; n < i->nr_bitmaps; n++) {
		const struct image_info_bitmap *b = &i->bitmaps[n];
		json_t *o = json_object(), *flags = json_array();

		if (b->in_use)
			json_array_append_new(flags, json_string("in-use"));
		if (b->enabled)
			json_array_append_new(flags, json_string("auto"));
		json_object_set_new(o, "flags", flags);
		set_text(o, "name", b->name);
		set_info_number(o, "granularity", b->granularity);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_encrypt(const struct image_info_encrypt *e,
			    const char *format)
{
	json_t *o = json_object();

	set_text(o, "ivgen-alg", e->ivgen_alg);
	if (e->cipher_alg)
		json_object_set_new(o, "detached-header", json_false());
	set_text(o, "hash-alg", e->hash_alg);
	set_text(o, "cipher-alg", e->cipher_alg);
	if (e->cipher_alg)
		set_text(o, "uuid", e->uuid);
	set_text(o, "ivgen-hash-alg", e->ivgen_hash_alg);
	set_text(o, "format", format);
	set_text(o, "cipher-mode", e->cipher_mode);
	if (!e->cipher_alg)
		return o;
	json_object_set_new(o, "slots", json_slots(e));
	set_info_number(o, "payload-offset", e->payload_offset);
	set_info_number(o, "master-key-iters", e->master_key_iters);
	return o;
}

static json_t *json_qcow2(const struct image_info *i)
{
	const struct image_info_qcow2 *q = &i->qcow2;
	json_t *data = json_object();

	set_text(data, "compat", q->version < 3 ? "0.10" : "1.1");
	set_text(data, "compression-type", q->compression_type);
	if (q->version >= 3)
		json_object_set_new(data, "lazy-refcounts",
				    json_boolean(q->lazy_refcounts));
	if (q->data_file) {
		set_text(data, "data-file", q->data_file);
		json_object_set_new(data, "data-file-raw",
				    json_boolean(q->data_file_raw));
	}
	if (i->nr_bitmaps)
		json_object_set_new(data, "bitmaps", json_bitmaps(i));
	set_info_number(data, "refcount-bits", q->refcount_bits);
	if (i->encrypt.format)
		json_object_set_new(data, "encrypt",
				    json_encrypt(&i->encrypt,
						 i->encrypt.format));
	if (q->version >= 3) {
		json_object_set_new(data, "corrupt", json_boolean(i->corrupt));
		json_object_set_new(data, "extended-l2",
				    json_boolean(q->extended_l2));
	}
	return json_pack("{s:s, s:o}", "type", "qcow2", "data", data);
}

static json_t *json_vmdk(const struct image_info_vmdk *i)
{
	json_t *data = json_object(), *extents = json_array(), *x;

	set_info_number(data, "cid", i->cid);
	set_info_number(data, "parent-cid", i->parent_cid);
	set_text(data, "create-type", i->create_type);
	for (unsigned int n = 0; n < i->nr_extents; n++) {
		const struct image_info_extent *e = &i->extents[n];

		x = json_object();
		if (e->compressed)
			json_object_set_new(x, "compressed", json_true());
		set_info_number(x, "virtual-size", e->virtual_size);
		set_text(x, "filename", e->filename);
		if (e->cluster_size)
			set_info_number(x, "cluster-size", e->cluster_size);
		set_text(x, "format", e->format);
		json_array_append_new(extents, x);
	}
	json_object_set_new(data, "extents", extents);
	return json_pack("{s:s, s:o}", "type", "vmdk", "data", data);
}

static json_t *json_specific(const struct image_info *i)
{
	switch (i->kind) {
	case IMAGE_INFO_COMMON:
		break;
	case IMAGE_INFO_LUKS:
		return json_pack("{s:s, s:o}", "type", "luks", "data",
				 json_encrypt(&i->encrypt, NULL));
	case IMAGE_INFO_QCOW2:
		return json_qcow2(i);
	case IMAGE_INFO_VMDK:
		return json_vmdk(&i->vmdk);
	}
	return NULL;
}

static json_t *json_facts(const struct facts *f);

static json_t *json_children(const struct facts *f)
{
	json_t *list = json_array();

	for (unsigned int n = 0; n < f->nr_children; n++)
		json_array_append_new(list, json_pack("{s:s, s:o}",
			"name", f->children[n].name,
			"info", json_facts(&f->children[n])));
	return list;
}

static json_t *json_facts(const struct facts *f)
{
	json_t *o = json_object();

	json_object_set_new(o, "children", json_children(f));
	if (f->i.nr_snapshots)
		json_object_set_new(o, "snapshots", tool_json_snapshots(&f->i));
	set_text(o, "backing-filename-format", f->i.backing_format);
	set_info_number(o, "virtual-size", f->size);
	set_text(o, "filename", f->path);
	if (f->i.cluster_size)
		set_info_number(o, "cluster-size", f->i.cluster_size);
	set_text(o, "format", f->format);
	if (f->has_allocated)
		set_info_number(o, "actual-size", f->allocated);
	if (f->i.kind != IMAGE_INFO_COMMON)
		json_object_set_new(o, "format-specific",
				    json_specific(&f->i));
	else if (!strcmp(f->format, "file"))
		json_object_set_new(o, "format-specific",
				    json_pack("{s:s, s:{}}", "type", "file",
					      "data"));
	if (f->i.encrypted)
		json_object_set_new(o, "encrypted", json_true());
	set_text(o, "full-backing-filename", f->backing_path);
	set_text(o, "backing-filename", f->i.backing_file);
	if (!f->i.no_dirty_flag)
		json_object_set_new(o, "dirty-flag", json_boolean(f->i.dirty));
	return o;
}

/* ---- gathering ---- */

/* Is this the second time that the chain comes here? */
static int note_file(struct info *info, const char *path)
{
	struct error err = ERROR_INIT;
	struct file_id id;

	if (file_id_find(path, &id))
		return 0;		/* opening it will say why */
	for (unsigned int n = 0; n < info->nr_seen; n++)
		if (same_file(&info->seen[n], &id))
			return tool_error("Backing file '%s' creates an "
					  "infinite loop.", path);
	if (image_judge_depth(info->nr_seen + 1, &err))
		return tool_error("%s", err.msg);
	info->seen[info->nr_seen++] = id;
	return 0;
}

static int look_at(struct image *img, struct facts *f, struct error *err);

/* "file" and "host_device" are one protocol of ours. */
static const char *protocol_under(const struct image *img)
{
	const char *name = image_format(img);
	struct stat st;

	if (!strcmp(name, "file") && !stat(image_path(img), &st) &&
	    !S_ISREG(st.st_mode))
		return "host_device";
	return name;
}

/* A file of a whole number of sectors, as all that is a file to qemu-img. */
static int look_at_file(struct image *img, struct facts *f, struct error *err)
{
	int ret = look_at(img, f, err);

	if (ret || image_file(img))
		return ret;
	f->format = protocol_under(img);
	f->size = align_up(f->size, SECTOR_SIZE);
	f->i.no_dirty_flag = strcmp(image_format(img), "file") &&
			     strcmp(f->format, "host_device");
	return 0;
}

/* The last that was opened comes first, as in qemu-img. */
static int look_below(struct image *img, struct facts *f, struct error *err)
{
	bool is_vmdk = f->i.kind == IMAGE_INFO_VMDK;
	unsigned int n = is_vmdk ? f->i.vmdk.nr_extents : 0;
	int ret = 0;

	f->children = calloc(n + 1, sizeof(*f->children));
	if (!f->children)
		return -ENOMEM;
	while (n-- && !ret) {
		struct facts *child = &f->children[f->nr_children];

		if (!f->i.vmdk.extents[n].file)
			continue;
		ret = look_at_file(f->i.vmdk.extents[n].file, child, err);
		snprintf(child->name, sizeof(child->name), "extents.%u", n);
		f->nr_children++;
	}
	/* Of a protocol by itself, a raw image is made. */
	if (image_file(img) && !image_protocol_known(f->format) && !ret) {
		struct facts *child = &f->children[f->nr_children++];

		ret = look_at_file(image_file(img), child, err);
		strcpy(child->name, "file");
	}
	return ret;
}

static int look_at(struct image *img, struct facts *f, struct error *err)
{
	int ret;

	f->path = image_plain_path(image_path(img));
	if (!f->path)
		return -ENOMEM;
	f->format = image_format(img);
	f->size = image_size(img);
	f->has_allocated = !image_allocated_size(img, &f->allocated);
	ret = image_get_info(img, &f->i, err);
	return ret ? ret : look_below(img, f, err);
}

/* Takes over `path`. */
static int gather_facts(struct info *info, char *path, const char *format,
			struct facts *f)
{
	struct tool_common common = info->common;
	struct error err = ERROR_INIT;
	struct image *img;
	int ret;

	*f = (struct facts){ 0 };
	common.format = format;
	if (!path)
		return tool_error("out of memory");
	img = tool_open(info->loop, path, &common,
			IMAGE_NO_IO | IMAGE_NO_BACKING);
	if (!img) {
		free(path);
		return EXIT_FAILED;
	}
	/* The images below are named by those above. */
	info->common.image_opts = false;
	ret = look_at(img, f, &err);
	if (ret)
		ret = tool_error("%s: %s", path, error_text(&err, ret));
	else if (note_file(info, f->path))
		ret = EXIT_FAILED;
	else if (f->i.backing_file)
		image_backing_path(f->path, f->i.backing_file, &f->backing_path,
				   NULL);
	free(path);
	image_close(img, NULL);
	return ret;
}

static void show_facts(struct info *info, const struct facts *f, bool first)
{
	if (info->list) {
		json_array_append_new(info->list, json_facts(f));
		return;
	}
	if (!first)
		putchar('\n');
	print_facts(f);
}

static int walk_chain(struct info *info, const char *path)
{
	const char *format = info->common.format;
	cleanup_free char *own_format = NULL;
	char *next = strdup(path);
	bool first = true;
	int ret;

	do {
		struct facts f;

		ret = gather_facts(info, next, format, &f);
		next = NULL;
		if (!ret) {
			show_facts(info, &f, first);
			first = false;
			if (info->chain && f.i.backing_file && !f.backing_path)
				ret = tool_error("Could not open backing file "
						 "'%s'", f.i.backing_file);
			free(own_format);
			own_format = steal_ptr(&f.i.backing_format);
			format = own_format;
			next = steal_ptr(&f.backing_path);
		}
		free_facts(&f);
	} while (!ret && info->chain && next);
	free(next);
	return ret;
}

static int print_info_list(struct info *info)
{
	json_t *json = info->list;

	if (!info->chain)
		json = json_incref(json_array_get(info->list, 0));
	else
		json_incref(json);
	json_decref(info->list);
	return tool_json_print(json);
}

static int run_info(struct loop *loop, int argc, char **argv)
{
	/* The coroutine's stack is small. */
	cleanup_free struct info *info = calloc(1, sizeof(*info));
	int id, ret;

	if (!info)
		return tool_error("out of memory");
	info->loop = loop;
	info->common.cache = IMAGE_CACHE_WRITEBACK;
	while ((id = tool_getopt(&verb_info, argc, argv)) != -1) {
		if (id == OPT_BACKING_CHAIN)
			info->chain = true;
		else if (tool_common_option(&info->common, id, optarg))
			return EXIT_FAILED;
	}
	if (argc - optind != 1)
		return tool_usage(&verb_info, "expecting one image file name");
	if (info->common.json)
		info->list = json_array();
	ret = walk_chain(info, argv[optind]);
	if (!ret && info->list)
		return print_info_list(info);
	json_decref(info->list);
	return ret;
}

const struct verb verb_info = {
	.name = "info",
	.summary = "tell what an image's header says",
	.usage = "FILE",
	.options = options,
	.run = run_info,
};
