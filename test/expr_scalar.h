/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_scalar.h: expressions one record at a time, the naive way: what the batch evaluator is held to.
 *
 * PostgreSQL's rules written down once more, by recursion over one row, in 128-bit integers and bit by
 * bit, sharing no code with src/engine.  It stops at the first error and evaluates nothing that
 * PostgreSQL would not.  Evaluates trees before bs_expr_prepare as well as after.
 */
#ifndef TEST_EXPR_SCALAR_H
#define TEST_EXPR_SCALAR_H

#include <math.h>
#include <string.h>

#include "../src/engine/expr.h"

typedef struct Scalar
{
	BsError error;
	bool null;
	BsValue value;
} Scalar;

typedef struct ScalarEval
{
	const BsBatch *batch;
	uint32_t row;
	Scalar (*foreign)(uint32_t foreign, uint32_t row, BsType type);
	void (*visit)(uint32_t foreign, uint32_t row);
	uint64_t unknown_rate;
} ScalarEval;

static Scalar scalar_evaluate(const BsExpr *expr, ScalarEval *eval);

static inline Scalar
scalar_null(void)
{
	return (Scalar){.null = true};
}

static inline Scalar
scalar_error(BsError error)
{
	return (Scalar){.error = error};
}

static inline Scalar
scalar_int(int64_t value)
{
	return (Scalar){.value.i64 = value};
}

static inline Scalar
scalar_float(double value)
{
	return (Scalar){.value.f64 = value};
}

static inline bool
scalar_type_is_float(BsType type)
{
	return type == BS_FLOAT4 || type == BS_FLOAT8;
}

static inline int
scalar_inet_bit(const BsInet *inet, int bit)
{
	return inet->address[bit / 8] >> (7 - bit % 8) & 1;
}

static inline int
scalar_inet_max(const BsInet *inet)
{
	return inet->family == 4 ? 32 : 128;
}

static inline int
scalar_inet_prefix(const BsInet *a, const BsInet *b, int bits)
{
	for (int i = 0; i < bits; i++)
		if (scalar_inet_bit(a, i) != scalar_inet_bit(b, i))
			return scalar_inet_bit(a, i) - scalar_inet_bit(b, i);
	return 0;
}

static inline int
scalar_inet_compare(const BsInet *a, const BsInet *b)
{
	int sign;

	if (a->family != b->family)
		return a->family - b->family;
	sign = scalar_inet_prefix(a, b, a->bits < b->bits ? a->bits : b->bits);
	if (sign == 0)
		sign = a->bits - b->bits;
	return sign != 0 ? sign : scalar_inet_prefix(a, b, scalar_inet_max(a));
}

/* < 0, 0, > 0 */
static inline int
scalar_compare(BsType type, const BsValue *a, const BsValue *b)
{
	if (scalar_type_is_float(type))
	{
		if (isnan(a->f64) || isnan(b->f64))
			return (isnan(a->f64) ? 1 : 0) - (isnan(b->f64) ? 1 : 0);
		return a->f64 < b->f64 ? -1 : a->f64 > b->f64 ? 1 : 0;
	}
	if (type == BS_INET)
		return scalar_inet_compare(&a->inet, &b->inet);
	if (type == BS_BYTES)
		return a->bytes.len != b->bytes.len ||
			   (a->bytes.len > 0 && memcmp(a->bytes.data, b->bytes.data, a->bytes.len) != 0);
	if (type == BS_INTERVAL)
	{
		__int128 day = 86400000000;
		__int128 x = a->interval.usec + day * a->interval.days + 30 * day * a->interval.months;
		__int128 y = b->interval.usec + day * b->interval.days + 30 * day * b->interval.months;

		return x < y ? -1 : x > y ? 1 : 0;
	}
	return a->i64 < b->i64 ? -1 : a->i64 > b->i64 ? 1 : 0;
}

static inline bool
scalar_comparison_holds(BsOp op, int sign)
{
	switch (op)
	{
		case BS_OP_EQ:
			return sign == 0;
		case BS_OP_NE:
			return sign != 0;
		case BS_OP_LT:
			return sign < 0;
		case BS_OP_LE:
			return sign <= 0;
		case BS_OP_GT:
			return sign > 0;
		default:
			return sign >= 0;
	}
}

