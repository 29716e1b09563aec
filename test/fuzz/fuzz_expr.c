/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_expr.c: trees, columns and selections drawn from the input; the batch evaluator must agree
 * with the scalar oracle, and neither may touch memory it should not.  Trees are also given wrong
 * types at random, which bs_expr_prepare must refuse or evaluation must survive.
 */
#include "../expr_random.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Change a node into what it was not made to be. */
static void
spoil(BsExpr *expr, Source *source)
{
	while (expr->nargs > 0 && expr->list == NULL && draw(source, 3) != 0)
		expr = expr->args[draw(source, expr->nargs)];
	/* Constants and lists own memory by their type; a column's type is the caller's word. */
	if (expr->op == BS_OP_CONST || expr->list != NULL)
		return;
	expr->op = expr->op <= BS_OP_FOREIGN ? BS_OP_FOREIGN : (BsOp) draw(source, BS_NOPS + 1);
	expr->type = (BsType) (1 + draw(source, BS_BYTES));
}

/* A spoilt tree means nothing; it must be refused or run without harm. */
static void
run_spoilt(Trial *trial, Source *source)
{
	uint16_t selected[TRIAL_CAPACITY];
	BsRows rows = {.rows = selected};
	BsEval eval;

	if (!trial_create(trial, source, (BsType) (1 + draw(source, BS_BYTES)), 3))
		return;
	spoil(trial->expr, source);
	if (bs_expr_prepare(trial->expr, TRIAL_CAPACITY) != NULL)
		return;
	trial_fill(trial, source, 5, 3);
	rows.nrows = draw_rows(source, 5, selected);
	eval = trial_eval(trial);
	bs_expr_evaluate(trial->expr, &eval, rows);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static Trial trial;
	Source source = {.bytes = data, .nbytes = size};
	uint32_t kind;

	if (size < 2)
		return 0;
	kind = draw(&source, 16);
	if (kind == 0)
		run_spoilt(&trial, &source);
	else if (!trial_run(&trial, &source, (BsType) (kind > BS_BYTES ? BS_BOOL : kind), 4, 3))
	{
		fprintf(stderr, "%s\n", trial.fault);
		abort();
	}
	trial_free(&trial);
	return 0;
}
