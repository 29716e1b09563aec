/* SPDX-License-Identifier: PostgreSQL */
/*
 * computed.h: columns that PostgreSQL computes, so that a view's query may use any expression.
 *
 * A set of computed columns belongs to one compiled view in one process.  Making it:
 * bs_computed_create, bs_computed_add for each, bs_computed_seal.  Using it, once per batch:
 *
 *     bs_computed_begin(set);
 *     bs_program_evaluate(..., bs_computed_evaluate, set);
 *     ... the values are used: bytes are kept until the next bs_computed_begin ...
 *     bs_computed_end(set);
 *
 * The first expression that a record reaches starts what it needs: a transaction where there is
 * none (workers), a snapshot, the owner's rights, the view's settings, a time limit.
 * bs_computed_end takes it down again.  No lock of ours may be held meanwhile: an expression may
 * wait or take long, and the subtransaction around it releases all LWLocks when it fails.
 */
#ifndef BS_COMPUTED_H
#define BS_COMPUTED_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "nodes/primnodes.h"

#include "engine/expr.h"
#include "options.h"

typedef struct BsComputed BsComputed;

/* What becomes of the value. */
typedef enum BsComputedForm
{
	BS_COMPUTED_PLAIN,     /* itself */
	BS_COMPUTED_NUMERIC,   /* a numeric as bytes that are equal when the numbers are */
	BS_COMPUTED_INTERVAL,  /* an interval's span, 16 bytes */
	BS_COMPUTED_BPCHAR,    /* a character(n) without trailing blanks */
	BS_COMPUTED_ARGUMENTS, /* several values: bytes are a BsArguments */
	BS_NCOMPUTED_FORMS
} BsComputedForm;

/* Values of one record for a function of several arguments. */
typedef struct BsArguments
{
	int nargs;
	NullableDatum args[FLEXIBLE_ARRAY_MEMBER];
} BsArguments;

/*
 * An empty set for a view of this owner over a stream with these columns, all in a context that is
 * a child of parent.  desc and options are copied.
 */
extern BsComputed *bs_computed_create(TupleDesc desc, Oid owner, const BsViewOptions *options,
									  MemoryContext parent);
extern void bs_computed_free(BsComputed *set);

/* Add an expression over a record (simplified), or find the same one: its number and type of lane.
 */
extern uint32_t bs_computed_add(BsComputed *set, Expr *expr, BsType *type);
extern uint32_t bs_computed_add_form(BsComputed *set, BsComputedForm form, List *exprs,
									 BsType *type);

/* Forget what was added after mark. */
extern int bs_computed_mark(const BsComputed *set);
extern void bs_computed_release(BsComputed *set, int mark);

/*
 * The set is complete.  uses[number] says how many places of the program use a column: what is used
 * twice is computed once.
 */
extern void bs_computed_seal(BsComputed *set, const uint32_t *uses);

/* Set up all expressions now: raises an error where the current user may not execute a function. */
extern void bs_computed_verify(BsComputed *set);

extern int bs_computed_count(const BsComputed *set);
/* The expression of a column, for EXPLAIN: ROW(...) where there are several. */
extern Expr *bs_computed_expr(const BsComputed *set, uint32_t number);
/* Are these only columns and constants, which are fetched and not computed? */
extern bool bs_computed_is_plain(const BsComputed *set, uint32_t number);
/* Sets wanted[] for each column of the stream that is read. */
extern void bs_computed_columns(const BsComputed *set, bool *wanted);

/* Do two sets compute the same, under the same numbers, by the same rights and settings? */
extern bool bs_computed_equal(const BsComputed *a, const BsComputed *b);

extern void bs_computed_begin(BsComputed *set);
extern void bs_computed_end(BsComputed *set);

/* A BsForeignEvaluate; context is the set. */
extern void bs_computed_evaluate(void *context, uint32_t number, const BsBatch *batch, BsRows rows,
								 BsLane *out, uint8_t *errors);

/*
 * Run code that may raise an error on the set's terms (rights, settings, time limit,
 * subtransaction). False if it failed: the message is bs_computed_last_error().  Only between begin
 * and end.
 */
typedef void (*BsGuarded)(void *argument);
extern bool bs_computed_guard(BsComputed *set, BsGuarded code, void *argument);

/*
 * A number that changes when any function was created, replaced or dropped: what was looked up of
 * functions before is stale.
 */
extern uint64 bs_functions_generation(void);

/* The message of the last error of a record, or NULL; good until the next. */
extern const char *bs_computed_last_error(const BsComputed *set);

/*
 * Why the view must be suspended, or NULL: its code exceeded backstream.eval_timeout.  Once is enough:
 * a receiver stands still meanwhile, and all other views with it.
 */
extern const char *bs_computed_suspended(const BsComputed *set);

#endif
