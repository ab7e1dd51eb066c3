/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * driver.h: what a format or protocol provides to the engine.
 *
 * A driver is one const table. Only modules of this folder call its verbs, with
 * requests they have judged: in range, not empty, aligned to
 * request_align, writable where they write. All verbs but close run in a
 * coroutine, many at a time. A verb that is NULL means "not here": it is passed
 * on to the file below (size, flush) or answered -ENOTSUP.
 */
#ifndef XD_IMAGE_DRIVER_H
#define XD_IMAGE_DRIVER_H

#include <errno.h>

#include "common/file-id.h"
#include "common/list.h"
#include "image/bitmaps.h"
#include "image/check.h"
#include "image/compact.h"
#include "image/create-options.h"
#include "image/image.h"
#include "image/info.h"
#include "image/node.h"
#include "image/resize.h"
#include "image/snapshots.h"
#include "io/coroutine.h"
#include "io/loop.h"
#include "opener/opener.h"

#define IMAGE_PROBE_BYTES 2048	/* of a file's head, for a guess */

/* Moments in the life of an image at which a test may want an error. */
enum image_event {
#define IMAGE_EVENT(id, name) IMAGE_EVENT_##id,
#include "image/events.h"
#undef IMAGE_EVENT
	IMAGE_EVENTS,
};

struct image_measure;

struct image_driver {
	const char *name;
	size_t state_size;	/* of img->state, zeroed before open */
	bool has_snapshots;	/* open takes options->snapshot */
	bool testing;		/* only opened with IMAGE_TESTING */
	bool host_file;		/* protocols: paths are files of this host */
	bool grows_as_file;	/* formats: zero_beyond_end is open's answer */
	/* What image_node_options() tells; open judges the values. */
	const char *const *node_options;

	/* Do these first bytes of `path` look like it? NULL: never. */
	bool (*probe)(const char *path, const uint8_t *head, size_t len);

	/* Formats: img->file is open. Protocols: img->path is to be opened.
	 * Fills in img->size, request_align, limits. */
	int (*open)(struct image *img, const struct image_options *opts,
		    struct error *err);
	/* co. The backing image that open named is open as img->backing: is it
	 * the right one? NULL: whichever. */
	int (*judge_backing)(struct image *img, struct error *err);
	/* co. Writes what is left; lets go of everything. */
	int (*close)(struct image *img, struct error *err);

	int (*preadv)(struct image *img, uint64_t off, uint64_t len,
		      struct iow w);
	int (*pwritev)(struct image *img, uint64_t off, uint64_t len,
		       struct iow w);
	/* Whole clusters, but for the end of the disk: -EINVAL if not. */
	int (*pwritev_compressed)(struct image *img, uint64_t off, uint64_t len,
				  struct iow w);
	/* From another image of the same driver, by the host; -EOPNOTSUPP where
	 * that is not possible. Writes part of it, if anything, when it fails. */
	int (*copy_range)(struct image *img, uint64_t off, struct image *from,
			  uint64_t from_off, uint64_t len);
	int (*pwrite_zeroes)(struct image *img, uint64_t off, uint64_t len,
			     unsigned int flags);
	int (*pdiscard)(struct image *img, uint64_t off, uint64_t len);
	int (*flush)(struct image *img);
	/* The state of a virtual machine, beside the disk; `off` is in it. */
	int (*vmstate_preadv)(struct image *img, uint64_t off, uint64_t len,
			      struct iow w);
	int (*vmstate_pwritev)(struct image *img, uint64_t off, uint64_t len,
			       struct iow w);
	int (*truncate)(struct image *img, uint64_t size, struct error *err);
	/* Of a range that reads as zeroes: takes the space that mode says. */
	int (*preallocate)(struct image *img, uint64_t off, uint64_t len,
			   enum image_preallocation mode, struct error *err);
	int (*snapshot_create)(struct image *img, const char *name,
			       struct error *err);
	int (*snapshot_apply)(struct image *img, const char *id_or_name,
			      struct error *err);
	int (*snapshot_delete)(struct image *img, const char *name_or_id,
			       struct error *err);
	int (*compact)(struct image *img, struct image_compact *result,
		       struct error *err);
	int (*block_status)(struct image *img, uint64_t off, uint64_t len,
			    struct image_extent *out);
	/* Protocols: bytes taken on the host. */
	int (*allocated_size)(struct image *img, uint64_t *bytes);
	int (*get_info)(struct image *img, struct image_info *info,
			struct error *err);
	int (*change_backing)(struct image *img, const char *file,
			      const char *format, struct error *err);
	int (*make_empty)(struct image *img, struct error *err);
	int (*check)(struct image *img, enum image_repair repair,
		     struct image_check *result, struct error *err);
	int (*create)(struct loop *loop, const char *path, uint64_t size,
		      const struct image_create_option *options,
		      unsigned int nr_options, struct error *err);
	const struct image_create_help *create_help;
	int (*measure)(uint64_t size, const struct image_create_option *options,
		       unsigned int nr_options, struct image *from,
		       struct image_measure *out, struct error *err);
	int (*amend)(struct image *img,
		     const struct image_create_option *options,
		     unsigned int nr_options, unsigned int flags,
		     const struct image_progress *progress, struct error *err);
	const struct image_create_help *amend_help;
	/* The n-th image that it stands on besides file, data and backing; NULL:
	 * there are no more. */
	const struct image *(*part)(const struct image *img, unsigned int n);
	/* co. The image that stands on this protocol has come so far; may wait.
	 * NULL: nobody wants to know. */
	void (*debug_event)(struct image *img, enum image_event event);
	/* debug.h; all three or none */
	int (*debug_break)(struct image *img, const char *event,
			   const char *tag);
	int (*debug_resume)(struct image *img, const char *tag, bool remove);
	bool (*debug_is_suspended)(const struct image *img, const char *tag);
	int (*bitmap)(struct image *img, enum image_bitmap_op op,
		      const char *name, const struct image_bitmap_args *args,
		      struct error *err);
};

