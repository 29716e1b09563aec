/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_decode.c: any bytes as a series of datagrams (libFuzzer).
 *
 * The input is one byte of options and then datagrams, one behind the other:
 *
 *     | source | length, 2 bytes big-endian | bytes ... |
 *
 * source: the low 2 bits choose the exporter's address, the next 2 its port, the next 2 how far
 * time moves on.  Each datagram lies in memory of exactly its length.  All of them go through one
 * decoder for all columns and another for few; what does not depend on the columns must come out
 * the same, and what the lanes hold must keep their contract.
 */
#include <stdlib.h>
#include <string.h>

#include "../../receiver/decode.h"
#include "../../receiver/wire.h"

#define MAX_EXPORTERS 8
#define BATCH_ROWS    50

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Side
{
	BsExporterStats stats[MAX_EXPORTERS];
	BsDecoder *decoder;
	BsBatch *batch;
	uint64_t nrows;
} Side;

#define REQUIRE(condition)                                                                         \
	do                                                                                             \
	{                                                                                              \
		if (!(condition))                                                                          \
			abort();                                                                               \
	} while (0)

/* Values that fit their SQL type; NULLs marked; addresses whole. */
static void
check_lane(const BsLane *lane, BsFlowColumn column, uint32_t nrows)
{
	bool time_event = column == BS_FLOW_TIME_EVENT;

	for (uint32_t row = 0; row < nrows; row++)
	{
		REQUIRE(lane->nulls[row] <= 1);
		REQUIRE(lane->nulls[row] == 0 || lane->has_nulls);
		REQUIRE(lane->nulls[row] == 0 || !time_event);
		if (lane->nulls[row])
			continue;
		if (lane->type == BS_INT2)
			REQUIRE(lane->i64[row] >= 0 && lane->i64[row] <= INT16_MAX);
		else if (lane->type == BS_INT4)
			REQUIRE(lane->i64[row] >= 0 && lane->i64[row] <= INT32_MAX);
		else if (lane->type == BS_INT8)
			REQUIRE(lane->i64[row] >= 0);
		else if (lane->type == BS_MACADDR)
			REQUIRE(lane->i64[row] >> 48 == 0);
		else if (lane->type == BS_INET)
			REQUIRE((lane->inet[row].family == 4 && lane->inet[row].bits == 32) ||
					(lane->inet[row].family == 6 && lane->inet[row].bits == 128));
		else if (lane->type == BS_BYTES)
			REQUIRE(lane->bytes[row].len >= 5 && lane->bytes[row].len <= 10);
	}
}

static void
check_batch(void *context, BsBatch *batch)
{
	Side *side = context;
	uint32_t in_runs = 0;

	for (uint32_t i = 0; i < batch->nruns; i++)
	{
		REQUIRE(batch->runs[i].first == in_runs);
		in_runs += batch->runs[i].nrows;
	}
	REQUIRE(in_runs == batch->nrows);
	for (uint32_t column = 0; column < BS_FLOW_NCOLUMNS; column++)
		if (bs_lane_wanted(&batch->columns[column]))
			check_lane(&batch->columns[column], (BsFlowColumn) column, batch->nrows);
	side->nrows += batch->nrows;
	bs_batch_reset(batch);
}

static void
side_open(Side *side, const bool *wanted, int64_t longest_flow_usec)
{
	BsSamplingRule rule = {.exporter = {.family = 4}, .default_rate = 7};
	BsDecoderConfig config = {.stats = side->stats,
							  .max_exporters = MAX_EXPORTERS,
							  .max_templates_per_exporter = 6,
							  .max_templates = 16,
							  .longest_flow_usec = longest_flow_usec,
							  .sink = {check_batch, side}};

	memset(side, 0, sizeof(*side));
	side->decoder = bs_decoder_create(&config);
	side->batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, wanted, BATCH_ROWS);
	REQUIRE(side->decoder != NULL && side->batch != NULL);
	REQUIRE(bs_decoder_set_sampling(side->decoder, &rule, 1));
}

static void
side_close(Side *side)
{
	check_batch(side, side->batch);
	bs_batch_free(side->batch);
	bs_decoder_free(side->decoder);
}

static void
decode_both(Side *all, Side *few, uint8_t source, const uint8_t *bytes, size_t len_bytes,
			int64_t *now_usec)
{
	static const int64_t steps_usec[4] = {0, 1000, 60000000, INT64_C(3600000000)};
	uint8_t *copy = malloc(len_bytes > 0 ? len_bytes : 1);
	BsDatagram datagram = {.data = copy, .len_bytes = (uint32_t) len_bytes};
	BsDecodeResult result;

	REQUIRE(copy != NULL);
	memcpy(copy, bytes, len_bytes);
	*now_usec += steps_usec[source >> 4 & 3];
	datagram.received_usec = *now_usec;
	datagram.port = (uint16_t) (2000 + (source >> 2 & 3));
	datagram.exporter = (BsInet){.family = 4, .bits = 32, .address = {10, 0, 0, source & 3}};
	if ((source & 3) == 3)
		datagram.exporter = (BsInet){.family = 6, .bits = 128, .address = {0x20, 1}};
	result = bs_decoder_decode(all->decoder, &datagram, all->batch);
	REQUIRE(bs_decoder_decode(few->decoder, &datagram, few->batch) == result);
	free(copy);
}

/* What was counted, less what only shows where a column is wanted. */
static void
compare_stats(const Side *all, const Side *few)
{
	uint64_t records = 0;

	for (uint32_t i = 0; i < MAX_EXPORTERS; i++)
	{
		BsExporterStats a = all->stats[i];
		BsExporterStats b = few->stats[i];

		records += a.records;
		REQUIRE(a.datagrams_lost <= INT64_MAX && a.records_lost <= INT64_MAX);
		a.untimed = b.untimed = 0;
		REQUIRE(memcmp(&a, &b, sizeof(a)) == 0);
	}
	REQUIRE(all->nrows == records && few->nrows == records);
}

static bool
count_template(void *context, const BsTemplateInfo *info)
{
	uint32_t *ntemplates = context;

	REQUIRE(info->nfields > 0);
	(*ntemplates)++;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const bool few_columns[BS_FLOW_NCOLUMNS] = {
		[BS_FLOW_TIME_EVENT] = true, [BS_FLOW_BYTES] = true, [BS_FLOW_ICMP_CODE] = true};
	static Side all;
	static Side few;
	BsWire wire = bs_wire(data, size);
	int64_t now_usec = INT64_C(753000000) * 1000000;
	uint32_t ntemplates = 0;
	uint8_t options;
	uint8_t source;
	uint16_t len_bytes;

	if (!bs_wire_u8(&wire, &options))
		return 0;
	side_open(&all, NULL, options & 1 ? 60000000 : 0);
	side_open(&few, few_columns, options & 1 ? 60000000 : 0);
	while (bs_wire_u8(&wire, &source) && bs_wire_u16(&wire, &len_bytes))
	{
		size_t take = len_bytes < wire.left ? len_bytes : wire.left;

		decode_both(&all, &few, source, bs_wire_take(&wire, take), take, &now_usec);
	}
	bs_decoder_templates(all.decoder, count_template, &ntemplates);
	REQUIRE(ntemplates <= 16);
	side_close(&all);
	side_close(&few);
	compare_stats(&all, &few);
	return 0;
}
