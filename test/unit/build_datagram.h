/* SPDX-License-Identifier: PostgreSQL */
/*
 * build_datagram.h: export datagrams put together in code, for tests, the fuzzer's corpus and the
 * bench.
 *
 * Everything is appended to one buffer; bs_build_set() opens a set and closes the one before, and
 * bs_build_end() writes the lengths and counts that are known only then.  Nothing is checked: tests
 * build wrong datagrams too.
 */
#ifndef BS_BUILD_DATAGRAM_H
#define BS_BUILD_DATAGRAM_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct BsBuild
{
	uint32_t len_bytes;
	uint32_t set_at; /* where the open set begins; 0: none */
	uint16_t version;
	uint8_t bytes[65536];
} BsBuild;

static inline void
bs_build_uint(BsBuild *build, uint64_t value, uint32_t width)
{
	assert(build->len_bytes + width <= sizeof(build->bytes));
	for (uint32_t i = width; i > 0; i--)
		build->bytes[build->len_bytes++] = (uint8_t) (i > 8 ? 0 : value >> 8 * (i - 1));
}

static inline void
bs_build_u8(BsBuild *build, uint64_t value)
{
	bs_build_uint(build, value, 1);
}

static inline void
bs_build_u16(BsBuild *build, uint64_t value)
{
	bs_build_uint(build, value, 2);
}

static inline void
bs_build_u32(BsBuild *build, uint64_t value)
{
	bs_build_uint(build, value, 4);
}

static inline void
bs_build_u64(BsBuild *build, uint64_t value)
{
	bs_build_uint(build, value, 8);
}

static inline void
bs_build_bytes(BsBuild *build, const void *bytes, uint32_t len_bytes)
{
	assert(build->len_bytes + len_bytes <= sizeof(build->bytes));
	memcpy(build->bytes + build->len_bytes, bytes, len_bytes);
	build->len_bytes += len_bytes;
}

static inline void
bs_build_zeros(BsBuild *build, uint32_t len_bytes)
{
	for (uint32_t i = 0; i < len_bytes; i++)
		bs_build_u8(build, 0);
}

static inline void
bs_build_patch_u16(BsBuild *build, uint32_t at, uint32_t value)
{
	build->bytes[at] = (uint8_t) (value >> 8);
	build->bytes[at + 1] = (uint8_t) value;
}

static inline void
bs_build_begin(BsBuild *build, uint16_t version)
{
	build->len_bytes = 0;
	build->set_at = 0;
	build->version = version;
	bs_build_u16(build, version);
}

typedef struct BsBuildV5
{
	uint16_t count;
	uint32_t uptime_msec;
	uint32_t unix_seconds;
	uint32_t unix_nsec;
	uint32_t sequence;
	uint16_t engine;
	uint16_t sampling;
} BsBuildV5;

static inline void
bs_build_v5(BsBuild *build, const BsBuildV5 *header)
{
	bs_build_begin(build, 5);
	bs_build_u16(build, header->count);
	bs_build_u32(build, header->uptime_msec);
	bs_build_u32(build, header->unix_seconds);
	bs_build_u32(build, header->unix_nsec);
	bs_build_u32(build, header->sequence);
	bs_build_u16(build, header->engine);
	bs_build_u16(build, header->sampling);
}

typedef struct BsBuildV5Record
{
	uint32_t src_addr;
	uint32_t dst_addr;
	uint32_t next_hop;
	uint16_t in_if;
	uint16_t out_if;
	uint32_t packets;
	uint32_t bytes;
	uint32_t first_msec;
	uint32_t last_msec;
	uint16_t src_port;
	uint16_t dst_port;
	uint8_t tcp_flags;
	uint8_t proto;
	uint8_t tos;
	uint16_t src_as;
	uint16_t dst_as;
	uint8_t src_mask;
	uint8_t dst_mask;
} BsBuildV5Record;

