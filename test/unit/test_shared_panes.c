/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_shared_panes.c: partials that are added to together come to what each comes to alone, to the byte.
 *
 * Random programs that are the same but for the windows over their panes (tumbling, hopping, rolling, of several
 * sizes), with keys of fixed and of variable length, DISTINCT values, a bound on groups and another group.  Each
 * has a partial in one arena, added to together, and one in an arena of its own.  On the way some are closed or
 * dropped before the others, begin anew, are left out of an addition and added to by themselves.
 *
 * BS_SEED and BS_TRIALS choose others than the fixed ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/engine/share.h"
#include "../../src/engine/writer.h"
#include "../expr_random.h"

#define MAX_VIEWS 6
#define NBATCHES 40
#define CAPACITY 64
#define PANE 100
#define ARENA_BYTES (8u << 20)

enum
{
	COL_TIME,
	COL_NUMBER,
	COL_TEXT,
	COL_VALUE,
	NCOLUMNS
};

static const BsType types[NCOLUMNS] = {BS_TIMESTAMPTZ, BS_INT8, BS_BYTES, BS_INT4};

/* What the programs of a trial have in common. */
typedef struct Shape
{
	bool windowed;
	bool filtered;
	uint32_t nkeys;
	bool text_key;
	bool any_text;
	bool distinct;
	bool fails; /* some records are errors */
	uint64_t max_groups;
	bool gather;
} Shape;

typedef struct View
{
	BsProgram program;
	BsWriter *writer;
	BsPartial together;
	BsArena *arena; /* of what is added to alone */
	BsPartial alone;
} View;

static Shape
draw_shape(Source *source)
{
	return (Shape){.windowed = draw(source, 6) > 0,
				   .filtered = draw(source, 2),
				   .nkeys = draw(source, 4) == 0 ? 0 : 1,
				   .text_key = draw(source, 3) == 0,
				   .any_text = draw(source, 3) == 0,
				   .distinct = draw(source, 3) == 0,
				   .fails = draw(source, 4) == 0,
				   .max_groups = draw(source, 3) ? UINT64_MAX : 5 + draw(source, 20),
				   .gather = draw(source, 3) == 0};
}

/* ---- programs ---------------------------------------------------------------------------------- */

static BsExpr *
column(uint32_t number)
{
	return bs_expr_column(number, types[number]);
}

/* Value less than this: of values 0 .. 99. */
static BsExpr *
below(int64_t limit)
{
	BsExpr *args[2] = {column(COL_VALUE), bs_expr_const(BS_INT4, (BsValue){.i64 = limit})};

	return bs_expr_op(BS_OP_LT, BS_BOOL, 2, args);
}

/* An integer less the value, which is out of range for some. */
static BsExpr *
near_the_edge(void)
{
	BsExpr *args[2] = {bs_expr_const(BS_INT4, (BsValue){.i64 = INT32_MIN + 97}), column(COL_VALUE)};

	return bs_expr_op(BS_OP_SUB, BS_INT4, 2, args);
}

static void
add_aggregate(BsProgram *program, BsAggregateKind kind, BsExpr *argument, BsExpr *filter, uint32_t set)
{
	BsType type = argument != NULL ? argument->type : program->sets[set - 1].type;

	program->aggregates[program->naggregates++] =
		(BsAggregate){.kind = kind, .type = type, .argument = argument, .filter = filter, .set = set};
}

static BsWindowing
draw_windowing(Source *source)
{
	int64_t slide = PANE * (1 + draw(source, 3));
	int64_t size = slide;

	if (draw(source, 4) > 0)
		size = slide + PANE * draw(source, 12);
	return (BsWindowing){.pane_usec = PANE, .slide_usec = slide, .size_usec = size, .origin = PANE * draw(source, 3)};
}

