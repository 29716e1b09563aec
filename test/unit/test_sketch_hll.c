/* SPDX-License-Identifier: PostgreSQL */
/* test_sketch_hll.c: HyperLogLog: its error, its merging, its memory, its bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../src/engine/sketch_hll.h"
#include "sketch_fixture.h"

static BsHll *
make(Memory *memory)
{
	BsHll *hll;

	*memory = (Memory){.left = -1};
	hll = bs_hll_create(fixture_memory(memory));
	assert_non_null(hll);
	return hll;
}

static void
add_range(BsHll *hll, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++)
		assert_int_equal(bs_hll_add(hll, bs_sketch_mix(i)), BS_SKETCH_OK);
}

static uint8_t *
packed(const BsHll *hll, size_t *len)
{
	uint8_t *bytes;

	*len = bs_hll_packed_bytes(hll);
	bytes = malloc(*len);
	bs_hll_pack(hll, bytes);
	return bytes;
}

/* Small sets are exact, but for places of 2^25 that two values share. */
static void
test_small(void **state)
{
	(void) state;

	Memory memory;

	for (uint64_t n = 0; n <= BS_HLL_SPARSE_MAX; n = n * 3 / 2 + 1)
	{
		BsHll *hll = make(&memory);

		add_range(hll, n * 1000000, n * 1000000 + n);
		add_range(hll, n * 1000000, n * 1000000 + n / 2);
		assert_true(fabs(bs_hll_estimate(hll) - (double) n) < 1.5);
		bs_hll_free(hll);
		assert_int_equal(memory.used_bytes, 0);
	}
}

/*
 * The error has no bias to speak of and the deviation that is stated: over 100 sets of each size the
 * mean of the relative error is within four deviations of 0 and its root mean square at most a
 * third more than stated.
 */
static void
test_error(void **state)
{
	(void) state;

	static const uint64_t sizes[] = {3500, 10000, 40000, 70000, 200000};
	const double deviation = 1.04 / sqrt(BS_HLL_REGISTERS);
	Memory memory;

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		double sum = 0;
		double squares = 0;

		for (uint64_t set = 0; set < 100; set++)
		{
			BsHll *hll = make(&memory);
			double error;

			add_range(hll, set << 40, (set << 40) + sizes[s]);
			error = bs_hll_estimate(hll) / (double) sizes[s] - 1;
			sum += error;
			squares += error * error;
			assert_true(fabs(error) < 5 * deviation);
			bs_hll_free(hll);
		}
		assert_true(fabs(sum / 100) < 4 * deviation / 10);
		assert_true(sqrt(squares / 100) < deviation * 4 / 3);
	}
}

/* How often a value comes is of no matter, nor is the order. */
static void
test_repeated(void **state)
{
	(void) state;

	Memory memory;
	BsHll *once = make(&memory);
	Memory memory_often;
	BsHll *often = make(&memory_often);
	uint64_t seed = 7;
	uint8_t seen[20001] = {0};
	double n = 0;

	for (int i = 0; i < 400000; i++)
	{
		uint64_t value = fixture_zipf(&seed, 20000);

		assert_int_equal(bs_hll_add(often, bs_sketch_mix(value)), BS_SKETCH_OK);
		n += seen[value] == 0;
		seen[value] = 1;
	}
	for (uint64_t i = 20000; i > 0; i--)
		if (seen[i])
			assert_int_equal(bs_hll_add(once, bs_sketch_mix(i)), BS_SKETCH_OK);
	assert_true(bs_hll_estimate(once) == bs_hll_estimate(often));
	assert_true(fabs(bs_hll_estimate(once) / n - 1) < 0.04);
	bs_hll_free(once);
	bs_hll_free(often);
}

/* Hashes whose further bits are all 0, or all 1: the registers' ends. */
static void
test_extreme_hashes(void **state)
{
	(void) state;

	Memory memory;
	BsHll *hll = make(&memory);

	for (uint64_t i = 0; i < BS_HLL_REGISTERS; i++)
		assert_int_equal(bs_hll_add(hll, i << (64 - BS_HLL_PRECISION)), BS_SKETCH_OK);
	assert_true(bs_hll_estimate(hll) > 1e15);
	bs_hll_free(hll);
	hll = make(&memory);
	for (uint64_t i = 0; i < BS_HLL_REGISTERS; i++)
		assert_int_equal(bs_hll_add(hll, ((i + 1) << (64 - BS_HLL_PRECISION)) - 1), BS_SKETCH_OK);
	assert_true(bs_hll_estimate(hll) > 8192);
	assert_true(bs_hll_estimate(hll) < 32768);
	bs_hll_free(hll);
}

