/* SPDX-License-Identifier: PostgreSQL */
/* sketch_dd.c: DDSketch.  See sketch_dd.h. */
#include <math.h>

#include "sketch_dd.h"

#define VERSION 1u
#define GAMMA   1.0202
/* ln(GAMMA) */
#define LN_GAMMA 0.019998686506689123

#define MIN_BINS 32u

/* Counts of the bins first .. first + nbins - 1: the lowest and the highest are not empty. */
typedef struct Bins
{
	int32_t first;
	uint32_t nbins;
	uint32_t capacity;
	uint64_t *counts;
	uint64_t total;
} Bins;

struct BsDd
{
	BsSketchMemory memory;
	Bins positive;
	Bins negative; /* by magnitude */
	uint64_t zeros;
	uint64_t nans;
	uint64_t infinities;
	uint64_t negative_infinities;
	double least; /* of the finite ones; 0 where there are none */
	double greatest;
};

/* ---------- bins ---------- */

static int32_t
bin_of(double magnitude)
{
	return (int32_t) ceil(log(magnitude) * (1 / LN_GAMMA));
}

/* The middle of a bin, in the sense that both ends are equally far from it, relatively. */
static double
bin_middle(int32_t number)
{
	return exp(number * LN_GAMMA) * (2 / (1 + GAMMA));
}

static uint32_t
wanted_capacity(uint32_t nbins)
{
	uint32_t capacity = MIN_BINS;

	while (capacity < nbins)
		capacity *= 2;
	return capacity;
}

/* Room for nbins bins, the present ones moved up by shift. */
static BsSketchStatus
make_room(const BsSketchMemory *memory, Bins *bins, uint32_t nbins, uint32_t shift)
{
	uint32_t capacity = wanted_capacity(nbins);
	uint64_t *counts = bins->counts;

	if (nbins > bins->capacity)
	{
		counts = bs_sketch_allocate(memory, capacity * sizeof(uint64_t));
		if (counts == NULL)
			return BS_SKETCH_NO_MEMORY;
	}
	if (bins->nbins > 0)
		memmove(counts + shift, bins->counts, bins->nbins * sizeof(uint64_t));
	memset(counts, 0, shift * sizeof(uint64_t));
	memset(counts + shift + bins->nbins, 0, (nbins - shift - bins->nbins) * sizeof(uint64_t));
	if (counts != bins->counts)
	{
		bs_sketch_release(memory, bins->counts);
		bins->capacity = capacity;
	}
	bins->counts = counts;
	bins->first -= (int32_t) shift;
	bins->nbins = nbins;
	return BS_SKETCH_OK;
}

/* Add the lowest bins to the one above them, so that bin first is the lowest. */
static void
collapse(Bins *bins, int32_t first)
{
	uint32_t gone = (uint32_t) (first - bins->first);
	uint64_t count = 0;

	if (gone >= bins->nbins)
	{
		/* The highest is one of them, too. */
		bins->first = first;
		bins->counts[0] = bins->total;
		bins->nbins = 1;
		return;
	}
	for (uint32_t i = 0; i < gone; i++)
		count += bins->counts[i];
	bins->nbins -= gone;
	memmove(bins->counts, bins->counts + gone, bins->nbins * sizeof(uint64_t));
	bins->counts[0] += count;
	bins->first = first;
}

static BsSketchStatus
add_to_bin(const BsSketchMemory *memory, Bins *bins, int32_t number, uint64_t count)
{
	BsSketchStatus status = BS_SKETCH_OK;
	int32_t last = bins->first + (int32_t) bins->nbins - 1;

	if (bins->nbins == 0)
	{
		bins->first = number;
		status = make_room(memory, bins, 1, 0);
	}
	else if (number > last)
	{
		int32_t lowest = number - (int32_t) BS_DD_MAX_BINS + 1;

		if (bins->first < lowest)
			collapse(bins, lowest);
		status = make_room(memory, bins, (uint32_t) (number - bins->first) + 1, 0);
	}
	else if (number < bins->first)
	{
		if (number < last - (int32_t) BS_DD_MAX_BINS + 1)
			number = last - (int32_t) BS_DD_MAX_BINS + 1;
		if (number < bins->first)
			status = make_room(memory, bins, (uint32_t) (last - number) + 1,
							   (uint32_t) (bins->first - number));
	}
	if (status != BS_SKETCH_OK)
		return status;
	bins->counts[number - bins->first] += count;
	bins->total += count;
	return BS_SKETCH_OK;
}

static BsSketchStatus
merge_bins(const BsSketchMemory *memory, Bins *bins, const Bins *other)
{
	BsSketchStatus status = BS_SKETCH_OK;

	/* The highest first: so the room is right from the start. */
	for (uint32_t i = other->nbins; i > 0 && status == BS_SKETCH_OK; i--)
		if (other->counts[i - 1] > 0)
			status = add_to_bin(memory, bins, other->first + (int32_t) i - 1, other->counts[i - 1]);
	return status;
}

