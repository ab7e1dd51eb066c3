/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * failnth.c: every operation of the file fails once.
 *
 *	failnth WHAT IMAGE WORK [DATA WORK-DATA]
 *
 * Does WHAT (failnth-whats.c) to WORK, a copy of IMAGE, again and again; in the
 * n-th run the n-th read, write, flush, truncation or fallocate() of the file
 * below fails, in one of five ways. Afterwards WORK must have no more
 * corruptions than IMAGE has, each of its sectors must be what it was before
 * or what WHAT makes of it, and doing it again must succeed. A run in which
 * nothing failed is the last one. Every other run tries again before it closes
 * the image, as a guest does: that may be refused, but what succeeds then must
 * be done. An image that cannot make anything durable any more takes no writes,
 * and has said that it does not.
 *
 * A snapshot "s" of IMAGE must hold what it held, even after the disk has been
 * written all over.
 *
 * A dirty bitmap "b" of IMAGE must then be marked as in use, or know of what
 * has changed besides what it knew.
 *
 * The external data file that IMAGE names, WORK-DATA, begins each time as DATA.
 * A raw one must hold by itself what the disk may hold.
 *
 * FAILNTH_EVERY=N in the environment does one run in so many, others for each
 * way to fail; FAILNTH_TWICE=1 does each with trying again and without;
 * FAILNTH_QEMU=1 has qemu-img check each WORK as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/failnth.h"

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "image/graph/open.h"
#include "image/image.h"
#include "image/qcow2/bitmap.h"
#include "io/loop.h"

/* The begin of the disk and its last bytes. */
#define LOOK_BYTES (2 * MiB)
#define LOOK_END (64 * KiB)
#define RUNS_MAX 3000u

int __real_aio_preadv(struct aio_file *f, uint64_t off, uint64_t len,
		      struct iow w);
int __real_aio_pwritev(struct aio_file *f, uint64_t off, uint64_t len,
		       struct iow w);
int __real_aio_fdatasync(struct aio_file *f);
int __real_aio_fallocate(struct aio_file *f, int mode, uint64_t off,
			 uint64_t len);
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t off);
int __real_ftruncate(int fd, off_t len);
int __real_fdatasync(int fd);
int __wrap_aio_preadv(struct aio_file *f, uint64_t off, uint64_t len,
		      struct iow w);
int __wrap_aio_pwritev(struct aio_file *f, uint64_t off, uint64_t len,
		       struct iow w);
int __wrap_aio_fdatasync(struct aio_file *f);
int __wrap_aio_fallocate(struct aio_file *f, int mode, uint64_t off,
			 uint64_t len);

void __wrap_log_write(struct log_object *o, enum log_level level,
		      const char *fmt, ...);

/* An image is made by a thread with system calls of its own. */
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_fdatasync(int fd);

/* ---- ways to fail ---- */

static const struct way {
	const char *name;
	int error;
	bool reads;			/* these too, not only changes */
	bool part;			/* a write gets half of it done */
	bool lasting;			/* it and all after it */
} ways[] = {
	{ "EIO", EIO, true, false, false },
	{ "ENOSPC", ENOSPC, false, false, false },
	{ "half a write", EIO, false, true, false },
	{ "no space any more", ENOSPC, false, false, true },
	{ "the disk is gone", EIO, true, false, true },
};

/* What the parts of a disk hold that are looked at. */
struct view {
	uint8_t bytes[LOOK_BYTES];
	uint64_t size;
};

/* Which sectors of it a bitmap marks. */
struct marks {
	bool v[LOOK_BYTES / SECTOR_SIZE];
};

static struct {
	struct loop *loop;
	const char *image, *work, *data, *work_data;
	char *trial;			/* for what does no good to WORK */
	const struct what *what;
	const struct way *way;
	uint64_t count, fail_at;	/* operations; 0: none fails */
	uint64_t every;			/* one run in so many */
	bool ask_qemu, twice;
	bool told;			/* there will be no more writes */
	struct view before, after, now;
	bool has_snapshot, has_raw;
	struct view snapshot;		/* "s" */
	bool has_marks;
	struct marks marks;		/* of bitmap "b" */
	uint64_t corruptions;		/* that IMAGE has */
} t;

static bool fails(bool is_read)
{
	if (!t.fail_at || (is_read && !t.way->reads))
		return false;
	t.count++;
	return t.way->lasting ? t.count >= t.fail_at : t.count == t.fail_at;
}

