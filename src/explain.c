/* SPDX-License-Identifier: PostgreSQL */
/*
 * explain.c: backstream.explain(query): how a continuous view of this query would be kept.
 *
 * Says what it would cost before it is created: which expressions the engine evaluates by itself,
 * which PostgreSQL computes for it, and how many bytes a group takes.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "active.h"
#include "backstream.h"
#include "engine/share.h"
#include "pinned.h"
#include "query.h"
#include "remember.h"
#include "viewdef.h"
#include "viewshape.h"

#define NCOLUMNS 4
#define MAX_NAMES 10

typedef struct Explain
{
	ReturnSetInfo *result;
	Query *query;
	BsViewProgram *view;
	BsViewTiming timing;
} Explain;

static void
put_row(Explain *explain, const char *part, Node *expr, const char *evaluated, int bytes)
{
	Datum values[NCOLUMNS] = {0};
	bool nulls[NCOLUMNS] = {false, true, true, true};

	values[0] = CStringGetTextDatum(part);
	if (expr != NULL)
	{
		values[1] = CStringGetTextDatum(bs_view_expression_text(explain->view, expr));
		nulls[1] = false;
	}
	if (evaluated != NULL)
	{
		values[2] = CStringGetTextDatum(evaluated);
		nulls[2] = false;
	}
	if (bytes >= 0)
	{
		values[3] = Int32GetDatum(bytes);
		nulls[3] = false;
	}
	tuplestore_putvalues(explain->result->setResult, explain->result->setDesc, values, nulls);
}

static bool
has_foreign(const BsExpr *expr)
{
	if (expr == NULL)
		return false;
	if (expr->op == BS_OP_FOREIGN)
		return true;
	for (uint32_t i = 0; i < expr->nargs; i++)
		if (has_foreign(expr->args[i]))
			return true;
	return false;
}

/* Who evaluates a tree. */
static const char *
evaluation(const BsExpr *expr)
{
	if (expr != NULL && expr->op == BS_OP_FOREIGN)
		return "computed";
	return has_foreign(expr) ? "native over computed" : "native";
}

static void
put_key(Explain *explain, const BsScanColumn *column)
{
	const BsProgram *program = &explain->view->program;
	const BsKey *key = &program->keys[column->key];
	int bytes = key->width;

	if (column->shown >= 0)
		bytes +=
			(int) bs_aggregate_state_bytes(BS_AGG_ANY, program->aggregates[column->shown].type);
	put_row(explain, "key", column->expr, evaluation(key->expr), bytes);
}

static int
state_bytes(const BsAggregate *aggregate)
{
	int carry = aggregate->kind == BS_AGG_SUM_INT ? (int) sizeof(int32) : 0;

	return (int) bs_aggregate_state_bytes(aggregate->kind, aggregate->type) + carry;
}

/* DISTINCT values are rows of a table of their own. */
static const char *
set_evaluation(const BsSet *set)
{
	return psprintf("%s; %u bytes, and its share of an index, for each value of a group",
					evaluation(set->argument), set->rows->row_bytes);
}

static void
put_aggregate(Explain *explain, const BsScanColumn *column)
{
	const BsFinal *final = &column->final;
	const BsAggregate *aggregates = explain->view->program.aggregates;
	const char *evaluated;
	int bytes;

	if (final->kind == BS_FINAL_RECORDS)
	{
		put_row(explain, "aggregate", column->expr, "native", (int) sizeof(uint64));
		return;
	}
	if (final->kind == BS_FINAL_DISTINCT)
	{
		put_row(explain, "aggregate", column->expr, "values, by PostgreSQL's functions", 0);
		return;
	}
	evaluated = evaluation(aggregates[final->state].argument);
	if (has_foreign(aggregates[final->state].filter) && strcmp(evaluated, "native") == 0)
		evaluated = "native over computed";
	if (aggregates[final->state].set != 0)
		evaluated = set_evaluation(&explain->view->program.sets[aggregates[final->state].set - 1]);
	bytes = state_bytes(&aggregates[final->state]);
	if (final->second != final->state)
		bytes += state_bytes(&aggregates[final->second]);
	put_row(explain, "aggregate", column->expr,
			final->kind == BS_FINAL_FOREIGN ? "state by PostgreSQL's functions" : evaluated, bytes);
}

/* Calls of which PostgreSQL makes only those that are not remembered. */
static void
put_remembered(Explain *explain)
{
	List *calls = NIL;
	ListCell *lc;

	for (int i = 0; i < bs_computed_count(explain->view->computed); i++)
		calls = list_concat_unique(
			calls, bs_remember_find(bs_computed_expr(explain->view->computed, (uint32_t) i)));
	foreach (lc, calls)
		put_row(explain, "remembered", lfirst(lc),
				psprintf("for %g s", bs_remember_msec(lfirst_node(FuncExpr, lc)->funcid) / 1000.0),
				-1);
}

static bool
same_filter(const Explain *explain, const BsActiveView *view)
{
	return bs_share_same_filter(&explain->view->program, &view->compiled->program);
}

