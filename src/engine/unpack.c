/* SPDX-License-Identifier: PostgreSQL */
/*
 * unpack.c: messages into tables.  See pack.h.
 *
 * Rows are laid out in a table of the unpacker's own, without an index, and looked at there; merge.c
 * takes them on from it as from any other table.
 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

#include "packcolumn.h"
#include "packlayout.h"
#include "packmessage.h"
#include "writer.h"

/* Address space, not memory: what no message needs is never touched. */
#define STAGE_BYTES (size_t)(2 * BS_PACK_MAX_BYTES)

struct BsUnpacker
{
	const BsProgram *program;
	uint64_t fingerprint;
	BsStateCheck check;
	void *check_context;
	uint64_t nmessages;
	BsPackLayout *layouts; /* [nsets + 1] */
	BsArena *arena;
	uint64_t stage;  /* the table that rows are merged from; 0: none */
	uint32_t set;    /* 0: its groups, else the set of this number, from 1 */
	int64_t *values; /* [values_capacity] of one column */
	uint32_t values_capacity;
	BsSource *sources;
	uint32_t sources_capacity;
};

/* Rows in the making. */
typedef struct Stage
{
	BsUnpacker *unpacker;
	const BsPackLayout *layout;
	BsTable *table;
	uint8_t *rows;
	uint32_t nrows;
} Stage;

/* ---- life ------------------------------------------------------------------------------------- */

BsUnpacker *
bs_unpacker_create(const BsProgram *program, uint64_t fingerprint, BsStateCheck check,
				   void *check_context)
{
	BsUnpacker *unpacker = calloc(1, sizeof(BsUnpacker));

	if (unpacker == NULL)
		return NULL;
	unpacker->program = program;
	unpacker->fingerprint = fingerprint;
	unpacker->check = check;
	unpacker->check_context = check_context;
	unpacker->layouts = bs_pack_layouts_make(program);
	unpacker->arena = bs_arena_create(bs_arena_size_for(STAGE_BYTES));
	if (unpacker->layouts != NULL && unpacker->arena != NULL)
		return unpacker;
	bs_unpacker_free(unpacker);
	return NULL;
}

static void
stage_free(BsUnpacker *unpacker)
{
	if (unpacker->stage != 0)
		bs_table_free(unpacker->arena, &unpacker->program->layout, unpacker->stage);
	unpacker->stage = 0;
}

void
bs_unpacker_free(BsUnpacker *unpacker)
{
	if (unpacker == NULL)
		return;
	bs_pack_layouts_free(unpacker->layouts, unpacker->program->nsets);
	bs_arena_free_private(unpacker->arena);
	free(unpacker->values);
	free(unpacker->sources);
	free(unpacker);
}

static bool
reserve_values(BsUnpacker *unpacker, uint32_t nvalues)
{
	int64_t *values;

	if (nvalues <= unpacker->values_capacity)
		return true;
	values = realloc(unpacker->values, nvalues * sizeof(int64_t));
	if (values == NULL)
		return false;
	unpacker->values = values;
	unpacker->values_capacity = nvalues;
	return true;
}

/* ---- rows ------------------------------------------------------------------------------------- */

#define SCATTER(width, ctype)                                                                      \
	case width:                                                                                    \
		for (uint32_t i = 0; i < stage->nrows; i++, row += row_bytes)                              \
		{                                                                                          \
			ctype word = (ctype) values[i];                                                        \
			fits &= word == values[i];                                                             \
			memcpy(row, &word, sizeof(word));                                                      \
		}                                                                                          \
		break;

/* False: a number is too large for its field. */
static bool
scatter_words(const Stage *stage, const BsPackField *field)
{
	const int64_t *values = stage->unpacker->values;
	uint8_t *row = stage->rows + field->offset;
	uint32_t row_bytes = stage->layout->program->row_bytes;
	bool fits = true;

	switch (field->width)
	{
		SCATTER(1, int8_t)
		SCATTER(2, int16_t)
		SCATTER(4, int32_t)
		SCATTER(8, int64_t)
		default:
			break;
	}
	return fits;
}

