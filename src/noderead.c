/* SPDX-License-Identifier: PostgreSQL */
/* noderead.c: which windows a view that nodes keep has, and what to do without some.  See noderead.h. */
#include "backstream.h"

#include <libpq-fe.h>

#include "access/relation.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fingerprint.h"
#include "guard.h"
#include "nodedefine.h"
#include "nodepartials.h"
#include "noderead.h"
#include "rolling.h"
#include "viewshape.h"

/* Clocks of servers are never quite the same. */
#define BS_CLOCK_SLACK_USEC INT64CONST(1000000)
#define MAX_ROLLING_TRIES   6

/* ---------- opening ---------- */

static void
free_local(void *arg)
{
	bs_writer_free(arg);
}

/* The view that this server keeps as one of the nodes. */
static void
open_local(BsNodeReading *reading)
{
	Oid schema = get_namespace_oid(reading->schema, true);
	Oid relid = OidIsValid(schema) ? get_relname_relid(reading->name, schema) : InvalidOid;
	MemoryContextCallback *callback;

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("node \"%s\": there is no continuous view \"%s.%s\"", BS_LOCAL_NODE,
							   reading->schema, reading->name),
						errhint("backstream.sync() makes it.")));
	relation_close(bs_viewdef_open(relid), NoLock);
	reading->local = bs_view_compile(relid, reading->view->program.capacity, &reading->local_def);
	reading->local->program.hash_seed = bs_shared_hash_seed();
	if (bs_fingerprint_portable(reading->local_def, reading->local) != reading->portable)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("node \"%s\": continuous view \"%s.%s\" has another definition than \"%s.%s\"",
					BS_LOCAL_NODE, reading->schema, reading->name, reading->def->schema,
					reading->def->name),
			 errhint("backstream.sync() shows and mends it.")));
	reading->local_writer = bs_writer_create(&reading->local->program);
	if (reading->local_writer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	callback = palloc0(sizeof(*callback));
	callback->func = free_local;
	callback->arg = reading->local_writer;
	MemoryContextRegisterResetCallback(reading->context, callback);
}

void
bs_node_reading_leave_out(BsNodeReading *reading, BsNodePart *part, const char *trouble)
{
	part->left_out = true;
	part->trouble = MemoryContextStrdup(reading->context, trouble);
}

/* BsGuardedCode */
static void
open_local_guarded(void *reading)
{
	open_local(reading);
}

static void
open_local_part(BsNodeReading *reading, BsNodePart *part)
{
	ErrorData *error;

	if (!reading->tolerant)
	{
		open_local(reading);
		return;
	}
	error = bs_guarded(open_local_guarded, reading);
	if (error != NULL)
		bs_node_reading_leave_out(reading, part, error->message);
}

