/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_expr_random.c: random trees evaluated by batches and by the naive oracle give the same
 * values, NULLs, errors, kept rows, and take the same rows to what is evaluated lazily.
 *
 * BS_SEED and BS_TRIALS choose others than the fixed ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../expr_random.h"

static void
random_trees(void **state)
{
	static Trial trial;
	uint64_t seed = number_from("BS_SEED", 20261123);
	uint64_t ntrials = number_from("BS_TRIALS", 3000);

	(void) state;
	for (uint64_t i = 0; i < ntrials; i++)
	{
		Source source = {.state = (seed + i) << 20};
		/* Half of them boolean, which are checked as filters too. */
		BsType type = i % 2 ? BS_BOOL : (BsType) (1 + i / 2 % BS_BYTES);

		if (!trial_run(&trial, &source, type, 1 + (int) (i % 4), 4))
			fail_msg("BS_SEED=%llu: %s", (unsigned long long) (seed + i), trial.fault);
		trial_free(&trial);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_trees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
