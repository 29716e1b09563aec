/* SPDX-License-Identifier: PostgreSQL */
/*
 * sflow.c: sFlow version 5 (sflow.org, "sFlow Version 5", July 2004).
 *
 *      | 0x00000005 | address type | agent address | sub-agent | sequence | uptime | samples |
 *      | format | length | sample ...                                    as often as samples says
 *
 * A flow sample is one packet out of many: it is one record, with packets = 1 and the sample's rate.
 * Its records (the sampled header, what the switch and the router know of it) are walked by their
 * lengths; those of other formats are passed over.  Counter samples and samples of other formats are
 * counted.
 *
 * A sample has no time of its own; an agent may hold it for one second at most (section 3), so its
 * packet is taken to have passed when the datagram came: time_flow_start and time_flow_end are the time
 * of arrival.  bytes is the length in the IP header, and where there is none the frame's length less its
 * link header (item 41).
 */
#include "decoder.h"
#include "flowrow.h"
#include "packet.h"

#include <stdlib.h>
#include <string.h>

#define ADDRESS_IPV4 1
#define ADDRESS_IPV6 2

/* An interface number of 30 bits; the two above it say what it is (item 39). */
#define INTERFACE_BITS  30
#define INTERFACE_LOCAL 0x3FFFFFFF

typedef enum InterfaceFormat
{
	INTERFACE_ONE = 0,
	INTERFACE_DISCARDED = 1,
	INTERFACE_SEVERAL = 2
} InterfaceFormat;

/* IE 89: dropped, for a reason that is not told. */
#define FORWARDING_DROPPED 128

/* A flow sample being read. */
typedef struct Sample
{
	BsDecoding *decoding;
	BsFlowRow row;
	uint64_t data_source;
	uint32_t sequence;
	uint32_t rate;
	bool has_ip; /* some record has shown the IP header */
} Sample;

/* ---------- records of a flow sample ---------- */

/* An address with its type in front; false when it is cut.  NULL where the type is unknown. */
static bool
read_address(BsWire *wire, const uint8_t **at, uint32_t *len_bytes)
{
	uint32_t type;

	*at = NULL;
	if (!bs_wire_u32(wire, &type))
		return false;
	*len_bytes = type == ADDRESS_IPV4 ? 4 : type == ADDRESS_IPV6 ? 16 : 0;
	if (*len_bytes == 0)
		return true;
	*at = bs_wire_take(wire, *len_bytes);
	return *at != NULL;
}

static bool
put_address(Sample *sample, BsFlowColumn column, BsWire *wire)
{
	const uint8_t *at;
	uint32_t len_bytes;

	if (!read_address(wire, &at, &len_bytes))
		return false;
	if (at != NULL)
		bs_flow_row_put_address(&sample->row, column, at, len_bytes);
	return true;
}

static void
put_bytes(Sample *sample, int64_t ip_bytes, uint32_t frame_bytes, uint32_t link_bytes)
{
	int64_t bytes = frame_bytes > link_bytes ? (int64_t) frame_bytes - link_bytes : 0;

	/* What the frame cannot hold is no length (segmentation offload shows 0, a broken header anything). */
	if (ip_bytes > 0 && ip_bytes <= bytes)
		bytes = ip_bytes;
	bs_flow_row_put(&sample->row, BS_FLOW_BYTES, bytes);
}

static bool
take_header(Sample *sample, BsWire wire)
{
	uint32_t layer;
	uint32_t frame_bytes;
	uint32_t stripped_bytes;
	uint32_t header_bytes;
	BsWire header;
	BsPacket packet;

	if (!bs_wire_u32(&wire, &layer) || !bs_wire_u32(&wire, &frame_bytes) ||
		!bs_wire_u32(&wire, &stripped_bytes) || !bs_wire_u32(&wire, &header_bytes))
		return false;
	if (!bs_wire_sub(&wire, header_bytes, &header))
		header = wire;
	packet = bs_packet_read(layer, header, &sample->row);
	put_bytes(sample, packet.ip_bytes, frame_bytes, packet.link_bytes);
	sample->has_ip |= bs_flow_row_has(&sample->row, BS_FLOW_SRC_ADDR);
	return header.left == header_bytes;
}

