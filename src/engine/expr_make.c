/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_make.c: making, checking and freeing trees of expressions.
 *
 * Everything that can go wrong with a tree is found here, by the table bs_op_info and a few rules
 * that do not fit a table, so that evaluation needs no checks.
 */
#include "expr_internal.h"

#include <stdlib.h>

static const char *const error_messages[BS_NERRORS] = {
	[BS_ERROR_NONE] = "no error",
	[BS_ERROR_DIVISION_BY_ZERO] = "division by zero",
	[BS_ERROR_INT2_RANGE] = "smallint out of range",
	[BS_ERROR_INT4_RANGE] = "integer out of range",
	[BS_ERROR_INT8_RANGE] = "bigint out of range",
	[BS_ERROR_FLOAT_OVERFLOW] = "value out of range: overflow",
	[BS_ERROR_FLOAT_UNDERFLOW] = "value out of range: underflow",
	[BS_ERROR_TIMESTAMP_RANGE] = "timestamp out of range",
	[BS_ERROR_INTERVAL_RANGE] = "interval out of range",
	[BS_ERROR_INFINITE_TIME] = "cannot subtract infinite timestamps",
	[BS_ERROR_MASKLEN] = "invalid mask length",
	[BS_ERROR_KEY_TOO_LONG] = "group key too long",
	[BS_ERROR_STATE_TOO_LARGE] = "aggregate state too large",
	[BS_ERROR_NO_PREFIX_MAP] = "a prefix map does not exist or is not built yet",
	[BS_ERROR_PREFIX_LABEL] = "a prefix map has no such label column of this type",
	[BS_ERROR_FOREIGN] = "error in an expression evaluated by the server",
};

const char *
bs_error_message(BsError error)
{
	return (unsigned) error < BS_NERRORS ? error_messages[error] : "unknown error";
}

static BsExpr *
expr_new(BsOp op, BsType type)
{
	BsExpr *expr = calloc(1, sizeof(BsExpr));

	if (expr == NULL)
		return NULL;
	expr->op = op;
	expr->type = type;
	return expr;
}

static bool
bytes_copy(BsBytes *bytes)
{
	uint8_t *copy = malloc(bytes->len > 0 ? bytes->len : 1);

	if (copy == NULL)
		return false;
	if (bytes->len > 0)
		memcpy(copy, bytes->data, bytes->len);
	*bytes = (BsBytes){.data = copy, .len = bytes->len};
	return true;
}

BsExpr *
bs_expr_column(uint32_t column, BsType type)
{
	BsExpr *expr = expr_new(BS_OP_COLUMN, type);

	if (expr != NULL)
		expr->column = column;
	return expr;
}

BsExpr *
bs_expr_const(BsType type, BsValue value)
{
	BsExpr *expr = expr_new(BS_OP_CONST, type);

	if (expr == NULL)
		return NULL;
	if (type == BS_BYTES && !bytes_copy(&value.bytes))
	{
		free(expr);
		return NULL;
	}
	expr->constant = value;
	return expr;
}

BsExpr *
bs_expr_null(BsType type)
{
	BsExpr *expr = expr_new(BS_OP_CONST, type);

	if (expr != NULL)
		expr->constant_is_null = true;
	return expr;
}

BsExpr *
bs_expr_foreign(uint32_t foreign, BsType type)
{
	BsExpr *expr = expr_new(BS_OP_FOREIGN, type);

	if (expr != NULL)
		expr->foreign = foreign;
	return expr;
}

BsExpr *
bs_expr_op(BsOp op, BsType type, uint32_t nargs, BsExpr **args)
{
	BsExpr *expr = expr_new(op, type);
	bool complete = expr != NULL;

	if (complete)
	{
		expr->args = calloc(nargs > 0 ? nargs : 1, sizeof(BsExpr *));
		complete = expr->args != NULL;
	}
	/* An argument that is NULL is one whose maker had no memory. */
	for (uint32_t i = 0; i < nargs; i++)
		complete = complete && args[i] != NULL;
	if (!complete)
	{
		for (uint32_t i = 0; i < nargs; i++)
			bs_expr_free(args[i]);
		bs_expr_free(expr);
		return NULL;
	}
	for (uint32_t i = 0; i < nargs; i++)
		expr->args[i] = args[i];
	expr->nargs = nargs;
	return expr;
}

