/* SPDX-License-Identifier: PostgreSQL */
/*
 * noderun.c: the loop in which a session waits for nodes.  See nodeconn.h.
 *
 * Each request goes through the phases of its connection, and from there to its end.  The loop waits for all
 * sockets, the latch and the nearest deadline, and looks at every deadline on every turn, whoever has
 * answered.
 */
#include "backstream.h"

#include <libpq-fe.h>

#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "nodeconn.h"
#include "options.h"
#include "registry.h"

/* A look-up of a name has no socket to wait for. */
#define RESOLVE_LOOK_MSEC 5

/* One row of a turn, at most so many: then the others are looked at. */
#define MAX_ROWS_A_TURN 64

/* How often somebody is told that there was nothing but waiting. */
#define WAITING_MSEC 100

void (*bs_nodes_waiting)(void);

/* A list of requests that goes on. */
struct BsNodeLoop
{
	BsNodeRequest *requests;
	int nrequests;
	uint32 *waited;     /* [nrequests] what the set waits for */
	WaitEvent *events;  /* [nrequests + 2] */
	instr_time left;    /* the end of the last turn */
};

/* The set of the loop that had the last turn: there is one at a time. */
static WaitEventSet *wait_set;
static const BsNodeLoop *wait_owner;

/* ---------- trouble ---------- */

/* The first line, without the "ERROR:" and the line end that libpq puts there. */
static char *
first_line(const char *text)
{
	char *line;

	if (strncmp(text, "ERROR:  ", 8) == 0 || strncmp(text, "FATAL:  ", 8) == 0)
		text += 8;
	line = pnstrdup(text, strcspn(text, "\n"));
	return *line != '\0' ? line : pstrdup("it has closed the connection");
}

void
bs_node_fail(BsNodeRequest *request, BsNodeTrouble trouble, int sqlerrcode, const char *message,
			 const char *detail, const char *hint)
{
	request->trouble = trouble;
	request->sqlerrcode = sqlerrcode;
	request->message = first_line(message);
	request->detail = detail ? pstrdup(detail) : NULL;
	request->hint = hint ? pstrdup(hint) : NULL;
	request->done = true;
	if (request->conn != NULL && request->conn->phase != BS_CONN_READY)
		bs_conn_close(request->conn);
}

static void
fail_as_libpq_says(BsNodeRequest *request)
{
	bs_node_fail(request, BS_NODE_UNREACHABLE, ERRCODE_CONNECTION_FAILURE,
				 PQerrorMessage(request->conn->pg), NULL, NULL);
}

/* The node has answered with an error. */
static void
fail_as_node_says(BsNodeRequest *request, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	request->trouble = BS_NODE_REFUSED;
	request->sqlerrcode = state != NULL && strlen(state) == 5
							  ? MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])
							  : ERRCODE_CONNECTION_FAILURE;
	request->message =
		message != NULL ? pstrdup(message) : first_line(PQresultErrorMessage(result));
	if (PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) != NULL)
		request->detail = pstrdup(PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
	if (PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) != NULL)
		request->hint = pstrdup(PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
	/* It was told to end, or the database is shut down: the connection is about to break. */
	if (ERRCODE_TO_CATEGORY(request->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION &&
		request->sqlerrcode != ERRCODE_QUERY_CANCELED)
		request->trouble = BS_NODE_UNREACHABLE;
}

void
bs_node_report(const BsNodeRequest *request, int elevel)
{
	ereport(elevel, (errcode(request->sqlerrcode),
					 errmsg("node \"%s\": %s", request->node->name, request->message),
					 request->detail ? errdetail_internal("%s", request->detail) : 0,
					 request->hint ? errhint("%s", request->hint) : 0));
}

bool
bs_node_may_be_missing(const BsNodeRequest *request)
{
	return request->trouble == BS_NODE_UNREACHABLE ||
		   (request->trouble == BS_NODE_REFUSED && request->sqlerrcode == ERRCODE_UNDEFINED_TABLE);
}

/* ---------- deadlines ---------- */

int64
bs_node_timeout_usec(const BsNode *node)
{
	ForeignServer *server = GetForeignServerExtended(node->server, FSV_MISSING_OK);
	BsServerOptions options = {.node_timeout_usec = -1};

	if (server != NULL)
		bs_server_options_parse(server->options, &options);
	if (options.node_timeout_usec >= 0)
		return options.node_timeout_usec;
	return (int64) bs_setting_node_timeout_msec * 1000;
}

static int64
usec_since(instr_time then)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, then);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

