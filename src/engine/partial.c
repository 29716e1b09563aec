/* SPDX-License-Identifier: PostgreSQL */
/* partial.c: the panes of one writer.  See partial.h; partialadd.c adds to them. */
#include "writer.h"

#include <string.h>

#define PARTIAL_MAGIC 0x42535054u /* BSPT */

void
bs_partial_init(BsPartial *partial, const BsProgram *program, uint64_t max_groups)
{
	memset(partial, 0, sizeof(*partial));
	partial->magic = PARTIAL_MAGIC;
	partial->fingerprint = program->fingerprint;
	partial->layout = program->layout;
	partial->max_groups = max_groups;
	partial->has_late_bytes = program->late_sum != 0;
	partial->closed_before = BS_TIME_NEG_INFINITY;
	partial->dropped_before = BS_TIME_NEG_INFINITY;
	partial->last_dropped = BS_TIME_NEG_INFINITY;
}

/* ---- panes ------------------------------------------------------------------------------------ */

static uint64_t *
handles_of(const BsPartial *partial, BsArena *arena)
{
	return bs_arena_at(arena, partial->panes);
}

uint32_t
bs_partial_position(const BsPartial *partial, BsArena *arena, int64_t start)
{
	uint32_t low = 0;
	uint32_t high = partial->npanes;
	int64_t newest;

	if (high == 0)
		return 0;
	/* Records come in order of time, nearly: the newest is the likely one. */
	newest = bs_partial_pane_at(partial, arena, high - 1)->start;
	if (newest <= start)
		return newest == start ? high - 1 : high;
	while (low < high)
	{
		uint32_t middle = low + (high - low) / 2;

		if (bs_partial_pane_at(partial, arena, middle)->start < start)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

BsPane *
bs_partial_pane_from(const BsPartial *partial, BsArena *arena, int64_t start)
{
	uint32_t position = bs_partial_position(partial, arena, start);

	return position < partial->npanes ? bs_partial_pane_at(partial, arena, position) : NULL;
}

BsPane *
bs_partial_pane(const BsPartial *partial, BsArena *arena, int64_t start)
{
	BsPane *pane = bs_partial_pane_from(partial, arena, start);

	return pane != NULL && pane->start == start ? pane : NULL;
}

/* Where a pane is reserved for the groups without room, it must not be missing. */
static uint64_t
pane_alloc(const BsPartial *partial, BsArena *arena, size_t size)
{
	return partial->gather_other != 0 ? bs_arena_alloc_kept(arena, size) : bs_arena_alloc(arena, size);
}

static bool
handles_reserve(BsPartial *partial, BsArena *arena)
{
	uint32_t capacity = partial->panes_capacity == 0 ? 8 : partial->panes_capacity * 2;
	uint64_t handles;

	if (partial->npanes < partial->panes_capacity)
		return true;
	handles = pane_alloc(partial, arena, capacity * sizeof(uint64_t));
	if (handles == 0)
		return false;
	if (partial->panes != 0)
	{
		memcpy(bs_arena_at(arena, handles), handles_of(partial, arena), partial->npanes * sizeof(uint64_t));
		bs_arena_release(arena, partial->panes, partial->panes_capacity * sizeof(uint64_t));
		partial->bytes -= bs_arena_block_bytes(partial->panes_capacity * sizeof(uint64_t));
	}
	partial->bytes += bs_arena_block_bytes(capacity * sizeof(uint64_t));
	partial->panes = handles;
	partial->panes_capacity = capacity;
	return true;
}

/* The pane of this start, made when there is none; NULL when memory is out. */
BsPane *
bs_partial_make_pane(BsPartial *partial, BsArena *arena, int64_t start)
{
	uint32_t position = bs_partial_position(partial, arena, start);
	uint64_t *handles;
	uint64_t handle;
	BsPane *pane;

	if (position < partial->npanes)
	{
		pane = bs_partial_pane_at(partial, arena, position);
		if (pane->start == start)
			return pane;
	}
	if (!handles_reserve(partial, arena))
		return NULL;
	handle = pane_alloc(partial, arena, sizeof(BsPane));
	if (handle == 0)
		return NULL;
	partial->bytes += bs_arena_block_bytes(sizeof(BsPane));
	handles = handles_of(partial, arena);
	memmove(&handles[position + 1], &handles[position], (partial->npanes - position) * sizeof(uint64_t));
	handles[position] = handle;
	partial->npanes++;
	pane = bs_arena_at(arena, handle);
	*pane = (BsPane){.start = start,
					 .records_lost_before = partial->records_lost,
					 .datagrams_lost_before = partial->datagrams_lost,
					 .datagrams_dropped_before = partial->datagrams_dropped};
	return pane;
}

/* ---- tables ----------------------------------------------------------------------------------- */

static uint64_t
make_table(const BsPartial *partial, BsArena *arena, const BsProgram *program, uint32_t expected_rows)
{
	return partial->gather_other != 0 ? bs_table_create_gathering(arena, program, expected_rows)
									  : bs_table_create(arena, program, expected_rows);
}

/* All that is in one table into an empty one, in the same order; false when memory is out. */
static bool
fill_copy(const BsPartial *partial, BsArena *arena, const BsProgram *program, BsWriter *writer,
		  BsTable *table, BsTable *from)
{
	/* Values that found no room are not always told otherwise. */
	uint64_t failures = bs_arena_stats(arena).failures;
	uint64_t left_out = 0;

	writer->gather_other = false;
	for (uint32_t chunk = 0; chunk < from->nchunks && left_out == 0; chunk++)
		left_out = bs_table_merge_chunk(arena, table, program, writer, arena, from, chunk, UINT64_MAX);
	if (left_out == 0)
		bs_table_merge_sets(arena, table, program, writer, arena, from, UINT64_MAX);
	/* Where there is none yet it comes last: the others keep their places. */
	if (partial->gather_other != 0 && program->nkeys > 0 && bs_table_other(arena, table, program) == BS_NO_ROW)
		return false;
	bs_table_count_records(table, bs_table_records(from));
	return left_out == 0 && bs_arena_stats(arena).failures == failures;
}

/*
 * Another table with all that is in this one; 0 when memory is out.  Then it is not tried again before memory has
 * come back: each time would take what others need.
 */
static uint64_t
copy_table(BsPartial *partial, BsArena *arena, const BsProgram *program, BsWriter *writer, uint64_t handle)
{
	BsTable *from = bs_arena_at(arena, handle);
	BsArenaStats stats = bs_arena_stats(arena);
	uint64_t copy = 0;

	if (partial->copy_starved_at == bs_arena_releases(arena))
		return 0;
	if (stats.total_bytes - stats.used_bytes > from->bytes)
		copy = bs_table_create(arena, program, from->nrows);
	if (copy != 0 && !fill_copy(partial, arena, program, writer, bs_arena_at(arena, copy), from))
	{
		bs_table_free(arena, &program->layout, copy);
		copy = 0;
	}
	partial->copy_starved_at = copy != 0 ? 0 : bs_arena_releases(arena);
	return copy;
}

/* So many partials have it no longer.  Whoever is the last gives it back; the others may be at it under other locks. */
static void
give_up_table(BsArena *arena, const BsLayout *layout, uint64_t handle, uint32_t nholders)
{
	BsTable *table = bs_arena_at(arena, handle);

	if (__atomic_sub_fetch(&table->nholders, (uint8_t) nholders, __ATOMIC_ACQ_REL) == 0)
		bs_table_free(arena, layout, handle);
}

static void
exchange_table(BsArena *arena, const BsHolder *holders, uint32_t nholders, uint64_t handle)
{
	uint64_t old = holders[0].pane->table;
	uint64_t old_bytes = old != 0 ? ((BsTable *) bs_arena_at(arena, old))->bytes : 0;
	BsTable *table = bs_arena_at(arena, handle);

	table->nholders = (uint8_t) nholders;
	for (uint32_t i = 0; i < nholders; i++)
	{
		holders[i].pane->table = handle;
		holders[i].partial->bytes += table->bytes - old_bytes;
	}
	if (old != 0)
		give_up_table(arena, &holders[0].partial->layout, old, nholders);
}

BsTable *
bs_panes_table(BsArena *arena, const BsProgram *program, BsWriter *writer, const BsHolder *holders,
			   uint32_t nholders, uint32_t expected_rows)
{
	uint64_t handle = holders[0].pane->table;
	BsTable *table = handle != 0 ? bs_arena_at(arena, handle) : NULL;

	if (table != NULL && __atomic_load_n(&table->nholders, __ATOMIC_ACQUIRE) == nholders)
		return table;
	handle = table == NULL ? make_table(holders[0].partial, arena, program, expected_rows)
						   : copy_table(holders[0].partial, arena, program, writer, handle);
	if (handle == 0)
		return NULL;
	exchange_table(arena, holders, nholders, handle);
	return bs_arena_at(arena, handle);
}

BsPane *
bs_partial_take_pane(BsPartial *partial, BsArena *arena, const BsProgram *program, BsWriter *writer,
					 int64_t start, uint32_t expected_rows, BsTable **table)
{
	BsPane *pane = bs_partial_make_pane(partial, arena, start);
	BsHolder holder = {partial, pane};

	*table = pane != NULL ? bs_panes_table(arena, program, writer, &holder, 1, expected_rows) : NULL;
	return pane;
}

/* ---- closing and dropping --------------------------------------------------------------------- */

/* Give back a pane and its table; its handle is the caller's to forget. */
static void
pane_release(BsPartial *partial, BsArena *arena, uint32_t position)
{
	const BsPane *pane = bs_partial_pane_at(partial, arena, position);

	if (pane->table != 0)
	{
		partial->bytes -= ((BsTable *) bs_arena_at(arena, pane->table))->bytes;
		give_up_table(arena, &partial->layout, pane->table, 1);
	}
	partial->bytes -= bs_arena_block_bytes(sizeof(BsPane));
	bs_arena_release(arena, handles_of(partial, arena)[position], sizeof(BsPane));
}

void
bs_partial_drop(BsPartial *partial, BsArena *arena, int64_t before)
{
	uint32_t ndropped = bs_partial_position(partial, arena, before);
	uint64_t *handles = handles_of(partial, arena);

	if (before > partial->dropped_before)
		partial->dropped_before = before;
	if (ndropped == 0)
		return;
	partial->last_dropped = bs_partial_pane_at(partial, arena, ndropped - 1)->start;
	for (uint32_t i = 0; i < ndropped; i++)
		pane_release(partial, arena, i);
	partial->npanes -= ndropped;
	memmove(handles, handles + ndropped, partial->npanes * sizeof(uint64_t));
}

void
bs_partial_clear(BsPartial *partial, BsArena *arena)
{
	for (uint32_t i = 0; i < partial->npanes; i++)
		pane_release(partial, arena, i);
	if (partial->panes != 0)
		bs_arena_release(arena, partial->panes, partial->panes_capacity * sizeof(uint64_t));
	if (partial->sources != 0)
		bs_arena_release(arena, partial->sources, partial->sources_capacity * sizeof(BsSource));
	partial->panes = partial->sources = 0;
	partial->npanes = partial->panes_capacity = 0;
	partial->nsources = partial->sources_capacity = 0;
	partial->bytes = 0;
}

void
bs_partial_close(BsPartial *partial, int64_t closed_before)
{
	if (closed_before > partial->closed_before)
		partial->closed_before = closed_before;
}

void
bs_partial_note_loss(BsPartial *partial, BsArena *arena, BsLoss loss)
{
	partial->records_lost += (uint32_t) loss.records;
	partial->datagrams_lost += (uint32_t) loss.datagrams;
	partial->datagrams_dropped += (uint32_t) loss.dropped;
	for (uint32_t i = partial->npanes; i > 0; i--)
	{
		BsPane *pane = bs_partial_pane_at(partial, arena, i - 1);

		/* Without windows closed_before is before everything. */
		if (pane->start < partial->closed_before)
			break;
		pane->records_lost = bs_loss_plus(pane->records_lost, loss.records);
		pane->datagrams_lost = bs_loss_plus(pane->datagrams_lost, loss.datagrams);
		pane->datagrams_dropped = bs_loss_plus(pane->datagrams_dropped, loss.dropped);
	}
}

/* Is there a window over this time, which has no pane, that has records of this partial? */
static bool
lies_in_window(const BsPartial *partial, BsArena *arena, const BsWindowing *windowing, int64_t start)
{
	uint32_t begin = bs_partial_position(partial, arena, bs_time_plus(start, 1 - windowing->size_usec));
	uint32_t end = bs_partial_position(partial, arena, bs_time_plus(start, windowing->size_usec));

	if (start < partial->dropped_before)
		return false;
	for (uint32_t i = begin; i < end; i++)
		if (bs_partial_pane_at(partial, arena, i)->table != 0)
			return true;
	return false;
}

void
bs_partial_count_late(BsPartial *partial, BsArena *arena, const BsWindowing *windowing, int64_t start,
					  uint64_t nrecords)
{
	BsPane *pane = bs_partial_pane(partial, arena, start);

	partial->late += nrecords;
	/* A window of several panes may be there though this one of them is not. */
	if (pane == NULL && windowing->size_usec > windowing->pane_usec &&
		lies_in_window(partial, arena, windowing, start))
		pane = bs_partial_make_pane(partial, arena, start);
	if (pane != NULL)
		pane->late += nrecords;
}
