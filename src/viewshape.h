/* SPDX-License-Identifier: PostgreSQL */
/*
 * viewshape.h: what a planner must know of a continuous view: which of its columns are known early.
 *
 * What can be known of a row before its final functions are computed has a level: the columns that
 * depend on the window alone are the same for all its rows, those that depend on group keys are
 * cheap. Conditions on such columns choose windows and groups early.
 */
#ifndef BS_VIEWSHAPE_H
#define BS_VIEWSHAPE_H

#include "postgres.h"

#include "query.h"
#include "viewdef.h"

typedef enum BsReadLevel
{
	BS_LEVEL_WINDOW, /* known of a window before it is read */
	BS_LEVEL_KEYS,   /* known of a group without its aggregates */
	BS_LEVEL_ALL,
	BS_NLEVELS
} BsReadLevel;

/* What a planner must know of a view. */
typedef struct BsViewShape
{
	uint64 fingerprint; /* of what is counted */
	uint64 definition;  /* of all of it */
	bool windowed; /* its rows are of windows */
	bool rolling;  /* it has one window, which goes with the clock */
	bool closed_only;        /* show = 'closed' */
	AttrNumber window_attno; /* the view's first column that is the start of the window; 0: none */
	BsWindowing windowing;
	/* What the definition names: PlannedStmt.relationOids and .invalItems. */
	List *relations;
	List *invalidators;
	int natts;
	BsReadLevel levels[FLEXIBLE_ARRAY_MEMBER]; /* [natts] */
} BsViewShape;

/* The definition of a view and what it compiles to, in CurrentMemoryContext. */
extern BsViewProgram *bs_view_compile(Oid relid, uint32 capacity, BsViewDef **def);

/* Without what plans depend on. */
extern BsViewShape *bs_shape_make(const BsViewDef *def, const BsViewProgram *view,
								  MemoryContext context);

/* palloc'ed.  Raises an error when the view's text can no longer be read. */
extern BsViewShape *bs_view_shape(Oid relid);

/* An expression over a view's records as text; over slices of them (spreadform.h), whose columns have no names, its type. */
extern char *bs_view_expression_text(const BsViewProgram *view, Node *expr);

/* What of a view's query PostgreSQL computes for each record, the engine not knowing how: texts. */
extern List *bs_view_computed(Oid relid);

#endif
