/* SPDX-License-Identifier: PostgreSQL */
/*
 * windowfuncs.c: hop() as a function over tables: what a continuous view must equal.
 *
 * In a continuous view it is the window and is never called.
 */
#include "backstream.h"

#include "funcapi.h"
#include "utils/timestamp.h"

#include "engine/window.h"
#include "windowfuncs.h"

BS_SQL_FUNCTION(bs_hop);

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
