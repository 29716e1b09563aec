/* SPDX-License-Identifier: PostgreSQL */
/*
 * prefixbuild.c: making a longest-prefix map.  See prefixmap.h.
 *
 * Rows are gathered in private memory, sorted by address and length, and freed of doubles.  In that
 * order a prefix comes after all that hold it, and those of any one slot of a node lie side by side: the
 * tries are made by one walk over the rows, into private arrays that are copied to the arena at the end.
 *
 * Private memory is at most max_bytes: 24 bytes and 4 for each label column by prefix, the labels, and
 * the tries; arrays double as they grow.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* qsort_r */
#endif
#include "prefix_internal.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MIN_DIRECT_BITS 4
#define MAX_DIRECT_BITS 19
#define MAX_ITEMS       (UINT32_C(1) << 30)

typedef struct Row
{
	uint64_t high;
	uint64_t low;
	uint32_t labels; /* its first in refs[] */
	uint8_t bits;
} Row;

/* An array that grows. */
typedef struct Growing
{
	void *items;
	uint64_t nitems;
	uint64_t capacity;
} Growing;

typedef struct Trie
{
	uint32_t direct_bits;
	uint32_t first_prefix; /* number of rows[0], less one */
	Growing direct;        /* of uint32_t */
	Growing nodes;         /* of BsPrefixNode */
	Growing leaves;        /* of uint32_t */
} Trie;

struct BsPrefixBuilder
{
	uint32_t ncolumns;
	BsLabelColumn columns[BS_PREFIX_MAX_LABELS];
	size_t max_bytes;
	size_t used_bytes;
	Growing rows[2];  /* of Row: IPv4, IPv6 */
	Growing refs;     /* of uint32_t: labels of rows, in units of 4 bytes of the heap */
	Growing heap;     /* of bytes; none crosses a multiple of BS_ARENA_MAX_BLOCK */
	Growing interned; /* of uint32_t: refs by hash; a power of two, at most half full; 0: free */
	uint64_t nlabels;
	uint64_t duplicates;
	uint32_t aliases;
	Trie tries[2];
};

/* ---- memory ---------------------------------------------------------------------------------- */

/* Room for so many items in all. */
static bool
reserve(BsPrefixBuilder *builder, Growing *array, uint64_t nitems, size_t width)
{
	uint64_t capacity = array->capacity > 0 ? array->capacity : 64;
	size_t more;
	void *items;

	if (nitems <= array->capacity)
		return true;
	while (capacity < nitems)
		capacity *= 2;
	more = (size_t) (capacity - array->capacity) * width;
	if (more > builder->max_bytes - builder->used_bytes)
		return false;
	items = realloc(array->items, (size_t) capacity * width);
	if (items == NULL)
		return false;
	array->items = items;
	array->capacity = capacity;
	builder->used_bytes += more;
	return true;
}

/* So many items more; their number comes back in *first. */
static bool
append(BsPrefixBuilder *builder, Growing *array, uint64_t nitems, size_t width, uint32_t *first)
{
	if (array->nitems + nitems > MAX_ITEMS ||
		!reserve(builder, array, array->nitems + nitems, width))
		return false;
	*first = (uint32_t) array->nitems;
	array->nitems += nitems;
	return true;
}

static void
let_go(BsPrefixBuilder *builder, Growing *array, size_t width)
{
	free(array->items);
	builder->used_bytes -= (size_t) array->capacity * width;
	memset(array, 0, sizeof(*array));
}

BsPrefixBuilder *
bs_prefix_builder_create(uint32_t ncolumns, const BsLabelColumn *columns, size_t max_bytes)
{
	BsPrefixBuilder *builder = calloc(1, sizeof(BsPrefixBuilder));

	if (builder == NULL || ncolumns > BS_PREFIX_MAX_LABELS)
	{
		free(builder);
		return NULL;
	}
	builder->ncolumns = ncolumns;
	if (ncolumns > 0)
		memcpy(builder->columns, columns, ncolumns * sizeof(BsLabelColumn));
	builder->max_bytes = max_bytes;
	return builder;
}

