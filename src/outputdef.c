/* SPDX-License-Identifier: PostgreSQL */
/* outputdef.c: which views can have which outputs.  See outputdef.h. */
#include "backstream.h"

#include "access/table.h"
#include "utils/rel.h"

#include "alerts.h"
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

void
bs_outputs_check(Oid relid)
{
	BsViewOptions options;
	BsViewShape *shape;
	Relation relation;

	bs_view_options_parse(bs_viewdef_stored_options(relid), &options);
	if (options.notify == NULL && options.archive == NULL)
		return;
	shape = bs_view_shape(relid);
	relation = table_open(relid, AccessShareLock);
	if (options.notify != NULL)
	{
		require_windows("notify", relation, shape);
		if (options.notify_on == BS_NOTIFY_CHANGE)
			bs_group_columns_check(shape, RelationGetDescr(relation));
	}
	table_close(relation, NoLock);
}
