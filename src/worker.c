/* SPDX-License-Identifier: PostgreSQL */
/*
 * worker.c: the receivers: background workers that receive, decode and run programs.
 *
 * A receiver owns its sockets, its decoder and one batch; all views read that batch.  Between drains it
 * serves signals, reloads, and changed definitions.  It waits for no lock on a table, keeps no
 * transaction open while it waits for traffic, and holds a partial's lock for one batch only.  Should it
 * fail, the postmaster starts it again and it finds its windows in shared memory.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "postmaster/postmaster.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "../receiver/loop.h"
#include "active.h"
#include "backstream.h"
#include "checkpoint.h"
#include "exporterconfig.h"
#include "exportermemo.h"
#include "faultlog.h"
#include "forwarding.h"
#include "tails.h"
#include "viewdef.h"
#include "archive.h"
#include "worker.h"

#define WAIT_SECONDS 0.1
#define RETRY_LISTEN_USEC (INT64CONST(5) * USECS_PER_SEC)
#define INVALIDATIONS_USEC (INT64CONST(100) * 1000) /* between looks for changes that nobody announces */
#define RETRY_REFRESH_SECONDS 0.002 /* whoever changed a definition is about to release his lock */
#define DRAIN_DATAGRAMS 1024
#define MAX_DRAINS 16 /* in a row, before signals are served */
#define MAX_UNNOTED_USEC (INT64CONST(250) * 1000) /* drops wait so long for what was queued before them */
#define RESTART_SECONDS 1

PGDLLEXPORT void bs_receiver_main(Datum argument);

typedef struct Receiver
{
	int number;
	BsSharedWorker *shared;
	BsDecoder *decoder;
	BsBatch *batch;
	BsReceiver *sockets;
	bool wanted[BS_FLOW_NCOLUMNS];
	Oid flow;          /* backstream.flow; InvalidOid while the extension is not created */
	uint64 generation; /* of definitions, when they were last read */
	bool incomplete;   /* something was locked just then */
	TimestampTz retry_listen_at;
	TimestampTz invalidations_at;
	int nfailed;       /* listeners that are not open */
	uint64 sockets_generation;
	BsDecoderStats noted; /* losses up to here are noted at the windows */
	uint64 drops_noted;   /* and datagrams that the sockets dropped */
} Receiver;

static Receiver receiver;

/* ---- signals ---------------------------------------------------------------------------------- */

/* Handlers first do what PostgreSQL's do, then end the wait for traffic. */
static void
wake(void)
{
	int saved_errno = errno;

	if (receiver.sockets != NULL)
		bs_receiver_wake(receiver.sockets);
	errno = saved_errno;
}

static void
on_sighup(SIGNAL_ARGS)
{
	SignalHandlerForConfigReload(postgres_signal_arg);
	wake();
}

static void
on_sigterm(SIGNAL_ARGS)
{
	receiver.shared->told_to_end = true;
	die(postgres_signal_arg);
	wake();
}

static void
on_sigusr1(SIGNAL_ARGS)
{
	procsignal_sigusr1_handler(postgres_signal_arg);
	wake();
}

static void
set_signals(void)
{
	pqsignal(SIGHUP, on_sighup);
	pqsignal(SIGTERM, on_sigterm);
	pqsignal(SIGUSR1, on_sigusr1);
	BackgroundWorkerUnblockSignals();
}

static void
say_gone(int code, Datum argument)
{
	if (receiver.decoder != NULL)
		bs_exporter_memo_share(&receiver.shared->memo, receiver.decoder, true);
	pg_atomic_write_u32(&receiver.shared->pid, 0);
	bs_sockets_changed();
}

/* ---- sockets ---------------------------------------------------------------------------------- */

static int64
now_usec(void)
{
	return GetCurrentTimestamp();
}

