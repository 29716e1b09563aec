/* SPDX-License-Identifier: PostgreSQL */
/* program.c: laying out a program's rows, and evaluating it over a batch.  See program.h. */
#include "program.h"

#include <stdlib.h>
#include <string.h>

#include "table.h"

#define MAX_ROW_BYTES 8192u
#define FLAG_BITS_PER_AGGREGATE 2u /* seen, overflow */
#define AGGREGATES_PER_WORD (32u / FLAG_BITS_PER_AGGREGATE)

static uint32_t
key_cell_width(BsType type)
{
	switch (type)
	{
		case BS_BOOL:
			return 1;
		case BS_INT2:
			return 2;
		case BS_INT4:
		case BS_FLOAT4:
			return 4;
		case BS_MACADDR:
			return 6;
		case BS_INET:
			return 18;
		case BS_INTERVAL:
		case BS_BYTES:
			return 16;
		default:
			return 8;
	}
}

static uint32_t
align_to(uint32_t offset, uint32_t alignment)
{
	return (offset + alignment - 1) & ~(alignment - 1);
}

/* [key cells, NULL bits][flag words][carries][record count][states], each part aligned to its need. */
static const char *
lay_out_row(BsProgram *program)
{
	uint32_t offset = 0;
	uint32_t words = (program->naggregates + AGGREGATES_PER_WORD - 1) / AGGREGATES_PER_WORD;

	for (uint32_t k = 0; k < program->nkeys; k++)
	{
		BsKey *key = &program->keys[k];

		key->offset = (uint16_t) offset;
		key->width = (uint16_t) key_cell_width(key->type);
		offset += key->width;
		program->has_bytes_keys |= key->type == BS_BYTES;
		if (offset > MAX_ROW_BYTES)
			return "group keys take too many bytes";
	}
	offset = align_to(offset, 4);
	program->null_offset = offset;
	/* One bit more than there are keys. */
	if (program->nkeys > 0)
		offset = align_to(offset + program->nkeys / 8 + 1, 4);
	program->key_bytes = offset;
	program->flags_offset = offset;
	offset += words * 4;
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		BsAggregate *aggregate = &program->aggregates[a];
		uint32_t bit = a % AGGREGATES_PER_WORD * FLAG_BITS_PER_AGGREGATE;

		aggregate->flags_offset = (uint16_t) (program->flags_offset + a / AGGREGATES_PER_WORD * 4);
		aggregate->seen_mask = 1u << bit;
		aggregate->overflow_mask = 2u << bit;
		if (aggregate->kind == BS_AGG_SUM_INT)
		{
			aggregate->carry_offset = (uint16_t) offset;
			offset += 4;
		}
		if (offset > MAX_ROW_BYTES)
			return "aggregate states take too many bytes";
	}
	offset = align_to(offset, 8);
	program->count_offset = offset;
	offset += 8;
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		BsAggregate *aggregate = &program->aggregates[a];

		aggregate->offset = (uint16_t) offset;
		aggregate->only_row = program->nkeys == 0;
		if (aggregate->kind == BS_AGG_FOREIGN)
		{
			if (program->layout.nforeign == BS_MAX_FOREIGN_AGGREGATES)
				return "too many aggregates whose state is not native";
			program->layout.foreign_offset[program->layout.nforeign++] = (uint16_t) offset;
		}
		offset += align_to(bs_aggregate_state_bytes(aggregate->kind, aggregate->type), 8);
		if (offset > MAX_ROW_BYTES)
			return "aggregate states take too many bytes";
	}
	program->row_bytes = offset;
	program->layout.row_bytes = offset;
	program->layout.nkeys = (uint16_t) program->nkeys;
	return NULL;
}

