/* SPDX-License-Identifier: PostgreSQL */
/* reader.c: the rows of a continuous view.  See reader.h. */
#include "backstream.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/memutils.h"

#include "checkpoint.h"
#include "columnstate.h"
#include "engine/writer.h"
#include "noderead.h"
#include "once.h"
#include "readerrows.h"

/* Records per batch of the program: for reading, the number of groups that are merged at a time. */
#define READ_CAPACITY 1024
/* Rows that are made ahead when that needs other settings than the session's. */
#define MAX_AHEAD 256

/* ---------- expressions ---------- */

/* Note that the scan tuple's columns in expr are needed for rows of this level and above. */
static void
note_columns(BsReaderRows *rows, Node *expr, BsReadLevel level)
{
	List *vars = pull_var_clause(expr, 0);
	ListCell *cell;

	foreach (cell, vars)
	{
		uint8 *noted = &rows->scan_level[lfirst_node(Var, cell)->varattno - 1];

		*noted = Min(*noted, (uint8) level);
	}
	rows->used = NULL;
}

/* Most rows need no expression: their columns are keys and results, or nobody looks at them, as at a NULL. */
static void
note_as_is(BsReaderRows *rows, List *tlist)
{
	BsShownAsIs *shown = palloc(sizeof(BsShownAsIs) * (Size) (list_length(tlist) + 1));
	TupleTableSlot *row = rows->projection->pi_state.resultslot;
	ListCell *cell;

	foreach (cell, tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (IsA(entry->expr, Const) && castNode(Const, entry->expr)->constisnull)
			continue;
		if (!IsA(entry->expr, Var))
			return;
		shown[rows->nas_is++] = (BsShownAsIs){.column = entry->resno - 1,
											.of_scan = castNode(Var, entry->expr)->varattno - 1};
	}
	memset(row->tts_isnull, true, sizeof(bool) * (Size) row->tts_tupleDescriptor->natts);
	rows->as_is = shown;
}

static void
make_projection(BsReader *reader, TupleDesc desc, const Bitmapset *needed)
{
	BsReaderRows *rows = reader->rows;
	List *tlist = NIL;
	ListCell *cell;

	foreach (cell, reader->view->tlist)
	{
		TargetEntry *entry = copyObject(lfirst_node(TargetEntry, cell));
		Form_pg_attribute attribute = TupleDescAttr(desc, entry->resno - 1);

		if (needed == NULL || bms_is_member(entry->resno, needed))
		{
			note_columns(rows, (Node *) entry->expr, BS_LEVEL_ALL);
			entry->expr = (Expr *) bs_once_replace(rows->once, (Node *) entry->expr);
		}
		else
			entry->expr = (Expr *) makeNullConst(attribute->atttypid, attribute->atttypmod,
												 attribute->attcollation);
		tlist = lappend(tlist, entry);
	}
	for (int i = 0; i < rows->nstates; i++)
	{
		int resno = list_length(tlist) + 1;
		Oid type = TupleDescAttr(desc, resno - 1)->atttypid;
		Var *var =
			makeVar(INDEX_VAR, (AttrNumber) (reader->view->nscan + i + 1), type, -1, InvalidOid, 0);

		note_columns(rows, (Node *) var, BS_LEVEL_ALL);
		tlist = lappend(tlist, makeTargetEntry((Expr *) var, (AttrNumber) resno, NULL, false));
	}
	rows->projection = ExecBuildProjectionInfo(tlist, rows->econtext,
											   MakeSingleTupleTableSlot(desc, &TTSOpsVirtual), NULL,
											   rows->scan->tts_tupleDescriptor);
	if (reader->view->having == NULL)
		note_as_is(rows, tlist);
}

/* The columns of the scan tuple, and those of the states, which are the last of desc. */
static TupleDesc
make_scan_desc(const BsReader *reader, TupleDesc desc)
{
	const BsReaderRows *rows = reader->rows;
	int nscan = reader->view->nscan;
	TupleDesc scan = CreateTemplateTupleDesc(nscan + rows->nstates);

	for (int i = 0; i < nscan; i++)
		TupleDescCopyEntry(scan, (AttrNumber) (i + 1), reader->view->scan_desc,
						   (AttrNumber) (i + 1));
	for (int i = 0; i < rows->nstates; i++)
		TupleDescCopyEntry(scan, (AttrNumber) (nscan + i + 1), desc,
						   (AttrNumber) (desc->natts - rows->nstates + i + 1));
	return scan;
}

