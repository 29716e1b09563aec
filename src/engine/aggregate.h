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
	uint32_t set;     /* over the values of this set of the program, counted from 1, and folded by the
					   * reader; argument and filter are the set's.  0: over all values */
	/* Set by bs_program_finish, all within the row: */
	uint16_t flags_offset; /* of the 32-bit word with the two bits below */
	uint16_t offset;       /* of the state */
	uint16_t carry_offset; /* BS_AGG_SUM_INT: int32, sum = state + carry * 2^64 */
	uint32_t seen_mask;    /* the state has a value */
	uint32_t overflow_mask; /* a float sum left its range: PostgreSQL raises an error, so must the reader */
	bool only_row;          /* the program has no keys: every record goes to one row */
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


/* Bytes and alignment of a state in the row, for the type of the argument. */
extern uint32_t bs_aggregate_state_bytes(BsAggregateKind kind, BsType type);

/* NULL, or why this kind does not take this type (a static text). */
extern const char *bs_aggregate_check(BsAggregateKind kind, BsType type);

/*
 * Fold values into states: for each i < rows.nrows, the value at rows.rows[i] of the lane into the row
 * at row_at[i].  NULLs and rows whose filter byte is 0 (filter NULL: none) are passed over.
 * Not for BS_AGG_FOREIGN and not for BS_AGG_ANY of bytes.  For BS_AGG_SUM_INT without filter and
 * without NULLs the caller sets the bits of seen_mask.  At least one row.
 */
extern void bs_aggregate_accumulate(const BsAggregate *aggregate, uint8_t *const *row_at,
									const BsLane *lane, const uint8_t *filter, BsRows rows);

/*
 * Fold the state of row from into row into.  Not for BS_AGG_FOREIGN and not for BS_AGG_ANY of bytes,
 * whose bytes lie outside the row (table merge does those).
 */
extern void bs_aggregate_combine(const BsAggregate *aggregate, uint8_t *into, const uint8_t *from);

/* What a reader takes out of a row. */
static inline bool
bs_state_has_value(const BsAggregate *aggregate, const uint8_t *row)
{
	return (*(const uint32_t *) (row + aggregate->flags_offset) & aggregate->seen_mask) != 0;
}

static inline bool
bs_state_overflowed(const BsAggregate *aggregate, const uint8_t *row)
{
	return (*(const uint32_t *) (row + aggregate->flags_offset) & aggregate->overflow_mask) != 0;
}

static inline const void *
bs_state_at(const BsAggregate *aggregate, const uint8_t *row)
{
	return row + aggregate->offset;
}

static inline __int128
bs_state_sum(const BsAggregate *aggregate, const uint8_t *row)
{
	int64_t low = *(const int64_t *) (row + aggregate->offset);
	int32_t carry = *(const int32_t *) (row + aggregate->carry_offset);

	return (__int128) low + ((__int128) carry << 64);
}

#endif
