/* SPDX-License-Identifier: PostgreSQL */
/*
 * registry.h: continuous views in shared memory: who counts what, and where.
 *
 * The main shared memory segment holds, from the start of the server on:
 *
 *   BsShared        the head: locks, generation of definitions, one BsSharedWorker per receiver
 *   BsSharedView[]  a slot per view (backstream.max_views) and as many for what views have replaced, each
 *                   with one BsSharedPartial per writer
 *   exporters       counters by exporter, per receiver (receiver/decode.h)
 *   listeners       counters by socket, per receiver (receiver/loop.h)
 *   forwards        counters by target, per receiver (receiver/forward.h)
 *   source names    addresses of inserted exporters (sourcenames.h)
 *   arena           backstream.memory: panes and tables of all views (engine/arena.h)
 *
 * Writers are the receivers, 0 .. workers - 1, one more that all inserting backends share, and the keeper,
 * who feeds the views over views (levels.h); in its place the fetcher, where nodes keep what they are over, or the view.
 *
 * A slot belongs to a relation and to one definition of it (fingerprint: of what it counts).  Whoever has
 * read the definition from the catalog while holding a lock on the relation may attach (slots.c): the slot
 * is made, and when there was one for an older definition that the new one goes on from, that stays as its
 * predecessor until retention has emptied it; otherwise it is emptied.  Everybody else checks the fingerprint
 * under a lock and leaves the slot alone when it is not his.  decisions/0006-replace.md.
 *
 * Locks, in this order: registry lock, a view's advance lock, a partial's lock, the arena's spin lock.
 * docs/locking.md has the table.
 */
#ifndef BS_REGISTRY_H
#define BS_REGISTRY_H

#include "postgres.h"

#include <signal.h>

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "../receiver/decode.h"
#include "../receiver/loop.h"
#include "engine/partial.h"
#include "options.h"
#include "outages.h"
#include "sourcenames.h"

#define BS_MAX_LISTENERS 64
#define BS_OTHER_WORKERS 3 /* processes beside the receivers */
#define BS_ERROR_TEXT 256

typedef enum BsViewState
{
	BS_VIEW_ACTIVE = 1,
	BS_SUSPENDED_CODE,  /* its own code took too long or kept failing; last_error says why */
	BS_SUSPENDED_RIGHTS /* its owner may not read the stream */
} BsViewState;

/* What a view's windows are handed on to when they close: outputs.h. */
typedef enum BsOutput
{
	BS_OUTPUT_NOTIFY,
	BS_OUTPUT_ARCHIVE,
	BS_NOUTPUTS
} BsOutput;

typedef struct BsSharedOutput
{
	/* int64: windows that start before this have been handed on or passed over.  One process raises it, and
	 * the keeper when it gives up. */
	pg_atomic_uint64 done_before;
	/* Of these: */
	pg_atomic_uint64 windows; /* handed on */
	pg_atomic_uint64 rows;
	pg_atomic_uint64 rows_failed;    /* left out, because they could not be made */
	pg_atomic_uint64 windows_missed; /* dropped before they were handed on */
	/* Under the view's mutex: */
	TimestampTz error_at;
	char error[BS_ERROR_TEXT]; /* why nothing is handed on, or a row was left out; empty: all is well */
} BsSharedOutput;

/* Where the records of a view come from, or what is in its windows. */
typedef enum BsViewFeeding
{
	BS_FEED_WRITERS,    /* a stream: receivers, and backends that insert */
	BS_FEED_LEVEL,      /* a view that is counted here: the keeper reads its windows (levels.h) */
	BS_FEED_NODE_LEVEL, /* a view that nodes keep: the fetcher does (nodelevels.h) */
	BS_FEED_NODES /* nodes keep this one: the fetcher merges what they have closed, for its outputs (nodelevels.h) */
} BsViewFeeding;

