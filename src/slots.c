/* SPDX-License-Identifier: PostgreSQL */
/*
 * slots.c: which slot of shared memory belongs to which definition of which view.  See registry.h.
 *
 * When a definition is replaced by one that goes on from it (signature.h), the old slot stays as the
 * *predecessor* of a new one.  Each writer goes over at a moment of its own; what one still adds to the old
 * slot counts as well as what another adds to the new one, for readers take both together.  Windows are
 * closed and dropped in both by the new one's timing, and when the old one is empty it goes.
 */
#include "backstream.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "engine/writer.h"
#include "registry.h"
#include "signature.h"
#include "viewdef.h"

/* ---- looking up ------------------------------------------------------------------------------- */

static BsSharedView *
slot_with(Oid relid, BsSlotRole role)
{
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		BsSharedView *view = bs_registry_slot(i);

		if (view->relid == relid && (!OidIsValid(relid) || view->role == role))
			return view;
	}
	return NULL;
}

BsSharedView *
bs_registry_slot_of(Oid relid)
{
	return slot_with(relid, BS_SLOT_CURRENT);
}

BsSharedView *
bs_registry_waiting_of(Oid relid)
{
	return slot_with(relid, BS_SLOT_WAITING);
}

/* The slot of this definition, shown or waiting. */
static BsSharedView *
slot_for(Oid relid, uint64 fingerprint)
{
	BsSharedView *view = bs_registry_slot_of(relid);

	if (view == NULL || view->fingerprint != fingerprint)
		view = bs_registry_waiting_of(relid);
	return view != NULL && view->fingerprint == fingerprint ? view : NULL;
}

int
bs_registry_number(const BsSharedView *view)
{
	Size bytes = (Size) ((char *) bs_registry_slot(1) - (char *) bs_registry_slot(0));

	return (int) ((Size) ((const char *) view - (char *) bs_registry_slot(0)) / bytes);
}

void
bs_registry_set_since(BsSharedView *view, TimestampTz since)
{
	bs_registry_lock_exclusive();
	view->since = since;
	bs_registry_unlock();
}

BsSharedView *
bs_registry_predecessor(const BsSharedView *view)
{
	return view->predecessor >= 0 ? bs_registry_slot(view->predecessor) : NULL;
}

BsSharedView *
bs_registry_find(Oid relid, uint64 fingerprint)
{
	BsSharedView *view;

	if (bs_registry_nslots() == 0)
		return NULL;
	bs_registry_lock_shared();
	view = slot_for(relid, fingerprint);
	bs_registry_unlock();
	return view;
}

BsSharedView *
bs_registry_find_any(Oid relid)
{
	BsSharedView *view;

	if (bs_registry_nslots() == 0)
		return NULL;
	bs_registry_lock_shared();
	view = bs_registry_slot_of(relid);
	bs_registry_unlock();
	return view;
}

/* Copy the parts as far as there is room for their signatures; returns the bytes that are needed. */
static Size
copy_parts(Oid relid, uint64 fingerprint, BsSlotRole role, BsViewPart *parts, int *nparts, char *room,
		   Size room_bytes)
{
	BsSharedView *view;
	Size used = 0;

	*nparts = 0;
	bs_registry_lock_shared();
	view = slot_for(relid, fingerprint);
	if (view == NULL)
		view = slot_with(relid, role);
	for (; view != NULL && *nparts < BS_MAX_PARTS; view = bs_registry_predecessor(view))
	{
		BsViewPart *part = &parts[(*nparts)++];

		*part = (BsViewPart){.view = view, .fingerprint = view->fingerprint};
		if (used + view->signature_bytes <= room_bytes && view->signature != 0)
		{
			part->signature = (BsSignature *) (room + used);
			memcpy(room + used, bs_arena_at(bs_shared_arena(), view->signature), view->signature_bytes);
		}
		used += MAXALIGN(view->signature_bytes);
	}
	bs_registry_unlock();
	return used;
}

