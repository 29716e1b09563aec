/* SPDX-License-Identifier: PostgreSQL */
/* resume.c: backstream.resume(): ending the suspension of a view whose code took too long. */
#include "backstream.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

#include "registry.h"
#include "viewdef.h"
#include "views.h"

BS_SQL_FUNCTION(bs_resume);

/*
 * resume(regclass) returns whether the view was suspended.  It is compiled anew by every writer, so that
 * what was held against it is forgotten, and goes on counting; what came meanwhile was not counted.
 */
Datum
bs_resume(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);
	BsSharedView *view;

	if (!bs_relation_is_view(relid))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a continuous view", get_rel_name(relid))));
	if (!pg_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	view = bs_registry_find_any(relid);
	if (view == NULL || pg_atomic_read_u32(&view->state) != BS_SUSPENDED_CODE)
		PG_RETURN_BOOL(false);
	CacheInvalidateRelcacheByRelid(relid);
	bs_view_resume(view, BS_SUSPENDED_CODE);
	bs_views_changed();
	PG_RETURN_BOOL(true);
}
