/* SPDX-License-Identifier: PostgreSQL */
/* forward.c: send copies of datagrams to other collectors.  See forward.h. */
#define _GNU_SOURCE 1 /* sendmmsg */
#include "forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <xxhash.h>
#pragma GCC diagnostic pop

#include "fragments.h"
#include "lookup.h"
#include "udp.h"

#define RETRY_USEC 5000000
#define LOOKUP_AGAIN_USEC 60000000
#define SEND_BUFFER_BYTES (4 * 1024 * 1024) /* more than a few vectors of full frames */
/*
 * System calls that a target may cost per vector.  One will do; a datagram that cannot be sent takes two
 * more, and where each is refused (ICMP), each takes its own.
 */
#define MAX_CALLS 8

typedef struct Target
{
	BsHostPort element; /* host empty: slot not in use */
	BsForwardStats *stats;
	BsListenAddress address; /* that fd is connected to */
	int fd;                  /* -1: not open */
	bool local;              /* the address is this host's */
	BsLookup *lookup;
	int64_t tend_at; /* when to open or to look up again */
} Target;

/* A datagram that was forwarded. */
typedef struct Remembered
{
	uint64_t content; /* hash; 0: none */
	uint64_t source;  /* hash of who sent it here */
	int64_t received_usec;
} Remembered;

struct BsForward
{
	Target targets[BS_FORWARD_MAX_TARGETS];
	uint32_t ntargets;
	Remembered *remembered; /* [BS_FORWARD_REMEMBERED] by the low bits of content; NULL: no targets */
	/* What has been added: */
	uint32_t n;
	uint32_t nlooped;
	struct mmsghdr headers[BS_UDP_VECTOR];
	struct iovec pieces[BS_UDP_VECTOR];
};

/* ---- the list ---- */

static const char *
parse_target(const BsTextList *text, Target *target, BsForwardStats *stats)
{
	const char *reason = bs_hostport_parse(text, &target->element);

	if (reason != NULL)
		return reason;
	if (target->element.kind == BS_HOST_WILDCARD)
		return "a host must be named";
	memset(stats, 0, sizeof(*stats));
	if (!bs_text_copy(stats->target, sizeof(stats->target), text->start, text->len))
		return "it is too long";
	return NULL;
}

typedef struct Wanted
{
	Target target;
	BsForwardStats stats;
} Wanted;

/* Returns the number of targets, or -1 with a message. */
static int
parse_list(const char *list, Wanted *wanted, char *error, size_t error_size)
{
	BsTextList text;
	int n = 0;

	bs_textlist_begin(&text, list);
	while (bs_textlist_next(&text))
	{
		const char *reason =
			n < BS_FORWARD_MAX_TARGETS ? parse_target(&text, &wanted[n].target, &wanted[n].stats)
									   : "there are too many";

		for (int i = 0; i < n && reason == NULL; i++)
			if (strcmp(wanted[i].stats.target, wanted[n].stats.target) == 0)
				reason = "it is named twice";
		if (reason != NULL)
		{
			snprintf(error, error_size, "invalid address \"%.*s\" to forward to: %s",
					 text.len > 80 ? 80 : (int) text.len, text.start, reason);
			return -1;
		}
		n++;
	}
	return n;
}

bool
bs_forward_check(const char *list, char *error, size_t error_size)
{
	Wanted wanted[BS_FORWARD_MAX_TARGETS];

	return parse_list(list, wanted, error, error_size) >= 0;
}

/* ---- targets ---- */

static bool
in_use(const Target *target)
{
	return target->stats->state != BS_FORWARD_UNUSED;
}

static void
set_state(Target *target, BsForwardState state)
{
	__atomic_store_n(&target->stats->state, (uint32_t) state, __ATOMIC_RELEASE);
}

static void
close_target(Target *target)
{
	if (target->fd >= 0)
		close(target->fd);
	target->fd = -1;
	memset(&target->address, 0, sizeof(target->address));
}

static void
remove_target(Target *target)
{
	close_target(target);
	bs_lookup_free(target->lookup);
	target->lookup = NULL;
	set_state(target, BS_FORWARD_UNUSED);
}

