/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodefetch.c: what windows hold, asked of all nodes at once and merged as it comes.  See noderead.h.
 *
 * There is one table per range of windows, into which every message of every node is merged as soon as it is whole and
 * has been looked at (engine/pack.h): nothing of a node is kept but the message that is just being read.
 */
#include "backstream.h"

#include <libpq-fe.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/pack.h"
#include "foreignagg.h"
#include "nodepartials.h"
#include "noderead.h"

/* Beside what nodes have said their groups take: their tables are not ours. */
#define SLACK_BYTES (4 * BS_ARENA_MAX_BLOCK)
#define MAX_TRIES   6

/* The answer of one node. */
typedef struct Answer
{
	BsNodeReading *reading;
	BsNodePart *part;
	BsUnpacker *unpacker;
	bool ended;
	bool *overflowed; /* of the fetch */
} Answer;

/* ---------- messages ---------- */

/* Asked by the unpacker of every state of a foreign aggregate. */
static bool
state_is_valid(void *context, uint32_t foreign, BsBytes state)
{
	const BsViewProgram *view = context;

	return foreign < (uint32_t) view->nforeign &&
		   bs_foreignagg_state_valid(view->foreign[foreign], state);
}

static bool
fail_unpacking(BsNodeRequest *request, BsPackStatus status)
{
	if (status == BS_PACK_NO_MEMORY)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	bs_node_fail(
		request, status == BS_PACK_TRUNCATED ? BS_NODE_UNREACHABLE : BS_NODE_MISFIT,
		ERRCODE_PROTOCOL_VIOLATION,
		psprintf("what it sent of its partial states %s", bs_pack_status_text(status)), NULL,
		status == BS_PACK_VERSION_UNKNOWN ? "Update the extension on the older of both servers."
										  : NULL);
	return false;
}

static bool
take_rows(BsNodeRequest *request, BsFetched *fetched, BsBytes message)
{
	Answer *answer = request->context;
	BsWindowData *data = fetched->data;
	BsUnpacked unpacked;
	BsPackStatus status = bs_unpack(answer->unpacker, message.data, message.len, &unpacked);

	if (status != BS_PACK_OK)
		return fail_unpacking(request, status);
	if (unpacked.kind == BS_PACK_PANE)
		answer->part->groups += unpacked.pane.ngroups;
	if (unpacked.kind == BS_PACK_ROWS && !fetched->gone &&
		bs_unpacked_merge(answer->unpacker, data->arena, data->table, answer->reading->writer,
						  UINT64_MAX) > 0)
		*answer->overflowed = true;
	return true;
}

static bool
take_end(BsNodeRequest *request, BsBytes message)
{
	Answer *answer = request->context;
	BsUnpacked unpacked;
	BsPackStatus status = bs_unpack(answer->unpacker, message.data, message.len, &unpacked);

	if (status == BS_PACK_OK && unpacked.kind != BS_PACK_END)
		status = BS_PACK_CORRUPT;
	if (status != BS_PACK_OK)
		return fail_unpacking(request, status);
	answer->ended = true;
	return true;
}

/* lacks: by column of the scan tuple; NULL: none. */
static void
note_lacks(const BsNodeReading *reading, BsFetched *fetched, const uint8 *lacks)
{
	int nscan = reading->view->nscan;

	if (lacks == NULL)
		return;
	if (fetched->data->lacks == NULL)
		fetched->data->lacks =
			MemoryContextAllocZero(reading->context, sizeof(bool) * (Size) (nscan + 1));
	for (int i = 0; i < nscan; i++)
		fetched->data->lacks[i] |= lacks[i] != 0;
}

static bool
take_message(BsNodeRequest *request, const PGresult *row)
{
	Answer *answer = request->context;
	const uint8 *bytes = (const uint8 *) PQgetvalue(row, 0, 0);
	int len = PQgetlength(row, 0, 0);
	BsBytes message;
	uint32 range;

	if (PQnfields(row) != 1 || PQgetisnull(row, 0, 0) || len < BS_PARTIALS_HEADER_BYTES)
		return fail_unpacking(request, BS_PACK_NOT_PACKED);
	range = (uint32) bytes[1] | (uint32) bytes[2] << 8 | (uint32) bytes[3] << 16 |
			(uint32) bytes[4] << 24;
	message.data = bytes + BS_PARTIALS_HEADER_BYTES;
	message.len = (uint32) (len - BS_PARTIALS_HEADER_BYTES);
	if (bytes[0] == BS_PARTIALS_END)
		return take_end(request, message);
	if (range >= (uint32) answer->reading->nfetched || answer->ended)
		return fail_unpacking(request, BS_PACK_CORRUPT);
	if (bytes[0] == BS_PARTIALS_GONE)
	{
		answer->reading->fetched[range].gone = true;
		return true;
	}
	if (bytes[0] == BS_PARTIALS_LACKS && message.len == (uint32) answer->reading->view->nscan)
	{
		note_lacks(answer->reading, &answer->reading->fetched[range], message.data);
		return true;
	}
	return take_rows(request, &answer->reading->fetched[range], message);
}

