/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link.c: see link.h.
 *
 * A worker confines itself for good, so each connection has one of its own; so
 * has a look at the image beforehand.
 *
 *	DOWN --open--> BUSY --connect--> BUSY --> UP --disconnect--> BUSY --> DOWN
 *	                |
 *	                `-- locked --> WAITING --open--> ...
 *
 * An image that a QEMU still holds for the guest's emulated disk is tried
 * again: the guest's kernel unplugs that disk just before its driver connects.
 */
#include "backend/supervisor/link.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/supervisor/opening.h"
#include "common/bits.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define RETRY_FIRST_NS (20 * NS_PER_MS)
#define RETRY_LONGEST_NS (1 * NS_PER_S)
#define GIVE_UP_NS (30 * NS_PER_S)
#define HURRY_NS (10 * NS_PER_S)
#define CLOSE_NS (10 * NS_PER_S)

/* Packets heard from one worker before the other devices get their turn. */
#define MESSAGES_PER_TURN 16

/* Of the log: a worker with more is broken. */
#define LINES_PER_SECOND 5000

static const char *const command_names[] = {
	[LINK_COMMAND_PROBE] = "probe",
	[LINK_COMMAND_OPEN] = "open",
	[LINK_COMMAND_CONNECT] = "connect",
	[LINK_COMMAND_DISCONNECT] = "disconnect",
};

/* Storage may be slow: what opens or flushes an image gets more time. */
static const uint64_t command_ns[] = {
	[LINK_COMMAND_PROBE] = 60 * NS_PER_S,
	[LINK_COMMAND_OPEN] = 60 * NS_PER_S,
	[LINK_COMMAND_CONNECT] = 30 * NS_PER_S,
	[LINK_COMMAND_DISCONNECT] = 60 * NS_PER_S,
};

void link_init(struct link *l, const struct host *host, struct log_object *log,
	       uint32_t domid,
	       void (*told)(struct link *l, const struct link_news *news))
{
	*l = (struct link){
		.host = host, .log = log, .domid = domid, .told = told,
		.serving.link = l, .probing.link = l,
	};
	child_init(&l->serving.child);
	child_init(&l->probing.child);
}

static void set_state(struct link *l, enum xenbus_link state, const char *why)
{
	static const char *const names[] = {
		[XENBUS_LINK_DOWN] = "down", [XENBUS_LINK_WAITING] = "waiting",
		[XENBUS_LINK_BUSY] = "busy", [XENBUS_LINK_UP] = "up",
	};

	if (l->state != state)
		log_write(l->log, LOG_LEVEL_DEBUG, "worker %s -> %s: %s",
			  names[l->state], names[state], why);
	l->state = state;
	if (state == XENBUS_LINK_DOWN)
		l->end_ns = 0;
}

static void tell(struct link *l, enum link_event event, int errnum,
		 const char *why)
{
	const struct link_news news = { event, errnum, why };

	l->told(l, &news);
}

/* ---- patience ---- */

/* What one was killed for stays what is told of it. */
static void has_to(struct worker *w, const char *task, uint64_t within_ns)
{
	if (w->killed_ns)
		return;
	w->task = task;
	w->since_ns = monotonic_ns();
	w->deadline_ns = w->since_ns + within_ns;
}

static uint64_t deadline(const struct worker *w)
{
	const struct link *l = w->link;
	uint64_t ns = w->deadline_ns;

	if (l->end_ns)
		ns = min(ns, l->end_ns);
	return l->host->stopping ? min(ns, l->host->stop_ns) : ns;
}

static unsigned int busy_seconds(const struct worker *w)
{
	return (unsigned int)((w->killed_ns - w->since_ns) / NS_PER_S);
}

static void kill_when_due(struct worker *w, uint64_t now_ns, uint64_t *next_ns)
{
	if (!w->task || w->killed_ns)
		return;
	if (now_ns < deadline(w)) {
		*next_ns = min(*next_ns, deadline(w));
		return;
	}
	w->killed_ns = now_ns;
	log_write(w->link->log, LOG_LEVEL_ERROR,
		  "killing the worker: busy with \"%s\" for %u s", w->task,
		  busy_seconds(w));
	child_kill(&w->child);
}

/* A worker that does not take it gets none of its patience. */
static void cancel_worker(struct worker *w)
{
	if (w->cancelled || w->child.fd < 0)
		return;
	w->cancelled = true;
	if (message_send(w->child.fd,
			 json_pack("{s:s}", "execute", "cancel")) < 0)
		child_kill(&w->child);
}

void link_hurry(struct link *l)
{
	l->end_ns = monotonic_ns() + HURRY_NS;
	cancel_worker(&l->serving);
	cancel_worker(&l->probing);
}

/* ---- the processes ---- */

/* Uids of their own, one a guest, where we are root. */
static uid_t uid_for(const struct link *l)
{
	const struct conf *c = l->host->conf;

	return geteuid() == 0 && c->worker_uids ? c->worker_uids + l->domid : 0;
}

static int start_worker(struct worker *w, const struct disk_arguments *image,
			struct error *err)
{
	struct link *l = w->link;
	const struct host *host = l->host;
	const struct start start = {
		.name = l->log->name,
		.log_level = host->conf->log_level,
		.log_stderr = host->foreground,
		.domid = w == &l->serving ? l->domid : NO_DOMID,
		.sandbox = host->conf->sandbox,
		.uid = uid_for(l),
	};
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = w };
	cleanup_fd int opener_fd = -1;
	int ret;

	if (child_alive(&w->child))
		return 0;
	memset(w->awaited, 0, sizeof(w->awaited));
	w->broken = w->cancelled = w->closed = w->may_fail = false;
	w->task = NULL;
	w->killed_ns = 0;
	ret = opening_begin(host->opener, &start, image, &opener_fd, err);
	if (ret == 0)
		ret = child_spawn(&w->child, host->worker, &start, opener_fd,
				  err);
	if (ret < 0)
		return ret;
	if (epoll_ctl(host->epoll_fd, EPOLL_CTL_ADD, w->child.fd, &ev) == 0)
		return 0;
	ret = error_set_errno(err, errno, "epoll_ctl");
	child_kill(&w->child);
	return ret;
}

static void close_worker(struct worker *w)
{
	if (!child_alive(&w->child) || w->closed)
		return;
	child_close(&w->child);
	w->closed = true;
	if (!w->task)
		has_to(w, "end", CLOSE_NS);
	w->deadline_ns = monotonic_ns() + CLOSE_NS;
}

void link_close(struct link *l)
{
	close_worker(&l->serving);
	close_worker(&l->probing);
}

bool link_lives(const struct link *l)
{
	return child_alive(&l->serving.child) || child_alive(&l->probing.child);
}

static void say_how_it_ended(const struct worker *w, int status,
			     struct error *why)
{
	if (w->broken)
		error_set(why, EPROTO, "the worker did not keep to its "
			  "protocol, and was killed");
	else if (w->killed_ns)
		error_set(why, ETIMEDOUT, "the worker was killed: it had been "
			  "busy with \"%s\" for %u s", w->task,
			  busy_seconds(w));
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		error_set(why, EIO, "the worker was ended by its sandbox: it "
			  "made a system call that is not on its list "
			  "(--sandbox=log tells which)");
	else if (WIFSIGNALED(status))
		error_set(why, EIO, "the worker was killed by signal %d (%s)",
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		error_set(why, EIO, "the worker ended with status %d",
			  WEXITSTATUS(status));
}

/* More than any worker has to say, which limits itself. */
static bool says_too_much(struct worker *w)
{
	uint64_t now = monotonic_ns();

	if (now - w->lines_since_ns > NS_PER_S) {
		w->lines_since_ns = now;
		w->lines = 0;
	}
	return ++w->lines > LINES_PER_SECOND;
}

/* Foreign words: log.c makes one line of them, and limits those. */
static int log_line(struct worker *w, json_t *msg, const char *text)
{
	json_int_t sentence;
	int level;

	if (says_too_much(w))
		return -EPROTO;
	if (json_unpack(msg, "{s:i, s:I}", "level", &level, "sentence",
			&sentence) < 0 || level < 0 || level > LOG_LEVEL_DEBUG)
		return -EPROTO;
	log_handed(w->link->log, (enum log_level)level, (uint32_t)sentence,
		   text);
	return 0;
}

/* One that has ended may have said why. */
static void hear_last_words(struct worker *w)
{
	const char *name, *text;
	json_t *msg;

	for (int i = 0; i < MESSAGES_PER_TURN && w->child.fd >= 0; i++) {
		if (message_receive(w->child.fd, &msg) < 0)
			return;
		if (json_unpack(msg, "{s:s, s:s}", "event", &name, "desc",
				&text) == 0 && !strcmp(name, "log"))
			log_line(w, msg, text);
		json_decref(msg);
	}
}

/* True when it has ended; w->closed: it was told to. */
static bool reap_worker(struct worker *w, struct error *why)
{
	int status;

	if (!child_ended(&w->child))
		return false;
	hear_last_words(w);
	if (!child_reap(&w->child, &status))
		return false;
	say_how_it_ended(w, status, why);
	if (w->closed && status && !w->killed_ns)
		log_write(w->link->log, LOG_LEVEL_ERROR, "when its work was "
			  "done: %s", why->msg);
	memset(w->awaited, 0, sizeof(w->awaited));
	w->task = NULL;
	return true;
}

void link_reap(struct link *l)
{
	bool in_use = l->state != XENBUS_LINK_DOWN;
	struct error why;

	if (reap_worker(&l->probing, &why) && !l->probing.closed)
		tell(l, LINK_PROBED, ECHILD, why.msg);
	if (!reap_worker(&l->serving, &why))
		return;
	set_state(l, XENBUS_LINK_DOWN, "its process has ended");
	if (l->serving.closed) {
		tell(l, LINK_ENDED, 0, NULL);
		return;
	}
	tell(l, LINK_ENDED, in_use ? EIO : ECHILD, why.msg);
}

/* ---- commands ---- */

static int command(struct worker *w, enum link_command c, json_t *arguments,
		   struct error *err)
{
	json_t *msg = json_pack("{s:s, s:o*}", "execute", command_names[c],
				"arguments", arguments);
	int ret = message_send(w->child.fd, msg);

	if (ret < 0)
		return error_set_errno(err, -ret, "cannot tell the worker to "
				       "%s", command_names[c]);
	w->awaited[c]++;
	has_to(w, command_names[c], command_ns[c]);
	return 0;
}

/* A worker that does not take a command is of no use. */
static void busy_with(struct link *l, enum link_command c, json_t *arguments)
{
	struct error err = ERROR_INIT;
	int ret = command(&l->serving, c, arguments, &err);

	set_state(l, XENBUS_LINK_BUSY, command_names[c]);
	if (ret == 0)
		return;
	tell(l, LINK_FAILED, -ret, error_text(&err, ret));
	child_kill(&l->serving.child);
}

static void image_arguments(const struct conf *c, const struct link_image *image,
			    const char *section, bool locks,
			    struct disk_arguments *out)
{
	struct image_settings s;

	conf_for_image(c, image->path, &s);
	*out = (struct disk_arguments){
		.path = image->path,
		.format = image->format,
		.readonly = image->readonly,
		.unmap = image->unmap,
		.direct_io_safe = image->direct_io_safe,
		.cache = s.cache,
		.aio = s.aio,
		.l2_cache_size = s.l2_cache_size,
		.memory = s.memory,
		.secret_file = s.secret_file,
		.legacy_aes = s.legacy_aes && !strcmp(s.legacy_aes, "yes"),
		.data_file = s.data_file,
		.image_dirs = s.image_dirs,
		.section = section,
		.locks = locks,
	};
}

/* To a process that is started for it, if there is none. */
static int tell_of_image(struct worker *w, enum link_command c,
			 const struct link_image *image, bool locks,
			 struct error *err)
{
	const struct conf *conf = w->link->host->conf;
	cleanup_free char *section = conf_section_for(conf, image->path);
	struct disk_arguments args;
	int ret;

	if (!section)
		return -ENOMEM;
	image_arguments(conf, image, section, locks, &args);
	ret = start_worker(w, &args, err);
	return ret ? ret : command(w, c, disk_arguments_pack(&args), err);
}

/* One look at a time will do. */
void link_probe(struct link *l, const struct link_image *image, bool locks)
{
	struct error err = ERROR_INIT;
	int ret;

	if (child_alive(&l->probing.child))
		return;
	l->probes_locks = locks;
	ret = tell_of_image(&l->probing, LINK_COMMAND_PROBE, image, locks, &err);
	if (ret == 0)
		return;
	close_worker(&l->probing);
	tell(l, LINK_PROBED, -ret, error_text(&err, ret));
}

/* The process of the last connection has its image to close, and one that looks
 * whether locks could be had must not meet ours. */
static bool must_wait(const struct link *l)
{
	return (child_alive(&l->serving.child) && l->serving.closed) ||
	       (l->probes_locks && l->probing.awaited[LINK_COMMAND_PROBE]);
}

void link_open(struct link *l, const struct link_image *image)
{
	struct error err = ERROR_INIT;
	int ret;

	if ((l->state == XENBUS_LINK_WAITING && monotonic_ns() < l->retry_ns) ||
	    must_wait(l))
		return;
	ret = tell_of_image(&l->serving, LINK_COMMAND_OPEN, image, false, &err);
	if (ret == 0)
		set_state(l, XENBUS_LINK_BUSY, "open");
	if (ret == 0)
		return;
	close_worker(&l->serving);
	tell(l, LINK_OPENED, -ret, error_text(&err, ret));
}

void link_disconnect(struct link *l)
{
	if (l->state == XENBUS_LINK_WAITING) {
		set_state(l, XENBUS_LINK_DOWN, "not wanted any more");
		close_worker(&l->serving);
	} else if (l->state != XENBUS_LINK_DOWN) {
		busy_with(l, LINK_COMMAND_DISCONNECT, NULL);
	}
	l->give_up_ns = 0;
}

void link_connect(struct link *l, bool discard, const struct rings *rings)
{
	const struct connect_arguments c = { l->domid, discard, *rings };

	l->serving.may_fail = true;
	busy_with(l, LINK_COMMAND_CONNECT, connect_arguments_pack(&c));
}

/* ---- answers ---- */

static void give_up(struct link *l, const char *why)
{
	struct error err = ERROR_INIT;

	l->give_up_ns = 0;
	set_state(l, XENBUS_LINK_DOWN, "the image stays locked");
	error_set(&err, EAGAIN, "still locked after %llu s: %s",
		  (unsigned long long)(GIVE_UP_NS / NS_PER_S), why);
	tell(l, LINK_OPENED, EAGAIN, err.msg);
}

/* The image is locked: another try, later and later. */
static void wait_for_lock(struct link *l, const char *why)
{
	uint64_t now = monotonic_ns();

	if (!l->give_up_ns) {
		log_write(l->log, LOG_LEVEL_INFO, "waiting for the image: %s",
			  why);
		l->give_up_ns = now + GIVE_UP_NS;
		l->retry_delay_ns = RETRY_FIRST_NS;
	}
	if (now >= l->give_up_ns) {
		give_up(l, why);
		return;
	}
	set_state(l, XENBUS_LINK_WAITING, "the image is locked");
	l->retry_ns = now + l->retry_delay_ns;
	l->retry_delay_ns = min(l->retry_delay_ns * 2,
				(uint64_t)RETRY_LONGEST_NS);
}

static void probe_answer(struct link *l, int errnum, const char *why,
			 json_t *reply)
{
	close_worker(&l->probing);
	tell(l, LINK_PROBED, errnum, why);
}

static void open_answer(struct link *l, int errnum, const char *why,
			json_t *reply)
{
	if (errnum == EAGAIN) {
		wait_for_lock(l, why);
		return;
	}
	l->give_up_ns = 0;
	if (!errnum && limits_answer_unpack(reply, &l->limits) < 0) {
		errnum = EPROTO;
		why = "the worker's answer is not of its protocol";
	}
	if (errnum) {
		set_state(l, XENBUS_LINK_DOWN, "not opened");
		close_worker(&l->serving);
	}
	tell(l, LINK_OPENED, errnum, why);
}

static void connect_answer(struct link *l, int errnum, const char *why,
			   json_t *reply)
{
	if (errnum)
		busy_with(l, LINK_COMMAND_DISCONNECT, NULL);
	else
		set_state(l, XENBUS_LINK_UP, "connected");
	tell(l, LINK_CONNECTED, errnum, why);
}

static void disconnect_answer(struct link *l, int errnum, const char *why,
			      json_t *reply)
{
	l->serving.may_fail = false;
	set_state(l, XENBUS_LINK_DOWN, "disconnected");
	close_worker(&l->serving);
	tell(l, LINK_DISCONNECTED, errnum, why);
}

static void rest_when_done(struct worker *w)
{
	for (size_t i = 0; i < LINK_NR_COMMANDS; i++) {
		if (w->awaited[i])
			return;
	}
	if (!w->killed_ns)
		w->task = NULL;
}

/* -EPROTO: nobody has asked. */
static int take_answer(struct worker *w, const char *name, int errnum,
		       const char *why, json_t *reply)
{
	static void (*const takers[])(struct link *l, int errnum,
				      const char *why, json_t *reply) = {
		[LINK_COMMAND_PROBE] = probe_answer,
		[LINK_COMMAND_OPEN] = open_answer,
		[LINK_COMMAND_CONNECT] = connect_answer,
		[LINK_COMMAND_DISCONNECT] = disconnect_answer,
	};

	for (size_t i = 0; i < ARRAY_SIZE(takers); i++) {
		if (strcmp(command_names[i], name) || w->awaited[i] == 0)
			continue;
		w->awaited[i]--;
		rest_when_done(w);
		takers[i](w->link, errnum, why, reply);
		return 0;
	}
	return -EPROTO;
}

static int hear_one(struct worker *w, json_t *msg)
{
	const char *name, *why;
	json_t *reply;
	int errnum;

	if (json_unpack(msg, "{s:s, s:o}", "command", &name, "return",
			&reply) == 0)
		return take_answer(w, name, 0, "", reply);
	if (json_unpack(msg, "{s:s, s:{s:i, s:s}}", "command", &name, "error",
			"errno", &errnum, "desc", &why) == 0)
		return take_answer(w, name, errnum ? errnum : EIO, why, NULL);
	if (json_unpack(msg, "{s:s, s:s}", "event", &name, "desc", &why) < 0)
		return -EPROTO;
	if (!strcmp(name, "log"))
		return log_line(w, msg, why);
	if (strcmp(name, "failed") || !w->may_fail)
		return -EPROTO;
	w->may_fail = false;
	tell(w->link, LINK_FAILED, EIO, why);
	return 0;
}

/* A worker that has ended by itself is not reached by the signal: link_reap()
 * tells how it did. One that lives on without its socket, or is not of the
 * protocol, still holds the image and the guest's pages. */
static void end_worker(struct worker *w, int ret)
{
	w->broken = ret == -EPROTO;
	child_close(&w->child);
	child_kill(&w->child);
}

void link_hear(struct worker *w)
{
	for (int i = 0; i < MESSAGES_PER_TURN && w->child.fd >= 0; i++) {
		json_t *msg = NULL;
		int ret = message_receive(w->child.fd, &msg);

		if (ret == -EAGAIN || ret == -ENOMEM)
			return;
		if (ret == 0)
			ret = hear_one(w, msg);
		json_decref(msg);
		if (ret < 0)
			end_worker(w, ret);
	}
}

bool link_tick(struct link *l, uint64_t now_ns, uint64_t *next_ns)
{
	kill_when_due(&l->probing, now_ns, next_ns);
	kill_when_due(&l->serving, now_ns, next_ns);
	if (l->state != XENBUS_LINK_WAITING)
		return false;
	if (now_ns < l->retry_ns)
		*next_ns = min(*next_ns, l->retry_ns);
	return now_ns >= l->retry_ns;
}
