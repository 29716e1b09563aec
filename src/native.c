/* SPDX-License-Identifier: PostgreSQL */
/*
 * native.c: PostgreSQL's expressions as the engine's.  See native.h.
 *
 * What is native is said by tables, by the name of the C function behind a built-in function:
 * pg_proc has several rows for some of them.  Adding an operation is a row here and one in the
 * engine.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrtab.h"
#include "utils/lsyscache.h"

#include "computed.h"
#include "lanes.h"
#include "native.h"
#include "nativetime.h"
#include "prefix.h"
#include "spreadform.h"

typedef BsExpr *(*PlanCall)(BsNative *native, const BsNativeCall *call);

typedef struct NativeFunction
{
	const char *name;
	BsOp op;
	PlanCall plan; /* NULL: op over the arguments as they are */
} NativeFunction;

static BsExpr *plan_node(BsNative *native, Expr *expr);
static BsExpr *plan_identity(BsNative *native, const BsNativeCall *call);
static BsExpr *plan_text_equal(BsNative *native, const BsNativeCall *call);
static BsExpr *plan_text_differ(BsNative *native, const BsNativeCall *call);
static BsExpr *plan_int8_product(BsNative *native, const BsNativeCall *call);

/* clang-format off */
#define COMPARISONS(prefix)                                                        \
	{ prefix "eq", BS_OP_EQ }, { prefix "ne", BS_OP_NE }, { prefix "lt", BS_OP_LT }, \
	{ prefix "le", BS_OP_LE }, { prefix "gt", BS_OP_GT }, { prefix "ge", BS_OP_GE }

#define ARITHMETIC(prefix)                                   \
	{ prefix "pl", BS_OP_ADD }, { prefix "mi", BS_OP_SUB },    \
	{ prefix "mul", BS_OP_MUL }, { prefix "div", BS_OP_DIV }

#define BITS(prefix)                                                   \
	{ prefix "and", BS_OP_BIT_AND }, { prefix "or", BS_OP_BIT_OR },      \
	{ prefix "xor", BS_OP_BIT_XOR }, { prefix "not", BS_OP_BIT_NOT },    \
	{ prefix "shl", BS_OP_SHL }, { prefix "shr", BS_OP_SHR }

