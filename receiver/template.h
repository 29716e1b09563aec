/* SPDX-License-Identifier: PostgreSQL */
/*
 * template.h: templates of NetFlow v9 and IPFIX, and the cache of one observation domain.
 *
 * A template is the list of fields of a data record.  Its columns are copied by a list of
 * operations (copy.h) that is compiled when the template is first used and whenever the wanted
 * columns change. Data and options templates share one space of ids (item 10).
 *
 * Bounds (item 16).  Memory of all templates is at most
 *     max_templates * (sizeof(BsTemplate) + BS_MAX_COPY_OPS * sizeof(BsCopyOp))
 *     + BS_FIELDS_PER_TEMPLATE * max_templates * (sizeof(BsField) + 4)
 * and that of one exporter the same with max_templates_per_exporter.  At a bound a new template is
 * refused unless the same domain holds one that was neither sent nor used for
 * BS_TEMPLATE_STALE_USEC, which makes way.  So a sender can only ever push out what it let go stale
 * itself.
 *
 * malloc'ed, single-threaded.  Does not read packets (sets.c does).
 */
#ifndef BS_TEMPLATE_H
#define BS_TEMPLATE_H

#include "copy.h"

#define BS_TEMPLATE_MAX_FIELDS 512
#define BS_FIELDS_PER_TEMPLATE 64 /* on average, for the bound of all fields */
#define BS_TEMPLATE_STALE_USEC (INT64_C(30) * 60 * 1000000)
#define BS_FIELD_VARIABLE      65535 /* a width: the record tells (RFC 7011 section 7) */

typedef struct BsField
{
	uint16_t
		element;    /* a scope type of RFC 3954 section 6.1 in the scope of a v9 options template */
	uint16_t width; /* bytes, or BS_FIELD_VARIABLE */
	uint32_t enterprise; /* 0: IANA's element */
} BsField;

typedef struct BsTemplate
{
	uint16_t id;
	uint16_t nfields;
	uint16_t nscope; /* of these, the first ones */
	bool options;
	bool unconfirmed; /* remembered (memo.h), and not sent since */
	uint16_t nvariable;
	uint32_t len_bytes;   /* of a record, the least when nvariable > 0 */
	int64_t defined_usec; /* last sent */
	int64_t used_usec;    /* last used or sent */
	uint32_t *gaps; /* [nvariable + 1]: fixed bytes before each variable-length field, and after */
	BsCopyPlan plan;
	BsField fields[]; /* [nfields]; gaps lie behind them */
} BsTemplate;

typedef struct BsTemplateCache
{
	uint32_t capacity; /* a power of two, or 0 */
	uint32_t ntemplates;
	uint64_t changes;   /* templates that came, changed or went, ever */
	BsTemplate **slots; /* [capacity], linear probing by id */
} BsTemplateCache;

/* What is counted against the bounds, for one exporter or for all. */
typedef struct BsTemplateBudget
{
	uint32_t ntemplates;
	uint32_t nfields;
	uint32_t max_templates;
} BsTemplateBudget;

typedef enum BsTemplateResult
{
	BS_TEMPLATE_STORED = 0,
	BS_TEMPLATE_SAME, /* it was known and nothing changed */
	BS_TEMPLATE_INVALID,
	BS_TEMPLATE_FULL /* a bound is reached, or memory is out */
} BsTemplateResult;

/* What a template set said; fields belong to the caller. */
typedef struct BsTemplateDefinition
{
	uint16_t id;
	uint16_t nfields;
	uint16_t nscope;
	bool options;
	const BsField *fields;
} BsTemplateDefinition;

extern BsTemplate *bs_template_find(const BsTemplateCache *cache, uint16_t id);

/*
 * Take a definition into the cache of a domain: refused when it has no fields or no length (item
 * 5), replacing the old one of its id at once when it differs (item 9).  budgets: those of the
 * exporter and of all.
 */
extern BsTemplateResult bs_template_define(BsTemplateCache *cache,
										   BsTemplateBudget *exporter_budget,
										   BsTemplateBudget *all_budget,
										   const BsTemplateDefinition *definition,
										   int64_t now_usec);

/* A template outside any cache (the fixed record of v5).  NULL when memory is out or it is invalid.
 */
extern BsTemplate *bs_template_create(const BsTemplateDefinition *definition);
extern void bs_template_free(BsTemplate *tmpl);
extern void bs_template_cache_free(BsTemplateCache *cache);

#endif
