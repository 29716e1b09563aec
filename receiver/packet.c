/* SPDX-License-Identifier: PostgreSQL */
/* packet.c: the first bytes of a packet into columns.  See packet.h. */
#include "packet.h"

#define ETHERTYPE_IPV4      0x0800
#define ETHERTYPE_IPV6      0x86DD
#define ETHERTYPE_VLAN      0x8100
#define ETHERTYPE_QINQ      0x88A8
#define ETHERTYPE_QINQ_OLD  0x9100
#define ETHERTYPE_MPLS      0x8847
#define ETHERTYPE_MPLS_MANY 0x8848

#define PROTO_ICMP    1
#define PROTO_TCP     6
#define PROTO_UDP     17
#define PROTO_ICMPV6  58
#define PROTO_SCTP    132
#define PROTO_UDPLITE 136

#define IPV4_HEADER_BYTES 20
#define IPV6_HEADER_BYTES 40
#define MAX_LABELS        16
#define MAX_EXTENSIONS    8

/* ---------- above IP ---------- */

static void
read_tcp_flags(BsWire wire, BsFlowRow *row)
{
	uint16_t word;

	if (bs_wire_skip(&wire, 8) && bs_wire_u16(&wire, &word))
		bs_flow_row_put(row, BS_FLOW_TCP_FLAGS, word & 0xff);
}

/* The type and code of an ICMP message, or the ports, where this protocol has them in front. */
static void
read_ports(BsWire wire, uint8_t proto, BsFlowRow *row)
{
	const uint8_t *first = bs_wire_take(&wire, 4);

	if (first == NULL)
		return;
	switch (proto)
	{
		case PROTO_ICMP:
		case PROTO_ICMPV6:
			bs_flow_row_put(row, BS_FLOW_ICMP_TYPE, first[0]);
			bs_flow_row_put(row, BS_FLOW_ICMP_CODE, first[1]);
			break;
		case PROTO_TCP:
		case PROTO_UDP:
		case PROTO_SCTP:
		case PROTO_UDPLITE:
			bs_flow_row_put(row, BS_FLOW_SRC_PORT, bs_load_u16(first));
			bs_flow_row_put(row, BS_FLOW_DST_PORT, bs_load_u16(first + 2));
			if (proto == PROTO_TCP)
				read_tcp_flags(wire, row);
			break;
		default:
			break;
	}
}

/* ---------- IP ---------- */

static int64_t
read_ipv4(BsWire wire, BsFlowRow *row)
{
	const uint8_t *header = bs_wire_take(&wire, IPV4_HEADER_BYTES);
	uint32_t header_bytes;
	uint32_t offset;

	if (header == NULL || header[0] >> 4 != 4)
		return 0;
	header_bytes = (uint32_t) (header[0] & 0x0f) * 4;
	offset = (uint32_t) (bs_load_u16(header + 6) & 0x1fff) * 8;
	bs_flow_row_put(row, BS_FLOW_IP_TOS, header[1]);
	bs_flow_row_put(row, BS_FLOW_FRAGMENT_ID, bs_load_u16(header + 4));
	bs_flow_row_put(row, BS_FLOW_FRAGMENT_OFFSET, offset / 8);
	bs_flow_row_put(row, BS_FLOW_IP_TTL, header[8]);
	bs_flow_row_put(row, BS_FLOW_PROTO, header[9]);
	bs_flow_row_put_address(row, BS_FLOW_SRC_ADDR, header + 12, 4);
	bs_flow_row_put_address(row, BS_FLOW_DST_ADDR, header + 16, 4);
	if (offset == 0 && header_bytes >= IPV4_HEADER_BYTES &&
		bs_wire_skip(&wire, header_bytes - IPV4_HEADER_BYTES))
		read_ports(wire, header[9], row);
	return bs_load_u16(header + 2);
}

/* Bytes of an IPv6 extension header whose second byte is len; 0: it is none (RFC 8200, 4302). */
static uint32_t
extension_bytes(uint8_t kind, uint8_t len)
{
	switch (kind)
	{
		case 0:   /* hop-by-hop options */
		case 43:  /* routing */
		case 60:  /* destination options */
		case 135: /* mobility */
			return ((uint32_t) len + 1) * 8;
		case 44: /* fragment */
			return 8;
		case 51: /* authentication: RFC 4302 counts in words of 4 bytes */
			return ((uint32_t) len + 2) * 4;
		default:
			return 0;
	}
}

/*
 * Over the extension headers to what they carry.  proto is that behind the last one that is there;
 * false when its first bytes are not there, or belong to a later fragment.
 */
static bool
skip_extensions(BsWire *wire, uint8_t *proto, BsFlowRow *row)
{
	for (uint32_t i = 0; i < MAX_EXTENSIONS; i++)
	{
		BsWire extension = *wire;
		const uint8_t *at = bs_wire_take(&extension, 8);
		uint32_t len_bytes;

		if (extension_bytes(*proto, 0) == 0)
			return true;
		if (at == NULL)
			return false;
		len_bytes = extension_bytes(*proto, at[1]);
		if (*proto == 44)
		{
			uint32_t offset = bs_load_u16(at + 2) >> 3;

			bs_flow_row_put(row, BS_FLOW_FRAGMENT_OFFSET, offset);
			bs_flow_row_put(row, BS_FLOW_FRAGMENT_ID, bs_load_u32(at + 4));
			*proto = at[0];
			if (offset > 0)
				return false;
		}
		else
			*proto = at[0];
		if (!bs_wire_skip(wire, len_bytes))
			return false;
	}
	return false;
}

