/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodesync.c: are the nodes in step with what is defined here, and bringing them there: backstream.nodes and
 * backstream.sync().
 *
 * Both ask every node about every view of its groups, all nodes at once; sync() then has made or replaced what is not
 * the same, each view and node by itself: what one node refuses does not keep another from it.
 */
#include "backstream.h"

#include <libpq-fe.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "nodeconn.h"
#include "nodedefine.h"
#include "statrow.h"

BS_SQL_FUNCTION(bs_sync);
BS_SQL_FUNCTION(bs_node_states);

/* ---------- views of servers ---------- */

/* Definitions of the views on one of these servers (OIDs): a list of BsViewDef *. */
static List *
views_on(List *servers)
{
	List *views = NIL;
	ListCell *cell;

	foreach (cell, bs_viewdef_list())
	{
		Oid relid = lfirst_oid(cell);

		if (list_member_oid(servers, GetForeignServerIdByRelId(relid)))
			views = lappend(views, bs_viewdef_load(relid, false));
	}
	return views;
}

/* All our servers that stand for others: a list of OIDs. */
static List *
remote_servers(void)
{
	Relation catalog = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, ForeignServerNameIndexId, true, NULL, 0, NULL);
	List *servers = NIL;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid server = ((Form_pg_foreign_server) GETSTRUCT(tuple))->oid;

		if (bs_server_is_remote(server))
			servers = lappend_oid(servers, server);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return servers;
}

static bool
is_group(Oid server)
{
	return bs_option_find(GetForeignServer(server)->options, "nodes") != NULL;
}

/* ---------- asking a node about its views ---------- */

/* A node, and what it has said. */
typedef struct Look
{
	BsNode *node;
	List *servers; /* OIDs: itself, and the groups that it is in */
	List *views;   /* of BsViewDef *: that it should have */
	char **found;  /* by view: missing, same, different; NULL: no answer */
	int nfound;
	int64 watermark;  /* lowest of its views; 0: none has any */
	List *functions;  /* here, that the views name: see functions_of() */
	char **bodies;    /* by view: a function of them that is another one there; NULL: none is */
	List *only_there; /* names of other continuous views that it has, ready to be written */
	BsNodeRequest request;
} Look;

static bool
take_found(BsNodeRequest *request, const PGresult *row)
{
	Look *look = request->context;

	if (PQnfields(row) > 1)
		bs_conn_read_hello(request->conn, row);
	else if (look->nfound < list_length(look->views))
		look->found[look->nfound++] = pstrdup(PQgetvalue(row, 0, 0));
	else if (!PQgetisnull(row, 0, 0))
		look->watermark = pg_strtoint64(PQgetvalue(row, 0, 0));
	return true;
}

static void
prepare_look(Look *look)
{
	StringInfoData names;
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	initStringInfo(&names);
	look->found = palloc0(sizeof(char *) * (Size) (list_length(look->views) + 1));
	appendStringInfoString(&sql, "SELECT * FROM backstream.hello(); ");
	foreach (cell, look->views)
	{
		BsKept *kept = bs_kept_of(lfirst(cell));

		appendStringInfo(&sql, "%s; ", bs_kept_statement(kept, BS_KEEP_CHECK));
		appendStringInfo(&names, "%spg_catalog.to_regclass(%s)", names.len > 0 ? ", " : "",
						 quote_literal_cstr(quote_qualified_identifier(kept->schema, kept->name)));
	}
	if (look->views != NIL)
		appendStringInfo(
			&sql,
			"SELECT (EXTRACT(epoch FROM min(closed_before) - '2000-01-01 00:00:00+00') * 1000000)"
			"::bigint FROM backstream.views WHERE view = ANY (ARRAY[%s]::regclass[])",
			names.data);
	look->request = (BsNodeRequest){.node = look->node,
									.sql = sql.data,
									.nparams = -1,
									.take = take_found,
									.any_version = true,
									.context = look};
}

static void
look_here(Look *look)
{
	ListCell *cell;

	look->found = palloc0(sizeof(char *) * (Size) (list_length(look->views) + 1));
	foreach (cell, look->views)
		look->found[look->nfound++] =
			pstrdup(bs_view_keep(bs_kept_of(lfirst(cell)), BS_KEEP_CHECK));
}

