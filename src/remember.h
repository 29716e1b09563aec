/* SPDX-License-Identifier: PostgreSQL */
/*
 * remember.h: functions whose values continuous views remember by their arguments.
 *
 * A function that reads tables is too slow to be called for each record.  Its owner says for how long
 * what it has returned may be returned again, by a setting of the function:
 *
 *     ALTER FUNCTION inventory.if_name(inet, bigint) SET backstream.remember = '1 min'
 *
 * (backstream.remember() writes that), so that the declaration is dumped, replaced and dropped with the
 * function.  Where PostgreSQL computes a column of a view (computed.h), calls of such functions are
 * exchanged for calls of backstream.remembered_call(), which keeps what they returned.
 *
 *   remember.c        which functions, the exchange, and what SQL sees of it
 *   remembercache.c   what was returned, by arguments
 */
#ifndef BS_REMEMBER_H
#define BS_REMEMBER_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/primnodes.h"

#define BS_REMEMBER_SETTING "backstream.remember"

/* For how long what this function returned may be returned again, in milliseconds; 0: not at all. */
extern int bs_remember_msec(Oid function);

/*
 * A copy of an expression (simplified) in which remembered functions are called by way of what is
 * remembered.  Raises an error where the current user may not execute one.  It can only be evaluated.
 */
extern Expr *bs_remember_calls(Expr *expr);

/* The calls (FuncExpr *) in an expression that are remembered. */
extern List *bs_remember_find(Expr *expr);

/*
 * Tell who makes a view of functions in these expressions (a list) that may be slow: declared neither
 * immutable nor to be remembered, and in a language in which tables are read.  A NOTICE for each.
 */
extern void bs_remember_advise(List *exprs);

/* Forget at the end of transactions that fail; called from _PG_init. */
extern void bs_remember_init(void);

/* ---- what was returned ----------------------------------------------------------------------- */

/*
 * At most backstream.remember_memory bytes: two generations of half of that.  What is asked for is in the
 * young one or comes there; when that is full it becomes the old one, which is thrown away.  So what has
 * been asked for lately stays.
 */
typedef struct BsRememberCache BsRememberCache;

/* Everything is in children of parent.  Values are of this length, and passed so. */
extern BsRememberCache *bs_remember_cache_create(MemoryContext parent, int16 len, bool byval);

/*
 * What is remembered under a key, if it is not older than it may be at now_usec.  A value that is passed by
 * reference stays until the next call.
 */
extern bool bs_remember_cache_get(BsRememberCache *cache, const StringInfo key, int64 now_usec,
								  Datum *value, bool *isnull);

/* Remember a value until a time (copied). */
extern void bs_remember_cache_put(BsRememberCache *cache, const StringInfo key, int64 until_usec,
								  Datum value, bool isnull);

#endif
