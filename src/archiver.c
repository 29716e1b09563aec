/* SPDX-License-Identifier: PostgreSQL */
/*
 * archiver.c: the background worker that writes closed windows into tables (archive.h).
 *
 * It waits for locks on tables, for their triggers and for the disk, each time for a bounded time; nobody
 * waits for it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "archive.h"
#include "backstream.h"
#include "viewdef.h"
#include "worker.h"

#define TURN_MSEC 100

PGDLLEXPORT void bs_archiver_main(Datum argument);

static void
say_gone(int code, Datum argument)
{
	pg_atomic_write_u32(&bs_shared_archiver()->pid, 0);
}

/* Views and tables that were dropped: their OIDs may become somebody else's. */
static void
forget_dropped(void)
{
	static const char *const statements[] = {
		"DELETE FROM backstream.archived a WHERE NOT EXISTS "
		"(SELECT FROM pg_catalog.pg_class c WHERE c.oid = a.archive::oid)",
		"UPDATE backstream.archived a SET view = NULL WHERE view IS NOT NULL AND NOT EXISTS "
		"(SELECT FROM pg_catalog.pg_class c WHERE c.oid = a.view::oid)",
	};

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (bs_extension_is_here())
	{
		SPI_connect();
		for (size_t i = 0; i < lengthof(statements); i++)
			(void) SPI_execute(statements[i], false, 0);
		SPI_finish();
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

static void
make_settings(void)
{
	static const char *const settings[][2] = {
		{"jit", "off"},
		{"lock_timeout", "1s"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"row_security", "on"},
		{"session_replication_role", "origin"},
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	/* Not what INSERTs run under: that is what it is reset to. */
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION);
}

void
bs_archiver_main(Datum argument)
{
	uint64 generation = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGUSR1, procsignal_sigusr1_handler);
	BackgroundWorkerUnblockSignals();
	bs_worker_connect(bs_shared_archiver());
	make_settings();
	before_shmem_exit(say_gone, 0);
	pg_atomic_write_u32(&bs_shared_archiver()->pid, (uint32) MyProcPid);
	bs_shared_archiver()->started = GetCurrentTimestamp();
	for (;;)
	{
		uint64 seen = bs_registry_generation();
		bool more;

		CHECK_FOR_INTERRUPTS();
		bs_worker_reload();
		bs_workers_remind();
		if (seen != generation)
			forget_dropped();
		generation = seen;
		more = bs_outputs_turn(BS_OUTPUT_ARCHIVE, bs_archive_run, NULL);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 more ? 0 : TURN_MSEC, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
