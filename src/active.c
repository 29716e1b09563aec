/* SPDX-License-Identifier: PostgreSQL */
/* active.c: compiling and running the continuous views of this process.  See active.h. */
#include "active.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "backstream.h"
#include "engine/share.h"
#include "engine/writer.h"
#include "guard.h"
#include "node.h"
#include "prefix.h"
#include "viewdef.h"

#define SCRATCH_BYTES ((size_t) 64 * 1024 * 1024)

static BsActiveView *views;
static bool stale = true;
static uint64 seen_generation;
static BsActiveKind kind;
static bool uncommitted; /* what is compiled may be this transaction's own, which may fail yet */

/* How to attach a view, when its definition is certain. */
typedef struct BsPendingView
{
	BsViewDef def; /* without what it points to */
	BsViewTiming timing;
} BsPendingView;

/* ---- invalidation ------------------------------------------------------------------------------ */

static void
invalidate(BsActiveView *view)
{
	view->fresh = false;
	stale = true;
}

/*
 * A function: programs hold what was looked up of it, inlined bodies too.  A role or its memberships:
 * what owners may read.  (Types and operators are found by their functions; what a change of theirs
 * means for stored text comes as a change of the view.)
 */
static void
on_any_change(Datum argument, int cacheid, uint32 hashvalue)
{
	for (BsActiveView *view = views; view != NULL; view = view->next)
		invalidate(view);
}

/* Views over views hold what was looked up of those, however many levels down; or failed to. */
static void
invalidate_levels(void)
{
	for (BsActiveView *view = views; view != NULL; view = view->next)
		if (view->over_view || (view->compiled == NULL && !view->left_out))
			invalidate(view);
}

static void
on_foreign_table(Datum argument, int cacheid, uint32 hashvalue)
{
	bool any = false;

	for (BsActiveView *view = views; view != NULL; view = view->next)
		if (hashvalue == 0 ||
			hashvalue == GetSysCacheHashValue1(FOREIGNTABLEREL, ObjectIdGetDatum(view->relid)))
		{
			invalidate(view);
			any = true;
		}
	if (any)
		invalidate_levels();
}

static void
on_relation(Datum argument, Oid relid)
{
	bool any = false;

	for (BsActiveView *view = views; view != NULL; view = view->next)
		if (relid == InvalidOid || relid == view->relid || relid == view->stream)
		{
			invalidate(view);
			any = true;
		}
	if (any)
		invalidate_levels();
}

void
bs_active_init(void)
{
	CacheRegisterRelcacheCallback(on_relation, 0);
	CacheRegisterSyscacheCallback(PROCOID, on_any_change, 0);
	CacheRegisterSyscacheCallback(AUTHOID, on_any_change, 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_any_change, 0);
	CacheRegisterSyscacheCallback(FOREIGNTABLEREL, on_foreign_table, 0);
}

void
bs_active_take(BsActiveKind wanted)
{
	kind = wanted;
}

bool
bs_active_stale(void)
{
	return stale || seen_generation != bs_registry_generation();
}

/* ---- compiling --------------------------------------------------------------------------------- */

static void
release(BsActiveView *view)
{
	bs_active_unshare();
	if (view->writer != NULL)
		bs_writer_free(view->writer);
	if (view->compiled != NULL)
		bs_query_free(view->compiled);
	if (view->scratch_arena != NULL)
		bs_arena_free_private(view->scratch_arena);
	if (view->context != NULL)
		MemoryContextDelete(view->context);
	view->writer = NULL;
	view->compiled = NULL;
	view->scratch_arena = NULL;
	view->context = NULL;
	view->shared = NULL;
	view->pending = NULL;
}

/*
 * Who is further behind the clock holds nothing open, lest one exporter without a clock (or a sender who
 * spoofs one), or one commit that waits for a lock, keeps all windows open and none is ever dropped.
 * Data's own clock knows no behind, unless told.
 */
static int64
max_behind(const BsViewOptions *options, const BsViewTiming *timing)
{
	if (options->max_behind_usec != BS_MAX_BEHIND_DEFAULT)
		return options->max_behind_usec;
	if (timing->clock == BS_CLOCK_DATA)
		return BS_TIME_INFINITY;
	return timing->retain_usec + timing->lateness_usec + timing->idle_usec;
}

static BsViewFeeding
feeding_of(const BsViewProgram *compiled)
{
	bool remote = bs_relation_is_remote(compiled->stream);

	if (compiled->over_view)
		return remote ? BS_FEED_NODE_LEVEL : BS_FEED_LEVEL;
	return remote ? BS_FEED_NODES : BS_FEED_WRITERS;
}

