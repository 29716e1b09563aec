/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr.c: the table of operations, and evaluation of what is not an operation: columns, constants,
 * foreign expressions, filters.  See expr.h, and expr_internal.h for the rules.
 */
#include "expr_internal.h"
#include "share.h"

static const BsLane *
eval_column(BsExpr *expr, BsEval *eval, BsRows rows)
{
	(void) rows;
	return &eval->batch->columns[expr->column];
}

static const BsLane *
eval_const(BsExpr *expr, BsEval *eval, BsRows rows)
{
	(void) eval;
	(void) rows;
	return &expr->result;
}

static const BsLane *
eval_foreign(BsExpr *expr, BsEval *eval, BsRows rows)
{
	BsLane *result = bs_result_begin(expr);
	BsRows alive = {.nrows = 0, .rows = expr->scratch_rows};

	/* Ring 2 is not asked about rows whose evaluation has ended in an error. */
	BS_EACH_ROW_ONCE(rows, row, {
		expr->scratch_rows[alive.nrows] = (uint16_t) row;
		alive.nrows += eval->errors[row] == BS_ERROR_NONE;
		bs_lane_blank(result, row);
	});
	if (alive.nrows > 0 && eval->foreign != NULL)
		eval->foreign(eval->foreign_context, expr->foreign, eval->batch, alive, result,
					  eval->errors);
	else
		BS_EACH_ROW_ONCE(alive, row, bs_error_set(eval, row, BS_ERROR_FOREIGN););
	if (result->has_nulls)
		bs_result_may_be_null(expr, rows);
	BS_EACH_ROW_ONCE(alive, row, {
		if (eval->errors[row] != BS_ERROR_NONE)
			bs_lane_blank(result, row);
	});
	return result;
}

#define COMPARISON(operation)                                                                      \
	[operation] = {bs_eval_compare, 2, 2, false, BS_RULE_ALIKE, BS_SET_BOOL, BS_SET_ORDERED,       \
				   BS_SET_ORDERED}
#define EQUALITY(operation, evaluate)                                                              \
	[operation] = {evaluate, 2, 2, false, BS_RULE_ALIKE, BS_SET_BOOL, BS_SET_ANY, BS_SET_ANY}
#define MEMBERSHIP(operation)                                                                      \
	[operation] = {bs_eval_in, 1, 1, false, BS_RULE_SETS, BS_SET_BOOL, BS_SET_ANY, 0}
#define LOGIC(operation, evaluate, max)                                                            \
	[operation] = {evaluate, 1, max, false, BS_RULE_SETS, BS_SET_BOOL, BS_SET_BOOL, BS_SET_BOOL}
#define NULL_TEST(operation)                                                                       \
	[operation] = {bs_eval_is, 1, 1, false, BS_RULE_SETS, BS_SET_BOOL, BS_SET_ANY, 0}
#define EXTREME(operation)                                                                         \
	[operation] = {bs_eval_extreme, 1, UINT32_MAX, false, BS_RULE_FIT, BS_SET_ORDERED,             \
				   BS_SET_ORDERED, BS_SET_ORDERED}
#define ARITHMETIC(operation, set)                                                                 \
	[operation] = {bs_eval_arith, 2, 2, true, BS_RULE_FIT, set, set, set}
#define BITS(operation, nargs, rule)                                                               \
	[operation] = {bs_eval_bits, nargs, nargs, false, rule, BS_SET_INT, BS_SET_INT, BS_SET_INT}
#define SIGN(operation)                                                                            \
	[operation] = {bs_eval_sign, 1, 1, true, BS_RULE_FIRST, BS_SET_NUMBER, BS_SET_NUMBER, 0}
#define CAST(operation, evaluate, can_fail, result, first)                                         \
	[operation] = {evaluate, 1, 1, can_fail, BS_RULE_SETS, result, first, 0}
#define INET_TEST(operation)                                                                       \
	[operation] = {bs_eval_inet_test, 2, 2, false, BS_RULE_SETS, BS_SET_BOOL, BS_SET_INET,         \
				   BS_SET_INET}
#define INET_PART(operation)                                                                       \
	[operation] = {bs_eval_inet_part, 1, 1, false, BS_RULE_SETS, BS_SET_INET, BS_SET_INET, 0}
#define SET_MASKLEN(operation)                                                                     \
	[operation] = {bs_eval_set_masklen, 2, 2, true, BS_RULE_SETS, BS_SET_INET, BS_SET_INET,        \
				   BS_SET_INT}
#define INET_NUMBER(operation)                                                                     \
	[operation] = {bs_eval_inet_number, 1, 1, false, BS_RULE_SETS, BS_SET_INT, BS_SET_INET, 0}
