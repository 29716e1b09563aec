/* SPDX-License-Identifier: PostgreSQL */
/*
 * feed.c: the rows that a transaction puts into streams, kept until it commits.  See feed.h.
 *
 * Rollback to a savepoint: a tuplestore cannot be cut, so the rows of an aborted subtransaction are
 * noted as a range to skip.  Notes cost 16 bytes per rolled-back block that put rows, fewer when
 * they are adjacent, and none when nothing but rolled-back rows is left: then the tuplestore starts
 * anew.
 */
#include "backstream.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "delta.h"
#include "feed.h"

/* All feeds of the current top transaction; lies in its own context. */
typedef struct Transaction
{
	MemoryContext context;
	List *feeds;           /* of BsFeed, oldest first */
	bool applying;         /* PRE_COMMIT has begun: rows that come now would be lost */
	MemoryContext scratch; /* for one row */
} Transaction;

static Transaction *transaction = NULL;

static Transaction *
transaction_begin(void)
{
	MemoryContext context = AllocSetContextCreate(
		TopTransactionContext, "BackStream rows of a transaction", ALLOCSET_DEFAULT_SIZES);
	Transaction *result = MemoryContextAllocZero(context, sizeof(Transaction));

	result->context = context;
	result->scratch = AllocSetContextCreate(context, "BackStream row", ALLOCSET_SMALL_SIZES);
	return result;
}

static void
columns_note_varlena(BsFeed *feed)
{
	feed->varlena = palloc(sizeof(int) * feed->desc->natts);
	for (int i = 0; i < feed->desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(feed->desc, i);

		if (column->attlen == -1 && !column->attisdropped)
			feed->varlena[feed->nvarlena++] = i;
	}
}

static BsFeed *
feed_create(Relation stream)
{
	MemoryContext caller = MemoryContextSwitchTo(transaction->context);
	BsFeed *feed = palloc0(sizeof(BsFeed));

	feed->stream = RelationGetRelid(stream);
	feed->desc = CreateTupleDescCopyConstr(RelationGetDescr(stream));
	feed->context = AllocSetContextCreate(transaction->context, "BackStream rows of a stream",
										  ALLOCSET_DEFAULT_SIZES);
	columns_note_varlena(feed);
	transaction->feeds = lappend(transaction->feeds, feed);
	MemoryContextSwitchTo(caller);
	return feed;
}

BsFeed *
bs_feed_open(Relation stream)
{
	if (transaction == NULL)
		transaction = transaction_begin();
	for (int i = list_length(transaction->feeds) - 1; i >= 0; i--)
	{
		BsFeed *feed = list_nth(transaction->feeds, i);

		if (feed->stream == RelationGetRelid(stream) &&
			equalTupleDescs(feed->desc, RelationGetDescr(stream)))
			return feed;
	}
	return feed_create(stream);
}

/*
 * A temporary file belongs to the resource owner that was current when the tuplestore was made.
 * This one outlives the statement and its subtransaction, and can be released alone.
 */
static void
rows_begin(BsFeed *feed)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext caller = MemoryContextSwitchTo(feed->context);

	if (feed->owner == NULL)
		feed->owner = ResourceOwnerCreate(TopTransactionResourceOwner, "BackStream rows");
	CurrentResourceOwner = feed->owner;
	feed->rows = tuplestore_begin_heap(false, false, work_mem);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(caller);
}

