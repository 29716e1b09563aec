/* SPDX-License-Identifier: PostgreSQL */
/*
 * scan.h: a continuous view in a query: what fdw.c puts into the FdwRoutine for reading.
 *
 *   scanplan.c  planning: which conditions the scan takes over, in which order rows come, what it
 * costs scan.c      execution and EXPLAIN
 *
 * The scan takes over conditions on columns that are known early (reader.h): those on the window
 * alone choose which windows are read, those on group keys which groups are finished.  Both are the
 * user's expressions, evaluated as they stand by PostgreSQL's executor, so any operator and any
 * expression will do.  What is in them that changes (parameters, now()) is looked at when the scan
 * starts or is started again.
 *
 * A scan for backstream.tail() (history.h) has backstream.following(window, since) among its conditions: it gives
 * windows as they close (follow.h).
 */
#ifndef BS_SCAN_H
#define BS_SCAN_H

#include "postgres.h"

#include "commands/explain.h"
#include "foreign/fdwapi.h"

/* Members of ForeignScan.fdw_private. */
typedef enum BsScanPrivate
{
	BS_SCAN_FINGERPRINT, /* String, hexadecimal: the definition that was planned */
	BS_SCAN_BACKWARD,    /* Boolean: newest window first */
	BS_SCAN_NEEDED,      /* list of int: attribute numbers; NIL with BS_SCAN_NEEDS_ALL */
	BS_SCAN_NEEDS_ALL,   /* Boolean */
	BS_SCAN_STATES       /* list of int: attribute numbers of columns whose states are returned too,
							behind the view's own columns (fdw_scan_tlist); NIL: none */
} BsScanPrivate;

/* Members of ForeignScan.fdw_exprs: lists of conditions, implicitly ANDed. */
typedef enum BsScanConditions
{
	BS_SCAN_WINDOW_CONDITIONS,
	BS_SCAN_KEY_CONDITIONS,
	BS_SCAN_FOLLOW /* of backstream.tail(): windows as they close; one expression: since when.  NIL: no */
} BsScanConditions;

extern void bs_scan_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void bs_scan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *bs_scan_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *best,
								 List *tlist, List *scan_clauses, Plan *outer_plan);

extern void bs_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *bs_scan_next(ForeignScanState *node);
extern void bs_scan_again(ForeignScanState *node);
extern void bs_scan_end(ForeignScanState *node);
extern void bs_scan_explain(ForeignScanState *node, ExplainState *es);

#endif