/* A frame by its addresses alone. */
static bool
take_ethernet(Sample *sample, BsWire wire)
{
	uint32_t frame_bytes;
	const uint8_t *macs;

	/* XDR: each address takes 8 bytes. */
	if (!bs_wire_u32(&wire, &frame_bytes) || (macs = bs_wire_take(&wire, 16)) == NULL)
		return false;
	if (bs_flow_row_has(&sample->row, BS_FLOW_BYTES))
		return true;
	bs_flow_row_put(&sample->row, BS_FLOW_SRC_MAC, (int64_t) bs_load_uint(macs, 6));
	bs_flow_row_put(&sample->row, BS_FLOW_DST_MAC, (int64_t) bs_load_uint(macs + 8, 6));
	put_bytes(sample, 0, frame_bytes, 14);
	return true;
}

/* IP by its fields: | length | protocol | addresses | ports | TCP flags | TOS |. */
static bool
take_ip(Sample *sample, BsWire wire, uint32_t address_bytes)
{
	BsFlowRow *row = &sample->row;
	uint32_t len_bytes;
	uint32_t proto;
	uint32_t ports[2];
	uint32_t flags;
	uint32_t tos;
	const uint8_t *addresses;

	if (!bs_wire_u32(&wire, &len_bytes) || !bs_wire_u32(&wire, &proto) ||
		(addresses = bs_wire_take(&wire, 2 * (size_t) address_bytes)) == NULL ||
		!bs_wire_u32(&wire, &ports[0]) || !bs_wire_u32(&wire, &ports[1]) ||
		!bs_wire_u32(&wire, &flags) || !bs_wire_u32(&wire, &tos))
		return false;
	if (sample->has_ip)
		return true;
	sample->has_ip = true;
	bs_flow_row_put(row, BS_FLOW_BYTES, len_bytes);
	bs_flow_row_put(row, BS_FLOW_PROTO, proto & 0xff);
	bs_flow_row_put_address(row, BS_FLOW_SRC_ADDR, addresses, address_bytes);
	bs_flow_row_put_address(row, BS_FLOW_DST_ADDR, addresses + address_bytes, address_bytes);
	bs_flow_row_put(row, BS_FLOW_IP_TOS, tos & 0xff);
	if (proto == 6)
		bs_flow_row_put(row, BS_FLOW_TCP_FLAGS, flags & 0xff);
	if (proto == 6 || proto == 17 || proto == 132 || proto == 136)
	{
		bs_flow_row_put(row, BS_FLOW_SRC_PORT, ports[0] & 0xffff);
		bs_flow_row_put(row, BS_FLOW_DST_PORT, ports[1] & 0xffff);
	}
	return true;
}

static bool
take_ipv4(Sample *sample, BsWire wire)
{
	return take_ip(sample, wire, 4);
}

static bool
take_ipv6(Sample *sample, BsWire wire)
{
	return take_ip(sample, wire, 16);
}

/* What the switch knows stands above the tag in the sampled header. */
static bool
take_switch(Sample *sample, BsWire wire)
{
	uint32_t src_vlan;
	uint32_t src_priority;
	uint32_t dst_vlan;

	if (!bs_wire_u32(&wire, &src_vlan) || !bs_wire_u32(&wire, &src_priority) ||
		!bs_wire_u32(&wire, &dst_vlan))
		return false;
	/* 0xFFFFFFFF: not known. */
	if (src_vlan <= INT32_MAX)
		bs_flow_row_put(&sample->row, BS_FLOW_SRC_VLAN, src_vlan);
	if (dst_vlan <= INT32_MAX)
		bs_flow_row_put(&sample->row, BS_FLOW_DST_VLAN, dst_vlan);
	return true;
}

