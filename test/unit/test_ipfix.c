/* SPDX-License-Identifier: PostgreSQL */
/* test_ipfix.c: IPFIX: framing, variable-length and enterprise fields, time, and the rarer columns.
 */
#include "decode_fixture.h"

#define EXPORT_MSEC (UINT64_C(1000) * EXPORT_SECONDS)

static const BsBuildField plain[] = {{8, 4, 0}, {1, 4, 0}};

static void
item_02_zeros_behind_templates_are_padding(void **state)
{
	Fixture *fixture = *state;

	for (uint32_t padding = 0; padding < 8; padding++)
	{
		BEGIN_IPFIX(fixture, (uint16_t) (256 + padding), plain);
		bs_build_zeros(&fixture->build, padding);
		bs_build_set(&fixture->build, (uint16_t) (256 + padding));
		bs_build_u32(&fixture->build, 0x01020304);
		bs_build_u32(&fixture->build, padding);
		send_datagram(fixture);
		assert_int_equal(nrows(fixture), padding + 1);
	}
	assert_int_equal(fixture->stats[0].templates, 8);
	assert_int_equal(fixture->stats[0].decode_errors, 0);
	assert_int_equal(fixture->stats[0].template_errors, 0);
	assert_int_equal(fixture->stats[0].withdrawals_ignored, 0);
}

static void
item_04_options_templates_count_their_scope_among_the_fields(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{149, 4, 0}, {160, 8, 0}};

	bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 0, 7);
	bs_build_options_template(&fixture->build, 300, 1, fields, 2);
	bs_build_set(&fixture->build, 300);
	bs_build_zeros(&fixture->build, 24);
	send_datagram(fixture);
	assert_int_equal(fixture->stats[0].option_records, 2);

	for (uint16_t nscope = 3; nscope != 0; nscope = (uint16_t) (nscope * 2 + 1))
	{
		bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 0, 7);
		bs_build_options_template(&fixture->build, 301, nscope, fields, 2);
		send_datagram(fixture);
		assert_int_equal(fixture->stats[0].templates, 1);
		if (nscope == UINT16_MAX)
			break;
	}
	assert_true(fixture->stats[0].template_errors > 10);
}

/* A template that says it has more fields than its set has bytes for. */
static void
a_cut_template_ends_its_set(void **state)
{
	Fixture *fixture = *state;

	BEGIN_IPFIX(fixture, 256, plain);
	bs_build_patch_u16(&fixture->build, 16 + 4 + 2, 3);
	bs_build_set(&fixture->build, 256);
	bs_build_zeros(&fixture->build, 8);
	send_datagram(fixture);
	assert_int_equal(fixture->stats[0].decode_errors, 1);
	assert_int_equal(fixture->stats[0].unknown_template, 1);
	assert_int_equal(nrows(fixture), 0);
}

static void
item_06_variable_length_fields_take_at_least_a_byte(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{82, 65535, 0}, {8, 4, 0},     {95, 65535, 0},
										  {27, 65535, 0}, {1, 65535, 0}, {2, 2, 0}};
	BsInet address = ipv6(0x20, 1);

	BEGIN_IPFIX(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	bs_build_u8(&fixture->build, 0); /* nothing in it */
	bs_build_u32(&fixture->build, 0x01020304);
	bs_build_u8(&fixture->build, 4);
	bs_build_u32(&fixture->build, 0x0D0001C5);
	bs_build_u8(&fixture->build, 255); /* the long form, though the short one would do */
	bs_build_u16(&fixture->build, 16);
	bs_build_bytes(&fixture->build, address.address, 16);
	bs_build_u8(&fixture->build, 3);
	bs_build_uint(&fixture->build, 70000, 3);
	bs_build_u16(&fixture->build, 9);
	bs_build_u8(&fixture->build, 2); /* second record: all empty but the fixed */
	bs_build_u16(&fixture->build, 0x4141);
	bs_build_u32(&fixture->build, 0x01020305);
	bs_build_zeros(&fixture->build, 3);
	bs_build_u16(&fixture->build, 10);
	bs_build_u8(&fixture->build, 200); /* and a third that is cut off */
	bs_build_zeros(&fixture->build, 100);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 2);
	assert_address(fixture, 0, BS_FLOW_SRC_ADDR, ipv4(0x01020304));
	assert_int_equal(value(fixture, 0, BS_FLOW_APP_ID), 0x0D0001C5);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 70000);
	assert_int_equal(value(fixture, 0, BS_FLOW_PACKETS), 9);
	assert_address(fixture, 1, BS_FLOW_SRC_ADDR, ipv4(0x01020305));
	assert_true(is_null(fixture, 1, BS_FLOW_APP_ID));
	assert_true(is_null(fixture, 1, BS_FLOW_BYTES));
	assert_int_equal(value(fixture, 1, BS_FLOW_PACKETS), 10);
	assert_int_equal(fixture->stats[0].decode_errors, 1);
}

