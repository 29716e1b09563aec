/* SPDX-License-Identifier: PostgreSQL */
/*
 * population.h: the flows that the generator exports, and which one comes next.
 *
 * There are max(as_pairs, addresses) flows.  Flow k has address pair k mod addresses and AS pair
 * k mod as_pairs; equal numbers of a pair mean equal pairs, different ones different pairs.  Ports,
 * protocol and the rest are drawn from k.  The order is never a fixed cycle: tables whose rows
 * stand in order of first arrival would then be walked sequentially, which no real traffic does.
 */
#ifndef BS_POPULATION_H
#define BS_POPULATION_H

#include "export.h"

/* Record images take 64 or 128 bytes per flow and version. */
#define BS_POPULATION_MAX (1u << 23)

typedef enum BsFlowOrder
{
	BS_ORDER_UNIFORM,   /* each record any flow, with equal chance */
	BS_ORDER_ZIPF,      /* the flow of rank r with a chance in proportion to 1 / r^s */
	BS_ORDER_SEQUENTIAL /* every flow once per round, each round in another order */
} BsFlowOrder;

/* splitmix64 (Steele, Lea, Flood 2014). */
typedef struct BsRandom
{
	uint64_t state;
} BsRandom;

static inline uint64_t
bs_mix64(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t
bs_random(BsRandom *random)
{
	random->state += UINT64_C(0x9e3779b97f4a7c15);
	return bs_mix64(random->state);
}

/* 32 random bits to a number below n. */
static inline uint32_t
bs_random_scale(uint32_t bits, uint32_t n)
{
	return (uint32_t) (((uint64_t) bits * n) >> 32);
}

typedef struct BsPopulationConfig
{
	BsFlowOrder order;
	double zipf_exponent;
	uint32_t as_pairs;  /* 1..BS_POPULATION_MAX */
	uint32_t addresses; /* 1..BS_POPULATION_MAX */
	uint32_t as_base;   /* added to AS numbers, which are 1..65520 without it */
	double ipv6_share;  /* share of the flows, 0..1 */
	uint64_t seed;
} BsPopulationConfig;

typedef struct BsPopulation
{
	BsPopulationConfig config;
	uint32_t nflows;
	/* Zipf, by the alias method (Vose 1991): one draw, one look-up. */
	struct BsAlias
	{
		uint32_t keep;  /* chance of the column's own flow, of 2^32 */
		uint32_t other; /* the flow that has the rest of the column */
	} * alias;
	/* Sequential: the place in the round and the round's permutation of nbits-bit numbers. */
	uint32_t place;
	uint32_t nbits;
	uint64_t round_key;
} BsPopulation;

/* NULL when memory is out. */
extern BsPopulation *bs_population_create(const BsPopulationConfig *config);
extern void bs_population_free(BsPopulation *population);

/* What flow k is.  Deterministic in the seed. */
extern void bs_population_flow(const BsPopulation *population, uint32_t k, BsExportFlow *flow);
extern bool bs_population_is_ipv6(const BsPopulation *population, uint32_t k);

extern uint32_t bs_population_draw_slow(BsPopulation *population, BsRandom *random);

/* The flow of the next record. */
static inline uint32_t
bs_population_draw(BsPopulation *population, BsRandom *random)
{
	if (population->config.order == BS_ORDER_UNIFORM)
		return bs_random_scale((uint32_t) (bs_random(random) >> 32), population->nflows);
	return bs_population_draw_slow(population, random);
}

#endif
