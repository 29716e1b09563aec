/* SPDX-License-Identifier: PostgreSQL */
/*
 * outages.h: when this server was down, so that windows of then can say that they lack something; and over restarts.
 *
 * In the file pg_backstream/outages (docs/formats.md), and in BsSharedCheckpoint.
 */
#ifndef BS_OUTAGES_H
#define BS_OUTAGES_H

#include "engine/spans.h"

/* Those that this server knows of: of before it was started, and until it was up. */
extern void bs_outages_known(BsSpans *outages);

/* The keeper, at start: what was written, if anything was; false: there is a file of which *problem is said. */
extern bool bs_outages_read(BsSpans *outages, const char **problem);

/*
 * The keeper, each turn and at its end: write them if there is another one, which has not failed before or is to be tried
 * again.  Returns 0 or an errno, and raises nothing.
 */
extern int bs_outages_write(bool again);

#endif
