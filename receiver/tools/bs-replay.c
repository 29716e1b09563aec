/* SPDX-License-Identifier: PostgreSQL */
/*
 * bs-replay.c: the command that sends the UDP payloads of captures to a loopback port.
 *
 * Each original source (address and port) gets a socket of its own, so that whatever a receiver
 * keeps per address or per port stays apart; with --map each address becomes a 127.x address of its
 * own. Always bounded in datagrams.
 */
#include "options.h"
#include "pcap_payload.h"
#include "sender.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_DATAGRAMS 5000000
/* Descriptors are scarce: 1024 by default. */
#define MAX_SOURCES 960

typedef enum Protocol
{
	PROTOCOL_ANY,
	PROTOCOL_V5,
	PROTOCOL_V9,
	PROTOCOL_IPFIX,
	PROTOCOL_SFLOW,
	PROTOCOL_UNKNOWN
} Protocol;

static const char *const protocol_names[] = {"any", "v5", "v9", "ipfix", "sflow", "unknown"};

/* An original sender and the socket that stands for it. */
typedef struct Source
{
	uint8_t addr[16];
	bool is_ipv6;
	uint16_t port;
	int fd;
	uint32_t mapped; /* with --map: host order */
	uint64_t datagrams;
} Source;

typedef struct Replay
{
	const char *host_text;
	const char *source_text;
	const char *map_base_text;
	uint32_t port; /* 0: the datagram's own */
	bool map;
	double rate; /* datagrams/s; 0: flat out */
	uint64_t count;
	uint32_t loop;
	Protocol protocol;
	bool verbose;

	BsAddress target;
	BsAddress source;
	uint32_t map_base;
	uint32_t nmapped;
	Source sources[MAX_SOURCES];
	uint32_t nsources;
	int64_t start_nsec;
	uint64_t sent;
	uint64_t bytes;
	uint64_t failed;    /* the kernel would not send them */
	uint64_t no_source; /* beyond MAX_SOURCES */
	uint64_t filtered;  /* by --proto */
	uint64_t skipped[BS_PAYLOAD_NRESULTS];
	int last_error;
} Replay;

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

/* By the version number; sFlow's has 32 bits. */
static Protocol
payload_protocol(const BsPayload *payload)
{
	const uint8_t *p = payload->data;

	if (payload->len_bytes >= 2 && p[0] == 0 && p[1] == 5)
		return PROTOCOL_V5;
	if (payload->len_bytes >= 2 && p[0] == 0 && p[1] == 9)
		return PROTOCOL_V9;
	if (payload->len_bytes >= 2 && p[0] == 0 && p[1] == 10)
		return PROTOCOL_IPFIX;
	if (payload->len_bytes >= 4 && p[0] == 0 && p[1] == 0 && p[2] == 0)
		return PROTOCOL_SFLOW;
	return PROTOCOL_UNKNOWN;
}

static bool
set_protocol(void *target, const char *text)
{
	for (Protocol i = PROTOCOL_ANY; i <= PROTOCOL_SFLOW; i++)
		if (strcmp(text, protocol_names[i]) == 0)
		{
			*(Protocol *) target = i;
			return true;
		}
	return false;
}

/* The address that stands for an original one: that of its other ports, or the next. */
static uint32_t
map_address(Replay *replay, const Source *source)
{
	for (uint32_t i = 0; i < replay->nsources; i++)
		if (memcmp(replay->sources[i].addr, source->addr, 16) == 0 &&
			replay->sources[i].is_ipv6 == source->is_ipv6)
			return replay->sources[i].mapped;
	return replay->map_base + replay->nmapped++;
}

static bool
source_open(Replay *replay, Source *source)
{
	int family = replay->target.storage.ss_family;
	int size = 1 << 20;
	BsAddress local = replay->source;

	source->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (source->fd < 0)
		return false;
	(void) setsockopt(source->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (replay->map)
	{
		struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source->mapped)};

		memcpy(&local.storage, &in4, sizeof(in4));
		local.len = sizeof(in4);
	}
	if (local.len == 0 || bind(source->fd, (struct sockaddr *) &local.storage, local.len) == 0)
		return true;
	close(source->fd);
	return false;
}

