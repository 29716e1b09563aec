/* SPDX-License-Identifier: PostgreSQL */
/*
 * packet.h: the first bytes of a packet, as an sFlow agent samples them, into columns.
 *
 * Knows Ethernet (802.1Q, QinQ: IEEE 802.1ad), MPLS (RFC 3032), IPv4 and IPv6 with its extension
 * headers (RFC 791, 8200), TCP, UDP, SCTP, ICMP and ICMPv6 (RFC 9293, 768, 9260, 792, 4443).  The
 * bytes may end anywhere: what was there before the cut is taken.  Ports are taken from whole packets
 * and first fragments only.
 */
#ifndef BS_PACKET_H
#define BS_PACKET_H

#include "flowrow.h"
#include "wire.h"

/* What a sampled header begins with: the numbers of sFlow's header_protocol. */
typedef enum BsPacketLayer
{
	BS_PACKET_ETHERNET = 1,
	BS_PACKET_IPV4 = 11,
	BS_PACKET_IPV6 = 12,
	BS_PACKET_MPLS = 13
} BsPacketLayer;

typedef struct BsPacket
{
	uint32_t link_bytes; /* in front of IP, or of what is no IP: link header, tags and labels */
	int64_t ip_bytes;    /* the length that the IP header tells; 0: no IP header, or it does not tell */
} BsPacket;

/*
 * Put what the bytes show into the row.  A layer that is not known shows nothing.  bytes and packets
 * are the caller's.
 */
extern BsPacket bs_packet_read(uint32_t layer, BsWire wire, BsFlowRow *row);

#endif
