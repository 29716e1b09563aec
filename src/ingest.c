/* SPDX-License-Identifier: PostgreSQL */
/*
 * ingest.c: export datagrams by SQL: backstream.decode(), backstream.ingest() and what they count.
 *
 * A session that calls them has a decoder of its own: templates, sampling and sequence state live
 * until the session ends or backstream.decode_reset() is called, whatever its transactions come to.
 * It is malloc'ed (as all of receiver/ is) and bounded by the receivers' own settings.  Nothing is
 * shared with receivers or other sessions.
 *
 * The decoder must not be left by a longjmp, so nothing raises an error while it works: batches
 * that a long datagram fills are put aside, and rows are made of them when it is done.
 */
#include "backstream.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "../receiver/decode.h"
#include "exporterconfig.h"
#include "feed.h"
#include "lanes.h"
#include "viewdef.h"

#define MAX_DATAGRAM_BYTES 65535
/* A record has at least one byte. */
#define MAX_FULL_BATCHES (MAX_DATAGRAM_BYTES / BS_BATCH_ROWS + 1)

typedef struct Session
{
	BsExporterStats *stats; /* [max_exporters] */
	uint32 max_exporters;
	BsDecoder *decoder;
	BsBatch *batch;
	BsBatch *full[MAX_FULL_BATCHES]; /* of the datagram at hand, before batch */
	int nfull;
	bool out_of_memory; /* a batch could not be put aside */
	/* When the sampling rules were read: */
	LocalTransactionId rules_transaction;
	CommandId rules_command;
} Session;

static Session *session = NULL;

/* ---------- the session's decoder ---------- */

static void
full_forget(Session *s)
{
	while (s->nfull > 0)
		bs_batch_free(s->full[--s->nfull]);
	bs_batch_reset(s->batch);
	s->out_of_memory = false;
}

/* The decoder's sink. */
static void
batch_put_aside(void *context, BsBatch *batch)
{
	Session *s = context;
	BsBatch *copy =
		s->nfull < MAX_FULL_BATCHES
			? bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, NULL, batch->nrows)
			: NULL;

	if (copy == NULL)
		s->out_of_memory = true;
	else
	{
		for (uint32 i = 0; i < BS_FLOW_NCOLUMNS; i++)
		{
			const BsLane *lane = &batch->columns[i];

			memcpy(copy->columns[i].values, lane->values,
				   bs_type_lane_width(lane->type) * batch->nrows);
			memcpy(copy->columns[i].nulls, lane->nulls, batch->nrows);
		}
		copy->nrows = batch->nrows;
		s->full[s->nfull++] = copy;
	}
	bs_batch_reset(batch);
}

static void
session_free(Session *s)
{
	if (s == NULL)
		return;
	if (s->batch != NULL)
		full_forget(s);
	bs_batch_free(s->batch);
	if (s->decoder != NULL)
		bs_decoder_free(s->decoder);
	free(s->stats);
	free(s);
}

static Session *
session_create(void)
{
	Session *s = calloc(1, sizeof(Session));
	BsDecoderConfig config = {
		.max_exporters = bs_setting_max_exporters,
		.max_templates = bs_setting_max_templates,
		.sink = {.flush = batch_put_aside, .context = s},
	};

	if (s == NULL)
		return NULL;
	s->max_exporters = config.max_exporters;
	s->stats = config.stats = calloc(s->max_exporters, sizeof(BsExporterStats));
	s->batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, NULL, BS_BATCH_ROWS);
	if (s->stats != NULL)
		s->decoder = bs_decoder_create(&config);
	if (s->decoder == NULL || s->batch == NULL)
	{
		session_free(s);
		return NULL;
	}
	s->rules_transaction = InvalidLocalTransactionId;
	return s;
}

static void
out_of_memory(void)
{
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
					errdetail("Failed while decoding an export datagram.")));
}

/* Once per command: a statement sees one state of the table anyway. */
static void
rules_refresh(Session *s)
{
	LocalTransactionId now = MyProc->lxid;
	CommandId command = GetCurrentCommandId(false);
	Oid config;

	if (s->rules_transaction == now && s->rules_command == command)
		return;
	/* The loader does not wait for a lock; this session may. */
	config = get_relname_relid("exporter_config", get_namespace_oid(BS_EXTENSION, true));
	if (OidIsValid(config))
		LockRelationOid(config, AccessShareLock);
	bs_exporter_config_load(s->decoder);
	s->rules_transaction = now;
	s->rules_command = command;
}

