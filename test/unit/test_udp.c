/* SPDX-License-Identifier: PostgreSQL */
/* test_udp.c: sockets and draining, over loopback: what comes, what is lost, listening again. */
#include "udp_fixture.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
