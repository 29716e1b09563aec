/* SPDX-License-Identifier: PostgreSQL */
/* once.c: calls that are evaluated once for many rows.  See once.h. */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "once.h"

typedef struct Call
{
	ExprState *state;
	Oid type;
	int16 typlen;
	bool typbyval;
	bool known;
	bool isnull;
	Datum value; /* in BsOnce.values */
} Call;

struct BsOnce
{
	MemoryContext context;
	MemoryContext values;
	ExprContext *econtext; /* NULL: there are no calls */
	ParamListInfo params;
	List *calls; /* of Call: parameter n is the nth */
};

/* Neither volatile nor a set. */
static bool
function_is_steady(Oid function)
{
	return func_volatile(function) != PROVOLATILE_VOLATILE && !get_func_retset(function);
}

/* Made of constants alone, by functions that give the same for each row. */
static bool
is_steady(Node *node)
{
	List *arguments;
	ListCell *cell;

	if (IsA(node, Const))
		return true;
	if (IsA(node, RelabelType))
		return is_steady((Node *) ((RelabelType *) node)->arg);
	if (IsA(node, FuncExpr) && function_is_steady(((FuncExpr *) node)->funcid))
		arguments = ((FuncExpr *) node)->args;
	else if (IsA(node, OpExpr) && function_is_steady(get_opcode(((OpExpr *) node)->opno)))
		arguments = ((OpExpr *) node)->args;
	else
		return false;
	foreach (cell, arguments)
		if (!is_steady(lfirst(cell)))
			return false;
	return true;
}

static void
evaluate(BsOnce *once, Call *call)
{
	Datum value;
	MemoryContext outer;

	ResetExprContext(once->econtext);
	value = ExecEvalExprSwitchContext(call->state, once->econtext, &call->isnull);
	outer = MemoryContextSwitchTo(once->values);
	call->value = call->isnull ? (Datum) 0 : datumCopy(value, call->typbyval, call->typlen);
	MemoryContextSwitchTo(outer);
	call->known = true;
}

static ParamExternData *
fetch(ParamListInfo params, int number, bool speculative, ParamExternData *workspace)
{
	BsOnce *once = params->paramFetchArg;
	Call *call = list_nth(once->calls, number - 1);

	if (!call->known)
		evaluate(once, call);
	*workspace = (ParamExternData){
		.value = call->value, .isnull = call->isnull, .pflags = PARAM_FLAG_CONST, .ptype = call->type};
	return workspace;
}

static Node *
make_call(BsOnce *once, Node *node)
{
	MemoryContext outer = MemoryContextSwitchTo(once->context);
	Call *call = palloc0(sizeof(Call));
	Param *param = makeNode(Param);

	if (once->econtext == NULL)
		once->econtext = CreateStandaloneExprContext();
	call->type = exprType(node);
	get_typlenbyval(call->type, &call->typlen, &call->typbyval);
	call->state = ExecInitExpr((Expr *) copyObject(node), NULL);
	once->calls = lappend(once->calls, call);
	once->params->numParams = list_length(once->calls);
	param->paramkind = PARAM_EXTERN;
	param->paramid = once->params->numParams;
	param->paramtype = call->type;
	param->paramtypmod = exprTypmod(node);
	param->paramcollid = exprCollation(node);
	param->location = -1;
	MemoryContextSwitchTo(outer);
	return (Node *) param;
}

static Node *
replace_mutator(Node *node, BsOnce *once)
{
	if (node == NULL)
		return NULL;
	if ((IsA(node, FuncExpr) || IsA(node, OpExpr)) && is_steady(node))
		return make_call(once, node);
	return expression_tree_mutator(node, replace_mutator, once);
}

/* ---------- for others ---------- */

BsOnce *
bs_once_create(void)
{
	BsOnce *once = palloc0(sizeof(BsOnce));

	once->context = CurrentMemoryContext;
	once->values = AllocSetContextCreate(once->context, "backstream once", ALLOCSET_SMALL_SIZES);
	once->params = makeParamList(0);
	once->params->paramFetch = fetch;
	once->params->paramFetchArg = once;
	return once;
}

void
bs_once_free(BsOnce *once)
{
	if (once->econtext != NULL)
		FreeExprContext(once->econtext, true);
	MemoryContextDelete(once->values);
	pfree(once);
}

Node *
bs_once_replace(BsOnce *once, Node *expr)
{
	return replace_mutator(expr, once);
}

ParamListInfo
bs_once_params(BsOnce *once)
{
	return once->params;
}

void
bs_once_forget(BsOnce *once)
{
	ListCell *cell;

	MemoryContextReset(once->values);
	foreach (cell, once->calls)
		((Call *) lfirst(cell))->known = false;
}
