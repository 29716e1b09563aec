/* SPDX-License-Identifier: PostgreSQL */
/* test_sampling.c: how the sampling rate of a record is found (items 32-34). */
#include "decode_fixture.h"
#include "../../receiver/sampling.h"

static void
send_v5(Fixture *fixture, uint16_t sampling)
{
	bs_build_v5(&fixture->build,
				&(BsBuildV5){.count = 1, .unix_seconds = EXPORT_SECONDS, .sampling = sampling});
	bs_build_v5_record(&fixture->build, &(BsBuildV5Record){.bytes = 1});
	send_datagram(fixture);
}

static void
item_32_the_header_of_v5(void **state)
{
	Fixture *fixture = *state;
	static const struct
	{
		uint16_t field;
		int64_t rate;
	} cases[] = {{0, 1},        {0x4000, 1},     {0x4001, 1},  {0x4064, 100},
				 {0x0064, 100}, {0xFFFF, 16383}, {0x8200, 512}};

	for (uint32_t i = 0; i < BS_BUILD_COUNT(cases); i++)
	{
		send_v5(fixture, cases[i].field);
		assert_int_equal(value(fixture, i, BS_FLOW_SAMPLING_RATE), cases[i].rate);
		assert_int_equal(fixture->stats[0].sampling_rate, cases[i].rate);
	}
}

/* One field of sampling in the data record, and what it makes of the rate; 0: unknown. */
static void
item_33_in_the_record_itself(void **state)
{
	Fixture *fixture = *state;
	static const struct
	{
		BsBuildField fields[2];
		uint64_t values[2];
		int64_t rate;
	} cases[] = {
		{{{34, 4, 0}, {35, 1, 0}}, {1000, 2}, 1000},
		{{{34, 4, 0}, {35, 1, 0}}, {0, 0}, 0},
		{{{50, 4, 0}, {49, 1, 0}}, {256, 2}, 256},
		{{{305, 4, 0}, {306, 4, 0}}, {1, 999}, 1000},
		{{{305, 4, 0}, {306, 4, 0}}, {2, 18}, 10},
		{{{305, 4, 0}, {306, 4, 0}}, {1, 0}, 1},
		{{{305, 4, 0}, {306, 4, 0}}, {0, 5}, 0},
		{{{305, 4, 0}, {304, 2, 0}}, {10, 1}, 0}, /* an interval without a space says nothing */
		{{{309, 4, 0}, {310, 4, 0}}, {2, 4000}, 2000},
		{{{309, 4, 0}, {310, 4, 0}}, {0, 4000}, 0},
		{{{310, 4, 0}, {1, 4, 0}}, {4000, 1}, 0},
	};

	for (uint32_t i = 0; i < BS_BUILD_COUNT(cases); i++)
	{
		begin_ipfix(fixture, 256, cases[i].fields, 2);
		bs_build_set(&fixture->build, 256);
		bs_build_uint(&fixture->build, cases[i].values[0], cases[i].fields[0].width);
		bs_build_uint(&fixture->build, cases[i].values[1], cases[i].fields[1].width);
		send_datagram(fixture);
		if (cases[i].rate == 0)
			assert_true(is_null(fixture, i, BS_FLOW_SAMPLING_RATE));
		else
			assert_int_equal(value(fixture, i, BS_FLOW_SAMPLING_RATE), cases[i].rate);
	}
}

static const BsBuildField by_sampler[] = {{1, 4, 0}, {48, 2, 0}};
static const BsBuildField by_selector[] = {{1, 4, 0}, {302, 8, 0}};
static const BsBuildField by_none[] = {{1, 4, 0}, {10, 4, 0}};

