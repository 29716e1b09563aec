/* SPDX-License-Identifier: PostgreSQL */
/*
 * checkpointfile.h: the files that windows are kept in while the server is down.
 *
 * In the data directory, in pg_backstream, mode 0600:
 *
 *   OID.state       of the view with this OID: counters of all its panes, groups of the open ones
 *   OID.NUMBER      a segment: groups of panes that closed between two checkpoints; written once
 *   OID.next.state, OID.next.NUMBER
 *                   the same of the definition that waits to take over from the one that is shown
 *   exporters       what receivers know of exporters (exportermemo.h)
 *   outages         when the server was down (outages.h)
 *   NAME.new        being written
 *   NAME.damaged    was found to be damaged, or another server's
 *
 *   +--------+---------+--------------------+--------------------------------+-----+----------+
 *   | "BSCP" | version | head, words of 8   | writer, 4; length, 4; message  | ... | CRC-32C  |
 *   +--------+---------+--------------------+--------------------------------+-----+----------+
 *
 * Little-endian; messages of views are those of engine/pack.h, the last one is an end; of a state the first
 * has the options of its definition and the writer BS_CHECKPOINT_OPTIONS, and the second may be a BsCheckpointMore and
 * have BS_CHECKPOINT_MORE.  Writers of what the view goes on from are numbered after
 * its own: the slot before it has those from nreceivers + 2 on, and so on.  A file is written under
 * another name, flushed, and renamed, so that it is whole or not there.
 *
 * Nothing here raises an error: the keeper writes while it ends, too.
 */
#ifndef BS_CHECKPOINTFILE_H
#define BS_CHECKPOINTFILE_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "engine/pack.h"
#include "registry.h"

#define BS_CHECKPOINT_FOLDER "pg_backstream"

typedef enum BsCheckpointKind
{
	BS_CHECKPOINT_STATE = 1,
	BS_CHECKPOINT_SEGMENT,
	BS_CHECKPOINT_EXPORTERS,
	BS_CHECKPOINT_OUTAGES
} BsCheckpointKind;

/* What stands before the messages.  All of it in words of 64 bits, as they are written. */
typedef struct BsCheckpointHead
{
	uint64 kind;
	/* Whose it is: */
	uint64 system_identifier;
	uint64 timeline;
	uint64 database;
	uint64 relid;
	uint64 fingerprint;
	/* What it is: */
	int64 written_at;
	uint64 nreceivers;
	/* BS_CHECKPOINT_STATE, as in BsSharedView: */
	int64 since;
	int64 closed_before;
	int64 data_now;
	int64 fed_before;
	uint64 windows_missed;
	uint64 windows_incomplete;
	uint64 skipped;
	uint64 first_segment; /* segments first .. end - 1 belong to it */
	uint64 end_segment;
	int64 segmented_before;         /* groups of panes that start before this are in segments */
	uint64 outputs[BS_NOUTPUTS][5]; /* done_before, windows, rows, rows_failed, windows_missed */
	/* BS_CHECKPOINT_SEGMENT: */
	int64 last_start; /* of the panes in it */
} BsCheckpointHead;

/* Fill in whose it is; in a process that is connected to the database. */
extern void bs_checkpoint_stamp(BsCheckpointHead *head, BsCheckpointKind kind, Oid relid,
								uint64 fingerprint);

/* Are system, timeline and database this server's, as it is now? */
extern bool bs_checkpoint_is_ours(const BsCheckpointHead *head);

/* Names of files, in path[MAXPGPATH].  waiting: those of the definition that waits. */
extern void bs_checkpoint_state_path(char *path, Oid relid, bool waiting);
extern void bs_checkpoint_segment_path(char *path, Oid relid, bool waiting, uint64 segment);
#define BS_CHECKPOINT_EXPORTERS_PATH BS_CHECKPOINT_FOLDER "/exporters"
#define BS_CHECKPOINT_OUTAGES_PATH BS_CHECKPOINT_FOLDER "/outages"

/* ---------- what a state says besides ---------- */

#define BS_CHECKPOINT_MORE    UINT32_MAX
#define BS_CHECKPOINT_OPTIONS (UINT32_MAX - 1)

/* Options, a list of DefElem with texts, as a message, palloc'ed; and back. */
extern BsBytes bs_checkpoint_options_pack(List *options);
extern List *bs_checkpoint_options_unpack(BsBytes message);

/* A slot that the view goes on from: its groups are written as the view's own, less what was not counted in it. */
typedef struct BsCheckpointPart
{
	bool gone;          /* there is nothing of it any more; it keeps its number */
	int64 since;
	const uint8 *missing; /* [ncolumns] by column of the view's signature: 1 where it was not counted */
} BsCheckpointPart;

typedef struct BsCheckpointMore
{
	int64 full_from; /* BsSharedView, of a definition that waits */
	uint32 nparts;
	uint32 ncolumns;
	BsCheckpointPart parts[BS_MAX_PARTS];
} BsCheckpointMore;

/* As a message, malloc'ed; no data: memory is out. */
extern BsBytes bs_checkpoint_more_pack(const BsCheckpointMore *more);
/* And back, good as long as the message is; false: it is none, or of another signature. */
extern bool bs_checkpoint_more_unpack(BsBytes message, uint32 ncolumns, BsCheckpointMore *more);

/* ---------- writing ---------- */

typedef struct BsCheckpointWriter BsCheckpointWriter;

/* NULL: errno says why. */
extern BsCheckpointWriter *bs_checkpoint_create(const char *path, const BsCheckpointHead *head);
extern void bs_checkpoint_put(BsCheckpointWriter *writer, uint32 tag, BsBytes message);

/*
 * Flush and rename, or give up if keep is false or anything has failed.  Returns 0 or an errno, and frees
 * the writer.  *bytes grows by the size of the file.
 */
extern int bs_checkpoint_close(BsCheckpointWriter *writer, bool keep, uint64 *bytes);

/* ---------- reading ---------- */

typedef struct BsCheckpointReader BsCheckpointReader;

/*
 * Open a file and read all of it once, to see whether it is whole.  NULL: *problem says why, static text
 * or palloc'ed; "" when there is no such file.
 */
extern BsCheckpointReader *bs_checkpoint_open(const char *path, BsCheckpointHead *head,
											  const char **problem);

/* The next message, good until the next call; false at the end, with *problem set if that is too early. */
extern bool bs_checkpoint_next(BsCheckpointReader *reader, uint32 *tag, BsBytes *message,
							   const char **problem);
extern void bs_checkpoint_free(BsCheckpointReader *reader);

/* ---------- the folder ---------- */

/* Rename a file to NAME.damaged and say so in the log. */
extern void bs_checkpoint_set_aside(const char *path, const char *problem);

/* Remove all files of a view. */
extern void bs_checkpoint_remove(Oid relid);
/* Those of one of its definitions. */
extern void bs_checkpoint_remove_definition(Oid relid, bool waiting);
/* Its segments but first .. end - 1. */
extern void bs_checkpoint_remove_segments(Oid relid, bool waiting, uint64 first, uint64 end);

/* Numbers of segments of a definition that no file has are these and those above; *any: there are files of the view. */
extern uint64 bs_checkpoint_free_segment(Oid relid, bool waiting, bool *any);

/* Call back with the view of each state file. */
typedef void (*BsCheckpointSeen)(void *context, Oid relid);
extern void bs_checkpoint_each(BsCheckpointSeen seen, void *context);

#endif
