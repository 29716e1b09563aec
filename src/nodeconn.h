/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodeconn.h: a session's connections to nodes, and requests over them.
 *
 * A connection belongs to a user mapping and a user.  It is made when it is first asked something, kept
 * until the session ends or its server or mapping is altered, and made anew after it was lost.  (An answer that
 * lasts as long as its reader likes has a connection of its own, which ends with it.)  It is in
 * the settings that stored text is read under (pinned.h), and the node has said who it is before anything else
 * is asked.
 *
 * Nothing here waits without an eye on the clock: all requests of a list go on at once, in one loop, each
 * until its deadline.  Interrupts are served in it.  A connection that is in the middle of an answer when an
 * error or a cancel comes is closed, and the node, which looks for that, ends what it was doing.
 *
 *   nodeconn.c     the connections, and their transactions
 *   noderun.c      the loop
 *   noderesolve.c  names of hosts, without waiting for them
 *   nodehello.c    what nodes say of themselves
 *   nodeshared.c   when they were last heard
 *
 * One connection has at most one transaction, which is that of the session: opened by the first statement that
 * changes something on the node, committed just before the session's own (all nodes at once), ended with it
 * otherwise.  What a rolled back savepoint did here is undone there.
 */
#ifndef BS_NODECONN_H
#define BS_NODECONN_H

#include "postgres.h"

#include "portability/instr_time.h"

#include "node.h"

struct pg_conn;
struct pg_result;

/* Of what nodes send, the packed messages included; other numbers cannot be read. */
#define BS_PARTIALS_FORMAT 1

/* What a node says of itself. */
typedef struct BsNodeHello
{
	char version[32];       /* of the extension's library */
	int format;             /* in which partials travel */
	int server_version;     /* as server_version_num */
	char encoding[32];      /* of its database */
	int64 clock_ahead_usec; /* of ours; give or take half the latency */
	int64 latency_usec;     /* from question to answer */
} BsNodeHello;

typedef enum BsConnPhase
{
	BS_CONN_CLOSED,
	BS_CONN_RESOLVING,  /* a name of a host is looked up */
	BS_CONN_CONNECTING, /* libpq says what to wait for */
	BS_CONN_GREETING,   /* the settings and the hello are on their way */
	BS_CONN_READY,
	BS_CONN_BUSY /* an answer is on its way */
} BsConnPhase;

typedef struct BsNodeConn
{
	/* The key: */
	Oid mapping;
	Oid user;
	uint32 own; /* 0: the one that is kept; from 1 on: of one request, of which there may be several at a time */

	Oid server;
	char name[NAMEDATALEN]; /* of the server */
	BsConnPhase phase;
	int own_level;            /* nest level of the request whose own it is */
	bool held;                /* that request has not ended, though a savepoint may have closed the connection */
	bool stale;               /* server or mapping was altered, or its clock was off: not to be used again */
	bool must_use_password;   /* the node has to ask for one */
	struct pg_conn *pg;       /* NULL: closed */
	struct pg_result *result; /* being looked at: cleared with the connection */
	char *copied;             /* the same of a message of COPY */
	bool copying;
	struct BsResolve *resolve;
	const char **keywords; /* while it resolves: what libpq will get */
	const char **values;
	int polling;      /* what libpq waits for while it connects */
	bool want_write;  /* not everything has been sent */
	bool more;        /* libpq holds rows that have not been looked at */
	int xact_level;   /* nest level of the transaction that is open there; 0: none */
	bool xact_lost;   /* there was one, and the connection went */
	instr_time asked; /* the last question */
	BsNodeHello hello;
} BsNodeConn;

/* Why a request has failed. */
typedef enum BsNodeTrouble
{
	BS_NODE_FINE,
	BS_NODE_UNREACHABLE, /* no connection, no answer in time, or it broke */
	BS_NODE_MISFIT,      /* of another version */
	BS_NODE_REFUSED      /* it answered with an error */
} BsNodeTrouble;

typedef struct BsNodeRequest BsNodeRequest;

/*
 * Called with every row, in order, and with nothing else; lives until it returns.  An error that it raises ends all
 * requests of the list.  False: this request has failed, and its trouble and message are set.
 */
typedef bool (*BsNodeTake)(BsNodeRequest *request, const struct pg_result *row);

/* The same with every message of COPY ... TO STDOUT. */
typedef bool (*BsNodeTakeData)(BsNodeRequest *request, const char *data, int len);

/* A question to a node.  Zero what is not used. */
struct BsNodeRequest
{
	const BsNode *node;        /* not the local one */
	const char *sql;           /* with parameters one statement, else one or more */
	int nparams;               /* -1: none, and more than one statement is allowed */
	const char *const *values; /* [nparams] as text */
	bool binary;               /* the answer */
	bool any_version;          /* the node need not be of ours */
	BsNodeTake take;           /* NULL: rows are not looked at */
	BsNodeTakeData take_data;  /* NULL: it is no COPY */
	const char *own_settings;  /* statements for a connection of its own; NULL: the one that is kept */
	int own_buffer_bytes;      /* what the kernel is to keep of an answer; 0: as it likes */
	bool listening;            /* whatever comes from the node is a sign of life, if it is no row */
	void *context;

