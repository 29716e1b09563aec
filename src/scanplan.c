/* SPDX-License-Identifier: PostgreSQL */
/* scanplan.c: planning the scan of a continuous view.  See scan.h. */
#include "backstream.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "combine.h"
#include "history.h"
#include "reader.h"
#include "scan.h"

/* Costs in the planner's unit (a page read in order), from times on an idle machine. */
#define COST_OPEN   25.0 /* compile the definition */
#define COST_WINDOW 2.0  /* find a window and make room for its groups */
#define COST_GROUP  0.04 /* copy a group and finish it */
/* Groups that a view is taken to have while it has counted nothing: it will not stay so. */
#define GROUPS_UNKNOWN 1000.0

/* What planning finds out about a view; RelOptInfo.fdw_private. */
typedef struct PlanInfo
{
	BsViewShape *shape;
	double nwindows;      /* that will be read */
	double groups;        /* in them */
	List *window_clauses; /* RestrictInfos that choose windows */
} PlanInfo;

/* ---------- conditions ---------- */

/* What a clause must wait for; BS_LEVEL_ALL: the executor checks it on the finished row. */
static BsReadLevel
clause_level(const BsViewShape *shape, RelOptInfo *rel, RestrictInfo *rinfo)
{
	Node *clause = (Node *) rinfo->clause;
	BsReadLevel level = BS_LEVEL_WINDOW;
	Bitmapset *attrs = NULL;
	int i = -1;

	if (rinfo->pseudoconstant || contain_volatile_functions(clause) || contain_subplans(clause) ||
		!restriction_is_securely_promotable(rinfo, rel))
		return BS_LEVEL_ALL;
	pull_varattnos(clause, rel->relid, &attrs);
	if (bms_is_empty(attrs))
		return BS_LEVEL_ALL;
	while ((i = bms_next_member(attrs, i)) >= 0)
	{
		int attno = i + FirstLowInvalidHeapAttributeNumber;

		/* A whole row or a system column. */
		if (attno <= 0 || attno > shape->natts)
			return BS_LEVEL_ALL;
		level = Max(level, shape->levels[attno - 1]);
	}
	bms_free(attrs);
	/* Without windows there is nothing to choose from. */
	return shape->windowed ? level : Max(level, BS_LEVEL_KEYS);
}

static Var *
window_var(const BsViewShape *shape, RelOptInfo *rel)
{
	return makeVar(rel->relid, shape->window_attno, TIMESTAMPTZOID, -1, InvalidOid, 0);
}

/* Is this what backstream.tail() leaves of itself? */
static bool
is_following(Node *clause)
{
	return IsA(clause, FuncExpr) && bs_is_our_function(((FuncExpr *) clause)->funcid, "following");
}

static bool
follows(RelOptInfo *rel)
{
	ListCell *cell;

	foreach (cell, rel->baserestrictinfo)
		if (is_following((Node *) lfirst_node(RestrictInfo, cell)->clause))
			return true;
	return false;
}

/* The operator family of timestamptz, with its cross-type operators. */
static Oid
time_family(void)
{
	return lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
}

/* ---------- sizes ---------- */

/* A comparison of the window with a value that is known while planning. */
typedef struct Comparison
{
	FmgrInfo function;
	Const *value;
	bool commuted; /* value op window */
} Comparison;

static bool
is_window_column(const BsViewShape *shape, RelOptInfo *rel, Node *node)
{
	return shape->window_attno != 0 && equal(node, window_var(shape, rel));
}

static bool
as_comparison(PlannerInfo *root, RelOptInfo *rel, const BsViewShape *shape, RestrictInfo *rinfo,
			  Comparison *comparison)
{
	Node *clause = estimate_expression_value(root, (Node *) rinfo->clause);
	OpExpr *op = (OpExpr *) clause;
	Node *left;
	Node *right;

	if (!IsA(clause, OpExpr) || list_length(op->args) != 2 ||
		!op_in_opfamily(op->opno, time_family()))
		return false;
	left = linitial(op->args);
	right = lsecond(op->args);
	comparison->commuted = IsA(left, Const);
	comparison->value = (Const *) (comparison->commuted ? left : right);
	if (!IsA(comparison->value, Const) ||
		!is_window_column(shape, rel, comparison->commuted ? right : left))
		return false;
	fmgr_info(get_opcode(op->opno), &comparison->function);
	return true;
}