BsExpr *
bs_expr_in(BsOp op, BsExpr *arg, uint32_t list_len, const BsValue *list, bool list_has_null)
{
	BsExpr *expr = bs_expr_op(op, BS_BOOL, 1, &arg);

	if (expr == NULL)
		return NULL;
	expr->list_has_null = list_has_null;
	expr->list = calloc(list_len > 0 ? list_len : 1, sizeof(BsValue));
	for (uint32_t i = 0; i < list_len && expr->list != NULL; i++)
	{
		expr->list[i] = list[i];
		if (arg->type == BS_BYTES && !bytes_copy(&expr->list[i].bytes))
			break;
		expr->list_len++;
	}
	if (expr->list != NULL && expr->list_len == list_len)
		return expr;
	bs_expr_free(expr);
	return NULL;
}

static void
free_scratch(BsExpr *expr)
{
	free(expr->result.values);
	free(expr->result.nulls);
	free(expr->scratch_rows);
	free(expr->prefixes);
	memset(&expr->result, 0, sizeof(expr->result));
	expr->scratch_rows = NULL;
	expr->prefixes = NULL;
	expr->null_end = 0;
	expr->capacity = 0;
}

void
bs_expr_free(BsExpr *expr)
{
	if (expr == NULL)
		return;
	if (expr->op == BS_OP_CONST && expr->type == BS_BYTES)
		free((void *) expr->constant.bytes.data);
	if (expr->list != NULL && expr->nargs == 1 && expr->args[0]->type == BS_BYTES)
		for (uint32_t i = 0; i < expr->list_len; i++)
			free((void *) expr->list[i].bytes.data);
	free(expr->list);
	for (uint32_t i = 0; i < expr->nargs; i++)
		bs_expr_free(expr->args[i]);
	free(expr->args);
	free_scratch(expr);
	free(expr);
}

static bool
type_in(BsType type, uint32_t set)
{
	return type >= BS_BOOL && type <= BS_BYTES && (BS_TYPE_BIT(type) & set) != 0;
}

static bool
type_fits(BsType type, BsType result)
{
	return bs_type_class(type) == bs_type_class(result) && type <= result;
}

static bool
rule_holds(const BsExpr *expr, BsTypeRule rule)
{
	BsType first = expr->nargs > 0 ? expr->args[0]->type : expr->type;
	bool alike = true;
	bool fit = true;

	for (uint32_t i = 0; i < expr->nargs; i++)
	{
		alike = alike && bs_type_class(expr->args[i]->type) == bs_type_class(first);
		fit = fit && type_fits(expr->args[i]->type, expr->type);
	}
	switch (rule)
	{
		case BS_RULE_SETS:
			return true;
		case BS_RULE_ALIKE:
			return alike;
		case BS_RULE_FIT:
			return fit;
		case BS_RULE_FIRST:
			return first == expr->type;
		case BS_RULE_FIRST_ALIKE:
			return alike && first == expr->type;
	}
	return false;
}

static const char *
check_case(const BsExpr *expr)
{
	if (expr->nargs % 2 == 0)
		return "CASE needs an odd number of arguments";
	for (uint32_t i = 0; i < expr->nargs; i++)
	{
		bool is_when = i % 2 == 0 && i + 1 < expr->nargs;

		if (is_when && expr->args[i]->type != BS_BOOL)
			return "condition of CASE is not boolean";
		if (!is_when && !type_fits(expr->args[i]->type, expr->type))
			return "result of CASE has another type";
	}
	return NULL;
}

/* What the table cannot say. */
static const char *
check_special(const BsExpr *expr)
{
	switch (expr->op)
	{
		case BS_OP_CASE:
			return check_case(expr);
		case BS_OP_IN:
		case BS_OP_NOT_IN:
			if (expr->list_len > 0 && expr->list == NULL)
				return "IN without a list";
			return NULL;
		case BS_OP_TIME_BIN:
			if (expr->width_usec <= 0)
				return "width of a bin must be greater than zero";
			if (expr->origin == BS_TIME_NEG_INFINITY || expr->origin == BS_TIME_INFINITY)
				return "origin of a bin is infinite";
			return NULL;
		case BS_OP_PREFIX_TEXT:
		case BS_OP_PREFIX_BIGINT:
		case BS_OP_PREFIX_NETWORK:
			if (expr->prefix == NULL)
				return "look-up without a prefix map";
			return NULL;
		default:
			return NULL;
	}
}

