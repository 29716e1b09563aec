/* SPDX-License-Identifier: PostgreSQL */
/* test_netflow5.c: the fixed records of NetFlow v5, and what a decoder does with any datagram. */
#include "decode_fixture.h"

static const BsBuildV5 header = {.count = 1,
								 .uptime_msec = 60000,
								 .unix_seconds = EXPORT_SECONDS,
								 .unix_nsec = 250000000,
								 .sequence = 100,
								 .engine = 0x0203,
								 .sampling = 0x4000 | 100};

static const BsBuildV5Record record = {.src_addr = 0xC0000201,
									   .dst_addr = 0xC6336402,
									   .next_hop = 0x0A0000FE,
									   .in_if = 65535,
									   .out_if = 2,
									   .packets = 7,
									   .bytes = 0xFFFFFFFF,
									   .first_msec = 50000,
									   .last_msec = 59000,
									   .src_port = 1024,
									   .dst_port = 443,
									   .tcp_flags = 0x1B,
									   .proto = 6,
									   .tos = 0xB8,
									   .src_as = 65000,
									   .dst_as = 64999,
									   .src_mask = 24,
									   .dst_mask = 22};

static void
all_fields_reach_their_columns(void **state)
{
	Fixture *fixture = *state;
	static const struct
	{
		BsFlowColumn column;
		int64_t expected;
	} expected[] = {
		{BS_FLOW_TIME_RECEIVED, ARRIVAL_USEC},
		{BS_FLOW_TIME_EXPORT, EXPORT_USEC + 250000},
		{BS_FLOW_TIME_FLOW_START, EXPORT_USEC + 250000 - 10000000},
		{BS_FLOW_TIME_FLOW_END, EXPORT_USEC + 250000 - 1000000},
		{BS_FLOW_TIME_EVENT, EXPORT_USEC + 250000 - 1000000},
		{BS_FLOW_OBS_DOMAIN, 0x0203},
		{BS_FLOW_SAMPLING_RATE, 100},
		{BS_FLOW_BYTES, 0xFFFFFFFF},
		{BS_FLOW_PACKETS, 7},
		{BS_FLOW_SRC_MASK, 24},
		{BS_FLOW_DST_MASK, 22},
		{BS_FLOW_SRC_PORT, 1024},
		{BS_FLOW_DST_PORT, 443},
		{BS_FLOW_PROTO, 6},
		{BS_FLOW_TCP_FLAGS, 0x1B},
		{BS_FLOW_IP_TOS, 0xB8},
		{BS_FLOW_SRC_AS, 65000},
		{BS_FLOW_DST_AS, 64999},
		{BS_FLOW_IN_IF, 65535},
		{BS_FLOW_OUT_IF, 2},
	};
	static const BsFlowColumn absent[] = {
		BS_FLOW_FLOW_DIRECTION, BS_FLOW_IP_TTL,    BS_FLOW_ICMP_TYPE, BS_FLOW_ICMP_CODE,
		BS_FLOW_BGP_NEXT_HOP,   BS_FLOW_SRC_MAC,   BS_FLOW_DST_VLAN,  BS_FLOW_IN_VRF,
		BS_FLOW_APP_ID,         BS_FLOW_MPLS_LABEL};
	const BsBytes *type;

	bs_build_v5(&fixture->build, &header);
	bs_build_v5_record(&fixture->build, &record);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 1);
	for (size_t i = 0; i < BS_BUILD_COUNT(expected); i++)
		assert_true(value(fixture, 0, expected[i].column) == expected[i].expected);
	for (size_t i = 0; i < BS_BUILD_COUNT(absent); i++)
		assert_true(is_null(fixture, 0, absent[i]));
	assert_address(fixture, 0, BS_FLOW_EXPORTER, ipv4(0x0A000001));
	assert_address(fixture, 0, BS_FLOW_SRC_ADDR, ipv4(0xC0000201));
	assert_address(fixture, 0, BS_FLOW_DST_ADDR, ipv4(0xC6336402));
	assert_address(fixture, 0, BS_FLOW_NEXT_HOP, ipv4(0x0A0000FE));
	type = &fixture->batch->columns[BS_FLOW_FLOW_TYPE].bytes[0];
	assert_int_equal(type->len, 10);
	assert_memory_equal(type->data, "netflow_v5", 10);
}