/* 127.0.0.0/8, or what the kernel sends to itself from. */
static bool
is_local(int fd, const BsSockaddr *to)
{
	BsSockaddr from;
	socklen_t len = sizeof(from);

	if (to->ss_family == AF_INET &&
		(ntohl(((const struct sockaddr_in *) to)->sin_addr.s_addr) >> 24) == 127)
		return true;
	memset(&from, 0, sizeof(from));
	if (getsockname(fd, (struct sockaddr *) &from, &len) != 0 || from.ss_family != to->ss_family)
		return false;
	if (to->ss_family == AF_INET)
		return ((struct sockaddr_in *) &from)->sin_addr.s_addr ==
			   ((const struct sockaddr_in *) to)->sin_addr.s_addr;
	return memcmp(&((struct sockaddr_in6 *) &from)->sin6_addr,
				  &((const struct sockaddr_in6 *) to)->sin6_addr, 16) == 0;
}

/* Connect to an address, unless that is what it is connected to.  Returns 0 or an errno. */
static int
open_target(Target *target, const BsSockaddr *to)
{
	BsListenAddress address;
	int size = SEND_BUFFER_BYTES;
	int fd;

	bs_address_finish(to, &address);
	if (target->fd >= 0 && memcmp(&address, &target->address, sizeof(address)) == 0)
		return 0;
	fd = socket(to->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *) to, bs_address_size(to)) != 0)
	{
		int error = errno;

		if (fd >= 0)
			close(fd);
		return error;
	}
	(void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* as far as wmem_max goes */
	bs_fragments_allow(fd, to->ss_family);
	close_target(target);
	target->fd = fd;
	target->address = address;
	target->local = is_local(fd, to);
	memcpy(target->stats->address, address.text, sizeof(address.text));
	return 0;
}

/* The end of an attempt to open it. */
static void
opened(Target *target, int error, int lookup_status, int64_t now_usec)
{
	bool ok = error == 0 && lookup_status == 0;

	/* Of a name that is not found again the last address stays good. */
	target->stats->lookup_status = lookup_status;
	if (error != 0)
		target->stats->last_errno = error;
	if (target->fd < 0)
		set_state(target, BS_FORWARD_FAILED);
	else if (target->stats->state != BS_FORWARD_LOOP)
		set_state(target, BS_FORWARD_OPEN);
	target->tend_at = now_usec + (ok ? LOOKUP_AGAIN_USEC : RETRY_USEC);
}

/* The first of its addresses that there is a way to. */
static void
take_lookup(Target *target, int64_t now_usec)
{
	const struct addrinfo *found;
	int status;
	int error = 0;

	if (!bs_lookup_done(target->lookup, &status, &found))
		return;
	if (status == 0)
		error = EADDRNOTAVAIL;
	for (; found != NULL && error != 0; found = found->ai_next)
	{
		BsSockaddr address;

		if (found->ai_family == AF_INET)
			bs_address_ipv4(&address, &((struct sockaddr_in *) found->ai_addr)->sin_addr,
							target->element.port);
		else if (found->ai_family == AF_INET6)
			bs_address_ipv6(&address, &((struct sockaddr_in6 *) found->ai_addr)->sin6_addr,
							((struct sockaddr_in6 *) found->ai_addr)->sin6_scope_id,
							target->element.port);
		else
			continue;
		error = open_target(target, &address);
	}
	bs_lookup_free(target->lookup);
	target->lookup = NULL;
	opened(target, error, status, now_usec);
}

/* localhost is 127.0.0.1, or ::1 where there is no such thing; never asked of DNS. */
static int
open_localhost(Target *target)
{
	const struct in_addr ipv4 = {htonl(INADDR_LOOPBACK)};
	BsSockaddr address;
	int error;

	bs_address_ipv4(&address, &ipv4, target->element.port);
	error = open_target(target, &address);
	if (error == 0)
		return 0;
	bs_address_ipv6(&address, &in6addr_loopback, 0, target->element.port);
	return open_target(target, &address);
}

static int
open_numeric(Target *target)
{
	BsSockaddr address;

	if (bs_address_numeric(&target->element, &address) != NULL)
		return ENODEV; /* the interface of a link-local address */
	return open_target(target, &address);
}

static void
begin_open(Target *target, int64_t now_usec)
{
	switch (target->element.kind)
	{
		case BS_HOST_LOCALHOST:
			opened(target, open_localhost(target), 0, now_usec);
			break;
		case BS_HOST_NAME:
			target->lookup = bs_lookup_begin(target->element.host, SOCK_DGRAM);
			if (target->lookup == NULL)
				opened(target, 0, EAI_MEMORY, now_usec);
			break;
		default:
			opened(target, open_numeric(target), 0, now_usec);
			break;
	}
}

