/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2.h: an open qcow2 image, shared by the qcow2-*.c files.
 *
 *	qcow2.c		open, close, properties
 *	qcow2-header*.c	the first cluster
 *	rewrite.c	gets a changed one to the file in a safe order
 *	qcow2-amend*.c	other properties for an existing image
 *	io.c	reads, writes
 *	status.c	where the bytes are
 *	zero.c	zeroes, discards
 *	vmstate.c	the state of a virtual machine behind the disk
 *	data.c	the external data file
 *	map.c	guest offsets to host offsets: L1 and L2
 *	entry.h	how L2 entries lie in their tables
 *	refcount.c  which host clusters are in use; allocation
 *	bytes.c	room for compressed clusters
 *	contiguous.c  room for tables of several clusters
 *	cache.c	slices of L2 tables and refcount blocks in memory
 *	commit.c	gets changed metadata to the file in a safe order
 *	table.c		the L1 and the refcount table in memory
 *	l1.c		an L1 table of another length
 *	meta.c	what each metadata cluster is (overlap checks)
 *	qcow2-bitmap*.c	dirty bitmaps
 *	crypt.c	the guest's data, encrypted or not
 *	compress.c  compressed clusters
 *	rework/backing.c	which backing file; an overlay made empty
 *	begin.c		before the first change
 *	state.c		may it still be written to?
 *	snapshot.c  the snapshot table; -table writes it, -ops changes it
 *	rework/references.c  all clusters that an L1 table leads to
 *	rework/resize.c	another virtual size
 *	rework/trim.c	gives the end of the file back
 *	rework/compact*.c	the same, having moved what lies there
 *	rework/repack.c	compressed clusters moved for that
 *
 * How changes reach the file. Everything happens in memory first: refcounts of
 * new clusters go up at once, data is written to the new cluster, then the L2
 * entry is changed in its cached slice. What a change lets go of is put on
 * `freed` with its refcount untouched. A commit (commit.c) copies what is
 * dirty at one instant and writes
 *	refcounts -> barrier -> L2 -> barrier -> L1 -> barrier
 * and only then lowers the refcounts of what was freed before that instant, so
 * that at any moment a crash leaves leaks at worst, and a cluster is never
 * handed out again while the file still points at it.
 *
 * All of it runs in the loop's one thread; "co" as in coroutine.h.
 */
#ifndef XD_IMAGE_QCOW2_H
#define XD_IMAGE_QCOW2_H

#include "common/bits.h"
#include "common/list.h"
#include "common/log.h"
#include "image/codec/codec.h"
#include "io/coroutine.h"
#include "image/driver.h"
#include "image/qcow2/begin.h"
#include "image/qcow2/entry.h"
#include "image/qcow2/header.h"
#include "image/qcow2/state.h"
#include "image/qcow2/table.h"

/* Ends of host clusters that compressed clusters may still go to. */
#define QCOW2_TAILS 16

/* Tables are cached in slices of a cluster or this, whichever is less. */
#define QCOW2_SLICE_MAX 4096u

#define QCOW2_L2_CACHE_DEFAULT (32 * MiB)
#define QCOW2_REFCOUNT_CACHE_DEFAULT (8 * MiB)

/* ---- cache.c ---- */

struct crypto;
struct luks_area;

struct qcow2_slice {
	struct qcow2_slice *hash_next;
	struct list lru;		/* in cache.lru, oldest first */
	struct list dirty_link;		/* in cache.dirty */
	uint64_t offset;		/* in the file, bytes */
	uint8_t *data;			/* slice_size bytes, 4096-aligned */
	unsigned int pins;		/* not evicted while > 0 */
	bool dirty;			/* differs from the file */
	bool writing;			/* a commit's copy is on its way */
	bool dropped;			/* in cache.orphans, found no more */
	bool loading;
	int error;			/* of the load, for those who wait */
	struct co_queue waiters;	/* for the load */
};

