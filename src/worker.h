/* SPDX-License-Identifier: PostgreSQL */
/*
 * worker.h: the background workers: receivers (worker.c), the keeper (keeper.c), the archiver (archiver.c) and the
 * fetcher (fetcher.c).
 */
#ifndef BS_WORKER_H
#define BS_WORKER_H

#include "registry.h"

/* Called from _PG_init while the library is preloaded: registers all of them. */
extern void bs_workers_register(void);

/* The keeper, the archiver and the fetcher: read the settings again when that has been asked for. */
extern void bs_worker_reload(void);

/*
 * Connect this process to backstream.database.  Does not return when there is none: the process then waits
 * until there is, and ends, to be started again.
 */
extern void bs_worker_connect(BsSharedWorker *self);

/*
 * PostgreSQL 15 may start a worker that has ended again as late as a minute after, when nobody connects
 * meanwhile: its postmaster decides how long it will sleep before it lets signals in, that of the ended worker
 * too.  So every process that runs for us, or waits for one that does, calls this now and then; at most once a
 * second, and only while one is not there, it wakes the postmaster.
 */
extern void bs_workers_remind(void);

#endif
