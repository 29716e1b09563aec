/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodeserve.c: what a node sends of a continuous view to who reads several: its windows, and what they hold.
 *
 *   node_windows()  which windows there are, and how far they reach
 *   node_advance()  how far the others are, where there is nothing to count
 *   partials()      the groups of some of them, packed
 *
 * A window is taken out of shared memory as for any reader, and packed chunk by chunk as the executor asks for rows:
 * there is never more than one window in memory.  Where all of it is in one table (windowtable.c) it is packed from there, so
 * that the first groups are on their way before the last have been looked at.  What may be selected may be sent.
 */
#include "backstream.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "engine/pack.h"
#include "fingerprint.h"
#include "nodefilter.h"
#include "nodepartials.h"
#include "registry.h"
#include "viewshape.h"

BS_SQL_FUNCTION(bs_node_windows);
BS_SQL_FUNCTION(bs_node_advance);
BS_SQL_FUNCTION(bs_partials);

#define SERVE_CAPACITY 1024

/* ---------- the view ---------- */

/* A view that is being sent; everything in one memory context. */
typedef struct Serving
{
	BsViewDef *def;
	BsViewProgram *view;
	BsWriter *writer;
	BsPacker *packer;
	uint64 portable;

	/* partials(): */
	int nranges;
	int64 *firsts;
	int64 *lasts;
	int range;
	bool begun; /* this range */
	MemoryContext range_context;
	BsWindowData *data;  /* what is being sent of it, or NULL: */
	BsWindowTable table; /* it is packed from here; .partial NULL: none is */
	BsNodeFilter *filter; /* NULL: all groups are wanted */
	BsPackPlace place;
	bool lacks_sent;
	bool ended;
} Serving;

static Oid
view_named(text *schema, text *name)
{
	Oid namespace = get_namespace_oid(text_to_cstring(schema), true);
	Oid relid =
		OidIsValid(namespace) ? get_relname_relid(text_to_cstring(name), namespace) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("there is no continuous view \"%s.%s\"", text_to_cstring(schema),
							   text_to_cstring(name))));
	return relid;
}

/* States of two definitions cannot be merged, whatever their columns are called. */
static void
check_definition(const Serving *serving, uint64 wanted)
{
	if (serving->portable != wanted)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("continuous view \"%s.%s\" has another definition there",
							   serving->def->schema, serving->def->name),
						errhint("backstream.sync() shows and mends it.")));
}

/* In CurrentMemoryContext. */
static void
open_view(Serving *serving, FunctionCallInfo fcinfo)
{
	Oid relid = view_named(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1));

	/* The lock stays until the transaction ends. */
	relation_close(bs_viewdef_open(relid), NoLock);
	bs_viewdef_check_select(relid);
	serving->view = bs_view_compile(relid, SERVE_CAPACITY, &serving->def);
	serving->view->program.hash_seed = bs_shared_hash_seed();
	if (serving->def->on_nodes)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("continuous view \"%s\" is kept by other nodes", serving->def->name)));
	serving->portable = bs_fingerprint_portable(serving->def, serving->view);
	check_definition(serving, (uint64) PG_GETARG_INT64(2));
}

/* ---------- node_windows() ---------- */

static const char *const state_names[] = {
	[BS_VIEW_ACTIVE] = "active",
	[BS_SUSPENDED_CODE] = "suspended: code",
	[BS_SUSPENDED_RIGHTS] = "suspended: rights",
};

#define NWINDOW_COLUMNS (BS_NODE_WINDOW_COLUMNS + BS_NODE_EXTENT_COLUMNS)

static void
put_values(ReturnSetInfo *result, const int64 *values, bool head, const char *state)
{
	Datum datums[NWINDOW_COLUMNS] = {0};
	bool nulls[NWINDOW_COLUMNS];

	/* The first rows say how far they reach, the others have a window each. */
	for (int i = 0; i < NWINDOW_COLUMNS - 1; i++)
	{
		nulls[i] = head != (i >= BS_NODE_WINDOW_COLUMNS);
		datums[i] = Int64GetDatum(values[i]);
	}
	nulls[NWINDOW_COLUMNS - 1] = state == NULL;
	if (state != NULL)
		datums[NWINDOW_COLUMNS - 1] = CStringGetTextDatum(state);
	tuplestore_putvalues(result->setResult, result->setDesc, datums, nulls);
}

