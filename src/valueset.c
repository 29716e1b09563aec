/* SPDX-License-Identifier: PostgreSQL */
/* valueset.c: a set of byte strings.  See valueset.h. */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "valueset.h"

#define MIN_SLOTS 16
#define MIN_BYTES 128

/* ---------- lists ---------- */

void
bs_valuelist_put(StringInfo bytes, uint32 width, BsBytes value)
{
	Assert(width == 0 || width == value.len);
	if (width == 0)
		appendBinaryStringInfo(bytes, (const char *) &value.len, sizeof(value.len));
	appendBinaryStringInfo(bytes, (const char *) value.data, (int) value.len);
}

bool
bs_valuelist_next(BsBytes *rest, uint32 width, BsBytes *value)
{
	*value = (BsBytes){.data = rest->data, .len = width};
	if (rest->len == 0)
		return false;
	if (width == 0)
	{
		memcpy(&value->len, rest->data, sizeof(value->len));
		value->data += sizeof(value->len);
	}
	rest->len -= (uint32) (value->data - rest->data) + value->len;
	rest->data = value->data + value->len;
	return true;
}

/* ---------- sets ---------- */

BsValueSet *
bs_valueset_create(uint32 width, MemoryContext context)
{
	MemoryContext outer = MemoryContextSwitchTo(context);
	BsValueSet *set = palloc0(sizeof(BsValueSet));

	set->width = width;
	set->nslots = MIN_SLOTS;
	set->slots = palloc0(sizeof(uint32) * MIN_SLOTS);
	/* Most sets are small: initStringInfo() would take a kilobyte. */
	set->bytes.maxlen = MIN_BYTES;
	set->bytes.data = palloc(MIN_BYTES);
	MemoryContextSwitchTo(outer);
	return set;
}

/* The value that starts at an offset. */
static BsBytes
value_at(const BsValueSet *set, uint32 offset)
{
	BsBytes rest = {.data = (const uint8_t *) set->bytes.data + offset,
					.len = (uint32) set->bytes.len - offset};
	BsBytes value;

	(void) bs_valuelist_next(&rest, set->width, &value);
	return value;
}

static uint32
hash_of(BsBytes value)
{
	return hash_bytes(value.data, (int) value.len);
}

/* The slot of a value, or the empty one that it would take. */
static uint32 *
slot_of(const BsValueSet *set, BsBytes value)
{
	uint32 mask = set->nslots - 1;
	uint32 slot = hash_of(value) & mask;

	for (; set->slots[slot] != 0; slot = (slot + 1) & mask)
	{
		BsBytes other = value_at(set, set->slots[slot] - 1);

		if (other.len == value.len && memcmp(other.data, value.data, value.len) == 0)
			break;
	}
	return &set->slots[slot];
}

static void
grow(BsValueSet *set)
{
	uint32 *old = set->slots;
	uint32 nold = set->nslots;

	set->slots = MemoryContextAllocExtended(GetMemoryChunkContext(set), sizeof(uint32) * nold * 2,
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	set->nslots = nold * 2;
	for (uint32 i = 0; i < nold; i++)
	{
		uint32 slot;

		if (old[i] == 0)
			continue;
		slot = hash_of(value_at(set, old[i] - 1)) & (set->nslots - 1);
		while (set->slots[slot] != 0)
			slot = (slot + 1) & (set->nslots - 1);
		set->slots[slot] = old[i];
	}
	pfree(old);
}

void
bs_valueset_add(BsValueSet *set, BsBytes value)
{
	uint32 *slot = slot_of(set, value);

	if (*slot != 0)
		return;
	*slot = (uint32) set->bytes.len + 1;
	bs_valuelist_put(&set->bytes, set->width, value);
	if (++set->nvalues > set->nslots / 2)
		grow(set);
}

BsBytes *
bs_valueset_values(const BsValueSet *set)
{
	BsBytes *values = palloc_extended(sizeof(BsBytes) * Max(set->nvalues, 1), MCXT_ALLOC_HUGE);
	BsBytes rest = {.data = (const uint8_t *) set->bytes.data, .len = (uint32) set->bytes.len};
	uint32 n = 0;

	while (n < set->nvalues && bs_valuelist_next(&rest, set->width, &values[n]))
		n++;
	return values;
}
