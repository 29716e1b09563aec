/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_udp.c: sockets, waiting and draining, over loopback, with a decoder that only looks.
 *
 * The decoder's functions are replaced here, so that decode.c is not linked.
 */
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

static uint8_t
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

static int64_t
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

static void
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

static BsListenAddress
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
static uint16_t
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

static bool
host_has_ipv6(void)
{
	struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *) &loopback, sizeof(loopback)) == 0;

	close(fd);
	return has;
}

/* A socket that sends from one address to another.  -1: the source address cannot be had. */
static int
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

static void
send_bytes(int fd, uint32_t len)
{
	static uint8_t payload[65536];

	for (uint32_t i = 0; i < len; i++)
		payload[i] = payload_byte(len, i);
	assert_int_equal(send(fd, payload, len, 0), len);
}

/* n datagrams of 64 bytes from source to target:port. */
static void
send_from(const char *source, const char *target, uint16_t port, int n)
{
	int fd = open_sender(source, target, port);

	assert_true(fd >= 0);
	for (int i = 0; i < n; i++)
		send_bytes(fd, 64);
	close(fd);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec * 1e-9;
}

/* Loopback delivers at once: what was sent is queued.  Look once, then take all. */
static uint32_t
take_all(Rig *rig)
{
	uint32_t total = 0;
	uint32_t n;

	bs_receiver_wait(rig->receiver, 0);
	while ((n = bs_receiver_drain(rig->receiver, 1000)) > 0)
		total += n;
	return total;
}

/* ---- receiving ---- */

static void
test_both_families(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress addresses[2] = {address_of("127.0.0.1", port), address_of("[::1]", port)};

	(void) state;
	if (!host_has_ipv6())
		skip();
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rig.receiver, addresses, 2), 0);
	assert_int_equal(rig.stats[0].state, BS_LISTENER_OPEN);
	assert_int_equal(rig.stats[1].state, BS_LISTENER_OPEN);
	assert_int_equal(rig.stats[2].state, BS_LISTENER_UNUSED);
	send_from("127.0.0.7", "127.0.0.1", port, 3);
	assert_int_equal(take_all(&rig), 3);
	assert_int_equal(rig.decoder.last.exporter.family, 4);
	assert_int_equal(rig.decoder.last.exporter.bits, 32);
	assert_memory_equal(rig.decoder.last.exporter.address, "\177\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0",
						16);
	assert_int_not_equal(rig.decoder.last.port, 0);
	send_from("[::1]", "[::1]", port, 2);
	assert_int_equal(take_all(&rig), 2);
	assert_int_equal(rig.decoder.last.exporter.family, 6);
	assert_int_equal(rig.decoder.last.exporter.bits, 128);
	assert_int_equal(rig.decoder.last.exporter.address[15], 1);
	assert_int_equal(rig.stats[0].datagrams, 3);
	assert_int_equal(rig.stats[0].bytes, 3 * 64);
	assert_int_equal(rig.stats[1].datagrams, 2);
	assert_int_equal(rig.decoder.ndamaged, 0);
	assert_string_equal(rig.stats[1].address, addresses[1].text);
	bs_receiver_free(rig.receiver);
	assert_int_equal(rig.stats[0].state, BS_LISTENER_UNUSED);
}

/* IPv4 to a wildcard pair goes to the IPv4 socket: the IPv6 one is V6ONLY. */
static void
test_wildcard(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress addresses[2];
	char list[32];
	char error[200];
	int n;

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	snprintf(list, sizeof(list), "*:%u", port);
	n = bs_listen_parse(list, true, addresses, 2, error, sizeof(error));
	assert_int_equal(n, host_has_ipv6() ? 2 : 1);
	assert_int_equal(bs_receiver_listen(rig.receiver, addresses, n), 0);
	send_from("127.0.0.1", "127.0.0.1", port, 5);
	if (n == 2)
		send_from("[::1]", "[::1]", port, 4);
	assert_int_equal(take_all(&rig), n == 2 ? 9 : 5);
	assert_int_equal(rig.stats[0].datagrams, 5);
	assert_int_equal(rig.stats[1].datagrams, n == 2 ? 4 : 0);
	bs_receiver_free(rig.receiver);
}

