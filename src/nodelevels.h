/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodelevels.h: views over views that nodes keep, and outputs of views that nodes keep: the fetcher gets what all nodes have
 * closed.
 *
 * A second level over a backbone is counted by the server where it is defined.  Its records are the rows of the
 * lower view's windows, merged of all nodes, each window once, in order of time.  A window is read
 *
 *   - at once, when every node of the lower view's server has closed it;
 *   - else when node_timeout has passed since this server first saw that some node had closed it (the longest of
 *     the nodes' timeouts), of the nodes that answer.  It is then marked: nodes_answered in backstream.windows() is
 *     less than nodes_expected, and windows_incomplete in backstream.views counts it.
 *
 * A node has told all of a window when it answers, has closed it, has counted since before it began, and is not
 * suspended.  Where no node answers nothing is read.  What some node has dropped before it was read is missed
 * (windows_missed).
 *
 * A view that nodes keep itself, and that has outputs (outputs.h), is fetched in the same way: its windows are merged into
 * a slot of this server, from which keeper and archiver hand them on.  Who reads the view asks the nodes all the same.
 *
 * A process of its own does this, the fetcher: whatever a node does keeps nobody else waiting.  It shares the mark
 * fed_before and the partial with nobody: the keeper leaves these views alone (BsViewTiming.feeding).
 *
 *   nodelevels.c  which views, when, and what is to be read
 *   nodemerge.c   states of nodes into a slot here
 *   nodeaway.c    nodes that do not answer, and who waits for them
 *   fetcher.c     the process
 */
#ifndef BS_NODELEVELS_H
#define BS_NODELEVELS_H

#include "active.h"
#include "noderead.h"
#include "ownerrows.h"

/*
 * One turn of the fetcher, outside of any transaction: take up definitions, ask for each view whose time has come.
 * Returns after how many milliseconds the next is due.
 */
extern long bs_nodelevels_turn(void);

/* Has the fetcher anything to do at all?  For who waits for it: settle(). */
extern bool bs_nodelevels_any(void);

/* ---- the outputs of a view that nodes keep: nodemerge.c ---------------------------------------- */

/* The panes of one window after the other, on their way into the view's slot. */
typedef struct BsNodeMerge
{
	BsActiveView *view;
	BsOwnerRows *rows; /* of the view itself: opened, none are made */
	BsNodeReading *reading;
	/* Of the window: */
	MemoryContext context;
	List *panes; /* of BsWindowData *; info.window is the start of the pane */
	bool gone;   /* some node has dropped one of them */
} BsNodeMerge;

/* NULL: somebody holds a lock that would be waited for, or the view has another definition now. */
extern BsNodeMerge *bs_node_merge_open(BsActiveView *view);
extern void bs_node_merge_close(BsNodeMerge *merge);

/* These windows will be loaded, in this order: what they are made of may be fetched together. */
extern void bs_node_merge_expect(BsNodeMerge *merge, const BsWindowInfo *windows, int nwindows);

/* What is stored with a window, or with empty ones that are passed over. */
typedef struct BsNodeMerged
{
	int64 window; /* the first that is merged, or passed over: nothing has come of those before it that are not done with */
	int64 before; /* windows that start before this are done with, ... */
	int64 missed_before; /* ... also those before this that are not merged, ... */
	uint64 nmissed;      /* ... so many */
	uint64 nincomplete;  /* of those that are passed over */
	uint32 nodes_expected;
	uint32 nodes_missing; /* that have not told all of those that are passed over */
} BsNodeMerged;

/*
 * For each window: load what has not come with an earlier one, note at its panes how many nodes are missing, then publish
 * it with how far at once; end, in any case.  Without panes windows are passed over that are empty.
 *
 * Where windows that were missed have left panes out, windows over these are not listed.
 */
extern void bs_node_merge_load(BsNodeMerge *merge, int64 window);
extern void bs_node_merge_note_missing(BsNodeMerge *merge, int64 window);
extern void bs_node_merge_publish(BsNodeMerge *merge, const BsNodeMerged *merged);
extern void bs_node_merge_end(BsNodeMerge *merge);

/* Did some node count the view before this time, by this server's clock? */
extern bool bs_node_merge_counted_before(const BsNodeMerge *merge, int64 time);

/* ---- nodes that do not answer: nodeaway.c ------------------------------------------------------ */

/*
 * Leave those out of a reading that have kept us waiting lately; they are asked again after three times as long as
 * they did, and at least a second.
 */
extern void bs_nodes_leave_out_away(BsNodeReading *reading);

/* Learn from a reading who has answered and who has not; the log is told when that changes. */
extern void bs_nodes_note_away(const BsNodeReading *reading);

/*
 * For bs_nodes_waiting: raise an error when somebody waits for a lock that this process holds, so that it is given
 * back: a statement about a view does not wait for a node.
 */
extern void bs_nodes_give_way(void);

#endif
