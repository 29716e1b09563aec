/* SPDX-License-Identifier: PostgreSQL */
/* population.c: flows and their distributions.  See population.h. */
#include "population.h"

#include <math.h>
#include <stdlib.h>

/* AS numbers are a permutation of 1..65520 (65521 is prime), so that they are not in order. */
#define AS_PRIME 65521
#define AS_STEP  25717

/*
 * Columns of equal width under the curve of the Zipf distribution, each filled by at most two
 * flows: those with less than the mean are topped up from those with more.
 */
static bool
alias_build(BsPopulation *population)
{
	uint32_t n = population->nflows;
	double *share = malloc(n * sizeof(*share));
	uint32_t *work = malloc(n * sizeof(*work));
	uint32_t nsmall = 0;
	uint32_t large = n;
	double sum = 0;

	population->alias = malloc(n * sizeof(*population->alias));
	if (share == NULL || work == NULL || population->alias == NULL)
	{
		free(share);
		free(work);
		return false;
	}
	for (uint32_t k = 0; k < n; k++)
		sum += share[k] = pow((double) k + 1, -population->config.zipf_exponent);
	/* work holds the small ones from its front and the large ones from its back. */
	for (uint32_t k = 0; k < n; k++)
	{
		share[k] *= n / sum;
		if (share[k] < 1)
			work[nsmall++] = k;
		else
			work[--large] = k;
		population->alias[k].keep = UINT32_MAX;
		population->alias[k].other = k;
	}
	while (nsmall > 0 && large < n)
	{
		uint32_t small = work[--nsmall];
		uint32_t giver = work[large];

		population->alias[small].keep = (uint32_t) (share[small] * UINT32_MAX);
		population->alias[small].other = giver;
		share[giver] -= 1 - share[small];
		if (share[giver] < 1)
		{
			large++;
			work[nsmall++] = giver;
		}
	}
	free(share);
	free(work);
	return true;
}

static void
round_start(BsPopulation *population, uint64_t key)
{
	population->place = 0;
	population->round_key = key;
}

BsPopulation *
bs_population_create(const BsPopulationConfig *config)
{
	BsPopulation *population = calloc(1, sizeof(*population));

	if (population == NULL)
		return NULL;
	population->config = *config;
	population->nflows =
		config->as_pairs > config->addresses ? config->as_pairs : config->addresses;
	while ((UINT64_C(1) << population->nbits) < population->nflows)
		population->nbits++;
	round_start(population, bs_mix64(config->seed + 1));
	if (config->order == BS_ORDER_ZIPF && !alias_build(population))
	{
		bs_population_free(population);
		return NULL;
	}
	return population;
}

void
bs_population_free(BsPopulation *population)
{
	if (population == NULL)
		return;
	free(population->alias);
	free(population);
}

/* A bijection of nbits-bit numbers: each step can be undone. */
static uint32_t
permute(uint32_t x, uint32_t nbits, uint64_t key)
{
	uint64_t mask = (UINT64_C(1) << nbits) - 1;
	uint64_t v = x;

	for (int round = 0; round < 3; round++)
	{
		v = (v + key) & mask;
		v = (v * (UINT64_C(0x9e3779b97f4a7c15) | 1)) & mask;
		v ^= v >> ((nbits + 1) / 2);
		key = (key >> 21) | (key << 43);
	}
	return (uint32_t) v;
}

static uint32_t
sequential_draw(BsPopulation *population)
{
	uint32_t k = population->place;

	if (population->nflows == 1)
		return 0;
	/* Numbers beyond the last flow are walked past: still a bijection of the flows. */
	do
		k = permute(k, population->nbits, population->round_key);
	while (k >= population->nflows);
	if (++population->place == population->nflows)
		round_start(population, bs_mix64(population->round_key));
	return k;
}

uint32_t
bs_population_draw_slow(BsPopulation *population, BsRandom *random)
{
	uint64_t bits;
	uint32_t column;

	if (population->config.order == BS_ORDER_SEQUENTIAL)
		return sequential_draw(population);
	bits = bs_random(random);
	column = bs_random_scale((uint32_t) (bits >> 32), population->nflows);
	return (uint32_t) bits <= population->alias[column].keep ? column
															 : population->alias[column].other;
}

