/* SPDX-License-Identifier: PostgreSQL */
/*
 * steer.h: which of several workers' sockets takes a datagram.
 *
 * The sockets that several processes bind to one address with SO_REUSEPORT are a group.  A classic
 * BPF program on the group picks a socket by a hash of the source address, so that all datagrams of
 * an exporter, whatever their source port, meet the same templates and the same sequence.
 *
 * What is guaranteed: as long as no socket joins or leaves the group, a source address stays with
 * one socket.  What is not: the kernel numbers the sockets in the order in which they were bound
 * and, when one is closed, moves the last into the hole.  So socket i need not be worker i's; while
 * one of n is missing, sources that hash to n-1 are spread by the kernel's own hash over the rest;
 * and after it is back the sources of two workers, its own and those of the one that was last, may
 * have changed places.  Those exporters' sets are counted as unknown_template until they send their
 * templates again, and an exporter that comes back to a worker shows it a gap in the sequence that
 * is no loss: docs/decisions/0002-steering.md.
 */
#ifndef BS_STEER_H
#define BS_STEER_H

#include "listen.h"
#include "../src/engine/types.h"

/*
 * Put the program on the group of a bound socket.  family is AF_INET or AF_INET6 (V6ONLY), nsockets
 * 1 to 65535.  Sockets that join the group later are under it too, and putting the same program
 * there again changes nothing.  Returns 0 or an errno.  Needs no privilege.  Linux 4.5.
 */
extern int bs_steer_attach(int fd, int family, uint32_t nsockets);

/* The number of the socket in its group that the program picks for a source address. */
extern uint32_t bs_steer_index(const BsInet *source, uint32_t nsockets);

/*
 * How many UDP sockets of this host (and network name space) are bound to exactly this address and
 * port, as /proc/net/udp and udp6 tell; 0 when they cannot be read, or tell too little (link-local
 * addresses).  Two servers of one user that share a port by mistake would each take a part of the
 * datagrams: more sockets than workers show it.
 */
extern uint32_t bs_steer_count_bound(const BsListenAddress *address);

#endif