void
bs_prefix_builder_free(BsPrefixBuilder *builder)
{
	if (builder == NULL)
		return;
	for (int i = 0; i < 2; i++)
	{
		free(builder->rows[i].items);
		free(builder->tries[i].direct.items);
		free(builder->tries[i].nodes.items);
		free(builder->tries[i].leaves.items);
	}
	free(builder->refs.items);
	free(builder->heap.items);
	free(builder->interned.items);
	free(builder);
}

const char *
bs_prefix_status_message(BsPrefixStatus status)
{
	static const char *const messages[] = {
		[BS_PREFIX_OK] = "no error",
		[BS_PREFIX_NO_MEMORY] = "out of memory while the prefix map was built",
		[BS_PREFIX_NO_ROOM] = "no room for the prefix map in backstream.memory",
		[BS_PREFIX_TOO_MANY] = "too many prefixes or labels",
		[BS_PREFIX_LABEL_TOO_LONG] = "a label of the prefix map is longer than 8192 bytes",
	};

	return (unsigned) status < sizeof(messages) / sizeof(messages[0]) ? messages[status]
																	  : "unknown";
}

/* ---- labels ---------------------------------------------------------------------------------- */

/* A label as it lies in the heap; the columns' kinds are told apart so that equal bytes are equal labels. */
static uint32_t
label_write(uint8_t *out, BsLabelKind kind, const BsLabel *label)
{
	uint32_t at = sizeof(uint32_t);

	memcpy(out, &label->text.len, sizeof(uint32_t));
	if (kind == BS_LABEL_BIGINT)
	{
		memcpy(out + at, &label->number, sizeof(label->number));
		at += (uint32_t) sizeof(label->number);
	}
	if (label->text.len > 0)
		memcpy(out + at, label->text.data, label->text.len);
	at += label->text.len;
	while (at % 4 != 0)
		out[at++] = 0;
	return at;
}

static uint8_t *
heap_at(BsPrefixBuilder *builder, uint32_t ref)
{
	return (uint8_t *) builder->heap.items + (size_t) ref * 4;
}

static BsPrefixStatus
heap_add(BsPrefixBuilder *builder, const uint8_t *label, uint32_t len, uint32_t *ref)
{
	uint64_t at = builder->heap.nitems > 0 ? builder->heap.nitems : 4; /* 0 is NULL */
	uint64_t left = BS_ARENA_MAX_BLOCK - at % BS_ARENA_MAX_BLOCK;

	if (left < len)
		at += left;
	if (at + len > (uint64_t) MAX_ITEMS * 4)
		return BS_PREFIX_TOO_MANY;
	if (!reserve(builder, &builder->heap, at + len, 1))
		return BS_PREFIX_NO_MEMORY;
	if (builder->heap.nitems < at)
		memset((uint8_t *) builder->heap.items + builder->heap.nitems, 0,
			   (size_t) (at - builder->heap.nitems));
	memcpy((uint8_t *) builder->heap.items + at, label, len);
	builder->heap.nitems = at + len;
	*ref = (uint32_t) (at / 4);
	return BS_PREFIX_OK;
}

static uint32_t
stored_len(BsPrefixBuilder *builder, uint32_t ref, BsLabelKind kind)
{
	uint32_t len;

	memcpy(&len, heap_at(builder, ref), sizeof(len));
	len += (uint32_t) sizeof(uint32_t) + (kind == BS_LABEL_BIGINT ? 8 : 0);
	return (len + 3) & ~UINT32_C(3);
}

/*
 * Refs of numbers and texts are kept apart by their lowest bit in the table: bytes alone do not tell of
 * which kind they are.
 */
static uint32_t
tagged(uint32_t ref, BsLabelKind kind)
{
	return ref << 1 | (kind == BS_LABEL_BIGINT);
}

