/* SPDX-License-Identifier: PostgreSQL */
/*
 * approxpercentile.c: approx_percentile(), a DDSketch of values that are not NULL.  See sketches.h.
 *
 * The state is NULL before the first record.  Serialised:
 *
 *     | 1 | flags: 1 the fraction is NULL | fraction, f64 | packed form of the sketch (sketch_dd.h)
 * |
 */
#include "backstream.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/numeric.h"

#include "engine/sketch_dd.h"
#include "sketches.h"

BS_SQL_FUNCTION(bs_approx_percentile_float8);
BS_SQL_FUNCTION(bs_approx_percentile_bigint);
BS_SQL_FUNCTION(bs_approx_percentile_numeric);
BS_SQL_FUNCTION(bs_approx_percentile_combine);
BS_SQL_FUNCTION(bs_approx_percentile_serialize);
BS_SQL_FUNCTION(bs_approx_percentile_deserialize);
BS_SQL_FUNCTION(bs_approx_percentile_final);

#define VERSION       1
#define FRACTION_NULL 1
#define HEADER_BYTES  10

typedef struct State
{
	bool fraction_null;
	double fraction; /* 0 where NULL */
	BsDd *dd;
} State;

void
bs_approx_check_fraction(double fraction)
{
	if (fraction < 0 || fraction > 1 || isnan(fraction))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("percentile value %g is not between 0 and 1", fraction)));
}

static State *
make_state(MemoryContext context, bool fraction_null, double fraction)
{
	State *state = MemoryContextAlloc(context, sizeof(State));

	state->fraction_null = fraction_null;
	state->fraction = fraction;
	state->dd = bs_dd_create(bs_sketch_memory(context));
	bs_sketch_check(state->dd == NULL ? BS_SKETCH_NO_MEMORY : BS_SKETCH_OK);
	return state;
}

static void
check_same_fraction(const State *state, bool fraction_null, double fraction)
{
	if (state->fraction_null != fraction_null || state->fraction != fraction)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("percentile value must be the same for all records of a group")));
}

/* The state, with the fraction of this record looked at. */
static State *
state_for(FunctionCallInfo fcinfo)
{
	MemoryContext context = bs_sketch_context(fcinfo);
	bool fraction_null = PG_ARGISNULL(1);
	double fraction = fraction_null ? 0 : PG_GETARG_FLOAT8(1);
	State *state;

	if (PG_ARGISNULL(0))
	{
		bs_approx_check_fraction(fraction);
		return make_state(context, fraction_null, fraction);
	}
	state = (State *) PG_GETARG_POINTER(0);
	check_same_fraction(state, fraction_null, fraction);
	return state;
}

/* (internal, float8, float8) -> internal; likewise for bigint and numeric */
Datum
bs_approx_percentile_float8(PG_FUNCTION_ARGS)
{
	State *state = state_for(fcinfo);

	if (!PG_ARGISNULL(2))
		bs_sketch_check(bs_dd_add(state->dd, PG_GETARG_FLOAT8(2)));
	PG_RETURN_POINTER(state);
}

Datum
bs_approx_percentile_bigint(PG_FUNCTION_ARGS)
{
	State *state = state_for(fcinfo);

	if (!PG_ARGISNULL(2))
		bs_sketch_check(bs_dd_add(state->dd, (double) PG_GETARG_INT64(2)));
	PG_RETURN_POINTER(state);
}

Datum
bs_approx_percentile_numeric(PG_FUNCTION_ARGS)
{
	State *state = state_for(fcinfo);

	if (!PG_ARGISNULL(2))
	{
		double value =
			DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, PG_GETARG_DATUM(2)));

		if (isinf(value) && !numeric_is_inf(PG_GETARG_NUMERIC(2)))
			float_overflow_error();
		bs_sketch_check(bs_dd_add(state->dd, value));
	}
	PG_RETURN_POINTER(state);
}

/* (internal, internal) -> internal */
Datum
bs_approx_percentile_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = bs_sketch_context(fcinfo);
	const State *other;
	State *state;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	other = (State *) PG_GETARG_POINTER(1);
	state = PG_ARGISNULL(0) ? make_state(context, other->fraction_null, other->fraction)
							: (State *) PG_GETARG_POINTER(0);
	check_same_fraction(state, other->fraction_null, other->fraction);
	bs_sketch_check(bs_dd_merge(state->dd, other->dd));
	PG_RETURN_POINTER(state);
}

/* (internal) -> bytea */
Datum
bs_approx_percentile_serialize(PG_FUNCTION_ARGS)
{
	const State *state = (State *) PG_GETARG_POINTER(0);
	bytea *result = palloc(VARHDRSZ + HEADER_BYTES + bs_dd_packed_bound(state->dd));
	uint8_t *out = (uint8_t *) VARDATA(result);
	uint64 fraction;

	memcpy(&fraction, &state->fraction, sizeof(fraction));
	out = bs_bytes_put_word(out, VERSION, 1);
	out = bs_bytes_put_word(out, state->fraction_null ? FRACTION_NULL : 0, 1);
	out = bs_bytes_put_word(out, fraction, 8);
	out += bs_dd_pack(state->dd, out);
	SET_VARSIZE(result, out - (uint8_t *) result);
	PG_RETURN_BYTEA_P(result);
}

/* (bytea, internal) -> internal */
Datum
bs_approx_percentile_deserialize(PG_FUNCTION_ARGS)
{
	bytea *packed = PG_GETARG_BYTEA_PP(0);
	BsCursor cursor = {.at = (const uint8_t *) VARDATA_ANY(packed),
							 .left_bytes = VARSIZE_ANY_EXHDR(packed)};
	uint64 version = bs_cursor_get_word(&cursor, 1);
	uint64 flags = bs_cursor_get_word(&cursor, 1);
	uint64 fraction = bs_cursor_get_word(&cursor, 8);
	State *state = palloc0(sizeof(State));

	if (cursor.bad || version != VERSION || flags > FRACTION_NULL)
		bs_sketch_check(BS_SKETCH_CORRUPT);
	state->fraction_null = flags == FRACTION_NULL;
	memcpy(&state->fraction, &fraction, sizeof(fraction));
	if (!(state->fraction >= 0 && state->fraction <= 1))
		bs_sketch_check(BS_SKETCH_CORRUPT);
	bs_sketch_check(bs_dd_unpack(bs_sketch_memory(CurrentMemoryContext), cursor.at,
								 cursor.left_bytes, &state->dd));
	PG_RETURN_POINTER(state);
}

/* (internal) -> float8 */
Datum
bs_approx_percentile_final(PG_FUNCTION_ARGS)
{
	const State *state = PG_ARGISNULL(0) ? NULL : (State *) PG_GETARG_POINTER(0);

	if (state == NULL || state->fraction_null || bs_dd_count(state->dd) == 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(bs_dd_quantile(state->dd, state->fraction));
}
