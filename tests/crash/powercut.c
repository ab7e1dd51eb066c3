/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * powercut.c: what is in an image file when the power goes.
 *
 *	powercut IMAGE DIR SEED OPS CRASHES [FAIL [CHANGE]...]
 *
 * Works on IMAGE (qcow2, made by the caller, its first bytes stamped or empty)
 * with several coroutines while every write, flush and truncation of the file
 * is recorded below image/protocols/file.c (the linker wraps the aio functions). At
 * random moments a crash image is built in DIR: everything that was complete
 * before the last complete flush began, and of what came later each 512-byte
 * sector or not, by lot. Afterwards each crash image must check without
 * corruption, open for writing, and hold in each sector what the last guest
 * flush promised or something written since. Where there are snapshots COPIED
 * flags may be wrong: in one crash image out of three the disk is written to as
 * it is, and no snapshot may change. FAIL makes that many-th write or
 * flush of the file fail once (odd: EIO, even: ENOSPC; 0: none).
 *
 * An external data file, named by an absolute path, is treated alike: a flush of
 * the one promises nothing of the other.
 *
 * POWERCUT_EVERY in the environment has the power cut at each that-many-th
 * operation of the file, up to CRASHES. Each POWERCUT_GO_ON-th crash image, the
 * image as it is in the end, and each with wrong flags are used further (go-on.c).
 *
 * CHANGEs (changes.c) are made to the image as a whole after all that, in
 * crashes' reach and with nothing else under way.
 *
 * A stamp of a write fills its sectors together with their number, so that a
 * sector in the wrong place is found too. Stamp 0 is zeroes, 1 the backing file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/check.h"
#include "image/graph/open.h"
#include "image/image.h"
#include "image/info.h"
#include "io/co-group.h"
#include "io/coroutine.h"
#include "io/loop.h"
#include "tests/crash/powercut.h"

#define WORKERS 6
#define MAX_SECTORS_PER_OP 200
#define FILE_MAX (64 * MiB)

int __real_aio_pwritev(struct aio_file *f, uint64_t off, uint64_t len,
		       struct iow w);
int __real_aio_fdatasync(struct aio_file *f);
int __real_aio_fallocate(struct aio_file *f, int mode, uint64_t off,
			 uint64_t len);
int __real_image_truncate(struct image *img, uint64_t size, struct error *err);
int __wrap_aio_pwritev(struct aio_file *f, uint64_t off, uint64_t len,
		       struct iow w);
int __wrap_aio_fdatasync(struct aio_file *f);
int __wrap_aio_fallocate(struct aio_file *f, int mode, uint64_t off,
			 uint64_t len);
int __wrap_image_truncate(struct image *img, uint64_t size, struct error *err);

struct powercut t;

void die(const char *what, uint64_t n)
{
	fprintf(stderr, "powercut: seed %u: %s (%" PRIu64 ")\n", t.seed, what, n);
	exit(1);
}

/* ---- stamps ---- */

static void fill(uint8_t *buf, uint64_t sector, uint64_t stamp)
{
	for (uint64_t i = 0; i < SECTOR_SIZE; i += 8) {
		uint64_t v = stamp ? stamp * 1000003 + sector * 64 + i / 8 : 0;

		memcpy(buf + i, &v, 8);
	}
}

bool holds(const uint8_t *buf, uint64_t sector, uint64_t stamp)
{
	uint8_t want[SECTOR_SIZE];

	fill(want, sector, stamp);
	return !memcmp(buf, want, SECTOR_SIZE);
}

/* The stamp of what a discard has left. */
static uint64_t stamp_of(const uint8_t *buf, uint64_t sector)
{
	struct sector *s = &t.sectors[sector];

	if (holds(buf, sector, 0))
		return 0;
	for (unsigned int i = 0; i < s->nr; i++)
		if (holds(buf, sector, s->v[i].stamp))
			return s->v[i].stamp;
	die("a discard has left garbage in sector", sector);
	return 0;
}

/* ---- the guest's side ---- */

void begin(uint64_t sector, uint64_t stamp)
{
	struct sector *s = &t.sectors[sector];

	if (s->nr == MAX_VERSIONS) {
		s->anything = true;
		s->nr = 1;
	}
	s->v[s->nr++] = (struct version){ stamp, 0 };
}

