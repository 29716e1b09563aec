/* SPDX-License-Identifier: PostgreSQL */
/*
 * columnstate.h: the state of one column of a continuous view, outside of the view's tables.
 *
 * combine() merges what columns were made of.  For that the state of a group's column is taken out of the
 * group's row as bytes that go through a plan beside the finished values, and states are summed up,
 * whatever groups and windows they come from, to a value.  Columns that are exactly one aggregate have
 * a state; it takes one of three forms:
 *
 *     image    native aggregates: for each of the one or two engine states that the value is computed
 *              from {flags (4), carry (4), state (multiple of 8)}: what bs_aggregate_combine() works on
 *     packed   foreign aggregates: {length (4), packed state (foreignagg.h)}, ...
 *     values   aggregates over DISTINCT values: the values, as cells of the engine's rows, each once;
 *              those of variable length with their length before them
 *
 * Before it stands a tag that says of which program and column it is: the bytes mean something under
 * those alone, and are those of this machine.  See valueset.h for the lists.
 */
#ifndef BS_COLUMNSTATE_H
#define BS_COLUMNSTATE_H

#include "postgres.h"

#include "finals.h"
#include "query.h"
#include "valueset.h"

/* The largest image: two states of 24 bytes, each with 8 before it. */
#define BS_MAX_IMAGE_BYTES 64

typedef enum BsColumnStateForm
{
	BS_STATE_IMAGE,
	BS_STATE_PACKED,
	BS_STATE_VALUES
} BsColumnStateForm;

/* How the state of a column is laid out and finished. */
typedef struct BsColumnState
{
	BsColumnStateForm form;
	uint64 tag;
	const BsViewOptions *options; /* of the view: the settings it was created with */
	bool in_settings;             /* its functions are somebody's own: run them under those */
	BsFinal final;                /* over the program below */
	BsProgram program; /* the aggregates of an image and nothing else; its row is the image */
	BsAggregate aggregates[2];
	int sources[2]; /* which aggregates of the view's program these are */
	uint32 image_bytes;
	uint32 set;         /* BS_STATE_VALUES: number of the set, from 0 */
	BsType value_type;  /* of its values */
	uint32 value_width; /* of their cells; 0: any length */
} BsColumnState;

/*
 * What is summed up: in the context in which it was made, all of it.
 */
typedef struct BsStateSum
{
	const BsColumnState *state;
	bool lacking; /* of some group it is not known: nor of all */
	union
	{
		uint64 image[BS_MAX_IMAGE_BYTES / sizeof(uint64)];
		struct
		{
			StringInfoData packed; /* states that are not merged yet, and the merged one */
			uint32 merged_bytes;   /* length of what came of the last merge */
		};
		BsValueSet *values;
	};
} BsStateSum;

/*
 * Why there is no state of the view's column of that number (an errdetail), or NULL.  In
 * CurrentMemoryContext.
 */
extern const char *bs_columnstate_refusal(const BsViewProgram *view, AttrNumber attno);

/* For a column that is not refused; view and options must live as long. */
extern void bs_columnstate_init(BsColumnState *state, const BsViewProgram *view,
								const BsViewOptions *options, AttrNumber attno);

/* The state of the column in a group: a varlena in CurrentMemoryContext. */
extern Datum bs_columnstate_pack(const BsColumnState *state, const BsViewProgram *view,
								 const BsGroupRow *group);

/* What stands for the state in a group of which it was not counted, or not from the start. */
extern Datum bs_columnstate_lacking(void);

extern BsStateSum *bs_statesum_create(const BsColumnState *state, MemoryContext context);
/* Add a state as bs_columnstate_pack() made it.  May raise an error, of a foreign aggregate. */
extern void bs_statesum_add(BsStateSum *sum, Datum packed);
/* The value, in CurrentMemoryContext; the sum stays as it is. */
extern Datum bs_statesum_final(const BsStateSum *sum, bool *isnull);

#endif
