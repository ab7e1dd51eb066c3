/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Watches of a xenstore whose events do not end; what hears of them is here,
 * too. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/supervisor/watch.h"

#define DEVICE_PATH "backend/qdisk/1/51712"

static struct device device = { .path = DEVICE_PATH };
static unsigned int events, taken, noted;

/* ---- xenstore, and the rest of the supervisor ---- */

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	return true;
}

char **xs_check_watch(struct xs_handle *h)
{
	static char path[] = DEVICE_PATH "/state", token[] = DEVICE_PATH;
	char **event;

	if (taken == events) {
		errno = EAGAIN;
		return NULL;
	}
	taken++;
	event = calloc(2, sizeof(*event));
	assert_non_null(event);
	event[XS_WATCH_PATH] = path;
	event[XS_WATCH_TOKEN] = token;
	return event;
}

bool xs_path_is_subpath(const char *parent, const char *child)
{
	return !strncmp(parent, child, strlen(parent));
}

bool domains_alive(struct domains *d, uint32_t domid)
{
	return true;
}

struct device *device_find(struct list *devices, enum device_kind kind,
			   uint32_t domid, uint32_t devid)
{
	return NULL;
}

void scan_note(struct scan *s, enum device_kind kind, uint32_t domid,
	       uint32_t devid)
{
	noted++;
}

void scan_note_all(struct scan *s, enum device_kind kind)
{
	noted++;
}

/* ---- the watches ---- */

static int hear(void)
{
	static struct list devices;
	const struct host host = { .foreground = true };
	struct watch w = { &host, NULL, &devices, NULL };

	list_init(&devices);
	list_add_tail(&devices, &device.link);
	device.dirty = false;
	return watch_hear(&w);
}

static void test_all(void **state)
{
	events = 10;
	taken = 0;
	assert_int_equal(hear(), 0);
	assert_int_equal(taken, 10);
	assert_true(device.dirty);
}

/* They mark the device, once and again; others get their turn between. */
static void test_endless(void **state)
{
	events = UINT32_MAX;
	taken = 0;
	for (unsigned int turn = 1; turn <= 3; turn++) {
		assert_int_equal(hear(), 0);
		assert_int_equal(taken, turn * 1024);
		assert_true(device.dirty);
	}
	assert_int_equal(noted, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_endless),
	};

	alarm(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
