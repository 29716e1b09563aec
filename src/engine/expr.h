/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr.h: expressions over a batch, with PostgreSQL's rules for NULL, overflow and laziness.
 *
 * An expression is a tree of BsExpr made once, when a view is compiled, and evaluated column by column
 * over the rows of a selection.  What PostgreSQL evaluates lazily (AND, OR, CASE, COALESCE) is evaluated
 * only for the rows that reach it.  A row whose evaluation would raise an error in PostgreSQL gets an
 * error code instead; its value is then unspecified, its NULL flag too.
 *
 * Memory: trees and scratch lanes are malloc'ed; evaluation allocates nothing.  Single-threaded.
 */
#ifndef BS_EXPR_H
#define BS_EXPR_H

#include "batch.h"
#include "prefixmap.h"

/* Why a record is in error.  The texts are PostgreSQL's own messages for the same fault. */
typedef enum BsError
{
	BS_ERROR_NONE = 0,
	BS_ERROR_DIVISION_BY_ZERO,
	BS_ERROR_INT2_RANGE,  /* smallint out of range */
	BS_ERROR_INT4_RANGE,  /* integer out of range */
	BS_ERROR_INT8_RANGE,  /* bigint out of range */
	BS_ERROR_FLOAT_OVERFLOW,
	BS_ERROR_FLOAT_UNDERFLOW,
	BS_ERROR_TIMESTAMP_RANGE,
	BS_ERROR_INTERVAL_RANGE,
	BS_ERROR_INFINITE_TIME, /* cannot subtract infinite timestamps */
	BS_ERROR_MASKLEN,     /* invalid mask length */
	BS_ERROR_KEY_TOO_LONG,
	BS_ERROR_STATE_TOO_LARGE,
	BS_ERROR_NO_PREFIX_MAP, /* there is no such prefix map, or it is not built yet */
	BS_ERROR_PREFIX_LABEL,  /* the prefix map has no such label column, or not of this kind */
	BS_ERROR_FOREIGN,     /* raised by an expression that ring 2 evaluated; it kept the message */
	BS_NERRORS
} BsError;

extern const char *bs_error_message(BsError error);

/*
 * Operations.  "int" stands for int2, int4 and int8 alike (lanes hold int64; result_type gives the
 * range to check), "float" for float4 and float8 (float4 results are rounded to float).  The type of
 * the first argument chooses the comparison: NaN sorts above all and equals itself, inet compares
 * like network_cmp, interval by its span with months of 30 days, bytes only for (in)equality.
 */
