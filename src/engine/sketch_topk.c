/* SPDX-License-Identifier: PostgreSQL */
/*
 * sketch_topk.c: space-saving in batches.  See sketch_topk.h.
 *
 * floor is the greatest upper bound of a counter that was ever given up.  A new counter begins with
 * it as its error, since that is what its value may have had before.  In the words of Misra and
 * Gries, to whose summaries these are isomorphic (Agarwal et al., section 4), upper - floor is the
 * counter and floor all that was ever subtracted: giving up subtracts d = new floor - old floor
 * from more than c counters, of which c stay, so that c * floor can never exceed the sum of all
 * weights.
 */
#include "sketch_topk.h"

#define VERSION 1u

#define MIN_COUNTERS  16u
#define MIN_ITEMS     256u /* bytes */
#define SLOT_TAG_BITS 16u
#define TOTAL_BITS    100 /* of sums that are believed when unpacked */

/* upper = lower + error */
typedef struct Counter
{
	uint64_t hash;
	uint32_t item; /* offset in items */
	uint32_t len;  /* of the item */
	BsUint128 lower;
	BsUint128 error;
} Counter;

struct BsTopk
{
	BsSketchMemory memory;
	uint32_t k;
	uint32_t ncounters;
	uint32_t capacity; /* of counters, at most twice bs_topk_kept(k) */
	uint32_t nslots;   /* a power of two, at least twice capacity */
	uint32_t items_used;
	uint32_t items_capacity;
	Counter *counters;
	uint32_t *slots; /* hash's highest bits << 16 | counter's number + 1; 0: none */
	uint8_t *items;
	BsUint128 total;
	BsUint128 floor;
};

/* ---------- life ---------- */

static uint32_t
slots_for(uint32_t capacity)
{
	uint32_t nslots = 2 * MIN_COUNTERS;

	while (nslots < 2 * capacity)
		nslots *= 2;
	return nslots;
}

BsTopk *
bs_topk_create(BsSketchMemory memory, uint32_t k)
{
	BsTopk *topk = bs_sketch_allocate(&memory, sizeof(BsTopk));

	if (topk != NULL)
		*topk = (BsTopk){.memory = memory, .k = k};
	return topk;
}

void
bs_topk_free(BsTopk *topk)
{
	BsSketchMemory memory;

	if (topk == NULL)
		return;
	memory = topk->memory;
	bs_sketch_release(&memory, topk->counters);
	bs_sketch_release(&memory, topk->slots);
	bs_sketch_release(&memory, topk->items);
	bs_sketch_release(&memory, topk);
}

size_t
bs_topk_bytes(const BsTopk *topk)
{
	return sizeof(BsTopk) + topk->capacity * sizeof(Counter) + topk->nslots * sizeof(uint32_t) +
		   topk->items_capacity;
}

/* ---------- finding ---------- */

static uint32_t
slot_value(uint64_t hash, uint32_t number)
{
	return (uint32_t) (hash >> (64 - SLOT_TAG_BITS)) << SLOT_TAG_BITS | (number + 1);
}

static BsBytes
item_of(const BsTopk *topk, const Counter *counter)
{
	return (BsBytes){.data = topk->items + counter->item, .len = counter->len};
}

static bool
is_same(const BsTopk *topk, const Counter *counter, uint64_t hash, BsBytes item,
		const BsTopkEqual *equal)
{
	if (counter->hash != hash)
		return false;
	if (equal != NULL)
		return equal->equal(equal->context, item_of(topk, counter), item);
	return counter->len == item.len &&
		   (item.len == 0 || memcmp(topk->items + counter->item, item.data, item.len) == 0);
}

static Counter *
find(const BsTopk *topk, uint64_t hash, BsBytes item, const BsTopkEqual *equal)
{
	uint32_t mask = topk->nslots - 1;
	uint32_t tag = slot_value(hash, 0) & ~UINT32_C(0xffff);

	if (topk->nslots == 0)
		return NULL;
	for (uint32_t at = (uint32_t) hash & mask; topk->slots[at] != 0; at = (at + 1) & mask)
	{
		uint32_t slot = topk->slots[at];
		Counter *counter = &topk->counters[(slot & 0xffff) - 1];

		if ((slot & ~UINT32_C(0xffff)) == tag && is_same(topk, counter, hash, item, equal))
			return counter;
	}
	return NULL;
}

static void
put_slot(BsTopk *topk, uint32_t number)
{
	uint64_t hash = topk->counters[number].hash;
	uint32_t mask = topk->nslots - 1;
	uint32_t at = (uint32_t) hash & mask;

	while (topk->slots[at] != 0)
		at = (at + 1) & mask;
	topk->slots[at] = slot_value(hash, number);
}

