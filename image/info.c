/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info.c: see info.h. */
#include "image/info.h"

#include <stdlib.h>
#include <string.h>

#include "image/driver.h"

int image_get_info(struct image *img, struct image_info *info,
		   struct error *err)
{
	memset(info, 0, sizeof(*info));
	if (!img->driver->get_info)
		return 0;
	return img->driver->get_info(img, info, err);
}

static void vmdk_info_free(struct image_info_vmdk *v)
{
	for (unsigned int i = 0; i < v->nr_extents; i++)
		free(v->extents[i].filename);
	free(v->extents);
	free(v->create_type);
}

void image_info_free(struct image_info *info)
{
	for (unsigned int i = 0; i < info->nr_snapshots; i++) {
		free(info->snapshots[i].id);
		free(info->snapshots[i].name);
	}
	free(info->snapshots);
	for (unsigned int i = 0; i < info->nr_bitmaps; i++)
		free(info->bitmaps[i].name);
	free(info->bitmaps);
	free(info->backing_file);
	free(info->backing_format);
	if (info->kind == IMAGE_INFO_QCOW2)
		free(info->qcow2.data_file);
	if (info->kind == IMAGE_INFO_VMDK)
		vmdk_info_free(&info->vmdk);
	memset(info, 0, sizeof(*info));
}
