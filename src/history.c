/* SPDX-License-Identifier: PostgreSQL */
/*
 * history.c: backstream.history(NULL::v), live and archived windows in one relation, and backstream.tail(NULL::v),
 * windows as they close.  See history.h.
 *
 * The boundary is the mark of the archive (archive.h) as the statement's own snapshot sees it: rows and mark are
 * committed together, so the archive has all windows before it, and no other.  Windows from it on are read from
 * memory.
 */
#include "backstream.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "archive.h"
#include "history.h"
#include "node.h"
#include "noderead.h"
#include "reader.h"
#include "registry.h"
#include "viewdef.h"
#include "viewshape.h"

BS_SQL_FUNCTION(bs_history);
BS_SQL_FUNCTION(bs_tail);
BS_SQL_FUNCTION(bs_archived_before);

/* Rows fetched at a time where no hook has put the subquery in. */
#define FETCH_ROWS 1000

static planner_hook_type previous_planner;

/* ---------- the subquery ---------- */

/* "a, b", each prefixed. */
static char *
column_list(Oid relid)
{
	Relation relation = table_open(relid, AccessShareLock);
	TupleDesc desc = RelationGetDescr(relation);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < desc->natts; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(NameStr(TupleDescAttr(desc, i)->attname)));
	table_close(relation, NoLock);
	return list.data;
}

/* A view without an archive has its live windows. */
static char *
history_text(Oid view, Oid archive)
{
	char *columns = column_list(view);
	char *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(view)), get_rel_name(view));
	StringInfoData sql;

	initStringInfo(&sql);
	if (OidIsValid(archive))
		appendStringInfo(&sql, "SELECT %s FROM %s UNION ALL ", columns, bs_archive_table_name(archive));
	appendStringInfo(&sql, "SELECT %s FROM %s", columns, name);
	if (OidIsValid(archive))
		appendStringInfo(&sql, " WHERE %s >= (SELECT backstream.archived_before(%u, %u))",
						 quote_identifier(get_attname(view, bs_view_shape(view)->window_attno, false)), view, archive);
	return sql.data;
}

/* As for an ordinary view: its tables are read with its owner's rights. */
static bool
check_as_owner(Node *node, Oid *archive_and_owner)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, check_as_owner, archive_and_owner, QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && rte->relid == archive_and_owner[0])
			rte->checkAsUser = archive_and_owner[1];
		return false;
	}
	return expression_tree_walker(node, check_as_owner, archive_and_owner);
}

static Query *
analyse_text(const char *text)
{
	int level = bs_pinned_enter_text();
	RawStmt *raw = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT));
	Query *query = parse_analyze_fixedparams(raw, text, NULL, 0, NULL);

	bs_pinned_leave(level);
	return query;
}

static Query *
history_query(Oid view)
{
	BsViewOptions options;
	Oid archive_and_owner[2];
	Relation relation = bs_viewdef_open(view);
	Query *query;

	bs_view_options_parse(bs_viewdef_stored_options(view), &options);
	archive_and_owner[0] = bs_archive_table(options.archive, false);
	archive_and_owner[1] = relation->rd_rel->relowner;
	query = analyse_text(history_text(view, archive_and_owner[0]));
	if (OidIsValid(archive_and_owner[0]))
		(void) check_as_owner((Node *) query, archive_and_owner);
	relation_close(relation, NoLock);
	return linitial_node(Query, QueryRewrite(query));
}

/* ---------- the hook ---------- */

bool
bs_is_our_function(Oid function, const char *name)
{
	Oid schema = get_func_namespace(function);
	char *found;

	if (!OidIsValid(schema) || schema != get_namespace_oid(BS_EXTENSION, true))
		return false;
	found = get_func_name(function);
	return found != NULL && strcmp(found, name) == 0;
}

/* The view that a function in FROM is about; InvalidOid when it is not ours, or nothing can stand in its place. */
static Oid
view_of_function(const RangeTblEntry *rte, const char *name)
{
	FuncExpr *call;
	Oid relid;

	if (rte->rtekind != RTE_FUNCTION || list_length(rte->functions) != 1 || rte->funcordinality)
		return InvalidOid;
	call = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	if (!IsA(call, FuncExpr) || !bs_is_our_function(call->funcid, name) ||
		pg_proc_aclcheck(call->funcid, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		return InvalidOid;
	relid = get_typ_typrelid(call->funcresulttype);
	return OidIsValid(relid) && bs_relation_is_view(relid) ? relid : InvalidOid;
}

/* ---------- backstream.tail() ---------- */

/* Its second argument, however it is given; the planner has not put in defaults yet. */
static Node *
since_of_tail(const FuncExpr *call)
{
	ListCell *cell;

	foreach (cell, call->args)
	{
		NamedArgExpr *named = lfirst(cell);
		int number = IsA(named, NamedArgExpr) ? named->argnumber : foreach_current_index(cell);

		if (number == 1)
			return IsA(named, NamedArgExpr) ? (Node *) named->arg : (Node *) named;
	}
	return (Node *) makeNullConst(TIMESTAMPTZOID, -1, InvalidOid);
}

/* What stands for since must mean the same inside of a subquery. */
static bool
may_be_moved(Node *since)
{
	return !contain_var_clause(since) && !checkExprHasSubLink(since) && !contain_volatile_functions(since);
}

/* The scan of the view finds the mark, and follows (scan.h). */
static Query *
tail_query(Oid view, Node *since)
{
	BsViewShape *shape = bs_view_shape(view);
	char *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(view)), get_rel_name(view));
	FuncExpr *mark;
	Query *query;

	if (!shape->windowed || shape->window_attno == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("windows of continuous view \"%s\" cannot be followed", get_rel_name(view)),
						shape->windowed ? errdetail("None of its columns is the start of the window.")
										: errdetail("It has none that close.")));
	query = analyse_text(psprintf("SELECT %s FROM %s WHERE backstream.following(%s, NULL)", column_list(view), name,
								  quote_identifier(get_attname(view, shape->window_attno, false))));
	mark = castNode(FuncExpr, query->jointree->quals);
	mark->args = list_make2(linitial(mark->args), copyObject(since));
	return linitial_node(Query, QueryRewrite(query));
}

