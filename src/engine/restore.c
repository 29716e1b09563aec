/* SPDX-License-Identifier: PostgreSQL */
/*
 * restore.c: packed partials back into partials.  See pack.h.
 *
 * Several writers may come back as one, each with panes of its own.  What a window of several panes has lost is
 * told by its first pane and its last (BsPane), so that each pane has to stand for all writers: for one that did not
 * have it too, as if that writer had opened it with its next pane and closed it with the one before.
 */
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

/* ---------- losses ---------- */

static BsLossMarks
marks_plus(BsLossMarks marks, BsLossMarks more)
{
	for (uint32_t i = 0; i < 3; i++)
		marks.of[i] += more.of[i];
	return marks;
}

/* What its partial had noted when a pane was opened. */
static BsLossMarks
marks_before(const BsPane *pane)
{
	return (BsLossMarks){{pane->records_lost_before, pane->datagrams_lost_before, pane->datagrams_dropped_before}};
}

/* And when it was closed, or has by now. */
static BsLossMarks
marks_end(const BsPane *pane)
{
	BsLossMarks lost = {
		{(uint32_t) pane->records_lost, (uint32_t) pane->datagrams_lost, (uint32_t) pane->datagrams_dropped}};

	return marks_plus(marks_before(pane), lost);
}

static BsLossMarks
marks_of_partial(const BsPartial *partial)
{
	return (BsLossMarks){{partial->records_lost, partial->datagrams_lost, partial->datagrams_dropped}};
}

/*
 * A writer without this pane: last_end is of the pane before that it had, next_before of the next one; NULL: there is
 * none.  While both of these were open this one was, too, if windows have several panes; else nothing asks for more
 * than what was noted at the pane itself.
 */
static void
pane_add_absent(BsPane *pane, const BsProgram *program, const BsLossMarks *last_end,
				const BsLossMarks *next_before, BsLossMarks total)
{
	bool of_several = program->windowing.size_usec > program->windowing.pane_usec;
	BsLossMarks before = next_before != NULL ? *next_before : last_end != NULL ? *last_end : total;
	int32_t lost[3] = {0};

	for (uint32_t i = 0; i < 3 && of_several && last_end != NULL; i++)
		if ((int32_t) (last_end->of[i] - before.of[i]) > 0)
			lost[i] = (int32_t) (last_end->of[i] - before.of[i]);
	pane->records_lost_before += before.of[0];
	pane->datagrams_lost_before += before.of[1];
	pane->datagrams_dropped_before += before.of[2];
	pane->records_lost = bs_loss_plus(pane->records_lost, lost[0]);
	pane->datagrams_lost = bs_loss_plus(pane->datagrams_lost, lost[1]);
	pane->datagrams_dropped = bs_loss_plus(pane->datagrams_dropped, lost[2]);
}

/* The panes of other writers before this time that this one did not have; next_before as above. */
static void
pass_others(BsPartial *partial, BsArena *arena, const BsProgram *program, BsRestoring *restoring, int64_t before,
			const BsLossMarks *next_before)
{
	for (uint32_t i = bs_partial_position(partial, arena, restoring->next); i < partial->npanes; i++)
	{
		BsPane *pane = bs_partial_pane_at(partial, arena, i);

		if (pane->start >= before)
			break;
		restoring->others_end = marks_end(pane);
		restoring->any_others_end = true;
		pane_add_absent(pane, program, restoring->any_end ? &restoring->end : NULL, next_before,
						restoring->total);
	}
}

/* A pane that was just made, of no writer yet: what the others come to. */
static void
begin_pane(BsPartial *partial, BsArena *arena, const BsProgram *program, const BsRestoring *restoring, BsPane *pane)
{
	uint32_t next = bs_partial_position(partial, arena, pane->start) + 1;
	BsLossMarks next_before;
	bool any_next = next < partial->npanes;

	if (any_next)
		next_before = marks_before(bs_partial_pane_at(partial, arena, next));
	pane->records_lost_before = pane->datagrams_lost_before = pane->datagrams_dropped_before = 0;
	pane_add_absent(pane, program, restoring->any_others_end ? &restoring->others_end : NULL,
					any_next ? &next_before : NULL, restoring->others);
}

