/* SPDX-License-Identifier: PostgreSQL */
/*
 * restart.c: windows out of their files, when the server starts.  See checkpoint.h.
 *
 * All files of a view are read once to see whether they are whole before anything is taken up: a view comes back
 * as it was written, or begins anew.
 */
#include "backstream.h"

#include <unistd.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "checkpoint.h"
#include "exportermemo.h"
#include "guard.h"
#include "viewdef.h"

#define LOCK_TRIES     100
#define LOCK_WAIT_USEC 10000

/* A state that may be taken up, of the definition that was shown, or waited, when it was written. */
typedef struct Found
{
	bool there;
	bool used;
	BsCheckpointHead head;
} Found;

/* One definition of a view on its way back. */
typedef struct Return
{
	Oid relid;
	bool waiting; /* it waits, now */
	bool waited;  /* it did when its files were written */
	BsCheckpointHead head;
	BsViewProgram *compiled;
	BsSharedView *view;
	uint32 nparts;
	BsSharedView *parts[BS_MAX_PARTS]; /* what it goes on from; NULL: nothing is there, or no room */
	BsWriter *writer;
	BsUnpacker *unpacker;
	BsSharedPartial *restored; /* what a writer is on its way back into */
	BsRestoring restoring;
	int64 closed; /* panes that start before this were closed */
	int64 shift;
	uint64 nrows;
} Return;

typedef struct Counts
{
	uint64 nviews;
	uint64 nrows;
	uint64 nset_aside;
	int64 down_since; /* the latest that anything was written */
} Counts;

static Counts counts;
static const char stranger[] =
	"it belongs to another server, or to this one before it was restored or promoted";

/* ---------- reading ---------- */

static bool
state_valid(void *context, uint32_t foreign, BsBytes state)
{
	const Return *job = context;

	return bs_foreignagg_state_valid(job->compiled->foreign[foreign], state);
}

/* The writer that goes on from one of before: with fewer receivers some go on from several. */
static int
writer_now(const Return *job, uint64 writer)
{
	if (writer < job->head.nreceivers)
		return (int) (writer % (uint64) bs_setting_workers);
	return writer == job->head.nreceivers ? bs_backend_writer() : bs_keeper_writer();
}

/* NULL: it is of a part that is not taken up. */
static BsSharedPartial *
partial_now(const Return *job, uint32 tag)
{
	uint64 nwriters = job->head.nreceivers + 2;
	uint64 part = tag / nwriters;
	BsSharedView *view = job->view;

	if (part > 0)
		view = part <= job->nparts ? job->parts[part - 1] : NULL;
	return view != NULL ? &view->partials[writer_now(job, tag % nwriters)] : NULL;
}

/* The slots that the view goes on from, empty yet. */
static const char *
take_more(Return *job, BsBytes message)
{
	const BsSignature *signature = job->compiled->signature;
	BsCheckpointMore more;

	if (!bs_checkpoint_more_unpack(message, signature->ncolumns, &more))
		return "what it says of earlier definitions is of another one";
	if (job->waiting)
		pg_atomic_write_u64(&job->view->full_from, (uint64) more.full_from);
	job->nparts = more.nparts;
	for (uint32 i = 0; i < more.nparts; i++)
	{
		const BsCheckpointPart *part = &more.parts[i];

		if (part->gone)
			continue;
		job->parts[i] = bs_registry_add_predecessor(
			job->view, job->compiled, bs_signature_without(signature, part->missing), part->since);
		if (job->parts[i] == NULL)
			ereport(LOG, (errmsg("windows of continuous view \"%s\" that were counted under an "
								 "earlier definition are not taken up: no slot is free",
								 get_rel_name(job->relid)),
						  errhint("Raise backstream.max_views.")));
	}
	return NULL;
}

/* The writer before is back. */
static void
finish_writer(Return *job)
{
	BsSharedPartial *partial = job->restored;

	if (partial == NULL)
		return;
	bs_partial_lock_write(partial);
	bs_partial_restored(&partial->partial, bs_shared_arena(), &job->compiled->program, &job->restoring);
	bs_partial_unlock(partial);
	job->restored = NULL;
}

