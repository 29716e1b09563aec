/* SPDX-License-Identifier: PostgreSQL */
/* pack.c: partials into messages.  See pack.h. */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

#include "groupvalues.h"
#include "packcolumn.h"
#include "packlayout.h"
#include "packmessage.h"

struct BsPacker
{
	const BsProgram *program;
	uint64_t fingerprint;
	uint64_t nmessages;
	BsPackLayout *layouts; /* [nsets + 1] */
	uint8_t *buffer;       /* the message */
	size_t capacity;
	int64_t *values; /* [values_capacity] of one column */
	uint32_t values_capacity;
	uint8_t *row; /* a row without values */
	const uint8_t *const *chosen; /* NULL: all rows are */
	uint8_t *gathered;            /* [BS_CHUNK_BYTES] chosen rows of a chunk, */
	uint32_t *origins;            /* and where in the chunk they were */
};

/* Rows of one message. */
typedef struct Slice
{
	BsArena *arena;
	const BsPackLayout *layout;
	const uint8_t *rows;
	uint32_t nrows;
	bool whole; /* with all states outside the rows; else of the one row with these: */
	uint32_t first_state;
	uint32_t end_state;
} Slice;

#define SOURCES_PER_MESSAGE 4096u

/* ---- life ------------------------------------------------------------------------------------- */

BsPacker *
bs_packer_create(const BsProgram *program, uint64_t fingerprint)
{
	BsPacker *packer = calloc(1, sizeof(BsPacker));

	if (packer == NULL)
		return NULL;
	packer->program = program;
	packer->fingerprint = fingerprint;
	packer->layouts = bs_pack_layouts_make(program);
	packer->row = malloc(program->row_bytes);
	if (packer->layouts != NULL && packer->row != NULL)
		return packer;
	bs_packer_free(packer);
	return NULL;
}

void
bs_packer_free(BsPacker *packer)
{
	if (packer == NULL)
		return;
	bs_pack_layouts_free(packer->layouts, packer->program->nsets);
	free(packer->buffer);
	free(packer->values);
	free(packer->row);
	free(packer->gathered);
	free(packer->origins);
	free(packer);
}

void
bs_packer_choose(BsPacker *packer, const uint8_t *const *chosen)
{
	packer->chosen = chosen;
}

static bool
reserve_bytes(BsPacker *packer, size_t bytes)
{
	uint8_t *buffer;

	if (bytes <= packer->capacity)
		return true;
	buffer = realloc(packer->buffer, bytes);
	if (buffer == NULL)
		return false;
	packer->buffer = buffer;
	packer->capacity = bytes;
	return true;
}

static bool
reserve_values(BsPacker *packer, uint32_t nvalues)
{
	int64_t *values;

	if (nvalues <= packer->values_capacity)
		return true;
	values = realloc(packer->values, nvalues * sizeof(int64_t));
	if (values == NULL)
		return false;
	packer->values = values;
	packer->values_capacity = nvalues;
	return true;
}

/* ---- messages --------------------------------------------------------------------------------- */

static uint8_t *
message_begin(BsPacker *packer)
{
	return packer->buffer + BS_PACK_HEADER_BYTES;
}

static BsPackStatus
message_end(BsPacker *packer, BsPackKind kind, const uint8_t *end, BsBytes *message)
{
	size_t len = (size_t) (end - packer->buffer);
	uint8_t *out = packer->buffer;

	out = bs_bytes_put_word(out, BS_PACK_MAGIC, 4);
	out = bs_bytes_put_word(out, BS_PACK_VERSION, 2);
	out = bs_bytes_put_word(out, kind, 2);
	out = bs_bytes_put_word(out, packer->fingerprint, 8);
	out = bs_bytes_put_word(out, len, 4);
	bs_bytes_put_word(out, bs_pack_checksum(packer->buffer, len), 4);
	*message = (BsBytes){.data = packer->buffer, .len = (uint32_t) len};
	packer->nmessages++;
	return BS_PACK_OK;
}

BsPackStatus
bs_pack_end(BsPacker *packer, BsBytes *message)
{
	uint8_t *out;

	if (!reserve_bytes(packer, BS_PACK_HEADER_BYTES + 8))
		return BS_PACK_NO_MEMORY;
	out = bs_bytes_put_word(message_begin(packer), packer->nmessages, 8);
	message_end(packer, BS_PACK_END, out, message);
	packer->nmessages = 0;
	return BS_PACK_OK;
}

