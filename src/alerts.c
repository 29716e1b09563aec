/* SPDX-License-Identifier: PostgreSQL */
/*
 * alerts.c: notifications of closed windows.  See alerts.h.
 *
 * Payloads are made on the view's owner's terms (his output functions run), kept until the batch is through,
 * and sent by the keeper itself: what a subtransaction that fails has sent would be lost with it.
 *
 * What changes from a window to the next needs no memory but that window's own groups: the groups of the
 * window before are kept from run to run, and after a restart of the keeper read anew from shared memory, if
 * that window is still there.
 */
#include "backstream.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "alerts.h"

/* Payloads are shorter than this: NOTIFY_PAYLOAD_MAX_LENGTH of PostgreSQL, which is not in a header. */
#define PAYLOAD_BYTES (BLCKSZ - NAMEDATALEN - 128)
/* Rows made within one backstream.eval_timeout. */
#define BATCH_ROWS 1024

/* Notifications of a view, for one run. */
typedef struct Alerts
{
	BsOutputTask *task;
	BsOwnerRows *rows;
	const BsViewOptions *options;
	const BsWindowing *windowing;
	BsGroupColumns *columns;
	char *view_name; /* as JSON */
	MemoryContext window_context;
	/* Of the window: */
	char *time; /* as JSON */
	uint32 nodes_missing; /* that have not told all of it */
	List *payloads; /* char *, to be sent */
	int in_batch;
	uint64 nrows;
	uint64 nsent;
	uint64 nentered;
	uint64 ncleared;
	/* notify_on = 'change': groups of the window before, NULL: none, and of this one. */
	BsGroupSet *before;
	BsGroupSet *now;
} Alerts;

/* Groups of the last window that was handed on, by slot. */
typedef struct Remembered
{
	uint64 fingerprint;
	int64 done_before;
	BsGroupSet *groups;
} Remembered;

static Remembered *remembered;
/* What the run that is going on leaves to bs_alerts_end(). */
static BsGroupSet *run_groups;

/* ---------- payloads ---------- */

static char *
as_json(const char *text)
{
	StringInfoData json;

	initStringInfo(&json);
	escape_json(&json, text);
	return json.data;
}

static char *
row_json(TupleTableSlot *slot)
{
	return TextDatumGetCString(DirectFunctionCall1(row_to_json, ExecFetchSlotHeapTupleDatum(slot)));
}

/* How many nodes are not in it, of a window for which some are missing. */
static const char *
missing_json(const Alerts *alerts)
{
	return alerts->nodes_missing > 0 ? psprintf(",\"nodes_missing\":%u", alerts->nodes_missing)
									 : "";
}

static char *
payload(const Alerts *alerts, const char *kind, const char *row, bool cut)
{
	return psprintf("{\"kind\":\"%s\",\"view\":%s,\"time\":%s,\"n\":" UINT64_FORMAT
					"%s,\"row\":%s%s}",
					kind, alerts->view_name, alerts->time, alerts->nsent, missing_json(alerts), row,
					cut ? ",\"cut\":true" : "");
}

/*
 * Room in the window's notifications?  Then one for a row, or for a group (row is NULL), which is in
 * alerts->columns->slot.
 */
static void
notify_of(Alerts *alerts, const char *kind, TupleTableSlot *row)
{
	char *text;

	if (alerts->nsent >= (uint64) alerts->options->notify_limit)
		return;
	alerts->nsent++;
	text = payload(alerts, kind, row_json(row != NULL ? row : alerts->columns->slot), false);
	if (strlen(text) >= PAYLOAD_BYTES && row != NULL)
	{
		bs_group_of_row(alerts->columns, row);
		text = payload(alerts, kind, row_json(alerts->columns->slot), true);
	}
	if (strlen(text) >= PAYLOAD_BYTES)
		text = payload(alerts, kind, "null", true);
	alerts->payloads = lappend(alerts->payloads, text);
}

static void
send_payloads(Alerts *alerts)
{
	ListCell *cell;

	foreach (cell, alerts->payloads)
		Async_Notify(alerts->options->notify, lfirst(cell));
	list_free_deep(alerts->payloads);
	alerts->payloads = NIL;
}

