/* SPDX-License-Identifier: PostgreSQL */
/*
 * sketch_hll.h: how many different values there were, from their hashes (HyperLogLog).
 *
 * 2^14 registers: the standard error is 1.04 / sqrt(2^14) = 0.81 % (Flajolet, Fusy, Gandouet,
 * Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm", 2007).
 * The estimate from the registers is the improved raw estimator of Ertl, "New cardinality
 * estimation algorithms for HyperLogLog sketches", 2017, section 2.4, which needs no tables of
 * bias.  Up to BS_HLL_SPARSE_MAX values are kept as they are, with 25 bits of their place (the
 * sparse form of Heule, Nunkesser, Hall, "HyperLogLog in practice", EDBT 2013) and counted
 * linearly: that is off by one at the worst of times.
 *
 * Memory: 64 bytes for up to 12 values, twice as much for each doubling, 16 kB from 1,537 values
 * on. Packed: 8 + 4 bytes a value, at most 12 kB.  A sketch is a function of the set of hashes
 * alone, so that merging in any order, or not at all, comes to the same.
 *
 * The hashes must be 64 good bits (bs_sketch_mix() of what is not).  Who can choose values and
 * knows the hash function can make an estimate of his choice (Paterson, Raynal, "HyperLogLog:
 * exponentially bad in adversarial settings", 2022).
 *
 * Packed form, version 1:
 *
 *     | 1 | form | 14 | 0 | number of entries, u32 |   form 1: sparse, 2: dense (entries 0)
 *     sparse: entries u32, each  place (25 bits) << 6 | rank (1 .. 40)
 *     dense:  16,384 registers of 6 bits (0 .. 51), the first in the lowest bits
 */
#ifndef BS_SKETCH_HLL_H
#define BS_SKETCH_HLL_H

#include "sketch.h"

#define BS_HLL_PRECISION  14u
#define BS_HLL_REGISTERS  (1u << BS_HLL_PRECISION)
#define BS_HLL_SPARSE_MAX 3072u
#define BS_HLL_PACKED_MAX (8u + BS_HLL_REGISTERS / 4 * 3)

typedef struct BsHll BsHll;

/* NULL when there is no memory. */
extern BsHll *bs_hll_create(BsSketchMemory memory);
extern void bs_hll_free(BsHll *hll);
/* OK or NO_MEMORY */
extern BsSketchStatus bs_hll_add(BsHll *hll, uint64_t hash);
extern BsSketchStatus bs_hll_merge(BsHll *hll, const BsHll *other);
extern double bs_hll_estimate(const BsHll *hll);
/* All that it has taken. */
extern size_t bs_hll_bytes(const BsHll *hll);

/* Write the packed form to out, which has room for bs_hll_packed_bytes(). */
extern size_t bs_hll_packed_bytes(const BsHll *hll);
extern void bs_hll_pack(const BsHll *hll, uint8_t *out);
/* OK, NO_MEMORY or CORRUPT; *hll is NULL but when OK. */
extern BsSketchStatus bs_hll_unpack(BsSketchMemory memory, const uint8_t *data, size_t len,
									BsHll **hll);

#endif