BsNodeReading *
bs_node_reading_open(const BsViewDef *def, BsViewProgram *view, BsWriter *writer, Oid user,
					 bool tolerant, MemoryContext context)
{
	MemoryContext outer = MemoryContextSwitchTo(context);
	BsNodeReading *reading = palloc0(sizeof(BsNodeReading));
	List *nodes = bs_server_nodes(def->server, user);
	BsKept *kept = bs_kept_of(def);

	reading->context = context;
	reading->def = def;
	reading->view = view;
	reading->writer = writer;
	reading->user = user;
	reading->portable = bs_fingerprint_portable(def, view);
	reading->rolling = view->rolling;
	reading->schema = kept->schema;
	reading->name = kept->name;
	reading->failure = bs_node_failure(&def->options, def->server);
	reading->tolerant = tolerant;
	reading->from = PG_INT64_MIN;
	reading->nparts = list_length(nodes);
	reading->parts = palloc0(sizeof(BsNodePart) * (Size) reading->nparts);
	for (int i = 0; i < reading->nparts; i++)
	{
		reading->parts[i].node = list_nth(nodes, i);
		if (!OidIsValid(reading->parts[i].node->server))
			open_local_part(reading, &reading->parts[i]);
	}
	reading->list_context =
		AllocSetContextCreate(context, "backstream windows of nodes", ALLOCSET_DEFAULT_SIZES);
	reading->fetch_context =
		AllocSetContextCreate(context, "backstream groups of nodes", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(outer);
	return reading;
}

/* ---------- failures ---------- */

/* An error that names both definitions, where there are two. */
static void
raise_failure(const BsNodeReading *reading, const BsNodeRequest *request)
{
	if (request->trouble == BS_NODE_REFUSED &&
		request->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
		ereport(
			ERROR,
			(errcode(request->sqlerrcode),
			 errmsg("node \"%s\": continuous view \"%s.%s\" has another definition than \"%s.%s\"",
					request->node->name, reading->schema, reading->name, reading->def->schema,
					reading->def->name),
			 errdetail_internal("%s", request->message),
			 errhint("backstream.sync() shows and mends it.")));
	bs_node_report(request, ERROR);
}

/* Is the node away, or has only what it says of this view kept it out? */
static bool
is_silent(const BsNodeRequest *request)
{
	return request->trouble == BS_NODE_UNREACHABLE &&
		   request->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
}

bool
bs_node_reading_failures(BsNodeReading *reading, BsNodeRequest *requests)
{
	bool any = false;

	for (int i = 0; i < reading->nparts; i++)
	{
		BsNodeRequest *request = &requests[i];

		if (request->node == NULL || request->trouble == BS_NODE_FINE)
			continue;
		if (reading->tolerant)
		{
			any = true;
			reading->parts[i].silent = is_silent(request);
			bs_node_reading_leave_out(reading, &reading->parts[i],
									  psprintf("node \"%s\": %s", request->node->name, request->message));
			continue;
		}
		if (reading->failure != BS_NODE_FAILURE_PARTIAL || !bs_node_may_be_missing(request))
			raise_failure(reading, request);
		reading->parts[i].left_out = true;
		any = true;
		ereport(WARNING,
				(errcode(request->sqlerrcode),
				 errmsg("the result lacks what node \"%s\" has counted", request->node->name),
				 errdetail_internal("%s", request->message)));
	}
	return any;
}

/* ---------- windows ---------- */

static void
add_window(BsNodePart *part, const BsWindowInfo *info)
{
	if (part->nwindows == part->capacity)
	{
		part->capacity = part->capacity * 2 + 64;
		part->windows =
			part->windows == NULL
				? palloc(sizeof(BsWindowInfo) * (Size) part->capacity)
				: repalloc_huge(part->windows, sizeof(BsWindowInfo) * (Size) part->capacity);
	}
	part->windows[part->nwindows++] = *info;
}

static int64
bigint_at(const PGresult *row, int column)
{
	return pg_strtoint64(PQgetvalue(row, 0, column));
}

/* Of what comes after those that this server can keep they become one. */
static bool
take_outage(BsNodeRequest *request, const PGresult *row)
{
	BsNodePart *part = request->context;

	bs_spans_add(&part->extent.outages, (BsSpan){.since = bigint_at(row, BS_NODE_WINDOW_COLUMNS + 4),
													 .until = bigint_at(row, BS_NODE_WINDOW_COLUMNS + 5)});
	return true;
}

static bool
take_window(BsNodeRequest *request, const PGresult *row)
{
	BsNodePart *part = request->context;
	BsWindowInfo info;

	if (PQnfields(row) < BS_NODE_WINDOW_COLUMNS + BS_NODE_EXTENT_COLUMNS)
	{
		bs_node_fail(request, BS_NODE_MISFIT, ERRCODE_PROTOCOL_VIOLATION,
					 "its list of windows has other columns", NULL, NULL);
		return false;
	}
	if (PQgetisnull(row, 0, 0))
	{
		if (PQgetisnull(row, 0, BS_NODE_WINDOW_COLUMNS + 7))
			return take_outage(request, row);
		part->extent.outages.n = 0;
		part->extent.since = bigint_at(row, BS_NODE_WINDOW_COLUMNS);
		part->extent.closed_before = bigint_at(row, BS_NODE_WINDOW_COLUMNS + 1);
		part->extent.dropped_before = bigint_at(row, BS_NODE_WINDOW_COLUMNS + 2);
		part->extent.watermark = bigint_at(row, BS_NODE_WINDOW_COLUMNS + 3);
		part->extent.idle = bigint_at(row, BS_NODE_WINDOW_COLUMNS + 6) != 0;
		part->state = pstrdup(PQgetvalue(row, 0, BS_NODE_WINDOW_COLUMNS + 7));
		return true;
	}
	info = (BsWindowInfo){
		.window = bigint_at(row, 0),
		.closed = bigint_at(row, 1) != 0,
		.records = (uint64) bigint_at(row, 2),
		.late = (uint64) bigint_at(row, 3),
		.overflowed = (uint64) bigint_at(row, 4),
		.errors = (uint64) bigint_at(row, 5),
		.left_out = (uint64) bigint_at(row, 6),
		.records_lost = bigint_at(row, 7),
		.datagrams_lost = bigint_at(row, 8),
		.groups = (uint64) bigint_at(row, 9),
		.bytes = (uint64) bigint_at(row, 10),
		.other = (uint64) bigint_at(row, 11),
		.datagrams_dropped = bigint_at(row, 12),
		.gap = bigint_at(row, 13) != 0,
	};
	add_window(part, &info);
	return true;
}

/* The same of this server itself. */
static void
take_local(BsNodeReading *reading, BsNodePart *part)
{
	uint64 fingerprint = reading->local->program.fingerprint;

	part->extent = (BsViewExtent){.closed_before = BS_TIME_NEG_INFINITY,
								  .watermark = BS_TIME_NEG_INFINITY,
								  .dropped_before = BS_TIME_NEG_INFINITY};
	part->state = "not counted";
	if (bs_view_extent(reading->local_def->relid, fingerprint, &part->extent))
	{
		part->extent.idle = bs_view_found_idle(reading->local_def->relid, fingerprint);
		part->state = part->extent.state == BS_VIEW_ACTIVE ? "active" : "suspended";
	}
	part->windows =
		bs_view_windows(reading->local_def->relid, fingerprint, reading->local, &part->nwindows);
}

/* Once, however often windows are listed. */
static void
warn_of_states(BsNodeReading *reading)
{
	for (int i = 0; i < reading->nparts; i++)
	{
		BsNodePart *part = &reading->parts[i];
		bool suspended = !part->left_out && strncmp(part->state, "suspended", 9) == 0;
		bool warned = part->warned_of_state;

		part->warned_of_state |= suspended;
		/* Who has no client has nobody to warn. */
		if (suspended && !warned && !IsBackgroundWorker)
			ereport(WARNING, (errmsg("continuous view \"%s.%s\" is suspended on node \"%s\"",
									 reading->schema, reading->name, part->node->name),
							  errdetail("It shows what was counted before."),
							  errhint("backstream.views there says why.")));
	}
}

/*
 * By another clock records are in other windows, late or of the future: what a node with one has counted is not what the others have.
 * A view says by max_future how far clocks may differ.
 */
static void
check_clock(const BsNodeReading *reading, BsNodeRequest *request)
{
	const BsNodeHello *hello = &request->conn->hello;
	int64 ahead = hello->clock_ahead_usec;

	if (request->trouble != BS_NODE_FINE || reading->def->options.clock != BS_CLOCK_WALL ||
		!(reading->view->program.windowed || reading->rolling) ||
		Abs(ahead) <= reading->def->options.max_future_usec + hello->latency_usec)
		return;
	/* The clock was looked at when the connection began: it may have been set right by the next time. */
	request->conn->stale = true;
	bs_node_fail(request, BS_NODE_UNREACHABLE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
				 psprintf("its clock is %s this server's by some %lld s", ahead > 0 ? "ahead of" : "behind",
						  (long long) (Abs(ahead) / USECS_PER_SEC)),
				 "Its windows are not those of the others.",
				 "Set the clocks by NTP; max_future of the view is how far they may differ.");
}

static void
ask_windows(BsNodeReading *reading)
{
	BsNodeRequest *requests = palloc0(sizeof(BsNodeRequest) * (Size) reading->nparts);
	BsNodeRequest *asked = palloc0(sizeof(BsNodeRequest) * (Size) reading->nparts);
	const char *values[] = {reading->schema, reading->name,
							psprintf(INT64_FORMAT, (int64) reading->portable),
							psprintf(INT64_FORMAT, reading->from)};
	int nasked = 0;

	for (int i = 0; i < reading->nparts; i++)
	{
		BsNodePart *part = &reading->parts[i];

		part->windows = NULL;
		part->nwindows = 0;
		part->capacity = 0;
		part->state = "not counted";
		if (part->left_out)
			continue;
		if (!OidIsValid(part->node->server))
			take_local(reading, part);
		else
			asked[nasked++] =
				(BsNodeRequest){.node = part->node,
								.sql = "SELECT * FROM backstream.node_windows($1, $2, $3)"
									   " WHERE window_start IS NULL OR window_start >= $4",
								.nparams = 4,
								.values = values,
								.take = take_window,
								.context = part};
	}
	bs_nodes_ask(asked, nasked, 0);
	for (int i = 0; i < nasked; i++)
	{
		BsNodePart *part = asked[i].context;

		part->usec += asked[i].usec;
		check_clock(reading, &asked[i]);
		if (asked[i].trouble == BS_NODE_FINE)
			part->clock_ahead_usec = asked[i].conn->hello.clock_ahead_usec;
		requests[part - reading->parts] = asked[i];
	}
	(void) bs_node_reading_failures(reading, requests);
}

int
bs_node_reading_advance(const BsNodeReading *reading)
{
	const BsViewExtent *to = reading->common;
	BsNodeRequest *requests = palloc0(sizeof(BsNodeRequest) * (Size) reading->nparts);
	const char *values[4] = {reading->schema, reading->name, psprintf(INT64_FORMAT, (int64) reading->portable)};
	int nrequests = 0;
	int ntold = 0;

	if (to == NULL || to->closed_before == BS_TIME_NEG_INFINITY)
		return 0;
	values[3] = psprintf(INT64_FORMAT, to->watermark);
	for (int i = 0; i < reading->nparts; i++)
	{
		const BsNodePart *part = &reading->parts[i];

		if (part->left_out || !part->extent.idle || part->extent.closed_before >= to->closed_before)
			continue;
		ntold++;
		if (!OidIsValid(part->node->server))
			bs_view_advance_idle(reading->local_def->relid, reading->local->program.fingerprint, to->watermark);
		else
			requests[nrequests++] = (BsNodeRequest){.node = part->node,
													.sql = "SELECT backstream.node_advance($1, $2, $3, $4)",
													.nparams = 4,
													.values = values};
	}
	if (nrequests > 0)
		bs_nodes_ask(requests, nrequests, 0);
	return ntold;
}

static int
window_compare(const void *a, const void *b)
{
	int64 x = ((const BsWindowInfo *) a)->window;
	int64 y = ((const BsWindowInfo *) b)->window;

	return (x > y) - (x < y);
}

/* Which nodes are not idle: the lowest of them; else the furthest of all.  some_closed: of those that have closed something. */
static const BsViewExtent *
common_extent(const BsNodeReading *reading, bool some_closed)
{
	const BsViewExtent *lowest = NULL;
	const BsViewExtent *furthest = NULL;

	for (int i = 0; i < reading->nparts; i++)
	{
		const BsViewExtent *extent = &reading->parts[i].extent;

		if (reading->parts[i].left_out || (some_closed && extent->closed_before == BS_TIME_NEG_INFINITY))
			continue;
		if (!extent->idle && (lowest == NULL || extent->closed_before < lowest->closed_before))
			lowest = extent;
		if (furthest == NULL || extent->closed_before > furthest->closed_before)
			furthest = extent;
	}
	return lowest != NULL ? lowest : furthest;
}

int64
bs_node_reading_closed(const BsNodeReading *reading)
{
	const BsViewExtent *extent = common_extent(reading, true);

	return extent != NULL ? extent->closed_before : BS_TIME_NEG_INFINITY;
}

/* How far all of them reach together. */
static void
unite_extents(BsNodeReading *reading)
{
	bool any = false;

	reading->closed_before = BS_TIME_INFINITY;
	reading->watermark = BS_TIME_INFINITY;
	reading->dropped_before = BS_TIME_NEG_INFINITY;
	reading->first_since = BS_TIME_INFINITY;
	for (int i = 0; i < reading->nparts; i++)
	{
		const BsNodePart *part = &reading->parts[i];

		if (part->left_out)
			continue;
		any = true;
		reading->closed_before = Min(reading->closed_before, part->extent.closed_before);
		reading->watermark = Min(reading->watermark, part->extent.watermark);
		reading->dropped_before = Max(reading->dropped_before, part->extent.dropped_before);
		if (part->extent.since != 0)
			reading->first_since = Min(reading->first_since, part->extent.since);
	}
	if (!any)
		reading->closed_before = reading->watermark = BS_TIME_NEG_INFINITY;
	reading->common = common_extent(reading, false);
}

/*
 * The one window of a rolling view: as of the latest time of any node.  By the clock on the wall that is one that is
 * ahead; by how little there is no harm, but of what others have counted in the last hour a clock that is an hour
 * ahead would leave nothing.
 */
static void
unite_rolling(BsNodeReading *reading)
{
	const BsWindowing *windowing = &reading->view->program.windowing;
	int64 latest = BS_TIME_NEG_INFINITY;
	int64 ours = bs_rolling_start(windowing, GetCurrentTimestamp());

	reading->windows = palloc0(sizeof(BsWindowInfo));
	reading->nwindows = 0;
	for (int i = 0; i < reading->nparts; i++)
	{
		const BsNodePart *part = &reading->parts[i];

		if (part->left_out || part->nwindows == 0)
			continue;
		if (reading->def->options.clock == BS_CLOCK_WALL &&
			part->windows[0].window - ours > 2 * windowing->slide_usec + BS_CLOCK_SLACK_USEC)
			ereport(
				ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the clock of node \"%s\" is ahead of this server's by some %lld s",
						part->node->name,
						(long long) ((part->windows[0].window - ours) / USECS_PER_SEC)),
				 errdetail("A rolling view shows what was counted until now: what is now there is "
						   "the future here."),
				 errhint("Set the clocks by NTP.")));
		latest = Max(latest, part->windows[0].window);
		bs_window_info_add(&reading->windows[0], &part->windows[0]);
		reading->nwindows = 1;
	}
	reading->windows[0].window = latest;
}