/* The column of the scan tuple that a column of the view shows as it is, as all that have a state do. */
static int
column_of(const BsViewProgram *view, int resno)
{
	TargetEntry *entry = list_nth(view->tlist, resno - 1);

	return castNode(Var, entry->expr)->varattno - 1;
}

static void
set_up_states(BsReader *reader, List *states)
{
	BsReaderRows *rows = reader->rows;
	ListCell *cell;

	if (reader->view->nscan + list_length(states) > MaxTupleAttributeNumber)
		ereport(ERROR, (errcode(ERRCODE_TOO_MANY_COLUMNS),
						errmsg("too many columns are combined in one query")));
	rows->states = palloc0(sizeof(BsColumnState) * (Size) Max(list_length(states), 1));
	rows->state_columns = palloc0(sizeof(int) * (Size) Max(list_length(states), 1));
	rows->values_wanted = palloc0(sizeof(bool) * (reader->view->program.nsets + 1));
	foreach (cell, states)
	{
		BsColumnState *state = &rows->states[rows->nstates++];
		const char *why = bs_columnstate_refusal(reader->view, (AttrNumber) lfirst_int(cell));

		if (why != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a column of continuous view \"%s\" has no state", reader->def->name),
					 errdetail_internal("%s", why)));
		bs_columnstate_init(state, reader->view, &reader->def->options,
							(AttrNumber) lfirst_int(cell));
		rows->state_columns[rows->nstates - 1] = column_of(reader->view, lfirst_int(cell));
		if (state->form == BS_STATE_VALUES)
			rows->values_wanted[state->set] = true;
	}
}

static void
set_up_expressions(BsReader *reader, TupleDesc desc, const Bitmapset *needed)
{
	BsReaderRows *rows = reader->rows;

	memset(rows->scan_level, BS_COLUMN_UNUSED, sizeof(rows->scan_level));
	rows->econtext = CreateStandaloneExprContext();
	rows->scan = MakeSingleTupleTableSlot(make_scan_desc(reader, desc), &TTSOpsVirtual);
	rows->econtext->ecxt_scantuple = rows->scan;
	rows->once = bs_once_create();
	rows->econtext->ecxt_param_list_info = bs_once_params(rows->once);
	make_projection(reader, desc, needed);
	if (reader->view->having != NULL)
	{
		note_columns(rows, reader->view->having, BS_LEVEL_ALL);
		rows->having = ExecInitQual(
			make_ands_implicit((Expr *) bs_once_replace(rows->once, reader->view->having)), NULL);
	}
}

typedef struct ConditionContext
{
	const BsViewProgram *view;
	Index varno;
} ConditionContext;

static Node *
condition_mutator(Node *node, ConditionContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && (Index) ((Var *) node)->varno == context->varno)
	{
		TargetEntry *entry = list_nth(context->view->tlist, ((Var *) node)->varattno - 1);

		return (Node *) copyObject(entry->expr);
	}
	return expression_tree_mutator(node, condition_mutator, context);
}

List *
bs_view_conditions(const BsViewProgram *view, List *conditions, Index varno)
{
	ConditionContext context = {.view = view, .varno = varno};

	return (List *) condition_mutator((Node *) conditions, &context);
}

List *
bs_reader_conditions(BsReader *reader, List *conditions, Index varno, BsReadLevel level)
{
	List *rewritten = bs_view_conditions(reader->view, conditions, varno);

	note_columns(reader->rows, (Node *) rewritten, level);
	return rewritten;
}

/* ---------- opening ---------- */

static void
free_writer(void *arg)
{
	bs_writer_free(arg);
}

