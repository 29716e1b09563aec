/* SPDX-License-Identifier: PostgreSQL */
/*
 * flow_names.h: the flows of a generated population by their addresses, to find which one a record is of.
 */
#ifndef BS_FLOW_NAMES_H
#define BS_FLOW_NAMES_H

#include <stdlib.h>
#include <string.h>

#include "../../receiver/tools/generate.h"

typedef struct FlowName
{
	uint8_t src[16];
	uint8_t dst[16];
	uint32_t k;
} FlowName;

static inline int
name_compare(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

/* Of all flows, sorted; malloc'ed. */
static inline FlowName *
names_of(const BsPopulation *population)
{
	FlowName *names = calloc(population->nflows, sizeof(*names));

	for (uint32_t k = 0; k < population->nflows; k++)
	{
		BsExportFlow flow;

		bs_population_flow(population, k, &flow);
		memcpy(names[k].src, flow.src_addr, 16);
		memcpy(names[k].dst, flow.dst_addr, 16);
		names[k].k = k;
	}
	qsort(names, population->nflows, sizeof(*names), name_compare);
	return names;
}

#endif
