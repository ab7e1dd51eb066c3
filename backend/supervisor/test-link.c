/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A link beside workers that are not ours any more. The worker is this program
 * itself, started again; the name of the device says how it behaves.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/protocol.h"
#include "backend/supervisor/link.h"
#include "backend/supervisor/opening.h"
#include "common/bits.h"
#include "common/clock.h"

/* ---- the worker ---- */

static void say(const char *text)
{
	if (send(WORKER_FD, text, strlen(text), MSG_NOSIGNAL) < 0)
		_exit(1);
}

static void hear(void)
{
	char buf[4096];

	if (recv(WORKER_FD, buf, sizeof(buf), 0) < 0)
		_exit(1);
}

static void give_up(void)
{
	say("{\"event\": \"failed\", \"desc\": \"again\"}");
}

/* The first time is allowed. */
static void flood(void)
{
	say("{\"command\": \"open\", \"return\": {\"size\": 512, "
	    "\"physical-block\": 512, \"discard-granularity\": 512, "
	    "\"discard\": false}}");
	hear();
	say("{\"command\": \"connect\", \"return\": {}}");
	for (;;)
		give_up();
}

static void chatter(void)
{
	for (;;)
		say("{\"event\": \"log\", \"level\": 0, \"sentence\": 1, "
		    "\"desc\": \"and on\"}");
}

static void noise(void)
{
	say("this is not JSON");
}

static void foreign(void)
{
	say("{\"greeting\": \"hello\"}");
}

/* Of an image that nobody has let it open. */
static void unasked(void)
{
	say("{\"command\": \"connect\", \"return\": {}}");
}

static void twice(void)
{
	for (int i = 0; i < 2; i++)
		say("{\"command\": \"open\", \"return\": {\"size\": 512, "
		    "\"physical-block\": 512, \"discard-granularity\": 512, "
		    "\"discard\": false}}");
}

static void no_limits(void)
{
	say("{\"command\": \"open\", \"return\": {\"size\": -1}}");
}

/* A second "cancel" would be answered, too, and nobody has asked again. */
static void until_cancelled(void)
{
	char buf[4096];
	ssize_t n;

	while ((n = recv(WORKER_FD, buf, sizeof(buf) - 1, 0)) > 0) {
		buf[n] = 0;
		say(strstr(buf, "cancel") ?
			    "{\"command\": \"open\", \"error\": "
			    "{\"errno\": 125, \"desc\": \"given up\"}}" :
			    "this is not cancel");
	}
}

static void mute(void)
{
	close(WORKER_FD);
}

/* Reads on, and does nothing: an image on a server that does not answer. */
static void silent(void)
{
}

static void locked(void)
{
	say("{\"command\": \"open\", \"error\": "
	    "{\"errno\": 11, \"desc\": \"somebody has it\"}}");
}

static const struct {
	const char *name;
	void (*behave)(void);
} behaviours[] = {
	{ "flood", flood }, { "early", give_up },
	{ "chatter", chatter }, { "noise", noise }, { "foreign", foreign },
	{ "unasked", unasked }, { "twice", twice },
	{ "no-limits", no_limits }, { "mute", mute },
	{ "until-cancelled", until_cancelled },
	{ "silent", silent }, { "locked", locked },
};

/* What starts without a name is the opener. */
static int be_opener(void)
{
	char buf[4096];

	while (recv(WORKER_FD, buf, sizeof(buf), 0) > 0)
		;
	return 0;
}

static int be_worker(const char *name)
{
	hear();					/* the first command */
	for (size_t i = 0; i < ARRAY_SIZE(behaviours); i++) {
		if (!strcmp(behaviours[i].name, name))
			behaviours[i].behave();
	}
	for (;;)
		pause();
}

/* ---- the link ---- */

static struct heard {
	unsigned int count;
	enum link_event last;
	int errnum;
	char why[256];
} heard;

static void told(struct link *l, const struct link_news *news)
{
	heard.count++;
	heard.last = news->event;
	heard.errnum = news->errnum;
	snprintf(heard.why, sizeof(heard.why), "%s", news->why ?: "");
}

static uint64_t begun_ns;
static struct conf conf;
static struct opening opener;
static struct host host = { .conf = &conf, .foreground = true };
static struct log_object device_log;