static int64
usec_left(const BsNodeRequest *request)
{
	return request->timeout_usec - usec_since(request->heard);
}

static void
look_at_deadline(BsNodeRequest *request)
{
	static const char *const waiting_for[] = {
		[BS_CONN_CLOSED] = "to begin",       [BS_CONN_RESOLVING] = "to look up its host",
		[BS_CONN_CONNECTING] = "to connect", [BS_CONN_GREETING] = "for it to say who it is",
		[BS_CONN_READY] = "to ask",          [BS_CONN_BUSY] = "for an answer",
	};

	if (request->done || usec_left(request) > 0)
		return;
	bs_node_fail(request, BS_NODE_UNREACHABLE, ERRCODE_CONNECTION_FAILURE,
				 psprintf("gave up after %.3g s, waiting %s",
						  (double) request->timeout_usec / USECS_PER_SEC,
						  waiting_for[request->conn->phase]),
				 NULL, NULL);
}

/* ---------- a turn of one request ---------- */

static void
send_question(BsNodeRequest *request)
{
	BsNodeConn *conn = request->conn;
	const char *sql =
		request->change ? bs_conn_change_statements(conn, request->sql) : request->sql;
	int sent;

	INSTR_TIME_SET_CURRENT(conn->asked);
	if (request->nparams < 0)
		sent = PQsendQuery(conn->pg, sql);
	else
		sent = PQsendQueryParams(conn->pg, sql, request->nparams, NULL, request->values, NULL, NULL,
								 request->binary);
	conn->phase = BS_CONN_BUSY;
	conn->want_write = true;
	if (!sent || !PQsetSingleRowMode(conn->pg))
		fail_as_libpq_says(request);
}

static void
finish(BsNodeRequest *request)
{
	request->conn->phase = BS_CONN_READY;
	bs_node_heard(request->node->server);
	request->usec = usec_since(request->began);
	request->done = true;
}

static void
count_row(BsNodeRequest *request, const PGresult *row)
{
	request->rows++;
	for (int i = 0; i < PQnfields(row); i++)
		request->bytes += (uint64) PQgetlength(row, 0, i);
}

/* What one result of an answer means; the connection keeps it, whatever happens. */
static void
take_result(BsNodeRequest *request)
{
	const PGresult *result = request->conn->result;

	INSTR_TIME_SET_CURRENT(request->heard);
	switch (PQresultStatus(result))
	{
		case PGRES_SINGLE_TUPLE:
			count_row(request, result);
			if (request->trouble == BS_NODE_FINE && request->take != NULL &&
				!request->take(request, result))
				Assert(request->trouble != BS_NODE_FINE);
			break;
		case PGRES_COPY_OUT:
			request->conn->copying = request->take_data != NULL;
			if (!request->conn->copying)
				bs_node_fail(request, BS_NODE_REFUSED, ERRCODE_PROTOCOL_VIOLATION, "its answer is none", NULL, NULL);
			break;
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
			strlcpy(request->tag, PQcmdStatus(unconstify(PGresult *, result)),
					sizeof(request->tag));
			break;
		case PGRES_FATAL_ERROR:
			if (request->trouble == BS_NODE_FINE)
				fail_as_node_says(request, result);
			break;
		default:
			if (request->trouble == BS_NODE_FINE)
				bs_node_fail(request, BS_NODE_REFUSED, ERRCODE_PROTOCOL_VIOLATION,
							 "its answer is none", NULL, NULL);
			/* libpq would tell of it again and again. */
			request->done = true;
			bs_conn_close(request->conn);
	}
}

