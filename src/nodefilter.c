/* SPDX-License-Identifier: PostgreSQL */
/* nodefilter.c: groups that a reader of several nodes wants.  See nodefilter.h. */
#include "backstream.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parser.h"

#include "engine/groupvalues.h"
#include "engine/packlayout.h"
#include "guard.h"
#include "nodefilter.h"
#include "nodeship.h"
#include "pinned.h"

struct BsNodeFilter
{
	const BsViewProgram *view;
	Bitmapset *columns; /* of the scan tuple, that are looked at: numbers from 1 on */
	ExprContext *econtext;
	ExprState *state;
	TupleTableSlot *slot;
	uint8 *row; /* with the keys of a value of a set */
};

List *
bs_node_filter_names(const BsViewProgram *view)
{
	List *names = NIL;

	for (int i = 0; i < view->nscan; i++)
		names = lappend(names, makeString(psprintf("k%d", i + 1)));
	return names;
}

/*
 * A key whose equal values may look different (1.5 and 1.50) is shown as one node or another has seen it: a node
 * that judged by its own look would leave out its part of a group that others send.
 */
static bool
looks_alike(const BsViewProgram *view, int column)
{
	const BsScanColumn *scan = &view->scan[column - 1];

	return scan->source != BS_SCAN_KEY || scan->shown < 0;
}

static bool
all_look_alike(const BsViewProgram *view, Node *condition)
{
	List *vars = pull_var_clause(condition, 0);
	ListCell *cell;

	foreach (cell, vars)
		if (!looks_alike(view, lfirst_node(Var, cell)->varattno))
			return false;
	return true;
}

List *
bs_node_filter_fit(const BsViewProgram *view, List *conditions)
{
	List *fit = NIL;
	ListCell *cell;

	foreach (cell, bs_ship_choose(conditions, INDEX_VAR))
		if (all_look_alike(view, lfirst(cell)))
			fit = lappend(fit, lfirst(cell));
	return fit;
}

/* ---------- reading the conditions ---------- */

static Node *
resolve_column(ParseState *pstate, ColumnRef *reference)
{
	const BsViewProgram *view = pstate->p_ref_hook_state;
	int column;
	char rest;
	Form_pg_attribute attribute;

	if (list_length(reference->fields) != 1 || !IsA(linitial(reference->fields), String) ||
		sscanf(strVal(linitial(reference->fields)), "k%9d%c", &column, &rest) != 1 || column < 1 ||
		column > view->nscan || view->scan[column - 1].source == BS_SCAN_AGGREGATE ||
		!looks_alike(view, column))
		return NULL;
	attribute = TupleDescAttr(view->scan_desc, column - 1);
	return (Node *) makeVar(INDEX_VAR, (AttrNumber) column, attribute->atttypid, attribute->atttypmod,
							attribute->attcollation, 0);
}

static void
refuse(const char *conditions)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("a node does not look at these conditions: %s", conditions)));
}

/* The one expression of SELECT expression. */
static Node *
raw_expression(const char *conditions)
{
	List *statements = raw_parser(psprintf("SELECT %s", conditions), RAW_PARSE_DEFAULT);
	SelectStmt *select;
	Node *value;
	SelectStmt bare = {.type = T_SelectStmt};

	if (list_length(statements) != 1 || !IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		refuse(conditions);
	select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	bare.targetList = select->targetList;
	bare.limitOption = select->limitOption;
	bare.groupDistinct = select->groupDistinct;
	if (list_length(select->targetList) != 1 || !equal(select, &bare))
		refuse(conditions);
	value = linitial_node(ResTarget, select->targetList)->val;
	/* Only the list of a SELECT may have a star, and PostgreSQL looks for one nowhere else. */
	if (IsA(value, ColumnRef) && IsA(llast(((ColumnRef *) value)->fields), A_Star))
		refuse(conditions);
	return value;
}

static Expr *
parse_conditions(const BsViewProgram *view, const char *conditions)
{
	int level = bs_pinned_enter_text();
	ParseState *pstate = make_parsestate(NULL);
	Node *expr;

	pstate->p_pre_columnref_hook = resolve_column;
	pstate->p_ref_hook_state = unconstify(BsViewProgram *, view);
	/* As little as may stand there may stand here. */
	expr = transformExpr(pstate, raw_expression(conditions), EXPR_KIND_CHECK_CONSTRAINT);
	expr = coerce_to_boolean(pstate, expr, "WHERE");
	assign_expr_collations(pstate, expr);
	free_parsestate(pstate);
	bs_pinned_leave(level);
	if (bs_ship_choose(list_make1(expr), INDEX_VAR) == NIL || bs_ship_has_params(expr, NULL))
		refuse(conditions);
	return expression_planner((Expr *) expr);
}

BsNodeFilter *
bs_node_filter_make(const BsViewProgram *view, const char *conditions)
{
	BsNodeFilter *filter = palloc0(sizeof(BsNodeFilter));
	Expr *expr = parse_conditions(view, conditions);
	List *vars = pull_var_clause((Node *) expr, 0);
	ListCell *cell;

	filter->view = view;
	foreach (cell, vars)
		filter->columns = bms_add_member(filter->columns, lfirst_node(Var, cell)->varattno);
	filter->econtext = CreateStandaloneExprContext();
	filter->state = ExecInitQual(make_ands_implicit(expr), NULL);
	filter->slot = MakeSingleTupleTableSlot(view->scan_desc, &TTSOpsVirtual);
	filter->econtext->ecxt_scantuple = filter->slot;
	filter->row = palloc0(view->program.row_bytes);
	return filter;
}

/* ---------- choosing ---------- */

static const void *
resolve(void *context, uint64_t offset)
{
	return bs_arena_at(context, offset);
}

static bool
is_wanted(BsNodeFilter *filter, const BsWindowData *data, const uint8 *row, int64 window)
{
	MemoryContext outer = MemoryContextSwitchTo(filter->econtext->ecxt_per_tuple_memory);
	BsGroupRow group = {.row = row,
						.ordinal = BS_NO_ROW,
						.window = window,
						.resolve = resolve,
						.context = data->arena};
	TupleTableSlot *slot = filter->slot;
	bool wanted;
	int column = 0;

	ResetExprContext(filter->econtext);
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * (Size) filter->view->nscan);
	while ((column = bms_next_member(filter->columns, column)) > 0)
		slot->tts_values[column - 1] =
			bs_finals_column(filter->view, column - 1, &group, &slot->tts_isnull[column - 1]);
	ExecStoreVirtualTuple(slot);
	wanted = ExecQual(filter->state, filter->econtext);
	MemoryContextSwitchTo(outer);
	return wanted;
}

