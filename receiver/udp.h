/* SPDX-License-Identifier: PostgreSQL */
/*
 * udp.h: UDP sockets and the buffers that datagrams are received into.
 *
 * What loop.c is made of; other rings include loop.h.  Sockets are the caller's file descriptors; a
 * BsUdpVector owns its buffers.  No loop, no clock, no counters.  Linux 4.12.
 */
#ifndef BS_UDP_H
#define BS_UDP_H

#include "decode.h"
#include "listen.h"

/*
 * Open and bind a non-blocking socket.  nworkers > 1 shares the address with the sockets of the
 * other workers, steered by source address (steer.h).  IPv6 sockets receive no IPv4.
 *
 * Returns the descriptor, or -1 with the reason in *error (an errno).  EADDRINUSE also says that
 * there are more sockets than workers on a shared address: somebody else's are among them.
 */
extern int bs_udp_open(const BsListenAddress *address, uint32_t nworkers, int *error);

/*
 * Ask for a receive buffer, beyond net.core.rmem_max where the process may (CAP_NET_ADMIN). Returns
 * what was granted, in the unit of the request: the kernel doubles it, as it charges its own
 * overhead to the buffer (a datagram of 1464 bytes takes 2304), and getsockopt tells the double.
 */
extern uint32_t bs_udp_set_buffer(int fd, uint32_t bytes);

/*
 * Datagrams that the kernel dropped at this socket since it was opened, modulo 2^32 (what
 * SO_RXQ_OVFL attaches to a datagram; asked for by SO_MEMINFO, it is also known when no datagram
 * follows the drop). False when the kernel does not say.
 */
extern bool bs_udp_get_drops(int fd, uint32_t *drops);

/* Drops since *seen, which moves on to now. */
static inline uint32_t
bs_udp_drops_since(uint32_t *seen, uint32_t now)
{
	uint32_t since = now - *seen;

	*seen = now;
	return since;
}

/*
 * Stop receiving on a socket that is about to be closed, and count what was queued in it and is
 * lost. From here on the kernel counts what arrives as dropped.
 */
extern uint64_t bs_udp_discard(int fd);

/*
 * Buffers for one recvmmsg of up to BS_UDP_VECTOR datagrams, each of any legal length: 65,527 bytes
 * at most (65,535 less the UDP header).
 *
 *   |  64 kB  |  2 kB  |  64 kB  |  2 kB  | ...
 *
 * Memory is BS_UDP_VECTOR * 66 kB = 8.4 MB of addresses, of which ordinary datagrams touch one page
 * each.  The gap spreads the beginnings of the buffers over the caches; with it no Ethernet frame's
 * payload crosses a page.
 */
#define BS_UDP_VECTOR 128
#define BS_UDP_MAX_BYTES 65536
#define BS_UDP_STRIDE (BS_UDP_MAX_BYTES + 2048)

typedef struct BsUdpVector BsUdpVector;

/* NULL when memory is out. */
extern BsUdpVector *bs_udp_vector_create(void);
extern void bs_udp_vector_free(BsUdpVector *vector);

/*
 * Receive what is queued, at most max (BS_UDP_VECTOR is taken where it is more), without waiting.
 * Returns the number, 0 when nothing is queued, or a negated errno.  Overwrites what was received
 * before.
 */
extern int bs_udp_vector_receive(BsUdpVector *vector, int fd, uint32_t max);

/*
 * Describe datagram i of the last receive: all but received_usec.  Its data stay until the next
 * receive.  False when it was longer than the buffers (no legal datagram is) and has been cut.
 */
extern bool bs_udp_vector_get(BsUdpVector *vector, uint32_t i, BsDatagram *datagram);

#endif
