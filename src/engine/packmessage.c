/* SPDX-License-Identifier: PostgreSQL */
/* packmessage.c: counters, checksums and texts of packed messages.  See packmessage.h. */
#include "packmessage.h"

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <xxhash.h>
#pragma GCC diagnostic pop

const uint16_t bs_pack_pane_counters[BS_PACK_PANE_COUNTERS] = {
	offsetof(BsPackedPane, ngroups),      offsetof(BsPackedPane, records),
	offsetof(BsPackedPane, late),         offsetof(BsPackedPane, overflowed),
	offsetof(BsPackedPane, errors),       offsetof(BsPackedPane, left_out),
	offsetof(BsPackedPane, records_lost), offsetof(BsPackedPane, datagrams_lost),
	offsetof(BsPackedPane, records_lost_before), offsetof(BsPackedPane, datagrams_lost_before),
	offsetof(BsPackedPane, other), offsetof(BsPackedPane, datagrams_dropped),
	offsetof(BsPackedPane, datagrams_dropped_before),
};

const uint16_t bs_pack_partial_counters[BS_PACK_PARTIAL_COUNTERS] = {
	offsetof(BsPartial, records),      offsetof(BsPartial, received),
	offsetof(BsPartial, filtered),     offsetof(BsPartial, late),
	offsetof(BsPartial, future),       offsetof(BsPartial, untimed),
	offsetof(BsPartial, overflowed),   offsetof(BsPartial, errors),
	offsetof(BsPartial, unknown_rate), offsetof(BsPartial, sources_refused),
};

uint32_t
bs_pack_checksum(const uint8_t *message, size_t len)
{
	uint64_t seed = XXH3_64bits(message, BS_PACK_HEADER_BYTES - 4);

	return (uint32_t) XXH3_64bits_withSeed(message + BS_PACK_HEADER_BYTES,
										   len - BS_PACK_HEADER_BYTES, seed);
}

const char *
bs_pack_status_text(BsPackStatus status)
{
	static const char *const texts[] = {
		[BS_PACK_OK] = "is whole",
		[BS_PACK_NO_MEMORY] = "does not fit into memory",
		[BS_PACK_NOT_PACKED] = "is no packed state of windows",
		[BS_PACK_VERSION_UNKNOWN] = "is of another version of the format",
		[BS_PACK_FINGERPRINT] = "is of another definition",
		[BS_PACK_TRUNCATED] = "is cut off",
		[BS_PACK_DAMAGED] = "has a wrong checksum",
		[BS_PACK_CORRUPT] = "has contents that no server writes",
	};

	return texts[status];
}
