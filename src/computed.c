/* SPDX-License-Identifier: PostgreSQL */
/*
 * computed.c: columns that PostgreSQL computes.  See computed.h.
 *
 * Memory: the set and its expressions live in set->context; the states of expressions in
 * set->states_context, which is thrown away when a function has changed; bytes of values in
 * set->batch_context, until the next batch; what one record leaves behind in the expression
 * context.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "backstream.h"
#include "computed.h"
#include "lanes.h"
#include "pinned.h"
#include "remember.h"

#define ERROR_TEXT_BYTES 512

typedef struct Column
{
	BsComputedForm form;
	List *exprs; /* of Expr; one but for BS_COMPUTED_ARGUMENTS */
	BsType lane;
	Oid type; /* of the first expression */
	/* In states_context: */
	ExprState **states; /* NULL: to be made */
	/* What has been computed for this batch, when several places want it; NULL: not kept. */
	uint8_t *done; /* by row: 0 not yet, 1 value, 2 error */
	BsLane kept;
	uint32_t kept_rows;
	bool shared;
	bool plain; /* BS_COMPUTED_ARGUMENTS of columns and constants: nothing is left to compute */
} Column;

struct BsComputed
{
	MemoryContext context;
	MemoryContext states_context;
	MemoryContext batch_context;
	MemoryContext error_context; /* of the error last caught */
	Oid owner;
	BsViewOptions options;
	TupleDesc desc;
	List *columns;         /* of Column * */
	Bitmapset *attributes; /* numbers of the columns read, from 0 */
	TupleTableSlot *slot;
	ExprContext *econtext; /* in states_context */
	uint64 functions_seen; /* functions_changed when the states were made */

	/* Between begin and end: */
	bool entered;
	bool own_transaction;
	int settings_level;
	Oid saved_user;
	int saved_security;
	bool saved_read_only;
	bool timed_out; /* this batch is given up */

	bool has_error;
	char error[ERROR_TEXT_BYTES];
	char suspended[ERROR_TEXT_BYTES];
};

/* Raised when some function was changed: states hold what they looked up. */
static uint64 functions_changed = 1;

static bool ready;
static TimeoutId time_limit;
static volatile sig_atomic_t time_limit_passed;

static void
function_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	functions_changed++;
}

