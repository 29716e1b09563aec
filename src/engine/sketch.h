/* SPDX-License-Identifier: PostgreSQL */
/*
 * sketch.h: what the sketches have in common: memory, status, mixing, and bytes.
 *
 *   sketch_hll   how many different values (HyperLogLog)
 *   sketch_dd    quantiles with a relative error (DDSketch)
 *   sketch_topk  the most frequent values (space-saving)
 *
 * A sketch takes its memory from functions that the caller gives, never more than is stated in its
 * header, and has no lock: whoever owns it says who may touch it.  Packed, it is a string of bytes,
 * little-endian, that begins with a version; unpacking checks every byte of it.
 */
#ifndef BS_SKETCH_H
#define BS_SKETCH_H

#include <string.h>

#include "types.h"

typedef enum BsSketchStatus
{
	BS_SKETCH_OK,
	BS_SKETCH_NO_MEMORY, /* the sketch may only be freed now */
	BS_SKETCH_CORRUPT,   /* bytes that no sketch was packed to */
	BS_SKETCH_MISMATCH,  /* sketches of different parameters */
	BS_SKETCH_TOO_LONG   /* a value of more than BS_TOPK_MAX_ITEM_BYTES */
} BsSketchStatus;

/* Where a sketch lives.  allocate: aligned to 8 bytes; NULL when there is none. */
typedef struct BsSketchMemory
{
	void *(*allocate)(void *context, size_t size);
	void (*release)(void *context, void *memory);
	void *context;
} BsSketchMemory;

static inline void *
bs_sketch_allocate(const BsSketchMemory *memory, size_t size)
{
	return memory->allocate(memory->context, size);
}

static inline void
bs_sketch_release(const BsSketchMemory *memory, void *block)
{
	if (block != NULL)
		memory->release(memory->context, block);
}

/*
 * Spread the bits of a word over a word, one to one (the finalizer of SplitMix64: Steele, Lea,
 * Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
 */
static inline uint64_t
bs_sketch_mix(uint64_t word)
{
	word = (word ^ (word >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	word = (word ^ (word >> 27)) * UINT64_C(0x94D049BB133111EB);
	return word ^ (word >> 31);
}

/* ---------- bytes ---------- */

/* Memory is aligned to 8 bytes in some places that sketches live in. */
typedef unsigned __int128 BsUint128 __attribute__((aligned(8)));

#define BS_SKETCH_VARINT64_BYTES  10u
#define BS_SKETCH_VARINT128_BYTES 19u

static inline uint8_t *
bs_sketch_put_word(uint8_t *out, uint64_t word, uint32_t width)
{
	for (uint32_t i = 0; i < width; i++)
		out[i] = (uint8_t) (word >> (8 * i));
	return out + width;
}

/* Seven bits at a time, the lowest first; the top bit says that more follow. */
static inline uint8_t *
bs_sketch_put_varint(uint8_t *out, BsUint128 value)
{
	while (value >= 0x80)
	{
		*out++ = (uint8_t) (value | 0x80);
		value >>= 7;
	}
	*out++ = (uint8_t) value;
	return out;
}

/* Reading; after the first read past the end, or of a number too large, all are 0 and bad is set.
 */
typedef struct BsSketchCursor
{
	const uint8_t *at;
	size_t left_bytes;
	bool bad;
} BsSketchCursor;

static inline const uint8_t *
bs_sketch_get_bytes(BsSketchCursor *cursor, size_t len)
{
	const uint8_t *bytes = cursor->at;

	if (cursor->bad || len > cursor->left_bytes)
	{
		cursor->bad = true;
		return NULL;
	}
	cursor->at += len;
	cursor->left_bytes -= len;
	return bytes;
}

static inline uint64_t
bs_sketch_get_word(BsSketchCursor *cursor, uint32_t width)
{
	const uint8_t *bytes = bs_sketch_get_bytes(cursor, width);
	uint64_t word = 0;

	for (uint32_t i = 0; bytes != NULL && i < width; i++)
		word |= (uint64_t) bytes[i] << (8 * i);
	return word;
}

static inline BsUint128
bs_sketch_get_varint128(BsSketchCursor *cursor)
{
	BsUint128 value = 0;

	for (uint32_t shift = 0; shift < 126; shift += 7)
	{
		uint64_t byte = bs_sketch_get_word(cursor, 1);

		value |= (BsUint128) (byte & 0x7f) << shift;
		if (byte < 0x80)
			return cursor->bad ? 0 : value;
	}
	cursor->bad = true;
	return 0;
}

static inline uint64_t
bs_sketch_get_varint(BsSketchCursor *cursor)
{
	BsUint128 value = bs_sketch_get_varint128(cursor);

	if (value > UINT64_MAX)
		cursor->bad = true;
	return cursor->bad ? 0 : (uint64_t) value;
}

#endif