static void
an_address_of_variable_length(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{27, 65535, 0}, {12, 65535, 0}};
	BsInet address = ipv6(0x20, 1);

	BEGIN_IPFIX(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	bs_build_u8(&fixture->build, 16);
	bs_build_bytes(&fixture->build, address.address, 16);
	bs_build_u8(&fixture->build, 4);
	bs_build_u32(&fixture->build, 0x01020304);
	bs_build_u8(&fixture->build, 4); /* no IPv6 address */
	bs_build_u32(&fixture->build, 0);
	bs_build_u8(&fixture->build, 0);
	send_datagram(fixture);
	assert_address(fixture, 0, BS_FLOW_SRC_ADDR, address);
	assert_address(fixture, 0, BS_FLOW_DST_ADDR, ipv4(0x01020304));
	assert_true(is_null(fixture, 1, BS_FLOW_SRC_ADDR));
	assert_true(is_null(fixture, 1, BS_FLOW_DST_ADDR));
}

/* More records with variable-length fields than are walked at once, over a batch that fills up. */
static void
many_records_of_variable_length(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{371, 65535, 0}, {1, 4, 0}};

	BEGIN_IPFIX(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	for (uint32_t i = 0; i < 1000; i++)
	{
		bs_build_u8(&fixture->build, i % 7);
		bs_build_zeros(&fixture->build, i % 7);
		bs_build_u32(&fixture->build, i);
	}
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 1000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(value(fixture, i, BS_FLOW_BYTES), i);
}

/* Fields behind more variable-length ones than are followed are not read; the records are. */
static void
more_variable_fields_than_anchors(void **state)
{
	Fixture *fixture = *state;
	BsBuildField fields[102];

	for (uint32_t i = 0; i < 100; i++)
		fields[i + 1] = (BsBuildField){371, 65535, 0};
	fields[0] = (BsBuildField){2, 4, 0};
	fields[101] = (BsBuildField){1, 4, 0};
	begin_ipfix(fixture, 256, fields, 102);
	bs_build_set(&fixture->build, 256);
	for (uint32_t i = 0; i < 2; i++)
	{
		bs_build_u32(&fixture->build, 5 + i);
		bs_build_zeros(&fixture->build, 100);
		bs_build_u32(&fixture->build, 77);
	}
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 2);
	assert_int_equal(value(fixture, 1, BS_FLOW_PACKETS), 6);
	assert_true(is_null(fixture, 1, BS_FLOW_BYTES));
}

static void
enterprise_elements_are_passed_over(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {
		{1, 8, 29305}, {8, 4, 9}, {1, 4, 0}, {27, 65535, 6871}, {2, 4, 0}};

	BEGIN_IPFIX(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, 999); /* RFC 5103: the reverse direction's */
	bs_build_u32(&fixture->build, 999);
	bs_build_u32(&fixture->build, 100);
	bs_build_u8(&fixture->build, 1);
	bs_build_u8(&fixture->build, 99);
	bs_build_u32(&fixture->build, 2);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 100);
	assert_int_equal(value(fixture, 0, BS_FLOW_PACKETS), 2);
	assert_true(is_null(fixture, 0, BS_FLOW_SRC_ADDR));
}

