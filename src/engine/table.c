/* SPDX-License-Identifier: PostgreSQL */
/* table.c: rows in chunks under an index of hashes.  See table.h. */
#include "table.h"

#include <string.h>

#define TABLE_MAGIC 0x42535442u /* BSTB */
#define MIN_INDEX_SLOTS 16u
#define INDEX_BLOCK_SHIFT 17u /* slots in a block of BS_ARENA_MAX_BLOCK bytes */
#define INDEX_BLOCK (1u << INDEX_BLOCK_SHIFT)
#define MAX_INDEX_SLOTS (1u << 31)
#define NEAR_SLOTS (1u << 14) /* an index up to here is in the caches, and so are its rows */
#define SLICE_ROWS 64u
#define ROWS_AHEAD_BYTES 512
#define MAX_KEY_BYTES 8192u /* a row is no longer */

_Static_assert(BS_ARENA_MAX_BLOCK == INDEX_BLOCK * sizeof(uint64_t), "an index block is a largest block");

static uint64_t
take(BsArena *arena, BsTable *table, size_t bytes)
{
	uint64_t offset = table->uses_kept != 0 ? bs_arena_alloc_kept(arena, bytes)
											 : bs_arena_alloc(arena, bytes);

	if (offset != 0)
		table->bytes += bs_arena_block_bytes(bytes);
	return offset;
}

static void
give_back(BsArena *arena, BsTable *table, uint64_t offset, size_t bytes)
{
	if (offset == 0)
		return;
	bs_arena_release(arena, offset, bytes);
	table->bytes -= bs_arena_block_bytes(bytes);
}

/* ---- index ------------------------------------------------------------------------------------ */

/* A slot: hash in the high half, row number + 1 in the low one; 0 is empty. */
static inline uint64_t *
index_slot(BsArena *arena, const BsTable *table, uint32_t slot)
{
	uint64_t *at = bs_arena_at(arena, table->index);

	if (table->index_slots <= INDEX_BLOCK)
		return &at[slot];
	at = bs_arena_at(arena, at[slot >> INDEX_BLOCK_SHIFT]);
	return &at[slot & (INDEX_BLOCK - 1)];
}

static void
index_release(BsArena *arena, BsTable *table, uint64_t index, uint32_t slots)
{
	if (slots > INDEX_BLOCK)
	{
		uint32_t nblocks = slots >> INDEX_BLOCK_SHIFT;
		const uint64_t *directory = bs_arena_at(arena, index);

		for (uint32_t i = 0; i < nblocks; i++)
			give_back(arena, table, directory[i], BS_ARENA_MAX_BLOCK);
		give_back(arena, table, index, nblocks * sizeof(uint64_t));
	}
	else
		give_back(arena, table, index, slots * sizeof(uint64_t));
}

/* An empty index of this many slots, or 0. */
static uint64_t
index_allocate(BsArena *arena, BsTable *table, uint32_t slots)
{
	uint32_t nblocks = slots >> INDEX_BLOCK_SHIFT;
	uint64_t index;
	uint64_t *directory;

	if (slots <= INDEX_BLOCK)
	{
		index = take(arena, table, slots * sizeof(uint64_t));
		if (index != 0)
			memset(bs_arena_at(arena, index), 0, slots * sizeof(uint64_t));
		return index;
	}
	index = take(arena, table, nblocks * sizeof(uint64_t));
	if (index == 0)
		return 0;
	directory = bs_arena_at(arena, index);
	memset(directory, 0, nblocks * sizeof(uint64_t));
	for (uint32_t i = 0; i < nblocks; i++)
	{
		directory[i] = take(arena, table, BS_ARENA_MAX_BLOCK);
		if (directory[i] == 0)
		{
			index_release(arena, table, index, slots);
			return 0;
		}
	}
	for (uint32_t i = 0; i < nblocks; i++)
		memset(bs_arena_at(arena, directory[i]), 0, BS_ARENA_MAX_BLOCK);
	return index;
}

/*
 * When there is no room, every record of a new group asks again.  Only when memory has come back is it
 * looked for: taking a part of what a large index needs and giving it back is slow.
 */
static bool
starved(const BsArena *arena, const BsTable *table)
{
	return table->starved_at == bs_arena_releases(arena);
}