static inline void
bs_build_v5_record(BsBuild *build, const BsBuildV5Record *record)
{
	bs_build_u32(build, record->src_addr);
	bs_build_u32(build, record->dst_addr);
	bs_build_u32(build, record->next_hop);
	bs_build_u16(build, record->in_if);
	bs_build_u16(build, record->out_if);
	bs_build_u32(build, record->packets);
	bs_build_u32(build, record->bytes);
	bs_build_u32(build, record->first_msec);
	bs_build_u32(build, record->last_msec);
	bs_build_u16(build, record->src_port);
	bs_build_u16(build, record->dst_port);
	bs_build_u8(build, 0);
	bs_build_u8(build, record->tcp_flags);
	bs_build_u8(build, record->proto);
	bs_build_u8(build, record->tos);
	bs_build_u16(build, record->src_as);
	bs_build_u16(build, record->dst_as);
	bs_build_u8(build, record->src_mask);
	bs_build_u8(build, record->dst_mask);
	bs_build_u16(build, 0);
}

static inline void
bs_build_v9(BsBuild *build, uint32_t uptime_msec, uint32_t unix_seconds, uint32_t sequence,
			uint32_t source_id)
{
	bs_build_begin(build, 9);
	bs_build_u16(build, 1);
	bs_build_u32(build, uptime_msec);
	bs_build_u32(build, unix_seconds);
	bs_build_u32(build, sequence);
	bs_build_u32(build, source_id);
}

static inline void
bs_build_ipfix(BsBuild *build, uint32_t unix_seconds, uint32_t sequence, uint32_t domain_id)
{
	bs_build_begin(build, 10);
	bs_build_u16(build, 0);
	bs_build_u32(build, unix_seconds);
	bs_build_u32(build, sequence);
	bs_build_u32(build, domain_id);
}

static inline void
bs_build_close_set(BsBuild *build)
{
	if (build->set_at != 0)
		bs_build_patch_u16(build, build->set_at + 2, build->len_bytes - build->set_at);
	build->set_at = 0;
}

static inline void
bs_build_set(BsBuild *build, uint16_t id)
{
	bs_build_close_set(build);
	build->set_at = build->len_bytes;
	bs_build_u16(build, id);
	bs_build_u16(build, 0);
}

/* Close the last set and write the length of an IPFIX message. */
static inline void
bs_build_end(BsBuild *build)
{
	bs_build_close_set(build);
	if (build->version == 10)
		bs_build_patch_u16(build, 2, build->len_bytes);
}

/* A field of a template; an enterprise number other than 0 makes it an enterprise element. */
typedef struct BsBuildField
{
	uint16_t element;
	uint16_t width;
	uint32_t enterprise;
} BsBuildField;

static inline void
bs_build_fields(BsBuild *build, const BsBuildField *fields, uint32_t nfields)
{
	for (uint32_t i = 0; i < nfields; i++)
	{
		bs_build_u16(build, fields[i].element | (fields[i].enterprise ? 0x8000 : 0));
		bs_build_u16(build, fields[i].width);
		if (fields[i].enterprise != 0)
			bs_build_u32(build, fields[i].enterprise);
	}
}

/* One template in a set of its own. */
static inline void
bs_build_template(BsBuild *build, uint16_t id, const BsBuildField *fields, uint32_t nfields)
{
	bs_build_set(build, build->version == 10 ? 2 : 0);
	bs_build_u16(build, id);
	bs_build_u16(build, nfields);
	bs_build_fields(build, fields, nfields);
}

/* One options template in a set of its own; the first nscope fields are its scope. */
static inline void
bs_build_options_template(BsBuild *build, uint16_t id, uint32_t nscope, const BsBuildField *fields,
						  uint32_t nfields)
{
	bs_build_set(build, build->version == 10 ? 3 : 1);
	bs_build_u16(build, id);
	bs_build_u16(build, build->version == 10 ? nfields : nscope * 4);
	bs_build_u16(build, build->version == 10 ? nscope : (nfields - nscope) * 4);
	bs_build_fields(build, fields, nfields);
}

#define BS_BUILD_COUNT(array) ((uint32_t) (sizeof(array) / sizeof((array)[0])))

#endif
