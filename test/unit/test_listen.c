/* SPDX-License-Identifier: PostgreSQL */
/* test_listen.c: the parsers of backstream.listen and backstream.allow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <unistd.h>

#include "../../receiver/allow.h"
#include "../../receiver/listen.h"

#define MAX_ADDRESSES 16
#define NROWS(table)  (sizeof(table) / sizeof((table)[0]))

static BsListenAddress addresses[MAX_ADDRESSES];
static char error[256];

static int
parse(const char *list)
{
	memset(error, 0, sizeof(error));
	return bs_listen_parse(list, true, addresses, MAX_ADDRESSES, error, sizeof(error));
}

/* The texts of the addresses that a list gives, joined by blanks. */
static const char *
parsed(const char *list)
{
	static char text[MAX_ADDRESSES * (BS_ADDRESS_TEXT + 1)];
	int n = parse(list);

	text[0] = '\0';
	for (int i = 0; i < n; i++)
	{
		strcat(text, i > 0 ? " " : "");
		strcat(text, addresses[i].text);
	}
	return n < 0 ? error : text;
}

static bool
host_has_ipv6(void)
{
	struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *) &loopback, sizeof(loopback)) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

static void
test_listen_accepts(void **state)
{
	static const char *const cases[][2] = {
		{"", ""},
		{" \t\n", ""},
		{"127.0.0.1:2055", "127.0.0.1:2055"},
		{"  127.0.0.1:2055\t,\n192.0.2.9:1 ", "127.0.0.1:2055 192.0.2.9:1"},
		{"0.0.0.0:65535", "0.0.0.0:65535"},
		{"127.0.0.1:00080", "127.0.0.1:80"},
		{"[::1]:2055", "[::1]:2055"},
		{"[::]:2055", "[::]:2055"},
		{"[2001:DB8:0::0001]:2055", "[2001:db8::1]:2055"},
		{"[::ffff:192.0.2.1]:2055", "192.0.2.1:2055"},
		{"*:2055", "0.0.0.0:2055 [::]:2055"},
		{":2055", "0.0.0.0:2055 [::]:2055"},
		{"*:2055, *:4739", "0.0.0.0:2055 [::]:2055 0.0.0.0:4739 [::]:4739"},
		{"localhost:2055", "127.0.0.1:2055 [::1]:2055"},
		{"LocalHost:2055", "127.0.0.1:2055 [::1]:2055"},
		/* duplicates, and what a wildcard covers */
		{"127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:1", "127.0.0.1:1 127.0.0.1:2"},
		{"[::1]:5,[0:0::1]:5", "[::1]:5"},
		{"192.0.2.1:5, [::ffff:192.0.2.1]:5", "192.0.2.1:5"},
		{"localhost:5, *:5", "0.0.0.0:5 [::]:5"},
		{"*:5, localhost:5, 192.0.2.1:6", "0.0.0.0:5 [::]:5 192.0.2.1:6"},
		{"192.0.2.1:5, [::1]:5, 0.0.0.0:5", "[::1]:5 0.0.0.0:5"},
	};

	(void) state;
	for (size_t i = 0; i < NROWS(cases); i++)
	{
		if (!host_has_ipv6() && strstr(cases[i][1], "[::") != NULL)
			printf("SKIPPED (no IPv6 on this host): \"%s\"\n", cases[i][0]);
		else
			assert_string_equal(parsed(cases[i][0]), cases[i][1]);
	}
}

