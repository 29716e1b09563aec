/* SPDX-License-Identifier: PostgreSQL */
/*
 * feedup.c: closed windows of a view into a view over it.  See levels.h.
 *
 * The rows are made with the rights of the lower view's owner (ownerrows.h).  A row whose expressions fail
 * is a record in error of the upper view.
 */
#include "backstream.h"

#include "utils/memutils.h"

#include "engine/writer.h"
#include "lanes.h"
#include "levels.h"
#include "ownerrows.h"

/* All rows of a view are one source of time. */
#define SOURCE 1
/* A batch of wide values need not be larger than this. */
#define MAX_BATCH_BYTES ((Size) 4 * 1024 * 1024)

/* ---------- opening ---------- */

static void
free_batch(void *arg)
{
	bs_batch_free(arg);
}

static void
free_arena(void *arg)
{
	BsLevelFeed *feed = arg;

	if (feed->arena != NULL)
		bs_arena_free_private(feed->arena);
	feed->arena = NULL;
}

static void
on_release(MemoryContext context, MemoryContextCallbackFunction function, void *arg)
{
	MemoryContextCallback *callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));

	callback->func = function;
	callback->arg = arg;
	MemoryContextRegisterResetCallback(context, callback);
}

static void
make_batch(BsLevelFeed *feed)
{
	TupleDesc desc = RelationGetDescr(feed->rows->relation);
	BsType *types = palloc(sizeof(BsType) * (Size) Max(desc->natts, 1));

	for (int i = 0; i < desc->natts; i++)
		types[i] = bs_type_of(TupleDescAttr(desc, i)->atttypid);
	feed->batch =
		bs_batch_create(types, (uint32_t) desc->natts, feed->view->compiled->wanted, BS_BATCH_ROWS);
	if (feed->batch == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	on_release(feed->context, free_batch, feed->batch);
	feed->keep = AllocSetContextCreate(feed->context, "backstream batch", ALLOCSET_DEFAULT_SIZES);
}

/* Only the columns that the upper view looks at are computed. */
static Bitmapset *
needed_columns(const BsActiveView *view)
{
	Bitmapset *needed = bms_make_singleton(0);

	for (int i = 0; i < view->compiled->ncolumns; i++)
		if (view->compiled->wanted[i])
			needed = bms_add_member(needed, i + 1);
	return needed;
}

void
bs_level_close(BsLevelFeed *feed)
{
	bs_owner_rows_close(feed->rows);
	MemoryContextDelete(feed->context);
}

BsLevelFeed *
bs_level_open(BsActiveView *view)
{
	MemoryContext context;
	MemoryContext outer;
	BsLevelFeed *feed;
	BsOwnerRows *rows =
		bs_owner_rows_open(view->stream, needed_columns(view), CurrentMemoryContext);

	if (rows == NULL)
		return NULL;
	if (rows->reader->shape->fingerprint != view->compiled->lower_fingerprint)
	{
		bs_owner_rows_close(rows);
		return NULL;
	}
	context =
		AllocSetContextCreate(CurrentMemoryContext, "backstream level", ALLOCSET_DEFAULT_SIZES);
	outer = MemoryContextSwitchTo(context);
	feed = palloc0(sizeof(BsLevelFeed));
	feed->view = view;
	feed->rows = rows;
	feed->context = context;
	on_release(context, free_arena, feed);
	make_batch(feed);
	MemoryContextSwitchTo(outer);
	return feed;
}

/* ---------- rows ---------- */

/* BsTakeRow: into the batch, until that is full. */
static bool
put_row(void *context, TupleTableSlot *slot)
{
	BsLevelFeed *feed = context;
	TupleDesc desc = RelationGetDescr(feed->rows->relation);
	BsBatch *batch = feed->batch;
	uint32 row = batch->nrows;

	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
		if (bs_lane_wanted(&batch->columns[i]))
			bs_lane_put(&batch->columns[i], row, TupleDescAttr(desc, i)->atttypid,
						slot->tts_values[i], slot->tts_isnull[i], feed->keep);
	batch->nrows++;
	bs_batch_add_run(batch, row, 1, SOURCE);
	return batch->nrows < batch->capacity &&
		   MemoryContextMemAllocated(feed->keep, true) < MAX_BATCH_BYTES;
}

/* The next batch of rows; false when the lower view's expressions took too long. */
static bool
next_batch(BsLevelFeed *feed)
{
	MemoryContext outer = MemoryContextSwitchTo(feed->keep);
	bool made = bs_owner_rows_next(feed->rows, put_row, feed);

	MemoryContextSwitchTo(outer);
	if (!made)
		bs_view_suspend(feed->view->shared, BS_SUSPENDED_CODE, feed->rows->error);
	else if (feed->rows->error != NULL)
		feed->error = feed->rows->error;
	return made;
}

bool
bs_level_rows(BsLevelFeed *feed)
{
	BsActiveView *view = feed->view;

	while (!feed->rows->exhausted)
	{
		if (!next_batch(feed))
			return false;
		if (feed->batch->nrows > 0)
			bs_active_add(view, feed->batch, &feed->partial, feed->arena, NULL, &feed->error);
		if (bs_computed_suspended(view->compiled->computed) != NULL)
		{
			bs_view_suspend(view->shared, BS_SUSPENDED_CODE,
							bs_computed_suspended(view->compiled->computed));
			return false;
		}
		bs_batch_reset(feed->batch);
		MemoryContextReset(feed->keep);
		bs_levels_breathe();
	}
	return true;
}

/* ---------- windows ---------- */

void
bs_level_begin(BsLevelFeed *feed)
{
	BsActiveView *view = feed->view;

	feed->arena = bs_arena_create(bs_arena_size_for((size_t) bs_setting_memory_mb * 1024 * 1024));
	if (feed->arena == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	bs_partial_init(&feed->partial, &view->compiled->program, view->shared->timing.max_groups);
	bs_timing_bound_private(&view->shared->timing, &feed->partial);
	feed->error = NULL;
	feed->nodes_expected = 0;
	feed->nodes_missing = 0;
	bs_batch_reset(feed->batch);
	MemoryContextReset(feed->keep);
}

/*
 * Each pane that the window came into is of so many nodes; where some are missing, that must be seen also when no
 * row of the others is counted.
 */
static void
note_nodes(BsLevelFeed *feed)
{
	const BsProgram *program = &feed->view->compiled->program;

	if (feed->nodes_missing > 0 && program->windowed)
		(void) bs_partial_make_pane(&feed->partial, feed->arena,
									bs_window_start(&program->windowing, feed->window));
	for (uint32 i = 0; i < feed->partial.npanes; i++)
		bs_pane_note_nodes(bs_partial_pane_at(&feed->partial, feed->arena, i), feed->nodes_expected,
						   feed->nodes_missing);
	if (feed->nodes_missing > 0)
		pg_atomic_fetch_add_u64(&feed->view->shared->windows_incomplete, 1);
}

bool
bs_progress_lock(BsSharedView *view, uint64 fingerprint, bool fetched)
{
	BsSharedPartial *shared = &view->partials[bs_keeper_writer()];

	if (fetched)
		LWLockAcquire(&bs_shared_fetching()->publish_lock, LW_EXCLUSIVE);
	bs_partial_lock_write(shared);
	if (shared->partial.fingerprint != fingerprint || pg_atomic_read_u32(&view->replaced) != 0)
		return false;
	Assert(bs_timing_is_fetched(&view->timing) == fetched);
	return true;
}

void
bs_progress_unlock(BsSharedView *view, bool fetched)
{
	bs_partial_unlock(&view->partials[bs_keeper_writer()]);
	if (fetched)
		LWLockRelease(&bs_shared_fetching()->publish_lock);
}

void
bs_level_publish(BsLevelFeed *feed, int64 fed_before)
{
	BsActiveView *view = feed->view;
	const BsProgram *program = &view->compiled->program;
	BsSharedPartial *shared = &view->shared->partials[bs_keeper_writer()];
	bool fetched = feed->nodes_expected > 0;
	bool mine;

	feed->partial.received += feed->rows->nfailed;
	feed->partial.errors += feed->rows->nfailed;
	mine = bs_progress_lock(view->shared, program->fingerprint, fetched);
	if (mine)
	{
		note_nodes(feed);
		bs_partial_merge(&shared->partial, bs_shared_arena(), program, view->writer, &feed->partial,
						 feed->arena, bs_view_steady_now(view->shared));
		pg_atomic_write_u64(&view->shared->fed_before, (uint64) fed_before);
	}
	bs_progress_unlock(view->shared, fetched);
	if (mine && feed->error != NULL)
		bs_view_report_error(view->shared, feed->error);
	bs_view_advance(view->shared);
}

void
bs_level_end(BsLevelFeed *feed)
{
	free_arena(feed);
}

/* False when the view has been suspended meanwhile. */
static bool
feed_window(BsLevelFeed *feed, int64 window)
{
	bool whole;

	bs_level_begin(feed);
	bs_owner_rows_load(feed->rows, window);
	whole = bs_level_rows(feed);
	if (whole)
		bs_level_publish(feed, bs_window_next(&feed->rows->reader->view->program.windowing, window));
	bs_level_end(feed);
	return whole;
}

void
bs_feed_pass(BsSharedView *view, uint64 fingerprint, BsPassed passed)
{
	if (bs_progress_lock(view, fingerprint, passed.on_nodes))
	{
		pg_atomic_fetch_add_u64(&view->windows_missed, passed.nmissed);
		pg_atomic_fetch_add_u64(&view->windows_incomplete, passed.nincomplete);
		if (passed.before > (int64) pg_atomic_read_u64(&view->fed_before))
			pg_atomic_write_u64(&view->fed_before, (uint64) passed.before);
	}
	bs_progress_unlock(view, passed.on_nodes);
	bs_view_advance(view);
}

typedef enum Outcome
{
	FED_ALL,
	FED_SOME, /* time is over */
	FED_NOT   /* the lower view is locked */
} Outcome;

/* Read one window, or pass over it when the view is suspended or becomes so. */
static Outcome
feed_or_pass(BsActiveView *view, BsLevelFeed **feed, int64 window, TimestampTz deadline)
{
	if (bs_view_counts(view->shared))
	{
		if (GetCurrentTimestamp() >= deadline)
			return FED_SOME;
		if (*feed == NULL)
			*feed = bs_level_open(view);
		if (*feed == NULL)
			return FED_NOT;
		if (feed_window(*feed, window))
			return FED_ALL;
	}
	bs_feed_pass(view->shared, view->compiled->program.fingerprint,
				 (BsPassed){.before = window + 1, .nmissed = 1});
	return FED_ALL;
}

static Outcome
feed_windows(BsActiveView *view, const BsWindowInfo *windows, int nwindows, TimestampTz deadline)
{
	BsLevelFeed *feed = NULL;
	Outcome outcome = FED_ALL;

	for (int i = 0; i < nwindows && outcome == FED_ALL; i++)
	{
		int64 fed_before = (int64) pg_atomic_read_u64(&view->shared->fed_before);

		if (windows[i].window >= fed_before)
			outcome = feed_or_pass(view, &feed, windows[i].window, deadline);
		bs_levels_breathe();
	}
	if (feed != NULL)
		bs_level_close(feed);
	return outcome;
}

bool
bs_feed_up(BsActiveView *view, TimestampTz deadline)
{
	uint64 fingerprint = view->compiled->lower_fingerprint;
	BsSharedView *lower = bs_registry_find(view->stream, fingerprint);
	BsWindowInfo *windows;
	Outcome outcome;
	int nwindows;
	int64 closed_before;

	if (lower == NULL ||
		bs_registry_find(view->relid, view->compiled->program.fingerprint) != view->shared)
		return false;
	/* Read before the list is made: what closes meanwhile is left for the next time. */
	closed_before = (int64) pg_atomic_read_u64(&lower->closed_before);
	windows = bs_view_windows(view->stream, fingerprint, NULL, &nwindows);
	while (nwindows > 0 && windows[nwindows - 1].window >= closed_before)
		nwindows--;
	outcome = feed_windows(view, windows, nwindows, deadline);
	if (outcome == FED_ALL)
		bs_feed_pass(view->shared, view->compiled->program.fingerprint, (BsPassed){.before = closed_before});
	bs_view_release(lower);
	return outcome != FED_NOT;
}