static const NativeFunction native_functions[] = {
	COMPARISONS("bool"),
	COMPARISONS("int2"), COMPARISONS("int4"), COMPARISONS("int8"),
	COMPARISONS("int24"), COMPARISONS("int42"), COMPARISONS("int28"),
	COMPARISONS("int82"), COMPARISONS("int48"), COMPARISONS("int84"),
	COMPARISONS("float4"), COMPARISONS("float8"), COMPARISONS("float48"), COMPARISONS("float84"),
	COMPARISONS("timestamp_"), COMPARISONS("interval_"), COMPARISONS("network_"),
	COMPARISONS("macaddr_"),
	{ "date_eq", BS_OP_EQ }, { "date_ne", BS_OP_NE }, { "time_eq", BS_OP_EQ },
	{ "time_ne", BS_OP_NE }, { "oideq", BS_OP_EQ }, { "oidne", BS_OP_NE },
	{ "chareq", BS_OP_EQ }, { "charne", BS_OP_NE }, { "enum_eq", BS_OP_EQ },
	{ "enum_ne", BS_OP_NE },
	{ "uuid_eq", BS_OP_EQ }, { "uuid_ne", BS_OP_NE },
	{ "byteaeq", BS_OP_EQ }, { "byteane", BS_OP_NE },
	{ "texteq", BS_OP_EQ, plan_text_equal }, { "textne", BS_OP_NE, plan_text_differ },

	ARITHMETIC("int2"), ARITHMETIC("int4"), ARITHMETIC("int8"),
	ARITHMETIC("int24"), ARITHMETIC("int42"), ARITHMETIC("int28"),
	ARITHMETIC("int82"), ARITHMETIC("int48"), ARITHMETIC("int84"),
	ARITHMETIC("float4"), ARITHMETIC("float8"), ARITHMETIC("float48"), ARITHMETIC("float84"),
	{ "int2mod", BS_OP_MOD }, { "int4mod", BS_OP_MOD }, { "int8mod", BS_OP_MOD },
	{ "int2um", BS_OP_NEG }, { "int4um", BS_OP_NEG }, { "int8um", BS_OP_NEG },
	{ "float4um", BS_OP_NEG }, { "float8um", BS_OP_NEG },
	{ "int2up", 0, plan_identity }, { "int4up", 0, plan_identity }, { "int8up", 0, plan_identity },
	{ "float4up", 0, plan_identity }, { "float8up", 0, plan_identity },
	{ "int2abs", BS_OP_ABS }, { "int4abs", BS_OP_ABS }, { "int8abs", BS_OP_ABS },
	{ "float4abs", BS_OP_ABS }, { "float8abs", BS_OP_ABS },
	BITS("int2"), BITS("int4"), BITS("int8"),

	{ "i2toi4", BS_OP_INT_CAST }, { "i4toi2", BS_OP_INT_CAST }, { "int48", BS_OP_INT_CAST },
	{ "int84", BS_OP_INT_CAST }, { "int28", BS_OP_INT_CAST }, { "int82", BS_OP_INT_CAST },
	{ "i2tof", BS_OP_INT_TO_FLOAT }, { "i2tod", BS_OP_INT_TO_FLOAT },
	{ "i4tof", BS_OP_INT_TO_FLOAT }, { "i4tod", BS_OP_INT_TO_FLOAT },
	{ "i8tof", BS_OP_INT_TO_FLOAT }, { "i8tod", BS_OP_INT_TO_FLOAT },
	{ "ftoi2", BS_OP_FLOAT_TO_INT }, { "ftoi4", BS_OP_FLOAT_TO_INT },
	{ "ftoi8", BS_OP_FLOAT_TO_INT }, { "dtoi2", BS_OP_FLOAT_TO_INT },
	{ "dtoi4", BS_OP_FLOAT_TO_INT }, { "dtoi8", BS_OP_FLOAT_TO_INT },
	{ "ftod", BS_OP_FLOAT_CAST }, { "dtof", BS_OP_FLOAT_CAST },
	{ "bool_int4", BS_OP_BOOL_TO_INT }, { "int4_bool", BS_OP_INT_TO_BOOL },

	{ "network_sub", BS_OP_INET_SUB }, { "network_subeq", BS_OP_INET_SUBEQ },
	{ "network_sup", BS_OP_INET_SUP }, { "network_supeq", BS_OP_INET_SUPEQ },
	{ "network_overlap", BS_OP_INET_OVERLAP },
	{ "network_network", BS_OP_INET_NETWORK },
	{ "inet_set_masklen", BS_OP_INET_SET_MASKLEN },
	{ "cidr_set_masklen", BS_OP_CIDR_SET_MASKLEN },
	{ "network_masklen", BS_OP_INET_MASKLEN }, { "network_family", BS_OP_INET_FAMILY },
	{ "network_broadcast", BS_OP_INET_BROADCAST }, { "network_netmask", BS_OP_INET_NETMASK },
	{ "network_hostmask", BS_OP_INET_HOSTMASK },

	{ "timestamptz_bin", BS_OP_TIME_BIN, bs_native_time_bin },
	{ "timestamptz_trunc", BS_OP_TIME_BIN, bs_native_time_trunc },
	{ "timestamptz_trunc_zone", BS_OP_TIME_BIN, bs_native_time_trunc },
	{ "timestamp_mi", BS_OP_TIME_SUB_TIME },
	{ "timestamptz_pl_interval", BS_OP_TIME_ADD_USEC, bs_native_time_plus },
	{ "timestamptz_mi_interval", BS_OP_TIME_ADD_USEC, bs_native_time_minus },
	{ "interval_pl", BS_OP_INTERVAL_ADD }, { "interval_mi", BS_OP_INTERVAL_SUB },
	{ "interval_um", BS_OP_INTERVAL_NEG },
};
/* clang-format on */

/* ---------- plans ---------- */

static BsExpr *
plan_make(BsOp op, BsType type)
{
	BsExpr *plan = palloc0(sizeof(BsExpr));

	plan->op = op;
	plan->type = type;
	return plan;
}

BsExpr *
bs_native_plan_op(BsOp op, BsType type, int nargs, BsExpr **args)
{
	BsExpr *plan = plan_make(op, type);

	plan->nargs = (uint32_t) nargs;
	plan->args = palloc(sizeof(BsExpr *) * Max(nargs, 1));
	memcpy(plan->args, args, sizeof(BsExpr *) * (size_t) nargs);
	return plan;
}

