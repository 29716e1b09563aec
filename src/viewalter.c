/* SPDX-License-Identifier: PostgreSQL */
/*
 * viewalter.c: DROP and ALTER of continuous views and streams.
 *
 * What is said of a view (DROP VIEW, ALTER VIEW, COMMENT ON VIEW) is turned into the same about the
 * foreign table that it is; what would make a view differ from its query is refused.
 */
#include "backstream.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "ddl.h"
#include "outputdef.h"
#include "nodedefine.h"
#include "viewdef.h"
#include "views.h"

static Oid
relation_of(const RangeVar *rv)
{
	return RangeVarGetRelid(rv, NoLock, true);
}

static bool
names_view(const RangeVar *rv)
{
	return rv != NULL && bs_relation_is_view(relation_of(rv));
}

bool
bs_names_continuous_view(const BsUtilityCall *call, const RangeVar *rv)
{
	Oid relid = rv ? relation_of(rv) : InvalidOid;

	if (!OidIsValid(relid))
		return false;
	if (bs_relation_is_view(relid))
		return true;
	if (call->literal.active)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a continuous view", rv->relname),
				 errhint("Leave out CONTINUOUS for an ordinary view; use FOREIGN TABLE for a "
						 "stream.")));
	return false;
}

void
bs_refuse_children(List *parents)
{
	ListCell *cell;

	foreach (cell, parents)
	{
		RangeVar *rv = lfirst_node(RangeVar, cell);
		Oid relid = relation_of(rv);

		if (bs_relation_is_view(relid) || bs_relation_is_stream(relid))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("no table can inherit from \"%s\"", rv->relname),
							errdetail("Streams and continuous views stand by themselves.")));
	}
}

/* ---------- DROP ---------- */

static bool
drop_literal_names(BsUtilityCall *call, const RangeVar *rv, bool missing_ok)
{
	if (bs_names_continuous_view(call, rv))
		return true;
	ereport(missing_ok ? NOTICE : ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg(missing_ok ? "continuous view \"%s\" does not exist, skipping"
							   : "continuous view \"%s\" does not exist",
					rv->relname)));
	return false;
}

/*
 * DROP VIEW a, b: those that are continuous are dropped as foreign tables, after the ordinary ones,
 * which may read them.
 */
static void
views_drop(BsUtilityCall *call, DropStmt *statement)
{
	List *ordinary = NIL;
	List *continuous = NIL;
	ListCell *cell;

	foreach (cell, statement->objects)
	{
		RangeVar *rv = makeRangeVarFromNameList(lfirst(cell));

		if (call->literal.active && !drop_literal_names(call, rv, statement->missing_ok))
			continue;
		if (call->literal.active || names_view(rv))
			continuous = lappend(continuous, lfirst(cell));
		else
			ordinary = lappend(ordinary, lfirst(cell));
	}
	if (ordinary != NIL)
	{
		DropStmt *drop = copyObject(statement);

		drop->objects = copyObject(ordinary);
		bs_ddl_next_statement(call, (Node *) drop);
	}
	if (continuous != NIL)
	{
		DropStmt *drop = copyObject(statement);

		drop->objects = copyObject(continuous);
		drop->removeType = OBJECT_FOREIGN_TABLE;
		bs_ddl_next_statement(call, (Node *) drop);
	}
}

static bool
drops_a_continuous_view(const DropStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->objects)
	{
		if (names_view(makeRangeVarFromNameList(lfirst(cell))))
			return true;
	}
	return false;
}

void
bs_ddl_drop(BsUtilityCall *call)
{
	DropStmt *statement = (DropStmt *) call->pstmt->utilityStmt;

	if (statement->removeType == OBJECT_VIEW &&
		(call->literal.active || drops_a_continuous_view(statement)))
		views_drop(call, statement);
	else
		bs_ddl_next(call);
}

/* ---------- ALTER TABLE ---------- */

/* What may be done to a view; all else would make it differ from its query. */
static const AlterTableType allowed_for_views[] = {
	AT_GenericOptions,
	AT_ChangeOwner,
	AT_SetStatistics,
};

/* What may not be done to the columns of backstream.flow: the receiver fills them by position. */
static const AlterTableType refused_for_flow[] = {
	AT_AddColumn, AT_DropColumn, AT_AlterColumnType, AT_AddInherit, AT_SetNotNull,
};

static bool
is_among(AlterTableType type, const AlterTableType *types, size_t ntypes)
{
	for (size_t i = 0; i < ntypes; i++)
	{
		if (types[i] == type)
			return true;
	}
	return false;
}

