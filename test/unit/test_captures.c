/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_captures.c: real export packets against what they decode to.
 *
 * The captures are not part of the tree: they are looked for in $BACKSTREAM_SHARED/captures, or in
 * ../shared/captures, and the test says SKIPPED where they are not.  Each scenario has
 * pcap/NAME.pcap and oracle/NAME.json (its README says what the fields mean) and begins with an
 * empty decoder.  Every scenario is compared, flow by flow, in the order of the datagrams.
 */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <jansson.h>
#include <pcap/pcap.h>

#include "../../receiver/decode.h"
#include "../../receiver/wire.h"

#define MAX_EXPORTERS 128
/* Stamps of the oracle are floats of seconds with at least milliseconds. */
#define STAMP_TOLERANCE_SECONDS 0.0015

/* Where a field of ours differs from the oracle's and is right. */
typedef struct Difference
{
	const char *scenario;
	const char *field;
	enum
	{
		FROM_OPTIONS_INIT_TIME, /* checked: systemInitTime of options data + uptime stamp */
		FROM_OBSERVATION_TIME,  /* checked: element 323 */
		WRAPPED_UPTIME,         /* checked: 2^32 milliseconds apart */
		REFUSED_TEMPLATE,       /* checked: one undecodable set more */
		TWELVE_OPTIONS          /* checked: 12 instead of none */
	} rule;
	const char *why;
} Difference;

#define INIT_WHY                                                                                   \
	"RFC 7012 section 5.6 (21, 22, 160): the stamps count from systemInitTime, which the "         \
	"exporter sends in options data; the oracle uses it only when it is in the same record"

#define WRAP_WHY                                                                                   \
	"RFC 3954 section 5.1: uptime has 32 bits and wraps; a stamp far above sysUptime lies before " \
	"it (flow-decoding.md 26), the oracle puts it 49.7 days into the future"

#define EMPTY_WHY                                                                                  \
	"RFC 3954 section 6.1: an options template whose records have no length cannot be decoded; "   \
	"it is "                                                                                       \
	"refused (flow-decoding.md 5), the oracle keeps it"

static const Difference differences[] = {
	{"bk_v9", "start", WRAPPED_UPTIME, WRAP_WHY},
	{"bk_v9", "end", WRAPPED_UPTIME, WRAP_WHY},
	{"dv_v9_template_change", "start", WRAPPED_UPTIME, WRAP_WHY},
	{"dv_v9_template_change", "end", WRAPPED_UPTIME, WRAP_WHY},
	{"ls_netflow_5_valid_01", "start", WRAPPED_UPTIME, WRAP_WHY},
	{"ln9_malformed_5", "undecodable_data_sets", REFUSED_TEMPLATE, EMPTY_WHY},
	{"ln9_malformed_OT", "undecodable_data_sets", REFUSED_TEMPLATE, EMPTY_WHY},
	{"ln9_malformed_2", "options_records", TWELVE_OPTIONS,
	 "RFC 3954 section 6.1: the first options template of each set is whole (one scope field of 3 "
	 "bytes), "
	 "what follows it is not; its records are read, as tshark does.  The oracle marks it "
	 "ambiguous"},
	{"bk_ipfix", "start", FROM_OPTIONS_INIT_TIME, INIT_WHY},
	{"bk_ipfix", "end", FROM_OPTIONS_INIT_TIME, INIT_WHY},
	{"pm_401a_ipfix_mpls_v6", "start", FROM_OPTIONS_INIT_TIME, INIT_WHY},
	{"pm_401a_ipfix_mpls_v6", "end", FROM_OPTIONS_INIT_TIME, INIT_WHY},
	{"pm_500_ipfix_srv6", "start", FROM_OPTIONS_INIT_TIME, INIT_WHY},
	{"pm_500_ipfix_srv6", "end", FROM_OPTIONS_INIT_TIME, INIT_WHY},
	{"pm_501_ipfix_mpls", "start", FROM_OPTIONS_INIT_TIME, INIT_WHY},
	{"pm_501_ipfix_mpls", "end", FROM_OPTIONS_INIT_TIME, INIT_WHY},
	{"pm_502_ipfix_srv6", "start", FROM_OPTIONS_INIT_TIME, INIT_WHY},
	{"pm_502_ipfix_srv6", "end", FROM_OPTIONS_INIT_TIME, INIT_WHY},
	{"ls_netflow_9_cisco_asa_2", "end", FROM_OBSERVATION_TIME,
	 "RFC 8158 section 4.3, RFC 7012 (323): the observation time ends the flow of an event record "
	 "that "
	 "has no flow end; the oracle takes it for NAT events only"},
};

