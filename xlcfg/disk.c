/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk.c: one disk string of an xl domain config.
 *
 * The string is walked item by item. At the start of an item stand, in this
 * order of precedence: blanks (skipped), a deprecated prefix ("phy:"), which
 * takes no comma, a key=value pair, a flag, a positional parameter. There is no
 * quoting: a comma can only be had inside target=, which swallows the rest.
 *
 * What xl takes is taken here and means the same, down to its oddities (an
 * empty string may be given again, the same enum twice is no error). COLO is
 * refused: such a disk cannot be served by anything but QEMU.
 */
#include "xlcfg/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"

struct parser {
	struct xl_disk *disk;
	struct error *err;
	bool prefixed;		/* had a deprecated prefix: no format slot */
	bool had_access;	/* as a positional: access= takes no slot */
	bool had_specification;
};

struct word {
	const char *name;
	int value;
};

/* The first of two names is the one to print. */
static const struct word formats[] = {
	{ "raw", XL_FORMAT_RAW },     { "", XL_FORMAT_RAW },
	{ "qcow", XL_FORMAT_QCOW },   { "qcow2", XL_FORMAT_QCOW2 },
	{ "vhd", XL_FORMAT_VHD },     { "qed", XL_FORMAT_QED },
	{ "empty", XL_FORMAT_EMPTY },
};

static const struct word backends[] = {
	{ "phy", XL_BACKEND_PHY },
	{ "tap", XL_BACKEND_TAP },
	{ "qdisk", XL_BACKEND_QDISK },
	{ "standalone", XL_BACKEND_STANDALONE },
};

static const struct word accesses[] = {
	{ "rw", false }, { "w", false }, { "", false },
	{ "ro", true },	 { "r", true },
};

static const struct word devtypes[] = { { "cdrom", true }, { "disk", false } };
static const struct word specifications[] = { { "xen", false },
					      { "virtio", true } };
static const struct word grant_usages[] = { { "0", false }, { "1", true } };

/* The value of a word, never negative; -EINVAL. */
static int lookup(struct parser *p, const char *what, const char *name,
		  const struct word *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(name, words[i].name))
			return words[i].value;
	}
	return error_set(p->err, EINVAL, "unknown %s \"%s\"", what, name);
}

#define LOOKUP(p, what, name, words) \
	lookup(p, what, name, words, ARRAY_SIZE(words))

static int set_disk_text(struct parser *p, const char *what, char **field,
			 const char *value)
{
	if (*field && **field)
		return error_set(p->err, EINVAL,
				 "%s given twice: \"%s\" and \"%s\"", what,
				 *field, value);
	free(*field);
	*field = strdup(value);
	return *field ? 0 : error_set_errno(p->err, ENOMEM, "%s", what);
}

static int set_format(struct parser *p, const char *value)
{
	int f = LOOKUP(p, "format", value, formats);

	if (f < 0)
		return f;
	if (p->disk->format != XL_FORMAT_UNSET &&
	    p->disk->format != (enum xl_disk_format)f)
		return error_set(p->err, EINVAL,
				 "format given twice: \"%s\" and \"%s\"",
				 xl_disk_format_name(p->disk->format), value);
	p->disk->format = (enum xl_disk_format)f;
	return 0;
}

static int set_backend_type(struct parser *p, const char *value)
{
	int b = LOOKUP(p, "backendtype", value, backends);

	if (b < 0)
		return b;
	if (p->disk->backend != XL_BACKEND_UNSET &&
	    p->disk->backend != (enum xl_disk_backend)b)
		return error_set(p->err, EINVAL,
				 "backendtype given twice, last as \"%s\"",
				 value);
	p->disk->backend = (enum xl_disk_backend)b;
	return 0;
}

static int set_access(struct parser *p, const char *value)
{
	int readonly = LOOKUP(p, "access", value, accesses);

	if (readonly < 0)
		return readonly;
	p->disk->readonly = readonly;
	return 0;
}

static int set_devtype(struct parser *p, const char *value)
{
	int cdrom = LOOKUP(p, "devtype", value, devtypes);

	if (cdrom < 0)
		return cdrom;
	p->disk->cdrom = cdrom;
	return 0;
}