static bool
same_keys(const Explain *explain, const BsActiveView *view)
{
	return bs_share_same_keys(&explain->view->program, &view->compiled->program);
}

static bool
same_panes(const Explain *explain, const BsActiveView *view)
{
	return bs_active_same_panes(explain->view, &explain->timing, view->compiled, &view->shared->timing);
}

/* Names of the views that run now and have something in common with this one; NULL: none has. */
static const char *
shared_with(Explain *explain, bool (*same)(const Explain *explain, const BsActiveView *view))
{
	StringInfoData names;
	int n = 0;

	initStringInfo(&names);
	for (BsActiveView *view = bs_active_first(explain->view->stream); view != NULL; view = bs_active_next(view))
	{
		if (!same(explain, view) || ++n > MAX_NAMES)
			continue;
		appendStringInfo(&names, "%s%s", n > 1 ? ", " : "shared with ",
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(view->relid)),
													get_rel_name(view->relid)));
	}
	if (n > MAX_NAMES)
		appendStringInfo(&names, " and %d more", n - MAX_NAMES);
	return n > 0 ? names.data : NULL;
}

static void
put_if_shared(Explain *explain, const char *part, bool (*same)(const Explain *explain, const BsActiveView *view))
{
	const char *names = shared_with(explain, same);

	if (names != NULL)
		put_row(explain, part, NULL, names, -1);
}

/*
 * What is done already for views that are there, so that this one costs less: receivers share filters, the groups of
 * equal keys, and panes; sessions that insert share filters and panes; views over views are fed one by one.
 */
static void
put_shared(Explain *explain)
{
	/* An expression of a view that runs must not have the views compiled anew under it. */
	if (explain->view->over_view || !bs_registry_ready() || InSecurityRestrictedOperation() ||
		get_database_oid(bs_setting_database, true) != MyDatabaseId)
		return;
	bs_active_refresh(BS_REFRESH_LOOK);
	put_if_shared(explain, "filter", same_filter);
	if (explain->view->stream == bs_flow_relation())
		put_if_shared(explain, "keys", same_keys);
	put_if_shared(explain, "panes", same_panes);
}

static void
put_program(Explain *explain)
{
	BsViewProgram *view = explain->view;

	if (view->program.where != NULL)
		put_row(explain, "filter", explain->query->jointree->quals, evaluation(view->program.where),
				-1);
	for (int i = 0; i < view->nscan; i++)
	{
		const BsScanColumn *column = &view->scan[i];

		if (column->source == BS_SCAN_WINDOW)
			put_row(explain, "window", column->expr, "native", -1);
		else if (column->source == BS_SCAN_KEY)
			put_key(explain, column);
		else
			put_aggregate(explain, column);
	}
	for (int i = 0; i < bs_computed_count(view->computed); i++)
		if (!bs_computed_is_plain(view->computed, (uint32_t) i))
			put_row(explain, "computed per record",
					(Node *) bs_computed_expr(view->computed, (uint32_t) i), "PostgreSQL", -1);
	put_remembered(explain);
	put_row(explain, "group", NULL, view->program.nkeys > 0 ? "its row; the index takes 16 to 32 more" : NULL,
			(int) view->program.row_bytes);
	put_shared(explain);
}

/* The only SELECT in a text. */
static RawStmt *
parse_select(const char *source)
{
	List *statements = raw_parser(source, RAW_PARSE_DEFAULT);

	if (list_length(statements) != 1 || !IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("backstream.explain() takes one SELECT statement")));
	return linitial_node(RawStmt, statements);
}

/* Positions are in the text that was given, not in the statement that called. */
static void
position_context(void *source)
{
	int position = geterrposition();

	if (position <= 0)
		return;
	errposition(0);
	internalerrposition(position);
	internalerrquery(source);
}

static void
compile_source(Explain *explain, const char *source)
{
	RawStmt *statement = parse_select(source);
	BsViewDef def = {.owner = GetUserId(), .query_text = pstrdup(source)};

	explain->query =
		bs_viewdef_analyse(statement->stmt, source, statement->stmt_location, statement->stmt_len);
	def.query = explain->query;
	bs_view_options_parse(bs_pinned_missing(NIL), &def.options);
	bs_query_check(def.query, source, statement->stmt_location, &def.options, true);
	(void) ExecCheckRTPerms(def.query->rtable, true);
	explain->view = bs_query_compile(&def, BS_BATCH_ROWS, CurrentMemoryContext);
	explain->timing = bs_active_timing(explain->view, &def.options);
}

BS_SQL_FUNCTION(bs_explain);

Datum
bs_explain(PG_FUNCTION_ARGS)
{
	char *source = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Explain explain = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	ErrorContextCallback callback = {error_context_stack, position_context, source};

	error_context_stack = &callback;
	compile_source(&explain, source);
	error_context_stack = callback.previous;
	InitMaterializedSRF(fcinfo, 0);
	put_program(&explain);
	bs_query_free(explain.view);
	return (Datum) 0;
}