static inline Scalar
scalar_ranged(BsType type, __int128 value)
{
	if (type == BS_INT2 && (value < INT16_MIN || value > INT16_MAX))
		return scalar_error(BS_ERROR_INT2_RANGE);
	if (type == BS_INT4 && (value < INT32_MIN || value > INT32_MAX))
		return scalar_error(BS_ERROR_INT4_RANGE);
	if (value < INT64_MIN || value > INT64_MAX)
		return scalar_error(BS_ERROR_INT8_RANGE);
	return scalar_int((int64_t) value);
}

static inline Scalar
scalar_int_arith(BsOp op, BsType type, __int128 a, __int128 b)
{
	if ((op == BS_OP_DIV || op == BS_OP_MOD) && b == 0)
		return scalar_error(BS_ERROR_DIVISION_BY_ZERO);
	switch (op)
	{
		case BS_OP_ADD:
			return scalar_ranged(type, a + b);
		case BS_OP_SUB:
			return scalar_ranged(type, a - b);
		case BS_OP_MUL:
			return scalar_ranged(type, a * b);
		case BS_OP_DIV:
			return scalar_ranged(type, a / b);
		default:
			return scalar_ranged(type, a % b);
	}
}

/* In the width of the type, in which the compiler must not keep more bits: hence volatile. */
static inline double
scalar_float_raw(BsOp op, BsType type, double a, double b)
{
	volatile double wide = op == BS_OP_ADD   ? a + b
						   : op == BS_OP_SUB ? a - b
						   : op == BS_OP_MUL ? a * b
											 : a / b;
	volatile float x = (float) a;
	volatile float y = (float) b;
	volatile float narrow = op == BS_OP_ADD   ? x + y
							: op == BS_OP_SUB ? x - y
							: op == BS_OP_MUL ? x * y
											  : x / y;

	return type == BS_FLOAT4 ? (double) narrow : wide;
}

static inline Scalar
scalar_float_arith(BsOp op, BsType type, double a, double b)
{
	double value;

	if (op == BS_OP_DIV && b == 0)
		return isnan(a) ? scalar_float(a) : scalar_error(BS_ERROR_DIVISION_BY_ZERO);
	value = scalar_float_raw(op, type, a, b);
	if (isinf(value) && !isinf(a) && (op == BS_OP_DIV || !isinf(b)))
		return scalar_error(BS_ERROR_FLOAT_OVERFLOW);
	if (op == BS_OP_MUL && value == 0 && a != 0 && b != 0)
		return scalar_error(BS_ERROR_FLOAT_UNDERFLOW);
	if (op == BS_OP_DIV && value == 0 && a != 0 && !isinf(b))
		return scalar_error(BS_ERROR_FLOAT_UNDERFLOW);
	return scalar_float(value);
}

static inline Scalar
scalar_bits(BsOp op, BsType type, int64_t a, int64_t b)
{
	int width = type == BS_INT8 ? 64 : 32;
	__int128 shifted;

	switch (op)
	{
		case BS_OP_BIT_AND:
			return scalar_int(a & b);
		case BS_OP_BIT_OR:
			return scalar_int(a | b);
		case BS_OP_BIT_XOR:
			return scalar_int(a ^ b);
		case BS_OP_BIT_NOT:
			return scalar_int(-1 - a);
		default:
			b = ((b % width) + width) % width;
			break;
	}
	shifted = a;
	if (op == BS_OP_SHR)
	{
		/* floor(a / 2^b) */
		__int128 divisor = (__int128) 1 << b;

		shifted = (shifted - (((shifted % divisor) + divisor) % divisor)) / divisor;
		return scalar_int((int64_t) shifted);
	}
	shifted = shifted * ((__int128) 1 << b);
	if (type == BS_INT8)
		return scalar_int((int64_t) shifted);
	return scalar_int(type == BS_INT4 ? (int32_t) shifted : (int16_t) shifted);
}

