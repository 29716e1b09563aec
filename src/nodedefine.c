/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodedefine.c: what a statement about a view over a stream of nodes means on the nodes.  See nodedefine.h.
 *
 * All nodes are asked at once; each checks the definition when it makes the view, in a transaction that
 * is committed when ours is about to be.  So none keeps what another has refused.
 */
#include "backstream.h"

#include <libpq-fe.h>

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "nodeconn.h"
#include "nodedefine.h"

/* Options of a view that are nothing to its nodes. */
static const char *const kept_here[] = {
	"query", "format", "on_node_failure", "nodes_follow", "schema_name", "table_name",
};

/* What all nodes have closed is handed on from here (nodemerge.c); a node hands on its own part, if it is told so there. */
static const char *const outputs[] = {"notify", "notify_on", "notify_limit", "archive"};

/* ---------- definitions ---------- */

static bool
is_among(const char *option, const char *const *options, size_t noptions)
{
	for (size_t i = 0; i < noptions; i++)
		if (strcmp(options[i], option) == 0)
			return true;
	return false;
}

bool
bs_option_is_of_outputs(const char *option)
{
	return is_among(option, outputs, lengthof(outputs));
}

bool
bs_node_option_stays_here(const char *option)
{
	return is_among(option, kept_here, lengthof(kept_here)) || bs_option_is_of_outputs(option);
}

BsKept *
bs_kept_of(const BsViewDef *def)
{
	BsKept *kept = palloc0(sizeof(BsKept));
	ListCell *cell;

	kept->schema = def->options.schema_name;
	kept->name = def->options.table_name;
	kept->query = bs_node_query(def->query_text, def->stream);
	foreach (cell, bs_viewdef_stored_options(def->relid))
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (!bs_node_option_stays_here(option->defname))
			kept->options = lappend(kept->options, option);
	}
	if (kept->schema == NULL || kept->name == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("continuous view \"%s\" does not say what it is called on its nodes",
							   def->name),
						errhint("Drop it, and create it anew.")));
	return kept;
}

char *
bs_kept_statement(const BsKept *kept, BsKeepMode mode)
{
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT backstream.keep_view(%s, %s, %s, ARRAY[",
					 quote_literal_cstr(kept->schema), quote_literal_cstr(kept->name),
					 quote_literal_cstr(kept->query));
	foreach (cell, kept->options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		appendStringInfo(&sql, "%s%s", cell == list_head(kept->options) ? "" : ", ",
						 quote_literal_cstr(psprintf("%s=%s", def->defname, defGetString(def))));
	}
	appendStringInfo(&sql, "]::text[], '%s')", bs_keep_modes[mode]);
	return sql.data;
}

/* ---------- options ---------- */

static void
add_option(List **options, const char *name, const char *value)
{
	if (!bs_option_find(*options, name))
		*options =
			lappend(*options, makeDefElem(pstrdup(name), (Node *) makeString(pstrdup(value)), -1));
}

static void
require_server(const char *server, Oid stream)
{
	Oid wanted = bs_viewdef_server_over(stream);
	Oid given = get_foreign_server_oid(server, false);

	if (given != wanted && (bs_server_is_remote(given) || bs_server_is_remote(wanted)))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("a continuous view over \"%s\" must be on server \"%s\", not \"%s\"",
						get_rel_name(stream), GetForeignServer(wanted)->servername, server)));
}

/* A group that this server is in keeps the view here, too: under another name than the one that reads it. */
static void
require_other_name(List *options, Oid server, const RangeVar *name)
{
	const char *schema = defGetString(bs_option_find(options, "schema_name"));
	const char *table = defGetString(bs_option_find(options, "table_name"));
	ListCell *cell;

	if (strcmp(schema, name->schemaname) != 0 || strcmp(table, name->relname) != 0)
		return;
	foreach (cell, bs_server_nodes(server, GetUserId()))
		if (!OidIsValid(((BsNode *) lfirst(cell))->server))
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
							errmsg("continuous view \"%s\" cannot be kept here under its own name",
								   name->relname),
							errdetail("Server \"%s\" has this server among its nodes, which keep "
									  "the view in schema \"%s\".",
									  GetForeignServer(server)->servername, schema),
							errhint("ALTER SERVER %s OPTIONS (ADD schema '...').",
									quote_identifier(GetForeignServer(server)->servername))));
}

void
bs_node_view_options(List **options, const char *server, Oid stream, const RangeVar *name,
					 Oid existing)
{
	static const char *const names[] = {"schema_name", "table_name"};
	List *stored = OidIsValid(existing) ? bs_viewdef_stored_options(existing) : NIL;
	BsServerOptions settings;
	Oid oid;

	require_server(server, stream);
	oid = get_foreign_server_oid(server, false);
	if (!bs_server_is_remote(oid))
		return;
	/* One that is replaced is where it was. */
	for (size_t i = 0; i < lengthof(names); i++)
		if (bs_option_find(stored, names[i]))
			add_option(options, names[i], defGetString(bs_option_find(stored, names[i])));
	bs_server_options_parse(GetForeignServer(oid)->options, &settings);
	add_option(options, "schema_name",
			   settings.schema != NULL ? settings.schema : name->schemaname);
	add_option(options, "table_name", name->relname);
	require_other_name(*options, oid, name);
}

BsNodeFailure
bs_node_failure(const BsViewOptions *options, Oid server)
{
	BsServerOptions settings;

	if (options->on_node_failure != BS_NODE_FAILURE_UNSET)
		return (BsNodeFailure) options->on_node_failure;
	bs_server_options_parse(GetForeignServer(server)->options, &settings);
	return (BsNodeFailure) settings.on_node_failure;
}

