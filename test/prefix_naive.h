/* SPDX-License-Identifier: PostgreSQL */
/* prefix_naive.h: the longest prefix by looking at all of them, bit by bit: the oracle of prefix maps. */
#ifndef BS_TEST_PREFIX_NAIVE_H
#define BS_TEST_PREFIX_NAIVE_H

#include <string.h>

#include "../src/engine/prefixmap.h"

static inline bool
naive_bit(const BsInet *inet, unsigned bit)
{
	return (inet->address[bit / 8] >> (7 - bit % 8) & 1) != 0;
}

static inline bool
naive_holds(const BsInet *prefix, const BsInet *address)
{
	if ((prefix->family == 4) != (address->family == 4))
		return false;
	for (unsigned bit = 0; bit < prefix->bits; bit++)
		if (naive_bit(prefix, bit) != naive_bit(address, bit))
			return false;
	return true;
}

/* NULL sorts last, numbers by value, texts by bytes. */
static inline int
naive_label_compare(const BsLabel *a, const BsLabel *b, BsLabelKind kind)
{
	uint32_t len = a->text.len < b->text.len ? a->text.len : b->text.len;
	int sign;

	if (a->is_null || b->is_null)
		return a->is_null - b->is_null;
	if (kind == BS_LABEL_BIGINT)
		return (a->number > b->number) - (a->number < b->number);
	sign = len > 0 ? memcmp(a->text.data, b->text.data, len) : 0;
	return sign != 0 ? sign : (a->text.len > b->text.len) - (a->text.len < b->text.len);
}

static inline int
naive_labels_compare(const BsLabel *a, const BsLabel *b, const BsLabelColumn *columns,
					 uint32_t ncolumns)
{
	int sign = 0;

	for (uint32_t i = 0; i < ncolumns && sign == 0; i++)
		sign = naive_label_compare(&a[i], &b[i], columns[i].kind);
	return sign;
}

/* The number of the prefix that wins, or -1.  labels is [nprefixes][ncolumns]. */
static inline int
naive_find(const BsInet *prefixes, const BsLabel *labels, int nprefixes,
		   const BsLabelColumn *columns, uint32_t ncolumns, const BsInet *address)
{
	int best = -1;

	for (int i = 0; i < nprefixes; i++)
	{
		if (!naive_holds(&prefixes[i], address))
			continue;
		if (best < 0 || prefixes[i].bits > prefixes[best].bits ||
			(prefixes[i].bits == prefixes[best].bits &&
			 naive_labels_compare(&labels[(uint32_t) i * ncolumns],
								  &labels[(uint32_t) best * ncolumns], columns, ncolumns) < 0))
			best = i;
	}
	return best;
}

#endif