Datum
bs_node_windows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	BsViewExtent extent = {.closed_before = BS_TIME_NEG_INFINITY,
						   .watermark = BS_TIME_NEG_INFINITY,
						   .dropped_before = BS_TIME_NEG_INFINITY};
	Serving serving = {0};
	int64 values[NWINDOW_COLUMNS] = {0};
	BsWindowInfo *windows;
	bool counted;
	int nwindows;

	InitMaterializedSRF(fcinfo, 0);
	open_view(&serving, fcinfo);
	/* Before the windows: what closes meanwhile is open, and what is dropped meanwhile is not there. */
	counted = bs_view_extent(serving.def->relid, serving.view->program.fingerprint, &extent);
	windows = bs_view_windows(serving.def->relid, serving.view->program.fingerprint, serving.view,
							  &nwindows);
	values[BS_NODE_WINDOW_COLUMNS] = extent.since;
	values[BS_NODE_WINDOW_COLUMNS + 1] = extent.closed_before;
	values[BS_NODE_WINDOW_COLUMNS + 2] = extent.dropped_before;
	values[BS_NODE_WINDOW_COLUMNS + 3] = extent.watermark;
	values[BS_NODE_WINDOW_COLUMNS + 6] =
		bs_view_found_idle(serving.def->relid, serving.view->program.fingerprint);
	put_values(result, values, true, counted ? state_names[extent.state] : "not counted");
	for (uint32 i = 0; i < extent.outages.n; i++)
	{
		values[BS_NODE_WINDOW_COLUMNS + 4] = extent.outages.of[i].since;
		values[BS_NODE_WINDOW_COLUMNS + 5] = extent.outages.of[i].until;
		put_values(result, values, true, NULL);
	}
	for (int i = 0; i < nwindows; i++)
	{
		const BsWindowInfo *window = &windows[i];
		const int64 counters[BS_NODE_WINDOW_COLUMNS] = {
			window->window,
			window->closed,
			(int64) window->records,
			(int64) window->late,
			(int64) window->overflowed,
			(int64) window->errors,
			(int64) window->left_out,
			window->records_lost,
			window->datagrams_lost,
			(int64) window->groups,
			(int64) window->bytes,
			(int64) window->other,
			window->datagrams_dropped,
			window->gap,
		};

		memset(values, 0, sizeof(values));
		memcpy(values, counters, sizeof(counters));
		put_values(result, values, false, NULL);
	}
	bs_query_free(serving.view);
	return (Datum) 0;
}

/* ---------- node_advance() ---------- */

Datum
bs_node_advance(PG_FUNCTION_ARGS)
{
	Serving serving = {0};

	open_view(&serving, fcinfo);
	bs_view_advance_idle(serving.def->relid, serving.view->program.fingerprint, PG_GETARG_INT64(3));
	bs_query_free(serving.view);
	PG_RETURN_VOID();
}

/* ---------- partials() ---------- */

static void
free_writer(void *arg)
{
	Serving *serving = arg;

	bs_packer_free(serving->packer);
	bs_writer_free(serving->writer);
}

static int64 *
bigints(ArrayType *array, int *n)
{
	Datum *values;
	int64 *result;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values,
					  NULL, n);
	result = palloc(sizeof(int64) * (Size) Max(*n, 1));
	for (int i = 0; i < *n; i++)
		result[i] = DatumGetInt64(values[i]);
	return result;
}

static Serving *
begin_serving(FunctionCallInfo fcinfo)
{
	Serving *serving = palloc0(sizeof(Serving));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	int nlasts;

	open_view(serving, fcinfo);
	callback->func = free_writer;
	callback->arg = serving;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	serving->packer = bs_packer_create(&serving->view->program, serving->portable);
	if (serving->packer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	serving->firsts = bigints(PG_GETARG_ARRAYTYPE_P(3), &serving->nranges);
	serving->lasts = bigints(PG_GETARG_ARRAYTYPE_P(4), &nlasts);
	if (nlasts != serving->nranges)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("backstream.partials() takes as many last windows as first ones")));
	if (PG_NARGS() > 5)
		serving->filter = bs_node_filter_make(serving->view, text_to_cstring(PG_GETARG_TEXT_PP(5)));
	serving->range_context = AllocSetContextCreate(
		CurrentMemoryContext, "backstream window to send", ALLOCSET_DEFAULT_SIZES);
	return serving;
}

/* [kind][number of the range, little-endian][message] */
static Datum
wrap(BsPartialsKind kind, int range, BsBytes message)
{
	bytea *result = palloc(VARHDRSZ + BS_PARTIALS_HEADER_BYTES + message.len);
	uint8 *to = (uint8 *) VARDATA(result);

	SET_VARSIZE(result, VARHDRSZ + BS_PARTIALS_HEADER_BYTES + message.len);
	to[0] = (uint8) kind;
	for (int i = 0; i < 4; i++)
		to[1 + i] = (uint8) ((uint32) range >> (8 * i));
	if (message.len > 0)
		memcpy(to + BS_PARTIALS_HEADER_BYTES, message.data, message.len);
	return PointerGetDatum(result);
}

static void
packed(BsPackStatus status)
{
	if (status != BS_PACK_OK)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
}

/* Was a part of it dropped, at the latest while it was read? */
static bool
is_gone(const Serving *serving, int64 first)
{
	BsViewExtent extent;

	if (!serving->view->program.windowed)
		return false;
	return bs_view_extent(serving->def->relid, serving->view->program.fingerprint, &extent) &&
		   first < extent.dropped_before;
}

