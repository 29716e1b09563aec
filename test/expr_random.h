/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_random.h: random trees over random columns, and their check against expr_scalar.h.
 *
 * All choices are drawn from a source: a seeded generator in the unit test, the input in the fuzzer.
 * One trial draws columns, a tree and selections, and evaluates the tree both ways over several
 * fillings of one batch, with and without NULLs, so that leftovers of an earlier one would show.
 */
#ifndef TEST_EXPR_RANDOM_H
#define TEST_EXPR_RANDOM_H

#include <stdio.h>
#include <stdlib.h>

#include "expr_scalar.h"

typedef struct Source
{
	uint64_t state;       /* of the generator */
	const uint8_t *bytes; /* or what is left of the input; zeros after its end */
	size_t nbytes;
} Source;

#define TRIAL_CAPACITY 300
#define TRIAL_MAX_FOREIGN 64

static inline uint32_t
draw(Source *source, uint32_t below)
{
	if (source->bytes != NULL)
	{
		uint32_t value = 0;

		for (uint32_t limit = below - 1; limit > 0; limit >>= 8)
		{
			value = value << 8 | (source->nbytes > 0 ? *source->bytes : 0);
			if (source->nbytes > 0)
			{
				source->bytes++;
				source->nbytes--;
			}
		}
		return value % below;
	}
	/* splitmix64, Steele, Lea, Flood 2014 */
	source->state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = source->state;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t) ((z ^ (z >> 31)) >> 32) % below;
}

/* BS_SEED and the like from the environment. */
static inline uint64_t
number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static inline uint64_t
draw_word(Source *source)
{
	uint64_t word = 0;

	for (int i = 0; i < 4; i++)
		word = word << 16 | draw(source, 65536);
	return word;
}

static inline int64_t
draw_int(Source *source, int64_t min, int64_t max)
{
	uint64_t span = (uint64_t) max - (uint64_t) min;
	int64_t value = (int64_t) draw(source, 9) - 4;

	switch (draw(source, 8))
	{
		case 0:
			return min + (int64_t) draw(source, 2);
		case 1:
			return max - (int64_t) draw(source, 2);
		case 2:
			return span == UINT64_MAX ? (int64_t) draw_word(source)
									  : (int64_t) ((uint64_t) min + draw_word(source) % (span + 1));
		default:
			return value < min ? min : value > max ? max : value;
	}
}

static inline double
draw_float(Source *source, BsType type)
{
	static const double some[] = {0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, 3, 32767.5, -32768.5,
								  2147483647.5, 1e10, -1e10, 9223372036854775808.0, 1e-20, -1e-30,
								  1e30, 3e38, 1e-45};
	static const double wide[] = {1e300, -1e-300, 1e200, 4.9e-324, 1.7976931348623157e308, 1e39};
	double value;

	switch (draw(source, 8))
	{
		case 0:
			return NAN;
		case 1:
			return draw(source, 2) ? INFINITY : -INFINITY;
		case 2:
			if (type == BS_FLOAT8)
				return wide[draw(source, sizeof(wide) / sizeof(wide[0]))];
			/* fall through */
		case 3:
			value = (double) (int64_t) draw_word(source) / 65536.0;
			break;
		default:
			value = some[draw(source, sizeof(some) / sizeof(some[0]))];
			break;
	}
	return type == BS_FLOAT4 ? (double) (float) value : value;
}

static inline int64_t
draw_time(Source *source)
{
	switch (draw(source, 10))
	{
		case 0:
			return draw(source, 2) ? INT64_MIN : INT64_MAX;
		case 1:
			return INT64_C(-211813488000000000) + draw(source, 3);
		case 2:
			return INT64_C(9223371331200000000) - 1 - draw(source, 3);
		case 3:
			return (int64_t) (draw_word(source) % UINT64_C(2000000000000000000));
		default:
			return ((int64_t) draw(source, 41) - 20) * 500000;
	}
}

