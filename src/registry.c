/* SPDX-License-Identifier: PostgreSQL */
/* registry.c: shared memory, its locks, and telling of changes.  See registry.h. */
#include "registry.h"

#include <signal.h>
#include <time.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/backendid.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "backstream.h"
#include "query.h"
#include "viewdef.h"
#include "views.h"

#define KEPT_PART 64 /* of backstream.memory */
#define SHARED_MAGIC 0x42535348u /* BSSH */
#define SHARED_VERSION 1
#define MIN_ARENA_BYTES (UINT64CONST(4) * 1024 * 1024)
#define READER_WAIT_USEC 50

typedef struct BsShared
{
	uint32 magic;
	uint32 version;
	LWLock registry_lock; /* protects relid, fingerprint, since, timing of every slot */
	pg_atomic_uint64 generation;
	pg_atomic_uint64 sockets_generation;
	uint64 hash_seed;
	TimestampTz started;
	int64 started_boot_usec; /* since the machine was booted */
	int tranche_id;
	BsSharedCheckpoint checkpoint;
	BsSharedFetching fetching;
	/* Offsets from the head: */
	Size views;
	Size view_bytes;
	Size workers; /* BsSharedWorker[workers + BS_OTHER_WORKERS]: then the keeper, the archiver and the fetcher */
	Size applying; /* pg_atomic_uint64[MaxBackends]: bs_backend_begin_apply, 0 none */
	Size exporters;
	Size listeners;
	Size forwards;
	Size source_names; /* BsSharedSourceNames */
	Size arena;
} BsShared;

static BsShared *shared;
static shmem_request_hook_type next_request_hook;
static shmem_startup_hook_type next_startup_hook;

/* ---- layout ----------------------------------------------------------------------------------- */

/* Fills in the offsets; returns the size of all but the arena. */
static Size
lay_out(BsShared *head)
{
	Size size = CACHELINEALIGN(sizeof(BsShared));

	head->view_bytes = CACHELINEALIGN(offsetof(BsSharedView, partials) +
									  mul_size(bs_nwriters(), sizeof(BsSharedPartial)));
	head->views = size;
	size = add_size(size, mul_size(head->view_bytes, (Size) bs_setting_max_views * 2));
	head->workers = size;
	size = add_size(size, CACHELINEALIGN(mul_size(bs_setting_workers + BS_OTHER_WORKERS, sizeof(BsSharedWorker))));
	head->applying = size;
	size = add_size(size, CACHELINEALIGN(mul_size(MaxBackends, sizeof(pg_atomic_uint64))));
	head->exporters = size;
	size = add_size(size, CACHELINEALIGN(mul_size(mul_size(bs_setting_workers, bs_setting_max_exporters),
												  sizeof(BsExporterStats))));
	head->listeners = size;
	size = add_size(size, CACHELINEALIGN(mul_size(mul_size(bs_setting_workers, BS_MAX_LISTENERS),
												  sizeof(BsListenerStats))));
	head->forwards = size;
	size = add_size(size, CACHELINEALIGN(mul_size(mul_size(bs_setting_workers, BS_FORWARD_MAX_TARGETS),
												  sizeof(BsForwardStats))));
	head->source_names = size;
	size = add_size(size, CACHELINEALIGN(sizeof(BsSharedSourceNames)));
	head->arena = size;
	return size;
}

/* backstream.memory is for everything; what the counters leave is the arena. */
static Size
arena_bytes(Size fixed)
{
	Size budget = (Size) bs_setting_memory_mb * 1024 * 1024;

	return budget > fixed + MIN_ARENA_BYTES ? budget - fixed : MIN_ARENA_BYTES;
}

static void
request_shmem(void)
{
	BsShared head;
	Size fixed;

	if (next_request_hook)
		next_request_hook();
	fixed = lay_out(&head);
	RequestAddinShmemSpace(add_size(fixed, arena_bytes(fixed)) + PG_CACHE_LINE_SIZE);
}

