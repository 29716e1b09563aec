/* SPDX-License-Identifier: PostgreSQL */
/* listen.c: parse the list of addresses to listen on.  See listen.h. */
#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "textlist.h"

typedef BsSockaddr Address;

/* The caller's array while it is being filled. */
typedef struct Found
{
	BsListenAddress *addresses;
	int n;
	int max;
} Found;

/* Add unless covered; drop what the new one covers.  False when the array is full. */
static bool
add(Found *found, const Address *address)
{
	BsListenAddress new;
	int kept = 0;

	bs_address_finish(address, &new);
	for (int i = 0; i < found->n; i++)
		if (bs_address_covers(&found->addresses[i], &new))
			return true;
	for (int i = 0; i < found->n; i++)
		if (!bs_address_covers(&new, &found->addresses[i]))
			found->addresses[kept++] = found->addresses[i];
	found->n = kept;
	if (found->n >= found->max)
		return false;
	found->addresses[found->n++] = new;
	return true;
}

/* Can this host bind the address, on some free port?  For the addresses that a word stands for. */
static bool
host_has(const Address *address)
{
	Address probe = *address;
	int fd = socket(probe.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool missing;

	if (fd < 0)
		return errno != EAFNOSUPPORT;
	((struct sockaddr_in *) &probe)->sin_port = 0;
	missing =
		bind(fd, (struct sockaddr *) &probe, bs_address_size(&probe)) != 0 && errno == EADDRNOTAVAIL;
	close(fd);
	return !missing;
}

/* Both families of * or localhost. */
static const char *
resolve_pair(const BsHostPort *element, Found *found)
{
	bool wildcard = element->kind == BS_HOST_WILDCARD;
	const struct in_addr ipv4 = {htonl(wildcard ? INADDR_ANY : INADDR_LOOPBACK)};
	const struct in6_addr ipv6 = wildcard ? in6addr_any : in6addr_loopback;
	Address address;

	bs_address_ipv4(&address, &ipv4, element->port);
	if (host_has(&address) && !add(found, &address))
		return "too many addresses";
	bs_address_ipv6(&address, &ipv6, 0, element->port);
	if (host_has(&address) && !add(found, &address))
		return "too many addresses";
	return NULL;
}

static const char *
resolve_numeric(const BsHostPort *element, Found *found)
{
	Address address;
	const char *reason = bs_address_numeric(element, &address);

	if (reason != NULL)
		return reason;
	return add(found, &address) ? NULL : "too many addresses";
}

static const char *
resolve_name(const BsHostPort *element, Found *found)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
	struct addrinfo *answer = NULL;
	const char *reason = NULL;
	int status = getaddrinfo(element->host, NULL, &hints, &answer);

	if (status != 0)
		return gai_strerror(status);
	for (struct addrinfo *one = answer; one != NULL && reason == NULL; one = one->ai_next)
	{
		Address address;

		if (one->ai_family == AF_INET)
			bs_address_ipv4(&address, &((struct sockaddr_in *) one->ai_addr)->sin_addr, element->port);
		else if (one->ai_family == AF_INET6)
		{
			const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) one->ai_addr;

			bs_address_ipv6(&address, &in6->sin6_addr, in6->sin6_scope_id, element->port);
		}
		else
			continue;
		if (!add(found, &address))
			reason = "too many addresses";
	}
	freeaddrinfo(answer);
	return reason;
}

static const char *
resolve_element(const BsHostPort *element, Found *found)
{
	static const char *(*const resolvers[])(const BsHostPort *, Found *) = {
		[BS_HOST_WILDCARD] = resolve_pair, [BS_HOST_LOCALHOST] = resolve_pair,
		[BS_HOST_IPV4] = resolve_numeric,  [BS_HOST_IPV6] = resolve_numeric,
		[BS_HOST_NAME] = resolve_name,
	};

	return resolvers[element->kind](element, found);
}

int
bs_listen_parse(const char *list, bool resolve, BsListenAddress *addresses, int max, char *error,
				size_t error_size)
{
	Found found = {.addresses = addresses, .n = 0, .max = max};
	BsTextList text;

	bs_textlist_begin(&text, list);
	while (bs_textlist_next(&text))
	{
		BsHostPort element;
		const char *reason = bs_hostport_parse(&text, &element);

		if (reason == NULL && resolve)
			reason = resolve_element(&element, &found);
		if (reason != NULL)
		{
			snprintf(error, error_size, "invalid listen address \"%.*s\": %s",
					 text.len > 80 ? 80 : (int) text.len, text.start, reason);
			return -1;
		}
	}
	return found.n;
}
