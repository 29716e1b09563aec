/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_partial.c: adding batches and merging partials, against a slow and simple oracle.
 *
 * The properties that everything rests on: a partial equals the oracle; k writers merged equal one; the
 * order of merging does not matter; what does not fit, comes late, or lies in the future is counted, to
 * the record; memory comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/engine/partial.h"

enum
{
	COL_TIME,
	COL_AS,
	COL_ADDR,
	COL_NAME,
	COL_BYTES,
	COL_FLAGS,
	NCOLUMNS
};

static const BsType column_types[NCOLUMNS] = {BS_TIMESTAMPTZ, BS_INT8, BS_INET,
											  BS_BYTES,       BS_INT8, BS_INT4};

enum
{
	AGG_COUNT,
	AGG_SUM,
	AGG_MIN_ADDR,
	AGG_MAX,
	AGG_OR,
	AGG_ANY,
	NAGGREGATES
};

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* ---- program ---------------------------------------------------------------------------------- */

typedef struct Shape
{
	bool keys[3]; /* as, addr, name */
	int64_t width;
} Shape;

static void
add_key(BsProgram *program, uint32_t column)
{
	BsKey *key = &program->keys[program->nkeys++];

	key->type = column_types[column];
	key->expr = bs_expr_column(column, key->type);
}

static void
set_aggregate(BsProgram *program, int a, BsAggregateKind kind, uint32_t column)
{
	program->aggregates[a].kind = kind;
	program->aggregates[a].type = column_types[column];
	program->aggregates[a].argument = bs_expr_column(column, column_types[column]);
}

static void
make_program(BsProgram *program, Shape shape)
{
	memset(program, 0, sizeof(*program));
	program->windowed = shape.width > 0;
	program->time_column = COL_TIME;
	program->windowing = bs_windowing_tumble(shape.width, 0);
	program->keys = calloc(3, sizeof(BsKey));
	program->fingerprint = 42;
	program->hash_seed = 7;
	for (uint32_t k = 0; k < 3; k++)
		if (shape.keys[k])
			add_key(program, COL_AS + k);
	program->naggregates = NAGGREGATES;
	program->aggregates = calloc(NAGGREGATES, sizeof(BsAggregate));
	set_aggregate(program, AGG_COUNT, BS_AGG_COUNT, COL_BYTES);
	set_aggregate(program, AGG_SUM, BS_AGG_SUM_INT, COL_BYTES);
	set_aggregate(program, AGG_MIN_ADDR, BS_AGG_MIN, COL_ADDR);
	set_aggregate(program, AGG_MAX, BS_AGG_MAX, COL_BYTES);
	set_aggregate(program, AGG_OR, BS_AGG_BIT_OR, COL_FLAGS);
	set_aggregate(program, AGG_ANY, BS_AGG_ANY, COL_NAME);
	assert_null(bs_program_finish(program, 256));
}

/* ---- records ---------------------------------------------------------------------------------- */

typedef struct Record
{
	bool null[NCOLUMNS];
	int64_t time;
	int64_t as;
	BsInet addr;
	const char *name;
	int64_t bytes;
	int64_t flags;
} Record;

static const char *const names[] = {"", "a", "b", "ab", "a longer name than the others", "\xc3\xa9"};

static Record
random_record(uint32_t cardinality)
{
	Record r = {0};

	r.time = (int64_t) (next_random() % 5000) - 1000;
	r.as = (int64_t) (next_random() % cardinality);
	r.addr.family = next_random() % 2 ? 4 : 6;
	r.addr.bits = r.addr.family == 4 ? 32 : 128;
	r.addr.address[3] = (uint8_t) (next_random() % 5);
	r.name = names[next_random() % 6];
	r.bytes = next_random() % 50 == 0 ? INT64_MAX : (int64_t) (next_random() % 100000) - 10;
	r.flags = (int64_t) (next_random() & 0xff);
	for (int c = COL_AS; c < NCOLUMNS; c++)
		r.null[c] = next_random() % 10 == 0;
	return r;
}

