/* SPDX-License-Identifier: PostgreSQL */
/* exporter.c: exporters and their observation domains.  See exporter.h. */
#include "exporter.h"

#include <stdlib.h>
#include <string.h>

/* The finalizer of MurmurHash3: every bit of the input reaches every bit of the result. */
static uint64_t
mix(uint64_t value)
{
	value ^= value >> 33;
	value *= UINT64_C(0xFF51AFD7ED558CCD);
	value ^= value >> 33;
	value *= UINT64_C(0xC4CEB9FE1A85EC53);
	return value ^ value >> 33;
}

uint64_t
bs_exporter_source(const BsInet *exporter)
{
	uint64_t words[2];

	memcpy(words, exporter->address, sizeof(words));
	return mix(mix(words[0] + exporter->family) ^ words[1]);
}

static bool
same_address(const BsInet *a, const BsInet *b)
{
	return a->family == b->family && memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static bool
is_domain(const BsDomain *domain, const BsInet *address, BsFlowType flow_type, uint32_t id)
{
	return domain->id == id && domain->flow_type == flow_type &&
		   same_address(&domain->exporter->address, address);
}

static uint32_t
domain_home(const BsExporterSet *set, uint64_t source, BsFlowType flow_type, uint32_t id)
{
	return (uint32_t) mix(source ^ ((uint64_t) flow_type << 32 | id)) & set->index_mask;
}

/* The place of a domain in the index, or the free one where it belongs. */
static uint32_t
domain_place(const BsExporterSet *set, const BsInet *address, BsFlowType flow_type, uint32_t id)
{
	uint32_t place = domain_home(set, bs_exporter_source(address), flow_type, id);

	while (set->domain_index[place] != 0 &&
		   !is_domain(set->domains[set->domain_index[place] - 1], address, flow_type, id))
		place = (place + 1) & set->index_mask;
	return place;
}

static uint32_t
exporter_place(const BsExporterSet *set, const BsInet *address)
{
	uint32_t place = (uint32_t) bs_exporter_source(address) & set->index_mask;

	while (set->exporter_index[place] != 0 &&
		   !same_address(&set->exporters[set->exporter_index[place] - 1]->address, address))
		place = (place + 1) & set->index_mask;
	return place;
}

static void
apply_rules(const BsExporterSet *set, BsExporter *exporter)
{
	const BsSamplingRule *rule = bs_sampling_rule_for(set->rules, set->nrules, &exporter->address);

	exporter->default_rate = rule ? rule->default_rate : 0;
	exporter->override_rate = rule ? rule->override_rate : 0;
}

static BsExporter *
exporter_get(BsExporterSet *set, const BsInet *address)
{
	uint32_t place = exporter_place(set, address);
	BsExporter *exporter;

	if (set->exporter_index[place] != 0)
		return set->exporters[set->exporter_index[place] - 1];
	exporter = calloc(1, sizeof(BsExporter));
	if (exporter == NULL)
		return NULL;
	exporter->address = *address;
	exporter->source = bs_exporter_source(address);
	exporter->budget.max_templates = set->max_templates_per_exporter;
	apply_rules(set, exporter);
	set->exporters[set->nexporters++] = exporter;
	set->exporter_index[place] = set->nexporters;
	return exporter;
}

BsDomain *
bs_domain_find(const BsExporterSet *set, const BsInet *address, BsFlowType flow_type, uint32_t id)
{
	uint32_t place;

	if (set->last != NULL && is_domain(set->last, address, flow_type, id))
		return set->last;
	place = domain_place(set, address, flow_type, id);
	return set->domain_index[place] ? set->domains[set->domain_index[place] - 1] : NULL;
}

static uint32_t
most_domains_per_exporter(const BsExporterSet *set)
{
	uint32_t quarter = set->max_domains / 4;

	return quarter > BS_DOMAINS_PER_EXPORTER ? quarter : BS_DOMAINS_PER_EXPORTER;
}

/*
 * A domain for the next slot, which may be a predecessor's of the same identity; then the
 * exporter's limit does not count.
 */
static BsDomain *
domain_add(BsExporterSet *set, const BsInet *address, BsFlowType flow_type, uint32_t id,
		   bool limited)
{
	BsExporter *exporter;
	BsDomain *domain;

	if (set->ndomains == set->max_domains)
		return NULL;
	exporter = exporter_get(set, address);
	if (exporter == NULL || (limited && exporter->ndomains >= most_domains_per_exporter(set)))
		return NULL;
	domain = calloc(1, sizeof(BsDomain));
	if (domain == NULL)
		return NULL;
	domain->exporter = exporter;
	domain->flow_type = flow_type;
	domain->id = id;
	domain->stats = &set->stats[set->ndomains];
	exporter->ndomains++;
	if (id == 0 && (flow_type == BS_NETFLOW_V9 || flow_type == BS_IPFIX))
		exporter->domain0[flow_type == BS_IPFIX] = domain;
	set->domains[set->ndomains++] = domain;
	set->domain_index[domain_place(set, address, flow_type, id)] = set->ndomains;
	return domain;
}

BsDomain *
bs_domain_get(BsExporterSet *set, const BsInet *address, BsFlowType flow_type, uint32_t id)
{
	BsDomain *domain = bs_domain_find(set, address, flow_type, id);
	BsExporterStats *stats;

	if (domain == NULL)
	{
		domain = domain_add(set, address, flow_type, id, true);
		if (domain == NULL)
			return NULL;
		stats = domain->stats;
		*stats = (BsExporterStats){.exporter = *address, .obs_domain = id, .worker = set->worker};
		__atomic_store_n(&stats->flow_type, (uint32_t) flow_type, __ATOMIC_RELEASE);
	}
	set->last = domain;
	return domain;
}

/* The templates that a predecessor held are gone; its counts go on. */
static bool
take_over(BsExporterSet *set)
{
	while (set->ndomains < set->max_domains &&
		   set->stats[set->ndomains].flow_type != BS_FLOW_TYPE_NONE)
	{
		BsExporterStats *stats = &set->stats[set->ndomains];

		if (domain_add(set, &stats->exporter, (BsFlowType) stats->flow_type,
					   (uint32_t) stats->obs_domain, false) == NULL)
			return false;
		stats->worker = set->worker;
		stats->templates = 0;
	}
	return true;
}

bool
bs_exporters_init(BsExporterSet *set, const BsDecoderConfig *config,
				  uint32_t max_templates_per_exporter)
{
	uint32_t places = 4;

	while (places < 2 * config->max_exporters)
		places *= 2;
	*set = (BsExporterSet){.max_domains = config->max_exporters,
						   .index_mask = places - 1,
						   .worker = config->worker,
						   .max_templates_per_exporter = max_templates_per_exporter,
						   .stats = config->stats};
	set->domains = calloc(config->max_exporters + 1, sizeof(BsDomain *));
	set->exporters = calloc(config->max_exporters + 1, sizeof(BsExporter *));
	set->domain_index = calloc(places, sizeof(uint32_t));
	set->exporter_index = calloc(places, sizeof(uint32_t));
	if (set->domains == NULL || set->exporters == NULL || set->domain_index == NULL ||
		set->exporter_index == NULL || !take_over(set))
	{
		bs_exporters_free(set);
		return false;
	}
	return true;
}

void
bs_exporters_free(BsExporterSet *set)
{
	for (uint32_t i = 0; i < set->ndomains; i++)
	{
		bs_template_cache_free(&set->domains[i]->templates);
		bs_sampling_free(&set->domains[i]->sampling);
		free(set->domains[i]->samples);
		free(set->domains[i]);
	}
	for (uint32_t i = 0; i < set->nexporters; i++)
		free(set->exporters[i]);
	free(set->domains);
	free(set->exporters);
	free(set->domain_index);
	free(set->exporter_index);
	free(set->rules);
	*set = (BsExporterSet){0};
}

bool
bs_exporters_set_rules(BsExporterSet *set, const BsSamplingRule *rules, uint32_t nrules)
{
	BsSamplingRule *copy = calloc(nrules + 1, sizeof(BsSamplingRule));

	if (copy == NULL)
		return false;
	if (nrules > 0)
		memcpy(copy, rules, nrules * sizeof(BsSamplingRule));
	free(set->rules);
	set->rules = copy;
	set->nrules = nrules;
	for (uint32_t i = 0; i < set->nexporters; i++)
		apply_rules(set, set->exporters[i]);
	return true;
}
