/* SPDX-License-Identifier: PostgreSQL */
/* final.c: backstream.is_final(): is what a view says of a time its last word? */
#include "backstream.h"

#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "access/relation.h"
#include "node.h"
#include "registry.h"
#include "viewdef.h"
#include "viewshape.h"

BS_SQL_FUNCTION(bs_is_final);

static void
require_windows(Oid relid, const BsViewShape *shape)
{
	if (!shape->windowed)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("continuous view \"%s\" has no windows that close", get_rel_name(relid)),
						errhint("Its answer is never final.")));
}

/*
 * is_final(view, time): are all windows that the time falls into closed?  A time that is in no window (infinity) has
 * none that is.
 */
Datum
bs_is_final(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);
	TimestampTz time = PG_GETARG_TIMESTAMPTZ(1);
	Relation relation = bs_viewdef_open(relid);
	BsViewShape *shape;
	BsSharedView *view;
	bool final;

	if (bs_relation_is_remote(relid))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("continuous view \"%s\" is kept by other servers", get_rel_name(relid)),
						errhint("Ask each of them.")));
	shape = bs_view_shape(relid);
	require_windows(relid, shape);
	view = bs_registry_find_any(relid);
	final = !TIMESTAMP_NOT_FINITE(time) && view != NULL &&
			bs_window_start(&shape->windowing, time) < (int64) pg_atomic_read_u64(&view->closed_before);
	relation_close(relation, AccessShareLock);
	PG_RETURN_BOOL(final);
}
