/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c: simguest: xl and a guest's block driver in one program, against a
 * backend that runs on the simulated hypervisor (see simxen.sh).
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/size.h"
#include "tests/simxen/bench.h"
#include "tests/simxen/blkfront.h"
#include "tests/simxen/discard.h"
#include "tests/simxen/hostile.h"
#include "tests/simxen/put.h"
#include "tests/simxen/sequence.h"
#include "tests/simxen/workload.h"

static const char usage_text[] =
"simguest VERB [options]\n"
"  create    --domid D [--disk SPEC]... [--script-dir DIR]\n"
"  attach    --domid D --disk SPEC [--script-dir DIR]\n"
"  detach    --domid D --vdev V [--force]\n"
"  destroy   --domid D [--quick]\n"
"  offers    --domid D --vdev V --disk SPEC [--count N]\n"
"            attach and detach: are the features there when state 2 is?\n"
"  shutdown  --domid D --reason poweroff|reboot|suspend|crash|resume\n"
"  show      --domid D --vdev V [FRONT]     what the backend offers, as JSON\n"
"  verify    --domid D --vdev V [FRONT] [--ops N | --seconds S] [--qd N]\n"
"            [--bs MAX] [--seed N] [--mix READ,WRITE,FLUSH,BARRIER,DISCARD]\n"
"            [--expect RAW] [--save RAW] [--reconnect TIMES] [--stay]\n"
"  bench     --domid D --vdev V [FRONT] --rw read|write|randread|randwrite\n"
"            [--bs N] [--qd N] [--seconds S | --count N] [--limit BYTES]\n"
"  cycle     --domid D --vdev V [FRONT] [--count N]\n"
"  discard   --domid D --vdev V [FRONT] [--count N] [--stay]\n"
"            the whole disk, N times at once, with reads beside it\n"
"  put       --domid D --vdev V FILE        what the disk begins with then\n"
"  hostile   --domid D --vdev V [FRONT] --case NAME | --list\n"
"  sequence  --domid D --vdev V [FRONT] NAME | --list\n"
"  stats     what the processes on this hypervisor hold\n"
"FRONT: --protocol x86_64-abi|x86_32-abi|none  --order 0..4  --queues N\n"
"       --indirect SEGMENTS  --no-persistent\n";

#define MAX_DISKS 64

struct args {
	uint32_t domid;
	bool has_domid;
	const char *vdev;
	char *disk[MAX_DISKS];
	int nr_disks;
	const char *reason, *name;
	bool force, list, stay;
	uint64_t count;
	struct toolstack ts;
	struct front_options front;
	struct workload work;
	struct bench bench;
};

static const struct option long_options[] = {
	{ "domid", 1, NULL, 'd' },	{ "vdev", 1, NULL, 'v' },
	{ "disk", 1, NULL, 'D' },	{ "script-dir", 1, NULL, 'S' },
	{ "force", 0, NULL, 'f' },	{ "quick", 0, NULL, 'q' },
	{ "reason", 1, NULL, 'r' },	{ "protocol", 1, NULL, 'p' },
	{ "order", 1, NULL, 'o' },	{ "queues", 1, NULL, 'Q' },
	{ "indirect", 1, NULL, 'i' },	{ "no-persistent", 0, NULL, 'P' },
	{ "ops", 1, NULL, 'n' },	{ "count", 1, NULL, 'n' },
	{ "seconds", 1, NULL, 's' },	{ "qd", 1, NULL, 'w' },
	{ "bs", 1, NULL, 'b' },		{ "seed", 1, NULL, 'e' },
	{ "mix", 1, NULL, 'm' },	{ "expect", 1, NULL, 'x' },
	{ "save", 1, NULL, 'X' },	{ "reconnect", 1, NULL, 'R' },
	{ "stay", 0, NULL, 'y' },	{ "rw", 1, NULL, 'W' },
	{ "limit", 1, NULL, 'L' },	{ "case", 1, NULL, 'c' },
	{ "list", 0, NULL, 'l' },	{ "pages", 1, NULL, 'g' },
	{ "help", 0, NULL, 'h' },	{ NULL, 0, NULL, 0 },
};

static uint64_t number(const char *text)
{
	uint64_t v;

	if (number_parse(text, UINT64_MAX, &v))
		die("'%s' is not a number", text);
	return v;
}

static uint64_t bytes(const char *text)
{
	uint64_t v;

	if (size_parse(text, &v))
		die("'%s' is not a size", text);
	return v;
}

