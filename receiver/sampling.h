/* SPDX-License-Identifier: PostgreSQL */
/*
 * sampling.h: what is known of how an exporter samples (items 32-34).
 *
 * Three sources, strongest first: the administrator's override; what the exporter says, in the
 * record itself or in options data; the administrator's default.  None of them: unknown, which is
 * NULL and not 1.  Options data say it for a sampler (48), a selector (302), a template, an
 * interface, or the whole observation domain.  Domain 0 speaks for all domains of its exporter (RFC
 * 7011 section 3.1).
 *
 * Bound: BS_SAMPLING_MAX_ENTRIES rates for each observation domain, allocated with the first one.
 */
#ifndef BS_SAMPLING_H
#define BS_SAMPLING_H

#include "copy.h"
#include "decode.h"

#define BS_SAMPLING_MAX_ENTRIES 128

typedef enum BsSamplingScope
{
	BS_SAMPLING_NOT_USED = 0,
	BS_SAMPLING_BY_SAMPLER,
	BS_SAMPLING_BY_SELECTOR,
	BS_SAMPLING_BY_INTERFACE,
	BS_SAMPLING_BY_TEMPLATE,
	BS_SAMPLING_OF_DOMAIN
} BsSamplingScope;

typedef struct BsSamplingEntry
{
	uint64_t id;
	int64_t rate;
	uint32_t scope;
} BsSamplingEntry;

/* The rates that options data told for one observation domain. */
typedef struct BsSamplingTable
{
	uint32_t nentries;
	BsSamplingEntry *entries; /* [2 * BS_SAMPLING_MAX_ENTRIES], by hash */
	bool by_interface;        /* some entry is */
	bool by_template;
	int64_t domain_rate; /* of BS_SAMPLING_OF_DOMAIN; 0 unknown */
	uint64_t changes;    /* rates that came or changed, ever */
} BsSamplingTable;

/* What applies to the records of a domain, put together for each datagram. */
typedef struct BsSampling
{
	const BsSamplingTable *own;
	const BsSamplingTable *domain0; /* of the same exporter; NULL: none */
	int64_t header_rate;            /* v5; 0: the header says nothing */
	int64_t default_rate;
	int64_t override_rate;
} BsSampling;

/* Remember a rate of at least 1.  False when the table is full or memory is out. */
extern bool bs_sampling_learn(BsSamplingTable *table, BsSamplingScope scope, uint64_t id,
							  int64_t rate);
extern void bs_sampling_free(BsSamplingTable *table);

/* The rate for this scope and id; 0 unknown. */
extern int64_t bs_sampling_find(const BsSamplingTable *table, BsSamplingScope scope, uint64_t id);

/* The values of the sampling fields of a record; those not present are 0 and not set. */
typedef struct BsSamplingValues
{
	uint64_t value[BS_NSAMPLING_FIELDS];
	bool present[BS_NSAMPLING_FIELDS];
} BsSamplingValues;

/* The rate that the values spell out; 0 unknown. */
extern int64_t bs_sampling_spelled(const BsSamplingValues *values);

/* The rate of a record: all sources in their order; 0 unknown. */
extern int64_t bs_sampling_rate(const BsSampling *sampling, const BsSamplingValues *values,
								uint16_t template_id);

/* v5: 2 bits of mode, 14 of interval; an interval of 0 means 1. */
extern int64_t bs_sampling_of_v5_header(uint16_t field);

/* The rule of the longest prefix that holds the address; NULL: none. */
extern const BsSamplingRule *bs_sampling_rule_for(const BsSamplingRule *rules, uint32_t nrules,
												  const BsInet *address);

#endif