/* Signal handler: cancel what runs. */
static void
time_limit_handler(void)
{
	time_limit_passed = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/* Once per process. */
static void
make_ready(void)
{
	if (ready)
		return;
	CacheRegisterSyscacheCallback(PROCOID, function_changed, (Datum) 0);
	time_limit = RegisterTimeout(USER_TIMEOUT, time_limit_handler);
	ready = true;
}

uint64
bs_functions_generation(void)
{
	make_ready();
	return functions_changed;
}

/* ---------- making ---------- */

BsComputed *
bs_computed_create(TupleDesc desc, Oid owner, const BsViewOptions *options, MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "BackStream computed columns", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	BsComputed *set = palloc0(sizeof(BsComputed));

	set->context = context;
	set->batch_context =
		AllocSetContextCreate(context, "BackStream computed values", ALLOCSET_DEFAULT_SIZES);
	set->error_context =
		AllocSetContextCreate(context, "BackStream record error", ALLOCSET_SMALL_SIZES);
	set->owner = owner;
	set->options = *options;
	set->options.query = NULL;
	set->options.timezone = options->timezone ? pstrdup(options->timezone) : NULL;
	set->options.datestyle = options->datestyle ? pstrdup(options->datestyle) : NULL;
	set->options.intervalstyle = options->intervalstyle ? pstrdup(options->intervalstyle) : NULL;
	set->desc = CreateTupleDescCopy(desc);
	MemoryContextSwitchTo(old);
	return set;
}

void
bs_computed_free(BsComputed *set)
{
	MemoryContextDelete(set->context);
}

static BsType
lane_of_form(BsComputedForm form, Oid type)
{
	return form == BS_COMPUTED_PLAIN ? bs_type_of(type) : BS_BYTES;
}

bool
bs_computed_equal(const BsComputed *a, const BsComputed *b)
{
	ListCell *la;
	ListCell *lb;

	if (list_length(a->columns) != list_length(b->columns) || a->owner != b->owner ||
		!bs_pinned_equal(&a->options, &b->options))
		return false;
	forboth (la, a->columns, lb, b->columns)
		if (((Column *) lfirst(la))->form != ((Column *) lfirst(lb))->form ||
			!equal(((Column *) lfirst(la))->exprs, ((Column *) lfirst(lb))->exprs))
			return false;
	return true;
}

/* Arguments that need only be fetched. */
static bool
plain_arguments(BsComputedForm form, List *exprs)
{
	ListCell *lc;

	if (form != BS_COMPUTED_ARGUMENTS)
		return false;
	foreach (lc, exprs)
		if (!IsA(lfirst(lc), Var) && !IsA(lfirst(lc), Const))
			return false;
	return true;
}

uint32_t
bs_computed_add_form(BsComputed *set, BsComputedForm form, List *exprs, BsType *type)
{
	MemoryContext old;
	Column *column;

	for (int i = 0; i < list_length(set->columns); i++)
	{
		column = list_nth(set->columns, i);
		if (column->form == form && equal(column->exprs, exprs))
		{
			*type = column->lane;
			return (uint32_t) i;
		}
	}
	old = MemoryContextSwitchTo(set->context);
	column = palloc0(sizeof(Column));
	column->form = form;
	column->exprs = copyObject(exprs);
	column->type = exprType(linitial(exprs));
	column->lane = lane_of_form(form, column->type);
	column->plain = plain_arguments(form, exprs);
	set->columns = lappend(set->columns, column);
	MemoryContextSwitchTo(old);
	*type = column->lane;
	return (uint32_t) list_length(set->columns) - 1;
}

uint32_t
bs_computed_add(BsComputed *set, Expr *expr, BsType *type)
{
	return bs_computed_add_form(set, BS_COMPUTED_PLAIN, list_make1(expr), type);
}

int
bs_computed_mark(const BsComputed *set)
{
	return list_length(set->columns);
}

void
bs_computed_release(BsComputed *set, int mark)
{
	set->columns = list_truncate(set->columns, mark);
}

static void
add_attributes(BsComputed *set, Node *node)
{
	Bitmapset *attributes = NULL;
	List *vars = pull_var_clause(node, 0);
	ListCell *lc;

	foreach (lc, vars)
		attributes = bms_add_member(attributes, ((Var *) lfirst(lc))->varattno - 1);
	set->attributes = bms_add_members(set->attributes, attributes);
}

void
bs_computed_seal(BsComputed *set, const uint32_t *uses)
{
	MemoryContext old = MemoryContextSwitchTo(set->context);

	for (int i = 0; i < list_length(set->columns); i++)
	{
		Column *column = list_nth(set->columns, i);

		column->shared = uses[i] > 1;
		column->kept.type = column->lane;
		add_attributes(set, (Node *) column->exprs);
	}
	set->slot = MakeSingleTupleTableSlot(set->desc, &TTSOpsVirtual);
	memset(set->slot->tts_isnull, true, sizeof(bool) * (size_t) set->desc->natts);
	MemoryContextSwitchTo(old);
}

int
bs_computed_count(const BsComputed *set)
{
	return list_length(set->columns);
}

bool
bs_computed_is_plain(const BsComputed *set, uint32_t number)
{
	return ((Column *) list_nth(set->columns, (int) number))->plain;
}

Expr *
bs_computed_expr(const BsComputed *set, uint32_t number)
{
	Column *column = list_nth(set->columns, (int) number);
	RowExpr *row;

	if (list_length(column->exprs) == 1)
		return linitial(column->exprs);
	row = makeNode(RowExpr);
	row->args = column->exprs;
	row->row_typeid = RECORDOID;
	row->row_format = COERCE_EXPLICIT_CALL;
	row->location = -1;
	return (Expr *) row;
}

void
bs_computed_columns(const BsComputed *set, bool *wanted)
{
	int attribute = -1;

	while ((attribute = bms_next_member(set->attributes, attribute)) >= 0)
		wanted[attribute] = true;
}

/* ---------- entering and leaving ---------- */

void
bs_computed_begin(BsComputed *set)
{
	set->entered = false;
	set->timed_out = false;
	MemoryContextReset(set->batch_context);
	for (int i = 0; i < list_length(set->columns); i++)
	{
		Column *column = list_nth(set->columns, i);

		if (column->done != NULL)
			memset(column->done, 0, column->kept_rows);
	}
}

static void
enter(BsComputed *set)
{
	if (set->entered)
		return;
	make_ready();
	set->own_transaction = !IsTransactionState();
	if (set->own_transaction)
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	GetUserIdAndSecContext(&set->saved_user, &set->saved_security);
	set->settings_level = bs_pinned_enter_evaluation(&set->options);
	set->saved_read_only = XactReadOnly;
	XactReadOnly = true;
	SetUserIdAndSecContext(set->owner, set->saved_security | SECURITY_LOCAL_USERID_CHANGE |
										   SECURITY_RESTRICTED_OPERATION);
	time_limit_passed = false;
	if (bs_setting_eval_timeout_msec > 0)
		enable_timeout_after(time_limit, bs_setting_eval_timeout_msec);
	set->entered = true;
}

void
bs_computed_end(BsComputed *set)
{
	if (!set->entered)
		return;
	set->entered = false;
	disable_timeout(time_limit, false);
	/* It may have passed after the last expression: that cancels nothing any more. */
	if (time_limit_passed && !set->timed_out)
		QueryCancelPending = false;
	if (set->timed_out)
		strlcpy(set->suspended, set->error, sizeof(set->suspended));
	SetUserIdAndSecContext(set->saved_user, set->saved_security);
	XactReadOnly = set->saved_read_only;
	bs_pinned_leave(set->settings_level);
	PopActiveSnapshot();
	if (set->own_transaction)
	{
		CommitTransactionCommand();
		/* Nobody else would ever give back what lasts as long as the session does. */
		LockReleaseSession(USER_LOCKMETHOD);
	}
}

/*
 * Keep the error that was caught, in place of which the record is counted.  Returns it when it must
 * go on its way: a cancel that is not ours.
 */
static ErrorData *
keep_error(BsComputed *set, MemoryContext keep)
{
	ErrorData *error;

	MemoryContextSwitchTo(keep);
	error = CopyErrorData();
	FlushErrorState();
	set->has_error = true;
	if (error->sqlerrcode != ERRCODE_QUERY_CANCELED)
	{
		strlcpy(set->error, error->message != NULL ? error->message : "unknown error",
				sizeof(set->error));
		return NULL;
	}
	/* A worker has no user who could have cancelled anything. */
	if (!time_limit_passed && !set->own_transaction && !IsBackgroundWorker)
		return error;
	set->timed_out = true;
	if (time_limit_passed)
		snprintf(
			set->error, sizeof(set->error),
			"expressions of one batch of records took longer than backstream.eval_timeout (%d ms)",
			bs_setting_eval_timeout_msec);
	else
		strlcpy(set->error, error->message, sizeof(set->error));
	return NULL;
}

bool
bs_computed_guard(BsComputed *set, BsGuarded code, void *argument)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner;
	ErrorData *volatile passed_on = NULL;
	volatile bool ok = false;

	if (set->timed_out)
		return false;
	enter(set);
	owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		code(argument);
		ReleaseCurrentSubTransaction();
		ok = true;
	}
	PG_CATCH();
	{
		MemoryContextReset(set->error_context);
		passed_on = keep_error(set, set->error_context);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (passed_on != NULL)
		ReThrowError(passed_on);
	return ok;
}

