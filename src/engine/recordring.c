/* SPDX-License-Identifier: PostgreSQL */
/* recordring.c: records from one writer to one reader.  See recordring.h. */
#include "recordring.h"

#include <string.h>

#define ALIGN8(bytes) (((bytes) + 7) & ~(uint64_t) 7)
#define MIN_DATA_BYTES 4096

/* In place of an entry's length: go on at the beginning. */
#define AROUND UINT32_MAX

static uint64_t
load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void
store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static uint64_t
data_capacity(uint64_t data_bytes)
{
	uint64_t capacity = MIN_DATA_BYTES;

	while (capacity < data_bytes)
		capacity *= 2;
	return capacity;
}

size_t
bs_record_ring_size(uint64_t data_bytes)
{
	return sizeof(BsRecordRing) + data_capacity(data_bytes);
}

BsRecordRing *
bs_record_ring_init(void *memory, uint64_t data_bytes)
{
	BsRecordRing *ring = memory;

	*ring = (BsRecordRing){.capacity = data_capacity(data_bytes)};
	return ring;
}

/* ---------- writing ---------- */

/* A writer at work: what it has written is published at the end. */
typedef struct Writing
{
	BsRecordRing *ring;
	uint64_t written;
	uint64_t read; /* as last seen */
} Writing;

static Writing
begin_writing(BsRecordRing *ring)
{
	return (Writing){.ring = ring, .written = ring->written, .read = load(&ring->read)};
}

static void
end_writing(Writing *writing, uint32_t records, uint64_t dropped)
{
	BsRecordRing *ring = writing->ring;

	store(&ring->dropped, ring->dropped + dropped);
	store(&ring->records, ring->records + records);
	store(&ring->written, writing->written);
}

/* Contiguous room for an entry, or NULL. */
static uint8_t *
reserve(Writing *writing, uint64_t bytes)
{
	BsRecordRing *ring = writing->ring;
	uint64_t at = writing->written & (ring->capacity - 1);
	uint64_t left = ring->capacity - at;
	/* The end of the memory is passed over when the entry does not fit before it. */
	uint64_t need = bytes <= left ? bytes : left + bytes;

	if (ring->capacity - (writing->written - writing->read) < need)
		writing->read = load(&ring->read);
	if (ring->capacity - (writing->written - writing->read) < need)
		return NULL;
	if (bytes > left)
	{
		uint32_t around = AROUND;

		memcpy(ring->data + at, &around, sizeof(around));
		writing->written += left;
		at = 0;
	}
	writing->written += bytes;
	return ring->data + at;
}

static uint64_t
head_bytes(uint32_t ncolumns)
{
	return ALIGN8(sizeof(uint32_t) + ncolumns);
}

static uint64_t
record_bytes(const BsBatch *batch, const BsRecordColumns *columns, uint32_t row)
{
	uint64_t bytes = head_bytes(columns->ncolumns);

	for (uint32_t i = 0; i < columns->ncolumns; i++)
	{
		const BsLane *lane = &batch->columns[columns->columns[i]];

		if (bs_lane_is_null(lane, row))
			continue;
		if (lane->type == BS_BYTES)
			bytes += sizeof(uint64_t) + ALIGN8(lane->bytes[row].len);
		else
			bytes += bs_type_lane_width(lane->type);
	}
	return bytes;
}

static void
write_record(uint8_t *at, uint64_t bytes, const BsBatch *batch, const BsRecordColumns *columns,
			 uint32_t row)
{
	uint32_t len_bytes = (uint32_t) bytes;
	uint8_t *nulls = at + sizeof(uint32_t);
	uint8_t *value = at + head_bytes(columns->ncolumns);

	memcpy(at, &len_bytes, sizeof(len_bytes));
	for (uint32_t i = 0; i < columns->ncolumns; i++)
	{
		const BsLane *lane = &batch->columns[columns->columns[i]];
		size_t width = bs_type_lane_width(lane->type);

		nulls[i] = bs_lane_is_null(lane, row);
		if (nulls[i])
			continue;
		if (lane->type == BS_BYTES)
		{
			uint64_t len = lane->bytes[row].len;

			memcpy(value, &len, sizeof(len));
			if (len > 0)
				memcpy(value + sizeof(len), lane->bytes[row].data, len);
			value += sizeof(len) + ALIGN8(len);
			continue;
		}
		memcpy(value, (const uint8_t *) lane->values + row * width, width);
		value += width;
	}
}

