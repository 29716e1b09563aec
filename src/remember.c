/* SPDX-License-Identifier: PostgreSQL */
/* remember.c: functions whose values continuous views remember.  See remember.h. */
#include "backstream.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "portability/instr_time.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "remember.h"

BS_SQL_FUNCTION(bs_remember);
BS_SQL_FUNCTION(bs_remember_time);
BS_SQL_FUNCTION(bs_remembered_call);

/* ---------- which functions ---------- */

static int
msec_of_config(Datum config)
{
	Datum *settings;
	int n;
	int msec = 0;

	deconstruct_array(DatumGetArrayTypeP(config), TEXTOID, -1, false, TYPALIGN_INT, &settings, NULL,
					  &n);
	for (int i = 0; i < n; i++)
	{
		char *setting = TextDatumGetCString(settings[i]);
		const char *value = strchr(setting, '=');

		if (value != NULL && (size_t) (value - setting) == strlen(BS_REMEMBER_SETTING) &&
			pg_strncasecmp(setting, BS_REMEMBER_SETTING, strlen(BS_REMEMBER_SETTING)) == 0 &&
			parse_int(value + 1, &msec, GUC_UNIT_MS, NULL))
			return Max(msec, 0);
	}
	return 0;
}

int
bs_remember_msec(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool isnull;
	Datum config;
	int msec;

	if (!HeapTupleIsValid(tuple))
		return 0;
	config = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig, &isnull);
	msec = isnull ? 0 : msec_of_config(config);
	ReleaseSysCache(tuple);
	return msec;
}

/* backstream.remember_time(oid): the same as an interval, or NULL. */
Datum
bs_remember_time(PG_FUNCTION_ARGS)
{
	int msec = bs_remember_msec(PG_GETARG_OID(0));
	Interval *interval;

	if (msec == 0)
		PG_RETURN_NULL();
	interval = palloc0(sizeof(Interval));
	interval->time = msec * INT64CONST(1000);
	PG_RETURN_INTERVAL_P(interval);
}

/* ---------- declaring ---------- */

static void
check_function(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	const char *why = NULL;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("function with OID %u does not exist", function)));
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if (form->prokind != PROKIND_FUNCTION)
		why = "It is not an ordinary function.";
	else if (form->proretset)
		why = "It returns a set.";
	else if (form->provolatile == PROVOLATILE_VOLATILE)
		why = "It is volatile: it may come to something else each time.";
	ReleaseSysCache(tuple);
	if (why != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("what %s returns cannot be remembered", format_procedure(function)),
				 errdetail("%s", why),
				 errhint("A function that only reads tables can be declared STABLE: ALTER FUNCTION "
						 "... STABLE.")));
}

static int64
msec_of_interval(const Interval *interval)
{
	int64 msec = interval->time / 1000 + interval->day * (USECS_PER_DAY / 1000);

	if (interval->month != 0 || msec < 1 || msec > INT_MAX)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the time must be from 1 ms to 24 days"),
						errhint("NULL: do not remember it any more.")));
	return msec;
}

/* backstream.remember(regprocedure, interval): ALTER FUNCTION, with the caller's rights. */
Datum
bs_remember(PG_FUNCTION_ARGS)
{
	Oid function;
	char *name;
	char *change;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the function cannot be NULL")));
	function = PG_GETARG_OID(0);
	check_function(function);
	name = format_procedure_qualified(function);
	change = PG_ARGISNULL(1) ? psprintf("RESET " BS_REMEMBER_SETTING)
							 : psprintf("SET " BS_REMEMBER_SETTING " = '" INT64_FORMAT "ms'",
										msec_of_interval(PG_GETARG_INTERVAL_P(1)));
	SPI_connect();
	if (SPI_execute(psprintf("ALTER FUNCTION %s %s", name, change), false, 0) < 0)
		elog(ERROR, "ALTER FUNCTION failed");
	SPI_finish();
	PG_RETURN_VOID();
}

/* ---------- the exchange ---------- */

static Oid
remembered_call(void)
{
	Oid types[] = {INTERNALOID};

	return LookupFuncName(list_make2(makeString(BS_EXTENSION), makeString("remembered_call")), 1,
						  types, true);
}

