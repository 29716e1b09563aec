/* SPDX-License-Identifier: PostgreSQL */
/* translate.c: rows of an older program as rows of a newer one.  See translate.h. */
#include "translate.h"

#include <string.h>

#include "writer.h"

BsRowPlaces
bs_row_places(const BsProgram *program)
{
	return (BsRowPlaces){.layout = program->layout,
						 .key_bytes = program->key_bytes,
						 .null_offset = program->null_offset,
						 .count_offset = program->count_offset};
}

BsStatePlace
bs_state_place(const BsAggregate *aggregate)
{
	return (BsStatePlace){
		.offset = aggregate->offset,
		.bytes = (uint16_t) bs_aggregate_state_bytes(aggregate->kind, aggregate->type),
		.carry_offset = aggregate->kind == BS_AGG_SUM_INT ? aggregate->carry_offset : 0,
		.flags_offset = aggregate->flags_offset,
		.seen_mask = aggregate->seen_mask,
		.overflow_mask = aggregate->overflow_mask,
		.set = aggregate->set};
}

static void
move_state(const BsStateMove *move, const uint8_t *from, uint8_t *to)
{
	uint32_t flags = *(const uint32_t *) (from + move->from.flags_offset);
	uint32_t *to_flags = (uint32_t *) (to + move->to.flags_offset);

	if ((flags & move->from.seen_mask) != 0)
		*to_flags |= move->to.seen_mask;
	if ((flags & move->from.overflow_mask) != 0)
		*to_flags |= move->to.overflow_mask;
	memcpy(to + move->to.offset, from + move->from.offset, move->from.bytes);
	if (move->from.carry_offset != 0)
		memcpy(to + move->to.carry_offset, from + move->from.carry_offset, sizeof(int32_t));
}

/* Keys of a row to their new places; a row of a set has its NULL bits elsewhere. */
static void
move_keys(const BsTranslation *translation, const uint8_t *from, uint8_t *to, uint32_t null_offset)
{
	for (uint32_t k = 0; k < translation->nkeys; k++)
	{
		const BsKeyMove *move = &translation->key_moves[k];
		uint8_t bit = (uint8_t) (1u << (move->to % 8));

		memcpy(to + move->to_offset, from + move->from_offset, move->width);
		to[null_offset + move->to / 8] &= (uint8_t) ~bit;
		if ((from[null_offset + move->from / 8] & (1u << (move->from % 8))) != 0)
			to[null_offset + move->to / 8] |= bit;
	}
}

void
bs_translate_rows(const BsTranslation *translation, const uint8_t *from, uint32_t nrows, uint8_t *to)
{
	uint32_t from_bytes = translation->from.layout.row_bytes;
	uint32_t to_bytes = translation->to.layout.row_bytes;

	memset(to, 0, (size_t) nrows * to_bytes);
	for (uint32_t i = 0; i < nrows; i++, from += from_bytes, to += to_bytes)
	{
		memcpy(to, from, translation->to.key_bytes);
		if (translation->reordered)
			move_keys(translation, from, to, translation->to.null_offset);
		memcpy(to + translation->to.count_offset, from + translation->from.count_offset,
			   sizeof(uint64_t));
		for (uint32_t m = 0; m < translation->nmoves; m++)
			move_state(&translation->moves[m], from, to);
	}
}

uint64_t
bs_table_merge_older_chunk(BsArena *arena, BsTable *into, const BsProgram *program, BsWriter *writer,
						   const BsTranslation *translation, BsArena *from_arena, const BsTable *from,
						   uint32_t chunk, uint64_t max_rows)
{
	const uint8_t *rows = bs_table_chunk(from_arena, from, chunk);
	uint32_t nrows = bs_table_chunk_rows(from, &translation->from.layout, chunk);
	uint32_t slice = writer->capacity < translation->rows_capacity ? writer->capacity : translation->rows_capacity;
	uint64_t overflowed = 0;

	for (uint32_t first = 0, n; first < nrows; first += n)
	{
		n = nrows - first < slice ? nrows - first : slice;
		bs_translate_rows(translation, rows + (size_t) first * translation->from.layout.row_bytes, n,
						  translation->rows);
		overflowed += bs_table_merge_rows(arena, into, program, writer, from_arena, translation->rows,
										  n, max_rows);
	}
	return overflowed;
}

/* Rows of a set: all as it was but for the keys. */
static bool
merge_set_rows(BsArena *arena, BsTable *into, const BsProgram *program, BsWriter *writer,
			   const BsTranslation *translation, BsArena *from_arena, const BsTable *source, uint32_t set,
			   uint32_t chunk, uint64_t max_rows)
{
	const BsProgram *rows = program->sets[set].rows;
	const uint8_t *from;
	uint32_t nrows;
	uint32_t slice = writer->capacity < translation->rows_capacity ? writer->capacity : translation->rows_capacity;

	if (chunk >= source->nchunks)
		return false;
	from = bs_table_chunk(from_arena, source, chunk);
	nrows = bs_table_chunk_rows(source, &rows->layout, chunk);
	for (uint32_t first = 0, n; first < nrows; first += n)
	{
		n = nrows - first < slice ? nrows - first : slice;
		memcpy(translation->rows, from + (size_t) first * rows->row_bytes, (size_t) n * rows->row_bytes);
		for (uint32_t i = 0; i < n; i++)
			move_keys(translation, from + (size_t) (first + i) * rows->row_bytes,
					  translation->rows + (size_t) i * rows->row_bytes, rows->null_offset);
		bs_table_merge_set_rows(arena, into, program, writer, from_arena, translation->rows, n, set,
								max_rows);
	}
	return true;
}

bool
bs_table_merge_older_set_chunk(BsArena *arena, BsTable *into, const BsProgram *program,
							   BsWriter *writer, const BsTranslation *translation, BsArena *from_arena,
							   BsTable *from, uint32_t set, uint32_t chunk, uint64_t max_rows)
{
	int32_t older = translation->set_from[set];
	const uint64_t *sets = from->sets != 0 ? bs_arena_at(from_arena, from->sets) : NULL;

	if (older == 0 || sets == NULL || sets[older - 1] == 0)
		return false;
	return merge_set_rows(arena, into, program, writer, translation, from_arena,
						  bs_arena_at(from_arena, sets[older - 1]), set, chunk, max_rows);
}

void
bs_partial_inherit_counters(BsPartial *into, const BsPartial *from)
{
	into->records += from->records;
	into->received += from->received;
	into->filtered += from->filtered;
	into->late += from->late;
	into->future += from->future;
	into->untimed += from->untimed;
	into->overflowed += from->overflowed;
	into->errors += from->errors;
	into->unknown_rate += from->unknown_rate;
	into->sources_refused += from->sources_refused;
	into->clamped += from->clamped;
	into->late_bytes += from->late_bytes;
	into->has_late_bytes |= from->has_late_bytes;
	if (into->last_error == BS_ERROR_NONE)
		into->last_error = from->last_error;
}

void
bs_partial_inherit_sources(BsPartial *into, BsPartial *from)
{
	uint64_t bytes =
		from->sources != 0 ? bs_arena_block_bytes(from->sources_capacity * sizeof(BsSource)) : 0;

	into->sources = from->sources;
	into->nsources = from->nsources;
	into->sources_capacity = from->sources_capacity;
	into->bytes += bytes;
	from->sources = 0;
	from->nsources = from->sources_capacity = 0;
	from->bytes -= bytes;
}
