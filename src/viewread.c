/* SPDX-License-Identifier: PostgreSQL */
/*
 * viewread.c: taking windows of a view out of shared memory.  See registry.h.
 *
 * A reader merges chunk by chunk into a table of its own, holding a partial's lock for one chunk
 * (64 kB of rows, some 30 microseconds), and looks up the pane anew each time, so nothing is ever
 * pinned.  A window that was dropped meanwhile is read as none at all, never as a part of it.
 */
#include "registry.h"

#include "rolling.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "signature.h"

#define SLACK_BYTES (4 * BS_ARENA_MAX_BLOCK)
#define MAX_TRIES   6

/* ---------- panes ---------- */

/* A pane of one writer, as it was. */
typedef struct PaneCopy
{
	BsWindowInfo info; /* .window is the start of the pane */
	uint32 records_lost_before;
	uint32 datagrams_lost_before;
	uint32 datagrams_dropped_before;
} PaneCopy;

typedef struct PaneList
{
	PaneCopy *panes; /* one writer's are together and in order */
	int npanes;
	int capacity;
	int64 dropped_before; /* panes that start before this have gone, of some writer at least */
} PaneList;

void
bs_window_info_add(BsWindowInfo *sum, const BsWindowInfo *info)
{
	sum->records += info->records;
	sum->late += info->late;
	sum->overflowed += info->overflowed;
	sum->errors += info->errors;
	sum->gap |= info->gap;
	sum->nodes_expected = Max(sum->nodes_expected, info->nodes_expected);
	sum->nodes_missing = Max(sum->nodes_missing, info->nodes_missing);
	sum->left_out += info->left_out;
	sum->other += info->other;
	sum->records_lost += info->records_lost;
	sum->datagrams_lost += info->datagrams_lost;
	sum->datagrams_dropped += info->datagrams_dropped;
	sum->groups += info->groups;
	sum->bytes += info->bytes;
}

static void
pane_add(PaneList *list, const BsPane *pane, BsArena *arena)
{
	const BsTable *table = pane->table != 0 ? bs_arena_at(arena, pane->table) : NULL;

	PaneCopy *copy = &list->panes[list->npanes++];

	copy->info = (BsWindowInfo){
		.window = pane->start,
		.records = table != NULL ? bs_table_records(table) : 0,
		.late = pane->late,
		.overflowed = pane->overflowed,
		.errors = pane->errors,
		.gap = pane->gap,
		.nodes_expected = pane->nodes_expected,
		.nodes_missing = pane->nodes_missing,
		.records_lost = pane->records_lost,
		.datagrams_lost = pane->datagrams_lost,
		.datagrams_dropped = pane->datagrams_dropped,
		.left_out = table != NULL ? table->left_out : 0,
		.other = table != NULL ? bs_table_other_records(arena, table) : 0,
		.groups = table != NULL ? bs_table_groups(arena, table) : 0,
		.bytes = table != NULL ? table->bytes : 0,
	};
	copy->records_lost_before = pane->records_lost_before;
	copy->datagrams_lost_before = pane->datagrams_lost_before;
	copy->datagrams_dropped_before = pane->datagrams_dropped_before;
}

/* Room for all panes of this partial; got without the lock, for palloc may raise an error. */
static void
reserve_for(PaneList *list, uint32 npanes)
{
	if (list->capacity - list->npanes >= (int) npanes)
		return;
	list->capacity = list->npanes + (int) npanes * 2 + 16;
	list->panes = list->panes == NULL
					  ? palloc(list->capacity * sizeof(PaneCopy))
					  : repalloc(list->panes, list->capacity * sizeof(PaneCopy));
}

/*
 * The panes of a partial that start at first or later and before end.  A writer waits for the lock: many
 * panes are copied in runs, between which it may go on.
 */