uint32_t
bs_record_ring_put(BsRecordRing *ring, const BsBatch *batch, const BsRecordColumns *columns,
				   BsRows rows)
{
	Writing writing = begin_writing(ring);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint64_t bytes = record_bytes(batch, columns, rows.rows[i]);
		uint8_t *at = bytes < AROUND ? reserve(&writing, bytes) : NULL;

		if (at == NULL)
			continue;
		write_record(at, bytes, batch, columns, rows.rows[i]);
		kept++;
	}
	end_writing(&writing, kept, rows.nrows - kept);
	return kept;
}

/* ---------- reading ---------- */

uint64_t
bs_record_ring_position(const BsRecordRing *ring)
{
	return load(&ring->written);
}

/* The next entry, its bytes in *len_bytes; NULL: none before end. */
static const uint8_t *
next_entry(BsRecordRing *ring, uint64_t end, uint32_t *len_bytes)
{
	uint64_t written = load(&ring->written);

	for (;;)
	{
		uint64_t at = ring->read & (ring->capacity - 1);

		if (ring->read >= written || ring->read >= end)
			return NULL;
		memcpy(len_bytes, ring->data + at, sizeof(*len_bytes));
		if (*len_bytes != AROUND)
			return ring->data + at;
		store(&ring->read, ring->read + ring->capacity - at);
	}
}

static void
read_record(const uint8_t *at, const BsRecordColumns *columns, BsValue *values, bool *nulls)
{
	const uint8_t *marks = at + sizeof(uint32_t);
	const uint8_t *value = at + head_bytes(columns->ncolumns);

	for (uint32_t i = 0; i < columns->ncolumns; i++)
	{
		size_t width = bs_type_lane_width(columns->types[i]);

		nulls[i] = marks[i] != 0;
		if (nulls[i])
			continue;
		if (columns->types[i] == BS_BYTES)
		{
			uint64_t len;

			memcpy(&len, value, sizeof(len));
			values[i].bytes = (BsBytes){.data = value + sizeof(len), .len = (uint32_t) len};
			value += sizeof(len) + ALIGN8(len);
			continue;
		}
		memcpy(&values[i], value, width);
		value += width;
	}
}

/* An entry is given back when the next one is asked for: until then its bytes are being looked at. */
bool
bs_record_ring_next(BsRecordRing *ring, const BsRecordColumns *columns, uint64_t end,
					BsValue *values, bool *nulls)
{
	uint32_t len_bytes;
	const uint8_t *entry;

	if (ring->held > 0)
		store(&ring->read, ring->read + ring->held);
	ring->held = 0;
	entry = next_entry(ring, end, &len_bytes);
	if (entry == NULL)
		return false;
	ring->held = len_bytes;
	read_record(entry, columns, values, nulls);
	return true;
}

void
bs_record_ring_skip(BsRecordRing *ring)
{
	ring->held = 0;
	store(&ring->read, load(&ring->written));
}

uint32_t
bs_record_ring_move(BsRecordRing *ring, BsRecordRing *from)
{
	Writing writing = begin_writing(ring);
	uint64_t dropped = from->dropped;
	uint32_t kept = 0;
	uint32_t len_bytes;
	const uint8_t *entry;

	while ((entry = next_entry(from, UINT64_MAX, &len_bytes)) != NULL)
	{
		uint8_t *at = reserve(&writing, len_bytes);

		if (at != NULL)
			memcpy(at, entry, len_bytes);
		kept += at != NULL;
		dropped += at == NULL;
		store(&from->read, from->read + len_bytes);
	}
	store(&from->dropped, 0);
	end_writing(&writing, kept, dropped);
	return kept;
}

uint64_t
bs_record_ring_records(const BsRecordRing *ring)
{
	return load(&ring->records);
}

uint64_t
bs_record_ring_dropped(const BsRecordRing *ring)
{
	return load(&ring->dropped);
}
