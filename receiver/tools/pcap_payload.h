/* SPDX-License-Identifier: PostgreSQL */
/*
 * pcap_payload.h: the UDP payload of a captured frame.
 *
 * Frames come from files that anybody wrote: every length is checked, and what is cut, fragmented
 * or of another kind is told apart, never guessed.
 */
#ifndef BS_PCAP_PAYLOAD_H
#define BS_PCAP_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

typedef enum BsPayloadResult
{
	BS_PAYLOAD_FOUND,
	BS_PAYLOAD_OTHER,     /* no UDP over IP, or a link type that is not known */
	BS_PAYLOAD_FRAGMENT,  /* fragments are not put together */
	BS_PAYLOAD_TRUNCATED, /* the capture, or a header's length, ends before the payload does */
	BS_PAYLOAD_NRESULTS
} BsPayloadResult;

typedef struct BsPayload
{
	const uint8_t *data; /* in the frame */
	uint32_t len_bytes;
	bool is_ipv6;
	uint8_t src_addr[16]; /* network order; IPv4 in the first 4 bytes, the rest zero */
	uint8_t dst_addr[16];
	uint16_t src_port;
	uint16_t dst_port;
} BsPayload;

/* Whether frames of this link type (a DLT_ of libpcap) can be read. */
extern bool bs_payload_link_known(int link_type);

extern BsPayloadResult bs_payload_find(int link_type, const uint8_t *frame, uint32_t len_bytes,
									   BsPayload *payload);

#endif