static void
collect_panes(BsSharedPartial *shared, uint64 fingerprint, int64 first, int64 end, PaneList *list)
{
	const BsPartial *partial = &shared->partial;
	BsArena *arena = bs_shared_arena();
	uint32 nleft = 0;

	do
	{
		uint32 begin;
		uint32 ncopied;

		reserve_for(list, nleft);
		bs_partial_lock_read(shared);
		if (partial->fingerprint != fingerprint)
		{
			bs_partial_unlock(shared);
			return;
		}
		begin = bs_partial_position(partial, arena, first);
		nleft = Max(bs_partial_position(partial, arena, end), begin) - begin;
		ncopied = Min(nleft, BS_PANES_PER_LOCK);
		if (list->capacity - list->npanes >= (int) ncopied)
		{
			for (uint32 i = 0; i < ncopied; i++)
				pane_add(list, bs_partial_pane_at(partial, arena, begin + i), arena);
			if (ncopied > 0)
				first = list->panes[list->npanes - 1].info.window + 1;
			nleft -= ncopied;
			list->dropped_before = Max(list->dropped_before, partial->dropped_before);
		}
		bs_partial_unlock(shared);
	} while (nleft > 0);
}

static int
window_compare(const void *a, const void *b)
{
	int64 x = ((const BsWindowInfo *) a)->window;
	int64 y = ((const BsWindowInfo *) b)->window;

	return (x > y) - (x < y);
}

/* Entries of one start, from several writers, become one.  Returns how many are left, in order. */
static int
infos_unite(BsWindowInfo *infos, int ninfos)
{
	int kept = 0;

	qsort(infos, ninfos, sizeof(BsWindowInfo), window_compare);
	for (int i = 0; i < ninfos; i++)
	{
		if (kept > 0 && infos[kept - 1].window == infos[i].window)
			bs_window_info_add(&infos[kept - 1], &infos[i]);
		else
			infos[kept++] = infos[i];
	}
	return kept;
}

/*
 * The panes that start at first or later and before end, those of all writers and parts taken together.
 * in_part says which parts have any.
 */
static BsWindowInfo *
panes_of_parts(const BsViewPart *parts, int nparts, int64 first, int64 end, int *npanes, bool *in_part)
{
	PaneList list = {0};
	BsWindowInfo *panes;

	for (int p = 0; p < nparts; p++)
	{
		/* What nodes have counted under several definitions lies in one place, and a mark in the others (nodemerge.c). */
		bool of_nodes = parts[p].view->timing.feeding == BS_FEED_NODES;
		int before = list.npanes;

		for (int w = 0; w < bs_nwriters(); w++)
			collect_panes(&parts[p].view->partials[w], parts[p].fingerprint, first, end, &list);
		in_part[p] = false;
		for (int i = before; i < list.npanes; i++)
			in_part[p] |= list.panes[i].info.records > 0 ||
						  (of_nodes && list.panes[i].info.nodes_expected > 0);
	}
	panes = palloc(sizeof(BsWindowInfo) * (Size) (list.npanes + 1));
	for (int i = 0; i < list.npanes; i++)
		panes[i] = list.panes[i].info;
	*npanes = infos_unite(panes, list.npanes);
	if (list.panes != NULL)
		pfree(list.panes);
	return panes;
}

/* ---------- windows ---------- */

typedef struct WindowList
{
	BsWindowInfo *windows;
	int nwindows;
	int capacity;
} WindowList;

/*
 * What the panes of one window come to, of one writer.  Each pane has noted what was lost while it was
 * open, so that a window of several would have it several times.
 */
static void
window_add(WindowList *list, const PaneCopy *panes, int npanes, int64 window)
{
	const PaneCopy *last = &panes[npanes - 1];
	BsWindowInfo sum = {.window = window};

	for (int i = 0; i < npanes; i++)
		bs_window_info_add(&sum, &panes[i].info);
	sum.records_lost =
		last->info.records_lost + (int32) (last->records_lost_before - panes[0].records_lost_before);
	sum.datagrams_lost = last->info.datagrams_lost +
						 (int32) (last->datagrams_lost_before - panes[0].datagrams_lost_before);
	sum.datagrams_dropped = last->info.datagrams_dropped +
							(int32) (last->datagrams_dropped_before - panes[0].datagrams_dropped_before);
	if (list->nwindows == list->capacity)
	{
		list->capacity = list->capacity * 2 + 64;
		list->windows = list->windows == NULL
							? palloc(list->capacity * sizeof(BsWindowInfo))
							: repalloc_huge(list->windows, list->capacity * sizeof(BsWindowInfo));
	}
	list->windows[list->nwindows++] = sum;
}