int __wrap_aio_preadv(struct aio_file *f, uint64_t off, uint64_t len,
		      struct iow w)
{
	return fails(true) ? -t.way->error : __real_aio_preadv(f, off, len, w);
}

int __wrap_aio_pwritev(struct aio_file *f, uint64_t off, uint64_t len,
		       struct iow w)
{
	if (!fails(false))
		return __real_aio_pwritev(f, off, len, w);
	if (t.way->part && len > SECTOR_SIZE) {
		uint64_t half = align_up(off + len / 2, SECTOR_SIZE) - off;
		cleanup_free uint8_t *data = malloc(len);
		struct iovec iov = { data, half };

		iow_to_buf(data, w, len);
		iov.iov_len = half = min(half, len);
		__real_aio_pwritev(f, off, half, iow_of(&iov, 1));
	}
	return -t.way->error;
}

int __wrap_aio_fdatasync(struct aio_file *f)
{
	return fails(false) ? -t.way->error : __real_aio_fdatasync(f);
}

int __wrap_aio_fallocate(struct aio_file *f, int mode, uint64_t off,
			 uint64_t len)
{
	return fails(false) ? -t.way->error :
			      __real_aio_fallocate(f, mode, off, len);
}

static bool call_fails(void)
{
	if (!fails(false))
		return false;
	errno = t.way->error;
	return true;
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	if (!t.what->create || !call_fails())
		return __real_pwrite(fd, buf, len, off);
	if (t.way->part)
		return __real_pwrite(fd, buf, align_up(len / 2, SECTOR_SIZE),
				     off);
	return -1;
}

int __wrap_ftruncate(int fd, off_t len)
{
	return call_fails() ? -1 : __real_ftruncate(fd, len);
}

int __wrap_fdatasync(int fd)
{
	return t.what->create && call_fails() ? -1 : __real_fdatasync(fd);
}

void __wrap_log_write(struct log_object *o, enum log_level level,
		      const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	t.told |= strstr(line, "no more writes") != NULL;
	fprintf(stderr, "%s\n", line);
}

static void die(const char *what, uint64_t n)
{
	fprintf(stderr, "failnth: run %" PRIu64 " (%s): %s (%" PRIu64 ")\n",
		t.fail_at ? t.fail_at : t.count, t.way ? t.way->name : "none",
		what, n);
	exit(1);
}

/* ---- doing it ---- */

static int open_image(const char *path, unsigned int flags, struct image **img,
		      struct error *err)
{
	struct image_options opts = {
		.flags = flags, .cache = IMAGE_CACHE_WRITEBACK,
		.aio = AIO_THREADS,
	};

	return image_open(t.loop, path, "qcow2", &opts, img, err);
}

/* co. Writes what is there already. A write that is taken can become durable, if
 * the file lets it; where even the flush fails, no more are taken. */
static void judge_refusal(struct image *img)
{
	int flushed = image_flush(img), ret;
	uint8_t sector[SECTOR_SIZE];

	if (!flushed && t.way->lasting)
		return;
	if (image_pread(img, 0, sizeof(sector), sector))
		return;
	ret = image_pwrite(img, 0, sizeof(sector), sector);
	if (!ret && image_flush(img))
		die("takes writes that cannot become durable", 0);
	if (flushed && ret && !t.told)
		die("there is no line about the end of writing", 0);
}

/* co. 0 or -errno; a failure that is not explained is one of ours. */
static int do_it(bool persistent)
{
	struct error err = ERROR_INIT, close_err = ERROR_INIT;
	struct image *img = NULL;
	int ret, closed = 0;

	if (t.what->create)
		ret = t.what->create(t.loop, t.work, &err);
	else
		ret = open_image(t.work, t.what->flags, &img, &err);
	if (!ret && img)
		ret = t.what->run(img, &err);
	if (ret && !err.msg[0])
		die("no reason is given", (uint64_t)-ret);
	if (ret && img && persistent) {
		err = (struct error)ERROR_INIT;
		ret = t.what->run(img, &err);
		if (ret && !err.msg[0])
			die("no reason is given again", (uint64_t)-ret);
	}
	if (ret && img && !(t.what->flags & IMAGE_REPAIR))
		judge_refusal(img);
	if (img)
		closed = image_close(img, &close_err);
	if (closed && !close_err.msg[0])
		die("no reason is given by close", (uint64_t)-closed);
	if (!t.fail_at && (ret || closed))
		fprintf(stderr, "failnth: %s\n",
			error_text(ret ? &err : &close_err, ret ?: closed));
	return ret ? ret : closed;
}