/* ---------- the sketch ---------- */

BsDd *
bs_dd_create(BsSketchMemory memory)
{
	BsDd *dd = bs_sketch_allocate(&memory, sizeof(BsDd));

	if (dd != NULL)
		*dd = (BsDd){.memory = memory};
	return dd;
}

void
bs_dd_free(BsDd *dd)
{
	BsSketchMemory memory;

	if (dd == NULL)
		return;
	memory = dd->memory;
	bs_sketch_release(&memory, dd->positive.counts);
	bs_sketch_release(&memory, dd->negative.counts);
	bs_sketch_release(&memory, dd);
}

size_t
bs_dd_bytes(const BsDd *dd)
{
	return sizeof(BsDd) + (dd->positive.capacity + dd->negative.capacity) * sizeof(uint64_t);
}

static uint64_t
count_finite(const BsDd *dd)
{
	return dd->positive.total + dd->negative.total + dd->zeros;
}

uint64_t
bs_dd_count(const BsDd *dd)
{
	return count_finite(dd) + dd->nans + dd->infinities + dd->negative_infinities;
}

static void
note_range(BsDd *dd, double least, double greatest)
{
	bool any = count_finite(dd) > 0;

	if (!any || least < dd->least)
		dd->least = least;
	if (!any || greatest > dd->greatest)
		dd->greatest = greatest;
}

BsSketchStatus
bs_dd_add(BsDd *dd, double value)
{
	if (isnan(value))
		dd->nans++;
	else if (isinf(value))
	{
		if (value > 0)
			dd->infinities++;
		else
			dd->negative_infinities++;
	}
	else
	{
		note_range(dd, value, value);
		if (value > 0)
			return add_to_bin(&dd->memory, &dd->positive, bin_of(value), 1);
		if (value < 0)
			return add_to_bin(&dd->memory, &dd->negative, bin_of(-value), 1);
		dd->zeros++;
	}
	return BS_SKETCH_OK;
}

BsSketchStatus
bs_dd_merge(BsDd *dd, const BsDd *other)
{
	BsSketchStatus status;

	if (count_finite(other) > 0)
		note_range(dd, other->least, other->greatest);
	dd->zeros += other->zeros;
	dd->nans += other->nans;
	dd->infinities += other->infinities;
	dd->negative_infinities += other->negative_infinities;
	status = merge_bins(&dd->memory, &dd->positive, &other->positive);
	if (status != BS_SKETCH_OK)
		return status;
	return merge_bins(&dd->memory, &dd->negative, &other->negative);
}

/* The number of the bin in which a rank (from 1, counted from the lowest bin) falls. */
static int32_t
bin_of_rank(const Bins *bins, uint64_t rank)
{
	uint32_t i = 0;

	while (rank > bins->counts[i] && i + 1 < bins->nbins)
		rank -= bins->counts[i++];
	return bins->first + (int32_t) i;
}

/* rank: from 1, of the finite ones */
static double
finite_of_rank(const BsDd *dd, uint64_t rank)
{
	double value = 0;

	if (rank == 1)
		return dd->least;
	if (rank == count_finite(dd))
		return dd->greatest;
	if (rank <= dd->negative.total)
		value = -bin_middle(bin_of_rank(&dd->negative, dd->negative.total - rank + 1));
	else if (rank > dd->negative.total + dd->zeros)
		value = bin_middle(bin_of_rank(&dd->positive, rank - dd->negative.total - dd->zeros));
	if (value < dd->least)
		return dd->least;
	return value > dd->greatest ? dd->greatest : value;
}

double
bs_dd_quantile(const BsDd *dd, double fraction)
{
	uint64_t count = bs_dd_count(dd);
	double exact = ceil(fraction * (double) count);
	uint64_t rank = exact >= (double) count ? count : (uint64_t) exact;

	if (rank == 0)
		rank = 1;
	if (rank <= dd->negative_infinities)
		return -INFINITY;
	rank -= dd->negative_infinities;
	if (rank <= count_finite(dd))
		return finite_of_rank(dd, rank);
	return rank - count_finite(dd) <= dd->infinities ? INFINITY : NAN;
}

/* ---------- bytes ---------- */

size_t
bs_dd_packed_bound(const BsDd *dd)
{
	size_t nbins = (size_t) dd->positive.nbins + dd->negative.nbins;

	return 1 + 16 + 6 * BS_VARINT64_BYTES + nbins * (3 + BS_VARINT64_BYTES);
}

static uint8_t *
put_double(uint8_t *out, double value)
{
	uint64_t word;

	memcpy(&word, &value, sizeof(word));
	return bs_bytes_put_word(out, word, 8);
}