/* ---------- states of expressions ---------- */

static void
forget_states(BsComputed *set)
{
	for (int i = 0; i < list_length(set->columns); i++)
		((Column *) list_nth(set->columns, i))->states = NULL;
	set->econtext = NULL;
	if (set->states_context != NULL)
		MemoryContextDelete(set->states_context);
	set->states_context =
		AllocSetContextCreate(set->context, "BackStream expression states", ALLOCSET_SMALL_SIZES);
	set->functions_seen = functions_changed;
}

/* Checks the owner's right to execute each function. */
static void
make_states(BsComputed *set, Column *column)
{
	MemoryContext old;
	ExprState **states;
	int n = 0;
	ListCell *lc;

	old = MemoryContextSwitchTo(set->states_context);
	if (set->econtext == NULL)
	{
		ExprContext *econtext = CreateStandaloneExprContext();

		econtext->ecxt_scantuple = set->slot;
		set->econtext = econtext;
	}
	states = palloc(sizeof(ExprState *) * (size_t) list_length(column->exprs));
	foreach (lc, column->exprs)
		states[n++] = ExecInitExpr(bs_remember_calls(lfirst(lc)), NULL);
	column->states = states;
	MemoryContextSwitchTo(old);
}

void
bs_computed_verify(BsComputed *set)
{
	ListCell *lc;

	forget_states(set);
	foreach (lc, set->columns)
		make_states(set, lfirst(lc));
}

