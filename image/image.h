/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.h: disk images, whatever their format: the one way in.
 *
 * A `struct image` is a node of a graph: a format (raw, qcow2...) over a protocol
 * (file), with a backing image beside it. All of a graph belongs to one loop and
 * its thread. Offsets and lengths are bytes. Functions marked "co" run in a
 * coroutine; image_open() and image_close() do too, co_run() wraps them for
 * programs that have nothing else to do.
 *
 * The functions here judge every request once (range, overflow, read-only,
 * alignment: what a driver needs aligned is bounced here) and then call the
 * driver's verb (image/driver.h); nobody else calls a driver.
 */
#ifndef XD_IMAGE_IMAGE_H
#define XD_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "io/aio.h"
#include "io/iow.h"

struct file_id;
struct loop;
struct image;

/* QEMU's meaning: cache mode        O_DIRECT  write-through  ignores flushes
 *   none                            yes       no             no
 *   writeback                       no        no             no
 *   writethrough                    no        yes            no
 *   directsync                      yes       yes            no
 *   unsafe                          no        no             yes
 * auto: none where the file system can O_DIRECT, else writeback. */
enum image_cache {
	IMAGE_CACHE_AUTO, IMAGE_CACHE_NONE, IMAGE_CACHE_WRITEBACK,
	IMAGE_CACHE_WRITETHROUGH, IMAGE_CACHE_DIRECTSYNC, IMAGE_CACHE_UNSAFE,
};
int image_parse_cache(const char *name, enum image_cache *cache);
const char *image_cache_name(enum image_cache cache);

enum image_open_flags {
	IMAGE_RDWR = 1 << 0,
	/* No image locks: the file may change under us. For looking only. */
	IMAGE_SHARE = 1 << 1,
	/* Do not open backing files (info, metadata check). */
	IMAGE_NO_BACKING = 1 << 2,
	/* Only the header: size and properties, no data, no locks needed, no
	 * write to the file whatever it says. */
	IMAGE_NO_IO = 1 << 3,
	/* Open a dirty or corrupt image for repair by image_check(). */
	IMAGE_REPAIR = 1 << 4,
	/* Discards give space back to the file system (unmap). */
	IMAGE_UNMAP = 1 << 5,
	/* Large reads do not keep this thread from writing: aio_read_beside(). */
	IMAGE_READ_BESIDE = 1 << 6,
	/* The format is a guess. Who can write an image's first bytes could name
	 * any file for its data there: it is refused (-EACCES). */
	IMAGE_GUESSED = 1 << 7,
	/* Refuse the old AES of qcow2: a guest can tell its sectors apart. */
	IMAGE_NO_LEGACY_AES = 1 << 8,
	/* It is empty and written once, mostly in large pieces. */
	IMAGE_WRITE_ONCE = 1 << 9,
	/* A person has asked for it: protocols that make errors for tests may
	 * be opened. Never given for an image that a guest is served from. */
	IMAGE_TESTING = 1 << 10,
	/* With IMAGE_NO_IO: -EAGAIN where the locks, those of a writer with
	 * IMAGE_RDWR, could not be had now. None is taken. */
	IMAGE_PROBE_LOCKS = 1 << 11,
	/* With IMAGE_NO_IO: external data files are opened, too, so that
	 * image_find_file() finds all files. */
	IMAGE_ALL_FILES = 1 << 12,
};

struct image_create_option;

/* What a person says of a node (--image-opts, json:). It and its strings stay
 * the caller's and outlive the image. */
struct image_node {
	/* A format or a protocol; NULL: as recorded, or as the path begins. The
	 * topmost node's and a backing image's are formats. */
	const char *driver;
	const char *path;		/* of a protocol */
	const char *called;		/* image_format(); NULL: the driver */
	const char *data_file;		/* NULL: as recorded */
	/* of an encrypted one */
	const char *key_secret;		/* an id of image/crypto/secret.h, NULL: none */
	const char *encrypt_format;	/* "aes", "luks"; NULL: whichever */
	bool no_backing;		/* whatever is recorded */
	const struct image_node *backing;	/* NULL: nothing is said */
	/* What it stands on; NULL: image_open()'s path, or what is recorded. */
	const struct image_node *file;
	const struct image_node *test;	/* blkverify: what is compared to it */
	/* The driver's own (struct image_driver.node_options). */
	const struct image_create_option *options;
	unsigned int nr_options;
};
/* The name of the file, device or URL that a node stands on at last. */
const char *image_node_path(const struct image_node *node);

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

