/* SPDX-License-Identifier: PostgreSQL */
/*
 * recordring.h: records on their way from one writer to one reader, through memory that both see.
 *
 * A writer never waits: a record for which there is no room is dropped and counted.  The memory is the
 * caller's, holds no pointers and may lie at different addresses in the two processes.  One writer and
 * one reader at a time; they need no lock.
 *
 *   BsRecordRing | entry | entry | ... around
 *   entry:  u32 bytes, this included, a multiple of 8 | NULL marks, a byte each | padding | values
 *   value:  as in a lane (8, 16 or 24 bytes); bytes: u64 length, then the bytes, padded to 8
 */
#ifndef BS_RECORDRING_H
#define BS_RECORDRING_H

#include "expr.h"

typedef struct BsRecordRing
{
	uint64_t capacity; /* bytes of data, a power of two */
	uint64_t written;  /* bytes since the beginning; stored by the writer alone */
	uint64_t read;     /* by the reader alone */
	uint64_t records;  /* written */
	uint64_t dropped;  /* found no room */
	uint64_t held;     /* bytes of the entry that the reader is looking at */
	uint64_t unused[2];
	uint8_t data[];
} BsRecordRing;

/* What of a record is kept: lanes of the batch by their numbers, ascending, and their types. */
typedef struct BsRecordColumns
{
	uint32_t ncolumns;
	const uint32_t *columns; /* [ncolumns] */
	const BsType *types;     /* [ncolumns] */
} BsRecordColumns;

/* Bytes of a ring with at least this much room for records. */
extern size_t bs_record_ring_size(uint64_t data_bytes);

/* Make an empty ring in memory of bs_record_ring_size(data_bytes), aligned to 8. */
extern BsRecordRing *bs_record_ring_init(void *memory, uint64_t data_bytes);

/* Write the given rows of a batch, in their order; returns how many found room. */
extern uint32_t bs_record_ring_put(BsRecordRing *ring, const BsBatch *batch,
								   const BsRecordColumns *columns, BsRows rows);

/* Write what another ring (whose reader the caller is) holds, and take over its count of dropped ones. */
extern uint32_t bs_record_ring_move(BsRecordRing *ring, BsRecordRing *from);

/* Everything written before this position has come before now; for bs_record_ring_next(). */
extern uint64_t bs_record_ring_position(const BsRecordRing *ring);

/*
 * The next record before position end (UINT64_MAX: no such bound): its values by number of column, good
 * until the next call of next or skip.  False: there is none yet.
 */
extern bool bs_record_ring_next(BsRecordRing *ring, const BsRecordColumns *columns, uint64_t end,
								BsValue *values, bool *nulls);

/* Forget all that has been written so far. */
extern void bs_record_ring_skip(BsRecordRing *ring);

/* The writer's counters, for others. */
extern uint64_t bs_record_ring_records(const BsRecordRing *ring);
extern uint64_t bs_record_ring_dropped(const BsRecordRing *ring);

#endif
