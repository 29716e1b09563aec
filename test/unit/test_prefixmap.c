/* SPDX-License-Identifier: PostgreSQL */
/* test_prefixmap.c: longest-prefix maps against a scan of all prefixes, and their memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/engine/expr.h"
#include "../prefix_naive.h"

#define MAX_PREFIXES 3000
#define NCOLUMNS     2
#define NO_BOUND     ((size_t) 1 << 30)

static const BsLabelColumn columns[NCOLUMNS] = {{"name", BS_LABEL_TEXT}, {"asn", BS_LABEL_BIGINT}};

static BsInet prefixes[MAX_PREFIXES];
static BsLabel labels[MAX_PREFIXES][NCOLUMNS];
static char texts[MAX_PREFIXES][24];
static char numbers[MAX_PREFIXES][24];
static int nprefixes;
static BsArena *arena;

static uint64_t random_state = 88172645463325252u;

static uint32_t
random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 11) % n;
}

static BsInet
inet_of(const char *text)
{
	BsInet inet = {.family = 4, .bits = 32};
	unsigned bytes[4];
	unsigned bits = 32;

	if (strchr(text, ':') == NULL)
	{
		assert_true(
			sscanf(text, "%u.%u.%u.%u/%u", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bits) >= 4);
		for (int i = 0; i < 4; i++)
			inet.address[i] = (uint8_t) bytes[i];
	}
	else
	{
		/* Two groups and no more are all that these tests need. */
		inet.family = 6;
		bits = 128;
		assert_true(sscanf(text, "%x:%x::/%u", &bytes[0], &bytes[1], &bits) >= 2);
		for (int i = 0; i < 2; i++)
		{
			inet.address[2 * i] = (uint8_t) (bytes[i] >> 8);
			inet.address[2 * i + 1] = (uint8_t) bytes[i];
		}
	}
	inet.bits = (uint8_t) bits;
	return inet;
}

static void
add(BsInet prefix, const char *text, int64_t number)
{
	int i = nprefixes++;

	assert_true(i < MAX_PREFIXES);
	prefixes[i] = prefix;
	labels[i][0] = (BsLabel){.is_null = text == NULL};
	labels[i][1] = (BsLabel){.is_null = number < 0, .number = number};
	if (text != NULL)
	{
		snprintf(texts[i], sizeof(texts[i]), "%s", text);
		labels[i][0].text =
			(BsBytes){.data = (uint8_t *) texts[i], .len = (uint32_t) strlen(texts[i])};
	}
	snprintf(numbers[i], sizeof(numbers[i]), "%lld", (long long) number);
	labels[i][1].text =
		(BsBytes){.data = (uint8_t *) numbers[i], .len = (uint32_t) strlen(numbers[i])};
}

static uint64_t
build(void)
{
	BsPrefixBuilder *builder = bs_prefix_builder_create(NCOLUMNS, columns, NO_BOUND);
	uint64_t map = 0;

	assert_non_null(builder);
	for (int i = 0; i < nprefixes; i++)
		assert_int_equal(bs_prefix_builder_add(builder, &prefixes[i], labels[i]), BS_PREFIX_OK);
	assert_int_equal(bs_prefix_builder_finish(builder, arena, &map), BS_PREFIX_OK);
	bs_prefix_builder_free(builder);
	assert_true(map != 0);
	assert_int_equal(bs_prefixmap_info(bs_arena_at(arena, map)).bytes,
					 bs_arena_stats(arena).used_bytes);
	return map;
}

static void
check_label(const BsPrefixMap *map, uint32_t found, int column, const BsLabel *expected)
{
	BsBytes text;
	int64_t number = 0;
	bool some = bs_prefixmap_label(arena, map, found, column, &text, &number);

	assert_int_equal(some, !expected->is_null);
	if (!some)
		return;
	assert_int_equal(text.len, expected->text.len);
	assert_memory_equal(text.data, expected->text.data, text.len);
	if (columns[column].kind == BS_LABEL_BIGINT)
		assert_int_equal(number, expected->number);
}

