/* SPDX-License-Identifier: PostgreSQL */
/* tailscan.c: planning and running SELECT ... FROM a stream.  See tailscan.h. */
#include "backstream.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "pgstat.h"
#include "rewrite/rewriteManip.h"
#include "storage/latch.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "lanes.h"
#include "listening.h"
#include "node.h"
#include "registry.h"
#include "tails.h"
#include "tailscan.h"

/* Records that a scan is taken to return: many, so that a join listens once. */
#define ROWS_ESTIMATED 1000000.0

/* The clock is looked at once per this many records. */
#define CLOCK_EVERY 64

/* Waiting is looked at anew at least this often. */
#define WAIT_MSEC 1000L

/* ForeignScanState.fdw_state */
typedef struct TailScan
{
	MemoryContext context;
	Bitmapset *wanted;
	List *conditions; /* for the writers, Vars of varno 1 */
	BsTail *tail;     /* NULL: it has not begun, or the server counts nothing */
	bool started;
	bool ended;       /* listen_for is over: what is left is before ends */
	uint64 *ends;
	TimestampTz deadline; /* 0: none */
	bool reads_no_table;
	uint32 since_clock; /* records */
	uint64 records;
	BsValue *values;
	bool *nulls;
} TailScan;

/* ---------- planning ---------- */

void
bs_tailscan_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	if (bs_relation_is_remote(relid))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("reading stream \"%s\", which other nodes have, is not supported yet",
							   get_rel_name(relid)),
						errhint("Read the stream on a node, or create a continuous view over this one.")));
	rel->rows = clamp_row_est(ROWS_ESTIMATED * clauselist_selectivity(root, rel->baserestrictinfo, 0,
																		JOIN_INNER, NULL));
}

void
bs_tailscan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	Cost total = ROWS_ESTIMATED * (cpu_tuple_cost + rel->baserestrictcost.per_tuple);

	add_path(rel, (Path *) create_foreignscan_path(root, rel, NULL, rel->rows,
												   rel->baserestrictcost.startup, total, NIL,
												   rel->lateral_relids, NULL, NIL));
}

/* Attribute numbers that anybody looks at; all of them for a whole row. */
static List *
needed_columns(RelOptInfo *rel, Oid relid, List *clauses)
{
	Bitmapset *attrs = NULL;
	List *needed = NIL;
	int whole = InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attrs);
	pull_varattnos((Node *) clauses, rel->relid, &attrs);
	for (int attno = 1; attno <= rel->max_attr; attno++)
		if (bms_is_member(whole, attrs) ||
			bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, attrs))
			needed = lappend_int(needed, attno);
	return needed;
}

/* What may be evaluated before conditions that guard a security barrier are. */
static List *
early_conditions(RelOptInfo *rel, List *scan_clauses)
{
	List *early = NIL;
	ListCell *cell;

	foreach (cell, scan_clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);

		if (!rinfo->pseudoconstant && restriction_is_securely_promotable(rinfo, rel))
			early = lappend(early, rinfo->clause);
	}
	return early;
}

/*
 * fdw_exprs has the conditions that writers may evaluate if their parameters turn out to be constants;
 * all conditions are evaluated by the executor as well.
 */
ForeignScan *
bs_tailscan_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *best, List *tlist,
				 List *scan_clauses, Plan *outer_plan)
{
	List *clauses = extract_actual_clauses(scan_clauses, false);

	return make_foreignscan(tlist, clauses, rel->relid, list_make1(early_conditions(rel, scan_clauses)),
							list_make1(needed_columns(rel, relid, clauses)), NIL, NIL, outer_plan);
}

/* ---------- begin and end ---------- */

/* A parameter of the statement is a constant while it runs. */
static Node *
params_to_consts(Node *node, ParamListInfo params)
{
	Param *param = (Param *) node;
	ParamExternData workspace;
	ParamExternData *value;
	int16 typlen;
	bool typbyval;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Param) || param->paramkind != PARAM_EXTERN || params == NULL ||
		param->paramid <= 0 || param->paramid > params->numParams)
		return expression_tree_mutator(node, params_to_consts, params);
	value = params->paramFetch != NULL ? params->paramFetch(params, param->paramid, false, &workspace)
									   : &params->params[param->paramid - 1];
	if (value->ptype != param->paramtype)
		return copyObject(node);
	get_typlenbyval(param->paramtype, &typlen, &typbyval);
	return (Node *) makeConst(param->paramtype, param->paramtypmod, param->paramcollid, typlen,
							  value->isnull ? (Datum) 0 : datumCopy(value->value, typbyval, typlen),
							  value->isnull, typbyval);
}

static void
require_counting(Relation stream)
{
	if (!bs_registry_ready())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("cannot read stream \"%s\" here", RelationGetRelationName(stream)),
						errdetail("Nothing is received on a server in recovery, or without backstream in "
								  "shared_preload_libraries.")));
}