/* Before the end of a transaction, which would complain of a temporary file that is left. */
static void
rows_end(BsFeed *feed)
{
	if (feed->rows == NULL)
		return;
	if (!feed->writing)
		tuplestore_end(feed->rows);
	else
	{
		/* Broken: ending it might write once more, and fail once more. */
		ResourceOwnerRelease(feed->owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
		ResourceOwnerRelease(feed->owner, RESOURCE_RELEASE_LOCKS, false, false);
		ResourceOwnerRelease(feed->owner, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
		MemoryContextReset(feed->context);
		feed->writing = false;
	}
	feed->rows = NULL;
}

/* Nothing but rolled-back rows is left. */
static void
rows_restart(BsFeed *feed)
{
	if (!feed->writing)
		tuplestore_clear(feed->rows);
	else
	{
		rows_end(feed);
		rows_begin(feed);
	}
	feed->nrows = feed->nskipped = 0;
	feed->nskip = 0;
	for (int i = 0; i < feed->nlevels; i++)
		feed->levels[i].first = 0;
}

static void
level_note(BsFeed *feed)
{
	SubTransactionId subid = GetCurrentSubTransactionId();

	if (subid == TopSubTransactionId ||
		(feed->nlevels > 0 && feed->levels[feed->nlevels - 1].subid == subid))
		return;
	if (feed->nlevels == feed->levels_capacity)
	{
		int capacity = Max(8, feed->levels_capacity * 2);

		feed->levels =
			feed->levels ? repalloc_huge(feed->levels, sizeof(BsFeedLevel) * capacity)
						 : MemoryContextAlloc(transaction->context, sizeof(BsFeedLevel) * capacity);
		feed->levels_capacity = capacity;
	}
	if (feed->nskip + feed->nlevels + 1 > feed->skip_capacity)
	{
		int capacity = Max(16, feed->skip_capacity * 2);

		feed->skip = feed->skip
						 ? repalloc_huge(feed->skip, sizeof(BsFeedRange) * capacity)
						 : MemoryContextAlloc(transaction->context, sizeof(BsFeedRange) * capacity);
		feed->skip_capacity = capacity;
	}
	feed->levels[feed->nlevels++] = (BsFeedLevel){.subid = subid, .first = feed->nrows};
}

/* An error while a row was written (no space, say), caught by the user, leaves the rows unreadable.
 */
static void
check_unbroken(const BsFeed *feed)
{
	if (feed->writing)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("rows for stream \"%s\" were lost by an earlier error",
							   get_rel_name(feed->stream)),
						errdetail("A row could not be kept, and with it those before it."),
						errhint("Roll the whole transaction back.")));
}

static void
put_begin(BsFeed *feed)
{
	if (transaction->applying)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_STATE),
						errmsg("cannot insert into stream \"%s\" while the transaction commits",
							   get_rel_name(feed->stream))));
	if (feed->rows == NULL)
		rows_begin(feed);
	else if ((feed->nrows > 0 || feed->writing) && feed->nrows == feed->nskipped)
		rows_restart(feed);
	else
		check_unbroken(feed);
	level_note(feed);
	feed->writing = true;
}

static void
put_end(BsFeed *feed)
{
	feed->writing = false;
	feed->nrows++;
}

/* A value that lies elsewhere (TOAST, an array being worked on) may be gone when the rows are read.
 */
static bool
is_elsewhere(Datum value)
{
	return VARATT_IS_EXTERNAL(DatumGetPointer(value));
}

static bool
slot_has_elsewhere(const BsFeed *feed, TupleTableSlot *slot)
{
	if (feed->nvarlena == 0)
		return false;
	slot_getallattrs(slot);
	for (int i = 0; i < feed->nvarlena; i++)
	{
		int column = feed->varlena[i];

		if (!slot->tts_isnull[column] && is_elsewhere(slot->tts_values[column]))
			return true;
	}
	return false;
}

/* The slot's values, those that lie elsewhere fetched. */
static Datum *
slot_fetch(const BsFeed *feed, TupleTableSlot *slot)
{
	Datum *values = palloc(sizeof(Datum) * feed->desc->natts);

	memcpy(values, slot->tts_values, sizeof(Datum) * feed->desc->natts);
	for (int i = 0; i < feed->nvarlena; i++)
	{
		int column = feed->varlena[i];

		if (!slot->tts_isnull[column] && is_elsewhere(values[column]))
			values[column] = PointerGetDatum(
				detoast_external_attr((struct varlena *) DatumGetPointer(values[column])));
	}
	return values;
}

