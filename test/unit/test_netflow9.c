/* SPDX-License-Identifier: PostgreSQL */
/* test_netflow9.c: NetFlow v9: framing, templates, and values as real exporters send them. */
#include "decode_fixture.h"

/* Addresses and counters: 16 bytes. */
static const BsBuildField plain[] = {{8, 4, 0}, {12, 4, 0}, {2, 4, 0}, {1, 4, 0}};

static void
add_plain(Fixture *fixture, uint32_t bytes)
{
	bs_build_u32(&fixture->build, 0x01020304);
	bs_build_u32(&fixture->build, 0x05060708);
	bs_build_u32(&fixture->build, 1);
	bs_build_u32(&fixture->build, bytes);
}

static void
begin_data(Fixture *fixture, uint16_t set_id)
{
	bs_build_v9(&fixture->build, 100000, EXPORT_SECONDS, 2, 7);
	bs_build_set(&fixture->build, set_id);
}

static void
item_01_padding_of_any_length_or_none(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField wide[] = {{8, 4, 0}, {12, 4, 0}, {1, 4, 0}, {27, 16, 0}, {28, 16, 0}};

	BEGIN_V9(fixture, 256, plain);
	bs_build_set(&fixture->build, 256);
	add_plain(fixture, 10);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 1);

	begin_data(fixture, 256);
	add_plain(fixture, 20);
	bs_build_zeros(&fixture->build, 15);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 2);

	BEGIN_V9(fixture, 257, wide);
	bs_build_set(&fixture->build, 257);
	bs_build_zeros(&fixture->build, 44);
	bs_build_zeros(&fixture->build, 36); /* NX-OS */
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 3);
	assert_int_equal(fixture->stats[0].decode_errors, 0);
}

static void
item_03_options_template_lengths_are_bytes_and_bounded(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{1, 4, 0}, {34, 4, 0}, {35, 1, 0}};
	static const struct
	{
		uint16_t scope_bytes;
		uint16_t option_bytes;
	} wrong[] = {{3, 8}, {4, 7}, {4, 12}, {12, 4}, {65532, 8}, {4, 65532}, {65535, 65535}};

	for (uint32_t i = 0; i < BS_BUILD_COUNT(wrong); i++)
	{
		bs_build_v9(&fixture->build, 100000, EXPORT_SECONDS, 1, 7);
		bs_build_set(&fixture->build, 1);
		bs_build_u16(&fixture->build, 300);
		bs_build_u16(&fixture->build, wrong[i].scope_bytes);
		bs_build_u16(&fixture->build, wrong[i].option_bytes);
		bs_build_fields(&fixture->build, fields, 3);
		send_datagram(fixture);
		assert_int_equal(fixture->stats[0].templates, 0);
		assert_int_equal(fixture->stats[0].decode_errors, i + 1);
	}
	bs_build_v9(&fixture->build, 100000, EXPORT_SECONDS, 1, 7);
	bs_build_options_template(&fixture->build, 300, 1, fields, 3);
	bs_build_zeros(&fixture->build, 2);
	bs_build_set(&fixture->build, 300);
	for (uint32_t i = 0; i < 2; i++)
	{
		bs_build_u32(&fixture->build, 0);
		bs_build_u32(&fixture->build, 512);
		bs_build_u8(&fixture->build, 2);
	}
	bs_build_zeros(&fixture->build, 2);
	send_datagram(fixture);
	assert_int_equal(fixture->stats[0].templates, 1);
	assert_int_equal(fixture->stats[0].option_records, 2);
	assert_int_equal(fixture->stats[0].records, 0);
	assert_int_equal(nrows(fixture), 0);
}

static void
item_05_templates_without_fields_or_length_are_refused(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField empty[] = {{1, 0, 0}, {2, 0, 0}};

	bs_build_v9(&fixture->build, 100000, EXPORT_SECONDS, 1, 7);
	bs_build_template(&fixture->build, 256, NULL, 0);
	bs_build_template(&fixture->build, 257, empty, 2);
	bs_build_options_template(&fixture->build, 258, 1, empty, 2);
	bs_build_options_template(&fixture->build, 259, 0, NULL, 0);
	for (uint16_t id = 256; id < 260; id++)
	{
		bs_build_set(&fixture->build, id);
		bs_build_zeros(&fixture->build, 100);
	}
	send_datagram(fixture);
	assert_int_equal(fixture->stats[0].template_errors, 4);
	assert_int_equal(fixture->stats[0].templates, 0);
	assert_int_equal(fixture->stats[0].unknown_template, 4);
	assert_int_equal(nrows(fixture), 0);
}

