/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_generate.c: what the generator writes is what its totals say: every sum of them (stream, window, flow, loss)
 * comes out of the datagrams again.
 */
#include <math.h>

#include "generate_reader.h"

#define NOW_USEC INT64_C(1790000000123456)

static void
assert_sums_equal(const BsSums *a, const BsSums *b)
{
	assert_int_equal(a->records, b->records);
	assert_int_equal(a->bytes, b->bytes);
	assert_int_equal(a->packets, b->packets);
}

static void
assert_windows_equal(const BsTotals *a, const BsTotals *b, uint32_t width_secs)
{
	uint32_t na;
	uint32_t nb;
	BsWindowSums *left = bs_totals_windows(a, width_secs, &na);
	BsWindowSums *right = bs_totals_windows(b, width_secs, &nb);

	assert_int_equal(na, nb);
	assert_true(na > 0);
	for (uint32_t i = 0; i < na; i++)
	{
		assert_int_equal(left[i].start_secs % width_secs, 0);
		assert_int_equal(left[i].start_secs, right[i].start_secs);
		assert_sums_equal(&left[i].sums, &right[i].sums);
	}
	free(left);
	free(right);
}

static void
assert_stream(const BsStreamInfo *info, const BsStreamTotals *told, const ReadStream *read)
{
	static const struct
	{
		uint16_t version;
		const char *flow_type;
	} types[] = {{5, "netflow_v5"}, {9, "netflow_v9"}, {10, "ipfix"}};

	for (uint32_t i = 0; i < 3; i++)
		if (types[i].version == read->version)
			assert_string_equal(types[i].flow_type, info->flow_type);
	assert_sums_equal(&told->sums, &read->sums);
	assert_int_equal(told->datagrams, read->datagrams);
	assert_int_equal(told->option_records, read->option_records);
	assert_int_equal(told->template_datagrams, read->template_datagrams);
	assert_int_equal(read->version == 9 ? told->datagrams_lost : told->records_lost, read->lost);
	assert_int_equal(told->first_end_msec, read->first_end_msec);
	assert_int_equal(told->last_end_msec, read->last_end_msec);
}

static void
assert_totals(const BsGenerator *generator, const BsTotals *told, Reader *reader)
{
	BsStreamTotals sum;

	assert_int_equal(told->nstreams, reader->nstreams);
	for (uint32_t i = 0; i < told->nstreams; i++)
	{
		BsStreamInfo info = bs_generator_stream(generator, i);

		assert_stream(&info, &told->streams[i], stream_of(reader, info.exporter, info.domain));
	}
	assert_windows_equal(told, reader->totals, BS_TOTALS_WINDOW_SECS);
	assert_windows_equal(told, reader->totals, BS_TOTALS_LONG_SECS);
	for (uint32_t k = 0; k < told->nflows; k++)
		assert_sums_equal(&told->by_flow[k], &reader->totals->by_flow[k]);
	assert_memory_equal(told->seen, reader->totals->seen, (told->nflows / 32 + 1) * 4);
	bs_totals_sum(told, &sum);
	/* Every record is accounted for. */
	assert_int_equal(sum.sums.records + sum.records_lost + sum.records_lost_tail, 5000);
}

static BsGenerateConfig
base_config(void)
{
	return (BsGenerateConfig){
		.versions = {BS_EXPORT_V5},
		.nversions = 1,
		.nexporters = 1,
		.ndomains = 1,
		.start_usec = NOW_USEC,
		.duration_msec = 10000,
		.population = {.as_pairs = 300, .addresses = 700, .seed = 42},
		.by_flow = true,
	};
}

/* Make 5000 records while the clock runs at 1000 records/s, read them, compare everything. */
static void
check(const BsGenerateConfig *config)
{
	BsGenerator *generator;
	Reader *reader;
	uint64_t made = 0;

	assert_null(bs_generator_check(config));
	generator = bs_generator_create(config);
	assert_non_null(generator);
	reader = reader_create(config, bs_generator_population(generator));
	while (made < 5000)
	{
		/* Of its own, so that a byte too many is seen. */
		uint8_t *buffer = malloc(BS_GENERATE_BUFFER);
		BsOutgoing out = {.data = buffer};

		bs_generator_next(generator, NOW_USEC + (int64_t) made * 1000, (uint32_t) (5000 - made),
						  &out);
		made += out.nrecords;
		if (out.len_bytes > 0)
			read_datagram(reader, &out, bs_generator_population(generator));
		free(buffer);
	}
	assert_int_equal(made, 5000);
	assert_totals(generator, bs_generator_totals(generator), reader);
	if (config->sampling_rate != 0 && config->versions[0] != BS_EXPORT_V5)
		assert_true(reader->sampling_seen > 0);
	reader_free(reader);
	bs_generator_free(generator);
}