/* Those of the definition, or else of the slot of this role when it can go on from that. */
static int
find_parts(Oid relid, uint64 fingerprint, BsSlotRole role, const BsViewProgram *compiled,
		   BsViewPart parts[BS_MAX_PARTS])
{
	Size room_bytes = 0;
	char *room = NULL;
	int nparts = 0;

	while (bs_registry_nslots() > 0)
	{
		Size needed = copy_parts(relid, fingerprint, role, parts, &nparts, room, room_bytes);

		/* The reader's own needs no comparing. */
		if (needed <= room_bytes || (nparts == 1 && parts[0].fingerprint == fingerprint))
			break;
		room_bytes = needed;
		room = palloc(room_bytes);
	}
	if (nparts > 0 && parts[0].fingerprint != fingerprint &&
		(compiled == NULL || parts[0].signature == NULL ||
		 !bs_signature_continues(parts[0].signature, compiled)))
		return 0;
	return nparts;
}

int
bs_registry_parts(Oid relid, uint64 fingerprint, const BsViewProgram *compiled,
				  BsViewPart parts[BS_MAX_PARTS])
{
	int nparts = find_parts(relid, fingerprint, BS_SLOT_CURRENT, compiled, parts);

	if (nparts == 0)
		nparts = find_parts(relid, fingerprint, BS_SLOT_WAITING, compiled, parts);
	return nparts;
}

/* ---- starting and clearing --------------------------------------------------------------------- */

/* Give back what every writer has counted; the registry lock is held exclusively. */
static void
clear_partials(BsSharedView *view)
{
	for (int w = 0; w < bs_nwriters(); w++)
	{
		BsSharedPartial *partial = &view->partials[w];

		bs_partial_lock_write(partial);
		if (partial->partial.fingerprint != 0)
			bs_partial_clear(&partial->partial, bs_shared_arena());
		memset(&partial->partial, 0, sizeof(partial->partial));
		bs_partial_unlock(partial);
	}
}

static void
free_slot(BsSharedView *view)
{
	clear_partials(view);
	if (view->signature != 0)
		bs_arena_release(bs_shared_arena(), view->signature, view->signature_bytes);
	view->signature = 0;
	view->signature_bytes = 0;
	view->relid = InvalidOid;
	view->role = 0;
	view->fingerprint = 0;
	view->predecessor = -1;
	pg_atomic_write_u32(&view->state, 0);
	pg_atomic_write_u32(&view->replaced, 0);
}

/* A slot and all that it goes on from. */
static void
free_chain(BsSharedView *view)
{
	while (view != NULL)
	{
		BsSharedView *predecessor = bs_registry_predecessor(view);

		free_slot(view);
		view = predecessor;
	}
}

/*
 * One that the view has not had: it begins with what is in memory, a notification with what closes from now on.  Of a view
 * that nodes keep, what is in memory is yet to be fetched: its fetcher sees to what is passed over (nodelevels.c).
 */
static void
start_output(BsSharedView *view, BsOutput number)
{
	BsSharedOutput *output = &view->outputs[number];
	int64 first = BS_TIME_NEG_INFINITY;

	if (number == BS_OUTPUT_NOTIFY)
		first = (int64) pg_atomic_read_u64(&view->closed_before);
	pg_atomic_write_u64(&output->done_before, (uint64) first);
	pg_atomic_write_u64(&output->windows, 0);
	pg_atomic_write_u64(&output->rows, 0);
	pg_atomic_write_u64(&output->rows_failed, 0);
	pg_atomic_write_u64(&output->windows_missed, 0);
	output->error_at = 0;
	output->error[0] = '\0';
}

static void
set_timing(BsSharedView *view, const BsViewTiming *timing)
{
	for (int i = 0; i < BS_NOUTPUTS; i++)
		if ((timing->outputs & ~view->timing.outputs & (1u << i)) != 0)
			start_output(view, i);
	view->timing = *timing;
	for (int w = 0; w < bs_nwriters(); w++)
	{
		bs_partial_lock_write(&view->partials[w]);
		view->partials[w].partial.max_groups = timing->max_groups;
		view->partials[w].partial.gather_other = timing->overflow == BS_OVERFLOW_OTHER;
		bs_partial_unlock(&view->partials[w]);
	}
}

static void
keep_signature(BsSharedView *view, const BsSignature *signature)
{
	view->signature = bs_arena_alloc(bs_shared_arena(), signature->bytes);
	view->signature_bytes = view->signature != 0 ? (uint32) signature->bytes : 0;
	if (view->signature != 0)
		memcpy(bs_arena_at(bs_shared_arena(), view->signature), signature, signature->bytes);
}

