/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hostile image: the first byte says how it is opened, the rest is its
 * contents as runs: where (24 bits), how long (16 bits), the bytes. Of such an
 * image all is asked that the tool can ask, and it may be written to.
 *
 * What must hold: a refusal has a sentence; an extent lies within what was asked
 * for; what is said to be zero reads as zeroes, where nobody writes.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/log.h"
#include "image/formats/vhd-footer.h"
#include "image/formats/vhdx-checksum.h"
#include "image/formats/vhdx-log.h"
#include "image/graph/format.h"
#include "image/graph/open.h"
#include "image/image.h"
#include "image/node.h"
#include "io/coroutine.h"
#include "io/loop.h"

#define SUMS_TOO 0x20		/* checksums are made right */
#define WRITE_TOO 0x40
#define REPAIR_TOO 0x80
#define MAX_EXTENTS 64
#define BUFFER (64 * KiB)

/* By number, so that seeds stay what they are when formats are added. */
static const char *const formats[] = {
	"qcow2", "vdi", "vpc", "vmdk", "qed", "qcow", "vhdx", "parallels",
	"bochs", "cloop", "dmg", "luks",
};

static char dir[64], path[80], data_path[80];
static uint8_t buffer[BUFFER];

struct job {
	struct loop *loop;
	const char *format;
	uint8_t how;
};

static void clean_up(void)
{
	unlink(path);
	unlink(data_path);
	rmdir(dir);
}

