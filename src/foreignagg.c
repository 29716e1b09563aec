/* SPDX-License-Identifier: PostgreSQL */
/*
 * foreignagg.c: aggregates backed by PostgreSQL's own functions.  See foreignagg.h.
 *
 * Everything of one group lives in a context that is reset when its bytes have been made, so that
 * no transition value needs copying or freeing on the way.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_agg.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "foreignagg.h"
#include "lanes.h"

typedef enum Function
{
	TRANSITION,
	COMBINE,
	SERIAL,
	DESERIAL,
	FINAL,
	NFUNCTIONS
} Function;

struct BsForeignAgg
{
	MemoryContext context;
	MemoryContext group_context;
	Aggref *aggref;
	int nargs;
	Oid argtypes[FUNC_MAX_ARGS];
	Oid transtype;
	int16 translen;
	bool transbyval;
	Oid element; /* of the states of built-in aggregates that are arrays of words; else InvalidOid */
	bool has_init;
	Datum init; /* of the type transtype */
	bool final_extra;
	Oid functions[NFUNCTIONS]; /* 0: none */
	uint64 functions_seen;
	MemoryContext calls_context; /* of what follows */
	FmgrInfo infos[NFUNCTIONS];
	FunctionCallInfo calls[NFUNCTIONS];
	AggState *state_node; /* tells the functions which context states live in */
};

typedef NullableDatum State;

/* ---------- making ---------- */

static HeapTuple
aggregate_tuple(Oid aggregate)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggregate);
	return tuple;
}

const char *
bs_foreignagg_refusal(const Aggref *aggref)
{
	HeapTuple tuple = aggregate_tuple(aggref->aggfnoid);
	Form_pg_aggregate form = (Form_pg_aggregate) GETSTRUCT(tuple);
	const char *why = NULL;

	if (!OidIsValid(form->aggcombinefn))
		why = "It has no combine function, so that parts of its result cannot be put together.";
	else if (form->aggtranstype == INTERNALOID &&
			 (!OidIsValid(form->aggserialfn) || !OidIsValid(form->aggdeserialfn)))
		why = "Its state cannot be serialized, so that it cannot be kept or merged.";
	ReleaseSysCache(tuple);
	return why;
}

static void
set_initial_value(BsForeignAgg *aggregate, HeapTuple tuple)
{
	bool isnull;
	Datum initial = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval, &isnull);
	Oid input;
	Oid ioparam;

	aggregate->has_init = !isnull;
	if (isnull)
		return;
	getTypeInputInfo(aggregate->transtype, &input, &ioparam);
	aggregate->init = OidInputFunctionCall(input, TextDatumGetCString(initial), ioparam, -1);
}

static void
check_rights(const Aggref *aggref, Oid owner)
{
	AclResult result = pg_proc_aclcheck(aggref->aggfnoid, owner, ACL_EXECUTE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_AGGREGATE, get_func_name(aggref->aggfnoid));
}

BsForeignAgg *
bs_foreignagg_create(const Aggref *aggref, Oid owner, MemoryContext context)
{
	HeapTuple tuple = aggregate_tuple(aggref->aggfnoid);
	Form_pg_aggregate form = (Form_pg_aggregate) GETSTRUCT(tuple);
	MemoryContext old = MemoryContextSwitchTo(context);
	BsForeignAgg *aggregate = palloc0(sizeof(BsForeignAgg));

	check_rights(aggref, owner);
	aggregate->context = context;
	aggregate->group_context =
		AllocSetContextCreate(context, "BackStream aggregate group", ALLOCSET_DEFAULT_SIZES);
	aggregate->aggref = copyObject((Aggref *) aggref);
	aggregate->nargs = get_aggregate_argtypes(aggregate->aggref, aggregate->argtypes);
	aggregate->transtype = resolve_aggregate_transtype(aggref->aggfnoid, form->aggtranstype,
													   aggregate->argtypes, aggregate->nargs);
	get_typlenbyval(aggregate->transtype, &aggregate->translen, &aggregate->transbyval);
	if (aggref->aggfnoid < FirstGenbkiObjectId &&
		(aggregate->transtype == INT8ARRAYOID || aggregate->transtype == FLOAT8ARRAYOID))
		aggregate->element = get_element_type(aggregate->transtype);
	aggregate->functions[TRANSITION] = form->aggtransfn;
	aggregate->functions[COMBINE] = form->aggcombinefn;
	aggregate->functions[FINAL] = form->aggfinalfn;
	if (aggregate->transtype == INTERNALOID)
	{
		aggregate->functions[SERIAL] = form->aggserialfn;
		aggregate->functions[DESERIAL] = form->aggdeserialfn;
	}
	aggregate->final_extra = form->aggfinalextra;
	set_initial_value(aggregate, tuple);
	MemoryContextSwitchTo(old);
	ReleaseSysCache(tuple);
	return aggregate;
}

