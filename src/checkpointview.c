/* SPDX-License-Identifier: PostgreSQL */
/*
 * checkpointview.c: what one view holds into its files.  See checkpoint.h.
 *
 * A message is packed under the lock of its partial, for as long as a reader would hold it, and written without.
 */
#include "postgres.h"

#include <unistd.h>

#include "common/hashfn.h"

#include "checkpoint.h"

/* One view on its way to disk. */
typedef struct Job
{
	BsFiled *kept;
	BsSharedView *view;
	BsViewTiming timing;
	BsCheckpointHead head;
	BsCheckpointMore more;
	BsCheckpointWriter *writer;
	void (*breathe)(void);
	int error;
	int64 oldest; /* start of the first pane that there is */
} Job;

/* ---------- parts ---------- */

/* Writers of the view, then those of each slot that it goes on from. */
static int
count_writers(const Job *job)
{
	return (int) (1 + job->kept->nparts) * bs_nwriters();
}

static bool
is_older(int w)
{
	return w >= bs_nwriters();
}

static const BsFiledPart *
part_of(const Job *job, int w)
{
	return &job->kept->parts[w / bs_nwriters() - 1];
}

/* NULL: its slot has gone. */
static BsSharedPartial *
partial_of(const Job *job, int w)
{
	BsSharedView *view = is_older(w) ? part_of(job, w)->view : job->view;

	return view != NULL ? &view->partials[w % bs_nwriters()] : NULL;
}

static void
note(Job *job, BsPackStatus status)
{
	if (status != BS_PACK_OK && job->error == 0)
		job->error = ENOMEM;
}

static void
put(Job *job, int w, BsBytes message)
{
	if (job->error == 0 && message.len > 0)
		bs_checkpoint_put(job->writer, (uint32) w, message);
	if (job->breathe != NULL)
		job->breathe();
}

/* Lock a partial for reading; false, and not locked: it is another definition's by now. */
static bool
lock_mine(const Job *job, int w)
{
	BsSharedPartial *partial = partial_of(job, w);

	if (partial == NULL)
		return false;
	bs_partial_lock_read(partial);
	if (partial->partial.fingerprint ==
		(is_older(w) ? part_of(job, w)->fingerprint : job->kept->fingerprint))
		return true;
	bs_partial_unlock(partial);
	return false;
}

/* The first pane that starts at or after this, as it is now; false: there is none. */
static bool
pane_from(const Job *job, int w, int64 start, BsPackedPane *packed)
{
	const BsPane *pane;
	bool found;

	if (!lock_mine(job, w))
		return false;
	pane = bs_partial_pane_from(&partial_of(job, w)->partial, bs_shared_arena(), start);
	found = pane != NULL;
	if (found)
		*packed = bs_packed_pane(pane, bs_shared_arena());
	bs_partial_unlock(partial_of(job, w));
	return found;
}

/* Where the states of a row did not fit into one message: all of its messages, made under one lock. */
typedef struct Pile
{
	uint8 *data; /* malloc'ed */
	size_t len;
	size_t capacity;
} Pile;

static bool
pile_add(Pile *pile, BsBytes message)
{
	uint32 len = message.len;

	if (pile->len + message.len + sizeof(len) > pile->capacity)
	{
		size_t capacity = 2 * (pile->len + message.len) + 1024;
		uint8 *data = realloc(pile->data, capacity);

		if (data == NULL)
			return false;
		pile->data = data;
		pile->capacity = capacity;
	}
	memcpy(pile->data + pile->len, &len, sizeof(len));
	memcpy(pile->data + pile->len + sizeof(len), message.data, len);
	pile->len += sizeof(len) + len;
	return true;
}

static void
put_pile(Job *job, int w, Pile *pile)
{
	size_t at = 0;

	while (at < pile->len)
	{
		BsBytes message;

		memcpy(&message.len, pile->data + at, sizeof(message.len));
		message.data = pile->data + at + sizeof(message.len);
		put(job, w, message);
		at += sizeof(message.len) + message.len;
	}
	free(pile->data);
}