/* ---- what it must have left ---- */

static void copy_file(const char *from, const char *to)
{
	cleanup_fd int in = open(from, O_RDONLY);
	cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	static uint8_t buf[MiB];
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			die("cannot copy the image", 0);
}

static void begin_anew(void)
{
	if (t.what->create)
		unlink(t.work);
	else
		copy_file(t.image, t.work);
	if (t.data)
		copy_file(t.data, t.work_data);
}

/* Both programs find the same. */
static void ask_qemu(const char *path, const struct image_check *c)
{
	char command[512];
	int status, ours = c->corruptions ? 2 : c->leaks ? 3 : 0;

	snprintf(command, sizeof(command),
		 "qemu-img check -q -f qcow2 '%s' >/dev/null 2>&1", path);
	status = system(command);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != ours) {
		fprintf(stderr, "%s: %" PRIu64 " corruptions, %" PRIu64
			" leaks\n", path, c->corruptions, c->leaks);
		die("qemu-img check has another status",
		    (uint64_t)WEXITSTATUS(status));
	}
}

/* A flag that says "shared" of what is not costs a copy, never data: such flags
 * are left between refcounts that have gone down and the flags that follow. The
 * other way round it is refcounts that have gone up, and the flags follow. */
static void count_harmless(void *arg, const char *sentence)
{
	size_t len = strlen(sentence);
	bool fewer = !strcmp(sentence + len - min(len, (size_t)11),
			     " refcount=1");

	if (!strncmp(sentence, "ERROR OFLAG_COPIED", 18) &&
	    t.what->flags_left >= (fewer ? FEWER : MORE))
		++*(uint64_t *)arg;
}

/* co. Corruptions that matter. With `leaks` those are mended first, and then
 * all do. */
static uint64_t count_corruptions(const char *path, bool leaks)
{
	uint64_t harmless = 0;
	struct image_check c = {
		.report = count_harmless, .report_arg = &harmless,
	};
	unsigned int flags = IMAGE_REPAIR | IMAGE_NO_BACKING;
	struct image_check mend = { 0 };
	struct image *img;

	if (open_image(path, flags | (leaks ? IMAGE_RDWR : 0), &img, NULL))
		die("cannot be opened for a check", 0);
	if (leaks && image_check(img, IMAGE_REPAIR_LEAKS, &mend, NULL))
		die("leaks cannot be mended", 0);
	if (image_check(img, IMAGE_REPAIR_NONE, &c, NULL) || c.check_errors)
		die("cannot be checked", c.check_errors);
	image_close(img, NULL);
	if (t.ask_qemu && !leaks && strcmp(t.what->name, "repair"))
		ask_qemu(path, &c);
	return c.corruptions - (leaks ? 0 : harmless);
}

static void load_part(struct image *img, uint64_t off, uint64_t len,
		      uint8_t *out)
{
	/* What cannot be read before a repair counts as zeroes. */
	for (uint64_t o = 0, n; o < len; o += n) {
		n = min(len - o, 64 * KiB);
		if (!image_pread(img, off + o, n, out + o))
			continue;
		n = min(n, UINT64_C(4096));
		if (image_pread(img, off + o, n, out + o))
			memset(out + o, 0, n);
	}
}

/* co. snapshot NULL: the disk. False: there is no such snapshot. */
static bool load_as(const char *format, const char *path, const char *snapshot,
		    struct view *v)
{
	struct image_options opts = {
		.cache = IMAGE_CACHE_WRITEBACK, .aio = AIO_THREADS,
		.snapshot = snapshot,
	};
	struct image *img;
	int ret = image_open(t.loop, path, format, &opts, &img, NULL);

	if (ret == -ENOENT && snapshot)
		return false;
	if (ret)
		die("cannot be opened for reading", (uint64_t)-ret);
	v->size = image_size(img);
	memset(v->bytes, 0, LOOK_BYTES);
	load_part(img, 0, min(v->size, LOOK_BYTES - LOOK_END), v->bytes);
	load_part(img, v->size - LOOK_END, LOOK_END,
		  v->bytes + LOOK_BYTES - LOOK_END);
	image_close(img, NULL);
	return true;
}