static void
start_partials(BsSharedView *view, const BsProgram *program, const BsViewTiming *timing,
			   int64 closed_before)
{
	for (int w = 0; w < bs_nwriters(); w++)
	{
		BsSharedPartial *partial = &view->partials[w];

		bs_partial_lock_write(partial);
		bs_partial_init(&partial->partial, program, timing->max_groups);
		bs_partial_close(&partial->partial,
						 bs_timing_panes_closed_before(timing, closed_before));
		bs_partial_unlock(partial);
	}
}

/* Start to count in a free slot; the registry lock is held exclusively. */
static void
start_view(BsSharedView *view, Oid relid, BsSlotRole role, const BsViewProgram *compiled,
		   const BsViewTiming *timing)
{
	int64 closed_before = BS_TIME_NEG_INFINITY;
	TimestampTz now = GetCurrentTimestamp();

	/*
	 * What would be dropped as soon as it closes is late from the start.  (Over a view nothing is late:
	 * whatever the lower view, or the nodes, still have is taken.)
	 */
	if (timing->windowed && !timing->rolling && timing->clock == BS_CLOCK_WALL &&
		!bs_timing_is_fed(timing))
		closed_before = bs_window_first_after(&timing->windowing, now - timing->retain_usec);
	memset(&view->timing, 0, sizeof(view->timing));
	view->relid = relid;
	view->role = role;
	view->fingerprint = compiled->program.fingerprint;
	view->since = now;
	view->generation = bs_registry_generation() + 1;
	view->clock_of = hash_combine64(compiled->stream, compiled->program.time_column);
	view->last_error_at = 0;
	view->last_error[0] = '\0';
	pg_atomic_write_u32(&view->state, BS_VIEW_ACTIVE);
	pg_atomic_write_u64(&view->full_from, (uint64) BS_TIME_INFINITY);
	pg_atomic_write_u64(&view->closed_before, (uint64) closed_before);
	pg_atomic_write_u64(&view->front, (uint64) BS_TIME_NEG_INFINITY);
	pg_atomic_write_u64(&view->skipped, 0);
	pg_atomic_write_u64(&view->data_now, (uint64) BS_TIME_NEG_INFINITY);
	pg_atomic_write_u64(&view->fed_before, (uint64) BS_TIME_NEG_INFINITY);
	pg_atomic_write_u64(&view->windows_missed, 0);
	pg_atomic_write_u64(&view->windows_incomplete, 0);
	keep_signature(view, compiled->signature);
	start_partials(view, &compiled->program, timing, closed_before);
	set_timing(view, timing);
}

/* ---- going on from an older definition --------------------------------------------------------- */

static bool
continues(const BsSharedView *older, const BsViewProgram *compiled)
{
	return older->signature != 0 &&
		   bs_signature_continues(bs_arena_at(bs_shared_arena(), older->signature), compiled);
}

/* How far the sources of a writer have come, and which windows are closed, goes over to the new slot. */
static void
hand_over(BsSharedPartial *from, BsSharedPartial *to)
{
	BsPartial moved = {0};
	int64 closed_before;
	int64 dropped_before;

	bs_partial_lock_write(from);
	bs_partial_inherit_sources(&moved, &from->partial);
	closed_before = from->partial.closed_before;
	dropped_before = from->partial.dropped_before;
	bs_partial_unlock(from);
	bs_partial_lock_write(to);
	bs_partial_inherit_sources(&to->partial, &moved);
	bs_partial_close(&to->partial, closed_before);
	bs_partial_drop(&to->partial, bs_shared_arena(), dropped_before);
	bs_partial_unlock(to);
}

static void
raise_to(pg_atomic_uint64 *to, pg_atomic_uint64 *from)
{
	if ((int64) pg_atomic_read_u64(from) > (int64) pg_atomic_read_u64(to))
		pg_atomic_write_u64(to, pg_atomic_read_u64(from));
}

