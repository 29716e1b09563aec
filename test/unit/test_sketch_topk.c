/* SPDX-License-Identifier: PostgreSQL */
/* test_sketch_topk.c: space-saving against exact sums: its bounds, its merging, its memory, its bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../src/engine/sketch_topk.h"
#include "sketch_fixture.h"

#define NITEMS   50000 /* that may come */
#define NUPDATES 200000

typedef struct Update
{
	uint32_t item;
	uint32_t weight;
} Update;

typedef Update (*Draw)(uint64_t *seed, uint32_t i);

static Update
draw_uniform(uint64_t *seed, uint32_t i)
{
	(void) i;
	return (Update){(uint32_t) (fixture_random(seed) % NITEMS), 1};
}

static Update
draw_zipf(uint64_t *seed, uint32_t i)
{
	(void) i;
	return (Update){(uint32_t) fixture_zipf(seed, NITEMS - 1), 1};
}

static Update
draw_weighted(uint64_t *seed, uint32_t i)
{
	(void) i;
	return (Update){(uint32_t) (fixture_random(seed) % NITEMS),
					(uint32_t) fixture_zipf(seed, 4000000000u) + (fixture_random(seed) % 9 == 0)};
}

/* Heavy ones early and never again, then a flood of new ones: what holds memory of them? */
static Update
draw_early(uint64_t *seed, uint32_t i)
{
	(void) seed;
	return (Update){i < NUPDATES / 4 ? i % 20 : i % NITEMS, 1};
}

/* A flood of new ones, then heavy ones: they begin with the whole floor as their error. */
static Update
draw_late(uint64_t *seed, uint32_t i)
{
	return draw_early(seed, NUPDATES - 1 - i);
}

/* Each heavy one as soon as counters were given up; weights that grow and fall. */
static Update
draw_saw(uint64_t *seed, uint32_t i)
{
	(void) seed;
	return (Update){i % 3 == 0 ? i / 3000 : i % NITEMS, 1 + i % 1000 * (i % 7)};
}

/* Every counter is the same all through: ties wherever one looks. */
static Update
draw_cyclic(uint64_t *seed, uint32_t i)
{
	(void) seed;
	return (Update){i % 3000, 5};
}

static const Draw draws[] = {draw_uniform, draw_zipf, draw_weighted, draw_early,
							 draw_late,    draw_saw,  draw_cyclic};

#define NDRAWS (sizeof(draws) / sizeof(draws[0]))

static BsTopk *
make(Memory *memory, uint32_t k)
{
	BsTopk *topk;

	*memory = (Memory){.left = -1};
	topk = bs_topk_create(fixture_memory(memory), k);
	assert_non_null(topk);
	return topk;
}

static void
add(BsTopk *topk, Update update)
{
	BsBytes item = {.data = (const uint8_t *) &update.item, .len = sizeof(update.item)};

	assert_int_equal(bs_topk_add(topk, bs_sketch_mix(update.item), item, update.weight, NULL),
					 BS_SKETCH_OK);
}

static uint32_t
item_of(BsTopkCounter counter)
{
	uint32_t item;

	assert_int_equal(counter.item.len, sizeof(item));
	memcpy(&item, counter.item.data, sizeof(item));
	return item;
}

/* Everything that the header promises. */
static void
check_bounds(const BsTopk *topk, const uint64_t *sums)
{
	static uint8_t seen[NITEMS];
	BsUint128 floor = bs_topk_floor(topk);
	uint64_t total = 0;

	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < NITEMS; i++)
		total += sums[i];
	assert_true(bs_topk_total(topk) == total);
	assert_true(floor * bs_topk_kept(bs_topk_k(topk)) <= total);
	for (uint32_t n = 0; n < bs_topk_count(topk); n++)
	{
		BsTopkCounter counter = bs_topk_counter(topk, n);
		uint32_t item = item_of(counter);

		assert_int_equal(seen[item], 0);
		seen[item] = 1;
		assert_true(counter.lower <= sums[item] && sums[item] <= counter.upper);
		assert_true(counter.upper - counter.lower <= floor);
	}
	for (uint32_t i = 0; i < NITEMS; i++)
		assert_true(seen[i] || sums[i] <= floor);
}