static void
unite_windows(BsNodeReading *reading)
{
	bool windowed = reading->view->program.windowed;
	Size n = 0;
	int kept = 0;

	for (int i = 0; i < reading->nparts; i++)
		n += (Size) reading->parts[i].nwindows;
	reading->windows = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(BsWindowInfo) * (n + 1));
	n = 0;
	for (int i = 0; i < reading->nparts; i++)
	{
		const BsNodePart *part = &reading->parts[i];

		for (int w = 0; w < part->nwindows && !part->left_out; w++)
			if (!windowed || part->windows[w].window >= reading->dropped_before)
				reading->windows[n++] = part->windows[w];
	}
	qsort(reading->windows, n, sizeof(BsWindowInfo), window_compare);
	for (Size i = 0; i < n; i++)
	{
		if (kept > 0 && reading->windows[kept - 1].window == reading->windows[i].window)
			bs_window_info_add(&reading->windows[kept - 1], &reading->windows[i]);
		else
			reading->windows[kept++] = reading->windows[i];
	}
	for (int i = 0; i < kept; i++)
		reading->windows[i].closed =
			windowed && reading->windows[i].window < reading->closed_before;
	reading->nwindows = kept;
}

BsWindowInfo *
bs_node_reading_windows(BsNodeReading *reading, int *nwindows)
{
	BsWindowInfo *copy;
	MemoryContext outer;

	reading->conditions = NULL;
	MemoryContextReset(reading->list_context);
	MemoryContextReset(reading->fetch_context);
	reading->nfetched = 0;
	reading->nexpected = 0;
	outer = MemoryContextSwitchTo(reading->list_context);
	ask_windows(reading);
	unite_extents(reading);
	if (reading->rolling)
		unite_rolling(reading);
	else
		unite_windows(reading);
	bs_node_reading_mark_gaps(reading);
	MemoryContextSwitchTo(outer);
	warn_of_states(reading);
	copy = MemoryContextAllocHuge(CurrentMemoryContext,
								  sizeof(BsWindowInfo) * (Size) (reading->nwindows + 1));
	memcpy(copy, reading->windows, sizeof(BsWindowInfo) * (Size) reading->nwindows);
	*nwindows = reading->nwindows;
	return copy;
}

