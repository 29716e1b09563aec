/* SPDX-License-Identifier: PostgreSQL */
/*
 * table.h: the groups of one pane: dense rows in chunks under a small index of hashes.
 *
 *   BsTable -> index: slots of 8 bytes {hash32, row number + 1}, linear probing, at most half full
 *           -> rows:  chunks of BS_CHUNK_BYTES, each with as many whole rows as fit
 *           -> heap:  linked blocks with the bytes of keys of variable length
 *
 *           -> sets:  a table for each DISTINCT argument, the value as one more key
 *
 *   row: [key cells .. NULL bits][seen bits][number of records][aggregate states ..]
 *        ^ key_bytes, compared and hashed as bytes     (offsets: BsProgram)
 *
 * Rows never move once a chunk is full-sized; the first chunk starts small and is copied as it doubles.
 * Only the index is rebuilt when it grows, from the hashes in it.  A row number holds chunk and place
 * (row_number >> BS_ROW_SHIFT), so that rows need not be a power of two long.
 *
 * One group may be there beside those of the records: the *other* group, which gathers records for whose own
 * groups there was no room.  Its keys are NULL, and the last bit of the key tells it from a group of which that
 * is true by its records, so that the other groups of two tables are one when they are merged.  max_rows
 * does not count it, nor keep it out.  It may be there, reserved, without a record.
 *
 * A table lies in an arena and is position-independent.  It has no lock: whoever owns it (partial.h)
 * says who may touch it.  Running out of memory is an answer (no row), never an error.
 */
#ifndef BS_TABLE_H
#define BS_TABLE_H

#include "arena.h"
#include "program.h"

#define BS_CHUNK_BYTES (1u << 16)
#define BS_ROW_SHIFT 13u
#define BS_ROW_MASK ((1u << BS_ROW_SHIFT) - 1)
#define BS_NO_ROW UINT32_MAX
/* Longest key of variable length, bytes. */
#define BS_MAX_KEY_BYTES 65000u

typedef struct BsTable
{
	uint32_t magic;
	uint32_t nrows;
	uint32_t nchunks;
	uint32_t other;       /* row number of the other group, counted from 1; 0: none */
	uint32_t serial;      /* no other table of this arena has had it */
	uint16_t row_bytes;    /* as in the layout: for whoever has no program */
	uint16_t count_offset; /* of the number of records in a row */
	uint64_t chunks;      /* nchunks <= 1: the chunk; else the directory, uint64_t[dir_capacity] */
	uint32_t dir_capacity;
	uint16_t chunk0_rows; /* room in chunk 0 */
	uint8_t uses_kept;    /* 1 while it is made: what the arena keeps back serves it too */
	uint8_t nholders;     /* partials that have it as a pane's (partial.h); changed atomically, as it goes down under any lock */
	uint64_t index;       /* slots <= BS_INDEX_BLOCK: the slots; else the directory of blocks */
	uint32_t index_slots; /* a power of two; 0: no index (a table without keys) */
	uint32_t self_bytes;  /* of this struct's block */
	uint64_t heap;        /* newest heap block */
	uint32_t heap_used;   /* in the newest */
	uint32_t heap_bytes;  /* of the newest */
	uint64_t bytes;       /* taken from the arena for all of this, sets included */
	uint64_t starved_at;  /* bs_arena_releases() when the index could not grow; 0: it could */
	uint64_t sets;        /* uint64_t[nsets]: the tables of the program's sets, 0: empty; 0: no sets */
	uint64_t left_out;    /* values that found no room in a set, counted once per record */
	/*
	 * Of a pane, the records in all groups.  A table without keys ends before this: there its only row begins,
	 * which has the number.  So neither takes a larger block.
	 */
	uint64_t records;
} BsTable;

/* A state outside the row: a list of packed partial states, newest first, that combine to it. */
typedef struct BsBlob
{
	uint64_t next; /* offset of the next, 0: none */
	uint32_t len;  /* of data */
	uint32_t nblobs; /* in the list from here on */
	uint8_t data[];
} BsBlob;

/* A new, empty table; expected_rows sizes the index (0: small).  0 when memory is out. */
extern uint64_t bs_table_create(BsArena *arena, const BsProgram *program, uint32_t expected_rows);

/* The same with room for the other group, if need be out of what the arena keeps back. */
extern uint64_t bs_table_create_gathering(BsArena *arena, const BsProgram *program,
										  uint32_t expected_rows);

/* Give back everything; states outside rows too. */
extern void bs_table_free(BsArena *arena, const BsLayout *layout, uint64_t table);

/* Rows that a chunk of full size holds. */
static inline uint32_t
bs_rows_per_chunk(const BsLayout *layout)
{
	return BS_CHUNK_BYTES / layout->row_bytes;
}

static inline uint8_t *
bs_table_chunk(BsArena *arena, const BsTable *table, uint32_t chunk)
{
	if (table->nchunks <= 1)
		return bs_arena_at(arena, table->chunks);
	return bs_arena_at(arena, ((const uint64_t *) bs_arena_at(arena, table->chunks))[chunk]);
}

static inline uint8_t *
bs_table_row(BsArena *arena, const BsTable *table, const BsProgram *program, uint32_t row_number)
{
	return bs_table_chunk(arena, table, row_number >> BS_ROW_SHIFT) +
		   (size_t) (row_number & BS_ROW_MASK) * program->row_bytes;
}

