/* SPDX-License-Identifier: PostgreSQL */
/* decode.c: the decoder: tells versions apart, keeps the counters of a datagram.  See decode.h. */
#include "decoder.h"

#include <stdlib.h>
#include <string.h>

static const struct
{
	BsFlowType type;
	const char *name;
} flow_types[] = {
	{BS_NETFLOW_V5, "netflow_v5"},
	{BS_NETFLOW_V9, "netflow_v9"},
	{BS_IPFIX, "ipfix"},
	{BS_SFLOW_V5, "sflow_v5"},
};

/* The versions that this decoder knows: the first 16 bits of a datagram. */
static const struct
{
	uint16_t version;
	BsDecodeResult (*decode)(BsDecoding *decoding, BsWire wire);
} versions[] = {
	{5, bs_netflow5_decode},
	{9, bs_netflow9_decode},
	{10, bs_ipfix_decode},
};

const char *
bs_flow_type_name(BsFlowType type)
{
	for (size_t i = 0; i < sizeof(flow_types) / sizeof(flow_types[0]); i++)
		if (flow_types[i].type == type)
			return flow_types[i].name;
	return "unknown";
}

BsDecoder *
bs_decoder_create(const BsDecoderConfig *config)
{
	BsDecoder *decoder = calloc(1, sizeof(BsDecoder));
	uint32_t per_exporter = config->max_templates_per_exporter;

	if (decoder == NULL)
		return NULL;
	decoder->config = *config;
	decoder->budget.max_templates =
		config->max_templates ? config->max_templates : BS_DEFAULT_TEMPLATES;
	decoder->wanted.generation = 1;
	decoder->v5 = bs_netflow5_template();
	if (decoder->v5 == NULL ||
		!bs_exporters_init(&decoder->exporters, config,
						   per_exporter ? per_exporter : BS_DEFAULT_TEMPLATES_PER_EXPORTER))
	{
		bs_template_free(decoder->v5);
		free(decoder);
		return NULL;
	}
	return decoder;
}

void
bs_decoder_free(BsDecoder *decoder)
{
	if (decoder == NULL)
		return;
	bs_exporters_free(&decoder->exporters);
	bs_template_free(decoder->v5);
	free(decoder);
}

bool
bs_decoder_set_sampling(BsDecoder *decoder, const BsSamplingRule *rules, uint32_t nrules)
{
	return bs_exporters_set_rules(&decoder->exporters, rules, nrules);
}

void
bs_decoder_columns_changed(BsDecoder *decoder)
{
	decoder->wanted_batch = NULL;
}

const BsDecoderStats *
bs_decoder_stats(const BsDecoder *decoder)
{
	return &decoder->stats;
}

/* Look at the batch's columns anew; plans compiled for other columns are out of date. */
static void
note_wanted(BsDecoder *decoder, const BsBatch *batch)
{
	BsWanted *wanted = &decoder->wanted;

	for (uint32_t i = 0; i < BS_FLOW_NCOLUMNS; i++)
		wanted->columns[i] = i < batch->ncolumns && bs_lane_wanted(&batch->columns[i]);
	wanted->longest_flow = decoder->config.longest_flow_usec > 0;
	wanted->generation++;
	decoder->wanted_batch = batch;
}

bool
bs_decoding_begin(BsDecoding *decoding, BsFlowType flow_type, uint32_t domain_id)
{
	BsDecoder *decoder = decoding->decoder;
	const BsDatagram *datagram = decoding->datagram;
	BsDomain *domain =
		bs_domain_get(&decoder->exporters, &datagram->exporter, flow_type, domain_id);
	BsCopyContext *context = &decoding->context;

	if (domain == NULL)
		return false;
	decoding->domain = domain;
	decoding->stats = domain->stats;
	decoding->countable = true;
	if (domain_id != 0 && flow_type != BS_NETFLOW_V5)
		decoding->domain0 = domain->exporter->domain0[flow_type == BS_IPFIX];
	decoding->sampling =
		(BsSampling){.own = &domain->sampling,
					 .domain0 = decoding->domain0 ? &decoding->domain0->sampling : NULL,
					 .default_rate = domain->exporter->default_rate,
					 .override_rate = domain->exporter->override_rate};
	context->received_usec = datagram->received_usec;
	context->obs_domain = domain_id;
	context->exporter = &domain->exporter->address;
	context->flow_type = bs_flow_type_name(flow_type);
	context->flow_type_len = (uint32_t) strlen(context->flow_type);
	context->longest_flow_usec = decoder->config.longest_flow_usec;
	context->sampling = &decoding->sampling;
	return true;
}

