/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy.h: which files are opened on whose word.
 *
 * A person's word opens any file. An image's word carries the authority of the
 * owner of its file, and no more: what that user could not open, the image does
 * not open either; image-dirs narrows it to folders. Only regular files and
 * block devices are opened, nothing set-user-ID or set-group-ID, backing images
 * are only read, and a data file, to which the guest writes, is opened where
 * xdisk.conf allows it.
 *
 * The decision is a pure function of facts that others have found.
 */
#ifndef XD_OPENER_POLICY_H
#define XD_OPENER_POLICY_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"
#include "opener/opener.h"

/* Which external data files an image may name. ANY is for who opens images for
 * himself. */
enum data_rule {
	DATA_ANY,		/* what is recorded */
	DATA_NONE,
	DATA_BESIDE,		/* regular files in the image's own folder */
	DATA_PATH,		/* that one, also where no name is recorded */
};

/* For an image and all below it. Strings are the caller's. */
struct policy {
	/* Absolute paths of folders, with ':' between; NULL: anywhere. */
	const char *image_dirs;
	enum data_rule data_rule;
	const char *data_path;	/* absolute; DATA_PATH */
	bool backing_writable;	/* by a person's command, as commit is one */
	/* Where a rule is changed, for sentences: "section [image x] of FILE". */
	const char *where;
};

/* "none", "beside" or an absolute path. -EINVAL */
int policy_parse_data_file(const char *value, struct policy *p);

/* -EINVAL and a sentence unless they are absolute paths with ':' between. */
int policy_judge_dirs(const char *image_dirs, struct error *err);

struct policy_facts {
	enum opener_purpose purpose;
	bool write;
	bool by_image;		/* an image names it */
	bool topmost;		/* ...which is nobody's backing image */
	bool named;		/* OPENER_DATA: a name is recorded */
	mode_t mode;		/* st_mode; what leads nowhere is not judged */
	bool owner_may;		/* the owner of the naming file could open it */
	bool in_dirs;		/* or no image-dirs are set */
	bool beside;		/* a regular file in the image's folder */
	bool data_path;		/* the file that data_path leads to */
};

enum policy_verdict {
	POLICY_ALLOWED,
	POLICY_NOT_A_FILE,
	POLICY_SET_ID,
	POLICY_NOT_THE_OWNERS,
	POLICY_OUTSIDE,		/* of image-dirs */
	POLICY_READ_ONLY,	/* a backing image or a part of it */
	POLICY_PART_ELSEWHERE,	/* not beside the image */
	POLICY_DATA_NONE,
	POLICY_DATA_ELSEWHERE,	/* not beside the image */
	POLICY_DATA_OTHER,	/* not the file of data_path */
	POLICY_DATA_UNNAMED,
	POLICY_DATA_UNNAMED_BELOW,
};

enum policy_verdict policy_judge(const struct policy *p,
				 const struct policy_facts *f);

#endif
