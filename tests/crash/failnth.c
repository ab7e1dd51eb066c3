/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * failnth.c: every operation of the file fails once.
 *
 *	failnth WHAT IMAGE WORK
 *
 * Does WHAT (write, discard, zero, grow, repair, create) to WORK, a copy of
 * IMAGE, again and again; in the n-th run the n-th read, write, flush or
 * fallocate() of the file below fails, in one of five ways. Afterwards WORK
 * must have no more corruptions than IMAGE has, each of its sectors must be what
 * it was before or what WHAT makes of it, and doing it again must succeed. A run
 * in which nothing failed is the last one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/image.h"
#include "image/loop.h"

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

struct what {
	const char *name;
	unsigned int flags;		/* to open with */
	bool creates;			/* there is nothing to open */
	int (*run)(struct image *img, struct error *err);
};

static struct {
	struct loop *loop;
	const char *image, *work;
	const struct what *what;
	const struct way *way;
	uint64_t count, fail_at;	/* operations; 0: none fails */
	/* what the parts of the disk hold that are looked at */
	uint8_t before[LOOK_BYTES], after[LOOK_BYTES], now[LOOK_BYTES];
	uint64_t size_before, size_after;
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
	if (!t.what->creates || !fails(false))
		return false;
	errno = t.way->error;
	return true;
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	if (!call_fails())
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
	return call_fails() ? -1 : __real_fdatasync(fd);
}

static void die(const char *what, uint64_t n)
{
	fprintf(stderr, "failnth: run %" PRIu64 " (%s): %s (%" PRIu64 ")\n",
		t.fail_at ? t.fail_at : t.count, t.way ? t.way->name : "none",
		what, n);
	exit(1);
}

/* ---- what is done ---- */

static int write_some(struct image *img, uint64_t off, uint64_t len, int byte)
{
	cleanup_free uint8_t *buf = malloc(len);

	memset(buf, byte, len);
	return image_pwrite(img, off, len, buf);
}

static int do_write(struct image *img, struct error *err)
{
	int ret = write_some(img, 1000, 9000, 0xa1);

	ret = ret ? ret : write_some(img, 300 * KiB, 70000, 0xa2);
	ret = ret ? ret : image_flush(img);
	ret = ret ? ret : write_some(img, 1500 * KiB, 5000, 0xa3);
	ret = ret ? ret : write_some(img, 20 * KiB, 40 * KiB, 0xa4);
	return ret ? ret : image_flush(img);
}

static int do_discard(struct image *img, struct error *err)
{
	int ret = image_pdiscard(img, 0, 200 * KiB);

	ret = ret ? ret : image_flush(img);
	ret = ret ? ret : write_some(img, 640 * KiB, 128 * KiB, 0xb1);
	ret = ret ? ret : image_pdiscard(img, 1 * MiB, 512 * KiB);
	return ret ? ret : image_flush(img);
}

static int do_zero(struct image *img, struct error *err)
{
	int ret = image_pwrite_zeroes(img, 10000, 300000, IMAGE_ZERO_UNMAP);

	ret = ret ? ret : image_pwrite_zeroes(img, 700 * KiB, 300000, 0);
	return ret ? ret : image_flush(img);
}

static int do_grow(struct image *img, struct error *err)
{
	uint64_t size = image_size(img);
	int ret = 0;

	/* Done before, perhaps. */
	if (size < 6 * MiB)
		ret = image_truncate(img, 6 * MiB, err);
	ret = ret ? ret : write_some(img, 6 * MiB - 20 * KiB, 9000, 0xc1);
	return ret ? ret : image_flush(img);
}

static int do_repair(struct image *img, struct error *err)
{
	struct image_check c = { 0 };
	int ret = image_check(img, IMAGE_REPAIR_ALL, &c, err);

	return ret ? ret : c.check_errors ? -EIO : 0;
}

static int do_create(struct image *img, struct error *err)
{
	struct image_create_option o[] = {
		{ "cluster_size", "4k" }, { "preallocation", "metadata" },
	};

	return image_create(t.loop, t.work, "qcow2", 4 * MiB, o, ARRAY_SIZE(o),
			    err);
}

static const struct what whats[] = {
	{ "write", IMAGE_RDWR | IMAGE_UNMAP, false, do_write },
	{ "discard", IMAGE_RDWR | IMAGE_UNMAP, false, do_discard },
	{ "zero", IMAGE_RDWR | IMAGE_UNMAP, false, do_zero },
	{ "grow", IMAGE_RDWR | IMAGE_UNMAP, false, do_grow },
	{ "repair", IMAGE_RDWR | IMAGE_REPAIR, false, do_repair },
	{ "create", 0, true, do_create },
};

static int open_image(const char *path, unsigned int flags, struct image **img,
		      struct error *err)
{
	struct image_options opts = {
		.flags = flags, .cache = IMAGE_CACHE_WRITEBACK,
		.aio = AIO_THREADS,
	};

	return image_open(t.loop, path, "qcow2", &opts, img, err);
}