static void
item_06_variable_length_fields_occur_in_v9_too(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{8, 4, 0}, {82, 65535, 0}, {1, 4, 0}};

	BEGIN_V9(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	bs_build_u32(&fixture->build, 0x01020304);
	bs_build_u8(&fixture->build, 3);
	bs_build_bytes(&fixture->build, "abc", 3);
	bs_build_u32(&fixture->build, 11);
	bs_build_u32(&fixture->build, 0x01020305);
	bs_build_u8(&fixture->build, 255);
	bs_build_u16(&fixture->build, 300);
	bs_build_zeros(&fixture->build, 300);
	bs_build_u32(&fixture->build, 22);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 2);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 11);
	assert_int_equal(value(fixture, 1, BS_FLOW_BYTES), 22);
	assert_address(fixture, 1, BS_FLOW_SRC_ADDR, ipv4(0x01020305));
}

static void
item_07_fields_of_no_length(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{8, 4, 0}, {1, 0, 0}, {10, 0, 0}, {2, 4, 0}, {23, 4, 0}};

	BEGIN_V9(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	bs_build_u32(&fixture->build, 0x01020304);
	bs_build_u32(&fixture->build, 5);
	bs_build_u32(&fixture->build, 600);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 1);
	assert_true(is_null(fixture, 0, BS_FLOW_IN_IF));
	assert_int_equal(value(fixture, 0, BS_FLOW_PACKETS), 5);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 600); /* element 1 is as good as absent */
}

static void
item_08_of_a_repeated_element_the_first_counts(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{8, 4, 0}, {1, 4, 0}, {8, 4, 0}, {1, 8, 0}, {2, 4, 0}};

	BEGIN_V9(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	bs_build_u32(&fixture->build, 0x01010101);
	bs_build_u32(&fixture->build, 111);
	bs_build_u32(&fixture->build, 0x02020202);
	bs_build_u64(&fixture->build, 222);
	bs_build_u32(&fixture->build, 3);
	send_datagram(fixture);
	assert_address(fixture, 0, BS_FLOW_SRC_ADDR, ipv4(0x01010101));
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 111);
	assert_int_equal(value(fixture, 0, BS_FLOW_PACKETS), 3);
}

static void
item_09_a_redefined_template_counts_at_once(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField swapped[] = {{12, 4, 0}, {8, 4, 0}, {1, 4, 0}, {2, 4, 0}};

	BEGIN_V9(fixture, 256, plain);
	bs_build_set(&fixture->build, 256);
	add_plain(fixture, 10);
	bs_build_template(&fixture->build, 256, plain, BS_BUILD_COUNT(plain)); /* the same: no change */
	bs_build_set(&fixture->build, 256);
	add_plain(fixture, 20);
	bs_build_template(&fixture->build, 256, swapped, BS_BUILD_COUNT(swapped));
	bs_build_set(&fixture->build, 256);
	add_plain(fixture, 30);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 3);
	assert_int_equal(value(fixture, 1, BS_FLOW_BYTES), 20);
	assert_address(fixture, 1, BS_FLOW_SRC_ADDR, ipv4(0x01020304));
	assert_int_equal(value(fixture, 2, BS_FLOW_PACKETS), 30);
	assert_int_equal(value(fixture, 2, BS_FLOW_BYTES), 1);
	assert_address(fixture, 2, BS_FLOW_SRC_ADDR, ipv4(0x05060708));
	assert_int_equal(fixture->stats[0].templates, 1);
}

