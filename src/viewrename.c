/* SPDX-License-Identifier: PostgreSQL */
/*
 * viewrename.c: stored text that follows the names it uses.
 *
 * A view's text names columns, relations, functions, types, enum labels, schemas, ...  Before any
 * statement that renames something the texts of all views are analysed into trees, which hold OIDs
 * and column numbers; after it they are written again, and stored where they have changed.  All
 * views, whatever is renamed: which names a text holds is PostgreSQL's knowledge, not ours.
 */
#include "backstream.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "archive.h"
#include "ddl.h"
#include "guard.h"
#include "node.h"
#include "viewdef.h"
#include "views.h"

/* ---------- the texts of all views ---------- */

typedef struct Loading
{
	Oid relid;
	bool waiting;
	BsViewDef *def;
} Loading;

static void
load(void *argument)
{
	Loading *loading = argument;

	loading->def = loading->waiting ? bs_viewdef_load_waiting(loading->relid)
								   : bs_viewdef_load(loading->relid, true);
}

/*
 * A definition that cannot be analysed (it names something that is gone) must not stand in the way
 * of every later RENAME: it is left as it is, with a warning.
 */
static BsViewDef *
load_or_warn(Oid relid, bool waiting)
{
	Loading loading = {.relid = relid, .waiting = waiting};
	ErrorData *error = bs_guarded(load, &loading);

	if (error == NULL)
		return loading.def;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	ereport(WARNING, (errmsg("the query of continuous view \"%s\" cannot be read: %s",
							 get_rel_name(relid), error->message),
					  errdetail("It is left as it is."),
					  errhint("Drop the view, or replace its query.")));
	return NULL;
}

static List *
all_load(void)
{
	List *defs = NIL;
	ListCell *cell;

	foreach (cell, bs_viewdef_list())
	{
		/* One that somebody drops just now needs no new text. */
		Relation relation = try_relation_open(lfirst_oid(cell), AccessShareLock);
		BsViewDef *def = relation != NULL ? load_or_warn(lfirst_oid(cell), false) : NULL;
		BsViewDef *next = def != NULL && def->has_waiting ? load_or_warn(lfirst_oid(cell), true) : NULL;

		if (def != NULL)
		{
			def->archive = bs_archive_table(def->options.archive, true);
			defs = lappend(defs, def);
		}
		if (next != NULL)
		{
			next->archive = bs_archive_table(next->options.archive, true);
			defs = lappend(defs, next);
		}
		if (relation != NULL)
			relation_close(relation, NoLock);
	}
	return defs;
}

/* The names of the view's own columns are those of its query. */
static void
columns_name(BsViewDef *def)
{
	Relation relation = table_open(def->relid, AccessShareLock);
	int column = 0;
	ListCell *cell;

	foreach (cell, def->query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!entry->resjunk)
			entry->resname =
				pstrdup(NameStr(TupleDescAttr(RelationGetDescr(relation), column++)->attname));
	}
	table_close(relation, NoLock);
}

/*
 * Whoever may rename something may not be the owner of what names it: the text is changed for the
 * owner.
 */
void
bs_viewdef_store_option(Oid relid, Oid owner, const char *option, const char *value)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);
	DefElem *def = makeDefElemExtended(NULL, pstrdup(option), (Node *) makeString(pstrdup(value)),
									   DEFELEM_SET, -1);
	Oid user;
	int context;

	command->subtype = AT_GenericOptions;
	command->def = (Node *) list_make1(def);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	AlterTableInternal(relid, list_make1(command), false);
	SetUserIdAndSecContext(user, context);
	bs_views_changed();
}

/* The archive is an option with a name in it: it follows, too. */
static void
archive_store(const BsViewDef *def)
{
	char *name = OidIsValid(def->archive) ? bs_archive_table_name(def->archive) : NULL;

	if (name != NULL && strcmp(name, def->options.archive) != 0)
		bs_viewdef_store_option(def->relid, def->owner,
								def->waiting ? BS_NEXT_PREFIX "archive" : "archive", name);
}

static void
all_store(List *defs)
{
	ListCell *cell;

	CommandCounterIncrement();
	foreach (cell, defs)
	{
		BsViewDef *def = lfirst(cell);
		char *text;

		columns_name(def);
		text = bs_viewdef_deparse(def->query);
		if (strcmp(text, def->query_text) != 0)
			bs_viewdef_store_option(def->relid, def->owner, def->waiting ? BS_NEXT_PREFIX "query" : "query", text);
		archive_store(def);
	}
}

void
bs_ddl_next_renaming(BsUtilityCall *call)
{
	List *defs;

	bs_ddl_lock_for_rename();
	defs = all_load();
	bs_ddl_next(call);
	if (defs != NIL)
		all_store(defs);
}

/* ---------- RENAME ---------- */

/* No text of ours can name these. */
static bool
is_never_named(ObjectType type)
{
	switch (type)
	{
		case OBJECT_ROLE:
		case OBJECT_DATABASE:
		case OBJECT_TABLESPACE:
		case OBJECT_TRIGGER:
		case OBJECT_EVENT_TRIGGER:
		case OBJECT_POLICY:
		case OBJECT_RULE:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_DOMCONSTRAINT:
		case OBJECT_PUBLICATION:
		case OBJECT_SUBSCRIPTION:
		case OBJECT_INDEX:
			return true;
		default:
			return false;
	}
}

/*
 * What the library finds by its name.  (A dump would not restore either: the extension makes these
 * under the names that they have.)
 */