/* What everybody must know of a view to close and drop its windows.  Set when attached. */
typedef struct BsViewTiming
{
	bool windowed;
	bool arrival; /* the window is over time_received of backstream.flow: arrival is its own watermark */
	bool rolling; /* rolling.h: its windows are panes of the one that goes with the clock */
	uint8 overflow; /* BsViewOverflow (timings are compared as bytes: no gaps) */
	int32 clock;  /* BsViewClock */
	Oid lower;    /* the view whose closed windows are this one's records; InvalidOid: it reads a stream */
	uint8 outputs; /* a bit for each BsOutput that the view has */
	uint8 feeding; /* BsViewFeeding */
	uint16 computed; /* expressions that PostgreSQL computes per record */
	BsWindowing windowing;
	int64 retain_usec;
	int64 lateness_usec;
	int64 idle_usec;
	int64 max_future_usec;
	int64 max_behind_usec; /* BS_TIME_INFINITY: none */
	int64 max_groups; /* in one pane */
} BsViewTiming;

/* Is fed_before its watermark? */
static inline bool
bs_timing_is_fed(const BsViewTiming *timing)
{
	return timing->feeding != BS_FEED_WRITERS;
}

/* Is it the fetcher who feeds it? */
static inline bool
bs_timing_is_fetched(const BsViewTiming *timing)
{
	return timing->feeding == BS_FEED_NODE_LEVEL || timing->feeding == BS_FEED_NODES;
}

/*
 * With the windows that start before closed_before closed, panes that start before this take no more records.  Of a
 * rolling view closed_before is where its window begins: what is in it is never closed.
 */
static inline int64
bs_timing_panes_closed_before(const BsViewTiming *timing, int64 closed_before)
{
	if (!timing->windowed)
		return BS_TIME_NEG_INFINITY;
	return timing->rolling ? closed_before : bs_panes_closed_before(&timing->windowing, closed_before);
}

/*
 * Set what a partial in private memory, which is merged into a shared one, does with groups beyond
 * max_groups.  Where they are gathered only the shared one knows which have a row already.
 */
static inline void
bs_timing_bound_private(const BsViewTiming *timing, BsPartial *partial)
{
	partial->gather_other = timing->overflow == BS_OVERFLOW_OTHER;
	if (partial->gather_other)
		partial->max_groups = UINT64_MAX;
}

/* One writer's partial of one view. */
typedef struct BsSharedPartial
{
	LWLock lock; /* protects partial; a writer holds it for one batch, a reader for one chunk */
	pg_atomic_uint32 writer_wants; /* a reader that sees it set waits before it takes the lock */
	/*
	 * 1 while some backend combines foreign states (tidy.c).  Only one may: a state that it has copied
	 * is recognised by its place, which another could free and somebody else take meanwhile.
	 */
	pg_atomic_uint32 tidying;
	BsPartial partial;
} BsSharedPartial;

typedef enum BsSlotRole
{
	BS_SLOT_CURRENT = 1, /* what the view shows */
	BS_SLOT_WAITING,     /* a definition that will take the place of the current one */
	BS_SLOT_PREDECESSOR  /* counted under an earlier definition that the current one goes on from */
} BsSlotRole;

/* Slots that a view's windows are read from: the current one and at most this many less one before it. */
#define BS_MAX_PARTS 16

typedef struct BsSharedView
{
	/* Under the registry lock: */
	Oid relid; /* InvalidOid: the slot is free */
	uint32 role; /* BsSlotRole */
	uint64 fingerprint;
	TimestampTz since; /* counting began */
	BsViewTiming timing; /* a predecessor's windows follow the current one's */
	uint64 signature;    /* BsSignature in the arena; 0: there was no room for it */
	uint32 signature_bytes;
	int32 predecessor;   /* number of the slot that this one goes on from; -1: none */
	uint64 clock_of;     /* stream and column that its windows are over, as a number */
	uint64 generation;   /* who has taken up the definitions of this one knows this slot */

	/* Under the mutex: */
	slock_t mutex;
	TimestampTz last_error_at;
	char last_error[BS_ERROR_TEXT];

	pg_atomic_uint32 state;         /* BsViewState */
	/* 1: a predecessor.  Set under the lock of the keeper's partial: what it reads below it adds no more. */
	pg_atomic_uint32 replaced;
	/*
	 * int64, of one that waits: its first window of which it has counted everything; BS_TIME_INFINITY: not
	 * known yet.  The keeper's.
	 */
	pg_atomic_uint64 full_from;
	pg_atomic_uint64 closed_before; /* int64: windows before this are closed in every partial */
	pg_atomic_uint64 front; /* int64: what the sources that are waited for have reached (advance.c) */
	pg_atomic_uint64 skipped;       /* records that came while it was suspended */
	pg_atomic_uint64 data_now;      /* int64: highest time of any record, the clock of clock = 'data' */
	/*
	 * Of a view over a view, or one that nodes keep.  fed_before is int64: windows of the lower view, or of the nodes',
	 * that start before this have been added or passed over; written under the lock of the keeper's partial, together
	 * with their rows.
	 */
	pg_atomic_uint64 fed_before;
	pg_atomic_uint64 windows_missed;     /* closed windows of these that were passed over */
	pg_atomic_uint64 windows_incomplete; /* those that were read, or passed over, without some node */
	BsSharedOutput outputs[BS_NOUTPUTS];
	ConditionVariable window_closed; /* broadcast when closed_before has moved: follow.h */
	LWLock advance_lock; /* one process at a time moves the watermark */

	BsSharedPartial partials[FLEXIBLE_ARRAY_MEMBER]; /* [bs_nwriters] */
} BsSharedView;