static Source *
source_find(Replay *replay, const BsPayload *payload)
{
	Source *source;

	for (uint32_t i = 0; i < replay->nsources; i++)
	{
		source = &replay->sources[i];
		if (source->port == payload->src_port && source->is_ipv6 == payload->is_ipv6 &&
			memcmp(source->addr, payload->src_addr, 16) == 0)
			return source;
	}
	if (replay->nsources == MAX_SOURCES)
		return NULL;
	source = &replay->sources[replay->nsources];
	memset(source, 0, sizeof(*source));
	memcpy(source->addr, payload->src_addr, 16);
	source->is_ipv6 = payload->is_ipv6;
	source->port = payload->src_port;
	if (replay->map)
		source->mapped = map_address(replay, source);
	if (!source_open(replay, source))
	{
		replay->last_error = errno;
		return NULL;
	}
	replay->nsources++;
	return source;
}

static void
wait_turn(const Replay *replay)
{
	int64_t when;
	struct timespec until;

	if (replay->rate <= 0)
		return;
	when = replay->start_nsec + (int64_t) ((double) replay->sent * 1e9 / replay->rate);
	until.tv_sec = when / 1000000000;
	until.tv_nsec = when % 1000000000;
	if (when > now_nsec())
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void
replay_payload(Replay *replay, const BsPayload *payload)
{
	BsAddress target = replay->target;
	uint16_t port = htons((uint16_t) (replay->port != 0 ? replay->port : payload->dst_port));
	Source *source;
	ssize_t n;

	if (replay->protocol != PROTOCOL_ANY && payload_protocol(payload) != replay->protocol)
	{
		replay->filtered++;
		return;
	}
	source = source_find(replay, payload);
	if (source == NULL)
	{
		replay->no_source++;
		return;
	}
	if (target.storage.ss_family == AF_INET)
		((struct sockaddr_in *) &target.storage)->sin_port = port;
	else
		((struct sockaddr_in6 *) &target.storage)->sin6_port = port;
	wait_turn(replay);
	n = sendto(source->fd, payload->data, payload->len_bytes, 0,
			   (struct sockaddr *) &target.storage, target.len);
	if (n < 0)
	{
		replay->failed++;
		replay->last_error = errno;
		return;
	}
	source->datagrams++;
	replay->sent++;
	replay->bytes += payload->len_bytes;
}

static bool
replay_file(Replay *replay, const char *name)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline(name, error);
	struct pcap_pkthdr *header;
	const uint8_t *frame;
	int link_type;
	int got = 1;

	if (pcap == NULL)
	{
		fprintf(stderr, "bs-replay: %s\n", error);
		return false;
	}
	link_type = pcap_datalink(pcap);
	if (!bs_payload_link_known(link_type))
	{
		fprintf(stderr, "bs-replay: %s: link type %d is not known\n", name, link_type);
		pcap_close(pcap);
		return false;
	}
	while (!stop_asked && replay->sent < replay->count &&
		   (got = pcap_next_ex(pcap, &header, &frame)) == 1)
	{
		BsPayload payload;
		BsPayloadResult result = bs_payload_find(link_type, frame, header->caplen, &payload);

		if (result == BS_PAYLOAD_FOUND)
			replay_payload(replay, &payload);
		else
			replay->skipped[result]++;
	}
	if (got == PCAP_ERROR)
		fprintf(stderr, "bs-replay: %s: %s\n", name, pcap_geterr(pcap));
	pcap_close(pcap);
	return got != PCAP_ERROR;
}

static int
parse_options(Replay *replay, int argc, char **argv)
{
	const BsOption table[] = {
		{"host", "ADDR", "127.0.0.1", "where to send; loopback", bs_option_text,
		 &replay->host_text},
		{"port", "N", NULL, "destination port (each datagram's own)", bs_option_u32, &replay->port},
		{"source", "ADDR", NULL, "send everything from this loopback address", bs_option_text,
		 &replay->source_text},
		{"map", NULL, NULL, "give every original address a 127.x source address", bs_option_flag,
		 &replay->map},
		{"map-base", "ADDR", "127.0.1.1", "the first of them", bs_option_text,
		 &replay->map_base_text},
		{"rate", "N", "200", "datagrams per second; 0: flat out", bs_option_double, &replay->rate},
		{"count", "N", "100000", "stop after so many datagrams; at most 5000000", bs_option_u64,
		 &replay->count},
		{"loop", "N", "1", "send the files so many times", bs_option_u32, &replay->loop},
		{"proto", "P", "any", "only v5, v9, ipfix or sflow", set_protocol, &replay->protocol},
		{"verbose", NULL, NULL, "print sources and what was left out", bs_option_flag,
		 &replay->verbose},
		{NULL, NULL, NULL, NULL, NULL, NULL},
	};
	const BsCommand command = {
		"bs-replay", "[OPTION]... FILE...",
		"Send the UDP payloads of captures (Ethernet, VLAN, Linux cooked, raw IP) to loopback.",
		table};

	return bs_options_parse(&command, argc, argv);
}