static void
check_sizes(Rig *rig, const char *host, uint16_t port, uint32_t longest)
{
	const uint32_t sizes[] = {
		0,    1,     longest, 16,   2047, 2048, 2049,
		9000, 32768, 64,      1472, longest,         8,           20000};
	const uint32_t nsizes = sizeof(sizes) / sizeof(sizes[0]);
	int fd = open_sender(host, host, port);
	uint64_t bytes = 0;

	memset(&rig->decoder, 0, sizeof(rig->decoder));
	for (uint32_t i = 0; i < nsizes; i++)
	{
		send_bytes(fd, sizes[i]);
		bytes += sizes[i];
	}
	close(fd);
	assert_int_equal(take_all(rig), nsizes);
	assert_int_equal(rig->decoder.ndamaged, 0);
	for (uint32_t i = 0; i < nsizes; i++)
		assert_int_equal(rig->decoder.sizes[i], sizes[i]);
	assert_int_equal(rig->stats[0].bytes, bytes);
	assert_int_equal(rig->stats[0].not_export, 1);
	assert_int_equal(rig->stats[0].truncated, 0);
	assert_int_equal(rig->stats[0].kernel_drops, 0);
}

/* Every legal length arrives whole, long and short ones in one call. */
static void
test_lengths(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress ipv4 = address_of("127.0.0.1", port);
	BsListenAddress ipv6 = address_of("[::1]", port);

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rig.receiver, &ipv4, 1), 0);
	check_sizes(&rig, "127.0.0.1", port, 65507); /* 65535 - 20 - 8 */
	/* One look at the clock per recvmmsg: all came in the same one. */
	assert_int_equal(rig.decoder.received_usec[0], rig.decoder.received_usec[10]);
	bs_receiver_free(rig.receiver);
	if (!host_has_ipv6())
		return;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rig.receiver, &ipv6, 1), 0);
	check_sizes(&rig, "[::1]", port, 65527); /* 65535 - 8 */
	bs_receiver_free(rig.receiver);
}

static void
test_allow(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress address = address_of("127.0.0.1", port);
	BsAllowList allow;
	char error[200];

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rig.receiver, &address, 1), 0);
	assert_true(
		bs_allow_parse("127.0.0.2, 127.0.1.0/24, 2001:db8::/32", &allow, error, sizeof(error)));
	assert_true(bs_receiver_set_allow(rig.receiver, &allow));
	bs_allow_free(&allow); /* it has its own copy */
	for (int round = 0; round < 3; round++)
	{
		send_from("127.0.0.2", "127.0.0.1", port, 2);
		send_from("127.0.0.3", "127.0.0.1", port, 1);
		send_from("127.0.1.9", "127.0.0.1", port, 1);
	}
	assert_int_equal(take_all(&rig), 12);
	assert_int_equal(rig.stats[0].datagrams, 12);
	assert_int_equal(rig.stats[0].rejected, 3);
	assert_int_equal(rig.decoder.ndatagrams, 9);
	assert_int_equal(rig.decoder.nlast_byte[3], 0);
	/* An empty list allows everybody again, the last one refused too. */
	send_from("127.0.0.3", "127.0.0.1", port, 1);
	take_all(&rig);
	assert_int_equal(rig.stats[0].rejected, 4);
	assert_true(bs_receiver_set_allow(rig.receiver, &allow));
	send_from("127.0.0.3", "127.0.0.1", port, 1);
	take_all(&rig);
	assert_int_equal(rig.stats[0].rejected, 4);
	assert_int_equal(rig.decoder.nlast_byte[3], 1);
	bs_receiver_free(rig.receiver);
}