/* An output goes on where it was; one that the older definition had not begins with what closes from now on. */
static void
hand_over_output(BsSharedView *older, BsSharedView *view, BsOutput number)
{
	BsSharedOutput *from = &older->outputs[number];
	BsSharedOutput *to = &view->outputs[number];

	if (!bs_view_has_output(view, number))
		return;
	start_output(view, number);
	if (!bs_view_has_output(older, number))
		return;
	pg_atomic_write_u64(&to->done_before, pg_atomic_read_u64(&from->done_before));
	pg_atomic_write_u64(&to->windows, pg_atomic_read_u64(&from->windows));
	pg_atomic_write_u64(&to->rows, pg_atomic_read_u64(&from->rows));
	pg_atomic_write_u64(&to->rows_failed, pg_atomic_read_u64(&from->rows_failed));
	pg_atomic_write_u64(&to->windows_missed, pg_atomic_read_u64(&from->windows_missed));
}

/* A chain as long as it may be loses its oldest part. */
static void
shorten_chain(BsSharedView *view)
{
	for (int i = 2; i < BS_MAX_PARTS && view->predecessor >= 0; i++)
		view = bs_registry_predecessor(view);
	free_chain(bs_registry_predecessor(view));
	view->predecessor = -1;
}

/* The slot becomes what another, which is free, goes on from. */
static void
continue_view(BsSharedView *older, BsSharedView *view, const BsViewProgram *compiled,
			  const BsViewTiming *timing)
{
	BsSharedPartial *keepers = &older->partials[bs_keeper_writer()];

	shorten_chain(older);
	start_view(view, older->relid, BS_SLOT_CURRENT, compiled, timing);
	older->role = BS_SLOT_PREDECESSOR;
	view->predecessor = bs_registry_number(older);
	/* No window of the view below is added to both. */
	bs_partial_lock_write(keepers);
	pg_atomic_write_u32(&older->replaced, 1);
	bs_partial_unlock(keepers);
	for (int w = 0; w < bs_nwriters(); w++)
		hand_over(&older->partials[w], &view->partials[w]);
	raise_to(&view->fed_before, &older->fed_before);
	raise_to(&view->data_now, &older->data_now);
	raise_to(&view->closed_before, &older->closed_before);
	raise_to(&view->front, &older->front);
	raise_to(&view->windows_missed, &older->windows_missed);
	raise_to(&view->windows_incomplete, &older->windows_incomplete);
	for (int i = 0; i < BS_NOUTPUTS; i++)
		hand_over_output(older, view, i);
}

BsSharedView *
bs_registry_add_predecessor(BsSharedView *view, const BsViewProgram *compiled,
							const BsSignature *signature, TimestampTz since)
{
	BsViewProgram older = *compiled;
	BsSharedView *part;

	older.signature = unconstify(BsSignature *, signature);
	older.program.fingerprint = bs_signature_fingerprint(signature);
	bs_registry_lock_exclusive();
	part = slot_with(InvalidOid, 0);
	if (part != NULL)
	{
		start_view(part, view->relid, BS_SLOT_PREDECESSOR, &older, &view->timing);
		part->since = since;
		pg_atomic_write_u32(&part->replaced, 1);
		/* Nobody could read it. */
		if (part->signature == 0)
		{
			free_slot(part);
			part = NULL;
		}
	}
	if (part != NULL)
	{
		while (view->predecessor >= 0)
			view = bs_registry_predecessor(view);
		view->predecessor = bs_registry_number(part);
	}
	bs_registry_unlock();
	return part;
}

void
bs_registry_tell_successor(BsSharedView *view, uint64 fingerprint, const BsPartial *added,
						   BsArena *arena, int64 highest)
{
	bs_registry_lock_shared();
	if (view->role == BS_SLOT_PREDECESSOR && view->fingerprint == fingerprint)
	{
		BsSharedView *current = bs_registry_slot_of(view->relid);
		BsSharedPartial *partial = &current->partials[bs_backend_writer()];

		bs_view_note_time(current, highest);
		bs_partial_lock_write(partial);
		bs_sources_merge(&partial->partial, bs_shared_arena(), added, arena, bs_view_steady_now(current));
		bs_partial_unlock(partial);
	}
	bs_registry_unlock();
}

/* ---- attaching and removing ------------------------------------------------------------------- */

static int
count_current(void)
{
	int n = 0;

	for (int i = 0; i < bs_registry_nslots(); i++)
		n += OidIsValid(bs_registry_slot(i)->relid) && bs_registry_slot(i)->role == BS_SLOT_CURRENT;
	return n;
}

