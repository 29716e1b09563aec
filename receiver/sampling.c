/* SPDX-License-Identifier: PostgreSQL */
/* sampling.c: sampling rates of an observation domain.  See sampling.h. */
#include "sampling.h"

#include <stdlib.h>
#include <string.h>

#define NSLOTS (2 * BS_SAMPLING_MAX_ENTRIES)

static uint32_t
slot_of(const BsSamplingTable *table, BsSamplingScope scope, uint64_t id)
{
	uint64_t hash = (id ^ (uint64_t) scope << 56) * UINT64_C(0x9E3779B97F4A7C15);
	uint32_t slot = (uint32_t) (hash >> 32) & (NSLOTS - 1);

	while (table->entries[slot].scope != BS_SAMPLING_NOT_USED &&
		   (table->entries[slot].scope != scope || table->entries[slot].id != id))
		slot = (slot + 1) & (NSLOTS - 1);
	return slot;
}

bool
bs_sampling_learn(BsSamplingTable *table, BsSamplingScope scope, uint64_t id, int64_t rate)
{
	BsSamplingEntry *entry;

	if (scope == BS_SAMPLING_OF_DOMAIN)
	{
		table->changes += table->domain_rate != rate;
		table->domain_rate = rate;
		return true;
	}
	if (table->entries == NULL)
		table->entries = calloc(NSLOTS, sizeof(BsSamplingEntry));
	if (table->entries == NULL)
		return false;
	entry = &table->entries[slot_of(table, scope, id)];
	if (entry->scope == BS_SAMPLING_NOT_USED)
	{
		if (table->nentries == BS_SAMPLING_MAX_ENTRIES)
			return false;
		table->nentries++;
	}
	table->changes += entry->scope == BS_SAMPLING_NOT_USED || entry->rate != rate;
	*entry = (BsSamplingEntry){.id = id, .rate = rate, .scope = scope};
	table->by_interface |= scope == BS_SAMPLING_BY_INTERFACE;
	table->by_template |= scope == BS_SAMPLING_BY_TEMPLATE;
	return true;
}

void
bs_sampling_free(BsSamplingTable *table)
{
	free(table->entries);
	*table = (BsSamplingTable){0};
}

int64_t
bs_sampling_find(const BsSamplingTable *table, BsSamplingScope scope, uint64_t id)
{
	if (scope == BS_SAMPLING_OF_DOMAIN)
		return table->domain_rate;
	if (table->entries == NULL)
		return 0;
	return table->entries[slot_of(table, scope, id)].rate;
}

/* (a + b / 2) / b, at least 1; 0 when it cannot be said. */
static int64_t
ratio(uint64_t a, uint64_t b)
{
	uint64_t rate;

	if (a == 0 || b == 0 || a > INT64_MAX / 2 || b > INT64_MAX / 2)
		return 0;
	rate = (a + b / 2) / b;
	return rate == 0 ? 1 : (int64_t) rate;
}

/*
 * An interval (305) without the space behind it (306) says nothing: RFC 5477 section 8.2 makes it
 * the number of packets sampled in a row.
 */
int64_t
bs_sampling_spelled(const BsSamplingValues *values)
{
	const uint64_t *value = values->value;
	int64_t rate = ratio(value[BS_SAMPLER_INTERVAL], 1);

	if (rate == 0)
		rate = ratio(value[BS_SAMPLING_INTERVAL], 1);
	if (rate == 0 && values->present[BS_PACKET_SPACE] && value[BS_PACKET_INTERVAL] > 0 &&
		value[BS_PACKET_SPACE] <= UINT32_MAX && value[BS_PACKET_INTERVAL] <= UINT32_MAX)
		rate = ratio(value[BS_PACKET_INTERVAL] + value[BS_PACKET_SPACE], value[BS_PACKET_INTERVAL]);
	if (rate == 0)
		rate = ratio(value[BS_SAMPLE_POPULATION], value[BS_SAMPLE_SIZE]);
	return rate;
}

/* What options data of one domain say about a record. */
static int64_t
rate_by_options(const BsSamplingTable *table, const BsSamplingValues *values, uint16_t template_id)
{
	int64_t rate = 0;

	if (values->present[BS_SAMPLER_ID])
		rate = bs_sampling_find(table, BS_SAMPLING_BY_SAMPLER, values->value[BS_SAMPLER_ID]);
	if (rate == 0 && values->present[BS_SELECTOR_ID])
		rate = bs_sampling_find(table, BS_SAMPLING_BY_SELECTOR, values->value[BS_SELECTOR_ID]);
	if (rate == 0 && table->by_interface && values->present[BS_SAMPLED_INTERFACE])
		rate =
			bs_sampling_find(table, BS_SAMPLING_BY_INTERFACE, values->value[BS_SAMPLED_INTERFACE]);
	if (rate == 0 && table->by_template)
		rate = bs_sampling_find(table, BS_SAMPLING_BY_TEMPLATE, template_id);
	return rate != 0 ? rate : table->domain_rate;
}

int64_t
bs_sampling_rate(const BsSampling *sampling, const BsSamplingValues *values, uint16_t template_id)
{
	int64_t rate = sampling->override_rate;

	if (rate == 0)
		rate = bs_sampling_spelled(values);
	if (rate == 0 && sampling->own != NULL)
		rate = rate_by_options(sampling->own, values, template_id);
	if (rate == 0 && sampling->domain0 != NULL)
		rate = rate_by_options(sampling->domain0, values, template_id);
	if (rate == 0)
		rate = sampling->header_rate;
	return rate != 0 ? rate : sampling->default_rate;
}

int64_t
bs_sampling_of_v5_header(uint16_t field)
{
	int64_t interval = field & 0x3FFF;

	return interval == 0 ? 1 : interval;
}

static bool
prefix_holds(const BsInet *prefix, const BsInet *address)
{
	uint32_t whole = prefix->bits / 8;
	uint32_t rest = prefix->bits % 8;

	if (prefix->family != address->family || prefix->bits > (prefix->family == 4 ? 32 : 128))
		return false;
	if (memcmp(prefix->address, address->address, whole) != 0)
		return false;
	return rest == 0 || (prefix->address[whole] ^ address->address[whole]) >> (8 - rest) == 0;
}

const BsSamplingRule *
bs_sampling_rule_for(const BsSamplingRule *rules, uint32_t nrules, const BsInet *address)
{
	const BsSamplingRule *best = NULL;

	for (uint32_t i = 0; i < nrules; i++)
		if (prefix_holds(&rules[i].exporter, address) &&
			(best == NULL || rules[i].exporter.bits > best->exporter.bits))
			best = &rules[i];
	return best;
}