typedef struct Flow
{
	int64_t value[BS_FLOW_NCOLUMNS]; /* of scalar columns */
	BsInet inet[BS_FLOW_NCOLUMNS];
	bool null[BS_FLOW_NCOLUMNS];
} Flow;

typedef struct Flows
{
	Flow *flows;
	size_t nflows;
	size_t capacity;
} Flows;

typedef struct Scenario
{
	const char *name;
	json_t *oracle;
	Flows flows;
	BsExporterStats stats[MAX_EXPORTERS];
	uint32_t failures;
} Scenario;

static char captures_path[1024];

/* Which differences were met: one that is not needed any more must go. */
static bool met[sizeof(differences) / sizeof(differences[0])];

static void
fail_here(Scenario *scenario, const char *format, ...)
{
	va_list args;

	if (++scenario->failures > 10)
		return;
	fprintf(stderr, "%s: ", scenario->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* The sink: keep every row. */
static void
keep_rows(void *context, BsBatch *batch)
{
	Flows *flows = context;

	for (uint32_t row = 0; row < batch->nrows; row++)
	{
		Flow *flow;

		if (flows->nflows == flows->capacity)
		{
			flows->capacity = flows->capacity ? 2 * flows->capacity : 256;
			flows->flows = realloc(flows->flows, flows->capacity * sizeof(Flow));
			assert_non_null(flows->flows);
		}
		flow = &flows->flows[flows->nflows++];
		for (uint32_t column = 0; column < BS_FLOW_NCOLUMNS; column++)
		{
			const BsLane *lane = &batch->columns[column];

			flow->null[column] = bs_lane_is_null(lane, row);
			if (lane->type == BS_INET)
				flow->inet[column] = lane->inet[row];
			else if (lane->type != BS_BYTES)
				flow->value[column] = lane->i64[row];
		}
	}
	bs_batch_reset(batch);
}

/* Ethernet, perhaps with a VLAN tag; IPv4 or IPv6; UDP.  False: not that. */
static bool
find_datagram(const uint8_t *frame, size_t len, BsDatagram *datagram)
{
	BsWire wire = bs_wire(frame, len);
	uint16_t ethertype = 0;
	uint16_t port = 0;
	uint16_t udp_bytes = 0;
	const uint8_t *header;

	if (!bs_wire_skip(&wire, 12) || !bs_wire_u16(&wire, &ethertype))
		return false;
	if (ethertype == 0x8100 && (!bs_wire_skip(&wire, 2) || !bs_wire_u16(&wire, &ethertype)))
		return false;
	datagram->exporter = (BsInet){0};
	if (ethertype == 0x0800 && (header = bs_wire_take(&wire, 20)) != NULL && header[9] == 17)
	{
		memcpy(datagram->exporter.address, header + 12, 4);
		datagram->exporter.family = 4;
		datagram->exporter.bits = 32;
		if (!bs_wire_skip(&wire, (size_t) (header[0] & 15) * 4 - 20))
			return false;
	}
	else if (ethertype == 0x86DD && (header = bs_wire_take(&wire, 40)) != NULL && header[6] == 17)
	{
		memcpy(datagram->exporter.address, header + 8, 16);
		datagram->exporter.family = 6;
		datagram->exporter.bits = 128;
	}
	else
		return false;
	if (!bs_wire_u16(&wire, &port) || !bs_wire_skip(&wire, 2) || !bs_wire_u16(&wire, &udp_bytes) ||
		!bs_wire_skip(&wire, 2) || udp_bytes < 8)
		return false;
	datagram->port = port;
	datagram->len_bytes = (uint32_t) (udp_bytes - 8u < wire.left ? udp_bytes - 8u : wire.left);
	datagram->data = wire.at;
	return true;
}

/* Decode all datagrams of the capture with an empty decoder; returns their number, -1: no file. */
static int
decode_capture(Scenario *scenario)
{
	char path[1400];
	char error[PCAP_ERRBUF_SIZE];
	BsDecoderConfig config = {.stats = scenario->stats,
							  .max_exporters = MAX_EXPORTERS,
							  .sink = {keep_rows, &scenario->flows}};
	BsDecoder *decoder = bs_decoder_create(&config);
	BsBatch *batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, NULL, 7);
	struct pcap_pkthdr *header;
	const u_char *frame;
	int ndatagrams = 0;
	pcap_t *pcap;

	snprintf(path, sizeof(path), "%s/pcap/%s.pcap", captures_path, scenario->name);
	pcap = pcap_open_offline(path, error);
	if (pcap == NULL)
		return -1;
	while (pcap_next_ex(pcap, &header, &frame) == 1)
	{
		BsDatagram datagram = {0};
		uint8_t *copy;

		if (!find_datagram(frame, header->caplen, &datagram))
		{
			fail_here(scenario, "a frame that is not a datagram");
			continue;
		}
		/* A copy of its own length, so that a sanitizer sees the least step beyond it. */
		copy = malloc(datagram.len_bytes ? datagram.len_bytes : 1);
		memcpy(copy, datagram.data, datagram.len_bytes);
		datagram.data = copy;
		datagram.received_usec =
			(int64_t) header->ts.tv_sec * 1000000 + header->ts.tv_usec - BS_UNIX_TO_PG_USEC;
		bs_decoder_decode(decoder, &datagram, batch);
		free(copy);
		ndatagrams++;
	}
	keep_rows(&scenario->flows, batch);
	pcap_close(pcap);
	bs_batch_free(batch);
	bs_decoder_free(decoder);
	return ndatagrams;
}

static bool
is_known_count(const Scenario *scenario, const char *field, uint64_t ours, uint64_t theirs)
{
	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++)
	{
		if (strcmp(differences[i].field, field) != 0 ||
			strcmp(differences[i].scenario, scenario->name) != 0)
			continue;
		met[i] = true;
		return differences[i].rule == REFUSED_TEMPLATE ? ours == theirs + 1
													   : ours == 12 && theirs == 0;
	}
	return false;
}

