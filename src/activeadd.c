/* SPDX-License-Identifier: PostgreSQL */
/*
 * activeadd.c: a batch of records into the partials of views.  See active.h.
 *
 * Everything that may fail or take time comes first: filters, keys, arguments, computed columns and
 * foreign aggregates.  Then the partial's lock is taken, once, for adding what came of it.
 */
#include "active.h"
#include "prefix.h"
#include "windowfuncs.h"

#include "utils/memutils.h"

/* One foreign aggregate's work over a batch. */
typedef struct ForeignWork
{
	BsActiveView *view;
	MemoryContext context; /* of the states made */
	bool failed;           /* a record got an error */
} ForeignWork;

typedef struct StateOfRow
{
	BsHandle *state;
	uint16 row;
} StateOfRow;

static int
by_state(const void *a, const void *b)
{
	const StateOfRow *x = a;
	const StateOfRow *y = b;

	if (x->state != y->state)
		return x->state < y->state ? -1 : 1;
	return (x->row > y->row) - (x->row < y->row);
}

/* Keep what the records of one group came to in the scratch table. */
static void
keep_state(ForeignWork *work, BsArena *arena, BsTable *table, BsHandle *state, BsRows rows,
		   BsBytes bytes)
{
	uint8_t *errors = work->view->compiled->program.evaluated->error_codes;

	for (uint32_t i = 0; i < rows.nrows; i++)
		work->failed |= errors[rows.rows[i]] != BS_ERROR_NONE;
	if (bytes.len > 0 && !bs_handle_replace(arena, table, state, bytes.data, bytes.len))
	{
		for (uint32_t i = 0; i < rows.nrows; i++)
			errors[rows.rows[i]] = BS_ERROR_STATE_TOO_LARGE;
		work->failed = true;
	}
}

/* Rows sorted by group, as one list of rows per group; returns their number. */
static uint32_t
find_groups(const StateOfRow *order, const uint16 *rows, uint32_t nrows, BsRows *groups,
			BsHandle **handles)
{
	uint32_t ngroups = 0;

	for (uint32_t first = 0, n; first < nrows; first += n)
	{
		for (n = 1; first + n < nrows && order[first + n].state == order[first].state; n++)
			;
		handles[ngroups] = order[first].state;
		groups[ngroups++] = (BsRows){n, rows + first};
	}
	return ngroups;
}

/* A BsForeignAccumulate: the records of each group, from nothing. */
static void
accumulate(void *context, BsArena *arena, BsTable *table, uint32_t a, BsRows rows,
		   BsHandle *const *states)
{
	ForeignWork *work = context;
	BsViewProgram *compiled = work->view->compiled;
	const BsAggregate *aggregate = &compiled->program.aggregates[a];
	BsEvaluated *evaluated = compiled->program.evaluated;
	MemoryContext old = MemoryContextSwitchTo(work->context);
	StateOfRow *order = palloc(sizeof(StateOfRow) * (rows.nrows + 1));
	uint16 *sorted = palloc(sizeof(uint16) * (rows.nrows + 1));
	BsRows *groups = palloc(sizeof(BsRows) * (rows.nrows + 1));
	BsHandle **handles = palloc(sizeof(BsHandle *) * (rows.nrows + 1));
	BsBytes *made = palloc0(sizeof(BsBytes) * (rows.nrows + 1));
	uint32_t ngroups;

	for (uint32_t i = 0; i < rows.nrows; i++)
		order[i] = (StateOfRow){.state = states[i], .row = rows.rows[i]};
	qsort(order, rows.nrows, sizeof(StateOfRow), by_state);
	for (uint32_t i = 0; i < rows.nrows; i++)
		sorted[i] = order[i].row;
	ngroups = find_groups(order, sorted, rows.nrows, groups, handles);
	bs_foreignagg_accumulate_groups(compiled->foreign[aggregate->foreign], compiled->computed,
									aggregate->argument != NULL ? evaluated->arguments[a] : NULL,
									groups, ngroups, evaluated->error_codes, made);
	for (uint32_t g = 0; g < ngroups; g++)
		keep_state(work, arena, table, handles[g], groups[g], made[g]);
	MemoryContextSwitchTo(old);
	MemoryContextReset(work->context);
}