static double
get_double(BsCursor *cursor)
{
	uint64_t word = bs_cursor_get_word(cursor, 8);
	double value;

	memcpy(&value, &word, sizeof(value));
	return value;
}

static uint8_t *
pack_bins(const Bins *bins, uint8_t *out)
{
	int32_t before = BS_DD_FIRST_BIN - 1;
	uint32_t filled = 0;

	for (uint32_t i = 0; i < bins->nbins; i++)
		filled += bins->counts[i] > 0;
	out = bs_bytes_put_varint(out, filled);
	for (uint32_t i = 0; i < bins->nbins; i++)
	{
		int32_t number = bins->first + (int32_t) i;

		if (bins->counts[i] == 0)
			continue;
		out = bs_bytes_put_varint(out, (uint32_t) (number - before - 1));
		out = bs_bytes_put_varint(out, bins->counts[i]);
		before = number;
	}
	return out;
}

size_t
bs_dd_pack(const BsDd *dd, uint8_t *out)
{
	uint8_t *start = out;

	out = bs_bytes_put_word(out, VERSION, 1);
	out = put_double(out, dd->least);
	out = put_double(out, dd->greatest);
	out = bs_bytes_put_varint(out, dd->zeros);
	out = bs_bytes_put_varint(out, dd->nans);
	out = bs_bytes_put_varint(out, dd->infinities);
	out = bs_bytes_put_varint(out, dd->negative_infinities);
	out = pack_bins(&dd->positive, out);
	out = pack_bins(&dd->negative, out);
	return (size_t) (out - start);
}

/* One bin's number and count; a number past the last when either is wrong. */
static int64_t
get_bin(BsCursor *cursor, int64_t before, uint64_t *count)
{
	uint64_t step = bs_cursor_get_varint(cursor);

	*count = bs_cursor_get_varint(cursor);
	if (cursor->bad || *count == 0 || step > BS_DD_LAST_BIN - BS_DD_FIRST_BIN)
		return BS_DD_LAST_BIN + 1;
	return before + 1 + (int64_t) step;
}

static BsSketchStatus
unpack_bins(const BsSketchMemory *memory, Bins *bins, BsCursor *cursor)
{
	uint64_t filled = bs_cursor_get_varint(cursor);
	int64_t number = BS_DD_FIRST_BIN - 1;

	if (filled > BS_DD_MAX_BINS)
		return BS_SKETCH_CORRUPT;
	for (uint64_t i = 0; i < filled; i++)
	{
		uint64_t count;
		BsSketchStatus status;

		number = get_bin(cursor, number, &count);
		if (number > BS_DD_LAST_BIN || count > UINT64_MAX / 16 - bins->total ||
			(i > 0 && number - bins->first >= BS_DD_MAX_BINS))
			return BS_SKETCH_CORRUPT;
		status = add_to_bin(memory, bins, (int32_t) number, count);
		if (status != BS_SKETCH_OK)
			return status;
	}
	return BS_SKETCH_OK;
}

static BsSketchStatus
unpack_into(BsDd *dd, BsCursor *cursor)
{
	const uint64_t most = UINT64_MAX / 16;
	BsSketchStatus status;

	if (bs_cursor_get_word(cursor, 1) != VERSION)
		return BS_SKETCH_CORRUPT;
	dd->least = get_double(cursor);
	dd->greatest = get_double(cursor);
	dd->zeros = bs_cursor_get_varint(cursor);
	dd->nans = bs_cursor_get_varint(cursor);
	dd->infinities = bs_cursor_get_varint(cursor);
	dd->negative_infinities = bs_cursor_get_varint(cursor);
	status = unpack_bins(&dd->memory, &dd->positive, cursor);
	if (status == BS_SKETCH_OK)
		status = unpack_bins(&dd->memory, &dd->negative, cursor);
	if (status != BS_SKETCH_OK)
		return status;
	if (cursor->bad || cursor->left_bytes != 0 || !isfinite(dd->least) || !isfinite(dd->greatest) ||
		dd->least > dd->greatest || dd->zeros > most || dd->nans > most || dd->infinities > most ||
		dd->negative_infinities > most)
		return BS_SKETCH_CORRUPT;
	return BS_SKETCH_OK;
}

BsSketchStatus
bs_dd_unpack(BsSketchMemory memory, const uint8_t *data, size_t len, BsDd **dd)
{
	BsCursor cursor = {.at = data, .left_bytes = len};
	BsSketchStatus status;

	*dd = bs_dd_create(memory);
	if (*dd == NULL)
		return BS_SKETCH_NO_MEMORY;
	status = unpack_into(*dd, &cursor);
	if (status == BS_SKETCH_OK)
		return status;
	bs_dd_free(*dd);
	*dd = NULL;
	return status;
}
