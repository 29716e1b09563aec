/* SPDX-License-Identifier: PostgreSQL */
/*
 * combine.c: the aggregate that sums up states of a view's column, and the functions that stand in its
 * place until the planner has put it there.  See combine.h.
 *
 * Values of type aggregate_state come from scans alone: nobody can write one.  But whoever calls
 * combine_states() and state_of() by hand can bring any of them together with any column, so each
 * says what it belongs to, and nothing else is trusted.
 */
#include "backstream.h"

#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "columnstate.h"
#include "combine.h"
#include "viewshape.h"

BS_SQL_FUNCTION(bs_aggregate_state_in);
BS_SQL_FUNCTION(bs_aggregate_state_out);
BS_SQL_FUNCTION(bs_combine_transition);
BS_SQL_FUNCTION(bs_combine_final);
BS_SQL_FUNCTION(bs_state_of);
BS_SQL_FUNCTION(bs_combine_states_transition);
BS_SQL_FUNCTION(bs_combine_states_final);

/* ---------- what cannot be called ---------- */

static void
pg_attribute_noreturn() refuse_state(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("values of type backstream.aggregate_state can be neither read nor written"),
			 errdetail("They are what combine() merges, within one statement.")));
}

Datum
bs_aggregate_state_in(PG_FUNCTION_ARGS)
{
	refuse_state();
}

Datum
bs_aggregate_state_out(PG_FUNCTION_ARGS)
{
	refuse_state();
}

static void
pg_attribute_noreturn() refuse_call(void)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("combine() merges the states of a column of a continuous view"),
					errdetail("It can be used in a SELECT that reads the view, and not as a window "
							  "function."),
					errhint("Write combine(v.column) in a SELECT FROM v, where v is a continuous "
							"view.")));
}

Datum
bs_combine_transition(PG_FUNCTION_ARGS)
{
	refuse_call();
}

Datum
bs_combine_final(PG_FUNCTION_ARGS)
{
	refuse_call();
}

/* The scan supplies its value. */
Datum
bs_state_of(PG_FUNCTION_ARGS)
{
	refuse_call();
}

/* ---------- the column ---------- */

static Datum
constant_argument(const Aggref *aggref, BsCombineArgument which)
{
	const Const *value = (Const *) list_nth_node(TargetEntry, aggref->args, which)->expr;

	if (!IsA(value, Const) || value->constisnull)
		refuse_call();
	return value->constvalue;
}

static void
pg_attribute_noreturn() refuse_changed(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the definition of continuous view \"%s\" has changed since this statement "
					"was planned",
					get_rel_name(relid)),
			 errhint("Run the statement again; DEALLOCATE it if it is a prepared one.")));
}

/* Compiled as the scan has compiled it: the same fingerprint is the same layout. */
static BsColumnState *
make_column(const Aggref *aggref)
{
	Oid relid = DatumGetObjectId(constant_argument(aggref, BS_COMBINE_VIEW));
	AttrNumber attno = DatumGetInt16(constant_argument(aggref, BS_COMBINE_COLUMN));
	uint64 planned = (uint64) DatumGetInt64(constant_argument(aggref, BS_COMBINE_FINGERPRINT));
	BsColumnState *state = palloc(sizeof(BsColumnState));
	BsViewProgram *view;
	BsViewDef *def;

	if (!bs_relation_is_view(relid))
		refuse_call();
	view = bs_view_compile(relid, 1, &def);
	if (view->program.fingerprint != planned)
		refuse_changed(relid);
	if (attno <= 0 || attno > list_length(view->tlist) ||
		bs_columnstate_refusal(view, attno) != NULL ||
		aggref->aggtype !=
			exprType((Node *) list_nth_node(TargetEntry, view->tlist, attno - 1)->expr))
		refuse_call();
	bs_columnstate_init(state, view, &def->options, attno);
	return state;
}

/* Of this call of the aggregate, made when it is first needed and kept as long as the query. */
static BsColumnState *
column_of(FunctionCallInfo fcinfo)
{
	Aggref *aggref = AggGetAggref(fcinfo);
	MemoryContext outer;

	if (aggref == NULL)
		refuse_call();
	if (fcinfo->flinfo->fn_extra == NULL)
	{
		outer = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = make_column(aggref);
		MemoryContextSwitchTo(outer);
	}
	return fcinfo->flinfo->fn_extra;
}

/* ---------- the aggregate ---------- */

Datum
bs_combine_states_transition(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MemoryContext outer;
	BsStateSum *sum;

	if (AggCheckCallContext(fcinfo, &context) != AGG_CONTEXT_AGGREGATE)
		refuse_call();
	sum = PG_ARGISNULL(0) ? bs_statesum_create(column_of(fcinfo), context)
						  : (BsStateSum *) PG_GETARG_POINTER(0);
	/* The row of an outer join that has none of the view's. */
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(sum);
	outer = MemoryContextSwitchTo(context);
	bs_statesum_add(sum, PG_GETARG_DATUM(1));
	MemoryContextSwitchTo(outer);
	PG_RETURN_POINTER(sum);
}

Datum
bs_combine_states_final(PG_FUNCTION_ARGS)
{
	BsStateSum *sum;
	bool isnull;
	Datum value;

	if (AggCheckCallContext(fcinfo, NULL) != AGG_CONTEXT_AGGREGATE)
		refuse_call();
	/* Over no rows it is the aggregate over no records. */
	sum = PG_ARGISNULL(0) ? bs_statesum_create(column_of(fcinfo), CurrentMemoryContext)
						  : (BsStateSum *) PG_GETARG_POINTER(0);
	value = bs_statesum_final(sum, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	return value;
}
