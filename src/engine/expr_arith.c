/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_arith.c: arithmetic of integers and floats, bit operations, casts among numbers, scaled.
 *
 * Integers are computed in 64 bits and checked against the range of the result's type.  Floats follow
 * PostgreSQL's float.h: an infinity out of finite values is an overflow, a zero out of other values an
 * underflow.  float4 is computed in float.
 */
#include "expr_internal.h"
#include "spread.h"

#include <math.h>

typedef struct IntRange
{
	int64_t min;
	int64_t max;
	BsError error;
} IntRange;

static inline IntRange
int_range(BsType type)
{
	switch (type)
	{
		case BS_INT2:
			return (IntRange){INT16_MIN, INT16_MAX, BS_ERROR_INT2_RANGE};
		case BS_INT4:
			return (IntRange){INT32_MIN, INT32_MAX, BS_ERROR_INT4_RANGE};
		default:
			return (IntRange){INT64_MIN, INT64_MAX, BS_ERROR_INT8_RANGE};
	}
}

/* value = a op b, wrapped; BS_NERRORS stands for "out of range". */
#define OUT_OF_RANGE BS_NERRORS

static inline BsError
int_apply(BsOp op, int64_t a, int64_t b, int64_t *value)
{
	bool bad = false;

	switch (op)
	{
		case BS_OP_ADD:
			bad = __builtin_add_overflow(a, b, value);
			break;
		case BS_OP_SUB:
			bad = __builtin_sub_overflow(a, b, value);
			break;
		case BS_OP_MUL:
			bad = __builtin_mul_overflow(a, b, value);
			break;
		default:
			*value = 0;
			if (b == 0)
				return BS_ERROR_DIVISION_BY_ZERO;
			/* The machine traps on the quotient of the minimum and -1. */
			if (b == -1)
				bad = op == BS_OP_DIV && __builtin_sub_overflow((int64_t) 0, a, value);
			else
				*value = op == BS_OP_DIV ? a / b : a % b;
			break;
	}
	return bad ? OUT_OF_RANGE : BS_ERROR_NONE;
}

#define INT_LOOP(operation, right)                                                                 \
	BS_EACH_ROW(rows, row, {                                                                       \
		int64_t value;                                                                             \
		BsError error = int_apply(operation, in[row], right, &value);                              \
                                                                                                   \
		out[row] = value;                                                                          \
		if (__builtin_expect((error != BS_ERROR_NONE) | (value < range.min) | (value > range.max), \
							 0))                                                                   \
			bs_error_raise(eval, a, b, row,                                                        \
						   error == BS_ERROR_DIVISION_BY_ZERO ? error : range.error);              \
	})

#define INT_CASE(operation)                                                                        \
	case operation:                                                                                \
		if (constant != NULL)                                                                      \
			INT_LOOP(operation, fixed);                                                            \
		else                                                                                       \
			INT_LOOP(operation, b->i64[row]);                                                      \
		break;

static void
int_arith(BsExpr *expr, BsEval *eval, BsRows rows, const BsLane *a, const BsLane *b)
{
	IntRange range = int_range(expr->type);
	const BsValue *constant = bs_expr_constant(expr->args[1]);
	int64_t fixed = constant != NULL ? constant->i64 : 0;
	const int64_t *in = a->i64;
	int64_t *out = expr->result.i64;

	switch (expr->op)
	{
		INT_CASE(BS_OP_ADD)
		INT_CASE(BS_OP_SUB)
		INT_CASE(BS_OP_MUL)
		INT_CASE(BS_OP_DIV)
		INT_CASE(BS_OP_MOD)
		default:
			break;
	}
}

/*
 * One loop per operator and width: what makes an infinity or a zero legitimate differs.  The checks
 * are float4_pl ... float8_div of PostgreSQL's utils/float.h.
 */
#define FLOAT_LOOP(type, value_of, lost, vanished)                                                 \
	BS_EACH_ROW_ONCE(rows, row, {                                                                  \
		type x = (type) a->f64[row];                                                               \
		type y = (type) b->f64[row];                                                               \
		type value = (value_of);                                                                   \
                                                                                                   \
		out[row] = (double) value;                                                                 \
		if (__builtin_expect(isinf(value) && (lost), 0))                                           \
			bs_error_raise(eval, a, b, row, BS_ERROR_FLOAT_OVERFLOW);                              \
		else if (__builtin_expect(value == 0 && (vanished), 0))                                    \
			bs_error_raise(eval, a, b, row, BS_ERROR_FLOAT_UNDERFLOW);                             \
	})

