/* SPDX-License-Identifier: PostgreSQL */
/*
 * bs-generate.c: the command that sends export traffic with totals known in advance.
 *
 * Options, the sending loop and its pace; the datagrams are made by generate.c.  Always bounded in
 * records or time, and for loopback unless told otherwise.
 */
#define _GNU_SOURCE /* strptime */
#include "generate.h"
#include "options.h"
#include "pcap_write.h"
#include "report.h"
#include "sender.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#define NSEC_PER_SEC INT64_C(1000000000)
/* A sender that is so far behind gives up what it owes, rather than to send it in one flood. */
#define MAX_LAG_NSEC (50 * INT64_C(1000000))
/* Sleeping is not worth it, nor precise, below that. */
#define MIN_SLEEP_NSEC 50000
/* Source port in captures; on the wire the kernel chooses. */
#define CAPTURE_PORT 40000

typedef struct Options
{
	BsGenerateConfig config;
	const char *target_text;
	const char *source_text;
	const char *totals_file;
	const char *flows_file;
	const char *pcap_file;
	BsAddress target;
	BsAddress source;
	double rate;  /* records/s; 0: flat out */
	double speed; /* of the exporters' time beside ours, with bursts; 0: no pause between them */
	uint64_t count;
	double seconds;
	uint32_t quantum_usec;
	uint32_t linger_msec;
	bool allow_any;
	bool dry_run;
	bool quiet;
} Options;

static volatile sig_atomic_t stop_asked = 0;

static void
on_signal(int number)
{
	(void) number;
	stop_asked = 1;
}

static int64_t
clock_nsec(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

/* Options ----------------------------------------------------------------------------------------
 */

static bool
set_version(void *target, const char *text)
{
	BsGenerateConfig *config = target;

	config->nversions = 0;
	for (uint32_t i = 0; i < BS_EXPORT_NVERSIONS; i++)
		if (strcmp(text, "mix") == 0 || strcmp(text, bs_export_protocols[i]->name) == 0)
			config->versions[config->nversions++] = (BsExportVersion) i;
	return config->nversions > 0;
}

static bool
set_template(void *target, const char *text)
{
	static const char *const names[BS_TEMPLATE_NKINDS] = {[BS_TEMPLATE_WIDE] = "wide",
														  [BS_TEMPLATE_NARROW] = "narrow",
														  [BS_TEMPLATE_VARLEN] = "varlen"};

	for (uint32_t i = 0; i < BS_TEMPLATE_NKINDS; i++)
		if (strcmp(text, names[i]) == 0)
		{
			*(BsTemplateKind *) target = (BsTemplateKind) i;
			return true;
		}
	return false;
}

static bool
set_keys(void *target, const char *text)
{
	BsPopulationConfig *population = target;

	if (strcmp(text, "uniform") == 0)
		population->order = BS_ORDER_UNIFORM;
	else if (strcmp(text, "sequential") == 0)
		population->order = BS_ORDER_SEQUENTIAL;
	else if (strncmp(text, "zipf:", 5) == 0 &&
			 bs_option_double(&population->zipf_exponent, text + 5) &&
			 population->zipf_exponent <= 10)
		population->order = BS_ORDER_ZIPF;
	else
		return false;
	return true;
}

static bool
set_share(void *target, const char *text)
{
	return bs_option_double(target, text) && *(double *) target <= 1;
}

static bool
set_template_interval(void *target, const char *text)
{
	double seconds;

	if (!bs_option_double(&seconds, text) || seconds > 1e6)
		return false;
	*(int64_t *) target = (int64_t) (seconds * 1e6);
	return true;
}

/* Seconds of the epoch, or a UTC time as 2026-01-31T12:00:00. */
static bool
set_start_time(void *target, const char *text)
{
	BsGenerateConfig *config = target;
	struct tm parts = {0};
	double seconds;
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);

	if (end != NULL && (*end == '\0' || strcmp(end, "Z") == 0))
		config->start_usec = (int64_t) timegm(&parts) * 1000000;
	else if (bs_option_double(&seconds, text) && seconds <= 4294967295.0)
		config->start_usec = llround(seconds * 1e6);
	else
		return false;
	config->fixed_time = true;
	return true;
}

