/* SPDX-License-Identifier: PostgreSQL */
/*
 * statmarks.c: backstream.view_exporter_counters(): how far the exporters have come by whom the windows of each
 * view close, and which of them hold windows open.
 *
 * Sources are known to views by number (receiver/decode.h); what addresses those are the receivers know, and
 * backends note when they insert (sourcenames.h).
 */
#include "backstream.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "registry.h"
#include "statrow.h"

BS_SQL_FUNCTION(bs_view_exporters);

/* The sources of one view, as they were. */
typedef struct SourceList
{
	Oid relid;
	BsWaiting waiting;
	BsWindowing windowing;
	int64 lateness_usec;
	uint32 nsources;
	uint32 capacity;
	BsSource *sources;
	bool waits;     /* by time of arrival it does not, for nobody */
	int64 furthest; /* of those that are waited for */
} SourceList;

static const char *const source_states[] = {
	[BS_SOURCE_ALIVE] = "alive",
	[BS_SOURCE_IDLE] = "idle",
	[BS_SOURCE_BEHIND] = "behind",
};

/* ---- addresses -------------------------------------------------------------------------------- */

typedef struct SourceName
{
	uint64 source; /* the key */
	BsInet address;
} SourceName;

static void
enter_name(HTAB *names, uint64 source, const BsInet *address)
{
	SourceName *entry = hash_search(names, &source, HASH_ENTER, NULL);

	entry->address = *address;
}

static HTAB *
collect_names(void)
{
	HASHCTL control = {.keysize = sizeof(uint64), .entrysize = sizeof(SourceName), .hcxt = CurrentMemoryContext};
	HTAB *names = hash_create("backstream sources", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	uint32 place = 0;
	uint64 source;
	BsInet address;

	while (bs_source_names_next(&place, &source, &address))
		enter_name(names, source, &address);
	for (int worker = 0; worker < bs_setting_workers; worker++)
	{
		const BsExporterStats *stats = bs_shared_exporters(worker);

		for (int i = 0; i < bs_setting_max_exporters; i++)
			if (__atomic_load_n(&stats[i].flow_type, __ATOMIC_ACQUIRE) != BS_FLOW_TYPE_NONE)
				enter_name(names, bs_exporter_source(&stats[i].exporter), &stats[i].exporter);
	}
	return names;
}

/* ---- sources ---------------------------------------------------------------------------------- */

static int
by_source(const void *a, const void *b)
{
	uint64 x = ((const BsSource *) a)->source;
	uint64 y = ((const BsSource *) b)->source;

	return (x > y) - (x < y);
}

/* Entries of one source, from several writers, become one. */
static void
unite(SourceList *list)
{
	uint32 kept = 0;

	qsort(list->sources, list->nsources, sizeof(BsSource), by_source);
	for (uint32 i = 0; i < list->nsources; i++)
	{
		BsSource *last = kept > 0 ? &list->sources[kept - 1] : NULL;
		const BsSource *next = &list->sources[i];

		if (last == NULL || last->source != next->source)
		{
			list->sources[kept++] = *next;
			continue;
		}
		last->highest = Max(last->highest, next->highest);
		last->last_heard = Max(last->last_heard, next->last_heard);
		last->largest_lateness = Max(last->largest_lateness, next->largest_lateness);
	}
	list->nsources = kept;
}

/* Memory is got without the lock: palloc may raise an error. */
static void
collect_partial(SourceList *list, BsSharedPartial *shared)
{
	uint32 n = 0;

	for (;;)
	{
		uint32 room = list->capacity - list->nsources;

		bs_partial_lock_read(shared);
		n = bs_partial_sources(&shared->partial, bs_shared_arena(), list->sources + list->nsources, room);
		bs_partial_unlock(shared);
		if (n <= room)
			break;
		list->capacity = list->nsources + n + 64;
		list->sources = repalloc(list->sources, list->capacity * sizeof(BsSource));
	}
	list->nsources += n;
}

/* Of slot number i; false when no view whose windows close by exporters is in it. */
static bool
collect_view(int i, SourceList *list)
{
	BsSharedView *view = bs_registry_slot(i);
	const BsViewTiming *timing = &view->timing;
	bool used;

	list->nsources = 0;
	bs_registry_lock_shared();
	used = OidIsValid(view->relid) && view->role == BS_SLOT_CURRENT && timing->windowed && !timing->rolling &&
		   !OidIsValid(timing->lower);
	if (used)
	{
		list->relid = view->relid;
		list->waiting = bs_view_waiting(view);
		list->windowing = timing->windowing;
		list->lateness_usec = timing->lateness_usec;
		list->waits = !timing->arrival || timing->clock == BS_CLOCK_DATA;
	}
	bs_registry_unlock();
	for (int w = 0; used && w < bs_nwriters(); w++)
		collect_partial(list, &view->partials[w]);
	/* Dropped, or taken by another, meanwhile? */
	if (!used || view->relid != list->relid)
		return false;
	unite(list);
	list->furthest = BS_TIME_NEG_INFINITY;
	for (uint32 s = 0; s < list->nsources; s++)
		if (bs_source_state(&list->sources[s], &list->waiting) == BS_SOURCE_ALIVE)
			list->furthest = Max(list->furthest, list->sources[s].highest);
	return true;
}

/* Windows that its time keeps open, and that of the exporter that is furthest does not. */
static int64
windows_held(const SourceList *list, const BsSource *source)
{
	int64 closed = bs_window_first_after(&list->windowing, bs_time_minus(source->highest, list->lateness_usec));
	int64 others = bs_window_first_after(&list->windowing, bs_time_minus(list->furthest, list->lateness_usec));

	if (!list->waits || bs_source_state(source, &list->waiting) != BS_SOURCE_ALIVE)
		return 0;
	return (others - closed) / list->windowing.slide_usec;
}

static void
source_row(BsRow *row, const SourceList *list, const BsSource *source, HTAB *names)
{
	SourceName *name = hash_search(names, &source->source, HASH_FIND, NULL);

	bs_row_put(row, ObjectIdGetDatum(list->relid));
	if (name != NULL)
		bs_row_put_inet(row, &name->address);
	else
		bs_row_put_null(row);
	bs_row_put(row, TimestampTzGetDatum(source->highest));
	/* As the clock says it now. */
	bs_row_put(row, TimestampTzGetDatum(list->waiting.clock - (list->waiting.now - source->last_heard)));
	bs_row_put_text(row, source_states[bs_source_state(source, &list->waiting)]);
	bs_row_put_count(row, (uint64) windows_held(list, source));
	bs_row_put_interval(row, source->largest_lateness);
	bs_row_end(row);
}

Datum
bs_view_exporters(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);
	SourceList list = {.capacity = 64};
	HTAB *names;

	InitMaterializedSRF(fcinfo, 0);
	names = collect_names();
	list.sources = palloc(list.capacity * sizeof(BsSource));
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		if (collect_view(i, &list) && get_rel_relkind(list.relid) != '\0')
			for (uint32 s = 0; s < list.nsources; s++)
				source_row(&row, &list, &list.sources[s], names);
		CHECK_FOR_INTERRUPTS();
	}
	return (Datum) 0;
}
