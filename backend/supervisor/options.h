/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.h: what the administrator has asked for: command line, then
 * xdisk.conf(5), then the defaults.
 */
#ifndef XD_BACKEND_OPTIONS_H
#define XD_BACKEND_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/list.h"
#include "common/log.h"

enum device_kind { KIND_QDISK, KIND_VBD, NR_KINDS };

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
	uint64_t l2_cache_size;	/* bytes */
};

struct options {
	bool foreground;
	bool check_config;
	bool all_vbd;			/* serve vbds of any script */
	bool kinds[NR_KINDS];
	enum log_level log_level;
	char *config_file;
	bool config_given;		/* then it must exist */
	char *run_dir;
	unsigned int max_queues;
	struct image_settings defaults;
	struct list images;		/* struct image_settings, as in the file */
};

enum options_result {
	OPTIONS_RUN,	/* go on */
	OPTIONS_DONE,	/* --help, --version: printed, exit 0 */
	OPTIONS_USAGE,	/* said what is wrong on stderr, exit 2 */
	OPTIONS_BAD,	/* the file is unreadable or wrong, exit 1 */
};

/* options_free() it whatever the result. */
enum options_result options_parse(struct options *o, int argc, char **argv);
void options_free(struct options *o);

/* The settings for one image: the sections that match, later ones winning,
 * over the defaults; the name is that of the last one, NULL: none matches. The
 * strings are those of o. */
void options_for_image(const struct options *o, const char *path,
		       struct image_settings *out);

/* Where a person writes a setting for that image, as part of a sentence:
 * malloc()ed, NULL: no memory. */
char *options_section_for(const struct options *o, const char *path);

const char *device_kind_name(enum device_kind kind);

#endif
