/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodeportable.c: what may travel between servers: keys and values whose bytes mean the same on all of them.
 *
 * Within PostgreSQL's own types that is so for one major version and encoding, but for those that hold OIDs: enums, row
 * types, regclass and its like.  Of other types nobody knows.
 */
#include "backstream.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "nodedefine.h"

bool
bs_type_holds_oids(Oid type)
{
	switch (type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case REGCOLLATIONOID:
		case RECORDOID:
		case RECORDARRAYOID:
			return true;
		default:
			return false;
	}
}

/* Why values of this type cannot travel, or NULL. */
static const char *
refusal(Oid type)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);

	if (OidIsValid(element))
		return refusal(element);
	switch (get_typtype(base))
	{
		case TYPTYPE_ENUM:
			return "Enums are numbered differently on every server.";
		case TYPTYPE_COMPOSITE:
			return "Row types are numbered differently on every server.";
		default:
			break;
	}
	if (bs_type_holds_oids(base))
		return "Its values are numbers that mean something else on every server.";
	return base >= FirstNormalObjectId ? "It is not one of PostgreSQL's own types." : NULL;
}

static void
require_portable(Node *expr, const char *what)
{
	const char *why = refusal(exprType(expr));

	if (why != NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("%s of type %s cannot travel between nodes", what,
							   format_type_be(exprType(expr))),
						errdetail_internal("%s", why), errhint("Cast it to text.")));
}

/* Counting what is not NULL needs no values. */
static bool
only_counts(const Aggref *aggref)
{
	return aggref->aggdistinct == NIL && aggref->aggfnoid < FirstNormalObjectId &&
		   strcmp(get_func_name(aggref->aggfnoid), "count") == 0;
}

void
bs_node_require_portable(Query *query)
{
	List *aggregates = pull_var_clause((Node *) query->targetList, PVC_INCLUDE_AGGREGATES);
	ListCell *cell;

	foreach (cell, query->groupClause)
		require_portable(
			get_sortgroupclause_expr(lfirst_node(SortGroupClause, cell), query->targetList),
			"a key");
	aggregates =
		list_concat(aggregates, pull_var_clause(query->havingQual, PVC_INCLUDE_AGGREGATES));
	foreach (cell, aggregates)
	{
		Node *node = lfirst(cell);
		ListCell *argument;

		if (!IsA(node, Aggref) || only_counts((Aggref *) node))
			continue;
		foreach (argument, ((Aggref *) node)->args)
			require_portable((Node *) lfirst_node(TargetEntry, argument)->expr,
							 "an aggregate's argument");
	}
}
