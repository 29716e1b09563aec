/* SPDX-License-Identifier: PostgreSQL */
/*
 * native.h: PostgreSQL's expressions as the engine's.
 *
 * A plan is a tree of BsExpr in palloc'ed memory, which an error may throw away at any time;
 * bs_expr_copy() turns it at the end, when nothing can be raised any more, into the malloc'ed
 * tree that the engine evaluates.
 *
 * What the engine has no operation for becomes a computed column (computed.h), at the highest node
 * that is not native.  AND, OR, CASE and COALESCE are always native, so that what is computed is
 * computed only for the records that reach it.
 */
#ifndef BS_NATIVE_H
#define BS_NATIVE_H

#include "postgres.h"
#include "access/attnum.h"
#include "nodes/primnodes.h"

#include "engine/expr.h"
#include "engine/window.h"

struct BsComputed;

typedef struct BsNative
{
	Index varno;                 /* of the stream in the query's range table */
	struct BsComputed *computed; /* takes what is not native */
	List *prefix_uses;           /* of BsPrefixUse *, what is looked up natively (prefix.h) */
	Oid owner;                   /* of the view */
	MemoryContext context;       /* of what outlives the planning */
	AttrNumber slice_attno;      /* of the first column of a slice (spreadform.h); 0: none */
	bool utc;                    /* the view's TimeZone is UTC: days are 24 hours */
} BsNative;

/*
 * Plan an expression over one record.  expr has been through bs_native_simplify().
 */
extern BsExpr *bs_native_plan(BsNative *native, Expr *expr);

/* Wrap a plan into one more operation; also for tests of constants. */
extern BsExpr *bs_native_plan_op(BsOp op, BsType type, int nargs, BsExpr **args);
extern BsExpr *bs_native_plan_const(BsType type, BsValue value);

/* Raises uses[number] for each place where a plan reads a computed column. */
extern void bs_native_plan_uses(const BsExpr *plan, uint32_t *uses);

/* Fold constants and inline SQL functions, as PostgreSQL's planner does. */
extern Expr *bs_native_simplify(Expr *expr);

/* The name of the C function behind a built-in function, or NULL. */
extern const char *bs_builtin_name(Oid function);

/*
 * If expr (simplified) is a start of windows of fixed length over a column, describe it: the
 * column and the windows.  What looks like one but cannot be one (months) is
 * no window.
 */
typedef struct BsWindowForm
{
	Var *time;
	BsWindowing windowing;
} BsWindowForm;

extern bool bs_native_window(const BsNative *native, Expr *expr, BsWindowForm *form);

/* Is this the name of a zone that is UTC all the time? */
extern bool bs_timezone_is_utc(const char *name);

#endif
