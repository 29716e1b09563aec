/* SPDX-License-Identifier: PostgreSQL */
/*
 * outputs.c: which views have closed windows to hand on, when, and when to give up.  See outputs.h.
 *
 * Whether there is anything to do is a look at shared memory; only then is a transaction started, one for
 * each view, so that a view's failure is its own.
 */
#include "backstream.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"

#include "guard.h"
#include "levels.h"
#include "outputs.h"

#define TURN_USEC      (INT64CONST(200) * 1000) /* of handing on, in one turn */
#define RETRY_USEC     USECS_PER_SEC            /* after the first failure; twice as long after each further one */
#define MAX_RETRY_USEC (30 * USECS_PER_SEC)
#define BUSY_USEC      (INT64CONST(100) * 1000) /* after a lock was not free */
#define SAY_BUSY_USEC  USECS_PER_SEC            /* a lock that is not free for so long is an error to be shown */

/* What a process remembers of an output of each slot. */
typedef struct Memory
{
	uint64 fingerprint; /* of the definition that this is about */
	TimestampTz retry_at;
	int failures; /* in a row */
	TimestampTz busy_since;
	TimestampTz waited_since; /* the keeper's: windows past retention are kept for it; 0: none */
} Memory;

static Memory *memories[BS_NOUTPUTS];

static const char *const names[BS_NOUTPUTS] = {
	[BS_OUTPUT_NOTIFY] = "notify",
	[BS_OUTPUT_ARCHIVE] = "archive",
};

const char *
bs_output_name(BsOutput output)
{
	return names[output];
}

/* The state of slot number i; false when its view has no such output. */
static bool
task_read(int i, BsOutput output, BsOutputTask *task)
{
	BsSharedView *view = bs_registry_slot(i);
	bool wanted;

	memset(task, 0, sizeof(*task));
	bs_registry_lock_shared();
	wanted = OidIsValid(view->relid) && view->role == BS_SLOT_CURRENT && bs_view_has_output(view, output);
	if (wanted)
	{
		task->slot = i;
		task->view = view;
		task->relid = view->relid;
		task->fingerprint = view->fingerprint;
		task->closed_before = (int64) pg_atomic_read_u64(&view->closed_before);
		task->done_before = (int64) pg_atomic_read_u64(&view->outputs[output].done_before);
	}
	bs_registry_unlock();
	return wanted;
}

static Memory *
memory_of(int i, BsOutput output, const BsOutputTask *task)
{
	Memory *memory;

	if (memories[output] == NULL)
		memories[output] =
			MemoryContextAllocZero(TopMemoryContext, sizeof(Memory) * (Size) bs_registry_nslots());
	memory = &memories[output][i];
	if (memory->fingerprint != task->fingerprint)
		*memory = (Memory){.fingerprint = task->fingerprint};
	return memory;
}

bool
bs_outputs_pending(void)
{
	BsOutputTask task;

	for (int output = 0; output < BS_NOUTPUTS; output++)
		for (int i = 0; i < bs_registry_nslots(); i++)
			if (task_read(i, output, &task) && task.done_before < task.closed_before &&
				task.view->outputs[output].error[0] == '\0')
				return true;
	return false;
}

/* ---------- for those who hand on ---------- */

BsWindowInfo *
bs_output_windows(const BsOutputTask *task, int *nwindows)
{
	int nall;
	BsWindowInfo *windows = bs_view_windows(task->relid, task->fingerprint, NULL, &nall);

	*nwindows = 0;
	for (int i = 0; i < nall; i++)
		if (windows[i].window >= task->done_before && windows[i].window < task->closed_before)
			windows[(*nwindows)++] = windows[i];
	return windows;
}

void
bs_output_window_done(BsOutputTask *task, const BsWindowing *windowing, int64 window, uint64 rows,
					  uint64 rows_failed, const char *error)
{
	task->done_before = bs_window_next(windowing, window);
	task->windows++;
	task->rows += rows;
	task->rows_failed += rows_failed;
	if (error != NULL)
		strlcpy(task->error, error, sizeof(task->error));
}

void
bs_output_all_done(BsOutputTask *task)
{
	task->done_before = Max(task->done_before, task->closed_before);
}

bool
bs_output_time_is_over(const BsOutputTask *task)
{
	bs_levels_breathe();
	return (task->single && task->windows > 0) || GetCurrentTimestamp() >= task->deadline;
}

/* ---------- what came of it ---------- */

/* Empty: nothing is wrong any more. */
static void
say_error(BsSharedView *view, BsOutput output, const char *error)
{
	BsSharedOutput *shared = &view->outputs[output];
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&view->mutex);
	strlcpy(shared->error, error, sizeof(shared->error));
	if (error[0] != '\0')
		shared->error_at = now;
	SpinLockRelease(&view->mutex);
	if (error[0] != '\0')
	{
		char text[BS_ERROR_TEXT];

		snprintf(text, sizeof(text), "%s: %s", names[output], error);
		bs_view_report_error(view, text);
	}
}

/*
 * Raise the mark, unless the slot has become another definition's; where another has gone on from it, there.
 * Cannot fail.
 */
