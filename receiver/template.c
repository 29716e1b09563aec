/* SPDX-License-Identifier: PostgreSQL */
/* template.c: templates and their cache.  See template.h. */
#include "template.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 8

static uint32_t
home_of(const BsTemplateCache *cache, uint16_t id)
{
	return (uint32_t) (id * UINT32_C(0x9E3779B1) >> 16) & (cache->capacity - 1);
}

/* The slot of an id, or the free one where it belongs.  The cache has a free slot. */
static uint32_t
slot_of(const BsTemplateCache *cache, uint16_t id)
{
	uint32_t slot = home_of(cache, id);

	while (cache->slots[slot] != NULL && cache->slots[slot]->id != id)
		slot = (slot + 1) & (cache->capacity - 1);
	return slot;
}

BsTemplate *
bs_template_find(const BsTemplateCache *cache, uint16_t id)
{
	return cache->capacity == 0 ? NULL : cache->slots[slot_of(cache, id)];
}

static bool
cache_grow(BsTemplateCache *cache)
{
	BsTemplateCache grown = {.capacity = cache->capacity ? 2 * cache->capacity : FIRST_CAPACITY,
							 .ntemplates = cache->ntemplates};

	grown.slots = calloc(grown.capacity, sizeof(BsTemplate *));
	if (grown.slots == NULL)
		return false;
	for (uint32_t i = 0; i < cache->capacity; i++)
		if (cache->slots[i] != NULL)
			grown.slots[slot_of(&grown, cache->slots[i]->id)] = cache->slots[i];
	free(cache->slots);
	*cache = grown;
	return true;
}

/* Empty a slot and close the gap that it leaves in runs of linear probing. */
static BsTemplate *
cache_remove(BsTemplateCache *cache, uint32_t slot)
{
	BsTemplate *removed = cache->slots[slot];
	uint32_t mask = cache->capacity - 1;

	cache->slots[slot] = NULL;
	cache->ntemplates--;
	for (uint32_t next = (slot + 1) & mask; cache->slots[next] != NULL; next = (next + 1) & mask)
	{
		BsTemplate *moved = cache->slots[next];

		cache->slots[next] = NULL;
		cache->slots[slot_of(cache, moved->id)] = moved;
	}
	return removed;
}

static void
budget_charge(BsTemplateBudget *budget, int ntemplates, int nfields)
{
	budget->ntemplates += (uint32_t) ntemplates;
	budget->nfields += (uint32_t) nfields;
}

static bool
budget_allows(const BsTemplateBudget *budget, int ntemplates, int nfields)
{
	uint64_t max_fields = (uint64_t) budget->max_templates * BS_FIELDS_PER_TEMPLATE;

	return (int64_t) budget->ntemplates + ntemplates <= (int64_t) budget->max_templates &&
		   (int64_t) budget->nfields + nfields <= (int64_t) max_fields;
}

static void
drop_slot(BsTemplateCache *cache, uint32_t slot, BsTemplateBudget *exporter_budget,
		  BsTemplateBudget *all_budget)
{
	BsTemplate *dropped = cache_remove(cache, slot);

	budget_charge(exporter_budget, -1, -(int) dropped->nfields);
	budget_charge(all_budget, -1, -(int) dropped->nfields);
	cache->changes++;
	bs_template_free(dropped);
}

/* Free the template of this domain that has been idle longest, if it is stale. */
static bool
evict_stale(BsTemplateCache *cache, BsTemplateBudget *exporter_budget, BsTemplateBudget *all_budget,
			uint16_t keep_id, int64_t now_usec)
{
	uint32_t oldest = cache->capacity;

	for (uint32_t i = 0; i < cache->capacity; i++)
		if (cache->slots[i] != NULL && cache->slots[i]->id != keep_id &&
			now_usec - cache->slots[i]->used_usec > BS_TEMPLATE_STALE_USEC &&
			(oldest == cache->capacity ||
			 cache->slots[i]->used_usec < cache->slots[oldest]->used_usec))
			oldest = i;
	if (oldest == cache->capacity)
		return false;
	drop_slot(cache, oldest, exporter_budget, all_budget);
	return true;
}

/* The least length of a record, or 0 when the definition is not valid. */
static uint32_t
definition_length(const BsTemplateDefinition *definition, uint16_t *nvariable)
{
	uint32_t len_bytes = 0;

	*nvariable = 0;
	if (definition->nscope > definition->nfields)
		return 0;
	for (uint32_t i = 0; i < definition->nfields; i++)
	{
		bool variable = definition->fields[i].width == BS_FIELD_VARIABLE;

		len_bytes += variable ? 1 : definition->fields[i].width;
		*nvariable = (uint16_t) (*nvariable + variable);
	}
	return len_bytes;
}