static void
put_all_slots(BsTopk *topk)
{
	memset(topk->slots, 0, topk->nslots * sizeof(uint32_t));
	for (uint32_t i = 0; i < topk->ncounters; i++)
		put_slot(topk, i);
}

/* ---------- giving up counters ---------- */

static BsUint128
upper_of(const Counter *counter)
{
	return counter->lower + counter->error;
}

/* Is a worth more than b?  Never the same for two, as far as hashes tell. */
static bool
is_before(const Counter *a, const Counter *b)
{
	BsUint128 upper_a = upper_of(a);
	BsUint128 upper_b = upper_of(b);

	if (upper_a != upper_b)
		return upper_a > upper_b;
	if (a->lower != b->lower)
		return a->lower > b->lower;
	return a->hash > b->hash;
}

static void
swap(Counter *a, Counter *b)
{
	Counter c = *a;

	*a = *b;
	*b = c;
}

/* Bring the n worthiest to the front (Hoare 1961, with pivots that cannot be foreseen from the
 * data). */
static void
select_first(Counter *counters, uint32_t ncounters, uint32_t n)
{
	uint64_t seed = ncounters;
	int64_t low = 0;
	int64_t high = (int64_t) ncounters - 1;

	while (low < high)
	{
		uint64_t random = bs_sketch_mix(seed += counters[low].hash | 1);
		Counter pivot = counters[low + (int64_t) (random % (uint64_t) (high - low + 1))];
		int64_t i = low;
		int64_t j = high;

		while (i <= j)
		{
			while (is_before(&counters[i], &pivot))
				i++;
			while (is_before(&pivot, &counters[j]))
				j--;
			if (i <= j)
				swap(&counters[i++], &counters[j--]);
		}
		if ((int64_t) n - 1 <= j)
			high = j;
		else if ((int64_t) n - 1 >= i)
			low = i;
		else
			return;
	}
}

/* Bytes of an item, and of what follows until the next. */
static uint32_t
item_room(uint32_t len)
{
	return (len + 7) & ~UINT32_C(7);
}

/* The items of the counters that are there, one behind the other in memory that is room larger. */
static BsSketchStatus
move_items(BsTopk *topk, uint32_t room)
{
	uint32_t capacity = MIN_ITEMS;
	uint32_t used = 0;
	uint8_t *items;

	for (uint32_t i = 0; i < topk->ncounters; i++)
		used += item_room(topk->counters[i].len);
	while (capacity < used + room)
		capacity *= 2;
	items = bs_sketch_allocate(&topk->memory, capacity);
	if (items == NULL)
		return BS_SKETCH_NO_MEMORY;
	used = 0;
	for (uint32_t i = 0; i < topk->ncounters; i++)
	{
		Counter *counter = &topk->counters[i];

		memcpy(items + used, topk->items + counter->item, counter->len);
		counter->item = used;
		used += item_room(counter->len);
	}
	bs_sketch_release(&topk->memory, topk->items);
	topk->items = items;
	topk->items_used = used;
	topk->items_capacity = capacity;
	return BS_SKETCH_OK;
}

BsSketchStatus
bs_topk_trim(BsTopk *topk)
{
	uint32_t kept = bs_topk_kept(topk->k);
	BsSketchStatus status;

	if (topk->ncounters <= kept)
		return BS_SKETCH_OK;
	select_first(topk->counters, topk->ncounters, kept);
	for (uint32_t i = kept; i < topk->ncounters; i++)
		if (upper_of(&topk->counters[i]) > topk->floor)
			topk->floor = upper_of(&topk->counters[i]);
	topk->ncounters = kept;
	status = move_items(topk, 0);
	put_all_slots(topk);
	return status;
}

/* ---------- adding ---------- */

static BsSketchStatus
add_counters(BsTopk *topk)
{
	uint32_t most = 2 * bs_topk_kept(topk->k);
	uint32_t capacity = topk->capacity == 0 ? MIN_COUNTERS : 2 * topk->capacity;
	Counter *counters;
	uint32_t *slots;

	if (capacity > most)
		capacity = most;
	counters = bs_sketch_allocate(&topk->memory, capacity * sizeof(Counter));
	slots = bs_sketch_allocate(&topk->memory, slots_for(capacity) * sizeof(uint32_t));
	if (counters == NULL || slots == NULL)
	{
		bs_sketch_release(&topk->memory, counters);
		bs_sketch_release(&topk->memory, slots);
		return BS_SKETCH_NO_MEMORY;
	}
	if (topk->ncounters > 0)
		memcpy(counters, topk->counters, topk->ncounters * sizeof(Counter));
	bs_sketch_release(&topk->memory, topk->counters);
	bs_sketch_release(&topk->memory, topk->slots);
	topk->counters = counters;
	topk->capacity = capacity;
	topk->slots = slots;
	topk->nslots = slots_for(capacity);
	put_all_slots(topk);
	return BS_SKETCH_OK;
}

