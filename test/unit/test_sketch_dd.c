/* SPDX-License-Identifier: PostgreSQL */
/* test_sketch_dd.c: DDSketch against sorted arrays: its bound, its merging, its memory, its bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../src/engine/sketch_dd.h"
#include "sketch_fixture.h"

#define NVALUES 20000

typedef double (*Draw)(uint64_t *seed, uint64_t i);

static double
draw_uniform(uint64_t *seed, uint64_t i)
{
	(void) i;
	return 1 + 1e6 * fixture_uniform(seed);
}

static double
draw_zipf(uint64_t *seed, uint64_t i)
{
	(void) i;
	return (double) fixture_zipf(seed, 1000000000);
}

/* Packet lengths: few values, most of the mass at two of them. */
static double
draw_lengths(uint64_t *seed, uint64_t i)
{
	(void) i;
	return fixture_uniform(seed) < 0.45 ? 40 : 40 + (double) (fixture_random(seed) % 3) * 730;
}

static double
draw_signed(uint64_t *seed, uint64_t i)
{
	double u = fixture_uniform(seed) - 0.5;

	(void) i;
	return i % 11 == 0 ? 0 : u * u * u * 1e9;
}

/* Ever larger, over all that the bins can span. */
static double
draw_rising(uint64_t *seed, uint64_t i)
{
	(void) seed;
	return exp((double) i * (40.0 / NVALUES));
}

static double
draw_falling(uint64_t *seed, uint64_t i)
{
	return -draw_rising(seed, NVALUES - i);
}

/* The ends of bins, as near as numbers come. */
static double
draw_bounds(uint64_t *seed, uint64_t i)
{
	double bound = pow(1.0202, (double) (i % 1000));

	(void) seed;
	return i % 3 == 0 ? bound : nextafter(bound, i % 3 == 1 ? 0 : INFINITY);
}

static const Draw draws[] = {draw_uniform, draw_zipf,    draw_lengths, draw_signed,
							 draw_rising,  draw_falling, draw_bounds};

#define NDRAWS (sizeof(draws) / sizeof(draws[0]))

static BsDd *
make(Memory *memory)
{
	BsDd *dd;

	*memory = (Memory){.left = -1};
	dd = bs_dd_create(fixture_memory(memory));
	assert_non_null(dd);
	return dd;
}

