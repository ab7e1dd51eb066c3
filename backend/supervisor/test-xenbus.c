/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All pairs of states, and the sequences that known frontends go through,
 * played against a tiny store.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "backend/supervisor/xenbus.h"

/* ---- the whole table ---- */

static const char letters[] = {
	[XENBUS_NONE] = '.',	   [XENBUS_CLAIM] = 'c',
	[XENBUS_CONNECT] = 'C',	   [XENBUS_PUBLISH] = 'P',
	[XENBUS_CLOSE] = '5',	   [XENBUS_DISCONNECT] = 'D',
	[XENBUS_FINISH] = '6',	   [XENBUS_RESTART] = '2',
	[XENBUS_FORGET] = 'F',	   [XENBUS_OFFER] = 'O',
	[XENBUS_GIVE_BACK] = 'B',   [XENBUS_WATCH] = 'W',
	[XENBUS_HURRY] = 'H',
};

struct golden {
	const char *what;
	struct xenbus_facts facts;
	const char *rows[XENBUS_NR_STATES];	/* backend x frontend 0..8 */
};

static const struct golden tables[] = {
	{ "down, online",
	  { XENBUS_LINK_DOWN, true, true, false, false },
	  { "FFFFFFFFF", "FFFFFFFFF", "...CC56..", "...CC56..", "555555555",
	    "666...6..", ".2.2.....", "55...55..", "55...55.." } },
	{ "up, online",
	  { XENBUS_LINK_UP, true, true, false, false },
	  { "DDDDDDDDD", "DDDDDDDDD", "DDDPP5DDD", "DDDPP5DDD", "55...55..",
	    "DDD...D..", "DDDDDDDDD", "55...55..", "55...55.." } },
	{ "waiting for a lock, online",
	  { XENBUS_LINK_WAITING, true, true, false, false },
	  { "DDDDDDDDD", "DDDDDDDDD", "DDDCC5DDD", "DDDCC5DDD", "555555555",
	    "DDDDDDDDD", "DDDDDDDDD", "55DDD55DD", "55DDD55DD" } },
	{ "busy",
	  { XENBUS_LINK_BUSY, true, true, false, false },
	  { "HHHHHHHHH", "HHHHHHHHH", "H........", "H........", "H........",
	    "H........", "HHHHHHHHH", "H........", "H........" } },
	{ "busy, hurried",
	  { XENBUS_LINK_BUSY, true, true, .hurried = true },
	  { ".........", ".........", ".........", ".........", ".........",
	    ".........", ".........", ".........", "........." } },
	{ "down, offline",
	  { XENBUS_LINK_DOWN, true, false, false, false },
	  { "FFFFFFFFF", "FFFFFFFFF", ".....56..", ".....56..", "555555555",
	    "666...6..", "FFFFFFFFF", "55...55..", "55...55.." } },
	{ "up, offline",
	  { XENBUS_LINK_UP, true, false, false, false },
	  { "DDDDDDDDD", "DDDDDDDDD", "DDDDD5DDD", "DDDDD5DDD", "55...55..",
	    "DDD...D..", "DDDDDDDDD", "55...55..", "55...55.." } },
	{ "down, failed",
	  { XENBUS_LINK_DOWN, true, true, true, false },
	  { "FFFFFFFFF", "FFFFFFFFF", "...5556..", "...5556..", "555555555",
	    "666...6..", ".2.2.....", "55...55..", "55...55.." } },
	{ "up, failed",
	  { XENBUS_LINK_UP, true, true, true, false },
	  { "DDDDDDDDD", "DDDDDDDDD", "DDDDD5DDD", "DDDDD5DDD", "555555555",
	    "DDDDDDDDD", "DDDDDDDDD", "55DDD55DD", "55DDD55DD" } },
	{ "down, stopping",
	  { XENBUS_LINK_DOWN, true, true, false, true },
	  { "FFFFFFFFF", "FFFFFFFFF", ".....56..", ".....56..", "555555555",
	    "666666666", ".........", "556665566", "556665566" } },
	{ "up, stopping",
	  { XENBUS_LINK_UP, true, true, false, true },
	  { "DDDDDDDDD", "DDDDDDDDD", "DDDDD5DDD", "DDDDD5DDD", "555555555",
	    "DDDDDDDDD", "DDDDDDDDD", "55DDD55DD", "55DDD55DD" } },
	{ "claimed, not yet alone",
	  { XENBUS_LINK_DOWN, true, true, false, false, true, false },
	  { "FFFFFFFFF", "FFFFFFFFF", "...CC56..", "...CC56..", "555555555",
	    "666...6..", ".2.2.....", ".........", "55...55.." } },
	{ "claimed, alone",
	  { XENBUS_LINK_DOWN, true, true, false, false, true, true },
	  { "FFFFFFFFF", "FFFFFFFFF", "...CC56..", "...CC56..", "555555555",
	    "666...6..", ".2.2.....", "OOOOOOOOO", "55...55.." } },
	{ "claimed, stopping",
	  { XENBUS_LINK_DOWN, true, true, false, true, true, true },
	  { "FFFFFFFFF", "FFFFFFFFF", ".....56..", ".....56..", "555555555",
	    "666666666", ".........", "BBBBBBBBB", "556665566" } },
	{ "claimed, offline",
	  { XENBUS_LINK_DOWN, true, false, false, false, true, true },
	  { "FFFFFFFFF", "FFFFFFFFF", ".....56..", ".....56..", "555555555",
	    "666...6..", "FFFFFFFFF", "BBBBBBBBB", "55...55.." } },
	{ "not yet ours, online",
	  { XENBUS_LINK_DOWN, false, true, false, false },
	  { "FFFFFFFFF", "ccccccccc", "ccccccccc", "ccccccccc", "ccccccccc",
	    "ccccccccc", "ccccccccc", "ccccccccc", "ccccccccc" } },
	{ "not yet ours, offline",
	  { XENBUS_LINK_DOWN, false, false, false, false },
	  { "FFFFFFFFF", "FFFFFFFFF", "FFFFFFFFF", "FFFFFFFFF", "FFFFFFFFF",
	    "FFFFFFFFF", "FFFFFFFFF", "FFFFFFFFF", "FFFFFFFFF" } },
	{ "down, deaf",
	  { XENBUS_LINK_DOWN, true, true, .deaf = true },
	  { "FFFFFFFFF", "FFFFFFFFF", "WWWWW56WW", "WWWWW56WW", "555555555",
	    "666WWW6WW", "WWWWWWWWW", "55WWW55WW", "55WWW55WW" } },
	{ "claimed, alone, deaf",
	  { XENBUS_LINK_DOWN, true, true, .claimed = true, .alone = true,
	    .deaf = true },
	  { "FFFFFFFFF", "FFFFFFFFF", "WWWWW56WW", "WWWWW56WW", "555555555",
	    "666WWW6WW", "WWWWWWWWW", "WWWWWWWWW", "55WWW55WW" } },
};

