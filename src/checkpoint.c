/* SPDX-License-Identifier: PostgreSQL */
/* checkpoint.c: when windows are written, and of which views.  See checkpoint.h. */
#include "backstream.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"

#include "checkpoint.h"
#include "exportermemo.h"
#include "levels.h"
#include "statrow.h"
#include "worker.h"

BS_SQL_FUNCTION(bs_checkpoint);

#define LAST_WAIT_USEC    (5 * USECS_PER_SEC) /* for those who still add, when the server stops */
#define ALONE_USEC        (300 * INT64CONST(1000)) /* signals arrive sooner than that */
#define POLL_USEC         1000
#define LAST_TRIES        500 /* POLL_USEC apart: sessions that end give their locks back */
#define RETRY_USEC        USECS_PER_SEC /* after a view was locked, or could not be compiled */
#define MAX_LEVELS        8             /* those above are written with the last */
#define RESTART_WAIT_USEC (INT64CONST(60) * USECS_PER_SEC)
#define NOBODY_WAIT_USEC  (INT64CONST(10) * USECS_PER_SEC)

static TimestampTz written_at;
static bool write_soon; /* a view was replaced: what it goes on from is in files of its older definition alone */
static TimestampTz retry_at;
static uint64 exporters_written; /* bs_exporter_memo_number() of what is in the file */
static volatile sig_atomic_t told_to_end;
static int last_error; /* errno of the last checkpoint; a failure is logged once */

/* ---------- writing ---------- */

/* Compile what has come, but what could not be a moment ago. */
static void
take_up_all(void)
{
	if (GetCurrentTimestamp() < retry_at)
		return;
	retry_at = bs_filed_take_up(false, &write_soon) ? GetCurrentTimestamp() + RETRY_USEC : 0;
}

static void
note_result(int error, TimestampTz began, uint64 bytes)
{
	BsSharedCheckpoint *shared = bs_shared_checkpoint();
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&shared->mutex);
	shared->bytes_written += bytes;
	if (error == 0)
	{
		shared->last_at = now;
		shared->last_usec = now - began;
	}
	else
	{
		shared->failures++;
		shared->error_at = now;
		shared->error = error;
	}
	SpinLockRelease(&shared->mutex);
	errno = error;
	if (error != 0 && error != last_error)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("windows could not be written to folder \"" BS_CHECKPOINT_FOLDER "\": %m"),
				 errdetail("It will be tried again.  What has been written before stays.")));
	else if (error == 0 && last_error != 0)
		ereport(LOG,
				(errmsg("windows can be written to folder \"" BS_CHECKPOINT_FOLDER "\" again")));
	last_error = error;
}

/* How many views a view is over; the registry lock is held. */
static int
level_of(const BsSharedView *view)
{
	int level = 0;

	while (view != NULL && OidIsValid(view->timing.lower) && level < MAX_LEVELS)
	{
		view = bs_registry_slot_of(view->timing.lower);
		level++;
	}
	return level;
}

static bool
is_at_level(int slot, int level)
{
	const BsSharedView *view = bs_registry_slot(slot);
	bool is;

	bs_registry_lock_shared();
	is = (view->role == BS_SLOT_CURRENT || view->role == BS_SLOT_WAITING) &&
		 OidIsValid(view->relid) && level_of(view) == level;
	bs_registry_unlock();
	return is;
}

static int
write_level(int level, void (*breathe)(void), uint64 *bytes)
{
	int error = 0;

	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		BsFiled *it = bs_filed_of(i);
		int one;

		if (!OidIsValid(it->relid) || !is_at_level(i, level))
			continue;
		one = bs_checkpoint_view(it, bs_registry_slot(i), breathe, bytes);
		if (one != 0)
			error = one;
	}
	return error;
}

/* What receivers know of exporters, if it has changed. */
static int
write_exporters(uint64 *bytes)
{
	uint64 number = bs_exporter_memo_number();
	BsCheckpointHead head;
	BsCheckpointWriter *writer = NULL;
	BsMemo *memo;
	uint8_t *data = NULL;
	size_t len;
	int error = ENOMEM;

	if (number == exporters_written)
		return 0;
	memo = bs_exporter_memo_collect();
	if (memo != NULL && bs_memo_pack(memo, &data, &len))
	{
		bs_checkpoint_stamp(&head, BS_CHECKPOINT_EXPORTERS, InvalidOid, 0);
		writer = bs_checkpoint_create(BS_CHECKPOINT_EXPORTERS_PATH, &head);
		error = errno;
	}
	if (writer != NULL)
	{
		bs_checkpoint_put(writer, 0, (BsBytes){.data = data, .len = (uint32_t) len});
		error = bs_checkpoint_close(writer, true, bytes);
	}
	bs_memo_free(memo);
	free(data);
	if (error == 0)
		exporters_written = number;
	return error;
}

/* A failure of one view does not keep the others from being written: it may be of its own. */
static void
write_all(void (*breathe)(void))
{
	TimestampTz began = GetCurrentTimestamp();
	uint64 bytes = 0;
	int error = 0;

	/* What a view has read of the one below it is never ahead of that one's files. */
	for (int level = MAX_LEVELS; level >= 0; level--)
	{
		int one = write_level(level, breathe, &bytes);

		if (one != 0)
			error = one;
	}
	if (error == 0)
		error = write_exporters(&bytes);
	if (error == 0)
		error = bs_outages_write(true);
	note_result(error, began, bytes);
	written_at = GetCurrentTimestamp();
	write_soon = false;
}

