/* SPDX-License-Identifier: PostgreSQL */
/*
 * merge.c: tables and partials into others of the same program.  See partial.h.
 *
 * The one merge: for a transaction's records at commit, for the writers of a window at a reader, for
 * several windows, for tests.  It needs no order and gives the same result in any (sums of floats up
 * to rounding).  States of foreign aggregates are not combined here but put side by side; ring 2
 * combines them when it reads or tidies up.
 */
#include "writer.h"

#include <string.h>

/* Bytes that a state refers to are copied to the heap of the table it comes into. */
static void
merge_any_bytes(BsArena *arena, BsTable *into, const BsAggregate *aggregate, uint8_t *row,
				BsArena *from_arena, const uint8_t *from)
{
	const BsHandle *source = bs_state_at(aggregate, from);
	BsHandle *handle = (BsHandle *) (row + aggregate->offset);

	if (!bs_state_has_value(aggregate, from) || bs_state_has_value(aggregate, row))
		return;
	handle->offset =
		bs_table_heap_put(arena, into, bs_handle_bytes(from_arena, source), source->len);
	handle->len = source->len;
	if (handle->offset != 0)
		*(uint32_t *) (row + aggregate->flags_offset) |= aggregate->seen_mask;
}

/* False when memory is out: the state then lacks a part, which the row's overflow bit says. */
static void
merge_blobs(BsArena *arena, BsTable *into, const BsAggregate *aggregate, uint8_t *row,
			BsArena *from_arena, const uint8_t *from)
{
	const BsHandle *source = bs_state_at(aggregate, from);
	BsHandle *handle = (BsHandle *) (row + aggregate->offset);
	uint32_t *flags = (uint32_t *) (row + aggregate->flags_offset);
	uint64_t offset = source->offset;

	*flags |= *(const uint32_t *) (from + aggregate->flags_offset) & aggregate->overflow_mask;
	while (offset != 0)
	{
		const BsBlob *blob = bs_arena_at(from_arena, offset);

		if (bs_handle_append(arena, into, handle, blob->data, blob->len))
			*flags |= aggregate->seen_mask;
		else
			*flags |= aggregate->overflow_mask;
		offset = blob->next;
	}
}

static void
merge_row(BsArena *arena, BsTable *into, const BsProgram *program, uint8_t *row,
		  BsArena *from_arena, const uint8_t *from)
{
	*(uint64_t *) (row + program->count_offset) += *(const uint64_t *) (from + program->count_offset);
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		const BsAggregate *aggregate = &program->aggregates[a];

		if (aggregate->set != 0)
			continue;
		if (aggregate->kind == BS_AGG_FOREIGN)
			merge_blobs(arena, into, aggregate, row, from_arena, from);
		else if (aggregate->kind == BS_AGG_ANY && aggregate->type == BS_BYTES)
			merge_any_bytes(arena, into, aggregate, row, from_arena, from);
		else
			bs_aggregate_combine(aggregate, row, from);
	}
}

/* Is all that a row has of its group in the row, and of no set? */
static bool
stands_alone(const BsProgram *program)
{
	if (program->nsets > 0)
		return false;
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		const BsAggregate *aggregate = &program->aggregates[a];

		if (aggregate->kind == BS_AGG_FOREIGN ||
			(aggregate->kind == BS_AGG_ANY && aggregate->type == BS_BYTES))
			return false;
	}
	return true;
}

/* The number of the row after this one. */
static inline uint32_t
next_number(uint32_t number, uint32_t per_chunk)
{
	return (number & BS_ROW_MASK) + 1 < per_chunk ? number + 1 : ((number >> BS_ROW_SHIFT) + 1) << BS_ROW_SHIFT;
}

uint64_t
bs_table_merge_rows(BsArena *arena, BsTable *into, const BsProgram *program, BsWriter *writer,
					BsArena *from_arena, const uint8_t *rows, uint32_t nrows, uint64_t max_rows)
{
	uint32_t value_bytes = program->row_bytes - program->key_bytes;
	uint32_t per_chunk = bs_rows_per_chunk(&program->layout);
	uint32_t fresh = BS_NO_ROW - 1; /* which is none */
	uint64_t overflowed = 0;

	if (program->nkeys > 0 && stands_alone(program))
		fresh = into->nrows / per_chunk << BS_ROW_SHIFT | into->nrows % per_chunk;
	bs_keys_pack_rows(writer->keys, program, from_arena, rows, nrows);
	bs_table_find(arena, into, program, writer->keys, max_rows, writer->numbers);
	for (uint32_t i = 0; i < nrows; i++, rows += program->row_bytes)
	{
		uint32_t number = writer->numbers[i];
		uint64_t records = *(const uint64_t *) (rows + program->count_offset);
		/* Groups are made in the order of the rows: the first row of each that is new is the group. */
		bool first = number == fresh;

		if (number == BS_NO_ROW && writer->gather_other)
			number = bs_table_other(arena, into, program);
		if (number != BS_NO_ROW && number + 1 == into->other)
			writer->ngathered += records;
		if (number == BS_NO_ROW)
			overflowed += records;
		else if (first)
		{
			memcpy(bs_table_row(arena, into, program, number) + program->key_bytes,
				   rows + program->key_bytes, value_bytes);
			fresh = next_number(fresh, per_chunk);
		}
		else
			merge_row(arena, into, program, bs_table_row(arena, into, program, number), from_arena,
					  rows);
	}
	return overflowed;
}