static void
batch_put(BsBatch *batch, const Record *r)
{
	uint32_t row = batch->nrows++;

	batch->columns[COL_TIME].i64[row] = r->time;
	batch->columns[COL_AS].i64[row] = r->as;
	batch->columns[COL_ADDR].inet[row] = r->addr;
	batch->columns[COL_NAME].bytes[row] =
		(BsBytes){.data = (const uint8_t *) r->name, .len = (uint32_t) strlen(r->name)};
	batch->columns[COL_BYTES].i64[row] = r->bytes;
	batch->columns[COL_FLAGS].i64[row] = r->flags;
	for (uint32_t c = 0; c < NCOLUMNS; c++)
		if (r->null[c])
			bs_lane_set_null(&batch->columns[c], row);
}

static void
add_records(BsPartial *partial, BsArena *arena, BsProgram *program, BsWriter *writer,
			const Record *records, uint32_t n)
{
	BsBatch *batch = bs_batch_create(column_types, NCOLUMNS, NULL, 256);

	for (uint32_t done = 0; done < n;)
	{
		const BsEvaluated *evaluated;

		bs_batch_reset(batch);
		while (done < n && batch->nrows < 256)
			batch_put(batch, &records[done++]);
		bs_batch_add_run(batch, 0, batch->nrows, 1);
		evaluated = bs_program_evaluate(program, batch, BS_TIME_INFINITY, NULL, NULL);
		bs_partial_add(partial, arena, program, writer, batch, evaluated, NULL, NULL);
	}
	bs_batch_free(batch);
}

/* ---- oracle ----------------------------------------------------------------------------------- */

typedef struct Group
{
	int64_t window;
	Record key; /* of its first record */
	uint64_t records;
	uint64_t count;
	__int128 sum;
	bool has_sum;
	bool has_addr;
	BsInet min_addr;
	int64_t max;
	bool has_or;
	int64_t or;
	bool has_any;
} Group;

static bool
same_group(const Group *g, int64_t window, const Record *r, Shape shape)
{
	if (g->window != window)
		return false;
	if (shape.keys[0] && (g->key.null[COL_AS] != r->null[COL_AS] ||
						  (!r->null[COL_AS] && g->key.as != r->as)))
		return false;
	if (shape.keys[1] && (g->key.null[COL_ADDR] != r->null[COL_ADDR] ||
						  (!r->null[COL_ADDR] && bs_inet_compare(&g->key.addr, &r->addr) != 0)))
		return false;
	if (shape.keys[2] && (g->key.null[COL_NAME] != r->null[COL_NAME] ||
						  (!r->null[COL_NAME] && strcmp(g->key.name, r->name) != 0)))
		return false;
	return true;
}

static uint32_t
oracle(Group *groups, const Record *records, uint32_t n, Shape shape)
{
	uint32_t ngroups = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		const Record *r = &records[i];
		int64_t window = 0;
		uint32_t g = 0;

		if (shape.width > 0)
		{
			window = r->time / shape.width * shape.width;
			if (window > r->time)
				window -= shape.width;
		}
		while (g < ngroups && !same_group(&groups[g], window, r, shape))
			g++;
		if (g == ngroups)
			groups[ngroups++] = (Group){.window = window, .key = *r};
		groups[g].records++;
		if (!r->null[COL_BYTES])
		{
			groups[g].count++;
			groups[g].max = groups[g].has_sum && groups[g].max > r->bytes ? groups[g].max : r->bytes;
			groups[g].sum += r->bytes;
			groups[g].has_sum = true;
		}
		if (!r->null[COL_ADDR] &&
			(!groups[g].has_addr || bs_inet_compare(&r->addr, &groups[g].min_addr) < 0))
		{
			groups[g].min_addr = r->addr;
			groups[g].has_addr = true;
		}
		if (!r->null[COL_FLAGS])
		{
			groups[g].or |= r->flags;
			groups[g].has_or = true;
		}
		groups[g].has_any |= !r->null[COL_NAME];
	}
	return ngroups;
}