static bool
set_time_step(void *target, const char *text)
{
	BsGenerateConfig *config = target;
	double seconds;

	if (!bs_option_double(&seconds, text) || seconds > 1e6)
		return false;
	config->time_step_usec = llround(seconds * 1e6);
	config->fixed_time = true;
	return true;
}

static bool
set_burst_interval(void *target, const char *text)
{
	double seconds;

	if (!bs_option_double(&seconds, text) || seconds > 1e6)
		return false;
	*(int64_t *) target = llround(seconds * 1e6);
	return true;
}

static int
parse_options(Options *options, int argc, char **argv)
{
	BsGenerateConfig *config = &options->config;
	const BsOption table[] = {
		{"target", "HOST:PORT", "127.0.0.1:2055", "where to send", bs_option_text,
		 &options->target_text},
		{"allow-any", NULL, NULL, "let the target be other than loopback", bs_option_flag,
		 &options->allow_any},
		{"version", "V", "v5", "v5, v9, ipfix, or mix (exporters in turn)", set_version, config},
		{"rate", "N", "100000", "records per second; 0: flat out", bs_option_double,
		 &options->rate},
		{"count", "N", NULL, "stop after so many records, lost ones among them", bs_option_u64,
		 &options->count},
		{"seconds", "S", NULL, "stop after so long (10 when there is no --count)", bs_option_double,
		 &options->seconds},
		{"quantum", "USEC", "200", "send what is due every so often; 0: do not sleep",
		 bs_option_u32, &options->quantum_usec},
		{"exporters", "K", NULL, "source addresses (1, or 3 for mix)", bs_option_u32,
		 &config->nexporters},
		{"source-base", "ADDR", NULL, "the first of them (127.0.10.1, or ::1)", bs_option_text,
		 &options->source_text},
		{"domains", "N", "1", "observation domains per exporter", bs_option_u32, &config->ndomains},
		{"first-domain", "N", "0", "number of the first domain", bs_option_u32,
		 &config->first_domain},
		{"keys", "ORDER", "uniform", "uniform, zipf:S, or sequential (all once per round)",
		 set_keys, &config->population},
		{"as-pairs", "N", "45000", "distinct pairs of AS numbers", bs_option_u32,
		 &config->population.as_pairs},
		{"addresses", "N", "65536", "distinct pairs of addresses", bs_option_u32,
		 &config->population.addresses},
		{"as-base", "N", "0", "added to AS numbers (1..65520)", bs_option_u32,
		 &config->population.as_base},
		{"ipv6", "SHARE", "0", "share of flows that are IPv6, 0..1", set_share,
		 &config->population.ipv6_share},
		{"records-per-datagram", "N", NULL, "at most so many (what fits 1464 bytes)", bs_option_u32,
		 &config->records_per_datagram},
		{"template", "KIND", "wide", "wide, narrow, or varlen (IPFIX)", set_template,
		 &config->template_kind},
		{"template-interval", "S", "60", "seconds between templates; 0: once",
		 set_template_interval, &config->template_interval_usec},
		{"sampling", "RATE", "0", "sampling rate to announce; 0: none", bs_option_u32,
		 &config->sampling_rate},
		{"start-time", "TIME", NULL, "end of the first flow: epoch seconds or UTC (now)",
		 set_start_time, config},
		{"time-step", "S", NULL, "each flow ends so much after the one before", set_time_step,
		 config},
		{"burst", "N", NULL, "export N records at a time, as a flow cache that is emptied does",
		 bs_option_u64, &config->burst_records},
		{"burst-interval", "S", "30", "bursts are so far apart, in the exporters' time",
		 set_burst_interval, &config->burst_interval_usec},
		{"speed", "X", "1", "the exporters' time passes so many times as fast; 0: no pause",
		 bs_option_double, &options->speed},
		{"duration", "MSEC", "10000", "the longest flow", bs_option_u32, &config->duration_msec},
		{"skew", "MSEC", "0", "clocks of exporters are off by up to so much", bs_option_u32,
		 &config->skew_msec},
		{"loss", "P", "0", "chance of a datagram to be left out, its sequence used", set_share,
		 &config->loss},
		{"linger", "MSEC", "0",
		 "after the end wait, then send one more record per stream: shows what was lost",
		 bs_option_u32, &options->linger_msec},
		{"first-sequence", "N", "0", "sequence to start from", bs_option_u32,
		 &config->first_sequence},
		{"seed", "N", "1", "of everything random", bs_option_u64, &config->population.seed},
		{"totals", "FILE", NULL, "write the totals there as JSON; - is standard output",
		 bs_option_text, &options->totals_file},
		{"flows", "FILE", NULL, "write sums per flow there, tab-separated", bs_option_text,
		 &options->flows_file},
		{"pcap", "FILE", NULL, "write a capture instead of sending; time passes as by --rate",
		 bs_option_text, &options->pcap_file},
		{"dry-run", NULL, NULL, "make the datagrams, do not send them", bs_option_flag,
		 &options->dry_run},
		{"quiet", NULL, NULL, "no summary on standard error", bs_option_flag, &options->quiet},
		{NULL, NULL, NULL, NULL, NULL, NULL},
	};
	const BsCommand command = {"bs-generate", "[OPTION]...",
							   "Send NetFlow v5, v9 or IPFIX with totals known in advance.", table};

	return bs_options_parse(&command, argc, argv);
}

