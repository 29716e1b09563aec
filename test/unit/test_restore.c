/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_restore.c: several writers back into one partial, as when a server comes back with fewer receivers: what its
 * windows have lost is what those of the writers had.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/engine/writer.h"
#include "pack_fixture.h"

#define ARENA_BYTES ((size_t) 16 << 20)
#define NPANES      40
#define NWRITERS    3

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static int64_t
random_below(int64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (int64_t) (random_state % (uint64_t) n);
}

/* All that a partial holds but rows, which it has none of, through messages. */
static void
restore(const BsPartial *from, BsPartial *to, BsArena *arena, const BsProgram *program)
{
	BsPacker *packer = bs_packer_create(program, PACK_FINGERPRINT);
	BsUnpacker *unpacker = bs_unpacker_create(program, PACK_FINGERPRINT, NULL, NULL);
	BsWriter *writer = bs_writer_create(program);
	BsRestoring restoring = {0};
	BsUnpacked unpacked;
	BsBytes message;

	assert_int_equal(bs_pack_partial(packer, from, &message), BS_PACK_OK);
	assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
	bs_partial_restore(to, arena, program, writer, unpacker, &unpacked, 0, &restoring);
	for (uint32_t i = 0; i < from->npanes; i++)
	{
		BsPackedPane pane = bs_packed_pane(bs_partial_pane_at(from, arena, i), arena);

		assert_int_equal(bs_pack_pane(packer, &pane, &message), BS_PACK_OK);
		assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
		bs_partial_restore(to, arena, program, writer, unpacker, &unpacked, 0, &restoring);
	}
	bs_partial_restored(to, arena, program, &restoring);
	bs_packer_free(packer);
	bs_unpacker_free(unpacker);
	bs_writer_free(writer);
}

/* What a window has lost (partial.h). */
static BsLoss
window_loss(const BsPartial *partial, BsArena *arena, const BsWindowing *windowing, int64_t window)
{
	uint32_t first = bs_partial_position(partial, arena, window);
	uint32_t end = bs_partial_position(partial, arena, bs_window_end(windowing, window));
	const BsPane *a;
	const BsPane *b;

	if (first == end)
		return (BsLoss){0};
	a = bs_partial_pane_at(partial, arena, first);
	b = bs_partial_pane_at(partial, arena, end - 1);
	return (BsLoss){
		.records = b->records_lost + (int32_t) (b->records_lost_before - a->records_lost_before),
		.datagrams = b->datagrams_lost + (int32_t) (b->datagrams_lost_before - a->datagrams_lost_before),
		.dropped = b->datagrams_dropped + (int32_t) (b->datagrams_dropped_before - a->datagrams_dropped_before)};
}

static void
note_some_loss(BsPartial *partial, BsArena *arena)
{
	BsLoss loss = {
		.records = random_below(1000), .datagrams = random_below(10), .dropped = random_below(100)};

	bs_partial_note_loss(partial, arena, loss);
}

/*
 * Windows of npanes panes; each writer has the panes that it has records of, of a window one at least, and losses while
 * its newest one is open.  One has lost a lot before its first pane.
 */
static void
check_losses(int64_t npanes)
{
	const BsWindowing windowing = {10, 10, 10 * npanes, 0};
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsPartial partials[NWRITERS];
	int64_t last[NWRITERS] = {0};
	BsProgram program;
	BsPartial all;

	assert_null(pack_make_program(&program, &pack_windows));
	program.windowing = windowing;
	bs_partial_init(&all, &program, UINT64_MAX);
	for (int w = 0; w < NWRITERS; w++)
	{
		bs_partial_init(&partials[w], &program, UINT64_MAX);
		if (w == 1)
			bs_partial_note_loss(&partials[w], arena, (BsLoss){.records = UINT32_MAX - 7, .dropped = 1000000});
	}
	for (int64_t p = 0; p < NPANES; p++)
		for (int w = 0; w < NWRITERS; w++)
		{
			if (random_below(3) > 0 && p - last[w] + 1 < npanes)
				continue;
			assert_non_null(bs_partial_make_pane(&partials[w], arena, 10 * p));
			note_some_loss(&partials[w], arena);
			bs_partial_close(&partials[w], 10 * p);
			note_some_loss(&partials[w], arena);
			last[w] = p;
		}
	for (int w = 0; w < NWRITERS; w++)
		restore(&partials[w], &all, arena, &program);
	for (int64_t window = -10 * npanes; window < 10 * NPANES; window += 10)
	{
		BsLoss loss = window_loss(&all, arena, &windowing, window);
		BsLoss sum = {0};

		for (int w = 0; w < NWRITERS; w++)
		{
			BsLoss one = window_loss(&partials[w], arena, &windowing, window);

			sum.records += one.records;
			sum.datagrams += one.datagrams;
			sum.dropped += one.dropped;
		}
		assert_int_equal(loss.records, sum.records);
		assert_int_equal(loss.datagrams, sum.datagrams);
		assert_int_equal(loss.dropped, sum.dropped);
	}
	bs_partial_clear(&all, arena);
	for (int w = 0; w < NWRITERS; w++)
		bs_partial_clear(&partials[w], arena);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

static void
fewer_writers_lose_no_more(void **state)
{
	(void) state;
	for (int64_t npanes = 1; npanes <= 6; npanes++)
		for (int i = 0; i < 200; i++)
			check_losses(npanes);
}

/* A writer of which no pane is left has lost nothing in the windows of the others, and goes on from what it had. */
static void
writers_without_panes_add_nothing(void **state)
{
	const BsWindowing windowing = {10, 10, 30, 0};

	(void) state;
	for (int order = 0; order < 2; order++)
	{
		BsArena *arena = bs_arena_create(ARENA_BYTES);
		BsPartial partials[2];
		BsProgram program;
		BsPartial all;

		assert_null(pack_make_program(&program, &pack_windows));
	program.windowing = windowing;
		bs_partial_init(&all, &program, UINT64_MAX);
		for (int w = 0; w < 2; w++)
			bs_partial_init(&partials[w], &program, UINT64_MAX);
		bs_partial_note_loss(&partials[order], arena, (BsLoss){.records = 500, .datagrams = 40, .dropped = 3});
		assert_non_null(bs_partial_make_pane(&partials[1 - order], arena, 0));
		bs_partial_note_loss(&partials[1 - order], arena, (BsLoss){.records = 10});
		for (int w = 0; w < 2; w++)
			restore(&partials[w], &all, arena, &program);
		assert_int_equal(all.npanes, 1);
		assert_int_equal(window_loss(&all, arena, &windowing, 0).records, 10);
		/* It is open still, and so is the next. */
		assert_non_null(bs_partial_make_pane(&all, arena, 10));
		bs_partial_note_loss(&all, arena, (BsLoss){.records = 1, .dropped = 2});
		assert_int_equal(window_loss(&all, arena, &windowing, 0).records, 11);
		assert_int_equal(window_loss(&all, arena, &windowing, 0).datagrams, 0);
		assert_int_equal(window_loss(&all, arena, &windowing, 0).dropped, 2);
		assert_int_equal(window_loss(&all, arena, &windowing, 10).records, 1);
		bs_partial_clear(&all, arena);
		bs_partial_clear(&partials[1 - order], arena);
		bs_program_free(&program);
		bs_arena_free_private(arena);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fewer_writers_lose_no_more),
		cmocka_unit_test(writers_without_panes_add_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