static void
check_address(const BsPrefixMap *map, const BsInet *address)
{
	int expected = naive_find(prefixes, labels[0], nprefixes, columns, NCOLUMNS, address);
	uint32_t found = bs_prefixmap_find(arena, map, address);
	BsInet network;

	assert_int_equal(found != 0, expected >= 0);
	if (found == 0)
		return;
	for (int c = 0; c < NCOLUMNS; c++)
		check_label(map, found, c, &labels[expected][c]);
	network = bs_prefixmap_network(arena, map, found, address);
	assert_int_equal(network.bits, prefixes[expected].bits);
	assert_int_equal(network.family, address->family);
	assert_true(naive_holds(&network, address));
	assert_true(naive_holds(&network, &prefixes[expected]));
}

/* Addresses where mistakes would show: the first and last of each prefix and their neighbours. */
static void
check_edges(const BsPrefixMap *map, const BsInet *prefix)
{
	int nbytes = prefix->family == 4 ? 4 : 16;

	for (int side = 0; side < 2; side++)
	{
		BsInet edge = *prefix;
		int step = side == 0 ? -1 : 1;

		edge.bits = (uint8_t) (nbytes * 8);
		for (unsigned bit = prefix->bits; bit < edge.bits; bit++)
		{
			uint8_t mask = (uint8_t) (0x80 >> bit % 8);

			edge.address[bit / 8] = (uint8_t) (side == 0 ? edge.address[bit / 8] & ~mask
														 : edge.address[bit / 8] | mask);
		}
		check_address(map, &edge);
		for (int i = nbytes - 1; i >= 0; i--)
		{
			edge.address[i] = (uint8_t) (edge.address[i] + step);
			if (edge.address[i] != (side == 0 ? 0xff : 0))
				break;
		}
		check_address(map, &edge);
	}
}

static BsInet
random_inet(int family, uint32_t spread)
{
	BsInet inet = {.family = (uint8_t) family, .bits = (uint8_t) (family == 4 ? 32 : 128)};

	/* Few values in the first bytes make prefixes meet. */
	for (int i = 0; i < inet.bits / 8; i++)
		inet.address[i] =
			(uint8_t) (random_below(3) == 0 ? random_below(256) : random_below(spread) * 85);
	return inet;
}

static void
check_all(int naddresses)
{
	uint64_t offset = build();
	const BsPrefixMap *map = bs_arena_at(arena, offset);

	for (int i = 0; i < nprefixes; i++)
		check_edges(map, &prefixes[i]);
	for (int i = 0; i < naddresses; i++)
	{
		BsInet address = random_inet(i % 2 ? 4 : 6, 1 + random_below(4));

		check_address(map, &address);
	}
	bs_prefixmap_release(arena, offset);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	assert_int_equal(bs_arena_stats(arena).failures, 0);
	nprefixes = 0;
}

static int
setup(void **state)
{
	(void) state;
	nprefixes = 0;
	arena = bs_arena_create(bs_arena_size_for((size_t) 64 << 20));
	return arena == NULL;
}

static int
teardown(void **state)
{
	(void) state;
	bs_arena_free_private(arena);
	return 0;
}

static void
empty(void **state)
{
	(void) state;
	check_all(100);
}

static void
default_routes_and_hosts(void **state)
{
	(void) state;
	add(inet_of("0.0.0.0/0"), "everything", 1);
	check_all(100);
	add(inet_of("0.0.0.0/0"), "everything", 1);
	add(inet_of("0:0::/0"), "everything6", 6);
	add(inet_of("0.0.0.0/32"), "lowest", 2);
	add(inet_of("255.255.255.255/32"), "highest", 3);
	add(inet_of("ffff:ffff::/128"), "host6", 4);
	add(inet_of("128.0.0.0/1"), NULL, -1);
	check_all(1000);
}

/* Every length around one address, shortest first and longest first. */
static void
nested(void **state)
{
	(void) state;
	for (int round = 0; round < 4; round++)
	{
		int max = round < 2 ? 32 : 128;
		BsInet address = random_inet(round < 2 ? 4 : 6, 4);

		for (int i = 0; i <= max; i++)
		{
			char name[16];

			address.bits = (uint8_t) (round % 2 ? max - i : i);
			snprintf(name, sizeof(name), "l%d", address.bits);
			add(address, name, address.bits);
		}
		check_all(500);
	}
}