/* What the notifications do not say. */
static void
send_summary(Alerts *alerts)
{
	bool change = alerts->options->notify_on == BS_NOTIFY_CHANGE;
	uint64 wanted = change ? alerts->nentered + alerts->ncleared : alerts->nrows;
	StringInfoData text;

	if (wanted == alerts->nsent && alerts->rows->nfailed == 0)
		return;
	initStringInfo(&text);
	appendStringInfo(&text, "{\"kind\":\"summary\",\"view\":%s,\"time\":%s", alerts->view_name, alerts->time);
	if (change)
		appendStringInfo(&text, ",\"entered\":" UINT64_FORMAT ",\"cleared\":" UINT64_FORMAT,
						 alerts->nentered, alerts->ncleared);
	else
		appendStringInfo(&text, ",\"rows\":" UINT64_FORMAT, alerts->nrows);
	appendStringInfo(&text, ",\"sent\":" UINT64_FORMAT "%s", alerts->nsent, missing_json(alerts));
	if (alerts->rows->nfailed > 0)
		appendStringInfo(&text, ",\"failed\":" UINT64_FORMAT, alerts->rows->nfailed);
	appendStringInfoChar(&text, '}');
	Async_Notify(alerts->options->notify, text.data);
}

/* ---------- rows ---------- */

static bool
room_in_batch(Alerts *alerts)
{
	return ++alerts->in_batch < BATCH_ROWS;
}

/* BsTakeRow */
static bool
take_row(void *context, TupleTableSlot *slot)
{
	Alerts *alerts = context;

	alerts->nrows++;
	notify_of(alerts, "row", slot);
	return room_in_batch(alerts);
}

/* BsTakeRow: the group is in this window; was it in the one before? */
static bool
take_change(void *context, TupleTableSlot *slot)
{
	Alerts *alerts = context;

	alerts->nrows++;
	bs_group_of_row(alerts->columns, slot);
	if (bs_group_set_add(alerts->now, alerts->columns) &&
		(alerts->before == NULL || !bs_group_set_mark(alerts->before, alerts->columns)))
	{
		alerts->nentered++;
		notify_of(alerts, "entered", slot);
	}
	return room_in_batch(alerts);
}

/* BsTakeRow: what is known already. */
static bool
take_known(void *context, TupleTableSlot *slot)
{
	Alerts *alerts = context;

	bs_group_of_row(alerts->columns, slot);
	(void) bs_group_set_add(alerts->now, alerts->columns);
	return room_in_batch(alerts);
}

static void
check_memory(const Alerts *alerts)
{
	if (alerts->now != NULL && bs_group_set_bytes(alerts->now) > (Size) maintenance_work_mem * 1024)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a window has too many groups to tell which of them are new"),
						errhint("Let HAVING choose fewer, raise maintenance_work_mem, or use notify_on = 'row'.")));
}

/* All rows of a window to take. */
static void
read_rows(Alerts *alerts, int64 window, BsTakeRow take)
{
	bs_owner_rows_load(alerts->rows, window);
	while (!alerts->rows->exhausted)
	{
		alerts->in_batch = 0;
		if (!bs_owner_rows_next(alerts->rows, take, alerts))
			ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("%s", alerts->rows->error)));
		send_payloads(alerts);
		check_memory(alerts);
		(void) bs_output_time_is_over(alerts->task);
	}
}

/* ---------- groups that are no more ---------- */

static void
notify_cleared(void *context)
{
	Alerts *alerts = context;

	alerts->ncleared++;
	notify_of(alerts, "cleared", NULL);
}

/* BsGuarded */
static void
visit_cleared(void *context)
{
	Alerts *alerts = context;

	bs_group_set_unmarked(alerts->before, alerts->columns, notify_cleared, alerts);
}

/* The groups of now are those of the window before from here on. */
static void
clear_others(Alerts *alerts)
{
	if (alerts->before != NULL && !bs_owner_rows_guard(alerts->rows, visit_cleared, alerts))
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("groups cannot be written: %s",
							   alerts->rows->error != NULL ? alerts->rows->error : "unknown error")));
	send_payloads(alerts);
	bs_group_set_free(alerts->before);
	alerts->before = run_groups = alerts->now;
	alerts->now = NULL;
}

/* ---------- windows ---------- */

static void
begin_window(Alerts *alerts, int64 window)
{
	int utc = 0;
	char time[MAXDATELEN + 1];

	MemoryContextReset(alerts->window_context);
	MemoryContextSwitchTo(alerts->window_context);
	JsonEncodeDateTime(time, TimestampTzGetDatum(window), TIMESTAMPTZOID, &utc);
	alerts->time = as_json(time);
	alerts->payloads = NIL;
	alerts->nrows = alerts->nsent = alerts->nentered = alerts->ncleared = 0;
	alerts->nodes_missing = 0;
	alerts->rows->nfailed = 0;
	if (alerts->options->notify_on == BS_NOTIFY_CHANGE)
		alerts->now = bs_group_set_create(alerts->columns);
}