/* The table of a set has the program's keys, in the same places, and the value. */
static const char *
lay_out_set(const BsProgram *program, BsSet *set)
{
	BsProgram *rows = calloc(1, sizeof(BsProgram));

	set->rows = rows;
	if (rows == NULL)
		return "out of memory";
	rows->capacity = program->capacity;
	rows->fingerprint = program->fingerprint;
	rows->hash_seed = program->hash_seed;
	rows->keys = calloc(program->nkeys + 1, sizeof(BsKey));
	if (rows->keys == NULL)
		return "out of memory";
	for (uint32_t k = 0; k < program->nkeys; k++)
		rows->keys[k].type = program->keys[k].type;
	rows->keys[program->nkeys].type = set->type;
	rows->nkeys = program->nkeys + 1;
	rows->is_set = true;
	return lay_out_row(rows);
}

static const char *
prepare_sets(BsProgram *program)
{
	const char *problem = NULL;

	if (program->nsets > BS_MAX_SETS)
		return "too many different DISTINCT arguments";
	program->layout.nsets = (uint16_t) program->nsets;
	for (uint32_t i = 0; i < program->nsets && problem == NULL; i++)
	{
		BsSet *set = &program->sets[i];

		if (set->argument->type != set->type)
			return "set has another type than its argument";
		problem = bs_expr_prepare(set->argument, program->capacity);
		if (problem == NULL && set->filter != NULL)
			problem = bs_expr_prepare(set->filter, program->capacity);
		if (problem == NULL)
			problem = lay_out_set(program, set);
		if (problem == NULL)
			program->layout.set_row_bytes[i] = (uint16_t) set->rows->row_bytes;
	}
	return problem;
}

static const char *
prepare_trees(BsProgram *program)
{
	const char *problem = NULL;

	if (program->where != NULL)
	{
		if (program->where->type != BS_BOOL)
			return "filter is not boolean";
		problem = bs_expr_prepare(program->where, program->capacity);
	}
	for (uint32_t k = 0; k < program->nkeys && problem == NULL; k++)
	{
		if (program->keys[k].expr->type != program->keys[k].type)
			return "key has another type than its expression";
		problem = bs_expr_prepare(program->keys[k].expr, program->capacity);
	}
	for (uint32_t a = 0; a < program->naggregates && problem == NULL; a++)
	{
		BsAggregate *aggregate = &program->aggregates[a];

		problem = bs_aggregate_check(aggregate->kind, aggregate->type);
		if (problem == NULL && aggregate->argument != NULL)
			problem = bs_expr_prepare(aggregate->argument, program->capacity);
		else if (problem == NULL && aggregate->kind != BS_AGG_FOREIGN && aggregate->set == 0)
			problem = "aggregate without argument";
		if (problem == NULL && aggregate->set > program->nsets)
			problem = "aggregate over a set that is not there";
		if (problem == NULL && aggregate->filter != NULL)
		{
			if (aggregate->filter->type != BS_BOOL)
				return "aggregate filter is not boolean";
			problem = bs_expr_prepare(aggregate->filter, program->capacity);
		}
	}
	return problem;
}

/* FILTERs are numbered: those of the aggregates, then those of the sets. */
static BsExpr *
filter_of(const BsProgram *program, uint32_t i)
{
	return i < program->naggregates ? program->aggregates[i].filter
									: program->sets[i - program->naggregates].filter;
}

