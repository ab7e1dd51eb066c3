/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * curl.c: the protocols "http", "https", "ftp", "ftps": a file on a server, read
 * only, by ranges, by libcurl.
 *
 * Transfers are blocking calls in pool threads, a few side by side; each has a
 * handle whose connection is kept for the next. Small reads (tables) come out of
 * a cache of blocks, big ones go to the reader's memory directly.
 *
 * The server is not trusted: what it sends beyond the range asked for, another
 * length of the file than at first, or the whole file instead of a part of it
 * fail the request. It does not lead elsewhere: redirect.h.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "io/coroutine.h"
#include "image/driver.h"
#include "image/protocols/redirect.h"
#include "io/loop.h"

#define BLOCK_SIZE (256 * KiB)
#define NR_BLOCKS 32
#define MAX_TRANSFER ((uint64_t)4 * MiB)
#define NR_HANDLES 8
#define CONNECT_TIMEOUT_S 20L
#define STALL_TIMEOUT_S 30L	/* with less than a byte a second */

struct transfer {
	CURL *handle;
	const char *url;
	uint64_t file_size;		/* bytes */
	uint64_t off, len, done;	/* bytes */
	char *buf;
	bool no_range;			/* the whole file came */
	bool changed;			/* its length is another one now */
	struct error error;
};

struct block {
	struct list lru;		/* in web.blocks, oldest first */
	uint64_t off;			/* in the file, UINT64_MAX: empty */
	int error;			/* of the transfer, for those who wait */
	bool loading;
	struct co_queue waiters;
	char *data;			/* BLOCK_SIZE bytes */
};

struct web {
	CURL *handles[NR_HANDLES];	/* idle ones */
	unsigned int nr_idle;
	struct co_queue idle;
	struct list blocks;
	struct block storage[NR_BLOCKS];
};

/* ---- a transfer, in a pool thread ---- */

/* "Content-Range: bytes 0-99/1000"; the length may be "*". */
static size_t take_header(char *line, size_t size, size_t nr, void *arg)
{
	static const char name[] = "content-range:";
	struct transfer *t = arg;
	size_t len = size * nr;
	const char *slash;
	char text[128];

	if (len <= strlen(name) || len >= sizeof(text) ||
	    strncasecmp(line, name, strlen(name)))
		return len;
	memcpy(text, line, len);
	text[len] = '\0';
	slash = strchr(text, '/');
	if (slash && isdigit((unsigned char)slash[1]) &&
	    strtoull(slash + 1, NULL, 10) != t->file_size)
		t->changed = true;
	return len;
}

/* Returning less than it was given ends the transfer. What comes with a
 * redirect is not the file. */
static size_t take_data(char *data, size_t size, size_t nr, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * nr;
	long status = 0;

	curl_easy_getinfo(t->handle, CURLINFO_RESPONSE_CODE, &status);
	if (status / 100 == 3)
		return len;
	if (status == 200 && (t->off || t->len < t->file_size))
		t->no_range = true;
	if (t->no_range || t->changed || len > t->len - t->done)
		return 0;
	memcpy(t->buf + t->done, data, len);
	t->done += len;
	return len;
}

/* libcurl asks once a second at least, whatever it waits for. */
static int is_unwanted(void *loop, curl_off_t down_total, curl_off_t down,
		       curl_off_t up_total, curl_off_t up)
{
	return loop_cancelled(loop);
}

static int64_t perform(void *arg)
{
	struct transfer *t = arg;
	char range[64];
	int ret;

	snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, t->off,
		 t->off + t->len - 1);
	curl_easy_setopt(t->handle, CURLOPT_RANGE, range);
	curl_easy_setopt(t->handle, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(t->handle, CURLOPT_WRITEDATA, t);
	ret = redirect_perform(t->handle, t->url, &t->error);
	if (ret == 0 && t->done != t->len)
		ret = error_set(&t->error, EIO, "it ended early");
	return ret;
}

static void complain(const struct image *img, const struct transfer *t)
{
	log_error("%s: bytes %" PRIu64 " to %" PRIu64 " cannot be read: %s",
		  img->path, t->off, t->off + t->len - 1,
		  t->no_range ? "the server does not send parts of files" :
		  t->changed ? "the file has another length than before" :
		  t->error.msg);
}

/* co */
static int fetch(struct image *img, uint64_t off, uint64_t len, char *buf)
{
	struct web *w = img->state;
	struct transfer t = {
		.url = img->path, .file_size = img->size,
		.off = off, .len = len, .buf = buf,
	};
	int ret;

	while (!w->nr_idle)
		co_queue_wait(&w->idle);
	t.handle = w->handles[--w->nr_idle];
	ret = image_cancelled(img);
	if (!ret)
		ret = (int)loop_offload(img->loop, perform, &t);
	if (ret && !image_cancelled(img))
		complain(img, &t);
	w->handles[w->nr_idle++] = t.handle;
	co_queue_wake_one(&w->idle);
	return ret;
}

/* ---- blocks ---- */

static struct block *find_block(struct web *w, uint64_t off)
{
	struct block *b;

	list_for_each(b, &w->blocks, lru)
		if (b->off == off)
			return b;
	return NULL;
}

/* The oldest that nobody is loading, NULL: all are being loaded. */
static struct block *oldest_block(struct web *w)
{
	struct block *b;

	list_for_each(b, &w->blocks, lru)
		if (!b->loading)
			return b;
	return NULL;
}

