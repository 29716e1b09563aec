/* SPDX-License-Identifier: PostgreSQL */
/*
 * netflow5.c: NetFlow v5.
 *
 *      0        2        4            8             12            16
 *     | version| count  | sysUptime  | unix_secs   | unix_nsecs  |
 *     | flow_sequence   | type | id  | sampling    |                24 bytes, then count records of
 * 48
 *
 * The record is described like a template, with the numbers of the elements of v9, and runs through
 * the same copy operations.
 */
#include "decoder.h"

#define RECORD_BYTES 48

/* clang-format off */
static const BsField record_fields[] = {
	{8, 4, 0},   /* source address */
	{12, 4, 0},  /* destination address */
	{15, 4, 0},  /* next hop */
	{10, 2, 0},  /* input interface */
	{14, 2, 0},  /* output interface */
	{2, 4, 0},   /* packets */
	{1, 4, 0},   /* bytes */
	{22, 4, 0},  /* uptime at the first packet */
	{21, 4, 0},  /* and the last */
	{7, 2, 0},   /* source port */
	{11, 2, 0},  /* destination port */
	{BS_IE_PADDING, 1, 0},
	{6, 1, 0},   /* TCP flags */
	{4, 1, 0},   /* protocol */
	{5, 1, 0},   /* type of service */
	{16, 2, 0},  /* source AS */
	{17, 2, 0},  /* destination AS */
	{9, 1, 0},   /* source mask */
	{13, 1, 0},  /* destination mask */
	{BS_IE_PADDING, 2, 0},
};
/* clang-format on */

BsTemplate *
bs_netflow5_template(void)
{
	BsTemplateDefinition definition = {.nfields = sizeof(record_fields) / sizeof(record_fields[0]),
									   .fields = record_fields};

	return bs_template_create(&definition);
}

typedef struct Header
{
	uint16_t count;
	uint32_t uptime_msec;
	uint32_t unix_seconds;
	uint32_t unix_nsec;
	uint32_t sequence;
	uint16_t engine; /* type * 256 + id */
	uint16_t sampling;
} Header;

static bool
read_header(BsWire *wire, Header *header)
{
	return bs_wire_u16(wire, &header->count) && bs_wire_u32(wire, &header->uptime_msec) &&
		   bs_wire_u32(wire, &header->unix_seconds) && bs_wire_u32(wire, &header->unix_nsec) &&
		   bs_wire_u32(wire, &header->sequence) && bs_wire_u16(wire, &header->engine) &&
		   bs_wire_u16(wire, &header->sampling);
}

BsDecodeResult
bs_netflow5_decode(BsDecoding *decoding, BsWire wire)
{
	BsTemplate *tmpl = decoding->decoder->v5;
	Header header;

	if (!read_header(&wire, &header))
		return BS_DECODE_NOT_EXPORT;
	if (!bs_decoding_begin(decoding, &decoding->datagram->exporter, BS_NETFLOW_V5, header.engine))
		return BS_DECODE_REFUSED;
	bs_decoding_set_export_time(decoding, header.unix_seconds,
								header.unix_nsec < 1000000000 ? header.unix_nsec / 1000 : 0);
	decoding->context.uptime_msec = header.uptime_msec;
	decoding->context.uptime_usec = decoding->context.export_usec;
	decoding->context.uptime_known = decoding->context.uptime_in_header = true;
	decoding->sampling.header_rate = bs_sampling_of_v5_header(header.sampling);
	decoding->mark = (BsSequenceMark){.number = header.sequence,
									  .export_seconds = header.unix_seconds,
									  .uptime_msec = header.uptime_msec,
									  .has_uptime = true};
	/* Records that are announced but not there: the next number shows them as lost (item 35). */
	if (header.count == 0 || wire.left / RECORD_BYTES < header.count)
		decoding->stats->decode_errors++;
	if (bs_sets_prepare(decoding, tmpl))
		bs_sets_fixed_records(decoding, tmpl, &wire, header.count);
	return BS_DECODED;
}
