/* SPDX-License-Identifier: PostgreSQL */
/*
 * aggregate.h: the table of aggregates.
 *
 * An aggregate's state lies in the row of its group, fixed in size by its kind: zero bytes are the
 * state before any value.  A bit of the row (seen) says whether it has a value, so NULL costs no
 * memory.  Each kind is one row of functions in aggregate.c.  avg is not a kind: it is a count and a sum,
 * divided by the reader; equal (kind, argument, filter) are kept once by whoever makes the program.
 *
 * What the engine has no kind for is BS_AGG_FOREIGN: 16 bytes in the row refer to a block of any
 * size in the arena, and callbacks of ring 2 turn batches of values into new blocks.
 */
#ifndef BS_AGGREGATE_H
#define BS_AGGREGATE_H

#include "expr.h"

typedef enum BsAggregateKind
{
	BS_AGG_COUNT = 1, /* count(x): values that are not NULL; 8 bytes.  count(*) is the row's own count */
	BS_AGG_SUM_INT,   /* int2, int4, int8: exact, 8 bytes and a carry of 4 */
	BS_AGG_SUM_FLOAT4, /* rounded to float at each step, as PostgreSQL does */
	BS_AGG_SUM_FLOAT8,
	BS_AGG_ACCUM_FLOAT, /* count, sum, sum of squares as float8_accum: avg, variance, stddev; 24 bytes */
	BS_AGG_MIN,       /* any type but bytes; also bool_and (bool) */
	BS_AGG_MAX,       /* also bool_or */
	BS_AGG_BIT_AND,
	BS_AGG_BIT_OR,
	BS_AGG_BIT_XOR,
	BS_AGG_ANY,       /* the first value seen, bytes too: how a key looked before it was made canonical */
	BS_AGG_FOREIGN,
	BS_NAGGREGATES
} BsAggregateKind;

typedef struct BsAggregate
{
	BsAggregateKind kind;
	BsType type;      /* of the argument */
	BsExpr *argument; /* NULL: none (a foreign aggregate without arguments) */
	BsExpr *filter;   /* NULL: none; lazy: the argument is evaluated only where it is true */
	uint32_t foreign; /* BS_AGG_FOREIGN: number given to the callbacks, which fetch the arguments */
	/* Set by bs_program_finish: */
	uint16_t seen_bit;
	uint16_t offset;       /* of the state in the row */
	uint16_t carry_offset; /* BS_AGG_SUM_INT */
} BsAggregate;

/* A state or key outside the row: an arena block (state) or heap bytes (key, BS_AGG_ANY of bytes). */
typedef struct BsHandle
{
	uint64_t offset; /* from the start of the arena; 0: none */
	uint32_t len;
	uint32_t hash;   /* keys: of the bytes */
} BsHandle;

/* BS_AGG_ACCUM_FLOAT: N, sum, and the sum of squared deviations (Youngs-Cramer), as PostgreSQL keeps. */
typedef struct BsAccum
{
	double n;
	double sum;
	double sxx;
} BsAccum;

#endif