static bool
note_starved(const BsArena *arena, BsTable *table, bool got_room)
{
	table->starved_at = got_room ? 0 : bs_arena_releases(arena);
	return got_room;
}

static bool
index_grow(BsArena *arena, BsTable *table)
{
	BsTable old = *table;
	uint32_t slots = old.index_slots == 0 ? MIN_INDEX_SLOTS : old.index_slots * 2;
	uint64_t index;

	if (old.index_slots >= MAX_INDEX_SLOTS || starved(arena, table))
		return false;
	index = index_allocate(arena, table, slots);
	if (!note_starved(arena, table, index != 0))
		return false;
	table->index = index;
	table->index_slots = slots;
	for (uint32_t i = 0; i < old.index_slots; i++)
	{
		uint64_t entry = *index_slot(arena, &old, i);
		uint32_t slot = (uint32_t) (entry >> 32) & (slots - 1);

		if (entry == 0)
			continue;
		while (*index_slot(arena, table, slot) != 0)
			slot = (slot + 1) & (slots - 1);
		*index_slot(arena, table, slot) = entry;
	}
	index_release(arena, table, old.index, old.index_slots);
	return true;
}

/* ---- chunks ----------------------------------------------------------------------------------- */

uint32_t
bs_table_chunk_rows(const BsTable *table, const BsLayout *layout, uint32_t chunk)
{
	uint32_t per_chunk = bs_rows_per_chunk(layout);

	if (chunk + 1 < table->nchunks)
		return per_chunk;
	return chunk < table->nchunks ? table->nrows - chunk * per_chunk : 0;
}

static bool
chunk0_grow(BsArena *arena, BsTable *table, const BsProgram *program)
{
	uint32_t per_chunk = bs_rows_per_chunk(&program->layout);
	size_t old_bytes = (size_t) table->chunk0_rows * program->row_bytes;
	size_t bytes = bs_arena_block_bytes(old_bytes + program->row_bytes);
	uint64_t chunk;

	if (bytes > BS_CHUNK_BYTES)
		bytes = BS_CHUNK_BYTES;
	chunk = take(arena, table, bytes);
	if (chunk == 0)
		return false;
	if (table->nchunks > 0)
	{
		memcpy(bs_arena_at(arena, chunk), bs_arena_at(arena, table->chunks), old_bytes);
		give_back(arena, table, table->chunks, old_bytes);
	}
	table->chunks = chunk;
	table->nchunks = 1;
	table->chunk0_rows = (uint16_t) (bytes / program->row_bytes);
	if (table->chunk0_rows > per_chunk)
		table->chunk0_rows = (uint16_t) per_chunk;
	return true;
}

/* Room for one more entry in the directory of chunks. */
static bool
directory_grow(BsArena *arena, BsTable *table)
{
	uint32_t capacity = table->dir_capacity == 0 ? 8 : table->dir_capacity * 2;
	uint64_t directory;

	if (table->nchunks > 1 && table->nchunks < table->dir_capacity)
		return true;
	if (capacity * sizeof(uint64_t) > BS_ARENA_MAX_BLOCK)
		return false;
	directory = take(arena, table, capacity * sizeof(uint64_t));
	if (directory == 0)
		return false;
	if (table->nchunks == 1)
		*(uint64_t *) bs_arena_at(arena, directory) = table->chunks;
	else
	{
		memcpy(bs_arena_at(arena, directory), bs_arena_at(arena, table->chunks),
			   table->nchunks * sizeof(uint64_t));
		give_back(arena, table, table->chunks, table->dir_capacity * sizeof(uint64_t));
	}
	table->chunks = directory;
	table->dir_capacity = capacity;
	return true;
}

static bool
chunk_add(BsArena *arena, BsTable *table)
{
	uint64_t chunk = take(arena, table, BS_CHUNK_BYTES);

	if (chunk == 0)
		return false;
	/* A table with one chunk and a directory would be read wrongly: both change together. */
	if (!directory_grow(arena, table))
	{
		give_back(arena, table, chunk, BS_CHUNK_BYTES);
		return false;
	}
	((uint64_t *) bs_arena_at(arena, table->chunks))[table->nchunks++] = chunk;
	return true;
}

