/* SPDX-License-Identifier: PostgreSQL */
/*
 * statviews.c: the functions behind the views in which one looks at the system itself:
 * backstream.exporters, listeners, receivers, views, outputs, memory, and backstream.windows(view).
 *
 * They copy counters out of shared memory.  Those of receivers have one writer each and are read
 * without a lock, word by word; those of views under the locks of registry.h, held for one view at
 * a time.
 */
#include "backstream.h"

#include "access/relation.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "exportermemo.h"
#include "lanes.h"
#include "noderead.h"
#include "outputs.h"
#include "reader.h"
#include "rolling.h"
#include "statrow.h"
#include "viewdef.h"

BS_SQL_FUNCTION(bs_exporter_counters);
BS_SQL_FUNCTION(bs_listener_counters);
BS_SQL_FUNCTION(bs_receiver_counters);
BS_SQL_FUNCTION(bs_view_counters);
BS_SQL_FUNCTION(bs_output_counters);
BS_SQL_FUNCTION(bs_windows);
BS_SQL_FUNCTION(bs_memory);

/* ---------- receivers ---------- */

static void
exporter_row(BsRow *row, const BsExporterStats *stats, int worker)
{
	bs_row_put_inet(row, &stats->exporter);
	bs_row_put(row, Int64GetDatum(stats->obs_domain));
	bs_row_put_text(row, bs_flow_type_name((BsFlowType) stats->flow_type));
	bs_row_put_count(row, stats->datagrams);
	bs_row_put_count(row, stats->records);
	bs_row_put_count(row, stats->records_lost);
	bs_row_put_count(row, stats->datagrams_lost);
	bs_row_put_count(row, stats->unknown_template);
	bs_row_put_count(row, stats->decode_errors);
	bs_row_put_time(row, stats->last_seen_usec);
	if (stats->last_seen_usec != 0)
		bs_row_put_interval(row, stats->clock_skew_usec);
	else
		bs_row_put_null(row);
	if (stats->sampling_rate != 0)
		bs_row_put_count(row, (uint64) stats->sampling_rate);
	else
		bs_row_put_null(row);
	bs_row_put_count(row, stats->bytes);
	bs_row_put_count(row, stats->option_records);
	bs_row_put_count(row, stats->resyncs);
	bs_row_put_count(row, stats->template_errors);
	bs_row_put_count(row, stats->templates_refused_full);
	bs_row_put_count(row, stats->withdrawals_ignored);
	bs_row_put_count(row, stats->untimed);
	bs_row_put_count(row, stats->totals_used);
	bs_row_put_count(row, stats->templates);
	bs_row_put_count(row, stats->counter_samples);
	bs_row_put_count(row, stats->other_samples);
	bs_row_put_count(row, stats->unconfirmed_records);
	bs_row_put_count(row, stats->unconfirmed_wrong);
	bs_row_put(row, Int32GetDatum(worker));
	bs_row_end(row);
}

Datum
bs_exporter_counters(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	for (int worker = 0; worker < bs_setting_workers; worker++)
	{
		const BsExporterStats *stats = bs_shared_exporters(worker);

		for (int i = 0; i < bs_setting_max_exporters; i++)
		{
			/* Written last: whoever sees it sees whose counters these are. */
			if (__atomic_load_n(&stats[i].flow_type, __ATOMIC_ACQUIRE) != BS_FLOW_TYPE_NONE)
				exporter_row(&row, &stats[i], worker);
		}
		CHECK_FOR_INTERRUPTS();
	}
	return (Datum) 0;
}

static const char *const listener_states[] = {
	[BS_LISTENER_UNUSED] = NULL,
	[BS_LISTENER_OPEN] = "open",
	[BS_LISTENER_FAILED] = "failed",
};

static void
listener_row(BsRow *row, const BsListenerStats *stats, int worker)
{
	BsListenerStats copy = *stats;
	bool known = copy.state < lengthof(listener_states);

	copy.address[sizeof(copy.address) - 1] = '\0';
	bs_row_put_text(row, copy.address);
	bs_row_put(row, Int32GetDatum(worker));
	bs_row_put_count(row, copy.datagrams);
	bs_row_put_count(row, copy.bytes);
	bs_row_put_count(row, copy.kernel_drops);
	bs_row_put_count(row, copy.rejected);
	bs_row_put_text(row, known ? listener_states[copy.state] : NULL);
	bs_row_put_text(row, copy.state == BS_LISTENER_FAILED ? strerror(copy.last_errno) : NULL);
	bs_row_put_count(row, copy.receive_buffer_bytes);
	bs_row_put_count(row, copy.not_export);
	bs_row_put_count(row, copy.truncated);
	bs_row_put_count(row, copy.receive_errors);
	bs_row_end(row);
}