/* How many groups of what is loaded will be sent. */
static uint64
choose_groups(Serving *serving, int64 window)
{
	MemoryContext outer;
	uint64 ngroups = serving->data->table != NULL ? serving->data->table->nrows : 0;

	if (serving->filter == NULL || serving->data->table == NULL)
		return ngroups;
	outer = MemoryContextSwitchTo(serving->range_context);
	bs_packer_choose(serving->packer,
					 bs_node_filter_choose(serving->filter, serving->data, window, &ngroups));
	MemoryContextSwitchTo(outer);
	return ngroups;
}

/* Read a range into memory of our own.  Returns how many groups will be sent. */
static uint64
load_range(Serving *serving)
{
	int64 first = serving->firsts[serving->range];
	MemoryContext outer;

	if (serving->writer == NULL)
		serving->writer = bs_writer_create(&serving->view->program);
	if (serving->writer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	outer = MemoryContextSwitchTo(serving->range_context);
	serving->data = bs_view_read_fixed(serving->def->relid, serving->view, serving->writer, first,
									   serving->lasts[serving->range], serving->range_context);
	MemoryContextSwitchTo(outer);
	serving->lacks_sent = serving->data->lacks == NULL;
	return choose_groups(serving, first);
}

static Datum
gone(Serving *serving)
{
	BsBytes nothing = {.data = NULL, .len = 0};

	if (serving->data != NULL)
		bs_window_data_free(serving->data);
	serving->table.partial = NULL;
	serving->lacks_sent = true;
	return wrap(BS_PARTIALS_GONE, serving->range, nothing);
}

/* Begin the next range; its first message, or false when there are no more. */
static bool
next_range(Serving *serving, Datum *message)
{
	BsPackedPane pane;
	BsBytes packed_pane;

	if (serving->range == serving->nranges)
		return false;
	serving->begun = true;
	MemoryContextReset(serving->range_context);
	memset(&serving->place, 0, sizeof(serving->place));
	serving->lacks_sent = true;
	pane = (BsPackedPane){.window = serving->firsts[serving->range]};
	if (serving->filter == NULL &&
		bs_window_table_find(serving->def->relid, serving->view, pane.window, serving->lasts[serving->range],
							 &serving->table))
		pane.ngroups = serving->table.nrows;
	else
	{
		serving->table.partial = NULL;
		pane.ngroups = load_range(serving);
	}
	if (is_gone(serving, pane.window))
	{
		*message = gone(serving);
		return true;
	}
	packed(bs_pack_pane(serving->packer, &pane, &packed_pane));
	*message = wrap(BS_PARTIALS_WINDOW, serving->range, packed_pane);
	return true;
}

/* The next groups from where they are; false after the last. */
static bool
next_of_table(Serving *serving, Datum *message)
{
	BsTable *table = bs_window_table_lock(&serving->table);
	BsPackStatus status;
	BsBytes bytes;

	if (table == NULL)
	{
		*message = gone(serving);
		return true;
	}
	status = bs_pack_rows(serving->packer, bs_shared_arena(), table, serving->firsts[serving->range],
						  &serving->place, &bytes);
	bs_window_table_unlock(&serving->table);
	packed(status);
	if (bytes.len > 0)
		*message = wrap(BS_PARTIALS_ROWS, serving->range, bytes);
	return bytes.len > 0;
}

static bool
next_of_data(Serving *serving, Datum *message)
{
	BsBytes bytes;

	packed(bs_pack_rows(serving->packer, serving->data->arena, serving->data->table,
						serving->firsts[serving->range], &serving->place, &bytes));
	if (bytes.len > 0)
		*message = wrap(BS_PARTIALS_ROWS, serving->range, bytes);
	return bytes.len > 0;
}

static bool
next_message(Serving *serving, Datum *message)
{
	BsBytes bytes;

	CHECK_FOR_INTERRUPTS();
	if (serving->data != NULL && !serving->lacks_sent)
	{
		serving->lacks_sent = true;
		bytes = (BsBytes){.data = (const uint8 *) serving->data->lacks,
						  .len = (uint32) serving->view->nscan};
		*message = wrap(BS_PARTIALS_LACKS, serving->range, bytes);
		return true;
	}
	if (serving->table.partial != NULL && next_of_table(serving, message))
		return true;
	if (serving->data != NULL && serving->data->table != NULL && next_of_data(serving, message))
		return true;
	if (serving->begun)
		serving->range++;
	serving->begun = false;
	serving->data = NULL;
	serving->table.partial = NULL;
	if (next_range(serving, message))
		return true;
	if (serving->ended)
		return false;
	serving->ended = true;
	packed(bs_pack_end(serving->packer, &bytes));
	*message = wrap(BS_PARTIALS_END, serving->range, bytes);
	return true;
}

Datum
bs_partials(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	MemoryContext outer;
	Datum message;

	if (SRF_IS_FIRSTCALL())
	{
		call = SRF_FIRSTCALL_INIT();
		outer = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		call->user_fctx = begin_serving(fcinfo);
		MemoryContextSwitchTo(outer);
	}
	call = SRF_PERCALL_SETUP();
	if (next_message(call->user_fctx, &message))
		SRF_RETURN_NEXT(call, message);
	SRF_RETURN_DONE(call);
}