/* ---------- values ---------- */

static Datum
bytes_datum(const void *data, Size len)
{
	bytea *bytes = palloc(VARHDRSZ + len);

	SET_VARSIZE(bytes, VARHDRSZ + len);
	memcpy(VARDATA(bytes), data, len);
	return PointerGetDatum(bytes);
}

/* Equal numbers may differ in trailing zeros; nothing else of a numeric's bytes does. */
static Datum
form_numeric(Datum value)
{
	return DirectFunctionCall1(numeric_trim_scale, value);
}

/* Intervals are equal when their spans are, with months of 30 days of 24 hours. */
static Datum
form_interval(Datum value)
{
	const Interval *interval = DatumGetIntervalP(value);
	int128 span = (int128) interval->month * DAYS_PER_MONTH;

	span = (span + interval->day) * USECS_PER_DAY + interval->time;
	return bytes_datum(&span, sizeof(span));
}

/* Trailing blanks of a character(n) do not count. */
static Datum
form_bpchar(Datum value)
{
	BpChar *padded = DatumGetBpCharPP(value);

	return bytes_datum(VARDATA_ANY(padded),
					   (Size) bpchartruelen(VARDATA_ANY(padded), (int) VARSIZE_ANY_EXHDR(padded)));
}

static const struct
{
	Datum (*change)(Datum value); /* NULL: as it is */
	Oid type;                     /* of what comes out; 0: the expression's */
} forms[BS_NCOMPUTED_FORMS] = {
	[BS_COMPUTED_PLAIN] = {NULL, InvalidOid},
	[BS_COMPUTED_NUMERIC] = {form_numeric, NUMERICOID},
	[BS_COMPUTED_INTERVAL] = {form_interval, BYTEAOID},
	[BS_COMPUTED_BPCHAR] = {form_bpchar, BYTEAOID},
	[BS_COMPUTED_ARGUMENTS] = {NULL, BYTEAOID},
};

static void
load_row(BsComputed *set, const BsBatch *batch, uint32_t row)
{
	TupleTableSlot *slot = set->slot;
	int attribute = -1;

	ExecClearTuple(slot);
	while ((attribute = bms_next_member(set->attributes, attribute)) >= 0)
		slot->tts_values[attribute] = bs_lane_get(&batch->columns[attribute], row,
												  TupleDescAttr(set->desc, attribute)->atttypid,
												  &slot->tts_isnull[attribute]);
	ExecStoreVirtualTuple(slot);
}

