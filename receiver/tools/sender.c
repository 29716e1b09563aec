/* SPDX-License-Identifier: PostgreSQL */
/* sender.c: the sending socket of the tools.  See sender.h. */
#define _GNU_SOURCE /* sendmmsg */
#include "sender.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../fragments.h"

#define CONTROL_BYTES CMSG_SPACE(sizeof(struct in_pktinfo))
#define SEND_BUFFER   (4 << 20)

struct BsSender
{
	int fd;
	bool names_source; /* each datagram says where it is to come from */
	BsAddress target;
	uint32_t source_base; /* host order */
	uint32_t buffer_bytes;
	uint32_t nadded;
	uint64_t nrefused;
	uint8_t *buffers;
	struct mmsghdr messages[BS_SENDER_VECTOR];
	struct iovec iovecs[BS_SENDER_VECTOR];
	_Alignas(struct cmsghdr) uint8_t controls[BS_SENDER_VECTOR][CONTROL_BYTES];
};

static bool
address_set(const char *host, uint16_t port, BsAddress *address)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *) &address->storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) &address->storage;

	memset(address, 0, sizeof(*address));
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &in4->sin_addr) == 1)
	{
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		address->len = sizeof(*in4);
		return true;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1)
	{
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		address->len = sizeof(*in6);
		return true;
	}
	return false;
}

bool
bs_address_parse_host(const char *text, BsAddress *address)
{
	return address_set(text, 0, address);
}

bool
bs_address_parse(const char *text, BsAddress *address)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *colon = strrchr(text, ':');
	size_t len;
	char *end;
	unsigned long port;

	if (colon == NULL || colon[1] < '0' || colon[1] > '9')
		return false;
	port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port == 0 || port > 65535)
		return false;
	len = (size_t) (colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']')
	{
		text++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	return address_set(host, (uint16_t) port, address);
}

bool
bs_address_is_loopback(const BsAddress *address)
{
	if (address->storage.ss_family == AF_INET)
	{
		const struct sockaddr_in *in4 = (const struct sockaddr_in *) &address->storage;

		return ntohl(in4->sin_addr.s_addr) >> 24 == 127;
	}
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *) &address->storage)->sin6_addr);
}

static bool
sender_socket(BsSender *sender, const BsAddress *base)
{
	const struct sockaddr *target = (const struct sockaddr *) &sender->target.storage;
	int size = SEND_BUFFER;

	sender->fd = socket(target->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sender->fd < 0)
		return false;
	/* Only a wish: on loopback a datagram leaves the send buffer when it was received. */
	(void) setsockopt(sender->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	bs_fragments_allow(sender->fd, target->sa_family);
	if (sender->names_source)
		return true;
	if (base != NULL && bind(sender->fd, (const struct sockaddr *) &base->storage, base->len) != 0)
		return false;
	return connect(sender->fd, target, sender->target.len) == 0;
}

static void
sender_vector(BsSender *sender)
{
	for (uint32_t i = 0; i < BS_SENDER_VECTOR; i++)
	{
		struct msghdr *message = &sender->messages[i].msg_hdr;
		struct cmsghdr *control = (struct cmsghdr *) sender->controls[i];

		sender->iovecs[i].iov_base = sender->buffers + (size_t) i * sender->buffer_bytes;
		message->msg_iov = &sender->iovecs[i];
		message->msg_iovlen = 1;
		if (!sender->names_source)
			continue;
		message->msg_name = &sender->target.storage;
		message->msg_namelen = sender->target.len;
		message->msg_control = control;
		message->msg_controllen = CONTROL_BYTES;
		control->cmsg_level = IPPROTO_IP;
		control->cmsg_type = IP_PKTINFO;
		control->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
	}
}

BsSender *
bs_sender_open(const BsAddress *target, const BsAddress *base, uint32_t nexporters,
			   uint32_t buffer_bytes)
{
	BsSender *sender = calloc(1, sizeof(*sender));

	if (sender == NULL)
		return NULL;
	sender->fd = -1;
	sender->target = *target;
	sender->names_source = nexporters > 1;
	sender->buffer_bytes = (buffer_bytes + 63) / 64 * 64;
	if (base != NULL && base->storage.ss_family == AF_INET)
		sender->source_base = ntohl(((const struct sockaddr_in *) &base->storage)->sin_addr.s_addr);
	sender->buffers = aligned_alloc(64, (size_t) BS_SENDER_VECTOR * sender->buffer_bytes);
	if (sender->buffers == NULL || !sender_socket(sender, base))
	{
		int saved = errno;

		bs_sender_close(sender);
		errno = saved;
		return NULL;
	}
	sender_vector(sender);
	return sender;
}

void
bs_sender_close(BsSender *sender)
{
	if (sender == NULL)
		return;
	if (sender->fd >= 0)
		close(sender->fd);
	free(sender->buffers);
	free(sender);
}

uint8_t *
bs_sender_buffer(BsSender *sender)
{
	if (sender->nadded == BS_SENDER_VECTOR)
		return NULL;
	return sender->iovecs[sender->nadded].iov_base;
}

void
bs_sender_add(BsSender *sender, uint32_t len_bytes, uint32_t exporter)
{
	uint32_t i = sender->nadded++;

	sender->iovecs[i].iov_len = len_bytes;
	if (sender->names_source)
	{
		struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(sender->source_base + exporter)};

		memcpy(CMSG_DATA((struct cmsghdr *) sender->controls[i]), &info, sizeof(info));
	}
}

bool
bs_sender_flush(BsSender *sender)
{
	uint32_t done = 0;

	while (done < sender->nadded)
	{
		int n = sendmmsg(sender->fd, sender->messages + done, sender->nadded - done, 0);

		if (n > 0)
			done += (uint32_t) n;
		else if (errno == ECONNREFUSED)
			sender->nrefused++; /* tells of an earlier datagram; this one was not tried */
		else if (errno != EINTR && errno != ENOBUFS && errno != EAGAIN)
			return false;
	}
	sender->nadded = 0;
	return true;
}

uint64_t
bs_sender_refused(const BsSender *sender)
{
	return sender->nrefused;
}