BsExpr *
bs_native_plan_const(BsType type, BsValue value)
{
	BsExpr *plan = plan_make(BS_OP_CONST, type);

	plan->constant = value;
	return plan;
}

static BsExpr *
plan_null(BsType type)
{
	BsExpr *plan = plan_make(BS_OP_CONST, type);

	plan->constant_is_null = true;
	return plan;
}

static BsExpr *
plan_unary(BsOp op, BsType type, BsExpr *arg)
{
	return bs_native_plan_op(op, type, 1, &arg);
}

/* A column computed by PostgreSQL. */
static BsExpr *
plan_foreign(BsNative *native, Expr *expr)
{
	BsType type;
	uint32_t number = bs_computed_add(native->computed, expr, &type);
	BsExpr *plan = plan_make(BS_OP_FOREIGN, type);

	plan->foreign = number;
	return plan;
}

BsExpr *
bs_native_plan(BsNative *native, Expr *expr)
{
	int mark = bs_computed_mark(native->computed);
	BsExpr *plan = plan_node(native, expr);

	if (plan != NULL)
		return plan;
	/* What was computed for the sake of its arguments is not wanted. */
	bs_computed_release(native->computed, mark);
	return plan_foreign(native, expr);
}

static BsExpr **
plan_list(BsNative *native, List *exprs)
{
	BsExpr **plans = palloc(sizeof(BsExpr *) * Max(list_length(exprs), 1));

	for (int i = 0; i < list_length(exprs); i++)
		plans[i] = bs_native_plan(native, list_nth(exprs, i));
	return plans;
}

void
bs_native_plan_uses(const BsExpr *plan, uint32_t *uses)
{
	if (plan == NULL)
		return;
	if (plan->op == BS_OP_FOREIGN)
		uses[plan->foreign]++;
	for (uint32_t i = 0; i < plan->nargs; i++)
		bs_native_plan_uses(plan->args[i], uses);
}

/* ---------- types ---------- */

static bool
is_int(BsType type)
{
	return type == BS_INT2 || type == BS_INT4 || type == BS_INT8;
}

static bool
is_float(BsType type)
{
	return type == BS_FLOAT4 || type == BS_FLOAT8;
}

/* May the engine compare these two (of any width), and, when ordered, tell which is less? */
static bool
comparable(BsType a, BsType b, bool ordered)
{
	if (ordered && (a == BS_WORD || a == BS_BYTES))
		return false;
	return a == b || (is_int(a) && is_int(b)) || (is_float(a) && is_float(b));
}

static bool
is_comparison(BsOp op)
{
	return op >= BS_OP_EQ && op <= BS_OP_GE;
}

/* ---------- functions and operators ---------- */

const char *
bs_builtin_name(Oid function)
{
	uint16 index;

	if (function > fmgr_last_builtin_oid)
		return NULL;
	index = fmgr_builtin_oid_index[function];
	return index == InvalidOidBuiltinMapping ? NULL : fmgr_builtins[index].funcName;
}

static const NativeFunction *
native_function(Oid function)
{
	const char *name = bs_builtin_name(function);

	if (name == NULL)
		return NULL;
	for (size_t i = 0; i < lengthof(native_functions); i++)
		if (strcmp(native_functions[i].name, name) == 0)
			return &native_functions[i];
	return NULL;
}

static BsExpr *
plan_identity(BsNative *native, const BsNativeCall *call)
{
	return bs_native_plan(native, linitial(call->args));
}

/* Bytes tell whether texts are equal, if the collation says that only equal bytes are. */
static BsExpr *
plan_text(BsNative *native, const BsNativeCall *call, BsOp op)
{
	BsExpr **args;

	if (!OidIsValid(call->collation) || !get_collation_isdeterministic(call->collation))
		return NULL;
	args = plan_list(native, call->args);
	return bs_native_plan_op(op, BS_BOOL, 2, args);
}

static BsExpr *
plan_text_equal(BsNative *native, const BsNativeCall *call)
{
	return plan_text(native, call, BS_OP_EQ);
}

static BsExpr *
plan_text_differ(BsNative *native, const BsNativeCall *call)
{
	return plan_text(native, call, BS_OP_NE);
}

