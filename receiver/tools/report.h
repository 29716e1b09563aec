/* SPDX-License-Identifier: PostgreSQL */
/* report.h: the generator's totals as files.  Formats: docs/tools.md. */
#ifndef BS_REPORT_H
#define BS_REPORT_H

#include "generate.h"

#include <stdio.h>

/* What the generator core does not know. */
typedef struct BsReportFacts
{
	double elapsed_secs;
	double slipped_secs; /* the schedule was moved back by so much, as the sender fell behind */
	uint64_t refused;    /* datagrams that nobody listened for, as far as known */
	/* Text of the address of exporter e, in a static buffer. */
	const char *(*exporter_name)(const void *context, uint32_t exporter);
	const void *context;
} BsReportFacts;

/* All totals as one JSON object. */
extern void bs_report_json(FILE *file, const BsGenerateConfig *config, BsGenerator *generator,
						   const BsReportFacts *facts);

/* One line per flow that was sent, tab-separated, with a heading. */
extern void bs_report_flows(FILE *file, BsGenerator *generator);

#endif
