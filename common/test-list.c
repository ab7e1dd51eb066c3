/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/unit.h"

#include "common/list.h"

struct item {
	int value;
	struct list link;
};

static void expect(struct list *head, const char *want)
{
	char got[16] = "", *p = got;
	struct item *it;

	list_for_each(it, head, link)
		*p++ = (char)('0' + it->value);
	assert_string_equal(got, want);
}

static void test_list(void **state)
{
	struct list a = LIST_INIT(a), b = LIST_INIT(b);
	struct item i[6], *it, *tmp;

	for (int n = 0; n < 6; n++) {
		i[n].value = n;
		list_init(&i[n].link);
		assert_true(list_empty(&i[n].link));
	}
	expect(&a, "");
	list_add_tail(&a, &i[1].link);
	list_add_tail(&a, &i[3].link);
	list_add_after(&a, &i[0].link);
	list_add_after(&i[1].link, &i[2].link);
	expect(&a, "0123");
	assert_ptr_equal(list_first(&a, struct item, link), &i[0]);

	list_splice_tail(&a, &b);		/* of nothing */
	expect(&a, "0123");
	list_add_tail(&b, &i[4].link);
	list_add_tail(&b, &i[5].link);
	list_splice_tail(&a, &b);
	expect(&a, "012345");
	expect(&b, "");
	list_splice_tail(&b, &a);		/* to nothing */
	expect(&b, "012345");
	assert_true(list_empty(&a));

	list_del(&i[3].link);
	list_del(&i[3].link);			/* may be done twice */
	assert_true(list_empty(&i[3].link));
	list_for_each_safe(it, tmp, &b, link) {
		if (it->value % 2 == 0)
			list_del(&it->link);
	}
	expect(&b, "15");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