void complete(uint64_t sector, uint64_t stamp)
{
	struct sector *s = &t.sectors[sector];

	s->v[s->nr - 1] = (struct version){ stamp, t.clock };
}

/* Whatever was complete before `since` is promised from now on. */
static void promise(uint64_t since)
{
	for (uint64_t i = 0; i < t.nr_sectors; i++) {
		struct sector *s = &t.sectors[i];
		unsigned int last = 0;

		for (unsigned int k = 1; k < s->nr; k++)
			if (s->v[k].done && s->v[k].done < since)
				last = k;
		if (!last)
			continue;
		memmove(s->v, s->v + last, (s->nr - last) * sizeof(*s->v));
		s->nr -= last;
		s->anything = false;
	}
}

struct worker {
	uint64_t first, nr;		/* sectors that are its own */
	unsigned int rand;
};

static uint64_t pick(struct worker *w, uint64_t n)
{
	return (uint64_t)rand_r(&w->rand) % n;
}

int do_flush(void)
{
	uint64_t since = ++t.clock;
	int ret = image_flush(t.img);

	if (!ret)
		promise(since);
	return ret;
}

/* Whole clusters only, if there are any. */
static bool whole_clusters(uint64_t *first, uint64_t *n)
{
	uint64_t start = align_up(*first, t.cluster);
	uint64_t end = align_down(*first + *n, t.cluster);

	if (start >= end)
		return false;
	*first = start;
	*n = end - start;
	return true;
}

static int write_op(uint64_t first, uint64_t n, uint64_t stamp, bool packed)
{
	cleanup_free uint8_t *buf = malloc(n * SECTOR_SIZE);

	for (uint64_t i = 0; i < n; i++)
		fill(buf + i * SECTOR_SIZE, first + i, stamp);
	if (packed)
		return image_pwrite_compressed(t.img, first * SECTOR_SIZE,
					       n * SECTOR_SIZE, buf);
	return image_pwrite(t.img, first * SECTOR_SIZE, n * SECTOR_SIZE, buf);
}

static int discard_op(uint64_t first, uint64_t n)
{
	cleanup_free uint8_t *buf = malloc(n * SECTOR_SIZE);
	int ret;

	ret = image_pdiscard(t.img, first * SECTOR_SIZE, n * SECTOR_SIZE);
	if (!ret)
		ret = image_pread(t.img, first * SECTOR_SIZE, n * SECTOR_SIZE,
				  buf);
	t.clock++;
	for (uint64_t i = 0; !ret && i < n; i++)
		complete(first + i, stamp_of(buf + i * SECTOR_SIZE, first + i));
	return ret;
}

static int one_op(struct worker *w)
{
	uint64_t n = 1 + pick(w, pick(w, 3) ? 16 : MAX_SECTORS_PER_OP);
	uint64_t first, stamp = 0;
	unsigned int kind = (unsigned int)pick(w, 24);
	bool packed = false;
	int ret;

	if (kind == 0)
		return do_flush();
	n = min(n, w->nr);
	first = w->first + pick(w, w->nr - n + 1);
	if (kind > 6)
		stamp = ++t.stamp;
	if (kind >= 20)
		packed = whole_clusters(&first, &n);
	for (uint64_t i = 0; i < n; i++)
		begin(first + i, stamp);
	if (kind <= 3)
		return discard_op(first, n);
	ret = stamp ? write_op(first, n, stamp, packed) :
		      image_pwrite_zeroes(t.img, first * SECTOR_SIZE,
					  n * SECTOR_SIZE,
					  kind == 4 ? 0 : IMAGE_ZERO_UNMAP);
	t.clock++;
	for (uint64_t i = 0; !ret && i < n; i++)
		complete(first + i, stamp);
	return ret;
}

static int run_worker(void *arg)
{
	struct worker w = *(struct worker *)arg;
	int ret;

	for (int i = 0; i < t.ops; i++) {
		ret = one_op(&w);
		if (ret && !t.fail_at)
			return ret;
	}
	return 0;
}

/* ---- the file's side ---- */

static struct store *store_of(const struct aio_file *f)
{
	struct stat st;

	if (!t.data.path || fstat(f->fd, &st))
		return &t.image;
	return st.st_ino == t.data.ino ? &t.data : &t.image;
}

