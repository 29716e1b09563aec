/* SPDX-License-Identifier: PostgreSQL */
/*
 * keeper.c: the background worker for what may take time: closing and dropping windows by the clock,
 * feeding views over views (levels.h), notifying of what has closed (alerts.h), and freeing what views left
 * behind that are no more.
 *
 * It looks at every view ten times a second, and at the catalog when definitions have changed.  It
 * touches no socket, so that nothing it waits for can stall one.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "alerts.h"
#include "backstream.h"
#include "checkpoint.h"
#include "levels.h"
#include "prefix.h"
#include "node.h"
#include "registry.h"
#include "takeover.h"
#include "viewdef.h"
#include "worker.h"

#define TURN_MSEC 100
#define LOCK_TIMEOUT_MSEC "200"

PGDLLEXPORT void bs_keeper_main(Datum argument);

static void
say_gone(int code, Datum argument)
{
	pg_atomic_write_u32(&bs_shared_keeper()->pid, 0);
}

static Oid
slot_relid(int i)
{
	Oid relid;

	bs_registry_lock_shared();
	relid = bs_registry_slot(i)->relid;
	bs_registry_unlock();
	return relid;
}

/* Of these views those of which something may be here: not those that nodes keep and that have no outputs any more. */
static List *
views_kept_here(List *views)
{
	List *kept = NIL;
	ListCell *cell;

	foreach (cell, views)
		if (!bs_relation_is_remote(lfirst_oid(cell)) ||
			bs_registry_find_any(lfirst_oid(cell)) != NULL)
			kept = lappend_oid(kept, lfirst_oid(cell));
	return kept;
}

/*
 * Free the slots of relations that are no continuous views any more.  A relation that is locked may
 * be one that a transaction is making: it is looked at again later.  Returns false if there was one.
 */
static bool
remove_dropped(void)
{
	bool complete = true;
	List *views;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	views = bs_viewdef_list();
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		Oid relid = slot_relid(i);

		if (!OidIsValid(relid) || list_member_oid(views, relid))
			continue;
		if (!ConditionalLockRelationOid(relid, AccessShareLock))
		{
			complete = false;
			continue;
		}
		/* Nobody is making or changing it now: what the catalog says now is final. */
		if (!list_member_oid(bs_viewdef_list(), relid))
			bs_registry_remove(relid);
		UnlockRelationOid(relid, AccessShareLock);
	}
	bs_checkpoint_forget(views_kept_here(views));
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	return complete;
}

void
bs_keeper_main(Datum argument)
{
	uint64 generation = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, bs_checkpoint_sigterm);
	pqsignal(SIGUSR1, procsignal_sigusr1_handler);
	BackgroundWorkerUnblockSignals();
	bs_worker_connect(bs_shared_keeper());
	SetConfigOption("jit", "off", PGC_SUSET, PGC_S_OVERRIDE);
	/* It waits neither for the disk or a standby after NOTIFY, which is all that it commits, nor for locks. */
	SetConfigOption("synchronous_commit", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", LOCK_TIMEOUT_MSEC, PGC_SUSET, PGC_S_OVERRIDE);
	bs_active_take(BS_ACTIVE_LEVELS);
	before_shmem_exit(say_gone, 0);
	/* The last to be registered is the first to run. */
	before_shmem_exit(bs_checkpoint_last, 0);
	before_shmem_exit(bs_checkpoint_prepare_last, 0);
	pg_atomic_write_u32(&bs_shared_keeper()->pid, (uint32) MyProcPid);
	bs_shared_keeper()->started = GetCurrentTimestamp();
	/* Nothing has been taken up by this process. */
	pg_atomic_write_u64(&bs_shared_keeper()->generation, 0);
	bs_restart_run();
	for (;;)
	{
		uint64 seen = bs_registry_generation();
		bool more;

		CHECK_FOR_INTERRUPTS();
		bs_worker_reload();
		bs_workers_remind();
		if (seen != generation && remove_dropped())
			generation = seen;
		bs_views_advance();
		bs_registry_sweep();
		bs_takeover_turn();
		bs_prefix_keep(bs_views_advance);
		more = bs_levels_turn();
		more |= bs_outputs_turn(BS_OUTPUT_NOTIFY, bs_alerts_run, bs_alerts_end);
		bs_outputs_give_up();
		bs_checkpoint_turn();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 more ? 0 : TURN_MSEC, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