static void
refuse_fixed_names(ObjectType type, const char *name, const RangeVar *rv)
{
	bool is_fixed = false;

	if (creating_extension)
		return;
	if (type == OBJECT_SCHEMA || type == OBJECT_FDW || type == OBJECT_FOREIGN_SERVER ||
		type == OBJECT_EXTENSION)
		is_fixed = name != NULL && strcmp(name, BS_EXTENSION) == 0;
	else if (rv != NULL && type != OBJECT_COLUMN)
		is_fixed = OidIsValid(bs_flow_relation()) &&
				   RangeVarGetRelid(rv, NoLock, true) == bs_flow_relation();
	if (is_fixed)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("\"%s\" belongs to extension \"%s\" and keeps its name and place",
							   rv ? rv->relname : name, BS_EXTENSION)));
}

/* The time of rolling views over a stream is an option of theirs: it follows. */
static void
time_column_follow(Oid stream, const char *old_name, const char *new_name)
{
	ListCell *cell;

	foreach (cell, bs_viewdef_uppers(stream))
	{
		Oid view = lfirst_oid(cell);
		DefElem *time_column = bs_option_find(bs_viewdef_stored_options(view), "time_column");
		Relation relation;

		if (time_column == NULL || strcmp(defGetString(time_column), old_name) != 0)
			continue;
		relation = relation_open(view, AccessShareLock);
		bs_viewdef_store_option(view, relation->rd_rel->relowner, "time_column", new_name);
		relation_close(relation, NoLock);
	}
}

/* The column that a stream's watermarks are kept by is an option: it follows too. */
static void
watermark_follow(Oid relid, const char *old_name, const char *new_name)
{
	DefElem *watermark_by = bs_option_find(bs_viewdef_stored_options(relid), "watermark_by");

	if (watermark_by != NULL && strcmp(defGetString(watermark_by), old_name) == 0)
		bs_viewdef_store_option(relid, GetUserId(), "watermark_by", new_name);
}

static void
column_rename(BsUtilityCall *call, Oid relid)
{
	RenameStmt *statement = (RenameStmt *) call->pstmt->utilityStmt;
	bool is_stream = bs_relation_is_stream(relid);

	if (is_stream && relid == bs_flow_relation() && !creating_extension)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("the columns of stream backstream.flow are fixed"),
						errhint("Give columns other names in a continuous view.")));
	bs_ddl_next_renaming(call);
	if (is_stream)
	{
		CommandCounterIncrement();
		watermark_follow(relid, statement->subname, statement->newname);
		time_column_follow(relid, statement->subname, statement->newname);
	}
	if (is_stream || bs_relation_is_view(relid))
		bs_views_changed();
}

static void
require_literal(const BsUtilityCall *call, const RangeVar *rv, bool is_view, bool missing_ok)
{
	if (call->literal.active && !is_view && !missing_ok)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("continuous view \"%s\" does not exist", rv->relname)));
}

/* A view's text cannot name what is temporary. */
static bool
is_temporary(const RangeVar *rv)
{
	Oid relid = rv ? RangeVarGetRelid(rv, NoLock, true) : InvalidOid;

	return OidIsValid(relid) && get_rel_persistence(relid) == RELPERSISTENCE_TEMP;
}

void
bs_ddl_rename(BsUtilityCall *call)
{
	RenameStmt *statement = (RenameStmt *) call->pstmt->utilityStmt;
	bool says_view =
		statement->renameType == OBJECT_VIEW ||
		(statement->renameType == OBJECT_COLUMN && statement->relationType == OBJECT_VIEW);

	if (is_never_named(statement->renameType) || !bs_extension_is_here() ||
		is_temporary(statement->relation))
	{
		bs_ddl_next(call);
		return;
	}
	refuse_fixed_names(statement->renameType,
					   statement->subname ? statement->subname
					   : statement->object && IsA(statement->object, String)
						   ? strVal(statement->object)
						   : NULL,
					   statement->relation);
	if (says_view)
	{
		bool is_view = bs_names_continuous_view(call, statement->relation);

		require_literal(call, statement->relation, is_view, statement->missing_ok);
		if (is_view)
		{
			statement = (RenameStmt *) bs_ddl_own_statement(call);
			if (statement->renameType == OBJECT_VIEW)
				statement->renameType = OBJECT_FOREIGN_TABLE;
			else
				statement->relationType = OBJECT_FOREIGN_TABLE;
		}
	}
	if (statement->renameType == OBJECT_COLUMN && statement->relation != NULL)
		column_rename(call, RangeVarGetRelid(statement->relation, NoLock, true));
	else
		bs_ddl_next_renaming(call);
	if (statement->renameType == OBJECT_FOREIGN_SERVER)
	{
		CommandCounterIncrement();
		bs_node_renamed(strVal(statement->object), statement->newname);
	}
	bs_views_changed();
}

void
bs_ddl_move(BsUtilityCall *call)
{
	AlterObjectSchemaStmt *statement = (AlterObjectSchemaStmt *) call->pstmt->utilityStmt;

	if (!bs_extension_is_here())
	{
		bs_ddl_next(call);
		return;
	}
	refuse_fixed_names(statement->objectType, NULL, statement->relation);
	if (statement->objectType == OBJECT_VIEW)
	{
		bool is_view = bs_names_continuous_view(call, statement->relation);

		require_literal(call, statement->relation, is_view, statement->missing_ok);
		if (is_view)
		{
			statement = (AlterObjectSchemaStmt *) bs_ddl_own_statement(call);
			statement->objectType = OBJECT_FOREIGN_TABLE;
		}
	}
	bs_ddl_next_renaming(call);
	bs_views_changed();
}

void
bs_ddl_alter_enum(BsUtilityCall *call)
{
	AlterEnumStmt *statement = (AlterEnumStmt *) call->pstmt->utilityStmt;

	if (statement->oldVal != NULL)
		bs_ddl_next_renaming(call);
	else
		bs_ddl_next(call);
}