/* ALTER VIEW v SET (a = 1) and RESET (a), as changes of options. */
static List *
options_set(Oid relid, AlterTableCmd *command, const char *source)
{
	List *stored = bs_viewdef_stored_options(relid);
	List *given = (List *) command->def;
	List *changes = NIL;
	ListCell *cell;

	if (command->subtype == AT_SetRelOptions)
		given = bs_view_options_from_user(given, source);
	foreach (cell, given)
	{
		DefElem *def = lfirst_node(DefElem, cell);
		bool is_set = bs_option_find(stored, def->defname) != NULL;

		if (command->subtype == AT_ResetRelOptions && !bs_view_option_exists(def->defname))
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
							errmsg("a continuous view has no option \"%s\"", def->defname),
							bs_error_position(source, def->location)));
		if (command->subtype == AT_SetRelOptions)
			def->defaction = is_set ? DEFELEM_SET : DEFELEM_ADD;
		else if (is_set)
			def->defaction = DEFELEM_DROP;
		else
			continue;
		changes = lappend(changes, def);
	}
	return changes;
}

static void
refuse_fixed_options(const char *name, List *changes)
{
	ListCell *cell;

	foreach (cell, changes)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (bs_view_option_is_fixed(def->defname))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("option \"%s\" of continuous view \"%s\" cannot be altered",
								   def->defname, name),
							errhint("Use CREATE OR REPLACE CONTINUOUS VIEW.")));
	}
}

/* A definition that waits to take over is altered with the one that is shown. */
static List *
options_of_both(Oid relid, List *changes)
{
	List *stored = bs_viewdef_stored_options(relid);
	List *both = list_copy(changes);
	ListCell *cell;

	if (bs_options_waiting(stored) == NIL)
		return both;
	foreach (cell, changes)
	{
		DefElem *def = copyObject(lfirst_node(DefElem, cell));
		bool is_set;

		def->defname = bs_option_next_name(def->defname);
		is_set = bs_option_find(stored, def->defname) != NULL;
		if (def->defaction != DEFELEM_DROP)
			def->defaction = is_set ? DEFELEM_SET : DEFELEM_ADD;
		else if (!is_set)
			continue;
		both = lappend(both, def);
	}
	return both;
}

/*
 * Not an error: a dump restores rights after the tables.  The workers look at the rights again when
 * they start the view.
 */
void
bs_view_check_owner(const BsViewDef *def)
{
	if (!bs_viewdef_owner_may_read(def))
		ereport(
			WARNING,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the owner of continuous view \"%s\" may not read its stream", def->name),
			 errdetail("The view is not fed as long as that is so."),
			 errhint("GRANT SELECT ON %s TO %s.",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(def->stream)),
												get_rel_name(def->stream)),
					 quote_identifier(GetUserNameFromId(def->owner, false)))));
}

static bool
has_command(AlterTableStmt *statement, AlterTableType type)
{
	ListCell *cell;

	foreach (cell, statement->cmds)
	{
		if (lfirst_node(AlterTableCmd, cell)->subtype == type)
			return true;
	}
	return false;
}

/* Does it change an option that nodes of the view have, too, or whether they get these? */
static bool
changes_nodes(AlterTableStmt *statement)
{
	ListCell *cell;
	ListCell *option;

	foreach (cell, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype != AT_GenericOptions)
			continue;
		foreach (option, (List *) command->def)
		{
			const char *name = lfirst_node(DefElem, option)->defname;

			/* Those that have not followed so far get what was changed meanwhile. */
			if (!bs_node_option_stays_here(name) || strcmp(name, "nodes_follow") == 0)
				return true;
		}
	}
	return false;
}

static void
view_alter(BsUtilityCall *call, Oid relid)
{
	AlterTableStmt *statement = (AlterTableStmt *) bs_ddl_own_statement(call);
	char *old_archive = bs_outputs_archive(relid);
	ListCell *cell;

	statement->objtype = OBJECT_FOREIGN_TABLE;
	foreach (cell, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype == AT_SetRelOptions || command->subtype == AT_ResetRelOptions)
		{
			command->def = (Node *) options_set(relid, command, call->source);
			command->subtype = AT_GenericOptions;
		}
		if (!is_among(command->subtype, allowed_for_views, lengthof(allowed_for_views)))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("continuous view \"%s\" cannot be altered in this way",
								   get_rel_name(relid)),
							errdetail("Its columns are those of its query."),
							errhint("Use CREATE OR REPLACE CONTINUOUS VIEW.")));
		if (command->subtype == AT_GenericOptions)
		{
			refuse_fixed_options(get_rel_name(relid), (List *) command->def);
			command->def = (Node *) options_of_both(relid, (List *) command->def);
		}
	}
	bs_ddl_next(call);
	if (has_command(statement, AT_ChangeOwner))
	{
		CommandCounterIncrement();
		bs_view_check_owner(bs_viewdef_load(relid, false));
	}
	CommandCounterIncrement();
	bs_outputs_altered(relid, old_archive);
	if (changes_nodes(statement))
		bs_node_view_defined(relid, BS_KEEP_REPLACE, false);
	bs_views_changed();
}