/* A string that has come, into the row.  The row's NULL bits and flags are not yet there. */
static BsPackStatus
put_string(const Stage *stage, const BsPackField *field, uint8_t *row, BsBytes string)
{
	BsHandle handle = {.len = string.len};

	handle.offset =
		bs_table_heap_put(stage->unpacker->arena, stage->table, string.data, string.len);
	if (handle.offset == 0)
		return BS_PACK_NO_MEMORY;
	if (field->part == BS_PACK_KEY)
		handle.hash = bs_key_bytes_hash(stage->layout->program, string);
	memcpy(row + field->offset, &handle, sizeof(handle));
	return BS_PACK_OK;
}

static BsPackStatus
take_strings(const Stage *stage, const BsPackField *field, BsCursor *cursor)
{
	const int64_t *lengths = stage->unpacker->values;
	int64_t longest = field->part == BS_PACK_KEY ? BS_MAX_KEY_BYTES : BS_ARENA_MAX_BLOCK;
	uint8_t *row = stage->rows;

	bs_column_unpack(cursor, stage->unpacker->values, stage->nrows);
	for (uint32_t i = 0; !cursor->bad && i < stage->nrows; i++)
	{
		BsBytes string = {0};
		BsPackStatus status;

		if (lengths[i] < 0 || lengths[i] > longest)
			return BS_PACK_CORRUPT;
		string.len = (uint32_t) lengths[i];
		string.data = bs_cursor_get_bytes(cursor, string.len);
		if (string.data == NULL)
			break;
		status = put_string(stage, field, row, string);
		if (status != BS_PACK_OK)
			return status;
		row += stage->layout->program->row_bytes;
	}
	return cursor->bad ? BS_PACK_CORRUPT : BS_PACK_OK;
}

/* Parts of one row's state; their lengths begin at *next. */
static BsPackStatus
take_row_states(const Stage *stage, const BsPackField *field, uint8_t *row, int64_t nparts,
				const int64_t **next, BsCursor *cursor)
{
	BsUnpacker *unpacker = stage->unpacker;
	uint32_t foreign = stage->layout->program->aggregates[field->number].foreign;

	for (; nparts > 0; nparts--)
	{
		int64_t len = *(*next)++;
		BsBytes state = {0};

		if (len <= 0 || len > BS_ARENA_MAX_BLOCK - (int64_t) sizeof(BsBlob))
			return BS_PACK_CORRUPT;
		state.len = (uint32_t) len;
		state.data = bs_cursor_get_bytes(cursor, state.len);
		if (state.data == NULL || unpacker->check == NULL ||
			!unpacker->check(unpacker->check_context, foreign, state))
			return BS_PACK_CORRUPT;
		if (!bs_handle_append(unpacker->arena, stage->table, (BsHandle *) (row + field->offset),
							  state.data, state.len))
			return BS_PACK_NO_MEMORY;
	}
	return BS_PACK_OK;
}

static BsPackStatus
take_states(const Stage *stage, const BsPackField *field, BsCursor *cursor)
{
	BsUnpacker *unpacker = stage->unpacker;
	BsPackStatus status = BS_PACK_OK;
	uint8_t *row = stage->rows;
	int64_t nstates = 0;
	const int64_t *lengths;

	bs_column_unpack(cursor, unpacker->values, stage->nrows);
	for (uint32_t i = 0; !cursor->bad && i < stage->nrows; i++)
	{
		/* A part has a byte at least, so that no short message asks for much memory. */
		if (unpacker->values[i] < 0 || unpacker->values[i] > (int64_t) cursor->left_bytes - nstates)
			return BS_PACK_CORRUPT;
		nstates += unpacker->values[i];
	}
	if (cursor->bad)
		return BS_PACK_CORRUPT;
	if (nstates == 0)
		return BS_PACK_OK;
	if (!reserve_values(unpacker, stage->nrows + (uint32_t) nstates))
		return BS_PACK_NO_MEMORY;
	bs_column_unpack(cursor, unpacker->values + stage->nrows, (uint32_t) nstates);
	lengths = unpacker->values + stage->nrows;
	for (uint32_t i = 0; status == BS_PACK_OK && !cursor->bad && i < stage->nrows; i++)
	{
		status = take_row_states(stage, field, row, unpacker->values[i], &lengths, cursor);
		row += stage->layout->program->row_bytes;
	}
	return status == BS_PACK_OK && cursor->bad ? BS_PACK_CORRUPT : status;
}