/* ---------- tables ---------- */

static void
free_data(void *arg)
{
	bs_window_data_free(arg);
}

/*
 * As many groups as the node with most has of these windows. The others have the same or others, nobody knows: an index
 * that grows costs less than one of which most is empty.
 */
static uint64
most_groups(const BsNodeReading *reading, int64 first, int64 last)
{
	uint64 most = 0;

	for (int i = 0; i < reading->nparts; i++)
	{
		const BsNodePart *part = &reading->parts[i];
		uint64 groups = 0;

		for (int w = 0; w < part->nwindows && !part->left_out; w++)
			if (part->windows[w].window >= first && part->windows[w].window <= last)
				groups += part->windows[w].groups;
		most = Max(most, groups);
	}
	return most;
}

/* What the nodes have said about these windows. */
static void
sum_windows(const BsNodeReading *reading, int64 first, int64 last, BsWindowInfo *sum)
{
	*sum = (BsWindowInfo){.window = first};
	if (reading->reach != 0)
	{
		const BsWindowInfo *about = bs_node_reading_about(reading, first);

		if (about != NULL)
			bs_window_info_add(sum, about);
		return;
	}
	for (int i = 0; i < reading->nwindows; i++)
		if (reading->windows[i].window >= first && reading->windows[i].window <= last)
			bs_window_info_add(sum, &reading->windows[i]);
}

static void
make_tables(BsNodeReading *reading, const int64 *firsts, const int64 *lasts, int n, int tries)
{
	MemoryContext outer;

	MemoryContextReset(reading->fetch_context);
	outer = MemoryContextSwitchTo(reading->fetch_context);
	reading->fetched = palloc0(sizeof(BsFetched) * (Size) n);
	reading->nfetched = n;
	for (int i = 0; i < n; i++)
	{
		BsFetched *fetched = &reading->fetched[i];
		MemoryContextCallback *callback = palloc0(sizeof(*callback));

		fetched->first = firsts[i];
		fetched->last = lasts[i];
		fetched->data = palloc0(sizeof(BsWindowData));
		callback->func = free_data;
		callback->arg = fetched->data;
		MemoryContextRegisterResetCallback(reading->fetch_context, callback);
		sum_windows(reading, firsts[i], lasts[i], &fetched->data->info);
		bs_window_data_make(fetched->data, &reading->view->program,
							(fetched->data->info.bytes * 2 + SLACK_BYTES) << tries,
							most_groups(reading, firsts[i], lasts[i]));
	}
	MemoryContextSwitchTo(outer);
}

/* ---------- this server as a node ---------- */

static void
merge_table(BsNodeReading *reading, BsWindowData *into, BsWindowData *from, bool *overflowed)
{
	const BsProgram *program = &reading->view->program;

	for (uint32 set = 0; set < program->nsets; set++)
		for (uint32 chunk = 0;
			 bs_table_merge_set_chunk(into->arena, into->table, program, reading->writer,
									  from->arena, from->table, set, chunk, UINT64_MAX);
			 chunk++)
			CHECK_FOR_INTERRUPTS();
	for (uint32 chunk = 0; chunk < from->table->nchunks; chunk++)
	{
		if (bs_table_merge_chunk(into->arena, into->table, program, reading->writer, from->arena,
								 from->table, chunk, UINT64_MAX) > 0)
			*overflowed = true;
		CHECK_FOR_INTERRUPTS();
	}
}

static void
fetch_local(BsNodeReading *reading, BsNodePart *part, bool *overflowed)
{
	for (int i = 0; i < reading->nfetched; i++)
	{
		BsFetched *fetched = &reading->fetched[i];
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "backstream window",
													  ALLOCSET_DEFAULT_SIZES);
		BsWindowData *data =
			bs_view_read_fixed(reading->local_def->relid, reading->local, reading->local_writer,
							   fetched->first, fetched->last, context);
		BsViewExtent extent;

		if (reading->local->program.windowed &&
			bs_view_extent(reading->local_def->relid, reading->local->program.fingerprint,
						   &extent) &&
			fetched->first < extent.dropped_before)
			fetched->gone = true;
		if (data->table != NULL)
		{
			part->groups += data->table->nrows;
			note_lacks(reading, fetched, (const uint8 *) data->lacks);
			merge_table(reading, fetched->data, data, overflowed);
		}
		MemoryContextDelete(context);
	}
}

/* ---------- asking ---------- */

