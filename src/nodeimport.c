/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodeimport.c: IMPORT FOREIGN SCHEMA: streams and continuous views that nodes have, as tables of a group.
 *
 * All nodes are asked, and must agree: what one does not have is left out with a warning, what differs is an
 * error naming both.  An imported view is the nodes' own: what is done to the table here is not done there.
 */
#include "backstream.h"

#include <libpq-fe.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "nodeconn.h"
#include "nodedefine.h"
#include "nodeimport.h"
#include "pinned.h"

/* A table of a node, as backstream.importable() gives it. */
typedef struct Found
{
	const BsNode *node; /* the first that has it */
	int nnodes;         /* how many have */
	char *name;
	char *columns;
	char *options; /* a text[], NULL: none */
} Found;

typedef struct Import
{
	ImportForeignSchemaStmt *statement;
	ForeignServer *server;
	List *found; /* of Found * */
} Import;

/* ---------- asking ---------- */

static bool
is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
note_found(Import *import, const BsNode *node, const char *name, const char *columns,
		   const char *options)
{
	Found *found;
	ListCell *cell;

	if (!IsImportableForeignTable(name, import->statement))
		return;
	foreach (cell, import->found)
	{
		found = lfirst(cell);
		if (strcmp(found->name, name) != 0)
			continue;
		if (!is_same_text(found->columns, columns) || !is_same_text(found->options, options))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("\"%s.%s\" of node \"%s\" is not that of node \"%s\"",
							import->statement->remote_schema, name, node->name, found->node->name),
					 errdetail("One has columns %s with options %s, the other %s with options %s.",
							   columns, options ? options : "none", found->columns,
							   found->options ? found->options : "none")));
		found->nnodes++;
		return;
	}
	found = palloc0(sizeof(Found));
	found->node = node;
	found->nnodes = 1;
	found->name = pstrdup(name);
	found->columns = pstrdup(columns);
	found->options = options ? pstrdup(options) : NULL;
	import->found = lappend(import->found, found);
}

static bool
take_row(BsNodeRequest *request, const PGresult *row)
{
	note_found(request->context, request->node, PQgetvalue(row, 0, 0), PQgetvalue(row, 0, 1),
			   PQgetisnull(row, 0, 2) ? NULL : PQgetvalue(row, 0, 2));
	return true;
}

#define QUESTION "SELECT name, columns, options FROM backstream.importable($1)"

static void
ask_here(Import *import, const BsNode *node)
{
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(import->statement->remote_schema)};
	MemoryContext outer = CurrentMemoryContext;
	int level;

	/* Names of types as the others write them. */
	level = bs_pinned_enter_text();
	SPI_connect();
	(void) SPI_execute_with_args(QUESTION, 1, types, values, NULL, true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;
		MemoryContext inner = MemoryContextSwitchTo(outer);

		note_found(import, node, SPI_getvalue(row, desc, 1), SPI_getvalue(row, desc, 2),
				   SPI_getvalue(row, desc, 3));
		MemoryContextSwitchTo(inner);
	}
	SPI_finish();
	bs_pinned_leave(level);
}

static int
ask_all(Import *import)
{
	const char *values[] = {import->statement->remote_schema};
	List *nodes = bs_server_nodes(import->server->serverid, GetUserId());
	BsNodeRequest *requests = palloc0(sizeof(BsNodeRequest) * (Size) list_length(nodes));
	BsServerOptions settings;
	int nrequests = 0;
	int nanswers = list_length(nodes);
	ListCell *cell;

	bs_server_options_parse(import->server->options, &settings);
	foreach (cell, nodes)
	{
		BsNode *node = lfirst(cell);

		if (!OidIsValid(node->server))
			ask_here(import, node);
		else
			requests[nrequests++] = (BsNodeRequest){.node = node,
													.sql = QUESTION,
													.nparams = 1,
													.values = values,
													.take = take_row,
													.context = import};
	}
	bs_nodes_ask(requests, nrequests, 0);
	for (int i = 0; i < nrequests; i++)
	{
		if (requests[i].trouble == BS_NODE_FINE)
			continue;
		nanswers--;
		bs_node_report(&requests[i], requests[i].trouble == BS_NODE_UNREACHABLE &&
											 settings.on_node_failure == BS_NODE_FAILURE_PARTIAL
										 ? WARNING
										 : ERROR);
	}
	return nanswers;
}

/* ---------- statements ---------- */