/* scaled(value, rate) arrives here inlined, as value * COALESCE(rate, 1). */
static BsExpr *
plan_int8_product(BsNative *native, const BsNativeCall *call)
{
	Expr *second = lsecond(call->args);

	if (IsA(second, CoalesceExpr))
	{
		List *choices = ((CoalesceExpr *) second)->args;
		Const *one = list_length(choices) == 2 ? bs_native_const(lsecond(choices)) : NULL;

		if (one != NULL && one->consttype == INT8OID && DatumGetInt64(one->constvalue) == 1)
		{
			BsExpr *args[2];

			args[0] = bs_native_plan(native, linitial(call->args));
			args[1] = bs_native_plan(native, linitial(choices));
			return bs_native_plan_op(BS_OP_SCALED, BS_INT8, 2, args);
		}
	}
	return bs_native_plan_op(BS_OP_MUL, BS_INT8, 2, plan_list(native, call->args));
}

static BsExpr *
plan_op_call(BsNative *native, BsOp op, const BsNativeCall *call)
{
	BsType result = bs_type_of(call->result);
	BsExpr **args = plan_list(native, call->args);
	int nargs = list_length(call->args);

	if (is_comparison(op) && !comparable(args[0]->type, args[1]->type, op > BS_OP_NE))
		return NULL;
	return bs_native_plan_op(op, result, nargs, args);
}

/* Is a call of this function, whose arguments have these types, native? */
static BsExpr *
plan_call(BsNative *native, Oid function, const BsNativeCall *call)
{
	const NativeFunction *row = native_function(function);

	if (row == NULL)
		return NULL;
	if (row->plan != NULL)
		return row->plan(native, call);
	if (row->op == BS_OP_MUL && call->result == INT8OID && exprType(lsecond(call->args)) == INT8OID)
		return plan_int8_product(native, call);
	return plan_op_call(native, row->op, call);
}

static BsExpr *
plan_op_expr(BsNative *native, OpExpr *op)
{
	BsNativeCall call = {op->args, op->opresulttype, op->inputcollid};

	return plan_call(native, get_opcode(op->opno), &call);
}

/* The comparison of two lists behind an operator, if the engine has it: EQ, NE, ... or 0. */
static BsOp
comparison_op(Oid operator, Oid collation)
{
	const NativeFunction *row = native_function(get_opcode(operator));

	if (row == NULL || !is_comparison(row->op))
		return 0;
	if (row->plan != NULL && (!OidIsValid(collation) || !get_collation_isdeterministic(collation)))
		return 0;
	return row->op;
}

/* IS DISTINCT FROM and NULLIF: equality by an operator, in another dress. */
static BsExpr *
plan_equality(BsNative *native, OpExpr *op, BsOp as)
{
	BsExpr **args;
	BsType result;

	if (comparison_op(op->opno, op->inputcollid) != BS_OP_EQ)
		return NULL;
	args = plan_list(native, op->args);
	if (!comparable(args[0]->type, args[1]->type, false))
		return NULL;
	result = as == BS_OP_NULLIF ? args[0]->type : BS_BOOL;
	return bs_native_plan_op(as, result, 2, args);
}

static BsExpr *
plan_array_op(BsNative *native, ScalarArrayOpExpr *op)
{
	Const *array = bs_native_const(lsecond(op->args));
	BsOp comparison = comparison_op(op->opno, op->inputcollid);
	BsExpr *arg;
	BsExpr *plan;
	ArrayType *values;
	BsType element_type;
	Datum *elements;
	bool *nulls;
	int nelements;
	int16 len;
	bool byval;
	char align;

	if (array == NULL || comparison != (op->useOr ? BS_OP_EQ : BS_OP_NE))
		return NULL;
	values = DatumGetArrayTypeP(array->constvalue);
	element_type = bs_type_of(ARR_ELEMTYPE(values));
	arg = bs_native_plan(native, linitial(op->args));
	if (!comparable(arg->type, element_type, false))
		return NULL;
	get_typlenbyvalalign(ARR_ELEMTYPE(values), &len, &byval, &align);
	deconstruct_array(values, ARR_ELEMTYPE(values), len, byval, align, &elements, &nulls,
					  &nelements);
	plan = plan_unary(op->useOr ? BS_OP_IN : BS_OP_NOT_IN, BS_BOOL, arg);
	plan->list = palloc0(sizeof(BsValue) * Max(nelements, 1));
	for (int i = 0; i < nelements; i++)
	{
		if (nulls[i])
			plan->list_has_null = true;
		else
			plan->list[plan->list_len++] = bs_value_from_datum(element_type, ARR_ELEMTYPE(values),
															   elements[i], CurrentMemoryContext);
	}
	return plan;
}

