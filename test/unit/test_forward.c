/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_forward.c: copies to other collectors, over loopback: what is sent, what is dropped, what would go
 * round in circles, and names.
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
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../receiver/forward.h"
#include "../../receiver/loop.h"
#include "../../receiver/lookup.h"
#include "../../receiver/udp.h"

#define SECOND 1000000

/* ---- collectors ---- */

/* A bound socket of this host; its port in *port.  -1: there is no such address here. */
static int
open_collector(const char *host, uint16_t *port)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM};
	struct addrinfo *found;
	struct sockaddr_in6 bound;
	socklen_t len = sizeof(bound);
	int size = 8 << 20;
	int fd;

	assert_int_equal(getaddrinfo(host, NULL, &hints, &found), 0);
	fd = socket(found->ai_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0)
	{
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	assert_int_equal(getsockname(fd, (struct sockaddr *) &bound, &len), 0);
	*port = ntohs(bound.sin6_port); /* of the same place in both families */
	return fd;
}

/* How many datagrams are queued; takes them.  Their bytes, as a sum, in *bytes. */
static uint32_t
count_queued(int fd, uint64_t *bytes)
{
	static uint8_t buffer[65536];
	uint32_t n = 0;
	ssize_t len;

	*bytes = 0;
	while ((len = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) >= 0)
	{
		n++;
		*bytes += (uint64_t) len;
	}
	return n;
}

static BsForwardStats stats[BS_FORWARD_MAX_TARGETS];

static BsForward *
forward_to(const char *list)
{
	BsForward *forward;
	char error[200];

	memset(stats, 0, sizeof(stats));
	forward = bs_forward_create(stats);
	assert_non_null(forward);
	if (!bs_forward_set(forward, list, error, sizeof(error)))
		fail_msg("%s", error);
	return forward;
}

static uint8_t payload[65536];

/* A datagram of so many bytes from 192.0.2.last; contents go with number. */
static BsDatagram
datagram_of(uint8_t last, uint32_t number, uint32_t len, int64_t received_usec)
{
	BsDatagram datagram = {.data = payload, .len_bytes = len, .port = 2055};
	const uint8_t address[4] = {192, 0, 2, last};

	memcpy(payload, &number, sizeof(number));
	memcpy(datagram.exporter.address, address, 4);
	datagram.exporter.family = 4;
	datagram.exporter.bits = 32;
	datagram.received_usec = received_usec;
	return datagram;
}

static void
forward_one(BsForward *forward, uint8_t last, uint32_t number, uint32_t len, int64_t received_usec)
{
	BsDatagram datagram = datagram_of(last, number, len, received_usec);

	bs_forward_begin(forward);
	bs_forward_add(forward, &datagram);
	bs_forward_send(forward);
}

/* A vector of datagrams that differ: their data must stay. */
static void
forward_vector(BsForward *forward, uint32_t first, uint32_t n)
{
	static uint8_t data[BS_UDP_VECTOR][64];

	bs_forward_begin(forward);
	for (uint32_t i = 0; i < n; i++)
	{
		BsDatagram datagram = datagram_of(1, first + i, 64, 0);

		memcpy(data[i], payload, 64);
		datagram.data = data[i];
		bs_forward_add(forward, &datagram);
	}
	bs_forward_send(forward);
}

/* ---- the list ---- */

static void
test_lists(void **state)
{
	static const char *const good[] = {"", "  ", "192.0.2.1:2055", "[2001:db8::1]:4739",
									   "collector.example:9995, 192.0.2.1:2055", "localhost:1",
									   "[fe80::1%lo]:2055"};
	static const struct
	{
		const char *list;
		const char *says;
	} bad[] = {{"*:2055", "a host must be named"},
			   {":2055", "a host must be named"},
			   {"192.0.2.1", "a port must follow"},
			   {"192.0.2.1:0", "from 1 to 65535"},
			   {"192.0.2.1:2055,", "it is empty"},
			   {"a:1, b:2, a:1", "it is named twice"},
			   {"2001:db8::1:2055", "in brackets"},
			   {"a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9,a:10,a:11,a:12,a:13,a:14,a:15,a:16,a:17",
				"there are too many"}};
	char error[200];

	(void) state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(bs_forward_check(good[i], error, sizeof(error)));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		assert_false(bs_forward_check(bad[i].list, error, sizeof(error)));
		if (strstr(error, bad[i].says) == NULL)
			fail_msg("%s: %s", bad[i].list, error);
	}
}