static bool
take_router(Sample *sample, BsWire wire)
{
	uint32_t src_mask;
	uint32_t dst_mask;

	if (!put_address(sample, BS_FLOW_NEXT_HOP, &wire) || !bs_wire_u32(&wire, &src_mask) ||
		!bs_wire_u32(&wire, &dst_mask))
		return false;
	if (src_mask <= 128)
		bs_flow_row_put(&sample->row, BS_FLOW_SRC_MASK, src_mask);
	if (dst_mask <= 128)
		bs_flow_row_put(&sample->row, BS_FLOW_DST_MASK, dst_mask);
	return true;
}

/* The last number of the AS path; *last stays as it is when the path is empty. */
static bool
read_path(BsWire *wire, uint32_t *last)
{
	uint32_t nsegments;

	if (!bs_wire_u32(wire, &nsegments))
		return false;
	while (nsegments-- > 0)
	{
		uint32_t type;
		uint32_t count;
		const uint8_t *numbers;

		if (!bs_wire_u32(wire, &type) || !bs_wire_u32(wire, &count) || count > wire->left / 4)
			return false;
		numbers = bs_wire_take(wire, (size_t) count * 4);
		if (count > 0)
			*last = bs_load_u32(numbers + ((size_t) count - 1) * 4);
	}
	return true;
}

/* A source without an AS, or a destination without a path, is in the router's own AS. */
static bool
take_gateway(Sample *sample, BsWire wire)
{
	uint32_t own_as;
	uint32_t src_as;
	uint32_t src_peer_as;
	uint32_t dst_as;

	if (!put_address(sample, BS_FLOW_BGP_NEXT_HOP, &wire) || !bs_wire_u32(&wire, &own_as) ||
		!bs_wire_u32(&wire, &src_as) || !bs_wire_u32(&wire, &src_peer_as))
		return false;
	bs_flow_row_put(&sample->row, BS_FLOW_SRC_AS, src_as != 0 ? src_as : own_as);
	dst_as = own_as;
	if (!read_path(&wire, &dst_as))
		return false;
	bs_flow_row_put(&sample->row, BS_FLOW_DST_AS, dst_as);
	return true;
}

/*
 * Of enterprise 0; the others, and other enterprises', are passed over.  A sampled header says more than
 * records of the packet's fields, which therefore come after it, in whatever order the agent sends them.
 */
static const struct
{
	uint32_t format;
	bool after_header;
	bool (*take)(Sample *sample, BsWire wire);
} records[] = {
	{1, false, take_header},	 {2, true, take_ethernet},  {3, true, take_ipv4},
	{4, true, take_ipv6},		 {1001, true, take_switch}, {1002, false, take_router},
	{1003, false, take_gateway},
};

/* False when one is cut or longer than what is left. */
static bool
read_records(Sample *sample, BsWire wire, bool after_header)
{
	uint32_t nrecords;
	bool whole = true;

	if (!bs_wire_u32(&wire, &nrecords))
		return false;
	for (uint32_t i = 0; i < nrecords; i++)
	{
		uint32_t format;
		uint32_t len_bytes;
		BsWire record;

		if (!bs_wire_u32(&wire, &format) || !bs_wire_u32(&wire, &len_bytes) ||
			!bs_wire_sub(&wire, len_bytes, &record))
			return false;
		for (size_t j = 0; j < sizeof(records) / sizeof(records[0]); j++)
			if (records[j].format == format && records[j].after_header == after_header)
				whole &= records[j].take(sample, record);
	}
	return whole;
}

/* ---------- samples ---------- */

static void
put_interface(Sample *sample, BsFlowColumn column, uint32_t format, uint32_t number)
{
	if (format == INTERFACE_ONE)
		bs_flow_row_put(&sample->row, column, number == INTERFACE_LOCAL ? 0 : number);
	else if (format == INTERFACE_DISCARDED && column == BS_FLOW_OUT_IF)
		bs_flow_row_put(&sample->row, BS_FLOW_FORWARDING_STATUS, FORWARDING_DROPPED);
}