static void parse_mix(struct mix *m, const char *text)
{
	if (sscanf(text, "%u,%u,%u,%u,%u", &m->read, &m->write, &m->flush,
		   &m->barrier, &m->discard) != 5)
		die("--mix wants five numbers");
	if (!(m->read + m->write + m->flush + m->barrier + m->discard))
		die("--mix wants one number above 0");
}

static void parse_rw(struct bench *b, const char *text)
{
	b->random = strncmp(text, "rand", 4) == 0;
	b->write = strcmp(text + (b->random ? 4 : 0), "write") == 0;
	if (!b->write && strcmp(text + (b->random ? 4 : 0), "read") != 0)
		die("--rw %s: not read, write, randread or randwrite", text);
}

static void parse_front(struct args *a, int c, const char *arg)
{
	struct front_options *f = &a->front;

	switch (c) {
	case 'p':
		f->protocol = strcmp(arg, "none") ? arg : NULL;
		break;
	case 'o':
		f->ring_order = number(arg);
		if (f->ring_order > MAX_RING_ORDER)
			die("--order is 0 to %d", MAX_RING_ORDER);
		break;
	case 'Q':
		f->queues = number(arg);
		if (!f->queues || f->queues > MAX_QUEUES)
			die("--queues is 1 to %d", MAX_QUEUES);
		break;
	case 'i':
		f->indirect = number(arg);
		break;
	case 'P':
		f->persistent = false;
		break;
	}
}

static void parse_load(struct args *a, int c, const char *arg)
{
	switch (c) {
	case 'n':
		a->count = a->work.ops = a->bench.count = number(arg);
		a->bench.seconds = 0;
		break;
	case 's':
		a->bench.seconds = atof(arg);
		a->work.seconds = a->bench.seconds + 0.5;
		break;
	case 'w':
		a->work.qd = a->bench.qd = number(arg);
		break;
	case 'b':
		a->work.max_bytes = a->bench.bytes = bytes(arg);
		break;
	case 'e':
		a->work.seed = a->bench.seed = number(arg);
		break;
	case 'm':
		parse_mix(&a->work.mix, arg);
		break;
	case 'x':
		a->work.expect = arg;
		break;
	case 'X':
		a->work.save = arg;
		break;
	case 'R':
		a->work.reconnects = number(arg);
		break;
	case 'W':
		parse_rw(&a->bench, arg);
		break;
	case 'L':
		a->bench.limit = bytes(arg);
		break;
	}
}

static void parse_option(struct args *a, int c, char *arg)
{
	switch (c) {
	case 'd':
		a->domid = number(arg);
		a->has_domid = true;
		break;
	case 'v':
		a->vdev = arg;
		break;
	case 'D':
		if (a->nr_disks == MAX_DISKS)
			die("too many disks");
		a->disk[a->nr_disks++] = arg;
		break;
	case 'S':
		a->ts.script_dir = arg;
		break;
	case 'g':
		a->ts.pages = number(arg);
		break;
	case 'q':
		a->ts.quick = true;
		break;
	case 'f':
		a->force = true;
		break;
	case 'r':
		a->reason = arg;
		break;
	case 'c':
		a->name = arg;
		break;
	case 'l':
		a->list = true;
		break;
	case 'y':
		a->stay = true;
		break;
	case 'h':
		fputs(usage_text, stdout);
		exit(0);
	case '?':
		exit(2);
	default:
		parse_front(a, c, arg);
		parse_load(a, c, arg);
	}
}

/* A size that a bench can do: whole pages, within what the slots can hold. */
static void check_load(const struct args *a)
{
	if (a->bench.bytes % SIMXEN_PAGE || !a->bench.bytes)
		die("--bs is not a multiple of 4096");
	if (a->work.max_bytes > 1 << 20)
		die("--bs is more than 1 MiB");
	if (!a->work.qd)
		die("--qd is 0");
}

/* ---- verbs ------------------------------------------------------------- */

static void need_domain(const struct args *a)
{
	if (!a->has_domid)
		die("--domid is missing");
	store_open();
}

static void open_front(const struct args *a, struct front *f)
{
	need_domain(a);
	if (!a->vdev)
		die("--vdev is missing");
	front_open(f, a->domid, a->vdev, &a->front);
	front_reset(f);
}

static void cmd_create(struct args *a)
{
	need_domain(a);
	toolstack_create(&a->ts, a->domid, a->disk, a->nr_disks);
}