/* max_datagrams is kept, what is left comes next, and busy sockets take turns. */
static void
test_drain_limit(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress addresses[2] = {address_of("127.0.0.1", port), address_of("127.0.0.2", port)};

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 10);
	assert_int_equal(bs_receiver_listen(rig.receiver, addresses, 2), 0);
	send_from("127.0.0.1", "127.0.0.1", port, 400);
	send_from("127.0.0.1", "127.0.0.2", port, 400);
	bs_receiver_wait(rig.receiver, 1);
	assert_int_equal(bs_receiver_drain(rig.receiver, 5), 5);
	assert_int_equal(bs_receiver_drain(rig.receiver, 0), 0);
	assert_int_equal(bs_receiver_drain(rig.receiver, 2 * BS_UDP_VECTOR), 2 * BS_UDP_VECTOR);
	assert_in_range(rig.stats[0].datagrams, BS_UDP_VECTOR, BS_UDP_VECTOR + 5);
	assert_in_range(rig.stats[1].datagrams, BS_UDP_VECTOR, BS_UDP_VECTOR + 5);
	/* Something is left: no nap of 10 s. */
	bs_receiver_wait(rig.receiver, 10);
	assert_int_equal(bs_receiver_drain(rig.receiver, 10000), 800 - 5 - 2 * BS_UDP_VECTOR);
	assert_int_equal(rig.decoder.ndatagrams, 800);
	bs_receiver_free(rig.receiver);
}

/* ---- loss ---- */

static void
test_drops_counter_wraps(void **state)
{
	uint32_t seen = 0;

	(void) state;
	assert_int_equal(bs_udp_drops_since(&seen, 7), 7);
	assert_int_equal(bs_udp_drops_since(&seen, 7), 0);
	assert_int_equal(bs_udp_drops_since(&seen, UINT32_MAX - 1), UINT32_MAX - 8);
	assert_int_equal(bs_udp_drops_since(&seen, 5), 7);
}

/* Received + dropped = sent, without a later datagram that would carry the count, over re-opens
 * too. */
static void
test_kernel_drops(void **state)
{
	const uint32_t nsent = 2000;
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress address = address_of("127.0.0.1", port);

	(void) state;
	rig_start(&rig, 0, 1, 4096, 0);
	for (uint32_t round = 1; round <= 3; round++)
	{
		assert_int_equal(bs_receiver_listen(rig.receiver, &address, 1), 0);
		send_from("127.0.0.1", "127.0.0.1", port, (int) nsent);
		take_all(&rig);
		assert_true(rig.stats[0].kernel_drops >= round * (nsent - 100));
		assert_true(rig.stats[0].datagrams >= round);
		assert_int_equal(bs_receiver_drops(rig.receiver), rig.stats[0].kernel_drops);
		assert_int_equal(rig.stats[0].datagrams + rig.stats[0].kernel_drops, round * nsent);
		assert_int_equal(bs_receiver_listen(rig.receiver, NULL, 0), 0);
		assert_int_equal(rig.stats[0].state, BS_LISTENER_UNUSED);
	}
	bs_receiver_free(rig.receiver);
	/* A successor that is given the same slots goes on counting. */
	rig.receiver = bs_receiver_create(&rig.config);
	assert_int_equal(bs_receiver_listen(rig.receiver, &address, 1), 0);
	send_from("127.0.0.1", "127.0.0.1", port, (int) nsent);
	take_all(&rig);
	assert_int_equal(rig.stats[0].datagrams + rig.stats[0].kernel_drops, 4 * nsent);
	assert_int_equal(rig.decoder.ndatagrams, rig.stats[0].datagrams);
	bs_receiver_free(rig.receiver);
}

/* What is queued in a socket when it is closed is lost, and counted. */
static void
test_discarded(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress address = address_of("127.0.0.1", port);

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rig.receiver, &address, 1), 0);
	send_from("127.0.0.1", "127.0.0.1", port, 300);
	bs_receiver_wait(rig.receiver, 1);
	assert_int_equal(bs_receiver_drain(rig.receiver, 100), 100);
	bs_receiver_free(rig.receiver);
	assert_int_equal(rig.stats[0].datagrams, 100);
	assert_int_equal(rig.stats[0].discarded, 200);
	assert_int_equal(rig.stats[0].kernel_drops, 0);
}

