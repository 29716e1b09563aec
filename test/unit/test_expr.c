/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_expr.c: what is refused, three-valued logic, laziness, IN, and lanes over several batches.
 *
 * Values of operations are held to PostgreSQL in test_expr_cases.c, whole trees to an oracle in
 * test_expr_random.c.  The truths about NULL here were read off PostgreSQL 15.20.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/engine/expr.h"

#define CAPACITY 16
#define NONE     INT64_MIN /* stands for NULL in the tables of this file */

enum
{
	COL_A,
	COL_B,
	COL_BOOL_A,
	COL_BOOL_B,
	COL_TEXT,
	NCOLUMNS
};

typedef struct Fixture
{
	BsBatch *batch;
	uint8_t errors[CAPACITY];
	uint16_t all[CAPACITY];
	BsEval eval;
	BsRows rows;
	uint32_t nasked; /* rows given to the foreign callback */
	uint16_t asked[CAPACITY];
} Fixture;

/* Foreign expression: the row's number, NULL in rows divisible by 5, an error in row 7. */
static void
foreign_row_number(void *context, uint32_t foreign, const BsBatch *batch, BsRows rows, BsLane *out,
				   uint8_t *errors)
{
	Fixture *f = context;

	(void) foreign;
	(void) batch;
	f->nasked = rows.nrows;
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint16_t row = rows.rows[i];

		f->asked[i] = row;
		if (row == 7)
			errors[row] = BS_ERROR_FOREIGN;
		else if (row % 5 == 0)
			bs_lane_set_null(out, row);
		else
			out->i64[row] = row;
	}
}

static int
setup(void **state)
{
	static const BsType types[NCOLUMNS] = {BS_INT4, BS_INT4, BS_BOOL, BS_BOOL, BS_BYTES};
	Fixture *f = calloc(1, sizeof(Fixture));

	f->batch = bs_batch_create(types, NCOLUMNS, NULL, CAPACITY);
	for (uint16_t i = 0; i < CAPACITY; i++)
		f->all[i] = i;
	f->rows = (BsRows){CAPACITY, f->all};
	f->eval = (BsEval){.batch = f->batch,
					   .errors = f->errors,
					   .foreign = foreign_row_number,
					   .foreign_context = f};
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	Fixture *f = *state;

	bs_batch_free(f->batch);
	free(f);
	return 0;
}

static void
set(Fixture *f, uint32_t column, uint32_t row, int64_t value)
{
	BsLane *lane = &f->batch->columns[column];

	if (value == NONE)
		bs_lane_set_null(lane, row);
	else
		lane->i64[row] = value;
}

static BsExpr *
column(uint32_t number)
{
	static const BsType types[NCOLUMNS] = {BS_INT4, BS_INT4, BS_BOOL, BS_BOOL, BS_BYTES};

	return bs_expr_column(number, types[number]);
}

static BsExpr *
number(int64_t value)
{
	return bs_expr_const(BS_INT4, (BsValue){.i64 = value});
}

static BsExpr *
op1(BsOp op, BsType type, BsExpr *a)
{
	return bs_expr_op(op, type, 1, &a);
}

static BsExpr *
op2(BsOp op, BsType type, BsExpr *a, BsExpr *b)
{
	return bs_expr_op(op, type, 2, (BsExpr *[]){a, b});
}

/* 10 / b > 0: an error where b is 0. */
static BsExpr *
risky(uint32_t divisor)
{
	return op2(BS_OP_GT, BS_BOOL, op2(BS_OP_DIV, BS_INT4, number(10), column(divisor)), number(0));
}

static const BsLane *
run(Fixture *f, BsExpr *expr)
{
	if (expr->capacity == 0)
		assert_null(bs_expr_prepare(expr, CAPACITY));
	memset(f->errors, 0, sizeof(f->errors));
	return bs_expr_evaluate(expr, &f->eval, f->rows);
}

/* The value in a row; NONE for NULL. */
static int64_t
value_at(const BsLane *lane, uint32_t row)
{
	if (bs_lane_is_null(lane, row))
	{
		assert_true(lane->has_nulls);
		return NONE;
	}
	return lane->i64[row];
}

static void
refuse(BsExpr *expr)
{
	assert_non_null(expr);
	assert_non_null(bs_expr_prepare(expr, CAPACITY));
	bs_expr_free(expr);
}