static void
duplicates(void **state)
{
	uint64_t offset;

	(void) state;
	add(inet_of("10.0.0.0/8"), NULL, 1);
	add(inet_of("10.0.0.0/8"), "b", 7);
	add(inet_of("10.1.2.3/8"), "b", 5); /* host bits do not count */
	add(inet_of("10.0.0.0/8"), "bb", 1);
	add(inet_of("10.0.0.0/8"), "b", -1);
	add(inet_of("10.0.0.0/9"), "", -1);
	add(inet_of("10.0.0.0/9"), NULL, -1);
	offset = build();
	assert_int_equal(bs_prefixmap_info(bs_arena_at(arena, offset)).prefixes, 2);
	assert_int_equal(bs_prefixmap_info(bs_arena_at(arena, offset)).duplicates, 5);
	bs_prefixmap_release(arena, offset);
	check_all(100);
}

/* Equal bytes in columns of different kinds are different labels. */
static void
kinds_are_apart(void **state)
{
	(void) state;
	for (int i = 0; i < 300; i++)
	{
		char name[16];
		BsInet address = random_inet(4, 4);

		snprintf(name, sizeof(name), "%d", i);
		address.bits = 24;
		add(address, name, i);
	}
	check_all(300);
}

static void
random_maps(void **state)
{
	(void) state;
	for (int round = 0; round < 60; round++)
	{
		int n = 1 + (int) random_below(round % 10 == 0 ? 2500 : 60);
		uint32_t spread = 1 + random_below(4);

		while (nprefixes < n)
		{
			BsInet prefix = random_inet(random_below(2) ? 4 : 6, spread);
			char name[16];

			prefix.bits = (uint8_t) random_below(prefix.bits + 1u);
			snprintf(name, sizeof(name), "c%u", random_below(40));
			add(prefix, random_below(10) == 0 ? NULL : name, (int64_t) random_below(50) - 5);
		}
		check_all(200);
	}
}

/* An IPv6 address with an IPv4 one behind these bits. */
static BsInet
with_inner(const uint8_t *before, int nbytes, const BsInet *inner)
{
	BsInet address = {.family = 6, .bits = 128};

	memcpy(address.address, before, (size_t) nbytes);
	memcpy(address.address + nbytes, inner->address, 4);
	for (int i = nbytes + 4; i < 16; i++)
		address.address[i] = (uint8_t) random_below(256);
	return address;
}

/* With an alias the IPv4 address in it is what is looked up, and without it the IPv6 address. */
static void
aliases(void **state)
{
	static const struct
	{
		BsPrefixAlias alias;
		int nbytes;
		uint8_t before[12];
	} kinds[] = {
		{BS_ALIAS_COMPATIBLE, 12, {0}},
		{BS_ALIAS_MAPPED, 12, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}},
		{BS_ALIAS_TEREDO, 4, {0x20, 0x01}},
		{BS_ALIAS_6TO4, 2, {0x20, 0x02}},
	};

	(void) state;
	for (int i = 0; i < 500; i++)
	{
		BsInet prefix = random_inet(i % 5 == 0 ? 6 : 4, 3);

		prefix.bits = (uint8_t) random_below(prefix.bits + 1u);
		add(prefix, "x", i);
	}
	add(inet_of("2002:a00::/24"), "over the alias", 1);
	for (uint32_t set = 0; set < 16; set++)
	{
		BsPrefixBuilder *builder = bs_prefix_builder_create(NCOLUMNS, columns, NO_BOUND);
		const BsPrefixMap *map;
		uint64_t offset;

		for (int i = 0; i < nprefixes; i++)
			assert_int_equal(bs_prefix_builder_add(builder, &prefixes[i], labels[i]), BS_PREFIX_OK);
		bs_prefix_builder_set_aliases(builder, set);
		assert_int_equal(bs_prefix_builder_finish(builder, arena, &offset), BS_PREFIX_OK);
		bs_prefix_builder_free(builder);
		map = bs_arena_at(arena, offset);
		for (int i = 0; i < 2000; i++)
		{
			int kind = i % 4;
			BsInet inner = random_inet(4, 3);
			BsInet address = with_inner(kinds[kind].before, kinds[kind].nbytes, &inner);
			uint32_t found = bs_prefixmap_find(arena, map, &address);
			BsInet network;

			check_address(map, &inner);
			if ((set & kinds[kind].alias) == 0)
			{
				check_address(map, &address);
				continue;
			}
			assert_int_equal(found, bs_prefixmap_find(arena, map, &inner));
			if (found == 0)
				continue;
			network = bs_prefixmap_network(arena, map, found, &address);
			assert_int_equal(network.family, 6);
			assert_int_equal(network.bits, bs_prefixmap_network(arena, map, found, &inner).bits +
											   kinds[kind].nbytes * 8);
			assert_true(naive_holds(&network, &address));
		}
		bs_prefixmap_release(arena, offset);
	}
}

