/* SPDX-License-Identifier: PostgreSQL */
/*
 * forward.h: copies of what is received, to other collectors.
 *
 * Each target has a connected, non-blocking socket of its own.  What the kernel does not take at once is
 * dropped and counted: nothing is queued here, nothing is waited for, and a target that fails costs a
 * bounded number of system calls per vector of datagrams.  Names are looked up in the background
 * (lookup.h), again every minute.  The sender's address is lost: targets see this host as the exporter.
 *
 * Loops are noticed in two ways.  A target that is a socket of this receiver gets nothing (BS_FORWARD_LOOP).
 * A datagram that comes from elsewhere with the bytes of one that was forwarded lately has come back, by
 * however many collectors: it is counted, and not forwarded again.
 *
 * Memory: BS_FORWARD_REMEMBERED * 24 bytes = 1.5 MB, only while there are targets.  One thread, no clock,
 * no log: the stats say what is wrong.
 */
#ifndef BS_FORWARD_H
#define BS_FORWARD_H

#include "address.h"
#include "decode.h"

#define BS_FORWARD_MAX_TARGETS 16
#define BS_FORWARD_TEXT 272 /* room for "host:port" as it was written */
#define BS_FORWARD_REMEMBERED 65536
#define BS_FORWARD_LOOP_USEC 2000000 /* what comes back later is taken for another datagram */

typedef enum BsForwardState
{
	BS_FORWARD_UNUSED = 0,
	BS_FORWARD_RESOLVING, /* the name is being looked up, for the first time */
	BS_FORWARD_OPEN,
	BS_FORWARD_FAILED, /* no address, or no socket: tried again every five seconds */
	BS_FORWARD_LOOP    /* it is a socket of this receiver: gets nothing */
} BsForwardState;

/*
 * Counters of one target; in shared memory in the server, one writer.  A slot outlives its target, so that
 * counts go on when the target comes back or the worker restarts.  Datagrams offered since the target was
 * named are datagrams + dropped + looped.
 */
typedef struct BsForwardStats
{
	char target[BS_FORWARD_TEXT];  /* as written */
	char address[BS_ADDRESS_TEXT]; /* numeric; empty: not known (yet) */
	uint32_t state;                /* BsForwardState; set last */
	int32_t last_errno;            /* of opening, or of the last send that failed; 0: none */
	int32_t lookup_status;         /* of the last look-up, as gai_strerror() takes it; 0: all is well */
	uint64_t datagrams;            /* handed to the kernel, and not refused by the host as far as it says */
	uint64_t bytes;                /* of UDP payload, handed to the kernel */
	uint64_t dropped; /* not sent: the socket's buffer was full, the host away, the target not open */
	uint64_t looped;  /* not sent, because they had come back */
} BsForwardStats;

typedef struct BsForward BsForward;

/*
 * Check the syntax of a comma-separated list of host:port, as of listen.h but without *.  False with a
 * message for the user in error: bad syntax, more than BS_FORWARD_MAX_TARGETS, a target named twice.
 */
extern bool bs_forward_check(const char *list, char *error, size_t error_size);

/* stats: [BS_FORWARD_MAX_TARGETS], the caller's, zeroed or a predecessor's.  NULL when memory is out. */
extern BsForward *bs_forward_create(BsForwardStats *stats);
extern void bs_forward_free(BsForward *forward);

/* Forward to exactly these from now on; sockets of those that stay are kept.  As bs_forward_check(). */
extern bool bs_forward_set(BsForward *forward, const char *list, char *error, size_t error_size);

/* Is there any target? */
extern bool bs_forward_any(const BsForward *forward);

/*
 * Take up names that were found, try again what failed, notice targets among the addresses that are
 * listened on.  Never waits; to be called a few times a second.  now_usec: any clock.
 */
extern void bs_forward_tend(BsForward *forward, const BsListenAddress *listening, int nlistening,
							int64_t now_usec);

/*
 * Copy datagrams: begin, add up to BS_UDP_VECTOR of them, send.  Their data must stay until then; a
 * begin forgets what was added and not sent.
 */
extern void bs_forward_begin(BsForward *forward);
extern void bs_forward_add(BsForward *forward, const BsDatagram *datagram);
extern void bs_forward_send(BsForward *forward);

#endif
