/* SPDX-License-Identifier: PostgreSQL */
/*
 * windowdata.c: the memory that windows are read into.  See registry.h.
 *
 * A session keeps one arena from a read to the next: memory that is new comes page by page, and half the time of reading
 * a window is lost on that.  What is kept is bounded, in memory by KEPT_BYTES and in address space by KEPT_ADDRESSES.
 */
#include "backstream.h"

#include "registry.h"

#define KEPT_BYTES     (8 * (uint64) BS_ARENA_MAX_BLOCK)
#define KEPT_ADDRESSES (128 * (uint64) BS_ARENA_MAX_BLOCK)

static BsArena *kept;

static BsArena *
take_arena(uint64 usable_bytes)
{
	BsArena *arena = kept;

	if (arena == NULL || bs_arena_stats(arena).total_bytes < usable_bytes)
		return bs_arena_create(bs_arena_size_for(usable_bytes));
	kept = NULL;
	return arena;
}

/* Of two the larger one is kept. */
static void
give_back_arena(BsArena *arena)
{
	uint64 total_bytes = bs_arena_stats(arena).total_bytes;

	if (total_bytes > KEPT_ADDRESSES || (kept != NULL && bs_arena_stats(kept).total_bytes >= total_bytes) ||
		!bs_arena_renew(arena, KEPT_BYTES))
	{
		bs_arena_free_private(arena);
		return;
	}
	bs_arena_free_private(kept);
	kept = arena;
}

void
bs_window_data_free(BsWindowData *data)
{
	if (data->arena != NULL)
		give_back_arena(data->arena);
	data->arena = NULL;
	data->table = NULL;
}

void
bs_window_data_make(BsWindowData *data, const BsProgram *program, uint64 usable_bytes, uint64 expected_rows)
{
	uint64 table;

	data->arena = take_arena(usable_bytes);
	if (data->arena == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("Failed to get %llu bytes for the groups of a window.",
								  (unsigned long long) usable_bytes)));
	table = bs_table_create(data->arena, program, (uint32) Min(expected_rows, UINT32_MAX / 4));
	if (table == 0)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	data->table = bs_arena_at(data->arena, table);
}