BsViewTiming
bs_active_timing(const BsViewProgram *compiled, const BsViewOptions *options)
{
	const BsProgram *program = &compiled->program;
	BsViewTiming timing;

	memset(&timing, 0, sizeof(timing));
	timing.windowed = program->windowed;
	timing.arrival = program->windowed && compiled->stream == bs_flow_relation() &&
					 program->time_column == BS_FLOW_TIME_RECEIVED;
	timing.rolling = compiled->rolling;
	for (int i = 0; i < bs_computed_count(compiled->computed); i++)
		timing.computed += !bs_computed_is_plain(compiled->computed, (uint32) i);
	timing.clock = options->clock;
	timing.lower = compiled->over_view ? compiled->stream : InvalidOid;
	timing.feeding = (uint8) feeding_of(compiled);
	timing.windowing = program->windowing;
	timing.retain_usec = options->retain_usec;
	timing.lateness_usec = options->lateness_usec;
	if (options->lateness_usec == BS_LATENESS_DEFAULT)
		timing.lateness_usec = timing.arrival           ? BS_LATENESS_ARRIVAL_USEC
							   : compiled->spread != NULL ? BS_LATENESS_SPREAD_USEC
														  : BS_LATENESS_EVENT_USEC;
	/* What ends where a window ends is in it, and must not close it for others. */
	if (compiled->spread != NULL)
		timing.lateness_usec++;
	timing.idle_usec = options->idle_usec;
	timing.max_future_usec = options->max_future_usec;
	timing.max_behind_usec = max_behind(options, &timing);
	/* What nodes have kept is all merged: each of them has had its bound. */
	timing.max_groups = timing.feeding == BS_FEED_NODES ? PG_INT64_MAX : options->max_groups;
	if (program->windowed && options->notify != NULL)
		timing.outputs |= 1u << BS_OUTPUT_NOTIFY;
	if (program->windowed && options->archive != NULL)
		timing.outputs |= 1u << BS_OUTPUT_ARCHIVE;
	timing.overflow = (uint8) options->overflow;
	return timing;
}

BsSharedView *
bs_active_attach(const BsViewDef *def, const BsViewProgram *compiled)
{
	BsViewTiming timing = bs_active_timing(compiled, &def->options);

	return bs_registry_attach(def, compiled, &timing);
}

/* The owner must be able to read what the view reads, now and not only when it was defined. */
static void
note_owner(BsActiveView *view, bool may_read)
{
	static const char reason[] = "the owner of the view may not read the stream";

	if (view->pending != NULL)
		bs_stand_in_note_rights(view->shared, may_read, reason);
	else if (!may_read)
		bs_view_suspend(view->shared, BS_SUSPENDED_RIGHTS, reason);
	else
		bs_view_resume(view->shared, BS_SUSPENDED_RIGHTS);
}

/* To be attached later, unless it is there and nothing would change.  Raises errors. */
static void
attach_later(BsActiveView *view, const BsViewDef *def, bool may_read)
{
	BsViewTiming timing = bs_active_timing(view->compiled, &def->options);
	BsPendingView *pending;

	view->shared = bs_registry_attached(def, view->compiled, &timing);
	if (view->shared != NULL &&
		may_read == (pg_atomic_read_u32(&view->shared->state) != BS_SUSPENDED_RIGHTS))
		return;
	pending = MemoryContextAllocZero(view->context, sizeof(*pending));
	pending->def.relid = def->relid;
	pending->def.waiting = def->waiting;
	pending->def.has_waiting = def->has_waiting;
	pending->timing = timing;
	view->shared = bs_registry_stand_in(def, view->compiled, &timing, view->context);
	view->pending = pending;
}

bool
bs_active_settle(BsActiveView *view)
{
	BsSharedView *stand_in = view->shared;

	if (view->pending == NULL)
		return true;
	view->shared = bs_registry_attach(&view->pending->def, view->compiled, &view->pending->timing);
	if (view->shared == NULL)
	{
		view->shared = stand_in;
		return false;
	}
	bs_stand_in_settle(view->shared, stand_in);
	view->pending = NULL;
	return true;
}

void
bs_active_settle_levels(void)
{
	for (BsActiveView *view = views; view != NULL; view = view->next)
		if (view->over_view && view->compiled != NULL)
			(void) bs_active_settle(view);
}

/* Compile and attach; raises errors.  The relation is locked. */
static void
compile(BsActiveView *view, const BsViewDef *def)
{
	const BsProgram *program;
	bool may_read;

	view->context = AllocSetContextCreate(TopMemoryContext, "backstream view", ALLOCSET_DEFAULT_SIZES);
	view->compiled = bs_query_compile(def, BS_BATCH_ROWS, view->context);
	program = &view->compiled->program;
	view->writer = bs_writer_create(program);
	if (view->compiled->nforeign > 0)
		view->scratch_arena = bs_arena_create(bs_arena_size_for(SCRATCH_BYTES));
	if (view->writer == NULL || (view->compiled->nforeign > 0 && view->scratch_arena == NULL))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	bs_partial_init(&view->scratch, program, UINT64_MAX);
	may_read = bs_viewdef_owner_may_read(def);
	if (uncommitted)
		attach_later(view, def, may_read);
	else
		view->shared = bs_active_attach(def, view->compiled);
	if (view->shared == NULL)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("too many continuous views"),
						errhint("Raise backstream.max_views and restart the server.")));
	note_owner(view, may_read);
}

