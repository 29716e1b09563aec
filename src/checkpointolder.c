/* SPDX-License-Identifier: PostgreSQL */
/*
 * checkpointolder.c: groups of what a view goes on from, as groups of the view's definition.  See checkpoint.h.
 *
 * As a reader does (viewread.c), but one chunk at a time, each into memory of its own: what is written of a chunk
 * can be merged with what is written of another.
 */
#include "postgres.h"

#include "checkpoint.h"

#define SLACK_BYTES (4 * BS_ARENA_MAX_BLOCK)
#define MAX_TRIES   6

/* The table of a pane, if it is (still) there; the lock is held. */
static BsTable *
table_at(const BsFiledPart *part, const BsPartial *partial, int64 start)
{
	BsArena *arena = bs_shared_arena();
	const BsPane *pane =
		partial->fingerprint == part->fingerprint ? bs_partial_pane(partial, arena, start) : NULL;

	return pane != NULL && pane->table != 0 ? bs_arena_at(arena, pane->table) : NULL;
}

static bool
make_table(BsOlderRows *rows, const BsProgram *program, uint64 usable_bytes)
{
	uint64 table = 0;

	rows->arena = bs_arena_create(bs_arena_size_for(usable_bytes));
	if (rows->arena != NULL)
		table = bs_table_create(rows->arena, program, bs_rows_per_chunk(&program->layout));
	if (table != 0)
		rows->table = bs_arena_at(rows->arena, table);
	return table != 0;
}

static void
free_table(BsOlderRows *rows)
{
	if (rows->arena != NULL)
		bs_arena_free_private(rows->arena);
	rows->arena = NULL;
	rows->table = NULL;
}

/* Returns whether there is such a chunk; *fitted: it has found room. */
static bool
merge_chunk(BsOlderRows *rows, const BsFiled *kept, const BsFiledPart *part, BsTable *from,
			uint32 set, uint32 chunk, bool *fitted)
{
	const BsProgram *program = &kept->compiled->program;
	bool more;

	*fitted = true;
	if (set > 0)
		more = bs_table_merge_older_set_chunk(rows->arena, rows->table, program, kept->writer,
											  part->translation, bs_shared_arena(), from, set - 1,
											  chunk, UINT64_MAX);
	else
	{
		more = chunk < from->nchunks;
		*fitted = !more || bs_table_merge_older_chunk(rows->arena, rows->table, program,
													  kept->writer, part->translation,
													  bs_shared_arena(), from, chunk, UINT64_MAX) == 0;
	}
	/* It is the private table's own. */
	*fitted &= rows->table->left_out == 0;
	return more;
}

BsOlderRows
bs_older_rows(const BsFiled *kept, const BsFiledPart *part, int writer, int64 start, uint32 set,
			  uint32 chunk)
{
	BsSharedPartial *shared = &part->view->partials[writer];
	BsOlderRows rows = {.no_memory = true};

	for (int tries = 0; tries < MAX_TRIES && rows.no_memory; tries++)
	{
		bool more = false;
		bool fitted = true;
		uint64 bytes = 0;
		BsTable *from;

		bs_partial_lock_read(shared);
		from = table_at(part, &shared->partial, start);
		if (from != NULL)
			bytes = from->bytes;
		bs_partial_unlock(shared);
		if (!make_table(&rows, &kept->compiled->program, (bytes * 2 + SLACK_BYTES) << tries))
		{
			free_table(&rows);
			break;
		}
		bs_partial_lock_read(shared);
		from = table_at(part, &shared->partial, start);
		if (from != NULL)
			more = merge_chunk(&rows, kept, part, from, set, chunk, &fitted);
		bs_partial_unlock(shared);
		rows.no_memory = !fitted;
		if (!more || !fitted)
			free_table(&rows);
	}
	return rows;
}
