/* SPDX-License-Identifier: PostgreSQL */
/* combineplan.c: combine(column) in the planner's hands.  See combine.h. */
#include "backstream.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/placeholder.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "columnstate.h"
#include "combine.h"
#include "scan.h"
#include "viewshape.h"

static get_relation_info_hook_type previous_relation_info;
static create_upper_paths_hook_type previous_upper_paths;

/* ---------- names ---------- */

static Oid
function_named(const char *name, int nargs, const Oid *types)
{
	return LookupFuncName(
		list_make2(makeString(BS_EXTENSION), makeString(unconstify(char *, name))), nargs, types,
		true);
}

/* OIDs of what the rewriting writes. */
typedef struct Names
{
	Oid combine; /* 0: the extension is not there */
	Oid combine_states;
	Oid state_of;
	Oid state_type;
} Names;

static Oid
combine_oid(void)
{
	return function_named("combine", 1, (Oid[]){ANYELEMENTOID});
}

static Names
look_up_names(void)
{
	Names names = {.combine = combine_oid()};
	Oid types[BS_NCOMBINE_ARGUMENTS] = {InvalidOid, REGCLASSOID, INT2OID, INT8OID, ANYELEMENTOID};

	names.state_of = function_named("state_of", 1, (Oid[]){ANYELEMENTOID});
	names.state_type = get_func_rettype(names.state_of);
	types[BS_COMBINE_STATE] = names.state_type;
	names.combine_states = function_named("combine_states", BS_NCOMBINE_ARGUMENTS, types);
	return names;
}

bool
bs_combine_is_call(const Aggref *aggref)
{
	return aggref->aggfnoid >= FirstNormalObjectId && aggref->aggfnoid == combine_oid();
}

FuncExpr *
bs_combine_state_of(Node *expr)
{
	Node *inner = IsA(expr, PlaceHolderVar) ? (Node *) ((PlaceHolderVar *) expr)->phexpr : expr;
	FuncExpr *call = (FuncExpr *) inner;

	if (!IsA(inner, FuncExpr) ||
		call->funcid != function_named("state_of", 1, (Oid[]){ANYELEMENTOID}))
		return NULL;
	return call;
}

AttrNumber
bs_combine_column(const FuncExpr *state_of)
{
	return linitial_node(Var, state_of->args)->varattno;
}

/* ---------- refusals ---------- */

static void
pg_attribute_noreturn() refuse(const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("combine() merges the states of a column of a continuous view"),
					errdetail_internal("%s", detail), errhint("%s", hint)));
}

static const char *const column_hint = "Combine a column that is an aggregate itself, and compute "
									   "with what comes of it; a view that has "
									   "each aggregate in a column of its own can be combined.";

/* The query above says what of a column is wrong; all that it needs is in a context that goes. */
static void
check_column(Oid relid, AttrNumber attno, uint64 *fingerprint)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(outer, "backstream combined view", ALLOCSET_DEFAULT_SIZES);
	BsViewProgram *view;
	BsViewDef *def;
	const char *why;

	MemoryContextSwitchTo(context);
	view = bs_view_compile(relid, 1, &def);
	why = bs_columnstate_refusal(view, attno);
	if (why != NULL)
		refuse(why, column_hint);
	*fingerprint = view->program.fingerprint;
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
}

/* Why this call could not be rewritten. */
static void
pg_attribute_noreturn() refuse_call(PlannerInfo *root, const Aggref *aggref)
{
	Var *var = (Var *) linitial_node(TargetEntry, aggref->args)->expr;
	static const char *const hint =
		"Write combine(v.column) in a SELECT FROM v, where v is a continuous view.";

	if (IsA(var, Var) && var->varlevelsup == 0 && !IS_SPECIAL_VARNO(var->varno))
	{
		RangeTblEntry *entry = rt_fetch(var->varno, root->parse->rtable);

		if (entry->rtekind == RTE_RELATION)
			refuse(psprintf("\"%s\" is not a continuous view.", get_rel_name(entry->relid)), hint);
		if (entry->rtekind == RTE_SUBQUERY || entry->rtekind == RTE_CTE)
			refuse(
				psprintf(
					"The rows of \"%s\" are computed before they are combined, and hold values.",
					entry->eref->aliasname),
				"Combine in the sub-select that reads the continuous view, or leave out of it what "
				"computes rows (DISTINCT, GROUP BY, LIMIT, MATERIALIZED, ...).");
		refuse(psprintf("\"%s\" is not a continuous view.", entry->eref->aliasname), hint);
	}
	refuse("Its argument is not a column.", column_hint);
}

/* ---------- what is to be rewritten ---------- */

typedef struct Search
{
	Oid combine;
	List *found; /* of Aggref * */
} Search;

static bool
search_walker(Node *node, Search *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref) && ((Aggref *) node)->aggfnoid == search->combine &&
		((Aggref *) node)->agglevelsup == 0)
		search->found = lappend(search->found, node);
	return expression_tree_walker(node, search_walker, search);
}

/* The calls of combine() in a query: in its target list and HAVING, where aggregates can stand. */
static List *
calls_of(PlannerInfo *root, Oid combine)
{
	Search search = {.combine = combine};

	(void) search_walker((Node *) root->processed_tlist, &search);
	(void) search_walker(root->parse->havingQual, &search);
	return search.found;
}

/* ---------- rewriting ---------- */

/* One view in one query. */
typedef struct Rewriting
{
	PlannerInfo *root;
	Oid relid;
	Index varno;
	Names names;
	uint64 fingerprint;
	List *columns;      /* list of int: attribute numbers ... */
	List *placeholders; /* ... and what stands for their states */
} Rewriting;

