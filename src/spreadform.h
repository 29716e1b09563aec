/* SPDX-License-Identifier: PostgreSQL */
/*
 * spreadform.h: FROM stream f CROSS JOIN LATERAL spread(f.start, f.end, width) s, in a view's query.
 *
 * To the compiler the four columns of a slice follow those of the stream: bs_spread_rewrite() makes s.time a
 * column of the stream's range table entry, and portion(x, s) a call with the numbers of s.  The engine's
 * rows are the slices (engine/spread.h).
 */
#ifndef BS_SPREADFORM_H
#define BS_SPREADFORM_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

#include "engine/window.h"
#include "refuse.h"

typedef struct BsFrom
{
	int stream; /* index in the range table; 0: FROM is neither a relation nor this form */
	int spread; /* of the function; 0: there is none */
} BsFrom;

/* What an analysed query reads. */
extern BsFrom bs_query_from(const Query *query);

/* Is this item of FROM, before the analysis, a call of spread()? */
extern bool bs_is_raw_spread(const Node *item);

/* Raises an error when the FROM of that form, or what is made of it, cannot be a view's. */
extern void bs_spread_check(Query *query, const BsFrom *from, const BsPlace *place);

/* What is spread over windows must be grouped by them. */
extern void bs_refuse_spread_window(const BsPlace *place);

/* The arguments of spread(), columns of the stream.  After bs_spread_check(). */
typedef struct BsSpreadForm
{
	AttrNumber start;
	AttrNumber end;
	BsWindowing windowing;
} BsSpreadForm;

extern BsSpreadForm bs_spread_form(Query *query, const BsFrom *from, const BsPlace *place);

/* Changes the query as above; natts is the number of the stream's columns. */
extern void bs_spread_rewrite(Query *query, const BsFrom *from, int natts);

/* The stream's columns and those of a slice. */
extern TupleDesc bs_spread_desc(TupleDesc desc);

/* The argument of a portion() that bs_spread_rewrite() has made, or NULL. */
extern Expr *bs_portion_argument(const FuncExpr *function, AttrNumber slice_attno);

#endif