void
bs_feed_put_slot(BsFeed *feed, TupleTableSlot *slot)
{
	MemoryContext caller;

	if (!slot_has_elsewhere(feed, slot))
	{
		put_begin(feed);
		tuplestore_puttupleslot(feed->rows, slot);
		put_end(feed);
		return;
	}
	caller = MemoryContextSwitchTo(transaction->scratch);
	bs_feed_put_values(feed, slot_fetch(feed, slot), slot->tts_isnull);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(transaction->scratch);
}

void
bs_feed_put_values(BsFeed *feed, Datum *values, bool *isnull)
{
	put_begin(feed);
	tuplestore_putvalues(feed->rows, feed->desc, values, isnull);
	put_end(feed);
}

/* ---------- subtransactions ---------- */

/* Rows from first to the last one are not wanted.  There is room; this runs while aborting. */
static void
skip_from(BsFeed *feed, int64 first)
{
	BsFeedRange *last;

	/* Older ranges inside the new one are part of it. */
	while (feed->nskip > 0 && feed->skip[feed->nskip - 1].first >= first)
	{
		last = &feed->skip[--feed->nskip];
		feed->nskipped -= last->end - last->first;
	}
	if (first == feed->nrows)
		return;
	feed->nskipped += feed->nrows - first;
	last = feed->nskip > 0 ? &feed->skip[feed->nskip - 1] : NULL;
	if (last != NULL && last->end == first)
		last->end = feed->nrows;
	else
		feed->skip[feed->nskip++] = (BsFeedRange){.first = first, .end = feed->nrows};
}

static void
level_abort(BsFeed *feed, SubTransactionId subid)
{
	while (feed->nlevels > 0 && feed->levels[feed->nlevels - 1].subid >= subid)
		skip_from(feed, feed->levels[--feed->nlevels].first);
}

/* The parent takes over: its rows begin where its own entry says, or here. */
static void
level_commit(BsFeed *feed, SubTransactionId subid, SubTransactionId parent)
{
	BsFeedLevel *top = feed->nlevels > 0 ? &feed->levels[feed->nlevels - 1] : NULL;

	if (top == NULL || top->subid != subid)
		return;
	if (parent == TopSubTransactionId || (feed->nlevels > 1 && top[-1].subid == parent))
		feed->nlevels--;
	else
		top->subid = parent;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent,
					  void *arg)
{
	ListCell *cell;

	if (transaction == NULL)
		return;
	foreach (cell, transaction->feeds)
	{
		if (event == SUBXACT_EVENT_ABORT_SUB)
			level_abort(lfirst(cell), subid);
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
			level_commit(lfirst(cell), subid, parent);
	}
}

/* ---------- the end of the transaction ---------- */

static bool
has_rows(const BsFeed *feed)
{
	return feed->nrows > feed->nskipped;
}

static void
apply_all(void)
{
	TimestampTz now = bs_delta_begin();
	ListCell *cell;

	transaction->applying = true;
	PushActiveSnapshot(GetTransactionSnapshot());
	foreach (cell, transaction->feeds)
	{
		BsFeed *feed = lfirst(cell);

		if (has_rows(feed))
		{
			check_unbroken(feed);
			bs_feed_apply(feed, now);
		}
		rows_end(feed);
	}
	PopActiveSnapshot();
	/* Cursors that code of views has left open: those of the user were closed before. */
	PreCommit_Portals(false);
}

static void
refuse_prepare(void)
{
	ListCell *cell;

	foreach (cell, transaction->feeds)
	{
		BsFeed *feed = lfirst(cell);

		if (has_rows(feed))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has inserted into stream \"%s\"",
							get_rel_name(feed->stream)),
					 errdetail("Rows for streams are kept by the session until it commits.")));
		rows_end(feed);
	}
}

/* The transaction's memory goes with TopTransactionContext. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (transaction == NULL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			apply_all();
			break;
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			break;
		case XACT_EVENT_COMMIT:
			transaction = NULL;
			bs_delta_publish();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			transaction = NULL;
			bs_delta_discard();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			/* Parallel workers do not write. */
			break;
	}
}

void
bs_feed_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