static inline BsInet
draw_inet(Source *source)
{
	BsInet inet = {.family = draw(source, 3) ? 4 : 6};
	int nbytes = inet.family == 4 ? 4 : 16;

	/* Few different bytes, so that prefixes meet. */
	for (int i = 0; i < nbytes; i++)
	{
		uint32_t kind = draw(source, 4);

		inet.address[i] = (uint8_t) (kind == 0 ? draw(source, 256) : kind == 1 ? 255 : 10 * (i == 0));
	}
	inet.bits = (uint8_t) (draw(source, 2) ? nbytes * 8 : (int) draw(source, (uint32_t) nbytes * 8 + 1));
	return inet;
}

static inline BsValue
draw_value(Source *source, BsType type)
{
	static const uint8_t letters[] = "abaaab";
	BsValue value = {0};

	switch (type)
	{
		case BS_BOOL:
			value.i64 = draw(source, 2);
			break;
		case BS_INT2:
			value.i64 = draw_int(source, INT16_MIN, INT16_MAX);
			break;
		case BS_INT4:
			value.i64 = draw_int(source, INT32_MIN, INT32_MAX);
			break;
		case BS_INT8:
		case BS_WORD:
			value.i64 = draw_int(source, INT64_MIN, INT64_MAX);
			break;
		case BS_MACADDR:
			value.i64 = draw_int(source, 0, (INT64_C(1) << 48) - 1);
			break;
		case BS_FLOAT4:
		case BS_FLOAT8:
			value.f64 = draw_float(source, type);
			break;
		case BS_TIMESTAMPTZ:
			value.i64 = draw_time(source);
			break;
		case BS_INTERVAL:
			value.interval.usec = draw_int(source, INT64_MIN, INT64_MAX);
			value.interval.days = (int32_t) draw_int(source, INT32_MIN, INT32_MAX);
			value.interval.months = (int32_t) draw_int(source, INT32_MIN, INT32_MAX);
			if (draw(source, 2))
				value.interval = (BsInterval){.usec = 86400000000 * draw(source, 3),
											  .days = (int32_t) draw(source, 61),
											  .months = (int32_t) draw(source, 3)};
			break;
		case BS_INET:
			value.inet = draw_inet(source);
			break;
		case BS_BYTES:
			value.bytes.len = draw(source, 4);
			value.bytes.data = letters + draw(source, 4);
			break;
	}
	return value;
}

static inline BsType
draw_type_of(Source *source, const BsType *types, uint32_t ntypes)
{
	return types[draw(source, ntypes)];
}

#define DRAW_TYPE(source, ...)                                                                     \
	draw_type_of(source, (const BsType[]){__VA_ARGS__},                                            \
				 sizeof((const BsType[]){__VA_ARGS__}) / sizeof(BsType))
#define DRAW_INT(source) DRAW_TYPE(source, BS_INT2, BS_INT4, BS_INT8)
#define DRAW_ANY(source)                                                                           \
	DRAW_TYPE(source, BS_BOOL, BS_INT2, BS_INT4, BS_INT8, BS_FLOAT4, BS_FLOAT8, BS_TIMESTAMPTZ,    \
			  BS_MACADDR, BS_WORD, BS_INTERVAL, BS_INET, BS_BYTES)
#define DRAW_ORDERED(source)                                                                       \
	DRAW_TYPE(source, BS_BOOL, BS_INT2, BS_INT4, BS_INT8, BS_FLOAT4, BS_FLOAT8, BS_TIMESTAMPTZ,    \
			  BS_MACADDR, BS_INTERVAL, BS_INET)

/* A type of the same class that is no wider. */
static inline BsType
draw_narrower(Source *source, BsType type)
{
	if (type == BS_INT4 || type == BS_INT8)
		return (BsType) (BS_INT2 + draw(source, (uint32_t) (type - BS_INT2) + 1));
	if (type == BS_FLOAT8)
		return DRAW_TYPE(source, BS_FLOAT4, BS_FLOAT8);
	return type;
}