static void
item_13_withdrawals_over_udp_are_ignored_and_counted(void **state)
{
	Fixture *fixture = *state;

	BEGIN_IPFIX(fixture, 256, plain);
	bs_build_set(&fixture->build, 2);
	bs_build_u32(&fixture->build, 256 << 16); /* that template */
	bs_build_set(&fixture->build, 2);
	bs_build_u32(&fixture->build, 2 << 16); /* all templates */
	bs_build_set(&fixture->build, 3);
	bs_build_u32(&fixture->build, 3 << 16); /* all options templates */
	bs_build_set(&fixture->build, 256);
	bs_build_u32(&fixture->build, 0x01020304);
	bs_build_u32(&fixture->build, 1);
	send_datagram(fixture);
	assert_int_equal(fixture->stats[0].withdrawals_ignored, 3);
	assert_int_equal(fixture->stats[0].templates, 1);
	assert_int_equal(nrows(fixture), 1);
}

static void
item_15_the_message_may_end_before_the_datagram(void **state)
{
	Fixture *fixture = *state;

	BEGIN_IPFIX(fixture, 256, plain);
	bs_build_set(&fixture->build, 256);
	bs_build_u32(&fixture->build, 0x01020304);
	bs_build_u32(&fixture->build, 1);
	bs_build_end(&fixture->build);
	bs_build_u16(&fixture->build, 256);
	bs_build_u16(&fixture->build, 12);
	bs_build_zeros(&fixture->build, 8);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	assert_int_equal(nrows(fixture), 1);
	assert_int_equal(fixture->stats[0].decode_errors, 0);

	/* Longer than the datagram: what is whole is taken, and the fault counted. */
	BEGIN_IPFIX(fixture, 256, plain);
	bs_build_set(&fixture->build, 256);
	bs_build_zeros(&fixture->build, 8 + 7);
	bs_build_end(&fixture->build);
	bs_build_patch_u16(&fixture->build, 2, fixture->build.len_bytes + 1);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	assert_int_equal(nrows(fixture), 2);
	assert_int_equal(fixture->stats[0].decode_errors, 1);

	/* A set that is longer than the message. */
	BEGIN_IPFIX(fixture, 256, plain);
	bs_build_set(&fixture->build, 256);
	bs_build_zeros(&fixture->build, 8);
	bs_build_end(&fixture->build);
	bs_build_patch_u16(&fixture->build, 16 + 16 + 2, 4 + 9);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	assert_int_equal(nrows(fixture), 3);
	assert_int_equal(fixture->stats[0].decode_errors, 2);
}

