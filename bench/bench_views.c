/* SPDX-License-Identifier: PostgreSQL */
/*
 * bench_views.c: nanoseconds per record of many views, and of each native aggregate, from memory.
 *
 *   bench_views [section ..]      sections: views widths aggregates keys; all when none is named
 *
 * Prints lines of section, name and figure, with tabs between.  Views have the same keys (45,000 pairs of
 * AS) and differ in windows, aggregates, and every fourth in a filter: sharing their work and each alone.
 * An aggregate's figure is that of a view with it less that of the same view with only count(*).
 */
#include "../src/engine/share.h"
#include "traffic.h"

#define MAX_VIEWS 64
#define NGROUPS 45000
#define NBATCHES 120
#define PASSES 5

typedef struct View
{
	BsProgram program;
	BsWriter *writer;
	BsPartial partial;
} View;

static void
add_key(BsProgram *program, uint32_t column)
{
	if (program->keys == NULL)
		program->keys = calloc(4, sizeof(BsKey));
	program->keys[program->nkeys++] =
		(BsKey){.expr = bs_expr_column(column, types[column]), .type = types[column]};
}

static BsAggregate *
add_aggregate(BsProgram *program, BsAggregateKind kind, BsExpr *argument)
{
	if (program->aggregates == NULL)
		program->aggregates = calloc(4, sizeof(BsAggregate));
	program->aggregates[program->naggregates] =
		(BsAggregate){.kind = kind, .type = argument->type, .argument = argument};
	return &program->aggregates[program->naggregates++];
}

static BsExpr *
column(uint32_t number)
{
	return bs_expr_column(number, types[number]);
}

static BsExpr *
bytes_as_float(void)
{
	BsExpr *bytes = column(COL_BYTES);

	return bs_expr_op(BS_OP_INT_TO_FLOAT, BS_FLOAT8, 1, &bytes);
}

/* Half of the records. */
static BsExpr *
low_port(void)
{
	BsExpr *args[2] = {column(COL_PORT), bs_expr_const(BS_INT4, (BsValue){.i64 = 265})};

	return bs_expr_op(BS_OP_LT, BS_BOOL, 2, args);
}

static BsProgram
windowed(int64_t width_usec)
{
	return (BsProgram){.windowed = true,
					   .time_column = COL_TIME,
					   .windowing = bs_windowing_tumble(width_usec, 0),
					   .fingerprint = 1,
					   .hash_seed = 12345};
}

static void
start(View *view)
{
	const char *problem = bs_program_finish(&view->program, BS_BATCH_ROWS);

	if (problem != NULL)
	{
		fprintf(stderr, "%s\n", problem);
		exit(1);
	}
	view->writer = bs_writer_create(&view->program);
	bs_partial_init(&view->partial, &view->program, UINT64_MAX);
}

/* How many views have the first one's panes: itself, and those that follow. */
static uint32_t
same_panes(const View *views, uint32_t nviews)
{
	uint32_t n = 1;

	while (n < nviews && n < BS_MAX_SHARERS && bs_share_same_panes(&views[0].program, &views[n].program, false))
		n++;
	return n;
}

static double
feed(View *views, uint32_t nviews, BsArena *arena, bool sharing, BsShare *share, const BsBatch *batch)
{
	double began = now_ns();

	if (share != NULL)
		bs_share_begin(share, batch);
	for (uint32_t i = 0, n; i < nviews; i += n)
	{
		BsSharer sharers[BS_MAX_SHARERS];
		const BsEvaluated *e =
			bs_program_evaluate(&views[i].program, batch, BS_TIME_INFINITY, NULL, NULL);

		n = sharing ? same_panes(views + i, nviews - i) : 1;
		for (uint32_t j = 0; j < n; j++)
		{
			View *view = &views[i + j];

			bs_partial_follow(&view->partial, arena, &view->program, batch,
							  &(BsViewTimes){.future_limit = BS_TIME_INFINITY, .front = BS_TIME_NEG_INFINITY});
			sharers[j] = (BsSharer){&view->partial, &view->program, view->writer};
		}
		bs_partial_add_shared(sharers, n, arena, batch, e);
	}
	if (share != NULL)
		bs_share_end(share);
	return now_ns() - began;
}

