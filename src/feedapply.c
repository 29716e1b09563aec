/* SPDX-License-Identifier: PostgreSQL */
/*
 * feedapply.c: the rows of a transaction into batches, at its commit.  See feed.h.
 *
 * Only columns that views read become lanes.  A batch is given on when it is full or its values
 * take more memory than work_mem.  The source of time of a row is the value of the column that the
 * stream's option watermark_by names.
 */
#include "backstream.h"

#include "access/relation.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "../receiver/decode.h"
#include "delta.h"
#include "feed.h"
#include "lanes.h"
#include "options.h"
#include "viewdef.h"
#include "sourcenames.h"

/* Sources that are not a hash of a value. */
#define SOURCE_NONE                                                                                \
	UINT64CONST(1) /* the stream has no watermark_by: all its rows are one source                  \
					*/
#define SOURCE_NULL UINT64CONST(2)

/* A batch of wide values need not be smaller than this, whatever work_mem is. */
#define MIN_BATCH_KB 1024

typedef struct Reader
{
	const BsFeed *feed;
	TupleDesc desc;     /* of the stream, now */
	const bool *wanted; /* [desc->natts] */
	BsBatch *batch;
	TupleTableSlot *slot;
	MemoryContext keep; /* the batch's bytes, and all else that lives for one batch */
	int source_column;  /* of the feed, counted from 0; -1: none */
	BsType source_type;
	Oid source_pg_type;
	TypeCacheEntry *source_cache;
	bool is_flow;
	TimestampTz now;
} Reader;

static void
batch_free(void *arg)
{
	bs_batch_free(arg);
}

static BsBatch *
batch_create(TupleDesc desc, const bool *wanted, int64 nrows, MemoryContext context)
{
	BsType *types = palloc(sizeof(BsType) * desc->natts);
	MemoryContextCallback *callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));
	BsBatch *batch;

	for (int i = 0; i < desc->natts; i++)
		types[i] = wanted[i] ? bs_type_of(TupleDescAttr(desc, i)->atttypid) : BS_WORD;
	batch = bs_batch_create(types, desc->natts, wanted, Min(nrows, BS_BATCH_ROWS));
	if (batch == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	callback->func = batch_free;
	callback->arg = batch;
	MemoryContextRegisterResetCallback(context, callback);
	pfree(types);
	return batch;
}

/*
 * A column that has changed its type since its rows were put cannot be read as the new one.  (One
 * that was added since is NULL; one that was dropped is not wanted.)
 */
static void
check_columns(const Reader *reader)
{
	int natts = Min(reader->desc->natts, reader->feed->desc->natts);

	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute now = TupleDescAttr(reader->desc, i);

		if (reader->wanted[i] && now->atttypid != TupleDescAttr(reader->feed->desc, i)->atttypid)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("column \"%s\" of stream \"%s\" has changed its type in a transaction "
							"that had inserted into it",
							NameStr(now->attname), get_rel_name(reader->feed->stream)),
					 errhint("Commit before changing the column.")));
	}
}

static void
source_find(Reader *reader)
{
	DefElem *option =
		bs_option_find(bs_viewdef_stored_options(reader->feed->stream), "watermark_by");
	AttrNumber attnum =
		option ? get_attnum(reader->feed->stream, defGetString(option)) : InvalidAttrNumber;

	reader->source_column = -1;
	if (attnum <= 0 || attnum > reader->feed->desc->natts)
		return;
	reader->source_column = attnum - 1;
	reader->source_pg_type = TupleDescAttr(reader->feed->desc, attnum - 1)->atttypid;
	reader->source_type = bs_type_of(reader->source_pg_type);
	reader->source_cache = lookup_type_cache(
		reader->source_pg_type, TYPECACHE_HASH_EXTENDED_PROC | TYPECACHE_HASH_EXTENDED_PROC_FINFO);
}

/* Equal values have equal numbers; of a type without a hash function all values are one source. */
static uint64
row_source(const Reader *reader, TupleTableSlot *slot)
{
	int column = reader->source_column;
	BsValue value;
	uint64 source;

	if (column < 0)
		return SOURCE_NONE;
	if (slot->tts_isnull[column])
		return SOURCE_NULL;
	if (reader->source_type == BS_INET)
	{
		/* As the receivers number them. */
		value =
			bs_value_from_datum(BS_INET, reader->source_pg_type, slot->tts_values[column], NULL);
		source = bs_exporter_source(&value.inet);
		bs_source_names_note(source, &value.inet);
	}
	else if (OidIsValid(reader->source_cache->hash_extended_proc))
		source = DatumGetUInt64(
			FunctionCall2Coll(&reader->source_cache->hash_extended_proc_finfo,
							  TupleDescAttr(reader->feed->desc, column)->attcollation,
							  slot->tts_values[column], Int64GetDatum(0)));
	else
		return SOURCE_NONE;
	return source != 0 ? source : SOURCE_NULL + 1;
}