/* Enough for several segments of every array. */
static void
many(void **state)
{
	static const BsLabelColumn column = {"n", BS_LABEL_BIGINT};
	enum
	{
		N = 300000
	};
	BsPrefixBuilder *builder = bs_prefix_builder_create(1, &column, NO_BOUND);
	BsArena *large = bs_arena_create(bs_arena_size_for((size_t) 256 << 20));
	uint32_t step = 2654435761u;
	const BsPrefixMap *map;
	uint64_t offset;

	(void) state;
	for (uint32_t i = 0; i < N; i++)
	{
		uint32_t word = (i * step) & ~UINT32_C(63);
		BsInet prefix = {.family = 4, .bits = 26};
		char text[16];
		BsLabel label = {.number = word};

		for (int b = 0; b < 4; b++)
			prefix.address[b] = (uint8_t) (word >> (24 - 8 * b));
		snprintf(text, sizeof(text), "%u", word);
		label.text = (BsBytes){.data = (uint8_t *) text, .len = (uint32_t) strlen(text)};
		assert_int_equal(bs_prefix_builder_add(builder, &prefix, &label), BS_PREFIX_OK);
	}
	assert_int_equal(bs_prefix_builder_finish(builder, large, &offset), BS_PREFIX_OK);
	bs_prefix_builder_free(builder);
	map = bs_arena_at(large, offset);
	assert_true(bs_prefixmap_info(map).prefixes > N / 2);
	for (uint32_t i = 0; i < N; i++)
	{
		uint32_t word = i * step;
		BsInet address = {.family = 4, .bits = 32};
		uint32_t found;
		BsBytes text;
		int64_t number;

		for (int b = 0; b < 4; b++)
			address.address[b] = (uint8_t) (word >> (24 - 8 * b));
		found = bs_prefixmap_find(large, map, &address);
		assert_true(found != 0);
		assert_true(bs_prefixmap_label(large, map, found, 0, &text, &number));
		assert_int_equal(number, word & ~UINT32_C(63));
		assert_int_equal(bs_prefixmap_network(large, map, found, &address).bits, 26);
	}
	bs_prefixmap_release(large, offset);
	assert_int_equal(bs_arena_stats(large).used_bytes, 0);
	bs_arena_free_private(large);
}