static int set_specification(struct parser *p, const char *value)
{
	int virtio = LOOKUP(p, "specification", value, specifications);

	if (virtio < 0)
		return virtio;
	if (p->had_specification && p->disk->virtio != virtio)
		return error_set(p->err, EINVAL,
				 "specification given twice, last as \"%s\"",
				 value);
	p->had_specification = true;
	p->disk->virtio = virtio;
	return 0;
}

/* Only virtio disks care; it is checked and forgotten. */
static int set_grant_usage(struct parser *p, const char *value)
{
	return min(LOOKUP(p, "grant_usage", value, grant_usages), 0);
}

static int set_backend_domain(struct parser *p, const char *value)
{
	return set_disk_text(p, "backend", &p->disk->backend_domain, value);
}

static int set_vdev(struct parser *p, const char *value)
{
	return set_disk_text(p, "vdev", &p->disk->vdev, value);
}

static int set_script(struct parser *p, const char *value)
{
	return set_disk_text(p, "script", &p->disk->script, value);
}

static int set_target(struct parser *p, const char *value)
{
	return set_disk_text(p, "target", &p->disk->target, value);
}

static int refuse_colo(struct parser *p, const char *value)
{
	return error_set(p->err, EINVAL, "COLO replication is not supported");
}

static const struct key {
	const char *name;
	int (*set)(struct parser *p, const char *value);
} keys[] = {
	{ "format", set_format },
	{ "devtype", set_devtype },
	{ "access", set_access },
	{ "backend", set_backend_domain },
	{ "backendtype", set_backend_type },
	{ "specification", set_specification },
	{ "vdev", set_vdev },
	{ "script", set_script },
	{ "target", set_target },
	{ "grant_usage", set_grant_usage },
	{ "colo-host", refuse_colo },
	{ "colo-port", refuse_colo },
	{ "colo-export", refuse_colo },
	{ "active-disk", refuse_colo },
	{ "hidden-disk", refuse_colo },
};

/* 0: done; -ENOENT: no flag; other: an error that has its sentence. */
static int parse_flag(struct parser *p, const char *item)
{
	struct xl_disk *d = p->disk;

	if (!strcmp(item, "cdrom"))
		d->cdrom = true;
	else if (!strcmp(item, "direct-io-safe"))
		d->direct_io_safe = true;
	else if (!strcmp(item, "discard"))
		d->discard = XL_DISCARD_ON;
	else if (!strcmp(item, "no-discard"))
		d->discard = XL_DISCARD_OFF;
	else if (!strcmp(item, "trusted"))
		d->untrusted = false;
	else if (!strcmp(item, "untrusted"))
		d->untrusted = true;
	else if (!strcmp(item, "colo"))
		return refuse_colo(p, item);
	else if (strcmp(item, "no-colo"))
		return -ENOENT;
	return 0;
}

/* "hdc:cdrom", the deprecated way to say devtype=. */
static int set_vdev_and_devtype(struct parser *p, char *item)
{
	char *colon = strrchr(item, ':');
	int ret;

	if (colon) {
		*colon = '\0';
		ret = set_devtype(p, colon + 1);
		if (ret)
			return ret;
	}
	return set_vdev(p, item);
}

/* Each one goes to the first slot still free: target, format, vdev, access. */
static int parse_positional(struct parser *p, char *item)
{
	struct xl_disk *d = p->disk;

	if (!d->target)
		return set_target(p, item);
	if (!p->prefixed && d->format == XL_FORMAT_UNSET) {
		if (*d->target || !strchr(item, ':'))
			return set_format(p, item);
		d->format = XL_FORMAT_EMPTY;	/* ",hdc:cdrom": no medium */
		return set_vdev_and_devtype(p, item);
	}
	if (!d->vdev)
		return set_vdev_and_devtype(p, item);
	if (!p->had_access) {
		p->had_access = true;
		return set_access(p, item);
	}
	return error_set(p->err, EINVAL, "too many positional parameters: "
			 "\"%s\" comes after target, format, vdev and access",
			 item);
}

static int parse_pair(struct parser *p, char *item, char *equals)
{
	*equals = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!strcmp(item, keys[i].name))
			return keys[i].set(p, equals + 1);
	}
	return error_set(p->err, EINVAL, "unknown parameter \"%s=\"", item);
}