static void
pass(const BsOutputTask *task, BsOutput output, int64 done_before, uint64 nmissed)
{
	BsSharedView *view = task->view;

	bs_registry_lock_shared();
	if (view->relid == task->relid && view->fingerprint == task->fingerprint)
	{
		BsSharedOutput *shared;

		if (view->role == BS_SLOT_PREDECESSOR)
			view = bs_registry_slot_of(view->relid);
		shared = &view->outputs[output];
		if (done_before > (int64) pg_atomic_read_u64(&shared->done_before))
			pg_atomic_write_u64(&shared->done_before, (uint64) done_before);
		pg_atomic_fetch_add_u64(&shared->windows, task->windows);
		pg_atomic_fetch_add_u64(&shared->rows, task->rows);
		pg_atomic_fetch_add_u64(&shared->rows_failed, task->rows_failed);
		pg_atomic_fetch_add_u64(&shared->windows_missed, nmissed);
	}
	bs_registry_unlock();
	bs_view_release(view);
}

static void
succeeded(BsOutput output, Memory *memory, const BsOutputTask *task)
{
	memory->failures = 0;
	memory->retry_at = 0;
	memory->busy_since = 0;
	/* What is said of rows that were left out stays until something else is said. */
	if (task->error[0] != '\0' || task->windows > 0)
		say_error(task->view, output, task->error);
	pass(task, output, task->done_before, 0);
}

static void
failed(BsOutput output, Memory *memory, const BsOutputTask *task, const char *error)
{
	memory->retry_at = GetCurrentTimestamp() +
					   Min(MAX_RETRY_USEC, RETRY_USEC << Min(memory->failures, 10));
	memory->failures++;
	say_error(task->view, output, error);
}

static void
was_busy(BsOutput output, Memory *memory, const BsOutputTask *task)
{
	TimestampTz now = GetCurrentTimestamp();

	memory->retry_at = now + BUSY_USEC;
	if (memory->busy_since == 0 || memory->busy_since > now)
		memory->busy_since = now;
	else if (now - memory->busy_since > SAY_BUSY_USEC)
		say_error(task->view, output, "waiting for a lock that another transaction holds");
}

/* ---------- a run ---------- */

typedef struct Run
{
	BsOutputRun run;
	BsOutputTask *task;
	BsOutputOutcome outcome;
} Run;

/* BsGuardedCode */
static void
run_task(void *argument)
{
	Run *it = argument;

	it->outcome = it->run(it->task);
}

/* Whether there is more of this view to be handed on at once. */
static bool
run_view(BsOutput output, BsOutputRun run, BsOutputEnd end, Memory *memory, BsOutputTask *task,
		 MemoryContext context)
{
	Run it = {.run = run, .task = task, .outcome = BS_OUTPUT_BUSY};
	MemoryContext outer = MemoryContextSwitchTo(context);
	const ErrorData *error;

	task->single = memory->failures > 0;
	error = bs_guarded_transaction(run_task, &it);
	if (end != NULL)
		end(task, error == NULL);
	if (error != NULL)
		failed(output, memory, task, error->message);
	else if (it.outcome == BS_OUTPUT_BUSY)
		was_busy(output, memory, task);
	else
		succeeded(output, memory, task);
	MemoryContextSwitchTo(outer);
	MemoryContextReset(context);
	return error == NULL && it.outcome == BS_OUTPUT_SOME;
}

bool
bs_outputs_turn(BsOutput output, BsOutputRun run, BsOutputEnd end)
{
	static int next_slot[BS_NOUTPUTS];
	TimestampTz deadline = GetCurrentTimestamp() + TURN_USEC;
	MemoryContext context = NULL;
	bool more = false;
	BsOutputTask task;

	/* Where the last turn ended: nobody is always the last one. */
	for (int n = 0; n < bs_registry_nslots() && !more; n++)
	{
		int i = next_slot[output] % bs_registry_nslots();
		Memory *memory;

		next_slot[output] = i + 1;
		if (!task_read(i, output, &task) || task.done_before >= task.closed_before)
			continue;
		memory = memory_of(i, output, &task);
		if (memory->retry_at > GetCurrentTimestamp())
			continue;
		if (context == NULL)
			context = AllocSetContextCreate(TopMemoryContext, "backstream outputs", ALLOCSET_DEFAULT_SIZES);
		task.deadline = deadline;
		more = run_view(output, run, end, memory, &task, context) || GetCurrentTimestamp() >= deadline;
	}
	if (context != NULL)
	{
		MemoryContextDelete(context);
		pgstat_report_stat(true);
		pgstat_report_activity(STATE_IDLE, NULL);
	}
	return more;
}

/* ---------- giving up ---------- */

void
bs_outputs_give_up(void)
{
	BsOutputTask task;

	for (int output = 0; output < BS_NOUTPUTS; output++)
		for (int i = 0; i < bs_registry_nslots(); i++)
		{
			int64 dropped_below;

			if (!task_read(i, output, &task))
				continue;
			/* The slot may have become another view's meanwhile: then nothing is passed over. */
			dropped_below = bs_window_from(&task.view->timing.windowing,
										   bs_time_minus(task.closed_before, task.view->timing.retain_usec));
			if (bs_level_wait_is_over(&memory_of(i, output, &task)->waited_since,
									  task.done_before < dropped_below))
				pass(&task, output, dropped_below,
					 bs_view_count_windows(task.relid, task.fingerprint, task.done_before,
										   dropped_below));
		}
}