/* No memory, at whatever point, is an answer and leaves nothing behind. */
static void
out_of_memory(void **state)
{
	BsArena *small = bs_arena_create(bs_arena_size_for(2 << 20));
	int built = 0;
	int refused = 0;

	(void) state;
	for (int i = 0; i < 2000; i++)
	{
		BsInet prefix = random_inet(4, 4);
		char name[24];

		snprintf(name, sizeof(name), "name %d", i);
		add(prefix, name, i);
	}
	for (size_t bytes = 0; bytes < (1 << 20); bytes += 7011)
	{
		BsPrefixBuilder *builder = bs_prefix_builder_create(NCOLUMNS, columns, bytes);
		BsPrefixStatus status = BS_PREFIX_OK;
		uint64_t map = 0;

		for (int i = 0; i < nprefixes && status == BS_PREFIX_OK; i++)
			status = bs_prefix_builder_add(builder, &prefixes[i], labels[i]);
		if (status == BS_PREFIX_OK)
			status = bs_prefix_builder_finish(builder, arena, &map);
		bs_prefix_builder_free(builder);
		assert_true(status == BS_PREFIX_OK || status == BS_PREFIX_NO_MEMORY);
		if (status == BS_PREFIX_OK)
		{
			built++;
			bs_prefixmap_release(arena, map);
		}
	}
	assert_true(built > 0);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
	/* An arena that has less and less left. */
	for (built = 0; bs_arena_alloc(small, 32 * 1024) != 0;)
	{
		BsPrefixBuilder *builder = bs_prefix_builder_create(NCOLUMNS, columns, NO_BOUND);
		uint64_t before = bs_arena_stats(small).used_bytes;
		uint64_t map = 0;
		BsPrefixStatus status;

		for (int i = 0; i < nprefixes; i++)
			assert_int_equal(bs_prefix_builder_add(builder, &prefixes[i], labels[i]), BS_PREFIX_OK);
		status = bs_prefix_builder_finish(builder, small, &map);
		bs_prefix_builder_free(builder);
		refused += status == BS_PREFIX_NO_ROOM;
		built += status == BS_PREFIX_OK;
		if (status == BS_PREFIX_OK)
			bs_prefixmap_release(small, map);
		else
			assert_int_equal(map, 0);
		assert_int_equal(bs_arena_stats(small).used_bytes, before);
	}
	assert_true(built > 0 && refused > 0);
	bs_arena_free_private(small);
}

static void
long_labels(void **state)
{
	static uint8_t text[BS_PREFIX_MAX_LABEL_BYTES + 1];
	BsPrefixBuilder *builder = bs_prefix_builder_create(1, columns, NO_BOUND);
	BsInet prefix = inet_of("10.0.0.0/8");
	BsLabel label = {.text = {.data = text, .len = sizeof(text)}};
	uint64_t map = 0;

	(void) state;
	assert_int_equal(bs_prefix_builder_add(builder, &prefix, &label), BS_PREFIX_LABEL_TOO_LONG);
	label.text.len--;
	/* So many different ones that they fill several segments, none lying across two. */
	for (uint32_t i = 0; i < 400; i++)
	{
		prefix.address[1] = (uint8_t) (i >> 8);
		prefix.address[2] = (uint8_t) i;
		prefix.bits = 24;
		memcpy(text, &i, sizeof(i));
		label.text.len = BS_PREFIX_MAX_LABEL_BYTES - i % 7;
		assert_int_equal(bs_prefix_builder_add(builder, &prefix, &label), BS_PREFIX_OK);
	}
	assert_int_equal(bs_prefix_builder_finish(builder, arena, &map), BS_PREFIX_OK);
	bs_prefix_builder_free(builder);
	for (uint32_t i = 0; i < 400; i++)
	{
		BsBytes found;
		int64_t number;
		BsInet address = {
			.family = 4, .bits = 32, .address = {10, (uint8_t) (i >> 8), (uint8_t) i, 9}};

		assert_true(bs_prefixmap_label(arena, bs_arena_at(arena, map),
									   bs_prefixmap_find(arena, bs_arena_at(arena, map), &address),
									   0, &found, &number));
		assert_int_equal(found.len, BS_PREFIX_MAX_LABEL_BYTES - i % 7);
		assert_memory_equal(found.data, &i, sizeof(i));
	}
	bs_prefixmap_release(arena, map);
	assert_int_equal(bs_arena_stats(arena).used_bytes, 0);
}

/* ---- as an expression ------------------------------------------------------------------------ */

#define ROWS 64

typedef struct Look
{
	BsBatch *batch;
	BsPrefixHandle handle;
	BsExpr *expr;
	uint8_t errors[ROWS];
	uint16_t rows[ROWS];
	BsEval eval;
} Look;