/* The expression that tells a polymorphic function its types. */
static Expr *
function_expr(BsForeignAgg *aggregate, Function function)
{
	Oid oid = aggregate->functions[function];
	Oid collation = aggregate->aggref->inputcollid;
	Expr *expr = NULL;

	switch (function)
	{
		case TRANSITION:
			build_aggregate_transfn_expr(aggregate->argtypes, aggregate->nargs, 0,
										 aggregate->aggref->aggvariadic, aggregate->transtype,
										 collation, oid, InvalidOid, &expr, NULL);
			break;
		case COMBINE:
			build_aggregate_transfn_expr(&aggregate->transtype, 1, 0, false, aggregate->transtype,
										 collation, oid, InvalidOid, &expr, NULL);
			break;
		case SERIAL:
			build_aggregate_serialfn_expr(oid, &expr);
			break;
		case DESERIAL:
			build_aggregate_deserialfn_expr(oid, &expr);
			break;
		case FINAL:
			build_aggregate_finalfn_expr(
				aggregate->argtypes, aggregate->final_extra ? aggregate->nargs + 1 : 1,
				aggregate->transtype, aggregate->aggref->aggtype, collation, oid, &expr);
			break;
		default:
			break;
	}
	return expr;
}

static int
function_nargs(const BsForeignAgg *aggregate, Function function)
{
	switch (function)
	{
		case TRANSITION:
			return aggregate->nargs + 1;
		case SERIAL:
			return 1;
		case FINAL:
			return aggregate->final_extra ? aggregate->nargs + 1 : 1;
		default:
			return 2;
	}
}

static void
make_call(BsForeignAgg *aggregate, Function function)
{
	FmgrInfo *info = &aggregate->infos[function];
	int nargs = function_nargs(aggregate, function);

	fmgr_info(aggregate->functions[function], info);
	fmgr_info_set_expr((Node *) function_expr(aggregate, function), info);
	aggregate->calls[function] = palloc0(SizeForFunctionCallInfo(nargs));
	InitFunctionCallInfoData(*aggregate->calls[function], info, (short) nargs,
							 aggregate->aggref->inputcollid, (Node *) aggregate->state_node, NULL);
}

