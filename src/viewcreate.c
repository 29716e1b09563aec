/* SPDX-License-Identifier: PostgreSQL */
/*
 * viewcreate.c: making continuous views and streams.
 *
 * Every spelling becomes a CREATE FOREIGN TABLE whose option holds the deparsed query, and goes the
 * way that a dump goes when it is restored: the text is read again, PostgreSQL makes the table, the
 * columns are compared with the query's, the dependencies are recorded.
 */
#include "backstream.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "ddl.h"
#include "nodedefine.h"
#include "prefix.h"
#include "query.h"
#include "takeover.h"
#include "viewdef.h"
#include "outputdef.h"
#include "views.h"
#include "viewshape.h"

/* ---------- columns ---------- */

/* The query's columns: a list of TargetEntry, without those that are only for sorting. */
static List *
query_columns(Query *query)
{
	List *columns = NIL;
	ListCell *cell;

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!entry->resjunk)
			columns = lappend(columns, entry);
	}
	return columns;
}

/* CREATE VIEW v (a, b) AS ...: the names go into the query. */
static void
columns_name(List *columns, List *aliases)
{
	ListCell *column;
	ListCell *alias;

	if (list_length(aliases) > list_length(columns))
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("there are %d column names, but the query has %d columns",
							   list_length(aliases), list_length(columns))));
	forboth(column, columns, alias, aliases) lfirst_node(TargetEntry, column)->resname =
		pstrdup(strVal(lfirst(alias)));
}

static ColumnDef *
column_definition(TargetEntry *entry, const char *source)
{
	Node *expr = (Node *) entry->expr;
	Oid type = exprType(expr);
	Oid collation = exprCollation(expr);

	if (type_is_collatable(type) && !OidIsValid(collation))
		ereport(ERROR, (errcode(ERRCODE_INDETERMINATE_COLLATION),
						errmsg("could not determine which collation to use for column \"%s\"",
							   entry->resname),
						errhint("Use the COLLATE clause to set the collation explicitly."),
						bs_error_position(source, exprLocation(expr))));
	return makeColumnDef(entry->resname, type, exprTypmod(expr), collation);
}

static List *
column_definitions(List *columns, const char *source)
{
	List *definitions = NIL;
	ListCell *cell;

	foreach (cell, columns)
		definitions =
			lappend(definitions, column_definition(lfirst_node(TargetEntry, cell), source));
	return definitions;
}

static bool
column_is_same(Form_pg_attribute attribute, TargetEntry *entry)
{
	Node *expr = (Node *) entry->expr;

	return !attribute->attisdropped && strcmp(NameStr(attribute->attname), entry->resname) == 0 &&
		   attribute->atttypid == exprType(expr) && attribute->atttypmod == exprTypmod(expr) &&
		   attribute->attcollation == exprCollation(expr);
}

static char *
type_name(Oid type, int32 typmod)
{
	return OidIsValid(type) ? format_type_with_typemod(type, typmod) : pstrdup("none");
}

/* The first columns of the relation are the query's first; returns how many the relation has. */
static int
columns_compare(Relation relation, List *columns, const char *hint)
{
	TupleDesc desc = RelationGetDescr(relation);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		TargetEntry *entry = i < list_length(columns) ? list_nth(columns, i) : NULL;

		if (entry != NULL && column_is_same(attribute, entry))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column %d of continuous view \"%s\" is \"%s\" of type %s, but the query "
						"gives %s",
						i + 1, RelationGetRelationName(relation), NameStr(attribute->attname),
						type_name(attribute->atttypid, attribute->atttypmod),
						entry ? psprintf("\"%s\" of type %s", entry->resname,
										 type_name(exprType((Node *) entry->expr),
												   exprTypmod((Node *) entry->expr)))
							  : "no such column"),
				 errhint("%s", hint)));
	}
	return desc->natts;
}

/* ---------- CREATE FOREIGN TABLE ---------- */