/* What all records of the datagram have, and the rate. */
static void
put_common(Sample *sample)
{
	const BsDecoding *decoding = sample->decoding;
	BsFlowRow *row = &sample->row;
	static const BsSamplingValues none = {0};
	BsSampling sampling = decoding->sampling;
	int64_t rate;

	sampling.header_rate = sample->rate;
	rate = bs_sampling_rate(&sampling, &none, 0);
	if (rate != 0)
		bs_flow_row_put(row, BS_FLOW_SAMPLING_RATE, rate);
	bs_flow_row_put(row, BS_FLOW_TIME_RECEIVED, decoding->context.received_usec);
	bs_flow_row_put(row, BS_FLOW_TIME_FLOW_START, decoding->context.received_usec);
	bs_flow_row_put(row, BS_FLOW_TIME_FLOW_END, decoding->context.received_usec);
	bs_flow_row_put(row, BS_FLOW_TIME_EVENT, decoding->context.received_usec);
	bs_flow_row_put(row, BS_FLOW_OBS_DOMAIN, decoding->context.obs_domain);
	bs_flow_row_put_bytes(row, BS_FLOW_FLOW_TYPE, decoding->context.flow_type);
	row->values[BS_FLOW_EXPORTER].inet = *decoding->context.exporter;
	row->present |= UINT64_C(1) << BS_FLOW_EXPORTER;
	bs_flow_row_put(row, BS_FLOW_PACKETS, 1);
}

static void
append(Sample *sample)
{
	BsDecoding *decoding = sample->decoding;
	BsBatch *batch = decoding->batch;

	if (bs_decoding_room(decoding) == 0)
		return;
	bs_flow_row_store(&sample->row, batch, batch->nrows);
	bs_batch_add_run(batch, batch->nrows, 1, decoding->domain->exporter->source);
	batch->nrows++;
	decoding->stats->records++;
	if (bs_flow_row_has(&sample->row, BS_FLOW_SAMPLING_RATE))
		decoding->context.sampling_rate = sample->row.values[BS_FLOW_SAMPLING_RATE].i64;
}

/* Samples that are missing are records lost, beside the datagrams they may have been in. */
static void
count_lost_samples(const Sample *sample)
{
	BsDecoding *decoding = sample->decoding;
	BsDomain *domain = decoding->domain;
	int64_t lost;

	if (domain->samples == NULL)
		domain->samples = calloc(1, sizeof(BsSampleTable));
	if (domain->samples == NULL)
		return;
	lost = bs_samples_take(domain->samples, sample->data_source, sample->sequence);
	decoding->stats->records_lost += (uint64_t) lost;
	decoding->decoder->stats.records_lost += lost;
}

/* | sequence | data source | rate | pool | drops | input | output | records |; expanded: 8 bytes for each interface. */
static bool
read_flow_head(Sample *sample, BsWire *wire, bool expanded)
{
	const uint8_t *head = bs_wire_take(wire, expanded ? 40 : 28);

	if (head == NULL)
		return false;
	sample->sequence = bs_load_u32(head);
	if (expanded)
	{
		sample->data_source = bs_load_u64(head + 4);
		sample->rate = bs_load_u32(head + 12);
		put_interface(sample, BS_FLOW_IN_IF, bs_load_u32(head + 24), bs_load_u32(head + 28));
		put_interface(sample, BS_FLOW_OUT_IF, bs_load_u32(head + 32), bs_load_u32(head + 36));
	}
	else
	{
		uint32_t input = bs_load_u32(head + 20);
		uint32_t output = bs_load_u32(head + 24);
		uint32_t mask = (UINT32_C(1) << INTERFACE_BITS) - 1;

		sample->data_source = bs_load_u32(head + 4);
		sample->rate = bs_load_u32(head + 8);
		put_interface(sample, BS_FLOW_IN_IF, input >> INTERFACE_BITS, input & mask);
		put_interface(sample, BS_FLOW_OUT_IF, output >> INTERFACE_BITS, output & mask);
	}
	return true;
}

static void
take_flow(BsDecoding *decoding, BsWire wire, bool expanded)
{
	Sample sample;
	bool whole;

	sample.decoding = decoding;
	sample.row.present = 0;
	sample.has_ip = false;
	if (!read_flow_head(&sample, &wire, expanded))
	{
		decoding->stats->decode_errors++;
		return;
	}
	/* What could be read of a sample that is cut is a record all the same. */
	whole = read_records(&sample, wire, false);
	whole &= read_records(&sample, wire, true);
	decoding->stats->decode_errors += !whole;
	put_common(&sample);
	count_lost_samples(&sample);
	append(&sample);
}