static void
make_program(const Shape *shape, Source *source, BsProgram *program)
{
	memset(program, 0, sizeof(*program));
	program->fingerprint = draw_word(source) | 1;
	program->hash_seed = 7;
	program->windowed = shape->windowed;
	program->time_column = COL_TIME;
	program->windowing = draw_windowing(source);
	if (shape->filtered)
		program->where = below(80);
	program->nkeys = shape->nkeys;
	program->keys = calloc(2, sizeof(BsKey));
	if (shape->nkeys > 0)
	{
		uint32_t key = shape->text_key ? COL_TEXT : COL_NUMBER;

		program->keys[0] = (BsKey){.expr = column(key), .type = types[key]};
	}
	program->sets = calloc(1, sizeof(BsSet));
	program->aggregates = calloc(5, sizeof(BsAggregate));
	add_aggregate(program, BS_AGG_SUM_INT, shape->fails ? near_the_edge() : column(COL_VALUE), NULL, 0);
	add_aggregate(program, BS_AGG_MAX, column(COL_NUMBER), below(30), 0);
	if (shape->any_text)
		add_aggregate(program, BS_AGG_ANY, column(COL_TEXT), NULL, 0);
	if (shape->distinct)
	{
		program->nsets = 1;
		program->sets[0] = (BsSet){.argument = column(COL_VALUE), .type = BS_INT4};
		add_aggregate(program, BS_AGG_COUNT, NULL, NULL, 1);
	}
	assert_null(bs_program_finish(program, CAPACITY));
}

static void
begin_anew(const Shape *shape, View *view, BsArena *shared)
{
	bs_partial_clear(&view->together, shared);
	bs_partial_clear(&view->alone, view->arena);
	bs_partial_init(&view->together, &view->program, shape->max_groups);
	bs_partial_init(&view->alone, &view->program, shape->max_groups);
	view->together.gather_other = view->alone.gather_other = shape->gather;
}

static void
view_start(const Shape *shape, Source *source, View *view, BsArena *shared)
{
	memset(view, 0, sizeof(*view));
	make_program(shape, source, &view->program);
	view->writer = bs_writer_create(&view->program);
	view->arena = bs_arena_create(bs_arena_size_for(ARENA_BYTES));
	assert_non_null(view->writer);
	assert_non_null(view->arena);
	begin_anew(shape, view, shared);
}

static void
view_stop(View *view, BsArena *shared)
{
	bs_partial_clear(&view->together, shared);
	bs_partial_clear(&view->alone, view->arena);
	assert_int_equal(bs_arena_stats(view->arena).used_bytes, 0);
	bs_arena_free_private(view->arena);
	bs_writer_free(view->writer);
	bs_program_free(&view->program);
}

/* ---- comparing ---------------------------------------------------------------------------------- */

/* Where the bytes lie is each arena's own; what they are is not. */
static void
compare_bytes(BsArena *a, uint8_t *row_a, BsArena *b, uint8_t *row_b, uint32_t offset)
{
	BsHandle *x = (BsHandle *) (row_a + offset);
	BsHandle *y = (BsHandle *) (row_b + offset);

	assert_int_equal(x->len, y->len);
	if (x->offset != 0 && y->offset != 0)
		assert_memory_equal(bs_handle_bytes(a, x), bs_handle_bytes(b, y), x->len);
	assert_int_equal(x->offset != 0, y->offset != 0);
	x->offset = y->offset = 0;
}

static void
compare_rows(const BsProgram *program, BsArena *a, const uint8_t *from_a, BsArena *b, const uint8_t *from_b)
{
	uint64_t copy_a[64];
	uint64_t copy_b[64];
	uint8_t *row_a = (uint8_t *) copy_a;
	uint8_t *row_b = (uint8_t *) copy_b;

	assert_true(program->row_bytes <= sizeof(copy_a));
	memcpy(row_a, from_a, program->row_bytes);
	memcpy(row_b, from_b, program->row_bytes);
	for (uint32_t k = 0; k < program->nkeys; k++)
		if (program->keys[k].type == BS_BYTES)
			compare_bytes(a, row_a, b, row_b, program->keys[k].offset);
	for (uint32_t i = 0; i < program->naggregates; i++)
		if (program->aggregates[i].kind == BS_AGG_ANY)
			compare_bytes(a, row_a, b, row_b, program->aggregates[i].offset);
	assert_memory_equal(row_a, row_b, program->row_bytes);
}

