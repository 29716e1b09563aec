/* SPDX-License-Identifier: PostgreSQL */
/*
 * exporter.h: the exporters that a decoder hears, and the observation domains of each.
 *
 * An exporter is a source address.  A domain is an exporter, a flow type and an observation domain
 * id (v9: source id, v5: engine); it has one slot of counters, its templates, its sampling and its
 * sequence.  The source port is no part of it (item 10).
 *
 * Bounds (item 16): max_exporters domains in all, and of one address at most
 *     max(BS_DOMAINS_PER_EXPORTER, max_exporters / 4)
 * Each takes sizeof(BsDomain) + sizeof(BsExporter) and its templates (template.h) and sampling
 * rates (sampling.h).  None is ever given to another sender: who comes when all are taken is
 * refused.
 *
 * The source address of sFlow is the agent address that the datagram tells.
 *
 * malloc'ed; written by the one decoder.
 */
#ifndef BS_EXPORTER_H
#define BS_EXPORTER_H

#include "decode.h"
#include "samples.h"
#include "sampling.h"
#include "sequence.h"
#include "template.h"

#define BS_DOMAINS_PER_EXPORTER 64

struct BsDomain;

typedef struct BsExporter
{
	BsInet address;
	uint64_t source; /* bs_exporter_source() of the address */
	uint32_t ndomains;
	BsTemplateBudget budget;
	int64_t default_rate; /* by the administrator's rules; 0: none */
	int64_t override_rate;
	struct BsDomain *domain0[2]; /* observation domain 0 of v9 and IPFIX, once known */
} BsExporter;

typedef struct BsDomain
{
	BsExporter *exporter;
	BsFlowType flow_type;
	uint32_t id;
	BsExporterStats *stats;
	uint64_t init_msec; /* systemInitTime from options data, since 1970; 0 unknown */
	BsTemplateCache templates;
	BsSamplingTable sampling;
	BsSequence sequence;
	bool recalled; /* the memo has been asked */
	BsSampleTable *samples; /* sFlow: made with the first flow sample; NULL before */
} BsDomain;

typedef struct BsExporterSet
{
	uint32_t max_domains;
	uint32_t ndomains;
	uint32_t nexporters;
	uint32_t index_mask;
	uint32_t worker;
	uint32_t max_templates_per_exporter;
	BsDomain **domains;     /* [max_domains]: entry i has slot stats[i] */
	BsExporter **exporters; /* [max_domains] */
	uint32_t *domain_index; /* [index_mask + 1]: number + 1, by hash of address, type and id */
	uint32_t *exporter_index;
	BsExporterStats *stats; /* [max_domains], the caller's */
	BsDomain *last;         /* the one found last */
	BsSamplingRule *rules;  /* the administrator's */
	uint32_t nrules;
} BsExporterSet;

/* Takes over the slots that are in use.  False when memory is out. */
extern bool bs_exporters_init(BsExporterSet *set, const BsDecoderConfig *config,
							  uint32_t max_templates_per_exporter);
extern void bs_exporters_free(BsExporterSet *set);

/* NULL when it is not known. */
extern BsDomain *bs_domain_find(const BsExporterSet *set, const BsInet *address,
								BsFlowType flow_type, uint32_t id);

/* The domain, made when it is new; NULL when there is no room for it. */
extern BsDomain *bs_domain_get(BsExporterSet *set, const BsInet *address, BsFlowType flow_type,
							   uint32_t id);

/* Copy the rules and apply them to all exporters.  False when memory is out; the old ones stand. */
extern bool bs_exporters_set_rules(BsExporterSet *set, const BsSamplingRule *rules,
								   uint32_t nrules);

#endif
