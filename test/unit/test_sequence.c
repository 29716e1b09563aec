/* SPDX-License-Identifier: PostgreSQL */
/* test_sequence.c: losses by sequence numbers (items 35-38). */
#include "decode_fixture.h"
#include "../../receiver/sequence.h"

static void
send_v5(Fixture *fixture, uint32_t sequence, uint16_t count, uint16_t engine)
{
	bs_build_v5(&fixture->build, &(BsBuildV5){.count = count,
											  .uptime_msec = 1000000,
											  .unix_seconds = EXPORT_SECONDS,
											  .sequence = sequence,
											  .engine = engine});
	for (uint32_t i = 0; i < count; i++)
		bs_build_v5_record(&fixture->build, &(BsBuildV5Record){.bytes = 1});
	send_datagram(fixture);
}

static void
send_v9(Fixture *fixture, uint32_t sequence, uint32_t source_id)
{
	bs_build_v9(&fixture->build, 1000000, EXPORT_SECONDS, sequence, source_id);
	send_datagram(fixture);
}

static const BsBuildField plain[] = {{8, 4, 0}, {1, 4, 0}};
static const BsBuildField options[] = {{143, 4, 0}, {34, 4, 0}};

/* nrecords of template 256, noptions of options template 300, both defined unless bare. */
static void
send_ipfix(Fixture *fixture, uint32_t sequence, uint32_t nrecords, uint32_t noptions, bool bare)
{
	bs_build_ipfix(&fixture->build, EXPORT_SECONDS, sequence, 7);
	if (!bare)
	{
		bs_build_template(&fixture->build, 256, plain, 2);
		bs_build_options_template(&fixture->build, 300, 1, options, 2);
	}
	bs_build_set(&fixture->build, 256);
	bs_build_zeros(&fixture->build, nrecords * 8);
	bs_build_set(&fixture->build, 300);
	bs_build_zeros(&fixture->build, noptions * 8);
	send_datagram(fixture);
}

static void
item_35_v5_counts_flows_per_engine(void **state)
{
	Fixture *fixture = *state;

	send_v5(fixture, 100, 30, 0);
	send_v5(fixture, 7, 5, 1); /* another engine */
	send_v5(fixture, 130, 10, 0);
	send_v5(fixture, 12, 5, 1);
	assert_int_equal(fixture->stats[0].records_lost, 0);
	send_v5(fixture, 200, 10, 0);
	assert_int_equal(fixture->stats[0].records_lost, 60);
	assert_int_equal(fixture->stats[1].records_lost, 0);
	assert_int_equal(fixture->stats[0].datagrams_lost, 0);
	assert_int_equal(fixture->stats[0].resyncs, 0);
}

static void
item_35_v9_counts_datagrams_per_source(void **state)
{
	Fixture *fixture = *state;

	send_v9(fixture, 10, 1);
	send_v9(fixture, 500, 2);
	send_v9(fixture, 11, 1);
	send_v9(fixture, 15, 1);
	send_v9(fixture, 501, 2);
	assert_int_equal(fixture->stats[0].datagrams_lost, 3);
	assert_int_equal(fixture->stats[1].datagrams_lost, 0);
	assert_int_equal(fixture->stats[0].records_lost, 0);
}

static void
item_35_ipfix_counts_data_and_options_records(void **state)
{
	Fixture *fixture = *state;

	send_ipfix(fixture, 0, 4, 1, false);
	send_ipfix(fixture, 5, 3, 0, true);
	assert_int_equal(fixture->stats[0].records_lost, 0);
	send_ipfix(fixture, 8, 0, 0, false); /* templates alone count nothing */
	send_ipfix(fixture, 8, 2, 0, true);
	assert_int_equal(fixture->stats[0].records_lost, 0);
	send_ipfix(fixture, 110, 2, 0, true);
	assert_int_equal(fixture->stats[0].records_lost, 100);
	assert_int_equal(fixture->stats[0].resyncs, 0);
}

static void
item_36_an_unknown_template_is_a_resynchronisation_not_a_loss(void **state)
{
	Fixture *fixture = *state;

	send_ipfix(fixture, 0, 4, 0, false);
	bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 4, 7);
	bs_build_set(&fixture->build, 999);
	bs_build_zeros(&fixture->build, 80);
	send_datagram(fixture);
	assert_int_equal(fixture->stats[0].unknown_template, 1);
	assert_int_equal(fixture->stats[0].resyncs, 1);
	send_ipfix(fixture, 14, 4, 0, true); /* there were 10 in it, who knows */
	assert_int_equal(fixture->stats[0].records_lost, 0);
	assert_int_equal(fixture->stats[0].resyncs, 1);
	send_ipfix(fixture, 19, 4, 0, true);
	assert_int_equal(fixture->stats[0].records_lost, 1);
}

