/* SPDX-License-Identifier: PostgreSQL */
/*
 * finals.h: from the states of a group to PostgreSQL's values: what the reader computes.
 *
 * A final is one way from one or two states to a value; finals.c has a row for each.
 */
#ifndef BS_FINALS_H
#define BS_FINALS_H

#include "postgres.h"

#include "engine/groupvalues.h"
#include "engine/program.h"
#include "foreignagg.h"

/* The values of a table's sets by group. */
typedef struct BsGroupSets
{
	BsArena *arena;
	BsTable *table;
	const BsProgram *program;
	BsGroupValues *values; /* [nsets] first is NULL for those that nobody asked for */
} BsGroupSets;

/* A row of a table of groups, where its bytes outside the row are, and its window. */
typedef struct BsGroupRow
{
	const uint8_t *row;
	uint32_t ordinal;        /* of the row in its table; BS_NO_ROW: it is not in one */
	const BsGroupSets *sets; /* NULL: nobody asked for their values */
	int64_t window;          /* start; BS_NO_WINDOW in a view without */
	/* The address of what lies at an offset of the arena that the row belongs to. */
	const void *(*resolve)(void *context, uint64_t offset);
	void *context;
} BsGroupRow;

typedef enum BsFinalKind
{
	BS_FINAL_RECORDS,     /* bigint: number of records of the group */
	BS_FINAL_COUNT,       /* bigint: state */
	BS_FINAL_SUM_BIGINT,  /* bigint: state, or an error when out of range */
	BS_FINAL_SUM_NUMERIC, /* numeric: state */
	BS_FINAL_AVG_INT,     /* numeric: state by second (a count) */
	BS_FINAL_SUM_FLOAT,   /* float4 or float8: state */
	BS_FINAL_AVG_FLOAT,   /* float8: state by second (a count) */
	BS_FINAL_ACCUM,       /* function of float8[] {n, sum, sxx} */
	BS_FINAL_VALUE,       /* the state is the value */
	BS_FINAL_FOREIGN,     /* foreign aggregate */
	BS_FINAL_DISTINCT,    /* foreign aggregate over the values of a set, which has no state */
	BS_NFINALS
} BsFinalKind;

typedef struct BsFinal
{
	BsFinalKind kind;
	uint32_t state; /* number of an aggregate of the program */
	uint32_t second;
	Oid type;              /* of the result */
	Oid function;          /* BS_FINAL_ACCUM */
	BsForeignAgg *foreign; /* BS_FINAL_FOREIGN, BS_FINAL_DISTINCT */
	uint32_t set;          /* BS_FINAL_DISTINCT: number of the set, from 0; its values ... */
	BsType set_type;       /* ... in the engine ... */
	Oid argument_type;     /* ... and in PostgreSQL */
} BsFinal;

/*
 * The values of set number set (from 0) in a group, palloc'ed; returns their number.  The bytes are where
 * the table has them: cells as in rows, or, where they are of variable length, what such cells refer to.
 */
extern uint32_t bs_group_values(const BsGroupRow *group, uint32_t set, BsBytes **values);

/* The packed states of a foreign aggregate in a group, likewise. */
extern int bs_group_states(const BsAggregate *aggregate, const BsGroupRow *group, BsBytes **states);

/* The value of a BS_FINAL_DISTINCT over values as bs_group_values() gives them. */
extern Datum bs_final_over_values(const BsFinal *final, const BsBytes *values, uint32_t nvalues,
								  bool *isnull);

/* The value of a final over a group. */
extern Datum bs_final_value(const BsFinal *final, const BsProgram *program, const BsGroupRow *group,
							bool *isnull);

/* The value of a key cell; type is its PostgreSQL type. */
extern Datum bs_final_key(const BsProgram *program, uint32_t key, Oid type, const BsGroupRow *group,
						  bool *isnull);

#endif
