/* SPDX-License-Identifier: PostgreSQL */
/*
 * bench_expr.c: nanoseconds per record of some expressions, in memory.
 *
 *   make build/release/bench_expr && build/release/bench_expr [rounds]
 *
 * Each expression runs over the same batches of 2,048 random records that fit the caches, once
 * without NULLs and once with one value in ten NULL; printed is the median of eleven runs, with tabs between
 * kind, expression and nanoseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../src/engine/expr.h"

#define NBATCHES 8
#define NRUNS    11

enum
{
	SRC_PORT,
	DST_PORT,
	PROTO,
	PACKETS,
	BYTES,
	SRC_ADDR,
	RATE,
	START,
	END,
	NCOLUMNS
};

static const BsType column_types[NCOLUMNS] = {BS_INT4, BS_INT4, BS_INT2, BS_INT8, BS_INT8,
											  BS_INET, BS_INT8, BS_TIMESTAMPTZ, BS_TIMESTAMPTZ};

static uint64_t random_state = 1;

static uint32_t
random_number(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1;
	return (uint32_t) (random_state >> 33);
}

static void
fill(BsBatch *batch, bool nulls)
{
	static const uint8_t protos[] = {6, 6, 6, 17, 17, 1};

	batch->nrows = batch->capacity;
	for (uint32_t row = 0; row < batch->nrows; row++)
	{
		BsInet *inet = &batch->columns[SRC_ADDR].inet[row];

		batch->columns[SRC_PORT].i64[row] = random_number() % 65536;
		batch->columns[DST_PORT].i64[row] = random_number() % 10 ? random_number() % 65536 : 53;
		batch->columns[PROTO].i64[row] = protos[random_number() % sizeof(protos)];
		batch->columns[PACKETS].i64[row] = 1 + random_number() % 10;
		batch->columns[BYTES].i64[row] = 40 + random_number() % 10000;
		batch->columns[RATE].i64[row] = 1000;
		batch->columns[START].i64[row] = INT64_C(800000000000000) + random_number();
		batch->columns[END].i64[row] = batch->columns[START].i64[row] + random_number() % 60000000;
		*inet = (BsInet){.family = 4, .bits = 32};
		for (int i = 0; i < 4; i++)
			inet->address[i] = (uint8_t) random_number();
		for (uint32_t i = 0; i < NCOLUMNS && nulls; i++)
			if (random_number() % 10 == 0)
				bs_lane_set_null(&batch->columns[i], row);
	}
}

static BsExpr *
column(uint32_t number)
{
	return bs_expr_column(number, column_types[number]);
}

static BsExpr *
number(BsType type, int64_t value)
{
	return bs_expr_const(type, (BsValue){.i64 = value});
}

static BsExpr *
op1(BsOp op, BsType type, BsExpr *a)
{
	return bs_expr_op(op, type, 1, &a);
}

static BsExpr *
op2(BsOp op, BsType type, BsExpr *a, BsExpr *b)
{
	return bs_expr_op(op, type, 2, (BsExpr *[]){a, b});
}

static BsExpr *
make_dns(void)
{
	return op2(BS_OP_EQ, BS_BOOL, column(DST_PORT), number(BS_INT4, 53));
}

static BsExpr *
make_scan(void)
{
	BsValue list[] = {{.i64 = 6}, {.i64 = 17}};

	return op2(BS_OP_AND, BS_BOOL, op2(BS_OP_LE, BS_BOOL, column(PACKETS), number(BS_INT8, 3)),
			   bs_expr_in(BS_OP_IN, column(PROTO), 2, list, false));
}

static BsExpr *
make_ports(void)
{
	BsValue list[20];

	for (int i = 0; i < 20; i++)
		list[i].i64 = i * 37;
	return bs_expr_in(BS_OP_IN, column(DST_PORT), 20, list, false);
}

static BsExpr *
make_inside(void)
{
	BsValue net = {.inet = {.address = {10}, .family = 4, .bits = 8}};

	return op2(BS_OP_INET_SUBEQ, BS_BOOL, column(SRC_ADDR), bs_expr_const(BS_INET, net));
}

static BsExpr *
make_next_port(void)
{
	return op2(BS_OP_ADD, BS_INT4, column(SRC_PORT), number(BS_INT4, 1));
}

static BsExpr *
make_service(void)
{
	BsExpr *when =
		op2(BS_OP_LT, BS_BOOL, op2(BS_OP_LEAST, BS_INT4, column(SRC_PORT), column(DST_PORT)),
			number(BS_INT4, 1024));
	BsExpr *then = op2(BS_OP_LEAST, BS_INT4, column(SRC_PORT), column(DST_PORT));

	return bs_expr_op(BS_OP_CASE, BS_INT4, 3, (BsExpr *[]){when, then, bs_expr_null(BS_INT4)});
}

static BsExpr *
make_network(void)
{
	return op1(BS_OP_INET_NETWORK, BS_INET,
			   op2(BS_OP_INET_SET_MASKLEN, BS_INET, column(SRC_ADDR), number(BS_INT4, 24)));
}

static BsExpr *
make_size(void)
{
	return op2(BS_OP_DIV, BS_FLOAT8, op1(BS_OP_INT_TO_FLOAT, BS_FLOAT8, column(BYTES)),
			   op1(BS_OP_INT_TO_FLOAT, BS_FLOAT8, column(PACKETS)));
}

static BsExpr *
make_either(void)
{
	return op2(BS_OP_OR, BS_BOOL, op2(BS_OP_EQ, BS_BOOL, column(DST_PORT), number(BS_INT4, 53)),
			   op2(BS_OP_EQ, BS_BOOL, column(SRC_PORT), number(BS_INT4, 53)));
}

static BsExpr *
make_known(void)
{
	return op1(BS_OP_IS_NOT_NULL, BS_BOOL, column(SRC_ADDR));
}

static BsExpr *
make_scaled(void)
{
	return op2(BS_OP_SCALED, BS_INT8, column(BYTES), column(RATE));
}

static BsExpr *
make_lasted(void)
{
	return op2(BS_OP_TIME_SUB_TIME, BS_INTERVAL, column(END), column(START));
}

static BsExpr *
make_bin(void)
{
	BsExpr *bin = op1(BS_OP_TIME_BIN, BS_TIMESTAMPTZ, column(END));

	bin->width_usec = 10000000;
	return bin;
}

static BsExpr *
make_bits(void)
{
	return op2(BS_OP_BIT_AND, BS_INT2, column(PROTO), number(BS_INT2, 2));
}

static BsExpr *
make_narrow(void)
{
	return op1(BS_OP_INT_CAST, BS_INT2, column(BYTES));
}

static BsExpr *
make_else(void)
{
	return op2(BS_OP_COALESCE, BS_INT8, column(BYTES), number(BS_INT8, 0));
}

static BsExpr *
make_remainder(void)
{
	return op2(BS_OP_MOD, BS_INT8, column(BYTES), column(PACKETS));
}

static const struct
{
	const char *name;
	BsExpr *(*make)(void);
	bool filter;
} cases[] = {
	{"WHERE dst_port = 53", make_dns, true},
	{"WHERE packets <= 3 AND proto IN (6, 17)", make_scan, true},
	{"WHERE dst_port IN (20 ports)", make_ports, true},
	{"WHERE src_addr <<= '10.0.0.0/8'", make_inside, true},
	{"WHERE dst_port = 53 OR src_port = 53", make_either, true},
	{"WHERE src_addr IS NOT NULL", make_known, true},
	{"src_port + 1", make_next_port, false},
	{"bytes % packets", make_remainder, false},
	{"proto & 2", make_bits, false},
	{"bytes::int2", make_narrow, false},
	{"coalesce(bytes, 0)", make_else, false},
	{"scaled(bytes, sampling_rate)", make_scaled, false},
	{"time_flow_end - time_flow_start", make_lasted, false},
	{"date_bin('10 s', time_flow_end)", make_bin, false},
	{"CASE WHEN least(ports) < 1024 THEN least(ports) END", make_service, false},
	{"network(set_masklen(src_addr, 24))", make_network, false},
	{"bytes::float8 / packets", make_size, false},
};

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
now_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

/* Median over the runs, in nanoseconds per record. */
static double
measure(BsExpr *expr, bool filter, BsBatch **batches, long rounds)
{
	static uint8_t errors[BS_BATCH_ROWS];
	static uint16_t all[BS_BATCH_ROWS];
	static uint16_t kept[BS_BATCH_ROWS];
	double nsec[NRUNS];

	for (uint32_t i = 0; i < BS_BATCH_ROWS; i++)
		all[i] = (uint16_t) i;
	for (int run = 0; run < NRUNS; run++)
	{
		double start = now_nsec();

		for (long i = 0; i < rounds; i++)
		{
			BsEval eval = {.batch = batches[i % NBATCHES], .errors = errors};
			BsRows rows = {BS_BATCH_ROWS, all};

			if (filter)
				bs_expr_where(expr, &eval, rows, kept);
			else
				bs_expr_evaluate(expr, &eval, rows);
		}
		nsec[run] = (now_nsec() - start) / ((double) rounds * BS_BATCH_ROWS);
	}
	qsort(nsec, NRUNS, sizeof(double), compare_doubles);
	return nsec[NRUNS / 2];
}

int
main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 500;
	BsBatch *batches[2][NBATCHES];

	if (rounds <= 0)
		return 2;
	for (int nulls = 0; nulls < 2; nulls++)
		for (int i = 0; i < NBATCHES; i++)
		{
			batches[nulls][i] = bs_batch_create(column_types, NCOLUMNS, NULL, BS_BATCH_ROWS);
			if (batches[nulls][i] == NULL)
				return 1;
			fill(batches[nulls][i], nulls);
		}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		BsExpr *expr = cases[i].make();
		const char *refusal = bs_expr_prepare(expr, BS_BATCH_ROWS);

		if (refusal != NULL)
		{
			fprintf(stderr, "%s: %s\n", cases[i].name, refusal);
			return 1;
		}
		for (int nulls = 0; nulls < 2; nulls++)
			printf("expression%s\t%s\t%.2f\n", nulls ? ", one in ten NULL" : "", cases[i].name,
				   measure(expr, cases[i].filter, batches[nulls], rounds));
		bs_expr_free(expr);
	}
	for (int i = 0; i < 2 * NBATCHES; i++)
		bs_batch_free(batches[i / NBATCHES][i % NBATCHES]);
	return 0;
}
