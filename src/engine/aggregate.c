/* SPDX-License-Identifier: PostgreSQL */
/*
 * aggregate.c: the native aggregates.  See aggregate.h.
 *
 * One row of the table at the end per kind: the size of its state, how it folds in a batch, how two
 * states combine.  Loops come in two forms: dense, where no value can be missing, and sparse.
 */
#include "aggregate.h"

#include <math.h>
#include <string.h>

static inline void
mark(const BsAggregate *aggregate, uint8_t *row, uint32_t mask)
{
	*(uint32_t *) (row + aggregate->flags_offset) |= mask;
}

static inline bool
missing(const BsLane *lane, const uint8_t *filter, uint32_t row)
{
	return lane->nulls[row] != 0 || (filter != NULL && filter[row] == 0);
}

/*
 * For each value that is there, run the statement with `value` (of the lane's member), `row` (of the
 * group) and `state` (pointer to ctype).
 */
#define FOLD(ctype, member, statement)                                                        \
	do                                                                                        \
	{                                                                                         \
		const uint16_t *at = rows.rows;                                                       \
		bool sparse = filter != NULL || lane->has_nulls;                                      \
		for (uint32_t i = 0; i < rows.nrows; i++)                                             \
		{                                                                                     \
			uint8_t *row = row_at[i];                                                         \
			ctype *state = (ctype *) (row + aggregate->offset);                               \
			if (sparse && missing(lane, filter, at[i]))                                       \
				continue;                                                                     \
			ctype value = (ctype) lane->member[at[i]];                                        \
			statement;                                                                        \
		}                                                                                     \
	} while (0)

#define ACCUMULATE_ARGS                                                                        \
	const BsAggregate *aggregate, uint8_t *const *row_at, const BsLane *lane,                  \
		const uint8_t *filter, BsRows rows

static void
count_accumulate(ACCUMULATE_ARGS)
{
	bool sparse = filter != NULL || lane->has_nulls;

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint8_t *row = row_at[i];

		if (sparse && missing(lane, filter, rows.rows[i]))
			continue;
		*(uint64_t *) (row + aggregate->offset) += 1;
	}
}

static void
count_combine(const BsAggregate *aggregate, uint8_t *into, const uint8_t *from)
{
	*(uint64_t *) (into + aggregate->offset) += *(const uint64_t *) (from + aggregate->offset);
}

/* ---- sums ------------------------------------------------------------------------------------- */

/* The low 64 bits wrapped: the sum went past 2^63 upwards or downwards. */
static __attribute__((noinline, cold)) void
carry(const BsAggregate *aggregate, uint8_t *row, int64_t value)
{
	int32_t *count = (int32_t *) (row + aggregate->carry_offset);

	if (__builtin_add_overflow(*count, value < 0 ? -1 : 1, count))
		mark(aggregate, row, aggregate->overflow_mask);
}

static inline void
sum_int_add(const BsAggregate *aggregate, uint8_t *row, int64_t value)
{
	int64_t *state = (int64_t *) (row + aggregate->offset);

	if (__builtin_expect(__builtin_add_overflow(*state, value, state), 0))
		carry(aggregate, row, value);
}

/* All records into one row: a sum in a register, unless it might overflow there. */
static bool
sum_int_one_row(const BsAggregate *aggregate, uint8_t *row, const int64_t *values, BsRows rows)
{
	int64_t sum = 0;
	bool overflow = false;

	for (uint32_t i = 0; i < rows.nrows; i++)
		overflow |= __builtin_add_overflow(sum, values[rows.rows[i]], &sum);
	if (overflow)
		return false;
	sum_int_add(aggregate, row, sum);
	return true;
}

/* Where no value is missing the caller has set the rows' bits already (partial.c). */
static void
sum_int_accumulate(ACCUMULATE_ARGS)
{
	const uint16_t *at = rows.rows;
	const int64_t *values = lane->i64;

	if (filter == NULL && !lane->has_nulls)
	{
		if (aggregate->only_row && sum_int_one_row(aggregate, row_at[0], values, rows))
			return;
		for (uint32_t i = 0; i < rows.nrows; i++)
			sum_int_add(aggregate, row_at[i], values[at[i]]);
		return;
	}
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		if (missing(lane, filter, at[i]))
			continue;
		sum_int_add(aggregate, row_at[i], values[at[i]]);
		mark(aggregate, row_at[i], aggregate->seen_mask);
	}
}

