/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodelevels.c: which views over views of nodes, and with outputs, are to be asked for, when, and what of it is read.
 * See nodelevels.h.
 *
 * Each view is a transaction of its own, so that its failure is its own.  In it the nodes are asked how far they
 * have come; what is ripe then is fetched, several windows at a time, and published one by one.
 */
#include "backstream.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "guard.h"
#include "levels.h"
#include "node.h"
#include "nodelevels.h"

#define TURN_USEC      USECS_PER_SEC            /* of one view, then the others' turn comes */
#define MIN_LOOK_USEC  (INT64CONST(100) * 1000) /* between two looks at the nodes of a view, ... */
#define MAX_LOOK_USEC  USECS_PER_SEC            /* ... which windows of 20 s and more have */
#define BUSY_USEC      (INT64CONST(100) * 1000) /* after a lock was not free */
#define MAX_RETRY_USEC (30 * USECS_PER_SEC)     /* after several errors */
#define IDLE_MSEC      1000
/* Nodes that began to count not longer ago than this began with us. */
#define NEW_USEC       (30 * USECS_PER_SEC)
#define NMARKS         64

/* When this process first saw that some node had closed all windows before this. */
typedef struct Mark
{
	int64 closed_before;
	int64 seen_at; /* bs_steady_now() */
} Mark;

/* What the fetcher remembers of each slot. */
typedef struct Memory
{
	uint64 fingerprint; /* of the definition that this is about */
	Oid relid;
	uint64 generation; /* of the slot: another one may be of the same definition again */
	int64 next_at; /* bs_steady_now() */
	int failures;  /* in a row */
	/* Of a view that nodes keep: windows before this that have not been merged are missed, so many to be counted yet. */
	int64 passed_before;
	uint64 nmissed;
	bool begun; /* it is decided where its notifications begin */
	int nmarks;
	Mark marks[NMARKS]; /* both fields ascend */
} Memory;

/* A view over a view of nodes, or one that they keep, and what comes of asking for it. */
typedef struct Task
{
	BsSharedView *view;
	Oid relid;
	uint64 fingerprint;
	uint64 generation;
	bool merges; /* nodes keep the view itself */
	Memory *memory;
	BsActiveView *active;
	/* In the transaction: */
	BsLevelFeed *feed;  /* of a level, */
	BsNodeMerge *merge; /* of the other */
	BsOwnerRows *rows;  /* of the view that nodes keep */
	BsNodeReading *reading;
	int64 closed_by_all;  /* every node has closed the windows before this, */
	int64 expired_before; /* and these have been waited for */
	uint64 nincomplete;   /* windows read without some node */
	int64 look_usec;      /* between two looks at the nodes */
	/* The outcome: */
	bool busy;   /* somebody holds a lock that would have to be waited for */
	bool more;   /* time is over */
	bool behind; /* some node could not be asked */
} Task;

static Memory *memories;

/* ---------- which ---------- */

/* Slot number i; false when it is not of such a view. */
static bool
task_read(int i, Task *task)
{
	BsSharedView *view = bs_registry_slot(i);
	bool wanted;

	memset(task, 0, sizeof(*task));
	bs_registry_lock_shared();
	wanted = OidIsValid(view->relid) && view->role != BS_SLOT_PREDECESSOR &&
			 bs_timing_is_fetched(&view->timing);
	if (wanted)
	{
		task->view = view;
		task->relid = view->relid;
		task->fingerprint = view->fingerprint;
		task->generation = view->generation;
		task->merges = view->timing.feeding == BS_FEED_NODES;
	}
	bs_registry_unlock();
	return wanted;
}

bool
bs_nodelevels_any(void)
{
	Task task;

	for (int i = 0; i < bs_registry_nslots(); i++)
		if (task_read(i, &task))
			return true;
	return false;
}

