/* SPDX-License-Identifier: PostgreSQL */
/* fdw.c: the foreign-data wrapper: which function does what for views and streams. */
#include "backstream.h"

#include "commands/vacuum.h"
#include "foreign/fdwapi.h"

#include "insert.h"
#include "nodeimport.h"
#include "scan.h"
#include "tailscan.h"
#include "viewdef.h"

BS_SQL_FUNCTION(bs_fdw_handler);

/* ANALYZE skips our tables with a warning: it must not wait for records. */
static bool
analyze(Relation relation, AcquireSampleRowsFunc *func, BlockNumber *totalpages)
{
	return false;
}

/*
 * One routine serves views and streams.  A plan says by the length of its private list which it is for:
 * a scan is asked for each row.
 */
static bool
is_tail(const ForeignScanState *node)
{
	return list_length(((ForeignScan *) node->ss.ps.plan)->fdw_private) == 1;
}

static void
rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	(bs_relation_is_view(relid) ? bs_scan_rel_size : bs_tailscan_rel_size)(root, rel, relid);
}

static void
paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	(bs_relation_is_view(relid) ? bs_scan_paths : bs_tailscan_paths)(root, rel, relid);
}

static ForeignScan *
plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *best, List *tlist,
	 List *scan_clauses, Plan *outer_plan)
{
	return (bs_relation_is_view(relid) ? bs_scan_plan : bs_tailscan_plan)(root, rel, relid, best, tlist,
																		  scan_clauses, outer_plan);
}

static void
begin(ForeignScanState *node, int eflags)
{
	(is_tail(node) ? bs_tailscan_begin : bs_scan_begin)(node, eflags);
}

static TupleTableSlot *
next(ForeignScanState *node)
{
	return (is_tail(node) ? bs_tailscan_next : bs_scan_next)(node);
}

static void
again(ForeignScanState *node)
{
	(is_tail(node) ? bs_tailscan_again : bs_scan_again)(node);
}

static void
end(ForeignScanState *node)
{
	(is_tail(node) ? bs_tailscan_end : bs_scan_end)(node);
}

static void
explain(ForeignScanState *node, ExplainState *es)
{
	(is_tail(node) ? bs_tailscan_explain : bs_scan_explain)(node, es);
}

Datum
bs_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = rel_size;
	routine->GetForeignPaths = paths;
	routine->GetForeignPlan = plan;
	routine->BeginForeignScan = begin;
	routine->IterateForeignScan = next;
	routine->ReScanForeignScan = again;
	routine->EndForeignScan = end;
	routine->ExplainForeignScan = explain;
	routine->AnalyzeForeignTable = analyze;
	routine->ImportForeignSchema = bs_import_schema;
	bs_insert_routine(routine);
	PG_RETURN_POINTER(routine);
}