typedef enum BsOp
{
	BS_OP_COLUMN = 1, /* .column */
	BS_OP_CONST,      /* .constant, .constant_is_null */
	BS_OP_FOREIGN,    /* .foreign: evaluated by ring 2 into a lane */

	BS_OP_EQ, BS_OP_NE, BS_OP_LT, BS_OP_LE, BS_OP_GT, BS_OP_GE,
	BS_OP_DISTINCT,     /* IS DISTINCT FROM */
	BS_OP_NOT_DISTINCT,
	BS_OP_IN,           /* args[0] IN list: .list, .list_has_null; int-like, float, inet, bytes */
	BS_OP_NOT_IN,       /* <> ALL (list) */

	BS_OP_AND, BS_OP_OR, /* any number of arguments, lazy from left to right */
	BS_OP_NOT,
	BS_OP_IS_NULL, BS_OP_IS_NOT_NULL,
	BS_OP_IS_TRUE, BS_OP_IS_NOT_TRUE, BS_OP_IS_FALSE, BS_OP_IS_NOT_FALSE, /* IS UNKNOWN = IS_NULL */

	BS_OP_CASE,     /* args: when, then, when, then, ..., else (always odd; else may be a NULL constant) */
	BS_OP_COALESCE, /* lazy */
	BS_OP_GREATEST, BS_OP_LEAST, /* NULLs skipped; NULL when all are */
	BS_OP_NULLIF,   /* NULL when equal, else the first */

	BS_OP_ADD, BS_OP_SUB, BS_OP_MUL, BS_OP_DIV, BS_OP_MOD, /* int; all but MOD float */
	BS_OP_NEG, BS_OP_ABS,
	BS_OP_BIT_AND, BS_OP_BIT_OR, BS_OP_BIT_XOR, BS_OP_BIT_NOT, BS_OP_SHL, BS_OP_SHR,

	BS_OP_INT_CAST,       /* int to a narrower or wider int, range checked */
	BS_OP_INT_TO_FLOAT,   /* to result_type */
	BS_OP_FLOAT_TO_INT,   /* round half to even, range checked */
	BS_OP_FLOAT_CAST,     /* float4 <-> float8 */
	BS_OP_BOOL_TO_INT, BS_OP_INT_TO_BOOL,

	BS_OP_INET_SUB, BS_OP_INET_SUBEQ,   /* <<, <<= */
	BS_OP_INET_SUP, BS_OP_INET_SUPEQ,   /* >>, >>= */
	BS_OP_INET_OVERLAP,                 /* && */
	BS_OP_INET_NETWORK, BS_OP_INET_SET_MASKLEN, BS_OP_CIDR_SET_MASKLEN,
	BS_OP_INET_MASKLEN, BS_OP_INET_FAMILY, BS_OP_INET_BROADCAST, BS_OP_INET_NETMASK,
	BS_OP_INET_HOSTMASK,

	BS_OP_TIME_BIN,     /* args: timestamptz; .width_usec, .origin: date_bin, tumble; width > 0 */
	BS_OP_TIME_SUB_TIME,/* timestamptz - timestamptz: interval with days, as PostgreSQL justifies it */
	BS_OP_TIME_ADD_USEC,/* timestamptz + interval without days and months: args[0] + .width_usec */
	BS_OP_INTERVAL_ADD, BS_OP_INTERVAL_SUB, BS_OP_INTERVAL_NEG,

	BS_OP_PORTION,      /* portion(int8) of a slice, whose columns begin at .column (spread.h) */
	BS_OP_SCALED,       /* scaled(int8, int8): product; first alone where the second is NULL */

	/* Of the longest prefix that holds an address, by .prefix; NULL where there is none: */
	BS_OP_PREFIX_TEXT,    /* its label, bytes */
	BS_OP_PREFIX_BIGINT,  /* its label, int8 */
	BS_OP_PREFIX_NETWORK, /* itself, inet */
	BS_NOPS
} BsOp;

/* A value outside a lane. */
typedef union BsValue
{
	int64_t i64;
	double f64;
	BsInterval interval;
	BsInet inet;
	BsBytes bytes;
} BsValue;

typedef struct BsExpr BsExpr;
struct BsExpr
{
	BsOp op;
	BsType type; /* of the result */
	uint32_t nargs;
	BsExpr **args;
	uint32_t column;        /* BS_OP_COLUMN: lane of the batch */
	uint32_t foreign;       /* BS_OP_FOREIGN: number given to the callback */
	bool constant_is_null;
	bool list_has_null;
	BsValue constant;
	uint32_t list_len;
	BsValue *list;          /* BS_OP_IN: constants of the type of args[0]; sorted by bs_expr_prepare */
	int64_t width_usec;     /* BS_OP_TIME_BIN, BS_OP_TIME_ADD_USEC */
	int64_t origin;         /* BS_OP_TIME_BIN */
	const BsPrefixHandle *prefix; /* BS_OP_PREFIX_...: somebody else's, who keeps it longer than the tree */
	/* Set by bs_expr_prepare: */
	uint32_t capacity;
	bool can_fail;          /* evaluating it may set an error or call ring 2 */
	uint32_t null_end;      /* result.nulls is zero from this row on */
	BsLane result;          /* scratch; BS_OP_CONST: filled with the constant */
	uint16_t *scratch_rows; /* [2 * capacity] selections of lazy operations */
	uint32_t *prefixes;     /* [capacity] BS_OP_PREFIX_...: numbers of the prefixes found */
	struct BsCommon *common; /* share.h: what other trees compute too; NULL: alone */
};