/*
 * Strings know nothing of NULLs: where the row has no value the handle must go, and the string must have been
 * empty.
 */
static bool
settle_string(const BsProgram *program, const BsPackField *field, uint8_t *row)
{
	BsHandle handle;
	bool there;

	if (field->part == BS_PACK_KEY)
		there = !bs_key_is_null(program, row, field->number);
	else
		there = bs_state_has_value(&program->aggregates[field->number], row);
	if (there)
		return true;
	memcpy(&handle, row + field->offset, sizeof(handle));
	memset(row + field->offset, 0, sizeof(handle));
	return handle.len == 0;
}

static bool
rows_valid(const Stage *stage)
{
	const BsPackLayout *layout = stage->layout;
	const BsProgram *program = layout->program;

	for (uint32_t f = 0; layout->has_strings && f < layout->nfields; f++)
	{
		const BsPackField *field = &layout->fields[f];
		uint8_t *row = stage->rows;

		if (field->part != BS_PACK_KEY && field->part != BS_PACK_ANY)
			continue;
		for (uint32_t i = 0; i < stage->nrows; i++, row += program->row_bytes)
			if (!settle_string(program, field, row))
				return false;
	}
	return bs_pack_rows_valid(program, stage->rows, stage->nrows);
}

/* A table of the program with room for the rows of a message, and no index. */
static uint64_t
stage_make(BsUnpacker *unpacker, const BsProgram *program)
{
	uint64_t offset = bs_table_create(unpacker->arena, program, 0);
	BsTable *table;

	if (offset == 0 || program->nkeys == 0)
		return offset;
	table = bs_arena_at(unpacker->arena, offset);
	table->chunks = bs_arena_alloc(unpacker->arena, BS_CHUNK_BYTES);
	if (table->chunks == 0)
	{
		bs_table_free(unpacker->arena, &program->layout, offset);
		return 0;
	}
	table->bytes += BS_CHUNK_BYTES;
	table->nchunks = 1;
	table->chunk0_rows = (uint16_t) bs_rows_per_chunk(&program->layout);
	return offset;
}

/* The tables that the rows of a message go to: the one merged from, and in it that of a set. */
static BsPackStatus
stage_prepare(Stage *stage, uint32_t set, uint32_t nrows)
{
	BsUnpacker *unpacker = stage->unpacker;
	BsTable *table;

	stage_free(unpacker);
	unpacker->set = set;
	unpacker->stage = set == 0 ? stage_make(unpacker, unpacker->program)
							   : bs_table_create(unpacker->arena, unpacker->program, 0);
	if (unpacker->stage == 0)
		return BS_PACK_NO_MEMORY;
	table = bs_arena_at(unpacker->arena, unpacker->stage);
	if (set != 0)
	{
		table->sets = bs_arena_alloc(unpacker->arena, unpacker->program->nsets * sizeof(uint64_t));
		if (table->sets == 0)
			return BS_PACK_NO_MEMORY;
		memset(bs_arena_at(unpacker->arena, table->sets), 0,
			   unpacker->program->nsets * sizeof(uint64_t));
		table->bytes += bs_arena_block_bytes(unpacker->program->nsets * sizeof(uint64_t));
		((uint64_t *) bs_arena_at(unpacker->arena, table->sets))[set - 1] =
			stage_make(unpacker, stage->layout->program);
		table = bs_table_set(unpacker->arena, table, unpacker->program, set - 1, false);
		if (table == NULL)
			return BS_PACK_NO_MEMORY;
	}
	stage->table = table;
	stage->nrows = table->nrows = nrows;
	stage->rows = bs_table_chunk(unpacker->arena, table, 0);
	memset(stage->rows, 0, (size_t) nrows * stage->layout->program->row_bytes);
	return BS_PACK_OK;
}