static const char *
check(const BsExpr *expr)
{
	const BsOpInfo *info;

	if (expr->op <= 0 || expr->op >= BS_NOPS || bs_op_info[expr->op].evaluate == NULL)
		return "unknown operation";
	info = &bs_op_info[expr->op];
	if (expr->nargs < info->min_args || expr->nargs > info->max_args)
		return "wrong number of arguments";
	if (!type_in(expr->type, info->result))
		return "operation cannot have this type of result";
	for (uint32_t i = 0; i < expr->nargs; i++)
		if (!type_in(expr->args[i]->type, i == 0 ? info->first : info->rest))
			return "operation does not take this type of argument";
	if (!rule_holds(expr, info->rule))
		return "types of arguments and result do not fit each other";
	return check_special(expr);
}

static bool
allocate(BsExpr *expr, uint32_t capacity)
{
	free_scratch(expr);
	expr->result.type = expr->type;
	expr->capacity = capacity;
	if (expr->op == BS_OP_COLUMN)
		return true;
	expr->result.values = calloc(capacity, bs_type_lane_width(expr->type));
	expr->result.nulls = calloc(capacity, 1);
	if (expr->result.values == NULL || expr->result.nulls == NULL)
		return false;
	switch (expr->op)
	{
		case BS_OP_AND:
		case BS_OP_OR:
		case BS_OP_CASE:
		case BS_OP_COALESCE:
		case BS_OP_FOREIGN:
			expr->scratch_rows = calloc((size_t) capacity * 2, sizeof(uint16_t));
			return expr->scratch_rows != NULL;
		case BS_OP_PREFIX_TEXT:
		case BS_OP_PREFIX_BIGINT:
		case BS_OP_PREFIX_NETWORK:
			expr->prefixes = calloc(capacity, sizeof(uint32_t));
			return expr->prefixes != NULL;
		default:
			return true;
	}
}

static void
fill_constant(BsExpr *expr)
{
	size_t width = bs_type_lane_width(expr->type);

	if (expr->constant_is_null)
	{
		memset(expr->result.nulls, 1, expr->capacity);
		expr->result.has_nulls = true;
		return;
	}
	for (uint32_t i = 0; i < expr->capacity; i++)
		memcpy((char *) expr->result.values + i * width, &expr->constant, width);
}

/* Put a constant on the right of a comparison: loops know constants only there. */
static void
commute(BsExpr *expr)
{
	BsExpr *left = expr->args[0];

	if (left->op != BS_OP_CONST || expr->args[1]->op == BS_OP_CONST)
		return;
	expr->args[0] = expr->args[1];
	expr->args[1] = left;
	expr->op = bs_op_commuted(expr->op);
}

static void
finish(BsExpr *expr)
{
	bool widens = expr->op == BS_OP_INT_CAST && expr->args[0]->type <= expr->type;
	bool widens_float = expr->op == BS_OP_FLOAT_CAST && expr->args[0]->type <= expr->type;

	expr->can_fail = bs_op_info[expr->op].can_fail && !widens && !widens_float;
	for (uint32_t i = 0; i < expr->nargs; i++)
		expr->can_fail = expr->can_fail || expr->args[i]->can_fail;
	if (expr->op == BS_OP_CONST)
		fill_constant(expr);
	if (bs_op_info[expr->op].evaluate == bs_eval_compare)
		commute(expr);
	if (expr->op == BS_OP_IN || expr->op == BS_OP_NOT_IN)
		expr->list_len = bs_list_sort(expr->args[0]->type, expr->list, expr->list_len);
}

static const char *
prepare(BsExpr *expr, uint32_t capacity, uint32_t depth)
{
	const char *fault;

	if (depth > BS_EXPR_MAX_DEPTH)
		return "expression is nested too deeply";
	for (uint32_t i = 0; i < expr->nargs; i++)
	{
		fault = prepare(expr->args[i], capacity, depth + 1);
		if (fault != NULL)
			return fault;
	}
	fault = check(expr);
	if (fault != NULL)
		return fault;
	if (!allocate(expr, capacity))
		return "out of memory";
	finish(expr);
	return NULL;
}

const char *
bs_expr_prepare(BsExpr *expr, uint32_t capacity)
{
	if (expr == NULL)
		return "out of memory";
	if (capacity == 0 || capacity > UINT16_MAX + 1)
		return "capacity of a batch must be 1 to 65536";
	return prepare(expr, capacity, 1);
}