/* Fixed bytes in front of each variable-length field, and behind the last. */
static void
measure_gaps(BsTemplate *tmpl)
{
	uint32_t gap = 0;

	for (uint32_t i = 0; i < tmpl->nfields; i++)
	{
		if (tmpl->fields[i].width == BS_FIELD_VARIABLE)
			gap++;
		else
			tmpl->gaps[gap] += tmpl->fields[i].width;
	}
}

BsTemplate *
bs_template_create(const BsTemplateDefinition *definition)
{
	uint16_t nvariable;
	uint32_t len_bytes = definition_length(definition, &nvariable);
	size_t fields_bytes = definition->nfields * sizeof(BsField);
	BsTemplate *tmpl;

	if (len_bytes == 0)
		return NULL;
	tmpl = calloc(1, sizeof(BsTemplate) + fields_bytes + (nvariable + 1) * sizeof(uint32_t));
	if (tmpl == NULL)
		return NULL;
	tmpl->id = definition->id;
	tmpl->nfields = definition->nfields;
	tmpl->nscope = definition->nscope;
	tmpl->options = definition->options;
	tmpl->nvariable = nvariable;
	tmpl->len_bytes = len_bytes;
	memcpy(tmpl->fields, definition->fields, fields_bytes);
	tmpl->gaps = (uint32_t *) &tmpl->fields[tmpl->nfields];
	measure_gaps(tmpl);
	return tmpl;
}

void
bs_template_free(BsTemplate *tmpl)
{
	if (tmpl == NULL)
		return;
	bs_copy_plan_free(&tmpl->plan);
	free(tmpl);
}

void
bs_template_cache_free(BsTemplateCache *cache)
{
	for (uint32_t i = 0; i < cache->capacity; i++)
		bs_template_free(cache->slots[i]);
	free(cache->slots);
	*cache = (BsTemplateCache){0};
}

static bool
same_definition(const BsTemplate *tmpl, const BsTemplateDefinition *definition)
{
	return tmpl->nfields == definition->nfields && tmpl->nscope == definition->nscope &&
		   tmpl->options == definition->options &&
		   memcmp(tmpl->fields, definition->fields, tmpl->nfields * sizeof(BsField)) == 0;
}

/* A definition that cannot be held: what was held under its id no longer describes the records. */
static BsTemplateResult
refuse_full(BsTemplateCache *cache, BsTemplateBudget *exporter_budget, BsTemplateBudget *all_budget,
			const BsTemplate *old)
{
	if (old != NULL)
		drop_slot(cache, slot_of(cache, old->id), exporter_budget, all_budget);
	return BS_TEMPLATE_FULL;
}

BsTemplateResult
bs_template_define(BsTemplateCache *cache, BsTemplateBudget *exporter_budget,
				   BsTemplateBudget *all_budget, const BsTemplateDefinition *definition,
				   int64_t now_usec)
{
	BsTemplate *old = bs_template_find(cache, definition->id);
	BsTemplate *tmpl;
	uint16_t nvariable;
	int more_templates = old == NULL;
	int more_fields = (int) definition->nfields - (old ? (int) old->nfields : 0);

	if (definition_length(definition, &nvariable) == 0)
		return BS_TEMPLATE_INVALID;
	if (old != NULL && same_definition(old, definition))
	{
		old->defined_usec = old->used_usec = now_usec;
		old->unconfirmed = false;
		return BS_TEMPLATE_SAME;
	}
	if (definition->nfields > BS_TEMPLATE_MAX_FIELDS)
		return refuse_full(cache, exporter_budget, all_budget, old);
	while (!budget_allows(exporter_budget, more_templates, more_fields) ||
		   !budget_allows(all_budget, more_templates, more_fields))
		if (!evict_stale(cache, exporter_budget, all_budget, definition->id, now_usec))
			return refuse_full(cache, exporter_budget, all_budget, old);
	if (2 * (cache->ntemplates + 1) > cache->capacity && !cache_grow(cache))
		return refuse_full(cache, exporter_budget, all_budget, old);
	tmpl = bs_template_create(definition);
	if (tmpl == NULL)
		return refuse_full(cache, exporter_budget, all_budget, old);
	tmpl->defined_usec = tmpl->used_usec = now_usec;
	cache->slots[slot_of(cache, definition->id)] = tmpl;
	cache->ntemplates += (uint32_t) more_templates;
	cache->changes++;
	budget_charge(exporter_budget, more_templates, more_fields);
	budget_charge(all_budget, more_templates, more_fields);
	bs_template_free(old);
	return BS_TEMPLATE_STORED;
}
