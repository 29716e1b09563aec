/* SPDX-License-Identifier: PostgreSQL */
/*
 * yard_matrix.c: yardstick 2: what somebody would write by hand who wants the traffic matrix of
 * NetFlow v5 records (bytes, packets and flows by src_as and dst_as) and nothing else.
 *
 * One hash table of 2^17 slots of 32 bytes, linear probing; no windows, no NULLs, no lock.
 */
#include "drain.h"

#include <endian.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_BITS     17
#define NSLOTS        (1u << SLOT_BITS)
#define V5_HEADER     24
#define V5_RECORD     48
#define V5_PACKETS_AT 16
#define V5_BYTES_AT   20
#define V5_AS_AT      40 /* source, then destination: one key of 32 bits */

typedef struct Slot
{
	uint64_t bytes;
	uint64_t packets;
	uint64_t flows; /* 0: free */
	uint32_t key;
	uint32_t unused;
} Slot;

typedef struct Matrix
{
	Slot *slots;
	uint32_t groups;
	uint64_t overflowed;
	bool started;
	uint32_t next_sequence;
	uint64_t lost;
} Matrix;

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

static inline void
add_record(Matrix *matrix, const uint8_t *record)
{
	uint32_t key = get32(record + V5_AS_AT);
	uint32_t i = (key * 0x9e3779b1u) >> (32 - SLOT_BITS);

	while (matrix->slots[i].flows != 0 && matrix->slots[i].key != key)
		i = (i + 1) & (NSLOTS - 1);
	if (matrix->slots[i].flows == 0)
	{
		/* One slot stays free, so that a search ends. */
		if (matrix->groups == NSLOTS - 1)
		{
			matrix->overflowed++;
			return;
		}
		matrix->groups++;
		matrix->slots[i].key = key;
	}
	matrix->slots[i].bytes += get32(record + V5_BYTES_AT);
	matrix->slots[i].packets += get32(record + V5_PACKETS_AT);
	matrix->slots[i].flows++;
}

static uint32_t
take_datagram(void *context, const uint8_t *data, uint32_t len_bytes)
{
	Matrix *matrix = context;
	uint32_t sequence;
	uint32_t n;

	if (len_bytes < V5_HEADER || get16(data) != 5)
		return 0;
	n = get16(data + 2);
	if (n > (len_bytes - V5_HEADER) / V5_RECORD)
		return 0;
	sequence = get32(data + 16);
	if (matrix->started && (int32_t) (sequence - matrix->next_sequence) > 0)
		matrix->lost += sequence - matrix->next_sequence;
	matrix->started = true;
	matrix->next_sequence = sequence + n;
	for (uint32_t i = 0; i < n; i++)
		add_record(matrix, data + V5_HEADER + i * V5_RECORD);
	return n;
}

static void
print(void *context)
{
	const Matrix *matrix = context;
	uint64_t bytes = 0;
	uint64_t packets = 0;
	uint64_t flows = 0;

	for (uint32_t i = 0; i < NSLOTS; i++)
	{
		bytes += matrix->slots[i].bytes;
		packets += matrix->slots[i].packets;
		flows += matrix->slots[i].flows;
	}
	printf(", \"sequence_lost\": %" PRIu64 ", \"groups\": %" PRIu32 ", \"overflowed\": %" PRIu64,
		   matrix->lost, matrix->groups, matrix->overflowed);
	printf(", \"flows\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"packets\": %" PRIu64, flows, bytes,
		   packets);
}

int
main(int argc, char **argv)
{
	static Matrix matrix;
	const BsDrainTake take = {take_datagram, print, &matrix};

	matrix.slots = aligned_alloc(64, NSLOTS * sizeof(Slot));
	if (matrix.slots == NULL)
		return 1;
	memset(matrix.slots, 0, NSLOTS * sizeof(Slot));
	return bs_drain_main("yard_matrix", "Keep the traffic matrix of NetFlow v5 records.", &take,
						 argc, argv);
}
