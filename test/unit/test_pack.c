/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_pack.c: partials packed and unpacked are what they were; nothing else is taken for one.
 *
 * With the name of a folder it writes the corpus of fuzz_pack instead.
 */
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

static uint64_t
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

static void
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
static void
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

static void
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

static BsTable *
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

static void
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

static int
compare_texts(const void *a, const void *b)
{
	const Text *x = a;
	const Text *y = b;
	int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static void
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

static void
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

static void
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

static Text
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
static Text
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

static void
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

static void
keep(Messages *messages, BsBytes message)
{
	messages->texts = realloc(messages->texts, (messages->n + 1) * sizeof(Text));
	messages->texts[messages->n] = (Text){0};
	text_add(&messages->texts[messages->n++], message.data, message.len);
}

static Messages
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

static void
free_messages(Messages *messages)
{
	for (uint32_t i = 0; i < messages->n; i++)
		free(messages->texts[i].data);
	free(messages->texts);
}

static bool
any_state(void *context, uint32_t foreign, BsBytes state)
{
	(void) context;
	(void) foreign;
	return state.len > 0;
}

/* Merge all messages, the last first or the first first. */
static void
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

/* ---- tests ------------------------------------------------------------------------------------- */

static void
test_columns(void **state)
{
	static const int64_t cases[][4] = {
		{0, 0, 0, 0},
		{-1, 0, 1, 2},
		{INT64_MIN, INT64_MAX, 0, -1},
		{255, 0, 256, 1},
		{INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
		{1 << 24, 0, 1, 2},
		{INT64_C(1) << 40, 7, 8, 9},
		{INT64_C(1) << 55, -4, 2, 3},
	};
	uint8_t bytes[BS_COLUMN_HEADER_BYTES + 32];
	int64_t values[4];

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		size_t len = (size_t) (bs_column_pack(bytes, cases[i], 4) - bytes);
		BsCursor cursor = {.at = bytes, .left_bytes = len};

		assert_true(len <= bs_column_bound(4));
		bs_column_unpack(&cursor, values, 4);
		assert_false(cursor.bad);
		assert_int_equal(cursor.left_bytes, 0);
		assert_memory_equal(values, cases[i], sizeof(values));
		cursor = (BsCursor){.at = bytes, .left_bytes = len - 1};
		bs_column_unpack(&cursor, values, 4);
		assert_true(cursor.bad);
	}
}

static void
check_round_trip(const PackShape *shape, uint32_t nrecords, uint32_t variety, bool long_states)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsProgram program;
	BsProgram other_seed;
	BsPartial partial;
	BsTable *table;
	BsTable *copy;
	Messages messages;
	Messages again;

	assert_null(pack_make_program(&program, shape));
	assert_null(pack_make_program(&other_seed, shape));
	bs_partial_init(&partial, &program, NO_LIMIT);
	add_random(&partial, arena, &program, nrecords, variety, long_states);
	table = only_table(&partial, arena);
	messages = pack_table(&program, arena, table);
	for (int backwards = 0; backwards < 2; backwards++)
	{
		copy = bs_arena_at(arena, bs_table_create(arena, &program, 0));
		unpack_table(&program, &messages, arena, copy, backwards != 0);
		assert_same_table(arena, table, arena, copy, &program);
	}
	/* A copy of a copy, by a server whose hashes are seeded otherwise. */
	again = pack_table(&program, arena, copy);
	other_seed.hash_seed = 99;
	for (uint32_t i = 0; i < other_seed.nsets; i++)
		other_seed.sets[i].rows->hash_seed = 99;
	copy = bs_arena_at(arena, bs_table_create(arena, &other_seed, 0));
	unpack_table(&other_seed, &again, arena, copy, false);
	unpack_table(&other_seed, &again, arena, copy, true);
	if (table->nrows > 0)
		assert_int_equal(copy->nrows, table->nrows);
	free_messages(&messages);
	free_messages(&again);
	bs_program_free(&program);
	bs_program_free(&other_seed);
	bs_arena_free_private(arena);
}

