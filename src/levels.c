/* SPDX-License-Identifier: PostgreSQL */
/*
 * levels.c: which views over views have something to read, for how long, and when to give up waiting.
 * See levels.h.
 *
 * Whether there is anything to do is a look at shared memory; only then does the keeper start a
 * transaction.  It works for a bounded time in each turn, and in between looks after the windows of all
 * other views.
 */
#include "backstream.h"

#include "access/xact.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "guard.h"
#include "levels.h"
#include "prefix.h"

#define TURN_USEC    (INT64CONST(200) * 1000) /* of feeding, in one turn of the keeper */
#define BREATHE_USEC (INT64CONST(100) * 1000) /* between two looks at the windows of all views */
#define RETRY_USEC   USECS_PER_SEC            /* after a view could not be fed */

/* What the keeper remembers of each slot. */
typedef struct Memory
{
	uint64 fingerprint;       /* of the definition that this is about */
	TimestampTz retry_at;     /* not before; 0: at once */
	TimestampTz waited_since; /* windows past retention are kept for it; 0: none */
} Memory;

static Memory *memories;
static TimestampTz breathed_at;

/* A view over a view, and what is to be read for it. */
typedef struct Level
{
	BsSharedView *view;
	Oid relid;
	uint64 fingerprint;
	Oid lower;
	uint64 lower_fingerprint;
	int64 fed_before;
	int64 closed_below;
	int64 dropped_below; /* what retention would have dropped by now */
} Level;

/* The state of slot number i; false when it is not a view over a view that is being counted. */
static bool
level_read(int i, Level *level)
{
	BsSharedView *view = bs_registry_slot(i);
	BsSharedView *lower = NULL;

	bs_registry_lock_shared();
	if (OidIsValid(view->relid) && view->role != BS_SLOT_PREDECESSOR &&
		OidIsValid(view->timing.lower) && view->timing.feeding == BS_FEED_LEVEL)
		lower = bs_registry_slot_of(view->timing.lower);
	if (lower != NULL)
	{
		level->view = view;
		level->relid = view->relid;
		level->fingerprint = view->fingerprint;
		level->lower = lower->relid;
		level->lower_fingerprint = lower->fingerprint;
		level->fed_before = (int64) pg_atomic_read_u64(&view->fed_before);
		level->closed_below = (int64) pg_atomic_read_u64(&lower->closed_before);
		level->dropped_below = bs_time_minus(level->closed_below, lower->timing.retain_usec);
	}
	bs_registry_unlock();
	return lower != NULL;
}

bool
bs_levels_pending(void)
{
	Level level;

	for (int i = 0; i < bs_registry_nslots(); i++)
		if (level_read(i, &level) && level.fed_before < level.closed_below)
			return true;
	return false;
}

void
bs_levels_breathe(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now >= breathed_at && now - breathed_at < BREATHE_USEC)
		return;
	breathed_at = now;
	bs_views_advance();
}

/* ---------- feeding ---------- */

static Memory *
memory_of(int i, const Level *level)
{
	if (memories == NULL)
		memories =
			MemoryContextAllocZero(TopMemoryContext, sizeof(Memory) * (Size) bs_registry_nslots());
	if (memories[i].fingerprint != level->fingerprint)
		memories[i] = (Memory){.fingerprint = level->fingerprint};
	return &memories[i];
}

typedef struct Feeding
{
	BsActiveView *view;
	TimestampTz deadline;
	bool fed;
} Feeding;

static void
feed(void *argument)
{
	Feeding *feeding = argument;

	feeding->fed = bs_feed_up(feeding->view, feeding->deadline);
}

/*
 * A view that cannot be fed (memory, a definition that is no longer right) says why and is tried again
 * later; the others go on.
 */
static bool
feed_guarded(BsActiveView *view, TimestampTz deadline)
{
	Feeding feeding = {.view = view, .deadline = deadline};
	ErrorData *error = bs_guarded(feed, &feeding);

	if (error == NULL)
		return feeding.fed;
	bs_prefix_leave_all();
	bs_view_report_error(view->shared, error->message);
	FreeErrorData(error);
	return false;
}

/* One pass over all views; returns whether some view has got something. */
static bool
feed_pass(TimestampTz deadline)
{
	bool progress = false;
	Level level;

	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		Memory *memory;
		BsActiveView *view;

		if (!level_read(i, &level) || level.fed_before >= level.closed_below)
			continue;
		memory = memory_of(i, &level);
		view = bs_active_find(level.view);
		if (memory->retry_at > GetCurrentTimestamp() || view == NULL || view->shared != level.view)
			continue;
		memory->retry_at = 0;
		if (!feed_guarded(view, deadline))
			memory->retry_at = GetCurrentTimestamp() + RETRY_USEC;
		progress |= (int64) pg_atomic_read_u64(&level.view->fed_before) > level.fed_before;
	}
	return progress;
}

/*
 * Definitions, rights and functions as they are now, then whatever there is to read.  Returns whether time
 * ended it.
 */
static bool
feed_all(void)
{
	TimestampTz deadline;
	bool progress;
	uint64 generation = bs_registry_generation();
	MemoryContext context;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!bs_active_stale() || bs_active_refresh(BS_REFRESH_NOWAIT))
		pg_atomic_write_u64(&bs_shared_keeper()->generation, generation);
	context =
		AllocSetContextCreate(TopTransactionContext, "backstream levels", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	deadline = GetCurrentTimestamp() + TURN_USEC;
	/* What is fed closes windows, which are for the next level. */
	while ((progress = feed_pass(deadline)) && GetCurrentTimestamp() < deadline)
		MemoryContextReset(context);
	MemoryContextSwitchTo(TopTransactionContext);
	PopActiveSnapshot();
	CommitTransactionCommand();
	/* Advisory locks that code of views has taken would stay as long as the keeper. */
	LockReleaseSession(USER_LOCKMETHOD);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	return progress;
}

/* ---------- giving up ---------- */

bool
bs_level_wait_is_over(TimestampTz *since, bool waiting)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!waiting)
		*since = 0;
	else if (*since == 0 || *since > now)
		*since = now;
	else if (now - *since > (int64) bs_setting_level_wait_msec * 1000)
	{
		*since = 0;
		return true;
	}
	return false;
}

/* Past retention for longer than backstream.level_wait: memory is wanted for what comes now. */
static void
give_up(void)
{
	Level level;

	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		BsSharedView *lower;

		if (!level_read(i, &level) ||
			!bs_level_wait_is_over(&memory_of(i, &level)->waited_since,
								   level.fed_before < level.dropped_below))
			continue;
		bs_feed_pass(level.view, level.fingerprint,
					 (BsPassed){.before = level.dropped_below,
								.nmissed = bs_view_count_windows(level.lower, level.lower_fingerprint,
																 level.fed_before, level.dropped_below)});
		lower = bs_registry_find(level.lower, level.lower_fingerprint);
		if (lower != NULL)
			bs_view_release(lower);
	}
}

bool
bs_levels_turn(void)
{
	BsSharedWorker *keeper = bs_shared_keeper();
	bool more = false;

	/* Whoever waits for everything to be fed looks for what is pending first, then at this. */
	pg_atomic_write_u32(&keeper->busy, 1);
	pg_memory_barrier();
	if (pg_atomic_read_u64(&keeper->generation) != bs_registry_generation() || bs_levels_pending())
		more = feed_all();
	give_up();
	pg_memory_barrier();
	pg_atomic_write_u32(&keeper->busy, 0);
	return more;
}
