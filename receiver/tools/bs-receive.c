/* SPDX-License-Identifier: PostgreSQL */
/*
 * bs-receive.c: the command that receives exports without a server: what comes, from whom, what is
 * lost.
 *
 * It runs the server's own receiver and decoders, so that what it counts is what BackStream would
 * count. With --mode=drain it decodes nothing: the floor of what receiving costs.
 *
 * Exit status: 0 ended as asked (--count, --seconds, --idle, or a signal); 1 nothing could be
 * listened on, memory or writing failed; 2 wrong usage; 3 time ended before --count datagrams had
 * come.
 */
#include "options.h"
#include "received.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define MAX_LISTENERS   32
#define DRAIN_DATAGRAMS 4096
#define STATUS_EARLY    3

typedef enum Mode
{
	MODE_DECODE,
	MODE_DRAIN
} Mode;

static const char *const mode_names[] = {[MODE_DECODE] = "decode", [MODE_DRAIN] = "drain"};

typedef struct Options
{
	const char *listen;
	const char *allow;
	Mode mode;
	bool wanted[BS_FLOW_NCOLUMNS];
	double seconds;
	double idle_secs;
	uint64_t count;
	double nap_msec;
	double interval_secs;
	uint32_t buffer_bytes;
	uint32_t max_exporters;
	uint32_t worker;
	uint32_t nworkers;
	bool json;
	bool quiet;
} Options;

typedef struct Run
{
	const Options *options;
	BsListenerStats listeners[MAX_LISTENERS];
	BsExporterStats *exporters; /* [options->max_exporters] */
	BsDecoder *decoder;         /* NULL when draining */
	BsBatch *batch;
	BsReceiver *receiver;
	BsReceived received;
	uint64_t datagrams;
	/* Seconds of the monotonic clock. */
	double start;
	double first; /* 0: no datagram yet */
	double last;
	double next_report;
	double last_report;
	struct rusage first_usage;
	uint64_t reported_datagrams;
	uint64_t reported_records;
	uint64_t reported_bytes;
} Run;

static volatile sig_atomic_t stop_asked = 0;
static BsReceiver *signalled_receiver;

static void
on_signal(int number)
{
	(void) number;
	stop_asked = 1;
	bs_receiver_wake(signalled_receiver);
}

static double
monotonic_secs(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

static int64_t
arrival_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000 - BS_UNIX_TO_PG_USEC;
}

/* ---- options ---- */

static bool
set_mode(void *target, const char *text)
{
	for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++)
		if (strcmp(text, mode_names[i]) == 0)
		{
			*(Mode *) target = (Mode) i;
			return true;
		}
	return false;
}

static bool
set_column(bool *wanted, const char *name, size_t len)
{
	for (uint32_t i = 0; i < BS_FLOW_NCOLUMNS; i++)
		if (strlen(bs_flow_column_names[i]) == len &&
			memcmp(name, bs_flow_column_names[i], len) == 0)
		{
			wanted[i] = true;
			return true;
		}
	return false;
}

/* "all", "none", or names with commas between. */
static bool
set_columns(void *target, const char *text)
{
	bool *wanted = target;
	bool all = strcmp(text, "all") == 0;

	for (uint32_t i = 0; i < BS_FLOW_NCOLUMNS; i++)
		wanted[i] = all;
	if (all || strcmp(text, "none") == 0)
		return true;
	for (;;)
	{
		size_t len = strcspn(text, ",");

		if (!set_column(wanted, text, len))
			return false;
		if (text[len] == '\0')
			return true;
		text += len + 1;
	}
}

/* "I/N": worker I, from 0, of N on the same addresses. */
static bool
set_worker(void *target, const char *text)
{
	Options *options = target;
	char number[16];
	size_t len = strcspn(text, "/");

	if (text[len] != '/' || len >= sizeof(number))
		return false;
	memcpy(number, text, len);
	number[len] = '\0';
	return bs_option_u32(&options->worker, number) &&
		   bs_option_u32(&options->nworkers, text + len + 1) && options->nworkers <= UINT16_MAX &&
		   options->worker < options->nworkers;
}

