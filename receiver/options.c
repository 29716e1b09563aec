/* SPDX-License-Identifier: PostgreSQL */
/*
 * options.c: options data: sampling rates and the exporter's start, remembered for the domain.
 *
 * The scope of a v9 options record is numbered apart (RFC 3954 section 6.1: 1 system, 2 interface,
 * 3 line card, 4 cache, 5 template); that of an IPFIX one is made of ordinary elements (RFC 7011
 * section 3.4.2.1).  A rate without a scope that a record could name holds for the whole domain.
 */
#include "decoder.h"

enum
{
	V9_SCOPE_INTERFACE = 2,
	V9_SCOPE_TEMPLATE = 5
};

/* What one options record says. */
typedef struct Options
{
	BsSamplingValues sampling;
	bool has_template;
	bool has_interface;
	uint64_t template_id;
	uint64_t interface;
	uint64_t init_msec;
	uint64_t domain_id; /* observationDomainId in the scope */
} Options;

/* Elements that are values of sampling, by BsSamplingField + 1. */
static const uint8_t sampling_field[BS_MAX_ELEMENT] = {
	[BS_IE_SAMPLING_INTERVAL] = BS_SAMPLING_INTERVAL + 1,
	[BS_IE_SAMPLER_INTERVAL] = BS_SAMPLER_INTERVAL + 1,
	[BS_IE_SAMPLING_PACKET_INTERVAL] = BS_PACKET_INTERVAL + 1,
	[BS_IE_SAMPLING_PACKET_SPACE] = BS_PACKET_SPACE + 1,
	[BS_IE_SAMPLING_SIZE] = BS_SAMPLE_SIZE + 1,
	[BS_IE_SAMPLING_POPULATION] = BS_SAMPLE_POPULATION + 1,
	[BS_IE_SAMPLER_ID] = BS_SAMPLER_ID + 1,
	[BS_IE_SELECTOR_ID] = BS_SELECTOR_ID + 1,
};

static void
take_v9_scope(Options *options, uint16_t type, uint64_t value)
{
	if (type == V9_SCOPE_INTERFACE)
	{
		options->has_interface = true;
		options->interface = value;
	}
	else if (type == V9_SCOPE_TEMPLATE)
	{
		options->has_template = true;
		options->template_id = value;
	}
}

static void
take_element(Options *options, uint16_t element, bool scope, uint64_t value)
{
	uint32_t field = element < BS_MAX_ELEMENT ? sampling_field[element] : 0;

	if (field != 0 && !options->sampling.present[field - 1])
	{
		options->sampling.present[field - 1] = true;
		options->sampling.value[field - 1] = value;
	}
	else if (element == BS_IE_SYSTEM_INIT_TIME)
		options->init_msec = value;
	else if (scope && element == BS_IE_OBSERVATION_DOMAIN)
		options->domain_id = value;
	else if (scope && element == BS_IE_TEMPLATE_ID)
	{
		options->has_template = true;
		options->template_id = value;
	}
	else if (scope && element == BS_IE_INGRESS_INTERFACE)
	{
		options->has_interface = true;
		options->interface = value;
	}
}

/* The record lies whole in its cursor: its fields were walked before. */
static void
read_record(const BsDecoding *decoding, const BsTemplate *tmpl, BsWire record, Options *options)
{
	for (uint32_t i = 0; i < tmpl->nfields; i++)
	{
		const BsField *field = &tmpl->fields[i];
		bool scope = i < tmpl->nscope;
		uint32_t width = field->width;
		const uint8_t *at;

		if (width == BS_FIELD_VARIABLE && !bs_wire_variable_length(&record, &width))
			return;
		at = bs_wire_take(&record, width);
		if (at == NULL)
			return;
		if (field->enterprise != 0 || width < 1 || width > 8)
			continue;
		if (scope && decoding->domain->flow_type == BS_NETFLOW_V9)
			take_v9_scope(options, field->element, bs_load_uint(at, width));
		else
			take_element(options, field->element, scope, bs_load_uint(at, width));
	}
}

/* The domain that the record is about: its own unless its scope names another that is known. */
static BsDomain *
subject_of(const BsDecoding *decoding, const Options *options)
{
	BsDomain *domain = decoding->domain;
	BsDomain *named = NULL;

	if (options->domain_id != 0 && options->domain_id <= UINT32_MAX)
		named = bs_domain_find(&decoding->decoder->exporters, &domain->exporter->address,
							   domain->flow_type, (uint32_t) options->domain_id);
	return named != NULL ? named : domain;
}

static void
learn_rate(BsSamplingTable *table, const Options *options)
{
	const BsSamplingValues *sampling = &options->sampling;
	int64_t rate = bs_sampling_spelled(sampling);
	bool by_id = sampling->present[BS_SAMPLER_ID] || sampling->present[BS_SELECTOR_ID];

	if (rate == 0)
		return;
	if (sampling->present[BS_SAMPLER_ID])
		bs_sampling_learn(table, BS_SAMPLING_BY_SAMPLER, sampling->value[BS_SAMPLER_ID], rate);
	if (sampling->present[BS_SELECTOR_ID])
		bs_sampling_learn(table, BS_SAMPLING_BY_SELECTOR, sampling->value[BS_SELECTOR_ID], rate);
	if (by_id)
		return;
	if (options->has_template)
		bs_sampling_learn(table, BS_SAMPLING_BY_TEMPLATE, options->template_id, rate);
	else if (options->has_interface)
		bs_sampling_learn(table, BS_SAMPLING_BY_INTERFACE, options->interface, rate);
	else
		bs_sampling_learn(table, BS_SAMPLING_OF_DOMAIN, 0, rate);
}

void
bs_options_take(BsDecoding *decoding, const BsTemplate *tmpl, BsWire record)
{
	Options options = {0};
	BsDomain *subject;

	read_record(decoding, tmpl, record, &options);
	subject = subject_of(decoding, &options);
	if (options.init_msec != 0)
		subject->init_msec = options.init_msec;
	learn_rate(&subject->sampling, &options);
}