static void begin(struct link *l, const char *behaviour)
{
	const struct link_image image = { "/image", "raw", false, false };

	memset(&heard, 0, sizeof(heard));
	begun_ns = monotonic_ns();
	log_object_init(&device_log, behaviour);
	link_init(l, &host, &device_log, 1, told);
	link_open(l, &image);
	assert_int_equal(l->state, XENBUS_LINK_BUSY);
}

/* Hears for a while; whether the process has ended. */
static bool ends(struct link *l)
{
	for (int i = 0; i < 2000 && l->serving.child.pid > 0; i++) {
		struct pollfd p = { l->serving.child.fd, POLLIN, 0 };

		poll(&p, 1, 20);
		if (p.revents)
			link_hear(&l->serving);
		link_reap(l);
	}
	return l->serving.child.pid == 0;
}

static void ends_broken(const char *behaviour)
{
	struct link l;

	begin(&l, behaviour);
	assert_true(ends(&l));
	assert_int_equal(l.state, XENBUS_LINK_DOWN);
	assert_int_equal(heard.last, LINK_ENDED);
	assert_string_equal(heard.why, "the worker did not keep to its "
				       "protocol, and was killed");
}

static void test_noise(void **state)
{
	ends_broken("noise");
	assert_int_equal(heard.errnum, EIO);
}

static void test_foreign(void **state)
{
	ends_broken("foreign");
	assert_int_equal(heard.errnum, EIO);
}

static void test_unasked(void **state)
{
	ends_broken("unasked");
	assert_int_equal(heard.count, 1);	/* nobody heard "connected" */
}

static void test_twice(void **state)
{
	ends_broken("twice");
	assert_int_equal(heard.count, 2);
}

static void test_no_limits(void **state)
{
	struct link l;

	begin(&l, "no-limits");
	for (int i = 0; i < 500 && !heard.count; i++) {
		usleep(20 * 1000);
		link_hear(&l.serving);
	}
	assert_int_equal(heard.last, LINK_OPENED);
	assert_int_equal(heard.errnum, EPROTO);
	assert_int_equal(l.state, XENBUS_LINK_DOWN);
	child_kill(&l.serving.child);
	assert_true(ends(&l));
}

/* While the image is opened; said once. */
static void test_cancel(void **state)
{
	struct link l;

	begin(&l, "until-cancelled");
	link_hurry(&l);
	link_hurry(&l);
	for (int i = 0; i < 500 && !heard.count; i++) {
		usleep(20 * 1000);
		link_hear(&l.serving);
	}
	assert_int_equal(heard.last, LINK_OPENED);
	assert_int_equal(heard.errnum, ECANCELED);
	assert_int_equal(l.state, XENBUS_LINK_DOWN);
	usleep(20 * 1000);
	link_hear(&l.serving);
	assert_int_equal(heard.count, 1);
	child_kill(&l.serving.child);
	assert_true(ends(&l));
}

static void test_mute(void **state)
{
	struct link l;

	begin(&l, "mute");
	assert_true(ends(&l));
	assert_int_equal(heard.errnum, EIO);
	assert_non_null(strstr(heard.why, "signal 9"));
}

/* Of a disk that is not connected. */
static void test_early(void **state)
{
	ends_broken("early");
	assert_int_equal(heard.count, 1);
}

/* Others get their turn, and it comes to an end. */
static void test_chatter(void **state)
{
	ends_broken("chatter");
	assert_int_equal(heard.count, 1);
}

static void test_flood(void **state)
{
	const struct rings rings = { .nr_queues = 1 };
	struct link l;

	begin(&l, "flood");
	for (int i = 0; i < 500 && !heard.count; i++) {
		usleep(20 * 1000);
		link_hear(&l.serving);
	}
	assert_int_equal(heard.last, LINK_OPENED);
	link_connect(&l, false, &rings);
	assert_true(ends(&l));
	assert_int_equal(heard.count, 4);	/* connected, failed, ended */
	assert_int_equal(heard.last, LINK_ENDED);
	assert_true(l.serving.broken);
}

/* ---- deadlines: by a clock that runs ahead ---- */

