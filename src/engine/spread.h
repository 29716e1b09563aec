/* SPDX-License-Identifier: PostgreSQL */
/*
 * spread.h: a record that lasted counts in every window that it lasted in.
 *
 * Each record of a batch becomes a row for each window of its time, a *slice*: the record's columns again,
 * and four more.  The program then runs over the slices as over any batch.
 *
 *   time    start of the window
 *   before  microseconds of the record's duration before the window
 *   until   ... before the end of the window
 *   total   its duration
 *
 * A record that ends before it begins has no duration, and counts in the window of its end, as does one that
 * begins when it ends.  It lasts up to its end, not beyond: one that ends where a window begins is not in
 * that.  Longer ones than a bound count in the last part of their time alone, as wholes: they are clamped.
 * One without both times becomes a slice without time.
 *
 * Memory: malloc'ed, one per process and view; single-threaded.
 */
#ifndef BS_SPREAD_H
#define BS_SPREAD_H

#include "batch.h"
#include "window.h"

#define BS_SLICE_COLUMNS 4

/* The most windows that a record is spread over, its ends' aside. */
#define BS_MAX_SLICES INT64_C(3600)

/* The windows of one record. */
typedef struct BsSlices
{
	int64_t start; /* of the record, clamped */
	int64_t end;
	int64_t width;
	int64_t next; /* window, and the last one */
	int64_t last;
	bool clamped;
} BsSlices;

typedef struct BsSlice
{
	int64_t time;
	int64_t before;
	int64_t until;
	int64_t total;
} BsSlice;

/* Begin with finite times; max_usec is the longest duration, 0: no bound but BS_MAX_SLICES. */
static inline BsSlices
bs_slices_of(const BsWindowing *windowing, int64_t start, int64_t end, int64_t max_usec)
{
	BsSlices slices = {.start = start < end ? start : end, .end = end, .width = windowing->size_usec};
	int64_t most = BS_MAX_SLICES * windowing->size_usec;
	int64_t lasted;

	if (max_usec > 0 && max_usec < most)
		most = max_usec;
	slices.clamped = __builtin_sub_overflow(end, slices.start, &lasted) || lasted > most;
	if (slices.clamped)
		slices.start = end - most;
	slices.next = bs_window_start(windowing, slices.start);
	slices.last = bs_window_start(windowing, end > slices.start ? end - 1 : end);
	return slices;
}

static inline bool
bs_slices_next(BsSlices *slices, BsSlice *slice)
{
	int64_t window = slices->next;
	int64_t window_end = window + slices->width;

	if (window > slices->last)
		return false;
	slice->time = window;
	slice->before = window > slices->start ? window - slices->start : 0;
	slice->total = slices->end - slices->start;
	slice->until = window_end < slices->end ? window_end - slices->start : slice->total;
	slices->next = window_end;
	return true;
}

/* The largest integer not above value * part / total, for 0 <= part <= total and total > 0. */
static inline int64_t
bs_portion_floor(int64_t value, int64_t part, int64_t total)
{
	int64_t product;
	__int128 wide;

	if (!__builtin_mul_overflow(value, part, &product))
		return product / total - (product % total < 0);
	wide = (__int128) value * part;
	return (int64_t) (wide / total) - (wide % total < 0);
}

/* The share of a value in a slice: those of all slices of a record come to the value. */
static inline int64_t
bs_portion(int64_t value, int64_t before, int64_t until, int64_t total)
{
	int64_t low;
	int64_t high;

	if (total <= 0)
		return value;
	low = before == 0 ? 0 : bs_portion_floor(value, before, total);
	high = until == total ? value : bs_portion_floor(value, until, total);
	return high - low;
}

typedef struct BsSpread BsSpread;

/*
 * For batches whose columns have these types, of which wanted ones are copied.  NULL when memory is out.
 */
extern BsSpread *bs_spread_create(const BsType *types, uint32_t ncolumns, const bool *wanted,
								  uint32_t start_column, uint32_t end_column,
								  const BsWindowing *windowing, uint32_t capacity);
extern void bs_spread_free(BsSpread *spread); /* NULL is nothing */

/*
 * Begin with a batch, which must stay as it is.  A record that ends after future_limit becomes a slice
 * whose time is its end.
 */
extern void bs_spread_begin(BsSpread *spread, const BsBatch *batch, int64_t max_usec,
							int64_t future_limit);

/* The next slices, or NULL.  Good until the next call. */
extern const BsBatch *bs_spread_next(BsSpread *spread);

/* Records clamped since bs_spread_begin(). */
extern uint64_t bs_spread_clamped(const BsSpread *spread);

#endif