/* Once more without the records that failed, until none does. */
static void
add_to_scratch(BsActiveView *view, const BsBatch *batch, const BsEvaluated *evaluated)
{
	BsProgram *program = &view->compiled->program;
	ForeignWork work = {.view = view};

	work.context = AllocSetContextCreate(CurrentMemoryContext, "backstream states", ALLOCSET_DEFAULT_SIZES);
	do
	{
		work.failed = false;
		bs_partial_clear(&view->scratch, view->scratch_arena);
		bs_partial_init(&view->scratch, program, UINT64_MAX);
		bs_partial_add(&view->scratch, view->scratch_arena, program, view->writer, batch, evaluated,
					   accumulate, &work);
	} while (work.failed && bs_program_drop_failed(program) > 0);
	MemoryContextDelete(work.context);
}

/* The view's clock once this batch is in. */
static int64
now_with(BsActiveView *view, const BsBatch *batch)
{
	const BsProgram *program = &view->compiled->program;
	int64 now = bs_view_steady_now(view->shared);
	int64 highest;

	if (!program->windowed || view->shared->timing.clock != BS_CLOCK_DATA)
		return now;
	highest = bs_batch_time_marks(batch, bs_program_clock(program))->highest;
	return highest > now ? highest : now;
}

/* How far time has come for the view; records may be NULL: those of the batch are added later. */
static BsViewTimes
times_with(BsActiveView *view, const BsBatch *records)
{
	return (BsViewTimes){.now = records != NULL ? now_with(view, records) : bs_view_steady_now(view->shared),
						 .future_limit = bs_view_future_limit(view->shared),
						 .front = (int64) pg_atomic_read_u64(&view->shared->front)};
}

static void
take_error(BsActiveView *view, const BsEvaluated *evaluated, const char **error)
{
	if (evaluated->nfailed == 0)
		return;
	*error = evaluated->last_error == BS_ERROR_FOREIGN
				 ? bs_computed_last_error(view->compiled->computed)
				 : bs_error_message(evaluated->last_error);
	if (*error == NULL)
		*error = bs_error_message(evaluated->last_error);
}

static BsSharedPartial *tidying; /* by this process */

void
bs_active_end_tidying(void)
{
	if (tidying != NULL)
		pg_atomic_write_u32(&tidying->tidying, 0);
	tidying = NULL;
}

/*
 * A receiver tidies its partial, which nobody else adds to.  A transaction tidies its own, and what
 * earlier ones have left in the shared one, unless another is at it.  So does the keeper, who is alone.
 */
static void
tidy(BsActiveView *view, BsPartial *partial, BsArena *arena, BsSharedPartial *lock)
{
	uint64 fingerprint = view->compiled->program.fingerprint;
	uint32 idle = 0;

	bs_active_tidy(view, partial, arena, lock, fingerprint);
	if (lock != NULL || view->pending != NULL)
		return;
	if (view->over_view)
	{
		lock = &view->shared->partials[bs_keeper_writer()];
		bs_active_tidy(view, &lock->partial, bs_shared_arena(), lock, fingerprint);
		return;
	}
	lock = &view->shared->partials[bs_backend_writer()];
	if (!pg_atomic_compare_exchange_u32(&lock->tidying, &idle, 1))
		return;
	tidying = lock;
	bs_active_tidy(view, &lock->partial, bs_shared_arena(), lock, fingerprint);
	bs_active_end_tidying();
}

/* Rows of the view's program; records, unless NULL, move its watermark. */
static void
add_rows(BsActiveView *view, const BsBatch *batch, const BsBatch *records, BsPartial *partial,
		 BsArena *arena, BsSharedPartial *lock, const char **error)
{
	BsViewProgram *compiled = view->compiled;
	BsProgram *program = &compiled->program;
	BsViewTimes times = times_with(view, records);
	const BsEvaluated *evaluated;

	/* Labels of prefix maps lie in the maps until they have been added. */
	bs_prefix_enter(compiled->prefix_uses);
	bs_computed_begin(compiled->computed);
	evaluated = bs_program_evaluate(program, batch, times.future_limit, bs_computed_evaluate, compiled->computed);
	if (compiled->nforeign > 0)
		add_to_scratch(view, batch, evaluated);
	if (lock != NULL)
		bs_partial_lock_write(lock);
	if (partial->fingerprint == program->fingerprint)
	{
		if (records != NULL)
			bs_partial_follow(partial, arena, program, records, &times);
		if (compiled->nforeign > 0)
			bs_partial_merge(partial, arena, program, view->writer, &view->scratch,
							 view->scratch_arena, times.now);
		else
			bs_partial_add(partial, arena, program, view->writer, batch, evaluated, NULL, NULL);
	}
	if (lock != NULL)
		bs_partial_unlock(lock);
	take_error(view, evaluated, error);
	if (compiled->nforeign > 0)
		tidy(view, partial, arena, lock);
	bs_prefix_leave();
	bs_computed_end(compiled->computed);
}

