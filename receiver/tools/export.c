/* SPDX-License-Identifier: PostgreSQL */
/* export.c: layouts and record images, common to all export versions.  See export.h. */
#include "export.h"

const BsExportProtocol *const bs_export_protocols[BS_EXPORT_NVERSIONS] = {
	[BS_EXPORT_V5] = &bs_export_v5,
	[BS_EXPORT_V9] = &bs_export_v9,
	[BS_EXPORT_IPFIX] = &bs_export_ipfix,
};

void
bs_layout_init(BsLayout *layout, const BsExportField *fields, uint16_t nfields,
			   uint16_t template_id, bool epoch_stamps)
{
	uint32_t at = 0;

	memset(layout, 0, sizeof(*layout));
	memcpy(layout->fields, fields, nfields * sizeof(*fields));
	layout->nfields = nfields;
	layout->template_id = template_id;
	layout->epoch_stamps = epoch_stamps;
	for (uint32_t i = 0; i < nfields; i++)
	{
		uint32_t len = fields[i].len_bytes;

		/* The longer form of a length is 3 bytes (RFC 7011, 7). */
		if (len == BS_VARLEN)
			len = 3 + BS_EXPORT_MAX_NAME;
		if (fields[i].value == BS_VALUE_BYTES)
			layout->bytes_at = (uint16_t) (at + len - 4);
		else if (fields[i].value == BS_VALUE_PACKETS)
			layout->packets_at = (uint16_t) (at + len - 4);
		else if (fields[i].value == BS_VALUE_START)
			layout->start_at = (uint16_t) at;
		else if (fields[i].value == BS_VALUE_END)
			layout->end_at = (uint16_t) at;
		at += len;
	}
	layout->max_len_bytes = (uint16_t) at;
}

/* At most 8 bytes. */
static void
put_number(uint8_t **p, uint64_t value, uint32_t len_bytes)
{
	for (uint32_t i = len_bytes; i > 0; i--)
		bs_put8(p, (uint8_t) (value >> (8 * (i - 1)) & 0xff));
}

static uint64_t
flow_number(const BsExportFlow *flow, BsExportValue value)
{
	switch (value)
	{
		case BS_VALUE_SRC_PORT:
			return flow->src_port;
		case BS_VALUE_DST_PORT:
			return flow->dst_port;
		case BS_VALUE_PROTO:
			return flow->proto;
		case BS_VALUE_TCP_FLAGS:
			return flow->tcp_flags;
		case BS_VALUE_TOS:
			return flow->tos;
		case BS_VALUE_SRC_AS:
			return flow->src_as;
		case BS_VALUE_DST_AS:
			return flow->dst_as;
		case BS_VALUE_SRC_MASK:
			return flow->src_mask;
		case BS_VALUE_DST_MASK:
			return flow->dst_mask;
		case BS_VALUE_IN_IF:
			return flow->in_if;
		case BS_VALUE_OUT_IF:
			return flow->out_if;
		default:
			return 0;
	}
}

static const uint8_t *
flow_address(const BsExportFlow *flow, BsExportValue value)
{
	switch (value)
	{
		case BS_VALUE_SRC_ADDR:
			return flow->src_addr;
		case BS_VALUE_DST_ADDR:
			return flow->dst_addr;
		case BS_VALUE_NEXT_HOP:
			return flow->next_hop;
		default:
			return NULL;
	}
}

/* Names of even length use the short form of the length, the others the long one: both are legal.
 */
static void
put_varlen(uint8_t **p, const BsExportFlow *flow)
{
	if (flow->name_len % 2 == 0)
		bs_put8(p, flow->name_len);
	else
	{
		bs_put8(p, 255);
		bs_put16(p, flow->name_len);
	}
	memcpy(*p, flow->name, flow->name_len);
	*p += flow->name_len;
}

uint32_t
bs_layout_encode(const BsLayout *layout, const BsExportFlow *flow,
				 uint8_t image[BS_EXPORT_MAX_RECORD])
{
	uint8_t *p = image;

	for (uint32_t i = 0; i < layout->nfields; i++)
	{
		const BsExportField *field = &layout->fields[i];
		const uint8_t *address = flow_address(flow, field->value);

		if (field->len_bytes == BS_VARLEN)
			put_varlen(&p, flow);
		else if (address != NULL)
		{
			memcpy(p, address, field->len_bytes);
			p += field->len_bytes;
		}
		else
			put_number(&p, flow_number(flow, field->value), field->len_bytes);
	}
	return (uint32_t) (p - image);
}

uint8_t *
bs_layout_specifiers(uint8_t *p, const BsLayout *layout)
{
	for (uint32_t i = 0; i < layout->nfields; i++)
	{
		const BsExportField *field = &layout->fields[i];

		bs_put16(&p, (uint16_t) (field->element | (field->enterprise != 0 ? 0x8000 : 0)));
		bs_put16(&p, field->len_bytes);
		if (field->enterprise != 0)
			bs_put32(&p, field->enterprise);
	}
	return p;
}

uint8_t *
bs_set_close(uint8_t *set, uint8_t *p)
{
	uint8_t *len_at = set + 2;

	while ((p - set) % 4 != 0)
		bs_put8(&p, 0);
	bs_put16(&len_at, (uint16_t) (p - set));
	return p;
}
