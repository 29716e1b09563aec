/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_restore.c: partials put back are what they were; and several writers put back into one, as when a server comes
 * back with fewer receivers: what its windows have lost is what those of the writers had.
 */
#include "pack_tables.h"

#define NPANES   40
#define NWRITERS 3

/* ---- a partial ---- */

static void
restore_message(BsPartial *partial, BsArena *arena, const BsProgram *program, BsWriter *writer,
				BsUnpacker *unpacker, BsBytes message, BsRestoring *restoring)
{
	BsUnpacked unpacked;

	assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
	bs_partial_restore(partial, arena, program, writer, unpacker, &unpacked, 1000, restoring);
}

/* Everything that a partial holds, through messages, into another one. */
static void
copy_partial(BsPartial *from, BsPartial *to, BsArena *arena, const BsProgram *program)
{
	BsPacker *packer = bs_packer_create(program, PACK_FINGERPRINT);
	BsUnpacker *unpacker = bs_unpacker_create(program, PACK_FINGERPRINT, any_state, NULL);
	BsWriter *writer = bs_writer_create(program);
	BsRestoring restoring = {0};
	BsPackPlace place = {0};
	BsBytes message;

	assert_int_equal(bs_pack_partial(packer, from, &message), BS_PACK_OK);
	restore_message(to, arena, program, writer, unpacker, message, &restoring);
	while (bs_pack_sources(packer, arena, from, &place, &message) == BS_PACK_OK && message.len > 0)
		restore_message(to, arena, program, writer, unpacker, message, &restoring);
	for (uint32_t i = 0; i < from->npanes; i++)
	{
		BsPane *pane = bs_partial_pane_at(from, arena, i);
		BsPackedPane packed = bs_packed_pane(pane, arena);

		assert_int_equal(bs_pack_pane(packer, &packed, &message), BS_PACK_OK);
		restore_message(to, arena, program, writer, unpacker, message, &restoring);
		place = (BsPackPlace){0};
		while (pane->table != 0 &&
			   bs_pack_rows(packer, arena, bs_arena_at(arena, pane->table), pane->start, &place,
							&message) == BS_PACK_OK &&
			   message.len > 0)
			restore_message(to, arena, program, writer, unpacker, message, &restoring);
	}
	bs_partial_restored(to, arena, program, &restoring);
	bs_packer_free(packer);
	bs_unpacker_free(unpacker);
	bs_writer_free(writer);
}

static void
test_restore(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsProgram program;
	BsPartial partial;
	BsPartial copy;
	BsProgress progress;

	(void) state;
	assert_null(pack_make_program(&program, &pack_windows));
	bs_partial_init(&partial, &program, 20);
	bs_partial_close(&partial, 0);
	add_random(&partial, arena, &program, 5000, 200, false);
	assert_true(partial.npanes > 2 && partial.late > 0 && partial.overflowed > 0);
	bs_partial_note_loss(&partial, arena, (BsLoss){.records = 7, .datagrams = 3, .dropped = 5});
	bs_partial_close(&partial, 100);
	bs_source_heard(&partial, arena, (BsSource){.source = 77, .highest = 1234, .last_heard = 5678, .largest_lateness = 9});
	bs_partial_pane_at(&partial, arena, 1)->gap = 1;
	bs_pane_note_nodes(bs_partial_pane_at(&partial, arena, 1), 8, 3);
	/* The worst stands, and what is more than there is room for is the most. */
	bs_pane_note_nodes(bs_partial_pane_at(&partial, arena, 1), 7, 1);
	bs_pane_note_nodes(bs_partial_pane_at(&partial, arena, 0), 5000, 0);
	assert_int_equal(bs_partial_pane_at(&partial, arena, 1)->nodes_expected, 8);
	assert_int_equal(bs_partial_pane_at(&partial, arena, 1)->nodes_missing, 3);
	assert_int_equal(bs_partial_pane_at(&partial, arena, 0)->nodes_expected, 1023);
	bs_partial_init(&copy, &program, 20);
	copy_partial(&partial, &copy, arena, &program);
	assert_int_equal(copy.npanes, partial.npanes);
	for (uint32_t i = 0; i < partial.npanes; i++)
	{
		BsPane a = *bs_partial_pane_at(&partial, arena, i);
		BsPane b = *bs_partial_pane_at(&copy, arena, i);

		assert_int_equal(a.table != 0, b.table != 0);
		assert_int_equal(bs_pane_records(&a, arena), bs_pane_records(&b, arena));
		assert_int_equal(a.datagrams_dropped, a.start < 0 ? 0 : 5);
		if (a.table != 0)
			assert_same_table(arena, bs_arena_at(arena, a.table), arena,
							  bs_arena_at(arena, b.table), &program);
		a.table = b.table = 0;
		assert_memory_equal(&a, &b, sizeof(a));
	}
	assert_int_equal(copy.records, partial.records);
	assert_int_equal(copy.overflowed, partial.overflowed);
	assert_int_equal(copy.late, partial.late);
	assert_int_equal(copy.closed_before, 100);
	assert_int_equal(copy.records_lost, partial.records_lost);
	assert_int_equal(copy.datagrams_dropped, 5);
	bs_progress_begin(&progress);
	bs_partial_progress(&copy, arena, &(BsWaiting){.now = 6678, .behind_usec = BS_TIME_INFINITY}, &progress);
	assert_true(progress.any_alive);
	assert_int_equal(progress.alive_lowest, 1234);
	/* What was taken is given back. */
	bs_partial_clear(&copy, arena);
	bs_partial_clear(&partial, arena);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

/* ---- losses of several writers ---- */

static int64_t
random_below(int64_t n)
{
	return (int64_t) (next_random() % (uint64_t) n);
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
		cmocka_unit_test(test_restore),
		cmocka_unit_test(fewer_writers_lose_no_more),
		cmocka_unit_test(writers_without_panes_add_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
