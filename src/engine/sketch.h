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

#include "bytes.h"

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

#endif
