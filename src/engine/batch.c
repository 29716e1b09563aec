/* SPDX-License-Identifier: PostgreSQL */
/* batch.c: memory of a batch of records.  See batch.h. */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

static bool
lane_allocate(BsLane *lane, uint32_t capacity)
{
	lane->values = calloc(capacity, bs_type_lane_width(lane->type));
	lane->nulls = calloc(capacity, 1);
	return lane->values != NULL && lane->nulls != NULL;
}

static bool
marks_allocate(BsTimeMarks *marks, uint32_t capacity)
{
	marks->run_highest = calloc(capacity, sizeof(int64_t));
	marks->run_lowest = calloc(capacity, sizeof(int64_t));
	return marks->run_highest != NULL && marks->run_lowest != NULL;
}

BsBatch *
bs_batch_create(const BsType *types, uint32_t ncolumns, const bool *wanted, uint32_t capacity)
{
	BsBatch *batch = calloc(1, sizeof(BsBatch));

	if (batch == NULL)
		return NULL;
	batch->capacity = capacity;
	batch->ncolumns = ncolumns;
	batch->columns = calloc(ncolumns ? ncolumns : 1, sizeof(BsLane));
	batch->runs = calloc(capacity, sizeof(BsRun));
	batch->marks = calloc(ncolumns ? ncolumns : 1, sizeof(BsTimeMarks));
	if (batch->columns == NULL || batch->runs == NULL || batch->marks == NULL)
	{
		bs_batch_free(batch);
		return NULL;
	}
	for (uint32_t i = 0; i < ncolumns; i++)
	{
		batch->columns[i].type = types[i];
		if (wanted != NULL && !wanted[i])
			continue;
		if (!lane_allocate(&batch->columns[i], capacity) ||
			(types[i] == BS_TIMESTAMPTZ && !marks_allocate(&batch->marks[i], capacity)))
		{
			bs_batch_free(batch);
			return NULL;
		}
	}
	return batch;
}

void
bs_batch_free(BsBatch *batch)
{
	if (batch == NULL)
		return;
	for (uint32_t i = 0; batch->marks != NULL && i < batch->ncolumns; i++)
	{
		free(batch->marks[i].run_highest);
		free(batch->marks[i].run_lowest);
	}
	for (uint32_t i = 0; batch->columns != NULL && i < batch->ncolumns; i++)
	{
		free(batch->columns[i].values);
		free(batch->columns[i].nulls);
	}
	free(batch->columns);
	free(batch->runs);
	free(batch->marks);
	free(batch);
}

void
bs_batch_reset(BsBatch *batch)
{
	for (uint32_t i = 0; i < batch->ncolumns; i++)
	{
		BsLane *lane = &batch->columns[i];

		if (lane->has_nulls)
		{
			memset(lane->nulls, 0, batch->capacity);
			lane->has_nulls = false;
		}
		batch->marks[i].made = false;
	}
	batch->nrows = 0;
	batch->nruns = 0;
}

void
bs_batch_add_run(BsBatch *batch, uint32_t first, uint32_t nrows, uint64_t source)
{
	BsRun *last = batch->nruns > 0 ? &batch->runs[batch->nruns - 1] : NULL;

	if (last != NULL && last->source == source && last->first + last->nrows == first)
	{
		last->nrows += nrows;
		return;
	}
	batch->runs[batch->nruns++] = (BsRun){.first = first, .nrows = nrows, .source = source};
}

/* There may be NULLs and infinities among the rows; false: there are. */
static bool
run_marks_sparse(const BsLane *lane, const BsRun *run, int64_t *lowest, int64_t *highest)
{
	bool complete = true;

	*lowest = BS_TIME_INFINITY;
	*highest = BS_TIME_NEG_INFINITY;
	for (uint32_t row = run->first; row < run->first + run->nrows; row++)
	{
		int64_t value = lane->i64[row];

		if (lane->nulls[row] != 0 || value == BS_TIME_INFINITY || value == BS_TIME_NEG_INFINITY)
		{
			complete = false;
			continue;
		}
		*lowest = value < *lowest ? value : *lowest;
		*highest = value > *highest ? value : *highest;
	}
	return complete;
}

static void
run_marks(const BsLane *lane, const BsRun *run, BsTimeMarks *marks, uint32_t number)
{
	int64_t low = BS_TIME_INFINITY;
	int64_t high = BS_TIME_NEG_INFINITY;

	for (uint32_t row = run->first; row < run->first + run->nrows; row++)
	{
		int64_t value = lane->i64[row];

		low = value < low ? value : low;
		high = value > high ? value : high;
	}
	if (lane->has_nulls || low == BS_TIME_NEG_INFINITY || high == BS_TIME_INFINITY)
		marks->complete &= run_marks_sparse(lane, run, &low, &high);
	marks->run_highest[number] = high;
	marks->run_lowest[number] = low;
	marks->lowest = low < marks->lowest ? low : marks->lowest;
	marks->highest = high > marks->highest ? high : marks->highest;
}

const BsTimeMarks *
bs_batch_time_marks(const BsBatch *batch, uint32_t column)
{
	BsTimeMarks *marks = &batch->marks[column];

	if (marks->made)
		return marks;
	marks->complete = batch->nrows > 0;
	marks->lowest = BS_TIME_INFINITY;
	marks->highest = BS_TIME_NEG_INFINITY;
	for (uint32_t i = 0; i < batch->nruns; i++)
		run_marks(&batch->columns[column], &batch->runs[i], marks, i);
	marks->made = true;
	return marks;
}
