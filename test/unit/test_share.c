/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_share.c: programs that share their work come to what they come to alone, to the bit.
 *
 * Random sets of programs over random batches, with few different filters, keys and arguments, so that
 * they have much in common: once sharing, once each for itself.  Compared are what each batch is
 * evaluated to (rows, errors, counts) and in the end every byte of every group.  Records are NULL,
 * untimed, future and late, fail, find no room; panes are closed and dropped on the way.
 *
 * BS_SEED and BS_TRIALS choose others than the fixed ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/engine/partial.h"
#include "../../src/engine/share.h"
#include "../expr_random.h"

#define MAX_PROGRAMS 6
#define NBATCHES 12
#define ARENA_BYTES (8u << 20)
#define TIME_COLUMN (2 * ((uint32_t) BS_TIMESTAMPTZ - 1))
#define KEY_COLUMN (2 * ((uint32_t) BS_INT8 - 1))

/* ---- one program and what it has counted ------------------------------------------------------- */

typedef struct Runner
{
	BsProgram program;
	BsArena *arena;
	BsWriter *writer;
	BsPartial partial;
} Runner;

static void
runner_start(Runner *runner, size_t arena_bytes, uint64_t max_groups)
{
	assert_null(bs_program_finish(&runner->program, TRIAL_CAPACITY));
	runner->arena = bs_arena_create(bs_arena_size_for(arena_bytes));
	runner->writer = bs_writer_create(&runner->program);
	assert_non_null(runner->arena);
	assert_non_null(runner->writer);
	bs_partial_init(&runner->partial, &runner->program, max_groups);
}

static void
runner_stop(Runner *runner)
{
	bs_writer_free(runner->writer);
	bs_arena_free_private(runner->arena);
	bs_program_free(&runner->program);
}

static const BsEvaluated *
runner_add(Runner *runner, const BsBatch *batch, int64_t future_limit, Trial *trial)
{
	const BsEvaluated *e = bs_program_evaluate(&runner->program, batch, future_limit, trial_foreign, trial);

	bs_partial_add(&runner->partial, runner->arena, &runner->program, runner->writer, batch, e, NULL, NULL);
	return e;
}

static void
assert_same_evaluation(const BsEvaluated *a, const BsEvaluated *b)
{
	assert_int_equal(a->nrows, b->nrows);
	assert_memory_equal(a->rows, b->rows, a->nrows * sizeof(uint16_t));
	assert_int_equal(a->filtered, b->filtered);
	assert_int_equal(a->untimed, b->untimed);
	assert_int_equal(a->future, b->future);
	assert_int_equal(a->errors, b->errors);
	assert_int_equal(a->unknown_rate, b->unknown_rate);
	assert_int_equal(a->last_error, b->last_error);
	assert_int_equal(a->nfailed, b->nfailed);
	assert_memory_equal(a->failed_rows, b->failed_rows, a->nfailed * sizeof(uint16_t));
}

/* Each arena was used in the same order: even offsets are the same. */
static void
assert_same_table(Runner *a, const BsPane *pane_a, Runner *b, const BsPane *pane_b)
{
	BsTable *x = bs_arena_at(a->arena, pane_a->table);
	BsTable *y = bs_arena_at(b->arena, pane_b->table);
	uint32_t row_bytes = a->program.row_bytes;

	assert_int_equal(pane_a->table, pane_b->table);
	if (pane_a->table == 0)
		return;
	assert_int_equal(x->nrows, y->nrows);
	assert_int_equal(x->bytes, y->bytes);
	for (uint32_t chunk = 0; chunk < x->nchunks; chunk++)
		assert_memory_equal(bs_table_chunk(a->arena, x, chunk), bs_table_chunk(b->arena, y, chunk),
							(size_t) row_bytes * bs_table_chunk_rows(x, &a->program.layout, chunk));
}