/* Room for row number nrows. */
static bool
rows_reserve(BsArena *arena, BsTable *table, const BsProgram *program)
{
	uint32_t per_chunk = bs_rows_per_chunk(&program->layout);

	if (table->nrows < table->chunk0_rows)
		return true;
	if (table->chunk0_rows >= per_chunk && table->nrows < table->nchunks * per_chunk)
		return true;
	if (starved(arena, table))
		return false;
	return note_starved(arena, table,
						table->chunk0_rows < per_chunk ? chunk0_grow(arena, table, program)
													   : chunk_add(arena, table));
}

/* ---- heap ------------------------------------------------------------------------------------- */

typedef struct HeapBlock
{
	uint64_t next;
	uint64_t bytes;
} HeapBlock;

uint64_t
bs_table_heap_put(BsArena *arena, BsTable *table, const void *data, uint32_t len)
{
	uint64_t offset;

	if (table->heap == 0 || table->heap_bytes - table->heap_used < len)
	{
		uint32_t bytes = table->heap == 0 ? 256 : table->heap_bytes * 2;
		HeapBlock *block;

		if (bytes > BS_CHUNK_BYTES)
			bytes = BS_CHUNK_BYTES;
		if (bytes < len + sizeof(HeapBlock))
			bytes = (uint32_t) bs_arena_block_bytes(len + sizeof(HeapBlock));
		offset = take(arena, table, bytes);
		if (offset == 0)
			return 0;
		block = bs_arena_at(arena, offset);
		block->next = table->heap;
		block->bytes = bytes;
		table->heap = offset;
		table->heap_used = sizeof(HeapBlock);
		table->heap_bytes = bytes;
	}
	offset = table->heap + table->heap_used;
	memcpy(bs_arena_at(arena, offset), data, len);
	/* Bytes may be read as a varlena by ring 2: keep what follows aligned. */
	table->heap_used += (len + 7) & ~7u;
	if (table->heap_used > table->heap_bytes)
		table->heap_used = table->heap_bytes;
	return offset;
}

static void
heap_release(BsArena *arena, BsTable *table)
{
	uint64_t offset = table->heap;

	while (offset != 0)
	{
		HeapBlock block = *(HeapBlock *) bs_arena_at(arena, offset);

		give_back(arena, table, offset, block.bytes);
		offset = block.next;
	}
	table->heap = 0;
}

static uint64_t
blob_make(BsArena *arena, BsTable *table, const uint8_t *data, uint32_t len)
{
	uint64_t offset = take(arena, table, sizeof(BsBlob) + len);
	BsBlob *blob;

	if (offset == 0)
		return 0;
	blob = bs_arena_at(arena, offset);
	blob->next = 0;
	blob->len = len;
	blob->nblobs = 1;
	memcpy(blob->data, data, len);
	return offset;
}

bool
bs_handle_append(BsArena *arena, BsTable *table, BsHandle *handle, const uint8_t *data, uint32_t len)
{
	uint64_t offset = blob_make(arena, table, data, len);
	BsBlob *blob;

	if (offset == 0)
		return false;
	blob = bs_arena_at(arena, offset);
	if (handle->offset != 0)
	{
		blob->next = handle->offset;
		blob->nblobs = ((BsBlob *) bs_arena_at(arena, handle->offset))->nblobs + 1;
	}
	handle->offset = offset;
	return true;
}

void
bs_handle_release(BsArena *arena, BsTable *table, BsHandle *handle)
{
	while (handle->offset != 0)
	{
		const BsBlob *blob = bs_arena_at(arena, handle->offset);
		uint64_t next = blob->next;

		give_back(arena, table, handle->offset, sizeof(BsBlob) + blob->len);
		handle->offset = next;
	}
}

/* Take a blob whose block is as large as this one's must be out of a list; 0: there is none. */
static uint64_t
blob_take(BsArena *arena, BsHandle *handle, uint32_t len)
{
	size_t bytes = bs_arena_block_bytes(sizeof(BsBlob) + len);
	uint64_t *link = &handle->offset;

	while (*link != 0)
	{
		uint64_t offset = *link;
		BsBlob *blob = bs_arena_at(arena, offset);

		if (bs_arena_block_bytes(sizeof(BsBlob) + blob->len) == bytes)
		{
			*link = blob->next;
			return offset;
		}
		link = &blob->next;
	}
	return 0;
}

