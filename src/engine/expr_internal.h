/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_internal.h: what the files of the expression evaluator share.
 *
 *   expr.c          the table of operations, dispatch, columns, constants, foreign ones, filters
 *   expr_make.c     makers, and what is checked and allocated before evaluation
 *   expr_copy.c     trees compared and copied
 *   expr_lazy.c     AND, OR, CASE, COALESCE
 *   expr_compare.c  comparisons, DISTINCT, NULLIF, LEAST, GREATEST
 *   expr_in.c       IN, NOT, IS
 *   expr_arith.c    integers, floats, bits, casts, scaled
 *   expr_inet.c, expr_time.c
 *   expr_prefix.c   longest-prefix maps
 *
 * Rules that all evaluators keep:
 * - A strict operation computes its values for every selected row in one loop, also where an argument
 *   is NULL (the value there is garbage, so nothing may be undefined for it: no pointer is followed,
 *   no fault is raised), and merges the NULLs in a second loop that runs only where there are any.
 * - A fault is set only in a row that has none, and only where no argument is NULL.
 * - A row that lazy operations leave because it is in error gets a blank value, so that no stale
 *   pointer from an earlier batch stays in a lane.
 */
#ifndef BS_EXPR_INTERNAL_H
#define BS_EXPR_INTERNAL_H

#include <string.h>

#include "expr.h"

/* Trees deeper than this are refused: evaluation is recursive. */
#define BS_EXPR_MAX_DEPTH 1000

typedef const BsLane *(*BsExprEvaluate)(BsExpr *expr, BsEval *eval, BsRows rows);

/* Sets of types, as bits. */
#define BS_TYPE_BIT(type) (1u << (type))
#define BS_SET_BOOL BS_TYPE_BIT(BS_BOOL)
#define BS_SET_INT (BS_TYPE_BIT(BS_INT2) | BS_TYPE_BIT(BS_INT4) | BS_TYPE_BIT(BS_INT8))
#define BS_SET_FLOAT (BS_TYPE_BIT(BS_FLOAT4) | BS_TYPE_BIT(BS_FLOAT8))
#define BS_SET_NUMBER (BS_SET_INT | BS_SET_FLOAT)
#define BS_SET_TIME BS_TYPE_BIT(BS_TIMESTAMPTZ)
#define BS_SET_INTERVAL BS_TYPE_BIT(BS_INTERVAL)
#define BS_SET_INET BS_TYPE_BIT(BS_INET)
#define BS_SET_ANY (BS_TYPE_BIT(BS_BYTES + 1) - BS_TYPE_BIT(BS_BOOL))
#define BS_SET_ORDERED (BS_SET_ANY & ~(BS_TYPE_BIT(BS_BYTES) | BS_TYPE_BIT(BS_WORD)))

/* How the types of an operation's arguments hang together. */
typedef enum BsTypeRule
{
	BS_RULE_SETS,  /* only the sets count */
	BS_RULE_ALIKE, /* all arguments of one class: ints, floats, or the same type */
	BS_RULE_FIT,   /* each argument of the result's class, and no wider than the result */
	BS_RULE_FIRST, /* the first argument has the result's type */
	BS_RULE_FIRST_ALIKE /* both of the last two for the first two arguments */
} BsTypeRule;

typedef struct BsOpInfo
{
	BsExprEvaluate evaluate;
	uint32_t min_args;
	uint32_t max_args;
	bool can_fail;
	BsTypeRule rule;
	uint32_t result; /* sets of types */
	uint32_t first;
	uint32_t rest;
} BsOpInfo;

extern const BsOpInfo bs_op_info[BS_NOPS];

/* What an int, float or other type is compared as: equal numbers can be compared with each other. */
static inline BsType
bs_type_class(BsType type)
{
	if (BS_TYPE_BIT(type) & BS_SET_INT)
		return BS_INT8;
	if (BS_TYPE_BIT(type) & BS_SET_FLOAT)
		return BS_FLOAT8;
	return type;
}

/* Rows are ascending and distinct: n of them that end at n - 1 are all of 0..n-1. */
static inline bool
bs_rows_dense(BsRows rows)
{
	return rows.nrows > 0 && rows.rows[rows.nrows - 1] == rows.nrows - 1;
}

