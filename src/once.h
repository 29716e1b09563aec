/* SPDX-License-Identifier: PostgreSQL */
/*
 * once.h: calls in expressions over many rows that give the same for each: evaluated when the first row asks, not for
 * each of them.
 *
 * These are stable functions and operators of constants, as the threshold in HAVING sum(x) > threshold('x'), which reads
 * a table.  PostgreSQL may evaluate such a function once in a statement or for each row.  As it would, none is evaluated that
 * no row reaches.
 */
#ifndef BS_ONCE_H
#define BS_ONCE_H

#include "postgres.h"

#include "nodes/params.h"

typedef struct BsOnce BsOnce;

/* In CurrentMemoryContext, in which values are kept, too; freed before that is. */
extern BsOnce *bs_once_create(void);
extern void bs_once_free(BsOnce *once);

/* The expression with such calls replaced by parameters. */
extern Node *bs_once_replace(BsOnce *once, Node *expr);

/* The parameters, for the ExprContext in which expressions are evaluated. */
extern ParamListInfo bs_once_params(BsOnce *once);

/* They are evaluated anew when a row asks next. */
extern void bs_once_forget(BsOnce *once);

#endif