static bool
set_positive(void *target, const char *text)
{
	return bs_option_u32(target, text) && *(uint32_t *) target > 0;
}

static bool
set_interval(void *target, const char *text)
{
	return bs_option_double(target, text) && *(double *) target >= 0.01;
}

static int
parse_options(Options *options, int argc, char **argv)
{
	const BsOption table[] = {
		{"listen", "LIST", "localhost:2055", "addresses, as in backstream.listen", bs_option_text,
		 &options->listen},
		{"allow", "LIST", "", "prefixes that may export, as in backstream.allow; empty: all",
		 bs_option_text, &options->allow},
		{"mode", "MODE", "decode", "decode, or drain: count datagrams and throw them away",
		 set_mode, &options->mode},
		{"columns", "LIST", "bytes,packets", "what to decode: names of backstream.flow, all, none",
		 set_columns, options->wanted},
		{"seconds", "S", "0", "end after so long; 0: not by time", bs_option_double,
		 &options->seconds},
		{"count", "N", "0", "end after so many datagrams; 0: not by count", bs_option_u64,
		 &options->count},
		{"idle", "S", "0", "end after so long a silence that follows traffic; 0: do not",
		 bs_option_double, &options->idle_secs},
		{"nap", "MSEC", "1", "sleep between drains; 0: none", bs_option_double, &options->nap_msec},
		{"buffer", "BYTES", "8388608", "receive buffer of each socket", set_positive,
		 &options->buffer_bytes},
		{"worker", "I/N", "0/1", "be one of N that share the addresses, steered by source",
		 set_worker, options},
		{"max-exporters", "N", "4096", "slots for exporters and their domains", set_positive,
		 &options->max_exporters},
		{"interval", "S", "1", "a line on standard error every so often", set_interval,
		 &options->interval_secs},
		{"json", NULL, NULL, "the report as JSON", bs_option_flag, &options->json},
		{"quiet", NULL, NULL, "no lines on standard error but for errors", bs_option_flag,
		 &options->quiet},
		{NULL, NULL, NULL, NULL, NULL, NULL},
	};
	const BsCommand command = {
		"bs-receive", "[OPTION]...",
		"Receive NetFlow and IPFIX as BackStream does, without a server, and report what came.\n"
		"Ends by --count, --seconds, --idle or a signal; then the report goes to standard output.\n"
		"Exit status: 0 ended as asked; 1 could not listen, or memory or writing failed;\n"
		"2 wrong usage; 3 time ended before --count datagrams had come.",
		table};
	int status = bs_options_parse(&command, argc, argv);

	if (status >= 0)
		return status;
	if (optind < argc)
	{
		fprintf(stderr, "bs-receive: what is \"%s\"?\n", argv[optind]);
		return 2;
	}
	return -1;
}

/* ---- records ---- */

static uint64_t
lane_sum(const BsLane *lane, uint32_t nrows)
{
	uint64_t sum = 0;

	if (!bs_lane_wanted(lane))
		return 0;
	for (uint32_t i = 0; i < nrows; i++)
		sum += bs_lane_is_null(lane, i) ? 0 : (uint64_t) lane->i64[i];
	return sum;
}

static void
flush_batch(void *context, BsBatch *batch)
{
	BsReceived *received = context;

	received->records += batch->nrows;
	received->flow_bytes += lane_sum(&batch->columns[BS_FLOW_BYTES], batch->nrows);
	received->flow_packets += lane_sum(&batch->columns[BS_FLOW_PACKETS], batch->nrows);
	bs_batch_reset(batch);
}

/* ---- start and end ---- */

static bool
make_decoder(Run *run)
{
	const Options *options = run->options;
	BsDecoderConfig config = {.max_exporters = options->max_exporters,
							  .worker = options->worker,
							  .sink = {flush_batch, &run->received}};

	run->exporters = calloc(options->max_exporters, sizeof(BsExporterStats));
	if (run->exporters == NULL)
		return false;
	config.stats = run->exporters;
	run->decoder = bs_decoder_create(&config);
	run->batch =
		bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, options->wanted, BS_BATCH_ROWS);
	return run->decoder != NULL && run->batch != NULL;
}

