/* SPDX-License-Identifier: PostgreSQL */
/* archivetable.c: the table that a view's closed windows go into.  See archive.h. */
#include "backstream.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "archive.h"
#include "viewdef.h"

/* ---------- names ---------- */

Oid
bs_archive_table(const char *name, bool missing_ok)
{
	if (name == NULL)
		return InvalidOid;
	return RangeVarGetRelid(makeRangeVarFromNameList(stringToQualifiedNameList(name)), NoLock,
							missing_ok);
}

char *
bs_archive_table_name(Oid table)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
									  get_rel_name(table));
}

/* ---------- making it ---------- */

static void
run_utility(Node *statement)
{
	PlannedStmt *pstmt = makeNode(PlannedStmt);

	pstmt->commandType = CMD_UTILITY;
	pstmt->utilityStmt = statement;
	pstmt->stmt_location = -1;
	ProcessUtility(pstmt, "CREATE CONTINUOUS VIEW", false, PROCESS_UTILITY_SUBCOMMAND, NULL, NULL,
				   None_Receiver, NULL);
	CommandCounterIncrement();
}

static Oid
make_table(Relation view, const BsViewShape *shape, RangeVar *rv)
{
	TupleDesc desc = RelationGetDescr(view);
	CreateStmt *create = makeNode(CreateStmt);
	IndexStmt *index = makeNode(IndexStmt);
	IndexElem *element = makeNode(IndexElem);
	Oid existing;

	rv->schemaname = get_namespace_name(RangeVarGetAndCheckCreationNamespace(rv, NoLock, &existing));
	create->relation = rv;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		create->tableElts = lappend(create->tableElts,
									makeColumnDef(NameStr(attribute->attname), attribute->atttypid,
												  attribute->atttypmod, attribute->attcollation));
	}
	create->oncommit = ONCOMMIT_NOOP;
	run_utility((Node *) create);
	/* Histories are asked for by time. */
	element->name = pstrdup(NameStr(TupleDescAttr(desc, shape->window_attno - 1)->attname));
	index->relation = rv;
	index->accessMethod = "btree";
	index->indexParams = list_make1(element);
	run_utility((Node *) index);
	return RangeVarGetRelid(rv, NoLock, false);
}

/* ---------- checking it ---------- */

static void
refuse_column(Relation table, const char *column, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("table \"%s\" cannot be the archive: column \"%s\"",
						   RelationGetRelationName(table), column),
					errdetail("%s", detail),
					errhint("Columns of the view are found in the table by their names.  ALTER the table, or "
							"name one that does not exist: it is made.")));
}

static Form_pg_attribute
column_named(Relation table, const char *name)
{
	TupleDesc desc = RelationGetDescr(table);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
			return attribute;
	}
	return NULL;
}

static void
check_column(Relation table, Form_pg_attribute wanted)
{
	const char *name = NameStr(wanted->attname);
	Form_pg_attribute found = column_named(table, name);

	if (found == NULL)
		refuse_column(table, name, "The view has it, the table does not.");
	else if (found->atttypid != wanted->atttypid)
		refuse_column(table, name,
					  psprintf("It is of type %s in the view and %s in the table.",
							   format_type_with_typemod(wanted->atttypid, wanted->atttypmod),
							   format_type_with_typemod(found->atttypid, found->atttypmod)));
	else if (found->attgenerated != '\0' || found->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		refuse_column(table, name, "The table generates its values.");
}

static void
check_other_columns(Relation view, Relation table)
{
	TupleDesc desc = RelationGetDescr(table);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && attribute->attnotnull && !attribute->atthasdef &&
			attribute->attidentity == '\0' && column_named(view, NameStr(attribute->attname)) == NULL)
			refuse_column(table, NameStr(attribute->attname),
						  "The view does not have it, and it is NOT NULL without a default.");
	}
}

void
bs_archive_check_table(Relation view, Relation table)
{
	TupleDesc desc = RelationGetDescr(view);
	char kind = table->rd_rel->relkind;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" cannot be an archive", RelationGetRelationName(table)),
						errdetail("It is not an ordinary or a partitioned table.")));
	if (table->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" cannot be an archive", RelationGetRelationName(table)),
						errdetail("Temporary and unlogged tables lose their rows.")));
	for (int i = 0; i < desc->natts; i++)
		check_column(table, TupleDescAttr(desc, i));
	check_other_columns(view, table);
}

/* One mark for one table: two views cannot share it. */
static void
check_no_other_view(Relation view, Oid table)
{
	ListCell *cell;

	foreach (cell, bs_viewdef_list())
	{
		Oid other = lfirst_oid(cell);
		DefElem *archive = bs_option_find(bs_viewdef_stored_options(other), "archive");

		if (other != RelationGetRelid(view) && archive != NULL &&
			bs_archive_table(strVal(archive->arg), true) == table)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
							errmsg("table \"%s\" is the archive of continuous view \"%s\" already",
								   get_rel_name(table), get_rel_name(other)),
							errhint("Each view needs a table of its own; a view over both shows them together.")));
	}
}

/* Not an error: a dump restores rights after the tables. */
static void
warn_of_rights(Relation view, Oid table)
{
	if (pg_class_aclcheck(table, view->rd_rel->relowner, ACL_INSERT) == ACLCHECK_OK ||
		pg_attribute_aclcheck_all(table, view->rd_rel->relowner, ACL_INSERT, ACLMASK_ANY) ==
			ACLCHECK_OK)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the owner of continuous view \"%s\" may not insert into its archive",
					RelationGetRelationName(view)),
			 errdetail("Windows wait in memory as long as that is so."),
			 errhint("GRANT INSERT, SELECT ON %s TO %s.", bs_archive_table_name(table),
					 quote_identifier(GetUserNameFromId(view->rd_rel->relowner, false)))));
}

Oid
bs_archive_prepare(Relation view, const BsViewShape *shape, const char *name)
{
	Oid relid = bs_archive_table(name, true);
	Relation table;

	if (!OidIsValid(relid))
		relid = make_table(view, shape,
						   makeRangeVarFromNameList(stringToQualifiedNameList(name)));
	table = table_open(relid, AccessShareLock);
	bs_archive_check_table(view, table);
	check_no_other_view(view, relid);
	warn_of_rights(view, relid);
	table_close(table, NoLock);
	return relid;
}