/* Nanoseconds per record of all views together: the best of several passes.  They are used up. */
static double
measure(View *views, uint32_t nviews, bool sharing, uint64_t ngroups)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for((size_t) 1 << 30));
	BsBatch *batch = bs_batch_create(types, NCOLUMNS, NULL, BS_BATCH_ROWS);
	BsProgram *programs[MAX_VIEWS];
	BsShare *share = NULL;
	double best = 1e18;

	for (uint32_t i = 0; i < nviews; i++)
	{
		start(&views[i]);
		programs[i] = &views[i].program;
	}
	if (sharing)
		share = bs_share_create(programs, nviews, true);
	for (int pass = 0; pass < PASSES; pass++)
	{
		double spent = 0;

		for (int i = 0; i < NBATCHES; i++)
		{
			fill(batch, ngroups);
			spent += feed(views, nviews, arena, sharing, share, batch);
		}
		if (spent < best)
			best = spent;
	}
	bs_share_free(share);
	for (uint32_t i = 0; i < nviews; i++)
	{
		bs_writer_free(views[i].writer);
		bs_program_free(&views[i].program);
	}
	bs_batch_free(batch);
	bs_arena_free_private(arena);
	return best / (NBATCHES * (double) BS_BATCH_ROWS);
}

/* ---- sections ----------------------------------------------------------------------------------- */

