/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodeconn.c: a session's connections to nodes, and the transactions on them.  See nodeconn.h.
 *
 * The connections lie in a hash table of the session, as many as it has used mappings.
 */
#include "backstream.h"

#include <sys/socket.h>

#include <libpq-fe.h>

#include "access/xact.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "nodeconn.h"
#include "options.h"
#include "pinned.h"

typedef struct ConnKey
{
	Oid mapping;
	Oid user;
	uint32 own;
} ConnKey;

/* An entry of the table. */
typedef struct ConnEntry
{
	ConnKey key;
	uint32 server_hash;
	uint32 mapping_hash;
	/* What must be done in the transaction over there before anything else. */
	char pending[256];
	BsNodeConn conn;
} ConnEntry;

/* A node looks this often whether its reader is still there. */
#define LOOK_FOR_READER "200ms"

static HTAB *connections;
static bool any_stale;

static ConnEntry *
entry_of(BsNodeConn *conn)
{
	return (ConnEntry *) ((char *) conn - offsetof(ConnEntry, conn));
}

/* ---------- finding and closing ---------- */

static void
invalidated(Datum argument, int cacheid, uint32 hash)
{
	HASH_SEQ_STATUS scan;
	ConnEntry *entry;

	if (connections == NULL)
		return;
	hash_seq_init(&scan, connections);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (hash == 0 ||
			hash == (cacheid == FOREIGNSERVEROID ? entry->server_hash : entry->mapping_hash))
			entry->conn.stale = any_stale = true;
}

static UserMapping *
mapping_of(const BsNode *node)
{
	if (!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(node->user),
							   ObjectIdGetDatum(node->server)) &&
		!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
							   ObjectIdGetDatum(node->server)))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no user mapping for role \"%s\" and node \"%s\"",
					GetUserNameFromId(node->user, false), node->name),
			 errhint(
				 "CREATE USER MAPPING FOR ... SERVER ... OPTIONS (user '...', password '...').")));
	return GetUserMapping(node->user, node->server);
}

static ConnEntry *
entry_for(const BsNode *node, const UserMapping *mapping, uint32 own)
{
	ConnKey key = {.mapping = mapping->umid, .user = node->user, .own = own};
	ConnEntry *entry;
	bool found;

	if (connections == NULL)
	{
		HASHCTL control = {
			.keysize = sizeof(ConnKey), .entrysize = sizeof(ConnEntry), .hcxt = CacheMemoryContext};

		connections = hash_create("backstream connections to nodes", 8, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(connections, &key, HASH_ENTER, &found);
	if (!found)
		memset((char *) entry + sizeof(ConnKey), 0, sizeof(ConnEntry) - sizeof(ConnKey));
	entry->conn.mapping = mapping->umid;
	entry->conn.user = node->user;
	entry->conn.own = own;
	entry->conn.server = node->server;
	strlcpy(entry->conn.name, node->name, NAMEDATALEN);
	entry->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(node->server));
	entry->mapping_hash = GetSysCacheHashValue1(USERMAPPINGOID, ObjectIdGetDatum(mapping->umid));
	return entry;
}

/* One that nothing else is using. */
static ConnEntry *
free_entry_for(const BsNode *node, const UserMapping *mapping)
{
	for (uint32 own = 1;; own++)
	{
		ConnEntry *entry = entry_for(node, mapping, own);

		if (entry->conn.phase != BS_CONN_CLOSED || entry->conn.held)
			continue;
		entry->conn.held = true;
		entry->conn.own_level = GetCurrentTransactionNestLevel();
		return entry;
	}
}

/* Without waiting for anything; may be called while a transaction is aborted. */
void
bs_conn_close(BsNodeConn *conn)
{
	if (conn->result != NULL)
		PQclear(conn->result);
	if (conn->copied != NULL)
		PQfreemem(conn->copied);
	if (conn->pg != NULL)
		PQfinish(conn->pg);
	bs_resolve_free(conn->resolve);
	conn->result = NULL;
	conn->copied = NULL;
	conn->copying = false;
	conn->pg = NULL;
	conn->resolve = NULL;
	conn->phase = BS_CONN_CLOSED;
	conn->stale = false;
	conn->want_write = false;
	conn->more = false;
	if (conn->xact_level > 0)
		conn->xact_lost = true;
	conn->xact_level = 0;
	entry_of(conn)->pending[0] = '\0';
}

/* Those whose server or mapping is another one now. */
static void
close_stale(void)
{
	HASH_SEQ_STATUS scan;
	ConnEntry *entry;

	if (connections == NULL || !any_stale)
		return;
	any_stale = false;
	hash_seq_init(&scan, connections);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (!entry->conn.stale)
			continue;
		/* What is under way is in its old way. */
		if ((entry->conn.phase != BS_CONN_READY && entry->conn.phase != BS_CONN_CLOSED) ||
			entry->conn.xact_level > 0 || entry->conn.xact_lost)
		{
			any_stale = true;
			continue;
		}
		bs_conn_close(&entry->conn);
		(void) hash_search(connections, &entry->key, HASH_REMOVE, NULL);
	}
}