void
bs_decoding_set_export_time(BsDecoding *decoding, uint32_t unix_seconds, int64_t usec)
{
	BsCopyContext *context = &decoding->context;

	context->export_known = unix_seconds != 0;
	if (!context->export_known)
		return;
	context->export_usec = (int64_t) unix_seconds * 1000000 + usec - BS_UNIX_TO_PG_USEC;
	decoding->stats->clock_skew_usec = context->export_usec - context->received_usec;
}

/* Losses go to the counter of what the protocol numbers (item 35). */
static void
count_losses(BsDecoding *decoding)
{
	BsExporterStats *stats = decoding->stats;
	bool by_datagram = decoding->domain->flow_type == BS_NETFLOW_V9;
	uint64_t *lost = by_datagram ? &stats->datagrams_lost : &stats->records_lost;
	BsSequenceChange change;

	decoding->mark.port = decoding->datagram->port;
	change = bs_sequence_take(&decoding->domain->sequence, &decoding->mark, decoding->units,
							  decoding->countable);
	*lost += (uint64_t) change.lost;
	stats->resyncs += change.resyncs;
}

static void
count_datagram(BsDecoding *decoding)
{
	BsExporterStats *stats = decoding->stats;

	stats->datagrams++;
	stats->bytes += decoding->datagram->len_bytes;
	stats->last_seen_usec = decoding->datagram->received_usec;
	stats->untimed += decoding->context.untimed;
	if (decoding->context.sampling_rate != 0)
		stats->sampling_rate = decoding->context.sampling_rate;
	count_losses(decoding);
}

static BsDecodeResult
decode_version(BsDecoding *decoding)
{
	BsWire wire = bs_wire(decoding->datagram->data, decoding->datagram->len_bytes);
	uint16_t version;

	if (!bs_wire_u16(&wire, &version))
		return BS_DECODE_NOT_EXPORT;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		if (versions[i].version == version)
			return versions[i].decode(decoding, wire);
	return BS_DECODE_NOT_EXPORT;
}

BsDecodeResult
bs_decoder_decode(BsDecoder *decoder, const BsDatagram *datagram, BsBatch *batch)
{
	BsDecoding decoding = {.decoder = decoder, .datagram = datagram, .batch = batch};
	BsDecodeResult result;

	if (decoder->wanted_batch != batch)
		note_wanted(decoder, batch);
	decoder->stats.datagrams++;
	result = decode_version(&decoding);
	if (result == BS_DECODE_NOT_EXPORT)
		decoder->stats.not_export++;
	else if (result == BS_DECODE_REFUSED)
		decoder->stats.exporters_refused++;
	else
		count_datagram(&decoding);
	return result;
}

void
bs_decoder_templates(const BsDecoder *decoder,
					 bool (*visit)(void *context, const BsTemplateInfo *info), void *context)
{
	const BsExporterSet *set = &decoder->exporters;

	for (uint32_t i = 0; i < set->ndomains; i++)
	{
		const BsDomain *domain = set->domains[i];

		for (uint32_t j = 0; j < domain->templates.capacity; j++)
		{
			const BsTemplate *tmpl = domain->templates.slots[j];
			BsTemplateInfo info;

			if (tmpl == NULL)
				continue;
			info = (BsTemplateInfo){.exporter = domain->exporter->address,
									.obs_domain = domain->id,
									.flow_type = domain->flow_type,
									.template_id = tmpl->id,
									.nfields = tmpl->nfields,
									.options = tmpl->options,
									.last_seen_usec = tmpl->defined_usec};
			if (!visit(context, &info))
				return;
		}
	}
}