/* Do something for each selected row; without the indirection where the selection has no gaps. */
#define BS_EACH_ROW(selection, row, ...)                                                           \
	do                                                                                             \
	{                                                                                              \
		if (bs_rows_dense(selection))                                                              \
			for (uint32_t row = 0; row < (selection).nrows; row++)                                 \
			{                                                                                      \
				__VA_ARGS__                                                                        \
			}                                                                                      \
		else                                                                                       \
			for (uint32_t row##_at = 0; row##_at < (selection).nrows; row##_at++)                  \
			{                                                                                      \
				uint32_t row = (selection).rows[row##_at];                                         \
				__VA_ARGS__                                                                        \
			}                                                                                      \
	} while (0)

/* The same for bodies too large to have twice. */
#define BS_EACH_ROW_ONCE(selection, row, ...)                                                      \
	for (uint32_t row##_at = 0; row##_at < (selection).nrows; row##_at++)                          \
	{                                                                                              \
		uint32_t row = (selection).rows[row##_at];                                                 \
		__VA_ARGS__                                                                                \
	}

static inline const BsLane *
bs_evaluate(BsExpr *expr, BsEval *eval, BsRows rows)
{
	return bs_op_info[expr->op].evaluate(expr, eval, rows);
}

/* Make the result free of NULLs, undoing what the last evaluation left. */
static inline BsLane *
bs_result_begin(BsExpr *expr)
{
	if (expr->null_end > 0)
		memset(expr->result.nulls, 0, expr->null_end);
	expr->null_end = 0;
	expr->result.has_nulls = false;
	return &expr->result;
}

/* Say that nulls[] may hold ones at some of the rows from now on. */
static inline void
bs_result_may_be_null(BsExpr *expr, BsRows rows)
{
	if (rows.nrows == 0)
		return;
	expr->null_end = (uint32_t) rows.rows[rows.nrows - 1] + 1;
	expr->result.has_nulls = true;
}

/* NULL where an argument is; for a result that was begun.  b may be a itself. */
static inline void
bs_result_merge_nulls(BsExpr *expr, BsRows rows, const BsLane *a, const BsLane *b)
{
	uint8_t *nulls = expr->result.nulls;

	if (!a->has_nulls && !b->has_nulls)
		return;
	bs_result_may_be_null(expr, rows);
	BS_EACH_ROW(rows, row, nulls[row] = a->nulls[row] | b->nulls[row];);
}

static inline bool
bs_either_null(const BsLane *a, const BsLane *b, uint32_t row)
{
	return (a->nulls[row] | b->nulls[row]) != 0;
}

static inline void
bs_error_set(BsEval *eval, uint32_t row, BsError error)
{
	if (eval->errors[row] == BS_ERROR_NONE)
		eval->errors[row] = (uint8_t) error;
}

/* Set a fault that an operation met, unless the value it met was only what lies under a NULL. */
static inline void
bs_error_raise(BsEval *eval, const BsLane *a, const BsLane *b, uint32_t row, BsError error)
{
	if (!bs_either_null(a, b, row))
		bs_error_set(eval, row, error);
}

/* scaled() met a NULL rate in this row: counted once per record. */
static inline void
bs_note_unknown_rate(BsEval *eval, uint32_t row)
{
	if (eval->errors[row] != BS_ERROR_NONE)
		return;
	if (eval->unknown_rows != NULL)
	{
		if (eval->unknown_rows[row])
			return;
		eval->unknown_rows[row] = 1;
	}
	eval->unknown_rate++;
}

/* The rows where a boolean lane is true. */
static inline uint32_t
bs_keep_true(const BsLane *lane, BsRows rows, uint16_t *out)
{
	uint32_t nkept = 0;

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint16_t row = rows.rows[i];

		out[nkept] = row;
		nkept += (lane->i64[row] != 0) & (lane->nulls[row] == 0);
	}
	return nkept;
}

/* Leave out the rows in error; returns how many remain. */
static inline uint32_t
bs_drop_errors(const BsEval *eval, uint32_t nrows, uint16_t *rows)
{
	uint32_t nkept = 0;

	for (uint32_t i = 0; i < nrows; i++)
	{
		uint16_t row = rows[i];

		rows[nkept] = row;
		nkept += eval->errors[row] == BS_ERROR_NONE;
	}
	return nkept;
}

static inline void
bs_lane_blank(BsLane *lane, uint32_t row)
{
	size_t width = bs_type_lane_width(lane->type);

	memset((char *) lane->values + row * width, 0, width);
}

static inline void
bs_lane_copy(BsLane *to, const BsLane *from, uint32_t row)
{
	switch (bs_type_lane_width(to->type))
	{
		case 8:
			to->i64[row] = from->i64[row];
			break;
		case 16:
			to->interval[row] = from->interval[row];
			break;
		default:
			to->inet[row] = from->inet[row];
			break;
	}
}

/* The constant an argument is, so that loops need not read a lane of it; NULL for others. */
static inline const BsValue *
bs_expr_constant(const BsExpr *expr)
{
	return expr->op == BS_OP_CONST && !expr->constant_is_null ? &expr->constant : NULL;
}

/* expr.c: as bs_expr_filter, but rows in error may be among the kept. */
extern uint32_t bs_filter(BsExpr *expr, BsEval *eval, BsRows rows, uint16_t *out, bool where);

/* expr_compare.c: filter by a comparison; the comparison with its sides exchanged. */
extern uint32_t bs_keep_compared(BsExpr *expr, BsEval *eval, BsRows rows, uint16_t *out);
extern BsOp bs_op_commuted(BsOp op);

/* expr_in.c: order values of a type as IN looks them up, leave out doubles, return how many remain. */
extern uint32_t bs_list_sort(BsType type, BsValue *list, uint32_t list_len);

/* Evaluators, by file. */
extern const BsLane *bs_eval_and(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_or(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_case(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_coalesce(BsExpr *expr, BsEval *eval, BsRows rows);

extern const BsLane *bs_eval_compare(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_distinct(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_in(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_not(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_is(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_extreme(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_nullif(BsExpr *expr, BsEval *eval, BsRows rows);

extern const BsLane *bs_eval_arith(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_sign(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_bits(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_int_cast(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_int_to_float(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_float_to_int(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_float_cast(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_bool_cast(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_portion(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_scaled(BsExpr *expr, BsEval *eval, BsRows rows);

extern const BsLane *bs_eval_inet_test(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_inet_part(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_inet_number(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_set_masklen(BsExpr *expr, BsEval *eval, BsRows rows);

extern const BsLane *bs_eval_time_bin(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_time_sub_time(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_time_add_usec(BsExpr *expr, BsEval *eval, BsRows rows);
extern const BsLane *bs_eval_interval(BsExpr *expr, BsEval *eval, BsRows rows);

extern const BsLane *bs_eval_prefix(BsExpr *expr, BsEval *eval, BsRows rows);

#endif