#define PREFIX(operation, result)                                                                  \
	[operation] = {bs_eval_prefix, 1, 1, true, BS_RULE_SETS, result, BS_SET_INET, 0}
#define INTERVAL(operation, nargs)                                                                 \
	[operation] = {bs_eval_interval, nargs, nargs, true, BS_RULE_SETS, BS_SET_INTERVAL,            \
				   BS_SET_INTERVAL, BS_SET_INTERVAL}

const BsOpInfo bs_op_info[BS_NOPS] = {
	[BS_OP_COLUMN] = {eval_column, 0, 0, false, BS_RULE_SETS, BS_SET_ANY, 0, 0},
	[BS_OP_CONST] = {eval_const, 0, 0, false, BS_RULE_SETS, BS_SET_ANY, 0, 0},
	[BS_OP_FOREIGN] = {eval_foreign, 0, 0, true, BS_RULE_SETS, BS_SET_ANY, 0, 0},

	EQUALITY(BS_OP_EQ, bs_eval_compare),
	EQUALITY(BS_OP_NE, bs_eval_compare),
	COMPARISON(BS_OP_LT),
	COMPARISON(BS_OP_LE),
	COMPARISON(BS_OP_GT),
	COMPARISON(BS_OP_GE),
	EQUALITY(BS_OP_DISTINCT, bs_eval_distinct),
	EQUALITY(BS_OP_NOT_DISTINCT, bs_eval_distinct),
	MEMBERSHIP(BS_OP_IN),
	MEMBERSHIP(BS_OP_NOT_IN),

	LOGIC(BS_OP_AND, bs_eval_and, UINT32_MAX),
	LOGIC(BS_OP_OR, bs_eval_or, UINT32_MAX),
	LOGIC(BS_OP_NOT, bs_eval_not, 1),
	NULL_TEST(BS_OP_IS_NULL),
	NULL_TEST(BS_OP_IS_NOT_NULL),
	LOGIC(BS_OP_IS_TRUE, bs_eval_is, 1),
	LOGIC(BS_OP_IS_NOT_TRUE, bs_eval_is, 1),
	LOGIC(BS_OP_IS_FALSE, bs_eval_is, 1),
	LOGIC(BS_OP_IS_NOT_FALSE, bs_eval_is, 1),

	[BS_OP_CASE] = {bs_eval_case, 1, UINT32_MAX, false, BS_RULE_SETS, BS_SET_ANY, BS_SET_ANY,
					BS_SET_ANY},
	[BS_OP_COALESCE] = {bs_eval_coalesce, 1, UINT32_MAX, false, BS_RULE_FIT, BS_SET_ANY,
						BS_SET_ANY, BS_SET_ANY},
	EXTREME(BS_OP_GREATEST),
	EXTREME(BS_OP_LEAST),
	[BS_OP_NULLIF] = {bs_eval_nullif, 2, 2, false, BS_RULE_FIRST_ALIKE, BS_SET_ANY, BS_SET_ANY,
					  BS_SET_ANY},

	ARITHMETIC(BS_OP_ADD, BS_SET_NUMBER),
	ARITHMETIC(BS_OP_SUB, BS_SET_NUMBER),
	ARITHMETIC(BS_OP_MUL, BS_SET_NUMBER),
	ARITHMETIC(BS_OP_DIV, BS_SET_NUMBER),
	ARITHMETIC(BS_OP_MOD, BS_SET_INT),
	SIGN(BS_OP_NEG),
	SIGN(BS_OP_ABS),
	BITS(BS_OP_BIT_AND, 2, BS_RULE_FIT),
	BITS(BS_OP_BIT_OR, 2, BS_RULE_FIT),
	BITS(BS_OP_BIT_XOR, 2, BS_RULE_FIT),
	BITS(BS_OP_BIT_NOT, 1, BS_RULE_FIT),
	BITS(BS_OP_SHL, 2, BS_RULE_FIRST),
	BITS(BS_OP_SHR, 2, BS_RULE_FIRST),

	CAST(BS_OP_INT_CAST, bs_eval_int_cast, true, BS_SET_INT, BS_SET_INT),
	CAST(BS_OP_INT_TO_FLOAT, bs_eval_int_to_float, false, BS_SET_FLOAT, BS_SET_INT),
	CAST(BS_OP_FLOAT_TO_INT, bs_eval_float_to_int, true, BS_SET_INT, BS_SET_FLOAT),
	CAST(BS_OP_FLOAT_CAST, bs_eval_float_cast, true, BS_SET_FLOAT, BS_SET_FLOAT),
	CAST(BS_OP_BOOL_TO_INT, bs_eval_bool_cast, false, BS_SET_INT, BS_SET_BOOL),
	CAST(BS_OP_INT_TO_BOOL, bs_eval_bool_cast, false, BS_SET_BOOL, BS_SET_INT),

	INET_TEST(BS_OP_INET_SUB),
	INET_TEST(BS_OP_INET_SUBEQ),
	INET_TEST(BS_OP_INET_SUP),
	INET_TEST(BS_OP_INET_SUPEQ),
	INET_TEST(BS_OP_INET_OVERLAP),
	INET_PART(BS_OP_INET_NETWORK),
	SET_MASKLEN(BS_OP_INET_SET_MASKLEN),
	SET_MASKLEN(BS_OP_CIDR_SET_MASKLEN),
	INET_NUMBER(BS_OP_INET_MASKLEN),
	INET_NUMBER(BS_OP_INET_FAMILY),
	INET_PART(BS_OP_INET_BROADCAST),
	INET_PART(BS_OP_INET_NETMASK),
	INET_PART(BS_OP_INET_HOSTMASK),

	[BS_OP_TIME_BIN] = {bs_eval_time_bin, 1, 1, true, BS_RULE_SETS, BS_SET_TIME, BS_SET_TIME, 0},
	[BS_OP_TIME_SUB_TIME] = {bs_eval_time_sub_time, 2, 2, true, BS_RULE_SETS, BS_SET_INTERVAL,
							 BS_SET_TIME, BS_SET_TIME},
	[BS_OP_TIME_ADD_USEC] = {bs_eval_time_add_usec, 1, 1, true, BS_RULE_SETS, BS_SET_TIME,
							 BS_SET_TIME, 0},
	INTERVAL(BS_OP_INTERVAL_ADD, 2),
	INTERVAL(BS_OP_INTERVAL_SUB, 2),
	INTERVAL(BS_OP_INTERVAL_NEG, 1),

	[BS_OP_PORTION] = {bs_eval_portion, 1, 1, false, BS_RULE_SETS, BS_TYPE_BIT(BS_INT8), BS_SET_INT, 0},
	[BS_OP_SCALED] = {bs_eval_scaled, 2, 2, true, BS_RULE_SETS, BS_TYPE_BIT(BS_INT8), BS_SET_INT,
					  BS_SET_INT},

	PREFIX(BS_OP_PREFIX_TEXT, BS_TYPE_BIT(BS_BYTES)),
	PREFIX(BS_OP_PREFIX_BIGINT, BS_TYPE_BIT(BS_INT8)),
	PREFIX(BS_OP_PREFIX_NETWORK, BS_SET_INET),
};

