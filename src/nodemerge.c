/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodemerge.c: closed windows of a view that nodes keep, merged into a slot of this server: what its outputs (outputs.h)
 * hand on.  See nodelevels.h.
 *
 * The states of all nodes come as for a reader, and lie here as those of a view that is counted here do: keeper and
 * archiver see no difference.  Panes are what is merged, each once, whatever windows are over them.  Nodes know windows
 * only: a span that ends a window's width before the pane does is the one pane.
 */
#include "backstream.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/writer.h"
#include "levels.h"
#include "nodelevels.h"
#include "signature.h"

/* ---------- opening ---------- */

BsNodeMerge *
bs_node_merge_open(BsActiveView *view)
{
	BsOwnerRows *rows =
		bs_owner_rows_open(view->relid, bms_make_singleton(0), CurrentMemoryContext);
	BsNodeMerge *merge;

	if (rows == NULL)
		return NULL;
	if (rows->reader->shape->fingerprint != view->compiled->program.fingerprint)
	{
		bs_owner_rows_close(rows);
		return NULL;
	}
	merge = palloc0(sizeof(BsNodeMerge));
	merge->view = view;
	merge->rows = rows;
	merge->reading = bs_reader_nodes(rows->reader, rows->relation->rd_rel->relowner);
	bs_node_reading_by_pane(merge->reading);
	merge->context = AllocSetContextCreate(CurrentMemoryContext, "backstream panes of nodes",
										   ALLOCSET_DEFAULT_SIZES);
	return merge;
}

void
bs_node_merge_close(BsNodeMerge *merge)
{
	bs_node_merge_end(merge);
	bs_owner_rows_close(merge->rows);
}

/* ---------- getting ---------- */

static const BsWindowing *
windowing_of(const BsNodeMerge *merge)
{
	return &merge->view->compiled->program.windowing;
}

/* Those of a window that have not been merged with an earlier one: the first of them. */
static int64
first_pane(const BsNodeMerge *merge, int64 window)
{
	int64 fed_before = (int64) pg_atomic_read_u64(&merge->view->shared->fed_before);

	return Max(window, bs_panes_closed_before(windowing_of(merge), fed_before));
}

void
bs_node_merge_expect(BsNodeMerge *merge, const BsWindowInfo *windows, int nwindows)
{
	const BsWindowing *windowing = windowing_of(merge);
	Size capacity = (Size) (windowing->size_usec / windowing->pane_usec) * (Size) nwindows;
	BsWindowInfo *panes;
	int npanes = 0;
	int64 next = BS_TIME_NEG_INFINITY;

	/* Few at a time: more are asked for one by one. */
	capacity = Min(capacity, 4 * BS_FETCH_WINDOWS);
	panes = palloc0(sizeof(BsWindowInfo) * (capacity + 1));
	for (int i = 0; i < nwindows; i++)
	{
		int64 end = bs_window_end(windowing, windows[i].window);

		for (int64 pane = Max(next, first_pane(merge, windows[i].window));
			 pane < end && (Size) npanes < capacity; pane += windowing->pane_usec)
			panes[npanes++].window = next = pane;
		next = Max(next, end);
	}
	bs_node_reading_expect(merge->reading, panes, npanes);
	pfree(panes);
}

/* As the owner: states that come from nodes are looked at by functions of their types. */
static void
load_pane(BsNodeMerge *merge, int64 pane)
{
	BsWindowData *data =
		bs_owner_rows_from_nodes(merge->rows, pane, pane + merge->reading->reach, merge->context);

	merge->gone |= bs_node_reading_gone(merge->reading, pane);
	merge->panes = lappend(merge->panes, data);
	data->info.window = pane;
}

void
bs_node_merge_load(BsNodeMerge *merge, int64 window)
{
	const BsWindowing *windowing = windowing_of(merge);
	int64 end = bs_window_end(windowing, window);
	MemoryContext outer;

	bs_node_merge_end(merge);
	outer = MemoryContextSwitchTo(merge->context);
	for (int64 pane = first_pane(merge, window); pane < end && !merge->gone;
		 pane += windowing->pane_usec)
		load_pane(merge, pane);
	MemoryContextSwitchTo(outer);
}

void
bs_node_merge_end(BsNodeMerge *merge)
{
	MemoryContextReset(merge->context);
	merge->panes = NIL;
	merge->gone = false;
}

/* Nodes that have not told all of the pane, whatever they lack of the window. */
void
bs_node_merge_note_missing(BsNodeMerge *merge, int64 window)
{
	const BsNodeReading *reading = merge->reading;
	ListCell *cell;

	foreach (cell, merge->panes)
	{
		BsWindowInfo *pane = &((BsWindowData *) lfirst(cell))->info;
		BsSpan span = {.since = pane->window, .until = pane->window + windowing_of(merge)->pane_usec};

		pane->nodes_missing = 0;
		for (int i = 0; i < reading->nparts; i++)
		{
			const BsNodePart *part = &reading->parts[i];

			pane->nodes_missing += part->left_out || part->extent.closed_before <= window ||
								   strcmp(part->state, "active") != 0 ||
								   bs_node_reading_missed_span(reading, part, window, span);
		}
	}
}

