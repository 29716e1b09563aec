/* SPDX-License-Identifier: PostgreSQL */
/*
 * query.h: a continuous view's query as a program for the engine and expressions for the reader.
 *
 * The split: WHERE, GROUP BY and the arguments and FILTERs of aggregates are the engine's
 * (natively, or through computed columns, computed.h).  It keeps groups: keys and states.  The
 * reader makes a *scan tuple* of each group: one column for each expression of GROUP BY (the
 * window's start is one) and for each different aggregate.  HAVING and the target list are
 * rewritten over the scan tuple (Vars with varno INDEX_VAR), for PostgreSQL's executor.
 *
 *   native.c      what of it the engine can do, and how
 *   computed.c    what PostgreSQL does for it
 *   finals.c      from a group to a scan tuple
 *   foreignagg.c  aggregates by PostgreSQL's functions
 *   refuse.c      what cannot be a continuous view
 */
#ifndef BS_QUERY_H
#define BS_QUERY_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

#include "computed.h"
#include "engine/program.h"
#include "engine/spread.h"
#include "finals.h"
#include "foreignagg.h"
#include "options.h"

struct BsViewDef;

/* The longest and the shortest window. */
#define BS_MIN_WIDTH_USEC INT64CONST(1000)
#define BS_MAX_WIDTH_USEC (INT64CONST(366) * USECS_PER_DAY)

typedef enum BsScanSource
{
	BS_SCAN_WINDOW, /* start of the window */
	BS_SCAN_KEY,
	BS_SCAN_AGGREGATE
} BsScanSource;

/* A column of the scan tuple. */
typedef struct BsScanColumn
{
	BsScanSource source;
	Node *expr; /* of the query: what it is the value of */
	Oid type;
	int32 typmod;
	Oid collation;
	/* BS_SCAN_KEY: */
	uint32 key; /* number in the program */
	int shown;  /* number of the aggregate that shows how it looked, where keys are made canonical;
				   -1 */
	/* BS_SCAN_AGGREGATE: */
	BsFinal final;
} BsScanColumn;

typedef struct BsViewProgram
{
	MemoryContext context; /* everything below, this struct too */

	/* Reading and writing. */
	BsProgram program; /* its fingerprint is that of the signature: of what is counted */
	struct BsSignature *signature; /* signature.h */
	uint64 definition; /* a number for all of the definition: HAVING and the target list too */
	Oid stream;
	bool rolling;   /* the windows of program are panes of a rolling one (rolling.h) */
	bool over_view; /* stream is a continuous view: its closed windows' rows are the records */
	uint64 lower_fingerprint; /* that view's */

	/* Writing.  A lane of the batch is a column of the stream: attribute number less one. */
	int ncolumns;
	bool *wanted;         /* [ncolumns] columns that the program or a computed column reads; those of a slice
							 follow */
	BsSpread *spread;     /* records become slices; NULL: they are the rows.  malloc'ed */
	BsComputed *computed; /* never NULL, may be empty; see computed.h for begin and end */
	int nforeign;
	BsForeignAgg **foreign; /* [nforeign] by BsAggregate.foreign */
	List *prefix_uses;      /* of BsPrefixUse *: prefix.h says how they are used */

	/* Reading. */
	int nscan;
	BsScanColumn *scan; /* [nscan] columns of the scan tuple */
	TupleDesc scan_desc;
	List *tlist;    /* of TargetEntry, none resjunk: the view's columns over the scan tuple */
	Node *having;   /* over the scan tuple, or NULL */
	bool ungrouped; /* no GROUP BY: one row even when there are no records (its row is all zero) */
	bool reader_settings;    /* tlist or having depend on settings: evaluate under the view's pinned
								ones */
	AttrNumber window_attno; /* of the scan tuple; 0: no window */
	AttrNumber
		window_resno; /* the view's first column that is the window's start itself; 0: none */
} BsViewProgram;

/*
 * Compile a view's definition, with the owner's rights and under its settings, for batches of at
 * most capacity records.  All of it is in a child of cxt; what is malloc'ed goes with that.  Raises
 * an error for what cannot be a continuous view (a definition that was once right may have become
 * wrong) or when memory is out, and leaves nothing then.  Needs a transaction.
 */
extern BsViewProgram *bs_query_compile(const struct BsViewDef *def, uint32_t capacity,
									   MemoryContext cxt);
extern void bs_query_free(BsViewProgram *view);

/*
 * Raise an error if this cannot be the query of a continuous view: what is wrong, where in
 * source_text, and what to write instead.  query is analysed, not rewritten, and not changed;
 * stmt_location is the byte offset of the SELECT in source_text, or -1.  advise: tell too what would
 * make it cheaper.
 */
extern void bs_query_check(Query *query, const char *source_text, int stmt_location,
						   const BsViewOptions *options, bool advise);

/* The one relation in FROM (valid for queries that have passed the check). */
extern Oid bs_query_stream(const Query *query);

/*
 * The scan tuple of a group: one of its columns (from 0), or values and nulls of all.  What is passed by reference is in
 * CurrentMemoryContext.  May raise an error (a sum out of range).
 */
extern Datum bs_finals_column(const BsViewProgram *view, int column, const BsGroupRow *group,
							  bool *isnull);
extern void bs_finals_fill(const BsViewProgram *view, const BsGroupRow *group, Datum *values,
						   bool *nulls);

#endif
