/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * worker.c: xdisk-worker: one connection of one guest's disk, or one look at an
 * image.
 *
 * Does what the supervisor says (protocol.h), one command after the other, in
 * a coroutine of its own; between and during commands the loop serves the
 * rings, and hears when nobody wants it to any more. Knows nothing of xenstore
 * and nothing of other disks. It confines itself before it reads anything of an
 * image or a guest (confine.h), and asks the opener for each file. When the
 * supervisor goes away, it drains, closes the image and exits.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#include "backend/arguments.h"
#include "backend/protocol.h"
#include "backend/worker/confine.h"
#include "backend/worker/io.h"
#include "common/bits.h"
#include "common/log.h"
#include "common/printable.h"
#include "common/size.h"
#include "image/crypto/crypto.h"
#include "image/crypto/secret.h"
#include "image/graph/open.h"
#include "image/graph/protocol.h"
#include "image/image.h"
#include "image/info.h"
#include "image/node.h"
#include "io/memory.h"
#include "opener/local.h"
#include "opener/wire.h"

_Static_assert(LIMIT_QUEUES <= BLKIF_MAX_QUEUES &&
	       LIMIT_RING_ORDER == BLKIF_MAX_RING_ORDER &&
	       LIMIT_INDIRECT <= BLKIF_MAX_INDIRECT,
	       "more is offered than the rings can do");

struct worker {
	struct loop *loop;
	const struct start *start;
	struct confine confine;
	bool confined;
	struct aio *engine;		/* made before that; NULL: none */
	struct wire_opener opener;
	struct xengntdev_handle *gnttab;
	struct xenevtchn_handle *evtchn;
	struct io io;
	struct image *image;
	uint64_t memory;		/* bytes, beside caches */
	struct loop_timer log_timer;	/* lines that were left out */
	bool opened;			/* also without a medium */
	struct loop_fd socket;
	json_t *heard;			/* commands still to be obeyed */
	int heard_end;			/* -errno: no more will come */
	struct loop_fd signal;
	struct coroutine *listener;	/* waits for a command */
	bool done;
};

/* ---- the image ---- */

#define SECRET_ID "disk"

/* What no worker has: behind its account, which is exact, for what forgets to ask
 * that. Stacks of threads and heaps of theirs are most of it. */
#define ADDRESS_SPACE (4 * GiB)
#define DEFAULT_MEMORY (64 * MiB)

/* An image as it is asked for, and how it is opened. */
struct disk {
	struct disk_arguments args;
	struct image_options options;
};

static int read_disk(struct worker *w, json_t *args, struct disk *d,
		     struct error *err)
{
	struct disk_arguments *a = &d->args;

	*d = (struct disk){ 0 };
	if (disk_arguments_unpack(args, a) < 0)
		return error_set(err, EINVAL, "arguments of an image");
	if (image_parse_cache(a->cache ?: "auto", &d->options.cache) < 0 ||
	    aio_parse_kind(a->aio ?: "auto", &d->options.aio) < 0)
		return error_set(err, EINVAL, "cache=%s or aio=%s is unknown",
				 a->cache, a->aio);
	d->options.opener = &w->opener.opener;
	d->options.flags = (a->readonly ? 0 : IMAGE_RDWR) |
			   (a->unmap ? IMAGE_UNMAP : 0) |
			   (a->direct_io_safe ? IMAGE_DIRECT_IO_SAFE : 0) |
			   (a->legacy_aes ? 0 : IMAGE_NO_LEGACY_AES);
	d->options.l2_cache_size = a->l2_cache_size;
	return 0;
}

static json_t *limits_of(const struct image *img)
{
	struct image_limits l = { 0 };

	if (img)
		image_limits(img, &l);
	return limits_answer_pack(&(struct limits_answer){
		.size = img ? image_size(img) : 0,
		.physical_block = l.physical_block,
		.discard_granularity = l.discard_granularity,
		.discard = l.discard,
	});
}

static int judge_encryption(struct image *img, const struct disk *d,
			    struct error *err)
{
	struct image_info info;
	int ret = image_get_info(img, &info, err);

