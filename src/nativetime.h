/* SPDX-License-Identifier: PostgreSQL */
/*
 * nativetime.h: times in the engine's operations; what native.c and nativetime.c share.
 *
 * Each of the four plans a call by the row of native.c's table that names it, and returns NULL where the call is
 * not native: then PostgreSQL computes it.
 */
#ifndef BS_NATIVETIME_H
#define BS_NATIVETIME_H

#include "postgres.h"
#include "nodes/primnodes.h"

#include "native.h"

/* One call of a function or operator. */
typedef struct BsNativeCall
{
	List *args; /* of Expr */
	Oid result;
	Oid collation; /* of the inputs */
} BsNativeCall;

/* date_bin(width, time, origin), and tumble(time, width), which is that when it has been inlined. */
extern BsExpr *bs_native_time_bin(BsNative *native, const BsNativeCall *call);
/* date_trunc(unit, time [, zone]) */
extern BsExpr *bs_native_time_trunc(BsNative *native, const BsNativeCall *call);
/* time + interval, time - interval */
extern BsExpr *bs_native_time_plus(BsNative *native, const BsNativeCall *call);
extern BsExpr *bs_native_time_minus(BsNative *native, const BsNativeCall *call);

/* The node if it is a constant that is not NULL, or NULL. */
extern Const *bs_native_const(Node *node);

#endif
