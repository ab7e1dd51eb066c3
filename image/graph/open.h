/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open.h: opens images: for those who use one, and for drivers.
 */
#ifndef XD_IMAGE_OPEN_H
#define XD_IMAGE_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct image;
struct image_node;
struct image_options;
struct loop;
struct opened;

/*
 * co. Opens `path` as `format` ("raw", "qcow2"...; never guessed, NULL is
 * -EINVAL), with its whole backing chain read-only. A backing file's format
 * comes from the overlay's header; where that has none it is opened as raw.
 * Errors: -ENOENT, -EACCES, -EAGAIN (locked by another program; the sentence
 * says which lock), -ENOTSUP (a feature by name), -EINVAL (malformed: field,
 * value, limit), -ELOOP (chain too deep or circular), ...
 */
int image_open(struct loop *loop, const char *path, const char *format,
	       const struct image_options *opts, struct image **out,
	       struct error *err);

/* ---- for drivers ---- */

/* co. For protocols that stand on others: opens what `node` says, in the way that
 * `parent` is opened with. */
int image_open_child(struct image *parent, const struct image_node *node,
		     const struct image_options *opts, struct image **child,
		     struct error *err);

/* For a driver's open: `path` is the backing image, of `format` (NULL: not
 * recorded). It is opened when that open has come to its end. -ENOMEM */
int image_name_backing(struct image *img, const char *path,
		       const char *format);

/* For a driver's open: so much memory is to be taken because the image says so,
 * for as long as it is open. -EFBIG: too much, with that of the images that
 * stand on it, or for the loop's account. */
int image_take(struct image *img, uint64_t bytes, struct error *err);
/* The same for what writes may come to take, bit by bit: only where the loop's
 * account has a limit. */
int image_take_later(struct image *img, uint64_t bytes, struct error *err);

/* co. A protocol's node for `path`, on a person's word. `plain`: a file's name,
 * whatever it looks like. */
int image_open_file(struct loop *loop, const char *path, bool plain,
		    const struct image_options *opts, struct image **out,
		    struct error *err);
/* co. A file's node for what was opened, whose descriptor it takes. */
int image_open_opened(struct loop *loop, struct opened *opened,
		      const struct image_options *opts, struct image **out,
		      struct error *err);
/* co. What a person has described: a protocol, or a format on another file. */
int image_open_described(struct loop *loop, const struct image_node *node,
			 const struct image_options *opts, struct image **out,
			 struct error *err);
/* co. Opens one image below the other, as far as they name any. On failure some
 * may be open already. */
int image_open_chain(struct image *first, struct error *err);
/* co. Closes images that were opened and not used: there is nothing to write. */
void image_give_up(struct image *img);

#endif
