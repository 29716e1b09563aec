/* SPDX-License-Identifier: PostgreSQL */
/*
 * takeover.h: definitions that wait to take over from the one that a view shows.
 *
 * CREATE OR REPLACE with a query that counts something else stores it beside the one that is there, as options
 * next_...; both are counted (registry.h: slots that wait).  When the new one has closed its first full
 * window the keeper puts it in the place of the old one, or at once whoever asks for it.
 * decisions/0006-replace.md.
 */
#ifndef BS_TAKEOVER_H
#define BS_TAKEOVER_H

#include "viewdef.h"

/* ALTER options from old to wanted: a list of DefElem with their actions. */
extern List *bs_options_change(List *old, List *wanted);

/*
 * Must a new definition (a view's options, under which query was checked) wait beside the one that is shown?
 * Says in a NOTICE when it does not wait and what has been counted will be gone, and raises an error when it would be
 * gone only because there is no room to keep it.  Before anything is changed.
 */
extern bool bs_takeover_must_wait(Oid relid, Query *query, List *options);

/*
 * Put the options of a view back to what it was, with those that it has now to wait beside them; the
 * dependencies of both.
 */
extern void bs_takeover_wait(Oid relid, List *shown);

/* Let a definition that waits take over at once; the caller may change the view.  Returns whether one waited. */
extern bool bs_takeover_now(Oid relid);

/* One turn of the keeper, outside of any transaction. */
extern void bs_takeover_turn(void);

#endif
