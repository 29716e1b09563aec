/* SPDX-License-Identifier: PostgreSQL */
/* listening.c: statements that wait.  See listening.h. */
#include "backstream.h"

/* The headers of the protocol want those of GSSAPI, of which nothing is used here. */
#undef ENABLE_GSS

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "libpq/libpq.h"
#include "nodes/nodeFuncs.h"
#include "storage/proc.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "listening.h"
#include "viewshape.h"

/* ---------- what a statement looks at ---------- */

/* Streams and continuous views are foreign tables; an ordinary view's relations are in the list themselves. */
static bool
needs_no_snapshot(Oid relation)
{
	char kind = get_rel_relkind(relation);

	return kind == RELKIND_FOREIGN_TABLE || kind == RELKIND_VIEW;
}

static bool
is_among(const List *items, const PlanInvalItem *item)
{
	ListCell *cell;

	foreach (cell, items)
	{
		const PlanInvalItem *other = lfirst(cell);

		if (other->cacheId == item->cacheId && other->hashValue == item->hashValue)
			return true;
	}
	return false;
}

bool
bs_listening_reads_no_table(const EState *estate, const List *harmless)
{
	const PlannedStmt *statement = estate->es_plannedstmt;
	ListCell *cell;

	if (statement == NULL || IsolationUsesXactSnapshot() || statement->subplans != NIL ||
		statement->commandType != CMD_SELECT || statement->hasModifyingCTE)
		return false;
	foreach (cell, statement->relationOids)
		if (!needs_no_snapshot(lfirst_oid(cell)))
			return false;
	foreach (cell, statement->invalItems)
		if (!is_among(harmless, lfirst(cell)))
			return false;
	return true;
}

/* ---------- what a view names ---------- */

static bool
is_of_others(Oid function, void *context)
{
	Oid *extension = context;

	return function >= FirstUnpinnedObjectId &&
		   getExtensionOfObject(ProcedureRelationId, function) != *extension;
}

static bool
calls_others(Node *node, void *extension)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, calls_others, extension, 0);
	return check_functions_in_node(node, is_of_others, extension) ||
		   expression_tree_walker(node, calls_others, extension);
}

List *
bs_listening_harmless(Oid view)
{
	Oid extension = get_extension_oid(BS_EXTENSION, true);
	List *items = bs_view_shape(view)->invalidators;
	ListCell *cell;

	/* Of domains the constraints are not looked at here. */
	foreach (cell, items)
		if (lfirst_node(PlanInvalItem, cell)->cacheId != PROCOID)
			return NIL;
	while (bs_relation_is_view(view))
	{
		const BsViewDef *def = bs_viewdef_load(view, false);

		if (calls_others((Node *) def->query, &extension))
			return NIL;
		view = def->stream;
	}
	return items;
}

/* ---------- waiting ---------- */

/* The statement's snapshot, the only one there is, will not be looked at.  (One that is taken later sets xmin again.) */
static void
forget_snapshot(void)
{
	InvalidateCatalogSnapshot();
	if (ThereAreNoPriorRegisteredSnapshots())
		MyProc->xmin = InvalidTransactionId;
}

void
bs_listening_pause(bool reads_no_table)
{
	if (whereToSendOutput == DestRemote)
		(void) pq_flush();
	if (reads_no_table)
		forget_snapshot();
}