static void
put_subquery(RangeTblEntry *rte, Query *query)
{
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query;
	rte->security_barrier = false;
	rte->functions = NIL;
}

static void
replace_function(RangeTblEntry *rte)
{
	Oid view = view_of_function(rte, "history");

	if (OidIsValid(view))
	{
		put_subquery(rte, history_query(view));
		return;
	}
	view = view_of_function(rte, "tail");
	if (OidIsValid(view))
	{
		Node *since = since_of_tail((FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr);

		if (may_be_moved(since))
			put_subquery(rte, tail_query(view, since));
	}
}

static bool
replace_functions(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, replace_functions, context, QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		replace_function((RangeTblEntry *) node);
		return false;
	}
	return expression_tree_walker(node, replace_functions, context);
}

static PlannedStmt *
plan(Query *parse, const char *query_string, int cursorOptions, ParamListInfo boundParams)
{
	if (parse->commandType != CMD_UTILITY)
		(void) replace_functions((Node *) parse, NULL);
	return previous_planner ? previous_planner(parse, query_string, cursorOptions, boundParams)
							: standard_planner(parse, query_string, cursorOptions, boundParams);
}

void
bs_history_init(void)
{
	previous_planner = planner_hook;
	planner_hook = plan;
}

/* ---------- without the hook ---------- */

/*
 * Where PostgreSQL has the function run after all (in a select list, WITH ORDINALITY, in a function that it
 * inlines itself): all rows at once.
 */
static void
run_as_function(FunctionCallInfo fcinfo, const char *name, const char *arguments, int nargs, Datum since,
				bool since_is_null)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid relid = get_typ_typrelid(get_fn_expr_argtype(fcinfo->flinfo, 0));
	Oid types[] = {TIMESTAMPTZOID};
	char nulls[] = {since_is_null ? 'n' : ' '};
	char *sql;
	Portal portal;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC | MAT_SRF_BLESS);
	relation_close(bs_viewdef_open(relid), NoLock);
	sql = psprintf("SELECT * FROM backstream.%s(NULL::%s%s)", name,
				   quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid)), arguments);
	SPI_connect();
	portal = SPI_cursor_open_with_args(NULL, sql, nargs, types, &since, nulls, true, 0);
	do
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		for (uint64 i = 0; i < SPI_processed; i++)
			tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed > 0);
	SPI_cursor_close(portal);
	SPI_finish();
}

Datum
bs_history(PG_FUNCTION_ARGS)
{
	run_as_function(fcinfo, "history", "", 0, (Datum) 0, true);
	return (Datum) 0;
}

Datum
bs_tail(PG_FUNCTION_ARGS)
{
	run_as_function(fcinfo, "tail", ", $1", 1, PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1), PG_ARGISNULL(1));
	return (Datum) 0;
}

/* ---------- the boundary ---------- */

static TimestampTz
mark_of(Oid archive, Snapshot snapshot)
{
	Oid schema = get_namespace_oid(BS_EXTENSION, false);
	Relation marks = table_open(get_relname_relid("archived", schema), AccessShareLock);
	TimestampTz mark = DT_NOBEGIN;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool isnull;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(archive));
	scan = systable_beginscan(marks, get_relname_relid("archived_pkey", schema), true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		mark = DatumGetTimestampTz(heap_getattr(tuple, 3, RelationGetDescr(marks), &isnull));
	systable_endscan(scan);
	table_close(marks, NoLock);
	return mark;
}

/* The first window that a node has not dropped, of a view that nodes keep; of another, that is here. */
static int64
first_in_memory(Oid view)
{
	int64 first = bs_view_last_dropped(view);
	Relation relation;
	BsReader *reader;
	int nwindows;

	if (!bs_relation_is_remote(view))
		return first != BS_TIME_NEG_INFINITY ? first + 1 : first;
	relation = bs_viewdef_open(view);
	reader = bs_reader_open(view, RelationGetDescr(relation), bms_make_singleton(0),
							CurrentMemoryContext);
	(void) bs_reader_all_windows(reader, &nwindows);
	first = reader->nodes->dropped_before;
	bs_reader_close(reader);
	relation_close(relation, NoLock);
	return first;
}

/*
 * archived_before(view, archive): windows that start before this are in the archive as the statement sees it.  An
 * error when some that it does not see there have left the memory already.
 */
Datum
bs_archived_before(PG_FUNCTION_ARGS)
{
	Oid view = PG_GETARG_OID(0);
	Oid archive = PG_GETARG_OID(1);
	TimestampTz mark = mark_of(archive, GetActiveSnapshot());
	Snapshot latest = RegisterSnapshot(GetLatestSnapshot());
	TimestampTz now = mark_of(archive, latest);

	UnregisterSnapshot(latest);
	if (now > mark && first_in_memory(view) > mark)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("windows of continuous view \"%s\" have been archived and dropped "
							   "since the snapshot was taken",
							   get_rel_name(view)),
						errhint("Run the transaction again, or let the view retain windows for "
								"longer than it takes.")));
	PG_RETURN_TIMESTAMPTZ(mark);
}