static uint32_t *
interned_slot(BsPrefixBuilder *builder, const uint8_t *label, uint32_t len, BsLabelKind kind)
{
	uint32_t *slots = builder->interned.items;
	uint64_t mask = builder->interned.capacity - 1;
	uint64_t at = XXH3_64bits_withSeed(label, len, kind) & mask;

	for (; slots[at] != 0; at = (at + 1) & mask)
	{
		uint32_t ref = slots[at] >> 1;

		if (slots[at] == tagged(ref, kind) && stored_len(builder, ref, kind) == len &&
			memcmp(heap_at(builder, ref), label, len) == 0)
			break;
	}
	return &slots[at];
}

static bool
interned_grow(BsPrefixBuilder *builder)
{
	Growing old = builder->interned;

	if (old.capacity > 0 && builder->nlabels * 2 < old.capacity)
		return true;
	memset(&builder->interned, 0, sizeof(Growing));
	if (!reserve(builder, &builder->interned, old.capacity > 0 ? old.capacity * 2 : 64,
				 sizeof(uint32_t)))
	{
		builder->interned = old;
		return false;
	}
	memset(builder->interned.items, 0, (size_t) builder->interned.capacity * sizeof(uint32_t));
	for (uint64_t i = 0; i < old.capacity; i++)
	{
		uint32_t slot = ((uint32_t *) old.items)[i];
		BsLabelKind kind = (slot & 1) != 0 ? BS_LABEL_BIGINT : BS_LABEL_TEXT;

		if (slot != 0)
			*interned_slot(builder, heap_at(builder, slot >> 1),
						   stored_len(builder, slot >> 1, kind), kind) = slot;
	}
	let_go(builder, &old, sizeof(uint32_t));
	return true;
}

static BsPrefixStatus
label_intern(BsPrefixBuilder *builder, BsLabelKind kind, const BsLabel *label, uint32_t *ref)
{
	uint8_t bytes[BS_PREFIX_MAX_LABEL_BYTES + 16];
	BsPrefixStatus status;
	uint32_t *slot;
	uint32_t len;

	*ref = 0;
	if (label->is_null)
		return BS_PREFIX_OK;
	if (label->text.len > BS_PREFIX_MAX_LABEL_BYTES)
		return BS_PREFIX_LABEL_TOO_LONG;
	if (!interned_grow(builder))
		return BS_PREFIX_NO_MEMORY;
	len = label_write(bytes, kind, label);
	slot = interned_slot(builder, bytes, len, kind);
	if (*slot == 0)
	{
		status = heap_add(builder, bytes, len, ref);
		if (status != BS_PREFIX_OK)
			return status;
		*slot = tagged(*ref, kind);
		builder->nlabels++;
	}
	*ref = *slot >> 1;
	return BS_PREFIX_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static uint64_t
mask_of(unsigned bits)
{
	return bits == 0 ? 0 : bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits);
}

static Row
row_of(const BsInet *prefix)
{
	uint8_t max = prefix->family == 4 ? 32 : 128;
	Row row = {.bits = prefix->bits < max ? prefix->bits : max};
	uint64_t words[2];

	memcpy(words, prefix->address, sizeof(words));
	row.high = be64toh(words[0]) & mask_of(row.bits);
	row.low = be64toh(words[1]) & mask_of(row.bits > 64 ? row.bits - 64u : 0);
	return row;
}