/* Groups are in the order in which they came, also in copies. */
static void
compare_tables(const BsProgram *program, BsArena *a, BsTable *x, BsArena *b, BsTable *y)
{
	assert_int_equal(x == NULL, y == NULL);
	if (x == NULL)
		return;
	assert_int_equal(x->nrows, y->nrows);
	assert_int_equal(x->left_out, y->left_out);
	assert_int_equal(x->other, y->other);
	for (uint32_t i = 0; i < x->nrows; i++)
	{
		uint32_t per_chunk = bs_rows_per_chunk(&program->layout);
		uint32_t number = i / per_chunk << BS_ROW_SHIFT | i % per_chunk;

		compare_rows(program, a, bs_table_row(a, x, program, number), b, bs_table_row(b, y, program, number));
	}
	for (uint32_t set = 0; set < program->nsets; set++)
		compare_tables(program->sets[set].rows, a, bs_table_set(a, x, program, set, false), b,
					   bs_table_set(b, y, program, set, false));
}

static BsTable *
table_of(BsArena *arena, const BsPane *pane)
{
	return pane->table != 0 ? bs_arena_at(arena, pane->table) : NULL;
}

static void
compare_view(View *view, BsArena *shared)
{
	const BsPartial *a = &view->together;
	const BsPartial *b = &view->alone;

	assert_int_equal(a->npanes, b->npanes);
	assert_int_equal(a->received, b->received);
	assert_int_equal(a->records, b->records);
	assert_int_equal(a->filtered, b->filtered);
	assert_int_equal(a->late, b->late);
	assert_int_equal(a->untimed, b->untimed);
	assert_int_equal(a->future, b->future);
	assert_int_equal(a->overflowed, b->overflowed);
	assert_int_equal(a->errors, b->errors);
	assert_int_equal(a->last_error, b->last_error);
	assert_int_equal(a->received,
					 a->records + a->filtered + a->late + a->untimed + a->future + a->overflowed + a->errors);
	for (uint32_t i = 0; i < a->npanes; i++)
	{
		const BsPane *x = bs_partial_pane_at(a, shared, i);
		const BsPane *y = bs_partial_pane_at(b, view->arena, i);

		assert_int_equal(x->start, y->start);
		assert_int_equal(x->late, y->late);
		assert_int_equal(x->overflowed, y->overflowed);
		assert_int_equal(x->errors, y->errors);
		assert_int_equal(bs_pane_records(x, shared), bs_pane_records(y, view->arena));
		compare_tables(&view->program, shared, table_of(shared, x), view->arena, table_of(view->arena, y));
	}
}

/* ---- a trial ------------------------------------------------------------------------------------ */

typedef struct Seen
{
	uint64_t shared; /* panes that had another's table at the end */
	uint64_t copied; /* a table that was another's before, and no more */
	uint64_t late;
	uint64_t overflowed;
	uint64_t errors;
	uint64_t distinct;
} Seen;

static void
fill(BsBatch *batch, Source *source, int64_t now)
{
	static const char texts[] = "the quick brown fox jumps over the lazy dog";
	uint32_t spread = draw(source, 3) ? 60 : 900;

	bs_batch_reset(batch);
	batch->nrows = 1 + draw(source, CAPACITY);
	for (uint32_t row = 0; row < batch->nrows; row++)
	{
		batch->columns[COL_TIME].i64[row] = now + draw(source, spread) - draw(source, 2) * draw(source, 700);
		if (draw(source, 60) == 0)
			batch->columns[COL_TIME].i64[row] = draw(source, 2) ? BS_TIME_INFINITY : now + 1000000;
		batch->columns[COL_NUMBER].i64[row] = draw(source, 40);
		batch->columns[COL_TEXT].bytes[row] =
			(BsBytes){.data = (const uint8_t *) texts + draw(source, 20), .len = draw(source, 6)};
		batch->columns[COL_VALUE].i64[row] = draw(source, 100);
		for (uint32_t i = COL_NUMBER; i < NCOLUMNS; i++)
			if (draw(source, 50) == 0)
				bs_lane_set_null(&batch->columns[i], row);
	}
	bs_batch_add_run(batch, 0, batch->nrows, 1);
}

