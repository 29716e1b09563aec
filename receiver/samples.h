/* SPDX-License-Identifier: PostgreSQL */
/*
 * samples.h: flow samples that are missing, by their sequence numbers (item 35).
 *
 * An sFlow agent numbers the flow samples of each data source (interface) on its own.  A number ahead
 * of the expected one is a loss, on the way or in the agent; one that is a little behind has come late
 * and is taken back; one far behind: the agent began anew.
 *
 * Bound: BS_SAMPLE_SOURCES data sources for each sub-agent; beyond them samples are not followed.
 */
#ifndef BS_SAMPLES_H
#define BS_SAMPLES_H

#include <stdint.h>

#define BS_SAMPLE_SOURCES 256 /* a power of two */

typedef struct BsSampleSource
{
	uint64_t id; /* the data source + 1; 0: not in use */
	uint32_t next;
	uint32_t missing; /* counted as lost and perhaps still on their way */
} BsSampleSource;

typedef struct BsSampleTable
{
	BsSampleSource sources[BS_SAMPLE_SOURCES];
} BsSampleTable;

/* Take a sample: how many more are lost; -1 when one that had been counted came late. */
extern int64_t bs_samples_take(BsSampleTable *table, uint64_t data_source, uint32_t number);

#endif