static bool
comparison_holds(Comparison *comparison, int64 window)
{
	Datum value = comparison->value->constvalue;
	Datum start = TimestampTzGetDatum(window);

	if (comparison->value->constisnull)
		return false;
	return DatumGetBool(comparison->commuted ? FunctionCall2(&comparison->function, value, start)
											 : FunctionCall2(&comparison->function, start, value));
}

static bool
window_is_chosen(const BsWindowInfo *window, bool closed_only, Comparison *comparisons,
				 int ncomparisons)
{
	if (closed_only && !window->closed)
		return false;
	for (int i = 0; i < ncomparisons; i++)
		if (!comparison_holds(&comparisons[i], window->window))
			return false;
	return true;
}

/* Count the windows that will be read and the groups in them. */
static void
estimate_windows(PlanInfo *info, RelOptInfo *rel, Oid relid, Comparison *comparisons,
				 int ncomparisons)
{
	int nwindows;
	BsWindowInfo *windows = bs_view_windows(relid, info->shape->fingerprint, NULL, &nwindows);
	double groups = 0;

	for (int i = 0; i < nwindows; i++)
	{
		groups += (double) windows[i].groups;
		if (!window_is_chosen(&windows[i], info->shape->closed_only, comparisons, ncomparisons))
			continue;
		info->nwindows++;
		info->groups += (double) windows[i].groups;
	}
	rel->tuples = groups;
	if (groups == 0)
	{
		rel->tuples = GROUPS_UNKNOWN;
		info->groups = GROUPS_UNKNOWN / (ncomparisons + 1);
		info->nwindows = info->shape->windowed ? 10.0 / (ncomparisons + 1) : 1;
	}
}

void
bs_scan_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	PlanInfo *info = palloc0(sizeof(PlanInfo));
	Comparison *comparisons = palloc(list_length(rel->baserestrictinfo) * sizeof(Comparison));
	int ncomparisons = 0;
	List *others = NIL;
	ListCell *cell;

	info->shape = bs_view_shape(relid);
	foreach (cell, rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);

		if (clause_level(info->shape, rel, rinfo) == BS_LEVEL_WINDOW &&
			as_comparison(root, rel, info->shape, rinfo, &comparisons[ncomparisons]))
			ncomparisons++;
		else
			others = lappend(others, rinfo);
	}
	estimate_windows(info, rel, relid, comparisons, ncomparisons);
	rel->fdw_private = info;
	rel->rows =
		clamp_row_est(info->groups * clauselist_selectivity(root, others, 0, JOIN_INNER, NULL));
}

/* ---------- paths ---------- */

static void
add_scan(PlannerInfo *root, RelOptInfo *rel, ParamPathInfo *param, Relids required_outer,
		 List *pathkeys, bool backward)
{
	PlanInfo *info = rel->fdw_private;
	double rows = param ? param->ppi_rows : rel->rows;
	double share = Min(1.0, rows / rel->rows);
	Cost startup = COST_OPEN + rel->baserestrictcost.startup + rel->reltarget->cost.startup;
	Cost run = share * (info->nwindows * COST_WINDOW + info->groups * COST_GROUP) +
			   share * info->groups * rel->baserestrictcost.per_tuple +
			   rows * (cpu_tuple_cost + rel->reltarget->cost.per_tuple);

	add_path(rel, (Path *) create_foreignscan_path(root, rel, NULL, rows, startup, startup + run,
												   pathkeys, required_outer, NULL,
												   list_make1(makeBoolean(backward))));
}

/*
 * The order that the query wants first, if it is by the window, up or down.  Where NULLs go does
 * not matter: there are none.
 */