/* Is what comes counted: or is the view suspended? */
static inline bool
bs_view_counts(BsSharedView *view)
{
	return pg_atomic_read_u32(&view->state) == BS_VIEW_ACTIVE;
}

/* Bytes that are left for others, in the arena: exportermemo.h. */
typedef struct BsSharedMemo
{
	LWLock lock; /* protects what follows */
	uint64 first; /* offset of the first block; 0: none */
	uint64 bytes;
	uint64 generation;
} BsSharedMemo;

/* One receiver, the keeper, the archiver or the fetcher. */
typedef struct BsSharedWorker
{
	pg_atomic_uint32 pid; /* 0: not running */
	volatile sig_atomic_t told_to_end; /* it has got SIGTERM; its handler writes */
	pg_atomic_uint32 not_connected; /* 1: the last attempt to connect to the database failed */
	pg_atomic_uint32 waiting;       /* 1: a process waits for the database in its stead */
	/* int64: everything that arrived before this has been added to all views */
	pg_atomic_uint64 applied_until;
	TimestampTz started;
	bool was_up;                 /* it has received, since the server's start */
	pg_atomic_uint64 generation; /* it has taken up all definitions of this generation */
	pg_atomic_uint32 busy;       /* the keeper's: it is feeding */
	BsDecoderStats decoder; /* written by the worker only */
	BsSharedMemo memo; /* what it knows of exporters; the keeper's: what was known before the server's start */
} BsSharedWorker;

/* What the fetcher has done, and what is wanted of it: nodelevels.h. */
typedef struct BsSharedFetching
{
	/*
	 * Rounds over all views over views of nodes: somebody raises wanted and wakes the fetcher, who raises done to what
	 * wanted was when the round began.
	 */
	pg_atomic_uint64 rounds_wanted;
	pg_atomic_uint64 rounds_done;
	pg_atomic_uint32 behind; /* of the last round: views that have not got all that there was, or could not be told */
	/*
	 * Held while what was read is added, together with fed_before; and by the keeper while it writes such a view to its
	 * files: both are of one moment there.  Before all other locks of ours.
	 */
	LWLock publish_lock;
} BsSharedFetching;

/* Have the windows of before the server's start been taken up?  checkpoint.h */
typedef enum BsRestartState
{
	BS_RESTART_PENDING,
	BS_RESTART_DONE
} BsRestartState;

typedef struct BsSharedCheckpoint
{
	pg_atomic_uint32 state; /* BsRestartState; the keeper raises it */
	pg_atomic_uint32 begun; /* 1: a keeper has begun to restore */
	slock_t mutex; /* protects what follows; the keeper writes, and who is up */
	/* Of the restart: */
	uint64 views_restored;
	uint64 set_aside; /* files */
	int64 restore_usec;
	TimestampTz down_since; /* nothing of what was counted from then on ...  0: there was nothing */
	TimestampTz up_since;   /* ... to then is there */
	BsSpans outages;      /* those before that one */
	/* Of writing: */
	TimestampTz last_at; /* the last that succeeded; 0: none */
	int64 last_usec;
	uint64 bytes_written;
	uint64 failures;
	TimestampTz error_at;
	int error; /* errno of the last failure */
} BsSharedCheckpoint;