static void record(struct store *store, uint64_t off, uint64_t len,
		   uint8_t *data)
{
	if (t.nr_records == t.max_records) {
		t.max_records = t.max_records ? t.max_records * 2 : 256;
		t.records = realloc(t.records,
				    t.max_records * sizeof(*t.records));
	}
	if (off + len > FILE_MAX)
		die("the file grows beyond reason", off + len);
	t.records[t.nr_records++] = (struct record){ store, off, len, data,
							  0 };
}

static void apply(uint8_t *file, uint64_t *size, const struct record *r)
{
	if (!r->len) {
		if (r->off < *size)
			memset(file + r->off, 0, *size - r->off);
		*size = r->off;
		return;
	}
	memcpy(file + r->off, r->data, r->len);
	*size = max(*size, r->off + r->len);
}

/* Some sectors of it, one in `of`. */
static void apply_torn(uint8_t *file, uint64_t *size, const struct record *r,
		       int of, unsigned int *rnd)
{
	for (uint64_t o = 0; o < r->len; o += SECTOR_SIZE) {
		struct record part = {
			r->store, r->off + o, min(r->len - o, (uint64_t)SECTOR_SIZE),
			r->data + o, 0,
		};

		if (rand_r(rnd) % of == 0)
			apply(file, size, &part);
	}
}

/* What was complete when a flush began is stable now. */
static void settle(struct store *store, uint64_t since)
{
	size_t kept = 0;

	for (size_t i = 0; i < t.nr_records; i++) {
		struct record *r = &t.records[i];

		if (r->store != store || !r->done || r->done >= since) {
			t.records[kept++] = *r;
			continue;
		}
		apply(store->bytes, &store->size, r);
		free(r->data);
	}
	t.nr_records = kept;
}

static void save(const char *name, int n, const void *data, size_t len)
{
	char path[512];
	cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), "%s/%s-%d", t.dir, name, n);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		die("cannot write a crash image", (uint64_t)n);
}

static void crash_of(const struct store *store, int of, unsigned int *rnd)
{
	uint64_t size = store->size;
	uint8_t *file = calloc(1, FILE_MAX);

	memcpy(file, store->bytes, size);
	for (size_t i = 0; i < t.nr_records; i++) {
		const struct record *r = &t.records[i];

		if (r->store != store)
			continue;
		if (r->len)
			apply_torn(file, &size, r, of, rnd);
		else if (rand_r(rnd) % 2)
			apply(file, &size, r);
	}
	save(store->name, t.crashes_done, file, size);
	free(file);
}

static void crash(void)
{
	static unsigned int rnd;
	int of;

	rnd += t.seed + 1;
	of = (int[]){ 1, 2, 2, 4, 1000000 }[rand_r(&rnd) % 5];
	crash_of(&t.image, of, &rnd);
	if (t.data.path)
		crash_of(&t.data, of, &rnd);
	save("sectors", t.crashes_done, t.sectors,
	     t.nr_sectors * sizeof(*t.sectors));
	save("snapshots", t.crashes_done, &t.snapshots, sizeof(t.snapshots));
	t.crashes_done++;
}

/* Each operation of the file: perhaps a crash, a failure, another order. */
static int before_op(void)
{
	static unsigned int rnd = 1;

	if (!t.recording)
		return 0;
	t.file_ops++;
	if (t.crashes_done < t.crashes &&
	    t.file_ops % (uint64_t)t.crash_every == 0)
		crash();
	if (rand_r(&rnd) % 4 == 0)
		co_sleep(t.loop, 1000 * (uint64_t)(rand_r(&rnd) % 50));
	if (t.file_ops == t.fail_at)
		return t.fail_at % 2 ? -EIO : -ENOSPC;
	return 0;
}

/* A write has come to its end; one that failed never comes later. */
static void written(const uint8_t *data, int ret)
{
	struct record *r = t.records;

	while (r->data != data)
		r++;
	if (!ret) {
		r->done = ++t.clock;
		return;
	}
	free(r->data);
	t.nr_records--;
	memmove(r, r + 1, (size_t)(t.records + t.nr_records - r) * sizeof(*r));
}

int __wrap_aio_pwritev(struct aio_file *f, uint64_t off, uint64_t len,
		       struct iow w)
{
	uint8_t *data = NULL;
	int ret;

	if (t.recording) {
		data = malloc(len);
		iow_to_buf(data, w, len);
		record(store_of(f), off, len, data);
	}
	ret = before_op();
	if (!ret)
		ret = __real_aio_pwritev(f, off, len, w);
	if (data)
		written(data, ret);
	return ret;
}

