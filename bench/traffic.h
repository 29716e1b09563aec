/* SPDX-License-Identifier: PostgreSQL */
/* traffic.h: batches of records with shuffled keys, from memory, for the benches of the engine. */
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../src/engine/partial.h"

enum
{
	COL_TIME,
	COL_SRC_AS,
	COL_DST_AS,
	COL_SRC,
	COL_DST,
	COL_BYTES,
	COL_PACKETS,
	COL_PORT,
	NCOLUMNS
};

static const BsType types[NCOLUMNS] = {BS_TIMESTAMPTZ, BS_INT8, BS_INT8, BS_INET,
									   BS_INET,        BS_INT8, BS_INT8, BS_INT4};

/* Of this thread's CPU: others use the machine too. */
static inline double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static uint64_t random_state = 88172645463325252u;

static inline uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static inline void
set_addr(BsInet *addr, uint64_t number)
{
	*addr = (BsInet){.family = 4, .bits = 32};
	for (int i = 0; i < 4; i++)
		addr->address[i] = (uint8_t) (number >> (8 * i));
}

static inline void
fill(BsBatch *batch, uint64_t ngroups)
{
	bs_batch_reset(batch);
	for (uint32_t i = 0; i < BS_BATCH_ROWS; i++)
	{
		uint64_t key = next_random() % ngroups * UINT64_C(0x9E3779B1) % UINT32_MAX;

		batch->columns[COL_TIME].i64[i] = 1000000 + i;
		batch->columns[COL_SRC_AS].i64[i] = (int64_t) (key & 0xffff);
		batch->columns[COL_DST_AS].i64[i] = (int64_t) (key >> 16);
		set_addr(&batch->columns[COL_SRC].inet[i], key & 0xffff);
		set_addr(&batch->columns[COL_DST].inet[i], key >> 16);
		batch->columns[COL_BYTES].i64[i] = (int64_t) (next_random() % 1500);
		batch->columns[COL_PACKETS].i64[i] = (int64_t) (next_random() % 10);
		batch->columns[COL_PORT].i64[i] = (int64_t) (next_random() % 530);
	}
	batch->nrows = BS_BATCH_ROWS;
	bs_batch_add_run(batch, 0, BS_BATCH_ROWS, 1);
}

#endif
