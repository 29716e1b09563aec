/* SPDX-License-Identifier: PostgreSQL */
/*
 * keys.c: packing group keys from lanes or rows, and hashing them.
 *
 * The hash is the folded 64 x 64 bit multiplication of wyhash (Wang Yi, 2019) over 8-byte words, from a
 * secret seed; bytes of variable length are hashed by XXH3 (Collet) and stand with that hash in their
 * cell.
 */
#include "table.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <xxhash.h>
#pragma GCC diagnostic pop

BsKeys *
bs_keys_create(const BsProgram *program, uint32_t capacity)
{
	BsKeys *keys = calloc(1, sizeof(BsKeys));

	if (keys == NULL)
		return NULL;
	keys->capacity = capacity;
	keys->stride = (program->key_bytes + 7) & ~7u;
	keys->cells = calloc(capacity, keys->stride ? keys->stride : 1);
	keys->hashes = calloc(capacity, sizeof(uint32_t));
	if (keys->cells == NULL || keys->hashes == NULL)
	{
		bs_keys_free(keys);
		return NULL;
	}
	return keys;
}

void
bs_keys_free(BsKeys *keys)
{
	if (keys == NULL)
		return;
	free(keys->cells);
	free(keys->hashes);
	free(keys);
}

static inline uint64_t
mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

static inline uint32_t
hash_words(const uint8_t *cells, uint32_t stride, uint64_t seed)
{
	uint64_t hash = seed ^ UINT64_C(0xa0761d6478bd642f);
	uint64_t a;
	uint64_t b;

	for (; stride >= 16; stride -= 16, cells += 16)
	{
		memcpy(&a, cells, 8);
		memcpy(&b, cells + 8, 8);
		hash = mix(a ^ UINT64_C(0xe7037ed1a0b428db), b ^ hash);
	}
	if (stride != 0)
	{
		memcpy(&a, cells, 8);
		hash = mix(a ^ UINT64_C(0x8ebc6af09c88c6e3), hash ^ UINT64_C(0x589965cc75374cc3));
	}
	hash = mix(hash ^ seed, UINT64_C(0x1d8e4e27c47d124f));
	return (uint32_t) (hash ^ (hash >> 32));
}

/* Hash with the addresses in cells of variable length left out. */
static uint32_t
hash_with_bytes(const BsProgram *program, const uint8_t *cells)
{
	uint64_t hash = program->hash_seed;

	for (uint32_t k = 0; k < program->nkeys; k++)
	{
		const BsKey *key = &program->keys[k];

		if (key->type == BS_BYTES)
		{
			BsHandle handle;

			memcpy(&handle, cells + key->offset, sizeof(handle));
			hash = mix(hash ^ handle.hash, UINT64_C(0xe7037ed1a0b428db) ^ handle.len);
		}
		else
			hash = mix(hash, XXH3_64bits_withSeed(cells + key->offset, key->width, hash) | 1);
	}
	hash ^= XXH3_64bits_withSeed(cells + program->null_offset,
								 program->key_bytes - program->null_offset, hash);
	return (uint32_t) (hash ^ (hash >> 32));
}

#define PACK_LOOP(ctype, source)                                                \
	for (uint32_t i = 0; i < rows.nrows; i++, cell += stride)                    \
	{                                                                            \
		ctype value = (ctype) (source);                                          \
		memcpy(cell, &value, sizeof(value));                                     \
	}

static void
pack_inet(uint8_t *cell, uint32_t stride, const BsInet *values, BsRows rows)
{
	for (uint32_t i = 0; i < rows.nrows; i++, cell += stride)
		memcpy(cell, &values[rows.rows[i]], 18);
}

static void
pack_macaddr(uint8_t *cell, uint32_t stride, const int64_t *values, BsRows rows)
{
	for (uint32_t i = 0; i < rows.nrows; i++, cell += stride)
		memcpy(cell, &values[rows.rows[i]], 6);
}

static void
pack_interval(uint8_t *cell, uint32_t stride, const BsInterval *values, BsRows rows)
{
	for (uint32_t i = 0; i < rows.nrows; i++, cell += stride)
		memcpy(cell, &values[rows.rows[i]], 16);
}

uint32_t
bs_key_bytes_hash(const BsProgram *program, BsBytes bytes)
{
	return (uint32_t) XXH3_64bits_withSeed(bytes.data, bytes.len, program->hash_seed);
}

