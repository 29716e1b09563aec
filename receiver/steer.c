/* SPDX-License-Identifier: PostgreSQL */
/* steer.c: the BPF program that spreads exporters over workers.  See steer.h. */
#include "steer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * The hash: for each 32-bit word of the address, XOR it in, multiply, fold the high bits down; then
 * multiply once more and scale the top 16 bits to 0 .. n-1.  One multiplication alone would leave
 * exporters that differ in one byte only on one worker.  The constants are those of MurmurHash3's
 * finalizer (Appleby).
 */
#define MULTIPLIER      0x85EBCA6Bu
#define LAST_MULTIPLIER 0xC2B2AE35u
#define FOLD_SHIFT      15

/*
 * The program sees the UDP payload at offset 0; the IP header is reached through SKF_NET_OFF.  The
 * offsets are those of the source address in RFC 791 and RFC 8200: in words, 12 and 8 12 16 20.
 */
#define LOAD(offset)   BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) SKF_NET_OFF + (offset))
#define MULTIPLY(k)    BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, (k))
#define SHIFT_RIGHT(k) BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, (k))
#define KEEP           BPF_STMT(BPF_MISC | BPF_TAX, 0)
#define XOR_KEPT       BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0)
#define RETURN         BPF_STMT(BPF_RET | BPF_A, 0)
#define MIX            MULTIPLY(MULTIPLIER), KEEP, SHIFT_RIGHT(FOLD_SHIFT), XOR_KEPT
#define NEXT(offset)   KEEP, LOAD(offset), XOR_KEPT, MIX
#define FINISH(n)      MULTIPLY(LAST_MULTIPLIER), SHIFT_RIGHT(16), MULTIPLY(n), SHIFT_RIGHT(16), RETURN

int
bs_steer_attach(int fd, int family, uint32_t nsockets)
{
	struct sock_filter ipv4[] = {LOAD(12), MIX, FINISH(nsockets)};
	struct sock_filter ipv6[] = {LOAD(8), MIX, NEXT(12), NEXT(16), NEXT(20), FINISH(nsockets)};
	struct sock_fprog program = {sizeof(ipv4) / sizeof(ipv4[0]), ipv4};

	if (nsockets < 1 || nsockets > UINT16_MAX)
		return EINVAL;
	if (family == AF_INET6)
	{
		program.len = sizeof(ipv6) / sizeof(ipv6[0]);
		program.filter = ipv6;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) != 0)
		return errno;
	return 0;
}

uint32_t
bs_steer_index(const BsInet *source, uint32_t nsockets)
{
	uint32_t hash = 0;
	uint32_t nwords = source->family == 4 ? 1 : 4;

	for (uint32_t i = 0; i < nwords; i++)
	{
		const uint8_t *word = &source->address[4 * i];

		hash ^=
			(uint32_t) word[0] << 24 | (uint32_t) word[1] << 16 | (uint32_t) word[2] << 8 | word[3];
		hash *= MULTIPLIER;
		hash ^= hash >> FOLD_SHIFT;
	}
	hash *= LAST_MULTIPLIER;
	return (hash >> 16) * nsockets >> 16;
}

/* The local address as the file prints it: words of the address in the machine's byte order. */
static const char *
proc_entry(const BsListenAddress *address, char *text, size_t size)
{
	struct sockaddr_storage storage;
	uint32_t words[4];

	memcpy(&storage, address->sockaddr.bytes, sizeof(storage));
	if (storage.ss_family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) &storage;

		snprintf(text, size, "%08X:%04X", in->sin_addr.s_addr, ntohs(in->sin_port));
		return "/proc/net/udp";
	}
	else
	{
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) &storage;

		memcpy(words, &in6->sin6_addr, sizeof(words));
		snprintf(text, size, "%08X%08X%08X%08X:%04X", words[0], words[1], words[2], words[3],
				 ntohs(in6->sin6_port));
		return in6->sin6_scope_id == 0 ? "/proc/net/udp6" : NULL;
	}
}

uint32_t
bs_steer_count_bound(const BsListenAddress *address)
{
	char wanted[48];
	char line[512];
	char local[48];
	uint32_t n = 0;
	const char *path = proc_entry(address, wanted, sizeof(wanted));
	FILE *file = path != NULL ? fopen(path, "re") : NULL;

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, " %*s %47s", local) == 1 && strcmp(local, wanted) == 0)
			n++;
	fclose(file);
	return n;
}
