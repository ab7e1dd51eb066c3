/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes into a message comes out of it, and nothing else does. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "backend/arguments.h"
#include "common/bits.h"

static void test_disk(void **state)
{
	const struct disk_arguments in = {
		.path = "/srv/\xc3\xa4.qcow2", .format = "qcow2",
		.unmap = true, .direct_io_safe = true, .aio = "threads", .l2_cache_size = 1 << 20,
		.memory = 32 << 20,
		.data_file = "beside", .section = "s", .locks = true,
	};
	struct disk_arguments out;
	json_t *o = disk_arguments_pack(&in);

	assert_non_null(o);
	assert_int_equal(disk_arguments_unpack(o, &out), 0);
	assert_string_equal(out.path, in.path);
	assert_string_equal(out.format, in.format);
	assert_string_equal(out.aio, in.aio);
	assert_string_equal(out.data_file, in.data_file);
	assert_null(out.cache);
	assert_null(out.secret_file);
	assert_null(out.image_dirs);
	assert_true(out.unmap && out.direct_io_safe && out.locks);
	assert_false(out.readonly || out.legacy_aes);
	assert_int_equal(out.l2_cache_size, in.l2_cache_size);
	assert_int_equal(out.memory, in.memory);
	disk_arguments_free(&out);
	json_decref(o);
}

/* All bytes but 0, as a file's name may have them. */
static void test_disk_bytes(void **state)
{
	char path[256];
	const struct disk_arguments in = {
		.path = path, .format = "raw", .section = "s",
		.image_dirs = "/\xff:/\xc3",
	};
	struct disk_arguments out;
	json_t *o;

	for (int i = 0; i < 255; i++)
		path[i] = (char)(i + 1);
	path[255] = 0;
	o = disk_arguments_pack(&in);
	assert_int_equal(disk_arguments_unpack(o, &out), 0);
	assert_string_equal(out.path, path);
	assert_string_equal(out.image_dirs, in.image_dirs);
	disk_arguments_free(&out);
	json_object_set_new(o, "path", json_string("\xe2\x82\xac"));
	assert_int_equal(disk_arguments_unpack(o, &out), -EPROTO);
	json_decref(o);
}

static void test_limits(void **state)
{
	const struct limits_answer in = { 1ull << 40, 4096, 65536, true };
	struct limits_answer out;
	json_t *o = limits_answer_pack(&in);

	assert_int_equal(limits_answer_unpack(o, &out), 0);
	assert_int_equal(out.size, in.size);
	assert_int_equal(out.physical_block, in.physical_block);
	assert_int_equal(out.discard_granularity, in.discard_granularity);
	assert_true(out.discard);
	json_object_set_new(o, "size", json_integer(-1));
	assert_int_equal(limits_answer_unpack(o, &out), -EPROTO);
	assert_int_equal(out.physical_block, 0);
	json_decref(o);
}

static struct connect_arguments largest(void)
{
	struct connect_arguments c = { 3, true, {
		.abi_x86_32 = true, .ring_order = LIMIT_RING_ORDER,
		.nr_queues = LIMIT_QUEUES } };

	for (uint32_t i = 0; i < LIMIT_QUEUES; i++) {
		c.rings.queues[i].port = UINT32_MAX - i;
		for (uint32_t k = 0; k < 1 << LIMIT_RING_ORDER; k++)
			c.rings.queues[i].refs[k] = i << 16 | k;
	}
	return c;
}

static void test_connect(void **state)
{
	const struct connect_arguments in = largest();
	struct connect_arguments out;
	json_t *o = connect_arguments_pack(&in);

	assert_int_equal(connect_arguments_unpack(o, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	json_decref(o);
}

/* Of a supervisor that is not one. */
static void test_connect_refused(void **state)
{
	static const char *const bad[] = {
		"{\"domid\": 4294967296}",
		"{\"ring-order\": 5}",
		"{\"ring-order\": -1}",
		"{\"queues\": {}, \"ring-order\": \"4\"}",
		"{\"queues\": [{\"port\": 1, \"refs\": [1]}]}",
		"{\"queues\": [1], \"ring-order\": 0}",
		"{\"queues\": [{\"port\": -1, \"refs\": [1]}], "
			"\"ring-order\": 0}",
		"{\"queues\": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}",
		"{\"protocol\": null}",
	};
	const struct connect_arguments in = largest();

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct connect_arguments out;
		json_t *o = connect_arguments_pack(&in);
		json_t *change = json_loads(bad[i], 0, NULL);

		assert_non_null(change);
		json_object_update(o, change);
		if (connect_arguments_unpack(o, &out) != -EPROTO)
			fail_msg("%s is taken", bad[i]);
		json_decref(change);
		json_decref(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_disk_bytes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_connect_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