/*
 * Receivers try every view but those that nodes keep, which the fetcher does: neither sessions nor the keeper need
 * say it again.
 */
static bool
is_mine_to_say(const BsActiveView *view)
{
	return IsBackgroundWorker &&
		   (kind == BS_ACTIVE_STREAMS || (kind == BS_ACTIVE_FETCHED && view->on_nodes));
}

/* At the view where there is a slot for it, and in the log once. */
static void
report_broken(BsActiveView *view, const ErrorData *error)
{
	BsSharedView *shared = bs_registry_find_any(view->relid);

	/* Receivers will say it when it is certain. */
	if (shared != NULL && !uncommitted)
		bs_view_report_error(shared, error->message);
	if (is_mine_to_say(view) && view->reported_code != error->sqlerrcode)
		ereport(LOG, (errmsg("continuous view with OID %u is not counted: %s", view->relid, error->message),
					  error->detail ? errdetail_internal("%s", error->detail) : 0,
					  error->hint ? errhint("%s", error->hint) : 0));
	view->reported_code = error->sqlerrcode;
	/* There is room when another view goes, which changes nothing that this one is compiled from. */
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES)
		view->fresh = false;
}

/* Note what the view reads, before anything of it can fail. */
static bool
is_mine(BsActiveView *view, const BsViewDef *def)
{
	view->stream = def->stream;
	view->over_view = bs_relation_is_view(def->stream);
	view->on_nodes = def->on_nodes;
	if (kind == BS_ACTIVE_STREAMS)
		view->left_out = def->on_nodes;
	else if (kind == BS_ACTIVE_LEVELS)
		view->left_out = !view->over_view || bs_relation_is_remote(def->stream);
	else
		view->left_out = !bs_relation_is_remote(def->stream) ||
						 (def->on_nodes && !bs_view_options_have_outputs(&def->options));
	return !view->left_out;
}

/* Its outputs were taken from a view that nodes keep: nothing is merged here any more. */
static bool
has_ended_here(const BsActiveView *view, const BsViewDef *def)
{
	return kind == BS_ACTIVE_FETCHED && def->on_nodes && view->left_out;
}

static void
load_and_compile(void *argument)
{
	BsActiveView *view = argument;
	BsViewDef *def = view->waiting ? bs_viewdef_load_waiting(view->relid)
								   : bs_viewdef_load(view->relid, true);

	if (def != NULL && is_mine(view, def))
		compile(view, def);
	else if (def != NULL && has_ended_here(view, def) && bs_registry_find_any(view->relid) != NULL)
		bs_registry_remove(view->relid);
	view->reported_code = 0;
}

static void
compile_guarded(BsActiveView *view)
{
	ErrorData *error;

	release(view);
	error = bs_guarded(load_and_compile, view);
	if (error == NULL)
		return;
	release(view);
	report_broken(view, error);
	FreeErrorData(error);
}

/* ---- the list ---------------------------------------------------------------------------------- */

static BsActiveView *
find_entry(Oid relid, bool waiting)
{
	BsActiveView *view = views;

	while (view != NULL && (view->relid != relid || view->waiting != waiting))
		view = view->next;
	return view;
}

static BsActiveView *
entry_of(Oid relid, bool waiting)
{
	BsActiveView *view = find_entry(relid, waiting);

	if (view != NULL)
		return view;
	view = MemoryContextAllocZero(TopMemoryContext, sizeof(*view));
	view->relid = relid;
	view->waiting = waiting;
	view->next = views;
	views = view;
	return view;
}

static void
forget_dropped(void)
{
	BsActiveView **link = &views;

	while (*link != NULL)
	{
		BsActiveView *view = *link;

		if (view->current)
		{
			link = &view->next;
			continue;
		}
		*link = view->next;
		release(view);
		pfree(view);
	}
}

static int
by_sharing(const void *a, const void *b)
{
	const BsActiveView *x = *(BsActiveView *const *) a;
	const BsActiveView *y = *(BsActiveView *const *) b;
	int order = 0;

	if (x->compiled != NULL && y->compiled != NULL)
		order = bs_share_compare(&x->compiled->program, &y->compiled->program);
	else if (x->compiled != NULL || y->compiled != NULL)
		order = x->compiled != NULL ? -1 : 1;
	if (order == 0)
		order = x->relid < y->relid ? -1 : x->relid > y->relid;
	if (order == 0)
		order = (int) x->waiting - (int) y->waiting;
	return order;
}