static inline Scalar
scalar_cast(BsOp op, BsType from, BsType to, const BsValue *value)
{
	(void) from;
	switch (op)
	{
		case BS_OP_INT_CAST:
			return scalar_ranged(to, value->i64);
		case BS_OP_INT_TO_FLOAT:
			return scalar_float(to == BS_FLOAT4 ? (double) (float) value->i64 : (double) value->i64);
		case BS_OP_FLOAT_TO_INT:
			if (isnan(value->f64) || fabs(value->f64) > 1e30)
				return scalar_ranged(to, (__int128) 1 << 100);
			return scalar_ranged(to, (__int128) nearbyint(value->f64));
		case BS_OP_FLOAT_CAST:
			if (to == BS_FLOAT8)
				return scalar_float(value->f64);
			if (isinf((float) value->f64) && !isinf(value->f64))
				return scalar_error(BS_ERROR_FLOAT_OVERFLOW);
			if ((float) value->f64 == 0 && value->f64 != 0)
				return scalar_error(BS_ERROR_FLOAT_UNDERFLOW);
			return scalar_float((double) (float) value->f64);
		default:
			return scalar_int(value->i64 ? 1 : 0);
	}
}

static inline BsInet
scalar_inet_fill(const BsInet *from, BsOp op)
{
	BsInet made = *from;

	for (int i = 0; i < scalar_inet_max(from); i++)
	{
		bool host = i >= from->bits;
		bool bit = scalar_inet_bit(from, i);
		uint8_t one = (uint8_t) (0x80 >> i % 8);

		if (op == BS_OP_INET_NETWORK && host)
			bit = false;
		if (op == BS_OP_INET_BROADCAST && host)
			bit = true;
		if (op == BS_OP_INET_NETMASK)
			bit = !host;
		if (op == BS_OP_INET_HOSTMASK)
			bit = host;
		made.address[i / 8] = (uint8_t) (bit ? made.address[i / 8] | one : made.address[i / 8] & ~one);
	}
	if (op == BS_OP_INET_NETMASK || op == BS_OP_INET_HOSTMASK)
		made.bits = (uint8_t) scalar_inet_max(from);
	return made;
}

static inline Scalar
scalar_set_masklen(BsOp op, const BsInet *inet, int64_t bits)
{
	BsInet made = *inet;

	if (bits == -1)
		bits = scalar_inet_max(inet);
	if (bits < 0 || bits > scalar_inet_max(inet))
		return scalar_error(BS_ERROR_MASKLEN);
	made.bits = (uint8_t) bits;
	if (op == BS_OP_CIDR_SET_MASKLEN)
		made = scalar_inet_fill(&made, BS_OP_INET_NETWORK);
	return (Scalar){.value.inet = made};
}

static inline bool
scalar_inet_test(BsOp op, const BsInet *a, const BsInet *b)
{
	int least = a->bits < b->bits ? a->bits : b->bits;

	if (a->family != b->family || scalar_inet_prefix(a, b, least) != 0)
		return false;
	switch (op)
	{
		case BS_OP_INET_SUB:
			return a->bits > b->bits;
		case BS_OP_INET_SUBEQ:
			return a->bits >= b->bits;
		case BS_OP_INET_SUP:
			return a->bits < b->bits;
		case BS_OP_INET_SUPEQ:
			return a->bits <= b->bits;
		default:
			return true;
	}
}

static inline bool
scalar_time_infinite(int64_t time)
{
	return time == INT64_MIN || time == INT64_MAX;
}

static inline bool
scalar_time_valid(__int128 time)
{
	return time >= INT64_C(-211813488000000000) && time < INT64_C(9223371331200000000);
}

static inline Scalar
scalar_time_bin(const BsExpr *expr, int64_t time)
{
	__int128 since = (__int128) time - expr->origin;
	__int128 rest = since % expr->width_usec;
	__int128 start = time - rest;

	if (scalar_time_infinite(time))
		return scalar_int(time);
	if (since < INT64_MIN || since > INT64_MAX)
		return scalar_error(BS_ERROR_INTERVAL_RANGE);
	if (rest >= 0)
		return scalar_int((int64_t) start);
	start -= expr->width_usec;
	return scalar_time_valid(start) ? scalar_int((int64_t) start)
									: scalar_error(BS_ERROR_TIMESTAMP_RANGE);
}

