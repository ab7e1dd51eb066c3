/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Workers that are not ours any more: the input says, one step after the other,
 * what the supervisor asks of them, what packets they send, made of the
 * protocol's words or of any bytes, and when a socket or a process ends. Input
 * that ends reads as zeros. There is no process: child.h's functions are here.
 *
 * What must hold: the supervisor sends commands only, and hears of each answer
 * that one of them can have had, once, with a reason where it is bad; a worker
 * that breaks the protocol is killed; one that has ended holds nothing.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/supervisor/link.h"
#include "backend/supervisor/opening.h"
#include "common/bits.h"
#include "common/clock.h"

#define MAX_STEPS 200

static struct input {
	const uint8_t *data;
	size_t size;
} in;

static uint8_t get(void)
{
	if (!in.size)
		return 0;
	in.size--;
	return *in.data++;
}

/* Small ones, and those at an end of their range. */
static json_int_t get_number(void)
{
	uint8_t n = get();

	return n < 128 ? n : (json_int_t)(UINT64_MAX >> (n & 63)) *
			     (n & 64 ? 1 : -1);
}

/* ---- the processes ---- */

static struct link link_;
static int host_fd;

/* That of the serving worker, that of the probing one. */
static struct process {
	int fd;			/* its end of the socket, -1: closed */
	bool killed, ended;
	unsigned int told_to[LINK_NR_COMMANDS], cancels;
} processes[2] = { { .fd = -1 }, { .fd = -1 } };

/* The one that speaks in this step. */
static struct process *speaker;

static struct process *process_of(const struct child *c)
{
	MUST(c == &link_.serving.child || c == &link_.probing.child);
	return &processes[c == &link_.probing.child];
}

void child_init(struct child *c)
{
	c->pid = 0;
	c->fd = -1;
}

int opening_begin(struct opening *o, const struct start *start,
		  const struct disk_arguments *image, int *fd,
		  struct error *err)
{
	json_t *packed = disk_arguments_pack(image);

	MUST(packed && start->name && image->path && image->section);
	json_decref(packed);
	if (get() == 254)
		return error_set(err, EMFILE, "no opener");
	*fd = dup(host_fd);
	MUST(*fd >= 0);
	return 0;
}