bool
bs_handle_replace(BsArena *arena, BsTable *table, BsHandle *handle, const uint8_t *data, uint32_t len)
{
	uint64_t offset = blob_make(arena, table, data, len);

	/* Where memory is out it is made in the place of one that goes. */
	if (offset == 0)
	{
		offset = blob_take(arena, handle, len);
		if (offset == 0)
			return false;
		*(BsBlob *) bs_arena_at(arena, offset) = (BsBlob){.len = len, .nblobs = 1};
		memcpy(((BsBlob *) bs_arena_at(arena, offset))->data, data, len);
	}
	bs_handle_release(arena, table, handle);
	handle->offset = offset;
	return true;
}

/* ---- life ------------------------------------------------------------------------------------- */

static uint64_t
create(BsArena *arena, const BsProgram *program, uint32_t expected_rows, bool uses_kept)
{
	/* A table without keys has one row for ever: it lies at the end of the struct. */
	uint32_t self_bytes = program->nkeys == 0 ? (uint32_t) offsetof(BsTable, records) + program->row_bytes
											  : (uint32_t) sizeof(BsTable);
	uint64_t offset =
		uses_kept ? bs_arena_alloc_kept(arena, self_bytes) : bs_arena_alloc(arena, self_bytes);
	uint32_t slots = MIN_INDEX_SLOTS;
	BsTable *table;

	if (offset == 0)
		return 0;
	table = bs_arena_at(arena, offset);
	memset(table, 0, self_bytes);
	table->magic = TABLE_MAGIC;
	table->serial = bs_arena_serial(arena);
	table->uses_kept = uses_kept ? 1 : 0;
	table->nholders = 1;
	table->row_bytes = (uint16_t) program->row_bytes;
	table->count_offset = (uint16_t) program->count_offset;
	table->self_bytes = self_bytes;
	table->bytes = bs_arena_block_bytes(self_bytes);
	if (program->nkeys == 0)
	{
		table->chunks = offset + offsetof(BsTable, records);
		table->nchunks = 1;
		table->chunk0_rows = 1;
		return offset;
	}
	while (slots < MAX_INDEX_SLOTS && slots / 2 < expected_rows)
		slots *= 2;
	table->index = index_allocate(arena, table, slots);
	if (table->index == 0)
	{
		bs_arena_release(arena, offset, self_bytes);
		return 0;
	}
	table->index_slots = slots;
	return offset;
}

uint64_t
bs_table_create(BsArena *arena, const BsProgram *program, uint32_t expected_rows)
{
	return create(arena, program, expected_rows, false);
}

/* The sets' tables are freed with those that they belong to. */
static void
release_sets(BsArena *arena, const BsLayout *layout, BsTable *table)
{
	const uint64_t *sets = bs_arena_at(arena, table->sets);

	if (table->sets == 0)
		return;
	for (uint32_t i = 0; i < layout->nsets; i++)
	{
		BsLayout rows = {.row_bytes = layout->set_row_bytes[i], .nkeys = layout->nkeys + 1};

		if (sets[i] != 0)
			bs_table_free(arena, &rows, sets[i]);
	}
	give_back(arena, table, table->sets, layout->nsets * sizeof(uint64_t));
}

BsTable *
bs_table_set(BsArena *arena, BsTable *table, const BsProgram *program, uint32_t set, bool make)
{
	uint64_t *sets;

	if (table->sets == 0 && make)
	{
		table->sets = take(arena, table, program->nsets * sizeof(uint64_t));
		if (table->sets != 0)
			memset(bs_arena_at(arena, table->sets), 0, program->nsets * sizeof(uint64_t));
	}
	if (table->sets == 0)
		return NULL;
	sets = bs_arena_at(arena, table->sets);
	if (sets[set] == 0 && make)
	{
		sets[set] = bs_table_create(arena, program->sets[set].rows, 0);
		if (sets[set] != 0)
			table->bytes += ((BsTable *) bs_arena_at(arena, sets[set]))->bytes;
	}
	return sets[set] != 0 ? bs_arena_at(arena, sets[set]) : NULL;
}