static bool
server_name_is_ours(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	return server != NULL && server->fdwid == get_foreign_data_wrapper_oid(BS_EXTENSION, true);
}

/* A view's columns are what its query gives: nothing else can be said of them. */
static void
columns_refuse_constraints(CreateForeignTableStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->base.tableElts)
	{
		ColumnDef *column = lfirst(cell);

		if (!IsA(column, ColumnDef) || column->constraints != NIL || column->fdwoptions != NIL ||
			column->is_not_null)
			ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
							errmsg("columns of continuous view \"%s\" cannot have constraints, "
								   "defaults or options",
								   statement->base.relation->relname),
							errhint("Give names and types alone, as pg_dump does.")));
	}
}

/*
 * Complete the options of a view: the text in its normal form, the settings, the format, and what it is
 * called on nodes that keep it.  existing: the one that it replaces.
 */
static Query *
view_options_complete(CreateForeignTableStmt *statement, Oid existing)
{
	DefElem *text = bs_option_find(statement->options, "query");
	BsViewOptions options;
	Query *query;

	/* The check needs them: what is a window may depend on TimeZone. */
	statement->options = list_concat(statement->options, bs_pinned_missing(statement->options));
	bs_view_options_parse(statement->options, &options);
	query = bs_viewdef_parse(defGetString(text), statement->base.relation->relname, &options);
	text->arg = (Node *) makeString(bs_viewdef_deparse(query));
	if (!bs_option_find(statement->options, "format"))
		statement->options =
			lappend(statement->options,
					makeDefElem("format", (Node *) makeString(psprintf("%d", BS_FORMAT)), -1));
	bs_node_view_options(&statement->options, statement->servername, bs_query_stream(query),
						 statement->base.relation, existing);
	return query;
}

static void
view_created(Oid relid, Query *query)
{
	BsViewDef def = {.relid = relid, .stream = bs_query_stream(query), .query = query};
	Relation relation = table_open(relid, AccessShareLock);
	List *columns = query_columns(query);

	if (columns_compare(relation, columns, "Columns are those of the query.") !=
		list_length(columns))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("continuous view \"%s\" has fewer columns than its query",
							   RelationGetRelationName(relation)),
						errhint("Columns are those of the query.")));
	def.owner = relation->rd_rel->relowner;
	def.name = pstrdup(RelationGetRelationName(relation));
	table_close(relation, NoLock);
	bs_viewdef_depend(relid, query);
	bs_view_check_owner(&def);
	bs_outputs_check(relid);
	bs_views_changed();
}

static void
refuse_temporary(void)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("streams and continuous views cannot be temporary or unlogged"),
					errhint("Windows are in memory anyway; definitions are permanent.")));
}

/*
 * Where will it be made?  The name becomes qualified, so that a temporary table of the same name is
 * not taken for it later.  Returns what is there already, locked in this mode if it is the user's.
 */
static Oid
creation_place(RangeVar *rv, LOCKMODE lockmode)
{
	Oid existing;
	Oid schema = RangeVarGetAndCheckCreationNamespace(rv, lockmode, &existing);

	/* Not by name either: pg_temp.v, or pg_temp in the search_path. */
	if (isAnyTempNamespace(schema))
		refuse_temporary();
	rv->schemaname = get_namespace_name(schema);
	return existing;
}

/*
 * Make the table of a view or a stream; the statement is ours to change.  restored: it is written as in a dump, which
 * must restore while some nodes are away.
 */
