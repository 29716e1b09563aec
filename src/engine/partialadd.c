/* SPDX-License-Identifier: PostgreSQL */
/* partialadd.c: what a program made of a batch into a partial's panes.  See partial.h. */
#include "writer.h"

#include <string.h>

#include "groups.h"

#define SLICE_ROWS 256u

/* Leave out rows whose group found no room; their addresses too.  Returns the number left. */
static uint32_t
drop_unplaced(BsWriter *writer, uint32_t nrows)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < nrows; i++)
	{
		if (writer->numbers[i] == BS_NO_ROW)
			continue;
		writer->numbers[kept] = writer->numbers[i];
		writer->rows[kept++] = writer->rows[i];
	}
	return kept;
}

/* Records whose groups found no room go to the other group. */
static void
gather(BsArena *arena, BsTable *table, const BsProgram *program, BsWriter *writer, BsRows rows)
{
	uint32_t other = bs_table_other(arena, table, program);

	for (uint32_t i = 0; other != BS_NO_ROW && i < rows.nrows; i++)
	{
		if (writer->numbers[i] != BS_NO_ROW)
			continue;
		writer->numbers[i] = other;
		writer->gathered[rows.rows[i]] = 1;
		writer->ngathered++;
	}
}

/* Their values go to the other group's sets. */
static void
gather_values(BsKeys *keys, const BsProgram *set_rows, const BsWriter *writer, BsRows rows)
{
	for (uint32_t i = 0; i < rows.nrows; i++)
		if (writer->gathered[rows.rows[i]] != 0)
			bs_keys_make_other(keys, set_rows, i);
}

/* Addresses of the groups' rows; returns false when some group has no row. */
static bool
resolve_rows(BsArena *arena, const BsTable *table, const BsProgram *program, BsWriter *writer,
			 uint32_t nrows)
{
	uint32_t row_bytes = program->row_bytes;
	bool complete = true;

	if (table->nchunks <= 1)
	{
		uint8_t *chunk = bs_arena_at(arena, table->chunks);

		for (uint32_t i = 0; i < nrows; i++)
		{
			complete &= writer->numbers[i] != BS_NO_ROW;
			writer->row_at[i] = chunk + (size_t) (writer->numbers[i] & BS_ROW_MASK) * row_bytes;
		}
		return complete;
	}
	for (uint32_t i = 0; i < nrows; i++)
	{
		if (writer->numbers[i] == BS_NO_ROW)
			complete = false;
		else
			writer->row_at[i] = bs_table_row(arena, table, program, writer->numbers[i]);
	}
	return complete;
}

/*
 * Sums of which no value is missing have a value in every row that is touched: their bits are set here,
 * in one go, and not record by record in each loop.
 */
static uint32_t
bits_for_all(const BsProgram *program, const BsEvaluated *evaluated, uint32_t word)
{
	uint32_t bits = 0;

	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		const BsAggregate *aggregate = &program->aggregates[a];

		if (aggregate->kind == BS_AGG_SUM_INT && aggregate->flags_offset == word &&
			aggregate->set == 0 && evaluated->filters[a] == NULL && !evaluated->arguments[a]->has_nulls)
			bits |= aggregate->seen_mask;
	}
	return bits;
}

static void
count_records(const BsProgram *program, BsWriter *writer, const BsEvaluated *evaluated, uint32_t nrows)
{
	uint32_t count = program->count_offset;

	if (program->nkeys == 0 && nrows > 0)
	{
		*(uint64_t *) (writer->row_at[0] + count) += nrows;
		nrows = 1;
	}
	else
		for (uint32_t i = 0; i < nrows; i++)
			*(uint64_t *) (writer->row_at[i] + count) += 1;
	for (uint32_t word = program->flags_offset; word + 4 <= program->count_offset; word += 4)
	{
		uint32_t bits = bits_for_all(program, evaluated, word);

		if (bits == 0)
			continue;
		for (uint32_t i = 0; i < nrows; i++)
			*(uint32_t *) (writer->row_at[i] + word) |= bits;
	}
}

