/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_generate_bursts.c: traffic in bursts, as the decoder sees it: how many records each has, when it is
 * exported, and when its flows ended.  The clock of whoever sends stands still all the time: only the
 * exporters' own time passes.
 */
#include "../../receiver/decode.h"
#include "../../receiver/tools/generate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_USEC    INT64_C(1769860800000000)
#define NOW_USEC      INT64_C(1790000000123456)
#define BURST         777
#define NBURSTS       120
#define INTERVAL_USEC INT64_C(30000000)
#define MAX_EXPORTERS 8

typedef struct Bursts
{
	uint64_t records[NBURSTS];
	uint64_t tenths[NBURSTS][10]; /* by the tenth of the interval that flows ended in */
	uint64_t steps_back;          /* a flow that ended before the one that came before it */
	uint64_t last_burst;          /* of the datagram that came last */
	int64_t last_end_usec;
	int64_t first_end_msec;
	int64_t highest_end_msec;
	int64_t skew_usec;
} Bursts;

static BsGenerateConfig
config_of(BsExportVersion version)
{
	return (BsGenerateConfig){
		.versions = {version},
		.nversions = 1,
		.nexporters = 1,
		.ndomains = 1,
		.start_usec = START_USEC,
		.burst_records = BURST,
		.burst_interval_usec = INTERVAL_USEC,
		.duration_msec = 10000,
		.population = {.as_pairs = 300, .addresses = 700, .seed = 11},
	};
}

static int64_t
time_of(const BsBatch *batch, BsFlowColumn column, uint32_t row)
{
	assert_false(bs_lane_is_null(&batch->columns[column], row));
	return batch->columns[column].i64[row] + BS_UNIX_TO_PG_USEC;
}

static void
take_row(Bursts *bursts, const BsBatch *batch, uint32_t row)
{
	int64_t export_usec = time_of(batch, BS_FLOW_TIME_EXPORT, row) - bursts->skew_usec;
	int64_t end_usec = time_of(batch, BS_FLOW_TIME_FLOW_END, row) - bursts->skew_usec;
	uint64_t burst = (uint64_t) ((export_usec - START_USEC) / INTERVAL_USEC - 1);

	/* Each is exported at its time, to the millisecond. */
	assert_int_equal((export_usec - START_USEC) % INTERVAL_USEC, 0);
	assert_in_range(burst, bursts->last_burst, NBURSTS - 1);
	assert_in_range(end_usec, export_usec - INTERVAL_USEC, export_usec - 1);
	bursts->last_burst = burst;
	bursts->records[burst]++;
	bursts->tenths[burst][(export_usec - 1 - end_usec) * 10 / INTERVAL_USEC]++;
	bursts->steps_back += end_usec < bursts->last_end_usec;
	bursts->last_end_usec = end_usec;
	if (bursts->first_end_msec == 0 || end_usec / 1000 < bursts->first_end_msec)
		bursts->first_end_msec = end_usec / 1000;
	if (end_usec / 1000 > bursts->highest_end_msec)
		bursts->highest_end_msec = end_usec / 1000;
}

static void
flush(void *context, BsBatch *batch)
{
	for (uint32_t row = 0; row < batch->nrows; row++)
		take_row(context, batch, row);
	bs_batch_reset(batch);
}

/* Send all bursts to a decoder; the totals are the generator's, to be freed with it. */
static BsGenerator *
decode_bursts(const BsGenerateConfig *config, Bursts *bursts)
{
	BsGenerator *generator = bs_generator_create(config);
	BsExporterStats slots[MAX_EXPORTERS];
	BsDecoderConfig decoder_config = {
		.stats = slots, .max_exporters = MAX_EXPORTERS, .sink = {flush, bursts}};
	BsDecoder *decoder;
	BsBatch *batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, NULL, 512);
	uint8_t buffer[BS_GENERATE_BUFFER];
	BsOutgoing out = {.data = buffer};

	assert_non_null(generator);
	memset(slots, 0, sizeof(slots));
	memset(bursts, 0, sizeof(*bursts));
	bursts->skew_usec = bs_generator_stream(generator, 0).skew_msec * 1000;
	decoder = bs_decoder_create(&decoder_config);
	for (uint64_t made = 0; made < BURST * NBURSTS; made += out.nrecords)
	{
		BsDatagram datagram = {.data = buffer, .port = 40000};

		bs_generator_next(generator, NOW_USEC, (uint32_t) (BURST * NBURSTS - made), &out);
		if (out.len_bytes == 0)
			continue;
		datagram.len_bytes = out.len_bytes;
		datagram.exporter = (BsInet){
			.address = {127, 0, 10, (uint8_t) (out.exporter + 1)}, .family = 4, .bits = 32};
		datagram.received_usec = NOW_USEC - BS_UNIX_TO_PG_USEC;
		assert_int_equal(bs_decoder_decode(decoder, &datagram, batch), BS_DECODED);
		flush(bursts, batch);
	}
	bs_batch_free(batch);
	bs_decoder_free(decoder);
	return generator;
}

