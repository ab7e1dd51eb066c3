/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk bench: so many requests, so many at a time: how long do they take?
 *
 * Each of the requests in parallel is a coroutine that sends one after the
 * other. Offsets go through the image in steps, from its start again at its
 * end, or are random multiples of the step. For JSON the time of each request
 * is counted, too; without, nothing but the requests is timed.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/size.h"
#include "io/co-group.h"
#include "io/loop.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

#define DEFAULT_COUNT 75000
#define DEFAULT_DEPTH 64
#define DEFAULT_SIZE 4096
#define MAX_DEPTH 65536

/* Latencies, counted: 16 buckets for each power of two, 6 % wide. */
#define BUCKET_BITS 4
#define NR_BUCKETS ((64 - BUCKET_BITS + 1) << BUCKET_BITS)

struct bench {
	struct tool_common common;
	const char *path;
	uint64_t count, depth, size, step, start, interval, pattern, seed;
	bool has_step, write, no_drain, random;
	struct image *img;
	uint8_t *memory;		/* depth * size bytes */
	uint64_t blocks;		/* random offsets to choose from */
	/* how far it is */
	uint64_t offset;		/* of the next request */
	uint64_t sent, answered, flush_at;
	unsigned int in_flight, workers;
	bool flushing;
	struct co_queue gate;		/* closed while flushing */
	struct co_queue idle;		/* nothing is in flight */
	/* what it took */
	uint64_t ns, latency_sum, latency_max;
	uint64_t latencies[NR_BUCKETS];
	double user, sys;		/* seconds of processor */
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ 'c', "count", "N", "requests to send [75000]" },
	{ 'd', "depth", "N", "in parallel [64]" },
	{ 's', "buffer-size", "SIZE", "of a request [4k]" },
	{ 'S', "step-size", "SIZE", "from one offset to the next [SIZE of -s]" },
	{ 'o', "offset", "OFFSET", "of the first request [0]" },
	{ OPT_RANDOM, "random", "SEED", "random multiples of the step instead" },
	{ 'w', "write", NULL, "write, which overwrites the image" },
	{ OPT_PATTERN, "pattern", "BYTE", "what to write [0]" },
	{ OPT_FLUSH_INTERVAL, "flush-interval", "N", "flush every N requests" },
	{ OPT_NO_DRAIN, "no-drain", NULL, "go on meanwhile" },
	{ 'i', NULL, "ENGINE", "the same as --aio" },
	{ 'n', "native", NULL, "the same as --aio native" },
	TOOL_AIO,
	TOOL_CACHE,
	TOOL_OUTPUT,
	TOOL_PROGRESS,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END,
};

/* ---- latencies ---- */

static unsigned int latency_bucket(uint64_t ns)
{
	unsigned int shift;

	if (ns >> BUCKET_BITS == 0)
		return (unsigned int)ns;
	shift = log2_floor(ns) - BUCKET_BITS;
	return ((shift + 1) << BUCKET_BITS) +
	       (unsigned int)(ns >> shift & ((1u << BUCKET_BITS) - 1));
}

/* The largest that falls into the bucket. */
static uint64_t bucket_end(unsigned int bucket)
{
	unsigned int shift = bucket >> BUCKET_BITS;
	uint64_t low = bucket & ((1u << BUCKET_BITS) - 1);

	if (!shift)
		return low;
	return (((UINT64_C(1) << BUCKET_BITS) + low + 1) << (shift - 1)) - 1;
}

static void count_latency(struct bench *b, uint64_t ns)
{
	b->latencies[latency_bucket(ns)]++;
	b->latency_sum += ns;
	b->latency_max = max(b->latency_max, ns);
}

/* Microseconds within which `share` of the requests were answered. */
static double percentile(const struct bench *b, double share)
{
	uint64_t seen = 0, want = (uint64_t)(share * (double)b->answered + 0.5);
	unsigned int i;

	for (i = 0; i < NR_BUCKETS - 1; i++) {
		seen += b->latencies[i];
		if (seen >= want)
			break;
	}
	return (double)min(bucket_end(i), b->latency_max) / 1e3;
}

/* ---- requests ---- */