static void
item_33_by_sampler_in_v9_options(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField options[] = {{1, 4, 0}, {48, 2, 0}, {50, 4, 0}, {34, 4, 0}};

	bs_build_v9(&fixture->build, 1, EXPORT_SECONDS, 1, 7);
	bs_build_template(&fixture->build, 256, by_sampler, 2);
	bs_build_options_template(&fixture->build, 300, 1, options, 4);
	bs_build_set(&fixture->build, 300);
	for (uint32_t sampler = 1; sampler <= 2; sampler++)
	{
		bs_build_u32(&fixture->build, 0);
		bs_build_u16(&fixture->build, sampler);
		bs_build_u32(&fixture->build, 2000 * sampler);
		bs_build_u32(&fixture->build, 2000 * sampler);
	}
	bs_build_set(&fixture->build, 256);
	for (uint32_t sampler = 0; sampler < 4; sampler++)
	{
		bs_build_u32(&fixture->build, 1);
		bs_build_u16(&fixture->build, sampler);
	}
	send_datagram(fixture);
	assert_true(
		is_null(fixture, 0, BS_FLOW_SAMPLING_RATE)); /* of another sampler nothing is known */
	assert_int_equal(value(fixture, 1, BS_FLOW_SAMPLING_RATE), 2000);
	assert_int_equal(value(fixture, 2, BS_FLOW_SAMPLING_RATE), 4000);
	assert_true(is_null(fixture, 3, BS_FLOW_SAMPLING_RATE));
}

static void
item_33_by_selector_in_ipfix_options(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField options[] = {{302, 8, 0}, {304, 2, 0}, {309, 4, 0}, {310, 4, 0}};

	bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 0, 7);
	bs_build_template(&fixture->build, 256, by_selector, 2);
	bs_build_options_template(&fixture->build, 300, 1, options, 4);
	bs_build_set(&fixture->build, 300);
	bs_build_u64(&fixture->build, 14);
	bs_build_u16(&fixture->build, 3);
	bs_build_u32(&fixture->build, 1);
	bs_build_u32(&fixture->build, 5000);
	bs_build_set(&fixture->build, 256);
	bs_build_u32(&fixture->build, 1);
	bs_build_u64(&fixture->build, 14);
	bs_build_u32(&fixture->build, 1);
	bs_build_u64(&fixture->build, 15);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_SAMPLING_RATE), 5000);
	assert_true(is_null(fixture, 1, BS_FLOW_SAMPLING_RATE));
}

/* Options with a template, an interface or nothing but the system in their scope, the narrowest
 * wins. */
static void
item_33_by_template_by_interface_and_system_wide(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField system[] = {{1, 4, 0}, {34, 4, 0}};
	static const BsBuildField interface[] = {{2, 4, 0}, {34, 4, 0}};
	static const BsBuildField template[] = {{5, 2, 0}, {34, 4, 0}};
	static const uint64_t interfaces[] = {3, 4};

	bs_build_v9(&fixture->build, 1, EXPORT_SECONDS, 1, 7);
	bs_build_template(&fixture->build, 256, by_none, 2);
	bs_build_template(&fixture->build, 257, by_none, 2);
	bs_build_options_template(&fixture->build, 300, 1, system, 2);
	bs_build_options_template(&fixture->build, 301, 1, interface, 2);
	bs_build_options_template(&fixture->build, 302, 1, template, 2);
	bs_build_set(&fixture->build, 300);
	bs_build_u64(&fixture->build, 100);
	bs_build_set(&fixture->build, 301);
	bs_build_u64(&fixture->build, interfaces[0] << 32 | 300);
	bs_build_set(&fixture->build, 302);
	bs_build_u16(&fixture->build, 257);
	bs_build_u32(&fixture->build, 200);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, UINT64_C(1) << 32 | interfaces[0]);
	bs_build_u64(&fixture->build, UINT64_C(1) << 32 | interfaces[1]);
	bs_build_set(&fixture->build, 257);
	bs_build_u64(&fixture->build, UINT64_C(1) << 32 | interfaces[0]);
	bs_build_u64(&fixture->build, UINT64_C(1) << 32 | interfaces[1]);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 0, BS_FLOW_SAMPLING_RATE), 300);
	assert_int_equal(value(fixture, 1, BS_FLOW_SAMPLING_RATE), 100);
	assert_int_equal(value(fixture, 2, BS_FLOW_SAMPLING_RATE), 300);
	assert_int_equal(value(fixture, 3, BS_FLOW_SAMPLING_RATE), 200);
}

