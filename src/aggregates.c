/* SPDX-License-Identifier: PostgreSQL */
/*
 * aggregates.c: SQL's aggregates as states of the engine and finals of the reader.  See
 * aggregates.h.
 *
 * native_aggregates[] says which the engine has.  Adding one is a row there; any other aggregate is
 * backed by PostgreSQL's functions (foreignagg.h).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "aggregates.h"
#include "canonical.h"
#include "computed.h"
#include "lanes.h"

#define MASK(type) (1u << (type))
#define INTS       (MASK(BS_INT2) | MASK(BS_INT4) | MASK(BS_INT8))
#define FLOATS     (MASK(BS_FLOAT4) | MASK(BS_FLOAT8))
#define ORDERED    (INTS | FLOATS | MASK(BS_TIMESTAMPTZ) | MASK(BS_INTERVAL) | MASK(BS_INET))

/* How the argument goes into the states. */
enum
{
	PLAIN = 0,
	WITH_COUNT = 1, /* and a count of the same argument beside it */
	AS_FLOAT8 = 2
};

static const struct
{
	const char *name;
	uint32 types; /* of the argument */
	BsAggregateKind kind;
	BsFinalKind final;
	int how;
} native_aggregates[] = {
	{"count", ~0u, BS_AGG_COUNT, BS_FINAL_COUNT, PLAIN},
	{"sum", MASK(BS_INT2) | MASK(BS_INT4), BS_AGG_SUM_INT, BS_FINAL_SUM_BIGINT, PLAIN},
	{"sum", MASK(BS_INT8), BS_AGG_SUM_INT, BS_FINAL_SUM_NUMERIC, PLAIN},
	{"sum", MASK(BS_FLOAT4), BS_AGG_SUM_FLOAT4, BS_FINAL_SUM_FLOAT, PLAIN},
	{"sum", MASK(BS_FLOAT8), BS_AGG_SUM_FLOAT8, BS_FINAL_SUM_FLOAT, PLAIN},
	{"avg", INTS, BS_AGG_SUM_INT, BS_FINAL_AVG_INT, WITH_COUNT},
	{"avg", FLOATS, BS_AGG_SUM_FLOAT8, BS_FINAL_AVG_FLOAT, WITH_COUNT | AS_FLOAT8},
	{"min", ORDERED, BS_AGG_MIN, BS_FINAL_VALUE, PLAIN},
	{"max", ORDERED, BS_AGG_MAX, BS_FINAL_VALUE, PLAIN},
	{"bool_and", MASK(BS_BOOL), BS_AGG_MIN, BS_FINAL_VALUE, PLAIN},
	{"every", MASK(BS_BOOL), BS_AGG_MIN, BS_FINAL_VALUE, PLAIN},
	{"bool_or", MASK(BS_BOOL), BS_AGG_MAX, BS_FINAL_VALUE, PLAIN},
	{"bit_and", INTS, BS_AGG_BIT_AND, BS_FINAL_VALUE, PLAIN},
	{"bit_or", INTS, BS_AGG_BIT_OR, BS_FINAL_VALUE, PLAIN},
	{"bit_xor", INTS, BS_AGG_BIT_XOR, BS_FINAL_VALUE, PLAIN},
	{"stddev", FLOATS, BS_AGG_ACCUM_FLOAT, BS_FINAL_ACCUM, AS_FLOAT8},
	{"stddev_samp", FLOATS, BS_AGG_ACCUM_FLOAT, BS_FINAL_ACCUM, AS_FLOAT8},
	{"stddev_pop", FLOATS, BS_AGG_ACCUM_FLOAT, BS_FINAL_ACCUM, AS_FLOAT8},
	{"variance", FLOATS, BS_AGG_ACCUM_FLOAT, BS_FINAL_ACCUM, AS_FLOAT8},
	{"var_samp", FLOATS, BS_AGG_ACCUM_FLOAT, BS_FINAL_ACCUM, AS_FLOAT8},
	{"var_pop", FLOATS, BS_AGG_ACCUM_FLOAT, BS_FINAL_ACCUM, AS_FLOAT8},
};

static uint32_t
add_state(BsAggregatePlans *plans, BsAggregateKind kind, BsExpr *argument, BsExpr *filter,
		  uint32_t foreign)
{
	BsStatePlan *state;

	for (int i = 0; i < list_length(plans->states); i++)
	{
		state = list_nth(plans->states, i);
		if (state->kind == kind && state->foreign == foreign && state->set == 0 &&
			bs_expr_equal(state->argument, argument) &&
			bs_expr_equal(state->filter, filter))
			return (uint32_t) i;
	}
	state = palloc0(sizeof(BsStatePlan));
	state->kind = kind;
	state->type = argument != NULL ? argument->type : BS_BOOL;
	state->argument = argument;
	state->filter = filter;
	state->foreign = foreign;
	plans->states = lappend(plans->states, state);
	return (uint32_t) list_length(plans->states) - 1;
}

