/* SPDX-License-Identifier: PostgreSQL */
/* packlayout.c: rows as words and strings, and what makes a row a row.  See packlayout.h. */
#include "packlayout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields ----------------------------------------------------------------------------------- */

static void
put_field(BsPackLayout *layout, BsPackPart part, uint32_t number, uint32_t offset, uint32_t width)
{
	layout->fields[layout->nfields++] = (BsPackField){
		.part = part, .number = number, .offset = (uint16_t) offset, .width = (uint16_t) width};
	layout->has_strings |= part != BS_PACK_WORD;
}

/* Bytes [offset, end) as the widest words that fit. */
static void
put_words(BsPackLayout *layout, uint32_t offset, uint32_t end)
{
	for (uint32_t width = 8; width > 0; width /= 2)
		for (; end - offset >= width; offset += width)
			put_field(layout, BS_PACK_WORD, 0, offset, width);
}

static void
put_keys(BsPackLayout *layout)
{
	const BsProgram *program = layout->program;

	for (uint32_t k = 0; k < program->nkeys; k++)
	{
		const BsKey *key = &program->keys[k];

		if (key->type == BS_BYTES)
			put_field(layout, BS_PACK_KEY, k, key->offset, key->width);
		else
			put_words(layout, key->offset, (uint32_t) key->offset + key->width);
	}
	put_words(layout, program->null_offset, program->key_bytes);
}

static void
put_values(BsPackLayout *layout)
{
	const BsProgram *program = layout->program;
	uint32_t end = program->count_offset;

	/* Flag words and carries are of 4 bytes each; what pads them to 8 is zero. */
	for (uint32_t offset = program->flags_offset; offset < end; offset += 4)
		put_field(layout, BS_PACK_WORD, 0, offset, 4);
	put_words(layout, program->count_offset, program->count_offset + 8);
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		const BsAggregate *aggregate = &program->aggregates[a];
		uint32_t bytes = bs_aggregate_state_bytes(aggregate->kind, aggregate->type);

		if (aggregate->kind == BS_AGG_FOREIGN)
			put_field(layout, BS_PACK_STATES, a, aggregate->offset, bytes);
		else if (aggregate->kind == BS_AGG_ANY && aggregate->type == BS_BYTES)
			put_field(layout, BS_PACK_ANY, a, aggregate->offset, bytes);
		else
			put_words(layout, aggregate->offset, aggregate->offset + bytes);
	}
}

bool
bs_pack_layout_make(BsPackLayout *layout, const BsProgram *program)
{
	*layout = (BsPackLayout){.program = program,
							 .rows_per_message =
								 program->nkeys == 0 ? 1 : bs_rows_per_chunk(&program->layout)};
	/* A field has a byte of the row at least. */
	layout->fields = calloc((size_t) program->row_bytes + 1, sizeof(BsPackField));
	if (layout->fields == NULL)
		return false;
	put_keys(layout);
	put_values(layout);
	return true;
}

void
bs_pack_layout_free(BsPackLayout *layout)
{
	free(layout->fields);
	layout->fields = NULL;
}

BsPackLayout *
bs_pack_layouts_make(const BsProgram *program)
{
	BsPackLayout *layouts = calloc((size_t) program->nsets + 1, sizeof(BsPackLayout));
	bool ok = layouts != NULL && bs_pack_layout_make(&layouts[0], program);

	for (uint32_t i = 0; ok && i < program->nsets; i++)
		ok = bs_pack_layout_make(&layouts[i + 1], program->sets[i].rows);
	if (ok)
		return layouts;
	bs_pack_layouts_free(layouts, program->nsets);
	return NULL;
}

void
bs_pack_layouts_free(BsPackLayout *layouts, uint32_t nsets)
{
	for (uint32_t i = 0; layouts != NULL && i <= nsets; i++)
		bs_pack_layout_free(&layouts[i]);
	free(layouts);
}

/* ---- what rows look like ---------------------------------------------------------------------- */

static bool
all_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* Address, family and bits as they begin a BsInet. */
static bool
inet_valid(const uint8_t *cell)
{
	if (cell[16] == 4)
		return cell[17] <= 32 && all_zero(cell + 4, 12);
	return cell[16] == 6 && cell[17] <= 128;
}

/* A zero has no sign in a key, since 0 and -0 are one group. */
static bool
float_key_valid(const uint8_t *cell, uint32_t width)
{
	float narrow;
	double value;

	if (width == 4)
	{
		memcpy(&narrow, cell, sizeof(narrow));
		value = (double) narrow;
	}
	else
		memcpy(&value, cell, sizeof(value));
	return value != 0 || !signbit(value);
}