/* Two columns of each type: 2 * (type - 1), and the next. */
#define TRIAL_COLUMNS (2 * (uint32_t) BS_BYTES)

static BsExpr *draw_expr(Source *source, BsType type, int depth, uint32_t *nforeign);

static inline BsExpr *
draw_op(Source *source, BsOp op, BsType type, uint32_t nargs, const BsType *types, int depth,
		uint32_t *nforeign)
{
	BsExpr *args[8];

	for (uint32_t i = 0; i < nargs; i++)
		args[i] = draw_expr(source, types[i], depth - 1, nforeign);
	return bs_expr_op(op, type, nargs, args);
}

#define DRAW_OP(op, type, nargs, ...)                                                              \
	draw_op(source, op, type, nargs, (const BsType[]){__VA_ARGS__}, depth, nforeign)
#define DRAW_FROM(first, last) ((BsOp) ((first) + draw(source, (uint32_t) ((last) - (first)) + 1)))

static inline BsExpr *
draw_in(Source *source, int depth, uint32_t *nforeign)
{
	BsType type = DRAW_ANY(source);
	BsValue list[24];
	uint32_t list_len = draw(source, 3) ? draw(source, 4) : draw(source, 24);

	for (uint32_t i = 0; i < list_len; i++)
		list[i] = draw_value(source, type);
	return bs_expr_in(DRAW_FROM(BS_OP_IN, BS_OP_NOT_IN),
					  draw_expr(source, type, depth - 1, nforeign), list_len, list,
					  draw(source, 3) == 0);
}

static inline BsExpr *
draw_bool(Source *source, int depth, uint32_t *nforeign)
{
	BsType type;
	BsType other;

	switch (draw(source, 10))
	{
		case 0:
			type = DRAW_ANY(source);
			return DRAW_OP(draw(source, 2) ? DRAW_FROM(BS_OP_EQ, BS_OP_NE)
										   : DRAW_FROM(BS_OP_DISTINCT, BS_OP_NOT_DISTINCT),
						   BS_BOOL, 2, type, type);
		case 1:
		case 2:
			type = DRAW_ORDERED(source);
			other = draw_narrower(source, type);
			return DRAW_OP(DRAW_FROM(BS_OP_LT, BS_OP_GE), BS_BOOL, 2, other, type);
		case 3:
			return draw_in(source, depth, nforeign);
		case 4:
		case 5:
			return DRAW_OP(DRAW_FROM(BS_OP_AND, BS_OP_OR), BS_BOOL, 1 + draw(source, 3), BS_BOOL,
						   BS_BOOL, BS_BOOL);
		case 6:
			return DRAW_OP(DRAW_FROM(BS_OP_IS_TRUE, BS_OP_IS_NOT_FALSE), BS_BOOL, 1, BS_BOOL);
		case 7:
			type = DRAW_ANY(source);
			return DRAW_OP(DRAW_FROM(BS_OP_IS_NULL, BS_OP_IS_NOT_NULL), BS_BOOL, 1, type);
		case 8:
			return DRAW_OP(DRAW_FROM(BS_OP_INET_SUB, BS_OP_INET_OVERLAP), BS_BOOL, 2, BS_INET,
						   BS_INET);
		default:
			if (draw(source, 2))
				return DRAW_OP(BS_OP_NOT, BS_BOOL, 1, BS_BOOL);
			type = DRAW_INT(source);
			return DRAW_OP(BS_OP_INT_TO_BOOL, BS_BOOL, 1, type);
	}
}

