/* SPDX-License-Identifier: PostgreSQL */
/*
 * export_v5.c: NetFlow version 5 datagrams.
 *
 *   0 version 5 | 2 count | 4 sysUptime | 8 unix_secs | 12 unix_nsecs | 16 flow_sequence
 *   20 engine_type | 21 engine_id | 22 sampling: 2 bits of mode, 14 of interval | 24 records
 */
#include "export.h"

#define V5_HEADER_LEN  24
#define V5_RECORD_LEN  48
#define V5_MAX_RECORDS 30

static const BsExportField record[] = {
	{0, 4, BS_VALUE_SRC_ADDR, 0},  {0, 4, BS_VALUE_DST_ADDR, 0}, {0, 4, BS_VALUE_NEXT_HOP, 0},
	{0, 2, BS_VALUE_IN_IF, 0},     {0, 2, BS_VALUE_OUT_IF, 0},   {0, 4, BS_VALUE_PACKETS, 0},
	{0, 4, BS_VALUE_BYTES, 0},     {0, 4, BS_VALUE_START, 0},    {0, 4, BS_VALUE_END, 0},
	{0, 2, BS_VALUE_SRC_PORT, 0},  {0, 2, BS_VALUE_DST_PORT, 0}, {0, 1, BS_VALUE_ZERO, 0},
	{0, 1, BS_VALUE_TCP_FLAGS, 0}, {0, 1, BS_VALUE_PROTO, 0},    {0, 1, BS_VALUE_TOS, 0},
	{0, 2, BS_VALUE_SRC_AS, 0},    {0, 2, BS_VALUE_DST_AS, 0},   {0, 1, BS_VALUE_SRC_MASK, 0},
	{0, 1, BS_VALUE_DST_MASK, 0},  {0, 2, BS_VALUE_ZERO, 0},
};

static bool
v5_layout(BsTemplateKind kind, bool is_ipv6, BsLayout *layout)
{
	(void) kind;
	if (is_ipv6)
		return false;
	bs_layout_init(layout, record, sizeof(record) / sizeof(record[0]), 0, false);
	return layout->max_len_bytes == V5_RECORD_LEN;
}

static void
v5_header(uint8_t *p, uint32_t len_bytes, const BsExportHeader *header)
{
	/* Mode 1, packet interval sampling; the mode is 0 where nothing is said. */
	uint32_t sampling = header->sampling_rate == 0 ? 0 : 0x4000 | header->sampling_rate;

	(void) len_bytes;
	bs_put16(&p, 5);
	bs_put16(&p, header->nrecords);
	bs_put32(&p, (uint32_t) (header->export_msec - header->boot_msec));
	bs_put32(&p, (uint32_t) (header->export_msec / 1000));
	bs_put32(&p, (uint32_t) (header->export_msec % 1000 * 1000000));
	bs_put32(&p, header->sequence);
	bs_put16(&p, (uint16_t) header->domain);
	bs_put16(&p, (uint16_t) sampling);
}

/* The sequence counts flows. */
static uint32_t
v5_sequence_step(uint32_t nrecords)
{
	return nrecords;
}

const BsExportProtocol bs_export_v5 = {
	.name = "v5",
	.flow_type = "netflow_v5",
	.header_len_bytes = V5_HEADER_LEN,
	.max_records = V5_MAX_RECORDS,
	.layout = v5_layout,
	.header = v5_header,
	.sequence_step = v5_sequence_step,
};
