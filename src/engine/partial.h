/* SPDX-License-Identifier: PostgreSQL */
/*
 * partial.h: what one writer has counted for one view: a table of groups for each pane (window.h).
 *
 * A partial belongs to one view and one writer (a receiver, or the inserting backends together, or one
 * transaction).  Its panes lie in an arena, sorted by start.  Every function here needs the partial's
 * lock (the caller's business), but for partials in private memory.  None allocates but in the arena,
 * none can fail: what does not fit is counted as overflowed.
 *
 *   BsPartial -> panes: handle .. sorted by start, each of a BsPane {start, table, counters}
 *             -> sources: {source, highest time, last heard} ..
 *
 * Partials of one writer whose programs differ in nothing but the windows over their panes have the same records
 * in a pane.  They may have the same table then: bs_partial_add_shared() adds to it once.  The rule is that who
 * writes to a table holds the locks of all partials that have it; who does not copies it first.  Whoever reads
 * one partial, closes it or drops of it need know nothing: a copy has the rows in the same places, and further ones
 * after them.
 */
#ifndef BS_PARTIAL_H
#define BS_PARTIAL_H

#include "table.h"

/* One pane of one writer. */
typedef struct BsPane
{
	int64_t start;
	uint64_t table; /* 0: none yet (only counters); how many records there are it knows */
	uint64_t late;
	uint64_t overflowed;
	uint64_t errors : 43;
	/* Of a view over one that nodes keep: how many there are, and how many of them have not told all (bs_pane_note_nodes). */
	uint64_t nodes_expected : 10;
	uint64_t nodes_missing : 10;
	uint64_t gap : 1; /* while it was open the server was down */
	/* Lost on the way to this writer while the pane was open: BsLoss, within the range of the type. */
	int32_t records_lost;
	int32_t datagrams_lost;
	int32_t datagrams_dropped;
	/*
	 * What the partial had noted when the pane was made (modulo 2^32): of a window, what was lost while any of
	 * its panes was open is the last one's sum of both less the first one's.
	 */
	uint32_t records_lost_before;
	uint32_t datagrams_lost_before;
	uint32_t datagrams_dropped_before;
} BsPane;

/*
 * What did not reach a writer.  Sequence numbers and sockets see one loss from two sides: the numbers are never
 * added to each other.
 */
typedef struct BsLoss
{
	int64_t records;   /* by sequence numbers; negative: some that had been taken for lost came after all */
	int64_t datagrams; /* the same, where exporters number datagrams */
	int64_t dropped;   /* datagrams for which the writer's sockets had no room */
} BsLoss;