static inline Scalar
scalar_time_difference(int64_t a, int64_t b)
{
	__int128 usec = (__int128) a - b;
	__int128 day = 86400000000;
	Scalar made = {0};

	if (scalar_time_infinite(a) || scalar_time_infinite(b))
		return scalar_error(BS_ERROR_INFINITE_TIME);
	/* PostgreSQL 15 lets it wrap. */
	if (usec > INT64_MAX)
		usec -= (__int128) 1 << 64;
	if (usec < INT64_MIN)
		usec += (__int128) 1 << 64;
	made.value.interval.days = (int32_t) (usec / day);
	made.value.interval.usec = (int64_t) (usec % day);
	return made;
}

static inline Scalar
scalar_interval(BsOp op, const BsInterval *a, const BsInterval *b)
{
	__int128 usec = op == BS_OP_INTERVAL_ADD   ? (__int128) a->usec + b->usec
					: op == BS_OP_INTERVAL_SUB ? (__int128) a->usec - b->usec
											   : -(__int128) a->usec;
	int64_t days = op == BS_OP_INTERVAL_ADD	  ? (int64_t) a->days + b->days
				   : op == BS_OP_INTERVAL_SUB ? (int64_t) a->days - b->days
											  : -(int64_t) a->days;
	int64_t months = op == BS_OP_INTERVAL_ADD	? (int64_t) a->months + b->months
					 : op == BS_OP_INTERVAL_SUB ? (int64_t) a->months - b->months
												: -(int64_t) a->months;
	Scalar made = {0};

	if (usec < INT64_MIN || usec > INT64_MAX || days < INT32_MIN || days > INT32_MAX ||
		months < INT32_MIN || months > INT32_MAX)
		return scalar_error(BS_ERROR_INTERVAL_RANGE);
	made.value.interval = (BsInterval){(int64_t) usec, (int32_t) days, (int32_t) months};
	return made;
}

static inline Scalar
scalar_in(const BsExpr *expr, const Scalar *arg)
{
	bool in = expr->op == BS_OP_IN;

	if (expr->list_len == 0 && !expr->list_has_null)
		return scalar_int(!in);
	if (arg->null)
		return scalar_null();
	for (uint32_t i = 0; i < expr->list_len; i++)
		if (scalar_compare(expr->args[0]->type, &arg->value, &expr->list[i]) == 0)
			return scalar_int(in);
	return expr->list_has_null ? scalar_null() : scalar_int(!in);
}