static void
sum_int_combine(const BsAggregate *aggregate, uint8_t *into, const uint8_t *from)
{
	int64_t *state = (int64_t *) (into + aggregate->offset);
	int32_t *high = (int32_t *) (into + aggregate->carry_offset);
	int64_t value = *(const int64_t *) (from + aggregate->offset);

	if (__builtin_add_overflow(*state, value, state))
		carry(aggregate, into, value);
	if (__builtin_add_overflow(*high, *(const int32_t *) (from + aggregate->carry_offset), high))
		mark(aggregate, into, aggregate->overflow_mask);
}

/* As float4pl and float8pl: an infinite result of finite operands is an error. */
static inline void
add_float4(const BsAggregate *aggregate, uint8_t *row, double *state, double value)
{
	float sum = (float) *state + (float) value;

	if (isinf(sum) && !isinf(*state) && !isinf(value))
		mark(aggregate, row, aggregate->overflow_mask);
	*state = (double) sum;
}

static inline void
add_float8(const BsAggregate *aggregate, uint8_t *row, double *state, double value)
{
	double sum = *state + value;

	if (isinf(sum) && !isinf(*state) && !isinf(value))
		mark(aggregate, row, aggregate->overflow_mask);
	*state = sum;
}

/* The first value is the state, not added to 0: 0 + -0 would lose the sign. */
#define ADD_OR_SET(add)                                                                        \
	do                                                                                         \
	{                                                                                          \
		if (bs_state_has_value(aggregate, row))                                                \
			add(aggregate, row, state, value);                                                 \
		else                                                                                   \
			*state = value;                                                                    \
		mark(aggregate, row, aggregate->seen_mask);                                            \
	} while (0)

static void
sum_float4_accumulate(ACCUMULATE_ARGS)
{
	FOLD(double, f64, ADD_OR_SET(add_float4));
}

static void
sum_float8_accumulate(ACCUMULATE_ARGS)
{
	FOLD(double, f64, ADD_OR_SET(add_float8));
}

static void
sum_float4_combine(const BsAggregate *aggregate, uint8_t *row, const uint8_t *from)
{
	double *state = (double *) (row + aggregate->offset);
	double value = *(const double *) (from + aggregate->offset);

	if (bs_state_has_value(aggregate, from))
		ADD_OR_SET(add_float4);
}

static void
sum_float8_combine(const BsAggregate *aggregate, uint8_t *row, const uint8_t *from)
{
	double *state = (double *) (row + aggregate->offset);
	double value = *(const double *) (from + aggregate->offset);

	if (bs_state_has_value(aggregate, from))
		ADD_OR_SET(add_float8);
}

/*
 * Youngs and Cramer, "Some results relevant to choice of sum and sum-of-product algorithms" (1971):
 * what PostgreSQL keeps for avg, variance and stddev of floats, with its overflow rule.
 */
static inline void
accum_add(const BsAggregate *aggregate, uint8_t *row, BsAccum *state, double value)
{
	double old_sum = state->sum;

	state->n += 1.0;
	state->sum += value;
	if (state->n > 1.0)
	{
		double delta = value * state->n - state->sum;

		state->sxx += delta * delta / (state->n * (state->n - 1.0));
		if (isinf(state->sum) || isinf(state->sxx))
		{
			if (!isinf(old_sum) && !isinf(value))
				mark(aggregate, row, aggregate->overflow_mask);
			state->sxx = NAN;
		}
	}
	else if (isnan(value) || isinf(value))
		state->sxx = NAN;
	mark(aggregate, row, aggregate->seen_mask);
}

static void
accum_accumulate(ACCUMULATE_ARGS)
{
	bool sparse = filter != NULL || lane->has_nulls;

	for (uint32_t i = 0; i < rows.nrows; i++)
		if (!sparse || !missing(lane, filter, rows.rows[i]))
			accum_add(aggregate, row_at[i], (BsAccum *) (row_at[i] + aggregate->offset),
					  lane->f64[rows.rows[i]]);
}

static void
accum_combine(const BsAggregate *aggregate, uint8_t *into, const uint8_t *from)
{
	BsAccum *a = (BsAccum *) (into + aggregate->offset);
	const BsAccum *b = (const BsAccum *) (from + aggregate->offset);
	double difference;
	double sum;

	if (b->n == 0.0)
		return;
	if (a->n == 0.0)
	{
		*a = *b;
		return;
	}
	sum = a->sum + b->sum;
	if (isinf(sum) && !isinf(a->sum) && !isinf(b->sum))
		mark(aggregate, into, aggregate->overflow_mask);
	difference = a->sum / a->n - b->sum / b->n;
	a->sxx += b->sxx + a->n * b->n * difference * difference / (a->n + b->n);
	if (isinf(a->sxx) && !isinf(b->sxx))
		mark(aggregate, into, aggregate->overflow_mask);
	a->sum = sum;
	a->n += b->n;
}