/* How to open; zeroed = the defaults. Strings stay the caller's. */
struct image_options {
	unsigned int flags;		/* enum image_open_flags */
	enum image_cache cache;
	enum aio_kind aio;
	uint64_t l2_cache_size;		/* bytes, 0: QCOW2_L2_CACHE_DEFAULT */
	uint64_t refcount_cache_size;	/* bytes, 0: default */
	/* Judged as QEMU does; the cache keeps to slices of its own size. */
	uint64_t l2_cache_entry_size;	/* bytes, 0: not said */
	const struct image_node *node;	/* of the topmost image, NULL: nothing */
	/* The how manieth backing image is opened for writing too; 0: none. */
	unsigned int writable_backing;
	/* Not the disk but this internal snapshot of it, read-only: an id, else
	 * a name, or "snapshot.id=ID,snapshot.name=NAME" (either or both).
	 * NULL: the disk. -ENOENT */
	const char *snapshot;
	struct image_data_rule data_rule;
	int compression_level;		/* 0: the compressor's default */
};

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

/* co. Flushes, writes what is left, gives up locks. The image is gone
 * afterwards even on error. NULL is allowed. */
int image_close(struct image *img, struct error *err);

/* All formats, with a space between them. */
const char *image_format_names(void);
/* The same of protocols, those of modules included. */
const char *image_protocol_names(void);
bool image_format_known(const char *name);
/* What to open a backing file as whose format is given so: as in QEMU, the names
 * of protocols of plain bytes ("file", "host_device", "host_cdrom") are raw. NULL:
 * unknown, or none. */
const char *image_backing_format(const char *name);
bool image_protocol_known(const char *name);
/* The options of its own that a node of that format or protocol may have, ended
 * by NULL; "a." stands for all that begin so. NULL: none. */
const char *const *image_node_options(const char *driver);

/* Reads a file's first bytes and tells what they look like, or else "raw".
 * Only for people who asked for a guess; the daemon never does. */
int image_probe(const char *file, const char **format, struct error *err);
/* co. The same for a name of any protocol. */
int image_probe_name(struct loop *loop, const char *name, const char **format,
		     struct error *err);
/* co. The same for what `node` says that an image stands on. */
int image_probe_node(struct loop *loop, const struct image_node *node,
		     const char **format, struct error *err);

/* ---- properties ---- */

struct loop *image_loop(const struct image *img);
const char *image_path(const struct image *img);
const char *image_format(const struct image *img);
uint64_t image_size(const struct image *img);		/* virtual, bytes */
bool image_writable(const struct image *img);
bool image_guessed(const struct image *img);	/* IMAGE_GUESSED */
struct image *image_backing(const struct image *img);	/* NULL: none */
struct image *image_file(const struct image *img);	/* below, NULL: none */
/* Does it stand on the file at `path`? */
bool image_is_file(const struct image *img, const char *path);
/* Are they, or do they stand on, one and the same file? */
bool image_same_file(const struct image *a, const struct image *b);
enum image_cache image_cache(const struct image *img);	/* as it turned out */

/* ---- which files it stands on ---- */

/* The node of the graph of `img` (NULL: of nothing) that is that file, be it
 * below it, its data file, a part, or any of these of its chain. NULL: none. */
const struct image *image_find_file(const struct image *img,
				    const struct file_id *id);
/* The node of the graph of `img` that is one of the files which writing to
 * `written` changes, which are not those of its chain. NULL: none. */
const struct image *image_find_written(const struct image *img,
				       const struct image *written);
/*
 * Would image_create() with that path and options empty a file that `img`
 * stands on, by whatever name? -EINVAL, with a sentence.
 */