/* ---------- how far nodes were ---------- */

bool
bs_node_merge_counted_before(const BsNodeMerge *merge, int64 time)
{
	for (int i = 0; i < merge->reading->nparts; i++)
	{
		const BsNodePart *part = &merge->reading->parts[i];

		if (!part->left_out && part->extent.since - part->clock_ahead_usec < time)
			return true;
	}
	return false;
}

/* ---------- columns that some of it lacks ---------- */

/* The slot of what was counted without these columns, that this view goes on from; made when there is none. */
static BsSharedView *
predecessor_without(const BsNodeMerge *merge, const bool *lacks, uint64 *fingerprint)
{
	const BsViewProgram *compiled = merge->view->compiled;
	uint8 *missing = palloc0(Max(compiled->signature->ncolumns, (uint32) compiled->nscan));
	BsViewPart parts[BS_MAX_PARTS];
	BsSignature *signature;
	BsSharedView *made;
	int nparts =
		bs_registry_parts(merge->view->relid, compiled->program.fingerprint, compiled, parts);

	for (int p = 1; p < nparts; p++)
	{
		bool *mine = palloc0(sizeof(bool) * (Size) (compiled->nscan + 1));

		if (parts[p].signature == NULL)
			continue;
		bs_signature_lacks(parts[p].signature, compiled, mine);
		*fingerprint = parts[p].fingerprint;
		if (memcmp(mine, lacks, sizeof(bool) * (Size) compiled->nscan) == 0)
			return parts[p].view;
	}
	if (nparts == 0 || nparts == BS_MAX_PARTS)
		return NULL;
	for (int i = 0; i < compiled->nscan; i++)
		missing[i] = lacks[i];
	signature = bs_signature_without(compiled->signature, missing);
	*fingerprint = bs_signature_fingerprint(signature);
	made = bs_registry_add_predecessor(merge->view->shared, compiled, signature,
									   merge->view->shared->since);
	return made;
}

/* A pane there, though an empty one, says to readers that the window lacks them: it is of nodes (viewread.c). */
static void
note_lacks(const BsNodeMerge *merge, const BsWindowData *data, uint32 expected)
{
	uint64 fingerprint;
	BsSharedView *part = predecessor_without(merge, data->lacks, &fingerprint);
	BsPane *pane = NULL;

	bs_registry_lock_shared();
	if (part != NULL && part->relid == merge->view->relid && part->role == BS_SLOT_PREDECESSOR &&
		part->fingerprint == fingerprint)
	{
		BsSharedPartial *shared = &part->partials[bs_keeper_writer()];

		bs_partial_lock_write(shared);
		pane = bs_partial_make_pane(&shared->partial, bs_shared_arena(), data->info.window);
		if (pane != NULL)
			bs_pane_note_nodes(pane, expected, 0);
		bs_partial_unlock(shared);
	}
	bs_registry_unlock();
	if (pane == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no slot is free for what nodes have counted under an earlier definition"),
				 errhint("Raise backstream.max_views, or wait until it is past retention.")));
}

/* ---------- merging ---------- */

static uint64
count_records(const BsProgram *program, const BsWindowData *data)
{
	uint64 records = 0;

	for (uint32 chunk = 0; chunk < data->table->nchunks; chunk++)
		for (uint32 i = 0; i < bs_table_chunk_rows(data->table, &program->layout, chunk); i++)
			records += *(const uint64 *) (bs_table_row(data->arena, data->table, program,
													   chunk << BS_ROW_SHIFT | i) +
										  program->count_offset);
	return records;
}