/* All at once. */
static void
look_at_all(Look *looks, int nlooks)
{
	BsNodeRequest *requests = palloc0(sizeof(BsNodeRequest) * (Size) (nlooks + 1));
	int *which = palloc(sizeof(int) * (Size) (nlooks + 1));
	int nrequests = 0;

	for (int i = 0; i < nlooks; i++)
	{
		if (!OidIsValid(looks[i].node->server))
		{
			look_here(&looks[i]);
			continue;
		}
		prepare_look(&looks[i]);
		which[nrequests] = i;
		requests[nrequests++] = looks[i].request;
	}
	bs_nodes_ask(requests, nrequests, 0);
	for (int i = 0; i < nrequests; i++)
		looks[which[i]].request = requests[i];
}

/* ---------- sync() ---------- */

static void
put_result(BsRow *row, const char *node, const char *view, const char *found, const char *done)
{
	bs_row_put_text(row, node);
	bs_row_put_text(row, view);
	bs_row_put_text(row, found);
	bs_row_put_text(row, done);
	bs_row_end(row);
}

static bool
take_done(BsNodeRequest *request, const PGresult *row)
{
	*(char **) request->context = pstrdup(PQgetvalue(row, 0, 0));
	return true;
}

/* The one view on the one node, in a transaction of its own there; what became of it. */
static const char *
mend(const Look *look, const BsViewDef *view)
{
	BsKept *kept = bs_kept_of(view);
	char *done = NULL;
	BsNodeRequest request = {
		.node = look->node, .nparams = -1, .take = take_done, .context = &done};

	if (!view->options.nodes_follow)
		return NULL;
	if (!OidIsValid(look->node->server))
		return bs_view_keep(kept, BS_KEEP_REPLACE);
	request.sql = bs_kept_statement(kept, BS_KEEP_REPLACE);
	bs_nodes_ask(&request, 1, 0);
	return request.trouble == BS_NODE_FINE ? done : psprintf("refused: %s", request.message);
}

/* What is to be said of a view that is the same: its text is, but it may mean something else there. */
static const char *
same_but(const Look *look, int view)
{
	if (look->bodies == NULL || look->bodies[view] == NULL)
		return "same";
	return psprintf("same, but function %s has another body", look->bodies[view]);
}

static void
sync_node(BsRow *row, const Look *look)
{
	bool answered = !OidIsValid(look->node->server) || look->request.trouble == BS_NODE_FINE;
	ListCell *cell;

	for (int i = 0; i < list_length(look->views); i++)
	{
		const BsViewDef *view = list_nth(look->views, i);
		const char *found = look->found[i];

		CHECK_FOR_INTERRUPTS();
		if (!answered && found == NULL)
			continue;
		if (strcmp(found, "same") == 0)
			put_result(row, look->node->name, quote_qualified_identifier(view->schema, view->name),
					   same_but(look, i), NULL);
		else
			put_result(row, look->node->name, quote_qualified_identifier(view->schema, view->name),
					   found, mend(look, view));
	}
	foreach (cell, look->only_there)
		put_result(row, look->node->name, lfirst(cell), "only there", NULL);
	if (!answered)
		put_result(row, look->node->name, NULL, psprintf("no answer: %s", look->request.message),
				   NULL);
}

/*
 * Number of the view, function and digest of its body, of all functions that views name and that users have made.  The
 * same text runs here and there; it is as much as a definition tells, without what functions call in turn.
 */
