/* SPDX-License-Identifier: PostgreSQL */
/*
 * allow.h: the prefixes of backstream.allow: who may export.
 *
 * A list owns its entries (malloc).  A look-up is a binary search: two prefixes either are disjoint
 * or one contains the other, and the contained ones are dropped when the list is made, so that the
 * entries are disjoint and sorted.
 */
#ifndef BS_ALLOW_H
#define BS_ALLOW_H

#include "../src/engine/types.h"

/* Made by bs_allow_parse() or zeroed; an empty list allows everybody. */
typedef struct BsAllowList
{
	uint32_t nentries;
	BsInet *entries; /* [nentries], disjoint, sorted by family and address */
} BsAllowList;

/*
 * Parse a comma-separated list of prefixes and addresses: "10.0.0.0/8, 192.0.2.1, 2001:db8::/32".
 * Bits to the right of the mask must be zero, as in PostgreSQL's cidr.  IPv4-mapped IPv6 prefixes
 * of 96 bits and more are their IPv4 prefixes.
 *
 * False with a message in error (for the user; no newline) on bad syntax or when memory is out; the
 * list is empty then.  What was in *allow before is overwritten, not freed.
 */
extern bool bs_allow_parse(const char *list, BsAllowList *allow, char *error, size_t error_size);

/* Copy a list.  False when memory is out; *copy is empty then. */
extern bool bs_allow_copy(const BsAllowList *allow, BsAllowList *copy);

/* Free the entries and make the list empty. */
extern void bs_allow_free(BsAllowList *allow);

/* Is this address (bits 32 or 128, IPv4-mapped ones made IPv4) in the list, or the list empty? */
extern bool bs_allow_matches(const BsAllowList *allow, const BsInet *address);

#endif
