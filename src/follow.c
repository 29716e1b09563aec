/* SPDX-License-Identifier: PostgreSQL */
/* follow.c: the windows of a view as they close.  See follow.h. */
#include "backstream.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "follow.h"
#include "listening.h"
#include "noderead.h"

/* A view that nobody has taken up yet has nothing to wait at. */
#define LOOK_MSEC 20
/* Otherwise one is woken; this is for what cannot happen. */
#define MAX_WAIT_MSEC 1000
/* Nodes are asked: a twentieth of a window's width after the last time, ... */
#define MIN_NODES_MSEC 100
#define MAX_NODES_MSEC 1000

BS_SQL_FUNCTION(bs_following);

/* following(time, since): the mark that backstream.tail() leaves for the planner of scans. */
Datum
bs_following(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("backstream.following() is a part of backstream.tail()"),
					errhint("SELECT * FROM backstream.tail(NULL::name_of_the_view).")));
	PG_RETURN_NULL();
}

static BsSharedView *
view_of(const BsFollow *follow)
{
	return bs_registry_find_any(follow->reader->def->relid);
}

/* Of nodes, as of the last time that they were asked for windows. */
static int64
closed_before(const BsFollow *follow)
{
	BsSharedView *view;

	if (follow->reader->def->on_nodes)
		return follow->reader->nodes != NULL ? follow->reader->nodes->closed_before
											 : BS_TIME_NEG_INFINITY;
	view = view_of(follow);
	return view != NULL ? (int64) pg_atomic_read_u64(&view->closed_before) : BS_TIME_NEG_INFINITY;
}

/*
 * Nodes to which nothing comes close nothing, or by the clock of who sent last: they are told how far the others are.  What
 * they have closed then is seen at the next look.
 */
static void
take_idle_along(const BsNodeReading *nodes)
{
	if (nodes != NULL)
		(void) bs_node_reading_advance(nodes);
}

/* What has closed by now.  Nodes that are idle have yet to close what the others have, which is no news. */
static int64
closed_by_now(const BsFollow *follow)
{
	const BsNodeReading *nodes = follow->reader->nodes;

	if (!follow->reader->def->on_nodes || nodes == NULL || nodes->common == NULL)
		return closed_before(follow);
	return Max(nodes->closed_before, nodes->common->closed_before);
}

void
bs_follow_start(BsFollow *follow, BsReader *reader, const TimestampTz *since, const EState *estate)
{
	follow->reader = reader;
	if (since == NULL && reader->def->on_nodes)
	{
		int nwindows;

		(void) bs_reader_windows(reader, &nwindows);
	}
	if (since == NULL)
		follow->position = closed_by_now(follow);
	else
		follow->position = TIMESTAMP_NOT_FINITE(*since) ? *since : *since + 1;
	follow->reads_no_table =
		bs_listening_reads_no_table(estate, bs_listening_harmless(reader->def->relid));
	follow->until = DT_NOEND;
	if (bs_setting_listen_for_msec > 0)
		follow->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), bs_setting_listen_for_msec);
}

void
bs_follow_lost(const BsFollow *follow, int64 before)
{
	ereport(NOTICE, (errmsg("windows of continuous view \"%s\" up to the one of %s were dropped before they could be read",
							follow->reader->def->name, timestamptz_to_str(before)),
					 errhint("Let the view retain windows for longer.")));
}

/* The last window that nobody can read any more, as far as that is known; BS_TIME_NEG_INFINITY: there is none. */
static int64
last_dropped(const BsFollow *follow)
{
	const BsNodeReading *nodes = follow->reader->nodes;

	if (!follow->reader->def->on_nodes)
		return bs_view_last_dropped(follow->reader->def->relid);
	if (nodes == NULL || nodes->dropped_before == BS_TIME_NEG_INFINITY)
		return BS_TIME_NEG_INFINITY;
	return nodes->dropped_before - 1;
}

/* Those that are closed and have not been given. */
static BsWindowInfo *
new_windows(BsFollow *follow, int *nwindows)
{
	int64 closed = closed_before(follow);
	int64 dropped = last_dropped(follow);
	int nall;
	BsWindowInfo *windows;

	if (follow->reader->nodes != NULL)
		follow->reader->nodes->from = follow->position;
	windows = bs_reader_windows(follow->reader, &nall);
	if (follow->reader->def->on_nodes)
	{
		closed = closed_before(follow);
		dropped = last_dropped(follow);
		take_idle_along(follow->reader->nodes);
	}
	*nwindows = 0;
	for (int i = 0; i < nall; i++)
		if (windows[i].closed && windows[i].window >= follow->position && windows[i].window < closed)
			windows[(*nwindows)++] = windows[i];
	if (dropped != BS_TIME_NEG_INFINITY && dropped >= follow->position)
		bs_follow_lost(follow, dropped);
	follow->position = Max(follow->position, closed);
	return windows;
}

static long
remaining_msec(const BsFollow *follow)
{
	if (follow->until == DT_NOEND)
		return MAX_WAIT_MSEC;
	return Min(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), follow->until), MAX_WAIT_MSEC);
}

/* How long nobody is asked again whose windows nobody here sees closing. */
static long
look_msec(const BsFollow *follow)
{
	const BsWindowing *windowing = &follow->reader->view->program.windowing;

	if (!follow->reader->def->on_nodes)
		return LOOK_MSEC;
	return Min(Max(windowing->slide_usec / 20000, MIN_NODES_MSEC), MAX_NODES_MSEC);
}

/* Until a window closes, or for a while; serves interrupts. */
static void
wait_for_window(BsFollow *follow)
{
	BsSharedView *view = follow->reader->def->on_nodes ? NULL : view_of(follow);
	long msec = remaining_msec(follow);

	if (view == NULL)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(msec, look_msec(follow)), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		return;
	}
	ConditionVariablePrepareToSleep(&view->window_closed);
	while (closed_before(follow) <= follow->position &&
		   !ConditionVariableTimedSleep(&view->window_closed, msec, PG_WAIT_EXTENSION))
		;
	ConditionVariableCancelSleep();
}

BsWindowInfo *
bs_follow_windows(BsFollow *follow, int *nwindows)
{
	for (;;)
	{
		BsWindowInfo *windows = new_windows(follow, nwindows);

		if (*nwindows > 0 || remaining_msec(follow) == 0)
			return windows;
		if (windows != NULL)
			pfree(windows);
		bs_listening_pause(follow->reads_no_table);
		wait_for_window(follow);
	}
}