static BsSketchStatus
make_room(BsTopk *topk, uint32_t len)
{
	BsSketchStatus status = BS_SKETCH_OK;

	if (topk->ncounters == topk->capacity)
		status =
			topk->capacity == 2 * bs_topk_kept(topk->k) ? bs_topk_trim(topk) : add_counters(topk);
	if (status == BS_SKETCH_OK &&
		(topk->items == NULL || topk->items_capacity - topk->items_used < item_room(len)))
		status = move_items(topk, item_room(len));
	return status;
}

/* A counter, still empty, of a value that has none.  The floor may rise. */
static BsSketchStatus
add_counter(BsTopk *topk, uint64_t hash, BsBytes item, Counter **counter)
{
	BsSketchStatus status = make_room(topk, item.len);

	if (status != BS_SKETCH_OK)
		return status;
	*counter = &topk->counters[topk->ncounters];
	**counter = (Counter){.hash = hash, .item = topk->items_used, .len = item.len};
	if (item.len > 0)
		memcpy(topk->items + topk->items_used, item.data, item.len);
	topk->items_used += item_room(item.len);
	put_slot(topk, topk->ncounters++);
	return BS_SKETCH_OK;
}

BsSketchStatus
bs_topk_add(BsTopk *topk, uint64_t hash, BsBytes item, uint64_t weight, const BsTopkEqual *equal)
{
	Counter *counter;

	if (item.len > BS_TOPK_MAX_ITEM_BYTES)
		return BS_SKETCH_TOO_LONG;
	if (weight == 0)
		return BS_SKETCH_OK;
	counter = find(topk, hash, item, equal);
	if (counter == NULL)
	{
		BsSketchStatus status = add_counter(topk, hash, item, &counter);

		if (status != BS_SKETCH_OK)
			return status;
		counter->error = topk->floor;
	}
	counter->lower += weight;
	topk->total += weight;
	return BS_SKETCH_OK;
}

/*
 * Each counter of the other is one more update of its value, by upper - floor in Misra's and
 * Gries's counting, after both floors have been added up.  A value without a counter here had, on
 * this side, at most the floor less that of the other, now as before any counter was given up on
 * the way.
 */
static BsSketchStatus
merge_counter(BsTopk *topk, const Counter *from, BsBytes item, BsUint128 other_floor,
			  const BsTopkEqual *equal)
{
	Counter *counter = find(topk, from->hash, item, equal);

	if (counter == NULL)
	{
		BsSketchStatus status = add_counter(topk, from->hash, item, &counter);

		if (status != BS_SKETCH_OK)
			return status;
		counter->error = topk->floor;
	}
	counter->lower += from->lower;
	counter->error += from->error;
	counter->error -= other_floor;
	return BS_SKETCH_OK;
}

BsSketchStatus
bs_topk_merge(BsTopk *topk, const BsTopk *other, const BsTopkEqual *equal)
{
	BsSketchStatus status = BS_SKETCH_OK;

	if (topk->k != other->k)
		return BS_SKETCH_MISMATCH;
	for (uint32_t i = 0; i < topk->ncounters; i++)
		topk->counters[i].error += other->floor;
	topk->floor += other->floor;
	topk->total += other->total;
	for (uint32_t i = 0; i < other->ncounters && status == BS_SKETCH_OK; i++)
		status = merge_counter(topk, &other->counters[i], item_of(other, &other->counters[i]),
							   other->floor, equal);
	return status;
}

/* ---------- reading ---------- */

uint32_t
bs_topk_k(const BsTopk *topk)
{
	return topk->k;
}

BsUint128
bs_topk_total(const BsTopk *topk)
{
	return topk->total;
}

BsUint128
bs_topk_floor(const BsTopk *topk)
{
	return topk->floor;
}

uint32_t
bs_topk_count(const BsTopk *topk)
{
	return topk->ncounters;
}