/* A row of groups with the keys of a value of a set. */
static const uint8 *
group_of_value(BsNodeFilter *filter, const BsProgram *rows, const uint8 *value)
{
	const BsProgram *program = &filter->view->program;

	memset(filter->row, 0, program->row_bytes);
	for (uint32 k = 0; k < program->nkeys; k++)
	{
		memcpy(filter->row + program->keys[k].offset, value + rows->keys[k].offset, program->keys[k].width);
		if (bs_key_is_null(rows, value, k))
			filter->row[program->null_offset + k / 8] |= (uint8) (1u << (k % 8));
	}
	return filter->row;
}

typedef struct Choosing
{
	BsNodeFilter *filter;
	const BsWindowData *data;
	int64 window;
	uint8 **chosen;
	uint64 ngroups;
} Choosing;

/* Of the groups (set NULL), or of the values of a set. */
static uint8 *
choose_rows(Choosing *choosing, const BsTable *table, const BsProgram *rows, bool is_set)
{
	const BsWindowData *data = choosing->data;
	uint8 *chosen = palloc0(table != NULL ? table->nrows / 8 + 1 : 1);

	for (uint32 chunk = 0; table != NULL && chunk < table->nchunks; chunk++)
	{
		uint32 nrows = bs_table_chunk_rows(table, &rows->layout, chunk);

		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < nrows; i++)
		{
			uint32 number = chunk << BS_ROW_SHIFT | i;
			uint32 ordinal = bs_row_ordinal(&rows->layout, number);
			const uint8 *row = bs_table_row(data->arena, table, rows, number);

			if (is_set)
				row = group_of_value(choosing->filter, rows, row);
			if (!is_wanted(choosing->filter, data, row, choosing->window))
				continue;
			chosen[ordinal / 8] |= (uint8) (1u << (ordinal % 8));
			choosing->ngroups += !is_set;
		}
	}
	return chosen;
}

static void
choose_all(void *argument)
{
	Choosing *choosing = argument;
	const BsProgram *program = &choosing->filter->view->program;
	const BsWindowData *data = choosing->data;

	choosing->chosen = palloc0(sizeof(uint8 *) * (program->nsets + 1));
	choosing->chosen[0] = choose_rows(choosing, data->table, program, false);
	for (uint32 set = 0; set < program->nsets; set++)
		choosing->chosen[set + 1] =
			choose_rows(choosing, bs_table_set(data->arena, data->table, program, set, false),
						program->sets[set].rows, true);
}

const uint8 *const *
bs_node_filter_choose(BsNodeFilter *filter, const BsWindowData *data, int64 window, uint64 *ngroups)
{
	Choosing choosing = {.filter = filter, .data = data, .window = window};

	ErrorData *error = bs_guarded(choose_all, &choosing);

	if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	if (error != NULL)
	{
		*ngroups = data->table->nrows;
		return NULL;
	}
	*ngroups = choosing.ngroups;
	return (const uint8 *const *) choosing.chosen;
}