static void
test_bounds(void **state)
{
	(void) state;

	static const uint32_t ks[] = {1, 10, 128, 200, 1000};
	static uint64_t sums[NITEMS];

	for (size_t d = 0; d < NDRAWS; d++)
		for (size_t k = 0; k < sizeof(ks) / sizeof(ks[0]); k++)
		{
			Memory memory;
			BsTopk *topk = make(&memory, ks[k]);
			uint64_t seed = 99;

			memset(sums, 0, sizeof(sums));
			for (uint32_t i = 0; i < NUPDATES; i++)
			{
				Update update = draws[d](&seed, i);

				add(topk, update);
				sums[update.item] += update.weight;
			}
			check_bounds(topk, sums);
			assert_true(bs_topk_count(topk) <= 2 * bs_topk_kept(ks[k]));
			assert_int_equal(bs_topk_trim(topk), BS_SKETCH_OK);
			assert_true(bs_topk_count(topk) <= bs_topk_kept(ks[k]));
			check_bounds(topk, sums);
			assert_int_equal(memory.used_bytes, bs_topk_bytes(topk));
			bs_topk_free(topk);
			assert_int_equal(memory.used_bytes, 0);
		}
}

/* Up to twice the counters that are kept, there is nothing to estimate. */
static void
test_exact(void **state)
{
	(void) state;

	static uint64_t sums[NITEMS];
	Memory memory;
	BsTopk *topk = make(&memory, 1000);

	memset(sums, 0, sizeof(sums));
	for (uint32_t i = 0; i < 100000; i++)
	{
		Update update = {i * i % 4000, i % 10};

		add(topk, update);
		sums[update.item] += update.weight;
	}
	check_bounds(topk, sums);
	assert_true(bs_topk_floor(topk) == 0);
	bs_topk_free(topk);
}

static uint8_t *
packed(BsTopk *topk, size_t *len)
{
	uint8_t *bytes;

	assert_int_equal(bs_topk_trim(topk), BS_SKETCH_OK);
	bytes = malloc(bs_topk_packed_bound(topk));
	*len = bs_topk_pack(topk, bytes);
	assert_true(*len <= bs_topk_packed_bound(topk));
	return bytes;
}

/* Through bytes, as states travel. */
static BsTopk *
travelled(BsTopk *topk, Memory *memory)
{
	size_t len;
	uint8_t *bytes = packed(topk, &len);
	BsTopk *copy;

	*memory = (Memory){.left = -1};
	assert_int_equal(bs_topk_unpack(fixture_memory(memory), bytes, len, &copy), BS_SKETCH_OK);
	free(bytes);
	bs_topk_free(topk);
	return copy;
}

/*
 * Parts merged one after the other, backwards, in pairs, and at random: all bounds hold for all of
 * them, in memory and through bytes.
 */
static void
check_merge(Draw draw, uint32_t k, uint32_t nparts, int order)
{
	static uint64_t sums[NITEMS];
	Memory memory[32];
	BsTopk *parts[32];
	uint64_t seed = 4711;
	uint32_t left = nparts;

	memset(sums, 0, sizeof(sums));
	for (uint32_t p = 0; p < nparts; p++)
		parts[p] = make(&memory[p], k);
	for (uint32_t i = 0; i < NUPDATES; i++)
	{
		Update update = draw(&seed, i);
		/* Of unequal sizes; order 3 deals the updates out. */
		uint32_t p = (uint32_t) ((uint64_t) i * i / NUPDATES * nparts / NUPDATES);

		add(parts[order == 3 ? i % nparts : p], update);
		sums[update.item] += update.weight;
	}
	while (left > 1)
	{
		uint32_t a = order == 0   ? 0
					 : order == 1 ? left - 2
								  : (uint32_t) (fixture_random(&seed) % (left - 1));
		BsTopk *merged;

		if (order >= 2)
			parts[a] = travelled(parts[a], &memory[a]);
		if (order == 3)
			parts[left - 1] = travelled(parts[left - 1], &memory[left - 1]);
		assert_int_equal(bs_topk_merge(parts[a], parts[left - 1], NULL), BS_SKETCH_OK);
		merged = parts[left - 1];
		bs_topk_free(merged);
		left--;
	}
	check_bounds(parts[0], sums);
	bs_topk_free(parts[0]);
}

static void
test_merge(void **state)
{
	(void) state;

	for (size_t d = 0; d < NDRAWS; d++)
		for (int order = 0; order < 4; order++)
		{
			check_merge(draws[d], 10, 2 + 5 * (uint32_t) d, order);
			check_merge(draws[d], 600, 9, order);
		}
}