static void
compare_count(Scenario *scenario, const char *summary, const char *field, uint64_t ours)
{
	json_t *value = json_object_get(json_object_get(scenario->oracle, summary), field);

	if (!json_is_integer(value))
		fail_here(scenario, "the oracle has no %s.%s", summary, field);
	else if ((uint64_t) json_integer_value(value) != ours &&
			 !is_known_count(scenario, field, ours, (uint64_t) json_integer_value(value)))
		fail_here(scenario, "%s: %llu, expected %lld", field, (unsigned long long) ours,
				  (long long) json_integer_value(value));
}

static void
compare_summary(Scenario *scenario)
{
	uint64_t octets = 0;
	uint64_t packets = 0;
	uint64_t options = 0;
	uint64_t records = 0;
	uint64_t unknown = 0;

	for (size_t i = 0; i < scenario->flows.nflows; i++)
	{
		const Flow *flow = &scenario->flows.flows[i];

		octets += flow->null[BS_FLOW_BYTES] ? 0 : (uint64_t) flow->value[BS_FLOW_BYTES];
		packets += flow->null[BS_FLOW_PACKETS] ? 0 : (uint64_t) flow->value[BS_FLOW_PACKETS];
	}
	for (uint32_t i = 0; i < MAX_EXPORTERS; i++)
	{
		options += scenario->stats[i].option_records;
		records += scenario->stats[i].records;
		unknown += scenario->stats[i].unknown_template;
	}
	compare_count(scenario, "ip_scope_summary", "flow_records", scenario->flows.nflows);
	compare_count(scenario, "ip_scope_summary", "flow_records", records);
	compare_count(scenario, "ip_scope_summary", "options_records", options);
	compare_count(scenario, "ip_scope_summary", "sum_octets", octets);
	compare_count(scenario, "ip_scope_summary", "sum_packets", packets);
	compare_count(scenario, "summary", "undecodable_data_sets", unknown);
}

