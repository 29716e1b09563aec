/* SPDX-License-Identifier: PostgreSQL */
/*
 * export_ipfix.c: IPFIX messages (RFC 7011).
 *
 *   0 version 10 | 2 length | 4 export time | 8 sequence | 12 observation domain | 16 Sets
 *
 * Counters have 8 bytes and stamps are milliseconds of the epoch (152, 153), as in inline
 * exporters; the narrow template has counters of reduced size (RFC 7011, 6.2).
 */
#include "export.h"

#define IPFIX_HEADER_LEN   16
#define IPFIX_TEMPLATE_SET 2
#define IPFIX_OPTIONS_SET  3
#define IPFIX_OPTIONS_ID   300
/* Elements of the sampling options; 305 and 306 say one packet, then so many that are skipped. */
#define IPFIX_DOMAIN_ID 149
#define IPFIX_ALGORITHM 304
#define IPFIX_INTERVAL  305
#define IPFIX_SPACE     306
/* The enterprise number reserved for documentation (RFC 5612). */
#define EXAMPLE_ENTERPRISE 32473

/* The two families differ in seven elements only. */
#define WIDE(src, dst, hop, smask, dmask, len)                                                     \
	{                                                                                              \
		{1, 8, BS_VALUE_BYTES, 0}, {2, 8, BS_VALUE_PACKETS, 0}, {152, 8, BS_VALUE_START, 0},       \
			{153, 8, BS_VALUE_END, 0}, {src, len, BS_VALUE_SRC_ADDR, 0},                           \
			{dst, len, BS_VALUE_DST_ADDR, 0}, {hop, len, BS_VALUE_NEXT_HOP, 0},                    \
			{10, 4, BS_VALUE_IN_IF, 0}, {14, 4, BS_VALUE_OUT_IF, 0}, {7, 2, BS_VALUE_SRC_PORT, 0}, \
			{11, 2, BS_VALUE_DST_PORT, 0}, {4, 1, BS_VALUE_PROTO, 0},                              \
			{6, 1, BS_VALUE_TCP_FLAGS, 0}, {5, 1, BS_VALUE_TOS, 0},                                \
			{61, 1, BS_VALUE_DIRECTION, 0}, {16, 4, BS_VALUE_SRC_AS, 0},                           \
			{17, 4, BS_VALUE_DST_AS, 0}, {smask, 1, BS_VALUE_SRC_MASK, 0},                         \
			{dmask, 1, BS_VALUE_DST_MASK, 0},                                                      \
	}

#define NARROW(src, dst, len)                                                                      \
	{src, len, BS_VALUE_SRC_ADDR, 0}, {dst, len, BS_VALUE_DST_ADDR, 0},                            \
		{7, 2, BS_VALUE_SRC_PORT, 0}, {11, 2, BS_VALUE_DST_PORT, 0}, {4, 1, BS_VALUE_PROTO, 0},    \
		{16, 2, BS_VALUE_SRC_AS, 0}, {17, 2, BS_VALUE_DST_AS, 0}, {2, 4, BS_VALUE_PACKETS, 0},     \
		{1, 4, BS_VALUE_BYTES, 0}, {152, 8, BS_VALUE_START, 0},                                    \
	{                                                                                              \
		153, 8, BS_VALUE_END, 0                                                                    \
	}

/* interfaceName, and an element of an enterprise: one known name of variable length, one unknown.
 */
#define NAMES                                                                                      \
	{82, BS_VARLEN, BS_VALUE_NAME, 0},                                                             \
	{                                                                                              \
		7, BS_VARLEN, BS_VALUE_NAME, EXAMPLE_ENTERPRISE                                            \
	}

static const BsExportField wide[] = WIDE(8, 12, 15, 9, 13, 4);
static const BsExportField wide_ipv6[] = WIDE(27, 28, 62, 29, 30, 16);
static const BsExportField narrow[] = {NARROW(8, 12, 4)};
static const BsExportField narrow_ipv6[] = {NARROW(27, 28, 16)};
static const BsExportField varlen[] = {NARROW(8, 12, 4), NAMES};
static const BsExportField varlen_ipv6[] = {NARROW(27, 28, 16), NAMES};

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
	[BS_TEMPLATE_VARLEN] = {FIELDS(varlen), FIELDS(varlen_ipv6)},
#undef FIELDS
};

static bool
ipfix_layout(BsTemplateKind kind, bool is_ipv6, BsLayout *layout)
{
	bs_layout_init(layout, lists[kind][is_ipv6].fields, lists[kind][is_ipv6].nfields,
				   is_ipv6 ? 257 : 256, true);
	return true;
}

/* One options template with the scope observation domain, and its one record (RFC 7011, 3.4.2). */
static uint8_t *
ipfix_sampling(uint8_t *p, uint32_t sampling_rate, uint32_t domain)
{
	static const uint16_t specifiers[][2] = {
		{IPFIX_DOMAIN_ID, 4}, {IPFIX_ALGORITHM, 2}, {IPFIX_INTERVAL, 4}, {IPFIX_SPACE, 4}};
	uint8_t *set = p;

	bs_put16(&p, IPFIX_OPTIONS_SET);
	bs_put16(&p, 0);
	bs_put16(&p, IPFIX_OPTIONS_ID);
	bs_put16(&p, 4); /* fields, the scope among them */
	bs_put16(&p, 1); /* scope fields */
	for (uint32_t i = 0; i < 4; i++)
	{
		bs_put16(&p, specifiers[i][0]);
		bs_put16(&p, specifiers[i][1]);
	}
	p = bs_set_close(set, p);

	set = p;
	bs_put16(&p, IPFIX_OPTIONS_ID);
	bs_put16(&p, 0);
	bs_put32(&p, domain);
	bs_put16(&p, 1); /* systematic count-based (IANA, psamp selector algorithms) */
	bs_put32(&p, 1);
	bs_put32(&p, sampling_rate - 1);
	return bs_set_close(set, p);
}

static uint8_t *
ipfix_templates(uint8_t *p, const BsLayout *layouts, uint32_t nlayouts, uint32_t sampling_rate,
				uint32_t domain, uint16_t *nrecords, uint16_t *noptions)
{
	uint8_t *set = p;

	bs_put16(&p, IPFIX_TEMPLATE_SET);
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
	return sampling_rate != 0 ? ipfix_sampling(p, sampling_rate, domain) : p;
}

static void
ipfix_header(uint8_t *p, uint32_t len_bytes, const BsExportHeader *header)
{
	bs_put16(&p, 10);
	bs_put16(&p, (uint16_t) len_bytes);
	bs_put32(&p, (uint32_t) (header->export_msec / 1000));
	bs_put32(&p, header->sequence);
	bs_put32(&p, header->domain);
}

/* The sequence counts data records, those of options among them (RFC 7011, 3.1). */
static uint32_t
ipfix_sequence_step(uint32_t nrecords)
{
	return nrecords;
}

const BsExportProtocol bs_export_ipfix = {
	.name = "ipfix",
	.flow_type = "ipfix",
	.header_len_bytes = IPFIX_HEADER_LEN,
	.set_header_len_bytes = 4,
	.has_ipv6 = true,
	.layout = ipfix_layout,
	.templates = ipfix_templates,
	.header = ipfix_header,
	.sequence_step = ipfix_sequence_step,
};
