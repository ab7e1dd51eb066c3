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
#include "image/image.h"

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