struct qcow2_cache {
	struct image *file;
	uint32_t slice_size;		/* bytes */
	unsigned int nr, max;		/* slices; max is passed when all are dirty */
	unsigned int nr_dirty;
	unsigned int hash_bits;
	struct qcow2_slice **hash;
	struct list lru, dirty, spare;
	struct list orphans;		/* dropped while somebody had them */
	void **chunks;			/* memory of the slices */
	unsigned int nr_chunks;
	enum image_event loads;		/* what reading one is to tests */
	bool told;			/* that a table is not in the file */
};

int qcow2_cache_init(struct qcow2_cache *c, struct image *file,
		     uint32_t slice_size, uint64_t max_bytes);
void qcow2_cache_deinit(struct qcow2_cache *c);
/* The slice if it is in memory: valid until the next waiting point. */
struct qcow2_slice *qcow2_cache_peek(struct qcow2_cache *c, uint64_t offset);
/* co. The slice, read if need be, pinned: qcow2_cache_put() it. -EIO, too, where
 * the file ends before it does. */
int qcow2_cache_get(struct qcow2_cache *c, uint64_t offset,
		    struct qcow2_slice **out);
/* The slice zeroed, not read, pinned. Never waits. -ENOMEM */
int qcow2_cache_new(struct qcow2_cache *c, uint64_t offset,
		    struct qcow2_slice **out);
void qcow2_cache_put(struct qcow2_slice *s);
void qcow2_cache_dirty(struct qcow2_cache *c, struct qcow2_slice *s);
/* Forgets [offset, offset + len) and its changes: the table is gone. Who still
 * holds a slice of it, or writes a copy, may let go of it as of any other. */
void qcow2_cache_drop(struct qcow2_cache *c, uint64_t offset, uint64_t len);

/* ---- meta.c ---- */

enum qcow2_meta {
	QCOW2_META_NONE, QCOW2_META_HEADER, QCOW2_META_L1, QCOW2_META_L2,
	QCOW2_META_REFTABLE, QCOW2_META_REFBLOCK, QCOW2_META_SNAPSHOTS,
	QCOW2_META_INACTIVE_L1, QCOW2_META_INACTIVE_L2, QCOW2_META_BITMAPS,
	QCOW2_META_CRYPTO,
};
const char *qcow2_meta_name(enum qcow2_meta type);

/* A hash of metadata clusters: O(1) a question, memory by their number. */
struct qcow2_meta_map {
	uint64_t *keys;			/* cluster index << 4 | type; 0: empty */
	unsigned int bits;
	uint64_t nr;
};
/* Bytes that one more of them takes, while the hash is made larger, too. */
#define QCOW2_META_BYTES 32u
int qcow2_meta_init(struct qcow2_meta_map *m);
void qcow2_meta_deinit(struct qcow2_meta_map *m);
enum qcow2_meta qcow2_meta_type(const struct qcow2_meta_map *m, uint64_t cluster);
/* -EEXIST: it is something else already. Adding the same twice is -EEXIST too. */
int qcow2_meta_add(struct qcow2_meta_map *m, uint64_t cluster,
		   enum qcow2_meta type);
void qcow2_meta_del(struct qcow2_meta_map *m, uint64_t cluster);

/* ---- an open image ---- */

/* Somebody between looking an offset up and having used it. */
struct qcow2_request {
	struct list link;		/* in qcow2.requests, oldest first */
	uint64_t seq;
};

/* Guest clusters whose mapping is being changed; others wait. */
struct qcow2_alloc {
	struct list link;		/* in qcow2.allocs */
	uint64_t first, last;		/* guest cluster indexes, inclusive */
	struct co_queue waiters;
};

/* Host clusters that nothing in memory points at any more. */
struct qcow2_freed {
	uint64_t cluster, count;
	uint64_t seq;			/* requests older than this may use it */
	bool discard;			/* give the space back to the host */
};

struct qcow2_freed_list {
	struct qcow2_freed *v;
	size_t nr, max;
};

struct qcow2_run {
	uint64_t cluster, count;
};

/* The unused end of a host cluster with compressed clusters (bytes.c). */
struct qcow2_tail {
	uint64_t offset, len;		/* bytes, up to the cluster's end */
};

struct qcow2 {
	/* identity */
	struct image *img, *file;
	struct image *data;		/* where the guest's data is: `file` or
					 * an external data file */
	struct qcow2_header h;
	uint32_t cluster_bits, l2_bits, refblock_bits, slice_size;
	uint32_t sub_bits;		/* of a subcluster; else cluster_bits */
	uint64_t cluster_size, sub_size;

