/* SPDX-License-Identifier: PostgreSQL */
/* viewdef.c: reading and writing the definition of a continuous view.  See viewdef.h. */
#include "backstream.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "node.h"
#include "query.h"
#include "refuse.h"
#include "rolling.h"
#include "viewdef.h"

/* ---------- the catalog ---------- */

bool
bs_extension_is_here(void)
{
	return OidIsValid(get_foreign_data_wrapper_oid(BS_EXTENSION, true));
}

static bool
server_is_ours(Oid server)
{
	Oid wrapper = get_foreign_data_wrapper_oid(BS_EXTENSION, true);
	ForeignServer *found;

	if (!OidIsValid(wrapper) || !OidIsValid(server))
		return false;
	found = GetForeignServerExtended(server, FSV_MISSING_OK);
	return found != NULL && found->fdwid == wrapper;
}

Oid
bs_flow_relation(void)
{
	Oid schema = get_namespace_oid(BS_EXTENSION, true);

	return OidIsValid(schema) ? get_relname_relid("flow", schema) : InvalidOid;
}

static List *
tuple_options(HeapTuple tuple, Relation catalog)
{
	bool isnull;
	Datum options =
		heap_getattr(tuple, Anum_pg_foreign_table_ftoptions, RelationGetDescr(catalog), &isnull);

	return isnull ? NIL : untransformRelOptions(options);
}

/*
 * Call visit for the row of one foreign table, or (relid invalid) for all in order of their OIDs.
 * Under the newest snapshot: a worker that was told of a commit may still have old cache entries.
 * While parallel workers run for a backend, PostgreSQL lets it take no such snapshot, and it needs
 * none: it has locked what it reads.
 */
static void
foreign_tables_visit(Oid relid, void (*visit)(HeapTuple tuple, Relation catalog, void *arg),
					 void *arg)
{
	Relation catalog = table_open(ForeignTableRelationId, AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(IsInParallelMode() ? GetCatalogSnapshot(ForeignTableRelationId)
															: GetLatestSnapshot());
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_foreign_table_ftrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ForeignTableRelidIndexId, true, snapshot,
							  OidIsValid(relid) ? 1 : 0, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		visit(tuple, catalog, arg);
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(catalog, AccessShareLock);
}

typedef struct StoredTable
{
	Oid server;
	List *options;
} StoredTable;

static void
stored_visit(HeapTuple tuple, Relation catalog, void *arg)
{
	StoredTable *stored = arg;

	stored->server = ((Form_pg_foreign_table) GETSTRUCT(tuple))->ftserver;
	stored->options = tuple_options(tuple, catalog);
}

static StoredTable
stored_table(Oid relid)
{
	StoredTable stored = {.server = InvalidOid, .options = NIL};

	foreign_tables_visit(relid, stored_visit, &stored);
	return stored;
}

List *
bs_viewdef_stored_options(Oid relid)
{
	return stored_table(relid).options;
}

static bool
relation_is_ours(Oid relid, bool with_query)
{
	StoredTable stored;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	stored = stored_table(relid);
	return server_is_ours(stored.server) &&
		   (bs_option_find(stored.options, "query") != NULL) == with_query;
}

bool
bs_relation_is_view(Oid relid)
{
	return relation_is_ours(relid, true);
}

Relation
bs_viewdef_open(Oid relid)
{
	Relation relation = try_relation_open(relid, AccessShareLock);

	if (relation == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("there is no continuous view with OID %u", relid)));
	if (!bs_relation_is_view(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a continuous view", RelationGetRelationName(relation))));
	return relation;
}

void
bs_viewdef_check_select(Oid relid)
{
	AclResult result = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);

	if (result != ACLCHECK_OK)
		result = pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ALL);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
}

bool
bs_relation_is_stream(Oid relid)
{
	return relation_is_ours(relid, false);
}

/* Over a stream of nodes it is theirs; over their view it is another level, and ours. */
Oid
bs_viewdef_server_over(Oid relid)
{
	StoredTable stored = stored_table(relid);

	if (bs_option_find(stored.options, "query") && bs_server_is_remote(stored.server))
		return get_foreign_server_oid(BS_EXTENSION, false);
	return stored.server;
}

static void
list_visit(HeapTuple tuple, Relation catalog, void *arg)
{
	List **list = arg;
	Form_pg_foreign_table form = (Form_pg_foreign_table) GETSTRUCT(tuple);

	if (server_is_ours(form->ftserver) && bs_option_find(tuple_options(tuple, catalog), "query"))
		*list = lappend_oid(*list, form->ftrelid);
}

List *
bs_viewdef_list(void)
{
	List *list = NIL;

	if (bs_extension_is_here())
		foreign_tables_visit(InvalidOid, list_visit, &list);
	return list;
}

bool
bs_viewdef_has_waiting(Oid relid)
{
	StoredTable stored = stored_table(relid);

	return server_is_ours(stored.server) && bs_option_find(stored.options, BS_NEXT_PREFIX "query");
}

/* ---------- text and tree ---------- */

static Query *
analyse(Node *select, const char *source, int location, int len)
{
	ParseState *pstate = make_parsestate(NULL);
	RawStmt *raw = makeNode(RawStmt);
	Query *query;

	bs_refuse_raw(select, source, location);
	raw->stmt = select;
	raw->stmt_location = location;
	raw->stmt_len = len;
	pstate->p_sourcetext = source;
	query = transformTopLevelStmt(pstate, raw);
	free_parsestate(pstate);
	return query;
}

