/* SPDX-License-Identifier: PostgreSQL */
/*
 * delta.c: what one transaction adds to the continuous views.  See delta.h.
 *
 * Each view gets a partial in private memory; at the commit it is merged into the one in shared memory
 * that all inserting backends share.  Merging cannot fail: what finds no room is counted as overflowed.
 * All records of the transaction are added to a view under one lock, before they move its watermark.
 * Views with the same panes (active.h) have one partial together.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "active.h"
#include "backstream.h"
#include "checkpoint.h"
#include "delta.h"
#include "tails.h"

typedef struct Delta
{
	BsActiveView *view;
	BsArena *arena; /* private; NULL: nothing has been added */
	BsPartial partial;
	struct Delta *of; /* the leader's, which is this view's too; NULL: its own */
	bool followed;    /* others publish this partial, too: it takes all records, also when its view is suspended meanwhile */
	uint64 skipped; /* records that came while the view was suspended */
	char error[BS_ERROR_TEXT]; /* of the last record that failed; empty: none */
	struct Delta *next;
} Delta;

static Delta *deltas;
static bool begun;
static bool refreshed;
static bool *wanted_columns;

/*
 * Views are counted in one database; in another one (restored there, or renamed under) the records would
 * go nowhere.
 */
static void
check_database(void)
{
	char *name = get_database_name(MyDatabaseId);

	if (name != NULL && strcmp(name, bs_setting_database) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("streams take no records in database \"%s\"", name),
				 errdetail("Continuous views are counted in database \"%s\".", bs_setting_database),
				 errhint("Set backstream.database and restart the server, or insert there.")));
}

TimestampTz
bs_delta_begin(void)
{
	if (!bs_registry_ready())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("streams take no records on this server"),
						errhint("Add backstream to shared_preload_libraries and restart the server.")));
	check_database();
	bs_restart_require();
	begun = true;
	/* Announced before the clock is read: whoever closes windows has seen the one or passed the other. */
	bs_backend_begin_apply(GetCurrentTimestamp());
	return GetCurrentTimestamp();
}

const bool *
bs_delta_wanted(Oid stream, int ncolumns)
{
	bool any;

	/* Once per transaction: deltas refer to the list of views. */
	if (!refreshed)
		bs_active_refresh(BS_REFRESH_COMMIT);
	refreshed = true;
	bs_tails_refresh(false);
	if (wanted_columns != NULL)
		pfree(wanted_columns);
	wanted_columns = MemoryContextAllocZero(TopMemoryContext, ncolumns + 1);
	any = bs_active_wanted(stream, wanted_columns);
	any |= bs_tails_wanted(stream, wanted_columns);
	return any ? wanted_columns : NULL;
}

static Delta *
find_delta(const BsActiveView *view)
{
	Delta *delta = deltas;

	while (delta != NULL && delta->view != view)
		delta = delta->next;
	return delta;
}

/*
 * At the first records of the transaction the leader has got them already, if it counts.  (States of PostgreSQL's
 * functions are combined view by view: each has its own.)
 */
static void
follow(Delta *delta)
{
	Delta *leader = delta->view->leader != NULL ? find_delta(delta->view->leader) : NULL;

	if (leader == NULL || leader->arena == NULL || !bs_view_counts(delta->view->shared) || delta->view->compiled->nforeign > 0)
		return;
	delta->of = leader;
	leader->followed = true;
}

static Delta *
delta_of(BsActiveView *view)
{
	Delta *delta = find_delta(view);

	if (delta != NULL)
		return delta;
	delta = MemoryContextAllocZero(TopMemoryContext, sizeof(Delta));
	delta->view = view;
	delta->next = deltas;
	deltas = delta;
	follow(delta);
	return delta;
}

