/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_sets.c: DISTINCT values by group: exact however many writers and in whatever order they merge.
 *
 * count, sum and avg over distinct values of one column, by two keys, against a bitmap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/engine/groupvalues.h"
#include "../../src/engine/partial.h"

enum
{
	COL_TIME,
	COL_A,
	COL_B,
	COL_X,
	NCOLUMNS
};

static const BsType types[NCOLUMNS] = {BS_TIMESTAMPTZ, BS_INT8, BS_BYTES, BS_INT4};

#define NA 7
#define NB 3
#define NX 500
#define NWINDOWS 3
#define WIDTH 1000

static const char *const names[NB] = {"x", "yy", ""};

static uint64_t random_state = 0x2545F4914F6CDD1Du;

static uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* count(DISTINCT x), sum(DISTINCT x), and a plain sum(x), by a and b; windowed. */
static void
make_program(BsProgram *program, bool keyed)
{
	memset(program, 0, sizeof(*program));
	program->windowed = true;
	program->time_column = COL_TIME;
	program->windowing = bs_windowing_tumble(WIDTH, 0);
	program->fingerprint = 9;
	program->hash_seed = 3;
	program->keys = calloc(2, sizeof(BsKey));
	for (uint32_t k = 0; keyed && k < 2; k++)
		program->keys[program->nkeys++] =
			(BsKey){.expr = bs_expr_column(COL_A + k, types[COL_A + k]), .type = types[COL_A + k]};
	program->nsets = 1;
	program->sets = calloc(1, sizeof(BsSet));
	program->sets[0] = (BsSet){.argument = bs_expr_column(COL_X, BS_INT4), .type = BS_INT4};
	program->naggregates = 3;
	program->aggregates = calloc(3, sizeof(BsAggregate));
	program->aggregates[0] = (BsAggregate){.kind = BS_AGG_COUNT, .type = BS_INT4, .set = 1};
	program->aggregates[1] = (BsAggregate){.kind = BS_AGG_SUM_INT, .type = BS_INT4, .set = 1};
	program->aggregates[2] = (BsAggregate){
		.kind = BS_AGG_SUM_INT, .type = BS_INT4, .argument = bs_expr_column(COL_X, BS_INT4)};
	assert_null(bs_program_finish(program, 128));
}

typedef struct Group
{
	bool there;
	bool seen[NX];
	int64_t plain;
} Group;

static Group groups[NWINDOWS][NA][NB];

static void
add_batch(BsPartial *partial, BsArena *arena, BsProgram *program, BsWriter *writer, BsBatch *batch,
		  bool keyed)
{
	bs_batch_reset(batch);
	for (uint32_t row = 0; row < 128; row++)
	{
		uint32_t w = (uint32_t) (next_random() % NWINDOWS);
		uint32_t a = keyed ? (uint32_t) (next_random() % NA) : 0;
		uint32_t b = keyed ? (uint32_t) (next_random() % NB) : 0;
		uint32_t x = (uint32_t) (next_random() % NX);
		Group *group = &groups[w][a][b];

		batch->columns[COL_TIME].i64[row] = w * WIDTH + 5;
		batch->columns[COL_A].i64[row] = a;
		batch->columns[COL_B].bytes[row] =
			(BsBytes){.data = (const uint8_t *) names[b], .len = (uint32_t) strlen(names[b])};
		batch->columns[COL_X].i64[row] = x;
		group->there = true;
		if (next_random() % 8 == 0)
			bs_lane_set_null(&batch->columns[COL_X], row);
		else
		{
			group->seen[x] = true;
			group->plain += x;
		}
	}
	batch->nrows = 128;
	bs_batch_add_run(batch, 0, 128, 1);
	bs_partial_add(partial, arena, program, writer, batch,
				   bs_program_evaluate(program, batch, BS_TIME_INFINITY, NULL, NULL), NULL, NULL);
}

static void
check_row(const BsProgram *program, const uint8_t *row, const Group *group)
{
	int64_t count = 0;
	int64_t sum = 0;

	for (int x = 0; x < NX; x++)
	{
		count += group->seen[x];
		sum += group->seen[x] ? x : 0;
	}
	assert_true(group->there);
	assert_int_equal(*(const int64_t *) bs_state_at(&program->aggregates[0], row), count);
	assert_true(bs_state_sum(&program->aggregates[1], row) == sum);
	assert_int_equal(bs_state_has_value(&program->aggregates[1], row), count > 0);
	assert_true(bs_state_sum(&program->aggregates[2], row) == group->plain);
}

