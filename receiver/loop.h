/* SPDX-License-Identifier: PostgreSQL */
/*
 * loop.h: the receiver of one worker: listen, wait, drain, count.
 *
 * What ring 2 and the tools use; it stands on listen.h (addresses), allow.h (who may export), udp.h
 * (sockets), steer.h (which worker takes which exporter), forward.h (copies to others) and decode.h.
 *
 * A receiver owns its sockets, its receive buffers (bounded, udp.h) and a libev loop of its own
 * (ev_loop_new, never the default loop).  All is called from one thread, except bs_receiver_wake().
 * No PostgreSQL, no logging: what is wrong stands in the BsListenerStats.  libev's callbacks set
 * flags and nothing else; the caller's code runs only inside bs_receiver_drain() (the clock, the
 * batch's sink), with no libev on the stack.  A sink should not longjmp all the same: datagrams
 * received with the present one, already counted in datagrams, would stay undecoded.
 *
 * The worker's loop:
 *
 *   bs_receiver_wait(receiver, 0.1);
 *   ... look at the flags that signal handlers set ...
 *   while (bs_receiver_drain(receiver, 4096) == 4096)
 *       ... flush, look at the flags ...
 *   ... flush the batch ...
 */
#ifndef BS_LOOP_H
#define BS_LOOP_H

#include "allow.h"
#include "decode.h"
#include "forward.h"
#include "listen.h"

typedef enum BsListenerState
{
	BS_LISTENER_UNUSED =
		0, /* no socket; with an address: it was listened on, and its counts stand */
	BS_LISTENER_OPEN,
	BS_LISTENER_FAILED /* cannot be bound; being retried */
} BsListenerState;

/*
 * Counters of one listener; in shared memory in the server, one writer (its worker).  A reader may
 * look at any time: counters are aligned words, state is set last (release).  A slot outlives its
 * socket, so that counts go on when an address comes back or a worker restarts.
 *
 * datagrams + kernel_drops is what reached the socket.  Of the datagrams, rejected, not_export,
 * truncated and those that the decoder refuses yield no records.
 */
typedef struct BsListenerStats
{
	char address[BS_ADDRESS_TEXT];
	uint32_t worker;
	uint32_t state;                /* BsListenerState */
	int32_t last_errno;            /* why it is not open, or the last error of receiving */
	uint32_t receive_buffer_bytes; /* as granted, in the unit of the setting (bs_udp_set_buffer) */
	uint64_t datagrams;            /* received, whatever became of them */
	uint64_t bytes;                /* of UDP payload, likewise */
	uint64_t kernel_drops; /* the kernel's count (SO_RXQ_OVFL): mostly a full buffer; over re-opens
							  too */
	uint64_t rejected;     /* refused by backstream.allow */
	uint64_t not_export;   /* of no known version, empty ones among them */
	uint64_t truncated;    /* longer than the buffer: cannot happen, counted all the same */
	uint64_t receive_errors;
	uint64_t discarded; /* in the queue when the socket was closed; not among datagrams */
} BsListenerStats;

typedef struct BsReceiver BsReceiver;

typedef struct BsReceiverConfig
{
	uint32_t worker;   /* 0 .. nworkers-1, for the stats */
	uint32_t nworkers; /* > 1: SO_REUSEPORT with steering (steer.h) */
	uint32_t receive_buffer_bytes;
	double nap_seconds;              /* between drains that ended short; 0: none */
	BsListenerStats *listener_stats; /* [max_listeners]: caller's, zeroed or a predecessor's */
	uint32_t max_listeners;
	BsDecoder *decoder;        /* NULL: datagrams are counted and thrown away */
	BsBatch *batch;            /* what the decoder fills */
	int64_t (*now_usec)(void); /* arrival clock, PostgreSQL epoch; asked once per recvmmsg */
	BsForwardStats *forward_stats; /* as of bs_forward_create(); NULL: it cannot forward */
} BsReceiverConfig;

/* NULL when memory or descriptors are out.  Takes over the counts of a predecessor, opens nothing.
 */
extern BsReceiver *bs_receiver_create(const BsReceiverConfig *config);

/* Closes the sockets; what is queued in them is counted as discarded. */
extern void bs_receiver_free(BsReceiver *receiver);

/*
 * Listen on exactly these addresses from now on: sockets of addresses that stay are kept open with
 * what is queued in them.  Addresses that cannot be bound are FAILED in their stats with errno and
 * retried by bs_receiver_retry().  Returns the number that failed, those beyond max_listeners among
 * them.
 */
extern int bs_receiver_listen(BsReceiver *receiver, const BsListenAddress *addresses,
							  int naddresses);

/* Try the failed ones again.  Returns the number that still fail. */
extern int bs_receiver_retry(BsReceiver *receiver);

/* Who may export from now on.  Copies; false when memory is out (the old list stands). */
extern bool bs_receiver_set_allow(BsReceiver *receiver, const BsAllowList *allow);

/*
 * Forward what is allowed to exactly these targets from now on, of no known version or not, after it has
 * been decoded.  As bs_forward_set().
 */
extern bool bs_receiver_set_forward(BsReceiver *receiver, const char *list, char *error,
									size_t error_size);

/* To be called a few times a second while there are such: bs_forward_tend(). */
extern void bs_receiver_tend_forward(BsReceiver *receiver, int64_t now_usec);

extern void bs_receiver_set_batch(BsReceiver *receiver, BsBatch *batch);
extern void bs_receiver_set_nap(BsReceiver *receiver, double nap_seconds);

/* Also of the sockets that are open; see receive_buffer_bytes in their stats for what was granted.
 */
extern void bs_receiver_set_buffer(BsReceiver *receiver, uint32_t receive_buffer_bytes);

/*
 * Watch one more descriptor for reading (the postmaster's death pipe); readiness ends a wait.  At
 * most BS_RECEIVER_MAX_WATCHED; false beyond.
 */
#define BS_RECEIVER_MAX_WATCHED 4
extern bool bs_receiver_watch(BsReceiver *receiver, int fd);

/*
 * Wait until a socket is readable, the timeout has passed, bs_receiver_wake() was called (also
 * before the wait), a watched descriptor is ready, or a signal came.  Fills nothing, never calls
 * back.
 *
 * When the last drain received something and emptied the queues, it first naps: the process is not
 * woken for every few datagrams, which costs more than all else (a wake-up, a watched descriptor
 * and a signal end the nap too).  When the last drain left something queued, it returns at once.
 */
extern void bs_receiver_wait(BsReceiver *receiver, double timeout_seconds);

/*
 * Receive what is queued, at most max_datagrams, and decode it into the batch (whose sink runs when
 * it is full).  Returns the number received.  The rest stays in the batch: the caller flushes it.
 * Only sockets that a wait found readable are looked at; they take turns, BS_UDP_VECTOR datagrams
 * each.
 */
extern uint32_t bs_receiver_drain(BsReceiver *receiver, uint32_t max_datagrams);

/*
 * Datagrams that reached the sockets of this receiver and were never received, since it was made: kernel_drops and
 * discarded of all listeners, those among them that are no more.  As of the last drain.
 */
extern uint64_t bs_receiver_drops(const BsReceiver *receiver);

/* End a wait, or the next one.  Async-signal-safe and thread-safe; keeps errno. */
extern void bs_receiver_wake(BsReceiver *receiver);

#endif
