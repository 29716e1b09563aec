/* SPDX-License-Identifier: PostgreSQL */
/* refuse.c: what cannot be the query of a continuous view.  See refuse.h. */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "combine.h"
#include "foreignagg.h"
#include "native.h"
#include "options.h"
#include "query.h"
#include "refuse.h"
#include "sketches.h"
#include "viewdef.h"
#include "viewshape.h"
#include "spreadform.h"
#include "windowform.h"

typedef struct Refusal
{
	const char *message;
	const char *hint;
} Refusal;

static void
refuse(const Refusal *refusal, const BsPlace *place, int location)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", _(refusal->message)),
					errhint("%s", _(refusal->hint)),
					bs_error_position(place->source, location >= 0 ? location : place->statement)));
}

/* ---------- where a clause stands ---------- */

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

/* Of the first node with this tag among the query's own expressions. */
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

static int
grouping_set_location(Query *query)
{
	return query->groupingSets ? linitial_node(GroupingSet, query->groupingSets)->location : -1;
}

/* ---------- the shape ---------- */

static const Refusal no_select = {"a continuous view must be a SELECT",
								  "Write SELECT ... FROM backstream.flow GROUP BY ..."};
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
static const Refusal hop_is_key = {"hop() must be a key of GROUP BY by itself",
								   "It is the window of the view: SELECT hop(t, '10 s', '1 min') AS time, ... GROUP BY 1."};
static const Refusal no_into = {"a continuous view cannot have SELECT INTO",
								"The view itself holds the result."};
static const Refusal no_from = {"a continuous view must have a stream in FROM",
								"Write FROM backstream.flow, or another stream."};
static const Refusal no_joins = {
	"a continuous view reads one stream",
	"Join in a query, or an ordinary view, that reads the continuous view."};
static const Refusal no_rows = {
	"a continuous view must aggregate: raw records are not kept",
	"Use GROUP BY over what the records are to be counted by, and aggregates such as count(*) or "
	"sum(bytes)."};
static const Refusal no_sample = {"a continuous view cannot sample its stream with TABLESAMPLE",
								  "Use a condition in WHERE."};

static void
check_shape(Query *query, const BsPlace *place)
{
	const struct
	{
		bool refused;
		const Refusal *why;
		int location;
	} checks[] = {
		{query->setOperations != NULL, &no_set_operations, -1},
		{query->cteList != NIL, &no_with, cte_location(query)},
		{query->hasWindowFuncs, &no_window_functions, node_location(query, T_WindowFunc)},
		{query->hasSubLinks, &no_sub_selects, node_location(query, T_SubLink)},
		{query->distinctClause != NIL, &no_distinct, clause_location(query, query->distinctClause)},
		{query->sortClause != NIL, &no_order, clause_location(query, query->sortClause)},
		{query->limitCount != NULL, &no_limit, exprLocation(query->limitCount)},
		{query->limitOffset != NULL, &no_limit, exprLocation(query->limitOffset)},
		{query->rowMarks != NIL, &no_row_locks, -1},
		{query->groupingSets != NIL, &no_grouping_sets, grouping_set_location(query)},
	};

	if (query->utilityStmt != NULL)
		refuse(&no_into, place, -1);
	if (query->commandType != CMD_SELECT)
		refuse(&no_select, place, -1);
	for (size_t i = 0; i < lengthof(checks); i++)
		if (checks[i].refused)
			refuse(checks[i].why, place, checks[i].location);
}

/* ---------- FROM ---------- */

static RangeTblEntry *
single_from(const Query *query)
{
	BsFrom from = bs_query_from(query);

	return from.stream > 0 ? rt_fetch(from.stream, query->rtable) : NULL;
}

Oid
bs_query_stream(const Query *query)
{
	RangeTblEntry *entry = single_from(query);

	return entry && entry->rtekind == RTE_RELATION ? entry->relid : InvalidOid;
}

static void
check_relation(Oid relid, const BsPlace *place)
{
	if (!bs_relation_is_stream(relid) && !bs_relation_is_view(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is neither a stream nor a continuous view", get_rel_name(relid)),
				 errdetail("A continuous view sees records as they arrive, not the rows of a "
						   "table."),
				 errhint("Write FROM backstream.flow, or declare a stream: CREATE FOREIGN "
						 "TABLE ... SERVER backstream."),
				 bs_error_position(place->source, place->statement)));
}

