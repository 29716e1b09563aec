/* SPDX-License-Identifier: PostgreSQL */
/*
 * groups.h: the groups of a batch's records, found once for several programs with the same keys.
 *
 * The first of them, the leader, finds its rows as it would alone.  Beside its table lies an array with
 * an entry per group and follower: the number of the group's row in the table that the follower adds to
 * now.  A follower reads its numbers there, and need neither pack nor hash nor compare keys, nor touch
 * its own index; of its rows only the states come into the caches.
 *
 *   entries of a group: [follower 0: one for each of two tables][follower 1 ..] ..
 *   entry:              row number << 6 | epoch
 *
 * What is remembered is never wrong: numbers of rows stay as long as their table does, and a table is
 * known by its place and its serial number.  When a follower goes on to another table its epoch moves,
 * which makes all of its entries unknown at once; when the leader does, the array is cleared.  What is
 * unknown, or a record that the leader did not add (another filter, another pane, no room), is looked up
 * in the follower's own index.  So anything may be forgotten at any time.
 *
 * Memory: private, max_bytes at most, touched as it is used.  One process, single-threaded.
 */
#ifndef BS_GROUPS_H
#define BS_GROUPS_H

#include "table.h"

#define BS_MAX_FOLLOWERS 32u
#define BS_NOT_REMEMBERED UINT32_MAX

typedef struct BsGroups BsGroups;

/* For a leader and so many followers.  max_bytes bounds the groups whose numbers are kept.  NULL: no memory. */
extern BsGroups *bs_groups_create(uint32_t nfollowers, uint32_t capacity, size_t max_bytes);
extern void bs_groups_free(BsGroups *groups);

/* Another batch, whose records the leader has not found yet; and no batch: nothing is remembered. */
extern void bs_groups_begin(BsGroups *groups);
extern void bs_groups_end(BsGroups *groups);

/*
 * A program is about to add nrows records of this batch to a table of the arena: the leader, or follower
 * number follower.  Where its numbers are, for the calls below, or BS_NOT_REMEMBERED.
 */
extern uint32_t bs_groups_lead(BsGroups *groups, const BsArena *arena, const BsTable *table,
							   uint32_t nrows);
extern uint32_t bs_groups_follow(BsGroups *groups, uint32_t follower, const BsArena *arena,
								 const BsTable *table, uint32_t nrows);

/* The leader has found these rows of the batch: numbers by position, BS_NO_ROW where there was no room. */
extern void bs_groups_found(BsGroups *groups, uint32_t place, const BsProgram *program, BsRows rows,
							const uint32_t *numbers);

/*
 * The row numbers of these rows' groups in the follower's table, as far as they are known: into numbers,
 * by position.  Positions of the others go to unknown; returns how many.
 */
extern uint32_t bs_groups_recall(const BsGroups *groups, uint32_t place, BsArena *arena,
								 const BsTable *table, const BsProgram *program, BsRows rows,
								 uint32_t *numbers, uint16_t *unknown);

/* The group of a row of the batch has this row number in the follower's table. */
extern void bs_groups_remember(BsGroups *groups, uint32_t place, uint16_t row, uint32_t number);

#endif
