/* SPDX-License-Identifier: PostgreSQL */
/*
 * rolling.h: views with WITH (window = ..., slide = ... [, time_column = ...]): as of now, the records of
 * (b - window, b], where b is now, by the view's clock, taken down to a multiple of slide.
 *
 * To the engine it is a view with panes (engine/window.h), as wide as the greatest common divisor of window
 * and slide.  Times are whole microseconds, so that an interval that is open on the left is one that begins
 * a microsecond later: that is the origin of its panes.  Nothing closes; panes go when they are older than
 * the window.  To users it is a view without windows, whose answer changes with the clock.
 */
#ifndef BS_ROLLING_H
#define BS_ROLLING_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/parsenodes.h"

#include "native.h"
#include "options.h"
#include "refuse.h"

/* One microsecond: see above. */
#define BS_ROLLING_ORIGIN INT64CONST(1)

static inline bool
bs_is_rolling(const BsViewOptions *options)
{
	return options->window_usec > 0;
}

/*
 * Note in an analysed query over a stream that it reads the time column, which its text does not name:
 * for privileges and dependencies.
 */
extern void bs_rolling_mark(Query *query, const BsViewOptions *options);

/* The panes of a rolling view over a stream; raises an error when its options are not right for that. */
extern void bs_rolling_form(Oid stream, Index varno, const BsViewOptions *options,
							const BsPlace *place, BsWindowForm *form);

/* b - window, as the start of its first pane, at a time of the view's clock. */
static inline int64
bs_rolling_start(const BsWindowing *windowing, int64 now)
{
	return bs_time_plus(bs_time_floor(now, windowing->slide_usec, windowing->origin - BS_ROLLING_ORIGIN),
						BS_ROLLING_ORIGIN - windowing->size_usec);
}

#endif
