/* SPDX-License-Identifier: PostgreSQL */
/*
 * guard.h: code that may raise an error, in a subtransaction, so that its caller goes on.
 *
 * (Computed columns have one of their own, per batch and not per call: computed.c.)
 */
#ifndef BS_GUARD_H
#define BS_GUARD_H

#include "postgres.h"

typedef void (*BsGuardedCode)(void *argument);

/*
 * Run code(argument) in a subtransaction.  NULL: it has returned, and what it did stands.  Else the error
 * that it raised, in CurrentMemoryContext; what it did in the database is undone, what it left in other
 * memory is not.  Memory context and resource owner are the caller's afterwards.
 */
extern ErrorData *bs_guarded(BsGuardedCode code, void *argument);

/*
 * The same in a transaction of its own with a snapshot, outside of any; code's memory is the transaction's.  For
 * background processes.  The message is complete with its detail; the error lies in CurrentMemoryContext.
 */
extern ErrorData *bs_guarded_transaction(BsGuardedCode code, void *argument);

#endif
