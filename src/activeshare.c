/* SPDX-License-Identifier: PostgreSQL */
/*
 * activeshare.c: what the views over a stream have in common, for the process that runs them.  See
 * active.h, and engine/share.h for what is shared.
 *
 * Found at the first batch after the views have changed.  A share refers to the views' programs, so all
 * are dropped before any program is.
 *
 * Views that differ in the windows over their panes, in what they show or hand on, or in how long they keep
 * windows, count in the same panes: the first of them leads, the others' records are added with its own.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "active.h"
#include "engine/share.h"

typedef struct StreamShare
{
	Oid stream;
	BsShare *share; /* NULL: the views have nothing in common */
	struct StreamShare *next;
} StreamShare;

static StreamShare *shares;

void
bs_active_unshare(void)
{
	while (shares != NULL)
	{
		StreamShare *share = shares;

		shares = share->next;
		bs_share_free(share->share);
		pfree(share);
	}
}

/* Options that say nothing about what is in a pane. */
static BsViewTiming
of_panes(BsViewTiming timing)
{
	memset(&timing.windowing, 0, sizeof(timing.windowing));
	timing.retain_usec = 0;
	timing.max_behind_usec = 0; /* follows the others, or says when windows close */
	timing.outputs = 0;
	return timing;
}

/* Does PostgreSQL compute the same for both, in the name of the same owner? */
static bool
same_foreign(const BsViewProgram *a, const BsViewProgram *b)
{
	if (a->nforeign != b->nforeign || !bs_computed_equal(a->computed, b->computed))
		return false;
	for (int i = 0; i < a->nforeign; i++)
		if (!bs_foreignagg_equal(a->foreign[i], b->foreign[i]))
			return false;
	return true;
}

bool
bs_active_same_panes(const BsViewProgram *a, const BsViewTiming *timing_a, const BsViewProgram *b,
					 const BsViewTiming *timing_b)
{
	BsViewTiming x = of_panes(*timing_a);
	BsViewTiming y = of_panes(*timing_b);

	/* Slices are made for each view, and rows of a view read for each. */
	return a->spread == NULL && b->spread == NULL && !a->over_view && !b->over_view &&
		   memcmp(&x, &y, sizeof(x)) == 0 && bs_share_same_panes(&a->program, &b->program, same_foreign(a, b));
}

/* Is this view's slot that of one of them?  (A slot given to another view: the first has not been taken up anew yet.) */
static bool
has_slot_of(const BsActiveView *view, const BsActiveView *sharer)
{
	while (sharer != NULL && sharer->shared != view->shared)
		sharer = sharer->next_sharer;
	return sharer != NULL;
}

/* The first of the views before this one that it can share panes with becomes its leader. */
static void
find_leader(BsActiveView *view)
{
	for (BsActiveView *other = bs_active_first(view->stream); other != view; other = bs_active_next(other))
	{
		BsActiveView *last = other;
		uint32 nsharers = 2;

		if (other->leader != NULL || has_slot_of(view, other) ||
			!bs_active_same_panes(other->compiled, &other->shared->timing, view->compiled,
														   &view->shared->timing))
			continue;
		for (; last->next_sharer != NULL; last = last->next_sharer)
			nsharers++;
		if (nsharers > BS_MAX_SHARERS)
			continue;
		last->next_sharer = view;
		view->leader = other;
		return;
	}
}

static void
find_leaders(Oid stream)
{
	for (BsActiveView *view = bs_active_first(stream); view != NULL; view = bs_active_next(view))
		view->leader = view->next_sharer = NULL;
	for (BsActiveView *view = bs_active_first(stream); view != NULL; view = bs_active_next(view))
		find_leader(view);
}

static StreamShare *
share_make(Oid stream, bool with_groups)
{
	StreamShare *share = MemoryContextAllocZero(TopMemoryContext, sizeof(StreamShare));
	uint32 nviews = 0;
	BsProgram **programs;

	find_leaders(stream);
	for (BsActiveView *view = bs_active_first(stream); view != NULL; view = bs_active_next(view))
		nviews++;
	programs = palloc(sizeof(BsProgram *) * (nviews + 1));
	nviews = 0;
	for (BsActiveView *view = bs_active_first(stream); view != NULL; view = bs_active_next(view))
		/* One over slices has batches of its own; one that is led is not run. */
		if (view->compiled->spread == NULL && view->leader == NULL)
			programs[nviews++] = &view->compiled->program;
	share->share = bs_share_create(programs, nviews, with_groups);
	pfree(programs);
	share->stream = stream;
	share->next = shares;
	shares = share;
	return share;
}

void
bs_active_begin(Oid stream, const BsBatch *batch, bool with_groups)
{
	StreamShare *share = shares;

	while (share != NULL && share->stream != stream)
		share = share->next;
	if (share == NULL)
		share = share_make(stream, with_groups);
	if (share->share != NULL)
		bs_share_begin(share->share, batch);
}

void
bs_active_end(Oid stream)
{
	for (StreamShare *share = shares; share != NULL; share = share->next)
		if (share->stream == stream && share->share != NULL)
			bs_share_end(share->share);
}