/* ---------- what they hold ---------- */

void
bs_node_reading_expect(BsNodeReading *reading, const BsWindowInfo *windows, int nwindows)
{
	reading->expected =
		MemoryContextAllocHuge(reading->list_context, sizeof(int64) * (Size) (nwindows + 1));
	for (int i = 0; i < nwindows; i++)
		reading->expected[i] = windows[i].window;
	reading->nexpected = nwindows;
}

void
bs_node_reading_want(BsNodeReading *reading, const char *conditions)
{
	reading->conditions =
		conditions != NULL ? MemoryContextStrdup(reading->list_context, conditions) : NULL;
}

/* A span of time that ends a pane's width after its start: that is what nodes are asked for. */
void
bs_node_reading_by_pane(BsNodeReading *reading)
{
	const BsWindowing *windowing = &reading->view->program.windowing;

	reading->reach = windowing->pane_usec - windowing->size_usec;
}

const BsWindowInfo *
bs_node_reading_about(const BsNodeReading *reading, int64 start)
{
	BsWindowInfo key = {.window = start};

	if (reading->reach != 0)
		key.window = bs_window_start(&reading->view->program.windowing, start);
	return reading->nwindows > 0 ? bsearch(&key, reading->windows, (size_t) reading->nwindows,
										   sizeof(BsWindowInfo), window_compare)
								 : NULL;
}