uint64_t
bs_table_merge_chunk(BsArena *arena, BsTable *into, const BsProgram *program, BsWriter *writer,
					 BsArena *from_arena, const BsTable *from, uint32_t chunk, uint64_t max_rows)
{
	return bs_table_merge_rows(arena, into, program, writer, from_arena,
							   bs_table_chunk(from_arena, from, chunk),
							   bs_table_chunk_rows(from, &program->layout, chunk), max_rows);
}

/* ---- sets ------------------------------------------------------------------------------------- */

/* Values of groups that have become a part of the other one go with them. */
static void
gather_values(BsArena *arena, BsTable *into, const BsProgram *program, BsWriter *writer,
			  BsArena *from_arena, const uint8_t *rows, uint32_t nrows, uint32_t set)
{
	const BsProgram *set_rows = program->sets[set].rows;

	bs_keys_pack_groups(writer->keys, program, set_rows, from_arena, rows, nrows);
	bs_table_find(arena, into, program, writer->keys, bs_table_ngroups(into), writer->numbers);
	for (uint32_t i = 0; i < nrows; i++)
		if (writer->numbers[i] == BS_NO_ROW)
			bs_keys_make_other(writer->set_keys[set], set_rows, i);
}

void
bs_table_merge_set_rows(BsArena *arena, BsTable *into, const BsProgram *program, BsWriter *writer,
						BsArena *from_arena, const uint8_t *rows, uint32_t nrows, uint32_t set,
						uint64_t max_rows)
{
	const BsProgram *set_rows = program->sets[set].rows;
	BsTable *target = bs_table_set(arena, into, program, set, true);
	BsKeys *keys = writer->set_keys[set];
	uint64_t bytes;

	if (target == NULL)
	{
		into->left_out += nrows;
		return;
	}
	bs_keys_pack_rows(keys, set_rows, from_arena, rows, nrows);
	if (writer->gather_other && writer->ngathered > 0)
		gather_values(arena, into, program, writer, from_arena, rows, nrows, set);
	bytes = target->bytes;
	bs_table_find(arena, target, set_rows, keys, max_rows, writer->numbers);
	for (uint32_t i = 0; i < nrows; i++)
		into->left_out += writer->numbers[i] == BS_NO_ROW;
	into->bytes += target->bytes - bytes;
}

bool
bs_table_merge_set_chunk(BsArena *arena, BsTable *into, const BsProgram *program, BsWriter *writer,
						 BsArena *from_arena, BsTable *from, uint32_t set, uint32_t chunk,
						 uint64_t max_rows)
{
	const BsTable *source = bs_table_set(from_arena, from, program, set, false);

	if (source == NULL || chunk >= source->nchunks)
		return false;
	bs_table_merge_set_rows(arena, into, program, writer, from_arena,
							bs_table_chunk(from_arena, source, chunk),
							bs_table_chunk_rows(source, &program->sets[set].rows->layout, chunk), set,
							max_rows);
	return true;
}

void
bs_table_merge_sets(BsArena *arena, BsTable *into, const BsProgram *program, BsWriter *writer,
					BsArena *from_arena, BsTable *from, uint64_t max_rows)
{
	into->left_out += from->left_out;
	for (uint32_t set = 0; set < program->nsets; set++)
	{
		uint32_t chunk = 0;

		while (bs_table_merge_set_chunk(arena, into, program, writer, from_arena, from, set, chunk,
										max_rows))
			chunk++;
	}
}

/* Values whose group is not there (it found no room) are passed over. */
static void
fold_chunk(BsArena *arena, BsTable *table, const BsProgram *program, BsWriter *writer, uint32_t set,
		   const uint8_t *rows, uint32_t nrows)
{
	const BsProgram *set_rows = program->sets[set].rows;
	const BsKey *value = &set_rows->keys[program->nkeys];
	BsLane *lane = &writer->set_values[set];
	BsRows found = {.rows = writer->selection};

	bs_keys_pack_groups(writer->keys, program, set_rows, arena, rows, nrows);
	bs_table_find(arena, table, program, writer->keys, bs_table_ngroups(table), writer->numbers);
	for (uint32_t i = 0; i < nrows; i++)
	{
		if (writer->numbers[i] == BS_NO_ROW)
			continue;
		writer->row_at[found.nrows] = bs_table_row(arena, table, program, writer->numbers[i]);
		bs_cell_unpack(value->type, rows + (size_t) i * set_rows->row_bytes + value->offset, arena, lane,
					   found.nrows);
		writer->selection[found.nrows] = (uint16_t) found.nrows;
		found.nrows++;
	}
	for (uint32_t a = 0; found.nrows > 0 && a < program->naggregates; a++)
	{
		const BsAggregate *aggregate = &program->aggregates[a];

		if (aggregate->set != set + 1)
			continue;
		for (uint32_t i = 0; i < found.nrows && aggregate->kind == BS_AGG_SUM_INT; i++)
			*(uint32_t *) (writer->row_at[i] + aggregate->flags_offset) |= aggregate->seen_mask;
		bs_aggregate_accumulate(aggregate, writer->row_at, lane, NULL, found);
	}
}

