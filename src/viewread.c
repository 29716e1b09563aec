/* SPDX-License-Identifier: PostgreSQL */
/*
 * viewread.c: taking windows of a view out of shared memory.  See registry.h.
 *
 * A reader merges chunk by chunk into a table of its own, holding a partial's lock for one chunk
 * (64 kB of rows, some 30 microseconds), and looks up the pane anew each time, so nothing is ever
 * pinned.  A window that was dropped meanwhile is read as none at all, never as a part of it.
 */
#include "registry.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#define SLACK_BYTES (4 * BS_ARENA_MAX_BLOCK)
#define MAX_TRIES   6

/* ---------- panes ---------- */

/* A pane of one writer, as it was. */
typedef struct PaneCopy
{
	BsWindowInfo info; /* .window is the start of the pane */
	uint32 records_lost_before;
	uint32 datagrams_lost_before;
} PaneCopy;

typedef struct PaneList
{
	PaneCopy *panes; /* one writer's are together and in order */
	int npanes;
	int capacity;
	int64 dropped_before; /* panes that start before this have gone, of some writer at least */
} PaneList;

static void
info_add(BsWindowInfo *sum, const BsWindowInfo *info)
{
	sum->records += info->records;
	sum->late += info->late;
	sum->overflowed += info->overflowed;
	sum->errors += info->errors;
	sum->left_out += info->left_out;
	sum->records_lost += info->records_lost;
	sum->datagrams_lost += info->datagrams_lost;
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
		.records = pane->records,
		.late = pane->late,
		.overflowed = pane->overflowed,
		.errors = pane->errors,
		.records_lost = pane->records_lost,
		.datagrams_lost = pane->datagrams_lost,
		.left_out = table != NULL ? table->left_out : 0,
		.groups = table != NULL ? table->nrows : 0,
		.bytes = table != NULL ? table->bytes : 0,
	};
	copy->records_lost_before = pane->records_lost_before;
	copy->datagrams_lost_before = pane->datagrams_lost_before;
}

/* Panes of a partial that start at first or later and before end: *begin and the number of them; the
 * lock is held. */
static uint32
panes_between(const BsPartial *partial, BsArena *arena, int64 first, int64 end, uint32 *begin)
{
	const BsPane *panes = partial->npanes > 0 ? bs_arena_at(arena, partial->panes) : NULL;
	uint32 low = 0;
	uint32 last;

	for (uint32 high = partial->npanes; low < high;)
	{
		uint32 middle = low + (high - low) / 2;

		if (panes[middle].start < first)
			low = middle + 1;
		else
			high = middle;
	}
	last = low;
	while (last < partial->npanes && panes[last].start < end)
		last++;
	*begin = low;
	return last - low;
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

static void
collect_panes(BsSharedPartial *shared, uint64 fingerprint, int64 first, int64 end, PaneList *list)
{
	const BsPartial *partial = &shared->partial;
	BsArena *arena = bs_shared_arena();
	uint32 npanes = 0;
	uint32 begin = 0;

	for (;;)
	{
		reserve_for(list, npanes);
		bs_partial_lock_read(shared);
		npanes = partial->fingerprint == fingerprint
					 ? panes_between(partial, arena, first, end, &begin)
					 : 0;
		if (list->capacity - list->npanes >= (int) npanes)
			break;
		bs_partial_unlock(shared);
	}
	for (uint32 i = 0; i < npanes; i++)
		pane_add(list, (const BsPane *) bs_arena_at(arena, partial->panes) + begin + i, arena);
	if (partial->fingerprint == fingerprint)
		list->dropped_before = Max(list->dropped_before, partial->dropped_before);
	bs_partial_unlock(shared);
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
			info_add(&infos[kept - 1], &infos[i]);
		else
			infos[kept++] = infos[i];
	}
	return kept;
}