static Memory *
memory_of(int i, const Task *task)
{
	Memory *memory;

	if (memories == NULL)
		memories =
			MemoryContextAllocZero(TopMemoryContext, sizeof(Memory) * (Size) bs_registry_nslots());
	memory = &memories[i];
	if (memory->fingerprint != task->fingerprint || memory->relid != task->relid ||
		memory->generation != task->generation)
		*memory = (Memory){.fingerprint = task->fingerprint,
						   .relid = task->relid,
						   .generation = task->generation,
						   .passed_before = BS_TIME_NEG_INFINITY};
	return memory;
}

/* Windows that start before this have been read, or are missed. */
static int64
fed_before(const Task *task)
{
	return Max((int64) pg_atomic_read_u64(&task->view->fed_before), task->memory->passed_before);
}

static const BsWindowing *
windowing_of(const Task *task)
{
	return &task->rows->reader->view->program.windowing;
}

/* ---------- how far nodes are ---------- */

/* Forget what has been read, and when there is no room every second one: what follows it has later. */
static void
marks_tidy(Memory *memory, int64 read_before)
{
	int kept = 0;

	for (int i = 0; i < memory->nmarks; i++)
		if (memory->marks[i].closed_before > read_before)
			memory->marks[kept++] = memory->marks[i];
	memory->nmarks = kept;
	if (kept < NMARKS)
		return;
	for (int i = 0; i < NMARKS / 2; i++)
		memory->marks[i] = memory->marks[2 * i + 1];
	memory->nmarks = NMARKS / 2;
}

static void
marks_add(Memory *memory, int64 closed_before, int64 read_before)
{
	marks_tidy(memory, read_before);
	if (closed_before <= read_before)
		return;
	if (memory->nmarks == 0 || memory->marks[memory->nmarks - 1].closed_before < closed_before)
		memory->marks[memory->nmarks++] =
			(Mark){.closed_before = closed_before, .seen_at = bs_steady_now()};
}

/* Windows that start before this were closed somewhere so long ago that they are not waited for any more. */
static int64
marks_expired(const Memory *memory, int64 timeout_usec)
{
	int64 now = bs_steady_now();
	int64 before = BS_TIME_NEG_INFINITY;

	for (int i = 0; i < memory->nmarks; i++)
		if (now - memory->marks[i].seen_at >= timeout_usec)
			before = memory->marks[i].closed_before;
	return before;
}

/* The longest of the nodes'. */
static int64
timeout_of(const BsNodeReading *reading)
{
	int64 longest = 0;

	for (int i = 0; i < reading->nparts; i++)
		longest = Max(longest, bs_node_timeout_usec(reading->parts[i].node));
	return longest;
}

static void
look_how_far(Task *task)
{
	BsNodeReading *reading = task->reading;
	int64 closed_by_any = BS_TIME_NEG_INFINITY;

	task->closed_by_all = BS_TIME_INFINITY;
	for (int i = 0; i < reading->nparts; i++)
	{
		const BsNodePart *part = &reading->parts[i];

		if (part->left_out)
		{
			task->closed_by_all = BS_TIME_NEG_INFINITY;
			task->behind = true;
			continue;
		}
		task->closed_by_all = Min(task->closed_by_all, part->extent.closed_before);
		closed_by_any = Max(closed_by_any, part->extent.closed_before);
	}
	marks_add(task->memory, closed_by_any, fed_before(task));
	task->expired_before = marks_expired(task->memory, timeout_of(reading));
}

/*
 * A node to which nothing comes does not know how far time is elsewhere, and closes nothing, or by the clock of who sent
 * last: it is told.  What it has closed then is seen at the next look.
 */
static void
take_idle_along(Task *task, const BsWindowInfo *windows, int nwindows)
{
	const BsViewExtent *common = task->reading->common;
	int64 from = Max(fed_before(task), task->closed_by_all);

	if (bs_node_reading_advance(task->reading) == 0)
		return;
	/* What lies in the future they do not close yet. */
	for (int i = 0; i < nwindows; i++)
		task->behind |= windows[i].window >= from && windows[i].window < common->closed_before &&
						bs_window_end(windowing_of(task), windows[i].window) <= GetCurrentTimestamp();
}