#define BS_OTHER_BIT 0x80u

/* Is this the other group, or, of a set, a value of it? */
static inline bool
bs_row_is_other(const BsProgram *program, const uint8_t *row)
{
	return program->nkeys > 0 && (row[program->key_bytes - 1] & BS_OTHER_BIT) != 0;
}

static inline bool
bs_table_has_keys(const BsTable *table)
{
	return table->index_slots > 0;
}

/* Records of a pane's table. */
static inline uint64_t
bs_table_records(const BsTable *table)
{
	if (bs_table_has_keys(table))
		return table->records;
	return *(const uint64_t *) ((const uint8_t *) &table->records + table->count_offset);
}

/* So many records have been added to the groups of a pane's table. */
static inline void
bs_table_count_records(BsTable *table, uint64_t nrecords)
{
	if (bs_table_has_keys(table))
		table->records += nrecords;
}

/* Groups that are not the other one: as max_rows this lets no further ones in. */
static inline uint32_t
bs_table_ngroups(const BsTable *table)
{
	return table->nrows - (table->other != 0);
}

/* Records of the other group. */
static inline uint64_t
bs_table_other_records(BsArena *arena, const BsTable *table)
{
	uint32_t number = table->other - 1;

	if (table->other == 0)
		return 0;
	return *(const uint64_t *) (bs_table_chunk(arena, table, number >> BS_ROW_SHIFT) +
								(size_t) (number & BS_ROW_MASK) * table->row_bytes +
								table->count_offset);
}

/* Groups that have records: the other one is there, reserved, before it has any. */
static inline uint32_t
bs_table_groups(BsArena *arena, const BsTable *table)
{
	return table->nrows - (table->other != 0 && bs_table_other_records(arena, table) == 0);
}

/* The row number of the other group, made when there is none; BS_NO_ROW: no room, or no keys. */
extern uint32_t bs_table_other(BsArena *arena, BsTable *table, const BsProgram *program);

/* Rows in chunk number chunk; 0 past the last. */
extern uint32_t bs_table_chunk_rows(const BsTable *table, const BsLayout *layout, uint32_t chunk);

/*
 * Keys of a batch, packed as they lie in rows: nrows of stride bytes each, with their hashes.  A cell
 * of variable length holds, in place of a heap offset, the address of its bytes.
 */
typedef struct BsKeys
{
	uint32_t capacity;
	uint32_t nrows;
	uint32_t stride; /* key_bytes rounded up to 8 */
	bool null_bits_dirty;
	uint8_t *cells;
	uint32_t *hashes;
} BsKeys;

extern BsKeys *bs_keys_create(const BsProgram *program, uint32_t capacity);
extern void bs_keys_free(BsKeys *keys);

/* The hash that stands in the cell of a key of variable length. */
extern uint32_t bs_key_bytes_hash(const BsProgram *program, BsBytes bytes);

/* Pack and hash the keys of the given rows of the lanes (one lane per key of the program). */
extern void bs_keys_pack(BsKeys *keys, const BsProgram *program, const BsLane *const *lanes,
						 BsRows rows);

/* The same for whole rows of another table, whose heap is in from. */
extern void bs_keys_pack_rows(BsKeys *keys, const BsProgram *program, BsArena *from,
							  const uint8_t *rows, uint32_t nrows);

/* The same for rows of a set's table: the keys of their groups, without the value. */
extern void bs_keys_pack_groups(BsKeys *keys, const BsProgram *program, const BsProgram *set_rows,
								BsArena *from, const uint8_t *rows, uint32_t nrows);

/* The key at position i (of a set: its group's) becomes that of the other group. */
extern void bs_keys_make_other(BsKeys *keys, const BsProgram *program, uint32_t i);

/* The value in a cell of a row back into a lane; NULL cells are not looked at. */
extern void bs_cell_unpack(BsType type, const uint8_t *cell, BsArena *from, BsLane *lane,
						   uint32_t row);

/* The table of a set, made when there is none and make says so; NULL: none, or memory is out. */
extern BsTable *bs_table_set(BsArena *arena, BsTable *table, const BsProgram *program, uint32_t set,
							 bool make);

/*
 * Find or make the group of each key: numbers[i] becomes its row number, or BS_NO_ROW where the group
 * is new and there is no memory or max_rows is reached.  Addresses of rows of the first chunk, taken
 * before, are stale: it may have been copied as it grew.
 */
extern void bs_table_find(BsArena *arena, BsTable *table, const BsProgram *program,
						  const BsKeys *keys, uint64_t max_rows, uint32_t *numbers);

/* Store bytes as a state: the handle's list is replaced by one blob.  False when memory is out. */
extern bool bs_handle_replace(BsArena *arena, BsTable *table, BsHandle *handle, const uint8_t *data,
							  uint32_t len);
/* Put one more partial state in front of the list. */
extern bool bs_handle_append(BsArena *arena, BsTable *table, BsHandle *handle, const uint8_t *data,
							 uint32_t len);
extern void bs_handle_release(BsArena *arena, BsTable *table, BsHandle *handle);

/* Copy bytes to the table's heap; 0 when memory is out. */
extern uint64_t bs_table_heap_put(BsArena *arena, BsTable *table, const void *data, uint32_t len);

static inline const uint8_t *
bs_handle_bytes(BsArena *arena, const BsHandle *handle)
{
	return bs_arena_at(arena, handle->offset);
}

#endif
