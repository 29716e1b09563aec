/* SPDX-License-Identifier: PostgreSQL */
/*
 * checkpoint.h: windows outlive the server: the keeper writes them to files, and takes them up again.
 *
 * Panes that have closed are written once, into a segment; counters and open panes every
 * backstream.checkpoint_interval, into the view's state, and when the server is stopped.  The state says which
 * segments belong to it: whatever a crash has left half done is not taken up.
 *
 * At start nobody adds or reads before everything has been taken up (bs_restart_wait), so that a window is seen
 * whole or not at all.
 *
 *   checkpointfile.c  one file
 *   checkpoint.c      when, and of which view; the last one
 *   checkpointview.c  one view into its files
 *   restart.c         all of it back
 */
#ifndef BS_CHECKPOINT_H
#define BS_CHECKPOINT_H

#include "active.h"
#include "checkpointfile.h"

/* What the keeper knows of a slot to write it: compiled ahead, for it writes also while it ends. */
typedef struct BsFiled
{
	Oid relid; /* InvalidOid: nothing */
	uint64 fingerprint;
	BsViewProgram *compiled;
	BsPacker *packer;
	/* Segments on disk, first .. end - 1, and the last start of the panes in each. */
	uint64 first_segment;
	uint64 end_segment;
	int64 *last_starts; /* malloc'ed [capacity], of segment first_segment + i */
	uint64 capacity;
	int64 segmented_before; /* groups of panes that start before this are in segments */
	uint64 written;         /* a number for what the last state said; 0: none was written */
} BsFiled;

/* Compile a view for its files: in a transaction, the relation locked; raises errors. */
extern void bs_filed_make(BsFiled *kept, BsViewProgram *compiled, Oid relid);
extern void bs_filed_free(BsFiled *kept);
/* One more segment; false when memory is out. */
extern bool bs_filed_add_segment(BsFiled *kept, int64 last_start);

/*
 * Write what has changed.  Returns 0 or an errno.  Raises nothing.  breathe: called now and then, or NULL.
 */
extern int bs_checkpoint_view(BsFiled *kept, BsSharedView *view, void (*breathe)(void),
							  uint64 *bytes);

/* ---------- the keeper ---------- */

/* Once, before anything else: take up what is in the files.  Outside of transactions. */
extern void bs_restart_run(void);

/* What is kept of the slot with this number. */
extern BsFiled *bs_filed_of(int slot);

/* Each turn, outside of transactions: write if it is time. */
extern void bs_checkpoint_turn(void);

/* Files of views that are not in the list go. */
extern void bs_checkpoint_forget(List *views);

/*
 * The last one: before_shmem_exit callbacks, of a process that ends because it was told to.  The first waits for who still
 * adds, and compiles what was defined a moment ago, so that it is written too; the second writes.  They are two because
 * an error cannot be caught while a process ends: where the first one meets one, what had been compiled before is
 * still written.  The keeper's handler of SIGTERM does what die() does, and remembers it.
 */
extern void bs_checkpoint_prepare_last(int code, Datum argument);
extern void bs_checkpoint_last(int code, Datum argument);
extern void bs_checkpoint_sigterm(SIGNAL_ARGS);

/* ---------- everybody else ---------- */

/*
 * Wait until the windows of before have been taken up, serving interrupts, but not for ever: false when that takes
 * long, or nobody is there to do it.
 */
extern bool bs_restart_wait(void);

/* The same for sessions: an error instead of false. */
extern void bs_restart_require(void);

#endif