typedef enum SampleFormat
{
	SAMPLE_FLOW = 1,
	SAMPLE_COUNTERS = 2,
	SAMPLE_FLOW_EXPANDED = 3,
	SAMPLE_COUNTERS_EXPANDED = 4
} SampleFormat;

static void
take_sample(BsDecoding *decoding, uint32_t format, BsWire wire)
{
	switch (format)
	{
		case SAMPLE_FLOW:
		case SAMPLE_FLOW_EXPANDED:
			take_flow(decoding, wire, format == SAMPLE_FLOW_EXPANDED);
			break;
		case SAMPLE_COUNTERS:
		case SAMPLE_COUNTERS_EXPANDED:
			decoding->stats->counter_samples++;
			break;
		default: /* other enterprises', and packets that were discarded (format 5) */
			decoding->stats->other_samples++;
			break;
	}
}

/*
 * A sample that is longer than what is left is read as far as it goes: a datagram that was cut still has
 * whole records.
 */
static void
read_samples(BsDecoding *decoding, BsWire wire, uint32_t nsamples)
{
	for (uint32_t i = 0; i < nsamples; i++)
	{
		uint32_t format;
		uint32_t len_bytes;
		BsWire sample;

		if (!bs_wire_u32(&wire, &format) || !bs_wire_u32(&wire, &len_bytes))
		{
			decoding->stats->decode_errors++;
			return;
		}
		if (bs_wire_sub(&wire, len_bytes, &sample))
			take_sample(decoding, format, sample);
		else
		{
			decoding->stats->decode_errors++;
			take_sample(decoding, format, wire);
			return;
		}
	}
}

/* ---------- the datagram ---------- */

typedef struct Header
{
	BsInet agent; /* family 0: it does not say */
	uint32_t sub_agent;
	uint32_t sequence;
	uint32_t uptime_msec;
	uint32_t nsamples;
} Header;

static bool
read_header(BsWire *wire, Header *header)
{
	static const uint8_t unspecified[16];
	const uint8_t *agent;
	uint32_t len_bytes;

	if (!read_address(wire, &agent, &len_bytes) || !bs_wire_u32(wire, &header->sub_agent) ||
		!bs_wire_u32(wire, &header->sequence) || !bs_wire_u32(wire, &header->uptime_msec) ||
		!bs_wire_u32(wire, &header->nsamples))
		return false;
	header->agent = (BsInet){0};
	if (agent == NULL || memcmp(agent, unspecified, len_bytes) == 0)
		return true;
	header->agent.family = len_bytes == 4 ? 4 : 6;
	header->agent.bits = len_bytes == 4 ? 32 : 128;
	memcpy(header->agent.address, agent, len_bytes);
	return true;
}

/* The wire stands behind the first half of the version, which is zero. */
BsDecodeResult
bs_sflow_decode(BsDecoding *decoding, BsWire wire)
{
	const BsDatagram *datagram = decoding->datagram;
	uint16_t version;
	Header header;

	if (!bs_wire_u16(&wire, &version) || version != 5 || !read_header(&wire, &header))
		return BS_DECODE_NOT_EXPORT;
	if (!bs_decoding_begin(decoding, header.agent.family != 0 ? &header.agent : &datagram->exporter,
						   BS_SFLOW_V5, header.sub_agent))
		return BS_DECODE_REFUSED;
	/* The agent tells no time of day: its restarts show by its uptime against our clock. */
	decoding->mark =
		(BsSequenceMark){.number = header.sequence,
						 .export_seconds = (uint32_t) ((datagram->received_usec +
														BS_UNIX_TO_PG_USEC) / 1000000),
						 .uptime_msec = header.uptime_msec,
						 .has_uptime = true};
	read_samples(decoding, wire, header.nsamples);
	decoding->units = 1;
	return BS_DECODED;
}
