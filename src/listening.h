/* SPDX-License-Identifier: PostgreSQL */
/*
 * listening.h: what statements that wait for records (tailscan.h) or windows (follow.h) have in common: what they have
 * returned is to be seen meanwhile, and VACUUM is not to wait with them.
 */
#ifndef BS_LISTENING_H
#define BS_LISTENING_H

#include "postgres.h"

#include "nodes/execnodes.h"

#include "viewdef.h"

/*
 * Does nothing in a statement look at an ordinary table?  Then the snapshot, which PostgreSQL keeps for as long as it runs,
 * need not keep VACUUM off all others' dead rows while it waits.  Functions that are not built in may look at any;
 * harmless has those of PlannedStmt.invalItems that are known not to.
 */
extern bool bs_listening_reads_no_table(const EState *estate, const List *harmless);

/*
 * The functions and types that plans over a view depend on, as in PlannedStmt.invalItems, if all of them are ours; NIL
 * when there are others.
 */
extern List *bs_listening_harmless(Oid view);

/* Before it waits: send what has been returned; forget the statement's snapshot, if it reads no table. */
extern void bs_listening_pause(bool reads_no_table);

#endif
