/* SPDX-License-Identifier: PostgreSQL */
/*
 * wire.h: the only reader of packet bytes.
 *
 * A BsWire is a cursor over bytes that somebody else owns: where it stands and how much is left.
 * Every getter says whether the bytes were there and moves only if they were; lengths are compared
 * as need > left, which cannot overflow.  The bs_load_ functions read bytes whose presence a cursor
 * has already shown (bs_wire_take): big-endian, of any alignment.
 */
#ifndef BS_WIRE_H
#define BS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct BsWire
{
	const uint8_t *at;
	size_t left;
} BsWire;

static inline uint16_t
bs_load_u16(const uint8_t *at)
{
	return (uint16_t) (at[0] << 8 | at[1]);
}

static inline uint32_t
bs_load_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap32(value);
#endif
	return value;
}

static inline uint64_t
bs_load_u64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap64(value);
#endif
	return value;
}

/* An unsigned integer of 0 to 8 bytes. */
static inline uint64_t
bs_load_uint(const uint8_t *at, uint32_t width)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < width; i++)
		value = value << 8 | at[i];
	return value;
}

static inline BsWire
bs_wire(const uint8_t *data, size_t len_bytes)
{
	return (BsWire){.at = data, .left = len_bytes};
}

/* The next need bytes, or NULL when fewer are left. */
static inline const uint8_t *
bs_wire_take(BsWire *wire, size_t need)
{
	const uint8_t *at = wire->at;

	if (need > wire->left)
		return NULL;
	wire->at += need;
	wire->left -= need;
	return at;
}

static inline bool
bs_wire_skip(BsWire *wire, size_t need)
{
	return bs_wire_take(wire, need) != NULL;
}

/* A cursor over the next need bytes. */
static inline bool
bs_wire_sub(BsWire *wire, size_t need, BsWire *sub)
{
	const uint8_t *at = bs_wire_take(wire, need);

	if (at == NULL)
		return false;
	*sub = bs_wire(at, need);
	return true;
}

static inline bool
bs_wire_u8(BsWire *wire, uint8_t *value)
{
	const uint8_t *at = bs_wire_take(wire, 1);

	if (at == NULL)
		return false;
	*value = at[0];
	return true;
}

static inline bool
bs_wire_u16(BsWire *wire, uint16_t *value)
{
	const uint8_t *at = bs_wire_take(wire, 2);

	if (at == NULL)
		return false;
	*value = bs_load_u16(at);
	return true;
}

static inline bool
bs_wire_u32(BsWire *wire, uint32_t *value)
{
	const uint8_t *at = bs_wire_take(wire, 4);

	if (at == NULL)
		return false;
	*value = bs_load_u32(at);
	return true;
}

static inline bool
bs_wire_u64(BsWire *wire, uint64_t *value)
{
	const uint8_t *at = bs_wire_take(wire, 8);

	if (at == NULL)
		return false;
	*value = bs_load_u64(at);
	return true;
}

/*
 * The length in front of a variable-length field (RFC 7011 section 7): one byte, or 255 and two
 * bytes.
 */
static inline bool
bs_wire_variable_length(BsWire *wire, uint32_t *len_bytes)
{
	uint8_t first;
	uint16_t rest;

	if (!bs_wire_u8(wire, &first))
		return false;
	*len_bytes = first;
	if (first < 255)
		return true;
	if (!bs_wire_u16(wire, &rest))
		return false;
	*len_bytes = rest;
	return true;
}

#endif
