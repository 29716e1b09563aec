/* SPDX-License-Identifier: PostgreSQL */
/* test_memo.c: what a decoder knows of exporters, in the next one; and what is not to be believed. */
#include "decode_fixture.h"
#include "../../receiver/memo.h"

static const BsBuildField plain[] = {{8, 4, 0}, {12, 4, 0}, {2, 4, 0}, {1, 4, 0}};
static const BsBuildField swapped[] = {{12, 4, 0}, {8, 4, 0}, {1, 4, 0}, {2, 4, 0}};
static const BsBuildField by_sampler[] = {{1, 4, 0}, {48, 2, 0}};
static const BsBuildField sampler_options[] = {{1, 4, 0}, {48, 2, 0}, {50, 4, 0}, {34, 4, 0}};

/* A datagram of v9 or IPFIX at this time after the exporter started. */
static void
begin_at(Fixture *fixture, int version, uint32_t seconds, uint32_t sequence)
{
	fixture->received_usec = ARRIVAL_USEC + (int64_t) seconds * 1000000;
	if (version == 9)
		bs_build_v9(&fixture->build, 100000 + seconds * 1000, EXPORT_SECONDS + seconds, sequence,
					7);
	else
		bs_build_ipfix(&fixture->build, EXPORT_SECONDS + seconds, sequence, 7);
}

static void
add_record(Fixture *fixture)
{
	bs_build_u32(&fixture->build, 0x01020304);
	bs_build_u32(&fixture->build, 0x05060708);
	bs_build_u32(&fixture->build, 3);
	bs_build_u32(&fixture->build, 4000);
}

static void
send_templates(Fixture *fixture, int version)
{
	begin_at(fixture, version, 0, 1000);
	bs_build_template(&fixture->build, 256, plain, 4);
	bs_build_template(&fixture->build, 257, by_sampler, 2);
	bs_build_options_template(&fixture->build, 300, 1, sampler_options, 4);
	bs_build_set(&fixture->build, 300);
	bs_build_u32(&fixture->build, 0);
	bs_build_u16(&fixture->build, 5);
	bs_build_u32(&fixture->build, 100);
	bs_build_u32(&fixture->build, 100);
	send_datagram(fixture);
	assert_int_equal(fixture->stats[0].templates, 3);
}

static BsMemo *
memo_of(const BsDecoder *decoder)
{
	BsMemo *memo = bs_memo_create();
	uint8_t *data;
	size_t len;

	assert_true(bs_decoder_pack(decoder, &data, &len));
	assert_true(bs_memo_add(memo, data, len, 0));
	free(data);
	return memo;
}

/* A decoder after another one that has heard templates. */
static Fixture *
successor(int version)
{
	Fixture *before = fixture_create(NULL);
	Fixture *fixture = fixture_create(NULL);

	send_templates(before, version);
	bs_decoder_remember(fixture->decoder, memo_of(before->decoder));
	fixture_free(before);
	return fixture;
}

static void
templates_and_rates_decode_at_once(void **state)
{
	(void) state;
	for (int version = 9; version <= 10; version++)
	{
		Fixture *fixture = successor(version);

		begin_at(fixture, version, 3600, 2000);
		bs_build_set(&fixture->build, 256);
		add_record(fixture);
		add_record(fixture);
		bs_build_set(&fixture->build, 257);
		bs_build_u32(&fixture->build, 70);
		bs_build_u16(&fixture->build, 5);
		send_datagram(fixture);
		assert_int_equal(nrows(fixture), 3);
		assert_address(fixture, 0, BS_FLOW_SRC_ADDR, ipv4(0x01020304));
		assert_int_equal(value(fixture, 2, BS_FLOW_SAMPLING_RATE), 100);
		assert_int_equal(fixture->stats[0].unknown_template, 0);
		assert_int_equal(fixture->stats[0].unconfirmed_records, 3);
		assert_int_equal(fixture->stats[0].templates, 3);
		/* What was lost meanwhile is not known. */
		assert_int_equal(fixture->stats[0].records_lost + fixture->stats[0].datagrams_lost, 0);

		/* Sent again, the same: confirmed. */
		begin_at(fixture, version, 3601, 2003);
		bs_build_template(&fixture->build, 256, plain, 4);
		bs_build_set(&fixture->build, 256);
		add_record(fixture);
		send_datagram(fixture);
		assert_int_equal(nrows(fixture), 4);
		assert_int_equal(fixture->stats[0].unconfirmed_records, 3);
		assert_int_equal(fixture->stats[0].unconfirmed_wrong, 0);
		fixture_free(fixture);
	}
}

static void
what_is_sent_goes_before_what_is_remembered(void **state)
{
	Fixture *fixture = successor(9);

	(void) state;
	begin_at(fixture, 9, 10, 1002);
	bs_build_template(&fixture->build, 256, swapped, 4);
	bs_build_set(&fixture->build, 256);
	add_record(fixture);
	send_datagram(fixture);
	assert_address(fixture, 0, BS_FLOW_DST_ADDR, ipv4(0x01020304));
	assert_int_equal(fixture->stats[0].unconfirmed_wrong, 1);
	assert_int_equal(fixture->stats[0].unconfirmed_records, 0);
	fixture_free(fixture);
}