static void
test_listen_refuses(void **state)
{
	static const char *const cases[] = {
		",",
		"127.0.0.1:1,",
		",127.0.0.1:1",
		"127.0.0.1:1,,127.0.0.1:2",
		"127.0.0.1",
		"[::1]",
		"localhost",
		"*",
		"2055",
		":",
		"127.0.0.1:",
		"127.0.0.1:0",
		"127.0.0.1:65536",
		"127.0.0.1:99999999999",
		"127.0.0.1:-1",
		"127.0.0.1:+1",
		"127.0.0.1:1x",
		"127.0.0.1: 1",
		"127.0.0.1 :1",
		"127.0.0.1:1 127.0.0.2:1",
		"::1:2055",
		"2001:db8::1:2055",
		"[::1:2055",
		"::1]:2055",
		"[]:2055",
		"[127.0.0.1]:2055",
		"[::1]2055",
		"[::g]:2055",
		"[::1%]:2055",
		"[fe80::1%lo",
		"[%lo]:1",
		"[fe80::1%averyveryverylonginterface]:2055",
		"[[::1]]:2055",
		"127.1:2055",
		"0x7f.1:2055",
		"256.0.0.1:2055",
		"1.2.3:2055",
		"1.2.3.4.5:2055",
		"2130706433:2055",
		"**:2055",
		"*.*:2055",
		"a..b:2055",
		".a:2055",
		"-a:2055",
		"a b:2055",
		"a/b:2055",
		"a@b:2055",
		"\x01:2055",
		"h\xc3\xb6st:2055",
	};

	(void) state;
	for (size_t i = 0; i < NROWS(cases); i++)
	{
		/* resolve = false: none of these may get as far as a look-up */
		memset(error, 0, sizeof(error));
		if (bs_listen_parse(cases[i], false, NULL, 0, error, sizeof(error)) != -1)
			fail_msg("accepted: \"%s\"", cases[i]);
		if (strncmp(error, "invalid listen address \"", 24) != 0 || strchr(error, '\n') != NULL)
			fail_msg("message for \"%s\": %s", cases[i], error);
	}
}

static void
test_listen_messages(void **state)
{
	(void) state;
	assert_string_equal(parsed("localhost"),
						"invalid listen address \"localhost\": a port must follow, "
						"as in 192.0.2.1:2055");
	assert_string_equal(parsed("*:5, ::1:2055"),
						"invalid listen address \"::1:2055\": an IPv6 address "
						"must be in brackets, as in [::1]:2055");
	assert_string_equal(parsed("[fe80::1%nosuchif]:1"),
						"invalid listen address "
						"\"[fe80::1%nosuchif]:1\": there is no interface "
						"of this name");
}

/* A message is cut to its buffer and an over-long element to what one can read. */
static void
test_listen_long_input(void **state)
{
	char list[4096];
	char small[16];

	(void) state;
	memset(list, 'a', sizeof(list));
	strcpy(list + 4000, ":2055");
	assert_int_equal(parse(list), -1);
	assert_true(strlen(error) < 200);
	assert_int_equal(bs_listen_parse(list, true, addresses, 1, small, sizeof(small)), -1);
	assert_int_equal(strlen(small), sizeof(small) - 1);
	strcpy(list + 253, ":2055"); /* the longest name: syntax only */
	assert_int_equal(bs_listen_parse(list, false, NULL, 0, error, sizeof(error)), 0);
	strcpy(list + 253, "a:2055");
	assert_int_equal(bs_listen_parse(list, false, NULL, 0, error, sizeof(error)), -1);
}

static void
test_listen_too_many(void **state)
{
	(void) state;
	assert_int_equal(bs_listen_parse("127.0.0.1:1,127.0.0.1:2", true, addresses, 2, error, 256), 2);
	assert_int_equal(
		bs_listen_parse("127.0.0.1:1,127.0.0.1:2,127.0.0.1:3", true, addresses, 2, error, 256), -1);
	assert_non_null(strstr(error, "too many addresses"));
}

/* Only the syntax: no look-up, no address, whatever the name. */
static void
test_listen_syntax_only(void **state)
{
	(void) state;
	assert_int_equal(
		bs_listen_parse("no-such-host.invalid:1, *:2, localhost:3", false, NULL, 0, error, 256), 0);
}

static void
test_listen_sockaddr(void **state)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	(void) state;
	assert_int_equal(parse("192.0.2.7:2055, [2001:db8::7]:4739, [fe80::1%lo]:9995"), 3);
	assert_int_equal(addresses[0].sockaddr.len, sizeof(in));
	memcpy(&in, addresses[0].sockaddr.bytes, sizeof(in));
	assert_int_equal(in.sin_family, AF_INET);
	assert_int_equal(ntohs(in.sin_port), 2055);
	assert_int_equal(ntohl(in.sin_addr.s_addr), 0xC0000207);
	assert_int_equal(addresses[1].sockaddr.len, sizeof(in6));
	memcpy(&in6, addresses[1].sockaddr.bytes, sizeof(in6));
	assert_int_equal(in6.sin6_family, AF_INET6);
	assert_int_equal(ntohs(in6.sin6_port), 4739);
	assert_int_equal(in6.sin6_addr.s6_addr[15], 7);
	memcpy(&in6, addresses[2].sockaddr.bytes, sizeof(in6));
	assert_int_not_equal(in6.sin6_scope_id, 0);
	assert_string_equal(addresses[2].text, "[fe80::1%lo]:9995");
}