static void
check_row(const BsProgram *program, const uint8_t *row, const Group *g)
{
	const BsAggregate *a = program->aggregates;

	assert_int_equal(*(const uint64_t *) (row + program->count_offset), g->records);
	assert_int_equal(*(const uint64_t *) bs_state_at(&a[AGG_COUNT], row), g->count);
	assert_int_equal(bs_state_has_value(&a[AGG_SUM], row), g->has_sum);
	assert_true(bs_state_sum(&a[AGG_SUM], row) == g->sum);
	assert_int_equal(bs_state_has_value(&a[AGG_MIN_ADDR], row), g->has_addr);
	if (g->has_addr)
		assert_memory_equal(bs_state_at(&a[AGG_MIN_ADDR], row), &g->min_addr, sizeof(BsInet));
	assert_int_equal(bs_state_has_value(&a[AGG_MAX], row), g->has_sum);
	if (g->has_sum)
		assert_int_equal(*(const int64_t *) bs_state_at(&a[AGG_MAX], row), g->max);
	assert_int_equal(bs_state_has_value(&a[AGG_OR], row), g->has_or);
	assert_int_equal(*(const int64_t *) bs_state_at(&a[AGG_OR], row), g->or);
	assert_int_equal(bs_state_has_value(&a[AGG_ANY], row), g->has_any);
}

/* Find the row of a group by packing its key as a batch of one. */
static uint8_t *
row_of(BsArena *arena, BsTable *table, const BsProgram *program, const Record *key)
{
	BsBatch *batch = bs_batch_create(column_types, NCOLUMNS, NULL, 1);
	BsKeys *keys = bs_keys_create(program, 1);
	const BsLane *lanes[3];
	uint16_t zero = 0;
	uint32_t number;

	batch_put(batch, key);
	for (uint32_t k = 0; k < program->nkeys; k++)
		lanes[k] = &batch->columns[program->keys[k].expr->column];
	bs_keys_pack(keys, program, lanes, (BsRows){1, &zero});
	bs_table_find(arena, table, program, keys, table->nrows, &number);
	bs_keys_free(keys);
	bs_batch_free(batch);
	return number == BS_NO_ROW ? NULL : bs_table_row(arena, table, program, number);
}

static void
check_partial(const BsPartial *partial, BsArena *arena, const BsProgram *program, Shape shape,
			  const Record *records, uint32_t n)
{
	Group *groups = calloc(n + 1, sizeof(Group));
	uint32_t ngroups = oracle(groups, records, n, shape);
	uint32_t nrows = 0;

	for (uint32_t i = 0; i < partial->npanes; i++)
		nrows += ((BsTable *) bs_arena_at(arena, bs_partial_pane_at(partial, arena, i)->table))->nrows;
	assert_int_equal(nrows, ngroups);
	assert_int_equal(partial->records, n);
	for (uint32_t g = 0; g < ngroups; g++)
	{
		BsPane *pane = bs_partial_pane(partial, arena, groups[g].window);
		uint8_t *row;

		assert_non_null(pane);
		row = row_of(arena, bs_arena_at(arena, pane->table), program, &groups[g].key);
		assert_non_null(row);
		check_row(program, row, &groups[g]);
	}
	free(groups);
}

static const Shape shapes[] = {
	{{true, false, false}, 1000}, {{true, true, false}, 1000}, {{false, false, true}, 700},
	{{true, true, true}, 5000},   {{false, false, false}, 10}, {{true, true, true}, 0},
	{{false, false, false}, 0},
};

#define NSHAPES (sizeof(shapes) / sizeof(shapes[0]))
#define ARENA_BYTES (64u << 20)

static void
equals_oracle(void **state)
{
	(void) state;
	for (uint32_t s = 0; s < NSHAPES; s++)
	{
		uint32_t n = 3000;
		Record *records = calloc(n, sizeof(Record));
		BsArena *arena = bs_arena_create(bs_arena_size_for(ARENA_BYTES));
		BsProgram program;
		BsWriter *writer;
		BsPartial partial;

		make_program(&program, shapes[s]);
		writer = bs_writer_create(&program);
		bs_partial_init(&partial, &program, UINT64_MAX);
		for (uint32_t i = 0; i < n; i++)
			records[i] = random_record(1 + s * 30);
		add_records(&partial, arena, &program, writer, records, n);
		check_partial(&partial, arena, &program, shapes[s], records, n);
		assert_int_equal(partial.bytes, bs_arena_stats(arena).used_bytes);
		bs_partial_clear(&partial, arena);
		assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
		bs_writer_free(writer);
		bs_program_free(&program);
		bs_arena_free_private(arena);
		free(records);
	}
}