static void
counters_and_runs(void **state)
{
	Fixture *fixture = *state;
	const BsExporterStats *stats = &fixture->stats[0];

	for (uint32_t i = 0; i < 2; i++)
	{
		bs_build_v5(&fixture->build, &header);
		bs_build_v5_record(&fixture->build, &record);
		send_datagram(fixture);
	}
	assert_int_equal(stats->flow_type, BS_NETFLOW_V5);
	assert_int_equal(stats->obs_domain, 0x0203);
	assert_int_equal(stats->datagrams, 2);
	assert_int_equal(stats->bytes, 2 * 72);
	assert_int_equal(stats->records, 2);
	assert_int_equal(stats->sampling_rate, 100);
	assert_true(stats->last_seen_usec == ARRIVAL_USEC);
	assert_int_equal(fixture->batch->nruns, 1);
	assert_int_equal(fixture->batch->runs[0].nrows, 2);
	assert_true(fixture->batch->runs[0].source == bs_exporter_source(&fixture->exporter));
	fixture->exporter = ipv4(0x0A000002);
	bs_build_v5(&fixture->build, &header);
	bs_build_v5_record(&fixture->build, &record);
	send_datagram(fixture);
	assert_int_equal(fixture->batch->nruns, 2);
	assert_int_equal(fixture->batch->runs[1].first, 2);
	assert_true(fixture->batch->runs[1].source != fixture->batch->runs[0].source);
}

static void
item_25_as_and_interfaces_have_16_bits(void **state)
{
	Fixture *fixture = *state;
	BsBuildV5Record wide = record;

	wide.src_as =
		0xFFFF; /* AS_TRANS and larger numbers do not fit: what is there is taken as it is */
	wide.in_if = 0xFFFF;
	bs_build_v5(&fixture->build, &header);
	bs_build_v5_record(&fixture->build, &wide);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_AS), 65535);
	assert_int_equal(value(fixture, 0, BS_FLOW_IN_IF), 65535);
}

static void
icmp_is_in_the_destination_port(void **state)
{
	Fixture *fixture = *state;
	BsBuildV5Record icmp = record;
	BsBuildV5 two = header;

	icmp.proto = 1;
	icmp.dst_port = 0x0301;
	two.count = 2;
	bs_build_v5(&fixture->build, &two);
	bs_build_v5_record(&fixture->build, &icmp);
	bs_build_v5_record(&fixture->build, &record);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_ICMP_TYPE), 3);
	assert_int_equal(value(fixture, 0, BS_FLOW_ICMP_CODE), 1);
	assert_true(is_null(fixture, 1, BS_FLOW_ICMP_TYPE));
}

static void
stamps_before_the_wrap_and_after_the_export(void **state)
{
	Fixture *fixture = *state;
	BsBuildV5 wrapped = header;
	BsBuildV5Record odd = record;

	wrapped.uptime_msec = 1000;
	wrapped.unix_nsec = 0;
	odd.first_msec = UINT32_MAX - 999; /* 1 s before the wrap, 2 s before the export */
	odd.last_msec = 1500;              /* half a second after it */
	bs_build_v5(&fixture->build, &wrapped);
	bs_build_v5_record(&fixture->build, &odd);
	send_datagram(fixture);
	assert_true(value(fixture, 0, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 2000000);
	assert_true(value(fixture, 0, BS_FLOW_TIME_FLOW_END) == EXPORT_USEC + 500000);
}

static void
announced_but_cut_off_records_are_not_invented(void **state)
{
	Fixture *fixture = *state;
	BsBuildV5 many = header;

	many.count = 30;
	bs_build_v5(&fixture->build, &many);
	bs_build_v5_record(&fixture->build, &record);
	bs_build_v5_record(&fixture->build, &record);
	bs_build_zeros(&fixture->build, 47);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 2);
	assert_int_equal(fixture->stats[0].decode_errors, 1);
	many.count = 1;
	bs_build_v5(&fixture->build, &many);
	bs_build_v5_record(&fixture->build, &record);
	bs_build_v5_record(&fixture->build, &record);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 3);
	assert_int_equal(fixture->stats[0].decode_errors, 1);
}