Datum
bs_listener_counters(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	for (int worker = 0; worker < bs_setting_workers; worker++)
	{
		const BsListenerStats *stats = bs_shared_listeners(worker);

		for (int i = 0; i < BS_MAX_LISTENERS; i++)
			if (stats[i].state != BS_LISTENER_UNUSED)
				listener_row(&row, &stats[i], worker);
	}
	return (Datum) 0;
}

Datum
bs_receiver_counters(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < bs_setting_workers; i++)
	{
		BsSharedWorker *worker = bs_shared_worker(i);
		uint32 pid = pg_atomic_read_u32(&worker->pid);

		bs_row_put(&row, Int32GetDatum(i));
		if (pid != 0)
			bs_row_put(&row, Int32GetDatum((int32) pid));
		else
			bs_row_put_null(&row);
		bs_row_put_time(&row, worker->started);
		bs_row_put_time(&row, (TimestampTz) pg_atomic_read_u64(&worker->applied_until));
		bs_row_put_count(&row, worker->decoder.datagrams);
		bs_row_put_count(&row, worker->decoder.not_export);
		bs_row_put_count(&row, worker->decoder.exporters_refused);
		bs_row_end(&row);
	}
	return (Datum) 0;
}

/* ---------- views ---------- */

/* What a view has counted, its writers taken together. */
typedef struct ViewCounters
{
	Oid relid;
	TimestampTz since;
	TimestampTz next_since; /* of the definition that waits to take over; 0: none */
	TimestampTz next_until; /* the end of its first full window; 0: not known */
	TimestampTz kept_since; /* of the oldest definition that this one goes on from; 0: none */
	uint32 state;
	uint64 skipped; /* while it was suspended */
	TimestampTz last_error_at;
	char last_error[BS_ERROR_TEXT];
	BsPartial sum; /* only its counters */
	uint64 groups;
	uint64 windows;
	uint64 fingerprint;
	int64 closed_before;
	bool windowed;
	bool one_pane; /* each window is one, and all are in one slot */
	int64 fed_before;
	uint64 windows_missed;
	bool fed;     /* over a view, or ... */
	bool fetched; /* ... that is, or itself is, kept by nodes */
	uint64 windows_incomplete;
	int computed;
} ViewCounters;

/* Groups of all panes; the lock is let go now and then, for a writer waits for it. */
static uint64
count_groups(BsSharedPartial *shared)
{
	BsArena *arena = bs_shared_arena();
	const BsPartial *partial = &shared->partial;
	uint64 ngroups = 0;
	int64 next = PG_INT64_MIN;
	bool more = true;

	while (more)
	{
		uint32 i;
		uint32 end;

		bs_partial_lock_read(shared);
		i = bs_partial_position(partial, arena, next);
		end = Min(partial->npanes, i + BS_PANES_PER_LOCK);
		more = end < partial->npanes;
		for (; i < end; i++)
		{
			const BsPane *pane = bs_partial_pane_at(partial, arena, i);

			next = pane->start + 1;
			if (pane->table != 0)
				ngroups += bs_table_groups(arena, bs_arena_at(arena, pane->table));
		}
		bs_partial_unlock(shared);
	}
	return ngroups;
}

static void
add_partial(ViewCounters *counters, BsSharedPartial *shared)
{
	BsPartial *sum = &counters->sum;
	const BsPartial *partial = &shared->partial;

	counters->groups += count_groups(shared);
	bs_partial_lock_read(shared);
	sum->npanes = Max(sum->npanes, partial->npanes);
	sum->layout.row_bytes = Max(sum->layout.row_bytes, partial->layout.row_bytes);
	sum->bytes += partial->bytes;
	sum->records += partial->records;
	sum->received += partial->received;
	sum->filtered += partial->filtered;
	sum->late += partial->late;
	sum->future += partial->future;
	sum->untimed += partial->untimed;
	sum->overflowed += partial->overflowed;
	sum->errors += partial->errors;
	sum->unknown_rate += partial->unknown_rate;
	sum->clamped += partial->clamped;
	sum->late_bytes += partial->late_bytes;
	sum->has_late_bytes |= partial->has_late_bytes;
	sum->sources_refused += partial->sources_refused;
	if (partial->last_error != BS_ERROR_NONE)
		sum->last_error = partial->last_error;
	bs_partial_unlock(shared);
}