static void
draw_values(Draw draw, double *values)
{
	uint64_t seed = 12345;

	for (uint64_t i = 0; i < NVALUES; i++)
		values[i] = draw(&seed, i);
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

/* All quantiles are within the bound of those of the values, which are sorted here. */
static void
check_quantiles(const BsDd *dd, double *values, uint64_t n)
{
	qsort(values, n, sizeof(double), compare_doubles);
	assert_int_equal(bs_dd_count(dd), n);
	for (double fraction = 0; fraction <= 1; fraction += 1.0 / 512)
	{
		uint64_t rank = (uint64_t) ceil(fraction * (double) n);
		double exact = values[rank == 0 ? 0 : rank - 1];

		assert_true(fabs(bs_dd_quantile(dd, fraction) - exact) <= BS_DD_ALPHA * fabs(exact));
	}
	assert_true(bs_dd_quantile(dd, 0) == values[0]);
	assert_true(bs_dd_quantile(dd, 1) == values[n - 1]);
}

static void
test_bound(void **state)
{
	(void) state;

	static double values[NVALUES];

	for (size_t d = 0; d < NDRAWS; d++)
	{
		Memory memory;
		BsDd *dd = make(&memory);

		draw_values(draws[d], values);
		for (int i = 0; i < NVALUES; i++)
			assert_int_equal(bs_dd_add(dd, values[i]), BS_SKETCH_OK);
		check_quantiles(dd, values, NVALUES);
		assert_int_equal(memory.used_bytes, bs_dd_bytes(dd));
		bs_dd_free(dd);
		assert_int_equal(memory.used_bytes, 0);
	}
}

/* Every double has a bin that is its own to within the bound. */
static void
test_every_magnitude(void **state)
{
	(void) state;

	Memory memory;

	for (int exponent = -1021; exponent <= 1023; exponent++)
	{
		BsDd *dd = make(&memory);
		double value = ldexp(1.37, exponent);

		for (int i = -1; i <= 1; i++)
			assert_int_equal(bs_dd_add(dd, value * (1 + i * 0.25)), BS_SKETCH_OK);
		assert_true(fabs(bs_dd_quantile(dd, 0.5) - value) <= BS_DD_ALPHA * value);
		bs_dd_free(dd);
	}
}

static void
test_special(void **state)
{
	(void) state;

	static const double values[] = {-INFINITY, -3,  0,  -0.0, 5e-324, 1.7976931348623157e308,
									INFINITY,  NAN, NAN};
	Memory memory;
	BsDd *dd = make(&memory);

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(bs_dd_add(dd, values[i]), BS_SKETCH_OK);
	assert_int_equal(bs_dd_count(dd), 9);
	assert_true(bs_dd_quantile(dd, 0) == -INFINITY);
	assert_true(bs_dd_quantile(dd, 2.0 / 9) == -3);
	assert_true(bs_dd_quantile(dd, 3.0 / 9) == 0);
	assert_true(bs_dd_quantile(dd, 6.0 / 9) == 1.7976931348623157e308);
	assert_true(bs_dd_quantile(dd, 7.0 / 9) == INFINITY);
	assert_true(isnan(bs_dd_quantile(dd, 8.0 / 9)));
	assert_true(isnan(bs_dd_quantile(dd, 1)));
	bs_dd_free(dd);
}

static uint8_t *
packed(const BsDd *dd, size_t *len)
{
	uint8_t *bytes = malloc(bs_dd_packed_bound(dd));

	*len = bs_dd_pack(dd, bytes);
	assert_true(*len <= bs_dd_packed_bound(dd));
	assert_true(*len <= BS_DD_PACKED_MAX);
	return bytes;
}

static void
assert_same(const BsDd *a, const BsDd *b)
{
	size_t len_a;
	size_t len_b;
	uint8_t *bytes_a = packed(a, &len_a);
	uint8_t *bytes_b = packed(b, &len_b);

	assert_int_equal(len_a, len_b);
	assert_int_equal(memcmp(bytes_a, bytes_b, len_a), 0);
	free(bytes_a);
	free(bytes_b);
}

/*
 * Wider than the bins can span, so that the lowest collapse: quantiles above keep their bound.  Merged
 * in any order it is the sketch of all values, bit by bit.
 */
static double
draw_wide(uint64_t *seed, uint64_t i)
{
	double magnitude = exp(700 * (fixture_uniform(seed) - 0.5));

	return i % 3 == 0 ? -magnitude : magnitude;
}

static void
check_merge(Draw draw, uint32_t nparts)
{
	static double values[NVALUES];
	Memory memory[16];
	BsDd *parts[16];
	Memory memory_all;
	BsDd *all = make(&memory_all);
	Memory memory_back;
	BsDd *back = make(&memory_back);

	draw_values(draw, values);
	for (uint32_t p = 0; p < nparts; p++)
		parts[p] = make(&memory[p]);
	for (uint32_t i = 0; i < NVALUES; i++)
	{
		/* Of unequal sizes, the first parts with the first values. */
		uint32_t p = (uint32_t) ((uint64_t) i * i / NVALUES * nparts / NVALUES);

		assert_int_equal(bs_dd_add(parts[p], values[i]), BS_SKETCH_OK);
		assert_int_equal(bs_dd_add(all, values[i]), BS_SKETCH_OK);
	}
	for (uint32_t p = nparts; p > 0; p--)
		assert_int_equal(bs_dd_merge(back, parts[p - 1]), BS_SKETCH_OK);
	assert_same(back, all);
	/* In pairs, and pairs of pairs. */
	for (uint32_t step = 1; step < nparts; step *= 2)
		for (uint32_t p = 0; p + step < nparts; p += 2 * step)
			assert_int_equal(bs_dd_merge(parts[p], parts[p + step]), BS_SKETCH_OK);
	assert_same(parts[0], all);
	for (uint32_t p = 0; p < nparts; p++)
		bs_dd_free(parts[p]);
	bs_dd_free(all);
	bs_dd_free(back);
}

static void
test_merge(void **state)
{
	(void) state;

	for (size_t d = 0; d < NDRAWS; d++)
		check_merge(draws[d], 2 + 3 * (uint32_t) d % 14);
	check_merge(draw_wide, 7);
}

static void
test_collapsed(void **state)
{
	(void) state;

	static double values[NVALUES];
	Memory memory;
	BsDd *dd = make(&memory);
	double greatest;

	draw_values(draw_wide, values);
	for (int i = 0; i < NVALUES; i++)
		assert_int_equal(bs_dd_add(dd, values[i]), BS_SKETCH_OK);
	qsort(values, NVALUES, sizeof(double), compare_doubles);
	greatest = values[NVALUES - 1];
	for (int i = 0; i < NVALUES; i++)
	{
		/* The middle of the rank, so that rounding cannot take its neighbour. */
		double found = bs_dd_quantile(dd, ((double) i + 0.5) / NVALUES);

		if (values[i] > greatest / 6e17 || values[i] < values[0] / 6e17)
			assert_true(fabs(found - values[i]) <= BS_DD_ALPHA * fabs(values[i]));
		else
			assert_true(found >= values[0] / 5.8e17 && found <= greatest / 5.8e17);
	}
	assert_true(bs_dd_bytes(dd) <= 32768 + 200);
	assert_true(memory.peak_bytes <= 2 * 32768 + 200);
	bs_dd_free(dd);
}

static void
test_pack(void **state)
{
	(void) state;

	static double values[NVALUES];

	for (size_t d = 0; d < NDRAWS; d++)
	{
		Memory memory;
		BsDd *dd = make(&memory);
		BsDd *copy;

		draw_values(draws[d], values);
		for (int i = 0; i <= NVALUES; i++)
		{
			size_t len;
			uint8_t *bytes;

			if (i < 3 || i == NVALUES)
			{
				bytes = packed(dd, &len);
				assert_int_equal(bs_dd_unpack(fixture_memory(&memory), bytes, len, &copy),
								 BS_SKETCH_OK);
				assert_same(dd, copy);
				bs_dd_free(copy);
				free(bytes);
			}
			if (i < NVALUES)
				assert_int_equal(bs_dd_add(dd, values[i]), BS_SKETCH_OK);
		}
		bs_dd_free(dd);
		assert_int_equal(memory.used_bytes, 0);
	}
}

/* Every cut is refused; every change of a byte is refused or understood, never more. */
static void
test_corrupt(void **state)
{
	(void) state;

	Memory memory;
	BsDd *dd = make(&memory);
	BsDd *copy;
	size_t len;
	uint8_t *bytes;

	for (int i = -5; i < 20; i++)
		assert_int_equal(bs_dd_add(dd, i * i * i * 1000.5), BS_SKETCH_OK);
	bytes = packed(dd, &len);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(bs_dd_unpack(fixture_memory(&memory), bytes, cut, &copy),
						 BS_SKETCH_CORRUPT);
	for (size_t i = 0; i < len * 255; i++)
	{
		uint8_t change = (uint8_t) (i % 255 + 1);

		bytes[i / 255] ^= change;
		if (bs_dd_unpack(fixture_memory(&memory), bytes, len, &copy) == BS_SKETCH_OK)
		{
			if (bs_dd_count(copy) > 0)
				(void) bs_dd_quantile(copy, 0.3);
			bs_dd_free(copy);
		}
		else
			assert_null(copy);
		bytes[i / 255] ^= change;
	}
	free(bytes);
	bs_dd_free(dd);
	assert_int_equal(memory.used_bytes, 0);
}

static void
test_no_memory(void **state)
{
	(void) state;

	for (long left = 0; left < 16; left++)
	{
		Memory memory = {.left = left};
		BsDd *dd = bs_dd_create(fixture_memory(&memory));
		BsSketchStatus status = BS_SKETCH_OK;

		for (int i = 0; dd != NULL && i < 4000 && status == BS_SKETCH_OK; i++)
			status = bs_dd_add(dd, exp(i * 0.01) * (i % 2 == 0 ? 1 : -1));
		assert_true(status == BS_SKETCH_OK || status == BS_SKETCH_NO_MEMORY);
		assert_true(status == BS_SKETCH_OK || left < 15);
		bs_dd_free(dd);
		assert_int_equal(memory.used_bytes, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),     cmocka_unit_test(test_every_magnitude),
		cmocka_unit_test(test_special),   cmocka_unit_test(test_merge),
		cmocka_unit_test(test_collapsed), cmocka_unit_test(test_pack),
		cmocka_unit_test(test_corrupt),   cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
