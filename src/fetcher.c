/* SPDX-License-Identifier: PostgreSQL */
/*
 * fetcher.c: the background worker that fetches windows from nodes, for views over views that they keep and for the
 * outputs of these (nodelevels.h).
 *
 * It may wait for a node, for as long as node_timeout says; nobody waits for it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

#include "active.h"
#include "backstream.h"
#include "checkpoint.h"
#include "nodelevels.h"
#include "worker.h"

#define LOCK_TIMEOUT_MSEC "200"

PGDLLEXPORT void bs_fetcher_main(Datum argument);

static void
say_gone(int code, Datum argument)
{
	pg_atomic_write_u32(&bs_shared_fetcher()->pid, 0);
}

void
bs_fetcher_main(Datum argument)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGUSR1, procsignal_sigusr1_handler);
	BackgroundWorkerUnblockSignals();
	bs_worker_connect(bs_shared_fetcher());
	SetConfigOption("jit", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", LOCK_TIMEOUT_MSEC, PGC_SUSET, PGC_S_OVERRIDE);
	bs_active_take(BS_ACTIVE_FETCHED);
	bs_nodes_waiting = bs_nodes_give_way;
	before_shmem_exit(say_gone, 0);
	pg_atomic_write_u32(&bs_shared_fetcher()->pid, (uint32) MyProcPid);
	bs_shared_fetcher()->started = GetCurrentTimestamp();
	/* Nothing has been taken up by this process. */
	pg_atomic_write_u64(&bs_shared_fetcher()->generation, 0);
	/* Windows of before the restart come back first. */
	while (!bs_restart_wait())
		CHECK_FOR_INTERRUPTS();
	for (;;)
	{
		long wait_msec;

		CHECK_FOR_INTERRUPTS();
		bs_worker_reload();
		bs_workers_remind();
		wait_msec = bs_nodelevels_turn();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait_msec,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