static Session *
session_get(void)
{
	if (session == NULL)
		session = session_create();
	if (session == NULL)
		out_of_memory();
	rules_refresh(session);
	return session;
}

/* ---------- arguments ---------- */

/* The address of an exporter: no network, and ::ffff:a.b.c.d is a.b.c.d. */
static BsInet
exporter_from_datum(Datum datum)
{
	static const uint8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	BsInet exporter = bs_value_from_datum(BS_INET, INETOID, datum, NULL).inet;

	if (exporter.bits != (exporter.family == 4 ? 32 : 128))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("exporter must be an address, not a network")));
	if (exporter.family == 6 && memcmp(exporter.address, mapped, sizeof(mapped)) == 0)
	{
		memmove(exporter.address, exporter.address + 12, 4);
		memset(exporter.address + 4, 0, 12);
		exporter.family = 4;
		exporter.bits = 32;
	}
	return exporter;
}

/* The arguments of decode() and ingest(); the datagram's bytes are in CurrentMemoryContext. */
static BsDatagram
datagram_from_arguments(FunctionCallInfo fcinfo)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	TimestampTz received = PG_GETARG_TIMESTAMPTZ(2);

	if (VARSIZE_ANY_EXHDR(bytes) > MAX_DATAGRAM_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a datagram has at most %d bytes", MAX_DATAGRAM_BYTES)));
	if (TIMESTAMP_NOT_FINITE(received))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the time of arrival must be finite")));
	return (BsDatagram){
		.data = (const uint8 *) VARDATA_ANY(bytes),
		.len_bytes = VARSIZE_ANY_EXHDR(bytes),
		.exporter = exporter_from_datum(PG_GETARG_DATUM(1)),
		.received_usec = received,
	};
}

/* ---------- records into rows ---------- */

static const Oid column_types[] = {
	[BS_INT2] = INT2OID,  [BS_INT4] = INT4OID,       [BS_INT8] = INT8OID,
	[BS_INET] = INETOID,  [BS_MACADDR] = MACADDROID, [BS_TIMESTAMPTZ] = TIMESTAMPTZOID,
	[BS_BYTES] = TEXTOID,
};

/* Somebody may have altered the table; columns behind ours are NULL. */
static void
check_columns(TupleDesc desc)
{
	for (int i = 0; i < BS_FLOW_NCOLUMNS; i++)
	{
		if (i >= desc->natts ||
			TupleDescAttr(desc, i)->atttypid != column_types[bs_flow_column_types[i]])
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("column \"%s\" of backstream.flow is not what this version of "
								   "BackStream expects",
								   bs_flow_column_names[i]),
							errhint("Update the extension, or create it anew.")));
	}
}

typedef void (*TakeRow)(void *context, Datum *values, bool *isnull);

static int64
batch_rows(const BsBatch *batch, TupleDesc desc, TakeRow take, void *context)
{
	Datum *values = palloc0(sizeof(Datum) * desc->natts);
	bool *isnull = palloc(sizeof(bool) * desc->natts);
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "BackStream record", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);

	memset(isnull, true, sizeof(bool) * desc->natts);
	for (uint32 row = 0; row < batch->nrows; row++)
	{
		for (int i = 0; i < BS_FLOW_NCOLUMNS; i++)
			values[i] =
				bs_lane_get(&batch->columns[i], row, TupleDescAttr(desc, i)->atttypid, &isnull[i]);
		take(context, values, isnull);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return batch->nrows;
}

/* Decode one datagram and give its records to take.  Returns their number. */
static int64
decode_datagram(const BsDatagram *datagram, TupleDesc desc, TakeRow take, void *context)
{
	Session *s = session_get();
	int64 nrows = 0;

	check_columns(desc);
	full_forget(s); /* what an error has left */
	bs_decoder_decode(s->decoder, datagram, s->batch);
	if (s->out_of_memory)
	{
		full_forget(s);
		out_of_memory();
	}
	for (int i = 0; i < s->nfull; i++)
		nrows += batch_rows(s->full[i], desc, take, context);
	nrows += batch_rows(s->batch, desc, take, context);
	full_forget(s);
	return nrows;
}

/* ---------- SQL ---------- */

