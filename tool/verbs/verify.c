/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk verify: can all of an image, and of what it stands on, be read?
 *
 * Layer by layer, the image itself first: the metadata is checked, then all
 * that the layer holds is read, unpacked and decrypted, also what the layers
 * above it hide, and compressed clusters that only snapshots have. Nothing is
 * written.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/size.h"
#include "image/check.h"
#include "image/info.h"
#include "image/jobs/pieces.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

/* What is read again in smaller parts where the format has no clusters, and
 * where the status of a place is unknown. */
#define STEP_DEFAULT UINT64_C(4096)
/* Ranges of a layer that are listed; the rest is only counted. */
#define MAX_RANGES 1000u

struct range {
	uint64_t start, length;		/* guest, bytes */
	int error;			/* errno */
};

struct layer {
	struct verify *v;
	struct image *img;
	unsigned int depth;
	struct image_check check;
	bool checked;			/* the format has metadata to check */
	uint64_t step;			/* bytes */
	uint64_t bytes_read, bytes_bad;
	struct range *ranges;		/* where it could not be read */
	size_t nr_ranges;
	int ret;			/* -ENOMEM */
};

struct verify {
	struct tool_common common;
	const char *path;
	struct layer *layers;
	unsigned int nr_layers;
	struct pieces pieces;
	uint64_t done, total;		/* bytes of all layers */
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	TOOL_OUTPUT,
	TOOL_CACHE,
	{ 'T', "source-cache", "MODE", "the same as -t" },
	TOOL_QUIET,
	TOOL_PROGRESS,
	TOOL_SHARE,
	TOOL_END,
};

/* ---- findings ---- */

static void print_layer_finding(void *arg, const char *sentence)
{
	const struct layer *l = arg;

	fflush(stdout);
	fprintf(stderr, "%s: %s\n", image_path(l->img), sentence);
}

