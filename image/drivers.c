/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* drivers.c: the formats and protocols there are. */
#include "config.h"

#include "image/driver.h"

const struct image_driver *const image_formats[] = {
	&image_bochs_driver,
	&image_cloop_driver,
	&image_dmg_driver,
	&image_luks_driver,
	&image_parallels_driver,
	&image_qcow_driver,
	&image_qcow2_driver,
	&image_qed_driver,
	&image_raw_driver,
	&image_vdi_driver,
	&image_vhdx_driver,
	&image_vmdk_driver,
	&image_vpc_driver,
	NULL,
};

#ifdef HAVE_LIBCURL
#define HAVE_CURL true
#else
#define HAVE_CURL false
#endif

#ifdef HAVE_LIBNBD
#define HAVE_NBD true
#else
#define HAVE_NBD false
#endif

/* Those that are listed in the order in which they are. */
const struct image_protocol image_protocols[] = {
	{ "file", &image_file_driver, .listed = true },
	{ "host_cdrom", &image_file_driver, .no_scheme = true },
	{ "host_device", &image_file_driver, .no_scheme = true },
	{ "null-co", &image_null_driver, .listed = true },
	{ "null-aio", &image_null_driver },
	{ "ftp", .module = "curl", .listed = HAVE_CURL },
	{ "ftps", .module = "curl", .listed = HAVE_CURL },
	{ "http", .module = "curl", .listed = HAVE_CURL },
	{ "https", .module = "curl", .listed = HAVE_CURL },
	{ "nbd", .module = "nbd", .listed = HAVE_NBD },
	{ "nbd+unix", .module = "nbd" },
	{ "nbds", .module = "nbd" },
	{ "nbds+unix", .module = "nbd" },
	{ "blkdebug", &image_blkdebug_driver },
	{ "blkverify", &image_blkverify_driver },
	{ NULL },
};
