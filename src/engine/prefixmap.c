/* SPDX-License-Identifier: PostgreSQL */
/*
 * prefixmap.c: looking up in a longest-prefix map, and giving it back.  See prefixmap.h.
 *
 * Counting bits takes one instruction where the processor has it, which is asked once for a batch.
 */
#include "prefix_internal.h"

#include <endian.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Look-ups that go side by side, so that their reads of memory overlap. */
#define GROUP 32

static ALWAYS_INLINE const void *
segment(BsArena *arena, const BsPrefixMap *map, const BsPrefixArray *array, uint64_t item,
		unsigned shift)
{
	return bs_arena_at(arena, map->directory[array->first + (item >> shift)]);
}

static ALWAYS_INLINE const uint32_t *
word_at(BsArena *arena, const BsPrefixMap *map, const BsPrefixArray *array, uint64_t item)
{
	const uint32_t *words = segment(arena, map, array, item, BS_SHIFT_WORD);

	return &words[item & ((1u << BS_SHIFT_WORD) - 1)];
}

static ALWAYS_INLINE const BsPrefixNode *
node_at(BsArena *arena, const BsPrefixMap *map, const BsPrefixArray *array, uint64_t item)
{
	const BsPrefixNode *nodes = segment(arena, map, array, item, BS_SHIFT_NODE);

	return &nodes[item & ((1u << BS_SHIFT_NODE) - 1)];
}

/* A look-up on its way: the words of the address, and where the next thing to be read lies. */
typedef struct Step
{
	uint64_t high;
	uint64_t low;
	const BsPrefixTree *tree;
	const uint32_t *word; /* of direct[] or leaves[] */
	const BsPrefixNode *node;
	unsigned depth;
} Step;

/* Go on as an IPv4 address, if that is what it is here. */
static ALWAYS_INLINE void
follow_alias(const BsPrefixMap *map, Step *step)
{
	uint32_t address;
	unsigned before;

	if (!bs_prefix_alias(map->aliases, step->high, step->low, &address, &before))
		return;
	step->high = (uint64_t) address << 32;
	step->low = 0;
	step->tree = &map->trees[0];
}

/* IPv4 addresses have zeros behind them. */
static ALWAYS_INLINE void
begin(BsArena *arena, const BsPrefixMap *map, const BsInet *address, Step *step)
{
	uint64_t words[2];

	memcpy(words, address->address, sizeof(words));
	step->high = be64toh(words[0]);
	step->low = be64toh(words[1]);
	step->tree = &map->trees[address->family != 4];
	if (map->aliases != 0 && address->family != 4)
		follow_alias(map, step);
	step->depth = step->tree->direct_bits;
	step->word = word_at(arena, map, &step->tree->direct, step->high >> (64 - step->depth));
}

/* Read a node: true when the look-up goes on in another one, else word is what it comes to. */
static ALWAYS_INLINE bool
descend(BsArena *arena, const BsPrefixMap *map, Step *step)
{
	const BsPrefixNode *node = step->node;
	uint32_t bit = 1u << bs_prefix_bits(step->high, step->low, step->depth, BS_STRIDE);
	bool inner = (node->inner & bit) != 0;
	uint32_t chosen = inner ? node->inner & (bit - 1) : node->starts & (bit | (bit - 1));
	uint64_t item =
		(inner ? node->nodes : (uint64_t) node->leaves - 1) + (uint32_t) __builtin_popcount(chosen);

	step->depth += BS_STRIDE;
	if (inner)
		step->node = node_at(arena, map, &step->tree->nodes, item);
	else
		step->word = word_at(arena, map, &step->tree->leaves, item);
	__builtin_prefetch(inner ? (const void *) step->node : (const void *) step->word);
	return inner;
}