static void test_golden(void **state)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		const struct golden *g = &tables[i];

		for (int be = 0; be < XENBUS_NR_STATES; be++) {
			char row[XENBUS_NR_STATES + 1] = "";

			for (int fe = 0; fe < XENBUS_NR_STATES; fe++)
				row[fe] = letters[xenbus_next(
					(enum xenbus_state)be,
					(enum xenbus_state)fe, &g->facts)];
			if (strcmp(row, g->rows[be]))
				fail_msg("%s, backend %d: %s, expected %s",
					 g->what, be, row, g->rows[be]);
		}
	}
}

/* ---- a store with one device, and a worker that always succeeds ---- */

struct sim {
	int be, fe;
	struct xenbus_facts facts;
	char trail[64];		/* backend states in the order shown */
	int connects, disconnects;
	bool forgotten;
};

static void show(struct sim *s, int be)
{
	size_t n = strlen(s->trail);

	/* The one jump that no frontend survives. */
	assert_false(s->be == XENBUS_CONNECTED && be == XENBUS_CLOSED);
	assert_true(n + 1 < sizeof(s->trail));
	s->be = be;
	s->trail[n] = (char)('0' + be);
}

static void act(struct sim *s, enum xenbus_action action)
{
	switch (action) {
	case XENBUS_NONE:
		break;
	case XENBUS_CLAIM:
		s->facts.owned = s->facts.claimed = s->facts.alone = true;
		s->be = XENBUS_RECONFIGURING;	/* nobody looks at it */
		break;
	case XENBUS_WATCH:
		assert_true(s->facts.deaf);
		s->facts.deaf = false;
		break;
	case XENBUS_OFFER:
		s->facts.claimed = false;
		show(s, XENBUS_INIT_WAIT);
		break;
	case XENBUS_GIVE_BACK:
		s->be = XENBUS_INITIALISING;
		break;
	case XENBUS_CONNECT:
		assert_int_not_equal(s->facts.link, XENBUS_LINK_UP);
		s->facts.link = XENBUS_LINK_UP;
		s->connects++;
		break;
	case XENBUS_PUBLISH:
		assert_int_equal(s->facts.link, XENBUS_LINK_UP);
		show(s, XENBUS_CONNECTED);
		break;
	case XENBUS_CLOSE:
		show(s, XENBUS_CLOSING);
		break;
	case XENBUS_DISCONNECT:
		assert_int_not_equal(s->facts.link, XENBUS_LINK_DOWN);
		s->facts.link = XENBUS_LINK_DOWN;
		s->disconnects++;
		break;
	case XENBUS_HURRY:
		assert_int_equal(s->facts.link, XENBUS_LINK_BUSY);
		s->facts.hurried = true;
		break;
	case XENBUS_FINISH:
		assert_int_equal(s->facts.link, XENBUS_LINK_DOWN);
		show(s, XENBUS_CLOSED);
		break;
	case XENBUS_RESTART:
		s->facts.failed = false;
		show(s, XENBUS_INIT_WAIT);
		break;
	case XENBUS_FORGET:
		assert_int_equal(s->facts.link, XENBUS_LINK_DOWN);
		s->forgotten = true;
		break;
	}
}