static PathKey *
wanted_order(PlannerInfo *root, RelOptInfo *rel, const BsViewShape *shape)
{
	PathKey *key;
	ListCell *cell;

	if (root->query_pathkeys == NIL)
		return NULL;
	key = linitial_node(PathKey, root->query_pathkeys);
	if (key->pk_opfamily != time_family() || key->pk_eclass->ec_has_volatile)
		return NULL;
	foreach (cell, key->pk_eclass->ec_members)
	{
		EquivalenceMember *member = lfirst_node(EquivalenceMember, cell);

		if (!member->em_is_child && is_window_column(shape, rel, (Node *) member->em_expr))
			return key;
	}
	return NULL;
}

/* The order from the oldest window on, if anything above could use it. */
static List *
natural_order(PlannerInfo *root, RelOptInfo *rel, const BsViewShape *shape)
{
	Oid less =
		get_opfamily_member(time_family(), TIMESTAMPTZOID, TIMESTAMPTZOID, BTLessStrategyNumber);

	return build_expression_pathkey(root, (Expr *) window_var(shape, rel), NULL, less, rel->relids,
									false);
}

static bool
matches_window(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec, EquivalenceMember *em,
			   void *arg)
{
	return is_window_column(((PlanInfo *) rel->fdw_private)->shape, rel, (Node *) em->em_expr);
}

/* Scans that read, for each row of another relation, only the windows that it joins with. */
static void
add_parameterised(PlannerInfo *root, RelOptInfo *rel)
{
	PlanInfo *info = rel->fdw_private;
	List *clauses = NIL;
	List *done = NIL;
	ListCell *cell;

	foreach (cell, rel->joininfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);

		if (join_clause_is_movable_to(rinfo, rel) &&
			clause_level(info->shape, rel, rinfo) == BS_LEVEL_WINDOW)
			clauses = lappend(clauses, rinfo);
	}
	if (rel->has_eclass_joins && info->shape->window_attno != 0)
		clauses =
			list_concat(clauses, generate_implied_equalities_for_column(
									 root, rel, matches_window, NULL, rel->lateral_referencers));
	foreach (cell, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		Relids outer = bms_union(rinfo->clause_relids, rel->lateral_relids);
		ParamPathInfo *param;

		outer = bms_del_member(outer, rel->relid);
		if (bms_is_empty(outer) || !join_clause_is_movable_to(rinfo, rel))
			continue;
		param = get_baserel_parampathinfo(root, rel, outer);
		if (list_member_ptr(done, param))
			continue;
		done = lappend(done, param);
		add_scan(root, rel, param, outer, NIL, false);
	}
}

void
bs_scan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	PlanInfo *info = rel->fdw_private;
	List *natural = NIL;
	PathKey *wanted = NULL;

	if (info->shape->window_attno != 0)
	{
		natural = natural_order(root, rel, info->shape);
		wanted = wanted_order(root, rel, info->shape);
	}
	add_scan(root, rel, NULL, rel->lateral_relids, natural, false);
	/* Windows close in one order, and for one scan. */
	if (follows(rel))
		return;
	if (wanted != NULL && !list_member_ptr(natural, wanted))
		add_scan(root, rel, NULL, rel->lateral_relids, list_make1(wanted),
				 wanted->pk_strategy == BTGreaterStrategyNumber);
	add_parameterised(root, rel);
}

/* ---------- the plan ---------- */

/* The states that the scan supplies (combine.h): list of FuncExpr. */
static List *
needed_states(RelOptInfo *rel)
{
	List *states = NIL;
	ListCell *cell;

	foreach (cell, rel->reltarget->exprs)
	{
		FuncExpr *state_of = bs_combine_state_of(lfirst(cell));

		if (state_of != NULL)
			states = list_append_unique(states, state_of);
	}
	return states;
}

/*
 * What the scan returns when it is more than the view's columns: those, and states.  The planner finds
 * in it what the query asks for.
 */