/* In up to three parts, each added to together; as when processes know of different views. */
static void
add_together(View *views, uint32_t n, BsArena *shared, const BsBatch *batch, int64_t future_limit, Source *source)
{
	uint32_t nparts = draw(source, 8) ? 1 : 1 + draw(source, 3);
	uint32_t part_of[MAX_VIEWS];

	for (uint32_t i = 0; i < n; i++)
		part_of[i] = draw(source, nparts);
	for (uint32_t part = 0; part < nparts; part++)
	{
		BsSharer sharers[MAX_VIEWS];
		BsProgram *first = NULL;
		uint32_t nsharers = 0;

		for (uint32_t i = 0; i < n; i++)
			if (part_of[i] == part)
			{
				first = first != NULL ? first : &views[i].program;
				sharers[nsharers++] = (BsSharer){&views[i].together, &views[i].program, views[i].writer};
			}
		if (nsharers > 0)
			bs_partial_add_shared(sharers, nsharers, shared, batch,
								  bs_program_evaluate(first, batch, future_limit, NULL, NULL));
	}
}

static void
add_alone(View *view, const BsBatch *batch, int64_t future_limit)
{
	bs_partial_add(&view->alone, view->arena, &view->program, view->writer, batch,
				   bs_program_evaluate(&view->program, batch, future_limit, NULL, NULL), NULL, NULL);
}

/* Panes are closed and dropped as each view's windows say; or the view is made anew. */
static void
pass_time(const Shape *shape, View *view, BsArena *shared, int64_t now, Source *source)
{
	int64_t closed = now - draw(source, 400);

	if (draw(source, 40) == 0)
		begin_anew(shape, view, shared);
	if (!shape->windowed || draw(source, 3) > 0)
		return;
	closed = bs_panes_closed_before(&view->program.windowing, bs_window_first_after(&view->program.windowing, closed));
	bs_partial_close(&view->together, closed);
	bs_partial_close(&view->alone, closed);
	if (draw(source, 2))
		return;
	closed -= view->program.windowing.size_usec + draw(source, 500);
	bs_partial_drop(&view->together, shared, closed);
	bs_partial_drop(&view->alone, view->arena, closed);
}

static uint64_t
panes_shared(View *view, BsArena *shared)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < view->together.npanes; i++)
	{
		const BsTable *table = table_of(shared, bs_partial_pane_at(&view->together, shared, i));

		n += table != NULL && table->nholders > 1;
	}
	return n;
}

/* How many tables there are, each counted once for every pane that has it. */
static void
check_holders(View *views, uint32_t n, BsArena *shared)
{
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t p = 0; p < views[i].together.npanes; p++)
		{
			const BsPane *pane = bs_partial_pane_at(&views[i].together, shared, p);
			uint32_t nholders = 0;

			for (uint32_t j = 0; j < n && pane->table != 0; j++)
			{
				const BsPane *other = bs_partial_pane(&views[j].together, shared, pane->start);

				nholders += other != NULL && other->table == pane->table;
			}
			if (pane->table != 0)
				assert_int_equal(table_of(shared, pane)->nholders, nholders);
		}
}

static void
run_trial(Source *source, Seen *seen)
{
	Shape shape = draw_shape(source);
	BsArena *shared = bs_arena_create(bs_arena_size_for(ARENA_BYTES));
	BsBatch *batch = bs_batch_create(types, NCOLUMNS, NULL, CAPACITY);
	uint32_t n = 2 + draw(source, MAX_VIEWS - 1);
	View views[MAX_VIEWS];
	uint64_t before = 0;

	for (uint32_t i = 0; i < n; i++)
		view_start(&shape, source, &views[i], shared);
	for (uint32_t i = 1; i < n; i++)
		assert_true(bs_share_same_panes(&views[0].program, &views[i].program, false));
	for (int64_t b = 0; b < NBATCHES; b++)
	{
		uint64_t nshared = 0;

		fill(batch, source, b * 70);
		add_together(views, n, shared, batch, b * 70 + 10000, source);
		for (uint32_t i = 0; i < n; i++)
			add_alone(&views[i], batch, b * 70 + 10000);
		check_holders(views, n, shared);
		for (uint32_t i = 0; i < n; i++)
		{
			compare_view(&views[i], shared);
			nshared += panes_shared(&views[i], shared);
		}
		seen->copied += nshared < before;
		for (uint32_t i = 0; i < n; i++)
			pass_time(&shape, &views[i], shared, b * 70, source);
		before = 0;
		for (uint32_t i = 0; i < n; i++)
			before += panes_shared(&views[i], shared);
	}
	for (uint32_t i = 0; i < n; i++)
	{
		seen->shared += panes_shared(&views[i], shared);
		seen->late += views[i].together.late;
		seen->overflowed += views[i].together.overflowed;
		seen->errors += views[i].together.errors;
		seen->distinct += shape.distinct;
		view_stop(&views[i], shared);
	}
	/* Nothing is left, and nothing was given back twice. */
	assert_int_equal(bs_arena_stats(shared).used_bytes, 0);
	bs_arena_free_private(shared);
	bs_batch_free(batch);
}