static void
assert_same_partial(Runner *a, Runner *b)
{
	assert_int_equal(a->partial.npanes, b->partial.npanes);
	assert_int_equal(a->partial.records, b->partial.records);
	assert_int_equal(a->partial.late, b->partial.late);
	assert_int_equal(a->partial.overflowed, b->partial.overflowed);
	assert_int_equal(a->partial.gather_other, b->partial.gather_other);
	assert_int_equal(a->partial.bytes, b->partial.bytes);
	for (uint32_t i = 0; i < a->partial.npanes; i++)
	{
		const BsPane *x = bs_partial_pane_at(&a->partial, a->arena, i);
		const BsPane *y = bs_partial_pane_at(&b->partial, b->arena, i);

		assert_int_equal(x->start, y->start);
		assert_int_equal(bs_pane_records(x, a->arena), bs_pane_records(y, b->arena));
		assert_int_equal(x->errors, y->errors);
		assert_same_table(a, x, b, y);
	}
}

/* ---- random sets ------------------------------------------------------------------------------- */

#define NWHERES 3
#define NKEYS 4
#define NARGUMENTS 4
#define NFILTERS 2

/* What the programs of a set are made of. */
typedef struct Pool
{
	BsExpr *wheres[NWHERES];
	BsExpr *keys[NKEYS];
	BsExpr *arguments[NARGUMENTS];
	BsAggregateKind kinds[NARGUMENTS];
	BsExpr *filters[NFILTERS];
	uint32_t nforeign;
} Pool;

/* A tree; one in five may have foreign parts. */
static BsExpr *
draw_tree(Pool *pool, Source *source, BsType type)
{
	uint32_t none = TRIAL_MAX_FOREIGN;

	return draw_expr(source, type, 1 + (int) draw(source, 3), draw(source, 5) ? &none : &pool->nforeign);
}

static void
draw_argument(Pool *pool, Source *source, uint32_t i)
{
	static const BsType types[] = {BS_INT2, BS_INT4, BS_INT8, BS_FLOAT8, BS_INET, BS_TIMESTAMPTZ};
	uint32_t type = draw(source, 6);

	pool->arguments[i] = draw_tree(pool, source, types[type]);
	switch (draw(source, 3))
	{
		case 0:
			pool->kinds[i] = BS_AGG_COUNT;
			break;
		case 1:
			pool->kinds[i] = BS_AGG_MAX;
			break;
		default:
			pool->kinds[i] = type < 3 ? BS_AGG_SUM_INT : BS_AGG_ANY;
			break;
	}
}

static void
pool_draw(Pool *pool, Source *source)
{
	static const BsType types[] = {BS_BOOL, BS_INT4, BS_INET, BS_BYTES, BS_FLOAT8};

	memset(pool, 0, sizeof(*pool));
	for (uint32_t i = 0; i < NWHERES; i++)
		pool->wheres[i] = draw_tree(pool, source, BS_BOOL);
	pool->keys[0] = bs_expr_column(KEY_COLUMN, BS_INT8);
	for (uint32_t i = 1; i < NKEYS; i++)
		pool->keys[i] = draw_tree(pool, source, types[draw(source, 5)]);
	for (uint32_t i = 0; i < NARGUMENTS; i++)
		draw_argument(pool, source, i);
	for (uint32_t i = 0; i < NFILTERS; i++)
		pool->filters[i] = draw_tree(pool, source, BS_BOOL);
}

static void
pool_free(Pool *pool)
{
	for (uint32_t i = 0; i < NWHERES; i++)
		bs_expr_free(pool->wheres[i]);
	for (uint32_t i = 0; i < NKEYS; i++)
		bs_expr_free(pool->keys[i]);
	for (uint32_t i = 0; i < NARGUMENTS; i++)
		bs_expr_free(pool->arguments[i]);
	for (uint32_t i = 0; i < NFILTERS; i++)
		bs_expr_free(pool->filters[i]);
}

static void
draw_aggregate(const Pool *pool, Source *source, BsAggregate *aggregate)
{
	uint32_t i = draw(source, NARGUMENTS);

	aggregate->kind = pool->kinds[i];
	aggregate->type = pool->arguments[i]->type;
	aggregate->argument = bs_expr_copy(pool->arguments[i]);
	if (draw(source, 3) == 0)
		aggregate->filter = bs_expr_copy(pool->filters[draw(source, NFILTERS)]);
}

