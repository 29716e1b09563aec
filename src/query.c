/* SPDX-License-Identifier: PostgreSQL */
/*
 * query.c: the split of a continuous view's query.  See query.h.
 *
 * Everything is planned in palloc'ed memory first, where errors may happen; then the program is
 * made in malloc'ed memory by code that raises none, and given back by a callback of its memory
 * context.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "aggregates.h"
#include "backstream.h"
#include "canonical.h"
#include "fingerprint.h"
#include "lanes.h"
#include "native.h"
#include "node.h"
#include "pinned.h"
#include "query.h"
#include "refuse.h"
#include "registry.h"
#include "remember.h"
#include "rolling.h"
#include "signature.h"
#include "spreadform.h"
#include "viewdef.h"
#include "viewshape.h"
#include "windowform.h"

/* What is known of a query while it is split. */
typedef struct Split
{
	Query *query;
	const BsPlace *place;
	const BsViewOptions *options;
	MemoryContext context; /* of what outlives the split */
	BsNative native;
	BsAggregatePlans aggregates;
	BsExpr *where;
	List *keys; /* of BsExpr *, plans */
	bool windowed;
	BsWindowForm window;
	BsViewShape *lower; /* of the view in FROM; NULL: a stream */
	BsFrom from;
	BsSpreadForm spread; /* of spread() in FROM */
	BsType *types; /* of the stream's columns */
	List *scan; /* of BsScanColumn * */
	BsViewProgram *view;
} Split;

static const BsPlace nowhere = {NULL, -1};

/* ---------- keys ---------- */

static BsScanColumn *
add_scan_column(Split *split, BsScanSource source, Node *expr)
{
	BsScanColumn *column = palloc0(sizeof(BsScanColumn));

	column->source = source;
	column->expr = copyObject(expr);
	column->type = exprType(expr);
	column->typmod = exprTypmod(expr);
	column->collation = exprCollation(expr);
	column->shown = -1;
	split->scan = lappend(split->scan, column);
	return column;
}

static void
split_key(Split *split, Node *original, Expr *simple)
{
	BsScanColumn *column = add_scan_column(split, BS_SCAN_KEY, original);
	BsExpr *plan = bs_native_plan(&split->native, simple);
	BsExpr *canonical = bs_canonical_plan(&split->native, original, simple, plan, split->place);

	column->key = (uint32_t) list_length(split->keys);
	if (canonical != plan)
		column->shown = (int) bs_aggregates_plan_any(&split->aggregates, plan);
	split->keys = lappend(split->keys, canonical);
}

/* ---------- the window ---------- */

static bool
split_window(Split *split, Node *original, Expr *simple)
{
	BsWindowSource source = {.native = &split->native,
							 .lower = split->lower,
							 .slices = split->from.spread > 0 ? &split->spread.windowing : NULL,
							 .stream = split->view->stream,
							 .place = split->place};
	BsWindowForm form;

	if (bs_is_rolling(split->options))
	{
		if (bs_is_own_function(original, "hop") || bs_is_own_function(original, "tumble"))
			bs_refuse_two_windows(original, split->place);
		return false;
	}
	if (!bs_window_find(&source, original, simple, &form))
		return false;
	if (split->windowed)
		bs_refuse_two_windows(original, split->place);
	split->windowed = true;
	split->window = form;
	add_scan_column(split, BS_SCAN_WINDOW, original);
	return true;
}

static void
split_rolling(Split *split)
{
	bs_rolling_form(split->view->stream, split->native.varno, split->options, split->place,
					&split->window);
	split->windowed = true;
	split->view->rolling = true;
}

static void
split_groups(Split *split)
{
	ListCell *lc;

	if (bs_is_rolling(split->options))
		split_rolling(split);

	foreach (lc, split->query->groupClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, lc);
		Node *expr = get_sortgroupclause_expr(clause, split->query->targetList);
		Expr *simple = bs_native_simplify((Expr *) expr);

		if (split_window(split, expr, simple))
			continue;
		bs_refuse_simplified((Node *) simple, expr, split->place);
		split_key(split, expr, simple);
	}
}

/* ---------- output ---------- */

static Var *
scan_var(const BsScanColumn *column, int attno)
{
	return makeVar(INDEX_VAR, (AttrNumber) attno, column->type, column->typmod, column->collation,
				   0);
}

