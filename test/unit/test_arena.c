/* SPDX-License-Identifier: PostgreSQL */
/* test_arena.c: the allocator: blocks do not overlap, everything comes back, faults are answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/engine/arena.h"

#define USABLE (8u << 20)

static uint64_t random_state = 88172645463325252u;

static uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void
block_sizes(void **state)
{
	(void) state;
	assert_int_equal(bs_arena_block_bytes(1), 64);
	assert_int_equal(bs_arena_block_bytes(64), 64);
	assert_int_equal(bs_arena_block_bytes(65), 128);
	assert_int_equal(bs_arena_block_bytes(BS_ARENA_MAX_BLOCK), BS_ARENA_MAX_BLOCK);
}

static void
too_small_or_too_large(void **state)
{
	void *memory = calloc(1, 4096);
	BsArena *arena = bs_arena_create(bs_arena_size_for(USABLE));

	(void) state;
	assert_null(bs_arena_init(memory, 4096));
	assert_int_equal(bs_arena_alloc(arena, BS_ARENA_MAX_BLOCK + 1), 0);
	assert_int_equal(bs_arena_stats(arena).failures, 1);
	bs_arena_free_private(arena);
	free(memory);
}

static void
all_of_it_and_back(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for(USABLE));
	uint64_t total = bs_arena_stats(arena).total_bytes;
	uint64_t *blocks = calloc(total / 64 + 1, sizeof(uint64_t));

	(void) state;
	assert_true(total >= USABLE);
	for (int round = 0; round < 3; round++)
	{
		size_t size = round == 1 ? BS_ARENA_MAX_BLOCK : 64;
		uint64_t n = 0;

		while ((blocks[n] = bs_arena_alloc(arena, size)) != 0)
			n++;
		assert_int_equal(n, total / size);
		assert_int_equal(bs_arena_stats(arena).used_bytes, total);
		while (n > 0)
			bs_arena_release(arena, blocks[--n], size);
		assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	}
	free(blocks);
	bs_arena_free_private(arena);
}

typedef struct Block
{
	uint64_t offset;
	size_t size;
	uint8_t fill;
} Block;

/* Blocks of random sizes, each filled with a byte of its own, come and go: nobody writes over another. */
static void
random_blocks_keep_apart(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for(USABLE));
	Block blocks[400] = {0};

	(void) state;
	for (int step = 0; step < 200000; step++)
	{
		Block *block = &blocks[next_random() % 400];

		if (block->offset != 0)
		{
			const uint8_t *bytes = bs_arena_at(arena, block->offset);

			assert_int_equal(bytes[0], block->fill);
			assert_int_equal(bytes[block->size / 2], block->fill);
			assert_int_equal(bytes[block->size - 1], block->fill);
			bs_arena_release(arena, block->offset, block->size);
			block->offset = 0;
			continue;
		}
		block->size = 1 + next_random() % (UINT64_C(1) << (4 + next_random() % 15));
		block->fill = (uint8_t) next_random();
		block->offset = bs_arena_alloc(arena, block->size);
		if (block->offset != 0)
			memset(bs_arena_at(arena, block->offset), block->fill, block->size);
	}
	for (int i = 0; i < 400; i++)
		bs_arena_release(arena, blocks[i].offset, blocks[i].size);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	bs_arena_free_private(arena);
}

static void
wrong_release_is_refused(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for(USABLE));
	uint64_t block = bs_arena_alloc(arena, 1000);

	(void) state;
	bs_arena_release(arena, 0, 64);
	bs_arena_release(arena, block, 64); /* not its size */
	assert_int_equal(bs_arena_stats(arena).used_bytes, 1024);
	bs_arena_release(arena, block, 1000);
	bs_arena_release(arena, block, 1000); /* twice */
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	assert_int_equal(bs_arena_stats(arena).failures, 2);
	bs_arena_free_private(arena);
}

/* As new: the same blocks in the same places, and nothing that was there before is in the way. */
static void
renewed(void **state)
{
	BsArena *arena = bs_arena_create(bs_arena_size_for(USABLE));
	uint64_t total = bs_arena_stats(arena).total_bytes;
	uint64_t first[100];

	(void) state;
	for (int round = 0; round < 3; round++)
	{
		for (int i = 0; i < 100; i++)
		{
			uint64_t block = bs_arena_alloc(arena, 64u << (i % 10));

			assert_int_not_equal(block, 0);
			assert_true(round == 0 || block == first[i]);
			first[i] = block;
			memset(bs_arena_at(arena, block), 0xff, 64u << (i % 10));
			if (i % 3 == 0)
				bs_arena_release(arena, block, 64u << (i % 10));
		}
		assert_true(bs_arena_renew(arena, BS_ARENA_MAX_BLOCK));
		assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
		assert_int_equal(bs_arena_stats(arena).peak_bytes, 0);
		assert_int_equal(bs_arena_stats(arena).failures, 0);
		assert_int_equal(bs_arena_stats(arena).total_bytes, total);
	}
	assert_int_not_equal(bs_arena_alloc(arena, BS_ARENA_MAX_BLOCK), 0);
	assert_int_not_equal(bs_arena_alloc(arena, BS_ARENA_MAX_BLOCK), 0);
	/* More was touched than may be: it stays as it is. */
	assert_false(bs_arena_renew(arena, BS_ARENA_MAX_BLOCK));
	assert_int_equal(bs_arena_stats(arena).used_bytes, 2 * BS_ARENA_MAX_BLOCK);
	assert_true(bs_arena_renew(arena, 2 * BS_ARENA_MAX_BLOCK));
	bs_arena_free_private(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_sizes),
		cmocka_unit_test(too_small_or_too_large),
		cmocka_unit_test(all_of_it_and_back),
		cmocka_unit_test(random_blocks_keep_apart),
		cmocka_unit_test(wrong_release_is_refused),
		cmocka_unit_test(renewed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
