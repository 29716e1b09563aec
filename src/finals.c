/* SPDX-License-Identifier: PostgreSQL */
/* finals.c: from the states of a group to PostgreSQL's values.  See finals.h. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "engine/table.h"
#include "finals.h"
#include "lanes.h"
#include "query.h"

/* What a final works on. */
typedef struct Input
{
	const BsFinal *final;
	const BsProgram *program;
	const BsAggregate *state;
	const BsAggregate *second;
	const BsGroupRow *group;
} Input;

static BsBytes
handle_bytes(const BsGroupRow *group, const void *cell)
{
	BsHandle handle;
	BsBytes bytes = {0};

	memcpy(&handle, cell, sizeof(handle));
	bytes.len = handle.len;
	bytes.data = handle.len > 0 ? group->resolve(group->context, handle.offset) : NULL;
	return bytes;
}

/* ---------- cells ---------- */

/*
 * A value as it was packed (engine/keys.c): as narrow as its type allows.  Of variable length, what
 * the cell refers to.
 */
static BsValue
packed_value(BsType type, BsBytes packed)
{
	BsValue value = {0};
	int16_t int2;
	int32_t int4;
	float float4_value;

	switch (type)
	{
		case BS_BOOL:
			value.i64 = *packed.data;
			break;
		case BS_INT2:
			memcpy(&int2, packed.data, sizeof(int2));
			value.i64 = int2;
			break;
		case BS_INT4:
			memcpy(&int4, packed.data, sizeof(int4));
			value.i64 = int4;
			break;
		case BS_FLOAT4:
			memcpy(&float4_value, packed.data, sizeof(float4_value));
			value.f64 = float4_value;
			break;
		case BS_BYTES:
			value.bytes = packed;
			break;
		default:
			memcpy(&value, packed.data, packed.len);
			break;
	}
	return value;
}

/* What bs_group_values() and packed_value() take for a cell of a row. */
static BsBytes
packed_cell(const BsKey *key, const BsGroupRow *group, const uint8_t *cell)
{
	return key->type == BS_BYTES ? handle_bytes(group, cell)
								 : (BsBytes){.data = cell, .len = key->width};
}

uint32_t
bs_group_values(const BsGroupRow *group, uint32_t set, BsBytes **values)
{
	const BsGroupSets *sets = group->sets;
	const BsProgram *program = sets->program;
	const BsGroupValues *lists = &sets->values[set];
	const BsKey *key = &program->sets[set].rows->keys[program->nkeys];
	uint32_t first =
		group->ordinal != BS_NO_ROW && lists->first != NULL ? lists->first[group->ordinal] : 0;
	uint32_t n = 0;

	for (uint32_t value = first; value != 0; value = lists->next[value - 1])
		n++;
	*values = palloc_extended(sizeof(BsBytes) * Max(n, 1), MCXT_ALLOC_HUGE);
	n = 0;
	for (uint32_t value = first; value != 0; value = lists->next[value - 1])
		(*values)[n++] = packed_cell(
			key, group, bs_groupvalues_cell(sets->arena, sets->table, program, set, value));
	return n;
}

/* A foreign state is a list of packed states. */
int
bs_group_states(const BsAggregate *aggregate, const BsGroupRow *group, BsBytes **states)
{
	const BsHandle *handle = bs_state_at(aggregate, group->row);
	const BsBlob *blob =
		handle->offset != 0 ? group->resolve(group->context, handle->offset) : NULL;
	int n = blob != NULL ? (int) blob->nblobs : 0;

	*states = palloc(sizeof(BsBytes) * (Size) Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		(*states)[i] = (BsBytes){.data = blob->data, .len = blob->len};
		if (blob->next != 0)
			blob = group->resolve(group->context, blob->next);
	}
	return n;
}

/* ---------- integers ---------- */

/* Decimal digits of a number, for those beyond 64 bits. */
static Numeric
int128_to_numeric(int128 value)
{
	char text[48];
	char *at = text + sizeof(text) - 1;
	bool negative = value < 0;
	uint128 rest = negative ? -(uint128) value : (uint128) value;

	if (value >= PG_INT64_MIN && value <= PG_INT64_MAX)
		return int64_to_numeric((int64) value);
	*at = '\0';
	for (; rest > 0; rest /= 10)
		*--at = (char) ('0' + (int) (rest % 10));
	if (negative)
		*--at = '-';
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(at),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static int64
count_of(const BsAggregate *aggregate, const BsGroupRow *group)
{
	return *(const int64 *) bs_state_at(aggregate, group->row);
}

static Datum
final_records(const Input *input)
{
	return Int64GetDatum(*(const int64 *) (input->group->row + input->program->count_offset));
}

static Datum
final_count(const Input *input)
{
	return Int64GetDatum(count_of(input->state, input->group));
}

static Datum
final_sum_bigint(const Input *input)
{
	int128 sum = bs_state_sum(input->state, input->group->row);

	if (sum < PG_INT64_MIN || sum > PG_INT64_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("bigint out of range")));
	return Int64GetDatum((int64) sum);
}