static bool
make_receiver(Run *run, const BsAllowList *allow)
{
	const Options *options = run->options;
	const BsReceiverConfig config = {.worker = options->worker,
									 .nworkers = options->nworkers,
									 .receive_buffer_bytes = options->buffer_bytes,
									 .nap_seconds = options->nap_msec / 1000,
									 .listener_stats = run->listeners,
									 .max_listeners = MAX_LISTENERS,
									 .decoder = run->decoder,
									 .batch = run->batch,
									 .now_usec = arrival_usec};

	run->receiver = bs_receiver_create(&config);
	return run->receiver != NULL && bs_receiver_set_allow(run->receiver, allow);
}

/* False when nothing could be opened. */
static bool
open_listeners(Run *run, const BsListenAddress *addresses, int n)
{
	int nfailed = bs_receiver_listen(run->receiver, addresses, n);

	for (uint32_t i = 0; i < MAX_LISTENERS; i++)
	{
		const BsListenerStats *stats = &run->listeners[i];

		if (stats->state == BS_LISTENER_FAILED)
			fprintf(stderr, "bs-receive: cannot listen on %s: %s\n", stats->address,
					strerror(stats->last_errno));
		else if (stats->state == BS_LISTENER_OPEN && !run->options->quiet &&
				 stats->receive_buffer_bytes < run->options->buffer_bytes)
			fprintf(stderr,
					"bs-receive: the receive buffer of %s is %" PRIu32 " bytes, not %" PRIu32
					": raise net.core.rmem_max\n",
					stats->address, stats->receive_buffer_bytes, run->options->buffer_bytes);
	}
	return n > nfailed;
}