static void
item_10_the_key_of_a_template(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField scope[] = {{1, 4, 0}, {34, 4, 0}};

	BEGIN_V9(fixture, 256, plain);
	send_datagram(fixture);

	fixture->port = 3000; /* another source port: known */
	begin_data(fixture, 256);
	add_plain(fixture, 1);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 1);

	bs_build_v9(&fixture->build, 1, EXPORT_SECONDS, 2, 8); /* another source id: not */
	bs_build_set(&fixture->build, 256);
	add_plain(fixture, 1);
	send_datagram(fixture);
	assert_int_equal(fixture->stats[1].unknown_template, 1);

	bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 0, 7); /* another version: not */
	bs_build_set(&fixture->build, 256);
	add_plain(fixture, 1);
	send_datagram(fixture);
	assert_int_equal(fixture->stats[2].unknown_template, 1);

	fixture->exporter = ipv4(0x0A000002); /* another address: not */
	begin_data(fixture, 256);
	add_plain(fixture, 1);
	send_datagram(fixture);
	assert_int_equal(fixture->stats[3].unknown_template, 1);
	assert_int_equal(nrows(fixture), 1);

	fixture->exporter = ipv4(0x0A000001); /* one space of ids: now it is an options template */
	bs_build_v9(&fixture->build, 100000, EXPORT_SECONDS, 1, 7);
	bs_build_options_template(&fixture->build, 256, 1, scope, 2);
	bs_build_set(&fixture->build, 256);
	add_plain(fixture, 1);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 1);
	assert_int_equal(fixture->stats[0].option_records, 2);
	assert_int_equal(fixture->stats[0].templates, 1);
}

static void
item_11_data_before_its_template_is_counted_and_dropped(void **state)
{
	Fixture *fixture = *state;

	begin_data(fixture, 256);
	add_plain(fixture, 1);
	bs_build_set(&fixture->build, 257);
	add_plain(fixture, 1);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 0);
	assert_int_equal(fixture->stats[0].unknown_template, 2);
	assert_int_equal(fixture->stats[0].last_unknown_template, 257);
	assert_int_equal(fixture->stats[0].decode_errors, 0);
	BEGIN_V9(fixture, 256, plain);
	bs_build_set(&fixture->build, 256);
	add_plain(fixture, 1);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 1);
}

static void
item_12_template_and_data_in_one_datagram_in_either_order(void **state)
{
	Fixture *fixture = *state;

	BEGIN_V9(fixture, 256, plain);
	bs_build_set(&fixture->build, 256);
	add_plain(fixture, 1);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 1);

	begin_data(fixture, 257);
	add_plain(fixture, 2);
	bs_build_template(&fixture->build, 257, plain, BS_BUILD_COUNT(plain));
	bs_build_set(&fixture->build, 257);
	add_plain(fixture, 3);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 2); /* what came before its template is not decodable */
	assert_int_equal(value(fixture, 1, BS_FLOW_BYTES), 3);
	assert_int_equal(fixture->stats[0].unknown_template, 1);
}

static void
item_14_it_goes_by_length_not_by_count(void **state)
{
	Fixture *fixture = *state;
	static const uint16_t counts[] = {0, 1, 65535};

	for (uint32_t i = 0; i < 3; i++)
	{
		BEGIN_V9(fixture, 256, plain);
		bs_build_set(&fixture->build, 256);
		add_plain(fixture, 1);
		add_plain(fixture, 2);
		bs_build_patch_u16(&fixture->build, 2, counts[i]);
		send_datagram(fixture);
		assert_int_equal(nrows(fixture), 2 * (i + 1));
	}
	assert_int_equal(fixture->stats[0].decode_errors, 0);
	for (uint16_t len_bytes = 0; len_bytes < 4; len_bytes++)
	{
		begin_data(fixture, 256);
		add_plain(fixture, 1);
		bs_build_set(&fixture->build, 256);
		add_plain(fixture, 1);
		bs_build_end(&fixture->build);
		bs_build_patch_u16(&fixture->build, 20 + 20 + 2, len_bytes);
		assert_int_equal(send_as_is(fixture), BS_DECODED);
		assert_int_equal(nrows(fixture), 6u + len_bytes + 1);
		assert_int_equal(fixture->stats[0].decode_errors, len_bytes + 1);
	}
}

