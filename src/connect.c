/* SPDX-License-Identifier: PostgreSQL */
/*
 * connect.c: a background worker's connection to backstream.database, which may not be there (yet).
 *
 * PostgreSQL ends a worker whose database does not exist, and starts it again a second later, with lines
 * in the log each time.  So a worker that could not connect last time first looks, without a database,
 * whether it would find one now, and waits until it does.  A process connects but once: then it ends, to be
 * started again.  That may be forgotten for long if nobody reminds the postmaster (bs_workers_remind()), so
 * they do not all end at once: one stays until another has connected.
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
#include "storage/pmsignal.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "backstream.h"
#include "worker.h"

#define LOOK_AGAIN_MSEC 1000
#define STAY_MSEC       100
#define REMIND_USEC     USECS_PER_SEC

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

static int
count_workers(void)
{
	return bs_setting_workers + BS_OTHER_WORKERS;
}

void
bs_workers_remind(void)
{
	static TimestampTz next = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (now < next)
		return;
	next = now + REMIND_USEC;
	for (int i = 0; i < count_workers(); i++)
	{
		if (pg_atomic_read_u32(&bs_shared_worker(i)->pid) == 0)
		{
			SendPostmasterSignal(PMSIGNAL_BACKGROUND_WORKER_CHANGE);
			return;
		}
	}
}

/* Of those that wait it is the last in number; who has connected stays in any case. */
static bool
somebody_stays(const BsSharedWorker *self)
{
	for (int i = 0; i < count_workers(); i++)
	{
		BsSharedWorker *other = bs_shared_worker(i);

		if (pg_atomic_read_u32(&other->pid) != 0 ||
			(other > self && pg_atomic_read_u32(&other->waiting) != 0))
			return true;
	}
	return false;
}

static void
rest(long msec)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, msec, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

static void
say_not_waiting(int code, Datum self)
{
	pg_atomic_write_u32(&((BsSharedWorker *) DatumGetPointer(self))->waiting, 0);
}

static void
wait_for_database(BsSharedWorker *self)
{
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	before_shmem_exit(say_not_waiting, PointerGetDatum(self));
	pg_atomic_write_u32(&self->waiting, 1);
	if (!may_connect())
		ereport(LOG, (errmsg("%s waits for database \"%s\", which does not exist or takes no connections",
							 MyBgworkerEntry->bgw_name, bs_setting_database),
					  errhint("Create it, or change backstream.database and restart the server.")));
	while (!may_connect())
		rest(LOOK_AGAIN_MSEC);
	while (!somebody_stays(self))
	{
		bs_workers_remind();
		rest(STAY_MSEC);
	}
}

void
bs_worker_connect(BsSharedWorker *self)
{
	if (pg_atomic_exchange_u32(&self->not_connected, 0) != 0)
	{
		wait_for_database(self);
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
