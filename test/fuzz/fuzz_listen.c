/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_listen.c: the parsers of backstream.listen and backstream.allow.
 *
 * What a parser accepts, printed and parsed again, must give the same; what it refuses must come
 * with a message of one line.  No name is ever looked up.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../receiver/allow.h"
#include "../../receiver/listen.h"

#define MAX_ADDRESSES 8
#define MAX_TEXT      4096

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
check_message(const char *error, size_t size)
{
	size_t len = strnlen(error, size);

	require(len > 0 && len < size);
}

/* No letter outside of brackets: no name that would be asked of the resolver. */
static bool
has_no_name(const char *text)
{
	return strspn(text, "0123456789.:[]*, \t") == strlen(text);
}

static void
fuzz_listen(const char *text)
{
	BsListenAddress addresses[MAX_ADDRESSES];
	char error[160] = "";
	int n = bs_listen_parse(text, false, NULL, 0, error, sizeof(error));

	require(n == 0 || n == -1);
	if (n < 0)
		check_message(error, sizeof(error));
	if (!has_no_name(text))
		return;
	error[0] = '\0';
	if (n < 0)
		require(bs_listen_parse(text, true, addresses, MAX_ADDRESSES, error, sizeof(error)) < 0);
	else
		n = bs_listen_parse(text, true, addresses, MAX_ADDRESSES, error, sizeof(error));
	for (int i = 0; i < n; i++)
	{
		BsListenAddress again;

		require(bs_listen_parse(addresses[i].text, true, &again, 1, error, sizeof(error)) == 1);
		require(memcmp(&again, &addresses[i], sizeof(again)) == 0);
	}
}

static void
print_prefix(const BsInet *prefix, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN];

	require(inet_ntop(prefix->family == 4 ? AF_INET : AF_INET6, prefix->address, address,
					  sizeof(address)) != NULL);
	snprintf(text, size, "%s/%u", address, prefix->bits);
}

/* The last address of a prefix, as a probe. */
static BsInet
last_of(const BsInet *prefix)
{
	BsInet probe = *prefix;

	probe.bits = prefix->family == 4 ? 32 : 128;
	for (unsigned bit = prefix->bits; bit < probe.bits; bit++)
		probe.address[bit / 8] |= (uint8_t) (0x80 >> bit % 8);
	return probe;
}

static void
check_entry(const BsAllowList *allow, uint32_t i)
{
	const BsInet *entry = &allow->entries[i];
	BsInet last = last_of(entry);
	BsInet first = *entry;
	char text[80];
	char error[160];
	BsAllowList again;

	first.bits = last.bits;
	require(bs_allow_matches(allow, &first) && bs_allow_matches(allow, &last));
	/* sorted and disjoint */
	if (i + 1 < allow->nentries && allow->entries[i + 1].family == entry->family)
		require(memcmp(allow->entries[i + 1].address, last.address, 16) > 0);
	print_prefix(entry, text, sizeof(text));
	require(bs_allow_parse(text, &again, error, sizeof(error)));
	require(again.nentries == 1 && memcmp(again.entries, entry, sizeof(*entry)) == 0);
	bs_allow_free(&again);
}

static void
fuzz_allow(const char *text)
{
	BsAllowList allow;
	char error[160] = "";

	if (!bs_allow_parse(text, &allow, error, sizeof(error)))
	{
		require(allow.nentries == 0 && allow.entries == NULL);
		check_message(error, sizeof(error));
		return;
	}
	for (uint32_t i = 0; i < allow.nentries; i++)
		check_entry(&allow, i);
	bs_allow_free(&allow);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[MAX_TEXT + 1];

	if (size > MAX_TEXT)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	fuzz_listen(text);
	fuzz_allow(text);
	return 0;
}
