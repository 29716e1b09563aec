/* SPDX-License-Identifier: PostgreSQL */
/*
 * alerts.h: notifications of closed windows: WITH (notify = 'channel').
 *
 *   alerts.c       one window after the other, the notifications of each
 *   alertgroups.c  which groups a window had, for notify_on = 'change'
 *
 * The keeper sends them, in transactions of its own.  A payload is a JSON object:
 *
 *   kind  row; or entered, cleared (notify_on = 'change'); or summary
 *   view  its name, qualified
 *   time  start of the window, in UTC
 *   n     1, 2, ...: number of the notification of this window
 *   row   the row as row_to_json() has it; of what has cleared, or was too long, its group columns alone
 *   cut   true when the row was too long
 *   nodes_missing  how many nodes have not told all of the window, where it comes from nodes and some have not
 *
 * and in a summary how many there would have been, how many were sent, how many rows failed.
 */
#ifndef BS_ALERTS_H
#define BS_ALERTS_H

#include "outputs.h"
#include "ownerrows.h"

/* BsOutputRun and BsOutputEnd of the keeper. */
extern BsOutputOutcome bs_alerts_run(BsOutputTask *task);
extern void bs_alerts_end(const BsOutputTask *task, bool committed);

/* ---------- alertgroups.c ---------- */

/* The columns of a view that show its group keys, in a record of their own. */
typedef struct BsGroupColumns
{
	int ncolumns;
	AttrNumber *attributes; /* of the view */
	TupleDesc desc;
	TupleTableSlot *slot; /* virtual: the group of the last row */
} BsGroupColumns;

extern BsGroupColumns *bs_group_columns(const BsReader *reader, MemoryContext context);

/* Raises an error where groups cannot be told apart: notify_on = 'change' is not for such a view. */
extern void bs_group_columns_check(const BsViewShape *shape, TupleDesc desc);

/* Put the group of a row into columns->slot. */
extern void bs_group_of_row(BsGroupColumns *columns, TupleTableSlot *row);

/* The different groups of one window.  Lives in a context of its own, until it is freed. */
typedef struct BsGroupSet BsGroupSet;

extern BsGroupSet *bs_group_set_create(const BsGroupColumns *columns);
extern void bs_group_set_free(BsGroupSet *set); /* NULL is fine */
/* Is the set one of groups by these columns?  Not when the view was replaced meanwhile by one that shows others. */
extern bool bs_group_set_fits(const BsGroupSet *set, const BsGroupColumns *columns);
extern uint64 bs_group_set_count(const BsGroupSet *set);
extern Size bs_group_set_bytes(const BsGroupSet *set);

/*
 * The functions below may call code of the types' owners: on the view's owner's terms.
 *
 * Add columns->slot; false when it is there already.
 */
extern bool bs_group_set_add(BsGroupSet *set, const BsGroupColumns *columns);
/* Mark it in the set; false when it is not there. */
extern bool bs_group_set_mark(BsGroupSet *set, const BsGroupColumns *columns);
/* Call visit for each group that has no mark, in columns->slot. */
extern void bs_group_set_unmarked(BsGroupSet *set, BsGroupColumns *columns, void (*visit)(void *context),
								  void *context);

#endif