static int load_block(struct image *img, struct block *b, uint64_t off)
{
	if (!b->data)
		b->data = malloc(BLOCK_SIZE);
	if (!b->data)
		return -ENOMEM;
	b->off = off;
	b->loading = true;
	b->error = fetch(img, off, min((uint64_t)BLOCK_SIZE, img->size - off),
			 b->data);
	b->loading = false;
	if (b->error)
		b->off = UINT64_MAX;
	co_queue_wake_all(&b->waiters);
	return b->error;
}

/* co. `len` bytes that lie in one block. */
static int read_small(struct image *img, uint64_t off, uint64_t len,
		      struct iow to)
{
	uint64_t start = align_down(off, (uint64_t)BLOCK_SIZE);
	struct web *w = img->state;
	struct block *b;
	int ret = 0;

	while ((b = find_block(w, start)) && b->loading)
		co_queue_wait(&b->waiters);
	if (!b) {
		b = oldest_block(w);
		if (!b) {
			cleanup_free char *buf = malloc(len);

			ret = buf ? fetch(img, off, len, buf) : -ENOMEM;
			if (!ret)
				iow_from_buf(to, buf, len);
			return ret;
		}
		ret = load_block(img, b, start);
	}
	if (ret)
		return ret;
	list_del(&b->lru);
	list_add_tail(&w->blocks, &b->lru);
	iow_from_buf(to, b->data + (off - start), len);
	return 0;
}

static int read_big(struct image *img, uint64_t off, uint64_t len,
		    struct iow to)
{
	char *direct = iow_linear(to, len);
	cleanup_free char *bounce = direct ? NULL : malloc(len);
	int ret;

	if (!direct && !bounce)
		return -ENOMEM;
	ret = fetch(img, off, len, direct ? direct : bounce);
	if (!ret && bounce)
		iow_from_buf(to, bounce, len);
	return ret;
}

static int web_preadv(struct image *img, uint64_t off, uint64_t len,
		      struct iow to)
{
	uint64_t have = off < img->size ? min(len, img->size - off) : 0;
	uint64_t n;
	int ret = 0;

	iow_zero(iow_advance(to, have), len - have);
	for (; have && !ret; off += n, have -= n, to = iow_advance(to, n)) {
		n = min(have, BLOCK_SIZE - off % BLOCK_SIZE);
		if (have < BLOCK_SIZE) {
			ret = read_small(img, off, n, to);
		} else {
			n = min(have, MAX_TRANSFER);
			ret = read_big(img, off, n, to);
		}
	}
	return ret;
}

/* ---- opening ---- */

static CURL *new_curl_handle(struct loop *loop)
{
	CURL *h = curl_easy_init();

	if (!h)
		return NULL;
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https,ftp,ftps");
	curl_easy_setopt(h, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, is_unwanted);
	curl_easy_setopt(h, CURLOPT_XFERINFODATA, loop);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, STALL_TIMEOUT_S);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_data);
	return h;
}

struct size_query {
	CURL *handle;
	const char *url;
	curl_off_t size;
	struct error *err;
};

static int64_t ask_size(void *arg)
{
	struct size_query *q = arg;
	struct transfer nothing = { .handle = q->handle };
	int ret;

	curl_easy_setopt(q->handle, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(q->handle, CURLOPT_HEADERDATA, &nothing);
	curl_easy_setopt(q->handle, CURLOPT_WRITEDATA, &nothing);
	ret = redirect_perform(q->handle, q->url, q->err);
	curl_easy_setopt(q->handle, CURLOPT_HTTPGET, 1L);
	curl_easy_getinfo(q->handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
			  &q->size);
	return ret;
}

/* ask_size() leaves NOBODY to HTTPGET for http; ftp has to be told. */
static int find_curl_size(struct image *img, struct error *err)
{
	struct web *w = img->state;
	struct size_query q = {
		.handle = w->handles[0], .url = img->path, .size = -1,
		.err = err,
	};
	int ret = (int)loop_offload(img->loop, ask_size, &q);

	curl_easy_setopt(q.handle, CURLOPT_NOBODY, 0L);
	if (ret && image_cancelled(img))
		ret = error_set(err, ECANCELED, "given up");
	if (ret)
		return error_prefix(err, ret, "%s", img->path);
	if (q.size < 0)
		return error_set(err, ENOTSUP, "%s: the server does not say "
				 "how long the file is", img->path);
	img->size = (uint64_t)q.size;
	return 0;
}

static int web_close(struct image *img, struct error *err)
{
	struct web *w = img->state;

	while (w->nr_idle)
		curl_easy_cleanup(w->handles[--w->nr_idle]);
	for (size_t i = 0; i < NR_BLOCKS; i++)
		free(w->storage[i].data);
	return 0;
}

static int web_open(struct image *img, const struct image_options *opts,
		    struct error *err)
{
	struct web *w = img->state;
	int ret;

	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return error_set(err, ENOMEM, "libcurl cannot be set up");
	co_queue_init(&w->idle);
	list_init(&w->blocks);
	for (size_t i = 0; i < NR_BLOCKS; i++) {
		w->storage[i].off = UINT64_MAX;
		co_queue_init(&w->storage[i].waiters);
		list_add_tail(&w->blocks, &w->storage[i].lru);
	}
	for (size_t i = 0; i < NR_HANDLES; i++) {
		w->handles[w->nr_idle] = new_curl_handle(img->loop);
		if (w->handles[w->nr_idle])
			w->nr_idle++;
	}
	ret = w->nr_idle ? find_curl_size(img, err) : -ENOMEM;
	if (ret)
		web_close(img, NULL);
	img->limits.logical_block = img->limits.physical_block = 512;
	return ret;
}

extern const struct image_driver image_protocol;
const struct image_driver image_protocol = {
	.name = "http",
	.state_size = sizeof(struct web),
	.open = web_open,
	.close = web_close,
	.preadv = web_preadv,
};
