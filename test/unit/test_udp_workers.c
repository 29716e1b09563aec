/* SPDX-License-Identifier: PostgreSQL */
/* test_udp_workers.c: several workers at one port: each source is heard by one of them. */
#include "udp_fixture.h"

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
		cmocka_unit_test(test_steering_ipv4),
		cmocka_unit_test(test_steering_ipv6),
		cmocka_unit_test(test_steering_worker_away),
		cmocka_unit_test(test_steering_spreads),
		cmocka_unit_test(test_foreign_sharer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