static bool load(const char *path, const char *snapshot, struct view *v)
{
	return load_as("qcow2", path, snapshot, v);
}

static bool same_view(const struct view *a, const struct view *b)
{
	return a->size == b->size && !memcmp(a->bytes, b->bytes, LOOK_BYTES);
}

/* Half of a change is none where all changes at once. */
static void judge_effect(bool done)
{
	if (t.what->effect == KEEPS && !same_view(&t.before, &t.now))
		die("the disk has changed", 0);
	if (t.what->effect == SWITCHES && !done &&
	    !same_view(&t.now, &t.before) && !same_view(&t.now, &t.after))
		die("the disk is neither the old nor the new", 0);
}

/* co. [0, end) of what is there now. */
static void compare_sectors(const struct view *now, uint64_t end, bool done)
{
	for (uint64_t o = 0; o < end; o += SECTOR_SIZE)
		if (memcmp(now->bytes + o, t.after.bytes + o, SECTOR_SIZE) &&
		    (done || memcmp(now->bytes + o, t.before.bytes + o,
				    SECTOR_SIZE)))
			die(done ? "wrong content at" :
				   "neither old nor new content at", o);
}

/* co. Only the begin: what lies behind the end of the disk is nobody's. */
static void compare_raw(bool done)
{
	static struct view raw;
	uint64_t size;

	if (!t.has_raw)
		return;
	load_as("raw", t.work_data, NULL, &raw);
	size = min(min(raw.size, t.now.size), LOOK_BYTES);
	compare_sectors(&raw, align_down(size, SECTOR_SIZE) - LOOK_END, done);
}

static void compare(bool done)
{
	const struct view *now = &t.now, *old = &t.before, *new = &t.after;
	uint64_t end = LOOK_BYTES;

	load(t.work, NULL, &t.now);
	/* In between. */
	if (!strcmp(t.what->name, "cut") && !done && now->size != new->size)
		end = min(now->size, LOOK_BYTES - LOOK_END);
	else if (now->size != new->size && (done || now->size != old->size))
		die("the size is neither old nor new", now->size);
	compare_sectors(now, end, done);
	judge_effect(done);
	compare_raw(done);
}

/* co. Only "delete" may take it away. */
static void judge_snapshot(const char *path)
{
	if (!t.has_snapshot)
		return;
	if (!load(path, "s", &t.now)) {
		if (strcmp(t.what->name, "delete"))
			die("the snapshot is gone", 0);
	} else if (!same_view(&t.now, &t.snapshot)) {
		die("the snapshot has changed", 0);
	}
}

/* co. False: there is no such bitmap, or it does not count. */
static bool load_marks(const char *path, struct marks *m)
{
	const uint64_t size = LOOK_BYTES - LOOK_END;
	struct qcow2_bitmap *b = NULL;
	uint64_t start, end = 0;
	struct image *img;
	struct qcow2 *q;

	memset(m, 0, sizeof(*m));
	if (open_image(path, IMAGE_RDWR, &img, NULL))
		die("cannot be opened for its bitmaps", 0);
	q = qcow2_of(img);
	for (unsigned int i = 0; q->bitmaps && i < q->bitmaps->nr; i++)
		if (!strcmp(q->bitmaps->v[i].name, "b"))
			b = &q->bitmaps->v[i];
	if (b && (!qcow2_bitmap_usable(b) || qcow2_bitmap_load(q, b)))
		b = NULL;
	while (b && end < size && qcow2_bitmap_next(q, b, end, &start, &end))
		for (uint64_t o = start; o < min(end, size); o += SECTOR_SIZE)
			m->v[o / SECTOR_SIZE] = true;
	image_close(img, NULL);
	return b;
}

/* co. After compare(). Only the begin of the disk: sizes change. */
static void judge_marks(void)
{
	bool cleared = !strcmp(t.what->name, "bitmap-clear");
	static struct marks m;

	/* What was cut off is new space when it comes back. */
	if (!t.has_marks || !strcmp(t.what->name, "cut") ||
	    !load_marks(t.work, &m))
		return;
	for (uint64_t o = 0; o < min(t.now.size, LOOK_BYTES) - LOOK_END;
	     o += SECTOR_SIZE) {
		if (m.v[o / SECTOR_SIZE])
			continue;
		if (t.marks.v[o / SECTOR_SIZE] && !cleared)
			die("a bitmap has forgotten about", o);
		if (memcmp(t.now.bytes + o, t.before.bytes + o, SECTOR_SIZE))
			die("a bitmap does not know of a change at", o);
	}
}