int __wrap_aio_fdatasync(struct aio_file *f)
{
	uint64_t since = ++t.clock;
	int ret = before_op();

	if (!ret)
		ret = __real_aio_fdatasync(f);
	if (!ret && t.recording)
		settle(store_of(f), since);
	return ret;
}

/* Zeroes and holes as writes of zeroes: they too may come or not. */
int __wrap_aio_fallocate(struct aio_file *f, int mode, uint64_t off,
			 uint64_t len)
{
	return t.recording ? -EOPNOTSUPP :
			     __real_aio_fallocate(f, mode, off, len);
}

/* Not ftruncate(): that runs in a pool thread, under one of two names. */
int __wrap_image_truncate(struct image *img, uint64_t size, struct error *err)
{
	uint8_t *data = NULL;
	int ret;

	if (t.recording && !image_file(img)) {
		data = malloc(1);
		record(t.data.path && !strcmp(image_path(img), t.data.path) ?
			       &t.data : &t.image, size, 0, data);
	}
	ret = __real_image_truncate(img, size, err);
	if (data)
		written(data, ret);
	return ret;
}

/* ---- the run ---- */

int open_image(const char *path, unsigned int flags, struct error *err)
{
	struct image_options opts = {
		.flags = IMAGE_RDWR | IMAGE_UNMAP | flags,
		.cache = IMAGE_CACHE_WRITEBACK,
	};

	return image_open(t.loop, path, "qcow2", &opts, &t.img, err);
}

static void load_store(struct store *s, const char *path, const char *name)
{
	cleanup_fd int fd = open(path, O_RDONLY);
	struct stat st;
	ssize_t n;

	s->path = path;
	s->name = name;
	s->bytes = calloc(1, FILE_MAX);
	n = read(fd, s->bytes, FILE_MAX);
	if (n <= 0 || fstat(fd, &st))
		die("cannot read the image", 0);
	s->ino = st.st_ino;
	s->size = (uint64_t)n;
}

/* What the data file held when the power went: in its place, for the image
 * names it. */
static void put_data_back(int n)
{
	cleanup_free uint8_t *bytes = malloc(FILE_MAX);
	cleanup_fd int from = -1, to = -1;
	char path[512];
	ssize_t len;

	snprintf(path, sizeof(path), "%s/%s-%d", t.dir, t.data.name, n);
	from = open(path, O_RDONLY);
	to = open(t.data.path, O_WRONLY | O_TRUNC);
	len = read(from, bytes, FILE_MAX);
	if (len < 0 || write(to, bytes, (size_t)len) != len)
		die("cannot put the data file back", (uint64_t)n);
	unlink(path);
}

static void first_versions(void)
{
	uint8_t buf[SECTOR_SIZE];
	struct image_info info;

	if (image_get_info(t.img, &info, NULL))
		die("no information about the image", 0);
	t.cluster = info.cluster_size / SECTOR_SIZE;
	if (info.kind == IMAGE_INFO_QCOW2 && info.qcow2.data_file) {
		load_store(&t.data, strdup(info.qcow2.data_file), "data");
		t.cluster = UINT64_C(1) << 40;	/* none is compressed */
	}
	image_info_free(&info);
	t.nr_sectors = image_size(t.img) / SECTOR_SIZE;
	t.sectors = calloc(t.nr_sectors, sizeof(*t.sectors));
	for (uint64_t i = 0; i < t.nr_sectors; i++) {
		if (image_pread(t.img, i * SECTOR_SIZE, SECTOR_SIZE, buf))
			die("cannot read sector", i);
		t.sectors[i].nr = 1;
		t.sectors[i].v[0].stamp = holds(buf, i, 1);
		t.sectors[i].v[0].done = 1;
	}
	t.stamp = 1;
	t.clock = 1;
}

int work(void)
{
	struct worker w[WORKERS];
	struct co_group g;
	uint64_t part = min(t.nr_sectors, image_size(t.img) / SECTOR_SIZE) /
			WORKERS;

	co_group_init(&g, WORKERS);
	for (unsigned int i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){ i * part, part, t.seed * 31 + ++t.rounds * 7 + i };
		co_group_start(&g, run_worker, &w[i]);
	}
	return co_group_wait(&g);
}

