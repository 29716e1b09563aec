/* SPDX-License-Identifier: PostgreSQL */
/*
 * slotwait.c: when a definition that waits beside the one that is shown has counted a whole window.  See
 * registry.h and decisions/0006-replace.md.
 */
#include "backstream.h"

#include "registry.h"

static void
add_progress(BsSharedView *view, BsProgress *progress)
{
	BsWaiting for_all = bs_waiting_for_all();

	for (int w = 0; w < bs_nwriters(); w++)
	{
		bs_partial_lock_read(&view->partials[w]);
		bs_partial_progress(&view->partials[w].partial, bs_shared_arena(), &for_all, progress);
		bs_partial_unlock(&view->partials[w]);
	}
}

/*
 * The highest time of which some record may have come before everybody had taken the waiting definition up;
 * BS_TIME_INFINITY: not known yet.  Over the same time column of the same stream the current one has seen it,
 * over another it is taken to be the present, or, by the data's clock, what comes first.
 */
static int64
highest_before(BsSharedView *current, BsSharedView *waiting)
{
	bool data = waiting->timing.clock == BS_CLOCK_DATA;
	BsProgress progress;

	bs_progress_begin(&progress);
	add_progress(waiting, &progress);
	if (waiting->timing.arrival && !data)
		return GetCurrentTimestamp();
	if (current->timing.windowed && current->clock_of == waiting->clock_of)
		for (BsSharedView *part = current; part != NULL; part = bs_registry_predecessor(part))
			add_progress(part, &progress);
	else if (!data)
		progress.highest = Max(progress.highest, GetCurrentTimestamp());
	return progress.any || !data ? Max(progress.highest, BS_TIME_NEG_INFINITY + 1) : BS_TIME_INFINITY;
}

/* Over a view: the windows below that are still there come all, the first of them perhaps in part. */
static int64
first_pane(BsSharedView *view)
{
	int64 first = BS_TIME_INFINITY;

	for (int w = 0; w < bs_nwriters(); w++)
	{
		const BsPartial *partial = &view->partials[w].partial;

		bs_partial_lock_read(&view->partials[w]);
		if (partial->npanes > 0)
			first = Min(first, bs_partial_pane_at(partial, bs_shared_arena(), 0)->start);
		bs_partial_unlock(&view->partials[w]);
	}
	return first;
}

/* Find its first full window, once that can be known; again when it was suspended meanwhile. */
static void
find_full_from(BsSharedView *current, BsSharedView *waiting)
{
	int64 before;

	if (!bs_view_counts(waiting))
	{
		pg_atomic_write_u64(&waiting->full_from, (uint64) BS_TIME_INFINITY);
		return;
	}
	if ((int64) pg_atomic_read_u64(&waiting->full_from) != BS_TIME_INFINITY)
		return;
	before = OidIsValid(waiting->timing.lower) ? first_pane(waiting) : highest_before(current, waiting);
	if (before == BS_TIME_INFINITY)
		return;
	if (before > BS_TIME_NEG_INFINITY + 1)
		before = bs_window_next(&waiting->timing.windowing,
								bs_window_start(&waiting->timing.windowing, before));
	pg_atomic_write_u64(&waiting->full_from, (uint64) before);
}

static bool
chain_is_empty(BsSharedView *view)
{
	for (; view != NULL; view = bs_registry_predecessor(view))
		if (!bs_registry_is_empty(view))
			return false;
	return true;
}

/* Views over the current one have read all that it has closed, and that goes on without a gap. */
static bool
uppers_are_fed(BsSharedView *current, BsSharedView *waiting, int64 full_from)
{
	int64 closed_before = (int64) pg_atomic_read_u64(&current->closed_before);

	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		BsSharedView *upper = bs_registry_slot(i);

		if (!OidIsValid(upper->relid) || upper->role == BS_SLOT_PREDECESSOR ||
			upper->timing.lower != current->relid)
			continue;
		if ((current->clock_of == waiting->clock_of && closed_before < full_from) ||
			(int64) pg_atomic_read_u64(&upper->fed_before) < closed_before)
			return false;
	}
	return true;
}

bool
bs_registry_waiting_ready(int i, Oid *relid)
{
	BsSharedView *waiting = bs_registry_slot(i);
	BsSharedView *current = NULL;
	bool ready = false;

	bs_registry_lock_shared();
	*relid = waiting->relid;
	if (OidIsValid(waiting->relid) && waiting->role == BS_SLOT_WAITING)
		current = bs_registry_slot_of(waiting->relid);
	if (current != NULL && bs_registry_taken_up(waiting->generation, waiting->since))
	{
		int64 full_from;

		find_full_from(current, waiting);
		full_from = (int64) pg_atomic_read_u64(&waiting->full_from);
		ready = chain_is_empty(current) ||
				(full_from != BS_TIME_INFINITY &&
				 (int64) pg_atomic_read_u64(&waiting->closed_before) > full_from &&
				 !(full_from == BS_TIME_NEG_INFINITY + 1 && bs_registry_is_empty(waiting)) &&
				 uppers_are_fed(current, waiting, full_from));
	}
	bs_registry_unlock();
	return ready;
}

void
bs_registry_drop_parts_of_windows(Oid relid)
{
	BsSharedView *waiting;

	bs_registry_lock_shared();
	waiting = bs_registry_waiting_of(relid);
	if (waiting != NULL)
	{
		int64 full_from = (int64) pg_atomic_read_u64(&waiting->full_from);
		bool any = full_from != BS_TIME_INFINITY &&
				   (int64) pg_atomic_read_u64(&waiting->closed_before) > full_from;

		for (int w = 0; any && w < bs_nwriters(); w++)
		{
			BsSharedPartial *partial = &waiting->partials[w];

			bs_partial_lock_write(partial);
			bs_partial_drop(&partial->partial, bs_shared_arena(), full_from);
			bs_partial_unlock(partial);
		}
	}
	bs_registry_unlock();
}
