/* SPDX-License-Identifier: PostgreSQL */
/* query.c: what the query of a continuous view may be.  See query.h. */
#include "backstream.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "query.h"
#include "viewdef.h"

typedef struct Refusal
{
	const char *message;
	const char *hint;
} Refusal;

static void
refuse(const Refusal *refusal, const char *source, int location)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", _(refusal->message)),
					errhint("%s", _(refusal->hint)), bs_error_position(source, location)));
}

/* ---------- where something stands ---------- */

typedef struct NodeSearch
{
	NodeTag tag;
	int location;
} NodeSearch;

static bool
node_search_walker(Node *node, NodeSearch *search)
{
	if (node == NULL)
		return false;
	if (nodeTag(node) == search->tag)
	{
		search->location = exprLocation(node);
		return true;
	}
	return expression_tree_walker(node, node_search_walker, search);
}

/* Location of the first node with this tag among the query's own expressions. */
static int
node_location(Query *query, NodeTag tag)
{
	NodeSearch search = {.tag = tag, .location = -1};

	(void) query_tree_walker(query, node_search_walker, &search, QTW_IGNORE_RT_SUBQUERIES);
	return search.location;
}

static int
clause_location(Query *query, List *clauses)
{
	TargetEntry *entry;

	if (clauses == NIL)
		return -1;
	entry = get_sortgroupclause_tle(linitial_node(SortGroupClause, clauses), query->targetList);
	return exprLocation((Node *) entry->expr);
}

static int
cte_location(Query *query)
{
	return query->cteList ? linitial_node(CommonTableExpr, query->cteList)->location : -1;
}

/* ---------- the shape ---------- */

static const Refusal no_set_operations = {
	"a continuous view cannot combine SELECTs with UNION, INTERSECT or EXCEPT",
	"Create a continuous view for each, and an ordinary view that combines them."};
static const Refusal no_with = {"the query of a continuous view cannot have WITH",
								"Write the expressions where they are used."};
static const Refusal no_window_functions = {
	"a continuous view cannot use window functions",
	"Use them in a query, or an ordinary view, that reads the continuous view."};
static const Refusal no_sub_selects = {
	"a continuous view cannot have sub-selects",
	"Join with other tables in a query, or an ordinary view, that reads the continuous view."};
static const Refusal no_distinct = {"a continuous view cannot have SELECT DISTINCT",
									"Use GROUP BY over the same columns."};
static const Refusal no_order = {"a continuous view cannot have ORDER BY",
								 "Write ORDER BY in the query that reads it."};
static const Refusal no_limit = {"a continuous view cannot have LIMIT or OFFSET",
								 "Write LIMIT in the query that reads it."};
static const Refusal no_row_locks = {"a continuous view cannot lock rows",
									 "Leave out FOR UPDATE or FOR SHARE."};
static const Refusal no_grouping_sets = {
	"a continuous view cannot have GROUPING SETS, ROLLUP or CUBE",
	"Create a continuous view grouped by all columns, and use grouping sets where it is read."};
static const Refusal no_set_returning = {"a continuous view cannot use functions that return sets",
										 "Use them in a query that reads the continuous view."};
static const Refusal no_into = {"a continuous view cannot have SELECT INTO",
								"The view itself holds the result."};
static const Refusal no_from = {"a continuous view must have a stream in FROM",
								"Write FROM backstream.flow, or another stream."};
static const Refusal no_joins = {
	"a continuous view reads one stream",
	"Join in a query, or an ordinary view, that reads the continuous view."};

static void
check_shape(Query *query, const char *source, int location)
{
	const struct
	{
		bool refused;
		const Refusal *why;
		int location;
	} checks[] = {
		{query->setOperations != NULL, &no_set_operations, location},
		{query->cteList != NIL, &no_with, cte_location(query)},
		{query->hasWindowFuncs, &no_window_functions, node_location(query, T_WindowFunc)},
		{query->hasSubLinks, &no_sub_selects, node_location(query, T_SubLink)},
		{query->distinctClause != NIL, &no_distinct, clause_location(query, query->distinctClause)},
		{query->sortClause != NIL, &no_order, clause_location(query, query->sortClause)},
		{query->limitCount != NULL, &no_limit, exprLocation(query->limitCount)},
		{query->limitOffset != NULL, &no_limit, exprLocation(query->limitOffset)},
		{query->rowMarks != NIL, &no_row_locks, location},
		{query->groupingSets != NIL, &no_grouping_sets, location},
		{query->hasTargetSRFs, &no_set_returning, location},
	};

	for (size_t i = 0; i < lengthof(checks); i++)
	{
		if (checks[i].refused)
			refuse(checks[i].why, source, checks[i].location);
	}
}

/* ---------- FROM ---------- */

static RangeTblEntry *
single_from(const Query *query)
{
	Node *from;

	if (query->jointree == NULL || list_length(query->jointree->fromlist) != 1)
		return NULL;
	from = linitial(query->jointree->fromlist);
	if (!IsA(from, RangeTblRef))
		return NULL;
	return rt_fetch(((RangeTblRef *) from)->rtindex, query->rtable);
}

static void
check_from(Query *query, const char *source, int location)
{
	RangeTblEntry *entry;

	if (query->jointree->fromlist == NIL)
		refuse(&no_from, source, location);
	entry = single_from(query);
	if (entry == NULL)
		refuse(&no_joins, source, location);
	if (entry->rtekind == RTE_SUBQUERY)
		refuse(&no_sub_selects, source, location);
	if (entry->rtekind != RTE_RELATION)
		refuse(&no_from, source, location);
	if (bs_relation_is_view(entry->relid))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a continuous view over a continuous view is not supported yet"),
						errhint("Write an ordinary view over \"%s\".", get_rel_name(entry->relid)),
						bs_error_position(source, location)));
	if (!bs_relation_is_stream(entry->relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream", get_rel_name(entry->relid)),
				 errdetail("A continuous view sees records as they arrive, not the rows of a "
						   "table."),
				 errhint("Write FROM backstream.flow, or declare a stream: CREATE FOREIGN "
						 "TABLE ... SERVER backstream."),
				 bs_error_position(source, location)));
}

Oid
bs_query_stream(const Query *query)
{
	RangeTblEntry *entry = single_from(query);

	return entry && entry->rtekind == RTE_RELATION ? entry->relid : InvalidOid;
}

void
bs_query_check(Query *query, const char *source_text, int stmt_location,
			   const BsViewOptions *options)
{
	if (query->utilityStmt != NULL)
		refuse(&no_into, source_text, stmt_location);
	if (query->commandType != CMD_SELECT)
		refuse(&no_from, source_text, stmt_location);
	check_shape(query, source_text, stmt_location);
	check_from(query, source_text, stmt_location);
}
