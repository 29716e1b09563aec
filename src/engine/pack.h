/* SPDX-License-Identifier: PostgreSQL */
/*
 * pack.h: what a partial holds as bytes, for other nodes and for files.
 *
 * Packed, a partial is a list of messages.  Each stands on its own: it says what it is, of which format
 * and of which definition, how long it is, and has a checksum; messages of rows can be merged one
 * by one as they come, in any order, for merging does not depend on it.
 *
 *   head  (PARTIAL)   how far the writer has come; counters; once
 *   sources           how far each source of time has come; some thousands a message
 *   pane              a window and its counters
 *   rows              groups of a window, or values of a DISTINCT argument: those of a chunk of the table
 *   end               how many messages there were
 *
 * docs/formats.md has the bytes.  What is read is taken for hostile: every length, number and handle is
 * looked at before anything is merged, and a message is merged whole or not at all.  What the states of
 * foreign aggregates mean only ring 2 knows: it gives a function that looks at them.
 *
 * Files: pack.c writes, unpack.c reads, restore.c puts back into partials, packlayout.c says what a row is made of, packcolumn.c has the
 * columns of numbers.
 *
 * Memory: malloc'ed, private, bounded by the longest message; single-threaded.  Packing and unpacking take no
 * lock; the caller holds the partial's where it is shared, for one call at a time.
 */
#ifndef BS_PACK_H
#define BS_PACK_H

#include "partial.h"

#define BS_PACK_VERSION      2u
#define BS_PACK_HEADER_BYTES 24u
/* No message is longer: rows have 64 kB at most, keys and states besides. */
#define BS_PACK_MAX_BYTES (64u << 20)
/* Strings and states of the rows of a message, unless it has one row only. */
#define BS_PACK_STRING_BYTES (128u << 10)

typedef enum BsPackStatus
{
	BS_PACK_OK,
	BS_PACK_NO_MEMORY,
	BS_PACK_NOT_PACKED,      /* does not begin as a message does */
	BS_PACK_VERSION_UNKNOWN, /* another version's format */
	BS_PACK_FINGERPRINT,     /* of another definition */
	BS_PACK_TRUNCATED,       /* shorter than it says, or messages are missing */
	BS_PACK_DAMAGED,         /* the checksum is wrong */
	BS_PACK_CORRUPT          /* the checksum is right, but nothing of the kind was ever packed */
} BsPackStatus;

/* What a status means, for an error text: "is ...". */
extern const char *bs_pack_status_text(BsPackStatus status);

typedef enum BsPackKind
{
	BS_PACK_PARTIAL = 1,
	BS_PACK_SOURCES,
	BS_PACK_PANE,
	BS_PACK_ROWS,
	BS_PACK_END
} BsPackKind;

/* A window of a partial, or of several. */
typedef struct BsPackedPane
{
	int64_t window;
	int64_t since; /* counted from then on, PostgreSQL epoch */
	bool closed;
	bool gap;         /* while it was open there was a time in which nobody counted */
	uint32_t nodes_expected; /* BsPane */
	uint32_t nodes_missing;
	uint64_t ngroups; /* about to come */
	uint64_t records;
	uint64_t late;
	uint64_t overflowed;
	uint64_t other; /* of the records, those of the other group (table.h) */
	uint64_t errors;
	uint64_t left_out;
	int64_t records_lost;
	int64_t datagrams_lost;
	int64_t datagrams_dropped;
	uint64_t records_lost_before; /* BsPane */
	uint64_t datagrams_lost_before;
	uint64_t datagrams_dropped_before;
} BsPackedPane;

/* A pane's counters; since and closed are the caller's to say. */
extern BsPackedPane bs_packed_pane(const BsPane *pane, BsArena *arena);

/* ---- writing ---------------------------------------------------------------------------------- */

typedef struct BsPacker BsPacker;

/* fingerprint: of the definition, as the reader will know it.  NULL when memory is out. */
extern BsPacker *bs_packer_create(const BsProgram *program, uint64_t fingerprint);
extern void bs_packer_free(BsPacker *packer);

/*
 * From now on bs_pack_rows() leaves out rows that are not chosen: chosen[0] has a bit for each group, chosen[n] for each
 * row of set n - 1, by ordinal (bs_row_ordinal()).  NULL: all are.  The caller keeps it.
 */
extern void bs_packer_choose(BsPacker *packer, const uint8_t *const *chosen);

/*
 * Each of these leaves one message in *message, good until the next call.  BS_PACK_NO_MEMORY is all that can go
 * wrong.
 */
extern BsPackStatus bs_pack_partial(BsPacker *packer, const BsPartial *partial, BsBytes *message);
extern BsPackStatus bs_pack_pane(BsPacker *packer, const BsPackedPane *pane, BsBytes *message);
/* The number of messages since the packer was made, or since the last end. */
extern BsPackStatus bs_pack_end(BsPacker *packer, BsBytes *message);

