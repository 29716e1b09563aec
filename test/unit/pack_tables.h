/* SPDX-License-Identifier: PostgreSQL */
/*
 * pack_tables.h: partials and tables of random records, packed and unpacked, and as texts that can be compared.
 */
#ifndef BS_PACK_TABLES_H
#define BS_PACK_TABLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../src/engine/packcolumn.h"
#include "../../src/engine/packmessage.h"
#include "../../src/engine/writer.h"
#include "pack_fixture.h"

#define ARENA_BYTES ((size_t) 256 << 20)
#define NO_LIMIT    UINT64_MAX

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static inline uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* ---- tables of random records ------------------------------------------------------------------ */

static const char text[] =
	"a text from which strings of random length are taken, the empty one too";

static inline void
put_random_value(BsLane *lane, uint32_t row, uint32_t variety)
{
	int64_t number = (int64_t) (next_random() % variety) - variety / 4;

	switch (lane->type)
	{
		case BS_BOOL:
			lane->i64[row] = number & 1;
			break;
		case BS_INT2:
			lane->i64[row] = (int16_t) number;
			break;
		case BS_INT8:
			lane->i64[row] = next_random() % 40 == 0 ? INT64_MAX - (number & 7) : number;
			break;
		case BS_MACADDR:
			lane->i64[row] = (int64_t) (next_random() % variety);
			break;
		case BS_FLOAT4:
		case BS_FLOAT8:
			lane->f64[row] = (double) number / 4;
			break;
		case BS_INTERVAL:
			lane->interval[row] = (BsInterval){.usec = number, .days = (int32_t) number % 3};
			break;
		case BS_INET:
			lane->inet[row] = (BsInet){.family = number % 3 == 0 ? 6 : 4};
			memcpy(lane->inet[row].address, &number, lane->inet[row].family == 4 ? 4 : 8);
			lane->inet[row].bits = lane->inet[row].family == 4 ? 32 : 128;
			break;
		case BS_BYTES:
			lane->bytes[row] = (BsBytes){.data = (const uint8_t *) text,
										 .len = (uint32_t) next_random() % sizeof(text)};
			break;
		default:
			lane->i64[row] = number;
			break;
	}
}

/* A state of random length for each record; sometimes a long one. */
static inline void
accumulate(void *context, BsArena *arena, BsTable *table, uint32_t aggregate, BsRows rows,
		   BsHandle *const *states)
{
	static uint8_t state[200000];

	(void) aggregate;
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint32_t len = 1 + (uint32_t) (next_random() % 40);

		if (*(const bool *) context && next_random() % 50 == 0)
			len = (uint32_t) sizeof(state);
		memset(state, (int) next_random(), len);
		assert_true(bs_handle_append(arena, table, states[i], state, len));
	}
}

static inline void
add_random(BsPartial *partial, BsArena *arena, BsProgram *program, uint32_t nrecords,
		   uint32_t variety, bool long_states)
{
	BsType types[PACK_NCOLUMNS];
	BsBatch *batch;
	BsWriter *writer = bs_writer_create(program);

	for (uint32_t c = 0; c < PACK_NCOLUMNS; c++)
		types[c] = (BsType) (c + 1);
	batch = bs_batch_create(types, PACK_NCOLUMNS, NULL, PACK_CAPACITY);
	while (nrecords > 0)
	{
		uint32_t n = nrecords < PACK_CAPACITY ? nrecords : PACK_CAPACITY;

		bs_batch_reset(batch);
		for (uint32_t row = 0; row < n; row++)
			for (uint32_t c = 0; c < PACK_NCOLUMNS; c++)
			{
				put_random_value(&batch->columns[c], row, variety);
				if (next_random() % 10 == 0)
					bs_lane_set_null(&batch->columns[c], row);
			}
		batch->nrows = n;
		bs_batch_add_run(batch, 0, n, 1);
		bs_partial_add(partial, arena, program, writer, batch,
					   bs_program_evaluate(program, batch, BS_TIME_INFINITY, NULL, NULL),
					   accumulate, &long_states);
		nrecords -= n;
	}
	bs_batch_free(batch);
	bs_writer_free(writer);
}