void
bs_table_fold_sets(BsArena *arena, BsTable *table, const BsProgram *program, BsWriter *writer)
{
	for (uint32_t set = 0; set < program->nsets; set++)
	{
		const BsTable *values = bs_table_set(arena, table, program, set, false);
		const BsLayout *layout = &program->sets[set].rows->layout;

		for (uint32_t chunk = 0; values != NULL && chunk < values->nchunks; chunk++)
			fold_chunk(arena, table, program, writer, set, bs_table_chunk(arena, values, chunk),
					   bs_table_chunk_rows(values, layout, chunk));
	}
}

/* ---- partials --------------------------------------------------------------------------------- */

/* What program->late_sum has in all groups. */
static int64_t
sum_of_table(BsArena *arena, const BsTable *table, const BsProgram *program)
{
	const BsAggregate *aggregate = &program->aggregates[program->late_sum - 1];
	uint64_t sum = 0;

	for (uint32_t chunk = 0; chunk < table->nchunks; chunk++)
	{
		const uint8_t *rows = bs_table_chunk(arena, table, chunk);
		uint32_t nrows = bs_table_chunk_rows(table, &program->layout, chunk);

		for (uint32_t i = 0; i < nrows; i++)
			sum += (uint64_t) bs_state_sum(aggregate, rows + (size_t) i * program->row_bytes);
	}
	return (int64_t) sum;
}

/* Add a pane of another partial; its records are late when the pane is closed here. */
static void
merge_pane(BsPartial *into, BsArena *arena, const BsProgram *program, BsWriter *writer,
		   const BsPane *pane, BsArena *from_arena)
{
	BsTable *from = pane->table != 0 ? bs_arena_at(from_arena, pane->table) : NULL;
	uint64_t nrecords = bs_pane_records(pane, from_arena);
	bool late = program->windowed && pane->start < into->closed_before;
	uint64_t overflowed = 0;
	BsTable *table;
	BsPane *mine;
	uint64_t bytes;

	if (late)
	{
		bs_partial_count_late(into, arena, &program->windowing, pane->start, nrecords);
		if (program->late_sum != 0 && from != NULL)
			into->late_bytes += sum_of_table(from_arena, from, program);
		return;
	}
	mine = bs_partial_take_pane(into, arena, program, writer, pane->start, from != NULL ? from->nrows : 0,
								&table);
	if (mine == NULL || (table == NULL && from != NULL))
	{
		into->overflowed += nrecords;
		if (mine != NULL)
			mine->overflowed += nrecords;
		return;
	}
	bytes = table != NULL ? table->bytes : 0;
	writer->gather_other = into->gather_other != 0;
	writer->ngathered = 0;
	for (uint32_t chunk = 0; from != NULL && chunk < from->nchunks; chunk++)
		overflowed += bs_table_merge_chunk(arena, table, program, writer, from_arena, from, chunk,
										   into->max_groups);
	if (from != NULL)
		bs_table_merge_sets(arena, table, program, writer, from_arena, from,
							bs_max_values(into->max_groups, writer->gather_other));
	writer->gather_other = false;
	into->bytes += (table != NULL ? table->bytes : 0) - bytes;
	into->records += nrecords - overflowed;
	into->overflowed += overflowed;
	if (table != NULL)
		bs_table_count_records(table, nrecords - overflowed);
	mine->overflowed += pane->overflowed + overflowed;
	mine->errors += pane->errors;
	bs_pane_note_nodes(mine, (uint32_t) pane->nodes_expected, (uint32_t) pane->nodes_missing);
}

void
bs_partial_merge(BsPartial *into, BsArena *arena, const BsProgram *program, BsWriter *writer,
				 const BsPartial *from, BsArena *from_arena, int64_t heard)
{
	for (uint32_t i = 0; i < from->npanes; i++)
		merge_pane(into, arena, program, writer, bs_partial_pane_at(from, from_arena, i), from_arena);
	into->received += from->received;
	into->filtered += from->filtered;
	into->untimed += from->untimed;
	into->future += from->future;
	into->errors += from->errors;
	into->late += from->late;
	into->overflowed += from->overflowed;
	into->unknown_rate += from->unknown_rate;
	into->clamped += from->clamped;
	into->late_bytes += from->late_bytes;
	into->sources_refused += from->sources_refused;
	if (from->last_error != BS_ERROR_NONE)
		into->last_error = from->last_error;
	bs_sources_merge(into, arena, from, from_arena, heard);
}
