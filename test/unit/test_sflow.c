/* SPDX-License-Identifier: PostgreSQL */
/* test_sflow.c: sFlow v5: samples, the headers in them, what switch and router add, what is missing. */
#include "decode_fixture.h"

#define AGENT 0xC0000201 /* 192.0.2.1 */

/* ---------- datagrams, samples and records ---------- */

/* The length at a place becomes what has been built since. */
static void
close_length(Fixture *fixture, uint32_t at)
{
	uint32_t len_bytes = fixture->build.len_bytes - at - 4;

	bs_build_patch_u16(&fixture->build, at, len_bytes >> 16);
	bs_build_patch_u16(&fixture->build, at + 2, len_bytes & 0xffff);
}

static uint32_t
open_length(Fixture *fixture, uint32_t format)
{
	bs_build_u32(&fixture->build, format);
	bs_build_u32(&fixture->build, 0);
	return fixture->build.len_bytes - 4;
}

static void
begin_datagram(Fixture *fixture, uint32_t sequence, uint32_t nsamples)
{
	fixture->build.len_bytes = 0;
	bs_build_u32(&fixture->build, 5);
	bs_build_u32(&fixture->build, 1);
	bs_build_u32(&fixture->build, AGENT);
	bs_build_u32(&fixture->build, 3); /* sub-agent */
	bs_build_u32(&fixture->build, sequence);
	bs_build_u32(&fixture->build, 100000 + sequence * 10);
	bs_build_u32(&fixture->build, nsamples);
}

typedef struct SampleHead
{
	uint32_t sequence;
	uint32_t data_source;
	uint32_t rate;
	uint32_t input;
	uint32_t output;
	uint32_t nrecords;
} SampleHead;

static uint32_t
begin_sample(Fixture *fixture, const SampleHead *head)
{
	uint32_t at = open_length(fixture, 1);

	bs_build_u32(&fixture->build, head->sequence);
	bs_build_u32(&fixture->build, head->data_source);
	bs_build_u32(&fixture->build, head->rate);
	bs_build_u32(&fixture->build, 1000); /* pool */
	bs_build_u32(&fixture->build, 0);    /* drops */
	bs_build_u32(&fixture->build, head->input);
	bs_build_u32(&fixture->build, head->output);
	bs_build_u32(&fixture->build, head->nrecords);
	return at;
}

static const SampleHead one_record = {1, 7, 100, 7, 8, 1};

/* A sampled header of these bytes, padded to four. */
static void
add_header(Fixture *fixture, uint32_t layer, uint32_t frame_bytes, const uint8_t *bytes,
		   uint32_t len_bytes)
{
	uint32_t at = open_length(fixture, 1);

	bs_build_u32(&fixture->build, layer);
	bs_build_u32(&fixture->build, frame_bytes);
	bs_build_u32(&fixture->build, 4); /* stripped */
	bs_build_u32(&fixture->build, len_bytes);
	bs_build_bytes(&fixture->build, bytes, len_bytes);
	bs_build_zeros(&fixture->build, (4 - len_bytes % 4) % 4);
	close_length(fixture, at);
}

/* A datagram of one sample of one header; the rows of earlier ones are forgotten. */
static void
send_header(Fixture *fixture, uint32_t layer, uint32_t frame_bytes, const BsBuild *packet)
{
	uint32_t at;

	bs_batch_reset(fixture->batch);
	begin_datagram(fixture, 1, 1);
	at = begin_sample(fixture, &one_record);
	add_header(fixture, layer, frame_bytes, packet->bytes, packet->len_bytes);
	close_length(fixture, at);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	assert_int_equal(nrows(fixture), 1);
}

/* ---------- packets ---------- */

static void
add_ethernet(BsBuild *packet, uint16_t ethertype)
{
	bs_build_uint(packet, UINT64_C(0x0200000000d1), 6);
	bs_build_uint(packet, UINT64_C(0x0200000000a1), 6);
	bs_build_u16(packet, ethertype);
}

