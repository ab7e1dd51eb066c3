/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhdx-log.c: see vhdx-log.h.
 *
 * The log is a ring of 4 KiB sectors with entries in it, one behind the other:
 *
 *	header		"loge", checksum, how long the entry is, where the
 *			oldest entry is that is needed with it (tail), sequence
 *			number
 *	descriptors	"desc": a sector of the file has new content
 *			"zero": a range of the file is zeroes
 *	data sectors	"data": the content, but for its first 8 and last 4
 *			bytes, which stand in the descriptor
 *
 * A run of valid entries with consecutive numbers is a sequence; it is whole if
 * it holds the tail of its last entry. The whole one with the highest number is
 * replayed from that tail on. (Source: Microsoft's [MS-VHDX], 2.3 and 2.3.3.)
 *
 * An entry goes to stable storage before the tables are touched. So what is
 * not valid was being written when the writer stopped, and nothing depends on
 * it: an image that has a log without one valid entry is as it stands. Valid
 * entries without a whole sequence are what no writer leaves: damage.
 */
#include "image/formats/vhdx-log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/bits.h"
#include "common/cleanup.h"
#include "image/formats/mapped.h"
#include "image/formats/vhdx-checksum.h"

/* Hyper-V's and QEMU's have 1 MiB. */
#define MAX_LOG (32 * MiB)
/* Entries lie side by side, so that their checksums cost one look at each byte;
 * this is for what is left of older ones. */
#define MAX_LOOKS 16
#define LOG_SECTOR 4096u
#define ENTRY_HEADER 64u
#define DESCRIPTOR 32u
#define GUID_BYTES 16

/* offsets in an entry... */
enum {
	AT_LENGTH = 8, AT_TAIL = 12, AT_NUMBER = 16, AT_COUNT = 24,
	AT_GUID = 32, AT_FLUSHED = 48, AT_LAST = 56,
};
/* ...in a descriptor... */
enum { AT_TRAILING = 4, AT_LEADING = 8, AT_OFFSET = 16, AT_DESC_NUMBER = 24 };
#define AT_ZERO_LENGTH AT_LEADING
/* ...and in a data sector */
enum { AT_HIGH = 4, AT_LOW = LOG_SECTOR - 4 };

enum verdict { NOT_SEEN, GOOD, BAD };

struct ring {
	struct image *file;
	const uint8_t *guid;
	uint8_t *buf;			/* twice the log: entries wrap around */
	uint32_t length;		/* bytes */
	uint8_t *verdicts;		/* enum verdict of what begins there */
	uint64_t looks;			/* bytes that may still be summed */
	struct patch *patches;
	size_t nr, room;
	uint64_t size;			/* of the file, afterwards */
};

struct sequence {
	uint32_t head;			/* where the last entry is */
	uint64_t number;		/* of that; 0: there is none */
};

/* ---- one entry ---- */

static uint64_t descriptor_bytes(const uint8_t *e)
{
	return align_up(ENTRY_HEADER +
			(uint64_t)load_le32(e + AT_COUNT) * DESCRIPTOR,
			LOG_SECTOR);
}

static bool data_sector_good(const uint8_t *s, uint64_t number)
{
	return !memcmp(s, "data", 4) &&
	       load_le32(s + AT_HIGH) == number >> 32 &&
	       load_le32(s + AT_LOW) == (uint32_t)number;
}

/* *data: where its data sector is, or would be; moved on. */
static bool descriptor_good(const uint8_t *e, const uint8_t *d, uint64_t *data)
{
	uint64_t number = load_le64(e + AT_NUMBER), at = *data;

	if (load_le64(d + AT_DESC_NUMBER) != number ||
	    !is_aligned(load_le64(d + AT_OFFSET), LOG_SECTOR))
		return false;
	if (!memcmp(d, "zero", 4))
		return is_aligned(load_le64(d + AT_ZERO_LENGTH), LOG_SECTOR);
	*data += LOG_SECTOR;
	return !memcmp(d, "desc", 4) &&
	       range_within(at, LOG_SECTOR, load_le32(e + AT_LENGTH)) &&
	       data_sector_good(e + at, number);
}

static bool header_good(const struct ring *r, const uint8_t *e)
{
	uint32_t len = load_le32(e + AT_LENGTH), tail = load_le32(e + AT_TAIL);

	return !memcmp(e, "loge", 4) &&
	       !memcmp(e + AT_GUID, r->guid, GUID_BYTES) &&
	       is_aligned(len | tail, LOG_SECTOR) && len &&
	       len <= r->length && tail < r->length &&
	       load_le64(e + AT_NUMBER) && descriptor_bytes(e) <= len;
}

static bool descriptors_good(const uint8_t *e)
{
	uint32_t n = load_le32(e + AT_COUNT);
	uint64_t data = descriptor_bytes(e);

	for (uint32_t i = 0; i < n; i++)
		if (!descriptor_good(e, e + ENTRY_HEADER + i * DESCRIPTOR,
				     &data))
			return false;
	return true;
}

/* 1 if a valid entry begins there, 0 or -EINVAL: too much to look at. */
static int entry_good(struct ring *r, uint32_t at, struct error *err)
{
	const uint8_t *e = r->buf + at;
	uint8_t *verdict = &r->verdicts[at / LOG_SECTOR];
	uint32_t len = load_le32(e + AT_LENGTH);

	if (*verdict != NOT_SEEN)
		return *verdict == GOOD;
	*verdict = BAD;
	if (!header_good(r, e))
		return 0;
	if (r->looks < len)
		return error_set(err, EINVAL, "the entries of the VHDX log lie "
				 "over each other");
	r->looks -= len;
	if (load_le32(e + 4) != vhdx_checksum(e, len) || !descriptors_good(e))
		return 0;
	*verdict = GOOD;
	return 1;
}

/* ---- the sequence ---- */

static uint32_t ring_next(const struct ring *r, uint32_t at)
{
	return (uint32_t)(((uint64_t)at + load_le32(r->buf + at + AT_LENGTH)) %
			  r->length);
}

/* The sequence that begins there; whole or not. */
static int follow(struct ring *r, uint32_t start, struct sequence *s,
		  bool *whole, struct error *err)
{
	uint32_t at = start;
	uint64_t bytes = 0, number;
	int ret;

	*s = (struct sequence){ 0 };
	*whole = false;
	while ((ret = entry_good(r, at, err)) > 0) {
		number = load_le64(r->buf + at + AT_NUMBER);
		bytes += load_le32(r->buf + at + AT_LENGTH);
		if (bytes > r->length || (s->number && number != s->number + 1))
			break;
		*s = (struct sequence){ at, number };
		at = ring_next(r, at);
	}
	if (ret < 0 || !s->number)
		return min(ret, 0);
	for (at = start; at != s->head; at = ring_next(r, at))
		*whole |= at == load_le32(r->buf + s->head + AT_TAIL);
	*whole |= at == load_le32(r->buf + s->head + AT_TAIL);
	return 0;
}

static int find_active(struct ring *r, struct sequence *best, struct error *err)
{
	struct sequence s;
	bool any = false, whole;
	int ret;

	for (uint32_t at = 0; at < r->length; at += LOG_SECTOR) {
		ret = follow(r, at, &s, &whole, err);
		if (ret)
			return ret;
		any |= s.number;
		if (whole && s.number > best->number)
			*best = s;
	}
	if (any && !best->number)
		return error_set(err, EINVAL, "the VHDX log is damaged: none "
				 "of its entries has all those that it needs");
	return 0;
}

/* ---- replay ---- */

static int add_patch(struct ring *r, uint64_t off, uint64_t len,
		     const uint8_t *data, struct error *err)
{
	if (!len)
		return 0;
	if (!range_within(off, len, INT64_MAX))
		return error_set(err, EINVAL, "the VHDX log changes %" PRIu64
				 " bytes at %#" PRIx64 ", which no file has",
				 len, off);
	if (array_reserve(r->patches, r->nr, r->room))
		return -ENOMEM;
	r->patches[r->nr++] = (struct patch){ off, off + len, data };
	if (data)
		r->size = max(r->size, off + len);
	return 0;
}

/* A data sector is made what it stands for where it is: nobody looks at the
 * entry again. */
static int replay_entry(struct ring *r, uint8_t *e, struct error *err)
{
	uint8_t *data = e + descriptor_bytes(e);
	uint32_t n = load_le32(e + AT_COUNT);
	int ret = 0;

	if (load_le64(e + AT_FLUSHED) > r->file->size)
		return error_set(err, EINVAL, "the VHDX image was cut short: "
				 "its log was written when it had %" PRIu64
				 " bytes, now it has %" PRIu64,
				 load_le64(e + AT_FLUSHED), r->file->size);
	for (uint8_t *d = e + ENTRY_HEADER; n-- && !ret; d += DESCRIPTOR) {
		uint64_t off = load_le64(d + AT_OFFSET);

		if (!memcmp(d, "zero", 4)) {
			ret = add_patch(r, off, load_le64(d + AT_ZERO_LENGTH),
					NULL, err);
			continue;
		}
		memcpy(data, d + AT_LEADING, 8);
		memcpy(data + AT_LOW, d + AT_TRAILING, 4);
		ret = add_patch(r, off, LOG_SECTOR, data, err);
		data += LOG_SECTOR;
	}
	return ret;
}

/* The file is at least as large as it was then, in whole MiB. */
static int note_size(struct ring *r, const uint8_t *e, struct error *err)
{
	uint64_t last = load_le64(e + AT_LAST);

	if (last > INT64_MAX - MiB)
		return error_set(err, EINVAL, "the VHDX log says that the file "
				 "has %" PRIu64 " bytes", last);
	r->size = max(r->file->size, align_up(last, MiB));
	return 0;
}

static int replay(struct ring *r, struct error *err)
{
	struct sequence s = { 0 };
	uint32_t at, next;
	int ret = find_active(r, &s, err);

	r->size = r->file->size;
	if (ret || !s.number)
		return ret;
	ret = note_size(r, r->buf + s.head, err);
	at = load_le32(r->buf + s.head + AT_TAIL);
	for (bool last = false; !last && !ret; at = next) {
		last = at == s.head;
		next = ring_next(r, at);
		ret = replay_entry(r, r->buf + at, err);
	}
	return ret;
}

/* ---- */

bool vhdx_log_is_needed(const uint8_t *header)
{
	static const uint8_t none[GUID_BYTES];

	return memcmp(header + VHDX_AT_LOG_GUID, none, GUID_BYTES);
}

static int validate_log_place(const struct image *file, const uint8_t *header,
			      struct error *err)
{
	uint64_t off = load_le64(header + VHDX_AT_LOG_OFFSET);
	uint32_t len = load_le32(header + VHDX_AT_LOG_LENGTH);

	if (load_le16(header + VHDX_AT_LOG_VERSION))
		return error_set(err, ENOTSUP, "VHDX log version %u is not "
				 "supported, only 0",
				 load_le16(header + VHDX_AT_LOG_VERSION));
	if (!len || len % MiB || off < MiB || off % MiB)
		return error_set(err, EINVAL, "a VHDX log of %u bytes at %#"
				 PRIx64 " is not possible: not whole MiB", len,
				 off);
	if (len > MAX_LOG)
		return error_set(err, EFBIG, "the VHDX log of %u bytes is too "
				 "large, at most %" PRIu64, len, MAX_LOG);
	return mapped_judge_table(file, "VHDX log", off, len, 1, err);
}

static int read_ring(struct ring *r, const uint8_t *header, struct error *err)
{
	int ret;

	r->length = load_le32(header + VHDX_AT_LOG_LENGTH);
	r->looks = (uint64_t)r->length * MAX_LOOKS;
	r->buf = calloc(2, r->length);
	r->verdicts = calloc(r->length / LOG_SECTOR, 1);
	if (!r->buf || !r->verdicts)
		return -ENOMEM;
	ret = image_pread(r->file, load_le64(header + VHDX_AT_LOG_OFFSET),
			  r->length, r->buf);
	if (ret)
		return error_set_errno(err, -ret, "reading the log");
	memcpy(r->buf + r->length, r->buf, r->length);
	return 0;
}

int vhdx_log_replay(struct vhdx_log *log, struct image *file,
		    const uint8_t *header, struct error *err)
{
	struct ring r = { .file = file, .guid = header + VHDX_AT_LOG_GUID };
	int ret = validate_log_place(file, header, err);

	if (!ret)
		ret = read_ring(&r, header, err);
	if (!ret)
		ret = replay(&r, err);
	if (!ret)
		ret = patched_init(&log->after, file, r.size, r.patches, r.nr);
	free(r.verdicts);
	free(r.patches);
	log->buf = r.buf;
	return ret;
}

void vhdx_log_deinit(struct vhdx_log *log)
{
	patched_deinit(&log->after);
	free(log->buf);
	log->buf = NULL;
}