/* Goes on until nothing is left to do; it must come to an end. */
static void settle(struct sim *s)
{
	for (int i = 0; i < 8 && !s->forgotten; i++) {
		enum xenbus_action a = xenbus_next((enum xenbus_state)s->be,
						   (enum xenbus_state)s->fe,
						   &s->facts);

		if (a == XENBUS_NONE)
			return;
		act(s, a);
	}
	assert_true(s->forgotten);
}

static void frontend(struct sim *s, int fe)
{
	s->fe = fe;
	settle(s);
}

static void toolstack(struct sim *s, int be, bool online)
{
	s->be = be;
	s->facts.online = online;
	settle(s);
}

static struct sim made_by_libxl(void)
{
	struct sim s = { .be = 1, .fe = 1, .facts = { .online = true,
						      .deaf = true } };

	settle(&s);
	assert_string_equal(s.trail, "2");
	return s;
}

static void connected(struct sim *s, int through)
{
	frontend(s, through);
	assert_int_equal(s->be, XENBUS_CONNECTED);
	assert_int_equal(s->facts.link, XENBUS_LINK_UP);
	frontend(s, XENBUS_CONNECTED);
	assert_int_equal(s->be, XENBUS_CONNECTED);
}

/* Every combination comes to rest, and stays there. */
static void test_settles(void **state)
{
	for (int be = 0; be < XENBUS_NR_STATES; be++)
	for (int fe = 0; fe < XENBUS_NR_STATES; fe++)
	for (int link = 0; link <= XENBUS_LINK_UP; link++)
	for (int bits = 0; bits < 128; bits++) {
		struct sim s = { .be = be, .fe = fe };

		s.facts.link = (enum xenbus_link)link;
		s.facts.owned = bits & 1;
		s.facts.online = bits & 2;
		s.facts.failed = bits & 4;
		s.facts.stopping = bits & 8;
		s.facts.claimed = bits & 16;
		s.facts.alone = bits & 32;
		s.facts.deaf = bits & 64;
		if (s.facts.claimed && link != XENBUS_LINK_DOWN)
			continue;	/* nothing is opened before the offer */
		if (!s.facts.owned && link != XENBUS_LINK_DOWN)
			continue;	/* only what is ours is connected */
		settle(&s);
		if (s.facts.stopping && link != XENBUS_LINK_BUSY)
			assert_int_equal(s.facts.link, XENBUS_LINK_DOWN);
	}
}

