/* SPDX-License-Identifier: PostgreSQL */
/* totals.c: sums of what was sent.  See totals.h. */
#include "totals.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 1024

BsTotals *
bs_totals_create(uint32_t nstreams, uint32_t nflows, bool by_flow)
{
	BsTotals *totals = calloc(1, sizeof(*totals));

	if (totals == NULL)
		return NULL;
	totals->nstreams = nstreams;
	totals->nflows = nflows;
	totals->nslots = FIRST_SLOTS;
	totals->streams = calloc(nstreams, sizeof(*totals->streams));
	totals->windows = calloc(totals->nslots, sizeof(*totals->windows));
	totals->seen = calloc(nflows / 32 + 1, sizeof(*totals->seen));
	if (by_flow)
		totals->by_flow = calloc(nflows, sizeof(*totals->by_flow));
	if (totals->streams == NULL || totals->windows == NULL || totals->seen == NULL ||
		(by_flow && totals->by_flow == NULL))
	{
		bs_totals_free(totals);
		return NULL;
	}
	return totals;
}

void
bs_totals_free(BsTotals *totals)
{
	if (totals == NULL)
		return;
	free(totals->streams);
	free(totals->windows);
	free(totals->seen);
	free(totals->by_flow);
	free(totals);
}

static void
sums_add(BsSums *to, const BsSums *from)
{
	to->records += from->records;
	to->bytes += from->bytes;
	to->packets += from->packets;
}

static BsWindowSums *
window_slot(BsWindowSums *windows, uint32_t nslots, int64_t start_secs)
{
	uint64_t hash = (uint64_t) (start_secs / BS_TOTALS_WINDOW_SECS) * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t i = (uint32_t) (hash >> 32) & (nslots - 1);

	while (windows[i].sums.records != 0 && windows[i].start_secs != start_secs)
		i = (i + 1) & (nslots - 1);
	return &windows[i];
}

static bool
windows_grow(BsTotals *totals)
{
	uint32_t nslots = totals->nslots * 2;
	BsWindowSums *windows = calloc(nslots, sizeof(*windows));

	if (windows == NULL)
		return false;
	for (uint32_t i = 0; i < totals->nslots; i++)
	{
		const BsWindowSums *old = &totals->windows[i];

		if (old->sums.records != 0)
			*window_slot(windows, nslots, old->start_secs) = *old;
	}
	free(totals->windows);
	totals->windows = windows;
	totals->nslots = nslots;
	return true;
}

static int64_t
floor_to(int64_t value, int64_t width)
{
	int64_t rest = value % width;

	return value - (rest < 0 ? rest + width : rest);
}

void
bs_totals_add_window(BsTotals *totals, int64_t end_msec, const BsSums *sums)
{
	int64_t start = floor_to(end_msec, BS_TOTALS_WINDOW_SECS * 1000) / 1000;
	BsWindowSums *slot = window_slot(totals->windows, totals->nslots, start);

	if (sums->records == 0)
		return;
	if (slot->sums.records == 0)
	{
		if (totals->nwindows >= BS_TOTALS_MAX_WINDOWS ||
			(totals->nwindows >= totals->nslots / 2 && !windows_grow(totals)))
		{
			sums_add(&totals->outside_windows, sums);
			return;
		}
		slot = window_slot(totals->windows, totals->nslots, start);
		slot->start_secs = start;
		totals->nwindows++;
	}
	sums_add(&slot->sums, sums);
}

void
bs_totals_sum(const BsTotals *totals, BsStreamTotals *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (uint32_t i = 0; i < totals->nstreams; i++)
	{
		const BsStreamTotals *one = &totals->streams[i];

		sums_add(&sum->sums, &one->sums);
		sum->datagrams += one->datagrams;
		sum->payload_bytes += one->payload_bytes;
		sum->option_records += one->option_records;
		sum->template_datagrams += one->template_datagrams;
		sum->records_lost += one->records_lost;
		sum->datagrams_lost += one->datagrams_lost;
		sum->records_lost_tail += one->records_lost_tail;
		sum->datagrams_lost_tail += one->datagrams_lost_tail;
		if (one->sums.records == 0)
			continue;
		if (sum->first_end_msec == 0 || one->first_end_msec < sum->first_end_msec)
			sum->first_end_msec = one->first_end_msec;
		if (one->last_end_msec > sum->last_end_msec)
			sum->last_end_msec = one->last_end_msec;
	}
}

static int
window_compare(const void *left, const void *right)
{
	const BsWindowSums *a = left;
	const BsWindowSums *b = right;

	return (a->start_secs > b->start_secs) - (a->start_secs < b->start_secs);
}

BsWindowSums *
bs_totals_windows(const BsTotals *totals, uint32_t width_secs, uint32_t *nwindows)
{
	BsWindowSums *list = calloc(totals->nwindows + 1, sizeof(*list));
	uint32_t n = 0;
	uint32_t kept = 0;

	*nwindows = 0;
	if (list == NULL)
		return NULL;
	for (uint32_t i = 0; i < totals->nslots; i++)
	{
		if (totals->windows[i].sums.records == 0)
			continue;
		list[n] = totals->windows[i];
		list[n].start_secs = floor_to(list[n].start_secs, width_secs);
		n++;
	}
	qsort(list, n, sizeof(*list), window_compare);
	for (uint32_t i = 0; i < n; i++)
	{
		if (kept > 0 && list[kept - 1].start_secs == list[i].start_secs)
			sums_add(&list[kept - 1].sums, &list[i].sums);
		else
			list[kept++] = list[i];
	}
	*nwindows = kept;
	return list;
}

uint32_t
bs_totals_distinct(const BsTotals *totals, uint32_t n)
{
	uint32_t modulus = n == 0 ? totals->nflows : n;
	uint32_t *bits = calloc(modulus / 32 + 1, sizeof(*bits));
	uint32_t count = 0;

	if (bits == NULL)
		return 0;
	for (uint32_t k = 0; k < totals->nflows; k++)
	{
		uint32_t i = k % modulus;

		if ((totals->seen[k / 32] >> (k % 32) & 1) == 0 || (bits[i / 32] >> (i % 32) & 1) != 0)
			continue;
		bits[i / 32] |= 1u << (i % 32);
		count++;
	}
	free(bits);
	return count;
}
