/* SPDX-License-Identifier: PostgreSQL */
/*
 * packlayout.h: a row as the words and strings that it is packed as.
 *
 * Made from the program alone, so that both sides have the same list: cells of keys, NULL bits, flags, carries,
 * number of records, states; what is wider than 8 bytes is several words.  Strings, and states outside the
 * row, stand where their cells do.
 */
#ifndef BS_PACKLAYOUT_H
#define BS_PACKLAYOUT_H

#include "table.h"

typedef enum BsPackPart
{
	BS_PACK_WORD,  /* a signed number of width bytes: 1, 2, 4 or 8 */
	BS_PACK_KEY,   /* bytes of a key: lengths, then the bytes */
	BS_PACK_ANY,   /* bytes of a BS_AGG_ANY */
	BS_PACK_STATES /* partial states of a BS_AGG_FOREIGN: how many, their lengths, their bytes */
} BsPackPart;

typedef struct BsPackField
{
	BsPackPart part;
	uint32_t number; /* of the key or aggregate; words: 0 */
	uint16_t offset; /* in the row */
	uint16_t width;
} BsPackField;

typedef struct BsPackLayout
{
	const BsProgram *program;
	uint32_t rows_per_message; /* rows that a chunk of a table holds */
	uint32_t nfields;
	BsPackField *fields; /* malloc'ed */
	bool has_strings;    /* some field is no word */
} BsPackLayout;

/* False when memory is out; the layout may be freed then too. */
extern bool bs_pack_layout_make(BsPackLayout *layout, const BsProgram *program);
extern void bs_pack_layout_free(BsPackLayout *layout);

/* Layouts of a program's rows and, from 1 on, of its sets' rows: [nsets + 1], or NULL: no memory. */
extern BsPackLayout *bs_pack_layouts_make(const BsProgram *program);
extern void bs_pack_layouts_free(BsPackLayout *layouts, uint32_t nsets);

static inline bool
bs_key_is_null(const BsProgram *program, const uint8_t *row, uint32_t key)
{
	return (row[program->null_offset + key / 8] >> (key % 8) & 1) != 0;
}

/*
 * Can this row have been made by the program?  Looks at everything but handles: whoever fills those has
 * checked what they refer to, and calls this afterwards.
 */
extern bool bs_pack_row_valid(const BsProgram *program, const uint8_t *row);

/* The same of all these rows: what is true of many of them at once is not asked of each. */
extern bool bs_pack_rows_valid(const BsProgram *program, const uint8_t *rows, uint32_t nrows);

#endif
