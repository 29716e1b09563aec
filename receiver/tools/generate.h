/* SPDX-License-Identifier: PostgreSQL */
/*
 * generate.h: export traffic with totals known in advance, datagram after datagram.
 *
 * A generator owns its streams (one per exporter address and domain, each with a version, a
 * sequence and a clock), the record images and the totals.  It does no I/O and reads no clock; the
 * same configuration and the same times give the same bytes.
 */
#ifndef BS_GENERATE_H
#define BS_GENERATE_H

#include "export.h"
#include "population.h"
#include "totals.h"

/* Memory that a datagram is built in: records are copied in constant sizes, so with some slack. */
#define BS_GENERATE_BUFFER (BS_EXPORT_PAYLOAD + BS_EXPORT_MAX_RECORD + 8)
/* More than fit a datagram by any template. */
#define BS_GENERATE_RECORDS 64

typedef struct BsGenerateConfig
{
	/* Exporter e sends versions[e % nversions]. */
	BsExportVersion versions[BS_EXPORT_NVERSIONS];
	uint32_t nversions;
	BsTemplateKind template_kind; /* where the version has no such template: wide */
	uint32_t nexporters;
	uint32_t ndomains; /* per exporter */
	uint32_t first_domain;
	uint32_t records_per_datagram;  /* 0: as many as fit BS_EXPORT_PAYLOAD */
	uint32_t sampling_rate;         /* 0: not said; v5 has room for 16383 */
	int64_t template_interval_usec; /* 0: once, at the start */
	bool fixed_time;                /* flow i ends at start_usec + i * time_step_usec, else now */
	int64_t start_usec; /* Unix time; with or without fixed_time, exporters booted an hour before */
	int64_t time_step_usec;
	/*
	 * 0, or records of all streams together: burst b is exported at start_usec + (b + 1) *
	 * burst_interval_usec, of flows that have ended since the one before, in no order.  Takes the
	 * place of fixed_time.
	 */
	uint64_t burst_records;
	int64_t burst_interval_usec; /* 1000 or more */
	uint32_t skew_msec;          /* each exporter's clock is off by up to so much, either way */
	uint32_t duration_msec;      /* the longest flow; at most an hour */
	double loss;                 /* chance of a datagram of data to be left out, 0..1 */
	uint32_t first_sequence;
	BsPopulationConfig population; /* population.seed is the seed of everything */
	bool by_flow;                  /* keep sums per flow */
} BsGenerateConfig;

/* One datagram to be sent, or left out. */
typedef struct BsOutgoing
{
	uint8_t *data;      /* the caller's, BS_GENERATE_BUFFER bytes */
	uint32_t len_bytes; /* 0: lost on purpose */
	uint32_t exporter;  /* 0..nexporters-1 */
	uint32_t nrecords;  /* data records, lost ones too; 0: templates */
} BsOutgoing;

typedef struct BsGenerator BsGenerator;

/* What is wrong with a configuration, or NULL. */
extern const char *bs_generator_check(const BsGenerateConfig *config);

/* The configuration must have passed the check.  NULL when memory is out. */
extern BsGenerator *bs_generator_create(const BsGenerateConfig *config);
extern void bs_generator_free(BsGenerator *generator);

/*
 * Make the next datagram, of at most max_records (1 or more) data records, all of one burst.
 * now_usec is the Unix time: it says when templates are due (in bursts the exporters' own time does)
 * and, without fixed_time, when flows end.
 */
extern void bs_generator_next(BsGenerator *generator, int64_t now_usec, uint32_t max_records,
							  BsOutgoing *out);

/* From now on lose nothing on purpose. */
extern void bs_generator_end_loss(BsGenerator *generator);

/* The sums of all datagrams made so far. */
extern const BsTotals *bs_generator_totals(BsGenerator *generator);

/* The flows, for what is written per key. */
extern const BsPopulation *bs_generator_population(const BsGenerator *generator);

/* What stream i of the totals is. */
typedef struct BsStreamInfo
{
	const char *flow_type;
	uint32_t exporter;
	uint32_t domain;
	int64_t skew_msec;
} BsStreamInfo;

extern BsStreamInfo bs_generator_stream(const BsGenerator *generator, uint32_t i);

#endif