static void
check_bursts(const BsGenerateConfig *config)
{
	Bursts bursts;
	BsGenerator *generator = decode_bursts(config, &bursts);
	BsStreamTotals sum;

	for (uint32_t burst = 0; burst < NBURSTS; burst++)
	{
		assert_int_equal(bursts.records[burst], BURST);
		for (uint32_t tenth = 0; tenth < 10; tenth++)
			assert_in_range(bursts.tenths[burst][tenth], BURST / 20, BURST / 5);
	}
	/* In no order: half of them, about. */
	assert_in_range(bursts.steps_back, BURST * NBURSTS / 3, BURST * NBURSTS * 2 / 3);
	bs_totals_sum(bs_generator_totals(generator), &sum);
	assert_int_equal(sum.sums.records, BURST * NBURSTS);
	assert_int_equal(sum.first_end_msec, bursts.first_end_msec + bursts.skew_usec / 1000);
	assert_int_equal(sum.last_end_msec, bursts.highest_end_msec + bursts.skew_usec / 1000);
	bs_generator_free(generator);
}

static void
test_versions(void **state)
{
	(void) state;
	for (uint32_t version = 0; version < BS_EXPORT_NVERSIONS; version++)
	{
		BsGenerateConfig config = config_of((BsExportVersion) version);

		check_bursts(&config);
		/* A start that was given makes no difference; a datagram each record does neither. */
		config.fixed_time = true;
		config.records_per_datagram = 1;
		check_bursts(&config);
	}
}

/* The exporter's clock is wrong, by whole seconds for v9: bursts are at its own time. */
static void
test_skew(void **state)
{
	BsGenerateConfig config = config_of(BS_EXPORT_V5);

	(void) state;
	config.skew_msec = 100000;
	check_bursts(&config);
	config.versions[0] = BS_EXPORT_IPFIX;
	config.skew_msec = 0;
	check_bursts(&config);
}

/* An hour of the exporters' time has sixty templates, however fast it is played. */
static void
test_templates(void **state)
{
	Bursts bursts;
	BsGenerateConfig config = config_of(BS_EXPORT_IPFIX);
	BsGenerator *generator;
	BsStreamTotals sum;

	(void) state;
	config.template_interval_usec = 60000000;
	generator = decode_bursts(&config, &bursts);
	bs_totals_sum(bs_generator_totals(generator), &sum);
	assert_int_equal(sum.template_datagrams, 60);
	bs_generator_free(generator);
}

/* What is left out belongs to a burst too. */
static void
test_loss(void **state)
{
	Bursts bursts;
	BsGenerateConfig config = config_of(BS_EXPORT_V5);
	BsGenerator *generator;
	BsStreamTotals sum;
	uint64_t received = 0;

	(void) state;
	config.loss = 0.1;
	generator = decode_bursts(&config, &bursts);
	bs_totals_sum(bs_generator_totals(generator), &sum);
	for (uint32_t burst = 0; burst < NBURSTS; burst++)
	{
		assert_in_range(bursts.records[burst], BURST / 2, BURST);
		received += bursts.records[burst];
	}
	assert_true(sum.records_lost > 0);
	assert_int_equal(received, sum.sums.records);
	assert_int_equal(received + sum.records_lost + sum.records_lost_tail, BURST * NBURSTS);
	bs_generator_free(generator);
}

static void
test_refused(void **state)
{
	BsGenerateConfig config = config_of(BS_EXPORT_V5);

	(void) state;
	assert_null(bs_generator_check(&config));
	config.burst_interval_usec = 999;
	assert_non_null(bs_generator_check(&config));
	config.burst_interval_usec = INT64_C(3600) * 1000000 + 1;
	assert_non_null(bs_generator_check(&config));
	config.burst_interval_usec = 1000;
	assert_null(bs_generator_check(&config));
	config.fixed_time = true;
	assert_null(bs_generator_check(&config));
	config.time_step_usec = 1;
	assert_non_null(bs_generator_check(&config));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),  cmocka_unit_test(test_skew),
		cmocka_unit_test(test_templates), cmocka_unit_test(test_loss),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
