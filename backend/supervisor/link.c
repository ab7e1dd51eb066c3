/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link.c: see link.h.
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
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

#define RETRY_FIRST_NS (20 * NS_PER_MS)
#define RETRY_LONGEST_NS (1 * NS_PER_S)
#define GIVE_UP_NS (30 * NS_PER_S)
#define KILL_NS (30 * NS_PER_S)

/* Packets heard from one worker before the other devices get their turn. */
#define MESSAGES_PER_TURN 16

static const char *const command_names[] = {
	[LINK_COMMAND_PROBE] = "probe",
	[LINK_COMMAND_OPEN] = "open",
	[LINK_COMMAND_CONNECT] = "connect",
	[LINK_COMMAND_DISCONNECT] = "disconnect",
};

void link_init(struct link *l, const struct host *host, const char *name,
	       void (*told)(struct link *l, const struct link_news *news))
{
	*l = (struct link){ .host = host, .name = name, .told = told };
	child_init(&l->child);
}

static void set_state(struct link *l, enum xenbus_link state, const char *why)
{
	static const char *const names[] = {
		[XENBUS_LINK_DOWN] = "down", [XENBUS_LINK_WAITING] = "waiting",
		[XENBUS_LINK_BUSY] = "busy", [XENBUS_LINK_UP] = "up",
	};

	if (l->state != state)
		log_debug("%s: worker %s -> %s: %s", l->name, names[l->state],
			  names[state], why);
	l->state = state;
}

static void tell(struct link *l, enum link_event event, int errnum,
		 const char *why)
{
	const struct link_news news = { event, errnum, why };

	l->told(l, &news);
}

/* ---- the process ---- */

static int start_worker(struct link *l, struct error *err)
{
	const struct conf *c = l->host->conf;
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = l };
	int ret;

	if (child_alive(&l->child))
		return 0;
	memset(l->awaited, 0, sizeof(l->awaited));
	l->broken = false;
	ret = child_spawn(&l->child, l->host->worker, l->name,
			  log_level_name(c->log_level), l->host->foreground, err);
	if (ret < 0)
		return ret;
	if (epoll_ctl(l->host->epoll_fd, EPOLL_CTL_ADD, l->child.fd, &ev) == 0)
		return 0;
	ret = error_set_errno(err, errno, "epoll_ctl");
	child_kill(&l->child);
	return ret;
}

void link_close(struct link *l)
{
	if (!child_alive(&l->child) || l->kill_ns)
		return;
	child_close(&l->child);
	l->kill_ns = monotonic_ns() + KILL_NS;
}

void link_reap(struct link *l)
{
	bool unwanted = l->kill_ns == 0, in_use = l->state != XENBUS_LINK_DOWN;
	struct error why;
	int status;

	if (!child_reap(&l->child, &status))
		return;
	l->kill_ns = 0;
	if (l->broken)
		snprintf(why.msg, sizeof(why.msg), "the worker did not keep to "
			 "its protocol, and was killed");
	else if (WIFSIGNALED(status))
		snprintf(why.msg, sizeof(why.msg), "the worker was killed by "
			 "signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(why.msg, sizeof(why.msg), "the worker ended with "
			 "status %d", WEXITSTATUS(status));
	if (!unwanted) {
		tell(l, LINK_ENDED, 0, NULL);
		return;
	}
	set_state(l, XENBUS_LINK_DOWN, "its process has ended");
	tell(l, LINK_ENDED, in_use ? EIO : ECHILD, why.msg);
}

/* ---- commands ---- */

static int command(struct link *l, enum link_command c, json_t *arguments,
		   struct error *err)
{
	json_t *msg = json_pack("{s:s, s:o*}", "execute", command_names[c],
				"arguments", arguments);
	int ret = message_send(l->child.fd, msg);

	if (ret < 0)
		return error_set_errno(err, -ret, "cannot tell the worker to "
				       "%s", command_names[c]);
	l->awaited[c]++;
	return 0;
}

/* A worker that does not take a command is of no use. */
static void busy_with(struct link *l, enum link_command c, json_t *arguments)
{
	struct error err = ERROR_INIT;
	int ret = command(l, c, arguments, &err);

	set_state(l, XENBUS_LINK_BUSY, command_names[c]);
	if (ret == 0)
		return;
	tell(l, LINK_FAILED, -ret, error_text(&err, ret));
	child_kill(&l->child);
}