/* ---- extremes --------------------------------------------------------------------------------- */

static inline int
word_compare(const int64_t *a, const int64_t *b)
{
	return (*a > *b) - (*a < *b);
}

static inline int
float_compare(const double *a, const double *b)
{
	return bs_float_compare(*a, *b);
}

/* sign 1 keeps the greater, -1 the lesser, 0 the first. */
#define KEEP(compare, sign)                                                                    \
	do                                                                                         \
	{                                                                                          \
		if (!bs_state_has_value(aggregate, row))                                               \
		{                                                                                      \
			*state = value;                                                                    \
			mark(aggregate, row, aggregate->seen_mask);                                        \
		}                                                                                      \
		else if ((sign) != 0 && (sign) * compare(&value, state) > 0)                           \
			*state = value;                                                                    \
	} while (0)

static inline __attribute__((always_inline)) void
keep_accumulate(ACCUMULATE_ARGS, int sign)
{
	switch (lane->type)
	{
		case BS_FLOAT4:
		case BS_FLOAT8:
			FOLD(double, f64, KEEP(float_compare, sign));
			break;
		case BS_INTERVAL:
			FOLD(BsInterval, interval, KEEP(bs_interval_compare, sign));
			break;
		case BS_INET:
			FOLD(BsInet, inet, KEEP(bs_inet_compare, sign));
			break;
		default:
			FOLD(int64_t, i64, KEEP(word_compare, sign));
			break;
	}
}

#define KEEP_STATE(ctype, compare)                                                             \
	do                                                                                         \
	{                                                                                          \
		ctype *state = (ctype *) (row + aggregate->offset);                                    \
		ctype value = *(const ctype *) (from + aggregate->offset);                             \
		KEEP(compare, sign);                                                                   \
	} while (0)

static inline __attribute__((always_inline)) void
keep_combine(const BsAggregate *aggregate, uint8_t *row, const uint8_t *from, int sign)
{
	if (!bs_state_has_value(aggregate, from))
		return;
	switch (aggregate->type)
	{
		case BS_FLOAT4:
		case BS_FLOAT8:
			KEEP_STATE(double, float_compare);
			break;
		case BS_INTERVAL:
			KEEP_STATE(BsInterval, bs_interval_compare);
			break;
		case BS_INET:
			KEEP_STATE(BsInet, bs_inet_compare);
			break;
		default:
			KEEP_STATE(int64_t, word_compare);
			break;
	}
}

#define KEEPING(name, sign)                                                                    \
	static void name##_accumulate(ACCUMULATE_ARGS)                                             \
	{                                                                                          \
		keep_accumulate(aggregate, row_at, lane, filter, rows, sign);                          \
	}                                                                                          \
	static void name##_combine(const BsAggregate *aggregate, uint8_t *into, const uint8_t *from) \
	{                                                                                          \
		keep_combine(aggregate, into, from, sign);                                             \
	}

KEEPING(min, -1)
KEEPING(max, 1)
KEEPING(any, 0)

/* ---- bits ------------------------------------------------------------------------------------- */

#define BITS(name, operator)                                                                   \
	static inline void name##_fold(const BsAggregate *aggregate, uint8_t *row, int64_t value)   \
	{                                                                                          \
		int64_t *state = (int64_t *) (row + aggregate->offset);                                \
		*state = bs_state_has_value(aggregate, row) ? (*state operator value) : value;         \
		mark(aggregate, row, aggregate->seen_mask);                                            \
	}                                                                                          \
	static void name##_accumulate(ACCUMULATE_ARGS)                                             \
	{                                                                                          \
		bool sparse = filter != NULL || lane->has_nulls;                                       \
		for (uint32_t i = 0; i < rows.nrows; i++)                                              \
			if (!sparse || !missing(lane, filter, rows.rows[i]))                               \
				name##_fold(aggregate, row_at[i], lane->i64[rows.rows[i]]);                    \
	}                                                                                          \
	static void name##_combine(const BsAggregate *aggregate, uint8_t *into, const uint8_t *from) \
	{                                                                                          \
		if (bs_state_has_value(aggregate, from))                                               \
			name##_fold(aggregate, into, *(const int64_t *) (from + aggregate->offset));       \
	}

BITS(bit_and, &)
BITS(bit_or, |)
BITS(bit_xor, ^)

