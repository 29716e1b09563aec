/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_packrows.c: rows looked at together are valid when each is; rows merged together are so one after the other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/engine/packlayout.h"
#include "../../src/engine/writer.h"
#include "pack_fixture.h"

#define NROWS       40u
#define NTRIES      4000
#define ARENA_BYTES ((size_t) 16 << 20)

static uint64_t random_state = 0x2545F4914F6CDD1Du;

static uint32_t
random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 16) % n;
}

/* Some rows as a program makes them: values where they may be any bytes, in all of the rows or in some. */
static void
make_rows(const BsProgram *program, uint8_t *rows)
{
	bool sparse = random_below(2) == 0;

	memset(rows, 0, (size_t) NROWS * program->row_bytes);
	for (uint32_t i = 0; i < NROWS; i++, rows += program->row_bytes)
	{
		for (uint32_t k = 0; k < program->nkeys; k++)
		{
			uint8_t *cell = rows + program->keys[k].offset;

			if (sparse && random_below(8) == 0)
				rows[program->null_offset + k / 8] |= (uint8_t) (1u << (k % 8));
			else if (program->keys[k].type == BS_INET)
				cell[16] = 4;
			else if (program->keys[k].type == BS_INT8 || program->keys[k].type == BS_INT2)
				cell[0] = (uint8_t) random_below(256);
		}
		for (uint32_t a = 0; a < program->naggregates; a++)
		{
			const BsAggregate *aggregate = &program->aggregates[a];

			if (aggregate->set != 0 || (sparse && random_below(8) == 0) ||
				(aggregate->kind != BS_AGG_SUM_INT && aggregate->type != BS_INT8))
				continue;
			*(uint32_t *) (rows + aggregate->flags_offset) |= aggregate->seen_mask;
			rows[aggregate->offset] = (uint8_t) random_below(256);
			if (aggregate->kind == BS_AGG_ACCUM_FLOAT)
				*(double *) (rows + aggregate->offset) = 1;
		}
	}
}

static bool
each_valid(const BsProgram *program, const uint8_t *rows)
{
	for (uint32_t i = 0; i < NROWS; i++)
		if (!bs_pack_row_valid(program, rows + (size_t) i * program->row_bytes))
			return false;
	return true;
}

static void
test_valid_together(void **state)
{
	(void) state;
	for (uint32_t s = 0; s < PACK_NSHAPES; s++)
	{
		BsProgram program;
		uint8_t *rows;
		int nvalid = 0;

		assert_null(pack_make_program(&program, &pack_shapes[s]));
		rows = malloc((size_t) NROWS * program.row_bytes);
		for (int i = 0; i < NTRIES; i++)
		{
			bool valid;

			make_rows(&program, rows);
			for (uint32_t n = random_below(3); n > 0; n--)
				rows[random_below(NROWS * program.row_bytes)] ^= (uint8_t) (1u << random_below(8));
			valid = each_valid(&program, rows);
			assert_int_equal(bs_pack_rows_valid(&program, rows, NROWS), valid);
			nvalid += valid;
		}
		/* Both were tried. */
		assert_in_range(nvalid, NTRIES / 10, NTRIES - NTRIES / 10);
		free(rows);
		bs_program_free(&program);
	}
}

/* The same rows, some of them of one group, at once and one by one; into nothing and onto what is there. */
static void
test_merged_together(void **state)
{
	BsArena *arena = bs_arena_create(ARENA_BYTES);
	BsProgram program;
	BsWriter *writer;
	BsTable *together;
	BsTable *apart;
	uint8_t *rows;

	(void) state;
	assert_null(pack_make_program(&program, &pack_shapes[0]));
	writer = bs_writer_create(&program);
	rows = malloc((size_t) NROWS * program.row_bytes);
	together = bs_arena_at(arena, bs_table_create(arena, &program, 0));
	apart = bs_arena_at(arena, bs_table_create(arena, &program, 0));
	for (int i = 0; i < 500; i++)
	{
		const BsLayout *layout = &program.layout;

		make_rows(&program, rows);
		for (uint32_t r = 0; r < NROWS; r++)
		{
			uint8_t *row = rows + (size_t) r * program.row_bytes;

			row[program.keys[0].offset + 1] = (uint8_t) (i / 4);
			*(uint64_t *) (row + program.count_offset) = 1 + random_below(9);
			assert_int_equal(bs_table_merge_rows(arena, apart, &program, writer, arena, row, 1, UINT64_MAX), 0);
		}
		assert_int_equal(bs_table_merge_rows(arena, together, &program, writer, arena, rows, NROWS, UINT64_MAX), 0);
		assert_int_equal(together->nrows, apart->nrows);
		for (uint32_t chunk = 0; chunk < together->nchunks; chunk++)
			assert_memory_equal(bs_table_chunk(arena, together, chunk), bs_table_chunk(arena, apart, chunk),
								(size_t) bs_table_chunk_rows(together, layout, chunk) * program.row_bytes);
	}
	/* Several chunks, and groups with more than one record of each kind. */
	assert_true(together->nchunks > 1);
	free(rows);
	bs_writer_free(writer);
	bs_program_free(&program);
	bs_arena_free_private(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_together),
		cmocka_unit_test(test_merged_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