static void
pack_bytes(uint8_t *cell, uint32_t stride, const BsLane *lane, BsRows rows, const BsProgram *program)
{
	for (uint32_t i = 0; i < rows.nrows; i++, cell += stride)
	{
		const BsBytes *bytes = &lane->bytes[rows.rows[i]];
		BsHandle handle = {0};

		if (!bs_lane_is_null(lane, rows.rows[i]))
		{
			handle.offset = (uint64_t) (uintptr_t) bytes->data;
			handle.len = bytes->len;
			handle.hash = bs_key_bytes_hash(program, *bytes);
		}
		memcpy(cell, &handle, sizeof(handle));
	}
}

static void
pack_lane(BsKeys *keys, const BsProgram *program, const BsKey *key, const BsLane *lane, BsRows rows)
{
	uint8_t *cell = keys->cells + key->offset;
	uint32_t stride = keys->stride;

	switch (key->type)
	{
		case BS_BOOL:
			PACK_LOOP(uint8_t, lane->i64[rows.rows[i]])
			break;
		case BS_INT2:
			PACK_LOOP(int16_t, lane->i64[rows.rows[i]])
			break;
		case BS_INT4:
			PACK_LOOP(int32_t, lane->i64[rows.rows[i]])
			break;
		case BS_INT8:
		case BS_TIMESTAMPTZ:
		case BS_WORD:
			PACK_LOOP(int64_t, lane->i64[rows.rows[i]])
			break;
		case BS_FLOAT4:
			PACK_LOOP(float, lane->f64[rows.rows[i]])
			break;
		case BS_FLOAT8:
			PACK_LOOP(double, lane->f64[rows.rows[i]])
			break;
		case BS_MACADDR:
			pack_macaddr(cell, stride, lane->i64, rows);
			break;
		case BS_INTERVAL:
			pack_interval(cell, stride, lane->interval, rows);
			break;
		case BS_INET:
			pack_inet(cell, stride, lane->inet, rows);
			break;
		case BS_BYTES:
			pack_bytes(cell, stride, lane, rows, program);
			break;
	}
}

/* NULL cells are zero with their bit set, so that NULLs are one group. */
static void
pack_nulls(BsKeys *keys, const BsProgram *program, uint32_t k, const BsLane *lane, BsRows rows)
{
	const BsKey *key = &program->keys[k];

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint8_t *cells = keys->cells + (size_t) i * keys->stride;

		if (!bs_lane_is_null(lane, rows.rows[i]))
			continue;
		memset(cells + key->offset, 0, key->width);
		cells[program->null_offset + k / 8] |= (uint8_t) (1u << (k % 8));
		keys->null_bits_dirty = true;
	}
}

static void
clear_null_bits(BsKeys *keys, const BsProgram *program)
{
	if (!keys->null_bits_dirty)
		return;
	for (uint32_t i = 0; i < keys->capacity; i++)
		memset(keys->cells + (size_t) i * keys->stride + program->null_offset, 0,
			   program->key_bytes - program->null_offset);
	keys->null_bits_dirty = false;
}

void
bs_keys_make_other(BsKeys *keys, const BsProgram *program, uint32_t i)
{
	uint8_t *cells = keys->cells + (size_t) i * keys->stride;
	uint32_t nkeys = program->nkeys - (program->is_set ? 1 : 0);

	for (uint32_t k = 0; k < nkeys; k++)
	{
		memset(cells + program->keys[k].offset, 0, program->keys[k].width);
		cells[program->null_offset + k / 8] |= (uint8_t) (1u << (k % 8));
	}
	cells[program->key_bytes - 1] |= BS_OTHER_BIT;
	keys->null_bits_dirty = true;
	keys->hashes[i] = program->has_bytes_keys
						  ? hash_with_bytes(program, cells)
						  : hash_words(cells, keys->stride, program->hash_seed);
}

static void
hash_keys(BsKeys *keys, const BsProgram *program)
{
	const uint8_t *cells = keys->cells;
	uint32_t stride = keys->stride;

	if (program->has_bytes_keys)
		for (uint32_t i = 0; i < keys->nrows; i++, cells += stride)
			keys->hashes[i] = hash_with_bytes(program, cells);
	else if (stride == 24)
		for (uint32_t i = 0; i < keys->nrows; i++, cells += 24)
			keys->hashes[i] = hash_words(cells, 24, program->hash_seed);
	else
		for (uint32_t i = 0; i < keys->nrows; i++, cells += stride)
			keys->hashes[i] = hash_words(cells, stride, program->hash_seed);
}

void
bs_keys_pack(BsKeys *keys, const BsProgram *program, const BsLane *const *lanes, BsRows rows)
{
	clear_null_bits(keys, program);
	keys->nrows = rows.nrows;
	for (uint32_t k = 0; k < program->nkeys; k++)
	{
		pack_lane(keys, program, &program->keys[k], lanes[k], rows);
		if (lanes[k]->has_nulls)
			pack_nulls(keys, program, k, lanes[k], rows);
	}
	hash_keys(keys, program);
}