/* As a partial of that pane alone: the table stays where it is. */
static void
make_partial(const BsNodeMerge *merge, const BsWindowData *data, BsPartial *partial)
{
	const BsProgram *program = &merge->view->compiled->program;
	uint64 records = count_records(program, data);
	BsPane *pane;

	bs_partial_init(partial, program, UINT64_MAX);
	pane = bs_partial_make_pane(partial, data->arena, data->info.window);
	if (pane == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (data->table->nchunks > 0 && bs_table_records(data->table) == 0)
		bs_table_count_records(data->table, records);
	pane->table = (uint64) ((const uint8 *) data->table - (const uint8 *) data->arena);
	partial->received = records;
}

/* The pane says so also when it is empty. */
static void
note_missing(BsPartial *partial, int64 start, const BsNodeMerged *merged, uint32 missing)
{
	BsPane *pane = missing > 0 ? bs_partial_make_pane(partial, bs_shared_arena(), start)
							   : bs_partial_pane(partial, bs_shared_arena(), start);

	if (pane != NULL)
		bs_pane_note_nodes(pane, merged->nodes_expected, Min(missing, BS_PANE_HOLE - 1));
}

static bool
note_hole(BsPartial *partial, int64 start)
{
	BsPane *pane = bs_partial_make_pane(partial, bs_shared_arena(), start);

	if (pane != NULL)
		bs_pane_note_nodes(pane, 0, BS_PANE_HOLE);
	return pane != NULL;
}

/*
 * Of windows that were missed some panes may be here, with earlier or later windows: they would be listed with those.
 * In front of all that has come they are dropped; else the first and the last pane that was left out say so: each of
 * these windows that has anything is over one of them.  Returns whether windows that were missed stay away; when all
 * their panes have come with others after all, they are whole.
 */
static bool
hide_missed(const BsNodeMerge *merge, BsPartial *partial, int64 fed_before, const BsNodeMerged *merged)
{
	const BsWindowing *windowing = windowing_of(merge);
	int64 first = bs_panes_closed_before(windowing, fed_before);

	if (fed_before == BS_TIME_NEG_INFINITY)
	{
		bs_partial_drop(partial, bs_shared_arena(), merged->window);
		return true;
	}
	if (merged->missed_before <= fed_before)
		return true;
	if (merged->missed_before <= first)
		return false;
	if (!note_hole(partial, first) || !note_hole(partial, merged->missed_before - windowing->pane_usec))
		bs_partial_drop(partial, bs_shared_arena(), merged->missed_before);
	return true;
}

/* Some node is missing in a pane of the window, which may have come with an earlier one. */
static bool
is_incomplete(const BsNodeMerge *merge, const BsPartial *partial, int64 window)
{
	BsArena *arena = bs_shared_arena();
	uint32 end = bs_partial_position(partial, arena, bs_window_end(windowing_of(merge), window));

	for (uint32 i = bs_partial_position(partial, arena, window); i < end; i++)
		if (bs_partial_pane_at(partial, arena, i)->nodes_missing > 0)
			return true;
	return false;
}

/* Into the slot, whose lock is held. */
static void
merge_pane(const BsNodeMerge *merge, BsPartial *partial, const BsWindowData *data,
		   const BsNodeMerged *merged)
{
	const BsActiveView *view = merge->view;
	BsSharedPartial *shared = &view->shared->partials[bs_keeper_writer()];

	if (partial->npanes > 0)
		bs_partial_merge(&shared->partial, bs_shared_arena(), &view->compiled->program,
						 view->writer, partial, data->arena, bs_view_steady_now(view->shared));
	note_missing(&shared->partial, data->info.window, merged, data->info.nodes_missing);
}

/*
 * The windows before merged->before are empty, and so are their panes, which later windows have in common with them: but
 * for what nodes that are missing may have, which the last of these panes says.
 */
static void
pass_panes(const BsNodeMerge *merge, BsPartial *partial, const BsNodeMerged *merged)
{
	const BsWindowing *windowing = windowing_of(merge);

	if (merged->nodes_missing > 0 && windowing->size_usec > windowing->slide_usec)
		note_missing(partial, bs_panes_closed_before(windowing, merged->before) - windowing->pane_usec, merged,
					 merged->nodes_missing);
}

static void
merge_panes(const BsNodeMerge *merge, BsPartial *partials, const BsNodeMerged *merged)
{
	BsSharedView *view = merge->view->shared;
	BsPartial *shared = &view->partials[bs_keeper_writer()].partial;
	bool no_room = false;

	if (bs_progress_lock(view, merge->view->compiled->program.fingerprint, true))
	{
		uint64 overflowed = shared->overflowed;
		int64 fed_before = (int64) pg_atomic_read_u64(&view->fed_before);
		uint64 nincomplete = merged->nincomplete;

		if (hide_missed(merge, shared, fed_before, merged))
			pg_atomic_fetch_add_u64(&view->windows_missed, merged->nmissed);
		for (int i = 0; i < list_length(merge->panes); i++)
			merge_pane(merge, &partials[i], list_nth(merge->panes, i), merged);
		no_room = shared->overflowed > overflowed;
		if (merge->panes == NIL)
			pass_panes(merge, shared, merged);
		else
			nincomplete += is_incomplete(merge, shared, merged->window);
		pg_atomic_write_u64(&view->fed_before, (uint64) merged->before);
		pg_atomic_fetch_add_u64(&view->windows_incomplete, nincomplete);
	}
	bs_progress_unlock(view, true);
	if (no_room)
		bs_view_report_error(view, "there was no room in backstream.memory for all groups of the "
								   "nodes: some are not handed on");
}

void
bs_node_merge_publish(BsNodeMerge *merge, const BsNodeMerged *merged)
{
	MemoryContext outer = MemoryContextSwitchTo(merge->context);
	BsPartial *partials = palloc0(sizeof(BsPartial) * (Size) (list_length(merge->panes) + 1));

	for (int i = 0; i < list_length(merge->panes); i++)
	{
		const BsWindowData *data = list_nth(merge->panes, i);

		if (data->table == NULL || data->table->nrows == 0)
			continue;
		make_partial(merge, data, &partials[i]);
		if (data->lacks != NULL)
			note_lacks(merge, data, merged->nodes_expected);
	}
	merge_panes(merge, partials, merged);
	MemoryContextSwitchTo(outer);
	bs_view_advance(merge->view->shared);
}
