/* SPDX-License-Identifier: PostgreSQL */
/* takeover.c: definitions that wait to take over.  See takeover.h. */
#include "backstream.h"

#include "access/xact.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "guard.h"
#include "node.h"
#include "outputdef.h"
#include "registry.h"
#include "signature.h"
#include "takeover.h"
#include "views.h"
#include "viewshape.h"

/* Readers who follow one upon the other must not keep a definition waiting for ever. */
#define PATIENCE_USEC  (5 * USECS_PER_SEC)
#define LOCK_WAIT      "50ms"

/* ---------- options ---------- */

List *
bs_options_change(List *old, List *wanted)
{
	List *changes = NIL;
	ListCell *cell;

	foreach (cell, wanted)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		changes = lappend(
			changes,
			makeDefElemExtended(NULL, def->defname, def->arg,
								bs_option_find(old, def->defname) ? DEFELEM_SET : DEFELEM_ADD, -1));
	}
	foreach (cell, old)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (!bs_option_find(wanted, def->defname))
			changes =
				lappend(changes, makeDefElemExtended(NULL, def->defname, NULL, DEFELEM_DROP, -1));
	}
	return changes;
}

/* For the owner: who may change the view has been asked before. */
static void
options_store(Oid relid, List *wanted)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);
	BsViewDef *def = bs_viewdef_load(relid, false);
	Oid user;
	int context;

	command->subtype = AT_GenericOptions;
	command->def = (Node *) bs_options_change(bs_viewdef_stored_options(relid), wanted);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(def->owner, context | SECURITY_LOCAL_USERID_CHANGE);
	AlterTableInternal(relid, list_make1(command), false);
	SetUserIdAndSecContext(user, context);
	CommandCounterIncrement();
	bs_views_changed();
}

/* ---------- must it wait? ---------- */

typedef struct Compiling
{
	Oid relid;
	BsViewProgram *view;
} Compiling;

static void
compile(void *argument)
{
	Compiling *compiling = argument;
	BsViewDef *def;

	compiling->view = bs_view_compile(compiling->relid, 1, &def);
}

/* What the definition that is shown compiles to; NULL when it does no longer. */
static BsViewProgram *
compile_shown(Oid relid)
{
	Compiling compiling = {.relid = relid};
	ErrorData *error = bs_guarded(compile, &compiling);

	if (error == NULL)
		return compiling.view;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	FreeErrorData(error);
	return NULL;
}

static BsViewProgram *
compile_new(Oid relid, Query *query, const BsViewOptions *options)
{
	BsViewDef *shown = bs_viewdef_load(relid, false);
	BsViewDef def = *shown;

	def.query = query;
	def.options = *options;
	return bs_query_compile(&def, 1, CurrentMemoryContext);
}

static bool
shows_anything(Oid relid, const BsViewProgram *view)
{
	int nwindows;

	if (!bs_registry_ready())
		return false;
	(void) bs_view_windows(relid, view->program.fingerprint, view, &nwindows);
	return nwindows > 0;
}

/* A definition that goes on from what is there, or waits beside it, needs a slot of its own. */
static void
require_slot(Oid relid, const BsViewOptions *options, bool goes_on)
{
	int depth;

	if (!bs_registry_has_room(relid, &depth))
	{
		if (options->take_over != BS_TAKE_OVER_NOW)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("no slot is free to replace continuous view \"%s\" without losing what it has counted",
							get_rel_name(relid)),
					 errdetail("All %d slots are taken by continuous views and by what they have counted under "
							   "earlier definitions.", bs_registry_nslots()),
					 errhint("Try again when windows of earlier definitions are past retention, or raise "
							 "backstream.max_views and restart the server.  With take_over = 'now' the view "
							 "begins anew.")));
		ereport(NOTICE, (errmsg("continuous view \"%s\" begins anew: what it has counted is dropped",
								get_rel_name(relid)),
						 errdetail("No slot is free to keep it in.")));
	}
	else if (goes_on && depth == BS_MAX_PARTS)
		ereport(NOTICE,
				(errmsg("the oldest windows of continuous view \"%s\" are dropped", get_rel_name(relid)),
				 errdetail("Windows of at most %d earlier definitions are kept.", BS_MAX_PARTS - 1)));
}

