/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_in.c: IN and NOT IN over a list of constants, NOT, and the tests IS NULL, IS TRUE, ...
 *
 * Lists are sorted and free of doubles.  Short lists of integers are searched in line without
 * branches, all others by halving.
 */
#include "expr_internal.h"

#include <stdlib.h>

#define SHORT_LIST 8

typedef int (*ValueCompare)(const void *a, const void *b);

static int
compare_int(const void *a, const void *b)
{
	int64_t left = ((const BsValue *) a)->i64;
	int64_t right = ((const BsValue *) b)->i64;

	return (left > right) - (left < right);
}

static int
compare_float(const void *a, const void *b)
{
	return bs_float_compare(((const BsValue *) a)->f64, ((const BsValue *) b)->f64);
}

static int
compare_interval(const void *a, const void *b)
{
	return bs_interval_compare(&((const BsValue *) a)->interval, &((const BsValue *) b)->interval);
}

static int
compare_inet(const void *a, const void *b)
{
	return bs_inet_compare(&((const BsValue *) a)->inet, &((const BsValue *) b)->inet);
}

/* Any order will do for bytes. */
static int
compare_bytes(const void *a, const void *b)
{
	const BsBytes *left = &((const BsValue *) a)->bytes;
	const BsBytes *right = &((const BsValue *) b)->bytes;

	if (left->len != right->len)
		return left->len < right->len ? -1 : 1;
	return left->len > 0 ? memcmp(left->data, right->data, left->len) : 0;
}

static ValueCompare
value_compare(BsType type)
{
	switch (bs_type_class(type))
	{
		case BS_FLOAT8:
			return compare_float;
		case BS_INTERVAL:
			return compare_interval;
		case BS_INET:
			return compare_inet;
		case BS_BYTES:
			return compare_bytes;
		default:
			return compare_int;
	}
}

uint32_t
bs_list_sort(BsType type, BsValue *list, uint32_t list_len)
{
	ValueCompare compare = value_compare(type);
	uint32_t nkept = 1;

	if (list_len == 0)
		return 0;
	qsort(list, list_len, sizeof(BsValue), compare);
	for (uint32_t i = 1; i < list_len; i++)
	{
		if (compare(&list[i], &list[nkept - 1]) != 0)
			list[nkept++] = list[i];
		else if (type == BS_BYTES)
			free((void *) list[i].bytes.data);
	}
	return nkept;
}

static inline bool
find_short(const BsValue *list, uint32_t list_len, int64_t value)
{
	bool found = false;

	for (uint32_t i = 0; i < list_len; i++)
		found |= list[i].i64 == value;
	return found;
}

static inline bool
find_int(const BsValue *list, uint32_t list_len, int64_t value)
{
	const BsValue *base = list;

	/* Halve until one candidate is left: the last one that is not above the value, if any is. */
	while (list_len > 1)
	{
		uint32_t half = list_len / 2;

		base = base[half].i64 <= value ? base + half : base;
		list_len -= half;
	}
	return base->i64 == value;
}

static void
find_others(const BsExpr *expr, int64_t *out, const BsLane *arg, BsRows rows)
{
	ValueCompare compare = value_compare(arg->type);
	size_t width = bs_type_lane_width(arg->type);

	BS_EACH_ROW_ONCE(rows, row, {
		BsValue value = {0};

		if (arg->nulls[row])
			continue;
		memcpy(&value, (const char *) arg->values + row * width, width);
		out[row] = bsearch(&value, expr->list, expr->list_len, sizeof(BsValue), compare) != NULL;
	});
}

/* out: 1 where the value is in the list; anything where it is NULL. */
static void
find_values(const BsExpr *expr, int64_t *out, const BsLane *arg, BsRows rows)
{
	const BsValue *list = expr->list;
	uint32_t list_len = expr->list_len;

	if (list_len == 0)
		BS_EACH_ROW(rows, row, out[row] = 0;);
	else if (bs_type_lane_width(arg->type) != 8 || bs_type_class(arg->type) == BS_FLOAT8)
		find_others(expr, out, arg, rows);
	else if (list_len == 2)
	{
		/* TCP and UDP, say. */
		int64_t first = list[0].i64;
		int64_t second = list[1].i64;

		BS_EACH_ROW(rows, row, out[row] = (arg->i64[row] == first) | (arg->i64[row] == second););
	}
	else if (list_len <= SHORT_LIST)
		BS_EACH_ROW(rows, row, out[row] = find_short(list, list_len, arg->i64[row]););
	else
		BS_EACH_ROW(rows, row, out[row] = find_int(list, list_len, arg->i64[row]););
}

const BsLane *
bs_eval_in(BsExpr *expr, BsEval *eval, BsRows rows)
{
	bool negated = expr->op == BS_OP_NOT_IN;
	bool empty = expr->list_len == 0 && !expr->list_has_null;
	const BsLane *arg = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);

	/* Nothing is in an empty list, not even NULL. */
	if (empty)
	{
		BS_EACH_ROW(rows, row, result->i64[row] = negated;);
		return result;
	}
	find_values(expr, result->i64, arg, rows);
	bs_result_merge_nulls(expr, rows, arg, arg);
	if (expr->list_has_null)
	{
		bs_result_may_be_null(expr, rows);
		BS_EACH_ROW_ONCE(rows, row, result->nulls[row] |= result->i64[row] == 0;);
	}
	if (negated)
		BS_EACH_ROW(rows, row, result->i64[row] ^= 1;);
	return result;
}

const BsLane *
bs_eval_not(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);

	BS_EACH_ROW(rows, row, result->i64[row] = a->i64[row] == 0;);
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

/* Each test is true for some of: NULL, false, true. */
static const struct
{
	bool of_null;
	bool of_false;
	bool of_true;
} tests[BS_NOPS] = {
	[BS_OP_IS_NULL] = {true, false, false},  [BS_OP_IS_NOT_NULL] = {false, true, true},
	[BS_OP_IS_TRUE] = {false, false, true},  [BS_OP_IS_NOT_TRUE] = {true, true, false},
	[BS_OP_IS_FALSE] = {false, true, false}, [BS_OP_IS_NOT_FALSE] = {true, false, true},
};

const BsLane *
bs_eval_is(BsExpr *expr, BsEval *eval, BsRows rows)
{
	bool of_null = tests[expr->op].of_null;
	bool of_false = tests[expr->op].of_false;
	bool of_true = tests[expr->op].of_true;
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);

	if (of_false == of_true)
		BS_EACH_ROW(rows, row, result->i64[row] = a->nulls[row] ? of_null : of_false;);
	else
		BS_EACH_ROW_ONCE(rows, row, {
			bool value = a->i64[row] != 0 ? of_true : of_false;

			result->i64[row] = a->nulls[row] ? of_null : value;
		});
	return result;
}