/* ---- allow ---- */

static BsInet
inet(const char *text)
{
	BsInet address;

	memset(&address, 0, sizeof(address));
	if (inet_pton(AF_INET, text, address.address) == 1)
		address.family = 4;
	else
	{
		assert_int_equal(inet_pton(AF_INET6, text, address.address), 1);
		address.family = 6;
	}
	address.bits = address.family == 4 ? 32 : 128;
	return address;
}

static bool
allows(const char *list, const char *address)
{
	BsAllowList allow;
	BsInet probe = inet(address);
	bool matches;

	assert_true(bs_allow_parse(list, &allow, error, sizeof(error)));
	matches = bs_allow_matches(&allow, &probe);
	bs_allow_free(&allow);
	return matches;
}

static void
test_allow_matches(void **state)
{
	static const struct
	{
		const char *list;
		const char *address;
		bool expected;
	} cases[] = {
		{"", "192.0.2.1", true},
		{" ", "2001:db8::1", true},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "2001:db8::1", false},
		{"10.0.0.0/8", "10.255.255.255", true},
		{"10.0.0.0/8", "9.255.255.255", false},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.0.0/8", "a00::", false}, /* the same leading bits, the other family */
		{"10.0.0.0/9", "10.128.0.0", false},
		{"10.128.0.0/9", "10.127.255.255", false},
		{"10.128.0.0/9", "10.128.0.0", true},
		{"0.0.0.0/0", "255.255.255.255", true},
		{"0.0.0.0/0", "0.0.0.0", true},
		{"0.0.0.0/0", "::", false},
		{"::/0", "ffff::1", true},
		{"::/0", "1.2.3.4", false},
		{"2001:db8::/32", "2001:db8:ffff::1", true},
		{"2001:db8::/32", "2001:db9::", false},
		{"2001:db8::/127", "2001:db8::1", true},
		{"2001:db8::/127", "2001:db8::2", false},
		{"::ffff:192.0.2.0/120", "192.0.2.77", true},
		{"::ffff:192.0.2.0/120", "192.0.3.77", false},
		{"::ffff:0:0/96", "8.8.8.8", true},
		/* nested ones, in any order: the wide one counts */
		{"10.1.2.3, 10.1.0.0/16, 10.0.0.0/8, 10.200.0.0/16", "10.3.0.1", true},
		{"10.1.0.0/16, 10.1.2.0/24", "10.1.3.1", true},
		{"10.1.0.0/16, 10.1.2.0/24, 10.3.0.0/16", "10.2.0.1", false},
		{"10.0.0.0/8, 10.0.0.0/24, 10.0.0.0/8", "10.9.9.9", true},
		{"10.0.0.0/8,2001:db8::/32,172.16.0.0/12", "172.31.255.255", true},
		{"10.0.0.0/8,2001:db8::/32,172.16.0.0/12", "2001:db8::9", true},
	};

	(void) state;
	for (size_t i = 0; i < NROWS(cases); i++)
		if (allows(cases[i].list, cases[i].address) != cases[i].expected)
			fail_msg("\"%s\" and %s", cases[i].list, cases[i].address);
}

static void
test_allow_refuses(void **state)
{
	static const char *const cases[] = {
		",",
		"10.0.0.0/8,",
		"10.0.0.0/8,,11.0.0.0/8",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/",
		"10.0.0.0/8/8",
		"10.0.0.0/ 8",
		"10.0.0.0 /8",
		"10.0.0.0/0008",
		"10.0.0.0/8x",
		"10.0.0.0/255.0.0.0",
		"10/8",
		"10.0.0/8",
		"10.1.0.0/8",
		"10.0.0.1/31",
		"0.0.0.1/0",
		"::1/127",
		"2001:db8::/129",
		"2001:db8::/28",
		"[::1]",
		"localhost",
		"*",
		"all",
		"/8",
		"1.2.3.4:5",
		"fe80::1%lo",
		"10.0.0.0/8 11.0.0.0/8",
		"::ffff:10.0.0.1/104",
		"::ffff:0:0/64",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333:4444:5555:6666:7777:8888/128",
	};
	BsAllowList allow;

	(void) state;
	for (size_t i = 0; i < NROWS(cases); i++)
	{
		memset(error, 0, sizeof(error));
		if (bs_allow_parse(cases[i], &allow, error, sizeof(error)))
			fail_msg("accepted: \"%s\"", cases[i]);
		assert_int_equal(allow.nentries, 0);
		assert_null(allow.entries);
		assert_int_equal(strncmp(error, "invalid prefix \"", 16), 0);
	}
}

