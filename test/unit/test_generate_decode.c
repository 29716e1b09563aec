/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_generate_decode.c: the decoder comes to the generator's totals.
 *
 * Generator and decoder share no code.  Per stream (records, bytes are the counters of its slot),
 * per window of ten seconds, per flow, and for losses by sequence both must say the same.
 */
#include "../../receiver/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow_names.h"

#define MAX_EXPORTERS 64
#define NRECORDS      6000
#define NOW_USEC      INT64_C(1790000000123456)

/* What the decoder brought. */
typedef struct Decoded
{
	const BsGenerateConfig *config;
	const BsPopulation *population;
	BsTotals *totals;
	FlowName *names;
	uint64_t records;
	uint64_t rate_known; /* records with the announced sampling rate */
} Decoded;

static bool
is_null(const BsBatch *batch, BsFlowColumn column, uint32_t row)
{
	return bs_lane_is_null(&batch->columns[column], row);
}

static int64_t
integer(const BsBatch *batch, BsFlowColumn column, uint32_t row)
{
	assert_false(is_null(batch, column, row));
	return batch->columns[column].i64[row];
}

static void
take_row(Decoded *decoded, const BsBatch *batch, uint32_t row)
{
	FlowName wanted = {0};
	const FlowName *found;
	BsExportFlow flow;
	BsSums one = {1, (uint64_t) integer(batch, BS_FLOW_BYTES, row),
				  (uint64_t) integer(batch, BS_FLOW_PACKETS, row)};
	int64_t end_usec = integer(batch, BS_FLOW_TIME_FLOW_END, row) + BS_UNIX_TO_PG_USEC;
	int64_t start_usec = integer(batch, BS_FLOW_TIME_FLOW_START, row) + BS_UNIX_TO_PG_USEC;

	memcpy(wanted.src, batch->columns[BS_FLOW_SRC_ADDR].inet[row].address, 16);
	memcpy(wanted.dst, batch->columns[BS_FLOW_DST_ADDR].inet[row].address, 16);
	found =
		bsearch(&wanted, decoded->names, decoded->population->nflows, sizeof(wanted), name_compare);
	assert_non_null(found);
	bs_population_flow(decoded->population, found->k, &flow);
	assert_int_equal(batch->columns[BS_FLOW_SRC_ADDR].inet[row].family, flow.is_ipv6 ? 6 : 4);
	assert_int_equal(integer(batch, BS_FLOW_SRC_AS, row), flow.src_as);
	assert_int_equal(integer(batch, BS_FLOW_DST_AS, row), flow.dst_as);
	assert_int_equal(integer(batch, BS_FLOW_SRC_PORT, row), flow.src_port);
	assert_int_equal(integer(batch, BS_FLOW_DST_PORT, row), flow.dst_port);
	assert_int_equal(integer(batch, BS_FLOW_PROTO, row), flow.proto);
	assert_int_equal(end_usec % 1000, 0);
	assert_in_range(end_usec - start_usec, 0, (int64_t) decoded->config->duration_msec * 1000);
	if (!is_null(batch, BS_FLOW_SAMPLING_RATE, row) &&
		batch->columns[BS_FLOW_SAMPLING_RATE].i64[row] == decoded->config->sampling_rate)
		decoded->rate_known++;
	bs_totals_flow(decoded->totals, found->k, (uint32_t) one.bytes, (uint32_t) one.packets);
	bs_totals_add_window(decoded->totals, end_usec / 1000, &one);
	decoded->records++;
}

static void
flush(void *context, BsBatch *batch)
{
	for (uint32_t row = 0; row < batch->nrows; row++)
		take_row(context, batch, row);
	bs_batch_reset(batch);
}

static BsInet
exporter_address(uint32_t exporter)
{
	return (BsInet){.address = {127, 0, 10, (uint8_t) (exporter + 1)}, .family = 4, .bits = 32};
}

static void
decoded_init(Decoded *decoded, const BsGenerateConfig *config, const BsPopulation *population)
{
	memset(decoded, 0, sizeof(*decoded));
	decoded->config = config;
	decoded->population = population;
	decoded->totals = bs_totals_create(1, population->nflows, true);
	decoded->names = names_of(population);
}

