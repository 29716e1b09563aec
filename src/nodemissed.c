/* SPDX-License-Identifier: PostgreSQL */
/* nodemissed.c: windows that a node has counted in part only: which, and what is said of them.  See noderead.h. */
#include "backstream.h"

#include "utils/timestamp.h"

#include "noderead.h"

/* The first window of a node that starts then or later. */
static int
lower_bound(const BsNodePart *part, int64 window)
{
	int from = 0;
	int to = part->nwindows;

	while (from < to)
	{
		int middle = from + (to - from) / 2;

		if (part->windows[middle].window < window)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* It began to count when the window had begun, and another one had been counting before: it is new, or begins anew. */
static bool
began_late(const BsNodeReading *reading, const BsNodePart *part, int64 window)
{
	return part->extent.since > window && reading->first_since <= window;
}

/* When it was down while one of these windows was open there; NULL: it was not. */
static const BsSpan *
outage_in(const BsNodeReading *reading, const BsNodePart *part, int64 first, int64 last)
{
	return bs_spans_find(&part->extent.outages, first, bs_window_end(&reading->view->program.windowing, last));
}

/* It was down for a time while one of these windows was open there. */
static bool
was_down(const BsNodeReading *reading, const BsNodePart *part, int64 first, int64 last)
{
	if (part->extent.outages.n == 0)
		return false;
	if (outage_in(reading, part, first, last) != NULL)
		return true;
	for (int i = lower_bound(part, first); i < part->nwindows && part->windows[i].window <= last;
		 i++)
		if (part->windows[i].gap)
			return true;
	return false;
}

/* Times of records say nothing of when they were counted where they are not of now. */
static bool
can_tell_missed(const BsNodeReading *reading, const BsNodePart *part)
{
	return !part->left_out && reading->view->program.windowed &&
		   reading->def->options.clock == BS_CLOCK_WALL;
}

bool
bs_node_reading_missed(const BsNodeReading *reading, const BsNodePart *part, int64 window)
{
	return can_tell_missed(reading, part) &&
		   (began_late(reading, part, window) || was_down(reading, part, window, window));
}

bool
bs_node_reading_missed_span(const BsNodeReading *reading, const BsNodePart *part, int64 window, BsSpan span)
{
	if (!can_tell_missed(reading, part))
		return false;
	if (began_late(reading, part, span.since) || bs_spans_find(&part->extent.outages, span.since, span.until) != NULL)
		return true;
	/* A gap of the window that no outage explains may be anywhere in it. */
	return outage_in(reading, part, window, window) == NULL && was_down(reading, part, window, window);
}

void
bs_node_reading_nodes(const BsNodeReading *reading, int64 window, int *expected, int *answered)
{
	*expected = reading->nparts;
	*answered = 0;
	for (int i = 0; i < reading->nparts; i++)
		if (!reading->parts[i].left_out && !bs_node_reading_missed(reading, &reading->parts[i], window))
			(*answered)++;
}

/* Once for each node.  outage: when it was down; NULL: it began late. */
static void
report_missed(const BsNodeReading *reading, BsNodePart *part, const BsSpan *outage)
{
	bool partial = reading->failure == BS_NODE_FAILURE_PARTIAL;
	bool late = outage == NULL;
	char *since = pstrdup(timestamptz_to_str(late ? part->extent.since : outage->since));
	const char *until = late ? "" : timestamptz_to_str(outage->until);

	part->warned = true;
	ereport(
		partial ? WARNING : ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("windows of continuous view \"%s\" lack what node \"%s\" %s%s", reading->def->name,
				part->node->name, late ? "counted before " : "did not count while it was down",
				late ? since : ""),
		 late ? errdetail("The node was started then, or the view made there.")
			  : errdetail("It was down from %s to %s.", since, until),
		 partial ? 0
				 : errhint("Read windows from then on, or set on_node_failure to partial; "
						   "backstream.windows() tells which are complete.")));
}

void
bs_node_reading_check_missed(BsNodeReading *reading, int64 first, int64 last)
{
	for (int i = 0; i < reading->nparts; i++)
	{
		BsNodePart *part = &reading->parts[i];
		const BsSpan *outage;

		if (part->warned || !can_tell_missed(reading, part))
			continue;
		/* A window's own gap is of the last time. */
		outage = outage_in(reading, part, first, last);
		if (outage == NULL && part->extent.outages.n > 0)
			outage = &part->extent.outages.of[part->extent.outages.n - 1];
		if (began_late(reading, part, first))
			report_missed(reading, part, NULL);
		else if (was_down(reading, part, first, last))
			report_missed(reading, part, outage);
	}
}

void
bs_node_reading_mark_gaps(BsNodeReading *reading)
{
	for (int i = 0; i < reading->nparts; i++)
	{
		const BsNodePart *part = &reading->parts[i];

		if (!can_tell_missed(reading, part) || part->extent.outages.n == 0)
			continue;
		for (int w = 0; w < reading->nwindows; w++)
			reading->windows[w].gap |=
				was_down(reading, part, reading->windows[w].window, reading->windows[w].window);
	}
}