static inline BsExpr *
draw_integer(Source *source, BsType type, int depth, uint32_t *nforeign)
{
	BsType a = draw_narrower(source, type);
	BsType b = draw_narrower(source, type);

	switch (draw(source, 9))
	{
		case 0:
			return DRAW_OP(DRAW_FROM(BS_OP_BIT_AND, BS_OP_BIT_XOR), type, 2, a, b);
		case 1:
			return DRAW_OP(DRAW_FROM(BS_OP_SHL, BS_OP_SHR), type, 2, type, BS_INT4);
		case 2:
			a = DRAW_INT(source);
			return DRAW_OP(BS_OP_INT_CAST, type, 1, a);
		case 3:
			a = DRAW_TYPE(source, BS_FLOAT4, BS_FLOAT8);
			return DRAW_OP(BS_OP_FLOAT_TO_INT, type, 1, a);
		case 4:
			return DRAW_OP(BS_OP_BIT_NOT, type, 1, a);
		case 5:
			if (type == BS_INT8)
				return DRAW_OP(BS_OP_SCALED, type, 2, a, b);
			return draw(source, 2) ? DRAW_OP(BS_OP_BOOL_TO_INT, type, 1, BS_BOOL)
								   : DRAW_OP(DRAW_FROM(BS_OP_INET_MASKLEN, BS_OP_INET_FAMILY), type,
											 1, BS_INET);
		case 6:
			return DRAW_OP(DRAW_FROM(BS_OP_NEG, BS_OP_ABS), type, 1, type);
		default:
			return DRAW_OP(DRAW_FROM(BS_OP_ADD, BS_OP_MOD), type, 2, a, b);
	}
}

static inline BsExpr *
draw_floating(Source *source, BsType type, int depth, uint32_t *nforeign)
{
	BsType a = draw_narrower(source, type);
	BsType b = draw_narrower(source, type);

	switch (draw(source, 6))
	{
		case 0:
			a = DRAW_INT(source);
			return DRAW_OP(BS_OP_INT_TO_FLOAT, type, 1, a);
		case 1:
			a = DRAW_TYPE(source, BS_FLOAT4, BS_FLOAT8);
			return DRAW_OP(BS_OP_FLOAT_CAST, type, 1, a);
		case 2:
			return DRAW_OP(DRAW_FROM(BS_OP_NEG, BS_OP_ABS), type, 1, type);
		default:
			return DRAW_OP(DRAW_FROM(BS_OP_ADD, BS_OP_DIV), type, 2, a, b);
	}
}

static inline BsExpr *
draw_inet_expr(Source *source, int depth, uint32_t *nforeign)
{
	static const BsOp parts[] = {BS_OP_INET_NETWORK, BS_OP_INET_BROADCAST, BS_OP_INET_NETMASK,
								 BS_OP_INET_HOSTMASK};

	if (draw(source, 2))
		return DRAW_OP(parts[draw(source, 4)], BS_INET, 1, BS_INET);
	return DRAW_OP(DRAW_FROM(BS_OP_INET_SET_MASKLEN, BS_OP_CIDR_SET_MASKLEN), BS_INET, 2, BS_INET,
				   BS_INT4);
}

static inline BsExpr *
draw_time_expr(Source *source, int depth, uint32_t *nforeign)
{
	static const int64_t widths[] = {1, 500000, 3000000, 300000000, INT64_MAX, 86400000000};
	static const int64_t origins[] = {0, 1, -7, 1000000, 9223371331199999999, -211813488000000000};
	bool bin = draw(source, 2);
	BsExpr *expr = DRAW_OP(bin ? BS_OP_TIME_BIN : BS_OP_TIME_ADD_USEC, BS_TIMESTAMPTZ, 1,
						   BS_TIMESTAMPTZ);

	if (expr == NULL)
		return NULL;
	expr->width_usec = bin ? widths[draw(source, 6)] : draw_int(source, INT64_MIN, INT64_MAX);
	expr->origin = origins[draw(source, 6)];
	return expr;
}

/* CASE and the other operations that exist for every type. */
static inline BsExpr *
draw_general(Source *source, BsType type, int depth, uint32_t *nforeign)
{
	BsType a = draw_narrower(source, type);
	BsType b = draw_narrower(source, type);

	switch (draw(source, 4))
	{
		case 0:
			return DRAW_OP(BS_OP_COALESCE, type, 1 + draw(source, 3), a, b, type);
		case 1:
			return DRAW_OP(BS_OP_NULLIF, type, 2, type, a);
		case 2:
			if (type != BS_BYTES && type != BS_WORD)
				return DRAW_OP(DRAW_FROM(BS_OP_GREATEST, BS_OP_LEAST), type, 1 + draw(source, 3), a,
							   type, b);
			/* fall through */
		default:
			return draw(source, 2)
					   ? DRAW_OP(BS_OP_CASE, type, 3, BS_BOOL, a, type)
					   : DRAW_OP(BS_OP_CASE, type, 5, BS_BOOL, a, BS_BOOL, type, b);
	}
}