/* Ranges come in any order; those side by side are joined at the end. */
static void cannot_read(struct layer *l, uint64_t start, uint64_t length,
			int error)
{
	struct range *v;

	l->bytes_bad += length;
	for (size_t i = 0; i < l->nr_ranges; i++) {
		v = &l->ranges[i];
		if (v->start + v->length == start && v->error == error) {
			v->length += length;
			return;
		}
	}
	if (l->nr_ranges == MAX_RANGES)
		return;
	v = realloc(l->ranges, (l->nr_ranges + 1) * sizeof(*v));
	if (!v) {
		l->ret = -ENOMEM;
		return;
	}
	l->ranges = v;
	v[l->nr_ranges++] = (struct range){ start, length, error };
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void join_ranges(struct layer *l)
{
	size_t n = 0;

	if (!l->nr_ranges)
		return;
	qsort(l->ranges, l->nr_ranges, sizeof(*l->ranges), compare_ranges);
	for (size_t i = 1; i < l->nr_ranges; i++) {
		struct range *last = &l->ranges[n], *r = &l->ranges[i];

		if (last->start + last->length == r->start &&
		    last->error == r->error)
			last->length += r->length;
		else
			l->ranges[++n] = *r;
	}
	l->nr_ranges = n + 1;
}

/* ---- reading ---- */

struct piece {
	struct layer *l;
	uint64_t off, len;		/* bytes */
};

/* co. What of a piece can be read, and what cannot. */
static void read_in_steps(const struct piece *p, void *buf)
{
	uint64_t off = p->off, end = p->off + p->len, n;
	int ret;

	for (; off < end; off += n) {
		n = min(end - off, p->l->step - off % p->l->step);
		ret = image_pread(p->l->img, off, n, buf);
		if (ret)
			cannot_read(p->l, off, n, -ret);
		else
			p->l->bytes_read += n;
	}
}

static int run_piece(void *arg)
{
	struct piece p = *(struct piece *)arg;
	struct verify *v = p.l->v;
	void *buf = pieces_take(&v->pieces);

	if (image_pread(p.l->img, p.off, p.len, buf))
		read_in_steps(&p, buf);
	else
		p.l->bytes_read += p.len;
	pieces_put(&v->pieces, buf);
	return 0;
}

/* co. Starts to read one extent's worth of data, a piece at a time. */
static bool read_extent(struct layer *l, uint64_t off, uint64_t len)
{
	for (uint64_t n; len; off += n, len -= n) {
		struct piece p = { l, off, min(len, PIECE_SIZE) };

		n = p.len;
		if (!co_group_start(&l->v->pieces.group, run_piece, &p))
			return false;
		l->v->done += n;
		progress_set(l->v->done, l->v->total);
	}
	return true;
}

static bool has_data(const struct image_extent *e)
{
	return (e->flags & IMAGE_EXTENT_DATA) &&
	       !(e->flags & IMAGE_EXTENT_ZERO);
}

/* co. All that the layer has of its own. */
static void read_layer(struct layer *l)
{
	uint64_t size = image_size(l->img), n;
	struct image_extent e;

	for (uint64_t off = 0; off < size; off += n) {
		int ret = image_block_status(l->img, off, size - off, &e);

		n = ret ? min(size - off, l->step - off % l->step) : e.length;
		if (ret)
			cannot_read(l, off, n, -ret);
		if (!ret && has_data(&e)) {
			if (!read_extent(l, off, n))
				break;
			continue;
		}
		l->v->done += n;
		progress_set(l->v->done, l->v->total);
	}
	if (co_group_wait(&l->v->pieces.group))
		l->ret = -ENOMEM;
	join_ranges(l);
}

/* co. EXIT_OK or EXIT_FAILED, printed. */
static int verify_layer(struct layer *l)
{
	struct image_info info = { 0 };
	struct error err = ERROR_INIT;
	int ret;

	l->check = (struct image_check){
		.report = l->v->common.quiet ? NULL : print_layer_finding,
		.report_arg = l,
		.data = IMAGE_CHECK_SNAPSHOT_DATA,
	};
	ret = image_check(l->img, IMAGE_REPAIR_NONE, &l->check, &err);
	l->checked = !ret;
	if (ret && ret != -ENOTSUP)
		return tool_error("%s: %s", image_path(l->img),
				  error_text(&err, ret));
	l->step = STEP_DEFAULT;
	if (!image_get_info(l->img, &info, NULL) && info.cluster_size)
		l->step = info.cluster_size;
	image_info_free(&info);
	read_layer(l);
	return l->ret ? tool_error("%s: %s", image_path(l->img),
				   strerror(-l->ret)) : EXIT_OK;
}

/* ---- output ---- */

static void print_ranges(const struct layer *l)
{
	fflush(stdout);
	for (size_t i = 0; i < l->nr_ranges; i++)
		fprintf(stderr, "%s: guest offset %" PRIu64 ", %" PRIu64
			" bytes: %s\n", image_path(l->img), l->ranges[i].start,
			l->ranges[i].length, strerror(l->ranges[i].error));
	if (l->nr_ranges == MAX_RANGES)
		fprintf(stderr, "%s: more than %u places: the rest is counted, "
			"but not listed\n", image_path(l->img), MAX_RANGES);
}

static void print_layer(const struct layer *l)
{
	char read[SIZE_TEXT_MAX], bad[SIZE_TEXT_MAX];

	print_ranges(l);
	size_format(l->bytes_read, read);
	size_format(l->bytes_bad, bad);
	printf("%s: layer %u, %s, %s read", image_path(l->img), l->depth,
	       image_format(l->img), read);
	if (l->bytes_bad)
		printf(", %s cannot be read", bad);
	if (l->check.corruptions)
		printf(", %" PRIu64 " errors in its metadata",
		       l->check.corruptions);
	if (l->check.leaks)
		printf(", %" PRIu64 " leaked clusters", l->check.leaks);
	if (l->check.check_errors)
		printf(", %" PRIu64 " internal errors", l->check.check_errors);
	putchar('\n');
}

static json_t *ranges_json(const struct layer *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->nr_ranges; i++)
		json_array_append_new(list, json_pack("{s:I, s:I, s:s}",
			"start", (json_int_t)l->ranges[i].start,
			"length", (json_int_t)l->ranges[i].length,
			"error", strerror(l->ranges[i].error)));
	return list;
}

