/* SPDX-License-Identifier: PostgreSQL */
/*
 * packmessage.h: what pack.c and unpack.c must agree on, beside the rows.
 *
 *   0        4         6      8             16       20         24
 *   | "BSPK" | version | kind | fingerprint | length | checksum | ...     little-endian
 *
 * length counts the whole message.  checksum: the low half of XXH3's 64 bits over the first 20
 * bytes, seeding that of all behind the header.
 */
#ifndef BS_PACKMESSAGE_H
#define BS_PACKMESSAGE_H

#include "pack.h"

#define BS_PACK_MAGIC 0x4b505342u /* BSPK */

#define BS_PACK_CLOSED 1u
#define BS_PACK_GAP    2u
/* How many nodes, of BS_PANE_MAX_NODES at most, from these bits on: */
#define BS_PACK_EXPECTED_SHIFT 10u
#define BS_PACK_MISSING_SHIFT  20u
#define BS_PACK_PANE_FLAGS                                                                         \
	(BS_PACK_CLOSED | BS_PACK_GAP | BS_PANE_MAX_NODES << BS_PACK_EXPECTED_SHIFT |                  \
	 BS_PANE_MAX_NODES << BS_PACK_MISSING_SHIFT)

#define BS_PACK_SOURCE_COLUMNS   4u
#define BS_PACK_PANE_COUNTERS    13u
#define BS_PACK_PANE_BYTES       (8 + 8 + 4 + 8 * BS_PACK_PANE_COUNTERS)
#define BS_PACK_PARTIAL_COUNTERS 10u
#define BS_PACK_PARTIAL_BYTES (8 + 8 + 4 + 4 + 4 + 4 + 8 * BS_PACK_PARTIAL_COUNTERS)
#define BS_PACK_ROWS_BYTES       (8 + 4 + 4)

/* Where 64-bit counters lie in BsPackedPane and in BsPartial, in the order of the message. */
extern const uint16_t bs_pack_pane_counters[BS_PACK_PANE_COUNTERS];
extern const uint16_t bs_pack_partial_counters[BS_PACK_PARTIAL_COUNTERS];

/* The checksum of a message of len bytes, at least a header. */
extern uint32_t bs_pack_checksum(const uint8_t *message, size_t len);

#endif