uint32_t
bs_aggregates_plan_any(BsAggregatePlans *plans, BsExpr *argument)
{
	return add_state(plans, BS_AGG_ANY, argument, NULL, 0);
}

static Oid
final_function(Oid aggregate)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	Oid function;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggregate);
	function = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggfinalfn;
	ReleaseSysCache(tuple);
	return function;
}

/* The arguments, simplified, as a list of Expr. */
static List *
arguments_of(BsAggregatePlans *plans, const Aggref *aggref)
{
	List *result = NIL;
	ListCell *lc;

	foreach (lc, aggref->args)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		Expr *simple = bs_native_simplify(entry->expr);

		bs_refuse_simplified((Node *) simple, (Node *) entry->expr, plans->place);
		result = lappend(result, simple);
	}
	return result;
}

static BsExpr *
filter_of(BsAggregatePlans *plans, const Aggref *aggref)
{
	Expr *simple;

	if (aggref->aggfilter == NULL)
		return NULL;
	simple = bs_native_simplify(aggref->aggfilter);
	bs_refuse_simplified((Node *) simple, (Node *) aggref->aggfilter, plans->place);
	return bs_native_plan(plans->native, simple);
}

/* count(*), and count() of what is never NULL. */
static bool
counts_all(const Aggref *aggref, const List *arguments)
{
	const char *name =
		aggref->aggfnoid < FirstNormalObjectId ? get_func_name(aggref->aggfnoid) : NULL;

	if (name == NULL || strcmp(name, "count") != 0)
		return false;
	return arguments == NIL ||
		   (IsA(linitial(arguments), Const) && !((Const *) linitial(arguments))->constisnull);
}

static BsFinal
plan_count_all(BsAggregatePlans *plans, BsExpr *filter)
{
	BsFinal final = {.kind = BS_FINAL_RECORDS, .type = INT8OID};
	BsValue one = {.i64 = 1};

	if (filter == NULL)
		return final;
	final.kind = BS_FINAL_COUNT;
	final.state = add_state(plans, BS_AGG_COUNT, bs_native_plan_const(BS_BOOL, one), filter, 0);
	final.second = final.state;
	return final;
}

/* The row of native_aggregates for a call, or -1. */
static int
native_row(const Aggref *aggref, const List *arguments)
{
	uint32 mask;
	const char *name;

	if (aggref->aggfnoid >= FirstNormalObjectId || list_length(arguments) != 1)
		return -1;
	mask = MASK(bs_type_of(exprType(linitial(arguments))));
	name = get_func_name(aggref->aggfnoid);
	for (int i = 0; i < (int) lengthof(native_aggregates); i++)
		if (strcmp(native_aggregates[i].name, name) == 0 &&
			(native_aggregates[i].types & mask) != 0)
			return i;
	return -1;
}