/* Which group is this row of? */
static const Group *
group_of(const BsProgram *program, BsArena *arena, const uint8_t *row, uint32_t w)
{
	BsHandle name;
	int64_t a;

	if (program->nkeys == 0)
		return &groups[w][0][0];
	memcpy(&a, row + program->keys[0].offset, 8);
	memcpy(&name, row + program->keys[1].offset, sizeof(name));
	for (uint32_t b = 0; b < NB; b++)
		if (name.len == strlen(names[b]) &&
			memcmp(bs_handle_bytes(arena, &name), names[b], name.len) == 0)
			return &groups[w][a][b];
	fail();
	return NULL;
}

/* The values of each group, listed: each once, and no other. */
static void
check_values(BsArena *arena, BsTable *table, const BsProgram *program, BsWriter *writer, uint32_t w)
{
	uint32_t nvalues = bs_groupvalues_count(arena, table, program, 0);
	BsGroupValues values = {.first = calloc(table->nrows, sizeof(uint32_t)),
							.next = calloc(nvalues, sizeof(uint32_t))};
	uint32_t listed = 0;

	bs_groupvalues_list(&values, arena, table, program, writer, 0);
	for (uint32_t i = 0; i < table->nrows; i++)
	{
		const Group *group =
			group_of(program, arena, bs_table_row(arena, table, program, i), w);
		bool seen[NX] = {false};

		assert_int_equal(bs_row_ordinal(&program->layout, i), i);
		for (uint32_t value = values.first[i]; value != 0; value = values.next[value - 1])
		{
			int32_t x;

			memcpy(&x, bs_groupvalues_cell(arena, table, program, 0, value), sizeof(x));
			assert_false(seen[x]);
			seen[x] = true;
			listed++;
		}
		assert_memory_equal(seen, group->seen, sizeof(seen));
	}
	assert_int_equal(listed, nvalues);
	free(values.first);
	free(values.next);
}

static void
check_all(BsPartial *partial, BsArena *arena, const BsProgram *program, BsWriter *writer)
{
	for (uint32_t w = 0; w < NWINDOWS; w++)
	{
		BsPane *pane = bs_partial_pane(partial, arena, w * WIDTH);
		BsTable *table;

		assert_non_null(pane);
		table = bs_arena_at(arena, pane->table);
		assert_int_equal(table->left_out, 0);
		bs_table_fold_sets(arena, table, program, writer);
		assert_int_equal(table->nrows, program->nkeys == 0 ? 1 : NA * NB);
		for (uint32_t i = 0; i < table->nrows; i++)
		{
			const uint8_t *row = bs_table_row(arena, table, program, i);

			check_row(program, row, group_of(program, arena, row, w));
		}
		check_values(arena, table, program, writer, w);
	}
}

#define NWRITERS 4

static void
run(bool keyed)
{
	BsArena *arenas[NWRITERS];
	BsPartial partials[NWRITERS];
	BsArena *arena = bs_arena_create(bs_arena_size_for(32u << 20));
	BsBatch *batch = bs_batch_create(types, NCOLUMNS, NULL, 128);
	BsPartial into;
	BsProgram program;
	BsWriter *writer;

	memset(groups, 0, sizeof(groups));
	make_program(&program, keyed);
	writer = bs_writer_create(&program);
	bs_partial_init(&into, &program, UINT64_MAX);
	for (int w = 0; w < NWRITERS; w++)
	{
		arenas[w] = bs_arena_create(bs_arena_size_for(32u << 20));
		bs_partial_init(&partials[w], &program, UINT64_MAX);
		for (int i = 0; i < 20; i++)
			add_batch(&partials[w], arenas[w], &program, writer, batch, keyed);
		assert_int_equal(partials[w].bytes, bs_arena_stats(arenas[w]).used_bytes);
	}
	for (int w = NWRITERS - 1; w >= 0; w--)
		bs_partial_merge(&into, arena, &program, writer, &partials[w], arenas[w], 0);
	assert_int_equal(into.bytes, bs_arena_stats(arena).used_bytes);
	check_all(&into, arena, &program, writer);
	for (int w = 0; w < NWRITERS; w++)
	{
		bs_partial_clear(&partials[w], arenas[w]);
		assert_int_equal(bs_arena_stats(arenas[w]).used_bytes, 0);
		bs_arena_free_private(arenas[w]);
	}
	bs_partial_clear(&into, arena);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_batch_free(batch);
	bs_arena_free_private(arena);
}

static void
by_group(void **state)
{
	(void) state;
	run(true);
}

static void
over_all(void **state)
{
	(void) state;
	run(false);
}