/* Where to go on; all zero to begin with. */
typedef struct BsPackPlace
{
	uint32_t table; /* 0: the groups, then the sets */
	uint32_t chunk;
	uint32_t row;    /* in the chunk; of sources: the slot */
	uint32_t state;  /* within a row: how many of its states' parts have been packed */
	bool within_row; /* the states of a row did not fit: keep the lock until it is false again */
} BsPackPlace;

/* The next sources; message->len is 0 when there are no more. */
extern BsPackStatus bs_pack_sources(BsPacker *packer, BsArena *arena, const BsPartial *partial,
									BsPackPlace *place, BsBytes *message);

/*
 * The next rows of a table, of at most one chunk; message->len is 0 when there are no more.  Between two
 * calls the table may grow, but must not be freed.
 */
extern BsPackStatus bs_pack_rows(BsPacker *packer, BsArena *arena, BsTable *table, int64_t window,
								 BsPackPlace *place, BsBytes *message);

/* ---- reading ---------------------------------------------------------------------------------- */

/*
 * May these bytes be a state of this foreign aggregate (BsAggregate.foreign)?  They may have been written by an
 * enemy.  Called while no lock is held.
 */
typedef bool (*BsStateCheck)(void *context, uint32_t foreign, BsBytes state);

typedef struct BsUnpacker BsUnpacker;

/* NULL when memory is out.  check NULL: the program has no foreign aggregates, or all that comes is refused. */
extern BsUnpacker *bs_unpacker_create(const BsProgram *program, uint64_t fingerprint,
									  BsStateCheck check, void *check_context);
extern void bs_unpacker_free(BsUnpacker *unpacker);

/*
 * How long the message is that begins with these BS_PACK_HEADER_BYTES, header included.  An error when it
 * does not begin like one, or is longer than any.
 */
extern BsPackStatus bs_pack_message_bytes(const uint8_t *header, size_t *len);

/* What a message says; good until the next call. */
typedef struct BsUnpacked
{
	BsPackKind kind;
	BsPackedPane pane; /* BS_PACK_PANE; of BS_PACK_ROWS window alone */
	BsPartial partial; /* BS_PACK_PARTIAL: counters, closed_before, dropped_before */
	uint32_t nsources; /* BS_PACK_SOURCES */
	const BsSource *sources;
	uint32_t nrows;    /* BS_PACK_ROWS; bs_unpacked_merge() */
	uint64_t nrecords; /* in these groups */
} BsUnpacked;

/*
 * Check a whole message and take it apart.  BS_PACK_END is refused as truncated when there were fewer
 * messages than it says, and begins the count anew.
 */
extern BsPackStatus bs_unpack(BsUnpacker *unpacker, const uint8_t *data, size_t len,
							  BsUnpacked *unpacked);

/*
 * Merge the rows of the last message, which was BS_PACK_ROWS, into a table of the program.  Returns the number of
 * records of groups for which there was no room.  Cannot fail: may run under a lock.
 */
extern uint64_t bs_unpacked_merge(BsUnpacker *unpacker, BsArena *arena, BsTable *into,
								  BsWriter *writer, uint64_t max_rows);

/* ---- putting back ------------------------------------------------------------------------------ */

/* Counters of losses, modulo 2^32, in the order of BsLoss. */
typedef struct BsLossMarks
{
	uint32_t of[3];
} BsLossMarks;

/*
 * One writer on its way back: where its losses lie on the line of those that the partial knows from other writers.
 * All zero to begin with; the caller only keeps it.
 */
typedef struct BsRestoring
{
	int64_t next;       /* panes of others that start before this have been seen to */
	BsLossMarks total;  /* of this writer */
	BsLossMarks others; /* of those before */
	BsLossMarks end;    /* when the last pane of this writer was closed */
	BsLossMarks others_end;
	bool begun;
	bool any_end;
	bool any_others_end;
} BsRestoring;

/*
 * Put what was unpacked back into a partial of the program, as bs_unpacked_merge() does into a table:
 * counters and panes add up.  Nothing is late here, though panes are closed.  Needs the partial's lock;
 * what does not fit is counted as overflowed.  Sources were heard shift_usec later than they say:
 * while nobody listened none was silent.
 *
 * A writer's messages come as they were packed: BS_PACK_PARTIAL, then panes in the order of time.  restoring is that
 * writer's, until bs_partial_restored().
 */
extern void bs_partial_restore(BsPartial *partial, BsArena *arena, const BsProgram *program,
							   BsWriter *writer, BsUnpacker *unpacker, const BsUnpacked *unpacked,
							   int64_t shift_usec, BsRestoring *restoring);

/* All panes of a writer have been put back; rows may follow.  Leaves restoring as it was to begin with. */
extern void bs_partial_restored(BsPartial *partial, BsArena *arena, const BsProgram *program,
								BsRestoring *restoring);

#endif
