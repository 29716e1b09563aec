/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_prefixmap.c: prefixes and addresses drawn from the input; the map must agree with a scan of all
 * prefixes, and give all its memory back.
 *
 * The input is items of 18 bytes: kind and length, 16 bytes of address, label.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../prefix_naive.h"

#define ITEM_BYTES 18
#define MAX_ITEMS  200

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const BsLabelColumn columns[1] = {{"label", BS_LABEL_TEXT}};

/* Even kinds are IPv4.  Few bits of each byte count in every other kind, so that prefixes meet. */
static BsInet
inet_of(const uint8_t *item)
{
	bool four = item[0] % 2 == 0;
	BsInet inet = {.family = four ? 4 : 6};

	for (int i = 0; i < (four ? 4 : 16); i++)
		inet.address[i] = item[0] & 2 ? (uint8_t) (item[1 + i] & 0x81) : item[1 + i];
	inet.bits = (uint8_t) ((item[0] >> 2) * 3 % (four ? 33 : 129));
	return inet;
}

static void
fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static void
check(BsArena *arena, uint64_t map, const BsInet *prefixes, const BsLabel *labels, int nprefixes,
	  const BsInet *address)
{
	const BsPrefixMap *root = bs_arena_at(arena, map);
	uint32_t found = bs_prefixmap_find(arena, root, address);
	int expected = naive_find(prefixes, labels, nprefixes, columns, 1, address);
	BsInet network;
	BsBytes text;
	int64_t number;

	if ((found != 0) != (expected >= 0))
		fail("found or not");
	if (found == 0)
		return;
	network = bs_prefixmap_network(arena, root, found, address);
	if (network.bits != prefixes[expected].bits || !naive_holds(&network, address))
		fail("another prefix");
	if (bs_prefixmap_label(arena, root, found, 0, &text, &number) == labels[expected].is_null)
		fail("label or NULL");
	if (!labels[expected].is_null &&
		(text.len != labels[expected].text.len || text.data[0] != labels[expected].text.data[0]))
		fail("another label");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static BsInet items[MAX_ITEMS];
	static BsLabel labels[MAX_ITEMS];
	int nitems = (int) (size / ITEM_BYTES < MAX_ITEMS ? size / ITEM_BYTES : MAX_ITEMS);
	int nprefixes = nitems / 2;
	BsArena *arena = bs_arena_create(bs_arena_size_for(8 << 20));
	BsPrefixBuilder *builder = bs_prefix_builder_create(1, columns, (size_t) 64 << 20);
	uint64_t map;

	for (int i = 0; i < nitems; i++)
	{
		const uint8_t *item = data + i * ITEM_BYTES;

		items[i] = inet_of(item);
		labels[i] = (BsLabel){.is_null = item[17] == 0,
							  .text = {.data = &item[17], .len = item[17] == 0 ? 0 : 1}};
		if (i < nprefixes && bs_prefix_builder_add(builder, &items[i], &labels[i]) != BS_PREFIX_OK)
			fail("add");
	}
	if (bs_prefix_builder_finish(builder, arena, &map) != BS_PREFIX_OK)
		fail("finish");
	bs_prefix_builder_free(builder);
	for (int i = 0; i < nitems; i++)
		check(arena, map, items, labels, nprefixes, &items[i]);
	bs_prefixmap_release(arena, map);
	if (bs_arena_stats(arena).used_bytes != 0 || bs_arena_stats(arena).failures != 0)
		fail("memory left");
	bs_arena_free_private(arena);
	return 0;
}
