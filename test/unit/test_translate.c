/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_translate.c: rows of an older program merged into those of a newer one.
 *
 * Random records go to either of two tables: one of a program with some aggregates, one of a program with
 * these in another order and more of them; the keys, too, are in another order.  Merged, everything that both keep must be as if the newer program
 * had counted all, and what only the newer one keeps as if it had counted its own alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/engine/translate.h"

enum
{
	COL_NAME,
	COL_X,
	COL_Y,
	COL_K,
	NCOLUMNS
};

static const BsType types[NCOLUMNS] = {BS_BYTES, BS_INT8, BS_INT4, BS_INT2};

#define ARENA_BYTES (64u << 20)
#define CAPACITY    200
#define NNAMES      2000
#define MANY        20 /* states that only make the newer rows longer */

static uint64_t random_state = 0x853c49e6748fea9bu;

static uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* What a program keeps, by number; the numbers of both programs are those of the first that both have. */
typedef struct Kept
{
	BsAggregateKind kind;
	uint32_t column;
	uint32_t set; /* of the program, counted from 1 */
	int older;    /* the same in the older program; -1: none */
} Kept;

static const Kept older_kept[] = {
	{BS_AGG_SUM_INT, COL_X, 0, 0},	 {BS_AGG_COUNT, COL_X, 0, 1}, {BS_AGG_ANY, COL_NAME, 0, 2},
	{BS_AGG_SUM_INT, COL_Y, 1, 3},	 {BS_AGG_MAX, COL_Y, 0, 4},
};

static const Kept newer_kept[] = {
	{BS_AGG_MAX, COL_X, 0, -1},	  {BS_AGG_MAX, COL_Y, 0, 4},	 {BS_AGG_COUNT, COL_X, 1, -1},
	{BS_AGG_ANY, COL_NAME, 0, 2}, {BS_AGG_SUM_INT, COL_Y, 2, 3}, {BS_AGG_SUM_INT, COL_X, 0, 0},
	{BS_AGG_COUNT, COL_X, 0, 1},
};

#define NOLDER (sizeof(older_kept) / sizeof(older_kept[0]))
#define NNEWER (sizeof(newer_kept) / sizeof(newer_kept[0]))

static void
make_program(BsProgram *program, const Kept *kept, uint32_t nkept, uint32_t more,
			 const uint32_t *sets, uint32_t nsets, const uint32_t *keys)
{
	memset(program, 0, sizeof(*program));
	program->hash_seed = 7;
	program->nkeys = 2;
	program->keys = calloc(2, sizeof(BsKey));
	for (uint32_t k = 0; k < 2; k++)
		program->keys[k] =
			(BsKey){.expr = bs_expr_column(keys[k], types[keys[k]]), .type = types[keys[k]]};
	program->nsets = nsets;
	program->sets = calloc(nsets + 1, sizeof(BsSet));
	for (uint32_t i = 0; i < nsets; i++)
		program->sets[i] =
			(BsSet){.argument = bs_expr_column(sets[i], types[sets[i]]), .type = types[sets[i]]};
	program->aggregates = calloc(nkept + more, sizeof(BsAggregate));
	for (uint32_t i = 0; i < nkept + more; i++)
	{
		const Kept *k = &kept[i < nkept ? i : 0];

		program->aggregates[program->naggregates++] =
			(BsAggregate){.kind = k->kind,
						  .type = types[k->column],
						  .set = k->set,
						  .argument = k->set == 0 ? bs_expr_column(k->column, types[k->column]) : NULL};
	}
	assert_null(bs_program_finish(program, CAPACITY));
}

/* One writer's table of everything. */
typedef struct Counted
{
	BsPartial partial;
	BsWriter *writer;
} Counted;

static void
count_batch(Counted *counted, BsArena *arena, BsProgram *program, const BsBatch *batch)
{
	bs_partial_add(&counted->partial, arena, program, counted->writer, batch,
				   bs_program_evaluate(program, batch, BS_TIME_INFINITY, NULL, NULL), NULL, NULL);
}

static void
random_batch(BsBatch *batch, char texts[][16])
{
	bs_batch_reset(batch);
	for (uint32_t row = 0; row < CAPACITY; row++)
	{
		char *text = texts[row];
		int len = snprintf(text, 16, "name %u", (unsigned) (next_random() % NNAMES));

		batch->columns[COL_NAME].bytes[row] =
			(BsBytes){.data = (const uint8_t *) text, .len = (uint32_t) len};
		batch->columns[COL_X].i64[row] =
			next_random() % 9 == 0 ? INT64_MAX : (int64_t) (next_random() % 1000);
		batch->columns[COL_K].i64[row] = (int64_t) (next_random() % 3);
		batch->columns[COL_Y].i64[row] = (int64_t) (next_random() % 40);
		for (uint32_t c = 0; c < NCOLUMNS; c++)
			if (next_random() % 12 == 0)
				bs_lane_set_null(&batch->columns[c], row);
	}
	batch->nrows = CAPACITY;
	bs_batch_add_run(batch, 0, CAPACITY, 1);
}

