/* SPDX-License-Identifier: PostgreSQL */
/* spans.c: a bounded list of spans of time.  See spans.h. */
#include "spans.h"

#include <stddef.h>
#include <string.h>

/* Of those that follow each other, the two with the least time between them become one. */
static void
merge_nearest(BsSpans *spans)
{
	uint32_t nearest = 0;

	for (uint32_t i = 1; i + 1 < spans->n; i++)
		if (spans->of[i + 1].since - spans->of[i].until <
			spans->of[nearest + 1].since - spans->of[nearest].until)
			nearest = i;
	spans->of[nearest].until = spans->of[nearest + 1].until;
	spans->n--;
	memmove(&spans->of[nearest + 1], &spans->of[nearest + 2],
			sizeof(BsSpan) * (spans->n - nearest - 1));
}

void
bs_spans_add(BsSpans *spans, BsSpan span)
{
	while (spans->n > 0 && spans->of[spans->n - 1].until >= span.since)
	{
		const BsSpan *last = &spans->of[--spans->n];

		if (last->since < span.since)
			span.since = last->since;
		if (last->until > span.until)
			span.until = last->until;
	}
	if (spans->n == BS_MAX_SPANS)
		merge_nearest(spans);
	spans->of[spans->n++] = span;
}

void
bs_spans_begin(BsSpans *spans, int64_t start)
{
	uint32_t nbefore = 0;

	while (nbefore < spans->n && spans->of[nbefore].until <= start)
		nbefore++;
	spans->n -= nbefore;
	memmove(spans->of, spans->of + nbefore, sizeof(BsSpan) * spans->n);
	if (spans->n > 0 && spans->of[0].since < start)
		spans->of[0].since = start;
}

const BsSpan *
bs_spans_find(const BsSpans *spans, int64_t start, int64_t end)
{
	for (uint32_t i = 0; i < spans->n; i++)
		if (start < spans->of[i].until && end > spans->of[i].since)
			return &spans->of[i];
	return NULL;
}