static uint64
count_windows(const ViewCounters *counters)
{
	int nwindows;
	BsWindowInfo *windows;

	if (counters->one_pane)
		return counters->sum.npanes;
	windows = bs_view_windows(counters->relid, counters->fingerprint, NULL, &nwindows);
	if (windows != NULL)
		pfree(windows);
	return (uint64) nwindows;
}

/* What a view goes on from counts with it.  The registry lock is held. */
static void
add_predecessors(ViewCounters *counters, const BsSharedView *view)
{
	BsSharedView *part = bs_registry_predecessor(view);

	for (; part != NULL; part = bs_registry_predecessor(part))
	{
		counters->kept_since = part->since;
		counters->skipped += pg_atomic_read_u64(&part->skipped);
		for (int w = 0; w < bs_nwriters(); w++)
			add_partial(counters, &part->partials[w]);
	}
}

static void
add_waiting(ViewCounters *counters)
{
	BsSharedView *waiting = bs_registry_waiting_of(counters->relid);
	int64 full_from;

	if (waiting == NULL)
		return;
	full_from = (int64) pg_atomic_read_u64(&waiting->full_from);
	counters->next_since = waiting->since;
	if (IS_VALID_TIMESTAMP(full_from))
		counters->next_until = bs_window_end(&waiting->timing.windowing, full_from);
}

/* Copy what slot number i has; false when it is free, or no view's current one. */
static bool
read_slot(int i, ViewCounters *counters)
{
	BsSharedView *view = bs_registry_slot(i);
	bool used;

	memset(counters, 0, sizeof(*counters));
	bs_registry_lock_shared();
	used = OidIsValid(view->relid) && view->role == BS_SLOT_CURRENT;
	if (used)
	{
		counters->relid = view->relid;
		counters->since = view->since;
		counters->windowed = view->timing.windowed && !view->timing.rolling;
		counters->computed = view->timing.computed;
		counters->fingerprint = view->fingerprint;
		counters->one_pane = view->timing.windowing.size_usec == view->timing.windowing.slide_usec &&
							 view->predecessor < 0;
		counters->state = pg_atomic_read_u32(&view->state);
		counters->fed_before = (int64) pg_atomic_read_u64(&view->fed_before);
		counters->windows_missed = pg_atomic_read_u64(&view->windows_missed);
		counters->fetched = bs_timing_is_fetched(&view->timing);
		counters->fed = bs_timing_is_fed(&view->timing);
		counters->windows_incomplete = pg_atomic_read_u64(&view->windows_incomplete);
		counters->skipped = pg_atomic_read_u64(&view->skipped);
		counters->closed_before = (int64) pg_atomic_read_u64(&view->closed_before);
		SpinLockAcquire(&view->mutex);
		counters->last_error_at = view->last_error_at;
		memcpy(counters->last_error, view->last_error, BS_ERROR_TEXT);
		SpinLockRelease(&view->mutex);
		for (int w = 0; w < bs_nwriters(); w++)
			add_partial(counters, &view->partials[w]);
		add_predecessors(counters, view);
		add_waiting(counters);
	}
	bs_registry_unlock();
	if (used)
		counters->windows = count_windows(counters);
	return used;
}

static const char *const view_states[] = {
	[BS_VIEW_ACTIVE] = "active",
	[BS_SUSPENDED_CODE] = "suspended: code",
	[BS_SUSPENDED_RIGHTS] = "suspended: rights",
};

/* Texts of errors may hold values of records: they are for the owner, and for who may see all. */
static bool
may_see_texts(Oid relid)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		   pg_class_ownercheck(relid, GetUserId());
}

static void
put_last_error(BsRow *row, const ViewCounters *counters)
{
	bool visible = may_see_texts(counters->relid);

	if (visible && counters->last_error[0] != '\0')
		bs_row_put_text(row, counters->last_error);
	else if (visible && counters->sum.last_error != BS_ERROR_NONE)
		bs_row_put_text(row, bs_error_message((BsError) counters->sum.last_error));
	else
		bs_row_put_null(row);
	bs_row_put_time(row, counters->last_error_at);
}

