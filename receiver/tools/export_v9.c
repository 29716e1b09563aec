/* SPDX-License-Identifier: PostgreSQL */
/*
 * export_v9.c: NetFlow version 9 datagrams (RFC 3954).
 *
 *   0 version 9 | 2 count | 4 sysUptime | 8 unix_secs | 12 sequence | 16 source id | 20 FlowSets
 *
 * The header's time has no fraction.  So that stamps are exact to the millisecond all the same,
 * sysUptime is given for that whole second, and records may have ended up to 999 ms after it
 * (flow-decoding: the difference is signed).
 */
#include "export.h"

#define V9_HEADER_LEN         20
#define V9_TEMPLATE_SET       0
#define V9_OPTIONS_SET        1
#define V9_OPTIONS_ID         300
#define V9_SCOPE_SYSTEM       1
#define V9_SAMPLING_INTERVAL  34
#define V9_SAMPLING_ALGORITHM 35

static const BsExportField wide[] = {
	{1, 4, BS_VALUE_BYTES, 0},     {2, 4, BS_VALUE_PACKETS, 0},   {22, 4, BS_VALUE_START, 0},
	{21, 4, BS_VALUE_END, 0},      {8, 4, BS_VALUE_SRC_ADDR, 0},  {12, 4, BS_VALUE_DST_ADDR, 0},
	{15, 4, BS_VALUE_NEXT_HOP, 0}, {10, 4, BS_VALUE_IN_IF, 0},    {14, 4, BS_VALUE_OUT_IF, 0},
	{7, 2, BS_VALUE_SRC_PORT, 0},  {11, 2, BS_VALUE_DST_PORT, 0}, {4, 1, BS_VALUE_PROTO, 0},
	{6, 1, BS_VALUE_TCP_FLAGS, 0}, {5, 1, BS_VALUE_TOS, 0},       {61, 1, BS_VALUE_DIRECTION, 0},
	{16, 4, BS_VALUE_SRC_AS, 0},   {17, 4, BS_VALUE_DST_AS, 0},   {9, 1, BS_VALUE_SRC_MASK, 0},
	{13, 1, BS_VALUE_DST_MASK, 0},
};

static const BsExportField wide_ipv6[] = {
	{1, 4, BS_VALUE_BYTES, 0},      {2, 4, BS_VALUE_PACKETS, 0},    {22, 4, BS_VALUE_START, 0},
	{21, 4, BS_VALUE_END, 0},       {27, 16, BS_VALUE_SRC_ADDR, 0}, {28, 16, BS_VALUE_DST_ADDR, 0},
	{62, 16, BS_VALUE_NEXT_HOP, 0}, {10, 4, BS_VALUE_IN_IF, 0},     {14, 4, BS_VALUE_OUT_IF, 0},
	{7, 2, BS_VALUE_SRC_PORT, 0},   {11, 2, BS_VALUE_DST_PORT, 0},  {4, 1, BS_VALUE_PROTO, 0},
	{6, 1, BS_VALUE_TCP_FLAGS, 0},  {5, 1, BS_VALUE_TOS, 0},        {61, 1, BS_VALUE_DIRECTION, 0},
	{16, 4, BS_VALUE_SRC_AS, 0},    {17, 4, BS_VALUE_DST_AS, 0},    {29, 1, BS_VALUE_SRC_MASK, 0},
	{30, 1, BS_VALUE_DST_MASK, 0},
};

/* An odd length on purpose: sets need padding, and nothing is aligned. */
static const BsExportField narrow[] = {
	{8, 4, BS_VALUE_SRC_ADDR, 0},  {12, 4, BS_VALUE_DST_ADDR, 0}, {7, 2, BS_VALUE_SRC_PORT, 0},
	{11, 2, BS_VALUE_DST_PORT, 0}, {4, 1, BS_VALUE_PROTO, 0},     {16, 2, BS_VALUE_SRC_AS, 0},
	{17, 2, BS_VALUE_DST_AS, 0},   {2, 4, BS_VALUE_PACKETS, 0},   {1, 4, BS_VALUE_BYTES, 0},
	{22, 4, BS_VALUE_START, 0},    {21, 4, BS_VALUE_END, 0},
};