static void test_linux(void **state)
{
	struct sim s = made_by_libxl();

	connected(&s, 3);
	toolstack(&s, 5, false);	/* xl block-detach, disk in use */
	assert_int_equal(s.facts.link, XENBUS_LINK_UP);
	frontend(&s, 5);
	assert_int_equal(s.be, 5);
	frontend(&s, 6);
	assert_string_equal(s.trail, "246");
	assert_true(s.forgotten);
	assert_int_equal(s.disconnects, 1);
}

/* Linux resets a frontend left at 4 by a crashed kernel: 5, 6, 1. */
static void test_kdump_kexec(void **state)
{
	struct sim s = made_by_libxl();

	connected(&s, 3);
	frontend(&s, 5);
	assert_int_equal(s.be, 5);
	frontend(&s, 6);
	assert_int_equal(s.be, 6);
	assert_int_equal(s.facts.link, XENBUS_LINK_DOWN);
	frontend(&s, 1);
	assert_int_equal(s.be, 2);
	connected(&s, 3);
	assert_string_equal(s.trail, "245624");
	assert_int_equal(s.connects, 2);
}

/* A kernel that starts with its frontend still at 6 writes 1 straight away. */
static void test_kexec_after_close(void **state)
{
	struct sim s = made_by_libxl();

	connected(&s, 3);
	frontend(&s, 5);
	frontend(&s, 6);
	frontend(&s, 1);
	assert_string_equal(s.trail, "24562");
}

/* OVMF connects with 4, closes at ExitBootServices waiting for 5 and 6 each,
 * and leaves 1 behind for the kernel. */
static void test_ovmf_then_linux(void **state)
{
	struct sim s = made_by_libxl();

	connected(&s, 4);
	frontend(&s, 5);
	assert_int_equal(s.be, 5);
	settle(&s);
	assert_int_equal(s.be, 5);
	frontend(&s, 6);
	assert_int_equal(s.be, 6);
	frontend(&s, 1);
	assert_int_equal(s.be, 2);
	connected(&s, 3);
	assert_string_equal(s.trail, "245624");
}

/* The daemon stops between claim and offer: the next one finds it at 1. */
static void test_given_back(void **state)
{
	struct sim s = { .be = 7, .fe = 1, .facts = {
		.owned = true, .online = true, .claimed = true,
		.stopping = true } };

	settle(&s);
	assert_int_equal(s.be, XENBUS_INITIALISING);
	assert_string_equal(s.trail, "");
	assert_true(s.forgotten);
}

/* xl block-detach before the offer. */
static void test_detached_while_claimed(void **state)
{
	struct sim s = { .be = 7, .fe = 1, .facts = {
		.owned = true, .online = true, .claimed = true } };

	settle(&s);
	assert_int_equal(s.be, 7);
	toolstack(&s, 5, false);
	assert_string_equal(s.trail, "6");
	assert_true(s.forgotten);
}