static void *
at(Size offset)
{
	return (char *) shared + offset;
}

static void
init_output(BsSharedOutput *output)
{
	pg_atomic_init_u64(&output->done_before, (uint64) BS_TIME_NEG_INFINITY);
	pg_atomic_init_u64(&output->windows, 0);
	pg_atomic_init_u64(&output->rows, 0);
	pg_atomic_init_u64(&output->rows_failed, 0);
	pg_atomic_init_u64(&output->windows_missed, 0);
}

/* All but what needs locks. */
static void
init_slot(BsSharedView *view)
{
	view->predecessor = -1;
	SpinLockInit(&view->mutex);
	pg_atomic_init_u32(&view->state, 0);
	pg_atomic_init_u32(&view->replaced, 0);
	pg_atomic_init_u64(&view->full_from, (uint64) BS_TIME_INFINITY);
	pg_atomic_init_u64(&view->closed_before, (uint64) BS_TIME_NEG_INFINITY);
	pg_atomic_init_u64(&view->front, (uint64) BS_TIME_NEG_INFINITY);
	pg_atomic_init_u64(&view->skipped, 0);
	pg_atomic_init_u64(&view->data_now, (uint64) BS_TIME_NEG_INFINITY);
	pg_atomic_init_u64(&view->fed_before, (uint64) BS_TIME_NEG_INFINITY);
	pg_atomic_init_u64(&view->windows_missed, 0);
	pg_atomic_init_u64(&view->windows_incomplete, 0);
	for (int i = 0; i < BS_NOUTPUTS; i++)
		init_output(&view->outputs[i]);
}

static void
init_view(BsSharedView *view)
{
	init_slot(view);
	ConditionVariableInit(&view->window_closed);
	LWLockInitialize(&view->advance_lock, shared->tranche_id);
	for (int w = 0; w < bs_nwriters(); w++)
	{
		LWLockInitialize(&view->partials[w].lock, shared->tranche_id);
		pg_atomic_init_u32(&view->partials[w].writer_wants, 0);
		pg_atomic_init_u32(&view->partials[w].tidying, 0);
	}
}

/* Time that the machine has been up, asleep or not: nobody sets it. */
static int64
boot_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64) now.tv_sec * USECS_PER_SEC + now.tv_nsec / 1000;
}

static void
init_shared(Size fixed)
{
	memset(shared, 0, fixed);
	lay_out(shared);
	shared->magic = SHARED_MAGIC;
	shared->version = SHARED_VERSION;
	shared->tranche_id = LWLockNewTrancheId();
	LWLockInitialize(&shared->registry_lock, shared->tranche_id);
	pg_atomic_init_u64(&shared->generation, 1);
	pg_atomic_init_u64(&shared->sockets_generation, 0);
	pg_atomic_init_u32(&shared->checkpoint.state, BS_RESTART_PENDING);
	pg_atomic_init_u32(&shared->checkpoint.begun, 0);
	SpinLockInit(&shared->checkpoint.mutex);
	pg_atomic_init_u64(&shared->fetching.rounds_wanted, 0);
	pg_atomic_init_u64(&shared->fetching.rounds_done, 0);
	pg_atomic_init_u32(&shared->fetching.behind, 0);
	LWLockInitialize(&shared->fetching.publish_lock, shared->tranche_id);
	if (!pg_strong_random(&shared->hash_seed, sizeof(shared->hash_seed)))
		ereport(FATAL, (errmsg("could not get random numbers for hashing")));
	bs_source_names_init(bs_shared_source_names());
	shared->started = GetCurrentTimestamp();
	shared->started_boot_usec = boot_usec();
	for (int i = 0; i < bs_registry_nslots(); i++)
		init_view(bs_registry_slot(i));
	for (int w = 0; w < bs_setting_workers + BS_OTHER_WORKERS; w++)
	{
		BsSharedWorker *worker = (BsSharedWorker *) at(shared->workers) + w;

		pg_atomic_init_u32(&worker->pid, 0);
		pg_atomic_init_u32(&worker->not_connected, 0);
		pg_atomic_init_u32(&worker->waiting, 0);
		pg_atomic_init_u64(&worker->applied_until, 0);
		pg_atomic_init_u64(&worker->generation, 0);
		pg_atomic_init_u32(&worker->busy, 0);
		LWLockInitialize(&worker->memo.lock, shared->tranche_id);
	}
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u64((pg_atomic_uint64 *) at(shared->applying) + i, 0);
	if (bs_arena_init(at(shared->arena), arena_bytes(fixed)) == NULL)
		ereport(FATAL, (errmsg("backstream.memory is too small")));
	/* For windows of views with overflow = 'other': each begins with some hundred bytes. */
	bs_arena_keep(at(shared->arena), bs_arena_stats(at(shared->arena)).total_bytes / KEPT_PART);
}