/* What the view shows from now on.  Returns NULL when there is no room. */
static BsSharedView *
attach_new(Oid relid, BsSlotRole role, const BsViewProgram *compiled, const BsViewTiming *timing)
{
	BsSharedView *view = NULL;

	if (role != BS_SLOT_CURRENT || count_current() < bs_setting_max_views)
		view = slot_with(InvalidOid, 0);
	if (view != NULL)
		start_view(view, relid, role, compiled, timing);
	return view;
}

/* The waiting definition becomes what is shown; what was goes. */
static void
promote(BsSharedView *view, BsSharedView *waiting)
{
	waiting->role = BS_SLOT_CURRENT;
	if (view == NULL)
		return;
	for (int i = 0; i < BS_NOUTPUTS; i++)
		hand_over_output(view, waiting, i);
	free_chain(view);
}

/* *dropped: it could go on from what is there, but there is no slot for it (bs_registry_has_room() was asked before). */
static BsSharedView *
attach_other(BsSharedView *view, const BsViewProgram *compiled, const BsViewTiming *timing, bool *dropped)
{
	BsSharedView *fresh = slot_with(InvalidOid, 0);
	Oid relid = view->relid;
	bool goes_on = continues(view, compiled);

	if (fresh != NULL && goes_on)
	{
		continue_view(view, fresh, compiled, timing);
		return fresh;
	}
	free_chain(view);
	start_view(view, relid, BS_SLOT_CURRENT, compiled, timing);
	*dropped = goes_on;
	return view;
}

/*
 * Has what waited taken over, and perhaps been replaced already by a definition that goes on from it, before
 * anybody came here?
 */
static bool
has_taken_over(const BsSharedView *view, const BsSharedView *waiting, const BsViewProgram *compiled)
{
	uint64 fingerprint = compiled->program.fingerprint;

	if (view != NULL && view->fingerprint == fingerprint)
		return false;
	if (waiting->fingerprint == fingerprint)
		return true;
	return continues(waiting, compiled) && (view == NULL || !continues(view, compiled));
}

/* What attaching did besides. */
typedef struct Attaching
{
	bool changed; /* a slot has come or gone that others must know of */
	bool dropped; /* attach_other() */
} Attaching;

/* Under the registry lock. */
static BsSharedView *
attach_current(const BsViewDef *def, const BsViewProgram *compiled, const BsViewTiming *timing,
			   Attaching *did)
{
	uint64 fingerprint = compiled->program.fingerprint;
	BsSharedView *view = bs_registry_slot_of(def->relid);
	BsSharedView *waiting = bs_registry_waiting_of(def->relid);

	if (waiting != NULL && has_taken_over(view, waiting, compiled))
	{
		did->changed = true;
		promote(view, waiting);
		view = waiting;
	}
	else if (waiting != NULL && !def->has_waiting)
	{
		did->changed = true;
		free_slot(waiting);
	}
	if (view == NULL)
		return attach_new(def->relid, BS_SLOT_CURRENT, compiled, timing);
	if (view->fingerprint != fingerprint)
	{
		did->changed = true;
		return attach_other(view, compiled, timing, &did->dropped);
	}
	if (memcmp(&view->timing, timing, sizeof(*timing)) != 0)
		set_timing(view, timing);
	return view;
}

static BsSharedView *
attach_waiting(const BsViewDef *def, const BsViewProgram *compiled, const BsViewTiming *timing,
			   Attaching *did)
{
	BsSharedView *waiting = bs_registry_waiting_of(def->relid);

	if (waiting != NULL && waiting->fingerprint != compiled->program.fingerprint)
	{
		free_slot(waiting);
		waiting = NULL;
	}
	if (waiting == NULL)
	{
		waiting = attach_new(def->relid, BS_SLOT_WAITING, compiled, timing);
		did->changed = waiting != NULL;
		return waiting;
	}
	if (memcmp(&waiting->timing, timing, sizeof(*timing)) != 0)
		set_timing(waiting, timing);
	return waiting;
}

BsSharedView *
bs_registry_attach(const BsViewDef *def, const BsViewProgram *compiled, const BsViewTiming *timing)
{
	static const char no_slot[] =
		"windows counted under an earlier definition were dropped: no slot was free for the new one";
	Attaching did = {0};
	BsSharedView *view;

	bs_registry_lock_exclusive();
	view = def->waiting ? attach_waiting(def, compiled, timing, &did)
						: attach_current(def, compiled, timing, &did);
	bs_registry_unlock();
	/* Everybody who adds looks again, and it is known who has. */
	if (did.changed)
		bs_registry_bump();
	if (did.dropped)
	{
		bs_view_report_error(view, no_slot);
		ereport(LOG, (errmsg("continuous view with OID %u begins anew: %s", def->relid, no_slot)));
	}
	return view;
}