static Datum
final_sum_numeric(const Input *input)
{
	return NumericGetDatum(int128_to_numeric(bs_state_sum(input->state, input->group->row)));
}

static Datum
final_avg_int(const Input *input)
{
	Numeric sum = int128_to_numeric(bs_state_sum(input->state, input->group->row));
	Numeric count = int64_to_numeric(count_of(input->second, input->group));

	return DirectFunctionCall2(numeric_div, NumericGetDatum(sum), NumericGetDatum(count));
}

/* ---------- floats ---------- */

static Datum
final_sum_float(const Input *input)
{
	double sum = *(const double *) bs_state_at(input->state, input->group->row);

	return input->final->type == FLOAT4OID ? Float4GetDatum((float4) sum) : Float8GetDatum(sum);
}

static Datum
final_avg_float(const Input *input)
{
	double sum = *(const double *) bs_state_at(input->state, input->group->row);

	return Float8GetDatum(sum / (double) count_of(input->second, input->group));
}

/* The final functions of PostgreSQL take {n, sum, sxx} as float8[]; some answer NULL. */
static Datum
final_accum(const Input *input, bool *isnull)
{
	const BsAccum *accum = bs_state_at(input->state, input->group->row);
	Datum elements[3] = {Float8GetDatum(accum->n), Float8GetDatum(accum->sum),
						 Float8GetDatum(accum->sxx)};
	ArrayType *state = construct_array(elements, lengthof(elements), FLOAT8OID, sizeof(float8),
									   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo info;
	Datum result;

	fmgr_info(input->final->function, &info);
	InitFunctionCallInfoData(*fcinfo, &info, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = PointerGetDatum(state);
	fcinfo->args[0].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

/* ---------- values ---------- */

static Datum
final_value(const Input *input)
{
	const BsAggregate *aggregate = input->state;
	const void *state = bs_state_at(aggregate, input->group->row);
	BsValue value = {0};

	if (aggregate->type == BS_BYTES)
		value.bytes = handle_bytes(input->group, state);
	else
		memcpy(&value, state, bs_type_lane_width(aggregate->type));
	return bs_value_to_datum(aggregate->type, &value, input->final->type);
}

static Datum
final_foreign(const Input *input, bool *isnull)
{
	BsBytes *states;
	int nstates = bs_group_states(input->state, input->group, &states);
	Datum result = bs_foreignagg_final(input->final->foreign, states, nstates, isnull);

	pfree(states);
	return result;
}

/* -1: it is no finite number. */
static int32
display_scale(Datum number)
{
	LOCAL_FCINFO(call, 1);
	Datum scale;

	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
	call->args[0] = (NullableDatum){.value = number};
	scale = numeric_scale(call);
	return call->isnull ? -1 : DatumGetInt32(scale);
}

static int
compare_numbers(const void *a, const void *b)
{
	Datum x = *(const Datum *) a;
	Datum y = *(const Datum *) b;
	int order = DatumGetInt32(DirectFunctionCall2(numeric_cmp, x, y));

	return order != 0 ? order : display_scale(y) - display_scale(x);
}

/*
 * A set has kept a number once for each way in which it was written: 1.5 and 1.50.  As many zeros are shown as there
 * were at most, as when the largest scale is that of a sum.  Returns how many numbers there are.
 */
static uint32_t
unite_numbers(Datum *numbers, uint32_t n)
{
	uint32_t nkept = 0;
	bool same = true;

	for (uint32_t i = 1; i < n && same; i++)
		same = display_scale(numbers[i]) == display_scale(numbers[0]);
	if (same)
		return n;
	qsort(numbers, n, sizeof(Datum), compare_numbers);
	for (uint32_t i = 0; i < n; i++)
		if (nkept == 0 || !DatumGetBool(DirectFunctionCall2(numeric_eq, numbers[nkept - 1], numbers[i])))
			numbers[nkept++] = numbers[i];
	return nkept;
}

Datum
bs_final_over_values(const BsFinal *final, const BsBytes *values, uint32_t nvalues, bool *isnull)
{
	Datum *datums = palloc_extended(sizeof(Datum) * Max(nvalues, 1), MCXT_ALLOC_HUGE);
	Datum result;

	for (uint32_t i = 0; i < nvalues; i++)
	{
		BsValue value = packed_value(final->set_type, values[i]);

		datums[i] = bs_value_to_datum(final->set_type, &value, final->argument_type);
	}
	if (final->argument_type == NUMERICOID)
		nvalues = unite_numbers(datums, nvalues);
	result = bs_foreignagg_over(final->foreign, datums, nvalues, isnull);
	pfree(datums);
	return result;
}

static Datum
final_distinct(const Input *input, bool *isnull)
{
	BsBytes *values;
	uint32_t nvalues = bs_group_values(input->group, input->final->set, &values);
	Datum result = bs_final_over_values(input->final, values, nvalues, isnull);

	pfree(values);
	return result;
}

/* ---------- the table ---------- */

/* Records and DISTINCT values have no state of their own and are not in it. */
static const struct
{
	Datum (*value)(const Input *input);
	Datum (*nullable)(const Input *input,
					  bool *isnull); /* instead: may be NULL with a value there */
	bool needs_value;                /* NULL where the state has none */
} finals[BS_NFINALS] = {
	[BS_FINAL_COUNT] = {final_count, NULL, false},
	[BS_FINAL_SUM_BIGINT] = {final_sum_bigint, NULL, true},
	[BS_FINAL_SUM_NUMERIC] = {final_sum_numeric, NULL, true},
	[BS_FINAL_AVG_INT] = {final_avg_int, NULL, true},
	[BS_FINAL_SUM_FLOAT] = {final_sum_float, NULL, true},
	[BS_FINAL_AVG_FLOAT] = {final_avg_float, NULL, true},
	[BS_FINAL_ACCUM] = {NULL, final_accum, true},
	[BS_FINAL_VALUE] = {final_value, NULL, true},
	[BS_FINAL_FOREIGN] = {NULL, final_foreign, false},
};

static void
check_overflow(const Input *input)
{
	if (!bs_state_overflowed(input->state, input->group->row))
		return;
	if (input->state->kind == BS_AGG_SUM_INT)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("sum out of range")));
	float_overflow_error();
}

Datum
bs_final_value(const BsFinal *final, const BsProgram *program, const BsGroupRow *group,
			   bool *isnull)
{
	Input input = {.final = final, .program = program, .group = group};

	*isnull = false;
	if (final->kind == BS_FINAL_RECORDS)
		return final_records(&input);
	if (final->kind == BS_FINAL_DISTINCT)
		return final_distinct(&input, isnull);
	input.state = &program->aggregates[final->state];
	input.second = &program->aggregates[final->second];
	if (finals[final->kind].needs_value && !bs_state_has_value(input.state, group->row))
	{
		*isnull = true;
		return (Datum) 0;
	}
	check_overflow(&input);
	if (finals[final->kind].nullable != NULL)
		return finals[final->kind].nullable(&input, isnull);
	return finals[final->kind].value(&input);
}

/* ---------- keys ---------- */

Datum
bs_final_key(const BsProgram *program, uint32_t key, Oid type, const BsGroupRow *group,
			 bool *isnull)
{
	const BsKey *cell = &program->keys[key];
	BsValue value;

	*isnull = (group->row[program->null_offset + key / 8] & (1u << (key % 8))) != 0;
	if (*isnull)
		return (Datum) 0;
	value = packed_value(cell->type, packed_cell(cell, group, group->row + cell->offset));
	return bs_value_to_datum(cell->type, &value, type);
}

/* ---------- the scan tuple ---------- */

static Datum
scan_key(const BsViewProgram *view, const BsScanColumn *column, const BsGroupRow *group,
		 bool *isnull)
{
	BsFinal shown = {.kind = BS_FINAL_VALUE, .type = column->type};

	/* The other group has kept what some of its records looked like. */
	if (column->shown < 0 || bs_row_is_other(&view->program, group->row))
		return bs_final_key(&view->program, column->key, column->type, group, isnull);
	shown.state = (uint32_t) column->shown;
	return bs_final_value(&shown, &view->program, group, isnull);
}

Datum
bs_finals_column(const BsViewProgram *view, int column, const BsGroupRow *group, bool *isnull)
{
	const BsScanColumn *scan = &view->scan[column];

	*isnull = false;
	switch (scan->source)
	{
		case BS_SCAN_WINDOW:
			return TimestampTzGetDatum(group->window);
		case BS_SCAN_KEY:
			return scan_key(view, scan, group, isnull);
		default:
			return bs_final_value(&scan->final, &view->program, group, isnull);
	}
}

void
bs_finals_fill(const BsViewProgram *view, const BsGroupRow *group, Datum *values, bool *nulls)
{
	for (int i = 0; i < view->nscan; i++)
		values[i] = bs_finals_column(view, i, group, &nulls[i]);
}