/* What the records come to, once all their slices have been added. */
static void
end_slices(BsActiveView *view, const BsBatch *records, BsPartial *partial, BsArena *arena,
		   BsSharedPartial *lock)
{
	const BsProgram *program = &view->compiled->program;
	BsViewTimes times = times_with(view, records);

	if (lock != NULL)
		bs_partial_lock_write(lock);
	if (partial->fingerprint == program->fingerprint)
	{
		bs_partial_follow(partial, arena, program, records, &times);
		partial->clamped += bs_spread_clamped(view->compiled->spread);
	}
	if (lock != NULL)
		bs_partial_unlock(lock);
}

void
bs_active_add(BsActiveView *view, const BsBatch *batch, BsPartial *partial, BsArena *arena,
			  BsSharedPartial *lock, const char **error)
{
	BsSpread *spread = view->compiled->spread;
	const BsBatch *slices;

	if (spread == NULL)
	{
		add_rows(view, batch, batch, partial, arena, lock, error);
		return;
	}
	bs_spread_begin(spread, batch, bs_max_flow_usec(), bs_view_future_limit(view->shared));
	while ((slices = bs_spread_next(spread)) != NULL)
		add_rows(view, slices, NULL, partial, arena, lock, error);
	end_slices(view, batch, partial, arena, lock);
}

/* Views over the data's own clock go by the highest time seen. */
void
bs_view_note_time(BsSharedView *view, int64 highest)
{
	uint64 seen = pg_atomic_read_u64(&view->data_now);

	while (highest > (int64) seen &&
		   !pg_atomic_compare_exchange_u64(&view->data_now, &seen, (uint64) highest))
		;
}

/* ---- a receiver's batch ------------------------------------------------------------------------- */

static void
feed_alone(BsActiveView *view, const BsBatch *batch, int writer, const char **error)
{
	BsSharedPartial *shared = &view->shared->partials[writer];
	const char *reason;

	bs_active_add(view, batch, &shared->partial, bs_shared_arena(), shared, error);
	reason = bs_computed_suspended(view->compiled->computed);
	if (reason != NULL)
		bs_view_suspend(view->shared, BS_SUSPENDED_CODE, reason);
}

/* A view's times, by the clock of the one that a batch was evaluated for. */
static BsViewTimes
times_of(BsActiveView *view, const BsBatch *batch, int64 future_limit)
{
	BsViewTimes times = times_with(view, batch);

	times.future_limit = future_limit;
	return times;
}

/*
 * Rows that were evaluated for the first of these views into the partials of all, under all of their locks.  Nobody
 * else takes more than one partial's lock at a time.
 */
static void
add_to_all(BsActiveView **views, uint32 nviews, const BsBatch *batch, const BsEvaluated *evaluated, int writer,
		   int64 future_limit)
{
	BsSharer sharers[BS_MAX_SHARERS];
	uint32 nsharers = 0;

	for (uint32 i = 0; i < nviews; i++)
	{
		BsSharedPartial *shared = &views[i]->shared->partials[writer];
		const BsProgram *program = &views[i]->compiled->program;
		BsViewTimes times = times_of(views[i], batch, future_limit);

		bs_partial_lock_write(shared);
		if (shared->partial.fingerprint != program->fingerprint)
			continue;
		bs_partial_follow(&shared->partial, bs_shared_arena(), program, batch, &times);
		sharers[nsharers++] = (BsSharer){&shared->partial, program, views[i]->writer};
	}
	if (nsharers > 0)
		bs_partial_add_shared(sharers, nsharers, bs_shared_arena(), batch, evaluated);
	for (uint32 i = 0; i < nviews; i++)
		bs_partial_unlock(&views[i]->shared->partials[writer]);
}