static BsPackStatus
take_fields(const Stage *stage, BsCursor *cursor)
{
	BsPackStatus status = BS_PACK_OK;

	for (uint32_t i = 0; status == BS_PACK_OK && i < stage->layout->nfields; i++)
	{
		const BsPackField *field = &stage->layout->fields[i];

		if (field->part == BS_PACK_STATES)
			status = take_states(stage, field, cursor);
		else if (field->part != BS_PACK_WORD)
			status = take_strings(stage, field, cursor);
		else if (!bs_column_take_zeros(cursor)) /* which the rows are */
		{
			bs_column_unpack(cursor, stage->unpacker->values, stage->nrows);
			if (cursor->bad || !scatter_words(stage, field))
				status = BS_PACK_CORRUPT;
		}
	}
	return status;
}

static BsPackStatus
unpack_rows(BsUnpacker *unpacker, BsCursor *cursor, BsUnpacked *unpacked)
{
	Stage stage = {.unpacker = unpacker};
	uint32_t set;
	BsPackStatus status;

	unpacked->pane.window = (int64_t) bs_cursor_get_word(cursor, 8);
	set = (uint32_t) bs_cursor_get_word(cursor, 4);
	unpacked->nrows = (uint32_t) bs_cursor_get_word(cursor, 4);
	if (cursor->bad || set > unpacker->program->nsets || unpacked->nrows == 0)
		return BS_PACK_CORRUPT;
	stage.layout = &unpacker->layouts[set];
	if (unpacked->nrows > stage.layout->rows_per_message)
		return BS_PACK_CORRUPT;
	if (!reserve_values(unpacker, unpacked->nrows))
		return BS_PACK_NO_MEMORY;
	status = stage_prepare(&stage, set, unpacked->nrows);
	if (status == BS_PACK_OK)
		status = take_fields(&stage, cursor);
	if (status == BS_PACK_OK && !rows_valid(&stage))
		status = BS_PACK_CORRUPT;
	for (uint32_t i = 0; status == BS_PACK_OK && set == 0 && i < stage.nrows; i++)
		unpacked->nrecords += *(const uint64_t *) (stage.rows + (size_t) i * unpacker->program->row_bytes +
												   unpacker->program->count_offset);
	return status;
}

uint64_t
bs_unpacked_merge(BsUnpacker *unpacker, BsArena *arena, BsTable *into, BsWriter *writer,
				  uint64_t max_rows)
{
	BsTable *stage = bs_arena_at(unpacker->arena, unpacker->stage);

	if (unpacker->stage == 0)
		return 0;
	if (unpacker->set == 0)
		return bs_table_merge_chunk(arena, into, unpacker->program, writer, unpacker->arena, stage,
									0, max_rows);
	bs_table_merge_set_chunk(arena, into, unpacker->program, writer, unpacker->arena, stage,
							 unpacker->set - 1, 0, bs_max_values(max_rows, writer->gather_other));
	return 0;
}

/* ---- the other messages ----------------------------------------------------------------------- */

