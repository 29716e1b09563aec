/* SPDX-License-Identifier: PostgreSQL */
/* outputdef.c: which views can have which outputs.  See outputdef.h. */
#include "backstream.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "utils/rel.h"

#include "alerts.h"
#include "archive.h"
#include "outputdef.h"

static void
require_windows(const char *option, Relation relation, const BsViewShape *shape)
{
	if (!shape->windowed)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("continuous view \"%s\" cannot have option \"%s\"",
							   RelationGetRelationName(relation), option),
						errdetail("It has no windows: nothing of it is ever final."),
						errhint("Group by tumble(...), or make a view with windows over it.")));
}

/* The boundary between what is archived and what is live is a time in a column. */
static void
require_window_column(Relation relation, const BsViewShape *shape)
{
	if (shape->window_attno == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("continuous view \"%s\" cannot have option \"archive\"",
							   RelationGetRelationName(relation)),
						errdetail("None of its columns is the start of the window."),
						errhint("Add it to the select list.")));
}

/* The stored name follows the table, and pg_depend what is stored. */
static void
settle_archive(Oid relid, const BsViewShape *shape, const BsViewOptions *options)
{
	Relation relation = table_open(relid, AccessShareLock);
	Oid table = bs_archive_prepare(relation, shape, options->archive);
	Oid owner = relation->rd_rel->relowner;
	char *name = bs_archive_table_name(table);
	ObjectAddress view;
	ObjectAddress archive;

	/* ALTER TABLE wants it closed. */
	table_close(relation, NoLock);
	if (strcmp(name, options->archive) != 0)
		bs_viewdef_store_option(relid, owner, "archive", name);
	ObjectAddressSet(view, RelationRelationId, relid);
	ObjectAddressSet(archive, RelationRelationId, table);
	recordDependencyOn(&view, &archive, DEPENDENCY_NORMAL);
	CommandCounterIncrement();
}

void
bs_outputs_check(Oid relid)
{
	BsViewOptions options;
	BsViewShape *shape;
	Relation relation;

	bs_view_options_parse(bs_viewdef_stored_options(relid), &options);
	if (options.notify == NULL && options.archive == NULL)
		return;
	relation = table_open(relid, AccessShareLock);
	shape = bs_view_shape(relid);
	if (options.notify != NULL)
	{
		require_windows("notify", relation, shape);
		if (options.notify_on == BS_NOTIFY_CHANGE)
			bs_group_columns_check(shape, RelationGetDescr(relation));
	}
	if (options.archive != NULL)
	{
		require_windows("archive", relation, shape);
		require_window_column(relation, shape);
	}
	table_close(relation, NoLock);
	if (options.archive != NULL)
		settle_archive(relid, shape, &options);
}

char *
bs_outputs_archive(Oid relid)
{
	BsViewOptions options;

	bs_view_options_parse(bs_viewdef_stored_options(relid), &options);
	return options.archive;
}

void
bs_outputs_altered(Oid relid, const char *old_archive)
{
	if (old_archive != NULL)
	{
		BsViewDef *def = bs_viewdef_load(relid, false);

		bs_viewdef_undepend(relid);
		CommandCounterIncrement();
		bs_viewdef_depend(relid, def->query);
	}
	bs_outputs_check(relid);
}
