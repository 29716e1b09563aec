/* SPDX-License-Identifier: PostgreSQL */
/* test_udp_waiting.c: waiting for datagrams: naps, and what ends them. */
#include "udp_fixture.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_wake_keeps_errno),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_wait_for_datagram),
		cmocka_unit_test(test_nap_saves_wakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