/* All values of a record for a function of several arguments, kept as long as the batch. */
static void
put_arguments(BsComputed *set, Column *column, BsLane *out, uint32_t row)
{
	int nargs = list_length(column->exprs);
	Size size = offsetof(BsArguments, args) + sizeof(NullableDatum) * (Size) nargs;
	BsArguments *arguments = MemoryContextAlloc(set->batch_context, size);

	arguments->nargs = nargs;
	for (int i = 0; i < nargs; i++)
	{
		NullableDatum *arg = &arguments->args[i];
		int16 len;
		bool byval;

		arg->value = ExecEvalExpr(column->states[i], set->econtext, &arg->isnull);
		if (arg->isnull)
			continue;
		get_typlenbyval(exprType(list_nth(column->exprs, i)), &len, &byval);
		if (!byval)
		{
			MemoryContext old;

			if (len == -1)
				arg->value = PointerGetDatum(PG_DETOAST_DATUM(arg->value));
			old = MemoryContextSwitchTo(set->batch_context);
			arg->value = datumCopy(arg->value, byval, len);
			MemoryContextSwitchTo(old);
		}
	}
	out->nulls[row] = 0;
	out->bytes[row] = (BsBytes){.data = (const uint8_t *) arguments, .len = (uint32_t) size};
}

/* The same where they are columns and constants: without expressions, so that nothing can fail. */
static void
fetch_arguments(BsComputed *set, Column *column, const BsBatch *batch, BsRows rows, BsLane *out)
{
	MemoryContext old = MemoryContextSwitchTo(set->batch_context);
	int nargs = list_length(column->exprs);
	Size size = offsetof(BsArguments, args) + sizeof(NullableDatum) * (Size) nargs;
	char *all = palloc(MAXALIGN(size) * rows.nrows);

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		BsArguments *arguments = (BsArguments *) (all + MAXALIGN(size) * i);

		arguments->nargs = nargs;
		out->nulls[rows.rows[i]] = 0;
		out->bytes[rows.rows[i]] = (BsBytes){.data = (const uint8_t *) arguments, .len = (uint32_t) size};
	}
	for (int a = 0; a < nargs; a++)
	{
		const Expr *expr = list_nth(column->exprs, a);
		const Const *constant = IsA(expr, Const) ? (const Const *) expr : NULL;
		const BsLane *lane =
			constant == NULL ? &batch->columns[((const Var *) expr)->varattno - 1] : NULL;

		for (uint32_t i = 0; i < rows.nrows; i++)
		{
			NullableDatum *arg = &((BsArguments *) (all + MAXALIGN(size) * i))->args[a];

			if (constant != NULL)
				*arg = (NullableDatum){.value = constant->constvalue, .isnull = constant->constisnull};
			else
				arg->value = bs_lane_get(lane, rows.rows[i], ((const Var *) expr)->vartype, &arg->isnull);
		}
	}
	MemoryContextSwitchTo(old);
}

static void
put_value(BsComputed *set, Column *column, BsLane *out, uint32_t row)
{
	bool isnull;
	Datum value = ExecEvalExpr(column->states[0], set->econtext, &isnull);
	Oid type = column->type;

	if (!isnull && forms[column->form].change != NULL)
	{
		value = forms[column->form].change(value);
		type = forms[column->form].type;
	}
	bs_lane_put(out, row, type, value, isnull, set->batch_context);
}

/* Rows still to be done, shared with the guarded code. */
typedef struct Progress
{
	BsComputed *set;
	Column *column;
	const BsBatch *batch;
	BsRows rows;
	uint32_t next; /* moves before an evaluation can fail */
	BsLane *out;
} Progress;

