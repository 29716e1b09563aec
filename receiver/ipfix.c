/* SPDX-License-Identifier: PostgreSQL */
/*
 * ipfix.c: IPFIX, RFC 7011.
 *
 *      0        2        4             8            12            16
 *     | version| length | export time | sequence   | domain      |  sets
 *
 *     set   | id | length | ...       2 templates, 3 options templates, from 256 on data
 *
 * Withdrawals (section 8.1) are obeyed over reliable transports only; over UDP, which is all that
 * comes here, they are ignored and counted (item 13).
 */
#include "decoder.h"

enum
{
	TEMPLATE_SET = 2,
	OPTIONS_TEMPLATE_SET = 3,
	FIRST_DATA_SET = 256
};

#define HEADER_BYTES   16
#define ENTERPRISE_BIT 0x8000

typedef struct Header
{
	uint16_t len_bytes;
	uint32_t unix_seconds;
	uint32_t sequence;
	uint32_t domain_id;
} Header;

static bool
read_header(BsWire *wire, Header *header)
{
	return bs_wire_u16(wire, &header->len_bytes) && bs_wire_u32(wire, &header->unix_seconds) &&
		   bs_wire_u32(wire, &header->sequence) && bs_wire_u32(wire, &header->domain_id);
}

/* Section 3.2.  Fields beyond what a template may have are read and passed over. */
static bool
read_fields(BsDecoding *decoding, BsWire *wire, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
	{
		BsField field = {0};

		if (!bs_wire_u16(wire, &field.element) || !bs_wire_u16(wire, &field.width))
			return false;
		if (field.element & ENTERPRISE_BIT)
		{
			if (!bs_wire_u32(wire, &field.enterprise))
				return false;
			field.element &= (uint16_t) ~ENTERPRISE_BIT;
			/* Number 0 is reserved and is not IANA's own space: keep it apart from no number. */
			if (field.enterprise == 0)
				field.enterprise = UINT32_MAX;
		}
		if (i < BS_TEMPLATE_MAX_FIELDS)
			decoding->decoder->fields[i] = field;
	}
	return true;
}

/*
 * Sections 3.4.1 and 3.4.2.  Up to 7 bytes behind the last template are padding: id 0 is no
 * template (item 2).  The field count of an options template holds the scope fields too (item 4).
 */
static void
template_set(BsDecoding *decoding, BsWire wire, bool options)
{
	while (wire.left >= 4)
	{
		BsTemplateDefinition definition = {.options = options, .fields = decoding->decoder->fields};

		bs_wire_u16(&wire, &definition.id);
		bs_wire_u16(&wire, &definition.nfields);
		if (definition.id == 0)
			return;
		if (definition.nfields == 0) /* of one template, or (id 2, 3) of all */
		{
			decoding->stats->withdrawals_ignored++;
			continue;
		}
		if (definition.id < FIRST_DATA_SET ||
			(options && !bs_wire_u16(&wire, &definition.nscope)) ||
			!read_fields(decoding, &wire, definition.nfields))
		{
			decoding->stats->decode_errors++;
			return;
		}
		bs_sets_define(decoding, &definition);
	}
}

static void
take_set(BsDecoding *decoding, uint16_t id, BsWire wire)
{
	if (id == TEMPLATE_SET || id == OPTIONS_TEMPLATE_SET)
		template_set(decoding, wire, id == OPTIONS_TEMPLATE_SET);
	else if (id >= FIRST_DATA_SET)
		bs_sets_data(decoding, id, wire);
}

/* IPFIX has no uptime in its header: it is told by systemInitTime, of this domain or of domain 0.
 */
static void
set_uptime(BsDecoding *decoding)
{
	const BsDomain *domain0 = decoding->domain0;
	uint64_t init_msec = decoding->domain->init_msec;

	if (init_msec == 0 && domain0 != NULL)
		init_msec = domain0->init_msec;
	bs_copy_set_init_time(&decoding->context, init_msec);
}

static void
take_set_and_uptime(BsDecoding *decoding, uint16_t id, BsWire wire)
{
	take_set(decoding, id, wire);
	if (decoding->domain->init_msec != 0)
		set_uptime(decoding);
}

BsDecodeResult
bs_ipfix_decode(BsDecoding *decoding, BsWire wire)
{
	Header header;

	if (!read_header(&wire, &header) || header.len_bytes < HEADER_BYTES)
		return BS_DECODE_NOT_EXPORT;
	if (!bs_decoding_begin(decoding, &decoding->datagram->exporter, BS_IPFIX, header.domain_id))
		return BS_DECODE_REFUSED;
	bs_decoding_set_export_time(decoding, header.unix_seconds, 0);
	decoding->mark =
		(BsSequenceMark){.number = header.sequence, .export_seconds = header.unix_seconds};
	bs_decoding_recall(decoding);
	set_uptime(decoding);
	/* What lies behind the message's own length does not belong to it (item 15). */
	if (wire.left > (size_t) (header.len_bytes - HEADER_BYTES))
		wire.left = (size_t) (header.len_bytes - HEADER_BYTES);
	else if (wire.left < (size_t) (header.len_bytes - HEADER_BYTES))
		decoding->stats->decode_errors++;
	bs_sets_walk(decoding, wire, take_set_and_uptime);
	return BS_DECODED;
}