static void
add_ipv4(BsBuild *packet, uint16_t total_bytes, uint16_t fragment, uint8_t proto)
{
	bs_build_u8(packet, 0x45);
	bs_build_u8(packet, 0xb8); /* TOS */
	bs_build_u16(packet, total_bytes);
	bs_build_u16(packet, 0x1234); /* identification */
	bs_build_u16(packet, fragment);
	bs_build_u8(packet, 61);
	bs_build_u8(packet, proto);
	bs_build_u16(packet, 0);
	bs_build_u32(packet, 0x0A000001);
	bs_build_u32(packet, 0x0A000002);
}

static void
add_tcp(BsBuild *packet)
{
	bs_build_u16(packet, 443);
	bs_build_u16(packet, 50000);
	bs_build_u64(packet, 1);
	bs_build_u16(packet, 0x5012); /* offset 5, SYN ACK */
	bs_build_u16(packet, 0xffff);
}

static void
add_ipv6(BsBuild *packet, uint16_t payload_bytes, uint8_t next)
{
	bs_build_u32(packet, 0x6b812345); /* class 0xb8, label 0x12345 */
	bs_build_u16(packet, payload_bytes);
	bs_build_u8(packet, next);
	bs_build_u8(packet, 64);
	bs_build_bytes(packet, ipv6(0x20, 1).address, 16);
	bs_build_bytes(packet, ipv6(0x20, 2).address, 16);
}

/* ---------- tests ---------- */

static void
a_sample_is_a_record(void **state)
{
	Fixture *fixture = *state;
	BsBuild packet = {0};

	add_ethernet(&packet, 0x0800);
	add_ipv4(&packet, 1480, 0x4000, 6);
	add_tcp(&packet);
	send_header(fixture, 1, 1498, &packet);
	assert_address(fixture, 0, BS_FLOW_EXPORTER, ipv4(AGENT));
	assert_address(fixture, 0, BS_FLOW_SRC_ADDR, ipv4(0x0A000001));
	assert_address(fixture, 0, BS_FLOW_DST_ADDR, ipv4(0x0A000002));
	assert_int_equal(value(fixture, 0, BS_FLOW_OBS_DOMAIN), 3);
	assert_int_equal(value(fixture, 0, BS_FLOW_PACKETS), 1);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 1480);
	assert_int_equal(value(fixture, 0, BS_FLOW_SAMPLING_RATE), 100);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_PORT), 443);
	assert_int_equal(value(fixture, 0, BS_FLOW_DST_PORT), 50000);
	assert_int_equal(value(fixture, 0, BS_FLOW_TCP_FLAGS), 0x12);
	assert_int_equal(value(fixture, 0, BS_FLOW_IP_TOS), 0xb8);
	assert_int_equal(value(fixture, 0, BS_FLOW_IP_TTL), 61);
	assert_int_equal(value(fixture, 0, BS_FLOW_PROTO), 6);
	assert_int_equal(value(fixture, 0, BS_FLOW_FRAGMENT_ID), 0x1234);
	assert_int_equal(value(fixture, 0, BS_FLOW_FRAGMENT_OFFSET), 0);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_MAC), INT64_C(0x0200000000a1));
	assert_int_equal(value(fixture, 0, BS_FLOW_DST_MAC), INT64_C(0x0200000000d1));
	assert_true(is_null(fixture, 0, BS_FLOW_SRC_VLAN));
	assert_true(is_null(fixture, 0, BS_FLOW_SRC_AS));
	assert_true(is_null(fixture, 0, BS_FLOW_ICMP_TYPE));
	assert_int_equal(fixture->stats[0].flow_type, BS_SFLOW_V5);
	assert_int_equal(fixture->stats[0].records, 1);
	assert_int_equal(fixture->stats[0].sampling_rate, 100);
	assert_int_equal(fixture->stats[0].decode_errors, 0);
}

/* An agent has no clock: its packets passed when the datagram came. */
static void
the_time_is_that_of_arrival(void **state)
{
	Fixture *fixture = *state;
	BsBuild packet = {0};

	add_ipv4(&packet, 60, 0, 1);
	send_header(fixture, 11, 60, &packet);
	assert_int_equal(value(fixture, 0, BS_FLOW_TIME_RECEIVED), ARRIVAL_USEC);
	assert_int_equal(value(fixture, 0, BS_FLOW_TIME_FLOW_START), ARRIVAL_USEC);
	assert_int_equal(value(fixture, 0, BS_FLOW_TIME_FLOW_END), ARRIVAL_USEC);
	assert_int_equal(value(fixture, 0, BS_FLOW_TIME_EVENT), ARRIVAL_USEC);
	assert_true(is_null(fixture, 0, BS_FLOW_TIME_EXPORT));
	assert_int_equal(fixture->stats[0].untimed, 0);
}

