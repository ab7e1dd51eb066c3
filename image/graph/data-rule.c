/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * data-rule.c: see data-rule.h.
 *
 * What is compared are files, not names: links and ".." are followed. A path that
 * is allowed takes the place of a name only where the image records none, so a
 * rule for many images does not give them all the same data.
 */
#include "image/graph/data-rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "image/graph/path.h"

int image_parse_data_rule(const char *value, struct image_data_rule *rule)
{
	rule->path = NULL;
	if (!strcmp(value, "none")) {
		rule->kind = IMAGE_DATA_NONE;
	} else if (!strcmp(value, "beside")) {
		rule->kind = IMAGE_DATA_BESIDE;
	} else if (*value == '/') {
		rule->kind = IMAGE_DATA_PATH;
		rule->path = value;
	} else {
		return -EINVAL;
	}
	return 0;
}

/* A path as it was written: that of a device is a link, to a name of the day. */
static int refuse_data_file(const struct image_data_rule *rule,
			    const char *image_path, const char *full,
			    const char *why, struct error *err)
{
	cleanup_free char *real = *full == '/' ? NULL : realpath(full, NULL);
	bool beside = !image_judge_beside(image_path, full, NULL);

	return error_set(err, EACCES, "'%.200s' has its data in '%.200s', which "
			 "is not opened: %.300s (to allow it, write \"data-file "
			 "= %.200s\" into %s)", image_path, full, why,
			 beside ? "beside" : real ? real : full, rule->where);
}

static int judge_path(const struct image_data_rule *rule,
		      const char *image_path, const char *full,
		      struct error *err)
{
	struct error why = ERROR_INIT;
	struct stat named, allowed;

	if (stat(rule->path, &allowed))
		return error_set_errno(err, errno, "'%.200s'", rule->path);
	if (!stat(full, &named) && named.st_dev == allowed.st_dev &&
	    named.st_ino == allowed.st_ino)
		return 0;
	error_set(&why, EACCES, "only '%.200s' is allowed", rule->path);
	return refuse_data_file(rule, image_path, full, why.msg, err);
}

static int judge_file(const struct image_data_rule *rule,
		      const char *image_path, const char *full,
		      struct error *err)
{
	struct error why = ERROR_INIT;
	int ret = 0;

	switch (rule->kind) {
	case IMAGE_DATA_ANY:
		break;
	case IMAGE_DATA_NONE:
		ret = refuse_data_file(rule, image_path, full,
				       "no data file is allowed for it", err);
		break;
	case IMAGE_DATA_BESIDE:
		ret = image_judge_beside(image_path, full, &why);
		if (ret == -EACCES)
			ret = refuse_data_file(rule, image_path, full, why.msg,
					       err);
		else if (ret)
			error_set(err, -ret, "%s", why.msg);
		break;
	case IMAGE_DATA_PATH:
		ret = judge_path(rule, image_path, full, err);
		break;
	}
	return ret;
}

/* A backing image gets no name from a rule, which the image above has taken. */
static int judge_nameless(const struct image_data_rule *rule,
			  const char *image_path, bool topmost,
			  struct error *err)
{
	if (!topmost)
		return error_set(err, EACCES, "'%.200s' has its data in another "
				 "file and does not record which", image_path);
	if (rule->kind == IMAGE_DATA_PATH)
		return 0;
	return error_set(err, EACCES, "'%.200s' has its data in another file "
			 "and does not record which (to name it, write "
			 "\"data-file = PATH\" into %s)", image_path,
			 rule->where);
}

int data_rule_judge(const struct image_data_rule *rule, const char *image_path,
		    bool topmost, const char *name, char **full,
		    struct error *err)
{
	cleanup_free char *named = NULL;
	int ret;

	*full = NULL;
	if (!name) {
		ret = judge_nameless(rule, image_path, topmost, err);
	} else {
		ret = image_named_path(image_path, "data file", name, &named,
				       err);
		if (!ret)
			ret = judge_file(rule, image_path, named, err);
	}
	if (ret)
		return ret;
	*full = rule->kind == IMAGE_DATA_PATH ? strdup(rule->path) :
						steal_ptr(&named);
	return *full ? 0 : -ENOMEM;
}