/* ---------- one window ---------- */

/* The nodes that have told all of a window.  *wait: for others one may still hope. */
static int
count_answers(const Task *task, int64 window, bool *wait)
{
	const BsNodeReading *reading = task->reading;
	int answered = 0;

	*wait = false;
	for (int i = 0; i < reading->nparts; i++)
	{
		const BsNodePart *part = &reading->parts[i];

		if (part->left_out || part->extent.closed_before <= window)
			*wait = true;
		else if (!bs_node_reading_missed(reading, part, window) &&
				 strcmp(part->state, "active") == 0)
			answered++;
	}
	return answered;
}

static bool
any_answers(const BsNodeReading *reading)
{
	for (int i = 0; i < reading->nparts; i++)
		if (!reading->parts[i].left_out)
			return true;
	return false;
}

/* Windows that start before this are done with; those of them that were missed are counted. */
static void
pass(const Task *task, int64 before, uint64 nmissed, uint64 nincomplete)
{
	bs_feed_pass(task->view, task->fingerprint,
				 (BsPassed){.before = before,
							.nmissed = nmissed + task->memory->nmissed,
							.nincomplete = nincomplete,
							.on_nodes = true});
	task->memory->nmissed = 0;
}

/*
 * What some node has dropped is missed, and so is what comes while the view is suspended.  Of a view that nodes keep nothing
 * is closed by that: later windows may have panes in common with those.
 */
static void
miss(const Task *task, int64 before, uint64 nmissed)
{
	if (!task->merges)
	{
		pass(task, before, nmissed, 0);
		return;
	}
	task->memory->passed_before = Max(task->memory->passed_before, before);
	task->memory->nmissed += nmissed;
}

typedef enum Ripeness
{
	RIPE,
	NOT_RIPE, /* some node may still tell of it */
	GONE
} Ripeness;

/* Nodes may have failed since the list was made. */
static Ripeness
look_at_window(const Task *task, int64 window, bool gone, int *answered)
{
	bool wait;

	*answered = count_answers(task, window, &wait);
	if (gone)
		return GONE;
	return (wait && window >= task->expired_before) || !any_answers(task->reading) ? NOT_RIPE
																				   : RIPE;
}

/* The window's rows, where they are a level's records; false: not now. */
static bool
add_rows(Task *task, int64 window)
{
	BsLevelFeed *feed = task->feed;
	int answered;
	Ripeness ripeness;

	bs_level_begin(feed);
	bs_owner_rows_load(feed->rows, window);
	ripeness = look_at_window(task, window, bs_node_reading_gone(task->reading, window), &answered);
	if (ripeness == GONE || (ripeness == RIPE && !bs_level_rows(feed)))
		pass(task, window + 1, 1, 0);
	else if (ripeness == RIPE)
	{
		feed->window = window;
		feed->nodes_expected = (uint32) task->reading->nparts;
		feed->nodes_missing = (uint32) (task->reading->nparts - answered);
		task->nincomplete += window >= task->closed_by_all && feed->nodes_missing > 0;
		bs_level_publish(feed, bs_window_next(windowing_of(task), window));
	}
	bs_level_end(feed);
	return ripeness != NOT_RIPE;
}

/* The same of its states, of a view that nodes keep. */
static bool
add_states(Task *task, int64 window)
{
	BsNodeMerged merged = {.window = window,
						   .before = bs_window_next(windowing_of(task), window),
						   .missed_before = task->memory->passed_before,
						   .nmissed = task->memory->nmissed,
						   .nodes_expected = (uint32) task->reading->nparts};
	int answered;
	Ripeness ripeness;

	bs_node_merge_load(task->merge, window);
	ripeness = look_at_window(task, window, task->merge->gone, &answered);
	if (ripeness == GONE)
		miss(task, merged.before, 1);
	else if (ripeness == RIPE)
	{
		task->nincomplete += window >= task->closed_by_all && answered < task->reading->nparts;
		bs_node_merge_note_missing(task->merge, window);
		bs_node_merge_publish(task->merge, &merged);
		task->memory->nmissed = 0;
	}
	bs_node_merge_end(task->merge);
	return ripeness != NOT_RIPE;
}