	/* tables in memory */
	struct qcow2_table l1;		/* h.l1_size entries */
	struct qcow2_table reftable;
	bool reftable_full;		/* it has been said */
	struct qcow2_cache l2_cache, ref_cache;
	struct crypto *crypto;		/* of the guest's data, NULL: as is */
	struct qcow2_meta_map meta;
	uint64_t inactive_l1_bytes;	/* of all snapshots, as opened */

	/* space */
	uint64_t data_end;		/* bytes, cluster aligned: no valid
					 * reference points beyond */
	uint64_t fresh_from;		/* bytes: never written, reads zeroes */
	uint64_t file_length;		/* bytes, as last set by us */
	uint64_t cursor;		/* next host cluster to look at */
	struct qcow2_run *free_runs;	/* below the cursor */
	size_t nr_free_runs, max_free_runs;
	struct qcow2_freed_list freed;
	struct qcow2_tail tails[QCOW2_TAILS];
	unsigned int nr_tails;
	struct co_mutex bytes_lock;	/* before commit_lock */
	struct co_mutex alloc_lock;	/* after commit_lock */

	/* requests */
	struct list requests, allocs;
	uint64_t next_seq;
	struct co_mutex l2_lock;	/* creating L2 tables */

	/* commits */
	struct co_mutex commit_lock;
	uint64_t modified;		/* counts finished changes and writes */
	uint64_t committed;		/* `modified` of the last good commit */
	size_t freed_held;		/* of `freed`, what that had to leave */

	/* trouble */
	enum qcow2_state state;
	int write_error;		/* -errno; 0: writable */
	bool told;			/* of what cannot be read */
	enum qcow2_begun begun;
	struct co_mutex begin_lock;

	struct qcow2_bitmaps *bitmaps;	/* NULL: none, or not looked at */

	/* status.c: much of what is in use has no space on the host */
	bool holes_known, has_holes;

	/* the last decompressed cluster */
	uint64_t inflated_entry;	/* its L2 entry, 0: none */
	uint8_t *inflated;

	int compression_level;		/* 0: the default */
};

static inline struct qcow2 *qcow2_of(struct image *img)
{
	return img->state;
}

/* ---- qcow2.c ---- */

/* co. Writes the header's first 104 (72) bytes anew and makes them durable. */
int qcow2_write_header(struct qcow2 *q);

static inline void qcow2_request_begin(struct qcow2 *q, struct qcow2_request *r)
{
	r->seq = q->next_seq++;
	list_add_tail(&q->requests, &r->link);
}

static inline void qcow2_request_end(struct qcow2_request *r)
{
	list_del(&r->link);
}

/* ---- io.c ---- */

/* co. Waits once if the mapping of a guest cluster in [first, last] is being
 * changed; true if it did: look again. */
bool qcow2_alloc_wait(struct qcow2 *q, uint64_t first, uint64_t last);
/* Others wait for these until the end. */
void qcow2_alloc_begin(struct qcow2 *q, struct qcow2_alloc *a, uint64_t first,
		       uint64_t last);
void qcow2_alloc_end(struct qcow2_alloc *a);
/* co. A write, within a request (qcow2_request_begin()). */
int qcow2_write_range(struct qcow2 *q, uint64_t off, uint64_t len,
		      struct iow w);

/* ---- vmstate.c ---- */

/* Where the VM state begins in the mapping: behind the disk, bytes. */
uint64_t qcow2_vmstate_base(const struct qcow2 *q);

/* ---- data.c ---- */

/* co. Opens the external data file, where the image has one. */
int qcow2_open_data_file(struct qcow2 *q, struct error *err);
/* co. 1 to max clusters for the guest clusters from `index` on, as
 * qcow2_alloc_clusters(). In a data file there is a place for each. */
int qcow2_alloc_data(struct qcow2 *q, uint64_t index, uint64_t max,
		     uint64_t *host, uint64_t *count, bool *fresh);