static char *
functions_sql(List *views, bool here)
{
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT v.i::text, f.signature, f.digest FROM (VALUES ");
	foreach (cell, views)
	{
		const BsViewDef *view = lfirst(cell);
		BsKept *kept = bs_kept_of(view);

		appendStringInfo(
			&sql, "%s(%d, %s)", cell == list_head(views) ? "" : ", ", foreach_current_index(cell),
			quote_literal_cstr(here ? quote_qualified_identifier(view->schema, view->name)
									: quote_qualified_identifier(kept->schema, kept->name)));
	}
	appendStringInfoString(
		&sql, ") v (i, name), LATERAL (SELECT pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, "
			  "pg_catalog.pg_get_function_identity_arguments(p.oid)) AS signature, "
			  "pg_catalog.md5(l.lanname || p.prosrc || "
			  "coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), '')) AS digest "
			  "FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid "
			  "JOIN pg_catalog.pg_language l ON l.oid = p.prolang JOIN pg_catalog.pg_namespace n "
			  "ON n.oid = p.pronamespace "
			  "WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = "
			  "pg_catalog.to_regclass(v.name) "
			  "AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND NOT EXISTS "
			  "(SELECT FROM pg_catalog.pg_depend e WHERE e.classid = "
			  "'pg_catalog.pg_proc'::pg_catalog.regclass "
			  "AND e.objid = p.oid AND e.deptype = 'e')) f ORDER BY v.i, f.signature");
	return sql.data;
}

/* A line for each row of functions_sql(), as it is here; in CurrentMemoryContext. */
static List *
functions_of(List *views)
{
	MemoryContext outer = CurrentMemoryContext;
	List *lines = NIL;

	if (views == NIL)
		return NIL;
	SPI_connect();
	if (SPI_execute(functions_sql(views, true), true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look at functions");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		TupleDesc shape = SPI_tuptable->tupdesc;
		MemoryContext inner = MemoryContextSwitchTo(outer);

		lines = lappend(lines, psprintf("%s %s %s", SPI_getvalue(row, shape, 1),
										SPI_getvalue(row, shape, 2), SPI_getvalue(row, shape, 3)));
		MemoryContextSwitchTo(inner);
	}
	SPI_finish();
	return lines;
}

/* A function as it is there: is it among those here? */
static void
compare_function(Look *look, const PGresult *row)
{
	int view = pg_strtoint32(PQgetvalue(row, 0, 0));
	const char *line =
		psprintf("%s %s %s", PQgetvalue(row, 0, 0), PQgetvalue(row, 0, 1), PQgetvalue(row, 0, 2));
	ListCell *cell;

	foreach (cell, look->functions)
		if (strcmp(lfirst(cell), line) == 0)
			return;
	if (view >= 0 && view < list_length(look->views) && look->bodies[view] == NULL)
		look->bodies[view] = pstrdup(PQgetvalue(row, 0, 1));
}

static bool
take_other(BsNodeRequest *request, const PGresult *row)
{
	Look *look = request->context;

	if (PQnfields(row) == 3)
		compare_function(look, row);
	else
		look->only_there = lappend(look->only_there, pstrdup(PQgetvalue(row, 0, 0)));
	return true;
}

static BsNodeRequest
request_others(Look *look)
{
	StringInfoData sql;
	ListCell *cell;

	look->bodies = palloc0(sizeof(char *) * (Size) (list_length(look->views) + 1));
	initStringInfo(&sql);
	if (look->views != NIL)
		appendStringInfo(&sql, "%s; ", functions_sql(look->views, false));
	appendStringInfoString(
		&sql, "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM backstream.views v "
			  "JOIN pg_catalog.pg_class c ON c.oid = v.view "
			  "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace");
	foreach (cell, look->views)
	{
		BsKept *kept = bs_kept_of(lfirst(cell));

		appendStringInfo(&sql, " %s (n.nspname, c.relname) <> (%s, %s)",
						 cell == list_head(look->views) ? "WHERE" : "AND",
						 quote_literal_cstr(kept->schema), quote_literal_cstr(kept->name));
	}
	appendStringInfoString(&sql, " ORDER BY 1");
	return (BsNodeRequest){
		.node = look->node, .sql = sql.data, .nparams = -1, .take = take_other, .context = look};
}

/*
 * What they have and we have not, and functions that are others there.  What is here is known here: this server itself
 * is not asked.
 */
static void
look_for_others(Look *looks, int nlooks)
{
	BsNodeRequest *requests = palloc0(sizeof(BsNodeRequest) * (Size) (nlooks + 1));
	List *functions = nlooks > 0 ? functions_of(looks[0].views) : NIL;
	int nrequests = 0;

	for (int i = 0; i < nlooks; i++)
	{
		looks[i].functions = functions;
		if (OidIsValid(looks[i].node->server) && looks[i].request.trouble == BS_NODE_FINE)
			requests[nrequests++] = request_others(&looks[i]);
	}
	bs_nodes_ask(requests, nrequests, 0);
	for (int i = 0; i < nrequests; i++)
		if (requests[i].trouble != BS_NODE_FINE)
			bs_node_report(&requests[i], WARNING);
}

Datum
bs_sync(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid server = get_foreign_server_oid(name, false);
	BsRow row = bs_row_begin(fcinfo);
	List *views;
	List *nodes;
	Look *looks;

	InitMaterializedSRF(fcinfo, 0);
	if (!bs_server_is_remote(server))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("server \"%s\" has no nodes", name)));
	if (pg_foreign_server_aclcheck(server, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, name);
	views = views_on(list_make1_oid(server));
	nodes = bs_server_nodes(server, GetUserId());
	looks = palloc0(sizeof(Look) * (Size) list_length(nodes));
	for (int i = 0; i < list_length(nodes); i++)
		looks[i] = (Look){.node = list_nth(nodes, i), .views = views};
	look_at_all(looks, list_length(nodes));
	look_for_others(looks, list_length(nodes));
	for (int i = 0; i < list_length(nodes); i++)
		sync_node(&row, &looks[i]);
	return (Datum) 0;
}

/* ---------- nodes ---------- */

static bool
has_mapping(Oid server)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(GetUserId()),
								 ObjectIdGetDatum(server)) ||
		   SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								 ObjectIdGetDatum(server));
}