BsPrefixStatus
bs_prefix_builder_add(BsPrefixBuilder *builder, const BsInet *prefix, const BsLabel *labels)
{
	Growing *rows = &builder->rows[prefix->family != 4];
	Row row = row_of(prefix);
	uint32_t at;

	if (rows->nitems >= MAX_ITEMS / 2 || builder->refs.nitems + builder->ncolumns > MAX_ITEMS)
		return BS_PREFIX_TOO_MANY;
	if (!append(builder, &builder->refs, builder->ncolumns, sizeof(uint32_t), &row.labels))
		return BS_PREFIX_NO_MEMORY;
	for (uint32_t i = 0; i < builder->ncolumns; i++)
	{
		BsPrefixStatus status = label_intern(builder, builder->columns[i].kind, &labels[i],
											 (uint32_t *) builder->refs.items + row.labels + i);

		if (status != BS_PREFIX_OK)
			return status;
	}
	if (!append(builder, rows, 1, sizeof(Row), &at))
		return BS_PREFIX_NO_MEMORY;
	((Row *) rows->items)[at] = row;
	return BS_PREFIX_OK;
}

static int
text_compare(BsPrefixBuilder *builder, uint32_t a, uint32_t b)
{
	uint32_t len_a;
	uint32_t len_b;
	int sign;

	memcpy(&len_a, heap_at(builder, a), sizeof(len_a));
	memcpy(&len_b, heap_at(builder, b), sizeof(len_b));
	sign = memcmp(heap_at(builder, a) + 4, heap_at(builder, b) + 4, len_a < len_b ? len_a : len_b);
	return sign != 0 ? sign : (len_a > len_b) - (len_a < len_b);
}

static int
label_compare(BsPrefixBuilder *builder, BsLabelKind kind, uint32_t a, uint32_t b)
{
	int64_t number_a;
	int64_t number_b;

	if (a == b)
		return 0;
	if (a == 0 || b == 0)
		return a == 0 ? 1 : -1;
	if (kind == BS_LABEL_TEXT)
		return text_compare(builder, a, b);
	memcpy(&number_a, heap_at(builder, a) + 4, sizeof(number_a));
	memcpy(&number_b, heap_at(builder, b) + 4, sizeof(number_b));
	return (number_a > number_b) - (number_a < number_b);
}

static int
prefix_compare(const Row *a, const Row *b)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	return (a->bits > b->bits) - (a->bits < b->bits);
}

static int
row_compare(const void *left, const void *right, void *argument)
{
	BsPrefixBuilder *builder = argument;
	const Row *a = left;
	const Row *b = right;
	const uint32_t *refs = builder->refs.items;
	int sign = prefix_compare(a, b);

	for (uint32_t i = 0; i < builder->ncolumns && sign == 0; i++)
		sign = label_compare(builder, builder->columns[i].kind, refs[a->labels + i],
							 refs[b->labels + i]);
	return sign;
}

static bool
sorted(BsPrefixBuilder *builder, const Growing *array)
{
	const Row *rows = array->items;

	for (uint64_t i = 1; i < array->nitems; i++)
		if (row_compare(&rows[i - 1], &rows[i], builder) > 0)
			return false;
	return true;
}

/* Sort, and of equal prefixes keep the first. */
static void
put_in_order(BsPrefixBuilder *builder, Growing *array)
{
	Row *rows = array->items;
	uint64_t kept = 0;

	if (array->nitems == 0)
		return;
	if (!sorted(builder, array))
		qsort_r(rows, (size_t) array->nitems, sizeof(Row), row_compare, builder);
	for (uint64_t i = 0; i < array->nitems; i++)
		if (kept == 0 || prefix_compare(&rows[kept - 1], &rows[i]) != 0)
			rows[kept++] = rows[i];
	builder->duplicates += array->nitems - kept;
	array->nitems = kept;
}

/* ---- tries ----------------------------------------------------------------------------------- */

static bool build_node(BsPrefixBuilder *builder, const Growing *array, Trie *trie, uint32_t number,
					   uint32_t first, uint32_t end, unsigned depth, uint32_t inherited);

/* The end of the rows from first on that agree with it in the bits up to depth. */
static uint32_t
run_end(const Row *rows, uint32_t first, uint32_t end, unsigned depth)
{
	uint64_t high = mask_of(depth);
	uint64_t low = mask_of(depth > 64 ? depth - 64 : 0);
	uint32_t at = first + 1;

	while (at < end && ((rows[at].high ^ rows[first].high) & high) == 0 &&
		   ((rows[at].low ^ rows[first].low) & low) == 0)
		at++;
	return at;
}

