/* SPDX-License-Identifier: PostgreSQL */
/*
 * viewdepend.c: what a continuous view's query names, as rows of pg_depend.  See viewdef.h.
 *
 * PostgreSQL records by itself that a foreign table depends on its schema, its server and the types
 * of its columns (these with the column's number); the rows of the query are those with the whole
 * table as dependant that refer to anything else.
 */
#include "backstream.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_namespace.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "viewdef.h"

/* Call visit for what the object depends on; visit returns false to end. */
static void
references_visit(Relation depend, const ObjectAddress *object,
				 bool (*visit)(Relation depend, HeapTuple tuple, void *arg), void *arg)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->objectId));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)) && visit(depend, tuple, arg))
		;
	systable_endscan(scan);
}

static bool
is_query_reference(const FormData_pg_depend *row)
{
	return row->objsubid == 0 && row->deptype == DEPENDENCY_NORMAL &&
		   row->refclassid != NamespaceRelationId && row->refclassid != ForeignServerRelationId;
}

static bool
undepend_visit(Relation depend, HeapTuple tuple, void *arg)
{
	if (is_query_reference((Form_pg_depend) GETSTRUCT(tuple)))
		CatalogTupleDelete(depend, &tuple->t_self);
	return true;
}

void
bs_viewdef_undepend(Oid relid)
{
	ObjectAddress view = {.classId = RelationRelationId, .objectId = relid};
	Relation depend = table_open(DependRelationId, RowExclusiveLock);

	references_visit(depend, &view, undepend_visit, NULL);
	table_close(depend, RowExclusiveLock);
}

static bool
lock_visit(Relation depend, HeapTuple tuple, void *arg)
{
	Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);
	bool *locked = arg;

	/* Not the archive, which nobody needs for the definition. */
	if (is_query_reference(row) && row->refclassid == RelationRelationId &&
		get_rel_relkind(row->refobjid) == RELKIND_FOREIGN_TABLE)
		*locked = ConditionalLockRelationOid(row->refobjid, AccessShareLock) &&
				  (!bs_relation_is_view(row->refobjid) || bs_viewdef_lock_nowait(row->refobjid));
	return *locked;
}

bool
bs_viewdef_lock_nowait(Oid relid)
{
	ObjectAddress view = {.classId = RelationRelationId, .objectId = relid};
	Relation depend = table_open(DependRelationId, AccessShareLock);
	bool locked = true;

	references_visit(depend, &view, lock_visit, &locked);
	table_close(depend, AccessShareLock);
	return locked;
}

List *
bs_dependents(Oid classid, Oid objid)
{
	Relation depend = table_open(DependRelationId, AccessShareLock);
	List *dependents = NIL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(objid));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);

		if (row->classid == classid)
			dependents = list_append_unique_oid(dependents, row->objid);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return dependents;
}

List *
bs_viewdef_uppers(Oid relid)
{
	List *uppers = NIL;
	ListCell *cell;

	foreach (cell, bs_dependents(RelationRelationId, relid))
		if (bs_relation_is_view(lfirst_oid(cell)))
			uppers = lappend_oid(uppers, lfirst_oid(cell));
	return uppers;
}

/* What can be reached from a view by its query: a list of ObjectAddress, each once. */
typedef struct Reach
{
	List *objects;
	bool of_view; /* only the rows of its query count for the view itself */
} Reach;

static bool
reach_visit(Relation depend, HeapTuple tuple, void *arg)
{
	Reach *reach = arg;
	Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);
	ObjectAddress *object;
	ListCell *cell;

	if (reach->of_view && !is_query_reference(row))
		return true;
	foreach (cell, reach->objects)
	{
		ObjectAddress *known = lfirst(cell);

		if (known->classId == row->refclassid && known->objectId == row->refobjid)
			return true;
	}
	object = palloc0(sizeof(*object));
	object->classId = row->refclassid;
	object->objectId = row->refobjid;
	reach->objects = lappend(reach->objects, object);
	return true;
}

/*
 * A view that needs itself, over whatever way (another view, its own row type), could be neither
 * dropped nor restored from a dump.
 */
static void
check_no_cycle(Oid relid)
{
	ObjectAddress view = {.classId = RelationRelationId, .objectId = relid};
	Reach reach = {.objects = NIL, .of_view = true};
	Relation depend = table_open(DependRelationId, AccessShareLock);

	references_visit(depend, &view, reach_visit, &reach);
	reach.of_view = false;
	for (int i = 0; i < list_length(reach.objects); i++)
	{
		ObjectAddress *object = list_nth(reach.objects, i);

		if (object->classId == RelationRelationId && object->objectId == relid)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("continuous view \"%s\" would depend on itself", get_rel_name(relid)),
					 errhint("Its query uses the view, or something that is made of it.")));
		references_visit(depend, object, reach_visit, &reach);
	}
	table_close(depend, AccessShareLock);
}

/* The columns of an entry of the range table that are read without being named: the time of a rolling view. */
static Bitmapset *
unnamed_columns(Query *query, int rtindex)
{
	RangeTblEntry *entry = rt_fetch(rtindex, query->rtable);
	Bitmapset *named = NULL;
	ListCell *lc;

	if (entry->rtekind != RTE_RELATION)
		return NULL;
	pull_varattnos((Node *) query->targetList, rtindex, &named);
	pull_varattnos((Node *) query->jointree, rtindex, &named);
	pull_varattnos(query->havingQual, rtindex, &named);
	foreach (lc, query->rtable)
		pull_varattnos((Node *) lfirst_node(RangeTblEntry, lc)->functions, rtindex, &named);
	return bms_difference(entry->selectedCols, named);
}

static void
depend_on_unnamed(const ObjectAddress *view, Query *query)
{
	for (int rtindex = 1; rtindex <= list_length(query->rtable); rtindex++)
	{
		Bitmapset *columns = unnamed_columns(query, rtindex);
		int member = -1;

		while ((member = bms_next_member(columns, member)) >= 0)
		{
			ObjectAddress column;

			ObjectAddressSubSet(column, RelationRelationId, rt_fetch(rtindex, query->rtable)->relid,
								member + FirstLowInvalidHeapAttributeNumber);
			if (column.objectSubId > 0)
				recordDependencyOn(view, &column, DEPENDENCY_NORMAL);
		}
	}
}

void
bs_viewdef_depend(Oid relid, Query *query)
{
	ObjectAddress view;

	ObjectAddressSet(view, RelationRelationId, relid);
	recordDependencyOnExpr(&view, (Node *) query, NIL, DEPENDENCY_NORMAL);
	depend_on_unnamed(&view, query);
	CommandCounterIncrement();
	check_no_cycle(relid);
}
