/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * files.c: which files an open image stands on, so that none is overwritten.
 *
 * Locks do not see to that: an image that is only looked at takes none, and two
 * nodes of one block device have different ones. Compared is what is open, not
 * what names said: whoever makes or writes a file first opens what it is made
 * from and asks here.
 */
#include "image/graph/files.h"

#include <errno.h>

#include "common/file-id.h"
#include "image/driver.h"

bool image_is_file(const struct image *img, const char *path)
{
	struct file_id id;

	while (img->file)
		img = img->file;
	return !file_id_find(path, &id) && same_file(&img->id, &id);
}

bool image_same_file(const struct image *a, const struct image *b)
{
	while (a->file)
		a = a->file;
	while (b->file)
		b = b->file;
	return a == b || same_file(&a->id, &b->id);
}

static const struct image *part_of(const struct image *img, unsigned int n)
{
	return img->driver->part ? img->driver->part(img, n) : NULL;
}

/* Not in its chain. As deep as a person has put formats on formats. */
static const struct image *find_own(const struct image *img,
				    const struct file_id *id)
{
	const struct image *found = same_file(&img->id, id) ? img : NULL;
	const struct image *part;

	if (!found)
		found = image_find_file(img->file, id);
	if (!found)
		found = image_find_file(img->data, id);
	for (unsigned int n = 0; !found && (part = part_of(img, n)); n++)
		found = image_find_file(part, id);
	return found;
}

/* `img` and its chain as far as `end`. */
static const struct image *find_until(const struct image *img,
				      const struct image *end,
				      const struct file_id *id)
{
	const struct image *found = NULL;

	for (; img != end && !found; img = img->backing)
		found = find_own(img, id);
	return found;
}

const struct image *image_find_file(const struct image *img,
				    const struct file_id *id)
{
	return find_until(img, NULL, id);
}

static const struct image *find_written(const struct image *img,
					const struct image *end,
					const struct image *written)
{
	const struct image *found, *part;

	if (!written)
		return NULL;
	found = find_until(img, end, &written->id);
	if (!found)
		found = find_written(img, end, written->file);
	if (!found)
		found = find_written(img, end, written->data);
	for (unsigned int n = 0; !found && (part = part_of(written, n)); n++)
		found = find_written(img, end, part);
	return found;
}

const struct image *image_find_written(const struct image *img,
				       const struct image *written)
{
	return find_written(img, NULL, written);
}

int image_judge_writable(const struct image *top, struct error *err)
{
	const struct image *found = NULL, *img;

	for (img = top; img && !found; img = img->backing) {
		if (!(img->flags & IMAGE_RDWR))
			continue;
		found = find_written(top, img, img);
		if (!found)
			found = find_written(img->backing, NULL, img);
		if (found)
			return error_set(err, EINVAL, "'%s' cannot be written "
					 "to: another image of the chain stands "
					 "on the file '%s', too", img->path,
					 found->path);
	}
	return 0;
}