/* The same choices make the same program. */
static void
draw_program(const Pool *pool, Source *source, BsProgram *program)
{
	static const int64_t panes[] = {500, 1000, 3000};
	int64_t pane = panes[draw(source, 3)];
	/* Two sets of keys and none, so that programs meet. */
	uint32_t first = draw(source, 2);

	memset(program, 0, sizeof(*program));
	program->fingerprint = 1;
	program->hash_seed = 7;
	program->windowed = draw(source, 4) > 0;
	program->time_column = TIME_COLUMN;
	program->windowing = (BsWindowing){.pane_usec = pane, .slide_usec = pane, .size_usec = pane};
	if (draw(source, 2))
		program->where = bs_expr_copy(pool->wheres[draw(source, NWHERES)]);
	program->nkeys = draw(source, 5) == 0 ? 0 : 1 + first * 2;
	program->keys = calloc(NKEYS, sizeof(BsKey));
	for (uint32_t k = 0; k < program->nkeys; k++)
		program->keys[k] = (BsKey){.expr = bs_expr_copy(pool->keys[first + k]),
								   .type = pool->keys[first + k]->type};
	program->naggregates = draw(source, 4);
	program->aggregates = calloc(4, sizeof(BsAggregate));
	for (uint32_t a = 0; a < program->naggregates; a++)
		draw_aggregate(pool, source, &program->aggregates[a]);
}

/* Times that go on from batch to batch, a few NULL, infinite, or years ahead; keys of a few hundred. */
static void
fill(Trial *trial, Source *source, int64_t now)
{
	BsLane *times = &trial->batch->columns[TIME_COLUMN];
	BsLane *keys = &trial->batch->columns[KEY_COLUMN];
	bool odd = draw(source, 3) == 0;
	uint32_t spread = draw(source, 2) ? 200 : 3000;

	trial_fill(trial, source, 1 + draw(source, TRIAL_CAPACITY), draw(source, 3) * 3);
	memset(times->nulls, 0, trial->batch->nrows);
	times->has_nulls = false;
	for (uint32_t row = 0; row < trial->batch->nrows; row++)
	{
		times->i64[row] = now + draw(source, spread);
		if (odd && draw(source, 20) == 0)
			times->i64[row] = draw(source, 2) ? BS_TIME_INFINITY : now + 1000000000;
		else if (odd && draw(source, 20) == 0)
			bs_lane_set_null(times, row);
		if (!keys->nulls[row])
			keys->i64[row] = (int64_t) draw(source, 400);
	}
	bs_batch_add_run(trial->batch, 0, trial->batch->nrows, 1);
}

typedef struct Seen
{
	uint64_t trees;
	uint64_t keys;
	uint64_t failed;
	uint64_t unknown;
	uint64_t overflowed;
	uint64_t late;
	uint64_t gathered;
} Seen;

/* Records in the other group. */
static uint64_t
gathered(Runner *runner)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < runner->partial.npanes; i++)
	{
		const BsPane *pane = bs_partial_pane_at(&runner->partial, runner->arena, i);

		if (pane->table != 0)
			n += bs_table_other_records(runner->arena, bs_arena_at(runner->arena, pane->table));
	}
	return n;
}

static void
run_batches(Trial *trial, Source *source, BsShare *share, Runner *shared, Runner *alone, uint32_t n,
			Seen *seen)
{
	for (int i = 0; i < NBATCHES; i++)
	{
		int64_t now = i * 700;

		fill(trial, source, now);
		if (share != NULL && draw(source, 5) > 0)
			bs_share_begin(share, trial->batch);
		for (uint32_t p = 0; p < n; p++)
		{
			const BsEvaluated *a = runner_add(&shared[p], trial->batch, now + 1000000, trial);
			const BsEvaluated *b = runner_add(&alone[p], trial->batch, now + 1000000, trial);

			assert_same_evaluation(a, b);
			seen->failed += a->nfailed;
			seen->unknown += a->unknown_rate;
			if (draw(source, 4) != 0)
				continue;
			bs_partial_close(&shared[p].partial, now - 500);
			bs_partial_close(&alone[p].partial, now - 500);
			bs_partial_drop(&shared[p].partial, shared[p].arena, now - 2000);
			bs_partial_drop(&alone[p].partial, alone[p].arena, now - 2000);
		}
		if (share != NULL)
			bs_share_end(share);
	}
}