/* ---------- expressions with a form of their own ---------- */

static BsExpr *
plan_bool(BsNative *native, BoolExpr *expr)
{
	static const BsOp ops[] = {
		[AND_EXPR] = BS_OP_AND, [OR_EXPR] = BS_OP_OR, [NOT_EXPR] = BS_OP_NOT};

	return bs_native_plan_op(ops[expr->boolop], BS_BOOL, list_length(expr->args),
							 plan_list(native, expr->args));
}

static BsExpr *
plan_boolean_test(BsNative *native, BooleanTest *test)
{
	static const BsOp ops[] = {
		[IS_TRUE] = BS_OP_IS_TRUE,    [IS_NOT_TRUE] = BS_OP_IS_NOT_TRUE,
		[IS_FALSE] = BS_OP_IS_FALSE,  [IS_NOT_FALSE] = BS_OP_IS_NOT_FALSE,
		[IS_UNKNOWN] = BS_OP_IS_NULL, [IS_NOT_UNKNOWN] = BS_OP_IS_NOT_NULL,
	};

	return plan_unary(ops[test->booltesttype], BS_BOOL, bs_native_plan(native, test->arg));
}

static BsExpr *
plan_null_test(BsNative *native, NullTest *test)
{
	if (test->argisrow)
		return NULL;
	return plan_unary(test->nulltesttype == IS_NULL ? BS_OP_IS_NULL : BS_OP_IS_NOT_NULL, BS_BOOL,
					  bs_native_plan(native, test->arg));
}

typedef struct CaseTest
{
	Expr *value;
	bool nested; /* found an inner expression with placeholders of its own */
} CaseTest;

static Node *
replace_case_test(Node *node, CaseTest *test)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, CaseTestExpr))
		return (Node *) copyObject(test->value);
	if (IsA(node, ArrayCoerceExpr) || (IsA(node, CaseExpr) && ((CaseExpr *) node)->arg != NULL))
		test->nested = true;
	return expression_tree_mutator(node, replace_case_test, test);
}

/* CASE x WHEN y ... is CASE WHEN x = y ...; what it computes of x is computed once. */
static BsExpr *
plan_case(BsNative *native, CaseExpr *expr)
{
	int nargs = 2 * list_length(expr->args) + 1;
	BsExpr **args = palloc(sizeof(BsExpr *) * (size_t) nargs);
	BsType type = bs_type_of(expr->casetype);
	CaseTest test = {expr->arg, false};
	int n = 0;
	ListCell *lc;

	foreach (lc, expr->args)
	{
		CaseWhen *when = lfirst_node(CaseWhen, lc);
		Expr *condition = when->expr;

		if (expr->arg != NULL)
			condition = (Expr *) replace_case_test((Node *) condition, &test);
		if (test.nested)
			return NULL;
		args[n++] = bs_native_plan(native, condition);
		args[n++] = bs_native_plan(native, when->result);
	}
	args[n++] = expr->defresult != NULL ? bs_native_plan(native, expr->defresult) : plan_null(type);
	for (int i = 1; i < nargs; i += 2)
		if (args[i]->type != type)
			return NULL;
	if (args[nargs - 1]->type != type)
		return NULL;
	return bs_native_plan_op(BS_OP_CASE, type, nargs, args);
}

/* COALESCE, GREATEST, LEAST: arguments and result of one type. */
static BsExpr *
plan_of_one_type(BsNative *native, BsOp op, Oid result, List *exprs)
{
	BsType type = bs_type_of(result);
	BsExpr **args;

	if (op != BS_OP_COALESCE && !comparable(type, type, true))
		return NULL;
	args = plan_list(native, exprs);
	for (int i = 0; i < list_length(exprs); i++)
		if (args[i]->type != type)
			return NULL;
	return bs_native_plan_op(op, type, list_length(exprs), args);
}