/* What is kept of groups becomes a column of the scan tuple. */
static Node *
output_mutator(Node *node, Split *split)
{
	BsScanColumn *column;

	if (node == NULL)
		return NULL;
	for (int i = 0; i < list_length(split->scan); i++)
	{
		column = list_nth(split->scan, i);
		if (equal(node, column->expr))
			return (Node *) scan_var(column, i + 1);
	}
	if (IsA(node, Aggref))
	{
		BsFinal final = bs_aggregates_plan(&split->aggregates, (Aggref *) node);

		column = add_scan_column(split, BS_SCAN_AGGREGATE, node);
		column->final = final;
		return (Node *) scan_var(column, list_length(split->scan));
	}
	if (IsA(node, Var))
		elog(ERROR, "column %d of the stream is not grouped", ((Var *) node)->varattno);
	return expression_tree_mutator(node, output_mutator, split);
}

static Node *
output_expr(Split *split, Node *expr)
{
	Node *simple;

	if (expr == NULL)
		return NULL;
	simple = (Node *) bs_native_simplify((Expr *) output_mutator(expr, split));
	bs_refuse_simplified(simple, expr, split->place);
	return simple;
}

static void
split_output(Split *split)
{
	BsViewProgram *view = split->view;
	ListCell *lc;

	foreach (lc, split->query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		Node *expr;

		if (entry->resjunk)
			continue;
		expr = output_expr(split, (Node *) entry->expr);
		view->tlist = lappend(
			view->tlist, makeTargetEntry((Expr *) expr, (AttrNumber) list_length(view->tlist) + 1,
										 entry->resname ? pstrdup(entry->resname) : NULL, false));
	}
	view->having = output_expr(split, split->query->havingQual);
	view->reader_settings =
		contain_mutable_functions((Node *) view->tlist) || contain_mutable_functions(view->having);
}

/* ---------- the whole split ---------- */

typedef struct Condition
{
	Expr *expr;
	Cost cost;
} Condition;

/*
 * The conditions of WHERE in the order in which PostgreSQL evaluates them: cheap ones first, else as they
 * are written (order_qual_clauses() in its planner).  So a record is in error where it would be there,
 * and what is expensive is computed last.
 */
static List *
order_conditions(List *clauses)
{
	int n = list_length(clauses);
	Condition *conditions = palloc(sizeof(Condition) * (Size) Max(n, 1));
	List *ordered = NIL;

	for (int i = 0; i < n; i++)
	{
		Condition condition = {.expr = list_nth(clauses, i)};
		QualCost cost;
		int at = i;

		cost_qual_eval_node(&cost, (Node *) condition.expr, NULL);
		condition.cost = cost.per_tuple;
		for (; at > 0 && conditions[at - 1].cost > condition.cost; at--)
			conditions[at] = conditions[at - 1];
		conditions[at] = condition;
	}
	for (int i = 0; i < n; i++)
		ordered = lappend(ordered, conditions[i].expr);
	return ordered;
}

static void
split_where(Split *split)
{
	Node *quals = split->query->jointree->quals;
	Expr *simple;

	if (quals == NULL)
		return;
	simple = canonicalize_qual(bs_native_simplify((Expr *) quals), false);
	bs_refuse_simplified((Node *) simple, quals, split->place);
	simple = make_ands_explicit(order_conditions(make_ands_implicit(simple)));
	split->where = bs_native_plan(&split->native, simple);
}

static void
describe_scan(Split *split)
{
	BsViewProgram *view = split->view;
	ListCell *lc;

	view->nscan = list_length(split->scan);
	view->scan = palloc0(sizeof(BsScanColumn) * (Size) Max(view->nscan, 1));
	view->scan_desc = CreateTemplateTupleDesc(view->nscan);
	for (int i = 0; i < view->nscan; i++)
	{
		BsScanColumn *column = list_nth(split->scan, i);

		view->scan[i] = *column;
		TupleDescInitEntry(view->scan_desc, (AttrNumber) (i + 1), NULL, column->type,
						   column->typmod, 0);
		TupleDescInitEntryCollation(view->scan_desc, (AttrNumber) (i + 1), column->collation);
		if (column->source == BS_SCAN_WINDOW)
			view->window_attno = (AttrNumber) (i + 1);
	}
	foreach (lc, view->tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (view->window_resno == 0 && view->window_attno != 0 && IsA(entry->expr, Var) &&
			((Var *) entry->expr)->varattno == view->window_attno)
			view->window_resno = entry->resno;
	}
}