static void
item_17_integers_of_any_width(void **state)
{
	Fixture *fixture = *state;

	for (uint16_t width = 1; width <= 8; width++)
	{
		const BsBuildField fields[] = {{1, width, 0}, {16, width, 0}, {10, width, 0},
									   {7, width, 0}, {4, width, 0},  {21, width, 0}};
		uint32_t row = width - 1u;

		begin_v9(fixture, 256, fields, 6);
		bs_build_set(&fixture->build, 256);
		bs_build_uint(&fixture->build, 200, width);
		bs_build_uint(&fixture->build, 201, width);
		bs_build_uint(&fixture->build, 202, width);
		bs_build_uint(&fixture->build, 203, width);
		bs_build_uint(&fixture->build, 17, width);
		bs_build_uint(&fixture->build, 100, width); /* NX-OS sends 8 bytes */
		send_datagram(fixture);
		assert_int_equal(value(fixture, row, BS_FLOW_BYTES), 200);
		assert_int_equal(value(fixture, row, BS_FLOW_SRC_AS), 201);
		assert_int_equal(value(fixture, row, BS_FLOW_IN_IF), 202);
		assert_int_equal(value(fixture, row, BS_FLOW_SRC_PORT), 203);
		assert_int_equal(value(fixture, row, BS_FLOW_PROTO), 17);
		assert_true(value(fixture, row, BS_FLOW_TIME_FLOW_END) == EXPORT_USEC - 99900000);
	}
}

/* What a column cannot hold is NULL, not another number. */
static void
values_beyond_their_column_are_null(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{1, 8, 0}, {2, 8, 0}, {4, 4, 0}, {7, 8, 0}, {16, 9, 0}};

	BEGIN_V9(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, UINT64_MAX);
	bs_build_u64(&fixture->build, INT64_MAX);
	bs_build_u32(&fixture->build, 40000);
	bs_build_u64(&fixture->build, UINT64_C(1) << 31);
	bs_build_zeros(&fixture->build, 9);
	send_datagram(fixture);
	assert_true(is_null(fixture, 0, BS_FLOW_BYTES));
	assert_true(value(fixture, 0, BS_FLOW_PACKETS) == INT64_MAX);
	assert_true(is_null(fixture, 0, BS_FLOW_PROTO));
	assert_true(is_null(fixture, 0, BS_FLOW_SRC_PORT));
	assert_true(is_null(fixture, 0, BS_FLOW_SRC_AS));
	assert_int_equal(fixture->batch->columns[BS_FLOW_BYTES].i64[0], 0);
}

static void
item_18_tcp_flags_of_two_bytes(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{6, 2, 0}, {4, 1, 0}};

	BEGIN_V9(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	bs_build_u16(&fixture->build, 0x5112); /* data offset 5, NS, SYN and ACK */
	bs_build_u8(&fixture->build, 6);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_TCP_FLAGS), 0x0112);
	assert_int_equal(value(fixture, 0, BS_FLOW_TCP_FLAGS) & 0xFF, 0x12);
}

static void
item_19_totals_only_without_deltas_and_counted(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField both[] = {{85, 8, 0}, {86, 8, 0}, {1, 4, 0}, {2, 4, 0}};
	static const BsBuildField totals[] = {{85, 8, 0}, {86, 8, 0}};

	BEGIN_V9(fixture, 256, both);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, 9000);
	bs_build_u64(&fixture->build, 90);
	bs_build_u32(&fixture->build, 1000);
	bs_build_u32(&fixture->build, 10);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 1000);
	assert_int_equal(value(fixture, 0, BS_FLOW_PACKETS), 10);
	assert_int_equal(fixture->stats[0].totals_used, 0);

	BEGIN_V9(fixture, 257, totals);
	bs_build_set(&fixture->build, 257);
	bs_build_u64(&fixture->build, 9000);
	bs_build_u64(&fixture->build, 90);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 1, BS_FLOW_BYTES), 9000);
	assert_int_equal(value(fixture, 1, BS_FLOW_PACKETS), 90);
	assert_int_equal(fixture->stats[0].totals_used, 1);
}

static void
item_20_post_counters_are_never_added(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{23, 4, 0}, {24, 4, 0}, {1, 4, 0}, {2, 4, 0}};

	BEGIN_V9(fixture, 256, fields); /* FortiGate: 23/24 repeat 1/2 */
	bs_build_set(&fixture->build, 256);
	bs_build_u32(&fixture->build, 152);
	bs_build_u32(&fixture->build, 3);
	bs_build_u32(&fixture->build, 152);
	bs_build_u32(&fixture->build, 3);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 152);
	assert_int_equal(value(fixture, 0, BS_FLOW_PACKETS), 3);
}

