/* SPDX-License-Identifier: PostgreSQL */
/* received.c: print what bs-receive counted.  See received.h. */
#include "received.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

typedef struct Counter
{
	const char *name;
	size_t offset;
	int width; /* in the table; 0: in JSON only */
} Counter;

#define LISTENER(field, width)                                                                     \
	{                                                                                              \
#field, offsetof(BsListenerStats, field), width                                            \
	}
#define EXPORTER(field, width)                                                                     \
	{                                                                                              \
#field, offsetof(BsExporterStats, field), width                                            \
	}

static const Counter listener_counters[] = {
	LISTENER(datagrams, 12),      LISTENER(bytes, 14),      LISTENER(kernel_drops, 13),
	LISTENER(rejected, 10),       LISTENER(not_export, 11), LISTENER(discarded, 10),
	LISTENER(receive_errors, 15), LISTENER(truncated, 0),
};

static const Counter exporter_counters[] = {
	EXPORTER(datagrams, 11),          EXPORTER(records, 12),
	EXPORTER(records_lost, 13),       EXPORTER(datagrams_lost, 15),
	EXPORTER(unknown_template, 17),   EXPORTER(decode_errors, 14),
	EXPORTER(templates, 10),          EXPORTER(bytes, 0),
	EXPORTER(option_records, 0),      EXPORTER(resyncs, 0),
	EXPORTER(template_errors, 0),     EXPORTER(templates_refused_full, 0),
	EXPORTER(withdrawals_ignored, 0), EXPORTER(untimed, 0),
	EXPORTER(totals_used, 0),
};

#define NROWS(table) (sizeof(table) / sizeof((table)[0]))

static uint64_t
counter_value(const void *stats, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *) stats + offset, sizeof(value));
	return value;
}

uint64_t
bs_received_total(const BsReceived *received, size_t offset)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < received->max_listeners; i++)
		total += counter_value(&received->listeners[i], offset);
	return total;
}

static double
nsec_per(double seconds, uint64_t n)
{
	return n > 0 ? seconds * 1e9 / (double) n : 0;
}

static double
per_sec(uint64_t n, double seconds)
{
	return seconds > 0 ? (double) n / seconds : 0;
}

static const char *
inet_text(const BsInet *address, char *text, socklen_t size)
{
	return inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->address, text, size);
}

/* ---- for people ---- */

static void
put_headings(FILE *file, const Counter *counters, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (counters[i].width > 0)
			fprintf(file, " %*s", counters[i].width, counters[i].name);
	fputc('\n', file);
}

static void
put_values(FILE *file, const Counter *counters, size_t n, const void *stats)
{
	for (size_t i = 0; i < n; i++)
		if (counters[i].width > 0)
			fprintf(file, " %*" PRIu64, counters[i].width,
					counter_value(stats, counters[i].offset));
	fputc('\n', file);
}

static void
put_listeners(FILE *file, const BsReceived *received)
{
	fprintf(file, "%-26s", "listener");
	put_headings(file, listener_counters, NROWS(listener_counters));
	for (uint32_t i = 0; i < received->max_listeners; i++)
	{
		const BsListenerStats *stats = &received->listeners[i];

		if (stats->address[0] == '\0')
			continue;
		fprintf(file, "%-26s", stats->address);
		put_values(file, listener_counters, NROWS(listener_counters), stats);
	}
}

static void
put_exporters(FILE *file, const BsReceived *received)
{
	char text[INET6_ADDRSTRLEN];

	fprintf(file, "\n%-26s %10s %-10s", "exporter", "obs_domain", "flow_type");
	put_headings(file, exporter_counters, NROWS(exporter_counters));
	for (uint32_t i = 0; i < received->max_exporters; i++)
	{
		const BsExporterStats *stats = &received->exporters[i];

		if (stats->flow_type == BS_FLOW_TYPE_NONE)
			continue;
		fprintf(file, "%-26s %10" PRId64 " %-10s", inet_text(&stats->exporter, text, sizeof(text)),
				stats->obs_domain, bs_flow_type_name((BsFlowType) stats->flow_type));
		put_values(file, exporter_counters, NROWS(exporter_counters), stats);
	}
}