void qcow2_free_data(struct qcow2 *q, uint64_t host, uint64_t count);
/* co. Zeroes in the external data file, or with IMAGE_ZERO_FAST perhaps not. */
int qcow2_zero_data(struct qcow2 *q, uint64_t off, uint64_t len,
		    unsigned int flags);
/* co. As long as the disk, if there is one. -ENOSPC: a device is too small. */
int qcow2_resize_data(struct qcow2 *q, uint64_t size, struct error *err);

/* ---- rewrite.c ---- */

/* co. q->h as a whole, extensions and names too, made durable: a power cut
 * leaves the old header or the new one. A failure stops the image, unless it
 * did not fit (-ENOSPC, nothing written). */
int qcow2_rewrite_header(struct qcow2 *q, struct error *err);

/* ---- map.c ---- */

/* What an L2 entry says of a guest offset and of what follows it. */
struct qcow2_mapping {
	enum qcow2_kind kind;
	bool copied;			/* refcount 1: may be written in place */
	struct qcow2_entry entry;	/* of the first cluster */
	uint64_t host;			/* bytes; of that very offset */
	uint64_t len;			/* bytes that go on like that */
};

/* co. The mapping of [off, off + len), or of as much from its start as is of the
 * same kind (at contiguous host offsets where there are any), within a slice.
 * -EIO: corrupt, said once. */
int qcow2_lookup(struct qcow2 *q, uint64_t off, uint64_t len,
		 struct qcow2_mapping *out);

/* co. Makes or copies the L2 table of guest cluster `index` where that is needed
 * before entries of it can change. */
int qcow2_make_l2(struct qcow2 *q, uint64_t index);

/* co. The slice with the entry of guest cluster `index`, pinned and fit to be
 * changed: qcow2_make_l2() is part of it. *table: `nr` entries of
 * the slice, from `index` on, for qcow2_entry_load() and _store(). */
int qcow2_l2_for_write(struct qcow2 *q, uint64_t index,
		       struct qcow2_slice **slice, void **table, uint64_t *nr);

/* Does the subcluster at `off`, which was mapped so, read as zeroes? */
bool qcow2_reads_zero(const struct qcow2 *q, const struct qcow2_mapping *m,
		      uint64_t off);

/* co. Lets go of an L2 table that an L1 entry led to. Where the refcount says that
 * nothing else does it is no table any more; else it stays what it is for the
 * snapshots. */
int qcow2_free_l2(struct qcow2 *q, uint64_t table, bool discard);

/* Lets go of what a replaced entry pointed at. */
void qcow2_free_entry(struct qcow2 *q, struct qcow2_entry e, bool discard);

/* ---- refcount.c ---- */

/* co. 1 to max contiguous host clusters with refcount 1 (not yet on disk).
 * *fresh: the file reads as zeroes there. -ENOSPC, -EFBIG, -EIO */
int qcow2_alloc_clusters(struct qcow2 *q, uint64_t max, uint64_t *offset,
			 uint64_t *count, bool *fresh);
/* co. Exactly `count` contiguous ones, contents undefined. Takes alloc_lock. */
int qcow2_alloc_contiguous(struct qcow2 *q, uint64_t count, uint64_t *offset);
/* co. Of clusters whose refcount blocks exist; in memory. Holds alloc_lock or
 * is alone. */
int qcow2_set_refcounts(struct qcow2 *q, uint64_t cluster, uint64_t count,
			uint64_t value);
/* Freed once the next commit is on disk. Never waits. Out of memory they leak
 * until the next check, which is said. */
void qcow2_free_clusters(struct qcow2 *q, uint64_t offset, uint64_t count,
			 bool discard);
/* The same for what was on the list before. */
void qcow2_free_run(struct qcow2 *q, struct qcow2_freed f);
/* co, alloc_lock held. One more reference to a cluster that has some. -ERANGE:
 * it has as many as it can have. */
int qcow2_share_cluster(struct qcow2 *q, uint64_t cluster);
/* co. Lowers refcounts of `list` entries that no request may still use; the
 * others stay in it. For commits: those who call hold commit_lock. */
int qcow2_release_freed(struct qcow2 *q, struct qcow2_freed_list *list);

/* ---- bytes.c ---- */