static void
test_merge_empty_and_mismatch(void **state)
{
	(void) state;

	static uint64_t sums[NITEMS];
	Memory memory[3];
	BsTopk *a = make(&memory[0], 10);
	BsTopk *b = make(&memory[1], 10);
	BsTopk *c = make(&memory[2], 11);

	memset(sums, 0, sizeof(sums));
	assert_int_equal(bs_topk_merge(a, b, NULL), BS_SKETCH_OK);
	assert_int_equal(bs_topk_merge(a, c, NULL), BS_SKETCH_MISMATCH);
	add(b, (Update){3, 7});
	sums[3] = 7;
	assert_int_equal(bs_topk_merge(a, b, NULL), BS_SKETCH_OK);
	check_bounds(a, sums);
	bs_topk_free(a);
	bs_topk_free(b);
	bs_topk_free(c);
}

/* The k heaviest of a Zipf distribution are found, in their order as far as bounds part them. */
static void
test_finds_heavy(void **state)
{
	(void) state;

	static uint64_t sums[NITEMS];
	Memory memory;
	BsTopk *topk = make(&memory, 10);
	uint64_t seed = 5;
	uint32_t found = 0;

	memset(sums, 0, sizeof(sums));
	for (uint32_t i = 0; i < NUPDATES; i++)
	{
		Update update = draw_zipf(&seed, i);

		add(topk, update);
		sums[update.item]++;
	}
	for (uint32_t n = 0; n < bs_topk_count(topk); n++)
		found += item_of(bs_topk_counter(topk, n)) <= 10;
	assert_int_equal(found, 10);
	bs_topk_free(topk);
}

/* Sums beyond 64 bits. */
static void
test_large_weights(void **state)
{
	(void) state;

	Memory memory;
	BsTopk *topk = make(&memory, 3);
	BsBytes item = {.data = (const uint8_t *) "x", .len = 1};

	for (int i = 0; i < 5; i++)
		assert_int_equal(bs_topk_add(topk, 1, item, UINT64_MAX, NULL), BS_SKETCH_OK);
	topk = travelled(topk, &memory);
	assert_true(bs_topk_total(topk) == (BsUint128) UINT64_MAX * 5);
	assert_true(bs_topk_counter(topk, 0).lower == (BsUint128) UINT64_MAX * 5);
	bs_topk_free(topk);
}

static bool
equal_letters(void *context, BsBytes a, BsBytes b)
{
	(void) context;
	return a.len > 0 && b.len > 0 && (a.data[0] | 0x20) == (b.data[0] | 0x20);
}

/* Equal hashes: told apart by bytes, or by what the caller says. */
static void
test_equality(void **state)
{
	(void) state;

	const BsTopkEqual letters = {equal_letters, NULL};
	const BsBytes big = {.data = (const uint8_t *) "A", .len = 1};
	const BsBytes small = {.data = (const uint8_t *) "a", .len = 1};
	const BsBytes none = {.data = NULL, .len = 0};
	Memory memory;
	BsTopk *topk = make(&memory, 3);

	assert_int_equal(bs_topk_add(topk, 42, big, 1, NULL), BS_SKETCH_OK);
	assert_int_equal(bs_topk_add(topk, 42, small, 1, NULL), BS_SKETCH_OK);
	assert_int_equal(bs_topk_add(topk, 42, none, 1, NULL), BS_SKETCH_OK);
	assert_int_equal(bs_topk_count(topk), 3);
	topk = travelled(topk, &memory);
	assert_int_equal(bs_topk_count(topk), 3);
	bs_topk_free(topk);
	topk = make(&memory, 3);
	assert_int_equal(bs_topk_add(topk, 42, big, 1, &letters), BS_SKETCH_OK);
	assert_int_equal(bs_topk_add(topk, 42, small, 1, &letters), BS_SKETCH_OK);
	assert_int_equal(bs_topk_count(topk), 1);
	assert_true(bs_topk_counter(topk, 0).lower == 2);
	bs_topk_free(topk);
}