static void
test_buffer(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress address = address_of("127.0.0.1", port);

	(void) state;
	rig_start(&rig, 0, 1, 64 * 1024, 0);
	assert_int_equal(bs_receiver_listen(rig.receiver, &address, 1), 0);
	assert_int_equal(rig.stats[0].receive_buffer_bytes, 64 * 1024);
	bs_receiver_set_buffer(rig.receiver, 128 * 1024);
	assert_int_equal(rig.stats[0].receive_buffer_bytes, 128 * 1024);
	/* More than can be had is not an error: what was granted is told. */
	bs_receiver_set_buffer(rig.receiver, UINT32_MAX);
	assert_in_range(rig.stats[0].receive_buffer_bytes, 128 * 1024, INT32_MAX);
	bs_receiver_free(rig.receiver);
}

/* ---- listening again ---- */

static void
test_relisten_keeps_queue(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress both[2] = {address_of("127.0.0.1", port), address_of("127.0.0.2", port)};
	BsListenAddress other[2] = {address_of("127.0.0.3", port), both[0]};

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rig.receiver, both, 2), 0);
	send_from("127.0.0.1", "127.0.0.1", port, 10);
	send_from("127.0.0.1", "127.0.0.2", port, 3);
	assert_int_equal(bs_receiver_listen(rig.receiver, other, 2), 0);
	send_from("127.0.0.1", "127.0.0.3", port, 1);
	assert_int_equal(take_all(&rig), 11);
	assert_string_equal(rig.stats[0].address, both[0].text);
	assert_int_equal(rig.stats[0].datagrams, 10);
	assert_int_equal(rig.stats[0].discarded, 0);
	assert_int_equal(rig.stats[1].state, BS_LISTENER_UNUSED);
	assert_int_equal(rig.stats[1].discarded, 3);
	assert_string_equal(rig.stats[2].address, other[0].text);
	assert_int_equal(rig.stats[2].datagrams, 1);
	/* The address that comes back finds its counts. */
	assert_int_equal(bs_receiver_listen(rig.receiver, both, 2), 0);
	send_from("127.0.0.1", "127.0.0.2", port, 1);
	assert_int_equal(take_all(&rig), 1);
	assert_int_equal(rig.stats[1].datagrams, 1);
	assert_int_equal(rig.stats[1].discarded, 3);
	assert_int_equal(bs_receiver_drops(rig.receiver), 3);
	bs_receiver_free(rig.receiver);
}

/* With all slots taken once, a new address takes one that is free; beyond that it fails. */
static void
test_slots(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress addresses[MAX_LISTENERS + 2];

	(void) state;
	for (int i = 0; i < MAX_LISTENERS + 2; i++)
	{
		char host[32];

		snprintf(host, sizeof(host), "127.0.0.%d", i + 1);
		addresses[i] = address_of(host, port);
	}
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rig.receiver, addresses, MAX_LISTENERS + 2), 2);
	send_from("127.0.0.1", "127.0.0.1", port, 1);
	assert_int_equal(take_all(&rig), 1);
	assert_int_equal(bs_receiver_listen(rig.receiver, addresses + 2, MAX_LISTENERS), 0);
	assert_int_equal(rig.stats[0].datagrams, 0);
	assert_int_equal(rig.stats[0].state, BS_LISTENER_OPEN);
	bs_receiver_free(rig.receiver);
}

static void
test_port_in_use(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress addresses[2] = {address_of("127.0.0.1", port), address_of("127.0.0.2", port)};
	struct sockaddr_in in;
	int blocker = socket(AF_INET, SOCK_DGRAM, 0);

	(void) state;
	memcpy(&in, addresses[0].sockaddr.bytes, sizeof(in));
	assert_int_equal(bind(blocker, (struct sockaddr *) &in, sizeof(in)), 0);
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rig.receiver, addresses, 2), 1);
	assert_int_equal(rig.stats[0].state, BS_LISTENER_FAILED);
	assert_int_equal(rig.stats[0].last_errno, EADDRINUSE);
	assert_int_equal(rig.stats[1].state, BS_LISTENER_OPEN);
	assert_int_equal(bs_receiver_retry(rig.receiver), 1);
	assert_int_equal(rig.stats[0].state, BS_LISTENER_FAILED);
	/* A failed one can be listed again, and the others work meanwhile. */
	assert_int_equal(bs_receiver_listen(rig.receiver, addresses, 2), 1);
	send_from("127.0.0.1", "127.0.0.2", port, 2);
	assert_int_equal(take_all(&rig), 2);
	close(blocker);
	assert_int_equal(bs_receiver_retry(rig.receiver), 0);
	assert_int_equal(rig.stats[0].state, BS_LISTENER_OPEN);
	assert_int_equal(rig.stats[0].last_errno, 0);
	send_from("127.0.0.1", "127.0.0.1", port, 3);
	assert_int_equal(take_all(&rig), 3);
	bs_receiver_free(rig.receiver);
}

