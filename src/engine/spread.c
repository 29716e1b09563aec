/* SPDX-License-Identifier: PostgreSQL */
/* spread.c: records as slices, one for each window that they lasted in.  See spread.h. */
#include "spread.h"

#include <stdlib.h>
#include <string.h>

struct BsSpread
{
	uint32_t ncolumns; /* of the records */
	uint32_t start_column;
	uint32_t end_column;
	BsWindowing windowing;
	BsBatch *slices;
	uint16_t *rows; /* [capacity] of the record of each slice */
	/* Of the batch in hand: */
	const BsBatch *batch;
	int64_t max_usec;
	int64_t future_limit;
	uint32_t row;      /* the next record */
	bool in_record;    /* there may be more of the one before it */
	BsSlices current;
	uint64_t clamped;
};

BsSpread *
bs_spread_create(const BsType *types, uint32_t ncolumns, const bool *wanted, uint32_t start_column,
				 uint32_t end_column, const BsWindowing *windowing, uint32_t capacity)
{
	BsSpread *spread = calloc(1, sizeof(BsSpread));
	BsType *all = calloc(ncolumns + BS_SLICE_COLUMNS, sizeof(BsType));
	bool *keep = calloc(ncolumns + BS_SLICE_COLUMNS, sizeof(bool));

	if (spread != NULL && all != NULL && keep != NULL)
	{
		memcpy(all, types, ncolumns * sizeof(BsType));
		memcpy(keep, wanted, ncolumns * sizeof(bool));
		for (uint32_t i = 0; i < BS_SLICE_COLUMNS; i++)
		{
			all[ncolumns + i] = i == 0 ? BS_TIMESTAMPTZ : BS_INT8;
			keep[ncolumns + i] = true;
		}
		spread->ncolumns = ncolumns;
		spread->start_column = start_column;
		spread->end_column = end_column;
		spread->windowing = *windowing;
		spread->rows = calloc(capacity, sizeof(uint16_t));
		spread->slices = bs_batch_create(all, ncolumns + BS_SLICE_COLUMNS, keep, capacity);
	}
	free(all);
	free(keep);
	if (spread != NULL && spread->rows != NULL && spread->slices != NULL)
		return spread;
	bs_spread_free(spread);
	return NULL;
}

void
bs_spread_free(BsSpread *spread)
{
	if (spread == NULL)
		return;
	if (spread->slices != NULL)
		bs_batch_free(spread->slices);
	free(spread->rows);
	free(spread);
}

void
bs_spread_begin(BsSpread *spread, const BsBatch *batch, int64_t max_usec, int64_t future_limit)
{
	spread->batch = batch;
	spread->max_usec = max_usec;
	spread->future_limit = future_limit;
	spread->row = 0;
	spread->in_record = false;
	spread->clamped = 0;
}

uint64_t
bs_spread_clamped(const BsSpread *spread)
{
	return spread->clamped;
}

static bool
is_time(const BsLane *lane, uint32_t row)
{
	return !bs_lane_is_null(lane, row) && lane->i64[row] != BS_TIME_INFINITY &&
		   lane->i64[row] != BS_TIME_NEG_INFINITY;
}

/* A row of slices for the record before spread->row. */
static void
put_slice(BsSpread *spread, const BsSlice *slice)
{
	BsLane *lanes = spread->slices->columns + spread->ncolumns;
	uint32_t at = spread->slices->nrows++;

	spread->rows[at] = (uint16_t) (spread->row - 1);
	lanes[0].i64[at] = slice->time;
	lanes[1].i64[at] = slice->before;
	lanes[2].i64[at] = slice->until;
	lanes[3].i64[at] = slice->total;
}

/* The next record: its first slice is still to come, or it is one that has no window. */
static void
begin_record(BsSpread *spread)
{
	const BsLane *starts = &spread->batch->columns[spread->start_column];
	const BsLane *ends = &spread->batch->columns[spread->end_column];
	uint32_t row = spread->row++;
	BsSlice none = {.time = BS_TIME_INFINITY};

	if (!is_time(starts, row) || !is_time(ends, row))
		put_slice(spread, &none);
	else if (ends->i64[row] > spread->future_limit)
	{
		none.time = ends->i64[row];
		put_slice(spread, &none);
	}
	else
	{
		spread->current =
			bs_slices_of(&spread->windowing, starts->i64[row], ends->i64[row], spread->max_usec);
		spread->clamped += spread->current.clamped;
		spread->in_record = true;
	}
}

#define GATHER(field)                                    \
	for (uint32_t i = 0; i < n; i++)                     \
		to->field[i] = from->field[spread->rows[i]]

static void
gather(const BsSpread *spread, uint32_t column)
{
	const BsLane *from = &spread->batch->columns[column];
	BsLane *to = &spread->slices->columns[column];
	uint32_t n = spread->slices->nrows;

	switch (to->type)
	{
		case BS_INTERVAL:
			GATHER(interval);
			break;
		case BS_BYTES:
			GATHER(bytes);
			break;
		case BS_INET:
			GATHER(inet);
			break;
		default:
			GATHER(i64);
	}
	to->has_nulls = from->has_nulls;
	if (from->has_nulls)
		GATHER(nulls);
}

const BsBatch *
bs_spread_next(BsSpread *spread)
{
	BsBatch *slices = spread->slices;
	BsSlice slice;

	bs_batch_reset(slices);
	while (slices->nrows < slices->capacity)
	{
		if (spread->in_record && bs_slices_next(&spread->current, &slice))
			put_slice(spread, &slice);
		else if (spread->row < spread->batch->nrows)
		{
			spread->in_record = false;
			begin_record(spread);
		}
		else
			break;
	}
	if (slices->nrows == 0)
		return NULL;
	for (uint32_t column = 0; column < spread->ncolumns; column++)
		if (bs_lane_wanted(&slices->columns[column]))
			gather(spread, column);
	bs_batch_add_run(slices, 0, slices->nrows, 1);
	return slices;
}