static BsPackStatus
unpack_pane(BsUnpacker *unpacker, BsCursor *cursor, BsUnpacked *unpacked)
{
	BsPackedPane *pane = &unpacked->pane;
	uint64_t flags;

	(void) unpacker;
	pane->window = (int64_t) bs_cursor_get_word(cursor, 8);
	pane->since = (int64_t) bs_cursor_get_word(cursor, 8);
	flags = bs_cursor_get_word(cursor, 4);
	pane->closed = (flags & BS_PACK_CLOSED) != 0;
	pane->gap = (flags & BS_PACK_GAP) != 0;
	pane->nodes_expected = (uint32_t) (flags >> BS_PACK_EXPECTED_SHIFT) & BS_PANE_MAX_NODES;
	pane->nodes_missing = (uint32_t) (flags >> BS_PACK_MISSING_SHIFT) & BS_PANE_MAX_NODES;
	for (uint32_t i = 0; i < BS_PACK_PANE_COUNTERS; i++)
	{
		uint64_t counter = bs_cursor_get_word(cursor, 8);

		memcpy((uint8_t *) pane + bs_pack_pane_counters[i], &counter, sizeof(counter));
	}
	return (flags & ~(uint64_t) BS_PACK_PANE_FLAGS) != 0 ? BS_PACK_CORRUPT : BS_PACK_OK;
}

static BsPackStatus
unpack_partial(BsUnpacker *unpacker, BsCursor *cursor, BsUnpacked *unpacked)
{
	BsPartial *partial = &unpacked->partial;

	(void) unpacker;
	partial->closed_before = (int64_t) bs_cursor_get_word(cursor, 8);
	partial->dropped_before = (int64_t) bs_cursor_get_word(cursor, 8);
	partial->last_error = (uint32_t) bs_cursor_get_word(cursor, 4);
	partial->records_lost = (uint32_t) bs_cursor_get_word(cursor, 4);
	partial->datagrams_lost = (uint32_t) bs_cursor_get_word(cursor, 4);
	partial->datagrams_dropped = (uint32_t) bs_cursor_get_word(cursor, 4);
	for (uint32_t i = 0; i < BS_PACK_PARTIAL_COUNTERS; i++)
	{
		uint64_t counter = bs_cursor_get_word(cursor, 8);

		memcpy((uint8_t *) partial + bs_pack_partial_counters[i], &counter, sizeof(counter));
	}
	return partial->last_error >= BS_NERRORS ? BS_PACK_CORRUPT : BS_PACK_OK;
}

static BsPackStatus
unpack_sources(BsUnpacker *unpacker, BsCursor *cursor, BsUnpacked *unpacked)
{
	uint32_t n = (uint32_t) bs_cursor_get_word(cursor, 4);

	if (n == 0 || n > BS_MAX_SOURCES)
		return BS_PACK_CORRUPT;
	if (n > unpacker->sources_capacity)
	{
		free(unpacker->sources);
		unpacker->sources = calloc(n, sizeof(BsSource));
		unpacker->sources_capacity = unpacker->sources != NULL ? n : 0;
	}
	if (unpacker->sources == NULL || !reserve_values(unpacker, BS_PACK_SOURCE_COLUMNS * n))
		return BS_PACK_NO_MEMORY;
	for (uint32_t i = 0; i < BS_PACK_SOURCE_COLUMNS; i++)
		bs_column_unpack(cursor, unpacker->values + i * n, n);
	if (cursor->bad)
		return BS_PACK_CORRUPT;
	for (uint32_t i = 0; i < n; i++)
	{
		unpacker->sources[i] = (BsSource){.source = (uint64_t) unpacker->values[i],
										  .highest = unpacker->values[n + i],
										  .last_heard = unpacker->values[2 * n + i],
										  .largest_lateness = unpacker->values[3 * n + i]};
		if (unpacker->sources[i].source == 0)
			return BS_PACK_CORRUPT;
	}
	unpacked->nsources = n;
	unpacked->sources = unpacker->sources;
	return BS_PACK_OK;
}