const BsLane *
bs_expr_evaluate(BsExpr *expr, BsEval *eval, BsRows rows)
{
	const BsLane *lane = expr->common != NULL ? bs_common_evaluate(expr->common, eval, rows) : NULL;

	if (lane != NULL)
		return lane;
	return bs_evaluate(expr, eval, rows);
}

/* Where only truth counts, NULL may be dropped as if false, unless a later argument could fail. */
static bool
can_chain(const BsExpr *and, bool where)
{
	for (uint32_t i = 1; i < and->nargs && !where; i++)
		if (and->args[i]->can_fail)
			return false;
	return true;
}

uint32_t
bs_filter(BsExpr *expr, BsEval *eval, BsRows rows, uint16_t *out, bool where)
{
	if (expr->op == BS_OP_AND && can_chain(expr, where))
	{
		for (uint32_t i = 0; i < expr->nargs; i++)
		{
			rows.nrows = bs_filter(expr->args[i], eval, rows, out, where);
			if (expr->args[i]->can_fail)
				rows.nrows = bs_drop_errors(eval, rows.nrows, out);
			rows.rows = out;
		}
		return rows.nrows;
	}
	if (bs_op_info[expr->op].evaluate == bs_eval_compare)
		return bs_keep_compared(expr, eval, rows, out);
	return bs_keep_true(bs_evaluate(expr, eval, rows), rows, out);
}

uint32_t
bs_expr_filter(BsExpr *expr, BsEval *eval, BsRows rows, uint16_t *out)
{
	uint32_t nkept;

	if (expr->common != NULL && bs_common_filter(expr->common, eval, rows, out, &nkept))
		return nkept;
	return bs_drop_errors(eval, bs_filter(expr, eval, rows, out, false), out);
}

uint32_t
bs_expr_where(BsExpr *expr, BsEval *eval, BsRows rows, uint16_t *out)
{
	uint32_t nkept;

	if (expr->common != NULL && bs_common_filter(expr->common, eval, rows, out, &nkept))
		return nkept;
	return bs_drop_errors(eval, bs_filter(expr, eval, rows, out, true), out);
}
