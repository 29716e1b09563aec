/* SPDX-License-Identifier: PostgreSQL */
/*
 * batch.h: a batch of records in columns.
 *
 * A batch has room for a fixed number of records (BS_BATCH_ROWS where nothing else is said) of one
 * stream.  Each column is a lane: an array of values and, beside it, one byte per row that is 1 where
 * the value is NULL.  A column that nobody asked for has no memory (values is NULL) and is not filled.
 *
 * The owner allocates a batch once and resets it; a writer appends rows, raises nrows, and says which
 * source (exporter) each run of rows came from.  Single-threaded; malloc'ed, never shared.
 */
#ifndef BS_BATCH_H
#define BS_BATCH_H

#include "types.h"

#define BS_BATCH_ROWS 2048

typedef struct BsLane
{
	BsType type;
	/* False: no row is NULL, and nulls[] is all zero.  Whoever writes a 1 sets it. */
	bool has_nulls;
	uint8_t *nulls; /* [capacity] */
	union
	{
		void *values; /* [capacity] of bs_type_lane_width(type); NULL: column not wanted */
		int64_t *i64;
		double *f64;
		BsInterval *interval;
		BsInet *inet;
		BsBytes *bytes;
	};
} BsLane;

/* Consecutive rows from one source of time (the runs cover all rows): an exporter, or the value of a stream's watermark_by. */
typedef struct BsRun
{
	uint32_t first;
	uint32_t nrows;
	uint64_t source; /* hash of the source's identity; equal sources have equal numbers */
} BsRun;

/* What a time column holds in this batch; made at most once per batch and column, then shared. */
typedef struct BsTimeMarks
{
	bool made;
	bool complete;    /* no NULL and no infinity among the rows, and at least one row */
	int64_t lowest;   /* of the finite values; BS_TIME_INFINITY when there is none */
	int64_t highest;  /* of the finite values; BS_TIME_NEG_INFINITY when there is none */
	int64_t *run_highest; /* [capacity] highest finite value of each run, or BS_TIME_NEG_INFINITY */
	int64_t *run_lowest;  /* [capacity] lowest finite value of each run, or BS_TIME_INFINITY */
} BsTimeMarks;

typedef struct BsBatch
{
	uint32_t capacity;
	uint32_t nrows;
	uint32_t ncolumns;
	uint32_t nruns;
	BsLane *columns; /* [ncolumns] */
	BsRun *runs;     /* [capacity] */
	BsTimeMarks *marks; /* [ncolumns], of the timestamptz columns */
} BsBatch;

/* Takes a full batch, runs what is to be run over it, and resets it. */
typedef struct BsBatchSink
{
	void (*flush)(void *context, BsBatch *batch);
	void *context;
} BsBatchSink;

/*
 * Make a batch of ncolumns columns of the given types; wanted[i] false leaves column i without
 * memory (wanted NULL: all).  Returns NULL when memory is out.
 */
extern BsBatch *bs_batch_create(const BsType *types, uint32_t ncolumns, const bool *wanted,
								uint32_t capacity);
extern void bs_batch_free(BsBatch *batch);

/* Forget all rows and NULLs. */
extern void bs_batch_reset(BsBatch *batch);

/* Append rows [first, first + nrows) to the runs, joining the last run when the source is the same. */
extern void bs_batch_add_run(BsBatch *batch, uint32_t first, uint32_t nrows, uint64_t source);

/*
 * Lowest and highest times of a timestamptz column, by run too.  The rows must not change until the
 * batch is reset.  (The batch is const to its readers; the marks are a cache in it.)
 */
extern const BsTimeMarks *bs_batch_time_marks(const BsBatch *batch, uint32_t column);

static inline bool
bs_lane_wanted(const BsLane *lane)
{
	return lane->values != NULL;
}

static inline bool
bs_lane_is_null(const BsLane *lane, uint32_t row)
{
	return lane->nulls[row] != 0;
}

static inline void
bs_lane_set_null(BsLane *lane, uint32_t row)
{
	lane->nulls[row] = 1;
	lane->has_nulls = true;
}

#endif