static const char *
take_message(Return *job, uint32 tag, BsBytes message)
{
	BsSharedPartial *partial = partial_now(job, tag);
	BsUnpacked unpacked;
	BsPackStatus status = bs_unpack(job->unpacker, message.data, message.len, &unpacked);

	if (status != BS_PACK_OK)
		return psprintf("a part of it %s", bs_pack_status_text(status));
	if (partial == NULL)
		return NULL;
	if (unpacked.kind == BS_PACK_PANE && job->view->timing.windowed &&
		unpacked.pane.window >= job->closed)
		unpacked.pane.gap = true;
	if (unpacked.kind == BS_PACK_PARTIAL)
	{
		finish_writer(job);
		job->restored = partial;
	}
	job->nrows += unpacked.nrows;
	bs_partial_lock_write(partial);
	bs_partial_restore(&partial->partial, bs_shared_arena(), &job->compiled->program, job->writer,
					   job->unpacker, &unpacked, job->shift, &job->restoring);
	bs_partial_unlock(partial);
	return NULL;
}

static const char *
take_file(Return *job, const char *path)
{
	const char *problem;
	BsCheckpointHead head;
	BsCheckpointReader *reader = bs_checkpoint_open(path, &head, &problem);
	BsBytes message;
	uint32 tag;

	if (reader == NULL)
		return problem;
	while (bs_checkpoint_next(reader, &tag, &message, &problem))
	{
		CHECK_FOR_INTERRUPTS();
		if (tag == BS_CHECKPOINT_OPTIONS)
			continue;
		problem = tag == BS_CHECKPOINT_MORE ? take_more(job, message)
											: take_message(job, tag, message);
		if (problem != NULL)
			break;
	}
	bs_checkpoint_free(reader);
	return problem;
}

/* ---------- looking ---------- */

static void
set_aside(const char *path, const char *problem)
{
	bs_checkpoint_set_aside(path, problem);
	counts.nset_aside++;
}

/* Is a segment there, whole, and of this state?  It is set aside when not. */
static bool
segment_fits(const Return *job, uint64 segment, int64 *last_start)
{
	char path[MAXPGPATH];
	const char *problem;
	BsCheckpointHead head;
	BsCheckpointReader *reader;

	bs_checkpoint_segment_path(path, job->relid, job->waited, segment);
	reader = bs_checkpoint_open(path, &head, &problem);
	if (reader == NULL)
	{
		if (problem[0] != '\0')
			set_aside(path, problem);
		return false;
	}
	bs_checkpoint_free(reader);
	*last_start = head.last_start;
	if (head.kind == BS_CHECKPOINT_SEGMENT && head.relid == job->relid &&
		head.fingerprint == job->head.fingerprint && bs_checkpoint_is_ours(&head))
		return true;
	set_aside(path, "it belongs to another server or view");
	return false;
}

static bool
segments_fit(const Return *job)
{
	int64 last_start;

	for (uint64 s = job->head.first_segment; s < job->head.end_segment; s++)
		if (!segment_fits(job, s, &last_start))
			return false;
	return true;
}

/* A state that may be taken up; if it may not, it has been dealt with. */
static Found
look_at_state(Oid relid, bool waited)
{
	Return job = {.relid = relid, .waited = waited};
	char path[MAXPGPATH];
	const char *problem;
	BsCheckpointReader *reader;

	bs_checkpoint_state_path(path, relid, waited);
	reader = bs_checkpoint_open(path, &job.head, &problem);
	if (reader == NULL)
	{
		if (problem[0] != '\0')
			set_aside(path, problem);
		return (Found){0};
	}
	bs_checkpoint_free(reader);
	if (job.head.kind != BS_CHECKPOINT_STATE || job.head.relid != relid ||
		!bs_checkpoint_is_ours(&job.head))
		set_aside(path, stranger);
	else if (!segments_fit(&job))
		set_aside(path, "segments of it are missing");
	else
		return (Found){.there = true, .head = job.head};
	return (Found){0};
}

/* ---------- one view ---------- */

static bool
lock_view(Oid relid)
{
	for (int i = 0; i < LOCK_TRIES; i++)
	{
		if (ConditionalLockRelationOid(relid, AccessShareLock))
		{
			if (bs_viewdef_lock_nowait(relid))
				return true;
			UnlockRelationOid(relid, AccessShareLock);
		}
		CHECK_FOR_INTERRUPTS();
		pg_usleep(LOCK_WAIT_USEC);
	}
	return false;
}

static void
raise_to(pg_atomic_uint64 *to, int64 value)
{
	if (value > (int64) pg_atomic_read_u64(to))
		pg_atomic_write_u64(to, (uint64) value);
}

static void
close_slot(BsSharedView *view, int64 panes_before)
{
	for (int w = 0; w < bs_nwriters(); w++)
	{
		bs_partial_lock_write(&view->partials[w]);
		bs_partial_close(&view->partials[w].partial, panes_before);
		bs_partial_unlock(&view->partials[w]);
	}
}

