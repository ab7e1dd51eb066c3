/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk strings, vdev names and params: the input is one string for all. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "xlcfg/disk.h"

static void parse_disk(const char *text)
{
	struct error err = ERROR_INIT;
	struct xl_disk disk;
	const char *kind;
	char *params;
	int ret = xl_disk_parse(text, &disk, &err);

	MUST(ret == 0 || ret == -EINVAL);
	if (ret) {
		MUST(err.msg[0] && !disk.target && !disk.vdev);
		return;
	}
	MUST(disk.vdev && (disk.target || disk.cdrom));
	MUST(disk.format != XL_FORMAT_UNSET);
	ret = xl_disk_backend_nodes(&disk, &kind, &params, &err);
	MUST(ret == 0 ? kind && params : ret == -EINVAL && !params);
	free(params);
	xl_disk_free(&disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct error err = ERROR_INIT;
	struct xl_params params;
	uint32_t devid;

	MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	parse_disk(text);
	if (!xl_vdev_number(text, &devid, &err))
		MUST(devid <= INT32_MAX);
	if (!xl_params_parse(text, &params, &err))
		MUST(params.path >= text && params.path <= text + size);
	free(text);
	return 0;
}
