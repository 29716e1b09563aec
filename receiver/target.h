/* SPDX-License-Identifier: PostgreSQL */
/*
 * target.h: where the values of a run go: into lanes of the batch, or into scratch columns; part of
 * copy.c.
 *
 * A NULL has the value zero beside its mark, so that what reads lanes without looking reads no old
 * value.
 */
#ifndef BS_TARGET_H
#define BS_TARGET_H

#include "value.h"

/* Where a column's values of this run go. */
typedef struct Target
{
	union
	{
		int64_t *i64;
		BsInet *inet;
	};
	uint8_t *nulls;
	bool *has_nulls;
} Target;

typedef struct Run
{
	const BsCopyPlan *plan;
	BsCopyContext *context;
	BsCopyScratch *scratch;
	BsBatch *batch;
	uint32_t first_row;
} Run;

static uint32_t
scratch_of(BsFlowColumn column)
{
	return column == BS_FLOW_PROTO ? 0 : column == BS_FLOW_DST_PORT ? 1 : 2;
}

/* A column of 8-byte values; a scratch one when it is only needed for others. */
ALWAYS_INLINE Target
target_of(const Run *run, BsFlowColumn column)
{
	BsLane *lane = &run->batch->columns[column];
	uint32_t slot;

	if (bs_lane_wanted(lane))
		return (Target){.i64 = lane->i64 + run->first_row,
						.nulls = lane->nulls + run->first_row,
						.has_nulls = &lane->has_nulls};
	slot = scratch_of(column);
	return (Target){.i64 = run->scratch->values[slot],
					.nulls = run->scratch->nulls[slot],
					.has_nulls = &run->scratch->has_nulls};
}

/* A column of addresses, which is always wanted when it is written. */
ALWAYS_INLINE Target
inet_target_of(const Run *run, BsFlowColumn column)
{
	BsLane *lane = &run->batch->columns[column];

	return (Target){.inet = lane->inet + run->first_row,
					.nulls = lane->nulls + run->first_row,
					.has_nulls = &lane->has_nulls};
}

ALWAYS_INLINE void
set_null(Target *target, uint32_t row)
{
	target->i64[row] = 0;
	target->nulls[row] = 1;
	*target->has_nulls = true;
}

/* Written as three words: a BsInet put together on the stack is read back before its bytes are
 * there. */
ALWAYS_INLINE void
store_inet(BsInet *to, uint64_t first, uint64_t second, uint8_t family, uint8_t bits)
{
	uint8_t tail_bytes[8] = {family, bits};
	uint64_t tail;

	_Static_assert(offsetof(BsInet, family) == 16 && sizeof(BsInet) == 24, "three words");
	memcpy(&tail, tail_bytes, 8);
	memcpy((uint8_t *) to, &first, 8);
	memcpy((uint8_t *) to + 8, &second, 8);
	memcpy((uint8_t *) to + 16, &tail, 8);
}

ALWAYS_INLINE void
store_inet4(BsInet *to, const uint8_t *at)
{
	uint32_t four;

	memcpy(&four, at, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	store_inet(to, four, 0, 4, 32);
#else
	store_inet(to, (uint64_t) four << 32, 0, 4, 32);
#endif
}

ALWAYS_INLINE void
store_inet6(BsInet *to, const uint8_t *at)
{
	uint64_t first;
	uint64_t second;

	memcpy(&first, at, 8);
	memcpy(&second, at + 8, 8);
	store_inet(to, first, second, 6, 128);
}

static void
fill_nulls(const Run *run, BsFlowColumn column, uint32_t nrows)
{
	size_t width = bs_type_lane_width(bs_flow_column_types[column]);
	Target target = target_of(run, column);

	if (width != sizeof(int64_t))
		target = inet_target_of(run, column);
	memset(target.i64, 0, nrows * width);
	memset(target.nulls, 1, nrows);
	*target.has_nulls = true;
}

static void
fill_i64(const Run *run, BsFlowColumn column, uint32_t nrows, int64_t value)
{
	Target target = target_of(run, column);

	for (uint32_t row = 0; row < nrows; row++)
		target.i64[row] = value;
}

#endif
