/* SPDX-License-Identifier: PostgreSQL */
/*
 * pcap_write.h: datagrams into a capture file, as if they had been seen on the wire.
 *
 * The file is a classic pcap of raw IPv4 packets.  IP checksums are right; UDP ones are 0, which is
 * "none" (RFC 768).
 */
#ifndef BS_PCAP_WRITE_H
#define BS_PCAP_WRITE_H

#include <stdint.h>
#include <stdio.h>

/* Errors stay in the file's error flag. */
extern void bs_pcap_begin(FILE *file);

/* Addresses and ports in host order; time_usec is Unix time. */
typedef struct BsPcapDatagram
{
	int64_t time_usec;
	uint32_t src_addr;
	uint32_t dst_addr;
	uint16_t src_port;
	uint16_t dst_port;
	const uint8_t *data;
	uint32_t len_bytes; /* at most 65507 */
} BsPcapDatagram;

extern void bs_pcap_add(FILE *file, const BsPcapDatagram *datagram);

#endif
