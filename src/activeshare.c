/* SPDX-License-Identifier: PostgreSQL */
/*
 * activeshare.c: what the views over a stream have in common, for the process that runs them.  See
 * active.h, and engine/share.h for what is shared.
 *
 * Found at the first batch after the views have changed.  A share refers to the views' programs, so all
 * are dropped before any program is.
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

static StreamShare *
share_make(Oid stream, bool with_groups)
{
	StreamShare *share = MemoryContextAllocZero(TopMemoryContext, sizeof(StreamShare));
	uint32 nviews = 0;
	BsProgram **programs;

	for (BsActiveView *view = bs_active_first(stream); view != NULL; view = bs_active_next(view))
		nviews++;
	programs = palloc(sizeof(BsProgram *) * (nviews + 1));
	nviews = 0;
	for (BsActiveView *view = bs_active_first(stream); view != NULL; view = bs_active_next(view))
		/* One over slices has batches of its own. */
		if (view->compiled->spread == NULL)
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