static void
item_33_ipfix_options_by_template(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField options[] = {{149, 4, 0}, {145, 2, 0}, {305, 4, 0}, {306, 4, 0}};

	bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 0, 7);
	bs_build_template(&fixture->build, 256, by_none, 2);
	bs_build_template(&fixture->build, 257, by_none, 2);
	bs_build_options_template(&fixture->build, 300, 2, options, 4);
	bs_build_set(&fixture->build, 300);
	bs_build_u32(&fixture->build, 7);
	bs_build_u16(&fixture->build, 257);
	bs_build_u32(&fixture->build, 1);
	bs_build_u32(&fixture->build, 999);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, 0);
	bs_build_set(&fixture->build, 257);
	bs_build_u64(&fixture->build, 0);
	send_datagram(fixture);
	assert_true(is_null(fixture, 0, BS_FLOW_SAMPLING_RATE));
	assert_int_equal(value(fixture, 1, BS_FLOW_SAMPLING_RATE), 1000);
}

/* What domain 0 says holds for the exporter's other domains, unless they say otherwise. */
static void
domain_0_speaks_for_the_others(void **state)
{
	Fixture *fixture = *state;
	static const BsBuildField system[] = {{143, 4, 0}, {34, 4, 0}};

	for (uint32_t domain = 0; domain < 3; domain++)
	{
		bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 0, domain);
		bs_build_template(&fixture->build, 256, by_none, 2);
		if (domain != 1)
		{
			bs_build_options_template(&fixture->build, 300, 1, system, 2);
			bs_build_set(&fixture->build, 300);
			bs_build_u64(&fixture->build, 100 + domain);
		}
		bs_build_set(&fixture->build, 256);
		bs_build_u64(&fixture->build, 0);
		send_datagram(fixture);
	}
	assert_int_equal(value(fixture, 0, BS_FLOW_SAMPLING_RATE), 100);
	assert_int_equal(value(fixture, 1, BS_FLOW_SAMPLING_RATE), 100);
	assert_int_equal(value(fixture, 2, BS_FLOW_SAMPLING_RATE), 102);
}

static void
send_unsaid(Fixture *fixture)
{
	begin_v9(fixture, 256, by_none, 2);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, 0);
	send_datagram(fixture);
}

static void
item_34_unknown_is_null_and_the_administrator_decides(void **state)
{
	Fixture *fixture = *state;
	BsSamplingRule rules[3] = {
		{.exporter = ipv4(0x0A000000), .default_rate = 10},
		{.exporter = ipv4(0x0A000000), .default_rate = 20},
		{.exporter = ipv4(0x0A000001), .override_rate = 30},
	};

	rules[0].exporter.bits = 8;
	rules[1].exporter.bits = 24;
	send_unsaid(fixture);
	assert_true(is_null(fixture, 0, BS_FLOW_SAMPLING_RATE));
	assert_int_equal(fixture->stats[0].sampling_rate, 0);

	assert_true(
		bs_decoder_set_sampling(fixture->decoder, rules, 2)); /* for exporters known already */
	send_unsaid(fixture);
	assert_int_equal(value(fixture, 1, BS_FLOW_SAMPLING_RATE), 20);
	assert_int_equal(fixture->stats[0].sampling_rate, 20);
	send_v5(fixture, 0x4064); /* it says so itself: the default is not needed */
	assert_int_equal(value(fixture, 2, BS_FLOW_SAMPLING_RATE), 100);

	assert_true(bs_decoder_set_sampling(fixture->decoder, rules, 3));
	send_v5(fixture, 0x4064);
	assert_int_equal(value(fixture, 3, BS_FLOW_SAMPLING_RATE), 30);
	fixture->exporter = ipv4(0x0AFF0001); /* and for new ones */
	send_unsaid(fixture);
	assert_int_equal(value(fixture, 4, BS_FLOW_SAMPLING_RATE), 10);
	fixture->exporter = ipv4(0x0B000001);
	send_unsaid(fixture);
	assert_true(is_null(fixture, 5, BS_FLOW_SAMPLING_RATE));

	assert_true(bs_decoder_set_sampling(fixture->decoder, NULL, 0));
	fixture->exporter = ipv4(0x0AFF0001);
	send_unsaid(fixture);
	assert_true(is_null(fixture, 6, BS_FLOW_SAMPLING_RATE));
}

