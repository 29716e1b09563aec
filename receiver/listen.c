/* SPDX-License-Identifier: PostgreSQL */
/* listen.c: parse the list of addresses to listen on.  See listen.h. */
#define _GNU_SOURCE 1 /* memrchr */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "textlist.h"

#define MAX_HOST 254 /* a DNS name has at most 253 characters (RFC 1035, 2.3.4) */

/* What may stand in the place of the host. */
typedef enum HostKind
{
	HOST_WILDCARD,
	HOST_LOCALHOST,
	HOST_IPV4,
	HOST_IPV6,
	HOST_NAME
} HostKind;

/* One element of the list, taken apart. */
typedef struct Element
{
	HostKind kind;
	char host[MAX_HOST];     /* without brackets and scope */
	char scope[IF_NAMESIZE]; /* of an IPv6 address; empty: none */
	uint16_t port;
} Element;

/* The caller's array while it is being filled. */
typedef struct Found
{
	BsListenAddress *addresses;
	int n;
	int max;
} Found;

typedef struct sockaddr_storage Address;

/* 1 to 65535 in decimal digits; 0 otherwise. */
static uint16_t
parse_port(const char *text, size_t len)
{
	uint32_t port = 0;

	if (len < 1 || len > 5)
		return 0;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return 0;
		port = port * 10 + (uint32_t) (text[i] - '0');
	}
	return port <= UINT16_MAX ? (uint16_t) port : 0;
}

static bool
is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Labels of letters, digits, - and _, separated by single dots; one dot may end the name. */
static bool
is_host_name(const char *name)
{
	bool label_open = false;

	for (const char *c = name; *c != '\0'; c++)
	{
		if (*c == '.' && !label_open)
			return false;
		if (*c != '.' && *c != '-' && *c != '_' && !is_alphanumeric(*c))
			return false;
		label_open = *c != '.';
	}
	return name[0] != '\0' && name[0] != '-';
}

/*
 * No name ends in a label that begins with a digit, but the resolver takes "127.1" or "0x7f.1" for
 * addresses (inet_aton).  They are typing errors here.
 */
static bool
ends_in_number(const char *name)
{
	const char *dot = strrchr(name, '.');
	const char *label = dot != NULL ? dot + 1 : name;

	return *label >= '0' && *label <= '9';
}

static const char *
parse_bracketed(const char *text, size_t len, Element *element)
{
	const char *percent = memchr(text, '%', len);
	size_t host_len = percent != NULL ? (size_t) (percent - text) : len;
	struct in6_addr ignored;

	element->kind = HOST_IPV6;
	element->scope[0] = '\0';
	if (!bs_text_copy(element->host, sizeof(element->host), text, host_len) ||
		inet_pton(AF_INET6, element->host, &ignored) != 1)
		return "what is in brackets is not an IPv6 address";
	if (percent == NULL)
		return NULL;
	if (len - host_len < 2 ||
		!bs_text_copy(element->scope, sizeof(element->scope), percent + 1, len - host_len - 1))
		return "the name of an interface must follow \"%\"";
	return NULL;
}

static const char *
parse_host(const char *text, size_t len, Element *element)
{
	struct in_addr ignored;

	element->scope[0] = '\0';
	if (len == 0 || (len == 1 && text[0] == '*'))
	{
		element->kind = HOST_WILDCARD;
		return NULL;
	}
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']')
		return parse_bracketed(text + 1, len - 2, element);
	if (memchr(text, ':', len) != NULL)
		return "an IPv6 address must be in brackets, as in [::1]:2055";
	if (!bs_text_copy(element->host, sizeof(element->host), text, len))
		return "the name is too long";
	if (inet_pton(AF_INET, element->host, &ignored) == 1)
		element->kind = HOST_IPV4;
	else if (!is_host_name(element->host) || ends_in_number(element->host))
		return "neither an address nor a name";
	else
		element->kind = strcasecmp(element->host, "localhost") == 0 ? HOST_LOCALHOST : HOST_NAME;
	return NULL;
}

/* Take "host:port" apart.  NULL, or what is wrong with it. */
static const char *
parse_element(const BsTextList *text, Element *element)
{
	const char *colon = text->len > 0 ? memrchr(text->start, ':', text->len) : NULL;
	const char *end = text->start + text->len;

	if (text->len == 0)
		return "it is empty";
	if (colon == NULL || end[-1] == ']')
		return "a port must follow, as in 192.0.2.1:2055";
	element->port = parse_port(colon + 1, (size_t) (end - colon - 1));
	if (element->port == 0)
		return "the port must be a number from 1 to 65535";
	return parse_host(text->start, (size_t) (colon - text->start), element);
}

static socklen_t
address_size(const Address *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* Padding is zeroed, so that equal addresses are equal bytes. */
static void
make_ipv4(Address *address, const void *ip, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *) address;

	memset(address, 0, sizeof(*address));
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	memcpy(&in->sin_addr, ip, 4);
}