int child_spawn(struct child *c, const char *program,
		const struct start *start, int opener_fd, struct error *err)
{
	struct process *p = process_of(c);
	int pair[2];

	MUST(!c->pid && c->fd < 0 && p->fd < 0 && opener_fd >= 0);
	if (get() == 255)
		return error_set(err, ENOENT, "no such program");
	MUST(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	*p = (struct process){ .fd = pair[1] };
	c->pid = 1;
	c->fd = pair[0];
	return 0;
}

void child_close(struct child *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void child_kill(struct child *c)
{
	process_of(c)->killed |= c->pid > 0;
}

bool child_ended(const struct child *c)
{
	return c->pid > 0 && process_of(c)->ended;
}

bool child_reap(struct child *c, int *status)
{
	if (!child_ended(c))
		return false;
	child_close(c);
	c->pid = 0;
	*status = process_of(c)->killed ? 9 : get() << 8;
	return true;
}

static void close_its_end(struct process *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/* ---- what a worker says ---- */

static void say_text(const char *text, size_t len)
{
	if (speaker->fd >= 0)
		(void)!send(speaker->fd, text, len,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void say_json(json_t *msg)
{
	char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;

	if (text)
		say_text(text, strlen(text));
	free(text);
	json_decref(msg);
}

static const char *any_command(void)
{
	static const char *const names[] = {
		"probe", "open", "connect", "disconnect", "stats", "cancel",
		"", "open\n",
	};

	return names[get() % ARRAY_SIZE(names)];
}

static const char *any_sentence(void)
{
	static const char *const sentences[] = {
		"no such file", "", "%s%n", "\n<0>all is well\033[2J",
		"\xc3\xa4 \xf0\x9f\x92\xbe",
	};

	return sentences[get() % ARRAY_SIZE(sentences)];
}

static json_t *any_reply(void)
{
	json_int_t size = get_number(), block = get_number();
	json_int_t granularity = get_number();
	uint8_t kind = get();
	json_t *reply;

	if (kind % 8 == 7)
		return json_integer(size);
	if (kind % 8 == 6)
		return json_null();
	reply = json_pack("{s:I, s:I, s:I, s:b}", "size", size,
			  "physical-block", block, "discard-granularity",
			  granularity, "discard", kind & 8);
	if (kind % 8 == 5)
		json_object_del(reply, "size");
	if (kind % 8 == 4)
		json_object_set_new(reply, "discard", json_string("yes"));
	if (kind % 8 == 3)
		json_object_clear(reply);
	return reply;
}

static void answer_well(void)
{
	const char *command = any_command();

	say_json(json_pack("{s:s, s:o}", "command", command, "return",
			   any_reply()));
}

static void answer_error(void)
{
	const char *command = any_command();
	json_int_t errnum = get() & 1 ? EAGAIN : get_number();

	say_json(json_pack("{s:s, s:{s:I, s:s}}", "command", command, "error",
			   "errno", errnum, "desc", any_sentence()));
}

static void say_event(void)
{
	static const char *const names[] = { "failed", "log", "", "ended" };
	const char *name = names[get() % ARRAY_SIZE(names)];
	json_int_t level = get_number(), sentence = get_number();

	say_json(json_pack("{s:s, s:I, s:I, s:s}", "event", name, "level",
			   level, "sentence", sentence, "desc",
			   any_sentence()));
}

static void say_bytes(void)
{
	size_t len = min((size_t)get(), in.size);

	say_text((const char *)in.data, len);
	in.data += len;
	in.size -= len;
}

/* ---- what the supervisor does ---- */

static struct conf conf;
static struct host host = { .conf = &conf, .foreground = true };
static struct log_object device_log;
static unsigned int heard[LINK_ENDED + 1];	/* since it was DOWN */

/* A socket whose other end was closed with something unread tells of that
 * first, and then gives what it has. */
static bool next_command(const struct process *p, json_t **msg)
{
	return p->fd >= 0 && (message_receive(p->fd, msg) == 0 ||
			      message_receive(p->fd, msg) == 0);
}

/* Counts what it was sent. */
static void read_commands(struct process *p)
{
	static const char *const names[] = {
		[LINK_COMMAND_PROBE] = "probe", [LINK_COMMAND_OPEN] = "open",
		[LINK_COMMAND_CONNECT] = "connect",
		[LINK_COMMAND_DISCONNECT] = "disconnect",
	};
	json_t *msg;

	while (next_command(p, &msg)) {
		const char *name = NULL;
		size_t i = 0;

		MUST(!json_unpack(msg, "{s:s}", "execute", &name));
		while (i < ARRAY_SIZE(names) && strcmp(names[i], name))
			i++;
		if (i < ARRAY_SIZE(names))
			p->told_to[i]++;
		else
			MUST(!strcmp(name, "cancel") && !p->cancels++);
		json_decref(msg);
	}
}

/* The answers that can have been given; nobody hears of others. */
static void judge_heard(void)
{
	const unsigned int *told_to = processes[0].told_to;

	read_commands(&processes[0]);
	read_commands(&processes[1]);
	MUST(!told_to[LINK_COMMAND_PROBE]);
	MUST(processes[1].told_to[LINK_COMMAND_PROBE] <= 1);
	MUST(!processes[1].told_to[LINK_COMMAND_OPEN]);
	MUST(link_.state <= XENBUS_LINK_UP);
	MUST(heard[LINK_CONNECTED] <= told_to[LINK_COMMAND_CONNECT]);
	MUST(heard[LINK_DISCONNECTED] <= told_to[LINK_COMMAND_DISCONNECT]);
	MUST(link_.state != XENBUS_LINK_UP || heard[LINK_CONNECTED]);
	if (!link_lives(&link_))
		MUST(link_.state == XENBUS_LINK_DOWN);
}

static void any_rings(struct rings *r)
{
	*r = (struct rings){ .nr_queues = get() % LIMIT_QUEUES + 1 };
	r->ring_order = get() % (LIMIT_RING_ORDER + 1);
	for (unsigned int i = 0; i < r->nr_queues; i++)
		r->queues[i].port = get();
}

/* Nothing takes days here. */
static void judge_sentence(const char *why)
{
	const char *busy = strstr(why, "\" for ");
	unsigned int seconds;

	MUST(!strstr(why, "(null)"));
	if (busy && sscanf(busy, "\" for %u s", &seconds) == 1)
		MUST(seconds < 100000);
}

/* From within the link's functions, as connect.c does. */
static void told(struct link *l, const struct link_news *news)
{
	struct rings rings;
	uint8_t what;

	MUST(l == &link_ && news->event <= LINK_ENDED);
	MUST(!news->errnum || news->why);
	if (news->errnum)
		judge_sentence(news->why);
	heard[news->event]++;
	if (news->event != LINK_OPENED || news->errnum)
		return;
	MUST(l->state == XENBUS_LINK_BUSY);
	any_rings(&rings);
	what = get();
	if (what & 1)
		link_connect(l, what & 2, &rings);
	else
		link_disconnect(l);
}

static void begin_open(bool probe)
{
	static const char *const paths[] = {
		"/srv/a.qcow2", "", "/\xff\xfe", "nbd://server/x",
	};
	uint8_t what = get();
	struct link_image image = {
		.path = paths[what % ARRAY_SIZE(paths)], .format = "qcow2",
		.readonly = what & 4, .unmap = what & 8,
	};

	link_.retry_ns = 0;
	if (probe)
		link_probe(&link_, &image, what & 16);
	else if (link_.state == XENBUS_LINK_DOWN ||
		 link_.state == XENBUS_LINK_WAITING)
		link_open(&link_, &image);
}

/* Whatever there is to be waited for has taken too long. */
static void end_patience(void)
{
	uint64_t next = UINT64_MAX;

	if (link_.state == XENBUS_LINK_WAITING)
		link_.give_up_ns = 1;
	link_.serving.deadline_ns = link_.probing.deadline_ns = 1;
	link_tick(&link_, monotonic_ns(), &next);
}

static void hear(struct worker *w)
{
	bool broken = w->broken;

	link_hear(w);
	if (w->broken && !broken)
		MUST(process_of(&w->child)->killed && w->child.fd < 0);
}

/* The process ends: it is gone afterwards, and holds nothing. */
static void reap(struct worker *w)
{
	struct process *p = process_of(&w->child);

	if (w->child.pid <= 0)
		return;
	p->ended = true;
	judge_heard();
	link_reap(&link_);
	close_its_end(p);
	*p = (struct process){ .fd = -1 };
	MUST(!w->child.pid && w->child.fd < 0 && !w->task);
	if (w != &link_.serving)
		return;
	MUST(link_.state == XENBUS_LINK_DOWN);
	memset(heard, 0, sizeof(heard));
}

static void step(void)
{
	uint8_t what = get();
	struct worker *w = what & 16 ? &link_.probing : &link_.serving;

	speaker = process_of(&w->child);
	switch (what % 16) {
	case 0:
		begin_open(true);
		return;
	case 1:
	case 2:
		begin_open(false);
		return;
	case 3:
		if (link_.state != XENBUS_LINK_BUSY)
			link_disconnect(&link_);
		return;
	case 4:
		link_hurry(&link_);
		return;
	case 5:
		if (link_.state == XENBUS_LINK_DOWN || what & 32)
			link_close(&link_);
		return;
	case 6:
		end_patience();
		return;
	case 7:
		reap(w);
		return;
	case 8:
		close_its_end(speaker);
		return;
	case 9:
	case 10:
		answer_well();
		return;
	case 11:
		answer_error();
		return;
	case 12:
		say_event();
		return;
	case 13:
		say_bytes();
		return;
	default:
		hear(w);
	}
}

static void set_up(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	log_init("fuzz-link", LOG_LEVEL_ERROR, true);
	log_limit();
	MUST(!conf_init(&conf, "/nonexistent"));
	host.epoll_fd = host_fd = epoll_create1(EPOLL_CLOEXEC);
	MUST(host.epoll_fd >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	set_up();
	in = (struct input){ data, size };
	memset(heard, 0, sizeof(heard));
	log_object_init(&device_log, "vbd 5/51712");
	link_init(&link_, &host, &device_log, 5, told);
	for (int i = 0; i < MAX_STEPS && in.size; i++) {
		step();
		judge_heard();
	}
	reap(&link_.serving);
	reap(&link_.probing);
	return 0;
}