/* An address that this host does not have. */
static void
test_no_such_address(void **state)
{
	Rig rig;
	BsListenAddress address = address_of("192.0.2.77", 2055);

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rig.receiver, &address, 1), 1);
	assert_int_equal(rig.stats[0].last_errno, EADDRNOTAVAIL);
	assert_int_equal(take_all(&rig), 0);
	bs_receiver_free(rig.receiver);
}

/* ---- waiting ---- */

static void *
wake_soon(void *receiver)
{
	usleep(50 * 1000);
	bs_receiver_wake(receiver);
	return NULL;
}

static BsReceiver *to_be_woken;

static void
wake_on_signal(int signal_number)
{
	(void) signal_number;
	bs_receiver_wake(to_be_woken);
}

static void
ignore_signal(int signal_number)
{
	(void) signal_number;
}

/* Seconds that a wait of 20 s took. */
static double
timed_wait(Rig *rig)
{
	double start = now();

	bs_receiver_wait(rig->receiver, 20);
	return now() - start;
}

static double
wait_with_thread(Rig *rig)
{
	pthread_t thread;
	double seconds;

	assert_int_equal(pthread_create(&thread, NULL, wake_soon, rig->receiver), 0);
	seconds = timed_wait(rig);
	pthread_join(thread, NULL);
	return seconds;
}

static double
wait_with_signal(Rig *rig, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct itimerval soon = {.it_value = {.tv_usec = 50 * 1000}};

	double seconds;

	to_be_woken = rig->receiver;
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	seconds = timed_wait(rig);
	assert_true(seconds > 0.04); /* it was the signal */
	return seconds;
}

/* Bring the receiver to where the next wait naps. */
static void
make_nap_due(Rig *rig, uint16_t port)
{
	send_from("127.0.0.1", "127.0.0.1", port, 1);
	assert_int_equal(take_all(rig), 1);
}

/* In a nap of 15 s and without one, each thing that ends a wait ends it long before. */
static void
test_wake(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress address = address_of("127.0.0.1", port);
	double start;

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 15);
	assert_int_equal(bs_receiver_listen(rig.receiver, &address, 1), 0);
	for (int napping = 0; napping < 2; napping++)
	{
		if (napping)
			make_nap_due(&rig, port);
		assert_true(wait_with_thread(&rig) < 5);
		if (napping)
			make_nap_due(&rig, port);
		assert_true(wait_with_signal(&rig, wake_on_signal) < 5);
		if (napping)
			make_nap_due(&rig, port);
		assert_true(wait_with_signal(&rig, ignore_signal) < 5);
		/* before the wait, and several at once */
		if (napping)
			make_nap_due(&rig, port);
		bs_receiver_wake(rig.receiver);
		bs_receiver_wake(rig.receiver);
		assert_true(timed_wait(&rig) < 5);
		/* and it is over then */
		start = now();
		bs_receiver_wait(rig.receiver, 0.1);
		assert_true(now() - start > 0.09);
	}
	bs_receiver_free(rig.receiver);
}

static void
test_wake_keeps_errno(void **state)
{
	Rig rig;

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0);
	errno = E2BIG;
	for (int i = 0; i < 1000; i++)
		bs_receiver_wake(rig.receiver);
	assert_int_equal(errno, E2BIG);
	bs_receiver_free(rig.receiver);
}

