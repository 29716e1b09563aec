/* SPDX-License-Identifier: PostgreSQL */
/*
 * bytes.h: writing and reading packed forms: little-endian words, varints, a bounded cursor.
 *
 * For what the engine packs (sketches, partials).  Datagrams have receiver/wire.h.
 */
#ifndef BS_BYTES_H
#define BS_BYTES_H

#include "types.h"

/* Memory is aligned to 8 bytes in some places that sketches live in. */
typedef unsigned __int128 BsUint128 __attribute__((aligned(8)));

#define BS_VARINT64_BYTES  10u
#define BS_VARINT128_BYTES 19u

static inline uint8_t *
bs_bytes_put_word(uint8_t *out, uint64_t word, uint32_t width)
{
	for (uint32_t i = 0; i < width; i++)
		out[i] = (uint8_t) (word >> (8 * i));
	return out + width;
}

/* Seven bits at a time, the lowest first; the top bit says that more follow. */
static inline uint8_t *
bs_bytes_put_varint(uint8_t *out, BsUint128 value)
{
	while (value >= 0x80)
	{
		*out++ = (uint8_t) (value | 0x80);
		value >>= 7;
	}
	*out++ = (uint8_t) value;
	return out;
}

/* Reading; after the first read past the end, or of a number too large, all are 0 and bad is set. */
typedef struct BsCursor
{
	const uint8_t *at;
	size_t left_bytes;
	bool bad;
} BsCursor;

static inline const uint8_t *
bs_cursor_get_bytes(BsCursor *cursor, size_t len)
{
	const uint8_t *bytes = cursor->at;

	if (cursor->bad || len > cursor->left_bytes)
	{
		cursor->bad = true;
		return NULL;
	}
	cursor->at += len;
	cursor->left_bytes -= len;
	return bytes;
}

static inline uint64_t
bs_cursor_get_word(BsCursor *cursor, uint32_t width)
{
	const uint8_t *bytes = bs_cursor_get_bytes(cursor, width);
	uint64_t word = 0;

	for (uint32_t i = 0; bytes != NULL && i < width; i++)
		word |= (uint64_t) bytes[i] << (8 * i);
	return word;
}

static inline BsUint128
bs_cursor_get_varint128(BsCursor *cursor)
{
	BsUint128 value = 0;

	for (uint32_t shift = 0; shift < 126; shift += 7)
	{
		uint64_t byte = bs_cursor_get_word(cursor, 1);

		value |= (BsUint128) (byte & 0x7f) << shift;
		if (byte < 0x80)
			return cursor->bad ? 0 : value;
	}
	cursor->bad = true;
	return 0;
}

static inline uint64_t
bs_cursor_get_varint(BsCursor *cursor)
{
	BsUint128 value = bs_cursor_get_varint128(cursor);

	if (value > UINT64_MAX)
		cursor->bad = true;
	return cursor->bad ? 0 : (uint64_t) value;
}

#endif
