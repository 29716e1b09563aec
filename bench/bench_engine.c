/* SPDX-License-Identifier: PostgreSQL */
/*
 * bench_engine.c: nanoseconds per record of the engine from memory: evaluate, find, fold.
 *
 * One batch is filled anew each time with shuffled keys (not timed), so that it is as warm as the
 * decoder leaves it; each figure is the best of several passes, so it says what the code costs when
 * nothing disturbs it.  Socket figures come from
 * bench/run.
 */
#include "traffic.h"

#define NBATCHES 600
#define PASSES 4

static void
add_keys(BsProgram *program, uint32_t a, uint32_t b)
{
	program->nkeys = 2;
	program->keys = calloc(2, sizeof(BsKey));
	program->keys[0] = (BsKey){.expr = bs_expr_column(a, types[a]), .type = types[a]};
	program->keys[1] = (BsKey){.expr = bs_expr_column(b, types[b]), .type = types[b]};
}

static void
add_sums(BsProgram *program)
{
	program->naggregates = 2;
	program->aggregates = calloc(2, sizeof(BsAggregate));
	for (uint32_t a = 0; a < 2; a++)
		program->aggregates[a] = (BsAggregate){.kind = BS_AGG_SUM_INT,
											   .type = BS_INT8,
											   .argument = bs_expr_column(COL_BYTES + a, BS_INT8)};
}

static void
add_filter(BsProgram *program)
{
	BsExpr *args[2] = {bs_expr_column(COL_PORT, BS_INT4),
					   bs_expr_const(BS_INT4, (BsValue){.i64 = 53})};

	program->where = bs_expr_op(BS_OP_LT, BS_BOOL, 2, args);
}

static void
measure(const char *name, uint32_t key_a, uint32_t key_b, bool keyed, bool filtered, uint64_t ngroups)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for((size_t) 512 << 20));
	BsProgram program = {.windowed = true,
						 .time_column = COL_TIME,
						 .windowing = bs_windowing_tumble(10000000, 0),
						 .fingerprint = 1,
						 .hash_seed = 12345};
	BsBatch *batch = bs_batch_create(types, NCOLUMNS, NULL, BS_BATCH_ROWS);
	BsPartial partial;
	BsWriter *writer;
	double best = 1e18;
	const char *problem;

	if (keyed)
		add_keys(&program, key_a, key_b);
	if (filtered)
		add_filter(&program);
	add_sums(&program);
	problem = bs_program_finish(&program, BS_BATCH_ROWS);
	if (problem != NULL)
	{
		fprintf(stderr, "%s: %s\n", name, problem);
		exit(1);
	}
	writer = bs_writer_create(&program);
	bs_partial_init(&partial, &program, UINT64_MAX);
	for (int pass = 0; pass < PASSES; pass++)
	{
		double spent = 0;

		for (int i = 0; i < NBATCHES; i++)
		{
			const BsEvaluated *e;
			double start;

			fill(batch, ngroups);
			start = now_ns();
			e = bs_program_evaluate(&program, batch, BS_TIME_INFINITY, NULL, NULL);
			bs_partial_follow(&partial, arena, &program, batch,
						  &(BsViewTimes){.future_limit = BS_TIME_INFINITY, .front = BS_TIME_NEG_INFINITY});
			bs_partial_add(&partial, arena, &program, writer, batch, e, NULL, NULL);
			spent += now_ns() - start;
		}
		if (spent < best)
			best = spent;
	}
	printf("%-28s %8.2f ns/record  %9.1f bytes/group  (row %u)\n", name,
		   best / (NBATCHES * (double) BS_BATCH_ROWS),
		   (double) partial.bytes / (double) (ngroups ? ngroups : 1), program.row_bytes);
	bs_batch_free(batch);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

int
main(void)
{
	measure("a: no keys", 0, 0, false, false, 1);
	measure("b: AS pairs, 45,000", COL_SRC_AS, COL_DST_AS, true, false, 45000);
	measure("b: AS pairs, 65,540", COL_SRC_AS, COL_DST_AS, true, false, 65540);
	measure("c: address pairs, 65,536", COL_SRC, COL_DST, true, false, 65536);
	measure("c: address pairs, 1,000,000", COL_SRC, COL_DST, true, false, 1000000);
	measure("d: filter keeps 10 %", COL_SRC_AS, COL_DST_AS, true, true, 45000);
	return 0;
}
