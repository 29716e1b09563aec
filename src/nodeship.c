/* SPDX-License-Identifier: PostgreSQL */
/* nodeship.c: conditions that other servers evaluate in our place.  See nodeship.h. */
#include "backstream.h"

#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "nodedefine.h"
#include "nodeship.h"
#include "pinned.h"

/* ---------- what may be sent ---------- */

/*
 * Functions to which a collation makes no difference as long as it is deterministic: those that compare bytes, and
 * those that give texts.
 */
static const Oid collation_free[] = {
	F_TEXTEQ, F_TEXTNE, F_BPCHAREQ, F_BPCHARNE, F_NAMEEQ, F_NAMENE, F_NAMEEQTEXT, F_NAMENETEXT, F_TEXTEQNAME, F_TEXTNENAME,
	F_TEXTLIKE, F_TEXTNLIKE, F_LIKE_TEXT_TEXT, F_NOTLIKE_TEXT_TEXT, F_BPCHARLIKE, F_BPCHARNLIKE,
	F_STARTS_WITH, F_TEXTCAT, F_LENGTH_TEXT, F_CHAR_LENGTH_TEXT, F_CHARACTER_LENGTH_TEXT, F_OCTET_LENGTH_TEXT,
	F_TEXT_BPCHAR, F_LEFT, F_RIGHT, F_SUBSTR_TEXT_INT4, F_SUBSTR_TEXT_INT4_INT4, F_SUBSTRING_TEXT_INT4,
	F_SUBSTRING_TEXT_INT4_INT4,
};

static bool
is_collation_free(Oid function)
{
	for (size_t i = 0; i < lengthof(collation_free); i++)
		if (collation_free[i] == function)
			return true;
	return false;
}

bool
bs_ship_type_is_portable(Oid type)
{
	Oid element = get_element_type(type);

	if (OidIsValid(element) && !bs_ship_type_is_portable(element))
		return false;
	return !bs_type_holds_oids(type) && type < FirstGenbkiObjectId && get_typtype(type) != TYPTYPE_COMPOSITE;
}

/* The kinds of nodes of which the text says everything. */
static bool
is_plain(Node *node)
{
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_Param:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_BoolExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_RelabelType:
		case T_ArrayExpr:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_SubscriptingRef:
		case T_List:
			return true;
		default:
			return false;
	}
}

/* On one of which the other server may have another idea. */
static bool
depends_on_collation(Node *node)
{
	Oid collation = exprInputCollation(node);
	Oid function = InvalidOid;

	if (!OidIsValid(collation))
		return false;
	if (IsA(node, FuncExpr))
		function = ((FuncExpr *) node)->funcid;
	else if (IsA(node, OpExpr) || IsA(node, DistinctExpr) || IsA(node, NullIfExpr))
		function = get_opcode(((OpExpr *) node)->opno);
	else if (IsA(node, ScalarArrayOpExpr))
		function = get_opcode(((ScalarArrayOpExpr *) node)->opno);
	return !is_collation_free(function) || !get_collation_isdeterministic(collation);
}

static bool
is_not_built_in(Oid function, void *context)
{
	return function >= FirstGenbkiObjectId;
}

static bool
is_unfit(Node *node, Index *varno)
{
	Var *var = (Var *) node;

	if (node == NULL)
		return false;
	if (!is_plain(node) || check_functions_in_node(node, is_not_built_in, NULL))
		return true;
	if (IsA(node, Var) &&
		((Index) var->varno != *varno || var->varattno <= 0 || var->varlevelsup > 0))
		return true;
	/* Those two have no value. */
	if (!IsA(node, List) && !IsA(node, CaseWhen) &&
		(!bs_ship_type_is_portable(exprType(node)) || depends_on_collation(node)))
		return true;
	return expression_tree_walker(node, is_unfit, varno);
}

List *
bs_ship_choose(List *conditions, Index varno)
{
	List *chosen = NIL;
	ListCell *cell;

	foreach (cell, conditions)
		if (!contain_mutable_functions(lfirst(cell)) && !is_unfit(lfirst(cell), &varno))
			chosen = lappend(chosen, lfirst(cell));
	return chosen;
}

/* ---------- parameters ---------- */

bool
bs_ship_has_params(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, Param) || expression_tree_walker(node, bs_ship_has_params, context);
}

/* A generic plan is explained without values. */
static bool
has_value(const Param *param, const PlanState *planstate)
{
	ParamListInfo params = planstate->state->es_param_list_info;

	return param->paramkind == PARAM_EXEC ||
		   (param->paramkind == PARAM_EXTERN && params != NULL && param->paramid <= params->numParams);
}

static Node *
bind_params(Node *node, PlanState *planstate)
{
	Param *param = (Param *) node;
	ExprState *state;
	int16 typlen;
	bool typbyval;
	bool isnull;
	Datum value;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Param) || !has_value(param, planstate))
		return expression_tree_mutator(node, bind_params, planstate);
	state = ExecInitExpr((Expr *) param, planstate);
	value = ExecEvalExpr(state, planstate->ps_ExprContext, &isnull);
	get_typlenbyval(param->paramtype, &typlen, &typbyval);
	return (Node *) makeConst(param->paramtype, param->paramtypmod, param->paramcollid, typlen,
							  isnull ? (Datum) 0 : datumCopy(value, typbyval, typlen), isnull, typbyval);
}

List *
bs_ship_bind(List *conditions, PlanState *planstate)
{
	return (List *) bind_params((Node *) conditions, planstate);
}

/* ---------- text ---------- */

static Node *
to_first_relation(Node *node, void *context)
{
	Var *var;

	if (node == NULL)
		return NULL;
	/* What a value is written with beside itself changes nothing in what is_unfit() lets pass. */
	if (IsA(node, Const))
	{
		Const *value = copyObject((Const *) node);

		value->consttypmod = -1;
		value->constcollid = get_typcollation(value->consttype);
		return (Node *) value;
	}
	if (!IsA(node, Var))
		return expression_tree_mutator(node, to_first_relation, context);
	var = copyObject((Var *) node);
	var->varno = 1;
	var->varnosyn = 0;
	var->varattnosyn = 0;
	return (Node *) var;
}

/* What the deparser takes for a relation with these columns. */
static List *
column_context(List *names)
{
	PlannedStmt *statement = makeNode(PlannedStmt);
	RangeTblEntry *entry = makeNode(RangeTblEntry);

	entry->rtekind = RTE_VALUES;
	entry->eref = makeAlias("stream", names);
	statement->rtable = list_make1(entry);
	return deparse_context_for_plan_tree(statement, list_make1("stream"));
}

char *
bs_ship_text(List *conditions, List *names)
{
	Node *all;
	char *text;
	int level;

	if (conditions == NIL)
		return NULL;
	all = to_first_relation((Node *) make_ands_explicit(conditions), NULL);
	level = bs_pinned_enter_text();
	text = deparse_expression(all, column_context(names), false, false);
	bs_pinned_leave(level);
	return text;
}
