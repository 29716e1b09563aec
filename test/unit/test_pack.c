/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_pack.c: partials packed and unpacked are what they were; nothing else is taken for one.
 *
 * With the name of a folder it writes the corpus of fuzz_pack instead.
 */
#include "pack_tables.h"

static void
test_columns(void **state)
{
	static const int64_t cases[][4] = {
		{0, 0, 0, 0},
		{-1, 0, 1, 2},
		{INT64_MIN, INT64_MAX, 0, -1},
		{255, 0, 256, 1},
		{INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
		{1 << 24, 0, 1, 2},
		{INT64_C(1) << 40, 7, 8, 9},
		{INT64_C(1) << 55, -4, 2, 3},
	};
	uint8_t bytes[BS_COLUMN_HEADER_BYTES + 32];
	int64_t values[4];

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		size_t len = (size_t) (bs_column_pack(bytes, cases[i], 4) - bytes);
		BsCursor cursor = {.at = bytes, .left_bytes = len};

		assert_true(len <= bs_column_bound(4));
		bs_column_unpack(&cursor, values, 4);
		assert_false(cursor.bad);
		assert_int_equal(cursor.left_bytes, 0);
		assert_memory_equal(values, cases[i], sizeof(values));
		cursor = (BsCursor){.at = bytes, .left_bytes = len - 1};
		bs_column_unpack(&cursor, values, 4);
		assert_true(cursor.bad);
	}
}

static void
check_round_trip(const PackShape *shape, uint32_t nrecords, uint32_t variety, bool long_states)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsProgram program;
	BsProgram other_seed;
	BsPartial partial;
	BsTable *table;
	BsTable *copy;
	Messages messages;
	Messages again;

	assert_null(pack_make_program(&program, shape));
	assert_null(pack_make_program(&other_seed, shape));
	bs_partial_init(&partial, &program, NO_LIMIT);
	add_random(&partial, arena, &program, nrecords, variety, long_states);
	table = only_table(&partial, arena);
	messages = pack_table(&program, arena, table);
	for (int backwards = 0; backwards < 2; backwards++)
	{
		copy = bs_arena_at(arena, bs_table_create(arena, &program, 0));
		unpack_table(&program, &messages, arena, copy, backwards != 0);
		assert_same_table(arena, table, arena, copy, &program);
	}
	/* A copy of a copy, by a server whose hashes are seeded otherwise. */
	again = pack_table(&program, arena, copy);
	other_seed.hash_seed = 99;
	for (uint32_t i = 0; i < other_seed.nsets; i++)
		other_seed.sets[i].rows->hash_seed = 99;
	copy = bs_arena_at(arena, bs_table_create(arena, &other_seed, 0));
	unpack_table(&other_seed, &again, arena, copy, false);
	unpack_table(&other_seed, &again, arena, copy, true);
	if (table->nrows > 0)
		assert_int_equal(copy->nrows, table->nrows);
	free_messages(&messages);
	free_messages(&again);
	bs_program_free(&program);
	bs_program_free(&other_seed);
	bs_arena_free_private(arena);
}

static void
test_round_trips(void **state)
{
	(void) state;
	for (size_t s = 0; s < PACK_NSHAPES; s++)
	{
		check_round_trip(&pack_shapes[s], 0 + 1, 10, false);
		check_round_trip(&pack_shapes[s], 300, 4, false);
		check_round_trip(&pack_shapes[s], 5000, 100000, false);
		if (pack_shapes[s].foreign)
			check_round_trip(&pack_shapes[s], 500, 6, true);
	}
}

