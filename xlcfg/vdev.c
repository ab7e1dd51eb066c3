/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vdev.c: from the name of a virtual disk to its number.
 *
 * Encodings: xen-vbd-interface(7). The spellings are those that libxl takes:
 * xvd<letters>[part], d<disk>p<part>, hd[a-d][part], sd[a-p][part] and bare
 * numbers, which are passed on as they are.
 */
#include "xlcfg/disk.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "common/bits.h"
#include "common/size.h"

#define XVD_MAJOR 202u
#define IDE0_MAJOR 3u
#define IDE1_MAJOR 22u
#define SCSI_MAJOR 8u
#define EXTENDED_VBD (1u << 28)
#define MAX_XVD_DISK ((1u << 20) - 1)
#define MAX_XVD_PART 255u

struct vdev {
	unsigned int disk, part;
};

static bool parse_number(const char *text, size_t len, unsigned int limit,
			 unsigned int *value)
{
	char digits[12];
	uint64_t v;

	if (len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (decimal_parse(digits, limit, &v))
		return false;
	*value = (unsigned int)v;
	return true;
}

/* <prefix><letters>[part]: the letters count a..z, aa, ab, ... */
static bool parse_lettered(const char *name, const char *prefix,
			   struct vdev max_vdev, struct vdev *out)
{
	size_t n = strlen(prefix);
	unsigned int disk = 0;
	const char *p;

	if (strncmp(name, prefix, n))
		return false;
	for (p = name + n; *p >= 'a' && *p <= 'z'; p++) {
		disk = disk * 26 + (unsigned int)(*p - 'a') + 1;
		if (disk > max_vdev.disk + 1)
			return false;
	}
	if (!disk || *p == '0')
		return false;
	out->disk = disk - 1;
	out->part = 0;
	return !*p || parse_number(p, strlen(p), max_vdev.part, &out->part);
}

/* d<disk>p<part> */
static bool parse_numbered(const char *name, struct vdev *out)
{
	const char *p = name[0] == 'd' ? strchr(name, 'p') : NULL;

	return p &&
	       parse_number(name + 1, (size_t)(p - name - 1), MAX_XVD_DISK,
			    &out->disk) &&
	       parse_number(p + 1, strlen(p + 1), MAX_XVD_PART, &out->part);
}

static uint32_t xvd_number(struct vdev v)
{
	if (v.disk <= 15 && v.part <= 15)
		return XVD_MAJOR << 8 | v.disk << 4 | v.part;
	return EXTENDED_VBD | v.disk << 8 | v.part;
}

int xl_vdev_number(const char *vdev, uint32_t *devid, struct error *err)
{
	static const struct vdev xvd_max = { MAX_XVD_DISK, MAX_XVD_PART },
				 hd_max = { 3, 63 }, sd_max = { 15, 15 };
	struct vdev v;
	uint64_t n;

	if (parse_lettered(vdev, "xvd", xvd_max, &v) ||
	    parse_numbered(vdev, &v))
		*devid = xvd_number(v);
	else if (parse_lettered(vdev, "hd", hd_max, &v))
		*devid = (v.disk < 2 ? IDE0_MAJOR : IDE1_MAJOR) << 8 |
			 (v.disk & 1) << 6 | v.part;
	else if (parse_lettered(vdev, "sd", sd_max, &v))
		*devid = SCSI_MAJOR << 8 | v.disk << 4 | v.part;
	else if (!number_parse(vdev, INT_MAX, &n))
		*devid = (uint32_t)n;
	else
		return error_set(err, EINVAL, "\"%s\" is no virtual disk: "
				 "expected xvda, hda, sda, d0p0 or a number",
				 vdev);
	return 0;
}