static json_t *layer_json(const struct layer *l)
{
	json_t *json = json_pack("{s:o, s:o, s:i, s:I, s:I, s:o}",
		"filename", tool_json_text(image_path(l->img)),
		"format", tool_json_text(image_format(l->img)),
		"depth", (int)l->depth,
		"bytes-read", (json_int_t)l->bytes_read,
		"bytes-unreadable", (json_int_t)l->bytes_bad,
		"unreadable", ranges_json(l));

	if (json && l->checked)
		json_object_update_new(json, json_pack("{s:I, s:I, s:I}",
			"corruptions", (json_int_t)l->check.corruptions,
			"leaks", (json_int_t)l->check.leaks,
			"check-errors", (json_int_t)l->check.check_errors));
	return json;
}

static int print_verify_json(const struct verify *v, int status)
{
	json_t *layers = json_array();

	for (unsigned int i = 0; i < v->nr_layers; i++)
		json_array_append_new(layers, layer_json(&v->layers[i]));
	return tool_json_print(json_pack("{s:o, s:b, s:o}",
		"filename", tool_json_text(v->path),
		"intact", status == EXIT_OK || status == EXIT_LEAKS,
		"layers", layers));
}

static int verify_status(const struct verify *v)
{
	int status = EXIT_OK;

	for (unsigned int i = 0; i < v->nr_layers; i++) {
		const struct layer *l = &v->layers[i];

		if (l->check.check_errors)
			return EXIT_FAILED;
		if (l->check.corruptions || l->bytes_bad)
			status = EXIT_CORRUPT;
		else if (l->check.leaks && status == EXIT_OK)
			status = EXIT_LEAKS;
	}
	return status;
}

/* ---- the verb ---- */

static int list_layers(struct verify *v, struct image *img)
{
	for (struct image *i = img; i; i = image_backing(i))
		v->nr_layers++;
	v->layers = calloc(v->nr_layers, sizeof(*v->layers));
	if (!v->layers)
		return tool_error("out of memory");
	for (unsigned int i = 0; i < v->nr_layers; i++) {
		v->layers[i].v = v;
		v->layers[i].img = img;
		v->layers[i].depth = i;
		v->total += image_size(img);
		img = image_backing(img);
	}
	return 0;
}

/* co */
static int verify_layers(struct verify *v)
{
	int ret = 0, status;

	progress_begin(v->common.progress && !v->common.quiet,
		       v->common.json);
	for (unsigned int i = 0; i < v->nr_layers && !ret; i++)
		ret = verify_layer(&v->layers[i]);
	progress_end(!ret);
	if (ret)
		return EXIT_FAILED;
	status = verify_status(v);
	if (v->common.json)
		return print_verify_json(v, status) ? EXIT_FAILED : status;
	for (unsigned int i = 0; i < v->nr_layers && !v->common.quiet; i++)
		print_layer(&v->layers[i]);
	return status;
}

/* co */
static int verify(struct verify *v, struct loop *loop)
{
	struct image *img = tool_open(loop, v->path, &v->common, 0);
	int status = EXIT_FAILED;

	if (!img)
		return EXIT_FAILED;
	if (pieces_init(&v->pieces, 1, PIECE_SIZE))
		tool_error("out of memory");
	else if (!list_layers(v, img))
		status = verify_layers(v);
	pieces_deinit(&v->pieces);
	for (unsigned int i = 0; i < v->nr_layers && v->layers; i++)
		free(v->layers[i].ranges);
	free(v->layers);
	return tool_close(img) ? EXIT_FAILED : status;
}

static int run_verify(struct loop *loop, int argc, char **argv)
{
	struct verify v = { 0 };
	int id;

	while ((id = tool_getopt(&verb_verify, argc, argv)) != -1)
		if (tool_common_option(&v.common, id == 'T' ? 't' : id, optarg))
			return EXIT_FAILED;
	if (argc - optind != 1)
		return tool_usage(&verb_verify,
				  "expecting one image file name");
	v.path = argv[optind];
	return verify(&v, loop);
}

const struct verb verb_verify = {
	.name = "verify",
	.summary = "read all of an image and of what it stands on",
	.usage = "FILE",
	.more = "Exit status: 0 all can be read and is consistent, 1 it could "
		"not be found\nout, 2 something is corrupt or cannot be read, "
		"3 leaked clusters only.",
	.options = options,
	.run = run_verify,
};