/* The next rows of a pane; false: there are no more, or the pane has gone. */
static bool
put_some_rows(Job *job, int w, int64 start, BsPackPlace *place)
{
	BsArena *arena = bs_shared_arena();
	BsBytes message = {0};
	Pile pile = {0};
	const BsPane *pane;

	if (!lock_mine(job, w))
		return false;
	pane = bs_partial_pane(&partial_of(job, w)->partial, arena, start);
	if (pane != NULL && pane->table != 0)
		do
		{
			note(job, bs_pack_rows(job->kept->packer, arena, bs_arena_at(arena, pane->table), start,
								   place, &message));
			if (message.len > 0 && (place->within_row || pile.len > 0) && !pile_add(&pile, message))
				job->error = ENOMEM;
		} while (place->within_row && job->error == 0);
	bs_partial_unlock(partial_of(job, w));
	if (pile.len > 0)
		put_pile(job, w, &pile);
	else
		put(job, w, message);
	return message.len > 0 && job->error == 0;
}

static void
put_table(Job *job, int w, int64 start, const BsOlderRows *rows)
{
	BsPackPlace place = {0};
	BsBytes message;

	do
	{
		note(job, bs_pack_rows(job->kept->packer, rows->arena, rows->table, start, &place, &message));
		put(job, w, message);
	} while (message.len > 0 && job->error == 0);
}

static void
put_older_rows(Job *job, int w, int64 start)
{
	const BsFiled *kept = job->kept;

	for (uint32 set = 0; set <= kept->compiled->program.nsets; set++)
		for (uint32 chunk = 0; job->error == 0; chunk++)
		{
			BsOlderRows rows =
				bs_older_rows(kept, part_of(job, w), w % bs_nwriters(), start, set, chunk);

			if (rows.no_memory)
				job->error = ENOMEM;
			if (rows.arena == NULL)
				break;
			put_table(job, w, start, &rows);
			bs_arena_free_private(rows.arena);
		}
}

static void
put_rows(Job *job, int w, int64 start)
{
	BsPackPlace place = {0};

	if (is_older(w))
		put_older_rows(job, w, start);
	else
		while (put_some_rows(job, w, start, &place))
			;
}

static void
put_end(Job *job)
{
	BsBytes message = {0};

	note(job, bs_pack_end(job->kept->packer, &message));
	put(job, 0, message);
}

/* ---------- files ---------- */

static bool
open_file(Job *job, const char *path)
{
	job->writer = bs_checkpoint_create(path, &job->head);
	if (job->writer == NULL)
		job->error = errno;
	return job->writer != NULL;
}

static void
close_file(Job *job, uint64 *bytes)
{
	int error;

	put_end(job);
	error = bs_checkpoint_close(job->writer, job->error == 0, bytes);
	if (job->error == 0)
		job->error = error;
}

/* Panes of one writer that are closed and in no segment yet: [segmented_before, closed). */
static void
put_closed(Job *job, int w, int64 closed)
{
	BsPackedPane pane;

	for (int64 from = job->kept->segmented_before;
		 job->error == 0 && pane_from(job, w, from, &pane) && pane.window < closed;
		 from = pane.window + 1)
	{
		if (pane.ngroups == 0)
			continue;
		put_rows(job, w, pane.window);
	}
}

static bool
any_closed(const Job *job, int64 closed)
{
	BsPackedPane pane;

	for (int w = 0; w < count_writers(job); w++)
		for (int64 from = job->kept->segmented_before;
			 pane_from(job, w, from, &pane) && pane.window < closed; from = pane.window + 1)
			if (pane.ngroups > 0)
				return true;
	return false;
}

static void
write_segment(Job *job, int64 closed, uint64 *bytes)
{
	BsFiled *kept = job->kept;
	char path[MAXPGPATH];

	if (any_closed(job, closed))
	{
		bs_checkpoint_segment_path(path, kept->relid, kept->waiting, kept->end_segment);
		job->head.kind = BS_CHECKPOINT_SEGMENT;
		/* At the latest; it may be an earlier one. */
		job->head.last_start = closed - 1;
		if (!open_file(job, path))
			return;
		for (int w = 0; w < count_writers(job); w++)
			put_closed(job, w, closed);
		close_file(job, bytes);
		if (job->error == 0 && !bs_filed_add_segment(kept, closed - 1))
			job->error = ENOMEM;
	}
	if (job->error == 0)
		kept->segmented_before = closed;
}