static void
start_shmem(void)
{
	BsShared head;
	Size fixed;
	bool found;

	if (next_startup_hook)
		next_startup_hook();
	fixed = lay_out(&head);
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = (BsShared *) CACHELINEALIGN(ShmemInitStruct(
		"backstream", add_size(fixed, arena_bytes(fixed)) + PG_CACHE_LINE_SIZE, &found));
	if (!found)
		init_shared(fixed);
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(shared->tranche_id, "backstream");
}

void
bs_registry_init(void)
{
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shmem;
	bs_views_changed_hook = bs_registry_bump;
}

/* ---- access ----------------------------------------------------------------------------------- */

bool
bs_registry_ready(void)
{
	return shared != NULL && !RecoveryInProgress();
}

int
bs_nwriters(void)
{
	return bs_setting_workers + 2;
}

int
bs_backend_writer(void)
{
	return bs_setting_workers;
}

int
bs_keeper_writer(void)
{
	return bs_setting_workers + 1;
}

BsArena *
bs_shared_arena(void)
{
	return at(shared->arena);
}

BsSharedWorker *
bs_shared_worker(int worker)
{
	return (BsSharedWorker *) at(shared->workers) + worker;
}

BsSharedWorker *
bs_shared_keeper(void)
{
	return bs_shared_worker(bs_setting_workers);
}

BsSharedWorker *
bs_shared_archiver(void)
{
	return bs_shared_worker(bs_setting_workers + 1);
}

BsSharedWorker *
bs_shared_fetcher(void)
{
	return bs_shared_worker(bs_setting_workers + 2);
}

BsSharedFetching *
bs_shared_fetching(void)
{
	return &shared->fetching;
}

BsExporterStats *
bs_shared_exporters(int worker)
{
	return (BsExporterStats *) at(shared->exporters) + (Size) worker * bs_setting_max_exporters;
}

BsListenerStats *
bs_shared_listeners(int worker)
{
	return (BsListenerStats *) at(shared->listeners) + (Size) worker * BS_MAX_LISTENERS;
}

BsForwardStats *
bs_shared_forwards(int worker)
{
	return (BsForwardStats *) at(shared->forwards) + (Size) worker * BS_FORWARD_MAX_TARGETS;
}

int64
bs_steady_now(void)
{
	return shared->started + (boot_usec() - shared->started_boot_usec);
}

BsSharedSourceNames *
bs_shared_source_names(void)
{
	return at(shared->source_names);
}

uint64
bs_shared_hash_seed(void)
{
	return shared != NULL ? shared->hash_seed : 0;
}

BsSharedCheckpoint *
bs_shared_checkpoint(void)
{
	return &shared->checkpoint;
}

uint64
bs_registry_generation(void)
{
	return pg_atomic_read_u64(&shared->generation);
}

uint64
bs_sockets_generation(void)
{
	return pg_atomic_read_u64(&shared->sockets_generation);
}

void
bs_sockets_changed(void)
{
	pg_atomic_fetch_add_u64(&shared->sockets_generation, 1);
}