static bool
is_remembered(Node *node)
{
	FuncExpr *call = (FuncExpr *) node;

	return IsA(node, FuncExpr) && !call->funcretset && list_length(call->args) < FUNC_MAX_ARGS &&
		   bs_remember_msec(call->funcid) > 0;
}

/* ExecInitExpr() would look at the rights to the function that is called instead. */
static void
check_right(Oid function)
{
	AclResult result = pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
	InvokeFunctionExecuteHook(function);
}

static Node *
calls_mutator(Node *node, Oid *by)
{
	FuncExpr *call;
	FuncExpr *instead;
	Node *changed;

	if (node == NULL)
		return NULL;
	changed = expression_tree_mutator(node, calls_mutator, by);
	/* The elements of an array are converted one after the other: a value must stay meanwhile. */
	if (IsA(node, ArrayCoerceExpr))
		((ArrayCoerceExpr *) changed)->elemexpr = copyObject(((ArrayCoerceExpr *) node)->elemexpr);
	if (!is_remembered(node))
		return changed;
	call = (FuncExpr *) changed;
	check_right(call->funcid);
	instead = makeFuncExpr(*by, call->funcresulttype,
						   lcons(makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
										   ObjectIdGetDatum(call->funcid), false, true),
								 call->args),
						   call->funccollid, call->inputcollid, COERCE_EXPLICIT_CALL);
	instead->location = call->location;
	return (Node *) instead;
}

Expr *
bs_remember_calls(Expr *expr)
{
	Oid by;

	if (bs_remember_find(expr) == NIL)
		return expr;
	by = remembered_call();
	if (!OidIsValid(by))
		return expr;
	return (Expr *) calls_mutator((Node *) expr, &by);
}

static bool
find_walker(Node *node, List **found)
{
	if (node == NULL)
		return false;
	if (is_remembered(node))
		*found = list_append_unique(*found, node);
	return expression_tree_walker(node, find_walker, found);
}

List *
bs_remember_find(Expr *expr)
{
	List *found = NIL;

	(void) find_walker((Node *) expr, &found);
	return found;
}

/* ---------- advice ---------- */

/* Its language is one in which functions read tables, and nothing says that it is fast. */
static bool
may_be_slow(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool slow;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	slow = form->provolatile == PROVOLATILE_STABLE && form->prolang != INTERNALlanguageId &&
		   form->prolang != ClanguageId;
	ReleaseSysCache(tuple);
	return slow && bs_remember_msec(function) == 0;
}

static bool
advise_walker(Node *node, List **said)
{
	Oid function;

	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && may_be_slow(function = ((FuncExpr *) node)->funcid) &&
		!list_member_oid(*said, function))
	{
		*said = lappend_oid(*said, function);
		ereport(NOTICE,
				(errmsg("function %s will be called for each record", format_procedure(function)),
				 errhint("If it reads tables, let what it returns be remembered: SELECT "
						 "backstream.remember('%s', '1 min').",
						 format_procedure(function))));
	}
	return expression_tree_walker(node, advise_walker, said);
}

void
bs_remember_advise(List *exprs)
{
	List *said = NIL;

	(void) advise_walker((Node *) exprs, &said);
}

/* ---------- calling ---------- */

/* Counts transactions that have failed: what was read in one may never have been. */
static uint64 failed_transactions;

/* One place in an expression; in fn_extra. */
typedef struct Remembered
{
	MemoryContext context; /* of the cache, which may be made anew */
	BsRememberCache *cache;
	uint64 failed_seen;
	int64 usec;
	bool strict;
	int16 len;
	bool byval;
	int nargs;
	int16 arg_len[FUNC_MAX_ARGS];
	bool arg_byval[FUNC_MAX_ARGS];
	StringInfoData key;
	FmgrInfo function;
	FunctionCallInfo call;
} Remembered;

static void
at_transaction_end(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT)
		failed_transactions++;
}

void
bs_remember_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}

