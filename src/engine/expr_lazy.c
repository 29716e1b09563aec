/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_lazy.c: AND, OR, CASE, COALESCE: an argument is evaluated only in the rows that reach it.
 *
 * Each keeps a selection of the rows that are still undecided in scratch_rows and shrinks it in
 * place.  Rows in error are decided: they leave with a blank value.
 */
#include "expr_internal.h"

/* One NULL more in a result that was begun for rows. */
static inline void
set_null(BsExpr *expr, uint32_t row, bool *any)
{
	expr->result.nulls[row] = 1;
	*any = true;
}

/*
 * The rows that an argument of AND (OR) leaves undecided: all but those where it is false (true),
 * which decides the result.  A NULL is remembered in the result and may still be overruled.
 */
static uint32_t
undecided_rows(BsExpr *expr, BsEval *eval, const BsLane *arg, BsRows rows, bool decides,
			   bool *any_null)
{
	BsLane *result = &expr->result;
	uint16_t *out = expr->scratch_rows;
	uint32_t nleft = 0;

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint16_t row = rows.rows[i];

		if (eval->errors[row] != BS_ERROR_NONE)
			continue;
		if (arg->nulls[row])
			set_null(expr, row, any_null);
		else if ((arg->i64[row] != 0) == decides)
		{
			result->i64[row] = decides;
			result->nulls[row] = 0;
			continue;
		}
		out[nleft++] = row;
	}
	return nleft;
}

static const BsLane *
eval_logic(BsExpr *expr, BsEval *eval, BsRows rows, bool decides)
{
	BsLane *result = bs_result_begin(expr);
	BsRows left = rows;
	bool any_null = false;

	BS_EACH_ROW(rows, row, result->i64[row] = !decides;);
	for (uint32_t i = 0; i < expr->nargs && left.nrows > 0; i++)
	{
		const BsLane *arg = bs_evaluate(expr->args[i], eval, left);

		left.nrows = undecided_rows(expr, eval, arg, left, decides, &any_null);
		left.rows = expr->scratch_rows;
	}
	if (any_null)
		bs_result_may_be_null(expr, rows);
	return result;
}

const BsLane *
bs_eval_and(BsExpr *expr, BsEval *eval, BsRows rows)
{
	return eval_logic(expr, eval, rows, false);
}

const BsLane *
bs_eval_or(BsExpr *expr, BsEval *eval, BsRows rows)
{
	return eval_logic(expr, eval, rows, true);
}

/* Copy a branch's values into the result where the branch was taken. */
static void
take_branch(BsExpr *expr, const BsLane *branch, BsRows rows, bool *any_null)
{
	BsLane *result = &expr->result;

	if (bs_type_lane_width(result->type) == 8)
		BS_EACH_ROW(rows, row, result->i64[row] = branch->i64[row];);
	else
		BS_EACH_ROW_ONCE(rows, row, bs_lane_copy(result, branch, row););
	if (!branch->has_nulls)
		return;
	BS_EACH_ROW_ONCE(rows, row, {
		if (branch->nulls[row])
			set_null(expr, row, any_null);
	});
}

/* The rows without those taken (a part of them, in order) and those in error. */
static uint32_t
remaining_rows(BsExpr *expr, BsEval *eval, BsRows rows, BsRows taken, uint16_t *out)
{
	uint32_t nleft = 0;
	uint32_t at = 0;

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint16_t row = rows.rows[i];

		if (at < taken.nrows && taken.rows[at] == row)
			at++;
		else if (eval->errors[row] == BS_ERROR_NONE)
			out[nleft++] = row;
		else
			bs_lane_blank(&expr->result, row);
	}
	return nleft;
}

const BsLane *
bs_eval_case(BsExpr *expr, BsEval *eval, BsRows rows)
{
	BsLane *result = bs_result_begin(expr);
	uint16_t *left_rows = expr->scratch_rows;
	uint16_t *taken_rows = expr->scratch_rows + expr->capacity;
	BsRows left = rows;
	bool any_null = false;

	for (uint32_t i = 0; i + 1 < expr->nargs && left.nrows > 0; i += 2)
	{
		BsRows taken = {.rows = taken_rows};

		taken.nrows = bs_expr_filter(expr->args[i], eval, left, taken_rows);
		if (taken.nrows > 0)
			take_branch(expr, bs_evaluate(expr->args[i + 1], eval, taken), taken, &any_null);
		left.nrows = remaining_rows(expr, eval, left, taken, left_rows);
		left.rows = left_rows;
	}
	if (left.nrows > 0)
		take_branch(expr, bs_evaluate(expr->args[expr->nargs - 1], eval, left), left, &any_null);
	if (any_null)
		bs_result_may_be_null(expr, rows);
	return result;
}

const BsLane *
bs_eval_coalesce(BsExpr *expr, BsEval *eval, BsRows rows)
{
	BsLane *result = bs_result_begin(expr);
	BsRows left = rows;

	for (uint32_t i = 0; i < expr->nargs && left.nrows > 0; i++)
	{
		const BsLane *arg = bs_evaluate(expr->args[i], eval, left);
		uint32_t nleft = 0;

		BS_EACH_ROW_ONCE(left, row, {
			if (eval->errors[row] != BS_ERROR_NONE)
				bs_lane_blank(result, row);
			else if (arg->nulls[row])
				expr->scratch_rows[nleft++] = (uint16_t) row;
			else
				bs_lane_copy(result, arg, row);
		});
		left = (BsRows){.nrows = nleft, .rows = expr->scratch_rows};
	}
	BS_EACH_ROW_ONCE(left, row, result->nulls[row] = 1;);
	if (left.nrows > 0)
		bs_result_may_be_null(expr, rows);
	return result;
}