static void
report_listeners(void)
{
	const BsListenerStats *stats = bs_shared_listeners(receiver.number);

	for (int i = 0; i < BS_MAX_LISTENERS; i++)
	{
		if (stats[i].state == BS_LISTENER_FAILED)
		{
			errno = stats[i].last_errno;
			ereport(LOG, (errcode_for_socket_access(),
						  errmsg("backstream receiver %d could not listen on %s: %m", receiver.number,
								 stats[i].address),
						  errhint("It will try again every %d seconds. Is another collector using this "
								  "address? See backstream.listen.",
								  (int) (RETRY_LISTEN_USEC / USECS_PER_SEC))));
		}
		else if (stats[i].state == BS_LISTENER_OPEN)
			ereport(LOG, (errmsg("backstream receiver %d listens on %s", receiver.number,
								 stats[i].address)));
	}
}

/* The kernel doubles what is asked for, and grants no more than net.core.rmem_max twice. */
static void
warn_about_buffer(void)
{
	const BsListenerStats *stats = bs_shared_listeners(receiver.number);
	uint32 wanted = (uint32) bs_setting_receive_buffer_kb * 1024;

	for (int i = 0; i < BS_MAX_LISTENERS; i++)
	{
		if (stats[i].state != BS_LISTENER_OPEN || stats[i].receive_buffer_bytes >= wanted)
			continue;
		ereport(WARNING,
				(errmsg("the receive buffer of %s is %u kB, not %d kB as backstream.receive_buffer says",
						stats[i].address, stats[i].receive_buffer_bytes / 1024,
						bs_setting_receive_buffer_kb),
				 errhint("Raise the kernel's limit: sysctl -w net.core.rmem_max=%u", wanted)));
		return;
	}
}

static void
open_listeners(void)
{
	BsListenAddress addresses[BS_MAX_LISTENERS];
	char error[256];
	int n = bs_listen_parse(bs_setting_listen, true, addresses, BS_MAX_LISTENERS, error, sizeof(error));

	if (n < 0)
	{
		ereport(LOG, (errmsg("invalid value of backstream.listen: %s", error),
					  errhint("The receiver goes on with the addresses it had.")));
		return;
	}
	receiver.nfailed = bs_receiver_listen(receiver.sockets, addresses, n);
	bs_sockets_changed();
	receiver.retry_listen_at = GetCurrentTimestamp() + RETRY_LISTEN_USEC;
	report_listeners();
	warn_about_buffer();
}

static void
retry_listeners(void)
{
	int nfailed;

	if (receiver.nfailed == 0 || GetCurrentTimestamp() < receiver.retry_listen_at)
		return;
	nfailed = bs_receiver_retry(receiver.sockets);
	receiver.retry_listen_at = GetCurrentTimestamp() + RETRY_LISTEN_USEC;
	if (nfailed != receiver.nfailed)
	{
		bs_sockets_changed();
		report_listeners();
	}
	receiver.nfailed = nfailed;
}

