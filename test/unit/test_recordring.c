/* SPDX-License-Identifier: PostgreSQL */
/* test_recordring.c: records through a ring: whole, in order, and counted when they find no room. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../src/engine/recordring.h"

#define NCOLUMNS 5

static const BsType types[NCOLUMNS] = {BS_INT8, BS_BYTES, BS_INET, BS_INTERVAL, BS_INT4};
static const uint32_t all_columns[NCOLUMNS] = {0, 1, 2, 3, 4};
static const BsRecordColumns all = {NCOLUMNS, all_columns, types};

/* Text of a length that depends on the number. */
static const uint8_t text[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";

static uint32_t
text_len(int64_t number)
{
	return (uint32_t) ((uint64_t) number * 7 % 41);
}

static bool
is_null(int64_t number, uint32_t column)
{
	return column > 0 && ((uint64_t) number >> column) % 3 == 0;
}

/* Rows whose values all follow from a number, first one up. */
static void
fill(BsBatch *batch, int64_t first, uint32_t nrows)
{
	bs_batch_reset(batch);
	for (uint32_t row = 0; row < nrows; row++)
	{
		int64_t number = first + row;

		batch->columns[0].i64[row] = number;
		batch->columns[1].bytes[row] = (BsBytes){.data = text, .len = text_len(number)};
		batch->columns[2].inet[row] = (BsInet){.address = {(uint8_t) number}, .family = 4, .bits = 32};
		batch->columns[3].interval[row] = (BsInterval){.usec = number, .days = 1, .months = 2};
		batch->columns[4].i64[row] = -number;
		for (uint32_t column = 1; column < NCOLUMNS; column++)
			if (is_null(number, column))
				bs_lane_set_null(&batch->columns[column], row);
	}
	batch->nrows = nrows;
}

static BsBatch *
make_batch(void)
{
	BsBatch *batch = bs_batch_create(types, NCOLUMNS, NULL, 256);

	assert_non_null(batch);
	return batch;
}

static BsRecordRing *
make_ring(uint64_t data_bytes)
{
	void *memory = malloc(bs_record_ring_size(data_bytes));

	assert_non_null(memory);
	return bs_record_ring_init(memory, data_bytes);
}

static void
check_record(const BsValue *values, const bool *nulls)
{
	int64_t number = values[0].i64;

	assert_false(nulls[0]);
	for (uint32_t column = 1; column < NCOLUMNS; column++)
		assert_int_equal(nulls[column], is_null(number, column));
	if (!nulls[1])
	{
		assert_int_equal(values[1].bytes.len, text_len(number));
		assert_memory_equal(values[1].bytes.data, text, text_len(number));
	}
	if (!nulls[2])
		assert_int_equal(values[2].inet.address[0], (uint8_t) number);
	if (!nulls[3])
		assert_true(values[3].interval.usec == number && values[3].interval.months == 2);
	if (!nulls[4])
		assert_int_equal(values[4].i64, -number);
}

static uint16_t numbers[256];

static BsRows
rows_of(uint32_t nrows)
{
	for (uint32_t i = 0; i < nrows; i++)
		numbers[i] = (uint16_t) i;
	return (BsRows){nrows, numbers};
}

static void
records_come_whole_and_in_order(void **state)
{
	BsBatch *batch = make_batch();
	BsRecordRing *ring = make_ring(4096);
	BsValue values[NCOLUMNS];
	bool nulls[NCOLUMNS];
	int64_t next = 0;

	(void) state;
	/* Often around, at every offset. */
	for (int64_t first = 0; first < 20000;)
	{
		uint32_t nrows = (uint32_t) (first % 23) + 1;

		fill(batch, first, nrows);
		assert_int_equal(bs_record_ring_put(ring, batch, &all, rows_of(nrows)), nrows);
		first += nrows;
		while (bs_record_ring_next(ring, &all, UINT64_MAX, values, nulls))
		{
			assert_int_equal(values[0].i64, next++);
			check_record(values, nulls);
		}
		assert_int_equal(next, first);
	}
	assert_int_equal(bs_record_ring_records(ring), next);
	assert_int_equal(bs_record_ring_dropped(ring), 0);
	free(ring);
	bs_batch_free(batch);
}

static void
what_finds_no_room_is_counted(void **state)
{
	BsBatch *batch = make_batch();
	BsRecordRing *ring = make_ring(4096);
	BsValue values[NCOLUMNS];
	bool nulls[NCOLUMNS];
	uint64_t written = 0;
	uint64_t came = 0;
	int64_t last = -1;

	(void) state;
	for (int64_t first = 0; first < 2000; first += 100)
	{
		fill(batch, first, 100);
		written += bs_record_ring_put(ring, batch, &all, rows_of(100));
		if (first % 300 != 0)
			continue;
		for (int i = 0; i < 20 && bs_record_ring_next(ring, &all, UINT64_MAX, values, nulls); i++)
		{
			check_record(values, nulls);
			assert_true(values[0].i64 > last);
			last = values[0].i64;
			came++;
		}
	}
	while (bs_record_ring_next(ring, &all, UINT64_MAX, values, nulls))
	{
		check_record(values, nulls);
		came++;
	}
	assert_int_equal(came, written);
	assert_int_equal(bs_record_ring_records(ring), written);
	assert_int_equal(bs_record_ring_dropped(ring), 2000 - written);
	assert_true(written > 20 && written < 2000);
	free(ring);
	bs_batch_free(batch);
}

static void
a_record_that_never_fits_is_dropped(void **state)
{
	BsBatch *batch = make_batch();
	BsRecordRing *ring = make_ring(4096);
	uint8_t *large = calloc(1, 5000);
	BsValue values[NCOLUMNS];
	bool nulls[NCOLUMNS];

	(void) state;
	fill(batch, 1, 3);
	batch->columns[1].nulls[1] = 0;
	batch->columns[1].bytes[1] = (BsBytes){.data = large, .len = 5000};
	assert_int_equal(bs_record_ring_put(ring, batch, &all, rows_of(3)), 2);
	assert_int_equal(bs_record_ring_dropped(ring), 1);
	assert_true(bs_record_ring_next(ring, &all, UINT64_MAX, values, nulls));
	assert_int_equal(values[0].i64, 1);
	assert_true(bs_record_ring_next(ring, &all, UINT64_MAX, values, nulls));
	assert_int_equal(values[0].i64, 3);
	free(large);
	free(ring);
	bs_batch_free(batch);
}

static void
some_columns_and_some_rows(void **state)
{
	static const uint32_t columns[] = {0, 4};
	static const BsType two[] = {BS_INT8, BS_INT4};
	static const uint16_t odd[] = {1, 3, 5};
	static const BsRecordColumns some = {2, columns, two};
	BsBatch *batch = make_batch();
	BsRecordRing *ring = make_ring(4096);
	BsValue values[2];
	bool nulls[2];
	uint64_t end;

	(void) state;
	fill(batch, 10, 6);
	assert_int_equal(bs_record_ring_put(ring, batch, &some, (BsRows){3, odd}), 3);
	end = bs_record_ring_position(ring);
	assert_int_equal(bs_record_ring_put(ring, batch, &some, (BsRows){3, odd}), 3);
	for (int i = 0; i < 3; i++)
	{
		assert_true(bs_record_ring_next(ring, &some, end, values, nulls));
		assert_int_equal(values[0].i64, 11 + 2 * i);
		assert_int_equal(nulls[1], is_null(values[0].i64, 4));
	}
	assert_false(bs_record_ring_next(ring, &some, end, values, nulls));
	assert_true(bs_record_ring_next(ring, &some, UINT64_MAX, values, nulls));
	bs_record_ring_skip(ring);
	assert_false(bs_record_ring_next(ring, &some, UINT64_MAX, values, nulls));
	free(ring);
	bs_batch_free(batch);
}

static void
one_ring_into_another(void **state)
{
	BsBatch *batch = make_batch();
	BsRecordRing *from = make_ring(65536);
	BsRecordRing *ring = make_ring(4096);
	BsValue values[NCOLUMNS];
	bool nulls[NCOLUMNS];
	uint32_t moved;
	uint32_t came = 0;

	(void) state;
	fill(batch, 0, 200);
	assert_int_equal(bs_record_ring_put(from, batch, &all, rows_of(200)), 200);
	moved = bs_record_ring_move(ring, from);
	assert_true(moved > 10 && moved < 200);
	assert_int_equal(bs_record_ring_dropped(ring), 200 - moved);
	while (bs_record_ring_next(ring, &all, UINT64_MAX, values, nulls))
	{
		check_record(values, nulls);
		came++;
	}
	assert_int_equal(came, moved);
	assert_int_equal(bs_record_ring_move(ring, from), 0);
	free(from);
	free(ring);
	bs_batch_free(batch);
}

#define TOGETHER 200000

static void *
write_together(void *argument)
{
	BsRecordRing *ring = argument;
	BsBatch *batch = make_batch();
	uint16_t rows[64];

	for (uint16_t i = 0; i < 64; i++)
		rows[i] = i;
	for (int64_t first = 0; first < TOGETHER; first += 64)
	{
		fill(batch, first, 64);
		bs_record_ring_put(ring, batch, &all, (BsRows){64, rows});
	}
	bs_batch_free(batch);
	return NULL;
}

static void
writer_and_reader_at_once(void **state)
{
	BsRecordRing *ring = make_ring(16384);
	BsValue values[NCOLUMNS];
	bool nulls[NCOLUMNS];
	uint64_t came = 0;
	int64_t last = -1;
	pthread_t writer;

	(void) state;
	assert_int_equal(pthread_create(&writer, NULL, write_together, ring), 0);
	while (came + bs_record_ring_dropped(ring) < TOGETHER)
		while (bs_record_ring_next(ring, &all, UINT64_MAX, values, nulls))
		{
			check_record(values, nulls);
			assert_true(values[0].i64 > last);
			last = values[0].i64;
			came++;
		}
	pthread_join(writer, NULL);
	assert_int_equal(came, bs_record_ring_records(ring));
	assert_int_equal(came + bs_record_ring_dropped(ring), TOGETHER);
	assert_true(came > 0);
	free(ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_whole_and_in_order),
		cmocka_unit_test(what_finds_no_room_is_counted),
		cmocka_unit_test(a_record_that_never_fits_is_dropped),
		cmocka_unit_test(some_columns_and_some_rows),
		cmocka_unit_test(one_ring_into_another),
		cmocka_unit_test(writer_and_reader_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
