/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_prefix.c: looking up addresses in longest-prefix maps: their labels as text or as a number, and
 * the prefix itself.  Texts stay in the map's memory; see BsPrefixHandle.
 */
#include "expr_internal.h"

static void
put_networks(BsExpr *expr, const BsLane *address, BsRows rows)
{
	const BsPrefixHandle *handle = expr->prefix;
	BsLane *result = &expr->result;

	BS_EACH_ROW_ONCE(rows, row, {
		if (expr->prefixes[row] != 0)
			result->inet[row] = bs_prefixmap_network(handle->arena, handle->map,
													 expr->prefixes[row], &address->inet[row]);
		else
		{
			bs_lane_blank(result, row);
			result->nulls[row] = 1;
		}
	});
}

/* Why nothing can be looked up, if so; the column to be looked in. */
static BsError
find_column(const BsExpr *expr, int *column)
{
	const BsPrefixMap *map = expr->prefix->map;

	*column = -1;
	if (map == NULL)
		return BS_ERROR_NO_PREFIX_MAP;
	if (expr->op == BS_OP_PREFIX_NETWORK)
		return BS_ERROR_NONE;
	*column = bs_prefixmap_column(map, expr->prefix->label);
	if (*column < 0)
		return BS_ERROR_PREFIX_LABEL;
	if (expr->op == BS_OP_PREFIX_BIGINT && bs_prefixmap_kind(map, *column) != BS_LABEL_BIGINT)
		return BS_ERROR_PREFIX_LABEL;
	return BS_ERROR_NONE;
}

static const BsLane *
all_fail(BsExpr *expr, BsEval *eval, BsRows rows, const BsLane *address, BsError error)
{
	BsLane *result = &expr->result;

	BS_EACH_ROW_ONCE(rows, row, {
		bs_lane_blank(result, row);
		bs_error_raise(eval, address, address, row, error);
	});
	bs_result_merge_nulls(expr, rows, address, address);
	return result;
}

const BsLane *
bs_eval_prefix(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *address = bs_evaluate(expr->args[0], eval, rows);
	const BsPrefixHandle *handle = expr->prefix;
	BsLane *result = bs_result_begin(expr);
	uint32_t *found = expr->prefixes;
	int column;
	BsError error = find_column(expr, &column);

	if (error != BS_ERROR_NONE)
		return all_fail(expr, eval, rows, address, error);
	if (rows.nrows == 0)
		return result;
	bs_prefixmap_find_rows(handle->arena, handle->map, address->inet, rows.nrows, rows.rows, found);
	bs_result_may_be_null(expr, rows);
	/* Below a NULL may lie any address: whatever was found for it is not shown. */
	if (address->has_nulls)
		BS_EACH_ROW(rows, row, found[row] = address->nulls[row] ? 0 : found[row];);
	if (expr->op == BS_OP_PREFIX_NETWORK)
		put_networks(expr, address, rows);
	else
		bs_prefixmap_label_rows(handle->arena, handle->map, column, rows.nrows, rows.rows, found,
								expr->op == BS_OP_PREFIX_TEXT ? result->bytes : NULL, result->i64,
								result->nulls);
	return result;
}
