/* SPDX-License-Identifier: PostgreSQL */
/*
 * sources.c: how far each source of time has come, kept with a partial.  See partial.h.
 *
 * Open addressing in one arena block, at most half full, at most BS_MAX_SOURCES entries: a sender of
 * spoofed addresses can take those, after which the time of new sources is not followed (counted) and
 * that of the known ones goes on.
 */
#include "writer.h"

#include <string.h>

static BsSource *
sources_of(const BsPartial *partial, BsArena *arena)
{
	return bs_arena_at(arena, partial->sources);
}

/* The entry of a source, or the empty one where it belongs.  0 is kept for empty entries. */
static BsSource *
source_slot(BsSource *sources, uint32_t capacity, uint64_t source)
{
	uint32_t slot = (uint32_t) (source ^ (source >> 32)) & (capacity - 1);

	while (sources[slot].source != 0 && sources[slot].source != source)
		slot = (slot + 1) & (capacity - 1);
	return &sources[slot];
}

static bool
sources_grow(BsPartial *partial, BsArena *arena)
{
	uint32_t capacity = partial->sources_capacity == 0 ? 2 : partial->sources_capacity * 2;
	uint64_t block;
	BsSource *sources;

	if (partial->nsources >= BS_MAX_SOURCES)
		return false;
	block = bs_arena_alloc(arena, capacity * sizeof(BsSource));
	if (block == 0)
		return false;
	sources = bs_arena_at(arena, block);
	memset(sources, 0, capacity * sizeof(BsSource));
	for (uint32_t i = 0; i < partial->sources_capacity; i++)
	{
		const BsSource *old = &sources_of(partial, arena)[i];

		if (old->source != 0)
			*source_slot(sources, capacity, old->source) = *old;
	}
	if (partial->sources != 0)
	{
		bs_arena_release(arena, partial->sources, partial->sources_capacity * sizeof(BsSource));
		partial->bytes -= bs_arena_block_bytes(partial->sources_capacity * sizeof(BsSource));
	}
	partial->bytes += bs_arena_block_bytes(capacity * sizeof(BsSource));
	partial->sources = block;
	partial->sources_capacity = capacity;
	return true;
}

/* The entry of a source, made when it is new; NULL when there is no room. */
static BsSource *
source_take(BsPartial *partial, BsArena *arena, uint64_t source)
{
	BsSource *entry;

	if (partial->sources_capacity > 0)
	{
		entry = source_slot(sources_of(partial, arena), partial->sources_capacity, source);
		if (entry->source == source)
			return entry;
	}
	if (partial->nsources >= partial->sources_capacity / 2 && !sources_grow(partial, arena))
	{
		partial->sources_refused++;
		return NULL;
	}
	entry = source_slot(sources_of(partial, arena), partial->sources_capacity, source);
	*entry = (BsSource){.source = source,
						.highest = BS_TIME_NEG_INFINITY,
						.last_heard = BS_TIME_NEG_INFINITY};
	partial->nsources++;
	return entry;
}

void
bs_source_heard(BsPartial *partial, BsArena *arena, BsSource heard)
{
	BsSource *entry = source_take(partial, arena, heard.source != 0 ? heard.source : 1);

	if (entry == NULL)
		return;
	if (heard.highest > entry->highest)
		entry->highest = heard.highest;
	if (heard.last_heard > entry->last_heard)
		entry->last_heard = heard.last_heard;
	if (heard.largest_lateness > entry->largest_lateness)
		entry->largest_lateness = heard.largest_lateness;
}

/* The highest time of a run that is not in the future. */
static int64_t
run_highest_within(const BsLane *lane, const BsRun *run, int64_t limit)
{
	int64_t highest = BS_TIME_NEG_INFINITY;

	for (uint32_t row = run->first; row < run->first + run->nrows; row++)
		if (lane->nulls[row] == 0 && lane->i64[row] <= limit && lane->i64[row] > highest &&
			lane->i64[row] != BS_TIME_INFINITY)
			highest = lane->i64[row];
	return highest;
}

static int64_t
span_between(int64_t from, int64_t to)
{
	int64_t span;

	if (from == BS_TIME_NEG_INFINITY || to <= from)
		return 0;
	return __builtin_sub_overflow(to, from, &span) ? BS_TIME_INFINITY : span;
}

void
bs_partial_follow(BsPartial *partial, BsArena *arena, const BsProgram *program, const BsBatch *batch,
				  const BsViewTimes *times)
{
	const BsTimeMarks *marks;

	if (!program->windowed)
		return;
	marks = bs_batch_time_marks(batch, bs_program_clock(program));
	for (uint32_t i = 0; i < batch->nruns; i++)
	{
		int64_t highest = marks->run_highest[i];

		if (highest > times->future_limit)
			highest = run_highest_within(&batch->columns[bs_program_clock(program)], &batch->runs[i],
										 times->future_limit);
		if (highest == BS_TIME_NEG_INFINITY)
			continue;
		bs_source_heard(partial, arena,
						(BsSource){.source = batch->runs[i].source,
								   .highest = highest,
								   .last_heard = times->now,
								   .largest_lateness = span_between(marks->run_lowest[i], times->front)});
	}
}

void
bs_sources_merge(BsPartial *into, BsArena *arena, const BsPartial *from, BsArena *from_arena,
				 int64_t heard)
{
	for (uint32_t i = 0; i < from->sources_capacity; i++)
	{
		BsSource entry = sources_of(from, from_arena)[i];

		entry.last_heard = heard;
		if (entry.source != 0)
			bs_source_heard(into, arena, entry);
	}
}

void
bs_progress_begin(BsProgress *progress)
{
	*progress = (BsProgress){.alive_lowest = BS_TIME_INFINITY,
							 .idle_highest = BS_TIME_NEG_INFINITY,
							 .highest = BS_TIME_NEG_INFINITY};
}

BsSourceState
bs_source_state(const BsSource *source, const BsWaiting *waiting)
{
	if (waiting->idle_usec < span_between(source->last_heard, waiting->now))
		return BS_SOURCE_IDLE;
	if (waiting->behind_usec < span_between(source->highest, waiting->clock))
		return BS_SOURCE_BEHIND;
	return BS_SOURCE_ALIVE;
}

void
bs_partial_progress(const BsPartial *partial, BsArena *arena, const BsWaiting *waiting,
					BsProgress *progress)
{
	for (uint32_t i = 0; i < partial->sources_capacity; i++)
	{
		const BsSource *entry = &sources_of(partial, arena)[i];
		int64_t gone_on;

		if (entry->source == 0)
			continue;
		progress->any = true;
		if (entry->highest > progress->highest)
			progress->highest = entry->highest;
		if (bs_source_state(entry, waiting) == BS_SOURCE_ALIVE)
		{
			progress->any_alive = true;
			if (entry->highest < progress->alive_lowest)
				progress->alive_lowest = entry->highest;
		}
		gone_on = bs_time_plus(entry->highest, span_between(entry->last_heard, waiting->now));
		if (gone_on > progress->idle_highest)
			progress->idle_highest = gone_on;
	}
}

int64_t
bs_progress_front(const BsProgress *progress)
{
	return progress->any_alive ? progress->alive_lowest : progress->idle_highest;
}

uint32_t
bs_partial_sources(const BsPartial *partial, BsArena *arena, BsSource *sources, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < partial->sources_capacity; i++)
	{
		const BsSource *entry = &sources_of(partial, arena)[i];

		if (entry->source == 0)
			continue;
		if (n < max)
			sources[n] = *entry;
		n++;
	}
	return n;
}