/* co. `len` bytes, less than a cluster, anywhere in host clusters that count
 * them (not yet on disk). To be freed as a compressed entry is. */
int qcow2_alloc_bytes(struct qcow2 *q, uint64_t len, uint64_t *offset);
/* alloc_lock held. The host cluster is free now. */
void qcow2_forget_tails(struct qcow2 *q, uint64_t cluster);

/* ---- commit.c ---- */

/* co. All that was changed and written before is on stable storage. */
int qcow2_commit(struct qcow2 *q);
/* co. Until nothing is left to write; with no requests in flight. */
int qcow2_commit_all(struct qcow2 *q);
/* co. Commits when the caches are full of changes. Between requests only. */
int qcow2_relieve(struct qcow2 *q);
/* co, commit_lock held. Dirty refcounts only, made durable. */
int qcow2_write_refcounts(struct qcow2 *q);

/* ---- crypt.c ---- */

/* co. [guest, guest + len) of the disk, at `host` in the file: all of the
 * guest's data that is not compressed goes through these. */
int qcow2_read_data(struct qcow2 *q, uint64_t guest, uint64_t host,
		    uint64_t len, struct iow w);
int qcow2_write_data(struct qcow2 *q, uint64_t guest, uint64_t host,
		     uint64_t len, struct iow w);
/* co. Sets q->crypto up, with the secret that `node` (may be NULL) names. */
int qcow2_crypt_open(struct qcow2 *q, const struct image_node *node,
		     struct error *err);
/* co. */
int qcow2_crypt_info(const struct qcow2 *q, struct image_info_encrypt *e,
		     struct error *err);
struct luks_area qcow2_luks_area(const struct qcow2 *q);

/* ---- compress.c ---- */

enum codec_type qcow2_codec_of(const struct qcow2_header *h);

/* co. Reads and unpacks the cluster of an L2 entry: cluster_size bytes. */
int qcow2_inflate(struct qcow2 *q, uint64_t entry, uint8_t *out);
/* co. The same for any file with that header; nothing is kept. */
int qcow2_unpack(struct image *file, const struct qcow2_header *h,
		 uint64_t entry, uint8_t *out);
/* The same for one who reads on elsewhere: it is not kept. */
int qcow2_inflate_once(struct qcow2 *q, uint64_t entry, uint8_t *out);

/* ---- snapshot.c ---- */

#define QCOW2_SNAPSHOT_FIXED 40u	/* bytes, before the extra data */
#define QCOW2_SNAPSHOT_EXTRA 24u	/* bytes of extra data that we know */
#define QCOW2_MAX_SNAPSHOT_TABLE (64 * MiB)

struct qcow2_snapshot {
	uint64_t l1_offset;		/* bytes */
	uint32_t l1_size;		/* entries */
	uint32_t extra_size;		/* bytes */
	const uint8_t *extra;		/* those, while it is read */
	struct image_info_snapshot info;
};

/* Which one is meant. */
struct qcow2_snapshot_pick {
	const char *id, *name;		/* NULL: any */
};

/* co. The first that fits: *out, to be freed with qcow2_snapshot_deinit(). 1:
 * found, 0: there is none. */
int qcow2_pick_snapshot(struct image *file, const struct qcow2_header *h,
			struct qcow2_snapshot_pick pick,
			struct qcow2_snapshot *out, struct error *err);
void qcow2_snapshot_deinit(struct qcow2_snapshot *sn);	/* may be called twice */

/* Are its size and L1 table such as can be used? */
int qcow2_judge_snapshot(const struct qcow2 *q, const struct qcow2_snapshot *sn,
			 struct error *err);

/* co. From now on the image is what the snapshot `which` (struct image_options)
 * holds. Before the tables are loaded. */
int qcow2_show_snapshot(struct qcow2 *q, const char *which, struct error *err);

/* co. Calls each() for each entry of the snapshot table as it is read: nothing
 * is kept. *bytes (may be NULL): what the table takes up. */
int qcow2_for_each_snapshot(struct image *file, const struct qcow2_header *h,
			    int (*each)(void *arg,
					const struct qcow2_snapshot *sn,
					struct error *err),
			    void *arg, uint64_t *bytes, struct error *err);

#endif