static inline BsExpr *
draw_leaf(Source *source, BsType type, uint32_t *nforeign)
{
	switch (draw(source, 8))
	{
		case 0:
			if (*nforeign < TRIAL_MAX_FOREIGN)
				return bs_expr_foreign((*nforeign)++, type);
			/* fall through */
		case 1:
			return draw(source, 3) ? bs_expr_const(type, draw_value(source, type))
								   : bs_expr_null(type);
		case 2:
			return bs_expr_const(type, draw_value(source, type));
		default:
			return bs_expr_column(2 * (uint32_t) (type - 1) + draw(source, 2), type);
	}
}

static BsExpr *
draw_expr(Source *source, BsType type, int depth, uint32_t *nforeign)
{
	if (depth == 0 || draw(source, 6) == 0)
		return draw_leaf(source, type, nforeign);
	if (draw(source, 4) == 0)
		return draw_general(source, type, depth, nforeign);
	switch (type)
	{
		case BS_BOOL:
			return draw_bool(source, depth, nforeign);
		case BS_INT2:
		case BS_INT4:
		case BS_INT8:
			return draw_integer(source, type, depth, nforeign);
		case BS_FLOAT4:
		case BS_FLOAT8:
			return draw_floating(source, type, depth, nforeign);
		case BS_TIMESTAMPTZ:
			return draw_time_expr(source, depth, nforeign);
		case BS_INTERVAL:
			if (draw(source, 2))
				return DRAW_OP(BS_OP_TIME_SUB_TIME, type, 2, BS_TIMESTAMPTZ, BS_TIMESTAMPTZ);
			if (draw(source, 3) == 0)
				return DRAW_OP(BS_OP_INTERVAL_NEG, type, 1, BS_INTERVAL);
			return DRAW_OP(DRAW_FROM(BS_OP_INTERVAL_ADD, BS_OP_INTERVAL_SUB), type, 2, BS_INTERVAL,
						   BS_INTERVAL);
		case BS_INET:
			return draw_inet_expr(source, depth, nforeign);
		default:
			return draw_general(source, type, depth, nforeign);
	}
}

/* What stands in for ring 2: a value, NULL or error that depends on the number and the row alone. */
static inline Scalar
trial_foreign_value(uint32_t foreign, uint32_t row, BsType type)
{
	Source source = {.state = (uint64_t) foreign << 32 | row};
	uint32_t kind = draw(&source, 6);

	if (kind == 0)
		return scalar_error(BS_ERROR_FOREIGN);
	if (kind == 1)
		return scalar_null();
	return (Scalar){.value = draw_value(&source, type)};
}

typedef struct Trial
{
	BsBatch *batch;
	BsExpr *expr;
	uint32_t nforeign;
	uint8_t visited[TRIAL_MAX_FOREIGN][TRIAL_CAPACITY];
	uint8_t errors[TRIAL_CAPACITY];
	Scalar expected[TRIAL_CAPACITY];
	Scalar expected_where[TRIAL_CAPACITY];
	uint64_t expected_unknown_rate;
	char fault[160];
} Trial;

static Trial *trial_current; /* for the callbacks of the oracle, which take no context */

static inline void
trial_visit(uint32_t foreign, uint32_t row)
{
	trial_current->visited[foreign][row] ^= 1;
}

static inline void
trial_no_visit(uint32_t foreign, uint32_t row)
{
	(void) foreign;
	(void) row;
}