static int64_t
read_ipv6(BsWire wire, BsFlowRow *row)
{
	const uint8_t *header = bs_wire_take(&wire, IPV6_HEADER_BYTES);
	uint32_t first;
	uint8_t proto;
	bool whole;

	if (header == NULL || header[0] >> 4 != 6)
		return 0;
	first = bs_load_u32(header);
	proto = header[6];
	bs_flow_row_put(row, BS_FLOW_IP_TOS, first >> 20 & 0xff);
	bs_flow_row_put(row, BS_FLOW_IPV6_FLOW_LABEL, first & 0xfffff);
	bs_flow_row_put(row, BS_FLOW_IP_TTL, header[7]);
	bs_flow_row_put_address(row, BS_FLOW_SRC_ADDR, header + 8, 16);
	bs_flow_row_put_address(row, BS_FLOW_DST_ADDR, header + 24, 16);
	whole = skip_extensions(&wire, &proto, row);
	bs_flow_row_put(row, BS_FLOW_PROTO, proto);
	if (whole)
		read_ports(wire, proto, row);
	/* A jumbogram tells its length elsewhere (RFC 2675). */
	return bs_load_u16(header + 4) == 0 ? 0 : bs_load_u16(header + 4) + IPV6_HEADER_BYTES;
}

/* ---------- below IP ---------- */

static BsPacket
read_ip(uint16_t ethertype, uint32_t link_bytes, BsWire wire, BsFlowRow *row)
{
	BsPacket packet = {.link_bytes = link_bytes};

	if (ethertype == ETHERTYPE_IPV4)
		packet.ip_bytes = read_ipv4(wire, row);
	else if (ethertype == ETHERTYPE_IPV6)
		packet.ip_bytes = read_ipv6(wire, row);
	return packet;
}

/* A stack of labels; what is under it shows by its first four bits, as routers take it. */
static BsPacket
read_mpls(uint32_t link_bytes, BsWire wire, BsFlowRow *row)
{
	for (uint32_t i = 0; i < MAX_LABELS; i++)
	{
		uint32_t entry;

		if (!bs_wire_u32(&wire, &entry))
			break;
		if (i == 0)
			bs_flow_row_put(row, BS_FLOW_MPLS_LABEL, entry >> 12);
		link_bytes += 4;
		if ((entry & 0x100) == 0)
			continue;
		if (wire.left == 0)
			break;
		return read_ip(wire.at[0] >> 4 == 4	  ? ETHERTYPE_IPV4
					   : wire.at[0] >> 4 == 6 ? ETHERTYPE_IPV6
											  : 0,
					   link_bytes, wire, row);
	}
	return (BsPacket){.link_bytes = link_bytes};
}

static int64_t
mac_at(const uint8_t *at)
{
	return (int64_t) bs_load_uint(at, 6);
}

static BsPacket
read_ethernet(BsWire wire, BsFlowRow *row)
{
	size_t whole = wire.left;
	const uint8_t *header = bs_wire_take(&wire, 12);
	uint16_t ethertype;
	uint16_t tag;
	bool tagged = false;

	if (header == NULL)
		return (BsPacket){0};
	bs_flow_row_put(row, BS_FLOW_DST_MAC, mac_at(header));
	bs_flow_row_put(row, BS_FLOW_SRC_MAC, mac_at(header + 6));
	if (!bs_wire_u16(&wire, &ethertype))
		return (BsPacket){.link_bytes = 14};
	while (ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ ||
		   ethertype == ETHERTYPE_QINQ_OLD)
	{
		if (!bs_wire_u16(&wire, &tag))
			return (BsPacket){.link_bytes = (uint32_t) (whole - wire.left)};
		/* The outer tag is the one by which the packet came. */
		if (!tagged)
			bs_flow_row_put(row, BS_FLOW_SRC_VLAN, tag & 0x0fff);
		tagged = true;
		if (!bs_wire_u16(&wire, &ethertype))
			return (BsPacket){.link_bytes = (uint32_t) (whole - wire.left)};
	}
	if (ethertype == ETHERTYPE_MPLS || ethertype == ETHERTYPE_MPLS_MANY)
		return read_mpls((uint32_t) (whole - wire.left), wire, row);
	return read_ip(ethertype, (uint32_t) (whole - wire.left), wire, row);
}

BsPacket
bs_packet_read(uint32_t layer, BsWire wire, BsFlowRow *row)
{
	switch (layer)
	{
		case BS_PACKET_ETHERNET:
			return read_ethernet(wire, row);
		case BS_PACKET_IPV4:
			return read_ip(ETHERTYPE_IPV4, 0, wire, row);
		case BS_PACKET_IPV6:
			return read_ip(ETHERTYPE_IPV6, 0, wire, row);
		case BS_PACKET_MPLS:
			return read_mpls(0, wire, row);
		default:
			return (BsPacket){0};
	}
}