static void
item_39_interfaces_have_formats(void **state)
{
	Fixture *fixture = *state;
	static const struct
	{
		uint32_t input, output;
		int64_t in_if, out_if, forwarding; /* -1: NULL */
	} cases[] = {
		{7, 8, 7, 8, -1},
		{0x3FFFFFFF, 8, 0, 8, -1},
		{7, 0x40000000 | 258, 7, -1, 128},
		{7, 0x80000000 | 4, 7, -1, -1},
	};

	for (uint32_t i = 0; i < BS_BUILD_COUNT(cases); i++)
	{
		SampleHead head = {i + 1, 7, 100, cases[i].input, cases[i].output, 0};
		uint32_t at;

		begin_datagram(fixture, i + 1, 2);
		at = begin_sample(fixture, &head);
		close_length(fixture, at);
		/* The same, expanded. */
		at = open_length(fixture, 3);
		bs_build_u32(&fixture->build, i + 1);
		bs_build_u64(&fixture->build, 9);
		bs_build_u32(&fixture->build, 100);
		bs_build_u64(&fixture->build, 0);
		bs_build_u32(&fixture->build, head.input >> 30);
		bs_build_u32(&fixture->build, head.input & 0x3FFFFFFF);
		bs_build_u32(&fixture->build, head.output >> 30);
		bs_build_u32(&fixture->build, head.output & 0x3FFFFFFF);
		bs_build_u32(&fixture->build, 0);
		close_length(fixture, at);
		assert_int_equal(send_as_is(fixture), BS_DECODED);
	}
	assert_int_equal(nrows(fixture), 2 * BS_BUILD_COUNT(cases));
	for (uint32_t row = 0; row < nrows(fixture); row++)
	{
		static const BsFlowColumn columns[] = {BS_FLOW_IN_IF, BS_FLOW_OUT_IF,
											   BS_FLOW_FORWARDING_STATUS};
		int64_t expected[] = {cases[row / 2].in_if, cases[row / 2].out_if,
							  cases[row / 2].forwarding};

		for (uint32_t i = 0; i < 3; i++)
			if (expected[i] == -1)
				assert_true(is_null(fixture, row, columns[i]));
			else
				assert_int_equal(value(fixture, row, columns[i]), expected[i]);
		assert_true(is_null(fixture, row, BS_FLOW_BYTES));
		assert_int_equal(value(fixture, row, BS_FLOW_PACKETS), 1);
	}
	assert_int_equal(fixture->stats[0].decode_errors, 0);
	assert_int_equal(fixture->stats[0].records_lost, 0);
}

static void
item_40_tags_and_labels_are_walked(void **state)
{
	Fixture *fixture = *state;
	BsBuild tagged = {0};
	BsBuild labelled = {0};
	BsBuild extended = {0};

	add_ethernet(&tagged, 0x88A8);
	bs_build_u16(&tagged, 0x6000 | 100);
	bs_build_u16(&tagged, 0x8100);
	bs_build_u16(&tagged, 200);
	bs_build_u16(&tagged, 0x0800);
	add_ipv4(&tagged, 40, 0, 17);
	bs_build_u32(&tagged, 53 << 16 | 5353);
	send_header(fixture, 1, 68, &tagged);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_VLAN), 100);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_PORT), 53);
	assert_int_equal(value(fixture, 0, BS_FLOW_DST_PORT), 5353);
	assert_true(is_null(fixture, 0, BS_FLOW_TCP_FLAGS));
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 40);

	add_ethernet(&labelled, 0x8847);
	bs_build_u32(&labelled, 1000 << 12 | 64);
	bs_build_u32(&labelled, 2000 << 12 | 0x100 | 64);
	add_ipv6(&labelled, 8, 58);
	bs_build_u32(&labelled, UINT32_C(128) << 24);
	send_header(fixture, 1, 100, &labelled);
	assert_int_equal(value(fixture, 0, BS_FLOW_MPLS_LABEL), 1000);
	assert_int_equal(value(fixture, 0, BS_FLOW_ICMP_TYPE), 128);
	assert_int_equal(value(fixture, 0, BS_FLOW_ICMP_CODE), 0);
	assert_int_equal(value(fixture, 0, BS_FLOW_IPV6_FLOW_LABEL), 0x12345);
	assert_int_equal(value(fixture, 0, BS_FLOW_IP_TOS), 0xb8);
	assert_address(fixture, 0, BS_FLOW_SRC_ADDR, ipv6(0x20, 1));
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 48);

	/* Hop-by-hop, routing, then UDP. */
	add_ipv6(&extended, 100, 0);
	bs_build_u64(&extended, UINT64_C(43) << 56);
	bs_build_u64(&extended, UINT64_C(17) << 56 | UINT64_C(1) << 48);
	bs_build_u64(&extended, 0);
	bs_build_u32(&extended, UINT32_C(1000) << 16 | 2000);
	send_header(fixture, 12, 140, &extended);
	assert_int_equal(value(fixture, 0, BS_FLOW_PROTO), 17);
	assert_int_equal(value(fixture, 0, BS_FLOW_DST_PORT), 2000);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 140);
}

