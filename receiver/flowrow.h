/* SPDX-License-Identifier: PostgreSQL */
/*
 * flowrow.h: one record of backstream.flow by itself, for what comes one record at a time (sFlow).
 *
 * A row holds what has been put into it; the other columns are NULL.  bs_flow_row_store() writes it
 * into the wanted columns of a batch.
 */
#ifndef BS_FLOWROW_H
#define BS_FLOWROW_H

#include "../src/engine/batch.h"
#include "flow.h"

_Static_assert(BS_FLOW_NCOLUMNS <= 64, "one bit per column");

typedef union BsFlowValue
{
	int64_t i64;
	BsInet inet;
	BsBytes bytes;
} BsFlowValue;

typedef struct BsFlowRow
{
	uint64_t present; /* bit per BsFlowColumn */
	BsFlowValue values[BS_FLOW_NCOLUMNS];
} BsFlowRow;

static inline bool
bs_flow_row_has(const BsFlowRow *row, BsFlowColumn column)
{
	return (row->present >> column & 1) != 0;
}

static inline void
bs_flow_row_put(BsFlowRow *row, BsFlowColumn column, int64_t value)
{
	row->present |= UINT64_C(1) << column;
	row->values[column].i64 = value;
}

static inline void
bs_flow_row_put_bytes(BsFlowRow *row, BsFlowColumn column, BsBytes value)
{
	row->present |= UINT64_C(1) << column;
	row->values[column].bytes = value;
}

/* An address of 4 or 16 bytes. */
extern void bs_flow_row_put_address(BsFlowRow *row, BsFlowColumn column, const uint8_t *at,
									uint32_t len_bytes);

/* Forget what a column holds: it is NULL. */
static inline void
bs_flow_row_clear(BsFlowRow *row, BsFlowColumn column)
{
	row->present &= ~(UINT64_C(1) << column);
}

/* Write the row's wanted columns as row number number of a batch, which has room for it. */
extern void bs_flow_row_store(const BsFlowRow *row, BsBatch *batch, uint32_t number);

#endif