static void
foreign_table_make(BsUtilityCall *call, CreateForeignTableStmt *statement, bool restored)
{
	RangeVar *rv = statement->base.relation;
	bool is_view = bs_option_find(statement->options, "query") != NULL;
	Query *query = NULL;
	Oid existing = creation_place(rv, NoLock);
	Oid relid;

	if (OidIsValid(existing))
	{
		/* An error, or a notice and nothing else: PostgreSQL knows. */
		bs_ddl_next_statement(call, (Node *) statement);
		return;
	}
	if (statement->base.inhRelations != NIL || statement->base.partbound != NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("\"%s\" cannot inherit or be a partition", rv->relname),
						errdetail("Streams and continuous views stand by themselves.")));
	if (is_view)
	{
		columns_refuse_constraints(statement);
		/* Nothing has been counted here that a definition could wait beside. */
		if (bs_options_waiting(statement->options) != NIL)
			statement->options = bs_options_waiting(statement->options);
		bs_ddl_lock_for_definition();
		query = view_options_complete(statement, InvalidOid);
	}
	bs_ddl_next_statement(call, (Node *) statement);
	CommandCounterIncrement();
	relid = get_relname_relid(rv->relname, get_namespace_oid(rv->schemaname, false));
	if (is_view)
	{
		view_created(relid, query);
		bs_node_view_defined(relid, BS_KEEP_CREATE, restored);
	}
	else
		bs_stream_check(relid);
}

void
bs_ddl_create_foreign_table(BsUtilityCall *call)
{
	CreateForeignTableStmt *statement = (CreateForeignTableStmt *) call->pstmt->utilityStmt;

	bs_refuse_children(statement->base.inhRelations);
	if (!server_name_is_ours(statement->servername))
		bs_ddl_next(call);
	else
		foreign_table_make(call, (CreateForeignTableStmt *) copyObject(statement), true);
}

void
bs_ddl_create_table(BsUtilityCall *call)
{
	bs_refuse_children(((CreateStmt *) call->pstmt->utilityStmt)->inhRelations);
	bs_ddl_next(call);
}

void
bs_stream_check(Oid relid)
{
	DefElem *watermark_by = bs_option_find(bs_viewdef_stored_options(relid), "watermark_by");

	if (watermark_by != NULL && get_attnum(relid, defGetString(watermark_by)) <= InvalidAttrNumber)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("stream \"%s\" has no column \"%s\" to keep watermarks by",
							   get_rel_name(relid), defGetString(watermark_by)),
						errhint("The option watermark_by names a column of the stream.")));
}

/* ---------- CREATE OR REPLACE ---------- */

static AlterTableCmd *
alter_command(AlterTableType type, Node *definition)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);

	command->subtype = type;
	command->def = definition;
	command->behavior = DROP_RESTRICT;
	return command;
}

/*
 * A view over the one that is replaced must stay what it is: one that has windows, or has none.  Raises
 * an error, too, when it cannot read the new one at all.
 */
static List *
uppers_windowed(Oid relid)
{
	List *windowed = NIL;
	ListCell *cell;

	foreach (cell, bs_viewdef_uppers(relid))
		windowed = lappend_int(windowed, bs_view_shape(lfirst_oid(cell))->windowed);
	return windowed;
}

static void
uppers_compare(Oid relid, List *windowed)
{
	if (!equal(uppers_windowed(relid), windowed))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot replace continuous view \"%s\"", get_rel_name(relid)),
				 errdetail("The window of a continuous view over it would be none any more, or become one."),
				 errhint("Drop the view over it before, and create it anew.")));
}

/*
 * The table stays (its OID, rights, comment, what depends on it): new columns at the end, all
 * options new, the dependencies of the old query gone.  One that must wait is tried out so, and then put
 * beside the old one.
 */
static void
view_replace(BsUtilityCall *call, CreateForeignTableStmt *wanted, Oid relid)
{
	AlterTableStmt *alter = makeNode(AlterTableStmt);
	List *windowed = uppers_windowed(relid);
	List *stored = bs_viewdef_stored_options(relid);
	Query *query = view_options_complete(wanted, relid);
	bool waits = bs_takeover_must_wait(relid, query, wanted->options);
	Relation relation = table_open(relid, AccessExclusiveLock);
	int nold =
		columns_compare(relation, query_columns(query),
						"CREATE OR REPLACE can add columns at the end; for anything else drop "
						"the view and create it anew.");

	table_close(relation, NoLock);
	for (int i = nold; i < list_length(wanted->base.tableElts); i++)
		alter->cmds =
			lappend(alter->cmds, alter_command(AT_AddColumn, list_nth(wanted->base.tableElts, i)));
	alter->cmds = lappend(
		alter->cmds,
		alter_command(AT_GenericOptions,
					  (Node *) bs_options_change(stored, wanted->options)));
	alter->relation = wanted->base.relation;
	alter->objtype = OBJECT_FOREIGN_TABLE;
	bs_ddl_next_statement(call, (Node *) alter);
	CommandCounterIncrement();
	bs_viewdef_undepend(relid);
	CommandCounterIncrement();
	view_created(relid, query);
	uppers_compare(relid, windowed);
	if (waits)
		bs_takeover_wait(relid, bs_options_shown(stored));
	bs_node_view_defined(relid, BS_KEEP_REPLACE, false);
}

