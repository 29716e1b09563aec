/* SPDX-License-Identifier: PostgreSQL */
/* samples.c: flow samples that are missing.  See samples.h. */
#include "samples.h"

#include "sequence.h"

#include <stddef.h>

/* A sample that is further behind is no late one. */
#define MAX_LATE 1024

/* The place of a data source, its own or a free one; NULL when all are others'. */
static BsSampleSource *
source_of(BsSampleTable *table, uint64_t id)
{
	/* Fibonacci hashing: interface numbers are often dense or multiples of a power of two. */
	uint64_t home = id * UINT64_C(0x9E3779B97F4A7C15) >> 32;

	for (uint32_t i = 0; i < BS_SAMPLE_SOURCES; i++)
	{
		BsSampleSource *source = &table->sources[(home + i) % BS_SAMPLE_SOURCES];

		if (source->id == id || source->id == 0)
			return source;
	}
	return NULL;
}

int64_t
bs_samples_take(BsSampleTable *table, uint64_t data_source, uint32_t number)
{
	BsSampleSource *source = source_of(table, data_source + 1);
	uint32_t ahead;

	if (source == NULL)
		return 0;
	ahead = number - source->next;
	if (source->id != 0 && ahead > INT32_MAX && source->next - number <= MAX_LATE)
	{
		if (source->missing == 0)
			return 0;
		source->missing--;
		return -1;
	}
	if (source->id == 0 || ahead > BS_SEQUENCE_MAX_GAP)
		ahead = 0;
	source->missing = ahead > 0 ? ahead : source->missing;
	source->id = data_source + 1;
	source->next = number + 1;
	return ahead;
}