/* Aggregates to which it makes no difference that a value comes again. */
static bool
ignores_repetition(const Aggref *aggref)
{
	static const char *const names[] = {"min",     "max",    "bool_and", "bool_or",
										"bit_and", "bit_or", "every"};
	const char *name =
		aggref->aggfnoid < FirstNormalObjectId ? get_func_name(aggref->aggfnoid) : NULL;

	for (size_t i = 0; name != NULL && i < lengthof(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* The set of an argument's values; equal ones are kept once. */
static uint32_t
add_set(BsAggregatePlans *plans, BsExpr *argument, BsExpr *filter)
{
	BsSetPlan *set;

	for (int i = 0; i < list_length(plans->sets); i++)
	{
		set = list_nth(plans->sets, i);
		if (bs_expr_equal(set->argument, argument) && bs_expr_equal(set->filter, filter))
			return (uint32_t) i + 1;
	}
	set = palloc0(sizeof(BsSetPlan));
	set->argument = argument;
	set->filter = filter;
	plans->sets = lappend(plans->sets, set);
	return (uint32_t) list_length(plans->sets);
}

static uint32_t
add_set_state(BsAggregatePlans *plans, BsAggregateKind kind, uint32_t set)
{
	const BsSetPlan *values = list_nth(plans->sets, (int) set - 1);
	BsStatePlan *state;

	for (int i = 0; i < list_length(plans->states); i++)
	{
		state = list_nth(plans->states, i);
		if (state->kind == kind && state->set == set)
			return (uint32_t) i;
	}
	state = palloc0(sizeof(BsStatePlan));
	state->kind = kind;
	state->type = values->argument->type;
	state->set = set;
	plans->states = lappend(plans->states, state);
	return (uint32_t) list_length(plans->states) - 1;
}

/* Over DISTINCT values: the reader folds them when all sets have come together. */
static BsFinal
plan_distinct(BsAggregatePlans *plans, const Aggref *aggref, int row, Expr *simple, BsExpr *filter)
{
	Node *original = (Node *) linitial_node(TargetEntry, aggref->args)->expr;
	BsExpr *plan = bs_native_plan(plans->native, simple);
	BsFinal final = {.kind = native_aggregates[row].final, .type = aggref->aggtype};
	uint32_t set;

	plan = bs_canonical_plan(plans->native, original, simple, plan, plans->place);
	set = add_set(plans, plan, filter);
	final.state = add_set_state(plans, native_aggregates[row].kind, set);
	final.second = final.state;
	if ((native_aggregates[row].how & WITH_COUNT) != 0)
		final.second = add_set_state(plans, BS_AGG_COUNT, set);
	if (final.kind == BS_FINAL_ACCUM)
		final.function = final_function(aggref->aggfnoid);
	return final;
}

/*
 * The same for what the engine has no aggregate for: the reader calls PostgreSQL's functions for each
 * value.  They must take what the set has kept of it: a value that is equal to it will do for a float, not for what
 * only looks equal.  A numeric is kept in each of the ways in which it was written, for a sum shows as many digits as
 * its summands; they are united when all are there (finals.c).
 */
static BsFinal
plan_distinct_foreign(BsAggregatePlans *plans, const Aggref *aggref, List *arguments,
					  BsExpr *filter)
{
	Node *original = (Node *) linitial_node(TargetEntry, aggref->args)->expr;
	Oid type = getBaseType(exprType(original));
	BsFinal final = {.kind = BS_FINAL_DISTINCT, .type = aggref->aggtype, .argument_type = type};
	BsExpr *plan;
	BsExpr *kept;

	if (list_length(arguments) != 1 || !bs_foreignagg_ignores_nulls(aggref))
		bs_refuse_distinct(aggref, plans->place);
	plan = kept = bs_native_plan(plans->native, linitial(arguments));
	if (type != NUMERICOID)
		kept = bs_canonical_plan(plans->native, original, linitial(arguments), plan, plans->place);
	if (kept != plan && type != FLOAT4OID && type != FLOAT8OID)
		bs_refuse_distinct(aggref, plans->place);
	final.foreign = bs_foreignagg_create(aggref, plans->owner, plans->context);
	final.set = add_set(plans, kept, filter) - 1;
	final.set_type = kept->type;
	return final;
}

static BsFinal
plan_native(BsAggregatePlans *plans, const Aggref *aggref, int row, Expr *expr, BsExpr *filter)
{
	int how = native_aggregates[row].how;
	BsExpr *argument = bs_native_plan(plans->native, expr);
	BsFinal final = {.kind = native_aggregates[row].final, .type = aggref->aggtype};

	if ((how & AS_FLOAT8) != 0 && argument->type == BS_FLOAT4)
		argument = bs_native_plan_op(BS_OP_FLOAT_CAST, BS_FLOAT8, 1, &argument);
	final.state = add_state(plans, native_aggregates[row].kind, argument, filter, 0);
	final.second = final.state;
	if ((how & WITH_COUNT) != 0)
		final.second = add_state(plans, BS_AGG_COUNT, argument, filter, 0);
	if (final.kind == BS_FINAL_ACCUM)
		final.function = final_function(aggref->aggfnoid);
	return final;
}

/* One argument is a lane of its own; several are packed into one. */
static BsExpr *
foreign_argument(BsAggregatePlans *plans, List *arguments)
{
	BsExpr *plan;
	BsType type;

	if (arguments == NIL)
		return NULL;
	if (list_length(arguments) == 1)
		return bs_native_plan(plans->native, linitial(arguments));
	plan = palloc0(sizeof(BsExpr));
	plan->op = BS_OP_FOREIGN;
	plan->foreign =
		bs_computed_add_form(plans->native->computed, BS_COMPUTED_ARGUMENTS, arguments, &type);
	plan->type = type;
	return plan;
}

static BsFinal
plan_foreign(BsAggregatePlans *plans, const Aggref *aggref, List *arguments, BsExpr *filter)
{
	BsExpr *argument = foreign_argument(plans, arguments);
	BsFinal final = {.kind = BS_FINAL_FOREIGN, .type = aggref->aggtype};

	final.foreign = bs_foreignagg_create(aggref, plans->owner, plans->context);
	final.state =
		add_state(plans, BS_AGG_FOREIGN, argument, filter, (uint32_t) list_length(plans->foreign));
	final.second = final.state;
	plans->foreign = lappend(plans->foreign, final.foreign);
	return final;
}

BsFinal
bs_aggregates_plan(BsAggregatePlans *plans, Aggref *aggref)
{
	List *arguments = arguments_of(plans, aggref);
	BsExpr *filter = filter_of(plans, aggref);
	int row = native_row(aggref, arguments);

	if (aggref->aggdistinct != NIL && !ignores_repetition(aggref))
		return row >= 0 ? plan_distinct(plans, aggref, row, linitial(arguments), filter)
						: plan_distinct_foreign(plans, aggref, arguments, filter);
	if (counts_all(aggref, arguments))
		return plan_count_all(plans, filter);
	if (row >= 0)
		return plan_native(plans, aggref, row, linitial(arguments), filter);
	return plan_foreign(plans, aggref, arguments, filter);
}