BsPackStatus
bs_pack_pane(BsPacker *packer, const BsPackedPane *pane, BsBytes *message)
{
	uint32_t flags = (pane->closed ? BS_PACK_CLOSED : 0) | (pane->gap ? BS_PACK_GAP : 0) |
					 (pane->nodes_expected & BS_PANE_MAX_NODES) << BS_PACK_EXPECTED_SHIFT |
					 (pane->nodes_missing & BS_PANE_MAX_NODES) << BS_PACK_MISSING_SHIFT;
	uint8_t *out;

	if (!reserve_bytes(packer, BS_PACK_HEADER_BYTES + BS_PACK_PANE_BYTES))
		return BS_PACK_NO_MEMORY;
	out = bs_bytes_put_word(message_begin(packer), (uint64_t) pane->window, 8);
	out = bs_bytes_put_word(out, (uint64_t) pane->since, 8);
	out = bs_bytes_put_word(out, flags, 4);
	for (uint32_t i = 0; i < BS_PACK_PANE_COUNTERS; i++)
	{
		uint64_t counter;

		memcpy(&counter, (const uint8_t *) pane + bs_pack_pane_counters[i], sizeof(counter));
		out = bs_bytes_put_word(out, counter, 8);
	}
	return message_end(packer, BS_PACK_PANE, out, message);
}

BsPackStatus
bs_pack_partial(BsPacker *packer, const BsPartial *partial, BsBytes *message)
{
	uint8_t *out;

	if (!reserve_bytes(packer, BS_PACK_HEADER_BYTES + BS_PACK_PARTIAL_BYTES))
		return BS_PACK_NO_MEMORY;
	out = bs_bytes_put_word(message_begin(packer), (uint64_t) partial->closed_before, 8);
	out = bs_bytes_put_word(out, (uint64_t) partial->dropped_before, 8);
	out = bs_bytes_put_word(out, partial->last_error, 4);
	out = bs_bytes_put_word(out, partial->records_lost, 4);
	out = bs_bytes_put_word(out, partial->datagrams_lost, 4);
	out = bs_bytes_put_word(out, partial->datagrams_dropped, 4);
	for (uint32_t i = 0; i < BS_PACK_PARTIAL_COUNTERS; i++)
	{
		uint64_t counter;

		memcpy(&counter, (const uint8_t *) partial + bs_pack_partial_counters[i], sizeof(counter));
		out = bs_bytes_put_word(out, counter, 8);
	}
	return message_end(packer, BS_PACK_PARTIAL, out, message);
}

BsPackStatus
bs_pack_sources(BsPacker *packer, BsArena *arena, const BsPartial *partial, BsPackPlace *place,
				BsBytes *message)
{
	const BsSource *sources = bs_arena_at(arena, partial->sources);
	int64_t *columns[BS_PACK_SOURCE_COLUMNS];
	uint32_t n = 0;
	uint8_t *out;

	*message = (BsBytes){0};
	if (!reserve_values(packer, BS_PACK_SOURCE_COLUMNS * SOURCES_PER_MESSAGE) ||
		!reserve_bytes(packer, BS_PACK_HEADER_BYTES + 4 +
								   BS_PACK_SOURCE_COLUMNS * bs_column_bound(SOURCES_PER_MESSAGE)))
		return BS_PACK_NO_MEMORY;
	for (uint32_t i = 0; i < BS_PACK_SOURCE_COLUMNS; i++)
		columns[i] = packer->values + i * SOURCES_PER_MESSAGE;
	for (; place->row < partial->sources_capacity && n < SOURCES_PER_MESSAGE; place->row++)
	{
		const BsSource *source = &sources[place->row];

		if (source->source == 0)
			continue;
		columns[0][n] = (int64_t) source->source;
		columns[1][n] = source->highest;
		columns[2][n] = source->last_heard;
		columns[3][n++] = source->largest_lateness;
	}
	if (n == 0)
		return BS_PACK_OK;
	out = bs_bytes_put_word(message_begin(packer), n, 4);
	for (uint32_t i = 0; i < BS_PACK_SOURCE_COLUMNS; i++)
		out = bs_column_pack(out, columns[i], n);
	return message_end(packer, BS_PACK_SOURCES, out, message);
}

/* ---- strings and states ----------------------------------------------------------------------- */

/* A string of a key or of an aggregate that keeps one; empty where there is none. */
static BsBytes
string_at(const Slice *slice, const BsPackField *field, const uint8_t *row)
{
	const BsProgram *program = slice->layout->program;
	BsHandle handle;

	if (field->part == BS_PACK_ANY && !bs_state_has_value(&program->aggregates[field->number], row))
		return (BsBytes){0};
	memcpy(&handle, row + field->offset, sizeof(handle));
	if (handle.offset == 0 || handle.len == 0)
		return (BsBytes){0};
	return (BsBytes){.data = bs_handle_bytes(slice->arena, &handle), .len = handle.len};
}

