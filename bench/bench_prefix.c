/* SPDX-License-Identifier: PostgreSQL */
/*
 * bench_prefix.c: longest-prefix maps: nanoseconds per look-up, memory per prefix, time to build.
 *
 *   make build/release/bench_prefix && build/release/bench_prefix [IPv4 prefixes [IPv6 prefixes]]
 *
 * Prefixes are random, their lengths mixed as in the Internet's routing tables (most are /24 and /48);
 * 10,000 different labels.  Addresses lie in random prefixes of the table, all equally likely (the worst
 * case for caches) or nine in ten in one prefix of a thousand (nearer to traffic).  A look-up is what a
 * continuous view does: batches of 2,048 addresses through BS_OP_PREFIX_TEXT.  Median of eleven runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../src/engine/expr.h"

#define NLABELS  10000
#define NBATCHES 64
#define NRUNS    11

static uint64_t random_state = 1;

static uint32_t
random_number(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t) (random_state >> 33);
}

static double
now_seconds(void)
{
	struct timespec now;

	/* Of this process alone: the machine may have other work. */
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* Percent of each length, about as in the global tables. */
static uint8_t
random_length(int family)
{
	static const uint8_t four[][2] = {{24, 60}, {23, 10}, {22, 11}, {21, 5}, {20, 5},
									  {19, 3},  {18, 2},  {16, 2},  {32, 2}};
	static const uint8_t six[][2] = {{48, 47}, {32, 12}, {44, 12}, {40, 10},
									 {36, 6},  {64, 6},  {46, 4},  {56, 3}};
	uint32_t at = random_number() % 100;
	const uint8_t(*lengths)[2] = family == 4 ? four : six;

	for (;; lengths++)
	{
		if (at < lengths[0][1])
			return lengths[0][0];
		at -= lengths[0][1];
	}
}

static BsInet
random_prefix(int family)
{
	BsInet prefix = {.family = (uint8_t) family, .bits = random_length(family)};

	for (int i = 0; i < (family == 4 ? 4 : 8); i++)
		prefix.address[i] = (uint8_t) random_number();
	if (family == 4)
		prefix.address[0] = (uint8_t) (1 + prefix.address[0] % 223);
	else
	{
		prefix.address[0] = (uint8_t) (0x20 | prefix.address[0] % 16);
		prefix.address[1] &= 0x0f;
	}
	return prefix;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
fill(BsBatch *batch, const BsInet *prefixes, uint32_t nprefixes, bool skewed)
{
	batch->nrows = batch->capacity;
	for (uint32_t row = 0; row < batch->nrows; row++)
	{
		uint32_t some = skewed && random_number() % 10 != 0 ? nprefixes / 1000 + 1 : nprefixes;
		BsInet address = prefixes[random_number() % some];
		int max = address.family == 4 ? 32 : 128;

		for (int bit = address.bits; bit < max; bit++)
			if (random_number() & 1024)
				address.address[bit / 8] = (uint8_t) (address.address[bit / 8] ^ 0x80 >> bit % 8);
		address.bits = (uint8_t) max;
		batch->columns[0].inet[row] = address;
	}
}

static double
measure(BsArena *arena, const BsPrefixMap *map, const BsInet *prefixes, uint32_t nprefixes,
		bool skewed)
{
	static const BsType types[] = {BS_INET};
	static uint16_t rows[BS_BATCH_ROWS];
	static uint8_t errors[BS_BATCH_ROWS];
	BsBatch *batches[NBATCHES];
	BsPrefixHandle handle = {.arena = arena, .map = map};
	BsExpr *column = bs_expr_column(0, BS_INET);
	BsExpr *expr = bs_expr_op(BS_OP_PREFIX_TEXT, BS_BYTES, 1, &column);
	double runs[NRUNS];

	expr->prefix = &handle;
	if (bs_expr_prepare(expr, BS_BATCH_ROWS) != NULL)
		abort();
	for (uint32_t i = 0; i < BS_BATCH_ROWS; i++)
		rows[i] = (uint16_t) i;
	for (int i = 0; i < NBATCHES; i++)
	{
		batches[i] = bs_batch_create(types, 1, NULL, BS_BATCH_ROWS);
		fill(batches[i], prefixes, nprefixes, skewed);
	}
	for (int run = 0; run < NRUNS; run++)
	{
		double start = now_seconds();

		for (int i = 0; i < NBATCHES; i++)
		{
			BsEval eval = {.batch = batches[i], .errors = errors};

			bs_expr_evaluate(expr, &eval, (BsRows){.nrows = BS_BATCH_ROWS, .rows = rows});
		}
		runs[run] = (now_seconds() - start) * 1e9 / (NBATCHES * BS_BATCH_ROWS);
	}
	qsort(runs, NRUNS, sizeof(double), by_value);
	for (int i = 0; i < NBATCHES; i++)
		bs_batch_free(batches[i]);
	bs_expr_free(expr);
	return runs[NRUNS / 2];
}

static void
bench(int family, uint32_t nprefixes)
{
	static const BsLabelColumn column = {"name", BS_LABEL_TEXT};
	BsPrefixBuilder *builder = bs_prefix_builder_create(1, &column, (size_t) 4 << 30);
	BsArena *arena = bs_arena_create(bs_arena_size_for((size_t) 1 << 30));
	BsInet *prefixes = calloc(nprefixes, sizeof(BsInet));
	const BsPrefixMap *map;
	BsPrefixMapInfo info;
	double start = now_seconds();
	double built;
	uint64_t offset;

	if (builder == NULL || arena == NULL || prefixes == NULL)
		abort();
	for (uint32_t i = 0; i < nprefixes; i++)
		prefixes[i] = random_prefix(family);
	start = now_seconds();
	for (uint32_t i = 0; i < nprefixes; i++)
	{
		char text[32];
		BsLabel label = {.text = {.data = (uint8_t *) text}};

		label.text.len = (uint32_t) snprintf(text, sizeof(text), "customer %u", i % NLABELS);
		if (bs_prefix_builder_add(builder, &prefixes[i], &label) != BS_PREFIX_OK)
			abort();
	}
	if (bs_prefix_builder_finish(builder, arena, &offset) != BS_PREFIX_OK)
		abort();
	built = now_seconds() - start;
	bs_prefix_builder_free(builder);
	map = bs_arena_at(arena, offset);
	info = bs_prefixmap_info(map);
	printf("IPv%d  %8llu prefixes  %6.1f MB  %5.1f bytes/prefix  built in %4.0f ms  "
		   "uniform %5.1f ns  skewed %5.1f ns\n",
		   family, (unsigned long long) info.prefixes, (double) info.bytes / 1e6,
		   (double) info.bytes / (double) info.prefixes, built * 1e3,
		   measure(arena, map, prefixes, nprefixes, false),
		   measure(arena, map, prefixes, nprefixes, true));
	free(prefixes);
	bs_arena_free_private(arena);
}

int
main(int argc, char **argv)
{
	uint32_t four = argc > 1 ? (uint32_t) strtoul(argv[1], NULL, 10) : 1000000;
	uint32_t six = argc > 2 ? (uint32_t) strtoul(argv[2], NULL, 10) : 200000;

	bench(4, 1000);
	bench(4, four);
	bench(6, 1000);
	bench(6, six);
	return 0;
}
