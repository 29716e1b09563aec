/* SPDX-License-Identifier: PostgreSQL */
/* spreadform.c: spread() in FROM, and portion().  See spreadform.h. */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "backstream.h"
#include "engine/spread.h"
#include "native.h"
#include "options.h"
#include "query.h"
#include "spreadform.h"
#include "windowform.h"
#include "windowfuncs.h"

/* ---------- FROM ---------- */

static FuncExpr *
spread_call(const Query *query, int rtindex)
{
	RangeTblEntry *entry = rt_fetch(rtindex, query->rtable);
	Node *call;

	if (entry->rtekind != RTE_FUNCTION || list_length(entry->functions) != 1 || entry->funcordinality)
		return NULL;
	call = linitial_node(RangeTblFunction, entry->functions)->funcexpr;
	return bs_is_own_function(call, "spread") ? (FuncExpr *) call : NULL;
}

/* An inner join on nothing, or on what is always true. */
static bool
is_plain_join(const JoinExpr *join)
{
	Node *quals = join->quals;

	return join->jointype == JOIN_INNER && IsA(join->larg, RangeTblRef) && IsA(join->rarg, RangeTblRef) &&
		   (quals == NULL || (IsA(quals, Const) && !((Const *) quals)->constisnull &&
							  DatumGetBool(((Const *) quals)->constvalue)));
}

BsFrom
bs_query_from(const Query *query)
{
	List *items = query->jointree != NULL ? query->jointree->fromlist : NIL;
	Node *first = items != NIL ? linitial(items) : NULL;
	Node *second = list_length(items) == 2 ? lsecond(items) : NULL;
	BsFrom from = {0};

	if (list_length(items) == 1 && IsA(first, JoinExpr) && is_plain_join((JoinExpr *) first))
	{
		second = ((JoinExpr *) first)->rarg;
		first = ((JoinExpr *) first)->larg;
	}
	if (first == NULL || !IsA(first, RangeTblRef) || (second == NULL && list_length(items) != 1))
		return from;
	if (second != NULL)
	{
		if (!IsA(second, RangeTblRef) || spread_call(query, ((RangeTblRef *) second)->rtindex) == NULL)
			return from;
		from.spread = ((RangeTblRef *) second)->rtindex;
	}
	from.stream = ((RangeTblRef *) first)->rtindex;
	return from;
}

bool
bs_is_raw_spread(const Node *item)
{
	const RangeFunction *function = (const RangeFunction *) item;
	List *calls;
	FuncCall *call;

	if (!IsA(item, RangeFunction) || function->ordinality || function->is_rowsfrom)
		return false;
	calls = linitial(function->functions);
	if (!IsA(linitial(calls), FuncCall))
		return false;
	call = linitial(calls);
	return strcmp(strVal(llast(call->funcname)), "spread") == 0;
}

/* ---------- what it may be ---------- */

static void
refuse(const Node *node, const char *message, const char *hint, const BsPlace *place)
{
	int location = node != NULL ? exprLocation(node) : -1;

	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", message), errhint("%s", hint),
					bs_error_position(place->source, location >= 0 ? location : place->statement)));
}

void
bs_refuse_spread_window(const BsPlace *place)
{
	refuse(NULL, "a continuous view with spread() must be grouped by its windows",
		   "Write SELECT s.time, ... GROUP BY s.time, with s for spread() in FROM.", place);
}

static AttrNumber
time_argument(const BsFrom *from, Node *argument, const BsPlace *place)
{
	if (!IsA(argument, Var) || ((Var *) argument)->varno != from->stream ||
		((Var *) argument)->varattno <= 0)
		refuse(argument, "the times of spread() must be columns of the stream",
			   "Write spread(f.time_flow_start, f.time_flow_end, '10 s').", place);
	return ((Var *) argument)->varattno;
}

BsSpreadForm
bs_spread_form(Query *query, const BsFrom *from, const BsPlace *place)
{
	FuncExpr *call = spread_call(query, from->spread);
	Expr *width = bs_native_simplify(lthird(call->args));
	BsSpreadForm form;
	int64 usec;

	form.start = time_argument(from, linitial(call->args), place);
	form.end = time_argument(from, lsecond(call->args), place);
	if (!IsA(width, Const) || ((Const *) width)->constisnull ||
		!bs_window_width(DatumGetIntervalP(((Const *) width)->constvalue), &usec))
		refuse((Node *) call, "the width of spread() must be a constant of fixed length, more than zero",
			   "Write it as an interval of days, hours, minutes or seconds, such as '10 s'.", place);
	form.windowing = bs_windowing_tumble(usec, BS_WINDOW_ORIGIN);
	bs_window_check_range((Node *) call, &form.windowing, place);
	return form;
}

