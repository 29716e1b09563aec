/* SPDX-License-Identifier: PostgreSQL */
/* writer.c: allocating a writer's scratch.  See writer.h. */
#include "writer.h"

#include <stdlib.h>

BsWriter *
bs_writer_create(const BsProgram *program)
{
	BsWriter *writer = calloc(1, sizeof(BsWriter));
	uint32_t n = program->capacity;

	/* Merging goes by chunks of rows, which may hold more rows than a batch. */
	if (n < bs_rows_per_chunk(&program->layout))
		n = bs_rows_per_chunk(&program->layout);
	if (writer == NULL)
		return NULL;
	writer->capacity = n;
	writer->keys = bs_keys_create(program, n);
	writer->numbers = calloc(n, sizeof(*writer->numbers));
	writer->row_at = calloc(n, sizeof(*writer->row_at));
	writer->states = calloc(n, sizeof(*writer->states));
	writer->rows = calloc(n, sizeof(*writer->rows));
	writer->reached = calloc(n, sizeof(*writer->reached));
	writer->selection = calloc(n, sizeof(*writer->selection));
	writer->left = calloc(n, sizeof(*writer->left));
	if (!writer->keys || !writer->numbers || !writer->row_at || !writer->states || !writer->rows ||
		!writer->reached || !writer->selection || !writer->left)
	{
		bs_writer_free(writer);
		return NULL;
	}
	return writer;
}

void
bs_writer_free(BsWriter *writer)
{
	if (writer == NULL)
		return;
	bs_keys_free(writer->keys);
	free(writer->numbers);
	free(writer->row_at);
	free(writer->states);
	free(writer->rows);
	free(writer->reached);
	free(writer->selection);
	free(writer->left);
	free(writer);
}