/* ---- the table -------------------------------------------------------------------------------- */

enum
{
	TYPES_INT = 1 << 0,   /* int2, int4, int8 */
	TYPES_FLOAT = 1 << 1,
	TYPES_WORD = 1 << 2,  /* bool, timestamptz, macaddr */
	TYPES_WIDE = 1 << 3,  /* interval, inet */
	TYPES_BYTES = 1 << 4,
	TYPES_OPAQUE = 1 << 5, /* BS_WORD: has no order the engine knows */
	TYPES_ORDERED = TYPES_INT | TYPES_FLOAT | TYPES_WORD | TYPES_WIDE,
	TYPES_ALL = TYPES_ORDERED | TYPES_BYTES | TYPES_OPAQUE
};

typedef struct AggregateRow
{
	int types;
	uint32_t state_bytes; /* 0: the lane's width */
	void (*accumulate)(ACCUMULATE_ARGS);
	void (*combine)(const BsAggregate *aggregate, uint8_t *into, const uint8_t *from);
} AggregateRow;

static const AggregateRow aggregate_rows[BS_NAGGREGATES] = {
	[BS_AGG_COUNT] = {TYPES_ALL, 8, count_accumulate, count_combine},
	[BS_AGG_SUM_INT] = {TYPES_INT, 8, sum_int_accumulate, sum_int_combine},
	[BS_AGG_SUM_FLOAT4] = {TYPES_FLOAT, 8, sum_float4_accumulate, sum_float4_combine},
	[BS_AGG_SUM_FLOAT8] = {TYPES_FLOAT, 8, sum_float8_accumulate, sum_float8_combine},
	[BS_AGG_ACCUM_FLOAT] = {TYPES_FLOAT, sizeof(BsAccum), accum_accumulate, accum_combine},
	[BS_AGG_MIN] = {TYPES_ORDERED, 0, min_accumulate, min_combine},
	[BS_AGG_MAX] = {TYPES_ORDERED, 0, max_accumulate, max_combine},
	[BS_AGG_BIT_AND] = {TYPES_INT, 8, bit_and_accumulate, bit_and_combine},
	[BS_AGG_BIT_OR] = {TYPES_INT, 8, bit_or_accumulate, bit_or_combine},
	[BS_AGG_BIT_XOR] = {TYPES_INT, 8, bit_xor_accumulate, bit_xor_combine},
	[BS_AGG_ANY] = {TYPES_ALL, 0, any_accumulate, any_combine},
	[BS_AGG_FOREIGN] = {TYPES_ALL, sizeof(BsHandle), NULL, NULL},
};

static int
type_class(BsType type)
{
	switch (type)
	{
		case BS_INT2:
		case BS_INT4:
		case BS_INT8:
			return TYPES_INT;
		case BS_FLOAT4:
		case BS_FLOAT8:
			return TYPES_FLOAT;
		case BS_INTERVAL:
		case BS_INET:
			return TYPES_WIDE;
		case BS_BYTES:
			return TYPES_BYTES;
		case BS_WORD:
			return TYPES_OPAQUE;
		default:
			return TYPES_WORD;
	}
}

const char *
bs_aggregate_check(BsAggregateKind kind, BsType type)
{
	if (kind <= 0 || kind >= BS_NAGGREGATES)
		return "unknown aggregate";
	if ((aggregate_rows[kind].types & type_class(type)) == 0)
		return "aggregate does not take values of this type";
	return NULL;
}

uint32_t
bs_aggregate_state_bytes(BsAggregateKind kind, BsType type)
{
	uint32_t bytes = aggregate_rows[kind].state_bytes;

	return bytes != 0 ? bytes : (uint32_t) bs_type_lane_width(type);
}

void
bs_aggregate_accumulate(const BsAggregate *aggregate, uint8_t *const *row_at, const BsLane *lane,
						const uint8_t *filter, BsRows rows)
{
	aggregate_rows[aggregate->kind].accumulate(aggregate, row_at, lane, filter, rows);
}

void
bs_aggregate_combine(const BsAggregate *aggregate, uint8_t *into, const uint8_t *from)
{
	uint32_t overflow = *(const uint32_t *) (from + aggregate->flags_offset) & aggregate->overflow_mask;

	/* Combining looks at the bit of the row it adds to, so the overflow bit alone moves first. */
	mark(aggregate, into, overflow);
	aggregate_rows[aggregate->kind].combine(aggregate, into, from);
	if (bs_state_has_value(aggregate, from))
		mark(aggregate, into, aggregate->seen_mask);
}