static void
compare_address(Scenario *scenario, size_t number, const json_t *expected, const char *field,
				const Flow *flow, BsFlowColumn column)
{
	json_t *value = json_object_get(expected, field);
	const char *text = json_string_value(value);
	BsInet inet = {.family = 4, .bits = 32};

	if (value == NULL || json_is_null(value))
	{
		if (!flow->null[column])
			fail_here(scenario, "flow %zu: %s should be NULL", number, field);
		return;
	}
	if (strchr(text, ':') != NULL)
		inet.family = 6, inet.bits = 128;
	assert_int_equal(inet_pton(inet.family == 6 ? AF_INET6 : AF_INET, text, inet.address), 1);
	if (flow->null[column] || memcmp(&inet, &flow->inet[column], sizeof(inet)) != 0)
		fail_here(scenario, "flow %zu: %s is not %s", number, field, text);
}

static void
compare_integer(Scenario *scenario, size_t number, const json_t *expected, const char *field,
				const Flow *flow, BsFlowColumn column)
{
	json_t *value = json_object_get(expected, field);

	if (value == NULL || json_is_null(value))
	{
		if (!flow->null[column])
			fail_here(scenario, "flow %zu: %s is %lld, should be NULL", number, field,
					  (long long) flow->value[column]);
	}
	else if (flow->null[column] || flow->value[column] != json_integer_value(value))
		fail_here(scenario, "flow %zu: %s is %s%lld, should be %lld", number, field,
				  flow->null[column] ? "NULL " : "", (long long) flow->value[column],
				  (long long) json_integer_value(value));
}

/* The oracle does not say the engine of v5. */
static void
compare_domain(Scenario *scenario, size_t number, const json_t *expected, const char *field,
			   const Flow *flow, BsFlowColumn column)
{
	if (json_object_get(expected, field) != NULL)
		compare_integer(scenario, number, expected, field, flow, column);
}

/* An element of the record, from its hex; false when the record lacks it. */
static bool
element_of(const json_t *record, const char *element, uint64_t *value)
{
	const char *hex = json_string_value(json_object_get(json_object_get(record, "ie"), element));

	if (hex == NULL || *hex == '\0')
		return false;
	*value = strtoull(hex, NULL, 16);
	return true;
}

#define WRAP_SECONDS 4294967.296

/* Whether stamps are equal, or would be if uptime had more than 32 bits. */
static bool
is_wrapped(double difference)
{
	return fabs(difference) < STAMP_TOLERANCE_SECONDS ||
		   fabs(fabs(difference) - WRAP_SECONDS) < STAMP_TOLERANCE_SECONDS;
}

/* Whether ours is systemInitTime of some options record plus the uptime stamp. */
static bool
is_init_plus_stamp(const Scenario *scenario, const json_t *expected, const char *field, double ours)
{
	json_t *options = json_object_get(scenario->oracle, "options");
	uint64_t stamp_msec;
	uint64_t init_msec;
	size_t i;
	json_t *record;

	if (!element_of(expected, strcmp(field, "end") == 0 ? "21" : "22", &stamp_msec))
		return false;
	json_array_foreach(options, i, record) if (element_of(record, "160", &init_msec) &&
											   is_wrapped((double) (init_msec + stamp_msec) / 1000 -
														  ours)) return true;
	return false;
}

