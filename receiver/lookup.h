/* SPDX-License-Identifier: PostgreSQL */
/*
 * lookup.h: the addresses of a name, without waiting for a slow resolver.
 *
 * getaddrinfo() may take half a minute.  The C library's getaddrinfo_a() does the same in a thread of
 * its own, which runs no code of ours and takes no signals.
 *
 * What a look-up writes to must outlive it: one that cannot be cancelled is put aside and freed when it
 * has ended, at the latest when the next one is begun or freed after that.  There are never more than
 * look-ups that hang.  All is called from one thread.
 */
#ifndef BS_LOOKUP_H
#define BS_LOOKUP_H

#include <netdb.h>
#include <stdbool.h>

typedef struct BsLookup BsLookup;

/* Begin to look a name up, for sockets of this type (SOCK_DGRAM, ...).  NULL when memory is out. */
extern BsLookup *bs_lookup_begin(const char *name, int socktype);

/*
 * Has it ended?  Then *status is 0 and *found the list of addresses, which goes with the look-up; or
 * *status is what gai_strerror() takes.
 */
extern bool bs_lookup_done(BsLookup *lookup, int *status, const struct addrinfo **found);

/* Cancels it if need be. */
extern void bs_lookup_free(BsLookup *lookup);

#endif