static const char *
finish_sources(Options *options)
{
	bool is_ipv4 = options->target.storage.ss_family == AF_INET;
	uint32_t first;

	if (options->source_text == NULL)
		options->source_text = is_ipv4 ? "127.0.10.1" : "::1";
	if (!bs_address_parse_host(options->source_text, &options->source) ||
		options->source.storage.ss_family != options->target.storage.ss_family)
		return "--source-base must be an address of the target's family";
	if (!bs_address_is_loopback(&options->source) && !options->allow_any)
		return "--source-base is not a loopback address";
	if (!is_ipv4)
		return options->config.nexporters == 1 ? NULL : "over IPv6 there is one exporter only";
	first = ntohl(((struct sockaddr_in *) &options->source.storage)->sin_addr.s_addr);
	if (options->config.nexporters > 1 << 20 ||
		((first + options->config.nexporters - 1) >> 24 != 127 && !options->allow_any))
		return "--exporters: the last source address would not be loopback";
	return NULL;
}

/* What the options mean together; an error text, or NULL. */
static const char *
finish_options(Options *options)
{
	BsGenerateConfig *config = &options->config;
	const char *error;

	if (!bs_address_parse(options->target_text, &options->target))
		return "--target must be HOST:PORT, host a number or localhost";
	if (!bs_address_is_loopback(&options->target) && !options->allow_any)
		return "--target is not loopback (--allow-any lets it be)";
	if (config->nexporters == 0)
		config->nexporters = config->nversions;
	if (config->ndomains < 1 || config->ndomains > 4096)
		return "--domains must be from 1 to 4096";
	if (config->population.as_base > UINT32_MAX - 65536)
		return "--as-base is too large";
	if (config->skew_msec > 86400000)
		return "--skew can be a day at most";
	if (options->seconds > 1e9)
		return "--seconds is too large";
	if (options->count == 0 && options->seconds <= 0)
		options->seconds = 10;
	if (config->start_usec == 0)
		config->start_usec = clock_nsec(CLOCK_REALTIME) / 1000;
	if (options->pcap_file != NULL &&
		(options->target.storage.ss_family != AF_INET || options->rate <= 0))
		return "--pcap needs an IPv4 target and a rate";
	if (options->pcap_file != NULL &&
		(double) config->burst_records * 1e6 / options->rate > (double) config->burst_interval_usec)
		return "--pcap: at this rate a burst takes longer than the interval";
	if (config->burst_records == 0 && options->speed != 1)
		return "--speed is that of bursts: it needs --burst";
	config->by_flow = options->flows_file != NULL;
	error = finish_sources(options);
	return error != NULL ? error : bs_generator_check(config);
}

/* Sending ----------------------------------------------------------------------------------------
 */