static void
check_merged(const uint64_t *sizes, uint32_t nparts)
{
	Memory memory[8];
	BsHll *parts[8];
	Memory memory_all;
	BsHll *all = make(&memory_all);
	Memory memory_back;
	BsHll *back = make(&memory_back);
	uint64_t next = 0;
	uint64_t first = 0;

	for (uint32_t i = 0; i < nparts; i++)
	{
		parts[i] = make(&memory[i]);
		/* Overlapping by a half. */
		add_range(parts[i], first, first + sizes[i]);
		next = first + sizes[i] > next ? first + sizes[i] : next;
		first += sizes[i] / 2;
	}
	add_range(all, 0, next);
	for (uint32_t i = nparts; i > 0; i--)
		assert_int_equal(bs_hll_merge(back, parts[i - 1]), BS_SKETCH_OK);
	for (uint32_t i = 1; i < nparts; i++)
		assert_int_equal(bs_hll_merge(parts[0], parts[i]), BS_SKETCH_OK);
	assert_true(bs_hll_estimate(parts[0]) == bs_hll_estimate(all));
	assert_true(bs_hll_estimate(back) == bs_hll_estimate(all));
	assert_int_equal(bs_hll_packed_bytes(parts[0]), bs_hll_packed_bytes(all));
	for (uint32_t i = 0; i < nparts; i++)
		bs_hll_free(parts[i]);
	bs_hll_free(all);
	bs_hll_free(back);
}

static void
test_merge(void **state)
{
	(void) state;

	check_merged((uint64_t[]){5, 0, 100}, 3);
	check_merged((uint64_t[]){2000, 1500, 20, 3000}, 4);
	check_merged((uint64_t[]){3072, 3072}, 2);
	check_merged((uint64_t[]){100, 50000, 10}, 3);
	check_merged((uint64_t[]){100000, 70000, 3000, 1, 4000}, 5);
}

/* unpack(pack(x)) = x, whatever form it has. */
static void
test_pack(void **state)
{
	(void) state;

	for (uint64_t n = 0; n < 40000; n = n * 5 / 3 + 1)
	{
		Memory memory;
		BsHll *hll = make(&memory);
		BsHll *copy;
		size_t len;
		size_t len_copy;
		uint8_t *bytes;
		uint8_t *bytes_copy;

		add_range(hll, 0, n);
		bytes = packed(hll, &len);
		assert_true(len <= BS_HLL_PACKED_MAX);
		assert_int_equal(bs_hll_unpack(fixture_memory(&memory), bytes, len, &copy), BS_SKETCH_OK);
		assert_true(bs_hll_estimate(copy) == bs_hll_estimate(hll));
		bytes_copy = packed(copy, &len_copy);
		assert_int_equal(len, len_copy);
		if (n > BS_HLL_SPARSE_MAX)
			assert_int_equal(memcmp(bytes, bytes_copy, len), 0);
		free(bytes);
		free(bytes_copy);
		bs_hll_free(hll);
		bs_hll_free(copy);
		assert_int_equal(memory.used_bytes, 0);
	}
}

/* Every cut and every change of a byte is refused or understood, never more. */
static void
test_corrupt(void **state)
{
	(void) state;

	static const uint64_t sizes[] = {0, 3, 40};
	Memory memory;
	BsHll *copy;

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		BsHll *hll = make(&memory);
		size_t len;
		uint8_t *bytes;

		add_range(hll, 0, sizes[s]);
		bytes = packed(hll, &len);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(bs_hll_unpack(fixture_memory(&memory), bytes, cut, &copy),
							 BS_SKETCH_CORRUPT);
		for (size_t i = 0; i < len * 255; i++)
		{
			uint8_t change = (uint8_t) (i % 255 + 1);

			bytes[i / 255] ^= change;
			if (bs_hll_unpack(fixture_memory(&memory), bytes, len, &copy) == BS_SKETCH_OK)
				bs_hll_free(copy);
			else
				assert_null(copy);
			bytes[i / 255] ^= change;
		}
		free(bytes);
		bs_hll_free(hll);
		assert_int_equal(memory.used_bytes, 0);
	}
}

/* What the header states. */
static void
test_memory(void **state)
{
	(void) state;

	Memory memory;
	BsHll *hll = make(&memory);

	add_range(hll, 0, 12);
	assert_true(bs_hll_bytes(hll) <= 64 + 96);
	assert_int_equal(bs_hll_bytes(hll), memory.used_bytes);
	add_range(hll, 12, 1536);
	assert_true(memory.used_bytes <= 8192 + 96);
	add_range(hll, 1536, 1000000);
	assert_true(memory.used_bytes <= 16384 + 96);
	assert_int_equal(bs_hll_bytes(hll), memory.used_bytes);
	assert_true(memory.peak_bytes <= 2 * 16384 + 96);
	bs_hll_free(hll);
}

/* Running out of memory at any point is a status, and leaks nothing. */
static void
test_no_memory(void **state)
{
	(void) state;

	for (long left = 0; left < 12; left++)
	{
		Memory memory = {.left = left};
		BsHll *hll = bs_hll_create(fixture_memory(&memory));
		BsSketchStatus status = BS_SKETCH_OK;

		for (uint64_t i = 0; hll != NULL && i < 4000 && status == BS_SKETCH_OK; i++)
			status = bs_hll_add(hll, bs_sketch_mix(i));
		assert_true(status == BS_SKETCH_OK || (status == BS_SKETCH_NO_MEMORY && left < 11));
		assert_true(left >= 2 || hll == NULL);
		bs_hll_free(hll);
		assert_int_equal(memory.used_bytes, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),     cmocka_unit_test(test_error),
		cmocka_unit_test(test_repeated),  cmocka_unit_test(test_extreme_hashes),
		cmocka_unit_test(test_merge),     cmocka_unit_test(test_pack),
		cmocka_unit_test(test_corrupt),   cmocka_unit_test(test_memory),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
