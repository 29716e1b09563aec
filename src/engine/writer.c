/* SPDX-License-Identifier: PostgreSQL */
/* writer.c: allocating a writer's scratch.  See writer.h. */
#include "writer.h"

#include <stdlib.h>

static bool
create_sets(BsWriter *writer, const BsProgram *program)
{
	bool ok = true;

	writer->nsets = program->nsets;
	writer->set_keys = calloc(program->nsets + 1, sizeof(*writer->set_keys));
	writer->set_values = calloc(program->nsets + 1, sizeof(*writer->set_values));
	writer->set_lanes = calloc(program->nkeys + 1, sizeof(*writer->set_lanes));
	if (writer->set_keys == NULL || writer->set_values == NULL || writer->set_lanes == NULL)
		return false;
	for (uint32_t i = 0; i < program->nsets; i++)
	{
		BsLane *values = &writer->set_values[i];

		writer->set_keys[i] = bs_keys_create(program->sets[i].rows, writer->capacity);
		values->type = program->sets[i].type;
		values->values = calloc(writer->capacity, bs_type_lane_width(values->type));
		values->nulls = calloc(writer->capacity, 1);
		ok &= writer->set_keys[i] != NULL && values->values != NULL && values->nulls != NULL;
	}
	return ok;
}

BsWriter *
bs_writer_create(const BsProgram *program)
{
	BsWriter *writer = calloc(1, sizeof(BsWriter));
	uint32_t n = program->capacity;

	/* Merging goes by chunks of rows, which may hold more rows than a batch. */
	if (n < bs_rows_per_chunk(&program->layout))
		n = bs_rows_per_chunk(&program->layout);
	for (uint32_t i = 0; i < program->nsets; i++)
		if (n < bs_rows_per_chunk(&program->sets[i].rows->layout))
			n = bs_rows_per_chunk(&program->sets[i].rows->layout);
	if (writer == NULL)
		return NULL;
	writer->capacity = n;
	writer->keys = bs_keys_create(program, n);
	writer->numbers = calloc(n, sizeof(*writer->numbers));
	writer->row_at = calloc(n, sizeof(*writer->row_at));
	writer->states = calloc(n, sizeof(*writer->states));
	writer->gathered = calloc(n, sizeof(*writer->gathered));
	writer->rows = calloc(n, sizeof(*writer->rows));
	writer->reached = calloc(n, sizeof(*writer->reached));
	writer->unknown = calloc(n, sizeof(*writer->unknown));
	writer->found = calloc(n, sizeof(*writer->found));
	writer->selection = calloc(n, sizeof(*writer->selection));
	writer->left = calloc(n, sizeof(*writer->left));
	if (!create_sets(writer, program) || !writer->keys || !writer->numbers || !writer->row_at ||
		!writer->states || !writer->gathered || !writer->rows || !writer->reached || !writer->unknown || !writer->found ||
 !writer->selection || !writer->left)
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
	for (uint32_t i = 0; writer->set_keys != NULL && writer->set_values != NULL && i < writer->nsets; i++)
	{
		bs_keys_free(writer->set_keys[i]);
		free(writer->set_values[i].values);
		free(writer->set_values[i].nulls);
	}
	free(writer->set_keys);
	free(writer->set_values);
	free(writer->set_lanes);
	bs_keys_free(writer->keys);
	free(writer->numbers);
	free(writer->row_at);
	free(writer->states);
	free(writer->gathered);
	free(writer->rows);
	free(writer->reached);
	free(writer->unknown);
	free(writer->found);
	free(writer->selection);
	free(writer->left);
	free(writer);
}