/* Writers of which there are more than before, too; and what it goes on from. */
static void
close_until(BsSharedView *view, int64 closed_before)
{
	if (!view->timing.windowed || closed_before == BS_TIME_NEG_INFINITY)
		return;
	for (BsSharedView *part = view; part != NULL; part = bs_registry_predecessor(part))
		close_slot(part, bs_timing_panes_closed_before(&view->timing, closed_before));
	raise_to(&view->closed_before, closed_before);
}

/* What is in the slot besides partials. */
static void
take_head(Return *job)
{
	const BsCheckpointHead *head = &job->head;
	BsSharedView *view = job->view;

	raise_to(&view->data_now, head->data_now);
	raise_to(&view->fed_before, head->fed_before);
	pg_atomic_write_u64(&view->windows_missed, head->windows_missed);
	pg_atomic_write_u64(&view->windows_incomplete, head->windows_incomplete);
	pg_atomic_write_u64(&view->skipped, head->skipped);
	for (int i = 0; i < BS_NOUTPUTS; i++)
	{
		BsSharedOutput *output = &view->outputs[i];

		pg_atomic_write_u64(&output->done_before, head->outputs[i][0]);
		pg_atomic_write_u64(&output->windows, head->outputs[i][1]);
		pg_atomic_write_u64(&output->rows, head->outputs[i][2]);
		pg_atomic_write_u64(&output->rows_failed, head->outputs[i][3]);
		pg_atomic_write_u64(&output->windows_missed, head->outputs[i][4]);
	}
	close_until(view, head->closed_before);
	bs_registry_set_since(view, head->since);
}

static void
take_files(Return *job, const char *state_path)
{
	char path[MAXPGPATH];
	const char *problem = take_file(job, state_path);

	finish_writer(job);
	for (uint64 s = job->head.first_segment; problem == NULL && s < job->head.end_segment; s++)
	{
		bs_checkpoint_segment_path(path, job->relid, job->waited, s);
		problem = take_file(job, path);
	}
	if (problem != NULL)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg_internal("%s", problem)));
}

