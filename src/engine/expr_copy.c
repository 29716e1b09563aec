/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_copy.c: trees as values: are two the same, what do they hash to, another one like it.
 *
 * Of a tree only what its maker gave counts, not the scratch that bs_expr_prepare adds.
 */
#include "expr_internal.h"

#include <stdlib.h>

static bool
values_equal(BsType type, const BsValue *a, const BsValue *b)
{
	if (type == BS_BYTES)
		return a->bytes.len == b->bytes.len &&
			   (a->bytes.len == 0 || memcmp(a->bytes.data, b->bytes.data, a->bytes.len) == 0);
	return memcmp(a, b, bs_type_lane_width(type)) == 0;
}

bool
bs_expr_equal(const BsExpr *a, const BsExpr *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->op != b->op || a->type != b->type || a->nargs != b->nargs || a->column != b->column ||
		a->foreign != b->foreign || a->constant_is_null != b->constant_is_null ||
		a->width_usec != b->width_usec || a->origin != b->origin || a->list_len != b->list_len ||
		a->list_has_null != b->list_has_null || a->prefix != b->prefix)
		return false;
	if (a->op == BS_OP_CONST && !a->constant_is_null &&
		!values_equal(a->type, &a->constant, &b->constant))
		return false;
	for (uint32_t i = 0; i < a->nargs; i++)
		if (!bs_expr_equal(a->args[i], b->args[i]))
			return false;
	for (uint32_t i = 0; i < a->list_len; i++)
		if (!values_equal(a->args[0]->type, &a->list[i], &b->list[i]))
			return false;
	return true;
}

static uint64_t
hash_in(uint64_t hash, uint64_t word)
{
	return (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
}

static uint64_t
hash_value(uint64_t hash, BsType type, const BsValue *value)
{
	const uint8_t *bytes = type == BS_BYTES ? value->bytes.data : (const uint8_t *) value;
	size_t len = type == BS_BYTES ? value->bytes.len : bs_type_lane_width(type);

	for (size_t i = 0; i < len; i++)
		hash = hash_in(hash, bytes[i]);
	return hash_in(hash, len);
}

uint64_t
bs_expr_hash(const BsExpr *expr)
{
	uint64_t hash = 0;

	if (expr == NULL)
		return 0;
	hash = hash_in(hash, (uint64_t) expr->op << 8 | (uint64_t) expr->type);
	hash = hash_in(hash, (uint64_t) expr->column << 32 | expr->foreign);
	hash = hash_in(hash, (uint64_t) expr->width_usec);
	hash = hash_in(hash, (uint64_t) (uintptr_t) expr->prefix);
	if (expr->op == BS_OP_CONST && !expr->constant_is_null)
		hash = hash_value(hash, expr->type, &expr->constant);
	for (uint32_t i = 0; i < expr->nargs; i++)
		hash = hash_in(hash, bs_expr_hash(expr->args[i]));
	for (uint32_t i = 0; i < expr->list_len; i++)
		hash = hash_value(hash, expr->args[0]->type, &expr->list[i]);
	return hash;
}

static BsExpr *
copy_operation(const BsExpr *expr)
{
	BsExpr **args = calloc(expr->nargs > 0 ? expr->nargs : 1, sizeof(BsExpr *));
	BsExpr *copy;

	if (args == NULL)
		return NULL;
	for (uint32_t i = 0; i < expr->nargs; i++)
		args[i] = bs_expr_copy(expr->args[i]);
	if (expr->op == BS_OP_IN || expr->op == BS_OP_NOT_IN)
		copy = bs_expr_in(expr->op, args[0], expr->list_len, expr->list, expr->list_has_null);
	else
		copy = bs_expr_op(expr->op, expr->type, expr->nargs, args);
	free(args);
	if (copy == NULL)
		return NULL;
	copy->width_usec = expr->width_usec;
	copy->origin = expr->origin;
	copy->prefix = expr->prefix;
	copy->column = expr->column;
	return copy;
}

BsExpr *
bs_expr_copy(const BsExpr *expr)
{
	switch (expr->op)
	{
		case BS_OP_COLUMN:
			return bs_expr_column(expr->column, expr->type);
		case BS_OP_FOREIGN:
			return bs_expr_foreign(expr->foreign, expr->type);
		case BS_OP_CONST:
			return expr->constant_is_null ? bs_expr_null(expr->type)
										  : bs_expr_const(expr->type, expr->constant);
		default:
			return copy_operation(expr);
	}
}