static inline void
trial_foreign(void *context, uint32_t foreign, const BsBatch *batch, BsRows rows, BsLane *out,
			  uint8_t *errors)
{
	Trial *trial = context;
	size_t width = scalar_width(out->type);

	(void) batch;
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint32_t row = rows.rows[i];
		Scalar value = trial_foreign_value(foreign, row, out->type);

		trial->visited[foreign][row] ^= 1;
		/* Rubbish under NULLs and errors must do no harm. */
		if (value.null || value.error)
			memset((char *) out->values + row * width, 0xa5, width);
		else
			memcpy((char *) out->values + row * width, &value.value, width);
		if (value.null)
			bs_lane_set_null(out, row);
		if (value.error)
			errors[row] = (uint8_t) value.error;
	}
}

static inline bool
trial_create(Trial *trial, Source *source, BsType type, int depth)
{
	BsType types[TRIAL_COLUMNS];

	memset(trial, 0, sizeof(*trial));
	for (uint32_t i = 0; i < TRIAL_COLUMNS; i++)
		types[i] = (BsType) (i / 2 + 1);
	trial->batch = bs_batch_create(types, TRIAL_COLUMNS, NULL, TRIAL_CAPACITY);
	trial->expr = draw_expr(source, type, depth, &trial->nforeign);
	return trial->batch != NULL && trial->expr != NULL;
}

static inline void
trial_free(Trial *trial)
{
	bs_expr_free(trial->expr);
	bs_batch_free(trial->batch);
}

/* nulls: one value in this many is NULL; 0: none. */
static inline void
trial_fill(Trial *trial, Source *source, uint32_t nrows, uint32_t nulls)
{
	bs_batch_reset(trial->batch);
	trial->batch->nrows = nrows;
	for (uint32_t column = 0; column < TRIAL_COLUMNS; column++)
	{
		BsLane *lane = &trial->batch->columns[column];
		size_t width = scalar_width(lane->type);

		for (uint32_t row = 0; row < nrows; row++)
		{
			BsValue value = draw_value(source, lane->type);
			bool null = nulls > 0 && draw(source, nulls) == 0;

			memcpy((char *) lane->values + row * width, &value, width);
			if (null)
			{
				memset((char *) lane->values + row * width, 0xa5, width);
				bs_lane_set_null(lane, row);
			}
		}
	}
}

static inline uint32_t
draw_rows(Source *source, uint32_t nrows, uint16_t *rows)
{
	uint32_t sparse = draw(source, 3); /* 0: all */
	uint32_t nselected = 0;

	for (uint32_t row = 0; row < nrows; row++)
		if (sparse == 0 || draw(source, sparse * 3) == 0)
			rows[nselected++] = (uint16_t) row;
	return nselected;
}

/* What the oracle says, and which rows it takes to the foreign expressions. */
static inline void
trial_expect(Trial *trial, BsRows rows)
{
	memset(trial->visited, 0, sizeof(trial->visited));
	memset(trial->errors, 0, sizeof(trial->errors));
	trial->expected_unknown_rate = 0;
	trial_current = trial;
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint32_t row = rows.rows[i];
		ScalarEval eval = {.batch = trial->batch,
						   .row = row,
						   .foreign = trial_foreign_value,
						   .visit = trial_visit};

		trial->expected[row] = scalar_evaluate(trial->expr, &eval);
		trial->expected_unknown_rate += eval.unknown_rate;
		eval.visit = trial_no_visit;
		if (trial->expr->type == BS_BOOL)
			trial->expected_where[row] = scalar_where(trial->expr, &eval);
	}
}

static inline BsEval
trial_eval(Trial *trial)
{
	memset(trial->errors, 0, sizeof(trial->errors));
	return (BsEval){.batch = trial->batch,
					.errors = trial->errors,
					.foreign = trial_foreign,
					.foreign_context = trial};
}

static inline bool
trial_fault(Trial *trial, const char *what, uint32_t row)
{
	snprintf(trial->fault, sizeof(trial->fault), "%s in row %u (operation %d, type %d)", what, row,
			 (int) trial->expr->op, (int) trial->expr->type);
	return false;
}