static void
make_writer(BsReader *reader)
{
	MemoryContextCallback *callback = MemoryContextAllocZero(reader->context, sizeof(*callback));

	reader->rows->writer = bs_writer_create(&reader->view->program);
	if (reader->rows->writer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	callback->func = free_writer;
	callback->arg = reader->rows->writer;
	MemoryContextRegisterResetCallback(reader->context, callback);
}

static void
require_counting(const BsViewDef *def)
{
	if (!bs_registry_ready())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("cannot read continuous view \"%s\" here", def->name),
						errdetail("Nothing is counted on a server in recovery."),
						errhint("Read it on the primary.")));
	bs_restart_require();
}

static void
warn_if_suspended(const BsReader *reader)
{
	BsSharedView *view = bs_registry_find(reader->def->relid, reader->shape->fingerprint);
	uint32 state = view != NULL ? pg_atomic_read_u32(&view->state) : BS_VIEW_ACTIVE;

	/*
	 * The keeper, who reads for a view over this one, has nobody to warn.  Of a view that nodes keep that is its outputs'
	 * business.
	 */
	if (state == BS_VIEW_ACTIVE || IsBackgroundWorker || reader->def->on_nodes)
		return;
	ereport(WARNING,
			(errmsg("continuous view \"%s\" is suspended", reader->def->name),
			 errdetail("It shows what was counted before."),
			 state == BS_SUSPENDED_RIGHTS
				 ? errhint("Grant its owner SELECT on the stream: it goes on then.")
				 : errhint("backstream.views says why; backstream.resume() lets it go on.")));
}

static void
check_columns(const BsReader *reader, TupleDesc desc)
{
	bool same = desc->natts == reader->shape->natts + reader->rows->nstates;
	ListCell *cell;

	foreach (cell, reader->view->tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		same = same &&
			   TupleDescAttr(desc, entry->resno - 1)->atttypid == exprType((Node *) entry->expr);
	}
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the columns of continuous view \"%s\" are not those of its query",
							   reader->def->name),
						errhint("Create it anew.")));
}

/* Is this final computed from the values of a set? */
static bool
is_over_values(const BsReader *reader, int column)
{
	const BsScanColumn *scan = &reader->view->scan[column];

	return scan->source == BS_SCAN_AGGREGATE && scan->final.kind == BS_FINAL_DISTINCT;
}

static BsReaderRows *
make_rows(BsReader *reader)
{
	BsReaderRows *rows = MemoryContextAllocZero(reader->context, sizeof(BsReaderRows));

	rows->window_context =
		AllocSetContextCreate(reader->context, "backstream window", ALLOCSET_DEFAULT_SIZES);
	rows->zero_row = MemoryContextAllocZero(reader->context, reader->view->program.row_bytes);
	/* Final functions that are not built in may depend on settings as well. */
	rows->ahead = reader->view->reader_settings || reader->view->nforeign > 0;
	for (int i = 0; i < reader->view->nscan; i++)
		rows->ahead |= is_over_values(reader, i);
	return rows;
}

static void
prepare_ahead(BsReaderRows *rows, MemoryContext context, TupleDesc desc)
{
	rows->ahead_context = AllocSetContextCreate(context, "backstream rows", ALLOCSET_DEFAULT_SIZES);
	rows->ahead_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	rows->ready = palloc(MAX_AHEAD * sizeof(*rows->ready));
	rows->accepted = palloc(MAX_AHEAD * sizeof(*rows->accepted));
	rows->batch_rows = 1;
}

BsReader *
bs_reader_open(Oid relid, TupleDesc desc, const Bitmapset *needed, MemoryContext parent)
{
	return bs_reader_open_states(relid, desc, needed, NIL, parent);
}

BsReader *
bs_reader_open_states(Oid relid, TupleDesc desc, const Bitmapset *needed, List *states,
					  MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "backstream reader", ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	BsReader *reader = palloc0(sizeof(BsReader));

	reader->context = context;
	reader->view = bs_view_compile(relid, READ_CAPACITY, &reader->def);
	reader->user = GetUserId();
	if (!reader->def->on_nodes)
		require_counting(reader->def);
	reader->view->program.hash_seed = bs_shared_hash_seed();
	reader->shape = bs_shape_make(reader->def, reader->view, context);
	reader->rows = make_rows(reader);
	set_up_states(reader, states);
	check_columns(reader, desc);
	warn_if_suspended(reader);
	make_writer(reader);
	desc = CreateTupleDescCopy(desc);
	set_up_expressions(reader, desc, needed);
	if (reader->rows->ahead)
		prepare_ahead(reader->rows, context, desc);
	MemoryContextSwitchTo(outer);
	return reader;
}