/* The windows that are over some pane of one writer. */
static void
add_windows(const BsWindowing *windowing, const PaneCopy *panes, int npanes, WindowList *list)
{
	int64 window = BS_TIME_NEG_INFINITY;
	int first = 0;
	int end = 0;

	while (first < npanes)
	{
		/* The next one that any pane is left of. */
		window = Max(bs_window_first_after(windowing, panes[first].info.window),
					 bs_window_next(windowing, window));
		while (first < npanes && panes[first].info.window < window)
			first++;
		while (end < npanes && panes[end].info.window < bs_window_end(windowing, window))
			end++;
		if (first < end)
			window_add(list, panes + first, end - first, window);
	}
}

/*
 * Of windows that start before dropped_before a part has gone: they are no more.  Of those over a hole (nodemerge.c) a
 * part has never come.  Those that are only over panes for late records of other windows have never been.
 */
static int
windows_keep(BsWindowInfo *windows, int nwindows, int64 dropped_before)
{
	int kept = 0;

	for (int i = 0; i < nwindows; i++)
	{
		const BsWindowInfo *info = &windows[i];

		if (info->window >= dropped_before && info->nodes_missing != BS_PANE_HOLE &&
			(info->groups > 0 || info->records > 0 || info->overflowed > 0 || info->errors > 0 ||
			 info->nodes_missing > 0))
			windows[kept++] = *info;
	}
	return kept;
}

/* The one window of a rolling view, as of now; none before the data's clock has begun. */
static BsWindowInfo *
rolling_window(const BsViewPart *parts, int nparts, int *nwindows)
{
	BsSharedView *view = parts[0].view;
	const BsWindowing *windowing = &view->timing.windowing;
	int64 now = bs_view_now(view);
	PaneList panes = {0};
	WindowList list = {0};
	int64 window;

	if (now == BS_TIME_NEG_INFINITY)
		return NULL;
	window = bs_rolling_start(windowing, now);
	for (int i = 0; i < nparts * bs_nwriters(); i++)
	{
		const BsViewPart *part = &parts[i / bs_nwriters()];

		panes.npanes = 0;
		collect_panes(&part->view->partials[i % bs_nwriters()], part->fingerprint, window,
					  bs_window_end(windowing, window), &panes);
		if (panes.npanes > 0)
			window_add(&list, panes.panes, panes.npanes, window);
	}
	*nwindows = 1;
	if (list.nwindows == 0)
	{
		list.windows = palloc0(sizeof(BsWindowInfo));
		list.windows->window = window;
	}
	(void) infos_unite(list.windows, list.nwindows);
	return list.windows;
}

BsWindowInfo *
bs_view_windows(Oid relid, uint64 fingerprint, const BsViewProgram *compiled, int *nwindows)
{
	BsViewPart parts[BS_MAX_PARTS];
	bool in_part[BS_MAX_PARTS];
	int nparts = bs_registry_parts(relid, fingerprint, compiled, parts);
	BsSharedView *view = nparts > 0 ? parts[0].view : NULL;
	PaneList panes = {.dropped_before = BS_TIME_NEG_INFINITY};
	WindowList list = {0};
	int64 closed_before;

	*nwindows = 0;
	if (view == NULL)
		return NULL;
	if (!view->timing.windowed)
		return panes_of_parts(parts, nparts, PG_INT64_MIN, PG_INT64_MAX, nwindows, in_part);
	if (view->timing.rolling)
		return rolling_window(parts, nparts, nwindows);
	/* Read first: a window that closes meanwhile is shown as open, never the other way round. */
	closed_before = (int64) pg_atomic_read_u64(&view->closed_before);
	for (int i = 0; i < nparts * bs_nwriters(); i++)
	{
		const BsViewPart *part = &parts[i / bs_nwriters()];

		panes.npanes = 0;
		collect_panes(&part->view->partials[i % bs_nwriters()], part->fingerprint, PG_INT64_MIN,
					  PG_INT64_MAX, &panes);
		add_windows(&view->timing.windowing, panes.panes, panes.npanes, &list);
	}
	list.nwindows = infos_unite(list.windows, list.nwindows);
	*nwindows = windows_keep(list.windows, list.nwindows, panes.dropped_before);
	for (int i = 0; i < *nwindows; i++)
		list.windows[i].closed = list.windows[i].window < closed_before;
	return list.windows;
}