	/* The outcome; texts in the context that was current at the call. */
	BsNodeTrouble trouble;
	int sqlerrcode;
	char *message;
	char *detail;
	char *hint;
	char tag[32]; /* of the last command */
	uint64 rows;
	uint64 bytes; /* of values */
	int64 usec;   /* until the end of the answer, or of waiting for it */

	/* Internal: */
	BsNodeConn *conn;
	bool done;
	bool change; /* part of the session's transaction */
	bool reused; /* the connection is an old one: it may have broken long ago */
	instr_time began;
	instr_time heard; /* from it */
	int64 timeout_usec;
};

/*
 * Ask all of them at once, and return when each has ended well or not.  A node that says nothing for timeout_usec has
 * failed; 0: as long as its server or backstream.node_timeout says.  Raises an error on cancel.
 */
extern void bs_nodes_ask(BsNodeRequest *requests, int nrequests, int64 timeout_usec);

/*
 * The same bit by bit, for who does something with rows before there are all.  A turn does what can be done, after
 * waiting for up to wait_msec (-1: as long as it takes) for nodes or the latch, which it resets; it takes a bounded
 * number of rows.  Returns whether there is more to come.  Time between two turns does not count as a node's silence.
 * What has not ended by bs_nodes_end() is broken off by closing the connection, as are connections of requests' own.
 */
typedef struct BsNodeLoop BsNodeLoop;

extern BsNodeLoop *bs_nodes_begin(BsNodeRequest *requests, int nrequests, int64 timeout_usec);
extern bool bs_nodes_turn(BsNodeLoop *loop, long wait_msec);
extern void bs_nodes_end(BsNodeLoop *loop);

/* What the node has said of a parameter (ParameterStatus) while the request goes on, or NULL. */
extern const char *bs_node_parameter(const BsNodeRequest *request, const char *name);

/* May one do without a node that has failed like this: it is away, or does not have what was asked for (any more)? */
extern bool bs_node_may_be_missing(const BsNodeRequest *request);

/*
 * Set by a process that must not wait for long while others wait for it: called ten times a second while no node says
 * anything.  An error that it raises ends all requests.
 */
extern void (*bs_nodes_waiting)(void);

/* Raise the trouble of a request as an error, which names the node; or as a warning. */
extern void bs_node_report(const BsNodeRequest *request, int elevel);

/* A request has failed for this reason (errcode, a text, more or NULL). */
extern void bs_node_fail(BsNodeRequest *request, BsNodeTrouble trouble, int sqlerrcode,
						 const char *message, const char *detail, const char *hint);

/* Why what this node sends cannot be merged here, or NULL. */
extern char *bs_hello_misfit(const BsNodeHello *hello);

/* When any session last heard from a node: 0 if never, since this server was started.  nodeshared.c */
extern void bs_node_heard(Oid server);
extern TimestampTz bs_node_last_heard(Oid server);
extern void bs_nodeshared_init(void);

/* How long one waits for a node. */
extern int64 bs_node_timeout_usec(const BsNode *node);

/* ---- transactions ------------------------------------------------------------------------------ */

/*
 * As bs_nodes_ask(), within the transaction of this session on each node, at the nest level of now.  A failed
 * request has undone nothing by itself: the caller raises an error, or calls bs_node_forget().
 */
extern void bs_nodes_change(BsNodeRequest *requests, int nrequests);

/* End the session's transaction on this node without effect. */
extern void bs_node_forget(const BsNodeRequest *request);

/* Called once, when the library is loaded. */
extern void bs_nodeconn_init(void);

/* ---- between the files of this header ---------------------------------------------------------- */

extern void bs_conn_attach(BsNodeRequest *request);
extern void bs_conn_begin(BsNodeRequest *request);
extern void bs_conn_close(BsNodeConn *conn);
extern void bs_conn_greet(BsNodeRequest *request);
/* The statements of a change, after those that bring the transaction over there to our nest level. */
extern char *bs_conn_change_statements(BsNodeConn *conn, const char *sql);
extern void bs_conn_read_hello(BsNodeConn *conn, const struct pg_result *row);
extern void bs_conn_greeted(BsNodeRequest *request, const struct pg_result *result);
/* The wait set of the loop: freed when an error has left it. */
extern void bs_nodes_wait_end(void);

typedef struct BsResolve BsResolve;

/*
 * Begin to look up the names among keywords and values that libpq would wait for: NULL when there are none, and
 * nothing needs to be done.
 */
extern BsResolve *bs_resolve_begin(const char **keywords, const char **values);
/* Not yet: false.  *error is set when it failed. */
extern bool bs_resolve_done(BsResolve *resolve, const char **error);
/* Put the addresses in, in CurrentMemoryContext. */
extern void bs_resolve_apply(BsResolve *resolve, const char ***keywords, const char ***values);
extern void bs_resolve_free(BsResolve *resolve);

#endif