void
bs_reader_close(BsReader *reader)
{
	FreeExprContext(reader->rows->econtext, true);
	bs_once_free(reader->rows->once);
	MemoryContextDelete(reader->context);
}

TupleDesc
bs_reader_desc(const BsReader *reader)
{
	return reader->rows->projection->pi_state.resultslot->tts_tupleDescriptor;
}

void
bs_reader_in_settings(BsReader *reader)
{
	reader->rows->ahead = false;
}

/* ---------- windows ---------- */

BsWindowInfo *
bs_reader_all_windows(BsReader *reader, int *nwindows)
{
	if (!reader->def->on_nodes)
		return bs_view_windows(reader->def->relid, reader->shape->fingerprint, reader->view, nwindows);
	if (reader->nodes == NULL)
		reader->nodes = bs_node_reading_open(reader->def, reader->view, reader->rows->writer,
											 reader->user, false, reader->context);
	return bs_node_reading_windows(reader->nodes, nwindows);
}

int64
bs_reader_watermark(const BsReader *reader)
{
	BsViewExtent extent;

	if (reader->nodes != NULL)
		return reader->nodes->watermark;
	if (!bs_view_extent(reader->def->relid, reader->shape->fingerprint, &extent))
		return BS_TIME_NEG_INFINITY;
	return extent.watermark;
}

BsNodeReading *
bs_reader_nodes(BsReader *reader, Oid user)
{
	reader->user = user;
	reader->nodes = bs_node_reading_open(reader->def, reader->view, reader->rows->writer, user, true,
										 reader->context);
	return reader->nodes;
}

void
bs_reader_expect(BsReader *reader, const BsWindowInfo *windows, int nwindows)
{
	if (reader->nodes != NULL)
		bs_node_reading_expect(reader->nodes, windows, nwindows);
}

static BsWindowData *
read_windows(BsReader *reader, int64 first, int64 last)
{
	BsReaderRows *rows = reader->rows;
	BsWindowData *data;

	if (reader->nodes != NULL)
		data = bs_node_reading_load(reader->nodes, first, last, rows->window_context);
	else
		data = bs_view_read(reader->def->relid, reader->view, rows->writer, first, last,
							rows->window_context);
	if (data->table != NULL)
		bs_table_fold_sets(data->arena, data->table, &reader->view->program, rows->writer);
	return data;
}

BsWindowInfo *
bs_reader_windows(BsReader *reader, int *nwindows)
{
	BsWindowInfo *windows = bs_reader_all_windows(reader, nwindows);
	int shown = 0;

	if (!reader->shape->windowed)
	{
		if (*nwindows == 0)
		{
			windows = palloc0(sizeof(BsWindowInfo));
			windows->window = BS_NO_WINDOW;
			*nwindows = 1;
		}
		return windows;
	}
	for (int i = 0; i < *nwindows; i++)
		if (windows[i].closed || !reader->shape->closed_only)
			windows[shown++] = windows[i];
	*nwindows = shown;
	return windows;
}