/* The slot of a stream says what was sent on it. */
static void
assert_slot(const BsExporterStats *slots, const BsStreamInfo *info, const BsStreamTotals *told)
{
	BsInet address = exporter_address(info->exporter);

	for (uint32_t i = 0; i < MAX_EXPORTERS; i++)
	{
		if (slots[i].flow_type == BS_FLOW_TYPE_NONE ||
			memcmp(&slots[i].exporter, &address, sizeof(address)) != 0 ||
			slots[i].obs_domain != info->domain)
			continue;
		assert_string_equal(bs_flow_type_name((BsFlowType) slots[i].flow_type), info->flow_type);
		assert_int_equal(slots[i].datagrams, told->datagrams);
		assert_int_equal(slots[i].bytes, told->payload_bytes);
		assert_int_equal(slots[i].records, told->sums.records);
		assert_int_equal(slots[i].option_records, told->option_records);
		if (slots[i].flow_type == BS_NETFLOW_V9)
			assert_int_equal(slots[i].datagrams_lost, told->datagrams_lost);
		else
			assert_int_equal(slots[i].records_lost, told->records_lost);
		assert_int_equal(slots[i].decode_errors, 0);
		assert_int_equal(slots[i].template_errors, 0);
		assert_int_equal(slots[i].unknown_template, 0);
		assert_int_equal(slots[i].untimed, 0);
		assert_int_equal(slots[i].resyncs, 0);
		return;
	}
	fail_msg("no slot for exporter %u, domain %u", info->exporter, info->domain);
}

static void
assert_sums_equal(const BsSums *a, const BsSums *b)
{
	assert_int_equal(a->records, b->records);
	assert_int_equal(a->bytes, b->bytes);
	assert_int_equal(a->packets, b->packets);
}

static void
assert_totals(const BsGenerator *generator, const BsTotals *told, const Decoded *decoded,
			  const BsExporterStats *slots)
{
	uint32_t ntold;
	uint32_t nread;
	BsWindowSums *windows = bs_totals_windows(told, BS_TOTALS_WINDOW_SECS, &ntold);
	BsWindowSums *read = bs_totals_windows(decoded->totals, BS_TOTALS_WINDOW_SECS, &nread);

	assert_true(ntold > 0);
	assert_int_equal(ntold, nread);
	for (uint32_t i = 0; i < ntold; i++)
	{
		assert_int_equal(windows[i].start_secs, read[i].start_secs);
		assert_sums_equal(&windows[i].sums, &read[i].sums);
	}
	free(windows);
	free(read);
	for (uint32_t k = 0; k < told->nflows; k++)
		assert_sums_equal(&told->by_flow[k], &decoded->totals->by_flow[k]);
	for (uint32_t i = 0; i < told->nstreams; i++)
	{
		BsStreamInfo info = bs_generator_stream(generator, i);

		assert_slot(slots, &info, &told->streams[i]);
	}
	if (decoded->config->sampling_rate != 0)
		assert_int_equal(decoded->rate_known, decoded->records);
}

static void
check(const BsGenerateConfig *config)
{
	static BsExporterStats slots[MAX_EXPORTERS];
	BsGenerator *generator = bs_generator_create(config);
	Decoded decoded;
	BsDecoderConfig decoder_config = {
		.stats = slots, .max_exporters = MAX_EXPORTERS, .sink = {flush, &decoded}};
	BsDecoder *decoder;
	BsBatch *batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, NULL, 512);
	uint8_t buffer[BS_GENERATE_BUFFER];
	BsOutgoing out = {.data = buffer};

	/* Slots in use would be taken over. */
	memset(slots, 0, sizeof(slots));
	decoder = bs_decoder_create(&decoder_config);
	decoded_init(&decoded, config, bs_generator_population(generator));
	for (uint64_t made = 0; made < NRECORDS; made += out.nrecords)
	{
		int64_t now_usec = NOW_USEC + (int64_t) made * 1000;
		BsDatagram datagram = {.data = buffer, .port = 40000};

		bs_generator_next(generator, now_usec, (uint32_t) (NRECORDS - made), &out);
		if (out.len_bytes == 0)
			continue;
		datagram.len_bytes = out.len_bytes;
		datagram.exporter = exporter_address(out.exporter);
		datagram.received_usec = now_usec - BS_UNIX_TO_PG_USEC;
		assert_int_equal(bs_decoder_decode(decoder, &datagram, batch), BS_DECODED);
	}
	flush(&decoded, batch);
	assert_totals(generator, bs_generator_totals(generator), &decoded, slots);
	bs_batch_free(batch);
	bs_decoder_free(decoder);
	bs_totals_free(decoded.totals);
	free(decoded.names);
	bs_generator_free(generator);
}