static void
run_set(Source *source, Seen *seen)
{
	static Trial trial;
	Pool pool;
	Runner shared[MAX_PROGRAMS] = {0};
	Runner alone[MAX_PROGRAMS] = {0};
	BsProgram *programs[MAX_PROGRAMS];
	uint32_t n = 2 + draw(source, MAX_PROGRAMS - 1);
	size_t arena_bytes = draw(source, 4) ? ARENA_BYTES : 1u << 20;
	uint64_t max_groups = draw(source, 4) ? UINT64_MAX : 50;
	bool gather = draw(source, 2);
	BsShare *share;

	assert_true(trial_create(&trial, source, BS_BOOL, 0));
	pool_draw(&pool, source);
	for (uint32_t p = 0; p < n; p++)
	{
		Source again = *source;

		draw_program(&pool, source, &shared[p].program);
		draw_program(&pool, &again, &alone[p].program);
		runner_start(&shared[p], arena_bytes, max_groups);
		runner_start(&alone[p], arena_bytes, max_groups);
		shared[p].partial.gather_other = alone[p].partial.gather_other = gather && max_groups == 50;
		programs[p] = &shared[p].program;
	}
	share = bs_share_create(programs, n, draw(source, 4) > 0);
	if (share != NULL)
	{
		seen->trees += bs_share_counts(share).trees;
		seen->keys += bs_share_counts(share).keys;
	}
	run_batches(&trial, source, share, shared, alone, n, seen);
	bs_share_free(share);
	for (uint32_t p = 0; p < n; p++)
	{
		assert_same_partial(&shared[p], &alone[p]);
		seen->overflowed += shared[p].partial.overflowed;
		seen->late += shared[p].partial.late;
		seen->gathered += gathered(&shared[p]);
		runner_stop(&shared[p]);
		runner_stop(&alone[p]);
	}
	pool_free(&pool);
	trial_free(&trial);
}

static void
random_sets(void **state)
{
	uint64_t seed = number_from("BS_SEED", 20261123);
	uint64_t ntrials = number_from("BS_TRIALS", 400);
	Seen seen = {0};

	(void) state;
	for (uint64_t i = 0; i < ntrials; i++)
	{
		Source source = {.state = (seed + i) << 20};

		run_set(&source, &seen);
	}
	/* The sets have met what they are for. */
	assert_true(seen.trees > ntrials && seen.keys > ntrials / 4);
	assert_true(seen.failed > 0 && seen.unknown > 0 && seen.overflowed > 0 && seen.late > 0);
	assert_true(seen.gathered > 0);
}

/* ---- panes that come and go --------------------------------------------------------------------- */

/* Bytes by AS, with or without panes. */
static void
make_by_key(BsProgram *program, int64_t pane)
{
	memset(program, 0, sizeof(*program));
	program->hash_seed = 7;
	program->windowed = pane > 0;
	program->time_column = TIME_COLUMN;
	program->windowing = (BsWindowing){.pane_usec = pane, .slide_usec = pane, .size_usec = pane};
	program->nkeys = 1;
	program->keys = calloc(1, sizeof(BsKey));
	program->keys[0] = (BsKey){.expr = bs_expr_column(KEY_COLUMN, BS_INT8), .type = BS_INT8};
	program->naggregates = 1;
	program->aggregates = calloc(1, sizeof(BsAggregate));
	program->aggregates[0] = (BsAggregate){.kind = BS_AGG_SUM_INT,
										   .type = BS_INT8,
										   .argument = bs_expr_column(KEY_COLUMN + 1, BS_INT8)};
}