typedef struct Use
{
	const BsFrom *from;
	const BsPlace *place;
} Use;

/* A slice as a whole is for portion() alone. */
static bool
use_walker(Node *node, Use *use)
{
	if (node == NULL)
		return false;
	if (bs_is_own_function(node, "portion") && list_length(((FuncExpr *) node)->args) == 2)
	{
		Node *slice = lsecond(((FuncExpr *) node)->args);

		if (!IsA(slice, Var) || ((Var *) slice)->varno != use->from->spread)
			refuse(slice, "the second argument of portion() must be what spread() returns",
				   "Write portion(f.bytes, s), with s for spread() in FROM.", use->place);
		return use_walker(linitial(((FuncExpr *) node)->args), use);
	}
	if (IsA(node, Var) && ((Var *) node)->varno == use->from->spread && ((Var *) node)->varattno <= 0)
		refuse(node, "a row of spread() is for portion() alone",
			   "Name one of its columns, such as s.time, or write portion(f.bytes, s).", use->place);
	return expression_tree_walker(node, use_walker, use);
}

void
bs_spread_check(Query *query, const BsFrom *from, const BsPlace *place)
{
	Use use = {from, place};

	if (from->spread == 0)
		return;
	(void) use_walker((Node *) query->targetList, &use);
	(void) use_walker(query->jointree->quals, &use);
	(void) use_walker(query->havingQual, &use);
	if (bs_relation_is_view(rt_fetch(from->stream, query->rtable)->relid))
		refuse(NULL, "spread() cannot be used over a continuous view",
			   "Its rows come when a window closes: spread the records of the stream itself.", place);
	(void) bs_spread_form(query, from, place);
}

/* ---------- rewriting ---------- */

typedef struct Rewrite
{
	const BsFrom *from;
	int natts;
	Oid portion;
} Rewrite;

static Var *
slice_var(const Rewrite *rewrite, int column, Oid type)
{
	return makeVar(rewrite->from->stream, (AttrNumber) (rewrite->natts + column), type, -1, InvalidOid, 0);
}

static Node *
rewrite_mutator(Node *node, Rewrite *rewrite)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == rewrite->from->spread)
		return (Node *) slice_var(rewrite, ((Var *) node)->varattno, ((Var *) node)->vartype);
	if (bs_is_own_function(node, "portion") && list_length(((FuncExpr *) node)->args) == 2)
	{
		FuncExpr *call = copyObject((FuncExpr *) node);

		call->funcid = rewrite->portion;
		call->args = list_make4(rewrite_mutator(linitial(call->args), rewrite),
								slice_var(rewrite, 2, INT8OID), slice_var(rewrite, 3, INT8OID),
								slice_var(rewrite, 4, INT8OID));
		return (Node *) call;
	}
	return expression_tree_mutator(node, rewrite_mutator, rewrite);
}

void
bs_spread_rewrite(Query *query, const BsFrom *from, int natts)
{
	Oid types[] = {INT8OID, INT8OID, INT8OID, INT8OID};
	Rewrite rewrite = {.from = from, .natts = natts};

	rewrite.portion =
		LookupFuncName(list_make2(makeString(BS_EXTENSION), makeString("portion")), 4, types, false);
	query->targetList = (List *) rewrite_mutator((Node *) query->targetList, &rewrite);
	query->jointree->quals = rewrite_mutator(query->jointree->quals, &rewrite);
	query->havingQual = rewrite_mutator(query->havingQual, &rewrite);
}

TupleDesc
bs_spread_desc(TupleDesc desc)
{
	TupleDesc both = CreateTemplateTupleDesc(desc->natts + BS_SLICE_COLUMNS);

	for (int i = 1; i <= desc->natts; i++)
		TupleDescCopyEntry(both, (AttrNumber) i, desc, (AttrNumber) i);
	for (int i = 1; i <= BS_SLICE_COLUMNS; i++)
		TupleDescInitEntry(both, (AttrNumber) (desc->natts + i), NULL,
						   i == 1 ? TIMESTAMPTZOID : INT8OID, -1, 0);
	return both;
}

Expr *
bs_portion_argument(const FuncExpr *function, AttrNumber slice_attno)
{
	int column = 1;
	ListCell *cell;

	if (list_length(function->args) != 4 || !bs_is_own_function((Node *) function, "portion"))
		return NULL;
	for_each_from(cell, function->args, 1)
	{
		Var *var = lfirst(cell);

		if (!IsA(var, Var) || var->varattno != slice_attno + column++)
			return NULL;
	}
	return linitial(function->args);
}
