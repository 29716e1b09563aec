/* SPDX-License-Identifier: PostgreSQL */
/* pcap_payload.c: from link header to UDP payload.  See pcap_payload.h. */
#include "pcap_payload.h"

#include <endian.h>
#include <pcap/dlt.h>
#include <stddef.h>
#include <string.h>

#ifndef DLT_LINUX_SLL2
#define DLT_LINUX_SLL2 276
#endif

#define TYPE_IPV4     0x0800
#define TYPE_IPV6     0x86dd
#define TYPE_VLAN     0x8100
#define TYPE_QINQ     0x88a8
#define TYPE_QINQ_OLD 0x9100
/* The link header has no type: the version of IP is in the packet's first byte. */
#define TYPE_BY_VERSION 0

#define PROTO_HOP_BY_HOP  0
#define PROTO_UDP         17
#define PROTO_ROUTING     43
#define PROTO_FRAGMENT    44
#define PROTO_DESTINATION 60

/* What is left of the frame. */
typedef struct Cursor
{
	const uint8_t *p;
	uint32_t left;
} Cursor;

static uint16_t
get16(const uint8_t *p)
{
	uint16_t big;

	memcpy(&big, p, sizeof(big));
	return be16toh(big);
}

/* The next n bytes, or NULL when fewer are left. */
static const uint8_t *
take(Cursor *cursor, uint32_t n)
{
	const uint8_t *p = cursor->p;

	if (n > cursor->left)
		return NULL;
	cursor->p += n;
	cursor->left -= n;
	return p;
}

static const struct Link
{
	int type;
	uint32_t len_bytes;
	int32_t ethertype_at; /* -1: none */
} links[] = {
	{DLT_EN10MB, 14, 12}, {DLT_LINUX_SLL, 16, 14}, {DLT_LINUX_SLL2, 20, 0}, {DLT_RAW, 0, -1},
	{101, 0, -1}, /* DLT_RAW as files have it */
	{DLT_IPV4, 0, -1},    {DLT_IPV6, 0, -1},       {DLT_NULL, 4, -1},       {DLT_LOOP, 4, -1},
};

static const struct Link *
link_find(int link_type)
{
	for (uint32_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (links[i].type == link_type)
			return &links[i];
	return NULL;
}

bool
bs_payload_link_known(int link_type)
{
	return link_find(link_type) != NULL;
}

/* Skip the link header and VLAN tags. */
static BsPayloadResult
skip_link(const struct Link *link, Cursor *cursor, uint16_t *type)
{
	const uint8_t *header = take(cursor, link->len_bytes);

	if (header == NULL)
		return BS_PAYLOAD_TRUNCATED;
	*type = link->ethertype_at < 0 ? TYPE_BY_VERSION : get16(header + link->ethertype_at);
	while (*type == TYPE_VLAN || *type == TYPE_QINQ || *type == TYPE_QINQ_OLD)
	{
		const uint8_t *tag = take(cursor, 4);

		if (tag == NULL)
			return BS_PAYLOAD_TRUNCATED;
		*type = get16(tag + 2);
	}
	if (*type == TYPE_BY_VERSION)
	{
		if (cursor->left == 0)
			return BS_PAYLOAD_TRUNCATED;
		*type = cursor->p[0] >> 4 == 4 ? TYPE_IPV4 : TYPE_IPV6;
	}
	return BS_PAYLOAD_FOUND;
}

static BsPayloadResult
skip_ipv4(Cursor *cursor, BsPayload *payload)
{
	const uint8_t *header = take(cursor, 20);
	uint32_t header_len;

	if (header == NULL)
		return BS_PAYLOAD_TRUNCATED;
	header_len = (header[0] & 15u) * 4;
	if (header[0] >> 4 != 4 || header_len < 20 || header[9] != PROTO_UDP)
		return BS_PAYLOAD_OTHER;
	/* More fragments, or not the first one. */
	if ((get16(header + 6) & 0x3fff) != 0)
		return BS_PAYLOAD_FRAGMENT;
	if (take(cursor, header_len - 20) == NULL)
		return BS_PAYLOAD_TRUNCATED;
	memcpy(payload->src_addr, header + 12, 4);
	memcpy(payload->dst_addr, header + 16, 4);
	return BS_PAYLOAD_FOUND;
}

static BsPayloadResult
skip_ipv6(Cursor *cursor, BsPayload *payload)
{
	const uint8_t *header = take(cursor, 40);
	uint8_t next;

	if (header == NULL)
		return BS_PAYLOAD_TRUNCATED;
	if (header[0] >> 4 != 6)
		return BS_PAYLOAD_OTHER;
	payload->is_ipv6 = true;
	memcpy(payload->src_addr, header + 8, 16);
	memcpy(payload->dst_addr, header + 24, 16);
	next = header[6];
	while (next == PROTO_HOP_BY_HOP || next == PROTO_ROUTING || next == PROTO_DESTINATION)
	{
		const uint8_t *extension = take(cursor, 8);

		if (extension == NULL || take(cursor, extension[1] * 8u) == NULL)
			return BS_PAYLOAD_TRUNCATED;
		next = extension[0];
	}
	if (next == PROTO_FRAGMENT)
		return BS_PAYLOAD_FRAGMENT;
	return next == PROTO_UDP ? BS_PAYLOAD_FOUND : BS_PAYLOAD_OTHER;
}

BsPayloadResult
bs_payload_find(int link_type, const uint8_t *frame, uint32_t len_bytes, BsPayload *payload)
{
	const struct Link *link = link_find(link_type);
	Cursor cursor = {frame, len_bytes};
	BsPayloadResult result;
	const uint8_t *udp;
	uint16_t type;

	memset(payload, 0, sizeof(*payload));
	if (link == NULL)
		return BS_PAYLOAD_OTHER;
	result = skip_link(link, &cursor, &type);
	if (result != BS_PAYLOAD_FOUND)
		return result;
	if (type == TYPE_IPV4)
		result = skip_ipv4(&cursor, payload);
	else if (type == TYPE_IPV6)
		result = skip_ipv6(&cursor, payload);
	else
		return BS_PAYLOAD_OTHER;
	if (result != BS_PAYLOAD_FOUND)
		return result;
	udp = take(&cursor, 8);
	if (udp == NULL || get16(udp + 4) < 8)
		return BS_PAYLOAD_TRUNCATED;
	payload->src_port = get16(udp);
	payload->dst_port = get16(udp + 2);
	payload->len_bytes = get16(udp + 4) - 8u;
	/* What follows the datagram is Ethernet's padding. */
	payload->data = take(&cursor, payload->len_bytes);
	return payload->data != NULL ? BS_PAYLOAD_FOUND : BS_PAYLOAD_TRUNCATED;
}