static bool
is_known_difference(const Scenario *scenario, const json_t *expected, const char *field,
					double ours)
{
	double theirs = json_number_value(json_object_get(expected, field));
	uint64_t msec;

	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++)
	{
		const Difference *difference = &differences[i];

		if (strcmp(difference->scenario, scenario->name) != 0 ||
			strcmp(difference->field, field) != 0)
			continue;
		met[i] = true;
		if (difference->rule == FROM_OPTIONS_INIT_TIME)
			return is_init_plus_stamp(scenario, expected, field, ours);
		if (difference->rule == WRAPPED_UPTIME)
			return is_wrapped(ours - theirs);
		return element_of(expected, "323", &msec) &&
			   fabs((double) msec / 1000 - ours) < STAMP_TOLERANCE_SECONDS;
	}
	return false;
}

static void
compare_stamp(Scenario *scenario, size_t number, const json_t *expected, const char *field,
			  const Flow *flow, BsFlowColumn column)
{
	json_t *value = json_object_get(expected, field);
	bool none = value == NULL || json_is_null(value);
	double ours = (double) (flow->value[column] + BS_UNIX_TO_PG_USEC) / 1e6;

	if (none && flow->null[column])
		return;
	if (!none && !flow->null[column] &&
		fabs(ours - json_number_value(value)) < STAMP_TOLERANCE_SECONDS)
		return;
	if (!flow->null[column] && is_known_difference(scenario, expected, field, ours))
		return;
	fail_here(scenario, "flow %zu: %s is %s%.6f, should be %s%.6f", number, field,
			  flow->null[column] ? "NULL " : "", ours, none ? "NULL " : "",
			  none ? 0.0 : json_number_value(value));
}

/* One end of a flow sample: its number, where its format is that of one interface (item 39). */
static void
compare_interface(Scenario *scenario, size_t number, const json_t *expected, const char *field,
				  const Flow *flow, BsFlowColumn column)
{
	const char *format_field = column == BS_FLOW_IN_IF ? "in_fmt" : "out_fmt";
	json_int_t format = json_integer_value(json_object_get(expected, format_field));
	json_int_t interface = json_integer_value(json_object_get(expected, field));

	if (interface == 0x3FFFFFFF)
		interface = 0;
	if (flow->null[column] != (format != 0) ||
		(format == 0 && flow->value[column] != interface))
		fail_here(scenario, "flow %zu: %s is %s%lld", number, field,
				  flow->null[column] ? "NULL " : "", (long long) flow->value[column]);
}

/*
 * The length in the IP header, else the frame's less 14 bytes of Ethernet (item 41); the oracle counts
 * frames.  NULL where no record of the sample could be read.
 */
static void
compare_sampled_bytes(Scenario *scenario, size_t number, const json_t *expected, const char *field,
					  const Flow *flow, BsFlowColumn column)
{
	json_t *ip_len = json_object_get(expected, "ip_len");
	json_t *octets = json_object_get(expected, field);
	json_int_t bytes = ip_len ? json_integer_value(ip_len) : json_integer_value(octets) - 14;

	if (flow->null[column] != json_is_null(octets) ||
		(!flow->null[column] && flow->value[column] != bytes))
		fail_here(scenario, "flow %zu: bytes is %s%lld, should be %lld", number,
				  flow->null[column] ? "NULL " : "", (long long) flow->value[column],
				  (long long) bytes);
}

/* A rate of 0 says nothing. */
static void
compare_rate(Scenario *scenario, size_t number, const json_t *expected, const char *field,
			 const Flow *flow, BsFlowColumn column)
{
	json_int_t rate = json_integer_value(json_object_get(expected, field));

	if (flow->null[column] != (rate == 0) || (rate != 0 && flow->value[column] != rate))
		fail_here(scenario, "flow %zu: the rate is %lld", number, (long long) flow->value[column]);
}