static void
restore_losses(BsPane *pane, const BsPackedPane *packed, BsRestoring *restoring)
{
	BsPane mine = {.records_lost = (int32_t) packed->records_lost,
				   .datagrams_lost = (int32_t) packed->datagrams_lost,
				   .datagrams_dropped = (int32_t) packed->datagrams_dropped,
				   .records_lost_before = (uint32_t) packed->records_lost_before,
				   .datagrams_lost_before = (uint32_t) packed->datagrams_lost_before,
				   .datagrams_dropped_before = (uint32_t) packed->datagrams_dropped_before};

	pane->records_lost = bs_loss_plus(pane->records_lost, mine.records_lost);
	pane->datagrams_lost = bs_loss_plus(pane->datagrams_lost, mine.datagrams_lost);
	pane->datagrams_dropped = bs_loss_plus(pane->datagrams_dropped, mine.datagrams_dropped);
	pane->records_lost_before += mine.records_lost_before;
	pane->datagrams_lost_before += mine.datagrams_lost_before;
	pane->datagrams_dropped_before += mine.datagrams_dropped_before;
	restoring->end = marks_end(&mine);
	restoring->any_end = true;
}

void
bs_partial_restored(BsPartial *partial, BsArena *arena, const BsProgram *program, BsRestoring *restoring)
{
	if (restoring->begun)
		pass_others(partial, arena, program, restoring, BS_TIME_INFINITY, NULL);
	*restoring = (BsRestoring){0};
}

/* ---------- messages ---------- */

static void
restore_head(BsPartial *partial, const BsPartial *packed, BsRestoring *restoring)
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
	*restoring = (BsRestoring){.begun = true,
							   .next = BS_TIME_NEG_INFINITY,
							   .total = marks_of_partial(packed),
							   .others = marks_of_partial(partial)};
	partial->records_lost += packed->records_lost;
	partial->datagrams_lost += packed->datagrams_lost;
	partial->datagrams_dropped += packed->datagrams_dropped;
}

/* Its records come with its rows. */
static void
restore_pane(BsPartial *partial, BsArena *arena, const BsProgram *program, BsWriter *writer,
			 const BsPackedPane *packed, BsRestoring *restoring)
{
	BsLossMarks before = {{(uint32_t) packed->records_lost_before, (uint32_t) packed->datagrams_lost_before,
						   (uint32_t) packed->datagrams_dropped_before}};
	bool is_new = bs_partial_pane(partial, arena, packed->window) == NULL;
	uint32_t expected = packed->ngroups < UINT32_MAX / 4 ? (uint32_t) packed->ngroups : 0;
	BsTable *table = NULL;
	BsPane *pane;

	pass_others(partial, arena, program, restoring, packed->window, &before);
	/* A table says that there are records. */
	if (packed->ngroups > 0 || packed->left_out > 0)
		pane = bs_partial_take_pane(partial, arena, program, writer, packed->window, expected, &table);
	else
		pane = bs_partial_make_pane(partial, arena, packed->window);
	if (pane == NULL)
		return;
	if (is_new)
		begin_pane(partial, arena, program, restoring, pane);
	else
	{
		restoring->others_end = marks_end(pane);
		restoring->any_others_end = true;
	}
	restore_losses(pane, packed, restoring);
	restoring->next = packed->window < BS_TIME_INFINITY ? packed->window + 1 : packed->window;
	pane->gap |= packed->gap;
	pane->late += packed->late;
	pane->overflowed += packed->overflowed;
	pane->errors = (pane->errors + packed->errors) & BS_PANE_MAX_ERRORS;
	bs_pane_note_nodes(pane, packed->nodes_expected, packed->nodes_missing);
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
	BsPane *pane = bs_partial_take_pane(partial, arena, program, writer, unpacked->pane.window,
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
				   BsUnpacker *unpacker, const BsUnpacked *unpacked, int64_t shift_usec,
				   BsRestoring *restoring)
{
	switch (unpacked->kind)
	{
		case BS_PACK_PARTIAL:
			restore_head(partial, &unpacked->partial, restoring);
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
			restore_pane(partial, arena, program, writer, &unpacked->pane, restoring);
			break;
		case BS_PACK_ROWS:
			restore_rows(partial, arena, program, writer, unpacker, unpacked);
			break;
		case BS_PACK_END:
			break;
	}
}