	if (ret == 0 && info.encrypted && !d->args.secret_file)
		ret = error_set(err, EACCES, "%s is encrypted, and xdisk.conf "
				"has no secret-file for it", d->args.path);
	image_info_free(&info);
	return ret;
}

/* co. A look at the header, without writes. lock_flags: 0, or those of
 * IMAGE_PROBE_LOCKS. *reply may be NULL. */
static int look_at_image(struct worker *w, const struct disk *d,
			 unsigned int lock_flags, json_t **reply,
			 struct error *err)
{
	struct image_options opts = d->options;
	struct image *img = NULL;
	int ret = 0;

	opts.flags &= ~(unsigned int)IMAGE_RDWR;
	opts.flags |= IMAGE_NO_IO | IMAGE_SHARE | lock_flags;
	if (*d->args.path)
		ret = image_open(w->loop, d->args.path, d->args.format, &opts,
				 &img, err);
	if (ret < 0)
		return error_prefix(err, ret, "%s", d->args.path);
	if (img)
		ret = judge_encryption(img, d, err);
	if (ret == 0 && reply)
		*reply = limits_of(img);
	return image_close(img, ret ? NULL : err) ?: ret;
}

/* Once, before the first look at an image. */
static int confine_for(struct worker *w, const struct disk *d,
		       struct error *err)
{
	int ret;

	if (w->confined)
		return 0;
	w->confine = (struct confine){
		.sandbox = w->start->sandbox,
		.uid = w->start->uid,
		.address_space = ADDRESS_SPACE + d->args.l2_cache_size +
				 d->args.memory,
		.network = image_is_remote(d->args.path),
	};
	if (d->args.secret_file)
		crypto_init();
	ret = confine(&w->confine, err);
	w->confined = ret == 0;
	return ret;
}

static int probe_disk(struct worker *w, const struct disk *d, json_t **reply,
		      struct error *err)
{
	int ret = confine_for(w, d, err);

	return ret ? ret :
		     look_at_image(w, d, d->args.locks ? IMAGE_PROBE_LOCKS |
					 (d->options.flags & IMAGE_RDWR) : 0,
				   reply, err);
}

static int do_probe(struct worker *w, json_t *args, json_t **reply,
		    struct error *err)
{
	struct disk d;
	int ret = read_disk(w, args, &d, err);

	if (ret == 0)
		ret = probe_disk(w, &d, reply, err);
	disk_arguments_free(&d.args);
	return ret;
}

/* One passphrase for the image and all below it. */
static const struct image_node every_node = {
	.key_secret = SECRET_ID, .backing = &every_node,
};

static int take_secret(struct disk *d, struct error *err)
{
	const struct opener_ask ask = {
		.purpose = OPENER_SECRET, .name = d->args.secret_file,
	};
	cleanup_secret uint8_t *bytes = NULL;
	struct opened opened;
	size_t len;
	int ret;

	if (!d->args.secret_file)
		return 0;
	ret = opener_open(d->options.opener, &ask, &opened, err);
	if (ret)
		return error_where(err, ret, d->args.secret_file);
	bytes = secret_read_fd(opened.fd, d->args.secret_file, &len, err);
	opened_clear(&opened);
	if (!bytes)
		return -EACCES;
	d->options.node = &every_node;
	return secret_add(SECRET_ID, bytes, len, err);
}

/* A quarter is for the rings. */
static void limit_memory(struct worker *w, const struct disk *d)
{
	w->memory = d->args.memory ?: DEFAULT_MEMORY;
	memory_set_max(loop_memory(w->loop), w->memory - w->memory / 4);
}

/* Why the cache mode is what it is. */
static const char *cache_reason(const struct worker *w, const struct disk *d)
{
	bool direct = image_cache(w->image) == IMAGE_CACHE_NONE;

	if (d->options.cache != IMAGE_CACHE_AUTO)
		return "configured";
	if (d->args.direct_io_safe)
		return direct ? "direct-io-safe" :
				"no direct I/O here";
	if (w->confine.network)
		return "a server";
	return direct ? "a device" : "a file";
}