static BsPackStatus
unpack_end(BsUnpacker *unpacker, BsCursor *cursor, BsUnpacked *unpacked)
{
	uint64_t nmessages = bs_cursor_get_word(cursor, 8);
	BsPackStatus status = nmessages == unpacker->nmessages ? BS_PACK_OK : BS_PACK_TRUNCATED;

	(void) unpacked;
	if (!cursor->bad)
		unpacker->nmessages = 0;
	return status;
}

/* ---- messages --------------------------------------------------------------------------------- */

static BsPackStatus
check_start(BsCursor *cursor)
{
	uint64_t magic = bs_cursor_get_word(cursor, 4);
	uint64_t version = bs_cursor_get_word(cursor, 2);

	if (cursor->bad)
		return BS_PACK_TRUNCATED;
	if (magic != BS_PACK_MAGIC)
		return BS_PACK_NOT_PACKED;
	return version == BS_PACK_VERSION ? BS_PACK_OK : BS_PACK_VERSION_UNKNOWN;
}

BsPackStatus
bs_pack_message_bytes(const uint8_t *header, size_t *len)
{
	BsCursor cursor = {.at = header, .left_bytes = BS_PACK_HEADER_BYTES};
	BsPackStatus status = check_start(&cursor);

	*len = 0;
	if (status != BS_PACK_OK)
		return status;
	bs_cursor_get_bytes(&cursor, 2 + 8);
	*len = (size_t) bs_cursor_get_word(&cursor, 4);
	return *len < BS_PACK_HEADER_BYTES || *len > BS_PACK_MAX_BYTES ? BS_PACK_DAMAGED : BS_PACK_OK;
}

typedef BsPackStatus (*Unpack)(BsUnpacker *unpacker, BsCursor *cursor, BsUnpacked *unpacked);

static const Unpack unpack_kinds[] = {
	[BS_PACK_PARTIAL] = unpack_partial, [BS_PACK_SOURCES] = unpack_sources,
	[BS_PACK_PANE] = unpack_pane,       [BS_PACK_ROWS] = unpack_rows,
	[BS_PACK_END] = unpack_end,
};

/* The header, in the order in which faults are best told apart. */
static BsPackStatus
check_header(const BsUnpacker *unpacker, BsCursor *cursor, const uint8_t *data, size_t len,
			 uint32_t *kind)
{
	BsPackStatus status = check_start(cursor);
	uint64_t fingerprint;
	uint64_t said;
	uint64_t checksum;

	if (status != BS_PACK_OK)
		return status;
	*kind = (uint32_t) bs_cursor_get_word(cursor, 2);
	fingerprint = bs_cursor_get_word(cursor, 8);
	said = bs_cursor_get_word(cursor, 4);
	checksum = bs_cursor_get_word(cursor, 4);
	if (cursor->bad || said > len)
		return BS_PACK_TRUNCATED;
	if (said != len || checksum != bs_pack_checksum(data, len))
		return BS_PACK_DAMAGED;
	if (fingerprint != unpacker->fingerprint)
		return BS_PACK_FINGERPRINT;
	return *kind < BS_PACK_PARTIAL || *kind > BS_PACK_END ? BS_PACK_CORRUPT : BS_PACK_OK;
}

BsPackStatus
bs_unpack(BsUnpacker *unpacker, const uint8_t *data, size_t len, BsUnpacked *unpacked)
{
	BsCursor cursor = {.at = data, .left_bytes = len};
	uint32_t kind;
	BsPackStatus status = check_header(unpacker, &cursor, data, len, &kind);

	stage_free(unpacker);
	*unpacked = (BsUnpacked){0};
	if (status != BS_PACK_OK)
		return status;
	unpacked->kind = (BsPackKind) kind;
	status = unpack_kinds[kind](unpacker, &cursor, unpacked);
	if (status == BS_PACK_OK && (cursor.bad || cursor.left_bytes > 0))
		status = BS_PACK_CORRUPT;
	if (status != BS_PACK_OK)
		stage_free(unpacker);
	else if (kind != BS_PACK_END)
		unpacker->nmessages++;
	return status;
}