/* ---- sending ---- */

/* Every target gets every datagram, over either family; counts stay when a target goes and comes. */
static void
test_copies(void **state)
{
	uint16_t port4, port6 = 0;
	int ipv4 = open_collector("127.0.0.1", &port4);
	int ipv6 = open_collector("::1", &port6);
	char list[100];
	char error[200];
	BsForward *forward;
	uint64_t bytes;

	(void) state;
	snprintf(list, sizeof(list), ipv6 >= 0 ? "127.0.0.1:%u, [::1]:%u" : "127.0.0.1:%u", port4, port6);
	forward = forward_to(list);
	assert_int_equal(stats[0].state, BS_FORWARD_RESOLVING);
	forward_one(forward, 1, 0, 100, 0);
	assert_int_equal(stats[0].dropped, 1); /* it is not open yet */
	bs_forward_tend(forward, NULL, 0, 0);
	assert_int_equal(stats[0].state, BS_FORWARD_OPEN);
	for (uint32_t i = 1; i <= 10; i++)
		forward_vector(forward, i * 1000, BS_UDP_VECTOR);
	assert_int_equal(stats[0].datagrams, 10 * BS_UDP_VECTOR);
	assert_int_equal(stats[0].bytes, 10 * BS_UDP_VECTOR * 64);
	assert_int_equal(stats[0].dropped, 1);
	assert_int_equal(count_queued(ipv4, &bytes), 10 * BS_UDP_VECTOR);
	assert_int_equal(bytes, 10 * BS_UDP_VECTOR * 64);
	if (ipv6 >= 0)
	{
		assert_int_equal(stats[1].datagrams, 10 * BS_UDP_VECTOR);
		assert_int_equal(count_queued(ipv6, &bytes), 10 * BS_UDP_VECTOR);
		assert_int_equal(bytes, 10 * BS_UDP_VECTOR * 64);
	}
	assert_true(bs_forward_set(forward, "", error, sizeof(error)));
	assert_false(bs_forward_any(forward));
	assert_int_equal(stats[0].state, BS_FORWARD_UNUSED);
	assert_true(bs_forward_set(forward, list, error, sizeof(error)));
	bs_forward_tend(forward, NULL, 0, 0);
	assert_int_equal(stats[0].datagrams, 10 * BS_UDP_VECTOR);
	forward_one(forward, 1, 7, 100, 0);
	assert_int_equal(stats[0].datagrams, 10 * BS_UDP_VECTOR + 1);
	bs_forward_free(forward);
	close(ipv4);
	close(ipv6);
}

/* Nobody listens there: a bounded number of calls, everything accounted for; all is well when somebody does. */
static void
test_refused(void **state)
{
	uint16_t port;
	int collector = open_collector("127.0.0.1", &port);
	char list[100];
	BsForward *forward;
	uint64_t before;
	uint64_t bytes;
	struct sockaddr_in address = {.sin_family = AF_INET};

	(void) state;
	close(collector);
	snprintf(list, sizeof(list), "127.0.0.1:%u", port);
	forward = forward_to(list);
	bs_forward_tend(forward, NULL, 0, 0);
	for (uint32_t i = 1; i <= 20; i++)
		forward_vector(forward, i * 1000, BS_UDP_VECTOR);
	assert_int_equal(stats[0].datagrams + stats[0].dropped, 20 * BS_UDP_VECTOR);
	assert_in_range(stats[0].datagrams, 1, 20 * 8);
	assert_int_equal(stats[0].last_errno, ECONNREFUSED);

	collector = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	address.sin_port = htons(port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(collector, (struct sockaddr *) &address, sizeof(address)), 0);
	before = stats[0].dropped;
	for (uint32_t i = 100; i < 110; i++)
		forward_vector(forward, i * 1000, BS_UDP_VECTOR / 8);
	assert_int_equal(stats[0].dropped, before);
	assert_int_equal(count_queued(collector, &bytes), 10 * BS_UDP_VECTOR / 8);
	bs_forward_free(forward);
	close(collector);
}

