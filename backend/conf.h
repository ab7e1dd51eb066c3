/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf.h: xdisk.conf(5), of the daemon and of the tool: sections, keys, values,
 * and the settings of an image.
 */
#ifndef XD_BACKEND_CONF_H
#define XD_BACKEND_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/start.h"
#include "common/error.h"
#include "common/list.h"
#include "common/log.h"

enum device_kind { KIND_QDISK, KIND_VBD, NR_KINDS };

const char *device_kind_name(enum device_kind kind);

/* How images are opened; strings NULL and sizes 0 mean "not said". */
struct image_settings {
	struct list link;
	char *name;		/* of the section */
	char *path;		/* a pattern as fnmatch(3) has it */
	char *cache;
	char *aio;
	char *secret_file;	/* its passphrase */
	char *legacy_aes;	/* "yes", "no" */
	char *data_file;	/* "none", "beside" or an absolute path */
	char *image_dirs;	/* of what images name; ':' between */
	uint64_t l2_cache_size;	/* bytes */
	uint64_t memory;	/* bytes */
};

struct conf {
	char *file;
	/* [xdiskd] */
	bool all_vbd;			/* serve vbds of any script */
	bool kinds[NR_KINDS];
	enum log_level log_level;
	char *run_dir;
	unsigned int max_queues;
	enum sandbox sandbox;
	uid_t worker_uids;		/* the first; 0: workers stay root's */
	/* [defaults], [image NAME] */
	struct image_settings defaults;
	struct list images;		/* struct image_settings, as in the file */
	/* [xdisk] */
	bool strict_format;
	char *tool_image_dirs;
};

/* The built-in values, and the file to read, NULL: xdisk.conf where it belongs.
 * conf_free() it whatever the result. -ENOMEM */
int conf_init(struct conf *c, const char *file);
void conf_free(struct conf *c);

/* Reads the file; of `section` alone, unless that is NULL. -ENOENT and other
 * errors of open(2); -EINVAL with file, line and reason. */
int conf_read(struct conf *c, const char *section, struct error *err);

/* One value, as if it stood in the file. -EINVAL: the sentence says what would
 * be right. */
int conf_set(struct conf *c, const char *section, const char *key,
	     const char *value, struct error *err);

/* The settings for one image: the sections that match, later ones winning,
 * over the defaults; the name is that of the last one, NULL: none matches. The
 * strings are those of c. */
void conf_for_image(const struct conf *c, const char *path,
		    struct image_settings *out);

/* Where a person writes a setting for that image, as part of a sentence:
 * malloc()ed, NULL: no memory. */
char *conf_section_for(const struct conf *c, const char *path);

#endif
