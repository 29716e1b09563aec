/* SPDX-License-Identifier: PostgreSQL */
/*
 * writer.h: the private scratch memory of a writer, for partial.c and merge.c.
 *
 * One per process and program; every array has room for one batch.
 */
#ifndef BS_WRITER_H
#define BS_WRITER_H

#include "partial.h"

struct BsWriter
{
	uint32_t capacity;
	BsKeys *keys;
	uint32_t *numbers;   /* row numbers of the groups, by position in the selection */
	uint8_t **row_at;    /* their addresses */
	BsHandle **states;
	uint16_t *rows;
	uint16_t *reached;
	uint32_t remembered; /* groups.h: place of the table that is added to */
	uint16_t *unknown;   /* positions of groups that are not remembered */
	uint32_t *found;     /* their row numbers */
	uint16_t *selection; /* rows of one pane */
	uint16_t *left;      /* rows of panes still to come */
	/* Of the partial that is added to: */
	bool gather_other;
	uint64_t ngathered; /* records that went to the other group */
	uint8_t *gathered;  /* [capacity] by row of the batch: 1 for those of this slice; all zero in between */
	uint32_t nsets;
	BsKeys **set_keys;   /* [nsets] */
	const BsLane **set_lanes; /* [nkeys + 1] */
	BsLane *set_values;  /* [nsets] values of a set's rows, for folding */
};

/* The pane of this start, made when there is none, without a table; NULL when memory is out. */
extern BsPane *bs_partial_make_pane(BsPartial *partial, BsArena *arena, int64_t start);

/*
 * How many values a set holds.  Where all groups that there may be are there and the other one takes what
 * comes besides, a value for each would be too few.
 */
#define BS_VALUES_PER_GROUP 64u

static inline uint64_t
bs_max_values(uint64_t max_groups, bool gather_other)
{
	if (!gather_other)
		return max_groups;
	return max_groups < UINT64_MAX / BS_VALUES_PER_GROUP ? max_groups * BS_VALUES_PER_GROUP
														 : UINT64_MAX;
}

/* A pane of a partial that is about to be written to, together with others that have the same table. */
typedef struct BsHolder
{
	BsPartial *partial;
	BsPane *pane;
} BsHolder;

/*
 * The table of these panes, which all have the same one or none, to be written to for all of them and nobody
 * else: made when there is none (expected_rows sizes it), and a copy when other panes have it too.  NULL when
 * memory is out: the panes are then as they were.  Uses the writer's keys and numbers.
 */
extern BsTable *bs_panes_table(BsArena *arena, const BsProgram *program, BsWriter *writer,
							   const BsHolder *holders, uint32_t nholders, uint32_t expected_rows);

/*
 * The pane of this start and its table, for this partial to write to alone; both made when there are none.
 * NULL, or a table of NULL, when memory is out.
 */
extern BsPane *bs_partial_take_pane(BsPartial *partial, BsArena *arena, const BsProgram *program,
									BsWriter *writer, int64_t start, uint32_t expected_rows,
									BsTable **table);

/* Records of a pane that takes no more: they are counted there too, while a window over it is still there. */
extern void bs_partial_count_late(BsPartial *partial, BsArena *arena, const BsWindowing *windowing,
								  int64_t start, uint64_t nrecords);

/* bs_table_merge_chunk() and _set_chunk() of rows that need not lie in a table of the program. */
extern uint64_t bs_table_merge_rows(BsArena *arena, BsTable *into, const BsProgram *program,
									BsWriter *writer, BsArena *from_arena, const uint8_t *rows,
									uint32_t nrows, uint64_t max_rows);
extern void bs_table_merge_set_rows(BsArena *arena, BsTable *into, const BsProgram *program,
									BsWriter *writer, BsArena *from_arena, const uint8_t *rows,
									uint32_t nrows, uint32_t set, uint64_t max_rows);
/* The values of all sets of a table into those of another, and what it had no room for. */
extern void bs_table_merge_sets(BsArena *arena, BsTable *into, const BsProgram *program, BsWriter *writer,
								BsArena *from_arena, BsTable *from, uint64_t max_rows);

/* A source has been heard again (heard.last_heard, by the view's clock), with records up to heard.highest. */
extern void bs_source_heard(BsPartial *partial, BsArena *arena, BsSource heard);

extern void bs_sources_merge(BsPartial *into, BsArena *arena, const BsPartial *from,
							 BsArena *from_arena, int64_t heard);

#endif