/* The first value of any bytes goes to the table's heap. */
static void
keep_any_bytes(BsArena *arena, BsTable *table, const BsAggregate *aggregate, BsWriter *writer,
			   const BsLane *lane, const uint8_t *filter, BsRows rows)
{
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint32_t at = rows.rows[i];
		uint8_t *row = writer->row_at[i];
		BsHandle *handle = (BsHandle *) (row + aggregate->offset);

		if (bs_state_has_value(aggregate, row) || bs_lane_is_null(lane, at) ||
			(filter != NULL && filter[at] == 0))
			continue;
		handle->offset = bs_table_heap_put(arena, table, lane->bytes[at].data, lane->bytes[at].len);
		handle->len = lane->bytes[at].len;
		if (handle->offset != 0)
			*(uint32_t *) (row + aggregate->flags_offset) |= aggregate->seen_mask;
	}
}

static void
accumulate_foreign(BsArena *arena, BsTable *table, const BsProgram *program, uint32_t a,
				   BsWriter *writer, const uint8_t *filter, BsRows rows,
				   BsForeignAccumulate accumulate, void *context)
{
	BsRows reached = {.rows = writer->reached};
	uint32_t n = 0;

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		if (filter != NULL && filter[rows.rows[i]] == 0)
			continue;
		writer->reached[n] = rows.rows[i];
		writer->states[n++] = (BsHandle *) (writer->row_at[i] + program->aggregates[a].offset);
	}
	reached.nrows = n;
	accumulate(context, arena, table, a, reached, writer->states);
}

/* The values of a DISTINCT argument: whichever is new in its group becomes a row of the set's table. */
static void
add_to_set(BsArena *arena, BsTable *table, uint64_t max_rows, const BsProgram *program,
		   BsWriter *writer, const BsEvaluated *evaluated, uint32_t i, BsRows rows,
		   bool any_gathered)
{
	const BsLane *values = evaluated->set_arguments[i];
	const uint8_t *filter = evaluated->set_filters[i];
	BsRows reached = {.rows = writer->reached};
	BsTable *set = bs_table_set(arena, table, program, i, true);
	uint64_t bytes;

	for (uint32_t r = 0; r < rows.nrows; r++)
		if (!bs_lane_is_null(values, rows.rows[r]) && (filter == NULL || filter[rows.rows[r]] != 0))
			writer->reached[reached.nrows++] = rows.rows[r];
	if (set == NULL)
	{
		table->left_out += reached.nrows;
		return;
	}
	for (uint32_t k = 0; k < program->nkeys; k++)
		writer->set_lanes[k] = evaluated->keys[k];
	writer->set_lanes[program->nkeys] = values;
	bytes = set->bytes;
	bs_keys_pack(writer->set_keys[i], program->sets[i].rows, writer->set_lanes, reached);
	if (any_gathered)
		gather_values(writer->set_keys[i], program->sets[i].rows, writer, reached);
	bs_table_find(arena, set, program->sets[i].rows, writer->set_keys[i], max_rows, writer->numbers);
	for (uint32_t r = 0; r < reached.nrows; r++)
		table->left_out += writer->numbers[r] == BS_NO_ROW;
	table->bytes += set->bytes - bytes;
}

/* A table without keys has one row for all records; false: there is no room for it. */
static bool
resolve_only_row(BsArena *arena, BsTable *table, uint64_t max_groups, const BsProgram *program,
				 BsWriter *writer, uint32_t nrows)
{
	uint8_t *row;

	writer->keys->nrows = 1;
	bs_table_find(arena, table, program, writer->keys, max_groups, writer->numbers);
	if (writer->numbers[0] == BS_NO_ROW)
		return false;
	row = bs_table_row(arena, table, program, writer->numbers[0]);
	for (uint32_t i = 0; i < nrows; i++)
		writer->row_at[i] = row;
	return true;
}

/* The groups that are not known to the writer: looked up in the table, and remembered. */
static void
find_unknown(BsArena *arena, BsTable *table, uint64_t max_groups, const BsProgram *program,
			 BsWriter *writer, const BsEvaluated *evaluated, BsRows rows, uint32_t nunknown)
{
	for (uint32_t i = 0; i < nunknown; i++)
		writer->reached[i] = rows.rows[writer->unknown[i]];
	bs_keys_pack(writer->keys, program, evaluated->keys, (BsRows){nunknown, writer->reached});
	bs_table_find(arena, table, program, writer->keys, max_groups, writer->found);
	for (uint32_t i = 0; i < nunknown; i++)
	{
		writer->numbers[writer->unknown[i]] = writer->found[i];
		if (writer->found[i] != BS_NO_ROW)
			bs_groups_remember(program->groups, writer->remembered, writer->reached[i],
							   writer->found[i]);
	}
}

