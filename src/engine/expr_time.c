/* SPDX-License-Identifier: PostgreSQL */
/* expr_time.c: timestamps and intervals, with the range checks of PostgreSQL 15.  See expr.h. */
#include "expr_internal.h"

#define USEC_PER_DAY INT64_C(86400000000)
/* The stamps that PostgreSQL accepts: 4714-11-24 BC to the end of 294276. */
#define TIME_MIN INT64_C(-211813488000000000)
#define TIME_END INT64_C(9223371331200000000)

static inline bool
is_infinite(int64_t time)
{
	return time == BS_TIME_NEG_INFINITY || time == BS_TIME_INFINITY;
}

static inline bool
is_valid(int64_t time)
{
	return time >= TIME_MIN && time < TIME_END;
}

/* Intervals compare by their span, with days of 24 hours and months of 30 days. */
static __int128
interval_span(const BsInterval *interval)
{
	int64_t days = (int64_t) interval->months * 30 + interval->days;

	return (__int128) days * USEC_PER_DAY + interval->usec;
}

int
bs_interval_compare(const BsInterval *a, const BsInterval *b)
{
	__int128 span_a = interval_span(a);
	__int128 span_b = interval_span(b);

	return (span_a > span_b) - (span_a < span_b);
}

/* Start of the bin, as date_bin does it: only a bin that starts before the first stamp can fail. */
static inline BsError
time_bin(int64_t time, int64_t width, int64_t origin, int64_t *start)
{
	int64_t since;
	int64_t rest;

	if (is_infinite(time))
	{
		*start = time;
		return BS_ERROR_NONE;
	}
	if (__builtin_sub_overflow(time, origin, &since))
		return BS_ERROR_INTERVAL_RANGE;
	rest = since % width;
	*start = time - rest;
	if (rest >= 0)
		return BS_ERROR_NONE;
	if (__builtin_sub_overflow(*start, width, start) || !is_valid(*start))
		return BS_ERROR_TIMESTAMP_RANGE;
	return BS_ERROR_NONE;
}

const BsLane *
bs_eval_time_bin(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);

	BS_EACH_ROW_ONCE(rows, row, {
		BsError error = time_bin(a->i64[row], expr->width_usec, expr->origin, &result->i64[row]);

		if (__builtin_expect(error != BS_ERROR_NONE, 0))
			bs_error_raise(eval, a, a, row, error);
	});
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

/*
 * PostgreSQL 15 does not check the difference for overflow but lets it wrap (stamps more than
 * 292,000 years apart), and then splits off whole days.
 */
const BsLane *
bs_eval_time_sub_time(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *b = bs_evaluate(expr->args[1], eval, rows);
	BsLane *result = bs_result_begin(expr);

	BS_EACH_ROW_ONCE(rows, row, {
		int64_t usec = (int64_t) ((uint64_t) a->i64[row] - (uint64_t) b->i64[row]);

		if (__builtin_expect(is_infinite(a->i64[row]) || is_infinite(b->i64[row]), 0))
			bs_error_raise(eval, a, b, row, BS_ERROR_INFINITE_TIME);
		result->interval[row] =
			(BsInterval){.usec = usec % USEC_PER_DAY, .days = (int32_t) (usec / USEC_PER_DAY)};
	});
	bs_result_merge_nulls(expr, rows, a, b);
	return result;
}

const BsLane *
bs_eval_time_add_usec(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	BsLane *result = bs_result_begin(expr);
	int64_t usec = expr->width_usec;

	BS_EACH_ROW_ONCE(rows, row, {
		int64_t time = a->i64[row];

		if (is_infinite(time))
			result->i64[row] = time;
		else if (__builtin_add_overflow(time, usec, &result->i64[row]) ||
				 !is_valid(result->i64[row]))
			bs_error_raise(eval, a, a, row, BS_ERROR_TIMESTAMP_RANGE);
	});
	bs_result_merge_nulls(expr, rows, a, a);
	return result;
}

/* sum = a + b by fields; true when one of them is out of range. */
static inline bool
interval_add(const BsInterval *a, const BsInterval *b, BsInterval *sum)
{
	bool bad = __builtin_add_overflow(a->usec, b->usec, &sum->usec);

	bad |= __builtin_add_overflow(a->days, b->days, &sum->days);
	bad |= __builtin_add_overflow(a->months, b->months, &sum->months);
	return bad;
}

static inline bool
interval_sub(const BsInterval *a, const BsInterval *b, BsInterval *difference)
{
	bool bad = __builtin_sub_overflow(a->usec, b->usec, &difference->usec);

	bad |= __builtin_sub_overflow(a->days, b->days, &difference->days);
	bad |= __builtin_sub_overflow(a->months, b->months, &difference->months);
	return bad;
}

const BsLane *
bs_eval_interval(BsExpr *expr, BsEval *eval, BsRows rows)
{
	static const BsInterval zero = {0};
	bool negate = expr->op == BS_OP_INTERVAL_NEG;
	const BsLane *a = bs_evaluate(expr->args[0], eval, rows);
	const BsLane *b = negate ? a : bs_evaluate(expr->args[1], eval, rows);
	BsLane *result = bs_result_begin(expr);

	BS_EACH_ROW_ONCE(rows, row, {
		const BsInterval *left = negate ? &zero : &a->interval[row];
		const BsInterval *right = &b->interval[row];
		BsInterval *out = &result->interval[row];
		bool bad = expr->op == BS_OP_INTERVAL_ADD ? interval_add(left, right, out)
												  : interval_sub(left, right, out);

		if (__builtin_expect(bad, 0))
			bs_error_raise(eval, a, b, row, BS_ERROR_INTERVAL_RANGE);
	});
	bs_result_merge_nulls(expr, rows, a, b);
	return result;
}