static void
what_does_not_fit_is_refused(void **state)
{
	BsExpr *expr;

	(void) state;
	refuse(op2(BS_OP_ADD, BS_INT4, column(COL_A), column(COL_BOOL_A)));
	refuse(op2(BS_OP_ADD, BS_INT2, column(COL_A), column(COL_A)));
	refuse(op2(BS_OP_ADD, BS_FLOAT8, column(COL_A), column(COL_A)));
	refuse(op1(BS_OP_ADD, BS_INT4, column(COL_A)));
	refuse(op2(BS_OP_LT, BS_BOOL, column(COL_TEXT), column(COL_TEXT)));
	refuse(op2(BS_OP_EQ, BS_BOOL, column(COL_TEXT), column(COL_A)));
	refuse(op2(BS_OP_EQ, BS_INT4, column(COL_A), column(COL_A)));
	refuse(op2(BS_OP_MOD, BS_FLOAT8, bs_expr_null(BS_FLOAT8), bs_expr_null(BS_FLOAT8)));
	refuse(op2(BS_OP_CASE, BS_INT4, column(COL_BOOL_A), column(COL_A)));
	refuse(bs_expr_op(BS_OP_CASE, BS_INT4, 3,
					  (BsExpr *[]){column(COL_A), column(COL_A), column(COL_B)}));
	refuse(bs_expr_op(BS_OP_AND, BS_BOOL, 0, NULL));
	refuse(op1(BS_OP_TIME_BIN, BS_TIMESTAMPTZ, bs_expr_null(BS_TIMESTAMPTZ))); /* width 0 */
	refuse(op2(BS_OP_INET_SET_MASKLEN, BS_INET, bs_expr_null(BS_INET), bs_expr_null(BS_FLOAT8)));
	refuse(op2(BS_NOPS, BS_BOOL, column(COL_A), column(COL_A)));
	refuse(op2((BsOp) 0, BS_BOOL, column(COL_A), column(COL_A)));
	refuse(bs_expr_column(0, (BsType) 0));
	expr = column(COL_A);
	assert_non_null(bs_expr_prepare(expr, 0));
	assert_non_null(bs_expr_prepare(expr, 65537));
	assert_null(bs_expr_prepare(expr, 65536));
	bs_expr_free(expr);
	assert_non_null(bs_expr_prepare(NULL, CAPACITY));
}

static void
makers_pass_on_that_memory_was_out(void **state)
{
	(void) state;
	/* The other argument is freed: the leak checker sees to it. */
	assert_null(op2(BS_OP_ADD, BS_INT4, column(COL_A), NULL));
	assert_null(op1(BS_OP_NOT, BS_BOOL, op2(BS_OP_EQ, BS_BOOL, NULL, column(COL_A))));
	assert_null(bs_expr_in(BS_OP_IN, NULL, 0, NULL, false));
	bs_expr_free(NULL);
}

static void
deep_trees_are_refused(void **state)
{
	BsExpr *expr = column(COL_A);

	(void) state;
	for (int i = 0; i < 5000; i++)
		expr = op1(BS_OP_BIT_NOT, BS_INT4, expr);
	assert_string_equal(bs_expr_prepare(expr, CAPACITY), "expression is nested too deeply");
	bs_expr_free(expr);
}

static void
every_error_has_a_message(void **state)
{
	(void) state;
	for (int error = 0; error < BS_NERRORS; error++)
		assert_non_null(bs_error_message((BsError) error));
	assert_string_equal(bs_error_message(BS_ERROR_INT2_RANGE), "smallint out of range");
	assert_non_null(bs_error_message((BsError) 200));
}

static void
logic_has_three_values(void **state)
{
	/* a, b, a AND b, a OR b, a IS DISTINCT FROM b */
	static const int64_t truths[9][5] = {
		{0, 0, 0, 0, 0},       {0, 1, 0, 1, 1},       {0, NONE, 0, NONE, 1},
		{1, 0, 0, 1, 1},       {1, 1, 1, 1, 0},       {1, NONE, NONE, 1, 1},
		{NONE, 0, 0, NONE, 1}, {NONE, 1, NONE, 1, 1}, {NONE, NONE, NONE, NONE, 0},
	};
	static const BsOp ops[3] = {BS_OP_AND, BS_OP_OR, BS_OP_DISTINCT};
	Fixture *f = *state;

	f->rows.nrows = 9;
	for (uint32_t row = 0; row < 9; row++)
	{
		set(f, COL_BOOL_A, row, truths[row][0]);
		set(f, COL_BOOL_B, row, truths[row][1]);
	}
	for (int i = 0; i < 3; i++)
	{
		BsExpr *expr = op2(ops[i], BS_BOOL, column(COL_BOOL_A), column(COL_BOOL_B));
		const BsLane *lane = run(f, expr);

		for (uint32_t row = 0; row < 9; row++)
			assert_int_equal(value_at(lane, row), truths[row][2 + i]);
		bs_expr_free(expr);
	}
}