/* What each slot of a node comes to. */
typedef struct Slots
{
	uint32_t prefixes[BS_SLOTS]; /* the longest that holds all of the slot; 0: none */
	uint32_t first[BS_SLOTS];    /* rows that lie in the slot and are longer */
	uint32_t end[BS_SLOTS];
	uint32_t inner;
} Slots;

static void
slots_fill(const Row *rows, const Trie *trie, Slots *slots, uint32_t first, uint32_t end,
		   unsigned depth, uint32_t inherited)
{
	slots->inner = 0;
	for (uint32_t i = 0; i < BS_SLOTS; i++)
		slots->prefixes[i] = inherited;
	for (uint32_t at = first; at < end;)
	{
		const Row *row = &rows[at];
		uint32_t slot = bs_prefix_bits(row->high, row->low, depth, BS_STRIDE);

		if (row->bits <= depth + BS_STRIDE)
		{
			uint32_t nslots = 1u << (depth + BS_STRIDE - row->bits);

			for (uint32_t i = 0; i < nslots; i++)
				slots->prefixes[slot + i] = trie->first_prefix + at + 1;
			at++;
			continue;
		}
		slots->inner |= 1u << slot;
		slots->first[slot] = at;
		at = run_end(rows, at, end, depth + BS_STRIDE);
		slots->end[slot] = at;
	}
}

/* Slots without a node, run by run; inner ones between do not end a run. */
static bool
add_leaves(BsPrefixBuilder *builder, Trie *trie, const Slots *slots, BsPrefixNode *node)
{
	uint32_t runs[BS_SLOTS];
	uint32_t nruns = 0;

	for (uint32_t i = 0; i < BS_SLOTS; i++)
	{
		if ((slots->inner & 1u << i) != 0 || (nruns > 0 && runs[nruns - 1] == slots->prefixes[i]))
			continue;
		runs[nruns++] = slots->prefixes[i];
		node->starts |= 1u << i;
	}
	if (!append(builder, &trie->leaves, nruns, sizeof(uint32_t), &node->leaves))
		return false;
	if (nruns > 0)
		memcpy((uint32_t *) trie->leaves.items + node->leaves, runs, nruns * sizeof(uint32_t));
	return true;
}

static bool
build_node(BsPrefixBuilder *builder, const Growing *array, Trie *trie, uint32_t number,
		   uint32_t first, uint32_t end, unsigned depth, uint32_t inherited)
{
	Slots slots;
	BsPrefixNode node = {0};
	uint32_t next;

	slots_fill(array->items, trie, &slots, first, end, depth, inherited);
	node.inner = slots.inner;
	if (!add_leaves(builder, trie, &slots, &node) ||
		!append(builder, &trie->nodes, (uint64_t) __builtin_popcount(node.inner),
				sizeof(BsPrefixNode), &node.nodes))
		return false;
	((BsPrefixNode *) trie->nodes.items)[number] = node;
	next = node.nodes;
	for (uint32_t i = 0; i < BS_SLOTS; i++)
		if ((slots.inner & 1u << i) != 0 &&
			!build_node(builder, array, trie, next++, slots.first[i], slots.end[i],
						depth + BS_STRIDE, slots.prefixes[i]))
			return false;
	return true;
}

/* Four entries of direct[] for each prefix. */
static uint32_t
direct_bits_for(uint64_t nprefixes)
{
	uint32_t bits = MIN_DIRECT_BITS;

	while (bits < MAX_DIRECT_BITS && (UINT64_C(1) << bits) < nprefixes * 4)
		bits++;
	return bits;
}