/* ---------- CREATE VIEW ... WITH (continuous) ---------- */

static bool
is_continuous(ViewStmt *statement)
{
	DefElem *def = bs_option_find(statement->options, "continuous");

	return def != NULL && def->defnamespace == NULL && defGetBoolean(def);
}

static void
refuse_view_clauses(ViewStmt *statement)
{
	if (statement->view->relpersistence != RELPERSISTENCE_PERMANENT)
		refuse_temporary();
	if (statement->withCheckOption != NO_CHECK_OPTION)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a continuous view cannot have WITH CHECK OPTION"),
						errdetail("Nothing can be inserted through it.")));
}

/* The view's own SELECT as CREATE FOREIGN TABLE, checked with error positions in what was sent. */
static CreateForeignTableStmt *
view_as_foreign_table(BsUtilityCall *call, ViewStmt *statement)
{
	CreateForeignTableStmt *table = makeNode(CreateForeignTableStmt);
	List *with = bs_view_options_from_user(statement->options, call->source);
	int location = call->pstmt->stmt_location;
	BsViewOptions options;
	Query *query;

	bs_view_options_parse(list_concat_copy(with, bs_pinned_missing(with)), &options);
	query = bs_viewdef_analyse(statement->query, call->source, location, call->pstmt->stmt_len);
	bs_query_check(query, call->source, location, &options, true);
	bs_prefix_check_query(query, call->source, location);
	(void) ExecCheckRTPerms(query->rtable, true);
	columns_name(query_columns(query), statement->aliases);

	table->base.relation = copyObject(statement->view);
	table->base.tableElts = column_definitions(query_columns(query), call->source);
	table->base.oncommit = ONCOMMIT_NOOP;
	table->base.if_not_exists = call->literal.if_not_exists;
	table->servername = GetForeignServer(bs_viewdef_server_over(bs_query_stream(query)))->servername;
	table->options =
		lcons(makeDefElem("query", (Node *) makeString(bs_viewdef_deparse(query)), -1), with);
	return table;
}

static void
require_extension(void)
{
	if (!bs_extension_is_here())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" is not in this database", BS_EXTENSION),
				 errhint("Continuous views are in database \"%s\", after CREATE EXTENSION %s.",
						 bs_setting_database, BS_EXTENSION)));
}

void
bs_ddl_create_view(BsUtilityCall *call)
{
	ViewStmt *statement = (ViewStmt *) call->pstmt->utilityStmt;
	CreateForeignTableStmt *table;
	Oid existing;

	if (!is_continuous(statement))
	{
		bs_ddl_next(call);
		return;
	}
	require_extension();
	refuse_view_clauses(statement);
	PreventCommandIfReadOnly("CREATE CONTINUOUS VIEW");
	bs_ddl_lock_for_definition();
	table = view_as_foreign_table(call, statement);
	existing = creation_place(table->base.relation,
							  statement->replace ? AccessExclusiveLock : NoLock);
	if (!OidIsValid(existing) || !statement->replace)
		foreign_table_make(call, table, false);
	else if (bs_relation_is_view(existing))
		view_replace(call, table, existing);
	else
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a continuous view", statement->view->relname),
						errhint("Choose another name, or drop what is there.")));
}