/* IPv6 carries 20 bytes more: what does not fit into IPv4 is dropped alone. */
static void
test_too_long(void **state)
{
	uint16_t port;
	int collector = open_collector("127.0.0.1", &port);
	static uint8_t longest[65527];
	BsDatagram datagram;
	char list[100];
	BsForward *forward;
	uint64_t bytes;

	(void) state;
	snprintf(list, sizeof(list), "127.0.0.1:%u", port);
	forward = forward_to(list);
	bs_forward_tend(forward, NULL, 0, 0);
	bs_forward_begin(forward);
	datagram = datagram_of(1, 1, 100, 0);
	bs_forward_add(forward, &datagram);
	datagram.data = longest;
	datagram.len_bytes = sizeof(longest);
	bs_forward_add(forward, &datagram);
	datagram = datagram_of(1, 3, 200, 0);
	bs_forward_add(forward, &datagram);
	bs_forward_send(forward);
	assert_int_equal(stats[0].datagrams, 2);
	assert_int_equal(stats[0].dropped, 1);
	assert_int_equal(stats[0].last_errno, EMSGSIZE);
	assert_int_equal(count_queued(collector, &bytes), 2);
	assert_int_equal(bytes, 300);
	bs_forward_free(forward);
	close(collector);
}

/* ---- loops ---- */