static void
what_is_no_export_is_counted_apart(void **state)
{
	Fixture *fixture = *state;
	static const uint16_t versions[] = {0, 1, 4, 7, 8, 11, 0x0500};

	for (uint32_t i = 0; i < BS_BUILD_COUNT(versions); i++)
	{
		bs_build_begin(&fixture->build, versions[i]);
		bs_build_zeros(&fixture->build, 100);
		assert_int_equal(send_as_is(fixture), BS_DECODE_NOT_EXPORT);
	}
	for (uint32_t len_bytes = 0; len_bytes < 24; len_bytes++)
	{
		bs_build_v5(&fixture->build, &header);
		fixture->build.len_bytes = len_bytes;
		assert_int_equal(send_as_is(fixture), BS_DECODE_NOT_EXPORT);
	}
	assert_int_equal(bs_decoder_stats(fixture->decoder)->not_export, 7 + 24);
	assert_int_equal(bs_decoder_stats(fixture->decoder)->datagrams, 7 + 24);
	assert_int_equal(fixture->stats[0].flow_type, BS_FLOW_TYPE_NONE);
}

/* sFlow v5 begins with 32 bits of version: its decoder is yet to come. */
static uint32_t flushed;

static void
flush(void *context, BsBatch *batch)
{
	(void) context;
	flushed += batch->nrows;
	bs_batch_reset(batch);
}

static void
a_full_batch_goes_to_the_sink(void **state)
{
	static BsExporterStats stats[1];
	static BsBuild build;
	BsDecoderConfig config = {.stats = stats, .max_exporters = 1, .sink = {flush, NULL}};
	BsDecoder *decoder = bs_decoder_create(&config);
	bool wanted[BS_FLOW_NCOLUMNS] = {[BS_FLOW_BYTES] = true};
	BsBatch *batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, wanted, 7);
	BsBuildV5 many = header;
	BsDatagram datagram;

	(void) state;
	many.count = 30;
	bs_build_v5(&build, &many);
	for (uint32_t i = 0; i < 30; i++)
		bs_build_v5_record(&build, &(BsBuildV5Record){.bytes = i});
	datagram = (BsDatagram){
		.data = build.bytes, .len_bytes = build.len_bytes, .exporter = ipv4(0x0A000001)};
	assert_int_equal(bs_decoder_decode(decoder, &datagram, batch), BS_DECODED);
	assert_int_equal(flushed, 28);
	assert_int_equal(batch->nrows, 2);
	assert_int_equal(batch->columns[BS_FLOW_BYTES].i64[1], 29);
	bs_batch_free(batch);

	/* Other columns, another batch. */
	wanted[BS_FLOW_BYTES] = false;
	wanted[BS_FLOW_TIME_EVENT] = wanted[BS_FLOW_ICMP_TYPE] = true;
	batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, wanted, 30);
	bs_decoder_columns_changed(decoder);
	assert_int_equal(bs_decoder_decode(decoder, &datagram, batch), BS_DECODED);
	assert_int_equal(batch->nrows, 30);
	assert_true(batch->columns[BS_FLOW_TIME_EVENT].i64[29] == EXPORT_USEC + 250000 - 60000000);
	bs_batch_free(batch);
	bs_decoder_free(decoder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(all_fields_reach_their_columns),
		fixture_test(counters_and_runs),
		fixture_test(item_25_as_and_interfaces_have_16_bits),
		fixture_test(icmp_is_in_the_destination_port),
		fixture_test(stamps_before_the_wrap_and_after_the_export),
		fixture_test(announced_but_cut_off_records_are_not_invented),
		fixture_test(what_is_no_export_is_counted_apart),
		cmocka_unit_test(a_full_batch_goes_to_the_sink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