/* List the values of the sets that somebody wants by group. */
static void
list_values(BsReader *reader)
{
	BsReaderRows *rows = reader->rows;
	const BsProgram *program = &reader->view->program;
	BsArena *arena = rows->data->arena;
	BsTable *table = rows->data->table;

	for (int i = 0; i < reader->view->nscan; i++)
		if (rows->scan_level[i] != BS_COLUMN_UNUSED && is_over_values(reader, i))
			rows->values_wanted[reader->view->scan[i].final.set] = true;
	rows->sets = (BsGroupSets){.arena = arena, .table = table, .program = program};
	rows->sets.values = palloc0(sizeof(BsGroupValues) * (program->nsets + 1));
	for (uint32 set = 0; table != NULL && set < program->nsets; set++)
	{
		BsGroupValues *values = &rows->sets.values[set];
		uint32 nvalues = bs_groupvalues_count(arena, table, program, set);

		if (!rows->values_wanted[set])
			continue;
		values->first =
			palloc_extended(sizeof(uint32) * (table->nrows + 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		values->next = palloc_extended(sizeof(uint32) * (nvalues + 1), MCXT_ALLOC_HUGE);
		bs_groupvalues_list(values, arena, table, program, rows->writer, set);
	}
}

void
bs_reader_load(BsReader *reader, int64 first, int64 last, int64 shown)
{
	BsReaderRows *rows = reader->rows;
	MemoryContext outer;

	MemoryContextReset(rows->window_context);
	bs_once_forget(rows->once);
	rows->data = NULL;
	outer = MemoryContextSwitchTo(rows->window_context);
	rows->data = read_windows(reader, first, last);
	list_values(reader);
	MemoryContextSwitchTo(outer);
	rows->shown = shown;
	rows->next_chunk = 0;
	rows->nleft = 0;
	rows->ordinal = 0;
	rows->zero_row_due =
		reader->view->ungrouped && (rows->data->table == NULL || rows->data->table->nrows == 0);
	rows->nready = 0;
	rows->next_ready = 0;
}

TupleTableSlot *
bs_reader_window_tuple(BsReader *reader, int64 window)
{
	ResetExprContext(reader->rows->econtext);
	return bs_reader_scan_tuple(reader, (BsGroupAt){.ordinal = BS_NO_ROW}, window, BS_LEVEL_WINDOW);
}

/* The next group that is accepted; false: there is none. */
static bool
next_accepted(BsReader *reader, BsReaderAccept accept, void *context, BsGroupAt *group)
{
	BsReaderRows *rows = reader->rows;

	while (bs_reader_group(reader, group))
	{
		ResetExprContext(rows->econtext);
		if (accept == NULL ||
			accept(context, bs_reader_scan_tuple(reader, *group, rows->shown, BS_LEVEL_KEYS)))
			return true;
		reader->groups_not_accepted++;
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/* ---------- rows ---------- */

/*
 * Make rows of the accepted groups under the view's settings.  Changing them takes a while, so it
 * is done for many rows at once.
 */
static void
make_accepted(BsReader *reader, int naccepted)
{
	BsReaderRows *rows = reader->rows;
	int level = bs_pinned_enter_evaluation(&reader->def->options);

	for (int i = 0; i < naccepted; i++)
	{
		TupleTableSlot *slot;
		MemoryContext outer;

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(rows->econtext);
		slot = bs_reader_row(reader, rows->accepted[i]);
		if (slot == NULL)
			continue;
		outer = MemoryContextSwitchTo(rows->ahead_context);
		rows->ready[rows->nready++] = ExecCopySlotMinimalTuple(slot);
		MemoryContextSwitchTo(outer);
	}
	bs_pinned_leave(level);
}

/*
 * The first row of a window is made by itself, then more and more at a time: an error in the
 * hundredth does not keep LIMIT 1 from its row.
 */
static TupleTableSlot *
next_ahead(BsReader *reader, BsReaderAccept accept, void *context)
{
	BsReaderRows *rows = reader->rows;

	ExecClearTuple(rows->ahead_slot);
	while (rows->next_ready == rows->nready)
	{
		int naccepted = 0;

		rows->nready = 0;
		rows->next_ready = 0;
		MemoryContextReset(rows->ahead_context);
		while (naccepted < rows->batch_rows &&
			   next_accepted(reader, accept, context, &rows->accepted[naccepted]))
			naccepted++;
		if (naccepted == 0)
			return NULL;
		rows->batch_rows = Min(rows->batch_rows * 2, MAX_AHEAD);
		make_accepted(reader, naccepted);
	}
	return ExecStoreMinimalTuple(rows->ready[rows->next_ready++], rows->ahead_slot, false);
}

TupleTableSlot *
bs_reader_next(BsReader *reader, BsReaderAccept accept, void *context)
{
	BsReaderRows *rows = reader->rows;
	BsGroupAt group;

	if (rows->ahead)
		return next_ahead(reader, accept, context);
	while (next_accepted(reader, accept, context, &group))
	{
		TupleTableSlot *slot = bs_reader_row(reader, group);

		if (slot != NULL)
			return slot;
		CHECK_FOR_INTERRUPTS();
	}
	return NULL;
}
