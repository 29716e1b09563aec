/* SPDX-License-Identifier: PostgreSQL */
/*
 * advance.c: moving a view's watermark, closing and dropping windows.  See registry.h.
 *
 * The front is the lowest time of the view's sources (exporters) that are alive and not too far behind the
 * clock; when none is, the clock moves it on by as much as has passed since they were heard.  It never goes
 * back.  Less lateness it is the watermark.  Windows that end at or before that are closed: first in every
 * partial, under its lock, so that no writer adds to them any more; then they are published as closed.  Over a
 * view the watermark is how far the keeper has fed it.
 *
 * Windows that are past retention go, unless a view over this one has not read them yet, or an output has not
 * handed them on: these are kept until the keeper has fed it, or has given up waiting (levels.h, outputs.h).
 */
#include "registry.h"

#include "backstream.h"
#include "rolling.h"
#include "utils/timestamp.h"

int64
bs_view_now(BsSharedView *view)
{
	if (view->timing.clock == BS_CLOCK_DATA)
		return (int64) pg_atomic_read_u64(&view->data_now);
	return GetCurrentTimestamp();
}

int64
bs_view_steady_now(BsSharedView *view)
{
	return view->timing.clock == BS_CLOCK_DATA ? bs_view_now(view) : bs_steady_now();
}

int64
bs_view_future_limit(BsSharedView *view)
{
	if (view->timing.clock == BS_CLOCK_DATA || !view->timing.windowed ||
		bs_timing_is_fed(&view->timing))
		return BS_TIME_INFINITY;
	return GetCurrentTimestamp() + view->timing.max_future_usec;
}

/* Whom the view's windows wait for, as of now. */
BsWaiting
bs_view_waiting(BsSharedView *view)
{
	return (BsWaiting){.now = bs_view_steady_now(view),
					   .clock = bs_view_now(view),
					   .idle_usec = view->timing.idle_usec,
					   .behind_usec = view->timing.max_behind_usec};
}

/* How far its sources have come. */
static BsProgress
progress_of(BsSharedView *view)
{
	BsWaiting waiting = bs_view_waiting(view);
	BsProgress progress;

	bs_progress_begin(&progress);
	for (int w = 0; w < bs_nwriters(); w++)
	{
		bs_partial_lock_read(&view->partials[w]);
		bs_partial_progress(&view->partials[w].partial, bs_shared_arena(), &waiting, &progress);
		bs_partial_unlock(&view->partials[w]);
	}
	return progress;
}

/* The time that all sources that are waited for have reached. */
static int64
event_front(BsSharedView *view)
{
	BsProgress progress = progress_of(view);

	return bs_progress_front(&progress);
}

/* A commit that waits for a lock holds nothing for longer than an exporter would. */
static int64
arrival_front(const BsViewTiming *timing)
{
	return Max(bs_applied_until(), bs_time_minus(GetCurrentTimestamp(), timing->max_behind_usec));
}

/* How far a view has been fed: of one that nodes keep these are its own windows, which overlap where they hop. */
static int64
fed_front(BsSharedView *view)
{
	int64 fed_before = (int64) pg_atomic_read_u64(&view->fed_before);

	if (view->timing.feeding == BS_FEED_NODES)
		return bs_panes_closed_before(&view->timing.windowing, fed_before);
	return fed_before;
}

int64
bs_view_watermark(BsSharedView *view)
{
	int64 front = (int64) pg_atomic_read_u64(&view->front);

	if (!view->timing.windowed || view->timing.rolling || front == BS_TIME_NEG_INFINITY)
		return BS_TIME_NEG_INFINITY;
	return bs_timing_is_fed(&view->timing) ? front
										   : bs_time_minus(front, view->timing.lateness_usec);
}

/* What outputs have not handed on is needed too. */
static bool
needed_outside(BsSharedView *view, int64 *first)
{
	bool any = false;

	for (int i = 0; i < BS_NOUTPUTS; i++)
	{
		int64 done_before;

		if (!bs_view_has_output(view, i))
			continue;
		any = true;
		done_before = (int64) pg_atomic_read_u64(&view->outputs[i].done_before);
		*first = Min(*first, done_before);
	}
	return any;
}

/*
 * The first window that a view over this one has not read, or an output of it not handed on; false: there is
 * neither.  The registry lock is held.
 */
static bool
needed_still(BsSharedView *view, int64 *first)
{
	bool any = false;

	*first = BS_TIME_INFINITY;
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		BsSharedView *upper = bs_registry_slot(i);
		int64 fed_before;

		/* Who reads a view that nodes keep asks these. */
		if (!OidIsValid(upper->relid) || upper->role == BS_SLOT_PREDECESSOR ||
			upper->timing.lower != view->relid || upper->timing.feeding != BS_FEED_LEVEL)
			continue;
		any = true;
		fed_before = (int64) pg_atomic_read_u64(&upper->fed_before);
		*first = Min(*first, fed_before);
	}
	return needed_outside(view, first) || any;
}

/* Panes that start before these. */
static void
close_and_drop_slot(BsSharedView *view, int64 closed_before, int64 drop_before)
{
	for (int w = 0; w < bs_nwriters(); w++)
	{
		BsSharedPartial *partial = &view->partials[w];

		bs_partial_lock_write(partial);
		bs_partial_close(&partial->partial, closed_before);
		bs_partial_drop(&partial->partial, bs_shared_arena(), drop_before);
		bs_partial_unlock(partial);
	}
}

