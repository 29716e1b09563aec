/* SPDX-License-Identifier: PostgreSQL */
/*
 * decoder.h: what the protocol files of the decoder share.  decode.h is the face to the outside.
 *
 *   decode.c     the decoder: versions told apart, counters of a datagram, configuration
 *   netflow5.c   the fixed record of v5
 *   netflow9.c   headers and sets of v9: RFC 3954
 *   sflow.c      sFlow v5; packet.h, flowrow.h: the headers it samples, one record at a time
 *   ipfix.c      headers and sets of IPFIX: RFC 7011
 *   sets.c       what these two share: templates, data sets, options data
 *   template.c   templates and their cache
 *   compile.c    a template into copy operations, by the table of elements.c
 *   copy.c       the operations run over records
 *   exporter.c   exporters and observation domains
 *   sampling.c   sampling rates
 *   sequence.c   losses
 *   memo.c       what is remembered over a restart
 *   wire.h       the only reader of packet bytes
 */
#ifndef BS_DECODER_H
#define BS_DECODER_H

#include "exporter.h"
#include "wire.h"

#define BS_DEFAULT_TEMPLATES_PER_EXPORTER 1024
#define BS_DEFAULT_TEMPLATES              65536

struct BsDecoder
{
	BsDecoderConfig config;
	BsDecoderStats stats;
	BsExporterSet exporters;
	BsTemplateBudget budget; /* all templates */
	BsTemplate *v5;          /* the fixed record of v5 */
	BsWanted wanted;
	const BsBatch *wanted_batch; /* whose columns wanted describes */
	struct BsMemo *memo;         /* what was known before; NULL: nothing */
	BsCopyScratch scratch;
	BsField fields[BS_TEMPLATE_MAX_FIELDS + 1]; /* of the template being read */
	const uint8_t *anchors[(BS_MAX_ANCHORS + 1) * BS_VARIABLE_ROWS];
};

/* One datagram on its way through. */
typedef struct BsDecoding
{
	BsDecoder *decoder;
	const BsDatagram *datagram;
	BsBatch *batch;
	BsDomain *domain;
	const BsDomain *domain0; /* domain 0 of the same exporter and type, if another and known */
	BsExporterStats *stats;  /* the domain's */
	BsSampling sampling;
	BsCopyContext context;
	BsSequenceMark mark;
	uint32_t units; /* data records, options records among them; v9, sFlow: 1 datagram */
	bool countable; /* false: sets whose records could not be counted */
} BsDecoding;

/*
 * Find or make the domain and fill in what does not depend on the protocol.  False: there is no
 * slot.
 */
extern bool bs_decoding_begin(BsDecoding *decoding, const BsInet *exporter, BsFlowType flow_type,
							  uint32_t domain_id);

/*
 * Rows that the batch can take now, at most BS_COPY_ROWS; 0 when its sink does not empty it, which
 * counts as an error because records are dropped.
 */
extern uint32_t bs_decoding_room(const BsDecoding *decoding);

/* The export time of the header; zero seconds: the exporter has no clock. */
extern void bs_decoding_set_export_time(BsDecoding *decoding, uint32_t unix_seconds, int64_t usec);

/* Decode one version; the wire stands behind the version. */
extern BsDecodeResult bs_netflow5_decode(BsDecoding *decoding, BsWire wire);
extern BsDecodeResult bs_netflow9_decode(BsDecoding *decoding, BsWire wire);
extern BsDecodeResult bs_ipfix_decode(BsDecoding *decoding, BsWire wire);
extern BsDecodeResult bs_sflow_decode(BsDecoding *decoding, BsWire wire);

/* Once for each domain, when the header has been read: what was known of it before. */
extern void bs_decoding_recall(BsDecoding *decoding);

/* The template of the fixed record of v5; NULL when memory is out. */
extern BsTemplate *bs_netflow5_template(void);

/* sets.c */

/* Count and keep a template, or count why not. */
extern void bs_sets_define(BsDecoding *decoding, const BsTemplateDefinition *definition);

/* Hand each set of a message to take; what is malformed is counted (item 14). */
extern void bs_sets_walk(BsDecoding *decoding, BsWire wire,
						 void (*take)(BsDecoding *decoding, uint16_t id, BsWire set));

/* Compile the template for the columns wanted now, unless it is; false when memory is out
 * (counted). */
extern bool bs_sets_prepare(BsDecoding *decoding, BsTemplate *tmpl);

/* A data set: its records into the batch, or its options into the domain's state. */
extern void bs_sets_data(BsDecoding *decoding, uint16_t template_id, BsWire wire);

/* Records at a fixed stride into the batch; returns their number. */
extern uint32_t bs_sets_fixed_records(BsDecoding *decoding, BsTemplate *tmpl, BsWire *wire,
									  uint32_t max_records);

/* options.c: one options record, whose fields lie one behind the other. */
extern void bs_options_take(BsDecoding *decoding, const BsTemplate *tmpl, BsWire record);

#endif