static void verify(const char *what, int n)
{
	uint64_t nr = min(t.nr_sectors, image_size(t.img) / SECTOR_SIZE);
	uint8_t buf[SECTOR_SIZE];

	for (uint64_t i = 0; i < nr; i++) {
		struct sector *s = &t.sectors[i];
		bool good = s->anything;

		if (image_pread(t.img, i * SECTOR_SIZE, SECTOR_SIZE, buf))
			die("cannot read back sector", i);
		for (unsigned int k = 0; !good && k < s->nr; k++)
			good = holds(buf, i, s->v[k].stamp);
		if (good)
			continue;
		fprintf(stderr, "%s %d: sector %" PRIu64 " holds nothing that "
			"was ever promised or written since\n", what, n, i);
		exit(1);
	}
}

struct findings {
	const char *path;
	bool flags_right;		/* none may be wrong */
	uint64_t leaked;		/* cluster, the last of such */
	uint64_t excused;		/* flags */
	uint64_t bad;			/* leaks are no news here */
};

/* A flag that refcounts belie, as snapshots being made or deleted leave it: one
 * that is missing costs a copy, no more; one too many is of a cluster whose
 * refcount leaks, since nobody shares it. What is shared never has it. */
static bool is_harmless(const struct findings *f, const char *sentence)
{
	static const char mark[] = "ERROR OFLAG_COPIED";
	const char *entry = strchr(sentence, '=');
	size_t len = strlen(sentence);
	uint64_t offset;

	if (f->flags_right || !t.snapshots.nr ||
	    strncmp(sentence, mark, strlen(mark)) || !entry)
		return false;
	if (!strcmp(sentence + len - 11, " refcount=1"))
		return true;
	offset = strtoull(entry + 1, NULL, 16) & ~(UINT64_C(1) << 63);
	return offset == f->leaked * t.cluster * SECTOR_SIZE;
}

static void judge_finding(void *arg, const char *sentence)
{
	struct findings *f = arg;
	uint64_t cluster, refcount, references;

	if (sscanf(sentence, "Leaked cluster %" SCNu64 " refcount=%" SCNu64
		   " reference=%" SCNu64, &cluster, &refcount, &references) ==
		    3 && references == 1)
		f->leaked = cluster;
	if (strncmp(sentence, "ERROR", 5))
		return;
	if (is_harmless(f, sentence)) {
		f->excused++;
		return;
	}
	fprintf(stderr, "%s: %s\n", f->path, sentence);
	f->bad++;
}

static void check_once(const char *path, enum image_repair repair,
		       struct image_check *c)
{
	struct error err = ERROR_INIT;
	int ret = open_image(path, IMAGE_REPAIR | IMAGE_NO_BACKING, &err);

	if (!ret)
		ret = image_check(t.img, repair, c, &err);
	if (ret || c->check_errors) {
		fprintf(stderr, "%s: %s\n", path, error_text(&err, ret));
		exit(1);
	}
	image_close(t.img, NULL);
}

bool check(const char *path, bool flags_right)
{
	struct findings f = { path, flags_right, UINT64_MAX, 0, 0 };
	struct image_check c = { .report = judge_finding, .report_arg = &f };

	check_once(path, IMAGE_REPAIR_NONE, &c);
	if (f.bad)
		exit(1);
	return !f.excused;
}

void copy_file(const char *from, const char *to)
{
	cleanup_free uint8_t *bytes = malloc(FILE_MAX);
	cleanup_fd int in = open(from, O_RDONLY);
	cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t len = read(in, bytes, FILE_MAX);

	if (len < 0 || write(out, bytes, (size_t)len) != len)
		die("cannot copy an image", 0);
}

static void write_all(const char *path)
{
	cleanup_free uint8_t *buf = calloc(1, 64 * KiB);
	struct error err = ERROR_INIT;
	uint64_t n;

	if (open_image(path, 0, &err))
		die(err.msg, 0);
	for (uint64_t o = 0; o < image_size(t.img); o += n) {
		n = min(image_size(t.img) - o, 64 * KiB);
		if (image_pwrite(t.img, o, n, buf))
			die("cannot write at", o);
	}
	if (image_close(t.img, &err))
		die(err.msg, 0);
}

/* A guest who goes on as if nothing had been changes no snapshot, whatever flags
 * were left; and mending leaks leaves nothing to be found. */