typedef struct Run
{
	const Options *options;
	BsGenerator *generator;
	BsSender *sender;
	uint64_t limit;
	uint64_t nrecords; /* made: sent, or lost on purpose */
	/* What is sent at the rate, from start_nsec on: a burst, or all. */
	uint64_t first;
	uint64_t end;
	int64_t start_nsec;
	int64_t end_nsec; /* when time is up */
	int64_t slipped_nsec;
} Run;

/* Make datagrams until the vector is full or nothing is due; false when sending failed. */
static bool
send_vector(Run *run, uint64_t due)
{
	int64_t now_usec = clock_nsec(CLOCK_REALTIME) / 1000;

	for (uint32_t i = 0; i < BS_SENDER_VECTOR && run->nrecords < due; i++)
	{
		BsOutgoing out = {.data = bs_sender_buffer(run->sender)};
		uint64_t left = run->end - run->nrecords;

		bs_generator_next(run->generator, now_usec,
						  left < UINT32_MAX ? (uint32_t) left : UINT32_MAX, &out);
		run->nrecords += out.nrecords;
		/* A dry run builds every datagram in the same buffer. */
		if (out.len_bytes > 0 && !run->options->dry_run)
			bs_sender_add(run->sender, out.len_bytes, out.exporter);
	}
	return bs_sender_flush(run->sender);
}

/* How long after a burst the next one begins. */
static int64_t
burst_nsec(const Options *options)
{
	const BsGenerateConfig *config = &options->config;

	if (options->speed > 0)
		return (int64_t) ((double) config->burst_interval_usec * 1e3 / options->speed);
	return options->rate > 0 ? (int64_t) ((double) config->burst_records * 1e9 / options->rate) : 0;
}

static void
next_burst(Run *run)
{
	const Options *options = run->options;
	int64_t pause_nsec = burst_nsec(options);
	uint64_t left = run->limit - run->nrecords;

	run->start_nsec = pause_nsec > 0 ? run->start_nsec + pause_nsec : clock_nsec(CLOCK_MONOTONIC);
	run->first = run->nrecords;
	run->end =
		run->first + (left < options->config.burst_records ? left : options->config.burst_records);
}

/* How many records should have been made by now. */
static uint64_t
records_due(Run *run, int64_t now_nsec)
{
	double rate = run->options->rate;
	uint64_t done = run->nrecords - run->first;
	int64_t lag_nsec = now_nsec - run->start_nsec;
	double due;

	if (lag_nsec < 0)
		return run->nrecords;
	if (rate <= 0 && done > 0)
		return run->end;
	if (done > 0)
		lag_nsec -= (int64_t) ((double) done / rate * 1e9);
	if (lag_nsec > MAX_LAG_NSEC)
	{
		run->start_nsec += lag_nsec;
		run->slipped_nsec += lag_nsec;
		return run->nrecords + 1;
	}
	if (rate <= 0)
		return run->end;
	due = (double) (now_nsec - run->start_nsec) * rate / 1e9;
	return due < (double) (run->end - run->first) ? run->first + (uint64_t) due : run->end;
}