static void log_opened(const struct worker *w, const struct disk *d)
{
	char size[SIZE_TEXT_MAX];

	if (!w->image)
		log_info("no medium");
	else
		log_info("opened %s %s, %s, %s, cache %s (%s)", d->args.format,
			 d->args.path,
			 size_format(image_size(w->image), size),
			 image_writable(w->image) ? "read-write" : "read-only",
			 image_cache_name(image_cache(w->image)),
			 cache_reason(w, d));
}

static int open_disk(struct worker *w, struct disk *d, json_t **reply,
		     struct error *err)
{
	int ret = confine_for(w, d, err);

	if (ret == 0)
		ret = take_secret(d, err);
	if (ret == 0)
		limit_memory(w, d);
	if (ret == 0 && *d->args.path)
		ret = image_open(w->loop, d->args.path, d->args.format,
				 &d->options, &w->image, err);
	secret_forget_all();
	if (ret < 0) {
		error_prefix(err, ret, "%s", d->args.path);
		/* It may be known by a better name. */
		if (w->confined && !d->args.secret_file && *d->args.path)
			look_at_image(w, d, 0, NULL, err);
		w->image = NULL;
		return ret;
	}
	w->opened = true;
	log_opened(w, d);
	*reply = limits_of(w->image);
	return 0;
}

static int do_open(struct worker *w, json_t *args, json_t **reply,
		   struct error *err)
{
	struct disk d;
	int ret;

	if (w->opened)
		return error_set(err, EBUSY, "an image is open already");
	ret = read_disk(w, args, &d, err);
	if (ret == 0)
		ret = open_disk(w, &d, reply, err);
	disk_arguments_free(&d.args);
	return ret;
}

/* ---- the rings ---- */

static void fill_config(const struct connect_arguments *a,
			struct blkif_config *c)
{
	const struct rings *r = &a->rings;

	c->domid = a->domid;
	c->discard = a->discard;
	c->abi = r->abi_x86_32 ? BLKIF_ABI_X86_32 : BLKIF_ABI_X86_64;
	c->persistent = r->persistent;
	c->nr_queues = r->nr_queues;
	for (unsigned int i = 0; i < r->nr_queues; i++) {
		c->queue[i].ring_order = r->ring_order;
		c->queue[i].port = r->queues[i].port;
		memcpy(c->queue[i].ring_ref, r->queues[i].refs,
		       sizeof(r->queues[i].refs));
	}
}

static void log_connected(const struct blkif_config *c)
{
	unsigned int pages = 1u << c->queue[0].ring_order;

	log_info("connected: %u queue%s, %u page%s each, %s%s", c->nr_queues,
		 c->nr_queues == 1 ? "" : "s", pages, pages == 1 ? "" : "s",
		 c->abi == BLKIF_ABI_X86_32 ? "x86_32" : "x86_64",
		 c->persistent ? ", persistent grants" : "");
}

/* All files are open: nobody asks for another. */
static void seal_opener(void)
{
	shutdown(OPENER_FD, SHUT_RDWR);
}

static int do_connect(struct worker *w, json_t *args, json_t **reply,
		      struct error *err)
{
	struct blkif_config c = {
		.max_indirect = LIMIT_INDIRECT,
		.gnttab = w->gnttab, .evtchn = w->evtchn,
	};
	struct connect_arguments a;
	int ret;

	if (!w->opened || w->io.vbd)
		return error_set(err, EBUSY, "no image, or already connected");
	if (connect_arguments_unpack(args, &a) < 0)
		return error_set(err, EINVAL, "arguments of connect");
	if (a.domid != w->start->domid)
		return error_set(err, EINVAL, "this worker is for domain %u",
				 w->start->domid);
	fill_config(&a, &c);
	c.bounce_max = w->memory / 4;
	ret = io_connect(&w->io, w->image, &c, err);
	if (ret)
		return ret;
	seal_opener();
	ret = confine_connected(&w->confine, err);
	if (ret)
		io_disconnect(&w->io);
	else
		log_connected(&c);
	return ret;
}