/* Space and hooks; called from _PG_init. */
extern void bs_registry_init(void);

/* Is the shared memory there (library preloaded), and may views be counted here (not a standby)? */
extern bool bs_registry_ready(void);

extern int bs_nwriters(void);
/* The number of the writer that inserting backends share. */
extern int bs_backend_writer(void);
/* That of the keeper. */
extern int bs_keeper_writer(void);
extern BsArena *bs_shared_arena(void);
extern BsSharedWorker *bs_shared_worker(int worker); /* 0 .. workers - 1 */
extern BsSharedWorker *bs_shared_keeper(void);
extern BsSharedWorker *bs_shared_archiver(void);
extern BsSharedWorker *bs_shared_fetcher(void);
extern BsSharedFetching *bs_shared_fetching(void);
extern BsExporterStats *bs_shared_exporters(int worker);  /* [bs_setting_max_exporters] */
extern BsListenerStats *bs_shared_listeners(int worker);  /* [BS_MAX_LISTENERS] */
extern BsForwardStats *bs_shared_forwards(int worker);    /* [BS_FORWARD_MAX_TARGETS] */
extern uint64 bs_shared_hash_seed(void);
extern BsSharedCheckpoint *bs_shared_checkpoint(void);
extern BsSharedSourceNames *bs_shared_source_names(void);

/*
 * Receivers share each address: when one opens or closes its sockets the kernel deals the exporters anew, and a
 * receiver may get one back after another has heard it.  The number of times that has happened.
 */
extern uint64 bs_sockets_generation(void);
extern void bs_sockets_changed(void);

/* Number of definition changes so far: compare to know that something may have changed. */
extern uint64 bs_registry_generation(void);
/* Raise it and wake the receivers and the keeper.  Cannot fail. */
extern void bs_registry_bump(void);

struct BsViewDef;
struct BsViewProgram;
struct BsSignature;

/*
 * The slot of a view for this definition, made or emptied when need be.  The caller holds a lock on
 * the relation (any mode) and has read the definition under it, which is committed.  NULL when all slots are
 * taken.  Raises nothing: it may be called when the transaction that made the definition has committed.
 */
extern BsSharedView *bs_registry_attach(const struct BsViewDef *def,
										const struct BsViewProgram *compiled,
										const BsViewTiming *timing);

/*
 * That slot if it is there already, and attaching would change nothing; else NULL.  For who may yet find that the
 * definition will not be (its own transaction has changed it, and has not committed).
 */
extern BsSharedView *bs_registry_attached(const struct BsViewDef *def,
										  const struct BsViewProgram *compiled,
										  const BsViewTiming *timing);

/*
 * A private stand-in for the slot that a definition will have, without partials: what is asked of a slot while records
 * are evaluated.  It is what the slot of this definition is now, where only its timing would change.
 */
extern BsSharedView *bs_registry_stand_in(const struct BsViewDef *def,
										  const struct BsViewProgram *compiled,
										  const BsViewTiming *timing, MemoryContext context);

/* Its owner may, or may not, read the stream: without telling anybody. */
extern void bs_stand_in_note_rights(BsSharedView *stand_in, bool may_read, const char *reason);

/* What a stand-in was suspended for, or that its owner may read the stream, goes for the slot from now on. */
extern void bs_stand_in_settle(BsSharedView *view, BsSharedView *stand_in);

/* The slot of a definition that waits to take over, or NULL; the caller holds the registry lock. */
extern BsSharedView *bs_registry_waiting_of(Oid relid);

/* The slot of a view if this definition, shown or waiting, is being counted, else NULL. */
extern BsSharedView *bs_registry_find(Oid relid, uint64 fingerprint);

/* The slot of a view under whatever definition, or NULL. */
extern BsSharedView *bs_registry_find_any(Oid relid);

/* Free the slots and memory of a view that is no more. */
extern void bs_registry_remove(Oid relid);
/* Of the definition that waits alone. */
extern void bs_registry_remove_waiting(Oid relid);