static void
set_allow(void)
{
	BsAllowList allow;
	char error[256];

	if (!bs_allow_parse(bs_setting_allow, &allow, error, sizeof(error)))
	{
		ereport(LOG, (errmsg("invalid value of backstream.allow: %s", error)));
		return;
	}
	if (!bs_receiver_set_allow(receiver.sockets, &allow))
		ereport(LOG, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory for backstream.allow")));
	bs_allow_free(&allow);
}

static void
reload(void)
{
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	bs_receiver_set_nap(receiver.sockets, bs_setting_nap_msec / 1000.0);
	bs_receiver_set_buffer(receiver.sockets, (uint32) bs_setting_receive_buffer_kb * 1024);
	bs_decoder_set_longest_flow(receiver.decoder, bs_setting_max_flow_duration_sec * USECS_PER_SEC);
	set_allow();
	open_listeners();
	if (!receiver.shared->was_up)
		bs_restart_note_up();
	receiver.shared->was_up = true;
	bs_forwarding_set(receiver.sockets);
}

/* ---- definitions ------------------------------------------------------------------------------- */

/* Decode what the views read, and no more. */
static void
use_columns(const bool *wanted)
{
	BsBatch *batch;

	if (memcmp(receiver.wanted, wanted, sizeof(receiver.wanted)) == 0)
		return;
	batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, wanted, BS_BATCH_ROWS);
	if (batch == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	bs_receiver_set_batch(receiver.sockets, batch);
	bs_batch_free(receiver.batch);
	receiver.batch = batch;
	memcpy(receiver.wanted, wanted, sizeof(receiver.wanted));
	bs_decoder_columns_changed(receiver.decoder);
}

static void
read_definitions(void)
{
	bool wanted[BS_FLOW_NCOLUMNS] = {0};
	uint64 generation = bs_registry_generation();
	bool complete = true;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	receiver.flow = bs_extension_is_here() ? bs_flow_relation() : InvalidOid;
	if (OidIsValid(receiver.flow))
	{
		complete = bs_active_refresh(BS_REFRESH_NOWAIT);
		complete &= bs_exporter_config_load(receiver.decoder);
		bs_tails_refresh(true);
		bs_active_wanted(receiver.flow, wanted);
		bs_tails_wanted(receiver.flow, wanted);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	use_columns(wanted);
	receiver.incomplete = !complete;
	receiver.generation = generation;
	if (complete)
		pg_atomic_write_u64(&receiver.shared->generation, generation);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/*
 * Functions replaced, rights revoked: whatever changes in the catalog comes as an invalidation, which a
 * process takes in when it starts a transaction.
 */
static void
take_invalidations(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now < receiver.invalidations_at)
		return;
	receiver.invalidations_at = now + INVALIDATIONS_USEC;
	StartTransactionCommand();
	CommitTransactionCommand();
}

static void
follow_definitions(void)
{
	take_invalidations();
	if (receiver.incomplete || receiver.generation != bs_registry_generation() || bs_active_stale() ||
		bs_tails_stale())
		read_definitions();
}

/* ---- traffic ----------------------------------------------------------------------------------- */

static void
flush_batch(void *context, BsBatch *batch)
{
	if (batch->nrows > 0 && OidIsValid(receiver.flow))
	{
		bs_active_feed(receiver.flow, batch, receiver.number);
		bs_tails_feed(receiver.flow, batch, receiver.number);
	}
	bs_batch_reset(batch);
}

/* With one receiver nobody else can have heard anything. */
static void
follow_sockets(void)
{
	uint64 generation = bs_sockets_generation();

	if (generation == receiver.sockets_generation)
		return;
	receiver.sockets_generation = generation;
	if (bs_setting_workers > 1)
		bs_decoder_forget_sequences(receiver.decoder);
}

static void
note_losses(void)
{
	const BsDecoderStats *stats = bs_decoder_stats(receiver.decoder);
	uint64 drops = bs_receiver_drops(receiver.sockets);
	BsLoss loss = {.records = stats->records_lost - receiver.noted.records_lost,
				   .datagrams = stats->datagrams_lost - receiver.noted.datagrams_lost,
				   .dropped = (int64) (drops - receiver.drops_noted)};

	if (loss.records == 0 && loss.datagrams == 0 && loss.dropped == 0)
		return;
	receiver.noted = *stats;
	receiver.drops_noted = drops;
	bs_active_note_loss(receiver.flow, receiver.number, loss);
}

/* Records arrive when they are taken from the socket: none that is still queued will be older than now. */
static void
publish_applied(TimestampTz now)
{
	note_losses();
	pg_atomic_write_u64(&receiver.shared->applied_until, (uint64) now);
}

/*
 * What was dropped would have come after what is queued: it is noted at the windows that are open when that has been
 * added, and before windows by arrival close over it.  But these do not wait for ever.
 */
static void
receive(void)
{
	TimestampTz begun = GetCurrentTimestamp();
	TimestampTz now = begun;

	for (int i = 0; i < MAX_DRAINS; i++)
	{
		uint32 received = bs_receiver_drain(receiver.sockets, DRAIN_DATAGRAMS);
		bool whole = bs_receiver_drops(receiver.sockets) == receiver.drops_noted;

		flush_batch(NULL, receiver.batch);
		if (received < DRAIN_DATAGRAMS)
			break;
		if (whole || now - begun > MAX_UNNOTED_USEC)
			publish_applied(now);
		now = GetCurrentTimestamp();
	}
	publish_applied(now);
	receiver.shared->decoder = *bs_decoder_stats(receiver.decoder);
}

static void
create_parts(void)
{
	BsDecoderConfig decoder = {.stats = bs_shared_exporters(receiver.number),
							   .max_exporters = (uint32) bs_setting_max_exporters,
							   .max_templates = (uint32) bs_setting_max_templates,
							   .worker = (uint32) receiver.number,
							   .sink = {.flush = flush_batch}};
	BsReceiverConfig sockets = {.worker = (uint32) receiver.number,
								.nworkers = (uint32) bs_setting_workers,
								.receive_buffer_bytes = (uint32) bs_setting_receive_buffer_kb * 1024,
								.nap_seconds = bs_setting_nap_msec / 1000.0,
								.listener_stats = bs_shared_listeners(receiver.number),
								.max_listeners = BS_MAX_LISTENERS,
								.now_usec = now_usec,
								.forward_stats = bs_shared_forwards(receiver.number)};

	receiver.batch =
		bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, receiver.wanted, BS_BATCH_ROWS);
	receiver.decoder = bs_decoder_create(&decoder);
	if (receiver.batch == NULL || receiver.decoder == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	sockets.decoder = receiver.decoder;
	sockets.batch = receiver.batch;
	receiver.sockets = bs_receiver_create(&sockets);
	if (receiver.sockets == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not set up the event loop")));
	bs_receiver_watch(receiver.sockets, postmaster_alive_fds[POSTMASTER_FD_WATCH]);
}

void
bs_receiver_main(Datum argument)
{
	receiver.number = DatumGetInt32(argument);
	receiver.shared = bs_shared_worker(receiver.number);
	receiver.shared->told_to_end = false;
	set_signals();
	bs_worker_connect(receiver.shared);
	SetConfigOption("jit", "off", PGC_SUSET, PGC_S_OVERRIDE);
	create_parts();
	before_shmem_exit(say_gone, 0);
	receiver.shared->started = GetCurrentTimestamp();
	pg_atomic_write_u64(&receiver.shared->applied_until, (uint64) receiver.shared->started);
	pg_atomic_write_u64(&receiver.shared->generation, 0);
	pg_atomic_write_u32(&receiver.shared->pid, (uint32) MyProcPid);
	(void) bs_restart_wait();
	bs_decoder_remember(receiver.decoder, bs_exporter_memo_collect());
	read_definitions();
	set_allow();
	open_listeners();
	bs_forwarding_set(receiver.sockets);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (!PostmasterIsAlive())
			proc_exit(1);
		if (ConfigReloadPending)
			reload();
		bs_workers_remind();
		follow_definitions();
		follow_sockets();
		retry_listeners();
		bs_forwarding_tend(receiver.sockets, receiver.number);
		bs_exporter_memo_share(&receiver.shared->memo, receiver.decoder, false);
		bs_faults_log(receiver.number, bs_decoder_stats(receiver.decoder));
		bs_receiver_wait(receiver.sockets, receiver.incomplete ? RETRY_REFRESH_SECONDS : WAIT_SECONDS);
		receive();
	}
}

static void
register_worker(const char *name, const char *type, const char *function, Datum argument)
{
	BackgroundWorker worker = {.bgw_flags =
								   BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
							   .bgw_start_time = BgWorkerStart_RecoveryFinished,
							   .bgw_restart_time = RESTART_SECONDS,
							   .bgw_main_arg = argument};

	strlcpy(worker.bgw_name, name, BGW_MAXLEN);
	strlcpy(worker.bgw_type, type, BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "backstream", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

void
bs_workers_register(void)
{
	/* pg_upgrade's servers are to do nothing by themselves. */
	if (IsBinaryUpgrade)
		return;
	for (int i = 0; i < bs_setting_workers; i++)
	{
		char name[BGW_MAXLEN];

		snprintf(name, sizeof(name), "backstream receiver %d", i);
		register_worker(name, "backstream receiver", "bs_receiver_main", Int32GetDatum(i));
	}
	register_worker("backstream keeper", "backstream keeper", "bs_keeper_main", (Datum) 0);
	register_worker("backstream archiver", "backstream archiver", "bs_archiver_main", (Datum) 0);
	register_worker("backstream fetcher", "backstream fetcher", "bs_fetcher_main", (Datum) 0);
}
