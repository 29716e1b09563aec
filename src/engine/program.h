/* SPDX-License-Identifier: PostgreSQL */
/*
 * program.h: what a continuous view does with each record, and how a group lies in memory.
 *
 * A program is made once per process from a view's definition: filter, time, keys, aggregates.  It is
 * checked when made, so that running it cannot fail.  bs_program_evaluate() does everything that needs
 * no lock: it leaves the rows to be added, their panes, and lanes of keys and arguments; partial.h
 * adds them.
 *
 * Memory: malloc'ed, one per process and view; single-threaded.
 */
#ifndef BS_PROGRAM_H
#define BS_PROGRAM_H

#include "aggregate.h"
#include "expr.h"
#include "window.h"

/* The pane, and the window, of everything in a view without windows. */
#define BS_NO_WINDOW INT64_C(0)

#define BS_MAX_SETS 16

/*
 * The distinct values of an argument in each group: a table beside the groups' own, whose keys are
 * theirs and the value.  Sets merge as tables do, so they are exact however many writers, windows or
 * nodes come together; only then are the aggregates over them folded (bs_table_fold_sets).
 */
typedef struct BsSet
{
	BsExpr *argument; /* in a form in which equal values are equal bytes */
	BsExpr *filter;   /* NULL: none */
	BsType type;
	struct BsProgram *rows; /* set by bs_program_finish: layout of its table; malloc'ed */
} BsSet;

typedef struct BsKey
{
	BsExpr *expr;
	BsType type;
	/* Set by bs_program_finish: */
	uint16_t offset; /* of the cell in the row */
	uint16_t width;
} BsKey;

/* What must be known of a row to give its memory back, without the program. */
#define BS_MAX_FOREIGN_AGGREGATES 24

typedef struct BsLayout
{
	uint32_t row_bytes; /* a multiple of 8 */
	uint16_t nkeys;
	uint16_t nforeign;
	uint16_t foreign_offset[BS_MAX_FOREIGN_AGGREGATES]; /* of their handles in the row */
	uint16_t nsets;
	uint16_t set_row_bytes[BS_MAX_SETS];
} BsLayout;

typedef struct BsProgram
{
	/* Set by the maker, who gives the trees away: */
	BsExpr *where;       /* NULL: all */
	bool windowed;
	uint32_t time_column; /* lane of the time column, when windowed */
	/* Of the records, whose time moves the watermark: 0 says time_column, else it is the number less one. */
	uint32_t clock_column;
	uint32_t late_sum; /* the aggregate, from 1, that says how much of it was late; 0: none */
	BsWindowing windowing;
	uint32_t nkeys;
	BsKey *keys;         /* malloc'ed [nkeys] */
	uint32_t naggregates;
	BsAggregate *aggregates; /* malloc'ed [naggregates]; aggregate.h */
	uint32_t nsets;
	BsSet *sets;         /* malloc'ed [nsets] */
	uint64_t fingerprint; /* of the definition: partials of another one are not this program's */
	uint64_t hash_seed;   /* secret, so that nobody chooses colliding keys; one for all writers */

	/* Set by bs_program_finish: */
	uint32_t capacity;
	uint32_t key_bytes;  /* cells and NULL bits, a multiple of 4; compared and hashed as bytes */
	uint32_t row_bytes;  /* as in layout */
	BsLayout layout;
	uint32_t null_offset; /* of the keys' NULL bits, last in the key; the last bit marks the other group (table.h) */
	bool is_set;          /* rows of a set, whose last key is the value */
	uint32_t flags_offset; /* of the aggregates' two bits each: has a value, overflowed */
	uint32_t count_offset; /* of the number of records */
	bool has_bytes_keys; /* some cell refers to the table's heap */
	struct BsEvaluated *evaluated; /* scratch */

	/* Set while programs share their work (share.h): */
	struct BsGroups *groups; /* where groups are found for several programs at once; NULL: alone */
	bool leads;              /* the others */
	uint32_t follower;       /* else: its number there */
} BsProgram;

/* The column whose time moves the watermark: of the records, where the program runs over slices (spread.h). */
static inline uint32_t
bs_program_clock(const BsProgram *program)
{
	return program->clock_column != 0 ? program->clock_column - 1 : program->time_column;
}

/*
 * Lay out the row, check the trees, allocate scratch for batches of at most capacity rows.  Returns
 * NULL, or what is wrong (a static text).
 */
extern const char *bs_program_finish(BsProgram *program, uint32_t capacity);
extern void bs_program_free(BsProgram *program); /* with all its trees; not the struct's own memory */

/* Which columns of the batch the program reads: sets wanted[column]; foreign ones are ring 2's. */
extern void bs_program_columns(const BsProgram *program, bool *wanted);

/* What one batch comes to, before any lock is taken. */
typedef struct BsEvaluated
{
	uint32_t nrows;     /* to be added */
	uint16_t *rows;     /* [capacity] ascending */
	int64_t *panes;     /* [capacity] start of the pane, by row of the batch; unset when one_pane */
	bool one_pane;      /* all rows fall into the pane that starts at pane */
	int64_t pane;
	const BsLane **keys;      /* [nkeys] */
	const BsLane **arguments; /* [naggregates]; NULL for count(*) */
	const uint8_t **filters;  /* [naggregates]; by row: 1 where FILTER holds; NULL without FILTER */
	const BsLane **set_arguments; /* [nsets] */
	const uint8_t **set_filters;  /* [nsets] */
	/* Counts of this batch: */
	uint64_t received;
	uint64_t filtered;  /* WHERE was not true */
	uint64_t untimed;   /* time NULL or infinite */
	uint64_t future;
	uint64_t errors;    /* = nfailed */
	uint64_t unknown_rate; /* records for which scaled() met a NULL rate, once each */
	BsError last_error; /* of a record of this batch */
	uint32_t nfailed;
	uint16_t *failed_rows;    /* [capacity] rows in error, in no order */
	/* Scratch: */
	uint8_t *error_codes;
	uint8_t *unknown_rows; /* all zero between evaluations */
	uint16_t *scratch_rows;
	uint8_t **filter_bytes; /* [naggregates + nsets] */
} BsEvaluated;

/*
 * Evaluate the program over the batch.  A stamp above future_limit (BS_TIME_INFINITY: none) is
 * future.  The result is program->evaluated, good until the next call.
 */
extern const BsEvaluated *bs_program_evaluate(BsProgram *program, const BsBatch *batch,
											  int64_t future_limit, BsForeignEvaluate foreign,
											  void *foreign_context);

/*
 * Rows of the last evaluation that have got an error code since (from a foreign aggregate) are to be
 * added no more.  Returns their number.
 */
extern uint32_t bs_program_drop_failed(BsProgram *program);

#endif