/*
 * One more slot that the view of this one goes on from, the oldest yet, for what was counted in it under a signature
 * of the same program (bs_signature_without()); restart.c.  NULL: there is no room for it.
 */
extern BsSharedView *bs_registry_add_predecessor(BsSharedView *view,
												 const struct BsViewProgram *compiled,
												 const struct BsSignature *signature,
												 TimestampTz since);

/*
 * Free predecessors that retention has emptied and that nobody writes to any more.  The keeper's.
 */
extern void bs_registry_sweep(void);

/*
 * Can the definition that waits in slot number i take over?  When its first full window is closed, a window of
 * which it has counted all, because it began after everybody who adds records had taken it up; or when there is
 * nothing that would be lost.  relid is that of its view.  The keeper's.
 */
extern bool bs_registry_waiting_ready(int i, Oid *relid);

/*
 * Windows of the waiting definition before its first full one are given back, when that is closed.  Before it
 * takes over.
 */
extern void bs_registry_drop_parts_of_windows(Oid relid);

/*
 * Is there a slot for one more definition of this view, beside those that it has?  depth becomes the number of slots that
 * its windows are in.
 */
extern bool bs_registry_has_room(Oid relid, int *depth);

/* Has no writer a pane in this slot?  The caller holds the registry lock. */
extern bool bs_registry_is_empty(BsSharedView *view);

/* One of the slots that a view's windows are in. */
typedef struct BsViewPart
{
	BsSharedView *view;
	uint64 fingerprint;
	struct BsSignature *signature; /* palloc'ed copy; NULL of the only part when that is this definition's */
} BsViewPart;

/*
 * The slots that the windows of a view under this definition are in: the current one first, then what it
 * goes on from.  Returns their number; 0: it is not counted.  With the compiled definition a current slot
 * of an older one that it can go on from will do: nobody who writes has taken up the new one yet.
 */
extern int bs_registry_parts(Oid relid, uint64 fingerprint, const struct BsViewProgram *compiled,
							 BsViewPart parts[BS_MAX_PARTS]);

/*
 * What a transaction has added to a slot that became a predecessor meanwhile: how far its sources have
 * come, for the windows of the view.  Cannot fail.
 */
extern void bs_registry_tell_successor(BsSharedView *view, uint64 fingerprint, const BsPartial *added,
									   BsArena *arena, int64 highest);

/* The slot that this one goes on from, or NULL; the caller holds the registry lock. */
extern BsSharedView *bs_registry_predecessor(const BsSharedView *view);

/*
 * Has every process that adds records taken up the definitions of this generation, and has every
 * transaction that was adding at this time ended?
 */
extern bool bs_registry_taken_up(uint64 generation, TimestampTz since);

/* A time less a span; what would leave the scale is its beginning. */
static inline int64
bs_time_minus(int64 time, int64 usec)
{
	int64 result;

	return __builtin_sub_overflow(time, usec, &result) ? BS_TIME_NEG_INFINITY : result;
}

/* The current slot of a relation (InvalidOid: a free one), or NULL; the caller holds the registry lock. */
extern BsSharedView *bs_registry_slot_of(Oid relid);

/* How many slots there are. */
extern int bs_registry_nslots(void);

/* The slot number i (0 .. bs_registry_nslots() - 1), in use or not. */
extern BsSharedView *bs_registry_slot(int i);

/* And back. */
extern int bs_registry_number(const BsSharedView *view);

/* It has been counted since then already: it was restored. */
extern void bs_registry_set_since(BsSharedView *view, TimestampTz since);

/* Hold relid, fingerprint, since and timing of every slot as they are. */
extern void bs_registry_lock_shared(void);
extern void bs_registry_lock_exclusive(void);
extern void bs_registry_unlock(void);

/* How many panes a reader looks at before it lets a writer have the lock. */
#define BS_PANES_PER_LOCK 4096

/* Lock a partial: writers go first (see postgresql's LWLocks: readers would starve them). */
extern void bs_partial_lock_write(BsSharedPartial *partial);
extern void bs_partial_lock_read(BsSharedPartial *partial);
extern void bs_partial_unlock(BsSharedPartial *partial);

