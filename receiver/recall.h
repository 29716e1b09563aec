/* SPDX-License-Identifier: PostgreSQL */
/*
 * recall.h: looking up one observation domain in a memo (memo.h), for the decoder.
 */
#ifndef BS_RECALL_H
#define BS_RECALL_H

#include "memo.h"
#include "sampling.h"
#include "sequence.h"
#include "template.h"

/* Clocks of exporters drift, and their headers have whole seconds. */
#define BS_BOOT_SLACK_MSEC 10000

/* What was known of a domain besides rates and templates. */
typedef struct BsRecalled
{
	const uint8_t *identity;
	int64_t heard_usec;
	uint32_t flags;
	uint32_t sequence;
	uint32_t boot_msec;
	uint64_t init_msec;
	uint32_t ntemplates;
	int64_t domain_rate; /* 0: unknown */
} BsRecalled;

/* Called for each rate and each template. */
typedef struct BsRecall
{
	void *context;
	void (*rate)(void *context, BsSamplingScope scope, uint64_t id, int64_t rate);
	void (*define)(void *context, const BsTemplateDefinition *definition);
} BsRecall;

/* False: the memo, which may be NULL, does not know it. */
extern bool bs_memo_recall(const BsMemo *memo, const BsInet *address, BsFlowType flow_type,
						   uint32_t id, const BsRecall *take, BsRecalled *recalled);

/* Has the exporter gone on since, or was it started again?  By the header of its first datagram. */
extern bool bs_recalled_goes_on(const BsRecalled *recalled, BsFlowType flow_type,
								const BsSequenceMark *mark);

#endif