static json_t *stats(const struct io *io)
{
	const struct blkif_stats *s = io->vbd ? blkif_stats(io->vbd) : NULL;
	uint64_t errors = 0;

	if (!s)
		return json_object();
	for (unsigned int i = 0; i < BLKIF_NR_ERRORS; i++)
		errors += s->errors[i];
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "reads", (json_int_t)s->reads,
			 "writes", (json_int_t)s->writes,
			 "flushes", (json_int_t)(s->flushes + s->barriers),
			 "discards", (json_int_t)s->discards,
			 "bytes-read", (json_int_t)s->bytes_read,
			 "bytes-written", (json_int_t)s->bytes_written,
			 "errors", (json_int_t)errors);
}

static void log_served(json_t *s)
{
	json_int_t reads = 0, writes = 0, flushes = 0, errors = 0;

	if (json_unpack(s, "{s:I, s:I, s:I, s:I}", "reads", &reads, "writes",
			&writes, "flushes", &flushes, "errors", &errors) == 0)
		log_info("disconnected after %lld reads, %lld writes, %lld "
			 "flushes, %lld errors", (long long)reads,
			 (long long)writes, (long long)flushes,
			 (long long)errors);
}

static int do_disconnect(struct worker *w, json_t *args, json_t **reply,
			 struct error *err)
{
	struct image *img = w->image;
	uint64_t never = 0;
	int ret;

	*reply = stats(&w->io);
	log_served(*reply);
	io_disconnect(&w->io);
	w->image = NULL;
	w->opened = false;
	ret = image_close(img, err);
	log_settle(NULL, UINT64_MAX, &never);	/* the last that is heard */
	return ret;
}

static int do_stats(struct worker *w, json_t *args, json_t **reply,
		    struct error *err)
{
	*reply = stats(&w->io);
	return 0;
}

/* ---- commands ---- */

static const struct command {
	const char *name;
	/* co. 0 and *reply, or -errno and a sentence. */
	int (*run)(struct worker *w, json_t *args, json_t **reply,
		   struct error *err);
} commands[] = {
	{ "probe", do_probe },
	{ "open", do_open },
	{ "connect", do_connect },
	{ "disconnect", do_disconnect },
	{ "stats", do_stats },
};

static int run_command(struct worker *w, const char *name, json_t *args,
		       json_t **reply, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(commands[i].name, name))
			return commands[i].run(w, args, reply, err);
	}
	return error_set(err, EINVAL, "unknown command \"%s\"", name);
}

/* It may quote an image: JSON, too, carries UTF-8 only. */
static json_t *sentence(struct error *err, int ret)
{
	struct error clean;

	error_reason(err, ret);
	printable(err->msg, clean.msg, sizeof(clean.msg));
	return json_string(clean.msg);
}

static int obey(struct worker *w, json_t *msg)
{
	struct error err = ERROR_INIT;
	json_t *args = NULL, *reply = NULL;
	const char *name = "";
	int ret;

	if (json_unpack(msg, "{s:s, s?o}", "execute", &name, "arguments",
			&args) < 0)
		return -EPROTO;
	ret = run_command(w, name, args, &reply, &err);
	if (ret == 0)
		return message_send(WORKER_FD,
				    json_pack("{s:s, s:o}", "command", name,
					      "return", reply ? reply :
					      json_object()));
	json_decref(reply);
	return message_send(WORKER_FD,
			    json_pack("{s:s, s:{s:i, s:o}}", "command", name,
				      "error", "errno", -ret, "desc",
				      sentence(&err, ret)));
}

static bool is_cancel(json_t *msg)
{
	const char *name;

	return json_unpack(msg, "{s:s}", "execute", &name) == 0 &&
	       !strcmp(name, "cancel");
}

/* With nothing open and nothing to do there is nothing to be given up. */
static bool is_idle(const struct worker *w)
{
	return !w->opened && w->listener && !json_array_size(w->heard);
}