/* Level by level, all side by side: what one step reads was asked of memory one round before. */
static ALWAYS_INLINE void
find_group(BsArena *arena, const BsPrefixMap *map, const BsInet *addresses, uint32_t nrows,
		   const uint16_t *rows, uint32_t *found)
{
	Step steps[GROUP];
	uint8_t going[GROUP];
	uint32_t ngoing = 0;

	for (uint32_t i = 0; i < nrows; i++)
	{
		begin(arena, map, &addresses[rows[i]], &steps[i]);
		__builtin_prefetch(steps[i].word);
	}
	for (uint32_t i = 0; i < nrows; i++)
	{
		uint32_t at = *steps[i].word;

		going[ngoing] = (uint8_t) i;
		ngoing += (at & BS_LEAF) == 0;
		if ((at & BS_LEAF) == 0)
		{
			steps[i].node = node_at(arena, map, &steps[i].tree->nodes, at);
			__builtin_prefetch(steps[i].node);
		}
	}
	while (ngoing > 0)
	{
		uint32_t nleft = 0;

		for (uint32_t i = 0; i < ngoing; i++)
		{
			going[nleft] = going[i];
			nleft += descend(arena, map, &steps[going[i]]);
		}
		ngoing = nleft;
	}
	for (uint32_t i = 0; i < nrows; i++)
		found[rows[i]] = *steps[i].word & ~BS_LEAF;
}

static ALWAYS_INLINE void
find_rows(BsArena *arena, const BsPrefixMap *map, const BsInet *addresses, uint32_t nrows,
		  const uint16_t *rows, uint32_t *found)
{
	for (; nrows > GROUP; nrows -= GROUP, rows += GROUP)
		find_group(arena, map, addresses, GROUP, rows, found);
	find_group(arena, map, addresses, nrows, rows, found);
}

#ifdef __x86_64__
__attribute__((target("popcnt"))) static void
find_rows_popcnt(BsArena *arena, const BsPrefixMap *map, const BsInet *addresses, uint32_t nrows,
				 const uint16_t *rows, uint32_t *found)
{
	find_rows(arena, map, addresses, nrows, rows, found);
}
#endif

void
bs_prefixmap_find_rows(BsArena *arena, const BsPrefixMap *map, const BsInet *addresses,
					   uint32_t nrows, const uint16_t *rows, uint32_t *found)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("popcnt"))
	{
		find_rows_popcnt(arena, map, addresses, nrows, rows, found);
		return;
	}
#endif
	find_rows(arena, map, addresses, nrows, rows, found);
}

uint32_t
bs_prefixmap_find(BsArena *arena, const BsPrefixMap *map, const BsInet *address)
{
	static const uint16_t first = 0;
	uint32_t found;

	bs_prefixmap_find_rows(arena, map, address, 1, &first, &found);
	return found;
}

BsPrefixMapInfo
bs_prefixmap_info(const BsPrefixMap *map)
{
	return map->info;
}

int
bs_prefixmap_column(const BsPrefixMap *map, const char *name)
{
	for (uint32_t i = 0; i < map->ncolumns; i++)
		if (name[0] == '\0' || strncmp(map->columns[i].name, name, BS_PREFIX_NAME_BYTES) == 0)
			return (int) i;
	return -1;
}

BsLabelKind
bs_prefixmap_kind(const BsPrefixMap *map, int column)
{
	return map->columns[column].kind;
}

/* Where a label lies; NULL when it is NULL. */
static const uint8_t *
label_at(BsArena *arena, const BsPrefixMap *map, uint32_t ref)
{
	uint64_t at = (uint64_t) ref * 4;
	const uint8_t *block;

	if (ref == 0)
		return NULL;
	block = segment(arena, map, &map->heap, at, BS_SHIFT_BYTE);
	return block + (at & ((1u << BS_SHIFT_BYTE) - 1));
}

static bool
label_read(const BsPrefixMap *map, const uint8_t *label, int column, BsBytes *text, int64_t *number)
{
	uint32_t len;

	if (label == NULL)
		return false;
	memcpy(&len, label, sizeof(len));
	label += sizeof(len);
	if (map->columns[column].kind == BS_LABEL_BIGINT)
	{
		memcpy(number, label, sizeof(*number));
		label += sizeof(*number);
	}
	*text = (BsBytes){.data = label, .len = len};
	return true;
}