static void
item_40_later_fragments_have_no_ports(void **state)
{
	Fixture *fixture = *state;
	BsBuild packet = {0};
	BsBuild packet6 = {0};

	add_ipv4(&packet, 1500, 0x2000 | 185, 6); /* more to come, offset 1480 */
	add_tcp(&packet);
	send_header(fixture, 11, 1500, &packet);
	assert_int_equal(value(fixture, 0, BS_FLOW_FRAGMENT_OFFSET), 185);
	assert_true(is_null(fixture, 0, BS_FLOW_SRC_PORT));
	assert_true(is_null(fixture, 0, BS_FLOW_TCP_FLAGS));
	assert_int_equal(value(fixture, 0, BS_FLOW_PROTO), 6);

	packet.len_bytes = 0;
	add_ipv4(&packet, 1500, 0x2000, 6); /* the first one */
	add_tcp(&packet);
	send_header(fixture, 11, 1500, &packet);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_PORT), 443);

	add_ipv6(&packet6, 100, 44);
	bs_build_u32(&packet6, 6 << 24 | 100 << 3);
	bs_build_u32(&packet6, 77);
	add_tcp(&packet6);
	send_header(fixture, 12, 140, &packet6);
	assert_int_equal(value(fixture, 0, BS_FLOW_PROTO), 6);
	assert_int_equal(value(fixture, 0, BS_FLOW_FRAGMENT_ID), 77);
	assert_int_equal(value(fixture, 0, BS_FLOW_FRAGMENT_OFFSET), 100);
	assert_true(is_null(fixture, 0, BS_FLOW_SRC_PORT));
}

/* Whatever the cut leaves shows, and nothing beyond it (the sanitizer watches the bytes). */
static void
item_40_a_header_cut_anywhere_shows_what_is_there(void **state)
{
	Fixture *fixture = *state;
	BsBuild packet = {0};

	add_ethernet(&packet, 0x8100);
	bs_build_u16(&packet, 5);
	bs_build_u16(&packet, 0x8847);
	bs_build_u32(&packet, 16 << 12 | 0x100 | 64);
	add_ipv4(&packet, 1000, 0, 6);
	add_tcp(&packet);
	for (uint32_t len_bytes = 0; len_bytes <= packet.len_bytes; len_bytes++)
	{
		BsBuild cut = packet;

		cut.len_bytes = len_bytes;
		send_header(fixture, 1, 1100, &cut);
		assert_int_equal(is_null(fixture, 0, BS_FLOW_SRC_MAC), len_bytes < 12);
		assert_int_equal(is_null(fixture, 0, BS_FLOW_SRC_VLAN), len_bytes < 16);
		assert_int_equal(is_null(fixture, 0, BS_FLOW_MPLS_LABEL), len_bytes < 22);
		assert_int_equal(is_null(fixture, 0, BS_FLOW_SRC_ADDR), len_bytes < 42);
		assert_int_equal(is_null(fixture, 0, BS_FLOW_SRC_PORT), len_bytes < 46);
		assert_int_equal(is_null(fixture, 0, BS_FLOW_TCP_FLAGS), len_bytes < 56);
		assert_true(value(fixture, 0, BS_FLOW_BYTES) >= 1000);
	}
}

