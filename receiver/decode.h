/* SPDX-License-Identifier: PostgreSQL */
/*
 * decode.h: export datagrams in, batches of flow records out.
 *
 * A decoder owns the templates, the sampling state and the sequence state of all exporters that it
 * hears.  It does no I/O and reads no clock: the datagram brings its time of arrival.  Bad input is
 * counted at the exporter that sent it, never an error.  It allocates when an exporter, a domain or
 * a template is new, never per datagram.
 *
 * Counters lie in slots that the caller provides (shared memory in the server), one per exporter
 * address, observation domain and flow type.  The decoder is the only writer of the slots handed to
 * it; others may read them at any time (each counter is one aligned 64-bit word).
 */
#ifndef BS_DECODE_H
#define BS_DECODE_H

#include "../src/engine/batch.h"
#include "flow.h"

typedef enum BsFlowType
{
	BS_FLOW_TYPE_NONE = 0, /* slot not in use */
	BS_NETFLOW_V5 = 5,
	BS_NETFLOW_V9 = 9,
	BS_IPFIX = 10,
	BS_SFLOW_V5 = 105
} BsFlowType;

/* "netflow_v5", "netflow_v9", "ipfix", "sflow_v5". */
extern const char *bs_flow_type_name(BsFlowType type);

/*
 * What is known of one exporter, domain and flow type.  Written by one decoder only; flow_type is
 * set last (release), so a reader that sees it not NONE (acquire) sees the identity.
 */
typedef struct BsExporterStats
{
	BsInet exporter;
	int64_t obs_domain;
	uint32_t flow_type;
	uint32_t worker; /* copied from the configuration */
	uint64_t datagrams;
	uint64_t bytes;
	uint64_t records;         /* data records decoded, options records not among them */
	uint64_t option_records;
	uint64_t counter_samples; /* sFlow: samples of counters, which are no flows */
	uint64_t other_samples;   /* sFlow: samples of formats that are not known */
	uint64_t records_lost;    /* by sequence: v5, IPFIX; flow samples of sFlow */
	uint64_t datagrams_lost;  /* by sequence: v9, sFlow */
	uint64_t resyncs;         /* times the sequence could not be followed: restarts, unknown templates */
	uint64_t unknown_template; /* sets dropped because their template is not known */
	uint64_t last_unknown_template; /* id of the last of these; 0: none.  For the log (item 11) */
	uint64_t decode_errors;   /* datagrams or sets that were malformed */
	uint64_t template_errors; /* templates refused */
	uint64_t templates_refused_full; /* templates refused because a cache was full */
	uint64_t withdrawals_ignored;
	uint64_t untimed;         /* records without a usable flow time (item 29) */
	uint64_t totals_used;     /* records whose bytes or packets came from total counters (item 19) */
	uint64_t templates;       /* templates held now, options templates among them */
	/* By templates that were remembered over a restart and have not been sent since (memo.h): */
	uint64_t unconfirmed_records;
	uint64_t unconfirmed_wrong; /* templates of these that were then sent otherwise, or not believed */
	int64_t last_seen_usec;   /* arrival of the last datagram, PostgreSQL epoch */
	int64_t clock_skew_usec;  /* export time - arrival, last datagram */
	int64_t sampling_rate;    /* last rate seen in a record or configured; 0 unknown */
} BsExporterStats;

/* What the administrator says of an exporter's sampling; 0 means not said. */
typedef struct BsSamplingRule
{
	BsInet exporter;      /* an address or a prefix: the longest match is taken */
	int64_t default_rate; /* used when the exporter does not say */
	int64_t override_rate; /* used whatever the exporter says */
} BsSamplingRule;

typedef struct BsDecoderConfig
{
	BsExporterStats *stats; /* [max_exporters], kept by the caller; zeroed or left by a predecessor */
	uint32_t max_exporters; /* slots; datagrams of senders beyond them are refused and counted */
	uint32_t max_templates_per_exporter; /* per exporter address; 0: default (1024) */
	uint32_t max_templates;              /* in all; 0: default (65536) */
	/*
	 * The longest credible flow: a time_flow_start earlier than time_flow_end less this is moved up to
	 * it.  For exporters that keep the original start in every export of a long flow (Juniper inline
	 * monitoring), whose counters cover the time since the last export only.  0: starts are left alone.
	 */
	int64_t longest_flow_usec;
	uint32_t worker;
	BsBatchSink sink; /* called whenever the batch has no room left */
} BsDecoderConfig;

/* Counts that belong to no exporter. */
typedef struct BsDecoderStats
{
	uint64_t datagrams;
	uint64_t not_export;       /* too short, or of no known version */
	uint64_t exporters_refused; /* datagrams of senders for which there was no slot */
	/* Sums over all exporters; what came late is taken back, so they may fall. */
	int64_t records_lost;
	int64_t datagrams_lost;
} BsDecoderStats;

typedef struct BsDatagram
{
	const uint8_t *data;
	uint32_t len_bytes;
	uint16_t port;       /* source port, host order */
	BsInet exporter;     /* source address, bits 32 or 128; an IPv4-mapped IPv6 one is made IPv4 */
	int64_t received_usec; /* arrival, PostgreSQL epoch */
} BsDatagram;

typedef enum BsDecodeResult
{
	BS_DECODED = 0,     /* whatever could be decoded was; faults are in the counters */
	BS_DECODE_NOT_EXPORT, /* not a version this decoder knows; counted */
	BS_DECODE_REFUSED   /* no slot for this exporter; counted */
} BsDecodeResult;

typedef struct BsDecoder BsDecoder;

/* NULL when memory is out.  Slots already in use (a predecessor's) are taken over with their counts. */
extern BsDecoder *bs_decoder_create(const BsDecoderConfig *config);
extern void bs_decoder_free(BsDecoder *decoder);

/* Replace the rules; the decoder copies them.  False when memory is out (the old ones stand). */
extern bool bs_decoder_set_sampling(BsDecoder *decoder, const BsSamplingRule *rules, uint32_t nrules);

/*
 * Decode one datagram: append its records to batch, only the columns that have memory there.  When
 * the batch is full it is given to the sink, which must leave it empty.  Runs are recorded with
 * bs_exporter_source() of the exporter address.  Every wanted column of an appended row is written.
 */
extern BsDecodeResult bs_decoder_decode(BsDecoder *decoder, const BsDatagram *datagram,
										BsBatch *batch);

/* The batch was replaced or its wanted columns changed: templates compile their copy lists anew. */
extern void bs_decoder_columns_changed(BsDecoder *decoder);

/* Change longest_flow_usec of the configuration, for datagrams from now on. */
extern void bs_decoder_set_longest_flow(BsDecoder *decoder, int64_t longest_flow_usec);

/*
 * What comes next of any exporter is unknown: another receiver may have heard it meanwhile.  The gap
 * that shows is not a loss.
 */
extern void bs_decoder_forget_sequences(BsDecoder *decoder);

extern const BsDecoderStats *bs_decoder_stats(const BsDecoder *decoder);

/* The number under which an exporter address stands as a source of time. */
extern uint64_t bs_exporter_source(const BsInet *exporter);

/* One template as held, for the view backstream.templates. */
typedef struct BsTemplateInfo
{
	BsInet exporter;
	int64_t obs_domain;
	uint32_t flow_type;
	uint16_t template_id;
	uint16_t nfields;
	bool options;
	int64_t last_seen_usec;
} BsTemplateInfo;

/* Call visit for every template held; stops when it returns false. */
extern void bs_decoder_templates(const BsDecoder *decoder,
								 bool (*visit)(void *context, const BsTemplateInfo *info),
								 void *context);

#endif