bool
bs_prefixmap_label(BsArena *arena, const BsPrefixMap *map, uint32_t prefix, int column,
				   BsBytes *text, int64_t *number)
{
	uint32_t ref = *word_at(arena, map, &map->labels[column], prefix - 1);

	return label_read(map, label_at(arena, map, ref), column, text, number);
}

static void
labels_group(BsArena *arena, const BsPrefixMap *map, int column, uint32_t nrows,
			 const uint16_t *rows, const uint32_t *found, BsBytes *texts, int64_t *numbers,
			 uint8_t *nulls)
{
	static const uint32_t none = 0;
	const uint32_t *refs[GROUP];
	const uint8_t *labels[GROUP];

	for (uint32_t i = 0; i < nrows; i++)
	{
		uint32_t prefix = found[rows[i]];

		refs[i] = prefix == 0 ? &none : word_at(arena, map, &map->labels[column], prefix - 1);
		__builtin_prefetch(refs[i]);
	}
	for (uint32_t i = 0; i < nrows; i++)
	{
		labels[i] = label_at(arena, map, *refs[i]);
		__builtin_prefetch(labels[i]);
	}
	for (uint32_t i = 0; i < nrows; i++)
	{
		BsBytes text = {0};
		int64_t number = 0;

		nulls[rows[i]] |= !label_read(map, labels[i], column, &text, &number);
		if (texts != NULL)
			texts[rows[i]] = text;
		else
			numbers[rows[i]] = number;
	}
}

void
bs_prefixmap_label_rows(BsArena *arena, const BsPrefixMap *map, int column, uint32_t nrows,
						const uint16_t *rows, const uint32_t *found, BsBytes *texts,
						int64_t *numbers, uint8_t *nulls)
{
	for (uint32_t i = 0; i < nrows; i += GROUP)
		labels_group(arena, map, column, nrows - i < GROUP ? nrows - i : GROUP, rows + i, found,
					 texts, numbers, nulls);
}

/* The first bits set, the rest clear. */
static uint64_t
mask_of(unsigned bits)
{
	return bits == 0 ? 0 : bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits);
}

BsInet
bs_prefixmap_network(BsArena *arena, const BsPrefixMap *map, uint32_t prefix, const BsInet *address)
{
	uint64_t item = prefix - 1;
	const uint8_t *bits = segment(arena, map, &map->bits, item, BS_SHIFT_BYTE);
	uint8_t len = bits[item & ((1u << BS_SHIFT_BYTE) - 1)];
	BsInet network = {.family = address->family == 4 ? 4 : 6, .bits = len};
	uint64_t words[2];
	uint32_t inner;
	unsigned before;

	memcpy(words, address->address, sizeof(words));
	/* An IPv4 prefix found for an IPv6 address: it lies behind the alias. */
	if (network.family == 6 && prefix <= map->info.prefixes4 &&
		bs_prefix_alias(map->aliases, be64toh(words[0]), be64toh(words[1]), &inner, &before))
		network.bits = len = (uint8_t) (len + before);
	words[0] &= htobe64(mask_of(len));
	words[1] &= htobe64(mask_of(len > 64 ? len - 64u : 0));
	memcpy(network.address, words, sizeof(words));
	return network;
}

/* ---- giving back ----------------------------------------------------------------------------- */

static void
release_array(BsArena *arena, const BsPrefixMap *map, const BsPrefixArray *array)
{
	for (uint32_t i = 0; i < bs_prefix_nsegments(array); i++)
		bs_arena_release(arena, map->directory[array->first + i],
						 bs_prefix_segment_bytes(array, i));
}

void
bs_prefixmap_release(BsArena *arena, uint64_t offset)
{
	BsPrefixMap *map = bs_arena_at(arena, offset);

	for (int i = 0; i < 2; i++)
	{
		release_array(arena, map, &map->trees[i].direct);
		release_array(arena, map, &map->trees[i].nodes);
		release_array(arena, map, &map->trees[i].leaves);
	}
	release_array(arena, map, &map->bits);
	for (uint32_t i = 0; i < map->ncolumns; i++)
		release_array(arena, map, &map->labels[i]);
	release_array(arena, map, &map->heap);
	map->magic = 0;
	bs_arena_release(arena, offset, (size_t) map->header_bytes);
}