/* What the keeper needs to go on with these files. */
static void
keep(Return *job, BsFiled *kept)
{
	bs_filed_make(kept, job->compiled, job->relid, job->waiting);
	kept->generation = job->view->generation;
	for (uint32 i = 0; i < job->nparts; i++)
		bs_filed_add_part(kept, job->parts[i],
						  job->parts[i] != NULL
							  ? bs_arena_at(bs_shared_arena(), job->parts[i]->signature)
							  : NULL);
	kept->first_segment = kept->end_segment = job->head.first_segment;
	kept->segmented_before = job->head.segmented_before;
	for (uint64 s = job->head.first_segment; s < job->head.end_segment; s++)
	{
		int64 last_start = BS_TIME_INFINITY;

		(void) segment_fits(job, s, &last_start);
		if (!bs_filed_add_segment(kept, last_start))
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
}

/*
 * The state of this definition: that of what was shown or waited before.  One that waited may have taken over before the
 * server ended, and not have been written as what is shown.
 */
static Found *
choose(Return *job, Found found[2])
{
	uint64 fingerprint = job->compiled->program.fingerprint;

	for (int i = job->waiting ? 1 : 0; i < 2; i++)
		if (found[i].there && !found[i].used && found[i].head.fingerprint == fingerprint)
		{
			found[i].used = true;
			job->waited = i == 1;
			job->head = found[i].head;
			return &found[i];
		}
	return NULL;
}

static void
free_scratch(Return *job)
{
	if (job->writer != NULL)
		bs_writer_free(job->writer);
	if (job->unpacker != NULL)
		bs_unpacker_free(job->unpacker);
}

/* The state that was chosen into the slot of its definition.  Raises errors. */
static void
take_state(Return *job, const BsViewDef *def)
{
	BsProgram *program = &job->compiled->program;
	char path[MAXPGPATH];

	job->view = bs_active_attach(def, job->compiled);
	job->writer = bs_writer_create(program);
	job->unpacker = bs_unpacker_create(program, program->fingerprint, state_valid, job);
	if (job->view == NULL || job->writer == NULL || job->unpacker == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	job->closed = bs_timing_panes_closed_before(&job->view->timing, job->head.closed_before);
	if (job->view->timing.clock == BS_CLOCK_WALL)
		job->shift = Max(GetCurrentTimestamp() - job->head.written_at, 0);
	bs_checkpoint_state_path(path, job->relid, job->waited);
	take_files(job, path);
	take_head(job);
	counts.nviews += !job->waiting;
	counts.nrows += job->nrows;
	counts.down_since = Max(counts.down_since, job->head.written_at);
}

/* ---------- what was shown before it was replaced ---------- */

/* The options that a state was written under; NIL: it does not say. */
static List *
options_in(Oid relid)
{
	char path[MAXPGPATH];
	const char *problem;
	BsCheckpointHead head;
	BsCheckpointReader *reader;
	List *options = NIL;
	BsBytes message;
	uint32 tag;

	bs_checkpoint_state_path(path, relid, false);
	reader = bs_checkpoint_open(path, &head, &problem);
	if (reader == NULL)
		return NIL;
	if (bs_checkpoint_next(reader, &tag, &message, &problem) && tag == BS_CHECKPOINT_OPTIONS)
		options = bs_checkpoint_options_unpack(message);
	bs_checkpoint_free(reader);
	return options;
}

typedef struct Older
{
	Return job;
	BsViewDef *def;
} Older;

static void
compile_older(void *argument)
{
	Older *older = argument;
	List *options = options_in(older->job.relid);

	if (options == NIL)
		return;
	older->def = bs_viewdef_load_options(older->job.relid, options);
	older->job.compiled = bs_query_compile(older->def, 1, CurrentMemoryContext);
}

/*
 * The definition was replaced when this state had been written, and the server was gone before the next: what the older
 * definition has counted is taken up under that, as far as it can still be read, and the new one goes on from there.
 * Returns whether it does.  Raises errors.
 */
static bool
go_on_from_older(Return *job, const BsViewDef *def, Found *found)
{
	Older older = {.job = {.relid = job->relid, .head = found->head}};
	ErrorData *error = bs_guarded(compile_older, &older);

	if (error != NULL)
	{
		ereport(LOG, (errmsg("the definition under which continuous view \"%s\" was counted before the "
							 "restart cannot be read any more: %s",
							 get_rel_name(job->relid), error->message)));
		FreeErrorData(error);
		return false;
	}
	if (older.job.compiled == NULL ||
		older.job.compiled->program.fingerprint != found->head.fingerprint ||
		!bs_signature_continues(older.job.compiled->signature, job->compiled))
		return false;
	found->used = true;
	PG_TRY();
	{
		take_state(&older.job, older.def);
		(void) bs_active_attach(def, job->compiled);
	}
	PG_FINALLY();
	{
		job->view = older.job.view;
		free_scratch(&older.job);
	}
	PG_END_TRY();
	return true;
}

/* Raises errors. */
static void
take_definition(Return *job, Found found[2])
{
	BsViewDef *def;

	job->compiled = bs_filed_compile(job->relid, job->waiting, &def);
	/* Of a view that nodes keep nothing is here once it has no outputs any more. */
	if (job->compiled == NULL || (def->on_nodes && !bs_view_options_have_outputs(&def->options)))
		return;
	if (choose(job, found) != NULL)
	{
		take_state(job, def);
		/* Else it is written anew, under its other name. */
		if (job->waiting == job->waited)
			keep(job, bs_filed_of(bs_registry_number(job->view)));
	}
	else if (!job->waiting && found[0].there)
		(void) go_on_from_older(job, def, &found[0]);
}

/*
 * What a view has read of the one below it had closed there.  Where a crash came between the files of the two it
 * stays closed.
 */
static void
close_what_was_read(void)
{
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		BsSharedView *upper = bs_registry_slot(i);
		BsSharedView *lower;

		bs_registry_lock_shared();
		lower = OidIsValid(upper->relid) && upper->timing.feeding == BS_FEED_LEVEL
					? bs_registry_slot_of(upper->timing.lower)
					: NULL;
		if (lower != NULL)
			close_until(lower, (int64) pg_atomic_read_u64(&upper->fed_before));
		bs_registry_unlock();
	}
}

typedef struct Taking
{
	Return *job;
	Found *found; /* [2] */
} Taking;

static void
take_locked(void *argument)
{
	Taking *taking = argument;

	if (!lock_view(taking->job->relid))
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE), errmsg_internal("%s", "the view is locked")));
	take_definition(taking->job, taking->found);
}

static void
set_found_aside(Oid relid, bool waited, Found *found, const char *problem)
{
	char path[MAXPGPATH];

	if (!found->there)
		return;
	found->used = true;
	bs_checkpoint_state_path(path, relid, waited);
	set_aside(path, problem);
}

/* A definition that cannot be taken up begins anew; the others go on. */
static void
take_guarded(Oid relid, bool waiting, Found found[2])
{
	Return job = {.relid = relid, .waiting = waiting, .waited = waiting};
	ErrorData *error = bs_guarded(take_locked, &(Taking){.job = &job, .found = found});

	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	if (error != NULL)
	{
		if (job.view != NULL && waiting)
			bs_registry_remove_waiting(relid);
		else if (job.view != NULL)
			bs_registry_remove(relid);
		set_found_aside(relid, job.waited, &found[job.waited], error->message);
		FreeErrorData(error);
	}
	free_scratch(&job);
}

