/* SPDX-License-Identifier: PostgreSQL */
/*
 * nativetime.c: times in the engine's operations: bins of fixed width, and what is added to a time.  See
 * nativetime.h and native.h.
 *
 * An interval is native when it lasts the same at every time: months never do, days in UTC alone.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "datatype/timestamp.h"
#include "nodes/nodeFuncs.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "native.h"
#include "nativetime.h"

/* 2000-01-03 00:00 UTC, a Monday, in PostgreSQL's epoch. */
#define MONDAY_USEC (2 * USECS_PER_DAY)

bool
bs_timezone_is_utc(const char *name)
{
	static const char *const names[] = {"UTC",       "Etc/UTC",       "GMT",       "Etc/GMT",
										"UCT",       "Etc/UCT",       "Zulu",      "Etc/Zulu",
										"Universal", "Etc/Universal", "Greenwich", "Etc/Greenwich",
										"GMT0",      "GMT+0",         "GMT-0"};

	for (size_t i = 0; name != NULL && i < lengthof(names); i++)
		if (pg_strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

Const *
bs_native_const(Node *node)
{
	return node != NULL && IsA(node, Const) && !((Const *) node)->constisnull ? (Const *) node
																			  : NULL;
}

/* ---------- bins ---------- */

/* Microseconds of an interval that always lasts the same; false for months, and days unless told.
 */
static bool
interval_usec(const Interval *interval, bool days_are_fixed, int64 *usec)
{
	int64 days_usec;

	if (interval->month != 0 || (interval->day != 0 && !days_are_fixed))
		return false;
	return !pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &days_usec) &&
		   !pg_add_s64_overflow(days_usec, interval->time, usec);
}

static BsExpr *
plan_bins(BsNative *native, Expr *time, int64 width_usec, int64 origin)
{
	BsExpr *arg = bs_native_plan(native, time);
	BsExpr *plan = bs_native_plan_op(BS_OP_TIME_BIN, BS_TIMESTAMPTZ, 1, &arg);

	plan->width_usec = width_usec;
	plan->origin = origin;
	return plan;
}

/* The three ways to say bins of fixed width over a time: which argument, how wide, starting where.
 */
typedef struct Bins
{
	Expr *time;
	int64 width_usec;
	int64 origin;
} Bins;

/* date_bin(width, time, origin); tumble(time, width) arrives here inlined. */
static bool
bins_of_date_bin(List *args, Bins *bins)
{
	Const *width = bs_native_const(linitial(args));
	Const *origin = bs_native_const(lthird(args));

	if (width == NULL || origin == NULL ||
		!interval_usec(DatumGetIntervalP(width->constvalue), true, &bins->width_usec) ||
		bins->width_usec <= 0)
		return false;
	bins->origin = DatumGetTimestampTz(origin->constvalue);
	bins->time = lsecond(args);
	return !TIMESTAMP_NOT_FINITE(bins->origin);
}

static int64
unit_usec(int unit, bool utc)
{
	switch (unit)
	{
		case DTK_MILLISEC:
			return INT64CONST(1000);
		case DTK_SECOND:
			return USECS_PER_SEC;
		case DTK_MINUTE:
			return USECS_PER_MINUTE;
		case DTK_HOUR:
			return utc ? USECS_PER_HOUR : 0;
		case DTK_DAY:
			return utc ? USECS_PER_DAY : 0;
		case DTK_WEEK:
			return utc ? 7 * USECS_PER_DAY : 0;
		default:
			return 0;
	}
}

/* date_trunc(unit, time [, zone]).  Hours of some zones do not start with those of UTC. */
static bool
bins_of_date_trunc(const BsNative *native, List *args, Bins *bins)
{
	Const *unit_name = bs_native_const(linitial(args));
	bool utc = native->utc;
	text *name;
	char *lowered;
	int type;
	int unit;

	if (unit_name == NULL)
		return false;
	if (list_length(args) == 3)
	{
		Const *zone = bs_native_const(lthird(args));

		if (zone == NULL)
			return false;
		utc = bs_timezone_is_utc(TextDatumGetCString(zone->constvalue));
	}
	name = DatumGetTextPP(unit_name->constvalue);
	lowered = downcase_truncate_identifier(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), false);
	type = DecodeUnits(0, lowered, &unit);
	if (type != UNITS)
		return false;
	bins->width_usec = unit_usec(unit, utc);
	bins->origin = unit == DTK_WEEK ? MONDAY_USEC : 0;
	bins->time = lsecond(args);
	return bins->width_usec > 0;
}

BsExpr *
bs_native_time_bin(BsNative *native, const BsNativeCall *call)
{
	Bins bins;

	if (!bins_of_date_bin(call->args, &bins))
		return NULL;
	return plan_bins(native, bins.time, bins.width_usec, bins.origin);
}

BsExpr *
bs_native_time_trunc(BsNative *native, const BsNativeCall *call)
{
	Bins bins;

	if (!bins_of_date_trunc(native, call->args, &bins))
		return NULL;
	return plan_bins(native, bins.time, bins.width_usec, bins.origin);
}

static BsExpr *
plan_time_shift(BsNative *native, const BsNativeCall *call, bool back)
{
	Const *shift = bs_native_const(lsecond(call->args));
	int64 usec;
	BsExpr *arg;
	BsExpr *plan;

	/* A day is not always 24 hours in other zones than UTC. */
	if (shift == NULL || !interval_usec(DatumGetIntervalP(shift->constvalue), native->utc, &usec) ||
		usec == PG_INT64_MIN)
		return NULL;
	arg = bs_native_plan(native, linitial(call->args));
	plan = bs_native_plan_op(BS_OP_TIME_ADD_USEC, BS_TIMESTAMPTZ, 1, &arg);
	plan->width_usec = back ? -usec : usec;
	return plan;
}

BsExpr *
bs_native_time_plus(BsNative *native, const BsNativeCall *call)
{
	return plan_time_shift(native, call, false);
}

BsExpr *
bs_native_time_minus(BsNative *native, const BsNativeCall *call)
{
	return plan_time_shift(native, call, true);
}

/* ---------- windows ---------- */

bool
bs_native_window(const BsNative *native, Expr *expr, BsWindowForm *form)
{
	FuncExpr *call = (FuncExpr *) expr;
	const char *name = IsA(expr, FuncExpr) ? bs_builtin_name(call->funcid) : NULL;
	Bins bins;
	bool found;

	if (name == NULL)
		return false;
	if (strcmp(name, "timestamptz_bin") == 0)
		found = bins_of_date_bin(call->args, &bins);
	else if (strcmp(name, "timestamptz_trunc") == 0 || strcmp(name, "timestamptz_trunc_zone") == 0)
		found = bins_of_date_trunc(native, call->args, &bins);
	else
		return false;
	if (!found || !IsA(bins.time, Var) || ((Var *) bins.time)->vartype != TIMESTAMPTZOID)
		return false;
	form->time = (Var *) bins.time;
	form->windowing = bs_windowing_tumble(bins.width_usec, bins.origin);
	return true;
}