#define NWRITERS 5

/* Records dealt to five writers and merged in a random order are the records of one. */
static void
writers_merge_to_one(void **state)
{
	(void) state;
	for (uint32_t round = 0; round < 3 * NSHAPES; round++)
	{
		Shape shape = shapes[round % NSHAPES];
		uint32_t n = 2000;
		Record *records = calloc(n, sizeof(Record));
		BsArena *arenas[NWRITERS];
		BsArena *arena = bs_arena_create(bs_arena_size_for(ARENA_BYTES));
		BsPartial partials[NWRITERS];
		BsPartial into;
		BsProgram program;
		BsWriter *writer;
		uint32_t start = (uint32_t) (next_random() % NWRITERS);

		make_program(&program, shape);
		writer = bs_writer_create(&program);
		bs_partial_init(&into, &program, UINT64_MAX);
		for (uint32_t w = 0; w < NWRITERS; w++)
		{
			arenas[w] = bs_arena_create(bs_arena_size_for(ARENA_BYTES));
			bs_partial_init(&partials[w], &program, UINT64_MAX);
		}
		for (uint32_t i = 0; i < n; i++)
		{
			uint32_t w = (uint32_t) (next_random() % NWRITERS);

			records[i] = random_record(200);
			add_records(&partials[w], arenas[w], &program, writer, &records[i], 1);
		}
		for (uint32_t k = 0; k < NWRITERS; k++)
		{
			uint32_t w = (start + k * 2) % NWRITERS;

			bs_partial_merge(&into, arena, &program, writer, &partials[w], arenas[w], 0);
		}
		check_partial(&into, arena, &program, shape, records, n);
		assert_int_equal(into.received, n);
		for (uint32_t w = 0; w < NWRITERS; w++)
			bs_arena_free_private(arenas[w]);
		bs_partial_clear(&into, arena);
		assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
		bs_writer_free(writer);
		bs_program_free(&program);
		bs_arena_free_private(arena);
		free(records);
	}
}

/* A million groups: chunks, directories and index blocks in all their forms. */
static void
many_groups(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for((size_t) 400 << 20));
	uint32_t n = 1000000;
	BsProgram program;
	BsWriter *writer;
	BsPartial partial;
	BsTable *table;
	Record r = {0};

	(void) state;
	make_program(&program, (Shape){{true, false, false}, 0});
	writer = bs_writer_create(&program);
	bs_partial_init(&partial, &program, UINT64_MAX);
	for (int round = 0; round < 2; round++)
	{
		BsBatch *batch = bs_batch_create(column_types, NCOLUMNS, NULL, 256);

		for (uint32_t i = 0; i < n; i++)
		{
			r.as = (int64_t) ((uint64_t) i * 2654435761u);
			r.addr.family = 4;
			r.name = "x";
			r.bytes = i;
			batch_put(batch, &r);
			if (batch->nrows < 256 && i + 1 < n)
				continue;
			bs_batch_add_run(batch, 0, batch->nrows, 1);
			bs_partial_add(&partial, arena, &program, writer, batch,
						   bs_program_evaluate(&program, batch, BS_TIME_INFINITY, NULL, NULL), NULL,
						   NULL);
			bs_batch_reset(batch);
		}
		bs_batch_free(batch);
	}
	table = bs_arena_at(arena, bs_partial_pane(&partial, arena, 0)->table);
	assert_int_equal(table->nrows, n);
	for (uint32_t i = 0; i < n; i += 997)
	{
		uint8_t *row;

		r.as = (int64_t) ((uint64_t) i * 2654435761u);
		row = row_of(arena, table, &program, &r);
		assert_non_null(row);
		assert_int_equal(*(uint64_t *) (row + program.count_offset), 2);
		assert_true(bs_state_sum(&program.aggregates[AGG_SUM], row) == 2 * (__int128) i);
	}
	bs_partial_clear(&partial, arena);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

