/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk.h: the disk= strings of an xl domain config, and vdev numbers.
 *
 * Grammar: xl-disk-configuration(5) and Xen's libxlu_disk_l.l: comma separated
 * key=value pairs, flags and up to four positional parameters (target, format,
 * vdev, access); target= swallows the rest. vdev names: xen-vbd-interface(7).
 * A pure parser: no file is looked at, nothing is global.
 */
#ifndef XD_XLCFG_DISK_H
#define XD_XLCFG_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

enum xl_disk_format {
	XL_FORMAT_UNSET, XL_FORMAT_RAW, XL_FORMAT_QCOW, XL_FORMAT_QCOW2,
	XL_FORMAT_VHD, XL_FORMAT_QED, XL_FORMAT_EMPTY,
};

enum xl_disk_backend {
	XL_BACKEND_UNSET, XL_BACKEND_PHY, XL_BACKEND_TAP, XL_BACKEND_QDISK,
	XL_BACKEND_STANDALONE,
};

enum xl_disk_discard { XL_DISCARD_UNSET, XL_DISCARD_ON, XL_DISCARD_OFF };

/* Strings are malloc()ed and owned by the struct; NULL where not given. */
struct xl_disk {
	char *target;
	char *vdev;
	char *script;
	char *backend_domain;
	enum xl_disk_format format;
	enum xl_disk_backend backend;
	enum xl_disk_discard discard;
	bool readonly;
	bool cdrom;
	bool direct_io_safe;
	bool untrusted;
	bool virtio;		/* specification=virtio */
};

/* -EINVAL with a sentence that names the part that is wrong. On failure *disk
 * holds nothing; on success xl_disk_free() it (which may be called twice). */
int xl_disk_parse(const char *spec, struct xl_disk *disk, struct error *err);
void xl_disk_free(struct xl_disk *disk);

const char *xl_disk_format_name(enum xl_disk_format format);

/* "xvda" 51712, "sda" 2048, "hda" 768, "xvdq" 1<<28|16<<8, "d0p1", "51712".
 * -EINVAL when it is no vdev. */
int xl_vdev_number(const char *vdev, uint32_t *devid, struct error *err);

/* Which directory below backend/ stock xl makes for it ("qdisk", "vbd",
 * "vbd3") and what its params node holds ("qcow2:/path", "aio:/path", the
 * target verbatim), as libxl chooses without looking at the target.
 * -EINVAL with the reason where xl would refuse. *params: malloc()ed. */
int xl_disk_backend_nodes(const struct xl_disk *disk, const char **kind,
			  char **params, struct error *err);

/* The params node of a backend: "qcow2:/path", "aio:/path" (raw), "raw:/path",
 * or "/path" (raw: phy devices have no prefix). The format is what the prefix
 * says and is never guessed from the file. */
struct xl_params {
	enum xl_disk_format format;
	const char *path;	/* within the string that was parsed */
};
int xl_params_parse(const char *params, struct xl_params *out,
		    struct error *err);

#endif