/* v5 announces 30 records of which 10 arrive: the next number tells that 20 are missing. */
static void
records_cut_off_are_lost(void **state)
{
	Fixture *fixture = *state;

	bs_build_v5(&fixture->build,
				&(BsBuildV5){.count = 30, .unix_seconds = EXPORT_SECONDS, .sequence = 100});
	bs_build_zeros(&fixture->build, 480);
	send_datagram(fixture);
	send_v5(fixture, 130, 1, 0);
	assert_int_equal(fixture->stats[0].records, 11);
	assert_int_equal(fixture->stats[0].records_lost, 20);
}

static BsSequenceChange
take(BsSequence *sequence, uint32_t number, uint32_t count, uint32_t export_seconds,
	 uint32_t uptime_msec)
{
	BsSequenceMark mark = {.number = number,
						   .export_seconds = export_seconds,
						   .uptime_msec = uptime_msec,
						   .has_uptime = uptime_msec != 0};

	return bs_sequence_take(sequence, &mark, count, true);
}

static void
item_37_numbers_wrap(void **state)
{
	BsSequence sequence = {0};

	(void) state;
	assert_int_equal(take(&sequence, UINT32_MAX - 9, 10, 1000, 0).lost, 0);
	assert_int_equal(take(&sequence, 0, 5, 1000, 0).lost, 0);
	sequence = (BsSequence){0};
	take(&sequence, UINT32_MAX - 9, 5, 1000, 0);
	assert_int_equal(take(&sequence, 7, 5, 1000, 0).lost, 12);
	assert_int_equal(take(&sequence, UINT32_MAX - 4, 12, 1000, 0).lost, -12);
}

static void
item_37_a_restart_is_no_loss(void **state)
{
	BsSequence sequence = {0};
	BsSequenceChange change;

	(void) state;
	/* Far back, uptime small. */
	take(&sequence, 5000000, 30, 1000000, 900000000);
	change = take(&sequence, 30, 30, 1000010, 5000);
	assert_int_equal(change.lost, 0);
	assert_int_equal(change.resyncs, 1);
	assert_int_equal(take(&sequence, 60, 30, 1000011, 6000).lost, 0);

	/* So soon that the number seems to be ahead. */
	sequence = (BsSequence){0};
	take(&sequence, 10, 10, 1000000, 60000);
	change = take(&sequence, 50, 10, 1000100, 40000);
	assert_int_equal(change.lost, 0);
	assert_int_equal(change.resyncs, 1);

	/* Above half of the numbers: the step seems to be far ahead. */
	sequence = (BsSequence){0};
	take(&sequence, UINT32_C(3000000000), 10, 1000000, 0);
	change = take(&sequence, 0, 10, 1000010, 0);
	assert_int_equal(change.lost, 0);
	assert_int_equal(change.resyncs, 1);

	/* IPFIX has no uptime: behind, and exported later than anything before. */
	sequence = (BsSequence){0};
	take(&sequence, 5000, 10, 1000000, 0);
	change = take(&sequence, 0, 10, 1000060, 0);
	assert_int_equal(change.lost, 0);
	assert_int_equal(change.resyncs, 1);
	assert_int_equal(take(&sequence, 10, 10, 1000061, 0).lost, 0);
}

/* Uptime wraps at 49.7 days: that is no restart, and a loss then is a loss. */
static void
an_uptime_that_wraps_is_no_restart(void **state)
{
	BsSequence sequence = {0};
	BsSequenceChange change;

	(void) state;
	take(&sequence, 100, 10, 1000000, UINT32_MAX - 1000);
	change = take(&sequence, 115, 10, 1000002, 1000);
	assert_int_equal(change.lost, 5);
	assert_int_equal(change.resyncs, 0);
}

