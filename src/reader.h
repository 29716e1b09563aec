/* SPDX-License-Identifier: PostgreSQL */
/*
 * reader.h: the rows of a continuous view, made of the groups of its windows.
 *
 * A reader belongs to one statement of one backend.  It compiles the view's definition, takes
 * windows out of shared memory one at a time (registry.h: nothing is pinned, no lock is kept), and
 * turns each group into a row: final functions, HAVING, output expressions.
 *
 * What can be known of a row before its final functions are computed has a level: the columns that
 * depend on the window alone are the same for all its rows, those that depend on group keys are
 * cheap. Conditions on such columns choose windows and groups early.
 *
 * Beside the view's columns a reader can give the states that some of them were made of, for whoever
 * merges rows (combine.h).
 *
 * Expressions are evaluated with the rights of who reads, as those of an ordinary view, and under
 * the settings that the view was created with (pinned.h) where these matter.
 */
#ifndef BS_READER_H
#define BS_READER_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/bitmapset.h"

#include "registry.h"
#include "viewshape.h"

typedef struct BsReader
{
	MemoryContext context; /* all of the reader */
	BsViewDef *def;
	BsViewProgram *view;
	BsViewShape *shape;
	struct BsReaderRows *rows; /* reader.c's */
	Oid user;                  /* as whom nodes are asked */
	struct BsNodeReading *nodes; /* NULL: the windows are in shared memory, or nobody has asked yet */
	uint64 groups_read;
	uint64 groups_not_accepted;
	uint64 groups_without_having; /* HAVING was not true */
} BsReader;

/*
 * Open a view, on which the caller holds a lock.  desc is its row type.  needed has the attribute
 * numbers of the columns that will be looked at (NULL: all); the others are NULL in all rows and
 * not computed.  Raises an error where continuous views are not counted (on a standby), a warning
 * when the view has been suspended.  Closed with parent, or by bs_reader_close().
 */
extern BsReader *bs_reader_open(Oid relid, TupleDesc desc, const Bitmapset *needed,
								MemoryContext parent);

/*
 * The same with further columns behind the view's own in desc: the states (columnstate.h) of the columns
 * whose numbers are in states.  Raises an error where one has none.
 */
extern BsReader *bs_reader_open_states(Oid relid, TupleDesc desc, const Bitmapset *needed,
									   List *states, MemoryContext parent);
extern void bs_reader_close(BsReader *reader);

/* The view's row type. */
extern TupleDesc bs_reader_desc(const BsReader *reader);

/*
 * The caller makes rows under the view's own settings (bs_pinned_enter_evaluation), so that none need be
 * made ahead: an error while a row is made costs that row and no other, and the next call goes on.
 */
extern void bs_reader_in_settings(BsReader *reader);

/*
 * The windows that can be read now, in order of time, in CurrentMemoryContext; open ones are not
 * among them where the view does not show them.  A view without windows has exactly one.
 */
extern BsWindowInfo *bs_reader_windows(BsReader *reader, int *nwindows);

/*
 * Conditions on the view's columns (Vars of varno) as conditions on the scan tuple (query.h), to be
 * evaluated with it as ecxt_scantuple.  They must be of this level or below.  A column that is an
 * expression is computed when and if a condition asks for it.
 */
extern List *bs_reader_conditions(BsReader *reader, List *conditions, Index varno,
								  BsReadLevel level);

/* The same for a view by itself. */
extern List *bs_view_conditions(const BsViewProgram *view, List *conditions, Index varno);

/* The same with those that the view does not show, and without one that is not there. */
extern BsWindowInfo *bs_reader_all_windows(BsReader *reader, int *nwindows);

/* What they have been closed by, or are about to be, on every node: asked for after they were. */
extern int64 bs_reader_watermark(const BsReader *reader);

/*
 * The reading of the nodes that keep the view, by this user's mappings, which is done without nodes that fail: the
 * caller looks which (noderead.h).  Before anything else is read.
 */
extern struct BsNodeReading *bs_reader_nodes(BsReader *reader, Oid user);

/* These windows will be loaded one by one in this order, unless something else is: nodes send them together. */
extern void bs_reader_expect(BsReader *reader, const BsWindowInfo *windows, int nwindows);

/* The scan tuple of a window's rows as far as conditions of level BS_LEVEL_WINDOW ask for it. */
extern TupleTableSlot *bs_reader_window_tuple(BsReader *reader, int64 window);

/*
 * Take out of shared memory the windows first .. last, merged; they are shown as window shown. What
 * was loaded before is freed.
 */
extern void bs_reader_load(BsReader *reader, int64 first, int64 last, int64 shown);

/*
 * The next row of what is loaded, or NULL after the last.  Good until the next call.  accept,
 * unless NULL, is asked first, with a row that has the columns up to BS_LEVEL_KEYS: groups for
 * which it answers false are passed over.
 */
typedef bool (*BsReaderAccept)(void *context, TupleTableSlot *scan_tuple);

extern TupleTableSlot *bs_reader_next(BsReader *reader, BsReaderAccept accept, void *context);

#endif