/* ---------- connecting ---------- */

void
bs_conn_attach(BsNodeRequest *request)
{
	UserMapping *mapping = mapping_of(request->node);
	BsNodeConn *conn = request->own_settings != NULL ? &free_entry_for(request->node, mapping)->conn
													 : &entry_for(request->node, mapping, 0)->conn;

	if (conn->phase != BS_CONN_CLOSED && conn->phase != BS_CONN_READY)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("node \"%s\" is being read by this session", request->node->name),
						errdetail("A function that is called while it answers asks it again.")));
	/* A transaction ends where it began. */
	if (conn->phase == BS_CONN_READY && conn->xact_level == 0 &&
		(conn->stale || PQstatus(conn->pg) != CONNECTION_OK))
		bs_conn_close(conn);
	request->reused = conn->phase == BS_CONN_READY && conn->xact_level == 0;
	if (conn->phase == BS_CONN_CLOSED)
	{
		ForeignServer *server = GetForeignServer(request->node->server);

		bs_node_parameters(server->options, mapping->options, request->node->user,
						   request->node->name, &conn->keywords, &conn->values,
						   &conn->must_use_password);
	}
	request->conn = conn;
}

/* What a node says in passing is not for our client. */
static void
ignore_notice(void *arg, const PGresult *result)
{
}

