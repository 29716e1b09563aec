/* SPDX-License-Identifier: PostgreSQL */
/*
 * sketch_topk.h: the values with the greatest sums of weights (space-saving).
 *
 * Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements in data
 * streams", ICDT 2005, with weights and in batches: instead of replacing the least counter at each
 * new value, there is room for twice as many counters, and when it is used up the lesser half is
 * given up at once (Anderson et al., "A high-performance algorithm for identifying frequent items
 * in data streams", IMC 2017), so that adding takes constant time on the average.  Sketches merge
 * as in Agarwal et al., "Mergeable summaries", PODS 2012.
 *
 * With c = bs_topk_kept(k) = max(2k, 256) counters kept, N the sum of all weights, and whatever the
 * order of adding and merging:
 *
 *     lower <= sum of the value's weights <= upper          of each value that has a counter
 *     sum of the value's weights <= floor                   of each one that has none
 *     upper - lower <= floor <= N / c                       (any value above N / c has a counter)
 *
 * and as long as no more than c different values came, all is exact.
 *
 * Memory: at most 2c counters of 56 to 64 bytes and their values, each rounded up to 8 bytes and with
 * room for as much again: for k = 10 and IPv4 addresses 33 kB, for k = 1000 260 kB.  It begins with
 * 16 counters and doubles.  Packed: at most c counters of 8 bytes and 3 to 39 more, as large as their
 * numbers are, and their values: for k = 10 and IPv4 addresses up to 6 kB, for k = 1000 45 kB.
 *
 * Values are bytes, and equal when their hashes and their bytes are, or their hashes and what
 * BsTopkEqual says.
 *
 * Packed form, version 1 (varint: sketch.h):
 *
 *     | 1 | k, u16 | total | floor | number of counters |           the last three varints
 *     each counter: | hash, u64 | lower | upper - lower | length | bytes |   varints but the hash
 */
#ifndef BS_SKETCH_TOPK_H
#define BS_SKETCH_TOPK_H

#include "sketch.h"

#define BS_TOPK_MAX_K          1000u
#define BS_TOPK_MAX_ITEM_BYTES 256u

typedef struct BsTopk BsTopk;

/* Are two values equal whose hashes are?  NULL in place of it: when their bytes are. */
typedef struct BsTopkEqual
{
	bool (*equal)(void *context, BsBytes a, BsBytes b);
	void *context;
} BsTopkEqual;

typedef struct BsTopkCounter
{
	BsBytes item; /* good until the sketch changes */
	BsUint128 lower;
	BsUint128 upper;
} BsTopkCounter;

/* Counters that are kept. */
static inline uint32_t
bs_topk_kept(uint32_t k)
{
	return 2 * k < 256 ? 256 : 2 * k;
}

/* k from 1 to BS_TOPK_MAX_K.  NULL when there is no memory. */
extern BsTopk *bs_topk_create(BsSketchMemory memory, uint32_t k);
extern void bs_topk_free(BsTopk *topk);

/*
 * Weight 0 adds nothing.  OK, NO_MEMORY or TOO_LONG.  The hash is bs_sketch_mix()ed or as good. Who
 * can choose values and knows the hash can make the search for a counter as long as there are
 * counters, no longer.
 */
extern BsSketchStatus bs_topk_add(BsTopk *topk, uint64_t hash, BsBytes item, uint64_t weight,
								  const BsTopkEqual *equal);
/* OK, NO_MEMORY, or MISMATCH: another k. */
extern BsSketchStatus bs_topk_merge(BsTopk *topk, const BsTopk *other, const BsTopkEqual *equal);

extern uint32_t bs_topk_k(const BsTopk *topk);
/* The sum of all weights. */
extern BsUint128 bs_topk_total(const BsTopk *topk);
/* What a value without a counter may have had. */
extern BsUint128 bs_topk_floor(const BsTopk *topk);
/* Counters, in no order: numbers are from 0 to bs_topk_count() - 1. */
extern uint32_t bs_topk_count(const BsTopk *topk);
extern BsTopkCounter bs_topk_counter(const BsTopk *topk, uint32_t number);
/* All that it has taken. */
extern size_t bs_topk_bytes(const BsTopk *topk);

/*
 * Pack: bs_topk_trim() leaves the counters that are kept, bs_topk_pack() writes them to out, which
 * has room for bs_topk_packed_bound(), and returns their length.
 */
extern BsSketchStatus bs_topk_trim(BsTopk *topk);
extern size_t bs_topk_packed_bound(const BsTopk *topk);
extern size_t bs_topk_pack(const BsTopk *topk, uint8_t *out);
/* OK, NO_MEMORY or CORRUPT; *topk is NULL but when OK. */
extern BsSketchStatus bs_topk_unpack(BsSketchMemory memory, const uint8_t *data, size_t len,
									 BsTopk **topk);

#endif
