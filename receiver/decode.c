/* SPDX-License-Identifier: PostgreSQL */
/* decode.c: the decoder: tells versions apart, keeps the counters of a datagram.  See decode.h. */
#include "decoder.h"
#include "recall.h"

#include <stdlib.h>
#include <string.h>

static const struct
{
	BsFlowType type;
	uint32_t len;
	const char *name;
} flow_types[] = {
	{BS_NETFLOW_V5, 10, "netflow_v5"},
	{BS_NETFLOW_V9, 10, "netflow_v9"},
	{BS_IPFIX, 5, "ipfix"},
	{BS_SFLOW_V5, 8, "sflow_v5"},
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
	{0, bs_sflow_decode}, /* its version takes 32 bits */
};

static BsBytes
flow_type_text(BsFlowType type)
{
	for (size_t i = 0; i < sizeof(flow_types) / sizeof(flow_types[0]); i++)
		if (flow_types[i].type == type)
			return (BsBytes){.data = (const uint8_t *) flow_types[i].name,
							 .len = flow_types[i].len};
	return (BsBytes){.data = (const uint8_t *) "unknown", .len = 7};
}

const char *
bs_flow_type_name(BsFlowType type)
{
	return (const char *) flow_type_text(type).data;
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
	bs_memo_free(decoder->memo);
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
bs_decoding_begin(BsDecoding *decoding, const BsInet *exporter, BsFlowType flow_type,
				  uint32_t domain_id)
{
	BsDecoder *decoder = decoding->decoder;
	const BsDatagram *datagram = decoding->datagram;
	BsDomain *domain = bs_domain_get(&decoder->exporters, exporter, flow_type, domain_id);

	if (domain == NULL)
		return false;
	decoding->domain = domain;
	decoding->domain0 = NULL;
	if (domain_id != 0 && (flow_type == BS_NETFLOW_V9 || flow_type == BS_IPFIX))
		decoding->domain0 = domain->exporter->domain0[flow_type == BS_IPFIX];
	decoding->stats = domain->stats;
	decoding->sampling =
		(BsSampling){.own = &domain->sampling,
					 .domain0 = decoding->domain0 ? &decoding->domain0->sampling : NULL,
					 .default_rate = domain->exporter->default_rate,
					 .override_rate = domain->exporter->override_rate};
	decoding->context = (BsCopyContext){.received_usec = datagram->received_usec,
										.obs_domain = domain_id,
										.exporter = &domain->exporter->address,
										.flow_type = flow_type_text(flow_type),
										.longest_flow_usec = decoder->config.longest_flow_usec,
										.sampling = &decoding->sampling};
	decoding->units = 0;
	decoding->countable = true;
	return true;
}

static void
recall_rate(void *context, BsSamplingScope scope, uint64_t id, int64_t rate)
{
	BsDecoding *decoding = context;

	(void) bs_sampling_learn(&decoding->domain->sampling, scope, id, rate);
}

static void
recall_template(void *context, const BsTemplateDefinition *definition)
{
	BsDecoding *decoding = context;
	BsDomain *domain = decoding->domain;

	if (bs_template_define(&domain->templates, &domain->exporter->budget,
						   &decoding->decoder->budget, definition,
						   decoding->datagram->received_usec) == BS_TEMPLATE_STORED)
		bs_template_find(&domain->templates, definition->id)->unconfirmed = true;
}

void
bs_decoding_recall(BsDecoding *decoding)
{
	BsDomain *domain = decoding->domain;
	const BsMemo *memo = decoding->decoder->memo;
	BsRecall take = {.context = decoding, .rate = recall_rate, .define = recall_template};
	BsRecalled recalled;

	if (domain->recalled)
		return;
	domain->recalled = true;
	if (!bs_memo_recall(memo, &domain->exporter->address, domain->flow_type, domain->id, NULL, &recalled))
		return;
	if (!bs_recalled_goes_on(&recalled, domain->flow_type, &decoding->mark))
	{
		decoding->stats->unconfirmed_wrong += recalled.ntemplates;
		return;
	}
	(void) bs_memo_recall(memo, &domain->exporter->address, domain->flow_type, domain->id, &take, &recalled);
	domain->init_msec = recalled.init_msec;
	if (recalled.domain_rate > 0)
		(void) bs_sampling_learn(&domain->sampling, BS_SAMPLING_OF_DOMAIN, 0, recalled.domain_rate);
	decoding->stats->templates = domain->templates.ntemplates;
}

void
bs_decoder_remember(BsDecoder *decoder, BsMemo *memo)
{
	bs_memo_free(decoder->memo);
	decoder->memo = memo;
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

uint32_t
bs_decoding_room(const BsDecoding *decoding)
{
	BsBatch *batch = decoding->batch;
	const BsBatchSink *sink = &decoding->decoder->config.sink;

	if (batch->nrows >= batch->capacity && sink->flush != NULL)
		sink->flush(sink->context, batch);
	if (batch->nrows >= batch->capacity)
	{
		decoding->stats->decode_errors++;
		return 0;
	}
	return batch->capacity - batch->nrows < BS_COPY_ROWS ? batch->capacity - batch->nrows
														 : BS_COPY_ROWS;
}

/* Losses go to the counter of what the protocol numbers (item 35). */
static void
count_losses(BsDecoding *decoding)
{
	BsExporterStats *stats = decoding->stats;
	BsFlowType type = decoding->domain->flow_type;
	bool by_datagram = type == BS_NETFLOW_V9 || type == BS_SFLOW_V5;
	uint64_t *lost = by_datagram ? &stats->datagrams_lost : &stats->records_lost;
	BsSequenceChange change;

	decoding->mark.port = decoding->datagram->port;
	change = bs_sequence_take(&decoding->domain->sequence, &decoding->mark, decoding->units,
							  decoding->countable);
	*lost += (uint64_t) change.lost;
	if (by_datagram)
		decoding->decoder->stats.datagrams_lost += change.lost;
	else
		decoding->decoder->stats.records_lost += change.lost;
	stats->resyncs += change.resyncs;
}

/* The rate last seen in a record, or what holds for all of the domain's. */
static void
note_sampling(const BsDecoding *decoding)
{
	static const BsSamplingValues none = {0};
	int64_t rate = decoding->context.sampling_rate;

	if (rate == 0)
		rate = bs_sampling_rate(&decoding->sampling, &none, 0);
	if (rate != 0)
		decoding->stats->sampling_rate = rate;
}

static void
count_datagram(BsDecoding *decoding)
{
	BsExporterStats *stats = decoding->stats;

	stats->datagrams++;
	stats->bytes += decoding->datagram->len_bytes;
	stats->last_seen_usec = decoding->datagram->received_usec;
	stats->untimed += decoding->context.untimed;
	note_sampling(decoding);
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
	BsDecoding decoding; /* what is not set here is set by bs_decoding_begin() */
	BsDecodeResult result;

	decoding.decoder = decoder;
	decoding.datagram = datagram;
	decoding.batch = batch;
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
bs_decoder_set_longest_flow(BsDecoder *decoder, int64_t longest_flow_usec)
{
	decoder->config.longest_flow_usec = longest_flow_usec;
	bs_decoder_columns_changed(decoder);
}

void
bs_decoder_forget_sequences(BsDecoder *decoder)
{
	const BsExporterSet *set = &decoder->exporters;

	for (uint32_t i = 0; i < set->ndomains; i++)
	{
		BsDomain *domain = set->domains[i];

		domain->sequence = (BsSequence){0};
		free(domain->samples);
		domain->samples = NULL;
	}
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