static void
item_37_a_late_datagram_is_not_lost(void **state)
{
	BsSequence sequence = {0};
	int64_t lost = 0;

	(void) state;
	lost += take(&sequence, 0, 10, 1000, 5000).lost;
	lost += take(&sequence, 40, 10, 1000, 5000).lost;
	assert_int_equal(lost, 30);
	lost += take(&sequence, 20, 10, 1000, 5000).lost; /* from the middle of the gap */
	assert_int_equal(lost, 20);
	lost += take(&sequence, 20, 10, 1000, 5000).lost; /* a duplicate takes nothing back */
	assert_int_equal(lost, 20);
	lost += take(&sequence, 10, 10, 1000, 5000).lost;
	lost += take(&sequence, 30, 10, 1000, 5000).lost;
	assert_int_equal(lost, 0);
	lost += take(&sequence, 0, 10, 1000, 5000).lost;
	assert_int_equal(lost, 0);
	lost += take(&sequence, 50, 10, 1001, 6000).lost;
	assert_int_equal(lost, 0);
}

/* Templates in messages of their own that are not numbered like the data (some exporters). */
static void
a_message_without_records_moves_nothing_back(void **state)
{
	BsSequence sequence = {0};

	(void) state;
	take(&sequence, 1000, 10, 1000, 0);
	assert_int_equal(take(&sequence, 0, 0, 1060, 0).resyncs, 0);
	assert_int_equal(take(&sequence, 1010, 10, 1061, 0).lost, 0);
}

static void
item_10_numbers_are_kept_per_source_port(void **state)
{
	Fixture *fixture = *state;

	for (uint32_t i = 0; i < 4; i++)
	{
		fixture->port = 1000;
		send_v9(fixture, 10 + i, 1);
		fixture->port = 2000;
		send_v9(fixture, 5000 + 2 * i, 1); /* every other one is lost */
	}
	assert_int_equal(fixture->stats[0].datagrams_lost, 3);
	assert_int_equal(fixture->stats[1].flow_type, BS_FLOW_TYPE_NONE); /* one slot for both */
}

/* One sequence over two ports, templates from one and data from the other. */
static void
ports_that_share_a_sequence(void **state)
{
	Fixture *fixture = *state;

	for (uint32_t i = 0; i < 40; i++)
	{
		fixture->port = i % 5 == 0 ? 1000 : 2000;
		if (i != 33)
			send_v9(fixture, 100 + i, 1);
	}
	assert_int_equal(fixture->stats[0].datagrams_lost, 1);
}

/* An exporter that takes a new port for each datagram: nothing is known, nothing is invented. */
static void
more_ports_than_are_kept(void **state)
{
	Fixture *fixture = *state;

	for (uint32_t i = 0; i < 100; i++)
	{
		fixture->port = (uint16_t) (1000 + i);
		send_v9(fixture, i * 10, 1);
	}
	assert_int_equal(fixture->stats[0].datagrams_lost, 0);
}

/* Received + lost = sent, whatever is dropped, and whatever is late (within the gaps remembered).
 */
static void
item_38_losses_are_numbers_of_records(void **state)
{
	Fixture *fixture = *state;
	uint32_t sequence = UINT32_MAX - 5000;
	uint32_t sent = 0;
	uint32_t seed = 1;

	for (uint32_t i = 0; i < 2000; i++)
	{
		uint16_t count = (uint16_t) (1 + (seed >> 16) % 30);

		seed = seed * 1103515245 + 12345;
		if (i == 0 || i == 1999 || (seed >> 20) % 3 != 0)
		{
			fixture->batch->nrows = 0;
			fixture->batch->nruns = 0;
			send_v5(fixture, sequence, count, 0);
		}
		sequence += count;
		sent += count;
	}
	assert_true(fixture->stats[0].records_lost > 1000);
	assert_int_equal(fixture->stats[0].records + fixture->stats[0].records_lost, sent);
	assert_int_equal(fixture->stats[0].decode_errors, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(item_35_v5_counts_flows_per_engine),
		fixture_test(item_35_v9_counts_datagrams_per_source),
		fixture_test(item_35_ipfix_counts_data_and_options_records),
		fixture_test(item_36_an_unknown_template_is_a_resynchronisation_not_a_loss),
		fixture_test(records_cut_off_are_lost),
		cmocka_unit_test(item_37_numbers_wrap),
		cmocka_unit_test(item_37_a_restart_is_no_loss),
		cmocka_unit_test(an_uptime_that_wraps_is_no_restart),
		cmocka_unit_test(item_37_a_late_datagram_is_not_lost),
		cmocka_unit_test(a_message_without_records_moves_nothing_back),
		fixture_test(item_10_numbers_are_kept_per_source_port),
		fixture_test(ports_that_share_a_sequence),
		fixture_test(more_ports_than_are_kept),
		fixture_test(item_38_losses_are_numbers_of_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