static void
delta_prepare(Delta *delta)
{
	size_t bytes = bs_arena_size_for((size_t) bs_setting_memory_mb * 1024 * 1024);
	BsActiveView *view = delta->view;

	if (delta->arena != NULL)
		return;
	/* Only what is used of it is ever touched. */
	delta->arena = bs_arena_create(bytes);
	if (delta->arena == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("Failed to reserve %zu bytes for the groups of a transaction.", bytes)));
	bs_partial_init(&delta->partial, &view->compiled->program, view->shared->timing.max_groups);
	bs_timing_bound_private(&view->shared->timing, &delta->partial);
}

void
bs_delta_add(Oid stream, BsBatch *batch)
{
	bs_active_begin(stream, batch, false);
	for (BsActiveView *view = bs_active_first(stream); view != NULL; view = bs_active_next(view))
	{
		Delta *delta = delta_of(view);
		const char *error = NULL;
		const char *reason;

		if (delta->of != NULL)
			continue;
		if (!delta->followed && !bs_view_counts(view->shared))
		{
			delta->skipped += batch->nrows;
			continue;
		}
		delta_prepare(delta);
		bs_active_add(view, batch, &delta->partial, delta->arena, NULL, &error);
		if (error != NULL)
			strlcpy(delta->error, error, sizeof(delta->error));
		reason = bs_computed_suspended(view->compiled->computed);
		if (reason != NULL)
			bs_view_suspend(view->shared, BS_SUSPENDED_CODE, reason);
	}
	bs_active_end(stream);
	bs_tails_keep(stream, batch);
}

/* The highest time among a transaction's records. */
static int64
highest_time(const Delta *delta)
{
	BsWaiting for_all = bs_waiting_for_all();
	BsProgress progress;

	bs_progress_begin(&progress);
	bs_partial_progress(&delta->partial, delta->arena, &for_all, &progress);
	return progress.highest;
}

static void
publish(const Delta *delta)
{
	BsActiveView *view = delta->view;
	const BsProgram *program = &view->compiled->program;
	BsSharedPartial *shared = &view->shared->partials[bs_backend_writer()];
	bool mine;

	if (delta->skipped > 0)
		pg_atomic_fetch_add_u64(&view->shared->skipped, delta->skipped);
	if (delta->of != NULL)
		delta = delta->of;
	if (delta->arena == NULL)
		return;
	if (view->shared->timing.clock == BS_CLOCK_DATA)
		bs_view_note_time(view->shared, highest_time(delta));
	bs_partial_lock_write(shared);
	mine = shared->partial.fingerprint == program->fingerprint;
	if (mine)
		bs_partial_merge(&shared->partial, bs_shared_arena(), program, view->writer, &delta->partial,
						 delta->arena, bs_view_steady_now(view->shared));
	bs_partial_unlock(shared);
	/* The definition was replaced when this had been evaluated already: windows close by the new one. */
	if (mine && pg_atomic_read_u32(&view->shared->replaced) != 0)
		bs_registry_tell_successor(view->shared, program->fingerprint, &delta->partial, delta->arena,
								   highest_time(delta));
	if (mine && delta->error[0] != '\0')
		bs_view_report_error(view->shared, delta->error);
}

static void
forget(void)
{
	bs_active_end_tidying();
	bs_tails_discard();
	while (deltas != NULL)
	{
		Delta *delta = deltas;

		deltas = delta->next;
		if (delta->arena != NULL)
			bs_arena_free_private(delta->arena);
		pfree(delta);
	}
	if (wanted_columns != NULL)
		pfree(wanted_columns);
	wanted_columns = NULL;
	if (begun)
		bs_backend_end_apply();
	begun = false;
	refreshed = false;
}

void
bs_delta_publish(void)
{
	if (refreshed)
		bs_active_settle_levels();
	for (Delta *delta = deltas; delta != NULL; delta = delta->next)
		if (bs_active_settle(delta->view))
			publish(delta);
	bs_tails_publish();
	for (Delta *delta = deltas; delta != NULL; delta = delta->next)
		if (delta->view->pending == NULL)
			bs_view_advance(delta->view->shared);
	forget();
}

void
bs_delta_discard(void)
{
	forget();
}
