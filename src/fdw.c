/* SPDX-License-Identifier: PostgreSQL */
/* fdw.c: reading and writing views and streams.  For now neither is possible, and says so. */
#include "backstream.h"

#include "commands/vacuum.h"
#include "foreign/fdwapi.h"
#include "optimizer/planmain.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "insert.h"

BS_SQL_FUNCTION(bs_fdw_handler);

static void
not_supported(Oid relid)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("reading \"%s\" is not supported yet", get_rel_name(relid)),
					errhint("Define a continuous view over the stream and read that.")));
}

static void
rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	not_supported(relid);
}

static void
paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	not_supported(relid);
}

static ForeignScan *
plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *best, List *tlist,
	 List *scan_clauses, Plan *outer_plan)
{
	not_supported(relid);
	return NULL;
}

static void
scan_begin(ForeignScanState *node, int eflags)
{
	not_supported(RelationGetRelid(node->ss.ss_currentRelation));
}

static TupleTableSlot *
scan_next(ForeignScanState *node)
{
	return NULL;
}

static void
scan_nothing(ForeignScanState *node)
{
}

/* ANALYZE skips our tables with a warning: it must not wait for records. */
static bool
analyze(Relation relation, AcquireSampleRowsFunc *func, BlockNumber *totalpages)
{
	return false;
}

Datum
bs_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = rel_size;
	routine->GetForeignPaths = paths;
	routine->GetForeignPlan = plan;
	routine->BeginForeignScan = scan_begin;
	routine->IterateForeignScan = scan_next;
	routine->ReScanForeignScan = scan_nothing;
	routine->EndForeignScan = scan_nothing;
	routine->AnalyzeForeignTable = analyze;
	bs_insert_routine(routine);
	PG_RETURN_POINTER(routine);
}