static void
start_connecting(BsNodeRequest *request)
{
	BsNodeConn *conn = request->conn;

	conn->pg = PQconnectStartParams(conn->keywords, conn->values, false);
	conn->keywords = NULL;
	conn->values = NULL;
	if (conn->pg == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (PQstatus(conn->pg) == CONNECTION_BAD)
	{
		bs_node_fail(request, BS_NODE_UNREACHABLE,
					 ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, PQerrorMessage(conn->pg),
					 NULL, NULL);
		return;
	}
	/* Or closing it could wait. */
	PQsetnonblocking(conn->pg, 1);
	PQsetNoticeReceiver(conn->pg, ignore_notice, NULL);
	conn->phase = BS_CONN_CONNECTING;
	conn->polling = PGRES_POLLING_WRITING;
}

/* Called again and again while a name is looked up. */
void
bs_conn_begin(BsNodeRequest *request)
{
	BsNodeConn *conn = request->conn;
	const char *error;

	if (conn->phase == BS_CONN_CLOSED && conn->keywords == NULL)
	{
		bs_node_fail(request, BS_NODE_UNREACHABLE, ERRCODE_CONNECTION_FAILURE, "its connection was closed", NULL,
					 NULL);
		return;
	}
	if (conn->phase == BS_CONN_CLOSED)
	{
		conn->stale = false;
		conn->xact_lost = false;
		conn->resolve = bs_resolve_begin(conn->keywords, conn->values);
		conn->phase = BS_CONN_RESOLVING;
	}
	if (conn->resolve != NULL)
	{
		if (!bs_resolve_done(conn->resolve, &error))
			return;
		if (error != NULL)
		{
			bs_node_fail(request, BS_NODE_UNREACHABLE,
						 ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
						 psprintf("could not look up its host: %s", error), NULL, NULL);
			return;
		}
		bs_resolve_apply(conn->resolve, &conn->keywords, &conn->values);
		bs_resolve_free(conn->resolve);
		conn->resolve = NULL;
	}
	start_connecting(request);
}

/* The connection is there: who is it? */
void
bs_conn_greet(BsNodeRequest *request)
{
	BsNodeConn *conn = request->conn;
	char *sql;

	if (conn->must_use_password && !PQconnectionUsedPassword(conn->pg))
	{
		bs_node_fail(
			request, BS_NODE_REFUSED, ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED,
			"it did not ask for a password", "Who is no superuser may only connect where it does.",
			"Change the node's pg_hba.conf, or let a superuser set password_required to false in "
			"the user mapping.");
		return;
	}
	if (request->own_buffer_bytes > 0)
		(void) setsockopt(PQsocket(conn->pg), SOL_SOCKET, SO_RCVBUF, &request->own_buffer_bytes,
						  sizeof(request->own_buffer_bytes));
	sql = psprintf(
		"%s SET client_min_messages = 'warning'; SET client_connection_check_interval = '%s'; %s"
		" SELECT * FROM backstream.hello()",
		bs_pinned_text_statements(), LOOK_FOR_READER, request->own_settings != NULL ? request->own_settings : "");
	conn->phase = BS_CONN_GREETING;
	INSTR_TIME_SET_CURRENT(conn->asked);
	if (!PQsendQuery(conn->pg, sql))
		bs_node_fail(request, BS_NODE_UNREACHABLE, ERRCODE_CONNECTION_FAILURE,
					 PQerrorMessage(conn->pg), NULL, NULL);
	conn->want_write = true;
	pfree(sql);
}

/* ---------- transactions ---------- */

/* A cursor goes to the transaction around the one that it was opened in, or ends with that. */
static void
own_level_ended(BsNodeConn *conn, int level, bool aborted)
{
	if (conn->own_level < level)
		return;
	if (aborted && conn->phase != BS_CONN_CLOSED)
		bs_conn_close(conn);
	conn->own_level = level - 1;
}

/* What has happened to savepoints here since the last statement there. */
static void
level_ended(int level, bool aborted)
{
	HASH_SEQ_STATUS scan;
	ConnEntry *entry;

	if (connections == NULL)
		return;
	hash_seq_init(&scan, connections);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		BsNodeConn *conn = &entry->conn;

		if (conn->own > 0)
			own_level_ended(conn, level, aborted);
		else if (conn->phase != BS_CONN_READY && conn->phase != BS_CONN_CLOSED && aborted)
			bs_conn_close(conn);
		if (conn->xact_level < level)
			continue;
		conn->xact_level = level - 1;
		/* Two statements cannot be left for one level, and levels end one after the other. */
		if (strlen(entry->pending) + 64 > sizeof(entry->pending))
			bs_conn_close(conn);
		else if (aborted)
			sprintf(entry->pending + strlen(entry->pending),
					"ROLLBACK TO SAVEPOINT s%d; RELEASE SAVEPOINT s%d; ", level, level);
		else
			sprintf(entry->pending + strlen(entry->pending), "RELEASE SAVEPOINT s%d; ", level);
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent,
					  void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		bs_nodes_wait_end();
		level_ended(GetCurrentTransactionNestLevel(), true);
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		level_ended(GetCurrentTransactionNestLevel(), false);
}

/* The statements that bring the transaction over there to the nest level of ours. */
static char *
level_statements(BsNodeConn *conn)
{
	int level = GetCurrentTransactionNestLevel();
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, entry_of(conn)->pending);
	entry_of(conn)->pending[0] = '\0';
	if (conn->xact_level == 0)
	{
		appendStringInfoString(&sql, "START TRANSACTION ISOLATION LEVEL READ COMMITTED; ");
		conn->xact_level = 1;
	}
	while (conn->xact_level < level)
		appendStringInfo(&sql, "SAVEPOINT s%d; ", ++conn->xact_level);
	return sql.data;
}

char *
bs_conn_change_statements(BsNodeConn *conn, const char *sql)
{
	return psprintf("%s%s", level_statements(conn), sql);
}

static void
forget(BsNodeConn *conn)
{
	bs_conn_close(conn);
	conn->xact_lost = false;
	conn->held = false;
}

void
bs_node_forget(const BsNodeRequest *request)
{
	if (request->conn != NULL)
		forget(request->conn);
}