static void
item_23_padding_octets_of_any_length(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {
		{210, 1, 0}, {1, 4, 0}, {210, 13, 0}, {2, 4, 0}, {210, 65535, 0}};

	BEGIN_IPFIX(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	bs_build_u8(&fixture->build, 0xFF);
	bs_build_u32(&fixture->build, 100);
	bs_build_zeros(&fixture->build, 13);
	bs_build_u32(&fixture->build, 3);
	bs_build_u8(&fixture->build, 2);
	bs_build_zeros(&fixture->build, 2);
	send_datagram(fixture);
	assert_int_equal(nrows(fixture), 1);
	assert_int_equal(value(fixture, 0, BS_FLOW_BYTES), 100);
	assert_int_equal(value(fixture, 0, BS_FLOW_PACKETS), 3);
}

static void
item_27_uptime_stamps_count_from_the_exporters_start(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField bare[] = {{22, 4, 0}, {21, 4, 0}};
	static const BsBuildField own[] = {{22, 4, 0}, {21, 4, 0}, {160, 8, 0}};
	static const BsBuildField options[] = {{144, 4, 0}, {160, 8, 0}};

	BEGIN_IPFIX(fixture, 256, bare); /* nothing known: no time */
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, UINT64_C(1000) << 32 | 2000);
	send_datagram(fixture);
	assert_true(is_null(fixture, 0, BS_FLOW_TIME_FLOW_START));
	assert_true(is_null(fixture, 0, BS_FLOW_TIME_FLOW_END));
	assert_true(value(fixture, 0, BS_FLOW_TIME_EVENT) == EXPORT_USEC);
	assert_int_equal(fixture->stats[0].untimed, 1);

	BEGIN_IPFIX(fixture, 257, own); /* in the record, behind the stamps */
	bs_build_set(&fixture->build, 257);
	bs_build_u64(&fixture->build, UINT64_C(1000) << 32 | 2000);
	bs_build_u64(&fixture->build, EXPORT_MSEC - 10000);
	send_datagram(fixture);
	assert_true(value(fixture, 1, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 9000000);
	assert_true(value(fixture, 1, BS_FLOW_TIME_FLOW_END) == EXPORT_USEC - 8000000);

	BEGIN_IPFIX(fixture, 256, bare); /* in options data, here of the same datagram */
	bs_build_options_template(&fixture->build, 258, 1, options, 2);
	bs_build_set(&fixture->build, 258);
	bs_build_u32(&fixture->build, 1);
	bs_build_u64(&fixture->build, EXPORT_MSEC - 20000);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, UINT64_C(1000) << 32 | 2000);
	send_datagram(fixture);
	assert_true(value(fixture, 2, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 19000000);
	assert_true(value(fixture, 2, BS_FLOW_TIME_FLOW_END) == EXPORT_USEC - 18000000);
	assert_int_equal(fixture->stats[0].untimed, 1);
}

/* Up for longer than 49.7 days: the stamps have wrapped, the start has not. */
static void
uptime_stamps_of_an_exporter_long_up(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField own[] = {{160, 8, 0}, {22, 4, 0}, {21, 4, 0}};
	uint64_t up_msec = UINT64_C(200) * 86400 * 1000;

	BEGIN_IPFIX(fixture, 257, own);
	bs_build_set(&fixture->build, 257);
	bs_build_u64(&fixture->build, EXPORT_MSEC - up_msec);
	bs_build_u32(&fixture->build, (uint32_t) (up_msec - 3000));
	bs_build_u32(&fixture->build, (uint32_t) (up_msec - 1000));
	send_datagram(fixture);
	assert_true(value(fixture, 0, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 3000000);
	assert_true(value(fixture, 0, BS_FLOW_TIME_FLOW_END) == EXPORT_USEC - 1000000);
}

/* Options data of domain 0, or with a domain in their scope, speak for other domains. */
static void
the_start_told_for_other_domains(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField bare[] = {{22, 4, 0}, {21, 4, 0}};
	static const BsBuildField options[] = {{149, 4, 0}, {160, 8, 0}};

	BEGIN_IPFIX(fixture, 256, bare); /* domain 7 becomes known */
	send_datagram(fixture);
	bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 0, 8);
	bs_build_options_template(&fixture->build, 258, 1, options, 2);
	bs_build_set(&fixture->build, 258);
	bs_build_u32(&fixture->build, 7);
	bs_build_u64(&fixture->build, EXPORT_MSEC - 20000);
	send_datagram(fixture);
	BEGIN_IPFIX(fixture, 256, bare);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, UINT64_C(1000) << 32 | 2000);
	send_datagram(fixture);
	assert_true(value(fixture, 0, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 19000000);

	bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 0, 0);
	bs_build_options_template(&fixture->build, 258, 1, options, 2);
	bs_build_set(&fixture->build, 258);
	bs_build_u32(&fixture->build, 0);
	bs_build_u64(&fixture->build, EXPORT_MSEC - 30000);
	send_datagram(fixture);
	bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 0, 9);
	bs_build_template(&fixture->build, 256, bare, 2);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, UINT64_C(1000) << 32 | 2000);
	send_datagram(fixture);
	assert_true(value(fixture, 1, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 29000000);
}

#define NTP_SECONDS (UINT64_C(2208988800) + EXPORT_SECONDS)

