/* SPDX-License-Identifier: PostgreSQL */
/* groupvalues.c: the values of a set by group.  See groupvalues.h. */
#include "groupvalues.h"

#include "writer.h"

uint32_t
bs_groupvalues_count(BsArena *arena, BsTable *table, const BsProgram *program, uint32_t set)
{
	const BsTable *values = bs_table_set(arena, table, program, set, false);

	return values != NULL ? values->nrows : 0;
}

void
bs_groupvalues_list(BsGroupValues *values, BsArena *arena, BsTable *table, const BsProgram *program,
					BsWriter *writer, uint32_t set)
{
	const BsProgram *rows = program->sets[set].rows;
	const BsTable *from = bs_table_set(arena, table, program, set, false);
	uint32_t value = 0;

	for (uint32_t chunk = 0; from != NULL && chunk < from->nchunks; chunk++)
	{
		uint32_t nrows = bs_table_chunk_rows(from, &rows->layout, chunk);

		bs_keys_pack_groups(writer->keys, program, rows, arena, bs_table_chunk(arena, from, chunk),
							nrows);
		bs_table_find(arena, table, program, writer->keys, bs_table_ngroups(table), writer->numbers);
		for (uint32_t i = 0; i < nrows; i++)
		{
			uint32_t group = writer->numbers[i];

			value++;
			/* A group that found no room. */
			if (group == BS_NO_ROW)
				continue;
			group = bs_row_ordinal(&program->layout, group);
			values->next[value - 1] = values->first[group];
			values->first[group] = value;
		}
	}
}

const uint8_t *
bs_groupvalues_cell(BsArena *arena, BsTable *table, const BsProgram *program, uint32_t set,
					uint32_t value)
{
	const BsProgram *rows = program->sets[set].rows;
	const BsTable *from = bs_table_set(arena, table, program, set, false);
	uint32_t per_chunk = bs_rows_per_chunk(&rows->layout);
	uint32_t number = (value - 1) / per_chunk << BS_ROW_SHIFT | (value - 1) % per_chunk;

	return bs_table_row(arena, from, rows, number) + rows->keys[program->nkeys].offset;
}