/* A target that is listened on, by itself or by a wildcard. */
static void
test_own_address(void **state)
{
	static const struct
	{
		const char *target;
		const char *listening;
		bool loop;
	} cases[] = {
		{"127.0.0.1:2055", "127.0.0.1:2055", true},  {"127.0.0.1:2055", "*:2055", true},
		{"127.0.0.9:2055", "*:2055", true},          {"localhost:2055", "127.0.0.1:2055", true},
		{"127.0.0.1:2056", "*:2055", false},         {"127.0.0.1:2055", "127.0.0.2:2055", false},
		{"127.0.0.1:2055", "[::1]:2055", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		BsForward *forward = forward_to(cases[i].target);
		BsListenAddress listening[4];
		char error[200];
		int n = bs_listen_parse(cases[i].listening, true, listening, 4, error, sizeof(error));

		bs_forward_tend(forward, listening, n, 0);
		if (stats[0].state != (cases[i].loop ? BS_FORWARD_LOOP : BS_FORWARD_OPEN))
			fail_msg("%s, listening on %s: state %u", cases[i].target, cases[i].listening, stats[0].state);
		forward_one(forward, 1, 1, 100, 0);
		assert_int_equal(stats[0].looped, cases[i].loop);
		/* It listens elsewhere now. */
		bs_forward_tend(forward, NULL, 0, 1);
		assert_int_equal(stats[0].state, BS_FORWARD_OPEN);
		bs_forward_free(forward);
	}
}

/* What comes back from elsewhere has been forwarded; the same from the same exporter is another one. */
static void
test_come_back(void **state)
{
	uint16_t port;
	int collector = open_collector("127.0.0.1", &port);
	char list[100];
	BsForward *forward;

	(void) state;
	snprintf(list, sizeof(list), "127.0.0.1:%u", port);
	forward = forward_to(list);
	bs_forward_tend(forward, NULL, 0, 0);
	forward_one(forward, 1, 1, 100, 0);
	forward_one(forward, 1, 1, 100, 1);
	forward_one(forward, 2, 2, 100, 2);
	assert_int_equal(stats[0].datagrams, 3);
	forward_one(forward, 2, 1, 100, 3); /* from another one */
	forward_one(forward, 3, 2, 100, 4);
	assert_int_equal(stats[0].datagrams, 3);
	assert_int_equal(stats[0].looped, 2);
	forward_one(forward, 2, 1, 101, 5); /* longer */
	forward_one(forward, 3, 2, 100, 4 + BS_FORWARD_LOOP_USEC); /* much later */
	assert_int_equal(stats[0].datagrams, 5);
	assert_int_equal(stats[0].looped, 2);
	bs_forward_free(forward);
	close(collector);
}

static int64_t clock_usec;

static int64_t
tick(void)
{
	return ++clock_usec;
}

static uint16_t
free_port(void)
{
	uint16_t port;
	int fd = open_collector("127.0.0.1", &port);

	close(fd);
	return port;
}

/* Three collectors that forward to each other in a ring: each datagram goes round once, and stops. */
static void
test_ring(void **state)
{
	enum { N = 3 };
	static BsForwardStats forwards[N][BS_FORWARD_MAX_TARGETS];
	BsListenerStats listeners[N][1];
	BsReceiver *receivers[N];
	uint16_t ports[N];
	uint32_t total = 0;
	struct sockaddr_in to = {.sin_family = AF_INET};
	int sender = socket(AF_INET, SOCK_DGRAM, 0);

	(void) state;
	memset(forwards, 0, sizeof(forwards));
	memset(listeners, 0, sizeof(listeners));
	for (int i = 0; i < N; i++)
		ports[i] = free_port();
	for (int i = 0; i < N; i++)
	{
		BsReceiverConfig config = {.nworkers = 1,
								   .receive_buffer_bytes = 1 << 20,
								   .listener_stats = listeners[i],
								   .max_listeners = 1,
								   .forward_stats = forwards[i],
								   .now_usec = tick};
		BsListenAddress address;
		char text[80];
		char error[200];

		receivers[i] = bs_receiver_create(&config);
		assert_non_null(receivers[i]);
		snprintf(text, sizeof(text), "127.0.0.1:%u", ports[i]);
		assert_int_equal(bs_listen_parse(text, true, &address, 1, error, sizeof(error)), 1);
		assert_int_equal(bs_receiver_listen(receivers[i], &address, 1), 0);
		snprintf(text, sizeof(text), "localhost:%u", ports[(i + 1) % N]);
		assert_true(bs_receiver_set_forward(receivers[i], text, error, sizeof(error)));
		bs_receiver_tend_forward(receivers[i], 0);
		assert_int_equal(forwards[i][0].state, BS_FORWARD_OPEN);
	}
	to.sin_port = htons(ports[0]);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (uint32_t k = 0; k < 50; k++)
		assert_int_equal(sendto(sender, &k, sizeof(k), 0, (struct sockaddr *) &to, sizeof(to)), sizeof(k));
	for (int turn = 0; turn < 100; turn++)
	{
		bs_receiver_wait(receivers[turn % N], 0);
		total += bs_receiver_drain(receivers[turn % N], 1000);
	}
	assert_int_equal(total, 50 * (N + 1));
	assert_int_equal(forwards[0][0].datagrams, 50);
	assert_int_equal(forwards[0][0].looped, 50);
	assert_int_equal(forwards[1][0].datagrams, 50);
	assert_int_equal(forwards[2][0].datagrams, 50);
	assert_int_equal(forwards[1][0].looped + forwards[2][0].looped, 0);
	for (int i = 0; i < N; i++)
		bs_receiver_free(receivers[i]);
	close(sender);
}

/* ---- names ---- */

/* A name is looked up meanwhile; one that is not found is said, and tried again. */
static void
test_names(void **state)
{
	BsForward *forward = forward_to("no-such-name.invalid:2055, ip6-localhost.invalid:1");
	struct timespec pause = {0, 10000000};
	struct timespec begin, end;

	(void) state;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	bs_forward_tend(forward, NULL, 0, 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - begin.tv_sec < 2);
	assert_int_equal(stats[0].state, BS_FORWARD_RESOLVING);
	for (int i = 0; i < 3000 && stats[0].state == BS_FORWARD_RESOLVING; i++)
	{
		nanosleep(&pause, NULL);
		bs_forward_tend(forward, NULL, 0, 0);
	}
	assert_int_equal(stats[0].state, BS_FORWARD_FAILED);
	assert_int_not_equal(stats[0].lookup_status, 0);
	forward_one(forward, 1, 1, 100, 0);
	assert_int_equal(stats[0].dropped, 1);
	bs_forward_free(forward);
}

/* One that is freed before it has ended, and one that ends. */
static void
test_lookups(void **state)
{
	BsLookup *lookup = bs_lookup_begin("no-such-name.invalid", SOCK_DGRAM);
	struct timespec pause = {0, 10000000};
	const struct addrinfo *found = NULL;
	int status;

	(void) state;
	assert_non_null(lookup);
	bs_lookup_free(lookup);
	lookup = bs_lookup_begin("127.0.0.1", SOCK_DGRAM);
	for (int i = 0; i < 1000 && !bs_lookup_done(lookup, &status, &found); i++)
		nanosleep(&pause, NULL);
	assert_int_equal(status, 0);
	assert_non_null(found);
	assert_int_equal(found->ai_family, AF_INET);
	bs_lookup_free(lookup);
	bs_lookup_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),     cmocka_unit_test(test_copies),
		cmocka_unit_test(test_refused),   cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_own_address), cmocka_unit_test(test_come_back),
		cmocka_unit_test(test_ring),      cmocka_unit_test(test_names),
		cmocka_unit_test(test_lookups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
