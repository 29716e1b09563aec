/* SPDX-License-Identifier: PostgreSQL */
/*
 * forwarding.c: what a receiver does about backstream.forward (forwarding.h), and the view of it.
 *
 * The sockets and counters are receiver/forward.c's; here is what needs PostgreSQL's clock, log and rows.
 */
#include "backstream.h"

#include <netdb.h>

#include "utils/timestamp.h"

#include "forwarding.h"
#include "registry.h"
#include "statrow.h"

BS_SQL_FUNCTION(bs_forward_counters);

#define TEND_USEC (INT64CONST(100) * 1000)
#define LOG_USEC (INT64CONST(60) * USECS_PER_SEC)

/* What has been said of a target. */
typedef struct Said
{
	uint32 state;
	uint64 dropped;
	uint64 looped;
} Said;

static Said said[BS_FORWARD_MAX_TARGETS];
static TimestampTz tend_at;
static TimestampTz log_at;

void
bs_forwarding_set(BsReceiver *receiver)
{
	char error[256];

	if (!bs_receiver_set_forward(receiver, bs_setting_forward, error, sizeof(error)))
		ereport(LOG, (errmsg("invalid value of backstream.forward: %s", error),
					  errhint("The receiver goes on forwarding as before.")));
	tend_at = 0;
}

static void
say_state(const BsForwardStats *stats, int worker)
{
	switch ((BsForwardState) stats->state)
	{
		case BS_FORWARD_OPEN:
			ereport(LOG, (errmsg("backstream receiver %d forwards to %s (%s)", worker, stats->target,
								 stats->address)));
			break;
		case BS_FORWARD_FAILED:
			ereport(LOG, (errmsg("backstream receiver %d cannot forward to %s: %s", worker, stats->target,
								 stats->lookup_status != 0 ? gai_strerror(stats->lookup_status)
														   : strerror(stats->last_errno)),
						  errhint("It will try again every few seconds.  See backstream.forwards.")));
			break;
		case BS_FORWARD_LOOP:
			ereport(LOG, (errmsg("backstream receiver %d does not forward to %s: it listens there itself",
								 worker, stats->target),
						  errhint("See backstream.forward and backstream.listen.")));
			break;
		case BS_FORWARD_UNUSED:
		case BS_FORWARD_RESOLVING:
			break;
	}
}

static void
say_counts(const BsForwardStats *stats, Said *known, int worker)
{
	if (stats->dropped > known->dropped)
		ereport(LOG, (errmsg("backstream receiver %d could not forward " UINT64_FORMAT
							 " more datagrams to %s",
							 worker, stats->dropped - known->dropped, stats->target),
					  stats->last_errno != 0 ? errdetail("The last error: %s.", strerror(stats->last_errno)) : 0,
					  errhint("See backstream.forwards.")));
	if (stats->looped > known->looped && stats->state != BS_FORWARD_LOOP)
		ereport(LOG, (errmsg("backstream receiver %d got " UINT64_FORMAT
							 " datagrams back that were forwarded to %s",
							 worker, stats->looped - known->looped, stats->target),
					  errdetail("They were not forwarded again, but their records have been counted twice."),
					  errhint("A collector forwards here what it gets from here: see backstream.forward.")));
	known->dropped = stats->dropped;
	known->looped = stats->looped;
}

void
bs_forwarding_tend(BsReceiver *receiver, int worker)
{
	const BsForwardStats *stats = bs_shared_forwards(worker);
	TimestampTz now = GetCurrentTimestamp();
	bool counts = now >= log_at;

	if (now < tend_at)
		return;
	tend_at = now + TEND_USEC;
	bs_receiver_tend_forward(receiver, now);
	for (int i = 0; i < BS_FORWARD_MAX_TARGETS; i++)
	{
		if (stats[i].state != said[i].state)
			say_state(&stats[i], worker);
		said[i].state = stats[i].state;
		if (counts && stats[i].state != BS_FORWARD_UNUSED)
			say_counts(&stats[i], &said[i], worker);
	}
	if (counts)
		log_at = now + LOG_USEC;
}

/* ---- backstream.forwards ---- */

static const char *const forward_states[] = {
	[BS_FORWARD_UNUSED] = NULL,
	[BS_FORWARD_RESOLVING] = "resolving",
	[BS_FORWARD_OPEN] = "open",
	[BS_FORWARD_FAILED] = "failed",
	[BS_FORWARD_LOOP] = "loop",
};

static void
forward_row(BsRow *row, const BsForwardStats *stats, int worker)
{
	BsForwardStats copy = *stats;
	bool known = copy.state < lengthof(forward_states);

	copy.target[sizeof(copy.target) - 1] = '\0';
	copy.address[sizeof(copy.address) - 1] = '\0';
	bs_row_put_text(row, copy.target);
	bs_row_put_text(row, copy.address[0] != '\0' ? copy.address : NULL);
	bs_row_put(row, Int32GetDatum(worker));
	bs_row_put_text(row, known ? forward_states[copy.state] : NULL);
	bs_row_put_count(row, copy.datagrams);
	bs_row_put_count(row, copy.bytes);
	bs_row_put_count(row, copy.dropped);
	bs_row_put_count(row, copy.looped);
	if (copy.lookup_status != 0)
		bs_row_put_text(row, gai_strerror(copy.lookup_status));
	else
		bs_row_put_text(row, copy.last_errno != 0 ? strerror(copy.last_errno) : NULL);
	bs_row_end(row);
}

Datum
bs_forward_counters(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	for (int worker = 0; worker < bs_setting_workers; worker++)
	{
		const BsForwardStats *stats = bs_shared_forwards(worker);

		for (int i = 0; i < BS_FORWARD_MAX_TARGETS; i++)
			if (__atomic_load_n(&stats[i].state, __ATOMIC_ACQUIRE) != BS_FORWARD_UNUSED)
				forward_row(&row, &stats[i], worker);
	}
	return (Datum) 0;
}