/* A table that grows while it is packed gives the old rows, and perhaps the new. */
static void
test_growing(void **state)
{
	const PackShape *shape = &pack_shapes[0];
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsArena *other = bs_arena_create(ARENA_BYTES);
	BsUnpacker *unpacker;
	BsWriter *writer;
	BsPacker *packer;
	BsProgram program;
	BsPartial partial;
	BsPackPlace place = {0};
	BsBytes message;
	BsTable *copy;

	(void) state;
	assert_null(pack_make_program(&program, shape));
	bs_partial_init(&partial, &program, NO_LIMIT);
	packer = bs_packer_create(&program, PACK_FINGERPRINT);
	unpacker = bs_unpacker_create(&program, PACK_FINGERPRINT, NULL, NULL);
	writer = bs_writer_create(&program);
	copy = bs_arena_at(other, bs_table_create(other, &program, 0));
	add_random(&partial, arena, &program, 100, 1000000, false);
	for (;;)
	{
		BsUnpacked unpacked;

		assert_int_equal(
			bs_pack_rows(packer, arena, only_table(&partial, arena), 0, &place, &message),
			BS_PACK_OK);
		if (message.len == 0)
			break;
		assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
		bs_unpacked_merge(unpacker, other, copy, writer, NO_LIMIT);
		if (copy->nrows < 10000)
			add_random(&partial, arena, &program, 1500, 1000000, false);
	}
	assert_int_equal(copy->nrows, only_table(&partial, arena)->nrows);
	bs_packer_free(packer);
	bs_unpacker_free(unpacker);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
	bs_arena_free_private(other);
}

