/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * params.c: what a disk becomes in xenstore, and back.
 *
 * The choice of the backend follows libxl's (libxl_device.c: phy, qdisk, tap
 * in this order) except that nothing is looked at: a raw target counts as the
 * file or block device that it will have to be.
 */
#include "xlcfg/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"

static const struct {
	const char *prefix;
	enum xl_disk_format format;
} prefixes[] = {
	{ "aio", XL_FORMAT_RAW },	/* what libxl writes for raw */
	{ "raw", XL_FORMAT_RAW },
	{ "qcow", XL_FORMAT_QCOW },
	{ "qcow2", XL_FORMAT_QCOW2 },
	{ "vhd", XL_FORMAT_VHD },
	{ "qed", XL_FORMAT_QED },
};

static const char *format_prefix(enum xl_disk_format format)
{
	if (format == XL_FORMAT_EMPTY)
		return "aio";
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (prefixes[i].format == format)
			return prefixes[i].prefix;
	}
	return "aio";
}

/* UNSET: choose; otherwise judge the choice of the configuration. */
static enum xl_disk_backend choose_backend(const struct xl_disk *d)
{
	if (d->backend != XL_BACKEND_UNSET)
		return d->backend;
	if (d->virtio)
		return XL_BACKEND_STANDALONE;
	if (d->format == XL_FORMAT_RAW)
		return XL_BACKEND_PHY;
	if (d->format == XL_FORMAT_EMPTY && (d->script || d->backend_domain))
		return XL_BACKEND_PHY;
	return XL_BACKEND_QDISK;
}

static int prefixed_params(const struct xl_disk *d, char **params,
			   struct error *err)
{
	if (asprintf(params, "%s:%s", format_prefix(d->format),
		     d->target ? d->target : "") < 0)
		return error_set_errno(err, ENOMEM, "params");
	return 0;
}

static int verbatim_params(const struct xl_disk *d, char **params,
			   struct error *err)
{
	*params = strdup(d->target ? d->target : "");
	return *params ? 0 : error_set_errno(err, ENOMEM, "params");
}

static int phy_nodes(const struct xl_disk *d, const char **kind, char **params,
		     struct error *err)
{
	if (d->format != XL_FORMAT_RAW && d->format != XL_FORMAT_EMPTY)
		return error_set(err, EINVAL,
				 "backendtype=phy cannot have format=%s",
				 xl_disk_format_name(d->format));
	*kind = "vbd";
	return verbatim_params(d, params, err);
}

static int qdisk_nodes(const struct xl_disk *d, const char **kind,
		       char **params, struct error *err)
{
	if (d->script)
		return error_set(err, EINVAL, "format=%s cannot be combined "
				 "with script=: put the format before the "
				 "path, as in target=%s:/path",
				 xl_disk_format_name(d->format),
				 xl_disk_format_name(d->format));
	*kind = "qdisk";
	return prefixed_params(d, params, err);
}

static int tap_nodes(const struct xl_disk *d, const char **kind, char **params,
		     struct error *err)
{
	if (d->format != XL_FORMAT_RAW && d->format != XL_FORMAT_VHD)
		return error_set(err, EINVAL,
				 "backendtype=tap cannot have format=%s",
				 xl_disk_format_name(d->format));
	*kind = "vbd3";
	return prefixed_params(d, params, err);
}

static int standalone_nodes(const struct xl_disk *d, const char **kind,
			    char **params, struct error *err)
{
	if (!d->virtio)
		return error_set(err, EINVAL, "backendtype=standalone needs "
				 "specification=virtio");
	*kind = "virtio_disk";
	return verbatim_params(d, params, err);
}

int xl_disk_backend_nodes(const struct xl_disk *d, const char **kind,
			  char **params, struct error *err)
{
	*params = NULL;
	if (d->format == XL_FORMAT_EMPTY && !d->cdrom)
		return error_set(err, EINVAL,
				 "disk %s is empty but no CD-ROM", d->vdev);
	switch (choose_backend(d)) {
	case XL_BACKEND_UNSET:	/* never chosen */
	case XL_BACKEND_PHY:
		return phy_nodes(d, kind, params, err);
	case XL_BACKEND_QDISK:
		return qdisk_nodes(d, kind, params, err);
	case XL_BACKEND_TAP:
		return tap_nodes(d, kind, params, err);
	case XL_BACKEND_STANDALONE:
		return standalone_nodes(d, kind, params, err);
	}
	return -EINVAL;
}

/* 0 when what stands before the first colon is no format. */
static size_t match_prefix(const char *params, enum xl_disk_format *format)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i].prefix);

		if (!strncmp(params, prefixes[i].prefix, n) &&
		    params[n] == ':') {
			*format = prefixes[i].format;
			return n + 1;
		}
	}
	return 0;
}

int xl_params_parse(const char *params, struct xl_params *out,
		    struct error *err)
{
	size_t n;

	out->format = XL_FORMAT_RAW;
	n = match_prefix(params, &out->format);
	out->path = params + n;
	if (!n && *params && *params != '/')
		return error_set(err, EINVAL, "\"%s\": expected FORMAT:PATH "
				 "(raw, qcow, qcow2, vhd, qed) or a path from "
				 "the root", params);
	if (!*out->path)
		out->format = XL_FORMAT_EMPTY;
	return 0;
}