Query *
bs_viewdef_analyse(Node *select, const char *source, int location, int len)
{
	OverrideSearchPath *path = GetOverrideSearchPath(CurrentMemoryContext);
	Oid ours = get_namespace_oid(BS_EXTENSION, true);
	Query *query;

	if (OidIsValid(ours) && !list_member_oid(path->schemas, ours))
		path->schemas = lappend_oid(path->schemas, ours);
	PushOverrideSearchPath(path);
	bs_refuse_raw_lower(select, source);
	query = analyse(copyObject(select), source, location, len);
	PopOverrideSearchPath();
	return query;
}

/* Nothing but pg_catalog; said twice, because CREATE SCHEMA overrides the setting. */
static int
text_settings_enter(void)
{
	OverrideSearchPath nowhere = {.schemas = NIL, .addCatalog = true, .addTemp = false};
	int level = bs_pinned_enter_text();

	PushOverrideSearchPath(&nowhere);
	return level;
}

static void
text_settings_leave(int level)
{
	PopOverrideSearchPath();
	bs_pinned_leave(level);
}

typedef struct ParseContext
{
	const char *text;
	const char *name;
	ErrorContextCallback callback;
} ParseContext;

/* The position is one in the stored text, not in what the client sent. */
static void
parse_context(void *arg)
{
	ParseContext *context = arg;
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(context->text);
	}
	errcontext("query of continuous view \"%s\"", context->name);
}

Query *
bs_viewdef_parse(const char *text, const char *name, const BsViewOptions *check)
{
	ParseContext context = {.text = text, .name = name};
	int level = text_settings_enter();
	List *statements;
	RawStmt *raw;
	Query *query;

	context.callback.callback = parse_context;
	context.callback.arg = &context;
	context.callback.previous = error_context_stack;
	error_context_stack = &context.callback;

	statements = raw_parser(text, RAW_PARSE_DEFAULT);
	if (list_length(statements) != 1 || !IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("the query of a continuous view must be one SELECT statement")));
	raw = linitial_node(RawStmt, statements);
	query = analyse(raw->stmt, text, raw->stmt_location, raw->stmt_len);
	if (check)
		bs_query_check(query, text, raw->stmt_location, check, false);

	error_context_stack = context.callback.previous;
	text_settings_leave(level);
	return query;
}

char *
bs_viewdef_deparse(Query *query)
{
	int level = text_settings_enter();
	char *text = pg_get_querydef(copyObject(query), false);

	text_settings_leave(level);
	while (*text == ' ' || *text == '\n')
		text++;
	return text;
}

/* ---------- a definition ---------- */

static Oid
relation_owner(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * As the owner, and in a restricted operation: reading a constant can run code that is the owner's
 * (the CHECK of a domain in an array literal), whoever it is that reads the definition.
 */
static Query *
parse_as_owner(const BsViewDef *def)
{
	Query *query;
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(def->owner,
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	query = bs_viewdef_parse(def->query_text, def->name, NULL);
	SetUserIdAndSecContext(user, context);
	return query;
}

static BsViewDef *
load(Oid relid, const StoredTable *stored, List *options, Oid owner)
{
	BsViewDef *def = palloc0(sizeof(*def));

	def->relid = relid;
	def->owner = owner;
	def->server = stored->server;
	def->name = get_rel_name(relid);
	def->schema = get_namespace_name(get_rel_namespace(relid));
	def->has_waiting = bs_option_find(stored->options, BS_NEXT_PREFIX "query") != NULL;
	bs_view_options_parse(options, &def->options);
	def->query_text = def->options.query;
	def->query = parse_as_owner(def);
	bs_rolling_mark(def->query, &def->options);
	def->stream = bs_query_stream(def->query);
	def->on_nodes = bs_server_is_remote(def->server);
	return def;
}

BsViewDef *
bs_viewdef_load(Oid relid, bool missing_ok)
{
	StoredTable stored = stored_table(relid);
	Oid owner = relation_owner(relid);

	if (OidIsValid(owner) && server_is_ours(stored.server) &&
		bs_option_find(stored.options, "query"))
		return load(relid, &stored, bs_options_shown(stored.options), owner);
	if (!missing_ok)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("there is no continuous view with OID %u", relid)));
	return NULL;
}

BsViewDef *
bs_viewdef_load_options(Oid relid, List *options)
{
	StoredTable stored = stored_table(relid);

	return load(relid, &stored, options, relation_owner(relid));
}

BsViewDef *
bs_viewdef_load_waiting(Oid relid)
{
	StoredTable stored = stored_table(relid);
	Oid owner = relation_owner(relid);
	BsViewDef *def;

	if (!OidIsValid(owner) || !bs_viewdef_has_waiting(relid))
		return NULL;
	def = load(relid, &stored, bs_options_waiting(stored.options), owner);
	def->waiting = true;
	return def;
}

bool
bs_viewdef_owner_may_read(const BsViewDef *def)
{
	List *rtable = copyObject(def->query->rtable);
	ListCell *cell;

	foreach (cell, rtable)
		lfirst_node(RangeTblEntry, cell)->checkAsUser = def->owner;
	return ExecCheckRTPerms(rtable, false);
}
