/* SPDX-License-Identifier: PostgreSQL */
/*
 * address.h: host and port of the settings, from text to socket addresses.
 *
 * What listen.h and forward.h have in common.  Owns nothing, asks no resolver.
 */
#ifndef BS_ADDRESS_H
#define BS_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "textlist.h"

typedef struct sockaddr_storage BsSockaddr; /* of <sys/socket.h>, which not everybody wants */

#define BS_ADDRESS_TEXT 64 /* room for "[ipv6%scope]:port" */

/* One address, numeric. */
typedef struct BsListenAddress
{
	char text[BS_ADDRESS_TEXT]; /* numeric, for display: 127.0.0.1:2055, [::1]:2055, 0.0.0.0:2055 */
	struct
	{
		uint32_t len;
		uint8_t bytes[128]; /* struct sockaddr_storage; unused bytes are zero */
	} sockaddr;
} BsListenAddress;

#define BS_MAX_SCOPE 16 /* an interface's name: IF_NAMESIZE */
#define BS_MAX_HOST 254 /* a DNS name has at most 253 characters (RFC 1035, 2.3.4) */

/* What may stand in the place of the host. */
typedef enum BsHostKind
{
	BS_HOST_WILDCARD,
	BS_HOST_LOCALHOST,
	BS_HOST_IPV4,
	BS_HOST_IPV6,
	BS_HOST_NAME
} BsHostKind;

/* One element of a list, taken apart. */
typedef struct BsHostPort
{
	BsHostKind kind;
	char host[BS_MAX_HOST];  /* without brackets and scope */
	char scope[BS_MAX_SCOPE]; /* of an IPv6 address; empty: none */
	uint16_t port;
} BsHostPort;

/* Take "host:port" apart (listen.h says what may stand there).  NULL, or what is wrong with it. */
extern const char *bs_hostport_parse(const BsTextList *text, BsHostPort *element);

/* The address of an element of kind BS_HOST_IPV4 or BS_HOST_IPV6.  NULL, or what is wrong with it. */
extern const char *bs_address_numeric(const BsHostPort *element, BsSockaddr *address);

/* Padding is zeroed, so that equal addresses are equal bytes.  ip: 4 bytes, in network order. */
extern void bs_address_ipv4(BsSockaddr *address, const void *ip, uint16_t port);

struct in6_addr;

/* An IPv4-mapped address (RFC 4291, 2.5.5.2) becomes the IPv4 address. */
extern void bs_address_ipv6(BsSockaddr *address, const struct in6_addr *ip, uint32_t scope_id,
							uint16_t port);

/* Bytes of a socket address of its family. */
extern uint32_t bs_address_size(const BsSockaddr *address);

/* Would a socket bound to a receive all that one bound to b would (of addresses of this host)? */
extern bool bs_address_covers(const BsListenAddress *a, const BsListenAddress *b);

/* With its text. */
extern void bs_address_finish(const BsSockaddr *address, BsListenAddress *finished);

#endif