/* Flags are TCP's; the oracle shows those 0 that a record of IP's fields has for UDP, too. */
static void
compare_flags(Scenario *scenario, size_t number, const json_t *expected, const char *field,
			  const Flow *flow, BsFlowColumn column)
{
	if (json_integer_value(json_object_get(expected, "proto")) == 6)
		compare_integer(scenario, number, expected, field, flow, column);
	else if (!flow->null[column])
		fail_here(scenario, "flow %zu: flags without TCP", number);
}

/* What the switch says stands above the outer tag. */
static void
compare_vlan(Scenario *scenario, size_t number, const json_t *expected, const char *field,
			 const Flow *flow, BsFlowColumn column)
{
	json_t *tags = json_object_get(expected, "vlans");

	if (json_object_get(expected, field) == NULL && json_array_size(tags) > 0)
	{
		if (flow->null[column] ||
			flow->value[column] != json_integer_value(json_array_get(tags, 0)))
			fail_here(scenario, "flow %zu: not the outer tag", number);
		return;
	}
	compare_integer(scenario, number, expected, field, flow, column);
}

typedef struct Comparison
{
	const char *field;
	BsFlowColumn column;
	void (*compare)(Scenario *, size_t, const json_t *, const char *, const Flow *, BsFlowColumn);
} Comparison;

static const Comparison sampled_fields[] = {
	{"agent", BS_FLOW_EXPORTER, compare_address},
	{"sub_agent", BS_FLOW_OBS_DOMAIN, compare_integer},
	{"in_if", BS_FLOW_IN_IF, compare_interface},
	{"out_if", BS_FLOW_OUT_IF, compare_interface},
	{"sampling_rate", BS_FLOW_SAMPLING_RATE, compare_rate},
	{"src_vlan", BS_FLOW_SRC_VLAN, compare_vlan},
	{"dst_vlan", BS_FLOW_DST_VLAN, compare_integer},
	{"src_addr", BS_FLOW_SRC_ADDR, compare_address},
	{"dst_addr", BS_FLOW_DST_ADDR, compare_address},
	{"proto", BS_FLOW_PROTO, compare_integer},
	{"src_port", BS_FLOW_SRC_PORT, compare_integer},
	{"dst_port", BS_FLOW_DST_PORT, compare_integer},
	{"tcp_flags", BS_FLOW_TCP_FLAGS, compare_flags},
	{"icmp_type", BS_FLOW_ICMP_TYPE, compare_integer},
	{"icmp_code", BS_FLOW_ICMP_CODE, compare_integer},
	{"octets", BS_FLOW_BYTES, compare_sampled_bytes},
	{"packets", BS_FLOW_PACKETS, compare_integer},
	{"src_as", BS_FLOW_SRC_AS, compare_integer},
	{"dst_as", BS_FLOW_DST_AS, compare_integer},
	{"src_mask", BS_FLOW_SRC_MASK, compare_integer},
	{"dst_mask", BS_FLOW_DST_MASK, compare_integer},
};

/* Samples are records, those of counters and of other formats are counted apart. */
static void
compare_samples(Scenario *scenario)
{
	uint64_t counters = 0;
	uint64_t others = 0;

	for (uint32_t i = 0; i < MAX_EXPORTERS; i++)
	{
		counters += scenario->stats[i].counter_samples;
		others += scenario->stats[i].other_samples;
	}
	compare_count(scenario, "summary", "flow_records", scenario->flows.nflows);
	compare_count(scenario, "summary", "sflow_counter_samples", counters);
	compare_count(scenario, "summary", "sflow_other_samples", others);
}

