/* SPDX-License-Identifier: PostgreSQL */
/* test_spans.c: lists of spans of time, beside a naive one that forgets nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/engine/spans.h"

#define NMANY 400

static void
test_touching(void **state)
{
	BsSpans spans = {0};

	(void) state;
	assert_null(bs_spans_find(&spans, 0, 100));
	bs_spans_add(&spans, (BsSpan){10, 20});
	bs_spans_add(&spans, (BsSpan){30, 40});
	assert_int_equal(spans.n, 2);
	assert_null(bs_spans_find(&spans, 20, 30));
	assert_null(bs_spans_find(&spans, 0, 10));
	assert_int_equal(bs_spans_find(&spans, 19, 31)->since, 10);
	assert_int_equal(bs_spans_find(&spans, 20, 31)->since, 30);
	/* What was written last before a crash may be of before an earlier time. */
	bs_spans_add(&spans, (BsSpan){15, 50});
	assert_int_equal(spans.n, 1);
	assert_int_equal(spans.of[0].since, 10);
	assert_int_equal(spans.of[0].until, 50);
	/* The same again, a little longer. */
	bs_spans_add(&spans, (BsSpan){10, 60});
	assert_int_equal(spans.n, 1);
	bs_spans_add(&spans, (BsSpan){60, 70});
	assert_int_equal(spans.n, 1);
	assert_int_equal(spans.of[0].until, 70);
	/* A clock that was set back: nothing gets shorter. */
	bs_spans_add(&spans, (BsSpan){20, 30});
	assert_int_equal(spans.n, 1);
	assert_int_equal(spans.of[0].since, 10);
	assert_int_equal(spans.of[0].until, 70);
}

static void
test_nearest(void **state)
{
	BsSpans spans = {0};

	(void) state;
	for (int i = 0; i < BS_MAX_SPANS; i++)
		bs_spans_add(&spans, (BsSpan){i * 100, i * 100 + (i == 7 ? 90 : 10)});
	bs_spans_add(&spans, (BsSpan){100000, 100010});
	assert_int_equal(spans.n, BS_MAX_SPANS);
	assert_int_equal(spans.of[7].since, 700);
	assert_int_equal(spans.of[7].until, 810);
	assert_int_equal(spans.of[8].since, 900);
	assert_int_equal(spans.of[BS_MAX_SPANS - 1].since, 100000);
}

static void
test_begin(void **state)
{
	BsSpans spans = {0};

	(void) state;
	bs_spans_begin(&spans, 5);
	assert_int_equal(spans.n, 0);
	bs_spans_add(&spans, (BsSpan){10, 20});
	bs_spans_add(&spans, (BsSpan){30, 40});
	bs_spans_add(&spans, (BsSpan){50, 60});
	bs_spans_begin(&spans, 10);
	assert_int_equal(spans.n, 3);
	assert_int_equal(spans.of[0].since, 10);
	bs_spans_begin(&spans, 20);
	assert_int_equal(spans.n, 2);
	assert_int_equal(spans.of[0].since, 30);
	/* Within one: its end is still missing, and its start is not. */
	bs_spans_begin(&spans, 35);
	assert_int_equal(spans.n, 2);
	assert_null(bs_spans_find(&spans, 30, 35));
	assert_int_equal(bs_spans_find(&spans, 0, 100)->since, 35);
	assert_int_equal(spans.of[0].until, 40);
	assert_int_equal(spans.of[1].since, 50);
	assert_int_equal(spans.of[1].until, 60);
	bs_spans_begin(&spans, 60);
	assert_int_equal(spans.n, 0);
}

/* Whatever is merged, all that was added is found, and the order holds. */
static void
test_many(void **state)
{
	BsSpans spans = {0};
	BsSpan all[NMANY];
	int64_t time = 0;

	(void) state;
	srand(1);
	for (int i = 0; i < NMANY; i++)
	{
		time += rand() % 1000;
		all[i].since = time;
		time += 1 + rand() % 50;
		all[i].until = time;
		bs_spans_add(&spans, all[i]);
		assert_true(spans.n <= BS_MAX_SPANS);
		for (uint32_t k = 1; k < spans.n; k++)
			assert_true(spans.of[k].since > spans.of[k - 1].until);
		for (int k = 0; k <= i; k++)
		{
			const BsSpan *found = bs_spans_find(&spans, all[k].since, all[k].until);

			assert_non_null(found);
			assert_true(found->since <= all[k].since && found->until >= all[k].until);
		}
	}
	assert_int_equal(spans.n, BS_MAX_SPANS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_touching),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_begin),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