/*
 * bytes and packets of a Cisco ASA's record are the initiator's half (231, 298): the responder's is
 * traffic of the other direction, from dst_addr to src_addr.
 */
static void
item_21_nsel_has_a_pair_per_direction(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField update[] = {{8, 4, 0},   {232, 4, 0}, {231, 4, 0},
										  {298, 4, 0}, {299, 4, 0}, {323, 8, 0}};
	static const BsBuildField create[] = {{8, 4, 0}, {233, 1, 0}, {323, 8, 0}};
	static const BsBuildField nat[] = {{8, 4, 0}, {230, 1, 0}, {1, 4, 0}, {2, 4, 0}};

	BEGIN_V9(fixture, 256, update);
	bs_build_set(&fixture->build, 256);
	bs_build_u32(&fixture->build, 0x01020304);
	bs_build_u32(&fixture->build, 900);
	bs_build_u32(&fixture->build, 100);
	bs_build_u32(&fixture->build, 4);
	bs_build_u32(&fixture->build, 8);
	bs_build_u64(&fixture->build, UINT64_C(1000) * EXPORT_SECONDS - 500);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 100);
	assert_int_equal(value(fixture, 0, BS_FLOW_PACKETS), 4);
	assert_true(value(fixture, 0, BS_FLOW_TIME_FLOW_END) == EXPORT_USEC - 500000);

	BEGIN_V9(fixture, 257, create);
	bs_build_set(&fixture->build, 257);
	bs_build_u32(&fixture->build, 0x01020304);
	bs_build_u8(&fixture->build, 1);
	bs_build_u64(&fixture->build, UINT64_C(1000) * EXPORT_SECONDS);
	send_datagram(fixture);
	assert_true(is_null(fixture, 1, BS_FLOW_BYTES));
	assert_true(is_null(fixture, 1, BS_FLOW_PACKETS));

	BEGIN_V9(fixture, 258, nat);
	bs_build_set(&fixture->build, 258);
	for (uint32_t event = 0; event < 2; event++)
	{
		bs_build_u32(&fixture->build, 0x01020304);
		bs_build_u8(&fixture->build, event);
		bs_build_u32(&fixture->build, 500);
		bs_build_u32(&fixture->build, 5);
	}
	send_datagram(fixture);
	assert_int_equal(value(fixture, 2, BS_FLOW_BYTES), 500); /* no NAT event */
	assert_true(is_null(fixture, 3, BS_FLOW_BYTES));
	assert_true(is_null(fixture, 3, BS_FLOW_PACKETS));
}

static void
add_both_families(Fixture *fixture, uint32_t four, uint8_t six, uint8_t version)
{
	BsInet address6 = ipv6(six, six);

	bs_build_u32(&fixture->build, four);
	bs_build_u32(&fixture->build, four);
	bs_build_bytes(&fixture->build, address6.address, 16);
	bs_build_bytes(&fixture->build, address6.address, 16);
	bs_build_u8(&fixture->build, 24);
	bs_build_u8(&fixture->build, 64);
	bs_build_u8(&fixture->build, version);
}

