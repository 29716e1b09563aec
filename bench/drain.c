/* SPDX-License-Identifier: PostgreSQL */
/* drain.c: receive loop, CPU time and kernel drops of the yardsticks.  See drain.h. */
#define _GNU_SOURCE /* recvmmsg */
#include "drain.h"

#include "../receiver/tools/options.h"
#include "../receiver/tools/sender.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_VECTOR     1024
#define DATAGRAM_BYTES 2048

typedef struct Drain
{
	const BsDrainTake *take;
	const char *listen_text;
	BsAddress listen;
	int fd;
	uint64_t max_records;
	double seconds;
	double nap_msec;
	double idle_secs; /* end after so long a silence that follows traffic */
	uint32_t vector;
	uint32_t buffer_bytes;
	struct mmsghdr messages[MAX_VECTOR];
	struct iovec iovecs[MAX_VECTOR];
	uint8_t *memory;

	uint64_t records;
	uint64_t datagrams;
	uint64_t bytes;
	uint64_t calls;
	int64_t first_nsec;
	int64_t last_nsec;
	struct rusage first_usage;
	struct rusage last_usage;
} Drain;

static volatile sig_atomic_t stop_asked = 0;

static void
on_signal(int number)
{
	(void) number;
	stop_asked = 1;
}

static int64_t
now_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool
drain_open(Drain *drain)
{
	int size = (int) drain->buffer_bytes;

	drain->memory = aligned_alloc(64, (size_t) drain->vector * DATAGRAM_BYTES);
	drain->fd = socket(drain->listen.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (drain->memory == NULL || drain->fd < 0)
		return false;
	if (setsockopt(drain->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		(void) setsockopt(drain->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (uint32_t i = 0; i < drain->vector; i++)
	{
		drain->iovecs[i].iov_base = drain->memory + (size_t) i * DATAGRAM_BYTES;
		drain->iovecs[i].iov_len = DATAGRAM_BYTES;
		drain->messages[i].msg_hdr.msg_iov = &drain->iovecs[i];
		drain->messages[i].msg_hdr.msg_iovlen = 1;
	}
	return bind(drain->fd, (struct sockaddr *) &drain->listen.storage, drain->listen.len) == 0;
}

/* One call; returns how many datagrams it brought. */
static int
drain_once(Drain *drain)
{
	int n = recvmmsg(drain->fd, drain->messages, drain->vector, MSG_DONTWAIT, NULL);

	drain->calls++;
	if (n <= 0)
		return 0;
	if (drain->datagrams == 0)
	{
		getrusage(RUSAGE_SELF, &drain->first_usage);
		drain->first_nsec = now_nsec();
	}
	for (int i = 0; i < n; i++)
	{
		uint32_t len = drain->messages[i].msg_len;

		drain->bytes += len;
		drain->records += drain->take->take(drain->take->context, drain->iovecs[i].iov_base, len);
	}
	drain->datagrams += (uint32_t) n;
	return n;
}

static void
drain_wait(const Drain *drain)
{
	if (drain->nap_msec > 0)
	{
		int64_t nsec = (int64_t) (drain->nap_msec * 1e6);
		struct timespec nap = {nsec / 1000000000, nsec % 1000000000};

		nanosleep(&nap, NULL);
	}
	else
	{
		struct pollfd wait = {.fd = drain->fd, .events = POLLIN};

		poll(&wait, 1, 20);
	}
}

/* Until enough came, time is up, or the traffic has ended. */
static void
drain_run(Drain *drain)
{
	int64_t end_nsec = now_nsec() + (int64_t) (drain->seconds * 1e9);
	bool quiet = true;

	while (!stop_asked && (drain->max_records == 0 || drain->records < drain->max_records))
	{
		int n = drain_once(drain);

		if (n == (int) drain->vector)
			continue;
		if (n > 0)
			quiet = false;
		else
		{
			int64_t now = now_nsec();

			/* The wait for an end that may not come is not part of the work. */
			if (!quiet)
			{
				quiet = true;
				drain->last_nsec = now;
				getrusage(RUSAGE_SELF, &drain->last_usage);
			}
			if (now >= end_nsec || (drain->datagrams > 0 &&
									now - drain->last_nsec > (int64_t) (drain->idle_secs * 1e9)))
				return;
		}
		if (n > 0 && now_nsec() >= end_nsec)
			break;
		drain_wait(drain);
	}
	drain->last_nsec = now_nsec();
	getrusage(RUSAGE_SELF, &drain->last_usage);
}

/*
 * What SO_RXQ_OVFL would tell, without a control message per datagram and including the drops that
 * no datagram came after.
 */
static uint64_t
kernel_drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}

static double
usage_nsec(const struct timeval *from, const struct timeval *to)
{
	return (double) (to->tv_sec - from->tv_sec) * 1e9 +
		   (double) (to->tv_usec - from->tv_usec) * 1e3;
}

static void
drain_print(const Drain *drain, const char *name)
{
	double user = usage_nsec(&drain->first_usage.ru_utime, &drain->last_usage.ru_utime);
	double sys = usage_nsec(&drain->first_usage.ru_stime, &drain->last_usage.ru_stime);
	double secs = (double) (drain->last_nsec - drain->first_nsec) / 1e9;
	double records = drain->records > 0 ? (double) drain->records : 1;
	int granted = 0;
	socklen_t len = sizeof(granted);

	getsockopt(drain->fd, SOL_SOCKET, SO_RCVBUF, &granted, &len);
	printf("{\"name\": \"%s\", \"records\": %" PRIu64 ", \"datagrams\": %" PRIu64
		   ", \"payload_bytes\": %" PRIu64,
		   name, drain->records, drain->datagrams, drain->bytes);
	printf(", \"kernel_drops\": %" PRIu64 ", \"nap_msec\": %g, \"receive_buffer\": %d",
		   kernel_drops(drain->fd), drain->nap_msec, granted);
	printf(", \"seconds\": %.6f, \"records_per_sec\": %.0f", secs, secs > 0 ? records / secs : 0.0);
	printf(", \"datagrams_per_call\": %.1f",
		   (double) drain->datagrams / (double) (drain->calls > 0 ? drain->calls : 1));
	printf(", \"user_ns_per_record\": %.2f, \"sys_ns_per_record\": %.2f"
		   ", \"cpu_ns_per_record\": %.2f",
		   user / records, sys / records, (user + sys) / records);
	if (drain->take->print != NULL)
		drain->take->print(drain->take->context);
	puts("}");
}

int
bs_drain_main(const char *name, const char *help, const BsDrainTake *take, int argc, char **argv)
{
	static Drain drain;
	const BsOption table[] = {
		{"listen", "HOST:PORT", "127.0.0.1:2055", "where to receive", bs_option_text,
		 &drain.listen_text},
		{"records", "N", "0", "end after so many records; 0: do not count on it", bs_option_u64,
		 &drain.max_records},
		{"seconds", "S", "60", "end after so long", bs_option_double, &drain.seconds},
		{"idle", "S", "1", "end after so long a silence that follows traffic", bs_option_double,
		 &drain.idle_secs},
		{"nap-ms", "MSEC", "1", "sleep after a drain that ended short; 0: poll", bs_option_double,
		 &drain.nap_msec},
		{"vector", "N", "256", "datagrams per recvmmsg", bs_option_u32, &drain.vector},
		{"buffer", "BYTES", "8388608", "receive buffer to ask for", bs_option_u32,
		 &drain.buffer_bytes},
		{NULL, NULL, NULL, NULL, NULL, NULL},
	};
	const BsCommand command = {name, "[OPTION]...", help, table};
	struct sigaction action = {.sa_handler = on_signal};
	int status = bs_options_parse(&command, argc, argv);

	if (status >= 0)
		return status;
	if (drain.vector < 1 || drain.vector > MAX_VECTOR || drain.seconds > 3600 ||
		drain.nap_msec > 1000 || !bs_address_parse(drain.listen_text, &drain.listen) ||
		!bs_address_is_loopback(&drain.listen))
	{
		fprintf(stderr, "%s: an option is out of its bounds, or --listen is not loopback\n", name);
		return 2;
	}
	drain.take = take;
	if (!drain_open(&drain))
	{
		fprintf(stderr, "%s: %s: %s\n", name, drain.listen_text, strerror(errno));
		return 1;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	drain_run(&drain);
	drain_print(&drain, name);
	close(drain.fd);
	free(drain.memory);
	return 0;
}