static void
together_as_alone(void **state)
{
	uint64_t seed = number_from("BS_SEED", 20261123);
	uint64_t ntrials = number_from("BS_TRIALS", 400);
	Seen seen = {0};

	(void) state;
	for (uint64_t i = 0; i < ntrials; i++)
	{
		Source source = {.state = (seed + i) << 20};

		run_trial(&source, &seen);
	}
	assert_true(seen.shared > ntrials && seen.copied > ntrials / 4);
	assert_true(seen.late > 0 && seen.overflowed > 0 && seen.errors > 0 && seen.distinct > 0);
}

/* ---- copies ------------------------------------------------------------------------------------- */

/* A full batch of one pane, its groups (first + row) * step % modulus. */
static void
fill_numbers(BsBatch *batch, int64_t first, int64_t step, int64_t modulus)
{
	bs_batch_reset(batch);
	batch->nrows = CAPACITY;
	for (uint32_t row = 0; row < CAPACITY; row++)
	{
		batch->columns[COL_TIME].i64[row] = 1000;
		batch->columns[COL_NUMBER].i64[row] = (first + row) * step % modulus;
		batch->columns[COL_VALUE].i64[row] = 1;
	}
	bs_batch_add_run(batch, 0, CAPACITY, 1);
}

/* To the first of these sharers, as the first view's program has it. */
static void
add_first(const BsSharer *sharers, uint32_t nsharers, BsArena *shared, const BsBatch *batch, View *view)
{
	bs_partial_add_shared(sharers, nsharers, shared, batch,
						  bs_program_evaluate(&view->program, batch, BS_TIME_INFINITY, NULL, NULL));
}

/* Where there is no room for a copy its records are overflowed, and what the others have stays. */
static void
no_room_for_a_copy(void **state)
{
	Shape shape = {.windowed = true, .nkeys = 1, .max_groups = UINT64_MAX};
	Source source = {.state = 1};
	BsArena *shared = bs_arena_create(bs_arena_size_for(1u << 20));
	BsBatch *batch = bs_batch_create(types, NCOLUMNS, NULL, CAPACITY);
	View views[2];
	BsSharer sharers[2];
	uint64_t nrecords = 0;

	(void) state;
	for (uint32_t i = 0; i < 2; i++)
	{
		view_start(&shape, &source, &views[i], shared);
		sharers[i] = (BsSharer){&views[i].together, &views[i].program, views[i].writer};
	}
	/* Groups that take more than half of the memory. */
	for (int64_t first = 0; bs_arena_stats(shared).used_bytes < bs_arena_stats(shared).total_bytes * 6 / 10; first += CAPACITY)
	{
		fill_numbers(batch, first, 1, INT64_MAX);
		add_first(sharers, 2, shared, batch, &views[0]);
		nrecords += CAPACITY;
	}
	assert_int_equal(views[0].together.records, nrecords);
	assert_int_equal(views[1].together.records, nrecords);
	add_first(sharers, 1, shared, batch, &views[0]);
	assert_int_equal(views[0].together.overflowed, CAPACITY);
	assert_int_equal(bs_partial_pane_at(&views[0].together, shared, 0)->overflowed, CAPACITY);
	for (uint32_t i = 0; i < 2; i++)
	{
		const BsPane *pane = bs_partial_pane_at(&views[i].together, shared, 0);

		assert_int_equal(bs_pane_records(pane, shared), nrecords);
		assert_int_equal(table_of(shared, pane)->nholders, 2);
	}
	add_first(sharers, 2, shared, batch, &views[0]);
	assert_int_equal(views[1].together.records, nrecords + CAPACITY);
	for (uint32_t i = 0; i < 2; i++)
		view_stop(&views[i], shared);
	assert_int_equal(bs_arena_stats(shared).used_bytes, 0);
	bs_arena_free_private(shared);
	bs_batch_free(batch);
}