void
bs_tailscan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState *estate = node->ss.ps.state;
	Relation stream = node->ss.ss_currentRelation;
	List *conditions;
	TailScan *scan;
	ListCell *cell;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	require_counting(stream);
	scan = palloc0(sizeof(TailScan));
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "backstream tail", ALLOCSET_DEFAULT_SIZES);
	foreach (cell, (List *) linitial(plan->fdw_private))
		scan->wanted = bms_add_member(scan->wanted, lfirst_int(cell));
	conditions = (List *) params_to_consts(linitial(plan->fdw_exprs), estate->es_param_list_info);
	scan->conditions =
		bs_tail_pushable(RelationGetRelid(stream), conditions, plan->scan.scanrelid);
	scan->values = palloc(sizeof(BsValue) * (Size) (bms_num_members(scan->wanted) + 1));
	scan->nulls = palloc(sizeof(bool) * (Size) (bms_num_members(scan->wanted) + 1));
	scan->ends = palloc(sizeof(uint64) * bs_tail_nrings());
	scan->reads_no_table = bs_listening_reads_no_table(estate, NIL);
	node->fdw_state = scan;
}

/* pg_dump must not wait for records, and there is nothing of a stream to be dumped. */
static bool
is_dump(void)
{
	return application_name != NULL && strcmp(application_name, "pg_dump") == 0;
}

static void
start(TailScan *scan, ForeignScanState *node)
{
	scan->started = true;
	scan->ended = false;
	scan->deadline = 0;
	if (bs_setting_listen_for_msec > 0)
		scan->deadline =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) bs_setting_listen_for_msec);
	if (is_dump())
		scan->ended = true;
	else if (scan->tail == NULL)
		scan->tail = bs_tail_open(node->ss.ss_currentRelation, scan->wanted, scan->conditions,
								  scan->context);
	else
		bs_tail_skip(scan->tail);
}

void
bs_tailscan_again(ForeignScanState *node)
{
	((TailScan *) node->fdw_state)->started = false;
}

void
bs_tailscan_end(ForeignScanState *node)
{
	TailScan *scan = node->fdw_state;
	uint64 dropped;

	node->fdw_state = NULL;
	if (scan == NULL || scan->tail == NULL)
		return;
	dropped = bs_tail_dropped(scan->tail);
	bs_tail_close(scan->tail);
	if (dropped > 0)
		ereport(NOTICE, (errmsg_plural("%llu record of stream \"%s\" was not returned: it came faster than "
									   "it was taken",
									   "%llu records of stream \"%s\" were not returned: they came faster "
									   "than they were taken",
									   (unsigned long) dropped, (unsigned long long) dropped,
									   RelationGetRelationName(node->ss.ss_currentRelation)),
						 errhint("Raise backstream.tail_buffer, or ask for less: conditions and columns are "
								 "looked at before records come here.")));
}

/* ---------- records ---------- */

/* The record that has been read, as a row; values by reference are in the context of the tuple. */
static TupleTableSlot *
make_row(TailScan *scan, TupleTableSlot *slot)
{
	TupleDesc desc = slot->tts_tupleDescriptor;
	const BsRecordColumns *columns = &scan->tail->columns;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * (Size) desc->natts);
	for (uint32 i = 0; i < columns->ncolumns; i++)
	{
		uint32 column = columns->columns[i];

		if (scan->nulls[i])
			continue;
		slot->tts_values[column] = bs_value_to_datum(columns->types[i], &scan->values[i],
													 TupleDescAttr(desc, column)->atttypid);
		slot->tts_isnull[column] = false;
	}
	scan->records++;
	return ExecStoreVirtualTuple(slot);
}

/* Wait for records, or until the deadline. */
static void
wait_for_records(const TailScan *scan)
{
	long msec = WAIT_MSEC;

	if (scan->deadline != 0)
		msec = Min(msec, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), scan->deadline) + 1);
	bs_listening_pause(scan->reads_no_table);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, msec, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Has listening ended?  What has come by then is still returned. */
static bool
is_over(TailScan *scan)
{
	if (scan->ended)
		return true;
	if (scan->deadline == 0 || GetCurrentTimestamp() < scan->deadline)
		return false;
	bs_tail_positions(scan->tail, scan->ends);
	scan->ended = true;
	return true;
}

TupleTableSlot *
bs_tailscan_next(ForeignScanState *node)
{
	TailScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (!scan->started)
		start(scan, node);
	if (scan->tail == NULL)
		return ExecClearTuple(slot);
	if (++scan->since_clock >= CLOCK_EVERY)
	{
		scan->since_clock = 0;
		(void) is_over(scan);
	}
	for (;;)
	{
		if (bs_tail_next(scan->tail, scan->ended ? scan->ends : NULL, scan->values, scan->nulls))
			return make_row(scan, slot);
		if (scan->ended)
			return ExecClearTuple(slot);
		if (!is_over(scan))
			wait_for_records(scan);
	}
}

/* ---------- EXPLAIN ---------- */

static void
explain_conditions(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List *conditions = linitial(plan->fdw_exprs);
	List *pushed = bs_tail_pushable(RelationGetRelid(node->ss.ss_currentRelation), conditions,
									plan->scan.scanrelid);
	List *context;

	if (pushed == NIL)
		return;
	ChangeVarNodes((Node *) pushed, 1, (int) plan->scan.scanrelid, 0);
	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, NIL);
	ExplainPropertyText("Worker Filter",
						deparse_expression((Node *) make_ands_explicit(pushed), context,
										   list_length(es->rtable) > 1 || es->verbose, false),
						es);
}

void
bs_tailscan_explain(ForeignScanState *node, ExplainState *es)
{
	TailScan *scan = node->fdw_state;

	explain_conditions(node, es);
	if (!es->analyze || scan == NULL || scan->tail == NULL)
		return;
	ExplainPropertyUInteger("Records Received", NULL, scan->records, es);
	ExplainPropertyUInteger("Records Dropped", NULL, bs_tail_dropped(scan->tail), es);
}