static void
wake(BsSharedWorker *worker)
{
	pid_t pid = (pid_t) pg_atomic_read_u32(&worker->pid);

	if (pid != 0 && pid != MyProcPid)
		kill(pid, SIGUSR1);
}

void
bs_receivers_wake(void)
{
	for (int w = 0; w < bs_setting_workers; w++)
		wake(bs_shared_worker(w));
}

void
bs_registry_bump(void)
{
	if (shared == NULL)
		return;
	pg_atomic_fetch_add_u64(&shared->generation, 1);
	for (int w = 0; w < bs_setting_workers + BS_OTHER_WORKERS; w++)
		wake(bs_shared_worker(w));
}

void
bs_keeper_wake(void)
{
	wake(bs_shared_keeper());
}

void
bs_archiver_wake(void)
{
	wake(bs_shared_archiver());
}

void
bs_fetcher_wake(void)
{
	wake(bs_shared_fetcher());
}

int
bs_registry_nslots(void)
{
	return shared != NULL ? 2 * bs_setting_max_views : 0;
}

BsSharedView *
bs_registry_slot(int i)
{
	return (BsSharedView *) ((char *) at(shared->views) + shared->view_bytes * i);
}

void
bs_registry_lock_shared(void)
{
	LWLockAcquire(&shared->registry_lock, LW_SHARED);
}

void
bs_registry_lock_exclusive(void)
{
	LWLockAcquire(&shared->registry_lock, LW_EXCLUSIVE);
}

void
bs_registry_unlock(void)
{
	LWLockRelease(&shared->registry_lock);
}

/* ---- locks ------------------------------------------------------------------------------------ */

void
bs_partial_lock_write(BsSharedPartial *partial)
{
	if (LWLockConditionalAcquire(&partial->lock, LW_EXCLUSIVE))
		return;
	pg_atomic_fetch_add_u32(&partial->writer_wants, 1);
	LWLockAcquire(&partial->lock, LW_EXCLUSIVE);
	pg_atomic_fetch_sub_u32(&partial->writer_wants, 1);
}

void
bs_partial_lock_read(BsSharedPartial *partial)
{
	/* Bounded: a crowd of writers must not keep a reader out for ever. */
	for (int i = 0; i < 200 && pg_atomic_read_u32(&partial->writer_wants) != 0; i++)
		pg_usleep(READER_WAIT_USEC);
	LWLockAcquire(&partial->lock, LW_SHARED);
}

void
bs_partial_unlock(BsSharedPartial *partial)
{
	LWLockRelease(&partial->lock);
}

/* ---- arrival ---------------------------------------------------------------------------------- */

static pg_atomic_uint64 *
my_applying(void)
{
	return (pg_atomic_uint64 *) at(shared->applying) + (MyBackendId - 1);
}

void
bs_backend_begin_apply(int64 arrival)
{
	if (MyBackendId != InvalidBackendId)
		pg_atomic_write_u64(my_applying(), (uint64) arrival);
	pg_memory_barrier();
}

void
bs_backend_end_apply(void)
{
	if (shared != NULL && MyBackendId != InvalidBackendId)
		pg_atomic_write_u64(my_applying(), 0);
}

bool
bs_backends_apply(void)
{
	for (int i = 0; i < MaxBackends; i++)
		if (pg_atomic_read_u64((pg_atomic_uint64 *) at(shared->applying) + i) != 0)
			return true;
	return false;
}

int64
bs_applied_until(void)
{
	int64 until = GetCurrentTimestamp();

	pg_memory_barrier();
	for (int w = 0; w < bs_setting_workers; w++)
	{
		BsSharedWorker *worker = bs_shared_worker(w);
		int64 applied = (int64) pg_atomic_read_u64(&worker->applied_until);

		if (pg_atomic_read_u32(&worker->pid) != 0 && applied < until)
			until = applied;
	}
	for (int i = 0; i < MaxBackends; i++)
	{
		int64 arrival = (int64) pg_atomic_read_u64((pg_atomic_uint64 *) at(shared->applying) + i);

		if (arrival != 0 && arrival < until)
			until = arrival;
	}
	return until;
}

