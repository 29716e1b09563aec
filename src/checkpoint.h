/* SPDX-License-Identifier: PostgreSQL */
/*
 * checkpoint.h: windows outlive the server: the keeper writes them to files, and takes them up again.
 *
 * Panes that have closed are written once, into a segment; counters and open panes every
 * backstream.checkpoint_interval, into the view's state, and when the server is stopped.  The state says which
 * segments belong to it: whatever a crash has left half done is not taken up.
 *
 * What a view goes on from (registry.h: predecessors) is in its files too, as groups of the definition that is shown,
 * with a list of what was not counted in them: of the older definition nothing else is left.  So all of a view is
 * written anew when it was replaced, and the older files stay until that is done.  (They say what their definition was:
 * after a crash the new one goes on from that.)  A definition that waits to take
 * over has files of its own.
 *
 * At start nobody adds or reads before everything has been taken up (bs_restart_wait), so that a window is seen
 * whole or not at all.
 *
 *   checkpointfile.c  one file, and the folder
 *   filed.c           what is written of a view, and by what program
 *   checkpoint.c      when, and of which view; the last one
 *   checkpointview.c  one view into its files
 *   checkpointolder.c groups of what it goes on from, on their way there
 *   restart.c         all of it back
 */
#ifndef BS_CHECKPOINT_H
#define BS_CHECKPOINT_H

#include "active.h"
#include "checkpointfile.h"
#include "signature.h"

/* A slot that a view goes on from.  It keeps its number, from 1, among the view's files. */
typedef struct BsFiledPart
{
	BsSharedView *view; /* NULL: it has gone */
	uint64 fingerprint;
	BsTranslation *translation; /* the compiled view's memory; of that, NULL when it has gone */
	uint8 *missing;             /* bs_signature_missing() */
} BsFiledPart;

/* What the keeper knows of a slot to write it: compiled ahead, for it writes also while it ends. */
typedef struct BsFiled
{
	Oid relid;    /* InvalidOid: nothing */
	bool waiting; /* the definition that waits to take over */
	bool replaces; /* there are files of what was there before: they go when the first state is written */
	uint64 failed; /* a fingerprint that could not be compiled; 0: none */
	uint64 fingerprint;
	uint64 generation; /* of the slot: another one began anew, even with this fingerprint */
	BsViewProgram *compiled;
	BsBytes options; /* of the definition, as it is written; the compiled view's memory */
	BsPacker *packer;
	BsWriter *writer; /* for parts; NULL: there are none */
	uint32 nparts;
	BsFiledPart parts[BS_MAX_PARTS - 1];
	/* Segments on disk, first .. end - 1, and the last start of the panes in each. */
	uint64 first_segment;
	uint64 end_segment;
	int64 *last_starts; /* malloc'ed [capacity], of segment first_segment + i */
	uint64 capacity;
	int64 segmented_before; /* groups of panes that start before this are in segments */
	uint64 written;         /* a number for what the last state said; 0: none was written */
} BsFiled;

/* What is kept of the slot with this number. */
extern BsFiled *bs_filed_of(int slot);

/* Begin with a view's definition, which keeps compiled from now on: in a transaction; raises errors. */
extern void bs_filed_make(BsFiled *kept, BsViewProgram *compiled, Oid relid, bool waiting);
/* One more part; NULL: it has gone.  The same. */
extern void bs_filed_add_part(BsFiled *kept, BsSharedView *part, const BsSignature *signature);
extern void bs_filed_free(BsFiled *kept);

/* Compile the definition that waits, or the one that is shown; NULL: none waits.  Raises errors. */
extern BsViewProgram *bs_filed_compile(Oid relid, bool waiting, BsViewDef **def);

/*
 * Compile what has come since the last time, outside of transactions.  Returns whether something is there that was
 * not taken up.  *replaced is set when a view with files is to be written anew.  last: the process ends, and what has
 * failed before is not tried again, for an error would end all of this.
 */
extern bool bs_filed_take_up(bool last, bool *replaced);
/* One more segment; false when memory is out. */
extern bool bs_filed_add_segment(BsFiled *kept, int64 last_start);

/*
 * Write what has changed.  Returns 0 or an errno.  Raises nothing.  breathe: called now and then, or NULL.
 */
extern int bs_checkpoint_view(BsFiled *kept, BsSharedView *view, void (*breathe)(void),
							  uint64 *bytes);

/*
 * The groups of one chunk of a pane of a part, in a private table of the view's program, or the values of a set of it (from
 * 1; 0: groups).  Takes the lock of the partial.
 */
typedef struct BsOlderRows
{
	BsArena *arena; /* to be freed; NULL: there is no such chunk, or memory is out */
	BsTable *table;
	bool no_memory;
} BsOlderRows;

extern BsOlderRows bs_older_rows(const BsFiled *kept, const BsFiledPart *part, int writer, int64 start,
								 uint32 set, uint32 chunk);

/* ---------- the keeper ---------- */

/* Once, before anything else: take up what is in the files.  Outside of transactions. */
extern void bs_restart_run(void);

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

/* A receiver listens, for the first time since the server's start: until now it was as good as down. */
extern void bs_restart_note_up(void);

#endif