/* co. Whatever the flags say, a guest who writes to the disk writes to no
 * snapshot. */
static void scribble(void)
{
	struct image *img;
	uint64_t n;

	if (!t.has_snapshot && t.what->flags_left != MORE)
		return;
	copy_file(t.work, t.trial);
	if (open_image(t.trial, IMAGE_RDWR, &img, NULL))
		die("cannot be opened for writing", 0);
	for (uint64_t o = 0; o < image_size(img); o += n) {
		n = min(image_size(img) - o, 64 * KiB);
		if (write_some(img, o, n, 0xee))
			die("cannot be written to at", o);
	}
	if (image_close(img, NULL))
		die("cannot be closed after writing", 0);
	judge_snapshot(t.trial);
	if (count_corruptions(t.trial, true))
		die("corruptions after writing and mending leaks", 0);
}

static void must_be_good(bool done)
{
	uint64_t corruptions = count_corruptions(t.work, false);

	if (corruptions > (done ? 0 : t.corruptions))
		die(done ? "corruptions are left" : "new corruptions",
		    corruptions);
	compare(done);
	if (!done)
		judge_marks();
	judge_snapshot(t.work);
}

/* ---- runs ---- */

/* co */
static bool has_raw_data(void)
{
	struct image_info info;
	struct image *img;
	bool raw;

	if (!t.data || open_image(t.work, 0, &img, NULL))
		return false;
	if (image_get_info(img, &info, NULL))
		die("no information", 0);
	raw = info.qcow2.data_file_raw;
	image_info_free(&info);
	image_close(img, NULL);
	return raw;
}

/* What it is like when nothing fails. */
static void run_well(void)
{
	begin_anew();
	t.has_raw = has_raw_data();
	if (!t.what->create) {
		t.corruptions = count_corruptions(t.work, false);
		load(t.work, NULL, &t.before);
		/* What is broken may be mended. */
		t.has_snapshot = !t.corruptions &&
				 load(t.work, "s", &t.snapshot);
		t.has_marks = !t.corruptions && load_marks(t.work, &t.marks);
	}
	if (do_it(false))
		die("fails of its own", 0);
	load(t.work, NULL, &t.after);
	must_be_good(true);
}

/* False when nothing was left to fail. */
static bool run_failing(uint64_t n, bool persistent)
{
	bool reached;
	int ret;

	begin_anew();
	t.told = false;
	t.count = 0;
	t.fail_at = n;
	ret = do_it(persistent);
	reached = t.count >= n;
	t.fail_at = 0;
	t.count = n;			/* for messages */
	if (ret && !reached)
		die("fails without a reason", (uint64_t)-ret);
	if (!ret || !t.what->create) {
		must_be_good(!ret);
		scribble();
	}
	if (do_it(false))
		die("cannot be done again", 0);
	must_be_good(true);
	return reached;
}

static int run_all(void *arg)
{
	uint64_t n, runs;
	bool odd;

	run_well();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		t.way = &ways[i];
		runs = 1;
		for (n = 1 + i % t.every; n < RUNS_MAX; n += t.every, runs++) {
			odd = n / t.every % 2;
			if (!run_failing(n, odd))
				break;
			if (t.twice)
				run_failing(n, !odd);
		}
		printf("# %s: %" PRIu64 " runs, %" PRIu64 " operations\n",
		       t.way->name, runs, n);
		if (n < 3)
			die("hardly anything failed", n);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *every = getenv("FAILNTH_EVERY");

	if (argc != 4 && argc != 6)
		return 2;
	t.what = find_what(argv[1]);
	t.image = argv[2];
	t.work = argv[3];
	t.data = argv[4];
	t.work_data = t.data ? argv[5] : NULL;
	t.every = every ? (uint64_t)max(atoi(every), 1) : 1;
	t.ask_qemu = getenv("FAILNTH_QEMU");
	t.twice = getenv("FAILNTH_TWICE");
	if (!t.what || asprintf(&t.trial, "%s-trial", t.work) < 0)
		return 2;
	t.loop = loop_new();
	if (!t.loop || co_run(t.loop, run_all, NULL))
		return 1;
	loop_free(t.loop);
	free(t.trial);
	return 0;
}