static void
look_for_loop(Target *target, const BsListenAddress *listening, int nlistening)
{
	bool loop = false;

	if (target->fd < 0)
		return;
	for (int i = 0; i < nlistening && target->local; i++)
		loop |= bs_address_covers(&listening[i], &target->address);
	set_state(target, loop ? BS_FORWARD_LOOP : BS_FORWARD_OPEN);
}

void
bs_forward_tend(BsForward *forward, const BsListenAddress *listening, int nlistening,
				int64_t now_usec)
{
	for (int i = 0; i < BS_FORWARD_MAX_TARGETS; i++)
	{
		Target *target = &forward->targets[i];

		if (!in_use(target))
			continue;
		if (target->lookup != NULL)
			take_lookup(target, now_usec);
		else if (now_usec >= target->tend_at)
			begin_open(target, now_usec);
		look_for_loop(target, listening, nlistening);
	}
}

/* ---- which targets ---- */

static Target *
find_target(BsForward *forward, const char *text)
{
	for (int i = 0; i < BS_FORWARD_MAX_TARGETS; i++)
		if (in_use(&forward->targets[i]) && strcmp(forward->targets[i].stats->target, text) == 0)
			return &forward->targets[i];
	return NULL;
}

/* A slot for a new target: the one that has its counts, else a fresh one, else any. */
static Target *
find_slot(BsForward *forward, const char *text)
{
	Target *fresh = NULL;
	Target *any = NULL;

	for (int i = 0; i < BS_FORWARD_MAX_TARGETS; i++)
	{
		Target *target = &forward->targets[i];

		if (in_use(target))
			continue;
		if (strcmp(target->stats->target, text) == 0)
			return target;
		if (target->stats->target[0] == '\0')
			fresh = fresh != NULL ? fresh : target;
		else
			any = any != NULL ? any : target;
	}
	return fresh != NULL ? fresh : any;
}

static void
add_target(BsForward *forward, const Wanted *wanted)
{
	Target *target = find_slot(forward, wanted->stats.target);

	if (strcmp(target->stats->target, wanted->stats.target) != 0)
		*target->stats = wanted->stats;
	target->stats->last_errno = 0;
	target->stats->lookup_status = 0;
	target->stats->address[0] = '\0';
	target->element = wanted->target.element;
	target->tend_at = INT64_MIN;
	set_state(target, BS_FORWARD_RESOLVING);
}

static bool
is_wanted(const Target *target, const Wanted *wanted, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(target->stats->target, wanted[i].stats.target) == 0)
			return true;
	return false;
}

bool
bs_forward_set(BsForward *forward, const char *list, char *error, size_t error_size)
{
	Wanted wanted[BS_FORWARD_MAX_TARGETS];
	int n = parse_list(list, wanted, error, error_size);

	if (n < 0)
		return false;
	if (n > 0 && forward->remembered == NULL)
		forward->remembered = calloc(BS_FORWARD_REMEMBERED, sizeof(Remembered));
	if (n > 0 && forward->remembered == NULL)
	{
		snprintf(error, error_size, "out of memory");
		return false;
	}
	for (int i = 0; i < BS_FORWARD_MAX_TARGETS; i++)
		if (in_use(&forward->targets[i]) && !is_wanted(&forward->targets[i], wanted, n))
			remove_target(&forward->targets[i]);
	for (int i = 0; i < n; i++)
		if (find_target(forward, wanted[i].stats.target) == NULL)
			add_target(forward, &wanted[i]);
	forward->ntargets = (uint32_t) n;
	if (n == 0)
	{
		free(forward->remembered);
		forward->remembered = NULL;
	}
	return true;
}

/* ---- datagrams ---- */

/*
 * Has it come back from where it was forwarded to?  Otherwise it is remembered.  An exporter that sends
 * the same bytes twice does so from the same address.
 */