/* Messages of COPY.  Returns whether it has ended, and its result is next. */
static bool
take_copied(BsNodeRequest *request)
{
	BsNodeConn *conn = request->conn;
	int len = 0;

	for (int i = 0; i < MAX_ROWS_A_TURN; i++)
	{
		len = PQgetCopyData(conn->pg, &conn->copied, true);
		if (len <= 0)
			break;
		if (i == 0)
			INSTR_TIME_SET_CURRENT(request->heard);
		request->rows++;
		request->bytes += (uint64) len;
		if (!request->take_data(request, conn->copied, len) || request->done)
			return false;
		PQfreemem(conn->copied);
		conn->copied = NULL;
	}
	conn->more = len > 0;
	conn->copying = len >= 0;
	if (len == -2)
		fail_as_libpq_says(request);
	return len == -1;
}

static void
take_answer(BsNodeRequest *request)
{
	BsNodeConn *conn = request->conn;

	conn->more = false;
	if (conn->copying && !take_copied(request))
		return;
	for (int i = 0; i < MAX_ROWS_A_TURN && !PQisBusy(conn->pg); i++)
	{
		conn->result = PQgetResult(conn->pg);
		if (conn->result == NULL)
		{
			if (PQstatus(conn->pg) != CONNECTION_OK)
				fail_as_libpq_says(request);
			else
				finish(request);
			return;
		}
		take_result(request);
		if (conn->result != NULL)
			PQclear(conn->result);
		conn->result = NULL;
		if (request->done)
			return;
		if (conn->copying)
			break;
	}
	conn->more = conn->copying || !PQisBusy(conn->pg);
}

static void
take_hello(BsNodeRequest *request)
{
	BsNodeConn *conn = request->conn;

	while (!PQisBusy(conn->pg))
	{
		conn->result = PQgetResult(conn->pg);
		if (conn->result == NULL)
		{
			conn->phase = BS_CONN_READY;
			return;
		}
		bs_conn_greeted(request, conn->result);
		if (conn->result != NULL)
			PQclear(conn->result);
		conn->result = NULL;
		if (request->done)
			return;
	}
}

/* False: it has broken. */
static bool
exchange_bytes(BsNodeRequest *request)
{
	BsNodeConn *conn = request->conn;
	int left = 0;

	if (conn->want_write)
		left = PQflush(conn->pg);
	if (left >= 0 && PQconsumeInput(conn->pg))
	{
		conn->want_write = left > 0;
		if (request->listening)
			INSTR_TIME_SET_CURRENT(request->heard);
		return true;
	}
	/* An error that the node has sent before it went says more. */
	if (!PQisBusy(conn->pg))
	{
		conn->result = PQgetResult(conn->pg);
		if (conn->result != NULL && PQresultStatus(conn->result) == PGRES_FATAL_ERROR)
			fail_as_node_says(request, conn->result);
		if (request->trouble != BS_NODE_FINE)
			request->trouble = BS_NODE_UNREACHABLE;
	}
	if (request->trouble == BS_NODE_FINE)
		fail_as_libpq_says(request);
	request->done = true;
	bs_conn_close(conn);
	return false;
}

static void
poll_connecting(BsNodeRequest *request)
{
	BsNodeConn *conn = request->conn;

	conn->polling = (int) PQconnectPoll(conn->pg);
	if (conn->polling == PGRES_POLLING_OK)
		bs_conn_greet(request);
	else if (conn->polling == PGRES_POLLING_FAILED)
		bs_node_fail(request, BS_NODE_UNREACHABLE,
					 ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, PQerrorMessage(conn->pg),
					 NULL, NULL);
}

/* It may have been connected to by who did not mind. */
static bool
fits(BsNodeRequest *request)
{
	char *misfit = request->any_version ? NULL : bs_hello_misfit(&request->conn->hello);

	if (misfit != NULL)
		bs_node_fail(request, BS_NODE_MISFIT, ERRCODE_FEATURE_NOT_SUPPORTED, misfit,
					 "Partial states mean the same only where these agree.", NULL);
	return misfit == NULL;
}

/* A connection that was kept from before may have broken meanwhile, as when the node was started again. */
static void
ask_again(BsNodeRequest *request)
{
	bs_node_forget(request);
	request->trouble = BS_NODE_FINE;
	request->message = NULL;
	request->detail = NULL;
	request->hint = NULL;
	request->done = false;
	request->reused = false;
	bs_conn_attach(request);
}