static bool
key_valid(const BsKey *key, const uint8_t *cell)
{
	switch (key->type)
	{
		case BS_BOOL:
			return cell[0] <= 1;
		case BS_INET:
			return inet_valid(cell);
		case BS_FLOAT4:
		case BS_FLOAT8:
			return float_key_valid(cell, key->width);
		default:
			return true;
	}
}

/* Of the other group all keys are NULL; but for the mark no further bits are set. */
static bool
other_valid(const BsProgram *program, const uint8_t *row)
{
	uint32_t nkeys = program->nkeys - (program->is_set ? 1 : 0);
	uint32_t mark = 8 * (program->key_bytes - program->null_offset) - 1;

	for (uint32_t bit = 0; bit < mark; bit++)
		if ((row[program->null_offset + bit / 8] >> (bit % 8) & 1) != (bit < nkeys))
			return false;
	return true;
}

/* Of so many bytes of bits: is none set but among the first? */
static bool
no_bits_after(const uint8_t *bits, uint32_t nbytes, uint32_t nbits)
{
	uint32_t whole = nbits / 8;

	if (nbits % 8 != 0 && bits[whole++] >> (nbits % 8) != 0)
		return false;
	return all_zero(bits + whole, nbytes - whole);
}

static bool
keys_valid(const BsProgram *program, const uint8_t *row)
{
	uint32_t end = 0;

	for (uint32_t k = 0; k < program->nkeys; k++)
	{
		const BsKey *key = &program->keys[k];

		end = (uint32_t) key->offset + key->width;
		if (bs_key_is_null(program, row, k) ? !all_zero(row + key->offset, key->width)
											: !key_valid(key, row + key->offset))
			return false;
	}
	/* Between the cells and the bits, and the bits of no key. */
	if (!all_zero(row + end, program->null_offset - end))
		return false;
	if (program->nkeys > 0 && bs_row_is_other(program, row))
		return other_valid(program, row);
	return no_bits_after(row + program->null_offset, program->key_bytes - program->null_offset,
						 program->nkeys);
}

static bool
in_range(int64_t value, int64_t lowest, int64_t highest)
{
	return value >= lowest && value <= highest;
}

/* A value as it lies in a lane. */
static bool
lane_value_valid(BsType type, const uint8_t *state)
{
	int64_t word;
	double real;

	memcpy(&word, state, sizeof(word));
	switch (type)
	{
		case BS_BOOL:
			return in_range(word, 0, 1);
		case BS_INT2:
			return in_range(word, INT16_MIN, INT16_MAX);
		case BS_INT4:
			return in_range(word, INT32_MIN, INT32_MAX);
		case BS_MACADDR:
			return in_range(word, 0, (INT64_C(1) << 48) - 1);
		case BS_FLOAT4:
			memcpy(&real, state, sizeof(real));
			/* Beyond the range a conversion is undefined. */
			return isnan(real) || isinf(real) ||
				   (fabs(real) <= (double) 3.402823466e+38F && (double) (float) real == real);
		case BS_INET:
			return inet_valid(state) && all_zero(state + 18, 6);
		default:
			return true;
	}
}

/* The type whose lane a state is a value of; 0: it is none. */
static BsType
state_value_type(const BsAggregate *aggregate)
{
	switch (aggregate->kind)
	{
		case BS_AGG_SUM_FLOAT4:
			return BS_FLOAT4;
		case BS_AGG_MIN:
		case BS_AGG_MAX:
		case BS_AGG_ANY:
		case BS_AGG_BIT_AND:
		case BS_AGG_BIT_OR:
		case BS_AGG_BIT_XOR:
			return aggregate->type;
		default:
			return 0;
	}
}

static bool
accum_valid(const uint8_t *state)
{
	BsAccum accum;

	memcpy(&accum, state, sizeof(accum));
	return accum.n >= 1 && !isinf(accum.n);
}

static bool
state_valid(const BsAggregate *aggregate, const uint8_t *row)
{
	const uint8_t *state = row + aggregate->offset;
	uint32_t bytes;
	uint32_t flags;

	if (aggregate->kind == BS_AGG_FOREIGN)
		return aggregate->set == 0;
	if (aggregate->set == 0 && aggregate->kind == BS_AGG_COUNT)
		return true;
	if (aggregate->set == 0 && bs_state_has_value(aggregate, row))
		return aggregate->kind == BS_AGG_ACCUM_FLOAT
				   ? accum_valid(state)
				   : lane_value_valid(state_value_type(aggregate), state);
	bytes = bs_aggregate_state_bytes(aggregate->kind, aggregate->type);
	if (aggregate->set != 0)
		return !bs_state_has_value(aggregate, row) && all_zero(state, bytes);
	memcpy(&flags, row + aggregate->flags_offset, sizeof(flags));
	return all_zero(state, bytes) && (flags & aggregate->overflow_mask) == 0 &&
		   (aggregate->kind != BS_AGG_SUM_INT || all_zero(row + aggregate->carry_offset, 4));
}