static uint64
bytes_of(const BsNodeReading *reading, int64 start)
{
	const BsWindowInfo *found = bs_node_reading_about(reading, start);

	return found != NULL ? found->bytes : 0;
}

/* This window (or pane) and those expected behind it, as many as may come together. */
static void
fetch_from(BsNodeReading *reading, int64 window)
{
	int64 *windows;
	int64 *lasts;
	int from = 0;
	int n = 0;
	uint64 bytes = 0;

	while (from < reading->nexpected && reading->expected[from] != window)
		from++;
	windows = palloc(sizeof(int64) * (Size) (Max(reading->nexpected - from, 0) + 1));
	windows[n++] = window;
	bytes = bytes_of(reading, window);
	for (int i = from + 1; i < reading->nexpected && n < BS_FETCH_WINDOWS; i++)
	{
		bytes += bytes_of(reading, reading->expected[i]);
		if (bytes > BS_FETCH_BYTES)
			break;
		windows[n++] = reading->expected[i];
	}
	lasts = palloc(sizeof(int64) * (Size) n);
	for (int i = 0; i < n; i++)
		lasts[i] = windows[i] + reading->reach;
	bs_node_reading_fetch(reading, windows, lasts, n);
	pfree(lasts);
	pfree(windows);
}

static BsFetched *
find_fetched(BsNodeReading *reading, int64 first, int64 last)
{
	for (int i = 0; i < reading->nfetched; i++)
		if (reading->fetched[i].first == first && reading->fetched[i].last == last &&
			reading->fetched[i].data != NULL)
			return &reading->fetched[i];
	return NULL;
}