static const BsExportField narrow_ipv6[] = {
	{27, 16, BS_VALUE_SRC_ADDR, 0}, {28, 16, BS_VALUE_DST_ADDR, 0}, {7, 2, BS_VALUE_SRC_PORT, 0},
	{11, 2, BS_VALUE_DST_PORT, 0},  {4, 1, BS_VALUE_PROTO, 0},      {16, 2, BS_VALUE_SRC_AS, 0},
	{17, 2, BS_VALUE_DST_AS, 0},    {2, 4, BS_VALUE_PACKETS, 0},    {1, 4, BS_VALUE_BYTES, 0},
	{22, 4, BS_VALUE_START, 0},     {21, 4, BS_VALUE_END, 0},
};

static const struct
{
	const BsExportField *fields;
	uint16_t nfields;
} lists[BS_TEMPLATE_NKINDS][2] = {
#define FIELDS(list)                                                                               \
	{                                                                                              \
		list, sizeof(list) / sizeof((list)[0])                                                     \
	}
	[BS_TEMPLATE_WIDE] = {FIELDS(wide), FIELDS(wide_ipv6)},
	[BS_TEMPLATE_NARROW] = {FIELDS(narrow), FIELDS(narrow_ipv6)},
#undef FIELDS
};

static bool
v9_layout(BsTemplateKind kind, bool is_ipv6, BsLayout *layout)
{
	if (lists[kind][is_ipv6].nfields == 0)
		return false;
	bs_layout_init(layout, lists[kind][is_ipv6].fields, lists[kind][is_ipv6].nfields,
				   is_ipv6 ? 257 : 256, false);
	return true;
}

/* One options template, scope system, and its one record (RFC 3954, 6.1 and 6.2). */
static uint8_t *
v9_sampling(uint8_t *p, uint32_t sampling_rate)
{
	uint8_t *set = p;

	bs_put16(&p, V9_OPTIONS_SET);
	bs_put16(&p, 0);
	bs_put16(&p, V9_OPTIONS_ID);
	bs_put16(&p, 4); /* bytes of scope fields */
	bs_put16(&p, 8); /* bytes of option fields */
	bs_put16(&p, V9_SCOPE_SYSTEM);
	bs_put16(&p, 4);
	bs_put16(&p, V9_SAMPLING_INTERVAL);
	bs_put16(&p, 4);
	bs_put16(&p, V9_SAMPLING_ALGORITHM);
	bs_put16(&p, 1);
	p = bs_set_close(set, p);

	set = p;
	bs_put16(&p, V9_OPTIONS_ID);
	bs_put16(&p, 0);
	bs_put32(&p, 0);
	bs_put32(&p, sampling_rate);
	bs_put8(&p, 1); /* deterministic */
	return bs_set_close(set, p);
}

static uint8_t *
v9_templates(uint8_t *p, const BsLayout *layouts, uint32_t nlayouts, uint32_t sampling_rate,
			 uint32_t domain, uint16_t *nrecords, uint16_t *noptions)
{
	uint8_t *set = p;

	(void) domain;
	bs_put16(&p, V9_TEMPLATE_SET);
	bs_put16(&p, 0);
	for (uint32_t i = 0; i < nlayouts; i++)
	{
		bs_put16(&p, layouts[i].template_id);
		bs_put16(&p, layouts[i].nfields);
		p = bs_layout_specifiers(p, &layouts[i]);
	}
	p = bs_set_close(set, p);
	*noptions = sampling_rate != 0;
	*nrecords = (uint16_t) (nlayouts + 2u * *noptions);
	return sampling_rate != 0 ? v9_sampling(p, sampling_rate) : p;
}

static void
v9_header(uint8_t *p, uint32_t len_bytes, const BsExportHeader *header)
{
	int64_t secs = header->export_msec / 1000;

	(void) len_bytes;
	bs_put16(&p, 9);
	bs_put16(&p, header->nrecords);
	bs_put32(&p, (uint32_t) (secs * 1000 - header->boot_msec));
	bs_put32(&p, (uint32_t) secs);
	bs_put32(&p, header->sequence);
	bs_put32(&p, header->domain);
}

/* The sequence counts datagrams. */
static uint32_t
v9_sequence_step(uint32_t nrecords)
{
	(void) nrecords;
	return 1;
}

const BsExportProtocol bs_export_v9 = {
	.name = "v9",
	.flow_type = "netflow_v9",
	.header_len_bytes = V9_HEADER_LEN,
	.set_header_len_bytes = 4,
	.has_ipv6 = true,
	.layout = v9_layout,
	.templates = v9_templates,
	.header = v9_header,
	.sequence_step = v9_sequence_step,
};