/* The end of the last window that is closed: after a restart the sources may not have come as far again. */
static int64
closed_until(const BsSharedView *view, int64 closed_before)
{
	if (!view->timing.windowed || view->timing.rolling || closed_before == BS_TIME_NEG_INFINITY)
		return BS_TIME_NEG_INFINITY;
	return bs_panes_closed_before(&view->timing.windowing, closed_before);
}

/* What came before the view is not of it; it may be of between two outages that became one. */
static void
note_down(BsViewExtent *extent)
{
	bs_outages_known(&extent->outages);
	bs_spans_begin(&extent->outages, extent->since);
}

bool
bs_view_found_idle(Oid relid, uint64 fingerprint)
{
	BsSharedView *view = bs_registry_find(relid, fingerprint);

	return view != NULL && bs_view_is_idle(view);
}

bool
bs_view_extent(Oid relid, uint64 fingerprint, BsViewExtent *extent)
{
	BsSharedView *view = bs_registry_find(relid, fingerprint);

	if (view == NULL)
		return false;
	extent->since = view->since;
	extent->state = (BsViewState) pg_atomic_read_u32(&view->state);
	extent->closed_before = (int64) pg_atomic_read_u64(&view->closed_before);
	/* Second: what is closed by then is before it. */
	extent->watermark = Max(bs_view_watermark(view), closed_until(view, extent->closed_before));
	extent->dropped_before = BS_TIME_NEG_INFINITY;
	extent->idle = false;
	note_down(extent);
	for (int w = 0; w < bs_nwriters(); w++)
	{
		BsSharedPartial *shared = &view->partials[w];

		bs_partial_lock_read(shared);
		if (shared->partial.fingerprint == fingerprint)
			extent->dropped_before = Max(extent->dropped_before, shared->partial.dropped_before);
		bs_partial_unlock(shared);
	}
	return true;
}

int64
bs_view_last_dropped(Oid relid)
{
	int64 last = BS_TIME_NEG_INFINITY;
	BsSharedView *view;

	bs_registry_lock_shared();
	for (view = bs_registry_slot_of(relid); view != NULL; view = bs_registry_predecessor(view))
		for (int w = 0; w < bs_nwriters(); w++)
		{
			bs_partial_lock_read(&view->partials[w]);
			last = Max(last, view->partials[w].partial.last_dropped);
			bs_partial_unlock(&view->partials[w]);
		}
	bs_registry_unlock();
	return last;
}

uint64
bs_view_count_windows(Oid relid, uint64 fingerprint, int64 first, int64 end)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "backstream windows", ALLOCSET_SMALL_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	int nwindows;
	BsWindowInfo *windows = bs_view_windows(relid, fingerprint, NULL, &nwindows);
	uint64 count = 0;

	for (int i = 0; i < nwindows; i++)
		count += windows[i].window >= first && windows[i].window < end;
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
	return count;
}

/* ---------- their groups ---------- */

static void
free_data(void *data)
{
	/* When it has been done before it finds nothing to do. */
	bs_window_data_free(data);
}

/* Who reads what into what. */
typedef struct Reading
{
	const BsProgram *program;
	BsWriter *writer;
	bool fixed; /* a rolling view as of another time than now */
	BsViewPart parts[BS_MAX_PARTS];
	BsTranslation *translations[BS_MAX_PARTS]; /* NULL: of the program itself */
	int nparts;
	BsWindowData *data;
	uint64 overflowed;
} Reading;

/* The pane's table in a partial of a part, if it is (still) there; the lock is held. */
static BsTable *
table_of(const Reading *reading, int part, const BsPartial *partial, int64 start)
{
	BsArena *arena = bs_shared_arena();
	const BsPane *pane = partial->fingerprint == reading->parts[part].fingerprint
							 ? bs_partial_pane(partial, arena, start)
							 : NULL;

	return pane != NULL && pane->table != 0 ? bs_arena_at(arena, pane->table) : NULL;
}