bool
bs_population_is_ipv6(const BsPopulation *population, uint32_t k)
{
	/* By address pair, so that a pair is of one family. */
	uint64_t bits = bs_mix64(population->config.seed ^ (k % population->config.addresses)) >> 11;

	return (double) bits * 0x1p-53 < population->config.ipv6_share;
}

/* The number of rows of a square grid that has at least n fields. */
static uint32_t
grid_side(uint32_t n)
{
	uint32_t side = (uint32_t) sqrt((double) n);

	while ((uint64_t) side * side < n)
		side++;
	return side;
}

static uint32_t
as_number(const BsPopulation *population, uint32_t i)
{
	return population->config.as_base + (uint32_t) ((uint64_t) (i + 1) * AS_STEP % AS_PRIME);
}

/* Sources in 10.0.0.0/8, destinations in 172.16.0.0/12, or 2001:db8:1::/48 and 2001:db8:2::/48. */
static void
flow_addresses(BsExportFlow *flow, uint32_t src, uint32_t dst)
{
	static const uint8_t prefix[6] = {0x20, 0x01, 0x0d, 0xb8, 0x00, 0x01};
	static const uint8_t hop[16] = {0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff, 0, 0,
									0,    0,    0,    0,    0,    0,    0, 1};
	static const uint8_t hop4[4] = {192, 0, 2, 1};
	uint32_t src24 = (src * 0x9e3779u) & 0xffffff; /* odd factors: bijections */
	uint32_t dst20 = (dst * 0x79b97u) & 0xfffff;
	uint8_t *p = flow->src_addr;

	if (flow->is_ipv6)
	{
		memcpy(flow->src_addr, prefix, sizeof(prefix));
		memcpy(flow->dst_addr, prefix, sizeof(prefix));
		flow->dst_addr[5] = 2;
		p += 12;
		bs_put32(&p, src24);
		p = flow->dst_addr + 12;
		bs_put32(&p, dst20);
		memcpy(flow->next_hop, hop, sizeof(hop));
		return;
	}
	bs_put32(&p, 0x0a000000u | src24);
	p = flow->dst_addr;
	bs_put32(&p, 0xac100000u | dst20);
	memcpy(flow->next_hop, hop4, sizeof(hop4));
}

void
bs_population_flow(const BsPopulation *population, uint32_t k, BsExportFlow *flow)
{
	static const uint16_t services[8] = {443, 443, 443, 80, 53, 123, 22, 25};
	static const uint8_t protos[8] = {6, 6, 17, 6, 17, 17, 6, 6};
	uint32_t pair = k % population->config.addresses;
	uint32_t as_pair = k % population->config.as_pairs;
	uint32_t side = grid_side(population->config.addresses);
	uint32_t as_side = grid_side(population->config.as_pairs);
	uint64_t bits = bs_mix64(population->config.seed * 31 + k);
	uint32_t service = bits & 7;

	memset(flow, 0, sizeof(*flow));
	flow->is_ipv6 = bs_population_is_ipv6(population, k);
	flow_addresses(flow, pair / side, pair % side);
	flow->src_as = as_number(population, as_pair / as_side);
	flow->dst_as = as_number(population, as_pair % as_side);
	flow->src_port = (uint16_t) (1024 + (bits >> 8) % 64512);
	flow->dst_port = services[service];
	flow->proto = protos[service];
	flow->tcp_flags = flow->proto == 6 ? 0x1b : 0; /* FIN, SYN, PSH, ACK */
	flow->tos = (uint8_t) ((bits >> 24) % 4 == 0 ? 0xb8 : 0);
	flow->in_if = (uint32_t) (1 + (bits >> 28) % 16);
	flow->out_if = (uint32_t) (17 + (bits >> 32) % 16);
	flow->src_mask = flow->is_ipv6 ? 48 : 24;
	flow->dst_mask = flow->is_ipv6 ? 48 : 20;
	flow->name_len = (uint8_t) ((bits >> 40) % (BS_EXPORT_MAX_NAME + 1));
	for (uint32_t i = 0; i < flow->name_len; i++)
		flow->name[i] = (char) ('a' + (bits >> i) % 26);
}