static void
evaluate_rows(void *argument)
{
	Progress *progress = argument;
	BsComputed *set = progress->set;
	Column *column = progress->column;
	MemoryContext row_context;
	MemoryContext old;

	if (column->states == NULL)
		make_states(set, column);
	row_context = set->econtext->ecxt_per_tuple_memory;
	old = MemoryContextSwitchTo(row_context);
	while (progress->next < progress->rows.nrows)
	{
		uint32_t row = progress->rows.rows[progress->next++];

		load_row(set, progress->batch, row);
		if (column->form == BS_COMPUTED_ARGUMENTS)
			put_arguments(set, column, progress->out, row);
		else
			put_value(set, column, progress->out, row);
		MemoryContextReset(row_context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
}

static void
evaluate(BsComputed *set, Column *column, const BsBatch *batch, BsRows rows, BsLane *out,
		 uint8_t *errors)
{
	Progress progress = {set, column, batch, rows, 0, out};

	if (set->states_context == NULL || set->functions_seen != functions_changed)
		forget_states(set);
	while (progress.next < rows.nrows)
	{
		uint32_t first = progress.next;

		if (bs_computed_guard(set, evaluate_rows, &progress))
			break;
		if (progress.next > first && !set->timed_out)
		{
			errors[rows.rows[progress.next - 1]] = BS_ERROR_FOREIGN;
			continue;
		}
		/* Out of time, or the states cannot be made: the rest will do no better. */
		if (progress.next == first)
			set->functions_seen = 0;
		for (first = Max(progress.next, 1) - 1; first < rows.nrows; first++)
			errors[rows.rows[first]] = BS_ERROR_FOREIGN;
		break;
	}
}

/* ---------- values wanted in several places ---------- */

static void
make_kept(BsComputed *set, Column *column, uint32_t capacity)
{
	if (column->done != NULL && column->kept_rows >= capacity)
		return;
	column->kept_rows = capacity;
	column->done = MemoryContextAllocZero(set->context, capacity);
	column->kept.nulls = MemoryContextAllocZero(set->context, capacity);
	column->kept.values =
		MemoryContextAllocZero(set->context, capacity * bs_type_lane_width(column->lane));
}

static void
evaluate_missing(BsComputed *set, Column *column, const BsBatch *batch, BsRows rows)
{
	uint16_t *missing = MemoryContextAlloc(set->batch_context, sizeof(uint16_t) * rows.nrows);
	uint8_t *errors = MemoryContextAllocZero(set->batch_context, batch->capacity);
	BsRows todo = {0, missing};

	for (uint32_t i = 0; i < rows.nrows; i++)
		if (column->done[rows.rows[i]] == 0)
			missing[todo.nrows++] = rows.rows[i];
	if (todo.nrows == 0)
		return;
	evaluate(set, column, batch, todo, &column->kept, errors);
	for (uint32_t i = 0; i < todo.nrows; i++)
		column->done[missing[i]] = errors[missing[i]] == BS_ERROR_NONE ? 1 : 2;
}

static void
evaluate_kept(BsComputed *set, Column *column, const BsBatch *batch, BsRows rows, BsLane *out,
			  uint8_t *errors)
{
	size_t width = bs_type_lane_width(column->lane);

	make_kept(set, column, batch->capacity);
	evaluate_missing(set, column, batch, rows);
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint32_t row = rows.rows[i];

		if (column->done[row] == 2)
		{
			errors[row] = BS_ERROR_FOREIGN;
			continue;
		}
		memcpy((char *) out->values + row * width, (char *) column->kept.values + row * width,
			   width);
		out->nulls[row] = column->kept.nulls[row];
		if (out->nulls[row])
			out->has_nulls = true;
	}
}

void
bs_computed_evaluate(void *context, uint32_t number, const BsBatch *batch, BsRows rows, BsLane *out,
					 uint8_t *errors)
{
	BsComputed *set = context;
	Column *column = list_nth(set->columns, (int) number);

	if (rows.nrows == 0)
		return;
	if (column->plain)
		fetch_arguments(set, column, batch, rows, out);
	else if (column->shared)
		evaluate_kept(set, column, batch, rows, out, errors);
	else
		evaluate(set, column, batch, rows, out, errors);
}

/* ---------- what went wrong ---------- */

const char *
bs_computed_last_error(const BsComputed *set)
{
	return set->has_error ? set->error : NULL;
}

const char *
bs_computed_suspended(const BsComputed *set)
{
	return set->suspended[0] != '\0' ? set->suspended : NULL;
}