static void
alert_window(Alerts *alerts, const BsWindowInfo *info)
{
	bool change = alerts->options->notify_on == BS_NOTIFY_CHANGE;
	int64 window = info->window;

	begin_window(alerts, window);
	alerts->nodes_missing = info->nodes_missing;
	read_rows(alerts, window, change ? take_change : take_row);
	if (change)
		clear_others(alerts);
	send_summary(alerts);
	bs_output_window_done(alerts->task, alerts->windowing, window, alerts->nrows, alerts->rows->nfailed,
						  alerts->rows->error);
}

/* No records came in the windows from task->done_before to end: then no group is there any more. */
static void
alert_silence(Alerts *alerts, int64 end)
{
	if (alerts->before == NULL || alerts->task->done_before >= end ||
		bs_group_set_count(alerts->before) == 0)
		return;
	begin_window(alerts, alerts->task->done_before);
	clear_others(alerts);
	send_summary(alerts);
}

/* ---------- the groups of the window before ---------- */

/* Read anew what the keeper has not kept. */
static void
recall_groups(Alerts *alerts)
{
	int64 window;

	if (alerts->task->done_before == BS_TIME_NEG_INFINITY)
		return;
	window = bs_window_start(alerts->windowing, alerts->task->done_before - 1);
	begin_window(alerts, window);
	read_rows(alerts, window, take_known);
	alerts->before = run_groups = alerts->now;
	alerts->now = NULL;
}

static void
take_remembered(Alerts *alerts)
{
	Remembered *mine;

	if (remembered == NULL)
		remembered =
			MemoryContextAllocZero(TopMemoryContext, sizeof(Remembered) * (Size) bs_registry_nslots());
	mine = &remembered[alerts->task->slot];
	run_groups = mine->groups;
	mine->groups = NULL;
	if (run_groups == NULL || mine->fingerprint != alerts->task->fingerprint ||
		mine->done_before != alerts->task->done_before || !bs_group_set_fits(run_groups, alerts->columns))
	{
		bs_group_set_free(run_groups);
		run_groups = NULL;
		recall_groups(alerts);
	}
	alerts->before = run_groups;
}

void
bs_alerts_end(const BsOutputTask *task, bool committed)
{
	if (run_groups != NULL && committed)
		remembered[task->slot] = (Remembered){task->fingerprint, task->done_before, run_groups};
	else
		bs_group_set_free(run_groups);
	run_groups = NULL;
}

/* ---------- a run ---------- */

/* NULL: not now. */
static Alerts *
open_alerts(BsOutputTask *task)
{
	BsOwnerRows *rows = bs_owner_rows_open(task->relid, NULL, CurrentMemoryContext);
	Alerts *alerts;

	if (rows == NULL)
		return NULL;
	/* What was closed under another definition is no more; this one is taken up in a moment. */
	if (rows->reader->shape->fingerprint != task->fingerprint ||
		rows->reader->def->options.notify == NULL)
	{
		bs_owner_rows_close(rows);
		return NULL;
	}
	alerts = palloc0(sizeof(Alerts));
	alerts->task = task;
	alerts->rows = rows;
	alerts->options = &rows->reader->def->options;
	alerts->windowing = &rows->reader->view->program.windowing;
	alerts->columns = bs_group_columns(rows->reader, CurrentMemoryContext);
	alerts->view_name =
		as_json(quote_qualified_identifier(rows->reader->def->schema, rows->reader->def->name));
	alerts->window_context =
		AllocSetContextCreate(CurrentMemoryContext, "backstream alerts", ALLOCSET_DEFAULT_SIZES);
	return alerts;
}

BsOutputOutcome
bs_alerts_run(BsOutputTask *task)
{
	Alerts *alerts = open_alerts(task);
	MemoryContext outer = CurrentMemoryContext;
	BsOutputOutcome outcome = BS_OUTPUT_ALL;
	BsWindowInfo *windows;
	int nwindows;

	if (alerts == NULL)
		return BS_OUTPUT_BUSY;
	windows = bs_output_windows(task, &nwindows);
	if (alerts->options->notify_on == BS_NOTIFY_CHANGE)
		take_remembered(alerts);
	for (int i = 0; i < nwindows && outcome == BS_OUTPUT_ALL; i++)
	{
		if (bs_output_time_is_over(task))
			outcome = BS_OUTPUT_SOME;
		else
		{
			alert_silence(alerts, windows[i].window);
			alert_window(alerts, &windows[i]);
		}
	}
	if (outcome == BS_OUTPUT_ALL)
	{
		alert_silence(alerts, task->closed_before);
		bs_output_all_done(task);
	}
	MemoryContextSwitchTo(outer);
	bs_owner_rows_close(alerts->rows);
	return outcome;
}
