/* SPDX-License-Identifier: PostgreSQL */
/*
 * tidy.c: keeping the states of foreign aggregates short.  See active.h.
 *
 * Merging puts the states of each batch side by side (engine/merge.c), because PostgreSQL's combine
 * functions may fail or take long and must not run under a lock.  After a batch, the groups it touched
 * whose lists have grown long are combined: copied under the lock, combined without it, and put back if
 * nobody has added to them meanwhile.
 */
#include "active.h"

#include "engine/writer.h"
#include "utils/memutils.h"

#define LONG_LIST 8 /* states in a group's list before they are combined */

typedef struct Place
{
	BsPartial *partial;
	BsArena *arena;
	BsSharedPartial *lock; /* NULL: private */
	uint64 fingerprint;    /* the partial's, while it is there */
	int64 pane;
	uint32 row_number;
	const BsAggregate *aggregate;
} Place;

static void
lock_place(const BsSharedPartial *lock)
{
	if (lock != NULL)
		bs_partial_lock_write((BsSharedPartial *) lock);
}

static void
unlock_place(const BsSharedPartial *lock)
{
	if (lock != NULL)
		bs_partial_unlock((BsSharedPartial *) lock);
}

/* The table of a pane, if it is still there.  The lock is held. */
static BsTable *
table_at(const Place *place)
{
	BsPane *pane = place->partial->fingerprint == place->fingerprint
					   ? bs_partial_pane(place->partial, place->arena, place->pane)
					   : NULL;

	return pane != NULL && pane->table != 0 ? bs_arena_at(place->arena, pane->table) : NULL;
}

static BsHandle *
handle_at(const Place *place, BsTable *table, const BsProgram *program)
{
	return (BsHandle *) (bs_table_row(place->arena, table, program, place->row_number) +
						 place->aggregate->offset);
}

static uint32
blobs_in(BsArena *arena, const BsHandle *handle)
{
	return handle->offset == 0 ? 0 : ((BsBlob *) bs_arena_at(arena, handle->offset))->nblobs;
}

/* Copies of a list's states; NULL when there is no memory.  The lock is held: no error may be raised. */
static BsBytes *
copy_list(const Place *place, const BsHandle *handle, uint32 *nstates)
{
	uint64 offset = handle->offset;
	BsBytes *states;

	*nstates = blobs_in(place->arena, handle);
	states = palloc_extended(*nstates * sizeof(BsBytes), MCXT_ALLOC_NO_OOM);
	for (uint32 i = 0; states != NULL && i < *nstates; i++)
	{
		const BsBlob *blob = bs_arena_at(place->arena, offset);
		uint8 *data = palloc_extended(blob->len + 1, MCXT_ALLOC_NO_OOM);

		if (data == NULL)
			return NULL;
		memcpy(data, blob->data, blob->len);
		states[i] = (BsBytes){.data = data, .len = blob->len};
		offset = blob->next;
	}
	return states;
}

/* Combine one group's list.  A state that cannot be combined stays as it is: the reader will say why. */
static void
tidy_list(BsActiveView *view, const Place *place)
{
	const BsProgram *program = &view->compiled->program;
	BsBytes *states = NULL;
	BsBytes combined;
	BsTable *table;
	uint64 seen = 0;
	uint32 nstates = 0;

	lock_place(place->lock);
	table = table_at(place);
	if (table != NULL)
	{
		seen = handle_at(place, table, program)->offset;
		states = copy_list(place, handle_at(place, table, program), &nstates);
	}
	unlock_place(place->lock);
	if (states == NULL || nstates < 2 ||
		!bs_foreignagg_combine(view->compiled->foreign[place->aggregate->foreign],
							   view->compiled->computed, states, nstates, &combined))
		return;

	lock_place(place->lock);
	table = table_at(place);
	if (table != NULL && handle_at(place, table, program)->offset == seen)
	{
		uint64 bytes = table->bytes;

		bs_handle_replace(place->arena, table, handle_at(place, table, program), combined.data,
						  combined.len);
		place->partial->bytes += table->bytes - bytes;
	}
	unlock_place(place->lock);
}