static void
each_version(void (*change)(BsGenerateConfig *config))
{
	for (uint32_t v = 0; v <= BS_EXPORT_NVERSIONS; v++)
	{
		BsGenerateConfig config = base_config();

		config.versions[0] = (BsExportVersion) v;
		if (v == BS_EXPORT_NVERSIONS)
		{
			config.nversions = BS_EXPORT_NVERSIONS;
			config.nexporters = 7;
			for (uint32_t i = 0; i < BS_EXPORT_NVERSIONS; i++)
				config.versions[i] = (BsExportVersion) i;
		}
		change(&config);
		check(&config);
	}
}

/* The cases -------------------------------------------------------------------------------------
 */

static void
change_nothing(BsGenerateConfig *config)
{
	(void) config;
}

static void
change_exporters(BsGenerateConfig *config)
{
	config->nexporters = 5;
	config->ndomains = 3;
	config->first_domain = 100;
}

static void
change_sampling(BsGenerateConfig *config)
{
	config->sampling_rate = 1000;
	config->template_interval_usec = 300000;
}

static void
change_loss(BsGenerateConfig *config)
{
	config->loss = 0.3;
	config->nexporters += 2;
	config->sampling_rate = 10;
	config->template_interval_usec = 300000;
}

static void
change_time(BsGenerateConfig *config)
{
	config->fixed_time = true;
	config->time_step_usec = 123457;
	config->skew_msec = 30000;
	config->nexporters += 2;
}

/* An hour per record: the uptime's 32 bits of milliseconds wrap every 49.7 days. */
static void
change_uptime_wrap(BsGenerateConfig *config)
{
	config->fixed_time = true;
	config->start_usec = INT64_C(1000000000000000);
	config->time_step_usec = INT64_C(3600) * 1000000;
	/* Records of one datagram may not be 24 days apart. */
	config->records_per_datagram = 10;
}

static void
change_sequence_wrap(BsGenerateConfig *config)
{
	config->first_sequence = UINT32_MAX - 50;
	config->loss = 0.1;
}

static void
change_single_records(BsGenerateConfig *config)
{
	config->records_per_datagram = 1;
}

static void
change_narrow(BsGenerateConfig *config)
{
	config->template_kind = BS_TEMPLATE_NARROW;
}

static void
change_zipf(BsGenerateConfig *config)
{
	config->population.order = BS_ORDER_ZIPF;
	config->population.zipf_exponent = 1.1;
}

static void
change_sequential(BsGenerateConfig *config)
{
	config->population.order = BS_ORDER_SEQUENTIAL;
}