BsSharedView *
bs_registry_attached(const BsViewDef *def, const BsViewProgram *compiled, const BsViewTiming *timing)
{
	BsSharedView *view;

	bs_registry_lock_shared();
	view = slot_with(def->relid, def->waiting ? BS_SLOT_WAITING : BS_SLOT_CURRENT);
	if (view != NULL && (view->fingerprint != compiled->program.fingerprint ||
						 memcmp(&view->timing, timing, sizeof(*timing)) != 0))
		view = NULL;
	/* It would end what waits. */
	if (!def->waiting && !def->has_waiting && bs_registry_waiting_of(def->relid) != NULL)
		view = NULL;
	bs_registry_unlock();
	return view;
}

void
bs_registry_remove(Oid relid)
{
	bool removed = false;

	bs_registry_lock_exclusive();
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		if (bs_registry_slot(i)->relid != relid)
			continue;
		free_slot(bs_registry_slot(i));
		removed = true;
	}
	bs_registry_unlock();
	/* One that found no slot may have it. */
	if (removed)
		bs_registry_bump();
}

void
bs_registry_remove_waiting(Oid relid)
{
	BsSharedView *waiting;

	bs_registry_lock_exclusive();
	waiting = bs_registry_waiting_of(relid);
	if (waiting != NULL)
		free_slot(waiting);
	bs_registry_unlock();
	if (waiting != NULL)
		bs_registry_bump();
}

bool
bs_registry_has_room(Oid relid, int *depth)
{
	bool room;

	bs_registry_lock_shared();
	room = slot_with(InvalidOid, 0) != NULL || bs_registry_waiting_of(relid) != NULL;
	*depth = 0;
	for (BsSharedView *view = bs_registry_slot_of(relid); view != NULL; view = bs_registry_predecessor(view))
		(*depth)++;
	bs_registry_unlock();
	return room;
}

/* ---- sweeping --------------------------------------------------------------------------------- */

bool
bs_registry_is_empty(BsSharedView *view)
{
	bool empty = true;

	for (int w = 0; w < bs_nwriters(); w++)
	{
		bs_partial_lock_read(&view->partials[w]);
		empty &= view->partials[w].partial.npanes == 0;
		bs_partial_unlock(&view->partials[w]);
	}
	return empty;
}

/* What a predecessor has counted, as far as it is only counters, goes on in its successor. */
static void
inherit_counters(BsSharedView *view, BsSharedView *predecessor)
{
	for (int w = 0; w < bs_nwriters(); w++)
	{
		BsPartial counters;

		bs_partial_lock_read(&predecessor->partials[w]);
		counters = predecessor->partials[w].partial;
		bs_partial_unlock(&predecessor->partials[w]);
		bs_partial_lock_write(&view->partials[w]);
		bs_partial_inherit_counters(&view->partials[w].partial, &counters);
		bs_partial_unlock(&view->partials[w]);
	}
	pg_atomic_fetch_add_u64(&view->skipped, pg_atomic_read_u64(&predecessor->skipped));
}

/* Is the part that this slot goes on from to be freed?  Asked under either mode of the registry lock. */
static bool
predecessor_is_done(const BsSharedView *view)
{
	return OidIsValid(view->relid) && view->predecessor >= 0 &&
		   bs_registry_taken_up(view->generation, view->since) &&
		   bs_registry_is_empty(bs_registry_predecessor(view));
}

void
bs_registry_sweep(void)
{
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		BsSharedView *view = bs_registry_slot(i);
		bool done;

		bs_registry_lock_shared();
		done = predecessor_is_done(view);
		bs_registry_unlock();
		if (!done)
			continue;
		bs_registry_lock_exclusive();
		if (predecessor_is_done(view))
		{
			BsSharedView *predecessor = bs_registry_predecessor(view);

			inherit_counters(view, predecessor);
			view->predecessor = predecessor->predecessor;
			free_slot(predecessor);
		}
		bs_registry_unlock();
	}
}