static bool
build_trie(BsPrefixBuilder *builder, const Growing *array, Trie *trie)
{
	const Row *rows = array->items;
	uint32_t end = (uint32_t) array->nitems;
	unsigned bits = direct_bits_for(array->nitems);
	uint32_t *direct;
	uint32_t number;

	trie->direct_bits = bits;
	if (!append(builder, &trie->direct, UINT64_C(1) << bits, sizeof(uint32_t), &number))
		return false;
	direct = trie->direct.items;
	for (uint32_t i = 0; i < 1u << bits; i++)
		direct[i] = BS_LEAF;
	for (uint32_t at = 0; at < end;)
	{
		uint32_t slot = bs_prefix_bits(rows[at].high, rows[at].low, 0, bits);
		uint32_t next;

		if (rows[at].bits <= bits)
		{
			for (uint32_t i = 0; i < 1u << (bits - rows[at].bits); i++)
				direct[slot + i] = BS_LEAF | (trie->first_prefix + at + 1);
			at++;
			continue;
		}
		next = run_end(rows, at, end, bits);
		if (!append(builder, &trie->nodes, 1, sizeof(BsPrefixNode), &number) ||
			!build_node(builder, array, trie, number, at, next, bits, direct[slot] & ~BS_LEAF))
			return false;
		direct[slot] = number;
		at = next;
	}
	return true;
}

/* ---- into the arena -------------------------------------------------------------------------- */

static void
array_plan(BsPrefixArray *array, uint32_t shift, uint64_t nitems, uint32_t *nsegments)
{
	*array = (BsPrefixArray){.first = *nsegments, .shift = shift, .nitems = nitems};
	*nsegments += bs_prefix_nsegments(array);
}

static void
map_plan(const BsPrefixBuilder *builder, BsPrefixMap *map)
{
	uint64_t nprefixes = builder->rows[0].nitems + builder->rows[1].nitems;
	uint32_t n = 0;

	memset(map, 0, sizeof(*map));
	map->version = BS_PREFIX_VERSION;
	map->ncolumns = builder->ncolumns;
	map->aliases = builder->aliases;
	memcpy(map->columns, builder->columns, sizeof(map->columns));
	map->info.prefixes = nprefixes;
	map->info.prefixes4 = builder->rows[0].nitems;
	map->info.duplicates = builder->duplicates;
	for (int i = 0; i < 2; i++)
	{
		const Trie *trie = &builder->tries[i];

		map->trees[i].direct_bits = trie->direct_bits;
		array_plan(&map->trees[i].direct, BS_SHIFT_WORD, trie->direct.nitems, &n);
		array_plan(&map->trees[i].nodes, BS_SHIFT_NODE, trie->nodes.nitems, &n);
		array_plan(&map->trees[i].leaves, BS_SHIFT_WORD, trie->leaves.nitems, &n);
		map->info.nodes += trie->nodes.nitems;
		map->info.leaves += trie->leaves.nitems;
	}
	array_plan(&map->bits, BS_SHIFT_BYTE, nprefixes, &n);
	for (uint32_t i = 0; i < builder->ncolumns; i++)
		array_plan(&map->labels[i], BS_SHIFT_WORD, nprefixes, &n);
	array_plan(&map->heap, BS_SHIFT_BYTE, builder->heap.nitems, &n);
	map->nsegments = n;
	map->header_bytes = sizeof(BsPrefixMap) + (uint64_t) n * sizeof(uint64_t);
}

/* Blocks for an array, with what is in items or, where that is NULL, nothing yet. */
static bool
array_place(BsArena *arena, BsPrefixMap *map, const BsPrefixArray *array, const void *items)
{
	for (uint32_t i = 0; i < bs_prefix_nsegments(array); i++)
	{
		size_t bytes = bs_prefix_segment_bytes(array, i);
		uint64_t offset = bs_arena_alloc(arena, bytes);

		map->directory[array->first + i] = offset;
		if (offset == 0)
			return false;
		map->info.bytes += bs_arena_block_bytes(bytes);
		if (items != NULL)
			memcpy(bs_arena_at(arena, offset),
				   (const uint8_t *) items + (size_t) i * BS_ARENA_MAX_BLOCK, bytes);
	}
	return true;
}