static void
test_room(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsUnpacker *unpacker;
	BsWriter *writer;
	BsProgram program;
	BsPartial partial;
	BsUnpacked unpacked;
	Messages messages;
	BsTable *copy;
	uint64_t refused = 0;
	uint64_t taken = 0;

	(void) state;
	assert_null(pack_make_program(&program, &pack_shapes[0]));
	bs_partial_init(&partial, &program, NO_LIMIT);
	add_random(&partial, arena, &program, 4000, 1000000, false);
	messages = pack_table(&program, arena, only_table(&partial, arena));
	unpacker = bs_unpacker_create(&program, PACK_FINGERPRINT, NULL, NULL);
	writer = bs_writer_create(&program);
	copy = bs_arena_at(arena, bs_table_create(arena, &program, 0));
	for (uint32_t i = 0; i + 1 < messages.n; i++)
	{
		assert_int_equal(
			bs_unpack(unpacker, messages.texts[i].data, messages.texts[i].len, &unpacked),
			BS_PACK_OK);
		refused += bs_unpacked_merge(unpacker, arena, copy, writer, 100);
	}
	assert_int_equal(copy->nrows, 100);
	for (uint32_t i = 0; i < copy->nrows; i++)
		taken +=
			*(const uint64_t *) (bs_table_row(arena, copy, &program, i) + program.count_offset);
	assert_int_equal(refused + taken, 4000);
	free_messages(&messages);
	bs_unpacker_free(unpacker);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

static void
test_small_messages(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsPackedPane pane;
	BsProgram program;
	BsPartial partial;
	BsPacker *packer;
	BsUnpacker *unpacker;
	BsUnpacked unpacked;
	BsBytes message;
	BsPackPlace place = {0};

	(void) state;
	/* Every field, and the bytes between them. */
	memset(&pane, 0, sizeof(pane));
	pane.closed = pane.gap = true;
	pane.window = -300;
	pane.since = 77;
	pane.ngroups = 1;
	pane.records = 2;
	pane.late = 3;
	pane.overflowed = 4;
	pane.errors = 5;
	pane.left_out = 6;
	pane.records_lost = -7;
	pane.datagrams_lost = 8;
	pane.records_lost_before = 9;
	pane.datagrams_lost_before = 10;
	pane.datagrams_dropped = 11;
	pane.datagrams_dropped_before = 12;
	pane.nodes_expected = 1023;
	pane.nodes_missing = 513;
	assert_null(pack_make_program(&program, &pack_shapes[0]));
	packer = bs_packer_create(&program, PACK_FINGERPRINT);
	unpacker = bs_unpacker_create(&program, PACK_FINGERPRINT, NULL, NULL);
	assert_int_equal(bs_pack_pane(packer, &pane, &message), BS_PACK_OK);
	assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
	assert_int_equal(unpacked.kind, BS_PACK_PANE);
	assert_memory_equal(&unpacked.pane, &pane, sizeof(pane));

	bs_partial_init(&partial, &program, NO_LIMIT);
	add_random(&partial, arena, &program, 1000, 10, false);
	partial.late = 9;
	partial.sources_refused = 10;
	partial.closed_before = 12345;
	partial.last_error = BS_ERROR_MASKLEN;
	partial.dropped_before = -9;
	partial.records_lost = UINT32_MAX;
	partial.datagrams_lost = 3;
	partial.datagrams_dropped = 4;
	assert_int_equal(bs_pack_partial(packer, &partial, &message), BS_PACK_OK);
	assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
	assert_int_equal(unpacked.kind, BS_PACK_PARTIAL);
	assert_int_equal(unpacked.partial.records, 1000);
	assert_int_equal(unpacked.partial.received, 1000);
	assert_int_equal(unpacked.partial.late, 9);
	assert_int_equal(unpacked.partial.sources_refused, 10);
	assert_int_equal(unpacked.partial.closed_before, 12345);
	assert_int_equal(unpacked.partial.last_error, BS_ERROR_MASKLEN);
	assert_int_equal(unpacked.partial.dropped_before, -9);
	assert_int_equal(unpacked.partial.records_lost, UINT32_MAX);
	assert_int_equal(unpacked.partial.datagrams_lost, 3);
	assert_int_equal(unpacked.partial.datagrams_dropped, 4);

	/* No sources: no message. */
	assert_int_equal(bs_pack_sources(packer, arena, &partial, &place, &message), BS_PACK_OK);
	assert_int_equal(message.len, 0);
	bs_packer_free(packer);
	bs_unpacker_free(unpacker);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

static void
test_sources(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsSource *sources;
	BsProgram program;
	BsPartial partial;
	BsPacker *packer;
	BsUnpacker *unpacker;
	BsUnpacked unpacked;
	BsBytes message;
	BsPackPlace place = {0};
	uint32_t n = 0;

	(void) state;
	assert_null(pack_make_program(&program, &pack_shapes[0]));
	bs_partial_init(&partial, &program, NO_LIMIT);
	partial.sources_capacity = 2 * BS_MAX_SOURCES;
	partial.sources = bs_arena_alloc(arena, partial.sources_capacity * sizeof(BsSource));
	sources = bs_arena_at(arena, partial.sources);
	for (uint32_t i = 0; i < partial.sources_capacity; i++)
		sources[i] = (BsSource){.source = i % 3 == 0 ? 0 : next_random() | 1,
								.highest = (int64_t) next_random(),
								.last_heard = i,
								.largest_lateness = 3 * i};
	packer = bs_packer_create(&program, PACK_FINGERPRINT);
	unpacker = bs_unpacker_create(&program, PACK_FINGERPRINT, NULL, NULL);
	for (;;)
	{
		assert_int_equal(bs_pack_sources(packer, arena, &partial, &place, &message), BS_PACK_OK);
		if (message.len == 0)
			break;
		assert_in_range(message.len, 1, 128 << 10);
		assert_int_equal(bs_unpack(unpacker, message.data, message.len, &unpacked), BS_PACK_OK);
		assert_int_equal(unpacked.kind, BS_PACK_SOURCES);
		for (uint32_t i = 0; i < unpacked.nsources; i++, n++)
		{
			while (sources[n].source == 0)
				n++;
			assert_memory_equal(&unpacked.sources[i], &sources[n], sizeof(BsSource));
		}
	}
	while (n < partial.sources_capacity && sources[n].source == 0)
		n++;
	assert_int_equal(n, partial.sources_capacity);
	bs_packer_free(packer);
	bs_unpacker_free(unpacker);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

/* What a group of the traffic matrix takes, with numbers as traffic has them. */
static void
test_compact(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsProgram program;
	BsTable *table;
	BsWriter *writer;
	BsKeys *keys;
	Messages messages;
	size_t len = 0;
	uint32_t n = 65536;

	(void) state;
	assert_null(pack_make_program(&program, &pack_shapes[0]));
	table = bs_arena_at(arena, bs_table_create(arena, &program, n));
	writer = bs_writer_create(&program);
	keys = bs_keys_create(&program, 1);
	for (uint32_t i = 0; i < n; i++)
	{
		const BsLane *lanes[2];
		int64_t as[2] = {(int64_t) (next_random() % 400000), 4200000000 + (int64_t) i};
		uint8_t null = 0;
		uint16_t zero = 0;
		BsLane lane[2] = {{.type = BS_INT8, .i64 = &as[0], .nulls = &null},
						  {.type = BS_INT8, .i64 = &as[1], .nulls = &null}};
		uint32_t number;
		uint8_t *row;

		lanes[0] = &lane[0];
		lanes[1] = &lane[1];
		bs_keys_pack(keys, &program, lanes, (BsRows){1, &zero});
		bs_table_find(arena, table, &program, keys, NO_LIMIT, &number);
		row = bs_table_row(arena, table, &program, number);
		*(uint64_t *) (row + program.count_offset) = 1 + next_random() % 5000;
		*(int64_t *) (row + program.aggregates[0].offset) =
			(int64_t) (next_random() % (UINT64_C(1) << 44));
		*(int64_t *) (row + program.aggregates[1].offset) =
			(int64_t) (next_random() % (UINT64_C(1) << 34));
		*(uint32_t *) (row + program.flags_offset) =
			program.aggregates[0].seen_mask | program.aggregates[1].seen_mask;
	}
	messages = pack_table(&program, arena, table);
	for (uint32_t i = 0; i < messages.n; i++)
		len += messages.texts[i].len;
	print_message("traffic matrix: %.1f bytes per group, %u messages\n", (double) len / n,
				  messages.n);
	assert_true(len < 32 * (size_t) n);
	free_messages(&messages);
	bs_keys_free(keys);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

/* A message as fuzz_pack takes it: number of the shape, kind, contents. */
static void
write_seed(const char *folder, size_t shape, const char *what, uint32_t number, BsBytes message)
{
	char path[1024];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%zu-%s-%u", folder, shape, what, number);
	out = fopen(path, "wb");
	if (out == NULL)
		exit(1);
	fputc((int) shape, out);
	fputc(message.data[6], out);
	fwrite(message.data + BS_PACK_HEADER_BYTES, 1, message.len - BS_PACK_HEADER_BYTES, out);
	fclose(out);
}

static void
write_corpus(const char *folder)
{
	for (size_t s = 0; s < PACK_NSHAPES; s++)
	{
		BsArena *arena = bs_arena_create(ARENA_BYTES);
		BsProgram program;
		BsPartial partial;
		BsPacker *packer;
		Messages messages;
		BsBytes message;

		pack_make_program(&program, &pack_shapes[s]);
		packer = bs_packer_create(&program, PACK_FINGERPRINT);
		bs_partial_init(&partial, &program, NO_LIMIT);
		add_random(&partial, arena, &program, 8, 20, false);
		messages = pack_table(&program, arena, only_table(&partial, arena));
		for (uint32_t i = 0; i < messages.n; i++)
			write_seed(
				folder, s, "rows", i,
				(BsBytes){.data = messages.texts[i].data, .len = (uint32_t) messages.texts[i].len});
		bs_pack_partial(packer, &partial, &message);
		write_seed(folder, s, "partial", 0, message);
		bs_pack_pane(packer, &(BsPackedPane){.window = 7, .closed = true, .records = 8}, &message);
		write_seed(folder, s, "pane", 0, message);
		free_messages(&messages);
		bs_packer_free(packer);
		bs_program_free(&program);
		bs_arena_free_private(arena);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_growing),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_small_messages),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_compact),
	};

	if (argc > 1)
	{
		write_corpus(argv[1]);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