/* Look up the functions, again if any function has changed. */
static void
make_calls(BsForeignAgg *aggregate)
{
	MemoryContext old;
	ExprContext *econtext;

	if (aggregate->functions_seen == bs_functions_generation())
		return;
	if (aggregate->calls_context != NULL)
		MemoryContextDelete(aggregate->calls_context);
	aggregate->functions_seen = 0;
	aggregate->calls_context = AllocSetContextCreate(
		aggregate->context, "BackStream aggregate calls", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(aggregate->calls_context);
	econtext = makeNode(ExprContext);
	econtext->ecxt_per_tuple_memory = aggregate->group_context;
	econtext->ecxt_per_query_memory = aggregate->group_context;
	aggregate->state_node = makeNode(AggState);
	aggregate->state_node->curaggcontext = econtext;
	for (Function function = 0; function < NFUNCTIONS; function++)
		if (OidIsValid(aggregate->functions[function]))
			make_call(aggregate, function);
	MemoryContextSwitchTo(old);
	aggregate->functions_seen = bs_functions_generation();
}

/* ---------- one state ---------- */

static Datum
call(BsForeignAgg *aggregate, Function function, bool *isnull)
{
	FunctionCallInfo fcinfo = aggregate->calls[function];
	Datum result;

	fcinfo->isnull = false;
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

static void
set_arg(BsForeignAgg *aggregate, Function function, int arg, Datum value, bool isnull)
{
	aggregate->calls[function]->args[arg].value = value;
	aggregate->calls[function]->args[arg].isnull = isnull;
}

/* before: no record was added yet. */
static State
initial_state(const BsForeignAgg *aggregate, bool *before)
{
	State state = {.value = (Datum) 0, .isnull = !aggregate->has_init};

	*before = true;
	if (aggregate->has_init)
		state.value = datumCopy(aggregate->init, aggregate->transbyval, aggregate->translen);
	return state;
}

static bool
any_null(const NullableDatum *args, int nargs)
{
	for (int i = 0; i < nargs; i++)
		if (args[i].isnull)
			return true;
	return false;
}

/* Add one record; the rules are those of PostgreSQL's advance_transition_function(). */
static void
transition(BsForeignAgg *aggregate, State *state, bool *before, const NullableDatum *args)
{
	bool strict = aggregate->infos[TRANSITION].fn_strict;

	if (strict && any_null(args, aggregate->nargs))
		return;
	if (strict && state->isnull)
	{
		/* The first value is the state; one that became NULL later stays so. */
		if (*before && !aggregate->has_init)
		{
			state->value = datumCopy(args[0].value, aggregate->transbyval, aggregate->translen);
			state->isnull = false;
		}
		*before = false;
		return;
	}
	*before = false;
	set_arg(aggregate, TRANSITION, 0, state->value, state->isnull);
	for (int i = 0; i < aggregate->nargs; i++)
		set_arg(aggregate, TRANSITION, i + 1, args[i].value, args[i].isnull);
	state->value = call(aggregate, TRANSITION, &state->isnull);
}

static State
combine(BsForeignAgg *aggregate, State a, State b)
{
	State state;

	if (aggregate->infos[COMBINE].fn_strict && (a.isnull || b.isnull))
		return a.isnull ? b : a;
	set_arg(aggregate, COMBINE, 0, a.value, a.isnull);
	set_arg(aggregate, COMBINE, 1, b.value, b.isnull);
	state.value = call(aggregate, COMBINE, &state.isnull);
	return state;
}

static void
set_state_bytes(BsBytes *bytes, const void *data, Size len)
{
	uint8_t *copy = palloc(len + 1);

	copy[0] = 1;
	memcpy(copy + 1, data, len);
	*bytes = (BsBytes){.data = copy, .len = (uint32_t) len + 1};
}

/* In result_context. */
static BsBytes
state_to_bytes(BsForeignAgg *aggregate, State state, MemoryContext result_context)
{
	MemoryContext old;
	BsBytes bytes = {0};
	Datum value = state.value;

	if (state.isnull)
	{
		bytes.data = MemoryContextAllocZero(result_context, 1);
		bytes.len = 1;
		return bytes;
	}
	if (aggregate->transtype == INTERNALOID)
	{
		bool isnull;

		set_arg(aggregate, SERIAL, 0, state.value, false);
		value = call(aggregate, SERIAL, &isnull);
	}
	old = MemoryContextSwitchTo(result_context);
	if (aggregate->transtype != INTERNALOID && aggregate->transbyval)
		set_state_bytes(&bytes, &value, sizeof(Datum));
	else if (aggregate->transtype != INTERNALOID && aggregate->translen > 0)
		set_state_bytes(&bytes, DatumGetPointer(value), (Size) aggregate->translen);
	else
	{
		struct varlena *flat = PG_DETOAST_DATUM_PACKED(value);

		set_state_bytes(&bytes, VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat));
	}
	MemoryContextSwitchTo(old);
	return bytes;
}

static State
state_from_bytes(BsForeignAgg *aggregate, BsBytes bytes)
{
	State state = {.value = (Datum) 0, .isnull = bytes.len <= 1 || bytes.data[0] == 0};
	Size len = bytes.len - 1;

	if (bytes.len == 1 && bytes.data[0] == 1)
		state.isnull = false; /* an empty value */
	if (state.isnull)
		return state;
	if (aggregate->transtype != INTERNALOID && aggregate->transbyval)
		memcpy(&state.value, bytes.data + 1, sizeof(Datum));
	else if (aggregate->transtype != INTERNALOID && aggregate->translen > 0)
		state.value = PointerGetDatum(memcpy(palloc(len), bytes.data + 1, len));
	else
	{
		struct varlena *flat = palloc(VARHDRSZ + len);

		SET_VARSIZE(flat, VARHDRSZ + len);
		memcpy(VARDATA(flat), bytes.data + 1, len);
		state.value = PointerGetDatum(flat);
	}
	if (aggregate->transtype == INTERNALOID)
	{
		set_arg(aggregate, DESERIAL, 0, state.value, false);
		set_arg(aggregate, DESERIAL, 1, (Datum) 0, true);
		state.value = call(aggregate, DESERIAL, &state.isnull);
	}
	return state;
}

/* ---------- batches ---------- */

/* What the guarded code works on. */
typedef struct Work
{
	BsForeignAgg *aggregate;
	const BsLane *argument;
	const BsRows *groups;
	uint32_t group; /* in hand; moves when its state is made */
	uint32_t ngroups;
	uint32_t next; /* row of the group; moves before a transition can fail */
	uint32_t end;  /* last group only: rows behind it are left out */
	const BsBytes *parts;
	uint32_t nparts;
	BsBytes *results; /* one per group, or one of all parts */
	MemoryContext result_context;
} Work;

static void
get_args(const Work *work, uint32_t row, NullableDatum *args)
{
	const BsForeignAgg *aggregate = work->aggregate;

	if (aggregate->nargs == 1)
		args[0].value = bs_lane_get(work->argument, row, aggregate->argtypes[0], &args[0].isnull);
	else if (aggregate->nargs > 1)
		memcpy(args, ((const BsArguments *) work->argument->bytes[row].data)->args,
			   sizeof(NullableDatum) * (Size) aggregate->nargs);
}

/* From work->next on to end. */
static void
accumulate_rows(Work *work, const uint16_t *rows, uint32_t end)
{
	BsForeignAgg *aggregate = work->aggregate;
	NullableDatum args[FUNC_MAX_ARGS];
	State state;
	bool before;

	state = initial_state(aggregate, &before);
	while (work->next < end)
	{
		get_args(work, rows[work->next++], args);
		transition(aggregate, &state, &before, args);
	}
	if (before)
		work->results[work->group] = (BsBytes){0};
	else
		work->results[work->group] = state_to_bytes(aggregate, state, work->result_context);
}

static void
accumulate_groups(void *argument)
{
	Work *work = argument;
	MemoryContext old;

	make_calls(work->aggregate);
	old = MemoryContextSwitchTo(work->aggregate->group_context);
	for (; work->group < work->ngroups; work->group++)
	{
		const BsRows *rows = &work->groups[work->group];

		accumulate_rows(work, rows->rows, Min(rows->nrows, work->end));
		work->next = 0;
		MemoryContextReset(work->aggregate->group_context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
}

static State
combined_state(BsForeignAgg *aggregate, const BsBytes *states, uint32_t nstates)
{
	State state;
	bool before;

	if (nstates == 0)
		return initial_state(aggregate, &before);
	state = state_from_bytes(aggregate, states[0]);
	for (uint32_t i = 1; i < nstates; i++)
		state = combine(aggregate, state, state_from_bytes(aggregate, states[i]));
	return state;
}

static void
combine_parts(void *argument)
{
	Work *work = argument;
	BsForeignAgg *aggregate = work->aggregate;
	MemoryContext old;
	State state;

	make_calls(aggregate);
	old = MemoryContextSwitchTo(aggregate->group_context);
	state = combined_state(aggregate, work->parts, work->nparts);
	work->results[0] = state_to_bytes(aggregate, state, work->result_context);
	MemoryContextSwitchTo(old);
}

static bool
run(BsComputed *set, BsGuarded code, Work *work)
{
	bool ok;

	work->result_context = CurrentMemoryContext;
	ok = bs_computed_guard(set, code, work);
	MemoryContextReset(work->aggregate->group_context);
	return ok;
}

bool
bs_foreignagg_combine(BsForeignAgg *aggregate, BsComputed *set, const BsBytes *states,
					  uint32_t nstates, BsBytes *combined)
{
	BsBytes result = {0};
	Work work = {.aggregate = aggregate, .parts = states, .nparts = nstates, .results = &result};

	if (nstates == 1)
		result = states[0];
	else if (!run(set, combine_parts, &work))
		return false;
	*combined = result;
	return true;
}

/* Rows [first, end) are in error. */
static void
fail_rows(BsRows rows, uint32_t first, uint32_t end, uint8_t *errors)
{
	for (uint32_t i = first; i < end; i++)
		errors[rows.rows[i]] = BS_ERROR_FOREIGN;
}

/*
 * Add rows [first, end) to state.  False if one of them fails: *bad is the one, and state is as it
 * was.
 */
static bool
add_rows(BsForeignAgg *aggregate, BsComputed *set, const BsLane *argument, BsRows rows,
		 uint32_t first, uint32_t end, BsBytes *state, uint32_t *bad)
{
	BsBytes both[2] = {*state};
	Work work = {.aggregate = aggregate,
				 .argument = argument,
				 .groups = &rows,
				 .ngroups = 1,
				 .next = first,
				 .end = end,
				 .results = &both[1]};

	if (run(set, accumulate_groups, &work))
	{
		if (both[0].len == 0 || both[1].len == 0)
		{
			*state = both[0].len == 0 ? both[1] : both[0];
			return true;
		}
		work.next = end;
		if (bs_foreignagg_combine(aggregate, set, both, 2, state))
			return true;
	}
	*bad = Max(work.next, first + 1) - 1;
	return false;
}

void
bs_foreignagg_accumulate(BsForeignAgg *aggregate, BsComputed *set, const BsLane *argument,
						 BsRows rows, uint8_t *errors, BsBytes *state)
{
	uint32_t first = 0;

	*state = (BsBytes){0};
	while (first < rows.nrows)
	{
		uint32_t bad;
		uint32_t ignored;

		if (add_rows(aggregate, set, argument, rows, first, rows.nrows, state, &bad))
			return;
		/* A failed transition may have spoilt the state: take the rows before it once more. */
		if (bad > first && !add_rows(aggregate, set, argument, rows, first, bad, state, &ignored))
			fail_rows(rows, first, bad, errors);
		fail_rows(rows, bad, bad + 1, errors);
		first = bad + 1;
	}
}

void
bs_foreignagg_accumulate_groups(BsForeignAgg *aggregate, BsComputed *set, const BsLane *argument,
								const BsRows *groups, uint32_t ngroups, uint8_t *errors,
								BsBytes *states)
{
	Work work = {.aggregate = aggregate,
				 .argument = argument,
				 .groups = groups,
				 .ngroups = ngroups,
				 .end = UINT32_MAX,
				 .results = states};

	while (work.group < ngroups)
	{
		if (run(set, accumulate_groups, &work))
			return;
		/* The group in hand has a record that fails; it is taken by itself. */
		bs_foreignagg_accumulate(aggregate, set, argument, groups[work.group], errors,
								 &states[work.group]);
		work.group++;
		work.next = 0;
	}
}

/* ---------- readers ---------- */

static State
final_state(BsForeignAgg *aggregate, State state)
{
	int nargs = function_nargs(aggregate, FINAL);

	if (!OidIsValid(aggregate->functions[FINAL]))
		return state;
	if (aggregate->infos[FINAL].fn_strict && (state.isnull || nargs > 1))
		return (State){.isnull = true};
	set_arg(aggregate, FINAL, 0, state.value, state.isnull);
	for (int i = 1; i < nargs; i++)
		set_arg(aggregate, FINAL, i, (Datum) 0, true);
	state.value = call(aggregate, FINAL, &state.isnull);
	return state;
}

/* The value of a state, out of the context that goes: in caller. */
static Datum
finish(BsForeignAgg *aggregate, State state, MemoryContext caller, bool *isnull)
{
	state = final_state(aggregate, state);
	MemoryContextSwitchTo(caller);
	if (!state.isnull)
	{
		int16 len;
		bool byval;

		get_typlenbyval(aggregate->aggref->aggtype, &len, &byval);
		if (!byval && len == -1)
			state.value = PointerGetDatum(PG_DETOAST_DATUM_COPY(state.value));
		else
			state.value = datumCopy(state.value, byval, len);
	}
	MemoryContextReset(aggregate->group_context);
	*isnull = state.isnull;
	return state.value;
}

Datum
bs_foreignagg_final(BsForeignAgg *aggregate, const BsBytes *states, int nstates, bool *isnull)
{
	MemoryContext caller = CurrentMemoryContext;

	make_calls(aggregate);
	MemoryContextReset(aggregate->group_context);
	MemoryContextSwitchTo(aggregate->group_context);
	return finish(aggregate, combined_state(aggregate, states, (uint32_t) nstates), caller, isnull);
}

bool
bs_foreignagg_ignores_nulls(const Aggref *aggref)
{
	HeapTuple tuple = aggregate_tuple(aggref->aggfnoid);
	Oid transition_function = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggtransfn;

	ReleaseSysCache(tuple);
	/* Of PostgreSQL's own, those of one argument that can be combined pass over NULLs by themselves. */
	return aggref->aggfnoid < FirstNormalObjectId || func_strict(transition_function);
}

Datum
bs_foreignagg_over(BsForeignAgg *aggregate, const Datum *values, uint32_t nvalues, bool *isnull)
{
	MemoryContext caller = CurrentMemoryContext;
	State state;
	bool before;

	make_calls(aggregate);
	MemoryContextReset(aggregate->group_context);
	MemoryContextSwitchTo(aggregate->group_context);
	state = initial_state(aggregate, &before);
	for (uint32_t i = 0; i < nvalues; i++)
	{
		NullableDatum argument = {.value = values[i], .isnull = false};

		transition(aggregate, &state, &before, &argument);
		CHECK_FOR_INTERRUPTS();
	}
	return finish(aggregate, state, caller, isnull);
}

BsBytes
bs_foreignagg_merge(BsForeignAgg *aggregate, const BsBytes *states, int nstates)
{
	MemoryContext caller = CurrentMemoryContext;
	BsBytes merged;

	make_calls(aggregate);
	MemoryContextReset(aggregate->group_context);
	MemoryContextSwitchTo(aggregate->group_context);
	merged =
		state_to_bytes(aggregate, combined_state(aggregate, states, (uint32_t) nstates), caller);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(aggregate->group_context);
	return merged;
}

bool
bs_foreignagg_is_own(const BsForeignAgg *aggregate)
{
	return aggregate->aggref->aggfnoid >= FirstNormalObjectId;
}

bool
bs_foreignagg_equal(const BsForeignAgg *a, const BsForeignAgg *b)
{
	return equal(a->aggref, b->aggref);
}

uint64
bs_foreignagg_fingerprint(const BsForeignAgg *aggregate)
{
	uint64 hash = aggregate->transtype;

	for (int i = 0; i < NFUNCTIONS; i++)
		hash = hash_combine64(hash, aggregate->functions[i]);
	return hash;
}

/* One dimension of numbers without NULLs, as states that are arrays have. */
static bool
array_valid(const BsForeignAgg *aggregate, BsBytes bytes)
{
	ArrayType head;
	int64 size = (int64) bytes.len + VARHDRSZ;
	int ndim;

	if (size < (int64) ARR_OVERHEAD_NONULLS(0))
		return false;
	memcpy((char *) &head + VARHDRSZ, bytes.data, sizeof(head) - VARHDRSZ);
	ndim = head.ndim;
	if (head.elemtype != aggregate->element || head.dataoffset != 0 || ndim < 0 || ndim > 1)
		return false;
	if (ndim == 1)
	{
		int32 dim;

		if (size < (int64) ARR_OVERHEAD_NONULLS(1))
			return false;
		memcpy(&dim, bytes.data + sizeof(head) - VARHDRSZ, sizeof(dim));
		return dim >= 0 && size == (int64) ARR_OVERHEAD_NONULLS(1) + (int64) dim * (int64) sizeof(int64);
	}
	return size == (int64) ARR_OVERHEAD_NONULLS(0);
}

bool
bs_foreignagg_state_valid(const BsForeignAgg *aggregate, BsBytes state)
{
	BsBytes value = {.data = state.data + 1, .len = state.len - 1};

	if (state.len == 0 || state.data[0] > 1)
		return false;
	if (state.data[0] == 0)
		return value.len == 0;
	if (aggregate->transtype == INTERNALOID)
		return true;
	if (aggregate->transbyval)
		return value.len == sizeof(Datum);
	if (aggregate->translen > 0)
		return value.len == (uint32_t) aggregate->translen;
	return !OidIsValid(aggregate->element) || array_valid(aggregate, value);
}
