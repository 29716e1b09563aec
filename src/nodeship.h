/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodeship.h: conditions that other servers evaluate in our place.
 *
 * What is sent must give there what it would give here: PostgreSQL's own immutable functions and operators over its own
 * types, and nothing that depends on a collation but whether texts are equal or LIKE (nodes have collations of their
 * own).  What has been sent is evaluated here as well, on what has come.
 */
#ifndef BS_NODESHIP_H
#define BS_NODESHIP_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/pg_list.h"

/*
 * Of these conditions those that may be sent: a new list.  Their columns are Vars of varno with a number above 0, or no
 * Vars at all.  Parameters may be sent once they have values.
 */
extern List *bs_ship_choose(List *conditions, Index varno);

/* The same with the values that parameters have now; a parameter of which none is known yet stays. */
extern List *bs_ship_bind(List *conditions, PlanState *planstate);

/* Is there a parameter left? */
extern bool bs_ship_has_params(Node *node, void *context);

/*
 * As SQL, ANDed; NULL for none.  names: of the columns, String, by number; read on a connection of nodeconn.h they mean
 * the same there.
 */
extern char *bs_ship_text(List *conditions, List *names);

/* Is this one of PostgreSQL's own types, of which every server of a major version has the same values? */
extern bool bs_ship_type_is_portable(Oid type);

#endif
