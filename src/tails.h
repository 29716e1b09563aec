/* SPDX-License-Identifier: PostgreSQL */
/*
 * tails.h: live tails: statements that read a stream, and the records on their way to them.
 *
 *   tails.c     a table of the tails in shared memory; who listens, and the memory between
 *   tailfeed.c  the writers: receivers, and backends that insert
 *   tailscan.c  the reader: running SELECT ... FROM a stream; tailplan.c its plan
 *
 * A statement that begins to read a stream takes a slot and makes a dynamic shared memory segment with
 * one ring (engine/recordring.h) per receiver and one that inserting backends share.  Writers find it
 * when the number of changes of the table has grown, evaluate the conditions that the engine can, and
 * put the columns that are wanted into their ring.  Nobody ever waits for a tail: what finds no room in
 * the ring is counted, and the statement says so at its end.
 *
 * Locks: the table's, exclusively to take and give back a slot; a slot's own, by inserting backends one
 * at a time for as long as it takes to copy a transaction's records.  Neither is held while anything
 * else is waited for.
 */
#ifndef BS_TAILS_H
#define BS_TAILS_H

#include "postgres.h"

#include "nodes/bitmapset.h"
#include "port/atomics.h"
#include "storage/dsm.h"
#include "storage/lwlock.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "engine/recordring.h"

/* What writers must know, at the beginning of the segment. */
typedef struct BsTailSegment
{
	uint32 nrings;
	Oid stream;
	uint32 ncolumns;  /* that are wanted */
	Size columns;     /* offset: uint32[ncolumns], numbers of lanes: attribute number less one */
	Size types;       /* offset: BsType[ncolumns] */
	Size conditions;  /* offset: nodeToString() of a list of expressions, Vars of varno 1 */
	Size rings;       /* offset */
	Size ring_bytes;
} BsTailSegment;

/* One tail, in shared memory. */
typedef struct BsSharedTail
{
	uint64 number; /* 0: the slot is free; never used again */
	Oid stream;
	Oid role;
	int pid;
	int process; /* number of its PGPROC */
	dsm_handle segment;
	TimestampTz since;
	LWLock insert_lock; /* the ring that backends share */
	pg_atomic_uint64 records; /* put into rings */
	pg_atomic_uint64 dropped; /* found no room in them */
} BsSharedTail;

/* A tail of this process. */
typedef struct BsTail
{
	int slot;
	uint64 number;
	dsm_segment *mapping;
	BsTailSegment *segment;
	BsRecordColumns columns;
	uint32 next_ring; /* to be looked at */
} BsTail;

/* Space and hooks; called from _PG_init. */
extern void bs_tails_init(void);

/* Changes of the table so far. */
extern uint64 bs_tails_generation(void);

/* ---- reading --------------------------------------------------------------------------------- */

/*
 * Begin to listen to a stream, on which the caller holds a lock: the columns wanted (attribute numbers)
 * and conditions for the writers (they may let more through).  Ends with context, or by bs_tail_close().
 * An error when there are backstream.max_tails already.
 */
extern BsTail *bs_tail_open(Relation stream, const Bitmapset *wanted, List *conditions,
							MemoryContext context);
extern void bs_tail_close(BsTail *tail);

/*
 * The next record: values by number of wanted column, good until the next call.  False: none has come
 * (before the positions in ends, one per ring, if that is not NULL).
 */
extern bool bs_tail_next(BsTail *tail, const uint64 *ends, BsValue *values, bool *nulls);

/* Where each ring's writer stands now; ends has room for bs_tail_nrings(). */
extern uint32 bs_tail_nrings(void);
extern void bs_tail_positions(const BsTail *tail, uint64 *ends);

/* Forget what has come. */
extern void bs_tail_skip(BsTail *tail);

/* Records that found no room so far. */
extern uint64 bs_tail_dropped(const BsTail *tail);

/*
 * Of these conditions (over the columns of a stream, Vars of varno) those that the engine can evaluate,
 * simplified and with varno 1.
 */
extern List *bs_tail_pushable(Oid stream, List *conditions, Index varno);

/* ---- writing --------------------------------------------------------------------------------- */

/* The table's slots, for writers: what they copy of one under the lock. */
extern int bs_tails_max(void);
extern BsSharedTail *bs_tails_slot(int i);
extern void bs_tails_lock(LWLockMode mode);
extern void bs_tails_unlock(void);

static inline BsRecordRing *
bs_tail_ring(BsTailSegment *segment, uint32 writer)
{
	return (BsRecordRing *) ((char *) segment + segment->rings + writer * segment->ring_bytes);
}

/* Has the table changed since this process looked? */
extern bool bs_tails_stale(void);

/*
 * Take up new tails, give up ended ones; inside a transaction.  nowait: one over a stream that is locked
 * is left for the next time.
 */
extern void bs_tails_refresh(bool nowait);

/* Which columns of a stream its tails want: sets wanted[]; false when there is none. */
extern bool bs_tails_wanted(Oid stream, bool *wanted);

/* A receiver's batch of a stream, to all who listen to it.  Cannot fail. */
extern void bs_tails_feed(Oid stream, const BsBatch *batch, int writer);

/* A batch of a transaction: kept until it commits or rolls back.  keep may raise an error. */
extern void bs_tails_keep(Oid stream, const BsBatch *batch);
extern void bs_tails_publish(void);
extern void bs_tails_discard(void);

#endif