/* Do what can be done without waiting; ready: its socket is. */
static void
turn(BsNodeRequest *request, bool ready)
{
	BsNodeConn *conn = request->conn;

	if (conn->phase == BS_CONN_CLOSED || conn->phase == BS_CONN_RESOLVING)
		bs_conn_begin(request);
	else if (conn->phase == BS_CONN_CONNECTING && ready)
		poll_connecting(request);
	else if (conn->phase == BS_CONN_GREETING && ready && exchange_bytes(request))
		take_hello(request);
	else if (conn->phase == BS_CONN_BUSY && (conn->more || (ready && exchange_bytes(request))))
		take_answer(request);
	if (!request->done && conn->phase == BS_CONN_READY && fits(request))
		send_question(request);
	if (request->done && request->reused && request->trouble == BS_NODE_UNREACHABLE &&
		request->rows == 0)
		ask_again(request);
}

/* ---------- the loop ---------- */

void
bs_nodes_wait_end(void)
{
	if (wait_set != NULL)
		FreeWaitEventSet(wait_set);
	wait_set = NULL;
	wait_owner = NULL;
}

/* What a request waits for; 0: no socket. */
static uint32
wanted_events(const BsNodeRequest *request)
{
	const BsNodeConn *conn = request->conn;

	if (request->done)
		return 0;
	switch (conn->phase)
	{
		case BS_CONN_CONNECTING:
			return conn->polling == PGRES_POLLING_READING ? WL_SOCKET_READABLE
														  : WL_SOCKET_WRITEABLE;
		case BS_CONN_GREETING:
		case BS_CONN_BUSY:
			return WL_SOCKET_READABLE | (conn->want_write ? WL_SOCKET_WRITEABLE : 0);
		default:
			return 0;
	}
}

/* libpq may close a socket and open another under the same number, so the set is made anew whenever one connects. */
static bool
set_is_current(const BsNodeLoop *loop)
{
	for (int i = 0; i < loop->nrequests; i++)
		if (wanted_events(&loop->requests[i]) != loop->waited[i] ||
			(!loop->requests[i].done && loop->requests[i].conn->phase == BS_CONN_CONNECTING))
			return false;
	return wait_set != NULL && wait_owner == loop;
}

static void
make_set(BsNodeLoop *loop)
{
	bs_nodes_wait_end();
	wait_set = CreateWaitEventSet(TopMemoryContext, loop->nrequests + 2);
	wait_owner = loop;
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < loop->nrequests; i++)
	{
		BsNodeRequest *request = &loop->requests[i];

		loop->waited[i] = wanted_events(request);
		if (loop->waited[i] != 0)
			AddWaitEventToSet(wait_set, loop->waited[i], PQsocket(request->conn->pg), NULL, request);
	}
}

/* How long to wait at most, in milliseconds. */
static long
may_wait_msec(const BsNodeLoop *loop)
{
	int64 least = PG_INT64_MAX;

	for (int i = 0; i < loop->nrequests; i++)
	{
		const BsNodeRequest *request = &loop->requests[i];

		if (request->done)
			continue;
		if (request->conn->phase == BS_CONN_BUSY && request->conn->more)
			return 0;
		least = Min(least, usec_left(request));
		if (request->conn->phase == BS_CONN_RESOLVING)
			least = Min(least, RESOLVE_LOOK_MSEC * 1000);
	}
	if (bs_nodes_waiting != NULL)
		least = Min(least, WAITING_MSEC * 1000);
	return least <= 0 ? 0 : (long) Min(least / 1000 + 1, 60 * 1000);
}

/* However busy the nodes keep this process: a statement that queues behind its locks is not to wait for long. */
static void
look_who_waits(bool idle)
{
	static int64 looked_at;
	int64 now;

	if (bs_nodes_waiting == NULL)
		return;
	now = bs_steady_now();
	if (!idle && now - looked_at < WAITING_MSEC * 1000)
		return;
	looked_at = now;
	bs_nodes_waiting();
}