/* The stream of this server that stands for one of the nodes; InvalidOid if there is none. */
static Oid
stream_standing_for(Oid server, const char *schema, const char *name)
{
	Relation catalog = table_open(ForeignTableRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	Oid found = InvalidOid;
	HeapTuple tuple;

	while (!OidIsValid(found) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_table row = (Form_pg_foreign_table) GETSTRUCT(tuple);
		char *stream_schema;
		char *stream_name;

		if (row->ftserver != server || !bs_relation_is_stream(row->ftrelid))
			continue;
		bs_node_stream_names(row->ftrelid, &stream_schema, &stream_name);
		if (strcmp(stream_schema, schema) == 0 && strcmp(stream_name, name) == 0)
			found = row->ftrelid;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/* What stands after FROM in a stored query, or NULL when that is more than one relation. */
static RangeVar *
relation_of_query(const char *query)
{
	List *statements = raw_parser(query, RAW_PARSE_DEFAULT);
	SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	Node *from =
		IsA(select, SelectStmt) && select->fromClause != NIL ? linitial(select->fromClause) : NULL;

	while (from != NULL && IsA(from, JoinExpr))
		from = ((JoinExpr *) from)->larg;
	return from != NULL && IsA(from, RangeVar) ? (RangeVar *) from : NULL;
}

/* The query of a node's view over our stream; NULL, with a warning, when there is none. */
static char *
local_query(const Import *import, const Found *found, const char *query)
{
	RangeVar *rv = relation_of_query(query);
	Oid stream = rv != NULL && rv->schemaname != NULL
					 ? stream_standing_for(import->server->serverid, rv->schemaname, rv->relname)
					 : InvalidOid;

	if (OidIsValid(stream))
		return bs_node_text_replace(query, rv->schemaname, rv->relname,
									get_namespace_name(get_rel_namespace(stream)),
									get_rel_name(stream));
	ereport(WARNING,
			(errmsg("continuous view \"%s\" is not imported", found->name),
			 errdetail("It reads \"%s\", for which no stream of server \"%s\" stands here.",
					   rv != NULL ? rv->relname : "?", import->server->servername),
			 errhint("Import the stream first.")));
	return NULL;
}

static void
put_option(StringInfo sql, const char *name, const char *value)
{
	appendStringInfo(sql, "%s%s %s", sql->data[sql->len - 1] == '(' ? "" : ", ",
					 quote_identifier(name), quote_literal_cstr(value));
}

static char *
create_statement(const Import *import, const Found *found, List *options)
{
	DefElem *query = bs_option_find(options, "query");
	char *text = query != NULL ? local_query(import, found, defGetString(query)) : NULL;
	StringInfoData sql;
	ListCell *cell;

	if (query != NULL && text == NULL)
		return NULL;
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (%s) SERVER %s OPTIONS (",
					 quote_identifier(found->name), found->columns,
					 quote_identifier(import->server->servername));
	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (def == query || query == NULL || !bs_option_is_of_outputs(def->defname))
			put_option(&sql, def->defname, def == query ? text : defGetString(def));
	}
	put_option(&sql, "schema_name", import->statement->remote_schema);
	put_option(&sql, "table_name", found->name);
	if (query != NULL)
		put_option(&sql, "nodes_follow", "off");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

static List *
options_of(const char *text)
{
	if (text == NULL)
		return NIL;
	return untransformRelOptions(OidFunctionCall3(F_ARRAY_IN, CStringGetDatum(text),
												  ObjectIdGetDatum(TEXTOID), Int32GetDatum(-1)));
}

List *
bs_import_schema(ImportForeignSchemaStmt *statement, Oid server)
{
	Import import = {.statement = statement, .server = GetForeignServer(server)};
	List *statements = NIL;
	int nanswers;
	ListCell *cell;

	if (!bs_server_is_remote(server))
		ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_CREATE_REPLY),
						errmsg("server \"%s\" is this server: there is nothing to import",
							   import.server->servername)));
	if (statement->options != NIL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("IMPORT FOREIGN SCHEMA has no options here")));
	nanswers = ask_all(&import);
	foreach (cell, import.found)
	{
		Found *found = lfirst(cell);
		char *sql = NULL;

		if (found->nnodes == nanswers)
			sql = create_statement(&import, found, options_of(found->options));
		else
			ereport(WARNING, (errmsg("\"%s\" is not imported", found->name),
							  errdetail("%d of %d nodes have it, among them \"%s\".", found->nnodes,
										nanswers, found->node->name)));
		if (sql != NULL)
			statements = lappend(statements, sql);
	}
	return statements;
}