static void
test_round_trips(void **state)
{
	(void) state;
	for (size_t s = 0; s < PACK_NSHAPES; s++)
	{
		check_round_trip(&pack_shapes[s], 0 + 1, 10, false);
		check_round_trip(&pack_shapes[s], 300, 4, false);
		check_round_trip(&pack_shapes[s], 5000, 100000, false);
		if (pack_shapes[s].foreign)
			check_round_trip(&pack_shapes[s], 500, 6, true);
	}
}

/* A table that grows while it is packed gives the old rows, and perhaps the new. */
static void
test_growing(void **state)
{
	const PackShape *shape = &pack_shapes[0];
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsArena *other = bs_arena_create(ARENA_BYTES);
	BsUnpacker *unpacker;
	BsWriter *writer;
	BsPacker *packer;
	BsProgram program;
	BsPartial partial;
	BsPackPlace place = {0};
	BsBytes message;
	BsTable *copy;

	(void) state;
	assert_null(pack_make_program(&program, shape));
	bs_partial_init(&partial, &program, NO_LIMIT);
	packer = bs_packer_create(&program, PACK_FINGERPRINT);
	unpacker = bs_unpacker_create(&program, PACK_FINGERPRINT, NULL, NULL);
	writer = bs_writer_create(&program);
	copy = bs_arena_at(other, bs_table_create(other, &program, 0));
	add_random(&partial, arena, &program, 100, 1000000, false);
	for (;;)
	{
		BsUnpacked unpacked;

		assert_int_equal(
			bs_pack_rows(packer, arena, only_table(&partial, arena), 0, &place, &message),
			BS_PACK_OK);
		if (message.len == 0)
			break;
		assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
		bs_unpacked_merge(unpacker, other, copy, writer, NO_LIMIT);
		if (copy->nrows < 10000)
			add_random(&partial, arena, &program, 1500, 1000000, false);
	}
	assert_int_equal(copy->nrows, only_table(&partial, arena)->nrows);
	bs_packer_free(packer);
	bs_unpacker_free(unpacker);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
	bs_arena_free_private(other);
}