/* Merge one chunk of a pane; false when the pane has no such chunk (any more). */
static bool
read_chunk(Reading *reading, int part, BsSharedPartial *shared, int64 start, uint32 chunk)
{
	BsArena *arena = bs_shared_arena();
	BsWindowData *data = reading->data;
	const BsTable *table;
	bool more;

	bs_partial_lock_read(shared);
	table = table_of(reading, part, &shared->partial, start);
	more = table != NULL && chunk < table->nchunks;
	if (more && reading->translations[part] != NULL)
		reading->overflowed += bs_table_merge_older_chunk(
			data->arena, data->table, reading->program, reading->writer, reading->translations[part],
			arena, table, chunk, UINT64_MAX);
	else if (more)
		reading->overflowed += bs_table_merge_chunk(data->arena, data->table, reading->program,
													reading->writer, arena, table, chunk, UINT64_MAX);
	bs_partial_unlock(shared);
	return more;
}

/* Merge one chunk of a set of a pane; false when there is none (any more). */
static bool
read_set_chunk(Reading *reading, int part, BsSharedPartial *shared, int64 start, uint32 set,
			   uint32 chunk)
{
	BsArena *arena = bs_shared_arena();
	BsWindowData *data = reading->data;
	BsTable *table;
	bool more = false;

	bs_partial_lock_read(shared);
	table = table_of(reading, part, &shared->partial, start);
	if (table != NULL && reading->translations[part] != NULL)
		more = bs_table_merge_older_set_chunk(data->arena, data->table, reading->program,
											  reading->writer, reading->translations[part], arena, table,
											  set, chunk, UINT64_MAX);
	else if (table != NULL)
		more = bs_table_merge_set_chunk(data->arena, data->table, reading->program, reading->writer,
										arena, table, set, chunk, UINT64_MAX);
	bs_partial_unlock(shared);
	return more;
}

/*
 * Sets are read before the groups: a group that comes in between has no values yet, while a value whose
 * group is missing would be lost.
 */
static void
read_sets(Reading *reading, int part, int64 start)
{
	BsSharedView *view = reading->parts[part].view;

	for (int w = 0; w < bs_nwriters(); w++)
		for (uint32 set = 0; set < reading->program->nsets; set++)
		{
			uint32 chunk = 0;

			while (read_set_chunk(reading, part, &view->partials[w], start, set, chunk))
			{
				chunk++;
				CHECK_FOR_INTERRUPTS();
			}
		}
}

static void
read_groups(Reading *reading, int part, int64 start)
{
	BsSharedView *view = reading->parts[part].view;

	for (int w = 0; w < bs_nwriters(); w++)
	{
		uint32 chunk = 0;

		while (read_chunk(reading, part, &view->partials[w], start, chunk))
		{
			chunk++;
			CHECK_FOR_INTERRUPTS();
		}
	}
}

static void
read_pane(Reading *reading, int64 start)
{
	for (int part = 0; part < reading->nparts; part++)
		read_sets(reading, part, start);
	for (int part = 0; part < reading->nparts; part++)
		read_groups(reading, part, start);
}

/*
 * Retention drops the panes of one writer after the other, oldest first.  Was one dropped, of any
 * writer, while they were read?  Then a part of its groups is missing; otherwise panes only ever
 * grow.
 */
static bool
panes_shrank(const BsWindowInfo *before, int nbefore, const BsWindowInfo *after, int nafter)
{
	int j = 0;

	for (int i = 0; i < nbefore; i++)
	{
		while (j < nafter && after[j].window < before[i].window)
			j++;
		if (j == nafter || after[j].window != before[i].window ||
			after[j].records < before[i].records)
			return true;
	}
	return false;
}

/* One attempt: false when an open pane grew beyond the memory that was got for it. */
static bool
try_read(Reading *reading, const BsWindowInfo *panes, int npanes, uint64 usable_bytes)
{
	BsWindowData *data = reading->data;

	bs_window_data_make(data, reading->program, usable_bytes, data->info.groups);
	reading->overflowed = 0;
	for (int i = 0; i < npanes && reading->overflowed == 0; i++)
		read_pane(reading, panes[i].window);
	/* The private table's own left_out says whether it had room for all values. */
	return reading->overflowed == 0 && data->table->left_out == 0;
}

static BsWindowData *
data_create(MemoryContext context)
{
	BsWindowData *data = MemoryContextAllocZero(context, sizeof(BsWindowData));
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(*callback));

	callback->func = free_data;
	callback->arg = data;
	MemoryContextRegisterResetCallback(context, callback);
	return data;
}