static inline bool
trial_check_evaluate(Trial *trial, BsRows rows)
{
	BsEval eval = trial_eval(trial);
	const BsLane *lane = bs_expr_evaluate(trial->expr, &eval, rows);

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint32_t row = rows.rows[i];
		const Scalar *expected = &trial->expected[row];
		Scalar got = scalar_from_lane(lane, row);

		if (trial->errors[row] != expected->error)
			return trial_fault(trial, "another error", row);
		if (expected->error)
			continue;
		if (got.null != expected->null)
			return trial_fault(trial, "another NULL", row);
		if (got.null && !lane->has_nulls)
			return trial_fault(trial, "has_nulls hides a NULL", row);
		if (!got.null && !scalar_same(lane->type, &got.value, &expected->value))
			return trial_fault(trial, "another value", row);
	}
	for (uint32_t row = 0; row < TRIAL_CAPACITY && !lane->has_nulls; row++)
		if (lane->nulls[row])
			return trial_fault(trial, "a stale NULL", row);
	for (uint32_t foreign = 0; foreign < trial->nforeign; foreign++)
		for (uint32_t row = 0; row < TRIAL_CAPACITY; row++)
			if (trial->visited[foreign][row])
				return trial_fault(trial, "reaches a foreign expression otherwise", row);
	if (eval.unknown_rate != trial->expected_unknown_rate)
		return trial_fault(trial, "another number of unknown rates", 0);
	return true;
}

static inline bool
trial_check_filter(Trial *trial, BsRows rows, const Scalar *expected, bool where, bool in_place)
{
	BsEval eval = trial_eval(trial);
	uint16_t out[TRIAL_CAPACITY];
	uint32_t nkept;
	uint32_t at = 0;

	if (in_place)
		memcpy(out, rows.rows, rows.nrows * sizeof(uint16_t));
	nkept = (where ? bs_expr_where : bs_expr_filter)(
		trial->expr, &eval, in_place ? (BsRows){.nrows = rows.nrows, .rows = out} : rows, out);
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint16_t row = rows.rows[i];
		const Scalar *scalar = &expected[row];
		bool keep = !scalar->error && !scalar->null && scalar->value.i64 != 0;

		if (trial->errors[row] != scalar->error)
			return trial_fault(trial, "another error in a filter", row);
		if (keep != (at < nkept && out[at] == row))
			return trial_fault(trial, "a filter decides otherwise", row);
		at += keep;
	}
	return at == nkept || trial_fault(trial, "a filter keeps too many", nkept);
}

/* Draw, evaluate both ways, compare.  False: fault says what differed. */
static inline bool
trial_run(Trial *trial, Source *source, BsType type, int depth, int nbatches)
{
	uint16_t selected[TRIAL_CAPACITY];
	const char *refusal;
	bool prepared = false;

	if (!trial_create(trial, source, type, depth))
		return trial_fault(trial, "cannot be made", 0);
	for (int i = 0; i < nbatches; i++)
	{
		uint32_t nrows = source->bytes != NULL ? 1 + draw(source, 5) : 1 + draw(source, TRIAL_CAPACITY);
		BsRows rows = {.rows = selected};

		trial_fill(trial, source, nrows, draw(source, 3) * 3);
		rows.nrows = draw_rows(source, nrows, selected);
		/* The oracle sees the first batch through the tree as it was made. */
		trial_expect(trial, rows);
		refusal = prepared ? NULL : bs_expr_prepare(trial->expr, TRIAL_CAPACITY);
		if (refusal != NULL)
			return trial_fault(trial, refusal, 0);
		prepared = true;
		if (!trial_check_evaluate(trial, rows))
			return false;
		if (type != BS_BOOL)
			continue;
		if (!trial_check_filter(trial, rows, trial->expected, false, i % 2) ||
			!trial_check_filter(trial, rows, trial->expected_where, true, i % 2))
			return false;
	}
	return true;
}

#endif