static void
catch_signals(BsReceiver *receiver)
{
	struct sigaction action = {.sa_handler = on_signal};

	signalled_receiver = receiver;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void
free_run(Run *run)
{
	bs_receiver_free(run->receiver);
	bs_decoder_free(run->decoder);
	bs_batch_free(run->batch);
	free(run->exporters);
}

/* ---- the loop ---- */

static void
report_progress(Run *run, double now)
{
	BsReceived *received = &run->received;
	double seconds = now - run->last_report;
	uint64_t bytes = BS_RECEIVED_TOTAL(received, bytes);

	if (!run->options->quiet)
		fprintf(stderr,
				"%7.1f s  %10.0f datagrams/s  %10.0f records/s  %8.1f MB/s  %" PRIu64
				" dropped  %" PRIu64 " rejected  %" PRIu64 " not export\n",
				now - run->start, (double) (run->datagrams - run->reported_datagrams) / seconds,
				(double) (received->records - run->reported_records) / seconds,
				(double) (bytes - run->reported_bytes) / seconds / 1e6,
				BS_RECEIVED_TOTAL(received, kernel_drops), BS_RECEIVED_TOTAL(received, rejected),
				BS_RECEIVED_TOTAL(received, not_export));
	run->reported_datagrams = run->datagrams;
	run->reported_records = received->records;
	run->reported_bytes = bytes;
	run->last_report = now;
	while (run->next_report <= now)
		run->next_report += run->options->interval_secs;
	bs_receiver_retry(run->receiver);
}

static bool
has_ended(const Run *run, double now)
{
	const Options *options = run->options;

	return stop_asked || (options->count > 0 && run->datagrams >= options->count) ||
		   (options->seconds > 0 && now - run->start >= options->seconds) ||
		   (options->idle_secs > 0 && run->first > 0 && now - run->last >= options->idle_secs);
}

/* How long nothing but a datagram can be of interest. */
static double
time_to_wait(const Run *run, double now)
{
	const Options *options = run->options;
	double wait = run->next_report - now;

	if (options->seconds > 0 && run->start + options->seconds - now < wait)
		wait = run->start + options->seconds - now;
	if (options->idle_secs > 0 && run->first > 0 && run->last + options->idle_secs - now < wait)
		wait = run->last + options->idle_secs - now;
	return wait > 0 ? wait : 0;
}

static uint32_t
drain_limit(const Run *run)
{
	uint64_t left = run->options->count - run->datagrams;

	return run->options->count > 0 && left < DRAIN_DATAGRAMS ? (uint32_t) left : DRAIN_DATAGRAMS;
}

static void
receive_all(Run *run)
{
	double now = monotonic_secs();

	run->start = run->last_report = now;
	run->next_report = now + run->options->interval_secs;
	while (!has_ended(run, now))
	{
		uint32_t n;

		bs_receiver_wait(run->receiver, time_to_wait(run, now));
		if (run->first <= 0)
			getrusage(RUSAGE_SELF, &run->first_usage); /* the waiting before is not counted */
		n = bs_receiver_drain(run->receiver, drain_limit(run));
		now = monotonic_secs();
		if (n > 0)
		{
			run->datagrams += n;
			run->last = now;
			if (run->first <= 0)
				run->first = now;
		}
		if (run->batch != NULL && run->batch->nrows > 0)
			flush_batch(&run->received, run->batch);
		if (now >= run->next_report)
			report_progress(run, now);
	}
}

static double
timeval_secs(struct timeval value)
{
	return (double) value.tv_sec + (double) value.tv_usec * 1e-6;
}

static void
finish(Run *run)
{
	const Options *options = run->options;
	BsReceived *received = &run->received;
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	received->cpu_secs = timeval_secs(usage.ru_utime) + timeval_secs(usage.ru_stime) -
						 timeval_secs(run->first_usage.ru_utime) -
						 timeval_secs(run->first_usage.ru_stime);
	received->sleeps = (uint64_t) (usage.ru_nvcsw - run->first_usage.ru_nvcsw);
	received->elapsed_secs = run->last - run->first;
	if (run->decoder != NULL)
		received->exporters_refused = bs_decoder_stats(run->decoder)->exporters_refused;
	/* Closing counts what was still queued. */
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	bs_receiver_free(run->receiver);
	run->receiver = NULL;
	received->mode = mode_names[options->mode];
	if (options->json)
		bs_received_json(stdout, received);
	else
		bs_received_text(stdout, received);
}

static int
receive(Run *run, const BsListenAddress *addresses, int naddresses, const BsAllowList *allow)
{
	const Options *options = run->options;

	if ((options->mode == MODE_DECODE && !make_decoder(run)) || !make_receiver(run, allow))
	{
		fputs("bs-receive: out of memory or descriptors\n", stderr);
		return 1;
	}
	run->received.listeners = run->listeners;
	run->received.max_listeners = MAX_LISTENERS;
	run->received.exporters = run->exporters;
	run->received.max_exporters = run->exporters != NULL ? options->max_exporters : 0;
	if (!open_listeners(run, addresses, naddresses))
		return 1;
	catch_signals(run->receiver);
	receive_all(run);
	finish(run);
	if (fflush(stdout) != 0 || ferror(stdout))
	{
		fprintf(stderr, "bs-receive: cannot write the report: %s\n", strerror(errno));
		return 1;
	}
	return options->count > 0 && run->datagrams < options->count && !stop_asked ? STATUS_EARLY : 0;
}

int
main(int argc, char **argv)
{
	static Run run;
	static Options options;
	static BsListenAddress addresses[MAX_LISTENERS];
	BsAllowList allow;
	char error[256];
	int naddresses;
	int status = parse_options(&options, argc, argv);

	if (status >= 0)
		return status;
	naddresses =
		bs_listen_parse(options.listen, true, addresses, MAX_LISTENERS, error, sizeof(error));
	if (naddresses < 0 || !bs_allow_parse(options.allow, &allow, error, sizeof(error)))
	{
		fprintf(stderr, "bs-receive: %s\n", error);
		return 2;
	}
	run.options = &options;
	status = receive(&run, addresses, naddresses, &allow);
	bs_allow_free(&allow);
	free_run(&run);
	return status;
}