void
bs_received_text(FILE *file, const BsReceived *received)
{
	uint64_t datagrams = BS_RECEIVED_TOTAL(received, datagrams);
	bool decoded = strcmp(received->mode, "decode") == 0;

	put_listeners(file, received);
	if (decoded)
		put_exporters(file, received);
	fprintf(file,
			"\n%" PRIu64
			" datagrams in %.3f s (%.0f/s), CPU %.3f s, %.0f ns per datagram, %.0f sleeps/s\n",
			datagrams, received->elapsed_secs, per_sec(datagrams, received->elapsed_secs),
			received->cpu_secs, nsec_per(received->cpu_secs, datagrams),
			per_sec(received->sleeps, received->elapsed_secs));
	if (!decoded)
		return;
	fprintf(file,
			"%" PRIu64 " records (%.0f/s), %.1f ns per record; sums: %" PRIu64 " bytes, %" PRIu64
			" packets\n",
			received->records, per_sec(received->records, received->elapsed_secs),
			nsec_per(received->cpu_secs, received->records), received->flow_bytes,
			received->flow_packets);
	if (received->exporters_refused > 0)
		fprintf(file, "%" PRIu64 " datagrams of exporters beyond --max-exporters\n",
				received->exporters_refused);
}

/* ---- JSON ---- */

static void
put_json_counters(FILE *file, const Counter *counters, size_t n, const void *stats)
{
	for (size_t i = 0; i < n; i++)
		fprintf(file, ", \"%s\": %" PRIu64, counters[i].name,
				counter_value(stats, counters[i].offset));
	fputc('}', file);
}

static void
put_json_listeners(FILE *file, const BsReceived *received)
{
	const char *separator = "";

	fputs(",\n  \"listeners\": [", file);
	for (uint32_t i = 0; i < received->max_listeners; i++)
	{
		const BsListenerStats *stats = &received->listeners[i];

		if (stats->address[0] == '\0')
			continue;
		/* An address has no character that JSON would want escaped, but for an interface's name. */
		fprintf(file, "%s\n    {\"address\": \"%s\", \"receive_buffer_bytes\": %" PRIu32, separator,
				stats->address, stats->receive_buffer_bytes);
		put_json_counters(file, listener_counters, NROWS(listener_counters), stats);
		separator = ",";
	}
	fputs("\n  ]", file);
}

static void
put_json_exporters(FILE *file, const BsReceived *received)
{
	const char *separator = "";
	char text[INET6_ADDRSTRLEN];

	fputs(",\n  \"exporters\": [", file);
	for (uint32_t i = 0; i < received->max_exporters; i++)
	{
		const BsExporterStats *stats = &received->exporters[i];

		if (stats->flow_type == BS_FLOW_TYPE_NONE)
			continue;
		fprintf(file,
				"%s\n    {\"exporter\": \"%s\", \"obs_domain\": %" PRId64 ", \"flow_type\": \"%s\""
				", \"clock_skew_usec\": %" PRId64 ", \"sampling_rate\": %" PRId64,
				separator, inet_text(&stats->exporter, text, sizeof(text)), stats->obs_domain,
				bs_flow_type_name((BsFlowType) stats->flow_type), stats->clock_skew_usec,
				stats->sampling_rate);
		put_json_counters(file, exporter_counters, NROWS(exporter_counters), stats);
		separator = ",";
	}
	fputs("\n  ]", file);
}

void
bs_received_json(FILE *file, const BsReceived *received)
{
	uint64_t datagrams = BS_RECEIVED_TOTAL(received, datagrams);

	fprintf(
		file,
		"{\n  \"mode\": \"%s\", \"elapsed_secs\": %.6f, \"cpu_secs\": %.6f, \"sleeps\": %" PRIu64,
		received->mode, received->elapsed_secs, received->cpu_secs, received->sleeps);
	fprintf(file, ",\n  \"cpu_nsec_per_datagram\": %.2f, \"cpu_nsec_per_record\": %.3f",
			nsec_per(received->cpu_secs, datagrams),
			nsec_per(received->cpu_secs, received->records));
	fprintf(file,
			",\n  \"records\": %" PRIu64 ", \"flow_bytes\": %" PRIu64 ", \"flow_packets\": %" PRIu64
			", \"exporters_refused\": %" PRIu64,
			received->records, received->flow_bytes, received->flow_packets,
			received->exporters_refused);
	for (size_t i = 0; i < NROWS(listener_counters); i++)
		fprintf(file, ", \"%s\": %" PRIu64, listener_counters[i].name,
				bs_received_total(received, listener_counters[i].offset));
	put_json_listeners(file, received);
	put_json_exporters(file, received);
	fputs("\n}\n", file);
}