static BsTable *
table_of(const Counted *counted, BsArena *arena)
{
	return bs_arena_at(arena, bs_partial_pane(&counted->partial, arena, BS_NO_WINDOW)->table);
}

static void
merge(BsArena *arena, BsTable *into, const BsProgram *program, BsWriter *writer,
	  const BsTranslation *translation, BsTable *from)
{
	for (uint32_t set = 0; set < program->nsets; set++)
		for (uint32_t chunk = 0;
			 translation != NULL
				 ? bs_table_merge_older_set_chunk(arena, into, program, writer, translation, arena, from,
												  set, chunk, UINT64_MAX)
				 : bs_table_merge_set_chunk(arena, into, program, writer, arena, from, set, chunk,
											UINT64_MAX);
			 chunk++)
			;
	for (uint32_t chunk = 0; chunk < from->nchunks; chunk++)
		assert_int_equal(translation != NULL
							 ? bs_table_merge_older_chunk(arena, into, program, writer, translation,
														  arena, from, chunk, UINT64_MAX)
							 : bs_table_merge_chunk(arena, into, program, writer, arena, from, chunk,
													UINT64_MAX),
						 0);
}

static void
make_translation(BsTranslation *translation, const BsProgram *older, const BsProgram *newer)
{
	memset(translation, 0, sizeof(*translation));
	translation->from = bs_row_places(older);
	translation->to = bs_row_places(newer);
	translation->moves = calloc(NNEWER, sizeof(BsStateMove));
	for (uint32_t i = 0; i < NNEWER; i++)
	{
		BsStateMove *move = &translation->moves[translation->nmoves];

		if (newer_kept[i].older < 0)
			continue;
		move->from = bs_state_place(&older->aggregates[newer_kept[i].older]);
		move->to = bs_state_place(&newer->aggregates[i]);
		if (move->to.set != 0)
			translation->set_from[move->to.set - 1] = (int32_t) move->from.set;
		translation->nmoves++;
	}
	translation->reordered = true;
	translation->nkeys = 2;
	translation->key_moves = calloc(2, sizeof(BsKeyMove));
	for (uint16_t k = 0; k < 2; k++)
		translation->key_moves[k] = (BsKeyMove){.from = k,
												.to = 1 - k,
												.from_offset = older->keys[k].offset,
												.to_offset = newer->keys[1 - k].offset,
												.width = older->keys[k].width};
	translation->rows_capacity = 7;
	translation->rows = malloc((size_t) translation->rows_capacity * newer->row_bytes);
}

/* The row of the same key in another table of the program; NULL: none. */
static const uint8_t *
same_row(BsArena *arena, BsTable *table, const BsProgram *program, const uint8_t *row)
{
	BsKeys *keys = bs_keys_create(program, 1);
	uint32_t number;

	bs_keys_pack_rows(keys, program, arena, row, 1);
	bs_table_find(arena, table, program, keys, table->nrows, &number);
	bs_keys_free(keys);
	return number == BS_NO_ROW ? NULL : bs_table_row(arena, table, program, number);
}

static void
check_state(const BsAggregate *aggregate, BsArena *arena, const uint8_t *row, const uint8_t *expected)
{
	static const uint8_t zero[64];

	if (expected == NULL)
	{
		assert_false(bs_state_has_value(aggregate, row));
		assert_memory_equal(bs_state_at(aggregate, row), zero,
							bs_aggregate_state_bytes(aggregate->kind, aggregate->type));
		return;
	}
	assert_int_equal(bs_state_has_value(aggregate, row), bs_state_has_value(aggregate, expected));
	if (aggregate->kind == BS_AGG_ANY)
	{
		const BsHandle *a = bs_state_at(aggregate, row);
		const BsHandle *b = bs_state_at(aggregate, expected);

		/* The only value of a group is its key. */
		assert_int_equal(a->len, b->len);
		if (a->len > 0)
			assert_memory_equal(bs_handle_bytes(arena, a), bs_handle_bytes(arena, b), a->len);
		return;
	}
	if (aggregate->kind == BS_AGG_SUM_INT)
		assert_true(bs_state_sum(aggregate, row) == bs_state_sum(aggregate, expected));
	assert_memory_equal(bs_state_at(aggregate, row), bs_state_at(aggregate, expected),
						bs_aggregate_state_bytes(aggregate->kind, aggregate->type));
}

