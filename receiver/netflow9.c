/* SPDX-License-Identifier: PostgreSQL */
/*
 * netflow9.c: NetFlow v9, RFC 3954.
 *
 *      0        2        4            8             12            16            20
 *     | version| count  | sysUptime  | unix_secs   | sequence    | source id   |  flow sets
 *
 *     flow set   | id | length | ...       0 templates, 1 options templates, from 256 on data
 *
 * The header's count is unreliable (some count sets, some records): it goes by length (item 14).
 */
#include "decoder.h"

enum
{
	TEMPLATE_SET = 0,
	OPTIONS_TEMPLATE_SET = 1,
	FIRST_DATA_SET = 256
};

#define FIELD_BYTES 4

typedef struct Header
{
	uint16_t count;
	uint32_t uptime_msec;
	uint32_t unix_seconds;
	uint32_t sequence;
	uint32_t source_id;
} Header;

static bool
read_header(BsWire *wire, Header *header)
{
	return bs_wire_u16(wire, &header->count) && bs_wire_u32(wire, &header->uptime_msec) &&
		   bs_wire_u32(wire, &header->unix_seconds) && bs_wire_u32(wire, &header->sequence) &&
		   bs_wire_u32(wire, &header->source_id);
}

/*
 * Read count fields of 4 bytes; those beyond what a template may have are passed over.  False when
 * they are not there.
 */
static bool
read_fields(BsDecoding *decoding, BsWire *wire, uint32_t first, uint32_t count)
{
	BsWire fields;

	if (!bs_wire_sub(wire, (size_t) count * FIELD_BYTES, &fields))
		return false;
	for (uint32_t i = first; i < first + count && i < BS_TEMPLATE_MAX_FIELDS; i++)
	{
		BsField field = {0};

		bs_wire_u16(&fields, &field.element);
		bs_wire_u16(&fields, &field.width);
		decoding->decoder->fields[i] = field;
	}
	return true;
}

/* RFC 3954 section 5.2.  Zeros behind the last template are padding. */
static void
template_set(BsDecoding *decoding, BsWire wire)
{
	while (wire.left >= 4)
	{
		BsTemplateDefinition definition = {.fields = decoding->decoder->fields};

		bs_wire_u16(&wire, &definition.id);
		bs_wire_u16(&wire, &definition.nfields);
		if (definition.id == 0)
			return;
		if (definition.id < FIRST_DATA_SET || !read_fields(decoding, &wire, 0, definition.nfields))
		{
			decoding->stats->decode_errors++;
			return;
		}
		bs_sets_define(decoding, &definition);
	}
}

/* RFC 3954 section 6.1: both lengths are in bytes, of fields of 4 bytes each (item 3). */
static void
options_template_set(BsDecoding *decoding, BsWire wire)
{
	while (wire.left >= 6)
	{
		BsTemplateDefinition definition = {.options = true, .fields = decoding->decoder->fields};
		uint16_t scope_bytes = 0;
		uint16_t option_bytes = 0;
		uint32_t nscope;
		uint32_t noptions;

		bs_wire_u16(&wire, &definition.id);
		bs_wire_u16(&wire, &scope_bytes);
		bs_wire_u16(&wire, &option_bytes);
		if (definition.id == 0)
			return;
		nscope = scope_bytes / FIELD_BYTES;
		noptions = option_bytes / FIELD_BYTES;
		if (definition.id < FIRST_DATA_SET || scope_bytes % FIELD_BYTES != 0 ||
			option_bytes % FIELD_BYTES != 0 || !read_fields(decoding, &wire, 0, nscope) ||
			!read_fields(decoding, &wire, nscope, noptions))
		{
			decoding->stats->decode_errors++;
			return;
		}
		definition.nscope = (uint16_t) nscope;
		definition.nfields = (uint16_t) (nscope + noptions);
		bs_sets_define(decoding, &definition);
	}
}

static void
take_set(BsDecoding *decoding, uint16_t id, BsWire wire)
{
	if (id == TEMPLATE_SET)
		template_set(decoding, wire);
	else if (id == OPTIONS_TEMPLATE_SET)
		options_template_set(decoding, wire);
	else if (id >= FIRST_DATA_SET)
		bs_sets_data(decoding, id, wire);
}

BsDecodeResult
bs_netflow9_decode(BsDecoding *decoding, BsWire wire)
{
	Header header;

	if (!read_header(&wire, &header))
		return BS_DECODE_NOT_EXPORT;
	if (!bs_decoding_begin(decoding, &decoding->datagram->exporter, BS_NETFLOW_V9, header.source_id))
		return BS_DECODE_REFUSED;
	bs_decoding_set_export_time(decoding, header.unix_seconds, 0);
	decoding->context.uptime_msec = header.uptime_msec;
	decoding->context.uptime_usec = decoding->context.export_usec;
	decoding->context.uptime_known = decoding->context.uptime_in_header = true;
	decoding->mark = (BsSequenceMark){.number = header.sequence,
									  .export_seconds = header.unix_seconds,
									  .uptime_msec = header.uptime_msec,
									  .has_uptime = true};
	bs_decoding_recall(decoding);
	bs_sets_walk(decoding, wire, take_set);
	decoding->units = 1;
	decoding->countable = true;
	return BS_DECODED;
}
