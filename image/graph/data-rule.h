/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * data-rule.h: which external data file is opened on an image's word.
 *
 * A guest's writes go to the data file. So where images are opened for guests a
 * person says for each which file that may be: struct image_data_rule.
 */
#ifndef XD_IMAGE_DATA_RULE_H
#define XD_IMAGE_DATA_RULE_H

#include <stdbool.h>

#include "common/error.h"

/* Which external data files are opened on an image's word. ANY is for who opens
 * images for himself: a guest writes to what its image names. */
enum image_data_kind {
	IMAGE_DATA_ANY,		/* what is recorded */
	IMAGE_DATA_NONE,
	IMAGE_DATA_BESIDE,	/* regular files in the image's own folder */
	IMAGE_DATA_PATH,	/* that one, also where no name is recorded */
};

/* Holds for an image and all below it. Strings are the caller's, and read only
 * while images are opened. */
struct image_data_rule {
	enum image_data_kind kind;
	const char *path;	/* absolute; IMAGE_DATA_PATH */
	const char *where;	/* a rule is changed, for sentences; not of ANY */
};

/* "none", "beside" or a path: kind and path. -EINVAL */
int image_parse_data_rule(const char *value, struct image_data_rule *rule);

/* *full is the file to open, malloc()ed, for the image at image_path, which
 * records `name` (NULL: nothing). topmost: it is nobody's backing image.
 * -EACCES: the rule does not allow it; the sentence says what to write where.
 * Opens nothing. Not for IMAGE_DATA_ANY. */
int data_rule_judge(const struct image_data_rule *rule, const char *image_path,
		    bool topmost, const char *name, char **full,
		    struct error *err);

#endif
