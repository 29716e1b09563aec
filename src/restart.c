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
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "checkpoint.h"
#include "exportermemo.h"
#include "guard.h"
#include "viewdef.h"
#include "viewshape.h"

#define LOCK_TRIES     100
#define LOCK_WAIT_USEC 10000

/* One view on its way back. */
typedef struct Return
{
	Oid relid;
	BsCheckpointHead head;
	BsViewProgram *compiled;
	BsSharedView *view;
	BsWriter *writer;
	BsUnpacker *unpacker;
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
writer_now(const Return *job, uint32 tag)
{
	if (tag < job->head.nreceivers)
		return (int) (tag % (uint32) bs_setting_workers);
	return tag == job->head.nreceivers ? bs_backend_writer() : bs_keeper_writer();
}

static const char *
take_message(Return *job, uint32 tag, BsBytes message)
{
	BsSharedPartial *partial = &job->view->partials[writer_now(job, tag)];
	BsUnpacked unpacked;
	BsPackStatus status = bs_unpack(job->unpacker, message.data, message.len, &unpacked);

	if (status != BS_PACK_OK)
		return psprintf("a part of it %s", bs_pack_status_text(status));
	if (unpacked.kind == BS_PACK_PANE && job->view->timing.windowed &&
		unpacked.pane.window >= job->closed)
		unpacked.pane.gap = true;
	job->nrows += unpacked.nrows;
	bs_partial_lock_write(partial);
	bs_partial_restore(&partial->partial, bs_shared_arena(), &job->compiled->program, job->writer,
					   job->unpacker, &unpacked, job->shift);
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
		problem = take_message(job, tag, message);
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

	bs_checkpoint_segment_path(path, job->relid, segment);
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

/* The head of a state that may be taken up; false: it may not, and it has been dealt with. */
static bool
look_at_state(Return *job, const char *path)
{
	const char *problem;
	BsCheckpointReader *reader = bs_checkpoint_open(path, &job->head, &problem);

	if (reader == NULL)
	{
		set_aside(path, problem);
		return false;
	}
	bs_checkpoint_free(reader);
	if (job->head.kind != BS_CHECKPOINT_STATE || job->head.relid != job->relid ||
		!bs_checkpoint_is_ours(&job->head))
	{
		set_aside(path, stranger);
		return false;
	}
	if (segments_fit(job))
		return true;
	set_aside(path, "segments of it are missing");
	return false;
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

/* Writers of which there are more than before, too. */
static void
close_until(BsSharedView *view, int64 closed_before)
{
	if (!view->timing.windowed || closed_before == BS_TIME_NEG_INFINITY)
		return;
	for (int w = 0; w < bs_nwriters(); w++)
	{
		bs_partial_lock_write(&view->partials[w]);
		bs_partial_close(&view->partials[w].partial,
						 bs_panes_closed_before(&view->timing.windowing, closed_before));
		bs_partial_unlock(&view->partials[w]);
	}
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

	for (uint64 s = job->head.first_segment; problem == NULL && s < job->head.end_segment; s++)
	{
		bs_checkpoint_segment_path(path, job->relid, s);
		problem = take_file(job, path);
	}
	if (problem != NULL)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg_internal("%s", problem)));
}

/* What the keeper needs to go on with these files. */
static void
keep(Return *job, BsFiled *kept)
{
	bs_filed_make(kept, job->compiled, job->relid);
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

/* Raises errors. */
static void
take_view(Return *job, const char *path)
{
	BsViewDef *def;
	BsProgram *program;

	job->compiled = bs_view_compile(job->relid, 1, &def);
	program = &job->compiled->program;
	if (program->fingerprint != job->head.fingerprint)
	{
		ereport(
			LOG,
			(errmsg(
				"windows of continuous view \"%s\" are not taken up: its definition has changed",
				get_rel_name(job->relid))));
		bs_checkpoint_remove(job->relid);
		return;
	}
	job->view = bs_active_attach(def, job->compiled);
	job->writer = bs_writer_create(program);
	job->unpacker = bs_unpacker_create(program, program->fingerprint, state_valid, job);
	if (job->view == NULL || job->writer == NULL || job->unpacker == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	job->closed = BS_TIME_NEG_INFINITY;
	if (program->windowed)
		job->closed = bs_panes_closed_before(&program->windowing, job->head.closed_before);
	if (job->view->timing.clock == BS_CLOCK_WALL)
		job->shift = Max(GetCurrentTimestamp() - job->head.written_at, 0);
	take_files(job, path);
	take_head(job);
	keep(job, bs_filed_of(bs_registry_number(job->view)));
	counts.nviews++;
	counts.nrows += job->nrows;
	counts.down_since = Max(counts.down_since, job->head.written_at);
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
		lower = OidIsValid(upper->relid) && OidIsValid(upper->timing.lower)
					? bs_registry_slot_of(upper->timing.lower)
					: NULL;
		if (lower != NULL)
			close_until(lower, (int64) pg_atomic_read_u64(&upper->fed_before));
		bs_registry_unlock();
	}
}

static void
free_scratch(Return *job)
{
	if (job->writer != NULL)
		bs_writer_free(job->writer);
	if (job->unpacker != NULL)
		bs_unpacker_free(job->unpacker);
}

typedef struct Taking
{
	Return *job;
	const char *path;
} Taking;

static void
take(void *argument)
{
	Taking *taking = argument;

	if (lock_view(taking->job->relid))
		take_view(taking->job, taking->path);
	else
		set_aside(taking->path, "the view is locked");
}

/* A view that cannot be taken up begins anew; the others go on. */
static void
take_guarded(Return *job, const char *path)
{
	ErrorData *error = bs_guarded(take, &(Taking){job, path});

	if (error != NULL)
	{
		if (job->view != NULL)
			bs_registry_remove(job->relid);
		set_aside(path, error->message);
		FreeErrorData(error);
	}
	free_scratch(job);
}

static void
collect(void *context, Oid relid)
{
	List **relids = context;

	*relids = lappend_oid(*relids, relid);
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
		Return job = {.relid = lfirst_oid(lc)};
		char path[MAXPGPATH];

		bs_checkpoint_state_path(path, job.relid);
		/* What is not this server's is not removed for the want of a view. */
		if (!look_at_state(&job, path))
			continue;
		if (list_member_oid(views, job.relid))
			take_guarded(&job, path);
		else
			bs_checkpoint_remove(job.relid);
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

void
bs_restart_run(void)
{
	BsSharedCheckpoint *shared = bs_shared_checkpoint();
	TimestampTz began = GetCurrentTimestamp();

	if (pg_atomic_read_u32(&shared->state) == BS_RESTART_DONE)
		return;
	counts = (Counts){0};
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	take_all();
	close_what_was_read();
	take_exporters();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
	SpinLockAcquire(&shared->mutex);
	shared->views_restored = counts.nviews;
	shared->set_aside = counts.nset_aside;
	shared->restore_usec = GetCurrentTimestamp() - began;
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