void
bs_checkpoint_turn(void)
{
	TimestampTz now = GetCurrentTimestamp();

	take_up_all();
	if (written_at == 0 || now < written_at)
		written_at = now;
	if (bs_setting_checkpoint_interval_sec > 0 &&
		(write_soon || now - written_at >= bs_setting_checkpoint_interval_sec * USECS_PER_SEC))
		write_all(bs_levels_breathe);
	/* Whoever ends now, and how: the next start is to know of it.  What fails is tried again with the windows. */
	else
		(void) bs_outages_write(false);
}

static void
forget_one(void *context, Oid relid)
{
	if (!list_member_oid(context, relid))
		bs_checkpoint_remove(relid);
}

void
bs_checkpoint_forget(List *views)
{
	bs_checkpoint_each(forget_one, views);
	for (int i = 0; i < bs_registry_nslots(); i++)
	{
		BsFiled *it = bs_filed_of(i);

		if (!OidIsValid(it->relid))
			continue;
		if (!list_member_oid(views, it->relid))
			bs_filed_free(it);
		/* It waits no more, and has not taken over. */
		else if (it->waiting && bs_registry_find(it->relid, it->fingerprint) != bs_registry_slot(i))
		{
			bs_checkpoint_remove_definition(it->relid, true);
			bs_filed_free(it);
		}
	}
}

/* ---------- the last one ---------- */

/* Receivers that run, or of these, those that end. */
static int
count_receivers(bool ending)
{
	int n = 0;

	for (int w = 0; w < bs_setting_workers; w++)
	{
		BsSharedWorker *worker = bs_shared_worker(w);

		n += pg_atomic_read_u32(&worker->pid) != 0 && (!ending || worker->told_to_end);
	}
	return n;
}

/*
 * When the server stops, receivers and sessions are told so at the same time as the keeper.  When the keeper alone is
 * to end there is nobody to wait for.
 */
static void
wait_for_others(void)
{
	for (int i = 0; i < LAST_WAIT_USEC / POLL_USEC; i++)
	{
		int nrunning = count_receivers(false);

		if (nrunning == 0 && !bs_backends_apply())
			return;
		if (nrunning > 0 && count_receivers(true) == 0 && i >= ALONE_USEC / POLL_USEC)
			return;
		bs_views_advance();
		pg_usleep(POLL_USEC);
	}
}

void
bs_checkpoint_sigterm(SIGNAL_ARGS)
{
	told_to_end = true;
	die(postgres_signal_arg);
}

/* Was it told to, and has what was there before been taken up, so that it is not written over? */
static bool
ends_in_order(void)
{
	return told_to_end && pg_atomic_read_u32(&bs_shared_checkpoint()->state) == BS_RESTART_DONE;
}

void
bs_checkpoint_prepare_last(int code, Datum argument)
{
	if (!ends_in_order())
		return;
	AbortOutOfAnyTransaction();
	LWLockReleaseAll();
	wait_for_others();
	for (int i = 0; bs_filed_take_up(true, &write_soon) && i < LAST_TRIES; i++)
		pg_usleep(POLL_USEC);
}

void
bs_checkpoint_last(int code, Datum argument)
{
	if (!ends_in_order())
		return;
	LWLockReleaseAll();
	bs_views_advance();
	write_all(NULL);
}

/* ---------- everybody else ---------- */

bool
bs_restart_wait(void)
{
	BsSharedCheckpoint *shared = bs_shared_checkpoint();
	TimestampTz began = GetCurrentTimestamp();

	while (pg_atomic_read_u32(&shared->state) != BS_RESTART_DONE)
	{
		int64 waited = GetCurrentTimestamp() - began;
		bool nobody = pg_atomic_read_u32(&bs_shared_keeper()->pid) == 0;

		if (waited > RESTART_WAIT_USEC || (nobody && waited > NOBODY_WAIT_USEC))
			return false;
		CHECK_FOR_INTERRUPTS();
		bs_workers_remind();
		pg_usleep(POLL_USEC);
	}
	return true;
}

void
bs_restart_require(void)
{
	if (!bs_restart_wait())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous views are being restored"),
				 errhint("Try again in a moment.  If that does not help, see whether the process "
						 "\"backstream keeper\" is running.")));
}

/* ---------- telling ---------- */

Datum
bs_checkpoint(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);
	BsSharedCheckpoint *shared = bs_shared_checkpoint();
	BsSharedCheckpoint now;

	InitMaterializedSRF(fcinfo, 0);
	SpinLockAcquire(&shared->mutex);
	now = *shared;
	SpinLockRelease(&shared->mutex);
	bs_row_put_text(&row,
					pg_atomic_read_u32(&shared->state) == BS_RESTART_DONE ? "ready" : "restoring");
	bs_row_put_count(&row, now.views_restored);
	bs_row_put_count(&row, now.set_aside);
	bs_row_put_interval(&row, now.restore_usec);
	bs_row_put_time(&row, now.down_since);
	bs_row_put_time(&row, now.up_since);
	bs_row_put_time(&row, now.last_at);
	bs_row_put_interval(&row, now.last_usec);
	bs_row_put_count(&row, now.bytes_written);
	bs_row_put_count(&row, now.failures);
	bs_row_put_text(&row, now.error != 0 ? strerror(now.error) : NULL);
	bs_row_put_time(&row, now.error_at);
	bs_row_end(&row);
	return (Datum) 0;
}
