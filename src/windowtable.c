/* SPDX-License-Identifier: PostgreSQL */
/*
 * windowtable.c: a window all of whose groups are in one table of shared memory.  See registry.h.
 *
 * Where one writer has counted it in one pane, as tumbling windows of a single receiver are, there is nothing to merge:
 * who sends its groups elsewhere takes them from where they are, a chunk at a time under the partial's lock.
 */
#include "backstream.h"

#include "query.h"
#include "registry.h"

/* May its rows be read one chunk at a time, with nothing of one that belongs to what came before? */
static bool
rows_stand_alone(const BsProgram *program)
{
	return program->windowed && program->nkeys > 0 && program->nsets == 0 && program->layout.nforeign == 0;
}

/* Note the table if there is just one with groups in these panes, and no other was noted before; false: it was. */
static bool
note_tables(BsWindowTable *noted, BsSharedPartial *shared, uint64 fingerprint, int64 first, int64 end)
{
	const BsPartial *partial = &shared->partial;
	BsArena *arena = bs_shared_arena();
	int ntables = noted->partial != NULL ? 1 : 0;

	bs_partial_lock_read(shared);
	for (uint32 i = partial->fingerprint == fingerprint ? bs_partial_position(partial, arena, first) : partial->npanes;
		 i < partial->npanes && ntables <= 1; i++)
	{
		const BsPane *pane = bs_partial_pane_at(partial, arena, i);
		const BsTable *table = pane->table != 0 ? bs_arena_at(arena, pane->table) : NULL;

		if (pane->start >= end)
			break;
		if (table == NULL || table->nrows == 0)
			continue;
		ntables++;
		*noted = (BsWindowTable){.partial = shared,
								 .fingerprint = fingerprint,
								 .start = pane->start,
								 .nrows = table->nrows};
	}
	bs_partial_unlock(shared);
	return ntables <= 1;
}

bool
bs_window_table_find(Oid relid, const BsViewProgram *compiled, int64 first, int64 last, BsWindowTable *found)
{
	const BsProgram *program = &compiled->program;
	BsViewPart parts[BS_MAX_PARTS];

	*found = (BsWindowTable){0};
	if (!rows_stand_alone(program) ||
		bs_registry_parts(relid, program->fingerprint, compiled, parts) != 1 ||
		parts[0].fingerprint != program->fingerprint)
		return false;
	for (int w = 0; w < bs_nwriters(); w++)
		if (!note_tables(found, &parts[0].view->partials[w], program->fingerprint, first,
						 bs_window_end(&program->windowing, last)))
			return false;
	return found->partial != NULL;
}

BsTable *
bs_window_table_lock(BsWindowTable *found)
{
	BsArena *arena = bs_shared_arena();
	BsPartial *partial = &found->partial->partial;
	const BsPane *pane;
	BsTable *table;

	bs_partial_lock_read(found->partial);
	pane = partial->fingerprint == found->fingerprint ? bs_partial_pane(partial, arena, found->start) : NULL;
	table = pane != NULL && pane->table != 0 ? bs_arena_at(arena, pane->table) : NULL;
	/* It may be a copy by now, which has the rows in the same places (engine/partial.h). */
	if (table != NULL && table->nrows >= found->nrows)
	{
		found->nrows = table->nrows;
		return table;
	}
	bs_partial_unlock(found->partial);
	if (table != NULL)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("the groups of a window were put elsewhere while they were read"),
						errhint("Read it again.")));
	return NULL;
}

void
bs_window_table_unlock(const BsWindowTable *found)
{
	bs_partial_unlock(found->partial);
}