static Remembered *
remembered_create(FunctionCallInfo fcinfo)
{
	MemoryContext outer = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	Remembered *place = palloc0(sizeof(Remembered));
	FuncExpr *instead = castNode(FuncExpr, fcinfo->flinfo->fn_expr);
	Oid function = DatumGetObjectId(fcinfo->args[0].value);
	FuncExpr *call =
		makeFuncExpr(function, instead->funcresulttype, list_copy_tail(instead->args, 1),
					 instead->funccollid, instead->inputcollid, COERCE_EXPLICIT_CALL);

	place->context =
		AllocSetContextCreate(CurrentMemoryContext, "BackStream remembered", ALLOCSET_SMALL_SIZES);
	place->usec = bs_remember_msec(function) * INT64CONST(1000);
	place->nargs = list_length(call->args);
	for (int i = 0; i < place->nargs; i++)
		get_typlenbyval(exprType(list_nth(call->args, i)), &place->arg_len[i],
						&place->arg_byval[i]);
	get_typlenbyval(call->funcresulttype, &place->len, &place->byval);
	initStringInfo(&place->key);
	fmgr_info_cxt(function, &place->function, CurrentMemoryContext);
	fmgr_info_set_expr((Node *) call, &place->function);
	place->strict = place->function.fn_strict;
	place->call = palloc0(SizeForFunctionCallInfo(place->nargs));
	InitFunctionCallInfoData(*place->call, &place->function, place->nargs, call->inputcollid, NULL,
							 NULL);
	MemoryContextSwitchTo(outer);
	fcinfo->flinfo->fn_extra = place;
	return place;
}

static BsRememberCache *
cache_of(Remembered *place)
{
	if (place->cache != NULL && place->failed_seen == failed_transactions)
		return place->cache;
	place->cache = NULL;
	MemoryContextReset(place->context);
	place->cache = bs_remember_cache_create(place->context, place->len, place->byval);
	place->failed_seen = failed_transactions;
	return place->cache;
}

static void
append_argument(StringInfo key, Datum value, int16 len, bool byval)
{
	struct varlena *flat;
	int32 size;

	if (byval)
		appendBinaryStringInfo(key, (char *) &value, sizeof(value));
	else if (len > 0)
		appendBinaryStringInfo(key, DatumGetPointer(value), len);
	else if (len == -2)
		appendBinaryStringInfo(key, DatumGetCString(value),
							   (int) strlen(DatumGetCString(value)) + 1);
	else
	{
		flat = PG_DETOAST_DATUM_PACKED(value);
		size = (int32) VARSIZE_ANY_EXHDR(flat);
		appendBinaryStringInfo(key, (char *) &size, sizeof(size));
		appendBinaryStringInfo(key, VARDATA_ANY(flat), size);
	}
}

/* The arguments into the call and, as bytes, into the key; returns whether one is NULL. */
static bool
take_arguments(Remembered *place, FunctionCallInfo fcinfo)
{
	bool has_null = false;

	resetStringInfo(&place->key);
	for (int i = 0; i < place->nargs; i++)
	{
		NullableDatum *arg = &fcinfo->args[i + 1];

		place->call->args[i] = *arg;
		appendStringInfoChar(&place->key, arg->isnull);
		has_null = has_null || arg->isnull;
		if (!arg->isnull)
			append_argument(&place->key, arg->value, place->arg_len[i], place->arg_byval[i]);
	}
	return has_null;
}

/*
 * remembered_call(function, its arguments ...): what the function returned for the same arguments a
 * while ago, or returns now.  An error is not remembered.
 */
Datum
bs_remembered_call(PG_FUNCTION_ARGS)
{
	Remembered *place = fcinfo->flinfo->fn_extra;
	BsRememberCache *cache;
	instr_time now;
	Datum value;

	if (place == NULL)
		place = remembered_create(fcinfo);
	if (take_arguments(place, fcinfo) && place->strict)
		PG_RETURN_NULL();
	cache = cache_of(place);
	INSTR_TIME_SET_CURRENT(now);
	if (bs_remember_cache_get(cache, &place->key, (int64) INSTR_TIME_GET_MICROSEC(now), &value,
							  &fcinfo->isnull))
		return value;
	place->call->isnull = false;
	value = FunctionCallInvoke(place->call);
	fcinfo->isnull = place->call->isnull;
	/* What is stored elsewhere may be gone tomorrow. */
	if (!fcinfo->isnull && place->len == -1)
		value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
	bs_remember_cache_put(cache, &place->key, (int64) INSTR_TIME_GET_MICROSEC(now) + place->usec,
						  value, fcinfo->isnull);
	return value;
}