/* xorshift64*: the same seed, the same offsets. */
static uint64_t random_next(struct bench *b)
{
	b->seed ^= b->seed >> 12;
	b->seed ^= b->seed << 25;
	b->seed ^= b->seed >> 27;
	return b->seed * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t next_offset(struct bench *b)
{
	uint64_t off = b->offset, size = image_size(b->img);

	if (b->random)
		return b->start + random_next(b) % b->blocks * b->step;
	b->offset = (off + b->step) % size;
	if (b->offset > size - b->size)
		b->offset = 0;
	return off;
}

static int request(struct bench *b, void *buf)
{
	uint64_t off = next_offset(b), begin = 0;
	int ret;

	if (b->common.json)
		begin = monotonic_ns();
	b->in_flight++;
	ret = b->write ? image_pwrite(b->img, off, b->size, buf) :
			 image_pread(b->img, off, b->size, buf);
	b->in_flight--;
	b->answered++;
	if (b->common.json)
		count_latency(b, monotonic_ns() - begin);
	if (!b->in_flight)
		co_queue_wake_all(&b->idle);
	return ret;
}

/* co. All that was sent is answered, and nothing is sent, while it flushes. */
static int drain_and_flush(struct bench *b)
{
	int ret;

	b->flushing = true;
	while (b->in_flight)
		co_queue_wait(&b->idle);
	ret = image_flush(b->img);
	b->flush_at += b->interval;
	b->flushing = false;
	co_queue_wake_all(&b->gate);
	return ret;
}

static int run_worker(void *arg)
{
	struct bench *b = arg;
	void *buf = b->memory + b->workers++ * b->size;
	int ret = 0;

	while (!ret && (b->sent < b->count || b->sent == b->flush_at)) {
		if (b->flushing) {
			co_queue_wait(&b->gate);
		} else if (b->sent == b->flush_at) {
			ret = drain_and_flush(b);
		} else {
			b->sent++;
			ret = request(b, buf);
			if (!ret && b->no_drain && b->interval &&
			    b->answered % b->interval == 0)
				ret = image_flush(b->img);
			progress_set(b->answered, b->count);
		}
	}
	if (ret)
		b->count = b->sent;	/* the others end, too */
	return ret;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* co */
static int run_all(struct bench *b)
{
	struct rusage before, after;
	struct co_group g;
	uint64_t begin;
	int ret;

	co_queue_init(&b->gate);
	co_queue_init(&b->idle);
	co_group_init(&g, (unsigned int)b->depth);
	b->offset = b->start;
	b->flush_at = b->interval && !b->no_drain ? b->interval : UINT64_MAX;
	getrusage(RUSAGE_SELF, &before);
	begin = monotonic_ns();
	for (uint64_t i = 0; i < b->depth; i++)
		if (!co_group_start(&g, run_worker, b))
			break;
	ret = co_group_wait(&g);
	b->ns = monotonic_ns() - begin;
	getrusage(RUSAGE_SELF, &after);
	b->user = seconds(after.ru_utime) - seconds(before.ru_utime);
	b->sys = seconds(after.ru_stime) - seconds(before.ru_stime);
	return ret ? tool_error("Failed request: %s", strerror(-ret)) : EXIT_OK;
}

/* ---- what is told ---- */

static void announce_workload(const struct bench *b)
{
	if (b->common.json || b->common.quiet)
		return;
	printf("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %"
	       PRIu64 " in parallel (starting at offset %" PRIu64 ", %s%" PRIu64
	       ")\n", b->count, b->write ? "write" : "read", b->size, b->depth,
	       b->start, b->random ? "random multiples of " : "step size ",
	       b->step);
	if (b->interval)
		printf("Sending flush every %" PRIu64 " requests\n",
		       b->interval);
	fflush(stdout);
}

static json_t *latency_json(const struct bench *b)
{
	double n = b->answered ? (double)b->answered : 1;

	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "mean",
			 (double)b->latency_sum / n / 1e3, "p50",
			 percentile(b, 0.5), "p90", percentile(b, 0.9), "p99",
			 percentile(b, 0.99), "p99.9", percentile(b, 0.999),
			 "max", (double)b->latency_max / 1e3);
}

static int report_bench(const struct bench *b)
{
	double s = (double)max(b->ns, UINT64_C(1)) / NS_PER_S;
	double n = b->answered ? (double)b->answered : 1;
	json_t *json;

	if (!b->common.json) {
		if (!b->common.quiet)
			printf("Run completed in %3.3f seconds.\n", s);
		return EXIT_OK;
	}
	json = json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:o}",
			 "operation", b->write ? "write" : "read",
			 "requests", (json_int_t)b->answered,
			 "bytes-each", (json_int_t)b->size,
			 "in-parallel", (json_int_t)b->depth,
			 "seconds", s, "iops", (double)b->answered / s,
			 "bytes-per-second",
			 (double)b->answered * (double)b->size / s,
			 "user-us-per-request", b->user * 1e6 / n,
			 "system-us-per-request", b->sys * 1e6 / n,
			 "latency-us", latency_json(b));
	return tool_json_print(json);
}

/* ---- the verb ---- */