/* The panes that start at first or later and before end, the writers' taken together. */
static BsWindowInfo *
panes_of_view(BsSharedView *view, uint64 fingerprint, int64 first, int64 end, int *npanes)
{
	PaneList list = {0};
	BsWindowInfo *panes;

	for (int w = 0; view != NULL && w < bs_nwriters(); w++)
		collect_panes(&view->partials[w], fingerprint, first, end, &list);
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
		info_add(&sum, &panes[i].info);
	sum.records_lost =
		last->info.records_lost + (int32) (last->records_lost_before - panes[0].records_lost_before);
	sum.datagrams_lost = last->info.datagrams_lost +
						 (int32) (last->datagrams_lost_before - panes[0].datagrams_lost_before);
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
 * Of windows that start before dropped_before a part has gone: they are no more.  Those that are only over
 * panes for late records of other windows have never been.
 */
static int
windows_keep(BsWindowInfo *windows, int nwindows, int64 dropped_before)
{
	int kept = 0;

	for (int i = 0; i < nwindows; i++)
	{
		const BsWindowInfo *info = &windows[i];

		if (info->window >= dropped_before &&
			(info->groups > 0 || info->records > 0 || info->overflowed > 0 || info->errors > 0))
			windows[kept++] = *info;
	}
	return kept;
}

BsWindowInfo *
bs_view_windows(Oid relid, uint64 fingerprint, int *nwindows)
{
	BsSharedView *view = bs_registry_find(relid, fingerprint);
	PaneList panes = {.dropped_before = BS_TIME_NEG_INFINITY};
	WindowList list = {0};
	int64 closed_before;

	*nwindows = 0;
	if (view == NULL)
		return NULL;
	if (!view->timing.windowed)
		return panes_of_view(view, fingerprint, PG_INT64_MIN, PG_INT64_MAX, nwindows);
	/* Read first: a window that closes meanwhile is shown as open, never the other way round. */
	closed_before = (int64) pg_atomic_read_u64(&view->closed_before);
	for (int w = 0; w < bs_nwriters(); w++)
	{
		panes.npanes = 0;
		collect_panes(&view->partials[w], fingerprint, PG_INT64_MIN, PG_INT64_MAX, &panes);
		add_windows(&view->timing.windowing, panes.panes, panes.npanes, &list);
	}
	list.nwindows = infos_unite(list.windows, list.nwindows);
	*nwindows = windows_keep(list.windows, list.nwindows, panes.dropped_before);
	for (int i = 0; i < *nwindows; i++)
		list.windows[i].closed = list.windows[i].window < closed_before;
	return list.windows;
}

uint64
bs_view_count_windows(Oid relid, uint64 fingerprint, int64 first, int64 end)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "backstream windows", ALLOCSET_SMALL_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	int nwindows;
	BsWindowInfo *windows = bs_view_windows(relid, fingerprint, &nwindows);
	uint64 count = 0;

	for (int i = 0; i < nwindows; i++)
		count += windows[i].window >= first && windows[i].window < end;
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
	return count;
}

/* ---------- their groups ---------- */

static void
free_arena(void *arg)
{
	BsWindowData *data = arg;

	if (data->arena != NULL)
		bs_arena_free_private(data->arena);
	data->arena = NULL;
	data->table = NULL;
}

void
bs_window_data_free(BsWindowData *data)
{
	/* The callback stays registered and finds nothing to do. */
	free_arena(data);
}

static void
make_table(BsWindowData *data, const BsProgram *program, uint64 usable_bytes, uint64 expected_rows)
{
	uint64 table;

	data->arena = bs_arena_create(bs_arena_size_for(usable_bytes));
	if (data->arena == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("Failed to get %llu bytes for the groups of a window.",
								  (unsigned long long) usable_bytes)));
	table = bs_table_create(data->arena, program, (uint32) Min(expected_rows, UINT32_MAX / 4));
	if (table == 0)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	data->table = bs_arena_at(data->arena, table);
}

/* Merge one chunk of a pane; false when the pane has no such chunk (any more). */
static bool
read_chunk(BsSharedPartial *partial, const BsProgram *program, BsWriter *writer, int64 start,
		   uint32 chunk, BsWindowData *data, uint64 *overflowed)
{
	BsArena *arena = bs_shared_arena();
	const BsPane *pane = NULL;
	const BsTable *table;
	bool more = false;

	bs_partial_lock_read(partial);
	if (partial->partial.fingerprint == program->fingerprint)
		pane = bs_partial_pane(&partial->partial, arena, start);
	table = pane != NULL && pane->table != 0 ? bs_arena_at(arena, pane->table) : NULL;
	if (table != NULL && chunk < table->nchunks)
	{
		*overflowed += bs_table_merge_chunk(data->arena, data->table, program, writer, arena, table,
											chunk, UINT64_MAX);
		more = true;
	}
	bs_partial_unlock(partial);
	return more;
}