static const BsBlob *
first_blob(const Slice *slice, const BsPackField *field, const uint8_t *row)
{
	const BsHandle *handle = (const BsHandle *) (row + field->offset);

	return handle->offset != 0 ? bs_arena_at(slice->arena, handle->offset) : NULL;
}

static const BsBlob *
next_blob(const Slice *slice, const BsBlob *blob)
{
	return blob->next != 0 ? bs_arena_at(slice->arena, blob->next) : NULL;
}

/* What a row has outside of itself. */
typedef struct Outside
{
	size_t string_bytes;
	size_t state_bytes;
	uint32_t nstates;
} Outside;

static Outside
row_outside(const Slice *slice, const uint8_t *row)
{
	const BsPackLayout *layout = slice->layout;
	Outside outside = {0};

	for (uint32_t i = 0; layout->has_strings && i < layout->nfields; i++)
	{
		const BsPackField *field = &layout->fields[i];

		if (field->part == BS_PACK_KEY || field->part == BS_PACK_ANY)
			outside.string_bytes += string_at(slice, field, row).len;
		else if (field->part == BS_PACK_STATES)
			for (const BsBlob *blob = first_blob(slice, field, row); blob != NULL;
				 blob = next_blob(slice, blob))
			{
				outside.state_bytes += blob->len;
				outside.nstates++;
			}
	}
	return outside;
}

static uint8_t *
put_bytes(uint8_t *out, const uint8_t *data, size_t len)
{
	if (len > 0)
		memcpy(out, data, len);
	return out + len;
}

static uint8_t *
put_strings(BsPacker *packer, const Slice *slice, const BsPackField *field, uint8_t *out)
{
	uint32_t row_bytes = slice->layout->program->row_bytes;
	const uint8_t *row = slice->rows;

	for (uint32_t i = 0; i < slice->nrows; i++, row += row_bytes)
		packer->values[i] = string_at(slice, field, row).len;
	out = bs_column_pack(out, packer->values, slice->nrows);
	row = slice->rows;
	for (uint32_t i = 0; i < slice->nrows; i++, row += row_bytes)
	{
		BsBytes string = string_at(slice, field, row);

		out = put_bytes(out, string.data, string.len);
	}
	return out;
}

static bool
wants_state(const Slice *slice, uint32_t number)
{
	return slice->whole || (number >= slice->first_state && number < slice->end_state);
}

/*
 * How many parts each row's state has, their lengths, their bytes.  *passed counts the parts of a row over all
 * its states, where only some are wanted.
 */
static uint8_t *
put_states(BsPacker *packer, const Slice *slice, const BsPackField *field, uint32_t *passed,
		   uint8_t *out)
{
	uint32_t row_bytes = slice->layout->program->row_bytes;
	int64_t *lengths = packer->values + slice->nrows;
	const uint8_t *row = slice->rows;
	uint32_t n = 0;
	uint32_t before = *passed;

	for (uint32_t i = 0; i < slice->nrows; i++, row += row_bytes)
	{
		packer->values[i] = 0;
		for (const BsBlob *blob = first_blob(slice, field, row); blob != NULL;
			 blob = next_blob(slice, blob))
			if (wants_state(slice, (*passed)++))
			{
				packer->values[i]++;
				lengths[n++] = blob->len;
			}
	}
	out = bs_column_pack(out, packer->values, slice->nrows);
	if (n == 0)
		return out;
	out = bs_column_pack(out, lengths, n);
	row = slice->rows;
	for (uint32_t i = 0; i < slice->nrows; i++, row += row_bytes)
		for (const BsBlob *blob = first_blob(slice, field, row); blob != NULL;
			 blob = next_blob(slice, blob))
			if (wants_state(slice, before++))
				out = put_bytes(out, blob->data, blob->len);
	return out;
}

/* ---- rows ------------------------------------------------------------------------------------- */

#define GATHER(width, ctype)                                                                       \
	case width:                                                                                    \
		for (uint32_t i = 0; i < nrows; i++, row += row_bytes)                                     \
		{                                                                                          \
			ctype word;                                                                            \
			memcpy(&word, row, sizeof(word));                                                      \
			values[i] = word;                                                                      \
		}                                                                                          \
		break;