#define VERSION_TEST(name)                                                                         \
	static void test_##name(void **state)                                                          \
	{                                                                                              \
		(void) state;                                                                              \
		each_version(change_##name);                                                               \
	}

VERSION_TEST(nothing)
VERSION_TEST(exporters)
VERSION_TEST(sampling)
VERSION_TEST(loss)
VERSION_TEST(time)
VERSION_TEST(uptime_wrap)
VERSION_TEST(sequence_wrap)
VERSION_TEST(single_records)
VERSION_TEST(narrow)
VERSION_TEST(zipf)
VERSION_TEST(sequential)

static void
test_ipv6(void **state)
{
	(void) state;
	for (uint32_t v = BS_EXPORT_V9; v <= BS_EXPORT_IPFIX; v++)
		for (uint32_t kind = 0; kind < BS_TEMPLATE_NKINDS; kind++)
			for (uint32_t share = 1; share <= 2; share++)
			{
				BsGenerateConfig config = base_config();

				if (v == BS_EXPORT_V9 && kind == BS_TEMPLATE_VARLEN)
					continue;
				config.versions[0] = (BsExportVersion) v;
				config.template_kind = (BsTemplateKind) kind;
				config.population.ipv6_share = share / 2.0;
				config.sampling_rate = 7;
				config.loss = 0.05;
				check(&config);
			}
}

/* v5 exporters beside others take the IPv4 flows. */
static void
test_ipv6_mix(void **state)
{
	BsGenerateConfig config = base_config();

	(void) state;
	config.nversions = 3;
	config.versions[1] = BS_EXPORT_V9;
	config.versions[2] = BS_EXPORT_IPFIX;
	config.nexporters = 3;
	config.population.ipv6_share = 0.5;
	config.template_kind = BS_TEMPLATE_VARLEN;
	check(&config);
}

/* The windows are where the options say, not only where the datagrams say. */
static void
test_windows_are_known(void **state)
{
	BsGenerateConfig config = base_config();
	BsGenerator *generator;
	uint8_t buffer[BS_GENERATE_BUFFER];
	BsOutgoing out = {.data = buffer};
	BsWindowSums *windows;
	uint64_t made = 0;
	uint32_t n;

	(void) state;
	config.fixed_time = true;
	config.start_usec = INT64_C(1790000000) * 1000000; /* a multiple of 10 s, not of 5 min */
	config.time_step_usec = 100000;
	generator = bs_generator_create(&config);
	for (; made < 1000; made += out.nrecords)
		bs_generator_next(generator, NOW_USEC, (uint32_t) (1000 - made), &out);
	windows = bs_totals_windows(bs_generator_totals(generator), 10, &n);
	assert_int_equal(n, 10);
	for (uint32_t i = 0; i < n; i++)
	{
		assert_int_equal(windows[i].start_secs, 1790000000 + 10 * i);
		assert_int_equal(windows[i].sums.records, 100);
	}
	free(windows);
	windows = bs_totals_windows(bs_generator_totals(generator), 300, &n);
	/* 1790000000 is 200 s after a multiple of 300. */
	assert_int_equal(n, 1);
	assert_int_equal(windows[0].start_secs, 1789999800);
	free(windows);
	bs_generator_free(generator);
}

static void
test_same_seed_same_bytes(void **state)
{
	BsGenerateConfig config = base_config();
	BsGenerator *a;
	BsGenerator *b;
	uint32_t different = 0;

	(void) state;
	config.versions[0] = BS_EXPORT_IPFIX;
	config.loss = 0.1;
	a = bs_generator_create(&config);
	b = bs_generator_create(&config);
	for (uint32_t i = 0; i < 200; i++)
	{
		uint8_t left[BS_GENERATE_BUFFER];
		uint8_t right[BS_GENERATE_BUFFER];
		BsOutgoing first = {.data = left};
		BsOutgoing second = {.data = right};

		bs_generator_next(a, NOW_USEC, 1000, &first);
		bs_generator_next(b, NOW_USEC, 1000, &second);
		assert_int_equal(first.len_bytes, second.len_bytes);
		assert_memory_equal(left, right, first.len_bytes);
	}
	bs_generator_free(b);
	config.population.seed++;
	b = bs_generator_create(&config);
	for (uint32_t i = 0; i < 20; i++)
	{
		uint8_t left[BS_GENERATE_BUFFER];
		uint8_t right[BS_GENERATE_BUFFER];
		BsOutgoing first = {.data = left};
		BsOutgoing second = {.data = right};

		bs_generator_next(a, NOW_USEC, 1000, &first);
		bs_generator_next(b, NOW_USEC, 1000, &second);
		different +=
			first.len_bytes != second.len_bytes || memcmp(left, right, first.len_bytes) != 0;
	}
	assert_true(different > 15);
	bs_generator_free(a);
	bs_generator_free(b);
}

/* Once per round each, and no two rounds alike. */
static void
test_sequential_rounds(void **state)
{
	const uint32_t sizes[] = {1, 2, 3, 7, 64, 1000, 45000};

	(void) state;
	for (uint32_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		BsPopulationConfig config = {
			.order = BS_ORDER_SEQUENTIAL, .as_pairs = sizes[s], .addresses = 1, .seed = 5};
		BsPopulation *population = bs_population_create(&config);
		BsRandom random = {1};
		uint32_t *before = calloc(sizes[s], sizeof(*before));
		uint32_t fixed = 0;
		uint32_t ascending = 0;

		for (uint32_t round = 1; round <= 3; round++)
		{
			uint8_t *seen = calloc(sizes[s], 1);
			uint32_t last = 0;

			for (uint32_t i = 0; i < sizes[s]; i++)
			{
				uint32_t k = bs_population_draw(population, &random);

				assert_true(k < sizes[s]);
				assert_int_equal(seen[k], 0);
				seen[k] = 1;
				fixed += round > 1 && before[i] == k;
				ascending += k == last + 1;
				before[i] = last = k;
			}
			free(seen);
		}
		if (sizes[s] >= 1000)
		{
			assert_true(fixed < sizes[s] / 50);
			assert_true(ascending < sizes[s] / 50);
		}
		free(before);
		bs_population_free(population);
	}
}

static void
test_zipf_shares(void **state)
{
	BsPopulationConfig config = {.order = BS_ORDER_ZIPF,
								 .zipf_exponent = 1.2,
								 .as_pairs = 1000,
								 .addresses = 1000,
								 .seed = 9};
	BsPopulation *population = bs_population_create(&config);
	BsRandom random = {3};
	uint32_t counts[1000] = {0};
	const uint32_t ndraws = 1000000;
	double sum = 0;

	(void) state;
	for (uint32_t i = 0; i < ndraws; i++)
		counts[bs_population_draw(population, &random)]++;
	for (uint32_t k = 0; k < 1000; k++)
		sum += pow(k + 1, -1.2);
	for (uint32_t k = 0; k < 1000; k++)
	{
		double expected = ndraws * pow(k + 1, -1.2) / sum;

		/* Six standard deviations. */
		assert_true(fabs(counts[k] - expected) < 6 * sqrt(expected));
	}
	bs_population_free(population);
}

/* As many distinct pairs as asked for, of both kinds and both families. */
static void
test_pairs_are_distinct(void **state)
{
	BsPopulationConfig config = {
		.as_pairs = 45000, .addresses = 65536, .ipv6_share = 0.25, .seed = 2};
	BsPopulation *population = bs_population_create(&config);
	uint64_t *pairs = calloc(45000, sizeof(*pairs));
	uint32_t nipv6 = 0;

	(void) state;
	for (uint32_t k = 0; k < 65536; k++)
	{
		BsExportFlow flow;

		bs_population_flow(population, k, &flow);
		nipv6 += flow.is_ipv6;
		assert_in_range(flow.src_as, 1, 65535);
		assert_in_range(flow.dst_as, 1, 65535);
		if (k < 45000)
			pairs[k] = (uint64_t) flow.src_as << 32 | flow.dst_as;
		else
			assert_true(pairs[k - 45000] == ((uint64_t) flow.src_as << 32 | flow.dst_as));
	}
	assert_in_range(nipv6, 65536 / 4 - 1000, 65536 / 4 + 1000);
	for (uint32_t i = 0; i < 45000; i++)
	{
		/* A grid of 213 by 213: compare within rows and columns through a set of bits. */
		static uint8_t seen[65536 * 8];
		uint32_t bit = (uint32_t) (bs_mix64(pairs[i]) & (65536 * 64 - 1));

		if (seen[bit / 8] >> (bit % 8) & 1)
			for (uint32_t j = 0; j < i; j++)
				assert_true(pairs[j] != pairs[i]);
		seen[bit / 8] = (uint8_t) (seen[bit / 8] | 1 << (bit % 8));
	}
	free(pairs);
	bs_population_free(population);
}

static void
test_refused(void **state)
{
	BsGenerateConfig config = base_config();

	(void) state;
	config.records_per_datagram = 31;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.population.ipv6_share = 0.1;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.sampling_rate = 16384;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.template_kind = BS_TEMPLATE_VARLEN;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.population.addresses = 0;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.population.as_base = 16;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.first_domain = 65536;
	assert_non_null(bs_generator_check(&config));
	/* One flow, IPv6: the v5 exporter of a mix would look for another for ever. */
	config = base_config();
	config.nversions = 2;
	config.versions[1] = BS_EXPORT_V9;
	config.nexporters = 2;
	config.population.addresses = config.population.as_pairs = 1;
	config.population.ipv6_share = 0.999999;
	assert_non_null(bs_generator_check(&config));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_exporters),
		cmocka_unit_test(test_sampling),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_uptime_wrap),
		cmocka_unit_test(test_sequence_wrap),
		cmocka_unit_test(test_single_records),
		cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_zipf),
		cmocka_unit_test(test_sequential),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_ipv6_mix),
		cmocka_unit_test(test_windows_are_known),
		cmocka_unit_test(test_same_seed_same_bytes),
		cmocka_unit_test(test_sequential_rounds),
		cmocka_unit_test(test_zipf_shares),
		cmocka_unit_test(test_pairs_are_distinct),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
