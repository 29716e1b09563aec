/* SPDX-License-Identifier: PostgreSQL */
/*
 * decode_fixture.h: a decoder, a batch of all columns and a datagram to build, for the decoder's
 * tests.
 *
 * A test builds into fixture->build, calls send_datagram(), and looks at the rows with value(),
 * address() and is_null(), or at the counters of the exporter's slots.  Tests named item_NN_ show
 * the items of flow-decoding.md.
 */
#ifndef BS_DECODE_FIXTURE_H
#define BS_DECODE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../receiver/decode.h"
#include "build_datagram.h"

#define FIXTURE_SLOTS 16
#define FIXTURE_ROWS  4096

/* 2023-11-14 22:13:20 UTC: the export time of most tests, and arrival two seconds later. */
#define EXPORT_SECONDS 1700000000
#define EXPORT_USEC    (INT64_C(1700000000) * 1000000 - BS_UNIX_TO_PG_USEC)
#define ARRIVAL_USEC   (EXPORT_USEC + 2000000)

typedef struct Fixture
{
	BsDecoder *decoder;
	BsBatch *batch;
	BsExporterStats stats[FIXTURE_SLOTS];
	BsBuild build;
	BsInet exporter;
	uint16_t port;
	int64_t received_usec;
} Fixture;

static inline BsInet
ipv4(uint32_t address)
{
	return (BsInet){.address = {(uint8_t) (address >> 24), (uint8_t) (address >> 16),
								(uint8_t) (address >> 8), (uint8_t) address},
					.family = 4,
					.bits = 32};
}

/* An IPv6 address of which only the first and the last byte are not zero. */
static inline BsInet
ipv6(uint8_t first, uint8_t last)
{
	BsInet inet = {.family = 6, .bits = 128};

	inet.address[0] = first;
	inet.address[15] = last;
	return inet;
}

/* config: stats, max_exporters and sink are the fixture's; NULL: defaults. */
static inline Fixture *
fixture_create(const BsDecoderConfig *config)
{
	Fixture *fixture = calloc(1, sizeof(Fixture));
	BsDecoderConfig own = config ? *config : (BsDecoderConfig){0};

	assert_non_null(fixture);
	own.stats = fixture->stats;
	if (own.max_exporters == 0)
		own.max_exporters = FIXTURE_SLOTS;
	fixture->decoder = bs_decoder_create(&own);
	fixture->batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, NULL, FIXTURE_ROWS);
	assert_non_null(fixture->decoder);
	assert_non_null(fixture->batch);
	fixture->exporter = ipv4(0x0A000001);
	fixture->port = 2000;
	fixture->received_usec = ARRIVAL_USEC;
	return fixture;
}

static inline void
fixture_free(Fixture *fixture)
{
	bs_decoder_free(fixture->decoder);
	bs_batch_free(fixture->batch);
	free(fixture);
}

static inline int
fixture_setup(void **state)
{
	*state = fixture_create(NULL);
	return 0;
}

static inline int
fixture_teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

#define fixture_test(function)                                                                     \
	cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

/* Decode what was built as it stands, from memory of exactly its size. */
static inline BsDecodeResult
send_as_is(Fixture *fixture)
{
	uint32_t len_bytes = fixture->build.len_bytes;
	uint8_t *data = malloc(len_bytes ? len_bytes : 1);
	BsDatagram datagram = {.data = data,
						   .len_bytes = len_bytes,
						   .port = fixture->port,
						   .exporter = fixture->exporter,
						   .received_usec = fixture->received_usec};
	BsDecodeResult result;

	memcpy(data, fixture->build.bytes, len_bytes);
	result = bs_decoder_decode(fixture->decoder, &datagram, fixture->batch);
	free(data);
	return result;
}

/* Close what was built and decode it. */
static inline void
send_datagram(Fixture *fixture)
{
	bs_build_end(&fixture->build);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
}

static inline uint32_t
nrows(const Fixture *fixture)
{
	return fixture->batch->nrows;
}

static inline bool
is_null(const Fixture *fixture, uint32_t row, BsFlowColumn column)
{
	assert_true(row < fixture->batch->nrows);
	return bs_lane_is_null(&fixture->batch->columns[column], row);
}

static inline int64_t
value(const Fixture *fixture, uint32_t row, BsFlowColumn column)
{
	assert_false(is_null(fixture, row, column));
	return fixture->batch->columns[column].i64[row];
}

static inline void
assert_address(const Fixture *fixture, uint32_t row, BsFlowColumn column, BsInet expected)
{
	assert_false(is_null(fixture, row, column));
	assert_memory_equal(&fixture->batch->columns[column].inet[row], &expected, sizeof(BsInet));
}

/* A v9 datagram with a template of these fields in front of whatever follows. */
static inline void
begin_v9(Fixture *fixture, uint16_t template_id, const BsBuildField *fields, uint32_t nfields)
{
	bs_build_v9(&fixture->build, 100000, EXPORT_SECONDS, 1, 7);
	bs_build_template(&fixture->build, template_id, fields, nfields);
}

static inline void
begin_ipfix(Fixture *fixture, uint16_t template_id, const BsBuildField *fields, uint32_t nfields)
{
	bs_build_ipfix(&fixture->build, EXPORT_SECONDS, 0, 7);
	bs_build_template(&fixture->build, template_id, fields, nfields);
}

#define BEGIN_V9(fixture, id, fields)    begin_v9(fixture, id, fields, BS_BUILD_COUNT(fields))
#define BEGIN_IPFIX(fixture, id, fields) begin_ipfix(fixture, id, fields, BS_BUILD_COUNT(fields))

#endif