/* What has been fetched of a window, if that is all or has been waited for; false: not now. */
static bool
feed_window(Task *task, int64 window)
{
	if (!bs_view_counts(task->view))
	{
		miss(task, bs_window_next(windowing_of(task), window), 1);
		return true;
	}
	return task->merges ? add_states(task, window) : add_rows(task, window);
}

/* ---------- all that is ripe ---------- */

/* How many windows may start from one time on, before another. */
static uint64
count_starts(const BsWindowing *windowing, int64 from, int64 before)
{
	return from < before ? (uint64) (before - from + windowing->slide_usec - 1) /
							   (uint64) windowing->slide_usec
						 : 0;
}

/* The first window from there on that some node can have counted. */
static int64
first_counted(const Task *task, int64 from)
{
	int64 since = task->reading->first_since;

	return since == BS_TIME_INFINITY ? from : Max(from, bs_window_first_after(windowing_of(task), since));
}

/*
 * What some node has dropped already cannot be read.  By the clock on the wall there was a window in each step of
 * it; else those are counted that other nodes still have.
 */
static void
pass_dropped(Task *task)
{
	const BsNodeReading *reading = task->reading;
	int64 from = fed_before(task);
	int64 before = reading->dropped_before;
	uint64 nmissed = 0;

	if (before <= from || from == BS_TIME_NEG_INFINITY)
		return;
	if (reading->def->options.clock == BS_CLOCK_WALL)
		nmissed = count_starts(windowing_of(task), first_counted(task, from), before);
	for (int i = 0; i < reading->nparts && reading->def->options.clock == BS_CLOCK_DATA; i++)
	{
		const BsNodePart *part = &reading->parts[i];
		uint64 n = 0;

		for (int w = 0; w < part->nwindows && !part->left_out; w++)
			n += part->windows[w].window >= from && part->windows[w].window < before;
		nmissed = Max(nmissed, n);
	}
	miss(task, before, nmissed);
}

/* Windows of a view that nodes keep in which nobody has anything. */
static void
merge_nothing(Task *task, int64 before, uint64 nincomplete)
{
	const BsNodeReading *reading = task->reading;
	BsNodeMerged merged = {.window = before,
						   .before = before,
						   .missed_before = task->memory->passed_before,
						   .nmissed = task->memory->nmissed,
						   .nincomplete = nincomplete,
						   .nodes_expected = (uint32) reading->nparts};

	for (int i = 0; i < reading->nparts; i++)
		merged.nodes_missing += reading->parts[i].left_out || reading->parts[i].extent.closed_before < before;
	bs_node_merge_end(task->merge);
	bs_node_merge_publish(task->merge, &merged);
	task->memory->nmissed = 0;
}

/*
 * All up to here has been read that somebody has told of.  By the clock on the wall there was a window in each step
 * that was not waited for any longer, if only of the node that does not answer.
 */
static void
pass_rest(Task *task, int64 from, int64 before)
{
	uint64 nsteps = 0;
	uint64 nincomplete;

	if (before <= fed_before(task) || (task->merges && !any_answers(task->reading)))
		return;
	if (task->reading->def->options.clock == BS_CLOCK_WALL && from != BS_TIME_NEG_INFINITY)
		nsteps = count_starts(windowing_of(task), Max(first_counted(task, from), task->closed_by_all), before);
	nincomplete = nsteps > task->nincomplete ? nsteps - task->nincomplete : 0;
	if (task->merges)
		merge_nothing(task, before, nincomplete);
	else
		pass(task, before, 0, nincomplete);
}

