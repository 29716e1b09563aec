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

#define SLACK_BYTES (4 * BS_ARENA_MAX_BLOCK)
#define MAX_TRIES   6

/* ---------- which windows ---------- */

typedef struct WindowList
{
	BsWindowInfo *windows;
	int nwindows;
	int capacity;
} WindowList;

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
window_add(WindowList *list, const BsPane *pane, BsArena *arena)
{
	const BsTable *table = pane->table != 0 ? bs_arena_at(arena, pane->table) : NULL;
	BsWindowInfo *info = NULL;

	if (list->nwindows > 0 && list->windows[list->nwindows - 1].window == pane->window)
		info = &list->windows[list->nwindows - 1];
	else
	{
		info = &list->windows[list->nwindows++];
		memset(info, 0, sizeof(*info));
		info->window = pane->window;
	}
	info->records += pane->records;
	info->late += pane->late;
	info->overflowed += pane->overflowed;
	info->errors += pane->errors;
	info->records_lost += pane->records_lost;
	info->datagrams_lost += pane->datagrams_lost;
	info->left_out += table != NULL ? table->left_out : 0;
	info->groups += table != NULL ? table->nrows : 0;
	info->bytes += table != NULL ? table->bytes : 0;
}

static int
window_compare(const void *a, const void *b)
{
	int64 x = ((const BsWindowInfo *) a)->window;
	int64 y = ((const BsWindowInfo *) b)->window;

	return (x > y) - (x < y);
}

/* Entries of one window, from several writers, become one. */
static int
windows_unite(BsWindowInfo *windows, int nwindows)
{
	int kept = 0;

	qsort(windows, nwindows, sizeof(BsWindowInfo), window_compare);
	for (int i = 0; i < nwindows; i++)
	{
		if (kept > 0 && windows[kept - 1].window == windows[i].window)
			info_add(&windows[kept - 1], &windows[i]);
		else
			windows[kept++] = windows[i];
	}
	return kept;
}

/* Panes of a partial whose windows are first .. last: *begin and the number of them; the lock is
 * held. */
static uint32
panes_between(const BsPartial *partial, BsArena *arena, int64 first, int64 last, uint32 *begin)
{
	const BsPane *panes = partial->npanes > 0 ? bs_arena_at(arena, partial->panes) : NULL;
	uint32 low = 0;
	uint32 end;

	for (uint32 high = partial->npanes; low < high;)
	{
		uint32 middle = low + (high - low) / 2;

		if (panes[middle].window < first)
			low = middle + 1;
		else
			high = middle;
	}
	end = low;
	while (end < partial->npanes && panes[end].window <= last)
		end++;
	*begin = low;
	return end - low;
}

/* Room for all panes of this partial; true when there is, else the list was grown without the lock.
 */
static bool
reserve_for(WindowList *list, uint32 npanes)
{
	if (list->capacity - list->nwindows >= (int) npanes)
		return true;
	list->capacity = list->nwindows + (int) npanes * 2 + 16;
	list->windows = list->windows == NULL
						? palloc(list->capacity * sizeof(BsWindowInfo))
						: repalloc(list->windows, list->capacity * sizeof(BsWindowInfo));
	return false;
}

static void
collect_windows(BsSharedPartial *partial, uint64 fingerprint, int64 first, int64 last,
				WindowList *list)
{
	BsArena *arena = bs_shared_arena();
	uint32 npanes = 0;
	uint32 begin = 0;

	for (;;)
	{
		/* Memory is got before the lock: palloc may raise an error. */
		reserve_for(list, npanes);
		bs_partial_lock_read(partial);
		npanes = partial->partial.fingerprint == fingerprint
					 ? panes_between(&partial->partial, arena, first, last, &begin)
					 : 0;
		if (list->capacity - list->nwindows >= (int) npanes)
			break;
		bs_partial_unlock(partial);
	}
	for (uint32 i = 0; i < npanes; i++)
		window_add(list, (const BsPane *) bs_arena_at(arena, partial->partial.panes) + begin + i,
				   arena);
	bs_partial_unlock(partial);
}

/* Those of the windows first .. last. */
static BsWindowInfo *
windows_between(Oid relid, uint64 fingerprint, int64 first, int64 last, int *nwindows)
{
	BsSharedView *view = bs_registry_find(relid, fingerprint);
	WindowList list = {0};
	int64 closed_before;

	*nwindows = 0;
	if (view == NULL)
		return NULL;
	/* Read first: a window that closes meanwhile is shown as open, never the other way round. */
	closed_before = (int64) pg_atomic_read_u64(&view->closed_before);
	for (int w = 0; w < bs_nwriters(); w++)
		collect_windows(&view->partials[w], fingerprint, first, last, &list);
	list.nwindows = windows_unite(list.windows, list.nwindows);
	for (int i = 0; i < list.nwindows; i++)
		list.windows[i].closed = view->timing.windowed && list.windows[i].window < closed_before;
	*nwindows = list.nwindows;
	return list.windows;
}