/* Nothing is due until the next record's time, nor before the quantum is over. */
static void
wait_turn(const Run *run, int64_t now_nsec)
{
	int64_t quantum_nsec = run->options->quantum_usec * INT64_C(1000);
	double rate = run->options->rate;
	int64_t until = run->start_nsec;
	struct timespec when;

	if (rate > 0)
		until += (int64_t) ((double) (run->nrecords - run->first + 1) * 1e9 / rate);
	if (quantum_nsec == 0 || (rate <= 0 && until <= now_nsec))
		return;
	if (until < now_nsec + quantum_nsec)
		until = now_nsec + quantum_nsec;
	if (until > run->end_nsec)
		until = run->end_nsec;
	if (until - clock_nsec(CLOCK_MONOTONIC) < MIN_SLEEP_NSEC)
		return;
	when.tv_sec = until / NSEC_PER_SEC;
	when.tv_nsec = until % NSEC_PER_SEC;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

static bool
send_all(Run *run)
{
	const Options *options = run->options;

	run->start_nsec = clock_nsec(CLOCK_MONOTONIC);
	run->end_nsec = INT64_MAX;
	if (options->seconds > 0)
		run->end_nsec = run->start_nsec + (int64_t) (options->seconds * 1e9);
	run->end = options->config.burst_records > 0 && options->config.burst_records < run->limit
				   ? options->config.burst_records
				   : run->limit;
	while (run->nrecords < run->limit && !stop_asked)
	{
		int64_t now_nsec = clock_nsec(CLOCK_MONOTONIC);
		uint64_t due = records_due(run, now_nsec);

		if (now_nsec >= run->end_nsec)
			break;
		while (run->nrecords < due && !stop_asked)
		{
			if (!send_vector(run, due))
				return false;
			if (options->rate <= 0)
				break;
		}
		if (run->nrecords == run->end && run->end < run->limit)
			next_burst(run);
		wait_turn(run, now_nsec);
	}
	return true;
}

/*
 * A loss shows in sequence numbers when another datagram follows.  Once the receiver had time to
 * empty its buffer, send each stream's last word.
 */
static bool
send_last_words(Run *run)
{
	struct timespec pause = {run->options->linger_msec / 1000,
							 run->options->linger_msec % 1000 * INT64_C(1000000)};
	uint32_t nstreams = bs_generator_totals(run->generator)->nstreams;

	nanosleep(&pause, NULL);
	bs_generator_end_loss(run->generator);
	for (uint32_t told = 0; told < nstreams;)
	{
		BsOutgoing out = {.data = bs_sender_buffer(run->sender)};

		/* Streams take turns; templates, where they are due, come between. */
		bs_generator_next(run->generator, clock_nsec(CLOCK_REALTIME) / 1000, 1, &out);
		told += out.nrecords;
		bs_sender_add(run->sender, out.len_bytes, out.exporter);
		if (!bs_sender_flush(run->sender))
			return false;
	}
	return true;
}

/* When the next record would be sent, were it not for the speed. */
static int64_t
capture_usec(const Run *run)
{
	const BsGenerateConfig *config = &run->options->config;
	uint64_t before = run->nrecords;
	int64_t usec = config->start_usec;

	if (config->burst_records > 0)
	{
		usec += (int64_t) (before / config->burst_records + 1) * config->burst_interval_usec;
		before %= config->burst_records;
	}
	return usec + (int64_t) ((double) before * 1e6 / run->options->rate);
}

/* The same datagrams into a file, at the times at which they would have been sent. */
static bool
write_capture(Run *run)
{
	const Options *options = run->options;
	const struct sockaddr_in *target = (const struct sockaddr_in *) &options->target.storage;
	const struct sockaddr_in *source = (const struct sockaddr_in *) &options->source.storage;
	uint8_t buffer[BS_GENERATE_BUFFER];
	FILE *file = fopen(options->pcap_file, "w");
	bool ok;

	if (file == NULL)
		return false;
	bs_pcap_begin(file);
	while (run->nrecords < run->limit && !stop_asked && !ferror(file))
	{
		uint64_t left = run->limit - run->nrecords;
		BsOutgoing out = {.data = buffer};
		BsPcapDatagram datagram = {
			.time_usec = capture_usec(run),
			.dst_addr = ntohl(target->sin_addr.s_addr),
			.src_port = CAPTURE_PORT,
			.dst_port = ntohs(target->sin_port),
			.data = buffer,
		};

		if (options->seconds > 0 &&
			(double) (datagram.time_usec - options->config.start_usec) >= options->seconds * 1e6)
			break;
		bs_generator_next(run->generator, datagram.time_usec,
						  left < UINT32_MAX ? (uint32_t) left : UINT32_MAX, &out);
		run->nrecords += out.nrecords;
		datagram.src_addr = ntohl(source->sin_addr.s_addr) + out.exporter;
		datagram.len_bytes = out.len_bytes;
		if (out.len_bytes > 0)
			bs_pcap_add(file, &datagram);
	}
	ok = !ferror(file);
	return fclose(file) == 0 && ok;
}

/* Reports ----------------------------------------------------------------------------------------
 */

static const char *
exporter_name(const void *context, uint32_t exporter)
{
	static char text[INET6_ADDRSTRLEN];
	BsAddress address = ((const Options *) context)->source;

	if (address.storage.ss_family == AF_INET)
	{
		struct in_addr *in4 = &((struct sockaddr_in *) &address.storage)->sin_addr;

		in4->s_addr = htonl(ntohl(in4->s_addr) + exporter);
		return inet_ntop(AF_INET, in4, text, sizeof(text));
	}
	return inet_ntop(AF_INET6, &((struct sockaddr_in6 *) &address.storage)->sin6_addr, text,
					 sizeof(text));
}

static bool
write_file(const char *name, const Options *options, BsGenerator *generator,
		   const BsReportFacts *facts)
{
	bool to_stdout = strcmp(name, "-") == 0;
	FILE *file = to_stdout ? stdout : fopen(name, "w");
	bool ok;

	if (file == NULL)
		return false;
	if (facts != NULL)
		bs_report_json(file, &options->config, generator, facts);
	else
		bs_report_flows(file, generator);
	ok = fflush(file) == 0 && ferror(file) == 0;
	if (!to_stdout && fclose(file) != 0)
		ok = false;
	return ok;
}

static bool
report(const Options *options, Run *run, double elapsed_secs)
{
	BsReportFacts facts = {
		.elapsed_secs = elapsed_secs,
		.slipped_secs = (double) run->slipped_nsec / 1e9,
		.refused = bs_sender_refused(run->sender),
		.exporter_name = exporter_name,
		.context = options,
	};
	BsStreamTotals sum;

	bs_totals_sum(bs_generator_totals(run->generator), &sum);
	if (!options->quiet)
	{
		fprintf(stderr, "bs-generate: %" PRIu64 " records in %" PRIu64 " datagrams, %.3f s, %.0f/s",
				sum.sums.records, sum.datagrams, elapsed_secs,
				(double) sum.sums.records / elapsed_secs);
		if (sum.records_lost + sum.records_lost_tail > 0)
			fprintf(stderr, ", %" PRIu64 " left out", sum.records_lost + sum.records_lost_tail);
		if (run->slipped_nsec > 0)
			fprintf(stderr, ", %.3f s behind", facts.slipped_secs);
		if (facts.refused > 0)
			fputs("; nobody listens there", stderr);
		fputc('\n', stderr);
	}
	if (options->totals_file != NULL &&
		!write_file(options->totals_file, options, run->generator, &facts))
	{
		fprintf(stderr, "bs-generate: %s: %s\n", options->totals_file, strerror(errno));
		return false;
	}
	if (options->flows_file != NULL &&
		!write_file(options->flows_file, options, run->generator, NULL))
	{
		fprintf(stderr, "bs-generate: %s: %s\n", options->flows_file, strerror(errno));
		return false;
	}
	return true;
}

int
main(int argc, char **argv)
{
	static Options options;
	Run run = {.options = &options};
	struct sigaction action = {.sa_handler = on_signal};
	const char *error;
	int64_t begin_nsec;
	double elapsed_secs;
	bool sent;
	int status = parse_options(&options, argc, argv);

	if (status >= 0)
		return status;
	error = finish_options(&options);
	if (error != NULL)
	{
		fprintf(stderr, "bs-generate: %s\n", error);
		return 2;
	}
	run.limit = options.count > 0 ? options.count : UINT64_MAX / 2;
	run.generator = bs_generator_create(&options.config);
	run.sender = bs_sender_open(&options.target, &options.source, options.config.nexporters,
								BS_GENERATE_BUFFER);
	if (run.generator == NULL || run.sender == NULL)
	{
		fprintf(stderr, "bs-generate: %s\n", strerror(errno));
		return 1;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* Timers are late by 50 us otherwise. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	begin_nsec = clock_nsec(CLOCK_MONOTONIC);
	sent = options.pcap_file != NULL ? write_capture(&run) : send_all(&run);
	elapsed_secs = (double) (clock_nsec(CLOCK_MONOTONIC) - begin_nsec) / 1e9;
	if (sent && options.linger_msec > 0 && !options.dry_run && options.pcap_file == NULL)
		sent = send_last_words(&run);
	if (!sent)
		fprintf(stderr, "bs-generate: sending failed: %s\n", strerror(errno));
	if (!report(&options, &run, elapsed_secs))
		sent = false;
	bs_sender_close(run.sender);
	bs_generator_free(run.generator);
	return sent ? 0 : 1;
}