#define FLOAT_DIV_LOOP(type)                                                                       \
	BS_EACH_ROW_ONCE(rows, row, {                                                                  \
		type x = (type) a->f64[row];                                                               \
		type y = (type) b->f64[row];                                                               \
		bool by_zero = y == 0 && !isnan(x);                                                        \
		type value = by_zero ? 0 : y == 0 ? x : x / y;                                             \
                                                                                                   \
		out[row] = (double) value;                                                                 \
		if (__builtin_expect(by_zero, 0))                                                          \
			bs_error_raise(eval, a, b, row, BS_ERROR_DIVISION_BY_ZERO);                            \
		else if (__builtin_expect(isinf(value) && !isinf(x), 0))                                   \
			bs_error_raise(eval, a, b, row, BS_ERROR_FLOAT_OVERFLOW);                              \
		else if (__builtin_expect(value == 0 && x != 0 && !isinf(y), 0))                           \
			bs_error_raise(eval, a, b, row, BS_ERROR_FLOAT_UNDERFLOW);                             \
	})

#define FLOAT_ARITH(name, type)                                                                    \
	static void name(BsExpr *expr, BsEval *eval, BsRows rows, const BsLane *a, const BsLane *b)    \
	{                                                                                              \
		double *out = expr->result.f64;                                                            \
                                                                                                   \
		switch (expr->op)                                                                          \
		{                                                                                          \
			case BS_OP_ADD:                                                                        \
				FLOAT_LOOP(type, x + y, !isinf(x) && !isinf(y), false)                             \
				break;                                                                             \
			case BS_OP_SUB:                                                                        \
				FLOAT_LOOP(type, x - y, !isinf(x) && !isinf(y), false)                             \
				break;                                                                             \
			case BS_OP_MUL:                                                                        \
				FLOAT_LOOP(type, x * y, !isinf(x) && !isinf(y), x != 0 && y != 0)                  \
				break;                                                                             \
			default:                                                                               \
				FLOAT_DIV_LOOP(type)                                                               \
				break;                                                                             \
		}                                                                                          \
	}

FLOAT_ARITH(float4_arith, float)
FLOAT_ARITH(float8_arith, double)

const BsLane *
bs_eval_arith(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *b = bs_evaluate(expr->args[1], eval, rows);
	BsLane *result = bs_result_begin(expr);

	if (expr->type == BS_FLOAT4)
		float4_arith(expr, eval, rows, a, b);
	else if (expr->type == BS_FLOAT8)
		float8_arith(expr, eval, rows, a, b);
	else
		int_arith(expr, eval, rows, a, b);
	bs_result_merge_nulls(expr, rows, a, b);
	return result;
}

/* NEG and ABS. */
const BsLane *
bs_eval_sign(BsExpr *expr, BsEval *eval, BsRows rows)
{
	bool negates = expr->op == BS_OP_NEG;
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);
	IntRange range = int_range(expr->type);

	if (bs_type_class(expr->type) == BS_FLOAT8)
		BS_EACH_ROW_ONCE(rows, row,
						 result->f64[row] = negates ? -a->f64[row] : fabs(a->f64[row]);)
	else
		BS_EACH_ROW_ONCE(rows, row, {
			int64_t value = a->i64[row];
			bool bad = false;

			if (negates || value < 0)
				bad = __builtin_sub_overflow((int64_t) 0, value, &value);
			result->i64[row] = value;
			if (__builtin_expect(bad || value < range.min || value > range.max, 0))
				bs_error_raise(eval, a, a, row, range.error);
		})
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

/*
 * Shift as PostgreSQL's C does on machines that count modulo the width: int2 is promoted to 32 bits
 * before, and cut to 16 after.
 */
static inline int64_t
shift_left(BsType type, int64_t value, int64_t count)
{
	if (type == BS_INT8)
		return (int64_t) ((uint64_t) value << (count & 63));
	value = (int32_t) ((uint32_t) value << (count & 31));
	return type == BS_INT2 ? (int16_t) value : value;
}

static inline int64_t
shift_right(BsType type, int64_t value, int64_t count)
{
	return value >> (count & (type == BS_INT8 ? 63 : 31));
}

