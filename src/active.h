/* SPDX-License-Identifier: PostgreSQL */
/*
 * active.h: the continuous views that this process runs: compiled, and attached to shared memory.
 *
 * Receivers run the views over backstream.flow; a backend that inserts runs those over the streams it
 * feeds.  The list is made from the catalog and made again when definitions have changed; a view that
 * does not compile is left out and says why in its last error.
 */
#ifndef BS_ACTIVE_H
#define BS_ACTIVE_H

#include "query.h"
#include "registry.h"
#include "viewdef.h"

typedef struct BsActiveView
{
	Oid relid;
	Oid stream;
	bool over_view; /* stream is a continuous view: the keeper feeds this one (levels.h), or the fetcher (nodelevels.h) */
	bool waiting;   /* the definition that waits to take over */
	bool left_out;  /* not this process's: bs_active_take() */
	bool on_nodes;  /* these count it */
	bool current;   /* still in the catalog at the last look */
	bool fresh;   /* nothing that it was compiled from has changed since */
	int reported_code; /* SQLSTATE of why it does not compile; 0: it does, or was not tried */
	BsViewProgram *compiled;
	BsWriter *writer;
	BsSharedView *shared;
	/*
	 * Of sessions: NULL, or what shared has to be attached by once the transaction has committed; it is a stand-in
	 * (registry.h) until then.
	 */
	struct BsPendingView *pending;
	/* Of a batch, for programs with foreign aggregates: they are computed before any lock is taken. */
	BsPartial scratch;
	BsArena *scratch_arena;
	MemoryContext context; /* of what compiled holds */
	/*
	 * Views that count in the same panes (engine/partial.h): the one whose work is the others' too, NULL when that is
	 * this one or there are no others; and the next of them.  Between begin and end.
	 */
	struct BsActiveView *leader;
	struct BsActiveView *next_sharer;
	struct BsActiveView *next;
} BsActiveView;

/* Called once from _PG_init: what invalidates compiled views. */
extern void bs_active_init(void);

typedef enum BsActiveKind
{
	BS_ACTIVE_STREAMS, /* any */
	BS_ACTIVE_LEVELS,  /* views over views that are counted here: the keeper */
	BS_ACTIVE_FETCHED /* views over views that nodes keep, and views that nodes keep with outputs: the fetcher */
} BsActiveKind;

/* This process runs views of this kind, and no others. */
extern void bs_active_take(BsActiveKind wanted);

/* Has something changed since the last refresh? */
extern bool bs_active_stale(void);

/* What a view's options come to, once it has been compiled. */
extern BsViewTiming bs_active_timing(const BsViewProgram *compiled, const BsViewOptions *options);

/* Do two views over one stream count in the same panes? */
extern bool bs_active_same_panes(const BsViewProgram *a, const BsViewTiming *timing_a, const BsViewProgram *b,
								 const BsViewTiming *timing_b);

/* The slot of a view that has been compiled, made when there is none; NULL when all are taken.  It is locked. */
extern BsSharedView *bs_active_attach(const BsViewDef *def, const BsViewProgram *compiled);

typedef enum BsRefresh
{
	/*
	 * A receiver, the keeper: it must not wait.  A view whose relation is locked keeps its old program, or is taken up at
	 * the next refresh.
	 */
	BS_REFRESH_NOWAIT,
	/*
	 * A session that is about to commit what it may have changed itself: nothing in shared memory changes before
	 * bs_active_settle().  Views that wait for that stay locked, so that nobody replaces them in between.
	 */
	BS_REFRESH_COMMIT,
	/* A session that adds nothing: nothing changes. */
	BS_REFRESH_LOOK
} BsRefresh;

/* Bring the list up to date, inside a transaction with a snapshot.  False: some view could not be looked at. */
extern bool bs_active_refresh(BsRefresh mode);

/*
 * The session's transaction has committed: attach a view that could not be before.  False: all slots are taken.
 * Cannot fail.
 */
extern bool bs_active_settle(BsActiveView *view);

/* The same for views over views, whose windows below are kept for them from then on; before any window closes. */
extern void bs_active_settle_levels(void);

/* The views over a stream, in the order in which they share best: the first, or NULL; go on with bs_active_next(). */
extern BsActiveView *bs_active_first(Oid stream);
extern BsActiveView *bs_active_next(BsActiveView *view);

/* The entry that counts in a slot; NULL when there is none, or it does not compile. */
extern BsActiveView *bs_active_find(const BsSharedView *shared);

/* Which of a stream's columns its views read: sets wanted[]; false when no view is over it. */
extern bool bs_active_wanted(Oid stream, bool *wanted);

/*
 * Between begin and end the views over a stream share what they have in common in this batch
 * (engine/share.h), and those with the same panes have a leader.  with_groups: each view adds to one partial only, always (receivers).
 */
extern void bs_active_begin(Oid stream, const BsBatch *batch, bool with_groups);
extern void bs_active_end(Oid stream);
/* Views share nothing any more, until the next begin: before any program is freed. */
extern void bs_active_unshare(void);

/*
 * Evaluate a view over a batch and add what comes of it to a partial.  lock is that partial's when it
 * lies in shared memory (it is taken once, for adding), NULL when it is private.  A record whose
 * evaluation fails is counted there; *error becomes the message of the last such, good until the next
 * call, or stays as it is.
 */
extern void bs_active_add(BsActiveView *view, const BsBatch *batch, BsPartial *partial,
						  BsArena *arena, BsSharedPartial *lock, const char **error);

/*
 * Combine what merging the last batch's states into a partial has put side by side, where it has become
 * long.  The partial is of this fingerprint: the view's, or that of one with the same panes.  Between
 * bs_computed_begin and bs_computed_end; tidy.c.
 */
extern void bs_active_tidy(BsActiveView *view, BsPartial *partial, BsArena *arena,
						   BsSharedPartial *lock, uint64 fingerprint);

/* After an error: this process tidies nothing any more. */
extern void bs_active_end_tidying(void);

/* A receiver's batch of a stream, into its own partials of all views over it. */
extern void bs_active_feed(Oid stream, const BsBatch *batch, int writer);

/* Losses on the way to a receiver, to be shown at the windows they may have made smaller. */
extern void bs_active_note_loss(Oid stream, int writer, BsLoss loss);

#endif