/* Where an item of FROM stands, as far as the grammar says. */
static int
from_location(Node *item)
{
	switch (nodeTag(item))
	{
		case T_JoinExpr:
			return from_location(((JoinExpr *) item)->rarg);
		case T_RangeFunction:
			return exprLocation(linitial(linitial(((RangeFunction *) item)->functions)));
		case T_RangeTableSample:
			return ((RangeTableSample *) item)->location;
		case T_RangeVar:
			return ((RangeVar *) item)->location;
		default:
			return -1;
	}
}

static const Refusal *
from_refusal(Node *item)
{
	switch (nodeTag(item))
	{
		case T_RangeVar:
			return NULL;
		case T_RangeSubselect:
			return &no_sub_selects;
		case T_RangeTableSample:
			return &no_sample;
		case T_JoinExpr:
			return &no_joins;
		default:
			return &no_from;
	}
}

/* The analysed query does not tell where the items of FROM stood. */
static void
check_raw_from(List *from, const BsPlace *place)
{
	Node *item = from != NIL ? linitial(from) : NULL;
	BsPlace here = *place;
	Oid relid;

	/* The analysis and bs_spread_check() say whether it is one of that form. */
	if (list_length(from) == 1 && IsA(item, JoinExpr) && bs_is_raw_spread(((JoinExpr *) item)->rarg) &&
		((JoinExpr *) item)->jointype == JOIN_INNER)
		item = ((JoinExpr *) item)->larg;
	else if (list_length(from) > 1 && !(list_length(from) == 2 && bs_is_raw_spread(lsecond(from))))
		refuse(&no_joins, place, from_location(lsecond(from)));
	if (item == NULL)
		return;
	if (from_refusal(item) != NULL)
		refuse(from_refusal(item), place, from_location(item));
	relid = RangeVarGetRelid((RangeVar *) item, NoLock, true);
	if (!OidIsValid(relid))
		return; /* the analysis will say so */
	here.statement = from_location(item);
	check_relation(relid, &here);
}

void
bs_refuse_raw(Node *select, const char *source, int location)
{
	BsPlace place = {source, location};
	SelectStmt *statement = (SelectStmt *) select;

	if (select == NULL || !IsA(select, SelectStmt))
		return;
	if (statement->op == SETOP_NONE && statement->withClause == NULL)
		check_raw_from(statement->fromClause, &place);
}

void
bs_refuse_raw_lower(Node *select, const char *source)
{
	SelectStmt *statement = (SelectStmt *) select;
	Node *item;
	BsPlace place = {.source = source};
	Oid relid;

	if (!IsA(select, SelectStmt) || list_length(statement->fromClause) != 1)
		return;
	item = linitial(statement->fromClause);
	if (!IsA(item, RangeVar))
		return;
	relid = RangeVarGetRelid((RangeVar *) item, NoLock, true);
	place.statement = from_location(item);
	if (bs_relation_is_view(relid) && !bs_view_shape(relid)->windowed)
		bs_refuse_windowless(relid, &place);
}

static void
check_from(Query *query, const BsPlace *place)
{
	RangeTblEntry *entry;
	BsFrom from;

	if (query->jointree->fromlist == NIL)
		refuse(&no_from, place, -1);
	entry = single_from(query);
	if (entry == NULL)
		refuse(&no_joins, place, -1);
	if (entry->rtekind == RTE_SUBQUERY)
		refuse(&no_sub_selects, place, -1);
	if (entry->rtekind == RTE_VALUES)
		refuse(&no_select, place, -1);
	if (entry->rtekind != RTE_RELATION)
		refuse(&no_from, place, -1);
	if (entry->tablesample != NULL)
		refuse(&no_sample, place, -1);
	check_relation(entry->relid, place);
	from = bs_query_from(query);
	bs_spread_check(query, &from, place);
}

/* ---------- expressions ---------- */

static const Refusal no_whole_row = {"a continuous view cannot use a whole row of its stream",
									 "Name the columns that are wanted."};
static const Refusal no_system_columns = {
	"a continuous view cannot use system columns: records of a stream have none", "Leave it out."};
static const Refusal no_parameters = {
	"a continuous view cannot have parameters",
	"Write the value, or the condition in the query that reads the view."};
static const Refusal no_grouping_function = {"a continuous view cannot use GROUPING()",
											 "Use grouping sets where the view is read."};
static const Refusal no_current_values = {
	"a continuous view cannot ask for the time, the role or the schema of the moment",
	"Records are evaluated as they arrive, by background workers, and results are read at any "
	"time. "
	"Use a column such as time_received, or write the condition in the query that reads the view."};