static void set_up(void)
{
	const char *where = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";

	log_init("fuzz-image", LOG_LEVEL_ERROR, true);
	snprintf(dir, sizeof(dir), "%s/fuzz-image.XXXXXX", where);
	MUST(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/image", dir);
	snprintf(data_path, sizeof(data_path), "%s/data", dir);
	atexit(clean_up);
}

static void sum_vhdx(int fd, uint64_t at, size_t len)
{
	static uint8_t p[VHDX_TABLE_BYTES];
	uint8_t sum[4];

	memset(p, 0, sizeof(p));
	MUST(pread(fd, p, len, (off_t)at) >= 0);
	store_le32(sum, vhdx_checksum(p, len));
	if (load_le32(p))
		MUST(pwrite(fd, sum, 4, (off_t)at + 4) == 4);
}

/* Entries begin at sectors of 4 KiB. */
static void sum_vhdx_log(int fd)
{
	uint8_t h[VHDX_HEADER_BYTES] = { 0 }, e[12];
	uint64_t at, end;

	MUST(pread(fd, h, sizeof(h), VHDX_HEADER_1) >= 0);
	at = load_le64(h + VHDX_AT_LOG_OFFSET) % (16 * MiB);
	end = at + min(load_le32(h + VHDX_AT_LOG_LENGTH), MiB);
	for (; at < end; at += 4096) {
		memset(e, 0, sizeof(e));
		MUST(pread(fd, e, sizeof(e), (off_t)at) >= 0);
		if (!memcmp(e, "loge", 4) &&
		    load_le32(e + 8) <= VHDX_TABLE_BYTES)
			sum_vhdx(fd, at, load_le32(e + 8));
	}
}

static void sum_vhd(int fd, off_t at, size_t len, size_t where)
{
	uint8_t p[VHD_DYNAMIC_BYTES] = { 0 }, sum[4];

	if (at < 0)
		return;
	MUST(pread(fd, p, len, at) >= 0);
	store_be32(sum, vhd_checksum(p, len, where));
	if (load_be32(p))
		MUST(pwrite(fd, sum, 4, at + (off_t)where) == 4);
}

/* A fuzzer does not find these by itself. */
static void make_sums(int fd, const char *format)
{
	off_t end = lseek(fd, 0, SEEK_END);

	if (!strcmp(format, "vhdx")) {
		sum_vhdx(fd, VHDX_HEADER_1, VHDX_HEADER_BYTES);
		sum_vhdx(fd, VHDX_HEADER_2, VHDX_HEADER_BYTES);
		sum_vhdx(fd, VHDX_REGIONS_1, VHDX_TABLE_BYTES);
		sum_vhdx(fd, VHDX_REGIONS_2, VHDX_TABLE_BYTES);
		sum_vhdx_log(fd);
	} else if (!strcmp(format, "vpc")) {
		sum_vhd(fd, VHD_FOOTER_BYTES, VHD_DYNAMIC_BYTES,
			VHD_DYNAMIC_CHECKSUM);
		sum_vhd(fd, 0, VHD_FOOTER_BYTES, VHD_CHECKSUM);
		sum_vhd(fd, end - VHD_FOOTER_BYTES, VHD_FOOTER_BYTES,
			VHD_CHECKSUM);
	}
}

static void write_file(const struct job *j, const uint8_t *data, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	MUST(fd >= 0);
	while (size > 5) {
		uint32_t at = load_le16(data) | (uint32_t)data[2] << 16;
		size_t n = load_le16(data + 3);

		data += 5;
		size -= 5;
		n = min(n, size);
		MUST(pwrite(fd, data, n, at) == (ssize_t)n);
		data += n;
		size -= n;
	}
	if (j->how & SUMS_TOO)
		make_sums(fd, j->format);
	close(fd);
}

static void read_some(struct image *img, uint64_t off, uint64_t len, bool zero)
{
	len = min(len, BUFFER);
	memset(buffer, 0xa5, sizeof(buffer));
	if (image_pread(img, off, len, buffer))
		return;
	for (uint64_t i = 0; zero && i < len; i++)
		MUST(!buffer[i]);
}

static void walk(struct image *img, bool changed)
{
	uint64_t size = image_size(img), off = 0;
	struct image_extent e;

	for (int i = 0; i < MAX_EXTENTS && off < size; i++) {
		uint64_t len = min(size - off, UINT64_C(1) << 40);

		if (image_block_status_chain(img, off, len, &e)) {
			read_some(img, off, min(len, 4096), false);
			off += min(len, MiB);
			continue;
		}
		MUST(e.length && e.length <= len);
		read_some(img, off, e.length,
			  !changed && (e.flags & IMAGE_EXTENT_ZERO));
		off += e.length;
	}
	if (size > 5000)
		read_some(img, size - 5000, 5000, false);
}

static void write_all_over(struct image *img)
{
	uint64_t size = image_size(img);

	memset(buffer, 0x5a, sizeof(buffer));
	for (uint64_t off = 0; off < size; off += 1 + size / 5)
		image_pwrite(img, off, min(size - off, BUFFER), buffer);
	image_pwrite_zeroes(img, size / 3, min(size - size / 3, MiB),
			    IMAGE_ZERO_UNMAP);
	image_pdiscard(img, size / 2, min(size - size / 2, MiB));
	image_flush(img);
}

/* Where the data is that an image says is elsewhere: nowhere else. */
static void empty_data_file(void)
{
	int fd = open(data_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	MUST(fd >= 0);
	close(fd);
}

static struct image *open_image(struct job *j, unsigned int flags)
{
	static const struct image_node node = { .data_file = data_path };
	struct image_options opts = {
		.node = &node,
		.flags = flags | IMAGE_SHARE | IMAGE_NO_BACKING,
		.cache = IMAGE_CACHE_UNSAFE,
		.aio = AIO_THREADS,
	};
	struct error err = ERROR_INIT;
	struct image *img;
	int ret = image_open(j->loop, path, j->format, &opts, &img, &err);

	MUST(ret == 0 || ret == -ENOMEM || err.msg[0]);
	MUST(!ret == !!img);
	return img;
}

static void look(struct job *j)
{
	struct image *img = open_image(j, IMAGE_NO_IO);
	struct error err = ERROR_INIT;
	struct image_info info;

	if (!img)
		return;
	image_get_info(img, &info, &err);
	image_info_free(&info);
	image_close(img, NULL);
}

static void check(struct job *j, enum image_repair repair)
{
	unsigned int flags = IMAGE_REPAIR | (repair ? IMAGE_RDWR : 0);
	struct image *img = open_image(j, flags);
	struct image_check result = { 0 };

	if (!img)
		return;
	image_check(img, repair, &result, NULL);
	image_close(img, NULL);
}

static int run(void *arg)
{
	struct job *j = arg;
	struct image *img;

	look(j);
	img = open_image(j, 0);
	if (img)
		walk(img, false);
	image_close(img, NULL);
	check(j, IMAGE_REPAIR_NONE);
	if (j->how & REPAIR_TOO)
		check(j, IMAGE_REPAIR_ALL);
	if (!(j->how & WRITE_TOO))
		return 0;
	img = open_image(j, IMAGE_RDWR | IMAGE_UNMAP);
	if (img) {
		write_all_over(img);
		walk(img, true);
	}
	image_close(img, NULL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	struct job j;

	if (!size)
		return 0;
	if (!loop) {
		set_up();
		loop = loop_new();
	}
	MUST(loop);
	j = (struct job){
		.loop = loop,
		.format = formats[(*data & 0x1f) % ARRAY_SIZE(formats)],
		.how = *data,
	};
	if (!image_format_known(j.format))
		return 0;
	write_file(&j, data + 1, size - 1);
	empty_data_file();
	co_run(loop, run, &j);
	return 0;
}