static void
the_longest_prefix_of_either_family(void **state)
{
	BsSamplingRule rules[] = {{.exporter = ipv4(0)},
							  {.exporter = ipv6(0, 0)},
							  {.exporter = ipv6(0x20, 0)},
							  {.exporter = ipv4(0xC0000200)}};
	BsInet address = ipv6(0x2F, 1);

	(void) state;
	rules[0].exporter.bits = 0;
	rules[1].exporter.bits = 0;
	rules[2].exporter.bits = 4;
	rules[3].exporter.bits = 25;
	assert_ptr_equal(bs_sampling_rule_for(rules, 4, &address), &rules[2]);
	address = ipv6(0x3F, 1);
	assert_ptr_equal(bs_sampling_rule_for(rules, 4, &address), &rules[1]);
	address = ipv4(0xC000027F);
	assert_ptr_equal(bs_sampling_rule_for(rules, 4, &address), &rules[3]);
	address = ipv4(0xC0000280);
	assert_ptr_equal(bs_sampling_rule_for(rules, 4, &address), &rules[0]);
	assert_null(bs_sampling_rule_for(rules + 1, 2, &address));
}

static void
the_table_of_a_domain_is_bounded(void **state)
{
	BsSamplingTable table = {0};

	(void) state;
	for (uint64_t id = 0; id < BS_SAMPLING_MAX_ENTRIES; id++)
		assert_true(bs_sampling_learn(&table, BS_SAMPLING_BY_SAMPLER, id, 10 + (int64_t) id));
	assert_false(bs_sampling_learn(&table, BS_SAMPLING_BY_SAMPLER, 999, 1));
	assert_false(bs_sampling_learn(&table, BS_SAMPLING_BY_SELECTOR, 1, 1));
	assert_true(bs_sampling_learn(&table, BS_SAMPLING_BY_SAMPLER, 5, 77));
	assert_true(bs_sampling_learn(&table, BS_SAMPLING_OF_DOMAIN, 0, 88));
	assert_int_equal(bs_sampling_find(&table, BS_SAMPLING_BY_SAMPLER, 5), 77);
	assert_int_equal(bs_sampling_find(&table, BS_SAMPLING_BY_SAMPLER, 127), 137);
	assert_int_equal(bs_sampling_find(&table, BS_SAMPLING_BY_SAMPLER, 128), 0);
	assert_int_equal(bs_sampling_find(&table, BS_SAMPLING_OF_DOMAIN, 0), 88);
	bs_sampling_free(&table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(item_32_the_header_of_v5),
		fixture_test(item_33_in_the_record_itself),
		fixture_test(item_33_by_sampler_in_v9_options),
		fixture_test(item_33_by_selector_in_ipfix_options),
		fixture_test(item_33_by_template_by_interface_and_system_wide),
		fixture_test(item_33_ipfix_options_by_template),
		fixture_test(domain_0_speaks_for_the_others),
		fixture_test(item_34_unknown_is_null_and_the_administrator_decides),
		cmocka_unit_test(the_longest_prefix_of_either_family),
		cmocka_unit_test(the_table_of_a_domain_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
