/* SPDX-License-Identifier: PostgreSQL */
/* allow.c: parse a list of prefixes and look addresses up in it.  See allow.h. */
#include "allow.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "textlist.h"

#define ELEMENT_TEXT 64 /* an IPv6 address with an embedded IPv4 one and a mask is shorter */

static bool
fail(char *error, size_t error_size, const BsTextList *element, const char *reason)
{
	int shown = element->len > 80 ? 80 : (int) element->len;

	snprintf(error, error_size, "invalid prefix \"%.*s\": %s", shown, element->start, reason);
	return false;
}

/* Bits [from, 8 * sizeof address) are all zero. */
static bool
bits_zero_from(const uint8_t *address, unsigned from)
{
	if (from % 8 != 0 && (address[from / 8] & (0xff >> (from % 8))) != 0)
		return false;
	for (unsigned i = (from + 7) / 8; i < 16; i++)
		if (address[i] != 0)
			return false;
	return true;
}

/* The first nbits bits of both are equal. */
static bool
bits_equal(const uint8_t *a, const uint8_t *b, unsigned nbits)
{
	unsigned rest = nbits % 8;

	if (memcmp(a, b, nbits / 8) != 0)
		return false;
	return rest == 0 || ((a[nbits / 8] ^ b[nbits / 8]) >> (8 - rest)) == 0;
}

/* ::ffff:a.b.c.d/96+n becomes a.b.c.d/n (RFC 4291, 2.5.5.2). */
static void
unmap_prefix(BsInet *prefix)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (prefix->family != 6 || prefix->bits < 96 || memcmp(prefix->address, mapped, 12) != 0)
		return;
	memmove(prefix->address, prefix->address + 12, 4);
	memset(prefix->address + 4, 0, 12);
	prefix->family = 4;
	prefix->bits = (uint8_t) (prefix->bits - 96);
}

/* One to three digits, nothing else, at most max.  -1: not so. */
static int
parse_mask(const char *text, int max)
{
	int value = 0;
	size_t len = strlen(text);

	if (len < 1 || len > 3)
		return -1;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value <= max ? value : -1;
}

/* NULL, or why the text is not a prefix. */
static const char *
parse_prefix(const BsTextList *element, BsInet *prefix)
{
	char text[ELEMENT_TEXT];
	char *slash;
	int bits;

	if (element->len == 0)
		return "it is empty";
	if (!bs_text_copy(text, sizeof(text), element->start, element->len))
		return "it is too long";
	slash = strchr(text, '/');
	if (slash != NULL)
		*slash++ = '\0';
	memset(prefix, 0, sizeof(*prefix));
	if (inet_pton(AF_INET, text, prefix->address) == 1)
		prefix->family = 4;
	else if (inet_pton(AF_INET6, text, prefix->address) == 1)
		prefix->family = 6;
	else
		return "not an IPv4 or IPv6 address";
	bits = prefix->family == 4 ? 32 : 128;
	if (slash != NULL)
		bits = parse_mask(slash, bits);
	if (bits < 0)
		return "the mask after \"/\" must be a number of bits, at most 32 (IPv4) or 128 (IPv6)";
	if (!bits_zero_from(prefix->address, (unsigned) bits))
		return "it has bits set to the right of the mask";
	prefix->bits = (uint8_t) bits;
	unmap_prefix(prefix);
	return NULL;
}

/* By family, then address, then the wider prefix first. */
static int
compare_prefixes(const void *left, const void *right)
{
	const BsInet *a = left;
	const BsInet *b = right;
	int by_address;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	by_address = memcmp(a->address, b->address, sizeof(a->address));
	return by_address != 0 ? by_address : (int) a->bits - (int) b->bits;
}

static bool
prefix_contains(const BsInet *prefix, const BsInet *address)
{
	return prefix->family == address->family && prefix->bits <= address->bits &&
		   bits_equal(prefix->address, address->address, prefix->bits);
}

/* Sorted, a contained prefix follows its container with only others of the same container between.
 */
static void
sort_and_drop_contained(BsAllowList *allow)
{
	uint32_t kept = 0;

	qsort(allow->entries, allow->nentries, sizeof(BsInet), compare_prefixes);
	for (uint32_t i = 0; i < allow->nentries; i++)
	{
		if (kept > 0 && prefix_contains(&allow->entries[kept - 1], &allow->entries[i]))
			continue;
		allow->entries[kept++] = allow->entries[i];
	}
	allow->nentries = kept;
}

static uint32_t
count_elements(const char *list)
{
	BsTextList element;
	uint32_t n = 0;

	bs_textlist_begin(&element, list);
	while (bs_textlist_next(&element))
		n++;
	return n;
}

bool
bs_allow_parse(const char *list, BsAllowList *allow, char *error, size_t error_size)
{
	BsTextList element;
	uint32_t nelements = count_elements(list);

	allow->nentries = 0;
	allow->entries = NULL;
	if (nelements == 0)
		return true;
	allow->entries = calloc(nelements, sizeof(BsInet));
	if (allow->entries == NULL)
	{
		snprintf(error, error_size, "out of memory");
		return false;
	}
	bs_textlist_begin(&element, list);
	while (bs_textlist_next(&element))
	{
		const char *reason = parse_prefix(&element, &allow->entries[allow->nentries]);

		if (reason != NULL)
		{
			bs_allow_free(allow);
			return fail(error, error_size, &element, reason);
		}
		allow->nentries++;
	}
	sort_and_drop_contained(allow);
	return true;
}

bool
bs_allow_copy(const BsAllowList *allow, BsAllowList *copy)
{
	copy->nentries = 0;
	copy->entries = NULL;
	if (allow->nentries == 0)
		return true;
	copy->entries = malloc(allow->nentries * sizeof(BsInet));
	if (copy->entries == NULL)
		return false;
	memcpy(copy->entries, allow->entries, allow->nentries * sizeof(BsInet));
	copy->nentries = allow->nentries;
	return true;
}

void
bs_allow_free(BsAllowList *allow)
{
	free(allow->entries);
	allow->entries = NULL;
	allow->nentries = 0;
}

bool
bs_allow_matches(const BsAllowList *allow, const BsInet *address)
{
	uint32_t low = 0;
	uint32_t high = allow->nentries;

	if (high == 0)
		return true;
	/* The last entry that sorts at or before the address is the only one that can contain it. */
	while (low < high)
	{
		uint32_t middle = low + (high - low) / 2;

		if (compare_prefixes(&allow->entries[middle], address) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && prefix_contains(&allow->entries[low - 1], address);
}
