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

/* The definition that is shown, or the one that waits to take over, if it is suspended. */
static BsSharedView *
suspended_slot(Oid relid)
{
	BsSharedView *slots[2];

	bs_registry_lock_shared();
	slots[0] = bs_registry_slot_of(relid);
	slots[1] = bs_registry_waiting_of(relid);
	bs_registry_unlock();
	for (int i = 0; i < 2; i++)
		if (slots[i] != NULL && pg_atomic_read_u32(&slots[i]->state) == BS_SUSPENDED_CODE)
			return slots[i];
	return NULL;
}

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
	view = suspended_slot(relid);
	if (view == NULL)
		PG_RETURN_BOOL(false);
	CacheInvalidateRelcacheByRelid(relid);
	do
		bs_view_resume(view, BS_SUSPENDED_CODE);
	while ((view = suspended_slot(relid)) != NULL);
	bs_views_changed();
	PG_RETURN_BOOL(true);
}
