/* SPDX-License-Identifier: PostgreSQL */
/*
 * levels.h: views over views: the keeper reads what has closed below and adds it above.
 * (Of views that nodes keep the fetcher does: nodelevels.h.)
 *
 * The records of a view over a view are the rows of the lower view's closed windows, each window once.
 * Its watermark is fed_before (registry.h): all windows of the lower view that start before it have been
 * added.  A window's rows are evaluated into private memory first, and then merged into the keeper's
 * partial under one lock together with the new fed_before: a keeper that ends at any moment has added the
 * whole window or nothing of it, and the next one goes on where the shared memory says.
 *
 *   levels.c   which views have something to read, for how long, and when to give up
 *   feedup.c   one window of a lower view into one upper view
 *   settle.c   backstream.settle()
 */
#ifndef BS_LEVELS_H
#define BS_LEVELS_H

#include "active.h"
#include "ownerrows.h"

/*
 * One turn of the keeper, outside of any transaction: take up definitions, feed views for a bounded
 * time, give up waiting where that has been too long.  Returns whether there is more to do at once.
 */
extern bool bs_levels_turn(void);

/* Is there a window that has closed and that some view over its view has not got? */
extern bool bs_levels_pending(void);

/*
 * Give a view what closed below since the last time, window by window until the deadline.  Inside a
 * transaction with a snapshot; may raise an error (memory is out, the lower view cannot be read), after
 * which whatever was published counts.  False when that cannot be now: the lower view is locked,
 * or a definition has just changed.
 */
extern bool bs_feed_up(BsActiveView *view, TimestampTz deadline);

/* Windows of the lower view, or of the nodes, that are done with: */
typedef struct BsPassed
{
	int64 before;       /* those that start before this; */
	uint64 nmissed;     /* so many of them without having been read, ... */
	uint64 nincomplete; /* ... and so many that nodes have told nothing of, while not all were there */
	bool on_nodes;      /* nodes keep the lower view, or this one, and the fetcher calls */
} BsPassed;

/*
 * What has been read, how far, and what of it is missing are stored under this lock: of one moment in the files of a
 * view that the fetcher feeds; else a crash would have it counted again.  False, and it is locked all the same: the slot
 * has become another definition's, for which nothing may be stored.
 */
extern bool bs_progress_lock(BsSharedView *view, uint64 fingerprint, bool fetched);
extern void bs_progress_unlock(BsSharedView *view, bool fetched);

/* Unless the slot has become another definition's.  Cannot fail. */
extern void bs_feed_pass(BsSharedView *view, uint64 fingerprint, BsPassed passed);

/*
 * Windows past retention are kept for somebody who has not had them (waiting): has that been for longer than
 * backstream.level_wait?  *since is the caller's memory of it, 0 in the beginning.
 */
extern bool bs_level_wait_is_over(TimestampTz *since, bool waiting);

/* ---- one window into one view: feedup.c -------------------------------------------------------- */

/* The lower view being read for an upper one. */
typedef struct BsLevelFeed
{
	BsActiveView *view; /* the upper one */
	BsOwnerRows *rows;  /* of the lower one */
	MemoryContext context; /* all else of this */
	BsBatch *batch;
	MemoryContext keep; /* the batch's bytes */
	/* Of the window: */
	BsPartial partial;
	BsArena *arena;
	const char *error;
	int64 window; /* its start, and what follows, where nodes keep the lower view: the caller's to set */
	uint32 nodes_expected;
	uint32 nodes_missing;
} BsLevelFeed;

/*
 * NULL: somebody holds a lock that would be waited for, or the lower view is no longer the one that this view was
 * compiled over.  Goes with CurrentMemoryContext, or by bs_level_close().
 */
extern BsLevelFeed *bs_level_open(BsActiveView *view);
extern void bs_level_close(BsLevelFeed *feed);

/*
 * For each window: begin, then load it by feed->rows, then its rows into private memory (false: the view has been
 * suspended), then what was read and how far at once, which cannot fail; end, in any case.
 */
extern void bs_level_begin(BsLevelFeed *feed);
extern bool bs_level_rows(BsLevelFeed *feed);
extern void bs_level_publish(BsLevelFeed *feed, int64 fed_before);
extern void bs_level_end(BsLevelFeed *feed);

/* Between two batches: windows of other views close meanwhile, if it is time. */
extern void bs_levels_breathe(void);

#endif
