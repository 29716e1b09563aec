/* SPDX-License-Identifier: PostgreSQL */
/*
 * feed.h: the rows that a transaction puts into streams, kept until it commits.
 *
 * Whatever brings records by SQL (INSERT, COPY, backstream.ingest) opens a feed and puts rows into it.
 * There is one feed per stream and top transaction (another one when the stream's columns change in
 * between).  Its rows lie in a tuplestore, in memory up to work_mem and in a temporary file beyond.
 *
 *   put:      feed.c       tuplestore, and which of its rows were rolled back to a savepoint
 *   commit:   feedapply.c  rows back into batches, which delta.h evaluates
 *
 * Everything lives in a context under TopTransactionContext; no locks, no shared memory.
 */
#ifndef BS_FEED_H
#define BS_FEED_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Rows [first, end) of a feed, counted from 0. */
typedef struct BsFeedRange
{
	int64 first;
	int64 end;
} BsFeedRange;

/* Where the rows of a subtransaction (or of what it has taken over from its children) begin. */
typedef struct BsFeedLevel
{
	SubTransactionId subid;
	int64 first;
} BsFeedLevel;

typedef struct BsFeed
{
	Oid stream;
	TupleDesc desc; /* the stream's columns when the rows came */
	MemoryContext context;
	Tuplestorestate *rows; /* NULL: none yet */
	ResourceOwner owner;   /* of its temporary file */
	int64 nrows;           /* in the tuplestore */
	bool writing; /* set while a row is written: found set, an error has left the tuplestore broken */

	/* Rolled back: ascending, neither overlapping nor adjacent. */
	BsFeedRange *skip;
	int nskip;
	int skip_capacity; /* always room for one more per level: they are added while aborting */
	int64 nskipped;    /* rows in them */

	/* Subtransactions in progress that put rows, outermost first; the top one has no entry. */
	BsFeedLevel *levels;
	int nlevels;
	int levels_capacity;

	int nvarlena; /* columns that may hold a pointer to another place */
	int *varlena;
} BsFeed;

/* Register the transaction callbacks; called from _PG_init. */
extern void bs_feed_init(void);

/*
 * The feed of a stream in this transaction, good until its end.  The caller holds RowExclusiveLock on
 * the stream until the end of the transaction.
 */
extern BsFeed *bs_feed_open(Relation stream);

/* Put one row, of the stream's columns.  It is copied whole; values stored elsewhere are fetched. */
extern void bs_feed_put_slot(BsFeed *feed, TupleTableSlot *slot);
extern void bs_feed_put_values(BsFeed *feed, Datum *values, bool *isnull);

/*
 * Give the feed's rows to delta.h, in batches; now is the time of the commit.  Ends the tuplestore.
 * feedapply.c; called by feed.c with an active snapshot.
 */
extern void bs_feed_apply(BsFeed *feed, TimestampTz now);

#endif
