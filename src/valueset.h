/* SPDX-License-Identifier: PostgreSQL */
/*
 * valueset.h: a set of byte strings, each kept once: the DISTINCT values of a group that combine() makes.
 *
 * All of it lies in the memory context that it was made in, so that a hash aggregate sees how large it
 * is.  It only grows.
 */
#ifndef BS_VALUESET_H
#define BS_VALUESET_H

#include "postgres.h"
#include "lib/stringinfo.h"

#include "engine/types.h"

typedef struct BsValueSet
{
	uint32 width; /* of each value; 0: of any length, with a uint32 before it that says it */
	uint32 nvalues;
	uint32 nslots; /* a power of two; open addressing */
	uint32 *slots; /* offset in bytes, counted from 1; 0: empty */
	StringInfoData bytes;
} BsValueSet;

extern BsValueSet *bs_valueset_create(uint32 width, MemoryContext context);
extern void bs_valueset_add(BsValueSet *set, BsBytes value);

/* The values, palloc'ed; the bytes stay where the set has them until something is added. */
extern BsBytes *bs_valueset_values(const BsValueSet *set);

/*
 * The same layout of bytes without a set around it: append one value, and take the next one off
 * (false: none is left).
 */
extern void bs_valuelist_put(StringInfo bytes, uint32 width, BsBytes value);
extern bool bs_valuelist_next(BsBytes *rest, uint32 width, BsBytes *value);

#endif