static void
item_28_ntp_stamps_and_microseconds_before_the_export(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField micro[] = {{154, 8, 0}, {155, 8, 0}};
	static const BsBuildField nano[] = {{156, 8, 0}, {157, 8, 0}};
	static const BsBuildField delta[] = {{158, 4, 0}, {159, 4, 0}};
	static const BsBuildField wrong[] = {{154, 4, 0}, {155, 4, 0}};

	BEGIN_IPFIX(fixture, 256, micro);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, (NTP_SECONDS - 5) << 32 | UINT64_C(0x80000000));
	bs_build_u64(&fixture->build, (NTP_SECONDS - 1) << 32 | UINT64_C(0xC0000000));
	bs_build_u64(&fixture->build, UINT64_C(1) << 32); /* the era that begins in 2036 */
	bs_build_u64(&fixture->build, 0);                 /* no stamp */
	bs_build_template(&fixture->build, 257, nano, 2);
	bs_build_set(&fixture->build, 257);
	bs_build_u64(&fixture->build, (NTP_SECONDS - 5) << 32);
	bs_build_u64(&fixture->build, NTP_SECONDS << 32 | 4295); /* a microsecond */
	bs_build_template(&fixture->build, 258, delta, 2);
	bs_build_set(&fixture->build, 258);
	bs_build_u32(&fixture->build, 3000001);
	bs_build_u32(&fixture->build, 1);
	bs_build_template(&fixture->build, 259, wrong, 2);
	bs_build_set(&fixture->build, 259);
	bs_build_u64(&fixture->build, 12345);
	send_datagram(fixture);
	assert_true(value(fixture, 0, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 4500000);
	assert_true(value(fixture, 0, BS_FLOW_TIME_FLOW_END) == EXPORT_USEC - 250000);
	assert_true(value(fixture, 1, BS_FLOW_TIME_FLOW_START) ==
				(INT64_C(2085978496) + 1) * 1000000 - BS_UNIX_TO_PG_USEC);
	assert_true(is_null(fixture, 1, BS_FLOW_TIME_FLOW_END));
	assert_true(value(fixture, 2, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 5000000);
	assert_true(value(fixture, 2, BS_FLOW_TIME_FLOW_END) == EXPORT_USEC + 1);
	assert_true(value(fixture, 3, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 3000001);
	assert_true(value(fixture, 3, BS_FLOW_TIME_FLOW_END) == EXPORT_USEC - 1);
	assert_true(is_null(fixture, 4, BS_FLOW_TIME_FLOW_START));
}

/* Seconds and milliseconds; what cannot be leaves the next element its chance. */
static void
absolute_stamps(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{152, 8, 0}, {153, 8, 0}, {150, 4, 0}, {151, 4, 0}};
	static const struct
	{
		uint64_t msec;
		uint32_t seconds;
		int64_t expected_usec; /* 0: NULL */
	} cases[] = {
		{EXPORT_MSEC - 1, EXPORT_SECONDS - 9, EXPORT_USEC - 1000},
		{0, EXPORT_SECONDS - 9, EXPORT_USEC - 9000000},
		{UINT64_MAX, EXPORT_SECONDS - 9, EXPORT_USEC - 9000000},
		{UINT64_C(253402300800000), EXPORT_SECONDS - 9, EXPORT_USEC - 9000000},
		{UINT64_C(253402300799999), 0, INT64_C(253402300799999000) - BS_UNIX_TO_PG_USEC},
		{0, 0, 0},
		{1, 0, 1000 - BS_UNIX_TO_PG_USEC},
	};

	BEGIN_IPFIX(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	for (uint32_t i = 0; i < BS_BUILD_COUNT(cases); i++)
	{
		bs_build_u64(&fixture->build, cases[i].msec);
		bs_build_u64(&fixture->build, cases[i].msec);
		bs_build_u32(&fixture->build, cases[i].seconds);
		bs_build_u32(&fixture->build, cases[i].seconds);
	}
	send_datagram(fixture);
	for (uint32_t i = 0; i < BS_BUILD_COUNT(cases); i++)
	{
		assert_int_equal(is_null(fixture, i, BS_FLOW_TIME_FLOW_END), cases[i].expected_usec == 0);
		if (cases[i].expected_usec == 0)
			continue;
		assert_true(value(fixture, i, BS_FLOW_TIME_FLOW_START) == cases[i].expected_usec);
		assert_true(value(fixture, i, BS_FLOW_TIME_FLOW_END) == cases[i].expected_usec);
	}
	assert_int_equal(fixture->stats[0].untimed, 1);
}

static void
item_30_the_longest_credible_flow(void **state)
{
	BsDecoderConfig config = {.longest_flow_usec = 60 * INT64_C(1000000)};
	static const BsBuildField fields[] = {{152, 8, 0}, {153, 8, 0}};
	Fixture *plainly = *state;
	Fixture *fixture = fixture_create(&config);
	Fixture *both[] = {plainly, fixture};

	for (uint32_t i = 0; i < 2; i++)
	{
		BEGIN_IPFIX(both[i], 256, fields);
		bs_build_set(&both[i]->build, 256);
		bs_build_u64(&both[i]->build,
					 EXPORT_MSEC - 3600000); /* since an hour, exported each minute */
		bs_build_u64(&both[i]->build, EXPORT_MSEC - 1000);
		bs_build_u64(&both[i]->build, EXPORT_MSEC - 30000);
		bs_build_u64(&both[i]->build, EXPORT_MSEC - 1000);
		send_datagram(both[i]);
	}
	assert_true(value(plainly, 0, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 3600000000);
	assert_true(value(fixture, 0, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 61000000);
	assert_true(value(fixture, 0, BS_FLOW_TIME_FLOW_END) == EXPORT_USEC - 1000000);
	assert_true(value(fixture, 1, BS_FLOW_TIME_FLOW_START) == EXPORT_USEC - 30000000);
	fixture_free(fixture);
}

/* The columns that no other test looks at, each from its element and from the one behind it. */
static void
the_rarer_columns(void **state)
{
	Fixture *fixture = *state;
	static const struct
	{
		BsBuildField field;
		BsFlowColumn column;
		uint64_t sent;
		int64_t expected;
	} cases[] = {
		{{61, 1, 0}, BS_FLOW_FLOW_DIRECTION, 1, 1},
		{{23, 4, 0}, BS_FLOW_BYTES, 77, 77},
		{{24, 4, 0}, BS_FLOW_PACKETS, 78, 78},
		{{180, 2, 0}, BS_FLOW_SRC_PORT, 53, 53},
		{{183, 2, 0}, BS_FLOW_DST_PORT, 80, 80},
		{{192, 1, 0}, BS_FLOW_IP_TTL, 64, 64},
		{{52, 1, 0}, BS_FLOW_IP_TTL, 63, 63},
		{{252, 4, 0}, BS_FLOW_IN_IF, 5, 5},
		{{253, 4, 0}, BS_FLOW_OUT_IF, 6, 6},
		{{56, 6, 0}, BS_FLOW_SRC_MAC, 0x0102030405A6, 0x0102030405A6},
		{{81, 6, 0}, BS_FLOW_SRC_MAC, 0x0102030405A7, 0x0102030405A7},
		{{80, 6, 0}, BS_FLOW_DST_MAC, 0x0102030405A8, 0x0102030405A8},
		{{57, 6, 0}, BS_FLOW_DST_MAC, 0x0102030405A9, 0x0102030405A9},
		{{58, 2, 0}, BS_FLOW_SRC_VLAN, 4094, 4094},
		{{243, 2, 0}, BS_FLOW_SRC_VLAN, 4093, 4093},
		{{59, 2, 0}, BS_FLOW_DST_VLAN, 4092, 4092},
		{{234, 4, 0}, BS_FLOW_IN_VRF, UINT32_MAX, UINT32_MAX},
		{{235, 4, 0}, BS_FLOW_OUT_VRF, 9, 9},
		{{31, 3, 0}, BS_FLOW_IPV6_FLOW_LABEL, 0xF8117F, 0x8117F},
		{{31, 4, 0}, BS_FLOW_IPV6_FLOW_LABEL, 0x000FABD4, 0xFABD4},
		{{70, 3, 0}, BS_FLOW_MPLS_LABEL, 0x00045A, 69},
		{{70, 4, 0}, BS_FLOW_MPLS_LABEL, 0x00045A40, 69},
		{{54, 4, 0}, BS_FLOW_FRAGMENT_ID, UINT32_MAX, UINT32_MAX},
		{{54, 2, 0}, BS_FLOW_FRAGMENT_ID, 65535, 65535},
		{{88, 2, 0}, BS_FLOW_FRAGMENT_OFFSET, 185, 185},
		{{95, 4, 0}, BS_FLOW_APP_ID, 0x0D0001C5, 0x0D0001C5},
		{{16, 4, 0}, BS_FLOW_SRC_AS, UINT32_MAX, UINT32_MAX},
	};

	for (uint32_t i = 0; i < BS_BUILD_COUNT(cases); i++)
	{
		begin_ipfix(fixture, 256, &cases[i].field, 1);
		bs_build_set(&fixture->build, 256);
		bs_build_uint(&fixture->build, cases[i].sent, cases[i].field.width);
		send_datagram(fixture);
		assert_true(value(fixture, i, cases[i].column) == cases[i].expected);
		for (uint32_t column = BS_FLOW_FLOW_DIRECTION; column < BS_FLOW_NCOLUMNS; column++)
			assert_true(column == cases[i].column || is_null(fixture, i, (BsFlowColumn) column));
	}
}

static void
the_preferred_element_of_a_column(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField fields[] = {{252, 4, 0}, {10, 4, 0},  {243, 2, 0}, {58, 2, 0},
										  {52, 1, 0},  {192, 1, 0}, {182, 2, 0}, {180, 2, 0}};

	BEGIN_IPFIX(fixture, 256, fields);
	bs_build_set(&fixture->build, 256);
	for (uint32_t i = 0; i < BS_BUILD_COUNT(fields) - 1; i++)
		bs_build_uint(&fixture->build, i + 1, fields[i].width);
	bs_build_u16(&fixture->build, 8);
	for (uint32_t i = 0; i < BS_BUILD_COUNT(fields) - 1; i++)
		bs_build_zeros(&fixture->build, fields[i].width);
	bs_build_u16(&fixture->build, 53);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_IN_IF), 2);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_VLAN), 4);
	assert_int_equal(value(fixture, 0, BS_FLOW_IP_TTL), 6);
	assert_int_equal(value(fixture, 0, BS_FLOW_SRC_PORT), 7);
	assert_int_equal(value(fixture, 1, BS_FLOW_SRC_PORT), 53); /* no TCP port: the UDP one */
	assert_int_equal(value(fixture, 1, BS_FLOW_IN_IF), 0);
}