static void
put_writer(Job *job, int w)
{
	BsArena *arena = bs_shared_arena();
	BsPartial *partial;
	BsPackPlace place = {0};
	BsBytes message;
	BsPackedPane pane;

	if (!lock_mine(job, w))
		return;
	partial = &partial_of(job, w)->partial;
	note(job, bs_pack_partial(job->kept->packer, partial, &message));
	bs_partial_unlock(partial_of(job, w));
	put(job, w, message);
	do
	{
		message.len = 0;
		if (!lock_mine(job, w))
			break;
		note(job, bs_pack_sources(job->kept->packer, arena, partial, &place, &message));
		bs_partial_unlock(partial_of(job, w));
		put(job, w, message);
	} while (message.len > 0 && job->error == 0);
	for (int64 from = BS_TIME_NEG_INFINITY; job->error == 0 && pane_from(job, w, from, &pane);
		 from = pane.window + 1)
	{
		job->oldest = Min(job->oldest, pane.window);
		pane.closed = pane.window < job->kept->segmented_before;
		note(job, bs_pack_pane(job->kept->packer, &pane, &message));
		put(job, w, message);
		if (!pane.closed)
			put_rows(job, w, pane.window);
	}
}

/* The definition, what the view goes on from, and what is known of one that waits. */
static void
put_more(Job *job)
{
	BsBytes message;

	bs_checkpoint_put(job->writer, BS_CHECKPOINT_OPTIONS, job->kept->options);
	if (!job->kept->waiting && job->kept->nparts == 0)
		return;
	message = bs_checkpoint_more_pack(&job->more);
	if (message.data != NULL)
		bs_checkpoint_put(job->writer, BS_CHECKPOINT_MORE, message);
	else
		job->error = ENOMEM;
	free(unconstify(uint8 *, message.data));
}

/* Segments whose panes have all been dropped. */
static uint64
count_obsolete(const Job *job)
{
	const BsFiled *kept = job->kept;
	uint64 n = 0;

	while (kept->first_segment + n < kept->end_segment && kept->last_starts[n] < job->oldest)
		n++;
	return n;
}

static void
remove_obsolete(Job *job, uint64 n)
{
	BsFiled *kept = job->kept;
	char path[MAXPGPATH];

	for (uint64 i = 0; i < n; i++)
	{
		bs_checkpoint_segment_path(path, kept->relid, kept->waiting, kept->first_segment + i);
		(void) unlink(path);
	}
	kept->first_segment += n;
	if (n > 0)
		memmove(kept->last_starts, kept->last_starts + n,
				(kept->end_segment - kept->first_segment) * sizeof(int64));
}

static int64
oldest_pane(const Job *job)
{
	int64 oldest = BS_TIME_INFINITY;
	BsPackedPane pane;

	for (int w = 0; w < count_writers(job); w++)
		if (pane_from(job, w, BS_TIME_NEG_INFINITY, &pane))
			oldest = Min(oldest, pane.window);
	return oldest;
}

static void
fill_head(Job *job)
{
	BsSharedView *view = job->view;
	BsCheckpointHead *head = &job->head;

	head->kind = BS_CHECKPOINT_STATE;
	head->closed_before = (int64) pg_atomic_read_u64(&view->closed_before);
	head->data_now = (int64) pg_atomic_read_u64(&view->data_now);
	head->fed_before = (int64) pg_atomic_read_u64(&view->fed_before);
	head->windows_missed = pg_atomic_read_u64(&view->windows_missed);
	head->windows_incomplete = pg_atomic_read_u64(&view->windows_incomplete);
	head->skipped = pg_atomic_read_u64(&view->skipped);
	for (int i = 0; i < BS_NOUTPUTS; i++)
	{
		BsSharedOutput *output = &view->outputs[i];

		head->outputs[i][0] = pg_atomic_read_u64(&output->done_before);
		head->outputs[i][1] = pg_atomic_read_u64(&output->windows);
		head->outputs[i][2] = pg_atomic_read_u64(&output->rows);
		head->outputs[i][3] = pg_atomic_read_u64(&output->rows_failed);
		head->outputs[i][4] = pg_atomic_read_u64(&output->windows_missed);
	}
}

/* All that is of older definitions.  (One that waits has written its files itself, or will.) */
static void
remove_replaced(BsFiled *kept)
{
	bool one_waits;

	bs_checkpoint_remove_segments(kept->relid, false, kept->first_segment, kept->end_segment);
	bs_registry_lock_shared();
	one_waits = bs_registry_waiting_of(kept->relid) != NULL;
	bs_registry_unlock();
	if (!one_waits)
		bs_checkpoint_remove_definition(kept->relid, true);
	kept->replaces = false;
}

