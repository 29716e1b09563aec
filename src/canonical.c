/* SPDX-License-Identifier: PostgreSQL */
/* canonical.c: which types' values are equal bytes when they are equal, and how others are made so. */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "canonical.h"
#include "computed.h"

/*
 * How a type's values are made such that equal ones are equal bytes.  The types that are not listed
 * must say of themselves that they are so already.
 */
typedef enum KeyForm
{
	KEY_PLAIN,
	KEY_FLOAT,
	KEY_COMPUTED, /* by a form of computed.h */
	KEY_REFUSED
} KeyForm;

/* Does the type's btree operator class say that equal values are the same bytes? */
static bool
is_equalimage(Oid type, Oid collation)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
	Oid function;

	if (!OidIsValid(entry->btree_opf))
		return false;
	function = get_opfamily_proc(entry->btree_opf, entry->btree_opintype, entry->btree_opintype,
								 BTEQUALIMAGE_PROC);
	return OidIsValid(function) &&
		   DatumGetBool(
			   OidFunctionCall1Coll(function, collation, ObjectIdGetDatum(entry->btree_opintype)));
}

static KeyForm
key_form(Node *expr, BsComputedForm *form)
{
	Oid type = getBaseType(exprType(expr));

	*form = BS_COMPUTED_PLAIN;
	switch (type)
	{
		case FLOAT4OID:
		case FLOAT8OID:
			return KEY_FLOAT;
		case NUMERICOID:
			*form = BS_COMPUTED_NUMERIC;
			return KEY_COMPUTED;
		case INTERVALOID:
			*form = BS_COMPUTED_INTERVAL;
			return KEY_COMPUTED;
		case INETOID: /* their bytes are compared after the lane, which leaves nothing out */
		case CIDROID:
		case MACADDROID:
			return KEY_PLAIN;
		case BPCHAROID:
			if (get_collation_isdeterministic(exprCollation(expr)))
			{
				*form = BS_COMPUTED_BPCHAR;
				return KEY_COMPUTED;
			}
			return KEY_REFUSED;
		default:
			return is_equalimage(type, exprCollation(expr)) ? KEY_PLAIN : KEY_REFUSED;
	}
}

/* -0 is 0, and one NaN is like the other. */
static BsExpr *
canonical_float(BsExpr *plan)
{
	BsValue zero = {.f64 = 0.0};
	BsValue nan = {.f64 = get_float8_nan()};
	BsExpr *zero_plan = bs_native_plan_const(plan->type, zero);
	BsExpr *nan_plan = bs_native_plan_const(plan->type, nan);
	BsExpr *is_zero[2] = {plan, zero_plan};
	BsExpr *is_nan[2] = {plan, nan_plan};
	BsExpr *args[5] = {bs_native_plan_op(BS_OP_EQ, BS_BOOL, 2, is_zero), zero_plan,
					   bs_native_plan_op(BS_OP_EQ, BS_BOOL, 2, is_nan), nan_plan, plan};

	return bs_native_plan_op(BS_OP_CASE, plan->type, 5, args);
}

static BsExpr *
computed_form(BsNative *native, Expr *simple, BsComputedForm form)
{
	BsExpr *plan = palloc0(sizeof(BsExpr));

	plan->op = BS_OP_FOREIGN;
	plan->foreign =
		bs_computed_add_form(native->computed, form, list_make1(simple), &plan->type);
	return plan;
}

BsExpr *
bs_canonical_plan(BsNative *native, Node *original, Expr *simple, BsExpr *plan, const BsPlace *place)
{
	BsComputedForm form;

	switch (key_form(original, &form))
	{
		case KEY_PLAIN:
			return plan;
		case KEY_FLOAT:
			return canonical_float(plan);
		case KEY_COMPUTED:
			return computed_form(native, simple, form);
		case KEY_REFUSED:
			break;
	}
	bs_refuse_key_type(original, exprType(original), exprCollation(original), place);
	return NULL;
}
