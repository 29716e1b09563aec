/* SPDX-License-Identifier: PostgreSQL */
/* canonical.h: values in a form in which equal ones are equal bytes, for keys and DISTINCT. */
#ifndef BS_CANONICAL_H
#define BS_CANONICAL_H

#include "native.h"
#include "refuse.h"

/*
 * The plan of an expression in such a form: plan itself where its values are so already.  original is
 * as the user wrote it (for its type and errors), simple and plan are of it.  Refuses a type whose
 * equality is not known to be equality of bytes.
 */
extern BsExpr *bs_canonical_plan(BsNative *native, Node *original, Expr *simple, BsExpr *plan,
								 const BsPlace *place);

#endif