/* ---------- all nodes at once ---------- */

static BsNodeRequest *
requests_for(List *nodes, const char *sql, int *nrequests)
{
	BsNodeRequest *requests = palloc0(sizeof(BsNodeRequest) * (Size) (list_length(nodes) + 1));
	ListCell *cell;

	*nrequests = 0;
	foreach (cell, nodes)
	{
		BsNode *node = lfirst(cell);

		if (!OidIsValid(node->server))
			continue;
		requests[*nrequests].node = node;
		requests[*nrequests].sql = sql;
		requests[(*nrequests)++].nparams = -1;
	}
	return requests;
}

/*
 * Those that could not be reached go without, if that is allowed; one that answers no is an error always.  The worse
 * trouble is reported.
 */
static void
require_success(const BsNodeRequest *requests, int nrequests, bool tolerant, const char *what)
{
	for (int i = 0; i < nrequests; i++)
		if (requests[i].trouble > BS_NODE_UNREACHABLE)
			bs_node_report(&requests[i], ERROR);
	for (int i = 0; i < nrequests; i++)
	{
		if (requests[i].trouble == BS_NODE_FINE)
			continue;
		if (!tolerant)
			bs_node_report(&requests[i], ERROR);
		bs_node_forget(&requests[i]);
		ereport(
			WARNING,
			(errcode(requests[i].sqlerrcode),
			 errmsg("node \"%s\" is out of step: %s", requests[i].node->name, requests[i].message),
			 errdetail("%s", what),
			 errhint("SELECT * FROM backstream.sync('name of the server') mends it.")));
	}
}

static bool
has_local(List *nodes)
{
	ListCell *cell;

	foreach (cell, nodes)
		if (!OidIsValid(((BsNode *) lfirst(cell))->server))
			return true;
	return false;
}

void
bs_node_view_defined(Oid relid, BsKeepMode mode, bool tolerant)
{
	BsNodeRequest *requests;
	BsViewDef *def;
	int nrequests;
	BsKept *kept;
	List *nodes;

	/* Others are not even read: that takes locks, and evaluates constants. */
	if (!bs_relation_is_remote(relid))
		return;
	def = bs_viewdef_load(relid, false);
	bs_node_require_portable(def->query);
	if (!def->options.nodes_follow)
		return;
	kept = bs_kept_of(def);
	nodes = bs_server_nodes(def->server, GetUserId());
	if (has_local(nodes))
		(void) bs_view_keep(kept, mode);
	requests = requests_for(nodes, bs_kept_statement(kept, mode), &nrequests);
	bs_nodes_change(requests, nrequests);
	require_success(requests, nrequests,
					tolerant ||
						bs_node_failure(&def->options, def->server) == BS_NODE_FAILURE_PARTIAL,
					"It does not have this definition.");
}

/* ---------- DROP ---------- */

/* A view that has been dropped here, and not yet there; in TopTransactionContext. */
typedef struct Dropped
{
	char *sql;
	List *nodes; /* of BsNode * */
	bool tolerant;
} Dropped;

static List *dropped;

void
bs_node_view_dropping(Oid relid)
{
	List *options = bs_viewdef_stored_options(relid);
	Oid server = GetForeignServerIdByRelId(relid);
	MemoryContext outer;
	BsViewOptions parsed;
	Dropped *entry;

	if (!bs_server_is_remote(server))
		return;
	bs_view_options_parse(options, &parsed);
	if (!parsed.nodes_follow || parsed.schema_name == NULL || parsed.table_name == NULL)
		return;
	outer = MemoryContextSwitchTo(TopTransactionContext);
	entry = palloc0(sizeof(Dropped));
	entry->sql = psprintf("DROP FOREIGN TABLE IF EXISTS %s",
						  quote_qualified_identifier(parsed.schema_name, parsed.table_name));
	entry->nodes = bs_server_nodes(server, GetUserId());
	entry->tolerant = bs_node_failure(&parsed, server) == BS_NODE_FAILURE_PARTIAL;
	dropped = lappend(dropped, entry);
	MemoryContextSwitchTo(outer);
}

/* Those whose server has gone in the same statement cannot be asked any more. */
static List *
nodes_left(List *nodes)
{
	List *left = NIL;
	ListCell *cell;

	foreach (cell, nodes)
	{
		BsNode *node = lfirst(cell);

		if (!OidIsValid(node->server) ||
			GetForeignServerExtended(node->server, FSV_MISSING_OK) != NULL)
			left = lappend(left, node);
		else
			ereport(WARNING, (errmsg("node \"%s\" keeps its continuous view", node->name),
							  errdetail("Its server has been dropped with it.")));
	}
	return left;
}

static void
drop_one(const Dropped *entry)
{
	List *nodes = nodes_left(entry->nodes);
	int nrequests;
	BsNodeRequest *requests = requests_for(nodes, entry->sql, &nrequests);

	if (has_local(nodes))
		bs_keep_execute(entry->sql);
	bs_nodes_change(requests, nrequests);
	require_success(requests, nrequests, entry->tolerant,
					"It goes on with a view that has been dropped here.");
}

void
bs_node_drop_views(void)
{
	List *entries = dropped;
	ListCell *cell;

	dropped = NIL;
	if (entries == NIL || !bs_extension_is_here())
		return;
	CommandCounterIncrement();
	foreach (cell, entries)
		drop_one(lfirst(cell));
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	dropped = NIL;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent,
					  void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		dropped = NIL;
}

void
bs_nodedefine_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
