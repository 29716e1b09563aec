/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_compare.c: comparisons, IS DISTINCT FROM, NULLIF, LEAST and GREATEST over lanes of any type.
 *
 * Integers and what is kept like them compare in loops of their own, one per operator and for
 * constants on the right.  Other types compare to a sign, and the operator is a set of three signs.
 */
#include "expr_internal.h"

#define COMPARISONS(X)                                                                             \
	X(BS_OP_EQ, ==)                                                                                \
	X(BS_OP_NE, !=)                                                                                \
	X(BS_OP_LT, <)                                                                                 \
	X(BS_OP_LE, <=)                                                                                \
	X(BS_OP_GT, >)                                                                                 \
	X(BS_OP_GE, >=)

/* Whether an operator accepts the signs -1, 0, 1: bits 0, 1, 2. */
static const uint8_t accepted_signs[BS_NOPS] = {
	[BS_OP_LT] = 1, [BS_OP_EQ] = 2, [BS_OP_LE] = 3, [BS_OP_GT] = 4, [BS_OP_NE] = 5, [BS_OP_GE] = 6,
};

static inline int
float_compare(double a, double b)
{
	int sign = (a > b) - (a < b);

	/* No sign and not equal: NaN is among them. */
	if (__builtin_expect(sign == 0 && !(a == b), 0))
		sign = (a != a) - (b != b);
	return sign;
}

int
bs_float_compare(double a, double b)
{
	return float_compare(a, b);
}

static inline int
bytes_differ(const BsBytes *a, const BsBytes *b)
{
	return a->len != b->len || (a->len > 0 && memcmp(a->data, b->data, a->len) != 0);
}

BsOp
bs_op_commuted(BsOp op)
{
	switch (op)
	{
		case BS_OP_LT:
			return BS_OP_GT;
		case BS_OP_LE:
			return BS_OP_GE;
		case BS_OP_GT:
			return BS_OP_LT;
		case BS_OP_GE:
			return BS_OP_LE;
		default:
			return op;
	}
}

static void
compare_int_const(BsOp op, int64_t *out, const int64_t *a, int64_t b, BsRows rows)
{
#define X(operation, operator)                                                                     \
	case operation:                                                                                \
		BS_EACH_ROW(rows, row, out[row] = a[row] operator b;);                                     \
		break;
	switch (op)
	{
		COMPARISONS(X)
		default:
			break;
	}
#undef X
}

static void
compare_int(BsOp op, int64_t *out, const int64_t *a, const int64_t *b, BsRows rows)
{
#define X(operation, operator)                                                                     \
	case operation:                                                                                \
		BS_EACH_ROW(rows, row, out[row] = a[row] operator b[row];);                                \
		break;
	switch (op)
	{
		COMPARISONS(X)
		default:
			break;
	}
#undef X
}

#define COMPARE_SIGNS(sign) BS_EACH_ROW_ONCE(rows, row, out[row] = (signs >> ((sign) + 1)) & 1;)

/* Values only; what lies under a NULL may give anything. */
static void
compare_lanes(BsOp op, int64_t *out, const BsLane *a, const BsLane *b, BsRows rows)
{
	unsigned signs = accepted_signs[op];

	switch (bs_type_class(a->type))
	{
		case BS_FLOAT8:
			COMPARE_SIGNS(float_compare(a->f64[row], b->f64[row]))
			break;
		case BS_INTERVAL:
			COMPARE_SIGNS(bs_interval_compare(&a->interval[row], &b->interval[row]))
			break;
		case BS_INET:
			COMPARE_SIGNS(bs_inet_compare(&a->inet[row], &b->inet[row]))
			break;
		case BS_BYTES:
			COMPARE_SIGNS(bs_either_null(a, b, row) || bytes_differ(&a->bytes[row], &b->bytes[row]))
			break;
		default:
			compare_int(op, out, a->i64, b->i64, rows);
			break;
	}
}

/* The right side as an integer constant, or NULL. */
static const int64_t *
int_constant(const BsExpr *expr)
{
	const BsValue *constant = bs_expr_constant(expr->args[1]);

	if (constant == NULL || bs_type_lane_width(expr->args[1]->type) != 8 ||
		bs_type_class(expr->args[1]->type) == BS_FLOAT8)
		return NULL;
	return &constant->i64;
}

const BsLane *
bs_eval_compare(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *b = bs_evaluate(expr->args[1], eval, rows);
	BsLane *result = bs_result_begin(expr);
	const int64_t *constant = int_constant(expr);

	if (constant != NULL)
		compare_int_const(expr->op, result->i64, a->i64, *constant, rows);
	else
		compare_lanes(expr->op, result->i64, a, b, rows);
	bs_result_merge_nulls(expr, rows, a, b);
	return result;
}

#define KEEP(condition)                                                                            \
	for (uint32_t i = 0; i < rows.nrows; i++)                                                      \
	{                                                                                              \
		uint16_t row = rows.rows[i];                                                               \
                                                                                                   \
		out[nkept] = row;                                                                          \
		nkept += (condition);                                                                      \
	}

static uint32_t
keep_int_const(BsOp op, const BsLane *a, int64_t b, BsRows rows, uint16_t *out)
{
	const int64_t *values = a->i64;
	const uint8_t *nulls = a->nulls;
	uint32_t nkept = 0;

#define X(operation, operator)                                                                     \
	case operation:                                                                                \
		if (a->has_nulls)                                                                          \
			KEEP((values[row] operator b) & (nulls[row] == 0))                                     \
		else                                                                                       \
			KEEP(values[row] operator b)                                                           \
		break;
	switch (op)
	{
		COMPARISONS(X)
		default:
			break;
	}
#undef X
	return nkept;
}