static void
compare_flows(Scenario *scenario, bool sampled)
{
	static const Comparison fields[] = {
		{"src_addr", BS_FLOW_SRC_ADDR, compare_address},
		{"dst_addr", BS_FLOW_DST_ADDR, compare_address},
		{"src_port", BS_FLOW_SRC_PORT, compare_integer},
		{"dst_port", BS_FLOW_DST_PORT, compare_integer},
		{"proto", BS_FLOW_PROTO, compare_integer},
		{"octets", BS_FLOW_BYTES, compare_integer},
		{"packets", BS_FLOW_PACKETS, compare_integer},
		{"tcp_flags", BS_FLOW_TCP_FLAGS, compare_integer},
		{"in_if", BS_FLOW_IN_IF, compare_integer},
		{"out_if", BS_FLOW_OUT_IF, compare_integer},
		{"src_as", BS_FLOW_SRC_AS, compare_integer},
		{"dst_as", BS_FLOW_DST_AS, compare_integer},
		{"start", BS_FLOW_TIME_FLOW_START, compare_stamp},
		{"end", BS_FLOW_TIME_FLOW_END, compare_stamp},
		{"exporter", BS_FLOW_EXPORTER, compare_address},
		{"odid", BS_FLOW_OBS_DOMAIN, compare_domain},
	};
	json_t *expected = json_object_get(scenario->oracle, "flows");
	const Comparison *comparisons = sampled ? sampled_fields : fields;
	size_t ncomparisons = sampled ? sizeof(sampled_fields) / sizeof(sampled_fields[0])
								  : sizeof(fields) / sizeof(fields[0]);

	if (json_array_size(expected) != scenario->flows.nflows)
	{
		fail_here(scenario, "%zu flows, expected %zu", scenario->flows.nflows,
				  json_array_size(expected));
		return;
	}
	for (size_t i = 0; i < scenario->flows.nflows; i++)
		for (size_t j = 0; j < ncomparisons; j++)
			comparisons[j].compare(scenario, i, json_array_get(expected, i), comparisons[j].field,
								   &scenario->flows.flows[i], comparisons[j].column);
}

/* Whether it comes to what the oracle says. */
static bool
check_scenario(const char *name)
{
	Scenario scenario = {.name = name};
	char path[1400];
	json_error_t error;
	bool sampled;

	snprintf(path, sizeof(path), "%s/oracle/%s.json", captures_path, name);
	scenario.oracle = json_load_file(path, 0, &error);
	if (scenario.oracle == NULL)
	{
		fprintf(stderr, "%s: %s\n", name, error.text);
		return false;
	}
	sampled = json_object_get(json_object_get(scenario.oracle, "protocols"), "sflow") != NULL;
	if (decode_capture(&scenario) <= 0)
		fail_here(&scenario, "no datagrams");
	if (sampled)
		compare_samples(&scenario);
	else
		compare_summary(&scenario);
	compare_flows(&scenario, sampled);
	free(scenario.flows.flows);
	json_decref(scenario.oracle);
	return scenario.failures == 0;
}

static void
captures_decode_to_their_oracle(void **state)
{
	const char *shared = getenv("BACKSTREAM_SHARED");
	uint32_t ncompared = 0;
	uint32_t nfailed = 0;
	struct dirent *entry;
	char path[1200];
	DIR *dir;

	(void) state;
	snprintf(captures_path, sizeof(captures_path), "%s/captures", shared ? shared : "../shared");
	snprintf(path, sizeof(path), "%s/oracle", captures_path);
	dir = opendir(path);
	if (dir == NULL)
	{
		fprintf(stderr, "SKIPPED: no captures in %s\n", captures_path);
		skip();
	}
	while ((entry = readdir(dir)) != NULL)
	{
		size_t len = strlen(entry->d_name);
		char name[256];

		if (len < 6 || strcmp(entry->d_name + len - 5, ".json") != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int) (len - 5), entry->d_name);
		ncompared++;
		nfailed += !check_scenario(name);
	}
	closedir(dir);
	fprintf(stderr, "captures: %u compared, %u of them differ\n", ncompared, nfailed);
	for (size_t i = 0; i < sizeof(met) / sizeof(met[0]); i++)
	{
		if (!met[i])
			fprintf(stderr, "%s does not differ in %s\n", differences[i].scenario,
					differences[i].field);
		assert_true(met[i]);
	}
	assert_int_equal(nfailed, 0);
	assert_true(ncompared > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captures_decode_to_their_oracle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
