/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmdk-descriptor.c: the text that says what a vmdk disk is made of.
 *
 *	CID=fffffffe
 *	parentCID=ffffffff
 *	createType="twoGbMaxExtentFlat"
 *	RW 4192256 FLAT "disk-f001.vmdk" 0
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "image/formats/vmdk.h"

static const struct {
	const char *name;
	enum vmdk_kind kind;
} types[] = {
	{ "FLAT", VMDK_FLAT },
	{ "SPARSE", VMDK_SPARSE },
	{ "VMFS", VMDK_FLAT },
	{ "ZERO", VMDK_ZERO },
};

/* Those whose extents are of the types above. */
static const char *const create_types[] = {
	"monolithicSparse", "monolithicFlat", "streamOptimized", "vmfs",
	"twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "custom",
};

/* `key` before a "=": what stands behind it, without quotes. */
static char *value_of(char *line, const char *key)
{
	size_t n = strlen(key);
	char *v = line + n;

	if (strncmp(line, key, n))
		return NULL;
	v += strspn(v, " \t");
	if (*v++ != '=')
		return NULL;
	v += strspn(v, " \t\"");
	v[strcspn(v, "\"")] = '\0';
	return v;
}

static int judge_create_type(const char *type, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(create_types); i++)
		if (!strcmp(type, create_types[i]))
			return 0;
	return error_set(err, ENOTSUP, "vmdk images of type '%.100s' are not "
			 "supported", type);
}

static int keep_text(char **to, const char *text)
{
	free(*to);
	*to = strdup(text);
	return *to ? 0 : -ENOMEM;
}

static int parse_key(struct vmdk *v, char *line, struct error *err)
{
	char *value;

	if ((value = value_of(line, "CID"))) {
		v->cid = (uint32_t)strtoul(value, NULL, 16);
	} else if ((value = value_of(line, "parentCID"))) {
		v->parent_cid = (uint32_t)strtoul(value, NULL, 16);
	} else if ((value = value_of(line, "parentFileNameHint"))) {
		return keep_text(&v->parent, value);
	} else if ((value = value_of(line, "createType"))) {
		int ret = judge_create_type(value, err);

		return ret ? ret : keep_text(&v->create_type, value);
	}
	return 0;
}

/* 1: this is an extent; 0: it is not. */
static int parse_extent(const char *text, struct vmdk_line *line,
			struct error *err)
{
	char access[11], type[11];
	int n;

	*line = (struct vmdk_line){ 0 };
	n = sscanf(text, "%10s %" SCNu64 " %10s \"%255[^\"]\" %" SCNu64, access,
		   &line->sectors, type, line->name, &line->offset);
	if (n < 3 || (strcmp(access, "RW") && strcmp(access, "RDONLY")))
		return n >= 3 && !strcmp(access, "NOACCESS") ?
			error_set(err, ENOTSUP, "the vmdk descriptor has an "
				  "extent without access: '%.100s'", text) : 0;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(type, types[i].name))
			continue;
		line->kind = types[i].kind;
		line->type = types[i].name;
		if (line->kind != VMDK_ZERO && !*line->name)
			break;
		return 1;
	}
	return error_set(err, EINVAL, "the vmdk descriptor has an extent that "
			 "is not known: '%.100s'", text);
}

int vmdk_parse(struct vmdk *v, char *text,
	       int (*add)(struct vmdk *v, void *arg,
			  const struct vmdk_line *line, struct error *err),
	       void *arg, struct error *err)
{
	struct vmdk_line line;
	char *save = NULL;
	int ret = 0;

	v->parent_cid = VMDK_NO_PARENT;
	for (char *l = strtok_r(text, "\r\n", &save); l && !ret;
	     l = strtok_r(NULL, "\r\n", &save)) {
		l += strspn(l, " \t");
		if (*l == '#')
			continue;
		ret = parse_extent(l, &line, err);
		if (ret > 0)
			ret = add ? add(v, arg, &line, err) : 0;
		else if (!ret)
			ret = parse_key(v, l, err);
	}
	if (!ret && !v->create_type)
		ret = error_set(err, EINVAL, "the vmdk descriptor has no "
				"createType");
	return ret;
}