static void
tests_of_truth(void **state)
{
	/* false, true, NULL */
	static const struct
	{
		BsOp op;
		int64_t result[3];
	} tests[] = {
		{BS_OP_NOT, {1, 0, NONE}},       {BS_OP_IS_NULL, {0, 0, 1}},
		{BS_OP_IS_NOT_NULL, {1, 1, 0}},  {BS_OP_IS_TRUE, {0, 1, 0}},
		{BS_OP_IS_NOT_TRUE, {1, 0, 1}},  {BS_OP_IS_FALSE, {1, 0, 0}},
		{BS_OP_IS_NOT_FALSE, {0, 1, 1}},
	};
	Fixture *f = *state;

	f->rows.nrows = 3;
	set(f, COL_BOOL_A, 0, 0);
	set(f, COL_BOOL_A, 1, 1);
	set(f, COL_BOOL_A, 2, NONE);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
	{
		BsExpr *expr = op1(tests[i].op, BS_BOOL, column(COL_BOOL_A));
		const BsLane *lane = run(f, expr);

		for (uint32_t row = 0; row < 3; row++)
			assert_int_equal(value_at(lane, row), tests[i].result[row]);
		bs_expr_free(expr);
	}
}

/* Rows: a is false, true, NULL, with b = 0 (an error if 10 / b is reached), then again with b = 5.
 */
static void
fill_guards(Fixture *f)
{
	static const int64_t guards[3] = {0, 1, NONE};

	f->rows.nrows = 6;
	for (uint32_t row = 0; row < 6; row++)
	{
		set(f, COL_BOOL_A, row, guards[row % 3]);
		set(f, COL_B, row, row < 3 ? 0 : 5);
	}
}

static void
expect_errors(Fixture *f, const char *rows)
{
	for (uint32_t row = 0; row < f->rows.nrows; row++)
		assert_int_equal(f->errors[row], rows[row] == '!' ? BS_ERROR_DIVISION_BY_ZERO : 0);
}

static void
and_and_or_stop_when_decided(void **state)
{
	Fixture *f = *state;
	BsExpr *and = op2(BS_OP_AND, BS_BOOL, column(COL_BOOL_A), risky(COL_B));
	BsExpr * or = op2(BS_OP_OR, BS_BOOL, column(COL_BOOL_A), risky(COL_B));
	const BsLane *lane;

	fill_guards(f);
	lane = run(f, and);
	expect_errors(f, ".!!...");
	assert_int_equal(value_at(lane, 0), 0);
	assert_int_equal(value_at(lane, 4), 1);
	assert_int_equal(value_at(lane, 5), NONE);
	lane = run(f, or);
	expect_errors(f, "!.!...");
	assert_int_equal(value_at(lane, 1), 1);
	assert_int_equal(value_at(lane, 5), 1);
	bs_expr_free(and);
	bs_expr_free(or);
}

static void
where_stops_at_null_and_filter_does_not(void **state)
{
	Fixture *f = *state;
	BsExpr *expr = op2(BS_OP_AND, BS_BOOL, column(COL_BOOL_A), risky(COL_B));
	uint16_t out[CAPACITY];

	fill_guards(f);
	assert_null(bs_expr_prepare(expr, CAPACITY));
	assert_int_equal(bs_expr_filter(expr, &f->eval, f->rows, out), 1);
	assert_int_equal(out[0], 4);
	expect_errors(f, ".!!...");
	memset(f->errors, 0, sizeof(f->errors));
	memcpy(out, f->all, sizeof(out));
	assert_int_equal(bs_expr_where(expr, &f->eval, (BsRows){6, out}, out), 1);
	assert_int_equal(out[0], 4);
	expect_errors(f, ".!....");
	bs_expr_free(expr);
}

static void
rows_in_error_before_are_not_kept(void **state)
{
	Fixture *f = *state;
	BsExpr *expr = op2(BS_OP_EQ, BS_BOOL, number(3), column(COL_A));
	uint16_t out[CAPACITY];

	for (uint32_t row = 0; row < 4; row++)
		set(f, COL_A, row, 3);
	assert_null(bs_expr_prepare(expr, CAPACITY));
	f->errors[2] = BS_ERROR_FOREIGN;
	assert_int_equal(bs_expr_filter(expr, &f->eval, f->rows, out), 3);
	assert_int_equal(out[2], 3);
	assert_int_equal(f->errors[2], BS_ERROR_FOREIGN);
	bs_expr_free(expr);
}

