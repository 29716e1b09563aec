/* SPDX-License-Identifier: PostgreSQL */
/*
 * filed.c: what the keeper needs to write views, compiled ahead.  See checkpoint.h.
 *
 * By slot, in the keeper's memory.  A slot that is another definition's by now is known by its fingerprint and role.
 */
#include "backstream.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "checkpoint.h"
#include "guard.h"
#include "viewdef.h"
#include "viewshape.h"

static BsFiled *kept; /* [bs_registry_nslots()] */

BsFiled *
bs_filed_of(int slot)
{
	if (kept == NULL)
		kept =
			MemoryContextAllocZero(TopMemoryContext, sizeof(BsFiled) * (Size) bs_registry_nslots());
	return &kept[slot];
}

/* ---------- one slot ---------- */

void
bs_filed_free(BsFiled *it)
{
	bs_packer_free(it->packer);
	if (it->writer != NULL)
		bs_writer_free(it->writer);
	if (it->compiled != NULL)
		bs_query_free(it->compiled);
	free(it->last_starts);
	*it = (BsFiled){.relid = InvalidOid};
}

static void
out_of_memory(void)
{
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
}

void
bs_filed_make(BsFiled *it, BsViewProgram *compiled, Oid relid, bool waiting)
{
	BsPacker *packer = bs_packer_create(&compiled->program, compiled->program.fingerprint);
	MemoryContext outer = MemoryContextSwitchTo(compiled->context);
	List *stored = bs_viewdef_stored_options(relid);

	if (packer == NULL)
		out_of_memory();
	bs_filed_free(it);
	it->options = bs_checkpoint_options_pack(waiting ? bs_options_waiting(stored)
													 : bs_options_shown(stored));
	MemoryContextSwitchTo(outer);
	MemoryContextSetParent(compiled->context, TopMemoryContext);
	it->relid = relid;
	it->waiting = waiting;
	it->fingerprint = compiled->program.fingerprint;
	it->compiled = compiled;
	it->packer = packer;
	it->segmented_before = BS_TIME_NEG_INFINITY;
}

void
bs_filed_add_part(BsFiled *it, BsSharedView *view, const BsSignature *signature)
{
	BsFiledPart *part = &it->parts[it->nparts];
	MemoryContext outer = MemoryContextSwitchTo(it->compiled->context);

	*part = (BsFiledPart){.view = NULL};
	if (view != NULL && it->writer == NULL)
		it->writer = bs_writer_create(&it->compiled->program);
	if (view != NULL && it->writer == NULL)
		out_of_memory();
	if (view != NULL)
	{
		part->missing = palloc(it->compiled->signature->ncolumns);
		bs_signature_missing(signature, it->compiled->signature, part->missing);
		part->translation = bs_signature_translation(signature, it->compiled);
		part->fingerprint = view->fingerprint;
		part->view = view;
	}
	it->nparts++;
	MemoryContextSwitchTo(outer);
}

bool
bs_filed_add_segment(BsFiled *it, int64 last_start)
{
	uint64 n = it->end_segment - it->first_segment;

	if (n == it->capacity)
	{
		uint64 capacity = it->capacity * 2 + 16;
		int64 *last_starts = realloc(it->last_starts, capacity * sizeof(int64));

		if (last_starts == NULL)
			return false;
		it->last_starts = last_starts;
		it->capacity = capacity;
	}
	it->last_starts[n] = last_start;
	it->end_segment++;
	return true;
}

BsViewProgram *
bs_filed_compile(Oid relid, bool waiting, BsViewDef **def)
{
	if (!waiting)
		return bs_view_compile(relid, 1, def);
	*def = bs_viewdef_load_waiting(relid);
	return *def != NULL ? bs_query_compile(*def, 1, CurrentMemoryContext) : NULL;
}

/* ---------- taking up ---------- */

/* Is another definition in the slot than what is kept?  relid, waiting: whose. */
static bool
slot_is_new(int slot, Oid *relid, bool *waiting)
{
	BsSharedView *view = bs_registry_slot(slot);
	const BsFiled *it = bs_filed_of(slot);
	bool is_new;

	bs_registry_lock_shared();
	*waiting = view->role == BS_SLOT_WAITING;
	*relid = view->role == BS_SLOT_CURRENT || *waiting ? view->relid : InvalidOid;
	is_new = OidIsValid(*relid) && (it->relid != *relid || it->waiting != *waiting ||
									it->fingerprint != view->fingerprint ||
									it->generation != view->generation);
	bs_registry_unlock();
	return is_new;
}