static void
item_22_the_family_that_is_not_zero(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{8, 4, 0}, {12, 4, 0}, {27, 16, 0}, {28, 16, 0},
										  {9, 1, 0}, {29, 1, 0}, {60, 1, 0}};
	static const BsBuildField six_first[] = {{27, 16, 0}, {28, 16, 0}, {8, 4, 0}, {12, 4, 0}};
	BsInet any4 = ipv4(0);
	BsInet any6 = ipv6(0, 0);
	BsInet some6 = ipv6(0x20, 0x20);

	BEGIN_V9(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	add_both_families(fixture, 0x01020304, 0, 0);    /* 0: IPv4 */
	add_both_families(fixture, 0, 0x20, 0);          /* 1: IPv6 */
	add_both_families(fixture, 0, 0, 6);             /* 2: ::, says ipVersion */
	add_both_families(fixture, 0, 0, 4);             /* 3: 0.0.0.0 */
	add_both_families(fixture, 0x01020304, 0x20, 6); /* 4: both, ipVersion decides */
	add_both_families(fixture, 0x01020304, 0x20, 0); /* 5: both, the first in the record */
	send_datagram(fixture);
	assert_address(fixture, 0, BS_FLOW_SRC_ADDR, ipv4(0x01020304));
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_MASK), 24);
	assert_address(fixture, 1, BS_FLOW_SRC_ADDR, some6);
	assert_address(fixture, 1, BS_FLOW_DST_ADDR, some6);
	assert_int_equal(value(fixture, 1, BS_FLOW_SRC_MASK), 64);
	assert_address(fixture, 2, BS_FLOW_SRC_ADDR, any6);
	assert_int_equal(value(fixture, 2, BS_FLOW_SRC_MASK), 64);
	assert_address(fixture, 3, BS_FLOW_SRC_ADDR, any4);
	assert_address(fixture, 4, BS_FLOW_SRC_ADDR, some6);
	assert_address(fixture, 5, BS_FLOW_SRC_ADDR, ipv4(0x01020304));

	BEGIN_V9(fixture, 257, six_first);
	bs_build_set(&fixture->build, 257);
	bs_build_bytes(&fixture->build, some6.address, 16);
	bs_build_bytes(&fixture->build, some6.address, 16);
	bs_build_u64(&fixture->build, UINT64_C(0x0102030405060708));
	send_datagram(fixture);
	assert_address(fixture, 6, BS_FLOW_SRC_ADDR, some6);
}

/* A record whose source is :: (duplicate address detection) is IPv6 for its destination's sake. */
static void
the_family_is_that_of_the_record(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{8, 4, 0},   {12, 4, 0}, {27, 16, 0},
										  {28, 16, 0}, {15, 4, 0}, {62, 16, 0}};
	BsInet group = ipv6(0xFF, 2);
	BsInet any6 = ipv6(0, 0);

	BEGIN_V9(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	bs_build_zeros(&fixture->build, 8 + 16);
	bs_build_bytes(&fixture->build, group.address, 16);
	bs_build_zeros(&fixture->build, 20);
	send_datagram(fixture);
	assert_address(fixture, 0, BS_FLOW_SRC_ADDR, any6);
	assert_address(fixture, 0, BS_FLOW_DST_ADDR, group);
	assert_address(fixture, 0, BS_FLOW_NEXT_HOP, any6);
}

static void
item_24_forwarding_status_of_one_or_four_bytes(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField one[] = {{89, 1, 0}, {1, 4, 0}};
	static const BsBuildField four[] = {{89, 4, 0}};

	BEGIN_V9(fixture, 256, one);
	bs_build_set(&fixture->build, 256);
	bs_build_u8(&fixture->build, 0x40);
	bs_build_u32(&fixture->build, 1);
	bs_build_template(&fixture->build, 257, four, 1);
	bs_build_set(&fixture->build, 257);
	bs_build_u32(&fixture->build, 0x000000C3);
	bs_build_u32(&fixture->build, 0x40000000);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_FORWARDING_STATUS), 0x40);
	assert_int_equal(value(fixture, 1, BS_FLOW_FORWARDING_STATUS), 0xC3);
	assert_int_equal(value(fixture, 2, BS_FLOW_FORWARDING_STATUS), 0x40);
}

static void
item_26_uptime_stamps_wrap_and_may_be_late(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{22, 4, 0}, {21, 4, 0}};
	static const struct
	{
		uint32_t uptime_msec;
		uint32_t stamp_msec;
		int64_t expected_usec;
	} cases[] = {
		{100000, 90000, EXPORT_USEC - 10000000},
		{5000, UINT32_MAX - 4999, EXPORT_USEC - 10000000}, /* wrapped between flow and export */
		{100000, 100300, EXPORT_USEC + 300000},            /* a little after the export: Juniper */
		{UINT32_MAX, 100, EXPORT_USEC + 101000},           /* and the wrap between */
		{0, 0, EXPORT_USEC},
	};

	for (uint32_t i = 0; i < BS_BUILD_COUNT(cases); i++)
	{
		bs_build_v9(&fixture->build, cases[i].uptime_msec, EXPORT_SECONDS, i, 7);
		bs_build_template(&fixture->build, 256, fields, 2);
		bs_build_set(&fixture->build, 256);
		bs_build_u32(&fixture->build, cases[i].stamp_msec);
		bs_build_u32(&fixture->build, cases[i].stamp_msec);
		send_datagram(fixture);
		assert_true(value(fixture, i, BS_FLOW_TIME_FLOW_START) == cases[i].expected_usec);
		assert_true(value(fixture, i, BS_FLOW_TIME_FLOW_END) == cases[i].expected_usec);
		assert_true(value(fixture, i, BS_FLOW_TIME_EVENT) == cases[i].expected_usec);
	}
}