static bool
has_come_back(BsForward *forward, const BsDatagram *datagram)
{
	uint64_t content = XXH3_64bits(datagram->data, datagram->len_bytes) | 1;
	uint64_t source = XXH3_64bits_withSeed(&datagram->exporter, sizeof(datagram->exporter),
										   datagram->port);
	Remembered *remembered = &forward->remembered[(content >> 1) % BS_FORWARD_REMEMBERED];

	if (remembered->content == content && remembered->source != source &&
		datagram->received_usec - remembered->received_usec < BS_FORWARD_LOOP_USEC)
		return true;
	*remembered = (Remembered){content, source, datagram->received_usec};
	return false;
}

bool
bs_forward_any(const BsForward *forward)
{
	return forward->ntargets > 0;
}

void
bs_forward_begin(BsForward *forward)
{
	forward->n = 0;
	forward->nlooped = 0;
}

void
bs_forward_add(BsForward *forward, const BsDatagram *datagram)
{
	struct iovec *piece = &forward->pieces[forward->n];

	if (has_come_back(forward, datagram))
	{
		forward->nlooped++;
		return;
	}
	piece->iov_base = (void *) (uintptr_t) datagram->data;
	piece->iov_len = datagram->len_bytes;
	forward->n++;
}

/* Does the error mean this one datagram, and not all that follow? */
static bool
is_of_datagram(int error)
{
	return error == EMSGSIZE || error == EINVAL;
}

/*
 * One that the kernel had taken was refused by the host: nobody got it.  That says nothing of the next one,
 * which has not been tried.
 */
static void
count_refused(BsForwardStats *stats)
{
	if (stats->datagrams == 0)
		return;
	stats->datagrams--;
	stats->dropped++;
}

static void
send_to(BsForward *forward, Target *target)
{
	BsForwardStats *stats = target->stats;
	uint32_t done = 0; /* sent or given up */
	uint32_t ndropped = 0;
	bool cut = false; /* the last call sent less than it was to */

	for (int calls = 0; calls < MAX_CALLS && done < forward->n; calls++)
	{
		/* sendmmsg keeps the error to itself when it has sent anything: the next one alone shows it. */
		uint32_t wanted = cut ? 1 : forward->n - done;
		int n = sendmmsg(target->fd, forward->headers + done, wanted, MSG_DONTWAIT | MSG_NOSIGNAL);

		for (int i = 0; i < n; i++)
			stats->bytes += forward->pieces[done + (uint32_t) i].iov_len;
		if (n > 0)
		{
			stats->datagrams += (uint64_t) n;
			done += (uint32_t) n;
			cut = (uint32_t) n < wanted;
			continue;
		}
		cut = false;
		stats->last_errno = errno;
		if (is_of_datagram(errno))
		{
			ndropped++;
			done++;
		}
		else if (errno == ECONNREFUSED)
			count_refused(stats);
		else if (errno != EINTR)
			break;
	}
	stats->dropped += ndropped + (forward->n - done);
}

void
bs_forward_send(BsForward *forward)
{
	for (int i = 0; i < BS_FORWARD_MAX_TARGETS; i++)
	{
		Target *target = &forward->targets[i];

		if (!in_use(target))
			continue;
		target->stats->looped += forward->nlooped;
		if (target->stats->state == BS_FORWARD_OPEN)
			send_to(forward, target);
		else if (target->stats->state == BS_FORWARD_LOOP)
			target->stats->looped += forward->n;
		else
			target->stats->dropped += forward->n;
	}
}

/* ---- life ---- */

BsForward *
bs_forward_create(BsForwardStats *stats)
{
	BsForward *forward = calloc(1, sizeof(BsForward));

	if (forward == NULL)
		return NULL;
	for (int i = 0; i < BS_FORWARD_MAX_TARGETS; i++)
	{
		Target *target = &forward->targets[i];

		target->stats = &stats[i];
		target->fd = -1;
		stats[i].target[BS_FORWARD_TEXT - 1] = '\0';
		set_state(target, BS_FORWARD_UNUSED); /* a predecessor may have died with it open */
	}
	for (int i = 0; i < BS_UDP_VECTOR; i++)
	{
		forward->headers[i].msg_hdr.msg_iov = &forward->pieces[i];
		forward->headers[i].msg_hdr.msg_iovlen = 1;
	}
	return forward;
}

void
bs_forward_free(BsForward *forward)
{
	if (forward == NULL)
		return;
	for (int i = 0; i < BS_FORWARD_MAX_TARGETS; i++)
		remove_target(&forward->targets[i]);
	free(forward->remembered);
	free(forward);
}