/* Files that are of neither definition go. */
static void
take_view(Oid relid)
{
	Found found[2] = {look_at_state(relid, false), look_at_state(relid, true)};

	if (found[0].there || found[1].there)
		take_guarded(relid, false, found);
	if (found[1].there && !found[1].used)
		take_guarded(relid, true, found);
	if (found[0].there && !found[0].used)
		ereport(LOG, (errmsg("windows of continuous view \"%s\" are not taken up: its definition "
							 "has changed",
							 get_rel_name(relid))));
	for (int i = 0; i < 2; i++)
		if (found[i].there && !found[i].used)
			bs_checkpoint_remove_definition(relid, i == 1);
}

static void
collect(void *context, Oid relid)
{
	List **relids = context;

	*relids = list_append_unique_oid(*relids, relid);
}

static void
take_all(void)
{
	List *views = bs_extension_is_here() ? bs_viewdef_list() : NIL;
	List *relids = NIL;
	ListCell *lc;

	bs_checkpoint_each(collect, &relids);
	foreach (lc, relids)
	{
		Oid relid = lfirst_oid(lc);

		if (list_member_oid(views, relid))
			take_view(relid);
		/* What is not this server's is not removed for the want of a view. */
		else if (look_at_state(relid, false).there)
			bs_checkpoint_remove(relid);
	}
}

/* What receivers knew of exporters: left where they look. */
static void
take_exporters(void)
{
	const char *problem;
	BsCheckpointHead head;
	BsCheckpointReader *reader = bs_checkpoint_open(BS_CHECKPOINT_EXPORTERS_PATH, &head, &problem);
	BsBytes message;
	uint32 tag;

	if (reader == NULL)
	{
		if (problem[0] != '\0')
			set_aside(BS_CHECKPOINT_EXPORTERS_PATH, problem);
		return;
	}
	problem = NULL;
	if (head.kind != BS_CHECKPOINT_EXPORTERS || !bs_checkpoint_is_ours(&head))
		problem = stranger;
	else if (bs_checkpoint_next(reader, &tag, &message, &problem))
		(void) bs_exporter_memo_put(&bs_shared_keeper()->memo, message.data, message.len, true);
	bs_checkpoint_free(reader);
	if (problem != NULL)
		set_aside(BS_CHECKPOINT_EXPORTERS_PATH, problem);
}

static BsSpans
take_outages(void)
{
	BsSpans outages;
	const char *problem;

	if (!bs_outages_read(&outages, &problem))
		set_aside(BS_CHECKPOINT_OUTAGES_PATH, problem);
	return outages;
}

void
bs_restart_note_up(void)
{
	BsSharedCheckpoint *shared = bs_shared_checkpoint();

	SpinLockAcquire(&shared->mutex);
	if (shared->down_since != 0)
		shared->up_since = Max(shared->up_since, GetCurrentTimestamp());
	SpinLockRelease(&shared->mutex);
}

/* A keeper before this one ended while it restored: what it has added must not be added again. */
static void
drop_half_restored(void)
{
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		Oid relid = bs_registry_slot(i)->relid;

		if (OidIsValid(relid))
			bs_registry_remove(relid);
	}
}

void
bs_restart_run(void)
{
	BsSharedCheckpoint *shared = bs_shared_checkpoint();
	TimestampTz began = GetCurrentTimestamp();
	BsSpans outages;

	if (pg_atomic_read_u32(&shared->state) == BS_RESTART_DONE)
		return;
	if (pg_atomic_exchange_u32(&shared->begun, 1) != 0)
		drop_half_restored();
	counts = (Counts){0};
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	take_all();
	close_what_was_read();
	take_exporters();
	outages = take_outages();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
	SpinLockAcquire(&shared->mutex);
	shared->views_restored = counts.nviews;
	shared->set_aside = counts.nset_aside;
	shared->restore_usec = GetCurrentTimestamp() - began;
	shared->outages = outages;
	shared->down_since = counts.down_since;
	shared->up_since = GetCurrentTimestamp();
	SpinLockRelease(&shared->mutex);
	if (counts.nviews > 0)
		ereport(
			LOG,
			(errmsg("windows of %llu continuous views have been taken up: %llu groups in %lld ms",
					(unsigned long long) counts.nviews, (unsigned long long) counts.nrows,
					(long long) (shared->restore_usec / 1000))));
	pg_memory_barrier();
	pg_atomic_write_u32(&shared->state, BS_RESTART_DONE);
}
