/* SPDX-License-Identifier: PostgreSQL */
/* prefix_internal.h: how a longest-prefix map lies in its arena.  See prefixmap.h. */
#ifndef BS_PREFIX_INTERNAL_H
#define BS_PREFIX_INTERNAL_H

#include "prefixmap.h"

#define BS_PREFIX_MAGIC   0x42535058u /* BSPX */
#define BS_PREFIX_VERSION 1

#define BS_STRIDE 5 /* bits that a node decides */
#define BS_SLOTS  (1u << BS_STRIDE)
#define BS_LEAF   0x80000000u

typedef struct BsPrefixNode
{
	uint32_t inner;
	uint32_t starts;
	uint32_t nodes;
	uint32_t leaves;
} BsPrefixNode;

/* A segment of an array has 2^shift items, which fill the largest block of an arena. */
#define BS_SHIFT_NODE 16
#define BS_SHIFT_WORD 18
#define BS_SHIFT_BYTE 20

_Static_assert(sizeof(BsPrefixNode) << BS_SHIFT_NODE == BS_ARENA_MAX_BLOCK &&
				   sizeof(uint32_t) << BS_SHIFT_WORD == BS_ARENA_MAX_BLOCK &&
				   1u << BS_SHIFT_BYTE == BS_ARENA_MAX_BLOCK,
			   "a segment is a block");

/* An array in segments. */
typedef struct BsPrefixArray
{
	uint32_t first; /* of its segments in the directory */
	uint32_t shift;
	uint64_t nitems;
} BsPrefixArray;

typedef struct BsPrefixTree
{
	uint32_t direct_bits;
	uint32_t unused;
	BsPrefixArray direct;
	BsPrefixArray nodes;
	BsPrefixArray leaves;
} BsPrefixTree;

struct BsPrefixMap
{
	uint32_t magic;
	uint32_t version;
	uint64_t header_bytes;
	BsPrefixMapInfo info;
	uint32_t nsegments;
	uint32_t ncolumns;
	uint32_t aliases; /* BsPrefixAlias, or-ed */
	uint32_t unused;
	BsLabelColumn columns[BS_PREFIX_MAX_LABELS];
	BsPrefixTree trees[2]; /* IPv4, IPv6 */
	BsPrefixArray bits;
	BsPrefixArray labels[BS_PREFIX_MAX_LABELS];
	BsPrefixArray heap;
	uint64_t directory[]; /* [nsegments] offsets in the arena; of an array's segments in a row */
};

static inline uint32_t
bs_prefix_nsegments(const BsPrefixArray *array)
{
	return (uint32_t) ((array->nitems + (UINT64_C(1) << array->shift) - 1) >> array->shift);
}

/* Bytes of segment number i of an array. */
static inline size_t
bs_prefix_segment_bytes(const BsPrefixArray *array, uint32_t i)
{
	uint64_t items = UINT64_C(1) << array->shift;
	uint64_t left = array->nitems - ((uint64_t) i << array->shift);

	return (size_t) ((left < items ? left : items) * (BS_ARENA_MAX_BLOCK >> array->shift));
}

/* 1 to 31 bits of a 128-bit address from bit number at (0 .. 127) on; behind the end are zeros. */
static inline uint32_t
bs_prefix_bits(uint64_t high, uint64_t low, unsigned at, unsigned nbits)
{
	uint64_t word;

	if (at >= 64)
		word = low << (at - 64);
	else if (at == 0)
		word = high;
	else
		word = high << at | low >> (64 - at);
	return (uint32_t) (word >> (64 - nbits));
}

/*
 * The IPv4 address in an IPv6 one, if it has one by these aliases; *before is the number of bits before
 * it.
 */
static inline bool
bs_prefix_alias(uint32_t aliases, uint64_t high, uint64_t low, uint32_t *address, unsigned *before)
{
	BsPrefixAlias alias;

	if (high == 0 && low >> 32 == 0)
		alias = BS_ALIAS_COMPATIBLE;
	else if (high == 0 && low >> 32 == 0xffff)
		alias = BS_ALIAS_MAPPED;
	else if (high >> 32 == 0x20010000)
		alias = BS_ALIAS_TEREDO;
	else if (high >> 48 == 0x2002)
		alias = BS_ALIAS_6TO4;
	else
		return false;
	*before = alias == BS_ALIAS_TEREDO ? 32 : alias == BS_ALIAS_6TO4 ? 16 : 96;
	*address = (uint32_t) (*before == 96 ? low : high >> (32 - *before));
	return (aliases & alias) != 0;
}

#endif
