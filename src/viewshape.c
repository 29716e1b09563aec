/* SPDX-License-Identifier: PostgreSQL */
/* viewshape.c: what a planner must know of a continuous view.  See viewshape.h. */
#include "backstream.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "viewshape.h"

/* ---------- what the columns depend on ---------- */

static BsReadLevel
source_level(BsScanSource source)
{
	switch (source)
	{
		case BS_SCAN_WINDOW:
			return BS_LEVEL_WINDOW;
		case BS_SCAN_KEY:
			return BS_LEVEL_KEYS;
		case BS_SCAN_AGGREGATE:
			break;
	}
	return BS_LEVEL_ALL;
}

/* Does an output expression say the same under all settings and at all times?  Only then is it
 * early. */
static BsReadLevel
expr_level(const BsViewProgram *view, Node *expr)
{
	List *vars = pull_var_clause(expr, 0);
	BsReadLevel level = BS_LEVEL_WINDOW;
	ListCell *cell;

	if (contain_mutable_functions(expr))
		return BS_LEVEL_ALL;
	foreach (cell, vars)
	{
		Var *var = lfirst_node(Var, cell);

		level = Max(level, source_level(view->scan[var->varattno - 1].source));
	}
	list_free(vars);
	return level;
}

BsViewShape *
bs_shape_make(const BsViewDef *def, const BsViewProgram *view, MemoryContext context)
{
	int natts = list_length(view->tlist);
	BsViewShape *shape = MemoryContextAllocZero(context, offsetof(BsViewShape, levels) +
															 (Size) natts * sizeof(BsReadLevel));
	ListCell *cell;

	shape->fingerprint = view->program.fingerprint;
	shape->definition = view->definition;
	shape->windowed = view->program.windowed && !view->rolling;
	shape->rolling = view->rolling;
	shape->closed_only = shape->windowed && def->options.show == BS_SHOW_CLOSED;
	shape->window_attno = view->window_resno;
	shape->windowing = view->program.windowing;
	shape->natts = natts;
	foreach (cell, view->tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		shape->levels[entry->resno - 1] = expr_level(view, (Node *) entry->expr);
	}
	return shape;
}

/* ---------- compiling ---------- */

/* Columns that a definition which waits to take over has added: NULL until then. */
static void
add_columns_to_come(BsViewProgram *view, Oid relid)
{
	MemoryContext outer = MemoryContextSwitchTo(view->context);
	Relation relation = relation_open(relid, AccessShareLock);
	TupleDesc desc = RelationGetDescr(relation);

	for (int i = list_length(view->tlist); i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		Const *null =
			makeNullConst(attribute->atttypid, attribute->atttypmod, attribute->attcollation);

		view->tlist = lappend(view->tlist, makeTargetEntry((Expr *) null, (AttrNumber) (i + 1),
														   pstrdup(NameStr(attribute->attname)), false));
	}
	relation_close(relation, NoLock);
	MemoryContextSwitchTo(outer);
}

BsViewProgram *
bs_view_compile(Oid relid, uint32 capacity, BsViewDef **def)
{
	BsViewProgram *view;

	check_stack_depth();
	*def = bs_viewdef_load(relid, false);
	view = bs_query_compile(*def, capacity, CurrentMemoryContext);
	if ((*def)->has_waiting)
		add_columns_to_come(view, relid);
	return view;
}

/*
 * What plans over the view depend on, beside the view itself: as if it were written in the query, and
 * the queries of the views that it is over too.
 */
static void
note_dependencies(BsViewShape *shape, const BsViewDef *def)
{
	bool has_row_security;
	List *relations;
	List *invalidators;

	extract_query_dependencies((Node *) def->query, &relations, &invalidators, &has_row_security);
	shape->relations = list_concat(shape->relations, relations);
	shape->invalidators = list_concat(shape->invalidators, invalidators);
	if (bs_relation_is_view(def->stream))
		note_dependencies(shape, bs_viewdef_load(def->stream, false));
}

BsViewShape *
bs_view_shape(Oid relid)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(outer, "backstream view shape", ALLOCSET_DEFAULT_SIZES);
	BsViewShape *shape;
	BsViewProgram *view;
	BsViewDef *def;

	MemoryContextSwitchTo(context);
	view = bs_view_compile(relid, 1, &def);
	shape = bs_shape_make(def, view, outer);
	MemoryContextSwitchTo(outer);
	note_dependencies(shape, def);
	MemoryContextDelete(context);
	return shape;
}

char *
bs_view_expression_text(const BsViewProgram *view, Node *expr)
{
	List *vars = pull_var_clause(expr, PVC_RECURSE_AGGREGATES);
	bool named = true;
	ListCell *lc;

	foreach (lc, vars)
		named &= lfirst_node(Var, lc)->varattno <= view->ncolumns;
	if (!named)
		return psprintf("an expression of type %s over slices", format_type_be(exprType(expr)));
	return deparse_expression(expr, deparse_context_for(get_rel_name(view->stream), view->stream), false,
							  false);
}

List *
bs_view_computed(Oid relid)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(outer, "backstream view", ALLOCSET_DEFAULT_SIZES);
	List *texts = NIL;
	BsViewProgram *view;
	BsViewDef *def;

	MemoryContextSwitchTo(context);
	view = bs_view_compile(relid, 1, &def);
	for (int i = 0; i < bs_computed_count(view->computed); i++)
	{
		char *text =
			bs_view_expression_text(view, (Node *) bs_computed_expr(view->computed, (uint32_t) i));

		MemoryContextSwitchTo(outer);
		texts = lappend(texts, pstrdup(text));
		MemoryContextSwitchTo(context);
	}
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
	return texts;
}
