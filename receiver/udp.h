/* SPDX-License-Identifier: PostgreSQL */
/*
 * udp.h: UDP sockets of one receiving worker: open, drain, count.
 *
 * A listener is one bound socket.  Several workers bind the same address with SO_REUSEPORT; a classic
 * BPF program steers each datagram by a hash of its source address to one worker, so that all
 * datagrams of an exporter address meet the same templates.  No PostgreSQL, no logging: results are
 * status values with text that the caller reports.
 */
#ifndef BS_UDP_H
#define BS_UDP_H

#include "decode.h"

#define BS_ADDRESS_TEXT 64 /* room for "[ipv6%scope]:port" */

/* "host:port", "*:port", "[ipv6]:port", ":port": one element of backstream.listen. */
typedef struct BsListenAddress
{
	char text[BS_ADDRESS_TEXT]; /* numeric, for display: 127.0.0.1:2055, [::1]:2055 */
	struct
	{
		uint32_t len;
		uint8_t bytes[128]; /* struct sockaddr_storage */
	} sockaddr;
} BsListenAddress;

/*
 * Parse a comma-separated list into addresses (a name or * can give several: IPv4 and IPv6).  Returns
 * the number found (at most max), or -1 with a message in error (for the user; no newline).
 * resolve=false only checks the syntax (no look-up of names; returns 0 or -1).
 */
extern int bs_listen_parse(const char *list, bool resolve, BsListenAddress *addresses, int max,
						   char *error, size_t error_size);

/* A list of CIDRs "10.0.0.0/8, 2001:db8::/32"; empty allows everybody. */
typedef struct BsAllowList
{
	uint32_t nentries;
	BsInet *entries;
} BsAllowList;

extern bool bs_allow_parse(const char *list, BsAllowList *allow, char *error, size_t error_size);
extern void bs_allow_free(BsAllowList *allow);
extern bool bs_allow_matches(const BsAllowList *allow, const BsInet *address);

/* Counters of one listener; in shared memory in the server, one writer (its worker). */
typedef struct BsListenerStats
{
	char address[BS_ADDRESS_TEXT];
	uint32_t worker;
	uint32_t state;        /* BsListenerState */
	int32_t last_errno;    /* why it is not open */
	uint32_t receive_buffer_bytes; /* as granted by the kernel */
	uint64_t datagrams;
	uint64_t bytes;
	uint64_t kernel_drops; /* SO_RXQ_OVFL: dropped because the buffer was full; over re-opens too */
	uint64_t rejected;     /* refused by backstream.allow */
	uint64_t not_export;   /* of no known version */
	uint64_t truncated;    /* longer than the buffer */
	uint64_t receive_errors;
} BsListenerStats;

typedef enum BsListenerState
{
	BS_LISTENER_UNUSED = 0,
	BS_LISTENER_OPEN,
	BS_LISTENER_FAILED /* being retried */
} BsListenerState;

/*
 * loop.h's part: the receiver of one worker, on a libev loop of its own (ev_loop_new, never the
 * default loop).  Everything is called from one thread.
 */
typedef struct BsReceiver BsReceiver;

typedef struct BsReceiverConfig
{
	uint32_t worker;          /* 0 .. nworkers-1 */
	uint32_t nworkers;        /* > 1: SO_REUSEPORT with steering */
	uint32_t receive_buffer_bytes;
	double nap_seconds;       /* between drains that ended short; 0: none */
	BsListenerStats *listener_stats; /* [max_listeners]: caller's, zeroed or a predecessor's */
	uint32_t max_listeners;
	BsDecoder *decoder;
	BsBatch *batch;           /* what the decoder fills */
	int64_t (*now_usec)(void); /* arrival clock, PostgreSQL epoch */
} BsReceiverConfig;

extern BsReceiver *bs_receiver_create(const BsReceiverConfig *config);
extern void bs_receiver_free(BsReceiver *receiver); /* closes the sockets */

/*
 * Listen on exactly these addresses from now on: sockets of addresses that stay are kept open with
 * what is queued in them.  Addresses that cannot be bound are FAILED in their stats with errno and
 * retried by bs_receiver_retry().  Returns the number that failed.
 */
extern int bs_receiver_listen(BsReceiver *receiver, const BsListenAddress *addresses, int naddresses);
extern int bs_receiver_retry(BsReceiver *receiver);
extern void bs_receiver_set_allow(BsReceiver *receiver, const BsAllowList *allow); /* copies */
extern void bs_receiver_set_batch(BsReceiver *receiver, BsBatch *batch);
extern void bs_receiver_set_nap(BsReceiver *receiver, double nap_seconds);
extern void bs_receiver_set_buffer(BsReceiver *receiver, uint32_t receive_buffer_bytes);

/* Watch one more descriptor for reading (the postmaster's death pipe); readiness ends a wait. */
extern void bs_receiver_watch(BsReceiver *receiver, int fd);

/*
 * Wait until a socket is readable, the timeout has passed, bs_receiver_wake() was called, or a watched
 * descriptor is ready; nap as configured.  Fills nothing.  Never calls back into the caller.
 */
extern void bs_receiver_wait(BsReceiver *receiver, double timeout_seconds);

/*
 * Receive what is queued, at most max_datagrams, and decode it into the batch (whose sink runs when it
 * is full).  Returns the number received.  The rest stays in the batch: the caller flushes it.
 */
extern uint32_t bs_receiver_drain(BsReceiver *receiver, uint32_t max_datagrams);

/* End a wait.  Async-signal-safe. */
extern void bs_receiver_wake(BsReceiver *receiver);

#endif