static void
gather_words(int64_t *values, const Slice *slice, const BsPackField *field)
{
	const uint8_t *row = slice->rows + field->offset;
	uint32_t row_bytes = slice->layout->program->row_bytes;
	uint32_t nrows = slice->nrows;

	switch (field->width)
	{
		GATHER(1, int8_t)
		GATHER(2, int16_t)
		GATHER(4, int32_t)
		GATHER(8, int64_t)
		default:
			break;
	}
}

static BsPackStatus
pack_slice(BsPacker *packer, const Slice *slice, uint32_t table, int64_t window, Outside outside,
		   BsBytes *message)
{
	const BsPackLayout *layout = slice->layout;
	/* A field has a column of a value per row, and its states one of a value per part. */
	size_t bound = BS_PACK_HEADER_BYTES + BS_PACK_ROWS_BYTES + outside.string_bytes +
				   outside.state_bytes + 8 * (size_t) outside.nstates +
				   layout->nfields * (BS_COLUMN_HEADER_BYTES + bs_column_bound(slice->nrows));
	uint32_t passed = 0;
	uint8_t *out;

	if (bound > BS_PACK_MAX_BYTES || !reserve_bytes(packer, bound) ||
		!reserve_values(packer, slice->nrows + outside.nstates))
		return BS_PACK_NO_MEMORY;
	out = bs_bytes_put_word(message_begin(packer), (uint64_t) window, 8);
	out = bs_bytes_put_word(out, table, 4);
	out = bs_bytes_put_word(out, slice->nrows, 4);
	for (uint32_t i = 0; i < layout->nfields; i++)
	{
		const BsPackField *field = &layout->fields[i];

		if (field->part == BS_PACK_STATES)
			out = put_states(packer, slice, field, &passed, out);
		else if (field->part != BS_PACK_WORD)
			out = put_strings(packer, slice, field, out);
		else
		{
			gather_words(packer->values, slice, field);
			out = bs_column_pack(out, packer->values, slice->nrows);
		}
	}
	return message_end(packer, BS_PACK_ROWS, out, message);
}

/* As many parts of a row's states from the first on as a message should have, and one at least: what it will hold. */
static Outside
choose_states(Slice *slice)
{
	const BsPackLayout *layout = slice->layout;
	Outside outside = {0};
	uint32_t number = 0;
	bool full = false;

	for (uint32_t i = 0; i < layout->nfields; i++)
	{
		const BsPackField *field = &layout->fields[i];

		if (field->part != BS_PACK_STATES)
		{
			if (field->part != BS_PACK_WORD)
				outside.string_bytes += string_at(slice, field, slice->rows).len;
			continue;
		}
		for (const BsBlob *blob = first_blob(slice, field, slice->rows); blob != NULL;
			 blob = next_blob(slice, blob))
		{
			if (number++ < slice->first_state || full)
				continue;
			full = outside.nstates > 0 && outside.state_bytes + blob->len > BS_PACK_STRING_BYTES;
			if (full)
				continue;
			outside.state_bytes += blob->len;
			outside.nstates++;
		}
	}
	slice->end_state = slice->first_state + outside.nstates;
	return outside;
}

/*
 * The row after the first part of it: its key with some of the parts of its states, so that a message stays short
 * however long a row's states are.  Merged, it is the row again.
 */
static BsPackStatus
pack_states(BsPacker *packer, Slice *slice, int64_t window, BsPackPlace *place, uint32_t nstates,
			BsBytes *message)
{
	const BsPackLayout *layout = slice->layout;
	const BsProgram *program = layout->program;
	Outside outside;

	memcpy(packer->row, slice->rows, program->row_bytes);
	memset(packer->row + program->key_bytes, 0, program->row_bytes - program->key_bytes);
	for (uint32_t i = 0; i < layout->nfields; i++)
		if (layout->fields[i].part == BS_PACK_STATES)
			memcpy(packer->row + layout->fields[i].offset, slice->rows + layout->fields[i].offset,
				   sizeof(BsHandle));
	slice->rows = packer->row;
	slice->first_state = place->state;
	outside = choose_states(slice);
	place->state = slice->end_state;
	place->within_row = place->state < nstates;
	if (!place->within_row)
	{
		place->state = 0;
		place->row++;
	}
	return pack_slice(packer, slice, place->table, window, outside, message);
}

/* The table in hand, or the next one that has rows left; NULL: done. */
static BsTable *
table_at(const BsPacker *packer, BsArena *arena, BsTable *table, BsPackPlace *place)
{
	for (; place->table <= packer->program->nsets; place->table++, place->chunk = 0, place->row = 0)
	{
		const BsLayout *layout = &packer->layouts[place->table].program->layout;
		BsTable *at = place->table == 0
						  ? table
						  : bs_table_set(arena, table, packer->program, place->table - 1, false);

		if (at == NULL)
			continue;
		while (place->chunk < at->nchunks && place->row >= bs_rows_per_chunk(layout))
		{
			place->chunk++;
			place->row = 0;
		}
		if (place->row < bs_table_chunk_rows(at, layout, place->chunk))
			return at;
	}
	return NULL;
}