/* Those from whose work others profit come first. */
static void
sort_views(void)
{
	BsActiveView **sorted;
	int nviews = 0;

	for (BsActiveView *view = views; view != NULL; view = view->next)
		nviews++;
	sorted = palloc(sizeof(BsActiveView *) * (nviews + 1));
	nviews = 0;
	for (BsActiveView *view = views; view != NULL; view = view->next)
		sorted[nviews++] = view;
	sorted[nviews] = NULL;
	qsort(sorted, nviews, sizeof(BsActiveView *), by_sharing);
	views = sorted[0];
	for (int i = 0; i < nviews; i++)
		sorted[i]->next = sorted[i + 1];
	pfree(sorted);
}

/* Lock the view against being changed while its definition is read; false: not now. */
static bool
lock_view(Oid relid, bool wait)
{
	if (ConditionalLockRelationOid(relid, AccessShareLock))
		return true;
	if (!wait)
		return false;
	LockRelationOid(relid, AccessShareLock);
	return true;
}

/* Bring one entry up to date; the view is locked.  False: not now. */
static bool
compile_if_stale(BsActiveView *view, BsRefresh mode)
{
	view->current = true;
	/* Somebody else may have attached it meanwhile. */
	if (view->pending != NULL)
		view->fresh = false;
	if (view->fresh)
		return true;
	if (mode == BS_REFRESH_NOWAIT && !bs_viewdef_lock_nowait(view->relid))
		return false;
	view->fresh = true;
	compile_guarded(view);
	return true;
}

static bool
is_pending(const BsActiveView *view)
{
	return view != NULL && view->pending != NULL;
}

/*
 * Bring what a view shows, and the definition that waits beside it, up to date; false: not now.  Both under one
 * lock, or neither: whoever held the old definition without the one that has taken over from it meanwhile would
 * add to nothing that anybody reads.
 */
static bool
take_up(Oid relid, BsRefresh mode)
{
	BsActiveView *shown = entry_of(relid, false);
	BsActiveView *waiting = find_entry(relid, true);
	bool complete;
	bool wait;

	shown->current = true;
	if (waiting != NULL)
		waiting->current = true;
	/*
	 * If somebody is changing it, what he does has not happened yet.  But what is still to be attached must not come
	 * after that.
	 */
	wait = shown->compiled == NULL || is_pending(shown) || is_pending(waiting);
	/* Taking the lock also takes in the invalidations of whoever held it before. */
	if (!lock_view(relid, wait && mode != BS_REFRESH_NOWAIT))
		return false;
	complete = compile_if_stale(shown, mode);
	if (complete && bs_viewdef_has_waiting(relid))
		complete = compile_if_stale(entry_of(relid, true), mode);
	else if (complete && waiting != NULL)
		waiting->current = false;
	if (mode != BS_REFRESH_COMMIT || !(is_pending(shown) || is_pending(find_entry(relid, true))))
		UnlockRelationOid(relid, AccessShareLock);
	return complete;
}

bool
bs_active_refresh(BsRefresh mode)
{
	uint64 generation = bs_registry_generation();
	bool complete = true;
	ListCell *cell;

	uncommitted = mode != BS_REFRESH_NOWAIT;
	/* Callbacks that run from here on set it again. */
	stale = false;
	for (BsActiveView *view = views; view != NULL; view = view->next)
		view->current = false;
	foreach (cell, bs_viewdef_list())
		complete &= take_up(lfirst_oid(cell), mode);
	forget_dropped();
	sort_views();
	for (BsActiveView *view = views; view != NULL; view = view->next)
		if (view->compiled != NULL)
			bs_prefix_resolve(view->compiled->prefix_uses);
	if (complete)
		seen_generation = generation;
	else
		stale = true;
	return complete;
}

static BsActiveView *
usable(BsActiveView *view, Oid stream)
{
	while (view != NULL && (view->compiled == NULL || view->stream != stream))
		view = view->next;
	return view;
}

BsActiveView *
bs_active_first(Oid stream)
{
	return usable(views, stream);
}

BsActiveView *
bs_active_next(BsActiveView *view)
{
	return usable(view->next, view->stream);
}

BsActiveView *
bs_active_find(const BsSharedView *shared)
{
	for (BsActiveView *view = views; view != NULL; view = view->next)
		if (view->compiled != NULL && view->shared == shared)
			return view;
	return NULL;
}

bool
bs_active_wanted(Oid stream, bool *wanted)
{
	bool any = false;

	for (BsActiveView *view = bs_active_first(stream); view != NULL; view = bs_active_next(view))
	{
		any = true;
		for (int i = 0; i < view->compiled->ncolumns; i++)
			wanted[i] |= view->compiled->wanted[i];
	}
	return any;
}