static void
icmp_type_and_code(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField pair[] = {{4, 1, 0}, {32, 2, 0}, {11, 2, 0}};
	static const BsBuildField pair6[] = {{4, 1, 0}, {139, 2, 0}};
	static const BsBuildField single[] = {
		{4, 1, 0}, {176, 1, 0}, {177, 1, 0}, {178, 1, 0}, {179, 1, 0}};
	static const BsBuildField port[] = {{4, 1, 0}, {11, 2, 0}};
	static const BsBuildField alone[] = {{32, 2, 0}};

	BEGIN_IPFIX(fixture, 256, pair);
	bs_build_set(&fixture->build, 256);
	bs_build_uint(&fixture->build, UINT64_C(0x01030A0800), 5); /* 0: ICMP, 3/10; port 0x0800 */
	bs_build_uint(&fixture->build, UINT64_C(0x06000001BB), 5); /* 1: TCP: none */
	bs_build_template(&fixture->build, 257, pair6, 2);
	bs_build_set(&fixture->build, 257);
	bs_build_uint(&fixture->build, 0x3A8700, 3); /* 2: ICMPv6, 135/0 */
	bs_build_template(&fixture->build, 258, single, 5);
	bs_build_set(&fixture->build, 258);
	bs_build_uint(&fixture->build, UINT64_C(0x0103020000), 5); /* 3: 3/2 */
	bs_build_uint(&fixture->build, UINT64_C(0x3A00000104), 5); /* 4: 1/4 */
	bs_build_template(&fixture->build, 259, port, 2);
	bs_build_set(&fixture->build, 259);
	bs_build_uint(&fixture->build, 0x3A8001, 3); /* 5: ICMPv6, 128/1 in the port */
	bs_build_uint(&fixture->build, 0x118001, 3); /* 6: UDP: none */
	bs_build_template(&fixture->build, 260, alone, 1);
	bs_build_set(&fixture->build, 260);
	bs_build_u16(&fixture->build, 0x0B00); /* 7: of no known protocol */
	send_datagram(fixture);
	static const int expected[][2] = {{3, 10}, {-1, -1}, {135, 0}, {3, 2},
									  {1, 4},  {128, 1}, {-1, -1}, {11, 0}};
	for (uint32_t row = 0; row < 8; row++)
	{
		assert_int_equal(is_null(fixture, row, BS_FLOW_ICMP_TYPE), expected[row][0] < 0);
		assert_int_equal(is_null(fixture, row, BS_FLOW_ICMP_CODE), expected[row][0] < 0);
		if (expected[row][0] < 0)
			continue;
		assert_int_equal(value(fixture, row, BS_FLOW_ICMP_TYPE), expected[row][0]);
		assert_int_equal(value(fixture, row, BS_FLOW_ICMP_CODE), expected[row][1]);
	}
}