uint32_t
bs_keep_compared(BsExpr *expr, BsEval *eval, BsRows rows, uint16_t *out)
{
	const int64_t *constant = int_constant(expr);
	const BsLane *lane;

	if (constant != NULL)
		return keep_int_const(expr->op, bs_evaluate(expr->args[0], eval, rows), *constant, rows,
							  out);
	lane = bs_eval_compare(expr, eval, rows);
	return bs_keep_true(lane, rows, out);
}

const BsLane *
bs_eval_distinct(BsExpr *expr, BsEval *eval, BsRows rows)
{
	bool negated = expr->op == BS_OP_NOT_DISTINCT;
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *b = bs_evaluate(expr->args[1], eval, rows);
	BsLane *result = bs_result_begin(expr);

	compare_lanes(negated ? BS_OP_EQ : BS_OP_NE, result->i64, a, b, rows);
	if (!a->has_nulls && !b->has_nulls)
		return result;
	BS_EACH_ROW_ONCE(rows, row, {
		if (bs_either_null(a, b, row))
			result->i64[row] = (a->nulls[row] != b->nulls[row]) != negated;
	});
	return result;
}

/* The sign of a compared with b in one row; for bytes 0 or 1. */
static int
compare_row(BsType type_class, const BsLane *a, const BsLane *b, uint32_t row)
{
	switch (type_class)
	{
		case BS_FLOAT8:
			return float_compare(a->f64[row], b->f64[row]);
		case BS_INTERVAL:
			return bs_interval_compare(&a->interval[row], &b->interval[row]);
		case BS_INET:
			return bs_inet_compare(&a->inet[row], &b->inet[row]);
		case BS_BYTES:
			return bytes_differ(&a->bytes[row], &b->bytes[row]);
		default:
			return (a->i64[row] > b->i64[row]) - (a->i64[row] < b->i64[row]);
	}
}

const BsLane *
bs_eval_nullif(BsExpr *expr, BsEval *eval, BsRows rows)
{
	BsType type_class = bs_type_class(expr->type);
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *b = bs_evaluate(expr->args[1], eval, rows);
	BsLane *result = bs_result_begin(expr);
	uint8_t any_null = 0;

	BS_EACH_ROW_ONCE(rows, row, {
		uint8_t null = a->nulls[row];

		if (!null && !b->nulls[row])
			null = compare_row(type_class, a, b, row) == 0;
		result->nulls[row] = null;
		any_null |= null;
		bs_lane_copy(result, a, row);
	});
	if (any_null)
		bs_result_may_be_null(expr, rows);
	return result;
}

/* Take from arg what is smaller (or greater) than the result so far, or where that is NULL. */
static void
extreme_step(BsExpr *expr, const BsLane *arg, BsRows rows)
{
	BsLane *result = &expr->result;
	BsType type_class = bs_type_class(expr->type);
	int wanted_sign = expr->op == BS_OP_LEAST ? -1 : 1;

	BS_EACH_ROW_ONCE(rows, row, {
		if (arg->nulls[row])
			continue;
		if (result->nulls[row] || compare_row(type_class, arg, result, row) == wanted_sign)
			bs_lane_copy(result, arg, row);
		result->nulls[row] = 0;
	});
}

#define EXTREME_INT(operator)                                                                      \
	BS_EACH_ROW(rows, row, out[row] = in[row] operator out[row] ? in[row] : out[row];)
#define EXTREME_INT_OR_NULL(operator)                                                              \
	BS_EACH_ROW(rows, row, {                                                                       \
		int take = (arg->nulls[row] ^ 1) & (nulls[row] | (in[row] operator out[row]));             \
                                                                                                   \
		out[row] = take ? in[row] : out[row];                                                      \
		nulls[row] &= arg->nulls[row];                                                             \
	})

static void
extreme_step_int(BsExpr *expr, const BsLane *arg, BsRows rows)
{
	int64_t *out = expr->result.i64;
	uint8_t *nulls = expr->result.nulls;
	const int64_t *in = arg->i64;
	bool has_nulls = arg->has_nulls || expr->result.has_nulls;

	if (expr->op == BS_OP_LEAST && !has_nulls)
		EXTREME_INT(<);
	else if (expr->op == BS_OP_LEAST)
		EXTREME_INT_OR_NULL(<);
	else if (!has_nulls)
		EXTREME_INT(>);
	else
		EXTREME_INT_OR_NULL(>);
}

const BsLane *
bs_eval_extreme(BsExpr *expr, BsEval *eval, BsRows rows)
{
	bool is_int = bs_type_lane_width(expr->type) == 8 && bs_type_class(expr->type) != BS_FLOAT8;
	const BsLane *first = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);

	if (is_int)
		BS_EACH_ROW(rows, row, result->i64[row] = first->i64[row];);
	else
		BS_EACH_ROW_ONCE(rows, row, bs_lane_copy(result, first, row););
	bs_result_merge_nulls(expr, rows, first, first);
	for (uint32_t i = 1; i < expr->nargs; i++)
	{
		const BsLane *arg = bs_evaluate(expr->args[i], eval, rows);

		if (is_int)
			extreme_step_int(expr, arg, rows);
		else
			extreme_step(expr, arg, rows);
	}
	return result;
}
