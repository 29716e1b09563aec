/* SPDX-License-Identifier: PostgreSQL */
/* packcolumn.c: columns of whole numbers in few bytes.  See packcolumn.h. */
#include "packcolumn.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
			   "words are packed as they lie in memory: swap their bytes here");

static uint32_t
width_of(uint64_t span)
{
	uint32_t width = 0;

	while (width < 8 && span >> (8 * width) != 0)
		width++;
	return width;
}

/* A constant width makes each copy one or two stores. */
#define PACK_WIDTH(width)                                                                          \
	case width:                                                                                    \
		for (uint32_t i = 0; i < n; i++, out += (width))                                           \
		{                                                                                          \
			uint64_t difference = (uint64_t) values[i] - (uint64_t) base;                          \
			memcpy(out, &difference, (width));                                                     \
		}                                                                                          \
		break;

#define UNPACK_WIDTH(width)                                                                        \
	case width:                                                                                    \
		for (uint32_t i = 0; i < n; i++, in += (width))                                            \
		{                                                                                          \
			uint64_t difference = 0;                                                               \
			memcpy(&difference, in, (width));                                                      \
			values[i] = (int64_t) (base + difference);                                             \
		}                                                                                          \
		break;

#define ALL_WIDTHS(one) one(1) one(2) one(3) one(4) one(5) one(6) one(7) one(8)

uint8_t *
bs_column_pack(uint8_t *out, const int64_t *values, uint32_t n)
{
	int64_t base = values[0];
	int64_t highest = values[0];
	uint32_t width;

	for (uint32_t i = 1; i < n; i++)
	{
		base = values[i] < base ? values[i] : base;
		highest = values[i] > highest ? values[i] : highest;
	}
	width = width_of((uint64_t) highest - (uint64_t) base);
	*out++ = (uint8_t) width;
	out = bs_bytes_put_word(out, (uint64_t) base, 8);
	switch (width)
	{
		ALL_WIDTHS(PACK_WIDTH)
		default:
			break;
	}
	return out;
}

void
bs_column_unpack(BsCursor *cursor, int64_t *values, uint32_t n)
{
	uint32_t width = (uint32_t) bs_cursor_get_word(cursor, 1);
	uint64_t base = bs_cursor_get_word(cursor, 8);
	const uint8_t *in;

	if (width > 8)
		cursor->bad = true;
	in = bs_cursor_get_bytes(cursor, (size_t) n * width);
	if (in == NULL)
		return;
	switch (width)
	{
		ALL_WIDTHS(UNPACK_WIDTH)
		default:
			for (uint32_t i = 0; i < n; i++)
				values[i] = (int64_t) base;
			break;
	}
}