/* Every column alone gives what it gives among all. */
static void
few_columns_equal_all_columns(void **state)
{
	Fixture *all = *state;
	static const BsBuildField fields[] = {
		{8, 4, 0}, {12, 4, 0}, {27, 16, 0}, {28, 16, 0}, {9, 1, 0},   {29, 1, 0},
		{4, 1, 0}, {11, 2, 0}, {32, 2, 0},  {152, 8, 0}, {153, 8, 0}, {82, 65535, 0},
		{1, 8, 0}, {2, 4, 0},  {34, 4, 0},  {230, 1, 0}, {6, 2, 0}};

	BEGIN_IPFIX(all, 256, fields);
	bs_build_set(&all->build, 256);
	for (uint32_t i = 0; i < 40; i++)
	{
		for (uint32_t j = 0; j < BS_BUILD_COUNT(fields); j++)
			bs_build_uint(&all->build, (i * 37 + j) % 5,
						  fields[j].width == 65535 ? 1 : fields[j].width);
		/* the variable field's length was i * 37 + 11 mod 5, so its bytes are missing: patch it to
		 * none */
		all->build.bytes[all->build.len_bytes - 2 - 1 - 4 - 4 - 8 - 1] = 0;
	}
	send_datagram(all);
	assert_int_equal(nrows(all), 40);
	for (uint32_t column = 0; column < BS_FLOW_NCOLUMNS; column++)
	{
		bool wanted[BS_FLOW_NCOLUMNS] = {false};
		Fixture *one = fixture_create(NULL);
		const BsLane *expected = &all->batch->columns[column];
		const BsLane *lane;
		size_t width = bs_type_lane_width(bs_flow_column_types[column]);

		wanted[column] = true;
		bs_batch_free(one->batch);
		one->batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, wanted, FIXTURE_ROWS);
		bs_decoder_columns_changed(one->decoder);
		memcpy(&one->build, &all->build, sizeof(BsBuild));
		assert_int_equal(send_as_is(one), BS_DECODED);
		lane = &one->batch->columns[column];
		assert_int_equal(nrows(one), 40);
		assert_memory_equal(lane->nulls, expected->nulls, 40);
		if (lane->type != BS_BYTES)
			assert_memory_equal(lane->values, expected->values, 40 * width);
		fixture_free(one);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(item_02_zeros_behind_templates_are_padding),
		fixture_test(item_04_options_templates_count_their_scope_among_the_fields),
		fixture_test(a_cut_template_ends_its_set),
		fixture_test(item_06_variable_length_fields_take_at_least_a_byte),
		fixture_test(an_address_of_variable_length),
		fixture_test(many_records_of_variable_length),
		fixture_test(more_variable_fields_than_anchors),
		fixture_test(enterprise_elements_are_passed_over),
		fixture_test(item_13_withdrawals_over_udp_are_ignored_and_counted),
		fixture_test(item_15_the_message_may_end_before_the_datagram),
		fixture_test(item_23_padding_octets_of_any_length),
		fixture_test(item_27_uptime_stamps_count_from_the_exporters_start),
		fixture_test(uptime_stamps_of_an_exporter_long_up),
		fixture_test(the_start_told_for_other_domains),
		fixture_test(item_28_ntp_stamps_and_microseconds_before_the_export),
		fixture_test(absolute_stamps),
		fixture_test(item_30_the_longest_credible_flow),
		fixture_test(the_rarer_columns),
		fixture_test(the_preferred_element_of_a_column),
		fixture_test(icmp_type_and_code),
		fixture_test(few_columns_equal_all_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