/*
 * Stable functions of PostgreSQL's own whose value is not a matter of the view's definition and its
 * records: what they return differs between writers, readers and moments.  A star stands for any
 * end.
 */
static const char *const unsettled[] = {
	"now",
	"statement_timestamp",
	"current_*",
	"session_user",
	"show_config_*",
	"inet_client_*",
	"inet_server_*",
	"has_*",
	"row_security_*",
	"xid_age",
	"mxid_age",
	"database_to_xml*",
	"schema_to_xml*",
	"table_to_xml*",
	"pg_backend_*",
	"pg_client_encoding",
	"pg_column_*",
	"pg_conf_*",
	"pg_current_*",
	"pg_describe_*",
	"pg_event_*",
	"pg_filenode_*",
	"pg_get_*",
	"pg_has_*",
	"pg_identify_*",
	"pg_index*",
	"pg_is_*",
	"pg_my_*",
	"pg_postmaster_*",
	"pg_relation_*",
	"pg_replication_*",
	"pg_sequence_*",
	"pg_settings_*",
	"pg_stat_*",
	"pg_tablespace_*",
	"pg_trigger_depth",
	"to_reg*",
};

static bool
matches(const char *name, const char *pattern)
{
	size_t len = strlen(pattern);

	if (pattern[len - 1] == '*')
		return strncmp(name, pattern, len - 1) == 0;
	return strcmp(name, pattern) == 0;
}

static bool
is_unsettled(Oid function)
{
	const char *name = bs_builtin_name(function);

	if (name == NULL || func_volatile(function) != PROVOLATILE_STABLE)
		return false;
	for (size_t i = 0; i < lengthof(unsettled); i++)
		if (matches(name, unsettled[i]))
			return true;
	return false;
}

typedef struct Check
{
	const BsPlace *place;
	int location; /* of the node in hand */
	bool fixed;   /* it stays there: locations in the tree are not those of the source */
	List *keys;   /* the expressions of GROUP BY */
	int spread;   /* of spread() in the range table, or 0 */
} Check;

static void
refuse_function(Oid function, const char *message, const char *hint, const Check *check)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg(message, format_procedure(function)),
			 errhint("%s", hint), bs_error_position(check->place->source, check->location)));
}

static bool
check_function(Oid function, void *argument)
{
	const Check *check = argument;

	if (func_volatile(function) == PROVOLATILE_VOLATILE)
		refuse_function(
			function, "volatile function %s cannot be used in a continuous view",
			"A continuous view must come to the same for the same records. If the function "
			"does, declare it IMMUTABLE or STABLE.",
			check);
	if (is_unsettled(function))
		refuse_function(function, "function %s cannot be used in a continuous view",
						no_current_values.hint, check);
	return false;
}

static void
refuse_aggregate(const Aggref *aggref, const char *detail, const char *hint, const Check *check)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("aggregate function %s cannot be used in a continuous view",
						   format_procedure(aggref->aggfnoid)),
					errdetail("%s", detail), errhint("%s", hint),
					bs_error_position(check->place->source, aggref->location)));
}

void
bs_refuse_distinct(const Aggref *aggref, const BsPlace *place)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("aggregate function %s over DISTINCT values cannot be used in a continuous view",
					format_procedure(aggref->aggfnoid)),
			 errdetail("Over DISTINCT values there are aggregates of one argument that pass over NULLs, "
					   "and for interval and character(n) count, min and max."),
			 errhint("Group by the argument too, and use the aggregate where the view is read."),
			 bs_error_position(place->source, aggref->location)));
}

static void
check_aggregate(const Aggref *aggref, const Check *check)
{
	static const Refusal ordered = {
		"a continuous view cannot have ORDER BY in an aggregate",
		"Records are aggregated as they arrive. Order what is read from the view."};
	static const Refusal combined = {
		"a continuous view cannot combine the states of another one",
		"Use combine() in a query, or an ordinary view, that reads the continuous view; or count "
		"what it counts from the stream."};
	const char *why;

	if (bs_combine_is_call(aggref))
		refuse(&combined, check->place, aggref->location);
	if (AGGKIND_IS_ORDERED_SET(aggref->aggkind))
		refuse_aggregate(
			aggref, "It needs all values at once, in order.",
			"Use approx_percentile(), avg, min and max, or count(*) FILTER (WHERE ...) for each "
			"range of values.",
			check);
	if (aggref->aggorder != NIL)
		refuse(&ordered, check->place, aggref->location);
	bs_sketch_check_call(aggref);
	why = bs_foreignagg_refusal(aggref);
	if (why != NULL)
		refuse_aggregate(aggref, why,
						 "Group by the argument too, and use the aggregate where the view is read.",
						 check);
}