/* Rows are slices of records: the query is rewritten to be over them. */
static TupleDesc
open_spread(Split *split, TupleDesc desc)
{
	split->spread = bs_spread_form(split->query, &split->from, split->place);
	split->types = palloc(sizeof(BsType) * (Size) Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
		split->types[i] = bs_type_of(TupleDescAttr(desc, i)->atttypid);
	bs_spread_rewrite(split->query, &split->from, desc->natts);
	split->native.slice_attno = (AttrNumber) (desc->natts + 1);
	return bs_spread_desc(desc);
}

static void
open_stream(Split *split, Oid owner)
{
	BsViewProgram *view = split->view;
	Relation relation;
	TupleDesc desc;

	split->from = bs_query_from(split->query);
	view->stream = rt_fetch(split->from.stream, split->query->rtable)->relid;
	relation = relation_open(view->stream, AccessShareLock);
	desc = RelationGetDescr(relation);
	view->ncolumns = desc->natts;
	/* Those of a slice follow. */
	view->wanted = palloc0(sizeof(bool) * (Size) (desc->natts + BS_SLICE_COLUMNS));
	if (split->from.spread > 0)
		desc = open_spread(split, desc);
	view->computed = bs_computed_create(desc, owner, split->options, split->context);
	relation_close(relation, NoLock);
	split->native.varno = (Index) split->from.stream;
	split->native.computed = view->computed;
	split->native.owner = owner;
	split->native.context = split->context;
	split->native.utc = bs_timezone_is_utc(split->options->timezone);
}

/* What the view in FROM is, if it is one. */
static void
open_lower(Split *split)
{
	BsViewProgram *view = split->view;

	view->over_view = bs_relation_is_view(view->stream);
	if (!view->over_view)
		return;
	split->lower = bs_view_shape(view->stream);
	if (!split->lower->windowed)
		bs_refuse_windowless(view->stream, split->place);
	view->lower_fingerprint = split->lower->fingerprint;
}

static void
split_query(Split *split, Oid owner)
{
	split->view = palloc0(sizeof(BsViewProgram));
	open_stream(split, owner);
	open_lower(split);
	split->aggregates.native = &split->native;
	split->aggregates.owner = owner;
	split->aggregates.place = split->place;
	split->aggregates.context = split->context;
	split_where(split);
	split_groups(split);
	if (split->from.spread > 0 && !split->windowed)
		bs_refuse_spread_window(split->place);
	split_output(split);
	split->view->ungrouped = split->query->groupClause == NIL;
	describe_scan(split);
}

/* ---------- the program ---------- */

static void
count_uses(const Split *split)
{
	uint32_t *uses =
		palloc0(sizeof(uint32_t) * (Size) (bs_computed_count(split->view->computed) + 1));
	ListCell *lc;

	bs_native_plan_uses(split->where, uses);
	foreach (lc, split->keys)
		bs_native_plan_uses(lfirst(lc), uses);
	foreach (lc, split->aggregates.states)
	{
		BsStatePlan *state = lfirst(lc);

		bs_native_plan_uses(state->argument, uses);
		bs_native_plan_uses(state->filter, uses);
	}
	foreach (lc, split->aggregates.sets)
	{
		BsSetPlan *set = lfirst(lc);

		bs_native_plan_uses(set->argument, uses);
		bs_native_plan_uses(set->filter, uses);
	}
	bs_computed_seal(split->view->computed, uses);
}

/* Make one tree; false when memory is out. */
static bool
make_tree(const BsExpr *plan, BsExpr **tree)
{
	if (plan == NULL)
		return true;
	*tree = bs_expr_copy(plan);
	return *tree != NULL;
}

/* Everything that is malloc'ed; raises nothing.  False when memory is out. */
static bool
make_program(const Split *split, BsProgram *program)
{
	ListCell *lc;

	program->windowed = split->windowed;
	if (split->windowed)
	{
		program->time_column = (uint32_t) (split->window.time->varattno - 1);
		program->windowing = split->window.windowing;
		if (split->from.spread > 0)
			program->clock_column = (uint32_t) split->spread.end;
	}
	program->keys = calloc((size_t) list_length(split->keys) + 1, sizeof(BsKey));
	program->aggregates =
		calloc((size_t) list_length(split->aggregates.states) + 1, sizeof(BsAggregate));
	program->sets = calloc((size_t) list_length(split->aggregates.sets) + 1, sizeof(BsSet));
	program->hash_seed = bs_shared_hash_seed();
	if (program->keys == NULL || program->aggregates == NULL || program->sets == NULL ||
		!make_tree(split->where, &program->where))
		return false;
	foreach (lc, split->keys)
	{
		const BsExpr *plan = lfirst(lc);
		BsKey *key = &program->keys[program->nkeys++];

		key->type = plan->type;
		if (!make_tree(plan, &key->expr))
			return false;
	}
	foreach (lc, split->aggregates.states)
	{
		const BsStatePlan *state = lfirst(lc);
		BsAggregate *aggregate = &program->aggregates[program->naggregates++];

		aggregate->kind = state->kind;
		aggregate->type = state->type;
		aggregate->foreign = state->foreign;
		aggregate->set = state->set;
		if (!make_tree(state->argument, &aggregate->argument) ||
			!make_tree(state->filter, &aggregate->filter))
			return false;
	}
	foreach (lc, split->aggregates.sets)
	{
		const BsSetPlan *plan = lfirst(lc);
		BsSet *set = &program->sets[program->nsets++];

		set->type = plan->argument->type;
		if (!make_tree(plan->argument, &set->argument) || !make_tree(plan->filter, &set->filter))
			return false;
	}
	return true;
}

static void
free_program(void *argument)
{
	BsViewProgram *view = argument;

	bs_spread_free(view->spread);
	bs_program_free(&view->program);
}

/* The first sum of a portion, of all records. */
static uint32_t
late_sum(const BsProgram *program)
{
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		const BsAggregate *aggregate = &program->aggregates[a];

		if (aggregate->kind == BS_AGG_SUM_INT && aggregate->filter == NULL && aggregate->set == 0 &&
			aggregate->argument != NULL && aggregate->argument->op == BS_OP_PORTION)
			return a + 1;
	}
	return 0;
}

