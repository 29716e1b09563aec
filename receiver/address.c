/* SPDX-License-Identifier: PostgreSQL */
/* address.c: host and port, from text to socket addresses.  See address.h. */
#define _GNU_SOURCE 1 /* memrchr */
#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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
parse_bracketed(const char *text, size_t len, BsHostPort *element)
{
	const char *percent = memchr(text, '%', len);
	size_t host_len = percent != NULL ? (size_t) (percent - text) : len;
	struct in6_addr ignored;

	element->kind = BS_HOST_IPV6;
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
parse_host(const char *text, size_t len, BsHostPort *element)
{
	struct in_addr ignored;

	element->scope[0] = '\0';
	if (len == 0 || (len == 1 && text[0] == '*'))
	{
		element->kind = BS_HOST_WILDCARD;
		return NULL;
	}
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']')
		return parse_bracketed(text + 1, len - 2, element);
	if (memchr(text, ':', len) != NULL)
		return "an IPv6 address must be in brackets, as in [::1]:2055";
	if (!bs_text_copy(element->host, sizeof(element->host), text, len))
		return "the name is too long";
	if (inet_pton(AF_INET, element->host, &ignored) == 1)
		element->kind = BS_HOST_IPV4;
	else if (!is_host_name(element->host) || ends_in_number(element->host))
		return "neither an address nor a name";
	else
		element->kind = strcasecmp(element->host, "localhost") == 0 ? BS_HOST_LOCALHOST : BS_HOST_NAME;
	return NULL;
}

const char *
bs_hostport_parse(const BsTextList *text, BsHostPort *element)
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

uint32_t
bs_address_size(const BsSockaddr *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

void
bs_address_ipv4(BsSockaddr *address, const void *ip, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *) address;

	memset(address, 0, sizeof(*address));
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	memcpy(&in->sin_addr, ip, 4);
}

void
bs_address_ipv6(BsSockaddr *address, const struct in6_addr *ip, uint32_t scope_id, uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) address;

	if (IN6_IS_ADDR_V4MAPPED(ip))
	{
		bs_address_ipv4(address, &ip->s6_addr[12], port);
		return;
	}
	memset(address, 0, sizeof(*address));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	in6->sin6_addr = *ip;
	in6->sin6_scope_id = scope_id;
}

static void
make_text(const BsSockaddr *address, char *text)
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

void
bs_address_finish(const BsSockaddr *address, BsListenAddress *finished)
{
	memset(finished, 0, sizeof(*finished));
	make_text(address, finished->text);
	finished->sockaddr.len = bs_address_size(address);
	memcpy(finished->sockaddr.bytes, address, sizeof(*address));
}

static bool
is_wildcard(const BsSockaddr *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *) address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) address;

	if (address->ss_family == AF_INET)
		return in->sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

bool
bs_address_covers(const BsListenAddress *a, const BsListenAddress *b)
{
	BsSockaddr left;
	BsSockaddr right;

	if (memcmp(&a->sockaddr, &b->sockaddr, sizeof(a->sockaddr)) == 0)
		return true;
	memcpy(&left, a->sockaddr.bytes, sizeof(left));
	memcpy(&right, b->sockaddr.bytes, sizeof(right));
	/* The port has the same place in both families. */
	return left.ss_family == right.ss_family && is_wildcard(&left) &&
		   ((struct sockaddr_in *) &left)->sin_port == ((struct sockaddr_in *) &right)->sin_port;
}

const char *
bs_address_numeric(const BsHostPort *element, BsSockaddr *address)
{
	struct in6_addr ipv6;
	struct in_addr ipv4;
	uint32_t scope_id = 0;

	if (element->kind == BS_HOST_IPV4)
	{
		inet_pton(AF_INET, element->host, &ipv4);
		bs_address_ipv4(address, &ipv4, element->port);
		return NULL;
	}
	inet_pton(AF_INET6, element->host, &ipv6);
	if (element->scope[0] != '\0')
	{
		scope_id = if_nametoindex(element->scope);
		if (scope_id == 0)
			return "there is no interface of this name";
	}
	bs_address_ipv6(address, &ipv6, scope_id, element->port);
	return NULL;
}