static void
release_states(BsArena *arena, const BsLayout *layout, BsTable *table)
{
	for (uint32_t chunk = 0; chunk < table->nchunks; chunk++)
	{
		uint8_t *row = bs_table_chunk(arena, table, chunk);
		uint32_t nrows = bs_table_chunk_rows(table, layout, chunk);

		for (uint32_t i = 0; i < nrows; i++, row += layout->row_bytes)
			for (uint32_t f = 0; f < layout->nforeign; f++)
				bs_handle_release(arena, table, (BsHandle *) (row + layout->foreign_offset[f]));
	}
}

void
bs_table_free(BsArena *arena, const BsLayout *layout, uint64_t offset)
{
	BsTable *table = bs_arena_at(arena, offset);
	uint32_t self_bytes = table->self_bytes;

	release_sets(arena, layout, table);
	if (layout->nforeign > 0)
		release_states(arena, layout, table);
	heap_release(arena, table);
	if (table->index_slots > 0)
		index_release(arena, table, table->index, table->index_slots);
	if (layout->nkeys > 0 && table->nchunks == 1)
		give_back(arena, table, table->chunks, (size_t) table->chunk0_rows * layout->row_bytes);
	else if (table->nchunks > 1)
	{
		const uint64_t *directory = bs_arena_at(arena, table->chunks);

		for (uint32_t i = 0; i < table->nchunks; i++)
			give_back(arena, table, directory[i], BS_CHUNK_BYTES);
		give_back(arena, table, table->chunks, table->dir_capacity * sizeof(uint64_t));
	}
	bs_arena_release(arena, offset, self_bytes);
}

/* ---- find ------------------------------------------------------------------------------------- */

static bool
keys_equal_with_bytes(BsArena *arena, const BsProgram *program, const uint8_t *row,
					  const uint8_t *cells)
{
	if (memcmp(row + program->null_offset, cells + program->null_offset,
			   program->key_bytes - program->null_offset) != 0)
		return false;
	for (uint32_t k = 0; k < program->nkeys; k++)
	{
		const BsKey *key = &program->keys[k];
		BsHandle a;
		BsHandle b;

		if (key->type != BS_BYTES)
		{
			if (memcmp(row + key->offset, cells + key->offset, key->width) != 0)
				return false;
			continue;
		}
		memcpy(&a, row + key->offset, sizeof(a));
		memcpy(&b, cells + key->offset, sizeof(b));
		if (a.len != b.len || a.hash != b.hash)
			return false;
		if (a.len != 0 &&
			memcmp(bs_handle_bytes(arena, &a), (const void *) (uintptr_t) b.offset, a.len) != 0)
			return false;
	}
	return true;
}

/* The bytes of variable-length keys of a new row move to the table's heap. */
static bool
row_take_bytes(BsArena *arena, BsTable *table, const BsProgram *program, uint8_t *row)
{
	for (uint32_t k = 0; k < program->nkeys; k++)
	{
		BsHandle handle;

		if (program->keys[k].type != BS_BYTES)
			continue;
		memcpy(&handle, row + program->keys[k].offset, sizeof(handle));
		if (handle.offset == 0)
			continue;
		handle.offset =
			bs_table_heap_put(arena, table, (const void *) (uintptr_t) handle.offset, handle.len);
		if (handle.offset == 0)
			return false;
		memcpy(row + program->keys[k].offset, &handle, sizeof(handle));
	}
	return true;
}

/* A new row with these key cells and no values, or BS_NO_ROW. */
static uint32_t
row_add(BsArena *arena, BsTable *table, const BsProgram *program, const uint8_t *cells)
{
	uint32_t per_chunk = bs_rows_per_chunk(&program->layout);
	uint32_t number;
	uint8_t *row;

	if (!rows_reserve(arena, table, program))
		return BS_NO_ROW;
	/* There is room in the last chunk alone. */
	number = ((table->nchunks - 1) << BS_ROW_SHIFT) | (table->nrows - (table->nchunks - 1) * per_chunk);
	row = bs_table_row(arena, table, program, number);
	/* Rows are made one after the other: ask for the lines that come next. */
	__builtin_prefetch(row + ROWS_AHEAD_BYTES, 1);
	memcpy(row, cells, program->key_bytes);
	memset(row + program->key_bytes, 0, program->row_bytes - program->key_bytes);
	if (program->has_bytes_keys && !row_take_bytes(arena, table, program, row))
		return BS_NO_ROW;
	table->nrows++;
	return number;
}