/* Which panes the windows first .. last are made of; of a rolling view, the one window of now. */
typedef struct Span
{
	int64 first;
	int64 end;
} Span;

static Span
span_of(const Reading *reading, int64 first, int64 last)
{
	const BsProgram *program = reading->program;

	if (!program->windowed)
		return (Span){first, last + 1};
	if (!reading->fixed && reading->nparts > 0 && reading->parts[0].view->timing.rolling)
	{
		int64 now = bs_view_now(reading->parts[0].view);

		first = last = now == BS_TIME_NEG_INFINITY ? now : bs_rolling_start(&program->windowing, now);
	}
	return (Span){first, bs_window_end(&program->windowing, last)};
}

/* The parts of the view, and how to read those that it goes on from. */
static void
begin_reading(Reading *reading, Oid relid, const BsViewProgram *compiled, MemoryContext context)
{
	MemoryContext outer = MemoryContextSwitchTo(context);

	reading->program = &compiled->program;
	reading->nparts =
		bs_registry_parts(relid, compiled->program.fingerprint, compiled, reading->parts);
	for (int p = 0; p < reading->nparts; p++)
		if (p > 0 || reading->parts[p].fingerprint != compiled->program.fingerprint)
			reading->translations[p] = bs_signature_translation(reading->parts[p].signature, compiled);
	MemoryContextSwitchTo(outer);
}

/* Which columns were not counted in some of the panes that were read? */
static bool *
columns_lacking(const Reading *reading, const bool *in_part, const BsViewProgram *compiled,
				MemoryContext context)
{
	bool *lacks = NULL;

	for (int p = 0; p < reading->nparts; p++)
	{
		if (!in_part[p] || reading->translations[p] == NULL)
			continue;
		if (lacks == NULL)
			lacks = MemoryContextAllocZero(context, sizeof(bool) * (Size) (compiled->nscan + 1));
		bs_signature_lacks(reading->parts[p].signature, compiled, lacks);
	}
	return lacks;
}

static BsWindowData *
read_view(Oid relid, const BsViewProgram *compiled, BsWriter *writer, int64 first, int64 last,
		  bool fixed, MemoryContext context)
{
	Reading reading = {.writer = writer, .fixed = fixed, .data = data_create(context)};
	BsWindowData *data = reading.data;
	bool in_part[BS_MAX_PARTS];
	int npanes;
	BsWindowInfo *panes;
	Span span;
	int tries = 0;

	begin_reading(&reading, relid, compiled, context);
	span = span_of(&reading, first, last);
	panes = panes_of_parts(reading.parts, reading.nparts, span.first, span.end, &npanes, in_part);
	for (;;)
	{
		BsWindowInfo *before = panes;
		int nbefore = npanes;
		bool fitted;

		data->info = (BsWindowInfo){.window = span.first};
		for (int i = 0; i < nbefore; i++)
			bs_window_info_add(&data->info, &before[i]);
		if (reading.nparts == 0 || data->info.groups == 0)
			break;
		fitted =
			try_read(&reading, before, nbefore, ((data->info.bytes * 2 + SLACK_BYTES) << tries));
		panes = panes_of_parts(reading.parts, reading.nparts, span.first, span.end, &npanes, in_part);
		if (fitted && !panes_shrank(before, nbefore, panes, npanes))
			break;
		/* Of a rolling view, what has gone is no longer asked for. */
		span = span_of(&reading, first, last);
		panes = panes_of_parts(reading.parts, reading.nparts, span.first, span.end, &npanes, in_part);
		bs_window_data_free(data);
		pfree(before);
		/* There are ever fewer panes to lose: only growth needs a bound. */
		if (!fitted && ++tries == MAX_TRIES)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
							errdetail("The groups of a window grew faster than they were read.")));
	}
	data->lacks = columns_lacking(&reading, in_part, compiled, context);
	return data;
}

BsWindowData *
bs_view_read(Oid relid, const BsViewProgram *compiled, BsWriter *writer, int64 first, int64 last,
			 MemoryContext context)
{
	return read_view(relid, compiled, writer, first, last, false, context);
}

BsWindowData *
bs_view_read_fixed(Oid relid, const BsViewProgram *compiled, BsWriter *writer, int64 first,
				   int64 last, MemoryContext context)
{
	return read_view(relid, compiled, writer, first, last, true, context);
}
