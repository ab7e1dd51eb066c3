/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rings that run already, and configurations that are refused. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/bits.h"
#include "common/log.h"
#include "tests/unit/fake-front.h"

static void test_attach_running_ring(void **state)
{
	struct fixture *f = new_fixture();
	struct front *fr = &f->front[0];
	struct error err = ERROR_INIT;

	make_front(f, 0);
	fr->prod = fr->cons = 0xfffffff0;	/* and wrap */
	fr->ring->rsp_prod = fr->prod;
	for (unsigned int i = 0; i < 32; i++)
		put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	publish(fr);
	if (blkif_connect(&f->config, &disk_ops, &f->disk, &f->vbd, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(turn(f), 32);
	for (unsigned int i = 1; i <= 32; i++)
		expect_rsp(f, 0, i, OP_READ, RSP_OKAY);
	disconnect(f);
}

static void test_bad_config(void **state)
{
	struct fixture *f = new_fixture();
	struct blkif_config good = f->config;
	struct error err;

#define REFUSED(expr, ret)                                                    \
	do {                                                                  \
		struct blkif_config bad = good;                               \
		expr;                                                         \
		assert_int_equal(blkif_connect(&bad, &disk_ops, NULL,         \
					       &f->vbd, &err), ret);          \
		assert_null(f->vbd);                                          \
		assert_int_equal(fake.mapped + fake.bound + fake.handles, 0); \
	} while (0)
	REFUSED(bad.nr_queues = 0, -EINVAL);
	REFUSED(bad.nr_queues = 17, -EINVAL);
	REFUSED(bad.queue[0].ring_order = 5, -EINVAL);
	REFUSED(bad.max_indirect = 257, -EINVAL);
	REFUSED(bad.sector_size = 0, -EINVAL);
	REFUSED(bad.sector_size = 1000, -EINVAL);
	REFUSED(bad.sector_size = 8192, -EINVAL);
	REFUSED(bad.domid = 0x7ff0, -EINVAL);
	REFUSED(bad.domid = 3, -EINVAL);
	REFUSED(bad.queue[0].ring_ref[0] = FAKE_GRANTS, -EINVAL);
	REFUSED(bad.queue[0].port = FAKE_PORTS, -EINVAL);
	REFUSED((bad.nr_queues = 2, bad.queue[1].port = FAKE_PORTS), -EINVAL);
#undef REFUSED
	blkif_disconnect(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach_running_ring),
		cmocka_unit_test(test_bad_config),
	};

	log_init("test-connect", LOG_LEVEL_ERROR, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
