/* SPDX-License-Identifier: PostgreSQL */
/*
 * packcolumn.h: a column of whole numbers in few bytes: the lowest, and what each is more than that.
 *
 *   +-------+----------------+---------------------------+
 *   | width | base, 8 bytes  | n differences of width    |     width 0..8; 0: all are the base
 *   +-------+----------------+---------------------------+
 *
 * Little-endian.  value = base + difference, modulo 2^64.  (Frame of reference: Goldstein,
 * Ramakrishnan, Shaft, "Compressing relations and indexes", ICDE 1998, by whole bytes.)
 */
#ifndef BS_PACKCOLUMN_H
#define BS_PACKCOLUMN_H

#include <string.h>

#include "bytes.h"

#define BS_COLUMN_HEADER_BYTES 9u

/* Bytes that a column of n values takes at most. */
static inline size_t
bs_column_bound(uint32_t n)
{
	return BS_COLUMN_HEADER_BYTES + (size_t) n * 8;
}

/* Write n > 0 values to out, which has room for bs_column_bound(n); returns behind the last byte. */
extern uint8_t *bs_column_pack(uint8_t *out, const int64_t *values, uint32_t n);

/* Is the column that is next one of zeros?  Then it has been read. */
static inline bool
bs_column_take_zeros(BsCursor *cursor)
{
	static const uint8_t zeros[BS_COLUMN_HEADER_BYTES];

	if (cursor->bad || cursor->left_bytes < BS_COLUMN_HEADER_BYTES ||
		memcmp(cursor->at, zeros, BS_COLUMN_HEADER_BYTES) != 0)
		return false;
	(void) bs_cursor_get_bytes(cursor, BS_COLUMN_HEADER_BYTES);
	return true;
}

/* Read n > 0 values; on a column that is cut off or has an impossible width the cursor becomes bad. */
extern void bs_column_unpack(BsCursor *cursor, int64_t *values, uint32_t n);

#endif