int image_judge_create(const struct image *img, const char *path,
		       const struct image_create_option *options,
		       unsigned int nr_options, struct error *err);
/* Is there anything that image_create() would empty? */
bool image_would_empty(const char *path,
		       const struct image_create_option *options,
		       unsigned int nr_options);

struct image_limits {
	uint32_t logical_block;		/* bytes; requests may be finer */
	uint32_t physical_block;	/* bytes */
	uint32_t discard_granularity;	/* bytes; what a discard can free */
	bool discard;			/* discards can free something */
};
void image_limits(const struct image *img, struct image_limits *out);

/* Bytes the host has allocated for the file. -errno */
int image_allocated_size(struct image *img, uint64_t *bytes);

/* ---- data; all co; 0 or -errno ---- */

/* Beyond the end: -EINVAL (the ring and the tool check before). */
int image_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w);
/* Read-only: -EROFS. A failed metadata write has stopped the image: -EIO. */
int image_pwritev(struct image *img, uint64_t off, uint64_t len, struct iow w);

/* The same, stored compressed where that makes it smaller. Whole clusters, the
 * last may end with the disk; -EINVAL if not. -ENOTSUP: the format, or this
 * image, has no compressed clusters. */
int image_pwritev_compressed(struct image *img, uint64_t off, uint64_t len,
			     struct iow w);

enum image_zero_flags {
	IMAGE_ZERO_UNMAP = 1 << 0,	/* may free the space */
	IMAGE_ZERO_FAST = 1 << 1,	/* -EOPNOTSUPP rather than write zeroes */
};
int image_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			unsigned int flags);
/* A hint: contents of the range are zeroes or unchanged afterwards; never
 * those of a backing file. Unaligned ends are left alone. */
int image_pdiscard(struct image *img, uint64_t off, uint64_t len);
/* Everything answered before is on stable storage. */
int image_flush(struct image *img);

static inline int image_pread(struct image *img, uint64_t off, uint64_t len,
			      void *buf)
{
	struct iovec iov = { buf, len };

	return image_preadv(img, off, len, iow_of(&iov, 1));
}

static inline int image_pwrite(struct image *img, uint64_t off, uint64_t len,
			       const void *buf)
{
	struct iovec iov = { (void *)buf, len };

	return image_pwritev(img, off, len, iow_of(&iov, 1));
}

/* co. The state of a virtual machine, which snapshots keep beside the disk; `off`
 * is in it. What was never written of it is zeroes. Nothing else may be in flight
 * while it is written. -ENOTSUP: the format, or this image, has none; -EFBIG */
int image_vmstate_preadv(struct image *img, uint64_t off, uint64_t len,
			 struct iow w);
int image_vmstate_pwritev(struct image *img, uint64_t off, uint64_t len,
			  struct iow w);

/* co. Copies within the host, which may share the bytes instead. -EOPNOTSUPP
 * where that is not possible: not between raw images, not one file system... */
int image_copy_range(struct image *img, uint64_t off, struct image *from,
		     uint64_t from_off, uint64_t len);

/* Do images of a format have compressed clusters? */
bool image_can_compress(const char *format);

static inline int image_pwrite_compressed(struct image *img, uint64_t off,
					  uint64_t len, const void *buf)
{
	struct iovec iov = { (void *)buf, len };

	return image_pwritev_compressed(img, off, len, iow_of(&iov, 1));
}

/* co. New virtual size; growing reads as zeroes, what shrinking cuts off is
 * gone. Nothing else may be in flight. -ENOTSUP, -EFBIG... */
int image_truncate(struct image *img, uint64_t size, struct error *err);

/* What of the new space is taken at once. metadata: formats with tables lay
 * them out; falloc: the host has reserved the space; full: it has been written.
 * Each includes those before it. */
enum image_preallocation {
	IMAGE_PREALLOC_OFF, IMAGE_PREALLOC_METADATA, IMAGE_PREALLOC_FALLOC,
	IMAGE_PREALLOC_FULL,
};
/* "off", "metadata", "falloc", "full"; -EINVAL */
int image_parse_preallocation(const char *name,
			      enum image_preallocation *mode);