/* What finds no room is counted as overflowed; groups that are there go on. */
static void
bounds_hold(void **state)
{
	for (int full_arena = 0; full_arena < 2; full_arena++)
	{
		BsArena *arena = bs_arena_create(bs_arena_size_for(1u << 20));
		uint32_t n = 100000;
		Record *records = calloc(n, sizeof(Record));
		BsProgram program;
		BsWriter *writer;
		BsPartial partial;
		uint64_t records_before;
		uint64_t failures_before;

		make_program(&program, (Shape){{true, false, true}, 1000});
		writer = bs_writer_create(&program);
		bs_partial_init(&partial, &program, full_arena ? UINT64_MAX : 500);
		for (uint32_t i = 0; i < n; i++)
			records[i] = random_record(60000);
		add_records(&partial, arena, &program, writer, records, n);
		assert_true(partial.overflowed > 0);
		assert_int_equal(partial.records + partial.overflowed, n);
		records_before = partial.records;
		failures_before = bs_arena_stats(arena).failures;
		add_records(&partial, arena, &program, writer, records, 10);
		assert_int_equal(partial.records, records_before + 10);
		/* Nothing came back: memory is not looked for again, for one record after the other. */
		add_records(&partial, arena, &program, writer, records, n);
		assert_true(bs_arena_stats(arena).failures - failures_before < 100);
		bs_partial_clear(&partial, arena);
		assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
		bs_writer_free(writer);
		bs_program_free(&program);
		bs_arena_free_private(arena);
		free(records);
	}
	(void) state;
}

static void
closed_windows_stay(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for(1u << 20));
	BsArena *other_arena = bs_arena_create(bs_arena_size_for(1u << 20));
	BsProgram program;
	BsWriter *writer;
	BsPartial partial;
	BsPartial other;
	Record records[3] = {random_record(1), random_record(1), random_record(1)};

	(void) state;
	make_program(&program, (Shape){{true, false, false}, 1000});
	writer = bs_writer_create(&program);
	bs_partial_init(&partial, &program, UINT64_MAX);
	bs_partial_init(&other, &program, UINT64_MAX);
	records[0].time = 500;
	records[1].time = 1500;
	records[2].time = -1;
	add_records(&partial, arena, &program, writer, records, 2);
	bs_partial_close(&partial, 1000);
	bs_partial_close(&partial, 0); /* never back */
	add_records(&partial, arena, &program, writer, records, 3);
	assert_int_equal(partial.late, 2);
	assert_int_equal(partial.records, 3);
	assert_int_equal(bs_partial_pane(&partial, arena, 0)->late, 1);
	assert_int_equal(bs_pane_records(bs_partial_pane(&partial, arena, 0), arena), 1);
	assert_null(bs_partial_pane(&partial, arena, -1000));
	/* By merge, too. */
	add_records(&other, other_arena, &program, writer, records, 3);
	bs_partial_merge(&partial, arena, &program, writer, &other, other_arena, 0);
	assert_int_equal(partial.late, 4);
	assert_int_equal(partial.records, 4);
	assert_int_equal(partial.received, 8);
	bs_partial_drop(&partial, arena, 1000);
	assert_null(bs_partial_pane(&partial, arena, 0));
	assert_non_null(bs_partial_pane(&partial, arena, 1000));
	bs_partial_clear(&partial, arena);
	bs_partial_clear(&other, other_arena);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
	bs_arena_free_private(other_arena);
}

static void
untimed_and_future(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for(1u << 20));
	BsBatch *batch = bs_batch_create(column_types, NCOLUMNS, NULL, 256);
	const BsEvaluated *evaluated;
	BsProgram program;
	Record r = random_record(1);

	(void) state;
	make_program(&program, (Shape){{false, false, false}, 1000});
	for (int64_t time = 0; time < 10; time++)
	{
		r.time = time * 1000;
		batch_put(batch, &r);
	}
	r.time = BS_TIME_INFINITY;
	batch_put(batch, &r);
	r.time = BS_TIME_NEG_INFINITY;
	batch_put(batch, &r);
	r.null[COL_TIME] = true;
	batch_put(batch, &r);
	bs_batch_add_run(batch, 0, batch->nrows, 1);
	evaluated = bs_program_evaluate(&program, batch, 7000, NULL, NULL);
	assert_int_equal(evaluated->received, 13);
	assert_int_equal(evaluated->untimed, 3);
	assert_int_equal(evaluated->future, 2);
	assert_int_equal(evaluated->nrows, 8);
	bs_batch_free(batch);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