static void *
item_at(BsArena *arena, const BsPrefixMap *map, const BsPrefixArray *array, uint64_t item)
{
	char *block = bs_arena_at(arena, map->directory[array->first + (item >> array->shift)]);

	return block +
		   (item & ((UINT64_C(1) << array->shift) - 1)) * (BS_ARENA_MAX_BLOCK >> array->shift);
}

static void
fill_prefixes(const BsPrefixBuilder *builder, BsArena *arena, BsPrefixMap *map)
{
	uint64_t prefix = 0;

	for (int family = 0; family < 2; family++)
	{
		const Row *rows = builder->rows[family].items;

		for (uint64_t i = 0; i < builder->rows[family].nitems; i++, prefix++)
		{
			*(uint8_t *) item_at(arena, map, &map->bits, prefix) = rows[i].bits;
			for (uint32_t c = 0; c < builder->ncolumns; c++)
				*(uint32_t *) item_at(arena, map, &map->labels[c], prefix) =
					((const uint32_t *) builder->refs.items)[rows[i].labels + c];
		}
	}
}

static bool
map_place(const BsPrefixBuilder *builder, BsArena *arena, BsPrefixMap *map)
{
	for (int i = 0; i < 2; i++)
	{
		const Trie *trie = &builder->tries[i];

		if (!array_place(arena, map, &map->trees[i].direct, trie->direct.items) ||
			!array_place(arena, map, &map->trees[i].nodes, trie->nodes.items) ||
			!array_place(arena, map, &map->trees[i].leaves, trie->leaves.items))
			return false;
	}
	if (!array_place(arena, map, &map->bits, NULL))
		return false;
	for (uint32_t i = 0; i < builder->ncolumns; i++)
		if (!array_place(arena, map, &map->labels[i], NULL))
			return false;
	if (!array_place(arena, map, &map->heap, builder->heap.items))
		return false;
	fill_prefixes(builder, arena, map);
	return true;
}

static BsPrefixStatus
map_make(const BsPrefixBuilder *builder, BsArena *arena, uint64_t *offset)
{
	BsPrefixMap plan;
	BsPrefixMap *map;

	map_plan(builder, &plan);
	*offset = bs_arena_alloc(arena, (size_t) plan.header_bytes);
	if (*offset == 0)
		return plan.header_bytes > BS_ARENA_MAX_BLOCK ? BS_PREFIX_TOO_MANY : BS_PREFIX_NO_ROOM;
	map = bs_arena_at(arena, *offset);
	memset(map, 0, (size_t) plan.header_bytes);
	*map = plan;
	map->info.bytes = bs_arena_block_bytes((size_t) plan.header_bytes);
	if (!map_place(builder, arena, map))
	{
		/* Blocks that were not made are 0, which releasing leaves alone. */
		bs_prefixmap_release(arena, *offset);
		*offset = 0;
		return BS_PREFIX_NO_ROOM;
	}
	map->magic = BS_PREFIX_MAGIC;
	return BS_PREFIX_OK;
}

void
bs_prefix_builder_set_aliases(BsPrefixBuilder *builder, uint32_t aliases)
{
	builder->aliases = aliases;
}

BsPrefixStatus
bs_prefix_builder_finish(BsPrefixBuilder *builder, BsArena *arena, uint64_t *map)
{
	let_go(builder, &builder->interned, sizeof(uint32_t));
	for (int i = 0; i < 2; i++)
	{
		put_in_order(builder, &builder->rows[i]);
		builder->tries[i].first_prefix = i == 0 ? 0 : (uint32_t) builder->rows[0].nitems;
		if (!build_trie(builder, &builder->rows[i], &builder->tries[i]))
			return BS_PREFIX_NO_MEMORY;
	}
	return map_make(builder, arena, map);
}
