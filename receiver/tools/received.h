/* SPDX-License-Identifier: PostgreSQL */
/* received.h: what bs-receive counted, as a table for people or one JSON object. */
#ifndef BS_RECEIVED_H
#define BS_RECEIVED_H

#include "../loop.h"

#include <stdio.h>

typedef struct BsReceived
{
	const char *mode;
	double elapsed_secs; /* first to last datagram */
	double cpu_secs;     /* user and system, over the same time */
	uint64_t sleeps;     /* times the process gave up the CPU to wait */
	uint64_t records;    /* rows that the decoder gave */
	uint64_t flow_bytes; /* sums over the rows, where the columns are decoded */
	uint64_t flow_packets;
	uint64_t exporters_refused;       /* datagrams of senders beyond --max-exporters */
	const BsListenerStats *listeners; /* [max_listeners] */
	uint32_t max_listeners;
	const BsExporterStats *exporters; /* [max_exporters] */
	uint32_t max_exporters;
} BsReceived;

/* One counter of all listeners together. */
extern uint64_t bs_received_total(const BsReceived *received, size_t offset);
#define BS_RECEIVED_TOTAL(received, field)                                                         \
	bs_received_total(received, offsetof(BsListenerStats, field))

extern void bs_received_text(FILE *file, const BsReceived *received);
extern void bs_received_json(FILE *file, const BsReceived *received);

#endif