/* In order of time, until there are no more, or time is over, or a node has failed. */
static void
feed_windows(Task *task, const BsWindowInfo *windows, int nwindows)
{
	int64 ripe_before = Max(task->closed_by_all, task->expired_before);
	int64 deadline = bs_steady_now() + TURN_USEC;
	int64 from = fed_before(task);
	int first = 0;
	int end;

	while (first < nwindows && windows[first].window < from)
		first++;
	for (end = first; end < nwindows && windows[end].window < ripe_before; end++)
		;
	if (task->merges)
		bs_node_merge_expect(task->merge, windows + first, end - first);
	else
		bs_reader_expect(task->rows->reader, windows + first, end - first);
	for (int i = first; i < end; i++)
	{
		if (!feed_window(task, windows[i].window))
		{
			task->behind = true;
			return;
		}
		if (bs_steady_now() >= deadline && i + 1 < end)
		{
			task->more = true;
			return;
		}
	}
	pass_rest(task, from, ripe_before);
}

/* ---------- one view ---------- */

static Oid
owner_of(Oid relid)
{
	Relation relation = relation_open(relid, NoLock);
	Oid owner = relation->rd_rel->relowner;

	relation_close(relation, NoLock);
	return owner;
}

/* Both views are locked until the end of the transaction; false: not now. */
static bool
open_task(Task *task)
{
	if (!ConditionalLockRelationOid(task->relid, AccessShareLock) ||
		bs_registry_find(task->relid, task->fingerprint) != task->view)
		return false;
	if (task->merges)
	{
		task->merge = bs_node_merge_open(task->active);
		if (task->merge == NULL)
			return false;
		task->rows = task->merge->rows;
		task->reading = task->merge->reading;
	}
	else
	{
		task->feed = bs_level_open(task->active);
		if (task->feed == NULL)
			return false;
		task->rows = task->feed->rows;
		/* Nodes are asked as whoever reads the lower view: that is the upper one's owner. */
		task->reading = bs_reader_nodes(task->rows->reader, owner_of(task->relid));
	}
	task->reading->from = fed_before(task);
	return true;
}

static void
tell_trouble(const Task *task)
{
	for (int i = 0; i < task->reading->nparts; i++)
		if (task->reading->parts[i].left_out)
		{
			bs_view_report_error(task->view, task->reading->parts[i].trouble);
			return;
		}
}

/*
 * Notifications begin with what closes from now on, as seen at the first look that some node answers.  That is all of it
 * where the view was made on the nodes when it was made here; else what they closed before is passed over, unless a
 * table is to have it.  Of a view with notify_on = 'change' the last window of before is there to be compared with.
 */
static void
begin_outputs(Task *task)
{
	BsSharedOutput *notify = &task->view->outputs[BS_OUTPUT_NOTIFY];
	int64 closed;
	bool archives;
	bool notifies;

	if (!task->merges || task->memory->begun || !any_answers(task->reading))
		return;
	task->memory->begun = true;
	closed = bs_node_reading_closed(task->reading);
	if (fed_before(task) != BS_TIME_NEG_INFINITY || closed == BS_TIME_NEG_INFINITY ||
		!bs_node_merge_counted_before(task->merge, task->view->since - NEW_USEC))
		return;
	bs_registry_lock_shared();
	archives = bs_view_has_output(task->view, BS_OUTPUT_ARCHIVE);
	notifies = bs_view_has_output(task->view, BS_OUTPUT_NOTIFY);
	bs_registry_unlock();
	if (!notifies)
		return;
	pg_atomic_write_u64(&notify->done_before, (uint64) closed);
	if (!archives)
		task->memory->passed_before = closed - windowing_of(task)->slide_usec;
}

/* BsGuardedCode */
static void
run_task(void *argument)
{
	Task *task = argument;
	BsWindowInfo *windows;
	int nwindows;

	task->busy = !open_task(task);
	if (task->busy)
		return;
	bs_nodes_leave_out_away(task->reading);
	windows = bs_owner_rows_windows(task->rows, &nwindows);
	look_how_far(task);
	take_idle_along(task, windows, nwindows);
	begin_outputs(task);
	pass_dropped(task);
	feed_windows(task, windows, nwindows);
	bs_nodes_note_away(task->reading);
	tell_trouble(task);
	/* Windows of seconds do not wait for one. */
	task->look_usec = Min(Max(windowing_of(task)->slide_usec / 20, MIN_LOOK_USEC), MAX_LOOK_USEC);
	if (task->merges)
		bs_node_merge_close(task->merge);
	else
		bs_level_close(task->feed);
}

