/* SPDX-License-Identifier: PostgreSQL */
/* windowfuncs.h: what hop() means: shared by the function over tables and the views whose window it is. */
#ifndef BS_WINDOWFUNCS_H
#define BS_WINDOWFUNCS_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "backstream.h"
#include "engine/window.h"

/* Windows are aligned to a Monday, 2000-01-03 00:00 UTC, as those of tumble(). */
#define BS_WINDOW_ORIGIN (2 * USECS_PER_DAY)

#define BS_HOP_HINT \
	"The arguments are the time, how often a window starts, and how long it is: hop(t, '10 s', '1 min')."

/* The widest window of spread(): 3600 of them are still a time. */
#define BS_MAX_SPREAD_USEC (INT64CONST(366) * USECS_PER_DAY)

/* The longest duration that spread() takes a flow to have; 0: no bound of ours. */
static inline int64
bs_max_flow_usec(void)
{
	return (int64) bs_setting_max_flow_duration_sec * USECS_PER_SEC;
}

/* The length of an interval in microseconds; false: it is not fixed, or not more than zero. */
extern bool bs_window_width(const Interval *interval, int64 *usec);

/* The windows of hop(t, slide, size), both more than zero.  NULL, or what is wrong with them. */
extern const char *bs_hop_windowing(int64 slide_usec, int64 size_usec, BsWindowing *windowing);

#endif