static void
bench_views(void)
{
	static const uint32_t counts[] = {1, 2, 4, 16, 64};
	static View views[MAX_VIEWS];

	for (uint32_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
		for (int sharing = 0; sharing < 2; sharing++)
		{
			for (uint32_t i = 0; i < counts[c]; i++)
			{
				memset(&views[i], 0, sizeof(View));
				views[i].program = windowed(10000000 * (int64_t) (1 + i % 3));
				add_key(&views[i].program, COL_SRC_AS);
				add_key(&views[i].program, COL_DST_AS);
				add_aggregate(&views[i].program, BS_AGG_SUM_INT, column(COL_BYTES));
				if (i % 2 == 0)
					add_aggregate(&views[i].program, BS_AGG_SUM_INT, column(COL_PACKETS));
				if (i % 4 == 3)
					views[i].program.where = low_port();
			}
			printf("views %s\t%u\t%.2f\n", sharing ? "sharing" : "alone", counts[c],
				   measure(views, counts[c], sharing, NGROUPS));
		}
}

/* The same aggregates over 1, 2, 5 and 10 minutes, every 10 s: panes are as wide for all of them. */
static void
bench_widths(void)
{
	static const int64_t minutes[] = {1, 2, 5, 10};
	View views[4];

	for (uint32_t n = 1; n <= 4; n++)
		for (int sharing = 0; sharing < 2; sharing++)
		{
			memset(views, 0, sizeof(views));
			for (uint32_t i = 0; i < n; i++)
			{
				views[i].program = windowed(10000000);
				views[i].program.windowing.size_usec = minutes[i] * 60000000;
				add_key(&views[i].program, COL_SRC_AS);
				add_key(&views[i].program, COL_DST_AS);
				add_aggregate(&views[i].program, BS_AGG_SUM_INT, column(COL_BYTES));
			}
			printf("widths %s\t%u\t%.2f\n", sharing ? "sharing" : "alone", n, measure(views, n, sharing, NGROUPS));
		}
}

typedef struct AggregateCase
{
	const char *name;
	BsAggregateKind kind;
	uint32_t column;
	BsExpr *(*argument)(void); /* NULL: the column */
	bool filter;
	bool distinct;
} AggregateCase;

static const AggregateCase aggregate_cases[] = {
	{"count(x)", BS_AGG_COUNT, COL_BYTES, NULL, false, false},
	{"sum(bigint)", BS_AGG_SUM_INT, COL_BYTES, NULL, false, false},
	{"sum(bigint) FILTER", BS_AGG_SUM_INT, COL_BYTES, NULL, true, false},
	{"sum(float8)", BS_AGG_SUM_FLOAT8, 0, bytes_as_float, false, false},
	{"avg, stddev(float8)", BS_AGG_ACCUM_FLOAT, 0, bytes_as_float, false, false},
	{"min(bigint)", BS_AGG_MIN, COL_BYTES, NULL, false, false},
	{"max(bigint)", BS_AGG_MAX, COL_BYTES, NULL, false, false},
	{"max(inet)", BS_AGG_MAX, COL_SRC, NULL, false, false},
	{"bit_and(int)", BS_AGG_BIT_AND, COL_PORT, NULL, false, false},
	{"bit_or(int)", BS_AGG_BIT_OR, COL_PORT, NULL, false, false},
	{"bit_xor(int)", BS_AGG_BIT_XOR, COL_PORT, NULL, false, false},
	{"count(DISTINCT int), 530 values", BS_AGG_COUNT, COL_PORT, NULL, false, true},
};

static void
add_case(BsProgram *program, const AggregateCase *one)
{
	BsExpr *argument = one->argument != NULL ? one->argument() : column(one->column);
	BsAggregate *aggregate;

	if (one->distinct)
	{
		program->nsets = 1;
		program->sets = calloc(1, sizeof(BsSet));
		program->sets[0] = (BsSet){.argument = argument, .type = argument->type};
		program->naggregates = 1;
		program->aggregates = calloc(1, sizeof(BsAggregate));
		program->aggregates[0] = (BsAggregate){.kind = one->kind, .type = argument->type, .set = 1};
		return;
	}
	aggregate = add_aggregate(program, one->kind, argument);
	if (one->filter)
		aggregate->filter = low_port();
}

/* 1,000 groups, so that what is measured is the aggregate and not the memory. */
static void
bench_aggregates(void)
{
	double alone = 0;

	for (int i = -1; i < (int) (sizeof(aggregate_cases) / sizeof(aggregate_cases[0])); i++)
	{
		View view = {.program = windowed(10000000)};
		double nsec;

		add_key(&view.program, COL_SRC_AS);
		if (i >= 0)
			add_case(&view.program, &aggregate_cases[i]);
		nsec = measure(&view, 1, false, 1000);
		if (i < 0)
			alone = nsec;
		if (i < 0)
			printf("aggregate\twindow, key and count(*) alone\t%.2f\n", alone);
		else
			printf("aggregate\t%s\t%.2f\n", aggregate_cases[i].name, nsec - alone);
	}
}

static void
bench_keys(void)
{
	static const struct
	{
		const char *name;
		uint32_t columns[3];
		uint32_t nkeys;
		uint64_t ngroups;
	} cases[] = {
		{"none", {0}, 0, 1},
		{"one bigint, 1,000 groups", {COL_SRC_AS}, 1, 1000},
		{"two bigint, 45,000 groups", {COL_SRC_AS, COL_DST_AS}, 2, 45000},
		{"two inet, 65,536 groups", {COL_SRC, COL_DST}, 2, 65536},
		{"two inet and an int, 500,000 groups", {COL_SRC, COL_DST, COL_PORT}, 3, 1000},
		{"two inet, 1,000,000 groups", {COL_SRC, COL_DST}, 2, 1000000},
	};

	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		View view = {.program = windowed(10000000)};

		for (uint32_t k = 0; k < cases[i].nkeys; k++)
			add_key(&view.program, cases[i].columns[k]);
		add_aggregate(&view.program, BS_AGG_SUM_INT, column(COL_BYTES));
		printf("keys\t%s\t%.2f\n", cases[i].name, measure(&view, 1, false, cases[i].ngroups));
	}
}

static const struct
{
	const char *name;
	void (*run)(void);
} sections[] = {{"views", bench_views}, {"widths", bench_widths}, {"aggregates", bench_aggregates}, {"keys", bench_keys}};

int
main(int argc, char **argv)
{
	for (uint32_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
	{
		bool wanted = argc == 1;

		for (int a = 1; a < argc; a++)
			wanted |= strcmp(argv[a], sections[i].name) == 0;
		if (wanted)
			sections[i].run();
	}
	return 0;
}