/* 0 or -errno; a failure that is not explained is one of ours. */
static int do_it(void)
{
	struct error err = ERROR_INIT, close_err = ERROR_INIT;
	struct image *img = NULL;
	int ret = 0, closed = 0;

	if (!t.what->creates)
		ret = open_image(t.work, t.what->flags, &img, &err);
	if (ret && !err.msg[0])
		die("no reason is given", (uint64_t)-ret);
	if (!ret)
		ret = t.what->run(img, &err);
	if (img)
		closed = image_close(img, &close_err);
	if (closed && !close_err.msg[0])
		die("no reason is given by close", (uint64_t)-closed);
	return ret ? ret : closed;
}

/* ---- what it must have left ---- */

static void copy_image(void)
{
	cleanup_fd int in = open(t.image, O_RDONLY);
	cleanup_fd int out = open(t.work, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	static uint8_t buf[MiB];
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			die("cannot copy the image", 0);
}

/* A flag that says "shared" of what is not costs a copy, never data: such flags
 * are left between refcounts that have gone down and the flags that follow. */
static void count_harmless(void *arg, const char *sentence)
{
	size_t len = strlen(sentence);

	if (!strncmp(sentence, "ERROR OFLAG_COPIED", 18) &&
	    !strcmp(sentence + len - 11, " refcount=1"))
		++*(uint64_t *)arg;
}

static uint64_t count_corruptions(const char *path)
{
	uint64_t harmless = 0;
	struct image_check c = {
		.report = count_harmless, .report_arg = &harmless,
	};
	struct image *img;

	if (open_image(path, IMAGE_REPAIR | IMAGE_NO_BACKING, &img, NULL))
		die("cannot be opened for a check", 0);
	if (image_check(img, IMAGE_REPAIR_NONE, &c, NULL) || c.check_errors)
		die("cannot be checked", c.check_errors);
	image_close(img, NULL);
	return c.corruptions - harmless;
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

static void load(uint8_t *out, uint64_t *size)
{
	struct image *img;

	if (open_image(t.work, 0, &img, NULL))
		die("cannot be opened for reading", 0);
	*size = image_size(img);
	if (*size < LOOK_BYTES)
		die("the disk is too small for this test", *size);
	load_part(img, 0, LOOK_BYTES - LOOK_END, out);
	load_part(img, *size - LOOK_END, LOOK_END, out + LOOK_BYTES - LOOK_END);
	image_close(img, NULL);
}

static void compare(bool done)
{
	uint64_t size;

	load(t.now, &size);
	if (size != t.size_after && (done || size != t.size_before))
		die("the size is neither old nor new", size);
	for (uint64_t o = 0; o < LOOK_BYTES; o += SECTOR_SIZE)
		if (memcmp(t.now + o, t.after + o, SECTOR_SIZE) &&
		    (done || memcmp(t.now + o, t.before + o, SECTOR_SIZE)))
			die(done ? "wrong content at" :
				   "neither old nor new content at", o);
}

static void must_be_good(bool done)
{
	uint64_t corruptions = count_corruptions(t.work);

	if (corruptions > (done ? 0 : t.corruptions))
		die(done ? "corruptions are left" : "new corruptions",
		    corruptions);
	compare(done);
}

/* ---- runs ---- */

/* What it is like when nothing fails. */
static void run_well(void)
{
	if (t.what->creates) {
		unlink(t.work);
	} else {
		copy_image();
		t.corruptions = count_corruptions(t.work);
		load(t.before, &t.size_before);
	}
	if (do_it())
		die("fails of its own", 0);
	load(t.after, &t.size_after);
	must_be_good(true);
}

/* False when nothing was left to fail. */
static bool run_failing(uint64_t n)
{
	bool reached;
	int ret;

	if (t.what->creates)
		unlink(t.work);
	else
		copy_image();
	t.count = 0;
	t.fail_at = n;
	ret = do_it();
	reached = t.count >= n;
	t.fail_at = 0;
	t.count = n;			/* for messages */
	if (ret && !reached)
		die("fails without a reason", (uint64_t)-ret);
	if (!ret || !t.what->creates)
		must_be_good(!ret);
	if (do_it())
		die("cannot be done again", 0);
	must_be_good(true);
	return reached;
}

static int run_all(void *arg)
{
	uint64_t n;

	run_well();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		t.way = &ways[i];
		for (n = 1; n < RUNS_MAX && run_failing(n); n++)
			;
		printf("# %s: %" PRIu64 " runs\n", t.way->name, n);
		if (n < 3)
			die("hardly anything failed", n);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	t.image = argv[2];
	t.work = argv[3];
	for (size_t i = 0; i < ARRAY_SIZE(whats); i++)
		if (!strcmp(argv[1], whats[i].name))
			t.what = &whats[i];
	if (!t.what)
		return 2;
	t.loop = loop_new();
	if (!t.loop || co_run(t.loop, run_all, NULL))
		return 1;
	loop_free(t.loop);
	return 0;
}