/* Operations over arguments that are not NULL. */
static inline Scalar
scalar_strict(const BsExpr *expr, const BsValue *a, const BsValue *b)
{
	BsType from = expr->args[0]->type;

	switch (expr->op)
	{
		case BS_OP_EQ:
		case BS_OP_NE:
		case BS_OP_LT:
		case BS_OP_LE:
		case BS_OP_GT:
		case BS_OP_GE:
			return scalar_int(scalar_comparison_holds(expr->op, scalar_compare(from, a, b)));
		case BS_OP_NOT:
			return scalar_int(!a->i64);
		case BS_OP_ADD:
		case BS_OP_SUB:
		case BS_OP_MUL:
		case BS_OP_DIV:
		case BS_OP_MOD:
			if (scalar_type_is_float(expr->type))
				return scalar_float_arith(expr->op, expr->type, a->f64, b->f64);
			return scalar_int_arith(expr->op, expr->type, a->i64, b->i64);
		case BS_OP_NEG:
			return scalar_type_is_float(from) ? scalar_float(-a->f64)
											  : scalar_ranged(expr->type, -(__int128) a->i64);
		case BS_OP_ABS:
			return scalar_type_is_float(from)
					   ? scalar_float(fabs(a->f64))
					   : scalar_ranged(expr->type, a->i64 < 0 ? -(__int128) a->i64 : a->i64);
		case BS_OP_BIT_AND:
		case BS_OP_BIT_OR:
		case BS_OP_BIT_XOR:
		case BS_OP_BIT_NOT:
		case BS_OP_SHL:
		case BS_OP_SHR:
			return scalar_bits(expr->op, expr->type, a->i64, b != NULL ? b->i64 : 0);
		case BS_OP_INT_CAST:
		case BS_OP_INT_TO_FLOAT:
		case BS_OP_FLOAT_TO_INT:
		case BS_OP_FLOAT_CAST:
		case BS_OP_BOOL_TO_INT:
		case BS_OP_INT_TO_BOOL:
			return scalar_cast(expr->op, from, expr->type, a);
		case BS_OP_INET_SUB:
		case BS_OP_INET_SUBEQ:
		case BS_OP_INET_SUP:
		case BS_OP_INET_SUPEQ:
		case BS_OP_INET_OVERLAP:
			return scalar_int(scalar_inet_test(expr->op, &a->inet, &b->inet));
		case BS_OP_INET_NETWORK:
		case BS_OP_INET_BROADCAST:
		case BS_OP_INET_NETMASK:
		case BS_OP_INET_HOSTMASK:
			return (Scalar){.value.inet = scalar_inet_fill(&a->inet, expr->op)};
		case BS_OP_INET_SET_MASKLEN:
		case BS_OP_CIDR_SET_MASKLEN:
			return scalar_set_masklen(expr->op, &a->inet, b->i64);
		case BS_OP_INET_MASKLEN:
			return scalar_int(a->inet.bits);
		case BS_OP_INET_FAMILY:
			return scalar_int(a->inet.family);
		case BS_OP_TIME_BIN:
			return scalar_time_bin(expr, a->i64);
		case BS_OP_TIME_SUB_TIME:
			return scalar_time_difference(a->i64, b->i64);
		case BS_OP_TIME_ADD_USEC:
			if (scalar_time_infinite(a->i64))
				return scalar_int(a->i64);
			if (!scalar_time_valid((__int128) a->i64 + expr->width_usec))
				return scalar_error(BS_ERROR_TIMESTAMP_RANGE);
			return scalar_int(a->i64 + expr->width_usec);
		default:
			return scalar_interval(expr->op, &a->interval, b != NULL ? &b->interval : NULL);
	}
}

static inline Scalar
scalar_logic(const BsExpr *expr, ScalarEval *eval)
{
	bool decides = expr->op == BS_OP_OR;
	bool any_null = false;

	for (uint32_t i = 0; i < expr->nargs; i++)
	{
		Scalar arg = scalar_evaluate(expr->args[i], eval);

		if (arg.error)
			return arg;
		if (!arg.null && (arg.value.i64 != 0) == decides)
			return scalar_int(decides);
		any_null = any_null || arg.null;
	}
	return any_null ? scalar_null() : scalar_int(!decides);
}

static inline Scalar
scalar_case(const BsExpr *expr, ScalarEval *eval)
{
	for (uint32_t i = 0; i + 1 < expr->nargs; i += 2)
	{
		Scalar when = scalar_evaluate(expr->args[i], eval);

		if (when.error)
			return when;
		if (!when.null && when.value.i64)
			return scalar_evaluate(expr->args[i + 1], eval);
	}
	return scalar_evaluate(expr->args[expr->nargs - 1], eval);
}

static inline Scalar
scalar_coalesce(const BsExpr *expr, ScalarEval *eval)
{
	for (uint32_t i = 0; i < expr->nargs; i++)
	{
		Scalar arg = scalar_evaluate(expr->args[i], eval);

		if (arg.error || !arg.null)
			return arg;
	}
	return scalar_null();
}

static inline Scalar
scalar_extreme(const BsExpr *expr, ScalarEval *eval)
{
	Scalar best = scalar_null();

	for (uint32_t i = 0; i < expr->nargs; i++)
	{
		Scalar arg = scalar_evaluate(expr->args[i], eval);
		int sign;

		if (arg.error)
			return arg;
		if (arg.null)
			continue;
		sign = best.null ? 0 : scalar_compare(expr->type, &arg.value, &best.value);
		if (best.null || (expr->op == BS_OP_LEAST ? sign < 0 : sign > 0))
			best = arg;
	}
	return best;
}