static int
count_same(const Look *look)
{
	int n = 0;

	for (int i = 0; i < look->nfound; i++)
		n += strcmp(look->found[i], "same") == 0;
	return n;
}

static const char *
state_of(const Look *look)
{
	switch (look->request.trouble)
	{
		case BS_NODE_UNREACHABLE:
			return "unreachable";
		case BS_NODE_MISFIT:
			return "misfit";
		case BS_NODE_REFUSED:
			return "refused";
		case BS_NODE_FINE:
			break;
	}
	if (bs_hello_misfit(&look->request.conn->hello) != NULL)
		return "misfit";
	return count_same(look) == list_length(look->views) ? "in step" : "out of step";
}

static const char *
problem_of(const Look *look)
{
	if (look->request.trouble != BS_NODE_FINE)
		return look->request.message;
	return bs_hello_misfit(&look->request.conn->hello);
}

/* What it says of itself. */
static void
put_hello(BsRow *row, const Look *look)
{
	const BsNodeConn *conn = look->request.conn;

	if (look->request.trouble == BS_NODE_UNREACHABLE || conn == NULL ||
		conn->hello.server_version == 0)
	{
		for (int i = 0; i < 4; i++)
			bs_row_put_null(row);
		return;
	}
	bs_row_put_interval(row, conn->hello.latency_usec);
	bs_row_put_interval(row, conn->hello.clock_ahead_usec);
	bs_row_put_text(row, conn->hello.version);
	bs_row_put(row, Int32GetDatum(conn->hello.server_version));
}

static void
put_groups(BsRow *row, const Look *look)
{
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&names);
	foreach (cell, look->servers)
		if (is_group(lfirst_oid(cell)))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 GetForeignServer(lfirst_oid(cell))->servername);
	bs_row_put_text(row, names.len > 0 ? names.data : NULL);
}

static void
put_node(BsRow *row, const Look *look, bool asked)
{
	bs_row_put_text(row, look->node->name);
	put_groups(row, look);
	bs_row_put_text(row, asked ? state_of(look) : "no user mapping");
	bs_row_put_text(row, asked ? problem_of(look) : NULL);
	bs_row_put_time(row, bs_node_last_heard(look->node->server));
	put_hello(row, look);
	bs_row_put_time(row, look->watermark);
	bs_row_put(row, Int32GetDatum(list_length(look->views)));
	if (asked && look->request.trouble == BS_NODE_FINE)
		bs_row_put(row, Int32GetDatum(count_same(look)));
	else
		bs_row_put_null(row);
	bs_row_end(row);
}

/* The nodes among the servers, each with the groups that it is in. */
static Look *
all_nodes(List *servers, int *nlooks)
{
	Look *looks = palloc0(sizeof(Look) * (Size) (list_length(servers) + 1));
	ListCell *cell;

	*nlooks = 0;
	foreach (cell, servers)
	{
		Oid server = lfirst_oid(cell);
		Look *look = &looks[*nlooks];
		ListCell *other;

		if (is_group(server))
			continue;
		look->node = linitial(bs_server_nodes(server, GetUserId()));
		look->servers = list_make1_oid(server);
		foreach (other, servers)
		{
			ListCell *member;

			if (!is_group(lfirst_oid(other)))
				continue;
			foreach (member, bs_server_nodes(lfirst_oid(other), GetUserId()))
				if (((BsNode *) lfirst(member))->server == server)
					look->servers = lappend_oid(look->servers, lfirst_oid(other));
		}
		look->views = views_on(look->servers);
		(*nlooks)++;
	}
	return looks;
}

Datum
bs_node_states(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);
	int nlooks;
	int nasked = 0;
	Look *looks;
	Look *asked;

	InitMaterializedSRF(fcinfo, 0);
	looks = all_nodes(remote_servers(), &nlooks);
	asked = palloc0(sizeof(Look) * (Size) (nlooks + 1));
	for (int i = 0; i < nlooks; i++)
	{
		if (has_mapping(looks[i].node->server))
			asked[nasked++] = looks[i];
		else
			put_node(&row, &looks[i], false);
	}
	look_at_all(asked, nasked);
	for (int i = 0; i < nasked; i++)
		put_node(&row, &asked[i], true);
	return (Datum) 0;
}