static void
view_row(BsRow *row, const ViewCounters *counters)
{
	const BsPartial *sum = &counters->sum;
	bool known = counters->state < lengthof(view_states);

	bs_row_put(row, ObjectIdGetDatum(counters->relid));
	bs_row_put_count(row, sum->records);
	bs_row_put_count(row, sum->filtered);
	bs_row_put_count(row, sum->late);
	bs_row_put_count(row, sum->future);
	bs_row_put_count(row, sum->untimed);
	bs_row_put_count(row, sum->overflowed);
	bs_row_put_count(row, sum->errors);
	put_last_error(row, counters);
	bs_row_put_text(row, known ? view_states[counters->state] : NULL);
	bs_row_put_count(row, counters->groups);
	bs_row_put_count(row, sum->bytes);
	bs_row_put_time(row, counters->since);
	bs_row_put_count(row, sum->received);
	bs_row_put_count(row, counters->skipped);
	bs_row_put_count(row, sum->unknown_rate);
	bs_row_put_count(row, sum->sources_refused);
	bs_row_put_count(row, counters->windows);
	if (counters->windowed && counters->closed_before != BS_TIME_NEG_INFINITY)
		bs_row_put(row, TimestampTzGetDatum(counters->closed_before));
	else
		bs_row_put_null(row);
	if (counters->fed && counters->fed_before != BS_TIME_NEG_INFINITY)
		bs_row_put(row, TimestampTzGetDatum(counters->fed_before));
	else
		bs_row_put_null(row);
	if (counters->fed)
		bs_row_put_count(row, counters->windows_missed);
	else
		bs_row_put_null(row);
	bs_row_put_time(row, counters->kept_since);
	bs_row_put_time(row, counters->next_since);
	bs_row_put_time(row, counters->next_until);
	bs_row_put(row, Int32GetDatum((int32) sum->layout.row_bytes));
	bs_row_put(row, Int32GetDatum(counters->computed));
	bs_row_put_count(row, sum->clamped);
	if (sum->has_late_bytes)
		bs_row_put(row, Int64GetDatum(sum->late_bytes));
	else
		bs_row_put_null(row);
	if (counters->fetched)
		bs_row_put_count(row, counters->windows_incomplete);
	else
		bs_row_put_null(row);
	bs_row_end(row);
}

Datum
bs_view_counters(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);
	ViewCounters counters;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		/* A slot whose view was dropped a moment ago is still to be freed. */
		if (read_slot(i, &counters) && get_rel_relkind(counters.relid) != '\0')
			view_row(&row, &counters);
		CHECK_FOR_INTERRUPTS();
	}
	return (Datum) 0;
}

/* ---------- outputs ---------- */

static const char *
output_target(BsOutput output, const BsViewOptions *options)
{
	return output == BS_OUTPUT_NOTIFY ? options->notify : options->archive;
}

static void
output_row(BsRow *row, Oid relid, BsOutput output, BsSharedView *view)
{
	BsSharedOutput *shared = &view->outputs[output];
	int64 done_before = (int64) pg_atomic_read_u64(&shared->done_before);
	BsViewOptions options;
	char error[BS_ERROR_TEXT];
	TimestampTz error_at;

	SpinLockAcquire(&view->mutex);
	memcpy(error, shared->error, sizeof(error));
	error_at = shared->error_at;
	SpinLockRelease(&view->mutex);
	bs_view_options_parse(bs_viewdef_stored_options(relid), &options);
	bs_row_put(row, ObjectIdGetDatum(relid));
	bs_row_put_text(row, bs_output_name(output));
	bs_row_put_text(row, output_target(output, &options));
	if (done_before != BS_TIME_NEG_INFINITY)
		bs_row_put(row, TimestampTzGetDatum(done_before));
	else
		bs_row_put_null(row);
	bs_row_put_count(row, pg_atomic_read_u64(&shared->windows));
	bs_row_put_count(row, pg_atomic_read_u64(&shared->rows));
	bs_row_put_count(row, pg_atomic_read_u64(&shared->rows_failed));
	bs_row_put_count(row, pg_atomic_read_u64(&shared->windows_missed));
	bs_row_put_text(row, error[0] != '\0' && may_see_texts(relid) ? error : NULL);
	bs_row_put_time(row, error_at);
	bs_row_end(row);
}

Datum
bs_output_counters(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		BsSharedView *view = bs_registry_slot(i);
		uint32 outputs;
		Oid relid;

		bs_registry_lock_shared();
		relid = view->relid;
		outputs = OidIsValid(relid) ? view->timing.outputs : 0;
		bs_registry_unlock();
		for (int output = 0; output < BS_NOUTPUTS; output++)
			if ((outputs & (1u << output)) != 0 && get_rel_relkind(relid) != '\0')
				output_row(&row, relid, output, view);
		CHECK_FOR_INTERRUPTS();
	}
	return (Datum) 0;
}