static inline BsTable *
only_table(const BsPartial *partial, BsArena *arena)
{
	const BsPane *pane = bs_partial_pane(partial, arena, BS_NO_WINDOW);

	assert_non_null(pane);
	return bs_arena_at(arena, pane->table);
}

/* ---- tables as texts that can be compared ------------------------------------------------------ */

typedef struct Text
{
	uint8_t *data;
	size_t len;
	size_t capacity;
} Text;

static inline void
text_add(Text *to, const void *data, size_t len)
{
	if (to->data == NULL || to->len + len > to->capacity)
	{
		to->capacity = 2 * (to->len + len) + 16;
		to->data = realloc(to->data, to->capacity);
	}
	if (len > 0)
		memcpy(to->data + to->len, data, len);
	to->len += len;
}

static inline int
compare_texts(const void *a, const void *b)
{
	const Text *x = a;
	const Text *y = b;
	int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static inline void
add_sorted(Text *to, Text *texts, uint32_t n)
{
	qsort(texts, n, sizeof(Text), compare_texts);
	for (uint32_t i = 0; i < n; i++)
	{
		text_add(to, &texts[i].len, sizeof(texts[i].len));
		text_add(to, texts[i].data, texts[i].len);
		free(texts[i].data);
	}
	free(texts);
}

static inline void
add_string(Text *to, BsArena *arena, const uint8_t *cell)
{
	BsHandle handle;

	memcpy(&handle, cell, sizeof(handle));
	text_add(to, &handle.hash, sizeof(handle.hash));
	text_add(to, &handle.len, sizeof(handle.len));
	text_add(to, handle.offset != 0 ? "+" : "-", 1);
	if (handle.offset != 0)
		text_add(to, bs_handle_bytes(arena, &handle), handle.len);
}

static inline void
add_states(Text *to, BsArena *arena, const uint8_t *cell)
{
	const BsHandle *handle = (const BsHandle *) cell;
	uint32_t nparts =
		handle->offset != 0 ? ((const BsBlob *) bs_arena_at(arena, handle->offset))->nblobs : 0;
	Text *parts = calloc(nparts + 1, sizeof(Text));
	uint32_t n = 0;

	for (uint64_t offset = handle->offset; offset != 0;)
	{
		const BsBlob *blob = bs_arena_at(arena, offset);

		text_add(&parts[n++], blob->data, blob->len);
		offset = blob->next;
	}
	add_sorted(to, parts, n);
}

static inline Text
row_text(BsArena *arena, const BsProgram *program, const uint8_t *row)
{
	uint8_t *plain = malloc(program->row_bytes);
	Text result = {0};

	memcpy(plain, row, program->row_bytes);
	for (uint32_t k = 0; k < program->nkeys; k++)
		if (program->keys[k].type == BS_BYTES)
			memset(plain + program->keys[k].offset, 0, 16);
	for (uint32_t a = 0; a < program->naggregates; a++)
		if (program->aggregates[a].kind == BS_AGG_FOREIGN ||
			(program->aggregates[a].kind == BS_AGG_ANY && program->aggregates[a].type == BS_BYTES))
			memset(plain + program->aggregates[a].offset, 0, 16);
	/* That a state has a value is said when it is merged, and not by whoever made it. */
	for (uint32_t a = 0; a < program->naggregates; a++)
		if (program->aggregates[a].kind == BS_AGG_FOREIGN ||
			program->aggregates[a].kind == BS_AGG_COUNT)
			*(uint32_t *) (plain + program->aggregates[a].flags_offset) &=
				~program->aggregates[a].seen_mask;
	text_add(&result, plain, program->row_bytes);
	free(plain);
	for (uint32_t k = 0; k < program->nkeys; k++)
		if (program->keys[k].type == BS_BYTES)
			add_string(&result, arena, row + program->keys[k].offset);
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		const BsAggregate *aggregate = &program->aggregates[a];

		if (aggregate->kind == BS_AGG_FOREIGN)
			add_states(&result, arena, row + aggregate->offset);
		else if (aggregate->kind == BS_AGG_ANY && aggregate->type == BS_BYTES &&
				 bs_state_has_value(aggregate, row))
			add_string(&result, arena, row + aggregate->offset);
	}
	return result;
}