/* Who reads goes on in a copy where it was in the table: also when the other group is new there. */
static void
a_copy_keeps_places(void **state)
{
	Shape shape = {.windowed = true, .nkeys = 1, .max_groups = UINT64_MAX};
	Source source = {.state = 1};
	BsArena *shared = bs_arena_create(bs_arena_size_for(ARENA_BYTES));
	BsBatch *batch = bs_batch_create(types, NCOLUMNS, NULL, CAPACITY);
	View views[2];
	BsSharer sharers[2];
	BsTable *first;
	BsTable *copy;
	uint32_t nrows;

	(void) state;
	for (uint32_t i = 0; i < 2; i++)
	{
		view_start(&shape, &source, &views[i], shared);
		sharers[i] = (BsSharer){&views[i].together, &views[i].program, views[i].writer};
	}
	for (int64_t b = 0; b < 100; b++)
	{
		fill_numbers(batch, b * CAPACITY, 7919, 4001);
		add_first(sharers, 2, shared, batch, &views[0]);
	}
	views[0].together.gather_other = 1;
	add_first(sharers, 1, shared, batch, &views[0]);
	copy = table_of(shared, bs_partial_pane_at(&views[0].together, shared, 0));
	first = table_of(shared, bs_partial_pane_at(&views[1].together, shared, 0));
	nrows = first->nrows;
	assert_true(copy != first && first->nchunks > 1 && first->other == 0);
	assert_int_equal(copy->nrows, nrows + 1);
	for (uint32_t i = 0; i <= nrows; i++)
	{
		uint32_t per_chunk = bs_rows_per_chunk(&views[0].program.layout);
		uint32_t number = i / per_chunk << BS_ROW_SHIFT | i % per_chunk;
		const uint8_t *row = bs_table_row(shared, copy, &views[0].program, number);

		assert_int_equal(copy->other == number + 1, i == nrows);
		if (i < nrows)
			assert_memory_equal(row, bs_table_row(shared, first, &views[1].program, number), views[0].program.key_bytes);
	}
	for (uint32_t i = 0; i < 2; i++)
		view_stop(&views[i], shared);
	assert_int_equal(bs_arena_stats(shared).used_bytes, 0);
	bs_arena_free_private(shared);
	bs_batch_free(batch);
}

/* ---- who may share ------------------------------------------------------------------------------ */

static void
what_differs_is_not_shared(void **state)
{
	Shape shape = {.windowed = true, .nkeys = 1, .max_groups = UINT64_MAX, .distinct = true};

	(void) state;
	for (int change = 0; change < 10; change++)
	{
		Source source = {.state = 5};
		BsProgram a;
		BsProgram b;

		make_program(&shape, &source, &a);
		make_program(&shape, &source, &b);
		assert_true(bs_share_same_panes(&a, &b, true));
		switch (change)
		{
			case 0:
				b.windowing.pane_usec = PANE * 2;
				break;
			case 1:
				b.windowing.origin = 1;
				break;
			case 2:
				b.windowed = false;
				break;
			case 3:
				b.where = below(80);
				break;
			case 4:
				b.aggregates[0].kind = BS_AGG_MIN;
				break;
			case 5:
				b.aggregates[0].filter = below(3);
				break;
			case 6:
				b.keys[0].expr->column = COL_TIME;
				break;
			case 7:
				b.sets[0].filter = below(3);
				break;
			case 8:
				b.aggregates[1].kind = BS_AGG_FOREIGN;
				b.aggregates[1].foreign = 1;
				break;
			default:
				b.nkeys = 0;
				break;
		}
		assert_false(bs_share_same_panes(&a, &b, true));
		b.nkeys = 1;
		bs_program_free(&a);
		bs_program_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(together_as_alone),
		cmocka_unit_test(no_room_for_a_copy),
		cmocka_unit_test(a_copy_keeps_places),
		cmocka_unit_test(what_differs_is_not_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