static BsExpr *
plan_var(BsNative *native, Var *var)
{
	BsExpr *plan;

	if (var->varattno <= 0)
		return NULL;
	plan = plan_make(BS_OP_COLUMN, bs_type_of(var->vartype));
	plan->column = (uint32_t) (var->varattno - 1);
	return plan;
}

static BsExpr *
plan_const(Const *constant)
{
	BsType type = bs_type_of(constant->consttype);

	if (constant->constisnull)
		return plan_null(type);
	return bs_native_plan_const(
		type,
		bs_value_from_datum(type, constant->consttype, constant->constvalue, CurrentMemoryContext));
}

/* A change of name only (varchar as text, cidr as inet): the lane must stay the same kind. */
static BsExpr *
plan_relabel(BsNative *native, RelabelType *relabel)
{
	BsType type = bs_type_of(relabel->resulttype);

	if (type != bs_type_of(exprType((Node *) relabel->arg)))
		return NULL;
	return bs_native_plan(native, relabel->arg);
}

/* A look-up in a prefix map, if the names of map and label are constants. */
static BsExpr *
plan_prefix(BsNative *native, FuncExpr *function)
{
	BsPrefixCall call;
	BsExpr *plan;

	if (!bs_prefix_call(function, &call))
		return NULL;
	plan = plan_unary(call.op, call.type, bs_native_plan(native, call.address));
	plan->prefix = &bs_prefix_use(&native->prefix_uses, call.map, call.label, native->owner,
								  native->context)->handle;
	return plan;
}

static BsExpr *
plan_portion(BsNative *native, FuncExpr *function)
{
	Expr *value = native->slice_attno > 0 ? bs_portion_argument(function, native->slice_attno) : NULL;
	BsExpr *plan;

	if (value == NULL)
		return NULL;
	plan = plan_unary(BS_OP_PORTION, BS_INT8, bs_native_plan(native, value));
	plan->column = (uint32_t) (native->slice_attno - 1);
	return plan;
}

/* The plan of a node whose own operation is native, whatever its children are; else NULL. */
static BsExpr *
plan_node(BsNative *native, Expr *expr)
{
	switch (nodeTag(expr))
	{
		case T_Var:
			return plan_var(native, (Var *) expr);
		case T_Const:
			return plan_const((Const *) expr);
		case T_OpExpr:
			return plan_op_expr(native, (OpExpr *) expr);
		case T_FuncExpr:
		{
			FuncExpr *function = (FuncExpr *) expr;
			BsNativeCall call = {function->args, function->funcresulttype, function->inputcollid};
			BsExpr *lookup = plan_prefix(native, function);

			if (lookup == NULL)
				lookup = plan_portion(native, function);
			if (lookup != NULL)
				return lookup;
			return plan_call(native, function->funcid, &call);
		}
		case T_DistinctExpr:
			return plan_equality(native, (OpExpr *) expr, BS_OP_DISTINCT);
		case T_NullIfExpr:
			return plan_equality(native, (OpExpr *) expr, BS_OP_NULLIF);
		case T_ScalarArrayOpExpr:
			return plan_array_op(native, (ScalarArrayOpExpr *) expr);
		case T_BoolExpr:
			return plan_bool(native, (BoolExpr *) expr);
		case T_BooleanTest:
			return plan_boolean_test(native, (BooleanTest *) expr);
		case T_NullTest:
			return plan_null_test(native, (NullTest *) expr);
		case T_CaseExpr:
			return plan_case(native, (CaseExpr *) expr);
		case T_CoalesceExpr:
		{
			CoalesceExpr *coalesce = (CoalesceExpr *) expr;

			return plan_of_one_type(native, BS_OP_COALESCE, coalesce->coalescetype, coalesce->args);
		}
		case T_MinMaxExpr:
		{
			MinMaxExpr *minmax = (MinMaxExpr *) expr;

			return plan_of_one_type(native, minmax->op == IS_LEAST ? BS_OP_LEAST : BS_OP_GREATEST,
									minmax->minmaxtype, minmax->args);
		}
		case T_RelabelType:
			return plan_relabel(native, (RelabelType *) expr);
		default:
			return NULL;
	}
}

/* ---------- the whole ---------- */

Expr *
bs_native_simplify(Expr *expr)
{
	return expression_planner(copyObject(expr));
}
