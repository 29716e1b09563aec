/* SPDX-License-Identifier: PostgreSQL */
/*
 * combine.h: backstream.combine(column): an aggregate over rows of a continuous view that merges what the
 * column was made of.
 *
 * PostgreSQL's planner keeps the columns of a scan and the aggregates far above it apart, and anything may
 * lie between: joins, sorts, hash tables, files.  So the state of a column travels as a value: beside
 * the view's columns the scan returns one more, of type backstream.aggregate_state, for each column that is
 * combined.
 *
 *     combine(v.clients)                                what is written
 *     combine_states({state_of(v.clients)}, v, 3, ...)  what is planned
 *
 * The rewriting happens when the planner takes up the view (get_relation_info_hook): sub-selects, views
 * and functions have been flattened into the query by then, and no column has been asked for yet.
 * {state_of(...)} is a placeholder, which is PostgreSQL's own way to have an expression evaluated where its
 * relation is scanned and carried up from there; the scan says that it supplies it (fdw_scan_tlist).
 * What could not be rewritten is refused while planning (create_upper_paths_hook), and combine() and state_of()
 * raise an error when they are called.  So a plan either merges states or does not come to be.
 *
 *   combineplan.c  the rewriting
 *   combine.c      the aggregate
 *   columnstate.h  what the values of type aggregate_state hold
 */
#ifndef BS_COMBINE_H
#define BS_COMBINE_H

#include "postgres.h"
#include "nodes/pathnodes.h"

/* The arguments of combine_states(). */
typedef enum BsCombineArgument
{
	BS_COMBINE_STATE,
	BS_COMBINE_VIEW,        /* Const: OID */
	BS_COMBINE_COLUMN,      /* Const: attribute number */
	BS_COMBINE_FINGERPRINT, /* Const: of the definition that was planned for */
	BS_COMBINE_VALUE,       /* Const: NULL of the column's type, which the result has */
	BS_NCOMBINE_ARGUMENTS
} BsCombineArgument;

extern void bs_combine_init(void);

/* Is this a call of combine() as it is written? */
extern bool bs_combine_is_call(const Aggref *aggref);

/* Is this what a scan has to supply, a state of a column?  Then its call, else NULL. */
extern FuncExpr *bs_combine_state_of(Node *expr);
/* Of that call: the column's number. */
extern AttrNumber bs_combine_column(const FuncExpr *state_of);

#endif