static bool
allocate_scratch(BsProgram *program)
{
	BsEvaluated *e = calloc(1, sizeof(BsEvaluated));
	uint32_t n = program->capacity;
	bool ok = e != NULL;

	program->evaluated = e;
	if (!ok)
		return false;
	e->rows = calloc(n, sizeof(uint16_t));
	e->scratch_rows = calloc(n, sizeof(uint16_t));
	e->failed_rows = calloc(n, sizeof(uint16_t));
	e->panes = calloc(n, sizeof(int64_t));
	e->error_codes = calloc(n, 1);
	e->unknown_rows = calloc(n, 1);
	e->keys = calloc(program->nkeys + 1, sizeof(*e->keys));
	e->arguments = calloc(program->naggregates + 1, sizeof(*e->arguments));
	e->filters = calloc(program->naggregates + 1, sizeof(*e->filters));
	e->set_arguments = calloc(program->nsets + 1, sizeof(*e->set_arguments));
	e->set_filters = calloc(program->nsets + 1, sizeof(*e->set_filters));
	e->filter_bytes = calloc(program->naggregates + program->nsets + 1, sizeof(*e->filter_bytes));
	ok = e->rows && e->scratch_rows && e->failed_rows && e->panes && e->error_codes && e->unknown_rows &&
		 e->keys &&
		 e->arguments && e->filters && e->set_arguments && e->set_filters && e->filter_bytes;
	for (uint32_t i = 0; ok && i < program->naggregates + program->nsets; i++)
	{
		if (filter_of(program, i) == NULL)
			continue;
		e->filter_bytes[i] = calloc(n, 1);
		ok = e->filter_bytes[i] != NULL;
	}
	return ok;
}

const char *
bs_program_finish(BsProgram *program, uint32_t capacity)
{
	const char *problem;

	program->capacity = capacity;
	if (capacity == 0 || capacity > UINT16_MAX)
		return "batch capacity out of range";
	if (program->windowed && program->windowing.pane_usec <= 0)
		return "window width must be positive";
	problem = lay_out_row(program);
	if (problem == NULL)
		problem = prepare_sets(program);
	if (problem == NULL)
		problem = prepare_trees(program);
	if (problem == NULL && !allocate_scratch(program))
		problem = "out of memory";
	return problem;
}

static void
free_evaluated(BsEvaluated *e, uint32_t nfilters)
{
	if (e == NULL)
		return;
	for (uint32_t i = 0; e->filter_bytes != NULL && i < nfilters; i++)
		free(e->filter_bytes[i]);
	free(e->rows);
	free(e->scratch_rows);
	free(e->failed_rows);
	free(e->panes);
	free(e->error_codes);
	free(e->unknown_rows);
	free(e->keys);
	free(e->arguments);
	free(e->filters);
	free(e->set_arguments);
	free(e->set_filters);
	free(e->filter_bytes);
	free(e);
}

void
bs_program_free(BsProgram *program)
{
	bs_expr_free(program->where);
	for (uint32_t k = 0; k < program->nkeys; k++)
		bs_expr_free(program->keys[k].expr);
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		bs_expr_free(program->aggregates[a].argument);
		bs_expr_free(program->aggregates[a].filter);
	}
	for (uint32_t i = 0; i < program->nsets; i++)
	{
		bs_expr_free(program->sets[i].argument);
		bs_expr_free(program->sets[i].filter);
		if (program->sets[i].rows != NULL)
			free(program->sets[i].rows->keys);
		free(program->sets[i].rows);
	}
	free_evaluated(program->evaluated, program->naggregates + program->nsets);
	free(program->keys);
	free(program->aggregates);
	free(program->sets);
	memset(program, 0, sizeof(*program));
}

static void
mark_columns(const BsExpr *expr, bool *wanted)
{
	if (expr == NULL)
		return;
	if (expr->op == BS_OP_COLUMN)
		wanted[expr->column] = true;
	for (uint32_t i = 0; i < expr->nargs; i++)
		mark_columns(expr->args[i], wanted);
}

void
bs_program_columns(const BsProgram *program, bool *wanted)
{
	mark_columns(program->where, wanted);
	if (program->windowed)
		wanted[program->time_column] = wanted[bs_program_clock(program)] = true;
	for (uint32_t k = 0; k < program->nkeys; k++)
		mark_columns(program->keys[k].expr, wanted);
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		mark_columns(program->aggregates[a].argument, wanted);
		mark_columns(program->aggregates[a].filter, wanted);
	}
	for (uint32_t i = 0; i < program->nsets; i++)
	{
		mark_columns(program->sets[i].argument, wanted);
		mark_columns(program->sets[i].filter, wanted);
	}
}