static int parse_item(struct parser *p, char *item)
{
	char *equals = strchr(item, '=');
	int ret;

	if (equals)
		return parse_pair(p, item, equals);
	ret = parse_flag(p, item);
	return ret == -ENOENT ? parse_positional(p, item) : ret;
}

static int apply_prefix(struct parser *p, const char *prefix)
{
	static const char *const ignored[] = { "tapdisk", "tap", "tap2", "aio",
					       "ioemu", "file", "phy" };
	static const char *const by_format[] = { "raw", "qcow", "qcow2",
						 "vhd" };
	static const char *const by_script[] = { "iscsi", "nbd", "enbd",
						 "drbd" };
	char script[16];

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
		if (!strcmp(prefix, ignored[i]))
			return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(by_format); i++) {
		if (!strcmp(prefix, by_format[i]))
			return set_format(p, prefix);
	}
	for (size_t i = 0; i < ARRAY_SIZE(by_script); i++) {
		if (strcmp(prefix, by_script[i]))
			continue;
		snprintf(script, sizeof(script), "block-%s", prefix);
		return set_script(p, script);
	}
	return -ENOENT;
}

static bool is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* 1: a prefix was eaten; 0: there is none. An unknown word before a colon is
 * taken for a mistyped prefix unless a word follows, as in "hdc:cdrom". */
static int parse_prefix(struct parser *p, char **cursor)
{
	char *s = *cursor, *colon = s;
	int ret;

	if (*s < 'a' || *s > 'z')
		return 0;
	while (is_word_char(*colon))
		colon++;
	if (*colon != ':')
		return 0;
	*colon = '\0';
	ret = apply_prefix(p, s);
	if (ret == -ENOENT && is_word_char(colon[1])) {
		*colon = ':';
		return 0;
	}
	if (ret == -ENOENT)
		return error_set(p->err, EINVAL, "unknown prefix \"%s:\"", s);
	p->prefixed = true;
	*cursor = colon + 1;
	return ret ? ret : 1;
}

/* target= swallows the rest but one comma at the end. */
static int parse_rest(struct parser *p, char *rest)
{
	size_t n = strlen(rest);

	if (n && rest[n - 1] == ',')
		rest[n - 1] = '\0';
	return set_target(p, rest);
}

static int parse_items(struct parser *p, char *s)
{
	int ret = 0;
	char *comma;

	while (!ret && s) {
		s += strspn(s, " \t\n");
		if (!*s)
			break;
		if (!strncmp(s, "target=", 7))
			return parse_rest(p, s + 7);
		ret = parse_prefix(p, &s);
		if (ret == 1) {
			ret = 0;
			continue;
		}
		if (ret)
			break;
		comma = strchr(s, ',');
		if (comma)
			*comma++ = '\0';
		ret = parse_item(p, s);
		s = comma;
	}
	return ret;
}

static int complete(struct parser *p)
{
	struct xl_disk *d = p->disk;

	if (d->format == XL_FORMAT_UNSET)
		d->format = XL_FORMAT_RAW;
	if (d->cdrom) {
		d->readonly = true;
		if (!d->target || !*d->target)
			d->format = XL_FORMAT_EMPTY;
	}
	if (!d->vdev)
		return error_set(p->err, EINVAL, "no vdev specified");
	if (!d->target && !d->cdrom)
		return error_set(p->err, EINVAL, "no target specified");
	return 0;
}

int xl_disk_parse(const char *spec, struct xl_disk *disk, struct error *err)
{
	struct parser p = { .disk = disk, .err = err };
	cleanup_free char *copy = strdup(spec);
	int ret;

	memset(disk, 0, sizeof(*disk));
	if (!copy)
		return error_set_errno(err, ENOMEM, "disk");
	ret = parse_items(&p, copy);
	if (!ret)
		ret = complete(&p);
	if (ret) {
		xl_disk_free(disk);
		error_prefix(err, ret, "disk \"%s\"", spec);
	}
	return ret;
}

void xl_disk_free(struct xl_disk *disk)
{
	free(disk->target);
	free(disk->vdev);
	free(disk->script);
	free(disk->backend_domain);
	memset(disk, 0, sizeof(*disk));
}

const char *xl_disk_format_name(enum xl_disk_format format)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (formats[i].value == (int)format)
			return formats[i].name;
	}
	return "unset";
}