static void
item_41_bytes_have_one_basis(void **state)
{
	Fixture *fixture = *state;
	static const struct
	{
		uint16_t ip_bytes;
		uint32_t frame_bytes;
		int64_t bytes;
	} cases[] = {
		{1486, 1504, 1486}, /* the IP header's */
		{46, 64, 46},       /* a padded frame */
		{0, 1504, 1490},    /* segmentation offload: the frame less its header */
		{9000, 1504, 1490}, /* more than the frame holds */
	};

	for (uint32_t i = 0; i < BS_BUILD_COUNT(cases); i++)
	{
		BsBuild packet = {0};

		add_ethernet(&packet, 0x0800);
		add_ipv4(&packet, cases[i].ip_bytes, 0, 47);
		send_header(fixture, 1, cases[i].frame_bytes, &packet);
		assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), cases[i].bytes);
	}
	{
		BsBuild packet = {0};

		add_ethernet(&packet, 0x0806); /* ARP */
		send_header(fixture, 1, 64, &packet);
		assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 50);
		assert_true(is_null(fixture, 0, BS_FLOW_SRC_ADDR));
	}
}

static void
add_gateway(Fixture *fixture, uint32_t src_as, uint32_t nsegments)
{
	uint32_t at = open_length(fixture, 1003);

	bs_build_u32(&fixture->build, 2);
	bs_build_bytes(&fixture->build, ipv6(0x20, 9).address, 16);
	bs_build_u32(&fixture->build, 64500); /* own */
	bs_build_u32(&fixture->build, src_as);
	bs_build_u32(&fixture->build, 64501); /* source's neighbour */
	bs_build_u32(&fixture->build, nsegments);
	for (uint32_t i = 0; i < nsegments; i++)
	{
		bs_build_u32(&fixture->build, 2);
		bs_build_u32(&fixture->build, 2);
		bs_build_u32(&fixture->build, 64510);
		bs_build_u32(&fixture->build, 64520 + i);
	}
	bs_build_u32(&fixture->build, 0); /* communities */
	bs_build_u32(&fixture->build, 100);
	close_length(fixture, at);
}

static void
add_sampled_ipv4(Fixture *fixture)
{
	uint32_t at = open_length(fixture, 3);

	bs_build_u32(&fixture->build, 576);
	bs_build_u32(&fixture->build, 6);
	bs_build_u32(&fixture->build, 0x0A000003);
	bs_build_u32(&fixture->build, 0x0A000004);
	bs_build_u32(&fixture->build, 80);
	bs_build_u32(&fixture->build, 40000);
	bs_build_u32(&fixture->build, 0x18);
	bs_build_u32(&fixture->build, 4);
	close_length(fixture, at);
}

static void
item_42_other_records_add_what_they_know(void **state)
{
	Fixture *fixture = *state;
	SampleHead head = {1, 7, 100, 7, 8, 5};
	uint32_t sample;
	uint32_t at;

	begin_datagram(fixture, 1, 1);
	sample = begin_sample(fixture, &head);
	at = open_length(fixture, 4 << 12 | 1); /* another enterprise's: passed over */
	bs_build_zeros(&fixture->build, 12);
	close_length(fixture, at);
	at = open_length(fixture, 1001);
	bs_build_u32(&fixture->build, 10);
	bs_build_u32(&fixture->build, 0);
	bs_build_u32(&fixture->build, 20);
	bs_build_u32(&fixture->build, 0);
	close_length(fixture, at);
	at = open_length(fixture, 1002);
	bs_build_u32(&fixture->build, 1);
	bs_build_u32(&fixture->build, 0x0A0000FE);
	bs_build_u32(&fixture->build, 24);
	bs_build_u32(&fixture->build, 16);
	close_length(fixture, at);
	add_gateway(fixture, 64499, 2);
	add_sampled_ipv4(fixture);
	close_length(fixture, sample);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	assert_int_equal(nrows(fixture), 1);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_VLAN), 10);
	assert_int_equal(value(fixture, 0, BS_FLOW_DST_VLAN), 20);
	assert_address(fixture, 0, BS_FLOW_NEXT_HOP, ipv4(0x0A0000FE));
	assert_address(fixture, 0, BS_FLOW_BGP_NEXT_HOP, ipv6(0x20, 9));
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_MASK), 24);
	assert_int_equal(value(fixture, 0, BS_FLOW_DST_MASK), 16);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_AS), 64499);
	assert_int_equal(value(fixture, 0, BS_FLOW_DST_AS), 64521);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 576);
	assert_int_equal(value(fixture, 0, BS_FLOW_TCP_FLAGS), 0x18);
	assert_int_equal(value(fixture, 0, BS_FLOW_DST_PORT), 40000);
	assert_address(fixture, 0, BS_FLOW_SRC_ADDR, ipv4(0x0A000003));
	assert_int_equal(fixture->stats[0].decode_errors, 0);
}