bool
bs_registry_taken_up(uint64 generation, TimestampTz since)
{
	for (int w = 0; w <= bs_setting_workers; w++)
	{
		BsSharedWorker *worker = bs_shared_worker(w);

		if (pg_atomic_read_u32(&worker->pid) != 0 &&
			pg_atomic_read_u64(&worker->generation) < generation)
			return false;
	}
	for (int i = 0; i < MaxBackends; i++)
	{
		int64 began = (int64) pg_atomic_read_u64((pg_atomic_uint64 *) at(shared->applying) + i);

		if (began != 0 && began <= since)
			return false;
	}
	return true;
}

/* ---- faults ----------------------------------------------------------------------------------- */

void
bs_view_report_error(BsSharedView *view, const char *message)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&view->mutex);
	strlcpy(view->last_error, message, sizeof(view->last_error));
	view->last_error_at = now;
	SpinLockRelease(&view->mutex);
}

void
bs_view_suspend(BsSharedView *view, BsViewState state, const char *reason)
{
	uint32 active = BS_VIEW_ACTIVE;

	/* A view that is suspended already stays so for its first reason. */
	if (!pg_atomic_compare_exchange_u32(&view->state, &active, state))
		return;
	bs_view_report_error(view, reason);
	ereport(LOG, (errmsg("continuous view with OID %u is suspended: %s", view->relid, reason)));
}

void
bs_view_resume(BsSharedView *view, BsViewState state)
{
	uint32 expected = state;

	if (pg_atomic_compare_exchange_u32(&view->state, &expected, BS_VIEW_ACTIVE))
		ereport(LOG, (errmsg("continuous view with OID %u is no longer suspended", view->relid)));
}

/* ---- stand-ins -------------------------------------------------------------------------------- */

BsSharedView *
bs_registry_stand_in(const BsViewDef *def, const BsViewProgram *compiled, const BsViewTiming *timing,
					 MemoryContext context)
{
	BsSharedView *now = bs_registry_find(def->relid, compiled->program.fingerprint);
	BsSharedView *stand_in = MemoryContextAllocZero(context, offsetof(BsSharedView, partials));

	init_slot(stand_in);
	stand_in->relid = def->relid;
	stand_in->fingerprint = compiled->program.fingerprint;
	stand_in->timing = *timing;
	pg_atomic_write_u32(&stand_in->state, BS_VIEW_ACTIVE);
	if (now != NULL)
	{
		pg_atomic_write_u32(&stand_in->state, pg_atomic_read_u32(&now->state));
		pg_atomic_write_u64(&stand_in->front, pg_atomic_read_u64(&now->front));
		pg_atomic_write_u64(&stand_in->data_now, pg_atomic_read_u64(&now->data_now));
	}
	return stand_in;
}

void
bs_stand_in_note_rights(BsSharedView *stand_in, bool may_read, const char *reason)
{
	uint32 expected = may_read ? BS_SUSPENDED_RIGHTS : BS_VIEW_ACTIVE;
	uint32 wanted = may_read ? BS_VIEW_ACTIVE : BS_SUSPENDED_RIGHTS;

	if (pg_atomic_compare_exchange_u32(&stand_in->state, &expected, wanted) && !may_read)
		strlcpy(stand_in->last_error, reason, sizeof(stand_in->last_error));
}

void
bs_stand_in_settle(BsSharedView *view, BsSharedView *stand_in)
{
	BsViewState state = (BsViewState) pg_atomic_read_u32(&stand_in->state);

	if (state == BS_VIEW_ACTIVE)
		bs_view_resume(view, BS_SUSPENDED_RIGHTS);
	else
		bs_view_suspend(view, state, stand_in->last_error);
}