static void cmd_attach(struct args *a)
{
	int i;

	need_domain(a);
	for (i = 0; i < a->nr_disks; i++)
		toolstack_attach(&a->ts, a->domid, a->disk[i]);
}

static void cmd_detach(struct args *a)
{
	need_domain(a);
	if (!a->vdev)
		die("--vdev is missing");
	toolstack_detach(&a->ts, a->domid, a->vdev, a->force);
}

/* As Linux's blkfront does it: on seeing 2 it reads, without a transaction. */
static void expect_offer(const struct vbd_paths *vbd)
{
	static const char *const features[] = {
		"multi-queue-max-queues", "max-ring-page-order",
		"feature-persistent", "feature-flush-cache",
		"feature-max-indirect-segments",
	};

	if (!store_wait_state(vbd->be, STATE_BIT(XenbusStateInitWait),
			      CONNECT_TIMEOUT_MS))
		die("%s is in state %d, not 2", vbd->be,
		    store_state(vbd->be));
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (!store_exists("%s/%s", vbd->be, features[i]))
			die("%s is in state 2 and has no %s", vbd->be,
			    features[i]);
}

static void cmd_offers(struct args *a)
{
	uint64_t i, n = a->count ? a->count : 1;
	struct vbd_paths vbd;

	need_domain(a);
	if (a->nr_disks != 1 || !a->vdev)
		die("one --disk and its --vdev are missing");
	for (i = 0; i < n; i++) {
		toolstack_attach(&a->ts, a->domid, a->disk[0]);
		vbd_find(&vbd, a->domid, a->vdev);
		expect_offer(&vbd);
		vbd_release(&vbd);
		toolstack_detach(&a->ts, a->domid, a->vdev, false);
	}
}

static void cmd_destroy(struct args *a)
{
	need_domain(a);
	toolstack_destroy(&a->ts, a->domid);
}

static void cmd_shutdown(struct args *a)
{
	need_domain(a);
	if (!a->reason)
		die("--reason is missing");
	toolstack_shutdown(a->domid, a->reason);
}

static void cmd_show(struct args *a)
{
	struct front f;

	open_front(a, &f);
	front_connect(&f);
	printf("{\"backend\": \"%s\", \"sectors\": %llu, "
	       "\"sector_size\": %u, \"physical_sector_size\": %u, "
	       "\"info\": %u, \"flush\": %d, \"barrier\": %d, "
	       "\"discard\": %d, \"discard_granularity\": %u, "
	       "\"persistent\": %d, \"segments\": %u, \"ring_order\": %u, "
	       "\"queues\": %u}\n",
	       f.vbd.be, (unsigned long long)f.sectors, f.sector_size,
	       f.physical_sector_size, f.info, f.has_flush, f.has_barrier,
	       f.has_discard, f.discard_granularity, f.persistent, f.max_segs,
	       f.ring_order, f.nr_queues);
	front_disconnect(&f);
	front_close(&f);
}

static void print_totals(const struct workload_totals *t)
{
	printf("verified: %llu reads, %llu writes, %llu flushes, "
	       "%llu barriers, %llu discards in %llu ring requests; "
	       "%.1f MiB read, %.1f MiB written, %.1f MiB discarded\n",
	       (unsigned long long)t->requests[BLK_READ],
	       (unsigned long long)t->requests[BLK_WRITE],
	       (unsigned long long)t->requests[BLK_FLUSH],
	       (unsigned long long)t->requests[BLK_BARRIER],
	       (unsigned long long)t->requests[BLK_DISCARD],
	       (unsigned long long)t->ring_requests,
	       t->bytes_read / 1048576.0, t->bytes_written / 1048576.0,
	       t->bytes_discarded / 1048576.0);
}

static void cmd_verify(struct args *a)
{
	struct workload_totals totals;
	struct front f;

	open_front(a, &f);
	front_connect(&f);
	workload_run(&f, &a->work, &totals);
	print_totals(&totals);
	/* whoever stays connected leaves its pages to the backend */
	if (a->stay) {
		fflush(stdout);
		_exit(0);
	}
	front_disconnect(&f);
	front_close(&f);
}

static void cmd_bench(struct args *a)
{
	struct front f;

	open_front(a, &f);
	front_connect(&f);
	bench_run(&f, &a->bench);
	front_disconnect(&f);
	front_close(&f);
}