static void
own_as_where_there_is_none(void **state)
{
	Fixture *fixture = *state;
	uint32_t at;

	begin_datagram(fixture, 1, 1);
	at = begin_sample(fixture, &one_record);
	add_gateway(fixture, 0, 0);
	close_length(fixture, at);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_AS), 64500);
	assert_int_equal(value(fixture, 0, BS_FLOW_DST_AS), 64500);
}

/* The header is worth more than a record of IP's fields, in whatever order they come. */
static void
the_sampled_header_wins(void **state)
{
	Fixture *fixture = *state;
	BsBuild packet = {0};
	SampleHead head = {1, 7, 100, 7, 8, 2};

	add_ipv4(&packet, 60, 0, 1);
	bs_build_u32(&packet, 8 << 24);
	for (int first = 0; first < 2; first++)
	{
		uint32_t at;

		bs_batch_reset(fixture->batch);
		begin_datagram(fixture, 1, 1);
		at = begin_sample(fixture, &head);
		if (first == 0)
			add_sampled_ipv4(fixture);
		add_header(fixture, 11, 60, packet.bytes, packet.len_bytes);
		if (first == 1)
			add_sampled_ipv4(fixture);
		close_length(fixture, at);
		assert_int_equal(send_as_is(fixture), BS_DECODED);
		assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 60);
		assert_int_equal(value(fixture, 0, BS_FLOW_PROTO), 1);
		assert_address(fixture, 0, BS_FLOW_SRC_ADDR, ipv4(0x0A000001));
		assert_true(is_null(fixture, 0, BS_FLOW_SRC_PORT));
		assert_true(is_null(fixture, 0, BS_FLOW_TCP_FLAGS));
	}
}

static void
item_43_counters_are_counted(void **state)
{
	Fixture *fixture = *state;

	begin_datagram(fixture, 1, 3);
	for (uint32_t format = 2; format <= 5; format++)
		if (format != 3)
		{
			uint32_t at = open_length(fixture, format);

			bs_build_zeros(&fixture->build, 16);
			close_length(fixture, at);
		}
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	assert_int_equal(nrows(fixture), 0);
	assert_int_equal(fixture->stats[0].counter_samples, 2);
	assert_int_equal(fixture->stats[0].other_samples, 1);
	assert_int_equal(fixture->stats[0].decode_errors, 0);
}

/* An empty datagram of this number, with one sample of that number unless it is 0. */
static void
send_numbers(Fixture *fixture, uint32_t sequence, uint32_t sample)
{
	SampleHead head = {sample, 7, 100, 7, 8, 0};
	uint32_t at;

	begin_datagram(fixture, sequence, sample != 0);
	if (sample != 0)
	{
		at = begin_sample(fixture, &head);
		close_length(fixture, at);
	}
	assert_int_equal(send_as_is(fixture), BS_DECODED);
}

static void
item_35_datagrams_and_samples_are_missed(void **state)
{
	Fixture *fixture = *state;
	const BsExporterStats *stats = &fixture->stats[0];

	send_numbers(fixture, 10, 100);
	send_numbers(fixture, 11, 101);
	send_numbers(fixture, 14, 106);
	assert_int_equal(stats->datagrams_lost, 2);
	assert_int_equal(stats->records_lost, 4);
	assert_int_equal(bs_decoder_stats(fixture->decoder)->records_lost, 4);
	/* One of them comes late. */
	send_numbers(fixture, 12, 103);
	assert_int_equal(stats->datagrams_lost, 1);
	assert_int_equal(stats->records_lost, 3);
	/* A duplicate of the newest is a late one as well, while some are missing: no less than none. */
	for (int i = 0; i < 10; i++)
		send_numbers(fixture, 14, 106);
	assert_int_equal(stats->records_lost, 0);
	/* The agent began anew. */
	send_numbers(fixture, 15, 200000);
	send_numbers(fixture, 16, 1);
	send_numbers(fixture, 17, 2);
	assert_int_equal(stats->records_lost, 200000 - 107);
}