BsTopkCounter
bs_topk_counter(const BsTopk *topk, uint32_t number)
{
	const Counter *counter = &topk->counters[number];

	return (BsTopkCounter){
		.item = item_of(topk, counter), .lower = counter->lower, .upper = upper_of(counter)};
}

/* ---------- bytes ---------- */

size_t
bs_topk_packed_bound(const BsTopk *topk)
{
	size_t each = 8 + 2 * BS_VARINT128_BYTES + 2;
	size_t bound = 3 + 2 * BS_VARINT128_BYTES + 3 + topk->ncounters * each;

	for (uint32_t i = 0; i < topk->ncounters; i++)
		bound += topk->counters[i].len;
	return bound;
}

size_t
bs_topk_pack(const BsTopk *topk, uint8_t *out)
{
	uint8_t *start = out;

	out = bs_bytes_put_word(out, VERSION, 1);
	out = bs_bytes_put_word(out, topk->k, 2);
	out = bs_bytes_put_varint(out, topk->total);
	out = bs_bytes_put_varint(out, topk->floor);
	out = bs_bytes_put_varint(out, topk->ncounters);
	for (uint32_t i = 0; i < topk->ncounters; i++)
	{
		const Counter *counter = &topk->counters[i];

		out = bs_bytes_put_word(out, counter->hash, 8);
		out = bs_bytes_put_varint(out, counter->lower);
		out = bs_bytes_put_varint(out, counter->error);
		out = bs_bytes_put_varint(out, counter->len);
		memcpy(out, topk->items + counter->item, counter->len);
		out += counter->len;
	}
	return (size_t) (out - start);
}

static BsSketchStatus
unpack_counter(BsTopk *topk, BsCursor *cursor, BsUint128 *sum)
{
	uint64_t hash = bs_cursor_get_word(cursor, 8);
	BsUint128 lower = bs_cursor_get_varint128(cursor);
	BsUint128 error = bs_cursor_get_varint128(cursor);
	uint64_t len = bs_cursor_get_varint(cursor);
	BsBytes item = {.len = (uint32_t) len};
	Counter *counter;
	BsSketchStatus status;

	if (len > BS_TOPK_MAX_ITEM_BYTES)
		return BS_SKETCH_CORRUPT;
	item.data = bs_cursor_get_bytes(cursor, len);
	if (cursor->bad || lower == 0 || lower > topk->total - *sum || error > topk->floor ||
		lower + error < topk->floor || find(topk, hash, item, NULL) != NULL)
		return BS_SKETCH_CORRUPT;
	*sum += lower;
	status = add_counter(topk, hash, item, &counter);
	if (status != BS_SKETCH_OK)
		return status;
	counter->lower = lower;
	counter->error = error;
	return BS_SKETCH_OK;
}

static BsSketchStatus
unpack_into(BsTopk *topk, BsCursor *cursor)
{
	const BsUint128 most = (BsUint128) 1 << TOTAL_BITS;
	uint64_t ncounters;
	BsUint128 sum = 0;
	BsSketchStatus status = BS_SKETCH_OK;

	topk->total = bs_cursor_get_varint128(cursor);
	topk->floor = bs_cursor_get_varint128(cursor);
	ncounters = bs_cursor_get_varint(cursor);
	if (cursor->bad || topk->total > most || topk->floor > most ||
		topk->floor * bs_topk_kept(topk->k) > topk->total || ncounters > bs_topk_kept(topk->k))
		return BS_SKETCH_CORRUPT;
	for (uint64_t i = 0; i < ncounters && status == BS_SKETCH_OK; i++)
		status = unpack_counter(topk, cursor, &sum);
	if (status == BS_SKETCH_OK && cursor->left_bytes != 0)
		return BS_SKETCH_CORRUPT;
	return status;
}

BsSketchStatus
bs_topk_unpack(BsSketchMemory memory, const uint8_t *data, size_t len, BsTopk **topk)
{
	BsCursor cursor = {.at = data, .left_bytes = len};
	uint64_t version = bs_cursor_get_word(&cursor, 1);
	uint32_t k = (uint32_t) bs_cursor_get_word(&cursor, 2);
	BsSketchStatus status;

	*topk = NULL;
	if (cursor.bad || version != VERSION || k < 1 || k > BS_TOPK_MAX_K)
		return BS_SKETCH_CORRUPT;
	*topk = bs_topk_create(memory, k);
	if (*topk == NULL)
		return BS_SKETCH_NO_MEMORY;
	status = unpack_into(*topk, &cursor);
	if (status == BS_SKETCH_OK)
		return status;
	bs_topk_free(*topk);
	*topk = NULL;
	return status;
}
