/* SPDX-License-Identifier: PostgreSQL */
/*
 * windowfuncs.c: hop(), spread() and portion() as functions over tables: what a continuous view must equal.
 *
 * In a continuous view hop() and spread() are the window and are never called.
 */
#include "backstream.h"

#include "executor/executor.h"
#include "funcapi.h"
#include "utils/timestamp.h"

#include "engine/spread.h"
#include "engine/window.h"
#include "windowfuncs.h"

BS_SQL_FUNCTION(bs_hop);
BS_SQL_FUNCTION(bs_sql_spread);
BS_SQL_FUNCTION(bs_sql_portion);
BS_SQL_FUNCTION(bs_sql_portion_of);

bool
bs_window_width(const Interval *interval, int64 *usec)
{
	int64 days_usec;

	return interval->month == 0 &&
		   !__builtin_mul_overflow((int64) interval->day, USECS_PER_DAY, &days_usec) &&
		   !__builtin_add_overflow(days_usec, interval->time, usec) && *usec > 0;
}

const char *
bs_hop_windowing(int64 slide_usec, int64 size_usec, BsWindowing *windowing)
{
	if (slide_usec > size_usec)
		return "windows of hop() cannot start less often than they end";
	*windowing = bs_windowing_of(slide_usec, size_usec, BS_WINDOW_ORIGIN);
	return NULL;
}

static int64
width_argument(Interval *interval)
{
	int64 usec;

	if (!bs_window_width(interval, &usec))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the width of a window must be of fixed length and more than zero"),
						errhint("Use days, hours, minutes or seconds, such as '5 min'.")));
	return usec;
}

/* The windows that a time is left to be shown of. */
typedef struct Hops
{
	BsWindowing windowing;
	int64 next;
	int64 last;
} Hops;

static Hops *
hops_begin(FunctionCallInfo fcinfo)
{
	TimestampTz time = PG_GETARG_TIMESTAMPTZ(0);
	Hops *hops = palloc0(sizeof(Hops));
	const char *problem = bs_hop_windowing(width_argument(PG_GETARG_INTERVAL_P(1)),
										   width_argument(PG_GETARG_INTERVAL_P(2)), &hops->windowing);

	if (problem != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", problem),
						errhint(BS_HOP_HINT)));
	/* An infinite time is in no window. */
	hops->last = TIMESTAMP_NOT_FINITE(time) ? PG_INT64_MIN : bs_window_start(&hops->windowing, time);
	hops->next = TIMESTAMP_NOT_FINITE(time) ? PG_INT64_MAX : bs_window_first_after(&hops->windowing, time);
	return hops;
}

/* hop(t timestamptz, slide interval, size interval) returns setof timestamptz, ascending. */
Datum
bs_hop(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	Hops *hops;
	int64 window;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext outer;

		context = SRF_FIRSTCALL_INIT();
		outer = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		context->user_fctx = hops_begin(fcinfo);
		MemoryContextSwitchTo(outer);
	}
	context = SRF_PERCALL_SETUP();
	hops = context->user_fctx;
	window = hops->next;
	if (window > hops->last)
		SRF_RETURN_DONE(context);
	if (!IS_VALID_TIMESTAMP(window))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	hops->next = bs_window_next(&hops->windowing, window);
	SRF_RETURN_NEXT(context, TimestampTzGetDatum(window));
}

/* ---------- spread() and portion() ---------- */

static BsSlices *
slices_begin(FunctionCallInfo fcinfo)
{
	TimestampTz start = PG_GETARG_TIMESTAMPTZ(0);
	TimestampTz end = PG_GETARG_TIMESTAMPTZ(1);
	int64 width = width_argument(PG_GETARG_INTERVAL_P(2));
	BsWindowing windowing = bs_windowing_tumble(width, BS_WINDOW_ORIGIN);
	BsSlices *slices = palloc0(sizeof(BsSlices));

	if (width > BS_MAX_SPREAD_USEC)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the width of a window is out of range")));
	/* What has not both times is in no window. */
	if (TIMESTAMP_NOT_FINITE(start) || TIMESTAMP_NOT_FINITE(end))
		*slices = (BsSlices){.next = 1, .last = 0};
	else
		*slices = bs_slices_of(&windowing, start, end, bs_max_flow_usec());
	return slices;
}

/* spread(start timestamptz, end timestamptz, width interval) returns setof slice, ascending. */
Datum
bs_sql_spread(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	BsSlice slice;
	Datum values[BS_SLICE_COLUMNS];
	bool nulls[BS_SLICE_COLUMNS] = {false};

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext outer;
		TupleDesc desc;

		context = SRF_FIRSTCALL_INIT();
		outer = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		context->user_fctx = slices_begin(fcinfo);
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "spread() does not return a row");
		context->tuple_desc = BlessTupleDesc(desc);
		MemoryContextSwitchTo(outer);
	}
	context = SRF_PERCALL_SETUP();
	if (!bs_slices_next(context->user_fctx, &slice))
		SRF_RETURN_DONE(context);
	values[0] = TimestampTzGetDatum(slice.time);
	values[1] = Int64GetDatum(slice.before);
	values[2] = Int64GetDatum(slice.until);
	values[3] = Int64GetDatum(slice.total);
	SRF_RETURN_NEXT(context,
					HeapTupleGetDatum(heap_form_tuple(context->tuple_desc, values, nulls)));
}

static Datum
portion_checked(int64 value, int64 before, int64 until, int64 total)
{
	if (before < 0 || until < before || total < until)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("this is not a part of a flow that spread() makes")));
	return Int64GetDatum(bs_portion(value, before, until, total));
}

/* portion(value bigint, s slice) */
Datum
bs_sql_portion(PG_FUNCTION_ARGS)
{
	HeapTupleHeader slice = PG_GETARG_HEAPTUPLEHEADER(1);
	int64 parts[3];

	for (int i = 0; i < 3; i++)
	{
		bool isnull;

		parts[i] = DatumGetInt64(GetAttributeByNum(slice, (AttrNumber) (i + 2), &isnull));
		if (isnull)
			PG_RETURN_NULL();
	}
	return portion_checked(PG_GETARG_INT64(0), parts[0], parts[1], parts[2]);
}

/* portion(value, before_usec, until_usec, total_usec bigint) */
Datum
bs_sql_portion_of(PG_FUNCTION_ARGS)
{
	return portion_checked(PG_GETARG_INT64(0), PG_GETARG_INT64(1), PG_GETARG_INT64(2),
						   PG_GETARG_INT64(3));
}