static void cmd_cycle(struct args *a)
{
	uint64_t begin = now_ns(), i, n = a->count ? a->count : 100;
	struct front f;

	open_front(a, &f);
	for (i = 0; i < n; i++) {
		front_set_state(&f, XenbusStateInitialising);
		front_connect(&f);
		front_disconnect(&f);
	}
	printf("%llu times connected and disconnected, %.2f ms each\n",
	       (unsigned long long)n, (now_ns() - begin) / 1e6 / n);
	front_close(&f);
}

/* Whoever stays connected waits for no answers. */
static void cmd_discard(struct args *a)
{
	struct front f;

	open_front(a, &f);
	front_connect(&f);
	discard_run(&f, a->count ? a->count : 1, a->stay);
	if (a->stay)
		_exit(0);
	front_disconnect(&f);
	front_close(&f);
}

static void cmd_put(struct args *a)
{
	struct front f;

	if (!a->name)
		die("put what?");
	open_front(a, &f);
	front_connect(&f);
	put_file(&f, a->name);
	front_disconnect(&f);
	front_close(&f);
}

static void cmd_hostile(struct args *a)
{
	struct front f;

	if (a->list) {
		hostile_list();
		return;
	}
	if (!a->name)
		die("--case is missing");
	open_front(a, &f);
	hostile_run(&f, a->name);
	front_close(&f);
}

static void cmd_sequence(struct args *a)
{
	struct front f;

	if (a->list) {
		sequence_list();
		return;
	}
	if (!a->name)
		die("which sequence?");
	open_front(a, &f);
	sequence_run(&f, a->name);
	front_close(&f);
}

static bool process_lives(const char *pid)
{
	return kill(atoi(pid), 0) == 0 || errno != ESRCH;
}

static void print_stats(const char *dir, const char *name)
{
	const char *pid = name + strlen("stats.");
	struct simxen_stats s;
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!process_lives(pid)) {
		unlink(path);
		return;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &s, sizeof(s)) != sizeof(s))
		die("%s: %s", path, strerror(errno));
	close(fd);
	printf("pid=%s name=%.16s gnttab=%lld evtchn=%lld mapped=%lld "
	       "bound=%lld maps=%lld unmaps=%lld copies=%lld segments=%lld "
	       "refused=%lld notifies=%lld wakeups=%lld misuse=%lld "
	       "watches=%lld\n",
	       pid, s.name, (long long)s.gnttab_handles,
	       (long long)s.evtchn_handles, (long long)s.mapped_pages,
	       (long long)s.bound_ports, (long long)s.maps,
	       (long long)s.unmaps, (long long)s.copy_calls,
	       (long long)s.copy_segments, (long long)s.failed_segments,
	       (long long)s.notifies, (long long)s.wakeups,
	       (long long)s.misuse, (long long)s.watches);
}

static void cmd_stats(struct args *a)
{
	char *dir = machine_path(".");
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		die("%s: %s", dir, strerror(errno));
	while ((e = readdir(d)))
		if (strncmp(e->d_name, "stats.", 6) == 0)
			print_stats(dir, e->d_name);
	closedir(d);
	free(dir);
}

static const struct {
	const char *name;
	void (*run)(struct args *a);
} verbs[] = {
	{ "create", cmd_create },	{ "attach", cmd_attach },
	{ "detach", cmd_detach },	{ "destroy", cmd_destroy },
	{ "offers", cmd_offers },	{ "shutdown", cmd_shutdown },
	{ "show", cmd_show },		{ "verify", cmd_verify },
	{ "bench", cmd_bench },		{ "cycle", cmd_cycle },
	{ "put", cmd_put },		{ "discard", cmd_discard },
	{ "hostile", cmd_hostile },	{ "sequence", cmd_sequence },
	{ "stats", cmd_stats },
};

int main(int argc, char **argv)
{
	struct args a = {
		.ts = { .script_dir = "/etc/xen/scripts", .pages = 1 << 18 },
		.front = FRONT_DEFAULTS,
		.work = WORKLOAD_DEFAULTS,
		.bench = BENCH_DEFAULTS,
	};
	size_t i;
	int c;

	if (argc < 2 || argv[1][0] == '-') {
		fputs(usage_text, argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	while ((c = getopt_long(argc - 1, argv + 1, "h", long_options,
				NULL)) != -1)
		parse_option(&a, c, optarg);
	if (optind < argc - 1)
		a.name = argv[optind + 1];
	check_load(&a);
	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		verbs[i].run(&a);
		return fflush(stdout) ? 1 : 0;
	}
	die("unknown verb '%s'", argv[1]);
}