/* Numbers of the rows of the records' groups, made when they are new; BS_NO_ROW where there is no room. */
static void
find_groups(BsArena *arena, BsTable *table, uint64_t max_groups, const BsProgram *program,
			BsWriter *writer, const BsEvaluated *evaluated, BsRows rows)
{
	bool known = writer->remembered != BS_NOT_REMEMBERED;
	uint32_t nunknown;

	if (!known || program->leads)
	{
		bs_keys_pack(writer->keys, program, evaluated->keys, rows);
		bs_table_find(arena, table, program, writer->keys, max_groups, writer->numbers);
		if (known)
			bs_groups_found(program->groups, writer->remembered, program, rows, writer->numbers);
		return;
	}
	nunknown = bs_groups_recall(program->groups, writer->remembered, arena, table, program, rows,
								writer->numbers, writer->unknown);
	if (nunknown > 0)
		find_unknown(arena, table, max_groups, program, writer, evaluated, rows, nunknown);
}

/* Add rows that fall into one pane; returns how many found room. */
static uint32_t
add_rows(BsArena *arena, BsTable *table, uint64_t max_groups, const BsProgram *program,
		 BsWriter *writer, const BsEvaluated *evaluated, BsRows rows, BsForeignAccumulate accumulate,
		 void *context)
{
	uint64_t ngathered = writer->ngathered;

	if (program->nkeys == 0)
	{
		if (!resolve_only_row(arena, table, max_groups, program, writer, rows.nrows))
			return 0;
	}
	else
	{
		find_groups(arena, table, max_groups, program, writer, evaluated, rows);
		if (!resolve_rows(arena, table, program, writer, rows.nrows))
		{
			if (writer->gather_other)
				gather(arena, table, program, writer, rows);
			memcpy(writer->rows, rows.rows, rows.nrows * sizeof(uint16_t));
			rows.nrows = drop_unplaced(writer, rows.nrows);
			rows.rows = writer->rows;
			resolve_rows(arena, table, program, writer, rows.nrows);
		}
		if (rows.nrows == 0)
			return 0;
	}
	count_records(program, writer, evaluated, rows.nrows);
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		const BsAggregate *aggregate = &program->aggregates[a];
		const BsLane *lane = evaluated->arguments[a];
		const uint8_t *filter = evaluated->filters[a];

		if (aggregate->set != 0)
			continue;
		if (aggregate->kind == BS_AGG_FOREIGN)
			accumulate_foreign(arena, table, program, a, writer, filter, rows, accumulate, context);
		else if (aggregate->kind == BS_AGG_ANY && aggregate->type == BS_BYTES)
			keep_any_bytes(arena, table, aggregate, writer, lane, filter, rows);
		else
			bs_aggregate_accumulate(aggregate, writer->row_at, lane, filter, rows);
	}
	for (uint32_t i = 0; i < program->nsets; i++)
		add_to_set(arena, table, bs_max_values(max_groups, writer->gather_other), program, writer,
				   evaluated, i, rows, writer->ngathered > ngathered);
	for (uint32_t i = 0; writer->ngathered > ngathered && i < rows.nrows; i++)
		writer->gathered[rows.rows[i]] = 0;
	return rows.nrows;
}

static uint32_t
place_in_groups(const BsArena *arena, const BsTable *table, const BsProgram *program, uint32_t nrows)
{
	if (program->groups == NULL)
		return BS_NOT_REMEMBERED;
	if (program->leads)
		return bs_groups_lead(program->groups, arena, table, nrows);
	return bs_groups_follow(program->groups, program->follower, arena, table, nrows);
}

/*
 * The groups' rows are walked once to be found, once to be counted, and once per aggregate: so many
 * records at a time that they stay in the first cache meanwhile.  (Foreign aggregates want them all:
 * each call costs them more than a cache.)
 */
