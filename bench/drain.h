/* SPDX-License-Identifier: PostgreSQL */
/*
 * drain.h: the receive loop that the yardsticks share: recvmmsg until nothing is left, then a nap.
 *
 * What is measured, and how: bench/README.md.
 */
#ifndef BS_BENCH_DRAIN_H
#define BS_BENCH_DRAIN_H

#include <stdint.h>

typedef struct BsDrainTake
{
	/* Called for each datagram; returns the number of records in it. */
	uint32_t (*take)(void *context, const uint8_t *data, uint32_t len_bytes);
	/* Print what it found, as members of a JSON object that go on after others; may be NULL. */
	void (*print)(void *context);
	void *context;
} BsDrainTake;

/* Read the options, receive within their bounds, print one line of JSON.  Returns the exit status.
 */
extern int bs_drain_main(const char *name, const char *help, const BsDrainTake *take, int argc,
						 char **argv);

#endif