static int validate_range(struct bench *b)
{
	uint64_t size = image_size(b->img);

	if (!size)
		return tool_error("The image is empty");
	if (!range_within(b->start, b->size, size))
		return tool_error("Failed request: a request of %" PRIu64
				  " bytes at offset %" PRIu64 " lies beyond the "
				  "end of the image (%" PRIu64 ")", b->size,
				  b->start, size);
	b->blocks = (size - b->start - b->size) / b->step + 1;
	return EXIT_OK;
}

static int take_memory(struct bench *b)
{
	uint64_t bytes;

	if (mul_overflow(b->size, b->depth, &bytes) || bytes > SIZE_MAX ||
	    posix_memalign((void **)&b->memory, 4096, bytes))
		return tool_error("out of memory: %" PRIu64 " buffers of %"
				  PRIu64 " bytes", b->depth, b->size);
	memset(b->memory, (int)b->pattern, bytes);
	return EXIT_OK;
}

static int bench(struct bench *b, struct loop *loop)
{
	int ret;

	b->img = tool_open(loop, b->path, &b->common,
			   b->write ? IMAGE_RDWR : 0);
	if (!b->img)
		return EXIT_FAILED;
	ret = validate_range(b);
	if (!ret)
		ret = take_memory(b);
	if (!ret) {
		announce_workload(b);
		progress_begin(b->common.progress, b->common.json);
		ret = run_all(b);
		progress_end(!ret);
	}
	if (!ret)
		ret = report_bench(b);
	if (tool_close(b->img))
		ret = EXIT_FAILED;
	free(b->memory);
	return ret;
}

static int number_option(struct bench *b, int id, const char *arg)
{
	switch (id) {
	case 'c':
		return tool_parse_number("request count", arg, 1, INT_MAX,
					 &b->count);
	case 'd':
		return tool_parse_number("queue depth", arg, 1, INT_MAX,
					 &b->depth);
	case 's':
		return tool_parse_size("buffer size", arg, 1, INT_MAX,
				       &b->size);
	case 'S':
		b->has_step = true;
		return tool_parse_size("step size", arg, 0, INT_MAX, &b->step);
	case 'o':
		return tool_parse_size("offset", arg, 0, INT64_MAX, &b->start);
	case OPT_RANDOM:
		b->random = true;
		return tool_parse_number("seed", arg, 0, UINT64_MAX, &b->seed);
	case OPT_PATTERN:
		return tool_parse_number("pattern byte", arg, 0, 0xff,
					 &b->pattern);
	default:
		return tool_parse_number("flush interval", arg, 0, INT_MAX,
					 &b->interval);
	}
}

static int bench_option(struct bench *b, int id, const char *arg)
{
	switch (id) {
	case 'c':
	case 'd':
	case 's':
	case 'S':
	case 'o':
	case OPT_RANDOM:
	case OPT_PATTERN:
	case OPT_FLUSH_INTERVAL:
		return number_option(b, id, arg);
	case 'w':
		b->write = true;
		return 0;
	case OPT_NO_DRAIN:
		b->no_drain = true;
		return 0;
	case 'i':
		return tool_common_option(&b->common, OPT_AIO, arg);
	case 'n':
		b->common.aio = AIO_LIBAIO;
		return 0;
	default:
		return tool_common_option(&b->common, id, arg);
	}
}

static int validate_workload(struct bench *b)
{
	if (b->depth > MAX_DEPTH)
		return tool_error("a queue depth of %" PRIu64 " is above %d",
				  b->depth, MAX_DEPTH);
	if (b->interval && !b->write)
		return tool_error("--flush-interval is only available in write "
				  "tests");
	if (b->interval && b->interval < b->depth)
		return tool_error("Flush interval can't be smaller than depth");
	if (!b->has_step || !b->step)
		b->step = b->size;
	b->seed = b->seed ? b->seed : 1;
	return 0;
}

static int run_bench(struct loop *loop, int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));
	int id, ret = b ? 0 : tool_error("out of memory");

	if (!ret) {
		b->common.cache = IMAGE_CACHE_WRITEBACK;
		b->count = DEFAULT_COUNT;
		b->depth = DEFAULT_DEPTH;
		b->size = DEFAULT_SIZE;
	}
	while (!ret && (id = tool_getopt(&verb_bench, argc, argv)) != -1)
		ret = bench_option(b, id, optarg);
	if (!ret && argc - optind != 1)
		ret = tool_usage(&verb_bench, "Expecting one image file name");
	if (!ret)
		ret = validate_workload(b);
	if (!ret) {
		b->path = argv[optind];
		ret = bench(b, loop);
	}
	free(b);
	return ret ? EXIT_FAILED : EXIT_OK;
}

const struct verb verb_bench = {
	.name = "bench",
	.summary = "tell how fast an image is",
	.usage = "FILE",
	.more = "With -w the contents of the image are lost. --output=json also "
		"tells requests a\nsecond, processor time and latencies.",
	.options = options,
	.run = run_bench,
};