static uint32_t
add_slices(BsArena *arena, BsTable *table, uint64_t max_groups, const BsProgram *program,
		   BsWriter *writer, const BsEvaluated *evaluated, BsRows rows, BsForeignAccumulate accumulate,
		   void *context)
{
	uint32_t slice = accumulate != NULL || program->nkeys == 0 ? rows.nrows : SLICE_ROWS;
	uint32_t nadded = 0;

	writer->remembered = place_in_groups(arena, table, program, rows.nrows);
	for (uint32_t first = 0; first < rows.nrows; first += slice)
	{
		BsRows part = {rows.nrows - first < slice ? rows.nrows - first : slice, rows.rows + first};

		nadded += add_rows(arena, table, max_groups, program, writer, evaluated, part, accumulate,
						   context);
	}
	return nadded;
}

static int64_t
sum_of_lane(const BsLane *lane, BsRows rows)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < rows.nrows; i++)
		if (!bs_lane_is_null(lane, rows.rows[i]))
			sum += (uint64_t) lane->i64[rows.rows[i]];
	return (int64_t) sum;
}

/* What is added, and where to. */
typedef struct Addition
{
	const BsSharer *sharers;
	uint32_t nsharers;
	BsArena *arena;
	const BsEvaluated *evaluated; /* by the first one's program */
	BsForeignAccumulate accumulate;
	void *accumulate_context;
} Addition;

static void
count_late(const Addition *addition, const BsSharer *sharer, int64_t start, BsRows rows)
{
	const BsProgram *program = sharer->program;

	bs_partial_count_late(sharer->partial, addition->arena, &program->windowing, start, rows.nrows);
	if (program->late_sum != 0)
		sharer->partial->late_bytes +=
			sum_of_lane(addition->evaluated->arguments[program->late_sum - 1], rows);
}

static void
count_overflowed(BsHolder holder, uint64_t nrows)
{
	holder.partial->overflowed += nrows;
	if (holder.pane != NULL)
		holder.pane->overflowed += nrows;
}

/* A sharer's pane for these rows; a pane of NULL when it takes none: they are counted. */
static BsHolder
open_pane(const Addition *addition, const BsSharer *sharer, int64_t start, BsRows rows)
{
	BsHolder holder = {.partial = sharer->partial};

	if (sharer->program->windowed && start < sharer->partial->closed_before)
	{
		count_late(addition, sharer, start, rows);
		return holder;
	}
	holder.pane = bs_partial_make_pane(sharer->partial, addition->arena, start);
	if (holder.pane == NULL)
		count_overflowed(holder, rows.nrows);
	return holder;
}

/* Rows into the table of these panes, by one of the sharers. */
static void
add_to_table(const Addition *addition, const BsSharer *by, const BsHolder *holders, uint32_t nholders,
			 BsRows rows)
{
	const BsPartial *first = by->partial;
	BsTable *table = bs_panes_table(addition->arena, by->program, by->writer, holders, nholders,
									first->last_rows);
	uint64_t bytes;
	uint32_t nadded;

	for (uint32_t i = 0; table == NULL && i < nholders; i++)
		count_overflowed(holders[i], rows.nrows);
	if (table == NULL)
		return;
	bytes = table->bytes;
	by->writer->gather_other = first->gather_other != 0;
	by->writer->ngathered = 0;
	nadded = add_slices(addition->arena, table, first->max_groups, by->program, by->writer,
						addition->evaluated, rows, addition->accumulate, addition->accumulate_context);
	bs_table_count_records(table, nadded);
	for (uint32_t i = 0; i < nholders; i++)
	{
		BsPartial *partial = holders[i].partial;

		partial->bytes += table->bytes - bytes;
		partial->records += nadded;
		count_overflowed(holders[i], rows.nrows - nadded);
		if (table->nrows > partial->last_rows ||
			holders[i].pane == bs_partial_pane_at(partial, addition->arena, partial->npanes - 1))
			partial->last_rows = table->nrows;
	}
}

/* Can two panes be written to as one? */
static bool
same_table(const BsHolder *a, const BsHolder *b)
{
	return a->pane->table == b->pane->table && a->partial->max_groups == b->partial->max_groups &&
		   a->partial->gather_other == b->partial->gather_other;
}

/*
 * Rows that fall into one pane.  The partials' panes have one table mostly.  Where one of them has closed the pane
 * before the others, or came when they had it already, there are several: each is added to.
 */