static void
check_var(const Var *var, const Check *check)
{
	if (var->varattno == InvalidAttrNumber && (int) var->varno != check->spread)
		refuse(&no_whole_row, check->place, check->location);
	if (var->varattno < 0)
		refuse(&no_system_columns, check->place, check->location);
}

static bool
expression_walker(Node *node, Check *check)
{
	int outer = check->location;
	bool result;

	if (node == NULL)
		return false;
	if (!check->fixed && exprLocation(node) >= 0)
		check->location = exprLocation(node);
	if (IsA(node, Var))
		check_var((Var *) node, check);
	else if (IsA(node, Aggref))
		check_aggregate((Aggref *) node, check);
	else if (IsA(node, Param))
		refuse(&no_parameters, check->place, check->location);
	else if (IsA(node, GroupingFunc))
		refuse(&no_grouping_function, check->place, check->location);
	else if (IsA(node, SQLValueFunction))
		refuse(&no_current_values, check->place, check->location);
	else if (bs_is_own_function(node, "hop"))
	{
		if (!list_member(check->keys, node))
			refuse(&hop_is_key, check->place, check->location);
	}
	else if ((IsA(node, FuncExpr) && ((FuncExpr *) node)->funcretset) ||
			 (IsA(node, OpExpr) && ((OpExpr *) node)->opretset))
		refuse(&no_set_returning, check->place, check->location);
	/* Aggregates are of no volatility; their functions are checked like any other's. */
	if (!IsA(node, Aggref))
		(void) check_functions_in_node(node, check_function, check);
	result = expression_tree_walker(node, expression_walker, check);
	check->location = outer;
	return result;
}

static void
check_expressions(Query *query, const BsPlace *place)
{
	Check check = {place, place->statement, false};

	check.spread = bs_query_from(query).spread;
	check.keys = get_sortgrouplist_exprs(query->groupClause, query->targetList);
	(void) expression_walker((Node *) query->targetList, &check);
	(void) expression_walker(query->jointree->quals, &check);
	(void) expression_walker(query->havingQual, &check);
}

void
bs_refuse_query(Query *query, const BsPlace *place)
{
	check_shape(query, place);
	check_from(query, place);
	check_expressions(query, place);
	if (!query->hasAggs && query->groupClause == NIL && query->havingQual == NULL)
		refuse(&no_rows, place, -1);
}

void
bs_refuse_simplified(Node *expr, Node *original, const BsPlace *place)
{
	int location = exprLocation(original);
	Check check = {place, location >= 0 ? location : place->statement, true};

	(void) expression_walker(expr, &check);
}

/* ---------- found by the split ---------- */

void
bs_refuse_two_windows(Node *node, const BsPlace *place)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a continuous view can have only one window"),
			 errhint("Create a continuous view for each, or bring the windows of one into longer "
					 "ones where it is read."),
			 bs_error_position(place->source, exprLocation(node))));
	pg_unreachable();
}

void
bs_refuse_key_type(Node *node, Oid type, Oid collation, const BsPlace *place)
{
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a continuous view cannot group by a value with nondeterministic collation "
						"\"%s\"",
						get_collation_name(collation)),
				 errhint("Add COLLATE with a deterministic collation, such as \"C\"."),
				 bs_error_position(place->source, exprLocation(node))));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a continuous view cannot group by values of type %s", format_type_be(type)),
			 errdetail("Values of this type can be equal without being the same bytes."),
			 errhint("Group by a part of it, or by its text: (...)::text."),
			 bs_error_position(place->source, exprLocation(node))));
	pg_unreachable();
}

void
bs_refuse_windowless(Oid lower, const BsPlace *place)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("continuous view \"%s\" has no windows that another one could read",
					get_rel_name(lower)),
			 errdetail("The records of a view over a view are the rows of closed windows."),
			 errhint("Group \"%s\" by a window such as tumble(time_flow_end, '1 min'), or write an "
					 "ordinary view over it.",
					 get_rel_name(lower)),
			 bs_error_position(place->source, place->statement)));
	pg_unreachable();
}

void
bs_refuse_size(const char *why, const BsPlace *place)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("the query is too large for a continuous view"), errdetail("%s.", why),
					errhint("Divide it into several continuous views."),
					bs_error_position(place->source, place->statement)));
	pg_unreachable();
}
