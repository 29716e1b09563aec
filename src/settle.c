/* SPDX-License-Identifier: PostgreSQL */
/*
 * settle.c: backstream.settle(): waiting until views over views have everything that closed so far.
 *
 * Nothing needs this but who wants to see the answer to what he has just inserted: tests, replays of
 * captures.
 */
#include "backstream.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "levels.h"
#include "nodelevels.h"
#include "outputs.h"
#include "worker.h"

#define LOOK_MSEC 2

BS_SQL_FUNCTION(bs_settle);

/* A round of the fetcher that is asked for now, where it may have anything to do; 0: it has not. */
static uint64
ask_for_round(void)
{
	uint64 round;

	if (!bs_nodelevels_any() &&
		(pg_atomic_read_u32(&bs_shared_fetcher()->pid) == 0 ||
		 pg_atomic_read_u64(&bs_shared_fetcher()->generation) >= bs_registry_generation()))
		return 0;
	round = pg_atomic_add_fetch_u64(&bs_shared_fetching()->rounds_wanted, 1);
	bs_fetcher_wake();
	return round;
}

/* Has the fetcher been through this round, and what closed on all nodes before?  Else perhaps another is asked for. */
static bool
is_fetched(uint64 *round)
{
	BsSharedFetching *fetching = bs_shared_fetching();

	if (*round == 0)
		return (*round = ask_for_round()) == 0;
	if (pg_atomic_read_u64(&fetching->rounds_done) < *round)
		return false;
	pg_memory_barrier();
	if (pg_atomic_read_u32(&fetching->behind) == 0)
		return true;
	*round = ask_for_round();
	return false;
}

static bool
is_settled(uint64 generation)
{
	BsSharedWorker *keeper = bs_shared_keeper();

	/* Below comes before busy: see bs_levels_turn(). */
	if (pg_atomic_read_u32(&keeper->pid) == 0 ||
		pg_atomic_read_u64(&keeper->generation) < generation || bs_levels_pending() ||
		bs_outputs_pending())
		return false;
	pg_memory_barrier();
	return pg_atomic_read_u32(&keeper->busy) == 0;
}

/* settle(timeout interval) returns whether it was so in time. */
Datum
bs_settle(PG_FUNCTION_ARGS)
{
	Interval *timeout = PG_GETARG_INTERVAL_P(0);
	TimestampTz until = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
							IntervalPGetDatum(timeout)));
	uint64 generation;
	uint64 round;

	if (!bs_registry_ready())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("nothing is counted on a server in recovery")));
	generation = bs_registry_generation();
	bs_keeper_wake();
	round = ask_for_round();
	while (!is_fetched(&round) || !is_settled(generation))
	{
		CHECK_FOR_INTERRUPTS();
		bs_workers_remind();
		if (GetCurrentTimestamp() >= until)
			PG_RETURN_BOOL(false);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_MSEC,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	PG_RETURN_BOOL(true);
}