/* In packed keys a cell of variable length holds an address, in a row an offset. */
static void
resolve_bytes(uint8_t *cells, const BsProgram *program, BsArena *from)
{
	for (uint32_t k = 0; k < program->nkeys; k++)
	{
		BsHandle handle;

		if (program->keys[k].type != BS_BYTES)
			continue;
		memcpy(&handle, cells + program->keys[k].offset, sizeof(handle));
		if (handle.offset != 0)
			handle.offset = (uint64_t) (uintptr_t) bs_handle_bytes(from, &handle);
		memcpy(cells + program->keys[k].offset, &handle, sizeof(handle));
	}
}

/* A constant length makes each copy a few moves. */
static inline void
copy_cells(uint8_t *cells, uint32_t stride, const uint8_t *rows, uint32_t row_bytes, uint32_t nrows,
		   uint32_t key_bytes)
{
	for (uint32_t i = 0; i < nrows; i++, cells += stride, rows += row_bytes)
		memcpy(cells, rows, key_bytes);
}

void
bs_keys_pack_rows(BsKeys *keys, const BsProgram *program, BsArena *from, const uint8_t *rows,
				  uint32_t nrows)
{
	uint32_t row_bytes = program->row_bytes;

	keys->nrows = nrows;
	keys->null_bits_dirty = true;
	if (program->key_bytes == 12)
		copy_cells(keys->cells, keys->stride, rows, row_bytes, nrows, 12);
	else if (program->key_bytes == 20)
		copy_cells(keys->cells, keys->stride, rows, row_bytes, nrows, 20);
	else if (program->key_bytes == 40)
		copy_cells(keys->cells, keys->stride, rows, row_bytes, nrows, 40);
	else
		copy_cells(keys->cells, keys->stride, rows, row_bytes, nrows, program->key_bytes);
	for (uint32_t i = 0; program->has_bytes_keys && i < nrows; i++)
		resolve_bytes(keys->cells + (size_t) i * keys->stride, program, from);
	hash_keys(keys, program);
}

void
bs_keys_pack_groups(BsKeys *keys, const BsProgram *program, const BsProgram *set_rows, BsArena *from,
					const uint8_t *rows, uint32_t nrows)
{
	keys->nrows = nrows;
	keys->null_bits_dirty = true;
	for (uint32_t i = 0; i < nrows; i++)
	{
		const uint8_t *row = rows + (size_t) i * set_rows->row_bytes;
		uint8_t *cells = keys->cells + (size_t) i * keys->stride;

		/* Cells lie in the same places; the value's NULL bit is never set. */
		memset(cells, 0, keys->stride);
		memcpy(cells, row, set_rows->keys[program->nkeys].offset);
		memcpy(cells + program->null_offset, row + set_rows->null_offset, (program->nkeys + 7) / 8);
		if (program->nkeys > 0 && bs_row_is_other(set_rows, row))
			cells[program->key_bytes - 1] |= BS_OTHER_BIT;
		if (program->has_bytes_keys)
			resolve_bytes(cells, program, from);
	}
	if (program->nkeys > 0)
		hash_keys(keys, program);
}

#define UNPACK(member, ctype)                                                     \
	do                                                                            \
	{                                                                             \
		ctype value;                                                              \
		memcpy(&value, cell, sizeof(value));                                      \
		lane->member[row] = value;                                                \
	} while (0)

void
bs_cell_unpack(BsType type, const uint8_t *cell, BsArena *from, BsLane *lane, uint32_t row)
{
	BsHandle handle;

	switch (type)
	{
		case BS_BOOL:
			UNPACK(i64, uint8_t);
			break;
		case BS_INT2:
			UNPACK(i64, int16_t);
			break;
		case BS_INT4:
			UNPACK(i64, int32_t);
			break;
		case BS_INT8:
		case BS_TIMESTAMPTZ:
		case BS_WORD:
			UNPACK(i64, int64_t);
			break;
		case BS_FLOAT4:
			UNPACK(f64, float);
			break;
		case BS_FLOAT8:
			UNPACK(f64, double);
			break;
		case BS_MACADDR:
			lane->i64[row] = 0;
			memcpy(&lane->i64[row], cell, 6);
			break;
		case BS_INTERVAL:
			UNPACK(interval, BsInterval);
			break;
		case BS_INET:
			memset(&lane->inet[row], 0, sizeof(BsInet));
			memcpy(&lane->inet[row], cell, 18);
			break;
		case BS_BYTES:
			memcpy(&handle, cell, sizeof(handle));
			lane->bytes[row] = (BsBytes){.data = bs_handle_bytes(from, &handle), .len = handle.len};
			break;
	}
}
