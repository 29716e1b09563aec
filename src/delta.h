/* SPDX-License-Identifier: PostgreSQL */
/*
 * delta.h: what one transaction adds to the continuous views, from its commit on.
 *
 * Called by feed.c alone, in this order and once per transaction that fed a stream:
 *
 *   XACT_EVENT_PRE_COMMIT   bs_delta_wanted(), bs_delta_add() for each stream and batch: all that can
 *                           fail, evaluated into memory of the transaction's own; memory is reserved
 *   XACT_EVENT_COMMIT       bs_delta_publish()
 *   XACT_EVENT_ABORT        bs_delta_discard(), also after an error in one of the first two
 *
 * Between PRE_COMMIT and COMMIT the transaction can still fail (NOTIFY, serialization), so nothing may
 * be seen before publish, and nothing that the transaction has changed of views may change anything in shared
 * memory: their slots are attached at publish, too (active.h).
 */
#ifndef BS_DELTA_H
#define BS_DELTA_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "engine/batch.h"

/*
 * The time of arrival of this transaction's records: now.  Windows over arrival wait from here on until
 * the transaction is published or discarded.  Called first.  May raise an error.
 */
extern TimestampTz bs_delta_begin(void);

/*
 * Which columns of a stream its views read: an array of ncolumns, by attribute number less one; NULL
 * when no view reads the stream.  The array is good until bs_delta_publish() or bs_delta_discard().
 * Called again for the same stream, with other batches after it, when its columns have changed within
 * the transaction (the answer is the same: the columns are those of now).  May raise an error.  There is an active snapshot.
 */
extern const bool *bs_delta_wanted(Oid stream, int ncolumns);

/*
 * Evaluate all views of the stream over a batch, whose lanes are the stream's columns by attribute
 * number less one, those not wanted without memory.  Bytes in it live until this returns.  The batch
 * is the caller's, who resets it.  May raise an error; there is an active snapshot, and
 * CurrentMemoryContext is reset after each batch.
 */
extern void bs_delta_add(Oid stream, BsBatch *batch);

/* The transaction has committed: add what was evaluated to the views in shared memory.  Cannot fail. */
extern void bs_delta_publish(void);

/* The transaction has not committed: forget it.  Cannot fail; fine when there is nothing. */
extern void bs_delta_discard(void);

#endif
