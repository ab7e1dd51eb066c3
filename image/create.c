/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.c: see create.h. */
#include "image/create.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/driver.h"

void create_set_nocow(int fd)
{
	int flags;

	if (!ioctl(fd, FS_IOC_GETFLAGS, &flags)) {
		flags |= FS_NOCOW_FL;
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

/* ---- options ---- */

int create_judge(const struct create_args *a, struct error *err)
{
	char known[256] = "";
	const struct image_create_help *h;

	for (h = a->known; h->name; h++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known),
			 "%s%s", *known ? ", " : "", h->name);
	for (unsigned int i = 0; i < a->nr; i++) {
		for (h = a->known; h->name; h++)
			if (!strcmp(h->name, a->options[i].name))
				break;
		if (!h->name)
			return error_set(err, EINVAL, "Invalid parameter '%s' "
					 "(known: %s)", a->options[i].name,
					 known);
	}
	return 0;
}

const char *create_text(const struct create_args *a, const char *name)
{
	for (unsigned int i = a->nr; i--;)
		if (!strcmp(a->options[i].name, name))
			return a->options[i].value;
	return NULL;
}

int create_bool(const struct create_args *a, const char *name, bool *value,
		struct error *err)
{
	static const char *const names[] = { "off", "on", NULL };
	unsigned int v = *value;
	int ret = create_choice(a, name, names, &v, err);

	*value = v;
	return ret;
}

int create_choice(const struct create_args *a, const char *name,
		  const char *const *names, unsigned int *value,
		  struct error *err)
{
	const char *text = create_text(a, name);
	char known[256] = "";

	if (!text)
		return 0;
	for (unsigned int i = 0; names[i]; i++) {
		if (!strcmp(names[i], text)) {
			*value = i;
			return 0;
		}
		snprintf(known + strlen(known), sizeof(known) - strlen(known),
			 "%s%s", i ? ", " : "", names[i]);
	}
	return error_set(err, EINVAL, "Parameter '%s' does not accept value "
			 "'%s' (known: %s)", name, text, known);
}

/* ---- the file ---- */

int create_file(struct loop *loop, const char *path, uint64_t len,
		uint64_t head, struct image **out, struct error *err)
{
	struct image_options opts = {
		.flags = IMAGE_RDWR,
		.cache = IMAGE_CACHE_WRITEBACK,
	};
	cleanup_free char *name = NULL;
	int ret;

	/* A file it is, even if its name looks like another protocol's. */
	if (asprintf(&name, "file:%s", path) < 0)
		return -ENOMEM;
	ret = image_file_driver.create(loop, path, len, NULL, 0, err);
	if (!ret)
		ret = image_open(loop, name, "raw", &opts, out, err);
	if (ret || (*out)->file->zero_beyond_end)
		return ret;
	ret = image_pwrite_zeroes(*out, 0, head, 0);
	return ret ? create_done(*out, ret, err) : 0;
}

int create_done(struct image *img, int ret, struct error *err)
{
	if (!ret)
		ret = image_flush(img);
	if (ret)
		error_set_errno(err, -ret, "could not write '%s'",
				image_path(img));
	image_close(img, NULL);
	return ret;
}

int create_uuid(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		return -EIO;
	uuid[6] = (uuid[6] & 0x0f) | 0x40;
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
	return 0;
}