static void
check_tables(BsArena *arena, const BsProgram *program, BsTable *united, BsTable *all, BsTable *own)
{
	for (uint32_t chunk = 0; chunk < united->nchunks; chunk++)
		for (uint32_t i = 0; i < bs_table_chunk_rows(united, &program->layout, chunk); i++)
		{
			const uint8_t *row = bs_table_row(arena, united, program, chunk << BS_ROW_SHIFT | i);
			const uint8_t *of_all = same_row(arena, all, program, row);
			const uint8_t *of_own = same_row(arena, own, program, row);

			assert_non_null(of_all);
			assert_int_equal(*(const uint64_t *) (row + program->count_offset),
							 *(const uint64_t *) (of_all + program->count_offset));
			for (uint32_t a = 0; a < NNEWER; a++)
				check_state(&program->aggregates[a], arena, row,
							newer_kept[a].older >= 0 ? of_all : of_own);
		}
	assert_int_equal(united->nrows, all->nrows);
}

static Counted
begin(const BsProgram *program)
{
	Counted counted = {.writer = bs_writer_create(program)};

	bs_partial_init(&counted.partial, program, UINT64_MAX);
	return counted;
}

static void
end(Counted *counted, BsArena *arena)
{
	bs_partial_clear(&counted->partial, arena);
	bs_writer_free(counted->writer);
}

static void
test_older_and_newer(void **state)
{
	static const uint32_t older_sets[] = {COL_Y};
	static const uint32_t newer_sets[] = {COL_X, COL_Y};
	static const uint32_t older_keys[] = {COL_NAME, COL_K};
	static const uint32_t newer_keys[] = {COL_K, COL_NAME};
	static char texts[CAPACITY][16];
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsBatch *batch = bs_batch_create(types, NCOLUMNS, NULL, CAPACITY);
	BsTranslation translation;
	BsProgram older;
	BsProgram newer;
	Counted first, second, all;
	BsTable *united;
	uint64_t table;

	(void) state;
	make_program(&older, older_kept, NOLDER, 0, older_sets, 1, older_keys);
	make_program(&newer, newer_kept, NNEWER, MANY, newer_sets, 2, newer_keys);
	make_translation(&translation, &older, &newer);
	first = begin(&older);
	second = begin(&newer);
	all = begin(&newer);
	for (int i = 0; i < 200; i++)
	{
		random_batch(batch, texts);
		if (i % 3 != 0)
			count_batch(&first, arena, &older, batch);
		else
			count_batch(&second, arena, &newer, batch);
		count_batch(&all, arena, &newer, batch);
	}
	assert_true(table_of(&first, arena)->nchunks > 3);
	table = bs_table_create(arena, &newer, 0);
	united = bs_arena_at(arena, table);
	merge(arena, united, &newer, second.writer, &translation, table_of(&first, arena));
	merge(arena, united, &newer, second.writer, NULL, table_of(&second, arena));
	assert_int_equal(united->left_out, 0);
	bs_table_fold_sets(arena, united, &newer, second.writer);
	bs_table_fold_sets(arena, table_of(&second, arena), &newer, second.writer);
	bs_table_fold_sets(arena, table_of(&all, arena), &newer, all.writer);
	check_tables(arena, &newer, united, table_of(&all, arena), table_of(&second, arena));

	bs_table_free(arena, &newer.layout, table);
	end(&first, arena);
	end(&second, arena);
	end(&all, arena);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	free(translation.key_moves);
	free(translation.moves);
	free(translation.rows);
	bs_program_free(&older);
	bs_program_free(&newer);
	bs_batch_free(batch);
	bs_arena_free_private(arena);
}

/* Counters and sources of a partial go on in another one. */
static void
test_inherit(void **state)
{
	BsArena *arena = bs_arena_create(1u << 22);
	BsPartial from = {.records = 3, .received = 9, .late = 6, .bytes = 0};
	BsPartial into = {.records = 1, .received = 1};

	(void) state;
	from.sources_capacity = 4;
	from.nsources = 1;
	from.sources = bs_arena_alloc(arena, 4 * sizeof(BsSource));
	from.bytes = bs_arena_block_bytes(4 * sizeof(BsSource));
	bs_partial_inherit_counters(&into, &from);
	bs_partial_inherit_sources(&into, &from);
	assert_int_equal(into.records, 4);
	assert_int_equal(into.received, 10);
	assert_int_equal(into.late, 6);
	assert_int_equal(into.nsources, 1);
	assert_int_equal(from.bytes, 0);
	assert_int_equal(from.sources_capacity, 0);
	bs_partial_clear(&from, arena);
	bs_partial_clear(&into, arena);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	bs_arena_free_private(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_older_and_newer),
		cmocka_unit_test(test_inherit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