static void
case_reaches_only_the_branch_taken(void **state)
{
	Fixture *f = *state;
	BsExpr *guard = op2(BS_OP_NE, BS_BOOL, column(COL_B), number(0));
	BsExpr *divide = op2(BS_OP_DIV, BS_INT4, number(10), column(COL_B));
	BsExpr *expr = bs_expr_op(BS_OP_CASE, BS_INT4, 5,
							  (BsExpr *[]){guard, divide, column(COL_BOOL_A),
										   bs_expr_foreign(0, BS_INT4), bs_expr_null(BS_INT4)});
	const BsLane *lane;

	fill_guards(f);
	lane = run(f, expr);
	expect_errors(f, "......");
	assert_int_equal(value_at(lane, 0), NONE);
	assert_int_equal(value_at(lane, 1), 1);
	assert_int_equal(value_at(lane, 3), 2);
	assert_int_equal(f->nasked, 1);
	assert_int_equal(f->asked[0], 1);
	bs_expr_free(expr);
}

static void
coalesce_asks_only_where_null(void **state)
{
	Fixture *f = *state;
	BsExpr *expr =
		bs_expr_op(BS_OP_COALESCE, BS_INT4, 3,
				   (BsExpr *[]){column(COL_A), bs_expr_foreign(0, BS_INT4), column(COL_B)});
	const BsLane *lane;

	for (uint32_t row = 0; row < CAPACITY; row++)
	{
		set(f, COL_A, row, row % 2 ? NONE : 100);
		set(f, COL_B, row, row == 5 ? 55 : NONE);
	}
	lane = run(f, expr);
	assert_int_equal(f->nasked, CAPACITY / 2);
	assert_int_equal(value_at(lane, 2), 100);
	assert_int_equal(value_at(lane, 3), 3);
	assert_int_equal(value_at(lane, 5), 55);
	assert_int_equal(value_at(lane, 15), NONE);
	assert_int_equal(f->errors[7], BS_ERROR_FOREIGN);
	bs_expr_free(expr);
}

static void
foreign_is_not_asked_about_errors(void **state)
{
	Fixture *f = *state;
	BsExpr *divide = op2(BS_OP_DIV, BS_INT4, number(10), column(COL_B));
	BsExpr *expr = op2(BS_OP_ADD, BS_INT4, divide, bs_expr_foreign(0, BS_INT4));

	fill_guards(f);
	run(f, expr);
	expect_errors(f, "!!!...");
	assert_int_equal(f->nasked, 3);
	assert_int_equal(f->asked[0], 3);
	f->eval.foreign = NULL;
	run(f, expr);
	assert_int_equal(f->errors[0], BS_ERROR_DIVISION_BY_ZERO);
	assert_int_equal(f->errors[4], BS_ERROR_FOREIGN);
	bs_expr_free(expr);
}

static void
in_a_list(void **state)
{
	/* length, has NULL; for a = 2 (in the list), 50 (not), NULL: IN, NOT IN */
	static const struct
	{
		uint32_t len;
		bool has_null;
		int64_t in[3];
		int64_t not_in[3];
	} tests[] = {
		{0, false, {0, 0, 0}, {1, 1, 1}},
		{0, true, {NONE, NONE, NONE}, {NONE, NONE, NONE}},
		{2, false, {1, 0, NONE}, {0, 1, NONE}},
		{2, true, {1, NONE, NONE}, {0, NONE, NONE}},
		{7, false, {1, 0, NONE}, {0, 1, NONE}},
		{40, false, {1, 0, NONE}, {0, 1, NONE}},
		{40, true, {1, NONE, NONE}, {0, NONE, NONE}},
	};
	BsValue list[40] = {{.i64 = 9}, {.i64 = 2}};
	Fixture *f = *state;

	/* With doubles, unsorted. */
	for (int i = 2; i < 40; i++)
		list[i].i64 = 40 - i % 20;
	f->rows.nrows = 3;
	set(f, COL_A, 0, 2);
	set(f, COL_A, 1, 50);
	set(f, COL_A, 2, NONE);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		for (int negated = 0; negated < 2; negated++)
		{
			BsExpr *expr = bs_expr_in(negated ? BS_OP_NOT_IN : BS_OP_IN, column(COL_A),
									  tests[i].len, list, tests[i].has_null);
			const BsLane *lane = run(f, expr);

			for (uint32_t row = 0; row < 3; row++)
				assert_int_equal(value_at(lane, row),
								 negated ? tests[i].not_in[row] : tests[i].in[row]);
			bs_expr_free(expr);
		}
}