/* ---- evaluation ------------------------------------------------------------------------------- */

static bool
any_failed(const BsEvaluated *e, uint32_t nrows)
{
	uint64_t any = 0;
	uint32_t row = 0;

	for (; row + 8 <= nrows; row += 8)
	{
		uint64_t codes;

		memcpy(&codes, e->error_codes + row, 8);
		any |= codes;
	}
	for (; row < nrows; row++)
		any |= e->error_codes[row];
	return any != 0;
}

static void
note_errors(BsEvaluated *e)
{
	if (e->nfailed > 0)
		e->last_error = (BsError) e->error_codes[e->failed_rows[e->nfailed - 1]];
	e->errors = e->nfailed;
}

/* Rows whose evaluation failed move from rows to failed_rows. */
uint32_t
bs_program_drop_failed(BsProgram *program)
{
	BsEvaluated *e = program->evaluated;
	uint32_t kept = 0;
	uint32_t ndropped;

	for (uint32_t i = 0; i < e->nrows; i++)
	{
		uint16_t row = e->rows[i];

		if (e->error_codes[row] != BS_ERROR_NONE)
			e->failed_rows[e->nfailed++] = row;
		else
			e->rows[kept++] = row;
	}
	ndropped = e->nrows - kept;
	e->nrows = kept;
	note_errors(e);
	return ndropped;
}

/* A filter leaves out rows in error; find them among those it was given. */
static void
collect_failed(BsEvaluated *e, uint32_t nrows)
{
	for (uint32_t row = 0; row < nrows; row++)
		if (e->error_codes[row] != BS_ERROR_NONE)
			e->failed_rows[e->nfailed++] = (uint16_t) row;
}

static void
apply_where(BsProgram *program, BsEval *eval, uint32_t nrows)
{
	BsEvaluated *e = program->evaluated;

	for (uint32_t i = 0; i < nrows; i++)
		e->rows[i] = (uint16_t) i;
	e->nrows = nrows;
	if (program->where == NULL)
		return;
	e->nrows = bs_expr_where(program->where, eval, (BsRows){nrows, e->rows}, e->rows);
	if (any_failed(e, nrows))
		collect_failed(e, nrows);
	e->filtered = nrows - e->nrows - e->nfailed;
}

/* Leave out rows without a usable time, and find each one's pane. */
static void
apply_time_by_row(BsProgram *program, const BsLane *lane, int64_t future_limit)
{
	BsEvaluated *e = program->evaluated;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < e->nrows; i++)
	{
		uint16_t row = e->rows[i];
		int64_t time = lane->i64[row];

		if (bs_lane_is_null(lane, row) || time == BS_TIME_INFINITY || time == BS_TIME_NEG_INFINITY)
			e->untimed++;
		else if (time > future_limit)
			e->future++;
		else
		{
			e->panes[row] = bs_pane_start(&program->windowing, time);
			e->rows[kept++] = row;
		}
	}
	e->nrows = kept;
	e->one_pane = false;
}

static void
apply_time(BsProgram *program, const BsBatch *batch, int64_t future_limit)
{
	BsEvaluated *e = program->evaluated;
	const BsTimeMarks *marks;

	e->one_pane = true;
	e->pane = BS_NO_WINDOW;
	if (!program->windowed)
		return;
	marks = bs_batch_time_marks(batch, program->time_column);
	if (marks->complete && marks->highest <= future_limit)
	{
		e->pane = bs_pane_start(&program->windowing, marks->lowest);
		if (marks->highest - e->pane < program->windowing.pane_usec)
			return;
	}
	apply_time_by_row(program, &batch->columns[program->time_column], future_limit);
}

/*
 * FILTER number i as a byte per row in *filter; returns the rows for which it holds, in scratch_rows.
 * Without FILTER all rows, and *filter stays NULL.
 */
