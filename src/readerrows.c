/* SPDX-License-Identifier: PostgreSQL */
/* readerrows.c: groups that are loaded, and rows of them.  See readerrows.h. */
#include "backstream.h"

#include "finals.h"
#include "readerrows.h"

/* ---------- groups ---------- */

static const void *
resolve(void *context, uint64_t offset)
{
	return bs_arena_at(context, offset);
}

/* The other group is there though it has no records. */
static bool
is_empty(const BsProgram *program, const uint8 *row)
{
	return *(const uint64 *) (row + program->count_offset) == 0;
}

/* The next chunk of groups; false after the last. */
static bool
next_chunk(BsReader *reader)
{
	BsReaderRows *rows = reader->rows;
	const BsTable *table = rows->data->table;
	uint32 chunk = rows->next_chunk;

	if (chunk >= table->nchunks)
		return false;
	rows->next_chunk++;
	rows->at = bs_table_chunk(rows->data->arena, table, chunk);
	rows->number = chunk << BS_ROW_SHIFT;
	rows->nleft = bs_table_chunk_rows(table, &reader->view->program.layout, chunk);
	return true;
}

/* The next group in the table of groups; false after the last. */
bool
bs_reader_group(BsReader *reader, BsGroupAt *group)
{
	BsReaderRows *rows = reader->rows;
	const BsTable *table = rows->data->table;
	const BsProgram *program = &reader->view->program;

	if (rows->zero_row_due)
	{
		rows->zero_row_due = false;
		*group = (BsGroupAt){.row = rows->zero_row, .ordinal = BS_NO_ROW};
		return true;
	}
	if (table == NULL)
		return false;
	do
	{
		while (rows->nleft == 0)
			if (!next_chunk(reader))
				return false;
		*group = (BsGroupAt){.row = rows->at, .ordinal = rows->ordinal++};
		rows->at += program->row_bytes;
		rows->number++;
		rows->nleft--;
	} while (rows->number == table->other && is_empty(program, group->row));
	reader->groups_read++;
	return true;
}

/* ---------- rows ---------- */

static void
list_used(BsReader *reader)
{
	BsReaderRows *rows = reader->rows;
	int ncolumns = reader->view->nscan + rows->nstates;

	rows->used = MemoryContextAlloc(reader->context, sizeof(int) * (Size) (ncolumns + 1));
	rows->nused = 0;
	for (int i = 0; i < ncolumns; i++)
	{
		rows->scan->tts_isnull[i] = true;
		if (rows->scan_level[i] != BS_COLUMN_UNUSED)
			rows->used[rows->nused++] = i;
	}
}

static BsGroupRow
group_row(const BsReader *reader, BsGroupAt from, int64 window)
{
	const BsReaderRows *rows = reader->rows;

	return (BsGroupRow){.row = from.row,
						.ordinal = from.ordinal,
						.sets = &rows->sets,
						.window = window,
						.resolve = resolve,
						.context = rows->data != NULL ? rows->data->arena : NULL};
}

/* A column of the scan tuple; NULL where it was not counted in what is loaded. */
static Datum
column_value(BsReader *reader, const BsGroupRow *group, int column, bool *isnull)
{
	BsReaderRows *rows = reader->rows;
	const bool *lacks = rows->data != NULL ? rows->data->lacks : NULL;
	int state = column - reader->view->nscan;

	if (state < 0)
	{
		*isnull = lacks != NULL && lacks[column];
		return *isnull ? (Datum) 0 : bs_finals_column(reader->view, column, group, isnull);
	}
	*isnull = false;
	if (lacks != NULL && lacks[rows->state_columns[state]])
		return bs_columnstate_lacking();
	return bs_columnstate_pack(&rows->states[state], reader->view, group);
}

/* Put the columns of this level and below into the scan tuple. */
static void
fill_scan(BsReader *reader, const BsGroupRow *group, BsReadLevel level)
{
	BsReaderRows *rows = reader->rows;
	TupleTableSlot *scan = rows->scan;

	if (rows->used == NULL)
		list_used(reader);
	ExecClearTuple(scan);
	for (int i = 0; i < rows->nused; i++)
	{
		int column = rows->used[i];

		scan->tts_isnull[column] = true;
		if (rows->scan_level[column] <= level)
			scan->tts_values[column] = column_value(reader, group, column, &scan->tts_isnull[column]);
	}
	ExecStoreVirtualTuple(scan);
}

/* The row itself, without a scan tuple. */
static TupleTableSlot *
fill_row(BsReader *reader, const BsGroupRow *group)
{
	BsReaderRows *rows = reader->rows;
	TupleTableSlot *row = rows->projection->pi_state.resultslot;

	ExecClearTuple(row);
	for (int i = 0; i < rows->nas_is; i++)
	{
		BsShownAsIs shown = rows->as_is[i];

		row->tts_values[shown.column] =
			column_value(reader, group, shown.of_scan, &row->tts_isnull[shown.column]);
	}
	return ExecStoreVirtualTuple(row);
}

/* The scan tuple as far as it is asked for at this level.  Lives until the ExprContext is reset. */
TupleTableSlot *
bs_reader_scan_tuple(BsReader *reader, BsGroupAt group, int64 window, BsReadLevel level)
{
	BsReaderRows *rows = reader->rows;
	MemoryContext outer = MemoryContextSwitchTo(rows->econtext->ecxt_per_tuple_memory);
	BsGroupRow row = group_row(reader, group, window);

	fill_scan(reader, &row, level);
	MemoryContextSwitchTo(outer);
	return rows->scan;
}

/* The row of a group; NULL when HAVING is not true.  Lives until the ExprContext is reset. */
TupleTableSlot *
bs_reader_row(BsReader *reader, BsGroupAt group)
{
	BsReaderRows *rows = reader->rows;

	if (rows->as_is != NULL)
	{
		MemoryContext outer = MemoryContextSwitchTo(rows->econtext->ecxt_per_tuple_memory);
		BsGroupRow from = group_row(reader, group, rows->shown);
		TupleTableSlot *row = fill_row(reader, &from);

		MemoryContextSwitchTo(outer);
		return row;
	}
	bs_reader_scan_tuple(reader, group, rows->shown, BS_LEVEL_ALL);
	if (rows->having == NULL || ExecQual(rows->having, rows->econtext))
		return ExecProject(rows->projection);
	reader->groups_without_having++;
	return NULL;
}