/* Its templates may be others now. */
static void
an_exporter_that_was_started_again_is_not_believed(void **state)
{
	(void) state;
	for (int version = 9; version <= 10; version++)
	{
		Fixture *fixture = successor(version);

		fixture->received_usec = ARRIVAL_USEC + INT64_C(3600) * 1000000;
		if (version == 9)
			bs_build_v9(&fixture->build, 5000, EXPORT_SECONDS + 3600, 5000, 7);
		else
			bs_build_ipfix(&fixture->build, EXPORT_SECONDS + 3600, 17, 7);
		bs_build_set(&fixture->build, 256);
		add_record(fixture);
		send_datagram(fixture);
		assert_int_equal(nrows(fixture), 0);
		assert_int_equal(fixture->stats[0].unknown_template, 1);
		assert_int_equal(fixture->stats[0].unconfirmed_wrong, 3);
		assert_int_equal(fixture->stats[0].templates, 0);
		fixture_free(fixture);
	}
}

static void
others_are_not_known(void **state)
{
	Fixture *fixture = successor(10);

	(void) state;
	fixture->exporter = ipv4(0x0A000002);
	begin_at(fixture, 10, 10, 2000);
	bs_build_set(&fixture->build, 256);
	add_record(fixture);
	send_datagram(fixture);
	assert_int_equal(fixture->stats[0].unknown_template, 1);
	fixture_free(fixture);
}

static void
memos_are_put_together(void **state)
{
	Fixture *a = fixture_create(NULL);
	Fixture *b = fixture_create(NULL);
	BsMemo *memo = bs_memo_create();
	uint8_t *data;
	uint8_t *all;
	size_t len;
	size_t all_len;

	(void) state;
	send_templates(a, 9);
	b->exporter = ipv6(0x20, 1);
	send_templates(b, 10);
	assert_true(bs_decoder_pack(a->decoder, &data, &len));
	assert_true(bs_memo_add(memo, data, len, 0));
	assert_true(bs_memo_add(memo, data, len, 0));
	free(data);
	assert_true(bs_decoder_pack(b->decoder, &data, &len));
	assert_true(bs_memo_add(memo, data, len, 0));
	free(data);
	assert_true(bs_memo_pack(memo, &all, &all_len));
	bs_memo_free(memo);

	/* Each once; who was heard long ago is forgotten. */
	memo = bs_memo_create();
	assert_true(bs_memo_add(memo, all, all_len, ARRIVAL_USEC + 1));
	assert_true(bs_memo_pack(memo, &data, &len));
	assert_int_equal(len, 8);
	free(data);
	assert_true(bs_memo_add(memo, all, all_len, ARRIVAL_USEC));
	assert_true(bs_memo_pack(memo, &data, &len));
	assert_int_equal(len, all_len);
	assert_memory_equal(data, all, len);
	free(data);
	free(all);
	bs_memo_free(memo);
	fixture_free(a);
	fixture_free(b);
}

static void
bytes_that_are_no_memo(void **state)
{
	Fixture *fixture = fixture_create(NULL);
	uint8_t *data;
	size_t len;

	(void) state;
	send_templates(fixture, 9);
	assert_true(bs_decoder_pack(fixture->decoder, &data, &len));
	for (size_t cut = 0; cut < len; cut++)
	{
		BsMemo *memo = bs_memo_create();
		uint8_t *copy = malloc(cut + 1);

		memcpy(copy, data, cut);
		assert_int_equal(bs_memo_add(memo, copy, cut, 0), cut == 8);
		free(copy);
		bs_memo_free(memo);
	}
	/* Whatever a byte says, nothing is read or written that should not be; what was taken can be used. */
	for (size_t at = 0; at < len; at++)
	{
		Fixture *next = fixture_create(NULL);
		BsMemo *memo = bs_memo_create();
		uint8_t old = data[at];

		data[at] ^= (uint8_t) (1 + at % 255);
		(void) bs_memo_add(memo, data, len, 0);
		data[at] = old;
		bs_decoder_remember(next->decoder, memo);
		begin_at(next, 9, 10, 1010);
		bs_build_set(&next->build, 256);
		add_record(next);
		bs_build_end(&next->build);
		(void) send_as_is(next);
		fixture_free(next);
	}
	free(data);
	fixture_free(fixture);
}

static void
changes_are_counted(void **state)
{
	Fixture *fixture = fixture_create(NULL);
	uint64_t changes;

	(void) state;
	assert_int_equal(bs_decoder_changes(fixture->decoder), 0);
	send_templates(fixture, 9);
	changes = bs_decoder_changes(fixture->decoder);
	assert_true(changes > 0);
	send_templates(fixture, 9);
	assert_int_equal(bs_decoder_changes(fixture->decoder), changes);
	begin_at(fixture, 9, 5, 1003);
	bs_build_template(&fixture->build, 256, swapped, 4);
	send_datagram(fixture);
	assert_true(bs_decoder_changes(fixture->decoder) > changes);
	fixture_free(fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(templates_and_rates_decode_at_once),
		cmocka_unit_test(what_is_sent_goes_before_what_is_remembered),
		cmocka_unit_test(an_exporter_that_was_started_again_is_not_believed),
		cmocka_unit_test(others_are_not_known),
		cmocka_unit_test(memos_are_put_together),
		cmocka_unit_test(bytes_that_are_no_memo),
		cmocka_unit_test(changes_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
