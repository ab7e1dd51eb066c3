/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhd-parent.c: see vhd-parent.h.
 *
 * The dynamic header has room for eight locators, which say where in the file
 * the parent's path is, in the manner of one system each: "W2ru" relative to
 * the image, "W2ku" absolute, both UTF-16, little-endian. Beside them there is
 * the parent's name, UTF-16, big-endian. (Source: Microsoft's "Virtual Hard
 * Disk Image Format Specification" 1.0.) The relative path is the one that
 * still holds when both images have been copied to another host; the others are
 * only taken where it is missing.
 */
#include "image/formats/vhd-parent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/driver.h"
#include "image/formats/mapped.h"
#include "image/formats/vhd-footer.h"

#define LOCATORS 8u
#define LOCATOR_BYTES 24u
#define NAME_BYTES 512u
#define MAX_PATH_BYTES 2048u		/* of UTF-16 */
#define RELATIVE "W2ru"
#define ABSOLUTE "W2ku"

/* offsets in a locator */
enum { AT_LENGTH = 8, AT_DATA = 16 };

/* ---- UTF-16 ---- */

struct text {
	const uint8_t *at;
	size_t units;			/* left */
	bool big_endian;
};

static uint32_t unit(const struct text *t, size_t i)
{
	return t->big_endian ? load_be16(t->at + 2 * i) :
			       load_le16(t->at + 2 * i);
}

static bool is_surrogate(uint32_t c, uint32_t first)
{
	return c >= first && c < first + 0x400;
}

/* The next character, or -1: half of a pair. */
static int64_t next_character(struct text *t)
{
	uint32_t c = unit(t, 0), low = t->units > 1 ? unit(t, 1) : 0;
	bool pair = is_surrogate(c, 0xd800) && is_surrogate(low, 0xdc00);

	if (!pair && is_surrogate(c & ~0x400u, 0xd800))
		return -1;
	t->at += pair ? 4 : 2;
	t->units -= pair ? 2 : 1;
	return pair ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : c;
}

static char *put_utf8(char *out, uint32_t c)
{
	static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (n == 1) {
		*out = (char)c;
		return out + 1;
	}
	for (int i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	*out = (char)(lead[n] | c);
	return out + n;
}

/* Backslashes become slashes. Zeroes may follow the text, not stand in it. */
static int to_path(struct text t, char **path, struct error *err)
{
	char *out = *path = malloc(t.units * 3 + 1);
	int64_t c = 0;

	if (!out)
		return -ENOMEM;
	while (t.units && !unit(&t, t.units - 1))
		t.units--;
	while (t.units && (c = next_character(&t)) > 0)
		out = put_utf8(out, c == '\\' ? '/' : (uint32_t)c);
	*out = '\0';
	return !t.units && c >= 0 ? 0 :
		error_set(err, EINVAL, "the name of the VHD image's parent is "
			  "not a text in UTF-16");
}

/* ---- where it stands ---- */

static const uint8_t *find_locator(const uint8_t *header, const char *code)
{
	const uint8_t *l = header + VHD_LOCATORS;

	for (unsigned int i = 0; i < LOCATORS; i++, l += LOCATOR_BYTES)
		if (!memcmp(l, code, 4))
			return l;
	return NULL;
}

static int read_locator(struct image *file, const uint8_t *l, char **path,
			struct error *err)
{
	uint32_t len = load_be32(l + AT_LENGTH);
	uint64_t off = load_be64(l + AT_DATA);
	uint8_t raw[MAX_PATH_BYTES];
	int ret;

	if (!len || len % 2 || len > sizeof(raw))
		return error_set(err, EINVAL, "a VHD parent locator of %u "
				 "bytes is not possible: not even, or more "
				 "than %u", len, MAX_PATH_BYTES);
	ret = mapped_judge_table(file, "VHD parent locator", off, len, 1, err);
	if (ret)
		return ret;
	ret = image_pread(file, off, len, raw);
	if (ret)
		return error_set_errno(err, -ret, "reading the parent locator");
	return to_path((struct text){ raw, len / 2, false }, path, err);
}

/* What follows the first zero is no matter. */
static int read_name(const uint8_t *header, char **path, struct error *err)
{
	struct text t = { header + VHD_PARENT_NAME, 0, true };

	while (t.units < NAME_BYTES / 2 && unit(&t, t.units))
		t.units++;
	return t.units ? to_path(t, path, err) : 0;
}

int vhd_parent_name(struct image *file, const uint8_t *header, char **name,
		    struct error *err)
{
	const uint8_t *l = find_locator(header, RELATIVE);
	cleanup_free char *path = NULL;
	const char *start;
	int ret;

	*name = NULL;
	if (!l)
		l = find_locator(header, ABSOLUTE);
	ret = l ? read_locator(file, l, &path, err) :
		  read_name(header, &path, err);
	if (ret || !path)
		return ret;
	start = path + (strncmp(path, "./", 2) ? 0 : 2);
	*name = strdup(start);
	return *name ? 0 : -ENOMEM;
}
