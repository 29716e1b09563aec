/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodetail.h: a live tail of a stream that nodes have: what is theirs of it (tailscan.h has the scan).
 *
 * Each node gets COPY (SELECT columns FROM its stream WHERE conditions) TO STDOUT over a connection of its own, all at
 * once, and sends rows as they come there; they are read when they are wanted.  Who takes them slowly leaves them in
 * the sockets' buffers, which are no larger than backstream.tail_buffer, and then in the ring at the node (tails.h), where
 * what finds no room is counted: a node never waits but in its own session of this reader.
 *
 * Beside rows, a node tells in ParameterStatus messages, every so often, how many records have found no room; that is its
 * sign of life too, for a stream may be silent for long.  The connection is closed at the end, which a node notices
 * within BS_TAIL_LOOK_MSEC.
 */
#ifndef BS_NODETAIL_H
#define BS_NODETAIL_H

#include "postgres.h"

#include "commands/explain.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "utils/rel.h"

/* The parameter that a node reports. */
#define BS_TAIL_PARAMETER "backstream.tail_dropped"

#define BS_TAIL_LOOK_MSEC 50

typedef struct BsNodeTail BsNodeTail;

/*
 * What is sent to a node: the columns wanted (attribute numbers), and conditions of bs_ship_choose() without parameters
 * or, to be looked at only, with.
 */
extern char *bs_node_tail_sql(Relation stream, const Bitmapset *wanted, List *conditions);

/* Lives in context until it is closed.  user: whose mappings are used.  Nobody is asked yet. */
extern BsNodeTail *bs_node_tail_open(Relation stream, const Bitmapset *wanted, Oid user,
									 MemoryContext context);

/* The stream of this server, if it is one of the nodes; else InvalidOid. */
extern Oid bs_node_tail_local(const BsNodeTail *tail);

/* Ask all nodes, for listen_for_msec (0: until it is closed).  Begun again, what has come before is forgotten. */
extern void bs_node_tail_start(BsNodeTail *tail, List *conditions, int listen_for_msec);
extern void bs_node_tail_stop(BsNodeTail *tail);

/*
 * The next row that has come, into a virtual slot of the stream, with values in CurrentMemoryContext; false: none is
 * here.
 */
extern bool bs_node_tail_next(BsNodeTail *tail, TupleTableSlot *slot);

/*
 * Look what has come, after waiting for that or for the latch for up to wait_msec.  False: all nodes have come to their
 * end.  A node that has failed is an error, or a warning where that is allowed.
 */
extern bool bs_node_tail_wait(BsNodeTail *tail, long wait_msec);

/* The nodes' time is over, too: from now on a node that has no rows to send is to end. */
extern void bs_node_tail_time_is_over(BsNodeTail *tail);

/* Records that found no room, as far as nodes have told; since the tail was opened, as all that EXPLAIN shows. */
extern uint64 bs_node_tail_dropped(const BsNodeTail *tail);
extern uint64 bs_node_tail_records(const BsNodeTail *tail);
extern void bs_node_tail_explain(const BsNodeTail *tail, ExplainState *es);

#endif
