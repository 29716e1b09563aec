/* SPDX-License-Identifier: PostgreSQL */
/*
 * noderead.h: the windows of a view that nodes keep, as those of a view in shared memory are read (registry.h).
 *
 *   noderead.c   which windows there are, on how many nodes; what to do without some
 *   nodefetch.c  what they hold: asked of all nodes at once, and merged as it comes
 *   nodemissed.c windows that a node has counted in part only
 *
 * One reading belongs to one reader (reader.h).  Its nodes are asked twice or more: once for the windows that there
 * are, then for what the chosen ones hold, as many at a time as fit BS_FETCH_BYTES.  A node that fails is left out from then
 * on, if that is allowed; what came of it in this fetch is thrown away with the rest, which is asked again.
 */
#ifndef BS_NODEREAD_H
#define BS_NODEREAD_H

#include "postgres.h"

#include "commands/explain.h"

#include "nodeconn.h"
#include "query.h"
#include "registry.h"
#include "viewdef.h"

/* Windows are fetched together as long as the nodes have said that they take no more than this. */
#define BS_FETCH_BYTES   (INT64CONST(16) * 1024 * 1024)
#define BS_FETCH_WINDOWS 256

typedef struct BsNodeReading BsNodeReading;

/* What one node has to do with a reading. */
typedef struct BsNodePart
{
	const BsNode *node;
	bool left_out;       /* it has failed, and that is allowed */
	bool silent;         /* it was asked, and has not answered */
	const char *trouble; /* why, in a tolerant reading */
	BsViewExtent extent; /* as of the last list of windows */
	int64 clock_ahead_usec; /* of this server's */
	const char *state;   /* of the view there, as backstream.views says it */
	BsWindowInfo *windows;
	int nwindows;
	int capacity;
	/* For EXPLAIN: */
	uint64 rows;
	uint64 bytes;
	int64 usec;
	uint64 groups;
	uint64 groups_before; /* a fetch that is done again */
	bool warned;          /* of windows that it has counted in part only */
	bool warned_of_state;
} BsNodePart;

/* A range of windows, merged; its table grows while nodes answer. */
typedef struct BsFetched
{
	int64 first;
	int64 last;
	bool gone; /* dropped meanwhile on some node */
	BsWindowData *data;
} BsFetched;

struct BsNodeReading
{
	MemoryContext context;
	const BsViewDef *def;
	BsViewProgram *view;
	BsWriter *writer;
	Oid user;
	uint64 portable; /* fingerprint */
	bool rolling;    /* one window, as of now */
	char *schema;    /* of the view on the nodes */
	char *name;
	BsNodeFailure failure;
	bool tolerant;   /* who reads looks himself which nodes have been left out: none is warned of, no window refused */
	int64 from;      /* windows that start before this are not asked for */
	/* What is read one by one ends with the window that starts so much later: 0, windows, or panes (by_pane). */
	int64 reach;
	int nparts;
	BsNodePart *parts;
	BsViewDef *local_def; /* of the view that is kept here, when this server is one of them */
	BsViewProgram *local;
	BsWriter *local_writer;

	/* The windows of all. */
	MemoryContext list_context;
	BsWindowInfo *windows;
	int nwindows;
	int64 closed_before;
	int64 watermark; /* the lowest */
	/*
	 * How far nodes are together that wait for somebody; when none does, the one that is furthest.  As of the sources of
	 * one server: who is idle holds nothing up.  NULL: there are no nodes.
	 */
	const BsViewExtent *common;
	int64 dropped_before;
	TimestampTz first_since; /* the first node began to count then */

	char *conditions; /* on keys (nodefilter.h), of the groups that are wanted; NULL: all are */

	/* Those that will be asked for, in this order. */
	int64 *expected;
	int nexpected;

	MemoryContext fetch_context;
	BsFetched *fetched;
	int nfetched;
};

/* Everything lies in context and goes with it. */
extern BsNodeReading *bs_node_reading_open(const BsViewDef *def, BsViewProgram *view,
										   BsWriter *writer, Oid user, bool tolerant,
										   MemoryContext context);

/*
 * Tell nodes that are idle, and have closed less than what is common, how far that is.  Returns how many were told; their extents are
 * as they were until windows are asked for again.  Who cannot be told is not told: it will not answer the next question.
 */
extern int bs_node_reading_advance(const BsNodeReading *reading);

/*
 * Windows before this are closed on the nodes that wait for somebody, or on the one that is furthest; which have closed
 * nothing do not count.  BS_TIME_NEG_INFINITY: none has.
 */
extern int64 bs_node_reading_closed(const BsNodeReading *reading);

/* This node is not to be asked, for a reason that the caller knows. */
extern void bs_node_reading_leave_out(BsNodeReading *reading, BsNodePart *part, const char *trouble);

/* Not windows but panes will be expected and loaded: those that start at first, each with last = first + reading->reach. */
extern void bs_node_reading_by_pane(BsNodeReading *reading);

/* What is known of the window that starts then, or, by pane, of the last one that the pane is in; NULL: there is none. */
extern const BsWindowInfo *bs_node_reading_about(const BsNodeReading *reading, int64 start);

/* As bs_view_windows(), of all nodes together: closed where every one has closed it. */
extern BsWindowInfo *bs_node_reading_windows(BsNodeReading *reading, int *nwindows);

/* These windows will be read one by one, in this order: they may be fetched together. */
extern void bs_node_reading_expect(BsNodeReading *reading, const BsWindowInfo *windows,
								   int nwindows);

/* Until the windows are listed anew, only groups for which these hold (nodefilter.h) need come; NULL: all. */
extern void bs_node_reading_want(BsNodeReading *reading, const char *conditions);

/* As bs_view_read(). */
extern BsWindowData *bs_node_reading_load(BsNodeReading *reading, int64 first, int64 last,
										  MemoryContext context);

/* Of a window that was loaded: had some node dropped it by then? */
extern bool bs_node_reading_gone(const BsNodeReading *reading, int64 window);

/* Has this node begun to count after the window had begun, or was it down meanwhile, as far as that can be told? */
extern bool bs_node_reading_missed(const BsNodeReading *reading, const BsNodePart *part, int64 window);

/* The same of a pane, or any part of a window. */
extern bool bs_node_reading_missed_span(const BsNodeReading *reading, const BsNodePart *part, int64 window, BsSpan span);

/* How many nodes should have told of a window, and have told all of it. */
extern void bs_node_reading_nodes(const BsNodeReading *reading, int64 window, int *expected,
								  int *answered);

/* EXPLAIN ANALYZE. */
extern void bs_node_reading_explain(const BsNodeReading *reading, ExplainState *es);

/* ---- between the files ------------------------------------------------------------------------- */

/*
 * Do without the nodes whose requests have failed, with a warning, or raise an error.  Returns whether any was left
 * out.  requests[i] belongs to parts[i]; node NULL: it was not asked.
 */
extern bool bs_node_reading_failures(BsNodeReading *reading, BsNodeRequest *requests);

/*
 * A node has not counted all of these windows, because it was down or began late, and times are by the clock on the
 * wall: an error or a warning that names it, once.
 */
extern void bs_node_reading_check_missed(BsNodeReading *reading, int64 first, int64 last);

/* Windows that were open while a node was down have a gap, whether it has something of them or not. */
extern void bs_node_reading_mark_gaps(BsNodeReading *reading);

/* Ask for these ranges; fills reading->fetched. */
extern void bs_node_reading_fetch(BsNodeReading *reading, const int64 *firsts, const int64 *lasts,
								  int n);

#endif
