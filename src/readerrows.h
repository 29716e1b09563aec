/* SPDX-License-Identifier: PostgreSQL */
/*
 * readerrows.h: what a reader has loaded, group by group, and the rows that they make.  Between reader.c, which owns all
 * of it, and readerrows.c.
 */
#ifndef BS_READERROWS_H
#define BS_READERROWS_H

#include "postgres.h"

#include "executor/executor.h"

#include "columnstate.h"
#include "engine/writer.h"
#include "once.h"
#include "reader.h"
#include "registry.h"

/* A group that is loaded. */
typedef struct BsGroupAt
{
	const uint8 *row;
	uint32 ordinal; /* groupvalues.h */
} BsGroupAt;

/* A column of the row that shows a column of the scan tuple. */
typedef struct BsShownAsIs
{
	int column;
	int of_scan;
} BsShownAsIs;

typedef struct BsReaderRows
{
	BsWriter *writer;
	ExprContext *econtext;
	/* The scan tuple; behind the columns that query.h tells of, the states that were asked for. */
	TupleTableSlot *scan;
	int nstates;
	BsColumnState *states;
	int *state_columns; /* [nstates] which column of the scan tuple it is the state of */
	bool *values_wanted; /* [nsets] values of sets that states or final functions are made of */
	/* From which BsReadLevel on its columns are looked at; BS_COLUMN_UNUSED: never.  Those that are, in a list; NULL: to be made. */
	uint8 scan_level[MaxTupleAttributeNumber];
	int *used;
	int nused;
	BsOnce *once; /* what is the same for all rows of what is loaded */
	ProjectionInfo *projection;
	BsShownAsIs *as_is; /* instead, where no column is anything else; NULL: some is */
	int nas_is;
	ExprState *having; /* NULL: none */

	/* What is loaded: */
	MemoryContext window_context;
	BsWindowData *data;
	int64 shown;
	uint32 next_chunk;
	const uint8 *at;   /* the next group, */
	uint32 number;     /* its number, */
	uint32 ordinal;    /* and among all */
	uint32 nleft;      /* in its chunk */
	bool zero_row_due; /* the one row of a view without GROUP BY that has counted nothing */
	uint8 *zero_row;
	BsGroupSets sets;

	/* Rows made ahead: */
	bool ahead;     /* this view needs it */
	int batch_rows; /* size of the next batch */
	MemoryContext ahead_context;
	TupleTableSlot *ahead_slot;
	MinimalTuple *ready;
	int nready;
	int next_ready;
	BsGroupAt *accepted;
} BsReaderRows;

#define BS_COLUMN_UNUSED 0xff

/* The next group in the table of groups; false after the last. */
extern bool bs_reader_group(BsReader *reader, BsGroupAt *group);

/* The scan tuple as far as it is asked for at this level.  Lives until the ExprContext is reset. */
extern TupleTableSlot *bs_reader_scan_tuple(BsReader *reader, BsGroupAt group, int64 window,
											BsReadLevel level);

/* The row of a group; NULL when HAVING is not true.  Lives until the ExprContext is reset. */
extern TupleTableSlot *bs_reader_row(BsReader *reader, BsGroupAt group);

#endif