/* ---------- windows ---------- */

/* Has the view been counted since before the server was down, and was the window open then? */
static bool
fell_into_gap(const BsReader *reader, int64 window)
{
	const BsProgram *program = &reader->view->program;
	BsViewExtent extent;

	return program->windowed && !reader->def->on_nodes &&
		   reader->def->options.clock == BS_CLOCK_WALL &&
		   bs_view_extent(reader->def->relid, reader->shape->fingerprint, &extent) &&
		   bs_spans_find(&extent.outages, window, bs_window_end(&program->windowing, window)) != NULL;
}

/* How many of the nodes that keep the view, or that it was fetched from, have told all of a window. */
static void
put_nodes(BsRow *row, const BsWindowInfo *window, const BsReader *reader)
{
	int expected;
	int answered;

	if (reader->nodes == NULL && window->nodes_expected == 0)
	{
		bs_row_put_null(row);
		bs_row_put_null(row);
		return;
	}
	if (reader->nodes != NULL)
		bs_node_reading_nodes(reader->nodes, window->window, &expected, &answered);
	else
	{
		expected = (int) window->nodes_expected;
		answered = expected - (int) window->nodes_missing;
	}
	bs_row_put(row, Int32GetDatum(expected));
	bs_row_put(row, Int32GetDatum(answered));
}

static void
window_row(BsRow *row, const BsWindowInfo *window, const BsReader *reader, int64 watermark)
{
	if (reader->shape->rolling)
	{
		/* It is open on the left. */
		bs_row_put(row, TimestampTzGetDatum(window->window - BS_ROLLING_ORIGIN));
		bs_row_put(row, TimestampTzGetDatum(bs_window_end(&reader->view->program.windowing, window->window) -
									 BS_ROLLING_ORIGIN));
	}
	else if (reader->shape->windowed)
	{
		bs_row_put(row, TimestampTzGetDatum(window->window));
		bs_row_put(row, TimestampTzGetDatum(bs_window_end(&reader->view->program.windowing, window->window)));
	}
	else
	{
		bs_row_put_null(row);
		bs_row_put_null(row);
	}
	bs_row_put_text(row, window->closed ? "closed" : "open");
	bs_row_put(row, BoolGetDatum(window->gap || fell_into_gap(reader, window->window)));
	bs_row_put_count(row, window->groups);
	bs_row_put_count(row, window->records);
	bs_row_put_count(row, window->late);
	bs_row_put_count(row, window->overflowed);
	bs_row_put_count(row, window->other);
	bs_row_put_count(row, window->errors);
	bs_row_put_count(row, window->left_out);
	bs_row_put_count(row, window->records_lost);
	bs_row_put_count(row, window->datagrams_lost);
	bs_row_put_count(row, window->datagrams_dropped);
	bs_row_put_count(row, window->bytes);
	put_nodes(row, window, reader);
	if (watermark != BS_TIME_NEG_INFINITY)
		bs_row_put(row, TimestampTzGetDatum(watermark));
	else
		bs_row_put_null(row);
	bs_row_end(row);
}

Datum
bs_windows(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);
	BsRow row = bs_row_begin(fcinfo);
	Relation relation;
	BsReader *reader;
	BsWindowInfo *windows;
	int64 watermark;
	int nwindows;

	InitMaterializedSRF(fcinfo, 0);
	relation = bs_viewdef_open(relid);
	reader = bs_reader_open(relid, RelationGetDescr(relation), bms_make_singleton(0),
							CurrentMemoryContext);
	windows = bs_reader_all_windows(reader, &nwindows);
	watermark = bs_reader_watermark(reader);
	for (int i = 0; i < nwindows; i++)
		window_row(&row, &windows[i], reader, watermark);
	bs_reader_close(reader);
	relation_close(relation, AccessShareLock);
	return (Datum) 0;
}

/* ---------- memory ---------- */

Datum
bs_memory(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);
	BsArenaStats stats = bs_arena_stats(bs_shared_arena());
	/* Windows cannot have it, as little as what the counters take. */
	uint64 memos = bs_exporter_memo_bytes();

	InitMaterializedSRF(fcinfo, 0);
	bs_row_put_count(&row, stats.total_bytes - memos);
	bs_row_put_count(&row, stats.used_bytes - Min(memos, stats.used_bytes));
	bs_row_put_count(&row, stats.peak_bytes);
	bs_row_put_count(&row, stats.failures);
	bs_row_end(&row);
	return (Datum) 0;
}