/*
 * A transaction's records of this time of arrival are about to be added (at PRE_COMMIT) or have been
 * (after it, or when it failed): arrival windows wait for them.
 */
extern void bs_backend_begin_apply(int64 arrival);
extern void bs_backend_end_apply(void);

/* Is some transaction between the two? */
extern bool bs_backends_apply(void);

/* Everything that arrived before this has been added by everybody. */
extern int64 bs_applied_until(void);

/* The clock of a view, and the latest time that is not in the future for it. */
extern int64 bs_view_now(BsSharedView *view);

/*
 * The same, by a clock that goes on evenly when the server's is set: who has been silent, and for how long, does
 * not depend on that.  It was right when the server started.
 */
extern int64 bs_view_steady_now(BsSharedView *view);
extern int64 bs_steady_now(void);
extern int64 bs_view_future_limit(BsSharedView *view);

/* Whom a view's windows wait for. */
extern BsWaiting bs_view_waiting(BsSharedView *view);

/*
 * Windows that end at or before this are closed, or about to be; BS_TIME_NEG_INFINITY: nothing has come, or the
 * view has no windows that close.
 */
extern int64 bs_view_watermark(BsSharedView *view);

/* A record of this time has been added: the clock of clock = 'data' goes on. */
extern void bs_view_note_time(BsSharedView *view, int64 highest);

/*
 * Compute the watermark, close the windows before it in every partial, drop those past retention.
 * Cannot fail.
 */
extern void bs_view_advance(BsSharedView *view);
/* The same for all views. */
extern void bs_views_advance(void);

/*
 * By the clock on the wall, once it has been there for its idle time: does it wait for nobody?  All its sources are silent,
 * or further behind than it waits for (max_behind), or it has none.  Such a view does not know how far time has come
 * elsewhere; one that has had no record closes nothing.  What is behind is late, as beside a source on the same server.
 */
extern bool bs_view_is_idle(BsSharedView *view);

/*
 * Others that count a part of the same have come so far (their watermark): a view that is idle comes with them, but
 * no further than the clock.  What comes later for what that closes is late.  Cannot fail; nothing happens where it does not fit.
 */
extern void bs_view_advance_idle(Oid relid, uint64 fingerprint, int64 watermark);

/* Drop windows past retention that were kept only for views over this one, or for its outputs.  Cannot fail. */
extern void bs_view_release(BsSharedView *view);

/* Has a view such an output?  The registry lock is held. */
static inline bool
bs_view_has_output(const BsSharedView *view, BsOutput output)
{
	return (view->timing.outputs & (1u << output)) != 0;
}

/* Wake the receivers.  Cannot fail. */
extern void bs_receivers_wake(void);

/* Wake the keeper, the archiver or the fetcher, unless that is who calls.  Cannot fail. */
extern void bs_keeper_wake(void);
extern void bs_archiver_wake(void);
extern void bs_fetcher_wake(void);

extern void bs_view_report_error(BsSharedView *view, const char *message);
/* Nothing more is counted from now on. */
extern void bs_view_suspend(BsSharedView *view, BsViewState state, const char *reason);
/* End a suspension of this kind, if there is one. */
extern void bs_view_resume(BsSharedView *view, BsViewState state);

/* ---- reading --------------------------------------------------------------------------------- */

/* A window, its writers taken together. */
typedef struct BsWindowInfo
{
	int64 window; /* its start, PostgreSQL epoch; BS_NO_WINDOW in a view without windows.  bs_window_end() says where it ends */
	bool closed;
	bool gap; /* while it was open the server was down */
	/* Of a view over one that nodes keep: how many there are (0: it is none), and how many have not told all. */
	uint32 nodes_expected;
	uint32 nodes_missing;
	uint64 records;
	uint64 late;
	uint64 overflowed;
	uint64 errors;
	uint64 other;         /* of the records, those gathered beyond max_groups, in a row whose keys are NULL */
	uint64 left_out;      /* values of DISTINCT arguments that found no room: those counts are too low */
	int64 records_lost;   /* by sequence, while the window was open */
	int64 datagrams_lost;
	int64 datagrams_dropped; /* by sockets that were full, while it was open */
	uint64 groups; /* of all writers: an upper bound where there are several */
	uint64 bytes;
} BsWindowInfo;