static void
item_29_no_usable_time(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField stamped[] = {{22, 4, 0}, {21, 4, 0}};

	BEGIN_V9(fixture, 256, plain); /* no stamps at all */
	bs_build_set(&fixture->build, 256);
	add_plain(fixture, 1);
	send_datagram(fixture);
	assert_true(is_null(fixture, 0, BS_FLOW_TIME_FLOW_START));
	assert_true(is_null(fixture, 0, BS_FLOW_TIME_FLOW_END));
	assert_true(value(fixture, 0, BS_FLOW_TIME_EVENT) == EXPORT_USEC);
	assert_int_equal(fixture->stats[0].untimed, 1);

	bs_build_v9(&fixture->build, 100000, 0, 1, 7); /* an exporter without a clock */
	bs_build_template(&fixture->build, 257, stamped, 2);
	bs_build_set(&fixture->build, 257);
	bs_build_zeros(&fixture->build, 8);
	send_datagram(fixture);
	assert_true(is_null(fixture, 1, BS_FLOW_TIME_EXPORT));
	assert_true(is_null(fixture, 1, BS_FLOW_TIME_FLOW_START));
	assert_true(is_null(fixture, 1, BS_FLOW_TIME_FLOW_END));
	assert_true(value(fixture, 1, BS_FLOW_TIME_EVENT) == ARRIVAL_USEC);
	assert_int_equal(fixture->stats[0].untimed, 2);
}

static void
item_31_clock_skew_is_kept(void **state)
{
	Fixture *fixture = *state;

	BEGIN_V9(fixture, 256, plain);
	send_datagram(fixture);
	assert_true(fixture->stats[0].clock_skew_usec == -2000000);
	fixture->received_usec = EXPORT_USEC - 3600 * INT64_C(1000000);
	BEGIN_V9(fixture, 256, plain);
	send_datagram(fixture);
	assert_true(fixture->stats[0].clock_skew_usec == 3600 * INT64_C(1000000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(item_01_padding_of_any_length_or_none),
		fixture_test(item_03_options_template_lengths_are_bytes_and_bounded),
		fixture_test(item_05_templates_without_fields_or_length_are_refused),
		fixture_test(item_06_variable_length_fields_occur_in_v9_too),
		fixture_test(item_07_fields_of_no_length),
		fixture_test(item_08_of_a_repeated_element_the_first_counts),
		fixture_test(item_09_a_redefined_template_counts_at_once),
		fixture_test(item_10_the_key_of_a_template),
		fixture_test(item_11_data_before_its_template_is_counted_and_dropped),
		fixture_test(item_12_template_and_data_in_one_datagram_in_either_order),
		fixture_test(item_14_it_goes_by_length_not_by_count),
		fixture_test(item_17_integers_of_any_width),
		fixture_test(values_beyond_their_column_are_null),
		fixture_test(item_18_tcp_flags_of_two_bytes),
		fixture_test(item_19_totals_only_without_deltas_and_counted),
		fixture_test(item_20_post_counters_are_never_added),
		fixture_test(item_21_nsel_has_a_pair_per_direction),
		fixture_test(item_22_the_family_that_is_not_zero),
		fixture_test(the_family_is_that_of_the_record),
		fixture_test(item_24_forwarding_status_of_one_or_four_bytes),
		fixture_test(item_26_uptime_stamps_wrap_and_may_be_late),
		fixture_test(item_29_no_usable_time),
		fixture_test(item_31_clock_skew_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