static void
make_spread(Split *split, uint32_t capacity)
{
	BsViewProgram *view = split->view;

	view->program.late_sum = late_sum(&view->program);
	view->wanted[split->spread.start - 1] = true;
	view->spread = bs_spread_create(split->types, (uint32_t) view->ncolumns, view->wanted,
									(uint32_t) split->spread.start - 1,
									(uint32_t) split->spread.end - 1, &split->spread.windowing, capacity);
	if (view->spread == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
}

static void
finish_view(Split *split, uint32_t capacity)
{
	BsViewProgram *view = split->view;
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	const char *problem;
	ListCell *lc;

	count_uses(split);
	view->prefix_uses = split->native.prefix_uses;
	view->foreign =
		palloc0(sizeof(BsForeignAgg *) * (Size) (list_length(split->aggregates.foreign) + 1));
	foreach (lc, split->aggregates.foreign)
		view->foreign[view->nforeign++] = lfirst(lc);
	callback->func = free_program;
	callback->arg = view;
	MemoryContextRegisterResetCallback(split->context, callback);
	if (!make_program(split, &view->program))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	problem = bs_program_finish(&view->program, capacity);
	if (problem != NULL)
		bs_refuse_size(problem, split->place);
	view->signature = bs_signature_make(view, split->query, split->options);
	view->program.fingerprint = bs_signature_fingerprint(view->signature);
	view->definition = hash_combine64(bs_fingerprint_definition(split->query, split->options, view->stream,
																view->over_view ? view->lower_fingerprint : 0),
									  view->program.fingerprint);
	bs_program_columns(&view->program, view->wanted);
	bs_computed_columns(view->computed, view->wanted);
	if (split->from.spread > 0)
		make_spread(split, capacity);
}

/* Split and make, under the view's settings, with everything in a child of parent. */
static BsViewProgram *
compile(Query *query, const BsPlace *place, const BsViewOptions *options, Oid owner,
		uint32_t capacity, MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "BackStream view program", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Split split = {
		.query = copyObject(query), .place = place, .options = options, .context = context};
	int level;

	level = bs_pinned_enter_evaluation(options);
	split_query(&split, owner);
	finish_view(&split, capacity);
	bs_pinned_leave(level);
	split.view->context = context;
	MemoryContextSwitchTo(old);
	return split.view;
}

BsViewProgram *
bs_query_compile(const struct BsViewDef *def, uint32_t capacity, MemoryContext cxt)
{
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "BackStream compilation", ALLOCSET_SMALL_SIZES);
	BsViewProgram *view;
	Oid user;
	int security;
	bool pushed = !ActiveSnapshotSet();

	/* Folding constants runs functions: with the owner's rights, and no way out of them. */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(def->owner,
						   security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	if (pushed)
		PushActiveSnapshot(GetTransactionSnapshot());
	/* In scratch until it is whole: an error leaves nothing in cxt. */
	view = compile(def->query, &nowhere, &def->options, def->owner, capacity, scratch);
	MemoryContextSetParent(view->context, cxt);
	if (pushed)
		PopActiveSnapshot();
	SetUserIdAndSecContext(user, security);
	MemoryContextDelete(scratch);
	return view;
}

void
bs_query_free(BsViewProgram *view)
{
	MemoryContextDelete(view->context);
}

void
bs_query_check(Query *query, const char *source_text, int stmt_location,
			   const BsViewOptions *options, bool advise)
{
	BsPlace place = {source_text, stmt_location};
	BsViewProgram *view;
	List *computed = NIL;

	bs_rolling_mark(query, options);
	bs_refuse_query(query, &place);
	view = compile(query, &place, options, GetUserId(), BS_BATCH_ROWS, CurrentMemoryContext);
	bs_computed_verify(view->computed);
	for (int i = 0; advise && i < bs_computed_count(view->computed); i++)
		computed = lappend(computed, bs_computed_expr(view->computed, (uint32_t) i));
	bs_remember_advise(computed);
	bs_query_free(view);
}