static void
test_watch(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress address = address_of("127.0.0.1", port);
	int pipes[2];
	char byte = 0;
	double start;

	(void) state;
	assert_int_equal(pipe(pipes), 0);
	rig_start(&rig, 0, 1, BUFFER_BYTES, 15);
	assert_int_equal(bs_receiver_listen(rig.receiver, &address, 1), 0);
	assert_true(bs_receiver_watch(rig.receiver, pipes[0]));
	start = now();
	bs_receiver_wait(rig.receiver, 0.05);
	assert_true(now() - start > 0.04);
	assert_int_equal(write(pipes[1], &byte, 1), 1);
	assert_true(timed_wait(&rig) < 5);
	make_nap_due(&rig, port);
	assert_true(timed_wait(&rig) < 5);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[1]); /* as when the postmaster dies */
	make_nap_due(&rig, port);
	assert_true(timed_wait(&rig) < 5);
	assert_true(timed_wait(&rig) < 5);
	for (int i = 1; i < BS_RECEIVER_MAX_WATCHED; i++)
		assert_true(bs_receiver_watch(rig.receiver, dup(pipes[0])));
	assert_false(bs_receiver_watch(rig.receiver, pipes[0]));
	bs_receiver_free(rig.receiver);
	close(pipes[0]);
}

static void
test_wait_for_datagram(void **state)
{
	Rig rig;
	uint16_t port = free_port();
	BsListenAddress address = address_of("127.0.0.1", port);
	double start;

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, 0.2);
	assert_int_equal(bs_receiver_listen(rig.receiver, &address, 1), 0);
	/* Idle: the first datagram is seen at once. */
	send_from("127.0.0.1", "127.0.0.1", port, 1);
	assert_true(timed_wait(&rig) < 0.15);
	assert_int_equal(bs_receiver_drain(rig.receiver, 100), 1);
	/* The next one waits for the end of the nap, no longer. */
	send_from("127.0.0.1", "127.0.0.1", port, 1);
	start = now();
	assert_true(timed_wait(&rig) < 5);
	assert_true(now() - start > 0.19);
	assert_int_equal(bs_receiver_drain(rig.receiver, 100), 1);
	/* The timeout holds in a nap, and over a nap and what follows it. */
	start = now();
	bs_receiver_wait(rig.receiver, 0.05);
	assert_in_range((uint64_t) ((now() - start) * 1000), 49, 150);
	make_nap_due(&rig, port);
	start = now();
	bs_receiver_wait(rig.receiver, 0.3);
	assert_in_range((uint64_t) ((now() - start) * 1000), 295, 900);
	bs_receiver_free(rig.receiver);
}

typedef struct Trickle
{
	uint16_t port;
	int ndatagrams;
} Trickle;

static void *
send_trickle(void *argument)
{
	const Trickle *trickle = argument;
	int fd = open_sender("127.0.0.1", "127.0.0.1", trickle->port);

	for (int i = 0; i < trickle->ndatagrams; i++)
	{
		send_bytes(fd, 64);
		usleep(200);
	}
	close(fd);
	return NULL;
}

/* Many datagrams a nap: the receiver is not woken for each. */
static void
test_nap_saves_wakes(void **state)
{
	const double nap_seconds = 0.01;
	Rig rig;
	Trickle trickle = {.port = free_port(), .ndatagrams = 1000};
	BsListenAddress address = address_of("127.0.0.1", trickle.port);
	pthread_t thread;
	double start;
	uint32_t nwaits = 0;

	(void) state;
	rig_start(&rig, 0, 1, BUFFER_BYTES, nap_seconds);
	assert_int_equal(bs_receiver_listen(rig.receiver, &address, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_trickle, &trickle), 0);
	start = now();
	while (rig.decoder.ndatagrams < 1000 && now() - start < 20)
	{
		bs_receiver_wait(rig.receiver, 1);
		bs_receiver_drain(rig.receiver, 1000);
		nwaits++;
	}
	pthread_join(thread, NULL);
	assert_int_equal(rig.decoder.ndatagrams, 1000);
	assert_true(nwaits <= 3 + (now() - start) / nap_seconds);
	assert_true(nwaits < 500);
	bs_receiver_free(rig.receiver);
}

/* ---- several workers ---- */