static void
end_task(Task *task, const ErrorData *error)
{
	Memory *memory = task->memory;
	int64 interval = task->look_usec;

	if (error != NULL && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
	{
		bs_view_report_error(task->view, error->message);
		interval = Min(USECS_PER_SEC << Min(memory->failures, 10), MAX_RETRY_USEC);
		memory->failures++;
	}
	else if (error != NULL || task->busy)
		interval = BUSY_USEC;
	else
		memory->failures = 0;
	if (task->more)
		interval = 0;
	task->behind |= error != NULL || task->busy || task->more;
	memory->next_at = bs_steady_now() + interval;
}

/* ---------- a turn ---------- */

/* BsGuardedCode */
static void
take_up_definitions(void *complete)
{
	*(bool *) complete = bs_active_refresh(BS_REFRESH_NOWAIT);
}

static bool
is_up_to_date(void)
{
	uint64 generation = bs_registry_generation();
	bool complete = true;

	if (bs_active_stale() && bs_guarded_transaction(take_up_definitions, &complete) != NULL)
		return false;
	/* Who waits for what was fetched waits for this first: only then is there a slot for each of these views. */
	if (complete)
		pg_atomic_write_u64(&bs_shared_fetcher()->generation, generation);
	return complete;
}

/* Ask for the view in slot number i if it is time; false: it may not have got all that there is. */
static bool
run_slot(int i, bool forced, int64 *next_at)
{
	Task task;
	bool soon;

	if (!task_read(i, &task))
		return true;
	task.memory = memory_of(i, &task);
	task.active = bs_active_find(task.view);
	/* The slot may have become another definition's since definitions were taken up. */
	if (task.active != NULL && (task.active->relid != task.relid ||
								task.active->compiled->program.fingerprint != task.fingerprint))
		task.active = NULL;
	/* What has failed is not asked for more often because somebody waits. */
	soon = forced && task.memory->failures == 0;
	if (task.active == NULL)
	{
		task.memory->next_at = bs_steady_now() + USECS_PER_SEC;
		task.behind = true;
	}
	else if (soon || task.memory->next_at <= bs_steady_now())
		end_task(&task, bs_guarded_transaction(run_task, &task));
	else
		task.behind = task.memory->failures > 0;
	*next_at = Min(*next_at, task.memory->next_at);
	return !task.behind;
}

static int64
run_slots(bool forced, uint32 *nbehind)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "backstream fetcher", ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	int64 next_at = bs_steady_now() + IDLE_MSEC * 1000;

	*nbehind = is_up_to_date() ? 0 : 1;
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!run_slot(i, forced, &next_at))
			(*nbehind)++;
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	return *nbehind > 0 ? Min(next_at, bs_steady_now() + BUSY_USEC) : next_at;
}

long
bs_nodelevels_turn(void)
{
	BsSharedFetching *shared = bs_shared_fetching();
	uint64 wanted = pg_atomic_read_u64(&shared->rounds_wanted);
	bool forced = wanted > pg_atomic_read_u64(&shared->rounds_done);
	uint32 nbehind = 0;
	int64 next_at = bs_steady_now() + IDLE_MSEC * 1000;

	if (bs_active_stale() || bs_nodelevels_any())
		next_at = run_slots(forced, &nbehind);
	if (forced)
	{
		pg_atomic_write_u32(&shared->behind, nbehind);
		pg_memory_barrier();
		pg_atomic_write_u64(&shared->rounds_done, wanted);
	}
	return (long) Max((next_at - bs_steady_now()) / 1000, 0);
}