static void
wait_and_turn(BsNodeLoop *loop, long wait_msec)
{
	long may_wait = may_wait_msec(loop);
	int n;

	if (!set_is_current(loop))
		make_set(loop);
	n = WaitEventSetWait(wait_set, wait_msec >= 0 ? Min(wait_msec, may_wait) : may_wait, loop->events,
						 loop->nrequests + 2, PG_WAIT_EXTENSION);
	for (int i = 0; i < n; i++)
	{
		if (loop->events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		else if (loop->events[i].user_data != NULL)
			turn(loop->events[i].user_data, true);
	}
	CHECK_FOR_INTERRUPTS();
	look_who_waits(n == 0);
}

static bool
all_done(const BsNodeLoop *loop)
{
	for (int i = 0; i < loop->nrequests; i++)
		if (!loop->requests[i].done)
			return false;
	return true;
}

/* Nobody looked meanwhile whether a node said anything. */
static void
forgive_absence(BsNodeLoop *loop)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	for (int i = 0; i < loop->nrequests; i++)
		INSTR_TIME_ACCUM_DIFF(loop->requests[i].heard, now, loop->left);
}

BsNodeLoop *
bs_nodes_begin(BsNodeRequest *requests, int nrequests, int64 timeout_usec)
{
	BsNodeLoop *loop = palloc0(sizeof(BsNodeLoop));

	loop->requests = requests;
	loop->nrequests = nrequests;
	loop->waited = palloc0(sizeof(uint32) * (Size) (nrequests + 1));
	loop->events = palloc(sizeof(WaitEvent) * (Size) (nrequests + 2));
	for (int i = 0; i < nrequests; i++)
	{
		BsNodeRequest *request = &requests[i];

		if (request->conn == NULL)
			bs_conn_attach(request);
		request->timeout_usec =
			timeout_usec > 0 ? timeout_usec : bs_node_timeout_usec(request->node);
		INSTR_TIME_SET_CURRENT(request->began);
		request->heard = request->began;
		if (!request->done)
			turn(request, false);
	}
	INSTR_TIME_SET_CURRENT(loop->left);
	return loop;
}

bool
bs_nodes_turn(BsNodeLoop *loop, long wait_msec)
{
	if (all_done(loop))
		return false;
	forgive_absence(loop);
	wait_and_turn(loop, wait_msec);
	for (int i = 0; i < loop->nrequests; i++)
	{
		BsNodeRequest *request = &loop->requests[i];

		if (!request->done && (request->conn->phase <= BS_CONN_RESOLVING ||
							   (request->conn->phase == BS_CONN_BUSY && request->conn->more)))
			turn(request, false);
		look_at_deadline(request);
		if (request->done && request->usec == 0)
			request->usec = usec_since(request->began);
	}
	INSTR_TIME_SET_CURRENT(loop->left);
	return !all_done(loop);
}

void
bs_nodes_end(BsNodeLoop *loop)
{
	if (wait_owner == loop)
		bs_nodes_wait_end();
	for (int i = 0; i < loop->nrequests; i++)
	{
		BsNodeRequest *request = &loop->requests[i];

		if (request->conn != NULL && (!request->done || request->own_settings != NULL))
			bs_conn_close(request->conn);
		if (request->conn != NULL)
			request->conn->held = false;
		request->done = true;
	}
	pfree(loop->waited);
	pfree(loop->events);
	pfree(loop);
}

void
bs_nodes_ask(BsNodeRequest *requests, int nrequests, int64 timeout_usec)
{
	BsNodeLoop *loop = bs_nodes_begin(requests, nrequests, timeout_usec);

	while (bs_nodes_turn(loop, -1))
		;
	bs_nodes_end(loop);
}

const char *
bs_node_parameter(const BsNodeRequest *request, const char *name)
{
	const BsNodeConn *conn = request->conn;

	return conn != NULL && conn->phase >= BS_CONN_READY ? PQparameterStatus(conn->pg, name) : NULL;
}

void
bs_nodes_change(BsNodeRequest *requests, int nrequests)
{
	for (int i = 0; i < nrequests; i++)
		requests[i].change = true;
	bs_nodes_ask(requests, nrequests, 0);
}
