/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions and answers between processes, and what is neither. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bits.h"
#include "opener/wire.h"

/* The opener at the far end: remembers what it was asked. */
static struct {
	struct opener opener;
	enum opener_purpose purpose;
	bool write;
	char *by, *name;
	int ret;			/* to be given */
	const char *sentence;
} far;

static int far_open(struct opener *opener, const struct opener_ask *ask,
		    struct opened *out, struct error *err)
{
	free(far.by);
	free(far.name);
	far.purpose = ask->purpose;
	far.write = ask->write;
	far.by = ask->by ? strdup(ask->by) : NULL;
	far.name = ask->name ? strdup(ask->name) : NULL;
	*out = (struct opened)OPENED_INIT;
	if (far.sentence)
		error_set(err, -far.ret, "%s", far.sentence);
	if (far.ret)
		return far.ret;
	out->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	out->limits = (struct device_limits){ 1, 2, 3 };
	out->name = strdup(ask->name ? ask->name : "named by the policy");
	return 0;
}

static int ends[2];

static int connect_ends(void **state)
{
	far.opener.open = far_open;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int close_ends(void **state)
{
	free(far.by);
	free(far.name);
	far.by = far.name = NULL;
	return close(ends[0]) | close(ends[1]);
}

static void *serve_once(void *arg)
{
	return (void *)(intptr_t)wire_serve(ends[1], &far.opener);
}

/* One question, served by a thread. */
static int ask(const struct opener_ask *a, struct opened *out,
	       struct error *err)
{
	struct wire_opener w;
	pthread_t thread;
	void *served;
	int ret;

	wire_opener_init(&w, ends[0]);
	assert_int_equal(pthread_create(&thread, NULL, serve_once, NULL), 0);
	ret = w.opener.open(&w.opener, a, out, err);
	assert_int_equal(pthread_join(thread, &served), 0);
	assert_null(served);
	return ret;
}

static void test_good(void **state)
{
	/* bytes that are no UTF-8 */
	const struct opener_ask a = {
		OPENER_BACKING, true, "/caf\xe9/top", "/caf\xe9/base",
	};
	struct error err = ERROR_INIT;
	struct opened opened;
	struct stat st;

	far.ret = 0;
	far.sentence = NULL;
	assert_int_equal(ask(&a, &opened, &err), 0);
	assert_int_equal(far.purpose, OPENER_BACKING);
	assert_true(far.write);
	assert_string_equal(far.by, a.by);
	assert_string_equal(far.name, a.name);
	assert_string_equal(opened.name, a.name);
	assert_int_equal(fstat(opened.fd, &st), 0);
	assert_true(fcntl(opened.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(opened.limits.discard_max, 1);
	assert_int_equal(opened.limits.write_zeroes_max, 3);
	opened_clear(&opened);
}

static void test_unnamed(void **state)
{
	const struct opener_ask a = { OPENER_DATA, .by = "top" };
	struct opened opened;

	assert_int_equal(ask(&a, &opened, NULL), 0);
	assert_null(far.name);
	assert_string_equal(opened.name, "named by the policy");
	opened_clear(&opened);
}

static void test_refused(void **state)
{
	const struct opener_ask a = { OPENER_IMAGE, .name = "x" };
	struct error err = ERROR_INIT;
	struct opened opened;

	far.ret = -EACCES;
	far.sentence = "no: a reason";
	assert_int_equal(ask(&a, &opened, &err), -EACCES);
	assert_string_equal(err.msg, far.sentence);
	assert_int_equal(opened.fd, -1);
	assert_null(far.by);
	err.msg[0] = 0;
	far.ret = -ENOENT;
	far.sentence = NULL;
	assert_int_equal(ask(&a, &opened, &err), -ENOENT);
	assert_string_equal(err.msg, "");
}

static void test_nobody(void **state)
{
	const struct opener_ask a = { OPENER_IMAGE, .name = "x" };
	struct error err = ERROR_INIT;
	struct wire_opener w;
	struct opened opened;

	shutdown(ends[1], SHUT_RDWR);
	wire_opener_init(&w, ends[0]);
	assert_true(w.opener.open(&w.opener, &a, &opened, &err) < 0);
	assert_non_null(strstr(err.msg, "opener"));
	assert_int_equal(wire_serve(ends[1], &far.opener), -ECONNRESET);
}

static void test_too_long(void **state)
{
	static char name[WIRE_NAME_MAX + 2];
	const struct opener_ask a = { OPENER_IMAGE, .name = name };
	struct wire_opener w;
	struct opened opened;

	memset(name, 'x', sizeof(name) - 1);
	wire_opener_init(&w, ends[0]);
	assert_int_equal(w.opener.open(&w.opener, &a, &opened, NULL),
			 -ENAMETOOLONG);
}

/* Packets that are no question: nothing is opened. */
static const struct {
	struct wire_ask head;
	const char *text;
} bad_questions[] = {
	{ { OPENER_NR_PURPOSES, 0, WIRE_UNNAMED, 1 }, "x" },
	{ { OPENER_IMAGE, 2, WIRE_UNNAMED, 1 }, "x" },
	{ { OPENER_IMAGE, 0, WIRE_UNNAMED, 2 }, "x" },
	{ { OPENER_IMAGE, 0, WIRE_UNNAMED, 1 }, "xx" },
	{ { OPENER_IMAGE, 0, 1, WIRE_UNNAMED }, "x" },
	{ { OPENER_IMAGE, 0, WIRE_UNNAMED, WIRE_UNNAMED }, "" },
	{ { OPENER_IMAGE, 0, UINT32_MAX - 1, 3 }, "xx" },
	{ { OPENER_IMAGE, 0, 1, UINT32_MAX - 1 }, "xx" },
};

static void expect_no_question(const void *packet, size_t len)
{
	assert_int_equal(send(ends[0], packet, len, 0), len);
	assert_int_equal(wire_serve(ends[1], &far.opener), -EPROTO);
}

static void test_no_question(void **state)
{
	char packet[256];

	far.name = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(bad_questions); i++) {
		size_t len = strlen(bad_questions[i].text);

		memcpy(packet, &bad_questions[i].head,
		       sizeof(struct wire_ask));
		memcpy(packet + sizeof(struct wire_ask), bad_questions[i].text,
		       len);
		expect_no_question(packet, sizeof(struct wire_ask) + len);
	}
	expect_no_question("x", 1);
	memcpy(packet, &(struct wire_ask){ OPENER_IMAGE, 0, WIRE_UNNAMED, 3 },
	       sizeof(struct wire_ask));
	memcpy(packet + sizeof(struct wire_ask), "a\0b", 3);
	expect_no_question(packet, sizeof(struct wire_ask) + 3);
	assert_null(far.name);
}

static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* Nobody fills the opener's table of files by what comes beside questions. */
static void test_descriptors(void **state)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct wire_ask head = { OPENER_IMAGE, 0, WIRE_UNNAMED, 0 };
	struct iovec iov = { &head, sizeof(head) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int before = lowest_free();

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), ends, 2 * sizeof(int));
	assert_int_equal(sendmsg(ends[0], &msg, 0), sizeof(head));
	assert_int_equal(wire_serve(ends[1], &far.opener), -EPROTO);
	assert_int_equal(lowest_free(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, connect_ends,
						close_ends),
		cmocka_unit_test_setup_teardown(test_unnamed, connect_ends,
						close_ends),
		cmocka_unit_test_setup_teardown(test_refused, connect_ends,
						close_ends),
		cmocka_unit_test_setup_teardown(test_nobody, connect_ends,
						close_ends),
		cmocka_unit_test_setup_teardown(test_too_long, connect_ends,
						close_ends),
		cmocka_unit_test_setup_teardown(test_no_question, connect_ends,
						close_ends),
		cmocka_unit_test_setup_teardown(test_descriptors, connect_ends,
						close_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
