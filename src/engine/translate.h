/* SPDX-License-Identifier: PostgreSQL */
/*
 * translate.h: rows of an older program as rows of a newer one that has the same keys and keeps the same
 * states and more: the definition of a view has been replaced, and what it has counted stays.
 *
 * The older program is gone; what must be known of its rows is a description (BsRowPlaces and a BsStatePlace
 * for each state) that was kept with them.  Keys may be in another order; in rows of sets they are in the same
 * places as in those of groups, and the value is behind them.  A state of the newer program that the older one did not keep
 * is zero: it has no value, and whoever reads must not take that for one.
 *
 * Nothing here allocates, locks or fails.
 */
#ifndef BS_TRANSLATE_H
#define BS_TRANSLATE_H

#include "partial.h"

/* Where a state lies in a row. */
typedef struct BsStatePlace
{
	uint16_t offset;
	uint16_t bytes;
	uint16_t carry_offset; /* of an int32; 0: it has none (a row begins with keys or flags) */
	uint16_t flags_offset;
	uint32_t seen_mask;
	uint32_t overflow_mask;
	uint32_t set; /* of the program, counted from 1; 0: none */
} BsStatePlace;

/* What else lies in a row. */
typedef struct BsRowPlaces
{
	BsLayout layout;
	uint32_t key_bytes;
	uint32_t null_offset;
	uint32_t count_offset;
} BsRowPlaces;

extern BsRowPlaces bs_row_places(const BsProgram *program);
extern BsStatePlace bs_state_place(const BsAggregate *aggregate);

/* From where to where a state goes. */
typedef struct BsStateMove
{
	BsStatePlace from;
	BsStatePlace to;
} BsStateMove;

/* From which key to which, and where their cells are. */
typedef struct BsKeyMove
{
	uint16_t from;
	uint16_t to;
	uint16_t from_offset;
	uint16_t to_offset;
	uint16_t width;
} BsKeyMove;

typedef struct BsTranslation
{
	BsRowPlaces from;
	BsRowPlaces to;
	bool reordered; /* some key has another place */
	uint32_t nkeys;
	BsKeyMove *key_moves; /* [nkeys], the maker's memory */
	uint32_t nmoves;
	BsStateMove *moves;            /* the maker's memory */
	int32_t set_from[BS_MAX_SETS]; /* by the newer program's set: the older one's, counted from 1; 0: none */
	uint8_t *rows; /* the maker's memory: room for rows_capacity rows of the newer program, or of any of its sets */
	uint32_t rows_capacity;
} BsTranslation;

/* Translate nrows rows; to is overwritten whole.  Handles stay as they are: the arena is the same. */
extern void bs_translate_rows(const BsTranslation *translation, const uint8_t *from, uint32_t nrows,
							  uint8_t *to);

/*
 * As bs_table_merge_chunk() and bs_table_merge_set_chunk() (partial.h), from a table of the older program
 * into one of the newer.
 */
extern uint64_t bs_table_merge_older_chunk(BsArena *arena, BsTable *into, const BsProgram *program,
										   BsWriter *writer, const BsTranslation *translation,
										   BsArena *from_arena, const BsTable *from, uint32_t chunk,
										   uint64_t max_rows);
extern bool bs_table_merge_older_set_chunk(BsArena *arena, BsTable *into, const BsProgram *program,
										   BsWriter *writer, const BsTranslation *translation,
										   BsArena *from_arena, BsTable *from, uint32_t set,
										   uint32_t chunk, uint64_t max_rows);

/* The counters of a partial that is given up go on in another one. */
extern void bs_partial_inherit_counters(BsPartial *into, const BsPartial *from);

/* So do its sources, which leave it. */
extern void bs_partial_inherit_sources(BsPartial *into, BsPartial *from);

#endif
