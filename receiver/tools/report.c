/* SPDX-License-Identifier: PostgreSQL */
/* report.c: totals as JSON, flows as tab-separated values.  See report.h. */
#include "report.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>

static void
put_sums(FILE *file, const BsSums *sums)
{
	fprintf(file, "\"records\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"packets\": %" PRIu64,
			sums->records, sums->bytes, sums->packets);
}

static void
put_stream_totals(FILE *file, const BsStreamTotals *totals, const char *gap)
{
	put_sums(file, &totals->sums);
	fprintf(file, ",%s\"datagrams\": %" PRIu64 ", \"payload_bytes\": %" PRIu64, gap,
			totals->datagrams, totals->payload_bytes);
	fprintf(file, ",%s\"template_datagrams\": %" PRIu64 ", \"option_records\": %" PRIu64, gap,
			totals->template_datagrams, totals->option_records);
	fprintf(file, ",%s\"records_lost\": %" PRIu64 ", \"datagrams_lost\": %" PRIu64, gap,
			totals->records_lost, totals->datagrams_lost);
	fprintf(file, ",%s\"records_lost_tail\": %" PRIu64 ", \"datagrams_lost_tail\": %" PRIu64, gap,
			totals->records_lost_tail, totals->datagrams_lost_tail);
	fprintf(file, ",%s\"first_end_msec\": %" PRId64 ", \"last_end_msec\": %" PRId64, gap,
			totals->first_end_msec, totals->last_end_msec);
}

static void
put_windows(FILE *file, const BsTotals *totals, const char *name, uint32_t width_secs)
{
	uint32_t nwindows;
	BsWindowSums *windows = bs_totals_windows(totals, width_secs, &nwindows);

	fprintf(file, ",\n  \"%s\": [", name);
	for (uint32_t i = 0; i < nwindows; i++)
	{
		fprintf(file, "%s\n    {\"start\": %" PRId64 ", ", i > 0 ? "," : "", windows[i].start_secs);
		put_sums(file, &windows[i].sums);
		fputs("}", file);
	}
	fputs("\n  ]", file);
	free(windows);
}

static void
put_streams(FILE *file, const BsTotals *totals, const BsGenerator *generator,
			const BsReportFacts *facts)
{
	fputs(",\n  \"exporters\": [", file);
	for (uint32_t i = 0; i < totals->nstreams; i++)
	{
		BsStreamInfo info = bs_generator_stream(generator, i);

		fprintf(file, "%s\n    {\"exporter\": \"%s\", \"obs_domain\": %" PRIu32, i > 0 ? "," : "",
				facts->exporter_name(facts->context, info.exporter), info.domain);
		fprintf(file, ", \"flow_type\": \"%s\", \"skew_msec\": %" PRId64 ", ", info.flow_type,
				info.skew_msec);
		put_stream_totals(file, &totals->streams[i], " ");
		fputs("}", file);
	}
	fputs("\n  ]", file);
}

void
bs_report_json(FILE *file, const BsGenerateConfig *config, BsGenerator *generator,
			   const BsReportFacts *facts)
{
	const BsTotals *totals = bs_generator_totals(generator);
	BsStreamTotals sum;

	bs_totals_sum(totals, &sum);
	fputs("{\n  ", file);
	put_stream_totals(file, &sum, "\n  ");
	fprintf(file, ",\n  \"elapsed_secs\": %.6f, \"records_per_sec\": %.0f, \"slipped_secs\": %.6f",
			facts->elapsed_secs,
			facts->elapsed_secs > 0 ? (double) sum.sums.records / facts->elapsed_secs : 0,
			facts->slipped_secs);
	fprintf(file, ", \"refused\": %" PRIu64 ",\n  \"seed\": %" PRIu64, facts->refused,
			config->population.seed);
	fprintf(file, ", \"sampling_rate\": %" PRIu32, config->sampling_rate);
	fprintf(file,
			",\n  \"distinct\": {\"as_pairs\": %" PRIu32 ", \"address_pairs\": %" PRIu32
			", \"flows\": %" PRIu32 "}",
			bs_totals_distinct(totals, config->population.as_pairs),
			bs_totals_distinct(totals, config->population.addresses),
			bs_totals_distinct(totals, 0));
	put_streams(file, totals, generator, facts);
	put_windows(file, totals, "windows_10s", BS_TOTALS_WINDOW_SECS);
	put_windows(file, totals, "windows_5min", BS_TOTALS_LONG_SECS);
	if (totals->outside_windows.records != 0)
	{
		fputs(",\n  \"outside_windows\": {", file);
		put_sums(file, &totals->outside_windows);
		fputs("}", file);
	}
	fputs("\n}\n", file);
}

void
bs_report_flows(FILE *file, BsGenerator *generator)
{
	const BsTotals *totals = bs_generator_totals(generator);
	const BsPopulation *population = bs_generator_population(generator);

	fputs(
		"src_addr\tdst_addr\tsrc_as\tdst_as\tsrc_port\tdst_port\tproto\trecords\tbytes\tpackets\n",
		file);
	for (uint32_t k = 0; totals->by_flow != NULL && k < totals->nflows; k++)
	{
		const BsSums *sums = &totals->by_flow[k];
		char src[INET6_ADDRSTRLEN];
		char dst[INET6_ADDRSTRLEN];
		BsExportFlow flow;

		if (sums->records == 0)
			continue;
		bs_population_flow(population, k, &flow);
		inet_ntop(flow.is_ipv6 ? AF_INET6 : AF_INET, flow.src_addr, src, sizeof(src));
		inet_ntop(flow.is_ipv6 ? AF_INET6 : AF_INET, flow.dst_addr, dst, sizeof(dst));
		fprintf(file, "%s\t%s\t%" PRIu32 "\t%" PRIu32 "\t%u\t%u\t%u", src, dst, flow.src_as,
				flow.dst_as, flow.src_port, flow.dst_port, flow.proto);
		fprintf(file, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", sums->records, sums->bytes,
				sums->packets);
	}
}