/* All hashes the same, and items of all lengths: slow, but right. */
static void
test_colliding(void **state)
{
	(void) state;

	static uint8_t bytes[BS_TOPK_MAX_ITEM_BYTES + 1];
	Memory memory;
	BsTopk *topk = make(&memory, 10);

	for (uint32_t i = 0; i < 3000; i++)
	{
		BsBytes item = {.data = bytes, .len = i % (BS_TOPK_MAX_ITEM_BYTES + 1)};

		bytes[0] = (uint8_t) (i / 700);
		assert_int_equal(bs_topk_add(topk, 0, item, 1, NULL), BS_SKETCH_OK);
	}
	assert_true(bs_topk_total(topk) == 3000);
	assert_true(bs_topk_floor(topk) * 256 <= 3000);
	assert_int_equal(
		bs_topk_add(topk, 0, (BsBytes){.data = bytes, .len = BS_TOPK_MAX_ITEM_BYTES + 1}, 1, NULL),
		BS_SKETCH_TOO_LONG);
	bs_topk_free(topk);
	assert_int_equal(memory.used_bytes, 0);
}

/* What the header states, with items of 6 bytes, as IPv4 addresses are. */
static void
check_memory(uint32_t k, size_t most, size_t most_packed)
{
	Memory memory;
	BsTopk *topk = make(&memory, k);
	uint64_t seed = 3;
	size_t len;
	uint8_t *bytes;

	for (uint32_t i = 0; i < NUPDATES; i++)
	{
		uint64_t value = fixture_random(&seed);

		assert_int_equal(bs_topk_add(topk, bs_sketch_mix(value),
									 (BsBytes){.data = (const uint8_t *) &value, .len = 6},
									 1 + value % 1500, NULL),
						 BS_SKETCH_OK);
	}
	assert_true(memory.used_bytes <= most);
	bytes = packed(topk, &len);
	assert_true(len <= most_packed);
	free(bytes);
	bs_topk_free(topk);
}

static void
test_memory(void **state)
{
	(void) state;

	Memory memory;
	BsTopk *topk = make(&memory, 1000);

	add(topk, (Update){1, 1});
	assert_true(memory.used_bytes <= 1400);
	bs_topk_free(topk);
	check_memory(10, 33 * 1024, 6 * 1024);
	check_memory(1000, 260 * 1024, 45 * 1024);
}

/* Every cut is refused; every change of a byte is refused or understood, never more. */
static void
test_corrupt(void **state)
{
	(void) state;

	Memory memory;
	BsTopk *topk = make(&memory, 200);
	Memory memory_copy = {.left = -1};
	BsTopk *copy;
	size_t len;
	uint8_t *bytes;

	for (uint32_t i = 0; i < 20; i++)
		add(topk, (Update){i, i * i * i});
	bytes = packed(topk, &len);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(bs_topk_unpack(fixture_memory(&memory_copy), bytes, cut, &copy),
						 BS_SKETCH_CORRUPT);
	for (size_t i = 0; i < len * 255; i++)
	{
		uint8_t change = (uint8_t) (i % 255 + 1);

		bytes[i / 255] ^= change;
		if (bs_topk_unpack(fixture_memory(&memory_copy), bytes, len, &copy) == BS_SKETCH_OK)
		{
			(void) bs_topk_merge(copy, topk, NULL);
			assert_int_equal(bs_topk_trim(copy), BS_SKETCH_OK);
			bs_topk_free(copy);
		}
		else
			assert_null(copy);
		bytes[i / 255] ^= change;
	}
	free(bytes);
	bs_topk_free(topk);
	assert_int_equal(memory_copy.used_bytes, 0);
}

static void
test_no_memory(void **state)
{
	(void) state;

	for (long left = 0; left < 40; left++)
	{
		Memory memory = {.left = left};
		BsTopk *topk = bs_topk_create(fixture_memory(&memory), 10);
		BsSketchStatus status = BS_SKETCH_OK;

		for (uint32_t i = 0; topk != NULL && i < 3000 && status == BS_SKETCH_OK; i++)
			status = bs_topk_add(topk, bs_sketch_mix(i),
								 (BsBytes){.data = (const uint8_t *) &i, .len = 4}, 1, NULL);
		assert_true(status == BS_SKETCH_OK || (status == BS_SKETCH_NO_MEMORY && left < 39));
		bs_topk_free(topk);
		assert_int_equal(memory.used_bytes, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),      cmocka_unit_test(test_exact),
		cmocka_unit_test(test_merge),       cmocka_unit_test(test_merge_empty_and_mismatch),
		cmocka_unit_test(test_finds_heavy), cmocka_unit_test(test_large_weights),
		cmocka_unit_test(test_equality),    cmocka_unit_test(test_colliding),
		cmocka_unit_test(test_memory),      cmocka_unit_test(test_corrupt),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