/* The slots that it goes on from; false: the slot is another definition's by now. */
static bool
take_parts(BsFiled *it, const BsSharedView *view)
{
	BsViewPart parts[BS_MAX_PARTS];
	int nparts = bs_registry_parts(it->relid, it->fingerprint, NULL, parts);

	if (nparts == 0 || parts[0].view != view)
		return false;
	for (int i = 1; i < nparts; i++)
		bs_filed_add_part(it, parts[i].signature != NULL ? parts[i].view : NULL, parts[i].signature);
	return true;
}

/*
 * Files of the definition that was shown before stay until the first state of this one has been written, over a state
 * and beside segments that are numbered after theirs.  Of one that waited nothing is worth keeping.
 */
static void
take_folder(BsFiled *it)
{
	if (it->waiting)
		bs_checkpoint_remove_definition(it->relid, true);
	it->first_segment = bs_checkpoint_free_segment(it->relid, it->waiting, &it->replaces);
	it->end_segment = it->first_segment;
	it->replaces &= !it->waiting;
}

typedef struct TakingUp
{
	int slot;
	Oid relid;
	bool waiting;
	bool gone; /* it was dropped, and its slot will go */
} TakingUp;

static void
take_up_locked(TakingUp *taking)
{
	BsFiled *it = bs_filed_of(taking->slot);
	BsSharedView *view = bs_registry_slot(taking->slot);
	BsViewDef *def;
	BsViewProgram *compiled;

	taking->gone = !bs_relation_is_view(taking->relid);
	if (taking->gone)
		return;
	compiled = bs_filed_compile(taking->relid, taking->waiting, &def);
	if (compiled == NULL)
		return;
	if (compiled->program.fingerprint != view->fingerprint)
	{
		bs_query_free(compiled);
		return;
	}
	bs_filed_make(it, compiled, taking->relid, taking->waiting);
	it->generation = view->generation;
	if (take_parts(it, view))
		take_folder(it);
	else
		bs_filed_free(it);
}

static void
take_up(void *argument)
{
	TakingUp *taking = argument;

	if (!ConditionalLockRelationOid(taking->relid, AccessShareLock))
		return;
	if (bs_viewdef_lock_nowait(taking->relid))
		take_up_locked(taking);
	UnlockRelationOid(taking->relid, AccessShareLock);
}

/* One that does not compile is not written, and says so elsewhere. */
static void
take_up_guarded(TakingUp *taking)
{
	ErrorData *error = bs_guarded(take_up, taking);

	if (error == NULL)
		return;
	bs_filed_free(bs_filed_of(taking->slot));
	bs_filed_of(taking->slot)->failed = bs_registry_slot(taking->slot)->fingerprint;
	FreeErrorData(error);
}

/* Is it what could not be compiled before? */
static bool
has_failed(int slot)
{
	uint64 failed = bs_filed_of(slot)->failed;

	return failed != 0 && failed == bs_registry_slot(slot)->fingerprint;
}

bool
bs_filed_take_up(bool last, bool *replaced)
{
	TakingUp taking;
	bool any = false;
	bool missing = false;

	for (taking.slot = 0; taking.slot < bs_registry_nslots(); taking.slot++)
	{
		if (!slot_is_new(taking.slot, &taking.relid, &taking.waiting) ||
			(last && has_failed(taking.slot)))
			continue;
		if (!any)
		{
			SetCurrentStatementStartTimestamp();
			StartTransactionCommand();
			PushActiveSnapshot(GetTransactionSnapshot());
			any = true;
		}
		taking.gone = false;
		take_up_guarded(&taking);
		missing |= !taking.gone && slot_is_new(taking.slot, &taking.relid, &taking.waiting);
		*replaced |= bs_filed_of(taking.slot)->replaces;
	}
	if (any)
	{
		PopActiveSnapshot();
		CommitTransactionCommand();
		pgstat_report_activity(STATE_IDLE, NULL);
	}
	return missing;
}