static void
test_room(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsUnpacker *unpacker;
	BsWriter *writer;
	BsProgram program;
	BsPartial partial;
	BsUnpacked unpacked;
	Messages messages;
	BsTable *copy;
	uint64_t refused = 0;
	uint64_t taken = 0;

	(void) state;
	assert_null(pack_make_program(&program, &pack_shapes[0]));
	bs_partial_init(&partial, &program, NO_LIMIT);
	add_random(&partial, arena, &program, 4000, 1000000, false);
	messages = pack_table(&program, arena, only_table(&partial, arena));
	unpacker = bs_unpacker_create(&program, PACK_FINGERPRINT, NULL, NULL);
	writer = bs_writer_create(&program);
	copy = bs_arena_at(arena, bs_table_create(arena, &program, 0));
	for (uint32_t i = 0; i + 1 < messages.n; i++)
	{
		assert_int_equal(
			bs_unpack(unpacker, messages.texts[i].data, messages.texts[i].len, &unpacked),
			BS_PACK_OK);
		refused += bs_unpacked_merge(unpacker, arena, copy, writer, 100);
	}
	assert_int_equal(copy->nrows, 100);
	for (uint32_t i = 0; i < copy->nrows; i++)
		taken +=
			*(const uint64_t *) (bs_table_row(arena, copy, &program, i) + program.count_offset);
	assert_int_equal(refused + taken, 4000);
	free_messages(&messages);
	bs_unpacker_free(unpacker);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

static void
test_small_messages(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsPackedPane pane;
	BsProgram program;
	BsPartial partial;
	BsPacker *packer;
	BsUnpacker *unpacker;
	BsUnpacked unpacked;
	BsBytes message;
	BsPackPlace place = {0};

	(void) state;
	/* Every field, and the bytes between them. */
	memset(&pane, 0, sizeof(pane));
	pane.closed = pane.gap = true;
	pane.window = -300;
	pane.since = 77;
	pane.ngroups = 1;
	pane.records = 2;
	pane.late = 3;
	pane.overflowed = 4;
	pane.errors = 5;
	pane.left_out = 6;
	pane.records_lost = -7;
	pane.datagrams_lost = 8;
	pane.records_lost_before = 9;
	pane.datagrams_lost_before = 10;
	pane.datagrams_dropped = 11;
	pane.datagrams_dropped_before = 12;
	pane.nodes_expected = 1023;
	pane.nodes_missing = 513;
	assert_null(pack_make_program(&program, &pack_shapes[0]));
	packer = bs_packer_create(&program, PACK_FINGERPRINT);
	unpacker = bs_unpacker_create(&program, PACK_FINGERPRINT, NULL, NULL);
	assert_int_equal(bs_pack_pane(packer, &pane, &message), BS_PACK_OK);
	assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
	assert_int_equal(unpacked.kind, BS_PACK_PANE);
	assert_memory_equal(&unpacked.pane, &pane, sizeof(pane));

	bs_partial_init(&partial, &program, NO_LIMIT);
	add_random(&partial, arena, &program, 1000, 10, false);
	partial.late = 9;
	partial.sources_refused = 10;
	partial.closed_before = 12345;
	partial.last_error = BS_ERROR_MASKLEN;
	partial.dropped_before = -9;
	partial.records_lost = UINT32_MAX;
	partial.datagrams_lost = 3;
	partial.datagrams_dropped = 4;
	assert_int_equal(bs_pack_partial(packer, &partial, &message), BS_PACK_OK);
	assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
	assert_int_equal(unpacked.kind, BS_PACK_PARTIAL);
	assert_int_equal(unpacked.partial.records, 1000);
	assert_int_equal(unpacked.partial.received, 1000);
	assert_int_equal(unpacked.partial.late, 9);
	assert_int_equal(unpacked.partial.sources_refused, 10);
	assert_int_equal(unpacked.partial.closed_before, 12345);
	assert_int_equal(unpacked.partial.last_error, BS_ERROR_MASKLEN);
	assert_int_equal(unpacked.partial.dropped_before, -9);
	assert_int_equal(unpacked.partial.records_lost, UINT32_MAX);
	assert_int_equal(unpacked.partial.datagrams_lost, 3);
	assert_int_equal(unpacked.partial.datagrams_dropped, 4);

	/* No sources: no message. */
	assert_int_equal(bs_pack_sources(packer, arena, &partial, &place, &message), BS_PACK_OK);
	assert_int_equal(message.len, 0);
	bs_packer_free(packer);
	bs_unpacker_free(unpacker);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

static void
test_sources(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsSource *sources;
	BsProgram program;
	BsPartial partial;
	BsPacker *packer;
	BsUnpacker *unpacker;
	BsUnpacked unpacked;
	BsBytes message;
	BsPackPlace place = {0};
	uint32_t n = 0;

	(void) state;
	assert_null(pack_make_program(&program, &pack_shapes[0]));
	bs_partial_init(&partial, &program, NO_LIMIT);
	partial.sources_capacity = 2 * BS_MAX_SOURCES;
	partial.sources = bs_arena_alloc(arena, partial.sources_capacity * sizeof(BsSource));
	sources = bs_arena_at(arena, partial.sources);
	for (uint32_t i = 0; i < partial.sources_capacity; i++)
		sources[i] = (BsSource){.source = i % 3 == 0 ? 0 : next_random() | 1,
								.highest = (int64_t) next_random(),
								.last_heard = i,
								.largest_lateness = 3 * i};
	packer = bs_packer_create(&program, PACK_FINGERPRINT);
	unpacker = bs_unpacker_create(&program, PACK_FINGERPRINT, NULL, NULL);
	for (;;)
	{
		assert_int_equal(bs_pack_sources(packer, arena, &partial, &place, &message), BS_PACK_OK);
		if (message.len == 0)
			break;
		assert_in_range(message.len, 1, 128 << 10);
		assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
		assert_int_equal(unpacked.kind, BS_PACK_SOURCES);
		for (uint32_t i = 0; i < unpacked.nsources; i++, n++)
		{
			while (sources[n].source == 0)
				n++;
			assert_memory_equal(&unpacked.sources[i], &sources[n], sizeof(BsSource));
		}
	}
	while (n < partial.sources_capacity && sources[n].source == 0)
		n++;
	assert_int_equal(n, partial.sources_capacity);
	bs_packer_free(packer);
	bs_unpacker_free(unpacker);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

static void
restore_message(BsPartial *partial, BsArena *arena, const BsProgram *program, BsWriter *writer,
				BsUnpacker *unpacker, BsBytes message, BsRestoring *restoring)
{
	BsUnpacked unpacked;

	assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
	bs_partial_restore(partial, arena, program, writer, unpacker, &unpacked, 1000, restoring);
}

/* Everything that a partial holds, through messages, into another one. */
static void
copy_partial(BsPartial *from, BsPartial *to, BsArena *arena, const BsProgram *program)
{
	BsPacker *packer = bs_packer_create(program, PACK_FINGERPRINT);
	BsUnpacker *unpacker = bs_unpacker_create(program, PACK_FINGERPRINT, any_state, NULL);
	BsWriter *writer = bs_writer_create(program);
	BsRestoring restoring = {0};
	BsPackPlace place = {0};
	BsBytes message;

	assert_int_equal(bs_pack_partial(packer, from, &message), BS_PACK_OK);
	restore_message(to, arena, program, writer, unpacker, message, &restoring);
	while (bs_pack_sources(packer, arena, from, &place, &message) == BS_PACK_OK && message.len > 0)
		restore_message(to, arena, program, writer, unpacker, message, &restoring);
	for (uint32_t i = 0; i < from->npanes; i++)
	{
		BsPane *pane = bs_partial_pane_at(from, arena, i);
		BsPackedPane packed = bs_packed_pane(pane, arena);

		assert_int_equal(bs_pack_pane(packer, &packed, &message), BS_PACK_OK);
		restore_message(to, arena, program, writer, unpacker, message, &restoring);
		place = (BsPackPlace){0};
		while (pane->table != 0 &&
			   bs_pack_rows(packer, arena, bs_arena_at(arena, pane->table), pane->start, &place,
							&message) == BS_PACK_OK &&
			   message.len > 0)
			restore_message(to, arena, program, writer, unpacker, message, &restoring);
	}
	bs_partial_restored(to, arena, program, &restoring);
	bs_packer_free(packer);
	bs_unpacker_free(unpacker);
	bs_writer_free(writer);
}

static void
test_restore(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsProgram program;
	BsPartial partial;
	BsPartial copy;
	BsProgress progress;

	(void) state;
	assert_null(pack_make_program(&program, &pack_windows));
	bs_partial_init(&partial, &program, 20);
	bs_partial_close(&partial, 0);
	add_random(&partial, arena, &program, 5000, 200, false);
	assert_true(partial.npanes > 2 && partial.late > 0 && partial.overflowed > 0);
	bs_partial_note_loss(&partial, arena, (BsLoss){.records = 7, .datagrams = 3, .dropped = 5});
	bs_partial_close(&partial, 100);
	bs_source_heard(&partial, arena, (BsSource){.source = 77, .highest = 1234, .last_heard = 5678, .largest_lateness = 9});
	bs_partial_pane_at(&partial, arena, 1)->gap = 1;
	bs_pane_note_nodes(bs_partial_pane_at(&partial, arena, 1), 8, 3);
	/* The worst stands, and what is more than there is room for is the most. */
	bs_pane_note_nodes(bs_partial_pane_at(&partial, arena, 1), 7, 1);
	bs_pane_note_nodes(bs_partial_pane_at(&partial, arena, 0), 5000, 0);
	assert_int_equal(bs_partial_pane_at(&partial, arena, 1)->nodes_expected, 8);
	assert_int_equal(bs_partial_pane_at(&partial, arena, 1)->nodes_missing, 3);
	assert_int_equal(bs_partial_pane_at(&partial, arena, 0)->nodes_expected, 1023);
	bs_partial_init(&copy, &program, 20);
	copy_partial(&partial, &copy, arena, &program);
	assert_int_equal(copy.npanes, partial.npanes);
	for (uint32_t i = 0; i < partial.npanes; i++)
	{
		BsPane a = *bs_partial_pane_at(&partial, arena, i);
		BsPane b = *bs_partial_pane_at(&copy, arena, i);

		assert_int_equal(a.table != 0, b.table != 0);
		assert_int_equal(bs_pane_records(&a, arena), bs_pane_records(&b, arena));
		assert_int_equal(a.datagrams_dropped, a.start < 0 ? 0 : 5);
		if (a.table != 0)
			assert_same_table(arena, bs_arena_at(arena, a.table), arena,
							  bs_arena_at(arena, b.table), &program);
		a.table = b.table = 0;
		assert_memory_equal(&a, &b, sizeof(a));
	}
	assert_int_equal(copy.records, partial.records);
	assert_int_equal(copy.overflowed, partial.overflowed);
	assert_int_equal(copy.late, partial.late);
	assert_int_equal(copy.closed_before, 100);
	assert_int_equal(copy.records_lost, partial.records_lost);
	assert_int_equal(copy.datagrams_dropped, 5);
	bs_progress_begin(&progress);
	bs_partial_progress(&copy, arena, &(BsWaiting){.now = 6678, .behind_usec = BS_TIME_INFINITY}, &progress);
	assert_true(progress.any_alive);
	assert_int_equal(progress.alive_lowest, 1234);
	/* What was taken is given back. */
	bs_partial_clear(&copy, arena);
	bs_partial_clear(&partial, arena);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

/* A packed table of each shape, and an unpacker for it. */
typedef struct Packed
{
	BsArena *arena;
	BsProgram program;
	Messages messages;
	BsUnpacker *unpacker;
} Packed;

static void
make_packed(Packed *packed, const PackShape *shape)
{
	BsPartial partial;

	packed->arena = bs_arena_create(ARENA_BYTES);
	assert_null(pack_make_program(&packed->program, shape));
	bs_partial_init(&partial, &packed->program, NO_LIMIT);
	add_random(&partial, packed->arena, &packed->program, 60, 20, false);
	packed->messages =
		pack_table(&packed->program, packed->arena, only_table(&partial, packed->arena));
	packed->unpacker = bs_unpacker_create(&packed->program, PACK_FINGERPRINT, any_state, NULL);
}

static void
free_packed(Packed *packed)
{
	free_messages(&packed->messages);
	bs_unpacker_free(packed->unpacker);
	bs_program_free(&packed->program);
	bs_arena_free_private(packed->arena);
}

static void
test_faults(void **state)
{
	Packed packed;
	BsUnpacked unpacked;
	BsUnpacker *other;
	Text *message;
	uint8_t *copy;
	size_t len;

	(void) state;
	make_packed(&packed, &pack_shapes[0]);
	message = &packed.messages.texts[0];
	/* A heap block of just the size, so that the sanitizer sees every byte read too far. */
	for (size_t cut = 0; cut < message->len; cut++)
	{
		copy = malloc(cut + 1);
		memcpy(copy, message->data, cut);
		assert_int_equal(bs_unpack(packed.unpacker, copy, cut, &unpacked), BS_PACK_TRUNCATED);
		free(copy);
	}
	for (size_t at = 0; at < message->len; at++)
	{
		BsPackStatus status;

		message->data[at] ^= 0x10;
		status = bs_unpack(packed.unpacker, message->data, message->len, &unpacked);
		assert_int_not_equal(status, BS_PACK_OK);
		if (at < 4)
			assert_int_equal(status, BS_PACK_NOT_PACKED);
		else if (at < 6)
			assert_int_equal(status, BS_PACK_VERSION_UNKNOWN);
		else if (at < 16 || at >= 20)
			assert_int_equal(status, BS_PACK_DAMAGED);
		message->data[at] ^= 0x10;
	}
	assert_int_equal(bs_pack_message_bytes(message->data, &len), BS_PACK_OK);
	assert_int_equal(len, message->len);
	other = bs_unpacker_create(&packed.program, PACK_FINGERPRINT + 1, any_state, NULL);
	assert_int_equal(bs_unpack(other, message->data, message->len, &unpacked), BS_PACK_FINGERPRINT);
	bs_unpacker_free(other);
	/* The end without what came before it. */
	message = &packed.messages.texts[packed.messages.n - 1];
	assert_int_equal(bs_unpack(packed.unpacker, message->data, message->len, &unpacked),
					 BS_PACK_TRUNCATED);
	for (int status = BS_PACK_OK; status <= BS_PACK_CORRUPT; status++)
		assert_non_null(bs_pack_status_text((BsPackStatus) status));
	free_packed(&packed);
}

/* Contents changed at random under a right checksum: what is taken can be merged and packed. */
static void
test_hostile(void **state)
{
	(void) state;
	for (size_t s = 0; s < PACK_NSHAPES; s++)
	{
		Packed packed;
		BsWriter *writer;
		uint32_t ntaken = 0;

		make_packed(&packed, &pack_shapes[s]);
		writer = bs_writer_create(&packed.program);
		for (int i = 0; i < 3000; i++)
		{
			const Text *message = &packed.messages.texts[next_random() % packed.messages.n];
			size_t len = next_random() % 4 == 0 ? message->len - next_random() % 9 : message->len;
			uint8_t *copy;
			BsUnpacked unpacked;

			if (len < BS_PACK_HEADER_BYTES)
				continue;
			copy = malloc(len);
			memcpy(copy, message->data, len);
			for (uint64_t n = next_random() % 4; n > 0 && len > BS_PACK_HEADER_BYTES; n--)
				copy[BS_PACK_HEADER_BYTES + next_random() % (len - BS_PACK_HEADER_BYTES)] =
					(uint8_t) next_random();
			bs_bytes_put_word(copy + 16, len, 4);
			bs_bytes_put_word(copy + 20, bs_pack_checksum(copy, len), 4);
			if (bs_unpack(packed.unpacker, copy, len, &unpacked) == BS_PACK_OK &&
				unpacked.kind == BS_PACK_ROWS)
			{
				uint64_t into = bs_table_create(packed.arena, &packed.program, 0);
				Messages again;

				bs_unpacked_merge(packed.unpacker, packed.arena, bs_arena_at(packed.arena, into),
								  writer, NO_LIMIT);
				again = pack_table(&packed.program, packed.arena, bs_arena_at(packed.arena, into));
				free_messages(&again);
				bs_table_free(packed.arena, &packed.program.layout, into);
				ntaken++;
			}
			free(copy);
		}
		assert_true(ntaken > 0);
		bs_writer_free(writer);
		free_packed(&packed);
	}
}

static bool
no_state(void *context, uint32_t foreign, BsBytes state)
{
	(void) foreign;
	(void) state;
	++*(int *) context;
	return false;
}

static void
test_refused_states(void **state)
{
	Packed packed;
	BsUnpacker *strict;
	BsUnpacked unpacked;
	int nasked = 0;

	(void) state;
	make_packed(&packed, &pack_shapes[3]);
	strict = bs_unpacker_create(&packed.program, PACK_FINGERPRINT, no_state, &nasked);
	assert_int_equal(
		bs_unpack(strict, packed.messages.texts[0].data, packed.messages.texts[0].len, &unpacked),
		BS_PACK_CORRUPT);
	assert_int_equal(nasked, 1);
	bs_unpacker_free(strict);
	free_packed(&packed);
}

/* What a group of the traffic matrix takes, with numbers as traffic has them. */
static void
test_compact(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsProgram program;
	BsTable *table;
	BsWriter *writer;
	BsKeys *keys;
	Messages messages;
	size_t len = 0;
	uint32_t n = 65536;

	(void) state;
	assert_null(pack_make_program(&program, &pack_shapes[0]));
	table = bs_arena_at(arena, bs_table_create(arena, &program, n));
	writer = bs_writer_create(&program);
	keys = bs_keys_create(&program, 1);
	for (uint32_t i = 0; i < n; i++)
	{
		const BsLane *lanes[2];
		int64_t as[2] = {(int64_t) (next_random() % 400000), 4200000000 + (int64_t) i};
		uint8_t null = 0;
		uint16_t zero = 0;
		BsLane lane[2] = {{.type = BS_INT8, .i64 = &as[0], .nulls = &null},
						  {.type = BS_INT8, .i64 = &as[1], .nulls = &null}};
		uint32_t number;
		uint8_t *row;

		lanes[0] = &lane[0];
		lanes[1] = &lane[1];
		bs_keys_pack(keys, &program, lanes, (BsRows){1, &zero});
		bs_table_find(arena, table, &program, keys, NO_LIMIT, &number);
		row = bs_table_row(arena, table, &program, number);
		*(uint64_t *) (row + program.count_offset) = 1 + next_random() % 5000;
		*(int64_t *) (row + program.aggregates[0].offset) =
			(int64_t) (next_random() % (UINT64_C(1) << 44));
		*(int64_t *) (row + program.aggregates[1].offset) =
			(int64_t) (next_random() % (UINT64_C(1) << 34));
		*(uint32_t *) (row + program.flags_offset) =
			program.aggregates[0].seen_mask | program.aggregates[1].seen_mask;
	}
	messages = pack_table(&program, arena, table);
	for (uint32_t i = 0; i < messages.n; i++)
		len += messages.texts[i].len;
	print_message("traffic matrix: %.1f bytes per group, %u messages\n", (double) len / n,
				  messages.n);
	assert_true(len < 32 * (size_t) n);
	free_messages(&messages);
	bs_keys_free(keys);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

/* A message as fuzz_pack takes it: number of the shape, kind, contents. */
static void
write_seed(const char *folder, size_t shape, const char *what, uint32_t number, BsBytes message)
{
	char path[1024];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%zu-%s-%u", folder, shape, what, number);
	out = fopen(path, "wb");
	if (out == NULL)
		exit(1);
	fputc((int) shape, out);
	fputc(message.data[6], out);
	fwrite(message.data + BS_PACK_HEADER_BYTES, 1, message.len - BS_PACK_HEADER_BYTES, out);
	fclose(out);
}

static void
write_corpus(const char *folder)
{
	for (size_t s = 0; s < PACK_NSHAPES; s++)
	{
		BsArena *arena = bs_arena_create(ARENA_BYTES);
		BsProgram program;
		BsPartial partial;
		BsPacker *packer;
		Messages messages;
		BsBytes message;

		pack_make_program(&program, &pack_shapes[s]);
		packer = bs_packer_create(&program, PACK_FINGERPRINT);
		bs_partial_init(&partial, &program, NO_LIMIT);
		add_random(&partial, arena, &program, 8, 20, false);
		messages = pack_table(&program, arena, only_table(&partial, arena));
		for (uint32_t i = 0; i < messages.n; i++)
			write_seed(
				folder, s, "rows", i,
				(BsBytes){.data = messages.texts[i].data, .len = (uint32_t) messages.texts[i].len});
		bs_pack_partial(packer, &partial, &message);
		write_seed(folder, s, "partial", 0, message);
		bs_pack_pane(packer, &(BsPackedPane){.window = 7, .closed = true, .records = 8}, &message);
		write_seed(folder, s, "pane", 0, message);
		free_messages(&messages);
		bs_packer_free(packer);
		bs_program_free(&program);
		bs_arena_free_private(arena);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),        cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_growing),        cmocka_unit_test(test_room),
		cmocka_unit_test(test_small_messages), cmocka_unit_test(test_sources),
		cmocka_unit_test(test_faults),         cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_restore),        cmocka_unit_test(test_refused_states),
		cmocka_unit_test(test_compact),
	};

	if (argc > 1)
	{
		write_corpus(argv[1]);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