/* How many rows make a message, from the first of the slice on, and what they have outside. */
static Outside
measure(Slice *slice)
{
	uint32_t row_bytes = slice->layout->program->row_bytes;
	const uint8_t *row = slice->rows;
	Outside sum = {0};

	if (!slice->layout->has_strings)
		return sum;
	for (uint32_t i = 0; i < slice->nrows; i++, row += row_bytes)
	{
		Outside outside = row_outside(slice, row);

		if (i > 0 &&
			sum.string_bytes + sum.state_bytes + outside.string_bytes + outside.state_bytes >
				BS_PACK_STRING_BYTES)
		{
			slice->nrows = i;
			break;
		}
		sum.string_bytes += outside.string_bytes;
		sum.state_bytes += outside.state_bytes;
		sum.nstates += outside.nstates;
	}
	return sum;
}

/* The chosen rows of a slice side by side.  False: no memory. */
static bool
gather_chosen(BsPacker *packer, Slice *slice, const BsPackPlace *place)
{
	const BsProgram *program = slice->layout->program;
	const uint8_t *chosen = packer->chosen[place->table];
	uint32_t n = 0;

	if (packer->gathered == NULL)
		packer->gathered = malloc(BS_CHUNK_BYTES);
	if (packer->origins == NULL)
		packer->origins = malloc(sizeof(uint32_t) * BS_CHUNK_BYTES / 8);
	if (packer->gathered == NULL || packer->origins == NULL)
		return false;
	for (uint32_t i = 0; i < slice->nrows; i++)
	{
		uint32_t row = place->row + i;
		uint32_t ordinal = bs_row_ordinal(&program->layout, place->chunk << BS_ROW_SHIFT | row);

		if ((chosen[ordinal / 8] >> (ordinal % 8) & 1) == 0)
			continue;
		memcpy(packer->gathered + (size_t) n * program->row_bytes,
			   slice->rows + (size_t) i * program->row_bytes, program->row_bytes);
		packer->origins[n++] = row;
	}
	slice->rows = packer->gathered;
	slice->nrows = n;
	return true;
}

/* The rows that are next.  Their number is 0 after the last one. */
static BsPackStatus
next_slice(BsPacker *packer, BsArena *arena, BsTable *table, BsPackPlace *place, Slice *slice)
{
	BsTable *at;

	while ((at = table_at(packer, arena, table, place)) != NULL)
	{
		uint32_t nrows;

		slice->layout = &packer->layouts[place->table];
		slice->rows = bs_table_chunk(arena, at, place->chunk) +
					  (size_t) place->row * slice->layout->program->row_bytes;
		nrows = bs_table_chunk_rows(at, &slice->layout->program->layout, place->chunk) - place->row;
		slice->nrows = place->within_row ? 1 : nrows;
		if (packer->chosen == NULL || place->within_row)
			return BS_PACK_OK;
		if (!gather_chosen(packer, slice, place))
			return BS_PACK_NO_MEMORY;
		if (slice->nrows > 0)
		{
			place->row = packer->origins[0];
			return BS_PACK_OK;
		}
		place->row += nrows;
	}
	slice->nrows = 0;
	return BS_PACK_OK;
}

BsPackStatus
bs_pack_rows(BsPacker *packer, BsArena *arena, BsTable *table, int64_t window, BsPackPlace *place,
			 BsBytes *message)
{
	Slice slice = {.arena = arena, .whole = true};
	BsPackStatus status = next_slice(packer, arena, table, place, &slice);
	Outside outside;

	*message = (BsBytes){0};
	if (status != BS_PACK_OK || slice.nrows == 0)
		return status;
	outside = measure(&slice);
	if (place->within_row || outside.state_bytes > BS_PACK_STRING_BYTES)
	{
		slice.whole = false;
		if (place->within_row)
			return pack_states(packer, &slice, window, place, outside.nstates, message);
		place->within_row = true;
		outside.state_bytes = 0;
		outside.nstates = 0;
	}
	else if (packer->chosen != NULL)
		place->row = packer->origins[slice.nrows - 1] + 1;
	else
		place->row += slice.nrows;
	return pack_slice(packer, &slice, place->table, window, outside, message);
}
