/* SPDX-License-Identifier: PostgreSQL */
/*
 * window.h: panes and windows: which piece of time a record falls into, and where a window ends.
 *
 * A *pane* is the piece of time that a partial keeps a table for; each record is added to exactly one.  A
 * *window* is what a view has rows of: a run of panes, merged by whoever reads.  Both are known by their
 * starts, and half-open: [start, end).
 *
 *   tumbling    one pane each:       |--W--|--W--|--W--|
 *   hopping     a run of panes:      |--------W--------|
 *               (size 3, slide 1)          |--------W--------|
 *               panes                |--p--|--p--|--p--|--p--|
 *
 * A window is closed when the watermark has reached its end; a pane takes no more records once the first
 * window over it has closed, so that a closed window never changes.  A pane can go when the last window over
 * it has gone.
 *
 * All times are microseconds since PostgreSQL's epoch; BS_TIME_NEG_INFINITY and BS_TIME_INFINITY stay what
 * they are.
 */
#ifndef BS_WINDOW_H
#define BS_WINDOW_H

#include "types.h"

/* The most panes that a window may be made of: what a reader merges for one row. */
#define BS_MAX_PANES_PER_WINDOW 3600

typedef struct BsWindowing
{
	int64_t pane_usec;  /* width of a pane */
	int64_t slide_usec; /* from the start of a window to that of the next: a multiple of pane_usec */
	int64_t size_usec;  /* of a window: a multiple of pane_usec, not less than slide_usec */
	int64_t origin;     /* a start of a window */
} BsWindowing;

static inline BsWindowing
bs_windowing_tumble(int64_t width_usec, int64_t origin)
{
	return (BsWindowing){width_usec, width_usec, width_usec, origin};
}

/* With panes as wide as they can be: the greatest common divisor. */
static inline BsWindowing
bs_windowing_of(int64_t slide_usec, int64_t size_usec, int64_t origin)
{
	int64_t pane = slide_usec;

	for (int64_t rest = size_usec; rest != 0;)
	{
		int64_t next = pane % rest;

		pane = rest;
		rest = next;
	}
	return (BsWindowing){pane, slide_usec, size_usec, origin};
}

static inline int64_t
bs_time_plus(int64_t time, int64_t usec)
{
	int64_t result;

	if (time == BS_TIME_NEG_INFINITY || time == BS_TIME_INFINITY)
		return time;
	if (__builtin_add_overflow(time, usec, &result))
		return usec < 0 ? BS_TIME_NEG_INFINITY : BS_TIME_INFINITY;
	return result;
}

/* The last of the times origin + n * step that is not after a time. */
static inline int64_t
bs_time_floor(int64_t time, int64_t step_usec, int64_t origin)
{
	int64_t from_origin;
	int64_t rest;

	/* Within PostgreSQL's range of timestamps a difference fits 64 bits. */
	if (__builtin_sub_overflow(time, origin, &from_origin))
		return time;
	rest = from_origin % step_usec;
	if (rest < 0)
		rest += step_usec;
	return time - rest;
}

/* The pane that a time falls into. */
static inline int64_t
bs_pane_start(const BsWindowing *windowing, int64_t time)
{
	return bs_time_floor(time, windowing->pane_usec, windowing->origin);
}

/* The last window that a time falls into. */
static inline int64_t
bs_window_start(const BsWindowing *windowing, int64_t time)
{
	return bs_time_floor(time, windowing->slide_usec, windowing->origin);
}

/* Where a window ends: the first time that is no longer in it. */
static inline int64_t
bs_window_end(const BsWindowing *windowing, int64_t window)
{
	return bs_time_plus(window, windowing->size_usec);
}

/* The window after a window. */
static inline int64_t
bs_window_next(const BsWindowing *windowing, int64_t window)
{
	return bs_time_plus(window, windowing->slide_usec);
}

/* The first window that ends after a time: of those over a pane, when the time is the pane's start. */
static inline int64_t
bs_window_first_after(const BsWindowing *windowing, int64_t time)
{
	if (time == BS_TIME_NEG_INFINITY || time == BS_TIME_INFINITY)
		return time;
	return bs_window_next(windowing,
						  bs_window_start(windowing, bs_time_plus(time, -windowing->size_usec)));
}

/*
 * With all windows that start before closed_before closed, panes that start before this take no more
 * records.
 */
static inline int64_t
bs_panes_closed_before(const BsWindowing *windowing, int64_t closed_before)
{
	return bs_time_plus(closed_before, windowing->size_usec - windowing->slide_usec);
}

/* The first window that does not start before a time: panes before it are not needed for what does not. */
static inline int64_t
bs_window_from(const BsWindowing *windowing, int64_t time)
{
	if (time == BS_TIME_NEG_INFINITY || time == BS_TIME_INFINITY)
		return time;
	return bs_window_start(windowing, bs_time_plus(time, windowing->slide_usec - 1));
}

#endif