BsWindowInfo *
bs_view_windows(Oid relid, uint64 fingerprint, int *nwindows)
{
	return windows_between(relid, fingerprint, PG_INT64_MIN, PG_INT64_MAX, nwindows);
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

/* Merge one chunk of a window; false when the window has no such chunk (any more). */
static bool
read_chunk(BsSharedPartial *partial, const BsProgram *program, BsWriter *writer, int64 window,
		   uint32 chunk, BsWindowData *data, uint64 *overflowed)
{
	BsArena *arena = bs_shared_arena();
	const BsPane *pane = NULL;
	const BsTable *table;
	bool more = false;

	bs_partial_lock_read(partial);
	if (partial->partial.fingerprint == program->fingerprint)
		pane = bs_partial_pane(&partial->partial, arena, window);
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

/* Merge one chunk of a set of a window; false when there is none (any more). */
static bool
read_set_chunk(BsSharedPartial *partial, const BsProgram *program, BsWriter *writer, int64 window,
			   uint32 set, uint32 chunk, BsWindowData *data)
{
	BsArena *arena = bs_shared_arena();
	const BsPane *pane = NULL;
	bool more = false;

	bs_partial_lock_read(partial);
	if (partial->partial.fingerprint == program->fingerprint)
		pane = bs_partial_pane(&partial->partial, arena, window);
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
read_sets(BsSharedView *view, const BsProgram *program, BsWriter *writer, int64 window,
		  BsWindowData *data)
{
	for (int w = 0; w < bs_nwriters(); w++)
		for (uint32 set = 0; set < program->nsets; set++)
		{
			uint32 chunk = 0;

			while (read_set_chunk(&view->partials[w], program, writer, window, set, chunk, data))
			{
				chunk++;
				CHECK_FOR_INTERRUPTS();
			}
		}
}

static uint64
read_window(BsSharedView *view, const BsProgram *program, BsWriter *writer, int64 window,
			BsWindowData *data)
{
	uint64 overflowed = 0;

	read_sets(view, program, writer, window, data);
	for (int w = 0; w < bs_nwriters(); w++)
	{
		uint32 chunk = 0;

		while (read_chunk(&view->partials[w], program, writer, window, chunk, data, &overflowed))
		{
			chunk++;
			CHECK_FOR_INTERRUPTS();
		}
	}
	return overflowed;
}

/* What windows come to together. */
static BsWindowInfo
sum_windows(const BsWindowInfo *windows, int nwindows, int64 first)
{
	BsWindowInfo sum = {.window = first, .closed = true};

	for (int i = 0; i < nwindows; i++)
	{
		sum.closed &= windows[i].closed;
		info_add(&sum, &windows[i]);
	}
	return sum;
}

/*
 * Retention drops the windows of one writer after the other, oldest first.  Was one dropped, of any
 * writer, while they were read?  Then a part of its groups is missing; otherwise windows only ever
 * grow.
 */
static bool
windows_shrank(const BsWindowInfo *before, int nbefore, const BsWindowInfo *after, int nafter)
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

/* One attempt: false when an open window grew beyond the memory that was got for it. */
static bool
try_read(BsSharedView *view, const BsProgram *program, BsWriter *writer,
		 const BsWindowInfo *windows, int nwindows, uint64 usable_bytes, BsWindowData *data)
{
	uint64 overflowed = 0;

	make_table(data, program, usable_bytes, data->info.groups);
	for (int i = 0; i < nwindows && overflowed == 0; i++)
		overflowed = read_window(view, program, writer, windows[i].window, data);
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
	BsWindowData *data = data_create(context);
	BsSharedView *view = bs_registry_find(relid, fingerprint);
	int nwindows;
	BsWindowInfo *windows = windows_between(relid, fingerprint, first, last, &nwindows);
	int tries = 0;

	for (;;)
	{
		BsWindowInfo *before = windows;
		int nbefore = nwindows;
		bool fitted;

		data->info = sum_windows(before, nbefore, first);
		if (view == NULL || data->info.groups == 0)
			break;
		fitted = try_read(view, program, writer, before, nbefore,
						  ((data->info.bytes * 2 + SLACK_BYTES) << tries), data);
		windows = windows_between(relid, fingerprint, first, last, &nwindows);
		if (fitted && !windows_shrank(before, nbefore, windows, nwindows))
			break;
		free_arena(data);
		pfree(before);
		/* There are ever fewer windows to lose: only growth needs a bound. */
		if (!fitted && ++tries == MAX_TRIES)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
							errdetail("The groups of a window grew faster than they were read.")));
	}
	return data;
}
