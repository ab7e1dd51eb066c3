/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The params node of a backend's directory: what a toolstack wrote, or what
 * another one will have. The format is never anything but what the prefix
 * says, the path is the rest, and what we would write ourselves reads back.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "xlcfg/disk.h"

static void judge_params(const char *text, const struct xl_params *p)
{
	size_t prefix = (size_t)(p->path - text);
	const char *name = xl_disk_format_name(p->format);

	MUST(prefix <= strlen(text));
	MUST(!prefix || text[prefix - 1] == ':');
	MUST(!memchr(text, ':', prefix ? prefix - 1 : 0));
	MUST(prefix || !*text || *text == '/');
	MUST((p->format == XL_FORMAT_EMPTY) == !*p->path);
	if (p->format == XL_FORMAT_EMPTY)
		return;
	if (p->format == XL_FORMAT_RAW)
		MUST(!prefix || prefix == strlen("aio:"));
	else
		MUST(prefix == strlen(name) + 1 &&
		     !memcmp(text, name, prefix - 1));
}

/* As a QEMU's disk of that format. */
static void write_back(const struct xl_params *p)
{
	struct xl_disk d = {
		.target = (char *)p->path, .vdev = (char *)"xvda",
		.format = p->format, .backend = XL_BACKEND_QDISK,
	};
	struct error err = ERROR_INIT;
	struct xl_params again;
	const char *kind;
	char *params;

	if (p->format == XL_FORMAT_EMPTY)
		d.cdrom = true;
	MUST(!xl_disk_backend_nodes(&d, &kind, &params, &err));
	MUST(!strcmp(kind, "qdisk"));
	MUST(!xl_params_parse(params, &again, &err));
	MUST(again.format == p->format && !strcmp(again.path, p->path));
	free(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct error err = ERROR_INIT;
	struct xl_params params;
	int ret;

	MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	ret = xl_params_parse(text, &params, &err);
	MUST(ret == 0 || (ret == -EINVAL && err.msg[0]));
	if (ret == 0) {
		judge_params(text, &params);
		write_back(&params);
	}
	free(text);
	return 0;
}