/* Values beyond the bound are counted; the groups themselves go on. */
static void
full_sets_say_so(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for(32u << 20));
	BsBatch *batch = bs_batch_create(types, NCOLUMNS, NULL, 128);
	BsPartial partial;
	BsProgram program;
	BsWriter *writer;
	BsTable *table;

	(void) state;
	make_program(&program, false);
	writer = bs_writer_create(&program);
	bs_partial_init(&partial, &program, 20);
	for (int i = 0; i < 20; i++)
		add_batch(&partial, arena, &program, writer, batch, false);
	table = bs_arena_at(arena, bs_partial_pane(&partial, arena, 0)->table);
	assert_true(table->left_out > 0);
	assert_int_equal(partial.records, 20 * 128);
	bs_table_fold_sets(arena, table, &program, writer);
	assert_int_equal(*(const int64_t *) bs_state_at(&program.aggregates[0],
													bs_table_row(arena, table, &program, 0)),
					 20);
	bs_partial_clear(&partial, arena);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_batch_free(batch);
	bs_arena_free_private(arena);
}

/* Records of a pane, its groups less the other one, and what the other one holds. */
static void
check_gathered(BsPartial *partial, BsArena *arena, const BsProgram *program, uint32_t w)
{
	const BsPane *pane = bs_partial_pane(partial, arena, w * WIDTH);
	const BsTable *table = bs_arena_at(arena, pane->table);
	uint64_t records = 0;
	uint32_t nothers = 0;

	assert_int_equal(bs_table_ngroups(table), 5);
	for (uint32_t i = 0; i < table->nrows; i++)
	{
		const uint8_t *row = bs_table_row(arena, table, program, i);
		uint64_t count = *(const uint64_t *) (row + program->count_offset);

		records += count;
		if (!bs_row_is_other(program, row))
			continue;
		nothers++;
		assert_int_equal(table->other, i + 1);
		assert_int_equal(count, bs_table_other_records(arena, table));
		assert_int_equal(row[program->null_offset], 3);
	}
	assert_int_equal(nothers, 1);
	assert_true(bs_table_other_records(arena, table) > 0);
	assert_int_equal(records, bs_table_records(table));
	assert_int_equal(pane->overflowed, 0);
}

/* Groups beyond the bound are gathered: nothing is lost, and all that was gathered is one group. */
static void
gathers_what_overflows(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for(32u << 20));
	BsArena *others = bs_arena_create(bs_arena_size_for(32u << 20));
	BsBatch *batch = bs_batch_create(types, NCOLUMNS, NULL, 128);
	BsPartial partials[2];
	BsProgram program;
	BsWriter *writer;
	uint64_t empty;

	(void) state;
	make_program(&program, true);
	writer = bs_writer_create(&program);
	for (int p = 0; p < 2; p++)
	{
		BsArena *at = p == 0 ? arena : others;

		bs_partial_init(&partials[p], &program, 5);
		partials[p].gather_other = 1;
		for (int i = 0; i < 20; i++)
			add_batch(&partials[p], at, &program, writer, batch, true);
		for (uint32_t w = 0; w < NWINDOWS; w++)
			check_gathered(&partials[p], at, &program, w);
		assert_int_equal(partials[p].bytes, bs_arena_stats(at).used_bytes);
	}
	bs_partial_merge(&partials[0], arena, &program, writer, &partials[1], others, 0);
	assert_int_equal(partials[0].records, 2 * 20 * 128);
	assert_int_equal(partials[0].overflowed, 0);
	for (uint32_t w = 0; w < NWINDOWS; w++)
		check_gathered(&partials[0], arena, &program, w);
	for (uint32_t w = 0; w < NWINDOWS; w++)
	{
		BsTable *table = bs_arena_at(arena, bs_partial_pane(&partials[0], arena, w * WIDTH)->table);
		const uint8_t *other = bs_table_row(arena, table, &program, table->other - 1);

		bs_table_fold_sets(arena, table, &program, writer);
		assert_in_range(*(const int64_t *) bs_state_at(&program.aggregates[0], other), NX / 4, NX);
	}
	/* What is kept back is there for a new pane when nothing else is left. */
	bs_arena_keep(others, bs_arena_stats(others).total_bytes);
	assert_int_equal(bs_arena_alloc(others, 64), 0);
	empty = bs_table_create_gathering(others, &program, 1000);
	assert_int_not_equal(empty, 0);
	assert_int_equal(((BsTable *) bs_arena_at(others, empty))->nrows, 1);
	bs_table_free(others, &program.layout, empty);
	bs_partial_clear(&partials[0], arena);
	bs_partial_clear(&partials[1], others);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	assert_int_equal(bs_arena_stats(others).used_bytes, 0);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_batch_free(batch);
	bs_arena_free_private(arena);
	bs_arena_free_private(others);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_group),
		cmocka_unit_test(over_all),
		cmocka_unit_test(full_sets_say_so),
		cmocka_unit_test(gathers_what_overflows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
