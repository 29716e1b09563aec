/* SPDX-License-Identifier: PostgreSQL */
/*
 * spans.h: a bounded list of spans of time, for what is known to be missing.
 *
 * In order of time, and no two of them touch.  There are BS_MAX_SPANS at most: of more, the two with the least time between them
 * become one, so that too much is said to be missing, and never too little.  Owns nothing.
 */
#ifndef BS_SPANS_H
#define BS_SPANS_H

#include <stdint.h>

#define BS_MAX_SPANS 32

/* [since, until), microseconds. */
typedef struct BsSpan
{
	int64_t since;
	int64_t until;
} BsSpan;

typedef struct BsSpans
{
	uint32_t n;
	BsSpan of[BS_MAX_SPANS];
} BsSpans;

/* One that ends after all that are there: those that it touches become one with it. */
extern void bs_spans_add(BsSpans *spans, BsSpan span);

/* What is before this is forgotten, also of one that goes on after it. */
extern void bs_spans_begin(BsSpans *spans, int64_t start);

/* The first that falls into [start, end); NULL: none does. */
extern const BsSpan *bs_spans_find(const BsSpans *spans, int64_t start, int64_t end);

#endif