const BsLane *
bs_eval_bits(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *b = expr->nargs > 1 ? bs_evaluate(expr->args[1], eval, rows) : a;
	BsLane *result = bs_result_begin(expr);
	BsType type = expr->type;
	const int64_t *x = a->i64;
	const int64_t *y = b->i64;
	int64_t *out = result->i64;

	switch (expr->op)
	{
		case BS_OP_BIT_AND:
			BS_EACH_ROW(rows, row, out[row] = x[row] & y[row];);
			break;
		case BS_OP_BIT_OR:
			BS_EACH_ROW(rows, row, out[row] = x[row] | y[row];);
			break;
		case BS_OP_BIT_XOR:
			BS_EACH_ROW(rows, row, out[row] = x[row] ^ y[row];);
			break;
		case BS_OP_BIT_NOT:
			BS_EACH_ROW(rows, row, out[row] = ~x[row];);
			break;
		case BS_OP_SHL:
			BS_EACH_ROW(rows, row, out[row] = shift_left(type, x[row], y[row]););
			break;
		default:
			BS_EACH_ROW(rows, row, out[row] = shift_right(type, x[row], y[row]););
			break;
	}
	bs_result_merge_nulls(expr, rows, a, b);
	return result;
}

const BsLane *
bs_eval_int_cast(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	IntRange range = int_range(expr->type);
	BsLane *result;

	/* A wider type holds the same value in the same lane. */
	if (expr->args[0]->type <= expr->type)
		return a;
	result = bs_result_begin(expr);
	BS_EACH_ROW(rows, row, {
		int64_t value = a->i64[row];

		result->i64[row] = value;
		if (__builtin_expect((value < range.min) | (value > range.max), 0))
			bs_error_raise(eval, a, a, row, range.error);
	});
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

const BsLane *
bs_eval_int_to_float(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);

	/* To float at once: by way of double a bigint would be rounded twice. */
	if (expr->type == BS_FLOAT4)
		BS_EACH_ROW(rows, row, result->f64[row] = (double) (float) a->i64[row];);
	else
		BS_EACH_ROW(rows, row, result->f64[row] = (double) a->i64[row];);
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

/* Halves go to the even neighbour.  The upper bound is 2^n itself, which a double can say exactly. */
const BsLane *
bs_eval_float_to_int(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);
	IntRange range = int_range(expr->type);
	double min = (double) range.min;

	BS_EACH_ROW_ONCE(rows, row, {
		double value = rint(a->f64[row]);

		if (__builtin_expect(value >= min && value < -min, 1))
			result->i64[row] = (int64_t) value;
		else
		{
			result->i64[row] = 0;
			bs_error_raise(eval, a, a, row, range.error);
		}
	});
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

const BsLane *
bs_eval_float_cast(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result;

	if (expr->args[0]->type <= expr->type)
		return a;
	result = bs_result_begin(expr);
	BS_EACH_ROW_ONCE(rows, row, {
		double wide = a->f64[row];
		float value = (float) wide;

		result->f64[row] = (double) value;
		if (__builtin_expect(isinf(value) && !isinf(wide), 0))
			bs_error_raise(eval, a, a, row, BS_ERROR_FLOAT_OVERFLOW);
		else if (__builtin_expect(value == 0 && wide != 0, 0))
			bs_error_raise(eval, a, a, row, BS_ERROR_FLOAT_UNDERFLOW);
	});
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

/* Either way: 1 or 0. */
const BsLane *
bs_eval_bool_cast(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);

	BS_EACH_ROW(rows, row, result->i64[row] = a->i64[row] != 0;);
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

/* A record whose sampling rate is unknown counts as it is, and is counted as such. */
const BsLane *
bs_eval_scaled(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *b = bs_evaluate(expr->args[1], eval, rows);
	BsLane *result = bs_result_begin(expr);

	BS_EACH_ROW_ONCE(rows, row, {
		int64_t value = a->i64[row];

		if (b->nulls[row])
			bs_note_unknown_rate(eval, row);
		else if (__builtin_mul_overflow(value, b->i64[row], &value))
			bs_error_raise(eval, a, b, row, BS_ERROR_INT8_RANGE);
		result->i64[row] = value;
	});
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

const BsLane *
bs_eval_portion(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *slice = &eval->batch->columns[expr->column];
	BsLane *result = bs_result_begin(expr);

	BS_EACH_ROW_ONCE(rows, row, {
		result->i64[row] =
			bs_portion(a->i64[row], slice[1].i64[row], slice[2].i64[row], slice[3].i64[row]);
	});
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}
