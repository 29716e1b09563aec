/* SPDX-License-Identifier: PostgreSQL */
/*
 * tailscan.h: SELECT ... FROM a stream: what fdw.c puts into the FdwRoutine for streams.
 *
 * The scan listens from its first row on (tails.h), returns records as they come, and ends at
 * backstream.listen_for, with those that had come by then; or before, at the LIMIT above it or when it is
 * cancelled.  Started again (the inner side of a join) it listens anew.  Of a stream that nodes have, records come from
 * them (nodetail.h), and from this server's own stream if it is one of them.
 */
#ifndef BS_TAILSCAN_H
#define BS_TAILSCAN_H

#include "postgres.h"

#include "commands/explain.h"
#include "foreign/fdwapi.h"

extern void bs_tailscan_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void bs_tailscan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *bs_tailscan_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid,
									 ForeignPath *best, List *tlist, List *scan_clauses,
									 Plan *outer_plan);
extern void bs_tailscan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *bs_tailscan_next(ForeignScanState *node);
extern void bs_tailscan_again(ForeignScanState *node);
extern void bs_tailscan_end(ForeignScanState *node);
extern void bs_tailscan_explain(ForeignScanState *node, ExplainState *es);
extern void bs_tailscan_explain_plan(ForeignScanState *node, ExplainState *es);

#endif