bool
bs_node_reading_gone(const BsNodeReading *reading, int64 window)
{
	for (int i = 0; i < reading->nfetched; i++)
		if (reading->fetched[i].first == window)
			return reading->fetched[i].gone;
	return false;
}

static void
free_fetched(void *arg)
{
	bs_window_data_free(arg);
}

/* From now on it is the caller's. */
static BsWindowData *
take_fetched(BsFetched *fetched, MemoryContext context)
{
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(*callback));
	BsWindowData *data = MemoryContextAllocZero(context, sizeof(*data));

	callback->func = free_fetched;
	callback->arg = data;
	MemoryContextRegisterResetCallback(context, callback);
	*data = *fetched->data;
	fetched->data->arena = NULL;
	fetched->data->table = NULL;
	fetched->data = NULL;
	return data;
}

/* Time goes on: when a node has dropped the beginning of the window meanwhile, there is a later one. */
static BsWindowData *
load_rolling(BsNodeReading *reading, MemoryContext context)
{
	for (int tries = 1;; tries++)
	{
		int nwindows;

		if (reading->nwindows == 0)
			return MemoryContextAllocZero(context, sizeof(BsWindowData));
		bs_node_reading_check_missed(reading, reading->windows[0].window, reading->windows[0].window);
		bs_node_reading_fetch(reading, &reading->windows[0].window, &reading->windows[0].window, 1);
		if (!reading->fetched[0].gone)
			return take_fetched(&reading->fetched[0], context);
		if (tries == MAX_ROLLING_TRIES)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the window of continuous view \"%s\" goes on faster than it is read",
							reading->def->name),
					 errhint("Give it a longer slide.")));
		(void) bs_node_reading_windows(reading, &nwindows);
	}
}