/* slot: the empty one that was come to when the group was looked for. */
static uint32_t
group_add(BsArena *arena, BsTable *table, const BsProgram *program, const uint8_t *cells,
		  uint32_t hash, uint32_t slot, uint64_t max_rows)
{
	bool other = !program->is_set && bs_row_is_other(program, cells);
	uint32_t nslots = table->index_slots;
	uint32_t number;

	if (bs_table_ngroups(table) >= max_rows && !other)
		return BS_NO_ROW;
	if (table->nrows >= table->index_slots / 2 && !index_grow(arena, table))
		return BS_NO_ROW;
	number = row_add(arena, table, program, cells);
	if (number == BS_NO_ROW)
		return BS_NO_ROW;
	if (other)
		table->other = number + 1;
	if (table->index_slots != nslots)
		slot = hash & (table->index_slots - 1);
	while (*index_slot(arena, table, slot) != 0)
		slot = (slot + 1) & (table->index_slots - 1);
	*index_slot(arena, table, slot) = ((uint64_t) hash << 32) | (number + 1);
	return number;
}

static inline bool
keys_equal(BsArena *arena, const BsProgram *program, const uint8_t *row, const uint8_t *cells,
		   uint32_t key_bytes)
{
	if (key_bytes == 0)
		return keys_equal_with_bytes(arena, program, row, cells);
	return memcmp(row, cells, key_bytes) == 0;
}

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* The group of one key, found or made; key_bytes 0 stands for keys of variable length. */
ALWAYS_INLINE uint32_t
find_one(BsArena *arena, BsTable *table, const BsProgram *program, const uint8_t *cells, uint32_t hash,
		 uint64_t max_rows, uint32_t key_bytes)
{
	uint32_t mask = table->index_slots - 1;
	uint32_t slot = hash & mask;
	uint64_t entry;

	while ((entry = *index_slot(arena, table, slot)) != 0)
	{
		if ((uint32_t) (entry >> 32) == hash &&
			keys_equal(arena, program, bs_table_row(arena, table, program, (uint32_t) entry - 1),
					   cells, key_bytes))
			return (uint32_t) entry - 1;
		slot = (slot + 1) & mask;
	}
	return group_add(arena, table, program, cells, hash, slot, max_rows);
}

/*
 * What prefetches must be inlined by force: gcc takes a function that only prefetches for one without
 * effect, and drops the call.
 */
ALWAYS_INLINE void
prefetch_slots(BsArena *arena, const BsTable *table, const BsKeys *keys, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end; i++)
		__builtin_prefetch(index_slot(arena, table, keys->hashes[i] & (table->index_slots - 1)));
}

/* A row seldom begins with a cache line: its states may lie in the next. */
ALWAYS_INLINE void
prefetch_row(const uint8_t *row, uint32_t row_bytes)
{
	__builtin_prefetch(row, 1);
	__builtin_prefetch(row + row_bytes - 1, 1);
}

/* The first row with this hash, most likely the group's; BS_NO_ROW: there is none. */
ALWAYS_INLINE uint32_t
candidate(BsArena *arena, const BsTable *table, uint32_t hash)
{
	uint32_t mask = table->index_slots - 1;
	uint32_t slot = hash & mask;
	uint64_t entry;

	while ((entry = *index_slot(arena, table, slot)) != 0 && (uint32_t) (entry >> 32) != hash)
		slot = (slot + 1) & mask;
	return (uint32_t) entry - 1;
}

/*
 * In a table larger than the caches a slot and a row are waited for longer than all else takes.  So a
 * slice of the keys is looked up in three goes: ask for the slots (one slice ahead), ask for the rows
 * that they name, compare.
 */
