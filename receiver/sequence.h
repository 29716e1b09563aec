/* SPDX-License-Identifier: PostgreSQL */
/*
 * sequence.h: what was lost on the way, by the sequence numbers of one observation domain (items
 * 35-38).
 *
 * v5 and IPFIX number records, v9 datagrams; this file only sees a number and how many it covers.
 * The number expected next is kept for each source port (item 10), because an exporter may send
 * from several, each with numbers of its own.  Where one sequence runs over several ports, that is
 * noticed (a number that is wrong for its port is exactly what another one expects) and the ports
 * are treated as one from then on.
 *
 * A number ahead of the expected one is a gap and counts as lost.  The last BS_SEQUENCE_GAPS gaps
 * are remembered: a datagram that comes late falls into one of them and is taken back from the
 * loss; one that does not is a duplicate, or the exporter began anew.
 *
 * Bound: BS_SEQUENCE_PORTS ports for each domain; the one idle longest makes way.
 */
#ifndef BS_SEQUENCE_H
#define BS_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#define BS_SEQUENCE_PORTS 4
#define BS_SEQUENCE_GAPS  8
/* A step ahead of more than this is not believed to be a loss. */
#define BS_SEQUENCE_MAX_GAP (UINT32_C(1) << 28)

typedef struct BsSequenceGap
{
	uint32_t first;
	uint32_t count; /* 0: not in use */
} BsSequenceGap;

typedef struct BsSequencePort
{
	uint16_t port;
	bool used;
	bool known; /* next is */
	uint32_t next;
	uint32_t export_seconds; /* the highest seen */
	uint32_t uptime_msec;    /* of the same datagram */
	uint32_t boot_msec;      /* export time less uptime, modulo 2^32 */
	uint32_t newest_gap;
	uint64_t turn; /* when last used, in datagrams of the domain */
	BsSequenceGap gaps[BS_SEQUENCE_GAPS];
} BsSequencePort;

typedef struct BsSequence
{
	uint64_t turn;
	bool shared; /* one sequence over all ports */
	BsSequencePort ports[BS_SEQUENCE_PORTS];
} BsSequence;

/* What a header says. */
typedef struct BsSequenceMark
{
	uint32_t number;
	uint32_t export_seconds;
	uint32_t uptime_msec;
	bool has_uptime; /* v5, v9 */
	uint16_t port;
} BsSequenceMark;

/* To be added to the counters; lost is negative when something lost came late. */
typedef struct BsSequenceChange
{
	int64_t lost;
	uint32_t resyncs;
} BsSequenceChange;

/*
 * Take a datagram of count units (records or datagrams).  countable false: some of its sets have no
 * known template, so that what comes next is unknown (item 36).
 */
extern BsSequenceChange bs_sequence_take(BsSequence *sequence, const BsSequenceMark *mark,
										 uint32_t count, bool countable);

#endif
