/* SPDX-License-Identifier: PostgreSQL */
/*
 * connect.c: a background worker's connection to backstream.database, which may not be there (yet).
 *
 * PostgreSQL ends a worker whose database does not exist, and starts it again a second later, with lines
 * in the log each time.  So a worker that could not connect last time first looks, without a database,
 * whether it would find one now, and waits until it does.  A process connects but once: then it ends, to be
 * started again.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "backstream.h"
#include "worker.h"

#define LOOK_AGAIN_MSEC 1000

/* As PostgreSQL finds it before it has a database: by its index only if that could be opened so far. */
static bool
may_connect(void)
{
	Relation catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool may;

	StartTransactionCommand();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_database_datname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(bs_setting_database));
	scan = systable_beginscan(catalog, DatabaseNameIndexId, criticalSharedRelcachesBuilt, NULL, 1, &key);
	tuple = systable_getnext(scan);
	may = HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datallowconn;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
	return may;
}

static void
wait_for_database(void)
{
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	if (!may_connect())
		ereport(LOG, (errmsg("%s waits for database \"%s\", which does not exist or takes no connections",
							 MyBgworkerEntry->bgw_name, bs_setting_database),
					  errhint("Create it, or change backstream.database and restart the server.")));
	while (!may_connect())
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_AGAIN_MSEC,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
bs_worker_connect(BsSharedWorker *self)
{
	if (pg_atomic_exchange_u32(&self->not_connected, 0) != 0)
	{
		wait_for_database();
		proc_exit(1);
	}
	pg_atomic_write_u32(&self->not_connected, 1);
	BackgroundWorkerInitializeConnection(bs_setting_database, NULL, 0);
	pg_atomic_write_u32(&self->not_connected, 0);
}

void
bs_worker_reload(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
}
