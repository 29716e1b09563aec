/* SPDX-License-Identifier: PostgreSQL */
/*
 * share.h: the work that several programs over one stream have in common, done once per batch.
 *
 * Found when the set of programs changes, never per record:
 *
 *   equal trees      (filters, keys, arguments, FILTERs) are evaluated once, for all rows of a batch, by
 *                    a copy that belongs to the share; each program takes of it the rows that it reaches
 *   equal keys       the groups of a batch are found once (groups.h): the program that comes first leads
 *   equal panes      programs that differ in the windows over their panes alone are not run at all but for one
 *                    of them: whoever runs them finds them (bs_share_same_panes), and adds to all of their partials
 *
 * A program that shares comes to exactly what it comes to alone: values, NULLs, errors and what is
 * counted, by record.  A record that fails in one program is left as it is in the others.  Where that
 * could not be had (a record has failed already, so that an operation would pass it over) or would not
 * pay (few rows are left) a program works alone.
 *
 * Not shared: what ring 2 evaluates, which runs with the rights of each view's owner, and look-ups in
 * prefix maps, whose labels live as long as one view's turn.
 *
 * Memory: malloc'ed; of trees at most half of what the programs' own scratch takes, of groups
 * BS_SHARE_GROUPS_BYTES, touched as they are used.  One process, single-threaded.
 */
#ifndef BS_SHARE_H
#define BS_SHARE_H

#include "program.h"

#define BS_SHARE_GROUPS_BYTES ((size_t) 64 << 20)

typedef struct BsShare BsShare;

/*
 * Make these finished programs, all over batches of one kind, share their work, until bs_share_free(),
 * which must come before any of them is freed.  with_groups: each program adds to one partial only, and
 * runs in every batch in the order of the array.  NULL: they have nothing in common, or memory is out.
 */
extern BsShare *bs_share_create(BsProgram *const *programs, uint32_t nprograms, bool with_groups);
extern void bs_share_free(BsShare *share); /* NULL is nothing */

/* The order that serves best: < 0 when a is to run before b. */
extern int bs_share_compare(const BsProgram *a, const BsProgram *b);

/*
 * Between begin and end the programs share what they evaluate over this batch, whose rows must not
 * change meanwhile; else each works alone.  (A begin without an end is ended by the next one.)
 */
extern void bs_share_begin(BsShare *share, const BsBatch *batch);
extern void bs_share_end(BsShare *share);

/* Trees and sets of keys that are shared, and the programs that take part in either. */
typedef struct BsShareCounts
{
	uint32_t trees;
	uint32_t keys;
} BsShareCounts;

extern BsShareCounts bs_share_counts(const BsShare *share);

/* Have two programs a filter, or keys, that they would share? */
extern bool bs_share_same_filter(const BsProgram *a, const BsProgram *b);
extern bool bs_share_same_keys(const BsProgram *a, const BsProgram *b);

/*
 * Do two finished programs make the same panes: of every record the same row in the same pane, whatever windows lie
 * over the panes?  Their partials can then be added to together (bs_partial_add_shared), or, with states of ring 2,
 * what one has come to can be merged into the other.  same_foreign: what ring 2 makes under equal numbers is the same.
 */
extern bool bs_share_same_panes(const BsProgram *a, const BsProgram *b, bool same_foreign);

/* ---- for expr.c: what several trees compute --------------------------------------------------- */

typedef struct BsCommon BsCommon;

/* As the functions of expr.h without "common"; NULL or false: this time the tree works alone. */
extern const BsLane *bs_common_evaluate(BsCommon *common, BsEval *eval, BsRows rows);
extern bool bs_common_filter(BsCommon *common, BsEval *eval, BsRows rows, uint16_t *out, uint32_t *nkept);

#endif
