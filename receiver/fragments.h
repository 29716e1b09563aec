/* SPDX-License-Identifier: PostgreSQL */
/*
 * fragments.h: sockets that send datagrams over links too small for them.  Owns nothing.
 */
#ifndef BS_FRAGMENTS_H
#define BS_FRAGMENTS_H

#include <netinet/in.h>
#include <sys/socket.h>

/*
 * Let routers cut what a link on the way is too small for (IPv4: the DF bit is not set), and what this host knows of such
 * links (IPv6: from Packet Too Big, RFC 8201) cut here.  By Linux's default the datagram is lost, and so is the next one, which a
 * connected socket refuses with EMSGSIZE.  Families other than the two are left as they are.
 */
static inline void
bs_fragments_allow(int fd, int family)
{
	int ipv4 = IP_PMTUDISC_DONT;
	int ipv6 = IPV6_PMTUDISC_DONT;

	if (family == AF_INET)
		(void) setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &ipv4, sizeof(ipv4));
	else if (family == AF_INET6)
		(void) setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &ipv6, sizeof(ipv6));
}

#endif