static void
refuse_becoming_a_view(Oid relid, AlterTableCmd *command)
{
	if (command->subtype == AT_GenericOptions &&
		bs_option_find((List *) command->def, "query") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("stream \"%s\" cannot become a continuous view", get_rel_name(relid)),
				 errhint("Use CREATE CONTINUOUS VIEW.")));
}

static void
stream_alter(BsUtilityCall *call, Oid relid)
{
	AlterTableStmt *statement = (AlterTableStmt *) call->pstmt->utilityStmt;
	bool is_flow = !creating_extension && relid == bs_flow_relation();
	ListCell *cell;

	foreach (cell, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		refuse_becoming_a_view(relid, command);
		if (is_flow && is_among(command->subtype, refused_for_flow, lengthof(refused_for_flow)))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("the columns of stream backstream.flow are fixed"),
							errhint("Declare a stream of your own: CREATE FOREIGN TABLE ... SERVER "
									"backstream.")));
		if (command->subtype == AT_AddInherit)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("stream \"%s\" cannot inherit", get_rel_name(relid)),
							errdetail("Streams and continuous views stand by themselves.")));
	}
	bs_ddl_next(call);
	CommandCounterIncrement();
	bs_stream_check(relid);
	bs_views_changed();
}

/* The oldest continuous view whose query uses this column; InvalidOid if none does. */
static Oid
view_using_column(Oid relid, AttrNumber column)
{
	Relation depend = table_open(DependRelationId, AccessShareLock);
	Oid found = InvalidOid;
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(column));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 3, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);

		if (row->classid == RelationRelationId && (!OidIsValid(found) || row->objid < found) &&
			bs_relation_is_view(row->objid))
			found = row->objid;
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return found;
}

/* PostgreSQL would raise an internal error: it does not expect a foreign table to use a column. */
static void
refuse_retyping_used_columns(Oid relid, AlterTableStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);
		Oid view;

		if (command->subtype != AT_AlterColumnType)
			continue;
		view = view_using_column(relid, get_attnum(relid, command->name));
		if (OidIsValid(view))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("cannot alter type of a column used by a continuous view"),
							errdetail("Continuous view \"%s\" uses column \"%s\".",
									  get_rel_name(view), command->name),
							errhint("Drop the view before, and create it anew.")));
	}
}

/* ALTER TABLE parent ATTACH PARTITION ours */
static void
refuse_attaching(AlterTableStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype == AT_AttachPartition)
			bs_refuse_children(list_make1(((PartitionCmd *) command->def)->name));
		else if (command->subtype == AT_AddInherit)
			bs_refuse_children(list_make1(command->def));
	}
}

void
bs_ddl_alter(BsUtilityCall *call)
{
	AlterTableStmt *statement = (AlterTableStmt *) call->pstmt->utilityStmt;
	Oid relid = relation_of(statement->relation);

	if (call->literal.active && !bs_names_continuous_view(call, statement->relation) &&
		!statement->missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("continuous view \"%s\" does not exist", statement->relation->relname)));
	refuse_attaching(statement);
	if (bs_relation_is_view(relid))
	{
		view_alter(call, relid);
		return;
	}
	if (OidIsValid(relid))
		refuse_retyping_used_columns(relid, statement);
	if (bs_relation_is_stream(relid))
		stream_alter(call, relid);
	else
		bs_ddl_next(call);
}

/* ---------- COMMENT ON VIEW ---------- */

void
bs_ddl_comment(BsUtilityCall *call)
{
	CommentStmt *statement = (CommentStmt *) call->pstmt->utilityStmt;

	if (statement->objtype == OBJECT_VIEW &&
		names_view(makeRangeVarFromNameList((List *) statement->object)))
		((CommentStmt *) bs_ddl_own_statement(call))->objtype = OBJECT_FOREIGN_TABLE;
	bs_ddl_next(call);
}