bool
bs_pack_row_valid(const BsProgram *program, const uint8_t *row)
{
	uint32_t offset = program->flags_offset;

	if (program->nkeys > 0 && !keys_valid(program, row))
		return false;
	for (uint32_t a = 0; a < program->naggregates; a++)
		if (!state_valid(&program->aggregates[a], row))
			return false;
	/* Flag bits of no aggregate. */
	for (uint32_t a = 0; offset + 4 <= program->count_offset && a < program->naggregates;
		 offset += 4)
	{
		uint32_t known = 0;
		uint32_t flags;

		for (; a < program->naggregates && program->aggregates[a].flags_offset == offset; a++)
			known |= program->aggregates[a].seen_mask | program->aggregates[a].overflow_mask;
		memcpy(&flags, row + offset, sizeof(flags));
		if (known != 0 && (flags & ~known) != 0)
			return false;
	}
	return true;
}

/* ---- many rows -------------------------------------------------------------------------------- */

/* Of the 4 bytes at an offset: bits that are set in some row, and in all. */
typedef struct Bits
{
	uint32_t some;
	uint32_t all;
} Bits;

static Bits
bits_at(const BsProgram *program, const uint8_t *rows, uint32_t nrows, uint32_t offset)
{
	Bits bits = {.all = UINT32_MAX};

	for (uint32_t i = 0; i < nrows; i++, rows += program->row_bytes)
	{
		uint32_t word;

		memcpy(&word, rows + offset, sizeof(word));
		bits.some |= word;
		bits.all &= word;
	}
	return bits;
}

/* Is there no NULL, no other group, and nothing between the cells and the bits? */
static bool
all_keys_plain(const BsProgram *program, const uint8_t *rows, uint32_t nrows)
{
	const BsKey *last = &program->keys[program->nkeys - 1];
	bool plain = (uint32_t) last->offset + last->width == program->null_offset;

	for (uint32_t offset = program->null_offset; plain && offset < program->key_bytes; offset += 4)
		plain = bits_at(program, rows, nrows, offset).some == 0;
	return plain;
}

static bool
all_keys_valid(const BsProgram *program, const uint8_t *rows, uint32_t nrows)
{
	if (!all_keys_plain(program, rows, nrows))
	{
		for (uint32_t i = 0; i < nrows; i++)
			if (!keys_valid(program, rows + (size_t) i * program->row_bytes))
				return false;
		return true;
	}
	for (uint32_t k = 0; k < program->nkeys; k++)
	{
		const BsKey *key = &program->keys[k];
		const uint8_t *cell = rows + key->offset;

		if (key->type != BS_BOOL && key->type != BS_INET && key->type != BS_FLOAT4 && key->type != BS_FLOAT8)
			continue;
		for (uint32_t i = 0; i < nrows; i++, cell += program->row_bytes)
			if (!key_valid(key, cell))
				return false;
	}
	return true;
}

/* May a state of this aggregate that has a value be any bytes? */
static bool
takes_any_state(const BsAggregate *aggregate)
{
	switch (state_value_type(aggregate))
	{
		case BS_BOOL:
		case BS_INT2:
		case BS_INT4:
		case BS_MACADDR:
		case BS_FLOAT4:
		case BS_INET:
			return false;
		default:
			return aggregate->kind != BS_AGG_ACCUM_FLOAT;
	}
}

static bool
all_states_valid(const BsProgram *program, const BsAggregate *aggregate, Bits flags, const uint8_t *rows,
				 uint32_t nrows)
{
	/* A count has no flags, and any number is one. */
	if (aggregate->set == 0 && aggregate->kind == BS_AGG_COUNT)
		return true;
	if (aggregate->set == 0 && (flags.all & aggregate->seen_mask) != 0 && takes_any_state(aggregate))
		return true;
	for (uint32_t i = 0; i < nrows; i++, rows += program->row_bytes)
		if (!state_valid(aggregate, rows))
			return false;
	return true;
}

bool
bs_pack_rows_valid(const BsProgram *program, const uint8_t *rows, uint32_t nrows)
{
	uint32_t a = 0;

	if (program->nkeys > 0 && !all_keys_valid(program, rows, nrows))
		return false;
	while (a < program->naggregates)
	{
		uint32_t offset = program->aggregates[a].flags_offset;
		Bits flags = bits_at(program, rows, nrows, offset);
		uint32_t known = 0;

		for (; a < program->naggregates && program->aggregates[a].flags_offset == offset; a++)
		{
			const BsAggregate *aggregate = &program->aggregates[a];

			known |= aggregate->seen_mask | aggregate->overflow_mask;
			if (!all_states_valid(program, aggregate, flags, rows, nrows))
				return false;
		}
		if ((flags.some & ~known) != 0)
			return false;
	}
	return true;
}
