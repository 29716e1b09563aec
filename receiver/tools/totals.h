/* SPDX-License-Identifier: PostgreSQL */
/*
 * totals.h: what the generator sent, in sums that a view can be compared with exactly.
 *
 * Counts cover data records of datagrams that were handed over to be sent; what was left out on
 * purpose (--loss) is in the lost counts.  A loss shows in sequence numbers only when another
 * datagram of the same stream follows: until then it is in the tail counts.
 */
#ifndef BS_TOTALS_H
#define BS_TOTALS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define BS_TOTALS_WINDOW_SECS 10
#define BS_TOTALS_LONG_SECS   300
/* Windows of ten seconds kept: beyond them records count as outside_windows. */
#define BS_TOTALS_MAX_WINDOWS (1u << 20)

typedef struct BsSums
{
	uint64_t records;
	uint64_t bytes;
	uint64_t packets;
} BsSums;

typedef struct BsWindowSums
{
	int64_t start_secs; /* Unix time; a multiple of BS_TOTALS_WINDOW_SECS */
	BsSums sums;        /* records == 0: free slot */
} BsWindowSums;

/* One exporter address and domain. */
typedef struct BsStreamTotals
{
	BsSums sums;
	uint64_t datagrams; /* all that were sent, templates among them */
	uint64_t payload_bytes;
	uint64_t option_records;
	uint64_t template_datagrams;
	uint64_t records_lost; /* shown by the sequence: IPFIX, v5 */
	uint64_t datagrams_lost;
	uint64_t records_lost_tail;
	uint64_t datagrams_lost_tail;
	int64_t first_end_msec; /* Unix time; first and highest end of a flow */
	int64_t last_end_msec;
} BsStreamTotals;

typedef struct BsTotals
{
	uint32_t nstreams;
	BsStreamTotals *streams; /* [nstreams] */
	BsSums outside_windows;

	BsWindowSums *windows; /* open addressing by start */
	uint32_t nslots;       /* a power of two */
	uint32_t nwindows;

	uint32_t nflows;
	uint32_t *seen;  /* bit per flow */
	BsSums *by_flow; /* [nflows], or NULL */
} BsTotals;

/* NULL when memory is out. */
extern BsTotals *bs_totals_create(uint32_t nstreams, uint32_t nflows, bool by_flow);
extern void bs_totals_free(BsTotals *totals);

/* Add sums of flows that all ended in the window of ten seconds that holds end_msec. */
extern void bs_totals_add_window(BsTotals *totals, int64_t end_msec, const BsSums *sums);

/* All streams together. */
extern void bs_totals_sum(const BsTotals *totals, BsStreamTotals *sum);

/* The windows of width_secs (a multiple of ten), ordered by start; *nwindows of them, to be freed.
 */
extern BsWindowSums *bs_totals_windows(const BsTotals *totals, uint32_t width_secs,
									   uint32_t *nwindows);

/* Distinct values of flow number modulo n among the flows sent; n is 0: among all flows. */
extern uint32_t bs_totals_distinct(const BsTotals *totals, uint32_t n);

static inline void
bs_totals_flow(BsTotals *totals, uint32_t k, uint32_t bytes, uint32_t packets)
{
	totals->seen[k / 32] |= 1u << (k % 32);
	if (totals->by_flow != NULL)
	{
		totals->by_flow[k].records++;
		totals->by_flow[k].bytes += bytes;
		totals->by_flow[k].packets += packets;
	}
}

#endif
