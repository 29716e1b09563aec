/* SPDX-License-Identifier: PostgreSQL */
/* fdw.c: the foreign-data wrapper: which function does what for views and streams. */
#include "backstream.h"

#include "commands/vacuum.h"
#include "foreign/fdwapi.h"

#include "insert.h"
#include "nodeimport.h"
#include "scan.h"

BS_SQL_FUNCTION(bs_fdw_handler);

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

	routine->GetForeignRelSize = bs_scan_rel_size;
	routine->GetForeignPaths = bs_scan_paths;
	routine->GetForeignPlan = bs_scan_plan;
	routine->BeginForeignScan = bs_scan_begin;
	routine->IterateForeignScan = bs_scan_next;
	routine->ReScanForeignScan = bs_scan_again;
	routine->EndForeignScan = bs_scan_end;
	routine->ExplainForeignScan = bs_scan_explain;
	routine->AnalyzeForeignTable = analyze;
	routine->ImportForeignSchema = bs_import_schema;
	bs_insert_routine(routine);
	PG_RETURN_POINTER(routine);
}