static void hear_packet(struct worker *w, json_t *msg)
{
	if (!is_cancel(msg)) {
		if (json_array_append(w->heard, msg) < 0)
			w->heard_end = -ENOMEM;
	} else if (!is_idle(w)) {
		loop_set_cancelled(w->loop, true);
	}
	json_decref(msg);
}

/* Also while a command runs. */
static void socket_readable(struct loop_fd *watch, uint32_t events)
{
	struct worker *w = container_of(watch, struct worker, socket);
	struct coroutine *co = w->listener;
	json_t *msg;
	int ret = message_receive(WORKER_FD, &msg);

	if (ret == -EAGAIN)
		return;
	if (ret == 0)
		hear_packet(w, msg);
	else
		w->heard_end = ret;
	if (w->heard_end)
		loop_del_fd(w->loop, watch);
	if (w->heard_end && !w->opened)	/* nobody takes the answer */
		loop_set_cancelled(w->loop, true);
	if (!co || (!w->heard_end && !json_array_size(w->heard)))
		return;
	w->listener = NULL;
	co_wake(co);
}

/* Waits for a command. */
static int listen_for(struct worker *w, json_t **msg)
{
	while (!json_array_size(w->heard)) {
		if (!w->opened)
			loop_set_cancelled(w->loop, false);
		if (w->heard_end)
			return w->heard_end;
		w->listener = co_self();
		co_yield();
	}
	*msg = json_incref(json_array_get(w->heard, 0));
	json_array_remove(w->heard, 0);
	return 0;
}

static int watch_commands(struct worker *w)
{
	w->heard = json_array();
	if (!w->heard)
		return -ENOMEM;
	return loop_add_fd(w->loop, &w->socket, WORKER_FD, EPOLLIN,
			   socket_readable);
}

static void converse(void *arg)
{
	struct worker *w = arg;
	struct error err = ERROR_INIT;
	json_t *msg, *unread = NULL;
	int ret;

	do {
		ret = listen_for(w, &msg);
		if (ret == 0) {
			ret = obey(w, msg);
			json_decref(msg);
		}
	} while (ret == 0);
	if (ret != -ECONNRESET)
		log_error("supervisor: %s", strerror(-ret));
	ret = do_disconnect(w, NULL, &unread, &err);
	json_decref(unread);
	if (ret < 0)
		log_error("closing the image: %s", error_text(&err, ret));
	w->done = true;
}

/* The supervisor logs it. */
static void rings_failed(struct io *io, const char *why)
{
	message_send(WORKER_FD, json_pack("{s:s, s:s}", "event", "failed",
					  "desc", why));
}

/* The supervisor knows how much there has been of a kind from this disk, whichever
 * worker said it. Where it does not listen the line goes to stderr. */
static bool say_line(enum log_level level, uint32_t sentence, const char *text)
{
	return message_send(WORKER_FD,
			    json_pack("{s:s, s:i, s:I, s:s}", "event", "log",
				      "level", (int)level, "sentence",
				      (json_int_t)sentence, "desc", text)) == 0;
}

static void settle_log(struct loop_timer *timer)
{
	struct worker *w = container_of(timer, struct worker, log_timer);
	uint64_t next = UINT64_MAX;

	log_settle(NULL, monotonic_ns(), &next);
	if (next != UINT64_MAX)
		loop_set_timer(w->loop, timer, next);
}

static void line_left_out(void *arg, uint64_t due_ns)
{
	struct worker *w = arg;

	if (list_empty(&w->log_timer.link))
		loop_set_timer(w->loop, &w->log_timer, due_ns);
}

static void watch_log(struct worker *w)
{
	list_init(&w->log_timer.link);
	w->log_timer.expire = settle_log;
	log_hand_over(say_line);
	log_when_left_out(line_left_out, w);
}

static void finish_log(struct worker *w)
{
	uint64_t never = 0;

	log_when_left_out(NULL, NULL);
	loop_cancel_timer(&w->log_timer);
	log_settle(NULL, UINT64_MAX, &never);
}