struct image {
	/* identity */
	struct loop *loop;
	const struct image_driver *driver;
	char *path;			/* formats: that of the file below */

	/* graph; children are owned */
	struct image *file;		/* NULL for protocols */
	struct image *backing;		/* NULL: none */
	struct image *data;		/* external data file, NULL: none */
	struct image *overlay;		/* whose backing we are, NULL: none */
	struct chain_map *chain;	/* chain.c's; NULL: not made yet */
	struct {			/* image_name_backing() */
		char *path, *format;
	} named;

	/* properties, from the driver's open */
	uint64_t size;			/* bytes */
	uint32_t request_align;		/* bytes, a power of two; 1: any */
	uint32_t mem_align;		/* bytes, of buffers */
	struct image_limits limits;
	bool zero_beyond_end;		/* growing the file reads as zeroes */
	bool below;			/* a format that serves another as its
					 * file, which may grow by writing */
	struct file_id id;		/* protocols: which file it is */
	struct opened *opened;		/* on files of the host, in open: whose
					 * descriptor is to be taken */

	uint64_t taken;			/* bytes, image_take() */
	uint64_t held;			/* bytes, of the loop's account */

	/* how it was opened */
	unsigned int flags;		/* enum image_open_flags */
	enum image_cache cache;
	struct image_options options;

	/* writes in flight, where request_align > 1 (image.c) */
	struct list writes;
	struct co_mutex growing;	/* of one below */

	void *state;			/* the driver's */
};

/* A name of a protocol, as a node's driver and before the colon of a path. */
struct image_protocol {
	const char *name;
	const struct image_driver *driver;
	const char *module;	/* if it has no driver built in: protocol.h */
	bool no_scheme;		/* no path begins with it */
	bool listed;		/* image_protocol_names() */
};

/*
 * drivers.c: all there are, ended by NULL and by a name that is NULL. That file
 * stands above every driver and this room above none: it is the linker that joins
 * them. Nothing else names a driver.
 */
extern const struct image_driver *const image_formats[];
extern const struct image_protocol image_protocols[];

extern const struct image_driver image_blkdebug_driver;
extern const struct image_driver image_blkverify_driver;
extern const struct image_driver image_bochs_driver;
extern const struct image_driver image_cloop_driver;
extern const struct image_driver image_dmg_driver;
extern const struct image_driver image_file_driver;
extern const struct image_driver image_luks_driver;
extern const struct image_driver image_null_driver;
extern const struct image_driver image_parallels_driver;
extern const struct image_driver image_qcow_driver;
extern const struct image_driver image_qcow2_driver;
extern const struct image_driver image_qed_driver;
extern const struct image_driver image_raw_driver;
extern const struct image_driver image_vdi_driver;
extern const struct image_driver image_vhdx_driver;
extern const struct image_driver image_vmdk_driver;
extern const struct image_driver image_vpc_driver;

/* -ECANCELED when nobody waits any more for what is done with images in this
 * loop: what takes long asks before each of its pieces. */
static inline int image_cancelled(const struct image *img)
{
	return __builtin_expect(loop_cancelled(img->loop), 0) ? -ECANCELED : 0;
}

/* co. Tells a protocol that makes errors for tests. */
static inline void image_event(struct image *file, enum image_event event)
{
	if (__builtin_expect(file->driver->debug_event != NULL, 0))
		file->driver->debug_event(file, event);
}

#endif
