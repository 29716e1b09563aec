/* SPDX-License-Identifier: PostgreSQL */
/*
 * yard_drain.c: yardstick 1, the floor: receive datagrams and count their records, nothing else.
 *
 * It looks at headers only.  v5 says its count; in v9 and IPFIX the length of a set is divided by
 * that of its template's records, which are of fixed length here.  Loss is told from the sequence
 * numbers, which is right for one stream only: with several exporters compare with the generator's
 * totals.
 */
#include "drain.h"

#include <endian.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MAX_TEMPLATES 16

typedef struct Counter
{
	struct
	{
		uint16_t id;
		uint32_t record_len;
	} templates[MAX_TEMPLATES];
	uint32_t ntemplates;
	bool started;
	uint32_t next_sequence;
	uint64_t lost; /* in the protocol's unit: records, or v9 datagrams */
	uint64_t unknown_sets;
} Counter;

static uint16_t
get16(const uint8_t *p)
{
	uint16_t big;

	memcpy(&big, p, sizeof(big));
	return be16toh(big);
}

static uint32_t
get32(const uint8_t *p)
{
	uint32_t big;

	memcpy(&big, p, sizeof(big));
	return be32toh(big);
}

/* Learn the record lengths of a template set. */
static void
learn(Counter *counter, const uint8_t *p, const uint8_t *end)
{
	while (end - p >= 8 && get16(p) >= 256)
	{
		uint16_t id = get16(p);
		uint32_t nfields = get16(p + 2);
		uint32_t len = 0;
		uint32_t i;

		p += 4;
		for (i = 0; i < nfields && end - p >= 4; i++)
		{
			len += get16(p + 2);
			p += get16(p) & 0x8000 ? 8 : 4;
		}
		for (i = 0; i < counter->ntemplates && counter->templates[i].id != id; i++)
			;
		if (i == MAX_TEMPLATES)
			return;
		counter->templates[i].id = id;
		counter->templates[i].record_len = len;
		if (i == counter->ntemplates)
			counter->ntemplates++;
	}
}

static uint32_t
count_sets(Counter *counter, uint16_t version, const uint8_t *p, const uint8_t *end)
{
	uint32_t records = 0;

	while (end - p >= 4)
	{
		uint16_t id = get16(p);
		uint32_t len = get16(p + 2);
		uint32_t i;

		if (len < 4 || len > end - p)
			break;
		if (id == (version == 9 ? 0 : 2))
			learn(counter, p + 4, p + len);
		for (i = 0; i < counter->ntemplates && counter->templates[i].id != id; i++)
			;
		if (i < counter->ntemplates && counter->templates[i].record_len > 0)
			records += (len - 4) / counter->templates[i].record_len;
		else if (id >= 256)
			counter->unknown_sets++; /* options, or a template that was missed */
		p += len;
	}
	return records;
}

static void
follow(Counter *counter, uint32_t sequence, uint32_t step)
{
	/* Signed: a datagram that comes late is not a loss of four thousand million. */
	if (counter->started && (int32_t) (sequence - counter->next_sequence) > 0)
		counter->lost += sequence - counter->next_sequence;
	counter->started = true;
	counter->next_sequence = sequence + step;
}

static uint32_t
count(void *context, const uint8_t *data, uint32_t len_bytes)
{
	Counter *counter = context;
	uint16_t version = len_bytes >= 24 ? get16(data) : 0;
	uint32_t records;

	switch (version)
	{
		case 5:
			records = get16(data + 2);
			follow(counter, get32(data + 16), records);
			return records;
		case 9:
			records = count_sets(counter, version, data + 20, data + len_bytes);
			follow(counter, get32(data + 12), 1);
			return records;
		case 10:
			records = count_sets(counter, version, data + 16, data + len_bytes);
			follow(counter, get32(data + 8), records);
			return records;
		default:
			return 0;
	}
}

static void
print(void *context)
{
	const Counter *counter = context;

	printf(", \"sequence_lost\": %" PRIu64 ", \"unknown_sets\": %" PRIu64, counter->lost,
		   counter->unknown_sets);
}

int
main(int argc, char **argv)
{
	static Counter counter;
	const BsDrainTake take = {count, print, &counter};

	return bs_drain_main("yard_drain", "Receive export datagrams and count their records.", &take,
						 argc, argv);
}