/*
 * The windows of a view that is counted under this fingerprint, in order of time: a palloc'ed array,
 * its length in *nwindows.  None when it is not counted.  compiled may be NULL: see bs_registry_parts().
 */
extern BsWindowInfo *bs_view_windows(Oid relid, uint64 fingerprint,
									 const struct BsViewProgram *compiled, int *nwindows);

/* How far a view's windows reach. */
typedef struct BsViewExtent
{
	TimestampTz since; /* counted from then on */
	BsViewState state;
	int64 closed_before;  /* windows that start before this are closed */
	int64 watermark;      /* bs_view_watermark(); no closed window ends after it */
	int64 dropped_before; /* of those that start before this a part has gone, at least */
	bool idle;            /* bs_view_is_idle(), where somebody has looked */
	BsSpans outages;    /* meanwhile the server was down */
} BsViewExtent;

/* False when the view is not counted under this fingerprint. */
extern bool bs_view_extent(Oid relid, uint64 fingerprint, BsViewExtent *extent);

/* bs_view_is_idle() of the view; false, too, where it is not counted under this fingerprint. */
extern bool bs_view_found_idle(Oid relid, uint64 fingerprint);

/* The start of the newest pane with records that has left the memory; BS_TIME_NEG_INFINITY: none has. */
extern int64 bs_view_last_dropped(Oid relid);

/* How many of them start at first or later, and before end. */
extern uint64 bs_view_count_windows(Oid relid, uint64 fingerprint, int64 first, int64 end);

/* The groups of one window or several, merged, in memory that goes with a memory context. */
typedef struct BsWindowData
{
	BsWindowInfo info;
	BsArena *arena; /* private; handles in the rows refer to it */
	BsTable *table; /* NULL: no groups */
	/*
	 * By column of the scan tuple: it was not counted in all of these windows, because the definition had
	 * it not then.  NULL: all were.
	 */
	bool *lacks;
} BsWindowData;

/*
 * Read the windows first .. last (starts, inclusive) of a view into one table: the panes from the start of
 * the first to the end of the last, each once, whatever windows are over it.  Sets are merged and not folded
 * (bs_table_fold_sets).  compiled is the reader's own; writer is its program's scratch.  Interrupts are served between
 * chunks.  The result is freed with context or by bs_window_data_free(); raises an error only when
 * memory is out or on cancel.
 */
extern BsWindowData *bs_view_read(Oid relid, const struct BsViewProgram *compiled, BsWriter *writer,
								  int64 first, int64 last, MemoryContext context);

/* The same; but of a rolling view the window that starts at first, and not that of now. */
extern BsWindowData *bs_view_read_fixed(Oid relid, const struct BsViewProgram *compiled,
										BsWriter *writer, int64 first, int64 last,
										MemoryContext context);
extern void bs_window_data_free(BsWindowData *data);

/* An empty private table in data, which has none; an error when memory is out.  Room is touched as it is used. */
extern void bs_window_data_make(BsWindowData *data, const BsProgram *program, uint64 usable_bytes,
								uint64 expected_rows);

/*
 * The table that has all groups of some windows, if one has and they need not be merged; it is found anew for each
 * look, for it may be dropped at any time, and a table has grown by the next.
 */
typedef struct BsWindowTable
{
	BsSharedPartial *partial;
	uint64 fingerprint;
	int64 start; /* of the pane */
	uint32 nrows; /* at the last look */
} BsWindowTable;

/*
 * Is there such a table for the windows first .. last (starts, inclusive) of a view?  Says nothing of whether another part of
 * them was dropped before: who reads it looks at that (bs_view_extent) after this.
 */
extern bool bs_window_table_find(Oid relid, const struct BsViewProgram *compiled, int64 first, int64 last,
								 BsWindowTable *found);

/* The table, in bs_shared_arena(), under its partial's lock until it is unlocked; NULL, without a lock: it is gone. */
extern BsTable *bs_window_table_lock(BsWindowTable *found);
extern void bs_window_table_unlock(const BsWindowTable *found);

/* Add what is known of a window, but its start and whether it is closed. */
extern void bs_window_info_add(BsWindowInfo *sum, const BsWindowInfo *info);

#endif