/* Has the place's row a list that is too long?  The lock is held. */
static bool
is_long(Place *place, BsTable *table, const BsProgram *program)
{
	for (uint32 a = 0; a < program->naggregates; a++)
	{
		place->aggregate = &program->aggregates[a];
		if (place->aggregate->kind == BS_AGG_FOREIGN &&
			blobs_in(place->arena, handle_at(place, table, program)) >= LONG_LIST)
			return true;
	}
	return false;
}

/* Which of these rows have a list that is too long?  Row numbers of the others become BS_NO_ROW. */
static void
find_long(BsActiveView *view, Place *place, const BsTable *touched, BsArena *touched_arena, uint32 chunk,
		  uint32 *nrows)
{
	const BsProgram *program = &view->compiled->program;
	BsWriter *writer = view->writer;
	BsTable *table;

	*nrows = bs_table_chunk_rows(touched, &program->layout, chunk);
	bs_keys_pack_rows(writer->keys, program, touched_arena,
					  bs_table_chunk(touched_arena, touched, chunk), *nrows);
	lock_place(place->lock);
	table = table_at(place);
	if (table == NULL)
		*nrows = 0;
	else
		bs_table_find(place->arena, table, program, writer->keys, program->nkeys == 0 ? 1 : 0,
					  writer->numbers);
	for (uint32 i = 0; i < *nrows; i++)
	{
		place->row_number = writer->numbers[i];
		if (place->row_number != BS_NO_ROW && !is_long(place, table, program))
			writer->numbers[i] = BS_NO_ROW;
	}
	unlock_place(place->lock);
}

/* All states of the place's row. */
static void
tidy_row(BsActiveView *view, Place *place)
{
	const BsProgram *program = &view->compiled->program;

	for (uint32 a = 0; a < program->naggregates; a++)
	{
		place->aggregate = &program->aggregates[a];
		if (program->aggregates[a].kind == BS_AGG_FOREIGN)
			tidy_list(view, place);
	}
}

/* The other group, in which groups that were touched may have been gathered. */
static void
tidy_other(BsActiveView *view, Place *place)
{
	const BsProgram *program = &view->compiled->program;
	bool found = false;
	BsTable *table;

	lock_place(place->lock);
	table = table_at(place);
	if (table != NULL && table->other != 0)
	{
		place->row_number = table->other - 1;
		found = is_long(place, table, program);
	}
	unlock_place(place->lock);
	if (found)
		tidy_row(view, place);
}

static void
tidy_chunk(BsActiveView *view, Place *place, const BsTable *touched, BsArena *touched_arena,
		   uint32 chunk)
{
	uint32 nrows;

	find_long(view, place, touched, touched_arena, chunk, &nrows);
	for (uint32 i = 0; i < nrows; i++)
	{
		place->row_number = view->writer->numbers[i];
		if (place->row_number != BS_NO_ROW)
			tidy_row(view, place);
	}
}

void
bs_active_tidy(BsActiveView *view, BsPartial *partial, BsArena *arena, BsSharedPartial *lock,
			   uint64 fingerprint)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "backstream tidy", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	for (uint32 p = 0; p < view->scratch.npanes; p++)
	{
		const BsPane *pane = bs_partial_pane_at(&view->scratch, view->scratch_arena, p);
		Place place = {.partial = partial, .arena = arena, .lock = lock, .fingerprint = fingerprint, .pane = pane->start};
		const BsTable *touched = pane->table != 0 ? bs_arena_at(view->scratch_arena, pane->table) : NULL;

		for (uint32 chunk = 0; touched != NULL && chunk < touched->nchunks; chunk++)
		{
			tidy_chunk(view, &place, touched, view->scratch_arena, chunk);
			MemoryContextReset(context);
		}
		tidy_other(view, &place);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
