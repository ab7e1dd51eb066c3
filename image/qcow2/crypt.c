/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crypt.c: the guest's data on its way to and from the file.
 *
 * Only clusters with the guest's data are encrypted, in sectors:
 *
 *	crypt_method 1	AES-128-CBC under the first 16 bytes of the passphrase;
 *			the vector is plain64 of the sector's number on the
 *			guest's disk
 *	crypt_method 2	as a LUKS1 header says that lies in clusters of its own;
 *			the vector is that of the sector's number in the file
 *
 * The specification says 256 bits of the first, QEMU has always had 128. No
 * such cluster reads as zeroes by being left unwritten, and a LUKS one cannot be
 * moved within the file without being encrypted anew.
 */
#include "image/qcow2/crypt.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "image/luks/crypto-io.h"
#include "image/luks/luks.h"

static const char *const method_names[] = {
	[QCOW2_CRYPT_AES] = "aes", [QCOW2_CRYPT_LUKS] = "luks",
};

/* ---- data ---- */

static uint64_t vector(const struct qcow2 *q, uint64_t guest, uint64_t host)
{
	return (q->h.crypt_method == QCOW2_CRYPT_AES ? guest : host) /
	       CRYPTO_SECTOR;
}

/* Of a cluster that the file's end cuts the rest is zeroes, as in QEMU: there are
 * programs that do not write it. A data file is as long as the disk. */
static int validate_crypto_end(struct qcow2 *q, uint64_t guest, uint64_t host)
{
	uint64_t end = q->data->size, there = end - min(end, host);

	if (qcow2_external(&q->h) && align_down(host, q->cluster_size) >= end) {
		qcow2_tell(q, LOG_LEVEL_ERROR, "guest offset %#" PRIx64 " lies "
			   "beyond the end of the data file '%s' of %" PRIu64
			   " bytes", guest, q->data->path, end);
		return -EIO;
	}
	if (!(q->img->flags & IMAGE_RDWR))
		qcow2_tell(q, LOG_LEVEL_WARN, "the cluster of guest offset %#"
			   PRIx64 " at %#" PRIx64 " is cut off by the end of "
			   "the file of %" PRIu64 " bytes: the rest of it reads "
			   "as zeroes",
			   align_down(guest + there, q->cluster_size),
			   align_down(host + there, q->cluster_size), end);
	return 0;
}

int qcow2_read_data(struct qcow2 *q, uint64_t guest, uint64_t host,
		    uint64_t len, struct iow w)
{
	int ret = 0;

	if (unlikely(!range_within(host, len, q->data->size)))
		ret = validate_crypto_end(q, guest, host);
	if (unlikely(ret))
		return ret;
	image_event(q->file, IMAGE_EVENT_READ_AIO);
	if (likely(!q->crypto))
		return image_preadv(q->data, host, len, w);
	return crypto_preadv(q->crypto, q->data, host, vector(q, guest, host),
			     len, w);
}

int qcow2_write_data(struct qcow2 *q, uint64_t guest, uint64_t host,
		     uint64_t len, struct iow w)
{
	image_event(q->file, IMAGE_EVENT_WRITE_AIO);
	if (likely(!q->crypto))
		return image_pwritev(q->data, host, len, w);
	return crypto_pwritev(q->crypto, q->data, host, vector(q, guest, host),
			      len, w);
}

/* ---- opening ---- */

struct luks_area qcow2_luks_area(const struct qcow2 *q)
{
	return (struct luks_area){
		q->file, q->h.crypto_offset, q->h.crypto_length,
	};
}

static int open_luks(struct qcow2 *q, const char *id, struct error *err)
{
	struct luks_area area = qcow2_luks_area(q);
	struct luks l;
	int ret = luks_read(&area, &l, err);

	return ret ? ret : luks_open(&area, &l, id, "encrypt.key-secret",
				     &q->crypto, err);
}

int qcow2_crypt_open(struct qcow2 *q, const struct image_node *node,
		     struct error *err)
{
	const char *wanted = node ? node->encrypt_format : NULL;
	const char *id = node ? node->key_secret : NULL;
	int ret;

	if (q->h.crypt_method == QCOW2_CRYPT_NONE)
		return !wanted ? 0 :
			error_set(err, EINVAL, "No encryption in image header, "
				  "but options specified format '%s'", wanted);
	if (wanted && strcmp(wanted, method_names[q->h.crypt_method]))
		return error_set(err, EINVAL, "Header reported '%s' encryption "
				 "format but options specify '%s'",
				 method_names[q->h.crypt_method], wanted);
	if (q->h.crypt_method == QCOW2_CRYPT_AES)
		ret = crypto_open_legacy(q->img, id, &q->crypto, err);
	else
		ret = open_luks(q, id, err);
	q->img->request_align = CRYPTO_SECTOR;
	return ret;
}

/* ---- info ---- */

int qcow2_crypt_info(const struct qcow2 *q, struct image_info_encrypt *e,
		     struct error *err)
{
	struct luks_area area = qcow2_luks_area(q);
	struct luks l;
	int ret;

	e->format = method_names[q->h.crypt_method];
	if (q->h.crypt_method != QCOW2_CRYPT_LUKS)
		return 0;
	ret = luks_read(&area, &l, err);
	if (!ret)
		luks_describe(&l, e);
	return ret;
}
