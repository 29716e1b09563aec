/* SPDX-License-Identifier: PostgreSQL */
/* tailplan.c: planning SELECT ... FROM a stream, and what EXPLAIN shows of the plan.  See tailscan.h. */
#include "backstream.h"

#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "rewrite/rewriteManip.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "node.h"
#include "nodeship.h"
#include "nodetail.h"
#include "tails.h"
#include "tailscan.h"

/* Records that a scan is taken to return: many, so that a join listens once. */
#define ROWS_ESTIMATED 1000000.0

void
bs_tailscan_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
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

/* ---------- EXPLAIN ---------- */

/* Those that are looked at before records come here: by writers, or by nodes. */
static void
explain_conditions(ForeignScanState *node, bool remote, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List *conditions = linitial(plan->fdw_exprs);
	List *pushed = remote ? bs_ship_choose(conditions, plan->scan.scanrelid)
						  : bs_tail_pushable(RelationGetRelid(node->ss.ss_currentRelation), conditions,
											 plan->scan.scanrelid);
	List *context;

	if (pushed == NIL)
		return;
	if (!remote)
		ChangeVarNodes((Node *) pushed, 1, (int) plan->scan.scanrelid, 0);
	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, NIL);
	ExplainPropertyText(remote ? "Node Filter" : "Worker Filter",
						deparse_expression((Node *) make_ands_explicit(pushed), context,
										   list_length(es->rtable) > 1 || es->verbose, false),
						es);
}

static void
explain_remote(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Bitmapset *wanted = NULL;
	ListCell *cell;

	foreach (cell, (List *) linitial(plan->fdw_private))
		wanted = bms_add_member(wanted, lfirst_int(cell));
	ExplainPropertyText("Remote SQL",
						bs_node_tail_sql(node->ss.ss_currentRelation, wanted,
										 bs_ship_choose(linitial(plan->fdw_exprs), plan->scan.scanrelid)),
						es);
}

void
bs_tailscan_explain_plan(ForeignScanState *node, ExplainState *es)
{
	bool remote = bs_relation_is_remote(RelationGetRelid(node->ss.ss_currentRelation));

	explain_conditions(node, remote, es);
	if (remote && es->verbose)
		explain_remote(node, es);
}
