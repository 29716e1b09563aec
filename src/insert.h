/* SPDX-License-Identifier: PostgreSQL */
/*
 * insert.h: INSERT and COPY into streams, as callbacks of the foreign-data wrapper.
 *
 * Rows go to the transaction's feed (feed.h).  Constraints of a stream are not enforced, defaults
 * and generated columns are computed, triggers run: as PostgreSQL does it for any foreign table.
 */
#ifndef BS_INSERT_H
#define BS_INSERT_H

#include "postgres.h"

#include "foreign/fdwapi.h"

/* Set the callbacks of writing. */
extern void bs_insert_routine(FdwRoutine *routine);

#endif