bool
bs_takeover_must_wait(Oid relid, Query *query, List *options)
{
	BsViewProgram *shown = compile_shown(relid);
	BsViewProgram *next;
	BsViewOptions parsed;
	bool waits_for;
	bool goes_on;

	bs_view_options_parse(options, &parsed);
	if (shown == NULL || bs_relation_is_remote(relid))
		return false;
	next = compile_new(relid, query, &parsed);
	if (next->program.fingerprint == shown->program.fingerprint || !shows_anything(relid, shown))
		return false;
	goes_on = bs_signature_continues(shown->signature, next);
	/* A rolling view's windows are not closed one by one. */
	waits_for = next->program.windowed && parsed.window_usec == 0;
	if (goes_on || (waits_for && parsed.take_over == BS_TAKE_OVER_CLOSED))
	{
		require_slot(relid, &parsed, goes_on);
		return !goes_on;
	}
	ereport(NOTICE,
			(errmsg("continuous view \"%s\" begins anew: what it has counted is dropped",
					get_rel_name(relid)),
			 waits_for ? 0 : errdetail("The new definition has no window whose end it could wait for.")));
	return false;
}

void
bs_takeover_wait(Oid relid, List *shown)
{
	List *waiting = bs_options_shown(bs_viewdef_stored_options(relid));

	options_store(relid, bs_options_join(shown, waiting));
	bs_viewdef_depend(relid, bs_viewdef_load(relid, false)->query);
}

/* ---------- taking over ---------- */

/* The waiting definition takes the place of the one that is shown; the relation is locked. */
static void
take_over(Oid relid)
{
	BsViewDef *next = bs_viewdef_load_waiting(relid);

	options_store(relid, bs_options_waiting(bs_viewdef_stored_options(relid)));
	bs_viewdef_undepend(relid);
	CommandCounterIncrement();
	bs_viewdef_depend(relid, next->query);
	bs_outputs_check(relid);
}

bool
bs_takeover_now(Oid relid)
{
	LockRelationOid(relid, AccessExclusiveLock);
	if (bs_viewdef_load_waiting(relid) == NULL)
		return false;
	take_over(relid);
	return true;
}

BS_SQL_FUNCTION(bs_take_over);

/* take_over(regclass) returns whether a definition was waiting. */
Datum
bs_take_over(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);

	PreventCommandIfReadOnly("backstream.take_over()");
	if (!bs_relation_is_view(relid))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a continuous view", get_rel_name(relid))));
	if (!pg_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	PG_RETURN_BOOL(bs_takeover_now(relid));
}

/* ---------- the keeper ---------- */

/* No reader is in the view then, and none comes until the transaction ends. */
static bool
lock_for_take_over(Oid relid, bool patient)
{
	if (ConditionalLockRelationOid(relid, AccessExclusiveLock))
		return true;
	if (!patient)
		return false;
	(void) set_config_option("lock_timeout", LOCK_WAIT, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true,
							 0, false);
	LockRelationOid(relid, AccessExclusiveLock);
	return true;
}

static void
take_over_if_waiting(Oid relid, bool patient)
{
	if (!lock_for_take_over(relid, patient) || !bs_viewdef_lock_nowait(relid) ||
		bs_viewdef_load_waiting(relid) == NULL)
		return;
	bs_registry_drop_parts_of_windows(relid);
	take_over(relid);
}

static void
take_over_guarded(Oid relid, bool patient)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		take_over_if_waiting(relid, patient);
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		ErrorData *error;
		BsSharedView *view;

		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		view = bs_registry_find_any(relid);
		if (view != NULL && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			bs_view_report_error(view, error->message);
		FreeErrorData(error);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

void
bs_takeover_turn(void)
{
	static TimestampTz patient_at = 0; /* somebody waits since before, and may wait for a lock from then on */
	bool any = false;

	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		TimestampTz now;
		bool patient;
		Oid relid;

		if (!bs_registry_waiting_ready(i, &relid))
			continue;
		now = GetCurrentTimestamp();
		if (patient_at == 0 || patient_at > now + PATIENCE_USEC)
			patient_at = now + PATIENCE_USEC;
		patient = now >= patient_at;
		if (patient)
			patient_at = now + PATIENCE_USEC;
		take_over_guarded(relid, patient);
		any = true;
	}
	if (!any)
		patient_at = 0;
}