/* What a pane has noted and more, within the range of the type. */
static inline int32_t
bs_loss_plus(int32_t noted, int64_t more)
{
	int64_t sum = noted + more;

	return (int32_t) (sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
}

#define BS_PANE_MAX_NODES  1023u
#define BS_PANE_HOLE       BS_PANE_MAX_NODES /* as nodes_missing: of windows over it a part was never merged */
#define BS_PANE_MAX_ERRORS ((UINT64_C(1) << 43) - 1)

/* What came into the pane was read of so many nodes less those missing: the worst that is noted stands. */
static inline void
bs_pane_note_nodes(BsPane *pane, uint32_t expected, uint32_t missing)
{
	expected = expected < BS_PANE_MAX_NODES ? expected : BS_PANE_MAX_NODES;
	missing = missing < BS_PANE_MAX_NODES ? missing : BS_PANE_MAX_NODES;
	if (expected > pane->nodes_expected)
		pane->nodes_expected = expected & BS_PANE_MAX_NODES;
	if (missing > pane->nodes_missing)
		pane->nodes_missing = missing & BS_PANE_MAX_NODES;
}

/* One source of time, and how far its records have come. */
typedef struct BsSource
{
	uint64_t source;
	int64_t highest;   /* highest time of its records, future ones not among them */
	int64_t last_heard; /* by a clock that nobody sets (BsWaiting.now) */
	/* By how much its records came behind what windows wait for, at most: that much lateness they needed. */
	int64_t largest_lateness;
} BsSource;

/*
 * Their handles lie in one block of the arena.  For pieces of a second that is a day and a half; records of
 * a pane more are counted as overflowed.
 */
#define BS_MAX_PANES (BS_ARENA_MAX_BLOCK / (uint32_t) sizeof(uint64_t))

#define BS_MAX_SOURCES 16384u /* beyond them the time of further sources is not followed */

typedef struct BsPartial
{
	uint32_t magic;
	uint32_t npanes;
	uint64_t fingerprint;  /* of the program whose rows these are; 0: unused */
	uint64_t panes;        /* handles [panes_capacity]: where each BsPane is; at most BS_MAX_PANES */
	uint32_t panes_capacity;
	uint32_t nsources;
	uint64_t sources;      /* BsSource[sources_capacity], open addressing; source 0 is empty */
	uint32_t sources_capacity;
	uint32_t last_rows;    /* groups of the newest pane that filled: the next one's size */
	int64_t closed_before; /* panes that start before this take no more records */
	int64_t dropped_before; /* panes that start before this have been given back */
	int64_t last_dropped;   /* start of the newest one that there was */
	uint64_t max_groups;   /* in one pane */
	uint64_t bytes;        /* taken from the arena, tables included */
	/* Since the view began to count: */
	uint64_t records;      /* added */
	uint64_t received;     /* offered; = records + filtered + late + future + untimed + overflowed + errors */
	uint64_t filtered;
	uint64_t late;
	uint64_t future;
	uint64_t untimed;
	uint64_t overflowed;
	uint64_t errors;
	uint32_t records_lost;   /* modulo 2^32, as datagrams_dropped below */
	uint32_t datagrams_lost;
	uint64_t clamped;      /* records that lasted too long (spread.h) */
	int64_t late_bytes;    /* what the late slices had of the sum of portions, if there is one */
	uint64_t unknown_rate; /* of the records whose sampling rate scaled() did not know */
	uint64_t sources_refused;
	uint32_t last_error;   /* BsError */
	uint32_t gather_other; /* records of groups without room go to the other group: it is reserved with a pane */
	uint32_t has_late_bytes;
	uint32_t datagrams_dropped;
	uint64_t copy_starved_at; /* bs_arena_releases() when a table could not be copied; 0: it could */
	BsLayout layout;       /* of the rows */
} BsPartial;

/* What a writer keeps beside its partials to work on one program: its own memory, no lock. */
typedef struct BsWriter BsWriter;

/*
 * Folds the values of foreign aggregate number aggregate (of the program): for i < rows.nrows the
 * record at rows.rows[i] into the state at states[i] (bs_handle_replace).
 */
typedef void (*BsForeignAccumulate)(void *context, BsArena *arena, BsTable *table,
									uint32_t aggregate, BsRows rows, BsHandle *const *states);

extern BsWriter *bs_writer_create(const BsProgram *program);
extern void bs_writer_free(BsWriter *writer);

extern void bs_partial_init(BsPartial *partial, const BsProgram *program, uint64_t max_groups);
/* Give back all panes and sources; the counters stay. */
extern void bs_partial_clear(BsPartial *partial, BsArena *arena);

/*
 * Add what the program made of a batch.  now is the view's clock (for sources).  accumulate is needed
 * when the program has foreign aggregates, and then the arena must be private.
 */
extern void bs_partial_add(BsPartial *partial, BsArena *arena, const BsProgram *program,
						   BsWriter *writer, const BsBatch *batch, const BsEvaluated *evaluated,
						   BsForeignAccumulate accumulate, void *accumulate_context);

/* What says how far time has come for a view when a batch comes: microseconds since 2000-01-01. */
typedef struct BsViewTimes
{
	int64_t now;          /* BsWaiting.now */
	int64_t future_limit; /* stamps above it do not count */
	int64_t front;        /* bs_progress_front(), as last computed */
} BsViewTimes;

/* The most partials that have one table. */
#define BS_MAX_SHARERS 32u

/* One of the partials that are added to together: by a program that makes the same of a record (bs_share_same_panes). */
typedef struct BsSharer
{
	BsPartial *partial;
	const BsProgram *program; /* its own, as the writer */
	BsWriter *writer;
} BsSharer;

/*
 * Add what the first one's program made of a batch to all of these partials, which lie in one arena: each comes to
 * exactly what it comes to alone.  nsharers is 1 .. BS_MAX_SHARERS.  Not for programs with foreign aggregates.
 */
extern void bs_partial_add_shared(const BsSharer *sharers, uint32_t nsharers, BsArena *arena,
								  const BsBatch *batch, const BsEvaluated *evaluated);

/* Note how far the sources of a batch have come, and how far behind the front they are. */
extern void bs_partial_follow(BsPartial *partial, BsArena *arena, const BsProgram *program,
							  const BsBatch *batch, const BsViewTimes *times);

/*
 * Add everything that another partial of the same program holds (a transaction's to the shared one):
 * its panes, counters and sources.  What falls into closed panes is late.  Its sources are taken to
 * have been heard at heard, by the view's clock.
 */
extern void bs_partial_merge(BsPartial *into, BsArena *arena, const BsProgram *program,
							 BsWriter *writer, const BsPartial *from, BsArena *from_arena,
							 int64_t heard);

/* Losses became known (or, negative, were taken back): they are noted at the panes that are open. */
extern void bs_partial_note_loss(BsPartial *partial, BsArena *arena, BsLoss loss);

/* The records of a pane. */
static inline uint64_t
bs_pane_records(const BsPane *pane, BsArena *arena)
{
	return pane->table != 0 ? bs_table_records(bs_arena_at(arena, pane->table)) : 0;
}

/* Pane number i, of those in order of their starts; i < npanes. */
static inline BsPane *
bs_partial_pane_at(const BsPartial *partial, BsArena *arena, uint32_t i)
{
	return bs_arena_at(arena, ((const uint64_t *) bs_arena_at(arena, partial->panes))[i]);
}

/* Number of the first pane that starts at this or later; npanes when there is none. */
extern uint32_t bs_partial_position(const BsPartial *partial, BsArena *arena, int64_t start);

/* The pane of this start, or NULL. */
extern BsPane *bs_partial_pane(const BsPartial *partial, BsArena *arena, int64_t start);

/* The first pane that starts at this or later, or NULL. */
extern BsPane *bs_partial_pane_from(const BsPartial *partial, BsArena *arena, int64_t start);

/* Panes that start before this take no more records from now on (never goes back). */
extern void bs_partial_close(BsPartial *partial, int64_t closed_before);

/* Give back the panes that start before this. */
extern void bs_partial_drop(BsPartial *partial, BsArena *arena, int64_t before);

/* Which sources windows wait for.  Spans of microseconds, BS_TIME_INFINITY: for ever. */
typedef struct BsWaiting
{
	int64_t now;         /* by a clock that measures spans: nobody sets it */
	int64_t clock;       /* the time of day, which somebody may set */
	int64_t idle_usec;   /* who has been silent for longer is not waited for */
	int64_t behind_usec; /* nor whose time is further behind the clock's */
} BsWaiting;

/* For everybody, however silent. */
static inline BsWaiting
bs_waiting_for_all(void)
{
	return (BsWaiting){.idle_usec = BS_TIME_INFINITY, .behind_usec = BS_TIME_INFINITY};
}

typedef enum BsSourceState
{
	BS_SOURCE_ALIVE, /* windows wait for it */
	BS_SOURCE_IDLE,
	BS_SOURCE_BEHIND
} BsSourceState;

extern BsSourceState bs_source_state(const BsSource *source, const BsWaiting *waiting);

/*
 * How far the sources have come.  Each is taken to have gone on with the clock since it was heard:
 * highest + (now - last_heard).
 */
typedef struct BsProgress
{
	bool any_alive;
	bool any;
	int64_t alive_lowest; /* lowest highest time of the alive ones */
	int64_t idle_highest; /* highest of the extrapolated times of all */
	int64_t highest;      /* highest time of all */
} BsProgress;

extern void bs_progress_begin(BsProgress *progress);
extern void bs_partial_progress(const BsPartial *partial, BsArena *arena, const BsWaiting *waiting,
								BsProgress *progress);

/*
 * The time that all who are waited for have reached; when nobody is, the furthest of what the others are taken
 * to have reached.  BS_TIME_NEG_INFINITY: there are no sources.  The watermark is this less lateness.
 */
extern int64_t bs_progress_front(const BsProgress *progress);

/* Copy up to max sources, in no order; returns how many there are. */
extern uint32_t bs_partial_sources(const BsPartial *partial, BsArena *arena, BsSource *sources,
								   uint32_t max);

/*
 * Merge rows of a table into another of the same program: chunk number chunk of from.  Returns the
 * number of records of groups for which there was no room (0: all fitted).
 */
extern uint64_t bs_table_merge_chunk(BsArena *arena, BsTable *into, const BsProgram *program,
									 BsWriter *writer, BsArena *from_arena, const BsTable *from,
									 uint32_t chunk, uint64_t max_rows);

/*
 * Merge chunk number chunk of one of from's sets.  Returns false when there is no such chunk.  Values
 * that find no room are counted in into->left_out.
 */
extern bool bs_table_merge_set_chunk(BsArena *arena, BsTable *into, const BsProgram *program,
									 BsWriter *writer, BsArena *from_arena, BsTable *from,
									 uint32_t set, uint32_t chunk, uint64_t max_rows);

/*
 * Fold the values of the sets into the states of the aggregates over them.  Once, when everything has
 * been merged: a table that has been folded can be read, not merged any further.
 */
extern void bs_table_fold_sets(BsArena *arena, BsTable *table, const BsProgram *program,
							   BsWriter *writer);

#endif
