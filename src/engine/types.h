/* SPDX-License-Identifier: PostgreSQL */
/*
 * types.h: the value types of the engine, and the words everything else is said in.
 *
 * The folder src/engine is ring 1: libc and header-only libraries, no I/O, no clock, no globals.
 * Which file does what:
 *
 *   types.h      value types (this file)
 *   batch.h      columns of records, the unit of work
 *   expr.h/.c    expressions over a batch, with PostgreSQL's NULL, overflow and laziness rules
 *   arena.h/.c   the one block of memory that all windows live in, and its allocator
 *   table.h/.c   groups of one pane: dense rows in chunks under an index of hashes
 *   keys.c       group keys packed and hashed
 *   aggregate.h/.c  the table of aggregates: accumulate, combine
 *   prefixmap.h, prefixmap.c, prefixbuild.c  longest-prefix maps
 *   program.h/.c a view's filter, keys and aggregates, checked when made
 *   spread.h/.c  records as a row for each window that they lasted in
 *   window.h     panes and windows: what ends when
 *   share.h/.c   what several programs have in common, done once
 *   groups.h/.c  groups found for one program and remembered for others with the same keys
 *   partial.h/.c one writer's panes of one view: add a batch, close, drop
 *   sources.c    how far each source of time has come
 *   merge.c      partials and panes into one
 *   writer.h/.c  a writer's scratch memory
 *   bytes.h      writing and reading packed forms
 *   pack.h, pack.c, unpack.c, restore.c, packmessage, packlayout, packcolumn  partials as bytes, for nodes and files
 *   sketch*.h/.c approximate counts, quantiles and top lists; nothing else here knows them
 */
#ifndef BS_TYPES_H
#define BS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Value types.  Every scalar but interval, inet and bytes lies in an 8-byte lane, whatever its width
 * in SQL: integers and timestamps (microseconds since 2000-01-01 UTC, as in PostgreSQL) as int64,
 * float4 and float8 as double (a float4 lane holds only values that a float can), macaddr as its six
 * bytes in the low 48 bits, most significant first.  BS_WORD is any other by-value type, compared as
 * bits.  BS_BYTES is a string of bytes that ring 2 gives a meaning to (text, numeric, ...).
 */
typedef enum BsType
{
	BS_BOOL = 1,
	BS_INT2,
	BS_INT4,
	BS_INT8,
	BS_FLOAT4,
	BS_FLOAT8,
	BS_TIMESTAMPTZ,
	BS_MACADDR,
	BS_WORD,
	BS_INTERVAL,
	BS_INET,
	BS_BYTES
} BsType;

/* As PostgreSQL's Interval: the three fields are not normalised into each other. */
typedef struct BsInterval
{
	int64_t usec;
	int32_t days;
	int32_t months;
} BsInterval;

/*
 * inet and cidr.  address holds network byte order; an IPv4 address uses its first 4 bytes and the
 * rest are zero, so that equal values are equal bytes.
 */
typedef struct BsInet
{
	uint8_t address[16];
	uint8_t family; /* 4 or 6 */
	uint8_t bits;   /* netmask length, 0..32 or 0..128 */
	uint8_t unused[6]; /* zero */
} BsInet;

/* Bytes owned by somebody else, who keeps them at least as long as the batch. */
typedef struct BsBytes
{
	const uint8_t *data;
	uint32_t len;
	uint32_t unused; /* zero */
} BsBytes;

/* Microseconds between the Unix epoch and PostgreSQL's. */
#define BS_UNIX_TO_PG_USEC INT64_C(946684800000000)
/* PostgreSQL's -infinity and infinity of timestamptz. */
#define BS_TIME_NEG_INFINITY INT64_MIN
#define BS_TIME_INFINITY INT64_MAX

/* Bytes of one value in a lane: 8, 16 or 24. */
static inline size_t
bs_type_lane_width(BsType type)
{
	switch (type)
	{
		case BS_INTERVAL:
		case BS_BYTES:
			return 16;
		case BS_INET:
			return 24;
		default:
			return 8;
	}
}

#endif