static List *
scan_columns(PlannerInfo *root, RelOptInfo *rel, const BsViewShape *shape, List *states)
{
	RangeTblEntry *entry = planner_rt_fetch(rel->relid, root);
	List *columns = NIL;
	ListCell *cell;

	for (int attno = 1; states != NIL && attno <= shape->natts; attno++)
	{
		Oid type;
		int32 typmod;
		Oid collation;
		Var *var;

		get_atttypetypmodcoll(entry->relid, (AttrNumber) attno, &type, &typmod, &collation);
		var = makeVar(rel->relid, (AttrNumber) attno, type, typmod, collation, 0);
		columns = lappend(columns, makeTargetEntry((Expr *) var, (AttrNumber) attno, NULL, false));
	}
	foreach (cell, states)
		columns =
			lappend(columns, makeTargetEntry(copyObject(lfirst(cell)),
											 (AttrNumber) list_length(columns) + 1, NULL, false));
	return columns;
}

static List *
state_columns(List *states)
{
	List *columns = NIL;
	ListCell *cell;

	foreach (cell, states)
		columns = lappend_int(columns, bs_combine_column(lfirst_node(FuncExpr, cell)));
	return columns;
}

/* Attribute numbers of the columns that anybody looks at; *all for a whole row. */
static List *
needed_columns(RelOptInfo *rel, List *clauses, bool *all)
{
	Bitmapset *attrs = NULL;
	List *needed = NIL;
	ListCell *cell;
	int i = -1;

	foreach (cell, rel->reltarget->exprs)
		if (bs_combine_state_of(lfirst(cell)) == NULL)
			pull_varattnos(lfirst(cell), rel->relid, &attrs);
	pull_varattnos((Node *) clauses, rel->relid, &attrs);
	*all = bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber, attrs);
	while (!*all && (i = bms_next_member(attrs, i)) >= 0)
	{
		int attno = i + FirstLowInvalidHeapAttributeNumber;

		if (attno > 0)
			needed = lappend_int(needed, attno);
	}
	return needed;
}

/* What PostgreSQL makes of the rows of a scan that returns the view's columns and nothing else. */
static void
refuse_beside_states(RelOptInfo *rel, PlannerInfo *root)
{
	for (int attno = rel->min_attr; attno <= 0; attno++)
		if (!bms_is_empty(rel->attr_needed[attno - rel->min_attr]))
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("combine() cannot stand beside the whole row or a system column of \"%s\"",
						get_rel_name(planner_rt_fetch(rel->relid, root)->relid)),
				 errhint("Name the columns that are wanted.")));
}

ForeignScan *
bs_scan_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *best, List *tlist,
			 List *scan_clauses, Plan *outer_plan)
{
	PlanInfo *info = rel->fdw_private;
	List *by_level[BS_NLEVELS] = {NIL, NIL, NIL};
	List *follow = NIL;
	List *states = needed_states(rel);
	bool all;
	List *needed;
	List *private;
	ListCell *cell;

	foreach (cell, scan_clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		List **list = &by_level[clause_level(info->shape, rel, rinfo)];

		if (is_following((Node *) rinfo->clause))
			follow = list_make1(lsecond(((FuncExpr *) rinfo->clause)->args));
		/* Pseudoconstant ones are checked once, above the scan. */
		else if (!rinfo->pseudoconstant)
			*list = lappend(*list, rinfo->clause);
	}
	root->glob->relationOids = list_concat(root->glob->relationOids, info->shape->relations);
	root->glob->invalItems = list_concat(root->glob->invalItems, info->shape->invalidators);
	needed = needed_columns(rel, extract_actual_clauses(scan_clauses, false), &all);
	if (states != NIL)
		refuse_beside_states(rel, root);
	private =
		list_make5(makeString(psprintf(UINT64_FORMAT, info->shape->definition)),
				   linitial(best->fdw_private), needed, makeBoolean(all), state_columns(states));
	return make_foreignscan(tlist, by_level[BS_LEVEL_ALL], rel->relid,
							list_make3(by_level[BS_LEVEL_WINDOW], by_level[BS_LEVEL_KEYS], follow), private,
							scan_columns(root, rel, info->shape, states),
							list_concat_copy(by_level[BS_LEVEL_WINDOW], by_level[BS_LEVEL_KEYS]),
							outer_plan);
}