static const BsLane *
look(Look *l, BsOp op, BsType type, const char *label)
{
	static const BsType types[] = {BS_INET};
	BsExpr *column = bs_expr_column(0, BS_INET);

	if (l->batch == NULL)
		l->batch = bs_batch_create(types, 1, NULL, ROWS);
	for (uint16_t i = 0; i < ROWS; i++)
	{
		l->rows[i] = i;
		l->errors[i] = BS_ERROR_NONE;
		l->batch->columns[0].inet[i] =
			(BsInet){.family = 4, .bits = 32, .address = {10, (uint8_t) i}};
		l->batch->columns[0].nulls[i] = i % 5 == 0;
	}
	l->batch->columns[0].has_nulls = true;
	l->batch->nrows = ROWS;
	snprintf(l->handle.label, sizeof(l->handle.label), "%s", label);
	bs_expr_free(l->expr);
	l->expr = bs_expr_op(op, type, 1, &column);
	l->expr->prefix = &l->handle;
	l->eval = (BsEval){.batch = l->batch, .errors = l->errors};
	assert_null(bs_expr_prepare(l->expr, ROWS));
	return bs_expr_evaluate(l->expr, &l->eval, (BsRows){.nrows = ROWS, .rows = l->rows});
}

static void
look_fails(Look *l, BsOp op, BsType type, const char *label, BsError error)
{
	const BsLane *lane = look(l, op, type, label);

	for (int i = 0; i < ROWS; i++)
	{
		assert_int_equal(l->errors[i], i % 5 == 0 ? BS_ERROR_NONE : error);
		if (i % 5 == 0)
			assert_int_equal(lane->nulls[i], 1);
	}
}

static void
expressions(void **state)
{
	Look l = {.handle = {.arena = arena}};
	const BsLane *lane;
	uint64_t map;

	(void) state;
	add(inet_of("10.0.0.0/10"), "low", 7);
	add(inet_of("10.32.0.0/11"), NULL, -1);
	add(inet_of("10.3.0.0/16"), "three", 3);
	map = build();
	look_fails(&l, BS_OP_PREFIX_TEXT, BS_BYTES, "", BS_ERROR_NO_PREFIX_MAP);
	l.handle.map = bs_arena_at(arena, map);
	look_fails(&l, BS_OP_PREFIX_TEXT, BS_BYTES, "nothing", BS_ERROR_PREFIX_LABEL);
	look_fails(&l, BS_OP_PREFIX_BIGINT, BS_INT8, "name", BS_ERROR_PREFIX_LABEL);
	lane = look(&l, BS_OP_PREFIX_TEXT, BS_BYTES, "");
	for (int i = 0; i < ROWS; i++)
	{
		const char *expected = i == 3 ? "three" : "low";

		assert_int_equal(l.errors[i], BS_ERROR_NONE);
		assert_int_equal(lane->nulls[i], i % 5 == 0 || i >= 32);
		if (lane->nulls[i])
			continue;
		assert_int_equal(lane->bytes[i].len, strlen(expected));
		assert_memory_equal(lane->bytes[i].data, expected, strlen(expected));
	}
	lane = look(&l, BS_OP_PREFIX_BIGINT, BS_INT8, "asn");
	assert_int_equal(lane->i64[3], 3);
	assert_int_equal(lane->i64[4], 7);
	assert_int_equal(lane->nulls[33], 1);
	lane = look(&l, BS_OP_PREFIX_NETWORK, BS_INET, "");
	assert_int_equal(lane->inet[3].bits, 16);
	assert_int_equal(lane->inet[34].bits, 11);
	assert_int_equal(lane->inet[34].address[1], 32);
	assert_int_equal(lane->nulls[5], 1);
	bs_expr_free(l.expr);
	bs_batch_free(l.batch);
	bs_prefixmap_release(arena, map);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(empty, setup, teardown),
		cmocka_unit_test_setup_teardown(default_routes_and_hosts, setup, teardown),
		cmocka_unit_test_setup_teardown(nested, setup, teardown),
		cmocka_unit_test_setup_teardown(duplicates, setup, teardown),
		cmocka_unit_test_setup_teardown(kinds_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(random_maps, setup, teardown),
		cmocka_unit_test_setup_teardown(aliases, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(long_labels, setup, teardown),
		cmocka_unit_test_setup_teardown(expressions, setup, teardown),
	};

	return cmocka_run_group_tests_name("prefixmap", tests, NULL, NULL);
}