/* The same with states that PostgreSQL's functions make: once, and merged into each. */
static void
merge_into_each(BsActiveView **views, uint32 nviews, const BsBatch *batch, const BsEvaluated *evaluated, int writer,
				int64 future_limit)
{
	BsActiveView *first = views[0];

	add_to_scratch(first, batch, evaluated);
	for (uint32 i = 0; i < nviews; i++)
	{
		BsSharedPartial *shared = &views[i]->shared->partials[writer];
		const BsProgram *program = &views[i]->compiled->program;
		BsViewTimes times = times_of(views[i], batch, future_limit);

		bs_partial_lock_write(shared);
		if (shared->partial.fingerprint == program->fingerprint)
		{
			bs_partial_follow(&shared->partial, bs_shared_arena(), program, batch, &times);
			bs_partial_merge(&shared->partial, bs_shared_arena(), program, views[i]->writer, &first->scratch,
							 first->scratch_arena, times.now);
		}
		bs_partial_unlock(shared);
		bs_active_tidy(first, &shared->partial, bs_shared_arena(), shared, program->fingerprint);
	}
}

/* Views with the same panes are evaluated once. */
static void
feed_together(BsActiveView **views, uint32 nviews, const BsBatch *batch, int writer, const char **error)
{
	BsViewProgram *compiled = views[0]->compiled;
	int64 future_limit = bs_view_future_limit(views[0]->shared);
	const BsEvaluated *evaluated;
	const char *reason;

	bs_computed_begin(compiled->computed);
	evaluated =
		bs_program_evaluate(&compiled->program, batch, future_limit, bs_computed_evaluate, compiled->computed);
	if (compiled->nforeign > 0)
		merge_into_each(views, nviews, batch, evaluated, writer, future_limit);
	else
		add_to_all(views, nviews, batch, evaluated, writer, future_limit);
	take_error(views[0], evaluated, error);
	bs_computed_end(compiled->computed);
	reason = bs_computed_suspended(compiled->computed);
	for (uint32 i = 0; reason != NULL && i < nviews; i++)
		bs_view_suspend(views[i]->shared, BS_SUSPENDED_CODE, reason);
}

/* The views that this one leads, itself first, as far as they count now; returns their number. */
static uint32
counting_now(BsActiveView *leader, const BsBatch *batch, BsActiveView **views)
{
	uint32 n = 0;

	for (BsActiveView *view = leader; view != NULL; view = view->next_sharer)
		if (bs_view_counts(view->shared))
			views[n++] = view;
		else
			pg_atomic_fetch_add_u64(&view->shared->skipped, batch->nrows);
	return n;
}

void
bs_active_feed(Oid stream, const BsBatch *batch, int writer)
{
	BsActiveView *views[BS_MAX_SHARERS];

	bs_active_begin(stream, batch, true);
	for (BsActiveView *leader = bs_active_first(stream); leader != NULL; leader = bs_active_next(leader))
	{
		uint32 nviews = leader->leader == NULL ? counting_now(leader, batch, views) : 0;
		const char *error = NULL;

		if (nviews == 1)
			feed_alone(views[0], batch, writer, &error);
		else if (nviews > 1)
			feed_together(views, nviews, batch, writer, &error);
		for (uint32 i = 0; i < nviews; i++)
		{
			const BsProgram *program = &views[i]->compiled->program;

			if (error != NULL)
				bs_view_report_error(views[i]->shared, error);
			if (program->windowed)
				bs_view_note_time(views[i]->shared, bs_batch_time_marks(batch, bs_program_clock(program))->highest);
		}
	}
	bs_active_end(stream);
}

void
bs_active_note_loss(Oid stream, int writer, BsLoss loss)
{
	for (BsActiveView *view = bs_active_first(stream); view != NULL; view = bs_active_next(view))
	{
		BsSharedPartial *shared = &view->shared->partials[writer];

		bs_partial_lock_write(shared);
		if (shared->partial.fingerprint == view->compiled->program.fingerprint)
			bs_partial_note_loss(&shared->partial, bs_shared_arena(), loss);
		bs_partial_unlock(shared);
	}
}