BS_SQL_FUNCTION(bs_decode);
BS_SQL_FUNCTION(bs_ingest);
BS_SQL_FUNCTION(bs_decode_stats);
BS_SQL_FUNCTION(bs_decode_reset);

static void
row_return(void *context, Datum *values, bool *isnull)
{
	ReturnSetInfo *result = context;

	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* backstream.decode(bytea, inet, timestamptz) RETURNS SETOF backstream.flow */
Datum
bs_decode(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	BsDatagram datagram = datagram_from_arguments(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	decode_datagram(&datagram, result->setDesc, row_return, result);
	return (Datum) 0;
}

static void
row_feed(void *context, Datum *values, bool *isnull)
{
	bs_feed_put_values(context, values, isnull);
}

/* backstream.ingest(bytea, inet, timestamptz) RETURNS bigint */
Datum
bs_ingest(PG_FUNCTION_ARGS)
{
	BsDatagram datagram = datagram_from_arguments(fcinfo);
	Relation flow;
	int64 nrows;

	PreventCommandIfReadOnly("backstream.ingest()");
	PreventCommandIfParallelMode("backstream.ingest()");
	flow = table_open(bs_flow_relation(), RowExclusiveLock);
	nrows = decode_datagram(&datagram, RelationGetDescr(flow), row_feed, bs_feed_open(flow));
	table_close(flow, NoLock);
	PG_RETURN_INT64(nrows);
}

/* One exporter's counters, in the order of the function's columns. */
static void
stats_row(const BsExporterStats *stats, ReturnSetInfo *result)
{
	const uint64 counters[] = {
		stats->datagrams,
		stats->bytes,
		stats->records,
		stats->option_records,
		stats->records_lost,
		stats->datagrams_lost,
		stats->resyncs,
		stats->unknown_template,
		stats->decode_errors,
		stats->template_errors,
		stats->templates_refused_full,
		stats->withdrawals_ignored,
		stats->untimed,
		stats->totals_used,
		stats->templates,
		stats->counter_samples,
		stats->other_samples,
	};
	Datum values[3 + lengthof(counters) + 5];
	bool isnull[lengthof(values)] = {false};
	BsValue exporter = {.inet = stats->exporter};
	size_t n = 0;

	values[n++] = bs_value_to_datum(BS_INET, &exporter, INETOID);
	values[n++] = Int64GetDatum(stats->obs_domain);
	values[n++] = CStringGetTextDatum(bs_flow_type_name((BsFlowType) stats->flow_type));
	for (size_t i = 0; i < lengthof(counters); i++)
		values[n++] = Int64GetDatum((int64) counters[i]);
	values[n++] = TimestampTzGetDatum(stats->last_seen_usec);
	values[n] = IntervalPGetDatum(palloc0(sizeof(Interval)));
	DatumGetIntervalP(values[n++])->time = stats->clock_skew_usec;
	isnull[n] = stats->sampling_rate == 0;
	values[n++] = Int64GetDatum(stats->sampling_rate);
	isnull[n] = isnull[n + 1] = true; /* belong to no exporter */
	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* What belongs to no exporter. */
static void
stats_row_of_nobody(const BsDecoderStats *stats, ReturnSetInfo *result)
{
	int natts = result->setDesc->natts;
	Datum *values = palloc0(sizeof(Datum) * natts);
	bool *isnull = palloc(sizeof(bool) * natts);

	memset(isnull, true, sizeof(bool) * natts);
	values[3] = Int64GetDatum((int64) stats->datagrams);
	values[natts - 2] = Int64GetDatum((int64) stats->not_export);
	values[natts - 1] = Int64GetDatum((int64) stats->exporters_refused);
	isnull[3] = isnull[natts - 2] = isnull[natts - 1] = false;
	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

Datum
bs_decode_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	if (session == NULL)
		return (Datum) 0;
	stats_row_of_nobody(bs_decoder_stats(session->decoder), result);
	for (uint32 i = 0; i < session->max_exporters; i++)
	{
		if (session->stats[i].flow_type != BS_FLOW_TYPE_NONE)
			stats_row(&session->stats[i], result);
	}
	return (Datum) 0;
}

Datum
bs_decode_reset(PG_FUNCTION_ARGS)
{
	session_free(session);
	session = NULL;
	PG_RETURN_VOID();
}