/* A follower goes on to more panes than there are epochs, and freed tables' places are taken by new ones. */
static void
run_panes(const int64_t *panes)
{
	static Trial trial;
	Source source = {.state = 1};
	Runner shared[3] = {0};
	Runner alone[3] = {0};
	BsProgram *programs[3];
	BsShare *share;

	assert_true(trial_create(&trial, &source, BS_BOOL, 0));
	for (uint32_t p = 0; p < 3; p++)
	{
		make_by_key(&shared[p].program, panes[p]);
		make_by_key(&alone[p].program, panes[p]);
		runner_start(&shared[p], ARENA_BYTES, UINT64_MAX);
		runner_start(&alone[p], ARENA_BYTES, UINT64_MAX);
		programs[p] = &shared[p].program;
	}
	share = bs_share_create(programs, 3, true);
	assert_non_null(share);
	for (int64_t i = 0; i < 12000; i++)
	{
		BsLane *columns = trial.batch->columns;

		bs_batch_reset(trial.batch);
		trial.batch->nrows = 20;
		for (uint32_t row = 0; row < 20; row++)
		{
			columns[TIME_COLUMN].i64[row] = i + draw(&source, 5);
			columns[KEY_COLUMN].i64[row] = (int64_t) draw(&source, 100);
			columns[KEY_COLUMN + 1].i64[row] = (int64_t) draw(&source, 1000);
		}
		/*
		 * Each pane has a group that comes again when all epochs have been (two panes are remembered at
		 * once), and then has another row number.
		 */
		if (i % 66 == (i < 66 * 2 * 63 ? 2 : 30))
			columns[KEY_COLUMN].i64[0] = 1000 + i / 66 % (2 * 63);
		bs_batch_add_run(trial.batch, 0, 20, 1);
		bs_share_begin(share, trial.batch);
		for (uint32_t p = 0; p < 3; p++)
		{
			runner_add(&shared[p], trial.batch, BS_TIME_INFINITY, NULL);
			runner_add(&alone[p], trial.batch, BS_TIME_INFINITY, NULL);
			if (panes[p] == 0)
				continue;
			bs_partial_drop(&shared[p].partial, shared[p].arena, i - 500);
			bs_partial_drop(&alone[p].partial, alone[p].arena, i - 500);
		}
		bs_share_end(share);
		if (i % 100 == 99)
			for (uint32_t p = 0; p < 3; p++)
				assert_same_partial(&shared[p], &alone[p]);
	}
	bs_share_free(share);
	for (uint32_t p = 0; p < 3; p++)
	{
		runner_stop(&shared[p]);
		runner_stop(&alone[p]);
	}
	trial_free(&trial);
}

static void
many_panes(void **state)
{
	(void) state;
	/* Followers of a table that stays, and of one that goes. */
	run_panes((const int64_t[]){0, 66, 1000});
	run_panes((const int64_t[]){2000, 66, 500});
}

/* ---- trees as values ---------------------------------------------------------------------------- */

static void
copies_are_equal(void **state)
{
	(void) state;
	for (uint64_t i = 0; i < 2000; i++)
	{
		Source source = {.state = i << 20};
		BsType type = (BsType) (1 + i % BS_BYTES);
		uint32_t nforeign = 0;
		BsExpr *expr = draw_expr(&source, type, 4, &nforeign);
		BsExpr *other = draw_expr(&source, type, 4, &nforeign);
		BsExpr *copy = bs_expr_copy(expr);

		assert_true(bs_expr_equal(expr, copy));
		assert_int_equal(bs_expr_hash(expr), bs_expr_hash(copy));
		assert_null(bs_expr_prepare(expr, 10));
		assert_null(bs_expr_prepare(copy, 10));
		assert_true(bs_expr_equal(expr, copy));
		assert_int_equal(bs_expr_hash(expr), bs_expr_hash(copy));
		if (bs_expr_equal(expr, other))
			assert_int_equal(bs_expr_hash(expr), bs_expr_hash(other));
		bs_expr_free(expr);
		bs_expr_free(other);
		bs_expr_free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_equal),
		cmocka_unit_test(random_sets),
		cmocka_unit_test(many_panes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