/* What a record of backstream.flow is never without. */
static void
flow_complete(const Reader *reader, TupleTableSlot *slot)
{
	static const int fallback[] = {BS_FLOW_TIME_FLOW_END, BS_FLOW_TIME_EXPORT,
								   BS_FLOW_TIME_RECEIVED};

	if (slot->tts_isnull[BS_FLOW_TIME_RECEIVED])
	{
		slot->tts_values[BS_FLOW_TIME_RECEIVED] = TimestampTzGetDatum(reader->now);
		slot->tts_isnull[BS_FLOW_TIME_RECEIVED] = false;
	}
	for (size_t i = 0; slot->tts_isnull[BS_FLOW_TIME_EVENT] && i < lengthof(fallback); i++)
	{
		if (slot->tts_isnull[fallback[i]])
			continue;
		slot->tts_values[BS_FLOW_TIME_EVENT] = slot->tts_values[fallback[i]];
		slot->tts_isnull[BS_FLOW_TIME_EVENT] = false;
	}
}

/* The slot's row is in another context than the batch. */
static void
batch_flush(Reader *reader)
{
	MemoryContext caller = MemoryContextSwitchTo(reader->keep);

	if (reader->batch->nrows > 0)
		bs_delta_add(reader->feed->stream, reader->batch);
	MemoryContextSwitchTo(caller);
	bs_batch_reset(reader->batch);
	MemoryContextReset(reader->keep);
	CHECK_FOR_INTERRUPTS();
}

static void
row_add(Reader *reader, TupleTableSlot *slot)
{
	BsBatch *batch = reader->batch;
	uint32 row = batch->nrows;
	MemoryContext caller = MemoryContextSwitchTo(reader->keep);

	slot_getallattrs(slot);
	if (reader->is_flow)
		flow_complete(reader, slot);
	for (int i = 0; i < reader->desc->natts; i++)
	{
		bool here = i < reader->feed->desc->natts;

		if (reader->wanted[i])
			bs_lane_put(&batch->columns[i], row, TupleDescAttr(reader->desc, i)->atttypid,
						here ? slot->tts_values[i] : (Datum) 0, !here || slot->tts_isnull[i],
						reader->keep);
	}
	batch->nrows++;
	bs_batch_add_run(batch, row, 1, row_source(reader, slot));
	MemoryContextSwitchTo(caller);
	if (batch->nrows == batch->capacity ||
		MemoryContextMemAllocated(reader->keep, true) > (Size) Max(work_mem, MIN_BATCH_KB) * 1024)
		batch_flush(reader);
}

static void
rows_read(Reader *reader)
{
	const BsFeed *feed = reader->feed;
	int next_skip = 0;
	int64 row = 0;

	while (row < feed->nrows)
	{
		if (next_skip < feed->nskip && row == feed->skip[next_skip].first)
		{
			int64 end = feed->skip[next_skip++].end;

			if (!tuplestore_skiptuples(feed->rows, end - row, true) && end < feed->nrows)
				elog(ERROR, "rows of a transaction have been lost");
			row = end;
			continue;
		}
		if (!tuplestore_gettupleslot(feed->rows, true, false, reader->slot))
			elog(ERROR, "rows of a transaction have been lost");
		row_add(reader, reader->slot);
		row++;
	}
	batch_flush(reader);
	ExecClearTuple(reader->slot);
}

void
bs_feed_apply(BsFeed *feed, TimestampTz now)
{
	/* Not there: dropped by this transaction itself, whose lock keeps all others off. */
	Relation relation = try_relation_open(feed->stream, AccessShareLock);
	Reader reader = {.feed = feed, .now = now};
	MemoryContext context;
	MemoryContext caller;

	if (relation == NULL)
		return;
	reader.desc = RelationGetDescr(relation);
	reader.wanted = bs_delta_wanted(feed->stream, reader.desc->natts);
	if (reader.wanted != NULL)
	{
		check_columns(&reader);
		source_find(&reader);
		reader.is_flow =
			feed->stream == bs_flow_relation() && feed->desc->natts >= BS_FLOW_NCOLUMNS;
		context = AllocSetContextCreate(feed->context, "BackStream rows being applied",
										ALLOCSET_DEFAULT_SIZES);
		caller = MemoryContextSwitchTo(context);
		reader.slot = MakeSingleTupleTableSlot(feed->desc, &TTSOpsMinimalTuple);
		reader.batch =
			batch_create(reader.desc, reader.wanted, feed->nrows - feed->nskipped, context);
		reader.keep = AllocSetContextCreate(context, "BackStream batch being applied",
											ALLOCSET_DEFAULT_SIZES);
		rows_read(&reader);
		MemoryContextSwitchTo(caller);
		ExecDropSingleTupleTableSlot(reader.slot);
		MemoryContextDelete(context);
	}
	relation_close(relation, NoLock);
}
