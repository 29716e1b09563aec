/* SPDX-License-Identifier: PostgreSQL */
/* sequence.c: losses by sequence numbers.  See sequence.h. */
#include "sequence.h"

#include <stddef.h>

/* By how much the time of an exporter's start may seem to move: clocks in seconds, corrected by
 * NTP. */
#define BOOT_JITTER_MSEC 10000

/* The state of a port; that of the port idle longest, cleared, when there is none. */
static BsSequencePort *
port_of(BsSequence *sequence, uint16_t port)
{
	BsSequencePort *oldest = &sequence->ports[0];

	for (uint32_t i = 0; i < BS_SEQUENCE_PORTS; i++)
	{
		BsSequencePort *state = &sequence->ports[i];

		if (state->used && (state->port == port || sequence->shared))
			return state;
		if (!state->used || (oldest->used && state->turn < oldest->turn))
			oldest = state;
		if (!state->used)
			break;
	}
	*oldest = (BsSequencePort){.port = port, .used = true};
	return oldest;
}

/* Whether another port expects exactly this number: then the ports share one sequence. */
static BsSequencePort *
expected_elsewhere(BsSequence *sequence, const BsSequencePort *here, uint32_t number)
{
	for (uint32_t i = 0; i < BS_SEQUENCE_PORTS; i++)
	{
		BsSequencePort *state = &sequence->ports[i];

		if (state->used && state->known && state != here && state->next == number)
			return state;
	}
	return NULL;
}

/* Keep one state for all ports. */
static BsSequencePort *
share(BsSequence *sequence, const BsSequencePort *state)
{
	BsSequencePort kept = *state;

	for (uint32_t i = 1; i < BS_SEQUENCE_PORTS; i++)
		sequence->ports[i] = (BsSequencePort){0};
	sequence->ports[0] = kept;
	sequence->shared = true;
	return &sequence->ports[0];
}

static void
remember_gap(BsSequencePort *state, uint32_t first, uint32_t count)
{
	state->newest_gap = (state->newest_gap + 1) % BS_SEQUENCE_GAPS;
	state->gaps[state->newest_gap] = (BsSequenceGap){.first = first, .count = count};
}

/* Take count numbers from a gap that holds them all; false when none does. */
static bool
fill_gap(BsSequencePort *state, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < BS_SEQUENCE_GAPS; i++)
	{
		BsSequenceGap *gap = &state->gaps[i];
		uint32_t before = first - gap->first;
		uint32_t after;

		if (gap->count == 0 || before >= gap->count || count > gap->count - before)
			continue;
		after = gap->count - before - count;
		gap->count = before;
		if (before == 0)
			*gap = (BsSequenceGap){.first = first + count, .count = after};
		else if (after > 0)
			remember_gap(state, first + count, after);
		return true;
	}
	return false;
}

static uint32_t
boot_of(const BsSequenceMark *mark)
{
	return mark->export_seconds * 1000 - mark->uptime_msec;
}

/* The exporter started after what was seen last: the time of its start moved on, its uptime fell.
 */
static bool
has_restarted(const BsSequencePort *state, const BsSequenceMark *mark)
{
	int32_t moved = (int32_t) (boot_of(mark) - state->boot_msec);

	return mark->has_uptime && moved > BOOT_JITTER_MSEC && mark->uptime_msec < state->uptime_msec;
}

static void
follow(BsSequencePort *state, const BsSequenceMark *mark, uint32_t count, bool countable)
{
	state->next = mark->number + count;
	state->known = countable;
	state->export_seconds = mark->export_seconds;
	state->uptime_msec = mark->uptime_msec;
	state->boot_msec = boot_of(mark);
}

/* Begin anew: what was missing before cannot come any more. */
static BsSequenceChange
resync(BsSequencePort *state, const BsSequenceMark *mark, uint32_t count, bool countable)
{
	for (uint32_t i = 0; i < BS_SEQUENCE_GAPS; i++)
		state->gaps[i].count = 0;
	follow(state, mark, count, countable);
	return (BsSequenceChange){.resyncs = 1};
}

/* A number behind the expected one: late, a duplicate, or an exporter that began anew. */
static BsSequenceChange
take_behind(BsSequencePort *state, const BsSequenceMark *mark, uint32_t count, bool countable)
{
	bool newer = (int32_t) (mark->export_seconds - state->export_seconds) > 0;

	if (has_restarted(state, mark))
		return resync(state, mark, count, countable);
	if (count == 0) /* templates alone; some exporters number such messages on their own */
		return (BsSequenceChange){0};
	if (fill_gap(state, mark->number, count))
		return (BsSequenceChange){.lost = -(int64_t) count};
	if (newer || state->next - mark->number > BS_SEQUENCE_MAX_GAP)
		return resync(state, mark, count, countable);
	return (BsSequenceChange){0};
}

BsSequenceChange
bs_sequence_take(BsSequence *sequence, const BsSequenceMark *mark, uint32_t count, bool countable)
{
	BsSequencePort *state = port_of(sequence, mark->port);
	BsSequencePort *other;
	BsSequenceChange change = {0};
	uint32_t ahead = mark->number - state->next;

	state->turn = ++sequence->turn;
	if (state->known && ahead != 0 &&
		(other = expected_elsewhere(sequence, state, mark->number)) != NULL)
	{
		state = share(sequence, other);
		ahead = 0;
	}
	if (!state->known)
		ahead = 0;
	else if (ahead > INT32_MAX)
		return take_behind(state, mark, count, countable);
	else if (ahead > BS_SEQUENCE_MAX_GAP || (ahead > 0 && has_restarted(state, mark)))
		return resync(state, mark, count, countable);
	if (ahead > 0)
	{
		remember_gap(state, state->next, ahead);
		change.lost = ahead;
	}
	change.resyncs = !countable;
	follow(state, mark, count, countable);
	return change;
}
