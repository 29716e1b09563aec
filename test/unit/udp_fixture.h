/* SPDX-License-Identifier: PostgreSQL */
/*
 * udp_fixture.h: receivers over loopback, with a decoder that only looks, and who sends to them.
 *
 * The decoder's functions are replaced here, so that decode.c is not linked.
 */
#ifndef BS_UDP_FIXTURE_H
#define BS_UDP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/in6.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../../receiver/loop.h"
#include "../../receiver/steer.h"
#include "../../receiver/udp.h"

#define MAX_LISTENERS 4
#define MAX_SIZES     512
#define BUFFER_BYTES  (1 << 20)

/* ---- a decoder that only looks ---- */

struct BsDecoder
{
	uint32_t ndatagrams;
	uint32_t ndamaged;        /* payload is not what fill_payload() made */
	uint32_t nlast_byte[256]; /* by the last byte of an IPv4 source, or of an IPv6 one */
	uint32_t sizes[MAX_SIZES];
	int64_t received_usec[MAX_SIZES];
	BsDatagram last;
};

static inline uint8_t
payload_byte(uint32_t len, uint32_t i)
{
	return (uint8_t) (len + i * 7 + (i >> 8));
}

BsDecodeResult
bs_decoder_decode(BsDecoder *decoder, const BsDatagram *datagram, BsBatch *batch)
{
	(void) batch;
	for (uint32_t i = 0; i < datagram->len_bytes; i++)
	{
		if (datagram->data[i] != payload_byte(datagram->len_bytes, i))
		{
			decoder->ndamaged++;
			break;
		}
	}
	decoder->sizes[decoder->ndatagrams % MAX_SIZES] = datagram->len_bytes;
	decoder->received_usec[decoder->ndatagrams % MAX_SIZES] = datagram->received_usec;
	decoder->ndatagrams++;
	decoder->nlast_byte[datagram->exporter.address[datagram->exporter.family == 4 ? 3 : 15]]++;
	decoder->last = *datagram;
	return datagram->len_bytes == 0 ? BS_DECODE_NOT_EXPORT : BS_DECODED;
}

/* ---- a receiver and senders ---- */

static int64_t clock_ticks;

static inline int64_t
tick(void)
{
	return ++clock_ticks;
}

typedef struct Rig
{
	BsDecoder decoder;
	BsListenerStats stats[MAX_LISTENERS];
	BsReceiverConfig config;
	BsReceiver *receiver;
} Rig;

static inline void
rig_start(Rig *rig, uint32_t worker, uint32_t nworkers, uint32_t buffer_bytes, double nap_seconds)
{
	memset(rig, 0, sizeof(*rig));
	rig->config = (BsReceiverConfig){.worker = worker,
									 .nworkers = nworkers,
									 .receive_buffer_bytes = buffer_bytes,
									 .nap_seconds = nap_seconds,
									 .listener_stats = rig->stats,
									 .max_listeners = MAX_LISTENERS,
									 .decoder = &rig->decoder,
									 .now_usec = tick};
	rig->receiver = bs_receiver_create(&rig->config);
	assert_non_null(rig->receiver);
}

static inline BsListenAddress
address_of(const char *host, uint16_t port)
{
	BsListenAddress address;
	char text[80];
	char error[200];

	snprintf(text, sizeof(text), "%s:%u", host, port);
	if (bs_listen_parse(text, true, &address, 1, error, sizeof(error)) != 1)
		fail_msg("%s: %s", text, error);
	return address;
}

/* A port that was free a moment ago, in both families. */
static inline uint16_t
free_port(void)
{
	for (int attempt = 0; attempt < 100; attempt++)
	{
		struct sockaddr_in in = {.sin_family = AF_INET};
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
		socklen_t len = sizeof(in);
		int ipv4 = socket(AF_INET, SOCK_DGRAM, 0);
		int ipv6 = socket(AF_INET6, SOCK_DGRAM, 0);
		int on = 1;
		bool both;

		assert_int_equal(bind(ipv4, (struct sockaddr *) &in, sizeof(in)), 0);
		assert_int_equal(getsockname(ipv4, (struct sockaddr *) &in, &len), 0);
		in6.sin6_port = in.sin_port;
		setsockopt(ipv6, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		both = ipv6 < 0 || bind(ipv6, (struct sockaddr *) &in6, sizeof(in6)) == 0;
		close(ipv4);
		close(ipv6);
		if (both)
			return ntohs(in.sin_port);
	}
	fail_msg("no free port");
	return 0;
}

static inline bool
host_has_ipv6(void)
{
	struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *) &loopback, sizeof(loopback)) == 0;

	close(fd);
	return has;
}

/* A socket that sends from one address to another.  -1: the source address cannot be had. */
static inline int
open_sender(const char *source, const char *target, uint16_t port)
{
	BsListenAddress to = address_of(target, port);
	BsListenAddress from = address_of(source, 1);
	struct sockaddr_storage storage;
	int on = 1;
	int fd;

	memcpy(&storage, from.sockaddr.bytes, sizeof(storage));
	((struct sockaddr_in *) &storage)->sin_port = 0;
	fd = socket(storage.ss_family, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	if (storage.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *) &storage, from.sockaddr.len) != 0)
	{
		close(fd);
		return -1;
	}
	memcpy(&storage, to.sockaddr.bytes, sizeof(storage));
	assert_int_equal(connect(fd, (struct sockaddr *) &storage, to.sockaddr.len), 0);
	return fd;
}

static inline void
send_bytes(int fd, uint32_t len)
{
	static uint8_t payload[65536];

	for (uint32_t i = 0; i < len; i++)
		payload[i] = payload_byte(len, i);
	assert_int_equal(send(fd, payload, len, 0), len);
}

/* n datagrams of 64 bytes from source to target:port. */
static inline void
send_from(const char *source, const char *target, uint16_t port, int n)
{
	int fd = open_sender(source, target, port);

	assert_true(fd >= 0);
	for (int i = 0; i < n; i++)
		send_bytes(fd, 64);
	close(fd);
}

static inline double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec * 1e-9;
}

/* Loopback delivers at once: what was sent is queued.  Look once, then take all. */
static inline uint32_t
take_all(Rig *rig)
{
	uint32_t total = 0;
	uint32_t n;

	bs_receiver_wait(rig->receiver, 0);
	while ((n = bs_receiver_drain(rig->receiver, 1000)) > 0)
		total += n;
	return total;
}

#endif