/* The same column has the same placeholder wherever it is combined. */
static Expr *
state_of(Rewriting *rewriting, Var *var)
{
	ListCell *column;
	ListCell *placeholder;
	FuncExpr *call;
	Expr *result;

	forboth(
		column, rewriting->columns, placeholder,
		rewriting->placeholders) if (lfirst_int(column) ==
									 var->varattno) return copyObject((Expr *) lfirst(placeholder));
	check_column(rewriting->relid, var->varattno, &rewriting->fingerprint);
	call = makeFuncExpr(rewriting->names.state_of, rewriting->names.state_type,
						list_make1(copyObject(var)), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	result = (Expr *) make_placeholder_expr(rewriting->root, (Expr *) call,
											bms_make_singleton((int) rewriting->varno));
	rewriting->columns = lappend_int(rewriting->columns, var->varattno);
	rewriting->placeholders = lappend(rewriting->placeholders, result);
	return copyObject(result);
}

static Expr *
constant(Oid type, int len, Datum value)
{
	return (Expr *) makeConst(type, -1, InvalidOid, len, value, false, true);
}

static List *
arguments(Rewriting *rewriting, Var *var)
{
	Expr *args[BS_NCOMBINE_ARGUMENTS] = {
		[BS_COMBINE_STATE] = state_of(rewriting, var),
		[BS_COMBINE_VIEW] = constant(REGCLASSOID, sizeof(Oid), ObjectIdGetDatum(rewriting->relid)),
		[BS_COMBINE_COLUMN] = constant(INT2OID, sizeof(int16), Int16GetDatum(var->varattno)),
		[BS_COMBINE_FINGERPRINT] =
			constant(INT8OID, sizeof(int64), Int64GetDatum((int64) rewriting->fingerprint)),
		[BS_COMBINE_VALUE] = (Expr *) makeNullConst(var->vartype, var->vartypmod, var->varcollid),
	};
	List *list = NIL;

	for (int i = 0; i < BS_NCOMBINE_ARGUMENTS; i++)
		list = lappend(list, makeTargetEntry(args[i], (AttrNumber) (i + 1), NULL, false));
	return list;
}

/* The planner has noted the arguments of each different aggregate by now (preprocess_aggrefs()). */
static void
update_note(PlannerInfo *root, const Aggref *aggref)
{
	AggTransInfo *note = list_nth(root->aggtransinfos, aggref->aggtransno);

	Assert(note->aggtranstype == INTERNALOID);
	note->args = aggref->args;
}

static void
rewrite(Rewriting *rewriting, Aggref *aggref)
{
	Var *var = (Var *) linitial_node(TargetEntry, aggref->args)->expr;
	Oid types[BS_NCOMBINE_ARGUMENTS] = {rewriting->names.state_type, REGCLASSOID, INT2OID, INT8OID,
										exprType((Node *) var)};

	if (aggref->aggdistinct != NIL || aggref->aggorder != NIL)
		refuse("States are merged: none is left out, and their order does not matter.",
			   "Leave out DISTINCT and ORDER BY within combine().");
	if (var->varattno <= 0)
		refuse("A row or a system column is not an aggregate.", column_hint);
	if (!bs_relation_is_view(rewriting->relid))
		refuse(psprintf("\"%s\" is a stream.", get_rel_name(rewriting->relid)),
			   "Create a continuous view over it.");
	aggref->args = arguments(rewriting, var);
	aggref->aggfnoid = rewriting->names.combine_states;
	list_free(aggref->aggargtypes);
	aggref->aggargtypes = NIL;
	for (int i = 0; i < BS_NCOMBINE_ARGUMENTS; i++)
		aggref->aggargtypes = lappend_oid(aggref->aggargtypes, types[i]);
	update_note(rewriting->root, aggref);
}

static bool
is_ours(const RelOptInfo *rel, Oid relid)
{
	return rel->reloptkind == RELOPT_BASEREL && rel->fdwroutine != NULL &&
		   (bs_relation_is_view(relid) || bs_relation_is_stream(relid));
}

static void
relation_info(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	Rewriting rewriting = {.root = root, .relid = relid, .varno = rel->relid};
	ListCell *cell;

	if (previous_relation_info)
		previous_relation_info(root, relid, inhparent, rel);
	if (!root->parse->hasAggs || !is_ours(rel, relid))
		return;
	rewriting.names = look_up_names();
	foreach (cell, calls_of(root, rewriting.names.combine))
	{
		Aggref *aggref = lfirst_node(Aggref, cell);
		Var *var = (Var *) linitial_node(TargetEntry, aggref->args)->expr;

		if (IsA(var, Var) && var->varno == (int) rel->relid && var->varlevelsup == 0)
			rewrite(&rewriting, aggref);
	}
}

/* Calls that are left have nothing to merge. */
static void
upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input_rel,
			RelOptInfo *output_rel, void *extra)
{
	ListCell *cell;

	if (previous_upper_paths)
		previous_upper_paths(root, stage, input_rel, output_rel, extra);
	if (stage != UPPERREL_GROUP_AGG)
		return;
	foreach (cell, root->agginfos)
	{
		const Aggref *aggref = ((AggInfo *) lfirst(cell))->representative_aggref;

		if (bs_combine_is_call(aggref))
			refuse_call(root, aggref);
	}
}

void
bs_combine_init(void)
{
	previous_relation_info = get_relation_info_hook;
	get_relation_info_hook = relation_info;
	previous_upper_paths = create_upper_paths_hook;
	create_upper_paths_hook = upper_paths;
}