/* Makers.  All return NULL when memory is out, and free what they were given then. */
extern BsExpr *bs_expr_column(uint32_t column, BsType type);
extern BsExpr *bs_expr_const(BsType type, BsValue value); /* bytes are copied */
extern BsExpr *bs_expr_null(BsType type);
extern BsExpr *bs_expr_foreign(uint32_t foreign, BsType type);
extern BsExpr *bs_expr_op(BsOp op, BsType type, uint32_t nargs, BsExpr **args); /* copies the array */
/* arg IN (list) or arg NOT IN (list); the list is copied, and the bytes in it. */
extern BsExpr *bs_expr_in(BsOp op, BsExpr *arg, uint32_t list_len, const BsValue *list,
						  bool list_has_null);
extern void bs_expr_free(BsExpr *expr);

/* Do two trees (NULL: none) compute the same?  Equal ones hash alike; both prepared, or neither. */
extern bool bs_expr_equal(const BsExpr *a, const BsExpr *b);
extern uint64_t bs_expr_hash(const BsExpr *expr);
/* Another tree like it, not prepared; NULL when memory is out. */
extern BsExpr *bs_expr_copy(const BsExpr *expr);

/*
 * Check the tree (numbers and types of arguments fit each operation) and allocate its scratch for
 * batches of at most capacity rows.  After that evaluation cannot fail.  Returns NULL, or what is
 * wrong with the tree (a static text).
 */
extern const char *bs_expr_prepare(BsExpr *expr, uint32_t capacity);

/* Rows of a batch, ascending. */
typedef struct BsRows
{
	uint32_t nrows;
	const uint16_t *rows;
} BsRows;

/*
 * Evaluates a foreign expression for the given rows into out (values and nulls), setting errors[row]
 * to BS_ERROR_FOREIGN where it failed.
 */
typedef void (*BsForeignEvaluate)(void *context, uint32_t foreign, const BsBatch *batch, BsRows rows,
								  BsLane *out, uint8_t *errors);

typedef struct BsEval
{
	const BsBatch *batch;
	uint8_t *errors; /* [capacity] BsError per row; the caller clears it */
	BsForeignEvaluate foreign; /* NULL: foreign expressions fail in every row */
	void *foreign_context;
	uint64_t unknown_rate; /* raised by BS_OP_SCALED for each row whose rate is NULL */
	uint8_t *unknown_rows; /* [capacity] or NULL: where it is 1 the row has been counted; the caller clears it */
} BsEval;

/*
 * Evaluate for the given rows.  The lane returned is the batch's own (a column) or the expression's
 * scratch, valid at those rows until the expression is evaluated again.  has_nulls may be true
 * without a NULL among the rows, never false with one.
 */
extern const BsLane *bs_expr_evaluate(BsExpr *expr, BsEval *eval, BsRows rows);

/*
 * Keep the rows for which a boolean expression is true: writes them to out ([rows.nrows], may be
 * rows.rows itself) and returns their number.  Rows in error are not kept (see errors).
 *
 * bs_expr_filter is for FILTER and the like; bs_expr_where is for WHERE, where PostgreSQL ends a
 * top-level AND already at an argument that is NULL, so that later ones cannot fail there.
 */
extern uint32_t bs_expr_filter(BsExpr *expr, BsEval *eval, BsRows rows, uint16_t *out);
extern uint32_t bs_expr_where(BsExpr *expr, BsEval *eval, BsRows rows, uint16_t *out);

/* Compare two values of one type as PostgreSQL's btree operator class does: < 0, 0, > 0. */
extern int bs_inet_compare(const BsInet *a, const BsInet *b);
extern int bs_interval_compare(const BsInterval *a, const BsInterval *b);
extern int bs_float_compare(double a, double b);

#endif
