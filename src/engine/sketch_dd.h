/* SPDX-License-Identifier: PostgreSQL */
/*
 * sketch_dd.h: quantiles with a relative error (DDSketch).
 *
 * Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
 * guarantees", VLDB 2019.  Magnitudes are counted in bins (g^(i-1), g^i] with g = 1.0202, negative
 * numbers apart from positive ones, zeros, infinities and NaNs by themselves.  A quantile is the
 * middle of the bin that it falls into: within 1 % of the value that has its rank, since
 * (g - 1) / (g + 1) = 0.99990 %.  The least and the greatest number are kept as they are.
 *
 * There are at most BS_DD_MAX_BINS bins of either sign, a span of 1 : 6.0e17; what is nearer to
 * zero than that goes into the lowest of them (of its sign), and only quantiles that fall there
 * lose the bound.  Which bins there are depends on the greatest magnitude alone, so that merging in
 * any order, or not at all, comes to the same.
 *
 * Memory: 8 bytes per bin between the least and the greatest one, at most 16 kB for either sign and
 * 32 kB in all (twice as much for a moment while it grows).  Packed: 2 to 3 bytes per bin that is
 * not empty, as a rule; BS_DD_PACKED_MAX at most.
 *
 * Packed form, version 1 (varint: sketch.h):
 *
 *     | 1 | least, f64 | greatest, f64 | varints: zeros, NaNs, infinities, negative infinities |
 *     bins of positive numbers, then of negative ones:
 *     | number of bins, varint | for each: varint (number - the number before - 1), varint count |
 *
 * where the number before the first is BS_DD_FIRST_BIN - 1.
 */
#ifndef BS_SKETCH_DD_H
#define BS_SKETCH_DD_H

#include "sketch.h"

#define BS_DD_ALPHA    0.01 /* relative error */
#define BS_DD_MAX_BINS 2048u
/* Numbers of bins that a double can fall into, with some to spare. */
#define BS_DD_FIRST_BIN (-38000)
#define BS_DD_LAST_BIN  36000
#define BS_DD_PACKED_MAX                                                                           \
	(1u + 16u + 6 * BS_VARINT64_BYTES + 2 * BS_DD_MAX_BINS * (3 + BS_VARINT64_BYTES))

typedef struct BsDd BsDd;

/* NULL when there is no memory. */
extern BsDd *bs_dd_create(BsSketchMemory memory);
extern void bs_dd_free(BsDd *dd);
/* OK or NO_MEMORY */
extern BsSketchStatus bs_dd_add(BsDd *dd, double value);
extern BsSketchStatus bs_dd_merge(BsDd *dd, const BsDd *other);
/* How many were added. */
extern uint64_t bs_dd_count(const BsDd *dd);
/*
 * The value of rank ceil(fraction * count), as that of percentile_disc() in SQL: NaNs are above
 * all. fraction is in [0, 1] and the count is not 0.
 */
extern double bs_dd_quantile(const BsDd *dd, double fraction);
/* All that it has taken. */
extern size_t bs_dd_bytes(const BsDd *dd);

/* Write the packed form to out, which has room for bs_dd_packed_bound(); returns its length. */
extern size_t bs_dd_packed_bound(const BsDd *dd);
extern size_t bs_dd_pack(const BsDd *dd, uint8_t *out);
/* OK, NO_MEMORY or CORRUPT; *dd is NULL but when OK. */
extern BsSketchStatus bs_dd_unpack(BsSketchMemory memory, const uint8_t *data, size_t len,
								   BsDd **dd);

#endif