static void
bytes_in_a_list(void **state)
{
	static const uint8_t text[] = "tcpudpicmp";
	BsValue list[3] = {
		{.bytes = {text, 3, 0}}, {.bytes = {text + 6, 4, 0}}, {.bytes = {text, 3, 0}}};
	Fixture *f = *state;
	BsExpr *expr = bs_expr_in(BS_OP_IN, column(COL_TEXT), 3, list, false);
	BsBytes *lane = f->batch->columns[COL_TEXT].bytes;
	const BsLane *result;

	f->rows.nrows = 4;
	lane[0] = (BsBytes){(const uint8_t *) "tcp", 3, 0};
	lane[1] = (BsBytes){(const uint8_t *) "udp", 3, 0};
	lane[2] = (BsBytes){NULL, 0, 0};
	lane[3] = (BsBytes){(const uint8_t *) 1, 77, 0}; /* must not be looked at */
	bs_lane_set_null(&f->batch->columns[COL_TEXT], 3);
	result = run(f, expr);
	assert_int_equal(expr->list_len, 2);
	assert_int_equal(value_at(result, 0), 1);
	assert_int_equal(value_at(result, 1), 0);
	assert_int_equal(value_at(result, 2), 0);
	assert_int_equal(value_at(result, 3), NONE);
	bs_expr_free(expr);
}

static void
scaled_counts_unknown_rates(void **state)
{
	Fixture *f = *state;
	BsExpr *expr = op2(BS_OP_SCALED, BS_INT8, column(COL_A), column(COL_B));
	const BsLane *lane;

	f->rows.nrows = 3;
	set(f, COL_A, 0, 40);
	set(f, COL_B, 0, 1000);
	set(f, COL_A, 1, 40);
	set(f, COL_B, 1, NONE);
	set(f, COL_A, 2, NONE);
	set(f, COL_B, 2, 10);
	lane = run(f, expr);
	assert_int_equal(value_at(lane, 0), 40000);
	assert_int_equal(value_at(lane, 1), 40);
	assert_int_equal(value_at(lane, 2), NONE);
	assert_int_equal(f->eval.unknown_rate, 1);
	bs_expr_free(expr);
}

/* The same tree over a batch full of NULLs, one without, and a part of one. */
static void
no_nulls_stay_behind(void **state)
{
	Fixture *f = *state;
	uint16_t some[2] = {3, 9};
	BsExpr *expr = op2(BS_OP_ADD, BS_INT4, column(COL_A), column(COL_B));
	const BsLane *lane;

	for (uint32_t row = 0; row < CAPACITY; row++)
		set(f, COL_A, row, NONE);
	lane = run(f, expr);
	assert_true(lane->has_nulls);
	bs_batch_reset(f->batch);
	f->rows = (BsRows){2, some};
	lane = run(f, expr);
	assert_false(lane->has_nulls);
	for (uint32_t row = 0; row < CAPACITY; row++)
		assert_int_equal(lane->nulls[row], 0);
	set(f, COL_B, 9, NONE);
	lane = run(f, expr);
	assert_int_equal(lane->nulls[3], 0);
	assert_int_equal(lane->nulls[9], 1);
	/* Preparing again, for other batches, starts afresh. */
	assert_null(bs_expr_prepare(expr, CAPACITY / 2));
	assert_false(expr->result.has_nulls);
	bs_expr_free(expr);
}

static void
no_rows_at_all(void **state)
{
	Fixture *f = *state;
	BsExpr *expr = op2(BS_OP_AND, BS_BOOL, column(COL_BOOL_A), risky(COL_B));
	uint16_t out[1];

	f->rows.nrows = 0;
	run(f, expr);
	assert_int_equal(bs_expr_filter(expr, &f->eval, f->rows, out), 0);
	bs_expr_free(expr);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(makers_pass_on_that_memory_was_out),
		cmocka_unit_test(deep_trees_are_refused),
		cmocka_unit_test(every_error_has_a_message),
		FIXTURE_TEST(logic_has_three_values),
		FIXTURE_TEST(tests_of_truth),
		FIXTURE_TEST(and_and_or_stop_when_decided),
		FIXTURE_TEST(where_stops_at_null_and_filter_does_not),
		FIXTURE_TEST(rows_in_error_before_are_not_kept),
		FIXTURE_TEST(case_reaches_only_the_branch_taken),
		FIXTURE_TEST(coalesce_asks_only_where_null),
		FIXTURE_TEST(foreign_is_not_asked_about_errors),
		FIXTURE_TEST(in_a_list),
		FIXTURE_TEST(bytes_in_a_list),
		FIXTURE_TEST(scaled_counts_unknown_rates),
		FIXTURE_TEST(no_nulls_stay_behind),
		FIXTURE_TEST(no_rows_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