static void
test_allow_drops_contained(void **state)
{
	BsAllowList allow;
	BsAllowList copy;

	(void) state;
	assert_true(bs_allow_parse("10.1.2.0/24, 10.0.0.0/8, ::1, 10.0.0.0/8, ::/64, 10.255.0.0/16",
							   &allow, error, sizeof(error)));
	assert_int_equal(allow.nentries, 2);
	assert_int_equal(allow.entries[0].bits, 8);
	assert_int_equal(allow.entries[1].bits, 64);
	assert_true(bs_allow_copy(&allow, &copy));
	bs_allow_free(&allow);
	assert_int_equal(copy.nentries, 2);
	assert_int_equal(copy.entries[1].bits, 64);
	bs_allow_free(&copy);
	bs_allow_free(&copy); /* an empty list */
}

/* A pseudo-random number from a fixed seed (xorshift, Marsaglia 2003). */
static uint32_t
next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

typedef struct Prefix
{
	uint32_t address;
	uint32_t mask;
} Prefix;

static bool
any_contains(const Prefix *prefixes, int n, uint32_t address)
{
	for (int i = 0; i < n; i++)
		if ((address & prefixes[i].mask) == prefixes[i].address)
			return true;
	return false;
}

/* 10,000 prefixes of all lengths from /12, against the slow and obvious way. */
static void
test_allow_many(void **state)
{
	enum
	{
		NPREFIXES = 10000,
		NPROBES = 20000
	};
	static Prefix prefixes[NPREFIXES];
	char *list = malloc(NPREFIXES * 24);
	size_t len = 0;
	uint32_t seed = 2055;
	int nmatching = 0;
	BsAllowList allow;

	(void) state;
	for (int i = 0; i < NPREFIXES; i++)
	{
		unsigned bits = 14 + next_random(&seed) % 19;

		prefixes[i].mask = UINT32_MAX << (32 - bits);
		prefixes[i].address = next_random(&seed) & prefixes[i].mask;
		len += (size_t) sprintf(list + len, "%s%u.%u.%u.%u/%u", i > 0 ? ", " : "",
								prefixes[i].address >> 24, prefixes[i].address >> 16 & 255,
								prefixes[i].address >> 8 & 255, prefixes[i].address & 255, bits);
	}
	assert_true(bs_allow_parse(list, &allow, error, sizeof(error)));
	free(list);
	assert_in_range(allow.nentries, 5000, NPREFIXES);
	for (int i = 0; i < NPROBES; i++)
	{
		/* half of them around the edges of a prefix */
		const Prefix *near = &prefixes[next_random(&seed) % NPREFIXES];
		uint32_t edge = near->address + (i % 4 < 2 ? 0 : ~near->mask) + (uint32_t) (i % 3) - 1;
		uint32_t address = i % 2 == 0 ? next_random(&seed) : edge;
		BsInet probe = {.family = 4, .bits = 32};
		uint32_t wire = htonl(address);
		bool expected = any_contains(prefixes, NPREFIXES, address);

		memcpy(probe.address, &wire, 4);
		if (bs_allow_matches(&allow, &probe) != expected)
			fail_msg("address %08x: expected %d", address, expected);
		nmatching += expected;
	}
	assert_in_range(nmatching, NPROBES / 20, NPROBES - NPROBES / 20);
	bs_allow_free(&allow);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listen_accepts),  cmocka_unit_test(test_listen_refuses),
		cmocka_unit_test(test_listen_messages), cmocka_unit_test(test_listen_long_input),
		cmocka_unit_test(test_listen_too_many), cmocka_unit_test(test_listen_syntax_only),
		cmocka_unit_test(test_listen_sockaddr), cmocka_unit_test(test_allow_matches),
		cmocka_unit_test(test_allow_refuses),   cmocka_unit_test(test_allow_drops_contained),
		cmocka_unit_test(test_allow_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