/* Rows have no order; their texts are sorted. */
static inline Text
table_text(BsArena *arena, BsTable *table, const BsProgram *program)
{
	Text *rows = calloc(table->nrows + 1, sizeof(Text));
	Text result = {0};
	uint32_t n = 0;

	for (uint32_t chunk = 0; chunk < table->nchunks; chunk++)
	{
		const uint8_t *row = bs_table_chunk(arena, table, chunk);

		for (uint32_t i = 0; i < bs_table_chunk_rows(table, &program->layout, chunk); i++)
			rows[n++] = row_text(arena, program, row + (size_t) i * program->row_bytes);
	}
	assert_int_equal(n, table->nrows);
	add_sorted(&result, rows, n);
	for (uint32_t s = 0; s < program->nsets; s++)
	{
		BsTable *set = bs_table_set(arena, table, program, s, false);
		Text inner = {0};

		if (set != NULL)
			inner = table_text(arena, set, program->sets[s].rows);
		text_add(&result, inner.data, inner.len);
		free(inner.data);
	}
	return result;
}

static inline void
assert_same_table(BsArena *arena, BsTable *a, BsArena *other, BsTable *b, const BsProgram *program)
{
	Text x = table_text(arena, a, program);
	Text y = table_text(other, b, program);

	assert_int_equal(a->nrows, b->nrows);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	free(x.data);
	free(y.data);
}

/* ---- messages ---------------------------------------------------------------------------------- */

typedef struct Messages
{
	uint32_t n;
	Text *texts;
} Messages;

static inline void
keep(Messages *messages, BsBytes message)
{
	messages->texts = realloc(messages->texts, (messages->n + 1) * sizeof(Text));
	messages->texts[messages->n] = (Text){0};
	text_add(&messages->texts[messages->n++], message.data, message.len);
}

static inline Messages
pack_table(const BsProgram *program, BsArena *arena, BsTable *table)
{
	BsPacker *packer = bs_packer_create(program, PACK_FINGERPRINT);
	BsPackPlace place = {0};
	Messages messages = {0};
	BsBytes message;

	while (assert_int_equal(bs_pack_rows(packer, arena, table, 5, &place, &message), BS_PACK_OK),
		   message.len > 0)
	{
		assert_in_range(message.len, 1, (2 << 20));
		keep(&messages, message);
	}
	assert_false(place.within_row);
	assert_int_equal(bs_pack_end(packer, &message), BS_PACK_OK);
	keep(&messages, message);
	bs_packer_free(packer);
	return messages;
}

static inline void
free_messages(Messages *messages)
{
	for (uint32_t i = 0; i < messages->n; i++)
		free(messages->texts[i].data);
	free(messages->texts);
}

static inline bool
any_state(void *context, uint32_t foreign, BsBytes state)
{
	(void) context;
	(void) foreign;
	return state.len > 0;
}

/* Merge all messages, the last first or the first first. */
static inline void
unpack_table(const BsProgram *program, const Messages *messages, BsArena *arena, BsTable *into,
			 bool backwards)
{
	BsUnpacker *unpacker = bs_unpacker_create(program, PACK_FINGERPRINT, any_state, NULL);
	BsWriter *writer = bs_writer_create(program);
	BsUnpacked unpacked;

	for (uint32_t i = 0; i + 1 < messages->n; i++)
	{
		const Text *message = &messages->texts[backwards ? messages->n - 2 - i : i];

		assert_int_equal(bs_unpack(unpacker, message->data, message->len, &unpacked), BS_PACK_OK);
		assert_int_equal(unpacked.kind, BS_PACK_ROWS);
		assert_int_equal(unpacked.pane.window, 5);
		assert_int_equal(bs_unpacked_merge(unpacker, arena, into, writer, NO_LIMIT), 0);
	}
	assert_int_equal(bs_unpack(unpacker, messages->texts[messages->n - 1].data,
							   messages->texts[messages->n - 1].len, &unpacked),
					 BS_PACK_OK);
	assert_int_equal(unpacked.kind, BS_PACK_END);
	bs_writer_free(writer);
	bs_unpacker_free(unpacker);
}

#endif