static void
write_state(Job *job, uint64 *bytes)
{
	BsFiled *kept = job->kept;
	char path[MAXPGPATH];
	uint64 nobsolete;

	job->oldest = oldest_pane(job);
	nobsolete = count_obsolete(job);
	job->head.kind = BS_CHECKPOINT_STATE;
	job->head.last_start = 0;
	job->head.first_segment = kept->first_segment + nobsolete;
	job->head.end_segment = kept->end_segment;
	job->head.segmented_before = kept->segmented_before;
	bs_checkpoint_state_path(path, kept->relid, kept->waiting);
	if (!open_file(job, path))
		return;
	put_more(job);
	for (int w = 0; w < count_writers(job); w++)
		put_writer(job, w);
	close_file(job, bytes);
	if (job->error != 0)
		return;
	remove_obsolete(job, nobsolete);
	if (kept->replaces)
		remove_replaced(kept);
}

/* A number that changes whenever something is counted, closed or dropped.  Never 0. */
static uint64
state_number(const Job *job)
{
	uint64 hash =
		hash_bytes_extended((const unsigned char *) &job->head.closed_before,
							sizeof(job->head) - offsetof(BsCheckpointHead, closed_before), 0);

	hash = hash_combine64(hash, (uint64) job->more.full_from);
	for (int w = 0; w < count_writers(job); w++)
	{
		const BsPartial *partial;

		if (!lock_mine(job, w))
			continue;
		partial = &partial_of(job, w)->partial;
		hash = hash_combine64(hash, partial->received);
		hash = hash_combine64(hash, partial->late);
		hash = hash_combine64(hash, partial->npanes);
		hash = hash_combine64(hash, (uint64) partial->dropped_before);
		hash = hash_combine64(hash, (uint64) partial->records_lost << 32 | partial->datagrams_lost);
		bs_partial_unlock(partial_of(job, w));
	}
	return hash | 1;
}

/* Is the slot still what was taken up, and which of those that it goes on from are?  The registry lock is held. */
static bool
look_at_slots(Job *job)
{
	BsFiled *kept = job->kept;
	BsSharedView *view = job->view;
	BsCheckpointMore *more = &job->more;

	if (view->relid != kept->relid || view->fingerprint != kept->fingerprint ||
		view->generation != kept->generation ||
		view->role != (kept->waiting ? BS_SLOT_WAITING : BS_SLOT_CURRENT))
		return false;
	job->timing = view->timing;
	job->head.since = view->since;
	more->full_from = (int64) pg_atomic_read_u64(&view->full_from);
	more->ncolumns = kept->compiled->signature->ncolumns;
	more->nparts = kept->nparts;
	for (uint32 i = 0; i < kept->nparts; i++)
	{
		BsFiledPart *part = &kept->parts[i];

		if (part->view != NULL &&
			(part->view->relid != kept->relid || part->view->role != BS_SLOT_PREDECESSOR ||
			 part->view->fingerprint != part->fingerprint))
			part->view = NULL;
		more->parts[i] = (BsCheckpointPart){.gone = part->view == NULL,
											.since = part->view != NULL ? part->view->since : 0,
											.missing = part->missing};
	}
	return true;
}

static int
write_view(BsFiled *kept, BsSharedView *view, void (*breathe)(void), uint64 *bytes)
{
	Job job = {.kept = kept, .view = view, .breathe = breathe};
	int64 closed;
	uint64 number;
	bool mine;

	bs_checkpoint_stamp(&job.head, BS_CHECKPOINT_STATE, kept->relid, kept->fingerprint);
	bs_registry_lock_shared();
	mine = look_at_slots(&job);
	bs_registry_unlock();
	if (!mine)
		return 0;
	/* Read first: what closes meanwhile is in the state, and in the next segment. */
	fill_head(&job);
	number = state_number(&job);
	if (number == kept->written)
		return 0;
	closed = bs_timing_panes_closed_before(&job.timing, job.head.closed_before);
	if (closed > kept->segmented_before)
		write_segment(&job, closed, bytes);
	if (job.error == 0)
		write_state(&job, bytes);
	kept->written = job.error == 0 ? number : 0;
	return job.error;
}

/* Of a view that the fetcher feeds: not while it adds, or rows would be in the file that are to be read again. */
int
bs_checkpoint_view(BsFiled *kept, BsSharedView *view, void (*breathe)(void), uint64 *bytes)
{
	bool fetched;
	int error;

	bs_registry_lock_shared();
	fetched = bs_timing_is_fetched(&view->timing);
	bs_registry_unlock();
	if (fetched)
		LWLockAcquire(&bs_shared_fetching()->publish_lock, LW_EXCLUSIVE);
	error = write_view(kept, view, breathe, bytes);
	if (fetched)
		LWLockRelease(&bs_shared_fetching()->publish_lock);
	return error;
}