static BsRows
apply_filter(BsProgram *program, BsEval *eval, uint32_t i, BsRows rows, const uint8_t **filter)
{
	BsEvaluated *e = program->evaluated;
	BsRows holding = {.rows = e->scratch_rows};

	if (filter_of(program, i) == NULL)
		return rows;
	holding.nrows = bs_expr_filter(filter_of(program, i), eval, rows, e->scratch_rows);
	for (uint32_t r = 0; r < rows.nrows; r++)
		e->filter_bytes[i][rows.rows[r]] = 0;
	for (uint32_t r = 0; r < holding.nrows; r++)
		e->filter_bytes[i][holding.rows[r]] = 1;
	*filter = e->filter_bytes[i];
	return holding;
}

static void
evaluate_keys_and_arguments(BsProgram *program, BsEval *eval)
{
	BsEvaluated *e = program->evaluated;
	BsRows rows = {e->nrows, e->rows};
	BsRows reached;

	for (uint32_t k = 0; k < program->nkeys; k++)
		e->keys[k] = bs_expr_evaluate(program->keys[k].expr, eval, rows);
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		reached = apply_filter(program, eval, a, rows, &e->filters[a]);
		if (program->aggregates[a].argument != NULL)
			e->arguments[a] = bs_expr_evaluate(program->aggregates[a].argument, eval, reached);
	}
	for (uint32_t i = 0; i < program->nsets; i++)
	{
		reached = apply_filter(program, eval, program->naggregates + i, rows, &e->set_filters[i]);
		e->set_arguments[i] = bs_expr_evaluate(program->sets[i].argument, eval, reached);
	}
}

static void
refuse_long_values(BsEvaluated *e, const BsLane *lane, const uint8_t *filter)
{
	for (uint32_t i = 0; i < e->nrows; i++)
	{
		uint16_t row = e->rows[i];

		if ((filter == NULL || filter[row]) && !bs_lane_is_null(lane, row) &&
			e->error_codes[row] == BS_ERROR_NONE && lane->bytes[row].len > BS_MAX_KEY_BYTES)
			e->error_codes[row] = BS_ERROR_KEY_TOO_LONG;
	}
}

static void
refuse_long_keys(BsProgram *program)
{
	BsEvaluated *e = program->evaluated;

	for (uint32_t k = 0; k < program->nkeys; k++)
		if (program->keys[k].type == BS_BYTES)
			refuse_long_values(e, e->keys[k], NULL);
	for (uint32_t i = 0; i < program->nsets; i++)
		if (program->sets[i].type == BS_BYTES)
			refuse_long_values(e, e->set_arguments[i], e->set_filters[i]);
}

const BsEvaluated *
bs_program_evaluate(BsProgram *program, const BsBatch *batch, int64_t future_limit,
					BsForeignEvaluate foreign, void *foreign_context)
{
	BsEvaluated *e = program->evaluated;
	BsEval eval = {.batch = batch,
				   .errors = e->error_codes,
				   .unknown_rows = e->unknown_rows,
				   .foreign = foreign,
				   .foreign_context = foreign_context};

	e->received = batch->nrows;
	e->nfailed = 0;
	e->filtered = e->untimed = e->future = 0;
	e->last_error = BS_ERROR_NONE;
	memset(e->error_codes, 0, batch->nrows);
	memset(e->filters, 0, program->naggregates * sizeof(*e->filters));
	memset(e->set_filters, 0, program->nsets * sizeof(*e->set_filters));

	apply_where(program, &eval, batch->nrows);
	apply_time(program, batch, future_limit);
	evaluate_keys_and_arguments(program, &eval);
	refuse_long_keys(program);
	if (any_failed(e, batch->nrows))
		bs_program_drop_failed(program);
	note_errors(e);
	e->unknown_rate = eval.unknown_rate;
	if (eval.unknown_rate > 0)
		memset(e->unknown_rows, 0, batch->nrows);
	return e;
}