/* A source number as an address, 127.0.x.y or 2001:db8::x:y; false when it cannot be bound. */
static bool
send_as(int family, uint32_t number, uint16_t port, int n, BsInet *source)
{
	char plain[64];
	char host[sizeof(plain) + 2];
	int fd;

	if (family == 4)
		snprintf(plain, sizeof(plain), "127.0.%u.%u", number / 200, number % 200 + 1);
	else
		snprintf(plain, sizeof(plain), "2001:db8:0:%x::%x", number / 200, number % 200 + 1);
	snprintf(host, sizeof(host), family == 4 ? "%s" : "[%s]", plain);
	memset(source, 0, sizeof(*source));
	inet_pton(family == 4 ? AF_INET : AF_INET6, plain, source->address);
	source->family = (uint8_t) family;
	source->bits = family == 4 ? 32 : 128;
	for (int i = 0; i < n; i++)
	{
		/* Each from a port of its own: the steering must not look at it. */
		fd = open_sender(host, family == 4 ? "127.0.0.1" : "[::1]", port);
		if (fd < 0)
			return false;
		send_bytes(fd, 64);
		close(fd);
	}
	return true;
}

#define NWORKERS 3

/* Send from 64 sources; each must be heard by one worker alone.  Fills how many each worker heard.
 */
static void
steer_sources(Rig *rigs, int nrigs, int family, uint16_t port, bool in_order, int *heard)
{
	BsInet source;
	int total = 0;

	memset(heard, 0, sizeof(int) * NWORKERS);
	for (uint32_t number = 0; number < 64; number++)
	{
		uint32_t got[NWORKERS] = {0};
		int nhearing = 0;

		if (!send_as(family, number, port, 5, &source))
			skip();
		for (int i = 0; i < nrigs; i++)
		{
			got[i] = take_all(&rigs[i]);
			if (got[i] == 0)
				continue;
			assert_memory_equal(&rigs[i].decoder.last.exporter, &source, sizeof(source));
			nhearing++;
			heard[i]++;
			if (in_order)
				assert_int_equal(bs_steer_index(&source, (uint32_t) nrigs), i);
		}
		assert_int_equal(nhearing, 1);
		assert_int_equal(got[0] + got[1] + got[2], 5);
		total += nhearing;
	}
	assert_int_equal(total, 64);
}

static void
check_steering(int family)
{
	Rig rigs[NWORKERS];
	uint16_t port = free_port();
	BsListenAddress address = address_of(family == 4 ? "127.0.0.1" : "[::1]", port);
	int heard[NWORKERS];

	for (int nrigs = 2; nrigs <= NWORKERS; nrigs++)
	{
		for (int i = 0; i < nrigs; i++)
		{
			rig_start(&rigs[i], (uint32_t) i, (uint32_t) nrigs, BUFFER_BYTES, 0);
			assert_int_equal(bs_receiver_listen(rigs[i].receiver, &address, 1), 0);
		}
		steer_sources(rigs, nrigs, family, port, true, heard);
		for (int i = 0; i < nrigs; i++)
			assert_in_range(heard[i], 64 / nrigs / 2, 64 / nrigs * 2);
		/* One worker restarts: still one worker per source, all of them used. */
		bs_receiver_free(rigs[0].receiver);
		rigs[0].receiver = bs_receiver_create(&rigs[0].config);
		assert_int_equal(bs_receiver_listen(rigs[0].receiver, &address, 1), 0);
		steer_sources(rigs, nrigs, family, port, false, heard);
		for (int i = 0; i < nrigs; i++)
			assert_in_range(heard[i], 64 / nrigs / 2, 64 / nrigs * 2);
		for (int i = 0; i < nrigs; i++)
			bs_receiver_free(rigs[i].receiver);
	}
}

static void
test_steering_ipv4(void **state)
{
	(void) state;
	check_steering(4);
}

static void
test_steering_ipv6(void **state)
{
	(void) state;
	if (!host_has_ipv6())
		skip();
	check_steering(6);
}

