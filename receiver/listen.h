/* SPDX-License-Identifier: PostgreSQL */
/*
 * listen.h: the addresses of backstream.listen, from text to socket addresses.
 *
 * Owns nothing: results go to the caller's array.  Looking up a name asks the system's resolver and
 * may block for as long as that does.
 */
#ifndef BS_LISTEN_H
#define BS_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

/*
 * Parse a comma-separated list into addresses.  An element is
 *
 *   192.0.2.1:2055     an IPv4 address (four decimal numbers; no 127.1, no 0x7f.1)
 *   [2001:db8::1]:2055 an IPv6 address, with %scope where it is link-local
 *   collector:2055     a name: all its IPv4 and IPv6 addresses
 *   localhost:2055     127.0.0.1 and ::1, whichever this host has; never asked of DNS
 *   *:2055 or :2055    every address of this host, IPv4 and IPv6
 *
 * with a port of 1 to 65535, which must be given.  An IPv4-mapped IPv6 address is its IPv4 address.
 * Duplicates are dropped, and so are addresses that a wildcard of the same family and port in the
 * list covers.  An empty list is valid and has no addresses.
 *
 * Returns the number found (at most max), or -1 with a message in error (for the user; no newline):
 * bad syntax, a name that cannot be found, or more than max addresses.  resolve=false only checks
 * the syntax: it looks up no names, stores nothing and returns 0 or -1.
 */
extern int bs_listen_parse(const char *list, bool resolve, BsListenAddress *addresses, int max,
						   char *error, size_t error_size);

#endif