/* Operations that look at NULLs themselves. */
static inline Scalar
scalar_with_nulls(const BsExpr *expr, ScalarEval *eval, const Scalar *a, const Scalar *b)
{
	BsType type = expr->args[0]->type;
	bool same;

	switch (expr->op)
	{
		case BS_OP_IN:
		case BS_OP_NOT_IN:
			return scalar_in(expr, a);
		case BS_OP_IS_NULL:
			return scalar_int(a->null);
		case BS_OP_IS_NOT_NULL:
			return scalar_int(!a->null);
		case BS_OP_IS_TRUE:
			return scalar_int(!a->null && a->value.i64);
		case BS_OP_IS_NOT_TRUE:
			return scalar_int(a->null || !a->value.i64);
		case BS_OP_IS_FALSE:
			return scalar_int(!a->null && !a->value.i64);
		case BS_OP_IS_NOT_FALSE:
			return scalar_int(a->null || a->value.i64);
		case BS_OP_DISTINCT:
		case BS_OP_NOT_DISTINCT:
			same = a->null == b->null &&
				   (a->null || scalar_compare(type, &a->value, &b->value) == 0);
			return scalar_int(same == (expr->op == BS_OP_NOT_DISTINCT));
		case BS_OP_NULLIF:
			if (!a->null && !b->null && scalar_compare(type, &a->value, &b->value) == 0)
				return scalar_null();
			return *a;
		case BS_OP_SCALED:
			eval->unknown_rate += b->null;
			if (a->null || b->null)
				return *a;
			return scalar_ranged(BS_INT8, (__int128) a->value.i64 * b->value.i64);
		default:
			if (a->null || (b != NULL && b->null))
				return scalar_null();
			return scalar_strict(expr, &a->value, b != NULL ? &b->value : NULL);
	}
}

static inline size_t
scalar_width(BsType type)
{
	return type == BS_INET ? sizeof(BsInet) : type == BS_INTERVAL || type == BS_BYTES ? 16 : 8;
}

static inline Scalar
scalar_from_lane(const BsLane *lane, uint32_t row)
{
	Scalar made = {.null = lane->nulls[row]};

	memcpy(&made.value, (const char *) lane->values + row * scalar_width(lane->type),
		   scalar_width(lane->type));
	return made;
}

static Scalar
scalar_evaluate(const BsExpr *expr, ScalarEval *eval)
{
	Scalar a;
	Scalar b;

	switch (expr->op)
	{
		case BS_OP_COLUMN:
			return scalar_from_lane(&eval->batch->columns[expr->column], eval->row);
		case BS_OP_CONST:
			return (Scalar){.null = expr->constant_is_null, .value = expr->constant};
		case BS_OP_FOREIGN:
			eval->visit(expr->foreign, eval->row);
			return eval->foreign(expr->foreign, eval->row, expr->type);
		case BS_OP_AND:
		case BS_OP_OR:
			return scalar_logic(expr, eval);
		case BS_OP_CASE:
			return scalar_case(expr, eval);
		case BS_OP_COALESCE:
			return scalar_coalesce(expr, eval);
		case BS_OP_GREATEST:
		case BS_OP_LEAST:
			return scalar_extreme(expr, eval);
		default:
			break;
	}
	a = scalar_evaluate(expr->args[0], eval);
	if (a.error || expr->nargs == 1)
		return a.error ? a : scalar_with_nulls(expr, eval, &a, NULL);
	b = scalar_evaluate(expr->args[1], eval);
	return b.error ? b : scalar_with_nulls(expr, eval, &a, &b);
}

/* WHERE: a top-level AND ends at what is not true. */
static inline Scalar
scalar_where(const BsExpr *expr, ScalarEval *eval)
{
	if (expr->op != BS_OP_AND)
		return scalar_evaluate(expr, eval);
	for (uint32_t i = 0; i < expr->nargs; i++)
	{
		Scalar arg = scalar_where(expr->args[i], eval);

		if (arg.error || arg.null || !arg.value.i64)
			return arg;
	}
	return scalar_int(1);
}

static inline bool
scalar_same(BsType type, const BsValue *a, const BsValue *b)
{
	if (scalar_type_is_float(type) && isnan(a->f64) && isnan(b->f64))
		return true;
	if (type == BS_BYTES)
		return scalar_compare(type, a, b) == 0;
	return memcmp(a, b, scalar_width(type)) == 0;
}

#endif