/* An IPv4-mapped address (RFC 4291, 2.5.5.2) becomes the IPv4 address. */
static void
make_ipv6(Address *address, const struct in6_addr *ip, uint32_t scope_id, uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) address;

	if (IN6_IS_ADDR_V4MAPPED(ip))
	{
		make_ipv4(address, &ip->s6_addr[12], port);
		return;
	}
	memset(address, 0, sizeof(*address));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	in6->sin6_addr = *ip;
	in6->sin6_scope_id = scope_id;
}

static void
make_text(const Address *address, char *text)
{
	char ip[INET6_ADDRSTRLEN] = "";
	char scope[IF_NAMESIZE] = "";

	if (address->ss_family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) address;

		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		snprintf(text, BS_ADDRESS_TEXT, "%.15s:%u", ip, ntohs(in->sin_port));
	}
	else
	{
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) address;

		inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
		if (in6->sin6_scope_id != 0 && if_indextoname(in6->sin6_scope_id, scope) == NULL)
			snprintf(scope, sizeof(scope), "%u", in6->sin6_scope_id);
		snprintf(text, BS_ADDRESS_TEXT, "[%.39s%s%.15s]:%u", ip, scope[0] != '\0' ? "%" : "", scope,
				 ntohs(in6->sin6_port));
	}
}

static bool
is_wildcard(const Address *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *) address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) address;

	if (address->ss_family == AF_INET)
		return in->sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

/* A socket bound to a receives all that one bound to b would. */
static bool
covers(const BsListenAddress *a, const BsListenAddress *b)
{
	Address left;
	Address right;

	if (memcmp(&a->sockaddr, &b->sockaddr, sizeof(a->sockaddr)) == 0)
		return true;
	memcpy(&left, a->sockaddr.bytes, sizeof(left));
	memcpy(&right, b->sockaddr.bytes, sizeof(right));
	/* The port has the same place in both families. */
	return left.ss_family == right.ss_family && is_wildcard(&left) &&
		   ((struct sockaddr_in *) &left)->sin_port == ((struct sockaddr_in *) &right)->sin_port;
}

/* Add unless covered; drop what the new one covers.  False when the array is full. */
static bool
add(Found *found, const Address *address)
{
	BsListenAddress new;
	int kept = 0;

	memset(&new, 0, sizeof(new));
	make_text(address, new.text);
	new.sockaddr.len = address_size(address);
	memcpy(new.sockaddr.bytes, address, sizeof(*address));
	for (int i = 0; i < found->n; i++)
		if (covers(&found->addresses[i], &new))
			return true;
	for (int i = 0; i < found->n; i++)
		if (!covers(&new, &found->addresses[i]))
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
		bind(fd, (struct sockaddr *) &probe, address_size(&probe)) != 0 && errno == EADDRNOTAVAIL;
	close(fd);
	return !missing;
}

/* Both families of * or localhost. */
static const char *
resolve_pair(const Element *element, Found *found)
{
	bool wildcard = element->kind == HOST_WILDCARD;
	const struct in_addr ipv4 = {htonl(wildcard ? INADDR_ANY : INADDR_LOOPBACK)};
	const struct in6_addr ipv6 = wildcard ? in6addr_any : in6addr_loopback;
	Address address;

	make_ipv4(&address, &ipv4, element->port);
	if (host_has(&address) && !add(found, &address))
		return "too many addresses";
	make_ipv6(&address, &ipv6, 0, element->port);
	if (host_has(&address) && !add(found, &address))
		return "too many addresses";
	return NULL;
}

static const char *
resolve_numeric(const Element *element, Found *found)
{
	Address address;
	struct in6_addr ipv6;
	struct in_addr ipv4;
	uint32_t scope_id = 0;

	if (element->kind == HOST_IPV4)
	{
		inet_pton(AF_INET, element->host, &ipv4);
		make_ipv4(&address, &ipv4, element->port);
	}
	else
	{
		inet_pton(AF_INET6, element->host, &ipv6);
		if (element->scope[0] != '\0')
		{
			scope_id = if_nametoindex(element->scope);
			if (scope_id == 0)
				return "there is no interface of this name";
		}
		make_ipv6(&address, &ipv6, scope_id, element->port);
	}
	return add(found, &address) ? NULL : "too many addresses";
}

static const char *
resolve_name(const Element *element, Found *found)
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
			make_ipv4(&address, &((struct sockaddr_in *) one->ai_addr)->sin_addr, element->port);
		else if (one->ai_family == AF_INET6)
		{
			const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) one->ai_addr;

			make_ipv6(&address, &in6->sin6_addr, in6->sin6_scope_id, element->port);
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
resolve_element(const Element *element, Found *found)
{
	static const char *(*const resolvers[])(const Element *, Found *) = {
		[HOST_WILDCARD] = resolve_pair, [HOST_LOCALHOST] = resolve_pair,
		[HOST_IPV4] = resolve_numeric,  [HOST_IPV6] = resolve_numeric,
		[HOST_NAME] = resolve_name,
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
		Element element;
		const char *reason = parse_element(&text, &element);

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