/* While a worker is away nothing is lost: the others hear all. */
static void
test_steering_worker_away(void **state)
{
	Rig rigs[2];
	uint16_t port = free_port();
	BsListenAddress address = address_of("127.0.0.1", port);
	BsInet source;
	uint32_t total = 0;

	(void) state;
	for (uint32_t i = 0; i < 2; i++)
	{
		rig_start(&rigs[i], i, 2, BUFFER_BYTES, 0);
		assert_int_equal(bs_receiver_listen(rigs[i].receiver, &address, 1), 0);
	}
	bs_receiver_free(rigs[0].receiver);
	for (uint32_t number = 0; number < 32; number++)
		assert_true(send_as(4, number, port, 1, &source));
	total = take_all(&rigs[1]);
	assert_int_equal(total, 32);
	bs_receiver_free(rigs[1].receiver);
}

/* Addresses that differ in one byte only, wherever it is, spread over the workers. */
static void
test_steering_spreads(void **state)
{
	(void) state;
	for (int family = 4; family <= 6; family += 2)
		for (int byte = 0; byte < (family == 4 ? 4 : 16); byte++)
			for (uint32_t nworkers = 2; nworkers <= 8; nworkers++)
			{
				uint32_t heard[8] = {0};
				BsInet source = {.family = (uint8_t) family, .address = {10, 1, 2, 3}};

				for (int value = 0; value < 256; value++)
				{
					source.address[byte] = (uint8_t) value;
					heard[bs_steer_index(&source, nworkers)]++;
				}
				for (uint32_t i = 0; i < nworkers; i++)
					assert_in_range(heard[i], 256 / nworkers / 2, 256 / nworkers * 2);
			}
}

/* More sockets on the address than workers: another server's are among them. */
static void
test_foreign_sharer(void **state)
{
	Rig rigs[3];
	uint16_t port = free_port();
	BsListenAddress address = address_of("127.0.0.1", port);

	(void) state;
	if (access("/proc/net/udp", R_OK) != 0)
		skip();
	assert_int_equal(bs_steer_count_bound(&address), 0);
	for (uint32_t i = 0; i < 3; i++)
		rig_start(&rigs[i], i % 2, 2, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rigs[0].receiver, &address, 1), 0);
	assert_int_equal(bs_receiver_listen(rigs[1].receiver, &address, 1), 0);
	assert_int_equal(bs_steer_count_bound(&address), 2);
	assert_int_equal(bs_receiver_listen(rigs[2].receiver, &address, 1), 1);
	assert_int_equal(rigs[2].stats[0].last_errno, EADDRINUSE);
	assert_int_equal(bs_steer_count_bound(&address), 2);
	bs_receiver_free(rigs[1].receiver);
	assert_int_equal(bs_receiver_retry(rigs[2].receiver), 0);
	bs_receiver_free(rigs[0].receiver);
	bs_receiver_free(rigs[2].receiver);
	/* One worker does not share at all. */
	rig_start(&rigs[0], 0, 1, BUFFER_BYTES, 0);
	rig_start(&rigs[1], 0, 1, BUFFER_BYTES, 0);
	assert_int_equal(bs_receiver_listen(rigs[0].receiver, &address, 1), 0);
	assert_int_equal(bs_receiver_listen(rigs[1].receiver, &address, 1), 1);
	assert_int_equal(rigs[1].stats[0].last_errno, EADDRINUSE);
	bs_receiver_free(rigs[0].receiver);
	bs_receiver_free(rigs[1].receiver);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_families),
		cmocka_unit_test(test_wildcard),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_allow),
		cmocka_unit_test(test_drain_limit),
		cmocka_unit_test(test_drops_counter_wraps),
		cmocka_unit_test(test_kernel_drops),
		cmocka_unit_test(test_discarded),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_relisten_keeps_queue),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_port_in_use),
		cmocka_unit_test(test_no_such_address),
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_wake_keeps_errno),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_wait_for_datagram),
		cmocka_unit_test(test_nap_saves_wakes),
		cmocka_unit_test(test_steering_ipv4),
		cmocka_unit_test(test_steering_ipv6),
		cmocka_unit_test(test_steering_worker_away),
		cmocka_unit_test(test_steering_spreads),
		cmocka_unit_test(test_foreign_sharer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