/* What the view goes on from is closed and dropped with it.  The registry lock is held. */
static void
close_and_drop(BsSharedView *view, const BsViewTiming *timing, int64 closed_before)
{
	const BsWindowing *windowing = &timing->windowing;
	int64 drop_before = bs_time_minus(closed_before, timing->retain_usec);
	int64 needed;

	if (needed_still(view, &needed))
		drop_before = Min(drop_before, needed);
	for (BsSharedView *part = view; part != NULL; part = bs_registry_predecessor(part))
		close_and_drop_slot(part, bs_timing_panes_closed_before(timing, closed_before),
							bs_window_from(windowing, drop_before));
}

/* Nothing of a rolling view closes: what is older than its window goes. */
static void
advance_rolling(BsSharedView *view)
{
	int64 now = bs_view_now(view);
	int64 first;

	if (now == BS_TIME_NEG_INFINITY)
		return;
	first = bs_rolling_start(&view->timing.windowing, now);
	if (first <= (int64) pg_atomic_read_u64(&view->closed_before))
		return;
	for (BsSharedView *part = view; part != NULL; part = bs_registry_predecessor(part))
		close_and_drop_slot(part, first, first);
	pg_atomic_write_u64(&view->closed_before, (uint64) first);
}

/* Its sources have come that far.  The registry lock and the view's advance lock are held. */
static void
move_front(BsSharedView *view, int64 front)
{
	int64 closed_before;
	int64 needed;

	if (front > (int64) pg_atomic_read_u64(&view->front))
		pg_atomic_write_u64(&view->front, (uint64) front);
	closed_before = bs_window_first_after(&view->timing.windowing, bs_view_watermark(view));
	if (closed_before <= (int64) pg_atomic_read_u64(&view->closed_before))
		return;
	close_and_drop(view, &view->timing, closed_before);
	pg_atomic_write_u64(&view->closed_before, (uint64) closed_before);
	ConditionVariableBroadcast(&view->window_closed);
	if (needed_still(view, &needed))
		bs_keeper_wake();
	if (bs_view_has_output(view, BS_OUTPUT_ARCHIVE))
		bs_archiver_wake();
}

/* The registry lock is held: the slot stays this view's. */
static void
advance_locked(BsSharedView *view)
{
	const BsViewTiming *timing = &view->timing;
	int64 front;

	if (timing->rolling)
	{
		advance_rolling(view);
		return;
	}
	if (bs_timing_is_fed(timing))
		front = fed_front(view);
	else if (timing->arrival && timing->clock == BS_CLOCK_WALL)
		front = arrival_front(timing);
	else
		front = event_front(view);
	if (front != BS_TIME_NEG_INFINITY)
		move_front(view, front);
}

void
bs_view_advance(BsSharedView *view)
{
	bs_registry_lock_shared();
	/* Its windows are its successor's. */
	if (OidIsValid(view->relid) && view->role == BS_SLOT_PREDECESSOR)
		view = bs_registry_slot_of(view->relid);
	if (OidIsValid(view->relid) && view->timing.windowed)
	{
		LWLockAcquire(&view->advance_lock, LW_EXCLUSIVE);
		advance_locked(view);
		LWLockRelease(&view->advance_lock);
	}
	bs_registry_unlock();
}

bool
bs_view_is_idle(BsSharedView *view)
{
	const BsViewTiming *timing = &view->timing;
	TimestampTz since = Max(view->since, PgStartTime);

	if (!timing->windowed || timing->rolling || timing->arrival || timing->clock != BS_CLOCK_WALL ||
		bs_timing_is_fed(timing) || timing->idle_usec >= GetCurrentTimestamp() - since)
		return false;
	return !progress_of(view).any_alive;
}

void
bs_view_advance_idle(Oid relid, uint64 fingerprint, int64 watermark)
{
	BsSharedView *view;

	bs_registry_lock_shared();
	view = bs_registry_slot_of(relid);
	if (view != NULL && view->fingerprint == fingerprint)
	{
		LWLockAcquire(&view->advance_lock, LW_EXCLUSIVE);
		if (bs_view_is_idle(view))
			move_front(view, Min(bs_time_plus(watermark, view->timing.lateness_usec), GetCurrentTimestamp()));
		LWLockRelease(&view->advance_lock);
	}
	bs_registry_unlock();
}

void
bs_views_advance(void)
{
	for (int i = 0; i < bs_registry_nslots(); i++)
		if (bs_registry_slot(i)->role != BS_SLOT_PREDECESSOR)
			bs_view_advance(bs_registry_slot(i));
}

void
bs_view_release(BsSharedView *view)
{
	bs_registry_lock_shared();
	if (OidIsValid(view->relid) && view->timing.windowed)
	{
		LWLockAcquire(&view->advance_lock, LW_EXCLUSIVE);
		close_and_drop(view, &view->timing, (int64) pg_atomic_read_u64(&view->closed_before));
		LWLockRelease(&view->advance_lock);
	}
	bs_registry_unlock();
}
