/* SPDX-License-Identifier: PostgreSQL */
/* udp.c: open UDP sockets and receive from them, many datagrams a call.  See udp.h. */
#define _GNU_SOURCE 1 /* recvmmsg */
#include "udp.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "steer.h"

#define PAGE_BYTES 4096u

struct BsUdpVector
{
	struct mmsghdr headers[BS_UDP_VECTOR];
	struct iovec rooms[BS_UDP_VECTOR];          /* one piece each: the kernel has a short way for that */
	struct sockaddr_in6 sources[BS_UDP_VECTOR]; /* of either family */
	uint8_t *buffers;                           /* [BS_UDP_VECTOR][BS_UDP_STRIDE], page-aligned */
};

/* Returns 0 or an errno. */
static int
set_flag(int fd, int level, int option)
{
	const int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) == 0 ? 0 : errno;
}

/* Bind, alone or with the other workers.  Returns 0 or an errno. */
static int
bind_socket(int fd, const BsListenAddress *address, uint32_t nworkers)
{
	struct sockaddr_storage storage;
	int status = 0;

	memcpy(&storage, address->sockaddr.bytes, sizeof(storage));
	if (storage.ss_family == AF_INET6)
		status = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (status == 0 && nworkers > 1)
		status = set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
	if (status == 0 && bind(fd, (struct sockaddr *) &storage, address->sockaddr.len) != 0)
		status = errno;
	if (status == 0 && nworkers > 1)
		status = bs_steer_attach(fd, storage.ss_family, nworkers);
	if (status == 0 && nworkers > 1 && bs_steer_count_bound(address) > nworkers)
		status = EADDRINUSE;
	return status;
}

int
bs_udp_open(const BsListenAddress *address, uint32_t nworkers, int *error)
{
	struct sockaddr_storage storage;
	int fd;

	memcpy(&storage, address->sockaddr.bytes, sizeof(storage));
	fd = socket(storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
	{
		*error = errno;
		return -1;
	}
	*error = bind_socket(fd, address, nworkers);
	if (*error != 0)
	{
		close(fd);
		return -1;
	}
	return fd;
}

uint32_t
bs_udp_set_buffer(int fd, uint32_t bytes)
{
	int wanted = bytes > INT_MAX ? INT_MAX : (int) bytes;
	int granted = 0;
	socklen_t len = sizeof(granted);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof(wanted)) != 0)
		(void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof(wanted));
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &len) != 0)
		return 0;
	return (uint32_t) granted / 2;
}

bool
bs_udp_get_drops(int fd, uint32_t *drops)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0 ||
		len < (SK_MEMINFO_DROPS + 1) * sizeof(uint32_t))
		return false;
	*drops = info[SK_MEMINFO_DROPS];
	return true;
}

uint64_t
bs_udp_discard(int fd)
{
	struct sock_filter refuse_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	const struct sock_fprog program = {1, refuse_all};
	uint64_t discarded = 0;

	/* With nothing new coming in, the loop ends. */
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0)
		return 0;
	for (;;)
	{
		struct mmsghdr headers[BS_UDP_VECTOR];
		int n;

		memset(headers, 0, sizeof(headers));
		n = recvmmsg(fd, headers, BS_UDP_VECTOR, MSG_DONTWAIT, NULL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return discarded;
		discarded += (uint64_t) n;
	}
}

BsUdpVector *
bs_udp_vector_create(void)
{
	BsUdpVector *vector = calloc(1, sizeof(BsUdpVector));

	if (vector == NULL)
		return NULL;
	vector->buffers = aligned_alloc(PAGE_BYTES, (size_t) BS_UDP_VECTOR * BS_UDP_STRIDE);
	if (vector->buffers == NULL)
	{
		bs_udp_vector_free(vector);
		return NULL;
	}
	for (size_t i = 0; i < BS_UDP_VECTOR; i++)
	{
		struct msghdr *header = &vector->headers[i].msg_hdr;

		vector->rooms[i].iov_base = vector->buffers + i * BS_UDP_STRIDE;
		vector->rooms[i].iov_len = BS_UDP_MAX_BYTES;
		header->msg_iov = &vector->rooms[i];
		header->msg_iovlen = 1;
		header->msg_name = &vector->sources[i];
		header->msg_namelen = sizeof(vector->sources[i]);
	}
	return vector;
}

void
bs_udp_vector_free(BsUdpVector *vector)
{
	if (vector == NULL)
		return;
	free(vector->buffers);
	free(vector);
}

int
bs_udp_vector_receive(BsUdpVector *vector, int fd, uint32_t max)
{
	int n;

	if (max > BS_UDP_VECTOR)
		max = BS_UDP_VECTOR;
	do
		n = recvmmsg(fd, vector->headers, max, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	/* The kernel wrote how long the addresses are; the next receive has to say the room for them.
	 */
	for (int i = 0; i < n; i++)
		vector->headers[i].msg_hdr.msg_namelen = sizeof(vector->sources[i]);
	return n;
}

/* The source of a datagram as the decoders want it. */
static void
describe_source(const struct sockaddr_in6 *source, BsDatagram *datagram)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	BsInet *exporter = &datagram->exporter;

	memset(exporter, 0, sizeof(*exporter));
	if (source->sin6_family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) (const void *) source;

		memcpy(exporter->address, &in->sin_addr, 4);
		exporter->family = 4;
	}
	else if (memcmp(&source->sin6_addr, mapped, sizeof(mapped)) == 0)
	{
		memcpy(exporter->address, &source->sin6_addr.s6_addr[12], 4);
		exporter->family = 4;
	}
	else
	{
		memcpy(exporter->address, &source->sin6_addr, 16);
		exporter->family = 6;
	}
	exporter->bits = exporter->family == 4 ? 32 : 128;
	datagram->port = ntohs(source->sin6_port); /* of the same place in both families */
}

bool
bs_udp_vector_get(BsUdpVector *vector, uint32_t i, BsDatagram *datagram)
{
	const struct mmsghdr *header = &vector->headers[i];

	describe_source(&vector->sources[i], datagram);
	datagram->data = vector->buffers + (size_t) i * BS_UDP_STRIDE;
	datagram->len_bytes = header->msg_len;
	return (header->msg_hdr.msg_flags & MSG_TRUNC) == 0;
}