/* ---- the process ---- */

/* As if the supervisor had closed its end. */
static void signal_readable(struct loop_fd *watch, uint32_t events)
{
	struct signalfd_siginfo si;

	if (read(watch->fd, &si, sizeof(si)) == sizeof(si))
		shutdown(WORKER_FD, SHUT_RD);
}

static int watch_for_end(struct worker *w)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	return loop_add_fd(w->loop, &w->signal, fd, EPOLLIN, signal_readable);
}

/* Of this guest alone, where the device can be told so: grants cannot, SECURITY.md.
 * A restricted device binds no port of another domain. */
static int open_xen(struct worker *w, struct error *err)
{
	struct xentoollog_logger *quiet = blkif_quiet_logger();

	if (w->start->domid == NO_DOMID)
		return 0;
	w->gnttab = xengnttab_open(quiet, 0);
	if (!w->gnttab)
		return error_set_errno(err, errno, "grant device");
	w->evtchn = xenevtchn_open(quiet, 0);
	if (!w->evtchn)
		return error_set_errno(err, errno, "event channel device");
	if (xenevtchn_restrict(w->evtchn, (domid_t)w->start->domid) < 0)
		log_info("the event channel device is not restricted to the "
			 "domain: %s", strerror(errno));
	return 0;
}

static void close_xen(struct worker *w)
{
	if (w->gnttab)
		xengnttab_close(w->gnttab);
	if (w->evtchn)
		xenevtchn_close(w->evtchn);
}

static int open_worker(struct worker *w, struct error *err)
{
	int ret;

	w->loop = loop_new();
	if (!w->loop)
		return error_set_errno(err, errno, "event loop");
	watch_log(w);
	io_init(&w->io, w->loop);
	w->io.failed = rings_failed;
	wire_opener_init(&w->opener, OPENER_FD);
	ret = open_xen(w, err);
	if (ret == 0 && w->start->sandbox != SANDBOX_OFF)
		ret = aio_new_confined(w->loop, &w->engine, err);
	if (ret == 0)
		ret = watch_for_end(w);
	if (ret == 0)
		ret = watch_commands(w);
	return ret ? ret : co_start(converse, w);
}

static int run_until_done(const struct start *start)
{
	struct worker w = {
		.start = start, .socket = LOOP_FD_INIT, .signal = LOOP_FD_INIT,
	};
	struct error err = ERROR_INIT;
	int ret = open_worker(&w, &err);

	if (ret < 0) {
		log_error("cannot start: %s", error_text(&err, ret));
		return EXIT_FAILURE;
	}
	while (!w.done)
		io_turn(&w.io);
	confine_report();
	aio_free(w.engine);
	loop_del_fd(w.loop, &w.signal);
	loop_del_fd(w.loop, &w.socket);
	json_decref(w.heard);
	finish_log(&w);
	co_trim();
	close_xen(&w);
	loop_free(w.loop);
	return EXIT_SUCCESS;
}

/* The supervisor's score is low where the system lets it (OOMScoreAdjust=), since
 * all disks of the host hang on it. On a worker hangs one, and what memory it has
 * is what an image and a guest made it take. */
static void raise_oom_score(void)
{
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	char score;

	if (fd < 0)
		return;			/* no procfs */
	if (pread(fd, &score, 1, 0) == 1 && score == '-' &&
	    pwrite(fd, "0", 1, 0) != 1)
		log_warn("oom_score_adj: %s", strerror(errno));
	close(fd);
}

int main(int argc, char **argv)
{
	struct start start;

	if (start_parse(&start, argc, argv) < 0)
		return start_usage("xdisk-worker");
	log_set_object(start.name);
	log_init("xdisk-worker", start.log_level, true);
	log_limit();
	if (setpriority(PRIO_PROCESS, 0, 0) < 0)	/* the supervisor's */
		log_debug("setpriority: %s", strerror(errno));
	raise_oom_score();
	return run_until_done(&start);
}