static BsGenerateConfig
config_of(BsExportVersion version, BsTemplateKind kind, double ipv6_share)
{
	return (BsGenerateConfig){
		.versions = {version},
		.nversions = 1,
		.template_kind = kind,
		.nexporters = 1,
		.ndomains = 1,
		.start_usec = NOW_USEC,
		.duration_msec = 10000,
		.population = {.as_pairs = 300, .addresses = 700, .ipv6_share = ipv6_share, .seed = 11},
		.by_flow = true,
	};
}

/* Every version with every template that it has, plain and mixed families. */
static void
each(void (*change)(BsGenerateConfig *config))
{
	for (uint32_t version = 0; version < BS_EXPORT_NVERSIONS; version++)
		for (uint32_t kind = 0; kind < BS_TEMPLATE_NKINDS; kind++)
			for (uint32_t family = 0; family < 2; family++)
			{
				BsGenerateConfig config =
					config_of((BsExportVersion) version, (BsTemplateKind) kind, family * 0.5);

				change(&config);
				if (bs_generator_check(&config) == NULL)
					check(&config);
				else
					assert_true(version != BS_EXPORT_IPFIX);
			}
}

static void
change_nothing(BsGenerateConfig *config)
{
	(void) config;
}

static void
change_exporters(BsGenerateConfig *config)
{
	config->nexporters = 9;
	config->ndomains = 4;
}

static void
change_sampling(BsGenerateConfig *config)
{
	config->sampling_rate = 1000;
	config->template_interval_usec = 500000;
}

static void
change_loss(BsGenerateConfig *config)
{
	config->loss = 0.2;
	config->sampling_rate = 100;
	config->nexporters = 3;
	config->template_interval_usec = 500000;
	config->first_sequence = UINT32_MAX - 300;
}

static void
change_time(BsGenerateConfig *config)
{
	config->fixed_time = true;
	config->time_step_usec = 77777;
	config->skew_msec = 20000;
	config->nexporters = 3;
}

static void
change_bursts(BsGenerateConfig *config)
{
	config->burst_records = 1234;
	config->burst_interval_usec = 30000000;
	config->skew_msec = 20000;
	config->nexporters = 3;
	config->loss = 0.1;
}

static void
test_plain(void **state)
{
	(void) state;
	each(change_nothing);
}

static void
test_exporters(void **state)
{
	(void) state;
	each(change_exporters);
}

static void
test_sampling(void **state)
{
	(void) state;
	each(change_sampling);
}

static void
test_loss(void **state)
{
	(void) state;
	each(change_loss);
}

static void
test_time(void **state)
{
	(void) state;
	each(change_time);
}

static void
test_bursts(void **state)
{
	(void) state;
	each(change_bursts);
}

static void
test_mix(void **state)
{
	BsGenerateConfig config = config_of(BS_EXPORT_V5, BS_TEMPLATE_WIDE, 0.3);

	(void) state;
	config.nversions = 3;
	config.versions[1] = BS_EXPORT_V9;
	config.versions[2] = BS_EXPORT_IPFIX;
	config.nexporters = 6;
	config.sampling_rate = 50;
	config.loss = 0.1;
	check(&config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),    cmocka_unit_test(test_exporters),
		cmocka_unit_test(test_sampling), cmocka_unit_test(test_loss),
		cmocka_unit_test(test_time),     cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