/* Those with a transaction that is ours. */
static int
count_open(void)
{
	HASH_SEQ_STATUS scan;
	ConnEntry *entry;
	int n = 0;

	if (connections == NULL)
		return 0;
	hash_seq_init(&scan, connections);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->conn.xact_lost)
		{
			hash_seq_term(&scan);
			ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
							errmsg("the connection to node \"%s\" was lost", entry->conn.name),
							errdetail("What this transaction has changed there is undone.")));
		}
		n += entry->conn.xact_level > 0;
	}
	return n;
}

static void
report_commits(const BsNodeRequest *requests, int n)
{
	int failed = 0;

	for (int i = 0; i < n; i++)
		failed += requests[i].trouble != BS_NODE_FINE;
	for (int i = 0; i < n; i++)
	{
		if (requests[i].trouble == BS_NODE_FINE)
			continue;
		/* Nobody has committed: neither do we. */
		bs_node_report(&requests[i], failed == n ? ERROR : WARNING);
		ereport(WARNING,
				(errmsg("node \"%s\" is out of step", requests[i].node->name),
				 errdetail("Other nodes have committed, and so does this server."),
				 errhint("SELECT * FROM backstream.sync('name of the server') mends it.")));
	}
}

/* The same question to all with a transaction of ours, after what savepoints have left to do. */
static BsNodeRequest *
ask_open(int n, const char *sql)
{
	BsNodeRequest *requests = palloc0(sizeof(BsNodeRequest) * (Size) n);
	HASH_SEQ_STATUS scan;
	ConnEntry *entry;
	int i = 0;

	hash_seq_init(&scan, connections);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		BsNode *node;

		if (entry->conn.xact_level == 0)
			continue;
		node = palloc0(sizeof(BsNode));
		node->server = entry->conn.server;
		node->user = entry->conn.user;
		node->name = entry->conn.name;
		requests[i].node = node;
		requests[i].sql = psprintf("%s%s", entry->pending, sql);
		requests[i].nparams = -1;
		requests[i++].conn = &entry->conn;
		entry->pending[0] = '\0';
	}
	bs_nodes_ask(requests, n, 0);
	return requests;
}

/*
 * All at once, as late as it can be, and not before all have said that they are still there: what fails afterwards
 * shows as out of step.
 */
static void
commit_all(void)
{
	int n = count_open();
	BsNodeRequest *requests;

	if (n == 0)
		return;
	requests = ask_open(n, "SELECT 1");
	for (int i = 0; i < n; i++)
		if (requests[i].trouble != BS_NODE_FINE)
			bs_node_report(&requests[i], ERROR);
	requests = ask_open(n, "COMMIT");
	for (int i = 0; i < n; i++)
	{
		if (requests[i].trouble == BS_NODE_FINE && strcmp(requests[i].tag, "COMMIT") != 0)
			bs_node_fail(&requests[i], BS_NODE_REFUSED, ERRCODE_IN_FAILED_SQL_TRANSACTION,
						 "it has rolled back", NULL, NULL);
		requests[i].conn->xact_level = 0;
		requests[i].conn->xact_lost = false;
	}
	report_commits(requests, n);
}

/* Whatever is under way over there ends with us. */
static void
abort_all(void)
{
	HASH_SEQ_STATUS scan;
	ConnEntry *entry;

	bs_nodes_wait_end();
	if (connections == NULL)
		return;
	hash_seq_init(&scan, connections);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if ((entry->conn.phase != BS_CONN_READY && entry->conn.phase != BS_CONN_CLOSED) ||
			entry->conn.xact_level > 0 || entry->conn.xact_lost || entry->conn.own > 0)
			forget(&entry->conn);
}

/* Of requests that a savepoint has ended there is nobody any more who would say so. */
static void
let_go(void)
{
	HASH_SEQ_STATUS scan;
	ConnEntry *entry;

	if (connections == NULL)
		return;
	hash_seq_init(&scan, connections);
	while ((entry = hash_seq_search(&scan)) != NULL)
		entry->conn.held = false;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			commit_all();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (count_open() > 0)
				ereport(
					ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has changed something on nodes")));
			break;
		case XACT_EVENT_COMMIT:
			let_go();
			close_stale();
			break;
		case XACT_EVENT_ABORT:
			abort_all();
			close_stale();
			break;
		default:
			break;
	}
}

void
bs_nodeconn_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidated, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, invalidated, (Datum) 0);
}
