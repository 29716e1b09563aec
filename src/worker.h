/* SPDX-License-Identifier: PostgreSQL */
/* worker.h: the background workers: receivers (worker.c) and the keeper (keeper.c). */
#ifndef BS_WORKER_H
#define BS_WORKER_H

/* Called from _PG_init while the library is preloaded: registers all of them. */
extern void bs_workers_register(void);

extern void bs_keeper_register(void);

#endif