/* An hour of ungrouped 10 s windows takes less than 100 kB. */
static void
small_windows_are_small(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for(1u << 20));
	BsProgram program = {0};
	BsBatch *batch = bs_batch_create(column_types, NCOLUMNS, NULL, 256);
	BsWriter *writer;
	BsPartial partial;
	Record r = random_record(1);

	(void) state;
	program.windowed = true;
	program.time_column = COL_TIME;
	program.windowing = bs_windowing_tumble(10 * INT64_C(1000000), 0);
	program.fingerprint = 1;
	assert_null(bs_program_finish(&program, 256));
	writer = bs_writer_create(&program);
	bs_partial_init(&partial, &program, UINT64_MAX);
	for (int64_t window = 0; window < 361; window++)
	{
		r.time = window * program.windowing.size_usec;
		bs_batch_reset(batch);
		batch_put(batch, &r);
		bs_batch_add_run(batch, 0, 1, 1);
		bs_partial_follow(&partial, arena, &program, batch, &(BsViewTimes){.future_limit = BS_TIME_INFINITY});
		bs_partial_add(&partial, arena, &program, writer, batch,
					   bs_program_evaluate(&program, batch, BS_TIME_INFINITY, NULL, NULL), NULL, NULL);
	}
	assert_int_equal(partial.npanes, 361);
	assert_true(partial.bytes < 100000);
	bs_partial_clear(&partial, arena);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_batch_free(batch);
	bs_arena_free_private(arena);
}

/* ---- states outside the rows -------------------------------------------------------------------- */

/* A list of states becomes one also when memory is out: in the place of one of them. */
static void
states_are_replaced_without_memory(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for(64u << 10));
	BsProgram program = {.naggregates = 1, .aggregates = calloc(1, sizeof(BsAggregate))};
	uint8_t data[200] = {0};
	BsHandle handle = {0};
	BsTable *table;
	const BsBlob *blob;
	uint64_t bytes;

	(void) state;
	program.aggregates[0] = (BsAggregate){.kind = BS_AGG_FOREIGN};
	assert_null(bs_program_finish(&program, 16));
	table = bs_arena_at(arena, bs_table_create(arena, &program, 0));
	bytes = table->bytes;
	while (bs_handle_append(arena, table, &handle, data, 48))
		data[0]++;
	blob = bs_arena_at(arena, handle.offset);
	assert_true(blob->nblobs > 100);
	/* None of them is as large. */
	assert_false(bs_handle_replace(arena, table, &handle, data, sizeof(data)));
	assert_int_equal(((const BsBlob *) bs_arena_at(arena, handle.offset))->nblobs, blob->nblobs);
	data[0] = 77;
	assert_true(bs_handle_replace(arena, table, &handle, data, 47));
	blob = bs_arena_at(arena, handle.offset);
	assert_int_equal(blob->nblobs, 1);
	assert_int_equal(blob->next, 0);
	assert_int_equal(blob->len, 47);
	assert_int_equal(blob->data[0], 77);
	assert_int_equal(table->bytes, bytes + bs_arena_block_bytes(sizeof(BsBlob) + 47));
	bs_handle_release(arena, table, &handle);
	assert_int_equal(table->bytes, bytes);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_oracle),       cmocka_unit_test(writers_merge_to_one),
		cmocka_unit_test(many_groups),         cmocka_unit_test(bounds_hold),
		cmocka_unit_test(closed_windows_stay), cmocka_unit_test(untimed_and_future),
		cmocka_unit_test(small_windows_are_small),
		cmocka_unit_test(states_are_replaced_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