static void try_snapshots(const char *path, int n)
{
	struct image_check c = { 0 };
	char trial[512];

	snprintf(trial, sizeof(trial), "%s/trial", t.dir);
	copy_file(path, trial);
	write_all(trial);
	verify_snapshots(trial, n);
	check(trial, false);
	copy_file(path, trial);
	check_once(trial, IMAGE_REPAIR_LEAKS, &c);
	check_once(trial, IMAGE_REPAIR_NONE, &c);
	verify_snapshots(trial, n);
	if (c.corruptions || c.leaks)
		die("left by a repair of leaks", c.corruptions + c.leaks);
}

static bool is_nth(int n, int of)
{
	return (n + (int)t.seed) % of == 0;
}

static void verify_crash(int n)
{
	struct error err = ERROR_INIT;
	char path[512], sectors[512];
	cleanup_fd int fd = -1;
	size_t len = t.nr_sectors * sizeof(*t.sectors);
	bool flags_right;

	snprintf(path, sizeof(path), "%s/crash-%d", t.dir, n);
	snprintf(sectors, sizeof(sectors), "%s/sectors-%d", t.dir, n);
	fd = open(sectors, O_RDONLY);
	if (fd < 0 || read(fd, t.sectors, len) != (ssize_t)len)
		die("cannot read what was promised", (uint64_t)n);
	unlink(sectors);
	if (t.data.path)
		put_data_back(n);
	flags_right = check(path, false);
	verify_snapshots(path, n);
	if (t.snapshots.nr && is_nth(n, 3))
		try_snapshots(path, n);
	snprintf(sectors, sizeof(sectors), "%s/snapshots-%d", t.dir, n);
	unlink(sectors);
	if (open_image(path, 0, &err)) {
		fprintf(stderr, "%s: %s\n", path, error_text(&err, 0));
		exit(1);
	}
	verify("crash", n);
	if (image_close(t.img, &err))
		die(err.msg, (uint64_t)n);
	if (!flags_right || is_nth(n, t.go_on_every))
		go_on(path, (unsigned int)n, !flags_right);
}

static int run(void *arg)
{
	struct error err = ERROR_INIT;
	int ret;

	load_store(&t.image, t.path, "crash");
	ret = open_image(t.path, 0, &err);
	if (ret) {
		fprintf(stderr, "%s\n", error_text(&err, ret));
		return ret;
	}
	first_versions();
	t.recording = true;
	ret = work();
	if (!ret)
		ret = make_changes();
	if (ret)
		die("an operation failed with errno", (uint64_t)-ret);
	ret = image_close(t.img, &err);
	t.recording = false;
	if (ret && !t.fail_at)
		die(err.msg, 0);
	if (!ret)
		promise(++t.clock);
	check(t.path, false);
	if (!open_image(t.path, 0, &err)) {
		verify("end", 0);
		image_close(t.img, NULL);
		go_on(t.path, (unsigned int)t.crashes_done, false);
	}
	for (int i = 0; i < t.crashes_done; i++)
		verify_crash(i);
	printf("# seed %u: %" PRIu64 " file operations, %d crashes\n", t.seed,
	       t.file_ops, t.crashes_done);
	return 0;
}

static int from_environment(const char *name, int otherwise)
{
	const char *value = getenv(name);

	return value ? max(atoi(value), 1) : otherwise;
}

int main(int argc, char **argv)
{
	int ret;

	if (argc < 6) {
		fputs("usage: powercut IMAGE DIR SEED OPS CRASHES [FAIL "
		      "[CHANGE]...]\n",
		      stderr);
		return 2;
	}
	t.path = argv[1];
	t.dir = argv[2];
	t.seed = (unsigned int)atoi(argv[3]);
	t.ops = atoi(argv[4]);
	t.crashes = atoi(argv[5]);
	t.fail_at = argc > 6 ? (uint64_t)atoi(argv[6]) : 0;
	t.changes = argv + min(argc, 7);
	t.crash_every = from_environment("POWERCUT_EVERY",
			max(t.ops * WORKERS / max(t.crashes, 1), 1));
	t.go_on_every = from_environment("POWERCUT_GO_ON", 2);
	t.loop = loop_new();
	ret = co_run(t.loop, run, NULL);
	loop_free(t.loop);
	return ret != 0;
}
