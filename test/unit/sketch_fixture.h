/* SPDX-License-Identifier: PostgreSQL */
/*
 * sketch_fixture.h: memory that is counted and can run out, and data to sketch, for the tests of
 * sketches.
 */
#ifndef BS_SKETCH_FIXTURE_H
#define BS_SKETCH_FIXTURE_H

#include <math.h>
#include <stdlib.h>

#include "../../src/engine/sketch.h"

typedef struct Memory
{
	size_t used_bytes;
	size_t peak_bytes;
	long left; /* allocations until there is no more; negative: no end */
} Memory;

typedef struct Block
{
	size_t size;
	size_t unused; /* keeps the alignment of what follows at 8, as in PostgreSQL, not 16 */
	uint64_t data[];
} Block;

static inline void *
fixture_allocate(void *context, size_t size)
{
	Memory *memory = context;
	Block *block;

	if (memory->left == 0)
		return NULL;
	memory->left -= memory->left > 0;
	block = malloc(sizeof(Block) + 8 + size);
	if (block == NULL)
		abort();
	block->size = size;
	memset(block->data, 0xa5, 8 + size);
	memory->used_bytes += size;
	if (memory->used_bytes > memory->peak_bytes)
		memory->peak_bytes = memory->used_bytes;
	return block->data + 1;
}

static inline void
fixture_release(void *context, void *data)
{
	Memory *memory = context;
	Block *block = (Block *) ((char *) data - 8 - sizeof(Block));

	memory->used_bytes -= block->size;
	free(block);
}

static inline BsSketchMemory
fixture_memory(Memory *memory)
{
	return (BsSketchMemory){
		.allocate = fixture_allocate, .release = fixture_release, .context = memory};
}

/* xorshift64* */
static inline uint64_t
fixture_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545F4914F6CDD1D);
}

/* In (0, 1] */
static inline double
fixture_uniform(uint64_t *state)
{
	return (double) ((fixture_random(state) >> 11) + 1) / 9007199254740992.0;
}

/* A rank from 1 to n with probability proportional to 1 / rank, nearly (by inverting the integral). */
static inline uint64_t
fixture_zipf(uint64_t *state, uint64_t n)
{
	return (uint64_t) pow((double) n + 1, 1 - fixture_uniform(state));
}

#endif