static void
add_to_pane(const Addition *addition, int64_t start, BsRows rows)
{
	BsHolder left[BS_MAX_SHARERS];
	BsHolder together[BS_MAX_SHARERS];

	for (uint32_t i = 0; i < addition->nsharers; i++)
		left[i] = open_pane(addition, &addition->sharers[i], start, rows);
	for (uint32_t i = 0; i < addition->nsharers; i++)
	{
		uint32_t n = 0;

		if (left[i].pane == NULL)
			continue;
		for (uint32_t j = i; j < addition->nsharers; j++)
			if (left[j].pane != NULL && same_table(&left[i], &left[j]))
			{
				together[n++] = left[j];
				if (j > i)
					left[j].pane = NULL;
			}
		add_to_table(addition, &addition->sharers[i], together, n, rows);
	}
}

/* Rows of a batch that fall into several panes: one selection after the other. */
static void
add_by_pane(const Addition *addition)
{
	const BsEvaluated *evaluated = addition->evaluated;
	const BsWriter *writer = addition->sharers[0].writer;
	uint16_t *left = writer->left;
	uint32_t nleft = evaluated->nrows;

	memcpy(left, evaluated->rows, nleft * sizeof(uint16_t));
	while (nleft > 0)
	{
		int64_t start = evaluated->panes[left[0]];
		uint32_t nmine = 0;
		uint32_t nothers = 0;

		for (uint32_t i = 0; i < nleft; i++)
		{
			uint16_t row = left[i];

			if (evaluated->panes[row] == start)
				writer->selection[nmine++] = row;
			else
				left[nothers++] = row;
		}
		nleft = nothers;
		add_to_pane(addition, start, (BsRows){nmine, writer->selection});
	}
}

static void
count_errors(BsPartial *partial, BsArena *arena, const BsProgram *program, const BsBatch *batch,
			 const BsEvaluated *evaluated)
{
	const BsLane *time = program->windowed ? &batch->columns[program->time_column] : NULL;

	for (uint32_t i = 0; i < evaluated->nfailed; i++)
	{
		uint16_t row = evaluated->failed_rows[i];
		int64_t start = BS_NO_WINDOW;
		BsPane *pane;

		if (time != NULL && (bs_lane_is_null(time, row) || time->i64[row] == BS_TIME_INFINITY ||
							 time->i64[row] == BS_TIME_NEG_INFINITY))
			continue;
		if (time != NULL)
			start = bs_pane_start(&program->windowing, time->i64[row]);
		pane = bs_partial_pane(partial, arena, start);
		if (pane != NULL)
			pane->errors++;
	}
}

static void
count_batch(const Addition *addition, const BsSharer *sharer, const BsBatch *batch)
{
	const BsEvaluated *evaluated = addition->evaluated;
	BsPartial *partial = sharer->partial;

	partial->received += evaluated->received;
	partial->filtered += evaluated->filtered;
	partial->untimed += evaluated->untimed;
	partial->future += evaluated->future;
	partial->errors += evaluated->errors;
	partial->unknown_rate += evaluated->unknown_rate;
	if (evaluated->nfailed == 0)
		return;
	partial->last_error = evaluated->last_error;
	count_errors(partial, addition->arena, sharer->program, batch, evaluated);
}

static void
add(const Addition *addition, const BsBatch *batch)
{
	const BsEvaluated *evaluated = addition->evaluated;

	if (evaluated->nrows > 0 && evaluated->one_pane)
		add_to_pane(addition, evaluated->pane, (BsRows){evaluated->nrows, evaluated->rows});
	else if (evaluated->nrows > 0)
		add_by_pane(addition);
	for (uint32_t i = 0; i < addition->nsharers; i++)
		count_batch(addition, &addition->sharers[i], batch);
}

void
bs_partial_add(BsPartial *partial, BsArena *arena, const BsProgram *program, BsWriter *writer,
			   const BsBatch *batch, const BsEvaluated *evaluated, BsForeignAccumulate accumulate,
			   void *accumulate_context)
{
	BsSharer alone = {partial, program, writer};

	add(&(Addition){&alone, 1, arena, evaluated, accumulate, accumulate_context}, batch);
}

void
bs_partial_add_shared(const BsSharer *sharers, uint32_t nsharers, BsArena *arena, const BsBatch *batch,
					  const BsEvaluated *evaluated)
{
	add(&(Addition){.sharers = sharers, .nsharers = nsharers, .arena = arena, .evaluated = evaluated}, batch);
}