/* mini-os writes 4 before we have claimed, and does not wait for us. */
static void test_minios(void **state)
{
	struct sim s = { .be = 1, .fe = 4, .facts = { .online = true } };

	settle(&s);
	assert_string_equal(s.trail, "24");
	frontend(&s, 5);
	frontend(&s, 6);
	frontend(&s, 1);
	assert_string_equal(s.trail, "24562");
}

/* Windows wants to see 2 exactly before it goes on, at each boot. */
static void test_windows(void **state)
{
	struct sim s = made_by_libxl();

	for (int boot = 0; boot < 3; boot++) {
		assert_int_equal(s.be, 2);
		connected(&s, 3);
		frontend(&s, 5);
		frontend(&s, 6);
		frontend(&s, 1);
	}
	assert_string_equal(s.trail, "2456245624562");
	connected(&s, 3);
	toolstack(&s, 5, false);	/* eject */
	frontend(&s, 5);
	frontend(&s, 6);
	assert_true(s.forgotten);
}

/* Steps that we see late, as one: the frontend is at 1 when we look. */
static void test_coalesced(void **state)
{
	struct sim s = made_by_libxl();

	connected(&s, 3);
	frontend(&s, 1);
	assert_string_equal(s.trail, "24562");
	assert_int_equal(s.disconnects, 1);
}

static void test_destroyed(void **state)
{
	struct sim s = made_by_libxl();

	/* libxl for a qdisk: 6 with online=1, then the path goes. */
	connected(&s, 3);
	toolstack(&s, 6, true);
	assert_int_equal(s.facts.link, XENBUS_LINK_DOWN);
	assert_int_equal(s.connects, 1);
	toolstack(&s, 0, false);
	assert_true(s.forgotten);

	/* for the others: the frontend goes first, then online=0 and 5. */
	s = made_by_libxl();
	connected(&s, 3);
	s.fe = XENBUS_UNKNOWN;
	toolstack(&s, 5, false);
	assert_int_equal(s.be, 6);
	assert_true(s.forgotten);

	/* a domain that dies by itself; nobody has written anything yet. */
	s = made_by_libxl();
	connected(&s, 3);
	frontend(&s, XENBUS_UNKNOWN);
	assert_string_equal(s.trail, "2456");
	assert_int_equal(s.facts.link, XENBUS_LINK_DOWN);

	/* never connected */
	s = made_by_libxl();
	toolstack(&s, 5, false);
	assert_int_equal(s.be, 6);
	assert_true(s.forgotten);

	/* detached and attached again under the same name, seen as one. */
	s = made_by_libxl();
	connected(&s, 3);
	s.fe = 1;
	toolstack(&s, 1, true);
	assert_true(s.forgotten);
	assert_int_equal(s.disconnects, 1);
}

static void test_failure(void **state)
{
	struct sim s = made_by_libxl();

	s.facts.failed = true;		/* the image would not open */
	frontend(&s, 3);
	assert_int_equal(s.be, 5);
	assert_int_equal(s.connects, 0);
	frontend(&s, 6);
	assert_int_equal(s.be, 6);
	frontend(&s, 1);
	assert_int_equal(s.be, 2);
	connected(&s, 3);

	s.facts.failed = true;		/* the worker died */
	s.facts.link = XENBUS_LINK_DOWN;
	settle(&s);
	assert_int_equal(s.be, 5);
	assert_false(s.forgotten);
}

static void test_stop(void **state)
{
	struct sim s = made_by_libxl();

	connected(&s, 3);
	s.facts.stopping = true;
	settle(&s);
	assert_string_equal(s.trail, "2456");

	s = made_by_libxl();
	s.facts.stopping = true;
	settle(&s);
	frontend(&s, 3);
	assert_string_equal(s.trail, "2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_settles),
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_kdump_kexec),
		cmocka_unit_test(test_kexec_after_close),
		cmocka_unit_test(test_ovmf_then_linux),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_detached_while_claimed),
		cmocka_unit_test(test_minios),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_coalesced),
		cmocka_unit_test(test_destroyed),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