BsWindowData *
bs_node_reading_load(BsNodeReading *reading, int64 first, int64 last, MemoryContext context)
{
	BsFetched *fetched = find_fetched(reading, first, last);

	if (reading->rolling)
		return load_rolling(reading, context);
	if (!reading->tolerant)
		bs_node_reading_check_missed(reading, first, last);
	if (fetched == NULL && last - first == reading->reach)
		fetch_from(reading, first);
	else if (fetched == NULL)
		bs_node_reading_fetch(reading, &first, &last, 1);
	return take_fetched(find_fetched(reading, first, last), context);
}

/* ---------- EXPLAIN ---------- */

void
bs_node_reading_explain(const BsNodeReading *reading, ExplainState *es)
{
	ExplainOpenGroup("Nodes", "Nodes", false, es);
	for (int i = 0; i < reading->nparts; i++)
	{
		const BsNodePart *part = &reading->parts[i];
		double msec = (double) part->usec / 1000.0;

		ExplainOpenGroup("Node", NULL, true, es);
		if (es->format == EXPLAIN_FORMAT_TEXT)
		{
			appendStringInfoSpaces(es->str, es->indent * 2);
			appendStringInfo(es->str, "Node %s: ", part->node->name);
			if (part->left_out)
				appendStringInfoString(es->str, "no answer");
			else
				appendStringInfo(es->str, "groups=" UINT64_FORMAT " bytes=" UINT64_FORMAT,
								 part->groups, part->bytes);
			if (es->timing)
				appendStringInfo(es->str, " time=%.3f ms", msec);
			appendStringInfoChar(es->str, '\n');
		}
		else
		{
			ExplainPropertyText("Node", part->node->name, es);
			ExplainPropertyBool("Answered", !part->left_out, es);
			ExplainPropertyUInteger("Groups", NULL, part->groups, es);
			ExplainPropertyUInteger("Bytes", NULL, part->bytes, es);
			if (es->timing)
				ExplainPropertyFloat("Time", "ms", msec, 3, es);
		}
		ExplainCloseGroup("Node", NULL, true, es);
	}
	ExplainCloseGroup("Nodes", "Nodes", false, es);
}