static void
an_agent_is_known_by_its_own_address(void **state)
{
	Fixture *fixture = *state;

	send_numbers(fixture, 1, 1);
	fixture->exporter = ipv4(0x0A0000FD); /* the same agent by another way */
	send_numbers(fixture, 2, 2);
	assert_int_equal(fixture->stats[0].datagrams, 2);
	assert_int_equal(fixture->stats[0].datagrams_lost, 0);
	/* Without an address of its own it is the sender's. */
	begin_datagram(fixture, 1, 0);
	memset(fixture->build.bytes + 8, 0, 4);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	assert_memory_equal(&fixture->stats[1].exporter, &fixture->exporter, sizeof(BsInet));
}

static void
malformed_datagrams_end_where_they_break(void **state)
{
	Fixture *fixture = *state;
	BsBuild packet = {0};
	BsBuild whole;
	uint32_t at;

	add_ethernet(&packet, 0x0800);
	add_ipv4(&packet, 40, 0, 6);
	add_tcp(&packet);
	begin_datagram(fixture, 1, 2);
	for (int i = 0; i < 2; i++)
	{
		at = begin_sample(fixture, &one_record);
		add_header(fixture, 1, 58, packet.bytes, packet.len_bytes);
		close_length(fixture, at);
	}
	whole = fixture->build;
	for (uint32_t len_bytes = 0; len_bytes < whole.len_bytes; len_bytes++)
	{
		BsDecodeResult result;
		uint64_t errors = fixture->stats[0].decode_errors;

		bs_batch_reset(fixture->batch);
		fixture->build = whole;
		fixture->build.len_bytes = len_bytes;
		result = send_as_is(fixture);
		assert_int_equal(result, len_bytes < 28 ? BS_DECODE_NOT_EXPORT : BS_DECODED);
		assert_true(nrows(fixture) <= 2);
		assert_true(len_bytes < 28 || fixture->stats[0].decode_errors > errors);
	}
	/* Numbers of samples, records and AS path segments that no datagram can hold. */
	begin_datagram(fixture, 2, UINT32_MAX);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	begin_datagram(fixture, 3, 1);
	at = begin_sample(fixture, &(SampleHead){1, 7, 1, 7, 8, UINT32_MAX});
	close_length(fixture, at);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	begin_datagram(fixture, 4, 1);
	bs_build_u32(&fixture->build, 1);
	bs_build_u32(&fixture->build, UINT32_MAX);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
}

/* Versions 2 and 4 had other layouts. */
static void
other_versions_are_no_exports(void **state)
{
	Fixture *fixture = *state;

	for (uint32_t version = 0; version <= 6; version++)
	{
		begin_datagram(fixture, 1, 0);
		bs_build_patch_u16(&fixture->build, 2, version);
		assert_int_equal(send_as_is(fixture), version == 5 ? BS_DECODED : BS_DECODE_NOT_EXPORT);
	}
	assert_int_equal(bs_decoder_stats(fixture->decoder)->not_export, 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(a_sample_is_a_record),
		fixture_test(the_time_is_that_of_arrival),
		fixture_test(item_39_interfaces_have_formats),
		fixture_test(item_40_tags_and_labels_are_walked),
		fixture_test(item_40_later_fragments_have_no_ports),
		fixture_test(item_40_a_header_cut_anywhere_shows_what_is_there),
		fixture_test(item_41_bytes_have_one_basis),
		fixture_test(item_42_other_records_add_what_they_know),
		fixture_test(own_as_where_there_is_none),
		fixture_test(the_sampled_header_wins),
		fixture_test(item_43_counters_are_counted),
		fixture_test(item_35_datagrams_and_samples_are_missed),
		fixture_test(an_agent_is_known_by_its_own_address),
		fixture_test(malformed_datagrams_end_where_they_break),
		fixture_test(other_versions_are_no_exports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