ALWAYS_INLINE void
find_far(BsArena *arena, BsTable *table, const BsProgram *program, const BsKeys *keys,
		 uint64_t max_rows, uint32_t *numbers, uint32_t key_bytes, uint32_t stride)
{
	uint32_t nrows = keys->nrows;
	uint32_t end = nrows < SLICE_ROWS ? nrows : SLICE_ROWS;

	prefetch_slots(arena, table, keys, 0, end);
	for (uint32_t first = 0; first < nrows; first = end)
	{
		uint32_t next;

		end = nrows - first < SLICE_ROWS ? nrows : first + SLICE_ROWS;
		next = nrows - end < SLICE_ROWS ? nrows : end + SLICE_ROWS;
		prefetch_slots(arena, table, keys, end, next);
		for (uint32_t i = first; i < end; i++)
		{
			numbers[i] = candidate(arena, table, keys->hashes[i]);
			if (numbers[i] != BS_NO_ROW)
				prefetch_row(bs_table_row(arena, table, program, numbers[i]), program->row_bytes);
		}
		for (uint32_t i = first; i < end; i++)
		{
			const uint8_t *cells = keys->cells + (size_t) i * stride;

			if (numbers[i] == BS_NO_ROW ||
				!keys_equal(arena, program, bs_table_row(arena, table, program, numbers[i]), cells,
							key_bytes))
				numbers[i] =
					find_one(arena, table, program, cells, keys->hashes[i], max_rows, key_bytes);
		}
	}
}

/* Constants let the compiler unroll the comparison. */
ALWAYS_INLINE void
find_all(BsArena *arena, BsTable *table, const BsProgram *program, const BsKeys *keys,
		 uint64_t max_rows, uint32_t *numbers, uint32_t key_bytes, uint32_t stride)
{
	if (table->index_slots > NEAR_SLOTS)
		find_far(arena, table, program, keys, max_rows, numbers, key_bytes, stride);
	else
		for (uint32_t i = 0; i < keys->nrows; i++)
			numbers[i] = find_one(arena, table, program, keys->cells + (size_t) i * stride,
								  keys->hashes[i], max_rows, key_bytes);
}

void
bs_table_find(BsArena *arena, BsTable *table, const BsProgram *program, const BsKeys *keys,
			  uint64_t max_rows, uint32_t *numbers)
{
	if (program->nkeys == 0)
	{
		if (table->nrows == 0 && keys->nrows > 0 && max_rows > 0)
			row_add(arena, table, program, keys->cells);
		for (uint32_t i = 0; i < keys->nrows; i++)
			numbers[i] = max_rows > 0 ? 0 : BS_NO_ROW;
		return;
	}
	if (program->has_bytes_keys)
		find_all(arena, table, program, keys, max_rows, numbers, 0, keys->stride);
	else if (program->key_bytes == 12)
		find_all(arena, table, program, keys, max_rows, numbers, 12, 16);
	else if (program->key_bytes == 20)
		find_all(arena, table, program, keys, max_rows, numbers, 20, 24);
	else if (program->key_bytes == 40)
		find_all(arena, table, program, keys, max_rows, numbers, 40, 40);
	else
		find_all(arena, table, program, keys, max_rows, numbers, program->key_bytes, keys->stride);
}

uint32_t
bs_table_other(BsArena *arena, BsTable *table, const BsProgram *program)
{
	uint8_t cells[MAX_KEY_BYTES] = {0};
	uint32_t hash;
	BsKeys key = {.capacity = 1,
				  .nrows = 1,
				  .stride = (program->key_bytes + 7) & ~7u,
				  .cells = cells,
				  .hashes = &hash};

	if (table->other != 0)
		return table->other - 1;
	if (program->nkeys == 0)
		return BS_NO_ROW;
	bs_keys_make_other(&key, program, 0);
	return group_add(arena, table, program, cells, hash, hash & (table->index_slots - 1), 0);
}

uint64_t
bs_table_create_gathering(BsArena *arena, const BsProgram *program, uint32_t expected_rows)
{
	uint64_t offset = create(arena, program, expected_rows, false);
	BsTable *table;

	if (offset == 0)
		offset = create(arena, program, 0, true);
	if (offset == 0)
		return 0;
	table = bs_arena_at(arena, offset);
	table->uses_kept = 1;
	(void) bs_table_other(arena, table, program);
	table->uses_kept = 0;
	return offset;
}
