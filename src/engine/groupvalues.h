/* SPDX-License-Identifier: PostgreSQL */
/*
 * groupvalues.h: the values of a set by group.
 *
 * A set lies beside the groups as one table of (keys, value).  Whoever wants the values of one group,
 * and not the aggregates that bs_table_fold_sets() makes of them, lists them once: each group heads a
 * list of rows of the set's table.  Numbers are dense, of rows in the order in which they lie:
 * bs_row_ordinal().  The table must not change while the lists are used.
 */
#ifndef BS_GROUPVALUES_H
#define BS_GROUPVALUES_H

#include "partial.h"

typedef struct BsGroupValues
{
	uint32_t *first; /* [rows of the table] a row of the set's table, counted from 1; 0: no value */
	uint32_t *next;  /* [rows of the set's table] likewise */
} BsGroupValues;

/* Number of a row among those of its table. */
static inline uint32_t
bs_row_ordinal(const BsLayout *layout, uint32_t row_number)
{
	return (row_number >> BS_ROW_SHIFT) * bs_rows_per_chunk(layout) + (row_number & BS_ROW_MASK);
}

/* Rows of the set's table: how long next must be. */
extern uint32_t bs_groupvalues_count(BsArena *arena, BsTable *table, const BsProgram *program,
									 uint32_t set);

/*
 * List the values of set number set (from 0).  values->first must be zero; the caller gives and keeps
 * the memory of both arrays.
 */
extern void bs_groupvalues_list(BsGroupValues *values, BsArena *arena, BsTable *table,
								const BsProgram *program, BsWriter *writer, uint32_t set);

/* The cell of a value (counted from 1) in the set's table: program->sets[set].type says what it holds. */
extern const uint8_t *bs_groupvalues_cell(BsArena *arena, BsTable *table, const BsProgram *program,
										  uint32_t set, uint32_t value);

#endif
