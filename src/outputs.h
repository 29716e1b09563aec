/* SPDX-License-Identifier: PostgreSQL */
/*
 * outputs.h: closed windows that are handed on without being asked for: as notifications (the keeper,
 * alerts.c) and into tables (the archiver, archive.c).
 *
 * Each output of a view has its own mark in shared memory, done_before: windows that start before it have
 * been handed on, or passed over.  Windows are handed on in order of time, each run of them in a transaction
 * of its own; the mark follows when that has committed.  While it lags behind, retention waits as it does for
 * views over views, for backstream.level_wait at most.  An output that fails says why, is tried again after a
 * while, one window at a time, and keeps nobody else waiting.
 *
 *   outputs.c   which views have something to hand on, when, and when to give up
 */
#ifndef BS_OUTPUTS_H
#define BS_OUTPUTS_H

#include "registry.h"

/* One run of an output of a view. */
typedef struct BsOutputTask
{
	/* Given: */
	int slot; /* its number */
	BsSharedView *view;
	Oid relid;
	uint64 fingerprint;
	int64 closed_before;
	bool single; /* the last attempt failed: one window and no more */
	TimestampTz deadline;
	/* The first window to hand on; moves on as they are. */
	int64 done_before;
	/* What was done: */
	uint64 windows;
	uint64 rows;
	uint64 rows_failed;
	char error[BS_ERROR_TEXT]; /* of the last row that could not be made */
} BsOutputTask;

typedef enum BsOutputOutcome
{
	BS_OUTPUT_ALL,  /* done_before is closed_before */
	BS_OUTPUT_SOME, /* time is over */
	BS_OUTPUT_BUSY  /* somebody holds a lock that would have to be waited for */
} BsOutputOutcome;

/*
 * Hand on windows from task->done_before on, until there are none or it is time to stop.  In a transaction
 * with a snapshot, which is committed afterwards unless it raises an error.
 */
typedef BsOutputOutcome (*BsOutputRun)(BsOutputTask *task);
/* The transaction has committed, or has not.  Cannot fail. */
typedef void (*BsOutputEnd)(const BsOutputTask *task, bool committed);

/*
 * One turn of a process, outside of any transaction, for a bounded time over all views; more: there is more
 * to do at once.
 */
extern bool bs_outputs_turn(BsOutput output, BsOutputRun run, BsOutputEnd end);

/* Give up waiting where that has been too long: the keeper's, for all outputs. */
extern void bs_outputs_give_up(void);

/* Is there something to hand on that has not failed? */
extern bool bs_outputs_pending(void);

/* The closed windows of a task that are to be handed on, in order: palloc'ed. */
extern BsWindowInfo *bs_output_windows(const BsOutputTask *task, int *nwindows);

/* A window has been handed on, with what there is to say of its rows; error may be NULL. */
extern void bs_output_window_done(BsOutputTask *task, const BsWindowing *windowing, int64 window,
								  uint64 rows, uint64 rows_failed, const char *error);

/* All of them have: what closed without records is done with too. */
extern void bs_output_all_done(BsOutputTask *task);

/* Is it time to stop?  Looks after the windows of all views meanwhile. */
extern bool bs_output_time_is_over(const BsOutputTask *task);

extern const char *bs_output_name(BsOutput output);

#endif