/* How far something that takes long has come; of no particular unit. */
struct image_progress {
	void (*set)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/* co. image_truncate() to at least the present size, with the new space
 * preallocated. When that fails the image keeps its old size. progress: of the
 * preallocation, bytes; may be NULL. -ENOTSUP: the format or file does not have
 * that mode; -ENOSPC... */
int image_grow(struct image *img, uint64_t size, enum image_preallocation mode,
	       const struct image_progress *progress, struct error *err);

/* ---- the backing image ---- */

/*
 * co. Records another backing file in the image: after a crash the old or the
 * new name is there. file NULL: none; format NULL: not recorded. What is open
 * as backing image stays so. -ENOTSUP: the format has none; -EINVAL, -ENOSPC
 * (the name is too long): nothing has changed.
 */
int image_change_backing(struct image *img, const char *file,
			 const char *format, struct error *err);

/*
 * co. Reads and copies through another backing image from now on; the file is
 * not changed. path NULL: none; node NULL: it is what path says. *old (NULL: there was none) is the caller's to
 * close. Nothing may be in flight. Errors as image_open(): all is as before.
 */
int image_switch_backing(struct image *img, const char *path,
			 const char *format, const struct image_node *node,
			 enum image_cache cache, struct image **old,
			 struct error *err);

/* co. Lets go of all that is in this layer, which then shows its backing image;
 * without one, zeroes. Snapshots keep theirs. Nothing may be in flight.
 * -ENOTSUP */
int image_make_empty(struct image *img, struct error *err);

/* ---- where the bytes are ---- */

enum image_extent_flags {
	IMAGE_EXTENT_DATA = 1 << 0,	  /* has content of its own */
	IMAGE_EXTENT_ZERO = 1 << 1,	  /* reads as zeroes */
	IMAGE_EXTENT_ALLOCATED = 1 << 2,  /* decided in this layer */
	IMAGE_EXTENT_COMPRESSED = 1 << 3,
	IMAGE_EXTENT_OFFSET = 1 << 4,	  /* host_offset holds */
};

struct image_extent {
	uint64_t length;		/* > 0, <= asked for */
	unsigned int flags;
	uint64_t host_offset;		/* in `file`, bytes */
	const struct image *file;	/* the protocol node with the bytes */
	unsigned int depth;		/* layer, 0 = img itself */
};

/* co. The state of the first bytes of [off, off + len): this layer alone... */
int image_block_status(struct image *img, uint64_t off, uint64_t len,
		       struct image_extent *out);
/* ...or through the backing chain: depth says which layer decided. */
int image_block_status_chain(struct image *img, uint64_t off, uint64_t len,
			     struct image_extent *out);

/* ---- internal snapshots: image_get_info() lists them ---- */

/*
 * All co, with nothing else in flight. After a failure the image is as it was,
 * unless writing itself failed: then it takes no more writes. -ENOTSUP: the
 * format, or this image, has no snapshots.
 */

/* A snapshot of the disk as it is, without a state of a virtual machine; it gets
 * the next free id. Names need not differ. -EINVAL: the name; -EFBIG: a limit of
 * the format (how many, refcounts). */
int image_snapshot_create(struct image *img, const char *name,
			  struct error *err);
/* Content and size of the disk are those of the snapshot with that id, else that
 * name. -ENOENT */
int image_snapshot_apply(struct image *img, const char *id_or_name,
			 struct error *err);
/* Gives up the first snapshot with that name, else that id, and its space.
 * -ENOENT */
int image_snapshot_delete(struct image *img, const char *name_or_id,
			  struct error *err);

/* ---- giving back what the file does not need ---- */

struct image_compact {
	bool dry_run;			/* only look; works read-only */
	const struct image_progress *progress;	/* NULL: nobody asks */
	/* filled in; bytes */
	uint64_t before, after;		/* of the file; after: as expected */
	uint64_t moved;
	uint64_t staying;		/* where it could be shorter still, but
					 * what lies there cannot be moved */
};

/* co. Moves what lies at the end of the file into gaps, and gives the end and
 * the gaps that are left back to the host. Nothing else may be in flight. A power
 * cut leaves lost clusters at worst. -ENOTSUP, -EINVAL (corrupt) */
int image_compact(struct image *img, struct image_compact *result,
		  struct error *err);

/* ---- info and check: what the tool prints ---- */

struct image_info_snapshot {
	char *id, *name;
	uint64_t vm_state_size;		/* bytes */
	uint32_t date_sec, date_nsec;
	uint64_t vm_clock_nsec;
	uint64_t disk_size;		/* bytes */
	int64_t icount;			/* -1: not recorded */
};

/* Of the encryption; what stands below `format` is of LUKS. */
struct image_info_encrypt {
	const char *format;		/* "aes", "luks"; NULL: none */
	const char *ivgen_alg, *ivgen_hash_alg, *hash_alg, *cipher_alg,
		*cipher_mode;		/* ivgen_hash_alg NULL: it needs none */
	char uuid[40];
	uint64_t payload_offset;	/* bytes */
	uint32_t master_key_iters;
	struct {
		bool active;
		uint32_t iters, stripes;
		uint64_t key_offset;	/* bytes */
	} slots[8];
};

struct image_info_bitmap {
	char *name;
	uint64_t granularity;		/* bytes */
	bool in_use;			/* not closed properly, or right now */
	bool enabled;			/* records writes */
};

struct image_info_extent {
	char *filename;
	const char *format;		/* "" where none is recorded */
	uint64_t virtual_size;		/* bytes */
	uint32_t cluster_size;		/* bytes, 0: it has none */
	bool compressed;
	struct image *file;		/* of its own, the image's to close;
					 * NULL: it is in the image's file */
};

/* Format specific facts; strings are owned by the struct. */
struct image_info {
	char *backing_file;		/* as recorded, NULL: none */
	char *backing_format;		/* as recorded, NULL: none */
	uint32_t cluster_size;		/* bytes, 0: the format has none */
	bool dirty, corrupt, encrypted;
	struct image_info_encrypt encrypt;
	bool no_dirty_flag;		/* nothing is known of it */
	/* qcow2 */
	bool is_qcow2;
	unsigned int version;		/* 2 or 3 */
	bool lazy_refcounts, extended_l2, data_file_raw;
	unsigned int refcount_bits;
	const char *compression_type;	/* "zlib", "zstd" */
	char *data_file;
	unsigned int nr_snapshots;
	struct image_info_snapshot *snapshots;
	unsigned int nr_bitmaps;
	struct image_info_bitmap *bitmaps;
	/* vmdk */
	char *create_type;		/* NULL: another format */
	uint32_t cid, parent_cid;
	unsigned int nr_extents;
	struct image_info_extent *extents;
};

/* Works on an image opened with IMAGE_NO_IO. co */
int image_get_info(struct image *img, struct image_info *info,
		   struct error *err);
void image_info_free(struct image_info *info);

enum image_repair { IMAGE_REPAIR_NONE, IMAGE_REPAIR_LEAKS, IMAGE_REPAIR_ALL };

enum image_check_data {
	IMAGE_CHECK_NO_DATA,
	IMAGE_CHECK_SNAPSHOT_DATA,	/* what only snapshots have */
	IMAGE_CHECK_DATA,		/* all */
};

struct image_check {
	uint64_t corruptions, leaks, check_errors;
	uint64_t corruptions_fixed, leaks_fixed;
	uint64_t image_end_offset;	/* bytes */
	uint64_t total_clusters, allocated_clusters, fragmented_clusters,
		compressed_clusters, placed_clusters;
	/* Asked for by the caller: a repair writes nothing, but reports what it
	 * would do; *_fixed say what that would mend. */
	bool dry_run;
	/* Asked for by the caller: what is compressed is unpacked, too. */
	enum image_check_data data;
	/* Called for each finding with a sentence; may be NULL. */
	void (*report)(void *arg, const char *sentence);
	/* Called now and then: `done` of `total` bytes; may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *report_arg;
};

/* co. -ENOTSUP: the format has nothing to check. 0: done, see the counts
 * (the state found; what repair mended stands in the *_fixed). */
int image_check(struct image *img, enum image_repair repair,
		struct image_check *result, struct error *err);

/* ---- dirty bitmaps ---- */

enum image_bitmap_op {
	IMAGE_BITMAP_ADD, IMAGE_BITMAP_REMOVE, IMAGE_BITMAP_CLEAR,
	IMAGE_BITMAP_ENABLE, IMAGE_BITMAP_DISABLE, IMAGE_BITMAP_MERGE,
};

struct image_bitmap_args {
	/* ADD: bytes, a power of two from 512 to 2 GiB; 0: a cluster, 4 to 64
	 * KiB */
	uint64_t granularity;
	/* MERGE: marks what is marked in that one, which may be of the image
	 * itself, of another granularity too, but not of another disk size */
	struct image *source;
	const char *source_name;
};

/* co. Does that to the bitmap `name` of an image that is open for writing with
 * nothing in flight. It is on disk when the image is closed. args may be NULL
 * where nothing in it is wanted. -ENOENT, -EEXIST, -EINVAL (the bitmap is
 * inconsistent: it can only be removed), -ENOTSUP (not in such an image),
 * -EFBIG (the bitmap would be too large). */
int image_bitmap(struct image *img, enum image_bitmap_op op, const char *name,
		 const struct image_bitmap_args *args, struct error *err);

/* Can images of that format have bitmaps? */
bool image_can_have_bitmaps(const char *format);

/* co. Gives `to` all bitmaps of `from`, with their contents, granularities and
 * whether they are enabled. Inconsistent ones are left out (skip_broken) or
 * refused before anything is done: -EINVAL. */
int image_copy_bitmaps(struct image *from, struct image *to, bool skip_broken,
		       struct error *err);
/* What `info`'s bitmaps of a disk of `size` bytes take at most in an image with
 * clusters of cluster_size; bytes. */
uint64_t image_bitmaps_space(const struct image_info *info, uint64_t size,
			     uint32_t cluster_size);

/* ---- create ---- */

struct image_measure {
	uint64_t required;		/* bytes in the file, to begin with */
	uint64_t fully_allocated;	/* bytes, when all has been written */
	bool has_bitmaps;
	uint64_t bitmaps;		/* bytes that bitmaps take besides */
};

struct image_create_option {
	const char *name, *value;
};

/* co. Makes a new image file (an existing file is overwritten, as qemu-img
 * does). size: bytes, UINT64_MAX takes the backing file's. Options by
 * qemu-img's names; unknown ones are -EINVAL with the known ones listed. */
int image_create(struct loop *loop, const char *path, const char *format,
		 uint64_t size, const struct image_create_option *options,
		 unsigned int nr_options, struct error *err);

/* co. What a new image would take with the contents of `from`, or with none
 * (NULL) and a disk of `size` bytes. Options as for image_create(); of the
 * preallocation's modes off and metadata are the same. -ENOTSUP: the format
 * cannot tell. */
int image_measure(const char *format, uint64_t size,
		  const struct image_create_option *options,
		  unsigned int nr_options, struct image *from,
		  struct image_measure *out, struct error *err);

struct image_create_help {
	const char *name, *help;
};
/* The options of a format, ended by { NULL, NULL }; NULL: unknown format. */
const struct image_create_help *image_create_options(const char *format);

/* ---- amend ---- */

enum image_amend_flags {
	IMAGE_AMEND_FORCE = 1 << 0,	/* even what cannot be undone */
};

/* co. Changes options of an existing image, open for writing with nothing in
 * flight. Options as image_amend_options() lists them; all are judged before
 * the first is carried out. progress may be NULL. -ENOTSUP: the format has
 * nothing to amend, or not in this image; -EINVAL: a wrong option or value. */
int image_amend(struct image *img, const struct image_create_option *options,
		unsigned int nr_options, unsigned int flags,
		const struct image_progress *progress, struct error *err);
/* The options, ended by { NULL, NULL }; NULL: unknown format or none. */
const struct image_create_help *image_amend_options(const char *format);

#endif