static char *
array_text(const int64 *values, int n)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	for (int i = 0; i < n; i++)
		appendStringInfo(&text, "%s" INT64_FORMAT, i > 0 ? "," : "", values[i]);
	appendStringInfoChar(&text, '}');
	return text.data;
}

static void
free_unpacker(void *arg)
{
	bs_unpacker_free(arg);
}

/* In CurrentMemoryContext, with which it goes. */
static BsUnpacker *
make_unpacker(BsNodeReading *reading)
{
	MemoryContextCallback *callback = palloc0(sizeof(*callback));
	BsUnpacker *unpacker = bs_unpacker_create(&reading->view->program, reading->portable,
											  state_is_valid, reading->view);

	if (unpacker == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	callback->func = free_unpacker;
	callback->arg = unpacker;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return unpacker;
}

static void
add_costs(BsNodePart *part, const BsNodeRequest *request)
{
	part->rows += request->rows;
	part->bytes += request->bytes;
	part->usec += request->usec;
}

/* One attempt; false when it must be done again, because there was no room or a node has failed. */
static bool
try_fetch(BsNodeReading *reading, const char *const *values)
{
	BsNodeRequest *requests = palloc0(sizeof(BsNodeRequest) * (Size) reading->nparts);
	BsNodeRequest *asked = palloc0(sizeof(BsNodeRequest) * (Size) reading->nparts);
	bool overflowed = false;
	int nasked = 0;

	for (int i = 0; i < reading->nparts; i++)
	{
		BsNodePart *part = &reading->parts[i];
		Answer *answer;

		part->groups_before = part->groups;
		if (part->left_out || !OidIsValid(part->node->server))
			continue;
		answer = palloc0(sizeof(Answer));
		*answer = (Answer){.reading = reading, .part = part, .overflowed = &overflowed};
		answer->unpacker = make_unpacker(reading);
		asked[nasked++] = (BsNodeRequest){.node = part->node,
										  .sql = reading->conditions != NULL
													 ? "SELECT backstream.partials($1, $2, $3, $4, $5, $6)"
													 : "SELECT backstream.partials($1, $2, $3, $4, $5)",
										  .nparams = reading->conditions != NULL ? 6 : 5,
										  .values = values,
										  .binary = true,
										  .take = take_message,
										  .context = answer};
	}
	bs_nodes_ask(asked, nasked, 0);
	for (int i = 0; i < nasked; i++)
	{
		Answer *answer = asked[i].context;

		if (asked[i].trouble == BS_NODE_FINE && !answer->ended)
			(void) fail_unpacking(&asked[i], BS_PACK_TRUNCATED);
		add_costs(answer->part, &asked[i]);
		requests[answer->part - reading->parts] = asked[i];
	}
	if (bs_node_reading_failures(reading, requests))
		return false;
	for (int i = 0; i < reading->nparts; i++)
		if (!OidIsValid(reading->parts[i].node->server) && !reading->parts[i].left_out)
			fetch_local(reading, &reading->parts[i], &overflowed);
	/* The private tables' own left_out says whether they had room for all values. */
	for (int i = 0; i < reading->nfetched; i++)
		overflowed |= reading->fetched[i].data->table->left_out > 0;
	return !overflowed;
}

/* A window that is gone on one node is gone. */
static void
forget_gone(BsNodeReading *reading)
{
	for (int i = 0; i < reading->nfetched; i++)
		if (reading->fetched[i].gone)
		{
			bs_window_data_free(reading->fetched[i].data);
			reading->fetched[i].data->info = (BsWindowInfo){.window = reading->fetched[i].first};
		}
}

static int
count_left_out(const BsNodeReading *reading)
{
	int n = 0;

	for (int i = 0; i < reading->nparts; i++)
		n += reading->parts[i].left_out;
	return n;
}

void
bs_node_reading_fetch(BsNodeReading *reading, const int64 *firsts, const int64 *lasts, int n)
{
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "backstream fetching", ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(scratch);
	const char *values[] = {reading->schema, reading->name,
							psprintf(INT64_FORMAT, (int64) reading->portable),
							array_text(firsts, n), array_text(lasts, n), reading->conditions};
	int tries = 0;

	for (;;)
	{
		int left_out = count_left_out(reading);

		make_tables(reading, firsts, lasts, n, tries);
		if (try_fetch(reading, values))
			break;
		for (int i = 0; i < reading->nparts; i++)
			reading->parts[i].groups = reading->parts[i].groups_before;
		/* There are ever fewer nodes to lose: only growth needs a bound. */
		if (count_left_out(reading) == left_out && ++tries == MAX_TRIES)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
							errdetail("The groups of a window grew faster than they were read.")));
	}
	forget_gone(reading);
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(scratch);
}