/* What the options mean together; an error text, or NULL. */
static const char *
finish_options(Replay *replay)
{
	BsAddress base;

	if (!bs_address_parse_host(replay->host_text, &replay->target) ||
		!bs_address_is_loopback(&replay->target))
		return "--host must be a loopback address";
	if (replay->source_text != NULL &&
		(!bs_address_parse_host(replay->source_text, &replay->source) ||
		 !bs_address_is_loopback(&replay->source) ||
		 replay->source.storage.ss_family != replay->target.storage.ss_family))
		return "--source must be a loopback address of the target's family";
	if (!bs_address_parse_host(replay->map_base_text, &base) || !bs_address_is_loopback(&base) ||
		base.storage.ss_family != AF_INET)
		return "--map-base must be a 127.x address";
	if (replay->map && replay->target.storage.ss_family != AF_INET)
		return "--map needs an IPv4 target";
	if (replay->port > 65535)
		return "--port must be from 1 to 65535";
	replay->map_base = ntohl(((struct sockaddr_in *) &base.storage)->sin_addr.s_addr);
	if ((replay->map_base + MAX_SOURCES) >> 24 != 127)
		return "--map-base is too near the end of 127.0.0.0/8";
	if (replay->count > MAX_DATAGRAMS)
		replay->count = MAX_DATAGRAMS;
	return NULL;
}

static void
print_summary(const Replay *replay)
{
	double secs = (double) (now_nsec() - replay->start_nsec) / 1e9;

	for (uint32_t i = 0; replay->verbose && i < replay->nsources; i++)
	{
		const Source *source = &replay->sources[i];
		struct in_addr mapped = {htonl(source->mapped)};
		char text[INET6_ADDRSTRLEN];

		inet_ntop(source->is_ipv6 ? AF_INET6 : AF_INET, source->addr, text, sizeof(text));
		printf("exporter %s port %u -> %s: %" PRIu64 " datagrams\n", text, source->port,
			   replay->map ? inet_ntoa(mapped) : replay->host_text, source->datagrams);
	}
	if (replay->verbose)
		printf("left out: %" PRIu64 " of other protocols, %" PRIu64 " not UDP, %" PRIu64
			   " fragments, %" PRIu64 " cut short\n",
			   replay->filtered, replay->skipped[BS_PAYLOAD_OTHER],
			   replay->skipped[BS_PAYLOAD_FRAGMENT], replay->skipped[BS_PAYLOAD_TRUNCATED]);
	printf("sent %" PRIu64 " datagrams, %" PRIu64 " bytes, %.2f s\n", replay->sent, replay->bytes,
		   secs);
	if (replay->failed + replay->no_source > 0)
		fprintf(stderr,
				"bs-replay: %" PRIu64 " datagrams could not be sent, %" PRIu64
				" had no socket: %s\n",
				replay->failed, replay->no_source,
				replay->last_error != 0 ? strerror(replay->last_error) : "too many sources");
}

int
main(int argc, char **argv)
{
	static Replay replay;
	struct sigaction action = {.sa_handler = on_signal};
	int status = parse_options(&replay, argc, argv);
	const char *error;
	bool ok = true;

	if (status >= 0)
		return status;
	error = finish_options(&replay);
	if (error == NULL && optind == argc)
		error = "which files?";
	if (error != NULL)
	{
		fprintf(stderr, "bs-replay: %s\n", error);
		return 2;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	replay.start_nsec = now_nsec();
	for (uint32_t round = 0; ok && round < replay.loop && replay.sent < replay.count; round++)
	{
		uint64_t sent_before = replay.sent;

		for (int i = optind; ok && i < argc; i++)
			ok = replay_file(&replay, argv[i]);
		if (replay.sent == sent_before)
			break; /* nor will there be anything in the next round */
	}
	print_summary(&replay);
	for (uint32_t i = 0; i < replay.nsources; i++)
		close(replay.sources[i].fd);
	return ok && replay.failed + replay.no_source == 0 ? 0 : 1;
}
