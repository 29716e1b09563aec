/* SPDX-License-Identifier: PostgreSQL */
/*
 * ownerrows.h: the rows of closed windows, read by a background process for whoever gets them without asking:
 * a view over the view, a channel, a table.
 *
 * Rows are made with the rights of the view's owner, who has written what makes them, in a restricted,
 * read-only operation under the view's settings and within backstream.eval_timeout for each batch: a view's
 * owner can do to such a process what he can do to a receiver, and no more.  A row whose expressions fail is
 * left out and counted.
 */
#ifndef BS_OWNERROWS_H
#define BS_OWNERROWS_H

#include "postgres.h"

#include "utils/rel.h"

#include "reader.h"

typedef struct BsOwnerRows
{
	MemoryContext context; /* all of this */
	Relation relation;
	BsReader *reader;
	/* Of what is loaded: */
	bool exhausted;
	uint64 nfailed;    /* rows that could not be made */
	const char *error; /* why the last of them could not; NULL: none.  Good until the next failure */
} BsOwnerRows;

/*
 * Open a view inside a transaction, in a child of parent; needed as in bs_reader_open().  Nothing is waited
 * for: NULL when somebody holds a lock that would have to be.  The locks taken last until the end of the
 * transaction.  Raises an error when the view can no longer be read.
 */
extern BsOwnerRows *bs_owner_rows_open(Oid relid, const Bitmapset *needed, MemoryContext parent);
extern void bs_owner_rows_close(BsOwnerRows *rows);

/* As bs_reader_all_windows(). */
extern BsWindowInfo *bs_owner_rows_windows(BsOwnerRows *rows, int *nwindows);

/* Take one window out of shared memory, or get it from the nodes that keep the view. */
extern void bs_owner_rows_load(BsOwnerRows *rows, int64 window);

/* The states of a view's windows first .. last as its nodes have sent them (noderead.h), in a memory context. */
extern BsWindowData *bs_owner_rows_from_nodes(BsOwnerRows *rows, int64 first, int64 last,
											  MemoryContext context);

/*
 * Give the rows of a batch to take, which returns whether it has room for more, with the owner's rights in a
 * subtransaction: what it does must outlast an error of a later row.  Sets exhausted after the last row.
 * CurrentMemoryContext is take's.  False when the view's code took too long: nothing more is to be had of it,
 * and rows->error says so.  Raises an error when the batch cannot be begun.
 */
typedef bool (*BsTakeRow)(void *context, TupleTableSlot *slot);
extern bool bs_owner_rows_next(BsOwnerRows *rows, BsTakeRow take, void *context);

/* Run code that may call the owner's (output functions, comparisons) on the same terms.  False: it failed. */
extern bool bs_owner_rows_guard(BsOwnerRows *rows, BsGuarded code, void *argument);

#endif