/* JSON carries UTF-8 only. */
static int pack_image(const struct link *l, const struct link_image *image,
		      bool locks, json_t **out, struct error *err)
{
	const struct conf *c = l->host->conf;
	cleanup_free char *section = conf_section_for(c, image->path);
	struct image_settings s;

	conf_for_image(c, image->path, &s);
	*out = disk_arguments_pack(&(struct disk_arguments){
		.path = image->path,
		.format = image->format,
		.readonly = image->readonly,
		.unmap = image->unmap,
		.cache = s.cache,
		.aio = s.aio,
		.l2_cache_size = s.l2_cache_size,
		.secret_file = s.secret_file,
		.legacy_aes = s.legacy_aes && !strcmp(s.legacy_aes, "yes"),
		.data_file = s.data_file,
		.section = section,
		.locks = locks,
	});
	return *out ? 0 : error_set(err, EILSEQ, "%s: the path, or one of its "
				    "settings, is not UTF-8", image->path);
}

void link_probe(struct link *l, const struct link_image *image, bool locks)
{
	struct error err = ERROR_INIT;
	json_t *args;
	int ret = start_worker(l, &err);

	if (ret == 0)
		ret = pack_image(l, image, locks, &args, &err);
	if (ret == 0)
		ret = command(l, LINK_COMMAND_PROBE, args, &err);
	if (ret < 0)
		tell(l, LINK_PROBED, -ret, error_text(&err, ret));
}

void link_open(struct link *l, const struct link_image *image)
{
	struct error err = ERROR_INIT;
	json_t *args;
	int ret;

	if (l->state == XENBUS_LINK_WAITING && monotonic_ns() < l->retry_ns)
		return;
	ret = start_worker(l, &err);
	if (ret == 0)
		ret = pack_image(l, image, false, &args, &err);
	if (ret == 0)
		busy_with(l, LINK_COMMAND_OPEN, args);
	else
		tell(l, LINK_OPENED, -ret, error_text(&err, ret));
}

void link_disconnect(struct link *l)
{
	if (l->state == XENBUS_LINK_WAITING)
		set_state(l, XENBUS_LINK_DOWN, "not wanted any more");
	else if (l->state != XENBUS_LINK_DOWN)
		busy_with(l, LINK_COMMAND_DISCONNECT, NULL);
	l->give_up_ns = 0;
}

void link_connect(struct link *l, uint32_t domid, bool discard,
		  const struct rings *rings)
{
	const struct connect_arguments c = { domid, discard, *rings };

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
		log_info("%s: waiting for the image: %s", l->name, why);
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
	if (errnum)
		set_state(l, XENBUS_LINK_DOWN, "not opened");
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
	set_state(l, XENBUS_LINK_DOWN, "disconnected");
	tell(l, LINK_DISCONNECTED, errnum, why);
}

/* -EPROTO: nobody has asked. */
static int take_answer(struct link *l, const char *name, int errnum,
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
		if (strcmp(command_names[i], name) || l->awaited[i] == 0)
			continue;
		l->awaited[i]--;
		takers[i](l, errnum, why, reply);
		return 0;
	}
	return -EPROTO;
}

static int hear_one(struct link *l, json_t *msg)
{
	const char *name, *why;
	json_t *reply;
	int errnum;

	if (json_unpack(msg, "{s:s, s:o}", "command", &name, "return",
			&reply) == 0)
		return take_answer(l, name, 0, "", reply);
	if (json_unpack(msg, "{s:s, s:{s:i, s:s}}", "command", &name, "error",
			"errno", &errnum, "desc", &why) == 0)
		return take_answer(l, name, errnum ? errnum : EIO, why, NULL);
	if (json_unpack(msg, "{s:s, s:s}", "event", &name, "desc", &why) < 0)
		return -EPROTO;
	tell(l, LINK_FAILED, EIO, why);
	return 0;
}

/* A worker that has ended by itself is not reached by the signal: link_reap()
 * tells how it did. One that lives on without its socket, or is not of the
 * protocol, still holds the image and the guest's pages. */
static void end_worker(struct link *l, int ret)
{
	l->broken = ret == -EPROTO;
	child_close(&l->child);
	child_kill(&l->child);
}

void link_hear(struct link *l)
{
	for (int i = 0; i < MESSAGES_PER_TURN && l->child.fd >= 0; i++) {
		json_t *msg = NULL;
		int ret = message_receive(l->child.fd, &msg);

		if (ret == -EAGAIN || ret == -ENOMEM)
			return;
		if (ret == 0)
			ret = hear_one(l, msg);
		json_decref(msg);
		if (ret < 0)
			end_worker(l, ret);
	}
}

bool link_tick(struct link *l, uint64_t now_ns, uint64_t *next_ns)
{
	bool waiting = l->state == XENBUS_LINK_WAITING;
	uint64_t when = waiting ? l->retry_ns : l->kill_ns;

	if (!when)
		return false;
	if (now_ns < when) {
		*next_ns = min(*next_ns, when);
		return false;
	}
	if (waiting)
		return true;
	log_error("%s: the worker does not end; killing it", l->name);
	child_kill(&l->child);
	l->kill_ns = UINT64_MAX;
	return false;
}
