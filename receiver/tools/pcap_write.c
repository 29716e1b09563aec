/* SPDX-License-Identifier: PostgreSQL */
/* pcap_write.c: a pcap file of UDP datagrams.  See pcap_write.h. */
#include "pcap_write.h"

#include "export.h"

#define PCAP_MAGIC     0xa1b2c3d4u
#define PCAP_SNAPLEN   65535
#define LINK_RAW_IP    101
#define IP_HEADER_LEN  20
#define UDP_HEADER_LEN 8
#define IP_CHECKSUM_AT 10
#define DONT_FRAGMENT  0x4000
#define PROTO_UDP      17

void
bs_pcap_begin(FILE *file)
{
	uint8_t header[24];
	uint8_t *p = header;

	bs_put32(&p, PCAP_MAGIC);
	bs_put16(&p, 2); /* version 2.4 */
	bs_put16(&p, 4);
	bs_put32(&p, 0);
	bs_put32(&p, 0);
	bs_put32(&p, PCAP_SNAPLEN);
	bs_put32(&p, LINK_RAW_IP);
	fwrite(header, sizeof(header), 1, file);
}

/* RFC 1071, over the IP header. */
static uint16_t
ip_checksum(const uint8_t *header)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < IP_HEADER_LEN; i += 2)
		sum += (uint32_t) header[i] << 8 | header[i + 1];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~sum;
}

void
bs_pcap_add(FILE *file, const BsPcapDatagram *datagram)
{
	uint8_t headers[16 + IP_HEADER_LEN + UDP_HEADER_LEN];
	uint32_t len = IP_HEADER_LEN + UDP_HEADER_LEN + datagram->len_bytes;
	uint8_t *p = headers;
	uint8_t *ip;

	bs_put32(&p, (uint32_t) (datagram->time_usec / 1000000));
	bs_put32(&p, (uint32_t) (datagram->time_usec % 1000000));
	bs_put32(&p, len);
	bs_put32(&p, len);

	ip = p;
	bs_put16(&p, 0x4500);
	bs_put16(&p, (uint16_t) len);
	bs_put16(&p, 0);
	bs_put16(&p, DONT_FRAGMENT);
	bs_put8(&p, 64);
	bs_put8(&p, PROTO_UDP);
	bs_put16(&p, 0);
	bs_put32(&p, datagram->src_addr);
	bs_put32(&p, datagram->dst_addr);
	ip += IP_CHECKSUM_AT;
	bs_put16(&ip, ip_checksum(ip - IP_CHECKSUM_AT));

	bs_put16(&p, datagram->src_port);
	bs_put16(&p, datagram->dst_port);
	bs_put16(&p, (uint16_t) (UDP_HEADER_LEN + datagram->len_bytes));
	bs_put16(&p, 0);
	fwrite(headers, (size_t) (p - headers), 1, file);
	fwrite(datagram->data, datagram->len_bytes, 1, file);
}
