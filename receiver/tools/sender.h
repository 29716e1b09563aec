/* SPDX-License-Identifier: PostgreSQL */
/*
 * sender.h: UDP datagrams out, many per system call, from source addresses of our choice.
 *
 * A sender owns one socket and a vector of datagram buffers.  Exporter e sends from the address
 * source base + e: with one exporter the socket is bound and connected, with several each datagram
 * says its source address itself (IP_PKTINFO), so that datagrams of all exporters mix freely in one
 * call.  All exporters then share one source port.
 */
#ifndef BS_SENDER_H
#define BS_SENDER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define BS_SENDER_VECTOR 64

typedef struct BsAddress
{
	struct sockaddr_storage storage;
	socklen_t len;
} BsAddress;

typedef struct BsSender BsSender;

/*
 * Parse HOST:PORT or [HOST]:PORT, host a number or localhost.  False when it is none.
 */
extern bool bs_address_parse(const char *text, BsAddress *address);

/* The same for a host alone; the port is 0. */
extern bool bs_address_parse_host(const char *text, BsAddress *address);

/* 127.0.0.0/8 or ::1. */
extern bool bs_address_is_loopback(const BsAddress *address);

/*
 * Open a sender of nexporters exporters.  base is the first source address, or NULL: the kernel's
 * choice.  Several exporters need an IPv4 base.  NULL, with errno set, when it can not be done.
 */
extern BsSender *bs_sender_open(const BsAddress *target, const BsAddress *base, uint32_t nexporters,
								uint32_t buffer_bytes);
extern void bs_sender_close(BsSender *sender);

/* Memory of buffer_bytes for the next datagram, or NULL when the vector is full: flush it. */
extern uint8_t *bs_sender_buffer(BsSender *sender);

/* The buffer given last holds a datagram to be sent. */
extern void bs_sender_add(BsSender *sender, uint32_t len_bytes, uint32_t exporter);

/* Send what was added.  False, with errno set, when that is impossible. */
extern bool bs_sender_flush(BsSender *sender);

/* Datagrams that nobody was listening for, as far as the kernel told (with one exporter it does).
 */
extern uint64_t bs_sender_refused(const BsSender *sender);

#endif
