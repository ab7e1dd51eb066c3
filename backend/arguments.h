/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arguments.h: what commands and answers of protocol.h carry, to JSON and back.
 *
 * Packing returns NULL where memory is short. Unpacking judges the whole, -EPROTO.
 * Names of files are bytes, whatever they mean: each stands in JSON as the
 * character of its number.
 */
#ifndef XD_BACKEND_ARGUMENTS_H
#define XD_BACKEND_ARGUMENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/rings.h"

/* IMAGE. Strings may be NULL, "not said", but for path, format and section. */
struct disk_arguments {
	const char *path;	/* "": a drive without a medium */
	const char *format;
	bool readonly;
	bool unmap;		/* discards reach the file */
	bool direct_io_safe;	/* the toolstack says so */
	const char *cache, *aio;
	uint64_t l2_cache_size;	/* bytes, 0: not said */
	uint64_t memory;	/* bytes, 0: not said */
	const char *secret_file;
	bool legacy_aes;	/* allowed */
	const char *data_file;	/* of all the chain: "none", "beside", path */
	const char *image_dirs;	/* with ':' between; NULL: anywhere */
	const char *section;	/* where settings of the image are written */
	bool locks;		/* probe: could they be had? */
	char *names;		/* unpacked: those of files; malloc()ed */
};

json_t *disk_arguments_pack(const struct disk_arguments *a);
/* What it gives lasts as long as the message, and until it is freed. */
int disk_arguments_unpack(json_t *o, struct disk_arguments *a);
void disk_arguments_free(struct disk_arguments *a);

/* LIMITS: bytes. */
struct limits_answer {
	uint64_t size;
	uint64_t physical_block;
	uint64_t discard_granularity;
	bool discard;
};

json_t *limits_answer_pack(const struct limits_answer *l);
int limits_answer_unpack(json_t *o, struct limits_answer *l);

/* CONNECT. */
struct connect_arguments {
	uint32_t domid;
	bool discard;		/* was advertised */
	struct rings rings;
};

json_t *connect_arguments_pack(const struct connect_arguments *c);
int connect_arguments_unpack(json_t *o, struct connect_arguments *c);

#endif