static uint64_t after(unsigned int seconds)
{
	return begun_ns + seconds * NS_PER_S + NS_PER_S / 2;
}

/* When the link has to be looked at next, or 0; seconds after it began. */
static unsigned int next_after(struct link *l, unsigned int seconds)
{
	uint64_t next = UINT64_MAX;

	assert_false(link_tick(l, after(seconds), &next));
	if (next == UINT64_MAX)
		return 0;
	return (unsigned int)((next - begun_ns) / NS_PER_S);
}

static void ends_late(struct link *l, unsigned int deadline, const char *why)
{
	assert_int_equal(next_after(l, deadline - 1), deadline);
	assert_int_equal(l->state, XENBUS_LINK_BUSY);
	assert_int_equal(next_after(l, deadline), 0);
	assert_true(ends(l));
	assert_int_equal(l->state, XENBUS_LINK_DOWN);
	assert_int_equal(heard.last, LINK_ENDED);
	assert_int_equal(heard.errnum, EIO);
	assert_non_null(strstr(heard.why, why));
}

static void test_deadline(void **state)
{
	struct link l;

	begin(&l, "silent");
	assert_int_equal(next_after(&l, 0), 60);
	ends_late(&l, 60, "busy with \"open\" for 60 s");
}

/* The next worker has its own. */
static void test_deadline_again(void **state)
{
	const struct link_image image = { "/image", "raw", false, false };
	struct link l;

	begin(&l, "silent");
	ends_late(&l, 60, "\"open\"");
	begun_ns = monotonic_ns();
	link_open(&l, &image);
	ends_late(&l, 60, "\"open\"");
}

static void test_hurried(void **state)
{
	struct link l;

	begin(&l, "silent");
	link_hurry(&l);
	ends_late(&l, 10, "busy with \"open\" for 10 s");
	assert_int_equal(l.end_ns, 0);	/* it was of that command */
}

/* Another command does not give it more time. */
static void test_hurried_on(void **state)
{
	struct link l;

	begin(&l, "silent");
	link_hurry(&l);
	link_disconnect(&l);
	ends_late(&l, 10, "\"disconnect\"");
}

static void test_stop(void **state)
{
	struct link l;

	begin(&l, "silent");
	host.stopping = true;
	host.stop_ns = begun_ns + 5 * NS_PER_S;
	ends_late(&l, 5, "\"open\"");
	host.stopping = false;
}

/* One that is told to end, and does not. */
static void test_closed(void **state)
{
	struct link l;

	begin(&l, "silent");
	link_close(&l);
	assert_int_equal(next_after(&l, 9), 10);
	assert_int_equal(next_after(&l, 10), 0);
	assert_true(ends(&l));
	assert_int_equal(heard.last, LINK_ENDED);
	assert_int_equal(heard.errnum, 0);
}

/* Nothing is asked of it any more, and no time is over. */
static void test_answered(void **state)
{
	uint64_t next = UINT64_MAX;
	struct link l;

	begin(&l, "locked");
	for (int i = 0; i < 500 && l.state == XENBUS_LINK_BUSY; i++) {
		usleep(20 * 1000);
		link_hear(&l.serving);
	}
	assert_int_equal(l.state, XENBUS_LINK_WAITING);
	assert_true(link_tick(&l, after(1000), &next));
	assert_true(next == UINT64_MAX);
	assert_int_equal(l.serving.killed_ns, 0);
	child_kill(&l.serving.child);
	assert_true(ends(&l));
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_unasked),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_no_limits),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_mute),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_chatter),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_deadline_again),
		cmocka_unit_test(test_hurried),
		cmocka_unit_test(test_hurried_on),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_answered),
	};
	int failed;

	if (argc > 2 && !strcmp(argv[1], "--name"))
		return *argv[2] ? be_worker(argv[2]) : be_opener();
	log_init("test-link", LOG_LEVEL_ERROR, true);
	log_limit();
	host.worker = argv[0];
	host.opener = &opener;
	opening_init(&opener, strdup(argv[0]));
	host.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (host.epoll_fd < 0 || conf_init(&conf, "/nonexistent") < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	opening_close(&opener);
	conf_free(&conf);
	close(host.epoll_fd);
	return failed;
}
