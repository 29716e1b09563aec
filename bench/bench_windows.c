/* SPDX-License-Identifier: PostgreSQL */
/*
 * bench_windows.c: nanoseconds per record of kinds of windows, from memory, over pairs of AS.
 *
 * Time goes on by 4 s a batch, so that every fifth batch has two panes of 10 s in it, and panes past an hour are
 * dropped.  A hop of 12:1 and a rolling window add a record to one pane, as a tumbling window does; what
 * they cost more is memory and the reader's merges.  spread() makes slices of each record.
 */
#include "traffic.h"

#include "../src/engine/spread.h"

#define NBATCHES 300
#define PASSES   4
#define SEC      INT64_C(1000000)

typedef struct Kind
{
	const char *name;
	BsWindowing windowing;
	int64_t retain_usec;
	int64_t lasted_usec; /* of each record, with spread(); 0: none */
} Kind;

/* The start of the flow comes as one more column. */
enum
{
	COL_START = NCOLUMNS,
	NALL
};

static void
make_program(BsProgram *program, const Kind *kind)
{
	*program = (BsProgram){.windowed = true,
						   .time_column = kind->lasted_usec > 0 ? NALL : COL_TIME,
						   .windowing = kind->windowing,
						   .fingerprint = 1,
						   .hash_seed = 12345};
	program->nkeys = 2;
	program->keys = calloc(2, sizeof(BsKey));
	for (uint32_t k = 0; k < 2; k++)
		program->keys[k] =
			(BsKey){.expr = bs_expr_column(COL_SRC_AS + k, BS_INT8), .type = BS_INT8};
	program->naggregates = 2;
	program->aggregates = calloc(2, sizeof(BsAggregate));
	for (uint32_t a = 0; a < 2; a++)
	{
		BsExpr *argument = bs_expr_column(COL_BYTES + a, BS_INT8);

		if (kind->lasted_usec > 0)
		{
			argument = bs_expr_op(BS_OP_PORTION, BS_INT8, 1, &argument);
			argument->column = NALL;
		}
		program->aggregates[a] =
			(BsAggregate){.kind = BS_AGG_SUM_INT, .type = BS_INT8, .argument = argument};
	}
	if (bs_program_finish(program, BS_BATCH_ROWS) != NULL)
		exit(1);
}

static uint64_t
add(const Kind *kind, BsProgram *program, BsPartial *partial, BsArena *arena, BsWriter *writer,
	BsSpread *spread, BsBatch *batch)
{
	const BsBatch *rows = batch;
	uint64_t nrows = 0;

	if (spread != NULL)
	{
		bs_spread_begin(spread, batch, 0, BS_TIME_INFINITY);
		rows = bs_spread_next(spread);
	}
	while (rows != NULL)
	{
		const BsEvaluated *e = bs_program_evaluate(program, rows, BS_TIME_INFINITY, NULL, NULL);

		bs_partial_add(partial, arena, program, writer, rows, e, NULL, NULL);
		nrows += rows->nrows;
		rows = spread != NULL ? bs_spread_next(spread) : NULL;
	}
	bs_partial_drop(partial, arena, batch->columns[COL_TIME].i64[0] - kind->retain_usec);
	return nrows;
}

static void
measure(const Kind *kind, uint64_t ngroups)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for((size_t) 1024 << 20));
	BsType all[NALL];
	bool wanted[NALL];
	BsBatch *batch;
	BsSpread *spread = NULL;
	BsProgram program;
	BsPartial partial;
	BsWriter *writer;
	double best = 1e18;
	uint64_t nrows = 0;
	int64_t now = 0;

	memcpy(all, types, sizeof(types));
	all[COL_START] = BS_TIMESTAMPTZ;
	for (uint32_t c = 0; c < NALL; c++)
		wanted[c] = c != COL_SRC && c != COL_DST && c != COL_PORT;
	batch = bs_batch_create(all, NALL, NULL, BS_BATCH_ROWS);
	if (kind->lasted_usec > 0)
		spread = bs_spread_create(all, NALL, wanted, COL_START, COL_TIME, &kind->windowing,
								  BS_BATCH_ROWS);
	make_program(&program, kind);
	writer = bs_writer_create(&program);
	bs_partial_init(&partial, &program, UINT64_MAX);
	for (int pass = 0; pass < PASSES; pass++)
	{
		double spent = 0;

		nrows = 0;
		for (int i = 0; i < NBATCHES; i++)
		{
			double start;

			fill(batch, ngroups);
			for (uint32_t row = 0; row < BS_BATCH_ROWS; row++)
			{
				batch->columns[COL_TIME].i64[row] = now + row * (4 * SEC / BS_BATCH_ROWS);
				batch->columns[COL_START].i64[row] =
					batch->columns[COL_TIME].i64[row] - kind->lasted_usec;
			}
			now += 4 * SEC;
			start = now_ns();
			nrows += add(kind, &program, &partial, arena, writer, spread, batch);
			spent += now_ns() - start;
		}
		best = spent < best ? spent : best;
	}
	printf("windows\t%s\t%.2f\n", kind->name, best / (NBATCHES * (double) BS_BATCH_ROWS));
	printf("  %.1f ns a row, %.1f rows a record, %u panes, %.0f MB\n", best / (double) nrows,
		   (double) nrows / (NBATCHES * (double) BS_BATCH_ROWS), partial.npanes,
		   (double) partial.bytes / 1e6);
	bs_spread_free(spread);
	bs_batch_free(batch);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

int
main(void)
{
	const Kind kinds[] = {
		{"tumbling, 10 s", {10 * SEC, 10 * SEC, 10 * SEC, 0}, 120 * SEC, 0},
		{"hop, 2 min every 10 s (12:1)", {10 * SEC, 10 * SEC, 120 * SEC, 0}, 120 * SEC, 0},
		{"rolling, 5 min every 5 s", {5 * SEC, 5 * SEC, 300 * SEC, 1}, 300 * SEC, 0},
		{"spread, 10 s, flows of 1 ms", {10 * SEC, 10 * SEC, 10 * SEC, 0}, 120 * SEC, 1000},
		{"spread, 10 s, flows of 30 s", {10 * SEC, 10 * SEC, 10 * SEC, 0}, 120 * SEC, 30 * SEC},
		{"spread, 10 s, flows of 5 min", {10 * SEC, 10 * SEC, 10 * SEC, 0}, 420 * SEC, 300 * SEC},
	};

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		measure(&kinds[k], 2000);
	return 0;
}