/* Merge one chunk of a set of a pane; false when there is none (any more). */
static bool
read_set_chunk(BsSharedPartial *partial, const BsProgram *program, BsWriter *writer, int64 start,
			   uint32 set, uint32 chunk, BsWindowData *data)
{
	BsArena *arena = bs_shared_arena();
	const BsPane *pane = NULL;
	bool more = false;

	bs_partial_lock_read(partial);
	if (partial->partial.fingerprint == program->fingerprint)
		pane = bs_partial_pane(&partial->partial, arena, start);
	if (pane != NULL && pane->table != 0)
	{
		BsTable *table = bs_arena_at(arena, pane->table);

		more = bs_table_merge_set_chunk(data->arena, data->table, program, writer, arena, table, set,
										chunk, UINT64_MAX);
	}
	bs_partial_unlock(partial);
	return more;
}

/*
 * Sets are read before the groups: a group that comes in between has no values yet, while a value whose
 * group is missing would be lost.
 */
static void
read_sets(BsSharedView *view, const BsProgram *program, BsWriter *writer, int64 start,
		  BsWindowData *data)
{
	for (int w = 0; w < bs_nwriters(); w++)
		for (uint32 set = 0; set < program->nsets; set++)
		{
			uint32 chunk = 0;

			while (read_set_chunk(&view->partials[w], program, writer, start, set, chunk, data))
			{
				chunk++;
				CHECK_FOR_INTERRUPTS();
			}
		}
}

static uint64
read_pane(BsSharedView *view, const BsProgram *program, BsWriter *writer, int64 start,
		  BsWindowData *data)
{
	uint64 overflowed = 0;

	read_sets(view, program, writer, start, data);
	for (int w = 0; w < bs_nwriters(); w++)
	{
		uint32 chunk = 0;

		while (read_chunk(&view->partials[w], program, writer, start, chunk, data, &overflowed))
		{
			chunk++;
			CHECK_FOR_INTERRUPTS();
		}
	}
	return overflowed;
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
try_read(BsSharedView *view, const BsProgram *program, BsWriter *writer, const BsWindowInfo *panes,
		 int npanes, uint64 usable_bytes, BsWindowData *data)
{
	uint64 overflowed = 0;

	make_table(data, program, usable_bytes, data->info.groups);
	for (int i = 0; i < npanes && overflowed == 0; i++)
		overflowed = read_pane(view, program, writer, panes[i].window, data);
	/* The private table's own left_out says whether it had room for all values. */
	if (overflowed > 0 || data->table->left_out > 0)
		return false;
	bs_table_fold_sets(data->arena, data->table, program, writer);
	return true;
}

static BsWindowData *
data_create(MemoryContext context)
{
	BsWindowData *data = MemoryContextAllocZero(context, sizeof(BsWindowData));
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(*callback));

	callback->func = free_arena;
	callback->arg = data;
	MemoryContextRegisterResetCallback(context, callback);
	return data;
}

BsWindowData *
bs_view_read(Oid relid, const BsProgram *program, BsWriter *writer, int64 first, int64 last,
			 MemoryContext context)
{
	uint64 fingerprint = program->fingerprint;
	int64 end = program->windowed ? bs_window_end(&program->windowing, last) : last + 1;
	BsWindowData *data = data_create(context);
	BsSharedView *view = bs_registry_find(relid, fingerprint);
	int npanes;
	BsWindowInfo *panes = panes_of_view(view, fingerprint, first, end, &npanes);
	int tries = 0;

	for (;;)
	{
		BsWindowInfo *before = panes;
		int nbefore = npanes;
		bool fitted;

		data->info = (BsWindowInfo){.window = first};
		for (int i = 0; i < nbefore; i++)
			info_add(&data->info, &before[i]);
		if (view == NULL || data->info.groups == 0)
			break;
		fitted = try_read(view, program, writer, before, nbefore,
						  ((data->info.bytes * 2 + SLACK_BYTES) << tries), data);
		panes = panes_of_view(view, fingerprint, first, end, &npanes);
		if (fitted && !panes_shrank(before, nbefore, panes, npanes))
			break;
		free_arena(data);
		pfree(before);
		/* There are ever fewer panes to lose: only growth needs a bound. */
		if (!fitted && ++tries == MAX_TRIES)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
							errdetail("The groups of a window grew faster than they were read.")));
	}
	return data;
}
