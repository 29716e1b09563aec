/* SPDX-License-Identifier: PostgreSQL */
/* restore.c: packed partials back into partials.  See pack.h. */
#include "pack.h"

#include <string.h>

#include "packmessage.h"
#include "writer.h"

BsPackedPane
bs_packed_pane(const BsPane *pane, BsArena *arena)
{
	const BsTable *table = pane->table != 0 ? bs_arena_at(arena, pane->table) : NULL;

	return (BsPackedPane){.window = pane->start,
						  .gap = pane->gap != 0,
						  .nodes_expected = (uint32_t) pane->nodes_expected,
						  .nodes_missing = (uint32_t) pane->nodes_missing,
						  .ngroups = table != NULL ? table->nrows : 0,
						  .records = table != NULL ? bs_table_records(table) : 0,
						  .late = pane->late,
						  .overflowed = pane->overflowed,
						  .other = table != NULL ? bs_table_other_records(arena, table) : 0,
						  .errors = pane->errors,
						  .left_out = table != NULL ? table->left_out : 0,
						  .records_lost = pane->records_lost,
						  .datagrams_lost = pane->datagrams_lost,
						  .datagrams_dropped = pane->datagrams_dropped,
						  .records_lost_before = pane->records_lost_before,
						  .datagrams_lost_before = pane->datagrams_lost_before,
						  .datagrams_dropped_before = pane->datagrams_dropped_before};
}

static void
restore_head(BsPartial *partial, const BsPartial *packed)
{
	for (uint32_t i = 0; i < BS_PACK_PARTIAL_COUNTERS; i++)
	{
		uint8_t *at = (uint8_t *) partial + bs_pack_partial_counters[i];
		uint64_t counter;
		uint64_t more;

		memcpy(&counter, at, sizeof(counter));
		memcpy(&more, (const uint8_t *) packed + bs_pack_partial_counters[i], sizeof(more));
		counter += more;
		memcpy(at, &counter, sizeof(counter));
	}
	bs_partial_close(partial, packed->closed_before);
	if (packed->dropped_before > partial->dropped_before)
		partial->dropped_before = packed->dropped_before;
	if (packed->last_error != BS_ERROR_NONE)
		partial->last_error = packed->last_error;
	partial->records_lost += packed->records_lost;
	partial->datagrams_lost += packed->datagrams_lost;
	partial->datagrams_dropped += packed->datagrams_dropped;
}

/* Its records come with its rows. */
static void
restore_pane(BsPartial *partial, BsArena *arena, const BsProgram *program,
			 const BsPackedPane *packed)
{
	bool is_new = bs_partial_pane(partial, arena, packed->window) == NULL;
	uint32_t expected = packed->ngroups < UINT32_MAX / 4 ? (uint32_t) packed->ngroups : 0;
	BsTable *table = NULL;
	BsPane *pane;

	/* A table says that there are records. */
	if (packed->ngroups > 0 || packed->left_out > 0)
		pane = bs_partial_take_pane(partial, arena, program, packed->window, expected, &table);
	else
		pane = bs_partial_make_pane(partial, arena, packed->window);
	if (pane == NULL)
		return;
	if (is_new)
		pane->records_lost_before = pane->datagrams_lost_before = pane->datagrams_dropped_before = 0;
	pane->gap |= packed->gap;
	pane->late += packed->late;
	pane->overflowed += packed->overflowed;
	pane->errors = (pane->errors + packed->errors) & BS_PANE_MAX_ERRORS;
	bs_pane_note_nodes(pane, packed->nodes_expected, packed->nodes_missing);
	pane->records_lost += (int32_t) packed->records_lost;
	pane->datagrams_lost += (int32_t) packed->datagrams_lost;
	pane->datagrams_dropped += (int32_t) packed->datagrams_dropped;
	pane->records_lost_before += (uint32_t) packed->records_lost_before;
	pane->datagrams_lost_before += (uint32_t) packed->datagrams_lost_before;
	pane->datagrams_dropped_before += (uint32_t) packed->datagrams_dropped_before;
	if (table != NULL)
		table->left_out += packed->left_out;
}

/* Records of groups for which there is no room were added once, and are not any more. */
static void
restore_rows(BsPartial *partial, BsArena *arena, const BsProgram *program, BsWriter *writer,
			 BsUnpacker *unpacker, const BsUnpacked *unpacked)
{
	uint64_t overflowed = unpacked->nrecords;
	uint64_t bytes;
	BsTable *table;
	BsPane *pane = bs_partial_take_pane(partial, arena, program, unpacked->pane.window,
										unpacked->nrows, &table);

	if (table != NULL)
	{
		bytes = table->bytes;
		writer->gather_other = partial->gather_other != 0;
		writer->ngathered = 0;
		overflowed = bs_unpacked_merge(unpacker, arena, table, writer, partial->max_groups);
		bs_table_count_records(table, unpacked->nrecords - overflowed);
		partial->bytes += table->bytes - bytes;
		partial->last_rows = table->nrows;
		writer->gather_other = false;
	}
	partial->overflowed += overflowed;
	partial->records -= overflowed;
	if (pane != NULL)
		pane->overflowed += overflowed;
}

void
bs_partial_restore(BsPartial *partial, BsArena *arena, const BsProgram *program, BsWriter *writer,
				   BsUnpacker *unpacker, const BsUnpacked *unpacked, int64_t shift_usec)
{
	switch (unpacked->kind)
	{
		case BS_PACK_PARTIAL:
			restore_head(partial, &unpacked->partial);
			break;
		case BS_PACK_SOURCES:
			for (uint32_t i = 0; i < unpacked->nsources; i++)
			{
				BsSource source = unpacked->sources[i];

				source.last_heard = bs_time_plus(source.last_heard, shift_usec);
				bs_source_heard(partial, arena, source);
			}
			break;
		case BS_PACK_PANE:
			restore_pane(partial, arena, program, &unpacked->pane);
			break;
		case BS_PACK_ROWS:
			restore_rows(partial, arena, program, writer, unpacker, unpacked);
			break;
		case BS_PACK_END:
			break;
	}
}
