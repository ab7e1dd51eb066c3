/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arguments.h: what commands and answers of protocol.h carry, to JSON and back.
 *
 * Packing returns NULL where memory is short, or a string is not UTF-8.
 * Unpacking judges the whole, -EPROTO, and what it gives points into the
 * message.
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
	const char *cache, *aio;
	uint64_t l2_cache_size;	/* bytes, 0: not said */
	const char *secret_file;	/* only its name: the worker reads it */
	bool legacy_aes;	/* allowed */
	const char *data_file;	/* of all the chain: "none", "beside", path */
	const char *section;	/* where data_file is to be written */
	bool locks;		/* probe: could they be had? */
};

json_t *disk_arguments_pack(const struct disk_arguments *a);
int disk_arguments_unpack(json_t *o, struct disk_arguments *a);

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
